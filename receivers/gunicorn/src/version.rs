//! Gunicorn's version, as its own command tells it.
//!
//! Only the command of the configuration is ever run, never a program that was found in the process table: whoever may start
//! processes could have hornpipe's user run theirs that way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join_all;
use hornpipe_engine::Clock;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use crate::process::ProcessId;

/// The versions that the instances' commands tell. A command is asked once, and again where one of its applications has
/// another master: a new version needs a restart.
pub(crate) struct Versions {
    limit: Duration,
    clock: Clock,
    /// Each instance's masters at the last collection.
    masters: BTreeMap<usize, BTreeSet<ProcessId>>,
    due: BTreeSet<String>,
    /// What each command told, or why it told nothing.
    known: BTreeMap<String, Result<String, Failure>>,
    failures: u64,
}

/// Why a command told no version.
#[derive(Debug)]
enum Failure {
    CannotRun(io::Error),
    TooSlow(Duration),
    /// It printed something else.
    NoVersion,
}

impl Versions {
    /// Nothing known yet; a command may take as long as `limit`.
    pub(crate) fn new(limit: Duration, clock: Clock) -> Self {
        let (masters, due, known) = Default::default();
        Versions { limit, clock, masters, due, known, failures: 0 }
    }

    /// Notes which masters an instance has now.
    pub(crate) fn note(&mut self, command: &str, instance: usize, masters: BTreeSet<ProcessId>) {
        if self.masters.get(&instance).is_none_or(|before| !masters.is_subset(before)) {
            self.due.insert(command.to_owned());
        }
        self.masters.insert(instance, masters);
    }

    /// Asks the commands whose answer may be another one now, all at once.
    pub(crate) async fn ask(&mut self) {
        let due = std::mem::take(&mut self.due);
        let answers = due.iter().map(|command| gunicorn_version(command, self.limit, &self.clock));
        let answers = join_all(answers).await;
        for (command, answer) in due.into_iter().zip(answers) {
            if let Err(failure) = &answer {
                tracing::debug!(command, "gunicorn's version is unknown: {failure}");
                self.failures += 1;
                if failure.may_pass() {
                    self.due.insert(command.clone());
                }
            }
            self.known.insert(command, answer);
        }
    }

    /// How many times a command told none.
    pub(crate) fn failures(&self) -> u64 {
        self.failures
    }

    /// Why a command told none, where that is known.
    pub(crate) fn failure(&self, command: &str) -> Option<String> {
        let failure = self.known.get(command)?.as_ref().err()?;
        Some(format!("version unknown: {command} --version {failure}"))
    }

    /// What is known, for people.
    pub(crate) fn shown(&self) -> Option<String> {
        let versions: BTreeSet<&str> = self.known.values().flatten().map(String::as_str).collect();
        let list: Vec<&str> = versions.into_iter().collect();
        (!list.is_empty()).then(|| list.join(", "))
    }
}

/// More than this of what the command prints is not read, in bytes.
const LONGEST_OUTPUT: u64 = 16 * 1024;

/// The version that `<command> --version` prints.
async fn gunicorn_version(command: &str, limit: Duration, clock: &Clock) -> Result<String, Failure> {
    let (stdout, stderr) = match clock.timeout(limit, output(command)).await {
        Ok(printed) => printed.map_err(Failure::CannotRun)?,
        Err(_) => return Err(Failure::TooSlow(limit)),
    };
    version_in(&stdout).or_else(|| version_in(&stderr)).ok_or(Failure::NoVersion)
}

impl Failure {
    /// Whether the command may run at the next collection, such as where the system has no room for another process now. A
    /// program that is not there, or not ours to run, stays so until somebody changes it.
    fn may_pass(&self) -> bool {
        let Failure::CannotRun(error) = self else { return false };
        !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::CannotRun(error) => write!(f, "cannot be run: {error}"),
            Failure::TooSlow(limit) => write!(f, "took longer than {limit:?}"),
            Failure::NoVersion => f.write_str("printed no version"),
        }
    }
}

/// What a command prints, on standard output and standard error.
async fn output(command: &str) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut words = command.split_whitespace();
    let program = words.next().unwrap_or_default();
    let mut child = Command::new(program)
        .args(words)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let printed = tokio::try_join!(beginning(stdout), beginning(stderr))?;
    child.wait().await?;
    Ok(printed)
}

async fn beginning(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(LONGEST_OUTPUT).read_to_end(&mut content).await?;
    }
    Ok(content)
}

/// The version in `gunicorn (version 27.0.1)`, which stands in the first line.
fn version_in(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    let (_, rest) = text.lines().next()?.rsplit_once("(version ")?;
    let (version, _) = rest.rsplit_once(')')?;
    Some(version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_as_the_agent_reads_it() {
        for (output, expected) in [
            ("gunicorn (version 27.0.1)\n", Some("27.0.1")),
            ("gunicorn (version 19.9.0)", Some("19.9.0")),
            ("gunicorn (version 25.0.0.dev1)\nmore (version 1)", Some("25.0.0.dev1")),
            ("gunicorn 27.0.1", None),
            ("\ngunicorn (version 1)", None),
            ("", None),
        ] {
            assert_eq!(version_in(output.as_bytes()).as_deref(), expected, "{output:?}");
        }
    }

    #[tokio::test]
    async fn a_command_is_run_without_a_shell_and_not_for_longer_than_allowed() {
        let ask = |command: &'static str| async move {
            gunicorn_version(command, Duration::from_secs(10), &Clock::system()).await.ok()
        };
        assert_eq!(ask("/bin/echo gunicorn (version 1.2.3)").await.as_deref(), Some("1.2.3"));
        assert_eq!(ask("/bin/echo $HOME (version 1) ;").await.as_deref(), Some("1"), "words are words");
        for command in ["/nonexistent/gunicorn", "", "false", "/bin/echo nothing"] {
            assert_eq!(ask(command).await, None, "{command:?}");
        }
        let script = std::env::temp_dir().join(format!("hornpipe-version-{}.sh", std::process::id()));
        std::fs::write(&script, "exec sleep 30").unwrap();
        let command = format!("sh {}", script.display());
        let started = std::time::Instant::now();
        let answer = gunicorn_version(&command, Duration::from_millis(50), &Clock::system()).await;
        assert!(matches!(answer, Err(Failure::TooSlow(_))), "{answer:?}");
        assert!(started.elapsed() < Duration::from_secs(5));
        std::fs::remove_file(script).unwrap();
    }

    #[test]
    fn a_command_that_the_system_had_no_room_for_is_asked_again() {
        for (code, expected) in [(11, true), (12, true), (24, true), (2, false), (13, false)] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(Failure::CannotRun(error).may_pass(), expected, "error {code}");
        }
        assert!(!Failure::NoVersion.may_pass());
    }
}
