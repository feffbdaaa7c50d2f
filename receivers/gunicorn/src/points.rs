//! An application's points, as the Agent's check sends them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use hornpipe_model::{Context, MetricPoint, MetricValue, Origin, ServiceCheck, Tags, Timestamp, Window, catalogue};
use regex::RegexSet;

use crate::check::App;
use crate::config::{GunicornConfig, Instance, MasterTag};
use crate::discover::Master;

/// The gauge of workers by state.
pub(crate) const WORKERS: &str = "gunicorn.workers";
/// The service check.
pub(crate) const IS_RUNNING: &str = "gunicorn.is_running";

/// How the points of an instance look.
#[derive(Debug)]
pub(crate) struct Labels {
    tags: Vec<String>,
    /// `Some("")` takes the host away.
    host: Option<&'static str>,
    include: RegexSet,
    exclude: RegexSet,
    masters: Vec<MasterTag>,
}

/// A point to be: what it is called and what it says.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub name: &'static str,
    /// UCUM code of its unit.
    pub unit: &'static str,
    /// Tags beside those of the application and the instance.
    pub tags: Vec<String>,
    pub value: MetricValue,
    /// When what it says began, where that is not when it was read.
    pub since: Option<Timestamp>,
}

impl Reading {
    /// A gauge.
    pub(crate) fn gauge(name: &'static str, unit: &'static str, value: f64) -> Self {
        Reading { name, unit, tags: Vec::new(), value: MetricValue::Gauge(value), since: None }
    }
}

impl Labels {
    /// Those of an instance, with what holds for all.
    ///
    /// # Errors
    /// A pattern cannot be read.
    pub(crate) fn new(instance: &Instance, config: &GunicornConfig) -> Result<Self, regex::Error> {
        let mut tags = instance.tags.clone();
        let service = instance.service.as_ref().or(config.init_config.service.as_ref());
        tags.extend(service.map(|service| format!("service:{service}")));
        Ok(Labels {
            tags,
            host: instance.empty_default_hostname.then_some(""),
            include: RegexSet::new(&instance.metric_patterns.include)?,
            exclude: RegexSet::new(&instance.metric_patterns.exclude)?,
            masters: config.master_tags.clone(),
        })
    }

    /// Whether a metric of this name is wanted.
    fn wants(&self, name: &str) -> bool {
        !self.exclude.is_match(name) && (self.include.is_empty() || self.include.is_match(name))
    }
}

/// Makes points. It keeps each series' context, so that those behind it know it again.
#[derive(Default)]
pub(crate) struct Points {
    contexts: HashSet<Arc<Context>>,
    used: HashSet<Arc<Context>>,
}

impl Points {
    /// Adds the points of an application to `points`: those of the Agent, and further ones.
    pub(crate) fn add(
        &mut self,
        app: &App,
        labels: &Labels,
        more: Vec<Reading>,
        now: Timestamp,
        points: &mut Vec<MetricPoint>,
    ) {
        let check = ServiceCheck { status: app.status, message: app.message.as_str().into() };
        let check =
            Reading { value: MetricValue::ServiceCheck(Box::new(check)), ..Reading::gauge(IS_RUNNING, "", 0.0) };
        let metrics = workers(app, labels).into_iter().chain(more).filter(|reading| labels.wants(reading.name));
        points.extend(metrics.chain([check]).map(|reading| self.point(reading, app, labels, now)));
    }

    /// Ends a collection: forgets the series that it did not have.
    pub(crate) fn finish(&mut self) {
        self.contexts = std::mem::take(&mut self.used);
    }

    fn point(&mut self, reading: Reading, app: &App, labels: &Labels, now: Timestamp) -> MetricPoint {
        let app = format!("app:{}", app.name);
        let own = labels.tags.iter().chain(&reading.tags).map(String::as_str);
        let tags: Tags = std::iter::once(app.as_str()).chain(own).collect();
        let made = Context::with_unit(reading.name, tags, labels.host, Cow::Borrowed(reading.unit));
        let context = self.contexts.get(&made).cloned().unwrap_or_else(|| Arc::new(made));
        self.used.insert(Arc::clone(&context));
        let window = Window { start: reading.since.unwrap_or(now), end: now, interval: None };
        MetricPoint { context, window, origin: Origin::Check, value: reading.value }
    }
}

/// The gauges of workers by state, of all masters together or of those with the same tags.
fn workers(app: &App, labels: &Labels) -> Vec<Reading> {
    let unit = catalogue::find(WORKERS).map_or("", |known| known.ucum);
    let mut counts: BTreeMap<Vec<String>, (u64, u64)> = BTreeMap::new();
    for master in &app.masters {
        let (working, idle) = counts.entry(master_tags(master, &labels.masters)).or_default();
        *working += master.working;
        *idle += master.idle;
    }
    let gauges = counts.into_iter().flat_map(|(tags, (working, idle))| {
        [("working", working), ("idle", idle)].map(|(state, workers)| {
            let mut tags = tags.clone();
            tags.push(format!("state:{state}"));
            Reading { tags, ..Reading::gauge(WORKERS, unit, workers as f64) }
        })
    });
    gauges.collect()
}

/// The tags that tell a master from others.
fn master_tags(master: &Master, wanted: &[MasterTag]) -> Vec<String> {
    let tag = |wanted: &MasterTag| match wanted {
        MasterTag::Pid => Some(format!("pid:{}", master.id.pid)),
        MasterTag::ContainerId => Some(format!("container_id:{}", master.facts.container.as_ref()?)),
    };
    wanted.iter().filter_map(tag).collect()
}
