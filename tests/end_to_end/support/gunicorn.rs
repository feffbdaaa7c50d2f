//! A real Gunicorn.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::Directory;
use super::process::Process;
use super::virtual_environment;

/// What Gunicorn says before its address.
const LISTENING: &str = "Listening at: http://";

/// How long it may take for what a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A Gunicorn that serves the tests' application.
pub struct Gunicorn {
    process: Process,
    address: SocketAddr,
    _directory: Directory,
}

impl Gunicorn {
    /// Starts one with some workers, which sends its StatsD to `statsd`, and waits until it listens.
    pub fn start(workers: usize, statsd: SocketAddr) -> Self {
        let directory = Directory::new();
        let mut command = command(workers, &directory);
        let mut process = Process::start(command.args(["--statsd-host", &statsd.to_string()]));
        let line = process.wait_for_line(LISTENING);
        Gunicorn { process, address: address(&line), _directory: directory }
    }

    /// Starts one with some workers, which writes `access.log` and `error.log` into a directory, and waits until it listens.
    pub fn start_with_logs(workers: usize, logs: &Path) -> Self {
        let (access, error) = (logs.join("access.log"), logs.join("error.log"));
        let directory = Directory::new();
        let mut command = command(workers, &directory);
        // A worker that is told to end while it starts does not hear it, and is killed after this time.
        command.args(["--graceful-timeout", "2"]);
        let process = Process::start(command.arg("--access-logfile").arg(access).arg("--error-logfile").arg(&error));
        let line = wait_for("that Gunicorn listens", || {
            let log = std::fs::read_to_string(&error).unwrap_or_default();
            log.lines().find(|line| line.contains(LISTENING)).map(str::to_owned)
        });
        Gunicorn { process, address: address(&line), _directory: directory }
    }

    /// Asks for a path; the status of the answer.
    pub fn get(&self, path: &str) -> u16 {
        let answer = self.ask(path).unwrap();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("{path} was answered with {answer:?}:\n{}", self.process.log()))
    }

    /// Asks for a path; the answer, which may break off where the worker does.
    pub fn ask(&self, path: &str) -> io::Result<String> {
        let mut connection = TcpStream::connect(self.address)?;
        write!(connection, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// The id of its master process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Stops it and waits for its end.
    pub fn stop(self) {
        let (status, log) = self.process.terminate();
        assert!(status.success(), "{status}:\n{log}");
    }
}

fn command(workers: usize, directory: &Directory) -> Command {
    let application = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/gunicorn_app");
    let mut command = Command::new(virtual_environment::programs().join("gunicorn"));
    command
        .args(["--bind", "127.0.0.1:0", "--workers", &workers.to_string()])
        .arg("--config")
        .arg(application.join("gunicorn.conf.py"))
        .arg("--pythonpath")
        .arg(&application)
        .args(["--no-control-socket", "app:application"])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(directory.path());
    command
}

fn address(line: &str) -> SocketAddr {
    line.split("http://").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap()
}

fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
