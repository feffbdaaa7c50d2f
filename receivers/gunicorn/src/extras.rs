//! Further metrics of an application: memory, CPU, restarts, ages, listeners. None has a process's id for a tag.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use hornpipe_model::{MetricValue, Timestamp};

use crate::check::{App, InstanceOutcome};
use crate::discover::{Master, Worker};
use crate::points::Reading;
use crate::process::ProcessId;

/// What is remembered of an application from one collection to the next.
#[derive(Clone, Debug)]
struct Before {
    at: Timestamp,
    masters: HashMap<ProcessId, BTreeSet<ProcessId>>,
    cpu: HashMap<ProcessId, Duration>,
    /// Of each master that says so: workers now, and all that it started, killed, and its reloads.
    exact: HashMap<ProcessId, [u64; 4]>,
}

/// Makes the further metrics.
#[derive(Default)]
pub(crate) struct Extras {
    before: HashMap<(usize, String), Before>,
}

impl Extras {
    /// The further metrics of an application of an instance.
    pub(crate) fn of(&mut self, instance: usize, app: &App, now: Timestamp) -> Vec<Reading> {
        let masters = &app.masters;
        if masters.is_empty() {
            return Vec::new();
        }
        let workers: Vec<&Worker> = masters.iter().flat_map(|master| &master.workers).collect();
        let memory: u64 = workers.iter().map(|worker| worker.memory).sum();
        let mut readings = vec![Reading::gauge("gunicorn.worker.memory.rss", "By", memory as f64)];
        let mut gauge =
            |name, unit, value: Option<f64>| readings.extend(value.map(|value| Reading::gauge(name, unit, value)));
        let oldest =
            |ages: &mut dyn Iterator<Item = Option<Duration>>| ages.flatten().max().map(|age| age.as_secs_f64());
        gauge("gunicorn.worker.age", "s", oldest(&mut workers.iter().map(|worker| worker.age)));
        gauge("gunicorn.master.uptime", "s", oldest(&mut masters.iter().map(|master| master.age)));
        gauge("gunicorn.worker.open_files", "{file}", sum(workers.iter().map(|worker| worker.open_files)));
        let listeners = || masters.iter().filter_map(|master| master.facts.listeners);
        gauge("gunicorn.listener.queue", "{connection}", sum(listeners().map(|listeners| Some(listeners.queue))));
        gauge("gunicorn.listener.queue.limit", "{connection}", sum(listeners().map(|listeners| listeners.limit)));
        let exact = || masters.iter().filter_map(|master| master.exact.as_ref());
        gauge("gunicorn.workers.target", "{worker}", sum(exact().map(|exact| Some(exact.target))));
        let heartbeat = exact().filter_map(|exact| exact.heartbeat).reduce(f64::max);
        gauge("gunicorn.worker.heartbeat.age", "s", heartbeat);
        if let Some(before) = self.before.get(&(instance, app.name.clone())) {
            readings.extend(cpu(before, &workers, now));
            readings.extend(restarts(before, masters));
        }
        self.before.insert((instance, app.name.clone()), Before::of(masters, &workers, now));
        readings
    }

    /// Forgets the applications of an instance that it no longer has.
    pub(crate) fn keep(&mut self, outcome: &InstanceOutcome) {
        let runs = |name: &String| outcome.apps.iter().any(|app| app.name == *name && !app.masters.is_empty());
        self.before.retain(|(instance, name), _| *instance != outcome.instance || runs(name));
    }
}

impl Before {
    fn of(masters: &[Master], workers: &[&Worker], now: Timestamp) -> Self {
        let ids = |master: &Master| master.workers.iter().map(|worker| worker.id).collect();
        let exact = masters.iter().filter_map(|master| {
            let exact = master.exact.as_ref()?;
            Some((master.id, [exact.current, exact.spawned, exact.killed, exact.reloads]))
        });
        Before {
            at: now,
            masters: masters.iter().map(|master| (master.id, ids(master))).collect(),
            cpu: workers.iter().map(|worker| (worker.id, worker.cpu)).collect(),
            exact: exact.collect(),
        }
    }
}

/// The sum, where there is anything to add up.
fn sum(values: impl Iterator<Item = Option<u64>>) -> Option<f64> {
    values.flatten().reduce(|sum, value| sum + value).map(|sum| sum as f64)
}

/// How many processors the workers kept busy since the last collection. A new worker counts from its start.
fn cpu(before: &Before, workers: &[&Worker], now: Timestamp) -> Option<Reading> {
    let span = now.since(before.at).as_secs_f64();
    let used = |worker: &&Worker| worker.cpu.saturating_sub(before.cpu.get(&worker.id).copied().unwrap_or_default());
    let used: Duration = workers.iter().map(used).sum();
    (span > 0.0).then(|| Reading::gauge("gunicorn.worker.cpu", "{cpu}", used.as_secs_f64() / span))
}

/// Workers that took the place of others since the last collection, by reason, of masters that were there then. Each reason
/// comes each time, 0 too.
fn restarts(before: &Before, masters: &[Master]) -> impl Iterator<Item = Reading> {
    let mut counts = [("killed", 0), ("reload", 0), ("exited", 0), ("unknown", 0)];
    for master in masters {
        let Some(earlier) = before.masters.get(&master.id) else { continue };
        let (reason, restarts) = match (before.exact.get(&master.id), &master.exact) {
            (Some([current, spawned, killed, reloads]), Some(exact)) => {
                let restarts = replaced(*current, exact.current, exact.spawned.saturating_sub(*spawned));
                let reason = match () {
                    () if exact.reloads > *reloads => "reload",
                    () if exact.killed > *killed => "killed",
                    () => "exited",
                };
                (reason, restarts)
            }
            _ => {
                let new = master.workers.iter().filter(|worker| !earlier.contains(&worker.id)).count();
                ("unknown", replaced(earlier.len() as u64, master.workers.len() as u64, new as u64))
            }
        };
        counts.iter_mut().filter(|(known, _)| *known == reason).for_each(|(_, count)| *count += restarts);
    }
    let since = before.at;
    counts.into_iter().map(move |(reason, count)| Reading {
        tags: vec![format!("reason:{reason}")],
        value: MetricValue::Count { sum: count as f64, samples: 1 },
        since: Some(since),
        ..Reading::gauge("gunicorn.worker.restarts", "{restart}", 0.0)
    })
}

/// How many of the workers that were started replace others: all but those that there are more of now.
fn replaced(before: u64, now: u64, started: u64) -> u64 {
    started.saturating_sub(now.saturating_sub(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_that_come_in_addition_are_no_restarts() {
        for (before, now, started, expected) in
            [(3, 3, 0, 0), (3, 3, 3, 3), (3, 5, 2, 0), (3, 5, 4, 2), (3, 2, 0, 0), (3, 2, 1, 1), (0, 3, 3, 0)]
        {
            assert_eq!(replaced(before, now, started), expected, "{before} to {now} with {started}");
        }
    }
}
