//! Writes JSON straight into a buffer: the few forms that log records need often.

/// A one in every byte, and the top bit of every byte.
const ONES: u64 = u64::MAX / 255;
const TOPS: u64 = ONES << 7;

/// Appends a text in quotes; `"`, `\` and what is below space are escaped.
///
/// Most of a message needs no escape, so eight bytes are looked at at once, and what lies between two escapes is copied
/// whole. A byte at a time, as serde_json does it, a line of an access log costs three times as much.
pub(crate) fn string(buffer: &mut Vec<u8>, text: &str) {
    buffer.reserve(text.len() + text.len() / 8 + 2);
    buffer.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = first_escaped(rest) {
        let (plain, from) = rest.split_at(at);
        buffer.extend_from_slice(plain);
        let Some((&escaped, after)) = from.split_first() else { break };
        escape(buffer, escaped);
        rest = after;
    }
    buffer.extend_from_slice(rest);
    buffer.push(b'"');
}

/// Where the first byte is that cannot stand as it is.
fn first_escaped(bytes: &[u8]) -> Option<usize> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (index, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        let marked = (below_space(word) | equal_to(word, b'"') | equal_to(word, b'\\')) & TOPS;
        if marked != 0 {
            return Some(index * 8 + marked.trailing_zeros() as usize / 8);
        }
    }
    let start = bytes.len() - rest.len();
    rest.iter().position(|&byte| byte < b' ' || byte == b'"' || byte == b'\\').map(|at| start + at)
}

/// Marks the top bit of the bytes that are below space. A byte above a marked one may be marked in error, so only the
/// lowest mark counts.
fn below_space(word: u64) -> u64 {
    word.wrapping_sub(ONES * u64::from(b' ')) & !word
}

/// Marks the top bit of the bytes that equal one, in the same way.
fn equal_to(word: u64, byte: u8) -> u64 {
    let difference = word ^ (ONES * u64::from(byte));
    difference.wrapping_sub(ONES) & !difference
}

fn escape(buffer: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let digit = |digit: u8| if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
            buffer.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            return;
        }
    };
    buffer.extend_from_slice(&[b'\\', short]);
}

/// Appends `,"key":"text"`, or nothing for an empty text.
pub(crate) fn entry(buffer: &mut Vec<u8>, key: &str, text: &str) {
    if !text.is_empty() {
        name(buffer, key);
        string(buffer, text);
    }
}

/// Appends `,"key":`. The key is one of our own and needs no escapes.
pub(crate) fn name(buffer: &mut Vec<u8>, key: &str) {
    buffer.extend_from_slice(b",\"");
    buffer.extend_from_slice(key.as_bytes());
    buffer.extend_from_slice(b"\":");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> String {
        let mut buffer = Vec::new();
        string(&mut buffer, text);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn every_character_is_written_as_serde_json_writes_it_wherever_it_stands() {
        for character in (0..0x300).chain([0x2028, 0x20ac, 0xffff, 0x1_f600]).filter_map(char::from_u32) {
            for before in 0..9 {
                let text = format!("{}{character}{}", "x".repeat(before), "y".repeat(8));
                assert_eq!(written(&text), serde_json::to_string(&text).unwrap(), "{character:?} at {before}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_written_as_serde_json_writes_it(text in "(?s)(.|[\\x00-\\x1f\"\\\\]){0,60}") {
            prop_assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
        }
    }
}
