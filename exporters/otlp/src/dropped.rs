//! Counting what is left out.

use hornpipe_engine::Reason;

/// Numbers of items by reason, in the order of first appearance.
#[derive(Debug, Default)]
pub(crate) struct Dropped(Vec<(Reason, u64)>);

impl Dropped {
    /// One more item.
    pub(crate) fn add(&mut self, reason: Reason) {
        match self.0.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, items)) => *items += 1,
            None => self.0.push((reason, 1)),
        }
    }

    pub(crate) fn into_counts(self) -> Vec<(Reason, u64)> {
        self.0
    }
}
