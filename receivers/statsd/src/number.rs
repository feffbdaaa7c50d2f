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

/// The number that the first `length` bytes of `word` spell, the first of them being the lowest: up to seven digits, with or
/// without a point. The digits are converted all at once, without a branch for each.
#[inline]
pub(crate) fn short_decimal(word: u64, length: usize) -> Option<f64> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const EVERY_FOURTH: u64 = 0x0000_00ff_0000_00ff;
    if length == 0 || length >= 8 {
        return None;
    }
    let first = |bytes: usize| !(u64::MAX << (8 * bytes));
    // Digits become their values, the point becomes 0x1e, all bytes past the end become 0.
    let text = (word ^ (ONES * b'0' as u64)) & first(length);
    let difference = text ^ (ONES * (b'.' ^ b'0') as u64);
    let marks = difference.wrapping_sub(ONES) & !difference & (ONES << 7);
    let point = (marks.trailing_zeros() as usize / 8).min(length);
    // Takes the point out. Without one nothing lies beyond it.
    let digits = (text & first(point)) | ((text >> 8) & !first(point));
    let decimals = (length - point).saturating_sub(1);
    let digit_count = length - usize::from(point < length);
    let all_are_digits = (digits | digits.wrapping_add(ONES * 0x76)) & (ONES << 7) == 0;
    if digit_count == 0 || !all_are_digits {
        return None;
    }
    // The last digit goes to the highest byte; zeros lead. Then pairs are added up, and pairs of pairs.
    let digits = digits << (8 * (8 - digit_count));
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let low = (pairs & EVERY_FOURTH).wrapping_mul(100 + (1_000_000 << 32));
    let high = ((pairs >> 16) & EVERY_FOURTH).wrapping_mul(1 + (10_000 << 32));
    let number = low.wrapping_add(high) >> 32;
    Some(number as f64 / POWERS_OF_TEN.get(decimals)?)
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

    fn short(text: &str) -> Option<f64> {
        let mut bytes = text.as_bytes().to_vec();
        // Whatever follows does not matter.
        bytes.extend_from_slice(b"|9.x:c|#");
        short_decimal(u64::from_le_bytes(*bytes.first_chunk().unwrap()), text.len())
    }

    #[test]
    fn short_numbers_of_every_spelling() {
        for text in ["0", "7", "1234567", "0000001", "1.5", ".5", "5.", "12345.6", "0.00001", ".123456", "123456."] {
            assert_eq!(short(text), Some(text.parse().unwrap()), "{text}");
        }
        for text in
            ["", ".", "..", "1..2", "1.2.3", "-1", "+1", "1e5", "1a", "a", "1/2", "1:2", " 1", "\u{ff}", "12345678"]
        {
            assert_eq!(short(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn short_numbers_are_what_the_long_way_makes_of_them(text in "[0-9.]{1,7}|[-+0-9.eE/:;\x00-\x7f]{1,7}") {
            if let Some(value) = short(&text) {
                prop_assert_eq!(Some(value.to_bits()), parse_float(text.as_bytes()).map(f64::to_bits));
            } else {
                prop_assert!(text.parse::<f64>().is_err() || text.contains(['-', '+', 'e', 'E', 'n', 'N', 'i', 'I']));
            }
        }

        #[test]
        fn the_short_way_gives_what_the_standard_library_gives(text in "[+-]?[0-9]{0,17}\\.?[0-9]{0,17}") {
            prop_assert_eq!(parse_float(text.as_bytes()).map(f64::to_bits), text.parse::<f64>().ok().map(f64::to_bits));
        }
    }
}
