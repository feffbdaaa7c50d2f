//! A line cut into what its client repeats and its value, which is all that a line of a known spelling needs.

use memchr::memchr;

use crate::number::short_decimal;

/// The parts of a line. Whether they make sense is not looked at: a spelling that is known has been.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cut<'a> {
    /// What stands before the first `:`.
    pub(crate) name: &'a [u8],
    /// From there to the next `|`.
    pub(crate) member: &'a [u8],
    /// What stands behind that: type, rate, tags.
    pub(crate) tail: &'a [u8],
    /// The member as a number, where it is one of up to seven characters without sign and exponent.
    pub(crate) value: Option<f64>,
}

/// Cuts a line; none if it has no `:` with a `|` behind.
#[inline]
pub(crate) fn cut(line: &[u8]) -> Option<Cut<'_>> {
    let (name, rest) = split_at(line, memchr(b':', line)?)?;
    let (length, value) = match first_word(line, rest) {
        Some(word) => match first_pipe(word) {
            length @ ..8 => (length, short_decimal(word, length)),
            _ => (memchr(b'|', rest)?, None),
        },
        None => (memchr(b'|', rest)?, None),
    };
    let (member, tail) = split_at(rest, length)?;
    Some(Cut { name, member, tail, value })
}

/// Splits at a separator, which belongs to neither side.
#[inline]
fn split_at(text: &[u8], place: usize) -> Option<(&[u8], &[u8])> {
    Some((text.get(..place)?, text.get(place + 1..)?))
}

/// The first eight bytes of `rest`, with which `line` ends; the first is the lowest. Where `rest` is shorter zeros
/// follow. None if the whole line is shorter.
#[inline]
fn first_word(line: &[u8], rest: &[u8]) -> Option<u64> {
    match rest.first_chunk() {
        Some(first) => Some(u64::from_le_bytes(*first)),
        None if rest.is_empty() => None,
        None => Some(u64::from_le_bytes(*line.last_chunk()?) >> (8 * (8 - rest.len()))),
    }
}

/// The place of the first `|` among eight bytes; 8 if there is none.
#[inline]
fn first_pipe(word: u64) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH_BITS: u64 = ONES << 7;
    // Zero bytes are those that were `|`. The lowest marked one is right; above it marks may be wrong.
    let difference = word ^ (ONES * b'|' as u64);
    let marks = difference.wrapping_sub(ONES) & !difference & HIGH_BITS;
    marks.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use proptest::prelude::*;

    fn parts(line: &str) -> Option<(&str, &str, &str, Option<f64>)> {
        let text = |part| std::str::from_utf8(part).unwrap();
        cut(line.as_bytes()).map(|cut| (text(cut.name), text(cut.member), text(cut.tail), cut.value))
    }

    #[test]
    fn a_line_is_cut_around_its_value() {
        for (line, expected) in [
            ("name:1|c|@0.5|#a:b", Some(("name", "1", "c|@0.5|#a:b", Some(1.0)))),
            ("n:1|c", Some(("n", "1", "c", None))),
            ("name:1|c", Some(("name", "1", "c", Some(1.0)))),
            ("name:12.25|ms", Some(("name", "12.25", "ms", Some(12.25)))),
            ("name:1234567|g", Some(("name", "1234567", "g", Some(1_234_567.0)))),
            ("name:12345678|g", Some(("name", "12345678", "g", None))),
            ("name:1:2|h", Some(("name", "1:2", "h", None))),
            ("name:-1|g", Some(("name", "-1", "g", None))),
            ("name:|g|#abcdefgh", Some(("name", "", "g|#abcdefgh", None))),
            ("names:1|", Some(("names", "1", "", Some(1.0)))),
            ("a|b:1|c|#abcd", Some(("a|b", "1", "c|#abcd", Some(1.0)))),
            ("name:1", None),
            ("name:", None),
            ("name", None),
            ("", None),
        ] {
            assert_eq!(parts(line), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn a_good_line_is_cut_as_the_parser_takes_it_apart(
            line in "[a-z.]{1,20}:[0-9.:a]{1,12}\\|(c|g|ms|s)(\\|@[0-9.]{1,3})?(\\|#[a-z:,]{0,20})?",
        ) {
            let mut values = Vec::new();
            if let Ok(sample) = parse::sample(line.as_bytes(), &mut values) {
                let cut = cut(line.as_bytes()).unwrap();
                prop_assert_eq!((cut.name, cut.member), (sample.name, sample.member));
                if let (Some(value), false) = (cut.value, values.is_empty()) {
                    prop_assert_eq!(&values, &[value]);
                }
            }
        }
    }
}
