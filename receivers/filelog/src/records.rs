//! Makes records of the lines of one content: a line each, or several that belong together.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use hornpipe_engine::logs::{Carried, Joined, Joiner, Joining, PART, Part, Verdict};
use hornpipe_model::{Body, Log, LogSource, Text, Value};

use crate::encoding::Encoding;
use crate::fingerprint::Mark;
use crate::tail::Reading;

/// A line, or a part of one that is longer than allowed.
#[derive(Clone, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) bytes: &'a [u8],
    /// The same as a body, where it can be had without a copy.
    pub(crate) text: Option<Text>,
    /// True where more parts of the line follow.
    pub(crate) continues: bool,
    /// Where it begins in the content; needed where lines are joined.
    pub(crate) start: Mark,
}

/// Where a line begins. That of a record is its first line's.
#[derive(Debug)]
struct Start(Mark);

impl Carried for Start {
    fn absorb(&mut self, _next: Self) {}
}

/// Makes records, and holds the lines of those that are not complete.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// What records say of where they come from.
    pub(crate) source: Arc<LogSource>,
    joiner: Joiner<Start>,
    /// True once a part of the line at hand was sent.
    is_split: bool,
}

impl Records {
    pub(crate) fn of(source: Arc<LogSource>) -> Self {
        Records { source, ..Records::default() }
    }

    /// Takes a line; what is complete with it goes out.
    pub(crate) fn add(&mut self, piece: Piece<'_>, reading: &mut Reading<'_>) {
        let Piece { bytes, text, continues, start } = piece;
        let part = match (self.is_split, continues) {
            (false, false) => Part::Whole,
            (false, true) => Part::First,
            (true, true) => Part::Middle,
            (true, false) => Part::Last,
        };
        self.is_split = continues;
        let encoding = reading.splitter.encoding;
        let Some(how) = reading.joining else { return self.send_line(bytes, text, part, reading) };
        if part != Part::Whole {
            // Longer than any record may be, it is one of its own.
            self.flush(reading);
            return self.send_line(bytes, text, part, reading);
        }
        let mut joined = Vec::new();
        self.joiner.push(how, encoding.text(bytes), Start(start), reading.now, &mut joined);
        self.send_joined(joined, reading);
    }

    /// True within a line of which a part was sent.
    pub(crate) fn is_split(&self) -> bool {
        self.is_split
    }

    /// Sends all that is held.
    pub(crate) fn flush(&mut self, reading: &mut Reading<'_>) {
        let mut joined = Vec::new();
        self.joiner.flush(&mut joined);
        self.send_joined(joined, reading);
    }

    /// Sends what has waited for long enough.
    pub(crate) fn expire(&mut self, reading: &mut Reading<'_>) {
        let Some(how) = reading.joining else { return };
        let mut joined = Vec::new();
        self.joiner.expire(how, reading.now, &mut joined);
        self.send_joined(joined, reading);
    }

    /// When something has waited for long enough.
    pub(crate) fn deadline(&self, how: &Joining) -> Option<Duration> {
        self.joiner.deadline(how)
    }

    /// True while lines are held.
    pub(crate) fn has_held(&self) -> bool {
        self.joiner.lines() > 0
    }

    /// Where the first of the lines begins that are held.
    pub(crate) fn held_from(&self) -> Option<Mark> {
        self.joiner.carried().map(|Start(mark)| *mark).min_by_key(|mark| mark.offset)
    }

    fn send_joined(&self, joined: Vec<Joined<Start>>, reading: &mut Reading<'_>) {
        for record in joined {
            self.send_text(Cow::Owned(record.text), record.part, reading);
        }
    }

    fn send_line(&self, bytes: &[u8], text: Option<Text>, part: Part, reading: &mut Reading<'_>) {
        let encoding = reading.splitter.encoding;
        if reading.rules.is_empty() {
            let body = text.map_or_else(|| encoding.body(bytes), Body::Text);
            self.send(body, part, reading);
        } else {
            self.send_text(encoding.text(bytes), part, reading);
        }
    }

    /// Sends a record, unless a rule drops it, which is counted.
    fn send_text(&self, text: Cow<'_, [u8]>, part: Part, reading: &mut Reading<'_>) {
        let text = match reading.rules.apply(&text) {
            Verdict::Keep(Cow::Borrowed(_)) => text,
            Verdict::Keep(Cow::Owned(masked)) => Cow::Owned(masked),
            Verdict::Drop(reason) => {
                *reading.counts.dropped.entry(reason).or_default() += 1;
                return;
            }
        };
        let body = match reading.splitter.encoding {
            Encoding::Raw => Body::Bytes(text.into()),
            _ => Body::from_bytes(text.into_owned()),
        };
        self.send(body, part, reading);
    }

    fn send(&self, body: Body, part: Part, reading: &mut Reading<'_>) {
        if reading.splitter.encoding != Encoding::Raw && matches!(body, Body::Bytes(_)) {
            reading.counts.invalid += 1;
        }
        let mut log = Log::new(body, reading.observed, Arc::clone(&self.source));
        if let Some(name) = part.name() {
            reading.counts.parts += 1;
            log.attributes.push((PART.to_owned(), Value::from(name)));
        }
        reading.out.push(log);
    }
}
