//! What can be seen on this machine: addresses, and who may read which files.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Finding, own_files};
use crate::config::{Files, Settings};

/// Nobody else may read what is secret.
pub(super) fn secrets(settings: &Settings, files: &Files) -> Vec<Finding> {
    const ITEM: &str = "secret files";
    let mut findings = Vec::new();
    let (mut seen, mut open) = (0, 0);
    for file in own_files(settings, files) {
        let Ok(metadata) = std::fs::metadata(file) else { continue };
        seen += 1;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o007 != 0 {
            open += 1;
            let told = format!(
                "{} has mode {mode:04o}, so every user of this machine can reach it: chmod o-rwx it; in a pod, give the \
                 volume defaultMode: 0440 and the pod an fsGroup",
                file.display()
            );
            findings.push(Finding::wrong(ITEM, told));
        }
    }
    if open == 0 && seen == 0 {
        findings.push(Finding::not_tried(ITEM, "no secret is in a file here"));
    } else if open == 0 {
        findings.push(Finding::fine(ITEM, format!("{seen} looked at; nobody else can read them")));
    }
    findings
}

/// A Unix socket is open to whoever may write to it.
pub(super) fn socket(path: &Path) -> Finding {
    const ITEM: &str = "application port";
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.permissions().mode() & 0o002 != 0 => {
            let told = format!("every user of this machine may connect to {shown}; chmod o-w it");
            Finding::wrong(ITEM, told)
        }
        Ok(_) => Finding::fine(ITEM, format!("{shown} is open to its owner and group")),
        Err(error) => Finding::not_tried(ITEM, format!("{shown} is not here: {error}")),
    }
}

/// This machine's addresses but loopback's and those of a link.
pub(super) fn addresses() -> Vec<IpAddr> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let mut all: Vec<IpAddr> = ipv4(&read("/proc/net/fib_trie")).into_iter().map(IpAddr::V4).collect();
    all.extend(ipv6(&read("/proc/net/if_inet6")).into_iter().map(IpAddr::V6));
    all.retain(|address| !address.is_loopback());
    all.sort();
    all.dedup();
    all
}

/// Of the kernel's routing table: an address, and in the next line that it is this host's.
fn ipv4(table: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut last: Option<Ipv4Addr> = None;
    for line in table.lines() {
        if let Some(address) = line.trim().strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line.trim() == "/32 host LOCAL" {
            found.extend(last);
        }
    }
    found
}

/// Lines of 32 hexadecimal digits, index, prefix length, scope (`20`: of a link), flags, interface.
fn ipv6(table: &str) -> Vec<Ipv6Addr> {
    let address = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (digits, scope) = (fields.first()?, fields.get(3)?);
        let bits = u128::from_str_radix(digits, 16).ok()?;
        (*scope != "20").then(|| Ipv6Addr::from_bits(bits))
    };
    table.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_s_addresses_are_read_from_the_kernel_s_tables() {
        let table = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     +-- 10.1.0.0/24 2 0 2\n        |-- 10.1.0.0\n           /24 link UNICAST\n        |-- 10.1.0.7\n           /32 host LOCAL\n        |-- 10.1.0.255\n           /32 link BROADCAST\n     +-- 127.0.0.0/8 2 0 2\n           |-- 127.0.0.1\n              /32 host LOCAL\n";
        assert_eq!(ipv4(table), [Ipv4Addr::new(10, 1, 0, 7), Ipv4Addr::LOCALHOST]);
        let table = "00000000000000000000000000000001 01 80 10 80       lo\nfe80000000000000004216fffe110001 02 40 20 80     eth0\nfd0000000000000000000000000000a7 02 40 00 80     eth0\n";
        let expected: [Ipv6Addr; 2] = [Ipv6Addr::LOCALHOST, "fd00::a7".parse().unwrap()];
        assert_eq!(ipv6(table), expected);
    }

    #[test]
    fn a_socket_that_anybody_may_use_is_told_of() {
        use crate::app::deployment::Verdict;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        for (mode, verdict) in [(0o770, Verdict::Fine), (0o777, Verdict::Wrong), (0o702, Verdict::Wrong)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(socket(&path).verdict, verdict, "{mode:o}");
        }
        assert_eq!(socket(&folder.path().join("absent")).verdict, Verdict::NotTried);
    }
}
