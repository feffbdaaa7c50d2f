//! The grammar of Python's tracebacks.
//!
//! Gunicorn's workers share an error log, and the lines of a traceback name nobody. What tells them apart is their form:
//! a header, frames of `  File "…", line …` with their indented source below, and the line of the exception, which comes
//! last. So another worker's record in the middle does not break a traceback whose exception has not come yet.
//! (Python's documentation of `traceback`; exception groups since 3.11, marks below the source since 3.11 and 3.13.)

const HEADER: &[u8] = b"Traceback (most recent call last):";
const CHAINS: [&[u8]; 2] = [
    b"During handling of the above exception, another exception occurred:",
    b"The above exception was the direct cause of the following exception:",
];
/// What the lines of an exception group begin with: of its traceback and message, and below its last member.
const GROUP_LINE: &str = "  | ";
const GROUP_END: &[u8] = b"    +--";

/// How far a record's traceback has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Traceback {
    /// There is none yet.
    #[default]
    None,
    /// Right behind its header.
    Header,
    /// In its frames.
    Frames,
    /// Within an exception group.
    Group,
    /// Behind the words that lead to another traceback.
    Chained,
    /// The exception has come.
    Complete,
}

impl Traceback {
    /// True where more lines have to come.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Traceback::Header | Traceback::Frames | Traceback::Group | Traceback::Chained)
    }

    /// True where the line is one that the grammar wants next.
    pub(super) fn wants(self, line: &[u8]) -> bool {
        match self {
            Traceback::None => opens(line),
            Traceback::Complete => opens(line) || line.is_empty() || is_chain(line),
            Traceback::Chained => opens(line) || line.is_empty(),
            Traceback::Header => is_frame(line) || is_exception(line),
            Traceback::Frames => is_frame(line) || is_source(line) || is_exception(line),
            Traceback::Group => matches!(line.trim_ascii_start().first(), Some(b'|' | b'+')),
        }
    }

    /// The state behind a line of the record, wanted or not.
    pub(super) fn after(self, line: &[u8]) -> Traceback {
        if opens(line) {
            let is_group = line.starts_with(b"  +");
            return if is_group { Traceback::Group } else { Traceback::Header };
        }
        match self {
            Traceback::Complete if is_chain(line) => Traceback::Chained,
            Traceback::Header if is_frame(line) => Traceback::Frames,
            Traceback::Header | Traceback::Frames if is_exception(line) => Traceback::Complete,
            Traceback::Group if line.starts_with(GROUP_END) && line.ends_with(b"--") && !has_number(line) => {
                Traceback::Complete
            }
            same => same,
        }
    }
}

/// A message may lead up to the header on its line.
fn opens(line: &[u8]) -> bool {
    line.ends_with(HEADER)
}

fn is_chain(line: &[u8]) -> bool {
    CHAINS.contains(&line)
}

fn is_frame(line: &[u8]) -> bool {
    line.starts_with(b"  File \"") || line.starts_with(b"  [Previous line repeated ")
}

/// A line of source below its frame, or the marks below that.
pub(super) fn is_source(line: &[u8]) -> bool {
    line.starts_with(b"    ")
}

/// `+---------------- 1 ----------------` stands between the members of a group, the same without a number at its end.
fn has_number(line: &[u8]) -> bool {
    line.iter().any(u8::is_ascii_digit)
}

/// `ValueError: text`, `app.PaymentError` or `app.pay.<locals>.Failed: text`.
fn is_exception(line: &[u8]) -> bool {
    let end = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.<>".contains(byte) || !byte.is_ascii();
    let is_name = name.first().is_some_and(|first| !first.is_ascii_digit()) && name.iter().all(of_name);
    is_name && (rest.len() <= 1 || rest.starts_with(b": "))
}

/// An exception as it stands in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception<'t> {
    /// Its class, such as `ValueError` or `app.PaymentError`.
    pub class: &'t str,
    /// What it says; may have several lines, or none.
    pub message: &'t str,
    /// The whole traceback, from its first header to the end of the record, causes included.
    pub stacktrace: &'t str,
}

/// The exception that a Python traceback in the text ends with: of several that led to each other the last one, which is
/// the one that was not caught; of a group the group itself.
pub fn exception(text: &str) -> Option<Exception<'_>> {
    let (mut state, mut at) = (Traceback::None, 0);
    let (mut stacktrace, mut exception) = (None, None);
    let mut group_is_named = false;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\n', '\r']);
        let before = state;
        state = before.after(content.as_bytes());
        let is_in_frames = matches!(before, Traceback::Header | Traceback::Frames);
        if opens(content.as_bytes()) {
            group_is_named = false;
            let within = if state == Traceback::Group { 0 } else { content.len() - HEADER.len() };
            stacktrace = stacktrace.or_else(|| text.get(at + within..));
        } else if is_in_frames && state == Traceback::Complete {
            // Its message may have more lines.
            exception = text.get(at..);
        } else if before == Traceback::Group && !group_is_named {
            let named = content.strip_prefix(GROUP_LINE).filter(|inner| is_exception(inner.as_bytes()));
            group_is_named = named.is_some();
            exception = named.or(exception);
        }
        at += line.len();
    }
    let (class, message) = class_and_message(exception?);
    Some(Exception { class, message, stacktrace: stacktrace?.trim_end() })
}

fn class_and_message(exception: &str) -> (&str, &str) {
    let end = exception.find([':', '\n', '\r']).unwrap_or(exception.len());
    let (class, message) = exception.split_at(end);
    (class, message.trim_start_matches(':').trim())
}
