//! Samples in order, for percentiles.

use super::compensated_sum::CompensatedSum;
use super::percentile::Percentile;
use super::samples::Samples;

/// The samples of one set in ascending order, to ask for several percentiles after one sort.
///
/// There is no interpolation: a percentile is a value that was sampled (of a sketch: a bin's value within minimum and
/// maximum). The ranks are the Datadog Agent's, with weights that are not rounded. Of an empty set all percentiles are 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// Values with the weight of themselves and all before them.
    cumulative: Vec<(f64, f64)>,
    count: f64,
    min: f64,
    max: f64,
}

impl Ranked {
    pub(super) fn new(samples: &Samples) -> Self {
        let mut entries: Vec<(f64, f64)> = samples.iter().collect();
        if !samples.is_sketch() {
            entries.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        }
        let mut passed = CompensatedSum::default();
        for (_, weight) in &mut entries {
            passed.add(*weight);
            *weight = passed.total();
        }
        Ranked { cumulative: entries, count: samples.count(), min: samples.min(), max: samples.max() }
    }

    /// The value at a percentile `P`: the smallest whose cumulative weight is above `(P * count - 1) / 100` (Datadog
    /// Agent). 0 is the exact minimum, 100 the exact maximum.
    pub fn percentile(&self, percentile: Percentile) -> f64 {
        let percent = percentile.percent();
        if percent <= 0.0 {
            self.min
        } else if percent >= 100.0 {
            self.max
        } else {
            self.first_above((percent * self.count - 1.0) / 100.0)
        }
    }

    /// The lower median: the smallest value whose cumulative weight is above `(count - 1) / 2` (Datadog Agent).
    pub fn median(&self) -> f64 {
        self.first_above((self.count - 1.0) / 2.0)
    }

    /// The smallest value whose cumulative weight is above the target; the largest one where none is.
    fn first_above(&self, target: f64) -> f64 {
        let index = self.cumulative.partition_point(|&(_, cumulative)| cumulative <= target);
        self.cumulative.get(index).or(self.cumulative.last()).map_or(0.0, |&(value, _)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Ranked {
        /// The percentile of a fraction.
        pub(crate) fn at(&self, fraction: f64) -> f64 {
            self.percentile(fraction.try_into().unwrap())
        }
    }

    fn ranked(entries: &[(f64, f64)]) -> Ranked {
        let mut samples = Samples::new();
        for &(value, weight) in entries {
            assert!(samples.push(value, weight));
        }
        samples.ranked()
    }

    fn whole_numbers(last: i32) -> Ranked {
        ranked(&(1..=last).rev().map(|value| (f64::from(value), 1.0)).collect::<Vec<_>>())
    }

    #[test]
    fn percentiles_of_whole_numbers_are_the_nearest_rank_for_every_count_and_percent() {
        for last in 1..=300 {
            let ranked = whole_numbers(last);
            assert_eq!(ranked.median(), f64::from((last + 1) / 2), "median of 1..={last}");
            for percent in 1..=99 {
                // The Agent's integer arithmetic: cumulative weight > floor((P * N - 1) / 100).
                let expected = (percent * last - 1) / 100 + 1;
                let fraction = f64::from(percent) / 100.0;
                assert_eq!(ranked.at(fraction), f64::from(expected), "p{percent} of 1..={last}");
            }
        }
    }

    #[test]
    fn a_weight_counts_as_that_many_samples() {
        let weighted = ranked(&[(1.0, 90.0), (2.0, 9.0), (3.0, 1.0)]);
        let percentiles = [0.0, 0.5, 0.9, 0.91, 0.99, 0.995, 1.0].map(|fraction| weighted.at(fraction));
        assert_eq!(percentiles, [1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
        assert_eq!(weighted.median(), 1.0);
    }

    #[test]
    fn an_empty_set_has_only_zeros() {
        let empty = Samples::new().ranked();
        assert_eq!([empty.at(0.0), empty.at(0.5), empty.at(1.0), empty.median()], [0.0; 4]);
    }

    #[test]
    fn weights_that_overflow_still_give_values() {
        let ranked = ranked(&[(1.0, f64::MAX), (2.0, f64::MAX)]);
        assert_eq!([ranked.at(0.0), ranked.median(), ranked.at(0.99), ranked.at(1.0)], [1.0, 1.0, 2.0, 2.0]);
    }
}
