//! One step of the receiver, with everything that may wait for a disk: the runtime calls it on a thread for such work.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hornpipe_model::Timestamp;

use crate::checkpoint::Store;
use crate::find::Finder;
use crate::problem::describe;
use crate::progress::BatchId;
use crate::tailer::{Cut, Note, Tailer};
use crate::watch::{Change, Watch};

/// How often everything is looked at although the system tells of changes.
const SAFETY_NET: Duration = Duration::from_secs(5);
/// How soon after one look at everything another is taken, because names have changed.
const SHORTEST_RESCAN: Duration = Duration::from_millis(100);
/// How often files are measured that wait to be read: what reads them knows how long they are.
const MEASURE: Duration = Duration::from_secs(1);
/// How often the checkpoint is written.
const CHECKPOINT: Duration = Duration::from_millis(500);
/// How soon after its first write the second comes; the pauses double from there. A process that is killed again and again
/// soon after its start so gets on, instead of sending the same lines in each of its lives.
const FIRST_CHECKPOINT: Duration = Duration::from_millis(25);

/// The files, where they are looked for, and where it is written down what became of them.
pub(crate) struct Core {
    pub(crate) tailer: Tailer,
    pub(crate) finder: Finder,
    pub(crate) watch: Option<Watch>,
    pub(crate) store: Option<Store>,
    pub(crate) poll_interval: Duration,
    pub(crate) schedule: Schedule,
}

/// When what is due.
#[derive(Default)]
pub(crate) struct Schedule {
    scan: Duration,
    /// True when names have changed.
    rescan: bool,
    last_scan: Option<Duration>,
    left: Duration,
    /// When the files that wait are to be measured.
    measure: Duration,
    checkpoint: Duration,
    /// How long after its last write the checkpoint was due again.
    pause: Duration,
    is_told: bool,
    /// True when the checkpoint could not be written the last time.
    store_failed: bool,
}

/// What a step is to do.
pub(crate) struct Step {
    pub(crate) now: Duration,
    pub(crate) unix: Timestamp,
    /// What became of batches.
    pub(crate) settled: Vec<(BatchId, bool)>,
    /// Whether there is room for another batch.
    pub(crate) may_read: bool,
    /// The last step but for settled batches: everything is looked at once more.
    pub(crate) is_last: bool,
    /// Writes the checkpoint now.
    pub(crate) checkpoint: bool,
}

/// What a step did.
pub(crate) struct Done {
    pub(crate) cut: Option<Cut>,
    /// Bytes that are in files and not read yet.
    pub(crate) unread: u64,
    /// True while there is more to read.
    pub(crate) is_busy: bool,
    /// When the next step is due, if nothing happens before.
    pub(crate) next: Duration,
    pub(crate) news: Option<News>,
    pub(crate) notes: Vec<Note>,
    /// Set when the checkpoint could not be written, or could be again.
    pub(crate) store: Option<Result<(), io::Error>>,
}

/// A file that had a name that the patterns name.
struct Renamed {
    name: PathBuf,
    /// Where it is now.
    path: PathBuf,
    set: usize,
}

/// What a look at everything found.
pub(crate) struct News {
    pub(crate) problems: BTreeMap<PathBuf, String>,
    pub(crate) missing: Vec<PathBuf>,
    pub(crate) files: usize,
    pub(crate) open: usize,
}

impl Core {
    /// Does what is due.
    pub(crate) fn step(&mut self, step: Step) -> Done {
        let Step { now, unix, .. } = step;
        self.tailer.set_time(now, unix);
        step.settled.iter().for_each(|(batch, is_settled)| self.tailer.settle(*batch, *is_settled));
        self.take_changes();
        let mut done =
            Done { cut: None, unread: 0, is_busy: false, next: now, news: None, notes: Vec::new(), store: None };
        let is_rescan_due =
            self.schedule.rescan && self.schedule.last_scan.is_none_or(|last| now >= last + SHORTEST_RESCAN);
        let is_first = self.schedule.last_scan.is_none();
        if is_rescan_due || now >= self.schedule.scan || step.is_last || is_first {
            done.news = Some(self.scan(now));
        }
        if now >= self.schedule.left && self.tailer.has_left() {
            self.tailer.wake_left();
            self.schedule.left = now + self.poll_interval;
        }
        if is_first {
            // Where to begin is known now, and must be after a crash.
            done.store = self.write_checkpoint(unix);
        }
        if step.may_read {
            done.cut = self.tailer.turn();
        } else if now >= self.schedule.measure {
            self.tailer.measure();
            self.schedule.measure = now + MEASURE;
        }
        done.unread = self.tailer.unread();
        // The first step has just written it; the next write is for what is settled first, which comes soon.
        let is_due = !is_first && (self.tailer.has_changes() || self.schedule.store_failed);
        if is_due && (now >= self.schedule.checkpoint || step.checkpoint) {
            self.schedule.pause = (2 * self.schedule.pause).clamp(FIRST_CHECKPOINT, CHECKPOINT);
            self.schedule.checkpoint = now + self.schedule.pause;
            done.store = self.write_checkpoint(unix).or(done.store);
        }
        done.is_busy = self.tailer.is_busy();
        done.next = self.next(now, step.may_read);
        done.notes = self.tailer.take_notes();
        done
    }

    fn take_changes(&mut self) {
        let mut renamed: Vec<Renamed> = Vec::new();
        for change in self.watch.as_mut().map(Watch::drain).unwrap_or_default() {
            match change {
                Change::Modified(path) => {
                    self.tailer.wake(&path);
                }
                Change::Entry(path) => {
                    let is_known = self.tailer.wake(&path);
                    self.schedule.rescan |= is_known || self.finder.may_name(&path);
                }
                Change::Renamed { from, to } => match renamed.iter_mut().find(|file| file.path == from) {
                    Some(file) => file.path = to,
                    None => renamed.extend(self.finder.set_of(&from).map(|set| Renamed { name: from, path: to, set })),
                },
                Change::Anything => self.schedule.rescan = true,
            }
        }
        renamed.iter().for_each(|file| self.tailer.adopt_renamed(&file.name, &file.path, file.set));
    }

    fn scan(&mut self, now: Duration) -> News {
        let findings = self.finder.find();
        self.schedule.is_told = self.watch.as_mut().is_some_and(|watch| watch.set(&findings.directories));
        self.schedule.rescan = false;
        self.schedule.last_scan = Some(now);
        self.schedule.scan = now + if self.schedule.is_told { SAFETY_NET } else { self.poll_interval };
        let files = findings.files.len();
        self.tailer.scan(findings.files);
        let own = self.tailer.problems().iter().map(|(path, error)| (path.clone(), describe(path, error)));
        let found = findings.problems.iter().map(|(path, error)| (path.clone(), describe(path, error)));
        News {
            problems: own.chain(found).collect(),
            missing: findings.missing.into_iter().collect(),
            files,
            open: self.tailer.tails().filter(|tail| tail.handle.is_some()).count(),
        }
    }

    /// Writes what has changed.
    fn write_checkpoint(&mut self, unix: Timestamp) -> Option<Result<(), io::Error>> {
        let store = self.store.as_mut()?;
        let changes = self.tailer.take_changes();
        let written = store.write(&changes, || self.tailer.saved(), unix);
        let had_failed = std::mem::replace(&mut self.schedule.store_failed, written.is_err());
        (written.is_err() || had_failed).then_some(written)
    }

    fn next(&self, now: Duration, may_read: bool) -> Duration {
        let mut next = self.schedule.scan;
        if self.schedule.rescan {
            next = next.min(self.schedule.last_scan.unwrap_or_default() + SHORTEST_RESCAN);
        }
        if self.tailer.has_left() {
            next = next.min(self.schedule.left);
        }
        if self.tailer.has_changes() || self.schedule.store_failed {
            next = next.min(self.schedule.checkpoint);
        }
        if !may_read && self.tailer.is_busy() {
            next = next.min(self.schedule.measure);
        }
        // Without room for a batch an incomplete record cannot be sent either.
        if let Some(flush) = self.tailer.next_deadline().filter(|_| may_read) {
            next = next.min(flush);
        }
        next.max(now)
    }
}
