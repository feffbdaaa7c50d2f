//! SIGHUP: the new configuration runs, or the old one goes on.

use std::net::SocketAddr;

use hornpipe_engine::testing::{FakeDatadog, FakeOtlp};

use crate::support::{Directory, Hornpipe, free_address, metrics_pipeline};

const COUNTER: &str = "gunicorn.requests:1|c";

fn datadog(backend: &FakeDatadog) -> (&'static str, String) {
    let (key, url) = (FakeDatadog::API_KEY, backend.url());
    ("datadog", format!("{{api: {{key: {key}}}, metrics: {{endpoint: \"{url}\"}}}}"))
}

fn otlp(backend: &FakeOtlp) -> (&'static str, String) {
    ("otlp", format!("{{endpoint: \"{}\"}}", backend.url()))
}

fn send(hornpipe: &Hornpipe, count: usize) {
    hornpipe.send((0..count).map(|_| COUNTER));
}

/// Sends from outside to another address than the one that the run was started with.
fn send_to(address: SocketAddr, count: usize) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..count {
        socket.send_to(COUNTER.as_bytes(), address).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_exporter_gets_the_open_window_of_a_receiver_that_did_not_change() {
    let (first, second) = (FakeDatadog::start().await, FakeOtlp::start().await);
    let (statsd, directory) = (free_address(), Directory::new());
    let config = directory.write("pipeline.yaml", &metrics_pipeline(statsd, "", &[datadog(&first)]));
    let mut hornpipe = Hornpipe::start(&config, statsd);
    send(&hornpipe, 5);
    directory.write("pipeline.yaml", &metrics_pipeline(statsd, "", &[datadog(&first), otlp(&second)]));
    hornpipe.reload("the new configuration runs");
    send(&hornpipe, 5);
    hornpipe.stop();
    assert_eq!(first.sum_as_count("gunicorn.requests", &[]), 10.0);
    assert_eq!(second.sum("gunicorn.requests", &[]), 10.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_with_other_options_loses_nothing_on_its_way_to_them() {
    let (backend, statsd, directory) = (FakeDatadog::start().await, free_address(), Directory::new());
    let config = directory.write("pipeline.yaml", &metrics_pipeline(statsd, "", &[datadog(&backend)]));
    let mut hornpipe = Hornpipe::start(&config, statsd);
    send(&hornpipe, 5);
    let options = "    max_contexts: 1000\n";
    directory.write("pipeline.yaml", &metrics_pipeline(statsd, options, &[datadog(&backend)]));
    hornpipe.reload("the new configuration runs");
    send(&hornpipe, 5);
    hornpipe.stop();
    assert_eq!(backend.sum_as_count("gunicorn.requests", &[]), 10.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_endpoint_is_opened_and_the_old_one_closed() {
    let (backend, directory) = (FakeDatadog::start().await, Directory::new());
    let (before, after) = (free_address(), free_address());
    let config = directory.write("pipeline.yaml", &metrics_pipeline(before, "", &[datadog(&backend)]));
    let mut hornpipe = Hornpipe::start(&config, before);
    send(&hornpipe, 3);
    directory.write("pipeline.yaml", &metrics_pipeline(after, "", &[datadog(&backend)]));
    hornpipe.reload("the new configuration runs");
    send_to(after, 4);
    hornpipe_engine::testing::eventually("the old port to close", || std::net::UdpSocket::bind(before).is_ok()).await;
    hornpipe.stop();
    assert_eq!(backend.sum_as_count("gunicorn.requests", &[]), 7.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_configuration_is_refused_with_its_errors_and_the_old_one_runs_on() {
    let (backend, statsd, directory) = (FakeDatadog::start().await, free_address(), Directory::new());
    let good = metrics_pipeline(statsd, "", &[datadog(&backend)]);
    let config = directory.write("pipeline.yaml", &good);
    let mut hornpipe = Hornpipe::start(&config, statsd);
    send(&hornpipe, 5);
    directory.write("pipeline.yaml", &good.replace("endpoint:", "endpiont:"));
    hornpipe.reload("the new configuration is refused");
    assert!(hornpipe.log().contains("did you mean `endpoint`?"), "{}", hornpipe.log());
    assert!(hornpipe.log().contains("pipeline.yaml:3:"), "{}", hornpipe.log());

    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let clash = metrics_pipeline(taken.local_addr().unwrap(), "", &[datadog(&backend)]);
    directory.write("pipeline.yaml", &clash);
    hornpipe.reload("the new configuration cannot be built");
    send(&hornpipe, 5);
    let counters = hornpipe.stop();
    assert_eq!(counters.reloads, 0);
    assert_eq!(backend.sum_as_count("gunicorn.requests", &[]), 10.0);
}
