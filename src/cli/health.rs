//! `hornpipe health`: for the HEALTHCHECK of an image that has no shell and no curl.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use hornpipe_engine::status::Readiness;

use super::ask::ask;
use super::load::say;

/// How long connecting, and then each read, may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// More than this of an answer is not read, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// Whom to ask.
#[derive(Args)]
pub struct HealthArgs {
    /// Count a backend that fails or refuses as well
    #[arg(long, conflicts_with = "endpoint")]
    backends: bool,
    /// Ask the health_check extension at this address instead of the control socket, such as localhost:13133
    #[arg(long, value_name = "HOST:PORT[/PATH]")]
    endpoint: Option<String>,
}

/// Ends with 0 where the running process does its work and with 1 where it does not or is not there, and says which.
pub fn health(args: &HealthArgs) -> ExitCode {
    let answer = match &args.endpoint {
        Some(endpoint) => over_http(endpoint).map_err(|error| format!("{endpoint}: {error}")),
        None => over_control_socket(args.backends),
    };
    match answer {
        Ok(problems) if problems.is_empty() => {
            // Nobody needs to read it.
            let _ = writeln!(io::stdout().lock(), "ready");
            ExitCode::SUCCESS
        }
        Ok(problems) => {
            say(&format!("not ready: {}", problems.join("; ")));
            ExitCode::FAILURE
        }
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn over_control_socket(with_backends: bool) -> Result<Vec<String>, String> {
    let answer = ask(if with_backends { "health backends" } else { "health" })?;
    let readiness: Readiness = serde_json::from_str(&answer)
        .map_err(|error| format!("the running process is of another version, whose answer differs: {error}"))?;
    Ok(readiness.problems)
}

/// What keeps the process at an address from being ready, as its `health_check` extension says.
fn over_http(endpoint: &str) -> Result<Vec<String>, String> {
    let (address, path) = match endpoint.split_once('/') {
        Some((address, path)) => (address, format!("/{path}")),
        None => (endpoint, "/readyz".to_owned()),
    };
    let (code, body) = get(address, &path).map_err(|error| error.to_string())?;
    match code {
        200 => Ok(Vec::new()),
        503 => Ok(vec![body.trim().to_owned()]),
        code => Err(format!("answers {code}: is this the endpoint of a health_check extension?")),
    }
}

/// The status and the body of a GET, from the first address that accepts.
fn get(address: &str, path: &str) -> io::Result<(u16, String)> {
    let mut last = io::Error::other("no such address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(connection) => return get_over(connection, &address.to_string(), path),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn get_over(mut connection: TcpStream, host: &str, path: &str) -> io::Result<(u16, String)> {
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    connection.take(MAX_ANSWER).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let code = code.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "this is no HTTP server"))?;
    Ok((code, body.to_owned()))
}
