//! What stands before each record of a segment.
//!
//! ```text
//!  0  magic       4 bytes
//!  4  length      of the record, u32
//!  8  sequence    number of the record, u64
//! 16  items       in the record, u32
//! 20  checksum    of the record, CRC32C
//! 24  kind        1: record, 2: the segment's last word
//! 25  zero        3 bytes
//! 28  checksum    of the 28 bytes before, CRC32C, begun with the segment's key
//! ```
//!
//! All numbers are little endian. The header has a checksum of its own, so that a damaged record is skipped by its length, and a
//! damaged header by looking for the next sound one. What is found so may lie within a record, and that may hold anything, also the
//! bytes of a header: of one that is so long that all behind it is passed over, or whose number is above all others. So
//! the checksum begins with a random number that only the segment's name tells, and nobody who writes a log line knows. Nor are
//! headers sound that an older file left where this one's blocks are.

/// Bytes of a header.
pub(super) const LENGTH: usize = 32;

/// Where a sound header may begin; no text has these bytes.
pub(super) const MAGIC: [u8; 4] = [0xf5, b'h', b'q', 0xc1];

/// What follows a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A record.
    Record,
    /// Nothing: sequence is the last of the segment, `length` its number of records and `items` their items.
    Footer,
}

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub kind: Kind,
    pub length: u32,
    pub sequence: u64,
    pub items: u32,
    pub checksum: u32,
}

impl Header {
    pub fn to_bytes(self, key: u32) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.items.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.checksum.to_le_bytes());
        bytes[24] = match self.kind {
            Kind::Record => 1,
            Kind::Footer => 2,
        };
        let checksum = crc32c::crc32c_append(key, &bytes[..28]);
        bytes[28..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header of these bytes; nothing where they are none of this segment, or damaged.
    pub fn from_bytes(bytes: &[u8; LENGTH], key: u32) -> Option<Self> {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if bytes[..4] != MAGIC || crc32c::crc32c_append(key, &bytes[..28]) != word(28) {
            return None;
        }
        let kind = match bytes[24] {
            1 => Kind::Record,
            2 => Kind::Footer,
            _ => return None,
        };
        let sequence = u64::from(word(8)) | u64::from(word(12)) << 32;
        Some(Header { kind, length: word(4), sequence, items: word(16), checksum: word(20) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_in_its_segment_and_every_flipped_bit_is_noticed() {
        let header = Header { kind: Kind::Record, length: 7, sequence: 1 << 40, items: 3, checksum: 0xdead_beef };
        let bytes = header.to_bytes(7);
        assert_eq!(Header::from_bytes(&bytes, 7), Some(header));
        assert_eq!([0, 6, 7 << 24].map(|key| Header::from_bytes(&bytes, key)), [None; 3]);
        for bit in 0..LENGTH * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::from_bytes(&damaged, 7), None, "bit {bit}");
        }
    }
}
