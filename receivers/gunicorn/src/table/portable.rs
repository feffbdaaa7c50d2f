//! Every other system, macOS first of all: the `sysinfo` crate.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use memchr::memmem;
use sysinfo::{Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

use super::{LONGEST_COMMAND_LINE, MARK};
use crate::process::{Process, ProcessId, Snapshot};

/// The processes of the system.
pub(crate) struct ProcessTable {
    system: Option<System>,
}

impl ProcessTable {
    /// The system's table; the path is for Linux only.
    pub(crate) fn new(_root: &Path) -> Self {
        ProcessTable { system: System::new().ok() }
    }

    /// Looks at every process.
    ///
    /// # Errors
    /// The table itself cannot be read.
    pub(crate) fn scan(&mut self) -> io::Result<Snapshot> {
        let unsupported = || io::Error::new(io::ErrorKind::Unsupported, "this system's processes cannot be read");
        let system = self.system.as_mut().ok_or_else(unsupported)?;
        let kind = ProcessRefreshKind::nothing().with_cpu().with_memory().with_cmd(UpdateKind::Always).without_tasks();
        if system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind) == 0 {
            return Err(unsupported());
        }
        let mut snapshot = Snapshot::default();
        for (pid, process) in system.processes() {
            snapshot.seen += 1;
            let has_mark = |argument: &std::ffi::OsString| memmem::find(argument.as_encoded_bytes(), MARK).is_some();
            if is_dead(process) {
                continue;
            }
            // Every program has a command line, but other users' may be hidden. Linux's kernel threads have none.
            snapshot.unreadable += u64::from(process.cmd().is_empty() && process.thread_kind().is_none());
            if !process.cmd().iter().any(has_mark) {
                continue;
            }
            let mut left = LONGEST_COMMAND_LINE;
            let arguments = process.cmd().iter().map(|argument| argument.to_string_lossy().into_owned());
            let arguments = arguments.take_while(|argument| {
                left = left.saturating_sub(argument.len() + 1);
                left > 0
            });
            snapshot.processes.push(Process {
                id: ProcessId { pid: pid.as_u32(), start: process.start_time() },
                parent: process.parent().map_or(0, Pid::as_u32),
                arguments: arguments.collect(),
                cpu: Duration::from_millis(process.accumulated_cpu_time()),
                memory: process.memory(),
                age: Some(Duration::from_secs(process.run_time())),
            });
        }
        snapshot.processes.sort_unstable_by_key(|process| process.id);
        Ok(snapshot)
    }

    /// The CPU time that a process has used by now; nothing where it is gone.
    pub(crate) fn cpu(&mut self, process: ProcessId) -> Option<Duration> {
        let found = self.refreshed(process.pid, ProcessRefreshKind::nothing().with_cpu().without_tasks())?;
        (found.start_time() == process.start && !is_dead(found))
            .then(|| Duration::from_millis(found.accumulated_cpu_time()))
    }

    /// A variable of the environment that a process was started with; nothing where it has none, or where this user may not
    /// read it.
    pub(crate) fn variable(&mut self, pid: u32, name: &str) -> Option<String> {
        let kind = ProcessRefreshKind::nothing().with_environ(UpdateKind::OnlyIfNotSet).without_tasks();
        let process = self.refreshed(pid, kind)?;
        let mut pairs = process.environ().iter().filter_map(|pair| pair.to_str()?.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    }

    /// A file by the path that a process knows it by, read up to `limit` bytes. A relative path starts at the process's
    /// working directory.
    ///
    /// # Errors
    /// There is none, it is no regular file, or this user may not read it.
    pub(crate) fn file_of(&mut self, pid: u32, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        let kind = ProcessRefreshKind::nothing().with_cwd(UpdateKind::Always).without_tasks();
        let directory = self.refreshed(pid, kind).and_then(sysinfo::Process::cwd);
        let directory = directory.ok_or(io::ErrorKind::PermissionDenied)?;
        let path = directory.join(path);
        // Anybody may have put anything there, such as a pipe that nobody writes to.
        if !fs::metadata(&path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut content = Vec::new();
        File::open(path)?.take(limit).read_to_end(&mut content)?;
        Ok(content)
    }

    /// A file about a process: there is none here.
    ///
    /// # Errors
    /// Always.
    pub(crate) fn about(&self, _pid: u32, _name: &str) -> io::Result<String> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// How many files a process has open. Which of them are sockets is not told here.
    ///
    /// # Errors
    /// The process is gone, or this user may not read it.
    pub(crate) fn open_files(&mut self, pid: u32) -> io::Result<(u64, HashSet<u64>)> {
        let files =
            self.refreshed(pid, ProcessRefreshKind::nothing().without_tasks()).and_then(sysinfo::Process::open_files);
        let files = files.ok_or(io::ErrorKind::PermissionDenied)?;
        Ok((files as u64, HashSet::new()))
    }

    /// The user that a process runs as: not asked for here.
    pub(crate) fn owner(&self, _pid: u32) -> Option<u32> {
        None
    }

    /// Whether a process is in the network namespace of this one: there are none here.
    pub(crate) fn shares_network(&self, _pid: u32) -> bool {
        false
    }

    /// Where this process finds a file by the path that another one knows it by.
    pub(crate) fn path_of(&self, _pid: u32, path: &str) -> PathBuf {
        path.into()
    }

    fn refreshed(&mut self, pid: u32, kind: ProcessRefreshKind) -> Option<&sysinfo::Process> {
        let pid = Pid::from_u32(pid);
        let system = self.system.as_mut()?;
        let updated = system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, kind);
        system.process(pid).filter(|_| updated > 0)
    }
}

fn is_dead(process: &sysinfo::Process) -> bool {
    matches!(process.status(), ProcessStatus::Zombie | ProcessStatus::Dead)
}
