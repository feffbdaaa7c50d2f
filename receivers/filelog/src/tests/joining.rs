//! Several lines as one record, while files are read: what waits for its rest, and where reading goes on after a crash.

use std::time::Duration;

use hornpipe_engine::config::Report;
use hornpipe_engine::logs::{Boundary, Joining};

use super::world::World;

/// A reader of one file whose records begin with a date, and wait half a second for more lines.
fn world() -> World {
    let boundary = Boundary::from_options(r"\[\d{4}-\d{2}-\d{2}", "", false, "multiline", &mut Report::new());
    let mut world = World::new("error.log");
    world.joining = boundary.map(|boundary| Joining { timeout: Duration::from_millis(500), ..Joining::at(boundary) });
    world.start();
    world
}

const TRACEBACK: [&str; 4] = [
    "[2026-01-01] [7] failed",
    "Traceback (most recent call last):",
    "  File \"a.py\", line 1, in f",
    "ValueError: no",
];

fn write(world: &World, lines: &[&str]) {
    world.append("error.log", &(lines.join("\n") + "\n"));
}

#[test]
fn a_traceback_that_others_interrupt_is_one_record() {
    let mut world = world();
    write(&world, &TRACEBACK[..2]);
    world.read();
    write(&world, &["[2026-01-01] [8] other", "  goes on"]);
    write(&world, &["[2026-01-01] [9] third"]);
    world.read();
    assert_eq!(world.sent, ["[2026-01-01] [8] other\n  goes on"]);
    write(&world, &TRACEBACK[2..]);
    world.read();
    world.wait(Duration::from_millis(500));
    world.read();
    let traceback = TRACEBACK.join("\n");
    assert_eq!(world.sent[1..], ["[2026-01-01] [9] third", &*traceback]);
}

#[test]
fn lines_that_wait_are_read_again_after_a_crash_also_where_later_records_are_delivered() {
    let mut world = world();
    write(&world, &TRACEBACK[..2]);
    write(&world, &["[2026-01-01] [8] other", "[2026-01-01] [9] third"]);
    world.read();
    assert_eq!(world.delivered, ["[2026-01-01] [8] other"]);
    world.kill();
    write(&world, &TRACEBACK[2..]);
    write(&world, &["[2026-01-01] [9] last"]);
    world.start();
    world.read();
    world.wait(Duration::from_millis(500));
    world.read();
    let traceback = TRACEBACK.join("\n");
    let again = ["[2026-01-01] [8] other", "[2026-01-01] [9] third", &*traceback, "[2026-01-01] [9] last"];
    assert_eq!(world.delivered[1..], again);
    world.kill();
    world.start();
    world.read();
    assert_eq!(world.delivered.len(), 5, "everything is settled");
}

#[test]
fn half_a_record_and_half_a_line_wait_together_and_go_when_the_file_is_quiet() {
    let mut world = world();
    write(&world, &TRACEBACK[..2]);
    world.wait(Duration::from_millis(400));
    world.append("error.log", "  File \"a.py\", ");
    world.read();
    world.wait(Duration::from_millis(400));
    world.read();
    assert!(world.sent.is_empty(), "its line may still be completed: {:?}", world.sent);
    world.wait(Duration::from_millis(100));
    world.read();
    assert_eq!(world.sent, [format!("{}\n  File \"a.py\", ", TRACEBACK[..2].join("\n"))]);
}

#[test]
fn at_the_end_whole_lines_go_and_the_beginning_of_one_is_read_again() {
    let mut world = world();
    write(&world, &TRACEBACK);
    world.scan();
    world.turn();
    let cut = world.tailer().flush_all(false).unwrap();
    assert_eq!(super::world::text(&cut.records[0]), TRACEBACK.join("\n"));
    world.tailer().settle(cut.batch, true);
    world.append("error.log", "[2026-01-01] ha");
    world.scan();
    world.turn();
    assert!(world.tailer().flush_all(false).is_none());
    world.checkpoint();
    world.kill();
    world.append("error.log", "lf\n");
    world.start();
    world.read();
    world.wait(Duration::from_millis(500));
    world.read();
    assert_eq!(world.sent, ["[2026-01-01] half"]);
}

#[test]
fn a_record_that_waits_goes_out_where_its_file_is_truncated_or_deleted() {
    for is_deleted in [false, true] {
        let mut world = world();
        write(&world, &TRACEBACK);
        world.scan();
        world.turn();
        assert!(world.sent.is_empty());
        if is_deleted {
            std::fs::remove_file(world.path("error.log")).unwrap();
        } else {
            world.truncate("error.log");
        }
        write(&world, &["[2026-01-02] next"]);
        world.read();
        world.wait(Duration::from_secs(1));
        world.read();
        world.sent.sort_unstable();
        assert_eq!(world.sent, [&*TRACEBACK.join("\n"), "[2026-01-02] next"], "deleted: {is_deleted}");
    }
}

#[test]
fn a_line_longer_than_any_record_may_be_is_one_of_its_own_in_parts() {
    let mut world = world();
    let long = "y".repeat((1 << 20) + 10);
    write(&world, &["[2026-01-01] before", &long, "[2026-01-02] behind"]);
    world.read();
    world.wait(Duration::from_millis(500));
    world.read();
    let lengths: Vec<usize> = world.sent.iter().map(String::len).collect();
    assert_eq!(lengths, [19, 1 << 20, 10, 19]);
}

#[test]
fn a_file_of_which_nothing_is_sent_yet_is_known_after_a_crash() {
    let mut world = world();
    world.append("error.log", "");
    world.read();
    write(&world, &TRACEBACK);
    world.read();
    assert!(world.sent.is_empty(), "it waits for more lines");
    world.kill();
    world.rename("error.log", "error.log.1");
    world.start();
    world.read();
    world.wait(Duration::from_millis(500));
    world.read();
    assert_eq!(world.sent, [TRACEBACK.join("\n")]);
}
