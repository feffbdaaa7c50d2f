//! Records on disk: append-only segments, consumed from the oldest on.
//!
//! A directory holds segments, named for their first sequence number and their key, and a small file that says what is
//! consumed. What is appended is safe once [`Store::commit`] has returned. A segment is removed as a whole, when all in it is
//! consumed or when the store outgrows its bound. A record that is damaged is skipped, and it alone: see [`header`] and [`segment`].
//!
//! [`Store::open`] reads no record: of a segment that is closed and untouched its last word tells what is in it, of the
//! others (the one last written, and those that are half consumed) the headers are read, record by record.
//!
//! Nothing here waits for anything but the disk, and all of it is called by one thread at a time.

mod filesystem;
mod header;
mod position;
mod ranges;
mod segment;

pub(crate) use filesystem::{Disk, FileSystem, StoreFile};
pub(crate) use segment::Amount;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use position::{Position, PositionFile};
use ranges::Ranges;
use segment::{Found, Segment, Walk};

const UNREADABLE: &str = ".unreadable";

/// Records that are kept for a look because this release cannot read them; more are only counted.
const MOST_UNREADABLE: usize = 64;

/// What a disk is tried with, again and again up to as much as this.
const PROBE_BLOCK: [u8; 4096] = [0; 4096];
const MOST_PROBED: u64 = 4 << 20;

/// Records on disk.
#[derive(Debug)]
pub(crate) struct Store {
    files: Arc<dyn FileSystem>,
    directory: PathBuf,
    segment_bytes: u64,
    /// Oldest first; the last one may be written.
    segments: VecDeque<Segment>,
    writer: Option<Writer>,
    reader: Option<Reader>,
    /// Below it, every record was given out: read, or appended by somebody who has it still.
    read_below: u64,
    /// What is given out and not consumed.
    given: Ranges,
    /// What an earlier process was given and did not consume; it is given out again. All of it lies above `given`.
    reopened: Ranges,
    /// Above every sequence number that was ever used.
    next: u64,
    position: PositionFile,
    position_changed: bool,
    /// Everything below is safe.
    committed: u64,
    /// A file was made and its entry is perhaps not on the disk.
    directory_changed: bool,
    /// Bytes that the disk did not take when it was asked last.
    refused: u64,
    buffer: Vec<u8>,
}

/// The segment that is being written, the last one.
#[derive(Debug)]
struct Writer {
    file: Box<dyn StoreFile>,
    last: u64,
    written: Amount,
    /// Bytes that are safe, and what of the unread was written since.
    safe: u64,
    unread_since: Amount,
}

#[derive(Debug)]
struct Reader {
    /// The first sequence number of its segment.
    first: u64,
    file: Box<dyn StoreFile>,
    walk: Walk,
}

/// What [`Store::read`] met.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// A record.
    Record {
        /// Its sequence number, by which it is consumed.
        sequence: u64,
        /// Its items.
        items: u64,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Records that are damaged, with their items where those are known.
    Damaged(Amount),
}

/// What [`Store::evict_oldest`] removed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Evicted {
    /// Everything below is gone, what was given out too.
    pub below: u64,
    /// What had not been given out.
    pub unread: Amount,
}

impl Store {
    /// Opens the store of a directory, which is made where it is missing, and tells what is in it that is not consumed.
    ///
    /// Sequence numbers go on from `first` or above, which has to rise from process to process: a record that was given up
    /// and cut off can come back with a loss of power, and must not have the number of one that was committed since.
    pub fn open(
        files: Arc<dyn FileSystem>,
        directory: &Path,
        segment_bytes: u64,
        first: u64,
    ) -> io::Result<(Self, Amount)> {
        files.make_directory(directory)?;
        let (position_file, position) = PositionFile::open(files.as_ref(), directory);
        let mut store = Store {
            files,
            directory: directory.to_owned(),
            segment_bytes,
            segments: VecDeque::new(),
            writer: None,
            reader: None,
            read_below: 0,
            given: Ranges::default(),
            reopened: Ranges::default(),
            next: position.below.max(1),
            position: position_file,
            position_changed: false,
            committed: 0,
            directory_changed: false,
            refused: 0,
            buffer: Vec::new(),
        };
        let mut found: Vec<Segment> = store.files.list(directory)?.into_iter().filter_map(Segment::of_file).collect();
        found.sort_unstable_by_key(|segment| segment.first);
        let mut unread = Amount::default();
        for mut segment in found {
            store.look_into(&mut segment, &position)?;
            if segment.unread.records == 0 {
                store.files.remove(&store.path(&segment))?;
            } else {
                unread.add(segment.unread);
                store.segments.push_back(segment);
            }
        }
        (store.read_below, store.reopened) = (position.below, position.open);
        store.next = store.next.max(first);
        store.committed = store.next;
        Ok((store, unread))
    }

    /// Counts what is left in a segment.
    fn look_into(&mut self, segment: &mut Segment, position: &Position) -> io::Result<()> {
        let file = self.files.open(&self.path(segment))?;
        if let Some((last, amount)) = segment::read_footer(file.as_ref(), segment.length, segment.key)?
            && position.below <= segment.first
        {
            self.next = self.next.max(last.saturating_add(1));
            segment.unread = amount;
            return Ok(());
        }
        let mut walk = segment.walk();
        loop {
            match walk.next(file.as_ref())? {
                Found::Record(header) | Found::Torn(header) => {
                    self.next = self.next.max(header.sequence.saturating_add(1));
                    if !position.is_done(header.sequence) {
                        segment.unread.add(Amount { records: 1, items: u64::from(header.items) });
                    }
                }
                // It may be a record that is not consumed: reading will tell.
                Found::Damage => segment.unread.records += 1,
                Found::End => return Ok(()),
            }
        }
    }

    /// A sequence number above all that were ever used.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.length).sum()
    }

    /// Appends a record, which `encode` adds to a buffer. Sequence numbers rise. `given` is true where the caller has the
    /// record and will not read it; only then, and if nothing else is unread, it is not read.
    ///
    /// # Errors
    /// Where the disk does not take it. Nothing of what was appended since the last commit is safe then.
    pub fn append(
        &mut self,
        sequence: u64,
        items: u64,
        given: bool,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.resize(header::LENGTH, 0);
        encode(&mut buffer);
        let items = u32::try_from(items).unwrap_or(u32::MAX);
        let written = self.write(&mut buffer, sequence, items, given);
        self.refused = if written.is_err() { buffer.len() as u64 } else { 0 };
        // Room for one large record is not kept for ever.
        buffer.shrink_to(1 << 20);
        self.buffer = buffer;
        written
    }

    fn write(&mut self, bytes: &mut [u8], sequence: u64, items: u32, given: bool) -> io::Result<()> {
        let length = bytes.len() as u64;
        if self.segments.back().is_some_and(|segment| segment.length + length > self.segment_bytes) {
            self.close_segment()?;
        }
        // Also where this fails: what it leaves on the disk must not have the number of what comes next.
        self.next = sequence + 1;
        if self.writer.is_none() {
            let segment = Segment::new(sequence);
            let file = self.files.create(&self.path(&segment))?;
            self.directory_changed = true;
            self.segments.push_back(segment);
            let (written, unread_since) = (Amount::default(), Amount::default());
            self.writer = Some(Writer { file, last: sequence, written, safe: 0, unread_since });
        }
        let is_all_given = self.unread().records == 0;
        debug_assert!(is_all_given || !given, "what is given out goes on where it ended");
        let (Some(writer), Some(segment)) = (&mut self.writer, self.segments.back_mut()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        segment::seal_record(bytes, sequence, items, segment.key)?;
        writer.file.write_at(bytes, segment.length)?;
        segment.length += length;
        let amount = Amount { records: 1, items: u64::from(items) };
        writer.last = sequence;
        writer.written.add(amount);
        if given && is_all_given {
            self.give(sequence);
        } else {
            segment.unread.add(amount);
            writer.unread_since.add(amount);
        }
        Ok(())
    }

    /// Brings to the disk what was appended.
    ///
    /// # Errors
    /// Where that failed. [`committed`](Self::committed) tells what is safe nevertheless.
    pub fn commit(&mut self) -> io::Result<()> {
        let length = self.segments.back().map_or(0, |segment| segment.length);
        if let Some(writer) = self.writer.as_mut().filter(|writer| writer.safe < length) {
            writer.file.sync()?;
        }
        if self.directory_changed {
            self.files.sync_directory(&self.directory)?;
            self.directory_changed = false;
        }
        if let Some(writer) = &mut self.writer {
            (writer.safe, writer.unread_since) = (length, Amount::default());
        }
        self.committed = self.next;
        Ok(())
    }

    /// Every record below is safe.
    pub fn committed(&self) -> u64 {
        self.committed
    }

    /// Gives up what was appended since the last commit, after an error: it is not read, and not there after a restart where
    /// the disk allows that. The next record goes into a new segment, for after an error the system may have forgotten
    /// what it could not write.
    pub fn abandon(&mut self) {
        let (Some(writer), Some(segment)) = (self.writer.take(), self.segments.back_mut()) else { return };
        // A disk that does not even cut the file leaves records that are sent again after a restart.
        let _ = writer.file.set_length(writer.safe);
        self.refused += segment.length.saturating_sub(writer.safe);
        segment.length = writer.safe;
        segment.unread.subtract(writer.unread_since);
        self.tidy();
    }

    /// Whether the disk takes as much as it refused last; to be asked after an error. One that has room for a few bytes, and for no
    /// record, would be taken for well again and again.
    pub fn probe(&self) -> io::Result<()> {
        self.files.make_directory(&self.directory)?;
        let path = self.directory.join("probe");
        let file = self.files.create(&path)?;
        let blocks = self.refused.min(MOST_PROBED).div_ceil(PROBE_BLOCK.len() as u64).max(1);
        let mut offsets = (0..blocks).map(|block| block * PROBE_BLOCK.len() as u64);
        let written = offsets.try_for_each(|offset| file.write_at(&PROBE_BLOCK, offset)).and_then(|()| file.sync());
        self.files.remove(&path).and(written)
    }

    /// The oldest record that was not given out; nothing where there is none. Only what is committed is read.
    pub fn read(&mut self) -> io::Result<Option<Read>> {
        loop {
            let Some(segment) = self.segments.iter_mut().find(|segment| segment.unread.records > 0) else {
                self.reopened = Ranges::default();
                return Ok(None);
            };
            let reader = match self.reader.take().filter(|reader| reader.first == segment.first) {
                Some(reader) => reader,
                None => {
                    let file = self.files.open(&self.directory.join(segment.name()))?;
                    Reader { first: segment.first, file, walk: segment.walk() }
                }
            };
            let reader = self.reader.insert(reader);
            reader.walk.length = segment.length;
            let (header, is_torn) = match reader.walk.next(reader.file.as_ref())? {
                Found::Record(header) => (header, false),
                Found::Torn(header) => (header, true),
                Found::Damage => continue,
                Found::End => {
                    // Its last word counted them, or a search met them, and no sound header was found for them.
                    let lost = std::mem::take(&mut segment.unread);
                    self.tidy();
                    return Ok(Some(Read::Damaged(lost)));
                }
            };
            let sequence = header.sequence;
            if sequence < self.read_below && !self.reopened.contains(sequence) {
                continue;
            }
            let items = u64::from(header.items);
            let bytes = if is_torn { None } else { reader.walk.record(reader.file.as_ref(), &header)? };
            segment.unread.subtract(Amount { records: 1, items });
            self.give(sequence);
            if let Some(bytes) = bytes {
                return Ok(Some(Read::Record { sequence, items, bytes }));
            }
            self.done(sequence);
            return Ok(Some(Read::Damaged(Amount { records: 1, items })));
        }
    }

    /// Gives up the rest of the segment that is being read, after errors; what was in it.
    pub fn give_up_reading(&mut self) -> Amount {
        self.reader = None;
        let segment = self.segments.iter_mut().find(|segment| segment.unread.records > 0);
        let lost = segment.map(|segment| std::mem::take(&mut segment.unread)).unwrap_or_default();
        self.tidy();
        lost
    }

    fn give(&mut self, sequence: u64) {
        self.reopened.remove(sequence);
        self.given.push(sequence);
        self.read_below = self.read_below.max(sequence + 1);
        self.position_changed = true;
    }

    /// Consumes a record that was given out. One that was evicted meanwhile, or never written, is nothing to consume.
    pub fn done(&mut self, sequence: u64) {
        if self.given.remove(sequence) {
            self.position_changed = true;
            self.tidy();
        }
    }

    /// Removes the oldest segment, whatever is in it; nothing where there is none.
    pub fn evict_oldest(&mut self) -> Option<Evicted> {
        if self.segments.len() < 2 {
            self.writer = None;
        }
        let oldest = self.segments.pop_front()?;
        let below = self.segments.front().map_or(self.next, |segment| segment.first);
        self.reader = self.reader.take().filter(|reader| reader.first != oldest.first);
        self.given.remove_below(below);
        self.reopened.remove_below(below);
        self.read_below = self.read_below.max(below);
        self.position_changed = true;
        self.remove(&oldest);
        Some(Evicted { below, unread: oldest.unread })
    }

    /// Keeps a record for a look that this release cannot read, where there are not too many yet.
    pub fn keep_unreadable(&self, sequence: u64, bytes: &[u8]) -> io::Result<()> {
        let is_kept = |(name, _): &(String, u64)| name.ends_with(UNREADABLE);
        if self.files.list(&self.directory)?.iter().filter(|file| is_kept(file)).count() < MOST_UNREADABLE {
            let file = self.files.create(&self.directory.join(format!("{sequence:020}{UNREADABLE}")))?;
            file.write_at(bytes, 0)?;
        }
        Ok(())
    }

    /// Writes down what is consumed, so that a process that is killed right after it does not send it again.
    pub fn save_position(&mut self) -> io::Result<()> {
        if self.position_changed {
            let open = Ranges::of(self.given.iter().chain(self.reopened.iter()));
            self.directory_changed |=
                self.position.write(self.files.as_ref(), &Position { below: self.read_below, open })?;
            self.position_changed = false;
        }
        Ok(())
    }

    /// Brings that to the disk, so that it survives the machine too.
    pub fn sync_position(&mut self) -> io::Result<()> {
        self.save_position()?;
        self.position.sync()
    }

    /// Closes the store, so that it opens quickly.
    pub fn close(mut self) -> io::Result<()> {
        self.close_segment()?;
        self.sync_position()
    }

    /// What was not given out.
    pub fn unread(&self) -> Amount {
        let mut unread = Amount::default();
        self.segments.iter().for_each(|segment| unread.add(segment.unread));
        unread
    }

    /// Ends the segment that is being written with a last word, and commits it.
    fn close_segment(&mut self) -> io::Result<()> {
        if let (Some(writer), Some(segment)) = (&self.writer, self.segments.back_mut())
            && let Some(footer) = segment::footer(writer.last, writer.written, segment.key)
        {
            writer.file.write_at(&footer, segment.length)?;
            segment.length += footer.len() as u64;
        }
        self.commit()?;
        self.writer = None;
        self.tidy();
        Ok(())
    }

    /// Removes segments of which everything is consumed, but for the one that is being written.
    fn tidy(&mut self) {
        let mut end = self.next;
        for index in (0..self.segments.len()).rev() {
            let Segment { first, unread, .. } = self.segments[index];
            let is_written = self.writer.is_some() && index + 1 == self.segments.len();
            if unread.records == 0 && !is_written && !self.given.intersects(first, end) {
                self.reader = self.reader.take().filter(|reader| reader.first != first);
                if let Some(segment) = self.segments.remove(index) {
                    self.remove(&segment);
                }
            }
            end = first;
        }
    }

    /// Removes a segment's file. One that stays is consumed, and removed at the next start.
    fn remove(&self, segment: &Segment) {
        let _ = self.files.remove(&self.path(segment));
    }

    fn path(&self, segment: &Segment) -> PathBuf {
        self.directory.join(segment.name())
    }
}

#[cfg(test)]
pub(super) mod tests;
