//! What `hornpipe status` and `hornpipe check gunicorn` show.

use hornpipe_engine::status::{CheckInstance, CheckReport, Health};
use hornpipe_model::CheckStatus;

use crate::check::{App, InstanceOutcome, pids};
use crate::config::EVERY_APP;
use crate::control::Exact;
use crate::inspect::Statsd;
use crate::title::master_title;

/// The version of the `sysinfo` crate, which reads the process table where `/proc` is not to be had. (A test compares it
/// with Cargo.lock.)
pub(crate) const SYSINFO_VERSION: &str = "0.40.1";

/// What an instance found, with the points that it sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct InstanceReport {
    instance: CheckInstance,
    metrics: u64,
    service_checks: u64,
}

impl InstanceReport {
    /// About an instance of this name; `unread` says what could not be read.
    pub(crate) fn of(name: &str, outcome: &InstanceOutcome, metrics: u64, unread: Option<String>) -> Self {
        let apps = &outcome.apps;
        let status = apps.iter().fold(CheckStatus::Ok, |status, app| status.worse(app.status));
        let worst = apps.iter().find(|app| app.status == status).filter(|_| status != CheckStatus::Ok);
        let mut details: Vec<String> = apps.iter().flat_map(details).collect();
        if apps.is_empty() && name == EVERY_APP {
            details.push("no Gunicorn runs here".to_owned());
        }
        details.extend(unread);
        let health = match status {
            CheckStatus::Ok => Health::Ok,
            CheckStatus::Critical => Health::Error,
            CheckStatus::Warning | CheckStatus::Unknown => Health::Warning,
        };
        InstanceReport {
            instance: CheckInstance { status: health, message: worst.map(message), details },
            metrics,
            service_checks: apps.len() as u64,
        }
    }
}

/// The check as it went last: each instance's last run, and why its version is unknown where that is so.
pub(crate) fn check_report<'a>(
    version: Option<String>,
    instances: impl Iterator<Item = (&'a InstanceReport, Option<String>)>,
) -> CheckReport {
    let mut report = CheckReport {
        name: "gunicorn".to_owned(),
        version,
        instances: Vec::new(),
        metrics: 0,
        events: 0,
        service_checks: 0,
        dependencies: [("sysinfo".to_owned(), SYSINFO_VERSION.to_owned())].into(),
    };
    for (InstanceReport { instance, metrics, service_checks }, failure) in instances {
        let mut instance = instance.clone();
        instance.details.extend(failure);
        report.instances.push(instance);
        report.metrics += metrics;
        report.service_checks += service_checks;
    }
    report
}

/// Why an application is not well, in the words of the Agent's status page.
fn message(app: &App) -> String {
    if app.masters.is_empty() && app.status == CheckStatus::Critical {
        format!("Found no master process with name: {}", master_title(&app.name))
    } else {
        app.message.clone()
    }
}

/// The lines about an application that runs, or is gone.
fn details(app: &App) -> Vec<String> {
    if app.masters.is_empty() {
        return vec![format!("{}: not running", app.name)];
    }
    let masters: Vec<u32> = app.masters.iter().map(|master| master.id.pid).collect();
    let App { name, working, idle, .. } = app;
    let mut containers: Vec<&str> = app.masters.iter().filter_map(|master| master.facts.container.as_deref()).collect();
    containers.dedup();
    let containers =
        if containers.is_empty() { String::new() } else { format!(", container {}", containers.join(", ")) };
    let mut lines =
        vec![format!("{name}: {working} working and {idle} idle workers, master {}{containers}", pids(&masters))];
    lines.extend(
        app.masters.iter().filter_map(|master| master.exact.as_ref()).map(|exact| format!("{name}: {}", says(exact))),
    );
    lines.extend(
        app.masters
            .iter()
            .map(|master| statsd(master.facts.statsd))
            .max()
            .flatten()
            .map(|line| format!("{name}: {line}")),
    );
    let untitled = app.untitled();
    if !untitled.is_empty() {
        lines.push(format!("{name}: no process titles at {}; {}", pids(&untitled), advice(app)));
    }
    lines
}

/// What a master says about itself.
fn says(exact: &Exact) -> String {
    let Exact { current, target, spawned, killed, reloads, class, threads, heartbeat } = exact;
    let heartbeat = heartbeat.map(|seconds| format!(", oldest sign of life {seconds:.1}s ago")).unwrap_or_default();
    let threads = if *threads > 1 { format!(" with {threads} threads each") } else { String::new() };
    format!(
        "{current} of {target} workers ({class}{threads}), {spawned} started, {killed} killed, {reloads} reloads{heartbeat}"
    )
}

/// Whether the application's own metrics are on their way.
fn statsd(statsd: Statsd) -> Option<String> {
    match statsd {
        Statsd::Unknown => None,
        Statsd::Connected(address) => Some(format!("statsd: connected to {address}")),
        Statsd::Probably(address) => Some(format!("statsd: a process of its user is connected to {address}")),
        Statsd::Missing => {
            let words = "statsd: not connected: start with --statsd-host and the address of the statsd \
                         receiver (localhost:8125 unless set otherwise), then restart the app";
            Some(words.to_owned())
        }
    }
}

/// How to get titles.
pub(crate) fn advice(app: &App) -> String {
    let interpreter = app.masters.iter().find_map(|master| master.interpreter.as_deref());
    let command = match interpreter {
        Some(interpreter) => format!("{} -m pip install setproctitle", quoted(interpreter)),
        None => "pip install setproctitle in its environment".to_owned(),
    };
    format!("for titles: {command}, then restart the app")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_shown_is_that_of_the_library_built_in() {
        let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock")).unwrap();
        let (_, rest) = lock.split_once("name = \"sysinfo\"\nversion = \"").unwrap();
        assert_eq!(rest.split('"').next(), Some(SYSINFO_VERSION));
    }

    #[test]
    fn a_path_with_spaces_is_one_word() {
        assert_eq!(quoted("/srv/venv/bin/python3.11"), "/srv/venv/bin/python3.11");
        assert_eq!(quoted("/srv/my app's/python"), r"'/srv/my app'\''s/python'");
    }
}
