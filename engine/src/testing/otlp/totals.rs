//! What a consumer makes of the points: totals over all time.

use std::collections::BTreeMap;

use hornpipe_model::Temporality;

use super::point::{HistogramTotal, OtlpPoint, OtlpValue, StreamKey};

/// The points that count: every delta; of a cumulative stream, for each start time, the one with the latest time (of
/// two with the same time the one that came last).
pub(super) fn counting_points<'a>(points: &[&'a OtlpPoint]) -> Vec<&'a OtlpPoint> {
    let mut counting = Vec::new();
    let mut latest: BTreeMap<(&StreamKey, u64), &OtlpPoint> = BTreeMap::new();
    for &point in points {
        if is_delta(point) {
            counting.push(point);
            continue;
        }
        let kept = latest.entry((&point.key, point.start)).or_insert(point);
        if point.time >= kept.time {
            *kept = point;
        }
    }
    counting.extend(latest.into_values());
    counting
}

/// The total of a sum.
pub(super) fn sum(points: &[&OtlpPoint]) -> f64 {
    let value = |point: &OtlpPoint| match point.value {
        Some(OtlpValue::Sum { value, .. }) => value,
        _ => 0.0,
    };
    counting_points(points).into_iter().map(value).sum()
}

/// The total of an exponential histogram.
pub(super) fn histogram(points: &[&OtlpPoint]) -> HistogramTotal {
    let mut total = HistogramTotal::default();
    for point in counting_points(points) {
        if let Some(OtlpValue::ExponentialHistogram { histogram, .. }) = &point.value {
            total.merge(histogram);
        }
    }
    total
}

fn is_delta(point: &OtlpPoint) -> bool {
    matches!(
        point.value,
        Some(
            OtlpValue::Sum { temporality: Temporality::Delta, .. }
                | OtlpValue::ExponentialHistogram { temporality: Temporality::Delta, .. }
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum_point(start: u64, time: u64, value: f64, temporality: Temporality) -> OtlpPoint {
        let key = StreamKey {
            resource: BTreeMap::new(),
            scope: String::new(),
            metric: "requests".into(),
            unit: String::new(),
            attributes: BTreeMap::new(),
        };
        let value = Some(OtlpValue::Sum { value, monotonic: true, temporality });
        OtlpPoint { key, start, time, value, has_repeated_key: false }
    }

    #[test]
    fn a_cumulative_stream_counts_its_last_value_of_each_start() {
        let points = [(1, 2, 5.0), (1, 4, 9.0), (1, 3, 7.0), (6, 7, 1.0), (6, 8, 2.0)]
            .map(|(start, time, value)| sum_point(start, time, value, Temporality::Cumulative));
        assert_eq!(sum(&points.iter().collect::<Vec<_>>()), 11.0);
    }

    #[test]
    fn a_delta_stream_counts_every_value_also_a_repeated_one() {
        let points = [(1, 2, 5.0), (2, 3, 4.0), (2, 3, 4.0)]
            .map(|(start, time, value)| sum_point(start, time, value, Temporality::Delta));
        assert_eq!(sum(&points.iter().collect::<Vec<_>>()), 13.0);
    }
}
