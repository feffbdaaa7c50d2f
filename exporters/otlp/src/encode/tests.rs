use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use hornpipe_engine::reason;
use hornpipe_model::distribution::ExponentialHistogram;
use hornpipe_model::{
    CheckStatus, Context, MetricBatch, MetricPoint, MetricValue, Origin, Resource, Samples, Scope, ServiceCheck, Tags,
    Temporality, Timestamp, Value, Window,
};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValueKind;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, metric};
use proptest::prelude::*;
use prost::Message;

use super::*;

mod logs;
#[path = "../../tests/reference/mod.rs"]
mod reference;

const PLAIN: Encodings = encodings(Compression::None, false);

const fn encodings(compression: Compression, framed: bool) -> Encodings {
    Encodings {
        metrics: Encoding { route: "/v1/metrics", compression, level: None, framed },
        logs: Encoding { route: "/v1/logs", compression, level: None, framed },
    }
}

fn point(name: &str, tags: &[&str], host: Option<&str>, value: MetricValue) -> MetricPoint {
    let known = Context::new(name, Tags::default());
    let context = Context::with_unit(name, tags.iter().collect(), host, Cow::Owned(known.unit().to_owned()));
    let window =
        Window { start: Timestamp::from_secs(1_790_000_000), end: Timestamp::from_secs(1_790_000_010), interval: None };
    MetricPoint { context: Arc::new(context), window, origin: Origin::Statsd, value }
}

fn sum(value: f64, monotonic: bool, temporality: Temporality) -> MetricValue {
    MetricValue::Sum { value, monotonic, temporality }
}

fn histogram(values: &[f64], temporality: Temporality) -> MetricValue {
    let mut samples = Samples::new();
    values.iter().for_each(|&value| assert!(samples.push(value, 1.0)));
    MetricValue::ExponentialHistogram {
        histogram: Arc::new(ExponentialHistogram::from_samples(&samples, 160)),
        temporality,
    }
}

fn batch(points: Vec<MetricPoint>) -> Data {
    let mut resource =
        Resource { schema_url: "https://opentelemetry.io/schemas/1.37.0".to_owned(), ..Resource::default() };
    resource.set(Resource::HOST_NAME, "web1");
    resource.set("process.pid", Value::Int(4711));
    let scope = Scope { name: "hornpipe/statsd".to_owned(), version: "0.1.0".to_owned(), ..Scope::default() };
    MetricBatch { resource: Arc::new(resource), scope: Arc::new(scope), points }.into()
}

/// One of everything.
fn mixed() -> Data {
    use Temporality::{Cumulative, Delta};
    let check = ServiceCheck { status: CheckStatus::Critical, message: "no workers".into() };
    batch(vec![
        point("gunicorn.requests", &["env:prod", "canary"], None, sum(3.0, true, Cumulative)),
        point("queue.length", &["q:a"], None, MetricValue::Gauge(7.5)),
        point("gunicorn.requests", &["env:test"], None, sum(0.25, true, Cumulative)),
        point("jobs.balance", &[], None, sum(-2.0, false, Cumulative)),
        point("gunicorn.requests", &["env:prod"], Some("web2"), sum(4.0, true, Cumulative)),
        point("gunicorn.requests", &["env:prod"], Some(""), sum(5.0, true, Cumulative)),
        point("gunicorn.request.duration", &["role:a", "role:b"], None, histogram(&[1.0, 2.0, 4.0], Delta)),
        point("temperature", &[], None, histogram(&[-1.0, 0.0, 1.0], Cumulative)),
        point("drift", &[], None, histogram(&[-1.0, 4.0], Delta)),
        point("gunicorn.is_running", &["app:shop"], None, MetricValue::ServiceCheck(Box::new(check))),
        point("errors", &[], None, sum(1.0, true, Delta)),
    ])
}

fn all_items(data: &Data) -> Vec<u32> {
    (0..data.items() as u32).collect()
}

fn decode(request: &Request) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest::decode(request.body.clone()).expect("a message")
}

/// The message as lines for people.
fn shown(message: &ExportMetricsServiceRequest) -> String {
    let mut text = String::new();
    for group in &message.resource_metrics {
        let resource = group.resource.as_ref().map(|resource| attributes_shown(&resource.attributes));
        writeln!(text, "resource [{}] {}", resource.unwrap_or_default(), group.schema_url).expect("text");
        for scoped in &group.scope_metrics {
            let scope = scoped.scope.clone().unwrap_or_default();
            writeln!(text, "  scope {} {}", scope.name, scope.version).expect("text");
            scoped.metrics.iter().for_each(|metric| text.push_str(&metric_shown(metric)));
        }
    }
    text
}

fn metric_shown(metric: &Metric) -> String {
    let (kind, points) = match metric.data.as_ref().expect("data") {
        metric::Data::Gauge(gauge) => {
            ("gauge".to_owned(), gauge.data_points.iter().map(number_shown).collect::<Vec<_>>())
        }
        metric::Data::Sum(sum) => {
            let kind = format!("sum monotonic={} {:?}", sum.is_monotonic, sum.aggregation_temporality());
            (kind, sum.data_points.iter().map(number_shown).collect())
        }
        metric::Data::ExponentialHistogram(histogram) => {
            let kind = format!("exponential histogram {:?}", histogram.aggregation_temporality());
            let points = histogram.data_points.iter().map(|point| {
                let buckets = [&point.positive, &point.negative].map(|buckets| {
                    buckets
                        .as_ref()
                        .map_or("-".to_owned(), |buckets| format!("{}{:?}", buckets.offset, buckets.bucket_counts))
                });
                let [positive, negative] = buckets;
                format!(
                    "      [{}] {}..{} count {} sum {:?} min {:?} max {:?} scale {} zeros {} positive {} negative {}\n",
                    attributes_shown(&point.attributes),
                    point.start_time_unix_nano,
                    point.time_unix_nano,
                    point.count,
                    point.sum,
                    point.min,
                    point.max,
                    point.scale,
                    point.zero_count,
                    positive,
                    negative
                )
            });
            (kind, points.collect())
        }
        other => panic!("a kind that we do not send: {other:?}"),
    };
    format!("    {} ({}) {kind} \"{}\"\n{}", metric.name, metric.unit, metric.description, points.concat())
}

fn number_shown(point: &NumberDataPoint) -> String {
    let attributes = attributes_shown(&point.attributes);
    let value = point.value.as_ref().expect("a value");
    format!("      [{attributes}] {}..{} {value:?}\n", point.start_time_unix_nano, point.time_unix_nano)
}

fn attributes_shown(attributes: &[KeyValue]) -> String {
    let shown =
        attributes.iter().map(|attribute| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(AnyValueKind::StringValue(text)) => format!("{}={text}", attribute.key),
            Some(AnyValueKind::ArrayValue(array)) => format!("{}=array of {}", attribute.key, array.values.len()),
            other => format!("{}={other:?}", attribute.key),
        });
    shown.collect::<Vec<_>>().join(", ")
}

/// Compares with a file beside this one; `BLESS=1` writes it.
fn assert_golden(name: &str, bytes: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/encode/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, bytes).expect("the golden file");
    }
    let golden = std::fs::read(&path).expect("the golden file");
    assert_eq!(String::from_utf8_lossy(&golden), String::from_utf8_lossy(bytes), "{name}");
    assert_eq!(golden, bytes, "{name}");
}

#[test]
fn one_of_everything_is_encoded_as_it_always_was() {
    let data = mixed();
    let encoded = PLAIN.encode(&data, &all_items(&data));
    assert_eq!((encoded.requests.len(), encoded.dropped.len()), (1, 0));
    assert_golden("metrics.txt", shown(&decode(&encoded.requests[0])).as_bytes());
    assert_golden("metrics.pb", &encoded.requests[0].body);
}

#[test]
fn the_same_items_give_the_same_bytes_however_often() {
    let data = mixed();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Deflate] {
        let encoding = encodings(compression, true);
        let first = encoding.encode(&data, &all_items(&data));
        for _ in 0..20 {
            assert_eq!(encoding.encode(&data, &all_items(&data)), first);
        }
    }
}

#[test]
fn only_the_items_asked_for_are_encoded() {
    let data = mixed();
    let encoded = PLAIN.encode(&data, &[1, 3, 99]);
    assert_eq!(encoded.requests[0].items, [1, 3]);
    let message = decode(&encoded.requests[0]);
    let names: Vec<_> =
        message.resource_metrics[0].scope_metrics[0].metrics.iter().map(|metric| &metric.name).collect();
    assert_eq!(names, ["queue.length", "jobs.balance"]);
}

#[test]
fn one_of_everything_is_what_prost_makes_of_it() {
    for data in [mixed(), logs::mixed_logs()] {
        assert_eq!(
            PLAIN.encode(&data, &all_items(&data)).requests[0].body,
            reference::encode(&data, &all_items(&data))
        );
    }
}

#[test]
fn a_grpc_frame_says_whether_the_message_is_compressed_and_how_long_it_is() {
    let data = mixed();
    let body =
        |compression, framed| encodings(compression, framed).encode(&data, &all_items(&data)).requests[0].body.clone();
    for (compression, flag) in [(Compression::None, 0), (Compression::Gzip, 1), (Compression::Zstd, 1)] {
        let (framed, message) = (body(compression, true), body(compression, false));
        assert_eq!(framed[..FRAME_HEADER_BYTES], [&[flag][..], &(message.len() as u32).to_be_bytes()].concat());
        assert_eq!(framed[FRAME_HEADER_BYTES..], message);
    }
}

#[test]
fn unified_service_tags_name_the_resource_and_stay_attributes() {
    let tags = ["env:prod", "service:shop", "version:1.4", "team:a"];
    let gauge = || MetricValue::Gauge(1.0);
    let data = batch(vec![
        point("a", &tags, None, gauge()),
        point("a", &["env:prod", "env:test"], None, gauge()),
        point("b", &tags, None, gauge()),
    ]);
    let message = decode(&PLAIN.encode(&data, &all_items(&data)).requests[0]);
    let resources: Vec<String> = message
        .resource_metrics
        .iter()
        .map(|group| attributes_shown(&group.resource.as_ref().expect("one").attributes))
        .collect();
    let own = "host.name=web1, process.pid=Some(IntValue(4711))";
    let named = "service.name=shop, service.version=1.4, deployment.environment.name=prod";
    assert_eq!(resources, [format!("{own}, {named}"), own.to_owned()]);
    assert!(shown(&message).contains("[env=prod, service=shop, team=a, version=1.4]"));
}

#[test]
fn without_items_there_is_no_request() {
    assert_eq!(PLAIN.encode(&mixed(), &[]), Encoded::default());
}

#[test]
fn what_no_backend_takes_is_dropped_and_counted() {
    let data = batch(vec![
        point("a", &[], None, MetricValue::Gauge(f64::NAN)),
        point("b", &[], None, MetricValue::Gauge(1.0)),
        point("c", &[], None, MetricValue::Gauge(f64::INFINITY)),
        point("d", &[], None, sum(f64::NEG_INFINITY, true, Temporality::Delta)),
        point("e", &[], None, MetricValue::Count { sum: 1.0, samples: 1 }),
    ]);
    let encoded = PLAIN.encode(&data, &all_items(&data));
    assert_eq!(encoded.requests[0].items, [1]);
    assert_eq!(encoded.dropped, [(reason::NOT_FINITE, 3), (reason::UNSUPPORTED, 1)]);
}

#[test]
fn a_single_item_above_the_limit_goes_alone() {
    let long = "x".repeat(600);
    let points = ["a", &long, "b"].map(|name| point(name, &[], None, MetricValue::Gauge(1.0)));
    let Data::Metrics(metrics) = batch(points.to_vec()) else { panic!("not metrics") };
    let (parts, dropped) = metrics::encode(&metrics, &[0, 1, 2], 500);
    let items: Vec<_> = parts.iter().map(|part| part.items.clone()).collect();
    assert_eq!((items, dropped), (vec![vec![0], vec![1], vec![2]], Vec::new()));
}

#[test]
fn a_large_batch_becomes_requests_that_backends_take() {
    let value = MetricValue::Gauge(1.0);
    let points = (0..40_000).map(|index| point("a.gauge", &[&format!("series:{index:0100}")], None, value.clone()));
    let data = batch(points.collect());
    let encoded = PLAIN.encode(&data, &all_items(&data));
    let sizes: Vec<usize> = encoded.requests.iter().map(|request| request.body.len()).collect();
    assert!(sizes.iter().all(|&size| size <= MAX_MESSAGE_BYTES), "{sizes:?}");
    // Full but for the last.
    assert!(
        sizes.len() > 1 && sizes[..sizes.len() - 1].iter().all(|&size| size > MAX_MESSAGE_BYTES / 10 * 9),
        "{sizes:?}"
    );
    assert_eq!(encoded.requests.iter().map(|request| request.items.len()).sum::<usize>(), 40_000);
}

/// Tags, among them some that name the resource.
fn any_tags() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec("([a-z]{1,3}|env|service|version)?(:[a-c]{0,20})?", 0..6)
}

fn any_point() -> impl Strategy<Value = MetricPoint> {
    let value = prop_oneof![
        any::<f64>().prop_map(MetricValue::Gauge),
        (0.0..1e9, any::<bool>()).prop_map(|(value, monotonic)| sum(value, monotonic, Temporality::Cumulative)),
        proptest::collection::vec(-1e6..1e6, 0..20).prop_map(|values| histogram(&values, Temporality::Delta)),
    ];
    let host = proptest::option::of("[a-c]?");
    (0_usize..4, any_tags(), host, value).prop_map(|(name, tags, host, value)| {
        let name = ["gunicorn.requests", "a", "bb", "a.long.name.of.a.metric"][name];
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        point(name, &tags, host.as_deref(), value)
    })
}

proptest! {
    #[test]
    fn parts_hold_each_item_once_and_keep_the_limit(
        points in proptest::collection::vec(any_point(), 0..60),
        max_bytes in 900_usize..5_000,
    ) {
        let data = batch(points);
        let Data::Metrics(metrics) = &data else { panic!("not metrics") };
        let (parts, dropped) = metrics::encode(metrics, &all_items(&data), max_bytes);
        for part in &parts {
            prop_assert!(!part.items.is_empty());
            prop_assert!(part.items.len() == 1 || part.message().len() <= max_bytes);
            prop_assert_eq!(part.message(), &reference::encode(&data, &part.items));
        }
        let sent: Vec<u32> = parts.iter().flat_map(|part| part.items.iter().copied()).collect();
        prop_assert!(sent.is_sorted_by(|left, right| left < right));
        let lost: u64 = dropped.iter().map(|(_, items)| items).sum();
        prop_assert_eq!(sent.len() as u64 + lost, data.items() as u64);
    }
}
