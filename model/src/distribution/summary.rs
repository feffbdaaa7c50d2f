//! What is exact of a distribution, however its samples are kept.

use super::compensated_sum::CompensatedSum;

/// Count, sum and extremes of a stream of weighted samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    /// How many samples came, whatever they weigh.
    pub(super) samples: u64,
    /// The sum of the weights.
    pub(super) count: CompensatedSum,
    /// The sum of value times weight.
    pub(super) sum: CompensatedSum,
    /// The smallest value; infinite while there is none.
    pub(super) min: f64,
    /// The largest value; negative infinity while there is none.
    pub(super) max: f64,
}

impl Default for Summary {
    fn default() -> Self {
        Summary {
            samples: 0,
            count: CompensatedSum::default(),
            sum: CompensatedSum::default(),
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }
}

impl Summary {
    #[inline]
    pub(super) fn add(&mut self, value: f64, weight: f64) {
        self.samples += 1;
        self.count.add(weight);
        self.sum.add(value * weight);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    pub(super) fn merge(&mut self, other: &Summary) {
        self.samples = self.samples.saturating_add(other.samples);
        self.count.merge(other.count);
        self.sum.merge(other.sum);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// The value within the known extremes. (`f64::clamp` would panic on the inverted ones of an empty summary.)
    pub(super) fn clamp(&self, value: f64) -> f64 {
        value.min(self.max).max(self.min)
    }
}
