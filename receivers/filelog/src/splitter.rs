//! Cuts a file's bytes into records.

use std::ops::Range;

use regex::bytes::Regex;

use crate::encoding::Encoding;

/// What makes several lines one record.
#[derive(Clone, Debug)]
pub(crate) enum Multiline {
    /// A record begins with each line that matches.
    Start(Regex),
    /// A record ends with each line that matches.
    End(Regex),
}

/// How a file's bytes are cut.
#[derive(Clone, Debug)]
pub(crate) struct Splitter {
    pub(crate) encoding: Encoding,
    pub(crate) multiline: Option<Multiline>,
    /// True to leave out what the pattern of `multiline` matches.
    pub(crate) omits_pattern: bool,
    /// Most bytes of a record; a longer one is cut into parts.
    pub(crate) max_bytes: usize,
}

/// A record in the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// How many bytes it takes from the data, line break included.
    pub(crate) consumed: usize,
    /// What of these is its text.
    pub(crate) text: Range<usize>,
    /// True where it is longer than allowed, and this is not its last part.
    pub(crate) continues: bool,
}

impl Splitter {
    /// The record at the beginning of `data`, once it is complete; with `flush` also when it is not. The lines up to
    /// `scanned` are known not to complete it; that is kept up to date, and starts at 0 for each record.
    pub(crate) fn next(&self, data: &[u8], scanned: &mut usize, flush: bool) -> Option<Record> {
        let end = self.find_end(data, scanned).or_else(|| self.last_line_start(data, *scanned).filter(|_| flush));
        let complete = end.unwrap_or(data.len());
        let text = self.encoding.without_newline(data.get(..complete)?).len();
        if text > self.max_bytes {
            let cut = self.encoding.cut(data, self.max_bytes);
            *scanned = scanned.saturating_sub(cut);
            return Some(Record { consumed: cut, text: 0..cut, continues: true });
        }
        if end.is_none() && (!flush || data.is_empty()) {
            return None;
        }
        *scanned = 0;
        Some(Record { consumed: complete, text: self.omit(data, 0..text), continues: false })
    }

    /// Where the record ends, line break included.
    fn find_end(&self, data: &[u8], scanned: &mut usize) -> Option<usize> {
        let unit = self.encoding.unit();
        loop {
            let line_start = *scanned;
            let line_end = self.encoding.find_newline(data, line_start)? + unit;
            let line = self.encoding.without_newline(data.get(line_start..line_end)?);
            match &self.multiline {
                None => return Some(line_end),
                Some(Multiline::Start(pattern)) => {
                    if line_start > 0 && pattern.is_match(&self.encoding.text(line)) {
                        return Some(line_start);
                    }
                }
                Some(Multiline::End(pattern)) => {
                    if pattern.is_match(&self.encoding.text(line)) {
                        return Some(line_end);
                    }
                }
            }
            *scanned = line_end;
        }
    }

    /// Where the last line starts, which has no line break yet, if another record begins with it.
    fn last_line_start(&self, data: &[u8], line_start: usize) -> Option<usize> {
        let Some(Multiline::Start(pattern)) = &self.multiline else { return None };
        let line = data.get(line_start..).filter(|_| line_start > 0)?;
        pattern.is_match(&self.encoding.text(line)).then_some(line_start)
    }

    /// What is left of a record without the text that the pattern matches. A record of an encoding other than UTF-8 keeps it:
    /// a place in the decoded text is none in the bytes.
    fn omit(&self, data: &[u8], text: Range<usize>) -> Range<usize> {
        let Some(multiline) = self.multiline.as_ref().filter(|_| self.omits_pattern) else { return text };
        let record = data.get(text.clone()).unwrap_or_default();
        match multiline {
            Multiline::Start(pattern) => match pattern.find(record) {
                Some(found) if found.start() == 0 => text.start + found.end()..text.end,
                _ => text,
            },
            Multiline::End(pattern) => {
                let last_line = memchr::memrchr(b'\n', record).map_or(0, |at| at + 1);
                match pattern.find(record.get(last_line..).unwrap_or_default()) {
                    Some(found) => text.start..text.start + last_line + found.start(),
                    None => text,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splitter(multiline: Option<Multiline>, max_bytes: usize) -> Splitter {
        Splitter { encoding: Encoding::Utf8, multiline, omits_pattern: false, max_bytes }
    }

    fn start(pattern: &str) -> Option<Multiline> {
        Some(Multiline::Start(Regex::new(&format!("^(?:{pattern})")).unwrap()))
    }

    fn end(pattern: &str) -> Option<Multiline> {
        Some(Multiline::End(Regex::new(pattern).unwrap()))
    }

    /// The records of a text that comes in pieces of `step` bytes, then a flush; parts that go on end with `~`.
    fn split(splitter: &Splitter, text: &str, step: usize) -> Vec<String> {
        let (mut records, mut data, mut scanned) = (Vec::new(), Vec::new(), 0);
        let mut pieces = text.as_bytes().chunks(step).peekable();
        loop {
            let piece = pieces.next();
            data.extend_from_slice(piece.unwrap_or_default());
            while let Some(record) = splitter.next(&data, &mut scanned, piece.is_none()) {
                let mark = if record.continues { "~" } else { "" };
                records.push(format!("{}{mark}", String::from_utf8_lossy(&data[record.text])));
                data.drain(..record.consumed);
            }
            if piece.is_none() {
                assert_eq!((data.len(), scanned), (0, 0), "a flush leaves nothing");
                return records;
            }
        }
    }

    #[test]
    fn records_are_the_same_however_the_bytes_come() {
        let date = r"\[\d{4}-\d{2}-\d{2}";
        for (multiline, max_bytes, text, expected) in [
            (None, 100, "a\nb\r\n\nc", &["a", "b", "", "c"][..]),
            (None, 3, "abcdefgh\nij\n", &["abc~", "def~", "gh", "ij"]),
            (None, 3, "abc\nabcd\n", &["abc", "abc~", "d"]),
            (None, 5, "abééé\n", &["abé~", "éé"]),
            (
                start(date),
                100,
                "[2026-01-02] a\n  b\n\n  c\n[2026-01-03] d\n",
                &["[2026-01-02] a\n  b\n\n  c", "[2026-01-03] d"],
            ),
            (start(date), 100, "tail\n[2026-01-03] d", &["tail", "[2026-01-03] d"]),
            (start("a|b"), 100, "a1\nxa\nb1\n", &["a1\nxa", "b1"]),
            (start("a"), 4, "a12345\na\n", &["a123~", "45", "a"]),
            (end("END"), 100, "a\nb END\nc\nEND\nd", &["a\nb END", "c\nEND", "d"]),
            (None, 100, "", &[]),
        ] {
            for step in [1, 2, 3, 7, 1000] {
                assert_eq!(split(&splitter(multiline.clone(), max_bytes), text, step), expected, "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn the_pattern_can_be_left_out() {
        for (multiline, text, expected) in
            [(start("#+ "), "# a\nb\n## c\n", &["a\nb", "c"][..]), (end("--$"), "a\nb--\nc--\n", &["a\nb", "c"])]
        {
            let splitter = Splitter { omits_pattern: true, ..splitter(multiline, 100) };
            assert_eq!(split(&splitter, text, 100), expected);
        }
    }

    #[test]
    fn lines_of_utf_16_are_cut_and_matched_as_text() {
        let text: Vec<u8> =
            "[2026-01-02] a\r\n  ä\n[2026-01-03] b\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let splitter = Splitter { encoding: Encoding::Utf16Le, ..splitter(start(r"\[\d{4}"), 1000) };
        let mut scanned = 0;
        let first = splitter.next(&text, &mut scanned, false).unwrap();
        assert_eq!(Encoding::Utf16Le.body(&text[first.text]).text().unwrap(), "[2026-01-02] a\r\n  ä");
        assert_eq!(splitter.next(&text[first.consumed..], &mut scanned, false), None, "the last record may go on");
        let last = splitter.next(&text[first.consumed..], &mut scanned, true).unwrap();
        assert_eq!(Encoding::Utf16Le.body(&text[first.consumed..][last.text]).text().unwrap(), "[2026-01-03] b");
    }
}
