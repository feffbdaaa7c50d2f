//! What is told of a master beside its workers, and the metrics that are made of it.

use std::sync::Arc;

use hornpipe_engine::Shutdown;
use hornpipe_engine::component::ReceiverConfig;
use hornpipe_engine::telemetry::ComponentKind;
use hornpipe_engine::testing::{CollectingSink, build_context};
use hornpipe_model::{MetricPoint, MetricValue};

use super::*;
use crate::inspect::Statsd;

const CONTAINER: &str = "3dc2a4f0b1c93dc2a4f0b1c93dc2a4f0b1c93dc2a4f0b1c93dc2a4f0b1c9abcd";

/// A connected UDP socket of user 0 with inode 70, a listening TCP socket with inode 71, a control socket with inode 72.
#[cfg(target_endian = "little")]
fn with_sockets(proc: &FakeProc, pid: u32) {
    let heading = "sl\n";
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(proc.path()).unwrap());
    proc.file(
        pid,
        "net/udp",
        &format!("{heading} 1: 0100007F:C350 0100007F:1FBD 01 0:0 00:0 0 {owner} 0 70 2 0 0\n 2: 0100007F:C350 0100007F:0035 01 0:0 00:0 0 {owner} 0 99 2 0 0\n"),
    );
    proc.file(
        pid,
        "net/tcp",
        &format!("{heading} 1: 0100007F:1F40 00000000:0000 0A 00000000:00000003 00:0 0 {owner} 0 71 2 0 0\n"),
    );
    proc.file(pid, "net/unix", &format!("{heading}00: 00000002 00000000 00010000 0001 01 72 /run/web1.ctl\n"));
    fs::create_dir_all(proc.path().join(pid.to_string()).join("fd")).unwrap();
    for (number, inode) in [70, 71, 72].iter().enumerate() {
        let link = proc.path().join(format!("{pid}/fd/{number}"));
        std::os::unix::fs::symlink(format!("socket:[{inode}]"), link).unwrap();
    }
}

#[test]
#[cfg(target_endian = "little")]
fn a_masters_sockets_and_container_are_seen_where_they_may_be_read() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 1);
    let facts = || proc.look().masters.remove(0).facts;
    assert_eq!(facts(), crate::inspect::Facts::default(), "nothing can be read");

    proc.file(10, "net/udp", "sl\n").file(10, "cgroup", &format!("0::/system.slice/docker-{CONTAINER}.scope\n"));
    proc.file(10, "status", "Name:\tgunicorn\nNSpid:\t10\t1\n");
    assert_eq!(facts().statsd, Statsd::Unknown, "its files may not be read, and nobody of its user is connected");
    with_sockets(&proc, 10);
    let seen = facts();
    assert_eq!(seen.statsd, Statsd::Connected("127.0.0.1:8125".parse().unwrap()));
    assert_eq!((seen.container.as_deref(), &seen.pids[..]), (Some(CONTAINER), &[10, 1][..]));
    assert_eq!(seen.control, [proc.path().join("10/root/run/web1.ctl")]);
    fs::remove_file(proc.path().join("10/fd/0")).unwrap();
    assert_eq!(facts().statsd, Statsd::Missing);
    fs::remove_dir_all(proc.path().join("10/fd")).unwrap();
    assert_eq!(facts().statsd, Statsd::Probably("127.0.0.1:8125".parse().unwrap()));
}

/// The points of two collections of a receiver, 15 s apart; `between` happens in between.
async fn two_collections(proc: &FakeProc, settings: &str, between: impl FnOnce()) -> Vec<Vec<MetricPoint>> {
    let mut config: GunicornConfig = serde_json::from_str(settings).unwrap();
    config.procfs_path = proc.path().to_str().unwrap().to_owned();
    config.init_config.gunicorn = Some("false".to_owned());
    let time = FakeClock::new();
    let sink = CollectingSink::new(&time);
    let context = build_context(ComponentKind::Receiver, "gunicorn", &time);
    let outputs = sink.outputs(&context.telemetry);
    let (stop, shutdown) = Shutdown::new();
    let task = tokio::spawn(config.build(context).unwrap().run(outputs, shutdown));
    let mut between = Some(between);
    for step in 0..200_000_u32 {
        let batches = sink.batches().len();
        if batches >= 2 {
            break;
        }
        if batches == 1
            && let Some(between) = between.take()
        {
            between();
        }
        if step % 4 == 0 {
            time.advance(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
    stop.request();
    task.await.unwrap().unwrap();
    let points = |batch: hornpipe_engine::testing::Collected| match batch.data {
        hornpipe_model::Data::Metrics(batch) => Arc::unwrap_or_clone(batch).points,
        hornpipe_model::Data::Logs(_) => Vec::new(),
    };
    sink.batches().into_iter().map(points).collect()
}

/// The value of the point of this name that has these tags.
fn value(points: &[MetricPoint], name: &str, tags: &[&str]) -> Option<f64> {
    let has = |point: &&MetricPoint| {
        point.context.name() == name && tags.iter().all(|tag| point.context.tags().iter().any(|found| found == *tag))
    };
    points.iter().find(has).map(|point| match point.value {
        MetricValue::Gauge(value) => value,
        MetricValue::Count { sum, .. } => sum,
        _ => panic!("{point:?}"),
    })
}

#[tokio::test]
#[cfg(target_endian = "little")]
async fn further_metrics_are_sent_where_asked() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 2);
    fs::write(proc.path().join("uptime"), "100.50 0").unwrap();
    with_sockets(&proc, 10);
    fs::create_dir_all(proc.path().join("11/fd/0")).unwrap();
    let batches = two_collections(&proc, r#"{"extra_metrics": true}"#, || {
        // One worker used 3 s, the other one was replaced.
        proc.stat(11, 10, 'S', 300).end(12).process(15, 10, &["gunicorn: worker [web1]"]);
    })
    .await;
    let (first, second) = (&batches[0], &batches[1]);
    // The workers started 0.11 s and 0.12 s after the system, the master 0.1 s.
    assert_eq!(value(first, "gunicorn.worker.age", &["app:web1"]), Some(100.5 - 0.11));
    assert_eq!(value(first, "gunicorn.master.uptime", &[]), Some(100.4));
    assert_eq!(value(first, "gunicorn.worker.memory.rss", &[]), Some(0.0));
    assert_eq!(value(first, "gunicorn.worker.open_files", &[]), Some(1.0), "of those that may be read");
    assert_eq!(value(first, "gunicorn.listener.queue", &[]), Some(3.0));
    assert_eq!(value(first, "gunicorn.listener.queue.limit", &[]), None, "not in our network");
    assert_eq!(value(first, "gunicorn.worker.restarts", &[]), None, "that needs two looks");
    assert_eq!(value(second, "gunicorn.worker.restarts", &["reason:unknown"]), Some(1.0));
    assert_eq!(value(second, "gunicorn.worker.restarts", &["reason:killed"]), Some(0.0));
    let cpu = value(second, "gunicorn.worker.cpu", &[]).unwrap();
    assert!((0.15..0.25).contains(&cpu), "3 s in about 15 s: {cpu}");
    let units: Vec<&str> = second.iter().map(|point| point.context.unit()).collect();
    assert!(units.contains(&"By") && units.contains(&"s"), "{units:?}");
    assert!(second.iter().all(|point| !point.context.tags().iter().any(|tag| tag.starts_with("pid:"))));
}

#[tokio::test]
async fn masters_of_one_name_are_told_apart_where_asked() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 2).titled("web1", 20, 1).titled("web1", 30, 3);
    proc.file(10, "cgroup", &format!("0::/docker/{CONTAINER}\n"));
    let batches = two_collections(&proc, r#"{"master_tags": ["container_id"]}"#, || {}).await;
    let container = format!("container_id:{CONTAINER}");
    assert_eq!(value(&batches[0], "gunicorn.workers", &["state:idle", &container]), Some(2.0));
    let of_none: Vec<f64> = batches[0]
        .iter()
        .filter(|point| point.context.name() == "gunicorn.workers" && point.context.tags().len() == 2)
        .filter_map(|point| value(std::slice::from_ref(point), "gunicorn.workers", &["state:idle"]))
        .collect();
    assert_eq!(of_none, [4.0], "those in no container together");
    let batches = two_collections(&proc, r#"{"master_tags": ["pid"]}"#, || {}).await;
    for (tag, workers) in [("pid:10", 2.0), ("pid:20", 1.0), ("pid:30", 3.0)] {
        assert_eq!(value(&batches[0], "gunicorn.workers", &["state:idle", tag]), Some(workers));
    }
    let checks = batches[0].iter().filter(|point| point.context.name() == "gunicorn.is_running").count();
    assert_eq!(checks, 1, "one check an application");
}
