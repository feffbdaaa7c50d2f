//! Containers by process and by control group.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hashbrown::HashMap;

/// For how long it is remembered which container a process is in: a process stays in it, but another may get its number.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How many processes are remembered.
const PROCESSES: usize = 1_024;
/// How often at most control groups are looked through for ones that are new, and how many are looked at.
const GROUPS_EVERY: Duration = Duration::from_secs(10);
const GROUPS: usize = 20_000;
/// The longest id that is believed of a client.
const LONGEST_ID: usize = 128;
/// How deep containers are nested in control groups, at most.
const DEPTH: usize = 8;

/// What is known of containers.
#[derive(Debug)]
pub(super) struct Containers {
    proc_directory: PathBuf,
    group_directory: PathBuf,
    processes: HashMap<u32, (Duration, Option<String>)>,
    /// Containers by the inode of their control group's directory.
    groups: HashMap<u64, String>,
    next_look: Duration,
    /// The container of the client's own words that was asked for last.
    claimed: String,
}

impl Containers {
    pub(super) fn new() -> Self {
        Containers::at("/proc", "/sys/fs/cgroup")
    }

    fn at(proc_directory: impl Into<PathBuf>, group_directory: impl Into<PathBuf>) -> Self {
        Containers {
            proc_directory: proc_directory.into(),
            group_directory: group_directory.into(),
            processes: HashMap::new(),
            groups: HashMap::new(),
            next_look: Duration::ZERO,
            claimed: String::new(),
        }
    }

    /// The container that a process is in; none where it is in none, is gone, or is another user's secret.
    pub(super) fn of_process(&mut self, pid: u32, now: Duration) -> Option<&str> {
        let is_known = self.processes.get(&pid).is_some_and(|(until, _)| now < *until);
        if !is_known {
            if self.processes.len() >= PROCESSES {
                self.processes.clear();
            }
            let groups = fs::read_to_string(self.proc_directory.join(format!("{pid}/cgroup"))).unwrap_or_default();
            let container = groups.lines().find_map(container_of_path).map(str::to_owned);
            self.processes.insert(pid, (now.saturating_add(REMEMBERED), container));
        }
        self.processes.get(&pid)?.1.as_deref()
    }

    /// The container that a client names in `c:`: `ci-` and its id, `in-` and the inode of its control group, or the id alone.
    pub(super) fn of_local_data(&mut self, data: &[u8], now: Duration) -> Option<&str> {
        let data = std::str::from_utf8(data).ok()?;
        if let Some(inode) = data.split(',').find_map(|part| part.strip_prefix("in-")) {
            return self.of_inode(inode.parse().ok()?, now);
        }
        let container = data.split(',').find_map(|part| part.strip_prefix("ci-")).unwrap_or(data);
        // It is believed, whatever form its engine gives to ids, but it must not make more than one tag.
        if !is_one_word(container) {
            return None;
        }
        self.claimed.clear();
        self.claimed.push_str(container);
        Some(&self.claimed)
    }

    fn of_inode(&mut self, inode: u64, now: Duration) -> Option<&str> {
        if !self.groups.contains_key(&inode) && now >= self.next_look {
            self.next_look = now.saturating_add(GROUPS_EVERY);
            self.groups.clear();
            let mut left = GROUPS;
            look_through(&self.group_directory, DEPTH, &mut left, &mut self.groups);
        }
        self.groups.get(&inode).map(String::as_str)
    }
}

/// Notes the containers in a directory of control groups.
fn look_through(directory: &Path, depth: usize, left: &mut usize, groups: &mut HashMap<u64, String>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        if *left == 0 {
            return;
        }
        *left -= 1;
        let path = entry.path();
        if let (Some(container), Ok(metadata)) = (path.to_str().and_then(container_of_path), entry.metadata()) {
            groups.insert(metadata.ino(), container.to_owned());
        }
        if depth > 0 {
            look_through(&path, depth - 1, left, groups);
        }
    }
}

/// Whether a text can be an id of any kind.
fn is_one_word(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(is_part)
}

/// The container that a control group's path names: the last part that looks like one, such as
/// `/system.slice/docker-<id>.scope` or `/kubepods/besteffort/pod<uid>/<id>`. Ids are those that the Agent knows: 64
/// hexadecimal digits, ECS's 32 with a number, and UUIDs.
fn container_of_path(path: &str) -> Option<&str> {
    path.rsplit('/').find_map(|part| {
        let part = part.strip_suffix(".scope").unwrap_or(part);
        // Before the id stands who made it: `cri-containerd-<id>`, `cri-containerd:<id>`.
        let id = part.rsplit(['-', ':']).next().filter(|id| id.len() == 64 && is_hexadecimal(id));
        id.or_else(|| Some(part).filter(|part| is_ecs_task(part) || is_uuid(part)))
    })
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_ecs_task(text: &str) -> bool {
    text.split_once('-').is_some_and(|(task, number)| {
        task.len() == 32
            && is_hexadecimal(task)
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 4]) && text.split('-').all(is_hexadecimal)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3dc2a4c7a3b0f1e2d3c4b5a697887766554433221100ffeeddccbbaa99887766";

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("hornpipe-origin-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Directory(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_path_names_its_container() {
        for (path, expected) in [
            (format!("12:memory:/docker/{ID}"), Some(ID)),
            (format!("0::/system.slice/docker-{ID}.scope"), Some(ID)),
            (format!("0::/kubepods.slice/kubepods-pod4f1c.slice/cri-containerd-{ID}.scope"), Some(ID)),
            (format!("0::/kubepods/besteffort/pod4f1c/{ID}"), Some(ID)),
            (format!("0::/kubepods-besteffort-pod4f1c.slice:cri-containerd:{ID}"), Some(ID)),
            (format!("0::/machine.slice/libpod-{ID}.scope/container"), Some(ID)),
            (format!("0::/../../docker/{ID}"), Some(ID)),
            (
                "1:name=systemd:/ecs/34dc0b5e626f2c5c4c5170e34b10e765-1234567890".to_owned(),
                Some("34dc0b5e626f2c5c4c5170e34b10e765-1234567890"),
            ),
            ("1:name=systemd:/garden/6f265890-5165-7fab-6b52-18d1".to_owned(), Some("6f265890-5165-7fab-6b52-18d1")),
            ("0::/init.scope".to_owned(), None),
            ("0::/user.slice/user-1000.slice/session-3.scope".to_owned(), None),
            ("0::/".to_owned(), None),
            (format!("0::/docker/{}x", &ID[1..]), None),
        ] {
            assert_eq!(container_of_path(&path), expected, "{path}");
        }
    }

    #[test]
    fn a_process_is_asked_for_once_a_minute() {
        let proc = Directory::new("proc");
        let file = proc.0.join("7/cgroup");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, format!("11:cpu:/\n0::/docker/{ID}\n")).unwrap();
        let mut containers = Containers::at(&proc.0, "/nowhere");
        assert_eq!(containers.of_process(7, Duration::ZERO), Some(ID));
        assert_eq!(containers.of_process(8, Duration::ZERO), None);
        fs::write(&file, "0::/\n").unwrap();
        assert_eq!(containers.of_process(7, Duration::from_secs(59)), Some(ID));
        assert_eq!(containers.of_process(7, Duration::from_secs(60)), None);
        for pid in 0..5_000 {
            containers.of_process(pid, Duration::ZERO);
            assert!(containers.processes.len() <= PROCESSES);
        }
    }

    #[test]
    fn a_client_names_its_container_or_its_control_group() {
        let groups = Directory::new("groups");
        let group = groups.0.join(format!("kubepods/pod1/{ID}"));
        fs::create_dir_all(&group).unwrap();
        let inode = fs::metadata(&group).unwrap().ino();
        let mut containers = Containers::at("/nowhere", &groups.0);
        for (data, expected) in [
            (format!("ci-{ID}"), Some(ID)),
            (ID.to_owned(), Some(ID)),
            ("ci-abc".to_owned(), Some("abc")),
            ("abc,evil:tag".to_owned(), None),
            (format!("{ID},evil:tag"), None),
            ("ci-a:b".to_owned(), None),
            (format!("ci-{}", "a".repeat(129)), None),
            (format!("in-{inode}"), Some(ID)),
            ("in-0".to_owned(), None),
            ("in-x".to_owned(), None),
            ("ci-".to_owned(), None),
        ] {
            assert_eq!(containers.of_local_data(data.as_bytes(), Duration::ZERO), expected, "{data}");
        }
        let new = groups.0.join(format!("{}0", &ID[..63]));
        fs::create_dir(&new).unwrap();
        let data = format!("in-{}", fs::metadata(&new).unwrap().ino());
        assert_eq!(
            containers.of_local_data(data.as_bytes(), Duration::from_secs(9)),
            None,
            "it was looked for just now"
        );
        assert!(containers.of_local_data(data.as_bytes(), Duration::from_secs(10)).is_some());
    }
}
