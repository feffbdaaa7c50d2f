//! A program under measurement: started, watched from outside, ended.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::send::Target;
use crate::sys;

/// How long a program may take to listen, to come to rest, or to end.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(100);
/// A program that uses less than this of a [`POLL`] has nothing left to do.
const AT_REST: Duration = Duration::from_millis(3);

/// A running program. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    target: Option<Target>,
    log: PathBuf,
}

/// Memory that is in use of a process, in MiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Now.
    pub resident: f64,
    /// The most it ever was.
    pub peak: f64,
}

impl Process {
    /// Starts a program with its output in `log`, and waits until it listens at `target`, where there is one.
    ///
    /// # Errors
    /// It cannot be started, ends, or does not listen in time; the text has a line of its log.
    pub fn start(command: &mut Command, target: Option<&Target>, log: &Path) -> io::Result<Self> {
        let output = File::create(log)?;
        let errors = output.try_clone()?;
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn()?;
        let mut process = Process { child, target: target.cloned(), log: log.to_owned() };
        let start = Instant::now();
        while !process.listens() {
            if let Some(status) = process.child.try_wait()? {
                return Err(io::Error::other(format!("{status}: {}", process.last_words())));
            }
            if start.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("does not listen: {}", process.last_words())));
            }
            thread::sleep(POLL);
        }
        Ok(process)
    }

    /// Its processor time so far, user and system, of all threads.
    ///
    /// # Errors
    /// It has ended.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        sys::cpu_time(self.child.id())
    }

    /// The same of its threads of that name.
    ///
    /// # Errors
    /// It has ended.
    pub fn cpu_time_of(&self, thread: &str) -> io::Result<Duration> {
        let mut total = Duration::ZERO;
        for entry in fs::read_dir(format!("/proc/{}/task", self.child.id()))?.flatten() {
            // Threads may end meanwhile.
            let read = |file| fs::read_to_string(entry.path().join(file)).unwrap_or_default();
            if read("comm").trim_end() == thread {
                total += Duration::from_nanos(
                    read("schedstat").split(' ').next().map_or(0, |time| time.parse().unwrap_or(0)),
                );
            }
        }
        Ok(total)
    }

    /// Its memory.
    ///
    /// # Errors
    /// It has ended.
    pub fn memory(&self) -> io::Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        Ok(Memory { resident: mebibytes(&status, "VmRSS:"), peak: mebibytes(&status, "VmHWM:") })
    }

    /// How many datagrams the kernel has dropped for want of room. On a Unix socket the sender waits instead.
    pub fn kernel_drops(&self) -> u64 {
        self.udp_row().map_or(0, |row| row.drops)
    }

    /// Waits until it has read all that was sent to it and has nothing left to do.
    ///
    /// # Errors
    /// It has ended.
    pub fn wait_for_rest(&self) -> io::Result<()> {
        let start = Instant::now();
        let mut before = self.cpu_time()?;
        while start.elapsed() < PATIENCE {
            thread::sleep(POLL);
            let now = self.cpu_time()?;
            if now - before < AT_REST && self.udp_row().is_none_or(|row| row.waiting == 0) {
                return Ok(());
            }
            before = now;
        }
        Ok(())
    }

    /// Asks it to end and waits; kills it if it takes too long. All that it wrote.
    ///
    /// # Errors
    /// The system's.
    pub fn stop(mut self) -> io::Result<String> {
        sys::terminate(self.child.id())?;
        let start = Instant::now();
        while self.child.try_wait()?.is_none() && start.elapsed() < PATIENCE {
            thread::sleep(POLL);
        }
        fs::read_to_string(&self.log)
    }

    fn listens(&self) -> bool {
        match &self.target {
            None => true,
            Some(Target::Udp(_)) => self.udp_row().is_some(),
            Some(Target::Unix(path)) => path.exists(),
        }
    }

    fn udp_row(&self) -> Option<UdpRow> {
        let Some(Target::Udp(address)) = &self.target else { return None };
        ["/proc/net/udp", "/proc/net/udp6"]
            .iter()
            .find_map(|table| UdpRow::find(&fs::read_to_string(table).ok()?, address.port()))
    }

    /// Why it did not start: its first line about an error, or else its last line.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let mut lines = log.lines().filter(|line| !line.trim().is_empty());
        let error = lines.clone().find(|line| line.to_lowercase().contains("error"));
        error.or_else(|| lines.next_back()).unwrap_or("(it said nothing)").chars().take(200).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already where it was stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(Target::Unix(path)) = &self.target {
            let _ = fs::remove_file(path);
        }
    }
}

fn mebibytes(status: &str, key: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kibibytes.unwrap_or(0.0) / 1024.0
}

/// What the kernel tells of a UDP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct UdpRow {
    /// Bytes that nobody has read yet.
    waiting: u64,
    drops: u64,
}

impl UdpRow {
    /// Finds the row of a port in a table: `sl local_address rem_address st tx_queue:rx_queue … drops`, numbers but the
    /// last in hexadecimal.
    fn find(table: &str, port: u16) -> Option<Self> {
        let wanted = format!("{port:04X}");
        table.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let is_wanted = fields.get(1)?.rsplit(':').next()? == wanted;
            let waiting = fields.get(4)?.rsplit(':').next()?;
            let row = UdpRow { waiting: u64::from_str_radix(waiting, 16).ok()?, drops: fields.last()?.parse().ok()? };
            is_wanted.then_some(row)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_found_in_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            11: 0100007F:1FBD 00000000:0000 07 00000000:00000A00 00:00000000 00000000     0        0 4711 2 0000000000000000 42\n";
        assert_eq!(UdpRow::find(table, 8125), Some(UdpRow { waiting: 2_560, drops: 42 }));
        assert_eq!(UdpRow::find(table, 8126), None);
    }

    #[test]
    fn memory_is_read_in_mebibytes() {
        assert_eq!(mebibytes("VmHWM:\t    4096 kB\nVmRSS:\t    2048 kB\n", "VmRSS:"), 2.0);
    }
}
