//! What the options and the environment say together.
//!
//! The environment variables are those of the OpenTelemetry specification ("OpenTelemetry Protocol Exporter"). An
//! option wins over its variable; an empty variable counts as unset.

use hornpipe_engine::config::Environment;
use hornpipe_engine::delivery::DeliveryConfig;
use hornpipe_engine::http::{Compression, Endpoint};
use hornpipe_model::{Signal, Temporality};
use http::HeaderMap;

use crate::admission::Limits;
use crate::config::{OtlpConfig, Protocol, TemporalityPreference};
use crate::endpoint;
use crate::headers;

pub(crate) const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
pub(crate) const METRICS_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
pub(crate) const LOGS_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";
pub(crate) const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
pub(crate) const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
pub(crate) const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";

/// Something about an option that the operator has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The option, relative to the exporter.
    pub(crate) option: &'static str,
    /// What is wrong, and what to do.
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new(option: &'static str, message: impl Into<String>) -> Self {
        Problem { option, message: message.into() }
    }
}

/// Where each signal goes. gRPC: host and port. HTTP: the whole URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoints {
    pub(crate) metrics: Endpoint,
    pub(crate) logs: Endpoint,
}

impl Endpoints {
    /// The endpoint of a signal.
    pub(crate) fn of(&self, signal: Signal) -> &Endpoint {
        match signal {
            Signal::Metrics => &self.metrics,
            Signal::Logs => &self.logs,
        }
    }
}

/// Everything decided.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) protocol: Protocol,
    pub(crate) endpoints: Endpoints,
    pub(crate) headers: HeaderMap,
    pub(crate) compression: Compression,
    pub(crate) temporality: Temporality,
    pub(crate) limits: Limits,
    pub(crate) delivery: DeliveryConfig,
}

impl Settings {
    /// Puts options and environment together.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(crate) fn resolve(config: &OtlpConfig, environment: &dyn Environment) -> Result<Settings, Vec<Problem>> {
        let mut problems = Vec::new();
        let protocol = protocol(config, environment).map_err(|problem| problems.push(problem)).ok();
        let temporality = temporality(config, environment).map_err(|problem| problems.push(problem)).ok();
        let headers = headers::resolve(config, environment).map_err(|found| problems.extend(found)).ok();
        // Without a protocol nothing can be said about an endpoint.
        let endpoints = protocol.and_then(|protocol| {
            if let Some(problem) = compression_problem(config.compression, protocol) {
                problems.push(problem);
            }
            endpoint::resolve(config, protocol, environment).map_err(|found| problems.extend(found)).ok()
        });
        let (Some(protocol), Some(temporality), Some(headers), Some(endpoints), true) =
            (protocol, temporality, headers, endpoints, problems.is_empty())
        else {
            return Err(problems);
        };
        Ok(Settings {
            protocol,
            endpoints,
            headers,
            compression: config.compression,
            temporality,
            limits: Limits { max_streams: config.max_streams, max_size: config.max_size },
            delivery: config.delivery_for(protocol),
        })
    }

    /// What can be used, but probably does not do what was meant.
    pub(crate) fn warnings(&self) -> Vec<Problem> {
        let mut warnings = Vec::new();
        let is_datadog = |endpoint: &Endpoint| endpoint::is_datadog_intake(endpoint.host());
        let metrics_to_datadog = is_datadog(&self.endpoints.metrics);
        if metrics_to_datadog && self.temporality != Temporality::Delta {
            let message = "Datadog's OTLP intake refuses cumulative sums and histograms: set `temporality: delta`";
            warnings.push(Problem::new("temporality", message));
        }
        let any_to_datadog = metrics_to_datadog || is_datadog(&self.endpoints.logs);
        if any_to_datadog && self.protocol != Protocol::HttpProtobuf {
            let message = "Datadog's OTLP intake speaks HTTP only: set `protocol: http/protobuf`";
            warnings.push(Problem::new("protocol", message));
        }
        warnings
    }
}

/// The protocol that is set, or the environment's.
pub(crate) fn protocol(config: &OtlpConfig, environment: &dyn Environment) -> Result<Protocol, Problem> {
    if let Some(protocol) = config.protocol {
        return Ok(protocol);
    }
    match variable(environment, "protocol", PROTOCOL)?.as_deref() {
        None | Some("grpc") => Ok(Protocol::Grpc),
        Some("http/protobuf") => Ok(Protocol::HttpProtobuf),
        Some(_) => {
            let message = format!("{PROTOCOL} is neither grpc nor http/protobuf: set `protocol` to one of them");
            Err(Problem::new("protocol", message))
        }
    }
}

fn temporality(config: &OtlpConfig, environment: &dyn Environment) -> Result<Temporality, Problem> {
    match config.temporality {
        Some(TemporalityPreference::Cumulative) => return Ok(Temporality::Cumulative),
        Some(TemporalityPreference::Delta) => return Ok(Temporality::Delta),
        None => {}
    }
    let Some(preference) = variable(environment, "temporality", TEMPORALITY)? else {
        return Ok(Temporality::Cumulative);
    };
    match preference.to_ascii_lowercase().as_str() {
        "cumulative" => Ok(Temporality::Cumulative),
        // The specification's `lowmemory` is delta for counters and histograms, which is all that StatsD has.
        "delta" | "lowmemory" => Ok(Temporality::Delta),
        _ => {
            let message = format!("{TEMPORALITY} is none of cumulative, delta and lowmemory: set `temporality`");
            Err(Problem::new("temporality", message))
        }
    }
}

fn compression_problem(compression: Compression, protocol: Protocol) -> Option<Problem> {
    (compression == Compression::Deflate && protocol == Protocol::Grpc)
        .then(|| Problem::new("compression", "gRPC knows no deflate: use gzip, zstd or none"))
}

/// A variable's value, `None` where it is not set or empty.
pub(crate) fn variable(
    environment: &dyn Environment,
    option: &'static str,
    name: &str,
) -> Result<Option<String>, Problem> {
    match environment.variable(name) {
        Ok(value) => Ok(value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())),
        Err(why) => Err(Problem::new(option, format!("{name} cannot be used: {why}"))),
    }
}
