//! Lines on their way to standard error, which nothing that moves data may ever wait for.
//!
//! A pipe that nobody empties (a log driver that hangs, a pager that waits for a key) takes 64 KiB, and then whoever writes to it
//! waits. If that were the thread that reads a socket, its clients would wait next, and Gunicorn would kill its workers.

use hornpipe_engine::lock;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// So many lines wait; what comes then is dropped, and how many were is said in their place.
const MOST_WAITING: usize = 1_000;

/// Hands lines to a thread that writes them. Clones share it.
#[derive(Clone)]
pub struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Vec<u8>>,
    dropped: u64,
    is_writing: bool,
}

impl Lines {
    /// Starts the thread. It ends with the process.
    ///
    /// # Errors
    /// The system allows no other thread.
    pub fn start(mut to: impl Write + Send + 'static) -> io::Result<Self> {
        let lines = Lines(Arc::default());
        let shared = Arc::clone(&lines.0);
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            loop {
                // Nobody can be told that standard error is gone.
                let _ = to.write_all(&shared.next());
            }
        })?;
        Ok(lines)
    }

    /// Hands over what the process has to say of itself; that is never dropped.
    pub fn say(&self, text: &str) {
        self.0.lock().waiting.push_back(format!("{}\n", text.trim_end()).into_bytes());
        self.0.changed.notify_all();
    }

    /// Hands over a line of the log, with the line break at its end.
    fn log(&self, line: &[u8]) {
        let mut state = self.0.lock();
        if state.waiting.len() < MOST_WAITING {
            state.waiting.push_back(line.to_vec());
            self.0.changed.notify_all();
        } else {
            state.dropped += 1;
        }
    }

    /// Waits until all lines are written, but not longer than this.
    pub fn finish(&self, patience: Duration) {
        let is_busy = |state: &mut State| state.is_writing || !state.waiting.is_empty() || state.dropped > 0;
        let _ = self.0.changed.wait_timeout_while(self.0.lock(), patience, is_busy);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Waits for the next line, and on the way says that the last one is written.
    fn next(&self) -> Vec<u8> {
        let mut state = self.lock();
        state.is_writing = false;
        self.changed.notify_all();
        let is_idle = |state: &mut State| state.waiting.is_empty() && state.dropped == 0;
        let mut state = self.changed.wait_while(state, is_idle).unwrap_or_else(PoisonError::into_inner);
        state.is_writing = true;
        state.waiting.pop_front().unwrap_or_else(|| {
            let dropped = std::mem::take(&mut state.dropped);
            format!("here {dropped} log lines are missing: standard error was not read in time\n").into_bytes()
        })
    }
}

/// For the library that formats lines: it writes each one as a whole.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.log(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, pipe};

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn nobody_waits_for_a_pipe_that_is_full_and_what_is_missing_is_said_in_its_place() {
        let (mut reader, writer) = pipe().unwrap();
        let lines = Lines::start(writer).unwrap();
        // More than the pipe and the queue take.
        let line = [vec![b'x'; 999], b"\n".to_vec()].concat();
        let count = 2_000;
        (0..count).for_each(|_| lines.log(&line));
        lines.finish(Duration::from_millis(1));

        let reading = thread::spawn(move || {
            let mut text = String::new();
            while !text.ends_with("the last one\n") {
                let mut part = [0; 4096];
                let length = reader.read(&mut part).unwrap();
                text += std::str::from_utf8(&part[..length]).unwrap();
            }
            text
        });
        lines.finish(LONG);
        lines.say("the last one");
        let text = reading.join().unwrap();
        let written = text.lines().filter(|line| line.starts_with('x')).count();
        let said = format!("here {} log lines are missing", count - written);
        assert!((MOST_WAITING..count).contains(&written), "{written} of {count}");
        assert!(text.lines().nth(written).unwrap().starts_with(&said), "{:?}", text.lines().nth(written));
    }

    #[test]
    fn at_the_end_all_lines_are_written() {
        let (mut reader, writer) = pipe().unwrap();
        let lines = Lines::start(writer).unwrap();
        (0..100).for_each(|number| lines.say(&number.to_string()));
        lines.finish(LONG);
        let mut text = vec![0; 290];
        reader.read_exact(&mut text).unwrap();
        assert_eq!(text, (0..100).map(|number| format!("{number}\n")).collect::<String>().into_bytes());
    }
}
