//! Where requests go.

use hornpipe_engine::http::Endpoint;
use hornpipe_model::Signal;

use crate::config::{OtlpConfig, Protocol};
use crate::http;
use crate::settings::Problem;
use crate::variables::{self, Variable, Variables};

/// The endpoint of a signal.
///
/// What counts, from first to last: the signal's own option, `endpoint`, the signal's own variable, the variable for all.
/// Without any of them it is the specification's default: plaintext to this host, as a Collector beside us listens. Over
/// HTTP the signal's path is appended to what is for all signals.
///
/// # Errors
/// An endpoint that cannot be used.
pub(crate) fn resolve(config: &OtlpConfig, protocol: Protocol, variables: Variables<'_>) -> Result<Endpoint, Problem> {
    let (option, own) = match variables.signal {
        Signal::Metrics => ("metrics_endpoint", &config.metrics_endpoint),
        Signal::Logs => ("logs_endpoint", &config.logs_endpoint),
    };
    let is_insecure = config.tls.insecure;
    if let Some(text) = own.as_deref().filter(|text| !text.is_empty()) {
        return parse(text, protocol, is_insecure).map_err(|why| Problem::new(option, why));
    }
    if let Some(text) = config.endpoint.as_deref().filter(|text| !text.is_empty()) {
        let base = parse(text, protocol, is_insecure).map_err(|why| Problem::new("endpoint", why))?;
        return Ok(below(&base, protocol, variables.signal));
    }
    let is_insecure = is_insecure || insecure(variables)?;
    let of_variable = |Variable { name, value }: Variable| {
        let endpoint = parse(&value, protocol, is_insecure);
        endpoint.map_err(|why| Problem::new("endpoint", format!("{name} {why}")))
    };
    if let Some(found) = variables.own("endpoint", variables::ENDPOINT)? {
        return of_variable(found);
    }
    let base = match variables.shared("endpoint", variables::ENDPOINT)? {
        Some(found) => of_variable(found)?,
        None => parse(default_endpoint(protocol), protocol, true).map_err(|why| Problem::new("endpoint", why))?,
    };
    Ok(below(&base, protocol, variables.signal))
}

/// Whether an endpoint is the backend that the environment names (or its default): the same scheme, host and port.
pub(crate) fn is_of_environment(
    endpoint: &Endpoint,
    config: &OtlpConfig,
    protocol: Protocol,
    variables: Variables<'_>,
) -> bool {
    let unset = OtlpConfig { endpoint: None, metrics_endpoint: None, logs_endpoint: None, ..config.clone() };
    resolve(&unset, protocol, variables).is_ok_and(|environments| {
        environments.is_https() == endpoint.is_https() && environments.authority() == endpoint.authority()
    })
}

/// The endpoint of a signal below the one for all.
fn below(base: &Endpoint, protocol: Protocol, signal: Signal) -> Endpoint {
    match (protocol, signal) {
        (Protocol::Grpc, _) => base.clone(),
        (Protocol::HttpProtobuf, Signal::Metrics) => base.join(http::METRICS_ROUTE),
        (Protocol::HttpProtobuf, Signal::Logs) => base.join(http::LOGS_ROUTE),
    }
}

/// Whether the environment wants no TLS for an endpoint that does not say it.
fn insecure(variables: Variables<'_>) -> Result<bool, Problem> {
    let Some(found) = variables.find("tls.insecure", variables::INSECURE)? else { return Ok(false) };
    // The specification: only these two, whatever their case.
    match found.value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Problem::new("tls.insecure", format!("{} is neither true nor false: set `tls.insecure`", found.name))),
    }
}

fn parse(text: &str, protocol: Protocol, is_insecure: bool) -> Result<Endpoint, String> {
    match protocol {
        Protocol::Grpc => parse_grpc(text, is_insecure),
        Protocol::HttpProtobuf => parse_http(text),
    }
}

/// True for Datadog's own OTLP intake, `otlp.<site>`.
pub(crate) fn is_datadog_intake(host: &str) -> bool {
    const SITES: [&str; 3] = ["datadoghq.com", "datadoghq.eu", "ddog-gov.com"];
    let host = host.to_ascii_lowercase();
    host.strip_prefix("otlp.").is_some_and(|site| {
        // Sites have a region in front: us3.datadoghq.com.
        SITES.iter().any(|known| site.strip_suffix(known).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
    })
}

fn default_endpoint(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Grpc => "http://localhost:4317",
        Protocol::HttpProtobuf => "http://localhost:4318",
    }
}

fn parse_http(text: &str) -> Result<Endpoint, String> {
    Endpoint::parse(text).map_err(|why| why.to_string())
}

/// `host:port`, which speaks TLS unless it is `insecure`, or a URL without a path, whose scheme decides.
fn parse_grpc(text: &str, insecure: bool) -> Result<Endpoint, String> {
    const EXPECTED: &str = "must be host:port, http://host:port or https://host:port";
    let (authority, url) = match text.split_once("://") {
        Some((_, rest)) => (rest.trim_end_matches('/'), text.to_owned()),
        None => (text, format!("{}://{text}", if insecure { "http" } else { "https" })),
    };
    if authority.contains(['/', '?', '#']) {
        return Err(format!("{EXPECTED}: gRPC has no path"));
    }
    let endpoint = Endpoint::parse(&url).map_err(|_| EXPECTED.to_owned())?;
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port || authority.len() < text.len() {
        Ok(endpoint)
    } else {
        Err(format!("{EXPECTED}: the port is missing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grpc_endpoint_without_a_scheme_speaks_tls_unless_insecure() {
        let table = [
            ("collector:4317", false, "https://collector:4317"),
            ("collector:4317", true, "http://collector:4317"),
            ("http://collector:4317", false, "http://collector:4317"),
            ("https://collector:4317/", true, "https://collector:4317"),
            ("https://collector", false, "https://collector"),
            ("[::1]:4317", true, "http://[::1]:4317"),
        ];
        for (text, insecure, expected) in table {
            assert_eq!(
                parse_grpc(text, insecure).map(|endpoint| endpoint.to_string()),
                Ok(expected.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_grpc_endpoint_that_cannot_be_meant_is_refused() {
        for text in
            ["", "collector", "collector:", "collector:99999", "ftp://collector:1", "http://c:4317/v1/metrics", "a:1/x"]
        {
            let why = parse_grpc(text, false).expect_err(text);
            assert!(why.starts_with("must be host:port"), "{text}: {why}");
        }
    }

    #[test]
    fn only_datadogs_own_intake_is_taken_for_it() {
        for host in ["otlp.datadoghq.com", "otlp.us3.datadoghq.com", "OTLP.datadoghq.eu", "otlp.ddog-gov.com"] {
            assert!(is_datadog_intake(host), "{host}");
        }
        for host in ["datadoghq.com", "api.datadoghq.com", "otlp.example.com", "otlp.notdatadoghq.com", "localhost"] {
            assert!(!is_datadog_intake(host), "{host}");
        }
    }
}
