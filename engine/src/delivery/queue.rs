//! The queue between the pipelines and one exporter: first in, first out, bounded in bytes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hornpipe_model::{Data, Timestamp};
use tokio::sync::Notify;

use super::OnFull;
use crate::{Ack, Outcome};

/// A batch in the queue.
#[derive(Debug)]
pub struct Entry {
    /// The data.
    pub data: Data,
    /// Its obligation.
    pub ack: Option<Ack>,
    /// The items still to settle; `None` means all of them.
    pub open: Option<Vec<u32>>,
    /// The worst outcome of the items that are settled.
    pub worst: Outcome,
    queued: Timestamp,
    bytes: usize,
}

impl Entry {
    /// An entry of its data's size, queued at a time of day.
    pub fn new(data: Data, ack: Option<Ack>, queued: Timestamp) -> Self {
        let bytes = data.bytes();
        Entry { data, ack, open: None, worst: Outcome::Delivered, queued, bytes }
    }

    /// Number of items still to settle.
    pub fn open_items(&self) -> u64 {
        self.open.as_ref().map_or(self.data.items(), Vec::len) as u64
    }

    /// Bytes that the entry counts for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What had to give way to a new entry.
#[derive(Debug, Default)]
pub struct Pushed {
    /// Entries dropped: older ones, or the new one itself.
    pub dropped: Vec<Entry>,
}

/// A queue bounded in bytes. The entry that is being sent counts until [`Queue::finish`].
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    filled: Notify,
    drained: Notify,
}

#[derive(Debug)]
struct State {
    max_bytes: usize,
    on_full: OnFull,
    entries: VecDeque<Entry>,
    /// Bytes of all entries and of the one being sent.
    bytes: usize,
    in_flight: usize,
    /// When the entry that is being sent was queued.
    in_flight_queued: Option<Timestamp>,
    closed: bool,
}

impl Queue {
    /// An empty queue.
    pub fn new(max_bytes: usize, on_full: OnFull) -> Self {
        let state = State {
            max_bytes,
            on_full,
            entries: VecDeque::new(),
            bytes: 0,
            in_flight: 0,
            in_flight_queued: None,
            closed: false,
        };
        Queue { state: Mutex::new(state), filled: Notify::new(), drained: Notify::new() }
    }

    /// Changes bound and policy, for what comes from now on.
    pub fn configure(&self, max_bytes: usize, on_full: OnFull) {
        let mut state = self.lock();
        (state.max_bytes, state.on_full) = (max_bytes, on_full);
        drop(state);
        self.drained.notify_waiters();
    }

    /// Adds an entry; at the bound, what the policy says. Waits only with [`OnFull::Block`], and not once closed.
    pub async fn push(&self, entry: Entry) -> Pushed {
        self.wait_for_room(entry.bytes).await;
        let mut state = self.lock();
        let mut dropped = Vec::new();
        match state.on_full {
            OnFull::DropOldest => {
                while !state.fits(entry.bytes)
                    && let Some(oldest) = state.entries.pop_front()
                {
                    state.bytes -= oldest.bytes;
                    dropped.push(oldest);
                }
            }
            OnFull::DropNewest if !state.fits(entry.bytes) => {
                return Pushed { dropped: vec![entry] };
            }
            OnFull::DropNewest | OnFull::Block => {}
        }
        state.bytes += entry.bytes;
        state.entries.push_back(entry);
        drop(state);
        self.filled.notify_one();
        Pushed { dropped }
    }

    /// Takes the oldest entry, waiting for one; `None` once the queue is closed and empty.
    pub async fn pop(&self) -> Option<Entry> {
        loop {
            let filled = self.filled.notified();
            {
                let mut state = self.lock();
                if let Some(entry) = state.entries.pop_front() {
                    state.in_flight += entry.bytes;
                    state.in_flight_queued = Some(entry.queued);
                    return Some(entry);
                }
                if state.closed {
                    return None;
                }
            }
            filled.await;
        }
    }

    /// Puts an entry that was taken back to the front.
    pub fn give_back(&self, entry: Entry) {
        let mut state = self.lock();
        state.in_flight -= entry.bytes;
        state.in_flight_queued = None;
        state.entries.push_front(entry);
        drop(state);
        self.filled.notify_one();
    }

    /// Gives the room of an entry of that many bytes free again: it is sent or dropped.
    pub fn finish(&self, bytes: usize) {
        let mut state = self.lock();
        state.in_flight -= bytes;
        state.in_flight_queued = None;
        state.bytes -= bytes;
        drop(state);
        self.drained.notify_waiters();
    }

    /// Ends the queue: what is in it still comes out, nobody waits for room any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// Takes all entries.
    pub fn clear(&self) -> Vec<Entry> {
        let mut state = self.lock();
        let in_flight = state.in_flight;
        state.bytes = in_flight;
        state.entries.drain(..).collect()
    }

    /// Shows the bytes queued and being sent, and when the oldest of them was queued. The queue does not change
    /// meanwhile, so that of two callers the later one shows the later state.
    pub fn show(&self, show: impl FnOnce(usize, Option<Timestamp>)) {
        let state = self.lock();
        let oldest = state.in_flight_queued.or_else(|| state.entries.front().map(|entry| entry.queued));
        show(state.bytes, oldest);
    }

    async fn wait_for_room(&self, bytes: usize) {
        loop {
            let drained = self.drained.notified();
            {
                let state = self.lock();
                if state.on_full != OnFull::Block || state.closed || state.fits(bytes) {
                    return;
                }
            }
            drained.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// An entry larger than the bound fits an empty queue, so that it cannot wait for ever.
    fn fits(&self, bytes: usize) -> bool {
        self.bytes == 0 || self.bytes.saturating_add(bytes) <= self.max_bytes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use hornpipe_model::{MetricBatch, Resource, Scope};

    use super::*;

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

    fn room_for(entries: usize) -> usize {
        entry("x").bytes() * entries
    }

    #[tokio::test]
    async fn at_the_bound_the_oldest_gives_way() {
        let queue = Queue::new(room_for(2), OnFull::DropOldest);
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
        let queue = Queue::new(room_for(1), OnFull::DropNewest);
        queue.push(entry("a")).await;
        assert_eq!(queue.push(entry("b")).await.dropped.iter().map(name).collect::<Vec<_>>(), ["b"]);
    }

    #[tokio::test]
    async fn what_is_being_sent_counts_until_it_is_done() {
        let queue = Queue::new(room_for(2), OnFull::DropOldest);
        queue.push(entry("a")).await;
        let sending = queue.pop().await.unwrap();
        queue.push(entry("b")).await;
        assert_eq!(queue.push(entry("c")).await.dropped.iter().map(name).collect::<Vec<_>>(), ["b"]);
        queue.finish(sending.bytes());
        assert!(queue.push(entry("d")).await.dropped.is_empty());
    }

    #[tokio::test]
    async fn the_oldest_is_what_is_being_sent_then_what_waits() {
        let queue = Queue::new(room_for(3), OnFull::DropOldest);
        let oldest = |queue: &Queue| {
            let mut found = None;
            queue.show(|_, oldest| found = oldest);
            found.map(Timestamp::as_secs)
        };
        assert_eq!(oldest(&queue), None);
        queue.push(entry("a")).await;
        queue.push(Entry { queued: Timestamp::from_secs(1_010), ..entry("b") }).await;
        assert_eq!(oldest(&queue), Some(1_000));
        let sending = queue.pop().await.unwrap();
        assert_eq!(oldest(&queue), Some(1_000));
        queue.give_back(sending);
        assert_eq!(oldest(&queue), Some(1_000));
        let sending = queue.pop().await.unwrap();
        queue.finish(sending.bytes());
        assert_eq!(oldest(&queue), Some(1_010));
        queue.clear();
        assert_eq!(oldest(&queue), None);
    }

    #[tokio::test]
    async fn block_waits_for_room_and_close_ends_the_wait() {
        let queue = Arc::new(Queue::new(room_for(1), OnFull::Block));
        queue.push(entry("a")).await;
        let waiting = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.push(entry("b")).await }
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(!waiting.is_finished());
        let sending = queue.pop().await.unwrap();
        queue.finish(sending.bytes());
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
        let queue = Queue::new(1, OnFull::Block);
        assert!(queue.push(entry("large")).await.dropped.is_empty());
    }
}
