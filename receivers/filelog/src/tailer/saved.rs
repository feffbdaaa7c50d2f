//! What of all contents is settled, for the checkpoint and from it.

use std::path::PathBuf;
use std::sync::Arc;

use hornpipe_model::LogSource;

use super::{NO_DEVICE, Tailer, content};
use crate::fingerprint::{Head, HeadHash, Mark};
use crate::handle::Key;
use crate::progress::BatchId;
use crate::tail::{ContentId, Tail};

/// How many contents without a file are remembered, to know them again in a copy.
const MOST_ENDED: usize = 1_000;

/// A content in the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Saved {
    pub(crate) id: ContentId,
    pub(crate) path: PathBuf,
    pub(crate) inode: u64,
    pub(crate) settled: Mark,
    pub(crate) head: HeadHash,
}

/// What of the checkpoint has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) saved: Vec<Saved>,
    pub(crate) removed: Vec<ContentId>,
}

impl Tailer {
    /// A batch was delivered, durably queued or counted as dropped; or it was lost.
    pub(crate) fn settle(&mut self, batch: BatchId, is_settled: bool) {
        for id in self.batches.remove(&batch).unwrap_or_default() {
            if let Some(tail) = content(&mut self.tails, &mut self.ended, id)
                && tail.progress.settle(batch, is_settled)
            {
                self.changed.insert(id);
            }
        }
    }

    /// True when the checkpoint has to be written.
    pub(crate) fn has_changes(&self) -> bool {
        !self.changed.is_empty() || !self.removed.is_empty()
    }

    /// What has changed since the last call.
    pub(crate) fn take_changes(&mut self) -> Changes {
        let changed = std::mem::take(&mut self.changed);
        let saved =
            changed.into_iter().filter_map(|id| content(&mut self.tails, &mut self.ended, id).map(|tail| save(tail)));
        Changes {
            saved: saved.filter(|saved| saved.head.length > 0).collect(),
            removed: std::mem::take(&mut self.removed),
        }
    }

    /// Everything that the checkpoint has to have.
    pub(crate) fn saved(&self) -> Vec<Saved> {
        self.contents().map(save).filter(|saved| saved.head.length > 0).collect()
    }

    /// Forgets the oldest of the contents without a file, where there are many.
    pub(super) fn forget(&mut self) {
        let surplus = self.ended.len().saturating_sub(MOST_ENDED);
        for tail in self.ended.drain(..surplus) {
            self.changed.remove(&tail.id);
            self.removed.push(tail.id);
        }
    }
}

/// A content as the checkpoint has it.
pub(super) fn restore(saved: Saved) -> Tail {
    let key = Key { device: NO_DEVICE, inode: saved.inode };
    let source = LogSource { path: saved.path.to_string_lossy().into_owned(), ..LogSource::default() };
    Tail::new(saved.id, 0, &saved.path, key, Arc::new(source)).restored(saved.settled, Head::Hash(saved.head))
}

fn save(tail: &Tail) -> Saved {
    Saved {
        id: tail.id,
        path: tail.origin.clone(),
        inode: tail.key.inode,
        settled: tail.progress.settled(),
        head: tail.head.to_hash(),
    }
}
