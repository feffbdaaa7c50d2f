//! An application's points, as the Agent's check sends them.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use hornpipe_model::{
    CheckStatus, Context, MetricPoint, MetricValue, Origin, ServiceCheck, Tags, Timestamp, Window, catalogue,
};
use regex::RegexSet;

use crate::check::App;
use crate::config::{GunicornConfig, Instance};

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
    /// Adds the points of an application to `points`.
    pub(crate) fn add(&mut self, app: &App, labels: &Labels, now: Timestamp, points: &mut Vec<MetricPoint>) {
        if !app.masters.is_empty() && labels.wants(WORKERS) {
            for (state, workers) in [("state:working", app.working), ("state:idle", app.idle)] {
                points.push(self.point(WORKERS, app, labels, Some(state), now, MetricValue::Gauge(workers as f64)));
            }
        }
        let check = ServiceCheck { status: app.status, message: app.message.as_str().into() };
        points.push(self.point(IS_RUNNING, app, labels, None, now, MetricValue::ServiceCheck(Box::new(check))));
    }

    /// Ends a collection: forgets the series that it did not have.
    pub(crate) fn finish(&mut self) {
        self.contexts = std::mem::take(&mut self.used);
    }

    fn point(
        &mut self,
        name: &str,
        app: &App,
        labels: &Labels,
        more: Option<&str>,
        now: Timestamp,
        value: MetricValue,
    ) -> MetricPoint {
        let app = format!("app:{}", app.name);
        let tags: Tags =
            std::iter::once(app.as_str()).chain(labels.tags.iter().map(String::as_str)).chain(more).collect();
        let unit = catalogue::find(name).map_or("", |known| known.ucum);
        let made = Context::with_unit(name, tags, labels.host, Cow::Borrowed(unit));
        let context = self.contexts.get(&made).cloned().unwrap_or_else(|| Arc::new(made));
        self.used.insert(Arc::clone(&context));
        MetricPoint { context, window: Window { start: now, end: now, interval: None }, origin: Origin::Check, value }
    }
}

/// The worse of two statuses: critical before unknown before warning before OK.
pub(crate) fn worse(one: CheckStatus, other: CheckStatus) -> CheckStatus {
    let rank = |status: CheckStatus| match status {
        CheckStatus::Ok => 0,
        CheckStatus::Warning => 1,
        CheckStatus::Unknown => 2,
        CheckStatus::Critical => 3,
    };
    if rank(other) > rank(one) { other } else { one }
}
