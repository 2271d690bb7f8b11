//! Before anything else is looked at: is the request meant for this listener, and not sent by a foreign page?

use std::net::IpAddr;

use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, header};

use super::error::AdminError;

/// By which names the admin API may be asked.
pub struct Door {
    listen: IpAddr,
    hosts: Vec<String>,
}

impl Door {
    /// `hosts`: lower-case, beside the names of loopback and the address `listen`.
    #[must_use]
    pub fn new(listen: IpAddr, hosts: Vec<String>) -> Self {
        Self { listen, hosts }
    }

    /// Whether the request may come in.
    ///
    /// SECURITY: a browser on this machine, and the application beside narthex, reach loopback too. A page whose
    /// name was rebound to 127.0.0.1 sends its own name as Host; a page of another origin sends that as Origin. The
    /// port does not count: it differs behind a port-forward, and a foreign page cannot choose the name by it.
    ///
    /// # Errors
    /// [`AdminError::ForeignHost`], [`AdminError::CrossOrigin`].
    pub fn admit(&self, request: &Parts) -> Result<(), AdminError> {
        let authority = authority(request).ok_or(AdminError::ForeignHost)?;
        if !self.answers_for(&authority) {
            return Err(AdminError::ForeignHost);
        }
        if !request.method.is_safe() && !is_same_origin(&request.headers, &authority) {
            return Err(AdminError::CrossOrigin);
        }
        Ok(())
    }

    /// The same; an `answer` of an identity provider comes from a page of the provider's.
    ///
    /// # Errors
    /// [`AdminError::ForeignHost`], [`AdminError::CrossOrigin`].
    pub fn admit_page(&self, request: &Parts, answer: bool) -> Result<(), AdminError> {
        match self.admit(request) {
            Err(AdminError::CrossOrigin) if answer => Ok(()),
            admitted => admitted,
        }
    }

    fn answers_for(&self, authority: &Authority) -> bool {
        let host = authority.host().to_ascii_lowercase();
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&host);
        match bare.parse::<IpAddr>() {
            Ok(address) => {
                let named = |known: &String| known.parse::<IpAddr>() == Ok(address);
                address.is_loopback() || address == self.listen || self.hosts.iter().any(named)
            }
            Err(_) => bare == "localhost" || self.hosts.iter().any(|known| known == bare),
        }
    }
}

/// The one host that the request names (RFC 9112, 3.2).
fn authority(request: &Parts) -> Option<Authority> {
    let mut named = request.headers.get_all(header::HOST).iter();
    let host = named.next();
    if named.next().is_some() {
        return None;
    }
    let text = match (request.uri.authority(), host) {
        (Some(authority), _) => authority.as_str(),
        (None, host) => host?.to_str().ok()?,
    };
    let authority: Authority = text.parse().ok()?;
    (!text.contains('@')).then_some(authority)
}

fn is_same_origin(headers: &HeaderMap, authority: &Authority) -> bool {
    let text = |name: &str| headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?"));
    let of_us = |origin: &str| {
        let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        rest.is_some_and(|rest| rest.eq_ignore_ascii_case(authority.as_str()))
    };
    text("origin").all(of_us) && text("sec-fetch-site").all(|site| matches!(site, "same-origin" | "none"))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn door() -> Door {
        Door::new("10.0.0.7".parse().unwrap(), vec!["admin.example.com".to_owned()])
    }

    fn judged(method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<(), &'static str> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        door().admit(&request.body(()).unwrap().into_parts().0).map_err(|error| error.code())
    }

    #[test]
    fn invariant_12_loopback_the_own_address_and_named_hosts_are_answered_for() {
        for host in
            ["localhost", "LOCALHOST:9091", "127.0.0.1:9091", "[::1]:1", "10.0.0.7", "Admin.example.com:443"]
        {
            assert_eq!(judged("GET", "/", &[("host", host)]), Ok(()), "{host}");
        }
    }

    #[test]
    fn invariant_12_a_name_that_was_rebound_to_loopback_is_refused() {
        for host in ["evil.example", "localhost.evil.example", "10.0.0.8", "a@localhost", "", "local host"] {
            assert_eq!(judged("GET", "/", &[("host", host)]), Err("foreign_host"), "{host}");
        }
        assert_eq!(judged("GET", "/", &[]), Err("foreign_host"));
        assert_eq!(judged("GET", "/", &[("host", "localhost"), ("host", "localhost")]), Err("foreign_host"));
        assert_eq!(judged("GET", "http://evil.example/", &[("host", "localhost")]), Err("foreign_host"));
    }

    #[test]
    fn invariant_12_a_page_of_another_origin_changes_nothing() {
        let host = ("host", "localhost:9091");
        let judged = |name: &'static str, value: &'static str| judged("POST", "/", &[host, (name, value)]);
        assert_eq!(judged("origin", "http://localhost:9091"), Ok(()));
        assert_eq!(judged("sec-fetch-site", "same-origin"), Ok(()));
        assert_eq!(judged("sec-fetch-site", "none"), Ok(()));
        for origin in ["http://localhost:3000", "http://evil.example", "null", "", "localhost:9091"] {
            assert_eq!(judged("origin", origin), Err("cross_origin"), "{origin}");
        }
        assert_eq!(judged("sec-fetch-site", "same-site"), Err("cross_origin"));
        assert_eq!(judged("sec-fetch-site", "cross-site"), Err("cross_origin"));
    }
}
