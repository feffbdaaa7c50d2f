//! A clock that moves only when a test says so.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hornpipe_model::Timestamp;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::{BoxFuture, Clock, ClockSource, lock};

/// Time under a test's control: it stands still until [`advance`](Self::advance) moves it. Clones are the same clock.
///
/// ```
/// # use hornpipe_engine::testing::FakeClock;
/// # use std::time::Duration;
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let time = FakeClock::new();
/// let clock = time.clock();
/// let nap = tokio::spawn(async move { clock.sleep(Duration::from_secs(60)).await });
/// time.advance(Duration::from_secs(59)).await;
/// assert!(!nap.is_finished());
/// time.advance(Duration::from_secs(1)).await;
/// assert!(nap.is_finished());
/// # });
/// ```
#[derive(Clone)]
pub struct FakeClock(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Grows with every use of the clock: tasks that are busy show in it.
    activity: AtomicU64,
}

struct State {
    monotonic: Duration,
    /// The time of day at some monotonic time; they run on together from there.
    unix: (Timestamp, Duration),
    sleepers: BTreeMap<(Duration, u64), Waker>,
    next_sleeper: u64,
}

impl Default for FakeClock {
    fn default() -> Self {
        FakeClock::new()
    }
}

impl FakeClock {
    /// The time of day at which [`new`](Self::new) starts; a multiple of a minute.
    pub const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    /// A clock that stands at [`START`](Self::START).
    pub fn new() -> Self {
        FakeClock::starting_at(Self::START)
    }

    /// A clock that stands at a time of day.
    pub fn starting_at(unix: Timestamp) -> Self {
        let state = State {
            monotonic: Duration::ZERO,
            unix: (unix, Duration::ZERO),
            sleepers: BTreeMap::new(),
            next_sleeper: 0,
        };
        FakeClock(Arc::new(Shared { state: Mutex::new(state), activity: AtomicU64::new(0) }))
    }

    /// The clock to hand to components.
    pub fn clock(&self) -> Clock {
        Clock::new(Arc::new(self.clone()))
    }

    /// Moves time on. Sleepers wake in the order of their deadlines, each at its own; what they set off has settled
    /// before time goes on, so far as the clock can see (work that waits for the network needs a condition of its own).
    pub async fn advance(&self, span: Duration) {
        self.settle().await;
        let target = self.0.lock().monotonic.saturating_add(span);
        while let Some(due) = self.0.wake_next(target) {
            due.into_iter().for_each(Waker::wake);
            self.settle().await;
        }
        self.0.lock().monotonic = target;
        self.settle().await;
    }

    /// Sets the time of day, backwards too, as an administrator or NTP does. The monotonic time stays.
    pub fn set_unix(&self, unix: Timestamp) {
        let mut state = self.0.lock();
        state.unix = (unix, state.monotonic);
    }

    /// How many tasks sleep.
    pub fn sleepers(&self) -> usize {
        self.0.lock().sleepers.len()
    }

    /// Lets other tasks run until none of them uses the clock any more.
    pub async fn settle(&self) {
        // With one thread everybody ready gets a turn at each yield. Other threads run when the system lets them.
        let alone = Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread;
        let quiet_rounds = if alone { 2 } else { 3 };
        let mut quiet = 0;
        while quiet < quiet_rounds {
            let before = self.0.activity.load(Ordering::Relaxed);
            for _ in 0..16 {
                tokio::task::yield_now().await;
            }
            if !alone {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            quiet = if self.0.activity.load(Ordering::Relaxed) == before { quiet + 1 } else { 0 };
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn used(&self) {
        self.activity.fetch_add(1, Ordering::Relaxed);
    }

    /// Moves to the earliest deadline up to `target` and takes everybody who waits for it.
    fn wake_next(&self, target: Duration) -> Option<Vec<Waker>> {
        let mut state = self.lock();
        let &(deadline, _) = state.sleepers.keys().next().filter(|(deadline, _)| *deadline <= target)?;
        state.monotonic = state.monotonic.max(deadline);
        let later = state.sleepers.split_off(&(deadline, u64::MAX));
        let due = std::mem::replace(&mut state.sleepers, later);
        Some(due.into_values().collect())
    }
}

impl ClockSource for FakeClock {
    fn unix(&self) -> Timestamp {
        self.0.used();
        let state = self.0.lock();
        let (unix, since) = state.unix;
        unix.after(state.monotonic.saturating_sub(since))
    }

    fn monotonic(&self) -> Duration {
        self.0.used();
        self.0.lock().monotonic
    }

    fn sleep_until(&self, deadline: Duration) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { clock: Arc::clone(&self.0), deadline, id: None })
    }
}

struct Sleep {
    clock: Arc<Shared>,
    deadline: Duration,
    /// Its number among the sleepers, once it is one.
    id: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let clock = Arc::clone(&self.clock);
        clock.used();
        let mut state = clock.lock();
        if state.monotonic >= self.deadline {
            return Poll::Ready(());
        }
        let id = *self.id.get_or_insert_with(|| {
            state.next_sleeper += 1;
            state.next_sleeper
        });
        state.sleepers.insert((self.deadline, id), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.clock.lock().sleepers.remove(&(self.deadline, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sleeps for each span in turn and notes the name and the time at each awakening.
    fn spawn_sleeper(
        time: &FakeClock,
        name: &'static str,
        spans: Vec<u64>,
        log: &Arc<Mutex<Vec<(&'static str, u64)>>>,
    ) {
        let (clock, log) = (time.clock(), Arc::clone(log));
        tokio::spawn(async move {
            for span in spans {
                clock.sleep(SECOND * span as u32).await;
                log.lock().unwrap().push((name, clock.monotonic().as_secs()));
            }
        });
    }

    async fn sleepers_wake_in_order() {
        let time = FakeClock::new();
        let log = Arc::default();
        spawn_sleeper(&time, "slow", vec![5, 5], &log);
        spawn_sleeper(&time, "quick", vec![2, 2, 2], &log);
        time.advance(SECOND * 4).await;
        assert_eq!(*log.lock().unwrap(), [("quick", 2), ("quick", 4)]);
        time.advance(SECOND * 100).await;
        assert_eq!(*log.lock().unwrap(), [("quick", 2), ("quick", 4), ("slow", 5), ("quick", 6), ("slow", 10)]);
        assert_eq!(time.clock().monotonic(), SECOND * 104);
        assert_eq!(time.sleepers(), 0);
    }

    #[tokio::test]
    async fn sleepers_wake_in_the_order_of_their_deadlines_each_at_its_own_time() {
        sleepers_wake_in_order().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sleepers_on_other_threads_wake_in_order_too() {
        sleepers_wake_in_order().await;
    }

    #[tokio::test]
    async fn a_step_of_the_time_of_day_leaves_sleepers_alone() {
        let time = FakeClock::new();
        let clock = time.clock();
        time.advance(SECOND * 3).await;
        assert_eq!(clock.unix(), FakeClock::START.after(SECOND * 3));
        time.set_unix(Timestamp::from_secs(1_000));
        let nap = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(SECOND).await }
        });
        time.advance(Duration::from_millis(999)).await;
        assert!(!nap.is_finished());
        time.advance(Duration::from_millis(1)).await;
        assert!(nap.is_finished());
        assert_eq!((clock.unix(), clock.monotonic()), (Timestamp::from_secs(1_001), SECOND * 4));
    }

    #[tokio::test]
    async fn a_sleep_given_up_is_forgotten() {
        let time = FakeClock::new();
        let clock = time.clock();
        assert_eq!(clock.timeout(SECOND, async { 7 }).await, Ok(7));
        assert_eq!(time.sleepers(), 0);
    }
}
