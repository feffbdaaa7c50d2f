//! A file that is new to us: is it new, or has it something that we know?
//!
//! The same bytes in another file are a copy: with copytruncate, the copy is made first and the original truncated then;
//! compression makes a copy too. A copy is left alone while its original is there, and takes the original's place when
//! that is gone. Not a copy are: a file with the name that the other had until now (rename and create), a file that
//! differs or goes on differently, one that goes on growing after the copy was complete, and a short one whose original
//! is not truncated soon: two programs may well have begun with the same line.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use hornpipe_model::LogSource;

use super::truncate::{FoundCopy, Reach};
use super::{FileSet, Found, NO_DEVICE, Note, Start, Tailer, places, unlike_any};
use crate::handle::{Handle, Key, Look, Meta};
use crate::tail::{ContentId, Tail};

/// A file that grows that long after it had all of its original is no copy in the making.
const COPY_IS_DONE: Duration = Duration::from_secs(2);
/// How many files are named where there may be many.
const NAMED: usize = 3;
/// How long a file shorter than a fingerprint is taken for a copy of one that stays as it is.
const SHORT_COPY: Duration = Duration::from_secs(10);

/// A file that has the same as another, so far.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) of: ContentId,
    pub(super) path: PathBuf,
    since: Duration,
    look: Look,
    /// How long its content was at that look; of a compressed copy without end.
    length: u64,
    /// When it was first seen to have all of its original, and how large it was.
    complete: Option<(Duration, u64)>,
}

/// What a file is that is new to us.
enum Verdict {
    /// New; or empty, so that nobody can tell yet.
    New,
    /// It has what one of the contents without a file had, which goes on here; up to this offset they are the same.
    Resumes { ended: usize, end: u64 },
    /// It has the same as another file.
    CopyOf(ContentId),
    /// It is still being compressed, and may be a copy.
    Wait,
}

impl Tailer {
    /// Takes files in that are new to us. First those whose inode the checkpoint knows, wherever they are now.
    pub(super) fn adopt_all(&mut self, unknown: Vec<Found>, present: &HashSet<Key>) {
        let is_known = |tailer: &Tailer, inode| tailer.ended.iter().any(|tail| tail.key.inode == inode);
        let (known, unknown): (Vec<_>, Vec<_>) =
            unknown.into_iter().partition(|file| is_known(self, file.meta.key.inode));
        known.into_iter().for_each(|file| self.adopt(&file));
        if !self.has_scanned {
            self.search_by_inode(present);
        }
        unknown.into_iter().for_each(|file| self.adopt(&file));
        if !self.has_scanned {
            self.search_copies();
            self.note_missing();
        }
    }

    fn adopt(&mut self, file: &Found) {
        match self.copies.get(&file.meta.key) {
            None => self.adopt_unknown(file),
            Some(_) => self.judge_copy(file),
        }
    }

    fn adopt_unknown(&mut self, file: &Found) {
        self.open_and_place(&file.path, &file.path, file.set);
    }

    /// Takes in a file that was renamed, where it is unknown: nobody has looked while it had a name that we look for.
    pub(crate) fn adopt_renamed(&mut self, name: &Path, path: &Path, set: usize) {
        if self.has_scanned && fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
            self.open_and_place(name, path, set);
        }
    }

    /// Opens the file at a path and takes it in under a name, where it is unknown.
    fn open_and_place(&mut self, name: &Path, path: &Path, set: usize) {
        self.make_room();
        let outcome = Handle::open(path, self.options.compression).and_then(|(handle, meta)| {
            match self.by_key.contains_key(&meta.key) || self.copies.contains_key(&meta.key) {
                true => Ok(()),
                false => self.place(handle, meta, name, set),
            }
        });
        match outcome {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.problems.insert(path.to_owned(), error);
            }
            _ => {}
        }
    }

    /// Finds out what a file is, and takes it in as that.
    fn place(&mut self, mut handle: Handle, meta: Meta, path: &Path, set: usize) -> io::Result<()> {
        let head = handle.head(self.options.fingerprint_size)?;
        let start = self.sets.get(set).map(|set: &FileSet| set.start).unwrap_or(Start::Beginning);
        let predecessor = self.before.get(path).filter(|key| **key != meta.key);
        let succeeds = predecessor.and_then(|key| self.latest_at(*key));
        let is_forced = !self.has_scanned && start.is_forced();
        let verdict = if is_forced { Verdict::New } else { self.judge(&mut handle, meta, succeeds, &head)? };
        match verdict {
            Verdict::New => {
                let mut tail = self.new_tail(set, path, meta.key);
                tail.succeeds = succeeds;
                let at_end = start == Start::AlwaysEnd || (start == Start::End && self.is_first_start);
                if at_end && !self.has_scanned {
                    let size = handle.length()?.unwrap_or(meta.look.size);
                    tail.start_at_end(&mut handle, size, self.options.fingerprint_size)?;
                } else {
                    tail.is_judged = !head.is_empty();
                    tail.set_head(&head);
                }
                self.notes.push(Note::Opened { path: path.to_owned(), offset: tail.position() });
                tail.handle = Some(handle);
                self.insert(tail, false);
            }
            Verdict::Resumes { ended, end } => {
                let tail = self.ended.remove(ended);
                self.resume(tail, FoundCopy { handle, meta, path: path.to_owned(), end }, set)?;
            }
            Verdict::CopyOf(of) => self.hold(of, meta, path),
            Verdict::Wait => {}
        }
        Ok(())
    }

    /// The content that was in a file last.
    fn latest_at(&self, key: Key) -> Option<ContentId> {
        let ended = || self.ended.iter().rev().find(|tail| tail.key == key).map(|tail| tail.id);
        self.by_key.get(&key).copied().or_else(ended)
    }

    /// Looks at a file whose first bytes have come only now; false where it is not to be read.
    pub(super) fn judge_tail(&mut self, id: ContentId) -> bool {
        let Some(tail) = self.tails.get(&id) else { return false };
        let (path, set, key, succeeds) = (tail.path.clone(), tail.set, tail.key, tail.succeeds);
        let outcome = super::files::open_known(&path, key, self.options.compression).and_then(|(mut handle, path)| {
            let meta = handle.meta()?;
            let head = handle.head(self.options.fingerprint_size)?;
            if head.is_empty() {
                return Ok(true);
            }
            let verdict = self.judge(&mut handle, meta, succeeds, &head)?;
            if matches!(verdict, Verdict::New) {
                if let Some(tail) = self.tails.get_mut(&id) {
                    tail.is_judged = true;
                    tail.set_head(&head);
                    // What was empty may be compressed now.
                    tail.handle = Some(handle);
                }
                // By its head it is known again after a crash, also where nothing of it is sent by then.
                self.changed.insert(id);
                return Ok(true);
            }
            self.drop_tail(id);
            match verdict {
                Verdict::Resumes { ended, end } => {
                    let tail = self.ended.remove(ended);
                    self.resume(tail, FoundCopy { handle, meta, path, end }, set)?;
                }
                Verdict::CopyOf(of) => self.hold(of, meta, &path),
                Verdict::New | Verdict::Wait => {}
            }
            Ok(false)
        });
        outcome.unwrap_or_else(|error| {
            self.fail(id, error);
            false
        })
    }

    /// Forgets a file of which nothing was read.
    pub(super) fn drop_tail(&mut self, id: ContentId) {
        if let Some(tail) = self.tails.remove(&id) {
            self.by_key.remove(&tail.key);
        }
        self.changed.remove(&id);
    }

    fn hold(&mut self, of: ContentId, meta: Meta, path: &Path) {
        let copy =
            Copy { of, path: path.to_owned(), since: self.now, look: unlike_any(), length: u64::MAX, complete: None };
        self.copies.insert(meta.key, copy);
    }

    /// A content goes on in a file.
    pub(super) fn resume(&mut self, mut tail: Tail, found: FoundCopy, set: usize) -> io::Result<()> {
        let FoundCopy { handle, meta, path, end } = found;
        let was = tail.path.clone();
        if tail.key.device == NO_DEVICE {
            let source = self.sets.get(set).map(|set| set.source.clone()).unwrap_or_default();
            let path = self.options.says.of(&tail.origin);
            tail.records.source = Arc::new(LogSource { path, ..source });
        }
        tail.set = set;
        if tail.has_pending() && tail.position() > end {
            self.ended.push(tail);
            let id = self.ended.last().map(|tail| tail.id).unwrap_or_default();
            self.flush(id);
            let Some(flushed) = self.ended.pop() else { return Ok(()) };
            tail = flushed;
        }
        tail.attach(handle, meta.key, &path, end, self.options.fingerprint_size)?;
        tail.left = None;
        self.notes.push(Note::Resumed { path, was, offset: tail.position() });
        self.insert(tail, true);
        Ok(())
    }

    /// Compares a file with everything that is known.
    fn judge(
        &mut self,
        handle: &mut Handle,
        meta: Meta,
        succeeds: Option<ContentId>,
        head: &[u8],
    ) -> io::Result<Verdict> {
        if head.is_empty() {
            return Ok(Verdict::New);
        }
        let fits = |tail: &&Tail| tail.key != meta.key && tail.head.fits(head) && succeeds != Some(tail.id);
        let alike: Vec<ContentId> = self.tails.values().filter(fits).map(|tail| tail.id).collect();
        if alike.is_empty() && !self.ended.iter().any(|tail| tail.head.fits(head)) {
            return Ok(Verdict::New);
        }
        let Some(size) = handle.length()? else { return Ok(Verdict::Wait) };
        // An original that was truncated meanwhile has nothing to compare with any more.
        for id in &alike {
            if self.open(*id).is_ok()
                && let Some(tail) = self.tails.get_mut(id)
                && !tail.is_intact()?
            {
                self.part(*id);
            }
        }
        let mut best: Option<(u64, Verdict)> = None;
        let mut offer = |position: u64, verdict: Verdict| {
            if best.as_ref().is_none_or(|(known, _)| position > *known) {
                best = Some((position, verdict));
            }
        };
        for (index, tail) in self.ended.iter().enumerate() {
            let is_same_file = tail.key.inode == meta.key.inode;
            if succeeds != Some(tail.id)
                && !(is_same_file && tail.is_truncated)
                && let Some(end) = tail.is_in(handle, head, size)?
                && (end >= tail.position() || !is_same_file)
            {
                offer(tail.position() + u64::from(is_same_file), Verdict::Resumes { ended: index, end });
            }
        }
        for id in alike {
            if let Some(tail) = self.tails.get_mut(&id)
                && tail.head.fits(head)
                && has_the_same(tail, handle, head, size)?
            {
                offer(tail.position(), Verdict::CopyOf(id));
            }
        }
        Ok(best.map_or(Verdict::New, |(_, verdict)| verdict))
    }

    /// Looks again at a file that had the same as another.
    fn judge_copy(&mut self, file: &Found) {
        let key = file.meta.key;
        let Some(copy) = self.copies.get_mut(&key) else { return };
        copy.path.clone_from(&file.path);
        let (since, now, fingerprint) = (copy.since, self.now, self.options.fingerprint_size as u64);
        let is_overdue = move |length| length < fingerprint && now >= since + SHORT_COPY;
        if !is_overdue(copy.length) && copy.look == file.meta.look {
            return;
        }
        let (of, complete) = (copy.of, copy.complete);
        let outcome = Handle::open(&file.path, self.options.compression).and_then(|(mut handle, meta)| {
            if meta.key != key {
                return Ok(());
            }
            let head = handle.head(self.options.fingerprint_size)?;
            let Some(size) = handle.length()? else { return Ok(()) };
            let grew = complete.is_some_and(|(since, then)| size > then && self.now >= since + COPY_IS_DONE);
            let is_open = self.open(of).is_ok();
            if let Some(original) = self.tails.get_mut(&of).filter(|_| is_open)
                && !original.is_intact()?
            {
                self.truncated(of);
                return Ok(());
            }
            let same = match self.tails.get_mut(&of).filter(|_| is_open) {
                Some(original) => has_the_same(original, &mut handle, &head, size)?,
                None => true,
            };
            if !same {
                // It may have become the same as yet another.
                self.copies.remove(&key);
                return self.place(handle, meta, &file.path, file.set);
            }
            let original = self.tails.get(&of).and_then(|tail| tail.handle.as_ref());
            // What is compressed of a plain file is its copy, however short.
            let is_archive = handle.is_compressed() && original.is_some_and(|original| !original.is_compressed());
            let length = if is_archive { u64::MAX } else { size };
            let is_complete =
                original.and_then(|original| original.meta().ok()).is_some_and(|original| size >= original.look.size);
            if is_overdue(length) || grew {
                self.copies.remove(&key);
                let mut tail = self.new_tail(file.set, &file.path, key);
                tail.is_judged = true;
                tail.set_head(&head);
                tail.handle = Some(handle);
                self.insert(tail, false);
                return Ok(());
            }
            if let Some(copy) = self.copies.get_mut(&key) {
                (copy.look, copy.length) = (meta.look, length);
                if is_complete {
                    copy.complete.get_or_insert((self.now, size));
                }
            }
            Ok(())
        });
        if let Err(error) = outcome {
            self.problems.insert(file.path.clone(), error);
        }
    }

    /// Looks for the files of the checkpoint that no pattern names any more: renamed while nobody watched.
    fn search_by_inode(&mut self, present: &HashSet<Key>) {
        let missing: Vec<_> = self.ended.iter().map(|tail| (tail.id, tail.path.clone(), tail.key.inode)).collect();
        // One look near each directory.
        let mut near: HashMap<PathBuf, Vec<(u64, PathBuf)>> = HashMap::new();
        for (id, path, inode) in missing {
            let directory = places::directory_of(&path).to_owned();
            let near = near.entry(directory).or_insert_with_key(|directory| places::inodes_near(directory));
            let near = near.iter().filter(|(other, _)| *other == inode).map(|(_, path)| path.clone());
            let found = places::names_of(&path, inode).into_iter().chain(near).find_map(|path| {
                let (mut handle, meta) = Handle::open(&path, crate::handle::Compression::Auto).ok()?;
                let is_new = !present.contains(&meta.key) && !self.by_key.contains_key(&meta.key);
                let tail = self.ended.iter().find(|tail| tail.id == id).filter(|_| is_new)?;
                let head = handle.head(self.options.fingerprint_size).ok()?;
                let end = tail.is_in(&mut handle, &head, meta.look.size).ok()??;
                (end >= tail.position()).then_some(FoundCopy { handle, meta, path, end })
            });
            if let Some(found) = found {
                self.resume_left(id, found);
            }
        }
    }

    /// Looks for copies of the checkpoint's contents whose files are gone or were truncated.
    fn search_copies(&mut self) {
        let missing: Vec<ContentId> = self.ended.iter().map(|tail| tail.id).collect();
        for id in missing {
            let Some(index) = self.ended.iter().position(|tail| tail.id == id) else { continue };
            let tail = self.ended.remove(index);
            match self.find_copy(&tail, if tail.is_expected { Reach::Near } else { Reach::Beside }) {
                Some(found) => {
                    self.ended.insert(index, tail);
                    self.resume_left(id, found);
                }
                None => self.ended.insert(index, tail),
            }
        }
    }

    /// Says which files of the checkpoint are nowhere, once.
    fn note_missing(&mut self) {
        let (mut some, mut files, mut lost) = (Vec::new(), 0, 0);
        let is_forced = self.sets.iter().any(|set| set.start.is_forced());
        for tail in self.ended.iter_mut().filter(|tail| tail.is_expected && !is_forced) {
            tail.is_expected = false;
            files += 1;
            lost += tail.size.saturating_sub(tail.position());
            if some.len() < NAMED {
                some.push(tail.path.clone());
            }
            self.changed.insert(tail.id);
        }
        if files > 0 {
            self.counts.lost_bytes += lost;
            self.notes.push(Note::Missing { files, some, lost });
        }
    }

    /// A content goes on in a file that no pattern names.
    pub(super) fn resume_left(&mut self, id: ContentId, found: FoundCopy) {
        let Some(index) = self.ended.iter().position(|tail| tail.id == id) else { return };
        let tail = self.ended.remove(index);
        let (set, path) = (self.set_of(&tail), found.path.clone());
        match self.resume(tail, found, set) {
            Ok(()) => {
                if let Some(tail) = self.tails.get_mut(&id) {
                    tail.left = Some(self.now);
                }
            }
            Err(error) => {
                self.problems.insert(path, error);
            }
        }
    }

    /// The set that a content belongs to: its own in this run; of the checkpoint that of a neighbour.
    fn set_of(&self, tail: &Tail) -> usize {
        if tail.key.device != NO_DEVICE {
            return tail.set;
        }
        let neighbour = self.tails.values().find(|other| other.origin.parent() == tail.origin.parent());
        self.tails.values().find(|other| other.origin == tail.origin).or(neighbour).map_or(0, |other| other.set)
    }
}

/// True when a file has what another has, and no more. The size was taken before the other's is now.
fn has_the_same(original: &mut Tail, handle: &mut Handle, head: &[u8], size: u64) -> io::Result<bool> {
    if !original.head.fits(head) {
        return Ok(false);
    }
    match original.handle.as_mut().filter(|own| !own.is_compressed()) {
        Some(own) => Ok(size <= own.meta()?.look.size && own.before(size)? == handle.before(size)?),
        None => Ok(original.is_in(handle, head, size)?.is_some()),
    }
}
