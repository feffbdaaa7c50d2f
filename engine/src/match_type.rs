//! Patterns of names, as components' options have them.

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a name pattern is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MatchType {
    /// `*` stands for any characters but a dot, as in the Datadog Agent's mapper; `**` for any characters at all.
    #[default]
    Wildcard,
    /// A regular expression that must match the whole name.
    Regex,
}

/// A pattern that is not a regular expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a regular expression: {reason}")]
pub struct InvalidPattern {
    /// What is wrong with it, in one line.
    pub reason: String,
}

impl MatchType {
    /// The regular expression that matches exactly the whole names that the pattern stands for.
    ///
    /// # Errors
    /// The pattern is not a regular expression.
    pub fn compile(self, pattern: &str) -> Result<Regex, InvalidPattern> {
        let expression = match self {
            MatchType::Wildcard => wildcard(pattern),
            MatchType::Regex => pattern.to_owned(),
        };
        // With `s` a dot matches a newline too: over OTLP names and tags may hold one.
        Regex::new(&format!("^(?s:{expression})$")).map_err(|error| {
            // The expression by itself, so that the error is about nothing else.
            InvalidPattern::of(&Regex::new(&expression).err().unwrap_or(error))
        })
    }
}

impl InvalidPattern {
    /// What the library says about a pattern.
    pub(crate) fn of(error: &regex::Error) -> Self {
        // The library draws the pattern, points at the place below it, and says what is wrong in the last line.
        let words = error.to_string();
        let last = words.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
        let pointer = words.lines().rfind(|line| line.contains('^') && line.trim().bytes().all(|byte| byte == b'^'));
        let column = pointer.and_then(|line| line.find('^')?.checked_sub(DRAWN_AT));
        let reason = match column {
            Some(column) => format!("{last} (at its character {})", column + 1),
            None => last.to_owned(),
        };
        InvalidPattern { reason }
    }
}

/// Blanks in front of the library's drawing.
const DRAWN_AT: usize = 4;

fn wildcard(pattern: &str) -> String {
    let within_dots = |part: &str| part.split('*').map(regex::escape).collect::<Vec<_>>().join("[^.]*");
    pattern.split("**").map(within_dots).collect::<Vec<_>>().join(".*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (match_type, pattern, name, expected) in [
            (MatchType::Wildcard, "gunicorn.*.duration", "gunicorn.request.duration", true),
            (MatchType::Wildcard, "gunicorn.*.duration", "gunicorn.request.app.duration", false),
            (MatchType::Wildcard, "gunicorn.*", "gunicorn.request.duration", false),
            (MatchType::Wildcard, "gunicorn.**", "gunicorn.request.duration", true),
            (MatchType::Wildcard, "**.duration", "gunicorn.request.duration", true),
            (MatchType::Wildcard, "*", "requests", true),
            (MatchType::Wildcard, "gunicorn.requests", "gunicornXrequests", false),
            (MatchType::Wildcard, "a+(b)", "a+(b)", true),
            (MatchType::Wildcard, "", "a", false),
            (MatchType::Regex, "gunicorn\\..*|d", "gunicorn.request.duration", true),
            (MatchType::Regex, "gunicorn\\..*|d", "d", true),
            (MatchType::Regex, "gunicorn\\..*|d", "dd", false),
        ] {
            assert_eq!(match_type.compile(pattern).unwrap().is_match(name), expected, "{pattern} on {name}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_expression_fits_a_line() {
        let error = MatchType::Regex.compile("(").unwrap_err();
        assert_eq!(error.to_string(), "not a regular expression: unclosed group (at its character 1)");
        let error = MatchType::Regex.compile(r"a\d+(?<n>x").unwrap_err();
        assert_eq!(error.to_string(), "not a regular expression: unclosed group (at its character 5)");
        assert!(MatchType::Wildcard.compile("(").is_ok());
    }
}
