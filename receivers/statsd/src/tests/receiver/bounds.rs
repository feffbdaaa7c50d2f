//! What happens at the receiver's bounds: it stays within them, counts, and says who is responsible.

use hornpipe_engine::telemetry::Status;

use super::*;

async fn start(time: &FakeClock, json: &str) -> Run {
    let config = StatsdConfig { endpoint: ANY_PORT.to_owned(), ..serde_json::from_str(json).unwrap() };
    Run::start_with(time, &config, build_context(ComponentKind::Receiver, "statsd", time)).await
}

fn lines(numbers: Range<usize>, line: impl Fn(usize) -> String) -> String {
    numbers.map(|number| line(number) + "\n").collect()
}

#[tokio::test]
async fn with_too_many_series_the_status_names_the_metrics_responsible_until_it_is_over() {
    let time = FakeClock::new();
    let run = start(&time, r#"{"max_contexts": 50}"#).await;
    run.send(&lines(0..10, |number| format!("narrow:1|c|#n:{number}")));
    run.send(&lines(0..60, |number| format!("wide:1|g|#id:{number}")));
    run.received(70).await;
    time.advance(Duration::from_secs(10)).await;
    run.batches(1).await;
    let expected = "20 lines of new series dropped: max_contexts (50) are known; most belong to wide (40), narrow (10)";
    assert_eq!(run.telemetry.status(), Status::Warning(expected.to_owned()));
    run.send("narrow:1|c|#n:1");
    run.received(71).await;
    time.advance(Duration::from_secs(10)).await;
    run.batches(2).await;
    assert_eq!(run.telemetry.status(), Status::Ok);
    run.finish().await;
}

#[tokio::test]
async fn where_names_and_tags_are_too_long_the_status_says_so() {
    let time = FakeClock::new();
    let run = start(&time, "{\"max_contexts\": 500}").await;
    for number in 0..20 {
        run.send(&format!("long:1|g|#id:{number}-{}", "x".repeat(60_000)));
        run.received(number + 1).await;
    }
    time.advance(Duration::from_secs(10)).await;
    run.batches(1).await;
    let Status::Warning(text) = run.telemetry.status() else { panic!("no warning") };
    let expected = "3 lines of new series dropped: the names and tags of 17 take the 1MiB that they may with max_contexts 500, \
                    since some are very long; most belong to long (17)";
    assert_eq!(text, expected);
    run.finish().await;
}

#[tokio::test]
async fn messages_are_bounded_in_bytes_and_every_window_has_room_anew() {
    let time = FakeClock::new();
    let run = start(&time, "{}").await;
    for window in 0..2 {
        for number in 0..160 {
            run.send(&format!("_sc|up{number}|0|m:{}", "x".repeat(60_000)));
            run.received(window * 160 + number + 1).await;
        }
        time.advance(Duration::from_secs(10)).await;
        let batches = run.batches(window as usize + 1).await;
        assert_eq!(batches[window as usize].points.len(), 139, "of 60 kB in 8 MiB");
    }
    let counters = run.telemetry.signal(Signal::Metrics);
    assert_eq!(counters.dropped_for(crate::reason::SERVICE_CHECK_LIMIT), 42);
    run.finish().await;
}

#[tokio::test]
async fn when_samples_use_up_their_budget_the_largest_series_becomes_a_sketch_and_loses_no_count() {
    let time = FakeClock::new();
    let run = start(&time, r#"{"max_sample_bytes": "64KiB"}"#).await;
    for round in 0..30 {
        let values = |count: usize| (0..count).map(|value| format!(":{}", value + round)).collect::<String>();
        run.send(&format!("large{}|ms\nmedium{}|ms\nsmall{}|ms", values(100), values(40), values(1)));
    }
    run.received(90).await;
    assert_eq!(run.own_number("hornpipe_statsd_sketched_series"), 1);
    let batches = run.finish().await;
    let found: Vec<_> = batches[0]
        .points
        .iter()
        .map(|point| {
            let MetricValue::Distribution(distribution) = &point.value else { panic!("{point:?}") };
            let samples = &distribution.samples;
            (point.context.name(), samples.is_sketch(), samples.count(), samples.sum())
        })
        .collect();
    let sum = |count: f64| 30.0 * (count * (count - 1.0) / 2.0) + count * 435.0;
    let expected =
        [("large", true, 3_000.0, sum(100.0)), ("medium", false, 1_200.0, sum(40.0)), ("small", false, 30.0, sum(1.0))];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_set_with_many_members_is_estimated_and_said_to_be() {
    let time = FakeClock::new();
    let run = start(&time, "{}").await;
    for round in 0..200 {
        run.send(&lines(round * 100..round * 100 + 100, |number| {
            format!("many:user-{number}|s\nfew:{}|s", number % 1_000)
        }));
        run.received((round as u64 + 1) * 200).await;
    }
    time.advance(Duration::from_secs(10)).await;
    let values = by_key(&run.batches(1).await[0].points);
    let gauge = |name: &str| match values[&(name.to_owned(), "gauge", vec![], None)] {
        Value::Gauge(value) => value,
        _ => panic!("a set"),
    };
    assert!((gauge("many") - 20_000.0).abs() < 500.0, "{}", gauge("many"));
    assert_eq!((gauge("few"), run.own_number("hornpipe_statsd_estimated_sets")), (1_000.0, 1));
    run.finish().await;
}
