//! The task that sends a queue's entries: as many at a time as the [`pace`](super::pace) allows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hornpipe_model::Data;
use tokio::sync::oneshot;

use super::batcher::{gather, split};
use super::disk::Command;
use super::entry::Entry;
use super::pace::Pace;
use super::sender::Sender;
use super::set_aside::{Patient, Ward};
use super::{Active, Delivery, Lane};
use crate::component::{Encoded, Exporter};
use crate::telemetry::Status;
use crate::{Outcome, Reason, reason};

/// How long an entry waits until its delivery is written down; a disk that hangs holds up no backend for longer.
const RECORD_PATIENCE: Duration = Duration::from_millis(500);

/// Why a worker stops taking entries.
enum Stop {
    /// The queue is closed and what it has in memory is sent.
    Empty,
    /// No time is left.
    Aborted,
    /// Another exporter takes over.
    Replaced,
}

/// An entry that is no longer under way.
struct Landed {
    entry: Entry,
    /// Its place among those that were taken.
    order: u64,
    /// Some of it is still to be sent.
    is_open: bool,
    /// It was the one try beside something that is stuck, and the backend took something of it, or gave it up for good.
    probe_succeeded: bool,
}

/// What the entries of one queue share while they are under way.
struct Crew<'a> {
    delivery: &'a Delivery,
    lane: &'a Lane,
    active: &'a Arc<Active>,
    sender: Sender<'a>,
    pace: &'a Pace,
    ward: &'a Ward,
    /// An entry waits for others that go with it, or for its turn; those behind it wait, too.
    is_gathering: AtomicBool,
}

impl Delivery {
    /// Sends the entries of one queue, oldest first, until drained, aborted or [replaced](Delivery::replace).
    pub(super) async fn run_lane(&self, lane: &Lane, active: &Arc<Active>) {
        let pace = Pace::new(active.config.sending_queue.consumers(lane.signal));
        let ward = Ward::default();
        let mut replacement = self.active.subscribe();
        let is_replaced = !Arc::ptr_eq(&replacement.borrow_and_update(), active);
        let sender = Sender::new(self, Arc::clone(active), replacement.clone(), &pace, &ward);
        let is_gathering = AtomicBool::new(false);
        let crew = Crew { delivery: self, lane, active, sender, pace: &pace, ward: &ward, is_gathering };

        let mut running = FuturesUnordered::new();
        let mut returned = Vec::new();
        let mut order = 0;
        let stop = loop {
            if is_replaced {
                break Stop::Replaced;
            }
            let may_start = crew.may_start(running.len());
            tokio::select! {
                biased;
                () = self.abort.requested() => break Stop::Aborted,
                _ = replacement.changed() => break Stop::Replaced,
                Some(landed) = running.next(), if !running.is_empty() => crew.land(landed, &mut returned),
                () = ward.changed.notified() => {}
                entry = lane.queue.pop(), if may_start => match entry {
                    Some(entry) => {
                        let is_probe = ward.numbers().0 > 0 && ward.take_probe();
                        order += 1;
                        self.show_queue();
                        crew.is_gathering.store(true, Ordering::Release);
                        running.push(crew.deliver(entry, order, is_probe));
                    }
                    None => break Stop::Empty,
                },
            }
            crew.give_back(&mut returned);
        };
        while let Some(landed) = running.next().await {
            crew.land(landed, &mut returned);
        }
        crew.give_back(&mut returned);
        drop(running);
        if !matches!(stop, Stop::Replaced) {
            self.sweep_lane(lane).await;
        }
    }

    /// Encodes on a thread for work that takes long, so that no sibling's task waits for it; one batch of a queue at a time. A
    /// panic costs the batch.
    pub(super) async fn encode(&self, active: &Active, data: &Data, items: Vec<u32>) -> Encoded {
        let exporter: Arc<dyn Exporter> = Arc::clone(&active.exporter);
        let count = items.len() as u64;
        let work = {
            let data = data.clone();
            move || exporter.encode(&data, &items)
        };
        let _turn = self.lane(data.signal()).encoding.lock().await;
        match tokio::task::spawn_blocking(work).await {
            Ok(encoded) => encoded,
            Err(_) => {
                let text = format!("{} failed (panic) while it encoded {count} items", self.telemetry.identity());
                tracing::error!(exporter = self.id(), "{text}");
                self.telemetry.set_status(Status::Error(text));
                Encoded { requests: Vec::new(), dropped: vec![(reason::PANIC, count)] }
            }
        }
    }

    /// Counts items that were held as dropped; the outcome for their ack.
    pub(super) fn count_dropped(&self, data: &Data, dropped: &[(Reason, u64)]) -> Outcome {
        let counters = self.telemetry.signal(data.signal());
        let mut worst = Outcome::Delivered;
        for &(reason, items) in dropped.iter().filter(|(_, items)| *items > 0) {
            counters.held.subtract(items);
            counters.dropped(reason, items);
            worst = Outcome::Dropped(reason);
        }
        worst
    }
}

impl Crew<'_> {
    /// Whether another entry may be taken while so many are under way.
    fn may_start(&self, running: usize) -> bool {
        let (stuck, aside) = self.ward.numbers();
        let active = running.saturating_sub(stuck + aside);
        if self.is_gathering.load(Ordering::Acquire) {
            return false;
        }
        if stuck > 0 { active == 0 && self.ward.wants_probe() } else { active < self.pace.consumers() }
    }

    /// Encodes an entry and sends its requests one after another.
    async fn deliver(&self, entry: Entry, order: u64, is_probe: bool) -> Landed {
        let mut entry = self.prepare(entry).await;
        let all = || (0..u32::try_from(entry.data.items()).unwrap_or(u32::MAX)).collect();
        let items: Vec<u32> = entry.open.take().unwrap_or_else(all);
        let batch = self.active.config.sending_queue.batch(self.lane.signal);
        let groups = match batch {
            Some(config) => split(&entry, items, &config),
            None => vec![items],
        };
        let mut patient = Patient::default();
        let mut left = Vec::new();
        let mut is_settled = false;
        for group in groups {
            let encoded = self.delivery.encode(self.active, &entry.data, group).await;
            entry.worst = entry.worst.max(self.delivery.count_dropped(&entry.data, &encoded.dropped));
            is_settled |= encoded.requests.is_empty();
            for request in encoded.requests {
                let sent = self.sender.send(&entry, request, is_probe, &mut patient).await;
                entry.worst = entry.worst.max(sent.worst);
                is_settled |= sent.is_settled;
                left.extend(sent.left);
            }
        }
        self.ward.leave(patient);
        let is_open = !left.is_empty();
        if is_open {
            left.sort_unstable();
            entry.open = Some(left);
        } else {
            self.finish(&entry).await;
        }
        Landed { entry, order, is_open, probe_succeeded: is_probe && is_settled }
    }

    /// Waits for the entry's turn, and for others that go with it.
    async fn prepare(&self, entry: Entry) -> Entry {
        let delivery = self.delivery;
        let mut replacement = delivery.active.subscribe();
        let turn = self.pace.next();
        if turn > delivery.clock.monotonic() {
            tokio::select! {
                () = delivery.clock.sleep_until(turn) => {}
                () = delivery.drain.requested() => {}
                _ = replacement.changed() => {}
            }
        }
        let queue = &self.lane.queue;
        let entry = match self.active.config.sending_queue.batch(self.lane.signal) {
            Some(config) if entry.open.is_none() => {
                gather(entry, queue, &config, &delivery.clock, &delivery.drain).await
            }
            _ => entry,
        };
        self.is_gathering.store(false, Ordering::Release);
        self.ward.changed.notify_one();
        entry
    }

    /// Settles what is done with an entry; what is open goes back later, in order.
    fn land(&self, landed: Landed, returned: &mut Vec<Landed>) {
        if landed.probe_succeeded {
            let moved = self.ward.probe_succeeded();
            if moved > 0 {
                let (exporter, signal) = (self.delivery.id(), self.lane.signal.as_str());
                tracing::warn!(
                    exporter,
                    signal,
                    batches = moved,
                    "set aside: the backend takes others, and refuses what failed so often"
                );
            }
        }
        self.lane.aside.store(self.ward.numbers().1, Ordering::Relaxed);
        self.delivery.show_queue();
        if landed.is_open {
            returned.push(landed);
        }
    }

    /// An entry is delivered or dropped. Its place is free once that is written down, so that a killed process repeats no more
    /// than was under way.
    async fn finish(&self, entry: &Entry) {
        let queue = &self.lane.queue;
        queue.finish(entry);
        entry.settle(Outcome::Delivered);
        self.delivery.show_queue();
        let (answer, recorded) = oneshot::channel();
        if entry.sequences().next().is_some() && queue.send(Command::Record(answer)).is_ok() {
            tokio::select! {
                _ = recorded => {}
                () = self.delivery.clock.sleep(RECORD_PATIENCE) => {}
                () = self.delivery.abort.requested() => {}
            }
        }
    }

    /// Puts what is open back to the front of the queue, the oldest foremost.
    fn give_back(&self, returned: &mut Vec<Landed>) {
        returned.sort_by_key(|landed| std::cmp::Reverse(landed.order));
        for landed in returned.drain(..) {
            self.lane.queue.give_back(landed.entry);
        }
    }
}
