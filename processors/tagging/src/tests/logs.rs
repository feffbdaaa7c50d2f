//! Tags of log sources.

use hornpipe_model::{Body, Log, LogSource};

use super::*;

fn source(service: &str, tags: &[&str]) -> Arc<LogSource> {
    let (path, source) = ("/var/log/app.log".to_owned(), "gunicorn".to_owned());
    Arc::new(LogSource { path, service: service.to_owned(), source, tags: tags.iter().collect() })
}

fn logs(sources: &[&Arc<LogSource>]) -> Batch {
    let record =
        |source: &&Arc<LogSource>| Log::new(Body::Text("x".into()), Timestamp::from_secs(1), Arc::clone(source));
    let records = sources.iter().map(record).collect();
    Batch::new(LogBatch { resource: Arc::new(Resource::default()), scope: Arc::new(Scope::default()), records })
}

fn run_logs(processor: &mut Tagging, sources: &[&Arc<LogSource>]) -> Vec<Arc<LogSource>> {
    match run(processor, logs(sources)).as_ref().map(Batch::data) {
        Some(Data::Logs(logs)) => logs.records.iter().map(|log| Arc::clone(&log.source)).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn actions_change_the_tags_and_the_service_of_logs() {
    for (action, service, tags, expected_service, expected_tags) in [
        ("{action: default, tag: env, value: p}", "", &["a"][..], "", &["a", "env:p"][..]),
        ("{action: default, tag: env, value: p}", "", &["env:dev"], "", &["env:dev"]),
        ("{action: set, tag: env, value: p}", "", &["env:dev"], "", &["env:p"]),
        ("{action: remove, pattern: 'debug.*'}", "", &["debug_a", "b"], "", &["b"]),
        ("{action: rename, from: a, to: b}", "", &["a:1"], "", &["b:1"]),
        // Datadog's `service` of a log is a field of its own.
        ("{action: default, tag: service, value: web}", "", &[], "web", &[]),
        ("{action: default, tag: service, value: web}", "own", &[], "own", &[]),
        ("{action: set, tag: service, value: web}", "own", &["a"], "web", &["a"]),
        ("{action: rename, from: app, to: service}", "", &["app:cart"], "cart", &[]),
        // Names of metrics are none of theirs.
        ("{action: extract, pattern: '(.*)', tag: x}", "", &["a"], "", &["a"]),
        ("{action: add, tag: x, metrics: ['**']}", "", &["a"], "", &["a"]),
    ] {
        let mut processor = processor(&format!("actions: [{action}]"));
        let changed = run_logs(&mut processor, &[&source(service, tags)]);
        assert_eq!(changed[0], source(expected_service, expected_tags), "{action}");
    }
}

#[test]
fn the_environments_service_is_the_service_of_logs_without_one() {
    let environment = FixedEnvironment::new().with_variable("DD_SERVICE", "web").with_variable("DD_ENV", "prod");
    let mut processor = processor_in("from_environment: true", &environment);
    let changed = run_logs(&mut processor, &[&source("", &[]), &source("own", &["env:dev"])]);
    assert_eq!(changed, [source("web", &["env:prod"]), source("own", &["env:dev"])]);
}

#[test]
fn neighbours_share_their_source_across_batches() {
    let mut processor = processor("actions: [{action: default, tag: env, value: p}]");
    let (first, untouched) = (source("", &[]), source("", &["env:dev"]));
    let changed = run_logs(&mut processor, &[&first, &untouched, &first]);
    assert!(Arc::ptr_eq(&changed[0], &changed[2]));
    assert!(Arc::ptr_eq(&changed[1], &untouched));
    assert!(Arc::ptr_eq(&changed[0], &run_logs(&mut processor, &[&first])[0]));

    let batch = logs(&[&untouched]);
    let Data::Logs(before) = batch.data().clone() else { unreachable!() };
    let Some(Data::Logs(after)) = run(&mut processor, batch).map(|batch| batch.data().clone()) else { unreachable!() };
    assert!(Arc::ptr_eq(&before, &after), "nothing was copied");
}
