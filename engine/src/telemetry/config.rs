//! The options of `service.telemetry`. Names and shapes are the Collector's.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use super::Headers;

/// `service.telemetry`: what hornpipe tells about itself, and where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Its own metrics.
    pub metrics: MetricsConfig,
    /// Its own log.
    pub logs: LogsConfig,
    /// Attributes of its own metrics, beside `service.name`, `service.version`, `service.instance.id` and `host.name`,
    /// which are set by themselves. A value replaces one of these; `null` removes it.
    pub resource: BTreeMap<String, Option<String>>,
}

/// Metrics of hornpipe itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// `none` turns the metrics off. `basic`, `normal` (default) and `detailed` give the same ones: there are few, and
    /// they cost nothing until they are read.
    pub level: MetricsLevel,
    /// Where the metrics can be had. Default: Prometheus text on `localhost:8888/metrics`.
    pub readers: Vec<ReaderConfig>,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        let exporter = PullExporter::Prometheus(PrometheusConfig::default());
        MetricsConfig { level: MetricsLevel::default(), readers: vec![ReaderConfig::Pull(PullConfig { exporter })] }
    }
}

/// How much hornpipe tells about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MetricsLevel {
    /// Nothing.
    None,
    /// All metrics.
    Basic,
    /// All metrics.
    #[default]
    Normal,
    /// All metrics.
    Detailed,
}

/// One way in which the metrics leave the process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReaderConfig {
    /// Somebody asks for them.
    Pull(PullConfig),
    /// They are sent at an interval.
    Periodic(PeriodicConfig),
}

/// A reader that is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PullConfig {
    /// How it can be asked.
    pub exporter: PullExporter,
}

/// The ways to ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PullExporter {
    /// Prometheus text over HTTP, path `/metrics`.
    Prometheus(PrometheusConfig),
}

/// Where Prometheus finds the metrics, and what their names look like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PrometheusConfig {
    /// Name or address to listen on; `localhost` (default) is every loopback address, `0.0.0.0` every interface.
    pub host: String,
    /// Port to listen on, default 8888. A port that is taken costs a warning and this reader, never the start.
    pub port: u16,
    /// Leaves out the `_total` that counters end with; default `false`.
    pub without_type_suffix: bool,
    /// Leaves out unit suffixes. Only `true` (default): the names hold their unit where it matters.
    pub without_units: bool,
    /// Leaves out the `otel_scope_*` labels; default `true`.
    pub without_scope_info: bool,
}

impl Default for PrometheusConfig {
    fn default() -> Self {
        PrometheusConfig {
            host: "localhost".to_owned(),
            port: 8888,
            without_type_suffix: false,
            without_units: true,
            without_scope_info: true,
        }
    }
}

/// A number of milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Milliseconds(pub u64);

impl From<Milliseconds> for Duration {
    fn from(milliseconds: Milliseconds) -> Self {
        Duration::from_millis(milliseconds.0)
    }
}

/// A reader that sends at an interval, and once more at the end of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PeriodicConfig {
    /// Time between two exports in milliseconds, default 60000.
    pub interval: Milliseconds,
    /// Longest time that one export may take with its retries, in milliseconds, default 30000.
    pub timeout: Milliseconds,
    /// How they are sent.
    pub exporter: PushExporter,
}

impl Default for PeriodicConfig {
    fn default() -> Self {
        PeriodicConfig {
            interval: Milliseconds(60_000),
            timeout: Milliseconds(30_000),
            exporter: PushExporter::Otlp(OtlpConfig::default()),
        }
    }
}

/// The ways to send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PushExporter {
    /// The OpenTelemetry protocol.
    Otlp(OtlpConfig),
}

/// An OTLP backend for hornpipe's own metrics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpConfig {
    /// `http/protobuf` (default) or `grpc`.
    pub protocol: OtlpProtocol,
    /// URL of the backend; `/v1/metrics` is added to one without a path when the protocol is `http/protobuf`. Default:
    /// `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`, else `OTEL_EXPORTER_OTLP_ENDPOINT`, else the backend's standard port on
    /// this host, 4318 for `http/protobuf` and 4317 for `grpc`.
    pub endpoint: Option<String>,
    /// Request headers. Those of `OTEL_EXPORTER_OTLP_METRICS_HEADERS`, else of `OTEL_EXPORTER_OTLP_HEADERS`, are added
    /// and win over these.
    pub headers: Headers,
    /// Longest time that one export may take with its retries, in milliseconds, default 10000. The shorter one of this
    /// and the reader's own `timeout` counts.
    pub timeout: Milliseconds,
    /// `none` (default) or `gzip`.
    pub compression: Compression,
    /// True where an endpoint without `http://` or `https://` is reached without TLS; default `false`.
    pub insecure: bool,
    /// Whether counters are sent as running totals or as differences. Default:
    /// `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`, else `cumulative`.
    pub temporality_preference: Option<TemporalityPreference>,
}

impl Default for OtlpConfig {
    fn default() -> Self {
        OtlpConfig {
            protocol: OtlpProtocol::default(),
            endpoint: None,
            headers: Headers::default(),
            timeout: Milliseconds(10_000),
            compression: Compression::default(),
            insecure: false,
            temporality_preference: None,
        }
    }
}

/// How OTLP travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OtlpProtocol {
    /// Protobuf over HTTP.
    #[default]
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
    /// gRPC.
    #[serde(rename = "grpc")]
    Grpc,
}

/// How requests are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip.
    Gzip,
}

/// What a counter's value is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TemporalityPreference {
    /// The start of the process.
    Cumulative,
    /// The last export.
    Delta,
    /// The Collector's third word; for the instruments that hornpipe has it means `cumulative`.
    LowMemory,
}

/// The log of hornpipe itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogsConfig {
    /// Least severity that is written: `debug`, `info` (default), `warn` or `error`.
    pub level: LogLevel,
    /// `console` (default) for people, `json` for machines.
    pub encoding: LogEncoding,
}

/// A severity; upper and lower case are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// All that helps to find a fault.
    Debug,
    /// What happens in normal operation.
    #[default]
    Info,
    /// What somebody should look at.
    Warn,
    /// What does not work.
    Error,
}

impl LogLevel {
    const ALL: [LogLevel; 4] = [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];

    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        }
    }
}

impl<'de> Deserialize<'de> for LogLevel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = LogLevel::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(&name));
        known.ok_or_else(|| D::Error::unknown_variant(&name, &["debug", "info", "warn", "error"]))
    }
}

/// What a log line looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogEncoding {
    /// Text for people.
    #[default]
    Console,
    /// One JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_configured_means_prometheus_on_localhost_8888() {
        let config: TelemetryConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(config, TelemetryConfig::default());
        let [ReaderConfig::Pull(PullConfig { exporter: PullExporter::Prometheus(prometheus) })] =
            &config.metrics.readers[..]
        else {
            panic!("{config:?}");
        };
        assert_eq!((prometheus.host.as_str(), prometheus.port), ("localhost", 8888));
        assert_eq!(config.metrics.level, MetricsLevel::Normal);
    }

    #[test]
    fn unknown_options_are_refused_at_every_level() {
        for text in [
            r#"{"metric": {}}"#,
            r#"{"metrics": {"address": ":8888"}}"#,
            r#"{"metrics": {"readers": [{"push": {}}]}}"#,
            r#"{"metrics": {"readers": [{"pull": {"exporter": {"prometheus": {"path": "/"}}}}]}}"#,
            r#"{"metrics": {"readers": [{"periodic": {"exporter": {"otlp": {"url": "a"}}}}]}}"#,
            r#"{"logs": {"level": "chatty"}}"#,
        ] {
            assert!(serde_json::from_str::<TelemetryConfig>(text).is_err(), "{text}");
        }
    }
}
