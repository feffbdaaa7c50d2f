//! The whole receiver, on real files and a clock that moves when told to.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hornpipe_engine::component::{BuildContext, Outputs, Receiver, ReceiverConfig};
use hornpipe_engine::state_dir::StateDirectory;
use hornpipe_engine::telemetry::{ComponentKind, ComponentTelemetry, Status};
use hornpipe_engine::testing::{
    CollectingSink, FakeClock, ReceiverBench, assert_accounted, build_context, check_receiver_contract, eventually,
    item_name,
};
use hornpipe_engine::{Shutdown, ShutdownTrigger};
use hornpipe_model::{Body, Data, Log, Signal};
use tokio::task::JoinHandle;

use super::Directory;
use crate::FilelogConfig;
use crate::config::StartAt;

/// Each receiver has a file of its own.
struct Bench {
    directory: Directory,
    file: Mutex<(u32, PathBuf)>,
}

#[async_trait]
impl ReceiverBench for Bench {
    fn signal(&self) -> Signal {
        Signal::Logs
    }

    fn build(&self, context: BuildContext) -> Box<dyn Receiver> {
        let mut file = self.file.lock().unwrap();
        file.0 += 1;
        file.1 = self.directory.path().join(format!("{}.log", file.0));
        from_beginning(&file.1.display().to_string()).build(context).unwrap()
    }

    async fn feed(&self, numbers: Range<u64>) {
        let path = self.file.lock().unwrap().1.clone();
        append(&path, numbers.map(|number| item_name(number) + "\n").collect::<String>());
    }
}

// On a thread of its own the clock waits for work that is done on others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_of_receivers_holds() {
    let bench = Bench { directory: Directory::new(), file: Mutex::new((0, PathBuf::new())) };
    check_receiver_contract(&bench).await;
}

fn from_beginning(pattern: &str) -> FilelogConfig {
    FilelogConfig { include: vec![pattern.to_owned()], start_at: StartAt::Beginning, ..FilelogConfig::default() }
}

fn append(path: &Path, text: impl AsRef<[u8]>) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_ref()).unwrap();
}

/// A receiver at work, with its state below the directory of its files.
struct Run {
    time: FakeClock,
    sink: CollectingSink,
    telemetry: Arc<ComponentTelemetry>,
    stop: ShutdownTrigger,
    task: JoinHandle<Result<(), String>>,
}

impl Run {
    fn start(config: &FilelogConfig, directory: &Directory) -> Self {
        let time = FakeClock::new();
        let mut context = build_context(ComponentKind::Receiver, "filelog", &time);
        let state = StateDirectory { path: directory.path().join("state"), problem: None };
        context.state_directory = Arc::new(state);
        let telemetry = Arc::clone(&context.telemetry);
        let sink = CollectingSink::new(&time);
        let outputs = Outputs { metrics: None, logs: Some(sink.output(Signal::Logs, &telemetry)) };
        let (stop, shutdown) = Shutdown::new();
        let task = tokio::spawn(config.build(context).unwrap().run(outputs, shutdown));
        Run { time, sink, telemetry, stop, task }
    }

    fn logs(&self) -> Vec<Log> {
        let records = |data: Data| match data {
            Data::Logs(batch) => batch.records.clone(),
            Data::Metrics(_) => panic!("logs only"),
        };
        self.sink.batches().into_iter().flat_map(|collected| records(collected.data)).collect()
    }

    fn texts(&self) -> Vec<String> {
        self.logs().iter().map(|log| log.body.text().unwrap().into_owned()).collect()
    }

    fn warning(&self) -> Option<String> {
        match self.telemetry.status() {
            Status::Warning(text) => Some(text),
            _ => None,
        }
    }

    fn level(&self, name: &str) -> u64 {
        self.telemetry.levels().iter().find(|level| level.name == name).map_or(0, |level| level.value.get())
    }

    /// Lets time go on until something is so.
    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..2_000 {
            if is_so(self) {
                return;
            }
            self.time.advance(Duration::from_millis(100)).await;
        }
        panic!("{what} does not happen; {:?}, {:?}", self.telemetry.status(), self.texts());
    }

    async fn stop(self) -> Vec<Log> {
        self.stop.request();
        assert_eq!(self.task.await.unwrap(), Ok(()));
        assert_accounted(&self.telemetry, Signal::Logs);
        let records = |data: Data| match data {
            Data::Logs(batch) => batch.records.clone(),
            Data::Metrics(_) => panic!("logs only"),
        };
        self.sink.batches().into_iter().flat_map(|collected| records(collected.data)).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_is_not_there_is_waited_for() {
    let directory = Directory::new();
    let below = directory.path().join("var/log");
    let run = Run::start(&from_beginning(&format!("{}/*.log", below.display())), &directory);
    run.until("the fact", |run| run.telemetry.facts().get("files").is_some_and(|text| text.contains("waiting for")))
        .await;
    fs::create_dir_all(&below).unwrap();
    append(&below.join("a.log"), "one\n");
    run.until("the line", |run| run.texts() == ["one"]).await;
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_read_is_named_with_the_reason_and_tried_again() {
    let directory = Directory::new();
    let path = directory.path().join("a.log");
    // Root may read everything, but not follow a link to itself.
    symlink(&path, &path).unwrap();
    let run = Run::start(&from_beginning(&path.display().to_string()), &directory);
    let is_named =
        |run: &Run| run.warning().is_some_and(|text| text.contains("cannot read") && text.contains("a.log: "));
    run.until("the warning", is_named).await;
    fs::remove_file(&path).unwrap();
    append(&path, "one\n");
    run.until("the line", |run| run.texts() == ["one"] && run.warning().is_none()).await;
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_text_go_on_and_are_counted() {
    let directory = Directory::new();
    let path = directory.path().join("a.log");
    append(&path, b"caf\xe9\nnul\0byte\nplain\n");
    let run = Run::start(&from_beginning(&path.display().to_string()), &directory);
    run.until("the lines", |run| run.logs().len() == 3).await;
    assert_eq!(run.level("hornpipe_filelog_invalid_records"), 1);
    assert_eq!(run.texts(), ["caf\u{fffd}", "nul\0byte", "plain"]);
    let logs = run.stop().await;
    assert_eq!(logs[0].body, Body::Bytes(b"caf\xe9".as_slice().into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_50_mib_and_a_binary_file_lose_no_byte() {
    let directory = Directory::new();
    let mut random = fastrand::Rng::with_seed(1);
    let long: String = std::iter::repeat_with(|| random.char('a'..'\u{800}')).take(50 << 19).collect();
    append(&directory.path().join("long.log"), format!("{long}\nnext\n"));
    let binary: Vec<u8> = std::iter::repeat_with(|| random.u8(1..)).take(1 << 20).collect();
    append(&directory.path().join("binary.log"), &binary);
    let run = Run::start(&from_beginning(&directory.path().join("*.log").display().to_string()), &directory);
    run.until("the lines", |run| run.level("hornpipe_filelog_bytes") == (long.len() + 6 + binary.len()) as u64).await;
    // What has no line break at its end waits for one.
    run.time.advance(Duration::from_secs(1)).await;
    let logs = run.stop().await;
    let (of_long, of_binary): (Vec<_>, Vec<_>) = logs.iter().partition(|log| log.source.path.ends_with("long.log"));
    let (next, parts) = of_long.split_last().unwrap();
    assert_eq!(next.body.text().unwrap(), "next");
    let joined: String = parts.iter().map(|log| log.body.text().unwrap().into_owned()).collect();
    assert!(joined == long, "the parts are the line");
    let names: Vec<&str> = parts.iter().map(|log| log.attributes[0].1.as_str().unwrap()).collect();
    assert_eq!((names[0], names[1], *names.last().unwrap()), ("first", "middle", "last"));
    let lines = of_binary.iter().map(|log| match &log.body {
        Body::Bytes(bytes) => bytes.to_vec(),
        body => body.text().unwrap().into_owned().into_bytes(),
    });
    let joined = lines.collect::<Vec<_>>().join(&b'\n');
    let without_carriage_returns = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("\r\n", "\n").into_bytes();
    assert!(
        without_carriage_returns(&joined) == without_carriage_returns(binary.strip_suffix(b"\n").unwrap_or(&binary))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_cannot_be_written_is_said_and_made_up_for() {
    let directory = Directory::new();
    let path = directory.path().join("a.log");
    append(&path, "one\n");
    let folder = directory.path().join("state/checkpoints/filelog");
    fs::create_dir_all(&folder).unwrap();
    // As a full disk does it: the file can be made, but nothing be written.
    symlink("/dev/full", folder.join("offsets.new")).unwrap();
    let config = from_beginning(&path.display().to_string());
    let run = Run::start(&config, &directory);
    let is_said =
        |run: &Run| run.warning().is_some_and(|text| text.contains("checkpoints cannot be written (No space left"));
    run.until("the warning", is_said).await;
    run.until("the line", |run| run.texts() == ["one"]).await;
    fs::remove_file(folder.join("offsets.new")).unwrap();
    run.until("the recovery", |run| run.warning().is_none()).await;
    run.stop().await;
    append(&path, "two\n");
    let run = Run::start(&config, &directory);
    run.until("the next line", |run| run.texts() == ["two"]).await;
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_state_directory_it_reads_and_says_what_that_means() {
    let directory = Directory::new();
    let path = directory.path().join("a.log");
    append(&path, "one\n");
    fs::write(directory.path().join("state"), "a file, where a directory should be").unwrap();
    let run = Run::start(&from_beginning(&path.display().to_string()), &directory);
    run.until("the line", |run| run.texts() == ["one"]).await;
    assert!(run.warning().unwrap().contains("no checkpoints are kept"), "{:?}", run.warning());
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rules_drop_is_counted_and_not_read_again() {
    let directory = Directory::new();
    let path = directory.path().join("a.log");
    append(&path, "GET /health\nGET /shop?token=abc\nGET /health\n");
    let config: FilelogConfig = serde_json::from_value(serde_json::json!({"logs": [{
        "type": "file", "path": path, "start_position": "beginning", "log_processing_rules": [
            {"type": "exclude_at_match", "name": "health", "pattern": "/health"},
            {"type": "mask_sequences", "name": "token", "pattern": "token=\\w+", "replace_placeholder": "token=*"},
        ],
    }]}))
    .unwrap();
    let run = Run::start(&config, &directory);
    run.until("the line", |run| run.texts() == ["GET /shop?token=*"]).await;
    append(&path, "GET /health\n");
    let dropped =
        |run: &Run| run.telemetry.signal(Signal::Logs).dropped_by_reason() == BTreeMap::from([("excluded", 3)]);
    run.until("the drop", dropped).await;
    run.stop().await;
    let run = Run::start(&config, &directory);
    append(&path, "GET /next\n");
    run.until("the next line", |run| run.texts() == ["GET /next"]).await;
    assert_eq!(run.telemetry.signal(Signal::Logs).dropped_total(), 0);
    run.stop().await;
}

/// The vendor's own block for Gunicorn, pasted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agents_list_gives_the_same_records_as_our_own_spelling() {
    let directory = Directory::new();
    for (name, text) in
        [("access.log", include_str!("fixtures/access.log")), ("error.log", include_str!("fixtures/error.log"))]
    {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let access_end = include_str!("fixtures/access.log").lines().last().unwrap();
    let error_end = include_str!("fixtures/error.log").lines().last().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let pattern = r"\[\d{4}-\d{2}-\d{2}";
    let agent: FilelogConfig = serde_json::from_value(serde_json::json!({"logs": [
        {"type": "file", "path": path("access.log"), "service": "shop", "source": "gunicorn", "start_position": "beginning"},
        {"type": "file", "path": path("error.log"), "service": "shop", "source": "gunicorn", "start_position": "beginning",
         "log_processing_rules": [{"type": "multi_line", "name": "log_start_with_date", "pattern": pattern}]},
    ]}))
    .unwrap();
    let own = |name: &str, pattern: &str| {
        let mut config = from_beginning(&path(name));
        (config.service, config.source) = ("shop".to_owned(), "gunicorn".to_owned());
        config.multiline.line_start_pattern = pattern.to_owned();
        config
    };
    let last_lines = [access_end, error_end];
    let mut records = Vec::new();
    for configs in [
        vec![(agent, &last_lines[..])],
        vec![(own("access.log", ""), &last_lines[..1]), (own("error.log", pattern), &last_lines[1..])],
    ] {
        let mut of_these = BTreeMap::new();
        for (config, last_lines) in configs {
            let run = Run::start(&config, &directory);
            run.until("the last lines", |run| {
                last_lines.iter().all(|last| run.texts().iter().any(|text| text.ends_with(last)))
            })
            .await;
            for log in run.stop().await {
                let key = (log.source.path.clone(), log.source.service.clone(), log.source.source.clone());
                of_these.entry(key).or_insert_with(Vec::new).push(log.body.clone());
            }
            fs::remove_dir_all(directory.path().join("state")).unwrap();
        }
        records.push(of_these);
    }
    assert_eq!(records[0], records[1]);
    let of_errors: Vec<_> = records[0].iter().filter(|(key, _)| key.0.ends_with("error.log")).collect();
    let tracebacks =
        of_errors[0].1.iter().filter(|body| body.text().unwrap().contains("Traceback (most recent call last)"));
    for traceback in tracebacks {
        let text = traceback.text().unwrap();
        assert!(text.starts_with('[') && text.lines().count() > 3, "a record for each traceback: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_say_of_their_file_what_they_are_told_to() {
    let directory = Directory::new();
    let path = directory.path().join("a.log");
    append(&path, "one\n");
    let whole = path.display().to_string();
    for (includes_path, includes_name, expected) in
        [(true, true, whole.as_str()), (false, true, "a.log"), (false, false, "")]
    {
        let mut config = from_beginning(&whole);
        (config.include_file_path, config.include_file_name) = (includes_path, includes_name);
        let run = Run::start(&config, &directory);
        run.until("the line", |run| !run.logs().is_empty()).await;
        assert_eq!(run.stop().await[0].source.path, expected);
        fs::remove_dir_all(directory.path().join("state")).unwrap();
    }
}

#[tokio::test]
async fn little_is_on_its_way_before_anything_is_settled_and_more_with_time() {
    let directory = Directory::new();
    let path = directory.path().join("a.log");
    let line = format!("{}\n", "x".repeat(999));
    append(&path, line.repeat(4_000));
    let run = Run::start(&from_beginning(&path.display().to_string()), &directory);
    run.sink.hold();
    let sent = || run.telemetry.signal(Signal::Logs).received.get();
    eventually("a first batch", || sent() > 0).await;
    run.time.settle().await;
    let first = sent();
    assert!(first < 400, "{first} kB are on their way");
    run.until("a second batch", |_| sent() > first).await;
    run.sink.release();
    run.until("all", |run| run.logs().len() == 4_000).await;
    run.stop().await;
}
