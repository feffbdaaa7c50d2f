//! What the intake's answers mean.

use hornpipe_engine::component::{SendOutcome, reason};
use hornpipe_engine::http::{Endpoint, HttpResponse};
use hornpipe_engine::telemetry::Status;
use serde::Deserialize;

use crate::key::Key;

/// The words between a key and the site that does not take it.
const REFUSED_BY: &str = "refused by";

/// What an answer is judged with.
#[derive(Clone)]
pub(crate) struct Intake {
    /// The exporter's id, with which its errors begin.
    pub(crate) id: String,
    /// The site of the account.
    pub(crate) site: String,
}

/// The body of an answer, where it is JSON.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    errors: Vec<String>,
}

impl Intake {
    /// What an answer to a request with `key` means. 400 drops the data and 413 splits it; every other failure keeps it, also 401 and 403, which
    /// are about the key, and 404, which may be one region's or a proxy's (so Vector; the Agent drops at 403).
    pub(crate) fn outcome(&self, response: &HttpResponse, endpoint: &Endpoint, key: &Key) -> SendOutcome {
        match response.status.as_u16() {
            200..=299 => SendOutcome::Delivered { rejected: 0, message: complaints(response, key) },
            400 => SendOutcome::Permanent { reason: reason::REFUSED, error: self.error(response, endpoint, key) },
            401 | 403 => SendOutcome::Unauthorized { error: self.key_refused(key) },
            413 => SendOutcome::TooLarge { error: self.error(response, endpoint, key) },
            _ => SendOutcome::Retryable { after: response.retry_after, error: self.error(response, endpoint, key) },
        }
    }

    /// What the operator has to be told about a key that the intake does not take.
    pub(crate) fn key_refused(&self, key: &Key) -> String {
        let Intake { id, site } = self;
        format!("{id}: {} {REFUSED_BY} {site}: check DD_API_KEY and DD_SITE", key.name())
    }

    /// Whether a status says that a key was refused.
    pub(crate) fn is_about_a_key(&self, status: &Status) -> bool {
        matches!(status, Status::Error(text) if text.contains(&format!(" {REFUSED_BY} {}:", self.site)))
    }

    fn error(&self, response: &HttpResponse, endpoint: &Endpoint, key: &Key) -> String {
        let mut error = format!("{}: {} from {endpoint}", self.id, response.status);
        if response.status.is_redirection() {
            error.push_str(", which is not followed: metrics.endpoint or logs.endpoint must name the intake itself");
        }
        let said = key.quote().bytes(&response.body);
        if !said.is_empty() {
            error.push_str(": ");
            error.push_str(&said);
        }
        error
    }
}

/// What the intake says about data that it took, empty where it is content.
fn complaints(response: &HttpResponse, key: &Key) -> String {
    let answer: Result<Answer, _> = serde_json::from_slice(&response.body);
    answer.map(|answer| key.quote().text(&answer.errors.join("; "))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::StatusCode;

    use super::*;
    use crate::key::ApiKey;

    const KEY: &str = "0123456789abcdef0123456789a1a2b3";

    fn outcome(status: u16, body: &str) -> SendOutcome {
        let intake = Intake { id: "datadog/eu".to_owned(), site: "datadoghq.eu".to_owned() };
        let response = HttpResponse {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: Some(Duration::from_secs(7)),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        let endpoint = Endpoint::parse("https://api.datadoghq.eu/api/v2/series").unwrap();
        intake.outcome(&response, &endpoint, &ApiKey::new(&KEY.into()).unwrap().current())
    }

    #[test]
    fn every_status_has_its_outcome() {
        for status in [200, 202, 204] {
            assert_eq!(outcome(status, "{\"errors\":[]}"), SendOutcome::delivered(), "{status}");
        }
        for status in [401, 403] {
            let error =
                "datadog/eu: API key ending 1a2b3 refused by datadoghq.eu: check DD_API_KEY and DD_SITE".to_owned();
            assert_eq!(outcome(status, "Forbidden"), SendOutcome::Unauthorized { error }, "{status}");
        }
        for status in [301, 402, 404, 405, 408, 409, 418, 429, 499, 500, 502, 503, 504, 599] {
            let SendOutcome::Retryable { after, error } = outcome(status, "") else { panic!("{status}") };
            assert_eq!(after, Some(Duration::from_secs(7)), "{status}");
            assert!(error.starts_with(&format!("datadog/eu: {status} ")), "{error}");
        }
        let error = "datadog/eu: 413 Payload Too Large from https://api.datadoghq.eu/api/v2/series".to_owned();
        assert_eq!(outcome(413, ""), SendOutcome::TooLarge { error });
        let error =
            "datadog/eu: 400 Bad Request from https://api.datadoghq.eu/api/v2/series: unparsable payload".to_owned();
        assert_eq!(outcome(400, "unparsable\npayload\n"), SendOutcome::Permanent { reason: reason::REFUSED, error });
    }

    #[test]
    fn a_body_is_quoted_up_to_a_thousand_bytes() {
        let SendOutcome::Permanent { error, .. } = outcome(400, &"x".repeat(5_000)) else { panic!() };
        assert_eq!(error.matches('x').count(), 1_000);
    }

    #[test]
    fn what_the_intake_says_about_taken_data_is_passed_on() {
        let message = |body| match outcome(202, body) {
            SendOutcome::Delivered { rejected: 0, message } => message,
            other => panic!("{other:?}"),
        };
        assert_eq!(message("{\"errors\":[\"a\",\"b\"]}"), "a; b");
        for content in ["{\"status\":\"ok\"}", "<html>", "", "[]", "{\"errors\":7}"] {
            assert_eq!(message(content), "", "{content}");
        }
    }

    #[test]
    fn an_answer_that_repeats_the_key_does_not_bring_it_into_the_error() {
        for status in [400, 413, 500] {
            let answers = [format!("DD-API-KEY: {KEY}"), format!("{}{KEY}", "x".repeat(990))];
            for outcome in answers.map(|answer| format!("{:?}", outcome(status, &answer))) {
                assert!(outcome.contains("[REDACTED") && !outcome.contains(&KEY[..5]), "{outcome}");
            }
        }
        let complaint = format!("{{\"errors\":[\"no:\\n2026-01-01 {KEY} {}\"]}}", "x".repeat(5_000));
        let SendOutcome::Delivered { message, .. } = outcome(202, &complaint) else { panic!() };
        assert!(message.starts_with("no: 2026-01-01 [REDACTED] x") && message.len() == 1_000, "{message}");
    }

    #[test]
    fn a_refused_key_is_told_from_other_errors() {
        let intake = Intake { id: "datadog".to_owned(), site: "datadoghq.com".to_owned() };
        let refused = intake.key_refused(&ApiKey::new(&"abc".into()).unwrap().current());
        assert_eq!(refused, "datadog: API key refused by datadoghq.com: check DD_API_KEY and DD_SITE");
        assert!(intake.is_about_a_key(&Status::Error(refused)));
        assert!(!intake.is_about_a_key(&Status::Error("connection refused by api.datadoghq.com:443".to_owned())));
        assert!(!intake.is_about_a_key(&Status::Ok));
    }
}
