//! Where everything about the process stands.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hornpipe_model::{Signal, Timestamp};
use serde::{Deserialize, Serialize};

use super::component;
use super::report::{
    ComponentStatus, Health, HostStatus, LeftQueueStatus, Readiness, ReloadStatus, StateDirectoryStatus, StatusReport,
};
use crate::delivery::directory::LeftQueue;
use crate::state_dir::StateDirectory;
use crate::telemetry::{ComponentKind, Telemetry};
use crate::{Clock, lock};

/// What does not change while the process runs.
#[derive(Clone, Debug, Default)]
pub struct ProcessFacts {
    /// The configuration files, in the order in which they are laid over each other.
    pub config_files: Vec<PathBuf>,
    /// The host name that goes with the data.
    pub host: HostStatus,
    /// Where state is kept.
    pub state_directory: StateDirectory,
}

/// How far the process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It builds its components.
    #[default]
    Starting,
    /// Data flows.
    Running,
    /// It flushes and sends what is open.
    Stopping,
}

/// Everything that a report is made from; clones share it. No method waits for more than a short lock.
#[derive(Clone)]
pub struct StatusBoard(Arc<Board>);

/// The board for those who only read it.
#[derive(Clone)]
pub struct StatusReader(Arc<Board>);

struct Board {
    facts: ProcessFacts,
    telemetry: Telemetry,
    clock: Clock,
    started: Duration,
    changing: Mutex<Changing>,
}

#[derive(Default)]
struct Changing {
    phase: Phase,
    extensions: Vec<String>,
    warnings: Vec<String>,
    left_queues: Vec<LeftQueue>,
    reload: Option<(Timestamp, Result<(), String>)>,
}

impl StatusBoard {
    /// The board of a process that starts now.
    pub fn new(facts: ProcessFacts, telemetry: Telemetry, clock: Clock) -> Self {
        let started = clock.monotonic();
        StatusBoard(Arc::new(Board { facts, telemetry, clock, started, changing: Mutex::default() }))
    }

    /// The same, for those who only read.
    pub fn reader(&self) -> StatusReader {
        StatusReader(Arc::clone(&self.0))
    }

    /// Says how far the process is.
    pub fn set_phase(&self, phase: Phase) {
        self.0.changing().phase = phase;
    }

    /// Says which extensions run now, by id.
    pub fn set_extensions(&self, ids: Vec<String>) {
        self.0.changing().extensions = ids;
    }

    /// Says what the process has to do without, in words for the operator, in place of what was said before.
    pub fn set_warnings(&self, warnings: Vec<String>) {
        self.0.changing().warnings = warnings;
    }

    /// Says which queues on disk no exporter has any more, in place of what was said before, and logs those that are news.
    pub(crate) fn set_left_queues(&self, queues: Vec<LeftQueue>) {
        let now = self.0.clock.unix();
        let before = std::mem::take(&mut self.0.changing().left_queues);
        for queue in queues.iter().filter(|queue| !before.contains(queue)) {
            tracing::warn!(exporter = queue.exporter, "{}", LeftQueueStatus::of(queue, now));
        }
        self.0.changing().left_queues = queues;
    }

    /// Notes what became of a reload: taken, or why not. The error may have several lines.
    pub fn record_reload(&self, outcome: Result<(), String>) {
        self.0.changing().reload = Some((self.0.clock.unix(), outcome));
    }
}

impl Board {
    fn changing(&self) -> MutexGuard<'_, Changing> {
        lock(&self.changing)
    }
}

impl StatusReader {
    /// How everything is now.
    pub fn report(&self) -> StatusReport {
        let board = &*self.0;
        let facts = &board.facts;
        let now = board.clock.unix();
        let changing = self.0.changing();
        let sections = component::Sections::of(&board.telemetry, &changing.extensions, now);
        let reload = changing.reload.as_ref().map(|(time, outcome)| ReloadStatus {
            age_seconds: now.since(*time).as_secs(),
            error: outcome.as_ref().err().cloned(),
        });
        let pipelines = board.telemetry.pipelines().to_vec();
        let mut report = StatusReport {
            status: Health::Ok,
            phase: changing.phase,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: self.uptime().as_secs(),
            config_files: facts.config_files.iter().map(|path| path.display().to_string()).collect(),
            last_reload: reload,
            host: facts.host.clone(),
            logs_enabled: pipelines.iter().any(|pipeline| pipeline.signal == Signal::Logs),
            state_directory: StateDirectoryStatus {
                path: facts.state_directory.path.display().to_string(),
                problem: facts.state_directory.problem.clone(),
            },
            warnings: changing.warnings.clone(),
            left_queues: changing.left_queues.iter().map(|queue| LeftQueueStatus::of(queue, now)).collect(),
            pipelines,
            checks: sections.checks,
            receivers: sections.receivers,
            processors: sections.processors,
            exporters: sections.exporters,
            extensions: sections.extensions,
        };
        report.status = worst(&report);
        report
    }

    /// Whether the process does its work: the configuration is loaded and every receiver is up. A backend that fails
    /// counts only `with_backends`: by itself it must not take the application that is measured out of its load balancer.
    pub fn readiness(&self, with_backends: bool) -> Readiness {
        let mut problems = Vec::new();
        match self.0.changing().phase {
            Phase::Starting => problems.push("hornpipe is starting".to_owned()),
            Phase::Running => {}
            Phase::Stopping => problems.push("hornpipe is stopping".to_owned()),
        }
        let sections = component::Sections::of(&self.0.telemetry, &[], self.0.clock.unix());
        let mut look_at = |kind: ComponentKind, components: &[ComponentStatus]| {
            for component in components.iter().filter(|component| component.status == Health::Error) {
                problems.push(format!("{kind} {}: {}", component.id, component.message.as_deref().unwrap_or_default()));
            }
        };
        look_at(ComponentKind::Receiver, &sections.receivers);
        if with_backends {
            look_at(ComponentKind::Exporter, &sections.exporters);
        }
        Readiness { ready: problems.is_empty(), problems }
    }

    /// How long the process has run.
    pub fn uptime(&self) -> Duration {
        self.0.clock.monotonic().saturating_sub(self.0.started)
    }
}

/// The worst of a report. A reload that failed is an error: what runs is not what was asked for.
fn worst(report: &StatusReport) -> Health {
    let sections = [&report.receivers, &report.processors, &report.exporters, &report.extensions];
    let components = sections.into_iter().flatten().map(|component| component.status);
    let checks = report.checks.iter().flat_map(|check| &check.instances).map(|instance| instance.status);
    let is_without =
        report.state_directory.problem.is_some() || !report.warnings.is_empty() || !report.left_queues.is_empty();
    let process = match &report.last_reload {
        Some(ReloadStatus { error: Some(_), .. }) => Health::Error,
        _ if is_without => Health::Warning,
        _ => Health::Ok,
    };
    components.chain(checks).max().unwrap_or_default().max(process)
}
