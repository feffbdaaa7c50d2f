//! The clock that every component is given.
//!
//! Components never ask the operating system for the time: tests hand them a clock that moves only when told to.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime};

use hornpipe_model::Timestamp;

/// A future on the heap.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a clock is made of.
pub trait ClockSource: Send + Sync {
    /// The time of day.
    fn unix(&self) -> Timestamp;
    /// Time that never steps back, since some fixed start.
    fn monotonic(&self) -> Duration;
    /// Completes once `monotonic` has reached `deadline`.
    fn sleep_until(&self, deadline: Duration) -> BoxFuture<'static, ()>;
}

/// A shared clock.
#[derive(Clone)]
pub struct Clock(Arc<dyn ClockSource>);

/// The wait was longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl Clock {
    /// The operating system's clock.
    pub fn system() -> Self {
        Clock(Arc::new(SystemClock))
    }

    /// A clock of another making.
    pub fn new(source: Arc<dyn ClockSource>) -> Self {
        Clock(source)
    }

    /// The time of day.
    pub fn unix(&self) -> Timestamp {
        self.0.unix()
    }

    /// Time that never steps back.
    pub fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    /// Waits for a span.
    pub async fn sleep(&self, span: Duration) {
        self.sleep_until(self.monotonic().saturating_add(span)).await;
    }

    /// Waits for a point on the monotonic clock.
    pub async fn sleep_until(&self, deadline: Duration) {
        self.0.sleep_until(deadline).await;
    }

    /// Waits for a future, at most for `limit`.
    ///
    /// # Errors
    /// [`Elapsed`] when the limit passed first; the future is dropped.
    pub async fn timeout<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Result<T, Elapsed> {
        let mut future = pin!(future);
        tokio::select! {
            biased;
            value = &mut future => Ok(value),
            () = self.sleep(limit) => Err(Elapsed),
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

struct SystemClock;

static PROCESS_START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl ClockSource for SystemClock {
    fn unix(&self) -> Timestamp {
        SystemTime::now().into()
    }

    fn monotonic(&self) -> Duration {
        PROCESS_START.elapsed()
    }

    fn sleep_until(&self, deadline: Duration) -> BoxFuture<'static, ()> {
        let left = deadline.saturating_sub(self.monotonic());
        Box::pin(tokio::time::sleep(left))
    }
}
