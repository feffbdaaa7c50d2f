//! Samples summed up in bins of the Datadog Agent's mapping, with float weights.

use super::agent_mapping;

/// The most bins that a sketch keeps (Agent, `binLimit`). Beyond it the lowest ones become one.
pub(super) const BIN_LIMIT: usize = 4096;

/// Bins in ascending order of key, each key once.
///
/// A sorted list instead of an array over the range of keys: a series has a few hundred keys (1 ms to 30 s are 665),
/// but one stray value may lie tens of thousands of keys away, and a sketch exists to save memory. A known key costs a
/// binary search in keys that lie apart from the weights (16 KiB at most, so in the first-level cache); a new one
/// also moves the bins above it, at most once per key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sketch {
    keys: Vec<i32>,
    weights: Vec<f64>,
}

impl Sketch {
    /// The sketch of some values with their weights.
    pub(super) fn from_entries(entries: impl Iterator<Item = (f64, f64)>) -> Self {
        Self::from_keyed(entries.map(|(value, weight)| (agent_mapping::key(value), weight)).collect())
    }

    fn from_keyed(mut bins: Vec<(i32, f64)>) -> Self {
        // Stable, so that equal keys add up in the order of arrival; and linear where sorted lists follow each other.
        bins.sort_by_key(|&(key, _)| key);
        bins.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 = saturating_add(kept.1, later.1);
            }
            same
        });
        if bins.len() > BIN_LIMIT {
            let excess = bins.len() - BIN_LIMIT;
            let collapsed = bins[..=excess].iter().map(|&(_, weight)| weight).fold(0.0, saturating_add);
            bins.drain(..excess);
            bins[0].1 = collapsed;
        }
        let (keys, weights) = bins.into_iter().unzip();
        Sketch { keys, weights }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Adds one value.
    #[inline]
    pub(super) fn add(&mut self, value: f64, weight: f64) {
        let key = agent_mapping::key(value);
        match self.keys.binary_search(&key) {
            Ok(index) => self.weights[index] = saturating_add(self.weights[index], weight),
            Err(index) => self.add_bin(index, key, weight),
        }
    }

    fn add_bin(&mut self, index: usize, key: i32, weight: f64) {
        if self.len() < BIN_LIMIT {
            self.keys.insert(index, key);
            self.weights.insert(index, weight);
        } else if index == 0 {
            self.weights[0] = saturating_add(self.weights[0], weight);
        } else {
            // The lowest bin makes room, and what it held goes to the one that is then lowest.
            let collapsed = self.weights[0];
            self.keys.copy_within(1..index, 0);
            self.weights.copy_within(1..index, 0);
            self.keys[index - 1] = key;
            self.weights[index - 1] = weight;
            self.weights[0] = saturating_add(self.weights[0], collapsed);
        }
    }

    /// Adds another sketch; the result is that of all the values added to one.
    pub(super) fn merge(&mut self, other: &Sketch) {
        *self = Self::from_keyed(self.bins().chain(other.bins()).collect());
    }

    /// Keys and weights, in ascending order of key.
    pub(super) fn bins(&self) -> impl Iterator<Item = (i32, f64)> {
        self.keys.iter().copied().zip(self.weights.iter().copied())
    }

    /// The value that a bin stands for and its weight, at an index below [`len`](Self::len). Values ascend.
    pub(super) fn entry(&self, index: usize) -> (f64, f64) {
        (agent_mapping::value(self.keys[index]), self.weights[index])
    }

    /// The keys, ascending, and a weight for each.
    pub(super) fn parts(&self) -> (&[i32], &[f64]) {
        (&self.keys, &self.weights)
    }

    /// Made again of its [`parts`](Self::parts).
    pub(super) fn from_parts(keys: Vec<i32>, weights: Vec<f64>) -> Self {
        Sketch { keys, weights }
    }

    pub(super) fn shrink_to_fit(&mut self) {
        self.keys.shrink_to_fit();
        self.weights.shrink_to_fit();
    }

    /// The heap memory held, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.keys.capacity() * size_of::<i32>() + self.weights.capacity() * size_of::<f64>()
    }
}

#[inline]
fn saturating_add(a: f64, b: f64) -> f64 {
    (a + b).min(f64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pushed(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|&value| sketch.add(value, 1.0));
        sketch
    }

    /// Values whose keys are the given ones.
    fn values_of(keys: impl Iterator<Item = i32>) -> Vec<f64> {
        keys.map(agent_mapping::value).collect()
    }

    #[test]
    fn the_bin_above_the_limit_collapses_the_lowest_into_the_next() {
        let sketch = pushed(&values_of(1..=BIN_LIMIT as i32 + 2));
        assert_eq!(sketch.len(), BIN_LIMIT);
        assert_eq!(sketch.bins().next(), Some((3, 3.0)));
        assert_eq!(sketch.bins().last(), Some((BIN_LIMIT as i32 + 2, 1.0)));
    }

    #[test]
    fn at_the_limit_the_order_of_arrival_does_not_matter() {
        let ascending = values_of(-2500..2500);
        let descending = values_of((-2500..2500).rev());
        let mixed = values_of((0..5000).map(|step| (step * 1777) % 5000 - 2500));
        let expected = Sketch::from_entries(ascending.iter().map(|&value| (value, 1.0)));
        for values in [ascending, descending, mixed] {
            assert_eq!(pushed(&values), expected);
        }
    }

    #[test]
    fn a_bin_that_overflows_saturates() {
        let mut sketch = Sketch::default();
        sketch.add(1.0, f64::MAX);
        sketch.add(1.0, f64::MAX);
        assert_eq!(sketch.bins().collect::<Vec<_>>(), [(1338, f64::MAX)]);
    }

    proptest! {
        #[test]
        fn merging_gives_the_bins_of_pushing_all(
            left in proptest::collection::vec(-1e9..1e9_f64, 0..300),
            right in proptest::collection::vec(-1e3..1e3_f64, 0..300),
        ) {
            let mut merged = pushed(&left);
            merged.merge(&pushed(&right));
            let all = [left, right].concat();
            prop_assert_eq!(&merged, &pushed(&all));
            prop_assert_eq!(merged, Sketch::from_entries(all.into_iter().map(|value| (value, 1.0))));
        }
    }
}
