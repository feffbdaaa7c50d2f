//! Statuses, counts and messages.

use hornpipe_model::CheckStatus;

use super::*;

fn result(app: &App) -> (&str, CheckStatus, u64, u64, &str) {
    (&app.name, app.status, app.working, app.idle, &app.message)
}

const UNTITLED: [&str; 5] = ["/venv/bin/python3", "/venv/bin/gunicorn", "-n", "web1", "app:app"];

#[tokio::test]
async fn workers_that_use_cpu_time_between_two_looks_are_working() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 3);
    let mut bench = Bench::new(proc.path(), &["web1"]);
    let collection = bench
        .run_with(|| {
            proc.stat(11, 10, 'S', 1).stat(13, 10, 'Z', 5);
        })
        .await;
    let app = &collection.outcomes[0].apps[0];
    assert_eq!(result(app), ("web1", CheckStatus::Ok, 1, 1, ""), "one worked, one did not, one ended");
}

#[tokio::test]
async fn without_a_master_the_words_are_the_agents() {
    let proc = FakeProc::new();
    proc.titled("web2", 10, 3);
    let apps = Bench::new(proc.path(), &["web1"]).run().await;
    let message = "No gunicorn process with name web1 found, skipping worker metrics";
    assert_eq!(result(&apps[0]), ("web1", CheckStatus::Critical, 0, 0, message));
    assert!(apps[0].masters.is_empty());
}

#[tokio::test]
async fn a_master_without_workers_is_critical_in_the_agents_words() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 0);
    let apps = Bench::new(proc.path(), &["web1"]).run().await;
    let message = "0 working and 0 idle workers for web1";
    assert_eq!(result(&apps[0]), ("web1", CheckStatus::Critical, 0, 0, message));
    assert_eq!(apps[0].masters.len(), 1);
}

#[tokio::test]
async fn masters_of_one_name_are_pooled() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 2).titled("web1", 20, 3).process(30, 10, &["gunicorn: master [web1.2]"]);
    proc.process(31, 30, &["gunicorn: worker [web1.2]"]);
    let apps = Bench::new(proc.path(), &["web1"]).run().await;
    assert_eq!((apps[0].idle, apps[0].masters.len()), (6, 3));
}

#[tokio::test]
async fn the_star_finds_every_application_that_no_instance_names() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 1).titled("web2", 20, 2).titled("web3", 30, 3);
    let apps = Bench::new(proc.path(), &["*", "web2"]).run().await;
    let found: Vec<_> = apps.iter().map(|app| (app.name.as_str(), app.idle)).collect();
    assert_eq!(found, [("web1", 1), ("web3", 3), ("web2", 2)]);
}

#[tokio::test]
async fn an_application_once_seen_is_missed_until_it_is_forgotten() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 1);
    let mut bench = Bench::new(proc.path(), &["*"]);
    assert_eq!(bench.run().await[0].status, CheckStatus::Ok);
    proc.end(10).end(11);
    let message = "No gunicorn process with name web1 found, skipping worker metrics";
    for _ in 0..2 {
        assert_eq!(result(&bench.run().await[0]), ("web1", CheckStatus::Critical, 0, 0, message));
        bench.time.advance(Duration::from_secs(12 * 3600 - 10)).await;
    }
    proc.titled("web1", 50, 1);
    assert_eq!(bench.run().await[0].status, CheckStatus::Ok, "it came back");
    proc.end(50).end(51);
    bench.time.advance(Duration::from_secs(24 * 3600)).await;
    assert_eq!(bench.run().await, []);
}

#[tokio::test]
async fn an_application_without_titles_runs_and_the_check_says_what_is_missing() {
    let proc = FakeProc::new();
    proc.process(10, 1, &UNTITLED).process(11, 10, &UNTITLED);
    let message =
        "web1 runs without process titles (master PID 10): the setproctitle package is missing in its environment";
    for instance in ["web1", "*"] {
        let apps = Bench::new(proc.path(), &[instance]).run().await;
        assert_eq!(result(&apps[0]), ("web1", CheckStatus::Ok, 0, 1, message));
    }
}

#[tokio::test]
async fn where_an_untitled_one_may_be_it_nobody_says_that_it_does_not_run() {
    let proc = FakeProc::new();
    let line = ["/venv/bin/python3", "/venv/bin/gunicorn", "-c", "unreadable.py", "app:app"];
    proc.process(10, 1, &line).process(11, 10, &line);
    let apps = Bench::new(proc.path(), &["web1"]).run().await;
    let message = "gunicorn runs without process titles (master PID 10) under a name that its command line does not tell, \
                   which may be web1: the setproctitle package is missing in its environment";
    assert_eq!(result(&apps[0]), ("web1", CheckStatus::Unknown, 0, 0, message));
    // One whose name is known is another one.
    proc.process(10, 1, &UNTITLED).process(11, 10, &UNTITLED);
    let apps = Bench::new(proc.path(), &["web2"]).run().await;
    assert_eq!(apps[0].status, CheckStatus::Critical);
}

#[tokio::test]
async fn what_is_only_starting_is_not_remembered_by_a_name_that_it_may_not_keep() {
    let proc = FakeProc::new();
    proc.process(10, 1, &UNTITLED);
    let mut bench = Bench::new(proc.path(), &["*"]);
    assert_eq!(bench.run().await, []);
    proc.titled("shop", 10, 1);
    let apps = bench.run().await;
    assert_eq!(apps.iter().map(|app| app.name.as_str()).collect::<Vec<_>>(), ["shop"]);
}

#[tokio::test]
async fn an_upgraded_master_belongs_to_its_application_before_and_after_it_is_promoted() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 2);
    let mut bench = Bench::new(proc.path(), &["*"]);
    assert_eq!(bench.run().await[0].idle, 2);
    proc.process(20, 10, &["gunicorn: master [web1.2]"]).process(21, 20, &["gunicorn: worker [web1.2]"]);
    assert_eq!(bench.run().await[0].idle, 3);
    // The old one is gone; the new one has not noticed yet.
    proc.end(10).end(11).end(12).stat(20, 1, 'S', 0);
    let apps = bench.run().await;
    assert_eq!(apps.len(), 1);
    assert_eq!(result(&apps[0]), ("web1", CheckStatus::Ok, 0, 1, ""));
    proc.process(20, 1, &["gunicorn: master [web1]"]);
    assert_eq!(result(&bench.run().await[0]), ("web1", CheckStatus::Ok, 0, 1, ""));
}

#[tokio::test]
async fn an_application_may_be_called_something_dot_two() {
    let proc = FakeProc::new();
    proc.titled("api.2", 10, 1);
    let apps = Bench::new(proc.path(), &["*"]).run().await;
    assert_eq!(apps[0].name, "api.2");
    let apps = Bench::new(proc.path(), &["api", "api.2"]).run().await;
    assert_eq!(apps.iter().map(|app| app.status).collect::<Vec<_>>(), [CheckStatus::Critical, CheckStatus::Ok]);
    let apps = Bench::new(proc.path(), &["api"]).run().await;
    assert_eq!(apps[0].status, CheckStatus::Ok, "an upgrade in the moment between two titles");
}

#[tokio::test]
async fn many_collections_leave_nothing_behind() {
    let proc = FakeProc::new();
    let mut bench = Bench::new(proc.path(), &["web1", "*"]);
    for round in 0..50 {
        proc.titled("web1", 100 + round * 10, 1).titled(&format!("app{round}"), 1_000 + round * 10, 1);
        bench.run().await;
        for pid in [100 + round * 10, 101 + round * 10, 1_000 + round * 10, 1_001 + round * 10] {
            proc.end(pid);
        }
        bench.time.advance(Duration::from_secs(3600)).await;
    }
    let apps = bench.run().await;
    assert!(apps.len() <= 26, "of 50 applications those of the last day: {}", apps.len());
}

#[tokio::test]
async fn the_second_look_touches_only_the_workers() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 2).titled("web2", 20, 1).process(40, 1, &["sleep", "60"]);
    let mut bench = Bench::new(proc.path(), &["web1"]);
    // Opening a pipe that nobody writes to never ends, so whoever looks at any other file waits for ever.
    let block = || {
        let untouched = ["10/stat", "10/cmdline", "11/cmdline", "12/cmdline", "20/stat", "20/cmdline", "21/stat"];
        for file in untouched.iter().chain(&["21/cmdline", "40/stat", "40/cmdline"]) {
            let path = proc.path().join(file);
            fs::remove_file(&path).unwrap();
            assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        }
        proc.stat(12, 10, 'S', 1);
    };
    let running = bench.run_with(block);
    let collection = tokio::time::timeout(Duration::from_secs(20), running).await.unwrap();
    let app = &collection.outcomes[0].apps[0];
    assert_eq!(result(app), ("web1", CheckStatus::Ok, 1, 1, ""));
}
