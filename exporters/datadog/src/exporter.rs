//! Encodes and sends.

use std::time::Duration;

use async_trait::async_trait;
use hornpipe_engine::component::{BuildContext, BuildError, Encoded, Exporter, Request, SendOutcome, reason};
use hornpipe_engine::config::Secret;
use hornpipe_engine::http::{Endpoint, HttpClient};
use hornpipe_model::{Data, Signal};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::check_run;
use crate::config::DatadogConfig;
use crate::encode::Encoder;
use crate::response::Intake;

const DD_API_KEY: HeaderName = HeaderName::from_static("dd-api-key");

/// The intake refuses points older than an hour; five minutes are kept back for clocks that differ.
const METRICS_MAX_AGE: Duration = Duration::from_secs(55 * 60);

/// Sends metrics and service checks to Datadog.
pub struct DatadogExporter {
    encoder: Encoder,
    client: HttpClient,
    endpoint: Endpoint,
    /// What every request has.
    headers: HeaderMap,
    intake: Intake,
}

impl DatadogExporter {
    /// An exporter; it connects at its first request.
    ///
    /// # Errors
    /// Settings that cannot be used: a bad key or endpoint, an unreadable certificate.
    pub fn new(config: &DatadogConfig, context: BuildContext) -> Result<Self, BuildError> {
        let key = Secret::new(config.api.key.reveal().trim());
        let endpoint = config.endpoint().map_err(|error| BuildError::new("metrics.endpoint", error.to_string()))?;
        Ok(DatadogExporter {
            encoder: Encoder {
                hostname: config.hostname.clone().filter(|hostname| !hostname.is_empty()),
                compression: config.compression,
            },
            client: HttpClient::new(&config.tls, context.clock)?,
            endpoint,
            headers: headers(&key, config.compression.content_encoding())?,
            intake: Intake { id: context.id, site: config.api.site.clone(), key },
        })
    }
}

fn headers(key: &Secret, content_encoding: Option<&'static str>) -> Result<HeaderMap, BuildError> {
    let mut key = HeaderValue::from_str(key.reveal())
        .map_err(|_| BuildError::new("api.key", "holds a character that cannot stand in an HTTP header"))?;
    key.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(DD_API_KEY, key);
    if let Some(encoding) = content_encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    Ok(headers)
}

fn content_type(route: &str) -> &'static str {
    if route == check_run::LAYOUT.route { "application/json" } else { "application/x-protobuf" }
}

#[async_trait]
impl Exporter for DatadogExporter {
    fn max_age(&self, signal: Signal) -> Option<Duration> {
        (signal == Signal::Metrics).then_some(METRICS_MAX_AGE)
    }

    fn encode(&self, data: &Data, items: &[u32]) -> Encoded {
        match data {
            Data::Metrics(batch) => self.encoder.encode(batch, items),
            Data::Logs(_) => Encoded { requests: Vec::new(), dropped: vec![(reason::UNSUPPORTED, items.len() as u64)] },
        }
    }

    async fn send(&self, request: &Request) -> SendOutcome {
        let endpoint = self.endpoint.join(request.route);
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(request.route)));
        match self.client.post(&endpoint, headers, request.body.clone()).await {
            Ok(response) => self.intake.outcome(&response, &endpoint),
            Err(error) => SendOutcome::Retryable { after: None, error: format!("{}: {error}", self.intake.id) },
        }
    }
}
