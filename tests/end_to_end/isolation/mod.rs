//! A backend that fails changes nothing for its sibling: the sibling gets byte-identical requests at the same times,
//! and the failing one gets its data when it comes back.
//!
//! In one process, on a clock of the test's own; the graph, the queues and the exporters are the real ones.

mod ticker;

use std::time::Duration;

use hornpipe_datadog_exporter::DatadogConfig;
use hornpipe_engine::Registry;
use hornpipe_engine::config::{FixedEnvironment, Source, load};
use hornpipe_engine::graph::{Environment, Graph, RunningGraph};
use hornpipe_engine::status::ProcessFacts;
use hornpipe_engine::telemetry::{ComponentIdentity, ComponentKind, FinalCounters, Telemetry};
use hornpipe_engine::testing::{
    Backend, Behaviour, FakeClock, FakeDatadog, FakeOtlp, RecordedRequest, RefusingPort, assert_conserved, eventually,
    resource,
};
use hornpipe_model::{Signal, Timestamp};
use hornpipe_otlp_exporter::OtlpConfig;
use http::HeaderMap;

use ticker::{POINTS, TickerConfig};

const WINDOW: Duration = Duration::from_secs(10);
/// Windows before the failing backend comes back.
const WINDOWS: u64 = 6;
/// Requests in each window.
const REQUESTS: u64 = 30;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Answers503,
    Hangs,
    Refuses,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Name {
    Datadog,
    Otlp,
}

/// What a backend got: when, where to, with which headers, and what.
type Received = Vec<(Timestamp, String, HeaderMap, Vec<u8>)>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datadog_gets_the_same_requests_at_the_same_times_whatever_otlp_does() {
    assert_unaffected(Name::Datadog, Name::Otlp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn otlp_gets_the_same_requests_at_the_same_times_whatever_datadog_does() {
    assert_unaffected(Name::Otlp, Name::Datadog).await;
}

async fn assert_unaffected(sibling: Name, failing: Name) {
    let undisturbed = run(sibling, failing, None).await;
    let arrivals: Vec<u64> = undisturbed.iter().map(|request| request.0.since(FakeClock::START).as_secs()).collect();
    assert_eq!(arrivals, [10, 20, 30, 40, 50, 60]);
    for fault in [Fault::Answers503, Fault::Hangs, Fault::Refuses] {
        let disturbed = run(sibling, failing, Some(fault)).await;
        assert!(disturbed == undisturbed, "{fault:?} of {failing:?} changed:\n{disturbed:?}\n{undisturbed:?}");
    }
}

/// Runs some windows with a fault at one backend, then goes on without it until everything is delivered; what the other
/// backend got.
async fn run(sibling: Name, failing: Name, fault: Option<Fault>) -> Received {
    let mut scene = Scene::start(failing, fault);
    for window in 1..=WINDOWS {
        scene.time.advance(WINDOW).await;
        scene.wait_for_delivery(sibling, window).await;
    }
    scene.recover();
    // Retries come when the clock gets there.
    let deliver = async {
        while scene.delivered(failing) < WINDOWS * POINTS {
            scene.time.advance(Duration::from_secs(1)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(10), deliver).await;
    in_time.unwrap_or_else(|_| panic!("{failing:?} does not get its data after {fault:?}"));
    scene.finish(sibling).await
}

/// Both backends, and the graph that feeds them.
struct Scene {
    time: FakeClock,
    datadog: Place<FakeDatadog>,
    otlp: Place<FakeOtlp>,
    telemetry: Telemetry,
    running: RunningGraph,
}

/// A port, and the backend once it is up there.
enum Place<B> {
    Down(Option<RefusingPort>),
    Up(B),
}

impl Scene {
    fn start(failing: Name, fault: Option<Fault>) -> Self {
        let time = FakeClock::new();
        let ports = [RefusingPort::reserve(), RefusingPort::reserve()];
        let config = configuration(&ports);
        let [datadog, otlp] = ports.map(Some);
        let environment = Environment::new(time.clock(), resource(), ProcessFacts::default());
        let registry =
            Registry::default().receiver::<TickerConfig>().exporter::<DatadogConfig>().exporter::<OtlpConfig>();
        let (plan, problems) = load(&[Source::new("test", config, 0)], &FixedEnvironment::new(), &registry);
        let plan = plan.unwrap_or_else(|| panic!("{problems}"));
        let graph = Graph::build(plan, &environment).unwrap_or_else(|failures| panic!("{failures:?}"));
        let mut scene = Scene {
            time,
            datadog: Place::Down(datadog),
            otlp: Place::Down(otlp),
            telemetry: environment.telemetry,
            running: graph.start(),
        };
        for name in [Name::Datadog, Name::Otlp] {
            match fault.filter(|_| name == failing) {
                None => scene.come_up(name),
                Some(Fault::Refuses) => {}
                Some(Fault::Hangs) => scene.come_up_with(name, Behaviour::Hang),
                Some(Fault::Answers503) => scene.come_up_with(name, Behaviour::status(503)),
            }
        }
        scene
    }

    fn come_up(&mut self, name: Name) {
        let clock = self.time.clock();
        match name {
            Name::Datadog => self.datadog.come_up(|port| FakeDatadog::start_at(port.listen(), clock)),
            Name::Otlp => self.otlp.come_up(|port| FakeOtlp::start_at(port.listen(), clock)),
        }
    }

    fn come_up_with(&mut self, name: Name, behaviour: Behaviour) {
        self.come_up(name);
        self.backend(name).behave(behaviour);
    }

    fn backend(&self, name: Name) -> &Backend {
        match name {
            Name::Datadog => self.datadog.backend(),
            Name::Otlp => self.otlp.backend(),
        }
    }

    /// Ends every fault.
    fn recover(&mut self) {
        for name in [Name::Datadog, Name::Otlp] {
            self.come_up_with(name, Behaviour::Ok);
        }
    }

    /// How many points an exporter has delivered, by its own counters.
    fn delivered(&self, name: Name) -> u64 {
        let id = format!("{name:?}").to_lowercase();
        let identity = ComponentIdentity { kind: ComponentKind::Exporter, id, pipeline: None };
        self.telemetry.component(identity).signal(Signal::Metrics).passed.get()
    }

    /// Waits, with the clock standing still, until the points of so many windows are delivered.
    async fn wait_for_delivery(&self, name: Name, windows: u64) {
        let done = || self.delivered(name) == windows * POINTS;
        eventually(&format!("{windows} windows at {name:?}"), done).await;
    }

    /// Stops the graph, checks that both backends have everything, and tells what one of them got.
    async fn finish(self, name: Name) -> Received {
        let requests = self.backend(name).requests();
        self.running.shutdown(Duration::from_secs(8)).await;
        assert_conserved(&FinalCounters::of(&self.telemetry));
        let (datadog, otlp) = (self.datadog.backend(), self.otlp.backend());
        assert_eq!(datadog.sum_as_count("gunicorn.requests", &[]), (WINDOWS * REQUESTS) as f64);
        assert_eq!(otlp.sum("gunicorn.requests", &[]), (WINDOWS * REQUESTS) as f64);
        datadog.assert_clean();
        otlp.assert_clean();
        let request = |mut request: RecordedRequest| {
            // The port is another one in each run.
            request.headers.remove(http::header::HOST);
            (request.arrival, request.route, request.headers, request.body.to_vec())
        };
        requests.into_iter().map(request).collect()
    }
}

impl<B> Place<B> {
    fn come_up(&mut self, start: impl FnOnce(RefusingPort) -> B) {
        if let Place::Down(port) = self
            && let Some(port) = port.take()
        {
            *self = Place::Up(start(port));
        }
    }

    fn backend(&self) -> &B {
        match self {
            Place::Up(backend) => backend,
            Place::Down(_) => panic!("this backend is not up"),
        }
    }
}

fn configuration([datadog, otlp]: &[RefusingPort; 2]) -> String {
    format!(
        "receivers:\n  ticker:\n\
         exporters:\n  datadog: {{api: {{key: '{}'}}, metrics: {{endpoint: '{}'}}}}\n  \
         otlp: {{endpoint: '{}', tls: {{insecure: true}}}}\n\
         service: {{pipelines: {{metrics: {{receivers: [ticker], exporters: [datadog, otlp]}}}}}}\n",
        FakeDatadog::API_KEY,
        datadog.url(),
        otlp.url()
    )
}
