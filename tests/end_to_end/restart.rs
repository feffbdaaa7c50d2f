//! SIGTERM in the middle of a window and an immediate restart lose and double nothing.

use crate::support::{Backends, Directory, Hornpipe, free_address, metrics_pipeline};

/// Lives of the process, one right after the other.
const LIVES: usize = 5;
/// Requests in each life.
const REQUESTS: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sums_over_restarts_in_mid_window_are_exact_at_every_backend() {
    let backends = Backends::start().await;
    let statsd = free_address();
    let directory = Directory::new();
    // Windows of ten seconds: several lives share one.
    let config = directory.write("pipeline.yaml", &metrics_pipeline(statsd, "", &backends.exporters()));
    let mut durations = Vec::new();
    for life in 0..LIVES {
        let hornpipe = Hornpipe::start(&config, statsd);
        for request in 0..REQUESTS {
            let duration = (life * REQUESTS + request) as f64 + 0.5;
            durations.push(duration);
            let timing = format!("gunicorn.request.duration:{duration}|ms|#env:prod");
            hornpipe.send(["gunicorn.requests:1|c|@1.0|#env:prod", "gunicorn.workers:2|g|#env:prod", &timing]);
        }
        hornpipe.stop_without_drops();
    }
    backends.assert_counter("gunicorn.requests", &["env:prod"], (LIVES * REQUESTS) as f64);
    backends.assert_histogram("gunicorn.request.duration", &["env:prod"], &durations);
    backends.assert_clean();
}
