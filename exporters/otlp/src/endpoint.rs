//! Where requests go.

use hornpipe_engine::config::Environment;
use hornpipe_engine::http::Endpoint;

use crate::config::{OtlpConfig, Protocol};
use crate::http;
use crate::settings::{self, Endpoints, Problem, variable};

/// How the endpoint of one signal is named.
struct Names<'a> {
    /// The option for this signal alone.
    option: &'static str,
    /// Its value.
    set: Option<&'a str>,
    /// The variable for this signal alone.
    variable: &'static str,
    /// The signal's path below an HTTP base URL.
    path: &'static str,
}

/// The endpoints of all signals.
///
/// What counts, from first to last: the signal's own option, `endpoint`, the signal's own variable, the variable for all.
/// Without any of them it is the specification's default: plaintext to this host, as a Collector beside us listens.
///
/// # Errors
/// Every endpoint that cannot be used.
pub(crate) fn resolve(
    config: &OtlpConfig,
    protocol: Protocol,
    environment: &dyn Environment,
) -> Result<Endpoints, Vec<Problem>> {
    let metrics = Names {
        option: "metrics_endpoint",
        set: config.metrics_endpoint.as_deref(),
        variable: settings::METRICS_ENDPOINT,
        path: http::METRICS_ROUTE,
    };
    let logs = Names {
        option: "logs_endpoint",
        set: config.logs_endpoint.as_deref(),
        variable: settings::LOGS_ENDPOINT,
        path: http::LOGS_ROUTE,
    };
    let mut problems = Vec::new();
    let base = base(config, protocol, environment).map_err(|problem| problems.push(problem)).ok();
    let has_endpoint = is_set(config.endpoint.as_deref());
    let [metrics, logs] = [metrics, logs].map(|names| {
        let own = match (names.set, has_endpoint) {
            (Some(text), _) => own_option(names.option, text, protocol).map(Some),
            (None, true) => Ok(None),
            (None, false) => own_variable(names.variable, config, protocol, environment),
        };
        let own = own.map_err(|problem| problems.push(problem)).ok().flatten();
        own.or_else(|| {
            let base = base.as_ref()?;
            Some(if protocol == Protocol::HttpProtobuf { base.join(names.path) } else { base.clone() })
        })
    });
    match (metrics, logs) {
        (Some(metrics), Some(logs)) if problems.is_empty() => Ok(Endpoints { metrics, logs }),
        _ => Err(problems),
    }
}

/// The endpoint that a signal's own option names.
fn own_option(option: &'static str, text: &str, protocol: Protocol) -> Result<Endpoint, Problem> {
    match protocol {
        Protocol::Grpc => Err(Problem::new(option, "is for HTTP only: with gRPC all signals go to `endpoint`")),
        Protocol::HttpProtobuf => parse_http(text).map_err(|why| Problem::new(option, why)),
    }
}

/// The endpoint that a signal's own variable names.
fn own_variable(
    name: &str,
    config: &OtlpConfig,
    protocol: Protocol,
    environment: &dyn Environment,
) -> Result<Option<Endpoint>, Problem> {
    let Some(text) = variable(environment, "endpoint", name)? else { return Ok(None) };
    let endpoint = parse(&text, config, protocol);
    endpoint.map(Some).map_err(|why| Problem::new("endpoint", format!("{name} {why}")))
}

fn is_set(text: Option<&str>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

fn parse(text: &str, config: &OtlpConfig, protocol: Protocol) -> Result<Endpoint, String> {
    match protocol {
        Protocol::Grpc => parse_grpc(text, config.tls.insecure),
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

fn base(config: &OtlpConfig, protocol: Protocol, environment: &dyn Environment) -> Result<Endpoint, Problem> {
    if let Some(text) = config.endpoint.as_deref().filter(|text| !text.is_empty()) {
        return parse(text, config, protocol).map_err(|why| Problem::new("endpoint", why));
    }
    let (name, text) = match variable(environment, "endpoint", settings::ENDPOINT)? {
        Some(text) => (settings::ENDPOINT, text),
        None => ("the default", default_endpoint(protocol).to_owned()),
    };
    parse(&text, config, protocol).map_err(|why| Problem::new("endpoint", format!("{name} {why}")))
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
