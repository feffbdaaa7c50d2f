//! The OTLP exponential histogram's map between magnitudes and bucket indexes.
//!
//! At scale `s` the base is `2^(2^-s)`, and bucket `i` holds `(base^i, base^(i+1)]` (OTLP data model). The indexes of
//! two scales agree exactly: the one at `s - 1` is the one at `s`, shifted right by one.

/// 2^54: lifts every subnormal float into the normal range.
const LIFT: f64 = (1_u64 << LIFT_EXPONENT) as f64;
const LIFT_EXPONENT: i32 = 54;
const SIGNIFICAND_BITS: u32 = f64::MANTISSA_DIGITS - 1;
const EXPONENT_BIAS: i32 = f64::MAX_EXP - 1;

/// The index of the bucket of a positive finite magnitude, at a scale from −10 to 20.
pub(super) fn bucket_index(magnitude: f64, scale: i32) -> i32 {
    let (exponent, significand) = decompose(magnitude);
    if scale <= 0 {
        // A bucket covers whole octaves (2^n, 2^(n+1)]; a power of two is the upper bound of the octave below its own.
        let octave = if significand == 1.0 { exponent - 1 } else { exponent };
        return octave >> -scale;
    }
    let first_of_octave = exponent << scale;
    if significand == 1.0 {
        return first_of_octave - 1;
    }
    first_of_octave + index_in_octave(significand, scale)
}

/// The index among the `2^scale` buckets of the octave (1, 2], of a significand between 1 and 2.
fn index_in_octave(significand: f64, scale: i32) -> i32 {
    let estimate = (significand.log2() * f64::from(1_i32 << scale)).ceil() as i32 - 1;
    // Beside a bound the logarithm may be off by one bucket, so the bounds decide. Two scales compute a bound that they
    // share from the same fraction, which is why their indexes agree.
    if significand <= bound_in_octave(estimate, scale) {
        estimate - 1
    } else if significand > bound_in_octave(estimate + 1, scale) {
        estimate + 1
    } else {
        estimate
    }
}

/// The lower bound of a bucket in the octave (1, 2], at a scale above 0.
fn bound_in_octave(index: i32, scale: i32) -> f64 {
    (f64::from(index) / f64::from(1_i32 << scale)).exp2()
}

/// The exponent and the significand (at least 1, below 2) of a positive finite float, subnormal ones included.
fn decompose(magnitude: f64) -> (i32, f64) {
    let (normal, lifted) =
        if magnitude < f64::MIN_POSITIVE { (magnitude * LIFT, LIFT_EXPONENT) } else { (magnitude, 0) };
    let exponent = (normal.to_bits() >> SIGNIFICAND_BITS) as i32 - EXPONENT_BIAS;
    let significand_bits = normal.to_bits() & ((1 << SIGNIFICAND_BITS) - 1);
    (exponent - lifted, f64::from_bits(significand_bits | 1.0_f64.to_bits()))
}

/// The lower bound of a bucket: `base^index`.
#[cfg(test)]
pub(super) fn lower_bound(index: i32, scale: i32) -> f64 {
    if scale <= 0 {
        return 2_f64.powi(index << -scale);
    }
    let octave = index >> scale;
    bound_in_octave(index - (octave << scale), scale) * 2_f64.powi(octave)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SCALES: std::ops::RangeInclusive<i32> = -10..=20;

    #[test]
    fn a_power_of_two_is_the_upper_bound_of_its_bucket_at_every_scale() {
        for scale in SCALES {
            for exponent in -1074..=1023 {
                let power = if exponent < -1022 {
                    f64::from_bits(1 << (exponent + 1074))
                } else {
                    f64::from_bits(((exponent + EXPONENT_BIAS) as u64) << SIGNIFICAND_BITS)
                };
                let expected = if scale > 0 { (exponent << scale) - 1 } else { (exponent - 1) >> -scale };
                assert_eq!(bucket_index(power, scale), expected, "2^{exponent} at scale {scale}");
                if exponent > -1022 {
                    let above = if scale > 0 { exponent << scale } else { exponent >> -scale };
                    assert_eq!(bucket_index(power.next_up(), scale), above, "above 2^{exponent} at scale {scale}");
                    assert_eq!(bucket_index(power.next_down(), scale), expected, "below 2^{exponent} at scale {scale}");
                }
            }
        }
    }

    #[test]
    fn known_values_have_the_indexes_of_the_data_model() {
        let cases = [
            (1.0, 0, -1),
            (1.5, 0, 0),
            (2.0, 0, 0),
            (2.5, 0, 1),
            (4.0, 0, 1),
            (4.0, 1, 3),
            (1.4, 1, 0),
            (1.5, 1, 1),
            (0.001, 3, -80),
            (30.0, 3, 39),
            (f64::MAX, 0, 1023),
            (f64::MAX, 20, (1 << 30) - 1),
            (f64::MIN_POSITIVE, 0, -1023),
            (5e-324, 0, -1075),
            (5e-324, -10, -2),
            (f64::MAX, -10, 0),
        ];
        for (magnitude, scale, expected) in cases {
            assert_eq!(bucket_index(magnitude, scale), expected, "{magnitude:e} at scale {scale}");
        }
    }

    #[test]
    fn every_bound_belongs_to_the_bucket_below_it_and_its_successor_to_the_one_above() {
        for scale in 1..=20 {
            let step = 1_i32.max((1 << scale) / 5000);
            for index in (1..1 << scale).step_by(step as usize) {
                let bound = lower_bound(index, scale);
                assert_eq!(bucket_index(bound, scale), index - 1, "scale {scale}");
                assert_eq!(bucket_index(bound.next_up(), scale), index, "scale {scale}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_magnitude_lies_within_the_bounds_of_its_bucket(exponent in -300.0..300.0_f64, scale in SCALES) {
            let magnitude = 10_f64.powf(exponent);
            let index = bucket_index(magnitude, scale);
            prop_assert!(lower_bound(index, scale) < magnitude);
            prop_assert!(magnitude <= lower_bound(index + 1, scale));
        }

        #[test]
        fn the_index_at_a_coarser_scale_is_the_finer_one_shifted(
            magnitude in proptest::num::f64::POSITIVE | proptest::num::f64::SUBNORMAL,
            scale in SCALES,
        ) {
            let finest = bucket_index(magnitude, 20);
            prop_assert_eq!(bucket_index(magnitude, scale), finest >> (20 - scale));
        }
    }
}
