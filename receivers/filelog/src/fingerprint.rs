//! What tells one file's content from another's: its first bytes, and the bytes just before an offset.

use serde::{Deserialize, Serialize};

/// How many bytes before an offset are compared to see that a file still has what was read from it.
pub(crate) const WINDOW: usize = 256;

/// FNV-1a, 64 bits: stable over versions, and fast enough for the few bytes that are hashed.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A place in a file, with a hash of the bytes before it (up to [`WINDOW`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) offset: u64,
    pub(crate) hash: u64,
}

impl Mark {
    /// The mark at `offset`; `before` ends there and has at least the window, or everything from the file's beginning.
    pub(crate) fn at(offset: u64, before: &[u8]) -> Self {
        let start = before.len().saturating_sub(WINDOW);
        Mark { offset, hash: hash(before.get(start..).unwrap_or_default()) }
    }
}

/// How many bytes there are to compare before an offset.
pub(crate) fn window_before(offset: u64) -> usize {
    usize::try_from(offset).map_or(WINDOW, |offset| offset.min(WINDOW))
}

/// The beginning of a file: its bytes where they were read in this run, else their number and hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    Bytes(Vec<u8>),
    Hash(HeadHash),
}

/// Number and hash of a file's first bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeadHash {
    pub(crate) length: usize,
    pub(crate) hash: u64,
}

impl Head {
    /// How many bytes are known.
    pub(crate) fn len(&self) -> usize {
        match self {
            Head::Bytes(bytes) => bytes.len(),
            Head::Hash(known) => known.length,
        }
    }

    /// True when a file that begins with `other` may be the one that begins so: nothing known speaks against it, and at
    /// least one byte for it.
    pub(crate) fn fits(&self, other: &[u8]) -> bool {
        match self {
            Head::Bytes(bytes) => {
                let common = bytes.len().min(other.len());
                common > 0 && bytes.get(..common) == other.get(..common)
            }
            Head::Hash(known) => {
                known.length > 0 && other.get(..known.length).is_some_and(|bytes| hash(bytes) == known.hash)
            }
        }
    }

    /// For the checkpoint.
    pub(crate) fn to_hash(&self) -> HeadHash {
        match self {
            Head::Bytes(bytes) => HeadHash { length: bytes.len(), hash: hash(bytes) },
            Head::Hash(known) => *known,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a_of_64_bits() {
        // Vectors of the algorithm's authors.
        for (text, expected) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(hash(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_mark_is_over_the_window_or_what_there_is() {
        let text = vec![b'x'; 1000];
        assert_eq!(Mark::at(1000, &text), Mark { offset: 1000, hash: hash(&text[..WINDOW]) });
        assert_eq!(Mark::at(10, &text[..10]).hash, hash(&text[..10]));
        assert_eq!((window_before(10), window_before(1000)), (10, WINDOW));
    }

    #[test]
    fn heads_fit_where_nothing_speaks_against_it() {
        let hashed = |text: &str| Head::Hash(Head::Bytes(text.into()).to_hash());
        for (head, other, expected) in [
            (Head::Bytes(b"abc".to_vec()), "abcdef", true),
            (Head::Bytes(b"abc".to_vec()), "ab", true),
            (Head::Bytes(b"abc".to_vec()), "abX", false),
            (Head::Bytes(b"abc".to_vec()), "", false),
            (Head::Bytes(Vec::new()), "abc", false),
            (hashed("abc"), "abcdef", true),
            (hashed("abc"), "ab", false),
            (hashed("abc"), "abX", false),
            (hashed(""), "abc", false),
        ] {
            assert_eq!(head.fits(other.as_bytes()), expected, "{head:?} {other}");
        }
    }
}
