//! The rules of the OTLP data model that a receiver may rely on.

use std::collections::BTreeMap;

use hornpipe_model::{Resource, Temporality};

use super::point::{OtlpPoint, OtlpValue, StreamKey};

/// What the points break of the data model, in words. `points` are in the order of arrival.
pub(super) fn violations(points: &[OtlpPoint]) -> Vec<String> {
    let mut found: Vec<String> = points.iter().filter_map(|point| Some(describe(point, &alone(point)?))).collect();
    let mut last: BTreeMap<&StreamKey, &OtlpPoint> = BTreeMap::new();
    let mut kinds: BTreeMap<(&String, &String), (&OtlpPoint, Kind)> = BTreeMap::new();
    for point in points {
        if let Some(problem) = last.insert(&point.key, point).and_then(|earlier| in_order(earlier, point)) {
            found.push(describe(point, &problem));
        }
        let Some(kind) = kind_of(point) else { continue };
        let (first, first_kind) = *kinds.entry((&point.key.scope, &point.key.metric)).or_insert((point, kind));
        if first_kind != kind || first.key.unit != point.key.unit {
            found.push(describe(point, &format!("{first_kind:?} in {:?} before, now {kind:?}", first.key.unit)));
        }
    }
    found
}

fn describe(point: &OtlpPoint, problem: &str) -> String {
    format!("{} {:?}: {problem}", point.key.metric, point.key.attributes)
}

/// What is wrong with a point by itself.
fn alone(point: &OtlpPoint) -> Option<String> {
    let problem = match &point.value {
        None => "no value, or no temporality",
        Some(value) if !is_finite(value) => "not finite",
        Some(OtlpValue::ExponentialHistogram { histogram, .. }) if histogram.bucket_total() != histogram.count => {
            "zeros and buckets do not add up to the count"
        }
        _ if point.key.metric.is_empty() => "no name",
        _ if point.has_repeated_key => "an attribute's key comes twice",
        _ if point.time == 0 => "no time",
        Some(OtlpValue::Gauge(_)) => return without_host(point),
        _ if point.start == 0 => "no start time",
        _ if point.start >= point.time => "it starts when it ends, or later",
        _ => return without_host(point),
    };
    Some(problem.to_owned())
}

fn without_host(point: &OtlpPoint) -> Option<String> {
    let has_host = point.key.resource.contains_key(Resource::HOST_NAME);
    (!has_host).then(|| format!("the resource has no {}", Resource::HOST_NAME))
}

fn is_finite(value: &OtlpValue) -> bool {
    match value {
        OtlpValue::Gauge(value) | OtlpValue::Sum { value, .. } => value.is_finite(),
        OtlpValue::ExponentialHistogram { histogram, .. } => histogram.sum.is_finite(),
    }
}

/// What is wrong with a point after the one before it of the same stream.
fn in_order(earlier: &OtlpPoint, point: &OtlpPoint) -> Option<String> {
    let temporality = kind_of(point)?.temporality()?;
    let span = format!("{}..{} after {}..{}", point.start, point.time, earlier.start, earlier.time);
    match temporality {
        Temporality::Delta if point.start < earlier.time => Some(format!("overlapping windows: {span}")),
        Temporality::Cumulative if point.time < earlier.time => Some(format!("out of order: {span}")),
        Temporality::Cumulative if point.start == earlier.start && went_down(earlier, point) => {
            Some(format!("a monotonic stream went down: {:?} after {:?}", point.value, earlier.value))
        }
        Temporality::Cumulative if point.start != earlier.start && point.start < earlier.time => {
            Some(format!("a new start before the end of the old stream: {span}"))
        }
        _ => None,
    }
}

fn went_down(earlier: &OtlpPoint, point: &OtlpPoint) -> bool {
    match (&earlier.value, &point.value) {
        (Some(OtlpValue::Sum { value: before, .. }), Some(OtlpValue::Sum { value, monotonic: true, .. })) => {
            value < before
        }
        (
            Some(OtlpValue::ExponentialHistogram { histogram: before, .. }),
            Some(OtlpValue::ExponentialHistogram { histogram, .. }),
        ) => histogram.count < before.count,
        _ => false,
    }
}

/// The kinds of metric that a name must not change between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Gauge,
    Sum(Temporality),
    ExponentialHistogram(Temporality),
}

impl Kind {
    fn temporality(self) -> Option<Temporality> {
        match self {
            Kind::Gauge => None,
            Kind::Sum(temporality) | Kind::ExponentialHistogram(temporality) => Some(temporality),
        }
    }
}

fn kind_of(point: &OtlpPoint) -> Option<Kind> {
    Some(match point.value.as_ref()? {
        OtlpValue::Gauge(_) => Kind::Gauge,
        OtlpValue::Sum { temporality, .. } => Kind::Sum(*temporality),
        OtlpValue::ExponentialHistogram { temporality, .. } => Kind::ExponentialHistogram(*temporality),
    })
}
