//! A sum that runs for as long as its stream.

/// A sum of doubles kept as two: what one double rounds off is carried in the other (two-sum, Knuth, TAOCP 4.2.2).
/// A stream takes millions of additions in a month; plain addition would let each of them cost up to half a unit in the
/// last place, and a backend that subtracts two values of the sum would see it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct RunningSum {
    high: f64,
    low: f64,
}

impl RunningSum {
    /// Adds a finite amount. The sum saturates at the largest double.
    pub(super) fn add(&mut self, amount: f64) {
        let total = self.high + amount;
        let added = total - self.high;
        let lost = (self.high - (total - added)) + (amount - added);
        let low = self.low + lost;
        let high = total + low;
        *self = if high.is_finite() {
            RunningSum { high, low: low - (high - total) }
        } else {
            RunningSum { high: f64::MAX.copysign(total), low: 0.0 }
        };
    }

    /// The sum, rounded once.
    pub(super) fn value(self) -> f64 {
        self.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(amounts: impl IntoIterator<Item = f64>) -> f64 {
        let mut sum = RunningSum::default();
        amounts.into_iter().for_each(|amount| sum.add(amount));
        sum.value()
    }

    #[test]
    fn small_amounts_are_not_lost_beside_a_large_sum() {
        assert_eq!(sum([1e16, 1.0, 1.0, 1.0, 1.0, -1e16]), 4.0);
        assert_eq!(sum(std::iter::repeat_n(0.1, 1_000_000)), 100_000.0);
    }

    #[test]
    fn an_overflow_saturates() {
        assert_eq!(sum([f64::MAX, f64::MAX, f64::MAX]), f64::MAX);
        assert_eq!(sum([f64::MIN, f64::MIN]), f64::MIN);
    }

    proptest! {
        #[test]
        fn whole_numbers_add_up_exactly(amounts in proptest::collection::vec(-1_000_000_000_i64..1_000_000_000, 0..200)) {
            let exact: i64 = amounts.iter().sum();
            prop_assert_eq!(sum(amounts.iter().map(|&amount| amount as f64)), exact as f64);
        }

        #[test]
        fn amounts_above_zero_never_make_it_fall(amounts in proptest::collection::vec(0.0_f64..1e12, 0..200)) {
            let mut running = RunningSum::default();
            for amount in amounts {
                let before = running.value();
                running.add(amount);
                prop_assert!(running.value() >= before);
            }
        }
    }
}
