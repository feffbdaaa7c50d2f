//! Settings of the `parse` processor.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParserKind {
    /// A line of Gunicorn's access log, or another in Apache's common or combined format.
    GunicornAccess,
    /// A record of Gunicorn's error log, with or without a traceback.
    GunicornError,
    /// A JSON object.
    Json,
    /// Whatever a regular expression describes.
    Regex,
}

impl ParserKind {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            ParserKind::GunicornAccess => "gunicorn_access",
            ParserKind::GunicornError => "gunicorn_error",
            ParserKind::Json => "json",
            ParserKind::Regex => "regex",
        }
    }
}

/// One way to read a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parser {
    /// `gunicorn_access`, `gunicorn_error`, `json` or `regex`.
    #[serde(rename = "type")]
    pub kind: ParserKind,
    /// For `gunicorn_access`: Gunicorn's `--access-logformat`. Left out: the combined format, which is Gunicorn's default, the
    /// common one, and that of uvicorn's workers.
    #[serde(default)]
    pub access_log_format: String,
    /// For `regex`: matches somewhere in the text. Each named group becomes an attribute, `(?<http.route>\S+)`; the groups
    /// `timestamp`, `severity` and `pid` are the record's time, its severity and `process.pid`.
    #[serde(default)]
    pub pattern: String,
    /// For `regex` and `json`: how times are written, in the directives of `strptime`, such as `%d/%b/%Y:%H:%M:%S %z`. Left
    /// out: ISO 8601, with a blank or a `T`, or seconds, milli-, micro- or nanoseconds since 1970. A time without a zone is UTC.
    #[serde(default)]
    pub timestamp_layout: String,
}

/// Settings of the `parse` processor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ParseConfig {
    /// Ways to read a text, in order; the first that fits is taken.
    pub parsers: Vec<Parser>,
}
