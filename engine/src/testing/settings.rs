//! Settings as users write them.

use serde::de::DeserializeOwned;

use crate::config::{Diagnostics, Environment, Source, decode, parse, substitute};

/// The settings of a component, which are valid but for what its `validate` would say.
///
/// # Errors
/// All that is printed about them.
pub fn settings<T: DeserializeOwned>(yaml: &str, environment: &dyn Environment) -> Result<T, String> {
    let mut diagnostics = Diagnostics::new();
    let node = parse(&Source::new("pipeline.yaml", yaml, 0), &mut diagnostics);
    let settings = node.and_then(|node| decode(&substitute(node, environment), "", &mut diagnostics));
    settings.filter(|_| diagnostics.is_empty()).ok_or_else(|| diagnostics.to_string())
}
