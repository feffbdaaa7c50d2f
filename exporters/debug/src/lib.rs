//! The `debug` exporter: readable lines on standard output, for a first look and for trying out a pipeline.
//!
//! Delivery is not promised: when standard output is gone or slow, lines are dropped and counted.

mod config;
mod render;
mod shown;

pub use config::{DebugConfig, Verbosity};

use std::io::Write;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use hornpipe_engine::component::{
    BuildContext, BuildError, ComponentType, Encoded, Exporter, ExporterConfig, Request, SendOutcome,
};
use hornpipe_engine::config::Duration;
use hornpipe_engine::delivery::{DeliveryConfig, QueueConfig, RetryConfig};
use hornpipe_engine::{lock, reason};
use hornpipe_model::{Data, Signal};

impl ComponentType for DebugConfig {
    const TYPE: &'static str = "debug";
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const SUMMARY: &'static str = "readable lines on standard output";
}

impl ExporterConfig for DebugConfig {
    fn delivery(&self) -> DeliveryConfig {
        DeliveryConfig {
            sending_queue: QueueConfig::default(),
            retry_on_failure: RetryConfig { enabled: false, ..RetryConfig::default() },
            timeout: Duration::from_secs(5),
        }
    }

    fn build(&self, _context: BuildContext) -> Result<Box<dyn Exporter>, BuildError> {
        Ok(Box::new(Debug { verbosity: self.verbosity, out: Arc::new(Mutex::new(std::io::stdout())) }))
    }
}

struct Debug {
    verbosity: Verbosity,
    out: Arc<Mutex<dyn Write + Send>>,
}

#[async_trait]
impl Exporter for Debug {
    fn best_effort(&self) -> bool {
        true
    }

    fn encode(&self, data: &Data, items: &[u32]) -> Encoded {
        let body = Bytes::from(render::render(data, items, self.verbosity));
        let request = Request { route: "stdout", signal: data.signal(), body, items: items.to_vec() };
        Encoded { requests: vec![request], dropped: Vec::new() }
    }

    async fn send(&self, request: &Request) -> SendOutcome {
        let (text, out) = (request.body.clone(), Arc::clone(&self.out));
        // A pipe that nobody reads may block for ever; no other task waits for it.
        let written = tokio::task::spawn_blocking(move || {
            let mut out = lock(&out);
            out.write_all(&text).and_then(|()| out.flush())
        });
        match written.await {
            Ok(Ok(())) => SendOutcome::delivered(),
            Ok(Err(error)) => refused(&error.to_string()),
            Err(error) => refused(&error.to_string()),
        }
    }
}

fn refused(error: &str) -> SendOutcome {
    SendOutcome::Permanent { reason: reason::REFUSED, error: format!("cannot write to standard output: {error}") }
}

#[cfg(test)]
mod tests;
