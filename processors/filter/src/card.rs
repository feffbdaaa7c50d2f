//! Numbers of payment cards.

use regex::bytes::Regex;

/// Digits in the forms in which card numbers are written: in one piece, in fours, or in the groups of American Express and
/// Diners Club.
pub(crate) const CANDIDATE: &str = concat!(
    r"\b(?:[0-9]{13,19}|[0-9]{4}(?:[ -][0-9]{4}){3}(?:[ -][0-9]{1,3})?",
    r"|[0-9]{4}[ -][0-9]{6}[ -][0-9]{4,5})\b"
);

/// The text with every card number replaced; `None` where there is none.
pub(crate) fn mask(candidate: &Regex, text: &[u8], placeholder: &[u8]) -> Option<Vec<u8>> {
    let mut masked: Option<Vec<u8>> = None;
    let mut copied = 0;
    for found in candidate.find_iter(text) {
        let Some(length) = card_number(found.as_bytes()) else { continue };
        let masked = masked.get_or_insert_with(Vec::new);
        masked.extend_from_slice(text.get(copied..found.start()).unwrap_or_default());
        masked.extend_from_slice(placeholder);
        copied = found.start() + length;
    }
    let mut masked = masked?;
    masked.extend_from_slice(text.get(copied..).unwrap_or_default());
    Some(masked)
}

/// How many bytes at the beginning of a candidate are a card number. A group at its end may be another number.
fn card_number(candidate: &[u8]) -> Option<usize> {
    let without_last = candidate.iter().rposition(|byte| !byte.is_ascii_digit());
    let lengths = [Some(candidate.len()), without_last.filter(|&length| length >= 19)];
    lengths.into_iter().flatten().find(|&length| {
        let digits: Vec<u8> =
            candidate.iter().take(length).filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0').collect();
        is_of_a_brand(&digits) && has_check_digit(&digits)
    })
}

/// By the first digits and the length (ISO/IEC 7812, the brands' own ranges). No brand begins with 1, as times do.
fn is_of_a_brand(digits: &[u8]) -> bool {
    let prefix = |count: usize| digits.iter().take(count).fold(0_u32, |prefix, &digit| prefix * 10 + u32::from(digit));
    let length = digits.len();
    match (prefix(1), prefix(2), prefix(4)) {
        (4, ..) => matches!(length, 13 | 16 | 19),
        (_, 34 | 37, _) => length == 15,
        (_, 30 | 36 | 38 | 39, _) => (14..=19).contains(&length),
        (_, 51..=55, _) | (_, _, 2221..=2720) => length == 16,
        (_, 35 | 50 | 56..=69, _) => (16..=19).contains(&length),
        _ => false,
    }
}

/// Luhn's formula.
fn has_check_digit(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let sum: u32 = (digits.iter().rev().enumerate())
        .map(|(index, &digit)| u32::from(if index % 2 == 1 { doubled(digit) } else { digit }))
        .sum();
    sum.is_multiple_of(10)
}
