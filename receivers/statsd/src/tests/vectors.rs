//! What the Datadog Agent, its protocol's documentation and the Collector say about single lines, as tables.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hornpipe_model::{Log, MetricPoint, MetricValue, Timestamp, Window};

use super::{Key, Value, by_key, some_time};
use crate::aggregate::{Aggregator, Tally};
use crate::config::Dialect;
use crate::contexts::ContextLimit;
use crate::flush::Merger;
use crate::slab::Slab;

/// What a packet gives.
struct Given {
    points: Vec<MetricPoint>,
    events: Vec<Log>,
    tally: Tally,
    rejects: Vec<(&'static str, u64)>,
}

fn give(packet: &str, dialect: Dialect) -> Given {
    let mut aggregator = Aggregator::new(Arc::new(ContextLimit::new(1_000)), dialect);
    let mut merger = Merger::new(1, Duration::from_secs(10), Duration::from_secs(300), dialect);
    aggregator.datagram(packet.as_bytes(), false, Duration::ZERO);
    let tally = aggregator.take_tally();
    let rejects = aggregator.rejects.drain_counts().collect();
    merger.merge(0, aggregator.swap(Slab::default(), Vec::new()));
    let window = Window { start: Timestamp::from_secs(10), end: Timestamp::from_secs(20), interval: None };
    let events = merger.take_events(some_time());
    Given { points: merger.finish(window, some_time()), events, tally, rejects }
}

/// A line's only point.
fn value_of(lines: &str) -> Value {
    let points = give(lines, Dialect::Dogstatsd).points;
    let mut values: Vec<Value> = by_key(&points).into_values().collect();
    assert_eq!(values.len(), 1, "{lines}");
    values.remove(0)
}

fn count(sum: f64, samples: u64) -> Value {
    Value::Count { sum, samples }
}

fn samples(values: &[f64]) -> Value {
    Value::Samples(values.iter().map(|&value| (value, 1.0)).collect())
}

#[test]
fn lines_that_the_agent_refuses_are_refused_and_touch_nothing_else() {
    for line in [
        "daemon:666",
        "daemon:666|",
        "daemon:|g",
        ":666|g",
        "abc666|g",
        "daemon:abc|g",
        "daemon:666|unknown",
        "daemon:666|g|@abc",
        "daemon:666|g|Tabc",
        "daemon:666|g|T0",
        "daemon::|c",
        "daemon:1:x:2|c",
        "daemon:1|m",
        "daemon:1|C",
        "_e{}:a|b",
        "_e{5,4}:title|tex",
        "_sc|name",
        "_sc||0",
        "_sc|name|4",
        "bad",
    ] {
        let given = give(&format!("a:1|c\n{line}\nb:2|g"), Dialect::Dogstatsd);
        assert_eq!((given.tally.received, given.tally.held, given.points.len()), (3, 2, 2), "{line}");
        assert_eq!(given.rejects.iter().map(|(_, count)| count).sum::<u64>(), 1, "{line}");
    }
}

#[test]
fn lines_that_the_agent_takes_are_taken_as_it_takes_them() {
    for (line, expected) in [
        ("daemon:666|g|m:test", Value::Gauge(666.0)),
        ("daemon:666|g|#", Value::Gauge(666.0)),
        ("daemon:666|g|@1|unknown:field|x", Value::Gauge(666.0)),
        ("daemon:666|g|c:ci-3dc2a4|e:it-false,cn-web,pu-5|card:low", Value::Gauge(666.0)),
        ("daemon:666|g|@0.1", Value::Gauge(666.0)),
        ("daemon:666|c|@0|#x", count(666.0, 1)),
        ("daemon:21::22|h", samples(&[21.0, 22.0])),
        ("daemon:666:|c", count(666.0, 1)),
        ("daemon:1:2:3|ms", samples(&[1.0, 2.0, 3.0])),
        ("daemon:1:2|d|@0.5", Value::Samples(vec![(1.0, 2.0), (2.0, 2.0)])),
        ("daemon:1:2|c|@0.5", count(6.0, 2)),
        ("daemon:1:2|g", Value::Gauge(2.0)),
        ("daemon:+5|g", Value::Gauge(5.0)),
        ("daemon:5|g\ndaemon:-2|g", Value::Gauge(-2.0)),
        ("daemon:-4|c", count(-4.0, 1)),
        ("daemon:1e3|c", count(1_000.0, 1)),
        ("daemon:5|c|@0.5", count(10.0, 1)),
        ("daemon:5|c|@0.1|@0.5", count(10.0, 1)),
        ("daemon:a|s\ndaemon:a|s\ndaemon:b|s", Value::Gauge(2.0)),
        ("daemon:1:2|s", Value::Gauge(1.0)),
        ("daemon:abc:def|s\ndaemon:abc|s", Value::Gauge(2.0)),
        ("daemon:1|c\r\n", count(1.0, 1)),
        ("\n\n\r\ndaemon:1|c\n\ndaemon:1|c", count(2.0, 2)),
        ("daemon:1|c|#a,b\ndaemon:1|c|#b,a,a", count(2.0, 2)),
        ("dämon mit Leerzeichen:1|c", count(1.0, 1)),
    ] {
        assert_eq!(value_of(line), expected, "{line}");
    }
}

#[test]
fn tags_that_mean_something_are_taken_out_and_others_stay_as_written() {
    for (tags, kept, host) in [
        ("b:2,a:1,bare", &["a:1", "b:2", "bare"][..], None),
        ("k:v:w,k:x", &["k:v:w", "k:x"], None),
        ("host:a,host:b", &[], Some("b")),
        ("host:,env:p", &["env:p"], Some("")),
        ("dd.internal.entity_id:none,dd.internal.card:high,dd.internal.jmx_check_name:x,a", &["a"], None),
        (" a : b ", &[" a : b "], None),
        ("a,,b", &["a", "b"], None),
    ] {
        let points = give(&format!("x:1|c|#{tags}"), Dialect::Dogstatsd).points;
        let context = &points[0].context;
        assert_eq!((context.tags().iter().collect::<Vec<_>>(), context.host()), (kept.to_vec(), host), "{tags}");
    }
}

#[test]
fn a_value_with_a_time_is_a_point_of_that_time_without_its_rate() {
    for (line, time, value) in [
        ("x:1|c|T1700000000", 1_700_000_000, MetricValue::Count { sum: 1.0, samples: 1 }),
        ("x:5|c|@0.1|T1", 1, MetricValue::Count { sum: 5.0, samples: 1 }),
        ("x:5:2|c|T2000000000", 2_000_000_000, MetricValue::Count { sum: 7.0, samples: 2 }),
        ("x:5:-2|g|T7|#a", 7, MetricValue::Gauge(-2.0)),
    ] {
        let points = give(line, Dialect::Dogstatsd).points;
        assert_eq!(points.len(), 1, "{line}");
        let window = points[0].window;
        assert_eq!((window.start.as_secs_ceil(), window.end), (time, Timestamp::from_secs(time)), "{line}");
        assert!(window.start < window.end, "{line}");
        assert_eq!((window.interval, &points[0].value), (Some(Duration::from_secs(10)), &value), "{line}");
    }
    for kind in ["h", "ms", "d", "s"] {
        let given = give(&format!("x:1|{kind}|T1700000000"), Dialect::Dogstatsd);
        assert_eq!((given.points.len(), given.rejects), (0, vec![("timestamp_on_type", 1)]), "{kind}");
    }
    let given = give("x:1|c|T5\nx:2|c|T5\nx:3|c", Dialect::Dogstatsd);
    assert_eq!((given.tally.held, given.points.len()), (3, 3));
}

#[test]
fn a_counter_whose_values_all_had_times_is_not_filled_with_zeros() {
    let mut aggregator = Aggregator::new(Arc::new(ContextLimit::new(10)), Dialect::Dogstatsd);
    let mut merger = Merger::new(1, Duration::from_secs(10), Duration::from_secs(300), Dialect::Dogstatsd);
    let mut window = |line: &str| {
        aggregator.datagram(line.as_bytes(), false, Duration::ZERO);
        merger.merge(0, aggregator.swap(Slab::default(), Vec::new()));
        let window = Window { start: Timestamp::from_secs(10), end: Timestamp::from_secs(20), interval: None };
        merger.finish(window, some_time()).len()
    };
    assert_eq!(["x:1|c|T5", "", "x:1|c", "", "x:1|c|T9"].map(&mut window), [1, 0, 1, 1, 2]);
}

#[test]
fn events_and_checks_are_read_as_the_agent_reads_them() {
    for (line, title, text) in [
        ("_e{5,4}:title|text|t:warning|#a:b", "title", "text"),
        ("_e{2,1}:é|x", "é", "x"),
        ("_e{1,0}:t|", "t", ""),
        ("_e{1,1}:t!x", "t", "x"),
        (r"_e{4,4}:a\nb|c\nd|p:nonsense|t:nonsense", "a\nb", "c\nd"),
    ] {
        let events = give(line, Dialect::Dogstatsd).events;
        let event = hornpipe_model::Event::from_log(&events[0]).unwrap();
        assert_eq!((event.title.as_str(), event.text.as_str()), (title, text), "{line}");
    }
    let points = give("_sc|app.ok|2|#env:p|m:down", Dialect::Dogstatsd).points;
    let MetricValue::ServiceCheck(check) = &points[0].value else { panic!("{points:?}") };
    assert_eq!((check.status as u8, &*check.message), (2, "down"));
}

/// What the tests of the Collector's receiver expect.
#[test]
fn the_collectors_sums_come_out() {
    let key = |name: &str, kind| -> Key { (name.to_owned(), kind, vec![], None) };
    let given = give("statsdTestMetric1:3000|c\nstatsdTestMetric1:20|c|@0.25", Dialect::Dogstatsd);
    let expected = BTreeMap::from([(key("statsdTestMetric1", "count"), count(3_080.0, 2))]);
    assert_eq!(by_key(&given.points), expected);
    // Its gauges step within a window, as in Etsy's dialect.
    let given = give("statsdTestMetric2:500|g\nstatsdTestMetric2:+2|g\nstatsdTestMetric2:-1|g", Dialect::Etsy);
    assert_eq!(by_key(&given.points), BTreeMap::from([(key("statsdTestMetric2", "gauge"), Value::Gauge(501.0))]));
    let points = give(&"statsdTestMetric1:2|ms|@0.1\n".repeat(10_000), Dialect::Dogstatsd).points;
    let MetricValue::Distribution(distribution) = &points[0].value else { panic!("{points:?}") };
    assert_eq!((distribution.samples.count(), distribution.samples.sum()), (100_000.0, 200_000.0));
}
