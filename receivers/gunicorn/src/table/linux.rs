//! Linux: `/proc`, or wherever the process file system is mounted (proc(5)).
//!
//! A collection costs about one `open`, `read` and `close` for each process: its command line, which has to be read anew
//! each time. The rest is read only of processes that have Gunicorn's name in theirs. (The `sysinfo` crate also reads
//! `stat` of every process, which takes twice as long, and knows no other place than `/proc`.)

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use memchr::memmem;

use super::{LONGEST_COMMAND_LINE, MARK};
use crate::process::{Process, ProcessId, Snapshot};

/// More than nearly every command line takes, in bytes.
const USUAL_COMMAND_LINE: usize = 4096;
/// Keys of the auxiliary vector.
const AT_PAGESZ: u64 = 6;
const AT_CLKTCK: u64 = 17;
/// More than `stat` can have.
const LONGEST_STAT: usize = 4096;

/// The processes below a mount of `/proc`.
pub(crate) struct ProcessTable {
    root: PathBuf,
    buffer: Vec<u8>,
    units: Units,
}

/// What the numbers of `stat` count in (getauxval(3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Units {
    ticks_per_second: u64,
    page_size: u64,
}

impl ProcessTable {
    /// The table at a mount of `/proc`.
    pub(crate) fn new(root: &Path) -> Self {
        ProcessTable { root: root.to_owned(), buffer: vec![0; USUAL_COMMAND_LINE], units: Units::of_system() }
    }

    /// Looks at every process.
    ///
    /// # Errors
    /// The table itself cannot be read.
    pub(crate) fn scan(&mut self) -> io::Result<Snapshot> {
        let mut snapshot = Snapshot::default();
        let mut candidates = Vec::new();
        let mut path = self.root.clone();
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            snapshot.seen += 1;
            path.push(name);
            path.push("cmdline");
            match self.command_line(&path) {
                Ok(Some(arguments)) => candidates.push((pid, arguments)),
                Ok(None) => {}
                Err(error) => snapshot.unreadable += u64::from(!is_gone(&error)),
            }
            path.pop();
            path.pop();
        }
        // Last, so that the time from here to the second look at the CPU times is the same for all.
        let uptime = self.uptime();
        for (pid, arguments) in candidates {
            match self.stat(pid) {
                Ok(stat) if stat.is_dead => {}
                Ok(Stat { parent, start, cpu, pages, .. }) => snapshot.processes.push(Process {
                    id: ProcessId { pid, start },
                    parent,
                    arguments,
                    cpu: self.units.time(cpu),
                    memory: pages.saturating_mul(self.units.page_size),
                    age: uptime.map(|uptime| uptime.saturating_sub(self.units.time(start))),
                }),
                Err(error) => snapshot.unreadable += u64::from(!is_gone(&error)),
            }
        }
        snapshot.processes.sort_unstable_by_key(|process| process.id);
        Ok(snapshot)
    }

    /// The CPU time that a process has used by now; nothing where it is gone.
    pub(crate) fn cpu(&mut self, process: ProcessId) -> Option<Duration> {
        let stat = self.stat(process.pid).ok()?;
        (stat.start == process.start && !stat.is_dead).then(|| self.units.time(stat.cpu))
    }

    /// A variable of the environment that a process was started with; nothing where it has none, or where this user may not
    /// read it.
    pub(crate) fn variable(&self, pid: u32, name: &str) -> Option<String> {
        let environment = fs::read(self.file(pid, "environ")).ok()?;
        let mut pairs = environment.split(|&byte| byte == 0);
        let value = pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// A file by the path that a process knows it by, read up to `limit` bytes. A relative path starts at the process's
    /// working directory.
    ///
    /// # Errors
    /// There is none, it is no regular file, or this user may not read it.
    pub(crate) fn file_of(&self, pid: u32, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        // Anybody may have put anything there. So it is looked at before it is opened: that may wait for a writer for ever, or
        // start a device.
        let place = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(self.path_of(pid, path))?;
        if !place.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut content = Vec::new();
        File::open(format!("/proc/self/fd/{}", place.as_raw_fd()))?.take(limit).read_to_end(&mut content)?;
        Ok(content)
    }

    /// A file about a process, such as `cgroup` or `net/udp`.
    ///
    /// # Errors
    /// The process is gone, or this user may not read it.
    pub(crate) fn about(&self, pid: u32, name: &str) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.file(pid, name))?).into_owned())
    }

    /// How many files a process has open, and the inodes of the sockets among them.
    ///
    /// # Errors
    /// The process is gone, or this user may not read it.
    pub(crate) fn open_files(&self, pid: u32) -> io::Result<(u64, HashSet<u64>)> {
        let folder = self.file(pid, "fd");
        let (mut files, mut sockets) = (0, HashSet::new());
        for entry in fs::read_dir(&folder)?.flatten() {
            files += 1;
            let target = fs::read_link(entry.path()).unwrap_or_default();
            let inode: Option<u64> =
                target.to_str().and_then(|target| target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            sockets.extend(inode);
        }
        Ok((files, sockets))
    }

    /// The user that a process runs as.
    pub(crate) fn owner(&self, pid: u32) -> Option<u32> {
        Some(fs::metadata(self.root.join(pid.to_string())).ok()?.uid())
    }

    /// Whether a process is in the network namespace of this one.
    pub(crate) fn shares_network(&self, pid: u32) -> bool {
        let theirs = fs::read_link(self.file(pid, "ns/net"));
        theirs.is_ok_and(|theirs| fs::read_link("/proc/self/ns/net").is_ok_and(|ours| ours == theirs))
    }

    /// Where this process finds a file by the path that another one knows it by.
    pub(crate) fn path_of(&self, pid: u32, path: &str) -> PathBuf {
        match path.strip_prefix('/') {
            Some(absolute) => self.file(pid, "root").join(absolute),
            None => self.file(pid, "cwd").join(path),
        }
    }

    /// How long the system has run.
    fn uptime(&self) -> Option<Duration> {
        let text = fs::read_to_string(self.root.join("uptime")).ok()?;
        Duration::try_from_secs_f64(text.split(' ').next()?.parse().ok()?).ok()
    }

    fn file(&self, pid: u32, name: &str) -> PathBuf {
        let mut path = self.root.join(pid.to_string());
        path.push(name);
        path
    }

    /// The command line of a process that could be Gunicorn's; nothing of all others.
    fn command_line(&mut self, path: &Path) -> io::Result<Option<Vec<String>>> {
        let mut file = File::open(path)?;
        let mut length = file.read(&mut self.buffer)?;
        let found = self.buffer.get(..length).unwrap_or_default();
        if memmem::find(found, MARK).is_none() {
            return Ok(None);
        }
        while length == self.buffer.len() && length < LONGEST_COMMAND_LINE {
            self.buffer.resize(length * 2, 0);
            length += file.read(self.buffer.get_mut(length..).unwrap_or_default())?;
        }
        let arguments = arguments(self.buffer.get(..length).unwrap_or_default());
        self.buffer.truncate(USUAL_COMMAND_LINE);
        Ok(Some(arguments))
    }

    fn stat(&mut self, pid: u32) -> io::Result<Stat> {
        let mut text = [0; LONGEST_STAT];
        let length = File::open(self.file(pid, "stat"))?.read(&mut text)?;
        let text = text.get(..length).unwrap_or_default();
        Stat::of(&String::from_utf8_lossy(text))
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "stat is not as proc(5) has it"))
    }
}

/// A process that ended while it was looked at is nobody's fault.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// Command lines end each argument with a zero byte. A title is followed by as many as the old command line had room for,
/// and by one alone, or by what stands behind it in memory, where it needed all of that; so it ends with the first one.
fn arguments(bytes: &[u8]) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut parts = bytes.split(|&byte| byte == 0);
    let Some(first) = parts.next() else { return Vec::new() };
    if first.starts_with(crate::title::PREFIX.as_bytes()) {
        return vec![text(first)];
    }
    let mut arguments = vec![text(first)];
    arguments.extend(parts.map(text));
    if bytes.ends_with(&[0]) {
        arguments.pop();
    }
    arguments
}

/// What is used of `stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    start: u64,
    cpu: u64,
    pages: u64,
    is_dead: bool,
}

impl Units {
    /// Those of the running system: pairs of machine words, each a key and its value.
    fn of_system() -> Self {
        let vector = fs::read("/proc/self/auxv").unwrap_or_default();
        let word = |bytes: &[u8]| bytes.try_into().map_or(0, |bytes| usize::from_ne_bytes(bytes) as u64);
        let words: Vec<u64> = vector.chunks_exact(size_of::<usize>()).map(word).collect();
        let value = |key: u64| {
            words.chunks_exact(2).find(|pair| pair.first() == Some(&key)).and_then(|pair| pair.get(1).copied())
        };
        Units {
            ticks_per_second: value(AT_CLKTCK).filter(|ticks| *ticks > 0).unwrap_or(100),
            page_size: value(AT_PAGESZ).filter(|size| *size > 0).unwrap_or(4096),
        }
    }

    /// A number of ticks as time.
    fn time(self, ticks: u64) -> Duration {
        const SECOND: u64 = 1_000_000_000;
        let (seconds, rest) = (ticks / self.ticks_per_second, ticks % self.ticks_per_second);
        Duration::from_secs(seconds) + Duration::from_nanos(rest * SECOND / self.ticks_per_second)
    }
}

impl Stat {
    /// Reads it. The second field is the program's name in parentheses, in which any character may stand.
    fn of(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(") ")?;
        // The first field here is the third of proc(5).
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        // What psutil sums up for the Agent: user, system, the same of children, and waiting for block I/O.
        let cpu = number(14)? + number(15)? + number(16)? + number(17)? + number(42).unwrap_or_default();
        Some(Stat {
            parent: fields.get(1)?.parse().ok()?,
            start: number(22)?,
            cpu,
            pages: number(24).unwrap_or_default(),
            is_dead: matches!(*fields.first()?, "Z" | "X" | "x"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "6 (gunicorn: ) m) S 1 6 6 0 -1 4194560 8310 0 0 0 4 3 20 10 20 0 1 0 3171 30945280 5240 18446744073709551615 1 1 0 0 0 0 0 16781312 137 0 0 0 17 1 0 0 7 0 0 0 0 0 0 0 0 0 0";

    #[test]
    fn stat_is_read_from_the_last_parenthesis_on() {
        let expected = Stat { parent: 1, start: 3171, cpu: 4 + 3 + 20 + 10 + 7, pages: 5240, is_dead: false };
        assert_eq!(Stat::of(STAT), Some(expected));
        assert!(Stat::of(&STAT.replace(") S", ") Z")).unwrap().is_dead);
        for broken in
            ["", "6", "6 (x", "6 (x) S", "6 (x) S 1 2 3", "6 (x) S -1 a b c d e f g h i j k l m n o p q r s t"]
        {
            assert_eq!(Stat::of(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn the_systems_units_are_those_of_its_own_tools() {
        let ask = |name: &str| {
            let output = std::process::Command::new("getconf").arg(name).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse::<u64>().unwrap()
        };
        let expected = Units { ticks_per_second: ask("CLK_TCK"), page_size: ask("PAGESIZE") };
        assert_eq!(Units::of_system(), expected);
    }

    #[test]
    fn a_title_ends_with_its_first_zero_byte() {
        for (bytes, expected) in [
            (&b"gunicorn: master [web1]\0\0\0\0"[..], &["gunicorn: master [web1]"][..]),
            (b"gunicorn: master [web1]\0", &["gunicorn: master [web1]"]),
            (b"gunicorn: master [web1]", &["gunicorn: master [web1]"]),
            (b"gunicorn: master [web1]\0PATH=/bin\0HOME=/\0", &["gunicorn: master [web1]"]),
            (b"python3\0/bin/gunicorn\0--name\0\0app\0", &["python3", "/bin/gunicorn", "--name", "", "app"]),
            (b"python3\0/bin/gunicorn", &["python3", "/bin/gunicorn"]),
            (b"", &[""]),
        ] {
            assert_eq!(arguments(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
