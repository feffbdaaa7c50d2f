//! How far the store is consumed: a small file, written in two places by turns, so that one of them is always whole.

use std::io;
use std::path::{Path, PathBuf};

use super::filesystem::{FileSystem, StoreFile};
use super::ranges::{Range, Ranges};

/// The file's name.
pub(super) const NAME: &str = "position";

/// Bytes of one place.
const PLACE: usize = 4096;
const MAGIC: [u8; 4] = *b"hqp1";
/// Before the ranges: magic, count of ranges, generation, and the first sequence number that is not consumed.
const START: usize = 24;
/// Most ranges that fit; more are written as fewer, wider ones, so that something consumed may be sent again.
const MOST_RANGES: usize = (PLACE - START - 4) / 16;

/// What is consumed: every record below `below`, except those in `open`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    pub below: u64,
    pub open: Ranges,
}

impl Position {
    /// Whether a record was consumed.
    pub fn is_done(&self, sequence: u64) -> bool {
        sequence < self.below && !self.open.contains(sequence)
    }

    fn to_bytes(&self, generation: u64) -> Vec<u8> {
        let mut ranges: Vec<Range> = self.open.iter().collect();
        if let Some((first, _)) = ranges.get(MOST_RANGES - 1).copied() {
            ranges.truncate(MOST_RANGES - 1);
            ranges.push((first, self.below.saturating_sub(1)));
        }
        let mut bytes = Vec::with_capacity(START + 16 * ranges.len() + 4);
        bytes.extend(MAGIC);
        bytes.extend((ranges.len() as u32).to_le_bytes());
        bytes.extend(generation.to_le_bytes());
        bytes.extend(self.below.to_le_bytes());
        for (first, last) in ranges {
            bytes.extend(first.to_le_bytes());
            bytes.extend(last.to_le_bytes());
        }
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend(checksum.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<(u64, Self)> {
        let count = u32::from_le_bytes(*bytes.get(4..8)?.first_chunk()?) as usize;
        let end = START + 16 * count.min(MOST_RANGES);
        let checksum = u32::from_le_bytes(*bytes.get(end..end + 4)?.first_chunk()?);
        if bytes[..4] != MAGIC || crc32c::crc32c(&bytes[..end]) != checksum {
            return None;
        }
        let mut numbers =
            bytes[8..end].chunks_exact(8).filter_map(|chunk| chunk.first_chunk()).copied().map(u64::from_le_bytes);
        let (generation, below) = (numbers.next()?, numbers.next()?);
        let rest: Vec<u64> = numbers.collect();
        let open = Ranges::of(rest.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        Some((generation, Position { below, open }))
    }
}

/// The file.
#[derive(Debug)]
pub(super) struct PositionFile {
    path: PathBuf,
    file: Option<Box<dyn StoreFile>>,
    generation: u64,
    /// Written and perhaps not on the disk yet.
    dirty: bool,
}

impl PositionFile {
    /// The file of a directory and what it says; where it says nothing, nothing is consumed.
    pub fn open(files: &dyn FileSystem, directory: &Path) -> (Self, Position) {
        let path = directory.join(NAME);
        let file = files.open(&path).ok();
        let mut newest = (0, Position::default());
        for place in 0..2 {
            let mut bytes = vec![0; PLACE];
            let read = file.as_ref().and_then(|file| file.read_at(&mut bytes, place * PLACE as u64).ok());
            let found = read.and_then(|length| Position::from_bytes(&bytes[..length]));
            newest = found.filter(|(generation, _)| *generation > newest.0).unwrap_or(newest);
        }
        let (generation, position) = newest;
        (PositionFile { path, file, generation, dirty: false }, position)
    }

    /// Writes a position over the older of the two; whether the file is new.
    pub fn write(&mut self, files: &dyn FileSystem, position: &Position) -> io::Result<bool> {
        let is_new = self.file.is_none();
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(files.create(&self.path)?),
        };
        self.generation += 1;
        self.dirty = true;
        file.write_at(&position.to_bytes(self.generation), self.generation % 2 * PLACE as u64)?;
        Ok(is_new)
    }

    /// Brings what was written to the disk.
    pub fn sync(&mut self) -> io::Result<()> {
        if let Some(file) = self.file.as_ref().filter(|_| self.dirty) {
            file.sync()?;
            self.dirty = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_and_every_flipped_bit_is_noticed() {
        let position = Position { below: 90, open: Ranges::of([(3, 5), (80, 80)]) };
        let bytes = position.to_bytes(7);
        assert_eq!(Position::from_bytes(&bytes), Some((7, position)));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Position::from_bytes(&damaged), None, "bit {bit}");
        }
    }

    #[test]
    fn more_ranges_than_fit_become_fewer_that_hold_all_of_them() {
        let position = Position { below: 2000, open: Ranges::of((0..900).map(|number| (number * 2, number * 2))) };
        let bytes = position.to_bytes(1);
        assert!(bytes.len() <= PLACE);
        let (_, found) = Position::from_bytes(&bytes).unwrap();
        assert!(position.open.iter().all(|(number, _)| !found.is_done(number)));
        assert!(found.is_done(1) && !found.is_done(1999));
    }
}
