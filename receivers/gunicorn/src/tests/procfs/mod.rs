//! Process tables of real Gunicorns (`tests/fixtures`) and made up.

mod check;
mod details;
mod discovery;
mod fixtures;
mod receiver;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::identity::Names;
use crate::scanner::{Found, look};
use crate::table::ProcessTable;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A process table that a test makes. It is removed with the test.
struct FakeProc(PathBuf);

impl FakeProc {
    fn new() -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("hornpipe-proc-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        FakeProc(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    /// Adds a process, or gives one another command line. It started at the tick of its id.
    fn process(&self, pid: u32, parent: u32, arguments: &[&str]) -> &Self {
        self.file(pid, "cmdline", &format!("{}\0", arguments.join("\0")));
        self.stat(pid, parent, 'S', 0)
    }

    /// Sets a process's state and the CPU ticks that it has used.
    fn stat(&self, pid: u32, parent: u32, state: char, cpu: u64) -> &Self {
        let stat = format!("{pid} (gunicorn: ) x) {state} {parent} 0 0 0 0 0 0 0 0 0 {cpu} 0 0 0 20 0 1 0 {pid} 0 0\n");
        self.file(pid, "stat", &stat)
    }

    fn file(&self, pid: u32, name: &str, content: &str) -> &Self {
        let path = self.0.join(pid.to_string()).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn end(&self, pid: u32) -> &Self {
        fs::remove_dir_all(self.0.join(pid.to_string())).unwrap();
        self
    }

    /// A titled master 10 of an application with workers 11 and up.
    fn titled(&self, app: &str, pid: u32, workers: u32) -> &Self {
        self.process(pid, 1, &[&format!("gunicorn: master [{app}]")]);
        for worker in 1..=workers {
            self.process(pid + worker, pid, &[&format!("gunicorn: worker [{app}]")]);
        }
        self
    }

    fn look(&self) -> Found {
        look(&mut ProcessTable::new(&self.0), &mut Names::default(), false).unwrap()
    }
}

impl Drop for FakeProc {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn fixture(tree: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/proc").join(tree)
}
