//! Sets of sequence numbers that are nearly whole.

use std::collections::VecDeque;

/// Sequence numbers as few ranges, ascending. Numbers are added at the end and taken out anywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(VecDeque<Range>);

/// First and last number.
pub(super) type Range = (u64, u64);

impl Ranges {
    /// Of ranges that ascend and lie apart; others are left out.
    pub fn of(ranges: impl IntoIterator<Item = Range>) -> Self {
        let mut result = Ranges::default();
        for (first, last) in ranges {
            if first <= last && result.0.back().is_none_or(|(_, before)| *before < first) {
                result.0.push_back((first, last));
            }
        }
        result
    }

    /// Adds a number above all others.
    pub fn push(&mut self, number: u64) {
        match self.0.back_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            Some((_, last)) if *last >= number => {}
            _ => self.0.push_back((number, number)),
        }
    }

    /// Takes a number out; whether it was there.
    pub fn remove(&mut self, number: u64) -> bool {
        let index = self.0.partition_point(|(_, last)| *last < number);
        let Some((first, last)) = self.0.get(index).copied().filter(|(first, _)| *first <= number) else {
            return false;
        };
        match (first == number, last == number) {
            (true, true) => drop(self.0.remove(index)),
            (true, false) => self.0[index].0 = number + 1,
            (false, true) => self.0[index].1 = number - 1,
            (false, false) => {
                self.0[index].1 = number - 1;
                self.0.insert(index + 1, (number + 1, last));
            }
        }
        true
    }

    /// Takes out all numbers below one.
    pub fn remove_below(&mut self, number: u64) {
        while self.0.front().is_some_and(|(_, last)| *last < number) {
            self.0.pop_front();
        }
        if let Some(range) = self.0.front_mut() {
            range.0 = range.0.max(number);
        }
    }

    pub fn contains(&self, number: u64) -> bool {
        let index = self.0.partition_point(|(_, last)| *last < number);
        self.0.get(index).is_some_and(|(first, _)| *first <= number)
    }

    /// Whether any number from `first` to below `end` is in it.
    pub fn intersects(&self, first: u64, end: u64) -> bool {
        let index = self.0.partition_point(|(_, last)| *last < first);
        self.0.get(index).is_some_and(|(first, _)| *first < end)
    }

    /// The ranges, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Range> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn they_hold_what_a_plain_set_holds(actions in proptest::collection::vec((0..4_u8, 0..60_u64), 0..120)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            let mut next = 0;
            for (action, number) in actions {
                match action {
                    0 => {
                        next += 1 + number % 2;
                        ranges.push(next);
                        set.insert(next);
                    }
                    1 | 2 => prop_assert_eq!(ranges.remove(number), set.remove(&number)),
                    _ => {
                        let below = number / 2;
                        ranges.remove_below(below);
                        set.retain(|kept| *kept >= below);
                    }
                }
                for number in 0..130 {
                    prop_assert_eq!(ranges.contains(number), set.contains(&number));
                }
                prop_assert_eq!(ranges.intersects(number, number + 5), set.range(number..number + 5).next().is_some());
                prop_assert_eq!(Ranges::of(ranges.iter()), ranges.clone());
            }
        }
    }
}
