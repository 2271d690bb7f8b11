//! `[server]`, `[upstream]`, `[health]`, `[log]`, `[session]`, `[outbound]`.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use url::Url;

use super::{Meaning, UrlRule, is_loopback};
use crate::config::document::{Step, shown, steps};
use crate::config::raw::{self, Raw};
use crate::config::settings::{
    Health, Log, LogFormat, Outbound, Server, Session, Timeouts, TlsFiles, Upstream, UpstreamTarget,
};

/// A network of more than this many IPv4 addresses is nobody's own.
const SHORTEST_V4: u8 = 8;
/// `fc00::/7`, the unique local addresses, is the largest network that somebody can own.
const SHORTEST_V6: u8 = 7;

impl Meaning<'_> {
    pub(super) fn server(&mut self, raw: &Raw) -> Option<Server> {
        let server = raw.server.as_ref()?;
        let listen = self.address(server.listen.as_ref(), steps!["server", "listen"]);
        let public_url = self.public_url(server.public_url.as_ref());
        let prefix = self.prefix(server.prefix.as_ref());
        let trusted_proxies = self.trusted_proxies(server.trusted_proxies.as_ref());
        let tls = match &server.tls {
            None => Some(None),
            Some(tls) => self.tls(tls, "server").map(Some),
        };
        let timeouts = server.timeouts.as_ref().and_then(|timeouts| {
            let header_read =
                self.duration(timeouts.header_read.as_ref(), steps!["server", "timeouts", "header_read"]);
            let keep_alive =
                self.duration(timeouts.keep_alive.as_ref(), steps!["server", "timeouts", "keep_alive"]);
            let drain = self.duration(timeouts.drain.as_ref(), steps!["server", "timeouts", "drain"]);
            Some(Timeouts { header_read: header_read?, keep_alive: keep_alive?, drain: drain? })
        });
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Some(Server {
            listen: listen?,
            public_url: public_url?,
            prefix: prefix?,
            trusted_proxies: trusted_proxies?,
            tls: tls?,
            workers: server.workers.unwrap_or_else(cores),
            timeouts: timeouts?,
        })
    }

    pub(super) fn address(&mut self, text: Option<&String>, path: &[Step]) -> Option<SocketAddr> {
        let text = text?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            let message = format!("`{}`: {text:?} is no address and port", shown(path));
            self.refuse(
                path,
                message,
                "write it like \"127.0.0.1:8080\", \"0.0.0.0:8080\" or \"[::1]:8080\"",
            );
        }
        parsed
    }

    fn public_url(&mut self, text: Option<&String>) -> Option<Url> {
        self.origin_url(text, steps!["server", "public_url"])
    }

    /// Where browsers reach one of our listeners.
    pub(super) fn origin_url(&mut self, text: Option<&String>, path: &[Step]) -> Option<Url> {
        let rule = UrlRule {
            https_off_loopback: true,
            why_https: "browsers must reach narthex by https: its cookie is secure, and whoever could read it would be the person",
            query: false,
        };
        let url = self.url(text, path, rule)?;
        if url.path() != "/" {
            let help = format!("write \"{}\"", url.origin().ascii_serialization());
            let message = format!("`{}` has a path: narthex fronts a whole host", shown(path));
            self.refuse(path, message, help);
            return None;
        }
        Some(url)
    }

    fn prefix(&mut self, text: Option<&String>) -> Option<String> {
        let text = text?;
        let segments = text.strip_prefix('/').map(|rest| rest.split('/').collect::<Vec<_>>());
        let plain = |segment: &&str| {
            !segment.is_empty()
                && *segment != "."
                && *segment != ".."
                && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
        };
        if !segments.is_some_and(|segments| segments.iter().all(plain)) {
            let path = steps!["server", "prefix"];
            let help = "write one or more whole segments of letters, digits, -, ., _ and ~, like \"/.narthex\", without a slash at the end";
            self.refuse(path, format!("`server.prefix`: {text:?} cannot be the reserved prefix"), help);
            return None;
        }
        Some(text.clone())
    }

    /// SECURITY: lesson 4 (CVE-2026-76835) and invariant 5: a list that holds everyone would let everyone say who
    /// they are.
    fn trusted_proxies(&mut self, texts: Option<&Vec<String>>) -> Option<Vec<IpNet>> {
        let texts = texts?;
        let mut networks = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let path = steps!["server", "trusted_proxies", index];
            let Some(network) = self.one_network(text, path) else { continue };
            if too_wide(&network) {
                let message =
                    format!("`server.trusted_proxies`: {text} holds more than any network of yours");
                let help = "name the proxies in front of narthex: whoever is in the list can say which address a request comes from";
                self.refuse(path, message, help);
            } else {
                networks.push(network);
            }
        }
        if networks.len() != texts.len() {
            return None;
        }
        let together = IpNet::aggregate(&networks);
        if together.iter().any(too_wide) {
            let message =
                "`server.trusted_proxies`: these networks together hold more than any network of yours";
            self.refuse(steps!["server", "trusted_proxies"], message, "name the proxies in front of narthex");
            return None;
        }
        Some(networks)
    }

    /// The `tls` of this section.
    pub(super) fn tls(&mut self, tls: &raw::Tls, section: &'static str) -> Option<TlsFiles> {
        let certificate = tls.certificate.as_ref().map(|file| self.file(file));
        let key = tls.key.as_ref().map(|file| self.secret_file(file));
        for (name, file) in [("certificate", &certificate), ("key", &key)] {
            if let Some(file) = file {
                self.pem(file, steps![section, "tls", name])?;
            }
        }
        Some(TlsFiles { certificate: certificate?, key: key? })
    }

    pub(super) fn upstream(&mut self, raw: &Raw) -> Option<Upstream> {
        let upstream = raw.upstream.as_ref()?;
        let target = self.target(upstream.url.as_ref());
        let connect = self.duration(upstream.connect_timeout.as_ref(), steps!["upstream", "connect_timeout"]);
        let response =
            self.duration(upstream.response_timeout.as_ref(), steps!["upstream", "response_timeout"]);
        let ca_file = upstream.ca_file.as_ref().map(|file| self.file(file));
        if let Some(file) = &ca_file {
            self.pem(file, steps!["upstream", "ca_file"])?;
            if !matches!(target, Some(UpstreamTarget::Https { .. }) | None) {
                let message = "`upstream.ca_file` has no meaning without https";
                self.refuse(
                    steps!["upstream", "ca_file"],
                    message,
                    "write https:// in upstream.url, or leave it out",
                );
            }
        }
        let session_cookies = self.session_cookies(upstream.session_cookies.as_ref());
        let logout_path = match &upstream.logout_path {
            None => Some(None),
            Some(path) => self.logout_path(path).map(Some),
        };
        Some(Upstream {
            target: target?,
            connect_timeout: connect?,
            response_timeout: response?,
            ca_file,
            session_cookies: session_cookies?,
            logout_path: logout_path?,
        })
    }

    fn target(&mut self, text: Option<&String>) -> Option<UpstreamTarget> {
        let text = text?;
        let path = steps!["upstream", "url"];
        let help = "write \"http://host:port\", \"https://host:port\", \"h2c://host:port\" or \"unix:/path\"";
        if let Some(socket) = text.strip_prefix("unix:") {
            if !socket.starts_with('/') {
                self.refuse(path, "`upstream.url`: a socket's path must be absolute", help);
                return None;
            }
            return Some(UpstreamTarget::Unix { path: PathBuf::from(socket) });
        }
        // h2c is http to the parser, which knows default ports and host forms for http only.
        let h2c = text.strip_prefix("h2c://").map(|rest| format!("http://{rest}"));
        let url = match Url::parse(h2c.as_ref().unwrap_or(text)) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => url,
            Ok(_) | Err(_) => {
                self.refuse(path, format!("`upstream.url`: {text:?} is no address of an application"), help);
                return None;
            }
        };
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() {
            let message = "`upstream.url` has more than scheme, host and port: paths go through as they come";
            self.refuse(path, message, help);
            return None;
        }
        // Without the brackets of an IPv6 address.
        let host = match url.host()? {
            url::Host::Domain(name) => name.to_owned(),
            url::Host::Ipv4(address) => address.to_string(),
            url::Host::Ipv6(address) => address.to_string(),
        };
        let port = url.port_or_known_default()?;
        if url.scheme() == "http" && !is_loopback(&url) && !is_private(&url) {
            let message =
                "`upstream.url` is http on a host that is neither loopback nor on a private network";
            let help = "whoever can reach the application past narthex, or read on the way, is anybody to it; use https where the way is not yours alone";
            self.warn(path, message, help);
        }
        Some(match (url.scheme(), h2c.is_some()) {
            ("https", _) => UpstreamTarget::Https { host, port },
            (_, true) => UpstreamTarget::H2c { host, port },
            (_, false) => UpstreamTarget::Http { host, port },
        })
    }

    pub(super) fn session(&mut self, raw: &Raw) -> Option<Session> {
        let session = raw.session.as_ref()?;
        let idle = self.duration(session.idle_timeout.as_ref(), steps!["session", "idle_timeout"]);
        let lifetime = self.duration(session.max_lifetime.as_ref(), steps!["session", "max_lifetime"]);
        let grace = self.duration(session.offline_grace.as_ref(), steps!["session", "offline_grace"]);
        if let (Some(idle), Some(lifetime)) = (idle, lifetime)
            && idle > lifetime
        {
            let message =
                "`session.idle_timeout` is longer than `session.max_lifetime`, and would never end a session";
            self.refuse(steps!["session", "idle_timeout"], message, "make it the shorter one");
        }
        Some(Session {
            idle_timeout: idle?,
            max_lifetime: lifetime?,
            max_per_member: session.max_per_member?,
            offline_grace: grace?,
        })
    }

    pub(super) fn outbound(&mut self, raw: &Raw) -> Option<Outbound> {
        match raw.outbound.as_ref()?.ca_file.as_ref() {
            None => Some(Outbound::default()),
            Some(file) => {
                let file = self.file(file);
                self.pem(&file, steps!["outbound", "ca_file"]).map(|extra_roots| Outbound { extra_roots })
            }
        }
    }

    pub(super) fn health(&mut self, raw: &Raw, server: Option<&Server>) -> Option<Health> {
        let listen = self.address(raw.health.as_ref()?.listen.as_ref(), steps!["health", "listen"])?;
        if server.is_some_and(|server| server.listen.port() != 0 && server.listen == listen) {
            let message = format!("`health.listen` is {listen}, which `server.listen` has already");
            let at = if self.stated(steps!["health", "listen"]) { "health" } else { "server" };
            self.refuse(steps![at, "listen"], message, "give one of them another port");
            return None;
        }
        Some(Health { listen })
    }

    pub(super) fn log(&mut self, raw: &Raw) -> Option<Log> {
        let log = raw.log.as_ref()?;
        let level = log.level.clone()?;
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&level) {
            let message = format!("`log.level`: {level:?} is no filter: {error}");
            self.refuse(steps!["log", "level"], message, "write \"info\", or \"info,narthex=debug\"");
            return None;
        }
        let format = match log.format? {
            raw::LogFormat::Human => LogFormat::Human,
            raw::LogFormat::Json => LogFormat::Json,
        };
        Some(Log { format, level })
    }
}

/// More than any one organisation has.
fn too_wide(network: &IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.prefix_len() < SHORTEST_V4,
        IpNet::V6(network) => network.prefix_len() < SHORTEST_V6,
    }
}

/// A host on a network that is not the Internet. Names without a dot, and those of clusters, are taken for such.
pub(super) fn is_private(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => {
            !name.contains('.')
                || [".svc", ".local", ".internal", ".lan", ".home.arpa"].iter().any(|end| name.ends_with(end))
        }
        Some(url::Host::Ipv4(address)) => address.is_private() || address.is_link_local(),
        Some(url::Host::Ipv6(address)) => address.is_unique_local() || address.is_unicast_link_local(),
        None => false,
    }
}
