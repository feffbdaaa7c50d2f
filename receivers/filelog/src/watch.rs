//! What the system says about changes in directories, so that a line is read within milliseconds (inotify).
//!
//! Events wait in the kernel until they are asked for, where equal ones in a row become one: a file that is written ten
//! thousand times a second costs a few wake-ups a second, not ten thousand. (This is why it is not the `notify` crate,
//! whose thread reads each event at once.) Where a file system does not tell (network mounts), files are polled.

use std::path::PathBuf;

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A file was written to.
    Modified(PathBuf),
    /// A name appeared or vanished.
    Entry(PathBuf),
    /// A file was renamed within our directories; told beside the two names.
    Renamed {
        /// Its name until then.
        from: PathBuf,
        /// Its name now.
        to: PathBuf,
    },
    /// A directory of ours came or went, or more happened than could be told.
    Anything,
}

#[cfg(target_os = "linux")]
pub(crate) use linux::Watch;
#[cfg(not(target_os = "linux"))]
pub(crate) use polling::Watch;

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeSet;
    use std::ffi::OsStr;
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use hashbrown::HashMap;
    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
    use rustix::io::Errno;

    use super::Change;

    /// File systems on which others write that inotify does not see: by the magic numbers of statfs(2).
    const UNTOLD: [(u64, &str); 10] = [
        (0x6969, "NFS"),
        (0x517b, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB2"),
        (0x0102_1997, "9p"),
        (0x6573_5546, "FUSE"),
        (0x00c3_6400, "Ceph"),
        (0x5346_414f, "AFS"),
        (0x7375_7245, "Coda"),
        (0x794c_7630, "overlay"),
    ];

    /// Directories being watched.
    #[derive(Debug)]
    pub(crate) struct Watch {
        inotify: Arc<OwnedFd>,
        /// By the system's number. By way of symbolic links a directory has several paths.
        directories: HashMap<i32, Vec<PathBuf>>,
        untold: BTreeSet<PathBuf>,
        buffer: Vec<MaybeUninit<u8>>,
    }

    impl Watch {
        /// Watches nothing yet; `None` where the system has no room for another watcher.
        pub(crate) fn new() -> Option<Self> {
            let begun = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
            let inotify = begun.inspect_err(|error| {
                tracing::warn!(%error, "polled: nothing can be watched; raise fs.inotify.max_user_instances");
            });
            let inotify = inotify.ok()?;
            Some(Watch {
                inotify: Arc::new(inotify),
                directories: HashMap::new(),
                untold: BTreeSet::new(),
                buffer: vec![MaybeUninit::uninit(); 64 * 1024],
            })
        }

        /// Becomes readable when something happened.
        pub(crate) fn descriptor(&self) -> Arc<OwnedFd> {
            Arc::clone(&self.inotify)
        }

        /// Watches these directories and no others. True where all of them tell of changes.
        ///
        /// Each is asked for anew: a path may have become another directory, as where a log directory is moved away and made
        /// again. The system tells by the number whether it is the same.
        pub(crate) fn set(&mut self, wanted: &BTreeSet<PathBuf>) -> bool {
            let before = std::mem::take(&mut self.directories);
            self.untold.retain(|path| wanted.contains(path));
            for path in wanted {
                if !self.untold.contains(path) {
                    self.add(path);
                }
            }
            for number in before.into_keys().filter(|number| !self.directories.contains_key(number)) {
                // It is gone already where the directory is.
                let _ = inotify::remove_watch(&self.inotify, number);
            }
            self.untold.is_empty()
        }

        fn add(&mut self, path: &Path) {
            if let Some(kind) = untold(path) {
                tracing::info!(directory = %path.display(), "polled: {kind} does not tell of changes made elsewhere");
                self.untold.insert(path.to_owned());
                return;
            }
            let events = WatchFlags::MODIFY
                | WatchFlags::CREATE
                | WatchFlags::DELETE
                | WatchFlags::MOVED_FROM
                | WatchFlags::MOVED_TO
                | WatchFlags::ATTRIB
                | WatchFlags::DELETE_SELF
                | WatchFlags::MOVE_SELF
                | WatchFlags::ONLYDIR;
            match inotify::add_watch(&self.inotify, path, events) {
                Ok(number) => self.directories.entry(number).or_default().push(path.to_owned()),
                // Gone meanwhile: the next look finds out.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => {}
                Err(error) => {
                    let fix = if error == Errno::NOSPC { "; raise fs.inotify.max_user_watches" } else { "" };
                    tracing::warn!(directory = %path.display(), %error, "polled: it cannot be watched{fix}");
                    self.untold.insert(path.to_owned());
                }
            }
        }

        /// What happened since the last call.
        pub(crate) fn drain(&mut self) -> Vec<Change> {
            let mut changes = Vec::new();
            let mut last: Option<(i32, Vec<u8>)> = None;
            let mut moved: HashMap<u32, Vec<PathBuf>> = HashMap::new();
            let mut reader = inotify::Reader::new(&self.inotify, &mut self.buffer);
            while let Ok(event) = reader.next() {
                let (number, what) = (event.wd(), event.events());
                let (Some(directories), Some(name)) = (self.directories.get(&number), event.file_name()) else {
                    changes.push(Change::Anything);
                    continue;
                };
                let name = name.to_bytes();
                let paths = directories.iter().map(|directory| directory.join(OsStr::from_bytes(name)));
                if what.contains(ReadFlags::MODIFY) {
                    if last.as_ref().is_none_or(|(known, file)| (*known, file.as_slice()) != (number, name)) {
                        changes.extend(paths.map(Change::Modified));
                        last = Some((number, name.to_owned()));
                    }
                    continue;
                }
                last = None;
                let paths: Vec<PathBuf> = paths.collect();
                changes.extend(paths.iter().cloned().map(Change::Entry));
                if what.contains(ReadFlags::MOVED_FROM) {
                    moved.insert(event.cookie(), paths);
                } else if what.contains(ReadFlags::MOVED_TO)
                    && let Some(to) = paths.first()
                {
                    let from = moved.remove(&event.cookie()).into_iter().flatten();
                    changes.extend(from.map(|from| Change::Renamed { from, to: to.clone() }));
                }
            }
            changes
        }
    }

    fn untold(path: &Path) -> Option<&'static str> {
        let kind = rustix::fs::statfs(path).ok()?.f_type;
        let kind = u64::try_from(kind).ok()? & 0xffff_ffff;
        UNTOLD.iter().find(|(magic, _)| *magic == kind).map(|(_, name)| *name)
    }
}

#[cfg(not(target_os = "linux"))]
mod polling {
    use std::collections::BTreeSet;
    use std::os::fd::OwnedFd;
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::Change;

    /// There is none on this system: files are polled.
    #[derive(Debug)]
    pub(crate) enum Watch {}

    impl Watch {
        pub(crate) fn new() -> Option<Self> {
            None
        }

        pub(crate) fn descriptor(&self) -> Arc<OwnedFd> {
            match *self {}
        }

        pub(crate) fn set(&mut self, _wanted: &BTreeSet<PathBuf>) -> bool {
            match *self {}
        }

        pub(crate) fn drain(&mut self) -> Vec<Change> {
            match *self {}
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;
    use crate::tests::Directory;

    #[test]
    fn changes_are_told_once_and_only_of_watched_directories() {
        let directory = Directory::new();
        let (below, file) = (directory.path().join("below"), directory.path().join("a.log"));
        fs::create_dir(&below).unwrap();
        let mut watch = Watch::new().unwrap();
        watch.set(&BTreeSet::from([directory.path().to_owned()]));
        assert_eq!(watch.drain(), []);
        fs::write(&file, "x").unwrap();
        let changes = watch.drain();
        assert_eq!(changes, [Change::Entry(file.clone()), Change::Modified(file.clone())]);
        for _ in 0..100 {
            fs::write(&file, "y").unwrap();
        }
        assert_eq!(watch.drain(), [Change::Modified(file.clone())]);
        let renamed = directory.path().join("b.log");
        fs::rename(&file, &renamed).unwrap();
        let names = [&file, &renamed].map(|name| Change::Entry(name.clone()));
        assert_eq!(watch.drain(), [&names[..], &[Change::Renamed { from: file, to: renamed }]].concat());
        fs::write(below.join("c.log"), "z").unwrap();
        assert_eq!(watch.drain(), []);
        watch.set(&BTreeSet::from([below.clone()]));
        watch.drain();
        fs::remove_dir_all(&below).unwrap();
        assert!(watch.drain().contains(&Change::Anything));
    }

    #[test]
    fn a_directory_that_is_moved_away_and_made_again_is_watched_anew() {
        let directory = Directory::new();
        let below = directory.path().join("below");
        fs::create_dir(&below).unwrap();
        let wanted = BTreeSet::from([below.clone()]);
        let mut watch = Watch::new().unwrap();
        watch.set(&wanted);
        fs::rename(&below, directory.path().join("away")).unwrap();
        fs::create_dir(&below).unwrap();
        assert_eq!(watch.drain(), [Change::Anything]);
        watch.set(&wanted);
        watch.drain();
        fs::write(directory.path().join("away/a.log"), "x").unwrap();
        assert_eq!(watch.drain(), [], "it is not ours any more");
        let file = below.join("a.log");
        fs::write(&file, "x").unwrap();
        assert_eq!(watch.drain(), [Change::Entry(file.clone()), Change::Modified(file)]);
    }

    #[test]
    fn changes_in_a_directory_with_two_paths_are_told_for_both() {
        let directory = Directory::new();
        let paths = ["link", "real"].map(|name| directory.path().join(name));
        fs::create_dir(&paths[1]).unwrap();
        std::os::unix::fs::symlink(&paths[1], &paths[0]).unwrap();
        let mut watch = Watch::new().unwrap();
        let wanted = BTreeSet::from(paths.clone());
        for _ in 0..2 {
            watch.set(&wanted);
            fs::write(paths[1].join("a.log"), "x").unwrap();
            let changes = watch.drain();
            for path in &paths {
                assert!(changes.contains(&Change::Modified(path.join("a.log"))), "{changes:?}");
            }
        }
    }
}
