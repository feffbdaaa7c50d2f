//! What the tests of sending share.

use std::sync::Arc;
use std::time::Duration;

use hornpipe_engine::Clock;
use hornpipe_engine::component::{BuildContext, Exporter, Request, SendOutcome};
use hornpipe_engine::telemetry::{ComponentKind, SignalCounters};
use hornpipe_engine::testing::{FakeClock, build_context};
use hornpipe_model::{
    CheckStatus, Context, Data, Distribution, MetricBatch, MetricPoint, MetricValue, Origin, Resource, Samples,
    ServiceCheck, Window, WireType,
};

/// What an exporter is built with: the system's clock, as the network's time is real.
pub fn context() -> BuildContext {
    BuildContext { clock: Clock::system(), ..build_context(ComponentKind::Exporter, "otlp", &FakeClock::new()) }
}

/// One point of every kind, of the window with a number.
pub fn batch(number: u64) -> Data {
    let mut resource = Resource::default();
    resource.set(Resource::HOST_NAME, "web1");
    let interval = Duration::from_secs(10);
    let start = FakeClock::START.after(interval * number as u32);
    let window = Window { start, end: start.after(interval), interval: Some(interval) };
    let mut samples = Samples::new();
    for value in [10.0, 20.0, 30.0] {
        assert!(samples.push(value, 1.0));
    }
    let check = ServiceCheck { status: CheckStatus::Critical, message: "no master".into() };
    let points = [
        ("gunicorn.requests", MetricValue::Count { sum: 30.0, samples: 30 }),
        ("gunicorn.workers", MetricValue::Gauge(4.0)),
        ("gunicorn.request.duration", MetricValue::Distribution(Distribution::new(WireType::Timing, samples))),
        ("gunicorn.is_running", MetricValue::ServiceCheck(Box::new(check))),
    ];
    let points = points.map(|(name, value)| {
        let context = Arc::new(Context::new(name, ["env:prod"].into_iter().collect()));
        MetricPoint { context, window, origin: Origin::Statsd, value }
    });
    MetricBatch { resource: Arc::new(resource), scope: Arc::default(), points: points.into() }.into()
}

/// The requests of a batch, through admission as the engine does it.
pub fn requests(exporter: &dyn Exporter, data: Data) -> Vec<Request> {
    let admitted = exporter.admission().expect("an admission").admit(data, &SignalCounters::default()).expect("points");
    let items: Vec<u32> = (0..admitted.items() as u32).collect();
    let encoded = exporter.encode(&admitted, &items);
    assert_eq!(encoded.dropped, []);
    encoded.requests
}

/// Sends a batch, which is one request.
pub async fn send(exporter: &dyn Exporter) -> SendOutcome {
    exporter.send(&requests(exporter, batch(0))[0]).await
}

/// Why a request has to be tried again.
///
/// # Panics
/// Where it has not.
pub fn error_of(outcome: SendOutcome) -> String {
    match outcome {
        SendOutcome::Retryable { error, .. } => error,
        other => panic!("not retryable: {other:?}"),
    }
}
