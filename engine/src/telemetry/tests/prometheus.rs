//! Scraped over HTTP, as Prometheus does it.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::component::reason;

fn on_port(port: u16) -> TelemetryConfig {
    with_prometheus(PrometheusConfig { host: "127.0.0.1".to_owned(), port, ..PrometheusConfig::default() })
}

fn with_prometheus(prometheus: PrometheusConfig) -> TelemetryConfig {
    with_reader(ReaderConfig::Pull(PullConfig { exporter: PullExporter::Prometheus(prometheus) }))
}

async fn request(address: SocketAddr, path: &str) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).await.unwrap();
    response
}

/// The sample lines, less those that differ from run to run.
async fn samples(running: &SelfTelemetry) -> Vec<String> {
    let response = request(running.addresses()[0], "/metrics").await;
    let (_, body) = response.split_once("\r\n\r\n").unwrap();
    let lines = body.lines().filter(|line| line.ends_with(|last: char| last.is_ascii_digit()));
    let stable = lines.filter(|line| !line.starts_with("otelcol_process_") && !line.starts_with('#'));
    stable.filter(|line| !line.starts_with("target_info")).map(str::to_owned).collect()
}

#[tokio::test]
async fn names_and_labels_are_those_of_the_collector_and_start_at_zero() {
    let telemetry = one_pipeline();
    let running = SelfTelemetry::start(&on_port(0), &identity(), &telemetry).await;
    let at_start = samples(&running).await;

    let receiver = telemetry.component(component(ComponentKind::Receiver, "statsd", None));
    let counters = receiver.signal(Signal::Metrics);
    counters.received.add(100);
    counters.passed.add(90);
    counters.emitted.add(12);
    counters.held.add(3);
    counters.dropped(reason::NOT_FINITE, 5);
    counters.dropped(reason::QUEUE_FULL, 2);
    let processor = telemetry.component(component(ComponentKind::Processor, "percentiles", Some("metrics")));
    let counters = processor.signal(Signal::Metrics);
    counters.received.add(12);
    counters.passed.add(12);
    counters.emitted.add(60);
    let exporter = telemetry.component(component(ComponentKind::Exporter, "datadog/eu", None));
    let counters = exporter.signal(Signal::Metrics);
    counters.received.add(60);
    counters.passed.add(40);
    counters.emitted.add(40);
    counters.held.add(10);
    counters.dropped(reason::QUEUE_FULL, 4);
    counters.dropped(reason::TOO_OLD, 1);
    counters.dropped(reason::REFUSED, 2);
    counters.dropped(reason::ZERO_FILL, 3);

    let receiver = r#"component="statsd",component_kind="receiver""#;
    let processor = r#"component="percentiles",component_kind="processor",pipeline="metrics""#;
    let exporter = r#"component="datadog/eu",component_kind="exporter""#;
    let mut expected = [
        format!(r#"hornpipe_dropped_items_total{{{exporter},reason="queue_full",signal="metrics"}} 4"#),
        format!(r#"hornpipe_dropped_items_total{{{exporter},reason="refused",signal="metrics"}} 2"#),
        format!(r#"hornpipe_dropped_items_total{{{exporter},reason="too_old",signal="metrics"}} 1"#),
        format!(r#"hornpipe_dropped_items_total{{{exporter},reason="zero_fill",signal="metrics"}} 3"#),
        format!(r#"hornpipe_dropped_items_total{{{receiver},reason="not_finite",signal="metrics"}} 5"#),
        format!(r#"hornpipe_dropped_items_total{{{receiver},reason="queue_full",signal="metrics"}} 2"#),
        format!(r#"hornpipe_emitted_items_total{{{exporter},signal="metrics"}} 40"#),
        format!(r#"hornpipe_emitted_items_total{{{receiver},signal="metrics"}} 12"#),
        format!(r#"hornpipe_emitted_items_total{{{processor},signal="metrics"}} 60"#),
        format!(r#"hornpipe_held_items{{{exporter},signal="metrics"}} 10"#),
        format!(r#"hornpipe_held_items{{{receiver},signal="metrics"}} 3"#),
        format!(r#"hornpipe_held_items{{{processor},signal="metrics"}} 0"#),
        format!(r#"hornpipe_passed_items_total{{{exporter},signal="metrics"}} 40"#),
        format!(r#"hornpipe_passed_items_total{{{receiver},signal="metrics"}} 90"#),
        format!(r#"hornpipe_passed_items_total{{{processor},signal="metrics"}} 12"#),
        format!(r#"hornpipe_received_items_total{{{exporter},signal="metrics"}} 60"#),
        format!(r#"hornpipe_received_items_total{{{receiver},signal="metrics"}} 100"#),
        format!(r#"hornpipe_received_items_total{{{processor},signal="metrics"}} 12"#),
        format!(r#"hornpipe_recovered_items_total{{{exporter},signal="metrics"}} 0"#),
        format!(r#"hornpipe_split_items_total{{{exporter},signal="metrics"}} 0"#),
        r#"otelcol_exporter_enqueue_failed_metric_points_total{exporter="datadog/eu"} 4"#.to_owned(),
        r#"otelcol_exporter_send_failed_metric_points_total{exporter="datadog/eu"} 3"#.to_owned(),
        r#"otelcol_exporter_sent_metric_points_total{exporter="datadog/eu"} 40"#.to_owned(),
        r#"otelcol_processor_incoming_items_total{otel_signal="metrics",processor="percentiles"} 12"#.to_owned(),
        r#"otelcol_processor_outgoing_items_total{otel_signal="metrics",processor="percentiles"} 60"#.to_owned(),
        r#"otelcol_receiver_accepted_metric_points_total{receiver="statsd"} 12"#.to_owned(),
        r#"otelcol_receiver_refused_metric_points_total{receiver="statsd"} 2"#.to_owned(),
    ];
    expected.sort();
    let mut found = samples(&running).await;
    found.sort();
    assert_eq!(found, expected);

    // All but the drops, whose reasons nobody can know before, were there from the start.
    let series = |line: &String| line.rsplit_once(' ').map(|(series, _)| series.to_owned());
    let zeros = expected.iter().filter(|line| !line.contains("reason=")).filter_map(series);
    let zeros: Vec<String> = zeros.map(|series| format!("{series} 0")).collect();
    let mut found = at_start;
    found.sort();
    assert_eq!(found, zeros);
    running.stop(STOP).await;
}

#[tokio::test]
async fn the_page_has_types_the_process_and_who_it_is() {
    let mut config = on_port(0);
    config.resource.insert("service.instance.id".to_owned(), None);
    config.resource.insert("deployment.environment.name".to_owned(), Some("staging".to_owned()));
    let running = SelfTelemetry::start(&config, &identity(), &one_pipeline()).await;
    let response = request(running.addresses()[0], "/metrics").await;
    for expected in [
        "HTTP/1.1 200 OK\r\n",
        "content-type: text/plain; version=0.0.4\r\n",
        "# TYPE otelcol_exporter_sent_metric_points_total counter\n",
        "# TYPE hornpipe_held_items gauge\n",
        "# TYPE otelcol_process_uptime_total counter\n",
        "# TYPE otelcol_process_cpu_seconds_total counter\n",
        "# TYPE otelcol_process_memory_rss gauge\n",
        concat!(
            r#"target_info{deployment_environment_name="staging",host_name="web-1",service_name="hornpipe","#,
            r#"service_version=""#,
            env!("CARGO_PKG_VERSION"),
            "\"} 1\n"
        ),
    ] {
        assert!(response.contains(expected), "{expected}\n---\n{response}");
    }
    assert!(!response.contains("_total_total"), "{response}");
    assert!(request(running.addresses()[0], "/").await.starts_with("HTTP/1.1 404"));
    running.stop(STOP).await;
}

#[tokio::test]
async fn a_components_own_numbers_appear_when_they_are_made() {
    let telemetry = one_pipeline();
    let exporter = telemetry.component(component(ComponentKind::Exporter, "datadog/eu", None));
    exporter.gauge("otelcol_exporter_queue_size", "{batch}", "Batches in the queue").set(7);
    let running = SelfTelemetry::start(&on_port(0), &identity(), &telemetry).await;
    exporter.gauge("otelcol_exporter_queue_capacity", "By", "Bound of the queue").set(33_554_432);
    let processor = telemetry.component(component(ComponentKind::Processor, "percentiles", Some("metrics")));
    processor.counter("hornpipe_percentiles_notes", "{note}", "Notes written").add(9);
    let found = samples(&running).await;
    for expected in [
        r#"otelcol_exporter_queue_size{exporter="datadog/eu"} 7"#,
        r#"otelcol_exporter_queue_capacity{exporter="datadog/eu"} 33554432"#,
        r#"hornpipe_percentiles_notes_total{pipeline="metrics",processor="percentiles"} 9"#,
    ] {
        assert!(found.iter().any(|line| line == expected), "{expected}: {found:#?}");
    }
    running.stop(STOP).await;
}

#[tokio::test]
async fn a_component_that_is_built_again_goes_on_counting() {
    let telemetry = one_pipeline();
    let running = SelfTelemetry::start(&on_port(0), &identity(), &telemetry).await;
    for _ in 0..2 {
        let receiver = telemetry.component(component(ComponentKind::Receiver, "statsd", None));
        receiver.signal(Signal::Metrics).emitted.add(5);
        receiver.counter("hornpipe_statsd_packets", "{packet}", "Packets read").add(3);
        drop(receiver);
    }
    let found = samples(&running).await;
    for expected in [
        r#"otelcol_receiver_accepted_metric_points_total{receiver="statsd"} 10"#,
        r#"hornpipe_statsd_packets_total{receiver="statsd"} 6"#,
    ] {
        assert!(found.iter().any(|line| line == expected), "{expected}: {found:#?}");
    }
    running.stop(STOP).await;
}

#[tokio::test]
async fn a_processor_of_two_pipelines_adds_up_under_the_collectors_labels() {
    let telemetry = Telemetry::default();
    for (pipeline, items) in [("metrics/a", 3), ("metrics/b", 4)] {
        let processor = telemetry.component(component(ComponentKind::Processor, "filter", Some(pipeline)));
        processor.signal(Signal::Metrics).received.add(items);
    }
    let running = SelfTelemetry::start(&on_port(0), &identity(), &telemetry).await;
    let found = samples(&running).await;
    let expected = r#"otelcol_processor_incoming_items_total{otel_signal="metrics",processor="filter"} 7"#;
    assert!(found.iter().any(|line| line == expected), "{found:#?}");
    let own = found.iter().filter(|line| line.starts_with("hornpipe_received_items_total")).count();
    assert_eq!(own, 2, "{found:#?}");
    running.stop(STOP).await;
}

#[tokio::test]
async fn type_suffixes_can_be_left_out() {
    let prometheus = PrometheusConfig {
        host: "127.0.0.1".to_owned(),
        port: 0,
        without_type_suffix: true,
        ..PrometheusConfig::default()
    };
    let running = SelfTelemetry::start(&with_prometheus(prometheus), &identity(), &one_pipeline()).await;
    let found = samples(&running).await;
    let expected = r#"otelcol_receiver_accepted_metric_points{receiver="statsd"} 0"#;
    assert!(found.iter().any(|line| line == expected), "{found:#?}");
    running.stop(STOP).await;
}

#[tokio::test]
async fn a_taken_port_costs_this_reader_and_nothing_else() {
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = other.local_addr().unwrap();
    let mut config = on_port(taken.port());
    config.metrics.readers.extend(on_port(0).metrics.readers);
    let running = SelfTelemetry::start(&config, &identity(), &one_pipeline()).await;
    let [problem] = running.problems() else { panic!("{:?}", running.problems()) };
    for part in [&taken.to_string(), "service.telemetry.metrics.readers[0]", "`port`", "metrics.level to none"] {
        assert!(problem.contains(part), "{part}: {problem}");
    }
    assert_eq!(running.addresses().len(), 1, "the second reader works");
    assert!(!samples(&running).await.is_empty());
    running.stop(STOP).await;
}

#[tokio::test]
async fn without_any_reader_it_starts_and_stops_all_the_same() {
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut off = on_port(0);
    off.metrics.level = MetricsLevel::None;
    for config in [on_port(other.local_addr().unwrap().port()), off] {
        let running = SelfTelemetry::start(&config, &identity(), &one_pipeline()).await;
        assert!(running.addresses().is_empty());
        running.stop(STOP).await;
    }
}

#[tokio::test]
async fn localhost_answers_on_every_loopback_address() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let prometheus = PrometheusConfig { port: free, ..PrometheusConfig::default() };
    let running = SelfTelemetry::start(&with_prometheus(prometheus), &identity(), &one_pipeline()).await;
    assert_eq!(running.problems(), Vec::<String>::new());
    assert!(running.addresses().contains(&SocketAddr::from(([127, 0, 0, 1], free))));
    for address in running.addresses() {
        assert!(request(*address, "/metrics").await.starts_with("HTTP/1.1 200"), "{address}");
    }
    running.stop(STOP).await;
}

#[tokio::test]
async fn stopping_frees_the_port_even_with_an_idle_client() {
    let running = SelfTelemetry::start(&on_port(0), &identity(), &one_pipeline()).await;
    let address = running.addresses()[0];
    let idle = TcpStream::connect(address).await.unwrap();
    let started = std::time::Instant::now();
    running.stop(std::time::Duration::from_millis(500)).await;
    assert!(started.elapsed() < STOP);
    assert!(TcpStream::connect(address).await.is_err());
    drop(idle);
}
