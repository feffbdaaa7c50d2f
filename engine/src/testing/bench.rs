//! What a component under test is built with.

use std::sync::Arc;

use hornpipe_model::{Resource, Signal};

use super::FakeClock;
use crate::Sockets;
use crate::component::BuildContext;
use crate::state_dir::StateDirectory;
use crate::telemetry::{ComponentIdentity, ComponentKind, ComponentTelemetry, FinalCounters, Telemetry};

/// A build context with counters and sockets of its own, at the time of `clock`.
pub fn build_context(kind: ComponentKind, id: &str, clock: &FakeClock) -> BuildContext {
    let identity = ComponentIdentity { kind, id: id.to_owned(), pipeline: None };
    BuildContext {
        id: id.to_owned(),
        clock: clock.clock(),
        telemetry: Telemetry::new(clock.clock()).component(identity),
        sockets: Sockets::default(),
        resource: resource(),
        state_directory: Arc::new(StateDirectory {
            problem: Some("this test keeps no state".to_owned()),
            ..StateDirectory::default()
        }),
    }
}

/// A process on the host `test-host`.
pub fn resource() -> Arc<Resource> {
    let mut resource = Resource::default();
    resource.set(Resource::HOST_NAME, "test-host");
    resource.set(Resource::SERVICE_INSTANCE_ID, "00000000-0000-4000-8000-000000000000");
    Arc::new(resource)
}

/// Fails unless the component accounts for all its inputs: received + recovered + split = passed + dropped + held.
///
/// # Panics
/// With the counters.
pub fn assert_accounted(telemetry: &ComponentTelemetry, signal: Signal) {
    let counters = telemetry.signal(signal);
    let accounted = counters.passed.get() + counters.dropped_total() + counters.held.get();
    assert_eq!(
        counters.received.get() + counters.recovered.get() + counters.split.get(),
        accounted,
        "{} does not account for its inputs: {counters:?}",
        telemetry.identity()
    );
}

/// The final counters in the log of a run.
///
/// # Panics
/// Where there are none, or more than one line of them.
pub fn final_counters(log: &str) -> FinalCounters {
    let lines: Vec<&str> =
        log.lines().filter_map(|line| line.find(r#"{"final_counters""#).map(|start| &line[start..])).collect();
    assert_eq!(lines.len(), 1, "a run logs its counters once, at its end:\n{log}");
    FinalCounters::from_line(lines[0]).unwrap_or_else(|error| panic!("{error} in {}", lines[0]))
}

/// Fails where a run's counters break the conservation law.
///
/// # Panics
/// With the violations.
pub fn assert_conserved(counters: &FinalCounters) {
    let violations = counters.conservation_violations();
    assert!(violations.is_empty(), "{violations:#?}");
    assert!(!counters.components.is_empty(), "no component counted anything");
}
