//! This machine's addresses, however much of `/proc` is to be seen.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

use if_addrs::{IfAddr, Interface, get_if_addrs};

/// The addresses but loopback's, each with port 0, and with the link that it belongs to where it needs one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) found: BTreeSet<SocketAddr>,
    /// There are no others.
    pub(super) complete: bool,
}

pub(super) fn addresses() -> Addresses {
    // Not /proc/net, which a unit with ProcSubset=pid does not have.
    let read = |table: &str| std::fs::read_to_string(format!("/proc/self/net/{table}"));
    let has_ipv6 = || UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    known(of_tables(read("fib_trie"), read("if_inet6"), has_ipv6), of_interfaces, of_routes)
}

/// The first that tells; gVisor has not all of the tables, and systemd's RestrictAddressFamilies may refuse the kernel's
/// list of interfaces.
fn known(
    tables: Option<Vec<SocketAddr>>,
    interfaces: impl FnOnce() -> Option<Vec<SocketAddr>>,
    routes: impl FnOnce() -> Vec<SocketAddr>,
) -> Addresses {
    // Who connected by loopback has it: a list without it is none.
    let whole = |list: &Vec<SocketAddr>| list.iter().any(|address| address.ip().is_loopback());
    let (list, complete) = match tables.filter(whole).or_else(|| interfaces().filter(whole)) {
        Some(list) => (list, true),
        None => (routes(), false),
    };
    let usable = |address: &SocketAddr| !address.ip().is_loopback() && !address.ip().is_unspecified();
    Addresses { found: list.into_iter().filter(usable).collect(), complete }
}

fn of_tables(
    ipv4_table: io::Result<String>,
    ipv6_table: io::Result<String>,
    has_ipv6: impl FnOnce() -> bool,
) -> Option<Vec<SocketAddr>> {
    let mut all = ipv4(&ipv4_table.ok()?);
    match ipv6_table {
        Ok(table) => all.extend(ipv6(&table)),
        Err(error) if error.kind() == ErrorKind::NotFound && !has_ipv6() => {}
        Err(_) => return None,
    }
    Some(all)
}

/// Of the kernel's routing table: an address, and in the next line that it is this host's.
fn ipv4(table: &str) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    let mut last: Option<Ipv4Addr> = None;
    for line in table.lines() {
        if let Some(address) = line.trim().strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line.trim() == "/32 host LOCAL" {
            found.extend(last.map(|ip| SocketAddr::new(ip.into(), 0)));
        }
    }
    found
}

/// Lines of 32 hexadecimal digits, index, prefix length, scope (`20`: of a link), flags, interface.
fn ipv6(table: &str) -> Vec<SocketAddr> {
    /// IFA_F_TENTATIVE and IFA_F_DADFAILED: an address that is not in use.
    const UNUSED: u32 = 0x48;
    let address = |line: &str| {
        let mut fields = line.split_whitespace();
        let ip = Ipv6Addr::from_bits(u128::from_str_radix(fields.next()?, 16).ok()?);
        let link = u32::from_str_radix(fields.next()?, 16).ok()?;
        let (scope, flags) = (fields.nth(1)?, u32::from_str_radix(fields.next()?, 16).ok()?);
        let link = if scope == "20" { link } else { 0 };
        (flags & UNUSED == 0).then(|| SocketAddr::V6(SocketAddrV6::new(ip, 0, 0, link)))
    };
    table.lines().filter_map(address).collect()
}

fn of_interfaces() -> Option<Vec<SocketAddr>> {
    let address = |interface: Interface| match interface.addr {
        IfAddr::V4(v4) => SocketAddr::new(v4.ip.into(), 0),
        IfAddr::V6(v6) => {
            let link = interface.index.filter(|_| v6.ip.is_unicast_link_local()).unwrap_or_default();
            SocketAddr::V6(SocketAddrV6::new(v6.ip, 0, 0, link))
        }
    };
    Some(get_if_addrs().ok()?.into_iter().map(address).collect())
}

/// What this machine would send from. Nothing is sent: connecting a datagram socket only asks for the route.
fn of_routes() -> Vec<SocketAddr> {
    // RFC 5737, 3, and RFC 3849: nobody's.
    let ways: [(IpAddr, IpAddr); 2] = [
        (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into()),
        (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()),
    ];
    let own = |(any, far): (IpAddr, IpAddr)| {
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect((far, 9)).ok()?;
        Some(SocketAddr::new(socket.local_addr().ok()?.ip(), 0))
    };
    ways.into_iter().filter_map(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IPV4: &str = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     +-- 10.1.0.0/24 2 0 2\n        |-- 10.1.0.0\n           /24 link UNICAST\n        |-- 10.1.0.7\n           /32 host LOCAL\n        |-- 10.1.0.255\n           /32 link BROADCAST\n     +-- 127.0.0.0/8 2 0 2\n           |-- 127.0.0.1\n              /32 host LOCAL\n";
    const IPV6: &str = "00000000000000000000000000000001 01 80 10 80       lo\nfe80000000000000004216fffe110001 02 40 20 80     eth0\nfd0000000000000000000000000000a7 02 40 00 80     eth0\nfd0000000000000000000000000000a8 02 40 00 c0     eth0\n";

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn absent() -> io::Result<String> {
        Err(ErrorKind::NotFound.into())
    }

    #[test]
    fn this_host_s_addresses_are_read_from_the_kernel_s_tables() {
        assert_eq!(ipv4(IPV4), addresses(&["10.1.0.7:0", "127.0.0.1:0"]));
        // That of a link with the link's number; the last is not in use yet.
        assert_eq!(ipv6(IPV6), addresses(&["[::1]:0", "[fe80::42:16ff:fe11:1%2]:0", "[fd00::a7]:0"]));
    }

    #[test]
    fn tables_that_are_not_there_are_no_empty_tables() {
        let both = of_tables(Ok(IPV4.to_owned()), Ok(IPV6.to_owned()), || true);
        assert_eq!(both.map(|all| all.len()), Some(5));
        let one = of_tables(Ok(IPV4.to_owned()), absent(), || false);
        assert_eq!(one.map(|all| all.len()), Some(2), "a kernel without IPv6 has no table of it");
        assert_eq!(of_tables(Ok(IPV4.to_owned()), absent(), || true), None);
        assert_eq!(of_tables(absent(), Ok(IPV6.to_owned()), || true), None);
    }

    #[test]
    fn addresses_that_nothing_tells_are_not_known_rather_than_none() {
        let some = |texts: &[&str]| Some(addresses(texts));
        let found = |texts: &[&str], complete: bool| Addresses {
            found: addresses(texts).into_iter().collect(),
            complete,
        };
        let tables = some(&["127.0.0.1:0", "10.1.0.7:0"]);
        assert_eq!(known(tables, || None, Vec::new), found(&["10.1.0.7:0"], true));
        assert_eq!(known(some(&["127.0.0.1:0"]), || None, Vec::new), found(&[], true));
        let interfaces = || some(&["127.0.0.1:0", "10.1.0.8:0"]);
        assert_eq!(known(None, interfaces, Vec::new), found(&["10.1.0.8:0"], true));
        assert_eq!(
            known(some(&[]), interfaces, Vec::new),
            found(&["10.1.0.8:0"], true),
            "a table without loopback"
        );
        let routes = || addresses(&["10.1.0.9:0"]);
        assert_eq!(known(None, || None, routes), found(&["10.1.0.9:0"], false));
        assert_eq!(known(None, || some(&[]), Vec::new), found(&[], false));
    }

    #[test]
    fn tables_and_interfaces_tell_the_same() {
        let read = |table: &str| std::fs::read_to_string(format!("/proc/self/net/{table}"));
        let Some(tables) = of_tables(read("fib_trie"), read("if_inet6"), || true) else {
            return; // gVisor
        };
        let interfaces: BTreeSet<SocketAddr> = of_interfaces().unwrap().into_iter().collect();
        assert!(tables.iter().all(|address| interfaces.contains(address)), "{tables:?}, {interfaces:?}");
        for own in of_routes() {
            assert!(
                interfaces.iter().any(|address| address.ip() == own.ip()),
                "{own} is among {interfaces:?}"
            );
        }
    }
}
