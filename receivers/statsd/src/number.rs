//! Numbers as clients write them.

/// The largest whole number up to which floats hold every one: 2^53.
const LARGEST_EXACT: u64 = 1 << f64::MANTISSA_DIGITS;

/// Powers of ten that floats hold exactly, as many as [`plain_decimal`] takes digits.
const POWERS_OF_TEN: [f64; 17] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16];

/// A decimal number with optional sign, fraction and exponent; also `inf`, `infinity` and `nan` in any case.
pub(crate) fn parse_float(text: &[u8]) -> Option<f64> {
    plain_decimal(text).or_else(|| std::str::from_utf8(text).ok()?.parse().ok())
}

/// Numbers of up to 16 characters without an exponent, which is what clients send: digits and power of ten are both
/// exact floats, so one division rounds once, as the standard library does, at a quarter of its time.
#[inline]
fn plain_decimal(text: &[u8]) -> Option<f64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.len() >= POWERS_OF_TEN.len() {
        return None;
    }
    let mut number = 0_u64;
    let mut point = None;
    for (position, &byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => number = number * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(position),
            _ => return None,
        }
    }
    let digit_count = digits.len() - usize::from(point.is_some());
    if digit_count == 0 || number > LARGEST_EXACT {
        return None;
    }
    let decimals = point.map_or(0, |position| digits.len() - 1 - position);
    let magnitude = number as f64 / POWERS_OF_TEN.get(decimals)?;
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_of_every_spelling() {
        let cases = [
            ("1", 1.0),
            ("-12", -12.0),
            ("+5", 5.0),
            ("0.25", 0.25),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e-07", 1e-7),
            ("1e21", 1e21),
            ("9223372036854775808", 9_223_372_036_854_775_808.0),
            ("9007199254740993", 9_007_199_254_740_992.0),
            ("320.000000", 320.0),
            ("1.9580000000000002", 1.958_000_000_000_000_2),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("1e400", f64::INFINITY),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_float(text.as_bytes()), Some(expected), "{text}");
        }
        assert!(parse_float(b"NaN").is_some_and(f64::is_nan));
    }

    #[test]
    fn what_is_no_number() {
        for text in
            ["", ".", "-", "+", "+-1", "abc", "True", "1_000", " 1", "1 ", "1,5", "0x10", "1e", "1..2", "\u{0661}"]
        {
            assert_eq!(parse_float(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_float(b"\xff"), None);
    }

    proptest! {
        #[test]
        fn the_short_way_gives_what_the_standard_library_gives(text in "[+-]?[0-9]{0,17}\\.?[0-9]{0,17}") {
            prop_assert_eq!(parse_float(text.as_bytes()).map(f64::to_bits), text.parse::<f64>().ok().map(f64::to_bits));
        }
    }
}
