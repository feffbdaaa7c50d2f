//! The process is killed at random moments while lines come, files are rotated and backends fail.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use hornpipe_engine::testing::Behaviour;

use super::writer::Writer;
use super::{Backends, start};
use crate::support::Directory;

/// Lines a second.
const RATE: u64 = 2_000;
/// A line comes again when it was not settled at a kill, or settled after the last checkpoint: in flight (an attempt of 300 ms, a
/// pause of 150 ms and another attempt) or within the last half second. Twice as long is allowed, since the machine is shared.
const REPEATED: f64 = 2.0 * (0.3 + 0.15 + 0.3 + 0.5);

/// How many kills: `HORNPIPE_KILLS`. The seed of a run that failed: `HORNPIPE_SEED`.
fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// What a backend does with its next requests.
fn misbehaviour(random: &mut fastrand::Rng) -> Vec<Behaviour> {
    let one = |random: &mut fastrand::Rng| match random.u8(0..6) {
        0 => Behaviour::status(503),
        1 => Behaviour::Hang,
        2 => Behaviour::ResetAfterHeaders,
        _ => Behaviour::Ok,
    };
    (0..random.usize(0..8)).map(|_| one(random)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_is_lost_when_the_process_is_killed_at_random_moments() {
    let kills = from_environment("HORNPIPE_KILLS", 20);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let seed = from_environment("HORNPIPE_SEED", now);
    let mut random = fastrand::Rng::with_seed(seed);
    let (backends, directory) = (Backends::start().await, Directory::new());
    let include = directory.path().join("access.log*");
    let configuration = backends.configuration(&format!("include: [{}], start_at: beginning", include.display()));
    let writer = Writer::start(&directory.path().join("access.log"), RATE);
    for _ in 0..kills {
        backends.datadog.behave_once(misbehaviour(&mut random));
        backends.otlp.behave_once(misbehaviour(&mut random));
        let hornpipe = start(&directory, &configuration);
        std::thread::sleep(Duration::from_millis(random.u64(0..250)));
        match random.u8(0..4) {
            0 => writer.rename(Duration::from_millis(random.u64(0..20))),
            1 => writer.copytruncate(),
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(random.u64(0..50)));
        // Dropping it kills it.
        drop(hornpipe);
    }
    let lines = writer.stop();
    backends.datadog.behave(Behaviour::Ok);
    backends.otlp.behave(Behaviour::Ok);
    let hornpipe = start(&directory, &configuration);
    let deadline = std::time::Instant::now() + Duration::from_secs(20 + kills / 2);
    while !backends.numbers().iter().all(|(_, numbers)| has_all(numbers, lines)) && std::time::Instant::now() < deadline
    {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    hornpipe.stop();
    for (name, numbers) in backends.numbers() {
        let mut times: BTreeMap<u64, u64> = (0..lines).map(|number| (number, 0)).collect();
        numbers.iter().for_each(|number| *times.entry(*number).or_default() += 1);
        let lost: Vec<u64> = times.iter().filter(|(_, times)| **times == 0).map(|(number, _)| *number).collect();
        let repeats = numbers.len() as u64 - times.values().filter(|times| **times > 0).count() as u64;
        let about = format!("{name}, {lines} lines, {kills} kills, HORNPIPE_SEED={seed}");
        assert!(lost.is_empty(), "{about}: {} lost: {:?}…", lost.len(), &lost[..lost.len().min(20)]);
        let allowed = (kills as f64 * RATE as f64 * REPEATED) as u64;
        assert!(repeats <= allowed, "{about}: {repeats} repeated, {allowed} allowed");
        eprintln!("{about}: none lost, {repeats} repeated ({} a kill)", repeats / kills.max(1));
    }
}

fn has_all(numbers: &[u64], lines: u64) -> bool {
    let mut seen = vec![false; lines as usize];
    numbers.iter().for_each(|number| seen[*number as usize] = true);
    seen.iter().all(|seen| *seen)
}
