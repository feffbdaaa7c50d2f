//! What a line costs the receiver's reader thread: parsing and adding up, without the rest of the process.
//!
//! The receiver runs in this process on a clock that stands still, so that windows end when they are told to. Lines come in
//! 8 KiB datagrams over loopback; what a thread needs that only receives the same datagrams is measured, too, and taken
//! off. Figures are the thread's own processor time, medians of several runs.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on has nothing better to do")]

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::io::{self, Write};
    use std::net::{SocketAddr, UdpSocket};
    use std::os::fd::AsFd;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;
    use std::time::Duration;

    use fastrand::Rng;
    use hornpipe_bench::corpus::{Corpus, Series};
    use hornpipe_bench::sys::{self, Ring};
    use hornpipe_engine::Shutdown;
    use hornpipe_engine::component::{Outputs, ReceiverConfig};
    use hornpipe_engine::telemetry::{ComponentKind, ComponentTelemetry};
    use hornpipe_engine::testing::{CollectingSink, FakeClock, build_context};
    use hornpipe_model::Signal;
    use hornpipe_statsd_receiver::StatsdConfig;

    const SERIES: usize = 1_000;
    const LINES: usize = 200_000;
    const RUNS: usize = 7;
    const DATAGRAM: usize = 8_192;
    /// Datagrams that may be under way, so that none is dropped.
    const UNDER_WAY: usize = 32;
    const READER: &str = "statsd-reader";
    const FLOOR: &str = "bare-sink";
    const ANY_PORT: &str = "127.0.0.1:0";
    const WINDOW: Duration = Duration::from_secs(10);

    pub fn run() -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut out = io::stdout().lock();
        writeln!(out, "| lines | reader ns/line | bare sink | above it |\n|---|---|---|---|")?;
        let mut random = Rng::with_seed(1);
        for (name, lines) in cases(&mut random) {
            let datagrams = pack(&lines);
            let floor = median((0..RUNS).map(|_| bare(&datagrams)));
            let reader = median(runtime.block_on(known_series(&datagrams, lines.len())).into_iter());
            let line = |nanoseconds: f64| nanoseconds / lines.len() as f64;
            let (reader, floor) = (line(reader), line(floor));
            writeln!(out, "| {name} | {reader:.0} | {floor:.0} | {:.0} |", reader - floor)?;
        }
        for series in [10_000, 100_000] {
            let (first, swap) = runtime.block_on(first_lines_and_swap(series));
            writeln!(out, "\n{series} gunicorn series: the first line of each {first:.0} ns, the swap {swap:.0} µs")?;
        }
        Ok(())
    }

    fn cases(random: &mut Rng) -> Vec<(&'static str, Vec<String>)> {
        let mut corpus = |corpus: Corpus| -> Vec<String> { first_lines(corpus, SERIES, random).collect() };
        let (gunicorn, heavy) = (corpus(Corpus::Gunicorn), corpus(Corpus::Heavy));
        let each = |line: fn(usize) -> String| -> Vec<String> { (0..SERIES).map(line).collect() };
        let cases = [
            ("gunicorn corpus", gunicorn),
            ("heavy corpus", heavy),
            ("counter, no tags", each(|n| format!("app.requests_{n}:1|c"))),
            ("counter, 4 tags", each(|n| format!("app.requests:1|c|#env:prod,region:eu-1,worker:{n},version:1.4"))),
            ("counter, 20 values", each(|n| format!("app.requests_{n}{}|c", ":1".repeat(20)))),
            ("gauge, no tags", each(|n| format!("app.workers_{n}:17|g"))),
            ("timer, no tags", each(|n| format!("app.duration_{n}:12.25|ms"))),
            ("set, no tags", each(|n| format!("app.users_{n}:{}|s", n % 7))),
            ("refused (unknown type)", each(|n| format!("app.requests_{n}:1|q"))),
        ];
        cases.into_iter().map(|(name, lines)| (name, lines.into_iter().cycle().take(LINES).collect())).collect()
    }

    fn first_lines(corpus: Corpus, series: usize, random: &mut Rng) -> impl Iterator<Item = String> {
        let series: Vec<Series> = (0..series).map(|index| corpus.series(index, true)).collect();
        series.into_iter().map(|series| {
            let mut line = String::new();
            series.write_line(series.value(random), &mut line);
            line
        })
    }

    fn pack(lines: &[String]) -> Vec<Vec<u8>> {
        let mut datagrams: Vec<Vec<u8>> = Vec::new();
        for line in lines {
            match datagrams.last_mut() {
                Some(last) if last.len() + 1 + line.len() <= DATAGRAM => {
                    last.push(b'\n');
                    last.extend_from_slice(line.as_bytes());
                }
                _ => datagrams.push(line.clone().into_bytes()),
            }
        }
        datagrams
    }

    /// What the reader needs for series that it knows; a run a window.
    async fn known_series(datagrams: &[Vec<u8>], lines: usize) -> Vec<f64> {
        let mut receiver = Receiver::start(SERIES * 2).await;
        let mut runs = Vec::new();
        for run in 0..=RUNS {
            let used = receiver.feed(datagrams, lines as u64);
            if run > 0 {
                runs.push(used);
            }
            receiver.end_window().await;
        }
        receiver.end().await;
        runs
    }

    /// Nanoseconds for the first line of a series, and microseconds to hand the window over.
    async fn first_lines_and_swap(series: usize) -> (f64, f64) {
        let lines: Vec<String> = first_lines(Corpus::Gunicorn, series, &mut Rng::with_seed(1)).collect();
        let datagrams = pack(&lines);
        let mut receiver = Receiver::start(series).await;
        let first = receiver.feed(&datagrams, series as u64) / series as f64;
        let mut swaps = Vec::new();
        for _ in 0..RUNS {
            receiver.end_window().await;
            receiver.feed(&datagrams, series as u64);
            let before = thread_time(READER);
            receiver.end_window().await;
            swaps.push((thread_time(READER) - before) / 1_000.0);
        }
        receiver.end().await;
        (first, median(swaps.into_iter()))
    }

    /// A running receiver.
    struct Receiver {
        clock: FakeClock,
        _sink: CollectingSink,
        telemetry: Arc<ComponentTelemetry>,
        address: SocketAddr,
        client: UdpSocket,
        _stop: hornpipe_engine::ShutdownTrigger,
        task: tokio::task::JoinHandle<Result<(), String>>,
        fed: u64,
    }

    impl Receiver {
        async fn start(max_contexts: usize) -> Self {
            let clock = FakeClock::new();
            let context = build_context(ComponentKind::Receiver, "statsd", &clock);
            let telemetry = Arc::clone(&context.telemetry);
            let sink = CollectingSink::new(&clock);
            let outputs = Outputs { metrics: Some(sink.output(Signal::Metrics, &telemetry)), logs: None };
            // The context gives the same socket for this endpoint again, so its address can be asked for beforehand.
            let address = context.sockets.udp(ANY_PORT.parse().unwrap()).unwrap().local_addr().unwrap();
            let config = StatsdConfig { endpoint: ANY_PORT.to_owned(), max_contexts, ..StatsdConfig::default() };
            let (stop, shutdown) = Shutdown::new();
            let task = tokio::spawn(config.build(context).unwrap().run(outputs, shutdown));
            // The thread gives itself its name.
            while find_thread(READER).is_none() {
                clock.settle().await;
            }
            let client = UdpSocket::bind(ANY_PORT).unwrap();
            client.connect(address).unwrap();
            Receiver { clock, _sink: sink, telemetry, address, client, _stop: stop, task, fed: 0 }
        }

        /// Sends datagrams; the reader's time for them in nanoseconds.
        fn feed(&mut self, datagrams: &[Vec<u8>], lines: u64) -> f64 {
            let packets = self.telemetry.counter("hornpipe_statsd_packets", "{packet}", "Datagrams read");
            let before = thread_time(READER);
            let start = packets.get();
            send(&self.client, datagrams, || packets.get() - start);
            self.fed += lines;
            assert_eq!(self.telemetry.signal(Signal::Metrics).received.get(), self.fed, "{}", self.address);
            thread_time(READER) - before
        }

        /// Ends the window and waits until the reader has handed it over.
        async fn end_window(&self) {
            let held = || self.telemetry.signal(Signal::Metrics).held.get();
            self.clock.advance(WINDOW).await;
            while held() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }

        /// Ends it, and waits for the thread, so that the next one of its name can be told from it.
        async fn end(self) {
            self.task.abort();
            let _ = self.task.await;
            while find_thread(READER).is_some() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    /// What a thread needs that only receives the datagrams, in nanoseconds.
    fn bare(datagrams: &[Vec<u8>]) -> f64 {
        let socket = UdpSocket::bind(ANY_PORT).unwrap();
        sys::set_receive_buffer(socket.as_fd(), 4 << 20).unwrap();
        let client = UdpSocket::bind(ANY_PORT).unwrap();
        client.connect(socket.local_addr().unwrap()).unwrap();
        let received = Arc::new(AtomicU64::new(0));
        let (counter, expected) = (Arc::clone(&received), datagrams.len() as u64);
        let (done, may_end) = std::sync::mpsc::channel::<()>();
        let sink = move || {
            let mut ring = Ring::default();
            while counter.load(Ordering::Relaxed) < expected {
                let (count, _) = ring.receive(socket.as_fd()).unwrap();
                counter.fetch_add(count as u64, Ordering::Release);
            }
            let _ = may_end.recv();
        };
        let sink = thread::Builder::new().name(FLOOR.to_owned()).spawn(sink).unwrap();
        send(&client, datagrams, || received.load(Ordering::Acquire));
        let used = thread_time(FLOOR);
        drop(done);
        sink.join().unwrap();
        used
    }

    /// Sends datagrams, never more ahead of `received` than the receive buffer holds, and waits until all have come.
    fn send(client: &UdpSocket, datagrams: &[Vec<u8>], received: impl Fn() -> u64) {
        let mut sent = 0;
        for batch in datagrams.chunks(UNDER_WAY) {
            let slices: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
            let mut rest = &slices[..];
            while !rest.is_empty() {
                rest = &rest[sys::send_many(client.as_fd(), rest).unwrap()..];
            }
            sent += batch.len() as u64;
            while received() + (UNDER_WAY as u64) < sent {
                thread::yield_now();
            }
        }
        while received() < sent {
            thread::yield_now();
        }
        // The thread goes to sleep, and its time is accounted for.
        thread::sleep(Duration::from_millis(2));
    }

    /// The processor time of this process's thread of that name, in nanoseconds.
    fn thread_time(name: &str) -> f64 {
        // While another thread ends, the kernel's list of threads may leave some out.
        let thread = (0..1_000).find_map(|_| find_thread(name)).unwrap();
        let statistics = fs::read_to_string(thread.join("schedstat")).unwrap();
        statistics.split(' ').next().unwrap().parse().unwrap()
    }

    fn find_thread(name: &str) -> Option<PathBuf> {
        let mut threads = fs::read_dir("/proc/self/task").unwrap().flatten().map(|thread| thread.path());
        threads.find(|thread| fs::read_to_string(thread.join("comm")).is_ok_and(|found| found.trim_end() == name))
    }

    fn median(values: impl Iterator<Item = f64>) -> f64 {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }
}

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    // `cargo test --all-targets` starts it too, without this.
    if std::env::args().any(|argument| argument == "--bench") { linux::run() } else { Ok(()) }
}

#[cfg(not(target_os = "linux"))]
fn main() {}
