//! Captures of Gunicorn 19.9 to 27, sent again: every backend adds up to what the text says.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::{Backends, Directory, Hornpipe, Sample, free_address, metrics_pipeline};

/// A series: name and tags.
type Series = (String, Vec<String>);

/// What the samples of a capture come to, computed from their text alone.
#[derive(Default)]
struct Expected {
    counters: BTreeMap<Series, f64>,
    distributions: BTreeMap<Series, Vec<f64>>,
    gauges: BTreeMap<Series, f64>,
}

impl Expected {
    fn of(datagrams: &[String]) -> Self {
        let mut expected = Expected::default();
        for sample in datagrams.iter().map(|datagram| Sample::parse(datagram)) {
            let is_distribution = sample.is_distribution();
            let series = (sample.name, sample.tags);
            match &*sample.kind {
                "c" => *expected.counters.entry(series).or_default() += sample.value,
                "g" => {
                    expected.gauges.insert(series, sample.value);
                }
                _ if is_distribution => expected.distributions.entry(series).or_default().push(sample.value),
                other => panic!("Gunicorn sends no {other}"),
            }
        }
        expected
    }

    fn assert_arrived(&self, backends: &Backends) {
        let tags = |series: &Series| series.1.clone();
        for (series, sum) in &self.counters {
            let tags = tags(series);
            backends.assert_counter(&series.0, &as_texts(&tags), *sum);
        }
        for (series, samples) in &self.distributions {
            // Zeros have a bucket of their own.
            let positive: Vec<f64> = samples.iter().copied().filter(|sample| *sample > 0.0).collect();
            if positive.len() == samples.len() {
                let tags = tags(series);
                backends.assert_histogram(&series.0, &as_texts(&tags), samples);
            }
        }
        for (series, value) in &self.gauges {
            let tags = tags(series);
            let at_datadog = backends.datadog.tagged_points(&series.0, &as_texts(&tags));
            assert_eq!(at_datadog.last().map(|point| point.value), Some(*value), "{series:?}");
        }
    }
}

fn as_texts(tags: &[String]) -> Vec<&str> {
    tags.iter().map(String::as_str).collect()
}

fn datagrams(capture: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/captures").join(capture);
    let text = std::fs::read_to_string(&path).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    rows.map(|row| row["text"].as_str().unwrap().to_owned()).collect()
}

async fn replay(capture: &str) {
    let backends = Backends::start().await;
    let statsd = free_address();
    let directory = Directory::new();
    let config = directory.write("pipeline.yaml", &metrics_pipeline(statsd, "", &backends.exporters()));
    let datagrams = datagrams(capture);
    let hornpipe = Hornpipe::start(&config, statsd);
    hornpipe.send(datagrams.iter().map(String::as_str));
    let counters = hornpipe.stop_without_drops();
    let expected = Expected::of(&datagrams);
    assert!(expected.counters.len() >= 5, "{capture} is a capture of work");
    expected.assert_arrived(&backends);
    backends.assert_clean();
    let receiver = &counters.components[0];
    assert_eq!((&*receiver.id, receiver.received), ("statsd", datagrams.len() as u64), "{capture}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn captures_of_every_release_add_up_at_every_backend() {
    for release in ["19.9.0", "20.1.0", "21.2.0", "22.0.0", "23.0.0", "25.0.0", "27.0.1"] {
        replay(&format!("gunicorn-{release}-sync.jsonl")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn captures_with_tags_prefix_backlog_and_other_workers_add_up_too() {
    for variant in ["tags-prefix", "gthread-backlog", "gevent", "asgi"] {
        replay(&format!("gunicorn-27.0.1-{variant}.jsonl")).await;
    }
}
