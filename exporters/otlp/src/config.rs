//! The exporter's options, in the Collector's names.

use std::time;

use hornpipe_engine::component::{BuildContext, BuildError, ComponentType, Exporter, ExporterConfig};
use hornpipe_engine::config::{Duration, Environment, ProcessEnvironment, Report};
use hornpipe_engine::delivery::{DeliveryConfig, QueueConfig, RetryConfig};
use hornpipe_engine::http::{Compression, TlsConfig};
use hornpipe_engine::telemetry::Headers;
use hornpipe_model::Signal;
use hornpipe_model::distribution::ExponentialHistogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::exporter::OtlpExporter;
use crate::settings::{Problem, Settings};

/// How OTLP is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// gRPC, by default on port 4317.
    #[serde(rename = "grpc")]
    Grpc,
    /// Protobuf messages in HTTP requests, by default on port 4318.
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

/// What sums and histograms stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TemporalityPreference {
    /// Everything since the start of the series; Prometheus and what is like it take nothing else.
    Cumulative,
    /// The time since the point before; Datadog takes nothing else.
    Delta,
}

/// When a connection is asked for a sign of life. One that a firewall forgot would otherwise take every retry until the
/// kernel gives it up after a quarter of an hour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Keepalive {
    /// How long a connection is silent before it is asked, at least 1s.
    pub time: Duration,
    /// How long the answer may take before the connection is given up, at least 1s.
    pub timeout: Duration,
    /// Ask also while no request is under way; many servers refuse that.
    pub permit_without_stream: bool,
}

impl Default for Keepalive {
    /// Servers in Go tolerate two questions a call, and hang up on more.
    fn default() -> Self {
        Keepalive { time: Duration::from_secs(30), timeout: Duration::from_secs(5), permit_without_stream: false }
    }
}

/// How hard bodies are compressed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CompressionParams {
    /// 0 to 9 for `gzip` and `deflate`, 1 to 22 for `zstd`; higher ones make smaller bodies and take much more time. Default:
    /// 4 for `gzip` and `deflate`, 1 for `zstd`, by the table in `docs/benchmarks.md`.
    pub level: Option<i32>,
}

/// Options of the `otlp` exporter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpConfig {
    /// `grpc` or `http/protobuf`. Default: `OTEL_EXPORTER_OTLP_PROTOCOL`, else `grpc`; for `otlp_http`: `http/protobuf`.
    pub protocol: Option<Protocol>,
    /// Where the backend is: for gRPC `host:port` (over TLS unless `tls.insecure`), `http://…` or `https://…`; for HTTP the
    /// base URL, to which `/v1/metrics` or `/v1/logs` is appended. Default: `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` and
    /// `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT` for their signal (over HTTP used as they are), `OTEL_EXPORTER_OTLP_ENDPOINT`, else
    /// `http://localhost:4317` for gRPC and `http://localhost:4318` for HTTP.
    pub endpoint: Option<String>,
    /// Where metrics go, in place of `endpoint`; over HTTP the whole URL, used as it is.
    pub metrics_endpoint: Option<String>,
    /// Where logs go, in place of `endpoint`; over HTTP the whole URL, used as it is.
    pub logs_endpoint: Option<String>,
    /// Headers of every request: a map, or a list of `name` and `value`. Default: `OTEL_EXPORTER_OTLP_HEADERS`, where the
    /// backend is the one that the environment names.
    pub headers: Option<Headers>,
    /// TLS.
    pub tls: TlsConfig,
    /// Signs of life that are asked of a connection (gRPC only).
    pub keepalive: Keepalive,
    /// `gzip`, `zstd` or `none`; over HTTP also `deflate`. Default: `OTEL_EXPORTER_OTLP_COMPRESSION`, else `gzip`.
    pub compression: Option<Compression>,
    /// How hard bodies are compressed.
    pub compression_params: CompressionParams,
    /// `cumulative` or `delta`. Default: `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`, else `cumulative`.
    pub temporality: Option<TemporalityPreference>,
    /// Most series whose running total is kept (cumulative), at least 1; beyond it those not seen for longest start anew.
    pub max_streams: usize,
    /// Most buckets of an exponential histogram, for values above and below 0 each: 3 to 16384.
    pub max_size: usize,
    /// How long one attempt may take; 0 means without limit. Default: `OTEL_EXPORTER_OTLP_TIMEOUT` (in milliseconds), else
    /// 5s for gRPC and 30s for HTTP.
    pub timeout: Option<Duration>,
    /// The queue in front of the backend.
    pub sending_queue: QueueConfig,
    /// Retries.
    pub retry_on_failure: RetryConfig,
}

impl Default for OtlpConfig {
    fn default() -> Self {
        OtlpConfig {
            protocol: None,
            endpoint: None,
            metrics_endpoint: None,
            logs_endpoint: None,
            headers: None,
            tls: TlsConfig::default(),
            keepalive: Keepalive::default(),
            compression: None,
            compression_params: CompressionParams::default(),
            temporality: None,
            max_streams: 200_000,
            max_size: ExponentialHistogram::DEFAULT_MAX_SIZE,
            timeout: None,
            sending_queue: QueueConfig::default(),
            retry_on_failure: RetryConfig::default(),
        }
    }
}

/// The greatest `max_size` (the Collector's own histogram library stops there).
const LARGEST_MAX_SIZE: usize = 16_384;

impl OtlpConfig {
    /// Checks the options together with the environment's.
    pub(crate) fn check(&self, environment: &dyn Environment, report: &mut Report) {
        self.tls.validate("tls", report);
        for (option, value) in [("keepalive.time", self.keepalive.time), ("keepalive.timeout", self.keepalive.timeout)]
        {
            if value < Duration::from_secs(1) {
                report.error(option, "must be at least 1s");
            }
        }
        if self.max_streams == 0 {
            report.error("max_streams", "must be at least 1");
        }
        let sizes = ExponentialHistogram::MIN_MAX_SIZE..=LARGEST_MAX_SIZE;
        if !sizes.contains(&self.max_size) {
            report.error("max_size", format!("must be within {} and {}", sizes.start(), sizes.end()));
        }
        match Settings::resolve(self, environment) {
            Ok(settings) => {
                settings.delivery.validate(report);
                for Problem { option, message } in settings.warnings() {
                    report.warning(option, message);
                }
            }
            Err(problems) => {
                for Problem { option, message } in problems {
                    report.error(option, message);
                }
            }
        }
    }

    /// The queue and retry options with a timeout.
    pub(crate) fn delivery_within(&self, timeout: time::Duration) -> DeliveryConfig {
        let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        DeliveryConfig {
            sending_queue: self.sending_queue.clone(),
            retry_on_failure: self.retry_on_failure.clone(),
            timeout: Duration::from_millis(milliseconds),
        }
    }
}

impl ComponentType for OtlpConfig {
    const TYPE: &'static str = "otlp";
    const ALIASES: &'static [&'static str] = &["otlp_grpc"];
    const SIGNALS: &'static [Signal] = &[Signal::Metrics, Signal::Logs];
    const SUMMARY: &'static str = "sends metrics and logs to any OTLP backend, over gRPC or HTTP";
}

impl ExporterConfig for OtlpConfig {
    fn validate(&self, report: &mut Report) {
        self.check(&ProcessEnvironment, report);
    }

    fn delivery(&self) -> DeliveryConfig {
        match Settings::resolve(self, &ProcessEnvironment) {
            Ok(settings) => settings.delivery,
            // Reported by `validate`, and `build` refuses it.
            Err(_) => self.delivery_within(time::Duration::ZERO),
        }
    }

    fn build(&self, context: BuildContext) -> Result<Box<dyn Exporter>, BuildError> {
        let settings = Settings::resolve(self, &ProcessEnvironment).map_err(first_problem)?;
        Ok(Box::new(OtlpExporter::new(settings, context)?))
    }
}

fn first_problem(problems: Vec<Problem>) -> BuildError {
    match problems.into_iter().next() {
        Some(Problem { option, message }) => BuildError::new(option, message),
        None => BuildError::new("", "the settings cannot be used"),
    }
}

/// Options of the `otlp_http` exporter: those of `otlp`, with the protocol `http/protobuf` unless another is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct OtlpHttpConfig(pub OtlpConfig);

impl OtlpHttpConfig {
    /// The same as options of `otlp`.
    fn as_otlp(&self) -> OtlpConfig {
        OtlpConfig { protocol: self.0.protocol.or(Some(Protocol::HttpProtobuf)), ..self.0.clone() }
    }
}

impl ComponentType for OtlpHttpConfig {
    const TYPE: &'static str = "otlp_http";
    const ALIASES: &'static [&'static str] = &["otlphttp"];
    const SIGNALS: &'static [Signal] = OtlpConfig::SIGNALS;
    const SUMMARY: &'static str = "sends metrics and logs to any OTLP backend, over HTTP";
}

impl ExporterConfig for OtlpHttpConfig {
    fn validate(&self, report: &mut Report) {
        self.as_otlp().validate(report);
    }

    fn delivery(&self) -> DeliveryConfig {
        self.as_otlp().delivery()
    }

    fn build(&self, context: BuildContext) -> Result<Box<dyn Exporter>, BuildError> {
        self.as_otlp().build(context)
    }
}

#[cfg(test)]
mod tests;
