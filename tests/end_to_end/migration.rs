//! From the Agent to hornpipe: its mapper and namespace, values that clients gave a time, and the old server beside it for a
//! while.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hornpipe_engine::testing::FakeDatadog;

use crate::support::{Backends, Directory, Hornpipe, free_address, metrics_pipeline};

const RULES: &str = r#"
    namespace: shop
    mapper_profiles:
      - name: gunicorn
        prefix: gunicorn.
        mappings:
          - {match: gunicorn.request.status.*, name: gunicorn.request.status, tags: {code: $1}}
    metric_tag_filterlist:
      - {metric_name: shop.orders, action: exclude, tags: [user]}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_new_server_applies_the_rules_and_the_old_one_gets_what_it_got() {
    let (backends, old_backend) = (Backends::start().await, FakeDatadog::start().await);
    let (directory, old_directory) = (Directory::new(), Directory::new());
    let (statsd, old_statsd) = (free_address(), free_address());
    let exporter =
        format!("{{api: {{key: '{}'}}, metrics: {{endpoint: '{}'}}}}", FakeDatadog::API_KEY, old_backend.url());
    let old_config = metrics_pipeline(old_statsd, "", &[("datadog", exporter)]);
    let old = Hornpipe::start(&old_directory.write("pipeline.yaml", &old_config), old_statsd);
    let options = format!("    forward_to: {old_statsd}{RULES}");
    let config = metrics_pipeline(statsd, &options, &backends.exporters());
    let new = Hornpipe::start(&directory.write("pipeline.yaml", &config), statsd);

    let two_minutes_ago = SystemTime::now() - Duration::from_secs(120);
    let time = two_minutes_ago.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let timed = format!("batch.rows:50|c|T{time}\nbatch.lag:7|g|T{time}");
    for number in 0..30 {
        new.send([&*format!("gunicorn.request.status.200:1|c|@1.0\norders:2|c|#user:{number},env:p\nbad")]);
    }
    new.send([&*timed]);
    let counters = new.stop();
    let old_counters = old.stop();

    let receiver = &counters.components[0];
    assert_eq!((receiver.received, receiver.passed, receiver.dropped["missing_type"]), (92, 62, 30));
    backends.assert_counter("shop.gunicorn.request.status", &["code:200"], 30.0);
    backends.assert_counter("shop.orders", &["env:p"], 60.0);
    let rows = backends.datadog.points("shop.batch.rows");
    assert_eq!(
        rows.iter().map(|point| (point.timestamp, point.value, point.interval)).collect::<Vec<_>>(),
        [(time as i64, 5.0, 10)]
    );
    let lag = backends.datadog.points("shop.batch.lag");
    assert_eq!(lag.iter().map(|point| (point.timestamp, point.value)).collect::<Vec<_>>(), [(time as i64, 7.0)]);
    for (kind, server) in backends.otlp() {
        assert_eq!(server.sum("shop.batch.rows", &[]), 50.0, "{kind}");
        for name in ["shop.batch.rows", "shop.batch.lag"] {
            let times: Vec<u64> = server.points(name).iter().map(|point| point.time / 1_000_000_000).collect();
            assert_eq!(times, [time], "{name} over {kind}");
        }
    }
    backends.assert_clean();

    assert_eq!(old_counters.components[0].received, 92, "every line came a second time");
    assert_eq!(old_backend.sum_as_count("gunicorn.request.status.200", &[]), 30.0);
    assert_eq!(old_backend.sum_as_count("orders", &["user:7", "env:p"]), 2.0);
}
