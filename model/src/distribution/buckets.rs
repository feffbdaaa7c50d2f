//! One range of an exponential histogram's buckets.

/// Neighbouring buckets of an exponential histogram, of one sign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// The index of the first bucket.
    pub offset: i32,
    /// How many samples each bucket holds; empty if there are none.
    pub counts: Vec<u64>,
}

impl Buckets {
    /// The sum of the counts.
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |total, &count| total.saturating_add(count))
    }

    /// From the first to the last bucket.
    pub(super) fn span(&self) -> Option<Span> {
        let first = i64::from(self.offset);
        (!self.counts.is_empty()).then(|| Span { first, last: first + self.counts.len() as i64 - 1 })
    }

    /// Joins buckets so that each index becomes itself shifted right by `steps`.
    pub(super) fn downscale(&mut self, steps: u32) {
        let Some(span) = self.span().map(|span| span.downscaled(steps)) else {
            return;
        };
        if steps == 0 {
            return;
        }
        for index in 0..self.counts.len() {
            let target = span.position(i64::from(self.offset) + index as i64, steps);
            // In place, as no bucket moves to the right.
            let count = std::mem::take(&mut self.counts[index]);
            self.counts[target] = self.counts[target].saturating_add(count);
        }
        self.counts.truncate(span.len());
        self.offset = span.first as i32;
    }

    /// Adds buckets whose indexes have to be shifted right by `steps` first.
    pub(super) fn add(&mut self, other: &Buckets, steps: u32) {
        let Some(theirs) = other.span().map(|span| span.downscaled(steps)) else {
            return;
        };
        let span = theirs.union(self.span());
        if let Some(mine) = self.span() {
            let missing_below = (mine.first - span.first) as usize;
            self.counts.splice(0..0, std::iter::repeat_n(0, missing_below));
        }
        self.counts.resize(span.len(), 0);
        self.offset = span.first as i32;
        for (index, &count) in (i64::from(other.offset)..).zip(&other.counts) {
            let target = &mut self.counts[span.position(index, steps)];
            *target = target.saturating_add(count);
        }
    }
}

/// A range of bucket indexes. They are wider than those on the wire, so that no sum overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Span {
    pub(super) fn len(self) -> usize {
        (self.last - self.first + 1) as usize
    }

    /// The same range at a scale that is `steps` coarser.
    pub(super) fn downscaled(self, steps: u32) -> Span {
        Span { first: self.first >> steps, last: self.last >> steps }
    }

    /// The smallest range that covers both.
    pub(super) fn union(self, other: Option<Span>) -> Span {
        other.map_or(self, |other| Span { first: self.first.min(other.first), last: self.last.max(other.last) })
    }

    /// How much coarser the scale must be for the range to fit into so many buckets, of which there must be at least 2.
    /// It always fits in the end: indexes of 32 bits become −1 and 0.
    pub(super) fn steps_to_fit(self, max_size: usize) -> u32 {
        const MOST: u32 = i32::BITS - 1;
        (0..MOST).find(|&steps| self.downscaled(steps).len() <= max_size).unwrap_or(MOST)
    }

    /// Where the bucket with this index is, once it is shifted right by `steps`.
    pub(super) fn position(self, index: i64, steps: u32) -> usize {
        ((index >> steps) - self.first) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn buckets(offset: i32, counts: &[u64]) -> Buckets {
        Buckets { offset, counts: counts.to_vec() }
    }

    #[test]
    fn downscaling_joins_the_buckets_that_share_an_index() {
        let cases = [
            (buckets(0, &[1, 2, 3, 4]), 1, buckets(0, &[3, 7])),
            (buckets(1, &[1, 2, 3, 4]), 1, buckets(0, &[1, 5, 4])),
            (buckets(-3, &[1, 2, 3, 4]), 1, buckets(-2, &[1, 5, 4])),
            (buckets(-3, &[1, 2, 3, 4]), 2, buckets(-1, &[6, 4])),
            (buckets(-3, &[1, 2, 3, 4]), 0, buckets(-3, &[1, 2, 3, 4])),
            (buckets(5, &[]), 3, buckets(5, &[])),
            (buckets(0, &[u64::MAX, 1]), 1, buckets(0, &[u64::MAX])),
        ];
        for (mut before, steps, after) in cases {
            before.downscale(steps);
            assert_eq!(before, after);
        }
    }

    #[test]
    fn adding_covers_both_ranges() {
        let cases = [
            (buckets(0, &[]), buckets(7, &[1, 2]), 0, buckets(7, &[1, 2])),
            (buckets(7, &[1, 2]), buckets(0, &[]), 0, buckets(7, &[1, 2])),
            (buckets(0, &[1, 1]), buckets(1, &[1, 1]), 0, buckets(0, &[1, 2, 1])),
            (buckets(4, &[1]), buckets(-1, &[1]), 0, buckets(-1, &[1, 0, 0, 0, 0, 1])),
            (buckets(0, &[1, 1, 1]), buckets(1, &[5]), 0, buckets(0, &[1, 6, 1])),
            (buckets(0, &[1]), buckets(2, &[1, 1]), 1, buckets(0, &[1, 2])),
        ];
        for (mut sum, other, steps, expected) in cases {
            sum.add(&other, steps);
            assert_eq!(sum, expected);
        }
    }

    #[test]
    fn indexes_at_the_ends_of_the_wire_format_fit_into_two_buckets() {
        let span = Span { first: i32::MIN.into(), last: i32::MAX.into() };
        assert_eq!(span.downscaled(span.steps_to_fit(2)), Span { first: -1, last: 0 });
        assert_eq!(span.steps_to_fit(2), 31);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_the_fewest_steps_are_taken(
            offset: i32,
            counts in proptest::collection::vec(0..1000_u64, 1..400),
            max_size in 2..200_usize,
        ) {
            let before = Buckets { offset, counts };
            let steps = before.span().unwrap().steps_to_fit(max_size);
            let mut after = before.clone();
            after.downscale(steps);
            prop_assert!(after.counts.len() <= max_size);
            prop_assert_eq!(after.total(), before.total());
            if steps > 0 {
                let mut finer = before.clone();
                finer.downscale(steps - 1);
                prop_assert!(finer.counts.len() > max_size);
            }
        }
    }
}
