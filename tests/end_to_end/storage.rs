//! Queues in a directory of choice: they outlive a kill and a change of the configuration, and belong to one process.

use std::path::Path;

use hornpipe_engine::status::{Health, StatusReport};
use hornpipe_engine::testing::{FakeOtlp, RefusingPort, eventually};

use crate::support::{Directory, Hornpipe, free_address, hornpipe, metrics_pipeline, status};

/// A pipeline whose only exporter has an id and an endpoint, with its queues in `queues` beside the configuration.
fn configuration(directory: &Directory, statsd: std::net::SocketAddr, id: &str, endpoint: &str) -> std::path::PathBuf {
    let retry = "retry_on_failure: {initial_interval: 50ms, max_interval: 100ms}";
    let settings = format!("{{endpoint: \"{endpoint}\", sending_queue: {{storage: file_storage}}, {retry}}}");
    let pipeline = metrics_pipeline(statsd, "    aggregation_interval: 1s\n", &[(id, settings)]);
    let queues = directory.path().join("queues");
    let text = pipeline.replace(
        "service:\n",
        &format!(
            "extensions: {{file_storage: {{directory: \"{}\"}}}}\nservice:\n  extensions: [file_storage]\n",
            queues.display()
        ),
    );
    directory.write("pipeline.yaml", &text)
}

fn report(directory: &Directory) -> StatusReport {
    status(&directory.path().join("state"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_in_a_directory_of_choice_outlives_a_kill_and_is_told_of_while_no_exporter_has_it() {
    let (backend, down, directory) = (FakeOtlp::start().await, RefusingPort::reserve(), Directory::new());
    let statsd = free_address();
    let refusing = down.url();
    let first = Hornpipe::start(&configuration(&directory, statsd, "otlp/old", &refusing), statsd);
    first.send(["requests:7|c"]);
    eventually("the queue on disk", || {
        let queue = report(&directory).exporters[0].queue.clone();
        queue.is_some_and(|queue| queue.bytes > 0)
    })
    .await;
    drop(first); // It is killed.
    let queue = directory.path().join("queues/queues/otlp%2fold");
    assert!(queue.join("metrics").is_dir());

    let mut renamed = Hornpipe::start(&configuration(&directory, statsd, "otlp/new", &backend.url()), statsd);
    renamed.wait_for_line("of exporter otlp/old");
    let left = report(&directory);
    let [found] = &left.left_queues[..] else { panic!("{:?}", left.left_queues) };
    assert_eq!((&*found.exporter, Path::new(&found.path)), ("otlp/old", &*queue));
    assert!(found.items >= 1 && found.bytes > 0, "{found:?}");
    assert_eq!(left.status, Health::Warning);
    assert!(
        left.to_string().contains("name it in a pipeline again to have them sent, or delete that folder"),
        "{left}"
    );
    renamed.stop();
    assert_eq!(backend.sum("requests", &[]), 0.0, "it is another exporter's");

    let again = Hornpipe::start(&configuration(&directory, statsd, "otlp/old", &backend.url()), statsd);
    eventually("what was left", || backend.sum("requests", &[]) == 7.0).await;
    assert_eq!(report(&directory).left_queues, []);
    again.stop();
    assert_eq!(backend.sum("requests", &[]), 7.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_waits_for_the_state_directory_and_then_refuses_and_names_the_first() {
    let (backend, directory) = (FakeOtlp::start().await, Directory::new());
    let statsd = free_address();
    let exporter = [("otlp", format!("{{endpoint: \"{}\"}}", backend.url()))];
    let config = directory.write("pipeline.yaml", &metrics_pipeline(statsd, "", &exporter));
    let first = Hornpipe::start(&config, statsd);

    let other = directory.write("other.yaml", &metrics_pipeline(free_address(), "", &exporter));
    let mut command = hornpipe();
    command.args(["run", "--config"]).arg(&other).env("HORNPIPE_STATE_DIR", directory.path().join("state"));
    let second = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success(), "{said}");
    assert!(said.contains(&format!("pid {}", first.pid())) && said.contains("HORNPIPE_STATE_DIR"), "{said}");
    assert!(!said.contains("hornpipe runs"), "{said}");

    first.send(["requests:1|c"]);
    first.stop_without_drops();
    assert_eq!(backend.sum("requests", &[]), 1.0, "the first is unharmed");
}
