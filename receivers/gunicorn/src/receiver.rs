//! The receiver: collects at each instance's times, sends what it found and says what changed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hornpipe_engine::component::{BuildContext, BuildError, Outputs, Receiver};
use hornpipe_engine::status::CheckReport;
use hornpipe_engine::telemetry::{ComponentTelemetry, Status};
use hornpipe_engine::{Batch, Clock, Shutdown};
use hornpipe_model::{CheckStatus, MetricBatch, MetricPoint, MetricValue, Scope, Signal};

use crate::check::{Check, Collection};
use crate::config::{GunicornConfig, Instance};
use crate::extras::Extras;
use crate::news::News;
use crate::points::{Labels, Points};
use crate::report::{InstanceReport, check_report};
use crate::version::Versions;

/// The command that tells the version where none is set.
const DEFAULT_COMMAND: &str = "gunicorn";

/// Looks at the processes of Gunicorn's applications and sends what it found.
pub struct GunicornReceiver {
    config: GunicornConfig,
    context: BuildContext,
    instances: Vec<Planned>,
}

/// An instance ready for use.
struct Planned {
    name: String,
    labels: Labels,
    interval: Duration,
    command: String,
}

impl GunicornReceiver {
    pub(crate) fn new(config: &GunicornConfig, context: BuildContext) -> Result<Self, BuildError> {
        let instances = planned(config).map_err(|error| BuildError::new("instances", error.to_string()))?;
        Ok(GunicornReceiver { config: config.clone(), context, instances })
    }
}

fn planned(config: &GunicornConfig) -> Result<Vec<Planned>, regex::Error> {
    let every_app = [Instance::every_app()];
    let instances = if config.instances.is_empty() { &every_app[..] } else { &config.instances };
    let planned = |instance: &Instance| {
        let command = instance.gunicorn.as_ref().or(config.init_config.gunicorn.as_ref());
        let interval = instance.min_collection_interval.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Ok(Planned {
            name: instance.proc_name.clone(),
            labels: Labels::new(instance, config)?,
            interval: interval.unwrap_or(config.collection_interval.get()),
            command: command.map_or(DEFAULT_COMMAND, String::as_str).to_owned(),
        })
    };
    instances.iter().map(planned).collect()
}

#[async_trait]
impl Receiver for GunicornReceiver {
    async fn run(self: Box<Self>, outputs: Outputs, shutdown: Shutdown) -> Result<(), String> {
        let GunicornReceiver { config, context, instances } = *self;
        let mut collector = Collector::new(&config, instances, context.clock.clone());
        let mut due = vec![context.clock.monotonic(); collector.instances.len()];
        let mut news = News::default();
        let scope = Arc::new(scope());
        loop {
            let next = due.iter().min().copied().unwrap_or_default();
            tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(()),
                () = context.clock.sleep_until(next) => {}
            }
            let now = context.clock.monotonic();
            let ready: Vec<usize> =
                (0..due.len()).filter(|&instance| due.get(instance).is_some_and(|at| *at <= now)).collect();
            for &instance in &ready {
                if let (Some(at), Some(planned)) = (due.get_mut(instance), collector.instances.get(instance)) {
                    // Where an exporter held us up, the collections that fell out are not made up for.
                    *at = (*at + planned.interval).max(now);
                }
            }
            let collected = tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(()),
                collected = collector.collect(&ready) => collected,
            };
            match collected {
                Ok((collection, points)) => {
                    context.telemetry.set_status(Status::Ok);
                    record(&context.telemetry, &collection);
                    context.telemetry.set_check(collector.report());
                    news.tell(&collection, &context.id);
                    send(points, &outputs, &context, &scope).await;
                }
                Err(error) => {
                    if context.telemetry.set_status(Status::Error(error.clone())) {
                        tracing::error!(receiver = context.id, "{error}");
                    }
                }
            }
            tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(()),
                () = collector.ask_versions() => {}
            }
            record_failures(&context.telemetry, collector.versions.failures());
            context.telemetry.set_check(collector.report());
        }
    }
}

fn scope() -> Scope {
    Scope { name: "hornpipe/gunicorn".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), ..Scope::default() }
}

/// How many processes were looked at.
fn record(telemetry: &ComponentTelemetry, collection: &Collection) {
    telemetry
        .gauge("hornpipe_gunicorn_processes", "{process}", "Processes at the last collection")
        .set(collection.seen);
    telemetry
        .gauge(
            "hornpipe_gunicorn_unreadable_processes",
            "{process}",
            "Processes that could not be read at the last collection",
        )
        .set(collection.unreadable);
}

/// How many times a version could not be asked for.
fn record_failures(telemetry: &ComponentTelemetry, failures: u64) {
    let name = "hornpipe_gunicorn_version_failures";
    telemetry.counter(name, "{run}", "Runs of the command for the version that told none").set(failures);
}

/// The check's points are its inputs: each one is passed on as it is.
async fn send(points: Vec<MetricPoint>, outputs: &Outputs, context: &BuildContext, scope: &Arc<Scope>) {
    let Some(output) = outputs.metrics.as_ref().filter(|_| !points.is_empty()) else { return };
    let counters = context.telemetry.signal(Signal::Metrics);
    let inputs = points.len() as u64;
    counters.received.add(inputs);
    counters.held.add(inputs);
    let (resource, scope) = (Arc::clone(&context.resource), Arc::clone(scope));
    output.send(Batch::new(MetricBatch { resource, scope, points })).await;
    counters.held.subtract(inputs);
    counters.passed.add(inputs);
}

/// Runs the check and keeps what each instance found last.
struct Collector {
    instances: Vec<Planned>,
    check: Check,
    points: Points,
    /// Where further metrics are wanted.
    extras: Option<Extras>,
    clock: Clock,
    reports: Vec<InstanceReport>,
    versions: Versions,
}

impl Collector {
    fn new(config: &GunicornConfig, instances: Vec<Planned>, clock: Clock) -> Self {
        let names = instances.iter().map(|instance| instance.name.clone()).collect();
        Collector {
            check: Check::new(config, names, clock.clone()),
            points: Points::default(),
            extras: config.extra_metrics.then(Extras::default),
            reports: vec![InstanceReport::default(); instances.len()],
            versions: Versions::new(config.version_timeout.get(), clock.clone()),
            instances,
            clock,
        }
    }

    /// Runs the check for some instances; what it found, and the points to send.
    async fn collect(&mut self, due: &[usize]) -> Result<(Collection, Vec<MetricPoint>), String> {
        let collection = self.check.run(due).await?;
        let now = self.clock.unix();
        let mut points = Vec::new();
        for outcome in &collection.outcomes {
            let Some(instance) = self.instances.get(outcome.instance) else { continue };
            let before = points.len();
            for app in &outcome.apps {
                let more = self.extras.as_mut().map(|extras| extras.of(outcome.instance, app, now));
                self.points.add(app, &instance.labels, more.unwrap_or_default(), now, &mut points);
            }
            if let Some(extras) = &mut self.extras {
                extras.keep(outcome);
            }
            let is_metric = |point: &&MetricPoint| !matches!(point.value, MetricValue::ServiceCheck(_));
            let metrics = points.iter().skip(before).filter(is_metric).count() as u64;
            if let Some(report) = self.reports.get_mut(outcome.instance) {
                *report = InstanceReport::of(&instance.name, outcome, metrics, collection.unread());
            }
            let masters = outcome.apps.iter().flat_map(|app| &app.masters).map(|master| master.id).collect();
            self.versions.note(&instance.command, outcome.instance, masters);
        }
        self.points.finish();
        points.shrink_to_fit();
        Ok((collection, points))
    }

    /// Asks for versions that may have changed.
    async fn ask_versions(&mut self) {
        self.versions.ask().await;
    }

    fn report(&self) -> CheckReport {
        let failures = self.instances.iter().map(|instance| self.versions.failure(&instance.command));
        check_report(self.versions.shown(), self.reports.iter().zip(failures))
    }
}

/// What one run of the check found and would send.
#[derive(Clone, Debug)]
pub struct CheckRun {
    /// The points.
    pub points: Vec<MetricPoint>,
    /// The check as `hornpipe status` shows it.
    pub report: CheckReport,
    /// The worst status of all service checks; OK where there are none.
    pub status: CheckStatus,
}

/// Runs the check once for all instances and sends nothing.
///
/// # Errors
/// Why it could not run, in words for the operator.
pub async fn run_once(config: &GunicornConfig, clock: Clock) -> Result<CheckRun, String> {
    let instances = planned(config).map_err(|error| error.to_string())?;
    let due: Vec<usize> = (0..instances.len()).collect();
    let mut collector = Collector::new(config, instances, clock);
    let (collection, points) = collector.collect(&due).await?;
    collector.ask_versions().await;
    let apps = collection.outcomes.iter().flat_map(|outcome| &outcome.apps);
    let status = apps.fold(CheckStatus::Ok, |status, app| status.worse(app.status));
    Ok(CheckRun { points, report: collector.report(), status })
}
