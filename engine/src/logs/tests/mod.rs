//! Tests with the logs that real Gunicorns wrote, and with tables of what is odd.

mod exceptions;
mod joining;
mod rules;

use std::borrow::Cow;
use std::time::Duration;

use super::*;
use crate::config::Report;

/// Vendor's pattern for Gunicorn's error log.
const DATE: &str = r"\[\d{4}-\d{2}-\d{2}";

const SYNC: &str = include_str!("../../../tests/fixtures/gunicorn/sync.error.log");
const FIXTURES: [&str; 6] = [
    SYNC,
    include_str!("../../../tests/fixtures/gunicorn/bootfail.error.log"),
    include_str!("../../../tests/fixtures/gunicorn/gthread-backlog.error.log"),
    include_str!("../../../tests/fixtures/gunicorn/statsd-down.error.log"),
    include_str!("../../../tests/fixtures/gunicorn/uvicorn-worker.error.log"),
    include_str!("../../../tests/fixtures/gunicorn/bootfail.stdio.log"),
];

/// The numbers of the lines of a record.
#[derive(Debug, PartialEq, Eq)]
struct Numbers(Vec<usize>);

impl Carried for Numbers {
    fn absorb(&mut self, next: Self) {
        self.0.extend(next.0);
    }
}

fn boundary(start: &str, end: &str, omit: bool) -> Boundary {
    let mut report = Report::new();
    let boundary = Boundary::from_options(start, end, omit, "", &mut report);
    assert!(report.is_empty(), "{report:?}");
    boundary.unwrap()
}

fn at_start(pattern: &str) -> Joining {
    Joining::at(boundary(pattern, "", false))
}

/// The records of lines that come a millisecond apart, and the parts that they are.
fn join_parts<'l>(how: &Joining, lines: impl IntoIterator<Item = &'l str>) -> Vec<(String, Part)> {
    let (mut joiner, mut records) = (Joiner::default(), Vec::new());
    let mut pushed = 0;
    for line in lines {
        let now = Duration::from_millis(pushed as u64);
        joiner.push(how, Cow::Borrowed(line.as_bytes()), Numbers(vec![pushed]), now, &mut records);
        pushed += 1;
        let emitted: usize = records.iter().map(|record: &Joined<Numbers>| record.lines).sum();
        assert_eq!(joiner.lines() + emitted, pushed, "every line waits or is in a record");
    }
    joiner.flush(&mut records);
    assert_eq!((joiner.lines(), joiner.bytes(), joiner.deadline(how)), (0, 0, None));
    let mut numbers: Vec<usize> = records.iter().flat_map(|record| record.carried.0.iter().copied()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..pushed).collect::<Vec<_>>(), "every line is in one record");
    assert!(records.iter().all(|record| record.carried.0.len() == record.lines));
    records.into_iter().map(|record| (String::from_utf8(record.text).unwrap(), record.part)).collect()
}

fn join<'l>(how: &Joining, lines: impl IntoIterator<Item = &'l str>) -> Vec<String> {
    join_parts(how, lines).into_iter().map(|(text, _)| text).collect()
}

/// The records of an error log, told apart by nothing but what begins them.
fn records(log: &str) -> Vec<Vec<&str>> {
    let date = compile(&format!("^{DATE}")).unwrap();
    let mut records: Vec<Vec<&str>> = Vec::new();
    for line in log.lines() {
        match records.last_mut() {
            Some(record) if !date.is_match(line.as_bytes()) => record.push(line),
            _ => records.push(vec![line]),
        }
    }
    records
}
