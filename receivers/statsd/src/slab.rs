//! The values of one window, by the index of their series.

use std::time::Duration;

use hornpipe_model::Samples;
use hornpipe_model::distribution::SAMPLE_LIMIT;

use crate::event::ReceivedEvent;
use crate::level::Level;
use crate::members::Members;
use crate::number::parse_float;
use crate::parse::{Kind, Sample};
use crate::service_check::ReceivedCheck;
use crate::timed::TimedPoint;

/// What one reader took in one window.
#[derive(Debug, Default)]
pub(crate) struct Slab {
    cells: Vec<Cell>,
    /// The indexes that have a value, each once.
    touched: Vec<u32>,
    /// Service checks, which are not aggregated.
    pub(crate) checks: Vec<ReceivedCheck>,
    /// Values with a time of their own, which are not either.
    pub(crate) timed: Vec<TimedPoint>,
    /// Events, which go to the logs pipelines.
    pub(crate) events: Vec<ReceivedEvent>,
    /// Bytes that the checks and the events take.
    pub(crate) check_bytes: usize,
    pub(crate) event_bytes: usize,
    /// An upper bound of the bytes that its samples and members take.
    pub(crate) value_bytes: usize,
    /// How many lines all of it stands for, events left out.
    pub(crate) lines: u64,
}

/// The value of one series.
#[derive(Debug, Default)]
pub(crate) enum Cell {
    /// Nothing came.
    #[default]
    Empty,
    /// A counter.
    Count {
        /// The sum, corrected for the sample rate.
        sum: f64,
        /// How many values it holds.
        samples: u64,
    },
    /// A gauge.
    Gauge {
        /// The last value.
        value: f64,
        /// When it came, on the monotonic clock, in nanoseconds: half as large as a `Duration`, and so the cell has 24 bytes.
        arrival: u64,
    },
    /// A gauge of the Etsy dialect.
    Level(Box<Level>),
    /// A set; empty if nothing came.
    Set(Box<Members>),
    /// The values of a histogram, timer or distribution, all of weight 1 and at most [`SAMPLE_LIMIT`]; empty if nothing came.
    /// What they add up to is found out at the window's end. Memory of earlier windows is kept for the next.
    Values(Vec<f64>),
    /// The same with weights, or more of them.
    Samples(Box<Samples>),
}

impl Cell {
    /// True if something came.
    pub(crate) fn is_touched(&self) -> bool {
        match self {
            Cell::Empty => false,
            Cell::Count { .. } | Cell::Gauge { .. } | Cell::Level(_) => true,
            Cell::Set(members) => !members.is_empty(),
            Cell::Values(values) => !values.is_empty(),
            Cell::Samples(samples) => !samples.is_empty(),
        }
    }

    /// Its samples, where it is a histogram, timer or distribution; in the form that takes weights.
    pub(crate) fn as_samples(&mut self) -> Option<&mut Samples> {
        if let Cell::Values(values) = self {
            *self = Cell::Samples(Box::new(Samples::from_values(std::mem::take(values))));
        }
        if let Cell::Samples(samples) = self { Some(samples) } else { None }
    }

    /// The same, for good.
    pub(crate) fn into_samples(self) -> Option<Samples> {
        match self {
            Cell::Values(values) => Some(Samples::from_values(values)),
            Cell::Samples(samples) => Some(*samples),
            _ => None,
        }
    }
}

impl Slab {
    /// Adds a line's values to a series. A cell may be left over from another series of another type, which is over.
    #[inline]
    pub(crate) fn add(&mut self, index: u32, sample: &Sample<'_>, values: &[f64], arrival: Duration) {
        if index as usize >= self.cells.len() {
            self.grow(index);
        }
        let Some(cell) = self.cells.get_mut(index as usize) else { return };
        self.lines += 1;
        if !cell.is_touched() {
            self.touched.push(index);
        }
        match sample.kind {
            Kind::Counter => add_to_count(cell, sample.rate, values),
            Kind::Gauge if sample.has_steps => change_level(cell, sample.member, values, arrival),
            Kind::Gauge => {
                if let Some(&value) = values.last() {
                    *cell = Cell::Gauge { value, arrival: u64::try_from(arrival.as_nanos()).unwrap_or(u64::MAX) };
                }
            }
            Kind::Set => self.value_bytes += add_to_set(cell, sample.member),
            Kind::Histogram | Kind::Timing | Kind::Distribution => {
                self.value_bytes += sample_bytes(values.len(), sample.rate);
                add_to_samples(cell, sample.rate, values);
            }
        }
    }

    /// Series were made since this slab was last in use.
    #[cold]
    fn grow(&mut self, index: u32) {
        self.cells.resize_with(index as usize + 1, Cell::default);
    }

    /// True if the series has a value.
    pub(crate) fn is_touched(&self, index: u32) -> bool {
        self.cells.get(index as usize).is_some_and(Cell::is_touched)
    }

    /// Empties the slab and shows each value on the way, in the order in which the series came; `take` leaves a cell that
    /// is not touched.
    pub(crate) fn drain(&mut self, mut take: impl FnMut(u32, &mut Cell)) {
        for index in self.touched.drain(..) {
            if let Some(cell) = self.cells.get_mut(index as usize) {
                take(index, cell);
                debug_assert!(!cell.is_touched());
            }
        }
        self.lines = 0;
        self.value_bytes = 0;
        self.check_bytes = 0;
        self.event_bytes = 0;
    }

    /// The values of all series that have one.
    pub(crate) fn values(&mut self) -> impl Iterator<Item = &mut Cell> {
        self.cells.iter_mut().filter(|cell| cell.is_touched())
    }
}

/// A sample takes eight bytes, and eight more where it has a weight; a list has room for up to twice as many as it holds.
fn sample_bytes(count: usize, rate: f64) -> usize {
    count * if rate == 1.0 { 16 } else { 32 }
}

/// Sums saturate at the largest float instead of becoming infinite.
pub(crate) fn saturating_sum(a: f64, b: f64) -> f64 {
    (a + b).clamp(f64::MIN, f64::MAX)
}

#[inline]
fn add_to_count(cell: &mut Cell, rate: f64, values: &[f64]) {
    let added = values.iter().fold(0.0, |sum, value| saturating_sum(sum, value / rate));
    let count = values.len() as u64;
    match cell {
        Cell::Count { sum, samples } => {
            *sum = saturating_sum(*sum, added);
            *samples += count;
        }
        _ => *cell = Cell::Count { sum: added, samples: count },
    }
}

/// `member` is what `values` were read from, and has their signs.
fn change_level(cell: &mut Cell, member: &[u8], values: &[f64], arrival: Duration) {
    if !matches!(cell, Cell::Level(_)) {
        *cell = Cell::Level(Box::default());
    }
    let Cell::Level(level) = cell else { return };
    let mut change = |written: &[u8], value| match written {
        [b'+' | b'-', ..] => level.step(value, arrival),
        _ => level.set(value, arrival),
    };
    match values {
        [value] if !member.contains(&b':') => change(member, *value),
        // Several, which is rare: they are read again, each beside its sign.
        _ => member
            .split(|byte| *byte == b':')
            .filter_map(|part| Some((part, parse_float(part)?)))
            .filter(|(_, value)| value.is_finite())
            .for_each(|(part, value)| change(part, value)),
    }
}

#[inline]
fn add_to_set(cell: &mut Cell, member: &[u8]) -> usize {
    if !matches!(cell, Cell::Set(_)) {
        *cell = Cell::Set(Box::default());
    }
    if let Cell::Set(members) = cell { members.insert(member) } else { 0 }
}

#[inline]
fn add_to_samples(cell: &mut Cell, rate: f64, values: &[f64]) {
    match cell {
        Cell::Values(known) if rate == 1.0 && known.len() + values.len() <= SAMPLE_LIMIT => {
            known.extend_from_slice(values)
        }
        Cell::Values(_) | Cell::Samples(_) => add_weighted(cell, rate, values),
        _ if rate == 1.0 && values.len() <= SAMPLE_LIMIT => *cell = Cell::Values(values.to_vec()),
        _ => {
            *cell = Cell::Samples(Box::default());
            add_weighted(cell, rate, values);
        }
    }
}

fn add_weighted(cell: &mut Cell, rate: f64, values: &[f64]) {
    if let Some(samples) = cell.as_samples() {
        let weight = rate.recip();
        for &value in values {
            samples.push(value, weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    fn add(slab: &mut Slab, index: u32, line: &str) {
        let mut values = Vec::new();
        let sample = parse::sample(line.as_bytes(), &mut values).unwrap();
        slab.add(index, &sample, &values, Duration::ZERO);
    }

    fn drain(slab: &mut Slab) -> Vec<(u32, Cell)> {
        let mut cells = Vec::new();
        slab.drain(|index, cell| cells.push((index, std::mem::take(cell))));
        cells
    }

    #[test]
    fn counters_are_corrected_for_their_rate_and_gauges_keep_the_last() {
        let mut slab = Slab::default();
        for (index, line) in [(3, "c:1|c|@0.1"), (3, "c:5:-2|c|@0.5"), (0, "g:1|g|@0.1"), (0, "g:7:-2|g"), (3, "c:1|c")]
        {
            add(&mut slab, index, line);
        }
        assert_eq!(slab.lines, 5);
        let cells = drain(&mut slab);
        assert!(matches!(cells[0], (3, Cell::Count { sum: 17.0, samples: 4 })), "{cells:?}");
        assert!(matches!(cells[1], (0, Cell::Gauge { value: -2.0, .. })), "{cells:?}");
        assert_eq!((cells.len(), slab.lines, drain(&mut slab).len()), (2, 0, 0));
    }

    #[test]
    fn sets_count_members_by_their_bytes() {
        let mut slab = Slab::default();
        for line in ["s:a|s", "s:a|s", "s:b|s", "s:a:b|s", "s:nan|s"] {
            add(&mut slab, 0, line);
        }
        assert!(matches!(&drain(&mut slab)[..], [(0, Cell::Set(members))] if members.count() == 4.0));
    }

    #[test]
    fn samples_weigh_what_their_rate_says() {
        let mut slab = Slab::default();
        add(&mut slab, 0, "t:10:20|ms|@0.25");
        add(&mut slab, 0, "t:30|ms");
        let cells = drain(&mut slab);
        let [(0, Cell::Samples(samples))] = &cells[..] else { panic!("{cells:?}") };
        assert_eq!((samples.count(), samples.sum(), samples.sample_count()), (9.0, 150.0, 3));
    }

    #[test]
    fn sums_saturate() {
        let mut slab = Slab::default();
        for line in ["c:1e308|c|@0.0001", "c:1e308|c", "c:-5|c"] {
            add(&mut slab, 0, line);
        }
        assert!(matches!(drain(&mut slab)[..], [(0, Cell::Count { sum: f64::MAX, samples: 3 })]));
    }

    #[test]
    fn a_cell_left_by_a_series_of_another_type_starts_anew() {
        let mut slab = Slab::default();
        for line in ["a:1|h", "a:x|s", "a:1|c", "a:1|g", "a:2|d"] {
            add(&mut slab, 0, line);
            assert!(slab.is_touched(0));
            slab.drain(|_, cell| match cell {
                Cell::Samples(samples) => samples.clear(),
                Cell::Values(values) => values.clear(),
                Cell::Set(members) => **members = Members::default(),
                other => *other = Cell::Empty,
            });
            assert!(!slab.is_touched(0), "{line}");
        }
    }
}
