//! How much of a file's content is settled: sent, and delivered, durably queued or counted as dropped.

use std::collections::VecDeque;

use crate::fingerprint::Mark;

/// How many of the latest places are remembered, so that a copy made a moment before the latest can be told.
const RECENT: usize = 16;

/// The number of a batch.
pub(crate) type BatchId = u64;

/// What of one content was sent and what of that is settled. The checkpoint is the end of the longest settled prefix.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    settled: Mark,
    in_flight: VecDeque<Segment>,
    recent: VecDeque<Mark>,
    /// True once a batch was lost: what follows it is not settled in this run, so that a restart reads it again.
    is_stuck: bool,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    batch: BatchId,
    end: Mark,
    is_settled: bool,
}

impl Progress {
    /// Everything up to `settled` is settled.
    pub(crate) fn starting_at(settled: Mark) -> Self {
        Progress { settled, recent: VecDeque::from([settled]), ..Progress::default() }
    }

    /// A batch goes on its way that has this content up to `end`.
    pub(crate) fn sent(&mut self, batch: BatchId, end: Mark) {
        if !self.is_stuck {
            self.in_flight.push_back(Segment { batch, end, is_settled: false });
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(end);
    }

    /// What there was up to `end` was dropped and counted: nothing of it goes on its way.
    pub(crate) fn passed_over(&mut self, end: Mark) -> bool {
        if !self.is_stuck {
            self.in_flight.push_back(Segment { batch: BatchId::MAX, end, is_settled: true });
        }
        self.advance()
    }

    /// A batch is settled, or is lost and never will be. True when the settled prefix has grown.
    pub(crate) fn settle(&mut self, batch: BatchId, is_settled: bool) -> bool {
        if let Some(index) = self.in_flight.iter().position(|segment| segment.batch == batch) {
            if is_settled {
                if let Some(segment) = self.in_flight.get_mut(index) {
                    segment.is_settled = true;
                }
            } else {
                self.in_flight.truncate(index);
                self.is_stuck = true;
            }
        }
        self.advance()
    }

    fn advance(&mut self) -> bool {
        let before = self.settled;
        while let Some(segment) = self.in_flight.pop_front_if(|segment| segment.is_settled) {
            self.settled = segment.end;
        }
        self.settled != before
    }

    /// The content goes on in a copy that ends at `end`; what was read beyond it is not there.
    pub(crate) fn cut_at(&mut self, end: Mark) {
        let beyond = |mark: &mut Mark| {
            if mark.offset > end.offset {
                *mark = end;
            }
        };
        self.in_flight.iter_mut().for_each(|segment| beyond(&mut segment.end));
        self.recent.iter_mut().for_each(beyond);
        beyond(&mut self.settled);
    }

    /// The end of the settled prefix.
    pub(crate) fn settled(&self) -> Mark {
        self.settled
    }

    /// The latest places at which batches ended, latest first.
    pub(crate) fn recent(&self) -> impl Iterator<Item = Mark> {
        self.recent.iter().rev().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(offset: u64) -> Mark {
        Mark { offset, hash: offset }
    }

    fn sent(ends: &[u64]) -> Progress {
        let mut progress = Progress::starting_at(mark(0));
        for (batch, end) in ends.iter().enumerate() {
            progress.sent(batch as u64, mark(*end));
        }
        progress
    }

    #[test]
    fn the_checkpoint_is_the_end_of_the_longest_settled_prefix() {
        let mut progress = sent(&[10, 20, 30]);
        assert!(!progress.settle(1, true), "a hole is before it");
        assert_eq!(progress.settled(), mark(0));
        assert!(progress.settle(0, true));
        assert_eq!(progress.settled(), mark(20));
        assert!(progress.settle(2, true));
        assert_eq!(progress.settled(), mark(30));
        assert!(!progress.settle(7, true), "another file's batch");
    }

    #[test]
    fn what_is_passed_over_is_settled_once_all_before_it_is() {
        let mut progress = sent(&[10]);
        assert!(!progress.passed_over(mark(20)));
        assert!(progress.settle(0, true) && progress.passed_over(mark(30)));
        assert_eq!(progress.settled(), mark(30));
    }

    #[test]
    fn nothing_behind_a_lost_batch_is_ever_settled() {
        let mut progress = sent(&[10, 20, 30]);
        assert!(!progress.settle(1, false));
        assert!(progress.settle(0, true), "what is before it is");
        progress.settle(2, true);
        progress.sent(3, mark(40));
        progress.settle(3, true);
        assert_eq!(progress.settled(), mark(10));
    }

    #[test]
    fn in_a_shorter_copy_nothing_is_settled_beyond_its_end() {
        let mut progress = sent(&[10, 20, 30]);
        progress.cut_at(mark(15));
        progress.settle(0, true);
        assert_eq!(progress.settled(), mark(10));
        progress.settle(1, true);
        progress.settle(2, true);
        assert_eq!(progress.settled(), mark(15));
    }

    #[test]
    fn the_latest_places_are_remembered() {
        let ends: Vec<u64> = (1..=40).collect();
        assert_eq!(
            sent(&ends).recent().map(|mark| mark.offset).collect::<Vec<_>>(),
            (25..=40).rev().collect::<Vec<_>>()
        );
    }
}
