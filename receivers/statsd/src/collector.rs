//! Options of the Collector's `statsd` receiver that ask for something that is done differently here. They load, and what
//! they do not do is said.

use hornpipe_engine::config::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::StatsdConfig;

/// What the Collector makes of a fraction in a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CounterType {
    /// Cuts it off.
    Int,
    /// Keeps it.
    Float,
    /// Rounds up or down at random.
    StochasticInt,
}

/// Types of values that are not added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StatsdType {
    /// `ms`.
    Timing,
    /// The same.
    Timer,
    /// `h`.
    Histogram,
    /// `d`.
    Distribution,
}

/// What the Collector makes of such values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ObserverType {
    /// A point each.
    Gauge,
    /// Percentiles.
    Summary,
    /// An exponential histogram.
    Histogram,
    /// Nothing.
    Disabled,
}

/// What to make of a type's values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimerHistogramMapping {
    /// `timing`, `timer`, `histogram` or `distribution`.
    pub statsd_type: StatsdType,
    /// `histogram` is what is done; of `gauge`, `summary` and `disabled` a warning says what to use.
    pub observer_type: ObserverType,
    /// `max_size`, `max_scale` and `explicit_buckets`; a warning says what to use.
    #[serde(default)]
    pub histogram: Option<HistogramOptions>,
    /// `percentiles`; a warning says what to use.
    #[serde(default)]
    pub summary: Option<SummaryOptions>,
}

/// How the Collector makes a histogram.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HistogramOptions {
    /// How many buckets; here `max_size` of the `otlp` exporter.
    pub max_size: Option<u32>,
    /// How fine they are at most; here the finest scale that fits.
    pub max_scale: Option<i32>,
    /// Fixed buckets by name; here there are none.
    pub explicit_buckets: Vec<ExplicitBuckets>,
}

/// Fixed buckets of the metrics that a pattern names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExplicitBuckets {
    /// Pattern of the metric name.
    pub matcher_pattern: String,
    /// Their bounds.
    pub buckets: Vec<f64>,
}

/// How the Collector makes a summary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SummaryOptions {
    /// Percentiles from 0 to 100; here those of the `percentiles` processor, from 0 to 1.
    pub percentiles: Vec<f64>,
}

/// Says what the options do not do.
pub(crate) fn warn(config: &StatsdConfig, report: &mut Report) {
    if config.enable_simple_tags == Some(false) {
        let help = "`processors: tagging` takes tags out";
        report.warning_with_help("enable_simple_tags", "has no effect: lines with bare tags are always taken", help);
    }
    if config.enable_ip_only_aggregation.is_some() {
        let help = "remove it; to tell clients apart, set `source_address_tag: client_ip`, which gives every series the \
                    address of its client as a tag";
        let message = "has no effect: the values of all clients are added up to one series";
        report.warning_with_help("enable_ip_only_aggregation", message, help);
    }
    if config.is_monotonic_counter == Some(false) {
        let message = "has no effect: a counter is monotonic until it shows a negative value";
        report.warning_with_help("is_monotonic_counter", message, "remove it; each exporter sees to it");
    }
    if let Some(CounterType::Int | CounterType::StochasticInt) = config.counter_type {
        let message = "has no effect: counters keep their fractions";
        report.warning_with_help("counter_type", message, "write `float`, or remove it");
    }
    for (index, mapping) in config.timer_histogram_mapping.iter().enumerate() {
        warn_of_mapping(mapping, &format!("timer_histogram_mapping[{index}]"), report);
    }
}

fn warn_of_mapping(mapping: &TimerHistogramMapping, at: &str, report: &mut Report) {
    let message = "has no effect: all values of a window are kept as one distribution, which each exporter sends as its \
                   backend takes it";
    let percentiles = "use `processors: percentiles`, with `output: series` for separate series";
    match mapping.observer_type {
        ObserverType::Histogram => {}
        ObserverType::Gauge | ObserverType::Summary => {
            report.warning_with_help(&format!("{at}.observer_type"), message, percentiles);
        }
        ObserverType::Disabled => {
            let help = "drop metrics by name with `metric_blocklist`";
            report.warning_with_help(&format!("{at}.observer_type"), message, help);
        }
    }
    if mapping.histogram.is_some() {
        let help = "the size is `max_size` of `exporters: otlp`";
        report.warning_with_help(&format!("{at}.histogram"), "has no effect: exporters make the histograms", help);
    }
    if mapping.summary.is_some() {
        report.warning_with_help(&format!("{at}.summary"), "has no effect: there are no summaries", percentiles);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(json: &str) -> Vec<String> {
        let mut report = Report::new();
        warn(&serde_json::from_str(json).unwrap(), &mut report);
        assert!(!report.has_errors());
        assert!(report.problems().iter().all(|problem| problem.help.is_some()));
        report.problems().iter().map(|problem| problem.path.clone()).collect()
    }

    #[test]
    fn what_is_done_anyway_is_taken_in_silence() {
        let json = r#"{"enable_simple_tags": true, "is_monotonic_counter": true, "counter_type": "float",
            "enable_metric_type": true, "timer_histogram_mapping": [
                {"statsd_type": "timing", "observer_type": "histogram"},
                {"statsd_type": "distribution", "observer_type": "histogram"}]}"#;
        assert_eq!(warnings("{}"), [""; 0]);
        assert_eq!(warnings(json), [""; 0]);
    }

    #[test]
    fn what_is_done_differently_is_said() {
        let json = r#"{"enable_simple_tags": false, "is_monotonic_counter": false, "counter_type": "stochastic_int",
            "enable_ip_only_aggregation": true, "timer_histogram_mapping": [
                {"statsd_type": "timer", "observer_type": "summary", "summary": {"percentiles": [50]}},
                {"statsd_type": "histogram", "observer_type": "histogram", "histogram": {"max_size": 100}},
                {"statsd_type": "timing", "observer_type": "disabled"}]}"#;
        assert_eq!(
            warnings(json),
            [
                "enable_simple_tags",
                "enable_ip_only_aggregation",
                "is_monotonic_counter",
                "counter_type",
                "timer_histogram_mapping[0].observer_type",
                "timer_histogram_mapping[0].summary",
                "timer_histogram_mapping[1].histogram",
                "timer_histogram_mapping[2].observer_type",
            ]
        );
    }
}
