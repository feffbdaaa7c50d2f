//! The extension with real connections.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use hornpipe_engine::status::{Phase, ProcessFacts, StatusBoard};
use hornpipe_engine::telemetry::{
    ComponentIdentity, ComponentKind, ComponentTelemetry, PipelineTopology, Status, Telemetry,
};
use hornpipe_engine::testing::FakeClock;
use hornpipe_engine::{Shutdown, ShutdownTrigger, Sockets};
use tokio::task::JoinHandle;

use super::*;

struct Bench {
    telemetry: Telemetry,
    board: StatusBoard,
    context: ExtensionContext,
    clock: FakeClock,
}

impl Bench {
    /// A process with the receiver `statsd` and the exporter `datadog`.
    fn new() -> Self {
        let clock = FakeClock::new();
        let telemetry = Telemetry::new(clock.clock());
        let board = StatusBoard::new(ProcessFacts::default(), telemetry.clone(), clock.clock());
        telemetry.set_pipelines(vec![PipelineTopology {
            id: "metrics".to_owned(),
            signal: Signal::Metrics,
            receivers: vec!["statsd".to_owned()],
            processors: Vec::new(),
            exporters: vec!["datadog".to_owned()],
        }]);
        board.set_phase(Phase::Running);
        let context = ExtensionContext {
            id: "health_check".to_owned(),
            clock: clock.clock(),
            telemetry: component(&telemetry, ComponentKind::Extension, "health_check"),
            sockets: Sockets::default(),
            status: board.reader(),
        };
        Bench { telemetry, board, context, clock }
    }

    fn fail(&self, kind: ComponentKind, id: &str) {
        component(&self.telemetry, kind, id).set_status(Status::Error("it is broken".to_owned()));
    }

    async fn start(&self, config: HealthCheckConfig) -> Running {
        let extension = config.build(self.context.clone()).unwrap();
        let (stop, shutdown) = Shutdown::new();
        let task = tokio::spawn(extension.run(shutdown));
        let address = loop {
            if let Some(fact) = self.context.telemetry.facts().get("listens on") {
                break fact.split(", ").next().unwrap().trim_start_matches("http://").parse().unwrap();
            }
            tokio::task::yield_now().await;
        };
        Running { address, stop, task }
    }
}

fn component(telemetry: &Telemetry, kind: ComponentKind, id: &str) -> Arc<ComponentTelemetry> {
    telemetry.component(ComponentIdentity { kind, id: id.to_owned(), pipeline: None })
}

struct Running {
    address: SocketAddr,
    stop: ShutdownTrigger,
    task: JoinHandle<Result<(), String>>,
}

impl Running {
    /// The status and the body.
    async fn request(&self, method: &str, path: &str) -> (u16, String) {
        let (address, request) = (self.address, format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        let answer = tokio::task::spawn_blocking(move || {
            let mut connection = TcpStream::connect(address).unwrap();
            connection.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            connection.read_to_string(&mut answer).unwrap();
            answer
        });
        let answer = answer.await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn status(&self, path: &str) -> u16 {
        self.request("GET", path).await.0
    }

    async fn stop(self) {
        self.stop.request();
        self.task.await.unwrap().unwrap();
    }
}

fn config() -> HealthCheckConfig {
    HealthCheckConfig { endpoint: "127.0.0.1:0".to_owned(), ..HealthCheckConfig::default() }
}

#[tokio::test]
async fn a_process_that_works_is_alive_and_ready() {
    let bench = Bench::new();
    let running = bench.start(config()).await;
    bench.clock.advance(Duration::from_secs(75)).await;
    for path in ["/", "/livez", "/readyz"] {
        let expected = r#"{"status":"Server available","uptime":"1m15s"}"#;
        assert_eq!(running.request("GET", path).await, (200, expected.to_owned()), "{path}");
    }
    assert_eq!(running.request("HEAD", "/readyz").await, (200, String::new()));
    assert_eq!(running.status("/metrics").await, 404);
    assert_eq!(running.request("POST", "/").await.0, 405);
    running.stop().await;
}

#[tokio::test]
async fn one_whose_listener_is_down_is_alive_and_not_ready() {
    let bench = Bench::new();
    let running = bench.start(config()).await;
    bench.fail(ComponentKind::Receiver, "statsd");
    let (status, body) = running.request("GET", "/readyz").await;
    let expected = r#"{"status":"Server not available","uptime":"0s","problems":["receiver statsd: it is broken"]}"#;
    assert_eq!((status, body.as_str()), (503, expected));
    assert_eq!(running.status("/").await, 503);
    assert_eq!(running.status("/livez").await, 200);
    running.stop().await;
}

#[tokio::test]
async fn one_that_stops_takes_itself_out_of_rotation_first() {
    let bench = Bench::new();
    let running = bench.start(config()).await;
    bench.board.set_phase(Phase::Stopping);
    assert_eq!((running.status("/livez").await, running.status("/readyz").await), (200, 503));
    running.stop().await;
}

#[tokio::test]
async fn a_backend_counts_only_where_asked() {
    let bench = Bench::new();
    bench.fail(ComponentKind::Exporter, "datadog");
    let running = bench.start(config()).await;
    assert_eq!(running.status("/readyz").await, 200);
    running.stop().await;

    let bench = Bench::new();
    bench.fail(ComponentKind::Exporter, "datadog");
    let running = bench.start(HealthCheckConfig { backends: true, ..config() }).await;
    assert_eq!((running.status("/readyz").await, running.status("/livez").await), (503, 200));
    running.stop().await;
}

#[tokio::test]
async fn the_path_can_be_chosen() {
    let bench = Bench::new();
    let running = bench.start(HealthCheckConfig { path: "/up".to_owned(), ..config() }).await;
    assert_eq!((running.status("/up").await, running.status("/").await), (200, 404));
    running.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_address_option_and_way_out() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = other.local_addr().unwrap().to_string();
    let config = HealthCheckConfig { endpoint: endpoint.clone(), ..HealthCheckConfig::default() };
    let error = config.build(Bench::new().context).err().unwrap();
    assert_eq!(error.option, "endpoint");
    assert!(error.message.starts_with(&format!("tcp address {endpoint} is taken by ")), "{error}");
    assert!(error.message.contains("choose another endpoint"), "{error}");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for (endpoint, path, wrong) in [
        ("localhost:13133", "/", ""),
        ("[::1]:13133", "/health", ""),
        ("13133", "/", "endpoint"),
        (":13133", "/", "endpoint"),
        ("localhost:http", "/", "endpoint"),
        ("localhost:13133", "health", "path"),
        ("localhost:13133", "/a?b", "path"),
        ("localhost:13133", "/livez", "path"),
    ] {
        let mut report = Report::new();
        let config = HealthCheckConfig { endpoint: endpoint.to_owned(), path: path.to_owned(), backends: false };
        config.validate(&mut report);
        let paths: Vec<&str> = report.problems().iter().map(|problem| problem.path.as_str()).collect();
        let expected: &[&str] = if wrong.is_empty() { &[] } else { &[wrong] };
        assert_eq!(paths, expected, "{endpoint} {path}");
    }
}
