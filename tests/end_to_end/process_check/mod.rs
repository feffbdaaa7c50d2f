//! The check of Gunicorn's processes beside real Gunicorns: what it says is exact, and it never says that one does not run
//! that does.

mod application;

use std::collections::BTreeMap;

use application::{Application, Checked, Titles, program, run};
use hornpipe_engine::testing::{FakeDatadog, FakeOtlp, eventually};
use serde_json::json;

use crate::support::{Directory, Hornpipe, free_address, hornpipe};

/// The message about an application that does not run.
fn not_found(name: &str) -> String {
    format!("No gunicorn process with name {name} found, skipping worker metrics")
}

#[test]
fn workers_are_counted_of_every_class_with_and_without_titles() {
    for (class, titles) in
        [("sync", Titles::Shown), ("sync", Titles::Missing), ("gthread", Titles::Shown), ("gthread", Titles::Missing)]
    {
        let app = Application::start(&format!("{class}-{titles:?}"), titles, &["--worker-class", class]);
        let check = app.until("two idle workers", |check| check.idle == Some(2));
        let expected = match titles {
            Titles::Shown => String::new(),
            Titles::Missing => format!(
                "{} runs without process titles (master PID {}): the setproctitle package is missing in its environment",
                app.name,
                app.pid()
            ),
        };
        assert_eq!((check.code, check.status, &check.message), (Some(0), 0, &expected), "{class} {titles:?}");
        assert_eq!(check.tags, json!([format!("app:{}", app.name)]));
        let python = program("python");
        let folder = python.parent().unwrap().display();
        let advice =
            |line: &String| line.contains(&format!("{folder}/python")) && line.contains(" -m pip install setproctitle");
        assert_eq!(check.details.iter().any(advice), titles == Titles::Missing, "{check:?}");

        let lines = [
            format!("{}: 2 of 2 workers (", app.name),
            format!("{}: statsd: not connected: start with --statsd-host and the address", app.name),
        ];
        for line in lines {
            app.until(&line, |check| check.details.iter().any(|found| found.starts_with(&line)));
        }

        // A worker that waits is idle, one that computes is working.
        let waiting = app.ask("/sleep/1500");
        app.until("a waiting worker that is idle", |check| check.idle == Some(2));
        drop(waiting);
        let burning = app.ask("/burn/3000");
        app.until("a working worker", |check| check.working == Some(1) && check.idle == Some(1));
        drop(burning);
        app.stop();
    }
}

#[test]
fn an_upgrade_never_looks_like_an_end() {
    for titles in [Titles::Shown, Titles::Missing] {
        let app = Application::start(&format!("usr2-{titles:?}"), titles, &["--timeout", "4"]);
        app.signal("USR2");
        app.until("both masters' workers", |check| check.workers() == 4);
        let both = app.check();
        let new = app.pid_in("pid.2").unwrap();
        assert!(both.details[0].ends_with(&format!("master PIDs {}, {new}", app.pid())), "{both:?}");
        app.signal("QUIT");
        app.until("the new master's workers", |check| {
            check.workers() == 2 && check.details[0].ends_with(&format!("master PID {new}"))
        });
        // The new master has taken the old one's name by now, or does so while we look.
        for _ in 0..8 {
            app.until("the same", |check| check.workers() == 2);
        }
        terminate(new);
        app.wait("its end", |check| check.status == 2 && check.message == not_found(&app.name));
    }
}

/// Ends a master that is not our child.
fn terminate(pid: u32) {
    let sent = std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn a_reload_and_a_worker_that_is_killed_never_look_like_an_end() {
    let app = Application::start("reload", Titles::Shown, &["--timeout", "2"]);
    app.signal("HUP");
    for _ in 0..12 {
        app.until("a worker at least", |check| check.workers() >= 1);
    }
    app.until("two workers after the reload", |check| check.workers() == 2);
    let stuck = app.ask("/sleep/30000");
    app.until("a worker less or a new one", |_| app.killed_a_worker());
    app.until("two workers after a timeout", |check| check.workers() == 2);
    drop(stuck);
    app.stop();
}

/// The options of the Agent's `gunicorn.d/conf.yaml` as its users have them, indented to stand below `gunicorn:`.
const CONF_YAML: &str = "
    init_config:

        ## The command or path to gunicorn.
        #
        gunicorn: GUNICORN

        # service: <SERVICE>

    instances:

        ## The name of the gunicorn process.
        #
      - proc_name: NAME

        # gunicorn: <GUNICORN>

        tags:
          - team:web
          - role:shop

        service: shop

        min_collection_interval: 1

        empty_default_hostname: false

        metric_patterns:
          include:
          - ^gunicorn\\.
          # exclude:
          # - <EXCLUDE_REGEX>
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agents_settings_run_and_both_backends_get_what_the_agent_sends() {
    let (statsd, directory) = (free_address(), Directory::new());
    let app = Application::start("agent", Titles::Shown, &["--timeout", "4", "--statsd-host", &statsd.to_string()]);
    let (datadog, otlp) = (FakeDatadog::start().await, FakeOtlp::start().await);
    let settings = CONF_YAML.replace("GUNICORN", program("gunicorn").to_str().unwrap()).replace("NAME", &app.name);
    let config = directory.write(
        "pipeline.yaml",
        &format!(
            "receivers:\n  statsd: {{endpoint: '{statsd}', aggregation_interval: 1s}}\n  gunicorn:{settings}\
             processors:\n  prefer_check:\n\
             exporters:\n  datadog: {{api: {{key: '{}'}}, metrics: {{endpoint: '{}'}}}}\n  \
             otlp: {{endpoint: '{}', tls: {{insecure: true}}}}\n\
             service:\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines:\n    \
             metrics: {{receivers: [statsd, gunicorn], processors: [prefer_check], exporters: [datadog, otlp]}}\n",
            FakeDatadog::API_KEY,
            datadog.url(),
            otlp.url()
        ),
    );
    let mut hornpipe = Hornpipe::start(&config, statsd);
    hornpipe.wait_for_line(&format!("gunicorn runs {}: master PID {}, 2 workers", app.name, app.pid()));
    let name = format!("app:{}", app.name);
    let tags = [name.as_str(), "team:web", "role:shop", "service:shop"];
    eventually("gauges of both states", || {
        ["state:idle", "state:working"].iter().all(|state| !tagged(&datadog, &tags, state).is_empty())
    })
    .await;
    let idle = &tagged(&datadog, &tags, "state:idle")[0];
    assert_eq!((idle.interval, idle.source_type_name.as_str()), (0, "System"));
    eventually("the service check", || !datadog.checks("gunicorn.is_running").is_empty()).await;
    let ok = &datadog.checks("gunicorn.is_running")[0];
    assert_eq!((ok.status, ok.message.as_str(), ok.host.as_str()), (0, "", "test-host"));
    assert!(tags.iter().all(|tag| ok.tags.iter().any(|sent| sent == tag)), "{ok:?}");

    // Gunicorn's own gauge comes when its number of workers changes. The first one after hornpipe's start is lost to the error
    // that the system kept from before.
    for workers in [3.0, 4.0] {
        app.signal("TTIN");
        eventually("one worker more", || workers_at_once(&datadog, &tags).contains(&workers)).await;
    }

    let state = directory.path().join("state");
    let status = || hornpipe_status(&state);
    eventually("the version", || status().contains("  gunicorn (27.0.1)\n    instance #0 [OK]\n")).await;

    let connected = format!("{}: statsd: connected to {statsd}\n", app.name);
    assert!(status().contains(&connected), "{}", status());

    app.signal("KILL");
    let critical = || datadog.checks("gunicorn.is_running").into_iter().find(|check| check.status == 2);
    eventually("the end", || critical().is_some()).await;
    assert_eq!(critical().unwrap().message, not_found(&app.name));
    hornpipe.wait_for_line(&not_found(&app.name));
    let line = format!("instance #0 [ERROR]: 'Found no master process with name: gunicorn: master [{}]'", app.name);
    eventually("the end in status", || status().contains(&line)).await;

    let counters = hornpipe.stop();
    let prefer_check = counters.components.iter().find(|component| component.id == "prefer_check").unwrap();
    assert!(prefer_check.dropped.get("superseded_by_check").is_some_and(|dropped| *dropped >= 1), "{prefer_check:?}");
    let workers = datadog.points("gunicorn.workers");
    let ours =
        |point: &&hornpipe_engine::testing::SeriesPoint| point.key.tags.iter().any(|tag| tag.starts_with("state:"));
    assert_eq!(workers.iter().filter(ours).count(), workers.len(), "none of Gunicorn's own");
    let is_running = otlp.points("gunicorn.is_running");
    assert!(!is_running.is_empty());
    datadog.assert_clean();
    otlp.assert_clean();
}

fn tagged(datadog: &FakeDatadog, tags: &[&str], state: &str) -> Vec<hornpipe_engine::testing::SeriesPoint> {
    datadog.tagged_points("gunicorn.workers", &[tags, &[state]].concat())
}

/// The sum over both states for each time at which they were sent.
fn workers_at_once(datadog: &FakeDatadog, tags: &[&str]) -> Vec<f64> {
    let mut sums: BTreeMap<i64, f64> = BTreeMap::new();
    for state in ["state:idle", "state:working"] {
        for point in tagged(datadog, tags, state) {
            *sums.entry(point.timestamp).or_default() += point.value;
        }
    }
    sums.into_values().collect()
}

fn hornpipe_status(state: &std::path::Path) -> String {
    let output = hornpipe().arg("status").env("HORNPIPE_STATE_DIR", state).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_command_says_what_it_would_send_and_ends_with_the_status() {
    let name = format!("check-{}-nobody", std::process::id());
    let check = Checked::of(&name, &[]);
    assert_eq!((check.code, check.status, check.message.as_str()), (Some(2), 2, not_found(&name).as_str()));
    assert_eq!((check.working, check.idle), (None, None));
    assert_eq!(check.json["aggregator"]["metrics"], json!([]));

    let output = run(&["check", "gunicorn", "--name", &name]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2));
    for part in [
        "=== Service Checks ===\n[\n",
        "\nChecks\n  gunicorn (version unknown)\n",
        &format!("    instance #0 [ERROR]: 'Found no master process with name: gunicorn: master [{name}]'\n"),
        "    Collected 0 metrics, 0 events & 1 service check\n    Dependencies: sysinfo: ",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert!(!text.contains("=== Series ==="), "{text}");

    let directory = Directory::new();
    let broken = directory.write("pipeline.yaml", "receivers: {gunicorn: {instances: [{tags: [a]}]}}\nexporters: {debug: }\nservice: {pipelines: {metrics: {receivers: [gunicorn], exporters: [debug]}}}\n");
    let output = run(&["check", "gunicorn", "--config", broken.to_str().unwrap()]);
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(words.contains("instance must specify: proc_name"), "{words}");
}

#[test]
fn further_metrics_come_of_a_real_application() {
    let app = Application::start("extra", Titles::Shown, &["--backlog", "64"]);
    let directory = Directory::new();
    let config = directory.write(
        "pipeline.yaml",
        "receivers: {gunicorn: {extra_metrics: true}}\nexporters: {debug: }\n\
         service: {pipelines: {metrics: {receivers: [gunicorn], exporters: [debug]}}}\n",
    );
    let check = Checked::of(&app.name, &["--config", config.to_str().unwrap()]);
    let metrics = check.json["aggregator"]["metrics"].as_array().unwrap();
    let value = |name: &str| {
        let found = metrics.iter().find(|metric| metric["metric"] == name);
        found.unwrap_or_else(|| panic!("no {name}: {check:?}"))["points"][0][1].as_f64().unwrap()
    };
    assert!(value("gunicorn.worker.memory.rss") > 1e6, "{check:?}");
    assert!(value("gunicorn.worker.open_files") >= 6.0, "{check:?}");
    assert!((0.0..60.0).contains(&value("gunicorn.worker.age")), "{check:?}");
    assert!((0.0..60.0).contains(&value("gunicorn.worker.heartbeat.age")), "{check:?}");
    assert!(value("gunicorn.master.uptime") >= value("gunicorn.worker.age"));
    assert_eq!((value("gunicorn.listener.queue"), value("gunicorn.listener.queue.limit")), (0.0, 64.0));
    assert_eq!(value("gunicorn.workers.target"), 2.0);
    app.stop();
}
