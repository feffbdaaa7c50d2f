//! Regular expressions over the bytes of log records.

use regex::bytes::Regex;

use crate::InvalidPattern;

/// A regular expression to look for anywhere in a record. The syntax is that of RE2 and the Agent: no look-around, no
/// back-references.
///
/// # Errors
/// What is wrong with it, and at which of its characters.
pub fn compile(pattern: &str) -> Result<Regex, InvalidPattern> {
    Regex::new(pattern).map_err(|error| InvalidPattern::of(&error))
}

/// One that matches at the beginning of a line only, each of its alternatives.
pub(super) fn compile_at_start(pattern: &str) -> Result<Regex, InvalidPattern> {
    // The pattern must be one by itself: `a)(?:b` would be one in between.
    compile(pattern)?;
    Regex::new(&format!("^(?:{pattern})")).map_err(|error| InvalidPattern::of(&error))
}
