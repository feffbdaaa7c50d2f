//! A file that was truncated: its old content goes on in the copy that was made before, where there is one.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::places::{cousins, names_of, siblings};
use super::{Note, Tailer};
use crate::handle::{Compression, Handle, Meta};
use crate::tail::{ContentId, Tail};

/// A copy of a content.
pub(super) struct FoundCopy {
    pub(super) handle: Handle,
    pub(super) meta: Meta,
    pub(super) path: PathBuf,
    /// Up to where it is the same.
    pub(super) end: u64,
}

/// How far a copy is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// In the file's directory.
    Beside,
    /// Also in the directories near that: something may be unread, and that is worth a longer look.
    Near,
}

impl Tailer {
    /// A file no longer has what was read from it. The rest of that is read from its copy; the file is read from its
    /// beginning.
    pub(super) fn truncated(&mut self, id: ContentId) {
        self.part(id);
        let Some(index) = self.ended.iter().position(|tail| tail.id == id) else { return };
        let mut old = self.ended.remove(index);
        let lost = old.size.saturating_sub(old.position());
        let path = name_of(&old);
        if self.goes_on_in_copy(&mut old, Reach::Near) {
            self.notes.push(Note::Truncated { path, lost: 0, copy: Some(old.path.clone()) });
            self.tails.insert(id, old);
            self.queue(id, true);
            return;
        }
        self.counts.lost_bytes += lost;
        // One that was read to its end and then done away with is no news.
        if lost > 0 || self.by_key.contains_key(&old.key) {
            self.notes.push(Note::Truncated { path, lost, copy: None });
        }
        self.push_ended(old);
        self.flush(id);
    }

    /// Parts a file that was truncated from its old content, which has no file then. What the file has now is read from its
    /// beginning, unless it was done with: renamed, and overwritten then, as by logrotate's `shred`. If a pattern names it all the
    /// same, it is found anew.
    pub(super) fn part(&mut self, id: ContentId) {
        let Some(mut old) = self.tails.remove(&id) else { return };
        if is_overwritten(&old) {
            self.by_key.remove(&old.key);
            old.handle = None;
            old.is_truncated = true;
            old.is_queued = false;
            self.push_ended(old);
            return;
        }
        let (path, key) = (old.path.clone(), old.key);
        let mut fresh = self.new_tail(old.set, &path, key);
        fresh.records.source = Arc::clone(&old.records.source);
        fresh.left = old.left;
        fresh.handle = old.handle.take();
        old.is_truncated = true;
        old.is_queued = false;
        self.push_ended(old);
        self.insert(fresh, false);
    }

    /// Attaches a content without a file to its copy; false where there is none.
    pub(super) fn goes_on_in_copy(&mut self, old: &mut Tail, reach: Reach) -> bool {
        let Some(FoundCopy { handle, meta, path, end }) = self.find_copy(old, reach) else { return false };
        if old.has_pending() && old.position() > end {
            self.flush_apart(old);
        }
        if let Err(error) = old.attach(handle, meta.key, &path, end, self.options.fingerprint_size) {
            self.problems.insert(path, error);
            return false;
        }
        self.copies.remove(&meta.key);
        old.left = if self.by_path.contains_key(&path) { None } else { Some(self.now) };
        self.by_key.insert(meta.key, old.id);
        self.changed.insert(old.id);
        true
    }

    fn flush_apart(&mut self, old: &mut Tail) {
        let placeholder = self.new_tail(old.set, &old.path, old.key);
        let id = old.id;
        self.tails.insert(id, std::mem::replace(old, placeholder));
        self.flush(id);
        if let Some(flushed) = self.tails.remove(&id) {
            *old = flushed;
        }
    }

    /// Looks for a copy of a content: first among the files taken for one, then in its directory, then near that. There it takes a
    /// whole fingerprint: those files may be others' altogether.
    pub(super) fn find_copy(&mut self, old: &Tail, reach: Reach) -> Option<FoundCopy> {
        let held = self.copies.values().filter(|copy| copy.of == old.id).map(|copy| copy.path.clone());
        let held: Vec<PathBuf> = held.collect();
        self.release_reused(&siblings(&old.path));
        let try_all = |paths: Vec<PathBuf>| paths.into_iter().find_map(|path| self.try_copy(old, path).ok().flatten());
        let may_be_near = reach == Reach::Near && old.head.len() >= self.options.fingerprint_size;
        let try_near = || if may_be_near { try_all(cousins(&old.path)) } else { None };
        try_all(held).or_else(|| try_all(siblings(&old.path))).or_else(try_near)
    }

    /// Gives up the claims of contents whose files were closed and then deleted: their inodes are others' now.
    fn release_reused(&mut self, paths: &[PathBuf]) {
        for path in paths {
            let key = fs::metadata(path).ok().map(|metadata| Meta::from(&metadata).key);
            let Some(id) = key.and_then(|key| self.by_key.get(&key).copied()) else { continue };
            // A file that is where it was is no other; if it has something else, it was truncated.
            let is_elsewhere = |tail: &Tail| tail.handle.is_none() && tail.path != *path;
            if self.tails.get(&id).is_some_and(is_elsewhere)
                && self.open(id).is_ok()
                && self.tails.get_mut(&id).is_some_and(|tail| tail.is_other())
            {
                self.release(id);
            }
        }
    }

    /// A content has no file any more, and the file that has its key is none that we know.
    fn release(&mut self, id: ContentId) {
        if let Some(mut tail) = self.tails.remove(&id) {
            self.by_key.remove(&tail.key);
            tail.handle = None;
            tail.is_queued = false;
            self.push_ended(tail);
            self.flush(id);
        }
    }

    fn try_copy(&self, old: &Tail, path: PathBuf) -> io::Result<Option<FoundCopy>> {
        let (mut handle, meta) = Handle::open(&path, Compression::Auto)?;
        if meta.key == old.key || self.by_key.contains_key(&meta.key) {
            return Ok(None);
        }
        let head = handle.head(self.options.fingerprint_size)?;
        if !old.head.fits(&head) {
            return Ok(None);
        }
        let Some(size) = handle.length()? else { return Ok(None) };
        let end = old.is_in(&mut handle, &head, size)?;
        Ok(end.map(|end| FoundCopy { handle, meta, path, end }))
    }
}

/// True for a file that is no log any more: it has lost the name that we look for, and either lost its content since it was read
/// under another, or has other content in the same place, which is no truncation. One that was truncated first and renamed then
/// is still a log.
fn is_overwritten(tail: &Tail) -> bool {
    let size = tail.handle.as_ref().and_then(|handle| handle.meta().ok()).map(|meta| meta.look.size);
    is_renamed(tail) && (tail.was_read_left || size.is_some_and(|size| size >= tail.size.max(1)))
}

/// True where a content's file has not the name any more that we know.
fn is_renamed(tail: &Tail) -> bool {
    let has_its_name = || fs::metadata(&tail.path).is_ok_and(|metadata| Meta::from(&metadata).key == tail.key);
    tail.left.is_some() || !has_its_name()
}

/// The name that a content's file has now, as far as that can be told.
fn name_of(tail: &Tail) -> PathBuf {
    let now = || names_of(&tail.path, tail.key.inode).into_iter().next();
    is_renamed(tail).then(now).flatten().unwrap_or_else(|| tail.path.clone())
}
