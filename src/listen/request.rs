//! A request as the other stages may believe it: known host, canonical path, proven client address.

use std::net::IpAddr;

use http::header::{self, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, InvalidUri};
use http::{HeaderMap, Method, Request, Uri, Version};
use hyper::body::Incoming;
use ipnet::IpNet;
use url::Url;

use super::path::{CanonicalPath, PathError};
use crate::config::settings::Network;

/// What this listener is and whom it believes; from the configuration.
#[derive(Debug, Clone)]
pub struct Frontage {
    /// The public authority in lower case, without the scheme's default port.
    authority: String,
    /// The same with the default port written out.
    authority_with_port: String,
    authority_header: HeaderValue,
    scheme: &'static str,
    trusted_hops: Vec<IpNet>,
    admission: Admission,
}

/// Who is answered (PROVISIONING.md S1).
#[derive(Debug, Clone, Default)]
pub struct Admission {
    pub network: Network,
    /// Canonical paths that servers call, from wherever they are: what comes there is signed, what is answered there
    /// is public.
    pub open_to_all: Vec<String>,
}

impl Admission {
    fn admits(&self, client: IpAddr, path: &CanonicalPath) -> bool {
        self.network.admits(client) || self.open_to_all.iter().any(|open| open == path.as_str())
    }
}

/// A public URL that has no host.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the public URL {0} has no host that can stand in a header")]
pub struct NoAuthority(String);

impl Frontage {
    pub fn new(
        public_url: &Url,
        trusted_hops: Vec<IpNet>,
        admission: Admission,
    ) -> Result<Self, NoAuthority> {
        let no_authority = || NoAuthority(public_url.to_string());
        let host = public_url.host_str().ok_or_else(no_authority)?;
        let port = public_url.port_or_known_default().ok_or_else(no_authority)?;
        let authority_with_port = format!("{host}:{port}");
        let authority = match public_url.port() {
            Some(_) => authority_with_port.clone(),
            None => host.to_owned(),
        };
        let authority_header = HeaderValue::from_str(&authority).map_err(|_| no_authority())?;
        let scheme = if public_url.scheme() == "https" { "https" } else { "http" };
        Ok(Self { authority, authority_with_port, authority_header, scheme, trusted_hops, admission })
    }

    /// The public authority, as `Host` has it upstream.
    #[must_use]
    pub fn authority(&self) -> &HeaderValue {
        &self.authority_header
    }

    /// `https` or `http`, as browsers see it.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    fn is_ours(&self, authority: &str) -> bool {
        authority.eq_ignore_ascii_case(&self.authority)
            || authority.eq_ignore_ascii_case(&self.authority_with_port)
    }

    fn trusts(&self, hop: IpAddr) -> bool {
        self.trusted_hops.iter().any(|network| network.contains(&hop))
    }

    /// The client's address: the peer's, unless that is a trusted hop; then the last entry of
    /// `X-Forwarded-For` that is no trusted hop.
    ///
    /// SECURITY: lessons 4 and 7. Read from the right, and nothing left of the first untrusted hop counts;
    /// an entry that is no address ends the walk at the hop that sent it.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if self.trusted_hops.is_empty() || !self.trusts(peer) {
            return peer;
        }
        let mut client = peer;
        let values: Vec<&HeaderValue> = headers.get_all("x-forwarded-for").iter().collect();
        for entry in values.iter().rev().flat_map(|value| value.to_str().unwrap_or("?").rsplit(',')) {
            let Ok(address) = entry.trim().parse::<IpAddr>() else { return client };
            client = address.to_canonical();
            if !self.trusts(client) {
                return client;
            }
        }
        client
    }
}

/// A request whose host, path and framing were checked. Made only here.
pub struct Inbound {
    parts: Parts,
    body: Incoming,
    path: CanonicalPath,
    client: IpAddr,
    peer: IpAddr,
    chunked: bool,
}

/// A request that is refused before anybody asks who sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error("the request has no Host")]
    NoHost,
    #[error("the request names several hosts")]
    SeveralHosts,
    #[error("the request is for another host than the public URL's")]
    ForeignHost,
    #[error("the method {0} is not served")]
    Method(Method),
    #[error("the transfer coding is not chunked alone")]
    TransferCoding,
    #[error("Content-Length stands beside Transfer-Encoding, or is there twice")]
    Framing,
    #[error("S1: {client} is in no network that may come in (network.allow, network.deny)")]
    Network { client: IpAddr },
    #[error("the query contains a control character or a blank")]
    Query,
}

impl Inbound {
    /// Checks a request in the form that the HTTP library gives it.
    pub fn new(request: Request<Incoming>, peer: IpAddr, frontage: &Frontage) -> Result<Self, RequestError> {
        let (parts, body) = request.into_parts();
        if matches!(parts.method, Method::CONNECT | Method::TRACE) {
            return Err(RequestError::Method(parts.method));
        }
        let chunked = framing(&parts.headers)?;
        authority(&parts, frontage)?;
        let path = CanonicalPath::parse(parts.uri.path())?;
        if parts.uri.query().is_some_and(|query| query.bytes().any(|b| b <= b' ' || b == 0x7f || b == b'#')) {
            return Err(RequestError::Query);
        }
        let client = frontage.client(peer, &parts.headers);
        if !frontage.admission.admits(client, &path) {
            return Err(RequestError::Network { client });
        }
        Ok(Self { parts, body, path, client, peer: peer.to_canonical(), chunked })
    }

    #[must_use]
    pub fn path(&self) -> &CanonicalPath {
        &self.path
    }

    /// The raw query; never part of a decision (lesson 11).
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.parts.uri.query()
    }

    #[must_use]
    pub fn method(&self) -> &Method {
        &self.parts.method
    }

    /// Proven, see [`Frontage`].
    #[must_use]
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// The other end of the connection; no part of any decision.
    #[must_use]
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// The client's own headers. For a decision only what cannot be forged to any use may be read here: our
    /// cookies, and what says how an answer should look.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    #[must_use]
    pub fn version(&self) -> Version {
        self.parts.version
    }

    /// Whether the connection must not be believed after this request (invariant 7): the HTTP library
    /// normalises what stands beside a chunked body, so a second reading cannot be excluded.
    #[must_use]
    pub fn ends_connection(&self) -> bool {
        self.chunked
    }

    /// Path and query as they go upstream.
    #[must_use]
    pub fn path_and_query(&self) -> String {
        match self.query() {
            Some(query) => format!("{}?{query}", self.path.as_str()),
            None => self.path.as_str().to_owned(),
        }
    }

    /// [`Inbound::path_and_query`] as a request target in origin form (RFC 9112, 3.2.1); what came in that very
    /// form is not put together again.
    ///
    /// # Errors
    /// Where it cannot stand in a request line.
    pub fn target(&self) -> Result<Uri, InvalidUri> {
        let uri = &self.parts.uri;
        let same = uri.scheme().is_none() && uri.authority().is_none() && uri.path() == self.path.as_str();
        if same { Ok(uri.clone()) } else { Uri::try_from(self.path_and_query()) }
    }

    /// The request apart, with the URI as it came; the path to use is [`Inbound::path`].
    pub fn into_parts(self) -> (Parts, Incoming, CanonicalPath) {
        (self.parts, self.body, self.path)
    }
}

/// Whether the body is chunked; refuses what two parsers could cut differently.
fn framing(headers: &HeaderMap) -> Result<bool, RequestError> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    match (codings.next(), lengths.next()) {
        (None, None) => Ok(false),
        (None, Some(length)) => {
            let digits = !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit);
            if digits && lengths.next().is_none() { Ok(false) } else { Err(RequestError::Framing) }
        }
        (Some(coding), None) => {
            let alone = codings.next().is_none() && coding.as_bytes().eq_ignore_ascii_case(b"chunked");
            if alone { Ok(true) } else { Err(RequestError::TransferCoding) }
        }
        (Some(_), Some(_)) => Err(RequestError::Framing),
    }
}

/// One host, and it is ours (RFC 9110, 7.2 and 7.4; RFC 9113, 8.3.1).
fn authority(parts: &Parts, frontage: &Frontage) -> Result<(), RequestError> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(RequestError::SeveralHosts);
    }
    let host = host.map(|value| value.to_str().map_err(|_| RequestError::ForeignHost)).transpose()?;
    let target = parts.uri.authority().map(Authority::as_str);
    match (target, host) {
        (None, None) => Err(RequestError::NoHost),
        (Some(one), None) | (None, Some(one)) => ours(one, frontage),
        (Some(target), Some(host)) if target.eq_ignore_ascii_case(host) => ours(host, frontage),
        (Some(_), Some(_)) => Err(RequestError::SeveralHosts),
    }
}

fn ours(authority: &str, frontage: &Frontage) -> Result<(), RequestError> {
    if frontage.is_ours(authority) { Ok(()) } else { Err(RequestError::ForeignHost) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frontage(url: &str, hops: &[&str]) -> Frontage {
        let hops = hops.iter().map(|hop| hop.parse().unwrap()).collect();
        Frontage::new(&url.parse().unwrap(), hops, Admission::default()).unwrap()
    }

    fn client(hops: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        frontage("https://app.example", hops).client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn lesson_7_forwarded_addresses_from_an_untrusted_peer_are_not_read() {
        assert_eq!(client(&[], "192.0.2.9", &["10.0.0.1"]), "192.0.2.9");
        assert_eq!(client(&["10.0.0.0/8"], "192.0.2.9", &["203.0.113.5"]), "192.0.2.9");
    }

    #[test]
    fn lesson_7_the_last_untrusted_hop_is_the_client() {
        let hops = &["10.0.0.0/8"][..];
        assert_eq!(client(hops, "10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client(hops, "10.0.0.1", &["203.0.113.5"]), "203.0.113.5");
        assert_eq!(client(hops, "10.0.0.1", &["1.1.1.1, 203.0.113.5, 10.0.0.2"]), "203.0.113.5");
        assert_eq!(client(hops, "10.0.0.1", &["1.1.1.1", "203.0.113.5"]), "203.0.113.5");
        assert_eq!(client(hops, "10.0.0.1", &["203.0.113.5, junk"]), "10.0.0.1");
        assert_eq!(client(hops, "10.0.0.1", &["203.0.113.5, junk, 10.0.0.3"]), "10.0.0.3");
        assert_eq!(client(hops, "::ffff:10.0.0.1", &["203.0.113.5"]), "203.0.113.5");
    }

    fn host(url: &str, target: &str, hosts: &[&str]) -> Result<(), RequestError> {
        let mut request = Request::builder().uri(target);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        authority(&request.body(()).unwrap().into_parts().0, &frontage(url, &[]))
    }

    #[test]
    fn the_public_authority_passes_in_both_spellings() {
        for value in ["app.example", "APP.example", "app.example:443"] {
            assert_eq!(host("https://app.example", "/", &[value]), Ok(()), "{value}");
            assert_eq!(host("https://app.example", &format!("https://{value}/"), &[]), Ok(()), "{value}");
        }
        assert_eq!(host("http://127.0.0.1:8080", "/", &["127.0.0.1:8080"]), Ok(()));
    }

    #[test]
    fn the_scheme_is_the_public_urls() {
        assert_eq!(frontage("https://app.example", &[]).scheme(), "https");
        assert_eq!(frontage("http://127.0.0.1:8080", &[]).scheme(), "http");
    }

    #[test]
    fn lesson_18_a_foreign_host_is_refused() {
        for value in
            ["evil.test", "app.example.evil.test", "app.example:444", "app.example:", "", "xapp.example"]
        {
            assert_eq!(host("https://app.example", "/", &[value]), Err(RequestError::ForeignHost), "{value}");
        }
        assert_eq!(host("http://127.0.0.1:8080", "/", &["127.0.0.1"]), Err(RequestError::ForeignHost));
    }

    #[test]
    fn two_hosts_or_none_are_refused() {
        let url = "https://app.example";
        assert_eq!(host(url, "/", &[]), Err(RequestError::NoHost));
        assert_eq!(host(url, "/", &["app.example", "app.example"]), Err(RequestError::SeveralHosts));
        assert_eq!(host(url, "https://app.example/", &["evil.test"]), Err(RequestError::SeveralHosts));
        assert_eq!(host(url, "https://evil.test/", &["app.example"]), Err(RequestError::SeveralHosts));
        assert_eq!(host(url, "https://evil.test/", &["evil.test"]), Err(RequestError::ForeignHost));
    }

    fn framed(lines: &[(&str, &str)]) -> Result<bool, RequestError> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
        }
        framing(&headers)
    }

    #[test]
    fn invariant_7_one_unambiguous_framing_passes() {
        assert_eq!(framed(&[]), Ok(false));
        assert_eq!(framed(&[("content-length", "12")]), Ok(false));
        assert_eq!(framed(&[("transfer-encoding", "Chunked")]), Ok(true));
    }

    #[test]
    fn invariant_7_what_two_parsers_could_cut_differently_is_refused() {
        for lines in [
            &[("content-length", "1"), ("transfer-encoding", "chunked")][..],
            &[("content-length", "1"), ("content-length", "2")],
            &[("content-length", "1"), ("content-length", "1")],
            &[("content-length", "+1")],
            &[("content-length", "1, 1")],
            &[("content-length", "")],
        ] {
            assert_eq!(framed(lines), Err(RequestError::Framing), "{lines:?}");
        }
        for lines in [
            &[("transfer-encoding", "gzip, chunked")][..],
            &[("transfer-encoding", "chunked, identity")],
            &[("transfer-encoding", "xchunked")],
            &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
        ] {
            assert_eq!(framed(lines), Err(RequestError::TransferCoding), "{lines:?}");
        }
    }
}
