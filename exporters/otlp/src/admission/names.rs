//! Which names count upwards only.

use std::collections::HashSet;

/// The names that have shown a negative value. A name is monotonic until then, and never again in the life of the
/// process: backends tell counters from other sums by name, so the flag must not go back and forth.
///
/// Memory is bounded: once `limit` names are known, every further name counts as not monotonic, which is true of any
/// sum.
#[derive(Debug)]
pub(super) struct Names {
    falling: HashSet<Box<str>>,
    limit: usize,
}

impl Names {
    pub(super) fn new(limit: usize) -> Self {
        Names { falling: HashSet::new(), limit }
    }

    /// The name has shown a value below 0.
    pub(super) fn has_fallen(&mut self, name: &str) {
        if self.falling.len() < self.limit && !self.falling.contains(name) {
            self.falling.insert(name.into());
        }
    }

    pub(super) fn is_monotonic(&self, name: &str) -> bool {
        self.falling.len() < self.limit && !self.falling.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_monotonic_until_it_falls() {
        let mut names = Names::new(10);
        assert!(names.is_monotonic("a"));
        names.has_fallen("a");
        assert!(!names.is_monotonic("a"));
        assert!(names.is_monotonic("b"));
    }

    #[test]
    fn beyond_the_limit_no_name_is_monotonic() {
        let mut names = Names::new(2);
        for name in ["a", "b", "c"] {
            names.has_fallen(name);
        }
        assert_eq!(names.falling.len(), 2);
        assert!(!names.is_monotonic("anything"));
    }
}
