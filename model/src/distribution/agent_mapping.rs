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

/// The largest key that the Agent knows, which stands for all beyond its last bin (about 3e211).
pub(super) const INFINITY_KEY: i16 = i16::MAX;

/// Keys to a doubling: `ln(2) / ln(GAMMA)`.
const KEYS_PER_OCTAVE: f64 = 44.70709759277233;
/// `ln(x) / ln(GAMMA)` for x from 1 to 2 as a polynomial, lowest power first. It is off by less than 1.7e-5.
const POLYNOMIAL: [f64; 8] = [
    -144.66568130845155,
    316.80057246672413,
    -330.55909026081264,
    253.3057326245612,
    -129.91466479000584,
    42.28881862573506,
    -7.9012571286837305,
    0.645586248244304,
];
/// What an estimate may be off by, with room to spare.
const UNSURE: f64 = 1e-4;
/// Added to a float below 2^51 it leaves the nearest whole number in the lowest bits.
const ROUND: f64 = (3_u64 << 51) as f64;

/// The key of a finite value. Negative values have the negated key of their magnitude. The Agent's keys end at
/// ±32,766, the magnitude 3e211; these go on to the largest float.
#[inline]
pub(super) fn key(value: f64) -> i32 {
    let (key, is_sure) = estimate(value);
    if is_sure { key as i32 } else { exact_key(value) }
}

/// The keys of finite values, as the Agent knows them; several at once.
pub(super) fn agent_keys(values: &[f64], keys: &mut [i16]) {
    let limit = f64::from(INFINITY_KEY);
    let mut all_sure = true;
    for (&value, key) in values.iter().zip(&mut *keys) {
        let (estimate, is_sure) = estimate(value);
        all_sure &= is_sure;
        *key = (estimate.clamp(-limit, limit) + ROUND).to_bits() as i16;
    }
    if !all_sure {
        let limit = i32::from(INFINITY_KEY);
        for (&value, place) in values.iter().zip(keys) {
            *place = key(value).clamp(-limit, limit) as i16;
        }
    }
}

/// A key, and whether it is sure to be that of [`exact_key`]. It is not where the power of [`GAMMA`] lies so close to the
/// middle between two whole ones that the estimate might be on the wrong side, which one value of 5,000 does. This takes a
/// quarter of the time of a logarithm, and has no branch, so that the compiler makes several keys at once.
#[inline(always)]
fn estimate(value: f64) -> (f64, bool) {
    const FRACTION: u64 = (1 << 52) - 1;
    const WHOLE: f64 = (1_u64 << 52) as f64;
    let magnitude = value.abs();
    let bits = magnitude.to_bits();
    // A whole number below 2^52 in the lowest bits of 2^52 is added to it.
    let exponent = f64::from_bits(bits >> 52 | WHOLE.to_bits()) - (WHOLE + 1023.0);
    let x = f64::from_bits(bits & FRACTION | 1.0_f64.to_bits());
    let power = polynomial(x) + exponent * KEYS_PER_OCTAVE;
    let nearest = (power + ROUND) - ROUND;
    let key = (nearest + f64::from(BIAS)).max(1.0);
    let key = if magnitude < SMALLEST { 0.0 } else { key };
    (key.copysign(value), (power - nearest).abs() < 0.5 - UNSURE)
}

/// [`POLYNOMIAL`], in pairs that need not wait for each other.
#[inline(always)]
fn polynomial(x: f64) -> f64 {
    let [a, b, c, d, e, f, g, h] = POLYNOMIAL;
    let square = x * x;
    let low = (a + b * x) + (c + d * x) * square;
    let high = (e + f * x) + (g + h * x) * square;
    low + high * (square * square)
}

/// As the Agent computes it.
#[cold]
fn exact_key(value: f64) -> i32 {
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
        assert!((KEYS_PER_OCTAVE / (2.0_f64.ln() / LN_GAMMA) - 1.0).abs() < 1e-15);
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

    #[test]
    fn the_polynomial_is_closer_than_what_is_called_unsure() {
        for step in 0..200_000 {
            let value = 1.0 + f64::from(step) / 200_000.0;
            let error = (polynomial(value) - value.ln() / LN_GAMMA).abs();
            assert!(error < UNSURE / 5.0, "{value}: {error}");
        }
    }

    /// That both ways of making keys give the one that the logarithm gives.
    fn check(values: &[f64]) {
        let mut keys = vec![0; values.len()];
        agent_keys(values, &mut keys);
        let limit = i32::from(INFINITY_KEY);
        for (&value, agent_key) in values.iter().zip(keys) {
            assert_eq!(key(value), exact_key(value), "{value:e}");
            assert_eq!(i32::from(agent_key), exact_key(value).clamp(-limit, limit), "{value:e}");
        }
    }

    #[test]
    fn at_the_edge_of_every_bin_keys_are_those_of_the_logarithm() {
        for bin in 0..key(f64::MAX) {
            let edge = GAMMA.powf(f64::from(bin - BIAS) + 0.5);
            // Floats around the edge, and values about as far from it as the estimate is trusted from.
            let near = (-20_i64..=20).map(|step| f64::from_bits(edge.to_bits().wrapping_add_signed(step)));
            let far = [-2.0, -1.0, -0.5, -0.1, 0.1, 0.5, 1.0, 2.0].map(|far| edge * GAMMA.powf(far * UNSURE));
            for magnitude in near.chain(far).filter(|magnitude| magnitude.is_finite()) {
                check(&[magnitude, -magnitude]);
            }
        }
    }

    proptest! {
        #[test]
        fn keys_are_those_of_the_logarithm(bits in proptest::collection::vec(any::<u64>(), 0..40)) {
            let values: Vec<f64> = bits.into_iter().map(f64::from_bits).filter(|value| value.is_finite()).collect();
            check(&values);
        }

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
