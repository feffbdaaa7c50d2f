//! Which components a pipeline is made of.

use std::fmt;

use hornpipe_model::Signal;
use serde::{Deserialize, Serialize};

use super::{ComponentIdentity, ComponentKind, ComponentTelemetry};

/// A pipeline as configured: its signal and the ids of its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineTopology {
    /// Its id, `metrics` or `metrics/name`.
    pub id: String,
    /// What it carries.
    #[serde(with = "signal_name")]
    pub signal: Signal,
    /// Ids of the receivers that feed it.
    pub receivers: Vec<String>,
    /// Ids of its processors, in their order.
    pub processors: Vec<String>,
    /// Ids of the exporters that it feeds.
    pub exporters: Vec<String>,
}

impl PipelineTopology {
    /// True where the component is a member of this pipeline.
    pub fn contains(&self, component: &ComponentIdentity) -> bool {
        let members = match component.kind {
            ComponentKind::Receiver => &self.receivers,
            ComponentKind::Processor => &self.processors,
            ComponentKind::Exporter => &self.exporters,
            ComponentKind::Extension => return false,
        };
        component.pipeline.as_ref().is_none_or(|pipeline| *pipeline == self.id) && members.contains(&component.id)
    }
}

impl fmt::Display for PipelineTopology {
    /// The way of the data: `statsd, gunicorn -> tagging -> datadog, otlp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.receivers.join(", "))?;
        self.processors.iter().try_for_each(|processor| write!(f, " -> {processor}"))?;
        write!(f, " -> {}", self.exporters.join(", "))
    }
}

/// The signals that a component serves in these pipelines or has seen.
pub(crate) fn signals_of(
    component: &ComponentTelemetry,
    pipelines: &[PipelineTopology],
) -> impl Iterator<Item = Signal> {
    Signal::ALL.into_iter().filter(move |signal| {
        component.signal(*signal).any()
            || pipelines.iter().any(|pipeline| pipeline.signal == *signal && pipeline.contains(component.identity()))
    })
}

/// A signal as its name in JSON.
pub(super) mod signal_name {
    use std::borrow::Cow;

    use hornpipe_model::Signal;
    use serde::de::{Deserializer, Error};
    use serde::{Deserialize, Serializer};

    pub(in crate::telemetry) fn serialize<S: Serializer>(signal: &Signal, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(signal.as_str())
    }

    pub(in crate::telemetry) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Signal, D::Error> {
        let name = Cow::<str>::deserialize(deserializer)?;
        let known = Signal::ALL.into_iter().find(|signal| signal.as_str() == name);
        known.ok_or_else(|| D::Error::custom(format_args!("unknown signal `{name}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_belongs_to_its_own_pipeline_only() {
        let pipeline = PipelineTopology {
            id: "metrics/a".to_owned(),
            signal: Signal::Metrics,
            receivers: vec!["statsd".to_owned()],
            processors: vec!["filter".to_owned()],
            exporters: vec!["otlp".to_owned()],
        };
        let identity = |kind, id: &str, pipeline: Option<&str>| ComponentIdentity {
            kind,
            id: id.to_owned(),
            pipeline: pipeline.map(str::to_owned),
        };
        for (component, expected) in [
            (identity(ComponentKind::Receiver, "statsd", None), true),
            (identity(ComponentKind::Exporter, "statsd", None), false),
            (identity(ComponentKind::Exporter, "otlp", None), true),
            (identity(ComponentKind::Processor, "filter", Some("metrics/a")), true),
            (identity(ComponentKind::Processor, "filter", Some("metrics/b")), false),
            (identity(ComponentKind::Extension, "statsd", None), false),
        ] {
            assert_eq!(pipeline.contains(&component), expected, "{component}");
        }
    }
}
