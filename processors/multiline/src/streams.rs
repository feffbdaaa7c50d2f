//! Unfinished records by where their lines come from.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use hornpipe_engine::logs::{Joined, Joiner, Joining};
use hornpipe_model::{Body, Log, Value};

use crate::held::{Complete, Held};
use crate::writer;

/// Most streams with unfinished records, and most bytes in these; past either all are sent on as they are, so that many
/// files cannot take all memory.
const MAX_STREAMS: usize = 1_000;
const MAX_BYTES: usize = 16 << 20;

/// Every stream with an unfinished record, and what they hold together.
#[derive(Default)]
pub(crate) struct Streams {
    streams: HashMap<String, Joiner<Held>>,
    /// Where to write the key of a line, so that looking it up allocates nothing.
    key: String,
    held: Level,
}

#[derive(Clone, Copy, Default)]
struct Level {
    lines: usize,
    bytes: usize,
}

impl Streams {
    /// Where a line comes from: host, file, and the writer that it names.
    pub(crate) fn key(&mut self, host: Option<&str>, log: &Log, group_by: &[String]) -> String {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        let mut add = |part: &str| {
            key.push_str(part);
            key.push('\0');
        };
        add(host.unwrap_or_default());
        add(&log.source.path);
        for (name, value) in writer(log, group_by) {
            add(name);
            match value {
                Value::String(text) => add(text),
                other => add(&format!("{other:?}")),
            }
        }
        key
    }

    /// Gives a line to the stream of a key.
    pub(crate) fn push(
        &mut self,
        key: String,
        mut line: Held,
        joining: &Joining,
        now: Duration,
        complete: &mut Complete,
    ) {
        let text = match std::mem::replace(&mut line.log.body, Body::Text("".into())) {
            Body::Text(text) => text.as_bytes().to_vec(),
            Body::Bytes(bytes) => bytes.into_vec(),
            Body::Value(_) => Vec::new(),
        };
        let mut joined = Vec::new();
        if !self.streams.contains_key(&key) {
            self.streams.insert(key.clone(), Joiner::default());
        }
        if let Some(stream) = self.streams.get_mut(&key) {
            self.held.follow(stream, |stream| stream.push(joining, Cow::Owned(text), line, now, &mut joined));
        }
        joined.into_iter().for_each(|record| complete.push(record));
        self.key = key;
    }

    /// Takes complete records from every stream, and forgets streams without any other.
    pub(crate) fn drain(&mut self, complete: &mut Complete, act: impl Fn(&mut Joiner<Held>, &mut Vec<Joined<Held>>)) {
        let mut joined = Vec::new();
        self.streams.retain(|_, stream| {
            self.held.follow(stream, |stream| act(stream, &mut joined));
            stream.lines() > 0
        });
        joined.into_iter().for_each(|record| complete.push(record));
    }

    /// Lines in unfinished records.
    pub(crate) fn lines(&self) -> usize {
        self.held.lines
    }

    pub(crate) fn is_full(&self) -> bool {
        self.held.bytes > MAX_BYTES || self.streams.len() > MAX_STREAMS
    }
}

impl Level {
    /// Does something to a stream and counts what it holds more or less.
    fn follow(&mut self, stream: &mut Joiner<Held>, act: impl FnOnce(&mut Joiner<Held>)) {
        let (lines, bytes) = (stream.lines(), stream.bytes());
        act(stream);
        self.lines = self.lines + stream.lines() - lines;
        self.bytes = self.bytes + stream.bytes() - bytes;
    }
}
