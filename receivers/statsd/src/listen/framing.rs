//! From the bytes of a stream to messages, wherever the reads cut them.

use memchr::memrchr;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Piece;
use crate::parse::split_once;
use crate::reason;

/// How a stream is cut into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Framing {
    /// A length of four bytes, least significant first, before each message, as DogStatsD does it.
    Length,
    /// A line break after each line.
    Newline,
}

/// The bytes of a length.
const LENGTH: usize = 4;

/// A length above this is none: the client writes lines without lengths, whose first letters look like one.
const LARGEST_PLAUSIBLE: usize = 16 << 20;

/// How much of a frame that is too long is shown.
const SHOWN: usize = 100;

/// What one connection has sent of a message that is not complete. It takes no memory while there is none.
#[derive(Debug)]
pub(crate) struct Framer {
    framing: Framing,
    /// The longest line or frame.
    largest: usize,
    /// The beginning of a message; of a frame with its length.
    tail: Vec<u8>,
    /// Bytes to come of a frame that is too long.
    skipped_bytes: usize,
    /// True until the end of a line that is too long.
    skips_line: bool,
}

impl Framer {
    pub(crate) fn new(framing: Framing, largest: usize) -> Self {
        Framer { framing, largest, tail: Vec::new(), skipped_bytes: 0, skips_line: false }
    }

    /// The memory that the unfinished message takes.
    pub(crate) fn bytes(&self) -> usize {
        self.tail.capacity()
    }

    /// Shows the messages that `data` completes, and what is too long once. At most `largest` bytes at a time. False
    /// where the stream makes no sense any more.
    pub(crate) fn feed(&mut self, data: &[u8], take: &mut impl FnMut(Piece<'_>)) -> bool {
        debug_assert!(data.len() <= self.largest, "a line within the data is not measured");
        match self.framing {
            Framing::Length => self.feed_frames(data, take),
            Framing::Newline => {
                self.feed_lines(data, take);
                true
            }
        }
    }

    /// The stream has ended, by the client's wish (`complete`) or not. A last line needs no line break.
    pub(crate) fn finish(self, complete: bool, take: &mut impl FnMut(Piece<'_>)) {
        match self.framing {
            _ if self.tail.is_empty() => {}
            Framing::Newline if complete => take(Piece::whole(&self.tail)),
            Framing::Newline => take(Piece::Bad { beginning: &self.tail, reason: reason::UNFINISHED }),
            Framing::Length => {
                let beginning = self.tail.get(LENGTH..).unwrap_or_default();
                take(Piece::Bad { beginning, reason: reason::UNFINISHED });
            }
        }
    }

    fn feed_lines(&mut self, mut data: &[u8], take: &mut impl FnMut(Piece<'_>)) {
        if self.skips_line {
            let Some((_, rest)) = split_once(data, b'\n') else { return };
            self.skips_line = false;
            data = rest;
        }
        if !self.tail.is_empty() {
            let end = split_once(data, b'\n');
            self.extend_line(end.map_or(data, |(line, _)| line), take);
            let Some((_, rest)) = end else { return };
            data = rest;
            self.skips_line = false;
            let line = std::mem::take(&mut self.tail);
            if !line.is_empty() {
                take(Piece::whole(&line));
            }
        }
        let (lines, rest) = data.split_at(memrchr(b'\n', data).map_or(0, |end| end + 1));
        if !lines.is_empty() {
            take(Piece::whole(lines));
        }
        self.extend_line(rest, take);
    }

    /// Adds to the line that is not complete, or gives it up.
    fn extend_line(&mut self, more: &[u8], take: &mut impl FnMut(Piece<'_>)) {
        if self.tail.len() + more.len() <= self.largest {
            self.tail.extend_from_slice(more);
            return;
        }
        let beginning = std::mem::take(&mut self.tail);
        take(Piece::Bad { beginning: &beginning, reason: reason::TOO_LONG });
        self.skips_line = true;
    }

    fn feed_frames(&mut self, mut data: &[u8], take: &mut impl FnMut(Piece<'_>)) -> bool {
        loop {
            data = drop_first(data, &mut self.skipped_bytes);
            if self.tail.is_empty() {
                while let Some((frame, rest)) = whole_frame(data, self.largest) {
                    take(Piece::whole(frame));
                    data = rest;
                }
            }
            data = self.extend_tail(data, LENGTH);
            let Some(length) = frame_length(&self.tail) else { return true };
            if length > self.largest {
                let mut beginning = std::mem::take(&mut self.tail);
                beginning.extend(data.iter().take(SHOWN));
                // The length is shown where it seems to be text.
                let is_plausible = length <= LARGEST_PLAUSIBLE;
                let shown = if is_plausible { beginning.get(LENGTH..).unwrap_or_default() } else { &beginning };
                take(Piece::Bad { beginning: shown, reason: reason::TOO_LONG });
                self.skipped_bytes = length;
                if !is_plausible {
                    return false;
                }
                continue;
            }
            data = self.extend_tail(data, LENGTH + length);
            if self.tail.len() < LENGTH + length {
                return true;
            }
            let frame = std::mem::take(&mut self.tail);
            take(Piece::whole(frame.get(LENGTH..).unwrap_or_default()));
        }
    }

    /// Moves bytes to the tail until it has `length`; the bytes that are left.
    fn extend_tail<'a>(&mut self, data: &'a [u8], length: usize) -> &'a [u8] {
        let missing = length.saturating_sub(self.tail.len()).min(data.len());
        let (moved, rest) = data.split_at(missing);
        self.tail.extend_from_slice(moved);
        rest
    }
}

/// Drops as many of `count` bytes as there are.
fn drop_first<'a>(data: &'a [u8], count: &mut usize) -> &'a [u8] {
    let (dropped, rest) = data.split_at(data.len().min(*count));
    *count -= dropped.len();
    rest
}

fn frame_length(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(*bytes.first_chunk::<LENGTH>()?);
    Some(usize::try_from(length).unwrap_or(usize::MAX))
}

/// The frame at the beginning, if all of it is there, and what follows.
fn whole_frame(data: &[u8], largest: usize) -> Option<(&[u8], &[u8])> {
    let length = frame_length(data).filter(|length| *length <= largest)?;
    data.get(LENGTH..)?.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LARGEST: usize = 20;

    /// A good line, or nothing and why it was dropped.
    type Line = (Vec<u8>, Option<&'static str>);

    /// What a stream that comes in these parts gives, and whether it makes sense.
    fn read(framing: Framing, parts: &[&[u8]], complete: bool) -> (Vec<Line>, bool) {
        let mut framer = Framer::new(framing, LARGEST);
        let mut seen = Vec::new();
        let mut take = |piece: Piece<'_>| match piece {
            Piece::Packet { payload, .. } => seen.extend(
                payload.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| (line.to_vec(), None)),
            ),
            Piece::Bad { reason, .. } => seen.push((Vec::new(), Some(reason))),
        };
        let makes_sense = parts.iter().flat_map(|part| part.chunks(LARGEST)).all(|part| framer.feed(part, &mut take));
        framer.finish(complete, &mut take);
        (seen, makes_sense)
    }

    fn good(text: &str) -> Line {
        (text.as_bytes().to_vec(), None)
    }

    fn frame(text: &str) -> Vec<u8> {
        [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
    }

    #[test]
    fn a_last_line_without_its_end_counts_where_the_client_closed() {
        let parts: &[&[u8]] = &[b"a:1|c\nb:", b"2|c\r\nc:3|c"];
        let lines = [good("a:1|c"), good("b:2|c\r"), good("c:3|c")];
        assert_eq!(read(Framing::Newline, parts, true), (lines.to_vec(), true));
        let broken = [good("a:1|c"), good("b:2|c\r"), (Vec::new(), Some(reason::UNFINISHED))];
        assert_eq!(read(Framing::Newline, parts, false), (broken.to_vec(), true));
    }

    #[test]
    fn what_is_too_long_counts_once_and_the_next_is_whole() {
        let too_long = || (Vec::new(), Some(reason::TOO_LONG));
        let long = "x".repeat(50);
        let lines = format!("a\n{long}\nb\n{}\n{}\n", "y".repeat(LARGEST), "z".repeat(LARGEST + 1));
        let expected = vec![good("a"), too_long(), good("b"), good(&"y".repeat(LARGEST)), too_long()];
        assert_eq!(read(Framing::Newline, &[lines.as_bytes()], true), (expected, true));
        let frames = [frame("a\nb"), frame(&long), frame(""), frame(&"y".repeat(LARGEST)), frame("c")].concat();
        let expected = vec![good("a"), good("b"), too_long(), good(&"y".repeat(LARGEST)), good("c")];
        assert_eq!(read(Framing::Length, &[&frames], true), (expected, true));
    }

    #[test]
    fn a_length_that_is_text_ends_the_connection_and_a_cut_frame_is_counted() {
        let (seen, makes_sense) = read(Framing::Length, &[b"gunicorn.requests:1|c\n"], true);
        assert_eq!((seen, makes_sense), (vec![(Vec::new(), Some(reason::TOO_LONG))], false));
        let cut = [frame("a:1|c"), vec![9, 0, 0, 0, b'x']].concat();
        let expected = vec![good("a:1|c"), (Vec::new(), Some(reason::UNFINISHED))];
        assert_eq!(read(Framing::Length, &[&cut], true), (expected, true));
    }

    #[test]
    fn a_framer_between_messages_has_no_memory() {
        let mut framer = Framer::new(Framing::Newline, LARGEST);
        framer.feed(b"a:1", &mut |_| {});
        framer.feed(b"|c\n", &mut |_| {});
        assert_eq!(framer.tail.capacity(), 0);
    }

    proptest! {
        #[test]
        fn where_the_reads_cut_makes_no_difference(
            messages in proptest::collection::vec("[a-c|:1\n]{0,30}", 0..12),
            cuts in proptest::collection::vec(0..400_usize, 0..20),
            complete: bool,
            framed: bool,
        ) {
            let framing = if framed { Framing::Length } else { Framing::Newline };
            let bytes: Vec<u8> = match framing {
                Framing::Length => messages.iter().flat_map(|message| frame(message)).collect(),
                Framing::Newline => messages.concat().into_bytes(),
            };
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let whole = read(framing, &[&bytes], complete);
            prop_assert_eq!(read(framing, &parts, complete), whole.clone());
            let lines = messages.iter().filter(|message| !framed || message.len() <= LARGEST);
            let text = if framed { lines.cloned().collect::<Vec<_>>().join("\n") } else { messages.concat() };
            let fits = |line: &&str| !line.is_empty() && (framed || line.len() <= LARGEST);
            let expected: Vec<&str> = text.split('\n').filter(fits).collect();
            let good: Vec<String> = whole.0.into_iter().filter(|(_, reason)| reason.is_none())
                .map(|(line, _)| String::from_utf8(line).unwrap()).collect();
            // A last line without its end is dropped where the connection broke.
            let dropped = usize::from(!complete && !framed && !text.ends_with('\n') && text.rsplit('\n').next().is_some_and(|last| fits(&last)));
            prop_assert_eq!(good, expected[..expected.len() - dropped].to_vec());
        }
    }
}
