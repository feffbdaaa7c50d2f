//! Lines that are read together share one allocation.

use hornpipe_model::Body;

use super::world::World;

/// What the first record keeps in memory when all others are gone.
fn kept_by_the_first(mut world: World) -> usize {
    world.start();
    world.append("a.log", "one\ntwo\nthree");
    world.scan();
    let mut cut = world.tailer().turn().unwrap();
    cut.records.truncate(1);
    let Body::Text(text) = &cut.records[0].body else { panic!("no text") };
    assert_eq!(text.as_str(), "one");
    text.bytes()
}

#[test]
fn whole_lines_share_what_was_read_of_them() {
    assert_eq!(kept_by_the_first(World::new("*.log")), "one\ntwo".len());
}
