//! A disk in memory that forgets in a crash what was not brought to it: bytes, and entries of directories.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::filesystem::{FileSystem, StoreFile};

/// The disk; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: Vec<File>,
    entries: BTreeMap<PathBuf, usize>,
    /// The entries that are on the disk, and what was done to them since.
    safe_entries: BTreeMap<PathBuf, usize>,
    since: Vec<(PathBuf, Option<usize>)>,
    changes: usize,
    /// The change from which on all fail.
    fails_from: Option<usize>,
    fails_to_write: bool,
    /// Files cannot grow beyond it, and all of them together not beyond the other.
    longest: Option<usize>,
    size: Option<usize>,
}

#[derive(Debug, Default)]
struct File {
    bytes: Vec<u8>,
    safe: Vec<u8>,
    since: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Cut(u64),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write(offset, written) => {
                let (start, end) = (*offset as usize, *offset as usize + written.len());
                bytes.resize(bytes.len().max(end), 0);
                bytes[start..end].copy_from_slice(written);
            }
            Change::Cut(length) => bytes.resize(*length as usize, 0),
        }
    }
}

impl FakeDisk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Changes made so far.
    pub fn changes(&self) -> usize {
        self.lock().changes
    }

    /// Lets every change from the one with this number on fail, as for a process that dies there.
    pub fn die_at(&self, change: usize) {
        self.lock().fails_from = Some(change);
    }

    /// Lets nothing be written, as a full disk does; or everything again.
    pub fn fill_up(&self, is_full: bool) {
        self.lock().fails_to_write = is_full;
    }

    /// Lets no file grow beyond a length, as a disk does that is nearly full; or every file.
    pub fn limit(&self, longest: Option<usize>) {
        self.lock().longest = longest;
    }

    /// Lets all files together not grow beyond a size.
    pub fn limit_all(&self, size: usize) {
        self.lock().size = Some(size);
    }

    /// The machine loses power: of what was not brought to the disk, some is there and some is not, also of one write: its blocks
    /// get there in any order.
    pub fn crash(&self, random: &mut fastrand::Rng) {
        let mut state = self.lock();
        state.fails_from = None;
        for file in &mut state.files {
            let mut bytes = std::mem::take(&mut file.safe);
            for change in std::mem::take(&mut file.since) {
                match change {
                    change if random.u8(..3) == 0 => change.apply(&mut bytes),
                    Change::Write(offset, written) if random.bool() => {
                        let end = random.usize(..=written.len());
                        let start = if random.bool() { 0 } else { random.usize(..=end) };
                        Change::Write(offset + start as u64, written[start..end].to_owned()).apply(&mut bytes);
                    }
                    _ => {}
                }
            }
            (file.bytes, file.safe) = (bytes.clone(), bytes);
        }
        let mut entries = std::mem::take(&mut state.safe_entries);
        for (path, file) in std::mem::take(&mut state.since) {
            match file.filter(|_| random.bool()) {
                Some(file) => drop(entries.insert(path, file)),
                None if random.bool() => drop(entries.remove(&path)),
                None => {}
            }
        }
        (state.entries, state.safe_entries) = (entries.clone(), entries);
    }

    /// The process is killed; the machine runs on and forgets nothing.
    pub fn kill(&self) {
        self.lock().fails_from = None;
    }

    /// The files that are there.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.lock().entries.keys().cloned().collect()
    }

    /// Changes a file's bytes, as a bad disk does.
    pub fn damage(&self, path: &Path, damage: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        let file = state.entries[path];
        damage(&mut state.files[file].bytes);
    }
}

impl State {
    fn change(&mut self) -> io::Result<()> {
        self.changes += 1;
        if self.fails_from.is_some_and(|from| self.changes > from) || self.fails_to_write {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl FileSystem for FakeDisk {
    fn make_directory(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<(String, u64)>> {
        let state = self.lock();
        let inside = state.entries.iter().filter(|(path, _)| path.parent() == Some(directory));
        let file = |(path, file): (&PathBuf, &usize)| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), state.files[*file].bytes.len() as u64)
        };
        Ok(inside.map(file).collect())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn StoreFile>> {
        let file = self.lock().entries.get(path).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Open { disk: self.clone(), file }))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StoreFile>> {
        let mut state = self.lock();
        state.change()?;
        let file = state.files.len();
        state.files.push(File::default());
        state.entries.insert(path.to_owned(), file);
        state.since.push((path.to_owned(), Some(file)));
        Ok(Box::new(Open { disk: self.clone(), file }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.change()?;
        state.entries.remove(path).ok_or(io::ErrorKind::NotFound)?;
        state.since.push((path.to_owned(), None));
        Ok(())
    }

    fn sync_directory(&self, _directory: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.change()?;
        state.safe_entries = state.entries.clone();
        state.since.clear();
        Ok(())
    }
}

#[derive(Debug)]
struct Open {
    disk: FakeDisk,
    file: usize,
}

impl Open {
    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.change()?;
        if let (Change::Write(offset, written), Some(longest)) = (&change, state.longest)
            && *offset as usize + written.len() > longest
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let used: usize = state.files.iter().map(|file| file.bytes.len()).sum();
        if let (Change::Write(offset, written), Some(size)) = (&change, state.size)
            && used + (*offset as usize + written.len()).saturating_sub(state.files[self.file].bytes.len()) > size
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = &mut state.files[self.file];
        change.apply(&mut file.bytes);
        file.since.push(change);
        Ok(())
    }
}

impl StoreFile for Open {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.lock();
        let left = state.files[self.file].bytes.get(offset as usize..).unwrap_or_default();
        let length = left.len().min(buffer.len());
        buffer[..length].copy_from_slice(&left[..length]);
        Ok(length)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.change(Change::Write(offset, bytes.to_owned()))
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.change(Change::Cut(length))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.change()?;
        let file = &mut state.files[self.file];
        (file.safe, file.since) = (file.bytes.clone(), Vec::new());
        Ok(())
    }
}
