//! One backend is down for the whole life of a process, and another process delivers what it kept.

use std::fs;
use std::time::{Duration, Instant};

use hornpipe_engine::testing::{Behaviour, assert_each_once};

use super::writer::line;
use super::{Backends, start};
use crate::support::Directory;

/// Some 20 MiB of them, which take two to three times as much in memory.
const LINES: u64 = 150_000;

/// Two queues of 32 MiB, what is in flight, and the process itself; the rest has to be on disk.
#[cfg(target_os = "linux")]
const MEMORY_KIB: u64 = 128 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_is_down_all_the_time_gets_each_line_from_the_next_process_and_its_sibling_gets_them_at_once() {
    let (backends, directory) = (Backends::start().await, Directory::new());
    let file = directory.path().join("access.log");
    fs::write(&file, (0..LINES).map(line).collect::<String>()).unwrap();
    let configuration = backends.configuration(&format!("include: [{}], start_at: beginning", file.display()));
    // A backend that is slow to answer, as on a busy machine, would get requests twice.
    let configuration = configuration.replace("timeout: 300ms", "timeout: 30s");
    backends.otlp.behave(Behaviour::status(503));
    let hornpipe = start(&directory, &configuration);
    all_at("the backend that works", || backends.datadog.logs().len()).await;
    #[cfg(target_os = "linux")]
    assert!(peak_kib(hornpipe.pid()) < MEMORY_KIB, "{} KiB at most", peak_kib(hornpipe.pid()));
    hornpipe.stop_without_drops();
    assert_eq!(backends.otlp.logs().len(), 0);

    backends.otlp.behave(Behaviour::Ok);
    let hornpipe = start(&directory, &configuration);
    all_at("the backend that was down", || backends.otlp.logs().len()).await;
    hornpipe.stop_without_drops();
    backends.numbers().into_iter().for_each(|(_, numbers)| assert_each_once(0..LINES, numbers));
}

/// Waits for all lines. To count them is work, so it is not done all the time.
async fn all_at(backend: &str, count: impl Fn() -> usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while (count() as u64) < LINES {
        assert!(Instant::now() < deadline, "{} of {LINES} lines at {backend}", count());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The most memory that the process has had.
#[cfg(target_os = "linux")]
fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let row = status.lines().find_map(|row| row.strip_prefix("VmHWM:")).unwrap();
    row.trim().trim_end_matches(" kB").parse().unwrap()
}
