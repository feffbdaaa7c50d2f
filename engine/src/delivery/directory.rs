//! Where queues are on disk: `queues/<exporter>/<signal>` below the state directory, or the directory of an extension.
//! And which of them no exporter has any more.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use hornpipe_model::{Signal, Timestamp};

use super::store::{self, Amount, FileSystem, Store, StoreFile};

/// The folder of all queues.
const QUEUES: &str = "queues";

/// The folder of an exporter's queues.
pub(crate) fn of_exporter(base: &Path, id: &str) -> PathBuf {
    base.join(QUEUES).join(name_of(id))
}

/// An id as the name of a file.
fn name_of(id: &str) -> String {
    let mut name = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    name
}

/// The id that a folder is named for; `None` where the name is none of ours.
fn id_of(name: &str) -> Option<String> {
    let mut parts = name.split('%');
    let mut id = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        id.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        id.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(id).ok().filter(|id| name_of(id) == name)
}

/// Undelivered data of an exporter that no pipeline has any more, or that keeps its queues elsewhere now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftQueue {
    pub exporter: String,
    pub directory: PathBuf,
    pub items: u64,
    pub bytes: u64,
    /// When it was written to last.
    pub written: Timestamp,
}

/// The queues below some directories that hold something and are in none of the folders that are `known`. Waits for the
/// disk, and changes nothing on it: after a reload or two an exporter may be back meanwhile.
pub(crate) fn left_queues(bases: &[PathBuf], known: &[PathBuf]) -> Vec<LeftQueue> {
    let mut found = Vec::new();
    for base in bases {
        // A directory that cannot be read is one in which nothing can be queued, which its exporters say.
        for entry in base.join(QUEUES).read_dir().into_iter().flatten().flatten() {
            let directory = entry.path();
            let Some(exporter) = entry.file_name().to_str().and_then(id_of) else { continue };
            if !known.contains(&directory) {
                found.extend(Signal::ALL.iter().fold(None, |left, signal| add(left, &exporter, &directory, *signal)));
            }
        }
    }
    found.sort_by(|a, b| a.directory.cmp(&b.directory));
    found
}

/// The queue of a signal, added to what was found of its exporter.
fn add(left: Option<LeftQueue>, exporter: &str, directory: &Path, signal: Signal) -> Option<LeftQueue> {
    let of_signal = directory.join(signal.as_str());
    if !of_signal.is_dir() {
        return left;
    }
    // Nothing is written into it, so the size of a segment does not matter.
    let opened = Store::open(Arc::new(OnlyLooking), &of_signal, u64::MAX, 0);
    let Some((store, Amount { items, .. })) = opened.ok().filter(|(_, amount)| amount.records > 0) else { return left };
    let times = of_signal.read_dir().into_iter().flatten().flatten();
    let written = times.filter_map(|file| file.metadata().ok()?.modified().ok()).max().map_or(Timestamp::UNKNOWN, unix);
    let mut left = left.unwrap_or_else(|| LeftQueue {
        exporter: exporter.to_owned(),
        directory: directory.to_owned(),
        items: 0,
        bytes: 0,
        written: Timestamp::UNKNOWN,
    });
    left.items += items;
    left.bytes += store.bytes();
    left.written = left.written.max(written);
    Some(left)
}

/// A disk of which nothing is changed, also not what a store would tidy up as it opens.
#[derive(Debug)]
struct OnlyLooking;

impl FileSystem for OnlyLooking {
    fn make_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<(String, u64)>> {
        store::Disk.list(directory)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn StoreFile>> {
        store::Disk.open(path)
    }

    fn create(&self, _: &Path) -> io::Result<Box<dyn StoreFile>> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

fn unix(time: SystemTime) -> Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_a_name_of_a_folder_and_comes_back_from_it() {
        for id in ["datadog", "datadog/eu", "otlp_http/a b%c", "über", ""] {
            let name = name_of(id);
            assert!(!name.contains(['/', ' ', '.']), "{name}");
            assert_eq!(id_of(&name).as_deref(), Some(id));
        }
        for other in ["lost+found", "a%2", "a%zz", "a%61", ".", "%ff"] {
            assert_eq!(id_of(other), None, "{other}");
        }
    }
}
