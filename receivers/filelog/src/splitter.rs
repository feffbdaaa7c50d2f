//! Cuts a file's bytes into records.

use hornpipe_engine::logs::Boundary;

use crate::encoding::Encoding;

/// How a file's bytes are cut.
#[derive(Clone, Debug)]
pub(crate) struct Splitter {
    pub(crate) encoding: Encoding,
    /// What makes several lines one record.
    pub(crate) boundary: Option<Boundary>,
    /// Most bytes of a record; a longer one is cut into parts.
    pub(crate) max_bytes: usize,
}

/// A record in the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// How many bytes it takes from the data, line break included.
    pub(crate) consumed: usize,
    /// How many of these are its text.
    pub(crate) text: usize,
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
            return Some(Record { consumed: cut, text: cut, continues: true });
        }
        if end.is_none() && (!flush || data.is_empty()) {
            return None;
        }
        *scanned = 0;
        Some(Record { consumed: complete, text, continues: false })
    }

    /// Where the record ends, line break included.
    fn find_end(&self, data: &[u8], scanned: &mut usize) -> Option<usize> {
        loop {
            let line_start = *scanned;
            let line_end = self.encoding.find_newline(data, line_start)? + self.encoding.unit();
            let Some(boundary) = &self.boundary else { return Some(line_end) };
            let line = self.encoding.text(self.encoding.without_newline(data.get(line_start..line_end)?));
            if line_start > 0 && boundary.starts(&line) {
                return Some(line_start);
            }
            if boundary.ends(&line) {
                return Some(line_end);
            }
            *scanned = line_end;
        }
    }

    /// Where the last line starts, which has no line break yet, if another record begins with it.
    fn last_line_start(&self, data: &[u8], line_start: usize) -> Option<usize> {
        let line = data.get(line_start..).filter(|_| line_start > 0)?;
        self.boundary.as_ref()?.starts(&self.encoding.text(line)).then_some(line_start)
    }
}

#[cfg(test)]
mod tests {
    use hornpipe_engine::config::Report;

    use super::*;

    fn splitter(boundary: Option<Boundary>, max_bytes: usize) -> Splitter {
        Splitter { encoding: Encoding::Utf8, boundary, max_bytes }
    }

    fn start(pattern: &str) -> Option<Boundary> {
        Boundary::from_options(pattern, "", false, "multiline", &mut Report::new())
    }

    fn end(pattern: &str) -> Option<Boundary> {
        Boundary::from_options("", pattern, false, "multiline", &mut Report::new())
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
                records.push(format!("{}{mark}", String::from_utf8_lossy(&data[..record.text])));
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
        for (boundary, max_bytes, text, expected) in [
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
                assert_eq!(split(&splitter(boundary.clone(), max_bytes), text, step), expected, "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn lines_of_utf_16_are_cut_and_matched_as_text() {
        let text: Vec<u8> =
            "[2026-01-02] a\r\n  ä\n[2026-01-03] b\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let splitter = Splitter { encoding: Encoding::Utf16Le, ..splitter(start(r"\[\d{4}"), 1000) };
        let mut scanned = 0;
        let first = splitter.next(&text, &mut scanned, false).unwrap();
        assert_eq!(Encoding::Utf16Le.body(&text[..first.text]).text().unwrap(), "[2026-01-02] a\r\n  ä");
        assert_eq!(splitter.next(&text[first.consumed..], &mut scanned, false), None, "the last record may go on");
        let last = splitter.next(&text[first.consumed..], &mut scanned, true).unwrap();
        assert_eq!(Encoding::Utf16Le.body(&text[first.consumed..][..last.text]).text().unwrap(), "[2026-01-03] b");
    }
}
