//! The receiver in its loop: when it collects, what it sends, counts and says.

use std::sync::Arc;

use hornpipe_engine::component::ReceiverConfig;
use hornpipe_engine::status::Health;
use hornpipe_engine::telemetry::{ComponentKind, ComponentTelemetry, Status};
use hornpipe_engine::testing::{CollectingSink, assert_accounted, build_context, eventually};
use hornpipe_engine::{Shutdown, ShutdownTrigger};
use hornpipe_model::{CheckStatus, MetricPoint, MetricValue, Origin, Signal};
use tokio::task::JoinHandle;

use super::*;

/// A receiver at work over a process table.
struct Run {
    time: FakeClock,
    sink: CollectingSink,
    telemetry: Arc<ComponentTelemetry>,
    stop: ShutdownTrigger,
    task: JoinHandle<Result<(), String>>,
}

impl Run {
    fn start(root: &Path, settings: &str) -> Self {
        let mut config: GunicornConfig = serde_json::from_str(settings).unwrap();
        config.procfs_path = root.to_str().unwrap().to_owned();
        config.init_config.gunicorn.get_or_insert_with(|| "/bin/echo gunicorn (version 1.2.3)".to_owned());
        let time = FakeClock::new();
        let sink = CollectingSink::new(&time);
        let context = build_context(ComponentKind::Receiver, "gunicorn", &time);
        let telemetry = Arc::clone(&context.telemetry);
        let (stop, shutdown) = Shutdown::new();
        let outputs = sink.outputs(&telemetry);
        let task = tokio::spawn(config.build(context).unwrap().run(outputs, shutdown));
        Run { time, sink, telemetry, stop, task }
    }

    /// Waits for so many batches in all, with time going on as far as the check itself needs.
    async fn until_batches(&self, count: usize) {
        let now = || self.time.clock().unix().since(FakeClock::START).as_millis();
        let start = now();
        for _ in 0..5_000 {
            if self.sink.batches().len() >= count {
                return;
            }
            if now() - start < 100 && self.time.sleepers() > 0 {
                self.time.advance(Duration::from_millis(100)).await;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("only {} batches of {count}", self.sink.batches().len());
    }

    async fn stop(self) -> Arc<ComponentTelemetry> {
        self.stop.request();
        assert_eq!(self.task.await.unwrap(), Ok(()));
        assert_accounted(&self.telemetry, Signal::Metrics);
        assert_eq!(self.telemetry.signal(Signal::Metrics).held.get(), 0);
        self.telemetry
    }
}

/// A point as name, tags and value.
fn line(point: &MetricPoint) -> String {
    let value = match &point.value {
        MetricValue::Gauge(value) => value.to_string(),
        MetricValue::ServiceCheck(check) => format!("{:?} {:?}", check.status, check.message),
        other => panic!("{other:?}"),
    };
    let tags: Vec<&str> = point.context.tags().iter().collect();
    format!("{} {} {value}", point.context.name(), tags.join(","))
}

#[tokio::test]
async fn the_points_are_those_of_the_agent() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 3);
    let run = Run::start(
        proc.path(),
        r#"{"init_config": {"service": "all"},
            "instances": [{"proc_name": "web1", "tags": ["team:web"], "service": "shop"}, {"proc_name": "gone"}]}"#,
    );
    run.until_batches(1).await;
    let points = run.sink.points();
    assert_eq!(
        points.iter().map(line).collect::<Vec<_>>(),
        [
            "gunicorn.workers app:web1,service:shop,state:working,team:web 0",
            "gunicorn.workers app:web1,service:shop,state:idle,team:web 3",
            "gunicorn.is_running app:web1,service:shop,team:web Ok \"\"",
            "gunicorn.is_running app:gone,service:all Critical \
             \"No gunicorn process with name gone found, skipping worker metrics\"",
        ]
    );
    for point in &points {
        assert_eq!((point.origin, point.window.interval), (Origin::Check, None));
        assert_eq!(point.window.start, point.window.end, "the time of the reading");
        assert_eq!(point.context.host(), None);
    }
    assert_eq!(points[0].context.unit(), "{worker}");
    let telemetry = run.stop().await;
    assert_eq!(telemetry.signal(Signal::Metrics).passed.get(), 4);
}

#[tokio::test]
async fn each_instance_is_looked_at_in_its_own_time_and_series_keep_their_contexts() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 1).titled("web2", 20, 1);
    let run = Run::start(
        proc.path(),
        r#"{"instances": [{"proc_name": "web1"}, {"proc_name": "web2", "min_collection_interval": 30}]}"#,
    );
    run.until_batches(1).await;
    run.time.advance(Duration::from_secs(15)).await;
    run.until_batches(2).await;
    run.time.advance(Duration::from_secs(15)).await;
    run.until_batches(3).await;
    let batches: Vec<Vec<MetricPoint>> = run
        .sink
        .batches()
        .into_iter()
        .map(|batch| match batch.data {
            hornpipe_model::Data::Metrics(batch) => batch.points.clone(),
            hornpipe_model::Data::Logs(_) => Vec::new(),
        })
        .collect();
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [6, 3, 6]);
    assert!(Arc::ptr_eq(&batches[0][0].context, &batches[1][0].context));
    run.stop().await;
}

#[tokio::test]
async fn only_wanted_metrics_are_sent_and_without_a_host_where_asked() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 1);
    let run = Run::start(
        proc.path(),
        r#"{"instances": [{"proc_name": "web1", "empty_default_hostname": true,
                           "metric_patterns": {"include": ["gunicorn"], "exclude": ["work.rs$"]}}]}"#,
    );
    run.until_batches(1).await;
    let points = run.sink.points();
    assert_eq!(points.iter().map(line).collect::<Vec<_>>(), ["gunicorn.is_running app:web1 Ok \"\""]);
    assert_eq!(points[0].context.host(), Some(""));
    run.stop().await;
}

#[tokio::test]
async fn the_status_page_shows_the_check_with_its_version() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 2);
    let run = Run::start(proc.path(), r#"{"instances": [{"proc_name": "web1"}, {"proc_name": "my_web_app"}]}"#);
    run.until_batches(1).await;
    let check = || run.telemetry.check().unwrap_or_default();
    eventually("the version", || check().version.is_some()).await;
    let expected = "  gunicorn (1.2.3)
    instance #0 [OK]
      web1: 0 working and 2 idle workers, master PID 10
    instance #1 [ERROR]: 'Found no master process with name: gunicorn: master [my_web_app]'
      my_web_app: not running
    Collected 2 metrics, 0 events & 2 service checks
    Dependencies: sysinfo: 0.40.1
";
    assert_eq!(check().to_string(), expected);
    assert_eq!(run.telemetry.status(), Status::Ok, "an application that is down is no failure of ours");
    run.stop().await;
}

#[tokio::test]
async fn untitled_masters_come_with_the_command_that_gives_them_titles() {
    let proc = FakeProc::new();
    let line = ["/srv/app/venv/bin/python3", "/srv/app/venv/bin/gunicorn", "app:app"];
    proc.process(10, 1, &line).process(11, 10, &line);
    fs::create_dir_all(proc.path().join("10/cwd")).unwrap();
    let run = Run::start(proc.path(), "{}");
    run.until_batches(1).await;
    let check = run.telemetry.check().unwrap();
    assert_eq!(check.instances[0].status, Health::Ok);
    let advice = "app:app: no process titles at PID 10; for titles: /srv/app/venv/bin/python3 -m pip install setproctitle, \
                  then restart the app";
    assert!(check.instances[0].details.iter().any(|line| line == advice), "{check:?}");
    assert!(matches!(&run.sink.points()[2].value, MetricValue::ServiceCheck(check)
        if check.status == CheckStatus::Ok && check.message.contains("setproctitle")));
    run.stop().await;
}

#[tokio::test]
async fn a_process_table_that_cannot_be_read_is_an_error_until_it_can() {
    let proc = FakeProc::new();
    let root = proc.path().join("later");
    let run = Run::start(&root, "{}");
    eventually("an error", || matches!(run.telemetry.status(), Status::Error(_))).await;
    fs::create_dir_all(&root).unwrap();
    run.time.advance(Duration::from_secs(15)).await;
    eventually("no error", || run.telemetry.status() == Status::Ok).await;
    assert!(run.sink.batches().is_empty(), "no application, no points");
    run.stop().await;
}

#[tokio::test]
async fn a_slow_output_makes_it_wait_and_a_stop_does_not() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 1);
    let run = Run::start(proc.path(), "{}");
    run.sink.hold();
    run.until_batches(1).await;
    for _ in 0..8 {
        run.time.advance(Duration::from_secs(15)).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(run.sink.batches().len() <= 2, "with room for one batch");
    run.stop.request();
    run.sink.release();
    run.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_or_run_is_counted_and_shown_and_the_check_goes_on() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 1);
    fs::create_dir_all(proc.path().join("30/cmdline")).unwrap();
    // No program that a system knows: starting a process fails.
    let program = proc.path().join("gunicorn");
    fs::write(&program, "no program").unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let command = program.display();
    let settings = format!(r#"{{"init_config": {{"gunicorn": "{command}"}}, "instances": [{{"proc_name": "web1"}}]}}"#);
    let run = Run::start(proc.path(), &settings);
    let level = |name: &str| {
        let levels = run.telemetry.levels();
        levels.iter().find(|level| level.name == name).map(|level| level.value.get())
    };
    let check = || run.telemetry.check().unwrap_or_default();
    for failures in 1..=3 {
        run.until_batches(failures).await;
        eventually("the failure", || level("hornpipe_gunicorn_version_failures") == Some(failures as u64)).await;
        let details = check().instances[0].details.clone();
        let about_version = format!("version unknown: {command} --version cannot be run: ");
        assert!(details.iter().any(|line| line.starts_with(&about_version)), "{details:?}");
        assert!(details.contains(&"1 of 3 processes could not be read".to_owned()), "{details:?}");
        assert_eq!(level("hornpipe_gunicorn_unreadable_processes"), Some(1));
        assert_eq!((run.telemetry.status(), check().instances[0].status), (Status::Ok, Health::Ok));
        run.time.advance(Duration::from_secs(15)).await;
    }
    fs::write(&program, "#!/bin/sh\necho 'gunicorn (version 1.2.3)'\n").unwrap();
    // It cannot be run while a process that another test starts just now has it open, as it had been written.
    for collections in 4..10 {
        run.until_batches(collections).await;
        let failures = || level("hornpipe_gunicorn_version_failures");
        eventually("an answer", || check().version.is_some() || failures() == Some(collections as u64)).await;
        if check().version.is_some() {
            break;
        }
        run.time.advance(Duration::from_secs(15)).await;
    }
    assert_eq!(check().version.as_deref(), Some("1.2.3"));
    assert_eq!(check().instances[0].details.len(), 2, "{:?}", check().instances[0].details);
    run.stop().await;
}
