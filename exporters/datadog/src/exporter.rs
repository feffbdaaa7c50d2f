//! Encodes and sends.

use std::time::Duration;

use async_trait::async_trait;
use hornpipe_engine::component::{BuildContext, BuildError, Encoded, Exporter, Request, SendOutcome};
use hornpipe_engine::config::Secret;
use hornpipe_engine::http::{Endpoint, HttpClient, InvalidEndpoint};
use hornpipe_model::{Data, Signal};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::DatadogConfig;
use crate::encode::Encoder;
use crate::response::Intake;
use crate::{check_run, events, logs};

const DD_API_KEY: HeaderName = HeaderName::from_static("dd-api-key");
/// Who sends logs; the intake shows it as their origin.
const DD_EVP_ORIGIN: HeaderName = HeaderName::from_static("dd-evp-origin");
const DD_EVP_ORIGIN_VERSION: HeaderName = HeaderName::from_static("dd-evp-origin-version");

/// The intake refuses points older than an hour; five minutes are kept back for clocks that differ.
const METRICS_MAX_AGE: Duration = Duration::from_secs(55 * 60);
/// It refuses logs and events older than 18 hours; one is kept back.
const LOGS_MAX_AGE: Duration = Duration::from_secs(17 * 3600);

/// Sends metrics, service checks, logs and events to Datadog.
pub struct DatadogExporter {
    encoder: Encoder,
    client: HttpClient,
    /// For metrics, service checks and events.
    endpoint: Endpoint,
    logs_endpoint: Endpoint,
    /// What every request has.
    headers: HeaderMap,
    content_encoding: Option<&'static str>,
    intake: Intake,
}

impl DatadogExporter {
    /// An exporter; it connects at its first request.
    ///
    /// # Errors
    /// Settings that cannot be used: a bad key or endpoint, an unreadable certificate.
    pub fn new(config: &DatadogConfig, context: BuildContext) -> Result<Self, BuildError> {
        let key = Secret::new(config.api.key.reveal().trim());
        let unusable = |option| move |error: InvalidEndpoint| BuildError::new(option, error.to_string());
        Ok(DatadogExporter {
            encoder: Encoder {
                hostname: config.hostname.clone().filter(|hostname| !hostname.is_empty()),
                compression: config.compression,
            },
            client: HttpClient::new(&config.tls, context.clock)?,
            endpoint: config.endpoint().map_err(unusable("metrics.endpoint"))?,
            logs_endpoint: config.logs_endpoint().map_err(unusable("logs.endpoint"))?,
            headers: headers(&key)?,
            content_encoding: config.compression.content_encoding(),
            intake: Intake { id: context.id, site: config.api.site.clone(), key },
        })
    }
}

fn headers(key: &Secret) -> Result<HeaderMap, BuildError> {
    let mut key = HeaderValue::from_str(key.reveal())
        .map_err(|_| BuildError::new("api.key", "holds a character that cannot stand in an HTTP header"))?;
    key.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(DD_API_KEY, key);
    Ok(headers)
}

fn content_type(route: &str) -> &'static str {
    let json = [check_run::LAYOUT.route, logs::LAYOUT.route, events::LAYOUT.route];
    if json.contains(&route) { "application/json" } else { "application/x-protobuf" }
}

#[async_trait]
impl Exporter for DatadogExporter {
    fn max_age(&self, signal: Signal) -> Option<Duration> {
        match signal {
            Signal::Metrics => Some(METRICS_MAX_AGE),
            Signal::Logs => Some(LOGS_MAX_AGE),
        }
    }

    fn encode(&self, data: &Data, items: &[u32]) -> Encoded {
        match data {
            Data::Metrics(batch) => self.encoder.encode(batch, items),
            Data::Logs(batch) => self.encoder.encode_logs(batch, items),
        }
    }

    async fn send(&self, request: &Request) -> SendOutcome {
        let is_logs = request.route == logs::LAYOUT.route;
        let endpoint = if is_logs { &self.logs_endpoint } else { &self.endpoint }.join(request.route);
        let mut headers = self.headers.clone();
        if is_logs {
            headers.insert(DD_EVP_ORIGIN, HeaderValue::from_static("hornpipe"));
            headers.insert(DD_EVP_ORIGIN_VERSION, HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
        }
        let is_plain = request.route == events::LAYOUT.route;
        if let Some(encoding) = self.content_encoding.filter(|_| !is_plain) {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(request.route)));
        match self.client.post(&endpoint, headers, request.body.clone()).await {
            Ok(response) => self.intake.outcome(&response, &endpoint),
            Err(error) => SendOutcome::Retryable { after: None, error: format!("{}: {error}", self.intake.id) },
        }
    }
}
