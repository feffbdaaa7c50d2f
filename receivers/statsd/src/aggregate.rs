//! From datagrams to the values of the open window. No I/O, no lock, no clock: one reader thread owns all of it.

use std::sync::Arc;
use std::time::Duration;

use hornpipe_model::Timestamp;
use smallvec::SmallVec;

use crate::aliases::Alias;
use crate::budget::ValueBudget;
use crate::config::Dialect;
use crate::contexts::{ContextLimit, Contexts, Created, FILTERED};
use crate::cut::{Cut, cut};
use crate::etsy;
use crate::event;
use crate::naming::Naming;
use crate::parse::{self, Kind, LineKind, Sample};
use crate::reason;
use crate::rejects::Rejects;
use crate::service_check;
use crate::slab::Slab;
use crate::spelling::Spelling;
use crate::timed::{self, TimedPoint};

/// How many lines are looked up together, be they of one datagram or of many that were received at once.
const LINES_AT_ONCE: usize = 24;

/// How many events one reader keeps in one window, and how much memory they may take: a thousand of the 8 KiB that Datadog's
/// clients send at most.
const EVENT_LIMIT: usize = 1_000;
const EVENT_BYTES: usize = 8 << 20;
/// How many service checks one reader keeps in one window, and how much memory they may take. They are rare, and each holds a
/// message.
const SERVICE_CHECK_LIMIT: usize = 10_000;
const SERVICE_CHECK_BYTES: usize = 8 << 20;

/// How many series are evicted at a time: few enough not to keep datagrams waiting.
const EVICTED_AT_ONCE: usize = 64;

/// What a reader hands over at the end of a window.
#[derive(Debug)]
pub(crate) struct Handover {
    /// The values.
    pub(crate) slab: Slab,
    /// Series that were made in the window; the slab may use them.
    pub(crate) created: Vec<Created>,
    /// Indexes that were given up in the window; the slab does not use them, the next one may.
    pub(crate) evicted: Vec<u32>,
}

/// What was counted since it was last published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Lines, good or bad; empty ones and good events are none.
    pub(crate) received: u64,
    /// Good lines, which stand in the open window.
    pub(crate) held: u64,
    /// Values that were left out of good lines because they are not finite.
    pub(crate) not_finite: u64,
    /// Good events, which stand in the open window.
    pub(crate) events: u64,
    /// Those of them whose lengths were characters.
    pub(crate) events_in_characters: u64,
    /// Datagrams, frames, and reads of streams of lines.
    pub(crate) packets: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Series that became sketches because samples had used up their memory.
    pub(crate) sketched: u64,
    /// Datagrams that were longer than the buffer.
    pub(crate) truncated: u64,
}

/// Takes datagrams apart and adds their lines up.
#[derive(Debug)]
pub(crate) struct Aggregator {
    dialect: Dialect,
    budget: ValueBudget,
    contexts: Contexts,
    slab: Slab,
    /// The values of the line at hand; kept to save its allocation.
    values: Vec<f64>,
    tally: Tally,
    /// Lines that were dropped.
    pub(crate) rejects: Rejects,
}

/// A line between being cut and being added up.
#[derive(Clone, Copy, Debug)]
struct Pending<'a> {
    line: &'a [u8],
    member: &'a [u8],
    value: Option<f64>,
    spelling: Option<Spelling>,
    known: Option<Known>,
}

/// What is known of a line whose spelling is.
#[derive(Clone, Copy, Debug)]
struct Known {
    index: u32,
    kind: Kind,
    rate: f64,
}

impl From<&Alias> for Known {
    fn from(&Alias { index, kind, rate, .. }: &Alias) -> Self {
        Known { index, kind, rate }
    }
}

/// Lines that were cut, and wait for others to be looked up with. On the stack, and not filled with anything beforehand.
#[derive(Debug, Default)]
pub(crate) struct LinesAtHand<'a>(SmallVec<[Pending<'a>; LINES_AT_ONCE]>);

/// The lines of a datagram that are not empty.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.0.is_empty() {
            let (line, rest) = parse::split_once(self.0, b'\n').unwrap_or((self.0, &[]));
            self.0 = rest;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.is_empty() {
                return Some(line);
            }
        }
        None
    }
}

/// The same line without its time, which is what its client repeats; none unless the time is the last field and the only one.
fn without_time(line: Cut<'_>) -> Option<Cut<'_>> {
    let (rest, last) = line.tail.split_at(memchr::memrchr(b'|', line.tail)?);
    let is_only = last.starts_with(b"|T") && !rest.windows(2).any(|field| field == b"|T");
    is_only.then_some(Cut { tail: rest, ..line })
}

impl Aggregator {
    /// An empty window and no series; names stay as they are.
    #[cfg(test)]
    pub(crate) fn new(limit: Arc<ContextLimit>, dialect: Dialect) -> Self {
        Aggregator::with(limit, dialect, Naming::default(), ValueBudget::default())
    }

    /// An empty window and no series.
    pub(crate) fn with(limit: Arc<ContextLimit>, dialect: Dialect, naming: Naming, budget: ValueBudget) -> Self {
        Aggregator {
            dialect,
            budget,
            contexts: Contexts::new(limit, naming),
            slab: Slab::default(),
            values: Vec::new(),
            tally: Tally::default(),
            rejects: Rejects::default(),
        }
    }

    /// Adds a datagram's lines. If it was `truncated`, its last line is not whole and is dropped.
    pub(crate) fn datagram(&mut self, payload: &[u8], truncated: bool, arrival: Duration) {
        let mut at_hand = LinesAtHand::default();
        self.take(payload, truncated, arrival, &mut at_hand);
        self.add_up(&mut at_hand, arrival);
    }

    /// The same of one datagram among several: its last lines stay at hand, to be looked up with those of the next. After
    /// the last one they want to be [added up](Self::add_up).
    ///
    /// In three rounds instead of one line after the other: all are cut, all are looked up, all are added up. Tables and
    /// cells have gone out of the nearest caches by the time that traffic comes back to them, and this way the processor
    /// waits for several of them at once.
    #[inline]
    pub(crate) fn take<'a>(
        &mut self,
        payload: &'a [u8],
        truncated: bool,
        arrival: Duration,
        at_hand: &mut LinesAtHand<'a>,
    ) {
        self.tally.packets += 1;
        self.tally.bytes += payload.len() as u64;
        self.tally.truncated += u64::from(truncated);
        let whole = if truncated { self.cut_off_last(payload) } else { payload };
        for line in Lines(whole) {
            let mut next = Pending { line, member: &[], value: None, spelling: None, known: None };
            if let Some(cut) = cut(line) {
                next = Pending { member: cut.member, value: cut.value, spelling: self.contexts.spelling(&cut), ..next };
            }
            at_hand.0.push(next);
            if at_hand.0.len() == LINES_AT_ONCE {
                self.add_up(at_hand, arrival);
            }
        }
    }

    /// Looks up and adds up the lines at hand.
    pub(crate) fn add_up(&mut self, at_hand: &mut LinesAtHand<'_>, arrival: Duration) {
        for line in &mut at_hand.0 {
            line.known = line.spelling.as_ref().and_then(|spelling| self.contexts.find(spelling)).map(Known::from);
        }
        for line in &at_hand.0 {
            self.pending(line, arrival);
            // With every line, since one alone may have tens of thousands of values.
            if self.budget.is_spent(&self.slab) {
                self.tally.sketched += self.budget.enforce(&mut self.slab);
            }
        }
        at_hand.0.clear();
    }

    /// Of a datagram that was cut, counts the last line and returns those before.
    #[cold]
    fn cut_off_last<'a>(&mut self, payload: &'a [u8]) -> &'a [u8] {
        let start = memchr::memrchr(b'\n', payload).map_or(0, |end| end + 1);
        let (whole, last) = payload.split_at(start);
        if !last.is_empty() {
            self.tally.received += 1;
            self.rejects.add(reason::TRUNCATED, last);
        }
        whole
    }

    /// A packet that was taken as one of so many bytes came as one of others.
    pub(crate) fn correct_bytes(&mut self, taken: usize, came: usize) {
        self.tally.bytes = (self.tally.bytes + came as u64).saturating_sub(taken as u64);
    }

    /// Counts a line or frame of which only the beginning is there.
    pub(crate) fn reject(&mut self, beginning: &[u8], reason: hornpipe_engine::Reason) {
        self.tally.received += 1;
        self.rejects.add(reason, beginning);
    }

    /// What was counted since the last call.
    pub(crate) fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Ends the window: gives out its values and goes on with an empty slab. `expired` names series that may be evicted.
    pub(crate) fn swap(&mut self, empty: Slab, expired: Vec<u32>) -> Handover {
        let slab = std::mem::replace(&mut self.slab, empty);
        let (created, evicted) = self.contexts.take_changes();
        self.contexts.expire(expired);
        Handover { slab, created, evicted }
    }

    /// True while there are series to evict.
    pub(crate) fn has_expired(&self) -> bool {
        self.contexts.has_expired()
    }

    /// Evicts some of the series that may go.
    pub(crate) fn evict_some(&mut self) {
        self.contexts.evict_some(EVICTED_AT_ONCE, &self.slab);
    }

    #[inline]
    fn pending(&mut self, line: &Pending<'_>, arrival: Duration) {
        self.tally.received += 1;
        let outcome = match line.known {
            Some(known) => self.known(line, known, arrival),
            None => return self.unknown(line, arrival),
        };
        match outcome {
            Ok(()) => self.tally.held += 1,
            Err(reason) => self.rejects.add(reason, line.line),
        }
    }

    /// A line whose spelling is known: nothing but its value is new.
    #[inline]
    fn known(&mut self, line: &Pending<'_>, known: Known, arrival: Duration) -> Result<(), hornpipe_engine::Reason> {
        let Known { index, kind, rate } = known;
        if index == FILTERED {
            return Err(reason::FILTERED);
        }
        let has_steps = self.dialect == Dialect::Etsy;
        let sample = Sample { member: line.member, rate, has_steps, ..Sample::new(kind) };
        if let Some(value) = line.value
            && kind != Kind::Set
        {
            self.slab.add(index, &sample, &[value], arrival);
            return Ok(());
        }
        self.tally.not_finite += parse::values(kind, line.member, &mut self.values)?;
        self.slab.add(index, &sample, &self.values, arrival);
        Ok(())
    }

    /// Any other line: one whose spelling is new, a bad one, an event, a service check.
    fn unknown(&mut self, pending: &Pending<'_>, arrival: Duration) {
        let line = pending.line;
        if self.dialect == Dialect::Etsy
            && let Some(lines) = etsy::lines(line)
        {
            return self.lines_of_one(&lines, arrival);
        }
        // Etsy's dialect has nothing but samples.
        let kind = if self.dialect == Dialect::Etsy { LineKind::Sample } else { parse::line_kind(line) };
        let outcome = match kind {
            LineKind::Sample => self.sample(line, pending.spelling, arrival),
            LineKind::ServiceCheck => self.service_check(line, arrival),
            LineKind::Event => return self.event(line, arrival),
        };
        match outcome {
            Ok(()) => self.tally.held += 1,
            Err(reason) => self.rejects.add(reason, line),
        }
    }

    /// A line that stands for several, which count in its place.
    #[cold]
    fn lines_of_one(&mut self, lines: &[Vec<u8>], arrival: Duration) {
        self.tally.received -= 1;
        for line in lines {
            let cut = cut(line).unwrap_or_default();
            let spelling = self.contexts.spelling(&cut);
            let known = spelling.as_ref().and_then(|spelling| self.contexts.find(spelling)).map(Known::from);
            self.pending(&Pending { line, member: cut.member, value: cut.value, spelling, known }, arrival);
        }
    }

    fn sample(
        &mut self,
        line: &[u8],
        spelling: Option<Spelling>,
        arrival: Duration,
    ) -> Result<(), hornpipe_engine::Reason> {
        let mut sample = parse::sample(line, &mut self.values)?;
        sample.has_steps = self.dialect == Dialect::Etsy;
        if sample.time != Timestamp::UNKNOWN {
            return self.timed(line, &sample);
        }
        let index = self.contexts.resolve(spelling, &sample)?;
        self.slab.add(index, &sample, &self.values, arrival);
        self.tally.not_finite += sample.not_finite;
        Ok(())
    }

    #[cold]
    fn timed(&mut self, line: &[u8], sample: &Sample<'_>) -> Result<(), hornpipe_engine::Reason> {
        timed::check(sample.kind)?;
        if self.slab.timed.len() >= timed::LIMIT {
            return Err(reason::TIMESTAMP_LIMIT);
        }
        let spelling = cut(line).and_then(without_time).and_then(|cut| self.contexts.spelling(&cut));
        let index = match spelling.as_ref().and_then(|spelling| self.contexts.find(spelling)) {
            Some(alias) if alias.index == FILTERED => return Err(reason::FILTERED),
            Some(alias) => alias.index,
            None => self.contexts.resolve(spelling, sample)?,
        };
        let context = self.contexts.context(index).ok_or(reason::CONTEXT_LIMIT)?;
        self.slab.timed.push(TimedPoint::new(context, sample, &self.values));
        self.slab.lines += 1;
        self.tally.not_finite += sample.not_finite;
        Ok(())
    }

    /// Events are counted as log records; a bad one is a bad line like any other.
    #[cold]
    fn event(&mut self, line: &[u8], arrival: Duration) {
        let outcome = match event::parse(line, arrival) {
            Ok(event)
                if self.slab.events.len() >= EVENT_LIMIT || self.slab.event_bytes + event.bytes() > EVENT_BYTES =>
            {
                Err(reason::EVENT_LIMIT)
            }
            outcome => outcome,
        };
        match outcome {
            Ok(event) => {
                self.tally.received -= 1;
                self.tally.events += 1;
                self.tally.events_in_characters += u64::from(event.in_characters);
                self.slab.event_bytes += event.bytes();
                self.slab.events.push(event);
            }
            Err(reason) => self.rejects.add(reason, line),
        }
    }

    #[cold]
    fn service_check(&mut self, line: &[u8], arrival: Duration) -> Result<(), hornpipe_engine::Reason> {
        let check = service_check::parse(line, arrival)?;
        let bytes = self.slab.check_bytes + check.bytes();
        if self.slab.checks.len() >= SERVICE_CHECK_LIMIT || bytes > SERVICE_CHECK_BYTES {
            return Err(reason::SERVICE_CHECK_LIMIT);
        }
        self.slab.check_bytes = bytes;
        self.slab.checks.push(check);
        self.slab.lines += 1;
        Ok(())
    }
}
