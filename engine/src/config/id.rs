//! Ids of components and pipelines.

use std::sync::LazyLock;

use hornpipe_model::Signal;
use regex::Regex;

use super::suggest;

/// The longest type, in characters.
const LONGEST_TYPE: usize = 63;

/// The longest name, in characters.
const LONGEST_NAME: usize = 1024;

/// The Collector's rule for names: no white space, control characters or symbols.
static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[^\pZ\pC\pS]+$").ok());

/// A component's id, `type` or `type/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentId {
    type_name: String,
    name: Option<String>,
}

/// Why a text is no id, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidId {
    /// What is wrong, without the id.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl ComponentId {
    /// Reads an id by the Collector's rules: a type of at most 63 letters, digits and `_` that starts with a letter,
    /// and a name of at most 1024 characters other than white space, control characters and symbols. White space around
    /// either is dropped.
    ///
    /// # Errors
    /// Which rule is broken.
    pub fn parse(text: &str) -> Result<ComponentId, InvalidId> {
        let (type_name, name) = halves(text)?;
        let is_valid = type_name.len() <= LONGEST_TYPE
            && type_name.starts_with(|c: char| c.is_ascii_alphabetic())
            && type_name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_valid {
            let message =
                format!("a component type starts with a letter and has at most {LONGEST_TYPE} letters, digits and `_`");
            return Err(InvalidId { message, help: "write `type` or `type/name`".to_owned() });
        }
        Ok(ComponentId { type_name: type_name.to_owned(), name: name.map(str::to_owned) })
    }

    /// The part before the slash.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// The part after the slash.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl std::fmt::Display for ComponentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}/{name}", self.type_name),
            None => f.write_str(&self.type_name),
        }
    }
}

/// Reads a pipeline's id, `signal` or `signal/name`, into its signal and the id without stray white space.
///
/// # Errors
/// Which rule is broken, or which signal is not known.
pub fn parse_pipeline_id(text: &str) -> Result<(Signal, String), InvalidId> {
    let (signal, name) = halves(text)?;
    let id = name.map_or_else(|| signal.to_owned(), |name| format!("{signal}/{name}"));
    let known: Vec<&str> = Signal::ALL.iter().map(|signal| signal.as_str()).collect();
    match Signal::ALL.into_iter().find(|known| known.as_str() == signal) {
        Some(signal) => Ok((signal, id)),
        None if matches!(signal, "traces" | "profiles") => {
            let message = format!("pipelines for {signal} are not supported");
            Err(InvalidId { message, help: suggest::list("supported signals", &known) })
        }
        None => {
            let message = "a pipeline is called by its signal, or `signal/name`".to_owned();
            Err(InvalidId { message, help: suggest::help(signal, "supported signals", &known) })
        }
    }
}

/// The parts before and after the first slash.
fn halves(text: &str) -> Result<(&str, Option<&str>), InvalidId> {
    let Some((before, name)) = text.split_once('/') else { return Ok((text.trim(), None)) };
    let name = name.trim();
    if name.is_empty() {
        let message = "the part after the `/` is empty".to_owned();
        return Err(InvalidId { message, help: "add a name, or remove the `/`".to_owned() });
    }
    let is_valid = name.chars().count() <= LONGEST_NAME && NAME.as_ref().is_none_or(|rule| rule.is_match(name));
    if !is_valid {
        let message =
            "the part after the `/` has white space, control characters or symbols, or is too long".to_owned();
        return Err(InvalidId { message, help: "use letters, digits and punctuation".to_owned() });
    }
    Ok((before.trim(), Some(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn component_ids_follow_the_collectors_rules() {
        for (text, expected) in [
            ("statsd", "statsd"),
            ("statsd/a.b", "statsd/a.b"),
            (" statsd / two ", "statsd/two"),
            ("otlp_grpc/a/b", "otlp_grpc/a/b"),
            ("statsd/ä", "statsd/ä"),
        ] {
            assert_eq!(ComponentId::parse(text).unwrap().to_string(), expected, "{text}");
        }
        for text in ["", "/", "statsd/", "1a", "a-b", "a b", "statsd/a b", "statsd/a$", "statsd/\u{7}", &"a".repeat(64)]
        {
            assert!(ComponentId::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn pipeline_ids_start_with_a_signal() {
        assert_eq!(parse_pipeline_id("metrics").unwrap(), (Signal::Metrics, "metrics".to_owned()));
        assert_eq!(parse_pipeline_id("logs / b").unwrap(), (Signal::Logs, "logs/b".to_owned()));
        assert_eq!(parse_pipeline_id("traces/a").unwrap_err().message, "pipelines for traces are not supported");
        assert_eq!(parse_pipeline_id("metric").unwrap_err().help, "did you mean `metrics`?");
    }
}
