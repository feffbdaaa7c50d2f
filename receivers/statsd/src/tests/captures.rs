//! Replays of what real clients sent, against a parser of the plainest kind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hornpipe_model::{CheckStatus, MetricPoint, MetricValue, Timestamp, Window};

use super::{Key, Value, by_key, some_time, sorted};
use crate::aggregate::{Aggregator, Tally};
use crate::config::Dialect;
use crate::contexts::ContextLimit;
use crate::flush::Merger;
use crate::listen::{Framer, Framing, Piece, Sender};
use crate::origin::OriginTags;
use crate::reason;
use crate::slab::Slab;

struct Datagram {
    bytes: Vec<u8>,
    text: String,
}

fn captures(folder: &str) -> Vec<(String, Vec<Datagram>)> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&file).unwrap().lines().map(datagram).collect())
        })
        .collect()
}

fn datagram(line: &str) -> Datagram {
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    let hex = value["hex"].as_str().unwrap();
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    Datagram { bytes: (0..hex.len()).step_by(2).map(byte).collect(), text: value["text"].as_str().unwrap().to_owned() }
}

struct Replayed {
    points: Vec<MetricPoint>,
    /// Points of the time that the client gave.
    timed: Vec<MetricPoint>,
    tally: Tally,
    rejects: BTreeMap<&'static str, u64>,
}

fn replay(datagrams: &[Datagram]) -> Replayed {
    let mut aggregator = Aggregator::new(Arc::new(ContextLimit::new(10_000)), Dialect::Dogstatsd);
    for (number, datagram) in datagrams.iter().enumerate() {
        aggregator.datagram(&datagram.bytes, false, Duration::from_micros(number as u64));
    }
    let tally = aggregator.take_tally();
    let rejects = aggregator.rejects.drain_counts().collect();
    let mut merger = Merger::new(1, Duration::from_secs(10), Duration::from_secs(300), Dialect::Dogstatsd);
    let handover = aggregator.swap(Slab::default(), Vec::new());
    assert_eq!(handover.slab.lines, tally.held);
    merger.merge(0, handover);
    let window = Window { start: Timestamp::from_secs(10), end: Timestamp::from_secs(20), interval: None };
    let is_timed = |point: &MetricPoint| {
        point.window.start.as_secs_ceil() == point.window.end.as_secs()
            && !matches!(point.value, MetricValue::ServiceCheck(_))
    };
    let (timed, points) = merger.finish(window, some_time()).into_iter().partition(is_timed);
    Replayed { points, timed, tally, rejects }
}

/// What is expected of a capture, read from its text in the most obvious way.
#[derive(Default)]
struct Expected {
    values: BTreeMap<Key, Value>,
    lines: u64,
    bad: u64,
    timed: usize,
    events: u64,
}

fn expect(datagrams: &[Datagram]) -> Expected {
    let mut expected = Expected::default();
    let mut members: BTreeMap<Key, BTreeSet<String>> = BTreeMap::new();
    for line in datagrams.iter().flat_map(|datagram| datagram.text.split('\n')).filter(|line| !line.is_empty()) {
        expected.lines += 1;
        let parts: Vec<&str> = line.split('|').collect();
        let field = |mark: char| parts.iter().skip(2).rev().find_map(|part| part.strip_prefix(mark));
        let all_tags: Vec<&str> = field('#').unwrap_or("").split(',').filter(|tag| !tag.is_empty()).collect();
        let host = all_tags.iter().rev().find_map(|tag| tag.strip_prefix("host:")).map(str::to_owned);
        let tags: BTreeSet<String> = all_tags
            .iter()
            .filter(|tag| !tag.starts_with("host:") && !tag.starts_with("dd.internal."))
            .map(|&tag| tag.to_owned())
            .collect();
        let key = |name: &str, kind| (name.to_owned(), kind, tags.iter().cloned().collect(), host.clone());
        if line.starts_with("_e{") {
            // The Agent refuses an event without a title, and so do we.
            if line.starts_with("_e{0,") {
                expected.bad += 1
            } else {
                expected.events += 1
            }
            continue;
        }
        if line.starts_with("_sc|") {
            let host = parts.iter().find_map(|part| part.strip_prefix("h:")).map(str::to_owned).or(host.clone());
            let (name, kind, tags, _) = key(parts[1], "check");
            expected.values.insert((name, kind, tags, host), Value::Check);
            continue;
        }
        let values = parts[0].split_once(':').map(|(name, values)| (name, values.split(':').map(str::parse::<f64>)));
        let (Some(kind), Some((name, values))) = (parts.get(1), values) else {
            expected.bad += 1;
            continue;
        };
        if *kind == "s" {
            let member = parts[0].split_once(':').unwrap().1;
            members.entry(key(name, "gauge")).or_default().insert(member.to_owned());
            continue;
        }
        let Ok(values) = values.collect::<Result<Vec<f64>, _>>() else {
            expected.bad += 1;
            continue;
        };
        if values.iter().any(|value| !value.is_finite()) {
            assert_eq!(values.len(), 1);
            expected.bad += 1;
            continue;
        }
        if field('T').is_some() {
            expected.timed += 1;
            continue;
        }
        let rate: f64 = field('@').map_or(1.0, |rate| rate.parse().unwrap());
        let weighted = values.iter().map(|&value| (value, 1.0 / rate));
        match *kind {
            "c" => {
                let (more, count) = (values.iter().map(|value| value / rate).sum::<f64>(), values.len() as u64);
                match expected.values.entry(key(name, "count")).or_insert(Value::Count { sum: 0.0, samples: 0 }) {
                    Value::Count { sum, samples } => (*sum, *samples) = (*sum + more, *samples + count),
                    other => panic!("{other:?}"),
                }
            }
            "g" => {
                expected.values.insert(key(name, "gauge"), Value::Gauge(*values.last().unwrap()));
            }
            "h" | "ms" | "d" => {
                let kind = ["h", "ms", "d"].into_iter().find(|known| known == kind).unwrap();
                match expected.values.entry(key(name, kind)).or_insert(Value::Samples(Vec::new())) {
                    Value::Samples(samples) => *samples = sorted(samples.iter().copied().chain(weighted).collect()),
                    other => panic!("{other:?}"),
                }
            }
            _ => expected.bad += 1,
        }
    }
    expected.values.extend(members.into_iter().map(|(key, members)| (key, Value::Gauge(members.len() as f64))));
    expected
}

#[test]
fn every_capture_gives_what_its_text_says() {
    let mut lines = 0;
    for folder in ["gunicorn", "dogstatsd-client", "statsd-client"] {
        for (name, datagrams) in captures(folder) {
            let expected = expect(&datagrams);
            let replayed = replay(&datagrams);
            assert_eq!(by_key(&replayed.points), expected.values, "{folder}/{name}");
            assert_eq!(replayed.timed.len(), expected.timed, "{folder}/{name}");
            let dropped = |reason| replayed.rejects.get(reason).copied().unwrap_or(0);
            let untitled =
                datagrams.iter().flat_map(|datagram| datagram.text.lines()).filter(|line| line.starts_with("_e{0,"));
            assert_eq!(dropped(reason::INVALID_EVENT), untitled.count() as u64, "{folder}/{name}");
            assert_eq!(replayed.rejects.values().sum::<u64>(), expected.bad, "{folder}/{name}");
            assert_eq!(replayed.tally.events, expected.events, "{folder}/{name}");
            assert_eq!(replayed.tally.received, expected.lines - expected.events, "{folder}/{name}");
            assert_eq!(replayed.tally.held, expected.lines - expected.bad - expected.events, "{folder}/{name}");
            assert_eq!(replayed.tally.packets, datagrams.len() as u64);
            lines += expected.lines;
        }
    }
    assert!(lines > 1_500, "{lines} lines are fewer than were captured");
}

/// The messages of a stream, cut in the most obvious way.
fn messages(mut bytes: &[u8], framing: Framing) -> Vec<Datagram> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let (message, rest) = match framing {
            Framing::Newline => bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1),
            Framing::Length => bytes[4..].split_at(u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize),
        };
        messages.push(Datagram { bytes: message.to_vec(), text: String::from_utf8_lossy(message).into_owned() });
        bytes = rest;
    }
    messages
}

#[test]
fn every_captured_stream_gives_what_its_text_says_wherever_it_is_cut() {
    let mut lines = 0;
    for (name, parts) in captures("streams") {
        let framing = if name == "datadogpy-unix" { Framing::Length } else { Framing::Newline };
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.bytes.clone()).collect();
        let expected = expect(&messages(&bytes, framing));
        for cut in [1, 7, 1_000, 65_535] {
            let mut framer = Framer::new(framing, 65_535);
            let mut datagrams = Vec::new();
            let mut take = |piece: Piece<'_>| match piece {
                Piece::Packet { payload, .. } => {
                    datagrams.push(Datagram { bytes: payload.to_vec(), text: String::new() });
                }
                Piece::Bad { reason, .. } => panic!("{name}: {reason}"),
            };
            assert!(bytes.chunks(cut).all(|part| framer.feed(part, &mut take)), "{name}");
            framer.finish(true, &mut take);
            let replayed = replay(&datagrams);
            assert_eq!(by_key(&replayed.points), expected.values, "{name} cut into {cut}");
            assert_eq!(replayed.tally.received + replayed.tally.events, expected.lines, "{name} cut into {cut}");
        }
        lines += expected.lines;
    }
    assert!(lines > 150, "{lines} lines are fewer than were captured");
}

#[test]
fn every_gunicorn_from_19_9_on_counts_each_request() {
    let requests = [
        ("asgi-worker", 6),
        ("dirty", 11),
        ("gevent", 21),
        ("gthread-backlog", 19),
        ("ipv6", 11),
        ("old-19.9.0", 17),
        ("old-20.1.0", 17),
        ("old-21.2.0", 17),
        ("old-22.0.0", 18),
        ("old-23.0.0", 18),
        ("old-25.0.0", 18),
        ("sync", 45),
        ("sync-nosetproctitle", 18),
        ("sync-tags-prefix", 17),
        ("two-apps", 22),
        ("uds", 16),
    ];
    for (name, datagrams) in captures("gunicorn") {
        let prefix = if name == "sync-tags-prefix" { "shop.web." } else { "" };
        let expected = requests.iter().find(|(known, _)| *known == name).unwrap().1;
        let Replayed { points, rejects, .. } = replay(&datagrams);
        assert!(rejects.is_empty(), "{name}: {rejects:?}");
        let (mut requests, mut statuses, mut durations) = (0.0, 0.0, 0.0);
        for point in &points {
            let metric = point.context.name().strip_prefix(prefix).unwrap();
            match &point.value {
                MetricValue::Count { sum, .. } if metric == "gunicorn.requests" => requests += sum,
                MetricValue::Count { sum, .. } if metric.starts_with("gunicorn.request.status.") => statuses += sum,
                MetricValue::Distribution(d) if metric == "gunicorn.request.duration" => durations += d.samples.count(),
                _ => {}
            }
        }
        assert_eq!([requests, statuses, durations], [f64::from(expected); 3], "{name}");
    }
}

#[test]
fn values_to_which_a_client_gave_a_time_become_points_of_that_time() {
    let (_, datagrams) = captures("dogstatsd-client").into_iter().find(|(name, _)| name == "timestamps").unwrap();
    let replayed = replay(&datagrams);
    assert!(replayed.points.is_empty());
    let points = replayed.timed.iter().map(|point| {
        let window = point.window;
        assert_eq!(
            (window.start.as_secs_ceil(), window.interval),
            (window.end.as_secs(), Some(Duration::from_secs(10)))
        );
        (point.context.name(), window.end.as_secs(), &point.value)
    });
    let expected = [
        ("ts.gauge", 1_795_343_000, &MetricValue::Gauge(1.5)),
        ("ts.count", 1_795_343_000, &MetricValue::Count { sum: 4.0, samples: 1 }),
        ("ts.gauge", 1_795_343_001, &MetricValue::Gauge(2.0)),
        ("ts.old", 1_000, &MetricValue::Gauge(9.0)),
    ];
    assert_eq!(points.collect::<Vec<_>>(), expected);
}

#[test]
fn what_a_client_says_of_its_origin_becomes_tags_where_it_is_believed() {
    let (_, datagrams) = captures("dogstatsd-client").into_iter().find(|(name, _)| name == "origin-fields").unwrap();
    let config = serde_json::from_str(r#"{"origin_detection_client": true}"#).unwrap();
    let mut writer = OriginTags::of(&config).writer().unwrap();
    let mut write = |datagram: &Datagram| {
        let bytes = writer.write(&datagram.bytes, Sender::default(), Duration::ZERO).to_vec();
        Datagram { bytes, text: String::new() }
    };
    let written: Vec<Datagram> = datagrams.iter().map(&mut write).collect();
    let (before, after) = (replay(&datagrams), replay(&written));
    assert_eq!((before.tally.held, before.tally.events), (after.tally.held, after.tally.events));
    let (name, pod) = ("kube_container_name:nginx-webserver", "pod_uid:75a2b6d5-3949-4afb-ad0d-92ff0674e759");
    let container = "container_id:8c1b0b2c";
    for (metric, expected) in [
        ("tokens", vec![name]),
        ("temp.c", vec![name, "room:a"]),
        ("users.unique", vec![name]),
        ("card.override", vec![container, name, pod]),
        ("card.orch", vec!["a:b", name, pod]),
        ("card.none", vec![]),
        ("ts.all.fields", vec!["a:b", container, name, pod]),
        ("app.nomsg", vec![]),
    ] {
        let all = after.points.iter().chain(&after.timed);
        let point = all.into_iter().find(|point| point.context.name() == metric).unwrap();
        assert_eq!(point.context.tags().iter().collect::<Vec<_>>(), expected, "{metric}");
    }
}

#[test]
fn service_checks_of_real_clients_keep_time_host_and_message() {
    let (_, datagrams) = captures("dogstatsd-client").into_iter().find(|(name, _)| name == "types-unbuffered").unwrap();
    let points = replay(&datagrams).points;
    let point = points.iter().find(|point| point.context.name() == "app.check").unwrap();
    let MetricValue::ServiceCheck(check) = &point.value else { panic!("{point:?}") };
    assert_eq!((check.status, &*check.message), (CheckStatus::Critical, "timeout m\\: after 5s\\nsecond line"));
    let time = Timestamp::from_secs(1_795_343_000);
    assert_eq!(point.window, Window { start: time, end: time, interval: None });
    assert_eq!(point.context.host(), Some("host-7"));
}
