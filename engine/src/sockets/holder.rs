//! Who holds an address that is taken.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;

#[cfg(target_os = "linux")]
use linux::{find, find_lock, find_path};
#[cfg(not(target_os = "linux"))]
use portable::{find, find_lock, find_path};

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use super::Protocol;

/// Who listens at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Another process.
    Process {
        /// Its id.
        pid: u32,
        /// The name of its program, at most 15 bytes of it.
        name: String,
    },
    /// This process itself.
    Ourselves,
    /// Somebody whom this process may not see; the command shows him to somebody who may.
    Hidden {
        /// What to run.
        command: String,
    },
}

impl Holder {
    /// Looks for the process that keeps others from binding `address`. It reads what the system tells about every
    /// process, so it is for the moment of failure only.
    pub fn of(protocol: Protocol, address: SocketAddr) -> Holder {
        Holder::found(find(protocol, address), || show_holder(protocol, address.port()))
    }

    /// The same for a Unix socket.
    pub fn of_path(path: &Path) -> Holder {
        Holder::found(find_path(path), || format!("sudo lsof -nP {}", path.display()))
    }

    /// Looks for the process that keeps the file with an inode locked (`flock`).
    pub(super) fn of_lock(inode: u64) -> Holder {
        Holder::found(find_lock(inode), || "sudo lslocks".to_owned())
    }

    fn found(process: Option<(u32, String)>, command: impl FnOnce() -> String) -> Holder {
        match process {
            Some((pid, _)) if pid == std::process::id() => Holder::Ourselves,
            Some((pid, name)) => Holder::Process { pid, name },
            None => Holder::Hidden { command: command() },
        }
    }
}

impl Holder {
    /// What to do about it.
    pub fn way_out(&self) -> &'static str {
        match self {
            Holder::Ourselves => {
                "choose another endpoint; from one address to all of them, or back, the way is a restart"
            }
            Holder::Process { .. } | Holder::Hidden { .. } => {
                "stop it, or choose another endpoint and point the clients there"
            }
        }
    }
}

/// The command that shows an administrator who listens on a port.
fn show_holder(protocol: Protocol, port: u16) -> String {
    match protocol {
        _ if cfg!(not(target_os = "linux")) => format!("sudo lsof -nP -i {protocol}:{port}"),
        Protocol::Udp => format!("sudo ss -lunp 'sport = :{port}'"),
        Protocol::Tcp => format!("sudo ss -ltnp 'sport = :{port}'"),
    }
}

impl fmt::Display for Holder {
    /// Who it is, to follow "is taken by".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Process { pid, name } => write!(f, "pid {pid} {}", name.escape_debug()),
            Holder::Ourselves => f.write_str("this very process, for another component or an earlier configuration"),
            Holder::Hidden { command } => {
                write!(f, "a process that this user may not see (`{command}` shows it)")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_reads_as_the_end_of_a_sentence() {
        let agent = Holder::Process { pid: 812, name: "agent".to_owned() };
        assert_eq!(agent.to_string(), "pid 812 agent");
        let odd = Holder::Process { pid: 1, name: "a\x1b[1m".to_owned() };
        assert_eq!(odd.to_string(), "pid 1 a\\u{1b}[1m", "a process names itself");
        let hidden = Holder::Hidden { command: show_holder(Protocol::Udp, 8125) };
        assert!(hidden.to_string().contains(":8125"), "{hidden}");
    }
}
