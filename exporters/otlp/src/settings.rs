//! What the options and the environment say together.

use std::path::PathBuf;
use std::time::Duration;

use hornpipe_engine::config::Environment;
use hornpipe_engine::delivery::DeliveryConfig;
use hornpipe_engine::http::{Compression, Endpoint, TlsConfig};
use hornpipe_model::{Signal, Temporality};
use http::HeaderMap;

use crate::admission::Limits;
use crate::config::{Keepalive, OtlpConfig, Protocol, TemporalityPreference};
use crate::endpoint;
use crate::headers::{self, Headers};
use crate::variables::{self, Variable, Variables, variable};

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

/// Where the requests of a signal go, and how.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) protocol: Protocol,
    /// gRPC: host and port. HTTP: the whole URL.
    pub(crate) endpoint: Endpoint,
    pub(crate) headers: HeaderMap,
    /// The variable whose headers are not sent, as they are for another backend.
    pub(crate) withheld: Option<String>,
    pub(crate) compression: Compression,
    /// `None` for the one that is best for what we send.
    pub(crate) level: Option<i32>,
    pub(crate) tls: TlsConfig,
    /// How long one attempt may take; 0 means without limit.
    pub(crate) timeout: Duration,
}

/// Everything decided.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) metrics: Destination,
    pub(crate) logs: Destination,
    pub(crate) keepalive: Keepalive,
    pub(crate) temporality: Temporality,
    pub(crate) limits: Limits,
    pub(crate) delivery: DeliveryConfig,
    /// What the environment asks for and does not get.
    pub(crate) ungranted: Option<Problem>,
}

impl Settings {
    /// Puts options and environment together.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(crate) fn resolve(config: &OtlpConfig, environment: &dyn Environment) -> Result<Settings, Vec<Problem>> {
        let mut problems = Vec::new();
        let temporality = temporality(config, environment).map_err(|problem| problems.push(problem)).ok();
        let [metrics, logs] = [Signal::Metrics, Signal::Logs].map(|signal| {
            let destination = destination(config, Variables { environment, signal });
            destination.map_err(|found| problems.extend(found)).ok()
        });
        // What both signals share is wrong for both.
        let mut known = Vec::new();
        problems.retain(|problem| {
            !known.contains(problem) && {
                known.push(problem.clone());
                true
            }
        });
        let (Some(metrics), Some(logs), Some(temporality)) = (metrics, logs, temporality) else {
            return Err(problems);
        };
        // The engine bounds all attempts alike; the exporter those of the signal with less time.
        let unlimited = metrics.timeout.is_zero() || logs.timeout.is_zero();
        let timeout = if unlimited { Duration::ZERO } else { metrics.timeout.max(logs.timeout) };
        Ok(Settings {
            keepalive: config.keepalive.clone(),
            temporality,
            limits: Limits { max_streams: config.max_streams, max_size: config.max_size },
            delivery: config.delivery_within(timeout),
            ungranted: histograms(environment),
            metrics,
            logs,
        })
    }

    /// What can be used, but probably does not do what was meant.
    pub(crate) fn warnings(&self) -> Vec<Problem> {
        let mut warnings = Vec::from_iter(self.ungranted.clone());
        let to_datadog = |destination: &Destination| endpoint::is_datadog_intake(destination.endpoint.host());
        if to_datadog(&self.metrics) && self.temporality != Temporality::Delta {
            let message = "Datadog's OTLP intake refuses cumulative sums and histograms: set `temporality: delta`";
            warnings.push(Problem::new("temporality", message));
        }
        let over_grpc = |destination: &Destination| destination.protocol == Protocol::Grpc;
        if [&self.metrics, &self.logs].into_iter().any(|destination| to_datadog(destination) && over_grpc(destination))
        {
            let message = "Datadog's OTLP intake speaks HTTP only: set `protocol: http/protobuf`";
            warnings.push(Problem::new("protocol", message));
        }
        for Destination { endpoint, withheld, .. } in [&self.metrics, &self.logs] {
            let Some(name) = withheld else { continue };
            let message = format!(
                "the headers of {name} are not sent to {}, as the environment's endpoint is another: set `headers`, or \
                 `headers: {{}}` if it needs none",
                endpoint.authority()
            );
            let warning = Problem::new("headers", message);
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        warnings
    }
}

/// Where a signal goes.
fn destination(config: &OtlpConfig, variables: Variables<'_>) -> Result<Destination, Vec<Problem>> {
    let mut problems = Vec::new();
    let protocol = protocol(config, variables).map_err(|problem| problems.push(problem)).ok();
    let tls = tls(config, variables).map_err(|problem| problems.push(problem)).ok();
    // Without a protocol nothing can be said about the rest.
    let Some(protocol) = protocol else { return Err(problems) };
    let compression = compression(config, protocol, variables).map_err(|problem| problems.push(problem)).ok();
    let endpoint = endpoint::resolve(config, protocol, variables).map_err(|problem| problems.push(problem)).ok();
    let timeout = timeout(config, protocol, variables).map_err(|problem| problems.push(problem)).ok();
    let is_of_environment = |endpoint| endpoint::is_of_environment(endpoint, config, protocol, variables);
    let is_of_environment = endpoint.as_ref().is_none_or(is_of_environment);
    let headers = headers::resolve(config, is_of_environment, variables).map_err(|found| problems.extend(found)).ok();
    match (endpoint, headers, compression, tls, timeout) {
        (Some(endpoint), Some(headers), Some(compression), Some(tls), Some(timeout)) => {
            let Headers { map: headers, withheld } = headers;
            let level = config.compression_params.level;
            Ok(Destination { protocol, endpoint, headers, withheld, compression, level, tls, timeout })
        }
        _ => Err(problems),
    }
}

fn protocol(config: &OtlpConfig, variables: Variables<'_>) -> Result<Protocol, Problem> {
    if let Some(protocol) = config.protocol {
        return Ok(protocol);
    }
    let Some(found) = variables.find("protocol", variables::PROTOCOL)? else { return Ok(Protocol::Grpc) };
    match found.value.as_str() {
        "grpc" => Ok(Protocol::Grpc),
        "http/protobuf" => Ok(Protocol::HttpProtobuf),
        _ => {
            let message = format!("{} is neither grpc nor http/protobuf: set `protocol` to one of them", found.name);
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
    let Some(preference) = variable(environment, "temporality", variables::TEMPORALITY.to_owned())? else {
        return Ok(Temporality::Cumulative);
    };
    match preference.value.to_ascii_lowercase().as_str() {
        "cumulative" => Ok(Temporality::Cumulative),
        // The specification's `lowmemory` is delta for counters and histograms, which is all that StatsD has.
        "delta" | "lowmemory" => Ok(Temporality::Delta),
        _ => {
            let name = preference.name;
            let message = format!("{name} is none of cumulative, delta and lowmemory: set `temporality`");
            Err(Problem::new("temporality", message))
        }
    }
}

/// What is to be said where another kind of histogram is asked for than we send.
fn histograms(environment: &dyn Environment) -> Option<Problem> {
    let found = variable(environment, "max_size", variables::HISTOGRAMS.to_owned()).transpose()?;
    let is_granted = |found: Variable| found.value.eq_ignore_ascii_case("base2_exponential_bucket_histogram");
    let message = format!(
        "{} asks for another kind of histogram: distributions are always sent as exponential ones, which keep the percentiles of \
         any value and need no list of buckets",
        variables::HISTOGRAMS
    );
    (!found.is_ok_and(is_granted)).then(|| Problem::new("max_size", message))
}

fn compression(config: &OtlpConfig, protocol: Protocol, variables: Variables<'_>) -> Result<Compression, Problem> {
    let compression = match (config.compression, variables.find("compression", variables::COMPRESSION)?) {
        (Some(compression), _) => compression,
        (None, None) => Compression::Gzip,
        (None, Some(found)) => match found.value.as_str() {
            "gzip" => Compression::Gzip,
            "none" => Compression::None,
            _ => {
                let message = format!("{} is neither gzip nor none: set `compression`", found.name);
                return Err(Problem::new("compression", message));
            }
        },
    };
    if compression == Compression::Deflate && protocol == Protocol::Grpc {
        return Err(Problem::new("compression", "gRPC knows no deflate: use gzip, zstd or none"));
    }
    let levels = compression.levels();
    if config.compression_params.level.is_some_and(|level| !levels.contains(&level)) {
        let message = match compression {
            Compression::None => "has no meaning without `compression`".to_owned(),
            _ => format!("must be from {} to {} for this compression", levels.start(), levels.end()),
        };
        return Err(Problem::new("compression_params.level", message));
    }
    Ok(compression)
}

fn timeout(config: &OtlpConfig, protocol: Protocol, variables: Variables<'_>) -> Result<Duration, Problem> {
    if let Some(timeout) = config.timeout {
        return Ok(timeout.get());
    }
    match variables.find("timeout", variables::TIMEOUT)? {
        Some(found) => found.value.parse().map(Duration::from_millis).map_err(|_| {
            let message = format!("{} is not a number of milliseconds: set `timeout`", found.name);
            Problem::new("timeout", message)
        }),
        None => Ok(Duration::from_secs(match protocol {
            Protocol::Grpc => 5,
            Protocol::HttpProtobuf => 30,
        })),
    }
}

/// The options of TLS, with the files of the environment where they name none.
fn tls(config: &OtlpConfig, variables: Variables<'_>) -> Result<TlsConfig, Problem> {
    let mut tls = config.tls.clone();
    if tls.ca_file.is_none() && tls.ca_pem.is_none() {
        let found = variables.find("tls.ca_file", variables::CERTIFICATE)?;
        tls.ca_file = found.map(|found| found.value.into());
    }
    let is_unset = |file: &Option<PathBuf>, has_text: bool| file.is_none() && !has_text;
    if is_unset(&tls.cert_file, tls.cert_pem.is_some()) && is_unset(&tls.key_file, tls.key_pem.is_some()) {
        let certificate = variables.find("tls.cert_file", variables::CLIENT_CERTIFICATE)?;
        let key = variables.find("tls.key_file", variables::CLIENT_KEY)?;
        match (&certificate, &key) {
            (Some(found), None) => {
                let message = format!("{} needs the private key in OTEL_EXPORTER_OTLP_CLIENT_KEY", found.name);
                return Err(Problem::new("tls.key_file", message));
            }
            (None, Some(found)) => {
                let message = format!("{} needs the certificate in OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", found.name);
                return Err(Problem::new("tls.cert_file", message));
            }
            _ => {}
        }
        tls.cert_file = certificate.map(|found| found.value.into());
        tls.key_file = key.map(|found| found.value.into());
    }
    Ok(tls)
}
