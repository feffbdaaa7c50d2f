//! Both ends of the socket.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::*;
use crate::Clock;
use crate::state_dir::{self, StateDirectory};
use crate::status::{Phase, ProcessFacts, Readiness, StatusBoard, StatusReport};
use crate::telemetry::Telemetry;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A state directory of a test's own.
struct Bench {
    path: PathBuf,
    board: StatusBoard,
}

impl Bench {
    fn new() -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("hornpipe-control-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let board = StatusBoard::new(ProcessFacts::default(), Telemetry::default(), Clock::system());
        board.set_phase(Phase::Running);
        Bench { path, board }
    }

    fn socket(&self) -> PathBuf {
        self.path.join("hornpipe.sock")
    }

    fn start(&self) -> ControlServer {
        self.start_at(&self.path)
    }

    fn start_at(&self, path: &Path) -> ControlServer {
        let directory = open(path);
        ControlServer::start(&directory, self.board.reader(), Clock::system())
    }

    async fn ask(&self, request: &str) -> Result<String, AskError> {
        ask_at(&self.path, request).await
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn open(path: &Path) -> StateDirectory {
    StateDirectory::open(&|name: &str| (name == state_dir::VARIABLE).then(|| path.display().to_string()))
}

async fn ask_at(path: &Path, request: &str) -> Result<String, AskError> {
    ask(&|name: &str| (name == state_dir::VARIABLE).then(|| path.display().to_string()), request).await
}

async fn ready(bench: &Bench) -> bool {
    let answer = bench.ask("health").await.unwrap();
    serde_json::from_str::<Readiness>(&answer).unwrap().ready
}

#[tokio::test]
async fn a_running_process_answers_and_one_that_ended_leaves_no_socket() {
    let bench = Bench::new();
    let server = bench.start();
    let report: StatusReport = serde_json::from_str(&bench.ask("status").await.unwrap()).unwrap();
    assert_eq!(report.pid, std::process::id());
    assert!(ready(&bench).await);
    bench.board.set_phase(Phase::Stopping);
    assert!(!ready(&bench).await);

    assert_eq!(std::fs::metadata(bench.socket()).unwrap().permissions().mode() & 0o777, 0o600);
    server.stop().await;
    assert!(!bench.socket().exists());
    let error = bench.ask("status").await.unwrap_err();
    let place = bench.socket().display().to_string();
    let AskError::NotRunning { looked } = &error else { panic!("{error}") };
    assert_eq!(*looked, [format!("{place}: there is no socket")]);
    assert!(error.to_string().starts_with("hornpipe is not running, or keeps its state elsewhere"), "{error}");
}

#[tokio::test]
async fn an_unknown_request_is_told_so_and_a_long_one_is_cut() {
    let bench = Bench::new();
    let server = bench.start();
    for request in ["reboot".to_owned(), "x".repeat(100_000)] {
        let error = bench.ask(&request).await.unwrap_err();
        assert!(matches!(error, AskError::NoAnswer { .. }), "{error}");
    }
    assert!(ready(&bench).await);
    server.stop().await;
}

#[tokio::test]
async fn clients_that_say_nothing_or_hang_up_keep_nobody_out() {
    let bench = Bench::new();
    let server = bench.start();
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(UnixStream::connect(bench.socket()).await.unwrap());
    }
    drop(silent.split_off(4));
    assert!(ready(&bench).await);
    server.stop().await;
}

#[tokio::test]
async fn a_request_without_a_line_end_is_answered_at_the_end_of_the_stream() {
    let bench = Bench::new();
    let server = bench.start();
    let mut stream = UnixStream::connect(bench.socket()).await.unwrap();
    stream.write_all(b"health").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("\"ready\": true"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn the_socket_of_a_process_that_was_killed_is_replaced() {
    let bench = Bench::new();
    drop(StdListener::bind(bench.socket()).unwrap());
    let error = bench.ask("status").await.unwrap_err().to_string();
    assert!(error.contains("the process that made this socket has ended"), "{error}");
    let server = bench.start();
    assert!(ready(&bench).await);
    server.stop().await;
}

#[tokio::test]
async fn a_file_that_is_no_socket_stays_and_the_process_can_be_asked_without_one() {
    let bench = Bench::new();
    std::fs::write(bench.socket(), "mine").unwrap();
    let server = bench.start();
    if cfg!(target_os = "linux") {
        assert!(ready(&bench).await);
    }
    server.stop().await;
    assert_eq!(std::fs::read_to_string(bench.socket()).unwrap(), "mine");
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_process_that_can_write_nowhere_can_be_asked() {
    let bench = Bench::new();
    std::fs::write(bench.path.join("file"), "").unwrap();
    let below_file = bench.path.join("file/state");
    assert!(open(&below_file).problem.is_some());
    let server = bench.start_at(&below_file);
    assert!(ask_at(&below_file, "status").await.is_ok());
    server.stop().await;
    let error = ask_at(&below_file, "status").await.unwrap_err();
    assert!(matches!(error, AskError::NotRunning { .. }), "{error}");
}

#[tokio::test]
async fn a_path_that_is_too_long_for_a_socket_is_named_with_the_way_out() {
    let bench = Bench::new();
    let long = bench.path.join("x".repeat(100));
    let server = bench.start_at(&long);
    if cfg!(target_os = "linux") {
        assert!(ask_at(&long, "status").await.is_ok());
    }
    server.stop().await;
    let error = ask_at(&long, "status").await.unwrap_err().to_string();
    assert!(error.contains("but a socket's may have 107; set HORNPIPE_STATE_DIR to a shorter one"), "{error}");

    // A link makes a long path short.
    let link = bench.path.join("short");
    symlink(&long, &link).unwrap();
    let server = bench.start_at(&link);
    assert!(ask_at(&link, "status").await.is_ok());
    server.stop().await;
}
