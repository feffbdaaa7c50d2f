//! Every sample as it came.

/// Values with their weights, in the order of arrival.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Exact {
    values: Vec<f64>,
    /// Empty while every weight is 1, which halves the memory of clients that do not sample.
    weights: Vec<f64>,
}

impl Exact {
    /// Values of weight 1.
    pub(super) fn from_values(values: Vec<f64>) -> Self {
        Exact { values, weights: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    #[inline]
    pub(super) fn push(&mut self, value: f64, weight: f64) {
        if weight != 1.0 || !self.weights.is_empty() {
            self.weights.resize(self.values.len(), 1.0);
            self.weights.push(weight);
        }
        self.values.push(value);
    }

    /// The value and weight at an index below [`len`](Self::len).
    pub(super) fn entry(&self, index: usize) -> (f64, f64) {
        (self.values[index], self.weights.get(index).copied().unwrap_or(1.0))
    }

    /// The values in the order of arrival, where each weighs 1.
    pub(super) fn unweighted(&self) -> Option<&[f64]> {
        self.weights.is_empty().then_some(&*self.values)
    }

    /// Values with their weights, in the order of arrival.
    pub(super) fn entries(&self) -> impl Iterator<Item = (f64, f64)> {
        (0..self.len()).map(|index| self.entry(index))
    }

    pub(super) fn extend(&mut self, other: &Exact) {
        if !self.weights.is_empty() || !other.weights.is_empty() {
            self.weights.resize(self.values.len(), 1.0);
            self.weights.extend_from_slice(&other.weights);
            self.weights.resize(self.values.len() + other.values.len(), 1.0);
        }
        self.values.extend_from_slice(&other.values);
    }

    /// The values, and the weights of the first of them; the rest weighs 1.
    pub(super) fn parts(&self) -> (&[f64], &[f64]) {
        (&self.values, &self.weights)
    }

    /// Made again of its [`parts`](Self::parts).
    pub(super) fn from_parts(values: Vec<f64>, weights: Vec<f64>) -> Self {
        Exact { values, weights }
    }

    /// Forgets the samples and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.weights.clear();
    }

    pub(super) fn shrink_to_fit(&mut self) {
        self.values.shrink_to_fit();
        self.weights.shrink_to_fit();
    }

    /// The heap memory held, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        (self.values.capacity() + self.weights.capacity()) * size_of::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(entries: &[(f64, f64)]) -> Exact {
        let mut exact = Exact::default();
        entries.iter().for_each(|&(value, weight)| exact.push(value, weight));
        exact
    }

    #[test]
    fn weights_take_no_memory_until_one_differs_from_1() {
        let mut samples = exact(&[(1.0, 1.0), (2.0, 1.0)]);
        assert_eq!(samples.weights.capacity(), 0);
        samples.push(3.0, 4.0);
        samples.push(5.0, 1.0);
        assert_eq!(samples.entries().collect::<Vec<_>>(), [(1.0, 1.0), (2.0, 1.0), (3.0, 4.0), (5.0, 1.0)]);
    }

    #[test]
    fn extending_keeps_each_weight_with_its_value() {
        let plain = [(1.0, 1.0), (2.0, 1.0)];
        let weighted = [(3.0, 4.0), (5.0, 1.0)];
        for (left, right) in [(plain, plain), (plain, weighted), (weighted, plain), (weighted, weighted)] {
            let mut extended = exact(&left);
            extended.extend(&exact(&right));
            assert_eq!(extended.entries().collect::<Vec<_>>(), [left, right].concat());
        }
    }
}
