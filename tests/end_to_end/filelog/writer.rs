//! A program that writes numbered lines into a log file, as a server does, and what becomes of that file meanwhile.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Writes lines from a thread of its own, at a rate.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    path: PathBuf,
    file: Mutex<File>,
    written: AtomicU64,
    is_stopped: AtomicBool,
}

impl Writer {
    /// Starts writing to a file, at `rate` lines a second.
    pub fn start(path: &Path, rate: u64) -> Self {
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            file: Mutex::new(open(path)),
            written: AtomicU64::new(0),
            is_stopped: AtomicBool::new(false),
        });
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.write(rate)
        });
        Writer { shared, thread: Some(thread) }
    }

    /// How many lines it has written.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::SeqCst)
    }

    /// Renames the file; the server opens another after `late`, and writes into the renamed one until then.
    pub fn rename(&self, late: Duration) {
        self.shift();
        fs::rename(&self.shared.path, self.rotated(1)).unwrap();
        std::thread::sleep(late);
        *self.shared.file.lock().unwrap() = open(&self.shared.path);
    }

    /// Copies the file and truncates it. The writer pauses in between: what is written then is lost to everybody.
    pub fn copytruncate(&self) {
        self.shift();
        let file = self.shared.file.lock().unwrap();
        fs::copy(&self.shared.path, self.rotated(1)).unwrap();
        OpenOptions::new().write(true).open(&self.shared.path).unwrap().set_len(0).unwrap();
        drop(file);
    }

    /// Stops; the number of lines written.
    pub fn stop(mut self) -> u64 {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
        self.written()
    }

    fn shift(&self) {
        // None is ever overwritten: what an administrator deletes unread is lost to everybody.
        let rotated = (1..).take_while(|number| self.rotated(*number).exists()).count() as u32;
        for number in (1..=rotated).rev() {
            fs::rename(self.rotated(number), self.rotated(number + 1)).unwrap();
        }
    }

    fn rotated(&self, number: u32) -> PathBuf {
        PathBuf::from(format!("{}.{number}", self.shared.path.display()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn write(&self, rate: u64) {
        let start = Instant::now();
        while !self.is_stopped.load(Ordering::SeqCst) {
            let due = (start.elapsed().as_secs_f64() * rate as f64) as u64;
            for number in self.written.load(Ordering::SeqCst)..due {
                let line = line(number);
                self.file.lock().unwrap().write_all(line.as_bytes()).unwrap();
                self.written.store(number + 1, Ordering::SeqCst);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn open(path: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(path).unwrap()
}

/// A line like those of an access log, with its number. Lines differ in length.
pub fn line(number: u64) -> String {
    let padding = "x".repeat((number * 7 % 60) as usize);
    format!("127.0.0.1 - - [26/Nov/2026:03:00:00 +0000] \"GET /{padding}?number={number} HTTP/1.1\" 200 17\n")
}

/// The numbers of lines, each of which has to be whole.
pub fn numbers<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<u64> {
    let number = |text: &str| {
        let number = text.split_once("number=").and_then(|(_, rest)| rest.split_once(' ')?.0.parse().ok());
        let number: u64 = number.unwrap_or_else(|| panic!("{text:?} is none of our lines"));
        assert_eq!(text, line(number).trim_end(), "the line is not whole");
        number
    };
    lines.map(number).collect()
}
