//! Gunicorn's error log, with tracebacks that other workers interrupt, gives the same records however it is asked for.

use std::fs;

use hornpipe_engine::testing::eventually;

use super::{Backends, start};
use crate::support::Directory;

/// An error log of a real Gunicorn.
const ERROR_LOG: &str = include_str!("../../../engine/tests/fixtures/gunicorn/sync.error.log");

const PATTERN: &str = r"\[\d{4}-\d{2}-\d{2}";

/// The log's records, and the same log in which another worker speaks within each traceback.
fn interrupted() -> (Vec<String>, String) {
    let (mut records, mut text): (Vec<String>, _) = (Vec::new(), String::new());
    let mut others = Vec::new();
    let mut is_open = false;
    for line in ERROR_LOG.lines() {
        match records.last_mut() {
            Some(record) if !line.starts_with("[20") => *record += &format!("\n{line}"),
            _ => records.push(line.to_owned()),
        }
        if is_open && line.starts_with("  File ") {
            let other = format!("[2026-11-22 10:36:09 +0000] [77] [INFO] meanwhile {}", others.len());
            text += &format!("{other}\n");
            others.push(other);
            is_open = false;
        }
        is_open |= line == "Traceback (most recent call last):";
        text += &format!("{line}\n");
    }
    assert!(others.len() > 3, "{} tracebacks are interrupted", others.len());
    records.append(&mut others);
    records.sort_unstable();
    (records, text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vendors_block_gives_the_same_records_as_our_own_spellings() {
    let (expected, text) = interrupted();
    let spellings = [
        // As it stands in the vendor's `conf.d/gunicorn.d/conf.yaml`, but for the path.
        (
            "logs: [{type: file, path: FILE, service: shop, source: gunicorn, start_position: beginning, \
             log_processing_rules: [{type: multi_line, name: log_start_with_date, pattern: 'PATTERN'}]}]",
            "",
        ),
        (
            "include: [FILE], start_at: beginning, service: shop, source: gunicorn, \
             multiline: {line_start_pattern: 'PATTERN'}",
            "",
        ),
        (
            "include: [FILE], start_at: beginning, service: shop, source: gunicorn",
            "processors: {multiline: {line_start_pattern: 'PATTERN'}}\n",
        ),
    ];
    for (receiver, processor) in spellings {
        let (backends, directory) = (Backends::start().await, Directory::new());
        let file = directory.path().join("error.log");
        fs::write(&file, &text).unwrap();
        let fill = |text: &str| text.replace("FILE", &file.display().to_string()).replace("PATTERN", PATTERN);
        let mut configuration = fill(processor) + &backends.configuration(&fill(receiver));
        if !processor.is_empty() {
            configuration =
                configuration.replace("receivers: [filelog],", "receivers: [filelog], processors: [multiline],");
        }
        let hornpipe = start(&directory, &configuration);
        eventually("all records at both backends", || {
            backends.datadog.logs().len() >= expected.len() && backends.otlp.logs().len() >= expected.len()
        })
        .await;
        hornpipe.stop_without_drops();
        let mut messages: Vec<String> = backends.datadog.logs().into_iter().map(|log| log.message).collect();
        messages.sort_unstable();
        assert_eq!(messages, expected, "at Datadog: {receiver}");
        let mut bodies: Vec<String> = backends.otlp.logs().into_iter().map(|log| log.body).collect();
        bodies.sort_unstable();
        assert_eq!(bodies, expected, "over OTLP: {receiver}");
    }
}
