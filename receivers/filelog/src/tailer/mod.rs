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
//!
//! Which files are open is in `files`, what of all contents is settled in `saved`, what files have in common in `sets`.

mod adopt;
mod files;
mod places;
mod saved;
mod sets;
mod truncate;

pub(crate) use saved::{Changes, Saved};
pub(crate) use sets::{FileSet, Options, Says, Start};

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use hornpipe_model::{Log, LogSource, Timestamp};

use crate::handle::{Handle, Key, Look, Meta};
use crate::progress::BatchId;
use crate::tail::{ContentId, Counts, ReadOutcome, Reading, Tail};
use adopt::Copy;

/// Most bytes of one file before the next gets its turn.
const BYTES_A_FILE: usize = 128 * 1024;
/// Bytes of content that make a batch. In memory it takes twice that, and twice again while it is encoded; smaller ones cost
/// more requests.
const BYTES_A_BATCH: u64 = 256 * 1024;

/// A file that the patterns name.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// Where it is, if its path is a symbolic link.
    pub(crate) target: Option<PathBuf>,
    pub(crate) set: usize,
    pub(crate) meta: Meta,
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
    /// Files of the checkpoint are nowhere to be found; so many bytes were known to be unread in all of them.
    Missing { files: usize, some: Vec<PathBuf>, lost: u64 },
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
    /// How many records the latest batch had.
    usual: usize,
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
        let ended = saved.into_iter().map(saved::restore).collect();
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
            usual: 0,
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
            self.by_path.extend(file.target.iter().chain([&file.path]).map(|path| (path.clone(), key)));
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
                    if file.meta.look.size > tail.size {
                        tail.size = file.meta.look.size;
                        self.changed.insert(tail.id);
                    }
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
        // It probably has as many records as the one before: that saves moving them as they become more.
        self.out.reserve(self.usual + self.usual / 8);
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
        let set = self.sets.get(tail.set)?;
        tail.deadline(set.joining.as_ref(), set.splitter.encoding, self.options.force_flush?)
    }

    /// True while there are files that no pattern names any more.
    pub(crate) fn has_left(&self) -> bool {
        self.tails.values().any(|tail| tail.left.is_some())
    }

    /// How much is in the files, as far as they were measured, and not read yet.
    pub(crate) fn unread(&self) -> u64 {
        self.tails.values().map(|tail| tail.size.saturating_sub(tail.position())).sum()
    }

    /// Looks how long the files are that wait to be read.
    pub(crate) fn measure(&mut self) {
        for id in &self.ready {
            if let Some(tail) = self.tails.get_mut(id)
                && let Some(Ok(meta)) = tail.handle.as_ref().map(Handle::meta)
            {
                tail.size = tail.size.max(meta.look.size);
            }
        }
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
        if let Some(tail) = self.tails.get_mut(&id) {
            tail.was_read_left = tail.left.is_some();
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
        self.usual = records.len();
        // It may wait for long.
        records.shrink_to_fit();
        Some(Cut { batch, records })
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

/// The device of a content that the checkpoint has, where none is known.
const NO_DEVICE: u64 = u64::MAX;

/// A look that no file has: whatever it is compared with has changed.
pub(crate) fn unlike_any() -> Look {
    Look { size: u64::MAX, modified: (0, 0) }
}
