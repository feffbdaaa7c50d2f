//! Where a file may be that is not in its place any more: under another name in its directory, or where logrotate's `olddir`
//! moves or copies it.

use std::fs;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

/// Most entries of directories that are looked at near one file.
const MOST_ENTRIES: usize = 4_000;

/// The files beside one whose names begin as its own does: `access.log.1`, `access-20261126.log.gz`.
pub(super) fn siblings(path: &Path) -> Vec<PathBuf> {
    entries(directory_of(path)).filter(is_like(path)).map(|entry| entry.path()).collect()
}

/// The names that a file has in a directory, by its inode.
pub(super) fn names_of(path: &Path, inode: u64) -> Vec<PathBuf> {
    entries(directory_of(path)).filter(|entry| entry.ino() == inode).map(|entry| entry.path()).collect()
}

/// The files in the directories near a file whose names begin as its own does, but have more: what has just the same name is
/// another's log.
pub(super) fn cousins(path: &Path) -> Vec<PathBuf> {
    nearby(directory_of(path)).filter(is_like(path)).map(|entry| entry.path()).collect()
}

/// The files in the directories near one, with their inodes.
pub(super) fn inodes_near(directory: &Path) -> Vec<(u64, PathBuf)> {
    nearby(directory).map(|entry| (entry.ino(), entry.path())).collect()
}

pub(super) fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// What is in the directories within a directory and in those beside it, as far as there is not too much of it.
fn nearby(directory: &Path) -> impl Iterator<Item = fs::DirEntry> {
    let within = entries(directory);
    let beside = entries(directory_of(directory)).filter(|entry| entry.path() != directory);
    let is_directory = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let directories = within.chain(beside).take(MOST_ENTRIES).filter(is_directory);
    let directories: Vec<PathBuf> = directories.map(|entry| entry.path()).collect();
    let is_file = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_file());
    directories.into_iter().flat_map(|directory| entries(&directory)).take(MOST_ENTRIES).filter(is_file)
}

/// Tells names that begin as that of a file, but are others.
fn is_like(path: &Path) -> impl Fn(&fs::DirEntry) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = name.trim_start_matches('.').split('.').next().unwrap_or_default().to_owned();
    move |entry| {
        let other = entry.file_name().to_string_lossy().into_owned();
        other != name && other.trim_start_matches('.').starts_with(&stem)
    }
}

fn entries(directory: &Path) -> impl Iterator<Item = fs::DirEntry> + use<> {
    fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok)
}
