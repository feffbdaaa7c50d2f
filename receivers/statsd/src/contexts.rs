//! From a line to the index of its series, in two steps.
//!
//! Clients repeat themselves byte for byte. So the first table, of *aliases*, is keyed by all of a line but its value, as it
//! was written ([`Spelling`]). Only when that is new is the line taken apart and its [`Context`] built, with its tags
//! sorted, and looked up in the second table. A series may have several aliases, one for each spelling.
//!
//! An alias may also lead nowhere: to a name that is filtered out, so that its lines cost no more than others.
//!
//! An index is the series' place in the slabs, which other threads read after the window's end. So it is given to
//! another series only after the window in which its series was evicted has been handed over.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::{DefaultHashBuilder, HashTable};
use hornpipe_engine::Reason;
use hornpipe_model::Context;

use crate::aliases::{Alias, Aliases};
use crate::cut::Cut;
use crate::naming::Naming;
use crate::parse::{Kind, Sample};
use crate::reason;
use crate::slab::Slab;
use crate::spelling::{Spelling, SpellingKey};

/// The index of what is filtered out.
pub(crate) const FILTERED: u32 = u32::MAX;

/// How much memory the names, tags and hosts of all series may take, for each that there may be: several times as much as
/// usual ones do. A name or tag may be as long as a datagram, so that their number alone is no bound.
const TEXT_OF_EACH: usize = 1 << 10;
/// The same of all, at least.
const LEAST_TEXT: usize = 1 << 20;

/// How many series all readers of a receiver may know together, and how much memory their names and tags may take.
#[derive(Debug)]
pub(crate) struct ContextLimit {
    known: AtomicUsize,
    limit: usize,
    /// Bytes of the contexts that are known.
    bytes: AtomicUsize,
    byte_limit: usize,
}

impl ContextLimit {
    /// Up to `limit` series.
    pub(crate) fn new(limit: usize) -> Self {
        let byte_limit = limit.saturating_mul(TEXT_OF_EACH).max(LEAST_TEXT);
        ContextLimit { known: AtomicUsize::new(0), limit, bytes: AtomicUsize::new(0), byte_limit }
    }

    /// How many are known now. One that two readers see counts twice.
    pub(crate) fn known(&self) -> usize {
        self.known.load(Ordering::Relaxed)
    }

    /// How many there may be.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// How much memory their names and tags may take, in bytes.
    pub(crate) fn byte_limit(&self) -> usize {
        self.byte_limit
    }

    /// Room for one more, which takes so many bytes.
    fn take(&self, bytes: usize) -> bool {
        let one_more = |known| (known < self.limit).then_some(known + 1);
        let longer = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= self.byte_limit);
        if self.known.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_err() {
            return false;
        }
        let is_room = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, longer).is_ok();
        if !is_room {
            self.known.fetch_sub(1, Ordering::Relaxed);
        }
        is_room
    }

    fn give_back(&self, count: usize, bytes: usize) {
        self.known.fetch_sub(count, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A series that was not known before.
#[derive(Clone, Debug)]
pub(crate) struct Created {
    /// Its index.
    pub(crate) index: u32,
    /// Its type.
    pub(crate) kind: Kind,
    /// Name, tags, host and unit.
    pub(crate) context: Arc<Context>,
}

/// The series that one reader knows.
#[derive(Debug)]
pub(crate) struct Contexts {
    hasher: DefaultHashBuilder,
    key: SpellingKey,
    aliases: Aliases,
    by_identity: HashTable<u32>,
    slots: Vec<Option<Slot>>,
    /// Indexes that may be given out again.
    free: Vec<u32>,
    created: Vec<Created>,
    evicted: Vec<u32>,
    /// Series that have not been seen for long, to be evicted bit by bit.
    expired: Vec<u32>,
    limit: Arc<ContextLimit>,
    naming: Naming,
}

#[derive(Debug)]
struct Slot {
    kind: Kind,
    context: Arc<Context>,
    identity_hash: u64,
}

impl Contexts {
    /// No series yet. The table of aliases holds twice as many entries as there may be series.
    pub(crate) fn new(limit: Arc<ContextLimit>, naming: Naming) -> Self {
        Contexts {
            naming,
            hasher: DefaultHashBuilder::default(),
            key: SpellingKey::default(),
            aliases: Aliases::new(limit.limit.saturating_mul(2)),
            by_identity: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            created: Vec::new(),
            evicted: Vec::new(),
            expired: Vec::new(),
            limit,
        }
    }

    /// The spelling of a line, unless it is too long for one.
    #[inline]
    pub(crate) fn spelling(&mut self, line: &Cut<'_>) -> Option<Spelling> {
        self.key.spelling(line.name, line.tail)
    }

    /// What a spelling stands for, if it was seen before.
    #[inline]
    pub(crate) fn find(&self, spelling: &Spelling) -> Option<&Alias> {
        self.aliases.find(spelling)
    }

    /// The long way: builds the context, finds or makes its series, and remembers the spelling, if one is given
    /// (a line that has its time amid other fields has another each time).
    ///
    /// # Errors
    /// [`reason::CONTEXT_LIMIT`] for a new series when there may be no more, or its text is too much, [`reason::FILTERED`] for one that is not wanted.
    #[cold]
    pub(crate) fn resolve(&mut self, spelling: Option<Spelling>, sample: &Sample<'_>) -> Result<u32, Reason> {
        let context = match self.naming.context(sample) {
            Ok(context) => context,
            Err(reason) => {
                self.remember(spelling, sample, FILTERED);
                return Err(reason);
            }
        };
        let identity_hash = self.hasher.hash_one((sample.kind, &context));
        let is_same = |slot: &Slot| slot.kind == sample.kind && *slot.context == context;
        let known =
            self.by_identity.find(identity_hash, |&index| slot(&self.slots, index).is_some_and(is_same)).copied();
        let index = match known {
            Some(index) => index,
            None => self.create(sample.kind, context, identity_hash)?,
        };
        self.remember(spelling, sample, index);
        Ok(index)
    }

    /// The series at an index.
    pub(crate) fn context(&self, index: u32) -> Option<Arc<Context>> {
        slot(&self.slots, index).map(|slot| Arc::clone(&slot.context))
    }

    /// What changed since the last call: series made, and indexes given up. The latter may be given out again from now on.
    pub(crate) fn take_changes(&mut self) -> (Vec<Created>, Vec<u32>) {
        self.free.extend_from_slice(&self.evicted);
        (std::mem::take(&mut self.created), std::mem::take(&mut self.evicted))
    }

    /// Names series that may go. They replace those named before.
    pub(crate) fn expire(&mut self, indexes: Vec<u32>) {
        self.expired = indexes;
    }

    /// True while there are series to evict.
    pub(crate) fn has_expired(&self) -> bool {
        !self.expired.is_empty()
    }

    /// Evicts some of the series that may go, except those in use in the open window. That is always safe, also for one
    /// that has been seen since it was named: at worst it is made anew.
    pub(crate) fn evict_some(&mut self, at_most: usize, open: &Slab) {
        for _ in 0..at_most {
            let Some(index) = self.expired.pop() else { return };
            if !open.is_touched(index) {
                self.evict(index);
            }
        }
    }

    fn create(&mut self, kind: Kind, context: Context, identity_hash: u64) -> Result<u32, Reason> {
        let next =
            u32::try_from(self.slots.len()).ok().filter(|next| *next != FILTERED).ok_or(reason::CONTEXT_LIMIT)?;
        if !self.limit.take(context.bytes()) {
            return Err(reason::CONTEXT_LIMIT);
        }
        let index = self.free.pop().unwrap_or(next);
        if index == next {
            self.slots.push(None);
        }
        let context = Arc::new(context);
        self.created.push(Created { index, kind, context: Arc::clone(&context) });
        if let Some(place) = self.slots.get_mut(index as usize) {
            *place = Some(Slot { kind, context, identity_hash });
        }
        let slots = &self.slots;
        let rehash = |&index: &u32| slot(slots, index).map_or(0, |slot| slot.identity_hash);
        self.by_identity.insert_unique(identity_hash, index, rehash);
        Ok(index)
    }

    fn remember(&mut self, spelling: Option<Spelling>, sample: &Sample<'_>, index: u32) {
        // It may have become known since it was looked for: earlier in the same datagram.
        if let Some(spelling) = spelling.filter(|spelling| self.aliases.find(spelling).is_none()) {
            let owner = Some(index).filter(|index| *index != FILTERED);
            self.aliases.insert(Alias { spelling, index, kind: sample.kind, rate: sample.rate }, owner);
        }
    }

    fn evict(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index as usize).and_then(Option::take) else { return };
        self.aliases.remove(index);
        if let Ok(found) = self.by_identity.find_entry(slot.identity_hash, |&found| found == index) {
            found.remove();
        }
        self.evicted.push(index);
        self.limit.give_back(1, slot.context.bytes());
    }
}

impl Drop for Contexts {
    fn drop(&mut self) {
        let bytes = self.slots.iter().flatten().map(|slot| slot.context.bytes()).sum();
        self.limit.give_back(self.by_identity.len(), bytes);
    }
}

fn slot(slots: &[Option<Slot>], index: u32) -> Option<&Slot> {
    slots.get(index as usize)?.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cut::cut;
    use crate::parse;

    fn contexts(limit: usize) -> Contexts {
        Contexts::new(Arc::new(ContextLimit::new(limit)), Naming::default())
    }

    fn index_of(contexts: &mut Contexts, line: &str) -> Result<u32, Reason> {
        let mut values = Vec::new();
        let sample = parse::sample(line.as_bytes(), &mut values).unwrap();
        let spelling = contexts.spelling(&cut(line.as_bytes()).unwrap());
        match spelling.and_then(|spelling| contexts.find(&spelling)) {
            Some(Alias { index: FILTERED, .. }) => Err(reason::FILTERED),
            Some(alias) => Ok(alias.index),
            None => contexts.resolve(spelling, &sample),
        }
    }

    fn index(contexts: &mut Contexts, line: &str) -> u32 {
        index_of(contexts, line).unwrap()
    }

    fn evict_all(contexts: &mut Contexts, indexes: &[u32]) -> Vec<u32> {
        contexts.expire(indexes.to_vec());
        contexts.evict_some(usize::MAX, &Slab::default());
        contexts.take_changes().1
    }

    #[test]
    fn tags_in_another_order_are_the_same_series() {
        let mut contexts = contexts(10);
        let first = index(&mut contexts, "x:1|c|#a:1,b:2|@0.5");
        for line in ["x:7|c|#b:2,a:1", "x:1|c|#a:1,b:2,a:1", "x:1|c|T1|#,a:1,b:2,dd.internal.card:low"] {
            assert_eq!(index(&mut contexts, line), first, "{line}");
        }
        assert_eq!(contexts.take_changes().0.len(), 1);
    }

    #[test]
    fn name_type_tags_and_host_tell_series_apart() {
        let mut contexts = contexts(100);
        let lines =
            ["x:1|c", "y:1|c", "x:1|g", "x:1|ms", "x:1|c|#a", "x:1|c|#a:", "x:1|c|#host:b", "xa:1|c", "x:1|c|#host:"];
        let mut indexes: Vec<u32> = lines.iter().map(|line| index(&mut contexts, line)).collect();
        indexes.dedup();
        assert_eq!(indexes.len(), lines.len());
        let (created, _) = contexts.take_changes();
        assert_eq!(created.iter().map(|created| created.index).collect::<Vec<_>>(), indexes);
        assert_eq!(created[6].context.host(), Some("b"));
    }

    #[test]
    fn timers_are_in_milliseconds_and_well_known_metrics_in_their_unit() {
        let mut contexts = contexts(10);
        for line in ["app.render:1|ms", "app.size:1|h", "gunicorn.requests:1|c", "gunicorn.request.duration:1|ms"] {
            index(&mut contexts, line);
        }
        let units: Vec<_> = contexts.take_changes().0.iter().map(|created| created.context.unit().to_owned()).collect();
        assert_eq!(units, ["ms", "", "{request}", "ms"]);
    }

    #[test]
    fn at_the_limit_new_series_are_refused_and_known_ones_go_on() {
        let mut contexts = contexts(2);
        let first = index(&mut contexts, "a:1|c");
        index(&mut contexts, "b:1|c");
        assert_eq!(index_of(&mut contexts, "c:1|c"), Err(reason::CONTEXT_LIMIT));
        assert_eq!(index(&mut contexts, "a:1|c"), first);
        assert_eq!(evict_all(&mut contexts, &[first]), [first]);
        assert!(index_of(&mut contexts, "c:1|c").is_ok());
        assert_eq!(contexts.limit.known(), 2);
    }

    #[test]
    fn the_text_of_all_series_is_bounded_and_what_is_evicted_gives_its_part_back() {
        let mut contexts = contexts(1_000);
        let long = |number: usize| format!("x:1|c|#n:{number}-{}", "y".repeat(60_000));
        let kept: Vec<u32> = (0..100).map_while(|number| index_of(&mut contexts, &long(number)).ok()).collect();
        assert_eq!(kept.len(), 17, "of 60 kB in 1 MiB");
        assert_eq!(index_of(&mut contexts, &long(99)), Err(reason::CONTEXT_LIMIT));
        assert_eq!(contexts.limit.known(), 17);
        assert!(index_of(&mut contexts, "short:1|c|#a:b").is_ok(), "there is room for a short one");
        evict_all(&mut contexts, &kept[..1]);
        assert!(index_of(&mut contexts, &long(99)).is_ok());
        let limit = Arc::clone(&contexts.limit);
        drop(contexts);
        assert_eq!((limit.known(), limit.bytes.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn two_readers_share_one_limit_and_a_reader_that_ends_gives_its_part_back() {
        let limit = Arc::new(ContextLimit::new(2));
        let mut first = Contexts::new(Arc::clone(&limit), Naming::default());
        let mut second = Contexts::new(Arc::clone(&limit), Naming::default());
        index(&mut first, "a:1|c");
        index(&mut second, "a:1|c");
        assert_eq!(index_of(&mut second, "b:1|c"), Err(reason::CONTEXT_LIMIT));
        drop(first);
        assert_eq!(limit.known(), 1);
        index(&mut second, "b:1|c");
    }

    #[test]
    fn an_index_is_given_out_again_only_after_its_eviction_was_handed_over() {
        let mut contexts = contexts(10);
        let old = index(&mut contexts, "old:1|c|#a,b");
        assert_eq!(index(&mut contexts, "old:1|c|#b,a"), old);
        contexts.take_changes();
        contexts.expire(vec![old]);
        contexts.evict_some(10, &Slab::default());
        let between = index(&mut contexts, "old:1|c|#a,b");
        assert_ne!(between, old);
        assert_eq!(index(&mut contexts, "old:1|c|#b,a"), between, "no alias of the evicted series is left");
        let (created, evicted) = contexts.take_changes();
        assert_eq!((created.len(), evicted), (1, vec![old]));
        assert_eq!(index(&mut contexts, "new:1|c"), old);
        assert_eq!(index(&mut contexts, "old:1|c|#a,b"), between);
    }

    #[test]
    fn a_series_in_use_is_not_evicted() {
        let mut contexts = contexts(10);
        let used = index(&mut contexts, "used:1|c");
        let idle = index(&mut contexts, "idle:1|c");
        let mut open = Slab::default();
        open.add(used, &parse::sample(b"used:1|c", &mut Vec::new()).unwrap(), &[1.0], std::time::Duration::ZERO);
        contexts.expire(vec![used, idle, 77]);
        contexts.evict_some(2, &open);
        assert!(contexts.has_expired());
        contexts.evict_some(2, &open);
        assert!(!contexts.has_expired());
        assert_eq!(contexts.take_changes().1, [idle]);
    }

    #[test]
    fn what_is_filtered_out_takes_no_series_and_is_known_again_by_its_bytes() {
        let config = serde_json::from_str(r#"{"metric_blocklist": ["noise"]}"#).unwrap();
        let naming = Naming::compile(&config, &mut hornpipe_engine::config::Report::new());
        let mut contexts = Contexts::new(Arc::new(ContextLimit::new(4)), naming);
        for number in 0..100 {
            for _ in 0..2 {
                assert_eq!(index_of(&mut contexts, &format!("noise:1|c|#n:{number}")), Err(reason::FILTERED));
            }
            assert!((1..=8).contains(&contexts.aliases.len()));
        }
        assert_eq!((contexts.limit.known(), contexts.take_changes().0.len()), (0, 0));
        let kept = index(&mut contexts, "noisy:1|c");
        assert_eq!(index_of(&mut contexts, "noise:1|c"), Err(reason::FILTERED));
        assert_eq!(evict_all(&mut contexts, &[kept]), [kept]);
    }

    #[test]
    fn the_table_of_aliases_stays_bounded_and_right() {
        let mut contexts = contexts(4);
        let first = index(&mut contexts, "x:1|c|#k:v");
        for number in 0..100 {
            let spelling = format!("x:1|c|#{}k:v", ",".repeat(number));
            assert_eq!(index(&mut contexts, &spelling), first);
            assert!(contexts.aliases.len() <= 8);
        }
        evict_all(&mut contexts, &[first]);
        assert_eq!((contexts.aliases.len(), contexts.by_identity.len()), (0, 0));
    }
}
