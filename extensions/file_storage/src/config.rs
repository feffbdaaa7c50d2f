//! Settings of the `file_storage` extension.

use hornpipe_engine::config::{Duration, Report};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the `file_storage` extension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FileStorageConfig {
    /// The directory; one process at a time works in it. Default: the state directory (`HORNPIPE_STATE_DIR`).
    pub directory: Option<String>,
    /// Whether the directory is made where it is missing, for this user alone.
    pub create_directory: bool,
    /// How long to wait for another process to leave the directory.
    pub timeout: Duration,
}

impl Default for FileStorageConfig {
    fn default() -> Self {
        FileStorageConfig { directory: None, create_directory: true, timeout: Duration::from_secs(10) }
    }
}

impl FileStorageConfig {
    pub(crate) fn check(&self, report: &mut Report) {
        if self.directory.as_deref().is_some_and(|directory| directory.trim().is_empty()) {
            report.error_with_help("directory", "is empty", "write a path, or leave the option out");
        }
    }
}
