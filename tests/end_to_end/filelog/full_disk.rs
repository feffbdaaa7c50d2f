//! The disk under the state directory is full for a while: said, survived, and over when there is room again.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use hornpipe_engine::status::{ComponentStatus, Health, StatusReport};
use hornpipe_engine::testing::{Behaviour, assert_each_once, eventually};

use super::Backends;
use super::writer::line;
use crate::support::{Directory, Hornpipe, free_address, mounts, status};

/// Lines before the disk is full, and all.
const BEFORE: u64 = 1_000;
const LINES: u64 = 6_000;

/// Starts hornpipe with its state on a file system of 3 MiB, which nobody else sees.
fn start(flags: &str, config: &Path, state: &Path) -> Hornpipe {
    let arguments = ["-t", "tmpfs", "-o", "size=3m", "tmpfs"].map(OsStr::new);
    let mut command = mounts::hornpipe_with(flags, &[&arguments[..], &[state.as_os_str()]].concat(), config);
    Hornpipe::start_command(command.env("HORNPIPE_STATE_DIR", state), free_address())
}

/// Takes all the room that there is.
fn fill(path: &Path) {
    let mut filler = fs::File::create(path).unwrap();
    for size in [65_536, 4_096, 1] {
        while filler.write_all(&vec![b'x'; size]).is_ok() {}
    }
}

fn has_problem(exporter: &ComponentStatus) -> bool {
    exporter.numbers.get("hornpipe_exporter_queue_disk_problem") == Some(&1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_said_and_costs_no_line_at_a_backend_that_works_or_at_one_that_comes_back() {
    let (backends, directory) = (Backends::start().await, Directory::new());
    let (file, state) = (directory.path().join("access.log"), directory.path().join("state"));
    fs::create_dir(&state).unwrap();
    let Some(flags) = mounts::namespace(&state) else {
        eprintln!(
            "not tested: this user may mount nothing; a disk that fails is tested with the queue and the checkpoint"
        );
        return;
    };
    let receiver = format!("include: [{}], start_at: beginning", file.display());
    // A backend that is slow to answer, as on a busy machine, would get requests twice.
    let configuration = backends.configuration(&receiver).replace("timeout: 300ms", "timeout: 30s");
    backends.otlp.behave(Behaviour::status(503));
    let mut hornpipe = start(flags, &directory.write("pipeline.yaml", &configuration), &state);
    // The way of a process to its own mounts.
    let seen = PathBuf::from(format!("/proc/{}/root", hornpipe.pid())).join(state.strip_prefix("/").unwrap());
    let report = || -> StatusReport { status(&seen) };

    let mut log = fs::File::create(&file).unwrap();
    let mut write = |numbers: std::ops::Range<u64>| {
        log.write_all(numbers.map(line).collect::<String>().as_bytes()).unwrap();
    };
    let at_datadog = || backends.datadog.logs().len() as u64;
    write(0..BEFORE);
    eventually("the first lines", || at_datadog() == BEFORE).await;
    assert!(!report().exporters.iter().any(has_problem));

    fill(&seen.join("filler"));
    write(BEFORE..LINES);
    eventually("all lines", || at_datadog() == LINES).await;
    hornpipe.wait_for_line("the queue's disk fails");
    eventually("the status says so", || report().exporters.iter().all(has_problem)).await;
    let datadog = report().exporters.remove(0);
    let message = datadog.message.unwrap_or_default();
    assert!(datadog.status == Health::Warning && message.contains("No space left on device"), "{message}");
    assert_eq!(backends.otlp.logs().len(), 0);

    fs::remove_file(seen.join("filler")).unwrap();
    hornpipe.wait_for_line("the queue's disk takes data again");
    eventually("nothing is wrong any more", || !report().exporters.iter().any(has_problem)).await;
    backends.otlp.behave(Behaviour::Ok);
    eventually("all lines at the backend that was down", || backends.otlp.logs().len() as u64 == LINES).await;
    hornpipe.stop_without_drops();
    backends.numbers().into_iter().for_each(|(_, numbers)| assert_each_once(0..LINES, numbers));
}
