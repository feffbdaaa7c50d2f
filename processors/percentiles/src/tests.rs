//! Tests of the processor.

use std::time::Duration;

use hornpipe_engine::MatchType;
use hornpipe_engine::telemetry::SignalCounters;
use hornpipe_engine::testing::{ProcessorBench, check_processor_contract};
use hornpipe_model::{MetricPoint, Origin, Resource, Samples, Scope, Tags, Timestamp, Window};

use super::*;

fn timer(name: &str, wire_type: WireType) -> MetricPoint {
    let mut samples = Samples::new();
    for value in 1..=20 {
        samples.push(f64::from(value), 1.0);
    }
    MetricPoint {
        context: Arc::new(Context::new(name, Tags::default())),
        window: Window {
            start: Timestamp::from_secs(10),
            end: Timestamp::from_secs(20),
            interval: Some(Duration::from_secs(10)),
        },
        origin: Origin::Statsd,
        value: MetricValue::Distribution(Distribution { wire_type, note: None, samples: Arc::new(samples) }),
    }
}

fn batch(points: Vec<MetricPoint>) -> Batch {
    Batch::new(MetricBatch { resource: Arc::new(Resource::default()), scope: Arc::new(Scope::default()), points })
}

fn processor(config: &PercentilesConfig) -> Percentiles {
    let mut report = Report::default();
    let processor = Percentiles {
        default: Arc::new(config.rendering(&mut report)),
        rules: config.rules(&mut report).into_iter().map(|rule| (rule.pattern, Arc::new(rule.rendering))).collect(),
        output: config.output,
        decided: HashMap::new(),
        names: SeriesNames::default(),
    };
    assert!(report.is_empty(), "{report:?}");
    processor
}

fn run(processor: &mut Percentiles, batch: Batch) -> Vec<MetricPoint> {
    let counters = SignalCounters::default();
    let items = batch.items() as u64;
    let mut out = Emitter::new(&counters);
    processor.process(batch, &mut out);
    assert_eq!(counters.passed.get(), items, "every input is accounted for");
    out.into_batches()
        .into_iter()
        .flat_map(|batch| match batch.data() {
            Data::Metrics(metrics) => metrics.points.clone(),
            Data::Logs(_) => Vec::new(),
        })
        .collect()
}

fn note(point: &MetricPoint) -> Option<Vec<String>> {
    match &point.value {
        MetricValue::Distribution(distribution) => {
            let note = distribution.note.as_ref()?;
            Some(note.render(&distribution.samples).map(|rendered| rendered.suffix.into_owned()).collect())
        }
        _ => None,
    }
}

fn rule(pattern: &str, match_type: MatchType, aggregates: &[&str], percentiles: &[&str]) -> Rule {
    Rule {
        pattern: pattern.to_owned(),
        match_type,
        aggregates: Some(aggregates.iter().map(|&text| text.to_owned()).collect()),
        percentiles: Some(percentiles.iter().map(|&text| text.to_owned()).collect()),
    }
}

#[test]
fn histograms_and_timers_get_the_agents_defaults_and_sketches_stay() {
    let mut processor = processor(&PercentilesConfig::default());
    let points = run(
        &mut processor,
        batch(vec![timer("t", WireType::Timing), timer("h", WireType::Histogram), timer("d", WireType::Distribution)]),
    );
    let defaults: Vec<String> = ["max", "median", "avg", "count", "95percentile"].map(str::to_owned).to_vec();
    assert_eq!(note(&points[0]), Some(defaults.clone()));
    assert_eq!(note(&points[1]), Some(defaults));
    assert_eq!(note(&points[2]), None);
}

#[test]
fn the_first_rule_that_matches_the_whole_name_counts() {
    let config = PercentilesConfig {
        metrics: vec![
            rule("gunicorn.*.duration", MatchType::Wildcard, &["min"], &[]),
            rule("gunicorn\\..*|d", MatchType::Regex, &["sum"], &["0.99"]),
        ],
        ..PercentilesConfig::default()
    };
    let mut processor = processor(&config);
    for _window in 0..2 {
        let points = run(
            &mut processor,
            batch(vec![
                timer("gunicorn.request.duration", WireType::Timing),
                timer("gunicorn.request.app.duration", WireType::Timing),
                timer("d", WireType::Distribution),
                timer("other", WireType::Timing),
            ]),
        );
        assert_eq!(note(&points[0]), Some(vec!["min".to_owned()]));
        assert_eq!(note(&points[1]), Some(vec!["sum".to_owned(), "99percentile".to_owned()]));
        assert_eq!(note(&points[2]), Some(vec!["sum".to_owned(), "99percentile".to_owned()]));
        assert_eq!(note(&points[3]).map(|suffixes| suffixes.len()), Some(5));
    }
}

#[test]
fn series_stand_for_their_distribution_with_its_unit() {
    let config = PercentilesConfig { output: OutputForm::Series, ..PercentilesConfig::default() };
    let mut processor = processor(&config);
    let points = run(&mut processor, batch(vec![timer("gunicorn.request.duration", WireType::Timing)]));
    let found: Vec<(&str, &str, &MetricValue)> =
        points.iter().map(|point| (point.context.name(), point.context.unit(), &point.value)).collect();
    assert_eq!(
        found,
        [
            ("gunicorn.request.duration.max", "ms", &MetricValue::Gauge(20.0)),
            ("gunicorn.request.duration.median", "ms", &MetricValue::Gauge(10.0)),
            ("gunicorn.request.duration.avg", "ms", &MetricValue::Gauge(10.5)),
            ("gunicorn.request.duration.count", "{request}", &MetricValue::Count { sum: 20.0, samples: 20 }),
            ("gunicorn.request.duration.95percentile", "ms", &MetricValue::Gauge(19.0)),
        ]
    );
    let again = run(&mut processor, batch(vec![timer("gunicorn.request.duration", WireType::Timing)]));
    assert!(Arc::ptr_eq(&points[0].context, &again[0].context), "series contexts live across windows");
}

#[test]
fn a_shared_batch_is_copied_and_the_other_pipeline_sees_no_note() {
    let mut processor = processor(&PercentilesConfig::default());
    let shared = batch(vec![timer("t", WireType::Timing)]);
    let other = shared.clone();
    run(&mut processor, shared);
    match other.data() {
        Data::Metrics(metrics) => assert_eq!(note(&metrics.points[0]), None),
        Data::Logs(_) => unreachable!(),
    }
}

#[test]
fn every_bad_option_is_reported_with_its_path() {
    let config = PercentilesConfig {
        aggregates: vec!["mean".to_owned()],
        percentiles: vec!["95".to_owned()],
        metrics: vec![rule("(", MatchType::Regex, &["max"], &[])],
        ..PercentilesConfig::default()
    };
    let mut report = Report::default();
    ProcessorConfig::validate(&config, &mut report);
    let paths: Vec<String> = report.problems().iter().map(|problem| problem.path.clone()).collect();
    assert_eq!(paths, ["aggregates.0", "percentiles.0", "aggregates", "metrics.0.match"]);
}

/// Batches of all kinds of points, for the contract that every processor keeps.
struct Bench(PercentilesConfig);

impl ProcessorBench for Bench {
    fn build(&self, context: BuildContext) -> Box<dyn Processor> {
        ProcessorConfig::build(&self.0, Signal::Metrics, context).unwrap()
    }

    fn batch(&self, random: &mut fastrand::Rng) -> Data {
        let kinds = [WireType::Timing, WireType::Histogram, WireType::Distribution];
        let points = (0..random.usize(0..6))
            .map(|index| {
                let mut point = timer(&format!("t{index}"), kinds[random.usize(0..3)]);
                if random.bool() {
                    point.value = MetricValue::Gauge(1.0);
                }
                point
            })
            .collect();
        batch(points).into_parts().0
    }
}

#[test]
fn the_contract_of_processors_is_kept_in_both_forms() {
    for output in [OutputForm::Native, OutputForm::Series] {
        check_processor_contract(&Bench(PercentilesConfig { output, ..PercentilesConfig::default() }));
    }
}
