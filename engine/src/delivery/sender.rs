//! One request until it is settled.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use hornpipe_model::Data;
use tokio::sync::watch;

use super::retry::Backoff;
use super::{Active, Delivery, LOG_INTERVAL};
use crate::component::{Request, SendOutcome};
use crate::telemetry::Status;
use crate::{Outcome, RateLimit, Reason, reason};

/// Longest pause between attempts once the exporter is asked to drain.
const DRAIN_PAUSE: Duration = Duration::from_secs(1);

/// Sends the requests of one exporter, one at a time, and remembers what it told the operator.
pub(super) struct Sender<'a> {
    delivery: &'a Delivery,
    pub(super) active: Arc<Active>,
    replacement: watch::Receiver<Arc<Active>>,
    failure_log: RateLimit,
    refusal_log: RateLimit,
    last_refusal: String,
    failing: bool,
}

/// What the next step for a request is.
enum Next {
    /// Settled.
    Done(Outcome),
    /// These take its place.
    Split(Vec<Request>, Outcome),
    /// Another exporter takes over; nothing of it is settled.
    Open(Vec<u32>),
}

impl<'a> Sender<'a> {
    /// `replacement` tells when another exporter takes over.
    pub(super) fn new(delivery: &'a Delivery, active: Arc<Active>, replacement: watch::Receiver<Arc<Active>>) -> Self {
        Sender {
            delivery,
            active,
            replacement,
            failure_log: RateLimit::new(LOG_INTERVAL),
            refusal_log: RateLimit::new(LOG_INTERVAL),
            last_refusal: String::new(),
            failing: false,
        }
    }

    /// Sends a request, in halves where it is too large, until every item of it is delivered or dropped. When another
    /// exporter takes over, the items left for it are returned beside the worst outcome of the others.
    pub(super) async fn send(&mut self, data: &Data, request: Request) -> (Outcome, Vec<u32>) {
        let mut worst = Outcome::Delivered;
        let mut left = Vec::new();
        let mut open = VecDeque::from([request]);
        while let Some(request) = open.pop_front() {
            match self.settle(data, request).await {
                Next::Done(outcome) => worst = worst.max(outcome),
                Next::Open(items) => left.extend(items),
                Next::Split(parts, outcome) => {
                    worst = worst.max(outcome);
                    for part in parts.into_iter().rev() {
                        open.push_front(part);
                    }
                }
            }
        }
        (worst, left)
    }

    /// Tries one request again and again.
    async fn settle(&mut self, data: &Data, request: Request) -> Next {
        let delivery = self.delivery;
        let active = Arc::clone(&self.active);
        let retry = &active.config.retry_on_failure;
        let mut backoff = Backoff::new(retry);
        let started = delivery.clock.monotonic();
        loop {
            if delivery.abort.is_requested() {
                return Next::Done(self.drop_items(data, &request, reason::SHUTDOWN, "no time left at shutdown"));
            }
            if self.replacement.has_changed().unwrap_or(false) {
                return Next::Open(request.items);
            }
            if let Some(next) = self.without_expired(data, &request).await {
                return next;
            }
            let (asked, error) = match self.attempt(&request).await {
                SendOutcome::Delivered { rejected, message } => {
                    return Next::Done(self.delivered(data, &request, rejected, &message));
                }
                SendOutcome::TooLarge { error } => return self.halve(data, &request, &error).await,
                SendOutcome::Permanent { reason, error } => {
                    self.log_refusal(&error);
                    return Next::Done(self.drop_items(data, &request, reason, &error));
                }
                SendOutcome::Retryable { after, error } => (after, error),
                SendOutcome::Unauthorized { error } => (None, error),
            };
            let elapsed = delivery.clock.monotonic().saturating_sub(started);
            let pause = backoff.pause(fastrand::f64(), asked);
            let limit = retry.max_elapsed_time.get();
            if !retry.enabled || (!limit.is_zero() && elapsed + pause > limit) {
                return Next::Done(self.drop_items(data, &request, reason::RETRIES_EXHAUSTED, &error));
            }
            self.note_failure(&error, pause);
            self.pause(pause).await;
        }
    }

    /// One attempt, bounded in time; a panic of the exporter counts as a refusal.
    async fn attempt(&self, request: &Request) -> SendOutcome {
        let delivery = self.delivery;
        let sending = AssertUnwindSafe(self.active.exporter.send(request)).catch_unwind();
        let limit = self.active.config.timeout.get();
        let bounded =
            async { if limit.is_zero() { Ok(sending.await) } else { delivery.clock.timeout(limit, sending).await } };
        tokio::select! {
            biased;
            result = bounded => match result {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => {
                    let error = format!("{} failed (panic) while it sent a request", delivery.telemetry.identity());
                    SendOutcome::Permanent { reason: reason::PANIC, error }
                }
                Err(_) => SendOutcome::Retryable { after: None, error: format!("no answer within {limit:?}") },
            },
            () = delivery.abort.requested() => {
                SendOutcome::Permanent { reason: reason::SHUTDOWN, error: "no answer before the end of the shutdown".to_owned() }
            }
        }
    }

    /// Waits before the next attempt: until the pause is over, the drain begins or another exporter takes over; draining,
    /// a short while.
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
                () = delivery.drain.requested() => {}
                _ = replacement.changed() => {}
            }
        }
    }

    /// Drops the items that the backend would no longer take; `None` when there are none.
    async fn without_expired(&self, data: &Data, request: &Request) -> Option<Next> {
        let delivery = self.delivery;
        let set = self.active.config.sending_queue.max_age.map(|age| age.get());
        let accepted = self.active.exporter.max_age_of(request);
        // To keep data for longer than the backend takes it would be to lose it without counting it.
        let max_age = set.into_iter().chain(accepted).min()?;
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

    fn delivered(&mut self, data: &Data, request: &Request, rejected: u64, message: &str) -> Outcome {
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
        if std::mem::take(&mut self.failing) {
            tracing::info!(exporter = delivery.id(), "delivers again");
        }
        delivery.telemetry.set_status(Status::Ok);
        delivery.count_dropped(data, &[(reason::REJECTED, rejected)])
    }

    fn drop_items(&self, data: &Data, request: &Request, reason: Reason, error: &str) -> Outcome {
        let items = request.items.len() as u64;
        self.delivery.log_drop(items, request.signal, reason, error);
        if reason != reason::SHUTDOWN {
            self.delivery.telemetry.set_status(Status::Error(error.to_owned()));
        }
        self.delivery.count_dropped(data, &[(reason, items)])
    }

    /// Tells the operator that the backend does not take data: at once when the reason is new, else now and then.
    fn note_failure(&mut self, error: &str, pause: Duration) {
        let delivery = self.delivery;
        let news = delivery.telemetry.set_status(Status::Error(error.to_owned()));
        let due = self.failure_log.allow(&delivery.clock);
        if news || due.is_some() {
            let again = format!("{:.1}s", pause.as_secs_f64());
            tracing::warn!(exporter = delivery.id(), retry_in = again, "not delivered, data is kept: {error}");
        }
        self.failing = true;
    }

    /// Logs a backend's own words once, and again after a while where they repeat.
    fn log_refusal(&mut self, error: &str) {
        let due = self.refusal_log.allow(&self.delivery.clock);
        if self.last_refusal != error || due.is_some() {
            tracing::error!(exporter = self.delivery.id(), "the backend refuses data: {error}");
            error.clone_into(&mut self.last_refusal);
        }
    }
}
