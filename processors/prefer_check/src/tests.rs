//! What is dropped, for how long, and what is not.

use hornpipe_engine::telemetry::ComponentKind;
use hornpipe_engine::testing::{FakeClock, ProcessorBench, build_context, check_processor_contract};
use hornpipe_model::{Context, Timestamp, Window};

use super::*;

fn point(origin: Origin, name: &str, tags: &[&str], value: MetricValue) -> MetricPoint {
    let now = Timestamp::from_secs(1_700_000_000);
    let context = Arc::new(Context::new(name, tags.iter().collect()));
    MetricPoint { context, window: Window { start: now, end: now, interval: None }, origin, value }
}

fn gauge(origin: Origin, tags: &[&str]) -> MetricPoint {
    point(origin, "gunicorn.workers", tags, MetricValue::Gauge(3.0))
}

fn batch(points: Vec<MetricPoint>) -> Batch {
    Batch::new(MetricBatch { resource: Arc::default(), scope: Arc::default(), points })
}

struct Run {
    time: FakeClock,
    context: BuildContext,
    processor: Box<dyn Processor>,
}

impl Run {
    fn new(config: &PreferCheckConfig) -> Self {
        let time = FakeClock::new();
        let context = build_context(ComponentKind::Processor, "prefer_check", &time);
        let processor = config.build(Signal::Metrics, context.clone()).unwrap();
        Run { time, context, processor }
    }

    /// How many of these points pass.
    fn passed(&mut self, points: Vec<MetricPoint>) -> usize {
        let mut out = Emitter::new(self.context.telemetry.signal(Signal::Metrics));
        self.processor.process(batch(points), &mut out);
        out.into_batches().iter().map(Batch::items).sum()
    }

    fn dropped(&self) -> u64 {
        self.context.telemetry.signal(Signal::Metrics).dropped_for(SUPERSEDED_BY_CHECK)
    }
}

#[tokio::test]
async fn a_clients_gauge_is_dropped_while_the_check_reports_and_for_a_while_after() {
    let mut run = Run::new(&PreferCheckConfig::default());
    let client = || gauge(Origin::Statsd, &[]);
    assert_eq!(run.passed(vec![client()]), 1, "no check has reported yet");
    let check = || gauge(Origin::Check, &["app:web1", "state:idle"]);
    assert_eq!(run.passed(vec![check(), check()]), 2);
    assert_eq!(run.passed(vec![client()]), 0);
    run.time.advance(Duration::from_secs(44)).await;
    assert_eq!(run.passed(vec![client(), point(Origin::Statsd, "other", &[], MetricValue::Gauge(1.0))]), 1);
    assert_eq!(run.dropped(), 2);
    run.time.advance(Duration::from_secs(1)).await;
    assert_eq!(run.passed(vec![client()]), 1, "the check reports no more");
    assert_eq!(run.dropped(), 2);
}

#[test]
fn only_a_gauge_of_the_same_name_from_a_client_gives_way() {
    let mut run = Run::new(&PreferCheckConfig::default());
    run.passed(vec![gauge(Origin::Check, &["app:web1", "state:idle"])]);
    let count = MetricValue::Count { sum: 1.0, samples: 1 };
    for (point, passes) in [
        (gauge(Origin::Statsd, &["env:prod"]), 0),
        (gauge(Origin::Statsd, &["app:web1", "env:prod"]), 0),
        (gauge(Origin::Statsd, &["app:web2"]), 1),
        (gauge(Origin::Statsd, &["state:idle"]), 1),
        (gauge(Origin::Otlp, &[]), 1),
        (gauge(Origin::Check, &[]), 1),
        (point(Origin::Statsd, "shop.gunicorn.workers", &[], MetricValue::Gauge(3.0)), 1),
        (point(Origin::Statsd, "gunicorn.workers", &[], count), 1),
    ] {
        assert_eq!(run.passed(vec![point.clone()]), passes, "{point:?}");
    }
}

#[test]
fn a_check_that_found_no_application_supersedes_nothing() {
    let mut run = Run::new(&PreferCheckConfig::default());
    let check = hornpipe_model::ServiceCheck { status: hornpipe_model::CheckStatus::Critical, message: "gone".into() };
    let check = MetricValue::ServiceCheck(Box::new(check));
    run.passed(vec![point(Origin::Check, "gunicorn.is_running", &["app:web1"], check)]);
    assert_eq!(run.passed(vec![gauge(Origin::Statsd, &[])]), 1);
}

#[test]
fn a_hold_of_nothing_is_refused() {
    let problems = |json: &str| {
        let config: PreferCheckConfig = serde_json::from_str(json).unwrap();
        let mut report = Report::new();
        config.validate(&mut report);
        report.problems().iter().map(|problem| problem.path.clone()).collect::<Vec<_>>()
    };
    assert_eq!(problems("{}"), [""; 0]);
    assert_eq!(problems(r#"{"hold": "0s"}"#), ["hold"]);
}

struct Bench;

impl ProcessorBench for Bench {
    fn build(&self, context: BuildContext) -> Box<dyn Processor> {
        PreferCheckConfig::default().build(Signal::Metrics, context).unwrap()
    }

    fn batch(&self, random: &mut fastrand::Rng) -> Data {
        let mut one = || match random.u8(0..3) {
            0 => gauge(Origin::Statsd, &[]),
            1 => gauge(Origin::Check, &["app:web1", "state:idle"]),
            _ => point(Origin::Statsd, "other", &[], MetricValue::Gauge(1.0)),
        };
        let points = (0..4).map(|_| one()).collect();
        MetricBatch { resource: Arc::default(), scope: Arc::default(), points }.into()
    }
}

#[test]
fn the_contract_of_processors_is_kept() {
    check_processor_contract(&Bench);
}
