//! Series that become one.

use std::borrow::Cow;

use hornpipe_model::distribution::{ExponentialHistogram, Rendering};
use hornpipe_model::{CheckStatus, Distribution, Samples, ServiceCheck, Temporality, WireType};

use super::*;

fn samples(values: &[f64]) -> Samples {
    let mut samples = Samples::new();
    for &value in values {
        samples.push(value, 1.0);
    }
    samples
}

fn distribution(wire_type: WireType, values: &[f64]) -> MetricValue {
    MetricValue::Distribution(Distribution::new(wire_type, samples(values)))
}

fn sum(value: f64, monotonic: bool, temporality: Temporality) -> MetricValue {
    MetricValue::Sum { value, monotonic, temporality }
}

fn histogram(values: &[f64], temporality: Temporality) -> MetricValue {
    MetricValue::ExponentialHistogram {
        histogram: Arc::new(ExponentialHistogram::from_samples(&samples(values), 160)),
        temporality,
    }
}

/// Values of series that differ only in a tag that is removed.
fn merged(values: Vec<MetricValue>) -> Vec<MetricValue> {
    let mut processor = processor("actions: [{action: remove, tag: pid}]");
    let points = values.into_iter().enumerate().map(|(pid, value)| point(context(&format!("a|pid:{pid}")), value));
    let points = run_points(&mut processor, points.collect());
    assert!(points.iter().all(|point| series(&point.context) == "a"));
    points.into_iter().map(|point| point.value).collect()
}

#[test]
fn values_merge_as_their_kind_demands() {
    use Temporality::{Cumulative, Delta};
    let check = |status| MetricValue::ServiceCheck(Box::new(ServiceCheck { status, message: "".into() }));
    let fill = MetricValue::Count { sum: 0.0, samples: 0 };
    let counted = |sum, samples| MetricValue::Count { sum, samples };
    for (values, expected) in [
        (vec![counted(1.5, 2), counted(2.0, 3)], vec![counted(3.5, 5)]),
        (vec![fill.clone(), fill.clone()], vec![fill.clone()]),
        (vec![fill, counted(2.0, 3)], vec![counted(2.0, 3)]),
        // Of gauges the later one.
        (vec![MetricValue::Gauge(7.0), MetricValue::Gauge(5.0)], vec![MetricValue::Gauge(5.0)]),
        (
            vec![sum(1.0, true, Delta), sum(2.0, false, Delta), sum(9.0, true, Cumulative)],
            vec![sum(3.0, false, Delta), sum(9.0, true, Cumulative)],
        ),
        (
            vec![histogram(&[1.0, 2.0], Delta), histogram(&[1.0], Cumulative), histogram(&[3.0], Delta)],
            vec![histogram(&[1.0, 2.0, 3.0], Delta), histogram(&[1.0], Cumulative)],
        ),
        // A check is a report: every one stays.
        (
            vec![check(CheckStatus::Ok), check(CheckStatus::Critical)],
            vec![check(CheckStatus::Ok), check(CheckStatus::Critical)],
        ),
        // Different kinds stay apart.
        (
            vec![counted(1.0, 1), MetricValue::Gauge(1.0), counted(2.0, 1)],
            vec![counted(3.0, 2), MetricValue::Gauge(1.0)],
        ),
    ] {
        assert_eq!(merged(values.clone()), expected, "{values:?}");
    }
}

#[test]
fn distributions_of_one_wire_type_hold_the_samples_of_all() {
    let values = merged(vec![
        distribution(WireType::Timing, &[1.0, 2.0]),
        distribution(WireType::Distribution, &[5.0]),
        distribution(WireType::Timing, &[3.0]),
    ]);
    let found: Vec<(WireType, u64, f64, f64)> = values
        .iter()
        .map(|value| match value {
            MetricValue::Distribution(Distribution { wire_type, samples, .. }) => {
                (*wire_type, samples.sample_count(), samples.sum(), samples.max())
            }
            _ => unreachable!(),
        })
        .collect();
    assert_eq!(found, [(WireType::Timing, 3, 6.0, 3.0), (WireType::Distribution, 1, 5.0, 5.0)]);
}

#[test]
fn the_note_of_percentiles_stays_and_other_holders_of_the_samples_see_no_change() {
    let noted = Distribution {
        note: Some(Arc::new(Rendering::default())),
        ..Distribution::new(WireType::Timing, samples(&[2.0]))
    };
    let shared = Distribution::new(WireType::Timing, samples(&[1.0]));
    let values = merged(vec![MetricValue::Distribution(shared.clone()), MetricValue::Distribution(noted)]);
    let MetricValue::Distribution(merged) = &values[0] else { unreachable!() };
    assert!(merged.note.is_some());
    assert_eq!((merged.samples.sample_count(), shared.samples.sample_count()), (2, 1));
}

#[test]
fn points_of_different_windows_or_hosts_or_units_stay_apart() {
    let mut processor = processor("actions: [{action: remove, tag: pid}]");
    let first = count("a|pid:1", 1.0);
    let mut later = count("a|pid:2", 2.0);
    later.window.end = Timestamp::from_secs(30);
    let mut shorter = count("a|pid:2", 4.0);
    shorter.window.start = Timestamp::from_secs(15);
    let of = |host, unit| {
        let tags = ["pid:3"].into_iter().collect();
        point(
            Arc::new(Context::with_unit("a", tags, host, Cow::Borrowed(unit))),
            MetricValue::Count { sum: 8.0, samples: 1 },
        )
    };
    let points =
        run_points(&mut processor, vec![of(None, "ms"), first, later, shorter, of(Some("b"), ""), of(None, "s")]);
    let sums: Vec<f64> = points
        .iter()
        .map(|point| if let MetricValue::Count { sum, .. } = point.value { sum } else { unreachable!() })
        .collect();
    // `ms` took the first count, whose unit is unknown; `s` did not fit.
    assert_eq!(sums, [9.0, 2.0, 4.0, 8.0, 8.0]);
    assert_eq!(points[0].context.unit(), "ms");
}

#[test]
fn an_untouched_series_takes_part_and_a_missing_unit_is_found() {
    let mut processor = processor(
        r"actions: [{action: extract, pattern: 'gunicorn\.request\.status\.\d+', name: gunicorn.request.status}]",
    );
    for _window in 0..2 {
        // 418 is not in Datadog's catalogue, so that its unit is unknown.
        let points = run_points(
            &mut processor,
            vec![
                count("gunicorn.request.status", 1.0),
                count("other", 1.0),
                count("gunicorn.request.status.418", 2.0),
                count("gunicorn.request.status.200", 4.0),
            ],
        );
        let found: Vec<_> =
            points.iter().map(|point| (point.context.name(), point.context.unit(), &point.value)).collect();
        assert_eq!(
            found,
            [
                ("gunicorn.request.status", "{request}", &MetricValue::Count { sum: 7.0, samples: 3 }),
                ("other", "", &MetricValue::Count { sum: 1.0, samples: 1 }),
            ]
        );
    }
}

#[test]
fn series_that_only_look_alike_before_are_not_merged() {
    let mut processor = processor("actions: [{action: add, tag: x}]");
    // One context twice in a batch is its receiver's business.
    let points = run_points(&mut processor, vec![count("a", 1.0), count("a", 2.0)]);
    assert_eq!(points.len(), 2);
}

#[test]
fn adding_a_tag_merges_with_the_series_that_had_it() {
    for action in ["{action: add, tag: env, value: p}", "{action: default, tag: env, value: p}"] {
        let mut processor = processor(&format!("actions: [{action}]"));
        let points = run_points(&mut processor, vec![count("a|env:p", 1.0), count("a", 2.0)]);
        assert_eq!(points.len(), 1, "{action}");
        assert_eq!(points[0].value, MetricValue::Count { sum: 3.0, samples: 2 });
    }
}

#[test]
fn a_memory_that_starts_anew_still_knows_what_to_merge() {
    let text = "actions: [{action: remove, tag: pid}]";
    let environment = FixedEnvironment::new();
    let rules = compile::rules(&config(text, &environment), &environment, None, &mut Report::default());
    let mut processor = Tagging::with_rules(Arc::new(rules), 3);
    for window in 0..10 {
        let points = (0..5).map(|pid| count(&format!("a|pid:{}", window * 2 + pid), 1.0)).collect();
        let points = run_points(&mut processor, points);
        assert_eq!(points.len(), 1);
        assert_eq!(points[0].value, MetricValue::Count { sum: 5.0, samples: 5 });
    }
}
