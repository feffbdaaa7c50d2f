//! A segment's file: records one after another, each behind its header.

use std::hash::{BuildHasher, RandomState};
use std::io;

use super::filesystem::StoreFile;
use super::header::{self, Header, Kind, MAGIC};

/// What the names of segments end with.
const SUFFIX: &str = ".segment";

/// Bytes read at a time where a sound header is looked for.
const SEARCH: usize = 64 * 1024;

/// Records with their items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub records: u64,
    pub items: u64,
}

impl Amount {
    pub fn add(&mut self, other: Amount) {
        self.records += other.records;
        self.items += other.items;
    }

    pub fn subtract(&mut self, other: Amount) {
        self.records = self.records.saturating_sub(other.records);
        self.items = self.items.saturating_sub(other.items);
    }
}

/// A segment, and what the store has to do with it yet.
#[derive(Debug)]
pub(super) struct Segment {
    /// The first sequence number in it.
    pub first: u64,
    /// What the checksums of its headers begin with; 0 in segments of earlier releases.
    pub key: u32,
    pub length: u64,
    /// What is in it and was not given out.
    pub unread: Amount,
}

impl Segment {
    /// An empty one.
    pub fn new(first: u64) -> Self {
        // A number that nobody can guess, and not 0.
        let key = (RandomState::new().hash_one(0) as u32).max(1);
        Segment { first, key, length: 0, unread: Amount::default() }
    }

    /// That of a file's name and length, as it is before it is looked into.
    pub fn of_file((name, length): (String, u64)) -> Option<Self> {
        let words = name.strip_suffix(SUFFIX)?;
        let (first, key) = words.split_once('-').unwrap_or((words, "00000000"));
        let (first, key) = (first.parse().ok()?, u32::from_str_radix(key, 16).ok()?);
        Some(Segment { first, key, length, unread: Amount::default() }).filter(|segment| segment.name() == name)
    }

    /// The name of its file.
    pub fn name(&self) -> String {
        let Segment { first, key, .. } = self;
        if *key == 0 { format!("{first:020}{SUFFIX}") } else { format!("{first:020}-{key:08x}{SUFFIX}") }
    }

    /// A walk from its beginning.
    pub fn walk(&self) -> Walk {
        Walk { key: self.key, offset: 0, length: self.length }
    }
}

/// What lies at a place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A record, whose header is sound; it begins behind the header.
    Record(Header),
    /// Bytes that are no record, up to where the next sound header is.
    Damage,
    /// A record that was cut short by the end of the file.
    Torn(Header),
    /// Nothing more.
    End,
}

/// Walks over a segment, a header at a time; no record is read that nobody asks for.
#[derive(Debug)]
pub(super) struct Walk {
    /// The segment's.
    pub key: u32,
    pub offset: u64,
    pub length: u64,
}

impl Walk {
    /// What comes next; the walk is behind it then.
    pub fn next(&mut self, file: &dyn StoreFile) -> io::Result<Found> {
        let mut bytes = [0; header::LENGTH];
        let left = self.length.saturating_sub(self.offset);
        if left == 0 {
            return Ok(Found::End);
        }
        let read = file.read_at(&mut bytes, self.offset)?;
        match Header::from_bytes(&bytes, self.key).filter(|_| read == header::LENGTH) {
            Some(Header { kind: Kind::Footer, .. }) if left == header::LENGTH as u64 => {
                self.offset = self.length;
                Ok(Found::End)
            }
            Some(Header { kind: Kind::Footer, .. }) => {
                self.offset += header::LENGTH as u64;
                Ok(Found::Damage)
            }
            Some(found) => {
                let end = self.offset + (header::LENGTH as u64) + u64::from(found.length);
                if end > self.length {
                    self.offset = self.length;
                    return Ok(Found::Torn(found));
                }
                self.offset = end;
                Ok(Found::Record(found))
            }
            None => {
                self.offset = self.search(file)?;
                Ok(Found::Damage)
            }
        }
    }

    /// Reads the record that the walk has just passed; nothing where its checksum does not fit.
    pub fn record(&self, file: &dyn StoreFile, header: &Header) -> io::Result<Option<Vec<u8>>> {
        let mut record = vec![0; header.length as usize];
        let read = file.read_at(&mut record, self.offset - u64::from(header.length))?;
        let sound = read == record.len() && crc32c::crc32c(&record) == header.checksum;
        Ok(sound.then_some(record))
    }

    /// Where the next sound header is, or the end.
    fn search(&self, file: &dyn StoreFile) -> io::Result<u64> {
        let mut start = self.offset + 1;
        let mut buffer = vec![0; SEARCH];
        while start + (header::LENGTH as u64) <= self.length {
            let read = file.read_at(&mut buffer, start)?;
            let sound = |at: &usize| {
                let candidate = buffer[*at..read].first_chunk();
                candidate.is_some_and(|bytes| bytes[..4] == MAGIC && Header::from_bytes(bytes, self.key).is_some())
            };
            if read < header::LENGTH {
                break;
            }
            // The last bytes may be the beginning of a header; they come first in the next turn.
            let places = read - header::LENGTH + 1;
            match (0..places).find(sound) {
                Some(at) => return Ok(start + at as u64),
                None => start += places as u64,
            }
        }
        Ok(self.length)
    }
}

/// A record in a buffer that begins with room for its header; the header is filled in.
pub(super) fn seal_record(buffer: &mut [u8], sequence: u64, items: u32, key: u32) -> io::Result<()> {
    let Some((head, record)) = buffer.split_first_chunk_mut::<{ header::LENGTH }>() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let length = u32::try_from(record.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let checksum = crc32c::crc32c(record);
    *head = Header { kind: Kind::Record, length, sequence, items, checksum }.to_bytes(key);
    Ok(())
}

/// The last word of a segment, which says what is in it.
pub(super) fn footer(last: u64, amount: Amount, key: u32) -> Option<[u8; header::LENGTH]> {
    let length = u32::try_from(amount.records).ok()?;
    let items = u32::try_from(amount.items).ok()?;
    Some(Header { kind: Kind::Footer, length, sequence: last, items, checksum: 0 }.to_bytes(key))
}

/// What a segment's last word says, where it has one: its last sequence number and what is in it. A segment without a key, as
/// earlier releases wrote them, has to be walked over: its last bytes may be those of a record.
pub(super) fn read_footer(file: &dyn StoreFile, length: u64, key: u32) -> io::Result<Option<(u64, Amount)>> {
    let Some(offset) = length.checked_sub(header::LENGTH as u64).filter(|_| key != 0) else { return Ok(None) };
    let mut bytes = [0; header::LENGTH];
    let read = file.read_at(&mut bytes, offset)?;
    let footer = Header::from_bytes(&bytes, key)
        .filter(|found| read == header::LENGTH && found.kind == Kind::Footer && found.length > 0);
    Ok(footer.map(|found| (found.sequence, Amount { records: u64::from(found.length), items: u64::from(found.items) })))
}
