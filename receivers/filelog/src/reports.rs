//! What the operator is told: counters, facts, status and log lines.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hornpipe_engine::component::BuildContext;
use hornpipe_engine::telemetry::{Counter, Status};
use hornpipe_engine::{RateLimit, lock};
use hornpipe_model::Signal;

use crate::core::News;
use crate::tail::Counts;
use crate::tailer::Note;

/// How often a repeated event is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// How many files are named where there may be many.
const NAMED: usize = 3;

/// Tells the operator.
pub(crate) struct Reports {
    context: BuildContext,
    bytes: Arc<Counter>,
    invalid: Arc<Counter>,
    parts: Arc<Counter>,
    nul_bytes: Arc<Counter>,
    lost_bytes: Arc<Counter>,
    files: Arc<Counter>,
    open: Arc<Counter>,
    unread: Arc<Counter>,
    truncated_log: RateLimit,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What cannot be read, and why, as logged.
    problems: BTreeMap<PathBuf, String>,
    missing: Vec<PathBuf>,
    /// Why no checkpoint is kept.
    store: Option<String>,
    has_looked: bool,
}

impl Reports {
    pub(crate) fn new(context: &BuildContext) -> Self {
        let counter = |name, unit, text| context.telemetry.counter(name, unit, text);
        let gauge = |name, unit, text| context.telemetry.gauge(name, unit, text);
        Reports {
            bytes: counter("hornpipe_filelog_bytes", "By", "Bytes of files read"),
            invalid: counter("hornpipe_filelog_invalid_records", "{record}", "Records not valid in their encoding"),
            parts: counter("hornpipe_filelog_parts", "{record}", "Parts of records longer than max_log_size"),
            nul_bytes: counter("hornpipe_filelog_nul_bytes", "By", "NUL bytes skipped before records"),
            lost_bytes: counter("hornpipe_filelog_lost_bytes", "By", "Bytes that were gone before they were read"),
            files: gauge("otelcol_fileconsumer_reading_files", "{file}", "Files being read"),
            open: gauge("otelcol_fileconsumer_open_files", "{file}", "Open files"),
            unread: gauge("hornpipe_filelog_unread_bytes", "By", "Bytes in files that are not read yet"),
            truncated_log: RateLimit::new(LOG_INTERVAL),
            state: Mutex::default(),
            context: context.clone(),
        }
    }

    fn id(&self) -> &str {
        &self.context.id
    }

    /// How much is in files that is not read yet.
    pub(crate) fn unread(&self, bytes: u64) {
        self.unread.set(bytes);
    }

    pub(crate) fn counts(&self, counts: Counts) {
        self.bytes.add(counts.bytes);
        self.invalid.add(counts.invalid);
        self.parts.add(counts.parts);
        self.nul_bytes.add(counts.nul_bytes);
        self.lost_bytes.add(counts.lost_bytes);
        let counters = self.context.telemetry.signal(Signal::Logs);
        for (reason, records) in counts.dropped {
            counters.received.add(records);
            counters.dropped(reason, records);
        }
    }

    pub(crate) fn store_opened(&self, path: &Path, damaged: usize) {
        self.context.telemetry.set_fact("checkpoints", path.display().to_string());
        if damaged > 0 {
            tracing::warn!(
                receiver = self.id(),
                path = %path.display(),
                damaged,
                "lines of the checkpoint are damaged and not used; what they said is read again"
            );
        }
    }

    pub(crate) fn no_store(&self, problem: &str) {
        let text = format!("no checkpoints are kept, so that a restart begins anew: {problem}");
        tracing::error!(receiver = self.id(), "{text}");
        self.change(|state| state.store = Some(text));
    }

    /// The checkpoint could not be written; or it could be again.
    pub(crate) fn store(&self, outcome: Result<(), io::Error>) {
        match outcome {
            Ok(()) => {
                tracing::info!(receiver = self.id(), "checkpoints are written again");
                self.change(|state| state.store = None);
            }
            Err(error) => {
                let text = format!(
                    "checkpoints cannot be written ({error}); reading goes on, and after a restart what was read \
                     since then is read again; tried again every second"
                );
                let is_new = self.change(|state| state.store.replace(text.clone()).as_ref() != Some(&text));
                if is_new {
                    tracing::error!(receiver = self.id(), "{text}");
                }
            }
        }
    }

    pub(crate) fn news(&self, news: News) {
        self.files.set(news.files as u64);
        self.open.set(news.open as u64);
        self.context.telemetry.set_fact("files", files(&news));
        self.change(|state| {
            for (path, text) in &news.problems {
                if state.problems.get(path) != Some(text) {
                    tracing::warn!(receiver = self.id(), path = %path.display(), "cannot be read: {text}; tried again");
                }
            }
            for path in state.problems.keys().filter(|path| !news.problems.contains_key(*path)) {
                tracing::info!(receiver = self.id(), path = %path.display(), "no longer fails");
            }
            for path in news.missing.iter().filter(|path| !state.missing.contains(path)) {
                tracing::info!(receiver = self.id(), path = %path.display(), "is not there; waiting for it");
            }
            if !std::mem::replace(&mut state.has_looked, true) {
                tracing::info!(receiver = self.id(), files = news.files, "reads files");
            }
            state.problems = news.problems;
            state.missing = news.missing;
        });
    }

    pub(crate) fn notes(&self, notes: Vec<Note>) {
        for note in notes {
            self.note(note);
        }
    }

    fn note(&self, note: Note) {
        match note {
            Note::Opened { path, offset } => {
                tracing::debug!(receiver = self.id(), path = %path.display(), offset, "reads a file");
            }
            Note::Resumed { path, was, offset } => {
                tracing::debug!(receiver = self.id(), path = %path.display(), was = %was.display(), offset, "goes on");
            }
            Note::Truncated { path, lost: 0, copy: Some(copy) } => {
                let (path, copy) = (path.display(), copy.display());
                tracing::debug!(receiver = self.id(), %path, %copy, "was truncated; its rest is read from its copy");
            }
            Note::Truncated { path, lost, .. } => {
                if lost > 0 || self.truncated_log.allow(&self.context.clock).is_some() {
                    let path = path.display();
                    tracing::warn!(receiver = self.id(), %path, lost_bytes = lost, "was truncated, and no copy is beside it");
                }
            }
            Note::Missing { files, some, lost } => {
                let names: Vec<String> = some.iter().map(|path| path.display().to_string()).collect();
                let names = names.join(", ") + if files > some.len() { ", …" } else { "" };
                let text = "files of the last run are nowhere to be found: what was written to them since is not read";
                if lost > 0 {
                    tracing::warn!(receiver = self.id(), files, paths = names, lost_bytes = lost, "{text}");
                } else {
                    tracing::info!(receiver = self.id(), files, paths = names, "{text}");
                }
            }
            Note::Gone { path, lost } => {
                let path = path.display();
                tracing::warn!(receiver = self.id(), %path, lost_bytes = lost, "was gone before it was read to its end");
            }
        }
    }

    /// Changes what is known, and the status with it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = lock(&self.state);
        let result = change(&mut state);
        let files =
            state.problems.iter().take(NAMED).map(|(path, text)| format!("cannot read {}: {text}", path.display()));
        let more = state.problems.len().saturating_sub(NAMED);
        let more = (more > 0).then(|| format!("{more} more files cannot be read"));
        let texts: Vec<String> = state.store.iter().cloned().chain(files).chain(more).collect();
        let status = if texts.is_empty() { Status::Ok } else { Status::Warning(texts.join("; ")) };
        self.context.telemetry.set_status(status);
        result
    }
}

fn files(news: &News) -> String {
    let mut text = format!("{} read", news.files);
    if !news.problems.is_empty() {
        text.push_str(&format!(", {} cannot be", news.problems.len()));
    }
    if let Some(path) = news.missing.first() {
        text.push_str(&format!("; waiting for {}", path.display()));
    }
    text
}
