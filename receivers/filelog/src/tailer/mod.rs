//! All files of a receiver: which content is read where, what comes next, and what of it is settled.
//!
//! Works on plain files, without a runtime: whoever drives it says what was found ([`Tailer::scan`]), what may have grown
//! ([`Tailer::wake`]) and what became of a batch ([`Tailer::settle`]), and takes batches ([`Tailer::turn`]).
//!
//! # Identity
//!
//! While it exists, a file is known by device and inode, whatever its name. A file that was never seen before is compared
//! with the contents that are known (`adopt`): it may be a copy of one (copytruncate, compression, a restored volume), and
//! then nothing of it is read twice. A file that no longer has what was read from it was truncated (`truncate`): its old
//! content goes on in the copy, where there is one, and the file begins anew.

mod adopt;
mod truncate;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use hornpipe_engine::logs::{Joining, Rules};
use hornpipe_model::{Log, LogSource, Timestamp};

use crate::fingerprint::{Head, HeadHash, Mark};
use crate::handle::{Compression, Handle, Key, Look, Meta};
use crate::progress::BatchId;
use crate::splitter::Splitter;
use crate::tail::{ContentId, Counts, ReadOutcome, Reading, Tail};
use adopt::Copy;

/// Most bytes of one file before the next gets its turn.
const BYTES_A_FILE: usize = 128 * 1024;
/// Bytes of content that make a batch. In memory it takes twice that, and twice again while it is encoded; smaller ones cost
/// more requests.
const BYTES_A_BATCH: u64 = 256 * 1024;
/// How long a file without a name that we look for is kept open after it was read to its end: its writer may not have
/// noticed yet.
const LINGER: Duration = Duration::from_secs(300);
/// How many contents without a file are remembered, to know them again in a copy.
const MOST_ENDED: usize = 1_000;

/// Where a file that is new to us is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// From its end, where it is there at the receiver's very first start.
    End,
    /// From its beginning.
    Beginning,
    /// From its end at every start.
    AlwaysEnd,
    /// From its beginning at every start.
    AlwaysBeginning,
}

/// What files of one set have in common.
#[derive(Clone, Debug)]
pub(crate) struct FileSet {
    pub(crate) splitter: Splitter,
    /// What makes several lines one record.
    pub(crate) joining: Option<Joining>,
    /// What becomes of its records.
    pub(crate) rules: Rules,
    pub(crate) start: Start,
    /// What their records say of their source, beside the path.
    pub(crate) source: LogSource,
}

/// What records say of their file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Path,
    Name,
    Nothing,
}

impl Says {
    fn of(self, path: &Path) -> String {
        match self {
            Says::Path => path.to_string_lossy().into_owned(),
            Says::Name => path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            Says::Nothing => String::new(),
        }
    }
}

/// What all sets have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) says: Says,
    pub(crate) fingerprint_size: usize,
    pub(crate) max_open: usize,
    /// How long an incomplete record waits for its rest; `None` for ever.
    pub(crate) force_flush: Option<Duration>,
    pub(crate) compression: Compression,
}

/// A file that the patterns name.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) set: usize,
    pub(crate) meta: Meta,
}

/// A content in the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Saved {
    pub(crate) id: ContentId,
    pub(crate) path: PathBuf,
    pub(crate) inode: u64,
    pub(crate) settled: Mark,
    pub(crate) head: HeadHash,
}

/// What of the checkpoint has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) saved: Vec<Saved>,
    pub(crate) removed: Vec<ContentId>,
}

/// Records on their way.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) batch: BatchId,
    pub(crate) records: Vec<Log>,
}

/// Something that somebody should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// A file was truncated; of what had been in it, so many bytes were seen to be there and never read.
    Truncated { path: PathBuf, lost: u64, copy: Option<PathBuf> },
    /// A file was gone before it was read to its end.
    Gone { path: PathBuf, lost: u64 },
    /// Tailing begins.
    Opened { path: PathBuf, offset: u64 },
    /// Reading was resumed in another place than where the content had been.
    Resumed { path: PathBuf, was: PathBuf, offset: u64 },
}

/// All files of a receiver.
#[derive(Debug)]
pub(crate) struct Tailer {
    sets: Vec<FileSet>,
    options: Options,
    is_first_start: bool,
    has_scanned: bool,
    now: Duration,
    observed: Timestamp,
    tails: HashMap<ContentId, Tail>,
    by_key: HashMap<Key, ContentId>,
    by_path: HashMap<PathBuf, Key>,
    /// What had the names at the look before.
    before: HashMap<PathBuf, Key>,
    copies: HashMap<Key, Copy>,
    /// Contents without a file, oldest first: of the checkpoint, or gone.
    ended: Vec<Tail>,
    ready: VecDeque<ContentId>,
    next_id: ContentId,
    next_batch: BatchId,
    batches: HashMap<BatchId, Vec<ContentId>>,
    scratch: Vec<u8>,
    /// What the next batch has so far, and of which contents.
    out: Vec<Log>,
    touched: Vec<ContentId>,
    changed: BTreeSet<ContentId>,
    removed: Vec<ContentId>,
    problems: HashMap<PathBuf, io::Error>,
    counts: Counts,
    notes: Vec<Note>,
}

impl Tailer {
    /// Nothing found yet. `saved` is the checkpoint; `None` at the very first start.
    pub(crate) fn new(sets: Vec<FileSet>, options: Options, saved: Option<Vec<Saved>>) -> Self {
        let is_first_start = saved.is_none();
        let saved = saved.unwrap_or_default();
        let next_id = saved.iter().map(|saved| saved.id + 1).max().unwrap_or(0);
        let ended = saved.into_iter().map(restore).collect();
        Tailer {
            sets,
            options,
            is_first_start,
            has_scanned: false,
            now: Duration::ZERO,
            observed: Timestamp::UNKNOWN,
            tails: HashMap::new(),
            by_key: HashMap::new(),
            by_path: HashMap::new(),
            before: HashMap::new(),
            copies: HashMap::new(),
            ended,
            ready: VecDeque::new(),
            next_id,
            next_batch: 0,
            batches: HashMap::new(),
            scratch: Vec::new(),
            out: Vec::new(),
            touched: Vec::new(),
            changed: BTreeSet::new(),
            removed: Vec::new(),
            problems: HashMap::new(),
            counts: Counts::default(),
            notes: Vec::new(),
        }
    }

    /// Says what time it is.
    pub(crate) fn set_time(&mut self, now: Duration, observed: Timestamp) {
        (self.now, self.observed) = (now, observed);
    }

    /// Takes what the patterns name now.
    pub(crate) fn scan(&mut self, found: Vec<Found>) {
        let mut present = HashSet::with_capacity(found.len());
        let mut unknown = Vec::new();
        self.before = std::mem::take(&mut self.by_path);
        self.problems.clear();
        for file in found {
            let key = file.meta.key;
            self.by_path.insert(file.path.clone(), key);
            if !present.insert(key) {
                continue;
            }
            match self.by_key.get(&key).and_then(|id| self.tails.get_mut(id)) {
                // A closed file with another name may be another file with the same inode; nothing was read of it.
                Some(tail) if !tail.is_judged && tail.handle.is_none() && tail.path != file.path => {
                    let id = tail.id;
                    self.drop_tail(id);
                    unknown.push(file);
                }
                Some(tail) => {
                    tail.left = None;
                    tail.path = file.path;
                    tail.size = tail.size.max(file.meta.look.size);
                    if tail.look != file.meta.look {
                        self.queue_last(key);
                    }
                }
                None => unknown.push(file),
            }
        }
        self.leave(&present);
        self.adopt_all(unknown, &present);
        self.forget();
        self.has_scanned = true;
    }

    /// Says that a file may have changed; false where it is not known.
    pub(crate) fn wake(&mut self, path: &Path) -> bool {
        let key = self.by_path.get(path).copied();
        key.inspect(|key| self.queue_last(*key)).is_some()
    }

    /// Has all files looked at that no pattern names any more; their changes are not announced.
    pub(crate) fn wake_left(&mut self) {
        let left: Vec<ContentId> = self.tails.values().filter(|tail| tail.left.is_some()).map(|tail| tail.id).collect();
        left.into_iter().for_each(|id| self.queue(id, true));
    }

    /// Reads on, every file its share, until there is enough for a batch or nothing more to read.
    pub(crate) fn turn(&mut self) -> Option<Cut> {
        let start = self.counts.bytes;
        while self.counts.bytes - start < BYTES_A_BATCH
            && let Some(id) = self.ready.pop_front()
        {
            self.read(id);
        }
        // What has come meanwhile may have been the rest.
        self.flush_overdue();
        self.cut()
    }

    /// Sends what is pending, as at the end of a run: records of whole lines; with `also_lines` the beginning of a line too,
    /// where nobody will read it again.
    pub(crate) fn flush_all(&mut self, also_lines: bool) -> Option<Cut> {
        let is_due = |tail: &&Tail| tail.has_whole_lines() || (also_lines && tail.has_pending());
        let pending: Vec<ContentId> = self.contents().filter(is_due).map(|tail| tail.id).collect();
        pending.into_iter().for_each(|id| self.flush(id));
        self.cut()
    }

    /// True while there is something to read.
    pub(crate) fn is_busy(&self) -> bool {
        !self.ready.is_empty()
    }

    /// When the next incomplete record is to be sent.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.contents().filter(|tail| !tail.is_queued).filter_map(|tail| self.deadline(tail)).min()
    }

    fn deadline(&self, tail: &Tail) -> Option<Duration> {
        let joining = self.sets.get(tail.set).and_then(|set| set.joining.as_ref());
        tail.deadline(joining, self.options.force_flush?)
    }

    /// True while there are files that no pattern names any more.
    pub(crate) fn has_left(&self) -> bool {
        self.tails.values().any(|tail| tail.left.is_some())
    }

    /// A batch was delivered, durably queued or counted as dropped; or it was lost.
    pub(crate) fn settle(&mut self, batch: BatchId, is_settled: bool) {
        for id in self.batches.remove(&batch).unwrap_or_default() {
            if let Some(tail) = content(&mut self.tails, &mut self.ended, id)
                && tail.progress.settle(batch, is_settled)
            {
                self.changed.insert(id);
            }
        }
    }

    /// True when the checkpoint has to be written.
    pub(crate) fn has_changes(&self) -> bool {
        !self.changed.is_empty() || !self.removed.is_empty()
    }

    /// What has changed since the last call.
    pub(crate) fn take_changes(&mut self) -> Changes {
        let changed = std::mem::take(&mut self.changed);
        let saved =
            changed.into_iter().filter_map(|id| content(&mut self.tails, &mut self.ended, id).map(|tail| save(tail)));
        Changes {
            saved: saved.filter(|saved| saved.head.length > 0).collect(),
            removed: std::mem::take(&mut self.removed),
        }
    }

    /// Everything that the checkpoint has to have.
    pub(crate) fn saved(&self) -> Vec<Saved> {
        self.contents().map(save).filter(|saved| saved.head.length > 0).collect()
    }

    /// What reading counted since the last call.
    pub(crate) fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// What happened since the last call.
    pub(crate) fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// The files that cannot be read, as of the last scan.
    pub(crate) fn problems(&self) -> &HashMap<PathBuf, io::Error> {
        &self.problems
    }

    /// The files being read.
    pub(crate) fn tails(&self) -> impl Iterator<Item = &Tail> {
        self.tails.values()
    }

    /// Every content, with a file or without.
    fn contents(&self) -> impl Iterator<Item = &Tail> {
        self.tails.values().chain(&self.ended)
    }

    fn queue_last(&mut self, key: Key) {
        if let Some(id) = self.by_key.get(&key) {
            self.queue(*id, false);
        }
    }

    fn queue(&mut self, id: ContentId, is_first: bool) {
        if let Some(tail) = self.tails.get_mut(&id).filter(|tail| !tail.is_queued) {
            tail.is_queued = true;
            if is_first { self.ready.push_front(id) } else { self.ready.push_back(id) }
        }
    }

    /// Gives one file its share.
    fn read(&mut self, id: ContentId) {
        let Some(tail) = self.tails.get_mut(&id) else { return };
        tail.is_queued = false;
        if !tail.is_judged && !self.judge_tail(id) {
            return;
        }
        if let Err(error) = self.open(id) {
            self.fail(id, error);
            return;
        }
        let before = (self.out.len(), self.counts.dropped.clone());
        let head_before = self.tails.get(&id).map_or(0, |tail| tail.head.len());
        match self.read_open(id) {
            Ok(ReadOutcome::More) => self.queue(id, false),
            Ok(ReadOutcome::End) => self.end_if_over(id),
            Ok(ReadOutcome::Truncated) => self.truncated(id),
            Err(error) => self.fail(id, error),
        }
        if (self.out.len(), &self.counts.dropped) != (before.0, &before.1) {
            self.touched.push(id);
        }
        if self.tails.get(&id).is_some_and(|tail| tail.head.len() != head_before) {
            self.changed.insert(id);
        }
    }

    fn read_open(&mut self, id: ContentId) -> io::Result<ReadOutcome> {
        let Some((tail, mut reading)) = self.reading(id) else { return Ok(ReadOutcome::End) };
        tail.read(&mut reading)
    }

    fn reading(&mut self, id: ContentId) -> Option<(&mut Tail, Reading<'_>)> {
        let Tailer { tails, ended, sets, scratch, out, counts, .. } = self;
        let tail = content(tails, ended, id)?;
        let set = sets.get(tail.set)?;
        let reading = Reading {
            splitter: &set.splitter,
            joining: set.joining.as_ref(),
            rules: &set.rules,
            observed: self.observed,
            now: self.now,
            limit: BYTES_A_FILE,
            fingerprint_size: self.options.fingerprint_size,
            scratch,
            out,
            counts,
        };
        Some((tail, reading))
    }

    fn flush(&mut self, id: ContentId) {
        if let Some((tail, mut reading)) = self.reading(id) {
            tail.flush(&mut reading);
            self.touched.push(id);
        }
    }

    /// Sends incomplete records that have waited for long enough.
    fn flush_overdue(&mut self) {
        let is_overdue =
            |tail: &&Tail| !tail.is_queued && self.deadline(tail).is_some_and(|deadline| self.now >= deadline);
        let overdue: Vec<ContentId> = self.contents().filter(is_overdue).map(|tail| tail.id).collect();
        for id in overdue {
            if let Some((tail, mut reading)) = self.reading(id) {
                tail.flush_overdue(&mut reading);
                self.touched.push(id);
            }
        }
    }

    /// Makes a batch of what there is.
    fn cut(&mut self) -> Option<Cut> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        if self.out.is_empty() {
            // Rules dropped all there was.
            for id in touched {
                if let Some(tail) = content(&mut self.tails, &mut self.ended, id) {
                    let end = tail.sent_mark();
                    if tail.progress.passed_over(end) {
                        self.changed.insert(id);
                    }
                }
            }
            return None;
        }
        let batch = self.next_batch;
        self.next_batch += 1;
        for id in &touched {
            if let Some(tail) = content(&mut self.tails, &mut self.ended, *id) {
                let end = tail.sent_mark();
                tail.progress.sent(batch, end);
            }
        }
        self.batches.insert(batch, touched);
        let mut records = std::mem::take(&mut self.out);
        // It may wait for long.
        records.shrink_to_fit();
        Some(Cut { batch, records })
    }

    /// Opens a content's file where it is not open, and closes another where there are too many.
    fn open(&mut self, id: ContentId) -> io::Result<()> {
        let Some(tail) = self.tails.get(&id).filter(|tail| tail.handle.is_none()) else { return Ok(()) };
        let (path, key) = (tail.path.clone(), tail.key);
        self.make_room();
        let (handle, path) = open_known(&path, key, self.options.compression)?;
        if let Some(tail) = self.tails.get_mut(&id) {
            tail.handle = Some(handle);
            tail.path = path;
        }
        Ok(())
    }

    /// Closes the file that has been quiet for longest, where as many are open as may be.
    fn make_room(&mut self) {
        let open = self.tails.values().filter(|tail| tail.handle.is_some());
        if open.clone().count() < self.options.max_open {
            return;
        }
        let least = open.min_by_key(|tail| (tail.is_queued, tail.left.is_some(), tail.grown)).map(|tail| tail.id);
        if let Some(tail) = least.and_then(|id| self.tails.get_mut(&id)) {
            tail.handle = None;
        }
    }

    /// A file could not be opened or read. One that is gone is given up, others are tried again.
    fn fail(&mut self, id: ContentId, error: io::Error) {
        let Some(tail) = self.tails.get(&id) else { return };
        if error.kind() == io::ErrorKind::NotFound {
            if tail.left.is_some() {
                self.end(id);
            }
        } else {
            self.problems.insert(tail.path.clone(), error);
        }
    }

    /// Notes which files no pattern names any more.
    fn leave(&mut self, present: &HashSet<Key>) {
        let gone = |tail: &&mut Tail| !present.contains(&tail.key);
        let mut left = Vec::new();
        for tail in self.tails.values_mut().filter(gone) {
            tail.left.get_or_insert(self.now);
            left.push(tail.id);
        }
        // What was written last is in the files that have just left: they go first.
        left.into_iter().for_each(|id| self.queue(id, true));
        self.copies.retain(|key, _| present.contains(key));
    }

    /// Closes a file that no pattern names any more, once it has been quiet for long enough.
    fn end_if_over(&mut self, id: ContentId) {
        let is_over = |tail: &Tail| tail.left.is_some_and(|since| self.now >= since.max(tail.grown) + LINGER);
        if self.tails.get(&id).is_some_and(is_over) {
            self.end(id);
        }
    }

    /// A content has no file any more. It is remembered, to know it again in a copy.
    fn end(&mut self, id: ContentId) {
        if self.tails.get(&id).is_some_and(Tail::has_pending) {
            self.flush(id);
        }
        let Some(mut tail) = self.tails.remove(&id) else { return };
        self.by_key.remove(&tail.key);
        tail.handle = None;
        tail.is_queued = false;
        let lost = tail.size.saturating_sub(tail.position());
        if self.goes_on_in_copy(&mut tail) {
            self.tails.insert(id, tail);
            self.queue(id, true);
            return;
        }
        if lost > 0 {
            self.counts.lost_bytes += lost;
            self.notes.push(Note::Gone { path: tail.path.clone(), lost });
        }
        self.ended.push(tail);
    }

    /// Forgets the oldest of the contents without a file, where there are many.
    fn forget(&mut self) {
        let surplus = self.ended.len().saturating_sub(MOST_ENDED);
        for tail in self.ended.drain(..surplus) {
            self.changed.remove(&tail.id);
            self.removed.push(tail.id);
        }
    }

    fn new_tail(&mut self, set: usize, path: &Path, key: Key) -> Tail {
        let source = self.sets.get(set).map(|set| set.source.clone()).unwrap_or_default();
        let source = LogSource { path: self.options.says.of(path), ..source };
        let id = self.next_id;
        self.next_id += 1;
        let mut tail = Tail::new(id, set, path, key, Arc::new(source));
        tail.grown = self.now;
        tail
    }

    fn insert(&mut self, tail: Tail, is_first: bool) {
        let id = tail.id;
        self.by_key.insert(tail.key, id);
        self.changed.insert(id);
        self.tails.insert(id, tail);
        self.queue(id, is_first);
    }
}

/// A content that is known, with a file or without.
fn content<'a>(tails: &'a mut HashMap<ContentId, Tail>, ended: &'a mut [Tail], id: ContentId) -> Option<&'a mut Tail> {
    tails.get_mut(&id).or_else(|| ended.iter_mut().find(|tail| tail.id == id))
}

/// Opens the file that is known, in whatever name it has in its directory.
fn open_known(path: &Path, key: Key, compression: Compression) -> io::Result<(Handle, PathBuf)> {
    match Handle::open(path, compression) {
        Ok((handle, meta)) if meta.key == key => return Ok((handle, path.to_owned())),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    for path in truncate::names_of(path, key.inode) {
        if let Ok((handle, meta)) = Handle::open(&path, Compression::Auto)
            && meta.key == key
        {
            return Ok((handle, path));
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// What a content looked like to a device that is not known any more.
const NO_DEVICE: u64 = u64::MAX;

fn restore(saved: Saved) -> Tail {
    let key = Key { device: NO_DEVICE, inode: saved.inode };
    let source = LogSource { path: saved.path.to_string_lossy().into_owned(), ..LogSource::default() };
    Tail::new(saved.id, 0, &saved.path, key, Arc::new(source)).restored(saved.settled, Head::Hash(saved.head))
}

fn save(tail: &Tail) -> Saved {
    Saved {
        id: tail.id,
        path: tail.origin.clone(),
        inode: tail.key.inode,
        settled: tail.progress.settled(),
        head: tail.head.to_hash(),
    }
}

/// A look that no file has: whatever it is compared with has changed.
pub(crate) fn unlike_any() -> Look {
    Look { size: u64::MAX, modified: (0, 0) }
}
