//! Counters and status of one component.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hornpipe_model::{Signal, Timestamp};
use serde::{Deserialize, Serialize};

use crate::status::CheckReport;
use crate::{Clock, Reason, lock};

/// The kinds of component that a pipeline is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentKind {
    /// Brings data in.
    Receiver,
    /// Changes data on its way.
    Processor,
    /// Sends data out.
    Exporter,
    /// Serves the program, not a pipeline.
    Extension,
}

impl ComponentKind {
    /// The Collector's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            ComponentKind::Receiver => "receiver",
            ComponentKind::Processor => "processor",
            ComponentKind::Exporter => "exporter",
            ComponentKind::Extension => "extension",
        }
    }
}

impl fmt::Display for ComponentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which component it is. Processors exist once per pipeline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentIdentity {
    /// Receiver, processor or exporter.
    pub kind: ComponentKind,
    /// Its id in the configuration, `type` or `type/name`.
    pub id: String,
    /// The pipeline that a processor belongs to.
    pub pipeline: Option<String>,
}

impl fmt::Display for ComponentIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pipeline {
            Some(pipeline) => write!(f, "{} {} in {pipeline}", self.kind, self.id),
            None => write!(f, "{} {}", self.kind, self.id),
        }
    }
}

/// A number that only grows, or a level that is set. Written and read without a lock.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// Takes from it (for a level, such as items held); stops at zero.
    pub fn subtract(&self, amount: u64) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |value| Some(value.saturating_sub(amount)));
    }

    /// Sets it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A component's counters for one signal, in its input's units except `emitted`.
#[derive(Debug, Default)]
pub struct SignalCounters {
    /// Inputs that arrived.
    pub received: Counter,
    /// Inputs represented in what went out.
    pub passed: Counter,
    /// Items that went out (an exporter: items that the backend took).
    pub emitted: Counter,
    /// Inputs held now.
    pub held: Counter,
    /// Inputs that an earlier process received and left in a queue on disk.
    pub recovered: Counter,
    /// Inputs that became of others: one that was split into three is two more.
    pub split: Counter,
    dropped: Mutex<BTreeMap<Reason, u64>>,
}

impl SignalCounters {
    /// Counts inputs as dropped.
    pub fn dropped(&self, reason: Reason, items: u64) {
        if items > 0 {
            *lock(&self.dropped).entry(reason).or_default() += items;
        }
    }

    /// The inputs dropped so far, by reason.
    pub fn dropped_by_reason(&self) -> BTreeMap<Reason, u64> {
        lock(&self.dropped).clone()
    }

    /// The inputs dropped so far for one reason.
    pub fn dropped_for(&self, reason: Reason) -> u64 {
        lock(&self.dropped).get(reason).copied().unwrap_or_default()
    }

    /// True once anything was counted.
    pub fn any(&self) -> bool {
        [&self.received, &self.passed, &self.emitted, &self.held, &self.recovered]
            .iter()
            .any(|counter| counter.get() > 0)
            || self.dropped_total() > 0
    }

    /// All inputs dropped so far.
    pub fn dropped_total(&self) -> u64 {
        lock(&self.dropped).values().sum()
    }
}

/// How a component is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// All is well.
    #[default]
    Ok,
    /// It works, but somebody should look.
    Warning(String),
    /// It does not work.
    Error(String),
}

/// A number of a component's own, beside the counters that all have.
#[derive(Debug)]
pub struct Level {
    /// Metric name, by the Collector's rules without `_total`.
    pub name: &'static str,
    /// What it tells.
    pub description: &'static str,
    /// UCUM unit.
    pub unit: &'static str,
    /// True where it only grows.
    pub monotonic: bool,
    /// The value.
    pub value: Arc<Counter>,
}

/// What went wrong last, over or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// What happened, in words for the operator.
    pub text: String,
    /// When it was said last.
    pub time: Timestamp,
}

/// A receiver that has more to read than exporters have room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The exporters whose queues have no room, by id.
    pub exporters: Vec<String>,
    /// Since when.
    pub since: Timestamp,
    /// When it said so last, on the clock that never steps back.
    pub last: Duration,
    /// True where it does not wait now: one that waits again soon has waited all the time.
    pub is_over: bool,
}

/// Counters, own numbers and status of one component.
#[derive(Debug)]
pub struct ComponentTelemetry {
    identity: ComponentIdentity,
    metrics: SignalCounters,
    logs: SignalCounters,
    levels: Mutex<Vec<Arc<Level>>>,
    facts: Mutex<BTreeMap<&'static str, String>>,
    /// The facts that are warnings.
    warnings: Mutex<BTreeSet<&'static str>>,
    health: Mutex<Health>,
    check: Mutex<Option<CheckReport>>,
    waiting: Mutex<Option<Waiting>>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Health {
    status: Status,
    last_error: Option<LastError>,
}

impl ComponentTelemetry {
    pub(super) fn new(identity: ComponentIdentity, clock: Clock) -> Self {
        ComponentTelemetry {
            identity,
            metrics: SignalCounters::default(),
            logs: SignalCounters::default(),
            levels: Mutex::default(),
            facts: Mutex::default(),
            warnings: Mutex::default(),
            health: Mutex::default(),
            check: Mutex::default(),
            waiting: Mutex::default(),
            clock,
        }
    }

    /// Which component it is.
    pub fn identity(&self) -> &ComponentIdentity {
        &self.identity
    }

    /// The counters of one signal.
    pub fn signal(&self, signal: Signal) -> &SignalCounters {
        match signal {
            Signal::Metrics => &self.metrics,
            Signal::Logs => &self.logs,
        }
    }

    /// A counter of the component's own, made at the first call for its name.
    pub fn counter(&self, name: &'static str, unit: &'static str, description: &'static str) -> Arc<Counter> {
        self.level(name, unit, description, true)
    }

    /// A gauge of the component's own, made at the first call for its name.
    pub fn gauge(&self, name: &'static str, unit: &'static str, description: &'static str) -> Arc<Counter> {
        self.level(name, unit, description, false)
    }

    fn level(
        &self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        monotonic: bool,
    ) -> Arc<Counter> {
        let mut levels = lock(&self.levels);
        if let Some(known) = levels.iter().find(|level| level.name == name) {
            return Arc::clone(&known.value);
        }
        let value = Arc::new(Counter::default());
        levels.push(Arc::new(Level { name, description, unit, monotonic, value: Arc::clone(&value) }));
        value
    }

    /// The component's own numbers.
    pub fn levels(&self) -> Vec<Arc<Level>> {
        lock(&self.levels).clone()
    }

    /// How it is doing: what was [said](Self::set_status), or where that is well, a [warning](Self::set_warning).
    pub fn status(&self) -> Status {
        let status = self.health().status.clone();
        let warnings = lock(&self.warnings);
        match (status, warnings.first()) {
            (Status::Ok, Some(name)) => {
                let text = self.facts().get(name).cloned().unwrap_or_default();
                Status::Warning(format!("{name}: {text}"))
            }
            (status, _) => status,
        }
    }

    /// What went wrong last, over or not.
    pub fn last_error(&self) -> Option<LastError> {
        self.health().last_error.clone()
    }

    /// Says how it is doing; true when that is news.
    pub fn set_status(&self, status: Status) -> bool {
        let mut health = self.health();
        if let Status::Error(text) = &status {
            health.last_error = Some(LastError { text: text.clone(), time: self.clock.unix() });
        }
        let changed = health.status != status;
        health.status = status;
        changed
    }

    /// Says something about the component that `hornpipe status` shows under a name: where it listens, what it reads.
    /// A later text under the same name takes the place of the one before; an empty one removes it. No secrets.
    pub fn set_fact(&self, name: &'static str, text: impl Into<String>) {
        let text = text.into();
        let mut facts = lock(&self.facts);
        if text.is_empty() {
            facts.remove(name);
        } else {
            facts.insert(name, text);
        }
    }

    /// Says something that lasts and that somebody should look at, as a [fact](Self::set_fact) and in the status, beside what
    /// comes and goes there. An empty text ends it.
    pub fn set_warning(&self, name: &'static str, text: impl Into<String>) {
        let text = text.into();
        let mut warnings = lock(&self.warnings);
        if text.is_empty() {
            warnings.remove(name);
        } else {
            warnings.insert(name);
        }
        self.set_fact(name, text);
    }

    /// What the component says about itself, by name.
    pub fn facts(&self) -> BTreeMap<&'static str, String> {
        lock(&self.facts).clone()
    }

    /// Says how the check that the component runs went, in place of what was said before.
    pub fn set_check(&self, check: CheckReport) {
        *lock(&self.check) = Some(check);
    }

    /// How the check that the component runs went last; nothing where it runs none.
    pub fn check(&self) -> Option<CheckReport> {
        lock(&self.check).clone()
    }

    /// Says what a receiver waits for, or that it does not.
    pub fn set_waiting(&self, waiting: Option<Waiting>) {
        *lock(&self.waiting) = waiting;
    }

    /// What a receiver waits for, or has waited for until a moment ago.
    pub fn waiting(&self) -> Option<Waiting> {
        lock(&self.waiting).clone()
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        lock(&self.health)
    }
}
