//! What a path is answered with.

use axum::http::{Method, StatusCode};
use hornpipe_engine::config::Duration;
use hornpipe_engine::status::StatusReader;
use serde::Serialize;

/// Answers as long as the process does.
pub(crate) const LIVE: &str = "/livez";
/// Tells whether the process does its work.
pub(crate) const READY: &str = "/readyz";

/// What the answers are made from.
#[derive(Clone)]
pub(crate) struct Health {
    /// The path that answers as [`READY`] does.
    pub(crate) path: String,
    /// Whether exporters count.
    pub(crate) with_backends: bool,
    /// How the process is doing.
    pub(crate) status: StatusReader,
}

/// The body, with the Collector's words.
#[derive(Serialize)]
struct Body {
    status: &'static str,
    uptime: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

impl Health {
    /// The status and the JSON body for a request.
    pub(crate) fn answer(&self, method: &Method, path: &str) -> (StatusCode, String) {
        if method != Method::GET && method != Method::HEAD {
            return (StatusCode::METHOD_NOT_ALLOWED, r#"{"error":"use GET"}"#.to_owned());
        }
        let problems = if path == LIVE {
            Vec::new()
        } else if path == READY || path == self.path {
            self.status.readiness(self.with_backends).problems
        } else {
            return (StatusCode::NOT_FOUND, format!(r#"{{"error":"ask {LIVE} or {READY}"}}"#));
        };
        let (code, status) = match problems.is_empty() {
            true => (StatusCode::OK, "Server available"),
            false => (StatusCode::SERVICE_UNAVAILABLE, "Server not available"),
        };
        let uptime = Duration::from_secs(self.status.uptime().as_secs()).to_string();
        // Texts can always be written.
        (code, serde_json::to_string(&Body { status, uptime, problems }).unwrap_or_default())
    }
}
