//! Lines that were dropped: how many for which reason, and one of them to show.

use std::fmt;

use hornpipe_engine::Reason;

use crate::reason;

/// How much of a line the log shows, in characters.
const SHOWN_CHARACTERS: usize = 200;

/// What was dropped since it was last asked for.
#[derive(Debug, Default)]
pub(crate) struct Rejects {
    counts: Vec<(Reason, u64)>,
    example: Option<Example>,
}

/// A dropped line, cut to what the log shows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Example {
    /// Why it was dropped.
    pub(crate) reason: Reason,
    text: Vec<u8>,
}

impl Rejects {
    /// Counts a line. The first one until [`take_example`](Self::take_example) is kept to be shown.
    #[cold]
    pub(crate) fn add(&mut self, reason: Reason, line: &[u8]) {
        match self.counts.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((reason, 1)),
        }
        if reason == reason::FILTERED {
            // That is what was asked for; nobody needs to see it.
            return;
        }
        // A character takes up to four bytes.
        let text = line.get(..SHOWN_CHARACTERS * 4).unwrap_or(line);
        self.example.get_or_insert_with(|| Example { reason, text: text.to_vec() });
    }

    /// The reasons with their counts since the last call.
    pub(crate) fn drain_counts(&mut self) -> impl Iterator<Item = (Reason, u64)> {
        self.counts.drain(..)
    }

    /// The line kept to be shown.
    pub(crate) fn take_example(&mut self) -> Option<Example> {
        self.example.take()
    }
}

impl fmt::Display for Example {
    /// The line, with everything escaped that could confuse a terminal or a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.text);
        text.escape_debug().take(SHOWN_CHARACTERS).try_for_each(|character| fmt::Write::write_char(f, character))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason;

    #[test]
    fn every_line_counts_and_the_first_is_shown() {
        let mut rejects = Rejects::default();
        rejects.add(reason::MISSING_TYPE, b"one\x1b[31m");
        rejects.add(reason::INVALID_VALUE, b"two");
        rejects.add(reason::MISSING_TYPE, b"three");
        let counts: Vec<_> = rejects.drain_counts().collect();
        assert_eq!(counts, [(reason::MISSING_TYPE, 2), (reason::INVALID_VALUE, 1)]);
        let example = rejects.take_example().unwrap();
        assert_eq!((example.reason, example.to_string().as_str()), (reason::MISSING_TYPE, "one\\u{1b}[31m"));
        assert_eq!((rejects.drain_counts().count(), rejects.take_example()), (0, None));
    }

    #[test]
    fn a_long_line_is_cut_and_broken_text_is_shown() {
        let mut rejects = Rejects::default();
        rejects.add(reason::TRUNCATED, "ü".repeat(70_000).as_bytes());
        assert_eq!(rejects.take_example().unwrap().to_string().chars().count(), SHOWN_CHARACTERS);
        rejects.add(reason::TRUNCATED, b"\xff\x00");
        assert_eq!(rejects.take_example().unwrap().to_string(), "\u{fffd}\\0");
    }
}
