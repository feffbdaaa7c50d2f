//! The sketch that the Datadog Agent sends for a distribution.

use super::agent_mapping::{INFINITY_KEY, agent_keys};
use super::samples::Samples;
use super::whole_counts::{whole_count, whole_counts};

/// How many samples are sorted by their ranks.
const FEW: usize = 32;

/// A sketch as the Datadog intake takes it (`Dogsketch` of `/api/beta/sketches`), without its timestamp.
///
/// Count and bins are whole, so weights are rounded: the total once, the bins with what is left of one carried to the
/// next, so that `counts` adds up to `count`. A set that is not empty counts at least 1, and at most
/// [`WHOLE_COUNT_LIMIT`](super::WHOLE_COUNT_LIMIT); above that all bins are scaled down alike.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentSketch {
    /// How many samples there were.
    pub count: i64,
    /// The smallest sample, exact.
    pub min: f64,
    /// The largest sample, exact.
    pub max: f64,
    /// The weighted mean, exact.
    pub avg: f64,
    /// The weighted sum, exact.
    pub sum: f64,
    /// Keys of the bins, ascending, from −32,767 to 32,767. A bin above `u32::MAX` is sent as several with the same key.
    pub keys: Vec<i32>,
    /// Counts of the bins, none of them 0.
    pub counts: Vec<u32>,
}

impl From<&Samples> for AgentSketch {
    fn from(samples: &Samples) -> Self {
        let mut result = AgentSketch {
            count: whole_count(samples.count()) as i64,
            min: samples.min(),
            max: samples.max(),
            avg: samples.avg(),
            sum: samples.sum(),
            keys: Vec::with_capacity(samples.len()),
            counts: Vec::with_capacity(samples.len()),
        };
        if let Some(values) = samples.unweighted() {
            result.count_keys(values);
            return result;
        }
        let sketch = samples.sketch();
        let counts = whole_counts(sketch.bins().map(|(_, weight)| weight), samples.count());
        for ((key, _), count) in sketch.bins().zip(counts) {
            let limit = i32::from(INFINITY_KEY);
            result.push(key.clamp(-limit, limit), count);
        }
        result
    }
}

impl AgentSketch {
    /// Adds a bin for each key of some values. What clients that do not sample send needs no weights and no rounding, which
    /// saves most of the time. ([`SAMPLE_LIMIT`](super::SAMPLE_LIMIT) values are never too many bins.)
    fn count_keys(&mut self, values: &[f64]) {
        if values.len() <= FEW {
            return self.count_few_keys(values);
        }
        let mut keys = vec![0; values.len()];
        agent_keys(values, &mut keys);
        keys.sort_unstable();
        for equal in keys.chunk_by(i16::eq) {
            self.keys.push(equal[0].into());
            self.counts.push(equal.len() as u32);
        }
    }

    /// The same for up to [`FEW`] values, by the rank of each key: how many others are smaller, so that equal keys have one
    /// rank. Each is compared with each, eight at a time and without a branch that the processor could foresee only
    /// by chance; to sort twenty keys takes three times as long.
    fn count_few_keys(&mut self, values: &[f64]) {
        let mut keys = [0; FEW];
        agent_keys(values, &mut keys);
        let known = &keys[..values.len()];
        let (mut bins, mut counts) = ([0; FEW], [0; FEW]);
        for (lane, wanted) in keys.as_chunks::<8>().0.iter().zip(known.chunks(8)) {
            let mut ranks = [0_i16; 8];
            for &other in known {
                for (rank, &key) in ranks.iter_mut().zip(lane) {
                    *rank += i16::from(other < key);
                }
            }
            for (&key, &rank) in wanted.iter().zip(&ranks) {
                let rank = rank as usize % FEW;
                bins[rank] = key.into();
                counts[rank] += 1;
            }
        }
        // Equal keys leave gaps behind them.
        let mut filled = 0;
        for rank in 0..known.len() {
            let count = counts[rank];
            (bins[filled], counts[filled]) = (bins[rank], count);
            filled += usize::from(count > 0);
        }
        self.keys.extend_from_slice(&bins[..filled]);
        self.counts.extend_from_slice(&counts[..filled]);
    }

    /// Adds a bin, in several with the same key where the count needs it: the rest first, then full ones (Agent,
    /// `appendSafe`).
    fn push(&mut self, key: i32, count: u64) {
        let full = u64::from(u32::MAX);
        let rest = (count % full) as u32;
        let counts = std::iter::once(rest).filter(|&rest| rest > 0).chain((0..count / full).map(|_| u32::MAX));
        self.counts.extend(counts);
        self.keys.resize(self.counts.len(), key);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::distribution::WHOLE_COUNT_LIMIT;
    use crate::distribution::agent_mapping;
    use proptest::prelude::*;

    fn sketch(entries: &[(f64, f64)]) -> AgentSketch {
        let mut samples = Samples::new();
        for &(value, weight) in entries {
            assert!(samples.push(value, weight));
        }
        AgentSketch::from(&samples)
    }

    fn total(sketch: &AgentSketch) -> i64 {
        sketch.counts.iter().map(|&count| i64::from(count)).sum()
    }

    #[test]
    fn whole_numbers_have_the_agents_summary_and_keys() {
        let sketch = sketch(&(1..=20).rev().map(|value| (f64::from(value), 1.0)).collect::<Vec<_>>());
        assert_eq!((sketch.count, sketch.min, sketch.max), (20, 1.0, 20.0));
        assert_eq!((sketch.sum, sketch.avg), (210.0, 10.5));
        assert_eq!(sketch.counts, [1; 20]);
        assert_eq!((sketch.keys[0], sketch.keys[1], sketch.keys[9]), (1338, 1383, 1487));
    }

    #[test]
    fn fractional_weights_are_rounded_once_and_carried() {
        let sketch = sketch(&[(10.0, 1.0 / 0.3), (20.0, 1.0 / 0.3)]);
        assert_eq!((sketch.count, sketch.avg), (7, 15.0));
        assert_eq!((sketch.keys, sketch.counts), (vec![1487, 1531], vec![3, 4]));
    }

    #[test]
    fn a_bin_too_large_for_the_wire_is_split_into_bins_of_the_same_key() {
        let full = f64::from(u32::MAX);
        let cases = [(full, vec![u32::MAX]), (full + 1.0, vec![1, u32::MAX]), (2.0 * full, vec![u32::MAX; 2])];
        for (weight, counts) in cases {
            let sketch = sketch(&[(1.0, weight)]);
            assert_eq!(sketch.keys, vec![1338; counts.len()]);
            assert_eq!(sketch.counts, counts);
            assert_eq!(total(&sketch), sketch.count);
        }
    }

    #[test]
    fn absurd_weights_are_scaled_down_in_proportion() {
        let sketch = sketch(&[(1.0, 3e300), (2.0, 1e300)]);
        assert_eq!(sketch.count as u64, WHOLE_COUNT_LIMIT);
        assert_eq!(total(&sketch), sketch.count);
        assert_eq!(sketch.avg, 1.25);
        assert_eq!(sketch.keys.iter().filter(|&&key| key == 1383).count(), 1024);
        assert!(sketch.keys.len() <= 2 * 4096);
    }

    #[test]
    fn magnitudes_beyond_the_agents_last_key_share_its_infinity() {
        let sketch = sketch(&[(-f64::MAX, 1.0), (1e300, 1.0), (f64::MAX, 1.0), (0.0, 1.0), (5e-324, 1.0)]);
        assert_eq!(sketch.keys, [-32767, 0, 32767]);
        assert_eq!(sketch.counts, [1, 2, 2]);
        assert_eq!((sketch.min, sketch.max), (-f64::MAX, f64::MAX));
    }

    #[test]
    fn an_empty_set_is_an_empty_sketch() {
        assert_eq!(sketch(&[]), AgentSketch::default());
    }

    proptest! {
        #[test]
        fn the_bins_of_any_number_of_samples_are_their_keys_in_order_with_how_many_share_each(
            values in proptest::collection::vec(prop_oneof![-9..9_i32, -99_999..99_999], 1..3 * FEW),
        ) {
            let values: Vec<f64> = values.into_iter().map(|value| f64::from(value) / 8.0).collect();
            let mut expected = BTreeMap::new();
            values.iter().for_each(|&value| *expected.entry(agent_mapping::key(value)).or_default() += 1);
            let sketch = AgentSketch::from(&Samples::from_values(values));
            prop_assert_eq!(sketch.keys, expected.keys().copied().collect::<Vec<i32>>());
            prop_assert_eq!(sketch.counts, expected.values().copied().collect::<Vec<u32>>());
        }

        #[test]
        fn bins_add_up_to_the_count_from_exact_samples_and_from_a_sketch(
            entries in proptest::collection::vec((-1e6..1e6_f64, 0.5..50.0_f64), 0..200),
            is_sampled: bool,
        ) {
            let weight = |weight| if is_sampled { weight } else { 1.0 };
            let entries: Vec<_> = entries.into_iter().map(|(value, at)| (value, weight(at))).collect();
            let mut samples = Samples::new();
            entries.iter().for_each(|&(value, weight)| assert!(samples.push(value, weight)));
            let from_exact = AgentSketch::from(&samples);
            prop_assert_eq!(total(&from_exact), from_exact.count);
            prop_assert_eq!(from_exact.count, samples.count().round() as i64);
            prop_assert!(from_exact.keys.is_sorted());
            samples.compress();
            prop_assert_eq!(AgentSketch::from(&samples), from_exact);
        }
    }
}
