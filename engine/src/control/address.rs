//! Where the socket of a state directory is.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

use crate::resource::fnv1a_128;
use crate::sockets::LONGEST_PATH;

/// The socket's file.
pub(super) fn file(directory: &Path) -> PathBuf {
    directory.join("hornpipe.sock")
}

/// Where no file can be: a name in Linux's own list of sockets, which ends with its process. (A path that starts with a
/// zero byte means such a name.) Other systems have none.
pub(super) fn name(directory: &Path) -> Option<PathBuf> {
    let hash = fnv1a_128(directory.as_os_str().as_bytes());
    cfg!(target_os = "linux").then(|| PathBuf::from(OsString::from(format!("\0hornpipe/{hash:032x}"))))
}

/// Why a socket cannot have this path.
pub(super) fn too_long(path: &Path) -> Option<String> {
    let length = path.as_os_str().len();
    (length > LONGEST_PATH).then(|| {
        format!(
            "its path has {length} bytes, but a socket's may have {LONGEST_PATH}; set HORNPIPE_STATE_DIR to a shorter one"
        )
    })
}

/// This process's user, as another process sees it at the end of a socket.
pub(super) fn own_user() -> Option<u32> {
    let (one, _other) = UnixStream::pair().ok()?;
    user_behind(&one)
}

/// The user of the process at the other end.
pub(super) fn user_behind(stream: &UnixStream) -> Option<u32> {
    stream.peer_cred().ok().map(|credentials| credentials.uid())
}
