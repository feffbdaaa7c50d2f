//! A child process whose output is read.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a program may take for what a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running program with what it has written to standard error. It is killed when the test drops it.
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts a program.
    pub fn start(command: &mut Command) -> Self {
        Self::start_with_input(command, Stdio::null())
    }

    /// Starts a program with something of ours as its standard input.
    pub fn start_with_input(command: &mut Command, input: Stdio) -> Self {
        let name = command.get_program().to_owned();
        let started = command.stdin(input).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("cannot start {name:?}: {error}"));
        let log = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let reader = std::thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in lines.map_while(Result::ok) {
                    let mut log = log.lock().unwrap();
                    log.push_str(&line);
                    log.push('\n');
                }
            }
        });
        Process { child, log, reader: Some(reader) }
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a line that has `words` in it; the line.
    pub fn wait_for_line(&mut self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.log().lines().find(|line| line.contains(words)) {
                return line.to_owned();
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                self.finish_log();
                panic!("ended ({status}) before it wrote {words:?}:\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "no {words:?} within {PATIENCE:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends a signal, such as `HUP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status().unwrap();
        assert!(sent.success(), "the process is gone:\n{}", self.log());
    }

    /// Sends `SIGTERM` and waits for the end; its status and all that it wrote.
    pub fn terminate(mut self) -> (ExitStatus, String) {
        self.signal("TERM");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.finish_log();
                return (status, self.log());
            }
            assert!(Instant::now() < deadline, "still there {PATIENCE:?} after SIGTERM:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until the rest of the output is read.
    fn finish_log(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already, where the test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
