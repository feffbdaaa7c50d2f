//! Log files through the real binary: rotation, crashes and backends that fail, with every line numbered.

#[cfg(target_os = "linux")]
mod full_disk;
mod input;
mod joining;
mod kill;
mod outage;
mod room;
mod rotation;
mod writer;

use std::path::Path;
use std::time::{Duration, Instant};

use hornpipe_engine::testing::{FakeDatadog, FakeOtlp};

use crate::support::{Directory, Hornpipe, free_address};
use writer::numbers;

/// Short pauses, so that a test does not wait for the real ones.
const DELIVERY: &str = "timeout: 300ms, retry_on_failure: {initial_interval: 20ms, max_interval: 100ms}";

/// A backend of each kind.
struct Backends {
    datadog: FakeDatadog,
    otlp: FakeOtlp,
}

impl Backends {
    async fn start() -> Self {
        Backends { datadog: FakeDatadog::start().await, otlp: FakeOtlp::start().await }
    }

    /// The pipeline from files to both. `receiver` is the receiver's settings, within braces.
    fn configuration(&self, receiver: &str) -> String {
        let (key, intake, endpoint) = (FakeDatadog::API_KEY, self.datadog.url(), self.otlp.url());
        format!(
            "receivers: {{filelog: {{{receiver}}}}}\n\
             exporters:\n  \
             datadog: {{api: {{key: {key}}}, metrics: {{endpoint: \"{intake}\"}}, logs: {{endpoint: \"{intake}\"}}, {DELIVERY}}}\n  \
             otlp: {{endpoint: \"{endpoint}\", {DELIVERY}}}\n\
             service:\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines:\n    \
             logs: {{receivers: [filelog], exporters: [datadog, otlp]}}\n"
        )
    }

    /// The numbers of the lines that each has, by its name.
    fn numbers(&self) -> [(&'static str, Vec<u64>); 2] {
        let (datadog, otlp) = (self.datadog.logs(), self.otlp.logs());
        [
            ("Datadog", numbers(datadog.iter().map(|entry| entry.message.as_str()))),
            ("OTLP", numbers(otlp.iter().map(|record| record.body.as_str()))),
        ]
    }

    /// Waits until each has as many lines. To count them is work, so it is not done all the time.
    async fn wait_for(&self, lines: u64) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let found = (self.datadog.logs().len() as u64, self.otlp.logs().len() as u64);
            if found.0 >= lines && found.1 >= lines {
                return;
            }
            assert!(Instant::now() < deadline, "{found:?} of {lines} lines at Datadog and over OTLP");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn start(directory: &Directory, configuration: &str) -> Hornpipe {
    let path: &Path = &directory.write("pipeline.yaml", configuration);
    Hornpipe::start(path, free_address())
}
