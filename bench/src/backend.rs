//! A backend that takes everything: answers each HTTP request as its sender wants it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Listens until the process ends; it costs nothing while nobody sends.
#[derive(Debug)]
pub struct Backend {
    /// Where it listens.
    pub address: SocketAddr,
    requests: Arc<AtomicU64>,
}

/// A request.
#[derive(Debug, Default)]
pub struct Request {
    /// Its path.
    pub path: String,
    /// Its `Content-Encoding`, empty where it has none.
    pub encoding: String,
    /// Its body as it was sent.
    pub body: Vec<u8>,
}

impl Backend {
    /// Starts one on loopback that looks at nothing.
    ///
    /// # Errors
    /// The system has no port left.
    pub fn start() -> io::Result<Self> {
        Backend::start_with(|_| Ok(()))
    }

    /// Starts one on loopback that answers once `take` has seen the request; where that fails, that the request is bad.
    ///
    /// # Errors
    /// The system has no port left.
    pub fn start_with(take: impl Fn(&Request) -> io::Result<()> + Send + Sync + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let requests = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&requests);
        let take = Arc::new(take);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (counter, take) = (Arc::clone(&counter), Arc::clone(&take));
                thread::spawn(move || serve(&connection, &counter, &*take));
            }
        });
        Ok(Backend { address, requests })
    }

    /// How many requests it has answered.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// Until the client hangs up.
fn serve(
    mut connection: &TcpStream,
    requests: &AtomicU64,
    take: &impl Fn(&Request) -> io::Result<()>,
) -> io::Result<()> {
    // An answer is one segment that goes at once: nobody is to wait for a timer.
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection);
    while let Some(request) = read(&mut reader)? {
        // Datadog's intake accepts, OTLP's is done.
        let status = match take(&request) {
            Ok(()) if request.path.contains("/v1/") => "200 OK",
            Ok(()) => "202 Accepted",
            Err(_) => "400 Bad Request",
        };
        requests.fetch_add(1, Ordering::Relaxed);
        connection.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes())?;
    }
    Ok(())
}

/// The next request; `None` where the client has hung up.
fn read(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut request = Request { path: line.split(' ').nth(1).unwrap_or_default().to_owned(), ..Request::default() };
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(io::Error::other)?;
        } else if name.eq_ignore_ascii_case("content-encoding") {
            value.trim().clone_into(&mut request.encoding);
        }
    }
    reader.take(length).read_to_end(&mut request.body)?;
    Ok(Some(request))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_one_request_after_another() {
        let backend = Backend::start().unwrap();
        let mut client = TcpStream::connect(backend.address).unwrap();
        for (path, status) in [("/api/v2/series", "202"), ("/v1/metrics", "200")] {
            write!(client, "POST {path} HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello").unwrap();
            let mut answer = [0; 12];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(answer[9..], *status.as_bytes());
            let mut rest = Vec::new();
            while !rest.ends_with(b"\r\n\r\n") {
                rest.push(0);
                let last = rest.len() - 1;
                client.read_exact(&mut rest[last..]).unwrap();
            }
        }
        assert_eq!(backend.requests(), 2);
    }
}
