//! The exponential histogram of the OTLP data model.

use super::bucket_index::bucket_index;
use super::buckets::{Buckets, Span};
use super::compensated_sum::saturate;
use super::samples::Samples;
use super::whole_counts::{whole_count, whole_counts};

/// An exponential histogram as OTLP has it: bucket `i` of [`positive`](Self::positive) counts the values in
/// `(base^i, base^(i+1)]` with base `2^(2^-scale)`, [`negative`](Self::negative) likewise by magnitude. The zero
/// threshold is 0. The default is empty, at the finest scale.
#[derive(Clone, Debug, PartialEq)]
pub struct ExponentialHistogram {
    /// The resolution: the relative error is `(base - 1) / (base + 1)`, 4.3 % at scale 3.
    pub scale: i32,
    /// How many samples are 0.
    pub zero_count: u64,
    /// The samples above 0.
    pub positive: Buckets,
    /// The samples below 0, by magnitude.
    pub negative: Buckets,
    /// How many samples there are: the zeros and all the buckets.
    pub count: u64,
    /// The weighted sum of the samples.
    pub sum: f64,
    /// The smallest sample, exact; 0 while there is none.
    pub min: f64,
    /// The largest sample, exact; 0 while there is none.
    pub max: f64,
}

impl Default for ExponentialHistogram {
    fn default() -> Self {
        ExponentialHistogram {
            scale: Self::MAX_SCALE,
            zero_count: 0,
            positive: Buckets::default(),
            negative: Buckets::default(),
            count: 0,
            sum: 0.0,
            min: 0.0,
            max: 0.0,
        }
    }
}

impl ExponentialHistogram {
    /// The default of the OpenTelemetry SDKs for the most buckets of one sign.
    pub const DEFAULT_MAX_SIZE: usize = 160;
    /// The finest scale, and that of a single value (OpenTelemetry SDK).
    pub const MAX_SCALE: i32 = 20;
    /// The coarsest scale (OpenTelemetry SDK).
    pub const MIN_SCALE: i32 = -10;
    /// A smaller limit of buckets counts as this one. At [`MIN_SCALE`](Self::MIN_SCALE) a bucket covers 1,024 powers of
    /// two, and floats reach from 2^−1074 (index −2) to below 2^1024 (index 0): whatever the samples are, they fit
    /// into three buckets there.
    pub const MIN_MAX_SIZE: usize = 3;

    /// The histogram of some samples, at the finest scale with at most `max_size` buckets of either sign.
    ///
    /// Weights are rounded: the total once, the buckets with what is left of one carried to the next, so that zeros and
    /// buckets add up to the count. A set that is not empty counts at least 1, and at most
    /// [`WHOLE_COUNT_LIMIT`](super::WHOLE_COUNT_LIMIT). A bin of a sketch goes where its value is.
    pub fn from_samples(samples: &Samples, max_size: usize) -> Self {
        let entries: Vec<(f64, f64)> = samples.iter().collect();
        let finest = SIGNS.map(|sign| finest_span(&entries, sign));
        let steps = steps_to_fit(finest, max_size);
        let scale = Self::MAX_SCALE - steps as i32;
        let [positive, negative] = finest.map(|span| span.map(|span| span.downscaled(steps)));

        let zeros = entries.iter().filter(|(value, _)| *value == 0.0).map(|(_, weight)| weight).sum();
        let weights = std::iter::once(zeros)
            .chain(bucket_weights(&entries, SIGNS[0], positive, scale))
            .chain(bucket_weights(&entries, SIGNS[1], negative, scale));
        let mut counts = whole_counts(weights, samples.count()).into_iter();
        ExponentialHistogram {
            scale,
            zero_count: counts.next().unwrap_or(0),
            positive: next_buckets(&mut counts, positive),
            negative: next_buckets(&mut counts, negative),
            count: whole_count(samples.count()),
            sum: samples.sum(),
            min: samples.min(),
            max: samples.max(),
        }
    }

    /// Adds another histogram, as a cumulative stream does with each window, at the finest scale that both have and that
    /// fits into `max_size` buckets of either sign. No count moves to another bucket than that of its samples at that
    /// scale, so the result is the histogram of all of them. Counts saturate.
    pub fn merge(&mut self, other: &Self, max_size: usize) {
        let shared_scale = self.scale.min(other.scale);
        let mine = steps_between(self.scale, shared_scale);
        let theirs = steps_between(other.scale, shared_scale);
        let union = |mine_side: &Buckets, their_side: &Buckets| {
            let mine = mine_side.span().map(|span| span.downscaled(mine));
            let theirs = their_side.span().map(|span| span.downscaled(theirs));
            mine.map(|span| span.union(theirs)).or(theirs)
        };
        let spans = [union(&self.positive, &other.positive), union(&self.negative, &other.negative)];
        let steps = steps_to_fit(spans, max_size);

        self.positive.downscale(mine + steps);
        self.negative.downscale(mine + steps);
        self.positive.add(&other.positive, theirs + steps);
        self.negative.add(&other.negative, theirs + steps);
        self.scale = shared_scale.saturating_sub_unsigned(steps);
        self.merge_summary(other);
    }

    fn merge_summary(&mut self, other: &Self) {
        if other.count > 0 {
            let empty = self.count == 0;
            self.min = if empty { other.min } else { self.min.min(other.min) };
            self.max = if empty { other.max } else { self.max.max(other.max) };
        }
        self.zero_count = self.zero_count.saturating_add(other.zero_count);
        self.count = self.count.saturating_add(other.count);
        self.sum = saturate(self.sum + other.sum);
    }

    /// Makes the scale `steps` coarser, at most to [`MIN_SCALE`](Self::MIN_SCALE): exactly the histogram of the same
    /// samples at that scale.
    pub fn downscale(&mut self, steps: u32) {
        let steps = steps.min(steps_between(self.scale, Self::MIN_SCALE));
        self.positive.downscale(steps);
        self.negative.downscale(steps);
        self.scale = self.scale.saturating_sub_unsigned(steps);
    }
}

/// The signs of the two sides: positive first.
const SIGNS: [f64; 2] = [1.0, -1.0];

/// The magnitudes of the values with this sign, with their weights.
fn magnitudes(entries: &[(f64, f64)], sign: f64) -> impl Iterator<Item = (f64, f64)> {
    entries.iter().map(move |&(value, weight)| (value * sign, weight)).filter(|&(magnitude, _)| magnitude > 0.0)
}

/// The buckets that one side takes at the finest scale. Those of all others follow from them by shifting.
fn finest_span(entries: &[(f64, f64)], sign: f64) -> Option<Span> {
    let (smallest, largest) = magnitudes(entries, sign).fold((f64::INFINITY, 0.0_f64), |(smallest, largest), entry| {
        let (magnitude, _) = entry;
        (magnitude.min(smallest), magnitude.max(largest))
    });
    let index = |magnitude| i64::from(bucket_index(magnitude, ExponentialHistogram::MAX_SCALE));
    (largest > 0.0).then(|| Span { first: index(smallest), last: index(largest) })
}

/// The weight of each bucket of one side.
fn bucket_weights(entries: &[(f64, f64)], sign: f64, span: Option<Span>, scale: i32) -> Vec<f64> {
    let Some(span) = span else {
        return Vec::new();
    };
    let mut weights = vec![0.0; span.len()];
    for (magnitude, weight) in magnitudes(entries, sign) {
        weights[span.position(bucket_index(magnitude, scale).into(), 0)] += weight;
    }
    weights
}

/// The buckets of one side, with the counts that come next.
fn next_buckets(counts: &mut impl Iterator<Item = u64>, span: Option<Span>) -> Buckets {
    span.map_or_else(Buckets::default, |span| Buckets {
        offset: span.first as i32,
        counts: counts.take(span.len()).collect(),
    })
}

/// How much coarser the scale must be for both sides to fit.
fn steps_to_fit(sides: [Option<Span>; 2], max_size: usize) -> u32 {
    let max_size = max_size.max(ExponentialHistogram::MIN_MAX_SIZE);
    sides.into_iter().flatten().map(|span| span.steps_to_fit(max_size)).max().unwrap_or(0)
}

/// How many steps the one scale is finer than the other; 0 if it is coarser. More than 32 move every index to −1 or 0.
fn steps_between(finer: i32, coarser: i32) -> u32 {
    finer.saturating_sub(coarser).clamp(0, i32::BITS as i32) as u32
}

#[cfg(test)]
mod tests {
    use super::super::bucket_index::lower_bound;
    use super::*;
    use proptest::prelude::*;

    const SIZE: usize = ExponentialHistogram::DEFAULT_MAX_SIZE;

    fn samples(entries: &[(f64, f64)]) -> Samples {
        let mut samples = Samples::new();
        entries.iter().for_each(|&(value, weight)| assert!(samples.push(value, weight)));
        samples
    }

    fn histogram(values: &[f64]) -> ExponentialHistogram {
        let entries: Vec<_> = values.iter().map(|&value| (value, 1.0)).collect();
        ExponentialHistogram::from_samples(&samples(&entries), SIZE)
    }

    fn total(histogram: &ExponentialHistogram) -> u64 {
        histogram.zero_count + histogram.positive.total() + histogram.negative.total()
    }

    #[test]
    fn a_single_value_has_the_finest_scale_and_one_bucket() {
        for value in [1e-3, 1.0, 3.0, f64::MAX, f64::MIN_POSITIVE, 5e-324] {
            let histogram = histogram(&[value]);
            assert_eq!(histogram.scale, 20, "{value}");
            assert_eq!(histogram.positive.counts, [1], "{value}");
        }
    }

    #[test]
    fn one_millisecond_to_thirty_seconds_fit_scale_3_in_160_buckets() {
        for unit in [0.001, 1.0] {
            let histogram = histogram(&[unit, 30_000.0 * unit]);
            assert_eq!(histogram.scale, 3);
            assert!(histogram.positive.counts.len() > SIZE / 2);
        }
    }

    #[test]
    fn powers_of_two_are_the_upper_bounds_of_their_buckets() {
        let histogram = histogram(&[1.0, 2.0, 4.0, 2_f64.powi(159)]);
        assert_eq!((histogram.scale, histogram.positive.offset), (0, -1));
        assert_eq!(histogram.positive.counts.len(), 160);
        assert_eq!(histogram.positive.counts[..4], [1, 1, 1, 0]);
    }

    #[test]
    fn all_floats_fit_and_fit_into_three_buckets() {
        let extremes = [f64::MAX, f64::MIN_POSITIVE, 5e-324, 1.5, -f64::MAX, -5e-324, 0.0, -0.0];
        let entries = extremes.map(|value| (value, 1.0));
        let default = ExponentialHistogram::from_samples(&samples(&entries), SIZE);
        assert_eq!((default.scale, default.zero_count, total(&default)), (-4, 2, 8));
        for max_size in 0..=3 {
            let histogram = ExponentialHistogram::from_samples(&samples(&entries), max_size);
            assert_eq!(histogram.scale, ExponentialHistogram::MIN_SCALE);
            assert_eq!((histogram.positive.offset, histogram.positive.counts), (-2, vec![1, 1, 2]));
        }
    }

    #[test]
    fn signs_and_zeros_are_kept_apart() {
        let histogram = histogram(&[-2.0, 0.0, -0.0, 2.0, 2.0]);
        assert_eq!((histogram.count, histogram.zero_count), (5, 2));
        assert_eq!((histogram.positive.counts, histogram.negative.counts), (vec![2], vec![1]));
        assert_eq!((histogram.min, histogram.max, histogram.sum), (-2.0, 2.0, 2.0));
    }

    #[test]
    fn an_empty_set_is_an_empty_histogram_that_merges_away() {
        let empty = histogram(&[]);
        assert_eq!(empty, ExponentialHistogram::default());
        let one = histogram(&[-7.0]);
        let mut merged = empty.clone();
        merged.merge(&one, SIZE);
        assert_eq!(merged, one);
        merged.merge(&empty, SIZE);
        assert_eq!(merged, one);
    }

    #[test]
    fn a_tenth_of_the_samples_counts_tenfold_and_fractions_are_carried() {
        let tenth = ExponentialHistogram::from_samples(&samples(&[(1.0, 10.0), (4.0, 10.0)]), SIZE);
        assert_eq!((tenth.count, tenth.positive.total(), tenth.sum), (20, 20, 50.0));
        let weight = 1.0 / 0.3;
        let entries = [(-1.0, weight), (0.0, weight), (1.0, weight), (64.0, weight)];
        let fractional = ExponentialHistogram::from_samples(&samples(&entries), SIZE);
        assert_eq!((fractional.count, total(&fractional)), (13, 13));
    }

    #[test]
    fn foreign_histograms_merge_without_overflow() {
        let foreign = |scale, offset| ExponentialHistogram {
            scale,
            positive: Buckets { offset, counts: vec![u64::MAX; 3] },
            count: u64::MAX,
            sum: f64::MAX,
            ..ExponentialHistogram::default()
        };
        for (left, right) in [(i32::MIN, i32::MAX), (i32::MAX, i32::MIN), (0, 0), (20, -11), (-11, 20)] {
            for (left_offset, right_offset) in [(i32::MIN, i32::MAX), (i32::MAX, i32::MIN), (-1, 0)] {
                let mut merged = foreign(left, left_offset);
                merged.merge(&foreign(right, right_offset), 0);
                assert!(merged.positive.counts.len() <= 3);
                assert_eq!((merged.count, merged.sum), (u64::MAX, f64::MAX));
                merged.downscale(u32::MAX);
            }
        }
    }

    /// Magnitudes over many octaves, of both signs, with zeros and powers of two.
    fn values() -> impl Strategy<Value = Vec<f64>> {
        let magnitude = prop_oneof![
            8 => (-30.0..30.0_f64).prop_map(f64::exp2),
            1 => (-30..30_i32).prop_map(|exponent| 2_f64.powi(exponent)),
            1 => Just(0.0),
        ];
        let value =
            (magnitude, any::<bool>()).prop_map(|(magnitude, minus)| if minus { -magnitude } else { magnitude });
        proptest::collection::vec(value, 0..60)
    }

    proptest! {
        #[test]
        fn each_value_lies_within_the_bounds_of_a_counted_bucket(values in values()) {
            let histogram = histogram(&values);
            prop_assert!(histogram.positive.counts.len().max(histogram.negative.counts.len()) <= SIZE);
            for value in values.into_iter().filter(|value| *value != 0.0) {
                let side = if value > 0.0 { &histogram.positive } else { &histogram.negative };
                let holds = |index| {
                    let within = lower_bound(index, histogram.scale) < value.abs();
                    within && value.abs() <= lower_bound(index + 1, histogram.scale)
                };
                let bucket = (side.offset..).zip(&side.counts).find(|&(index, _)| holds(index));
                prop_assert!(bucket.is_some_and(|(_, &count)| count > 0), "{value} has no bucket");
            }
        }

        #[test]
        fn zeros_and_buckets_add_up_to_the_count_from_exact_samples_and_from_a_sketch(
            entries in proptest::collection::vec((-1e6..1e6_f64, 0.5..50.0_f64), 0..200),
            max_size in 0..200_usize,
        ) {
            let mut samples = samples(&entries);
            let expected = if entries.is_empty() { 0 } else { (samples.count().round() as u64).max(1) };
            for _ in 0..2 {
                let histogram = ExponentialHistogram::from_samples(&samples, max_size);
                prop_assert_eq!(histogram.count, expected);
                prop_assert_eq!(total(&histogram), expected);
                samples.compress();
            }
        }

        #[test]
        fn a_downscaled_histogram_is_the_one_built_at_that_scale(values in values(), max_size in 3..160_usize) {
            let entries: Vec<_> = values.iter().map(|&value| (value, 1.0)).collect();
            let coarse = ExponentialHistogram::from_samples(&samples(&entries), max_size);
            let mut fine = ExponentialHistogram::from_samples(&samples(&entries), 16_384);
            fine.downscale((fine.scale - coarse.scale) as u32);
            prop_assert_eq!(fine, coarse);
        }

        #[test]
        fn merging_windows_gives_the_histogram_of_all_their_samples(
            windows in proptest::collection::vec(values(), 1..12),
            max_size in 3..160_usize,
        ) {
            let mut cumulative = ExponentialHistogram::default();
            let mut all = Samples::new();
            for values in &windows {
                let window = samples(&values.iter().map(|&value| (value, 1.0)).collect::<Vec<_>>());
                cumulative.merge(&ExponentialHistogram::from_samples(&window, max_size), max_size);
                all.merge(&window);
            }
            let mut expected = ExponentialHistogram::from_samples(&all, max_size);
            prop_assert!((cumulative.sum - expected.sum).abs() <= 1e-2);
            expected.sum = cumulative.sum;
            prop_assert_eq!(cumulative, expected);
        }
    }
}
