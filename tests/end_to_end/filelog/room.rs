//! More lines than the queues have room for: files keep what is not read, so nothing is pushed out of the queue of the only
//! backend, and nothing is kept from one that works by one that does not.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use hornpipe_engine::reason;
use hornpipe_engine::status::WaitingStatus;
use hornpipe_engine::testing::{Behaviour, assert_each_once, eventually};

use super::writer::{line, numbers};
use super::{Backends, start};
use crate::support::{Directory, status};

/// Some 11 MiB of them.
const LINES: u64 = 80_000;

/// Queues that hold less than a third of the lines; reading pauses at half of that.
fn with_small_queues(configuration: &str) -> String {
    // A backend that is slow to answer, as on a busy machine, would get requests twice.
    configuration.replace("timeout: 300ms", "sending_queue: {max_bytes: 4MiB}, timeout: 30s")
}

fn write(path: &Path, numbers: std::ops::Range<u64>) {
    fs::write(path, numbers.map(line).collect::<String>()).unwrap();
}

/// Waits for all lines. To count them is work, so it is not done all the time.
async fn all_at_datadog(backends: &Backends) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while (backends.datadog.logs().len() as u64) < LINES {
        assert!(Instant::now() < deadline, "{} of {LINES} lines", backends.datadog.logs().len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What the receiver says of its waiting.
fn waiting(directory: &Directory) -> Option<WaitingStatus> {
    status(&directory.path().join("state")).receivers[0].waiting.clone()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_waits_in_its_files_for_the_only_backend_also_where_they_are_renamed_and_deleted_meanwhile() {
    let (backends, directory) = (Backends::start().await, Directory::new());
    let (file, renamed) = (directory.path().join("access.log"), directory.path().join("old"));
    write(&file, 0..LINES - 10_000);
    let receiver = format!("include: [{}], start_at: beginning", file.display());
    let configuration = with_small_queues(&backends.configuration(&receiver));
    let configuration = configuration.replace("exporters: [datadog, otlp]", "exporters: [datadog]");
    backends.datadog.behave(Behaviour::status(503));
    let mut hornpipe = start(&directory, &configuration);
    hornpipe.wait_for_line("waits for room in the queues");
    assert_eq!(waiting(&directory).unwrap().exporters, ["datadog"]);
    // What it has read goes on after a restart, too.
    hornpipe.stop_without_drops();
    let mut hornpipe = start(&directory, &configuration);
    hornpipe.wait_for_line("waits for room in the queues");

    fs::rename(&file, &renamed).unwrap();
    write(&file, LINES - 10_000..LINES);
    let is_open = |name: &str| {
        let handles = fs::read_dir(format!("/proc/{}/fd", hornpipe.pid())).unwrap();
        handles.filter_map(|handle| fs::read_link(handle.ok()?.path()).ok()).any(|path| path.ends_with(name))
    };
    eventually("both files are open", || is_open("old") && is_open("access.log")).await;
    fs::remove_file(&renamed).unwrap();
    fs::remove_file(&file).unwrap();

    backends.datadog.behave(Behaviour::Slow(Duration::from_millis(50)));
    all_at_datadog(&backends).await;
    hornpipe.stop_without_drops();
    let entries = backends.datadog.logs();
    assert_each_once(0..LINES, numbers(entries.iter().map(|entry| entry.message.as_str())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_is_down_is_held_to_its_bound_and_keeps_nothing_from_the_one_that_works() {
    for queues in ["max_bytes: 4MiB", "max_bytes: 12MiB, storage: none"] {
        held_to_its_bound(queues).await;
    }
}

async fn held_to_its_bound(queues: &str) {
    let (backends, directory) = (Backends::start().await, Directory::new());
    let file = directory.path().join("access.log");
    write(&file, 0..LINES);
    let receiver = format!("include: [{}], start_at: beginning", file.display());
    backends.otlp.behave(Behaviour::status(503));
    let configuration = with_small_queues(&backends.configuration(&receiver)).replace("max_bytes: 4MiB", queues);
    let hornpipe = start(&directory, &configuration);
    all_at_datadog(&backends).await;
    let counters = hornpipe.stop();
    let dropped = |id: &str| {
        let exporter = counters.components.iter().find(|component| component.id == id).unwrap();
        exporter.dropped.clone()
    };
    assert!(dropped("datadog").is_empty(), "{:?}", dropped("datadog"));
    assert_eq!(dropped("otlp").keys().collect::<Vec<_>>(), [reason::QUEUE_FULL]);
    let entries = backends.datadog.logs();
    assert_each_once(0..LINES, numbers(entries.iter().map(|entry| entry.message.as_str())));
}
