//! Items that carry a number, so that a lost or a doubled one shows.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use hornpipe_model::{
    Body, Context, Data, Log, LogBatch, LogSource, MetricBatch, MetricPoint, MetricValue, Origin, Scope, Tags,
    Timestamp, Window,
};

use super::bench::resource;

const PREFIX: &str = "contract.item.";

/// The name of the item with a number.
pub fn item_name(number: u64) -> String {
    format!("{PREFIX}{number}")
}

/// The number in an item's name.
pub fn item_number(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// A batch of counters that each count 1, one for each number, of the window of ten seconds that ends at `end`.
pub fn numbered_metrics(numbers: Range<u64>, end: Timestamp) -> Data {
    let interval = Duration::from_secs(10);
    let start = Timestamp::from_nanos(end.as_nanos().saturating_sub(interval.as_nanos() as u64));
    let point = |number| MetricPoint {
        context: Arc::new(Context::new(&item_name(number), Tags::default())),
        window: Window { start, end, interval: Some(interval) },
        origin: Origin::Statsd,
        value: MetricValue::Count { sum: 1.0, samples: 1 },
    };
    let points = numbers.map(point).collect();
    MetricBatch { resource: resource(), scope: Arc::new(Scope::default()), points }.into()
}

/// A batch of log records that were read at `time` and say the name of an item, one for each number.
pub fn numbered_logs(numbers: Range<u64>, time: Timestamp) -> Data {
    let source = Arc::new(LogSource::default());
    let record = |number| Log::new(Body::Text(item_name(number).into()), time, Arc::clone(&source));
    let records = numbers.map(record).collect();
    LogBatch { resource: resource(), scope: Arc::new(Scope::default()), records }.into()
}

/// The numbers of a batch's items; of a counter as often as it counts.
pub fn numbers_in(data: &Data) -> Vec<u64> {
    match data {
        Data::Metrics(batch) => {
            let number = |point: &MetricPoint| Some((item_number(point.context.name())?, times(&point.value)));
            repeat(batch.points.iter().filter_map(number))
        }
        Data::Logs(batch) => batch.records.iter().filter_map(|log| item_number(&log.body.text()?)).collect(),
    }
}

fn times(value: &MetricValue) -> f64 {
    match value {
        MetricValue::Count { sum, .. } => *sum,
        _ => 1.0,
    }
}

/// Each number as often as said.
pub(super) fn repeat(counts: impl Iterator<Item = (u64, f64)>) -> Vec<u64> {
    counts.flat_map(|(number, times)| std::iter::repeat_n(number, times.round() as usize)).collect()
}

/// Fails unless each expected number is there exactly once, and no other.
///
/// # Panics
/// With the numbers that are missing, doubled or unexpected.
pub fn assert_each_once(expected: impl IntoIterator<Item = u64>, found: impl IntoIterator<Item = u64>) {
    let mut times: BTreeMap<u64, i64> = BTreeMap::new();
    found.into_iter().for_each(|number| *times.entry(number).or_default() += 1);
    expected.into_iter().for_each(|number| *times.entry(number).or_default() -= 1);
    let numbers = |wrong: fn(i64) -> bool| -> Vec<u64> {
        times.iter().filter(|(_, times)| wrong(**times)).map(|(number, _)| *number).collect()
    };
    let (missing, surplus) = (numbers(|times| times < 0), numbers(|times| times > 0));
    assert!(missing.is_empty() && surplus.is_empty(), "lost: {missing:?}; doubled or never sent: {surplus:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_the_way_through_a_batch() {
        let data = numbered_metrics(3..6, Timestamp::from_secs(100));
        assert_each_once(3..6, numbers_in(&data));
        assert_each_once(3..6, numbers_in(&numbered_logs(3..6, Timestamp::from_secs(100))));
    }

    #[test]
    #[should_panic(expected = "lost: [2]; doubled or never sent: [1, 9]")]
    fn lost_and_doubled_numbers_are_named() {
        assert_each_once(1..4, [1, 1, 3, 9]);
    }
}
