//! Unix sockets and TCP, beside UDP in one receiver.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use hornpipe_engine::testing::{FakeDatadog, PATIENCE, eventually};

use crate::support::{Directory, Hornpipe, free_address, hornpipe, metrics_pipeline, mounts};

/// Lines that each client sends, and how many of them stand in one message.
const LINES: u64 = 60_000;
const LINES_A_MESSAGE: u64 = 100;

/// A directory with a short name, since a socket's path may have 107 bytes.
struct SocketDirectory(PathBuf);

impl SocketDirectory {
    fn new(name: &str) -> Self {
        SocketDirectory(std::env::temp_dir().join(format!("hornpipe-{name}-{}", std::process::id())))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for SocketDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn datadog(backend: &FakeDatadog) -> (&'static str, String) {
    let (key, url) = (FakeDatadog::API_KEY, backend.url());
    ("datadog", format!("{{api: {{key: {key}}}, metrics: {{endpoint: \"{url}\"}}}}"))
}

fn listener(transport: &str, endpoint: impl std::fmt::Display) -> String {
    format!("      - {{transport: {transport}, endpoint: \"{endpoint}\"}}\n")
}

fn free_tcp_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Sends lines whose values add up to that of [`sum`], message by message.
fn send_lines(client: u64, mut send: impl FnMut(&[u8])) {
    for first in (0..LINES).step_by(LINES_A_MESSAGE as usize) {
        let line = |number: u64| format!("orders:{}|c|#client:{client}\n", number % 1_000 + client);
        let message: String = (first..first + LINES_A_MESSAGE).map(line).collect();
        send(message.as_bytes());
    }
}

fn sum(client: u64) -> f64 {
    (0..LINES).map(|number| number % 1_000 + client).sum::<u64>() as f64
}

fn send_datagrams(path: &Path, client: u64) {
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect(path).unwrap();
    send_lines(client, |message| assert_eq!(socket.send(message).unwrap(), message.len()));
}

fn send_frames(path: &Path, client: u64) {
    let mut stream = UnixStream::connect(path).unwrap();
    send_lines(client, |message| {
        stream.write_all(&(message.len() as u32).to_le_bytes()).unwrap();
        stream.write_all(message).unwrap();
    });
}

fn send_stream(address: SocketAddr, client: u64) {
    let mut stream = TcpStream::connect(address).unwrap();
    // Cut anywhere.
    send_lines(client, |message| message.chunks(777).for_each(|part| stream.write_all(part).unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_thousands_of_lines_arrive_exactly_over_every_reliable_transport() {
    let (backend, directory) = (FakeDatadog::start().await, Directory::new());
    let sockets = SocketDirectory::new("load");
    let (datagrams, frames, tcp) = (sockets.path("datagrams"), sockets.path("frames"), free_tcp_port());
    let listeners = [
        "    listeners:\n".to_owned(),
        listener("unixgram", datagrams.display()),
        listener("unix", frames.display()),
        listener("tcp", tcp),
    ];
    let statsd = free_address();
    let config = metrics_pipeline(statsd, &listeners.concat(), &[datadog(&backend)]);
    let hornpipe = Hornpipe::start(&directory.write("pipeline.yaml", &config), statsd);
    // Two clients at each: on all of them together several threads read at once.
    std::thread::scope(|scope| {
        for client in [0, 3] {
            scope.spawn(|| send_datagrams(&datagrams, 0));
            scope.spawn(move || send_stream(tcp, client));
        }
        scope.spawn(|| send_frames(&frames, 1));
        hornpipe.send(["orders:1|c|#client:udp"]);
    });
    let counters = hornpipe.stop_without_drops();
    assert_eq!(counters.components[0].received, 5 * LINES + 1);
    assert_eq!(backend.sum_as_count("orders", &["client:0"]), 3.0 * sum(0));
    assert_eq!(backend.sum_as_count("orders", &["client:1"]), sum(1));
    assert_eq!(backend.sum_as_count("orders", &["client:3"]), sum(3));
    assert_eq!(backend.sum_as_count("orders", &["client:udp"]), 1.0);
    assert!(!datagrams.exists() && !frames.exists(), "its sockets are gone with it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_at_a_unix_socket_stays_connected_through_a_reload() {
    let (backend, directory) = (FakeDatadog::start().await, Directory::new());
    let sockets = SocketDirectory::new("reload");
    let path = sockets.path("dsd.socket");
    let statsd = free_address();
    let with = |options: &str| {
        let listeners = format!("    listeners:\n{}{options}", listener("unixgram", path.display()));
        directory.write("pipeline.yaml", &metrics_pipeline(statsd, &listeners, &[datadog(&backend)]))
    };
    let mut hornpipe = Hornpipe::start(&with(""), statsd);
    let client = UnixDatagram::unbound().unwrap();
    client.connect(&path).unwrap();
    client.send(b"orders:1|c").unwrap();
    let before = std::fs::metadata(&path).unwrap().ino();
    with("    max_contexts: 1000\n");
    hornpipe.reload("the new configuration runs");
    client.send(b"orders:2|c").unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), before);
    hornpipe.stop();
    assert_eq!(backend.sum_as_count("orders", &[]), 3.0);
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_in_a_container_is_known_by_the_kernels_word() {
    let (backend, directory) = (FakeDatadog::start().await, Directory::new());
    let mountable = directory.path().join("mountable");
    std::fs::create_dir(&mountable).unwrap();
    let Some(flags) = mounts::namespace(&mountable) else {
        eprintln!(
            "not tested: this user may mount nothing; where containers are read from is tested with the receiver"
        );
        return;
    };
    let sockets = SocketDirectory::new("origin");
    let path = sockets.path("dsd.socket");
    let statsd = free_address();
    let options = format!("    origin_detection: true\n    listeners:\n{}", listener("unixgram", path.display()));
    let config = directory.write("pipeline.yaml", &metrics_pipeline(statsd, &options, &[datadog(&backend)]));
    // hornpipe sees this process, which sends, in a container.
    let container = "3dc2".repeat(16);
    let groups = directory.write("cgroup", &format!("0::/system.slice/docker-{container}.scope\n"));
    let seen = format!("/proc/{}/cgroup", std::process::id());
    let mut command = mounts::hornpipe_with(flags, &["--bind".as_ref(), groups.as_ref(), seen.as_ref()], &config);
    command.env("HORNPIPE_STATE_DIR", directory.path().join("state"));
    let hornpipe = Hornpipe::start_command(&mut command, statsd);
    let client = UnixDatagram::unbound().unwrap();
    client.connect(&path).unwrap();
    client.send(b"orders:1|c\norders:2|c|#kind:new").unwrap();
    hornpipe.send(["orders:4|c"]);
    hornpipe.stop_without_drops();
    let container = format!("container_id:{container}");
    assert_eq!(backend.sum_as_count("orders", &[&container]), 3.0, "both series of the Unix socket");
    assert_eq!(backend.sum_as_count("orders", &[&container, "kind:new"]), 2.0);
    assert_eq!(backend.sum_as_count("orders", &[]), 7.0, "nobody's word stands behind UDP");
}

#[test]
fn a_unix_socket_that_somebody_has_is_refused_with_his_name() {
    let (directory, other) = (Directory::new(), Directory::new());
    let sockets = SocketDirectory::new("taken");
    let path = sockets.path("dsd.socket");
    let debug = [("debug", "{}".to_owned())];
    let config = |statsd: SocketAddr| {
        metrics_pipeline(statsd, &format!("    listeners:\n{}", listener("unixgram", path.display())), &debug)
    };
    let statsd = free_address();
    let mut holder = Hornpipe::start(&directory.write("pipeline.yaml", &config(statsd)), statsd);
    holder.wait_for_line(&format!("connect Gunicorn with --statsd-host unix://{}", path.display()));
    let file = other.write("pipeline.yaml", &config(free_address()));
    let mut command: Command = hornpipe();
    command.args(["run", "--config"]).arg(file).env("HORNPIPE_STATE_DIR", other.path().join("state"));
    let output = command.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{words}");
    assert!(words.contains(&format!("unix socket {} is taken by ", path.display())), "{words}");
    assert!(words.contains("(receivers.statsd.listeners[0].endpoint)"), "{words}");
    if cfg!(target_os = "linux") {
        assert!(words.contains(&format!("taken by pid {} hornpipe;", holder.pid())), "{words}");
    }
    holder.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_etsy_dialect_has_lines_on_a_unix_stream() {
    let (backend, directory) = (FakeDatadog::start().await, Directory::new());
    let sockets = SocketDirectory::new("etsy");
    let path = sockets.path("statsd.socket");
    let listeners = format!("    dialect: etsy\n    listeners:\n{}", listener("unix", path.display()));
    let statsd = free_address();
    let config = metrics_pipeline(statsd, &listeners, &[datadog(&backend)]);
    let hornpipe = Hornpipe::start(&directory.write("pipeline.yaml", &config), statsd);
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"orders:1|c\norders:2|c|@0.5\norders:4|c").unwrap();
    drop(client);
    hornpipe.stop_without_drops();
    assert_eq!(backend.sum_as_count("orders", &[]), 9.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inherited_socket_keeps_its_clients_over_a_restart() {
    let (backend, directory) = (FakeDatadog::start().await, Directory::new());
    let sockets = SocketDirectory::new("inherited");
    std::fs::create_dir_all(&sockets.0).unwrap();
    let path = sockets.path("dsd.socket");
    let socket = UnixDatagram::bind(&path).unwrap();
    let client = UnixDatagram::unbound().unwrap();
    client.connect(&path).unwrap();
    let statsd = free_address();
    let listeners = format!("    listeners:\n{}", listener("unixgram", path.display()));
    let config = directory.write("pipeline.yaml", &metrics_pipeline(statsd, &listeners, &[datadog(&backend)]));
    client.send(b"orders:1|c").unwrap();
    for value in ["orders:2|c", "orders:4|c"] {
        let given = socket.try_clone().unwrap().into();
        let mut hornpipe = Hornpipe::start_with_socket(&config, statsd, given);
        hornpipe.wait_for_line(&format!("inherited a socket: unixgram {}", path.display()));
        client.send(value.as_bytes()).unwrap();
        // An address that was not inherited is bound as ever.
        hornpipe.send(["orders:8|c"]);
        hornpipe.stop();
        assert!(path.exists(), "it is not hornpipe's to remove");
    }
    assert_eq!(backend.sum_as_count("orders", &[]), 23.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standard_error_that_nobody_reads_holds_up_neither_clients_nor_the_end() {
    let (backend, directory) = (FakeDatadog::start().await, Directory::new());
    let sockets = SocketDirectory::new("stderr");
    let path = sockets.path("dsd.socket");
    let listeners = format!("    listeners:\n{}", listener("unixgram", path.display()));
    let config = directory.write("pipeline.yaml", &metrics_pipeline(free_address(), &listeners, &[datadog(&backend)]));
    let (_unread, mut full) = std::io::pipe().unwrap();
    full.write_all(&[b'x'; 65_536]).unwrap();
    let mut command = hornpipe();
    command.args(["run", "--config"]).arg(config).env("HORNPIPE_STATE_DIR", directory.path().join("state"));
    let mut child = command.stderr(full).spawn().unwrap();

    let client = UnixDatagram::unbound().unwrap();
    eventually("the socket is there", || client.connect(&path).is_ok()).await;
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    // Each line that is no metric is worth a word in the log.
    for _ in 0..1_000 {
        client.send(b"orders:1|c\nno metric").unwrap();
    }
    let asked = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(asked.success());
    let mut ended = None;
    eventually("the end", || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    })
    .await;
    assert!(ended.unwrap().success());
    assert_eq!(backend.sum_as_count("orders", &[]), 1_000.0);
}
