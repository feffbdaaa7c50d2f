//! Components as a report shows them.

use std::collections::BTreeMap;

use hornpipe_model::Timestamp;

use super::report::{CheckReport, ComponentStatus, ErrorStatus, Health, QueueStatus, SignalStatus, WaitingStatus};
use crate::delivery::{QUEUE_CAPACITY, QUEUE_OLDEST, QUEUE_SIZE};
use crate::telemetry::{
    ComponentIdentity, ComponentKind, ComponentTelemetry, PipelineTopology, SignalCounters, Status, Telemetry,
    signals_of,
};

/// The components that run now, in the order of the configuration.
pub(super) struct Sections {
    pub(super) checks: Vec<CheckReport>,
    pub(super) receivers: Vec<ComponentStatus>,
    pub(super) processors: Vec<ComponentStatus>,
    pub(super) exporters: Vec<ComponentStatus>,
    pub(super) extensions: Vec<ComponentStatus>,
}

impl Sections {
    /// The state of all members of running pipelines, and of these extensions. (Telemetry also remembers what an earlier
    /// graph had.)
    pub(super) fn of(telemetry: &Telemetry, extensions: &[String], now: Timestamp) -> Self {
        let reader = Reader { pipelines: &telemetry.pipelines(), components: telemetry.components(), now };
        let once = |members: fn(&PipelineTopology) -> &Vec<String>| {
            let mut ids: Vec<&str> = Vec::new();
            for id in reader.pipelines.iter().flat_map(members) {
                if !ids.contains(&id.as_str()) {
                    ids.push(id);
                }
            }
            ids
        };
        let section = |kind: ComponentKind, ids: Vec<&str>| {
            ids.into_iter().filter_map(|id| reader.component(kind, id, None)).collect::<Vec<_>>()
        };
        let processors = reader.pipelines.iter().flat_map(|pipeline| {
            let of_pipeline = |id: &String| reader.component(ComponentKind::Processor, id, Some(&pipeline.id));
            pipeline.processors.iter().filter_map(of_pipeline)
        });
        let receivers = once(|pipeline| &pipeline.receivers);
        let checks = receivers.iter().filter_map(|id| reader.telemetry(ComponentKind::Receiver, id, None)?.check());
        Sections {
            checks: checks.collect(),
            receivers: section(ComponentKind::Receiver, receivers),
            processors: processors.collect(),
            exporters: section(ComponentKind::Exporter, once(|pipeline| &pipeline.exporters)),
            extensions: section(ComponentKind::Extension, extensions.iter().map(String::as_str).collect()),
        }
    }
}

struct Reader<'a> {
    pipelines: &'a [PipelineTopology],
    components: Vec<std::sync::Arc<ComponentTelemetry>>,
    now: Timestamp,
}

impl Reader<'_> {
    fn telemetry(&self, kind: ComponentKind, id: &str, pipeline: Option<&str>) -> Option<&ComponentTelemetry> {
        let is_it = |identity: &ComponentIdentity| {
            identity.kind == kind && identity.id == id && identity.pipeline.as_deref() == pipeline
        };
        self.components.iter().find(|component| is_it(component.identity())).map(AsRef::as_ref)
    }

    fn component(&self, kind: ComponentKind, id: &str, pipeline: Option<&str>) -> Option<ComponentStatus> {
        let telemetry = self.telemetry(kind, id, pipeline)?;
        let (status, message) = match telemetry.status() {
            Status::Ok => (Health::Ok, None),
            Status::Warning(text) => (Health::Warning, Some(text)),
            Status::Error(text) => (Health::Error, Some(text)),
        };
        let mut numbers: BTreeMap<String, u64> =
            telemetry.levels().iter().map(|level| (level.name.to_owned(), level.value.get())).collect();
        Some(ComponentStatus {
            id: id.to_owned(),
            pipeline: pipeline.map(str::to_owned),
            status,
            message,
            last_error: telemetry
                .last_error()
                .map(|error| ErrorStatus { text: error.text, age_seconds: self.now.since(error.time).as_secs() }),
            facts: telemetry.facts().into_iter().map(|(name, text)| (name.to_owned(), text)).collect(),
            waiting: telemetry.waiting().filter(|waiting| !waiting.is_over).map(|waiting| WaitingStatus {
                exporters: waiting.exporters,
                age_seconds: self.now.since(waiting.since).as_secs(),
            }),
            signals: signals_of(telemetry, self.pipelines)
                .map(|signal| (signal.as_str().to_owned(), counters(telemetry.signal(signal))))
                .collect(),
            queue: self.take_queue(&mut numbers),
            numbers,
        })
    }

    /// The queue, whose numbers are then no longer among the others.
    fn take_queue(&self, numbers: &mut BTreeMap<String, u64>) -> Option<QueueStatus> {
        let capacity_bytes = numbers.remove(QUEUE_CAPACITY)?;
        let oldest = numbers.remove(QUEUE_OLDEST).filter(|queued| *queued > 0);
        Some(QueueStatus {
            bytes: numbers.remove(QUEUE_SIZE).unwrap_or_default(),
            capacity_bytes,
            oldest_age_seconds: oldest.map(|queued| self.now.since(Timestamp::from_secs(queued)).as_secs()),
        })
    }
}

fn counters(counters: &SignalCounters) -> SignalStatus {
    SignalStatus {
        received: counters.received.get(),
        recovered: counters.recovered.get(),
        split: counters.split.get(),
        passed: counters.passed.get(),
        emitted: counters.emitted.get(),
        dropped: counters.dropped_by_reason().into_iter().map(|(reason, n)| (reason.to_owned(), n)).collect(),
        held: counters.held.get(),
    }
}
