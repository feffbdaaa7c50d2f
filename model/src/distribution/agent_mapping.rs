//! The Datadog Agent's map between values and sketch keys: a key stands for the values within a relative distance of
//! 1/128 of a power of [`GAMMA`]. (Agent, `pkg/util/quantile`: eps 1/128, smallest value 1e-9.)

/// The ratio of neighbouring bins: 1 + 2 · 1/128.
const GAMMA: f64 = 1.015625;
/// `ln(GAMMA)`.
const LN_GAMMA: f64 = 0.015504186535965254;
/// Makes the key of the smallest value 1: `1 - floor(ln(1e-9) / ln(GAMMA))`.
const BIAS: i32 = 1338;
/// `GAMMA` to the power of `1 - BIAS`. Smaller magnitudes have the key 0.
const SMALLEST: f64 = 9.94185408912145e-10;

/// The key of a finite value. Negative values have the negated key of their magnitude. The Agent's keys end at
/// ±32,766, the magnitude 3e211; these go on to the largest float.
#[inline]
pub(super) fn key(value: f64) -> i32 {
    let magnitude = value.abs();
    if magnitude < SMALLEST {
        return 0;
    }
    let power = (magnitude.ln() / LN_GAMMA).round_ties_even() as i32;
    let key = (power + BIAS).max(1);
    if value < 0.0 { -key } else { key }
}

/// The value that a key stands for; infinite if that is above the largest float.
pub(super) fn value(key: i32) -> f64 {
    if key == 0 {
        return 0.0;
    }
    let magnitude = GAMMA.powf(f64::from(key.abs() - BIAS));
    if key < 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_constants_are_those_that_the_agent_derives() {
        assert_eq!(GAMMA, 1.0 + 2.0 / 128.0);
        assert_eq!(LN_GAMMA, (2.0_f64 / 128.0).ln_1p());
        assert_eq!(BIAS, 1 - (1e-9_f64.ln() / LN_GAMMA).floor() as i32);
        assert!((SMALLEST / value(1) - 1.0).abs() < 1e-14);
    }

    #[test]
    fn keys_are_the_agents() {
        let vectors = [
            (0.0, 0),
            (-0.0, 0),
            (5e-324, 0),
            (9.9e-10, 0),
            (1e-9, 1),
            (0.001, 892),
            (0.5, 1293),
            (1.0, 1338),
            (2.0, 1383),
            (10.0, 1487),
            (100.0, 1635),
            (1000.0, 1784),
            (1e6, 2229),
            (-1e-9, -1),
            (-100.0, -1635),
        ];
        for (value, expected) in vectors {
            assert_eq!(key(value), expected, "{value}");
        }
    }

    #[test]
    fn every_key_is_the_key_of_its_value() {
        let largest = key(f64::MAX);
        for expected in -largest + 1..largest {
            assert_eq!(key(value(expected)), expected);
        }
    }

    proptest! {
        #[test]
        fn a_key_stands_for_values_within_one_part_in_128(exponent in -9.0..308.0_f64, negative: bool) {
            let magnitude = 10_f64.powf(exponent).max(1e-9);
            let sample = if negative { -magnitude } else { magnitude };
            let error = (value(key(sample)) - sample).abs() / magnitude;
            prop_assert!(error <= 1.0 / 128.0, "{sample}: {error}");
        }

        #[test]
        fn keys_have_the_order_of_their_values(a in proptest::num::f64::NORMAL, b in proptest::num::f64::NORMAL) {
            prop_assert!((a < b) <= (key(a) <= key(b)));
        }
    }
}
