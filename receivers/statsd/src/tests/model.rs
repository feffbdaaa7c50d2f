//! The aggregation against a model of it that is too simple to be wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hornpipe_engine::config::Report;
use hornpipe_model::{Timestamp, Window};
use proptest::prelude::*;

use super::{Key, Value, by_key, some_time, sorted};
use crate::aggregate::{Aggregator, LinesAtHand};
use crate::config::Dialect;
use crate::contexts::ContextLimit;
use crate::flush::Merger;
use crate::hold::GaugeHold;
use crate::slab::Slab;

/// Series are forgotten after two windows of this length, counters after three.
const INTERVAL: Duration = Duration::from_secs(60);
const COUNTER_EXPIRY: Duration = Duration::from_secs(180);
const FILLED_WINDOWS: usize = 3;

#[derive(Clone, Debug)]
struct Sent {
    reader: usize,
    name: u8,
    kind: &'static str,
    /// Which spelling of its tags; the first two and the last two mean the same.
    spelling: usize,
    value: i32,
    half: bool,
}

const SPELLINGS: [&str; 5] = ["", "|#", "|#env:p", "|#b:2,a:1", "|#a:1,b:2,a:1"];
const TAGS: [&[&str]; 5] = [&[], &[], &["env:p"], &["a:1", "b:2"], &["a:1", "b:2"]];

impl Sent {
    fn line(&self) -> String {
        let rate = if self.half { "|@0.5" } else { "" };
        format!("metric{}:{}|{}{rate}{}", self.name, self.value, self.kind, SPELLINGS[self.spelling])
    }

    fn key(&self) -> Key {
        let kind = match self.kind {
            "c" => "count",
            // A set's points are gauges too.
            "g" | "s" => "gauge",
            other => other,
        };
        // The name says the type, so that gauges and sets do not get the same key.
        (format!("metric{}", self.name), kind, TAGS[self.spelling].iter().map(|&tag| tag.to_owned()).collect(), None)
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    (0..2_usize, 0..6_u8, 0..3_u8, 0..SPELLINGS.len(), -50..50_i32, any::<bool>()).prop_map(
        |(reader, kind, name, spelling, value, half)| {
            let kinds = ["c", "g", "s", "h", "ms", "d"];
            // Sets and gauges never share a name, since their points look alike; other types may.
            let name = if kinds[usize::from(kind)] == "s" { name + 10 } else { name };
            Sent { reader, name, kind: kinds[usize::from(kind)], spelling, value, half }
        },
    )
}

/// What a window must give.
fn model(window: &[Sent], filled: &BTreeMap<Key, usize>) -> BTreeMap<Key, Value> {
    let mut expected: BTreeMap<Key, Value> = BTreeMap::new();
    let mut members: BTreeMap<Key, BTreeSet<i32>> = BTreeMap::new();
    for sent in window {
        let (value, weight) = (f64::from(sent.value), if sent.half { 2.0 } else { 1.0 });
        let key = sent.key();
        match sent.kind {
            "c" => match expected.entry(key).or_insert(Value::Count { sum: 0.0, samples: 0 }) {
                Value::Count { sum, samples } => (*sum, *samples) = (*sum + value * weight, *samples + 1),
                other => panic!("{other:?}"),
            },
            "g" => {
                expected.insert(key, Value::Gauge(value));
            }
            "s" => {
                members.entry(key).or_default().insert(sent.value);
            }
            _ => match expected.entry(key).or_insert(Value::Samples(Vec::new())) {
                Value::Samples(samples) => *samples = sorted([&samples[..], &[(value, weight)]].concat()),
                other => panic!("{other:?}"),
            },
        }
    }
    expected.extend(members.into_iter().map(|(key, members)| (key, Value::Gauge(members.len() as f64))));
    for key in filled.keys() {
        expected.entry(key.clone()).or_insert(Value::Count { sum: 0.0, samples: 0 });
    }
    expected
}

proptest! {
    /// Windows with few series, many of them pausing for longer than they are remembered: evictions, indexes given out
    /// again, two readers that see the same series, two spellings of the same tags.
    #[test]
    fn windows_give_what_the_model_says(
        windows in proptest::collection::vec(proptest::collection::vec(sent(), 0..12), 1..25),
    ) {
        let limit = Arc::new(ContextLimit::new(1_000));
        let mut readers = [Aggregator::new(Arc::clone(&limit), Dialect::Dogstatsd), Aggregator::new(Arc::clone(&limit), Dialect::Dogstatsd)];
        let mut slabs = [Slab::default(), Slab::default()];
        let mut merger = Merger::new(2, INTERVAL, COUNTER_EXPIRY, Dialect::Dogstatsd);
        let mut filled: BTreeMap<Key, usize> = BTreeMap::new();
        let mut arrival = Duration::ZERO;
        for sent in &windows {
            for sent in sent {
                arrival += Duration::from_millis(1);
                let reader = &mut readers[sent.reader];
                reader.datagram(sent.line().as_bytes(), false, arrival);
                reader.evict_some();
            }
            for (index, reader) in readers.iter_mut().enumerate() {
                let handover = reader.swap(std::mem::take(&mut slabs[index]), merger.expired(index));
                slabs[index] = merger.merge(index, handover);
            }
            let window = Window { start: Timestamp::from_secs(60), end: Timestamp::from_secs(120), interval: None };
            let points = merger.finish(window, some_time());
            filled.retain(|_, windows| { *windows -= 1; *windows > 0 });
            prop_assert_eq!(by_key(&points), model(sent, &filled));
            for sent in sent.iter().filter(|sent| sent.kind == "c") {
                filled.insert(sent.key(), FILLED_WINDOWS + 1);
            }
        }
    }

    #[test]
    fn no_datagram_makes_it_panic_and_every_line_counts_once(
        datagrams in proptest::collection::vec(
            proptest::collection::vec(
                prop_oneof![
                    any::<u8>(),
                    proptest::sample::select(&b"\n\r:|@#T.-,_sce{}0123456789"[..]),
                    proptest::sample::select(&b"a:1|c\n"[..]),
                ],
                0..80,
            ),
            0..20,
        ),
        truncated: bool,
    ) {
        let mut aggregator = Aggregator::new(Arc::new(ContextLimit::new(5)), Dialect::Dogstatsd);
        for datagram in &datagrams {
            aggregator.datagram(datagram, truncated, Duration::ZERO);
        }
        let tally = aggregator.take_tally();
        let dropped: u64 = aggregator.rejects.drain_counts().map(|(_, count)| count).sum();
        prop_assert_eq!(tally.received, tally.held + dropped);
        prop_assert_eq!(aggregator.swap(Slab::default(), Vec::new()).slab.lines, tally.held);
    }
}

fn window_of(aggregator: &mut Aggregator, merger: &mut Merger) -> BTreeMap<Key, Value> {
    let handover = aggregator.swap(Slab::default(), merger.expired(0));
    merger.merge(0, handover);
    let window = Window { start: Timestamp::from_secs(10), end: Timestamp::from_secs(20), interval: None };
    by_key(&merger.finish(window, some_time()))
}

#[test]
fn a_counter_is_filled_with_zeros_for_its_expiry_and_then_forgotten() {
    let limit = Arc::new(ContextLimit::new(10));
    let mut aggregator = Aggregator::new(Arc::clone(&limit), Dialect::Dogstatsd);
    let mut merger = Merger::new(1, Duration::from_secs(10), Duration::from_secs(300), Dialect::Dogstatsd);
    aggregator.datagram(b"hits:3|c\nlevel:3|g\nusers:a|s\ntime:1|ms", false, Duration::ZERO);
    assert_eq!(window_of(&mut aggregator, &mut merger).len(), 4);
    let hits: Key = ("hits".to_owned(), "count", vec![], None);
    let zero = BTreeMap::from([(hits, Value::Count { sum: 0.0, samples: 0 })]);
    for window in 0..30 {
        assert_eq!(window_of(&mut aggregator, &mut merger), zero, "{window}");
        aggregator.evict_some();
    }
    assert_eq!(limit.known(), 1, "only the counter is known for so long");
    for _ in 0..3 {
        assert_eq!(window_of(&mut aggregator, &mut merger), BTreeMap::new());
        aggregator.evict_some();
    }
    assert_eq!(limit.known(), 0);
}

#[test]
fn a_held_gauge_goes_on_with_its_last_value_until_its_age_and_no_other_does() {
    let limit = Arc::new(ContextLimit::new(10));
    let config = serde_json::from_str(r#"{"metrics": ["held.*"], "max_age": "30s"}"#).unwrap();
    for (dialect, line, more) in
        [(Dialect::Dogstatsd, "held.a:3|g", "held.a:-1|g"), (Dialect::Etsy, "held.a:3|g", "held.a:-4|g")]
    {
        let mut aggregator = Aggregator::new(Arc::clone(&limit), dialect);
        let mut merger = Merger::new(1, Duration::from_secs(10), Duration::ZERO, dialect)
            .holding(GaugeHold::compile(&config, &mut Report::new()));
        let others = "\nfree:1|g\nheld.c:1|c\nheld.s:x|s\nheld.t:1|ms";
        aggregator.datagram(format!("{line}{others}").as_bytes(), false, Duration::ZERO);
        assert_eq!(window_of(&mut aggregator, &mut merger).len(), 5);
        let held: Key = ("held.a".to_owned(), "gauge", vec![], None);
        let alone = |value| BTreeMap::from([(held.clone(), Value::Gauge(value))]);
        assert_eq!(window_of(&mut aggregator, &mut merger), alone(3.0));
        aggregator.datagram(more.as_bytes(), false, Duration::ZERO);
        for window in 0..4 {
            assert_eq!(window_of(&mut aggregator, &mut merger), alone(-1.0), "{dialect:?} {window}");
        }
        assert_eq!(window_of(&mut aggregator, &mut merger), BTreeMap::new());
    }
}

#[test]
fn a_series_in_use_keeps_its_index_and_context() {
    let mut aggregator = Aggregator::new(Arc::new(ContextLimit::new(10)), Dialect::Dogstatsd);
    let mut merger = Merger::new(1, INTERVAL, COUNTER_EXPIRY, Dialect::Dogstatsd);
    let mut created = 0;
    for _ in 0..10 {
        // Nothing is in use yet in the new window: what was named as expired goes now.
        aggregator.evict_some();
        aggregator.datagram(b"level:1|g\nhits:1|c", false, Duration::ZERO);
        let handover = aggregator.swap(Slab::default(), merger.expired(0));
        created += handover.created.len();
        merger.merge(0, handover);
        let window = Window { start: Timestamp::from_secs(60), end: Timestamp::from_secs(120), interval: None };
        assert_eq!(merger.finish(window, some_time()).len(), 2);
    }
    assert_eq!(created, 2);
}

#[test]
fn a_bad_line_never_touches_its_neighbours() {
    let mut aggregator = Aggregator::new(Arc::new(ContextLimit::new(10)), Dialect::Dogstatsd);
    let mut merger = Merger::new(1, INTERVAL, COUNTER_EXPIRY, Dialect::Dogstatsd);
    aggregator.datagram(b"a:1|c\nbad\r\n\n\r\nb:2|g\r\nb:x|g\na:2|c\r\n", false, Duration::ZERO);
    let rejects: Vec<_> = aggregator.rejects.drain_counts().collect();
    assert_eq!(rejects, [("missing_type", 1), ("invalid_value", 1)]);
    assert_eq!((aggregator.take_tally().received, window_of(&mut aggregator, &mut merger).len()), (5, 2));
}

#[test]
fn the_cut_line_of_a_truncated_datagram_is_dropped() {
    let mut aggregator = Aggregator::new(Arc::new(ContextLimit::new(10)), Dialect::Dogstatsd);
    let mut merger = Merger::new(1, INTERVAL, COUNTER_EXPIRY, Dialect::Dogstatsd);
    aggregator.datagram(b"a:1|c\na:12", true, Duration::ZERO);
    aggregator.datagram(b"a:1|c\n", true, Duration::ZERO);
    assert_eq!(aggregator.rejects.drain_counts().collect::<Vec<_>>(), [("truncated", 1)]);
    let tally = aggregator.take_tally();
    assert_eq!((tally.received, tally.held, tally.truncated), (3, 2, 2));
    let a: Key = ("a".to_owned(), "count", vec![], None);
    assert_eq!(window_of(&mut aggregator, &mut merger)[&a], Value::Count { sum: 2.0, samples: 2 });
}

#[test]
fn a_gauge_of_etsys_dialect_steps_from_the_window_before() {
    let limit = Arc::new(ContextLimit::new(10));
    let new = || Aggregator::new(Arc::clone(&limit), Dialect::Etsy);
    let (mut aggregator, mut other) = (new(), new());
    let mut merger = Merger::new(2, Duration::from_secs(10), Duration::ZERO, Dialect::Etsy);
    let gauge: Key = ("depth".to_owned(), "gauge", vec![], None);
    let windows = [
        ("depth:10|g\ndepth:+5|g", "", Some(15.0)),
        ("depth:-20|g", "depth:+1|g", Some(-4.0)),
        ("", "", None),
        ("depth:7|g|@0.1", "", Some(7.0)),
        ("", "depth:+0.5|g", Some(7.5)),
        // Several values in a line, as DogStatsD packs them: each has a sign of its own.
        ("depth:+1:-2:+4|g", "", Some(10.5)),
        ("depth:-1:20:+3|g", "", Some(23.0)),
        ("depth:nan:+2::-1:inf|g", "", Some(24.0)),
    ];
    for (first, second, expected) in windows {
        // Longer than any other series is known.
        for _ in 0..40 {
            aggregator.evict_some();
            window_of(&mut aggregator, &mut merger);
        }
        aggregator.datagram(first.as_bytes(), false, Duration::ZERO);
        other.datagram(second.as_bytes(), false, Duration::from_millis(1));
        let handover = other.swap(Slab::default(), merger.expired(1));
        merger.merge(1, handover);
        let value = window_of(&mut aggregator, &mut merger).remove(&gauge);
        assert_eq!(value, expected.map(Value::Gauge), "{first:?} {second:?}");
    }
}

#[test]
fn etsys_dialect_knows_counters_timers_and_sets_and_no_checks() {
    let mut aggregator = Aggregator::new(Arc::new(ContextLimit::new(10)), Dialect::Etsy);
    let mut merger = Merger::new(1, INTERVAL, COUNTER_EXPIRY, Dialect::Etsy);
    aggregator.datagram(
        b"gorets:1|c|@0.1\nglork:320|ms|@0.1\nuniques:765|s\n_sc|up|0\n_e{1,1}:a|b",
        false,
        Duration::ZERO,
    );
    assert_eq!(aggregator.rejects.drain_counts().collect::<Vec<_>>(), [("missing_value", 1), ("unknown_type", 1)]);
    let values = window_of(&mut aggregator, &mut merger);
    let value = |name: &str, kind| values[&(name.to_owned(), kind, vec![], None)].clone();
    assert_eq!(value("gorets", "count"), Value::Count { sum: 10.0, samples: 1 });
    assert_eq!(value("glork", "ms"), Value::Samples(vec![(320.0, 10.0)]));
    assert_eq!(value("uniques", "gauge"), Value::Gauge(1.0));
}

#[test]
fn in_etsys_dialect_each_value_of_a_line_may_have_its_own_type() {
    let mut aggregator = Aggregator::new(Arc::new(ContextLimit::new(10)), Dialect::Etsy);
    let mut merger = Merger::new(1, INTERVAL, COUNTER_EXPIRY, Dialect::Etsy);
    for _ in 0..2 {
        let payload = b"m:1|c:2|c:320|ms|@0.1|#a:b\nn:5|g:+3|g:-1|g\nm:1|c:x|c|#a:b";
        aggregator.datagram(payload, false, Duration::ZERO);
    }
    let tally = aggregator.take_tally();
    assert_eq!((tally.received, tally.held), (16, 14));
    assert_eq!(aggregator.rejects.drain_counts().collect::<Vec<_>>(), [("invalid_value", 2)]);
    let values = window_of(&mut aggregator, &mut merger);
    let value = |name: &str, kind, tags: &[&str]| {
        values[&(name.to_owned(), kind, tags.iter().map(|&tag| tag.to_owned()).collect(), None)].clone()
    };
    assert_eq!(value("m", "count", &["a:b"]), Value::Count { sum: 8.0, samples: 6 });
    assert_eq!(value("m", "ms", &["a:b"]), Value::Samples(vec![(320.0, 10.0); 2]));
    assert_eq!(value("n", "gauge", &[]), Value::Gauge(7.0));
}

#[test]
fn datagrams_that_are_taken_together_add_up_as_one_by_one() {
    let datagrams: Vec<(String, bool)> = (0..100)
        .map(|number| (format!("a:{number}|c|#t:{}\nb:{number}|ms\nbad\nlast:1:2|h", number % 7), number % 5 == 0))
        .collect();
    let outcomes = [true, false].map(|together| {
        let mut aggregator = Aggregator::new(Arc::new(ContextLimit::new(100)), Dialect::Dogstatsd);
        let mut at_hand = LinesAtHand::default();
        for (payload, is_cut) in &datagrams {
            if together {
                aggregator.take(payload.as_bytes(), *is_cut, Duration::ZERO, &mut at_hand);
            } else {
                aggregator.datagram(payload.as_bytes(), *is_cut, Duration::ZERO);
            }
        }
        aggregator.add_up(&mut at_hand, Duration::ZERO);
        let tally = aggregator.take_tally();
        let mut slab = aggregator.swap(Slab::default(), Vec::new()).slab;
        let mut cells = Vec::new();
        slab.drain(|index, cell| cells.push(format!("{index} {:?}", std::mem::take(cell))));
        (tally, cells)
    });
    assert_eq!((outcomes[0].0.received, outcomes[0].0.held, outcomes[0].1.len()), (400, 280, 9));
    assert_eq!(outcomes[0], outcomes[1]);
}

#[test]
fn a_line_with_a_time_is_known_by_the_rest_and_never_the_other_way_round() {
    let mut aggregator = Aggregator::new(Arc::new(ContextLimit::new(10)), Dialect::Dogstatsd);
    for (line, timed, created) in [
        ("a:1|c|#x|T5", 1, 1),
        ("a:1|c|#x", 0, 0),
        ("a:1|c|#x|T6", 1, 0),
        ("b:1|c|T5|T6", 1, 1),
        ("b:1|c|T5", 1, 0),
        ("b:1|c|T5|#y", 1, 1),
        ("b:1|c", 0, 0),
        ("a:1|ms|#x|T5", 0, 0),
    ] {
        aggregator.datagram(line.as_bytes(), false, Duration::ZERO);
        let handover = aggregator.swap(Slab::default(), Vec::new());
        assert_eq!((handover.slab.timed.len(), handover.created.len()), (timed, created), "{line}");
    }
}
