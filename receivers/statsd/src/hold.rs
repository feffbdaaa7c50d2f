//! Gauges that keep reporting their last value while nothing comes.

use std::time;

use hornpipe_engine::MatchType;
use hornpipe_engine::config::{Duration, Report};
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Gauges that keep reporting their last value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GaugeHoldConfig {
    /// Their names, after mapper and namespace.
    pub metrics: Vec<String>,
    /// How `metrics` are written: `wildcard` (`*` is anything without a dot, `**` anything) or `regex`.
    pub match_type: MatchType,
    /// For how long after it came a value is reported, in whole windows; above `0s`.
    pub max_age: Duration,
}

impl Default for GaugeHoldConfig {
    fn default() -> Self {
        GaugeHoldConfig { metrics: Vec::new(), match_type: MatchType::default(), max_age: Duration::from_secs(300) }
    }
}

/// Which gauges are held, and for how long.
#[derive(Clone, Debug, Default)]
pub(crate) struct GaugeHold {
    metrics: Vec<Regex>,
    max_age: time::Duration,
}

impl GaugeHold {
    /// What cannot be used is left out and reported.
    pub(crate) fn compile(config: &GaugeHoldConfig, report: &mut Report) -> Self {
        let mut hold = GaugeHold { metrics: Vec::new(), max_age: config.max_age.get() };
        if config.max_age.get().is_zero() {
            report.error_with_help(
                "gauge_hold.max_age",
                "must be above 0s",
                "to hold no gauge, name none in `metrics`",
            );
        }
        for (index, pattern) in config.metrics.iter().enumerate() {
            match config.match_type.compile(pattern) {
                Ok(pattern) => hold.metrics.push(pattern),
                Err(error) => report.error(&format!("gauge_hold.metrics[{index}]"), error.to_string()),
            }
        }
        hold
    }

    /// For how long a held gauge is reported; zero where none is held.
    pub(crate) fn max_age(&self) -> time::Duration {
        if self.metrics.is_empty() { time::Duration::ZERO } else { self.max_age }
    }

    /// Whether the gauge of this name is held.
    pub(crate) fn holds(&self, name: &str) -> bool {
        self.metrics.iter().any(|pattern| pattern.is_match(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_are_held_by_name_and_none_without() {
        let mut report = Report::new();
        let compile =
            |json: &str, report: &mut Report| GaugeHold::compile(&serde_json::from_str(json).unwrap(), report);
        assert_eq!(compile("{}", &mut report).max_age(), time::Duration::ZERO);
        let hold = compile(r#"{"metrics": ["app.*.size", "workers"]}"#, &mut report);
        assert_eq!(hold.max_age(), time::Duration::from_secs(300));
        assert!(hold.holds("workers") && hold.holds("app.queue.size"));
        assert!(!hold.holds("app.a.b.size") && !hold.holds("workers.busy"));
        assert!(report.is_empty());
        compile(r#"{"metrics": ["ok", "("], "match_type": "regex"}"#, &mut report);
        assert_eq!(report.problems()[0].path, "gauge_hold.metrics[1]");
    }
}
