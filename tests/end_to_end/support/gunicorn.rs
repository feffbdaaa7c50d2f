//! A real Gunicorn.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use super::Directory;
use super::process::Process;
use super::virtual_environment;

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
        let application = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/gunicorn_app");
        let mut command = Command::new(virtual_environment::programs().join("gunicorn"));
        command
            .args(["--bind", "127.0.0.1:0", "--workers", &workers.to_string()])
            .args(["--statsd-host", &statsd.to_string()])
            .arg("--config")
            .arg(application.join("gunicorn.conf.py"))
            .arg("--pythonpath")
            .arg(&application)
            .args(["--no-control-socket", "app:application"])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(directory.path());
        let mut process = Process::start(&mut command);
        let line = process.wait_for_line("Listening at: http://");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        Gunicorn { process, address: address.parse().unwrap(), _directory: directory }
    }

    /// Asks for a path; the status of the answer.
    pub fn get(&self, path: &str) -> u16 {
        let mut connection = TcpStream::connect(self.address).unwrap();
        write!(connection, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("{path} was answered with {answer:?}:\n{}", self.process.log()))
    }

    /// Stops it and waits for its end.
    pub fn stop(self) {
        let (status, log) = self.process.terminate();
        assert!(status.success(), "{status}:\n{log}");
    }
}
