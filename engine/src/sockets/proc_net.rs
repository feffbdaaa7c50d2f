//! Linux's tables of sockets, `/proc/net/{udp,tcp}` and the same for IPv6 (Documentation/networking/proc_net_tcp.rst).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Reads an address such as `0100007F:1FBD`: its 32-bit words in the machine's byte order, and the port.
pub fn address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let mut bytes = [0; 16];
    let length = words.len() / 2;
    for (place, word) in bytes.get_mut(..length)?.chunks_exact_mut(4).enumerate() {
        let digits = words.get(place * 8..place * 8 + 8)?;
        word.copy_from_slice(&u32::from_str_radix(digits, 16).ok()?.to_ne_bytes());
    }
    let ip = match (length, bytes) {
        (4, [a, b, c, d, ..]) => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        (16, bytes) => IpAddr::V6(Ipv6Addr::from(bytes)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}
