//! A Datadog intake for tests: a real socket, its own decoder, and the checks that the real one makes.

mod intake;
mod logs;
pub mod messages;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State as Shared;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;

use crate::testing::backend::{Backend, loopback};
use crate::testing::items::{self, item_number};
use crate::{Clock, lock};
use intake::{OTHER_LIMITS, Refusal, SERIES_LIMITS};
use logs::LOGS_LIMITS;
pub use logs::{EventEntry, LogEntry};
use store::Store;
pub use store::{CheckRun, SeriesKey, SeriesPoint, SeriesType, SketchPoint};

/// A fake Datadog: takes series, sketches, check runs, logs and events, and answers questions about them.
///
/// It dereferences to its [`Backend`], which knows the raw requests and can be told to misbehave.
pub struct FakeDatadog {
    backend: Backend,
    intake: Arc<Intake>,
}

/// A key is asked about beside the data: what a test scripts and counts is the data.
const VALIDATE: &str = "/api/v1/validate";

struct Intake {
    clock: Clock,
    key: Mutex<String>,
    store: Mutex<Store>,
    validations: Mutex<Validations>,
}

/// What was asked about keys, and how it is answered instead of with the truth.
#[derive(Default)]
struct Validations {
    asked: Vec<HeaderMap>,
    instead: Option<StatusCode>,
}

impl FakeDatadog {
    /// The API key that it takes.
    pub const API_KEY: &'static str = "0123456789abcdef0123456789abcdef";

    /// Starts one on a free port, by the system's clock.
    pub async fn start() -> Self {
        FakeDatadog::start_at(loopback().await, Clock::system())
    }

    /// Starts one at a socket, by a clock.
    pub fn start_at(listener: TcpListener, clock: Clock) -> Self {
        let intake = Arc::new(Intake {
            clock: clock.clone(),
            key: Mutex::new(Self::API_KEY.to_owned()),
            store: Mutex::default(),
            validations: Mutex::default(),
        });
        let router = Router::new()
            .route("/api/v2/series", post(take_series))
            .route("/api/beta/sketches", post(take_sketches))
            .route("/api/v1/check_run", post(take_checks))
            .route("/api/v2/logs", post(take_logs))
            .route("/api/v1/events", post(take_event))
            .route(VALIDATE, get(validate))
            .with_state(Arc::clone(&intake));
        FakeDatadog { backend: Backend::start_with(listener, clock, router, VALIDATE), intake }
    }

    /// Takes another key from now on, and no longer the one before.
    pub fn set_key(&self, key: &str) {
        key.clone_into(&mut lock(&self.intake.key));
    }

    /// The headers of every request about the key itself so far.
    pub fn validations(&self) -> Vec<HeaderMap> {
        lock(&self.intake.validations).asked.clone()
    }

    /// Answers requests about the key with a status from now on, or with the truth again.
    pub fn answer_validations_with(&self, status: Option<StatusCode>) {
        lock(&self.intake.validations).instead = status;
    }

    /// The points of a metric, by series and time; of points of one series and second the last one that came.
    pub fn points(&self, metric: &str) -> Vec<SeriesPoint> {
        self.tagged_points(metric, &[])
    }

    /// Those points of a metric whose series has all of these tags.
    pub fn tagged_points(&self, metric: &str, tags: &[&str]) -> Vec<SeriesPoint> {
        lock(&self.intake.store).points_of(metric, tags).cloned().collect()
    }

    /// What `.as_count()` adds up to over all time: rates times their intervals. `tags` as in
    /// [`tagged_points`](Self::tagged_points).
    pub fn sum_as_count(&self, metric: &str, tags: &[&str]) -> f64 {
        // Rates are quotients of whole numbers: their products differ from them in the last bits.
        let sum: f64 = lock(&self.intake.store).points_of(metric, tags).map(SeriesPoint::as_count).sum();
        (sum * 1e6).round() / 1e6
    }

    /// The types under which a metric came.
    pub fn types(&self, metric: &str) -> BTreeSet<SeriesType> {
        lock(&self.intake.store).points_of(metric, &[]).map(|point| point.kind).collect()
    }

    /// The units under which a metric came.
    pub fn units(&self, metric: &str) -> BTreeSet<String> {
        lock(&self.intake.store).points_of(metric, &[]).map(|point| point.unit.clone()).collect()
    }

    /// The names of all series and sketches.
    pub fn metrics(&self) -> BTreeSet<String> {
        lock(&self.intake.store).metrics()
    }

    /// The sketches of a distribution, by series and time.
    pub fn sketches(&self, metric: &str) -> Vec<SketchPoint> {
        lock(&self.intake.store).sketches.values().filter(|sketch| sketch.key.metric == metric).cloned().collect()
    }

    /// The numbers of the [numbered items](crate::testing::numbered_metrics) that are kept, as often as they count, and
    /// those of the logs and events.
    pub fn numbers(&self) -> Vec<u64> {
        let store = lock(&self.intake.store);
        let counts =
            store.points.values().filter_map(|point| Some((item_number(&point.key.metric)?, point.as_count())));
        let mut numbers = items::repeat(counts);
        numbers.extend(store.logs.iter().filter_map(|log| item_number(&log.message)));
        numbers.extend(store.events.iter().filter_map(|event| item_number(&event.title)));
        numbers
    }

    /// The logs, in the order in which they came.
    pub fn logs(&self) -> Vec<LogEntry> {
        lock(&self.intake.store).logs.clone()
    }

    /// The events, in the order in which they came.
    pub fn events(&self) -> Vec<EventEntry> {
        lock(&self.intake.store).events.clone()
    }

    /// The results of a service check, in the order in which they came.
    pub fn checks(&self, check: &str) -> Vec<CheckRun> {
        lock(&self.intake.store).checks.iter().filter(|run| run.check == check).cloned().collect()
    }

    /// Points that gave way to a later one with another value at the same second: data that Datadog would have lost.
    pub fn overwritten(&self) -> Vec<SeriesPoint> {
        lock(&self.intake.store).overwritten.clone()
    }

    /// What was taken but would never be shown (too old, too far ahead, not finite), in words.
    pub fn ignored(&self) -> Vec<String> {
        lock(&self.intake.store).ignored.clone()
    }

    /// Why requests were refused, in words; scripted refusals are not among them.
    pub fn refusals(&self) -> Vec<String> {
        lock(&self.intake.store).refusals.clone()
    }

    /// Fails unless everything that came was taken, can be shown, and replaced nothing.
    ///
    /// # Panics
    /// With what was wrong.
    pub fn assert_clean(&self) {
        let store = lock(&self.intake.store);
        assert!(store.refusals.is_empty(), "refused: {:#?}", store.refusals);
        assert!(store.ignored.is_empty(), "taken but never shown: {:#?}", store.ignored);
        assert!(store.overwritten.is_empty(), "overwritten: {:#?}", store.overwritten);
    }
}

impl Deref for FakeDatadog {
    type Target = Backend;

    fn deref(&self) -> &Backend {
        &self.backend
    }
}

async fn take_series(Shared(intake): Shared<Arc<Intake>>, headers: HeaderMap, body: Bytes) -> Response {
    intake.answer(&headers, |store, now| {
        let payload = intake::open(&headers, &body, "application/x-protobuf", &SERIES_LIMITS)?;
        intake::take_series(store, &payload, now)
    })
}

async fn take_sketches(Shared(intake): Shared<Arc<Intake>>, headers: HeaderMap, body: Bytes) -> Response {
    intake.answer(&headers, |store, now| {
        let payload = intake::open(&headers, &body, "application/x-protobuf", &OTHER_LIMITS)?;
        intake::take_sketches(store, &payload, now)
    })
}

async fn take_checks(Shared(intake): Shared<Arc<Intake>>, headers: HeaderMap, body: Bytes) -> Response {
    intake.answer(&headers, |store, now| {
        let payload = intake::open(&headers, &body, "application/json", &OTHER_LIMITS)?;
        intake::take_checks(store, &payload, now)
    })
}

async fn take_logs(Shared(intake): Shared<Arc<Intake>>, headers: HeaderMap, body: Bytes) -> Response {
    intake.answer(&headers, |store, now| {
        let payload = intake::open(&headers, &body, "application/json", &LOGS_LIMITS)?;
        logs::take_logs(store, &payload, now)
    })
}

async fn take_event(Shared(intake): Shared<Arc<Intake>>, headers: HeaderMap, body: Bytes) -> Response {
    intake.answer(&headers, |store, now| {
        let payload = intake::open(&headers, &body, "application/json", &OTHER_LIMITS)?;
        logs::take_event(store, &payload, now)
    })
}

async fn validate(Shared(intake): Shared<Arc<Intake>>, headers: HeaderMap) -> Response {
    {
        let mut validations = lock(&intake.validations);
        validations.asked.push(headers.clone());
        if let Some(status) = validations.instead {
            return status.into_response();
        }
    }
    match intake.check_key(&headers) {
        Ok(()) => (StatusCode::OK, r#"{"valid":true}"#).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

impl Intake {
    /// Checks the key, then takes the payload.
    fn answer(
        &self,
        headers: &HeaderMap,
        take: impl FnOnce(&mut Store, hornpipe_model::Timestamp) -> Result<(), Refusal>,
    ) -> Response {
        let mut store = lock(&self.store);
        match self.check_key(headers).and_then(|()| take(&mut store, self.clock.unix())) {
            Ok(()) => (StatusCode::ACCEPTED, r#"{"errors":[]}"#).into_response(),
            Err(refusal) => {
                store.refusals.push(refusal.1.clone());
                refused(&refusal)
            }
        }
    }

    fn check_key(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let key = headers.get("dd-api-key").map(http::HeaderValue::as_bytes);
        if key == Some(lock(&self.key).as_bytes()) {
            Ok(())
        } else {
            Err((StatusCode::FORBIDDEN, "Forbidden".to_owned()))
        }
    }
}

fn refused((status, words): &Refusal) -> Response {
    (*status, serde_json::json!({ "errors": [words] }).to_string()).into_response()
}
