//! The last line of a run: every component's counters and how the pipelines connect them, and the conservation law on
//! top of it. Whoever reads the line can tell whether anything was lost without being counted.

use std::collections::BTreeMap;

use hornpipe_model::Signal;
use serde::{Deserialize, Serialize};

use super::topology::signal_name;
use super::{ComponentKind, PipelineTopology, Telemetry};

/// The counters of one component for one signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentCounters {
    /// Receiver, processor or exporter.
    pub kind: ComponentKind,
    /// Its id in the configuration.
    pub id: String,
    /// The pipeline that a processor belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// Which signal the numbers are about.
    #[serde(with = "signal_name")]
    pub signal: Signal,
    /// Inputs that arrived.
    pub received: u64,
    /// Inputs that an earlier process left in a queue on disk.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recovered: u64,
    /// Inputs that became of others: one that was split into three is two more.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub split: u64,
    /// Inputs represented in what went out.
    pub passed: u64,
    /// Items that went out.
    pub emitted: u64,
    /// Inputs still held.
    pub held: u64,
    /// Inputs dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
}

/// All counters of a run, with the pipelines that connect the components.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalCounters {
    /// By kind, id, pipeline and signal; only signals that the component serves or has seen.
    pub components: Vec<ComponentCounters>,
    /// The pipelines, in the configuration's order.
    pub pipelines: Vec<PipelineTopology>,
    /// How often the graph was changed while it ran. After that the edges of the last graph no longer add up.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reloads: u64,
}

#[derive(Serialize, Deserialize)]
struct Line<T> {
    final_counters: T,
}

/// What did not happen is not mentioned.
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl FinalCounters {
    /// The counters as they are now.
    pub fn of(telemetry: &Telemetry) -> Self {
        let mut served = telemetry.served();
        served.sort_by(|(a, a_signal), (b, b_signal)| (a.identity(), a_signal).cmp(&(b.identity(), b_signal)));
        let components = served.into_iter().map(|(component, signal)| {
            let (identity, counters) = (component.identity(), component.signal(signal));
            ComponentCounters {
                kind: identity.kind,
                id: identity.id.clone(),
                pipeline: identity.pipeline.clone(),
                signal,
                received: counters.received.get(),
                recovered: counters.recovered.get(),
                split: counters.split.get(),
                passed: counters.passed.get(),
                emitted: counters.emitted.get(),
                held: counters.held.get(),
                dropped: counters.dropped_by_reason().into_iter().map(|(why, n)| (why.to_owned(), n)).collect(),
            }
        });
        let (components, pipelines) = (components.collect(), telemetry.pipelines().to_vec());
        FinalCounters { components, pipelines, reloads: telemetry.reloads() }
    }

    /// One line of JSON, `{"final_counters":{…}}`.
    pub fn to_line(&self) -> String {
        // Numbers and maps with text keys can always be written.
        serde_json::to_string(&Line { final_counters: self }).unwrap_or_default()
    }

    /// Reads what [`to_line`](Self::to_line) wrote.
    ///
    /// # Errors
    /// What is not such a line.
    pub fn from_line(line: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line).map(|line: Line<FinalCounters>| line.final_counters)
    }

    /// Where the counters break the conservation law; empty when all is accounted for.
    ///
    /// In every component `received + recovered + split = passed + dropped + held`. On every edge the downstream received what the
    /// upstream emitted: a pipeline's first member what its receivers emitted, each processor what the one before it
    /// emitted, and an exporter what all pipelines that name it emitted at their end.
    pub fn conservation_violations(&self) -> Vec<String> {
        let mut violations: Vec<String> = self.components.iter().filter_map(ComponentCounters::violation).collect();
        if self.reloads > 0 {
            return violations;
        }
        let mut into_exporters: BTreeMap<(&str, Signal), u64> = BTreeMap::new();
        for pipeline in &self.pipelines {
            let emitted = self.walk(pipeline, &mut violations);
            for exporter in &pipeline.exporters {
                *into_exporters.entry((exporter, pipeline.signal)).or_default() += emitted;
            }
        }
        for ((exporter, signal), emitted) in into_exporters {
            let received = self.find(ComponentKind::Exporter, exporter, None, signal).map_or(0, |found| found.received);
            if received != emitted {
                let items = signal.items();
                violations.push(format!(
                    "exporter {exporter} received {received} {items}, but its pipelines emitted {emitted}"
                ));
            }
        }
        violations
    }

    /// Checks the edges from a pipeline's receivers to its last processor; returns what left that one.
    fn walk(&self, pipeline: &PipelineTopology, violations: &mut Vec<String>) -> u64 {
        let signal = pipeline.signal;
        let receivers = pipeline.receivers.iter();
        let mut emitted: u64 = receivers
            .filter_map(|id| self.find(ComponentKind::Receiver, id, None, signal))
            .map(|receiver| receiver.emitted)
            .sum();
        let mut upstream = "the receivers";
        for id in &pipeline.processors {
            let processor = self.find(ComponentKind::Processor, id, Some(&pipeline.id), signal);
            let received = processor.map_or(0, |found| found.received);
            if received != emitted {
                let (items, pipeline) = (signal.items(), &pipeline.id);
                violations.push(format!(
                    "processor {id} in {pipeline} received {received} {items}, but {upstream} emitted {emitted}"
                ));
            }
            emitted = processor.map_or(0, |found| found.emitted);
            upstream = id;
        }
        emitted
    }

    fn find(
        &self,
        kind: ComponentKind,
        id: &str,
        pipeline: Option<&str>,
        signal: Signal,
    ) -> Option<&ComponentCounters> {
        self.components.iter().find(|component| {
            component.kind == kind
                && component.id == id
                && component.pipeline.as_deref() == pipeline
                && component.signal == signal
        })
    }
}

impl ComponentCounters {
    fn violation(&self) -> Option<String> {
        let dropped: u64 = self.dropped.values().sum();
        let ComponentCounters { kind, id, signal, received, recovered, split, passed, held, .. } = self;
        let pipeline = self.pipeline.as_ref().map(|pipeline| format!(" in {pipeline}")).unwrap_or_default();
        let accounted = passed + dropped + held;
        let and_recovered = if *recovered > 0 { format!(" and recovered {recovered}") } else { String::new() };
        let and_split = if *split > 0 { format!(", {split} more by splitting") } else { String::new() };
        (received + recovered + split != accounted).then(|| {
            format!(
                "{kind} {id}{pipeline} received {received}{and_recovered} {items}{and_split}, but accounts for {accounted}: \
                 passed {passed} + dropped {dropped} + held {held}",
                items = signal.items()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::reason;
    use crate::telemetry::ComponentIdentity;

    fn pipeline(id: &str, processors: &[&str], exporters: &[&str]) -> PipelineTopology {
        let owned = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect();
        PipelineTopology {
            id: id.to_owned(),
            signal: Signal::Metrics,
            receivers: vec!["statsd".to_owned()],
            processors: owned(processors),
            exporters: owned(exporters),
        }
    }

    fn count(telemetry: &Telemetry, kind: ComponentKind, id: &str, pipeline: Option<&str>, numbers: [u64; 4]) {
        let identity = ComponentIdentity { kind, id: id.to_owned(), pipeline: pipeline.map(str::to_owned) };
        let component = telemetry.component(identity);
        let counters = component.signal(Signal::Metrics);
        let [received, passed, emitted, held] = numbers;
        counters.received.add(received);
        counters.passed.add(passed);
        counters.emitted.add(emitted);
        counters.held.add(held);
    }

    /// Nine points in, aggregated to five, seen by two pipelines that share the exporter `otlp`.
    fn run() -> Telemetry {
        let telemetry = Telemetry::default();
        telemetry.set_pipelines(vec![
            pipeline("metrics", &["split", "filter"], &["otlp", "debug"]),
            pipeline("metrics/raw", &[], &["otlp"]),
        ]);
        count(&telemetry, ComponentKind::Exporter, "otlp", None, [13, 11, 11, 2]);
        count(&telemetry, ComponentKind::Exporter, "debug", None, [8, 8, 8, 0]);
        count(&telemetry, ComponentKind::Processor, "filter", Some("metrics"), [10, 8, 8, 0]);
        count(&telemetry, ComponentKind::Processor, "split", Some("metrics"), [5, 5, 10, 0]);
        count(&telemetry, ComponentKind::Receiver, "statsd", None, [9, 8, 5, 0]);
        let drop = |kind, id: &str, pipeline: Option<&str>, items| {
            let pipeline = pipeline.map(str::to_owned);
            let identity = ComponentIdentity { kind, id: id.to_owned(), pipeline };
            telemetry.component(identity).signal(Signal::Metrics).dropped(reason::NOT_FINITE, items);
        };
        drop(ComponentKind::Receiver, "statsd", None, 1);
        drop(ComponentKind::Processor, "filter", Some("metrics"), 2);
        telemetry
    }

    #[test]
    fn a_run_that_accounts_for_everything_has_no_violation() {
        assert_eq!(FinalCounters::of(&run()).conservation_violations(), Vec::<String>::new());
    }

    #[test]
    fn a_component_that_loses_an_item_without_counting_it_is_named() {
        let telemetry = run();
        count(&telemetry, ComponentKind::Receiver, "statsd", None, [1, 0, 0, 0]);
        let expected = "receiver statsd received 10 metric_points, but accounts for 9: passed 8 + dropped 1 + held 0";
        assert_eq!(FinalCounters::of(&telemetry).conservation_violations(), [expected]);
    }

    #[test]
    fn an_edge_that_loses_an_item_is_named() {
        let cases = [
            (
                "split",
                "processor split in metrics received 6 metric_points, but the receivers emitted 5",
                ComponentKind::Processor,
            ),
            (
                "filter",
                "processor filter in metrics received 11 metric_points, but split emitted 10",
                ComponentKind::Processor,
            ),
            ("otlp", "exporter otlp received 14 metric_points, but its pipelines emitted 13", ComponentKind::Exporter),
        ];
        for (id, expected, kind) in cases {
            let telemetry = run();
            let pipeline = (kind == ComponentKind::Processor).then_some("metrics");
            count(&telemetry, kind, id, pipeline, [1, 1, 0, 0]);
            assert_eq!(FinalCounters::of(&telemetry).conservation_violations(), [expected]);
        }
    }

    #[test]
    fn a_member_that_never_counted_is_a_violation_once_data_reached_it() {
        let telemetry = Telemetry::default();
        telemetry.set_pipelines(vec![pipeline("metrics", &[], &["otlp"])]);
        count(&telemetry, ComponentKind::Receiver, "statsd", None, [3, 3, 3, 0]);
        let expected = "exporter otlp received 0 metric_points, but its pipelines emitted 3";
        assert_eq!(FinalCounters::of(&telemetry).conservation_violations(), [expected]);
    }

    #[test]
    fn the_line_holds_what_is_served_or_was_seen_in_a_stable_order_and_can_be_read_back() {
        let telemetry = Telemetry::default();
        telemetry.set_pipelines(vec![pipeline("metrics", &["filter"], &["otlp"])]);
        count(&telemetry, ComponentKind::Exporter, "otlp", None, [0, 0, 0, 0]);
        count(&telemetry, ComponentKind::Exporter, "unused", None, [0, 0, 0, 0]);
        count(&telemetry, ComponentKind::Processor, "filter", Some("metrics"), [2, 1, 1, 0]);
        count(&telemetry, ComponentKind::Receiver, "statsd", None, [2, 2, 2, 0]);
        let filter = ComponentIdentity {
            kind: ComponentKind::Processor,
            id: "filter".to_owned(),
            pipeline: Some("metrics".to_owned()),
        };
        telemetry.component(filter).signal(Signal::Metrics).dropped("filtered", 1);

        let counters = FinalCounters::of(&telemetry);
        let line = counters.to_line();
        let expected = concat!(
            r#"{"final_counters":{"components":["#,
            r#"{"kind":"receiver","id":"statsd","signal":"metrics","#,
            r#""received":2,"passed":2,"emitted":2,"held":0,"dropped":{}},"#,
            r#"{"kind":"processor","id":"filter","pipeline":"metrics","signal":"metrics","#,
            r#""received":2,"passed":1,"emitted":1,"held":0,"dropped":{"filtered":1}},"#,
            r#"{"kind":"exporter","id":"otlp","signal":"metrics","#,
            r#""received":0,"passed":0,"emitted":0,"held":0,"dropped":{}}],"#,
            r#""pipelines":[{"id":"metrics","signal":"metrics","#,
            r#""receivers":["statsd"],"processors":["filter"],"exporters":["otlp"]}]}}"#,
        );
        assert_eq!(line, expected);
        assert_eq!(FinalCounters::from_line(&line).unwrap(), counters);
    }
}
