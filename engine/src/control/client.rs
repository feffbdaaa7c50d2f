//! The end of the socket that asks.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::address;
use crate::resource::Lookup;
use crate::state_dir;

/// How long an answer may take. A process that does not answer for so long does nothing else either.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No process listens where one would.
    #[error("hornpipe is not running, or keeps its state elsewhere; looked at\n{}", indented(.looked))]
    NotRunning {
        /// Each place, with what was there.
        looked: Vec<String>,
    },
    /// A process is there and does not answer.
    #[error("{place}: {error}")]
    NoAnswer {
        /// Its socket.
        place: String,
        /// What happened instead, and what to do.
        error: String,
    },
}

fn indented(places: &[String]) -> String {
    places.iter().map(|place| format!("  {place}")).collect::<Vec<_>>().join("\n")
}

/// Asks the process that has a state directory of this environment; the answer's JSON.
///
/// # Errors
/// Where nobody is there, or gives no answer.
pub async fn ask(environment: Lookup<'_>, request: &str) -> Result<String, AskError> {
    let mut looked = Vec::new();
    for directory in state_dir::candidates(environment) {
        let file = address::file(&directory);
        let place = file.display().to_string();
        match address::too_long(&file) {
            Some(why) => looked.push(format!("{place}: {why}")),
            None => match UnixStream::connect(&file).await {
                Ok(stream) => return exchange(stream, request, &place).await,
                Err(error) => looked.push(format!("{place}: {}", absence(&error))),
            },
        }
        if let Some(stream) = connect_to_name(&directory).await {
            return exchange(stream, request, &format!("{place} (not to be written, asked without a file)")).await;
        }
    }
    Err(AskError::NotRunning { looked })
}

/// The socket that stands in for a file that could not be made. Anybody may take its name, so it counts only with a
/// process of this user or of root behind it; root itself takes any.
async fn connect_to_name(directory: &Path) -> Option<UnixStream> {
    let stream = UnixStream::connect(address::name(directory)?).await.ok()?;
    let (owner, user) = (address::user_behind(&stream)?, address::own_user()?);
    (owner == user || owner == 0 || user == 0).then_some(stream)
}

fn absence(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "there is no socket".to_owned(),
        io::ErrorKind::ConnectionRefused => "the process that made this socket has ended".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "permission denied; ask as the user that runs hornpipe, or as root".to_owned()
        }
        _ => error.to_string(),
    }
}

#[derive(Deserialize)]
struct Refused {
    error: String,
}

async fn exchange(mut stream: UnixStream, request: &str, place: &str) -> Result<String, AskError> {
    let no_answer = |error: String| AskError::NoAnswer { place: place.to_owned(), error };
    let talk = async {
        stream.write_all(format!("{request}\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.take(MAX_ANSWER).read_to_string(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = match tokio::time::timeout(PATIENCE, talk).await {
        Ok(Ok(answer)) if answer.is_empty() => return Err(no_answer("closed without an answer; try again".to_owned())),
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(no_answer(error.to_string())),
        Err(_) => {
            let error = format!("no answer within {PATIENCE:?}: the process hangs or is stopped; restart it");
            return Err(no_answer(error));
        }
    };
    match serde_json::from_str::<Refused>(&answer) {
        Ok(refused) => Err(no_answer(refused.error)),
        Err(_) => Ok(answer),
    }
}
