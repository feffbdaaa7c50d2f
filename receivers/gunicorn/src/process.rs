//! A process as the table has it.

use std::time::Duration;

/// Which process it is: ids are used again, the time of the start tells two apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ProcessId {
    /// The id.
    pub pid: u32,
    /// When it started, in the table's own units.
    pub start: u64,
}

/// A process that could be Gunicorn's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub id: ProcessId,
    pub parent: u32,
    /// Its command line. A title takes the place of the first argument.
    pub arguments: Vec<String>,
    /// CPU time used by it and by its children that have ended.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub memory: u64,
    /// How long it has run, where that can be told.
    pub age: Option<Duration>,
}

/// What a look at the process table found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The processes that could be Gunicorn's.
    pub processes: Vec<Process>,
    /// How many processes there are.
    pub seen: u64,
    /// How many of them this user may not look at, or that could not be read for another reason. (One that ended meanwhile
    /// does not count.)
    pub unreadable: u64,
}
