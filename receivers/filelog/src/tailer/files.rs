//! Which files are open, and for how long.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hashbrown::HashSet;

use super::truncate::Reach;
use super::{Note, Tailer, places};
use crate::handle::{Compression, Handle, Key};
use crate::tail::{ContentId, Tail};

/// How long a file without a name that we look for is kept open after it was read to its end: its writer may not have
/// noticed yet.
const LINGER: Duration = Duration::from_secs(300);

impl Tailer {
    /// Opens a content's file where it is not open, and closes another where there are too many.
    pub(super) fn open(&mut self, id: ContentId) -> io::Result<()> {
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
    pub(super) fn make_room(&mut self) {
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
    pub(super) fn fail(&mut self, id: ContentId, error: io::Error) {
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
    pub(super) fn leave(&mut self, present: &HashSet<Key>) {
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
    pub(super) fn end_if_over(&mut self, id: ContentId) {
        let is_over = |tail: &Tail| tail.left.is_some_and(|since| self.now >= since.max(tail.grown) + LINGER);
        if self.tails.get(&id).is_some_and(is_over) {
            self.end(id);
        }
    }

    /// A content has no file any more. It is remembered, to know it again in a copy.
    pub(super) fn end(&mut self, id: ContentId) {
        if self.tails.get(&id).is_some_and(Tail::has_pending) {
            self.flush(id);
        }
        let Some(mut tail) = self.tails.remove(&id) else { return };
        self.by_key.remove(&tail.key);
        tail.handle = None;
        tail.is_queued = false;
        let lost = tail.size.saturating_sub(tail.position());
        if self.goes_on_in_copy(&mut tail, if lost > 0 { Reach::Near } else { Reach::Beside }) {
            self.tails.insert(id, tail);
            self.queue(id, true);
            return;
        }
        if lost > 0 {
            self.counts.lost_bytes += lost;
            self.notes.push(Note::Gone { path: tail.path.clone(), lost });
        }
        self.push_ended(tail);
    }
}

/// Opens the file that is known, in whatever name it has in its directory or near it.
pub(super) fn open_known(path: &Path, key: Key, compression: Compression) -> io::Result<(Handle, PathBuf)> {
    match Handle::open(path, compression) {
        Ok((handle, meta)) if meta.key == key => return Ok((handle, path.to_owned())),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let near = || places::inodes_near(places::directory_of(path)).into_iter().filter(|(inode, _)| *inode == key.inode);
    let beside = places::names_of(path, key.inode).into_iter();
    for path in beside.chain(std::iter::once_with(near).flatten().map(|(_, path)| path)) {
        if let Ok((handle, meta)) = Handle::open(&path, Compression::Auto)
            && meta.key == key
        {
            return Ok((handle, path));
        }
    }
    Err(io::ErrorKind::NotFound.into())
}
