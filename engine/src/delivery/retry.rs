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

    /// The pause after another failure. `random` in 0..1 varies it.
    pub fn pause(&mut self, random: f64) -> Duration {
        let spread = self.config.randomization_factor.clamp(0.0, 1.0);
        let pause = self.next.mul_f64(1.0 - spread + 2.0 * spread * random.clamp(0.0, 1.0));
        let longest = self.config.max_interval.get();
        self.next = self.next.mul_f64(self.config.multiplier.clamp(1.0, 1000.0)).min(longest);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_by_half_up_to_thirty_seconds() {
        let config = RetryConfig::default();
        let mut backoff = Backoff::new(&config);
        let pauses: Vec<f64> = (0..7).map(|_| backoff.pause(0.5).as_secs_f64()).collect();
        assert_eq!(pauses, [5.0, 7.5, 11.25, 16.875, 25.3125, 30.0, 30.0]);
    }

    #[test]
    fn chance_varies_a_pause_by_half() {
        let config = RetryConfig::default();
        assert_eq!(Backoff::new(&config).pause(0.0), Duration::from_millis(2500));
        assert_eq!(Backoff::new(&config).pause(1.0), Duration::from_millis(7500));
    }

    #[test]
    fn a_pause_that_the_backend_asks_for_is_granted_up_to_five_minutes_or_our_own_longest() {
        let granted = |max_interval, asked| {
            let max_interval = crate::config::Duration::from_secs(max_interval);
            RetryConfig { max_interval, ..RetryConfig::default() }.granted(Duration::from_secs(asked)).as_secs()
        };
        let cases = [(30, 1, 1), (30, 120, 120), (30, 301, 300), (30, u64::MAX, 300), (600, 601, 600), (600, 400, 400)];
        for (max_interval, asked, expected) in cases {
            assert_eq!(granted(max_interval, asked), expected, "{max_interval}, {asked}");
        }
    }
}
