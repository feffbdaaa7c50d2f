//! Three backends, one of which may fail, and the graph that feeds them.

use std::sync::Arc;
use std::time::Duration;

use hornpipe_datadog_exporter::DatadogConfig;
use hornpipe_engine::Registry;
use hornpipe_engine::config::{FixedEnvironment, Source, load};
use hornpipe_engine::graph::{Environment, Graph, RunningGraph};
use hornpipe_engine::status::ProcessFacts;
use hornpipe_engine::telemetry::{ComponentIdentity, ComponentKind, ComponentTelemetry, Telemetry};
use hornpipe_engine::testing::{
    Authority, Backend, FakeClock, FakeDatadog, FakeOtlp, PATIENCE, RecordedRequest, RefusingPort, TlsFront, resource,
};
use hornpipe_model::Timestamp;
use hornpipe_otlp_exporter::{OtlpConfig, OtlpHttpConfig};
use tokio::net::TcpListener;

use super::faults::{Cause, Fault};
use super::ticker::TickerConfig;
use super::{Received, SIGNALS, shown};
use crate::support::Directory;

/// A backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    Datadog,
    OtlpGrpc,
    OtlpHttp,
}

impl Destination {
    pub const ALL: [Destination; 3] = [Destination::Datadog, Destination::OtlpGrpc, Destination::OtlpHttp];

    /// The id of its exporter.
    fn id(self) -> &'static str {
        ["datadog", "otlp", "otlp_http"][self as usize]
    }
}

/// What a backend has of the data: the sum of `gunicorn.requests`, and log records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    pub requests: f64,
    pub records: u64,
}

/// Everything that runs.
pub struct Scene {
    pub time: FakeClock,
    pub running: RunningGraph,
    pub telemetry: Telemetry,
    failing: Destination,
    fault: &'static str,
    backends: [Place; 3],
    tls: Option<(TlsFront, Authority)>,
    _directory: Directory,
}

enum Fake {
    Datadog(FakeDatadog),
    Otlp(FakeOtlp),
}

/// A port, and the backend once it is up there.
enum Place {
    Down(Option<RefusingPort>),
    Listening(Option<TcpListener>),
    Up(Fake),
}

impl Scene {
    /// Starts it; the fault is at `failing`.
    pub async fn start(failing: Destination, fault: Option<&Fault>) -> Self {
        let time = FakeClock::new();
        let directory = Directory::new();
        let ports = Destination::ALL.map(|_| RefusingPort::reserve());
        let mut addresses = Destination::ALL.map(|destination| Address::plain(ports[destination as usize].url()));
        let mut tls = None;
        match fault.map(|fault| &fault.cause) {
            Some(Cause::NoSuchHost) => {
                addresses[failing as usize] = Address::plain("http://nowhere.invalid:4318".to_owned())
            }
            Some(Cause::ExpiredCertificate) => {
                let authority = Authority::new();
                let backend = ports[failing as usize].address();
                let front = TlsFront::start(backend, &authority.issue_expired(), None).await;
                let ca_file = directory.write("ca.pem", &authority.pem());
                addresses[failing as usize] = Address {
                    url: format!("https://localhost:{}", front.port()),
                    tls: format!("{{ca_file: '{}'}}", ca_file.display()),
                };
                tls = Some((front, authority));
            }
            _ => {}
        }
        let environment = Environment::new(time.clock(), resource(), ProcessFacts::default());
        let registry = Registry::default()
            .receiver::<TickerConfig>()
            .exporter::<DatadogConfig>()
            .exporter::<OtlpConfig>()
            .exporter::<OtlpHttpConfig>();
        let source = Source::new("test", configuration(&addresses), 0);
        let (plan, problems) = load(&[source], &FixedEnvironment::new(), &registry);
        let plan = plan.unwrap_or_else(|| panic!("{problems}"));
        let graph = Graph::build(plan, &environment).unwrap_or_else(|failures| panic!("{failures:?}"));
        let mut scene = Scene {
            time,
            running: graph.start(),
            telemetry: environment.telemetry,
            failing,
            fault: fault.map_or("no fault", |fault| fault.name),
            backends: ports.map(|port| Place::Down(Some(port))),
            tls,
            _directory: directory,
        };
        for destination in Destination::ALL {
            match fault.filter(|_| destination == failing).map(|fault| fault.cause.clone()) {
                Some(Cause::Refuses) => {}
                Some(Cause::AcceptsNobody) => scene.listen(destination),
                Some(Cause::Always(behaviour)) => scene.come_up(destination).behave(behaviour),
                Some(Cause::Once(behaviour)) => scene.come_up(destination).behave_once([behaviour]),
                None | Some(Cause::ExpiredCertificate | Cause::NoSuchHost) => drop(scene.come_up(destination)),
            }
        }
        scene
    }

    /// Everybody but the failing one.
    pub fn siblings(&self) -> impl Iterator<Item = Destination> + use<> {
        let failing = self.failing;
        Destination::ALL.into_iter().filter(move |destination| *destination != failing)
    }

    /// Ends the fault, if it can end.
    pub fn recover(&mut self) {
        self.come_up(self.failing).behave(Default::default());
        if let Some((front, authority)) = &self.tls {
            front.show(&authority.issue());
        }
    }

    /// Has the system take connections to a backend.
    fn listen(&mut self, destination: Destination) {
        let place = &mut self.backends[destination as usize];
        if let Place::Down(port) = place {
            *place = Place::Listening(port.take().map(RefusingPort::listen));
        }
    }

    fn come_up(&mut self, destination: Destination) -> &Backend {
        let clock = self.time.clock();
        self.listen(destination);
        let place = &mut self.backends[destination as usize];
        if let Place::Listening(listener) = place
            && let Some(listener) = listener.take()
        {
            *place = Place::Up(match destination {
                Destination::Datadog => Fake::Datadog(FakeDatadog::start_at(listener, clock)),
                Destination::OtlpGrpc | Destination::OtlpHttp => Fake::Otlp(FakeOtlp::start_at(listener, clock)),
            });
        }
        self.backend(destination)
    }

    fn fake(&self, destination: Destination) -> &Fake {
        match &self.backends[destination as usize] {
            Place::Up(fake) => fake,
            Place::Down(_) | Place::Listening(_) => panic!("{destination:?} is not up"),
        }
    }

    fn backend(&self, destination: Destination) -> &Backend {
        match self.fake(destination) {
            Fake::Datadog(datadog) => datadog,
            Fake::Otlp(otlp) => otlp,
        }
    }

    /// An exporter's own counters.
    pub fn counters(&self, destination: Destination) -> Arc<ComponentTelemetry> {
        let id = destination.id().to_owned();
        self.telemetry.component(ComponentIdentity { kind: ComponentKind::Exporter, id, pipeline: None })
    }

    fn is_settled(&self, destination: Destination, windows: u64) -> bool {
        let counters = self.counters(destination);
        SIGNALS.into_iter().all(|(signal, items)| {
            let counters = counters.signal(signal);
            counters.passed.get() + counters.dropped_total() == windows * items
        })
    }

    /// Waits, with the clock standing still, until so many windows are delivered or dropped.
    pub async fn wait_until_settled(&self, destination: Destination, windows: u64) {
        let settle = async {
            while !self.is_settled(destination, windows) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        self.in_time(settle, destination, windows).await;
    }

    /// Moves the clock on until everything is delivered or dropped: retries come when it gets there.
    pub async fn advance_until_settled(&self, destination: Destination) {
        let settle = async {
            while !self.is_settled(destination, super::WINDOWS) {
                self.time.advance(Duration::from_secs(1)).await;
            }
        };
        self.in_time(settle, destination, super::WINDOWS).await;
    }

    async fn in_time(&self, settle: impl Future<Output = ()>, destination: Destination, windows: u64) {
        if tokio::time::timeout(PATIENCE, settle).await.is_err() {
            let (exporter, fault) = (self.counters(destination), self.fault);
            let status = exporter.status();
            panic!("{fault} at {:?}: {windows} windows not settled at {destination:?}, {status:?}", self.failing);
        }
    }

    /// What a backend got, in the order of time and route.
    pub fn received(&self, destination: Destination) -> Received {
        let request =
            |request: RecordedRequest| (request.arrival, request.route, shown(request.headers), request.body.to_vec());
        let mut received: Received = self.backend(destination).requests().into_iter().map(request).collect();
        received.sort();
        received
    }

    /// When the backend's first request came again, in seconds after the start.
    pub fn second_attempt(&self, destination: Destination) -> u64 {
        let requests = self.backend(destination).requests();
        let first = requests.first().expect("a request");
        let again = requests.iter().filter(|request| request.body == first.body).nth(1).expect("a second attempt");
        seconds_since_start(again.arrival)
    }

    pub fn found(&self, destination: Destination) -> Found {
        match self.fake(destination) {
            Fake::Datadog(datadog) => {
                Found { requests: datadog.sum_as_count("gunicorn.requests", &[]), records: datadog.logs().len() as u64 }
            }
            Fake::Otlp(otlp) => {
                Found { requests: otlp.sum("gunicorn.requests", &[]), records: otlp.logs().len() as u64 }
            }
        }
    }

    pub fn assert_clean(&self, destination: Destination) {
        match self.fake(destination) {
            Fake::Datadog(datadog) => datadog.assert_clean(),
            Fake::Otlp(otlp) => otlp.assert_clean(),
        }
    }

    /// Fails where a later window came before an earlier one.
    pub fn assert_in_order(&self, destination: Destination) {
        // Datadog's intake keeps points by time; what it got is compared with what its siblings got.
        if let Fake::Otlp(otlp) = self.fake(destination) {
            let times: Vec<u64> = otlp.points("gunicorn.requests").iter().map(|point| point.time).collect();
            assert!(times.is_sorted(), "{destination:?}: {times:?}");
        }
    }
}

pub fn seconds_since_start(time: Timestamp) -> u64 {
    time.since(FakeClock::START).as_secs()
}

/// Where an exporter sends to, and its option `tls`.
struct Address {
    url: String,
    tls: String,
}

impl Address {
    fn plain(url: String) -> Self {
        Address { url, tls: "{}".to_owned() }
    }
}

/// Metrics and logs to all three; delta, so that the backend's sum tells what came. The network's time is real: the clock
/// may go on for seconds while a request is under way, which must not look like a backend that hangs.
fn configuration([datadog, grpc, http]: &[Address; 3]) -> String {
    let endpoint = |address: &Address| format!("endpoint: '{}'", address.url);
    let to_datadog = endpoint(datadog);
    // Each window is a batch of its own, and one is sent after the other: requests then have their order and their times.
    let delivery = "timeout: 1m, sending_queue: {num_consumers: 1, batch: {min_size: 0}}";
    let otlp = |address| format!("{}, tls: {}, temporality: delta, {delivery}", endpoint(address), address.tls);
    let exporters = "exporters: [datadog, otlp, otlp_http]";
    format!(
        "receivers:\n  ticker:\n\
         exporters:\n  \
         datadog: {{api: {{key: '{}'}}, metrics: {{{to_datadog}}}, logs: {{{to_datadog}}}, tls: {}, {delivery}}}\n  \
         otlp: {{{}}}\n  \
         otlp_http: {{{}}}\n\
         service:\n  pipelines:\n    \
         metrics: {{receivers: [ticker], {exporters}}}\n    \
         logs: {{receivers: [ticker], {exporters}}}\n",
        FakeDatadog::API_KEY,
        datadog.tls,
        otlp(grpc),
        otlp(http)
    )
}
