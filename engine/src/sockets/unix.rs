//! Files of Unix sockets: made with their directory, replaced where nobody listens any more, removed if they are ours.

use std::fs::{self, File, Metadata, Permissions, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::{BindError, Holder};

/// The longest path that a Unix socket can have, in bytes: what the system's address holds, less the zero at its end.
pub const LONGEST_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// How long to wait for a directory that is locked, and how often to look.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The file of a socket that this process has bound. It is removed when this is dropped, unless another file has taken
/// its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(SocketFile { path: path.to_owned(), identity: identity(&fs::symlink_metadata(path)?) })
    }

    fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.identity)
    }

    /// Gives the file its permissions.
    pub(super) fn set_mode(&self, mode: u32) -> io::Result<()> {
        if self.is_there() { fs::set_permissions(&self.path, Permissions::from_mode(mode)) } else { Ok(()) }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_there() {
            // Nobody is left to be told; the next start replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Makes the directory where it is missing; the path as [`real_path`] gives it.
pub(super) fn prepare(path: &Path) -> Result<PathBuf, BindError> {
    let directory = path.parent().map_or(Ok(()), fs::create_dir_all);
    directory.and_then(|()| real_path(path)).map_err(|source| BindError::PathRefused { path: path.to_owned(), source })
}

/// The path with its directory's real name, so that one socket has one name.
pub(super) fn real_path(path: &Path) -> io::Result<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(directory), Some(name)) => Ok(fs::canonicalize(directory)?.join(name)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not the path of a file")),
    }
}

/// Binds a socket to `path`, in the place of one that nobody listens at any more.
pub(super) fn bind(
    path: &Path,
    bind: impl FnOnce(&Path) -> io::Result<OwnedFd>,
) -> Result<(OwnedFd, SocketFile), BindError> {
    let failed = |source| BindError::PathRefused { path: path.to_owned(), source };
    let length = path.as_os_str().len();
    if length > LONGEST_PATH {
        return Err(BindError::PathTooLong { path: path.to_owned(), length });
    }
    // Of two processes that find the same stale file, the second must not remove the first one's new socket.
    let _lock = path.parent().map_or(Ok(None), |directory| lock(directory, PATIENCE))?;
    clear(path)?;
    let socket = bind(path).map_err(failed)?;
    let file = SocketFile::of(path).map_err(failed)?;
    Ok((socket, file))
}

/// Locks a directory, which others do for a moment only. Where it cannot be locked, what the lock is for is left to chance.
fn lock(directory: &Path, patience: Duration) -> Result<Option<File>, BindError> {
    let Ok(file) = File::open(directory) else { return Ok(None) };
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::Error(_)) => return Ok(None),
            Err(TryLockError::WouldBlock) if start.elapsed() < patience => thread::sleep(LOOK_AGAIN),
            Err(TryLockError::WouldBlock) => {
                let inode = file.metadata().map_or(0, |found| found.ino());
                return Err(BindError::DirectoryLocked { path: directory.to_owned(), holder: Holder::of_lock(inode) });
            }
        }
    }
}

/// Removes the file of a socket that nobody listens at.
fn clear(path: &Path) -> Result<(), BindError> {
    let failed = |source| BindError::PathRefused { path: path.to_owned(), source };
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !found.file_type().is_socket() {
        return Err(BindError::NotASocket { path: path.to_owned() });
    }
    // A socket for streams answers too, with another error (EPROTOTYPE), and notices nothing.
    match UnixDatagram::unbound().and_then(|client| client.connect(path)) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(failed(error)),
        _ => Err(BindError::PathTaken { path: path.to_owned(), holder: Holder::of_path(path) }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::super::{Address, Sockets};
    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("hornpipe-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Directory(fs::canonicalize(path).unwrap())
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_socket_is_made_with_its_directory_and_permissions_kept_and_removed_with_its_last_owner() {
        let directory = Directory::new("made");
        let path = directory.0.join("deep/down/dsd.sock");
        let sockets = Sockets::default();
        drop(sockets.unixgram(&path, 0o722).unwrap());
        let before = fs::metadata(&path).unwrap();
        assert_eq!(before.mode() & 0o777, 0o722);
        let client = UnixDatagram::unbound().unwrap();
        client.connect(&path).unwrap();
        client.send(b"between").unwrap();
        let detour = directory.0.join("deep/../deep/down/dsd.sock");
        let mut buffer = [0; 16];
        let length = sockets.unixgram(&detour, 0o700).unwrap().recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"between");
        let after = fs::metadata(&path).unwrap();
        assert_eq!((after.ino(), after.mode() & 0o777), (before.ino(), 0o700));
        assert!(sockets.has_claimed(&Address::Unixgram(path.clone())));
        sockets.retain(|_| false);
        assert!(!path.exists());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn many_clients_may_connect_before_one_is_accepted() {
        let directory = Directory::new("backlog");
        let path = directory.0.join("dsd.sock");
        let sockets = Sockets::default();
        let _listener = sockets.unix(&path, 0o722).unwrap();
        let connect = || {
            let client = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
            client.set_nonblocking(true)?;
            client.connect(&socket2::SockAddr::unix(&path)?).map(|()| client)
        };
        let clients: Vec<_> = (0..300).map(|_| connect().unwrap()).collect();
        assert_eq!(clients.len(), 300);
    }

    #[test]
    fn what_nobody_listens_at_is_replaced_and_all_else_is_refused() {
        let directory = Directory::new("stale");
        let path = directory.0.join("dsd.sock");
        for round in 0..2 {
            match round {
                0 => drop(UnixDatagram::bind(&path).unwrap()),
                _ => drop(UnixListener::bind(&path).unwrap()),
            }
            assert!(path.exists(), "it is stale");
            let sockets = Sockets::default();
            let _owner = sockets.unixgram(&path, 0o722).unwrap();
            let error = Sockets::default().unix(&path, 0o722).unwrap_err();
            assert!(matches!(error, BindError::PathTaken { .. }), "{error}");
            assert!(error.to_string().starts_with("unix socket /"), "{error}");
        }
        let listener = UnixListener::bind(&path).unwrap();
        let error = Sockets::default().unixgram(&path, 0o722).unwrap_err();
        assert!(matches!(error, BindError::PathTaken { .. }), "a living stream socket: {error}");
        if cfg!(target_os = "linux") {
            assert!(matches!(error, BindError::PathTaken { holder: Holder::Ourselves, .. }), "{error}");
        }
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "the look at it was no connection");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        let error = Sockets::default().unixgram(&path, 0o722).unwrap_err();
        assert!(matches!(error, BindError::NotASocket { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn a_file_that_has_taken_our_place_is_left() {
        let directory = Directory::new("replaced");
        let path = directory.0.join("dsd.sock");
        let sockets = Sockets::default();
        drop(sockets.unix(&path, 0o722).unwrap());
        fs::rename(&path, directory.0.join("old")).unwrap();
        let other = UnixDatagram::bind(&path).unwrap();
        sockets.retain(|_| false);
        assert!(path.exists());
        drop(other);
    }

    #[test]
    fn a_path_that_is_too_long_or_none_is_an_error() {
        for path in ["/", "/tmp/.."] {
            let error = Sockets::default().unixgram(Path::new(path), 0o722).unwrap_err();
            assert!(matches!(error, BindError::PathRefused { .. }), "{error}");
        }
        let directory = Directory::new("long");
        let name = |length: usize| directory.0.join("x".repeat(length - directory.0.as_os_str().len() - 1));
        Sockets::default().unixgram(&name(LONGEST_PATH), 0o722).unwrap();
        let error = Sockets::default().unixgram(&name(LONGEST_PATH + 1), 0o722).unwrap_err();
        assert!(error.to_string().contains(&format!("is {} bytes long", LONGEST_PATH + 1)), "{error}");
    }

    #[test]
    fn a_directory_that_somebody_keeps_locked_is_not_waited_for_without_end() {
        let directory = Directory::new("locked");
        let held = File::open(&directory.0).unwrap();
        held.lock().unwrap();
        let error = lock(&directory.0, Duration::from_millis(50)).unwrap_err();
        if cfg!(target_os = "linux") {
            assert!(matches!(error, BindError::DirectoryLocked { holder: Holder::Ourselves, .. }), "{error}");
        }
        assert!(error.to_string().contains("is locked by"), "{error}");
        let waiting = thread::spawn({
            let path = directory.0.clone();
            move || lock(&path, Duration::from_secs(30)).unwrap().is_some()
        });
        drop(held);
        assert!(waiting.join().unwrap());
    }
}
