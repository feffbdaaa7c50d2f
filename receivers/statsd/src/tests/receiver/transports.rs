//! The receiver over Unix sockets and TCP, and with several readers of one address.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::Transport;

/// A receiver at one transport. Its endpoint is another in each scenario.
struct Place {
    transport: Transport,
    scenarios: AtomicUsize,
    built: Mutex<Option<(String, Arc<ComponentTelemetry>)>>,
}

impl Place {
    fn at(transport: Transport) -> Self {
        Place { transport, scenarios: AtomicUsize::new(0), built: Mutex::default() }
    }

    fn endpoint(&self) -> String {
        if self.transport == Transport::Tcp {
            return TcpListener::bind(ANY_PORT).unwrap().local_addr().unwrap().to_string();
        }
        let (number, process) = (self.scenarios.fetch_add(1, Ordering::Relaxed), std::process::id());
        let name = format!("hornpipe-contract-{process}/{:?}-{number}", self.transport);
        std::env::temp_dir().join(name).display().to_string()
    }

    /// Sends each line as a message.
    fn send(&self, endpoint: &str, lines: &[String]) {
        match self.transport {
            Transport::Unixgram => {
                let client = UnixDatagram::unbound().unwrap();
                lines.iter().for_each(|line| assert!(client.send_to(line.as_bytes(), endpoint).is_ok()));
            }
            Transport::Unix => {
                let mut client = UnixStream::connect(endpoint).unwrap();
                for line in lines {
                    client.write_all(&(line.len() as u32).to_le_bytes()).unwrap();
                    client.write_all(line.as_bytes()).unwrap();
                }
            }
            _ => TcpStream::connect(endpoint).unwrap().write_all(lines.join("\n").as_bytes()).unwrap(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The directory of all; the last one finds it empty.
        let _ = std::fs::remove_dir(std::env::temp_dir().join(format!("hornpipe-contract-{}", std::process::id())));
    }
}

#[async_trait]
impl ReceiverBench for Place {
    fn build(&self, context: BuildContext) -> Box<dyn Receiver> {
        let config = StatsdConfig { transport: self.transport, ..config(&self.endpoint()) };
        *self.built.lock().unwrap() = Some((config.endpoint.clone(), Arc::clone(&context.telemetry)));
        config.build(context).unwrap()
    }

    async fn feed(&self, numbers: Range<u64>) {
        let (endpoint, telemetry) = self.built.lock().unwrap().clone().unwrap();
        let end = numbers.end;
        let lines: Vec<String> = numbers.map(|number| format!("{}:1|c", item_name(number))).collect();
        tokio::task::block_in_place(|| self.send(&endpoint, &lines));
        eventually("lines are read", || telemetry.signal(Signal::Metrics).received.get() == end).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_a_receivers_promises_over_every_transport() {
    for transport in [Transport::Unixgram, Transport::Unix, Transport::Tcp] {
        check_receiver_contract(&Place::at(transport)).await;
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn hundreds_of_thousands_of_lines_arrive_exactly_through_two_readers_of_one_address() {
    let time = FakeClock::new();
    let free = UdpSocket::bind(ANY_PORT).unwrap().local_addr().unwrap();
    let config = StatsdConfig { readers: 2, ..config(&free.to_string()) };
    let run = Run::start_with(&time, &config, build_context(ComponentKind::Receiver, "statsd", &time)).await;
    // Each has a port of its own, by which the system chooses the reader.
    let clients: Vec<UdpSocket> = (0..20).map(|_| UdpSocket::bind(ANY_PORT).unwrap()).collect();
    let mut sum = 0;
    for round in 0..150 {
        for (number, client) in clients.iter().enumerate() {
            let values: Vec<usize> = (0..100).map(|line| round + number * line).collect();
            sum += values.iter().sum::<usize>();
            let lines: String = values.iter().map(|value| format!("hits:{value}|c\n")).collect();
            client.send_to(lines.as_bytes(), free).unwrap();
        }
        // No more at a time than any socket's buffer holds.
        run.received((round as u64 + 1) * 2_000).await;
    }
    assert_eq!(run.telemetry.facts()["listens on"], free.to_string());
    let batches = run.finish().await;
    let expected = Value::Count { sum: sum as f64, samples: 300_000 };
    assert_eq!(by_key(&batches[0].points)[&count("hits")], expected);
}
