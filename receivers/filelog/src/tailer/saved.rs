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
    /// How large its file was when it was seen last; `None` where it has none any more.
    pub(crate) size: Option<u64>,
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
        let saved = changed.into_iter().filter_map(|id| {
            let ended = || self.ended.iter().find(|tail| tail.id == id).map(|tail| save(tail, false));
            self.tails.get(&id).map(|tail| save(tail, true)).or_else(ended)
        });
        Changes {
            saved: saved.filter(|saved| saved.head.length > 0).collect(),
            removed: std::mem::take(&mut self.removed),
        }
    }

    /// Everything that the checkpoint has to have.
    pub(crate) fn saved(&self) -> Vec<Saved> {
        let (tails, ended) = (self.tails.values(), self.ended.iter());
        let all = tails.map(|tail| save(tail, true)).chain(ended.map(|tail| save(tail, false)));
        all.filter(|saved| saved.head.length > 0).collect()
    }

    /// A content has no file any more.
    pub(super) fn push_ended(&mut self, tail: Tail) {
        self.changed.insert(tail.id);
        self.ended.push(tail);
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
    let mut tail = Tail::new(saved.id, 0, &saved.path, key, Arc::new(source));
    (tail.size, tail.is_expected) = (saved.size.unwrap_or_default(), saved.size.is_some());
    tail.restored(saved.settled, Head::Hash(saved.head))
}

fn save(tail: &Tail, has_file: bool) -> Saved {
    Saved {
        id: tail.id,
        path: tail.origin.clone(),
        inode: tail.key.inode,
        settled: tail.progress.settled(),
        head: tail.head.to_hash(),
        size: (has_file || tail.is_expected).then_some(tail.size),
    }
}
