//! Lines that are not StatsD: each is counted with its reason, and its neighbours arrive.

use std::collections::BTreeMap;

use crate::support::{Backends, Directory, Hornpipe, free_address, metrics_pipeline};

/// A bad line and the reason under which it is counted.
const BAD_LINES: [(&str, &str); 11] = [
    ("gunicorn.requests", "missing_type"),
    ("gunicorn.requests|c", "missing_value"),
    ("gunicorn.requests:1", "missing_type"),
    (":1|c", "missing_name"),
    ("gunicorn.requests:|c", "missing_value"),
    ("gunicorn.requests:one|c", "invalid_value"),
    ("gunicorn.requests:1|q", "unknown_type"),
    ("gunicorn.requests:1|c|@often", "invalid_sample_rate"),
    ("gunicorn.requests:nan|g", "not_finite"),
    ("_e{5,4}:title|texts", "invalid_event"),
    ("_sc|gunicorn.up|9", "invalid_service_check"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_lines_are_counted_by_reason_and_their_neighbours_arrive() {
    let backends = Backends::start().await;
    let statsd = free_address();
    let directory = Directory::new();
    let config = directory.write("pipeline.yaml", &metrics_pipeline(statsd, "", &backends.exporters()));
    let hornpipe = Hornpipe::start(&config, statsd);
    for (bad, _) in BAD_LINES {
        // Alone, and in the middle of a datagram.
        let packet = format!("gunicorn.requests:1|c\n{bad}\ngunicorn.log.error:1|c|@1.0|#env:prod\n");
        hornpipe.send([bad, &packet]);
    }
    let counters = hornpipe.stop();
    let good = BAD_LINES.len();
    backends.assert_counter("gunicorn.requests", &[], good as f64);
    backends.assert_counter("gunicorn.log.error", &["env:prod"], good as f64);
    backends.assert_clean();

    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for (_, reason) in BAD_LINES {
        *expected.entry(reason.to_owned()).or_default() += 2;
    }
    let receiver = &counters.components[0];
    assert_eq!((&*receiver.id, &receiver.dropped), ("statsd", &expected));
    assert_eq!((receiver.received, receiver.passed), (4 * good as u64, 2 * good as u64));
}

#[test]
#[cfg(target_os = "linux")]
fn a_receive_buffer_that_the_system_does_not_give_is_said_with_what_to_run() {
    let (statsd, directory) = (free_address(), Directory::new());
    // More than any machine allows.
    let options = "    socket_buffer_size: 1GiB\n";
    let config = directory.write("pipeline.yaml", &metrics_pipeline(statsd, options, &[("debug", "{}".to_owned())]));
    let mut hornpipe = Hornpipe::start(&config, statsd);
    let line = hornpipe.wait_for_line("the receive buffer has");
    assert!(line.contains("WARN") && line.contains("`sysctl -w net.core.rmem_max=1073741824`"), "{line}");
    hornpipe.stop();
}
