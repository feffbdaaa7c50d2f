//! The store on a disk that forgets, and on one that lies.

pub(crate) mod fake;
mod model;

use super::*;
use fake::FakeDisk;
use header::{Header, Kind};

const DIRECTORY: &str = "/queue";

fn open(disk: &FakeDisk) -> (Store, Amount) {
    Store::open(Arc::new(disk.clone()), Path::new(DIRECTORY), 1000, 1).unwrap()
}

/// A closed store of ten records of 100 bytes, the first of them 1, in segments of up to seven.
fn written() -> FakeDisk {
    let disk = FakeDisk::default();
    let (mut store, _) = open(&disk);
    for number in 1..=10 {
        append(&mut store, number);
    }
    store.close().unwrap();
    disk
}

fn append(store: &mut Store, number: u8) {
    let sequence = store.next_sequence();
    store.append(sequence, 1, false, |buffer| buffer.extend([number; 100])).unwrap();
}

/// What is read: numbers of sound records, and how many are damaged.
fn read_all(store: &mut Store) -> (Vec<u8>, Amount) {
    let (mut numbers, mut damaged) = (Vec::new(), Amount::default());
    while let Some(read) = store.read().unwrap() {
        match read {
            Read::Record { bytes, .. } => numbers.push(bytes[0]),
            Read::Damaged(amount) => damaged.add(amount),
        }
    }
    (numbers, damaged)
}

fn segments(disk: &FakeDisk) -> Vec<PathBuf> {
    disk.paths().into_iter().filter(|path| path.extension().is_some_and(|found| found == "segment")).collect()
}

#[test]
fn every_flipped_bit_costs_its_record_and_no_other() {
    for bit in (0..8 * 8 * header::LENGTH).chain((8 * 200..8 * 956).step_by(37)) {
        let disk = written();
        disk.damage(&segments(&disk)[0], |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        let (mut store, found) = open(&disk);
        let (numbers, damaged) = read_all(&mut store);
        let hit = bit / 8 / (header::LENGTH + 100) + 1;
        // The last word of the segment holds no record.
        let expected: Vec<u8> = (1..=10).filter(|number| *number as usize != hit || hit > 7).collect();
        assert_eq!(numbers, expected, "bit {bit}");
        assert_eq!(numbers.len() as u64 + damaged.records, found.records, "bit {bit}");
    }
}

#[test]
fn a_tail_cut_anywhere_costs_the_records_that_it_cuts() {
    for length in (0..956).step_by(7) {
        let disk = written();
        disk.damage(&segments(&disk)[0], |bytes| bytes.truncate(length));
        let (mut store, _) = open(&disk);
        let whole = (length / (header::LENGTH + 100)).min(7) as u8;
        let expected: Vec<u8> = (1..=whole).chain(8..=10).collect();
        assert_eq!(read_all(&mut store).0, expected, "cut to {length}");
    }
}

#[test]
fn missing_empty_and_overwritten_segments_cost_what_was_in_them() {
    let damages: [fn(&FakeDisk, &Path); 4] = [
        |disk, path| disk.remove(path).unwrap(),
        |disk, path| disk.damage(path, Vec::clear),
        |disk, path| disk.damage(path, |bytes| bytes.fill(0)),
        |disk, path| disk.damage(path, |bytes| bytes.fill(0xf5)),
    ];
    for damage in damages {
        let disk = written();
        damage(&disk, &segments(&disk)[0]);
        let (mut store, _) = open(&disk);
        assert_eq!(read_all(&mut store).0, [8, 9, 10]);
    }
}

#[test]
fn a_record_that_ends_like_a_segment_ends_none() {
    for amount in [Amount::default(), Amount { records: 1, items: 1 }] {
        let lie = segment::footer(u64::MAX, amount, 0).unwrap();
        let disk = FakeDisk::default();
        let (mut store, _) = open(&disk);
        append(&mut store, 1);
        store.append(2, 1, false, |buffer| buffer.extend([&[2][..], &lie].concat())).unwrap();
        store.commit().unwrap();
        drop(store);
        disk.kill();
        let (mut store, found) = open(&disk);
        assert_eq!(found, Amount { records: 2, items: 2 });
        assert_eq!(read_all(&mut store), (vec![1, 2], Amount::default()));
    }
}

/// Of a damaged header it is the bytes of the record, which anybody may have written, among which the next one is looked for.
#[test]
fn a_header_within_a_record_is_none_also_where_the_records_own_is_damaged() {
    for (length, sequence) in [(0, u64::MAX - 1), (0, 3), (u32::MAX, 2), (150, 2)] {
        let lie = Header { kind: Kind::Record, length, sequence, items: 9, checksum: crc32c::crc32c(b"") };
        let disk = FakeDisk::default();
        let (mut store, _) = open(&disk);
        append(&mut store, 1);
        store.append(2, 1, false, |buffer| buffer.extend(lie.to_bytes(0))).unwrap();
        append(&mut store, 3);
        store.commit().unwrap();
        drop(store);
        disk.kill();
        disk.damage(&segments(&disk)[0], |bytes| bytes[header::LENGTH + 100..][..header::LENGTH].fill(0));
        let (mut store, found) = open(&disk);
        assert_eq!((found, store.next_sequence()), (Amount { records: 3, items: 2 }, 4), "{lie:?}");
        assert_eq!(read_all(&mut store), (vec![1, 3], Amount { records: 1, items: 0 }), "{lie:?}");
    }
}

#[test]
fn segments_of_earlier_releases_are_read_and_their_last_words_not_believed() {
    let disk = FakeDisk::default();
    let file = disk.create(&Path::new(DIRECTORY).join("00000000000000000001.segment")).unwrap();
    let mut bytes = Vec::new();
    for number in 1..=10 {
        let mut record = [[0; header::LENGTH].as_slice(), &[number; 100]].concat();
        segment::seal_record(&mut record, number.into(), 1, 0).unwrap();
        bytes.extend(record);
    }
    bytes.extend(segment::footer(10, Amount { records: 3, items: 3 }, 0).unwrap());
    file.write_at(&bytes, 0).unwrap();
    let (mut store, found) = open(&disk);
    assert_eq!(found, Amount { records: 10, items: 10 });
    assert_eq!(read_all(&mut store), ((1..=10).collect(), Amount::default()));
}

#[test]
fn a_damaged_position_sends_everything_again_and_loses_nothing() {
    let disk = written();
    let (mut store, _) = open(&disk);
    assert_eq!(store.read().unwrap().map(|read| matches!(read, Read::Record { .. })), Some(true));
    store.done(1);
    store.close().unwrap();
    let position = Path::new(DIRECTORY).join(position::NAME);
    let (mut store, _) = open(&disk);
    assert_eq!(read_all(&mut store).0, (2..=10).collect::<Vec<u8>>());
    drop(store);
    disk.damage(&position, |bytes| bytes.fill(0xff));
    let (mut store, _) = open(&disk);
    assert_eq!(read_all(&mut store).0, (1..=10).collect::<Vec<u8>>());
}

#[test]
fn a_segment_goes_when_all_of_it_is_consumed() {
    let disk = written();
    let (mut store, _) = open(&disk);
    read_all(&mut store);
    (2..=7).for_each(|sequence| store.done(sequence));
    assert_eq!(segments(&disk).len(), 2, "record 1 is open");
    store.done(1);
    assert_eq!(segments(&disk).len(), 1);
    (8..=10).for_each(|sequence| store.done(sequence));
    assert_eq!((segments(&disk).len(), store.bytes()), (0, 0));
}

#[test]
fn the_oldest_segment_is_evicted_whole_with_what_was_given_out() {
    let disk = written();
    let (mut store, _) = open(&disk);
    store.read().unwrap();
    let evicted = store.evict_oldest().unwrap();
    assert_eq!(evicted, Evicted { below: 8, unread: Amount { records: 6, items: 6 } });
    store.done(1);
    assert_eq!(read_all(&mut store).0, [8, 9, 10]);
    assert_eq!(store.evict_oldest().map(|evicted| evicted.unread.records), Some(0));
    assert_eq!(store.evict_oldest(), None);
    append(&mut store, 11);
    assert_eq!(store.evict_oldest().map(|evicted| evicted.unread.records), Some(1));
    append(&mut store, 12);
    store.commit().unwrap();
    assert_eq!(read_all(&mut store).0, [12]);
}

#[test]
fn an_error_gives_up_what_was_not_committed_and_the_store_goes_on() {
    let disk = FakeDisk::default();
    let (mut store, _) = open(&disk);
    append(&mut store, 1);
    store.commit().unwrap();
    append(&mut store, 2);
    disk.fill_up(true);
    assert!(store.commit().is_err() && store.probe().is_err());
    assert_eq!(store.committed(), 2);
    disk.fill_up(false);
    store.abandon();
    store.probe().unwrap();
    append(&mut store, 3);
    store.commit().unwrap();
    assert_eq!(read_all(&mut store).0, [1, 3]);
}

#[test]
fn a_disk_is_well_once_it_takes_as_much_as_it_refused() {
    let disk = FakeDisk::default();
    let (mut store, _) = Store::open(Arc::new(disk.clone()), Path::new(DIRECTORY), 1 << 20, 1).unwrap();
    let record = |buffer: &mut Vec<u8>| buffer.resize(buffer.len() + 10_000, 1);
    disk.limit(Some(8192));
    assert!(store.append(1, 1, false, record).is_err());
    store.abandon();
    assert!(store.probe().is_err());
    disk.limit(Some(16_384));
    store.probe().unwrap();
    store.append(2, 1, false, record).unwrap();
    store.commit().unwrap();
}

/// Opening reads a last word per closed segment, and headers of the one that was being written.
#[test]
fn a_gigabyte_opens_without_reading_it() {
    let directory = std::env::temp_dir().join(format!("hornpipe-store-{}", std::process::id()));
    let (mut store, _) = Store::open(Arc::new(Disk), &directory, 16 << 20, 1).unwrap();
    // Holes instead of records: what is read of them would not pass.
    for segment in 0..64_u64 {
        let record = |buffer: &mut Vec<u8>| buffer.resize(buffer.len() + (1 << 20), 0);
        for number in 0..2 {
            store.append(segment * 2 + number + 1, 5, false, record).unwrap();
        }
        store.close_segment().unwrap();
        let Segment { key, length, .. } = store.segments[segment as usize];
        let path = store.path(&store.segments[segment as usize]);
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        let footer = segment::footer(segment * 2 + 2, Amount { records: 2, items: 10 }, key).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &footer, (16 << 20) - header::LENGTH as u64).unwrap();
        assert!(length < 16 << 20);
    }
    drop(store);
    let start = std::time::Instant::now();
    let (store, found) = Store::open(Arc::new(Disk), &directory, 16 << 20, 1).unwrap();
    assert_eq!((found, store.bytes()), (Amount { records: 128, items: 640 }, 1 << 30));
    assert!(start.elapsed() < std::time::Duration::from_millis(500), "{:?}", start.elapsed());
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_record_that_cannot_be_understood_is_kept_for_a_look_up_to_a_bound() {
    let disk = FakeDisk::default();
    let (store, _) = open(&disk);
    (0..100).for_each(|sequence| store.keep_unreadable(sequence, b"from the future").unwrap());
    assert_eq!(disk.paths().len(), MOST_UNREADABLE);
}
