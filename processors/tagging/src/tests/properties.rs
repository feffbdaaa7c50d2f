//! What holds for any series and any actions.

use std::collections::{BTreeMap, BTreeSet};

use hornpipe_model::{Distribution, Samples, WireType};
use proptest::prelude::*;

use super::*;

/// Few names, keys and values, so that series often become one.
fn any_series() -> impl Strategy<Value = String> {
    let tag = ("[abc]", proptest::option::of("[xyz]"))
        .prop_map(|(key, value)| value.map_or(key.clone(), |value| format!("{key}:{value}")));
    ("m\\.[12]", proptest::collection::btree_set(tag, 0..4))
        .prop_map(|(name, tags)| format!("{name}|{}", tags.into_iter().collect::<Vec<_>>().join(",")))
}

fn any_action() -> impl Strategy<Value = String> {
    prop_oneof![
        ("[abc]", "[xyz]").prop_map(|(key, value)| format!("{{action: add, tag: {key}, value: {value}}}")),
        settled_action(),
        ("[abc]", "[abc]").prop_map(|(from, to)| format!("{{action: rename, from: {from}, to: {to}}}")),
        Just(r"{action: extract, pattern: 'm\.(\d)', name: m, tag: a}".to_owned()),
        Just(r"{action: extract, pattern: 'm\.\d', name: m}".to_owned()),
    ]
}

/// Actions that have nothing left to do where they were done.
fn settled_action() -> impl Strategy<Value = String> {
    prop_oneof![
        ("[abc]", "[xyz]").prop_map(|(key, value)| format!("{{action: default, tag: {key}, value: {value}}}")),
        ("[abc]", "[xyz]").prop_map(|(key, value)| format!("{{action: set, tag: {key}, value: {value}}}")),
        "[abc]".prop_map(|key| format!("{{action: remove, tag: {key}}}")),
        "[xyz]".prop_map(|value| format!("{{action: remove, pattern: '.:{value}'}}")),
    ]
}

fn timer(series: &str, value: f64) -> MetricPoint {
    let mut samples = Samples::new();
    samples.push(value, 1.0);
    point(context(series), MetricValue::Distribution(Distribution::new(WireType::Timing, samples)))
}

/// A count and a timer for each different series.
fn points(series: &[String]) -> Vec<MetricPoint> {
    let different: BTreeSet<&String> = series.iter().collect();
    let numbered = different.into_iter().zip(1_i32..);
    numbered.flat_map(|(series, number)| [count(series, number.into()), timer(series, number.into())]).collect()
}

/// Sum and number of samples of each series and kind; fails where a series has two points of a kind.
fn totals(points: &[MetricPoint]) -> BTreeMap<(String, &'static str), (f64, u64)> {
    let mut totals = BTreeMap::new();
    for point in points {
        let (kind, total) = match &point.value {
            MetricValue::Count { sum, samples } => ("count", (*sum, *samples)),
            MetricValue::Distribution(Distribution { samples, .. }) => {
                ("timer", (samples.sum(), samples.sample_count()))
            }
            _ => unreachable!(),
        };
        let earlier = totals.insert((series(&point.context), kind), total);
        assert!(earlier.is_none(), "{} has two points of one window", series(&point.context));
    }
    totals
}

fn grand_total(points: &[MetricPoint]) -> (f64, u64) {
    totals(points).values().fold((0.0, 0), |(sum, samples), total| (sum + total.0, samples + total.1))
}

proptest! {
    #[test]
    fn whatever_becomes_one_series_loses_no_sample(
        series in proptest::collection::vec(any_series(), 0..12),
        actions in proptest::collection::vec(any_action(), 0..5),
    ) {
        let mut processor = processor(&format!("actions: [{}]", actions.join(", ")));
        let before = points(&series);
        for _window in 0..2 {
            let after = run_points(&mut processor, before.clone());
            prop_assert_eq!(grand_total(&after), grand_total(&before));
        }
    }

    #[test]
    fn the_order_of_points_in_a_batch_changes_no_count_and_no_distribution(
        series in proptest::collection::vec(any_series(), 0..12),
        actions in proptest::collection::vec(any_action(), 0..5),
    ) {
        let text = format!("actions: [{}]", actions.join(", "));
        let forwards = points(&series);
        let backwards: Vec<MetricPoint> = forwards.iter().rev().cloned().collect();
        let (one, other) = (run_points(&mut processor(&text), forwards), run_points(&mut processor(&text), backwards));
        prop_assert_eq!(totals(&one), totals(&other));
    }

    #[test]
    fn default_set_and_remove_have_nothing_to_do_the_second_time(
        series in any_series(),
        action in settled_action(),
    ) {
        let text = format!("actions: [{action}]");
        let once = tagged(&mut processor(&text), &series);
        prop_assert_eq!(tagged(&mut processor(&text), &once), once);
    }

    #[test]
    fn defaults_of_different_keys_may_stand_in_any_order(series in any_series()) {
        let [a, b] = ["a", "b"].map(|key| format!("{{action: default, tag: {key}, value: v}}"));
        let one = tagged(&mut processor(&format!("actions: [{a}, {b}]")), &series);
        let other = tagged(&mut processor(&format!("actions: [{b}, {a}]")), &series);
        prop_assert_eq!(one, other);
    }
}
