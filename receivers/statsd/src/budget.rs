//! The memory that values of many may take: when it is used up, those with the most samples become sketches, and those with
//! the most members estimates.

use crate::slab::{Cell, Slab};

/// A series with no more samples than this would gain nothing as a sketch.
const WORTH_A_SKETCH: usize = 64;
/// A set that takes less than this would gain nothing, or little, as an estimate.
const WORTH_AN_ESTIMATE: usize = 32 << 10;

/// How many bytes of samples and members one reader may hold in the open window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValueBudget(usize);

impl ValueBudget {
    /// A part of the receiver's `bytes` for each of its readers.
    pub(crate) fn of_each(bytes: usize, readers: usize) -> Self {
        ValueBudget(bytes / readers.max(1))
    }

    /// True when it is time to [`enforce`](Self::enforce).
    #[inline]
    pub(crate) fn is_spent(self, slab: &Slab) -> bool {
        slab.value_bytes > self.0
    }

    /// Makes the largest values smaller until half of the budget is free. Returns how many of samples became sketches.
    ///
    /// Where all values are small there is nothing to gain, and their number is what bounds them; then a quarter of the
    /// budget has to come in before the next look.
    #[cold]
    pub(crate) fn enforce(self, slab: &mut Slab) -> u64 {
        let mut all: Vec<&mut Cell> = slab.values().collect();
        let mut bytes: usize = all.iter().map(|cell| bytes_of(cell)).sum();
        all.retain(|cell| is_worth_it(cell));
        all.sort_unstable_by_key(|cell| std::cmp::Reverse(bytes_of(cell)));
        let mut sketched = 0;
        for cell in all {
            if bytes <= self.0 / 2 {
                break;
            }
            bytes -= bytes_of(cell);
            match &mut *cell {
                Cell::Set(members) => members.give_up_members(),
                other => {
                    if let Some(samples) = other.as_samples() {
                        samples.compress();
                        samples.shrink_to_fit();
                        sketched += 1;
                    }
                }
            }
            bytes += bytes_of(cell);
        }
        slab.value_bytes = bytes.min(self.0 / 4 * 3);
        sketched
    }
}

impl Default for ValueBudget {
    fn default() -> Self {
        ValueBudget(16 << 20)
    }
}

fn bytes_of(cell: &Cell) -> usize {
    match cell {
        Cell::Values(values) => values.capacity() * size_of::<f64>(),
        Cell::Samples(samples) => samples.bytes(),
        Cell::Set(members) => members.bytes(),
        _ => 0,
    }
}

fn is_worth_it(cell: &Cell) -> bool {
    match cell {
        Cell::Values(values) => values.len() > WORTH_A_SKETCH,
        Cell::Samples(samples) => !samples.is_sketch() && samples.len() > WORTH_A_SKETCH,
        Cell::Set(members) => !members.is_estimated() && members.bytes() > WORTH_AN_ESTIMATE,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::parse;

    fn add(slab: &mut Slab, index: u32, values: impl Iterator<Item = usize>) {
        let line = values.fold("t".to_owned(), |line, value| format!("{line}:{value}")) + "|ms";
        let mut parsed = Vec::new();
        let sample = parse::sample(line.as_bytes(), &mut parsed).unwrap();
        slab.add(index, &sample, &parsed, Duration::ZERO);
    }

    #[test]
    fn the_largest_become_sketches_first_and_lose_no_count() {
        let budget = ValueBudget::of_each(128 << 10, 2);
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
            let samples = cell.as_samples().unwrap();
            assert_eq!(samples.is_sketch(), index == 0);
            assert_eq!(samples.count(), if index == 0 { 3_000.0 } else { 20.0 });
            samples.clear();
        });
        assert_eq!(slab.value_bytes, 0);
    }

    #[test]
    fn many_sets_become_estimates_before_they_take_more_than_the_budget() {
        let budget = ValueBudget::of_each(1 << 20, 1);
        let mut slab = Slab::default();
        for number in 0..40_000_u32 {
            // One set gets half of all members.
            let index = if number % 2 == 0 { 0 } else { 1 + number % 7 };
            let line = format!("s:member-{number}|s");
            let mut values = Vec::new();
            let sample = parse::sample(line.as_bytes(), &mut values).unwrap();
            slab.add(index, &sample, &values, Duration::ZERO);
            if budget.is_spent(&slab) {
                assert_eq!(budget.enforce(&mut slab), 0);
                assert!(slab.values().map(|cell| bytes_of(cell)).sum::<usize>() <= 1 << 20);
            }
        }
        slab.drain(|index, cell| {
            let Cell::Set(members) = cell else { panic!("sets only") };
            let expected = if index == 0 { 20_000.0 } else { 20_000.0 / 7.0 };
            assert!((members.count() - expected).abs() <= 0.03 * expected, "{index}: {}", members.count());
            assert!(index > 0 || members.is_estimated());
            **members = crate::members::Members::default();
        });
    }

    #[test]
    fn where_nothing_can_be_gained_it_looks_again_only_after_more_has_come() {
        let budget = ValueBudget::of_each(64 << 10, 1);
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
