//! How many files and connections the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What macOS takes where it names no limit (`OPEN_MAX`).
const WITHOUT_LIMIT: u64 = 10_240;

/// Raises the limit to the most that the process may have, as Go does for its programs. Most systems begin with 1,024, for the
/// sake of programs that use `select`. Each connection of a client takes one, each log file and each request of an exporter; where
/// the clients of one receiver have taken all, the others could neither read nor send, and `hornpipe status` gets no answer.
///
/// Where the system refuses, the limit stays as it was.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raise = |current| setrlimit(Resource::Nofile, Rlimit { current, maximum: limit.maximum });
    let _ = raise(limit.maximum).or_else(|_| raise(Some(WITHOUT_LIMIT)));
}
