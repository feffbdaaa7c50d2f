//! A gauge of the Etsy dialect: a value with a sign is a step from the value before, which outlives the window.

use std::time::Duration;

use crate::slab::saturating_sum;

/// What one window did to a gauge.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Level {
    /// The last value without a sign, and when it came.
    set: Option<(Duration, f64)>,
    /// The steps since then.
    steps: f64,
    /// When the last step came.
    last_step: Option<Duration>,
}

impl Level {
    /// A value without a sign: what was before does not matter any more.
    pub(crate) fn set(&mut self, value: f64, arrival: Duration) {
        *self = Level { set: Some((arrival, value)), ..Level::default() };
    }

    /// A value with a sign.
    pub(crate) fn step(&mut self, by: f64, arrival: Duration) {
        self.steps = saturating_sum(self.steps, by);
        self.last_step = Some(arrival);
    }

    /// Adds what another reader took. The later of two set values counts; the other reader's steps count with it if the
    /// last of them came after it. That is exact unless two readers both set a gauge and step it within one window.
    pub(crate) fn merge(&mut self, other: Level) {
        let set_at = |level: &Level| level.set.map(|(at, _)| at);
        let (earlier, later) = if set_at(&other) >= set_at(self) { (*self, other) } else { (other, *self) };
        *self = later;
        if earlier.last_step > set_at(&later) {
            self.steps = saturating_sum(self.steps, earlier.steps);
            self.last_step = self.last_step.max(earlier.last_step);
        }
    }

    /// The gauge at the window's end, if it was `before` at its start.
    pub(crate) fn value(&self, before: f64) -> f64 {
        saturating_sum(self.set.map_or(before, |(_, value)| value), self.steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values with the second at which they come, `true` for steps.
    fn level(values: &[(u64, bool, f64)]) -> Level {
        let mut level = Level::default();
        for &(second, is_step, value) in values {
            let arrival = Duration::from_secs(second);
            if is_step { level.step(value, arrival) } else { level.set(value, arrival) }
        }
        level
    }

    #[test]
    fn steps_follow_the_value_before_and_a_value_ends_them() {
        assert_eq!(level(&[(1, true, 5.0), (2, true, -7.0)]).value(100.0), 98.0);
        assert_eq!(level(&[(1, true, 5.0), (2, false, 3.0), (3, true, -4.0)]).value(100.0), -1.0);
        assert_eq!(level(&[(1, true, f64::MAX)]).value(f64::MAX), f64::MAX);
    }

    #[test]
    fn two_readers_give_what_one_would() {
        for (first, second, expected) in [
            (&[(1, true, 5.0)][..], &[(2, true, 6.0)][..], 111.0),
            (&[(1, false, 5.0)], &[(2, false, 6.0)], 6.0),
            (&[(1, false, 5.0)], &[(2, true, 6.0)], 11.0),
            (&[(2, false, 5.0)], &[(1, true, 6.0)], 5.0),
            (&[(1, false, 5.0), (2, true, 1.0)], &[(3, false, 20.0)], 20.0),
            (&[(1, false, 5.0), (4, true, 1.0)], &[(3, false, 20.0)], 21.0),
        ] {
            let (mut forth, mut back) = (level(first), level(second));
            forth.merge(level(second));
            back.merge(level(first));
            assert_eq!((forth.value(100.0), back.value(100.0)), (expected, expected), "{first:?} {second:?}");
        }
    }
}
