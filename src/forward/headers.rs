//! The one choke point that builds an upstream request's headers: it removes first, then sets.

use std::net::IpAddr;

use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Version};

use super::managed::{Managed, Standing};

/// Fields of one connection only (RFC 9110, 7.6.1), and those that we write ourselves.
const CONNECTION_FIELDS: [HeaderName; 11] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::CONTENT_LENGTH,
    header::EXPECT,
    HeaderName::from_static("http2-settings"),
];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Removes what clients and applications may not say, and sets what narthex says.
#[derive(Debug, Clone)]
pub struct Firewall {
    managed: Managed,
    /// Cookies whose names begin so are ours.
    cookie_prefix: String,
    host: HeaderValue,
    scheme: HeaderValue,
}

/// How many of a client's headers were taken away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stripped {
    /// Under the usual name; some clients and proxies send these innocently.
    pub managed: u32,
    /// Under an unusual spelling: an attack.
    pub aliases: u32,
}

/// What narthex says of a request.
#[derive(Debug)]
pub struct Said<'a> {
    pub client: IpAddr,
    /// 16 hexadecimal digits.
    pub request_id: HeaderValue,
    pub traceparent: HeaderValue,
    /// The session's identity headers, rendered once at its start; empty for an anonymous request.
    pub identity: &'a [(HeaderName, HeaderValue)],
    pub token: Option<(&'a HeaderName, HeaderValue)>,
    /// The protocol to switch to, where the client asks for one.
    pub upgrade: Option<HeaderValue>,
    /// Whether the client takes trailers; the only `TE` that crosses connections.
    pub trailers: bool,
}

impl Firewall {
    /// `identity_headers`: every name that `[headers]`, `[upstream_token]` and the recipe's trusted headers
    /// have. `cookie_prefix`: how the names of our cookies begin.
    pub fn new<'a>(
        identity_headers: impl IntoIterator<Item = &'a str>,
        cookie_prefix: &str,
        host: HeaderValue,
        scheme: &'static str,
    ) -> Self {
        Self {
            managed: Managed::new(identity_headers),
            cookie_prefix: cookie_prefix.to_owned(),
            host,
            scheme: HeaderValue::from_static(scheme),
        }
    }

    /// A copy that shares no memory with this one, for one core: values handed out count their users, and
    /// cores that count in one place wait for each other on every request.
    #[must_use]
    pub fn for_core(&self) -> Self {
        let apart =
            |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone());
        Self {
            managed: self.managed.clone(),
            cookie_prefix: self.cookie_prefix.clone(),
            host: apart(&self.host),
            scheme: self.scheme.clone(),
        }
    }

    /// Turns a client's headers into those of the upstream request.
    pub fn rewrite(&self, headers: &mut HeaderMap, said: Said<'_>) -> Stripped {
        let stripped = self.remove(headers);
        self.set(headers, said);
        stripped
    }

    /// SECURITY: invariant 3. What `Connection` names goes first, before anything of ours is there to be
    /// named (lesson 6).
    fn remove(&self, headers: &mut HeaderMap) -> Stripped {
        remove_connection_fields(headers);
        let stripped = self.remove_managed(headers);
        self.remove_own_cookies(headers);
        stripped
    }

    fn remove_managed(&self, headers: &mut HeaderMap) -> Stripped {
        let mut stripped = Stripped::default();
        let mut found = Vec::new();
        for name in headers.keys() {
            match self.managed.standing(name) {
                Standing::Free => continue,
                Standing::Managed => stripped.managed += 1,
                Standing::Alias => stripped.aliases += 1,
            }
            found.push(name.clone());
        }
        for name in found {
            headers.remove(name);
        }
        stripped
    }

    fn remove_own_cookies(&self, headers: &mut HeaderMap) {
        let ours = |value: &HeaderValue| contains(value.as_bytes(), self.cookie_prefix.as_bytes());
        if !headers.get_all(header::COOKIE).iter().any(ours) {
            return;
        }
        let kept: Vec<Vec<u8>> = headers
            .get_all(header::COOKIE)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
            .map(<[u8]>::trim_ascii)
            .filter(|cookie| !cookie.is_empty() && !cookie.starts_with(self.cookie_prefix.as_bytes()))
            .map(<[u8]>::to_vec)
            .collect();
        headers.remove(header::COOKIE);
        if let Ok(value) = HeaderValue::from_bytes(&kept.join(&b"; "[..]))
            && !kept.is_empty()
        {
            headers.insert(header::COOKIE, value);
        }
    }

    fn set(&self, headers: &mut HeaderMap, said: Said<'_>) {
        headers.insert(header::HOST, self.host.clone());
        headers.insert(X_FORWARDED_HOST, self.host.clone());
        headers.insert(X_FORWARDED_PROTO, self.scheme.clone());
        // An address has only characters that a header takes.
        if let Ok(client) = HeaderValue::try_from(said.client.to_string()) {
            headers.insert(X_FORWARDED_FOR, client.clone());
            headers.insert(X_REAL_IP, client);
        }
        headers.insert(X_REQUEST_ID, said.request_id);
        headers.insert(TRACEPARENT, said.traceparent);
        for (name, value) in said.identity {
            headers.insert(name, value.clone());
        }
        if let Some((name, value)) = said.token {
            headers.insert(name, value);
        }
        if let Some(protocol) = said.upgrade {
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, protocol);
        }
        if said.trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
    }

    /// Takes from a response what belongs to the upstream's connection only, and cookies that would pass for
    /// ours.
    pub fn clean_response(&self, headers: &mut HeaderMap) {
        remove_connection_fields_but_length(headers);
        let ours = |value: &HeaderValue| {
            let name = value.as_bytes().trim_ascii_start();
            let prefix = self.cookie_prefix.as_bytes();
            name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        if headers.get_all(header::SET_COOKIE).iter().any(ours) {
            let kept: Vec<HeaderValue> =
                headers.get_all(header::SET_COOKIE).iter().filter(|value| !ours(value)).cloned().collect();
            headers.remove(header::SET_COOKIE);
            for value in kept {
                headers.append(header::SET_COOKIE, value);
            }
        }
    }

    /// Trailers pass the same firewall: nothing managed, nothing of framing or routing (RFC 9110, 6.5.1).
    pub fn clean_trailers(&self, trailers: &mut HeaderMap) {
        remove_connection_fields(trailers);
        self.remove_managed(trailers);
        for name in
            [header::HOST, header::COOKIE, header::SET_COOKIE, header::AUTHORIZATION, header::CONTENT_TYPE]
        {
            trailers.remove(name);
        }
    }
}

/// The protocol that an HTTP/1.1 request wants to switch to; `None` where it wants none, or one that must
/// not be tunnelled.
///
/// SECURITY: `Upgrade: h2c` through a proxy opens a connection on which the proxy sees no further request;
/// so no version of HTTP is ever switched to, and nothing that is a list.
#[must_use]
pub fn wanted_upgrade(headers: &HeaderMap, version: Version) -> Option<HeaderValue> {
    if version != Version::HTTP_11 {
        return None;
    }
    let asks = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    let mut protocols = headers.get_all(header::UPGRADE).iter();
    let protocol = protocols.next().filter(|_| asks && protocols.next().is_none())?;
    let text = protocol.to_str().ok()?.to_ascii_lowercase();
    let refused =
        text.starts_with("h2") || text.starts_with("http") || text.starts_with("tls") || text.contains(',');
    (!refused && !text.is_empty()).then(|| protocol.clone())
}

/// Whether a request takes trailers.
#[must_use]
pub fn takes_trailers(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::TE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

fn remove_connection_fields(headers: &mut HeaderMap) {
    remove_named_by_connection(headers);
    for name in &CONNECTION_FIELDS {
        headers.remove(name);
    }
}

fn remove_connection_fields_but_length(headers: &mut HeaderMap) {
    remove_named_by_connection(headers);
    for name in CONNECTION_FIELDS.iter().filter(|name| **name != header::CONTENT_LENGTH) {
        headers.remove(name);
    }
}

fn remove_named_by_connection(headers: &mut HeaderMap) {
    let Some(first) = headers.get(header::CONNECTION) else { return };
    if (first == "keep-alive" || first == "close" || first == "Keep-Alive")
        && headers.get_all(header::CONNECTION).iter().nth(1).is_none()
    {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
