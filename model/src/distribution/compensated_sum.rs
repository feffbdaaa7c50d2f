//! A sum of floats that does not lose its small terms beside its large ones.

/// A running sum that carries the rounding errors of its additions (Knuth's TwoSum, after Neumaier). It stays finite:
/// what overflows saturates at the largest float.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CompensatedSum {
    sum: f64,
    compensation: f64,
}

impl PartialEq for CompensatedSum {
    fn eq(&self, other: &Self) -> bool {
        self.total() == other.total()
    }
}

impl CompensatedSum {
    /// Adds one term, which may be infinite (then it counts as the largest float) but not NaN.
    #[inline]
    pub(super) fn add(&mut self, term: f64) {
        let term = saturate(term);
        let sum = self.sum + term;
        // TwoSum instead of a comparison of magnitudes: the branch would be unpredictable on the hot path.
        let added = sum - self.sum;
        let error = (self.sum - (sum - added)) + (term - added);
        if sum.is_finite() {
            self.sum = sum;
            self.compensation += error;
        } else {
            *self = CompensatedSum { sum: saturate(sum), compensation: 0.0 };
        }
    }

    /// Adds another sum with what it carries.
    pub(super) fn merge(&mut self, other: CompensatedSum) {
        self.add(other.sum);
        self.add(other.compensation);
    }

    /// The rounded sum and the error that it carries.
    pub(super) fn parts(self) -> [f64; 2] {
        [self.sum, self.compensation]
    }

    /// Made again of its [`parts`](Self::parts).
    pub(super) fn from_parts([sum, compensation]: [f64; 2]) -> Self {
        CompensatedSum { sum, compensation }
    }

    /// The sum so far, always finite.
    #[inline]
    pub(super) fn total(self) -> f64 {
        let total = self.sum + self.compensation;
        if total.is_finite() { total } else { self.sum }
    }
}

/// The nearest finite float; NaN stays NaN.
#[inline]
pub(super) fn saturate(value: f64) -> f64 {
    value.clamp(-f64::MAX, f64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(terms: &[f64]) -> f64 {
        let mut sum = CompensatedSum::default();
        terms.iter().for_each(|&term| sum.add(term));
        sum.total()
    }

    #[test]
    fn small_terms_survive_beside_large_ones() {
        assert_eq!(sum(&[1e100, 1.0, -1e100]), 1.0);
        assert_eq!(sum(&[0.1; 10]), 1.0);
        assert_eq!(sum(&[10.0 / 3.0; 3000]), 10_000.0);
    }

    #[test]
    fn an_overflow_saturates_and_never_becomes_nan() {
        assert_eq!(sum(&[f64::MAX, f64::MAX, f64::MAX]), f64::MAX);
        assert_eq!(sum(&[f64::INFINITY, 1.0]), f64::MAX);
        assert_eq!(sum(&[f64::MIN, f64::MIN, 1.0]), f64::MIN);
        assert_eq!(sum(&[f64::MAX, f64::MAX, f64::MIN, 7.0]), 7.0);
    }

    #[test]
    fn merging_keeps_what_both_carry() {
        let mut left = CompensatedSum::default();
        let mut right = CompensatedSum::default();
        [1e100, 1.0].iter().for_each(|&term| left.add(term));
        [-1e100, 2.0].iter().for_each(|&term| right.add(term));
        left.merge(right);
        assert_eq!(left.total(), 3.0);
    }
}
