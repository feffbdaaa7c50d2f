//! The binary under test.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU16, Ordering};

use hornpipe_engine::reason;
use hornpipe_engine::status::StatusReport;
use hornpipe_engine::telemetry::FinalCounters;
use hornpipe_engine::testing::{assert_conserved, final_counters};

use super::directory::Directory;
use super::process::Process;

/// A run of the binary.
pub struct Hornpipe {
    process: Process,
    statsd: SocketAddr,
}

impl Hornpipe {
    /// Starts it with a configuration file whose StatsD receiver listens at `statsd`, and waits until it runs.
    pub fn start(config: &Path, statsd: SocketAddr) -> Self {
        Self::start_with_state(config, statsd, &config.with_file_name("state"))
    }

    /// The same with a state directory of choice; else it is beside the configuration.
    pub fn start_with_state(config: &Path, statsd: SocketAddr, state: &Path) -> Self {
        let mut command = hornpipe();
        command.args(["run", "--config"]).arg(config).env("HORNPIPE_STATE_DIR", state);
        Self::start_command(&mut command, statsd)
    }

    /// Starts a command line of choice, and waits until it runs.
    pub fn start_command(command: &mut Command, statsd: SocketAddr) -> Self {
        let mut process = Process::start(command);
        process.wait_for_line("hornpipe runs");
        Hornpipe { process, statsd }
    }

    /// Starts it as systemd does, with a socket that it inherits.
    pub fn start_with_socket(config: &Path, statsd: SocketAddr, socket: OwnedFd) -> Self {
        // A shell moves the socket to where systemd puts it, and then becomes the program.
        let script = "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" run --config \"$1\"";
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_hornpipe")]).arg(config);
        command.env_clear().env("DD_HOSTNAME", "test-host").env("HORNPIPE_STATE_DIR", config.with_file_name("state"));
        let mut process = Process::start_with_input(&mut command, socket.into());
        process.wait_for_line("hornpipe runs");
        Hornpipe { process, statsd }
    }

    /// Sends datagrams to its StatsD receiver.
    pub fn send<'a>(&self, datagrams: impl IntoIterator<Item = &'a str>) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for datagram in datagrams {
            socket.send_to(datagram.as_bytes(), self.statsd).unwrap();
        }
    }

    /// Has it read its configuration again, and waits until it has said `words` about that. A second reload needs other
    /// words than the first.
    pub fn reload(&mut self, words: &str) {
        self.process.signal("HUP");
        self.process.wait_for_line(words);
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Waits until it has written a line that has `words` in it; the line.
    pub fn wait_for_line(&mut self, words: &str) -> String {
        self.process.wait_for_line(words)
    }

    /// What it has written to standard error so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Stops it as [`stop`](Self::stop) does; nothing may have been dropped. (What delta leaves out of zero fills is counted
    /// as dropped, too.)
    pub fn stop_without_drops(self) -> FinalCounters {
        let counters = self.stop();
        for component in &counters.components {
            let mut reasons = component.dropped.keys();
            assert!(reasons.all(|why| why == reason::ZERO_FILL), "{} dropped {:?}", component.id, component.dropped);
        }
        counters
    }

    /// Stops it as an orchestrator does, and checks that it ends well and has accounted for everything; its counters.
    pub fn stop(self) -> FinalCounters {
        final_counters(&self.stop_with_log())
    }

    /// The same; all that it has written to standard error.
    pub fn stop_with_log(self) -> String {
        let (status, log) = self.process.terminate();
        assert!(ExitStatus::success(&status), "{status}:\n{log}");
        assert_conserved(&final_counters(&log));
        log
    }
}

/// The binary, in an environment of its own: no variable of the machine's changes what it does, and no other test's state.
pub fn hornpipe() -> Command {
    static COUNT: AtomicU16 = AtomicU16::new(0);
    let mut command = Command::new(env!("CARGO_BIN_EXE_hornpipe"));
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("state-{}-{number}", std::process::id()));
    command.env_clear().env("RUST_BACKTRACE", "1").env("HORNPIPE_STATE_DIR", state);
    // Where the tests run in a container there would be no host name.
    command.env("DD_HOSTNAME", "test-host");
    command
}

/// What `hornpipe status` says of the process that keeps its state in a directory.
pub fn status(state: &Path) -> StatusReport {
    let output = hornpipe().args(["status", "--json"]).env("HORNPIPE_STATE_DIR", state).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error} in {output:?}"))
}

/// The shipped pipeline, as `cargo run --release` runs it in the checkout, on ports of the test's and with its output in
/// a file.
pub fn shipped_pipeline(directory: &Directory, statsd: SocketAddr, arguments: &str) -> Command {
    let mut command = hornpipe();
    let output = directory.path().join("output.txt");
    let line = format!("exec {} {arguments} > {}", command.get_program().display(), output.display());
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).current_dir(env!("CARGO_MANIFEST_DIR")).env_clear();
    shell.envs(
        command.env("HORNPIPE_STATE_DIR", directory.path().join("state")).get_envs().filter_map(|(k, v)| Some((k, v?))),
    );
    shell.env("HORNPIPE_STATSD_ENDPOINT", statsd.to_string());
    shell.env("HORNPIPE_HEALTH_ENDPOINT", free_address().to_string());
    shell
}

/// A loopback address at which nobody listens, over UDP or TCP, for a program that is started later. It lies below the
/// ports that the system gives to sockets that ask for none (from 32,768), so that no other socket of the tests takes it
/// meanwhile; each call gives another.
pub fn free_address() -> SocketAddr {
    static COUNT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run at once begin at different places.
    let start = u16::try_from(std::process::id() % 20_000).unwrap();
    loop {
        let step = COUNT.fetch_add(1, Ordering::Relaxed);
        let address = SocketAddr::from(([127, 0, 0, 1], 10_000 + start.wrapping_add(step) % 20_000));
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A configuration: StatsD at `statsd` through `percentiles` to some exporters, given by id and settings.
/// `receiver_options` are further lines of the receiver's settings.
pub fn metrics_pipeline(statsd: SocketAddr, receiver_options: &str, exporters: &[(&str, String)]) -> String {
    let ids: Vec<&str> = exporters.iter().map(|(id, _)| *id).collect();
    let settings: String = exporters.iter().map(|(id, settings)| format!("  {id}: {settings}\n")).collect();
    format!(
        "receivers:\n  statsd:\n    endpoint: {statsd}\n{receiver_options}\
         processors:\n  percentiles:\n\
         exporters:\n{settings}\
         service:\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines:\n    \
         metrics: {{receivers: [statsd], processors: [percentiles], exporters: [{}]}}\n",
        ids.join(", ")
    )
}
