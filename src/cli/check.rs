//! `hornpipe check`: runs a check once and prints what would be sent.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use hornpipe_engine::Clock;
use hornpipe_engine::config::{Diagnostics, Plan, decode};
use hornpipe_engine::resource::{HostName, process_variable};
use hornpipe_engine::status::CheckReport;
use hornpipe_gunicorn_receiver::{CheckRun, GunicornConfig, Instance, run_once};
use hornpipe_model::{CheckStatus, MetricPoint, MetricValue};
use serde_json::{Value, json};

use super::load::{load_plan, say};

/// The configuration that is read where none is named, if it is there.
const DEFAULT_FILE: &str = "pipeline.yaml";
/// What a check that could not run ends with, as one that cannot tell.
const UNKNOWN: u8 = 3;

/// Which check.
#[derive(Subcommand)]
pub enum CheckCommand {
    /// Look at Gunicorn's processes once; ends with 0 (OK), 1 (warning), 2 (critical) or 3 (unknown)
    Gunicorn(GunicornArgs),
}

/// How the check of Gunicorn is run.
#[derive(Args)]
pub struct GunicornArgs {
    /// Check this application, whatever the configuration names
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
    /// Configuration file whose gunicorn receivers are run; may be given several times [default: pipeline.yaml, if there is one]
    #[arg(long, short, value_name = "FILE")]
    config: Vec<PathBuf>,
}

/// Runs a check once and sends nothing. Ends with the worst status, by its number.
pub fn check(command: &CheckCommand) -> ExitCode {
    let CheckCommand::Gunicorn(args) = command;
    match gunicorn(args) {
        Ok(status) => ExitCode::from(status as u8),
        Err(error) => {
            if !error.is_empty() {
                say(&format!("error: {error}"));
            }
            ExitCode::from(UNKNOWN)
        }
    }
}

/// The error is empty where everything about it has been said.
fn gunicorn(args: &GunicornArgs) -> Result<CheckStatus, String> {
    let plan = match &args.config[..] {
        [] if !Path::new(DEFAULT_FILE).exists() => None,
        [] => Some(load_plan(&[DEFAULT_FILE.into()]).ok_or_else(String::new)?),
        files => Some(load_plan(files).ok_or_else(String::new)?),
    };
    let host = plan.as_ref().and_then(|plan| plan.service.hostname.clone());
    let host = HostName::detect(host.as_deref(), &process_variable).name.unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let mut runs = Vec::new();
    for mut config in receivers(plan.as_ref()) {
        if let Some(name) = &args.name {
            only(&mut config, name);
        }
        runs.push(runtime.block_on(run_once(&config, Clock::system()))?);
    }
    let text = if args.json { as_json(&runs, &host) } else { as_text(&runs, &host) };
    // A reader that closed the pipe early knows enough; the code tells the rest.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(runs.iter().map(|run| run.status).fold(CheckStatus::Ok, CheckStatus::worse))
}

/// The settings of the gunicorn receivers of a plan; the default ones where there is none.
fn receivers(plan: Option<&Plan>) -> Vec<GunicornConfig> {
    let planned = plan.map(|plan| plan.receivers.as_slice()).unwrap_or_default();
    let of_gunicorn = planned.iter().filter(|planned| planned.id.split('/').next() == Some("gunicorn"));
    let configs: Vec<GunicornConfig> = of_gunicorn
        // They were decoded before, without a problem.
        .filter_map(|planned| decode(&planned.settings, &planned.id, &mut Diagnostics::new()))
        .collect();
    if configs.is_empty() { vec![GunicornConfig::default()] } else { configs }
}

/// Leaves the instances of one application, or makes one of what stands for all.
fn only(config: &mut GunicornConfig, name: &str) {
    let for_all = config.instances.iter().find(|instance| instance.proc_name == "*").cloned().unwrap_or_default();
    config.instances.retain(|instance| instance.proc_name == name);
    if config.instances.is_empty() {
        config.instances.push(Instance { proc_name: name.to_owned(), ..for_all });
    }
}

/// As `agent check` prints it: what would be sent, then how each instance is doing.
fn as_text(runs: &[CheckRun], host: &str) -> String {
    let (metrics, service_checks) = sent(runs, host);
    let mut text = String::new();
    for (title, entries) in [("Series", metrics), ("Service Checks", service_checks)] {
        if !entries.is_empty() {
            text.push_str(&format!("=== {title} ===\n{:#}\n\n", Value::from(entries)));
        }
    }
    text.push_str("Checks\n");
    text.extend(runs.iter().map(|run| run.report.to_string()));
    text
}

fn as_json(runs: &[CheckRun], host: &str) -> String {
    let (metrics, service_checks) = sent(runs, host);
    let checks: Vec<&CheckReport> = runs.iter().map(|run| &run.report).collect();
    let sent = json!({"metrics": metrics, "service_checks": service_checks, "events": []});
    format!("{:#}\n", json!({"aggregator": sent, "checks": checks}))
}

/// What would be sent to Datadog, as series and service checks.
fn sent(runs: &[CheckRun], host: &str) -> (Vec<Value>, Vec<Value>) {
    let points = || runs.iter().flat_map(|run| &run.points);
    (
        points().filter_map(|point| series(point, host)).collect(),
        points().filter_map(|point| check_run(point, host)).collect(),
    )
}

fn series(point: &MetricPoint, host: &str) -> Option<Value> {
    let (kind, value) = match point.value {
        MetricValue::Gauge(value) => ("gauge", value),
        MetricValue::Count { sum, .. } => ("count", sum),
        _ => return None,
    };
    Some(json!({
        "metric": point.context.name(),
        "type": kind,
        "points": [[point.window.end.as_secs(), value]],
        "tags": tags(point),
        "host": point.context.host().unwrap_or(host),
        "interval": 0,
        "source_type_name": "System",
    }))
}

fn check_run(point: &MetricPoint, host: &str) -> Option<Value> {
    let MetricValue::ServiceCheck(check) = &point.value else { return None };
    Some(json!({
        "check": point.context.name(),
        "host_name": point.context.host().unwrap_or(host),
        "timestamp": point.window.end.as_secs(),
        "status": check.status as u8,
        "message": check.message,
        "tags": tags(point),
    }))
}

fn tags(point: &MetricPoint) -> Vec<&str> {
    point.context.tags().iter().collect()
}
