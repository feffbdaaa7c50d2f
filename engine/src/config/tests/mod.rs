//! What users see: configurations and the text that is printed about them.

mod decoding;
mod extensions;
mod files;
mod planning;
mod properties;
mod secrets;
mod substitution;
mod syntax;

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::*;

pub(super) fn source(text: &str) -> Arc<Source> {
    Source::new("pipeline.yaml", text, 0)
}

/// A tree of valid YAML, after substitution.
pub(super) fn tree(text: &str, environment: &FixedEnvironment) -> Node {
    let mut diagnostics = Diagnostics::new();
    let node = parse(&source(text), &mut diagnostics).expect("YAML");
    assert!(diagnostics.is_empty(), "{diagnostics}");
    substitute(node, environment)
}

/// Decodes a whole file as one value: the value, or all that is printed.
pub(super) fn read<T: DeserializeOwned>(text: &str, environment: &FixedEnvironment) -> Result<T, String> {
    let mut diagnostics = Diagnostics::new();
    let value = decode(&tree(text, environment), "", &mut diagnostics);
    if diagnostics.is_empty() { Ok(value.expect("a value")) } else { Err(diagnostics.to_string()) }
}

/// The same with nothing in the environment.
pub(super) fn read_alone<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    read(text, &FixedEnvironment::new())
}

/// What is printed about a file that does not parse.
pub(super) fn parse_errors(text: &str) -> String {
    let mut diagnostics = Diagnostics::new();
    parse(&source(text), &mut diagnostics);
    diagnostics.to_string()
}

/// Without the indentation that a test's source has.
pub(super) fn flush(text: &str) -> String {
    let lines: Vec<&str> = text.trim_matches('\n').lines().collect();
    let indent = lines.iter().filter(|line| !line.trim().is_empty()).map(|l| l.len() - l.trim_start().len()).min();
    lines.iter().map(|line| format!("{}\n", line.get(indent.unwrap_or(0)..).unwrap_or_default())).collect()
}
