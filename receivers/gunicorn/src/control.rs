//! Gunicorn's control socket, of version 25.1 and newer: exact numbers from the master itself.
//!
//! Four bytes of length, the most significant first, then JSON (`gunicorn/ctl/protocol.py`). Only commands that show something
//! are ever sent. Instances of one user share the default path, where the last one answers; so an answer is believed only if it
//! comes from the master in question.

use std::path::Path;
use std::time::Duration;

use hornpipe_engine::Clock;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::inspect::Facts;

/// More than an answer has, in bytes.
const LONGEST_ANSWER: u32 = 1024 * 1024;

/// What a master says about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Exact {
    pub current: u64,
    pub target: u64,
    pub spawned: u64,
    pub killed: u64,
    pub reloads: u64,
    /// Seconds since the last sign of life of the worker that gave none for longest.
    pub heartbeat: Option<f64>,
    pub class: String,
    pub threads: u64,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Stats {
    pid: u32,
    workers_current: u64,
    workers_target: u64,
    workers_spawned: u64,
    #[serde(default)]
    workers_killed: u64,
    #[serde(default)]
    reloads: u64,
}

#[derive(Deserialize)]
struct Workers {
    workers: Vec<WorkerState>,
}

#[derive(Deserialize)]
struct WorkerState {
    #[serde(default)]
    last_heartbeat: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    worker_class: String,
    threads: u64,
}

/// Asks a master, at the sockets that may be its own; nothing where none answers in time and as this master.
pub(crate) async fn ask(pid: u32, facts: &Facts, limit: Duration, clock: &Clock) -> Option<Exact> {
    let is_it = |answering: u32| answering == pid || facts.pids.contains(&answering);
    for path in &facts.control {
        match clock.timeout(limit, ask_at(path, is_it)).await {
            Ok(Ok(exact)) => return Some(exact),
            Ok(Err(error)) => tracing::debug!(pid, path = %path.display(), "control socket: {error}"),
            Err(_) => tracing::debug!(pid, path = %path.display(), "control socket: no answer within {limit:?}"),
        }
    }
    None
}

async fn ask_at(path: &Path, is_it: impl Fn(u32) -> bool) -> Result<Exact, String> {
    let mut stream = UnixStream::connect(path).await.map_err(|error| error.to_string())?;
    let stats: Stats = show(&mut stream, "show stats").await?;
    if !is_it(stats.pid) {
        return Err(format!("it is that of PID {}", stats.pid));
    }
    let workers: Workers = show(&mut stream, "show workers").await?;
    let config: Config = show(&mut stream, "show config").await?;
    let class = config.worker_class.strip_prefix("<class '").and_then(|rest| rest.strip_suffix("'>"));
    Ok(Exact {
        current: stats.workers_current,
        target: stats.workers_target,
        spawned: stats.workers_spawned,
        killed: stats.workers_killed,
        reloads: stats.reloads,
        heartbeat: workers.workers.iter().filter_map(|worker| worker.last_heartbeat).reduce(f64::max),
        class: class.unwrap_or(&config.worker_class).to_owned(),
        threads: config.threads,
    })
}

/// Sends a command that shows something, and reads the answer.
async fn show<T: DeserializeOwned>(stream: &mut UnixStream, command: &str) -> Result<T, String> {
    let request = json!({"id": 1, "command": command, "args": []}).to_string();
    let length = u32::try_from(request.len()).unwrap_or_default();
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend(request.as_bytes());
    let exchange = async {
        stream.write_all(&frame).await?;
        stream.read_u32().await
    };
    let length = exchange.await.map_err(|error| error.to_string())?;
    if length > LONGEST_ANSWER {
        return Err(format!("an answer of {length} bytes"));
    }
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer).await.map_err(|error| error.to_string())?;
    let answer: Answer<T> = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
    Ok(answer.data)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tokio::net::UnixListener;

    use super::*;

    /// A control socket whose answers are given; what it was asked.
    async fn serve(listener: UnixListener, answers: Vec<String>) -> Vec<String> {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        for answer in answers {
            let Ok(length) = stream.read_u32().await else { break };
            let mut request = vec![0; length as usize];
            stream.read_exact(&mut request).await.unwrap();
            asked.push(String::from_utf8(request).unwrap());
            stream.write_u32(answer.len() as u32).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        asked
    }

    struct Socket(PathBuf);

    impl Socket {
        fn new(name: &str) -> (Self, UnixListener) {
            let path = std::env::temp_dir().join(format!("hornpipe-{}-{name}.ctl", std::process::id()));
            let listener = UnixListener::bind(&path).unwrap();
            (Socket(path), listener)
        }

        async fn ask(&self, pid: u32, pids: &[u32]) -> Option<Exact> {
            let facts = Facts { control: vec![self.0.clone()], pids: pids.to_vec(), ..Facts::default() };
            ask(pid, &facts, Duration::from_millis(200), &Clock::system()).await
        }
    }

    impl Drop for Socket {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    /// The answers of Gunicorn 27.0.1.
    fn answers() -> Vec<String> {
        let ok = |data: &str| format!(r#"{{"id": 1, "status": "ok", "data": {data}}}"#);
        vec![
            ok(r#"{"uptime": 30.97, "pid": 6, "workers_current": 3, "workers_target": 4, "workers_spawned": 11,
                   "workers_killed": 5, "reloads": 1, "dirty_arbiter_pid": null}"#),
            ok(r#"{"workers": [{"pid": 52, "age": 9, "booted": false, "aborted": false, "last_heartbeat": 0.27},
                               {"pid": 54, "age": 10, "booted": false, "aborted": false, "last_heartbeat": 1.5},
                               {"pid": 56, "age": 11, "booted": false, "aborted": false, "last_heartbeat": null}], "count": 3}"#),
            ok(
                r#"{"worker_class": "<class 'gunicorn.workers.sync.SyncWorker'>", "threads": 1, "bind": ["127.0.0.1:8000"]}"#,
            ),
        ]
    }

    #[tokio::test]
    async fn a_master_says_what_it_knows_and_is_asked_for_nothing_else() {
        let (socket, listener) = Socket::new("answers");
        let server = tokio::spawn(serve(listener, answers()));
        let expected = Exact {
            current: 3,
            target: 4,
            spawned: 11,
            killed: 5,
            reloads: 1,
            heartbeat: Some(1.5),
            class: "gunicorn.workers.sync.SyncWorker".to_owned(),
            threads: 1,
        };
        assert_eq!(socket.ask(4711, &[4711, 6]).await, Some(expected), "6 in its own namespace");
        let asked = server.await.unwrap();
        let expected = ["show stats", "show workers", "show config"];
        assert_eq!(asked, expected.map(|command| format!(r#"{{"args":[],"command":"{command}","id":1}}"#)));
    }

    #[tokio::test]
    async fn an_answer_of_another_master_is_not_believed() {
        let (socket, listener) = Socket::new("other");
        let server = tokio::spawn(serve(listener, answers()));
        assert_eq!(socket.ask(7, &[7]).await, None);
        assert_eq!(server.await.unwrap().len(), 1, "nothing more is asked");
    }

    #[tokio::test]
    async fn what_is_no_answer_is_none_and_takes_no_longer_than_allowed() {
        for (name, answer) in
            [("garbage", "no JSON"), ("error", r#"{"id": 1, "status": "error", "error": "x"}"#), ("empty", "")]
        {
            let (socket, listener) = Socket::new(name);
            let server = tokio::spawn(serve(listener, vec![answer.to_owned()]));
            assert_eq!(socket.ask(6, &[]).await, None, "{name}");
            server.await.unwrap();
        }
        let (socket, _silent) = Socket::new("silent");
        assert_eq!(socket.ask(6, &[]).await, None);
        let (socket, listener) = Socket::new("endless");
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_u32(u32::MAX).await.unwrap();
            stream
        });
        assert_eq!(socket.ask(6, &[]).await, None);
        server.await.unwrap();
        let gone = Socket(PathBuf::from("/nonexistent/gunicorn.ctl"));
        assert_eq!(gone.ask(6, &[]).await, None);
    }
}
