//! Batches beyond the intake's limits.

use std::collections::BTreeSet;

use hornpipe_engine::component::{Encoded, reason};
use hornpipe_engine::http::Compression;
use hornpipe_model::{CheckStatus, MetricPoint, MetricValue, ServiceCheck, WireType};
use proptest::prelude::*;

use super::decode::series;
use super::points::{batch, count, distribution, encode, reading, statsd};
use crate::encode::Encoder;

/// Route, most bytes before compression, most bytes as sent.
const LIMITS: [(&str, usize, usize); 3] = [
    ("/api/v2/series", 5_242_880, 512_000),
    ("/api/beta/sketches", 4_194_304, 2_621_440),
    ("/api/v1/check_run", 4_194_304, 2_621_440),
];

/// Every item is in one request or counted as dropped, and every request is within its limits.
fn assert_complete(encoded: &Encoded, items: usize) {
    let sent: Vec<u32> = encoded.requests.iter().flat_map(|request| request.items.clone()).collect();
    let distinct: BTreeSet<u32> = sent.iter().copied().collect();
    let dropped: u64 = encoded.dropped.iter().map(|&(_, count)| count).sum();
    assert_eq!(distinct.len(), sent.len(), "an item is in two requests");
    assert_eq!(sent.len() + dropped as usize, items);
    for request in &encoded.requests {
        let (_, plain, as_sent) = LIMITS.into_iter().find(|&(route, ..)| route == request.route).unwrap();
        assert!(request.body.len() <= as_sent, "{} bytes to {}", request.body.len(), request.route);
        let body = zstd::decode_all(&*request.body).unwrap_or_else(|_| request.body.to_vec());
        assert!(body.len() <= plain, "{} bytes to {}", body.len(), request.route);
    }
}

/// A tag that does not compress.
fn noise(seed: usize, length: usize) -> String {
    let mut state = seed as u64;
    let letter = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + (state >> 33) as u8 % 90)
    };
    (0..length).map(letter).collect()
}

fn encode_with(compression: Compression, points: Vec<MetricPoint>) -> Encoded {
    let items: Vec<u32> = (0..points.len() as u32).collect();
    Encoder { hostname: None, compression }.encode(&batch(points), &items)
}

#[test]
fn a_payload_has_at_most_ten_thousand_points_and_never_a_part_of_an_item() {
    let points: Vec<_> = (0..4_001).map(|_| statsd("x", &[], distribution(WireType::Histogram, [1.0]))).collect();
    let encoded = encode_with(Compression::Zstd, points);
    assert_complete(&encoded, 4_001);
    let items: Vec<_> = encoded.requests.iter().map(|request| request.items.len()).collect();
    assert_eq!(items, [2_000, 2_000, 1]);
}

#[test]
fn series_that_compress_badly_are_halved_below_the_limit() {
    let points: Vec<_> = (0..2_000).map(|index| statsd("x", &[&noise(index, 1_000)], count(1.0))).collect();
    let encoded = encode_with(Compression::Zstd, points);
    assert_complete(&encoded, 2_000);
    assert_eq!(encoded.dropped, []);
    let items: Vec<u32> = encoded.requests.iter().flat_map(|request| request.items.clone()).collect();
    assert!(encoded.requests.len() >= 4 && items.is_sorted());
}

#[test]
fn series_that_compress_well_are_split_at_the_limit_before_compression() {
    let tag = "x".repeat(10_000);
    let points: Vec<_> = (0..1_500).map(|_| statsd("x", &[&tag], count(1.0))).collect();
    let encoded = encode_with(Compression::Zstd, points);
    assert_complete(&encoded, 1_500);
    let items: Vec<_> = encoded.requests.iter().map(|request| request.items.len()).collect();
    assert_eq!(items.len(), 3, "{items:?}");
}

#[test]
fn one_item_that_no_request_can_hold_is_dropped_alone() {
    let (plain, noisy) = ("x".repeat(5_300_000), noise(1, 700_000));
    for tag in [&plain, &noisy] {
        let points = vec![statsd("a", &[], count(1.0)), statsd("x", &[tag], count(1.0)), statsd("b", &[], count(1.0))];
        let encoded = encode_with(Compression::Zstd, points);
        assert_complete(&encoded, 3);
        assert_eq!(encoded.dropped, [(reason::TOO_LARGE, 1)]);
    }
}

#[test]
fn halves_of_a_request_hold_what_it_held() {
    let points: Vec<_> = (0..100).map(|index| statsd(&format!("m{index}"), &[], count(1.0))).collect();
    let all = encode(points.clone()).requests.remove(0);
    let (left, right) = all.items.split_at(50);
    let encoder = Encoder { hostname: None, compression: Compression::None };
    let halves = [left, right].map(|items| encoder.encode(&batch(points.clone()), items).requests.remove(0));
    assert_eq!(halves.iter().flat_map(series).collect::<Vec<_>>(), series(&all));
}

pub(super) fn any_point() -> impl Strategy<Value = MetricPoint> {
    let value = prop_oneof![
        4 => any::<f64>().prop_map(count),
        2 => any::<f64>().prop_map(MetricValue::Gauge),
        1 => proptest::collection::vec(-1e9..1e9_f64, 0..20)
            .prop_map(|values| distribution(WireType::Timing, values)),
        1 => proptest::collection::vec(-1e9..1e9_f64, 0..20)
            .prop_map(|values| distribution(WireType::Distribution, values)),
    ];
    let check = MetricValue::ServiceCheck(Box::new(ServiceCheck { status: CheckStatus::Ok, message: "m".into() }));
    let tags = || proptest::collection::vec((0..1_000_usize, 0..20_000_usize), 0..3);
    let tags =
        move || tags().prop_map(|tags| tags.iter().map(|&(seed, length)| noise(seed, length)).collect::<Vec<_>>());
    prop_oneof![
        5 => (tags(), value).prop_map(|(tags, value)| {
            statsd("x", &tags.iter().map(String::as_str).collect::<Vec<_>>(), value)
        }),
        1 => tags().prop_map(move |tags| {
            reading("x", &tags.iter().map(String::as_str).collect::<Vec<_>>(), check.clone())
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_batch_is_sent_completely_within_the_limits(points in proptest::collection::vec(any_point(), 0..150)) {
        for compression in [Compression::Zstd, Compression::None] {
            let items = points.len();
            assert_complete(&encode_with(compression, points.clone()), items);
        }
    }
}
