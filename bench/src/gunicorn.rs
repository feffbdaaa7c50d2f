//! A real Gunicorn under load: what sends the datagrams that hornpipe is for.

use std::env;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::process::Process;
use crate::subject::on_path;

/// The variable that says where Gunicorn's program is; else it is looked for on the `PATH`.
const VARIABLE: &str = "HORNPIPE_BENCH_GUNICORN";

/// Each request makes Gunicorn send so many: `requests`, `request.duration` and `request.status.200`.
pub const DATAGRAMS_A_REQUEST: u64 = 3;

const WORKERS: usize = 2;
const THREADS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
const BODY: &str = "done";
const APPLICATION: &str = "def app(environ, start_response):\n    \
    start_response('200 OK', [('Content-Length', '4')])\n    return [b'done']\n";

/// A running Gunicorn. It is killed when this is dropped, and its workers end when they see it.
#[derive(Debug)]
pub struct Gunicorn {
    process: Process,
    address: SocketAddr,
}

impl Gunicorn {
    /// Starts one that sends its datagrams to `statsd`, with its files in `directory`, and waits until it answers.
    ///
    /// # Errors
    /// There is no Gunicorn, or it does not answer.
    pub fn start(statsd: SocketAddr, directory: &Path) -> io::Result<Self> {
        let program = env::var_os(VARIABLE)
            .map(Into::into)
            .or_else(|| on_path("gunicorn"))
            .ok_or_else(|| io::Error::other(format!("gunicorn is absent: not on the PATH, nor at ${VARIABLE}")))?;
        fs::write(directory.join("bench_application.py"), APPLICATION)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(program);
        command.args(["--bind", &address.to_string(), "--statsd-host", &statsd.to_string()]);
        command.args(["--worker-class", "gthread", "--log-level", "error", "--chdir"]).arg(directory);
        command.args(["--workers", &WORKERS.to_string(), "--threads", &THREADS.to_string(), "bench_application:app"]);
        let process = Process::start(&mut command, None, &directory.join("gunicorn.log"))?;
        let start = Instant::now();
        while let Err(error) = connect(address).and_then(|mut connection| request(&mut connection)) {
            if start.elapsed() > PATIENCE {
                return Err(error);
            }
            thread::sleep(POLL);
        }
        Ok(Gunicorn { process, address })
    }

    /// Sends requests for so long, as fast as they are answered, from one client for each of its threads; how many.
    ///
    /// # Errors
    /// A request got no answer.
    pub fn drive(&self, time: Duration) -> io::Result<u64> {
        let address = self.address;
        let client = move || -> io::Result<u64> {
            let (mut connection, start, mut requests) = (connect(address)?, Instant::now(), 0);
            while start.elapsed() < time {
                request(&mut connection)?;
                requests += 1;
            }
            Ok(requests)
        };
        thread::scope(|scope| {
            let clients: Vec<_> = (0..WORKERS * THREADS).map(|_| scope.spawn(client)).collect();
            clients.into_iter().map(|client| client.join().unwrap_or_else(|_| Err(io::Error::other("a panic")))).sum()
        })
    }

    /// Ends it.
    ///
    /// # Errors
    /// The system's.
    pub fn stop(self) -> io::Result<()> {
        self.process.stop().map(drop)
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let connection = TcpStream::connect(address)?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    Ok(connection)
}

/// One request and its answer, which ends with the body. The connection is kept.
fn request(connection: &mut TcpStream) -> io::Result<()> {
    connection.write_all(REQUEST)?;
    let (mut answer, mut length) = ([0; 1_024], 0);
    while !answer.get(..length).is_some_and(|answer| answer.ends_with(BODY.as_bytes())) {
        match connection.read(answer.get_mut(length..).unwrap_or_default())? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => length += more,
        }
    }
    Ok(())
}
