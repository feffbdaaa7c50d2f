//! One request until it is settled.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use hornpipe_model::{Data, Signal};
use tokio::sync::watch;

use super::entry::Entry;
use super::pace::Pace;
use super::retry::Backoff;
use super::set_aside::{Patient, STUBBORN, Ward};
use super::{Active, Delivery, LOG_INTERVAL};
use crate::component::{Request, SendOutcome};
use crate::{Outcome, RateLimit, Reason, lock, reason};

/// Longest pause between attempts once the exporter is asked to drain.
const DRAIN_PAUSE: Duration = Duration::from_secs(1);

/// Shortest wait for an item to grow too old: what remains of a request is encoded again each time.
const EXPIRY_STEP: Duration = Duration::from_secs(1);

/// Sends the requests of one queue, and remembers what it told the operator.
pub(super) struct Sender<'a> {
    delivery: &'a Delivery,
    active: Arc<Active>,
    replacement: watch::Receiver<Arc<Active>>,
    pace: &'a Pace,
    ward: &'a Ward,
    failure_log: RateLimit,
    refusal_log: RateLimit,
    last_refusal: Mutex<String>,
    failing: AtomicBool,
}

/// What became of a request.
#[derive(Debug)]
pub(super) struct Sent {
    /// The worst outcome of the items that are settled.
    pub worst: Outcome,
    /// Whether any is.
    pub is_settled: bool,
    /// The items that are not.
    pub left: Vec<u32>,
}

/// What a request's attempts have in common.
struct Attempts<'a> {
    entry: &'a Entry,
    /// It has one attempt and goes back to the queue where that fails.
    is_probe: bool,
    patient: &'a mut Patient,
}

/// What the next step for a request is.
enum Next {
    /// Settled.
    Done(Outcome),
    /// These take its place.
    Split(Vec<Request>, Outcome),
    /// Another exporter takes over, or no time is left; nothing of it is settled.
    Open,
}

impl<'a> Sender<'a> {
    /// `replacement` tells when another exporter takes over.
    pub(super) fn new(
        delivery: &'a Delivery,
        active: Arc<Active>,
        replacement: watch::Receiver<Arc<Active>>,
        pace: &'a Pace,
        ward: &'a Ward,
    ) -> Self {
        Sender {
            delivery,
            active,
            replacement,
            pace,
            ward,
            failure_log: RateLimit::new(LOG_INTERVAL),
            refusal_log: RateLimit::new(LOG_INTERVAL),
            last_refusal: Mutex::default(),
            failing: AtomicBool::new(false),
        }
    }

    /// Sends a request, in halves where it is too large, until every item of it is delivered or dropped. What is left of it
    /// comes back when another exporter takes over, no time is left, or a probe fails.
    pub(super) async fn send(&self, entry: &Entry, request: Request, is_probe: bool, patient: &mut Patient) -> Sent {
        let mut sent = Sent { worst: Outcome::Delivered, is_settled: false, left: Vec::new() };
        let mut open = VecDeque::from([request]);
        let mut attempts = Attempts { entry, is_probe, patient };
        while let Some(request) = open.pop_front() {
            let next = AssertUnwindSafe(self.settle(&mut attempts, &request)).catch_unwind().await;
            match next.unwrap_or_else(|_| self.fail(&entry.data, &request)) {
                Next::Done(outcome) => {
                    sent.worst = sent.worst.max(outcome);
                    sent.is_settled = true;
                }
                Next::Open => sent.left.extend(request.items),
                Next::Split(parts, outcome) => {
                    sent.worst = sent.worst.max(outcome);
                    for part in parts.into_iter().rev() {
                        open.push_front(part);
                    }
                }
            }
        }
        sent
    }

    /// Tries one request again and again.
    async fn settle(&self, attempts: &mut Attempts<'_>, request: &Request) -> Next {
        let (delivery, entry) = (self.delivery, attempts.entry);
        let data = &entry.data;
        let retry = &self.active.config.retry_on_failure;
        let mut backoff = Backoff::new(retry);
        let started = delivery.clock.monotonic();
        for failures in 1_u32.. {
            if let Some(next) = self.keep_silence(data, request).await {
                return next;
            }
            if delivery.abort.is_requested() || self.replacement.has_changed().unwrap_or(false) {
                return Next::Open;
            }
            let (asked, error) = match self.attempt(request).await {
                None => return Next::Open,
                Some(SendOutcome::Delivered { rejected, message }) => {
                    return Next::Done(self.delivered(data, request, rejected, &message));
                }
                Some(SendOutcome::TooLarge { error }) => return self.halve(data, request, &error).await,
                Some(SendOutcome::Permanent { reason, error }) => {
                    self.log_refusal(&error);
                    return Next::Done(self.drop_items(data, request, reason, &error));
                }
                Some(SendOutcome::Retryable { after, error }) => (after, error),
                Some(SendOutcome::Unauthorized { error }) => (None, error),
            };
            let now = delivery.clock.monotonic();
            let asked = asked.map(|asked| retry.granted(asked));
            self.pace.failed(now, asked);
            let own_pause = backoff.pause(fastrand::f64());
            let mut pause = own_pause.max(asked.unwrap_or_default());
            let limit = retry.max_elapsed_time.get();
            let is_over = !limit.is_zero() && now.saturating_sub(started).saturating_add(pause) > limit;
            if !retry.enabled || (is_over && !entry.is_on_disk()) {
                return Next::Done(self.drop_items(data, request, reason::RETRIES_EXHAUSTED, &error));
            }
            if attempts.is_probe {
                return Next::Open;
            }
            if failures >= STUBBORN {
                self.ward.stick(attempts.patient, asked.is_none());
            }
            if self.ward.is_aside(attempts.patient) {
                pause = pause.max(retry.max_interval.get());
            } else {
                self.note_failure(request.signal, &error, pause);
            }
            // What the backend asked for beyond that is silence, which comes next.
            self.pause(pause.min(own_pause.max(retry.max_interval.get()))).await;
        }
        Next::Open
    }

    /// A panic of our own costs the request.
    fn fail(&self, data: &Data, request: &Request) -> Next {
        let error = format!("{} failed (panic) over a request", self.delivery.telemetry.identity());
        tracing::error!(exporter = self.delivery.id(), "{error}");
        Next::Done(self.drop_items(data, request, reason::PANIC, &error))
    }

    /// Waits while the backend wants to hear nothing, but for a drain. What grows too old meanwhile, or is so already, is dropped:
    /// then the rest takes the request's place.
    async fn keep_silence(&self, data: &Data, request: &Request) -> Option<Next> {
        let delivery = self.delivery;
        let mut replacement = self.replacement.clone();
        loop {
            if let Some(next) = self.without_expired(data, request).await {
                return Some(next);
            }
            let until = self.pace.silent_until();
            let now = delivery.clock.monotonic();
            if until <= now || delivery.drain.is_requested() || replacement.has_changed().unwrap_or(false) {
                return None;
            }
            let expired = self.time_left(data, request).map_or(until, |left| now.saturating_add(left.max(EXPIRY_STEP)));
            tokio::select! {
                () = delivery.clock.sleep_until(until.min(expired)) => {}
                () = delivery.drain.requested() => {}
                _ = replacement.changed() => return None,
            }
        }
    }

    /// One attempt, bounded in time; a panic of the exporter counts as a refusal. `None` where no time is left for the
    /// answer.
    async fn attempt(&self, request: &Request) -> Option<SendOutcome> {
        let delivery = self.delivery;
        let sending = AssertUnwindSafe(self.active.exporter.send(request)).catch_unwind();
        let limit = self.active.config.timeout.get();
        let bounded =
            async { if limit.is_zero() { Ok(sending.await) } else { delivery.clock.timeout(limit, sending).await } };
        tokio::select! {
            biased;
            result = bounded => Some(match result {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => {
                    let error = format!("{} failed (panic) while it sent a request", delivery.telemetry.identity());
                    SendOutcome::Permanent { reason: reason::PANIC, error }
                }
                Err(_) => SendOutcome::Retryable { after: None, error: format!("no answer within {limit:?}") },
            }),
            () = delivery.abort.requested() => None,
        }
    }

    /// Waits before the next attempt: until the pause is over, the backend takes what comes behind, the drain begins or another
    /// exporter takes over; draining, a short while.
    async fn pause(&self, pause: Duration) {
        let delivery = self.delivery;
        let mut replacement = self.replacement.clone();
        if delivery.drain.is_requested() {
            tokio::select! {
                () = delivery.clock.sleep(pause.min(DRAIN_PAUSE)) => {}
                () = delivery.abort.requested() => {}
            }
        } else {
            tokio::select! {
                () = delivery.clock.sleep(pause) => {}
                () = self.ward.released.notified() => {}
                () = delivery.drain.requested() => {}
                _ = replacement.changed() => {}
            }
        }
    }

    /// The age at which items of a request are dropped, if there is one. To keep data for longer than the backend takes it would
    /// be to lose it without counting it.
    fn max_age(&self, request: &Request) -> Option<Duration> {
        let set = self.active.config.sending_queue.max_age();
        set.into_iter().chain(self.active.exporter.max_age_of(request)).min()
    }

    /// How long it takes until the first item of a request is too old.
    fn time_left(&self, data: &Data, request: &Request) -> Option<Duration> {
        let max_age = self.max_age(request)?;
        let oldest = request.items.iter().map(|item| data.item_time(*item)).min()?;
        Some(max_age.saturating_sub(self.delivery.clock.unix().since(oldest)))
    }

    /// Drops the items that the backend would no longer take; `None` when there are none.
    async fn without_expired(&self, data: &Data, request: &Request) -> Option<Next> {
        let delivery = self.delivery;
        let max_age = self.max_age(request)?;
        let now = delivery.clock.unix();
        let is_old = |item: &u32| now.since(data.item_time(*item)) > max_age;
        if !request.items.iter().any(is_old) {
            return None;
        }
        let (old, fresh): (Vec<u32>, Vec<u32>) = request.items.iter().partition(|item| is_old(item));
        delivery.log_drop(old.len() as u64, request.signal, reason::TOO_OLD, "older than the backend accepts");
        let outcome = delivery.count_dropped(data, &[(reason::TOO_OLD, old.len() as u64)]);
        Some(self.encode_again(data, vec![fresh], outcome).await)
    }

    /// Splits a request that is too large; one item alone is dropped.
    async fn halve(&self, data: &Data, request: &Request, error: &str) -> Next {
        if request.items.len() < 2 {
            return Next::Done(self.drop_items(data, request, reason::TOO_LARGE, error));
        }
        let (first, second) = request.items.split_at(request.items.len() / 2);
        self.encode_again(data, vec![first.to_vec(), second.to_vec()], Outcome::Delivered).await
    }

    /// Encodes groups of a request's items anew.
    async fn encode_again(&self, data: &Data, groups: Vec<Vec<u32>>, so_far: Outcome) -> Next {
        let mut parts = Vec::new();
        let mut worst = so_far;
        for items in groups.into_iter().filter(|items| !items.is_empty()) {
            let encoded = self.delivery.encode(&self.active, data, items).await;
            worst = worst.max(self.delivery.count_dropped(data, &encoded.dropped));
            parts.extend(encoded.requests);
        }
        Next::Split(parts, worst)
    }

    fn delivered(&self, data: &Data, request: &Request, rejected: u64, message: &str) -> Outcome {
        let delivery = self.delivery;
        let items = request.items.len() as u64;
        let rejected = rejected.min(items);
        let counters = delivery.telemetry.signal(request.signal);
        counters.held.subtract(items - rejected);
        counters.passed.add(items - rejected);
        counters.emitted.add(items - rejected);
        if rejected > 0 {
            self.log_refusal(&format!("{rejected} of {items} items rejected: {message}"));
        } else if !message.is_empty() {
            self.log_refusal(message);
        }
        self.pace.succeeded(delivery.clock.monotonic(), !delivery.lane(request.signal).queue.is_idle());
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!(exporter = delivery.id(), "delivers again");
        }
        delivery.set_failure(request.signal, None);
        delivery.count_dropped(data, &[(reason::REJECTED, rejected)])
    }

    fn drop_items(&self, data: &Data, request: &Request, reason: Reason, error: &str) -> Outcome {
        let items = request.items.len() as u64;
        self.delivery.log_drop(items, request.signal, reason, error);
        self.delivery.set_failure(request.signal, Some(error));
        self.delivery.count_dropped(data, &[(reason, items)])
    }

    /// Tells the operator that the backend does not take data: at once when the reason is new, else now and then.
    fn note_failure(&self, signal: Signal, error: &str, pause: Duration) {
        let delivery = self.delivery;
        let news = delivery.set_failure(signal, Some(error));
        let due = self.failure_log.allow(&delivery.clock);
        if news || due.is_some() {
            let again = format!("{:.1}s", pause.as_secs_f64());
            tracing::warn!(exporter = delivery.id(), retry_in = again, "not delivered, data is kept: {error}");
        }
        self.failing.store(true, Ordering::Relaxed);
    }

    /// Logs a backend's own words once, and again after a while where they repeat.
    fn log_refusal(&self, error: &str) {
        let due = self.refusal_log.allow(&self.delivery.clock);
        let mut last = lock(&self.last_refusal);
        if *last != error || due.is_some() {
            tracing::error!(exporter = self.delivery.id(), "the backend refuses data: {error}");
            error.clone_into(&mut last);
        }
    }
}
