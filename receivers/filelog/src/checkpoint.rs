//! Where each content is settled, kept on disk.
//!
//! A file of lines, each a checksum and a record in JSON. Changes are appended, and synced, at most twice a second but
//! in the first second; when the file has grown it is written anew beside itself and renamed. A line that is damaged or torn
//! costs itself alone: what it said is known from an earlier one, or read again.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hornpipe_model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::fingerprint::{HeadHash, Mark, hash};
use crate::tail::ContentId;
use crate::tailer::{Changes, Saved};

/// The file's name in its directory.
const NAME: &str = "offsets";
/// The first line's text: what the file is, and in which version.
const FORMAT: &str = "hornpipe filelog offsets 1";
/// The file is written anew when it is larger than this, and than four times what it was then.
const SMALL: u64 = 256 * 1024;
/// How long a content is remembered whose file is gone. One that has its file is remembered for as long as that is there: a file
/// may be quiet for longer, and would be read again.
const FORGET_AFTER_SECONDS: u64 = 7 * 24 * 60 * 60;

/// The checkpoint of one receiver.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    /// Open for appending; none before the first write, and after one that failed.
    file: Option<File>,
    size: u64,
    size_when_written: u64,
}

/// What was in the checkpoint.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// `None` where there is none yet.
    pub(crate) saved: Option<Vec<Saved>>,
    /// Lines that could not be read.
    pub(crate) damaged: usize,
}

/// A line's record.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    id: ContentId,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Content>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Content {
    path: String,
    inode: u64,
    settled: Mark,
    head: HeadHash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// When that was written, in Unix seconds.
    seen: u64,
}

impl Store {
    /// The store in a directory, which is made; and what is in it.
    ///
    /// # Errors
    /// The directory cannot be made, or the file not be read.
    pub(crate) fn open(directory: &Path, now: Timestamp) -> io::Result<(Store, Loaded)> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let path = directory.join(NAME);
        let loaded = match fs::read(&path) {
            Ok(bytes) => load(&bytes, now),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Loaded::default(),
            Err(error) => return Err(error),
        };
        Ok((Store { path, file: None, size: 0, size_when_written: 0 }, loaded))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what has changed, and syncs it; `all` is everything, for when the file is written anew. After a failure everything
    /// is written at the next call.
    ///
    /// # Errors
    /// What the system says; then what was on disk before still is.
    pub(crate) fn write(
        &mut self,
        changes: &Changes,
        all: impl FnOnce() -> Vec<Saved>,
        now: Timestamp,
    ) -> io::Result<()> {
        let is_large = self.size > SMALL && self.size > 4 * self.size_when_written;
        let appended = match self.file.take().filter(|_| !is_large) {
            Some(mut file) => {
                let mut text = String::new();
                changes.saved.iter().for_each(|saved| push_line(&mut text, &line_of(saved, now)));
                changes.removed.iter().for_each(|id| push_line(&mut text, &Line { id: *id, content: None }));
                file.write_all(text.as_bytes())?;
                file.sync_data()?;
                self.size += text.len() as u64;
                file
            }
            None => self.rewrite(&all(), now)?,
        };
        self.file = Some(appended);
        Ok(())
    }

    fn rewrite(&mut self, all: &[Saved], now: Timestamp) -> io::Result<File> {
        let mut text = String::new();
        push(&mut text, FORMAT);
        all.iter().for_each(|saved| push_line(&mut text, &line_of(saved, now)));
        let new = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        fs::rename(&new, &self.path)?;
        if let Some(directory) = self.path.parent() {
            File::open(directory)?.sync_all()?;
        }
        self.size = text.len() as u64;
        self.size_when_written = self.size;
        Ok(file)
    }
}

fn line_of(saved: &Saved, now: Timestamp) -> Line {
    let content = Content {
        path: saved.path.to_string_lossy().into_owned(),
        inode: saved.inode,
        settled: saved.settled,
        head: saved.head,
        size: saved.size,
        seen: now.as_secs(),
    };
    Line { id: saved.id, content: Some(content) }
}

fn push_line(text: &mut String, line: &Line) {
    // Numbers and texts always have a form in JSON.
    push(text, &serde_json::to_string(line).unwrap_or_default());
}

fn push(text: &mut String, record: &str) {
    text.push_str(&format!("{:016x} {record}\n", hash(record.as_bytes())));
}

fn load(bytes: &[u8], now: Timestamp) -> Loaded {
    let mut contents: BTreeMap<ContentId, Content> = BTreeMap::new();
    let mut damaged = 0;
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let record = std::str::from_utf8(line).ok().and_then(checked);
        match record {
            Some(FORMAT) => {}
            Some(record) => match serde_json::from_str(record) {
                Ok(Line { id, content: Some(content) }) => drop(contents.insert(id, content)),
                Ok(Line { id, content: None }) => drop(contents.remove(&id)),
                Err(_) => damaged += 1,
            },
            None => damaged += 1,
        }
    }
    let oldest = now.as_secs().saturating_sub(FORGET_AFTER_SECONDS);
    let is_kept = |content: &Content| content.size.is_some() || content.seen >= oldest;
    let saved = contents.into_iter().filter(|(_, content)| is_kept(content)).map(|(id, content)| Saved {
        id,
        path: content.path.into(),
        inode: content.inode,
        settled: content.settled,
        head: content.head,
        size: content.size,
    });
    Loaded { saved: Some(saved.collect()), damaged }
}

/// A line's record, where its checksum is right.
fn checked(line: &str) -> Option<&str> {
    let (checksum, record) = line.split_once(' ')?;
    (u64::from_str_radix(checksum, 16).ok()? == hash(record.as_bytes())).then_some(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Directory;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn saved(id: ContentId, offset: u64) -> Saved {
        Saved {
            id,
            path: PathBuf::from(format!("/var/log/{id} \"x\".log")),
            inode: 100 + id,
            settled: Mark { offset, hash: u64::MAX - offset },
            head: HeadHash { length: 5, hash: u64::MAX },
            size: (id != 2).then_some(offset + 7),
        }
    }

    fn changed(saved: Vec<Saved>) -> Changes {
        Changes { saved, removed: Vec::new() }
    }

    fn reopened(directory: &Directory) -> (Store, Loaded) {
        Store::open(directory.path(), NOW).unwrap()
    }

    #[test]
    fn what_was_written_last_is_read_again() {
        let directory = Directory::new();
        let (mut store, loaded) = reopened(&directory);
        assert_eq!(loaded, Loaded { saved: None, damaged: 0 }, "the very first start");
        store.write(&Changes::default(), Vec::new, NOW).unwrap();
        assert_eq!(reopened(&directory).1.saved, Some(Vec::new()), "no longer the first");
        store.write(&changed(vec![saved(1, 10), saved(2, 20)]), Vec::new, NOW).unwrap();
        store.write(&Changes { saved: vec![saved(1, 11)], removed: vec![2] }, Vec::new, NOW).unwrap();
        let (mut store, loaded) = reopened(&directory);
        assert_eq!(loaded, Loaded { saved: Some(vec![saved(1, 11)]), damaged: 0 });
        store.write(&changed(vec![saved(9, 9)]), || vec![saved(1, 12)], NOW).unwrap();
        assert_eq!(reopened(&directory).1.saved, Some(vec![saved(1, 12)]), "a new process writes everything first");
    }

    #[test]
    fn a_damaged_line_costs_itself_alone_wherever_the_damage_is() {
        let directory = Directory::new();
        let (mut store, _) = reopened(&directory);
        store.write(&Changes::default(), || vec![saved(1, 10), saved(2, 20)], NOW).unwrap();
        store.write(&changed(vec![saved(1, 11)]), Vec::new, NOW).unwrap();
        let whole = fs::read(store.path()).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            for bytes in [&flipped, &whole[..at]] {
                for known in load(bytes, NOW).saved.unwrap() {
                    let was = [saved(1, 10), saved(1, 11), saved(2, 20)];
                    assert!(was.contains(&known), "{known:?} was never written");
                }
            }
            let lines_hit = if whole[at] == b'\n' { 2 } else { 1 };
            assert!(load(&flipped, NOW).damaged <= lines_hit, "at {at}");
        }
    }

    #[test]
    fn after_a_torn_line_the_file_is_written_anew() {
        let directory = Directory::new();
        let (mut store, _) = reopened(&directory);
        store.write(&Changes::default(), || vec![saved(1, 10)], NOW).unwrap();
        let mut bytes = fs::read(store.path()).unwrap();
        bytes.extend_from_slice(b"0123 {\"id\":");
        fs::write(store.path(), bytes).unwrap();
        let (mut store, loaded) = reopened(&directory);
        assert_eq!((loaded.saved, loaded.damaged), (Some(vec![saved(1, 10)]), 1));
        store.write(&changed(vec![]), || vec![saved(1, 12)], NOW).unwrap();
        assert_eq!(reopened(&directory).1, Loaded { saved: Some(vec![saved(1, 12)]), damaged: 0 });
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let directory = Directory::new();
        let (mut store, _) = reopened(&directory);
        for round in 0..20 {
            let many = (0..200).map(|offset| saved(1, 200 * round + offset)).collect();
            store.write(&changed(many), || vec![saved(1, 200 * round + 199)], NOW).unwrap();
        }
        assert!(fs::metadata(store.path()).unwrap().len() <= SMALL + 40_000);
        assert_eq!(reopened(&directory).1.saved, Some(vec![saved(1, 3_999)]));
    }

    #[test]
    fn a_write_that_failed_is_made_up_for_in_full() {
        let directory = Directory::new();
        let (mut store, _) = reopened(&directory);
        store.write(&Changes::default(), Vec::new, NOW).unwrap();
        store.file = Some(File::open("/dev/full").unwrap());
        assert!(store.write(&changed(vec![saved(1, 10)]), Vec::new, NOW).is_err());
        store.write(&changed(vec![]), || vec![saved(1, 10), saved(2, 20)], NOW).unwrap();
        assert_eq!(reopened(&directory).1.saved, Some(vec![saved(1, 10), saved(2, 20)]));
    }

    #[test]
    fn after_a_week_contents_without_a_file_are_forgotten_and_quiet_files_are_not() {
        let directory = Directory::new();
        let (mut store, _) = reopened(&directory);
        let (quiet, gone) = (saved(1, 10), saved(2, 20));
        store.write(&Changes::default(), || vec![quiet.clone(), gone], NOW).unwrap();
        let later = Timestamp::from_secs(NOW.as_secs() + FORGET_AFTER_SECONDS + 1);
        assert_eq!(Store::open(directory.path(), later).unwrap().1.saved, Some(vec![quiet]));
    }
}
