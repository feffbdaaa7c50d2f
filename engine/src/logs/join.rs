//! Lines that belong together become one record.

use std::borrow::Cow;
use std::time::Duration;

use super::boundary::Boundary;
use super::traceback::{self, Traceback};

/// The attribute that says which part of a split record this is; see [`Part::name`].
pub const PART: &str = "log.record.part";

/// An interrupted traceback is given up once this many records began behind it.
const MAX_INTERRUPTIONS: u32 = 16;

/// How lines are joined; shared by the streams that are joined alike.
#[derive(Clone, Debug)]
pub struct Joining {
    /// Where records begin or end.
    pub boundary: Boundary,
    /// Most lines of a record; a longer one is split.
    pub max_lines: usize,
    /// Most bytes of a record; a longer one is split, between lines. A longer line stays whole.
    pub max_bytes: usize,
    /// How long an open record waits for another line.
    pub timeout: Duration,
    /// What stands between the lines of a record.
    pub joiner: Vec<u8>,
}

impl Joining {
    /// With a line end between lines, at most 1,000 lines and 1 MiB a record, and a second of waiting.
    pub fn at(boundary: Boundary) -> Self {
        let (max_lines, max_bytes, timeout) = (1_000, 1 << 20, Duration::from_secs(1));
        Joining { boundary, max_lines, max_bytes, timeout, joiner: b"\n".to_vec() }
    }
}

/// What comes along with a line and stays with its record: offsets, acks, attributes.
pub trait Carried {
    /// Takes in what came along with the record's next line.
    fn absorb(&mut self, next: Self);
}

/// Which part of a record it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The beginning of one that was split at a limit.
    First,
    /// More of it.
    Middle,
    /// The end of it.
    Last,
}

impl Part {
    /// The value of [`PART`]; `None` for a whole record, which has no such attribute.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Part::Whole => None,
            Part::First => Some("first"),
            Part::Middle => Some("middle"),
            Part::Last => Some("last"),
        }
    }
}

/// A record.
#[derive(Debug, PartialEq, Eq)]
pub struct Joined<C> {
    /// Its lines, joined.
    pub text: Vec<u8>,
    /// How many lines it has.
    pub lines: usize,
    /// Which part of a longer record it is.
    pub part: Part,
    /// What came along with its lines.
    pub carried: C,
}

/// Joins the lines of one stream: of one file, or of one writer where every line names it.
///
/// Lines before the first start pattern are a record too. A record is complete when the next begins (or, with an end
/// pattern, with the line that ends it), after [`Joining::timeout`], or with [`flush`](Self::flush). A traceback whose
/// exception has not come yet waits while complete records of other writers pass, and takes the lines that its grammar
/// wants.
#[derive(Debug)]
pub struct Joiner<C> {
    current: Option<Open<C>>,
    /// A traceback that another record interrupted.
    interrupted: Option<Open<C>>,
}

impl<C> Default for Joiner<C> {
    fn default() -> Self {
        Joiner { current: None, interrupted: None }
    }
}

/// A record that may grow.
#[derive(Debug)]
struct Open<C> {
    text: Vec<u8>,
    lines: usize,
    carried: C,
    traceback: Traceback,
    /// When its last line came.
    touched: Duration,
    /// It goes on from one that was cut.
    is_rest: bool,
    /// Records that began since it was interrupted.
    interruptions: u32,
}

impl<C: Carried> Joiner<C> {
    /// Takes a line, without its line end; records that it completes go to `out`. `now` is of a clock that never steps
    /// back.
    pub fn push(&mut self, how: &Joining, line: Cow<'_, [u8]>, carried: C, now: Duration, out: &mut Vec<Joined<C>>) {
        if how.boundary.starts(&line) {
            self.interrupt(out);
            self.current = Some(Open::new(how.boundary.kept(line), carried, now));
            return;
        }
        self.resume(&line, out);
        let ends = how.boundary.ends(&line);
        let line = if ends { how.boundary.kept(line) } else { line };
        match &mut self.current {
            Some(open) if open.has_room(how, &line) => open.append(&how.joiner, &line, carried, now),
            Some(open) => {
                let rest = open.rest(line, carried, now);
                out.push(std::mem::replace(open, rest).finish(true));
            }
            None => self.current = Some(Open::new(line, carried, now)),
        }
        if ends {
            out.extend(self.current.take().map(Open::complete));
        }
    }

    /// Completes the records that waited for long enough.
    pub fn expire(&mut self, how: &Joining, now: Duration, out: &mut Vec<Joined<C>>) {
        let is_due = |open: &mut Open<C>| now.saturating_sub(open.touched) >= how.timeout;
        out.extend(self.interrupted.take_if(is_due).map(Open::complete));
        out.extend(self.current.take_if(is_due).map(Open::complete));
    }

    /// Completes all records.
    pub fn flush(&mut self, out: &mut Vec<Joined<C>>) {
        out.extend(self.interrupted.take().map(Open::complete));
        out.extend(self.current.take().map(Open::complete));
    }

    /// A record begins: the one before is complete, or interrupted.
    fn interrupt(&mut self, out: &mut Vec<Joined<C>>) {
        match self.current.take() {
            Some(open) if open.traceback.is_open() => {
                out.extend(self.interrupted.replace(open).map(Open::complete));
            }
            complete => {
                if let Some(waiting) = &mut self.interrupted {
                    waiting.interruptions += 1;
                }
                let given_up = self.interrupted.take_if(|waiting| waiting.interruptions > MAX_INTERRUPTIONS);
                out.extend(given_up.map(Open::complete));
                out.extend(complete.map(Open::complete));
            }
        }
    }

    /// Goes on with the interrupted traceback where the line is one of it.
    fn resume(&mut self, line: &[u8], out: &mut Vec<Joined<C>>) {
        let Some(waiting) = &self.interrupted else { return };
        let is_taken = self.current.as_ref().is_some_and(|open| {
            // Text of several lines, such as SQL, may be indented like a traceback's source.
            let is_ambiguous = traceback::is_source(line) && waiting.traceback != Traceback::Group;
            let goes_on = open.traceback == Traceback::None && open.lines > 1 && is_ambiguous;
            open.traceback.wants(line) || goes_on
        });
        if waiting.traceback.wants(line) && !is_taken {
            let waiting = self.interrupted.take().map(|waiting| Open { interruptions: 0, ..waiting });
            out.extend(std::mem::replace(&mut self.current, waiting).map(Open::complete));
        }
    }
}

impl<C> Joiner<C> {
    /// How many lines wait.
    pub fn lines(&self) -> usize {
        self.open().map(|open| open.lines).sum()
    }

    /// How many bytes wait.
    pub fn bytes(&self) -> usize {
        self.open().map(|open| open.text.len()).sum()
    }

    /// What came along with the first lines of the records that wait.
    pub fn carried(&self) -> impl Iterator<Item = &C> {
        self.open().map(|open| &open.carried)
    }

    /// When [`expire`](Self::expire) has something to do.
    pub fn deadline(&self, how: &Joining) -> Option<Duration> {
        self.open().map(|open| open.touched.saturating_add(how.timeout)).min()
    }

    fn open(&self) -> impl Iterator<Item = &Open<C>> {
        self.interrupted.iter().chain(&self.current)
    }
}

impl<C: Carried> Open<C> {
    fn new(line: Cow<'_, [u8]>, carried: C, now: Duration) -> Self {
        Open {
            traceback: Traceback::None.after(&line),
            text: line.into_owned(),
            lines: 1,
            carried,
            touched: now,
            is_rest: false,
            interruptions: 0,
        }
    }

    /// What a line begins that this record has no room for.
    fn rest(&self, line: Cow<'_, [u8]>, carried: C, now: Duration) -> Self {
        let traceback = self.traceback.after(&line);
        Open { traceback, is_rest: true, ..Open::new(line, carried, now) }
    }

    fn has_room(&self, how: &Joining, line: &[u8]) -> bool {
        let bytes = self.text.len() + how.joiner.len() + line.len();
        self.lines < how.max_lines && bytes <= how.max_bytes
    }

    fn append(&mut self, joiner: &[u8], line: &[u8], carried: C, now: Duration) {
        self.traceback = self.traceback.after(line);
        self.text.extend_from_slice(joiner);
        self.text.extend_from_slice(line);
        self.lines += 1;
        self.carried.absorb(carried);
        self.touched = now;
    }
}

impl<C> Open<C> {
    fn complete(self) -> Joined<C> {
        self.finish(false)
    }

    /// The record; `goes_on` where its rest is another.
    fn finish(self, goes_on: bool) -> Joined<C> {
        let part = match (self.is_rest, goes_on) {
            (false, false) => Part::Whole,
            (false, true) => Part::First,
            (true, true) => Part::Middle,
            (true, false) => Part::Last,
        };
        Joined { text: self.text, lines: self.lines, part, carried: self.carried }
    }
}
