//! The samples of one series in one window.

use std::borrow::Cow;

use super::exact::Exact;
use super::ranked::Ranked;
use super::sketch::Sketch;
use super::summary::Summary;

/// The most samples that are kept one by one; the next one turns them into a sketch.
pub const SAMPLE_LIMIT: usize = 4096;

/// Weighted samples: exact up to [`SAMPLE_LIMIT`], beyond that (or after [`compress`](Self::compress)) a sketch whose
/// values are off by at most one part in 128, for magnitudes from 1e-9 up.
///
/// Count, sum, minimum and maximum are exact in both forms. A weight is how many samples of the client one received
/// sample stands for: 1 / sample rate, not rounded. No input makes these functions panic, and no result is NaN or
/// infinite; what overflows saturates. Of an empty set every statistic is 0.
///
/// Two values are equal if they hold the same samples in the same order, in the same form.
///
/// ```
/// use hornpipe_model::distribution::Samples;
///
/// let mut samples = Samples::new();
/// samples.push(10.0, 1.0);
/// samples.push(30.0, 3.0); // received with a sample rate of 1/3
/// assert_eq!((samples.count(), samples.sum(), samples.avg()), (4.0, 100.0, 25.0));
/// assert_eq!(samples.ranked().median(), 30.0);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    pub(super) summary: Summary,
    pub(super) store: Store,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Store {
    Exact(Exact),
    Sketch(Sketch),
}

impl Default for Store {
    fn default() -> Self {
        Store::Exact(Exact::default())
    }
}

impl Samples {
    /// An empty set, which holds no heap memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one sample and returns true, or returns false and changes nothing where the value is not finite or the
    /// weight is not finite and above 0.
    #[inline]
    pub fn push(&mut self, value: f64, weight: f64) -> bool {
        if !value.is_finite() || !weight.is_finite() || weight <= 0.0 {
            return false;
        }
        let value = value + 0.0; // makes -0 a 0, so that no backend shows "-0"
        self.summary.add(value, weight);
        match &mut self.store {
            Store::Exact(exact) if exact.len() < SAMPLE_LIMIT => exact.push(value, weight),
            Store::Exact(_) => self.with_sketch(|sketch| sketch.add(value, weight)),
            Store::Sketch(sketch) => sketch.add(value, weight),
        }
        true
    }

    /// A set of values that weigh 1, in the memory that they are in. What is not finite is left out.
    pub fn from_values(mut values: Vec<f64>) -> Self {
        values.retain_mut(|value| {
            *value += 0.0; // makes -0 a 0, as `push` does
            value.is_finite()
        });
        if values.len() > SAMPLE_LIMIT {
            let mut samples = Samples::new();
            for value in values {
                samples.push(value, 1.0);
            }
            return samples;
        }
        let mut summary = Summary::default();
        values.iter().for_each(|&value| summary.add(value, 1.0));
        Samples { summary, store: Store::Exact(Exact::from_values(values)) }
    }

    /// Adds another set. Two exact sets stay exact if together they are within [`SAMPLE_LIMIT`].
    pub fn merge(&mut self, other: &Samples) {
        self.summary.merge(&other.summary);
        match (&mut self.store, &other.store) {
            (Store::Exact(mine), Store::Exact(theirs)) if mine.len() + theirs.len() <= SAMPLE_LIMIT => {
                mine.extend(theirs);
            }
            _ => self.with_sketch(|sketch| sketch.merge(&other.sketch())),
        }
    }

    /// Gives up the exact samples for a sketch. That saves memory where samples share bins: a bin takes 12 bytes, an
    /// exact sample 8, or 16 once one has a weight other than 1.
    pub fn compress(&mut self) {
        self.with_sketch(|_| {});
    }

    /// Whether single samples are no longer known.
    pub fn is_sketch(&self) -> bool {
        matches!(self.store, Store::Sketch(_))
    }

    /// Whether no sample was added.
    pub fn is_empty(&self) -> bool {
        self.summary.samples == 0
    }

    /// How many samples were added, whatever they weigh.
    pub fn sample_count(&self) -> u64 {
        self.summary.samples
    }

    /// How many entries are kept: samples, or bins of the sketch.
    pub fn len(&self) -> usize {
        match &self.store {
            Store::Exact(exact) => exact.len(),
            Store::Sketch(sketch) => sketch.len(),
        }
    }

    /// The sum of the weights: how many samples the client took.
    pub fn count(&self) -> f64 {
        self.summary.count.total()
    }

    /// The sum of value times weight.
    pub fn sum(&self) -> f64 {
        self.summary.sum.total()
    }

    /// The smallest value.
    pub fn min(&self) -> f64 {
        if self.is_empty() { 0.0 } else { self.summary.min }
    }

    /// The largest value.
    pub fn max(&self) -> f64 {
        if self.is_empty() { 0.0 } else { self.summary.max }
    }

    /// The weighted mean.
    pub fn avg(&self) -> f64 {
        if self.is_empty() { 0.0 } else { self.summary.clamp(self.sum() / self.count()) }
    }

    /// The samples in order of value, for percentiles.
    pub fn ranked(&self) -> Ranked {
        Ranked::new(self)
    }

    /// Values with their weights. Of a sketch: one for each bin, ascending, the bin's value within minimum and maximum.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (f64, f64)> + Clone {
        (0..self.len()).map(|index| match &self.store {
            Store::Exact(exact) => exact.entry(index),
            Store::Sketch(sketch) => {
                let (value, weight) = sketch.entry(index);
                (self.summary.clamp(value), weight)
            }
        })
    }

    /// The memory held, in bytes: the value itself and what it has allocated, used or not.
    pub fn bytes(&self) -> usize {
        let heap = match &self.store {
            Store::Exact(exact) => exact.heap_bytes(),
            Store::Sketch(sketch) => sketch.heap_bytes(),
        };
        size_of::<Self>() + heap
    }

    /// Gives back memory that is allocated but not used.
    pub fn shrink_to_fit(&mut self) {
        match &mut self.store {
            Store::Exact(exact) => exact.shrink_to_fit(),
            Store::Sketch(sketch) => sketch.shrink_to_fit(),
        }
    }

    /// Forgets all samples. Exact samples leave their memory for the next ones; a sketch is given up, so the set is
    /// exact again.
    pub fn clear(&mut self) {
        self.summary = Summary::default();
        match &mut self.store {
            Store::Exact(exact) => exact.clear(),
            Store::Sketch(_) => self.store = Store::default(),
        }
    }

    /// Moves the samples and their memory out and leaves an empty set.
    pub fn take(&mut self) -> Samples {
        std::mem::take(self)
    }

    /// The values, where all of them are known and weigh 1.
    pub(super) fn unweighted(&self) -> Option<&[f64]> {
        match &self.store {
            Store::Exact(exact) => exact.unweighted(),
            Store::Sketch(_) => None,
        }
    }

    /// The samples as a sketch, made if they are still exact.
    pub(super) fn sketch(&self) -> Cow<'_, Sketch> {
        match &self.store {
            Store::Exact(exact) => Cow::Owned(Sketch::from_entries(exact.entries())),
            Store::Sketch(sketch) => Cow::Borrowed(sketch),
        }
    }

    /// Makes the samples a sketch if they are not, and changes it.
    #[cold]
    fn with_sketch(&mut self, change: impl FnOnce(&mut Sketch)) {
        let mut sketch = match std::mem::take(&mut self.store) {
            Store::Exact(exact) => Sketch::from_entries(exact.entries()),
            Store::Sketch(sketch) => sketch,
        };
        change(&mut sketch);
        self.store = Store::Sketch(sketch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pushed(entries: &[(f64, f64)]) -> Samples {
        let mut samples = Samples::new();
        entries.iter().for_each(|&(value, weight)| assert!(samples.push(value, weight)));
        samples
    }

    #[test]
    fn what_is_not_a_sample_is_refused_and_changes_nothing() {
        let mut samples = pushed(&[(1.0, 2.0)]);
        let before = samples.clone();
        let not_finite = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        for value in not_finite {
            assert!(!samples.push(value, 1.0));
        }
        for weight in not_finite.into_iter().chain([0.0, -0.0, -1.0]) {
            assert!(!samples.push(1.0, weight), "weight {weight}");
        }
        assert_eq!(samples, before);
    }

    #[test]
    fn values_of_weight_1_make_the_same_set_at_once_and_one_by_one() {
        for count in [0, 1, 3, SAMPLE_LIMIT, SAMPLE_LIMIT + 1] {
            let mut values: Vec<f64> = (0..count).map(|value| value as f64 / 4.0 - 7.0).collect();
            values.extend([f64::NAN, f64::INFINITY].iter().take(count));
            let entries: Vec<_> = values.iter().filter(|value| value.is_finite()).map(|&value| (value, 1.0)).collect();
            let samples = Samples::from_values(values);
            assert_eq!(samples, pushed(&entries), "{count}");
            assert_eq!(samples.is_sketch(), count > SAMPLE_LIMIT);
        }
        assert!(Samples::from_values(vec![-0.0]).min().is_sign_positive());
    }

    #[test]
    fn every_statistic_of_an_empty_set_is_zero() {
        for compressed in [false, true] {
            let mut empty = Samples::new();
            if compressed {
                empty.compress();
            }
            assert!(empty.is_empty());
            assert_eq!(
                [empty.count(), empty.sum(), empty.min(), empty.max(), empty.avg(), empty.ranked().median()],
                [0.0; 6]
            );
            assert_eq!((empty.sample_count(), empty.len(), empty.iter().count()), (0, 0, 0));
        }
    }

    #[test]
    fn one_sample_above_the_limit_makes_a_sketch_and_keeps_the_summary_exact() {
        let values = |last: usize| (1..=last).map(|value| (value as f64, 1.0)).collect::<Vec<_>>();
        let full = pushed(&values(SAMPLE_LIMIT));
        assert!(!full.is_sketch());
        let over = pushed(&values(SAMPLE_LIMIT + 1));
        assert!(over.is_sketch());
        assert_eq!((over.count(), over.min(), over.max()), (4097.0, 1.0, 4097.0));
        assert_eq!((over.sum(), over.avg()), (4097.0 * 2049.0, 2049.0));
        assert!(over.bytes() < full.bytes() / 3, "{} of {} bytes", over.bytes(), full.bytes());
        let mut merged = full;
        merged.merge(&pushed(&[(4097.0, 1.0)]));
        assert_eq!(merged, over);
    }

    #[test]
    fn a_sketch_of_one_value_is_that_value() {
        for value in [7.0, -7.0, 1e-12, 5e-324, f64::MAX, -f64::MAX] {
            let mut samples = pushed(&[(value, 1.0)]);
            samples.compress();
            assert_eq!(samples.iter().collect::<Vec<_>>(), [(value, 1.0)]);
            assert_eq!([samples.ranked().median(), samples.avg()], [value; 2]);
        }
    }

    #[test]
    fn extreme_values_and_weights_saturate() {
        for compressed in [false, true] {
            let mut samples = Samples::new();
            if compressed {
                samples.compress();
            }
            for (value, weight) in [(f64::MAX, f64::MAX), (-f64::MAX, f64::MAX), (1.0, 5e-324), (5e-324, 1.0)] {
                assert!(samples.push(value, weight));
            }
            assert_eq!((samples.count(), samples.min(), samples.max()), (f64::MAX, -f64::MAX, f64::MAX));
            let mut doubled = samples.clone();
            doubled.merge(&samples);
            for samples in [samples, doubled] {
                assert!(
                    [samples.sum(), samples.avg(), samples.ranked().median()].iter().all(|value| value.is_finite())
                );
            }
        }
    }

    #[test]
    fn an_exact_set_that_is_cleared_keeps_its_memory_and_a_sketch_becomes_exact_again() {
        let mut samples = pushed(&[(1.0, 2.0); 100]);
        let bytes = samples.bytes();
        samples.clear();
        assert_eq!((&samples, samples.bytes()), (&Samples::new(), bytes));

        samples.push(1.0, 1.0);
        samples.compress();
        samples.clear();
        assert_eq!((&samples, samples.bytes()), (&Samples::new(), size_of::<Samples>()));
    }

    #[test]
    fn taking_moves_the_samples_out_and_leaves_no_memory_behind() {
        let mut samples = pushed(&[(1.0, 2.0)]);
        assert_eq!(samples.take(), pushed(&[(1.0, 2.0)]));
        assert_eq!((&samples, samples.bytes()), (&Samples::new(), size_of::<Samples>()));
    }

    #[test]
    fn memory_is_counted_by_capacity_and_can_be_given_back() {
        let mut samples = pushed(&[(1.0, 1.0); 1000]);
        assert!(samples.bytes() > size_of::<Samples>() + 1000 * 8);
        samples.shrink_to_fit();
        assert_eq!(samples.bytes(), size_of::<Samples>() + 1000 * 8);
        samples.compress();
        samples.shrink_to_fit();
        assert_eq!(samples.bytes(), size_of::<Samples>() + 12);
    }

    /// Values as clients send them, with the weights of common sample rates.
    fn entries(most: usize) -> impl Strategy<Value = Vec<(f64, f64)>> {
        let value = prop_oneof![-1e9..1e9_f64, 1e-9..1.0_f64, (0..50_i32).prop_map(f64::from)];
        let weight = prop_oneof![Just(1.0), Just(10.0), Just(1.0 / 0.3)];
        proptest::collection::vec((value, weight), 1..most)
    }

    proptest! {
        #[test]
        fn the_summary_is_exact_in_both_forms(entries in entries(300)) {
            let mut samples = pushed(&entries);
            let count: f64 = entries.iter().map(|&(_, weight)| weight).sum();
            let sum: f64 = entries.iter().map(|&(value, weight)| value * weight).sum();
            let magnitude: f64 = entries.iter().map(|&(value, weight)| (value * weight).abs()).sum();
            let (min, max) = entries.iter().fold((f64::MAX, f64::MIN), |(min, max), &(v, _)| (v.min(min), v.max(max)));
            for _ in 0..2 {
                prop_assert!((samples.count() - count).abs() <= count * 1e-12);
                prop_assert!((samples.sum() - sum).abs() <= magnitude * 1e-12);
                prop_assert_eq!((samples.min(), samples.max()), (min, max));
                prop_assert_eq!(samples.sample_count(), entries.len() as u64);
                prop_assert!((samples.iter().map(|(_, weight)| weight).sum::<f64>() - count).abs() <= count * 1e-12);
                samples.compress();
            }
        }

        #[test]
        fn a_sketch_has_the_percentiles_of_the_samples_within_one_part_in_128(
            entries in entries(300),
            any in 0..=10_000_u16,
        ) {
            let mut samples = pushed(&entries);
            let exact = samples.ranked();
            samples.compress();
            let sketch = samples.ranked();
            for fraction in [f64::from(any) / 10_000.0, 0.0, 0.5, 0.95, 0.99, 1.0] {
                let (expected, found) = (exact.at(fraction), sketch.at(fraction));
                prop_assert!((found - expected).abs() <= expected.abs() / 128.0 + 1e-9, "{fraction}: {expected} became {found}");
            }
        }

        #[test]
        fn merging_exact_sets_keeps_every_sample(left in entries(100), right in entries(100)) {
            let mut merged = pushed(&left);
            merged.merge(&pushed(&right));
            prop_assert!(!merged.is_sketch());
            let all = [left, right].concat();
            prop_assert_eq!(merged.iter().collect::<Vec<_>>(), all.clone());
            prop_assert!((merged.count() - pushed(&all).count()).abs() <= merged.count() * 1e-12);
        }

        #[test]
        fn merging_where_one_is_a_sketch_gives_the_bins_of_pushing_all(
            left in entries(100),
            right in entries(100),
            compress: (bool, bool),
        ) {
            let [mut left, mut right] = [left, right].map(|entries| {
                pushed(&entries.into_iter().map(|(value, weight)| (value, f64::floor(weight))).collect::<Vec<_>>())
            });
            let mut all = pushed(&left.iter().chain(right.iter()).collect::<Vec<_>>());
            all.compress();
            if compress.0 {
                left.compress();
            }
            if compress.1 || !compress.0 {
                right.compress();
            }
            left.merge(&right);
            prop_assert_eq!(left.iter().collect::<Vec<_>>(), all.iter().collect::<Vec<_>>());
            prop_assert_eq!((left.count(), left.min(), left.max()), (all.count(), all.min(), all.max()));
        }
    }
}
