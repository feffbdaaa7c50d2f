//! What goes over the wire, as seen by Python's protobuf and gRPC libraries with the published OTLP schema.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use hornpipe_engine::Clock;
use hornpipe_engine::component::{BuildContext, Exporter, ExporterConfig, SendOutcome};
use hornpipe_engine::http::Compression;
use hornpipe_engine::telemetry::{ComponentKind, Headers, SignalCounters};
use hornpipe_engine::testing::{FakeClock, build_context, numbered_logs, numbered_metrics};
use hornpipe_model::Data;
use hornpipe_otlp_exporter::OtlpConfig;
use serde_json::Value;

use crate::support::virtual_environment;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/end_to_end/independent");
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/exporters/otlp/src/encode/golden");

fn python() -> Command {
    let requirements = Path::new(HERE).join("requirements.txt");
    Command::new(virtual_environment::environment("opentelemetry", &requirements).join("python"))
}

/// Compares with a file beside the golden ones, which `BLESS=1` writes: what Python reads in them.
#[test]
fn the_golden_files_say_to_another_library_what_they_should() {
    for signal in ["metrics", "logs"] {
        let script = Path::new(HERE).join("decode.py");
        let encoded = Path::new(GOLDEN).join(format!("{signal}.pb"));
        let output = python().arg(script).arg(signal).arg(encoded).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let shown = String::from_utf8(output.stdout).unwrap();
        let expected = Path::new(GOLDEN).join(format!("{signal}.json"));
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&expected, &shown).unwrap();
        }
        assert_eq!(shown, std::fs::read_to_string(expected).unwrap(), "{signal}");
    }
}

/// A server of Python's gRPC library.
struct Server {
    child: Child,
    _input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let script = Path::new(HERE).join("serve.py");
        let mut command = python();
        let mut child = command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap().parse().unwrap();
        Server { _input: child.stdin.take().unwrap(), child, lines, port }
    }

    /// What the server saw of the next request.
    fn seen(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn exporter(port: u16, compression: Compression) -> Box<dyn Exporter> {
    let config = OtlpConfig {
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        compression: Some(compression),
        headers: Some(Headers(vec![("x-tenant".to_owned(), "one".into())])),
        ..OtlpConfig::default()
    };
    let context = build_context(ComponentKind::Exporter, "otlp", &FakeClock::new());
    // The network's time is real.
    config.build(BuildContext { clock: Clock::system(), ..context }).unwrap()
}

async fn send(exporter: &dyn Exporter, data: Data) -> SendOutcome {
    let data = exporter.admission().unwrap().admit(data, &SignalCounters::default()).unwrap();
    let items: Vec<u32> = (0..data.items() as u32).collect();
    exporter.send(&exporter.encode(&data, &items).requests[0]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grpc_server_of_another_library_is_understood_and_understands() {
    for compression in [Compression::None, Compression::Gzip] {
        let mut server = Server::start();
        let exporter = exporter(server.port, compression);
        for field in ["names", "bodies"] {
            let data = || match field {
                "names" => numbered_metrics(0..3, FakeClock::START),
                _ => numbered_logs(0..3, FakeClock::START),
            };
            assert_eq!(send(&*exporter, data()).await, SendOutcome::delivered(), "{compression:?}");
            let seen = server.seen();
            assert_eq!(seen[field].as_array().map(Vec::len), Some(3), "{seen}");
            assert_eq!(seen["tenant"], "one");
            assert!(seen["agent"].as_str().unwrap().starts_with("hornpipe/"), "{seen}");

            let partial = SendOutcome::Delivered { rejected: 1, message: "one is too old".to_owned() };
            assert_eq!(send(&*exporter, data()).await, partial);
            server.seen();

            let SendOutcome::Retryable { after, error } = send(&*exporter, data()).await else { panic!("{field}") };
            assert_eq!(after, Some(Duration::from_secs(7)));
            assert!(error.ends_with("answered Unavailable: später"), "{error}");
            server.seen();
        }
    }
}
