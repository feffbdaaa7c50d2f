//! `hornpipe run`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use hornpipe_engine::config::{Plan, ServiceConfig};
use hornpipe_engine::control::ControlServer;
use hornpipe_engine::graph::{Environment, Graph, RunningGraph};
use hornpipe_engine::resource::{HostName, process_resource, process_variable};
use hornpipe_engine::state_dir::{DirectoryLock, LOCK_PATIENCE, LockError, StateDirectory, VARIABLE};
use hornpipe_engine::status::{HostStatus, Phase, ProcessFacts, StatusBoard};
use hornpipe_engine::telemetry::{FinalCounters, SelfTelemetry};
use hornpipe_engine::{Clock, Sockets};

use super::lines::Lines;
use super::load::{load_plan, read_plan, say};
use super::logging;
use super::signals::{Asked, Hangup, Signals};
use super::startup;

/// Threads that move data: exporters and flushes. Receivers have threads of their own.
const WORKER_THREADS: usize = 2;

/// How long standard error may take for what is still to be written at the end.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How long our own telemetry may take for its last export.
const OWN_TELEMETRY_STOP: Duration = Duration::from_secs(1);

/// Runs the pipeline until SIGTERM or SIGINT; a second one ends it at once. SIGHUP reads the
/// configuration again.
pub fn run(files: &[PathBuf]) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKER_THREADS).enable_all().build();
    let started = runtime.and_then(|runtime| {
        // First of all: whoever starts it may ask for a reload at once.
        let hangup = runtime.block_on(async { Hangup::listen() })?;
        Ok((runtime, hangup, Lines::start(std::io::stderr())?))
    });
    let (runtime, hangup, lines) = match started {
        Ok(started) => started,
        Err(error) => {
            say(&format!("error: cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let Some(plan) = load_plan(files) else { return ExitCode::FAILURE };
    logging::start(&plan.service.telemetry.logs, &lines);
    let code = runtime.block_on(run_plan(plan, files, hangup, &lines));
    // Work that a hanging backend or pipe still holds up is not waited for.
    runtime.shutdown_background();
    lines.finish(LAST_LINES);
    code
}

async fn run_plan(plan: Plan, files: &[PathBuf], hangup: Hangup, lines: &Lines) -> ExitCode {
    let mut signals = match Signals::listen(hangup) {
        Ok(signals) => signals,
        Err(error) => {
            lines.say(&format!("error: cannot listen for signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let file = files.first().map_or(Path::new(""), PathBuf::as_path);
    let host = HostName::detect(plan.service.hostname.as_deref(), &process_variable);
    let state_directory = StateDirectory::open(&process_variable);
    if let Some(problem) = &state_directory.problem {
        tracing::warn!("{problem}");
    }
    let _lock = match lock(&state_directory, &mut signals).await {
        Ok(lock) => lock,
        Err(refusal) => {
            lines.say(&format!("error: {refusal}"));
            return ExitCode::FAILURE;
        }
    };
    let facts = ProcessFacts {
        config_files: files.iter().map(|file| std::path::absolute(file).unwrap_or_else(|_| file.clone())).collect(),
        host: HostStatus::from(&host),
        state_directory: state_directory.clone(),
    };
    let resource = Arc::new(process_resource(&host, file, &process_variable));
    let sockets = Sockets::inherited(&process_variable);
    let environment = Environment { sockets, ..Environment::new(Clock::system(), resource, facts) };
    let status = &environment.status;
    let mut service = plan.service.clone();
    let exporters = startup::exporters(&plan);
    let graph = match Graph::build(plan, &environment) {
        Ok(graph) => graph,
        Err(failures) => {
            lines.say(&failures.to_string());
            return ExitCode::FAILURE;
        }
    };
    let mut own = SelfTelemetry::start(&service.telemetry, &environment.resource, &environment.telemetry).await;
    status.set_warnings(own.problems().to_vec());
    let mut running = graph.start();
    status.set_phase(Phase::Running);
    let control = ControlServer::start(&state_directory, status.reader(), environment.clock.clone());
    tracing::info!(version = env!("CARGO_PKG_VERSION"), config = %file.display(), "hornpipe runs");
    startup::announce(&host, &exporters, own.addresses());

    let name = loop {
        match signals.next().await {
            Asked::Stop(name) => break name,
            Asked::Reload => {
                if let Some(next) = reload(files, &mut running, &service, status) {
                    if next.telemetry.metrics != service.telemetry.metrics {
                        own.stop(OWN_TELEMETRY_STOP).await;
                        own =
                            SelfTelemetry::start(&next.telemetry, &environment.resource, &environment.telemetry).await;
                        status.set_warnings(own.problems().to_vec());
                    }
                    service = next;
                }
            }
        }
    };
    status.set_phase(Phase::Stopping);
    tracing::info!("{name}: flushing and sending what is open; a second signal ends at once");
    let finished = tokio::select! {
        () = running.shutdown(service.shutdown_timeout.get()) => true,
        _ = signals.next_stop() => false,
    };
    lines.say(&FinalCounters::of(&environment.telemetry).to_line());
    if !finished {
        return ExitCode::FAILURE;
    }
    control.stop().await;
    own.stop(OWN_TELEMETRY_STOP).await;
    ExitCode::SUCCESS
}

/// Makes the state directory this process's, or says why it cannot be. Where nothing can be kept, there is nothing to lock.
async fn lock(directory: &StateDirectory, signals: &mut Signals) -> Result<Option<DirectoryLock>, String> {
    let Some(path) = directory.writable() else { return Ok(None) };
    let clock = Clock::system();
    tokio::select! {
        lock = DirectoryLock::wait(path, LOCK_PATIENCE, &clock) => match lock {
            Ok(lock) => Ok(Some(lock)),
            Err(error @ LockError::Held { .. }) => Err(format!("{error} ({VARIABLE})")),
            Err(error) => Err(error.to_string()),
        },
        _ = signals.next_stop() => Err("stopped while it waited for the state directory".to_owned()),
    }
}

/// Reads the configuration again and changes the running graph into it. Where anything is wrong with it, that is said
/// and the graph runs on as it was.
fn reload(
    files: &[PathBuf],
    running: &mut RunningGraph,
    before: &ServiceConfig,
    status: &StatusBoard,
) -> Option<ServiceConfig> {
    let (plan, found) = read_plan(files);
    let Some(plan) = plan else {
        tracing::error!("the new configuration is refused and the old one runs on:\n{found}");
        status.record_reload(Err(found.to_string()));
        return None;
    };
    let service = plan.service.clone();
    let exporters = startup::exporters(&plan);
    if let Err(failures) = running.reload(plan, service.shutdown_timeout.get()) {
        tracing::error!("the new configuration cannot be built and the old one runs on:\n{failures}");
        status.record_reload(Err(failures.to_string()));
        return None;
    }
    if found.iter().next().is_some() {
        tracing::warn!("about the new configuration:\n{found}");
    }
    if service.telemetry.logs != before.telemetry.logs
        || service.telemetry.resource != before.telemetry.resource
        || service.hostname != before.hostname
    {
        tracing::warn!(
            "service.hostname, service.telemetry.logs and service.telemetry.resource apply from the next start on"
        );
    }
    status.record_reload(Ok(()));
    tracing::info!("the new configuration runs; {exporters}");
    Some(service)
}
