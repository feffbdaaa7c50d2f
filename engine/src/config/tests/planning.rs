//! Whole configurations: components, pipelines and how they fit.

use hornpipe_model::Signal;
use schemars::JsonSchema;
use serde::Deserialize;

use super::*;
use crate::Registry;
use crate::component::{
    BuildContext, BuildError, ComponentType, Exporter, ExporterConfig, Processor, ProcessorConfig, Receiver,
    ReceiverConfig,
};
use crate::delivery::{DeliveryConfig, QueueConfig, RetryConfig};
use crate::sockets::{Claim, Place, Protocol};

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Statsd {
    endpoint: String,
    interval: Duration,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Filter {
    names: Vec<String>,
    rules: Vec<Rule>,
    unit: Unit,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(rename = "type")]
    kind: RuleKind,
    #[serde(default)]
    pattern: String,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum RuleKind {
    Numbers,
    Regex,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Unit {
    #[default]
    Items,
    Bytes,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Otlp {
    api_key: Secret,
    retry_on_failure: RetryConfig,
    sending_queue: QueueConfig,
}

impl ComponentType for Statsd {
    const TYPE: &'static str = "statsd";
    const SIGNALS: &'static [Signal] = &[Signal::Metrics];
    const SUMMARY: &'static str = "for tests";
}

impl ComponentType for Filter {
    const TYPE: &'static str = "filter";
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const SUMMARY: &'static str = "for tests";
}

impl ComponentType for Otlp {
    const TYPE: &'static str = "otlp_grpc";
    const ALIASES: &'static [&'static str] = &["otlp"];
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const SUMMARY: &'static str = "for tests";
}

impl ReceiverConfig for Statsd {
    fn validate(&self, report: &mut Report) {
        if self.interval.is_zero() {
            report.error("interval", "must be at least 1s");
        }
    }

    fn claims(&self) -> Vec<Claim> {
        let places = Place::of_endpoint(Protocol::Udp, &self.endpoint);
        let is_set = |_: &Place| !self.endpoint.is_empty();
        places.into_iter().filter(is_set).map(|place| Claim { option: "endpoint".to_owned(), place }).collect()
    }

    fn build(&self, _: BuildContext) -> Result<Box<dyn Receiver>, BuildError> {
        Err(BuildError::new("", "not built in tests"))
    }
}

impl ProcessorConfig for Filter {
    fn validate(&self, report: &mut Report) {
        for (at, rule) in self.rules.iter().enumerate() {
            if rule.kind == RuleKind::Numbers && !rule.pattern.is_empty() {
                report.error(&format!("rules.{at}.pattern"), "`numbers` has no use for it");
            }
        }
    }

    fn build(&self, _: Signal, _: BuildContext) -> Result<Box<dyn Processor>, BuildError> {
        Err(BuildError::new("", "not built in tests"))
    }
}

impl ExporterConfig for Otlp {
    fn validate(&self, report: &mut Report) {
        if self.api_key.is_empty() {
            report.error_with_help("api_key", "is missing", "set it");
        }
    }

    fn delivery(&self) -> DeliveryConfig {
        DeliveryConfig {
            sending_queue: self.sending_queue.clone(),
            retry_on_failure: self.retry_on_failure.clone(),
            timeout: Duration::ZERO,
        }
    }

    fn build(&self, _: BuildContext) -> Result<Box<dyn Exporter>, BuildError> {
        Err(BuildError::new("", "not built in tests"))
    }
}

pub(super) fn registry() -> Registry {
    Registry::default().receiver::<Statsd>().processor::<Filter>().exporter::<Otlp>()
}

fn planned(text: &str, environment: &FixedEnvironment) -> (Option<Plan>, String) {
    let (plan, diagnostics) = load(&[source(&flush(text))], environment, &registry());
    (plan, diagnostics.to_string())
}

fn good(text: &str, environment: &FixedEnvironment) -> Plan {
    let (plan, printed) = planned(text, environment);
    plan.unwrap_or_else(|| panic!("{text}\n{printed}"))
}

fn bad(text: &str) -> String {
    let (plan, printed) = planned(text, &FixedEnvironment::new());
    assert!(plan.is_none(), "{text}");
    printed
}

fn ids<C: ?Sized>(components: &[Planned<C>]) -> Vec<&str> {
    components.iter().map(|planned| planned.id.as_str()).collect()
}

const WORKING: &str = "
    receivers:
      statsd: {interval: 10s}
      statsd/two: {interval: 1s, endpoint: \"${env:UNSET}\"}
    processors:
      filter:
    exporters:
      otlp_grpc: {api_key: k}
      otlp/eu: {api_key: \"${env:UNSET}\"}
    service:
      shutdown_timeout: 3s
      pipelines:
        metrics:
          receivers: [statsd]
          processors: [filter]
          exporters: ${env:EXPORTERS:-[otlp_grpc]}
        logs/off:
          enabled: ${env:LOGS:-false}
          receivers: [\"${env:UNSET}\"]
          exporters: [otlp/eu]
      hostname: ${env:HOST:-web-1}
    ";

#[test]
fn a_plan_holds_what_enabled_pipelines_use() {
    let plan = good(WORKING, &FixedEnvironment::new());
    assert_eq!(ids(&plan.receivers), ["statsd"]);
    assert_eq!(ids(&plan.processors), ["filter"]);
    assert_eq!(ids(&plan.exporters), ["otlp_grpc"]);
    assert_eq!(plan.service.shutdown_timeout, Duration::from_secs(3));
    assert_eq!(plan.service.hostname.as_deref(), Some("web-1"));
    let variable = |path: &str| plan.root.find(&NodePath::parse(path)).and_then(Node::variable);
    assert_eq!(variable("service.pipelines.metrics.exporters"), Some("EXPORTERS"), "also while it is not set");
    assert_eq!(variable("service.pipelines.metrics.receivers"), None);
    let [pipeline] = &plan.pipelines[..] else { panic!("{:?}", plan.pipelines) };
    assert_eq!((pipeline.id.as_str(), pipeline.signal), ("metrics", Signal::Metrics));
    assert_eq!(pipeline.receivers, ["statsd"]);
    assert_eq!(pipeline.exporters, ["otlp_grpc"]);
}

#[test]
fn the_environment_chooses_exporters_and_switches_pipelines() {
    let environment =
        FixedEnvironment::new().with_variable("EXPORTERS", "[otlp_grpc, otlp/eu]").with_variable("UNSET", "k");
    let plan = good(WORKING, &environment);
    assert_eq!(ids(&plan.exporters), ["otlp_grpc", "otlp/eu"]);
    let plan = good(WORKING, &FixedEnvironment::new().with_variable("EXPORTERS", "otlp_grpc"));
    assert_eq!(plan.pipelines[0].exporters, ["otlp_grpc"]);

    let (plan, printed) = planned(WORKING, &FixedEnvironment::new().with_variable("LOGS", "true"));
    assert!(plan.is_none());
    for place in [
        "pipeline.yaml:18:19 (service.pipelines.logs/off.receivers[0])",
        "pipeline.yaml:8:22 (exporters.otlp/eu.api_key)",
    ] {
        assert!(printed.contains(place), "{place}\n{printed}");
    }
    assert_eq!(printed.matches("error: environment variable `UNSET` is not set\n").count(), 2, "{printed}");
    assert!(printed.ends_with("2 errors in pipeline.yaml\n"), "{printed}");

    let (_, printed) = planned(WORKING, &FixedEnvironment::new().with_variable("EXPORTERS", "[otlp_grpc, nobody]"));
    assert!(printed.starts_with("error: exporter number 2 of `${env:EXPORTERS}` is not defined\n"), "{printed}");
    assert!(
        printed.contains("= help: defined exporters: otlp_grpc, otlp/eu\n") && !printed.contains("nobody"),
        "{printed}"
    );
}

#[test]
fn two_receivers_at_one_address_are_refused_with_both_places() {
    let text = |second: &str, used: &str| {
        format!(
            "
        receivers:
          statsd: {{interval: 1s, endpoint: localhost:8125}}
          statsd/two: {{interval: 1s, endpoint: \"{second}\"}}
        exporters: {{otlp: {{api_key: k}}}}
        service: {{pipelines: {{metrics: {{receivers: [{used}], exporters: [otlp]}}}}}}
        "
        )
    };
    let printed = bad(&text("0.0.0.0:8125", "statsd, statsd/two"));
    let message = "error: is where `receivers.statsd.endpoint` (pipeline.yaml:2:36) listens already";
    assert!(printed.starts_with(message), "{printed}");
    assert!(printed.contains("pipeline.yaml:3:40 (receivers.statsd/two.endpoint)"), "{printed}");
    assert!(printed.ends_with("1 error in pipeline.yaml\n"), "{printed}");
    good(&text("localhost:8126", "statsd, statsd/two"), &FixedEnvironment::new());
    good(&text("localhost:8125", "statsd/two"), &FixedEnvironment::new());
}

#[test]
fn the_defaults_of_the_service_are_there() {
    let text = "
        receivers: {statsd: {interval: 1s}}
        exporters: {otlp: {api_key: k}}
        service: {pipelines: {metrics: {receivers: [statsd], exporters: [otlp]}}}
        ";
    assert_eq!(good(text, &FixedEnvironment::new()).service, ServiceConfig::default());
    assert_eq!(ServiceConfig::default().shutdown_timeout, Duration::from_secs(8));
}

#[test]
fn all_errors_of_a_file_are_reported_at_once() {
    let text = "
        receivers:
          statd:
          statsd:
            intervall: 10s
          statsd/idle:
            endpoit: a
            interval: ${env:UNSET}
        procesors: {}
        exporters:
          otlp: {api_key: \"${env:KEY}\"}
          1x:
        connectors:
          forward:
        service:
          pipelines:
            metrics:
              receivers: [statsd, statsd, statd/a]
              exporters: [otpl, otlp]
            logs:
              receivers: [statsd]
              processors: [filter]
              exporters: [debug]
              enable: true
            traces:
              receivers: [statsd]
              exporters: [otlp]
            metrics/none:
              receivers: []
          telemtry: {}
        ";
    let printed = bad(text);
    let expected = "error: unknown receiver type `statd`
  --> pipeline.yaml:2:3 (receivers.statd)
   |
 2 |   statd:
   |   ^^^^^
   = help: did you mean `statsd`? valid types: statsd

error: unknown key `intervall`
  --> pipeline.yaml:4:5 (receivers.statsd.intervall)
   |
 4 |     intervall: 10s
   |     ^^^^^^^^^
   = help: did you mean `interval`?

error: unknown key `endpoit`
  --> pipeline.yaml:6:5 (receivers.statsd/idle.endpoit)
   |
 6 |     endpoit: a
   |     ^^^^^^^
   = help: did you mean `endpoint`?

error: unknown key `procesors`
  --> pipeline.yaml:8:1 (procesors)
   |
 8 | procesors: {}
   | ^^^^^^^^^
   = help: did you mean `processors`?

error: environment variable `KEY` is not set
   --> pipeline.yaml:10:19 (exporters.otlp.api_key)
    |
 10 |   otlp: {api_key: \"${env:KEY}\"}
    |                   ^^^^^^^^^^^^
    = help: set KEY, or give a default: ${env:KEY:-value}

error: `1x` is not an id: a component type starts with a letter and has at most 63 letters, digits and `_`
   --> pipeline.yaml:11:3 (exporters)
    |
 11 |   1x:
    |   ^^
    = help: write `type` or `type/name`

error: connectors are not supported
   --> pipeline.yaml:12:1 (connectors)
    |
 12 | connectors:
    | ^^^^^^^^^^
    = help: let a receiver feed several pipelines instead

error: receiver `statsd` is listed twice
   --> pipeline.yaml:17:27 (service.pipelines.metrics.receivers[1])
    |
 17 |       receivers: [statsd, statsd, statd/a]
    |                           ^^^^^^
    = help: list it once

error: receiver `statd/a` is not defined
   --> pipeline.yaml:17:35 (service.pipelines.metrics.receivers[2])
    |
 17 |       receivers: [statsd, statsd, statd/a]
    |                                   ^^^^^^^
    = help: did you mean `statd`?

error: exporter `otpl` is not defined
   --> pipeline.yaml:18:19 (service.pipelines.metrics.exporters[0])
    |
 18 |       exporters: [otpl, otlp]
    |                   ^^^^
    = help: did you mean `otlp`?

error: receiver `statsd` does not support logs
   --> pipeline.yaml:20:19 (service.pipelines.logs.receivers[0])
    |
 20 |       receivers: [statsd]
    |                   ^^^^^^
    = help: it supports: metrics

error: processor `filter` is not defined
   --> pipeline.yaml:21:20 (service.pipelines.logs.processors[0])
    |
 21 |       processors: [filter]
    |                    ^^^^^^
    = help: add `filter:` under `processors`

error: exporter `debug` is not defined
   --> pipeline.yaml:22:19 (service.pipelines.logs.exporters[0])
    |
 22 |       exporters: [debug]
    |                   ^^^^^
    = help: defined exporters: otlp

error: unknown key `enable`
   --> pipeline.yaml:23:7 (service.pipelines.logs.enable)
    |
 23 |       enable: true
    |       ^^^^^^
    = help: did you mean `enabled`?

error: `traces` is not a pipeline: pipelines for traces are not supported
   --> pipeline.yaml:24:5 (service.pipelines.traces)
    |
 24 |     traces:
    |     ^^^^^^
    = help: supported signals: metrics, logs

error: the pipeline has no exporter
   --> pipeline.yaml:27:5 (service.pipelines.metrics/none.exporters)
    |
 27 |     metrics/none:
    |     ^^^^^^^^^^^^
    = help: defined exporters: otlp

error: the pipeline has no receiver
   --> pipeline.yaml:28:18 (service.pipelines.metrics/none.receivers)
    |
 28 |       receivers: []
    |                  ^
    = help: defined receivers: statd, statsd, statsd/idle

error: unknown key `telemtry`
   --> pipeline.yaml:29:3 (service.telemtry)
    |
 29 |   telemtry: {}
    |   ^^^^^^^^
    = help: did you mean `telemetry`?

18 errors in pipeline.yaml
";
    assert_eq!(printed, expected);
}

#[test]
fn what_stands_beside_an_unknown_choice_is_not_judged() {
    let printed = bad("
        receivers: {statsd: {interval: 1s}}
        processors:
          filter:
            unit: byte
            rules:
              - type: regexx
                pattern: a
              - type: numbers
                pattern: b
        exporters: {otlp: {api_key: a}}
        service:
          pipelines:
            metrics: {receivers: [statsd], processors: [filter], exporters: [otlp]}
    ");
    let errors: Vec<&str> = printed.lines().filter(|line| line.starts_with("error: ")).collect();
    let expected = [
        "error: `byte` is not a valid value",
        "error: `regexx` is not a valid value",
        "error: `numbers` has no use for it",
    ];
    assert_eq!(errors, expected, "{printed}");
}

#[test]
fn a_mistyped_key_is_the_only_error_about_it() {
    let text = "
        receivers: {statsd: {interval: 1s}}
        processors: {filter: }
        exporters: {otlp: {api_key: a}}
        extensions: {}
        service:
          extensions: []
          pipelines:
            metrics: {receivers: [statsd], processors: [filter], exporters: [otlp]}
    ";
    good(text, &FixedEnvironment::new());
    for (right, wrong, expected) in [
        ("receivers: {", "recievers: {", "unknown key `recievers`"),
        ("processors: {", "procesors: {", "unknown key `procesors`"),
        ("exporters: {", "exporter: {", "unknown key `exporter`"),
        ("service:", "services:", "unknown key `services`"),
        ("pipelines:", "pipeline:", "unknown key `pipeline`"),
        ("{receivers:", "{receiver:", "unknown key `receiver`"),
        ("{statsd:", "{statd:", "unknown receiver type `statd`"),
        ("{filter:", "{filtr:", "unknown processor type `filtr`"),
        ("extensions: []", "extension: []", "unknown key `extension`"),
        ("receivers: {statsd: {interval: 1s}}", "receivers: [statsd]", "expected a mapping, found a list"),
        ("processors: {filter: }", "processors: [filter]", "expected a mapping, found a list"),
        ("processors: {filter: }", "processors: ${env:UNSET}", "environment variable `UNSET` is not set"),
    ] {
        let printed = bad(&text.replacen(right, wrong, 1));
        assert!(printed.starts_with(&format!("error: {expected}\n")), "{wrong}: {printed}");
        assert!(printed.ends_with("\n1 error in pipeline.yaml\n"), "{wrong}: {printed}");
    }
}

#[test]
fn a_section_in_the_wrong_column_is_the_only_error_about_it() {
    let nested = "
        receivers:
          statsd: {interval: 1s}
          exporters:
            otlp: {api_key: a}
        service: {pipelines: {metrics: {receivers: [statsd], exporters: [otlp]}}}
    ";
    let spread = "
        receivers: {statsd: {interval: 1s}}
        exporters: {otlp: {api_key: a}}
        pipelines: {metrics: {receivers: [statsd], exporters: [otlp]}}
    ";
    for (text, error, help) in [
        (nested, "unknown receiver type `exporters`", "this section starts in the same column as `receivers`"),
        (spread, "unknown key `pipelines`", "it belongs below `service`"),
    ] {
        let printed = bad(text);
        assert!(printed.starts_with(&format!("error: {error}\n")), "{printed}");
        assert!(printed.ends_with(&format!("   = help: {help}\n\n1 error in pipeline.yaml\n")), "{printed}");
    }
}

#[test]
fn what_the_collector_needs_and_we_do_not_is_said() {
    for name in ["batch", "memory_limiter"] {
        let printed = bad(&format!(
            "
            receivers: {{statsd: {{interval: 1s}}}}
            processors: {{{name}: {{timeout: 1s}}}}
            exporters: {{otlp: {{api_key: a}}}}
            service:
              pipelines:
                metrics: {{receivers: [statsd], processors: [{name}], exporters: [otlp]}}
            "
        ));
        assert!(printed.contains("= help: take it out, here and in the pipelines: "), "{printed}");
        assert!(printed.ends_with("\n1 error in pipeline.yaml\n"), "{printed}");
    }
}

#[test]
fn what_is_missing_is_said() {
    for (text, expected) in [
        ("", "error: the configuration is empty\n"),
        ("# nothing", "error: the configuration is empty\n"),
        ("{}", "error: the configuration is empty\n"),
        ("[a]", "error: the configuration is not a mapping of sections\n"),
        ("a", "error: the configuration is not a mapping of sections\n"),
        ("receivers: {}", "error: there is no `exporters` section\n"),
        ("service:", "error: there is no `service` section\n"),
        ("service: {pipelines: }", "error: there is no pipeline\n"),
        ("service: {telemetry: {}}", "error: there is no pipeline\n"),
        ("service: {pipelines: {}}", "error: there is no pipeline\n"),
        ("service: {pipelines: {metrics: {enabled: false}}}", "error: no pipeline is enabled\n"),
        ("service: {pipelines: {metrics: }}", "error: the pipeline has no receiver\n"),
        ("service: {pipelines: {metrics: {receivers: {a: b}}}}", "error: expected a list, found a mapping\n"),
        ("service: {pipelines: {metrics: [a]}}", "error: expected a mapping, found a list\n"),
        ("service: {pipelines: {metrcs: }}", "error: `metrcs` is not a pipeline: a pipeline is called by its signal"),
        ("service: {pipelines: {logs/: }}", "error: `logs/` is not a pipeline: the part after the `/` is empty\n"),
        ("service: {pipelines: {logs: {enabled: maybe}}}", "error: expected `true` or `false`, found `maybe`\n"),
        ("service: {pipelines: {logs/a: , logs / a: }}", "error: `logs / a` is defined twice, but for white space\n"),
        ("receivers: {statsd/a: , statsd / a: }", "error: `statsd / a` is defined twice, but for white space\n"),
        ("receivers: [statsd]", "error: expected a mapping, found a list\n"),
        ("receivers: ${env:UNSET}", "error: environment variable `UNSET` is not set\n"),
        ("service: ${env:UNSET}", "error: environment variable `UNSET` is not set\n"),
        ("service: {pipelines: ${UNSET}", "error: `${UNSET}` must be quoted here"),
        ("service: {shutdown_timeout: 8}", "error: expected a duration with a unit"),
        ("service: {hostname: web 1}", "error: not a host name: spaces, or more than 255 bytes\n"),
        ("service: {telemetry: {metric: }}", "error: unknown key `metric`\n"),
    ] {
        let printed = bad(text);
        assert!(printed.contains(expected), "{text}\n{printed}");
    }
}

#[test]
fn a_disabled_pipeline_may_lack_its_environment_but_not_its_keys() {
    let text = |pipeline: &str| {
        format!(
            "receivers: {{statsd: {{interval: 1s}}}}\nexporters: {{otlp: {{api_key: k}}}}\nservice:\n  pipelines:\n    \
             metrics: {{receivers: [statsd], exporters: [otlp]}}\n    metrics/off: {pipeline}\n"
        )
    };
    good(&text("{enabled: false}"), &FixedEnvironment::new());
    good(&text("{enabled: false, receivers: \"${env:A}\", exporters: [\"${env:B}\"]}"), &FixedEnvironment::new());
    assert!(bad(&text("{enabled: false, receivers: [nobody]}")).contains("error: receiver `nobody` is not defined\n"));
    assert!(bad(&text("{enabled: false, receiver: [statsd]}")).contains("error: unknown key `receiver`\n"));
    assert!(bad(&text("{enabled: \"${env:A}\"}")).contains("error: environment variable `A` is not set\n"));
}

#[test]
fn a_reference_to_another_section_says_so() {
    let printed = bad("
        receivers: {statsd: {interval: 1s}}
        processors: {filter: }
        exporters: {otlp: {api_key: k}}
        service: {pipelines: {metrics: {receivers: [statsd], exporters: [filter]}}}
        ");
    assert!(printed.contains("error: exporter `filter` is not defined\n"), "{printed}");
    assert!(printed.contains("= help: `filter` is defined under processors; defined exporters: otlp\n"), "{printed}");
}

#[test]
fn what_does_not_go_with_the_signals_of_a_queue_is_warned_about() {
    let text = "
        receivers:
          statsd: {interval: 10s}
        exporters:
          otlp: {api_key: k, sending_queue: {num_consumers: 2}, retry_on_failure: {max_elapsed_time: 60s}}
          otlp/one: {api_key: k, sending_queue: {num_consumers: 1}}
        service:
          pipelines:
            metrics: {receivers: [statsd], exporters: [otlp, otlp/one]}
        ";
    let (plan, printed) = planned(text, &FixedEnvironment::new());
    assert!(plan.is_some(), "{printed}");
    // What max_elapsed_time means on disk does not matter: metrics are in memory.
    assert!(printed.contains("(exporters.otlp.sending_queue.num_consumers)"), "{printed}");
    assert!(printed.contains("1 warning in pipeline.yaml"), "{printed}");
}

#[test]
fn a_queue_that_blocks_is_warned_about_where_it_shares_a_receiver() {
    let text = "
        receivers:
          statsd: {interval: 10s}
          statsd/own: {interval: 10s}
        exporters:
          otlp: {api_key: k}
          otlp/blocking:
            api_key: k
            sending_queue: {on_full: block}
          otlp/alone: {api_key: k, sending_queue: {on_full: block}}
        service:
          pipelines:
            metrics: {receivers: [statsd], exporters: [otlp]}
            metrics/two: {receivers: [statsd], exporters: [otlp/blocking]}
            metrics/own: {receivers: [statsd/own], exporters: [otlp/alone]}
        ";
    let (plan, printed) = planned(text, &FixedEnvironment::new());
    assert!(plan.is_some(), "{printed}");
    let expected = "\
warning: a full queue of `otlp/blocking` holds back `otlp`, which share a receiver with it
  --> pipeline.yaml:8:30 (exporters.otlp/blocking.sending_queue.on_full)
   |
 8 |     sending_queue: {on_full: block}
   |                              ^^^^^
   = help: use `drop_oldest`, or give it a receiver of its own

1 warning in pipeline.yaml
";
    assert_eq!(printed, expected);
}

#[test]
fn files_are_laid_over_each_other_before_they_are_planned() {
    let first = source(&flush(WORKING));
    let second =
        Source::new("site.yaml", "receivers: {statsd: {interval: 2s}}\nexporters: {otlp_grpc: {api_kye: x}}\n", 1);
    let (plan, diagnostics) = load(&[first, second], &FixedEnvironment::new(), &registry());
    assert!(plan.is_none());
    assert_eq!(
        diagnostics.to_string(),
        "error: unknown key `api_kye`
  --> site.yaml:2:25 (exporters.otlp_grpc.api_kye)
   |
 2 | exporters: {otlp_grpc: {api_kye: [REDACTED]
   |                         ^^^^^^^
   = help: did you mean `api_key`?

1 error in site.yaml
"
    );
}

#[test]
fn a_memory_limit_is_shared_by_the_queues_and_refused_where_it_does_not_do() {
    let with = |limit: &str, queue: &str| {
        let text = "
            receivers: {statsd: {interval: 10s}}
            exporters: {otlp: {api_key: k, sending_queue: QUEUE}}
            service: {memory_limit: LIMIT, pipelines: {metrics: {receivers: [statsd], exporters: [otlp]}}}
        ";
        text.replace("LIMIT", limit).replace("QUEUE", queue)
    };
    let share = |limit: &str, queue: &str| good(&with(limit, queue), &FixedEnvironment::new()).queue_memory;
    // The process itself and the receiver take 48 MiB of it.
    assert_eq!(share("1GiB", "{}"), ByteSize::mib(32));
    assert_eq!(share("58MiB", "{}"), ByteSize::mib(10));
    let printed = bad(&with("48MiB", "{}"));
    assert!(printed.contains("need 49MiB of memory at least, but the limit is 48MiB"), "{printed}");
    let printed = bad(&with("100MiB", "{max_bytes: 64MiB}"));
    assert!(printed.contains("need 112MiB of memory at least, but the limit is 100MiB"), "{printed}");
    assert!(printed.contains("or lower what they may take: statsd 16MiB; queues by"), "{printed}");

    let in_container = |mebibytes| {
        let text = with("", "{}").replace("memory_limit: , ", "");
        let (plan, printed) = planned(&text, &FixedEnvironment::new().with_memory(ByteSize::mib(mebibytes)));
        (plan.expect("a plan").queue_memory, printed)
    };
    assert_eq!(in_container(80), (ByteSize::mib(12), String::new()), "three quarters of it");
    let (share, printed) = in_container(60);
    assert_eq!(share, ByteSize::mib(8), "nobody asked for a limit, so queues get more than the least");
    assert!(printed.contains("but the limit is 45MiB, three quarters of the container's"), "{printed}");
}
