//! Bounds and order of a queue in memory; the disk's side is tested with the disk.

use std::sync::Arc;
use std::time::Duration;

use hornpipe_model::{Data, MetricBatch, MetricPoint, Resource, Scope};

use super::*;
use crate::delivery::Sizer;

fn entry(name: &str) -> Entry {
    let resource = Arc::new(Resource { schema_url: name.to_owned(), ..Resource::default() });
    Entry::new(MetricBatch { resource, scope: Arc::new(Scope::default()), points: Vec::new() }.into(), None, FIRST)
}

const FIRST: Timestamp = Timestamp::from_secs(1_000);

fn name(entry: &Entry) -> String {
    match &entry.data {
        Data::Metrics(batch) => batch.resource.schema_url.clone(),
        Data::Logs(_) => String::new(),
    }
}

/// Room for some entries.
fn bounds(entries: usize, on_full: OnFull) -> Bounds {
    Bounds { memory: entry("x").bytes() * entries, disk: 0, size: None, on_full }
}

fn queue(entries: usize, on_full: OnFull) -> Queue {
    Queue::new(bounds(entries, on_full))
}

#[tokio::test]
async fn at_the_bound_the_oldest_gives_way() {
    let queue = queue(2, OnFull::DropOldest);
    for text in ["a", "b"] {
        assert!(queue.push(entry(text)).await.dropped.is_empty());
    }
    let pushed = queue.push(entry("c")).await;
    assert_eq!(pushed.dropped.iter().map(name).collect::<Vec<_>>(), ["a"]);
    assert_eq!(name(&queue.pop().await.unwrap()), "b");
    assert_eq!(name(&queue.pop().await.unwrap()), "c");
}

#[tokio::test]
async fn at_the_bound_the_newest_gives_way_where_asked() {
    let queue = queue(1, OnFull::DropNewest);
    queue.push(entry("a")).await;
    assert_eq!(queue.push(entry("b")).await.dropped.iter().map(name).collect::<Vec<_>>(), ["b"]);
}

#[tokio::test]
async fn what_is_being_sent_counts_until_it_is_done() {
    let queue = queue(2, OnFull::DropOldest);
    queue.push(entry("a")).await;
    let sending = queue.pop().await.unwrap();
    queue.push(entry("b")).await;
    assert_eq!(queue.push(entry("c")).await.dropped.iter().map(name).collect::<Vec<_>>(), ["b"]);
    queue.finish(&sending);
    assert!(queue.push(entry("d")).await.dropped.is_empty());
}

#[tokio::test]
async fn what_was_taken_by_somebody_who_is_gone_counts_no_more() {
    let queue = queue(2, OnFull::DropOldest);
    let logs = || Entry::new(crate::testing::numbered_logs(0..5, FIRST), None, FIRST);
    let two = Bounds { memory: logs().bytes() * 2, ..bounds(1, OnFull::DropOldest) };
    queue.configure(two);
    queue.push(logs()).await;
    queue.push(logs()).await;
    drop(queue.pop().await);
    assert_eq!(queue.lose_in_flight(), 5);
    assert!(queue.push(logs()).await.dropped.is_empty(), "its room is free");
    assert_eq!(queue.lose_in_flight(), 0);
}

#[tokio::test]
async fn the_oldest_is_what_is_being_sent_then_what_waits() {
    let queue = queue(3, OnFull::DropOldest);
    let oldest = |queue: &Queue| {
        let mut found = None;
        queue.show(|levels| found = levels.oldest);
        found.map(Timestamp::as_secs)
    };
    assert_eq!(oldest(&queue), None);
    queue.push(entry("a")).await;
    let mut later = entry("b");
    later.queued = Timestamp::from_secs(1_010);
    queue.push(later).await;
    assert_eq!(oldest(&queue), Some(1_000));
    let sending = queue.pop().await.unwrap();
    assert_eq!(oldest(&queue), Some(1_000));
    queue.give_back(sending);
    assert_eq!(oldest(&queue), Some(1_000));
    let sending = queue.pop().await.unwrap();
    queue.finish(&sending);
    assert_eq!(oldest(&queue), Some(1_010));
    queue.clear();
    assert_eq!(oldest(&queue), None);
}

#[tokio::test]
async fn of_entries_that_travel_as_one_nothing_stays_behind() {
    let queue = queue(3, OnFull::DropOldest);
    // The second one was queued before the first, as far as the clock knows.
    for seconds in [1_000, 990, 1_010] {
        let mut entry = entry("a");
        entry.queued = Timestamp::from_secs(seconds);
        queue.push(entry).await;
    }
    let mut sending = queue.pop().await.unwrap();
    while let Some(next) = queue.pop_for(|next| sending.goes_with(next)) {
        sending.merge(next);
    }
    assert_eq!(sending.parts.len(), 3);
    queue.finish(&sending);
    queue.show(|levels| assert_eq!(levels, Levels::default()));
}

#[tokio::test]
async fn block_waits_for_room_and_close_ends_the_wait() {
    let queue = Arc::new(queue(1, OnFull::Block));
    queue.push(entry("a")).await;
    let waiting = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { queue.push(entry("b")).await }
    });
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(!waiting.is_finished());
    let sending = queue.pop().await.unwrap();
    queue.finish(&sending);
    assert!(waiting.await.unwrap().dropped.is_empty());

    let blocked = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { queue.push(entry("c")).await }
    });
    tokio::task::yield_now().await;
    queue.close();
    assert!(blocked.await.unwrap().dropped.is_empty());
    assert_eq!(name(&queue.pop().await.unwrap()), "b");
    assert_eq!(name(&queue.pop().await.unwrap()), "c");
    assert!(queue.pop().await.is_none());
}

#[tokio::test]
async fn an_entry_above_the_bound_is_taken_by_an_empty_queue() {
    let queue = Queue::new(Bounds { memory: 1, ..bounds(1, OnFull::Block) });
    assert!(queue.push(entry("large")).await.dropped.is_empty());
}

#[tokio::test]
async fn the_second_bound_counts_batches_items_or_bytes() {
    for (sizer, limit) in [(Sizer::Requests, 2), (Sizer::Bytes, entry("x").bytes() as u64 * 2)] {
        let queue = Queue::new(Bounds { size: Some((sizer, limit)), ..bounds(100, OnFull::DropNewest) });
        queue.push(entry("a")).await;
        let sending = queue.pop().await.unwrap();
        queue.push(entry("b")).await;
        assert_eq!(queue.push(entry("c")).await.dropped.len(), 1, "{sizer:?}");
        queue.finish(&sending);
        assert_eq!(queue.push(entry("d")).await.dropped.len(), 0, "{sizer:?}");
    }
}

#[tokio::test]
async fn what_would_be_on_disk_alone_waits_in_its_file_while_the_backend_takes_what_it_is_sent() {
    let mebibyte = || {
        let points = Vec::with_capacity((1 << 20) / size_of::<MetricPoint>());
        Entry::new(MetricBatch { resource: Arc::default(), scope: Arc::default(), points }.into(), None, FIRST)
    };
    // Four entries and a little more.
    let queue =
        Queue::new(Bounds { memory: (4 << 20) + 4_096, disk: 1 << 30, size: None, on_full: OnFull::DropOldest });
    let (commands, _disk) = mpsc::channel();
    let push = async || {
        queue.push(mebibyte()).await;
        // The disk has it at once.
        queue.change(|state| state.disk.iter_mut().for_each(|disk| disk.pending = 0));
    };
    queue.change(|state| {
        state.disk = Some(DiskHandle { is_opening: false, takes: true, ..DiskHandle::new(commands) });
    });
    push().await;
    push().await;
    assert!(queue.has_room(true), "memory has room for a large batch");
    push().await;
    assert!(!queue.has_room(true));
    assert!(queue.has_room(false), "while the backend fails, the disk takes what memory does not");
    let sending = queue.pop().await.unwrap();
    assert!(!queue.has_room(true), "it is sent, not delivered");
    queue.finish(&sending);
    assert!(queue.has_room(true));
    for _ in 0..3 {
        push().await;
    }
    assert!(queue.change(|state| state.unread.records) > 0);
    for _ in 0..4 {
        let sending = queue.pop().await.unwrap();
        queue.finish(&sending);
    }
    assert!(!queue.has_room(true), "what is on disk alone is read first");
}
