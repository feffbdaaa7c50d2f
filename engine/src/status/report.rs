//! What a report holds. Its JSON is what `hornpipe status --json` prints; fields are added, never renamed.

use std::collections::BTreeMap;

use hornpipe_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::Phase;
use crate::delivery::directory::LeftQueue;
use crate::resource::HostName;
use crate::telemetry::PipelineTopology;

/// Everything about a running process. Holds no secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusReport {
    /// The worst of all that follows.
    pub status: Health,
    /// Whether it starts, runs or stops.
    pub phase: Phase,
    /// hornpipe's version.
    pub version: String,
    /// The process id.
    pub pid: u32,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// The configuration files, in the order in which they are laid over each other.
    pub config_files: Vec<String>,
    /// What became of the last reload; nothing where there was none.
    pub last_reload: Option<ReloadStatus>,
    /// The host name that goes with the data.
    pub host: HostStatus,
    /// Whether a pipeline for logs runs.
    pub logs_enabled: bool,
    /// Where state is kept.
    pub state_directory: StateDirectoryStatus,
    /// What the process has to do without, in words for the operator.
    pub warnings: Vec<String>,
    /// Queues on disk that no exporter has any more.
    pub left_queues: Vec<LeftQueueStatus>,
    /// The pipelines that run.
    pub pipelines: Vec<PipelineTopology>,
    /// Checks that run on this host, each by a receiver.
    pub checks: Vec<CheckReport>,
    /// What brings data in.
    pub receivers: Vec<ComponentStatus>,
    /// What changes data, once a pipeline.
    pub processors: Vec<ComponentStatus>,
    /// What sends data out.
    pub exporters: Vec<ComponentStatus>,
    /// What serves the process.
    pub extensions: Vec<ComponentStatus>,
}

/// How something is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// All is well.
    #[default]
    Ok,
    /// It works, but somebody should look.
    Warning,
    /// It does not work.
    Error,
}

impl Health {
    /// As `hornpipe status` prints it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Health::Ok => "OK",
            Health::Warning => "WARNING",
            Health::Error => "ERROR",
        }
    }
}

/// What became of a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReloadStatus {
    /// Seconds since then.
    pub age_seconds: u64,
    /// Why the new configuration was not taken; nothing where it was. The one before runs on.
    pub error: Option<String>,
}

/// The host name that goes with the data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostStatus {
    /// The name; nothing where there is none.
    pub name: Option<String>,
    /// Where it came from, such as `DD_HOSTNAME`.
    pub source: String,
    /// What to do where the name is missing or doubtful.
    pub advice: Option<String>,
}

impl From<&HostName> for HostStatus {
    fn from(host: &HostName) -> Self {
        HostStatus { name: host.name.clone(), source: host.source.as_str().to_owned(), advice: host.advice() }
    }
}

/// Undelivered data on disk of an exporter that no pipeline has any more, or that keeps its queues elsewhere now, as it was at the
/// last start or reload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeftQueueStatus {
    /// The exporter's id.
    pub exporter: String,
    /// The folder of its queues.
    pub path: String,
    /// Points and records in them.
    pub items: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// Seconds since something was written there last.
    pub age_seconds: u64,
}

impl LeftQueueStatus {
    pub(super) fn of(queue: &LeftQueue, now: Timestamp) -> Self {
        LeftQueueStatus {
            exporter: queue.exporter.clone(),
            path: queue.directory.display().to_string(),
            items: queue.items,
            bytes: queue.bytes,
            age_seconds: now.since(queue.written).as_secs(),
        }
    }
}

/// Where state is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StateDirectoryStatus {
    /// The directory, also where it cannot be written.
    pub path: String,
    /// Why nothing can be kept there, and what to do.
    pub problem: Option<String>,
}

/// One component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ComponentStatus {
    /// Its id in the configuration.
    pub id: String,
    /// The pipeline that a processor belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// How it is doing.
    pub status: Health,
    /// Why, where all is not well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What went wrong last, over or not.
    pub last_error: Option<ErrorStatus>,
    /// What it says about itself, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// What a receiver waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<WaitingStatus>,
    /// Its counters, by signal.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub signals: BTreeMap<String, SignalStatus>,
    /// An exporter's queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueStatus>,
    /// Its own numbers, by the names of their metrics.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<String, u64>,
}

/// A check that a receiver runs, as it went last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckReport {
    /// The check's name, such as `gunicorn`.
    pub name: String,
    /// The version of what it checks; nothing where it is not known.
    pub version: Option<String>,
    /// Its instances, in the order of the configuration.
    pub instances: Vec<CheckInstance>,
    /// Metric points of the last run.
    pub metrics: u64,
    /// Events of the last run.
    pub events: u64,
    /// Service checks of the last run.
    pub service_checks: u64,
    /// Libraries that it works with, and their versions.
    pub dependencies: BTreeMap<String, String>,
}

/// An instance of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckInstance {
    /// What it found.
    pub status: Health,
    /// Why, where all is not well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What else there is to say, a line each.
    pub details: Vec<String>,
}

/// What did not happen is not mentioned.
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// An error that happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorStatus {
    /// What happened, in words for the operator.
    pub text: String,
    /// Seconds since it happened last.
    pub age_seconds: u64,
}

/// A receiver that leaves data where it is, since exporters have no room for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WaitingStatus {
    /// The exporters, by id; all of them are full.
    pub exporters: Vec<String>,
    /// Seconds since it began to wait.
    pub age_seconds: u64,
}

/// A component's counters for one signal, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SignalStatus {
    /// Inputs that arrived.
    pub received: u64,
    /// Inputs that an earlier process left in a queue on disk.
    #[serde(skip_serializing_if = "is_zero")]
    pub recovered: u64,
    /// Inputs that became of others, too long for the backend: one that was split into three is two more.
    #[serde(skip_serializing_if = "is_zero")]
    pub split: u64,
    /// Inputs represented in what went out.
    pub passed: u64,
    /// Items that went out; of an exporter, items that the backend took.
    pub emitted: u64,
    /// Inputs dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Inputs held now.
    pub held: u64,
}

/// An exporter's queue, with what is being sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueStatus {
    /// Bytes in it.
    pub bytes: u64,
    /// Its bound in bytes.
    pub capacity_bytes: u64,
    /// How long the oldest data has been in it; nothing where it is empty.
    pub oldest_age_seconds: Option<u64>,
}

/// Whether the process does its work: its listeners are up and its configuration is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// True where nothing is in the way.
    pub ready: bool,
    /// What is in the way.
    #[serde(default)]
    pub problems: Vec<String>,
}
