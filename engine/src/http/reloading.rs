//! Files that are read again while they are in use.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::component::BuildError;
use crate::{Clock, lock};

/// Something made of files, made anew when it is wanted and has grown older than an interval.
pub(super) struct Reloading<T: ?Sized> {
    load: Box<dyn Fn() -> Result<Arc<T>, BuildError> + Send + Sync>,
    interval: Option<Duration>,
    clock: Clock,
    loaded: Mutex<Loaded<T>>,
}

struct Loaded<T: ?Sized> {
    value: Arc<T>,
    at: Duration,
}

impl<T: ?Sized> Reloading<T> {
    /// Loads it for the first time; without an interval also for the last.
    ///
    /// # Errors
    /// What `load` says.
    pub(super) fn new(
        load: impl Fn() -> Result<Arc<T>, BuildError> + Send + Sync + 'static,
        interval: Option<Duration>,
        clock: Clock,
    ) -> Result<Self, BuildError> {
        let loaded = Mutex::new(Loaded { value: load()?, at: clock.monotonic() });
        Ok(Reloading { load: Box::new(load), interval, clock, loaded })
    }

    /// What is to be used now. Files that cannot be used any more leave what was there before, with a warning.
    pub(super) fn current(&self) -> Arc<T> {
        let mut loaded = lock(&self.loaded);
        if let Some(interval) = self.interval {
            let now = self.clock.monotonic();
            if now.saturating_sub(loaded.at) >= interval {
                loaded.at = now;
                match (self.load)() {
                    Ok(value) => loaded.value = value,
                    Err(BuildError { option, message }) => {
                        tracing::warn!(option, "what was read before stays in use: {message}");
                    }
                }
            }
        }
        Arc::clone(&loaded.value)
    }
}

impl<T: ?Sized> fmt::Debug for Reloading<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloading").field("interval", &self.interval).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::testing::FakeClock;

    #[tokio::test]
    async fn it_is_loaded_again_after_the_interval_and_kept_where_that_fails() {
        let time = FakeClock::new();
        let calls = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&calls);
        let load = move || match counter.fetch_add(1, Ordering::Relaxed) {
            1 => Err(BuildError::new("tls.ca_file", "cannot be read")),
            call => Ok(Arc::new(call)),
        };
        let value = Reloading::new(load, Some(Duration::from_secs(60)), time.clock()).unwrap();
        for (advance, expected) in [(0, 0), (59, 0), (1, 0), (59, 0), (1, 2)] {
            time.advance(Duration::from_secs(advance)).await;
            assert_eq!(*value.current(), expected, "{advance}");
        }
        assert_eq!(calls.load(Ordering::Relaxed), 3);
    }
}
