//! The receiver over Unix sockets and TCP, and with several readers of one address.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{ListenerConfig, Transport};

/// A receiver at one transport. Its endpoint is another in each scenario.
struct Place {
    transport: Transport,
    built: Mutex<Option<(String, Arc<ComponentTelemetry>)>>,
}

impl Place {
    fn at(transport: Transport) -> Self {
        Place { transport, built: Mutex::default() }
    }

    fn endpoint(&self) -> String {
        if self.transport == Transport::Tcp {
            return TcpListener::bind(ANY_PORT).unwrap().local_addr().unwrap().to_string();
        }
        // Tests that run at once must not meet.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let (number, process) = (COUNT.fetch_add(1, Ordering::Relaxed), std::process::id());
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

/// Lines of the tests under load: enough for many windows of a real service.
const LINES: u64 = 1_000_000;
const LINES_OF_A_PACKET: u64 = 100;
const SERIES: u64 = 10;

/// One line in ten belongs to each series, so that every packet has all of them.
fn packet(first: u64) -> String {
    let line = |number: u64| format!("hits:{}|c|#n:{}\n", number % 997, number % SERIES);
    (first..first + LINES_OF_A_PACKET).map(line).collect()
}

/// What all lines together give.
fn sums() -> BTreeMap<Key, Value> {
    let mut sums = BTreeMap::new();
    for number in 0..LINES {
        let key: Key = ("hits".to_owned(), "count", vec![format!("n:{}", number % SERIES)], None);
        match sums.entry(key).or_insert(Value::Count { sum: 0.0, samples: 0 }) {
            Value::Count { sum, samples } => (*sum, *samples) = (*sum + (number % 997) as f64, *samples + 1),
            other => panic!("{other:?}"),
        }
    }
    sums
}

/// Waits for all lines and checks that each was added up once.
async fn assert_all_arrive(run: Run, places: &str) {
    run.received(LINES).await;
    assert_eq!(run.telemetry.facts()["listens on"], places);
    assert_eq!(run.telemetry.signal(Signal::Metrics).dropped_total(), 0);
    assert_eq!(by_key(&run.finish().await[0].points), sums());
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_million_lines_arrive_exactly_through_two_readers_of_one_address() {
    let time = FakeClock::new();
    let free = UdpSocket::bind(ANY_PORT).unwrap().local_addr().unwrap();
    let config = StatsdConfig { readers: 2, ..config(&free.to_string()) };
    let run = Run::start_with(&time, &config, build_context(ComponentKind::Receiver, "statsd", &time)).await;
    // Each has a port of its own, by which the system chooses the reader.
    let clients: Vec<UdpSocket> = (0..20).map(|_| UdpSocket::bind(ANY_PORT).unwrap()).collect();
    for number in 0..LINES / LINES_OF_A_PACKET {
        let client = &clients[number as usize % clients.len()];
        client.send_to(packet(number * LINES_OF_A_PACKET).as_bytes(), free).unwrap();
        if number % 40 == 39 {
            // No more at a time than any socket's buffer holds.
            run.received((number + 1) * LINES_OF_A_PACKET).await;
        }
    }
    assert_all_arrive(run, &free.to_string()).await;
}

/// Sends every other packet, as fast as the socket takes them.
fn send_half(transport: Transport, endpoint: &str, half: u64) {
    let numbers = (0..LINES / LINES_OF_A_PACKET).filter(|number| number % 2 == half);
    let packets = numbers.map(|number| packet(number * LINES_OF_A_PACKET));
    match transport {
        Transport::Unixgram => {
            let client = UnixDatagram::unbound().unwrap();
            packets.for_each(|packet| assert_eq!(client.send_to(packet.as_bytes(), endpoint).unwrap(), packet.len()));
        }
        Transport::Unix => {
            let mut client = UnixStream::connect(endpoint).unwrap();
            for packet in packets {
                client.write_all(&(packet.len() as u32).to_le_bytes()).unwrap();
                client.write_all(packet.as_bytes()).unwrap();
            }
        }
        _ => {
            let mut client = TcpStream::connect(endpoint).unwrap();
            packets.for_each(|packet| client.write_all(packet.as_bytes()).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_lines_arrive_exactly_through_two_readers_over_every_reliable_transport() {
    for (transport, word) in [(Transport::Unixgram, "unixgram"), (Transport::Unix, "unix"), (Transport::Tcp, "tcp")] {
        let place = Place::at(transport);
        let endpoints = [place.endpoint(), place.endpoint()];
        let second = ListenerConfig { transport, endpoint: endpoints[1].clone(), ..ListenerConfig::default() };
        let config = StatsdConfig { transport, listeners: vec![second], ..config(&endpoints[0]) };
        let time = FakeClock::new();
        let run = Run::start_with(&time, &config, build_context(ComponentKind::Receiver, "statsd", &time)).await;
        let places = endpoints.each_ref().map(|endpoint| format!("{word} {endpoint}")).join(", ");
        tokio::task::block_in_place(|| {
            std::thread::scope(|scope| {
                (0..).zip(&endpoints).for_each(|(half, endpoint)| {
                    scope.spawn(move || send_half(transport, endpoint, half));
                });
            });
        });
        assert_all_arrive(run, &places).await;
    }
}

#[cfg(all(target_os = "linux", not(hornpipe_portable)))]
#[tokio::test]
async fn what_comes_before_anybody_reads_has_its_process_too() {
    let place = Place::at(Transport::Unixgram);
    let path = place.endpoint();
    let listeners =
        vec![ListenerConfig { transport: place.transport, endpoint: path.clone(), ..ListenerConfig::default() }];
    let context = build_context(ComponentKind::Receiver, "statsd", &FakeClock::new());
    let config = StatsdConfig { listeners, origin_detection: true, ..config(ANY_PORT) };
    let _receiver = config.build(context.clone()).unwrap();
    let socket = context.sockets.unixgram(path.as_ref(), 0o600).unwrap();
    assert!(socket2::SockRef::from(&socket).passcred().unwrap());
}
