//! Writes lines into files.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::lines::AccessLines;

/// How often what is due is written.
const TICK: Duration = Duration::from_millis(1);

/// Writes a file of so many lines.
///
/// # Errors
/// The system's.
pub fn write(path: &Path, lines: AccessLines, count: u64) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut line = Vec::new();
    for number in 0..count {
        line.clear();
        lines.write(number, &mut line);
        line.push(b'\n');
        file.write_all(&line)?;
    }
    file.flush()
}

/// Appends to a file, a line at a time.
#[derive(Debug)]
pub struct Appender {
    file: File,
    lines: AccessLines,
    next: u64,
}

impl Appender {
    /// Makes the file.
    ///
    /// # Errors
    /// The system's.
    pub fn create(path: &Path, lines: AccessLines) -> io::Result<Self> {
        let file = OpenOptions::new().create_new(true).append(true).open(path)?;
        Ok(Appender { file, lines, next: 0 })
    }

    /// How many lines it has written.
    pub fn lines(&self) -> u64 {
        self.next
    }

    /// Appends so many lines a second for a time, as a server does: one write for each.
    ///
    /// # Errors
    /// The system's.
    pub fn append(&mut self, rate: u64, span: Duration) -> io::Result<()> {
        let (started, first) = (Instant::now(), self.next);
        let mut line = Vec::new();
        loop {
            let elapsed = started.elapsed().min(span);
            let due = first + (elapsed.as_secs_f64() * rate as f64) as u64;
            while self.next < due {
                line.clear();
                self.lines.write(self.next, &mut line);
                line.push(b'\n');
                self.file.write_all(&line)?;
                self.next += 1;
            }
            if elapsed == span {
                return Ok(());
            }
            thread::sleep(TICK);
        }
    }
}
