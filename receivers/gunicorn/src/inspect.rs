//! What else can be told about a master: where its StatsD goes, its container, its control socket, its listeners.
//!
//! All of it comes from Linux's `/proc`, as far as this user may read it; elsewhere nothing is told.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::discover::Master;
use crate::net::{self, ESTABLISHED, LISTENS};
use crate::queue_limits::Limits;
use crate::table::ProcessTable;

/// The port that StatsD servers listen at.
const STATSD_PORT: u16 = 8125;
/// How the names of control sockets end; Gunicorn's own is `gunicorn.ctl`. Other listening sockets are the application's: to
/// these nothing is sent.
const CONTROL_SUFFIX: &str = ".ctl";

/// Where an application's StatsD goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Statsd {
    /// That cannot be told here.
    #[default]
    Unknown,
    /// Its master has a UDP socket connected to this address.
    Connected(SocketAddr),
    /// The user that it runs as has a process with such a socket; more this user may not see.
    Probably(SocketAddr),
    /// It has none.
    Missing,
}

/// What is told about a master beside its workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub statsd: Statsd,
    /// The id of its container, in hexadecimal digits.
    pub container: Option<String>,
    /// Sockets that may be its control socket.
    pub control: Vec<PathBuf>,
    /// Its ids in its own namespaces of process ids, the outermost first.
    pub pids: Vec<u32>,
    pub listeners: Option<Listeners>,
}

/// Connections that wait to be accepted, over all its listeners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listeners {
    pub queue: u64,
    /// How many may wait, where that is told.
    pub limit: Option<u64>,
}

/// Looks at a master.
pub(crate) fn inspect(master: &Master, table: &mut ProcessTable, with_listeners: bool) -> Facts {
    let pid = master.id.pid;
    let sockets = table.open_files(pid).ok().map(|(_, sockets)| sockets);
    let unix = table.about(pid, "net/unix").unwrap_or_default();
    let mine = |inode: &u64| sockets.as_ref().is_some_and(|sockets| sockets.contains(inode));
    let listening: Vec<(u64, &str)> = net::listening_unix_sockets(&unix).filter(|(inode, _)| mine(inode)).collect();
    let control = listening.iter().filter(|(_, path)| path.ends_with(CONTROL_SUFFIX));
    let control = control.map(|(_, path)| table.path_of(pid, path)).collect();
    let unix_listeners: Vec<u64> =
        listening.iter().filter(|(_, path)| !path.ends_with(CONTROL_SUFFIX)).map(|(inode, _)| *inode).collect();
    let listeners =
        sockets.as_ref().filter(|_| with_listeners).map(|sockets| listeners(pid, sockets, &unix_listeners, table));
    Facts {
        statsd: statsd(pid, sockets.as_ref(), table),
        container: table.about(pid, "cgroup").ok().and_then(|groups| container(&groups)),
        control,
        pids: table.about(pid, "status").ok().map(|status| namespace_pids(&status)).unwrap_or_default(),
        listeners,
    }
}

fn statsd(pid: u32, sockets: Option<&HashSet<u64>>, table: &ProcessTable) -> Statsd {
    let tables = ["net/udp", "net/udp6"].map(|name| table.about(pid, name));
    if tables.iter().all(Result::is_err) {
        return Statsd::Unknown;
    }
    let tables = tables.map(Result::unwrap_or_default);
    let mut connected: Vec<net::InetSocket> =
        tables.iter().flat_map(|table| net::inet_sockets(table)).filter(|socket| socket.state == ESTABLISHED).collect();
    // A resolver has such sockets, too, for a moment.
    connected.sort_by_key(|socket| socket.remote.port() != STATSD_PORT);
    let Some(sockets) = sockets else {
        let owner = table.owner(pid);
        let theirs = |socket: &&net::InetSocket| Some(socket.user) == owner && socket.remote.port() == STATSD_PORT;
        return connected.iter().find(theirs).map_or(Statsd::Unknown, |socket| Statsd::Probably(socket.remote));
    };
    let mine = connected.iter().find(|socket| sockets.contains(&socket.inode));
    mine.map_or(Statsd::Missing, |socket| Statsd::Connected(socket.remote))
}

fn listeners(pid: u32, sockets: &HashSet<u64>, unix: &[u64], table: &ProcessTable) -> Listeners {
    let tables = ["net/tcp", "net/tcp6"].map(|name| table.about(pid, name).unwrap_or_default());
    let tcp: Vec<net::InetSocket> = tables
        .iter()
        .flat_map(|table| net::inet_sockets(table))
        .filter(|socket| socket.state == LISTENS && sockets.contains(&socket.inode))
        .collect();
    let limits = if table.shares_network(pid) { Limits::of_system().ok() } else { None };
    let queue = tcp.iter().map(|socket| socket.receive_queue).sum();
    let Some(limits) = limits else { return Listeners { queue, limit: None } };
    let tcp_limits = tcp.iter().filter_map(|socket| limits.tcp.get(&socket.inode));
    let unix: Vec<(u64, u64)> = unix.iter().filter_map(|inode| limits.unix.get(inode).copied()).collect();
    let limit = tcp_limits.sum::<u64>() + unix.iter().map(|(_, limit)| limit).sum::<u64>();
    Listeners { queue: queue + unix.iter().map(|(queue, _)| queue).sum::<u64>(), limit: (limit > 0).then_some(limit) }
}

/// The container in a process's control groups: 64 hexadecimal digits (Docker, containerd, CRI-O, podman), or the form of ECS,
/// 32 of them, a hyphen and a number. The last path with one counts.
fn container(groups: &str) -> Option<String> {
    let is_id = |word: &&str| match word.split_once('-') {
        None => word.len() == 64 && is_hex(word),
        Some((task, number)) => task.len() == 32 && is_hex(task) && number.parse::<u64>().is_ok(),
    };
    let words = |line: &str| -> Option<String> {
        let path = line.splitn(3, ':').nth(2)?;
        let mut parts = path.rsplit('/').map(|part| {
            let part = part.strip_suffix(".scope").unwrap_or(part);
            // docker-<id>.scope, cri-containerd-<id>.scope, crio-<id>.scope, libpod-<id>.scope
            part.rsplit_once('-').map_or(part, |(before, id)| {
                if id.len() == 64 {
                    id
                } else if before.len() == 32 {
                    part
                } else {
                    id
                }
            })
        });
        parts.find(is_id).map(str::to_owned)
    };
    groups.lines().find_map(words)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The ids in `NSpid:`, of Linux 4.1 and newer.
fn namespace_pids(status: &str) -> Vec<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    line.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_known_by_its_control_groups() {
        let id = "3dc2a4f0b1c93dc2a4f0b1c93dc2a4f0b1c93dc2a4f0b1c93dc2a4f0b1c9abcd";
        let task = "34dc0b5e626f2c5c4c5170e34b10e765";
        for (groups, expected) in [
            (format!("0::/system.slice/docker-{id}.scope\n"), Some(id.to_owned())),
            (format!("12:cpu:/docker/{id}\n"), Some(id.to_owned())),
            (format!("1:name=systemd:/kubepods/besteffort/pod3d274242-8ee0-11e9/{id}\n"), Some(id.to_owned())),
            (format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope\n"), Some(id.to_owned())),
            (format!("0::/machine.slice/libpod-{id}.scope/container\n"), Some(id.to_owned())),
            (format!("9:perf:/ecs/task/{task}-1234567\n"), Some(format!("{task}-1234567"))),
            ("0::/system.slice/gunicorn.service\n".to_owned(), None),
            ("0::/user.slice/user-1000.slice/session-3.scope\n".to_owned(), None),
            ("garbage".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(container(&groups), expected, "{groups}");
        }
    }

    #[test]
    fn ids_in_namespaces_are_read() {
        assert_eq!(namespace_pids("Name:\tx\nNSpid:\t4711\t12\t1\nNSpgid:\t1\n"), [4711, 12, 1]);
        assert_eq!(namespace_pids("Name:\tx\n"), [0; 0]);
    }
}
