//! Random sequences of what happens to log files and to their reader, with every line numbered.
//!
//! Guarantee: without a crash each line is sent once; with crashes none is lost, and at most what was in flight is repeated.
//! Not covered, since no reader can: lines that copytruncate destroyed before anybody could have read them. So the
//! model's copytruncate copies and truncates without a line in between.

use std::time::Duration;

use hornpipe_engine::config::Report;
use hornpipe_engine::logs::{Boundary, Joining};

use super::world::World;

const ROTATIONS: usize = 6;

/// Sequences that failed once. In the first five lines came twice where the file system gives a deleted file's inode to the next
/// file, as ext4 does: an empty file was not told to be a copy, for what it was taken to succeed was by then another file with
/// the same inode. In the last a line that was held was lost with a crash: nothing of its file was in the checkpoint.
const FAILED_ONCE: [u64; 6] = [2583, 2692, 3201, 3739, 4562, 3246];

struct Model {
    seed: u64,
    random: fastrand::Rng,
    world: World,
    log: Vec<String>,
    crashes: bool,
    /// Lines that were on their way when the process was killed; they may come again.
    repeatable: Vec<String>,
}

impl Model {
    fn new(seed: u64, crashes: bool) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut world = World::new(if random.bool() { "app.log*" } else { "app.log" });
        world.options.max_open = if random.u8(0..3) == 0 { 2 } else { 100 };
        // Every line begins a record then, and waits for what may belong to it.
        if seed.is_multiple_of(6) {
            let boundary = Boundary::from_options(r"\d{6} ", "", false, "", &mut Report::new());
            world.joining = boundary.map(Joining::at);
        }
        world.start();
        Model { seed, random, world, log: Vec::new(), crashes, repeatable: Vec::new() }
    }

    fn is_matched(&self) -> bool {
        self.world.pattern == "app.log*"
    }

    fn step(&mut self) {
        let choice = self.random.u32(0..100);
        let lines = self.random.usize(1..40);
        match choice {
            0..40 => {
                self.log.push(format!("log {lines}"));
                self.world.log("app.log", lines);
            }
            40..60 => {
                self.log.push("look".to_owned());
                self.world.scan();
                for _ in 0..self.random.usize(0..3) {
                    self.world.turn();
                }
            }
            60..68 => self.settle_some(),
            68..76 => self.rename_chain(),
            76..84 => self.copytruncate(),
            84..88 => {
                self.log.push("read all".to_owned());
                self.world.read();
            }
            88..92 => {
                self.log.push("reopen".to_owned());
                self.world.reopen("app.log");
            }
            92..95 => {
                let seconds = self.random.u64(0..400);
                self.log.push(format!("wait {seconds} s"));
                self.world.wait(Duration::from_secs(seconds));
            }
            _ if self.crashes => self.crash(),
            _ => {
                self.log.push("checkpoint".to_owned());
                self.world.checkpoint();
            }
        }
    }

    fn settle_some(&mut self) {
        self.log.push("settle some".to_owned());
        self.random.shuffle(&mut self.world.in_flight);
        for _ in 0..self.random.usize(0..3) {
            if let Some((batch, texts)) = self.world.in_flight.pop() {
                self.world.delivered.extend(texts);
                self.world.tailer().settle(batch, true);
            }
        }
    }

    /// Outside the pattern only what is open can be followed, and only its latest generation: the reader looks first.
    fn look_before_rotation(&mut self) {
        if !self.is_matched() {
            self.world.read();
        }
    }

    fn rename_chain(&mut self) {
        if !self.world.exists("app.log") {
            return;
        }
        self.look_before_rotation();
        let reopens = self.random.bool();
        self.log.push(format!("rename chain, reopens: {reopens}"));
        self.shift();
        self.world.rename("app.log", "app.log.1");
        if reopens || !self.is_matched() {
            self.world.reopen("app.log");
        }
    }

    fn copytruncate(&mut self) {
        if !self.world.exists("app.log") {
            return;
        }
        self.look_before_rotation();
        // Of a file of which nothing was read yet no copy can be known again.
        let is_empty = std::fs::metadata(self.world.path("app.log")).unwrap().len() == 0;
        let late = if is_empty && !self.is_matched() { 0 } else { self.random.usize(0..3) };
        self.log.push(format!("copytruncate, {late} lines unread"));
        // A server that did not reopen after a rename writes into the renamed file: that one stays whole.
        self.world.log("app.log", late);
        self.shift();
        self.world.copy("app.log", "app.log.1");
        if self.random.bool() && self.is_matched() {
            self.world.scan();
            self.world.turn();
        }
        self.world.truncate("app.log");
    }

    fn shift(&mut self) {
        // The oldest goes when it is read, or its lines would be lost by the administrator.
        if self.world.exists(&format!("app.log.{ROTATIONS}")) {
            self.world.read();
            if self.world.joining.is_some() {
                // What waits for its rest is not sent, and a crash would have it read again.
                self.world.wait(Duration::from_secs(1));
                self.world.read();
            }
            std::fs::remove_file(self.world.path(&format!("app.log.{ROTATIONS}"))).unwrap();
        }
        for number in (1..ROTATIONS).rev() {
            if self.world.exists(&format!("app.log.{number}")) {
                self.world.rename(&format!("app.log.{number}"), &format!("app.log.{}", number + 1));
            }
        }
    }

    fn crash(&mut self) {
        self.log.push("crash".to_owned());
        self.repeatable.extend(self.world.delivered.iter().cloned());
        self.world.kill();
        self.world.start();
    }

    fn finish(mut self) {
        self.world.read();
        self.world.wait(Duration::from_secs(20));
        self.world.read();
        self.world.read();
        let mut times = vec![0; self.world.lines() as usize];
        for line in &self.world.delivered {
            times[super::world::number(line) as usize] += 1;
        }
        let lost: Vec<usize> = (0..times.len()).filter(|number| times[*number] == 0).collect();
        let repeated: Vec<usize> = (0..times.len()).filter(|number| times[*number] > 1).collect();
        let about = format!("seed {} ({}): {:#?}", self.seed, self.world.pattern, self.log);
        assert!(lost.is_empty(), "lost {lost:?}; {about}");
        assert!(self.crashes || repeated.is_empty(), "repeated {repeated:?}; {about}");
    }
}

fn run(crashes: bool) {
    for seed in seeds() {
        let mut model = Model::new(seed, crashes);
        for _ in 0..60 {
            model.step();
            let notes = model.world.notes();
            model.log.extend(notes.iter().map(|note| format!("  {note:?}")));
        }
        model.finish();
    }
}

/// `HORNPIPE_MODEL_RUNS` says how many sequences; `HORNPIPE_MODEL_SEED` has one of them alone.
fn seeds() -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse().ok());
    match number("HORNPIPE_MODEL_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("HORNPIPE_MODEL_RUNS").unwrap_or(150)).chain(FAILED_ONCE).collect(),
    }
}

#[test]
fn whatever_happens_to_the_files_each_line_is_sent_once() {
    run(false);
}

#[test]
fn whatever_happens_to_the_files_and_the_reader_no_line_is_lost() {
    run(true);
}
