//! The end of the socket that answers.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::{MAX_REQUEST, address};
use crate::state_dir::StateDirectory;
use crate::status::StatusReader;
use crate::{Clock, Shutdown, ShutdownTrigger};

/// Requests answered at a time; more wait for their turn.
const MAX_CONNECTIONS: usize = 8;
/// How long a client may take to send its request, and then to read the answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Pause before the socket of another process is looked at again, or before the next client is accepted after a failure.
const PAUSE: Duration = Duration::from_secs(5);

/// Answers until it is stopped.
pub struct ControlServer {
    stop: ShutdownTrigger,
    task: JoinHandle<()>,
}

impl ControlServer {
    /// Starts to serve the socket of a state directory that this process has
    /// [locked](crate::state_dir::DirectoryLock). Where it cannot be written, another process may serve its name: then this
    /// one takes its turn when that has ended. Where no socket can be had it says so and goes without. Call it within a Tokio
    /// runtime.
    pub fn start(directory: &StateDirectory, status: StatusReader, clock: Clock) -> Self {
        let (stop, shutdown) = Shutdown::new();
        let server = Server { directory: directory.clone(), status, clock, user: address::own_user() };
        // The first claim is made at once: whoever sees that hornpipe runs can ask it.
        let first = Claimed::of(&server.directory);
        ControlServer { stop, task: tokio::spawn(server.run(first, shutdown)) }
    }

    /// Stops, and removes the socket.
    pub async fn stop(self) {
        self.stop.request();
        // A task that failed has nothing left to stop.
        let _ = self.task.await;
    }
}

struct Server {
    directory: StateDirectory,
    status: StatusReader,
    clock: Clock,
    /// The user of this process, who may ask, as root may.
    user: Option<u32>,
}

impl Server {
    async fn run(self, first: Result<Claimed, Refusal>, shutdown: Shutdown) {
        let mut claim = first;
        let mut said = false;
        loop {
            let busy = match claim {
                Ok(claimed) => return Arc::new(self).serve(claimed, shutdown).await,
                Err(Refusal::Impossible(why)) => {
                    tracing::warn!("`hornpipe status` cannot ask this process: {why}");
                    return;
                }
                Err(Refusal::Busy(why)) => why,
            };
            if !std::mem::replace(&mut said, true) {
                tracing::warn!(
                    "`hornpipe status` asks another process, not this one: {busy}; give each a HORNPIPE_STATE_DIR of its own"
                );
            }
            tokio::select! {
                () = shutdown.requested() => return,
                () = self.clock.sleep(PAUSE) => claim = Claimed::of(&self.directory),
            }
        }
    }

    async fn serve(self: Arc<Self>, claimed: Claimed, shutdown: Shutdown) {
        let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let accept_all = async {
            // The semaphore is never closed.
            while let Ok(permit) = Arc::clone(&free).acquire_owned().await {
                match claimed.listener.accept().await {
                    Ok((stream, _)) => {
                        let server = Arc::clone(&self);
                        tokio::spawn(async move {
                            server.answer(stream).await;
                            drop(permit);
                        });
                    }
                    Err(error) => {
                        tracing::debug!(%error, "the control socket accepts nobody");
                        self.clock.sleep(PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = shutdown.requested() => {}
            () = accept_all => {}
        }
    }

    async fn answer(&self, mut stream: UnixStream) {
        let answer = if self.may_ask(&stream) {
            match self.clock.timeout(PATIENCE, read_request(&mut stream)).await {
                Ok(Ok(request)) => self.answer_to(&request),
                Ok(Err(_)) | Err(_) => return,
            }
        } else {
            refusal("only the user that runs hornpipe, and root, may ask it")
        };
        let write = async {
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await
        };
        if !matches!(self.clock.timeout(PATIENCE, write).await, Ok(Ok(()))) {
            tracing::debug!("a client of the control socket did not read its answer");
        }
    }

    fn may_ask(&self, stream: &UnixStream) -> bool {
        let user = address::user_behind(stream);
        user.is_some() && (user == self.user || user == Some(0))
    }

    fn answer_to(&self, request: &str) -> String {
        match request {
            "status" => json(&self.status.report()),
            "health" => json(&self.status.readiness(false)),
            "health backends" => json(&self.status.readiness(true)),
            _ => refusal("unknown request; there are status, health and health backends"),
        }
    }
}

/// The first line; what is longer than a request can be is cut, and then unknown.
async fn read_request(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = Vec::new();
    BufReader::new(stream.take(MAX_REQUEST as u64)).read_until(b'\n', &mut line).await?;
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

fn json(answer: &impl Serialize) -> String {
    serde_json::to_string_pretty(answer).map_or_else(|error| refusal(&error.to_string()), |text| text + "\n")
}

fn refusal(error: &str) -> String {
    format!("{}\n", serde_json::json!({ "error": error }))
}

/// A socket that is ours.
struct Claimed {
    listener: UnixListener,
    file: Option<PathBuf>,
}

/// Why there is no socket for us.
enum Refusal {
    /// Another process has it.
    Busy(String),
    /// There can be none.
    Impossible(String),
}

impl Claimed {
    fn of(directory: &StateDirectory) -> Result<Self, Refusal> {
        let in_file = match (&directory.problem, directory.writable()) {
            (None, Some(path)) => Claimed::file(path),
            (problem, _) => Err(Refusal::Impossible(problem.clone().unwrap_or_default())),
        };
        match (in_file, address::name(&directory.path)) {
            (Err(Refusal::Impossible(why)), Some(name)) => {
                tracing::debug!("the control socket has a name and no file: {why}");
                Claimed::name(&name)
            }
            (claimed, _) => claimed,
        }
    }

    /// The socket in a directory. The directory is this process's, so a socket that is there has no live owner.
    fn file(directory: &Path) -> Result<Self, Refusal> {
        let path = address::file(directory);
        let impossible = |error: &dyn std::fmt::Display| Refusal::Impossible(format!("{}: {error}", path.display()));
        if let Some(why) = address::too_long(&path) {
            return Err(impossible(&why));
        }
        match std::fs::symlink_metadata(&path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(impossible(&"this is no socket; remove it"));
            }
            Ok(_) => std::fs::remove_file(&path).map_err(|error| impossible(&error))?,
            Err(_) => {}
        }
        let listener = UnixListener::bind(&path).map_err(|error| impossible(&error))?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(|error| impossible(&error))?;
        Ok(Claimed { listener, file: Some(path) })
    }

    fn name(name: &Path) -> Result<Self, Refusal> {
        match UnixListener::bind(name) {
            Ok(listener) => Ok(Claimed { listener, file: None }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Err(Refusal::Busy("another hornpipe that cannot write to the same state directory is there".to_owned()))
            }
            Err(error) => Err(Refusal::Impossible(error.to_string())),
        }
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if let Some(path) = &self.file {
            // One that stays is replaced by the next process.
            let _ = std::fs::remove_file(path);
        }
    }
}
