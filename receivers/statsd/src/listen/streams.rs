//! The connections of a stream socket, all read by one thread. One that is idle takes a descriptor and no time: the system
//! names those that have something.

use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind, Read};
use std::net;
use std::os::unix;
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{SockRef, TcpKeepalive};

use super::framing::Framer;
#[cfg(all(target_os = "linux", not(hornpipe_portable)))]
use super::linux::peer_process;
#[cfg(not(all(target_os = "linux", not(hornpipe_portable))))]
use super::portable::peer_process;
use super::{Framing, Limits, Piece, Sender};

const WAKER: Token = Token(0);
const ACCEPTOR: Token = Token(1);
const FIRST_CONNECTION: usize = 2;

/// Connections that the system names at once.
const EVENTS: usize = 256;

/// How much memory unfinished lines and frames of all connections may take. They are rare, and short, but for clients that send
/// the beginning of long ones and no more.
const MOST_UNFINISHED: usize = 8 << 20;

/// How long somebody waits who could not be accepted, where no connection has anything meanwhile.
const PAUSE_BEFORE_ACCEPTING_AGAIN: Duration = Duration::from_millis(100);

/// A TCP client that has been silent for this long is asked whether it is there, and again at this interval, so that those that
/// have vanished do not count among the connections for ever. As in Go's servers, which other StatsD servers are.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));

/// A listening socket.
#[derive(Debug)]
pub(crate) enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    pub(crate) fn tcp(socket: net::TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Acceptor::Tcp(TcpListener::from_std(socket)))
    }

    pub(crate) fn unix(socket: unix::net::UnixListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Acceptor::Unix(UnixListener::from_std(socket)))
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Acceptor::Tcp(socket) => socket,
            Acceptor::Unix(socket) => socket,
        }
    }

    fn accept(&self) -> io::Result<(Stream, Sender)> {
        match self {
            Acceptor::Tcp(socket) => socket.accept().map(|(stream, address)| {
                // A client that has gone meanwhile; its connection is read all the same.
                let _ = SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE);
                (Stream::Tcp(stream), Sender { address: Some(address), pid: None })
            }),
            Acceptor::Unix(socket) => socket.accept().map(|(stream, _)| {
                let pid = peer_process(&stream);
                (Stream::Unix(stream), Sender { address: None, pid })
            }),
        }
    }
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn source(&mut self) -> &mut dyn Source {
        match self {
            Stream::Tcp(stream) => stream,
            Stream::Unix(stream) => stream,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

#[derive(Debug)]
struct Connection {
    stream: Stream,
    peer: Sender,
    framer: Framer,
    /// It stands in the queue of those to be read.
    is_queued: bool,
}

/// What reading a connection once has shown.
enum Turn {
    /// There may be more.
    More,
    /// There is nothing for now.
    Idle,
    /// The client has closed it.
    Closed,
    /// It broke, or makes no sense.
    Broken,
}

/// A stream socket and its connections.
#[derive(Debug)]
pub(crate) struct Streams {
    poll: Poll,
    events: Events,
    acceptor: Acceptor,
    /// Somebody may be waiting to be accepted.
    may_accept: bool,
    /// Why somebody could not be, at the last attempt.
    failure: Option<io::Error>,
    connections: HashMap<Token, Connection>,
    /// Connections that may have something. The system names one once; it stays here until it has been read empty.
    queue: VecDeque<Token>,
    next: usize,
    refused: u64,
    /// The memory that unfinished messages take, of all connections.
    unfinished: usize,
    framing: Framing,
    limits: Limits,
    buffer: Vec<u8>,
}

impl Streams {
    pub(crate) fn new(mut acceptor: Acceptor, framing: Framing, limits: Limits) -> io::Result<(Self, Waker)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        poll.registry().register(acceptor.source(), ACCEPTOR, Interest::READABLE)?;
        let streams = Streams {
            poll,
            events: Events::with_capacity(EVENTS),
            acceptor,
            // Some may have come while another receiver had the socket.
            may_accept: true,
            failure: None,
            connections: HashMap::new(),
            queue: VecDeque::new(),
            next: FIRST_CONNECTION,
            refused: 0,
            unfinished: 0,
            framing,
            limits,
            buffer: vec![0; limits.largest],
        };
        Ok((streams, waker))
    }

    /// Connections that are open, and those refused since the start.
    pub(crate) fn connections(&self) -> (u64, u64) {
        (self.connections.len() as u64, self.refused)
    }

    /// Why nobody can be accepted for now, if it is so. Those who wait are tried again, beside the reading.
    pub(crate) fn failure(&self) -> Option<&io::Error> {
        self.failure.as_ref()
    }

    /// Accepts whoever waits and reads once from each connection that has something. Returns how many of all these were
    /// there; before it waits, everything is read.
    pub(crate) fn receive(&mut self, wait: bool, take: &mut impl FnMut(Piece<'_>)) -> io::Result<usize> {
        let timeout = match (wait && self.queue.is_empty(), self.may_accept) {
            (false, _) => Some(Duration::ZERO),
            (true, true) if self.failure.is_some() => Some(PAUSE_BEFORE_ACCEPTING_AGAIN),
            (true, true) => Some(Duration::ZERO),
            (true, false) => None,
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(0),
            other => other?,
        }
        for event in &self.events {
            match event.token() {
                WAKER => {}
                ACCEPTOR => self.may_accept = true,
                token => enqueue(&mut self.connections, &mut self.queue, token),
            }
        }
        let mut count = 0;
        for _ in 0..self.queue.len() {
            let Some(token) = self.queue.pop_front() else { break };
            count += self.turn(token, take);
        }
        Ok(count + self.accept())
    }

    /// Ends all connections; `take` sees what they have not completed.
    pub(crate) fn close(&mut self, take: &mut impl FnMut(Piece<'_>)) {
        for (_, connection) in self.connections.drain() {
            connection.finish(false, take);
        }
        self.unfinished = 0;
    }

    /// Reads once from a connection. Returns how often something was there: bytes or the end.
    fn turn(&mut self, token: Token, take: &mut impl FnMut(Piece<'_>)) -> usize {
        let Some(connection) = self.connections.get_mut(&token) else { return 0 };
        connection.is_queued = false;
        self.unfinished -= connection.framer.bytes();
        let turn = connection.read(&mut self.buffer, take);
        self.unfinished += connection.framer.bytes();
        match turn {
            Turn::Idle => return 0,
            Turn::More => enqueue(&mut self.connections, &mut self.queue, token),
            Turn::Closed | Turn::Broken => self.end(token, matches!(turn, Turn::Closed), take),
        }
        if self.unfinished > MOST_UNFINISHED {
            self.end_largest(take);
        }
        1
    }

    /// Ends the connection whose unfinished message takes the most memory.
    #[cold]
    fn end_largest(&mut self, take: &mut impl FnMut(Piece<'_>)) {
        let largest = self.connections.iter().max_by_key(|(_, connection)| connection.framer.bytes());
        if let Some((&token, _)) = largest {
            self.end(token, false, take);
        }
    }

    fn end(&mut self, token: Token, complete: bool, take: &mut impl FnMut(Piece<'_>)) {
        if let Some(mut connection) = self.connections.remove(&token) {
            self.unfinished -= connection.framer.bytes();
            // It is closed right after.
            let _ = self.poll.registry().deregister(connection.stream.source());
            connection.finish(complete, take);
        }
    }

    /// Accepts who waits, as long as the system lets it, but no more of them than it reads from at once: those who are in are read
    /// also while others keep coming. Beyond the limit they are closed at once, so that their clients know.
    fn accept(&mut self) -> usize {
        let mut count = 0;
        self.failure = None;
        while self.may_accept && self.failure.is_none() && count < EVENTS {
            match self.acceptor.accept() {
                Ok((stream, peer)) => {
                    count += 1;
                    self.failure = self.add(stream, peer).err();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.may_accept = false,
                // A client that has gone meanwhile, a signal.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(error) => self.failure = Some(error),
            }
        }
        count
    }

    fn add(&mut self, mut stream: Stream, peer: Sender) -> io::Result<()> {
        if self.connections.len() >= self.limits.connections {
            self.refused += 1;
            return Ok(());
        }
        let token = Token(self.next);
        self.next += 1;
        self.poll.registry().register(stream.source(), token, Interest::READABLE)?;
        let framer = Framer::new(self.framing, self.limits.largest);
        self.connections.insert(token, Connection { stream, peer, framer, is_queued: false });
        // What came before it was registered is not named.
        enqueue(&mut self.connections, &mut self.queue, token);
        Ok(())
    }
}

fn enqueue(connections: &mut HashMap<Token, Connection>, queue: &mut VecDeque<Token>, token: Token) {
    if let Some(connection) = connections.get_mut(&token)
        && !connection.is_queued
    {
        connection.is_queued = true;
        queue.push_back(token);
    }
}

impl Connection {
    fn read(&mut self, buffer: &mut [u8], take: &mut impl FnMut(Piece<'_>)) -> Turn {
        let length = match self.stream.read(buffer) {
            Ok(0) => return Turn::Closed,
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Turn::Idle,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Turn::More,
            Err(_) => return Turn::Broken,
        };
        let makes_sense = self.framer.feed(buffer.get(..length).unwrap_or_default(), &mut named(self.peer, take));
        if makes_sense { Turn::More } else { Turn::Broken }
    }

    /// It is over, by the client's wish (`complete`) or not.
    fn finish(self, complete: bool, take: &mut impl FnMut(Piece<'_>)) {
        self.framer.finish(complete, &mut named(self.peer, take));
    }
}

/// What a framer gives, with who sent it.
fn named(peer: Sender, take: &mut impl FnMut(Piece<'_>)) -> impl FnMut(Piece<'_>) {
    move |piece| match piece {
        Piece::Packet { payload, is_cut, .. } => take(Piece::Packet { payload, is_cut, sender: peer }),
        bad => take(bad),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::SocketAddr;

    use super::*;

    /// Reads until nothing is left; the good lines.
    fn drain(streams: &mut Streams) -> Vec<String> {
        let mut lines = Vec::new();
        let mut take = |piece: Piece<'_>| {
            if let Piece::Packet { payload, .. } = piece {
                lines.extend(String::from_utf8_lossy(payload).lines().map(str::to_owned));
            }
        };
        while streams.receive(false, &mut take).unwrap() > 0 {}
        lines
    }

    fn open(connections: usize) -> (Streams, Waker, SocketAddr) {
        let socket = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let limits = Limits { largest: 600, connections };
        let (streams, waker) = Streams::new(Acceptor::tcp(socket).unwrap(), Framing::Newline, limits).unwrap();
        (streams, waker, address)
    }

    #[test]
    fn many_connections_are_read_and_none_waits_for_another() {
        let (mut streams, _waker, address) = open(100);
        let mut clients: Vec<net::TcpStream> = (0..50).map(|_| net::TcpStream::connect(address).unwrap()).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            let text: String = (0..100).map(|line| format!("client{number}.line{line}:1|c\n")).collect();
            client.write_all(text.as_bytes()).unwrap();
        }
        assert_eq!(drain(&mut streams).len(), 5_000);
        assert_eq!(streams.connections(), (50, 0));
        clients[7].write_all(b"half:1").unwrap();
        assert_eq!(drain(&mut streams), [""; 0]);
        clients[7].write_all(b"|c\n").unwrap();
        clients.truncate(8);
        assert_eq!(drain(&mut streams), ["half:1|c"]);
        assert_eq!(streams.connections(), (8, 0));
    }

    #[test]
    fn every_line_has_its_sender_also_one_that_ends_with_the_connection() {
        let (mut streams, _waker, address) = open(1);
        let mut client = net::TcpStream::connect(address).unwrap();
        let local = client.local_addr().unwrap();
        client.write_all(b"a:1|c\nb:1|c").unwrap();
        drop(client);
        let mut seen = Vec::new();
        let mut take = |piece: Piece<'_>| {
            if let Piece::Packet { payload, sender, .. } = piece {
                seen.push((payload.to_vec(), sender.address));
            }
        };
        while streams.receive(false, &mut take).unwrap() > 0 {}
        assert_eq!(seen, [(b"a:1|c\n".to_vec(), Some(local)), (b"b:1|c".to_vec(), Some(local))]);
    }

    #[test]
    fn beyond_the_limit_a_connection_is_closed_and_counted() {
        let (mut streams, _waker, address) = open(1);
        let mut first = net::TcpStream::connect(address).unwrap();
        drain(&mut streams);
        let mut second = net::TcpStream::connect(address).unwrap();
        drain(&mut streams);
        assert_eq!(second.read(&mut [0; 8]).unwrap_or(0), 0);
        first.write_all(b"a:1|c\n").unwrap();
        assert_eq!((drain(&mut streams), streams.connections()), (vec!["a:1|c".to_owned()], (1, 1)));
        drop(first);
        drain(&mut streams);
        let _third = net::TcpStream::connect(address).unwrap();
        drain(&mut streams);
        assert_eq!(streams.connections(), (1, 1));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn while_nobody_can_be_accepted_the_others_are_read() {
        let socket = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let broken = socket.try_clone().unwrap();
        let limits = Limits { largest: 600, connections: 10 };
        let (mut streams, waker) = Streams::new(Acceptor::tcp(socket).unwrap(), Framing::Newline, limits).unwrap();
        let mut client = net::TcpStream::connect(address).unwrap();
        drain(&mut streams);
        assert!(streams.failure().is_none());
        // From now on `accept` fails (EINVAL), as it does without a descriptor left.
        SockRef::from(&broken).shutdown(net::Shutdown::Both).unwrap();
        client.write_all(b"a:1|c\nb:1|c\n").unwrap();
        assert_eq!(drain(&mut streams), ["a:1|c", "b:1|c"]);
        assert!(streams.failure().is_some());
        assert_eq!(streams.receive(true, &mut |_| {}).unwrap(), 0, "it waits a while, to try again");
        client.write_all(b"c:1|c\n").unwrap();
        assert_eq!(drain(&mut streams), ["c:1|c"]);
        waker.wake().unwrap();
        assert_eq!(streams.receive(true, &mut |_| {}).unwrap(), 0);
    }

    #[test]
    fn those_who_are_in_do_not_wait_for_all_others_to_be_accepted() {
        let socket = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        SockRef::from(&socket).listen(1_000).unwrap();
        let limits = Limits { largest: 600, connections: 1 };
        let (mut streams, _waker) = Streams::new(Acceptor::tcp(socket).unwrap(), Framing::Newline, limits).unwrap();
        let mut first = net::TcpStream::connect(address).unwrap();
        drain(&mut streams);
        let others: Vec<_> = (0..EVENTS + 10).map(|_| net::TcpStream::connect(address).unwrap()).collect();
        streams.receive(false, &mut |_| {}).unwrap();
        assert_eq!(streams.connections(), (1, EVENTS as u64));
        first.write_all(b"a:1|c\n").unwrap();
        assert_eq!(drain(&mut streams), ["a:1|c"]);
        assert_eq!(streams.connections(), (1, others.len() as u64));
    }

    #[test]
    fn a_client_that_vanishes_is_noticed() {
        let (mut streams, _waker, address) = open(1);
        let _client = net::TcpStream::connect(address).unwrap();
        drain(&mut streams);
        let Some(Connection { stream: Stream::Tcp(stream), .. }) = streams.connections.values().next() else {
            panic!()
        };
        assert!(SockRef::from(stream).keepalive().unwrap());
    }

    #[test]
    fn clients_that_finish_nothing_take_bounded_memory() {
        let socket = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let limits = Limits { largest: 64 << 10, connections: 1_000 };
        let (mut streams, _waker) = Streams::new(Acceptor::tcp(socket).unwrap(), Framing::Newline, limits).unwrap();
        let mut good = net::TcpStream::connect(address).unwrap();
        good.write_all(b"a:1").unwrap();
        let mut bad = Vec::new();
        for _ in 0..MOST_UNFINISHED / limits.largest + 10 {
            let mut client = net::TcpStream::connect(address).unwrap();
            client.write_all(&vec![b'x'; limits.largest - 1]).unwrap();
            drain(&mut streams);
            bad.push(client);
            assert!(streams.unfinished <= MOST_UNFINISHED);
        }
        let (open, _) = streams.connections();
        assert!((10..bad.len() as u64).contains(&open), "{open} of {}", bad.len());
        good.write_all(b"|c\n").unwrap();
        assert_eq!(drain(&mut streams), ["a:1|c"]);
        let held: usize = streams.connections.values().map(|connection| connection.framer.bytes()).sum();
        assert_eq!(streams.unfinished, held);
    }

    #[test]
    fn waiting_ends_when_somebody_wakes_it_even_beforehand() {
        let (mut streams, waker, _address) = open(1);
        drain(&mut streams);
        waker.wake().unwrap();
        assert_eq!(streams.receive(true, &mut |_| {}).unwrap(), 0);
    }
}
