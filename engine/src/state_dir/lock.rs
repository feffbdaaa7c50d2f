//! One process at a time works in a directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use crate::{Clock, lock};

/// How long a process waits for another to leave a directory: longer than that one's shutdown takes.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Pause between two looks at a lock that another holds.
const PAUSE: Duration = Duration::from_millis(50);

/// The file that is locked. The process id in it is for people and for error texts.
const FILE: &str = "hornpipe.lock";

/// A directory that is this process's as long as the lock, or a clone of it, lives. Taking it again in the same process
/// gives the same lock.
#[derive(Clone, Debug)]
pub struct DirectoryLock(#[expect(dead_code, reason = "closing the file gives the lock back")] Arc<File>);

/// Why a directory is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process works in it.
    #[error("{} is in use by another hornpipe, pid {pid}; stop that one, or give each a directory of its own", directory.display())]
    Held {
        /// The directory.
        directory: PathBuf,
        /// The other's process id; empty where it has not written it yet.
        pid: String,
    },
    /// The file cannot be made or locked.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// The locks of this process.
static OWN: Mutex<Vec<(PathBuf, Weak<File>)>> = Mutex::new(Vec::new());

impl DirectoryLock {
    /// Takes the lock of a directory, which has to be there.
    ///
    /// # Errors
    /// Where another process has it, or no lock can be had.
    pub fn try_take(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join(FILE);
        let failed = |error| LockError::Io { path: path.clone(), error };
        let directory = directory.canonicalize().map_err(failed)?;
        let mut own = lock(&OWN);
        own.retain(|(_, file)| file.strong_count() > 0);
        if let Some(file) = own.iter().find(|(known, _)| *known == directory).and_then(|(_, file)| file.upgrade()) {
            return Ok(DirectoryLock(file));
        }
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
        let mut file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = file.take(20).read_to_string(&mut pid);
                return Err(LockError::Held { directory, pid: pid.trim().to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // Without the id the lock holds as well.
        let _ = write_id(&mut file);
        let file = Arc::new(file);
        own.push((directory, Arc::downgrade(&file)));
        Ok(DirectoryLock(file))
    }

    /// The same, waiting while another process has it, up to `patience`. It keeps the thread.
    ///
    /// # Errors
    /// As [`try_take`](Self::try_take), after the wait.
    pub fn take(directory: &Path, patience: Duration) -> Result<Self, LockError> {
        let start = Instant::now();
        loop {
            match DirectoryLock::try_take(directory) {
                Err(LockError::Held { .. }) if start.elapsed() < patience => std::thread::sleep(PAUSE),
                result => return result,
            }
        }
    }

    /// The same, with a clock of choice, without keeping a thread.
    ///
    /// # Errors
    /// As [`try_take`](Self::try_take), after the wait.
    pub async fn wait(directory: &Path, patience: Duration, clock: &Clock) -> Result<Self, LockError> {
        let deadline = clock.monotonic().saturating_add(patience);
        let mut is_said = false;
        loop {
            match DirectoryLock::try_take(directory) {
                Err(LockError::Held { directory, pid }) if clock.monotonic() < deadline => {
                    if !std::mem::replace(&mut is_said, true) {
                        tracing::info!(directory = %directory.display(), "waiting for pid {pid} to leave the directory");
                    }
                    clock.sleep(PAUSE).await;
                }
                result => return result,
            }
        }
    }
}

fn write_id(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_this_processs_until_its_last_lock_is_gone() {
        let directory = std::env::temp_dir().join(format!("hornpipe-lock-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let lock = DirectoryLock::try_take(&directory).unwrap();
        let again = DirectoryLock::take(&directory, Duration::ZERO).unwrap();
        drop(lock);
        // Another process has another description of the open file.
        let other = File::open(directory.join(FILE)).unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        assert_eq!(std::fs::read_to_string(directory.join(FILE)).unwrap(), format!("{}\n", std::process::id()));
        drop(again);
        other.try_lock().unwrap();
        let refused = DirectoryLock::take(&directory, Duration::from_millis(60)).unwrap_err();
        let expected = format!(" is in use by another hornpipe, pid {}; ", std::process::id());
        assert!(refused.to_string().contains(&expected), "{refused}");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
