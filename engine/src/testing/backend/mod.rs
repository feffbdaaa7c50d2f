//! What all fake backends share: a real socket, a script of behaviours, and a record of every request.

mod behaviour;
mod connection;
mod content;
mod grpc;
#[cfg(test)]
pub(crate) mod http_client;
mod refusing_port;
mod serve;
#[cfg(test)]
mod tests;
mod tls;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use bytes::Bytes;
use hornpipe_model::Timestamp;
use http::{HeaderMap, Method};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use behaviour::Behaviour;
pub(crate) use content::decompress;
pub use refusing_port::RefusingPort;
pub use tls::{Authority, Identity, TlsFront};

use crate::{Clock, lock};
use behaviour::Script;
use connection::Switch;

/// How long a test waits for something on the network before it fails.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// Its method.
    pub method: Method,
    /// Its path.
    pub route: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body as sent, compressed. Empty where the backend cut the connection before the body.
    pub body: Bytes,
    /// When it had arrived, by the backend's clock.
    pub arrival: Timestamp,
    /// What the backend was told to do with it.
    pub behaviour: Behaviour,
}

/// The part of a fake backend that knows sockets and requests, not what they mean. It stops when it is dropped.
pub struct Backend {
    address: SocketAddr,
    state: Arc<State>,
    server: JoinHandle<()>,
}

/// What the server's tasks and the test share.
struct State {
    clock: Clock,
    aside: &'static str,
    script: Mutex<Script>,
    requests: Mutex<Vec<RecordedRequest>>,
    connections: Mutex<Vec<Switch>>,
}

impl Backend {
    /// Serves `router` at `listener`, by the time of `clock`.
    pub(crate) fn start(listener: TcpListener, clock: Clock, router: Router) -> Self {
        Backend::start_with(listener, clock, router, "")
    }

    /// The same with a route aside, which is neither scripted nor recorded.
    pub(crate) fn start_with(listener: TcpListener, clock: Clock, router: Router, aside: &'static str) -> Self {
        let state = Arc::new(State {
            clock,
            aside,
            script: Mutex::default(),
            requests: Mutex::default(),
            connections: Mutex::default(),
        });
        let address = listener.local_addr().expect("a bound socket has an address");
        let server = tokio::spawn(serve::serve(listener, Arc::clone(&state), router));
        Backend { address, state, server }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets what it does from now on, also with requests that were to be answered otherwise once.
    pub fn behave(&self, behaviour: Behaviour) {
        lock(&self.state.script).set(behaviour);
    }

    /// Sets what it does with the next requests, one each; after them it goes on as before.
    pub fn behave_once(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        lock(&self.state.script).queue(behaviours);
    }

    /// Every request so far, in the order in which they arrived.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.state.requests).clone()
    }

    /// How many requests have arrived so far.
    pub fn request_count(&self) -> usize {
        lock(&self.state.requests).len()
    }

    /// Waits until at least so many requests have arrived; the last of them may not be answered yet.
    ///
    /// # Panics
    /// After [`PATIENCE`].
    pub async fn wait_for_requests(&self, count: usize) {
        eventually(&format!("{count} requests at {}", self.address), || self.request_count() >= count).await;
    }

    /// Resets all connections that are open.
    pub fn cut_connections(&self) {
        lock(&self.state.connections).drain(..).for_each(|connection| connection.cut());
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.server.abort();
        self.cut_connections();
    }
}

/// Waits in real time until `condition` holds.
///
/// # Panics
/// With `what` after [`PATIENCE`].
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A socket on a free port of the loopback address.
pub(crate) async fn loopback() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("the loopback address has a free port")
}
