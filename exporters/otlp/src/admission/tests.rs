use std::collections::BTreeMap;

use hornpipe_engine::telemetry::{ComponentIdentity, ComponentKind, Telemetry};
use hornpipe_model::{
    CheckStatus, Context, Distribution, Origin, Resource, Samples, ServiceCheck, Tags, Timestamp, WireType,
};
use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { max_streams: 1000, max_size: 160 };

fn telemetry() -> Arc<ComponentTelemetry> {
    let identity = ComponentIdentity { kind: ComponentKind::Exporter, id: "otlp".to_owned(), pipeline: None };
    Telemetry::default().component(identity)
}

fn conversion(temporality: Temporality, limits: Limits) -> Conversion {
    Conversion::new(temporality, limits, &telemetry())
}

/// The window with a number, 10 seconds long.
fn window(number: u64) -> Window {
    let start = Timestamp::from_secs(1_000 + 10 * number);
    let interval = std::time::Duration::from_secs(10);
    Window { start, end: start.after(interval), interval: Some(interval) }
}

fn point(name: &str, window: Window, value: MetricValue) -> MetricPoint {
    let context = Arc::new(Context::new(name, Tags::default()));
    MetricPoint { context, window, origin: Origin::Statsd, value }
}

fn count(sum: f64) -> MetricValue {
    MetricValue::Count { sum, samples: 1 }
}

const FILL: MetricValue = MetricValue::Count { sum: 0.0, samples: 0 };

fn batch_from(host: &str, points: Vec<MetricPoint>) -> Data {
    let mut resource = Resource::default();
    resource.set(Resource::HOST_NAME, host);
    MetricBatch { resource: Arc::new(resource), scope: Arc::default(), points }.into()
}

fn batch(points: Vec<MetricPoint>) -> Data {
    batch_from("web1", points)
}

/// What is left of the data, and what is dropped.
fn admit(conversion: &mut Conversion, data: Data) -> (Vec<MetricPoint>, BTreeMap<Reason, u64>) {
    let counters = SignalCounters::default();
    let points = match conversion.admit(data, &counters) {
        Some(Data::Metrics(batch)) => batch.points.clone(),
        Some(Data::Logs(_)) => panic!("metrics became logs"),
        None => Vec::new(),
    };
    (points, counters.dropped_by_reason())
}

/// The only point of a batch of one, as a sum: its value, whether it is monotonic, and its window.
fn admit_sum(conversion: &mut Conversion, data: Data) -> (f64, bool, Window) {
    let (points, _) = admit(conversion, data);
    let [MetricPoint { value: MetricValue::Sum { value, monotonic, .. }, window, .. }] = points[..] else {
        panic!("not one sum: {points:?}")
    };
    (value, monotonic, window)
}

fn from_start_of(first: Window, last: Window) -> Window {
    Window { start: first.start, ..last }
}

#[test]
fn cumulative_counts_run_from_the_start_of_their_stream() {
    let mut conversion = conversion(Temporality::Cumulative, LIMITS);
    for (number, (value, expected)) in [(count(2.0), 2.0), (FILL, 2.0), (count(0.5), 2.5)].into_iter().enumerate() {
        let current = window(number as u64);
        let sum = admit_sum(&mut conversion, batch(vec![point("requests", current, value)]));
        assert_eq!(sum, (expected, true, from_start_of(window(0), current)));
    }
}

#[test]
fn a_zero_fill_of_an_unknown_stream_starts_it_at_0() {
    let mut conversion = conversion(Temporality::Cumulative, LIMITS);
    assert_eq!(admit_sum(&mut conversion, batch(vec![point("requests", window(3), FILL)])), (0.0, true, window(3)));
}

#[test]
fn delta_counts_stand_for_their_window_and_fills_are_left_out() {
    let mut conversion = conversion(Temporality::Delta, LIMITS);
    let points = vec![point("a", window(0), count(2.0)), point("b", window(0), FILL), point("c", window(0), FILL)];
    let (left, dropped) = admit(&mut conversion, batch(points));
    let delta = MetricValue::Sum { value: 2.0, monotonic: true, temporality: Temporality::Delta };
    assert_eq!(left, [point("a", window(0), delta)]);
    assert_eq!(dropped, BTreeMap::from([(reason::ZERO_FILL, 2)]));

    let (left, dropped) = admit(&mut conversion, batch(vec![point("a", window(1), FILL)]));
    assert!(left.is_empty());
    assert_eq!(dropped, BTreeMap::from([(reason::ZERO_FILL, 1)]));
}

#[test]
fn resources_and_hosts_have_streams_of_their_own() {
    let mut conversion = conversion(Temporality::Cumulative, LIMITS);
    for host in ["web1", "web2"] {
        let data = batch_from(host, vec![point("requests", window(0), count(1.0))]);
        assert_eq!(admit_sum(&mut conversion, data).0, 1.0);
    }
    let data = batch_from("web1", vec![point("requests", window(1), count(1.0))]);
    assert_eq!(admit_sum(&mut conversion, data).0, 2.0, "known by content, though the resource is another allocation");
}

#[test]
fn a_name_that_falls_starts_new_streams_that_are_not_monotonic() {
    let mut conversion = conversion(Temporality::Cumulative, LIMITS);
    let tagged = |tag: &str, number: u64, sum: f64| {
        let context = Arc::new(Context::new("jobs", [tag].into_iter().collect()));
        MetricPoint { context, ..point("jobs", window(number), count(sum)) }
    };
    let shown = |points: &[MetricPoint]| {
        let each = points.iter().map(|point| match point.value {
            MetricValue::Sum { value, monotonic, .. } => (value, monotonic, point.window.start == window(0).start),
            _ => panic!("not a sum: {point:?}"),
        });
        each.collect::<Vec<_>>()
    };

    let (first, _) = admit(&mut conversion, batch(vec![tagged("q:a", 0, 5.0), tagged("q:b", 0, 7.0)]));
    assert_eq!(shown(&first), [(5.0, true, true), (7.0, true, true)]);
    // Only the last point falls, but a request must not say both of one name.
    let (second, _) = admit(&mut conversion, batch(vec![tagged("q:a", 1, 1.0), tagged("q:b", 1, -3.0)]));
    assert_eq!(shown(&second), [(1.0, false, false), (-3.0, false, false)]);
    assert_eq!(second[0].window, window(1));
    // Never monotonic again.
    let (third, _) = admit(&mut conversion, batch(vec![tagged("q:a", 2, 1.0), tagged("q:c", 2, 1.0)]));
    assert_eq!(shown(&third), [(2.0, false, false), (1.0, false, false)]);
    let other = admit_sum(&mut conversion, batch(vec![point("others", window(2), count(1.0))]));
    assert!(other.1, "other names are not touched");
}

#[test]
fn delta_sums_of_a_fallen_name_are_not_monotonic() {
    let mut conversion = conversion(Temporality::Delta, LIMITS);
    for (number, (sum, monotonic)) in [(1.0, true), (-1.0, false), (1.0, false)].into_iter().enumerate() {
        let data = batch(vec![point("jobs", window(number as u64), count(sum))]);
        assert_eq!(admit_sum(&mut conversion, data), (sum, monotonic, window(number as u64)));
    }
}

#[test]
fn a_value_that_is_not_finite_leaves_the_total_alone() {
    let mut conversion = conversion(Temporality::Cumulative, LIMITS);
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let points = vec![point("a", window(0), count(bad)), point("b", window(0), count(1.0))];
        let (left, dropped) = admit(&mut conversion, batch(points));
        assert_eq!(left.len(), 1);
        assert_eq!(dropped, BTreeMap::from([(reason::NOT_FINITE, 1)]));
    }
    assert_eq!(admit_sum(&mut conversion, batch(vec![point("b", window(1), count(1.0))])).0, 4.0);
}

#[test]
fn gauges_and_checks_pass_untouched() {
    let check = ServiceCheck { status: CheckStatus::Warning, message: "slow".into() };
    let points = vec![
        point("a", window(0), MetricValue::Gauge(1.5)),
        point("b", window(0), MetricValue::ServiceCheck(Box::new(check))),
    ];
    for temporality in [Temporality::Cumulative, Temporality::Delta] {
        let mut conversion = conversion(temporality, LIMITS);
        let data = batch(points.clone());
        assert_eq!(conversion.admit(data.clone(), &SignalCounters::default()), Some(data));
        let (mixed, _) = admit(&mut conversion, batch([&points[..], &[point("c", window(0), count(1.0))]].concat()));
        assert_eq!(mixed[..2], points[..]);
    }
}

#[test]
fn sums_and_histograms_of_otlp_clients_are_converted_like_our_own() {
    let sum = |value, temporality| MetricValue::Sum { value, monotonic: true, temporality };
    let mut conversion = conversion(Temporality::Cumulative, LIMITS);
    for number in 0..2 {
        let data = batch(vec![point("a", window(number), sum(2.0, Temporality::Delta))]);
        assert_eq!(admit_sum(&mut conversion, data).0, 2.0 * (number + 1) as f64);
    }
    let cumulative = point("b", window(0), sum(7.0, Temporality::Cumulative));
    assert_eq!(admit(&mut conversion, batch(vec![cumulative.clone()])).0, [cumulative]);
}

#[test]
fn the_number_of_streams_is_bounded_and_shown() {
    let telemetry = telemetry();
    let mut conversion = Conversion::new(Temporality::Cumulative, Limits { max_streams: 2, max_size: 160 }, &telemetry);
    let points = ["a", "b", "c"].map(|name| point(name, window(0), count(1.0)));
    admit(&mut conversion, batch(points.to_vec()));
    let shown: Vec<_> = telemetry.levels().iter().map(|level| (level.name, level.value.get())).collect();
    let expected = [("otelcol_exporter_cumulative_streams", 2), ("otelcol_exporter_cumulative_streams_evicted", 1)];
    assert_eq!(shown, expected);
}

fn distribution(values: &[f64]) -> MetricValue {
    MetricValue::Distribution(Distribution::new(WireType::Timing, samples(values)))
}

fn samples(values: &[f64]) -> Samples {
    let mut samples = Samples::new();
    values.iter().for_each(|&value| assert!(samples.push(value, 1.0)));
    samples
}

fn admit_histogram(conversion: &mut Conversion, data: Data) -> (Arc<ExponentialHistogram>, Temporality, Window) {
    let (points, _) = admit(conversion, data);
    match &points[..] {
        [MetricPoint { value: MetricValue::ExponentialHistogram { histogram, temporality }, window, .. }] => {
            (Arc::clone(histogram), *temporality, *window)
        }
        other => panic!("not one histogram: {other:?}"),
    }
}

proptest! {
    /// Whatever is lost on the way, the newest point that arrives says it all.
    #[test]
    fn every_cumulative_sum_is_the_total_of_all_windows_so_far(
        windows in proptest::collection::vec(proptest::collection::vec((0_usize..4, 0_i64..1_000_000), 1..6), 1..30),
    ) {
        let mut conversion = conversion(Temporality::Cumulative, LIMITS);
        let mut totals = [0_i64; 4];
        for (number, amounts) in windows.iter().enumerate() {
            let at = window(number as u64);
            let points = amounts.iter().map(|(name, amount)| point(&format!("name{name}"), at, count(*amount as f64)));
            let (admitted, _) = admit(&mut conversion, batch(points.collect()));
            prop_assert_eq!(admitted.len(), amounts.len());
            for (point, &(name, amount)) in admitted.iter().zip(amounts) {
                totals[name] += amount;
                let temporality = Temporality::Cumulative;
                prop_assert_eq!(&point.value, &MetricValue::Sum { value: totals[name] as f64, monotonic: true, temporality });
            }
        }
    }

    /// Streams that give way and names that fall: the last values of all starts still add up to what was counted.
    #[test]
    fn the_last_values_of_all_starts_add_up(
        windows in proptest::collection::vec(proptest::collection::btree_map(0_usize..6, -3_i64..1000, 1..6), 1..40),
        max_streams in 1_usize..8,
    ) {
        let mut conversion = conversion(Temporality::Cumulative, Limits { max_streams, max_size: 160 });
        let mut totals = BTreeMap::<String, i64>::new();
        let mut last = BTreeMap::<(String, Timestamp), f64>::new();
        let mut ends = BTreeMap::<String, (Timestamp, Timestamp)>::new();
        for (number, amounts) in windows.iter().enumerate() {
            let at = window(number as u64);
            let points = amounts.iter().map(|(name, amount)| {
                *totals.entry(format!("name{name}")).or_default() += amount;
                point(&format!("name{name}"), at, count(*amount as f64))
            });
            for point in admit(&mut conversion, batch(points.collect())).0 {
                let MetricValue::Sum { value, .. } = point.value else { panic!("not a sum") };
                let name = point.context.name().to_owned();
                if let Some((start, end)) = ends.insert(name.clone(), (point.window.start, point.window.end)) {
                    prop_assert!(point.window.start == start || point.window.start >= end, "streams overlap");
                }
                last.insert((name, point.window.start), value);
            }
        }
        for (name, total) in totals {
            let seen: f64 = last.iter().filter(|((other, _), _)| *other == name).map(|(_, value)| value).sum();
            prop_assert_eq!(seen, total as f64);
        }
    }

    #[test]
    fn a_cumulative_histogram_is_that_of_all_samples(
        windows in proptest::collection::vec(proptest::collection::vec(0.001_f64..100_000.0, 1..40), 1..8),
        max_size in 3_usize..200,
    ) {
        let mut conversion = conversion(Temporality::Cumulative, Limits { max_streams: 10, max_size });
        let mut all = Vec::new();
        for (number, values) in windows.iter().enumerate() {
            all.extend_from_slice(values);
            let at = window(number as u64);
            let (histogram, temporality, covers) =
                admit_histogram(&mut conversion, batch(vec![point("t", at, distribution(values))]));
            let expected = ExponentialHistogram::from_samples(&samples(&all), max_size);
            prop_assert_eq!((temporality, covers), (Temporality::Cumulative, from_start_of(window(0), at)));
            prop_assert_eq!((histogram.count, histogram.scale), (expected.count, expected.scale));
            prop_assert_eq!((&histogram.positive, histogram.min, histogram.max), (&expected.positive, expected.min, expected.max));
        }
    }
}

#[test]
fn a_queued_histogram_stays_as_it_was() {
    let mut conversion = conversion(Temporality::Cumulative, LIMITS);
    let (first, _, _) = admit_histogram(&mut conversion, batch(vec![point("t", window(0), distribution(&[1.0]))]));
    let (second, _, _) =
        admit_histogram(&mut conversion, batch(vec![point("t", window(1), distribution(&[2.0, 3.0]))]));
    assert_eq!((first.count, second.count), (1, 3));
}

#[test]
fn a_delta_histogram_is_that_of_its_window() {
    let mut conversion = conversion(Temporality::Delta, LIMITS);
    for number in 0..2 {
        let data = batch(vec![point("t", window(number), distribution(&[1.0, 2.0]))]);
        let (histogram, temporality, covers) = admit_histogram(&mut conversion, data);
        assert_eq!((histogram.count, temporality, covers), (2, Temporality::Delta, window(number)));
    }
}
