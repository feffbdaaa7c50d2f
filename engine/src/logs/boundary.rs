//! Where a record of several lines begins or ends.

use std::borrow::Cow;
use std::ops::Range;

use regex::bytes::Regex;

use super::pattern;
use crate::config::Report;

/// Tells the first or the last line of a record.
#[derive(Clone, Debug)]
pub struct Boundary {
    kind: Kind,
    omit: bool,
}

#[derive(Clone, Debug)]
enum Kind {
    /// The pattern matches at the beginning of a record's first line.
    Start(Regex),
    /// The pattern matches in a record's last line.
    End(Regex),
}

impl Boundary {
    /// The boundary that the Collector's options `line_start_pattern`, `line_end_pattern` (exactly one is set) and
    /// `omit_pattern` ask for; `path` is where they stand, such as `multiline`, or empty. Problems go to the report.
    ///
    /// A start pattern matches at the beginning of a line, as `^(?:…)`; an end pattern anywhere in it.
    pub fn from_options(start: &str, end: &str, omit: bool, path: &str, report: &mut Report) -> Option<Boundary> {
        let at = |option: &str| if path.is_empty() { option.to_owned() } else { format!("{path}.{option}") };
        let (option, compiled) = match (start.is_empty(), end.is_empty()) {
            (false, true) => ("line_start_pattern", pattern::compile_at_start(start).map(Kind::Start)),
            (true, false) => ("line_end_pattern", pattern::compile(end).map(Kind::End)),
            (true, true) => {
                let help =
                    r"Gunicorn's error log begins its records with a date: `line_start_pattern: '\[\d{4}-\d{2}-\d{2}'`";
                let message = "`line_start_pattern` or `line_end_pattern` has to say where records begin or end";
                report.error_with_help(path, message, help);
                return None;
            }
            (false, false) => {
                let message = "only one of `line_start_pattern` and `line_end_pattern` can be set";
                report.error(&at("line_end_pattern"), message);
                return None;
            }
        };
        match compiled {
            Ok(kind) => Some(Boundary { kind, omit }),
            Err(error) => {
                report.error(&at(option), error.to_string());
                None
            }
        }
    }

    /// Records that begin where `pattern` matches at the beginning of a line.
    pub(super) fn start(pattern: &str) -> Result<Boundary, crate::InvalidPattern> {
        Ok(Boundary { kind: Kind::Start(pattern::compile_at_start(pattern)?), omit: false })
    }

    /// True where the line begins a record.
    pub fn starts(&self, line: &[u8]) -> bool {
        matches!(&self.kind, Kind::Start(pattern) if pattern.is_match(line))
    }

    /// True where the line ends a record.
    pub fn ends(&self, line: &[u8]) -> bool {
        matches!(&self.kind, Kind::End(pattern) if pattern.is_match(line))
    }

    /// The line, or a whole record, as it is to be: without what the pattern matched, where that was asked for.
    pub fn kept<'l>(&self, line: Cow<'l, [u8]>) -> Cow<'l, [u8]> {
        if !self.omit {
            return line;
        }
        let (Kind::Start(pattern) | Kind::End(pattern)) = &self.kind;
        match pattern.find(&line).map(|found| found.range()) {
            Some(range) => Cow::Owned(without(line.into_owned(), range)),
            None => line,
        }
    }
}

fn without(mut line: Vec<u8>, range: Range<usize>) -> Vec<u8> {
    line.drain(range);
    line
}
