//! What a report says.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hornpipe_model::{Signal, Timestamp};

use super::*;
use crate::Clock;
use crate::clock::{BoxFuture, ClockSource};
use crate::component::reason;
use crate::delivery::{QUEUE_CAPACITY, QUEUE_OLDEST, QUEUE_SIZE};
use crate::state_dir::StateDirectory;
use crate::telemetry::{
    ComponentIdentity, ComponentKind, ComponentTelemetry, PipelineTopology, Status, Telemetry, Waiting,
};

/// The time of every report here.
const NOW: u64 = 1_700_000_000;

/// A clock that stands still.
struct Still;

impl ClockSource for Still {
    fn unix(&self) -> Timestamp {
        Timestamp::from_secs(NOW)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn sleep_until(&self, _deadline: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

fn clock() -> Clock {
    Clock::new(Arc::new(Still))
}

struct Bench {
    telemetry: Telemetry,
    board: StatusBoard,
}

impl Bench {
    /// statsd through percentiles to datadog and otlp, at work.
    fn new(facts: ProcessFacts) -> Self {
        let telemetry = Telemetry::new(clock());
        let bench = Bench { board: StatusBoard::new(facts, telemetry.clone(), clock()), telemetry };
        for (kind, id, pipeline) in [
            (ComponentKind::Exporter, "otlp", None),
            (ComponentKind::Exporter, "datadog", None),
            (ComponentKind::Exporter, "gone", None),
            (ComponentKind::Processor, "percentiles", Some("metrics")),
            (ComponentKind::Receiver, "statsd", None),
            (ComponentKind::Extension, "health_check", None),
        ] {
            bench.component(kind, id, pipeline);
        }
        let owned = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect();
        bench.telemetry.set_pipelines(vec![PipelineTopology {
            id: "metrics".to_owned(),
            signal: Signal::Metrics,
            receivers: owned(&["statsd"]),
            processors: owned(&["percentiles"]),
            exporters: owned(&["datadog", "otlp"]),
        }]);
        bench.board.set_extensions(vec!["health_check".to_owned()]);
        bench.board.set_phase(Phase::Running);
        bench
    }

    fn component(&self, kind: ComponentKind, id: &str, pipeline: Option<&str>) -> Arc<ComponentTelemetry> {
        self.telemetry.component(ComponentIdentity { kind, id: id.to_owned(), pipeline: pipeline.map(str::to_owned) })
    }

    fn exporter(&self, id: &str) -> Arc<ComponentTelemetry> {
        self.component(ComponentKind::Exporter, id, None)
    }

    fn report(&self) -> StatusReport {
        self.board.reader().report()
    }
}

fn facts() -> ProcessFacts {
    ProcessFacts {
        config_files: vec![PathBuf::from("/etc/hornpipe/pipeline.yaml")],
        host: HostStatus { name: Some("web-1".to_owned()), source: "DD_HOSTNAME".to_owned(), advice: None },
        state_directory: StateDirectory { path: "/var/lib/hornpipe".into(), problem: None },
    }
}

const REFUSED: &str = "datadog: API key ending 1a2b3 refused by datadoghq.eu: check DD_API_KEY and DD_SITE";

fn busy() -> Bench {
    let bench = Bench::new(facts());
    let statsd = bench.component(ComponentKind::Receiver, "statsd", None);
    statsd.set_fact("listens on", "127.0.0.1:8125, [::1]:8125");
    statsd.counter("hornpipe_statsd_packets", "{packet}", "").add(90);
    statsd.counter("hornpipe_statsd_kernel_drops", "{packet}", "");
    let counters = statsd.signal(Signal::Metrics);
    counters.received.add(103);
    counters.passed.add(100);
    counters.emitted.add(12);
    counters.dropped("missing_type", 2);
    counters.dropped("context_limit", 1);
    let exporters = vec!["datadog".to_owned(), "otlp".to_owned()];
    let since = Timestamp::from_secs(NOW - 130);
    statsd.set_waiting(Some(Waiting { exporters, since, last: Duration::ZERO, is_over: false }));

    let datadog = bench.exporter("datadog");
    datadog.set_status(Status::Error(REFUSED.to_owned()));
    datadog.signal(Signal::Metrics).received.add(12);
    datadog.signal(Signal::Metrics).split.add(2);
    datadog.signal(Signal::Metrics).held.add(14);
    datadog.gauge(QUEUE_CAPACITY, "By", "").set(32 << 20);
    datadog.gauge(QUEUE_SIZE, "By", "").set(12_700);
    datadog.gauge(QUEUE_OLDEST, "s", "").set(NOW - 75);

    let otlp = bench.exporter("otlp");
    otlp.set_status(Status::Error("503 from\nlocalhost:4317 \u{1b}[31m".to_owned()));
    otlp.set_status(Status::Ok);
    otlp.signal(Signal::Metrics).dropped(reason::ZERO_FILL, 3);
    bench
}

#[test]
fn the_page_says_what_is_wrong_on_the_line_of_what_it_is_about() {
    let mut report = busy().report();
    report.pid = 812;
    report.version = "1.2.3".to_owned();
    let expected = "\
hornpipe 1.2.3 [ERROR]  pid 812, up 0s

  configuration:   /etc/hornpipe/pipeline.yaml
  host name:       web-1 (from DD_HOSTNAME)
  logs:            off: no pipeline for logs is enabled
  state directory: /var/lib/hornpipe

Pipelines
  metrics: statsd -> percentiles -> datadog, otlp

Receivers
  statsd [OK]
    listens on: 127.0.0.1:8125, [::1]:8125
    waits for 2m10s: no room in the queues of datadog, otlp; what is not read is kept where it is
    metrics: 103 in, 12 out, 3 dropped (context_limit 1, missing_type 2), 0 held
    hornpipe_statsd_packets 90

Processors
  percentiles in metrics [OK]
    metrics: 0 in, 0 out, 0 dropped, 0 held

Exporters
  datadog [ERROR]: datadog: API key ending 1a2b3 refused by datadoghq.eu: check DD_API_KEY and DD_SITE
    metrics: 12 in, 2 more by splitting, 0 out, 0 dropped, 14 held
    queue: 12.4 KiB of 32 MiB, oldest 1m15s
  otlp [OK]
    last error 0s ago: 503 from localhost:4317  [31m
    metrics: 0 in, 0 out, 3 dropped (zero_fill 3), 0 held

Extensions
  health_check [OK]
";
    assert_eq!(report.to_string(), expected);
}

#[test]
fn the_pipelines_for_logs_are_named() {
    let pipeline = |id: &str, signal| PipelineTopology {
        id: id.to_owned(),
        signal,
        receivers: Vec::new(),
        processors: Vec::new(),
        exporters: Vec::new(),
    };
    let pipelines = ["logs/events", "logs"].map(|id| pipeline(id, Signal::Logs)).to_vec();
    let report = StatusReport { pipelines, ..StatusReport::default() };
    assert!(report.to_string().contains("  logs:            logs/events, logs\n"), "{report}");
    let report = StatusReport { pipelines: vec![pipeline("metrics", Signal::Metrics)], ..StatusReport::default() };
    assert!(report.to_string().contains("  logs:            off: no pipeline for logs is enabled\n"), "{report}");
}

#[test]
fn the_json_can_be_read_back_and_needs_no_field() {
    let report = busy().report();
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<StatusReport>(&json).unwrap(), report);
    assert_eq!(serde_json::from_str::<StatusReport>("{}").unwrap(), StatusReport::default());

    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["status"], "error");
    assert_eq!(value["exporters"][0]["queue"]["oldest_age_seconds"], 75);
    assert_eq!(value["receivers"][0]["waiting"]["age_seconds"], 130);
    assert_eq!(value["receivers"][0]["signals"]["metrics"]["dropped"]["missing_type"], 2);
    assert_eq!(value["receivers"][0]["numbers"]["hornpipe_statsd_packets"], 90);
}

#[test]
fn what_the_process_goes_without_is_a_warning() {
    let problem = "no state directory can be written (/x: denied); set HORNPIPE_STATE_DIR";
    let state_directory = StateDirectory { path: "/x".into(), problem: Some(problem.to_owned()) };
    let bench = Bench::new(ProcessFacts { state_directory, ..facts() });
    assert_eq!(bench.report().status, Health::Warning);
    assert!(bench.report().to_string().contains(&format!("  state directory: [WARNING] {problem}\n")));

    let bench = Bench::new(facts());
    assert_eq!(bench.report().status, Health::Ok);
    bench.board.set_warnings(vec!["own metrics are not available".to_owned()]);
    assert_eq!(bench.report().status, Health::Warning);
    assert!(bench.report().to_string().contains("  warning:         own metrics are not available\n"));
}

#[test]
fn a_reload_that_failed_is_an_error_until_one_succeeds() {
    let bench = Bench::new(facts());
    assert_eq!(bench.report().last_reload, None);
    let error = "error: unknown key `endpont`\n  --> a.yaml:3:5\n   |\n 3 |     endpont: \u{1b}x\n   |     ^^^^^^^\n";
    bench.board.record_reload(Err(error.to_owned()));
    let report = bench.report();
    assert_eq!(report.status, Health::Error);
    let expected = "  last reload:     [ERROR] 0s ago; the configuration before it runs on
    error: unknown key `endpont`
      --> a.yaml:3:5
       |
     3 |     endpont:  x
       |     ^^^^^^^
";
    assert!(report.to_string().contains(expected), "{report}");
    bench.board.record_reload(Ok(()));
    assert_eq!(bench.report().status, Health::Ok);
    assert!(bench.report().to_string().contains("  last reload:     [OK] 0s ago\n"));
}

#[test]
fn a_host_without_a_name_comes_with_advice() {
    let host = HostStatus { name: None, source: String::new(), advice: Some("set DD_HOSTNAME".to_owned()) };
    let report = Bench::new(ProcessFacts { host, ..facts() }).report();
    assert!(report.to_string().contains("  host name:       none; set DD_HOSTNAME\n"), "{report}");
}

#[test]
fn a_warning_of_a_component_is_one_of_the_process() {
    let bench = Bench::new(facts());
    bench.exporter("otlp").set_status(Status::Warning("half of it".to_owned()));
    assert_eq!(bench.report().status, Health::Warning);
    assert!(bench.report().to_string().contains("  otlp [WARNING]: half of it\n"));
}

#[test]
fn a_warning_that_lasts_shows_while_nothing_is_worse_and_ends_when_it_is_taken_back() {
    let bench = Bench::new(facts());
    let otlp = bench.exporter("otlp");
    otlp.set_warning("queue on disk", "/queue: no space left");
    assert_eq!(bench.report().status, Health::Warning);
    let text = bench.report().to_string();
    assert!(text.contains("  otlp [WARNING]: queue on disk: /queue: no space left\n    metrics"), "{text}");
    otlp.set_status(Status::Error("refused".to_owned()));
    let text = bench.report().to_string();
    assert!(text.contains("  otlp [ERROR]: refused\n    queue on disk: /queue: no space left\n"), "{text}");
    otlp.set_status(Status::Ok);
    otlp.set_warning("queue on disk", "");
    assert_eq!((bench.report().status, bench.report().exporters[1].facts.len()), (Health::Ok, 0));
}

#[test]
fn readiness_is_about_receivers_and_about_backends_where_asked() {
    let bench = busy();
    let ready = |with_backends| bench.board.reader().readiness(with_backends);
    assert_eq!(ready(false), Readiness { ready: true, problems: Vec::new() });
    assert_eq!(ready(true), Readiness { ready: false, problems: vec![format!("exporter datadog: {REFUSED}")] });

    let statsd = bench.component(ComponentKind::Receiver, "statsd", None);
    statsd.set_status(Status::Error("the socket is gone".to_owned()));
    assert_eq!(ready(false).problems, ["receiver statsd: the socket is gone"]);
    statsd.set_status(Status::Ok);

    for (phase, expected) in [
        (Phase::Starting, &["hornpipe is starting"][..]),
        (Phase::Running, &[]),
        (Phase::Stopping, &["hornpipe is stopping"]),
    ] {
        bench.board.set_phase(phase);
        assert_eq!(ready(false).problems, expected);
    }
}

#[test]
fn a_component_of_an_earlier_graph_is_not_shown() {
    let report = busy().report();
    let ids: Vec<&str> = report.exporters.iter().map(|exporter| exporter.id.as_str()).collect();
    assert_eq!(ids, ["datadog", "otlp"], "in the order of the configuration");
}

#[test]
fn a_check_says_what_each_instance_found_and_an_instance_in_error_is_one_of_the_process() {
    let bench = Bench::new(facts());
    let statsd = bench.component(ComponentKind::Receiver, "statsd", None);
    assert_eq!(bench.report().checks, []);
    let found = |status, message: Option<&str>, details: &[&str]| CheckInstance {
        status,
        message: message.map(str::to_owned),
        details: details.iter().map(|&line| line.to_owned()).collect(),
    };
    let mut check = CheckReport {
        name: "gunicorn".to_owned(),
        version: Some("27.0.1".to_owned()),
        instances: vec![found(Health::Ok, None, &["web1: 1 master"]), found(Health::Error, Some("no\nmaster"), &[])],
        metrics: 2,
        events: 0,
        service_checks: 1,
        dependencies: [("sysinfo".to_owned(), "0.1".to_owned())].into(),
    };
    statsd.set_check(check.clone());
    let report = bench.report();
    assert_eq!(report.status, Health::Error);
    let expected = "
Checks
  gunicorn (27.0.1)
    instance #0 [OK]
      web1: 1 master
    instance #1 [ERROR]: 'no master'
    Collected 2 metrics, 0 events & 1 service check
    Dependencies: sysinfo: 0.1

Receivers
";
    assert!(report.to_string().contains(expected), "{report}");
    assert_eq!(
        bench.board.reader().readiness(true).problems,
        [""; 0],
        "an application that is down is not our failure"
    );

    check.instances.pop();
    check.version = None;
    statsd.set_check(check);
    assert_eq!(bench.report().status, Health::Ok);
    assert!(bench.report().to_string().contains("\n  gunicorn (version unknown)\n"));
}
