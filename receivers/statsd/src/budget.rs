//! The memory that samples may take: when it is used up, the series with the most samples become sketches.

use hornpipe_model::Samples;

use crate::slab::Slab;

/// A series with no more samples than this would gain nothing as a sketch.
const WORTH_A_SKETCH: usize = 64;

/// How many bytes of samples one reader may hold in the open window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SampleBudget(usize);

impl SampleBudget {
    /// A part of the receiver's `bytes` for each of its readers.
    pub(crate) fn of_each(bytes: usize, readers: usize) -> Self {
        SampleBudget(bytes / readers.max(1))
    }

    /// True when it is time to [`enforce`](Self::enforce).
    #[inline]
    pub(crate) fn is_spent(self, slab: &Slab) -> bool {
        slab.sample_bytes > self.0
    }

    /// Makes the largest series sketches until half of the budget is free. Returns how many.
    ///
    /// Where all series are small there is nothing to gain, and their number is what bounds them; then a quarter of the
    /// budget has to come in before the next look.
    #[cold]
    pub(crate) fn enforce(self, slab: &mut Slab) -> u64 {
        let mut all: Vec<&mut Samples> = slab.samples().collect();
        let mut bytes: usize = all.iter().map(|samples| samples.bytes()).sum();
        all.retain(|samples| !samples.is_sketch() && samples.len() > WORTH_A_SKETCH);
        all.sort_unstable_by_key(|samples| std::cmp::Reverse(samples.bytes()));
        let mut sketched = 0;
        for samples in all {
            if bytes <= self.0 / 2 {
                break;
            }
            let before = samples.bytes();
            samples.compress();
            samples.shrink_to_fit();
            bytes = bytes - before + samples.bytes();
            sketched += 1;
        }
        slab.sample_bytes = bytes.min(self.0 / 4 * 3);
        sketched
    }
}

impl Default for SampleBudget {
    fn default() -> Self {
        SampleBudget(16 << 20)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::parse;
    use crate::slab::Cell;

    fn add(slab: &mut Slab, index: u32, values: impl Iterator<Item = usize>) {
        let line = values.fold("t".to_owned(), |line, value| format!("{line}:{value}")) + "|ms";
        let mut parsed = Vec::new();
        let sample = parse::sample(line.as_bytes(), &mut parsed).unwrap();
        slab.add(index, &sample, &parsed, Duration::ZERO);
    }

    #[test]
    fn the_largest_become_sketches_first_and_lose_no_count() {
        let budget = SampleBudget::of_each(128 << 10, 2);
        let mut slab = Slab::default();
        // One series has many samples of few values, the others have few.
        for _ in 0..30 {
            add(&mut slab, 0, (0..100).map(|value| value % 10));
        }
        for index in 1..100 {
            add(&mut slab, index, 0..20);
        }
        assert!(budget.is_spent(&slab));
        assert_eq!(budget.enforce(&mut slab), 1);
        assert!(!budget.is_spent(&slab));
        slab.drain(|index, cell| {
            let Cell::Samples(samples) = cell else { panic!("samples only") };
            assert_eq!(samples.is_sketch(), index == 0);
            assert_eq!(samples.count(), if index == 0 { 3_000.0 } else { 20.0 });
            samples.clear();
        });
        assert_eq!(slab.sample_bytes, 0);
    }

    #[test]
    fn where_nothing_can_be_gained_it_looks_again_only_after_more_has_come() {
        let budget = SampleBudget::of_each(64 << 10, 1);
        let mut slab = Slab::default();
        let mut looks = 0;
        for index in 0..10_000 {
            add(&mut slab, index, 0..4);
            if budget.is_spent(&slab) {
                budget.enforce(&mut slab);
                looks += 1;
            }
        }
        assert!(looks < 100, "{looks} looks");
    }
}
