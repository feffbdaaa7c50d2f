//! Where hornpipe keeps what must outlive a moment: the control socket now, queues and checkpoints with them.
//!
//! `HORNPIPE_STATE_DIR` names the directory. Where it is not set it is `/var/lib/hornpipe` if this user may write there,
//! else the user's own state directory. A process that can write nowhere runs all the same, and says so.

mod lock;

pub use lock::{DirectoryLock, LOCK_PATIENCE, LockError};

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::resource::Lookup;

/// The variable that names the directory.
pub const VARIABLE: &str = "HORNPIPE_STATE_DIR";

/// Where a service keeps its state, by the Filesystem Hierarchy Standard.
const SYSTEM: &str = "/var/lib/hornpipe";

/// The state directory of this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateDirectory {
    /// Where it is, or should be.
    pub path: PathBuf,
    /// Why nothing can be kept there, and what to do; nothing where all is well.
    pub problem: Option<String>,
}

impl StateDirectory {
    /// Finds the directory and makes it, for this user alone, where it is not there. `environment` looks up variables.
    pub fn open(environment: Lookup<'_>) -> Self {
        StateDirectory::first_of(&candidates(environment), try_out)
    }

    fn first_of(candidates: &[PathBuf], try_out: impl Fn(&Path) -> io::Result<()>) -> Self {
        let mut failures = Vec::new();
        for path in candidates {
            match try_out(path) {
                Ok(()) => return StateDirectory { path: path.clone(), problem: None },
                Err(error) => failures.push(format!("{}: {error}", path.display())),
            }
        }
        let problem = format!(
            "no state directory can be written ({}); set {VARIABLE} to a directory that this user may write",
            failures.join("; ")
        );
        StateDirectory { path: candidates.first().cloned().unwrap_or_default(), problem: Some(problem) }
    }

    /// The directory, where something can be kept in it.
    pub fn writable(&self) -> Option<&Path> {
        let is_named = !self.path.as_os_str().is_empty();
        (is_named && self.problem.is_none()).then_some(&self.path)
    }
}

/// The directories that a process with this environment would take, best first; at least one. Whoever looks for a running
/// process looks at all of them, for it may run as another user.
pub fn candidates(environment: Lookup<'_>) -> Vec<PathBuf> {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = set(VARIABLE) {
        // Without a current directory the path stays as it is, and trying it out says what is wrong.
        return vec![std::path::absolute(&path).unwrap_or(path)];
    }
    // The XDG specification: a relative path is to be ignored.
    let absolute = |path: &PathBuf| path.is_absolute();
    let of_user = set("XDG_STATE_HOME")
        .filter(absolute)
        .or_else(|| set("HOME").filter(absolute).map(|home| home.join(".local/state")))
        .map(|state| state.join("hornpipe"));
    [PathBuf::from(SYSTEM)].into_iter().chain(of_user).collect()
}

/// Makes a directory where it is missing, and writes into it: what a mode says is not all that counts (a read-only file
/// system, a full one).
fn try_out(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => io::Error::new(error.kind(), "it is a file, not a directory"),
        _ => error,
    })?;
    let probe = path.join(format!(".write-test-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&probe)?;
    let written = file.write_all(b"hornpipe can write here");
    std::fs::remove_file(&probe)?;
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn found(variables: &[(&str, &str)]) -> Vec<String> {
        let environment = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        candidates(&environment).iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn the_variable_counts_alone_and_else_the_system_comes_before_the_user() {
        let home = ("HOME", "/home/ada");
        for (variables, expected) in [
            (&[("HORNPIPE_STATE_DIR", "/srv/state"), home][..], &["/srv/state"][..]),
            (&[("HORNPIPE_STATE_DIR", ""), home], &["/var/lib/hornpipe", "/home/ada/.local/state/hornpipe"]),
            (&[("XDG_STATE_HOME", "/state"), home], &["/var/lib/hornpipe", "/state/hornpipe"]),
            (&[("XDG_STATE_HOME", "state"), home], &["/var/lib/hornpipe", "/home/ada/.local/state/hornpipe"]),
            (&[("HOME", "ada")], &["/var/lib/hornpipe"]),
            (&[], &["/var/lib/hornpipe"]),
        ] {
            assert_eq!(found(variables), expected, "{variables:?}");
        }
    }

    #[test]
    fn a_relative_directory_is_one_below_the_current() {
        let expected = std::path::absolute("state").unwrap();
        assert_eq!(found(&[("HORNPIPE_STATE_DIR", "state")]), [expected.display().to_string()]);
    }

    #[test]
    fn the_first_that_can_be_written_is_taken() {
        let candidates = [PathBuf::from("/first"), PathBuf::from("/second")];
        let refuse_first = |path: &Path| match path == Path::new("/first") {
            true => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
            false => Ok(()),
        };
        let directory = StateDirectory::first_of(&candidates, refuse_first);
        assert_eq!(directory, StateDirectory { path: "/second".into(), problem: None });
    }

    #[test]
    fn where_none_can_be_written_each_is_named_with_its_reason_and_what_to_do() {
        let candidates = [PathBuf::from("/first"), PathBuf::from("/second")];
        let directory = StateDirectory::first_of(&candidates, |_| Err(io::ErrorKind::ReadOnlyFilesystem.into()));
        assert_eq!((directory.writable(), directory.path.as_path()), (None, Path::new("/first")));
        assert_eq!(
            directory.problem.unwrap(),
            "no state directory can be written (/first: read-only filesystem or storage medium; \
             /second: read-only filesystem or storage medium); set HORNPIPE_STATE_DIR to a directory that this user \
             may write"
        );
    }

    #[test]
    fn the_directory_is_made_for_this_user_alone_and_nothing_is_left_in_it() {
        let base = std::env::temp_dir().join(format!("hornpipe-state-{}", std::process::id()));
        let wanted = base.join("a/b");
        let environment = |name: &str| (name == VARIABLE).then(|| wanted.display().to_string());
        assert_eq!(StateDirectory::open(&environment).writable(), Some(wanted.as_path()));
        assert_eq!(std::fs::metadata(&wanted).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(std::fs::read_dir(&wanted).unwrap().count(), 0);

        // Not even root can make a directory below a file.
        std::fs::write(base.join("file"), "").unwrap();
        let below_file = base.join("file/state").display().to_string();
        let directory = StateDirectory::open(&|name: &str| (name == VARIABLE).then(|| below_file.clone()));
        assert!(directory.problem.unwrap().contains("file/state: "));
        let file = base.join("file").display().to_string();
        let directory = StateDirectory::open(&|name: &str| (name == VARIABLE).then(|| file.clone()));
        assert!(directory.problem.unwrap().contains("/file: it is a file, not a directory"));
        std::fs::remove_dir_all(&base).unwrap();
    }
}
