//! Encodes and sends.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hornpipe_engine::component::{Admission, BuildContext, BuildError, Encoded, Exporter, Request, SendOutcome};
use hornpipe_engine::http::{Endpoint, HttpClient, InvalidEndpoint, Proxies};
use hornpipe_engine::resource::process_variable;
use hornpipe_model::{Data, Signal};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::DatadogConfig;
use crate::encode::Encoder;
use crate::key::{ApiKey, Key};
use crate::response::Intake;
use crate::split::Splitting;
use crate::validation::{self, Validation};
use crate::{check_run, events, logs};

pub(crate) const DD_API_KEY: HeaderName = HeaderName::from_static("dd-api-key");
/// The version of the protobuf messages (DataDog/agent-payload) that a body is written by.
const DD_AGENT_PAYLOAD: HeaderName = HeaderName::from_static("dd-agent-payload");
const AGENT_PAYLOAD: &str = "4.87.0";
/// Who sends logs; the intake shows it as their origin.
const DD_EVP_ORIGIN: HeaderName = HeaderName::from_static("dd-evp-origin");
const DD_EVP_ORIGIN_VERSION: HeaderName = HeaderName::from_static("dd-evp-origin-version");

/// The exporter's own number about its key.
const KEY_VALID: &str = "hornpipe_exporter_api_key_valid";

/// The intake refuses points older than an hour; five minutes are kept back for clocks that differ.
const METRICS_MAX_AGE: Duration = Duration::from_secs(55 * 60);
/// Service checks it takes up to ten minutes old; one is kept back.
const CHECKS_MAX_AGE: Duration = Duration::from_secs(9 * 60);
/// It refuses logs and events older than 18 hours; one is kept back.
const LOGS_MAX_AGE: Duration = Duration::from_secs(17 * 3600);

/// Sends metrics, service checks, logs and events to Datadog.
pub struct DatadogExporter {
    encoder: Encoder,
    client: HttpClient,
    /// For metrics, service checks and events.
    endpoint: Endpoint,
    logs_endpoint: Endpoint,
    content_encoding: Option<&'static str>,
    key: ApiKey,
    validation: Validation,
    intake: Intake,
    context: BuildContext,
}

impl DatadogExporter {
    /// An exporter; it connects at its first request.
    ///
    /// # Errors
    /// Settings that cannot be used: a bad key or endpoint, an unreadable certificate.
    pub fn new(config: &DatadogConfig, context: BuildContext) -> Result<Self, BuildError> {
        let unusable = |option| move |error: InvalidEndpoint| BuildError::new(option, error.to_string());
        let endpoint = config.endpoint().map_err(unusable("metrics.endpoint"))?;
        let client = HttpClient::with_proxies(&config.tls, &proxies(), context.clock.clone())?;
        let intake = Intake { id: context.id.clone(), site: config.api.site.clone() };
        let valid = context.telemetry.gauge(KEY_VALID, "1", "0 while Datadog refuses the API key, else 1");
        valid.set(1);
        Ok(DatadogExporter {
            encoder: Encoder { hostname: config.hostname().map(str::to_owned), compression: config.compression },
            key: ApiKey::new(&config.api.key)?,
            validation: Validation {
                endpoint: validation::endpoint(&endpoint),
                client: client.clone(),
                clock: context.clock.clone(),
                telemetry: Arc::clone(&context.telemetry),
                intake: intake.clone(),
                valid,
            },
            client,
            endpoint,
            logs_endpoint: config.logs_endpoint().map_err(unusable("logs.endpoint"))?,
            content_encoding: config.compression.content_encoding(),
            intake,
            context,
        })
    }

    /// Sends a request with a key.
    async fn send_with(&self, key: &Key, request: &Request) -> SendOutcome {
        let is_logs = request.route == logs::LAYOUT.route;
        let endpoint = if is_logs { &self.logs_endpoint } else { &self.endpoint }.join(request.route);
        let headers = self.headers(key, request.route);
        let outcome = match self.client.post(&endpoint, headers, request.body.clone()).await {
            Ok(response) => self.intake.outcome(&response, &endpoint, key),
            Err(error) => SendOutcome::Retryable { after: None, error: format!("{}: {error}", self.intake.id) },
        };
        match outcome {
            SendOutcome::Unauthorized { .. } => self.validation.valid.set(0),
            SendOutcome::Delivered { .. } => self.validation.valid.set(1),
            _ => {}
        }
        outcome
    }

    /// All headers of a request, except the client's own.
    fn headers(&self, key: &Key, route: &str) -> HeaderMap {
        let mut headers = HeaderMap::from_iter([(DD_API_KEY, key.header())]);
        let mut insert = |name, value| headers.insert(name, HeaderValue::from_static(value));
        if [check_run::LAYOUT.route, logs::LAYOUT.route, events::LAYOUT.route].contains(&route) {
            insert(CONTENT_TYPE, "application/json");
        } else {
            insert(CONTENT_TYPE, "application/x-protobuf");
            insert(DD_AGENT_PAYLOAD, AGENT_PAYLOAD);
        }
        if route == logs::LAYOUT.route {
            insert(DD_EVP_ORIGIN, "hornpipe");
            insert(DD_EVP_ORIGIN_VERSION, env!("CARGO_PKG_VERSION"));
        }
        let is_plain = route == events::LAYOUT.route;
        if let Some(encoding) = self.content_encoding.filter(|_| !is_plain) {
            insert(CONTENT_ENCODING, encoding);
        }
        headers
    }
}

/// The Agent's variables for proxies win over everybody's.
fn proxies() -> Proxies {
    Proxies::of_the_process().overridden_by(&process_variable, ["DD_PROXY_HTTP", "DD_PROXY_HTTPS", "DD_PROXY_NO_PROXY"])
}

#[async_trait]
impl Exporter for DatadogExporter {
    fn max_age(&self, signal: Signal) -> Option<Duration> {
        match signal {
            Signal::Metrics => Some(METRICS_MAX_AGE),
            Signal::Logs => Some(LOGS_MAX_AGE),
        }
    }

    fn max_age_of(&self, request: &Request) -> Option<Duration> {
        if request.route == check_run::LAYOUT.route { Some(CHECKS_MAX_AGE) } else { self.max_age(request.signal) }
    }

    fn admission(&self) -> Option<Box<dyn Admission>> {
        Some(Box::new(Splitting::new(&self.context, self.encoder.hostname.as_deref())))
    }

    async fn background(&self) {
        self.validation.run(&self.key).await;
    }

    fn encode(&self, data: &Data, items: &[u32]) -> Encoded {
        match data {
            Data::Metrics(batch) => self.encoder.encode(batch, items),
            Data::Logs(batch) => self.encoder.encode_logs(batch, items),
        }
    }

    /// A key that is refused may have another in its file by now: then that is tried at once.
    async fn send(&self, request: &Request) -> SendOutcome {
        let key = self.key.current();
        let outcome = self.send_with(&key, request).await;
        let SendOutcome::Unauthorized { error } = outcome else { return outcome };
        match self.key.refresh(&key).await {
            Ok(true) => self.send_with(&self.key.current(), request).await,
            Ok(false) => SendOutcome::Unauthorized { error },
            Err(why) => SendOutcome::Unauthorized { error: format!("{error}; {why}") },
        }
    }
}
