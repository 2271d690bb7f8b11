//! Ports for servers that bind by themselves, later: each number is given once, and the kernel gives none of them.
//!
//! A port that the kernel gave a moment ago (`bind` at 0, then let go) is no such port: until the server binds, the
//! kernel may give it again, to another server or to the near end of any connection.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::Mutex;

/// Those that were given, each held by a UDP socket for as long as this process lives: so no other process of the tests
/// gives it, while a TCP server can have it.
static GIVEN: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());

pub fn free_port() -> u16 {
    free_ports(1)
}

/// The first of `count` ports in a row.
pub fn free_ports(count: u16) -> u16 {
    let mut given = GIVEN.lock().unwrap();
    let outside = outside();
    // Other processes of the tests begin elsewhere, so that they seldom meet.
    let begin = usize::try_from(std::process::id()).unwrap() * 97;
    for step in 0..outside.len() {
        let first = outside[(begin + step) % outside.len()];
        let claims: Option<Vec<_>> = (first..first + count)
            .map(|port| outside.binary_search(&port).ok().and_then(|_| claim(port)))
            .collect();
        if let Some(claims) = claims {
            given.extend(claims);
            return first;
        }
    }
    panic!("no port is free but those that the kernel gives by itself (net.ipv4.ip_local_port_range)");
}

fn claim(port: u16) -> Option<UdpSocket> {
    let claim = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok().map(|_| claim)
}

/// What the kernel does not give to who asks for any port.
fn outside() -> Vec<u16> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let bounds: Vec<u16> = range.split_whitespace().map(|bound| bound.parse().unwrap()).collect();
    (10_000..65_000).filter(|port| !(bounds[0]..=bounds[1]).contains(port)).collect()
}

#[test]
fn a_port_is_given_once_and_never_by_the_kernel() {
    let first = free_ports(3);
    let mut ports = vec![first, first + 1, first + 2];
    ports.extend((0..50).map(|_| free_port()));
    for port in &ports {
        assert!(outside().contains(port), "{port}");
        // Given, it can be had: by TCP, for whoever it was given to.
        TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).unwrap();
        assert!(claim(*port).is_none(), "another process would take {port} too");
    }
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 53);
}
