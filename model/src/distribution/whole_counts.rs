//! Whole counts from float weights, for the wire formats that have only those.

use super::compensated_sum::CompensatedSum;

/// The largest count of samples that one window is sent with: 4,096 bins of the Datadog Agent's sketch, each with the
/// most that its `uint32` holds. About 1.8e13; an absurd weight is scaled down to it, so that it costs neither the
/// memory for its bins nor an overflow.
pub const WHOLE_COUNT_LIMIT: u64 = 4096 * u32::MAX as u64;

/// The total as a whole count: rounded, at least 1 if there is anything, at most [`WHOLE_COUNT_LIMIT`].
pub(super) fn whole_count(total: f64) -> u64 {
    if total > 0.0 { (total.round() as u64).clamp(1, WHOLE_COUNT_LIMIT) } else { 0 }
}

/// One whole count for each weight, which add up to [`whole_count`] of the total (the sum of the weights). What
/// rounding takes from one is carried to the next, so each differs from its weight by less than 1.
pub(super) fn whole_counts(weights: impl Iterator<Item = f64>, total: f64) -> Vec<u64> {
    let whole_total = whole_count(total);
    let scale = if total > WHOLE_COUNT_LIMIT as f64 { WHOLE_COUNT_LIMIT as f64 / total } else { 1.0 };
    let mut passed = CompensatedSum::default();
    let mut given = 0;
    let mut counts: Vec<u64> = weights
        .map(|weight| {
            passed.add(weight * scale);
            let reached = (passed.total().round() as u64).min(whole_total);
            let count = reached.saturating_sub(given);
            given += count;
            count
        })
        .collect();
    // Left over only where the total is rounded up and the passed weights, equal but for a rounding error, are not.
    if let Some(last) = counts.last_mut() {
        *last += whole_total - given;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn remainders_are_carried_to_the_next() {
        let cases: [(&[f64], &[u64]); 7] = [
            (&[], &[]),
            (&[2.0, 0.0, 3.0], &[2, 0, 3]),
            (&[10.0 / 3.0, 10.0 / 3.0], &[3, 4]),
            (&[10.0 / 3.0, 10.0 / 3.0, 10.0 / 3.0], &[3, 4, 3]),
            (&[0.4, 0.4, 0.4], &[0, 1, 0]),
            (&[0.1], &[1]),
            (&[f64::MAX], &[WHOLE_COUNT_LIMIT]),
        ];
        for (weights, counts) in cases {
            assert_eq!(whole_counts(weights.iter().copied(), weights.iter().sum()), counts, "{weights:?}");
        }
    }

    proptest! {
        #[test]
        fn counts_add_up_to_the_total_and_stay_near_their_weights(
            weights in proptest::collection::vec(prop_oneof![1.0..100.0_f64, Just(10.0 / 3.0), Just(1.0)], 1..200),
        ) {
            let total: f64 = weights.iter().sum();
            let counts = whole_counts(weights.iter().copied(), total);
            prop_assert_eq!(counts.iter().sum::<u64>(), total.round() as u64);
            for (count, weight) in counts.iter().zip(weights) {
                prop_assert!((*count as f64 - weight).abs() < 1.0 + 1e-9);
            }
        }

        #[test]
        fn no_weights_overflow(weights in proptest::collection::vec(f64::MIN_POSITIVE..f64::MAX, 1..20)) {
            let counts = whole_counts(weights.iter().copied(), f64::MAX);
            prop_assert_eq!(counts.iter().sum::<u64>(), WHOLE_COUNT_LIMIT);
        }
    }
}
