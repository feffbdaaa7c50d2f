//! Log files of a real Gunicorn: every line arrives once at both backends, tracebacks whole, whatever happens to workers
//! and files meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hornpipe_engine::testing::{FakeDatadog, FakeOtlp, PATIENCE, eventually};

use crate::support::{Directory, Gunicorn, Hornpipe, free_address, shipped_pipeline, status};

/// The shipped pipeline with its log files switched on, and both backends.
struct Run {
    hornpipe: Hornpipe,
    gunicorn: Arc<Gunicorn>,
    datadog: FakeDatadog,
    otlp: FakeOtlp,
    directory: Directory,
}

impl Run {
    async fn start() -> Self {
        let (datadog, otlp) = (FakeDatadog::start().await, FakeOtlp::start().await);
        let directory = Directory::new();
        let logs = directory.path().join("log");
        fs::create_dir(&logs).unwrap();
        let mut command = with_logs(&directory, &logs, &datadog, &otlp);
        lay_over(&directory, FROM_THE_BEGINNING);
        let hornpipe = Hornpipe::start_command(&mut command, free_address());
        let gunicorn = Arc::new(Gunicorn::start_with_logs(3, &logs));
        Run { hornpipe, gunicorn, datadog, otlp, directory }
    }

    fn logs(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// Asks for a page that fails, and that no other request asks for, and waits until Datadog has its line and its traceback:
    /// both files are being read.
    async fn until_read(&self, page: &str) {
        self.gunicorn.get(page);
        let records = || self.datadog.logs().iter().filter(|log| log.message.contains(page)).count();
        eventually(page, || records() == 2).await;
    }

    /// Ends Gunicorn, waits until hornpipe has sent what the files hold, and compares.
    async fn finish(self) -> Expected {
        let Run { hornpipe, gunicorn, datadog, otlp, directory } = self;
        Arc::into_inner(gunicorn).unwrap().stop();
        let logs = directory.path().join("log");
        let expected = Expected::of(&logs);
        let total = expected.access.len() + expected.errors.len();
        // What is missing after this time is shown below.
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && (datadog.logs().len() < total || otlp.logs().len() < total) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        hornpipe.stop_without_drops();
        expected.assert_at_datadog(&datadog);
        expected.assert_at_otlp(&otlp);
        datadog.assert_clean();
        otlp.assert_clean();
        expected
    }
}

/// Asks for pages of every kind, half of them with a traceback.
fn drive(gunicorn: &Gunicorn, client: usize, requests: usize) {
    for number in 0..requests {
        let path = ["status/200", "status/404", "raise", "log/exception"][number % 4];
        gunicorn.get(&format!("/{path}?n={client}.{number}"));
    }
}

/// Requests of several clients, until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(gunicorn: &Arc<Gunicorn>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |number| {
            let (stop, gunicorn) = (Arc::clone(&stop), Arc::clone(gunicorn));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    drive(&gunicorn, number, 4);
                    thread::sleep(Duration::from_millis(5));
                }
            })
        };
        Load { clients: (0..3).map(client).collect(), stop }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
    }
}

/// The real logrotate, which rotates a run's files whenever it is told to.
struct Logrotate {
    configuration: PathBuf,
}

impl Logrotate {
    /// With some options besides; where files are renamed Gunicorn gets the signal that it advises for this.
    fn new(run: &Run, options: &str) -> Self {
        let is_renamed = !options.contains("copytruncate");
        let signal = format!("sharedscripts\npostrotate\nkill -USR1 {}\nendscript\n", run.gunicorn.pid());
        let signal = if is_renamed { &*signal } else { "" };
        let text = format!("{}/*.log {{\nrotate 20\n{options}\n{signal}}}\n", run.logs().display());
        let configuration = run.directory.write("logrotate.conf", &text);
        // Logrotate touches nothing that others could have put there.
        for (path, mode) in [(&configuration, 0o644), (&run.logs(), 0o755)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        Logrotate { configuration }
    }

    fn rotate(&self) {
        let mut command = Command::new("logrotate");
        command.arg("--force").arg("--state").arg(self.configuration.with_extension("state")).arg(&self.configuration);
        // It may be where only root looks for programs.
        command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap()));
        let output =
            command.output().unwrap_or_else(|error| panic!("logrotate is needed: apt-get install logrotate ({error})"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The shipped pipeline that reads the log files in a directory.
fn with_logs(directory: &Directory, logs: &Path, datadog: &FakeDatadog, otlp: &FakeOtlp) -> Command {
    // Only the test's own intake is laid over the shipped file.
    let url = datadog.url();
    let intake =
        format!("exporters: {{datadog: {{metrics: {{endpoint: \"{url}\"}}, logs: {{endpoint: \"{url}\"}}}}}}\n");
    let overlay = directory.write("intake.yaml", &intake);
    let arguments = format!("--config pipeline.yaml --config {}", overlay.display());
    let mut command = shipped_pipeline(directory, free_address(), &arguments);
    command
        .env("HORNPIPE_LOGS_ENABLED", "true")
        .env("HORNPIPE_ACCESS_LOGS", logs.join("*access.log"))
        .env("HORNPIPE_ERROR_LOGS", logs.join("*error.log"))
        .env("HORNPIPE_EXPORTERS", "[datadog, otlp]")
        .env("DD_API_KEY", FakeDatadog::API_KEY)
        .env("DD_SERVICE", "shop")
        .env("DD_ENV", "test")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url());
    command
}

/// The files may be there before hornpipe has looked for the first time.
const FROM_THE_BEGINNING: &str =
    "receivers: {filelog/access: {start_at: beginning}, filelog/error: {start_at: beginning}}\n";

/// Lays more settings over the shipped file.
fn lay_over(directory: &Directory, settings: &str) {
    let mut overlay = fs::OpenOptions::new().append(true).open(directory.path().join("intake.yaml")).unwrap();
    overlay.write_all(settings.as_bytes()).unwrap();
}

/// What the files hold.
struct Expected {
    access: Vec<String>,
    errors: Vec<String>,
}

impl Expected {
    fn of(logs: &Path) -> Self {
        let (mut access, mut errors) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(logs).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            if path.file_name().unwrap().to_str().unwrap().contains("access") {
                access.extend(text.lines().map(str::to_owned));
            } else {
                errors.extend(records(&text));
            }
        }
        access.sort_unstable();
        errors.sort_unstable();
        Expected { access, errors }
    }

    fn assert_at_datadog(&self, datadog: &FakeDatadog) {
        let logs = datadog.logs();
        let messages = |file: &str| {
            let name = format!("filename:{file}");
            let found = logs.iter().filter(|log| log.tags.iter().any(|tag| tag.starts_with(&name)));
            found.map(|log| log.message.clone()).collect()
        };
        assert_same("access log at Datadog", messages("access.log"), &self.access);
        assert_same("error log at Datadog", messages("error.log"), &self.errors);
        for log in &logs {
            assert_eq!((&*log.source, &*log.service, &*log.host), ("gunicorn", "shop", "test-host"), "{log:?}");
            assert!(log.tags.contains(&"env:test".to_owned()), "{log:?}");
            if log.message.starts_with('[') {
                let status = level(&log.message).map(|(_, datadog, _)| datadog);
                assert_eq!(Some(&*log.status), status, "{log:?}");
            }
        }
    }

    fn assert_at_otlp(&self, otlp: &FakeOtlp) {
        let logs = otlp.logs();
        let bodies = |file: &str| {
            let of_file = logs.iter().filter(|log| log.attributes["log.file.name"].starts_with(file));
            of_file.map(|log| log.body.clone()).collect()
        };
        assert_same("access log over OTLP", bodies("access.log"), &self.access);
        assert_same("error log over OTLP", bodies("error.log"), &self.errors);
        for log in &logs {
            assert_eq!((&*log.resource["service.name"], &*log.resource["host.name"]), ("shop", "test-host"));
            assert_eq!(log.attributes["env"], "test");
            if let Some((name, _, number)) = level(&log.body) {
                assert_eq!((log.record.severity_number, &*log.record.severity_text), (number, name), "{}", log.body);
                assert!(log.record.time_unix_nano > 0 && log.attributes.contains_key("process.pid"), "{}", log.body);
            }
            if log.body.contains("Traceback") {
                let class = if log.body.contains("/raise") { "RuntimeError" } else { "ValueError" };
                assert_eq!(log.attributes["exception.type"], class, "{}", log.body);
            }
        }
    }
}

/// The level of a record of the error log: its name, Datadog's, and OTLP's number.
fn level(record: &str) -> Option<(&'static str, &'static str, i32)> {
    const LEVELS: [(&str, &str, i32); 4] =
        [("INFO", "info", 9), ("WARNING", "warn", 13), ("ERROR", "error", 17), ("CRITICAL", "critical", 21)];
    LEVELS.into_iter().find(|(name, ..)| record.starts_with('[') && record.contains(&format!("] [{name}] ")))
}

/// The records of an error log, told apart by their beginning.
fn records(text: &str) -> Vec<String> {
    let mut records: Vec<String> = Vec::new();
    for line in text.lines() {
        match records.last_mut() {
            Some(record) if !line.starts_with("[20") => *record += &format!("\n{line}"),
            _ => records.push(line.to_owned()),
        }
    }
    records
}

/// Both hold the same texts, each as often.
fn assert_same(what: &str, mut found: Vec<String>, expected: &[String]) {
    found.sort_unstable();
    if found == expected {
        return;
    }
    let mut difference: BTreeMap<&String, i64> = BTreeMap::new();
    found.iter().for_each(|text| *difference.entry(text).or_default() += 1);
    expected.iter().for_each(|text| *difference.entry(text).or_default() -= 1);
    difference.retain(|_, count| *count != 0);
    panic!("{what}: {} instead of {}; too many (+) or too few (-): {difference:#?}", found.len(), expected.len());
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_arrives_once_while_logrotate_renames_files_and_gunicorn_reopens_them() {
    let run = Run::start().await;
    run.until_read("/raise?rotation=0").await;
    let load = Load::start(&run.gunicorn);
    let logrotate = Logrotate::new(&run, "create");
    // The new names do not match, so each file has to be found before it is renamed. A worker that gets the signal while
    // it writes a line may go on with the old file until the next one; nothing is compressed here, which would lose that.
    for number in 1..=4 {
        logrotate.rotate();
        run.until_read(&format!("/raise?rotation={number}")).await;
    }
    load.stop();
    assert!(run.logs().join("error.log.4").exists(), "nothing was rotated");
    let expected = run.finish().await;
    let tracebacks = expected.errors.iter().filter(|record| record.contains("Traceback")).count();
    assert!(expected.access.len() > 100 && tracebacks > 40, "{} lines, {tracebacks} tracebacks", expected.access.len());
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_arrives_once_where_logrotate_copies_files_and_cuts_them_short() {
    let run = Run::start().await;
    let logrotate = Logrotate::new(&run, "copytruncate");
    // What is written between its two steps would be lost before anybody could read it.
    for number in 1..=2 {
        drive(&run.gunicorn, number, 40);
        run.until_read(&format!("/raise?rotation={number}")).await;
        logrotate.rotate();
    }
    drive(&run.gunicorn, 3, 40);
    assert!(run.logs().join("access.log.2").exists(), "nothing was rotated");
    assert_eq!(run.finish().await.access.len(), 3 * 40 + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_worker_that_crashes_leaves_arrives_whole() {
    let run = Run::start().await;
    drive(&run.gunicorn, 0, 20);
    // The connection breaks off with the worker, with an error or without.
    assert_eq!(run.gunicorn.ask("/crash").unwrap_or_default(), "");
    drive(&run.gunicorn, 1, 20);
    let logs = run.logs();
    eventually("the arbiter's word on it", || {
        fs::read_to_string(logs.join("error.log")).unwrap().contains("was sent SIGKILL")
    })
    .await;
    assert_eq!(run.finish().await.access.len(), 40, "a request that kills its worker is in no log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_traceback_that_another_worker_interrupts_is_one_record() {
    let run = Run::start().await;
    run.until_read("/raise?first").await;
    let error_log = run.logs().join("error.log");
    // Datadog takes nothing that is older than some hours.
    let text = fs::read_to_string(&error_log).unwrap();
    let (date, _) = text.split_once(" [").unwrap();
    let first = format!("{date} [7] [ERROR] printed piece by piece");
    let traceback = [
        &*first,
        "Traceback (most recent call last):",
        "  File \"app.py\", line 1, in checkout",
        "    charge(-5)",
        "ValueError: amount must be positive",
    ];
    let other = format!("{date} [8] [WARNING] meanwhile");
    let next = format!("{date} [8] [INFO] next");
    let lines = [&traceback[..2], &[&*other], &traceback[2..], &[&*next]].concat();
    let mut file = fs::OpenOptions::new().append(true).open(error_log).unwrap();
    for line in lines {
        writeln!(file, "{line}").unwrap();
    }
    let joined = traceback.join("\n");
    eventually("three records", || {
        let logs = run.datadog.logs();
        [&joined, &other].iter().all(|text| logs.iter().any(|log| log.message == **text))
    })
    .await;
    run.hornpipe.stop_without_drops();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_traceback_that_a_crash_takes_is_read_again() {
    let (datadog, otlp) = (FakeDatadog::start().await, FakeOtlp::start().await);
    let directory = Directory::new();
    let logs = directory.path().join("log");
    fs::create_dir(&logs).unwrap();
    let start = || {
        let mut command = with_logs(&directory, &logs, &datadog, &otlp);
        // The half is not given up before the crash.
        lay_over(&directory, &format!("{FROM_THE_BEGINNING}processors: {{multiline/error: {{timeout: 1h}}}}\n"));
        Hornpipe::start_command(&mut command, free_address())
    };
    let append = |lines: &[&str]| {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(logs.join("error.log")).unwrap();
        file.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    };
    let traceback = [
        "[7] failed",
        "Traceback (most recent call last):",
        "  File \"a.py\", line 1, in f",
        "    f()",
        "ValueError: no",
    ]
    .map(|line| line.replace("[7]", "[2026-01-01] [7] [ERROR]"));
    let traceback: Vec<&str> = traceback.iter().map(String::as_str).collect();

    let hornpipe = start();
    append(&["[2026-01-01] before"]);
    append(&traceback[..3]);
    eventually("half a traceback is held", || held(&directory, "multiline/error") == 3).await;
    // With SIGKILL.
    drop(hornpipe);
    append(&traceback[3..]);
    append(&["[2026-01-01] behind"]);
    let hornpipe = start();
    let of_traceback = || datadog.logs().into_iter().filter(|log| log.message.contains("Trace")).collect::<Vec<_>>();
    eventually("the traceback", || !of_traceback().is_empty()).await;
    hornpipe.stop_without_drops();
    let found: Vec<String> = of_traceback().into_iter().map(|log| log.message).collect();
    assert_eq!(found, [traceback.join("\n")]);
}

/// How many records a processor of the running hornpipe holds.
fn held(directory: &Directory, processor: &str) -> u64 {
    let report = status(&directory.path().join("state"));
    let found = report.processors.iter().find(|component| component.id == processor);
    found.and_then(|component| component.signals.get("logs")).map_or(0, |logs| logs.held)
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_file_is_opened_before_logs_are_enabled() {
    let (datadog, otlp) = (FakeDatadog::start().await, FakeOtlp::start().await);
    for enabled in [false, true] {
        let directory = Directory::new();
        let logs = directory.path().join("log");
        fs::create_dir(&logs).unwrap();
        directory.write("log/access.log", "an old line\n");
        let mut command = with_logs(&directory, &logs, &datadog, &otlp);
        if !enabled {
            command.env_remove("HORNPIPE_LOGS_ENABLED");
        }
        let hornpipe = Hornpipe::start_command(&mut command, free_address());
        let opened = || {
            let handles = fs::read_dir(format!("/proc/{}/fd", hornpipe.pid())).unwrap();
            handles.filter_map(|handle| fs::read_link(handle.ok()?.path()).ok()).any(|path| path.starts_with(&logs))
        };
        if enabled {
            eventually("the file is open", &opened).await;
        } else {
            let mut file = fs::OpenOptions::new().append(true).open(logs.join("access.log")).unwrap();
            for _ in 0..20 {
                writeln!(file, "a new line").unwrap();
                assert!(!opened(), "nobody asked for log files");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        hornpipe.stop();
    }
    assert_eq!(datadog.logs().len() + otlp.logs().len(), 0, "the old line is from before the first start");
}
