//! What every exporter promises, over both protocols, for both signals and in both temporalities.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use hornpipe_engine::component::{BuildContext, Exporter, ExporterConfig};
use hornpipe_engine::testing::{Backend, ExporterBench, FakeClock, FakeOtlp, check_exporter_contract};
use hornpipe_model::Signal;
use hornpipe_otlp_exporter::{OtlpConfig, Protocol, TemporalityPreference};
use tokio::net::TcpListener;

struct Bench {
    signal: Signal,
    time: FakeClock,
    backend: FakeOtlp,
    protocol: Protocol,
    temporality: TemporalityPreference,
}

impl ExporterBench for Bench {
    fn signal(&self) -> Signal {
        self.signal
    }

    fn clock(&self) -> &FakeClock {
        &self.time
    }

    fn backend(&self) -> Option<&Backend> {
        Some(&self.backend)
    }

    fn build(&self, context: BuildContext) -> Box<dyn Exporter> {
        let config = OtlpConfig {
            protocol: Some(self.protocol),
            endpoint: Some(self.backend.url()),
            temporality: Some(self.temporality),
            ..OtlpConfig::default()
        };
        config.build(context).expect("an exporter")
    }

    fn delivered(&self) -> Vec<u64> {
        self.backend.numbers()
    }
}

async fn check(signal: Signal, protocol: Protocol, temporality: TemporalityPreference) {
    let time = FakeClock::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let backend = FakeOtlp::start_at(listener, time.clock());
    let bench = Bench { signal, time, backend, protocol, temporality };
    check_exporter_contract(&bench).await;
    bench.backend.assert_clean();
}

#[tokio::test]
async fn the_contract_holds_over_grpc() {
    check(Signal::Metrics, Protocol::Grpc, TemporalityPreference::Cumulative).await;
    check(Signal::Metrics, Protocol::Grpc, TemporalityPreference::Delta).await;
    check(Signal::Logs, Protocol::Grpc, TemporalityPreference::Cumulative).await;
}

#[tokio::test]
async fn the_contract_holds_over_http() {
    check(Signal::Metrics, Protocol::HttpProtobuf, TemporalityPreference::Cumulative).await;
    check(Signal::Metrics, Protocol::HttpProtobuf, TemporalityPreference::Delta).await;
    check(Signal::Logs, Protocol::HttpProtobuf, TemporalityPreference::Cumulative).await;
}
