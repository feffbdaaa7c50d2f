//! Files that are rotated while they are written and read.

use std::time::Duration;

use hornpipe_engine::testing::assert_each_once;

use super::writer::Writer;
use super::{Backends, start};
use crate::support::Directory;

/// Rotates a file in every way while lines come, and checks that each arrives once at both backends.
async fn check(pattern: &str) {
    let (backends, directory) = (Backends::start().await, Directory::new());
    let include = directory.path().join(pattern);
    let receiver = format!("include: [{}], start_at: beginning, service: shop, source: gunicorn", include.display());
    let writer = Writer::start(&directory.path().join("access.log"), 4_000);
    let hornpipe = start(&directory, &backends.configuration(&receiver));
    for late in [0, 150, 20] {
        std::thread::sleep(Duration::from_millis(200));
        writer.rename(Duration::from_millis(late));
        std::thread::sleep(Duration::from_millis(150));
        writer.copytruncate();
    }
    std::thread::sleep(Duration::from_millis(100));
    let lines = writer.stop();
    backends.wait_for(lines).await;
    hornpipe.stop_without_drops();
    backends.numbers().into_iter().for_each(|(_, numbers)| assert_each_once(0..lines, numbers));
    let entries = backends.datadog.logs();
    assert!(entries.iter().all(|entry| (entry.service.as_str(), entry.source.as_str()) == ("shop", "gunicorn")));
    assert!(entries[0].tags.contains(&"filename:access.log".to_owned()), "{:?}", entries[0].tags);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_line_arrives_once_at_both_backends_through_rotations_within_the_pattern() {
    check("access.log*").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_line_arrives_once_at_both_backends_through_rotations_out_of_the_pattern() {
    check("access.log").await;
}
