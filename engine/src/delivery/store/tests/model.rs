//! The store against a plain model, with power failures, kills and full disks at every point.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Action {
    Append {
        size: usize,
    },
    Commit,
    Read,
    Done(usize),
    Evict,
    SavePosition,
    SyncPosition,
    /// Ends in good order, and starts again.
    Close,
    /// The process is killed, and started again.
    Kill,
    /// The machine loses power.
    Crash(u64),
    /// The disk is full for the next actions; then it is not.
    Full(u8),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        8 => (0..90_usize).prop_map(|size| Action::Append { size }),
        4 => Just(Action::Commit),
        4 => Just(Action::Read),
        5 => any::<usize>().prop_map(Action::Done),
        1 => Just(Action::Evict),
        1 => Just(Action::SavePosition),
        1 => Just(Action::SyncPosition),
        1 => Just(Action::Close),
        1 => Just(Action::Kill),
        1 => any::<u64>().prop_map(Action::Crash),
        1 => (1..5_u8).prop_map(Action::Full),
    ];
    proptest::collection::vec(action, 0..120)
}

/// What a record may end with so that it looks like words of a segment.
fn lie(size: usize) -> Vec<u8> {
    let header = |sequence, length| Header { kind: Kind::Record, length, sequence, items: 9, checksum: 0 };
    match size % 5 {
        0 => segment::footer(1, Amount::default(), 0).unwrap().to_vec(),
        1 => segment::footer(u64::MAX, Amount { records: 1, items: 3 }, 7).unwrap().to_vec(),
        2 => header(u64::MAX - 1, 0).to_bytes(0).to_vec(),
        3 => header(1, u32::MAX).to_bytes(0).to_vec(),
        _ => Vec::new(),
    }
}

/// What the store should hold.
#[derive(Default)]
struct Model {
    appended: BTreeMap<u64, Vec<u8>>,
    done: BTreeSet<u64>,
    /// Given out and not done.
    given: BTreeSet<u64>,
    /// Appended and neither given out nor lost with an error.
    unread: BTreeSet<u64>,
    safe: BTreeSet<u64>,
    /// What may come back after a restart though it is done, or was given up.
    doubtful: BTreeSet<u64>,
    /// Given up after an error, on a disk that perhaps did not cut the file.
    uncut: BTreeSet<u64>,
    /// The first sequence number of this process; for what earlier ones did not commit nobody got a promise.
    own: u64,
}

impl Model {
    /// Every record of this process below `below` is safe.
    fn commit(&mut self, below: u64) {
        let own = self.own..below.max(self.own);
        self.safe.extend(self.given.union(&self.unread).filter(|sequence| own.contains(sequence)));
    }
}

struct Bench {
    disk: FakeDisk,
    store: Option<Store>,
    model: Model,
    appends: u64,
    processes: u64,
    full_for: u8,
    /// Power was lost: a hole in a segment stays there until the segment goes.
    may_have_holes: bool,
}

impl Bench {
    fn new() -> Self {
        let disk = FakeDisk::default();
        let (store, found) = open(&disk, 0);
        assert_eq!(found, Amount::default());
        Bench {
            disk,
            processes: 1,
            store: Some(store),
            model: Model::default(),
            appends: 0,
            full_for: 0,
            may_have_holes: false,
        }
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }

    /// What fails of it is to be given up.
    fn act(&mut self, action: &Action) -> io::Result<()> {
        match action {
            Action::Append { size } => {
                self.appends += 1;
                let mut record = [self.appends as u8].repeat(*size);
                record.extend(lie(*size));
                let sequence = self.store().next_sequence();
                let given = self.appends.is_multiple_of(2) && self.model.unread.is_empty();
                self.store().append(sequence, 3, given, |buffer| buffer.extend(&record))?;
                self.model.appended.insert(sequence, record);
                if given {
                    self.model.given.insert(sequence)
                } else {
                    self.model.unread.insert(sequence)
                };
            }
            Action::Commit => self.commit()?,
            Action::Read => {
                self.commit()?;
                self.read()?;
            }
            Action::Done(index) => {
                if !self.model.given.is_empty() {
                    let index = index % self.model.given.len();
                    let sequence = self.model.given.iter().copied().nth(index).unwrap();
                    self.store().done(sequence);
                    self.model.given.remove(&sequence);
                    self.model.done.insert(sequence);
                    self.model.doubtful.insert(sequence);
                }
            }
            Action::Evict => {
                let before = self.model.unread.clone();
                if let Some(Evicted { below, unread }) = self.store().evict_oldest() {
                    let model = &mut self.model;
                    for set in [&mut model.unread, &mut model.given, &mut model.safe] {
                        *set = set.split_off(&below);
                    }
                    // An evicted segment whose entry in the directory comes back after a crash.
                    model.doubtful.extend(model.appended.keys().copied().filter(|sequence| *sequence < below));
                    assert_eq!(unread.records as usize, before.len() - model.unread.len());
                }
            }
            Action::SavePosition => self.store().save_position()?,
            Action::SyncPosition => self.store().sync_position()?,
            Action::Close => {
                let closed = self.store.take().unwrap().close();
                if closed.is_ok() {
                    self.model.doubtful.clear();
                }
                self.restart();
            }
            Action::Kill => {
                // The model's process writes its position down before it waits for anything, as ours does.
                if self.store().save_position().is_ok() {
                    self.model.doubtful.clear();
                }
                self.disk.kill();
                self.restart();
            }
            Action::Crash(seed) => {
                let model = &mut self.model;
                model.doubtful.extend(model.appended.keys().copied().filter(|sequence| !model.safe.contains(sequence)));
                model.doubtful.extend(&model.done);
                model.unread.retain(|sequence| model.safe.contains(sequence));
                model.given.retain(|sequence| model.safe.contains(sequence));
                self.disk.crash(&mut fastrand::Rng::with_seed(*seed));
                self.may_have_holes = true;
                self.restart();
            }
            Action::Full(actions) => self.full_for = *actions,
        }
        Ok(())
    }

    fn commit(&mut self) -> io::Result<()> {
        let committed = self.store().commit();
        let below = self.store().committed();
        self.model.commit(below);
        committed
    }

    fn read(&mut self) -> io::Result<()> {
        let expected = self.model.unread.first().copied();
        match self.store().read()? {
            Some(Read::Record { sequence, items, bytes }) => {
                assert_eq!((Some(sequence), items), (expected, 3), "the oldest comes first");
                assert_eq!(bytes, self.model.appended[&sequence]);
                self.model.unread.remove(&sequence);
                self.model.given.insert(sequence);
            }
            None => assert_eq!(expected, None),
            Some(Read::Damaged(amount)) => panic!("nothing is damaged, but {amount:?} is"),
        }
        Ok(())
    }

    /// After an error: what is not committed is given up.
    fn give_up(&mut self) {
        let below = self.store().committed();
        self.store().abandon();
        let model = &mut self.model;
        let lost: Vec<u64> = model.unread.range(below..).chain(model.given.range(below..)).copied().collect();
        model.uncut.extend(lost.iter().copied());
        for sequence in lost {
            model.unread.remove(&sequence);
            model.given.remove(&sequence);
            self.store.as_mut().unwrap().done(sequence);
        }
    }

    /// Opens the store again and reads all of it.
    fn restart(&mut self) {
        self.store = None;
        self.disk.fill_up(false);
        let (store, found) = open(&self.disk, self.processes);
        self.processes += 1;
        self.store = Some(store);
        let (mut seen, mut damaged, mut last) = (BTreeSet::new(), Amount::default(), 0);
        while let Some(read) = self.store().read().unwrap() {
            match read {
                Read::Record { sequence, bytes, .. } => {
                    assert!(sequence > last, "{sequence} after {last}");
                    assert_eq!(bytes, self.model.appended[&sequence], "record {sequence}");
                    last = sequence;
                    seen.insert(sequence);
                }
                Read::Damaged(amount) => damaged.add(amount),
            }
        }
        assert_eq!(found.records, seen.len() as u64 + damaged.records, "what was found is what is read");
        assert!(self.may_have_holes || damaged == Amount::default(), "{damaged:?}");
        let model = &mut self.model;
        let expected: BTreeSet<u64> = model.unread.union(&model.given).copied().collect();
        let missing: Vec<_> = expected.difference(&seen).filter(|sequence| model.safe.contains(sequence)).collect();
        assert_eq!(missing, Vec::<&u64>::new(), "committed and not consumed, but gone");
        let may_be = |sequence: &&u64| model.doubtful.contains(sequence) || model.uncut.contains(sequence);
        let extra: Vec<_> = seen.difference(&expected).filter(|sequence| !may_be(sequence)).collect();
        assert_eq!(extra, Vec::<&u64>::new(), "consumed, but here again");
        for sequence in &seen {
            model.done.remove(sequence);
        }
        (model.given, model.unread) = (seen.clone(), BTreeSet::new());
        model.safe.retain(|sequence| seen.contains(sequence));
        self.model.own = self.store().next_sequence();
    }

    fn run(&mut self, actions: &[Action]) {
        for action in actions {
            self.disk.fill_up(self.full_for > 0);
            self.full_for = self.full_for.saturating_sub(1);
            if self.act(action).is_err() {
                self.give_up();
            }
        }
        self.disk.fill_up(false);
        self.act(&Action::Kill).unwrap();
    }
}

/// The numbers of each process are above those of all before it.
fn open(disk: &FakeDisk, process: u64) -> (Store, Amount) {
    let first = 1 + 1000 * process;
    Store::open(Arc::new(disk.clone()), Path::new("/queue"), 300, first).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]
    #[test]
    fn what_is_committed_comes_back_until_it_is_consumed(actions in actions()) {
        Bench::new().run(&actions);
    }
}

#[test]
fn an_evicted_segment_that_comes_back_takes_the_place_of_no_record() {
    for seed in 0..64 {
        let appends = |count| std::iter::repeat_n(Action::Append { size: 0 }, count);
        let evicted = appends(5).chain([Action::Commit, Action::Evict, Action::Full(1), Action::Close]);
        let since = appends(2).chain([Action::Append { size: 1 }, Action::Crash(seed)]);
        Bench::new().run(&evicted.chain(since).collect::<Vec<_>>());
    }
}

#[test]
fn power_lost_at_any_point_loses_nothing_that_was_committed() {
    let script = |random: &mut fastrand::Rng| -> Vec<Action> {
        let action = |number: usize| match number % 9 {
            0..4 => Action::Append { size: number % 80 },
            4 => Action::Commit,
            5 => Action::Read,
            6 => Action::SyncPosition,
            7 => Action::SavePosition,
            _ => Action::Done(number),
        };
        (0..60).map(|_| action(random.usize(..1000))).collect()
    };
    for seed in 0..6 {
        let actions = script(&mut fastrand::Rng::with_seed(seed));
        let mut whole = Bench::new();
        whole.run(&actions);
        for change in 0..whole.disk.changes() {
            let mut bench = Bench::new();
            bench.disk.die_at(change);
            for action in &actions {
                if bench.act(action).is_err() {
                    break;
                }
            }
            // Whatever the last commit has brought to the disk counts.
            let below = bench.store().committed();
            bench.model.commit(below);
            bench.act(&Action::Crash(seed * 1000 + change as u64)).unwrap();
        }
    }
}
