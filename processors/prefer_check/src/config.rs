//! Settings of the `prefer_check` processor.

use hornpipe_engine::config::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the `prefer_check` processor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PreferCheckConfig {
    /// The names of the gauges.
    pub metrics: Vec<String>,
    /// How long a check's point goes before the clients' gauges. Three times the check's interval, so that one collection that
    /// comes late changes nothing.
    pub hold: Duration,
}

impl Default for PreferCheckConfig {
    fn default() -> Self {
        PreferCheckConfig { metrics: vec!["gunicorn.workers".to_owned()], hold: Duration::from_secs(45) }
    }
}
