//! Steps of the receiver, with what the system tells of changes.

use std::fs;
use std::time::Duration;

use hornpipe_engine::logs::Rules;
use hornpipe_model::{LogSource, Timestamp};

use super::Directory;
use super::world::text;
use crate::core::{Core, Done, Schedule, Step};
use crate::encoding::Encoding;
use crate::find::Finder;
use crate::handle::Compression;
use crate::splitter::Splitter;
use crate::tailer::{FileSet, Options, Says, Start, Tailer};
use crate::watch::Watch;

/// A reader of `app.log` that has looked once and found nothing.
fn core(directory: &Directory) -> Core {
    let mut finder = Finder::default();
    finder.add_set(&[directory.path().join("app.log").display().to_string()], &[]).unwrap();
    let splitter = Splitter { encoding: Encoding::Utf8, max_bytes: 1 << 20 };
    let (rules, source) = (Rules::default(), LogSource::default());
    let set = FileSet { splitter, joining: None, rules, start: Start::End, source };
    let options = Options {
        says: Says::Name,
        fingerprint_size: 1_000,
        max_open: 100,
        force_flush: None,
        compression: Compression::None,
    };
    let mut core = Core {
        tailer: Tailer::new(vec![set], options, None),
        finder,
        watch: Watch::new(),
        store: None,
        poll_interval: Duration::from_millis(200),
        schedule: Schedule::default(),
    };
    assert!(step(&mut core, 0).is_empty());
    core
}

/// Takes a step at a time, in milliseconds; the names and texts of the records.
fn step(core: &mut Core, now: u64) -> Vec<(String, String)> {
    let cut = step_with(core, now, true).cut;
    let records = cut.map(|cut| cut.records).unwrap_or_default();
    records.iter().map(|log| (log.source.path.clone(), text(log))).collect()
}

fn step_with(core: &mut Core, now: u64, may_read: bool) -> Done {
    core.step(Step {
        now: Duration::from_millis(now),
        unix: Timestamp::from_secs(1_000),
        settled: Vec::new(),
        may_read,
        is_last: false,
        checkpoint: false,
    })
}

#[test]
fn how_much_is_unread_is_known_within_a_second_while_files_wait_and_at_once_when_they_are_read() {
    let directory = Directory::new();
    let path = directory.path().join("app.log");
    fs::write(&path, "x".repeat(99) + "\n").unwrap();
    let mut core = core(&directory);
    step(&mut core, 0);
    let append = |bytes: usize| {
        use std::io::Write;
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all((".".repeat(bytes - 1) + "\n").as_bytes()).unwrap();
    };
    append(1_000);
    assert_eq!(step_with(&mut core, 100, false).unread, 1_000);
    append(500);
    let done = step_with(&mut core, 200, false);
    assert!(done.next <= Duration::from_millis(1_100), "{:?}", done.next);
    assert_eq!(step_with(&mut core, 1_100, false).unread, 1_500);
    assert_eq!(step_with(&mut core, 1_200, true).unread, 0);
}

#[test]
fn a_file_that_is_renamed_before_anybody_looks_is_read_under_the_name_that_it_had() {
    let directory = Directory::new();
    let mut core = core(&directory);
    let path = |name: &str| directory.path().join(name);
    fs::write(path("app.log"), "one\n").unwrap();
    fs::rename(path("app.log"), path("app.log.1")).unwrap();
    fs::write(path("app.log"), "two\n").unwrap();
    for (from, to) in [("app.log.1", "app.log.2"), ("app.log", "app.log.1")] {
        fs::rename(path(from), path(to)).unwrap();
    }
    // Renamed, but never one of ours.
    fs::write(path("other.log"), "three\n").unwrap();
    fs::rename(path("other.log"), path("other.log.1")).unwrap();
    let mut records = step(&mut core, 10);
    records.extend(step(&mut core, 200));
    let expected = ["one", "two"].map(|text| ("app.log".to_owned(), text.to_owned()));
    assert_eq!(records, expected);
    fs::write(path("app.log"), "four\n").unwrap();
    assert_eq!(step(&mut core, 5_000), [("app.log".to_owned(), "four".to_owned())]);
    fs::rename(path("app.log"), path("app.log.3")).unwrap();
    assert_eq!(step(&mut core, 5_010), [], "it is known");
}

#[test]
fn a_file_behind_a_symbolic_link_is_read_as_soon_as_it_changes() {
    let (directory, elsewhere) = (Directory::new(), Directory::new());
    let target = elsewhere.path().join("0.log");
    fs::write(&target, "").unwrap();
    std::os::unix::fs::symlink(&target, directory.path().join("app.log")).unwrap();
    let mut core = core(&directory);
    let record = |text: &str| ("app.log".to_owned(), text.to_owned());
    fs::write(&target, "one\n").unwrap();
    assert_eq!(step(&mut core, 200), [record("one")]);
    fs::rename(&target, elsewhere.path().join("0.log.1")).unwrap();
    fs::write(&target, "two\n").unwrap();
    assert_eq!(step(&mut core, 400), [record("two")]);
}
