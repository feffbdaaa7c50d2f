//! Datadog's catalogue of Gunicorn metrics: a packet for each that StatsD brings arrives with its name, type, interval
//! and unit.

use std::collections::BTreeSet;

use hornpipe_engine::testing::SeriesType;
use hornpipe_model::catalogue::{self, Kind, WellKnown};

use crate::support::{Backends, Directory, Hornpipe, free_address, metrics_pipeline};

/// Datadog's dashboards and its own Agent count in windows of ten seconds.
const INTERVAL: i64 = 10;

const DURATION: &str = "gunicorn.request.duration";

/// What Gunicorn sends for a metric.
fn packet(known: &WellKnown) -> String {
    match known.kind {
        _ if known.name.starts_with(DURATION) => format!("{DURATION}:12.5|ms"),
        Kind::Rate => format!("{}:1|c|@1.0", known.name),
        Kind::Gauge => format!("{}:4|g", known.name),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_catalogued_metric_arrives_with_its_type_interval_and_unit() {
    let backends = Backends::start().await;
    let statsd = free_address();
    let directory = Directory::new();
    let config = directory.write("pipeline.yaml", &metrics_pipeline(statsd, "", &backends.exporters()));
    let hornpipe = Hornpipe::start(&config, statsd);
    // The five series of the duration come from one packet.
    let packets: BTreeSet<String> = catalogue::all().map(packet).collect();
    assert_eq!(packets.len(), 68);
    hornpipe.send(packets.iter().map(String::as_str));
    hornpipe.stop_without_drops();

    assert_eq!(catalogue::all().count(), 72);
    for known in catalogue::all() {
        let (kind, value) = match known.kind {
            Kind::Rate => (SeriesType::Rate, 1.0 / INTERVAL as f64),
            Kind::Gauge if known.name.starts_with(DURATION) => (SeriesType::Gauge, 12.5),
            Kind::Gauge => (SeriesType::Gauge, 4.0),
        };
        let points = backends.datadog.points(known.name);
        let found: Vec<_> =
            points.iter().map(|point| (point.kind, point.value, point.interval, &*point.unit)).collect();
        assert_eq!(found, [(kind, value, INTERVAL, known.unit)], "{}", known.name);
    }
    let sent: BTreeSet<String> = catalogue::all().map(|known| known.name.to_owned()).collect();
    assert_eq!(backends.datadog.metrics(), sent, "nothing else arrives");
    for (kind, server) in backends.otlp() {
        for name in server.metrics() {
            let known = catalogue::find(&name).or_else(|| catalogue::find(&format!("{name}.max")));
            let units: BTreeSet<String> = server.points(&name).into_iter().map(|point| point.key.unit).collect();
            assert_eq!(units, BTreeSet::from([known.unwrap().ucum.to_owned()]), "{name} over {kind}");
        }
    }
    backends.assert_clean();
}
