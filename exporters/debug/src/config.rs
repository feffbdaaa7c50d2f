//! Settings of the `debug` exporter.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verbosity {
    /// One line a batch: how many items.
    Basic,
    /// One line an item, except counters that saw nothing.
    #[default]
    Normal,
    /// One line for every item, and one a batch with the resource that the items share.
    Detailed,
}

/// Settings of the `debug` exporter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DebugConfig {
    /// How much is printed: `basic` (a line a batch), `normal` (a line an item, except counters that saw nothing) or
    /// `detailed` (every item, and the resource).
    pub verbosity: Verbosity,
}
