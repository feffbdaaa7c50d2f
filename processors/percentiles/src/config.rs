//! Settings of the `percentiles` processor.

use hornpipe_engine::MatchType;
use hornpipe_engine::config::Report;
use hornpipe_model::distribution::{Aggregate, Percentile, Rendering};
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the values are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputForm {
    /// Each exporter renders what its backend takes: Datadog the wanted series, OTLP one exponential histogram.
    #[default]
    Native,
    /// The processor replaces a distribution with separate series, the same for every exporter.
    Series,
}

/// What is wanted of the metrics that a pattern names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Pattern of the metric name.
    #[serde(rename = "match")]
    pub pattern: String,
    /// How the pattern is written: `wildcard` (`*` is anything without a dot, `**` anything) or `regex`.
    #[serde(default)]
    pub match_type: MatchType,
    /// Aggregates: `max`, `min`, `median`, `avg`, `sum`, `count`. Default: those of the processor.
    #[serde(default)]
    pub aggregates: Option<Vec<String>>,
    /// Percentiles, each from 0 to 1. Default: those of the processor.
    #[serde(default)]
    pub percentiles: Option<Vec<String>>,
}

/// Settings of the `percentiles` processor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PercentilesConfig {
    /// Aggregates of every histogram and timer: `max`, `min`, `median`, `avg`, `sum`, `count`.
    pub aggregates: Vec<String>,
    /// Percentiles of every histogram and timer, each from 0 to 1, such as `0.95`.
    pub percentiles: Vec<String>,
    /// Where the values are computed: `native` by each exporter as its backend takes them, `series` here, as separate
    /// series for every exporter.
    pub output: OutputForm,
    /// Other wishes by metric name; the first rule that matches counts. A DogStatsD distribution (type `d`) keeps its
    /// sketch unless a rule names it.
    pub metrics: Vec<Rule>,
}

impl Default for PercentilesConfig {
    fn default() -> Self {
        let default = Rendering::default();
        PercentilesConfig {
            aggregates: default.aggregates.iter().map(|aggregate| aggregate.as_str().to_owned()).collect(),
            percentiles: vec!["0.95".to_owned()],
            output: OutputForm::default(),
            metrics: Vec::new(),
        }
    }
}

/// A rule ready for use.
#[derive(Clone, Debug)]
pub struct CompiledRule {
    /// Matches the whole name.
    pub pattern: Regex,
    /// What is wanted.
    pub rendering: Rendering,
}

impl PercentilesConfig {
    /// The rendering for all histograms and timers; problems go to the report.
    pub fn rendering(&self, report: &mut Report) -> Rendering {
        parse_rendering(&self.aggregates, &self.percentiles, "", report)
    }

    /// The rules; problems go to the report.
    pub fn rules(&self, report: &mut Report) -> Vec<CompiledRule> {
        let mut rules = Vec::with_capacity(self.metrics.len());
        for (index, rule) in self.metrics.iter().enumerate() {
            let path = format!("metrics.{index}.");
            let aggregates = rule.aggregates.as_ref().unwrap_or(&self.aggregates);
            let percentiles = rule.percentiles.as_ref().unwrap_or(&self.percentiles);
            let rendering = parse_rendering(aggregates, percentiles, &path, report);
            match rule.match_type.compile(&rule.pattern) {
                Ok(pattern) => rules.push(CompiledRule { pattern, rendering }),
                Err(error) => report.error(&format!("{path}match"), error.to_string()),
            }
        }
        rules
    }
}

fn parse_rendering(aggregates: &[String], percentiles: &[String], path: &str, report: &mut Report) -> Rendering {
    let mut rendering = Rendering { aggregates: Vec::new(), percentiles: Vec::new() };
    for (index, text) in aggregates.iter().enumerate() {
        match text.parse::<Aggregate>() {
            Ok(aggregate) => rendering.aggregates.push(aggregate),
            Err(error) => report.error(&format!("{path}aggregates.{index}"), error.to_string()),
        }
    }
    for (index, text) in percentiles.iter().enumerate() {
        match text.parse::<Percentile>() {
            Ok(percentile) => rendering.percentiles.push(percentile),
            Err(error) => report.error(&format!("{path}percentiles.{index}"), error.to_string()),
        }
    }
    if rendering.aggregates.is_empty() && rendering.percentiles.is_empty() {
        report.error(&format!("{path}aggregates"), "nothing is wanted: name at least one aggregate or percentile");
    }
    rendering
}
