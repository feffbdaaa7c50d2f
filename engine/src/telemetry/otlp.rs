//! Own metrics sent over OTLP at an interval.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{
    Compression as WireCompression, MetricExporter, Protocol, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, Temporality};

use super::{Compression, OtlpConfig, OtlpProtocol, PeriodicConfig, PushExporter, TemporalityPreference};

/// The reader for the SDK's meter provider. It has a thread of its own; gRPC needs a running Tokio runtime beside it.
pub(super) fn reader(config: &PeriodicConfig) -> Result<PeriodicReader<WatchedExporter>, String> {
    let PushExporter::Otlp(otlp) = &config.exporter;
    let timeout = Duration::from(otlp.timeout).min(config.timeout.into());
    let exporter = match otlp.protocol {
        OtlpProtocol::HttpProtobuf => http_exporter(otlp, timeout)?,
        OtlpProtocol::Grpc => grpc_exporter(otlp, timeout)?,
    };
    let backend = otlp.endpoint.clone().or_else(environment_endpoint);
    let backend = backend.unwrap_or_else(|| "the OTLP port of this host".to_owned());
    let watched = WatchedExporter { exporter, backend, failing: AtomicBool::new(false) };
    Ok(PeriodicReader::builder(watched).with_interval(config.interval.into()).build())
}

fn http_exporter(config: &OtlpConfig, timeout: Duration) -> Result<MetricExporter, String> {
    // The HTTP client takes the process's cryptography; a second installation is refused and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let headers = config.headers.0.iter().map(|(name, value)| (name.clone(), value.reveal().to_owned()));
    let mut builder = MetricExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(timeout)
        .with_headers(headers.collect());
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(url(endpoint, config)?.to_string());
    }
    if config.compression == Compression::Gzip {
        builder = builder.with_compression(WireCompression::Gzip);
    }
    if let Some(preference) = config.temporality_preference {
        builder = builder.with_temporality(temporality(preference));
    }
    builder.build().map_err(|error| error.to_string())
}

fn grpc_exporter(config: &OtlpConfig, timeout: Duration) -> Result<MetricExporter, String> {
    let mut builder = MetricExporter::builder()
        .with_tonic()
        .with_timeout(timeout)
        .with_metadata(MetadataMap::from_headers(header_map(config)?));
    let endpoint = config.endpoint.as_ref().map(|endpoint| url(endpoint, config)).transpose()?;
    if let Some(endpoint) = &endpoint {
        builder = builder.with_endpoint(endpoint.to_string());
    }
    // Only where TLS is used: the roots are read at once, and a small container may have none.
    if endpoint.map(|endpoint| endpoint.to_string()).or_else(environment_endpoint).is_some_and(|url| !is_plain(&url)) {
        builder = builder.with_tls_config(ClientTlsConfig::new().with_enabled_roots());
    }
    if config.compression == Compression::Gzip {
        builder = builder.with_compression(WireCompression::Gzip);
    }
    if let Some(preference) = config.temporality_preference {
        builder = builder.with_temporality(temporality(preference));
    }
    builder.build().map_err(|error| error.to_string())
}

/// Where the SDK sends to when the configuration does not say; see the OpenTelemetry specification.
fn environment_endpoint() -> Option<String> {
    let variables = ["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    variables.into_iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn is_plain(url: &str) -> bool {
    url.starts_with("http://")
}

/// The endpoint as a whole URL.
pub(super) fn url(endpoint: &str, config: &OtlpConfig) -> Result<Uri, String> {
    let scheme = if config.insecure { "http" } else { "https" };
    let with_scheme = if endpoint.contains("://") { endpoint.to_owned() } else { format!("{scheme}://{endpoint}") };
    let invalid =
        |why: &str| format!("endpoint `{endpoint}` is not a URL: {why}; write one such as http://localhost:4318");
    let url: Uri = with_scheme.parse().map_err(|error: http::uri::InvalidUri| invalid(&error.to_string()))?;
    if !matches!(url.scheme_str(), Some("http" | "https")) {
        return Err(invalid("it does not start with http:// or https://"));
    }
    if config.protocol == OtlpProtocol::Grpc || url.path() != "/" || url.query().is_some() {
        return Ok(url);
    }
    let with_path = format!("{}/v1/metrics", with_scheme.trim_end_matches('/'));
    with_path.parse().map_err(|error: http::uri::InvalidUri| invalid(&error.to_string()))
}

/// The headers as HTTP has them.
pub(super) fn header_map(config: &OtlpConfig) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for (name, value) in &config.headers.0 {
        let header = HeaderName::try_from(name).map_err(|_| format!("header name `{name}` is not valid in HTTP"))?;
        let value = HeaderValue::try_from(value.reveal())
            .map_err(|_| format!("the value of header `{name}` holds a character that is not valid in HTTP"))?;
        map.append(header, value);
    }
    Ok(map)
}

fn temporality(preference: TemporalityPreference) -> Temporality {
    match preference {
        TemporalityPreference::Cumulative => Temporality::Cumulative,
        TemporalityPreference::Delta => Temporality::Delta,
        TemporalityPreference::LowMemory => Temporality::LowMemory,
    }
}

/// Says in the log when exports begin to fail and when they work again; the SDK itself would say it every time or not
/// at all.
pub(super) struct WatchedExporter {
    exporter: MetricExporter,
    backend: String,
    failing: AtomicBool,
}

impl PushMetricExporter for WatchedExporter {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let result = self.exporter.export(metrics).await;
        let was_failing = self.failing.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Err(error) if !was_failing => tracing::warn!(
                backend = self.backend,
                %error,
                "own metrics do not reach their backend; they will be tried again at every interval: check the \
                 endpoint in service.telemetry.metrics.readers"
            ),
            Ok(()) if was_failing => tracing::info!(backend = self.backend, "own metrics reach their backend again"),
            _ => {}
        }
        result
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Headers;

    #[test]
    fn endpoints_become_whole_urls() {
        use OtlpProtocol::{Grpc, HttpProtobuf};
        for (protocol, insecure, endpoint, expected) in [
            (HttpProtobuf, false, "http://backend:4318", "http://backend:4318/v1/metrics"),
            (HttpProtobuf, false, "http://backend:4318/", "http://backend:4318/v1/metrics"),
            (HttpProtobuf, false, "https://backend/otlp/v1/metrics", "https://backend/otlp/v1/metrics"),
            (HttpProtobuf, true, "backend:4318", "http://backend:4318/v1/metrics"),
            (Grpc, false, "backend:4317", "https://backend:4317/"),
            (Grpc, true, "backend:4317", "http://backend:4317/"),
            (Grpc, true, "https://backend:4317", "https://backend:4317/"),
        ] {
            let config = OtlpConfig { protocol, insecure, ..OtlpConfig::default() };
            assert_eq!(url(endpoint, &config).unwrap().to_string(), expected, "{endpoint}");
        }
        for endpoint in ["", "ftp://backend", "a b"] {
            let error = url(endpoint, &OtlpConfig::default()).unwrap_err();
            assert!(error.contains(&format!("endpoint `{endpoint}`")), "{error}");
        }
    }

    #[test]
    fn a_bad_header_is_named_without_its_value() {
        let config = |name: &str, value: &str| OtlpConfig {
            headers: Headers(vec![(name.to_owned(), value.into())]),
            ..OtlpConfig::default()
        };
        assert!(header_map(&config("api key", "a")).unwrap_err().contains("`api key`"));
        let error = header_map(&config("api-key", "se\ncret")).unwrap_err();
        assert!(error.contains("`api-key`") && !error.contains("cret"), "{error}");
    }
}
