//! Character encodings: where lines end, and bytes to text.

use std::borrow::Cow;

use hornpipe_model::Body;
use memchr::{memchr, memrchr};
use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// How a file's bytes are text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Encoding {
    /// UTF-8. Bytes that are not are replaced (U+FFFD) when they are sent, and counted.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// UTF-16, least significant byte first.
    #[serde(rename = "utf-16le")]
    Utf16Le,
    /// UTF-16, most significant byte first.
    #[serde(rename = "utf-16be")]
    Utf16Be,
    /// Shift JIS, as Windows has it.
    #[serde(rename = "shift-jis")]
    ShiftJis,
    /// ISO 8859-1: each byte is the character of that number.
    #[serde(rename = "latin1")]
    Latin1,
    /// Not looked at: bytes go on as they are.
    #[serde(rename = "raw")]
    Raw,
}

const NAMES: [&str; 6] = ["utf-8", "utf-16le", "utf-16be", "shift-jis", "latin1", "raw"];

/// Whatever its case, and with or without `-` and `_`.
impl<'de> Deserialize<'de> for Encoding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Ok(match &*name.to_lowercase().replace(['-', '_'], "") {
            "utf8" | "ascii" | "usascii" => Encoding::Utf8,
            "utf16le" | "utf16" => Encoding::Utf16Le,
            "utf16be" => Encoding::Utf16Be,
            "shiftjis" | "sjis" => Encoding::ShiftJis,
            "latin1" | "iso88591" => Encoding::Latin1,
            "raw" | "nop" | "utf8raw" => Encoding::Raw,
            _ => return Err(D::Error::unknown_variant(&name, &NAMES)),
        })
    }
}

impl Encoding {
    /// Bytes of the smallest unit; a cut is made between units.
    pub(crate) fn unit(self) -> usize {
        if self.is_utf16() { 2 } else { 1 }
    }

    pub(crate) fn is_utf16(self) -> bool {
        matches!(self, Encoding::Utf16Le | Encoding::Utf16Be)
    }

    /// How many bytes at the beginning of a file only tell its encoding (byte order mark).
    pub(crate) fn byte_order_mark(self, head: &[u8]) -> usize {
        let mark: &[u8] = match self {
            Encoding::Utf8 => &[0xef, 0xbb, 0xbf],
            Encoding::Utf16Le => &[0xff, 0xfe],
            Encoding::Utf16Be => &[0xfe, 0xff],
            Encoding::ShiftJis | Encoding::Latin1 | Encoding::Raw => return 0,
        };
        if head.starts_with(mark) { mark.len() } else { 0 }
    }

    /// Where the first line break at or after `from` begins. `data` begins at a unit.
    pub(crate) fn find_newline(self, data: &[u8], from: usize) -> Option<usize> {
        let mut from = from;
        loop {
            let at = from + memchr(b'\n', data.get(from..)?)?;
            match self {
                Encoding::Utf16Le if at.is_multiple_of(2) && data.get(at + 1)? == &0 => return Some(at),
                Encoding::Utf16Be if !at.is_multiple_of(2) && data.get(at - 1)? == &0 => return Some(at - 1),
                Encoding::Utf16Le | Encoding::Utf16Be => from = at + 1,
                _ => return Some(at),
            }
        }
    }

    /// Takes a line break off the end, and the carriage return before it.
    pub(crate) fn without_newline(self, line: &[u8]) -> &[u8] {
        let (newline, carriage_return): (&[u8], &[u8]) = match self {
            Encoding::Utf16Le => (b"\n\0", b"\r\0"),
            Encoding::Utf16Be => (b"\0\n", b"\0\r"),
            _ => (b"\n", b"\r"),
        };
        match line.strip_suffix(newline) {
            Some(line) => line.strip_suffix(carriage_return).unwrap_or(line),
            None => line,
        }
    }

    /// The largest cut of at most `limit` bytes that is within no character.
    pub(crate) fn cut(self, data: &[u8], limit: usize) -> usize {
        let limit = limit.min(data.len());
        // Nothing but the rest of a character: it is not one of this encoding.
        Some(self.boundary(data, limit)).filter(|cut| *cut > 0).unwrap_or(limit)
    }

    /// How much of the data is whole characters: the last one may be on its way.
    pub(crate) fn whole(self, data: &[u8]) -> usize {
        let length = data.len();
        if self != Encoding::Utf8 {
            return self.boundary(data, length);
        }
        let is_cut_off = |at: &usize| {
            let wanted = match data.get(*at) {
                Some(0xc2..=0xdf) => 2,
                Some(0xe0..=0xef) => 3,
                Some(0xf0..=0xf4) => 4,
                _ => 1,
            };
            let behind = data.get(at + 1..).unwrap_or_default();
            at + wanted > length && behind.iter().all(|byte| byte & 0xc0 == 0x80)
        };
        (length.saturating_sub(3)..length).find(is_cut_off).unwrap_or(length)
    }

    /// The last place up to `limit` that is within no character.
    fn boundary(self, data: &[u8], limit: usize) -> usize {
        match self {
            Encoding::Utf8 => {
                let is_inside = |at: usize| data.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
                (limit.saturating_sub(3)..=limit).rev().find(|&at| !is_inside(at)).unwrap_or(limit)
            }
            Encoding::Utf16Le | Encoding::Utf16Be => {
                let even = limit - limit % 2;
                let high = if self == Encoding::Utf16Le { even.checked_sub(1) } else { even.checked_sub(2) };
                let splits_pair = high.and_then(|at| data.get(at)).is_some_and(|byte| byte & 0xfc == 0xd8);
                if splits_pair { even - 2 } else { even }
            }
            Encoding::ShiftJis => shift_jis_cut(data, limit),
            Encoding::Latin1 | Encoding::Raw => limit,
        }
    }

    /// The text of a line, to be matched with patterns.
    pub(crate) fn text(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Encoding::Utf8 | Encoding::Raw => Cow::Borrowed(bytes),
            _ => Cow::Owned(self.decode(bytes).into_bytes()),
        }
    }

    /// A record's body. Bytes that are no text in this encoding stay bytes in UTF-8, and are replaced elsewhere.
    pub(crate) fn body(self, bytes: &[u8]) -> Body {
        match self {
            Encoding::Utf8 => Body::from_bytes(bytes.to_vec()),
            Encoding::Raw => Body::Bytes(bytes.into()),
            _ => Body::Text(self.decode(bytes).into()),
        }
    }

    fn decode(self, bytes: &[u8]) -> String {
        let encoding = match self {
            Encoding::Utf16Le => encoding_rs::UTF_16LE,
            Encoding::Utf16Be => encoding_rs::UTF_16BE,
            Encoding::ShiftJis => encoding_rs::SHIFT_JIS,
            Encoding::Latin1 => return bytes.iter().map(|byte| char::from(*byte)).collect(),
            Encoding::Utf8 | Encoding::Raw => return String::from_utf8_lossy(bytes).into_owned(),
        };
        encoding.decode_without_bom_handling(bytes).0.into_owned()
    }
}

/// Shift JIS can only be read forwards: whether a byte leads depends on those before it. A line is read from its start.
fn shift_jis_cut(data: &[u8], limit: usize) -> usize {
    let line = data.get(..limit).and_then(|data| memrchr(b'\n', data)).map_or(0, |at| at + 1);
    let mut at = line;
    while at < limit {
        let leads = data.get(at).is_some_and(|byte| matches!(byte, 0x81..=0x9f | 0xe0..=0xfc));
        let next = at + if leads { 2 } else { 1 };
        if next > limit {
            break;
        }
        at = next;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_every_spelling_and_each_has_one_that_is_shown() {
        let named = |name: &str| serde_json::from_str::<Encoding>(&format!("{name:?}"));
        for (name, encoding) in [
            ("UTF-8", Encoding::Utf8),
            ("us-ascii", Encoding::Utf8),
            ("utf-16", Encoding::Utf16Le),
            ("UTF-16-BE", Encoding::Utf16Be),
            ("Shift_JIS", Encoding::ShiftJis),
            ("ISO-8859-1", Encoding::Latin1),
            ("nop", Encoding::Raw),
        ] {
            assert_eq!(named(name).unwrap(), encoding, "{name}");
        }
        for name in NAMES {
            assert_eq!(serde_json::to_string(&named(name).unwrap()).unwrap(), format!("{name:?}"));
        }
        assert!(named("ebcdic").unwrap_err().to_string().contains("`utf-16le`, `utf-16be`, `shift-jis`, `latin1`"));
    }

    fn utf16(text: &str, is_little: bool) -> Vec<u8> {
        text.encode_utf16().flat_map(|unit| if is_little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
    }

    #[test]
    fn lines_end_at_line_breaks_and_nowhere_else() {
        // U+0A0A and U+0A00 have the bytes of a line break in them; so has the second byte of nothing in Shift JIS.
        for is_little in [true, false] {
            let encoding = if is_little { Encoding::Utf16Le } else { Encoding::Utf16Be };
            let text = utf16("a\u{0a0a}\u{0a00}\u{000a}b", is_little);
            assert_eq!(encoding.find_newline(&text, 0), Some(6), "{encoding:?}");
            assert_eq!(encoding.find_newline(&text, 8), None, "{encoding:?}");
            let line = utf16("é\r\n", is_little);
            assert_eq!(encoding.without_newline(&line), utf16("é", is_little), "{encoding:?}");
        }
        assert_eq!(Encoding::Utf8.find_newline(b"ab\ncd\n", 3), Some(5));
        for (line, expected) in [("a\r\n", "a"), ("a\n", "a"), ("a\r", "a\r"), ("\n", ""), ("", ""), ("a\r\r\n", "a\r")]
        {
            assert_eq!(Encoding::Utf8.without_newline(line.as_bytes()), expected.as_bytes(), "{line:?}");
        }
    }

    #[test]
    fn a_cut_is_within_no_character() {
        let emoji = "ab\u{1f600}";
        for (encoding, data, limit, expected) in [
            (Encoding::Utf8, emoji.as_bytes().to_vec(), 6, 6),
            (Encoding::Utf8, emoji.as_bytes().to_vec(), 5, 2),
            (Encoding::Utf8, emoji.as_bytes().to_vec(), 3, 2),
            (Encoding::Utf8, vec![0x80; 10], 5, 5),
            (Encoding::Utf16Le, utf16(emoji, true), 6, 4),
            (Encoding::Utf16Be, utf16(emoji, false), 7, 4),
            (Encoding::Utf16Be, utf16(emoji, false), 8, 8),
            (Encoding::Utf16Le, utf16(emoji, true), 3, 2),
            (Encoding::ShiftJis, b"a\x82\xa0\x82\xa2".to_vec(), 4, 3),
            (Encoding::ShiftJis, b"\n\x82\xa0".to_vec(), 2, 1),
            (Encoding::Latin1, vec![0xe9; 4], 3, 3),
        ] {
            assert_eq!(encoding.cut(&data, limit), expected, "{encoding:?} {data:?} {limit}");
        }
    }

    #[test]
    fn a_character_of_which_a_part_is_there_is_not_whole() {
        let emoji = "ab\u{1f600}";
        for (encoding, data, expected) in [
            (Encoding::Utf8, emoji.as_bytes().to_vec(), 6),
            (Encoding::Utf8, emoji.as_bytes()[..5].to_vec(), 2),
            (Encoding::Utf8, emoji.as_bytes()[..3].to_vec(), 2),
            (Encoding::Utf8, vec![0xc3], 0),
            (Encoding::Utf8, vec![b'a', 0xe9, b'b'], 3),
            (Encoding::Utf8, vec![0x80, 0xff], 2),
            (Encoding::Utf16Le, utf16(emoji, true)[..7].to_vec(), 4),
            (Encoding::Utf16Be, utf16(emoji, false)[..1].to_vec(), 0),
            (Encoding::Utf16Be, utf16(emoji, false), 8),
            (Encoding::ShiftJis, b"a\x82".to_vec(), 1),
            (Encoding::Latin1, vec![0xe9], 1),
        ] {
            assert_eq!(encoding.whole(&data), expected, "{encoding:?} {data:?}");
        }
    }

    #[test]
    fn bytes_become_text() {
        for (encoding, bytes, expected) in [
            (Encoding::Utf8, "é".as_bytes().to_vec(), Body::Text("é".into())),
            (Encoding::Utf8, vec![0xff], Body::Bytes([0xff].into())),
            (Encoding::Raw, b"a".to_vec(), Body::Bytes([b'a'].into())),
            (Encoding::Latin1, vec![0xe9, 0x80], Body::Text("é\u{80}".into())),
            (Encoding::ShiftJis, vec![0x82, 0xa0], Body::Text("あ".into())),
            (Encoding::Utf16Le, utf16("é😀", true), Body::Text("é😀".into())),
            (Encoding::Utf16Be, utf16("é😀", false), Body::Text("é😀".into())),
            (Encoding::Utf16Be, vec![0xd8], Body::Text("\u{fffd}".into())),
        ] {
            assert_eq!(encoding.body(&bytes), expected, "{encoding:?} {bytes:?}");
        }
    }

    #[test]
    fn byte_order_marks_are_known() {
        for (encoding, head, expected) in [
            (Encoding::Utf8, &[0xef, 0xbb, 0xbf, b'a'][..], 3),
            (Encoding::Utf8, &[0xef, 0xbb], 0),
            (Encoding::Utf16Le, &[0xff, 0xfe], 2),
            (Encoding::Utf16Be, &[0xfe, 0xff], 2),
            (Encoding::Utf16Be, &[0xff, 0xfe], 0),
            (Encoding::Raw, &[0xef, 0xbb, 0xbf], 0),
        ] {
            assert_eq!(encoding.byte_order_mark(head), expected, "{encoding:?}");
        }
    }

    #[test]
    fn names_are_the_collectors_and_the_agents() {
        for (name, expected) in [
            ("utf-8", Encoding::Utf8),
            ("ascii", Encoding::Utf8),
            ("utf-16le", Encoding::Utf16Le),
            ("utf-16-le", Encoding::Utf16Le),
            ("utf-16be", Encoding::Utf16Be),
            ("shift-jis", Encoding::ShiftJis),
            ("latin1", Encoding::Latin1),
            ("raw", Encoding::Raw),
            ("utf-8-raw", Encoding::Raw),
            ("nop", Encoding::Raw),
        ] {
            assert_eq!(serde_json::from_value::<Encoding>(name.into()).unwrap(), expected, "{name}");
        }
    }
}
