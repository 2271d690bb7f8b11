//! Whether the application can be reached without narthex.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::{Host, Url};

use super::local::{Addresses, addresses};
use super::{Finding, Tries, files};
use crate::config::Settings;
use crate::config::settings::UpstreamTarget;

const ITEM: &str = "application port";
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);

/// The application must be reachable through narthex alone.
pub(super) async fn port(settings: &Settings, tries: &Tries) -> Vec<Finding> {
    if !tries.direct.is_empty() {
        let narthex = control(tries.through.as_ref().unwrap_or(&settings.server.public_url)).await;
        let named = tries.direct.iter().map(|address| named(address, &narthex));
        return join_all(named).await.into_iter().flatten().collect();
    }
    match &settings.upstream.target {
        UpstreamTarget::Http { host, port }
        | UpstreamTarget::Https { host, port }
        | UpstreamTarget::H2c { host, port } => upstream(host, *port).await,
        UpstreamTarget::Unix { path } => vec![socket(path, tries.in_pod)],
    }
}

/// What came of a connection.
enum Reached {
    Open,
    /// Somebody said no: the machine itself, or something on the way.
    Refused(io::Error),
    /// Nobody answered, or there is no way.
    Silent(String),
    /// Anything else may be a fault of this machine's.
    Failed(io::Error),
}

async fn reach(address: SocketAddr) -> Reached {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable, TimedOut};
    match timeout(CONNECT, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Reached::Open,
        Ok(Err(error)) => match error.kind() {
            ConnectionRefused | ConnectionReset => Reached::Refused(error),
            HostUnreachable | NetworkUnreachable | TimedOut => Reached::Silent(error.to_string()),
            _ => Reached::Failed(error),
        },
        Err(_) => Reached::Silent(format!("no answer in {} s", CONNECT.as_secs())),
    }
}

/// An application on this machine, at every address of it but loopback's.
async fn upstream(host: &str, port: u16) -> Vec<Finding> {
    let stream = match timeout(CONNECT, TcpStream::connect((host, port))).await {
        Ok(stream) => stream,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    let ends = stream.and_then(|stream| Ok((stream.peer_addr()?, stream.local_addr()?)));
    let (peer, from) = match ends {
        Ok(ends) => ends,
        Err(error) => {
            let told = format!(
                "the application does not answer at {host}:{port} from here ({error}); run this where narthex runs, or \
                 name the addresses with --direct"
            );
            return vec![Finding::not_tried(ITEM, told)];
        }
    };
    let Addresses { mut found, complete } = addresses();
    if !is_own(peer, from, found.iter().map(SocketAddr::ip)) {
        let told = format!(
            "{host}:{port} is another machine, which narthex must reach; run this where nobody should reach it, with \
             --direct {host}:{port}"
        );
        return vec![Finding::not_tried(ITEM, told)];
    }
    if !peer.ip().is_loopback() && !found.iter().any(|address| address.ip() == peer.ip()) {
        found.insert(peer);
    }
    for_addresses(found, complete, port).await
}

/// The kernel connects an address of this machine's own from the same address.
fn is_own(peer: SocketAddr, from: SocketAddr, mut own: impl Iterator<Item = IpAddr>) -> bool {
    let ip = peer.ip().to_canonical();
    ip.is_loopback() || ip == from.ip().to_canonical() || own.any(|own| own.to_canonical() == ip)
}

async fn for_addresses(
    found: impl IntoIterator<Item = SocketAddr>,
    complete: bool,
    port: u16,
) -> Vec<Finding> {
    let tried = found.into_iter().map(|mut address| async move {
        address.set_port(port);
        (address.to_string(), reach(address).await)
    });
    let (mut open, mut closed, mut findings) = (Vec::new(), Vec::new(), Vec::new());
    for (address, reached) in join_all(tried).await {
        match reached {
            Reached::Open => open.push(address),
            Reached::Refused(_) => closed.push(format!("{address} is closed")),
            Reached::Silent(_) => closed.push(format!("{address} does not answer")),
            Reached::Failed(error) => findings.push(Finding::not_tried(ITEM, format!("{address}: {error}"))),
        }
    }
    if !open.is_empty() {
        findings.push(open_to_all(&open.join(", ")));
    }
    if !complete {
        let told = "this machine's addresses cannot be told from here (neither by /proc/self/net nor by the list of its \
                    interfaces), so the application may listen on one of them; name them with --direct";
        findings.push(Finding::not_tried(ITEM, told));
    }
    if findings.is_empty() && closed.is_empty() {
        findings.push(Finding::fine(ITEM, "this machine has no address but loopback's"));
    } else if findings.is_empty() {
        findings.push(Finding::fine(
            ITEM,
            format!(
                "{}; an application in a container has another address, which --direct names",
                closed.join(", ")
            ),
        ));
    }
    findings
}

/// Whether narthex, which must be reachable, is reached from here; otherwise why not.
async fn control(narthex: &Url) -> Result<(), String> {
    let host = match narthex.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(ip)) => ip.to_string(),
        Some(Host::Ipv6(ip)) => ip.to_string(),
        None => return Err(format!("{narthex} names no host")),
    };
    let port = narthex.port_or_known_default().unwrap_or_default();
    let shown = narthex.origin().ascii_serialization();
    match timeout(CONNECT, TcpStream::connect((host.as_str(), port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("{shown}: {error}")),
        Err(_) => Err(format!("{shown}: no answer in {} s", CONNECT.as_secs())),
    }
}

/// What `--direct` named, at each address that the name stands for.
async fn named(address: &str, narthex: &Result<(), String>) -> Vec<Finding> {
    let found = match tokio::net::lookup_host(address).await {
        Ok(found) => found.collect::<Vec<_>>(),
        Err(error) => {
            let told = format!("{address} is no HOST:PORT that is known here: {error}");
            return vec![Finding::not_tried(ITEM, told)];
        }
    };
    if found.is_empty() {
        return vec![Finding::not_tried(ITEM, format!("{address} stands for no address"))];
    }
    let tried = found.into_iter().map(|one| async move {
        let shown =
            if one.to_string() == address { address.to_owned() } else { format!("{address} ({one})") };
        judged(&shown, reach(one).await, narthex)
    });
    join_all(tried).await
}

/// SECURITY: from where nothing can be reached everything looks closed, so what does not open says something only
/// where narthex is reached. A firewall's own "no" looks like a closed port's.
fn judged(shown: &str, reached: Reached, narthex: &Result<(), String>) -> Finding {
    let told = match reached {
        Reached::Open => return open_to_all(shown),
        Reached::Failed(error) => return Finding::not_tried(ITEM, format!("{shown}: {error}")),
        Reached::Refused(error) => format!("{shown} is closed: {error}"),
        Reached::Silent(reason) => format!("{shown} does not answer from here: {reason}"),
    };
    match narthex {
        Ok(()) => Finding::fine(ITEM, format!("{told}; narthex does")),
        Err(reason) => {
            let told = format!(
                "{told}; but narthex is not reached from here either ({reason}), so this says nothing: let this reach \
                 narthex, or say with --through where it is reached"
            );
            Finding::not_tried(ITEM, told)
        }
    }
}

fn open_to_all(address: &str) -> Finding {
    let told = format!(
        "{address} is open: whoever reaches it is in the application without narthex, as anybody; have the application \
         listen on 127.0.0.1 and name that in upstream.url, or close the port by a network policy and try again from \
         another pod with --direct"
    );
    Finding::wrong(ITEM, told)
}

/// A Unix socket is open to whoever may write to it, and belongs to whoever may put another there.
fn socket(path: &Path, in_pod: bool) -> Finding {
    use std::os::unix::fs::PermissionsExt;
    let shown = path.display();
    let mode = match std::fs::metadata(path) {
        Ok(metadata) => metadata.permissions().mode(),
        Err(error) => return Finding::not_tried(ITEM, format!("{shown} is not here: {error}")),
    };
    if mode & 0o002 != 0 {
        let told = format!("every user of this machine may connect to {shown}; chmod o-w it");
        return Finding::wrong(ITEM, told);
    }
    match files::replaceable(path, in_pod) {
        Ok(None) => Finding::fine(ITEM, format!("{shown} is open to its owner and group")),
        Ok(Some(reason)) => Finding::wrong(
            ITEM,
            format!(
                "others may put a socket of theirs in the place of {shown}, and get what narthex sends: {reason}"
            ),
        ),
        Err(error) => Finding::not_tried(ITEM, format!("{shown}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::net::Ipv4Addr;
    use std::os::unix::fs::PermissionsExt;

    use tokio::net::{TcpListener, TcpSocket};

    use super::super::Verdict::{Fine, NotTried, Wrong};
    use super::*;

    fn verdicts(findings: &[Finding]) -> Vec<super::super::Verdict> {
        findings.iter().map(|finding| finding.verdict).collect()
    }

    #[test]
    fn a_socket_that_anybody_may_use_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        for (mode, verdict) in [(0o770, Fine), (0o777, Wrong), (0o702, Wrong)] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(socket(&path, false).verdict, verdict, "{mode:o}");
        }
        assert_eq!(socket(&folder.path().join("absent"), false).verdict, NotTried);
    }

    #[test]
    fn a_socket_that_anybody_may_put_another_in_the_place_of_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        set_permissions(&path, Permissions::from_mode(0o770)).unwrap();
        for (mode, verdict) in [(0o755, Fine), (0o1777, Fine), (0o777, Wrong)] {
            set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
            assert_eq!(socket(&path, false).verdict, verdict, "{mode:o}");
        }
    }

    #[tokio::test]
    async fn nothing_is_fine_where_the_addresses_are_not_known() {
        assert_eq!(verdicts(&for_addresses([], true, 1).await), [Fine]);
        assert_eq!(verdicts(&for_addresses([], false, 1).await), [NotTried]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(verdicts(&for_addresses([address], false, address.port()).await), [Wrong, NotTried]);
        // Bound, so that nobody else has it, but nobody listens.
        let closed = TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = closed.local_addr().unwrap();
        assert_eq!(verdicts(&for_addresses([address], false, address.port()).await), [NotTried]);
        assert_eq!(verdicts(&for_addresses([address], true, address.port()).await), [Fine]);
    }

    #[test]
    fn an_address_of_this_machine_is_no_other_machine() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let none = || std::iter::empty();
        let own = || std::iter::once(IpAddr::from(Ipv4Addr::new(192, 0, 2, 2)));
        assert!(is_own(at("127.0.0.1:80"), at("127.0.0.1:9"), none()));
        assert!(is_own(at("192.0.2.2:80"), at("192.0.2.2:9"), none()), "as the kernel connects it");
        assert!(is_own(at("192.0.2.2:80"), at("192.0.2.3:9"), own()));
        assert!(is_own(at("[::ffff:192.0.2.2]:80"), at("[::ffff:192.0.2.3]:9"), own()));
        assert!(!is_own(at("192.0.2.4:80"), at("192.0.2.2:9"), own()));
    }

    #[test]
    fn what_does_not_open_says_nothing_where_narthex_is_not_reached() {
        let refused = || Reached::Refused(io::ErrorKind::ConnectionRefused.into());
        let silent = || Reached::Silent("no answer".to_owned());
        let failed = || Reached::Failed(io::ErrorKind::PermissionDenied.into());
        let (yes, no) = (Ok(()), Err("no answer".to_owned()));
        assert_eq!(judged("10.0.0.9:80", refused(), &yes).verdict, Fine);
        assert_eq!(judged("10.0.0.9:80", silent(), &yes).verdict, Fine);
        assert!(judged("10.0.0.9:80", silent(), &yes).told.contains("does not answer from here"));
        assert_eq!(judged("10.0.0.9:80", refused(), &no).verdict, NotTried);
        assert_eq!(judged("10.0.0.9:80", silent(), &no).verdict, NotTried);
        assert_eq!(judged("10.0.0.9:80", failed(), &yes).verdict, NotTried);
        assert_eq!(judged("10.0.0.9:80", Reached::Open, &no).verdict, Wrong);
    }
}
