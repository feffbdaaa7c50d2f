//! A Gunicorn of the test's own, under a name that no other has, and what the check says about it.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Directory, Process, hornpipe, virtual_environment};

/// How long a Gunicorn may take for what a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether Gunicorn has the `setproctitle` package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Titles {
    Shown,
    Missing,
}

/// A running Gunicorn.
pub struct Application {
    pub name: String,
    process: Process,
    address: SocketAddr,
    directory: Directory,
}

impl Application {
    /// Starts one with two workers and waits until the check sees them.
    pub fn start(label: &str, titles: Titles, options: &[&str]) -> Self {
        let name = format!("check-{}-{label}", std::process::id());
        let directory = Directory::new();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/gunicorn_app");
        let mut command = Command::new(virtual_environment::programs().join("gunicorn"));
        command.args(["--name", &name, "--workers", "2", "--bind", "127.0.0.1:0", "--pid", "pid"]);
        command.args(options).arg("--pythonpath").arg(&folder).arg("app:application");
        command
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("XDG_RUNTIME_DIR", directory.path())
            .current_dir(directory.path());
        if titles == Titles::Missing {
            // Found before the package, and as good as none.
            directory.write("setproctitle.py", "raise ImportError('hidden by the test')\n");
            command.env("PYTHONPATH", directory.path());
        }
        let mut process = Process::start(&mut command);
        let line = process.wait_for_line("Listening at: http://");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        let application = Application { address: address.parse().unwrap(), name, process, directory };
        application.until("two workers", |check| check.workers() == 2);
        application
    }

    /// The id of the process that was started.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Sends a signal to the process that was started.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// The master's id by a file that Gunicorn writes.
    pub fn pid_in(&self, file: &str) -> Option<u32> {
        std::fs::read_to_string(self.directory.path().join(file)).ok()?.trim().parse().ok()
    }

    /// Whether the master has killed a worker that did not answer in time.
    pub fn killed_a_worker(&self) -> bool {
        self.process.log().contains("WORKER TIMEOUT")
    }

    /// Asks for a path and does not wait for the answer.
    pub fn ask(&self, path: &str) -> TcpStream {
        let mut connection = TcpStream::connect(self.address).unwrap();
        write!(connection, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
        connection
    }

    /// Waits until the check says what is wanted. Whatever it says meanwhile must be true: that the application runs.
    pub fn until(&self, what: &str, is_wanted: impl Fn(&Checked) -> bool) -> Checked {
        self.wait(what, |check| {
            let is_first = check.status == 2 && check.workers() == 0;
            assert!(
                check.status == 0 || is_first,
                "a false alarm on the way to {what}: {check:?}\n{}",
                self.process.log()
            );
            is_wanted(check)
        })
    }

    /// Waits until the check says what is wanted, whatever it says meanwhile.
    pub fn wait(&self, what: &str, is_wanted: impl Fn(&Checked) -> bool) -> Checked {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let check = self.check();
            if is_wanted(&check) {
                return check;
            }
            assert!(Instant::now() < deadline, "no {what} within {PATIENCE:?}: {check:?}\n{}", self.process.log());
        }
    }

    /// Runs the check of this application once.
    pub fn check(&self) -> Checked {
        Checked::of(&self.name, &[])
    }

    /// Stops it and waits for its end.
    pub fn stop(self) {
        let (status, log) = self.process.terminate();
        assert!(status.success(), "{status}:\n{log}");
    }
}

/// What one run of the check said about one application.
#[derive(Debug)]
pub struct Checked {
    pub code: Option<i32>,
    pub status: u64,
    pub message: String,
    pub tags: Value,
    /// The gauges by state; nothing where none is sent.
    pub working: Option<u64>,
    pub idle: Option<u64>,
    /// The part of the status page, in lines.
    pub details: Vec<String>,
    pub json: Value,
}

impl Checked {
    pub fn of(name: &str, arguments: &[&str]) -> Self {
        let output = run(&[&["check", "gunicorn", "--json", "--name", name], arguments].concat());
        let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let sent = &json["aggregator"];
        let gauge = |state: &str| {
            let gauges = sent["metrics"].as_array().unwrap();
            let has_state = |gauge: &&Value| {
                gauge["metric"] == "gunicorn.workers" && gauge["tags"].as_array().unwrap().contains(&state.into())
            };
            gauges.iter().find(has_state).map(|gauge| gauge["points"][0][1].as_f64().unwrap() as u64)
        };
        let check = &sent["service_checks"][0];
        let details = json["checks"][0]["instances"][0]["details"].as_array().unwrap();
        Checked {
            code: output.status.code(),
            status: check["status"].as_u64().unwrap(),
            message: check["message"].as_str().unwrap().to_owned(),
            tags: check["tags"].clone(),
            working: gauge("state:working"),
            idle: gauge("state:idle"),
            details: details.iter().map(|line| line.as_str().unwrap().to_owned()).collect(),
            json: json.clone(),
        }
    }

    pub fn workers(&self) -> u64 {
        self.working.unwrap_or_default() + self.idle.unwrap_or_default()
    }
}

/// Runs hornpipe in a folder without a configuration.
pub fn run(arguments: &[&str]) -> Output {
    hornpipe().args(arguments).current_dir("/").output().unwrap()
}

/// The path of a program of the tests' virtual environment.
pub fn program(name: &str) -> PathBuf {
    virtual_environment::programs().join(name)
}
