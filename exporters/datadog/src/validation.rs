//! Whether Datadog knows the API key: asked at the start, every hour, and when the key has changed.

use std::sync::Arc;
use std::time::Duration;

use hornpipe_engine::Clock;
use hornpipe_engine::http::{Endpoint, HttpClient};
use hornpipe_engine::telemetry::{ComponentTelemetry, Counter, Status};
use http::{HeaderMap, StatusCode};

use crate::exporter::DD_API_KEY;
use crate::key::{ApiKey, Key};
use crate::response::Intake;

/// As the Agent (`forwarder_apikey_validation_interval`).
const VALIDATE_EVERY: Duration = Duration::from_secs(3600);
/// How often a key's file is read again.
const READ_EVERY: Duration = Duration::from_secs(60);
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Looks after the key.
pub(crate) struct Validation {
    pub(crate) endpoint: Endpoint,
    pub(crate) client: HttpClient,
    pub(crate) clock: Clock,
    pub(crate) telemetry: Arc<ComponentTelemetry>,
    pub(crate) intake: Intake,
    /// 0 while Datadog refuses the key, else 1.
    pub(crate) valid: Arc<Counter>,
}

/// What Datadog says about a key.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Valid,
    Refused,
    /// It was not said: Datadog could not be asked, or had no time.
    Unknown(String),
}

impl Validation {
    /// Goes on for ever.
    pub(crate) async fn run(&self, key: &ApiKey) {
        let mut unreadable = String::new();
        loop {
            let known = key.current();
            self.validate(&known).await;
            let due = self.clock.monotonic().saturating_add(VALIDATE_EVERY);
            while self.clock.monotonic() < due {
                let left = due.saturating_sub(self.clock.monotonic());
                self.clock.sleep(if known.is_from_file() { left.min(READ_EVERY) } else { left }).await;
                match key.refresh(&known).await {
                    Ok(true) => {
                        tracing::info!(exporter = self.intake.id, "another key was read: {}", key.current().name());
                        break;
                    }
                    Ok(false) => unreadable.clear(),
                    Err(why) if why != unreadable => {
                        tracing::warn!(exporter = self.intake.id, "the API key stays as it was: {why}");
                        unreadable = why;
                    }
                    Err(_) => {}
                }
            }
        }
    }

    /// Asks about a key, and says what came out of it.
    async fn validate(&self, key: &Key) {
        if key.is_placeholder() {
            return;
        }
        let refused = Status::Error(self.intake.key_refused(key));
        let verdict = self.verdict(key).await;
        match &verdict {
            Verdict::Refused => self.valid.set(0),
            Verdict::Valid => self.valid.set(1),
            Verdict::Unknown(_) => {}
        }
        match verdict {
            Verdict::Refused => {
                if self.telemetry.set_status(refused) {
                    tracing::error!(exporter = self.intake.id, "{}", self.intake.key_refused(key));
                }
            }
            Verdict::Valid if self.intake.is_about_a_key(&self.telemetry.status()) => {
                tracing::info!(exporter = self.intake.id, "{} is valid", key.name());
                self.telemetry.set_status(Status::Ok);
            }
            Verdict::Valid => tracing::debug!(exporter = self.intake.id, "{} is valid", key.name()),
            Verdict::Unknown(why) => tracing::debug!(exporter = self.intake.id, "the key was not validated: {why}"),
        }
    }

    /// Only an explicit 403 makes a key invalid, as in the Agent.
    async fn verdict(&self, key: &Key) -> Verdict {
        let headers = HeaderMap::from_iter([(DD_API_KEY, key.header())]);
        match self.clock.timeout(TIMEOUT, self.client.get(&self.endpoint, headers)).await {
            Ok(Ok(response)) if response.status == StatusCode::FORBIDDEN => Verdict::Refused,
            Ok(Ok(response)) if response.status.is_success() => Verdict::Valid,
            Ok(Ok(response)) => Verdict::Unknown(format!("{} from {}", response.status, self.endpoint)),
            Ok(Err(error)) => Verdict::Unknown(error.to_string()),
            Err(_) => Verdict::Unknown(format!("no answer from {} within {TIMEOUT:?}", self.endpoint)),
        }
    }
}

/// Where keys are validated: at the public API of the site that an intake belongs to, and at anything else (a proxy, a
/// test) itself, as the Agent does it.
pub(crate) fn endpoint(intake: &Endpoint) -> Endpoint {
    let api = site_of(intake.host()).and_then(|site| Endpoint::parse(&format!("https://api.{site}")).ok());
    api.as_ref().unwrap_or(intake).join("/api/v1/validate")
}

/// The site of a host of Datadog's: `datadoghq.<tld>` or `ddog-gov.com`, with the region before it such as `us5.`.
fn site_of(host: &str) -> Option<&str> {
    let labels: Vec<&str> = host.split('.').collect();
    let [rest @ .., domain, tld] = &labels[..] else { return None };
    let is_datadog = *domain == "datadoghq" || (*domain == "ddog-gov" && *tld == "com");
    let [.., before] = rest else { return is_datadog.then_some(host) };
    let is_region = before.len() >= 3
        && before.ends_with(|last: char| last.is_ascii_digit())
        && before.trim_end_matches(|last: char| last.is_ascii_digit()).chars().all(|c| c.is_ascii_lowercase())
        && before.starts_with(|first: char| first.is_ascii_lowercase());
    let length = domain.len() + 1 + tld.len() + if is_region { before.len() + 1 } else { 0 };
    is_datadog.then(|| host.get(host.len() - length..)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_validated_at_the_api_of_the_site_and_at_a_proxy_itself() {
        let cases = [
            ("https://api.datadoghq.com", "https://api.datadoghq.com/api/v1/validate"),
            ("https://api.us5.datadoghq.com", "https://api.us5.datadoghq.com/api/v1/validate"),
            ("https://7-31-0-app.agent.datadoghq.eu", "https://api.datadoghq.eu/api/v1/validate"),
            ("https://7-31-0-app.agent.us3.datadoghq.com", "https://api.us3.datadoghq.com/api/v1/validate"),
            ("https://api.uk1.datadoghq.com", "https://api.uk1.datadoghq.com/api/v1/validate"),
            ("https://api.us2.ddog-gov.com", "https://api.us2.ddog-gov.com/api/v1/validate"),
            ("https://datadoghq.eu", "https://api.datadoghq.eu/api/v1/validate"),
            ("https://datadoghq.com.evil.example", "https://datadoghq.com.evil.example/api/v1/validate"),
            ("https://ddog-gov.net", "https://ddog-gov.net/api/v1/validate"),
            ("http://127.0.0.1:8080/datadog", "http://127.0.0.1:8080/datadog/api/v1/validate"),
            ("https://localhost", "https://localhost/api/v1/validate"),
        ];
        for (intake, expected) in cases {
            assert_eq!(endpoint(&Endpoint::parse(intake).unwrap()).to_string(), expected, "{intake}");
        }
    }
}
