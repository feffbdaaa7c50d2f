//! One test a rotation scheme: what administrators and logrotate do to files while they are read, and while nobody reads.

use std::fs;
use std::io::Write;
use std::time::Duration;

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use hornpipe_model::Body;

use super::world::World;
use crate::encoding::Encoding;
use crate::handle::Compression;
use crate::tailer::{Note, Start};

/// A world in which some lines are read already and some are not yet.
fn world(pattern: &str) -> World {
    let mut world = World::new(pattern);
    world.start();
    world.log("access.log", 50);
    world.read();
    world.log("access.log", 5);
    world
}

/// Writes more, looks again, and checks that all came once.
fn finish(mut world: World) {
    world.log("access.log", 20);
    world.read();
    world.read();
    world.assert_each_once();
}

fn gzip(world: &World, from: &str, to: &str) {
    let mut encoder = GzEncoder::new(fs::File::create(world.path(to)).unwrap(), Level::fast());
    encoder.write_all(&fs::read(world.path(from)).unwrap()).unwrap();
    encoder.finish().unwrap();
    fs::remove_file(world.path(from)).unwrap();
}

/// Each scheme, with the rotated file inside the pattern and outside, watched, unwatched, and over a restart.
fn check(rotate: impl Fn(&mut World)) {
    for pattern in ["access.log*", "access.log"] {
        for is_restarted in [false, true] {
            let mut world = world(pattern);
            if is_restarted {
                world.kill();
            }
            rotate(&mut world);
            if is_restarted {
                world.start();
            }
            finish(world);
        }
    }
}

#[test]
fn renamed_and_created_anew() {
    check(|world| {
        world.rename("access.log", "access.log.1");
        world.log("access.log.1", 3);
        world.reopen("access.log");
    });
}

#[test]
fn renamed_while_the_server_goes_on_writing_and_reopens_late() {
    for pattern in ["access.log*", "access.log"] {
        let mut world = world(pattern);
        world.rename("access.log", "access.log.1");
        world.read();
        for _ in 0..5 {
            world.log("access.log.1", 4);
            world.read();
            world.wait(Duration::from_secs(100));
        }
        world.reopen("access.log");
        finish(world);
    }
}

#[test]
fn copied_and_truncated() {
    check(|world| {
        world.copy("access.log", "access.log.1");
        world.truncate("access.log");
    });
}

#[test]
fn copied_and_truncated_and_longer_than_before_when_looked_at() {
    check(|world| {
        world.copy("access.log", "access.log.1");
        world.truncate("access.log");
        world.log("access.log", 500);
    });
}

#[test]
fn copied_and_truncated_and_exactly_as_long_as_before_when_looked_at() {
    for pattern in ["access.log*", "access.log"] {
        let mut world = world(pattern);
        world.read();
        let before = fs::metadata(world.path("access.log")).unwrap().len();
        world.copy("access.log", "access.log.1");
        world.truncate("access.log");
        while fs::metadata(world.path("access.log")).unwrap().len() < before {
            world.log("access.log", 1);
        }
        finish(world);
    }
}

#[test]
fn several_copytruncates_with_a_chain_of_names_between_looks() {
    let mut world = world("access.log*");
    for _ in 0..3 {
        for number in (1..4).rev() {
            if world.exists(&format!("access.log.{number}")) {
                world.rename(&format!("access.log.{number}"), &format!("access.log.{}", number + 1));
            }
        }
        world.copy("access.log", "access.log.1");
        world.truncate("access.log");
        world.log("access.log", 30);
    }
    finish(world);
}

#[test]
fn several_renames_in_a_chain_between_looks() {
    let mut world = world("access.log*");
    for _ in 0..4 {
        for number in (1..5).rev() {
            if world.exists(&format!("access.log.{number}")) {
                world.rename(&format!("access.log.{number}"), &format!("access.log.{}", number + 1));
            }
        }
        world.rename("access.log", "access.log.1");
        world.reopen("access.log");
        world.log("access.log", 30);
    }
    finish(world);
}

#[test]
fn a_copy_that_is_seen_before_its_original_is_truncated() {
    for lines_between in [0, 10] {
        let mut world = world("access.log*");
        world.copy("access.log", "access.log.1");
        world.read();
        // Written after the copy and before the truncation, and read in time.
        world.log("access.log", lines_between);
        world.read();
        world.truncate("access.log");
        finish(world);
    }
}

#[test]
fn a_copy_in_the_making_is_no_new_file() {
    let mut world = world("access.log*");
    let whole = fs::read(world.path("access.log")).unwrap();
    for part in [10, 1_000, whole.len() / 2, whole.len() - 1, whole.len()] {
        fs::write(world.path("access.log.1"), &whole[..part]).unwrap();
        world.read();
        world.wait(Duration::from_secs(5));
    }
    world.truncate("access.log");
    finish(world);
}

#[test]
fn deleted_while_it_is_read_and_created_anew() {
    for pattern in ["access.log*", "access.log"] {
        let mut world = world(pattern);
        fs::remove_file(world.path("access.log")).unwrap();
        world.log("access.log", 5);
        world.reopen("access.log");
        finish(world);
    }
}

#[test]
fn compressed_after_it_was_renamed() {
    for compression in [Compression::None, Compression::Auto] {
        // As content shorter than a fingerprint, on disk shorter than one, and longer.
        for lines in [3, 50, 2_000] {
            let mut world = World::new("access.log*");
            world.options.compression = compression;
            world.start();
            world.log("access.log", lines);
            world.read();
            world.log("access.log", 5);
            world.rename("access.log", "access.log.1");
            world.reopen("access.log");
            world.read();
            gzip(&world, "access.log.1", "access.log.1.gz");
            world.read();
            world.wait(Duration::from_secs(11));
            finish(world);
        }
    }
}

#[test]
fn compressed_while_nobody_read() {
    for pattern in ["access.log*", "access.log"] {
        let mut world = World::new(pattern);
        world.options.compression = Compression::Auto;
        world.start();
        world.log("access.log", 200);
        world.read();
        world.kill();
        world.log("access.log", 5);
        world.rename("access.log", "access.log.1");
        gzip(&world, "access.log.1", "access.log.1.gz");
        world.reopen("access.log");
        world.start();
        finish(world);
    }
}

#[test]
fn identical_heads_are_different_files_all_the_same() {
    let mut world = World::new("*.log");
    world.start();
    let banner = "x".repeat(3_000);
    for name in ["a.log", "b.log", "c.log"] {
        world.append(name, &format!("{banner}\n"));
    }
    world.read();
    for name in ["a.log", "b.log", "c.log", "b.log"] {
        let line = world.line();
        world.append(name, &format!("{line}\n"));
        world.read();
    }
    let (banners, lines): (Vec<_>, Vec<_>) = world.delivered.drain(..).partition(|line| *line == banner);
    assert_eq!(banners.len(), 3);
    world.delivered = lines;
    world.assert_each_once();
}

#[test]
fn a_file_that_begins_like_its_predecessor_is_read_from_its_beginning() {
    let mut world = World::new("beat.log*");
    world.start();
    world.append("beat.log", &"alive\n".repeat(5));
    world.read();
    world.rename("beat.log", "beat.log.1");
    world.append("beat.log", &"alive\n".repeat(2));
    world.read();
    world.append("beat.log", &"alive\n".repeat(5));
    world.read();
    assert_eq!(world.delivered.len(), 12);
}

#[test]
fn two_short_files_that_say_the_same_are_both_read_in_the_end() {
    let mut world = World::new("job-*.log");
    world.start();
    world.append("job-1.log", "started\n");
    world.read();
    world.append("job-2.log", "started\n");
    world.read();
    world.wait(Duration::from_secs(11));
    world.read();
    assert_eq!(world.delivered, ["started", "started"]);
}

#[test]
fn two_files_that_go_on_saying_the_same_are_both_read_in_the_end() {
    let mut world = World::new("*.log");
    world.start();
    let mut text = String::new();
    for _ in 0..10 {
        text.push_str(&"the same line in both of them\n".repeat(50));
        world.append("a.log", &"the same line in both of them\n".repeat(50));
        world.append("b.log", &"the same line in both of them\n".repeat(50));
        world.read();
        world.wait(Duration::from_secs(1));
    }
    assert_eq!(world.delivered.len(), 1_000);
}

#[test]
fn a_symbolic_link_that_is_pointed_elsewhere() {
    let mut world = World::new("current.log");
    world.start();
    let first: String = (0..10).map(|_| world.line() + "\n").collect();
    world.append("one", &first);
    std::os::unix::fs::symlink(world.path("one"), world.path("current.log")).unwrap();
    world.read();
    let rest = world.line();
    world.append("one", &format!("{rest}\n"));
    let second: String = (0..10).map(|_| world.line() + "\n").collect();
    world.append("two", &second);
    fs::remove_file(world.path("current.log")).unwrap();
    std::os::unix::fs::symlink(world.path("two"), world.path("current.log")).unwrap();
    world.read();
    world.assert_each_once();
}

/// A world of a file in a directory of its own, with directories near it, of which some lines are read already and some not yet.
fn world_with_directories() -> World {
    let mut world = World::new("live/access.log");
    for directory in ["live/old", "archive", "other"] {
        fs::create_dir_all(world.path(directory)).unwrap();
    }
    world.append("other/access.log.1", &format!("{}\n", "x".repeat(5_000)));
    world.start();
    world.log("live/access.log", 50);
    world.read();
    world.log("live/access.log", 5);
    world
}

#[test]
fn moved_to_another_directory_while_nobody_read() {
    for directory in ["live/old", "archive"] {
        let mut world = world_with_directories();
        world.kill();
        world.log("live/access.log", 100);
        world.rename("live/access.log", &format!("{directory}/access.log-20261126"));
        world.reopen("live/access.log");
        world.log("live/access.log", 5);
        world.start();
        world.read();
        assert!(world.notes().iter().all(|note| !matches!(note, Note::Missing { .. })));
        world.log("live/access.log", 20);
        world.read();
        world.assert_each_once();
    }
}

#[test]
fn moved_to_another_directory_and_compressed_while_nobody_read() {
    let mut world = world_with_directories();
    world.kill();
    world.rename("live/access.log", "archive/access.log.1");
    gzip(&world, "archive/access.log.1", "archive/access.log.1.gz");
    world.reopen("live/access.log");
    world.start();
    world.log("live/access.log", 20);
    world.read();
    world.assert_each_once();
}

#[test]
fn copied_to_another_directory_and_truncated() {
    for directory in ["live/old", "archive"] {
        for is_restarted in [false, true] {
            let mut world = world_with_directories();
            if is_restarted {
                world.kill();
            }
            world.copy("live/access.log", &format!("{directory}/access.log.1"));
            world.truncate("live/access.log");
            if is_restarted {
                world.start();
            }
            world.log("live/access.log", 20);
            world.read();
            world.read();
            world.assert_each_once();
        }
    }
}

#[test]
fn a_file_of_the_checkpoint_that_is_nowhere_is_told_of_once() {
    let mut world = world_with_directories();
    world.scan();
    world.checkpoint();
    let path = world.path("live/access.log");
    let unread = world.tailer().tails().map(|tail| tail.size - tail.position()).sum::<u64>();
    world.kill();
    fs::remove_file(&path).unwrap();
    world.reopen("live/access.log");
    for told in [true, false] {
        world.start();
        let notes = world.notes();
        let expected = Note::Missing { files: 1, some: vec![path.clone()], lost: unread };
        assert_eq!(notes.contains(&expected), told, "{notes:?}");
        assert_eq!(world.tailer().take_counts().lost_bytes, if told { unread } else { 0 });
        world.kill();
    }
}

#[test]
fn a_file_that_was_read_to_its_end_and_deleted_is_not_missed() {
    let mut world = world_with_directories();
    world.read();
    fs::remove_file(world.path("live/access.log")).unwrap();
    world.reopen("live/access.log");
    world.read();
    world.wait(Duration::from_secs(301));
    world.read();
    world.kill();
    world.start();
    let notes = world.notes();
    assert!(notes.iter().all(|note| !matches!(note, Note::Missing { .. })), "{notes:?}");
}

/// What logrotate's `shred` does before it deletes: other bytes in the same place, to the end of the last block.
fn overwrite(world: &World, name: &str) {
    let size = fs::metadata(world.path(name)).unwrap().len().next_multiple_of(4_096);
    let file = fs::OpenOptions::new().write(true).open(world.path(name)).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &b"random\n".repeat(size as usize / 7), 0).unwrap();
}

#[test]
fn a_rotated_file_that_is_overwritten_is_no_log_any_more() {
    for (looks_between, reads_before) in [(true, true), (true, false), (false, true)] {
        let mut world = world("access.log");
        if reads_before {
            world.read();
        }
        world.rename("access.log", "access.log.1");
        world.reopen("access.log");
        if looks_between {
            world.scan();
        }
        let unread = world.tailer().tails().map(|tail| tail.size - tail.position()).sum::<u64>();
        overwrite(&world, "access.log.1");
        world.log("access.log", 20);
        world.read();
        world.read();
        let notes = world.notes();
        assert!(!world.delivered.iter().any(|line| line == "random"), "{notes:?}");
        assert_eq!(world.delivered.len(), if reads_before { 75 } else { 70 });
        assert_eq!(world.tailer().take_counts().lost_bytes, unread);
        let name = world.path("access.log.1");
        let is_told = notes.iter().any(|note| matches!(note, Note::Truncated { path, .. } if *path == name));
        assert_eq!(is_told, unread > 0, "{notes:?}");
    }
}

#[test]
fn a_rotated_file_that_is_emptied_and_written_anew_is_no_log_any_more() {
    let mut world = world("access.log");
    world.rename("access.log", "access.log.1");
    world.reopen("access.log");
    world.read();
    fs::write(world.path("access.log.1"), "other\n").unwrap();
    finish(world);
}

#[test]
fn truncated_and_then_renamed_between_looks() {
    for pattern in ["access.log*", "access.log"] {
        let mut world = world(pattern);
        world.read();
        world.truncate("access.log");
        world.log("access.log", 5);
        world.rename("access.log", "access.log.1");
        world.reopen("access.log");
        finish(world);
    }
}

#[test]
fn bytes_that_a_truncation_destroyed_unread_are_counted() {
    let mut world = World::new("access.log");
    world.start();
    world.log("access.log", 50);
    world.read();
    world.log("access.log", 5);
    let unread: u64 = fs::metadata(world.path("access.log")).unwrap().len();
    world.scan();
    let position = world.tailer().tails().next().unwrap().position();
    world.truncate("access.log");
    world.read();
    assert_eq!(world.tailer().take_counts().lost_bytes, unread - position);
    assert_eq!(world.delivered.len(), 50);
}

#[test]
fn a_hole_left_by_a_writer_that_does_not_append_is_skipped() {
    let mut world = World::new("access.log");
    world.start();
    world.log("access.log", 50);
    world.read();
    let offset = fs::metadata(world.path("access.log")).unwrap().len();
    world.truncate("access.log");
    let file = fs::OpenOptions::new().write(true).open(world.path("access.log")).unwrap();
    let line = world.line() + "\n";
    std::os::unix::fs::FileExt::write_at(&file, line.as_bytes(), offset).unwrap();
    world.read();
    world.assert_each_once();
    assert_eq!(world.tailer().take_counts().nul_bytes, offset);
}

#[test]
fn room_that_a_writer_takes_in_advance_is_read_when_it_is_filled() {
    let mut world = World::new("access.log");
    world.start();
    let line = world.line() + "\n";
    world.append("access.log", &line);
    let file = fs::OpenOptions::new().write(true).open(world.path("access.log")).unwrap();
    file.set_len(8_192).unwrap();
    world.read();
    world.wait(Duration::from_secs(10));
    world.read();
    let mut offset = line.len() as u64;
    for _ in 0..5 {
        let line = world.line() + "\n";
        std::os::unix::fs::FileExt::write_at(&file, line.as_bytes(), offset).unwrap();
        offset += line.len() as u64;
        world.read();
    }
    world.assert_each_once();
}

#[test]
fn an_end_without_a_line_break_is_sent_after_a_while_and_once() {
    let mut world = World::new("access.log");
    world.start();
    world.append("access.log", "whole\npart");
    world.read();
    assert_eq!(world.delivered, ["whole"]);
    world.wait(Duration::from_millis(400));
    world.append("access.log", "ial");
    world.read();
    world.wait(Duration::from_millis(400));
    world.read();
    assert_eq!(world.delivered, ["whole"], "it still grew");
    world.wait(Duration::from_millis(200));
    world.read();
    assert_eq!(world.delivered, ["whole", "partial"]);
    world.append("access.log", " more\n");
    world.read();
    assert_eq!(world.delivered, ["whole", "partial", " more"]);
}

#[test]
fn an_end_within_a_character_waits_for_the_rest_of_that() {
    let utf16: Vec<u8> = "one\ntwo\u{1f600}\nthree\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let utf8 = "one\ntwo\u{1f600}\nthree\n".as_bytes();
    for (encoding, bytes, cut) in [(Encoding::Utf16Be, &utf16[..], 16), (Encoding::Utf8, utf8, 8)] {
        for cut in [cut - 1, cut, cut + 1] {
            let mut world = World::new("access.log");
            world.encoding = encoding;
            world.start();
            world.append_bytes("access.log", &bytes[..cut]);
            world.read();
            world.wait(Duration::from_secs(1));
            world.read();
            assert_eq!(world.tailer().next_deadline(), None, "nothing is overdue");
            world.append_bytes("access.log", &bytes[cut..]);
            world.read();
            let texts: Vec<&str> = world.delivered.iter().map(String::as_str).collect();
            assert_eq!(texts.concat(), "onetwo\u{1f600}three", "{encoding:?} cut at {cut}");
            assert_eq!(texts[texts.len() - 1], "three");
        }
    }
}

#[test]
fn the_beginning_of_a_character_goes_with_the_rest_where_nobody_will_read_it_again() {
    let mut world = World::new("access.log");
    world.start();
    world.append_bytes("access.log", b"caf\xe9");
    world.read();
    let cut = world.tailer().flush_all(true).unwrap();
    assert_eq!(cut.records[0].body, Body::Bytes((*b"caf\xe9").into()));
}

#[test]
fn a_pending_end_survives_a_truncation() {
    let mut world = World::new("access.log");
    world.start();
    world.append("access.log", "whole\npartial");
    world.read();
    world.truncate("access.log");
    world.append("access.log", "new\n");
    world.read();
    assert_eq!(world.delivered, ["whole", "partial", "new"]);
}

#[test]
fn start_at_end_counts_only_at_the_very_first_start() {
    let mut world = World::new("*.log");
    world.start = Start::End;
    world.append("old.log", "before\n");
    world.start();
    world.append("old.log", "after\n");
    world.append("late.log", "late\n");
    world.read();
    assert_eq!(world.delivered, ["late", "after"].map(str::to_owned).into_iter().rev().collect::<Vec<_>>());
    world.kill();
    world.append("down.log", "while down\n");
    world.append("old.log", "too\n");
    world.start();
    world.read();
    let mut last = world.delivered.split_off(2);
    last.sort();
    assert_eq!(last, ["too", "while down"]);
}

#[test]
fn more_files_than_may_be_open_are_all_read_through_a_rotation() {
    for pattern in ["*.log*", "*.log"] {
        let mut world = World::new(pattern);
        world.options.max_open = 3;
        world.start();
        for round in 0..4 {
            for file in 0..10 {
                let line = world.line() + "\n";
                world.append(&format!("{file}.log"), &line);
            }
            if round == 2 {
                for file in 0..10 {
                    world.rename(&format!("{file}.log"), &format!("{file}.log.1"));
                    let line = world.line() + "\n";
                    world.append(&format!("{file}.log"), &line);
                }
            }
            world.read();
            assert!(world.tailer().tails().filter(|tail| tail.handle.is_some()).count() <= 3);
        }
        world.assert_each_once();
    }
}

#[test]
fn what_was_sent_and_not_settled_is_read_again_after_a_restart_and_nothing_else() {
    let mut world = World::new("access.log*");
    world.start();
    world.log("access.log", 20_000);
    world.scan();
    assert!(world.turn() && world.turn() && world.turn());
    let in_flight = std::mem::take(&mut world.in_flight);
    let (first, second) = (in_flight[0].clone(), in_flight[1].clone());
    // The second is settled, the first is not: nothing is.
    world.tailer().settle(second.0, true);
    world.checkpoint();
    world.kill();
    world.start();
    world.turn();
    assert_eq!(world.in_flight[0].1, first.1);
    world.read();
    world.assert_each_once();
}

#[test]
fn a_file_moved_to_another_volume_goes_on_where_it_was() {
    let mut world = World::new("access.log");
    world.start();
    world.log("access.log", 50);
    world.read();
    world.kill();
    // Another inode, the same name and content.
    world.copy("access.log", "restored");
    fs::remove_file(world.path("access.log")).unwrap();
    world.rename("restored", "access.log");
    world.reopen("access.log");
    world.start();
    finish(world);
}

#[test]
fn an_inode_that_is_used_again_for_another_file_is_another_file() {
    // Whether the file system gives the same number again is its own affair: ext4 and tmpfs differ. Both ways have to work.
    for _ in 0..20 {
        let mut world = World::new("*.log");
        world.start();
        world.log("a.log", 30);
        world.read();
        world.kill();
        fs::remove_file(world.path("a.log")).unwrap();
        world.reopen("b.log");
        world.log("b.log", 60);
        world.start();
        world.read();
        world.assert_each_once();
    }
}

#[test]
fn a_renamed_file_is_closed_once_it_has_been_quiet_for_long() {
    let mut world = world("access.log");
    world.rename("access.log", "access.log.1");
    world.reopen("access.log");
    world.read();
    assert_eq!(world.tailer().tails().count(), 2);
    world.wait(Duration::from_secs(301));
    world.read();
    assert_eq!(world.tailer().tails().count(), 1);
    finish(world);
}
