//! Configurations that cannot run: one call of `validate` reports everything that is wrong, each with its place.

use std::path::Path;
use std::process::Output;

use crate::support::{Directory, hornpipe};

/// Every mistake that a newcomer makes, each in a line of its own.
const BROKEN: &str = "\
receivers:
  statsd:
    endpont: localhost:8125
    aggregation_interval: 1500ms
  statsdd:
    endpoint: localhost:8126
processors:
  percentiles:
    percentiles: [1.5]
exporters:
  datadog:
    api:
      key: ${env:NOT_SET_ANYWHERE}
  otlp:
    temporality: sometimes
service:
  pipelines:
    metrics:
      receivers: [statsd, statsdd]
      processors: [percentiles]
      exporters: [datadog, otlp, oltp]
    logs:
      receivers: [statsd]
      processors: [percentiles]
      exporters: [otlp]
";

fn run(command: &str, text: &str) -> (Output, String) {
    let directory = Directory::new();
    let file = directory.write("pipeline.yaml", text);
    let output = hornpipe().args([command, "--config"]).arg(&file).output().unwrap();
    // Places are easier to read without the directory.
    let words = String::from_utf8_lossy(&output.stderr).replace(&format!("{}/", directory.path().display()), "");
    (output, words)
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_places() {
    let (output, words) = run("validate", BROKEN);
    assert!(!output.status.success());
    let expected = [
        ("endpont", "3:5 (receivers.statsd.endpont)", "did you mean `endpoint`?"),
        ("whole seconds", "4:27 (receivers.statsd.aggregation_interval)", ""),
        ("statsdd", "5:3 (receivers.statsdd)", "did you mean `statsd`?"),
        ("1.5", "9:19 (processors.percentiles.percentiles[0])", ""),
        ("NOT_SET_ANYWHERE", "13:12 (exporters.datadog.api.key)", "set NOT_SET_ANYWHERE"),
        ("sometimes", "15:18 (exporters.otlp.temporality)", "cumulative, delta"),
        ("oltp", "21:34 (service.pipelines.metrics.exporters[2])", "did you mean `otlp`?"),
        ("does not support logs", "24:20 (service.pipelines.logs.processors[0])", ""),
    ];
    let errors: Vec<&str> = words.split("error: ").skip(1).collect();
    assert_eq!(errors.len(), expected.len(), "{words}");
    for (error, (about, place, hint)) in errors.into_iter().zip(expected) {
        assert!(error.lines().next().is_some_and(|title| title.contains(about)), "{error} is not about {about}");
        assert!(error.contains(&format!("--> pipeline.yaml:{place}\n")), "{error} is not at {place}");
        assert!(error.contains(hint), "{error} does not say {hint}");
    }
}

#[test]
fn a_broken_configuration_does_not_run() {
    let (output, words) = run("run", BROKEN);
    assert!(!output.status.success());
    assert!(words.contains("NOT_SET_ANYWHERE") && !words.contains("hornpipe runs"), "{words}");
}

#[test]
fn text_that_is_not_yaml_is_an_error_with_a_place() {
    let (output, words) = run("validate", "receivers:\n  statsd: [\n");
    assert!(!output.status.success());
    assert!(words.contains("pipeline.yaml:"), "{words}");
}

#[test]
fn a_good_configuration_is_said_to_be_good() {
    let good = "receivers:\n  statsd:\nexporters:\n  debug:\nservice:\n  pipelines:\n    \
                metrics: {receivers: [statsd], exporters: [debug]}\n";
    let (output, words) = run("validate", good);
    assert!(output.status.success(), "{words}");
}

#[test]
fn a_missing_file_is_named() {
    let output = hornpipe().args(["run", "--config", "/nonexistent/pipeline.yaml"]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/pipeline.yaml"));
}

#[test]
fn the_built_in_components_are_listed() {
    let output = hornpipe().arg("components").output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    for component in ["statsd", "percentiles", "datadog", "otlp", "debug"] {
        assert!(words.contains(component), "{component} is not in:\n{words}");
    }
}

#[test]
fn a_reader_that_closed_the_pipe_is_no_failure() {
    for command in ["components", "--help"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = hornpipe().arg(command).stdout(writer).output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
    }
}

/// The settings that the Collector's own documentation shows for its `statsd` receiver.
const OF_THE_COLLECTOR: &str = "\
receivers:
  statsd:
    endpoint: localhost:8127
    aggregation_interval: 70s
    enable_metric_type: true
    is_monotonic_counter: false
    timer_histogram_mapping:
      - statsd_type: histogram
        observer_type: histogram
        histogram: {max_size: 100}
      - statsd_type: timing
        observer_type: summary
        summary: {percentiles: [0, 10, 50, 90, 95, 100]}
exporters:
  debug:
service:
  pipelines:
    metrics: {receivers: [statsd], exporters: [debug]}
";

#[test]
fn a_collectors_statsd_settings_load_and_what_is_done_differently_is_said() {
    let (output, words) = run("validate", OF_THE_COLLECTOR);
    assert!(output.status.success(), "{words}");
    for place in ["6:27 ", "10:20 ", "12:24 ", "13:18 "] {
        assert!(words.contains(place), "{place} in {words}");
    }
    assert_eq!(words.matches("warning: ").count(), 4, "{words}");
    assert!(words.contains("use `processors: percentiles`"), "{words}");
}

/// The YAML blocks of a README.
fn yaml_blocks(path: &str) -> Vec<String> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let blocks = readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split_once("```"));
    blocks.map(|(block, _)| block.to_owned()).collect()
}

#[test]
fn the_settings_in_the_readmes_of_processors_for_logs_are_good() {
    for name in ["filter", "multiline", "parse"] {
        let blocks = yaml_blocks(&format!("processors/{name}/README.md"));
        assert!(!blocks.is_empty());
        for block in blocks {
            let around = format!(
                "receivers: {{statsd: }}\nexporters: {{debug: }}\n{block}service:\n  pipelines:\n    \
                 logs: {{receivers: [statsd], processors: [{name}], exporters: [debug]}}\n"
            );
            let pipeline = if block.contains("service:") { block.clone() } else { around };
            let pipeline = pipeline.replace("DD_API_KEY", "DD_API_KEY:-0123456789abcdef");
            let (output, words) = run("validate", &pipeline);
            assert!(output.status.success() && !words.contains("warning"), "{pipeline}{words}");
        }
    }
}

#[test]
fn the_pipelines_in_the_statsd_receivers_readme_are_good() {
    let blocks = yaml_blocks("receivers/statsd/README.md");
    let pipelines: Vec<&String> = blocks.iter().filter(|block| block.contains("service:")).collect();
    assert!(pipelines.len() >= 3);
    for pipeline in pipelines {
        let (output, words) = run("validate", pipeline);
        assert!(output.status.success() && !words.contains("warning"), "{pipeline}{words}");
    }
}
