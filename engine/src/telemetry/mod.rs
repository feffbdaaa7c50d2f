//! What hornpipe knows about itself: counters of every component, and where they go.
//!
//! Components count into plain atomics ([`ComponentTelemetry`]); the OpenTelemetry SDK reads them when somebody asks
//! (see `export`). The same counters make the final line of a run, on which tests check the conservation law:
//! in every component `received + recovered + split = passed + dropped + held`, and what one end of an edge emits the other receives.

mod component;
mod config;
mod export;
mod final_counters;
mod headers;
mod instruments;
mod otlp;
mod process;
mod prometheus;
mod topology;
mod validate;

#[cfg(test)]
mod tests;

pub use component::{
    ComponentIdentity, ComponentKind, ComponentTelemetry, Counter, LastError, Level, SignalCounters, Status, Waiting,
};
pub use config::{
    Compression, LogEncoding, LogLevel, LogsConfig, MetricsConfig, MetricsLevel, Milliseconds, OtlpConfig,
    OtlpProtocol, PeriodicConfig, PrometheusConfig, PullConfig, PullExporter, PushExporter, ReaderConfig,
    TelemetryConfig, TemporalityPreference,
};
pub use export::SelfTelemetry;
pub use final_counters::{ComponentCounters, FinalCounters};
pub use headers::Headers;
pub use topology::PipelineTopology;
pub(crate) use topology::signals_of;

use std::sync::{Arc, Mutex};

use hornpipe_model::Signal;

use crate::{Clock, lock};

/// All components' counters, and the pipelines that connect them.
#[derive(Clone, Debug)]
pub struct Telemetry {
    components: Arc<Mutex<Vec<Arc<ComponentTelemetry>>>>,
    pipelines: Arc<Mutex<Arc<[PipelineTopology]>>>,
    reloads: Arc<Counter>,
    clock: Clock,
}

impl Default for Telemetry {
    fn default() -> Self {
        Telemetry::new(Clock::system())
    }
}

impl Telemetry {
    /// No component yet. The clock says when something went wrong.
    pub fn new(clock: Clock) -> Self {
        Telemetry { components: Arc::default(), pipelines: Arc::default(), reloads: Arc::default(), clock }
    }

    /// The counters of a component: new ones, or those that an earlier graph left for the same identity.
    pub fn component(&self, identity: ComponentIdentity) -> Arc<ComponentTelemetry> {
        let mut components = lock(&self.components);
        if let Some(known) = components.iter().find(|component| component.identity() == &identity) {
            return Arc::clone(known);
        }
        let component = Arc::new(ComponentTelemetry::new(identity, self.clock.clone()));
        components.push(Arc::clone(&component));
        component
    }

    /// Every component, in the order in which they were built.
    pub fn components(&self) -> Vec<Arc<ComponentTelemetry>> {
        lock(&self.components).clone()
    }

    /// Notes that the graph was changed while it ran.
    pub fn count_reload(&self) {
        self.reloads.add(1);
    }

    /// How often the graph was changed while it ran.
    pub fn reloads(&self) -> u64 {
        self.reloads.get()
    }

    /// Says which pipelines run now. A component then shows its counters from the start, at zero, for the signals of
    /// its pipelines.
    pub fn set_pipelines(&self, pipelines: Vec<PipelineTopology>) {
        *lock(&self.pipelines) = pipelines.into();
    }

    /// The pipelines that run now.
    pub fn pipelines(&self) -> Arc<[PipelineTopology]> {
        Arc::clone(&lock(&self.pipelines))
    }

    /// Every component with each signal that it serves or has seen.
    fn served(&self) -> Vec<(Arc<ComponentTelemetry>, Signal)> {
        let pipelines = self.pipelines();
        let mut served = Vec::new();
        for component in self.components() {
            served.extend(signals_of(&component, &pipelines).map(|signal| (Arc::clone(&component), signal)));
        }
        served
    }
}
