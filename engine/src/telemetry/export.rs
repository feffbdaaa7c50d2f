//! Where the counters go: the OpenTelemetry SDK with the readers that the configuration asks for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hornpipe_model::{Resource, Value};
use opentelemetry::metrics::MeterProvider;
use opentelemetry::{KeyValue, Value as AttributeValue};
use opentelemetry_prometheus::PrometheusExporter;
use opentelemetry_sdk::Resource as SdkResource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::instruments::Instruments;
use super::otlp::WatchedExporter;
use super::prometheus::PrometheusReader;
use super::{MetricsLevel, PullConfig, PullExporter, ReaderConfig, Telemetry, TelemetryConfig, otlp};
use crate::{Shutdown, ShutdownTrigger};

/// How often a periodic reader's new instruments are looked for. (A scrape looks by itself.)
const LOOK_FOR_NEW: Duration = Duration::from_secs(1);

/// The running readers of our own metrics.
///
/// A reader that cannot be had costs a warning and never the start: what a program is there for comes before what it
/// tells about itself.
pub struct SelfTelemetry {
    running: Option<Running>,
    addresses: Vec<SocketAddr>,
    problems: Vec<String>,
}

struct Running {
    provider: SdkMeterProvider,
    instruments: Arc<Instruments>,
    stop: ShutdownTrigger,
    tasks: Vec<JoinHandle<()>>,
}

/// A reader for the SDK, and the server that asks it.
enum Reader {
    Prometheus(PrometheusReader, PrometheusExporter),
    Otlp(PeriodicReader<WatchedExporter>),
}

impl Reader {
    /// The reader, or what is wrong and what to do.
    async fn build(config: &ReaderConfig) -> Result<Self, String> {
        match config {
            ReaderConfig::Pull(PullConfig { exporter: PullExporter::Prometheus(prometheus) }) => {
                let bound = PrometheusReader::bind(prometheus).await;
                let (server, exporter) =
                    bound.map_err(|error| format!("{error}; choose another `host` or `port` there"))?;
                Ok(Reader::Prometheus(server, exporter))
            }
            ReaderConfig::Periodic(periodic) => {
                otlp::reader(periodic).map(Reader::Otlp).map_err(|error| format!("{error}; correct the exporter there"))
            }
        }
    }
}

impl SelfTelemetry {
    /// Starts the readers that `config` asks for. `identity` says who this process is. Call it within a Tokio runtime.
    pub async fn start(config: &TelemetryConfig, identity: &Resource, telemetry: &Telemetry) -> Self {
        let mut started = SelfTelemetry { running: None, addresses: Vec::new(), problems: Vec::new() };
        if config.metrics.level == MetricsLevel::None || config.metrics.readers.is_empty() {
            return started;
        }
        let mut provider = SdkMeterProvider::builder().with_resource(sdk_resource(identity, &config.resource));
        let mut servers = Vec::new();
        let mut pushes = false;
        for (index, reader) in config.metrics.readers.iter().enumerate() {
            match Reader::build(reader).await {
                Ok(Reader::Prometheus(server, exporter)) => {
                    provider = provider.with_reader(exporter);
                    servers.push(server);
                }
                Ok(Reader::Otlp(reader)) => {
                    provider = provider.with_reader(reader);
                    pushes = true;
                }
                Err(problem) => started.without_reader(index, &problem),
            }
        }
        if servers.is_empty() && !pushes {
            return started;
        }
        let provider = provider.build();
        let instruments = Arc::new(Instruments::new(provider.meter("hornpipe"), telemetry.clone()));
        let (stop, shutdown) = Shutdown::new();
        let mut tasks = Vec::new();
        for server in servers {
            started.addresses.extend(server.addresses());
            tasks.extend(server.serve(&instruments, &shutdown));
        }
        if pushes {
            tasks.push(tokio::spawn(look_for_new_instruments(Arc::clone(&instruments), shutdown)));
        }
        started.running = Some(Running { provider, instruments, stop, tasks });
        started
    }

    fn without_reader(&mut self, index: usize, problem: &str) {
        let problem = format!(
            "own metrics are not available through service.telemetry.metrics.readers[{index}]: {problem}, or set \
             service.telemetry.metrics.level to none if nobody reads them"
        );
        tracing::warn!("{problem}");
        self.problems.push(problem);
    }

    /// Where the metrics can be read, as bound.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Why readers are missing, in words for the operator; also logged as warnings.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Sends the last values to periodic readers, answers running scrapes, and stops, all within `limit`.
    pub async fn stop(mut self, limit: Duration) {
        let Some(Running { provider, instruments, stop, tasks }) = self.running.take() else { return };
        instruments.refresh();
        stop.request();
        let last_export = shut_down(provider);
        let aborts: Vec<_> = tasks.iter().map(JoinHandle::abort_handle).collect();
        let all = async {
            let (exported, _) = futures_util::future::join(last_export, futures_util::future::join_all(tasks)).await;
            if let Ok(Err(error)) = exported {
                tracing::debug!(%error, "the last values of own metrics were not sent");
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::debug!("own metrics did not stop in time");
            aborts.iter().for_each(tokio::task::AbortHandle::abort);
        }
    }
}

impl Drop for SelfTelemetry {
    /// Without [`stop`](Self::stop) nothing is waited for: a second signal ends the program at once.
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            drop(shut_down(running.provider));
        }
    }
}

/// Ends the SDK, which blocks until the last export is through: on a thread of its own, which, unlike the runtime's,
/// does not hold up the end of the process when a backend hangs.
fn shut_down(provider: SdkMeterProvider) -> oneshot::Receiver<OTelSdkResult> {
    let (done, ended) = oneshot::channel();
    let end = move || {
        let _ = done.send(provider.shutdown());
    };
    if let Err(error) = std::thread::Builder::new().name("own-metrics-end".to_owned()).spawn(end) {
        tracing::debug!(%error, "no thread for the last values of own metrics");
    }
    ended
}

async fn look_for_new_instruments(instruments: Arc<Instruments>, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.requested() => return,
            () = tokio::time::sleep(LOOK_FOR_NEW) => instruments.refresh(),
        }
    }
}

/// The attributes of our own metrics: ours, the process's, and what the configuration sets or, with null, removes.
fn sdk_resource(identity: &Resource, configured: &BTreeMap<String, Option<String>>) -> SdkResource {
    let mut attributes: BTreeMap<&str, AttributeValue> = BTreeMap::new();
    attributes.insert(Resource::SERVICE_NAME, "hornpipe".into());
    attributes.insert("service.version", env!("CARGO_PKG_VERSION").into());
    for (key, value) in &identity.attributes {
        if let Some(value) = attribute_value(value) {
            attributes.insert(key, value);
        }
    }
    for (key, value) in configured {
        match value {
            Some(value) => attributes.insert(key, value.clone().into()),
            None => attributes.remove(key.as_str()),
        };
    }
    let attributes = attributes.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value));
    SdkResource::builder_empty().with_attributes(attributes).build()
}

fn attribute_value(value: &Value) -> Option<AttributeValue> {
    match value {
        Value::String(text) => Some(text.clone().into()),
        Value::Bool(value) => Some((*value).into()),
        Value::Int(value) => Some((*value).into()),
        Value::Double(value) => Some((*value).into()),
        // A process is not told apart by anything else.
        Value::Bytes(_) | Value::Array(_) | Value::Map(_) => None,
    }
}
