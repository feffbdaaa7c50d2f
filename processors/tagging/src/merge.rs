//! Points that fall on the same series and window, made into one.
//!
//! Datadog keeps only the last point of a series and timestamp, so two would lose one of them.

use std::collections::HashMap;
use std::sync::Arc;

use hornpipe_model::distribution::ExponentialHistogram;
use hornpipe_model::{MetricPoint, MetricValue, Timestamp};

use crate::contexts::SeriesId;

/// Merges the points of `shared` series; `series` has the series of each point. Points keep their order, a merged one
/// the place of its first.
pub(crate) fn merge_points(
    points: Vec<MetricPoint>,
    series: &[SeriesId],
    shared: impl Fn(SeriesId) -> bool,
) -> Vec<MetricPoint> {
    let mut merged: Vec<MetricPoint> = Vec::with_capacity(points.len());
    // Of each series and time the points that stand for it; several where they are of different kinds.
    let mut places: HashMap<(SeriesId, Timestamp), Vec<usize>> = HashMap::new();
    for (point, &series) in points.into_iter().zip(series) {
        if !shared(series) {
            merged.push(point);
            continue;
        }
        let candidates = places.entry((series, point.window.end)).or_default();
        let is_merged = candidates.iter().any(|&at| merged.get_mut(at).is_some_and(|into| absorb(into, &point)));
        if !is_merged {
            candidates.push(merged.len());
            merged.push(point);
        }
    }
    merged.shrink_to_fit();
    merged
}

/// Merges a point into an earlier one of the same series; false, with nothing changed, where the two stay apart: they
/// differ in window, kind or unit.
fn absorb(into: &mut MetricPoint, point: &MetricPoint) -> bool {
    let (unit, other_unit) = (into.context.unit(), point.context.unit());
    let fits = unit == other_unit || unit.is_empty() || other_unit.is_empty();
    if into.window != point.window || !fits || !absorb_value(&mut into.value, &point.value) {
        return false;
    }
    if into.context.unit().is_empty() {
        into.context = Arc::clone(&point.context);
    }
    true
}

fn absorb_value(into: &mut MetricValue, value: &MetricValue) -> bool {
    match (into, value) {
        (MetricValue::Count { sum, samples }, MetricValue::Count { sum: other_sum, samples: other_samples }) => {
            *sum += other_sum;
            *samples = samples.saturating_add(*other_samples);
        }
        // No operation is right for every gauge; as with one series that a client sets twice, the later one counts.
        (MetricValue::Gauge(gauge), MetricValue::Gauge(later)) => *gauge = *later,
        (MetricValue::Distribution(into), MetricValue::Distribution(other)) if into.wire_type == other.wire_type => {
            Arc::make_mut(&mut into.samples).merge(&other.samples);
            into.note = into.note.take().or_else(|| other.note.clone());
        }
        (
            MetricValue::Sum { value, monotonic, temporality },
            MetricValue::Sum { value: other_value, monotonic: other_monotonic, temporality: other_temporality },
        ) if temporality == other_temporality => {
            *value += other_value;
            *monotonic &= *other_monotonic;
        }
        (
            MetricValue::ExponentialHistogram { histogram, temporality },
            MetricValue::ExponentialHistogram { histogram: other, temporality: other_temporality },
        ) if temporality == other_temporality => {
            Arc::make_mut(histogram).merge(other, ExponentialHistogram::DEFAULT_MAX_SIZE);
        }
        // Service checks are reports, of which backends keep every one.
        _ => return false,
    }
    true
}
