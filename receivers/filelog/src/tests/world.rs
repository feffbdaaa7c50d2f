//! A directory with log files, a writer that numbers its lines, and a tailer whose time is ours.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use hornpipe_engine::logs::{Joining, Rules};
use hornpipe_model::{Log, LogSource, Timestamp};

use super::Directory;
use crate::encoding::Encoding;
use crate::find::Finder;
use crate::handle::Compression;
use crate::progress::BatchId;
use crate::splitter::Splitter;
use crate::tailer::{FileSet, Note, Options, Saved, Says, Start, Tailer};

/// The world of one test.
pub(super) struct World {
    pub(super) directory: Directory,
    pub(super) pattern: String,
    pub(super) options: Options,
    pub(super) start: Start,
    pub(super) encoding: Encoding,
    pub(super) joining: Option<Joining>,
    pub(super) rules: Rules,
    tailer: Option<Tailer>,
    /// What a checkpoint on disk would have.
    disk: Option<BTreeMap<u64, Saved>>,
    now: Duration,
    /// Batches whose outcome is open.
    pub(super) in_flight: Vec<(BatchId, Vec<String>)>,
    /// All lines that were sent, in order.
    pub(super) sent: Vec<String>,
    /// Lines that were delivered.
    pub(super) delivered: Vec<String>,
    next_line: u64,
    /// The writer's file stays the same when it is renamed.
    writer: Option<File>,
}

impl World {
    pub(super) fn new(pattern: &str) -> Self {
        let directory = Directory::new();
        fs::create_dir(directory.path().join("logs")).unwrap();
        World {
            directory,
            pattern: pattern.to_owned(),
            options: Options {
                says: Says::Path,
                fingerprint_size: 1_000,
                max_open: 100,
                force_flush: Some(Duration::from_millis(500)),
                compression: Compression::None,
            },
            start: Start::Beginning,
            encoding: Encoding::Utf8,
            joining: None,
            rules: Rules::default(),
            tailer: None,
            disk: None,
            now: Duration::from_secs(1_000),
            in_flight: Vec::new(),
            sent: Vec::new(),
            delivered: Vec::new(),
            next_line: 0,
            writer: None,
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        // What is beside the directory is looked at too, and would be other tests'.
        self.directory.path().join("logs").join(name)
    }

    /// The next numbered line. Lines differ in length, so that places differ too.
    pub(super) fn line(&mut self) -> String {
        let number = self.next_line;
        self.next_line += 1;
        format!("{number:06} {}", "x".repeat((number * 7 % 90) as usize))
    }

    /// All lines that were written so far.
    pub(super) fn lines(&self) -> u64 {
        self.next_line
    }

    /// Appends numbered lines through a descriptor that stays open, as a server does.
    pub(super) fn log(&mut self, name: &str, lines: usize) {
        if self.writer.is_none() {
            self.reopen(name);
        }
        for _ in 0..lines {
            let line = self.line();
            let mut writer = self.writer.as_ref().unwrap();
            writeln!(writer, "{line}").unwrap();
        }
    }

    /// The server opens its log file anew, as on SIGUSR1.
    pub(super) fn reopen(&mut self, name: &str) {
        let file = OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        self.writer = Some(file);
    }

    pub(super) fn append(&self, name: &str, text: &str) {
        self.append_bytes(name, text.as_bytes());
    }

    pub(super) fn append_bytes(&self, name: &str, bytes: &[u8]) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(bytes).unwrap();
    }

    pub(super) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub(super) fn copy(&self, from: &str, to: &str) {
        // Not `fs::copy`: it may share the blocks, and keeps the times.
        fs::write(self.path(to), fs::read(self.path(from)).unwrap()).unwrap();
    }

    pub(super) fn truncate(&self, name: &str) {
        OpenOptions::new().write(true).open(self.path(name)).unwrap().set_len(0).unwrap();
    }

    pub(super) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Starts the tailer with what is on disk.
    pub(super) fn start(&mut self) {
        let splitter = Splitter { encoding: self.encoding, max_bytes: 1 << 20 };
        let set = FileSet {
            splitter,
            joining: self.joining.clone(),
            rules: self.rules.clone(),
            start: self.start,
            source: LogSource::default(),
        };
        let saved = self.disk.as_ref().map(|disk| disk.values().cloned().collect());
        self.tailer = Some(Tailer::new(vec![set], self.options, saved));
        self.scan();
        self.checkpoint();
    }

    pub(super) fn tailer(&mut self) -> &mut Tailer {
        self.tailer.as_mut().unwrap()
    }

    /// Looks at everything.
    pub(super) fn scan(&mut self) {
        let pattern = self.path(&self.pattern);
        let mut finder = Finder::default();
        finder.add_set(&[pattern.display().to_string()], &[]).unwrap();
        let now = self.now;
        let tailer = self.tailer();
        tailer.set_time(now, Timestamp::from_secs(now.as_secs()));
        tailer.scan(finder.find().files);
    }

    /// Reads one batch; false where there is nothing to read.
    pub(super) fn turn(&mut self) -> bool {
        let now = self.now;
        let tailer = self.tailer();
        tailer.set_time(now, Timestamp::from_secs(now.as_secs()));
        let Some(cut) = tailer.turn() else { return false };
        let texts: Vec<String> = cut.records.iter().map(text).collect();
        self.sent.extend(texts.iter().cloned());
        self.in_flight.push((cut.batch, texts));
        true
    }

    /// Looks at everything, reads all that is there, and settles it.
    pub(super) fn read(&mut self) {
        self.scan();
        self.tailer().wake_left();
        while self.turn() || self.tailer().is_busy() {}
        self.settle_all();
        self.checkpoint();
    }

    pub(super) fn wait(&mut self, span: Duration) {
        self.now += span;
    }

    pub(super) fn settle_all(&mut self) {
        for (batch, texts) in std::mem::take(&mut self.in_flight) {
            self.delivered.extend(texts);
            self.tailer().settle(batch, true);
        }
    }

    /// Writes the checkpoint.
    pub(super) fn checkpoint(&mut self) {
        let changes = self.tailer().take_changes();
        let disk = self.disk.get_or_insert_default();
        for saved in changes.saved {
            disk.insert(saved.id, saved);
        }
        for id in changes.removed {
            disk.remove(&id);
        }
    }

    /// What the tailer has to say.
    pub(super) fn notes(&mut self) -> Vec<Note> {
        self.tailer().take_notes()
    }

    /// The process is gone, with all that was on its way.
    pub(super) fn kill(&mut self) {
        self.tailer = None;
        self.in_flight.clear();
    }

    /// Fails unless each line was delivered once; `repeats` may have come twice.
    pub(super) fn assert_each_once(&self) {
        let numbers = self.delivered.iter().map(|line| number(line));
        hornpipe_engine::testing::assert_each_once(0..self.next_line, numbers);
    }
}

pub(super) fn text(log: &Log) -> String {
    log.body.text().unwrap().into_owned()
}

/// The number of a line, which has to be whole.
pub(super) fn number(line: &str) -> u64 {
    let (number, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?} is no line"));
    let number: u64 = number.parse().unwrap_or_else(|_| panic!("{line:?} is no line"));
    assert_eq!(rest.len() as u64, number * 7 % 90, "{line:?} is cut");
    number
}
