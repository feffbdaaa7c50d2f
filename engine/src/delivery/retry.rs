//! When to try again.

use std::time::Duration;

use super::RetryConfig;

/// The pauses between the attempts of one request.
#[derive(Debug)]
pub struct Backoff<'a> {
    config: &'a RetryConfig,
    next: Duration,
}

impl<'a> Backoff<'a> {
    /// Before the first failure.
    pub fn new(config: &'a RetryConfig) -> Self {
        Backoff { config, next: config.initial_interval.get() }
    }

    /// The pause after another failure. `random` in 0..1 varies it; the pause that a backend asked for is kept to
    /// even where it is longer than our longest.
    pub fn pause(&mut self, random: f64, asked: Option<Duration>) -> Duration {
        let spread = self.config.randomization_factor.clamp(0.0, 1.0);
        let pause = self.next.mul_f64(1.0 - spread + 2.0 * spread * random.clamp(0.0, 1.0));
        let longest = self.config.max_interval.get();
        self.next = self.next.mul_f64(self.config.multiplier.clamp(1.0, 1000.0)).min(longest);
        pause.max(asked.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_by_half_up_to_thirty_seconds() {
        let config = RetryConfig::default();
        let mut backoff = Backoff::new(&config);
        let pauses: Vec<f64> = (0..7).map(|_| backoff.pause(0.5, None).as_secs_f64()).collect();
        assert_eq!(pauses, [5.0, 7.5, 11.25, 16.875, 25.3125, 30.0, 30.0]);
    }

    #[test]
    fn chance_varies_a_pause_by_half() {
        let config = RetryConfig::default();
        assert_eq!(Backoff::new(&config).pause(0.0, None), Duration::from_millis(2500));
        assert_eq!(Backoff::new(&config).pause(1.0, None), Duration::from_millis(7500));
    }

    #[test]
    fn a_pause_that_the_backend_asked_for_is_kept() {
        let config = RetryConfig::default();
        let asked = Duration::from_secs(120);
        assert_eq!(Backoff::new(&config).pause(0.5, Some(asked)), asked);
        assert_eq!(Backoff::new(&config).pause(0.5, Some(Duration::from_secs(1))), Duration::from_secs(5));
    }
}
