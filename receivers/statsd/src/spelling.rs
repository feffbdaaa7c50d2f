//! A line's series by its bytes, without keeping them.
//!
//! Of the bytes that tell a series, those before the value and those behind it, a reader keeps only their lengths and a
//! keyed sum of 128 bits: NH, the hash within UMAC (Black, Halevi, Krawczyk, Krovetz, Rogaway: "UMAC: Fast and Secure
//! Message Authentication", 1999). The text goes in words of 64 bits, two at a time:
//!
//! ```text
//! sum of (word[2i] + key[2i]) * (word[2i+1] + key[2i+1])    factors modulo 2^64, their sum modulo 2^128
//! ```
//!
//! Two different texts of the same lengths have the same sum with a probability of at most 2^-64 (their theorem 4.2),
//! whoever chose them, as long as he does not know the key: it is made at random when a reader starts, and nothing about it
//! leaves the process. A reader that knows 400,000 spellings takes a new one for one of them with a probability of 2^-45;
//! among a million new ones, that happens to one at odds of 1 to 30 million. Memory fails more often.
//!
//! Comparing the bytes themselves was measured: it costs another 10 to 15 ns for a line of 75 bytes while everything is
//! in the cache, and where it is not, each line waits for two or more rows of memory that are only read for this.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;

/// Bytes that one step takes.
const STEP: usize = 16;

/// What is kept of a spelling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spelling {
    sum: [u64; 2],
    /// The bytes before the value and behind it.
    lengths: [u16; 2],
}

impl Spelling {
    /// A hash for tables.
    #[inline]
    pub(crate) fn hash(&self) -> NonZeroU64 {
        // Any odd constant does: the sum is as good as random, but for the lowest bits of its halves.
        let product = u128::from(self.sum[0] ^ 0x9e37_79b9_7f4a_7c15) * u128::from(self.sum[1] | 1);
        NonZeroU64::new((product as u64) ^ ((product >> 64) as u64)).unwrap_or(NonZeroU64::MIN)
    }
}

/// The key of the sums.
#[derive(Debug)]
pub(crate) struct SpellingKey {
    words: Vec<[u64; 2]>,
    random: RandomState,
}

impl Default for SpellingKey {
    fn default() -> Self {
        // The standard library's hasher is a keyed pseudo-random function, with a key from the system.
        SpellingKey { words: Vec::new(), random: RandomState::new() }
    }
}

impl SpellingKey {
    /// The spelling of a line that has `head` before its value and `tail` behind it; none where one of them is longer than
    /// any datagram.
    #[inline]
    pub(crate) fn spelling(&mut self, head: &[u8], tail: &[u8]) -> Option<Spelling> {
        let lengths = [u16::try_from(head.len()).ok()?, u16::try_from(tail.len()).ok()?];
        let steps = head.len().div_ceil(STEP) + tail.len().div_ceil(STEP);
        if steps > self.words.len() {
            self.grow(steps);
        }
        let (for_head, for_tail) = self.words.split_at_checked(head.len().div_ceil(STEP))?;
        let sum = sum(head, for_head).wrapping_add(sum(tail, for_tail));
        Some(Spelling { sum: [sum as u64, (sum >> 64) as u64], lengths })
    }

    /// More key for a text longer than all before.
    #[cold]
    fn grow(&mut self, steps: usize) {
        let random = &self.random;
        let more =
            (self.words.len()..steps.next_power_of_two()).map(|step| [0, 1].map(|half| random.hash_one((step, half))));
        self.words.extend(more.collect::<Vec<_>>());
    }
}

/// The sum of one text. There is a pair of keys for each step, the last and shorter one included.
#[inline]
fn sum(text: &[u8], keys: &[[u64; 2]]) -> u128 {
    let (steps, rest) = text.as_chunks::<STEP>();
    let mut sum = steps.iter().zip(keys).fold(0, |sum: u128, (step, key)| sum.wrapping_add(product(words(step), *key)));
    if !rest.is_empty() {
        let last = match text.last_chunk::<STEP>() {
            // Reaches back into the step before, which tells texts of one length apart just as well.
            Some(last) => words(last),
            None => short_words(text),
        };
        sum = sum.wrapping_add(product(last, keys.get(steps.len()).copied().unwrap_or_default()));
    }
    sum
}

#[inline]
fn product(words: [u64; 2], key: [u64; 2]) -> u128 {
    u128::from(words[0].wrapping_add(key[0])) * u128::from(words[1].wrapping_add(key[1]))
}

#[inline]
fn words(step: &[u8; STEP]) -> [u64; 2] {
    let (halves, _) = step.as_chunks::<8>();
    [halves.first(), halves.get(1)].map(|half| half.map_or(0, |half| u64::from_le_bytes(*half)))
}

/// Two words that tell texts of one length below 16 apart.
#[inline]
fn short_words(text: &[u8]) -> [u64; 2] {
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return [u64::from_le_bytes(*first), u64::from_le_bytes(*last)];
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return [u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into()];
    }
    let byte = |place: usize| text.get(place).copied().map_or(0, u64::from);
    [byte(0) | byte(text.len() / 2) << 8, byte(text.len().saturating_sub(1))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_byte_counts_whatever_the_length() {
        let mut key = SpellingKey::default();
        for length in 0..100 {
            let text = vec![b'x'; length];
            let mut seen = vec![key.spelling(&text, b"c"), key.spelling(b"c", &text)];
            for place in 0..length {
                let mut other = text.clone();
                other[place] = b'y';
                seen.push(key.spelling(&other, b"c"));
                seen.push(key.spelling(b"c", &other));
            }
            let count = seen.len();
            seen.sort_by_key(|spelling| spelling.map(|spelling| (spelling.sum, spelling.lengths)));
            seen.dedup();
            // `c` before and behind is the same where the text is one byte `c`, which it is not.
            assert_eq!((seen.len(), seen.contains(&None)), (count, false), "{length}");
        }
    }

    #[test]
    fn what_stands_before_the_value_is_told_from_what_stands_behind() {
        let mut key = SpellingKey::default();
        let whole = b"a.name.of.some.length|c|#with:tags,of:some,length:too";
        let mut seen: Vec<_> = (0..=whole.len())
            .map(|place| key.spelling(&whole[..place], &whole[place..]).unwrap())
            .map(|spelling| (spelling.sum, spelling.lengths))
            .collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), whole.len() + 1);
    }

    #[test]
    fn keys_differ_and_long_texts_get_more_of_one() {
        let (mut one, mut other) = (SpellingKey::default(), SpellingKey::default());
        assert_ne!(one.spelling(b"a", b"c"), other.spelling(b"a", b"c"));
        let before = one.spelling(b"a", b"c");
        let mut long = vec![b'x'; 65_535];
        let first = one.spelling(b"a", &long);
        long[65_000] = b'y';
        assert_ne!(one.spelling(b"a", &long), first);
        assert_eq!(one.spelling(b"a", b"c"), before);
        assert_eq!(one.spelling(b"a", &[0; 65_536]), None);
    }

    proptest! {
        #[test]
        fn the_same_bytes_have_the_same_spelling_and_others_another(
            texts in proptest::collection::vec("[ab]{0,40}", 4),
        ) {
            let mut key = SpellingKey::default();
            let (one, other) = (key.spelling(texts[0].as_bytes(), texts[1].as_bytes()), key.spelling(texts[2].as_bytes(), texts[3].as_bytes()));
            prop_assert_eq!(one == other, texts[..2] == texts[2..]);
        }
    }
}
