//! The spellings by which lines are known again, each of which says all of a line but its value.

use std::num::NonZeroU64;

use hashbrown::{HashMap, HashTable};

use crate::parse::Kind;
use crate::spelling::Spelling;

/// What a spelling stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Alias {
    /// The spelling.
    pub(crate) spelling: Spelling,
    /// The series; [`FILTERED`](crate::contexts::FILTERED) for none.
    pub(crate) index: u32,
    /// Its type.
    pub(crate) kind: Kind,
    /// The sample rate.
    pub(crate) rate: f64,
}

/// A table of spellings. A series may have several.
#[derive(Debug)]
pub(crate) struct Aliases {
    table: HashTable<Alias>,
    /// For each series the hash of its first spelling, so that it can be found when the series goes.
    first: Vec<Option<NonZeroU64>>,
    /// The hashes of further spellings of a series.
    further: HashMap<u32, Vec<NonZeroU64>>,
    limit: usize,
}

impl Aliases {
    /// No spelling yet, and never more than `limit`.
    pub(crate) fn new(limit: usize) -> Self {
        Aliases { table: HashTable::new(), first: Vec::new(), further: HashMap::new(), limit }
    }

    /// What a spelling stands for, if it is known.
    #[inline]
    pub(crate) fn find(&self, spelling: &Spelling) -> Option<&Alias> {
        self.table.find(spelling.hash().get(), |alias| alias.spelling == *spelling)
    }

    /// Adds a spelling that is not known, of a series or, without `owner`, of what is filtered out. When the table is full,
    /// clients write the same series in ever new ways; it is emptied, and what is still in use comes back line by line.
    pub(crate) fn insert(&mut self, alias: Alias, owner: Option<u32>) {
        if self.table.len() >= self.limit {
            *self = Aliases::new(self.limit);
        }
        let hash = alias.spelling.hash();
        if let Some(index) = owner {
            self.note(index, hash);
        }
        self.table.insert_unique(hash.get(), alias, |alias| alias.spelling.hash().get());
    }

    /// Forgets the spellings of a series.
    pub(crate) fn remove(&mut self, index: u32) {
        let first = self.first.get_mut(index as usize).and_then(Option::take);
        let further = self.further.remove(&index).unwrap_or_default();
        for hash in first.into_iter().chain(further) {
            if let Ok(found) = self.table.find_entry(hash.get(), |alias| alias.index == index) {
                found.remove();
            }
        }
    }

    /// How many spellings are known.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    fn note(&mut self, index: u32, hash: NonZeroU64) {
        if self.first.len() <= index as usize {
            self.first.resize(index as usize + 1, None);
        }
        match self.first.get_mut(index as usize) {
            Some(first @ None) => *first = Some(hash),
            _ => self.further.entry(index).or_default().push(hash),
        }
    }
}
