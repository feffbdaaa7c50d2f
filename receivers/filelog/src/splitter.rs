//! Cuts a file's bytes into lines.

use crate::encoding::Encoding;

/// How a file's bytes are cut.
#[derive(Clone, Debug)]
pub(crate) struct Splitter {
    pub(crate) encoding: Encoding,
    /// Most bytes of a line; a longer one is cut into parts.
    pub(crate) max_bytes: usize,
}

/// A line in the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// How many bytes it takes from the data, line break included.
    pub(crate) consumed: usize,
    /// How many of these are its text.
    pub(crate) text: usize,
    /// True where it is longer than allowed, and this is not its last part.
    pub(crate) continues: bool,
}

/// What becomes of a line whose end has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    /// It waits.
    Nothing,
    /// Its whole characters go; the rest of the last one may still come.
    Characters,
    /// It goes as it is.
    All,
}

impl Splitter {
    /// The line at the beginning of `data`, once it is complete; what of it goes by `flush` also when it is not.
    pub(crate) fn next(&self, data: &[u8], flush: Flush) -> Option<Line> {
        let end = self.encoding.find_newline(data, 0).map(|at| at + self.encoding.unit());
        let complete = end.unwrap_or(data.len());
        let text = self.encoding.without_newline(data.get(..complete)?).len();
        if text > self.max_bytes {
            let cut = self.encoding.cut(data, self.max_bytes);
            return Some(Line { consumed: cut, text: cut, continues: true });
        }
        if end.is_some() {
            return Some(Line { consumed: complete, text, continues: false });
        }
        let goes = match flush {
            Flush::Nothing => 0,
            Flush::Characters => self.encoding.whole(data),
            Flush::All => data.len(),
        };
        (goes > 0).then_some(Line { consumed: goes, text: goes, continues: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a text that comes in pieces of `step` bytes, then a flush; parts that go on end with `~`.
    fn split(splitter: &Splitter, text: &str, step: usize) -> Vec<String> {
        let (mut lines, mut data) = (Vec::new(), Vec::new());
        let mut pieces = text.as_bytes().chunks(step).peekable();
        loop {
            let piece = pieces.next();
            data.extend_from_slice(piece.unwrap_or_default());
            let flush = if piece.is_none() { Flush::All } else { Flush::Nothing };
            while let Some(line) = splitter.next(&data, flush) {
                let mark = if line.continues { "~" } else { "" };
                lines.push(format!("{}{mark}", String::from_utf8_lossy(&data[..line.text])));
                data.drain(..line.consumed);
            }
            if piece.is_none() {
                assert_eq!(data.len(), 0, "a flush leaves nothing");
                return lines;
            }
        }
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_come() {
        for (max_bytes, text, expected) in [
            (100, "a\nb\r\n\nc", &["a", "b", "", "c"][..]),
            (3, "abcdefgh\nij\n", &["abc~", "def~", "gh", "ij"]),
            (3, "abc\nabcd\n", &["abc", "abc~", "d"]),
            (5, "abééé\n", &["abé~", "éé"]),
            (100, "", &[]),
        ] {
            for step in [1, 2, 3, 7, 1000] {
                let splitter = Splitter { encoding: Encoding::Utf8, max_bytes };
                assert_eq!(split(&splitter, text, step), expected, "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn lines_of_utf_16_are_cut_as_text() {
        let text: Vec<u8> = "aä\r\n\u{0a0a}b\nc".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let splitter = Splitter { encoding: Encoding::Utf16Le, max_bytes: 100 };
        let first = splitter.next(&text, Flush::Nothing).unwrap();
        assert_eq!(Encoding::Utf16Le.body(&text[..first.text]).text().unwrap(), "aä");
        let rest = &text[first.consumed..];
        let second = splitter.next(rest, Flush::Nothing).unwrap();
        assert_eq!(Encoding::Utf16Le.body(&rest[..second.text]).text().unwrap(), "\u{0a0a}b");
        assert_eq!(splitter.next(&rest[second.consumed..], Flush::Nothing), None, "the last line may go on");
    }
}
