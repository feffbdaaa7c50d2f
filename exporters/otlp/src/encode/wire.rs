//! The protobuf wire format: just what OTLP's messages need of it.
//!
//! Messages are written straight into a buffer, without values of generated types in between: those cost an allocation a
//! text, and their size is computed anew at each level of nesting. Fields are written in the order of their numbers and
//! left out where they hold their default, as prost does it; the tests compare byte by byte with that.

/// The number of a field, at most 15: its tag takes one byte.
pub(super) type Field = u8;

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const FIXED32: u8 = 5;

/// Bytes of a number of variable length.
pub(super) const fn varint_len(value: u64) -> usize {
    // Seven bits a byte, at least one.
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// Bytes of a field that holds so many bytes: a text or a message.
pub(super) const fn field_len(content: usize) -> usize {
    1 + varint_len(content as u64) + content
}

/// Bytes of a text, which is left out where it is empty.
pub(super) const fn text_len(text: &str) -> usize {
    if text.is_empty() { 0 } else { field_len(text.len()) }
}

pub(super) fn put_varint(buffer: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        buffer.push(value as u8 | 0x80);
        value >>= 7;
    }
    buffer.push(value as u8);
}

/// Begins a field of so many bytes, which the caller writes after it.
pub(super) fn put_header(buffer: &mut Vec<u8>, field: Field, content: usize) {
    buffer.push(field << 3 | BYTES);
    put_varint(buffer, content as u64);
}

/// The same in place, which has its very length.
fn fill_header(place: &mut [u8], field: Field, content: usize) {
    let Some((tag, length)) = place.split_first_mut() else { return };
    *tag = field << 3 | BYTES;
    let mut left = content;
    for byte in length.iter_mut() {
        *byte = left as u8 | 0x80;
        left >>= 7;
    }
    if let Some(last) = length.last_mut() {
        *last &= 0x7f;
    }
}

/// A message as a field, whose content `put` writes: it is written first, as its length stands in front of it, and moved
/// where the header is not as long as that of `expected` bytes. Nothing is left of a message that fails.
pub(super) fn put_message<T, E>(
    buffer: &mut Vec<u8>,
    field: Field,
    expected: usize,
    put: impl FnOnce(&mut Vec<u8>) -> Result<T, E>,
) -> Result<T, E> {
    let start = buffer.len();
    let reserved = field_len(expected) - expected;
    buffer.resize(start + reserved, 0);
    let result = put(buffer);
    if result.is_err() {
        buffer.truncate(start);
        return result;
    }
    let content = buffer.len() - start - reserved;
    let header = field_len(content) - content;
    if header != reserved {
        let end = buffer.len();
        buffer.resize(end.max(start + header + content), 0);
        buffer.copy_within(start + reserved..end, start + header);
        buffer.truncate(start + header + content);
    }
    if let Some(place) = buffer.get_mut(start..start + header) {
        fill_header(place, field, content);
    }
    result
}

/// A text or message, also where it is empty.
pub(super) fn put_bytes(buffer: &mut Vec<u8>, field: Field, content: &[u8]) {
    put_header(buffer, field, content.len());
    buffer.extend_from_slice(content);
}

/// A text, left out where it is empty.
pub(super) fn put_text(buffer: &mut Vec<u8>, field: Field, text: &str) {
    if !text.is_empty() {
        put_bytes(buffer, field, text.as_bytes());
    }
}

/// A whole number, left out where it is 0.
pub(super) fn put_number(buffer: &mut Vec<u8>, field: Field, value: u64) {
    if value != 0 {
        put_any_number(buffer, field, value);
    }
}

/// A whole number, also where it is 0.
pub(super) fn put_any_number(buffer: &mut Vec<u8>, field: Field, value: u64) {
    buffer.push(field << 3 | VARINT);
    put_varint(buffer, value);
}

/// A number of eight bytes, left out where it is 0.
pub(super) fn put_fixed64(buffer: &mut Vec<u8>, field: Field, value: u64) {
    if value != 0 {
        buffer.push(field << 3 | FIXED64);
        buffer.extend_from_slice(&value.to_le_bytes());
    }
}

/// A number of four bytes, left out where it is 0.
pub(super) fn put_fixed32(buffer: &mut Vec<u8>, field: Field, value: u32) {
    if value != 0 {
        buffer.push(field << 3 | FIXED32);
        buffer.extend_from_slice(&value.to_le_bytes());
    }
}

/// A floating-point number, also where it is 0.
pub(super) fn put_double(buffer: &mut Vec<u8>, field: Field, value: f64) {
    buffer.push(field << 3 | FIXED64);
    buffer.extend_from_slice(&value.to_le_bytes());
}

/// A signed number as `sint32` writes it: small ones are short, whatever their sign.
pub(super) const fn zigzag(value: i32) -> u64 {
    ((value << 1) ^ (value >> 31)) as u32 as u64
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_gets_its_header_whatever_was_expected() {
        for content in [0, 1, 127, 128, 16_383, 16_384, 70_000] {
            for expected in [0, 127, 128, 16_384] {
                let (mut written, mut wanted) = (b"before".to_vec(), b"before".to_vec());
                let bytes: Vec<u8> = (0..content).map(|index| index as u8).collect();
                let put = |buffer: &mut Vec<u8>| {
                    buffer.extend(&bytes);
                    Ok::<_, Infallible>(bytes.len())
                };
                assert_eq!(put_message(&mut written, 3, expected, put), Ok(content));
                put_bytes(&mut wanted, 3, &bytes);
                assert_eq!(written, wanted, "{content} {expected}");
            }
        }
    }

    #[test]
    fn nothing_is_left_of_a_message_that_fails() {
        let mut buffer = b"before".to_vec();
        let failed = put_message(&mut buffer, 3, 0, |buffer| {
            buffer.push(7);
            Err::<(), _>("no")
        });
        assert_eq!((failed, &buffer[..]), (Err("no"), &b"before"[..]));
    }

    proptest! {
        #[test]
        fn numbers_are_as_prost_writes_them(value: u64, shift in 0_u32..64, signed: i32) {
            for value in [value, value >> shift] {
                let mut expected = Vec::new();
                prost::encoding::encode_varint(value, &mut expected);
                let mut written = Vec::new();
                put_varint(&mut written, value);
                prop_assert_eq!(varint_len(value), written.len());
                prop_assert_eq!(written, expected);
            }
            let mut expected = Vec::new();
            prost::encoding::sint32::encode(1, &signed, &mut expected);
            let mut written = Vec::new();
            put_any_number(&mut written, 1, zigzag(signed));
            prop_assert_eq!(written, expected);
        }
    }
}
