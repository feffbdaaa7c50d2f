//! DogStatsD events go through a logs pipeline to both kinds of backend.

use hornpipe_engine::testing::{FakeDatadog, FakeOtlp};

use crate::support::{Directory, Hornpipe, free_address};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_reaches_datadog_as_an_event_and_otlp_as_a_log_record() {
    let (datadog, otlp) = (FakeDatadog::start().await, FakeOtlp::start().await);
    let (statsd, directory) = (free_address(), Directory::new());
    let (key, intake, endpoint) = (FakeDatadog::API_KEY, datadog.url(), otlp.url());
    let configuration = format!(
        "receivers: {{statsd: {{endpoint: \"{statsd}\"}}}}\n\
         exporters:\n  \
         datadog: {{api: {{key: {key}}}, metrics: {{endpoint: \"{intake}\"}}, logs: {{endpoint: \"{intake}\"}}}}\n  \
         otlp: {{endpoint: \"{endpoint}\"}}\n\
         service:\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines:\n    \
         logs/events: {{receivers: [statsd], exporters: [datadog, otlp]}}\n    \
         metrics: {{receivers: [statsd], exporters: [datadog, otlp]}}\n"
    );
    let hornpipe = Hornpipe::start(&directory.write("pipeline.yaml", &configuration), statsd);
    hornpipe.send(["deploys:1|c\n_e{6,8}:deploy|v2 is up|t:success|#env:prod", "_e{1,1}:a|b|p:low"]);
    hornpipe.stop_without_drops();

    let events = datadog.events();
    let titles: Vec<&str> = events.iter().map(|event| event.title.as_str()).collect();
    assert_eq!(titles, ["deploy", "a"]);
    assert_eq!((events[0].text.as_str(), events[0].tags.as_slice()), ("v2 is up", ["env:prod".to_owned()].as_slice()));
    let requests = otlp.log_requests();
    let records: Vec<_> = requests
        .iter()
        .flat_map(|request| &request.resource_logs)
        .flat_map(|resource| &resource.scope_logs)
        .flat_map(|scope| &scope.log_records)
        .collect();
    assert_eq!(records.len(), 2);
    assert!(records.iter().all(|record| record.event_name == "datadog.event"), "{records:?}");
    assert_eq!(datadog.sum_as_count("deploys", &[]), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_without_a_logs_pipeline_are_counted_and_warned_about_once() {
    let (datadog, statsd, directory) = (FakeDatadog::start().await, free_address(), Directory::new());
    let (key, intake) = (FakeDatadog::API_KEY, datadog.url());
    let exporter = ("datadog", format!("{{api: {{key: {key}}}, metrics: {{endpoint: \"{intake}\"}}}}"));
    let configuration = crate::support::metrics_pipeline(statsd, "", &[exporter]);
    let hornpipe = Hornpipe::start(&directory.write("pipeline.yaml", &configuration), statsd);
    hornpipe.send(["_e{1,1}:a|b", "_e{1,1}:c|d"]);
    let log = hornpipe.stop_with_log();
    assert_eq!(log.matches("events are dropped: no logs pipeline takes them").count(), 1, "{log}");
    assert!(log.contains("\"dropped\":{\"no_logs_pipeline\":2}"), "{log}");
}
