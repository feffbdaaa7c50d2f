//! Text that may be a part of a longer one.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// Immutable text. Lines that were read together share one allocation, so that a line needs none of its own: of what a line
/// costs on its way through the process, that was a fifth.
#[derive(Clone)]
pub struct Text {
    whole: Arc<str>,
    /// Where it begins and ends in the whole. Half as wide as a `Range<usize>`, since a batch has thousands of them.
    start: u32,
    end: u32,
}

/// The end of a whole, however long that is.
const END: u32 = u32::MAX;

impl Text {
    /// A part of a text; `None` where the range is not within it or cuts a character.
    pub fn part(whole: &Arc<str>, range: Range<usize>) -> Option<Self> {
        let part = whole.get(range.clone())?;
        let place = |at| u32::try_from(at).ok().filter(|at| *at != END);
        match (place(range.start), place(range.end)) {
            (Some(start), Some(end)) => Some(Text { whole: Arc::clone(whole), start, end }),
            // Beyond four gigabytes it is a text of its own.
            _ => Some(part.into()),
        }
    }

    fn range(&self) -> Range<usize> {
        let end = if self.end == END { self.whole.len() } else { self.end as usize };
        self.start as usize..end
    }

    /// A part of this text, with the same memory; `None` where the range is not within it or cuts a character.
    pub fn slice(&self, range: Range<usize>) -> Option<Self> {
        self.as_str().get(range.clone())?;
        let start = self.range().start;
        Text::part(&self.whole, start + range.start..start + range.end)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.whole.get(self.range()).unwrap_or_default()
    }

    /// Bytes of memory that it takes: its share of the whole, as many share it now. Where most of the others are gone, a short
    /// text is what keeps a long one.
    pub fn bytes(&self) -> usize {
        (self.whole.len() / Arc::strong_count(&self.whole)).max(self.range().len())
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text { whole: text.into(), start: 0, end: END }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Text { whole: text.into(), start: 0, end: END }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_text_are_texts_and_equal_those_of_their_own() {
        let whole: Arc<str> = "a line\nläuft\n".into();
        let (first, second) = (Text::part(&whole, 0..6).unwrap(), Text::part(&whole, 7..13).unwrap());
        assert_eq!((first.as_str(), &*second), ("a line", "läuft"));
        assert_eq!(second, Text::from("läuft".to_owned()));
        assert_ne!(first, second);
        assert_eq!(format!("{first:?}"), "\"a line\"");
        assert_eq!(second.slice(1..3).as_deref(), Some("ä"));
        assert!(second.slice(1..7).is_none() && second.slice(2..3).is_none());
        for range in [7..99, 7..9, 9..10, 13..15] {
            assert!(Text::part(&whole, range.clone()).is_none(), "{range:?}");
        }
    }

    #[test]
    fn what_keeps_a_text_shares_its_memory() {
        let whole: Arc<str> = "x".repeat(1_000).into();
        let mut parts: Vec<Text> =
            (0..10).filter_map(|part| Text::part(&whole, part * 100..(part + 1) * 100)).collect();
        drop(whole);
        assert_eq!(parts.iter().map(Text::bytes).sum::<usize>(), 1_000);
        parts.truncate(1);
        assert_eq!(parts[0].bytes(), 1_000, "the one that is left keeps all");
        assert_eq!(Text::from("abc").bytes(), 3);
    }
}
