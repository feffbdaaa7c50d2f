//! `hornpipe status` and `hornpipe health`, asked as a user asks, in good and in bad times.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use hornpipe_engine::status::{Health, StatusReport};
use hornpipe_engine::testing::{FakeDatadog, RefusingPort};

use crate::support::{Directory, Hornpipe, free_address, hornpipe};

/// How long the process may take to come to what a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A key as Datadog makes them, which the fake intake does not know.
const BAD_KEY: &str = "0123456789abcdef0123456789a1a2b3";

/// A running hornpipe with one exporter, and the commands that ask it.
struct Asked {
    hornpipe: Hornpipe,
    state: PathBuf,
}

impl Asked {
    /// With the state directory beside the configuration.
    fn start(directory: &Directory, exporter: &str, health_check: &str) -> Self {
        Self::start_with_state(directory, exporter, health_check, &directory.path().join("state"))
    }

    fn start_with_state(directory: &Directory, exporter: &str, health_check: &str, state: &Path) -> Self {
        let statsd = free_address();
        let config = directory.write("pipeline.yaml", &configuration(statsd, exporter, health_check));
        let hornpipe = Hornpipe::start_with_state(&config, statsd, state);
        Asked { hornpipe, state: state.to_owned() }
    }

    fn ask(&self, arguments: &[&str]) -> Answer {
        ask(&self.state, arguments)
    }

    fn report(&self) -> StatusReport {
        let answer = self.ask(&["status", "--json"]);
        serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error} in {answer:?}"))
    }

    /// Where the health_check extension listens.
    fn health_endpoint(&self) -> String {
        let report = self.report();
        report.extensions[0].facts["listens on"].trim_start_matches("http://").to_owned()
    }

    /// Sends a metric, and waits until the only exporter has it and is in error.
    fn until_the_exporter_fails(&self) {
        self.hornpipe.send(["orders:1|c"]);
        let deadline = Instant::now() + PATIENCE;
        let fails = |report: StatusReport| {
            let exporter = &report.exporters[0];
            exporter.status == Health::Error && exporter.signals.get("metrics").is_some_and(|metrics| metrics.held > 0)
        };
        while !fails(self.report()) {
            assert!(Instant::now() < deadline, "{}", self.report());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What a command did.
#[derive(Debug)]
struct Answer {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn ask(state: &Path, arguments: &[&str]) -> Answer {
    let Output { status, stdout, stderr } =
        hornpipe().args(arguments).env("HORNPIPE_STATE_DIR", state).output().unwrap();
    Answer {
        code: status.code(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

/// StatsD to one exporter, in the shortest windows that there are.
fn configuration(statsd: SocketAddr, exporter: &str, health_check: &str) -> String {
    let id = exporter.split(':').next().unwrap();
    format!(
        "receivers: {{statsd: {{endpoint: '{statsd}', aggregation_interval: 1s}}}}\n\
         exporters: {{{exporter}}}\n\
         extensions: {{health_check: {{endpoint: '127.0.0.1:0', {health_check}}}}}\n\
         service:\n  \
           shutdown_timeout: 300ms\n  \
           telemetry: {{metrics: {{level: none}}}}\n  \
           extensions: [health_check]\n  \
           pipelines: {{metrics: {{receivers: [statsd], exporters: [{id}]}}}}\n"
    )
}

#[test]
fn where_all_is_well_status_says_so_until_the_process_ends() {
    let directory = Directory::new();
    let asked = Asked::start(&directory, "debug: {}", "");
    let answer = asked.ask(&["status"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
    let config = directory.path().join("pipeline.yaml");
    for line in [
        format!("hornpipe {} [OK]  pid ", env!("CARGO_PKG_VERSION")),
        format!("  configuration:   {}\n", config.display()),
        "  logs:            off".to_owned(),
        format!("  state directory: {}\n", asked.state.display()),
        "  metrics: statsd -> debug\n".to_owned(),
        "Receivers\n  statsd [OK]\n".to_owned(),
        "Exporters\n  debug [OK]\n".to_owned(),
        "    queue: 0 B of 32 MiB\n".to_owned(),
        "Extensions\n  health_check [OK]\n".to_owned(),
    ] {
        assert!(answer.stdout.contains(&line), "no {line:?} in\n{}", answer.stdout);
    }
    assert!(!answer.stdout.contains("Checks"), "there are none:\n{}", answer.stdout);

    let report = asked.report();
    assert_eq!((report.status, report.logs_enabled, report.last_reload), (Health::Ok, false, None));
    let health = asked.ask(&["health"]);
    assert_eq!((health.code, health.stdout.as_str()), (Some(0), "ready\n"));
    let endpoint = asked.health_endpoint();
    for asked_for in [endpoint.clone(), format!("{endpoint}/"), format!("{endpoint}/livez")] {
        assert_eq!(asked.ask(&["health", "--endpoint", &asked_for]).code, Some(0), "{asked_for}");
    }
    assert_eq!(asked.ask(&["health", "--endpoint", &format!("{endpoint}/nothing")]).code, Some(1));

    let state = asked.state;
    asked.hornpipe.stop();
    let answer = ask(&state, &["status"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(2), ""));
    let place = state.join("hornpipe.sock");
    assert!(answer.stderr.contains(&format!("{}: there is no socket", place.display())), "{}", answer.stderr);
    assert_eq!(ask(&state, &["health"]).code, Some(1));
    assert_eq!(ask(&state, &["health", "--endpoint", &endpoint]).code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_named_by_its_end_and_counts_for_health_only_where_asked() {
    let datadog = FakeDatadog::start().await;
    let exporter = format!("datadog: {{api: {{key: {BAD_KEY}}}, metrics: {{endpoint: '{}'}}}}", datadog.url());
    let directory = Directory::new();
    let asked = Asked::start(&directory, &exporter, "backends: true");
    asked.until_the_exporter_fails();

    let answer = asked.ask(&["status"]);
    assert_eq!(answer.code, Some(1));
    let line =
        "  datadog [ERROR]: datadog: API key ending 1a2b3 refused by datadoghq.com: check DD_API_KEY and DD_SITE\n";
    assert!(answer.stdout.contains(&line.replace("1a2b3", &BAD_KEY[BAD_KEY.len() - 5..])), "{}", answer.stdout);
    assert!(answer.stdout.contains("  statsd [OK]\n"), "{}", answer.stdout);
    for secret in [asked.ask(&["status"]).stdout, asked.ask(&["status", "--json"]).stdout, asked.hornpipe.log()] {
        assert!(!secret.contains(BAD_KEY), "{secret}");
    }
    let report = asked.report();
    let (exporter, queue) = (&report.exporters[0], report.exporters[0].queue.as_ref().unwrap());
    assert!(exporter.signals["metrics"].held > 0, "data is kept: {report}");
    assert!(queue.bytes > 0 && queue.oldest_age_seconds.is_some(), "{report}");

    assert_eq!(asked.ask(&["health"]).code, Some(0), "a revoked key takes nobody out of rotation");
    let health = asked.ask(&["health", "--backends"]);
    assert_eq!(health.code, Some(1));
    assert!(health.stderr.starts_with("not ready: exporter datadog: "), "{}", health.stderr);
    let endpoint = asked.health_endpoint();
    assert_eq!(asked.ask(&["health", "--endpoint", &endpoint]).code, Some(1), "the file says backends: true");
    assert_eq!(asked.ask(&["health", "--endpoint", &format!("{endpoint}/livez")]).code, Some(0));
    let log = asked.hornpipe.stop_with_log();
    assert_eq!(log.matches("kept on disk for the next start").count(), 1, "{log}");
}

#[test]
fn a_backend_that_cannot_be_reached_is_an_error_with_its_address() {
    let nobody = RefusingPort::reserve();
    let exporter = format!("otlp: {{endpoint: '{}', tls: {{insecure: true}}}}", nobody.url());
    let directory = Directory::new();
    let asked = Asked::start(&directory, &exporter, "");
    asked.until_the_exporter_fails();
    let answer = asked.ask(&["status"]);
    assert_eq!(answer.code, Some(1));
    let line = answer.stdout.lines().find(|line| line.starts_with("  otlp [ERROR]: ")).unwrap();
    assert!(line.contains(&nobody.address().to_string()), "{line}");
    assert_eq!(asked.ask(&["health"]).code, Some(0));
    asked.hornpipe.stop();
}

#[test]
#[cfg(target_os = "linux")]
fn without_a_state_directory_everything_else_goes_on_and_status_says_so() {
    let directory = Directory::new();
    // Not even root can make a directory below a file.
    let state = directory.write("file", "").join("state");
    let asked = Asked::start_with_state(&directory, "debug: {}", "", &state);
    let problem = "no state directory can be written";
    assert!(asked.hornpipe.log().contains(problem), "{}", asked.hornpipe.log());
    let answer = asked.ask(&["status"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(answer.stdout.contains(&format!("  state directory: [WARNING] {problem}")), "{}", answer.stdout);
    assert_eq!(asked.report().status, Health::Warning);
    assert_eq!(asked.ask(&["health"]).code, Some(0));
    asked.hornpipe.stop();
    assert_eq!(ask(&state, &["status"]).code, Some(2));
}

#[test]
fn a_second_process_waits_for_the_state_directory_until_the_first_has_left_it() {
    let (directory, other) = (Directory::new(), Directory::new());
    let first = Asked::start(&directory, "debug: {}", "");
    let (pid, state) = (first.report().pid, first.state.clone());
    let second = std::thread::spawn(move || (Asked::start_with_state(&other, "debug: {}", "", &state), other));
    std::thread::sleep(Duration::from_millis(500));
    assert!(!second.is_finished(), "the directory is the first one's");
    assert_eq!(first.report().pid, pid);
    first.hornpipe.stop();
    let (second, _directory) = second.join().unwrap();
    assert_ne!(second.report().pid, pid);
    let log = second.hornpipe.stop_with_log();
    assert!(log.contains(&format!("waiting for pid {pid} to leave the directory")), "{log}");
}

#[test]
fn a_reload_that_is_refused_stands_in_status_until_one_is_taken() {
    let directory = Directory::new();
    let mut asked = Asked::start(&directory, "debug: {}", "");
    let config = directory.path().join("pipeline.yaml");
    let good = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, good.replace("debug: {}", "debug: {verbose: true}")).unwrap();
    asked.hornpipe.reload("the old one runs on");
    let answer = asked.ask(&["status"]);
    assert_eq!(answer.code, Some(1));
    for words in ["last reload:     [ERROR] ", "the configuration before it runs on\n", "unknown key `verbose`"] {
        assert!(answer.stdout.contains(words), "no {words:?} in\n{}", answer.stdout);
    }
    assert_eq!(asked.ask(&["health"]).code, Some(0), "the old configuration works");

    std::fs::write(&config, good).unwrap();
    asked.hornpipe.reload("the new configuration runs");
    assert_eq!(asked.report().last_reload.unwrap().error, None);
    assert_eq!(asked.ask(&["status"]).code, Some(0));
    asked.hornpipe.stop();
}

#[test]
fn a_taken_health_port_is_an_error_at_its_option() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let text = configuration(free_address(), "debug: {}", "").replace("127.0.0.1:0'", &format!("{address}'"));
    let directory = Directory::new();
    let config = directory.write("pipeline.yaml", &text);
    let output = hornpipe().args(["run", "--config"]).arg(config).output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    for expected in [format!("{address} is taken by "), "(extensions.health_check.endpoint)".to_owned()] {
        assert!(words.contains(&expected), "no {expected:?} in\n{words}");
    }
}
