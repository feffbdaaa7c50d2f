//! The fault matrix: whatever one backend does, its siblings get byte-identical requests at the same times, and its own
//! data is kept, split or dropped as promised, counted once with its reason.
//!
//! In one process, on a clock of the test's own; the graph, the queues and the exporters are the real ones. Metrics and
//! logs go to Datadog, to OTLP over gRPC and to OTLP over HTTP at once. One of them fails from the start through the first
//! windows and then recovers; `faults` is the table of what it does and of what becomes of its data.

mod faults;
mod scene;
mod ticker;

use std::time::Duration;

use hornpipe_engine::telemetry::FinalCounters;
use hornpipe_engine::testing::assert_conserved;
use hornpipe_engine::{Reason, reason};
use hornpipe_model::{Signal, Timestamp};
use http::HeaderMap;

use faults::{Fate, Fault};
use scene::{Destination, Scene};
use ticker::{POINTS, RECORDS, REQUESTS};

const WINDOW: Duration = Duration::from_secs(10);
/// Windows in a run.
const WINDOWS: u64 = 5;
/// How many of them the fault lasts.
const FAULTY: u64 = 3;
const SIGNALS: [(Signal, u64); 2] = [(Signal::Metrics, POINTS), (Signal::Logs, RECORDS)];

/// What a backend got: when, where to, with which headers, and what.
type Received = Vec<(Timestamp, String, String, Vec<u8>)>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_of_datadog_reaches_its_siblings_and_its_data_ends_as_promised() {
    try_all_faults_of(Destination::Datadog).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_of_otlp_over_grpc_reaches_its_siblings_and_its_data_ends_as_promised() {
    try_all_faults_of(Destination::OtlpGrpc).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_of_otlp_over_http_reaches_its_siblings_and_its_data_ends_as_promised() {
    try_all_faults_of(Destination::OtlpHttp).await;
}

async fn try_all_faults_of(failing: Destination) {
    let siblings = Destination::ALL.into_iter().filter(|other| *other != failing);
    let undisturbed = run(failing, None).await;
    for (destination, received) in siblings.clone().zip(&undisturbed) {
        let mut seconds: Vec<u64> = received.iter().map(|request| scene::seconds_since_start(request.0)).collect();
        seconds.dedup();
        assert_eq!(seconds, [10, 20, 30, 40, 50], "{destination:?}");
    }
    for fault in faults::all() {
        let disturbed = run(failing, Some(&fault)).await;
        for ((destination, before), after) in siblings.clone().zip(&undisturbed).zip(&disturbed) {
            assert!(
                before == after,
                "{} at {failing:?} changed what {destination:?} got:\n{after:?}\n{before:?}",
                fault.name
            );
        }
    }
}

/// Runs all windows, the first of them with a fault at one backend, then goes on until everything there has its fate; what
/// the other backends got.
async fn run(failing: Destination, fault: Option<&Fault>) -> Vec<Received> {
    let fate = fault.map_or(Fate::Taken, |fault| fault.fate_at(failing));
    let mut scene = Scene::start(failing, fault).await;
    for window in 1..=WINDOWS {
        scene.time.advance(WINDOW).await;
        for sibling in scene.siblings() {
            scene.wait_until_settled(sibling, window).await;
        }
        if window == FAULTY {
            if fate.is_immediate() {
                scene.wait_until_settled(failing, window).await;
            }
            scene.recover();
        }
    }
    if fate != Fate::Held {
        scene.advance_until_settled(failing).await;
    }
    let received = scene.siblings().map(|sibling| scene.received(sibling)).collect();
    check_fate(&scene, failing, fate, fault.map_or("no fault", |fault| fault.name));
    scene.shut_down().await;
    received
}

/// Checks, after the fault, what became of the failing backend's data: by the exporter's counters, and by the backend's eyes.
fn check_fate(scene: &Scene, failing: Destination, fate: Fate, fault: &str) {
    for (signal, items) in SIGNALS {
        let counters = scene.counters(failing);
        let counters = counters.signal(signal);
        let all = WINDOWS * items;
        let dropped: Option<(Reason, u64)> = match fate {
            Fate::Dropped(reason) | Fate::TakenButRefused(reason) => Some((reason, FAULTY * items)),
            Fate::OneRejected => Some((reason::REJECTED, FAULTY)),
            Fate::Taken | Fate::Kept | Fate::KeptUntil(_) | Fate::Repeated | Fate::Held => None,
        };
        let lost = dropped.map_or(0, |(_, items)| items);
        let (passed, held) = if fate == Fate::Held { (0, all) } else { (all - lost, 0) };
        let place = format!("{} of {fault} at {failing:?}", signal.as_str());
        assert_eq!(counters.dropped_by_reason().into_iter().collect::<Vec<_>>(), Vec::from_iter(dropped), "{place}");
        assert_eq!(
            (counters.received.get(), counters.passed.get(), counters.held.get()),
            (all, passed, held),
            "{place}"
        );
    }
    let windows = match fate {
        Fate::Dropped(_) => WINDOWS - FAULTY,
        Fate::Held => 0,
        _ => WINDOWS,
    };
    let found = scene.found(failing);
    let expected = scene::Found { requests: (windows * REQUESTS) as f64, records: windows * RECORDS };
    if fate == Fate::Repeated {
        assert!(found.requests >= expected.requests && found.records >= expected.records, "{fault}: {found:?}");
    } else {
        assert_eq!(found, expected, "{fault} at {failing:?}");
        scene.assert_clean(failing);
        scene.assert_in_order(failing);
    }
    if let Fate::KeptUntil(second) = fate {
        let again = scene.second_attempt(failing);
        assert!(again >= second, "{fault} at {failing:?}: tried again after {again} s, asked for {second} s");
    }
}

impl Scene {
    /// Stops the graph and checks the conservation law.
    async fn shut_down(self) {
        let (running, telemetry) = (self.running, self.telemetry);
        running.shutdown(Duration::ZERO).await;
        assert_conserved(&FinalCounters::of(&telemetry));
    }
}

/// A request's headers as text, but for those that differ between runs.
fn shown(mut headers: HeaderMap) -> String {
    // The port is another one in each run.
    headers.remove(http::header::HOST);
    format!("{headers:?}")
}
