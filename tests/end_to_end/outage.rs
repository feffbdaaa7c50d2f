//! One backend fails while the binary runs: the other gets its data at once, the failing one when it is back.

use std::net::SocketAddr;

use hornpipe_engine::Clock;
use hornpipe_engine::testing::{Behaviour, FakeDatadog, FakeOtlp, RefusingPort, eventually};

use crate::support::{Directory, Hornpipe, free_address, metrics_pipeline};

/// Short pauses, so that a test does not wait for the real ones.
const DELIVERY: &str = "timeout: 300ms, retry_on_failure: {initial_interval: 50ms, max_interval: 100ms}";

fn start(directory: &Directory, datadog: SocketAddr, otlp: &FakeOtlp) -> Hornpipe {
    let (statsd, key) = (free_address(), FakeDatadog::API_KEY);
    let exporters = [
        ("datadog", format!("{{api: {{key: {key}}}, metrics: {{endpoint: \"http://{datadog}\"}}, {DELIVERY}}}")),
        ("otlp", format!("{{endpoint: \"{}\"}}", otlp.url())),
    ];
    let configuration = metrics_pipeline(statsd, "    aggregation_interval: 1s\n", &exporters);
    let hornpipe = Hornpipe::start(&directory.write("pipeline.yaml", &configuration), statsd);
    hornpipe.send((0..10).map(|_| "gunicorn.requests:1|c"));
    hornpipe
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_answers_503_or_hangs_keeps_nothing_from_its_sibling_and_gets_its_data_later() {
    for fault in [Behaviour::status(503), Behaviour::Hang] {
        let (datadog, otlp, directory) = (FakeDatadog::start().await, FakeOtlp::start().await, Directory::new());
        datadog.behave(fault);
        let hornpipe = start(&directory, datadog.address(), &otlp);
        eventually("the sibling's data", || otlp.sum("gunicorn.requests", &[]) == 10.0).await;
        datadog.wait_for_requests(2).await;
        assert_eq!(datadog.sum_as_count("gunicorn.requests", &[]), 0.0);
        datadog.behave(Behaviour::Ok);
        eventually("the data kept meanwhile", || datadog.sum_as_count("gunicorn.requests", &[]) == 10.0).await;
        hornpipe.stop_without_drops();
        assert_eq!(otlp.sum("gunicorn.requests", &[]), 10.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_refuses_connections_keeps_nothing_from_its_sibling_and_gets_its_data_later() {
    let (port, otlp, directory) = (RefusingPort::reserve(), FakeOtlp::start().await, Directory::new());
    let mut hornpipe = start(&directory, port.address(), &otlp);
    eventually("the sibling's data", || otlp.sum("gunicorn.requests", &[]) == 10.0).await;
    hornpipe.wait_for_line("not delivered, data is kept");
    let datadog = FakeDatadog::start_at(port.listen(), Clock::system());
    eventually("the data kept meanwhile", || datadog.sum_as_count("gunicorn.requests", &[]) == 10.0).await;
    hornpipe.stop_without_drops();
    assert_eq!(otlp.sum("gunicorn.requests", &[]), 10.0);
}
