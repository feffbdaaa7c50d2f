//! What the files of a receiver have in common.

use std::path::Path;
use std::time::Duration;

use hornpipe_engine::logs::{Joining, Rules};
use hornpipe_model::LogSource;

use crate::handle::Compression;
use crate::splitter::Splitter;

/// Where a file that is new to us is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// From its end, where it is there at the receiver's very first start.
    End,
    /// From its beginning.
    Beginning,
    /// From its end at every start.
    AlwaysEnd,
    /// From its beginning at every start.
    AlwaysBeginning,
}

impl Start {
    /// Whether the checkpoint has no say at a start.
    pub(super) fn is_forced(self) -> bool {
        matches!(self, Start::AlwaysEnd | Start::AlwaysBeginning)
    }
}

/// What files of one set have in common.
#[derive(Clone, Debug)]
pub(crate) struct FileSet {
    pub(crate) splitter: Splitter,
    /// What makes several lines one record.
    pub(crate) joining: Option<Joining>,
    /// What becomes of its records.
    pub(crate) rules: Rules,
    pub(crate) start: Start,
    /// What their records say of their source, beside the path.
    pub(crate) source: LogSource,
}

/// What records say of their file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Path,
    Name,
    Nothing,
}

impl Says {
    pub(super) fn of(self, path: &Path) -> String {
        match self {
            Says::Path => path.to_string_lossy().into_owned(),
            Says::Name => path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            Says::Nothing => String::new(),
        }
    }
}

/// What all sets have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) says: Says,
    pub(crate) fingerprint_size: usize,
    pub(crate) max_open: usize,
    /// How long an incomplete record waits for its rest; `None` for ever.
    pub(crate) force_flush: Option<Duration>,
    pub(crate) compression: Compression,
}
