//! All steps, in order, and what they make of a series or a log source.

use std::borrow::Cow;

use hornpipe_model::{Context, LogSource, Tags, catalogue};
use regex::Regex;

use crate::labels::Labels;
use crate::operation::Operation;

/// The tag that names the host: the model keeps it apart from the others (`Context::host`).
const HOST: &str = "host";
/// The tag that names the service of a log: the model keeps it apart too (`LogSource::service`).
const SERVICE: &str = "service";

/// An operation and the metrics that it is for.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) operation: Operation,
    /// Patterns of metric names; empty for all metrics and logs.
    pub(crate) metrics: Vec<Regex>,
}

/// The settings, ready for use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// Patterns of metric names; empty for all metrics and logs.
    pub(crate) metrics: Vec<Regex>,
    pub(crate) steps: Vec<Step>,
}

impl Rules {
    /// True where nothing can ever change.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// What becomes of a context; `None` where it stays as it is.
    pub(crate) fn context(&self, context: &Context) -> Option<Context> {
        let before = Labels::new(Some(context.name()), context.tags(), (HOST, context.host()));
        let mut labels = self.apply(before)?;
        let host = labels.take_field(HOST);
        let tags: Tags = labels.tags.iter().collect();
        let name = labels.name.as_deref().unwrap_or_else(|| context.name());
        let unit = match labels.unit {
            Some(unit) => Cow::Owned(unit),
            None => unit_of(name, context),
        };
        let changed = Context::with_unit(name, tags, host.as_deref(), unit);
        (changed != *context).then_some(changed)
    }

    /// What becomes of a log source; `None` where it stays as it is.
    pub(crate) fn source(&self, source: &LogSource) -> Option<LogSource> {
        let service = Some(source.service.as_str()).filter(|service| !service.is_empty());
        let mut labels = self.apply(Labels::new(None, &source.tags, (SERVICE, service)))?;
        let service = labels.take_field(SERVICE).unwrap_or_default();
        let changed = LogSource { service, tags: labels.tags.iter().collect(), ..source.clone() };
        (changed != *source).then_some(changed)
    }

    /// Runs the steps; `None` where they left everything as it was.
    fn apply(&self, before: Labels) -> Option<Labels> {
        if !is_for(&self.metrics, before.name.as_deref()) {
            return None;
        }
        let mut labels = before.clone();
        for step in &self.steps {
            if is_for(&step.metrics, labels.name.as_deref()) {
                step.operation.apply(&mut labels);
            }
        }
        (labels != before).then_some(labels)
    }
}

/// Whether patterns mean a metric of this name, or logs (without a name). No patterns mean everything.
fn is_for(patterns: &[Regex], name: Option<&str>) -> bool {
    patterns.is_empty() || name.is_some_and(|name| patterns.iter().any(|pattern| pattern.is_match(name)))
}

/// The unit under a new name: the well-known one, else that of before.
fn unit_of(name: &str, before: &Context) -> Cow<'static, str> {
    match catalogue::find(name).filter(|_| name != before.name()) {
        Some(known) => Cow::Borrowed(known.ucum),
        None if before.unit().is_empty() => Cow::Borrowed(""),
        None => Cow::Owned(before.unit().to_owned()),
    }
}
