//! Writes JSON straight into a buffer: the few forms that log records need often.

/// So many bytes of a text are looked at together, and a bit of a word says of each whether it is to be escaped.
const BLOCK: usize = 64;
/// So many bytes are copied at once, also where fewer are wanted: what comes next overwrites the rest.
const STEP: usize = 32;
/// Texts below this length are written byte by byte.
const SHORT: usize = 16;

/// Appends a text in quotes; `"`, `\` and what is below space are escaped.
///
/// A traceback has an escape every thirty bytes, at distances that no processor foresees. So that it has little to foresee,
/// the escapes of a [`BLOCK`] are found without a branch, and what lies between two is copied in steps of one size. A byte
/// at a time, as serde_json does it, a line of an access log costs three times as much; to search for the next escape
/// and to copy what is before it makes a traceback a third dearer.
pub(crate) fn string(buffer: &mut Vec<u8>, text: &str) {
    buffer.push(b'"');
    let mut rest = text.as_bytes();
    if rest.len() < SHORT {
        rest.iter().for_each(|&byte| short(buffer, byte));
    } else {
        let mut end = buffer.len();
        buffer.resize(end + rest.len() + rest.len() / 8 + BLOCK, 0);
        while rest.len() >= BLOCK + STEP {
            end = block(buffer, end, rest, BLOCK);
            rest = &rest[BLOCK..];
        }
        let mut padded = [b' '; 2 * BLOCK + STEP];
        padded[..rest.len()].copy_from_slice(rest);
        end = block(buffer, end, &padded, rest.len().min(BLOCK));
        if rest.len() > BLOCK {
            end = block(buffer, end, &padded[BLOCK..], rest.len() - BLOCK);
        }
        buffer.truncate(end);
    }
    buffer.push(b'"');
}

/// Appends one byte.
fn short(buffer: &mut Vec<u8>, byte: u8) {
    if is_escaped(byte) {
        let escape = &ESCAPES[usize::from(byte)];
        buffer.extend_from_slice(&escape[..usize::from(escape[LENGTH])]);
    } else {
        buffer.push(byte);
    }
}

/// Writes the first `length` bytes of a text at `end`, and returns where they end. At least [`BLOCK`] and [`STEP`] bytes of
/// text are there; behind the end the buffer holds anything.
#[inline(always)]
fn block(buffer: &mut Vec<u8>, mut end: usize, text: &[u8], length: usize) -> usize {
    let Some(block) = text.first_chunk::<BLOCK>() else { return end };
    let mut marks = marks(block);
    let needed = end + BLOCK + STEP + LONGEST * marks.count_ones() as usize;
    if buffer.len() < needed {
        buffer.resize(needed + text.len(), 0);
    }
    let mut from = 0;
    while marks != 0 {
        let index = marks.trailing_zeros() as usize;
        marks &= marks - 1;
        copy(buffer, end, &text[from..], index - from);
        end += index - from;
        let escape = &ESCAPES[usize::from(block[index]) % ESCAPES.len()];
        if let Some(place) = buffer[end..].first_chunk_mut() {
            *place = *escape;
        }
        end += usize::from(escape[LENGTH]);
        from = index + 1;
    }
    copy(buffer, end, &text[from..], length - from);
    end + length - from
}

/// Copies at least so many bytes, in steps.
#[inline(always)]
fn copy(buffer: &mut [u8], end: usize, text: &[u8], length: usize) {
    let mut done = 0;
    while done < length {
        if let (Some(place), Some(step)) =
            (buffer[end + done..].first_chunk_mut::<STEP>(), text[done..].first_chunk::<STEP>())
        {
            *place = *step;
        }
        done += STEP;
    }
}

/// A bit for each byte that is to be escaped, the lowest for the first. The processor has an instruction that gathers sixteen of
/// them; without it a traceback takes a tenth longer to encode.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)] // The one place in this crate.
#[inline(always)]
fn marks(block: &[u8; BLOCK]) -> u64 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };

    let sixteen = |bytes: &[u8; 16]| {
        // SAFETY: every x86-64 processor has SSE2, whose instructions these are. The load is of the sixteen bytes that are lent, and
        // needs no alignment; the others take values.
        unsafe {
            let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
            let is = |byte: u8| _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte as i8));
            let is_control = _mm_cmpeq_epi8(bytes, _mm_min_epu8(bytes, _mm_set1_epi8(0x1f)));
            _mm_movemask_epi8(_mm_or_si128(is_control, _mm_or_si128(is(b'"'), is(b'\\')))) as u64
        }
    };
    let parts = block.as_chunks::<16>().0.iter().enumerate();
    parts.fold(0, |marks, (index, bytes)| marks | sixteen(bytes) << (16 * index))
}

/// A bit for each byte that is to be escaped, the lowest for the first.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn marks(block: &[u8; BLOCK]) -> u64 {
    /// Moves the lowest bits of eight bytes into the top byte, in order.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let flags = block.map(|byte| u8::from(is_escaped(byte)));
    let words = flags.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word).wrapping_mul(GATHER) >> 56);
    words.enumerate().fold(0, |marks, (index, byte)| marks | byte << (8 * index))
}

/// Without a branch, so that the compiler looks at many bytes at once.
#[inline(always)]
fn is_escaped(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

/// Where an entry of [`ESCAPES`] has its length.
const LENGTH: usize = 7;
/// The most bytes of an escape.
const LONGEST: usize = 6;

/// The escape of each byte, and in the last place its length.
const ESCAPES: [[u8; 8]; 128] = {
    let mut escapes = [[0; 8]; 128];
    let mut byte = 0;
    while byte < escapes.len() {
        let letter = match byte as u8 {
            same @ (b'"' | b'\\') => same,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            _ => 0,
        };
        let digits = b"0123456789abcdef";
        escapes[byte] = match letter {
            0 => [b'\\', b'u', b'0', b'0', digits[byte >> 4], digits[byte & 15], 0, 6],
            _ => [b'\\', letter, 0, 0, 0, 0, 0, 2],
        };
        byte += 1;
    }
    escapes
};

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
            for before in [0, 1, 7, 15, 16, 31, 32, 33, 63, 64, 95, 96, 127, 128] {
                for after in [0, 8, 63, 64, 100] {
                    let text = format!("{}{character}{}", "x".repeat(before), "y".repeat(after));
                    assert_eq!(written(&text), serde_json::to_string(&text).unwrap(), "{character:?} at {before}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_written_as_serde_json_writes_it(text in "(?s)(.|[\\x00-\\x1f\"\\\\]|[a-z]{20}){0,60}") {
            prop_assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
        }
    }
}
