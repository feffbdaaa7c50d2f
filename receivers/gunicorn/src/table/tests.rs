//! The real table, whichever the system has: processes of the test's own are seen as they are.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::ProcessTable;
use crate::process::{Process, ProcessId};

const PATIENCE: Duration = Duration::from_secs(10);

/// A process that is ended with the test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Running(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }

    /// Waits until it is what it was started as.
    fn seen(&self, table: &mut ProcessTable, first: &str) -> Process {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let is_it = |process: &Process| {
                process.id.pid == self.0.id() && process.arguments.first().is_some_and(|found| found == first)
            };
            if let Some(found) = table.scan().unwrap().processes.into_iter().find(is_it) {
                return found;
            }
            assert!(Instant::now() < deadline, "{first} is not seen");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_is_seen_with_its_title_its_parent_and_what_it_was_started_with() {
    let title = format!("gunicorn: master [table-{}]", std::process::id());
    let folder = std::env::temp_dir().join(format!("hornpipe-table-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("gunicorn.conf.py"), "proc_name = 'web1'").unwrap();
    let mut command = Command::new("sleep");
    command.arg0(&title).arg("60").env("GUNICORN_CMD_ARGS", "--name web1").current_dir(&folder);
    let mut running = Running::start(&mut command);

    let mut table = ProcessTable::new(Path::new("/proc"));
    let process = running.seen(&mut table, &title);
    let pid = process.id.pid;
    assert_eq!(process.parent, std::process::id());
    assert!(process.memory > 0, "{process:?}");
    assert!(process.age.is_some_and(|age| age < Duration::from_secs(120)), "{process:?}");
    assert_eq!(table.variable(pid, "GUNICORN_CMD_ARGS").as_deref(), Some("--name web1"));
    assert_eq!(table.variable(pid, "GUNICORN_CMD"), None);
    assert_eq!(table.file_of(pid, "gunicorn.conf.py", 9).unwrap(), b"proc_name");
    assert!(table.file_of(pid, "missing.py", 9).is_err());
    // It is the user's of that process who says what is there: what waits for a writer must hold up nobody.
    assert!(Command::new("mkfifo").arg(folder.join("pipe.py")).status().unwrap().success());
    assert!(table.file_of(pid, "pipe.py", 9).is_err());
    assert!(table.file_of(pid, "/dev/zero", 9).is_err());
    assert!(table.open_files(pid).unwrap().0 >= 3);
    assert!(table.cpu(process.id).is_some());
    assert_eq!(table.cpu(ProcessId { start: process.id.start + 1, ..process.id }), None, "another process of this id");

    running.0.kill().unwrap();
    running.0.wait().unwrap();
    assert_eq!(table.cpu(process.id), None);
    assert!(table.scan().unwrap().processes.iter().all(|process| process.id.pid != pid));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn cpu_time_grows_where_it_is_used() {
    let title = format!("gunicorn: worker [busy-{}]", std::process::id());
    let running = Running::start(Command::new("sh").arg0(&title).args(["-c", "while :; do :; done"]));
    let mut table = ProcessTable::new(Path::new("/proc"));
    let process = running.seen(&mut table, &title);
    let deadline = Instant::now() + PATIENCE;
    while table.cpu(process.id).unwrap() <= process.cpu {
        assert!(Instant::now() < deadline, "no CPU time in {PATIENCE:?}");
        thread::sleep(Duration::from_millis(10));
    }
}
