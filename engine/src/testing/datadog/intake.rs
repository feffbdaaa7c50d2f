//! The checks that the Datadog intake makes, and how a payload becomes points.

use hornpipe_model::Timestamp;
use http::{HeaderMap, StatusCode};
use prost::Message;
use serde::Deserialize;

use super::messages::{Dogsketch, MetricPayload, MetricSeries, MetricType, SketchPayload};
use super::store::{CheckRun, SeriesKey, SeriesPoint, SeriesType, SketchPoint, Store};
use crate::testing::backend::decompress;

/// Points further in the future or in the past than this are not shown by Datadog, in seconds.
const FUTURE_LIMIT: i64 = 10 * 60;
const PAST_LIMIT: i64 = 60 * 60;
/// The same for service checks.
const CHECK_PAST_LIMIT: i64 = 10 * 60;

/// Why the intake refuses a request.
pub(super) type Refusal = (StatusCode, String);

/// The largest bodies of a route.
pub(super) struct Limits {
    /// Bytes as sent.
    pub(super) compressed: usize,
    /// Bytes without the compression.
    pub(super) plain: usize,
}

/// Of `/api/v2/series`.
pub(super) const SERIES_LIMITS: Limits = Limits { compressed: 512_000, plain: 5_242_880 };
/// Of `/api/beta/sketches` and `/api/v1/check_run`: what the Agent keeps to.
pub(super) const OTHER_LIMITS: Limits = Limits { compressed: 2_621_440, plain: 4_194_304 };

/// The body of a request, decompressed, after the checks that all routes make.
///
/// # Errors
/// The refusal of the intake.
pub(super) fn open(headers: &HeaderMap, body: &[u8], content_type: &str, limits: &Limits) -> Result<Vec<u8>, Refusal> {
    let found = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if found.split(';').next() != Some(content_type) {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("content type {found:?} instead of {content_type}")));
    }
    let too_large = |what, size, limit| (StatusCode::PAYLOAD_TOO_LARGE, format!("{what} {size} bytes above {limit}"));
    if body.len() > limits.compressed {
        return Err(too_large("compressed payload of", body.len(), limits.compressed));
    }
    let plain = decompress(headers, body).map_err(|error| (StatusCode::BAD_REQUEST, error))?;
    if plain.len() > limits.plain {
        return Err(too_large("payload of", plain.len(), limits.plain));
    }
    Ok(plain)
}

/// Takes a payload of series.
///
/// # Errors
/// The refusal of the intake; nothing is taken then.
pub(super) fn take_series(store: &mut Store, payload: &[u8], now: Timestamp) -> Result<(), Refusal> {
    let payload = MetricPayload::decode(payload).map_err(not_protobuf)?;
    for series in &payload.series {
        check_series(series).map_err(|problem| bad_request(format!("series {:?}: {problem}", series.metric)))?;
    }
    for series in payload.series {
        take_points(store, series, now);
    }
    Ok(())
}

/// What the documentation of the API requires of a series.
fn check_series(series: &MetricSeries) -> Result<(), String> {
    check_name(&series.metric)?;
    if series.kind() == MetricType::Unspecified {
        return Err(format!("type {} is none of count, rate, gauge", series.kind));
    }
    if series.kind() == MetricType::Rate && series.interval <= 0 {
        return Err("a rate needs an interval".to_owned());
    }
    if series.points.is_empty() {
        return Err("no points".to_owned());
    }
    check_tags(&series.tags, &["host:", "device:", "dd.internal."])
}

fn check_name(metric: &str) -> Result<(), String> {
    let starts_well = metric.starts_with(|first: char| first.is_ascii_alphabetic());
    if starts_well && metric.len() <= 200 { Ok(()) } else { Err("not a metric name".to_owned()) }
}

/// What the Agent takes out of the tags must not reach the intake as a tag. A sketch keeps its `device:`, as it has no
/// resources.
fn check_tags(tags: &[String], taken_out: &[&str]) -> Result<(), String> {
    let is_taken_out = |tag: &&String| taken_out.iter().any(|prefix| tag.starts_with(prefix));
    match tags.iter().find(|tag| tag.is_empty() || is_taken_out(tag)) {
        Some(tag) => Err(format!("tag {tag:?} does not belong here")),
        None => Ok(()),
    }
}

fn take_points(store: &mut Store, series: MetricSeries, now: Timestamp) {
    let kind = match series.kind() {
        MetricType::Count => SeriesType::Count,
        MetricType::Rate => SeriesType::Rate,
        MetricType::Gauge | MetricType::Unspecified => SeriesType::Gauge,
    };
    let (hosts, others): (Vec<_>, Vec<_>) = series.resources.into_iter().partition(|resource| resource.kind == "host");
    let key =
        series_key(series.metric, hosts.into_iter().next().map(|host| host.name).unwrap_or_default(), series.tags);
    let resources: Vec<_> = others.into_iter().map(|resource| (resource.kind, resource.name)).collect();
    let origin = series.metadata.and_then(|metadata| metadata.origin);
    for point in series.points {
        if let Some(problem) = why_ignored(point.timestamp, point.value, now) {
            store.ignored.push(format!("{}: {problem}", key.metric));
            continue;
        }
        store.add_point(SeriesPoint {
            key: key.clone(),
            timestamp: point.timestamp,
            value: point.value,
            kind,
            unit: series.unit.clone(),
            interval: series.interval,
            source_type_name: series.source_type_name.clone(),
            resources: resources.clone(),
            origin: origin.map(|origin| (origin.product, origin.category, origin.service)),
        });
    }
}

/// Why Datadog takes a point without showing it, where it does.
fn why_ignored(timestamp: i64, value: f64, now: Timestamp) -> Option<String> {
    let age = now.as_secs() as i64 - timestamp;
    if !(-FUTURE_LIMIT..=PAST_LIMIT).contains(&age) {
        return Some(format!("the timestamp {timestamp} is {age} s old"));
    }
    (!value.is_finite()).then(|| format!("the value {value} is not finite"))
}

/// Takes a payload of sketches.
///
/// # Errors
/// The refusal of the intake; nothing is taken then.
pub(super) fn take_sketches(store: &mut Store, payload: &[u8], now: Timestamp) -> Result<(), Refusal> {
    let payload = SketchPayload::decode(payload).map_err(not_protobuf)?;
    for sketch in &payload.sketches {
        check_name(&sketch.metric)
            .and_then(|()| check_tags(&sketch.tags, &["host:", "dd.internal."]))
            .and_then(|()| sketch.dogsketches.iter().try_for_each(check_sketch))
            .map_err(|problem| bad_request(format!("sketch {:?}: {problem}", sketch.metric)))?;
    }
    for sketch in payload.sketches {
        let key = series_key(sketch.metric, sketch.host, sketch.tags);
        for points in sketch.dogsketches {
            if let Some(problem) = why_ignored(points.ts, points.sum, now) {
                store.ignored.push(format!("{}: {problem}", key.metric));
                continue;
            }
            store.add_sketch(SketchPoint {
                key: key.clone(),
                timestamp: points.ts,
                count: points.cnt,
                min: points.min,
                max: points.max,
                avg: points.avg,
                sum: points.sum,
                keys: points.k,
                counts: points.n,
            });
        }
    }
    Ok(())
}

/// Bins are sorted, as many as counts, and add up to the count.
fn check_sketch(sketch: &Dogsketch) -> Result<(), String> {
    if sketch.cnt <= 0 || sketch.k.len() != sketch.n.len() {
        return Err(format!("count {}, {} keys, {} counts", sketch.cnt, sketch.k.len(), sketch.n.len()));
    }
    if !sketch.k.is_sorted() {
        return Err("keys out of order".to_owned());
    }
    let total: i64 = sketch.n.iter().map(|&count| i64::from(count)).sum();
    if total == sketch.cnt { Ok(()) } else { Err(format!("bins add up to {total}, not to {}", sketch.cnt)) }
}

/// An element of the body of `/api/v1/check_run`. The fields without a default are required.
#[derive(Deserialize)]
struct CheckMessage {
    check: String,
    host_name: String,
    status: i64,
    tags: Vec<String>,
    #[serde(default)]
    timestamp: Option<i64>,
    #[serde(default)]
    message: String,
}

/// Takes the results of service checks.
///
/// # Errors
/// The refusal of the intake; nothing is taken then.
pub(super) fn take_checks(store: &mut Store, payload: &[u8], now: Timestamp) -> Result<(), Refusal> {
    let checks: Vec<CheckMessage> =
        serde_json::from_slice(payload).map_err(|error| bad_request(format!("not a list of check runs: {error}")))?;
    if let Some(check) = checks.iter().find(|check| !(0..=3).contains(&check.status)) {
        return Err(bad_request(format!("check {}: status {}", check.check, check.status)));
    }
    let now = now.as_secs() as i64;
    for mut check in checks {
        let timestamp = check.timestamp.unwrap_or(now);
        if now - timestamp > CHECK_PAST_LIMIT {
            store.ignored.push(format!(
                "check {}: the timestamp {timestamp} is {} s old",
                check.check,
                now - timestamp
            ));
            continue;
        }
        check.tags.sort_unstable();
        let CheckMessage { check, host_name: host, status, tags, message, .. } = check;
        store.checks.push(CheckRun { check, host, timestamp, status, message, tags });
    }
    Ok(())
}

fn series_key(metric: String, host: String, mut tags: Vec<String>) -> SeriesKey {
    tags.sort_unstable();
    SeriesKey { metric, tags, host }
}

pub(super) fn bad_request(problem: String) -> Refusal {
    (StatusCode::BAD_REQUEST, problem)
}

fn not_protobuf(error: prost::DecodeError) -> Refusal {
    bad_request(format!("Payload is not in the expected format: {error}"))
}
