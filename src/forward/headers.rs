//! The one choke point that builds an upstream request's headers: it removes first, then sets.

use std::net::IpAddr;

use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Version};

use super::cookies::Cookies;
use super::managed::{Managed, Standing};
use crate::model::SessionHash;

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
    cookies: Cookies,
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
    /// The session that the application's own cookies must belong to.
    pub session: Option<&'a SessionHash>,
}

impl Firewall {
    /// `identity_headers`: every name that `[headers]`, `[upstream_token]` and the recipe's trusted headers
    /// have.
    pub fn new<'a>(
        identity_headers: impl IntoIterator<Item = &'a str>,
        cookies: Cookies,
        host: HeaderValue,
        scheme: &'static str,
    ) -> Self {
        Self {
            managed: Managed::new(identity_headers),
            cookies,
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
            cookies: self.cookies.clone(),
            host: apart(&self.host),
            scheme: self.scheme.clone(),
        }
    }

    /// Turns a client's headers into those of the upstream request.
    pub fn rewrite(&self, headers: &mut HeaderMap, said: Said<'_>) -> Stripped {
        let stripped = self.remove(headers, said.session);
        self.set(headers, said);
        stripped
    }

    /// SECURITY: invariant 3. What `Connection` names goes first, before anything of ours is there to be
    /// named (lesson 6).
    fn remove(&self, headers: &mut HeaderMap, session: Option<&SessionHash>) -> Stripped {
        remove_connection_fields(headers);
        remove_connection_login(headers);
        let stripped = self.remove_managed(headers);
        self.cookies.to_application(headers, session);
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
    pub fn clean_response(&self, headers: &mut HeaderMap, session: Option<&SessionHash>) {
        remove_connection_fields_but_length(headers);
        remove_connection_challenge(headers);
        self.cookies.to_browser(headers, session);
    }

    /// Which cookies are whose.
    #[must_use]
    pub fn cookies(&self) -> &Cookies {
        &self.cookies
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

/// SECURITY: NTLM and Negotiate sign in a connection, not a request (RFC 4559, 6), and ours are shared: one
/// person's login would serve the next one. So neither the answer to such a challenge nor the challenge pass.
fn remove_connection_login(headers: &mut HeaderMap) {
    if headers.get_all(header::AUTHORIZATION).iter().any(is_connection_login) {
        headers.remove(header::AUTHORIZATION);
    }
}

fn remove_connection_challenge(headers: &mut HeaderMap) {
    if headers.get_all(header::WWW_AUTHENTICATE).iter().any(is_connection_login) {
        let kept: Vec<HeaderValue> = headers
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .filter(|value| !is_connection_login(value))
            .cloned()
            .collect();
        headers.remove(header::WWW_AUTHENTICATE);
        for value in kept {
            headers.append(header::WWW_AUTHENTICATE, value);
        }
    }
}

fn is_connection_login(value: &HeaderValue) -> bool {
    let mut words = value.as_bytes().split(|byte| matches!(byte, b' ' | b',' | b'\t'));
    words.any(|word| word.eq_ignore_ascii_case(b"ntlm") || word.eq_ignore_ascii_case(b"negotiate"))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::KeyRing;

    const COOKIE_PREFIX: &str = "__Host-narthex";

    fn firewall() -> Firewall {
        let names = ["X-WEBAUTH-USER", "X-WEBAUTH-EMAIL", "X-Narthex-Token", "X-Remote-Groups"];
        Firewall::new(
            names,
            Cookies::new(COOKIE_PREFIX, Vec::new(), &KeyRing::new(&[1; 32])),
            HeaderValue::from_static("app.example"),
            "https",
        )
    }

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn said(identity: &[(HeaderName, HeaderValue)]) -> Said<'_> {
        Said {
            client: "192.0.2.7".parse().unwrap(),
            request_id: HeaderValue::from_static("0123456789abcdef"),
            traceparent: HeaderValue::from_static("00-1-2-01"),
            identity,
            token: None,
            upgrade: None,
            trailers: false,
            session: None,
        }
    }

    fn ada() -> [(HeaderName, HeaderValue); 1] {
        [(HeaderName::from_static("x-webauth-user"), HeaderValue::from_static("ada"))]
    }

    /// What the upstream gets of these lines, from an anonymous client.
    fn anonymous(lines: &[(&str, &str)]) -> (HeaderMap, Stripped) {
        let mut headers = headers(lines);
        let stripped = firewall().rewrite(&mut headers, said(&[]));
        (headers, stripped)
    }

    /// The same with ada's session.
    fn signed_in(lines: &[(&str, &str)]) -> (HeaderMap, Stripped) {
        let mut headers = headers(lines);
        let stripped = firewall().rewrite(&mut headers, said(&ada()));
        (headers, stripped)
    }

    fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// The names of what narthex says of every request.
    fn own() -> Vec<String> {
        let mut names: Vec<String> = anonymous(&[]).0.keys().map(ToString::to_string).collect();
        names.sort();
        names
    }

    #[test]
    fn lessons_1_and_2_a_forged_identity_header_is_gone_in_every_spelling() {
        for name in [
            "x-webauth-user",
            "X-WEBAUTH-USER",
            "x_webauth_user",
            "x.webauth.user",
            "x-webauth_user",
            "x-webauth--user",
            "xwebauthuser",
            "x~webauth~user",
            "x-webauth-user-",
            "x-narthex-token",
            "x_narthex_token",
            "x-remote-groups",
            "x_remote-groups",
        ] {
            let (headers, stripped) = anonymous(&[(name, "root")]);
            assert!(headers.values().all(|value| value != "root"), "{name}");
            assert_eq!(stripped.managed + stripped.aliases, 1, "{name}");
            let (headers, _) = signed_in(&[(name, "root")]);
            assert!(headers.values().all(|value| value != "root"), "{name}");
            assert_eq!(values(&headers, "x-webauth-user"), ["ada"], "{name}");
        }
    }

    #[test]
    fn lesson_2_usual_and_unusual_spellings_are_counted_apart() {
        let (_, stripped) = anonymous(&[
            ("x-webauth-user", "a"),
            ("x-webauth-user", "b"),
            ("x_webauth_user", "c"),
            ("x.webauth.email", "d"),
            ("accept", "text/html"),
        ]);
        assert_eq!(stripped, Stripped { managed: 1, aliases: 2 });
        assert_eq!(anonymous(&[("accept", "text/html")]).1, Stripped::default());
    }

    #[test]
    fn lesson_3_what_a_client_says_of_forwarding_is_replaced_or_gone() {
        let (headers, _) = anonymous(&[
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-host", "evil.test"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-uri", "/public"),
            ("x-forwarded-user", "root"),
            ("x-forwarded-port", "1"),
            ("x-forwarded-prefix", "/x"),
            ("x-original-url", "/admin"),
            ("x-rewrite-url", "/admin"),
            ("forwarded", "for=10.0.0.1;host=evil.test"),
            ("x-real-ip", "10.0.0.1"),
            ("true-client-ip", "10.0.0.1"),
            ("proxy", "http://evil.test"),
            ("host", "evil.test"),
            ("x-request-id", "mine"),
            ("traceparent", "00-mine"),
        ]);
        let mut names: Vec<String> = headers.keys().map(ToString::to_string).collect();
        names.sort();
        assert_eq!(names, own());
        assert_eq!(values(&headers, "host"), ["app.example"]);
        assert_eq!(values(&headers, "x-forwarded-host"), ["app.example"]);
        assert_eq!(values(&headers, "x-forwarded-proto"), ["https"]);
        assert_eq!(values(&headers, "x-forwarded-for"), ["192.0.2.7"]);
        assert_eq!(values(&headers, "x-real-ip"), ["192.0.2.7"]);
        assert_eq!(values(&headers, "x-request-id"), ["0123456789abcdef"]);
        assert_eq!(values(&headers, "traceparent"), ["00-1-2-01"]);
    }

    #[test]
    fn lesson_5_a_health_checkers_user_agent_gets_no_identity() {
        let (headers, _) = anonymous(&[("user-agent", "kube-probe/1.30"), ("x-webauth-user", "root")]);
        assert_eq!(values(&headers, "user-agent"), ["kube-probe/1.30"]);
        assert!(!headers.contains_key("x-webauth-user"));
    }

    #[test]
    fn lesson_6_connection_cannot_name_a_header_of_ours_away() {
        for named in [
            "x-webauth-user",
            "X-WEBAUTH-USER",
            "close, x-webauth-user",
            "close,X-WebAuth-User ,x-forwarded-for",
            "x-forwarded-for, x-forwarded-proto, x-forwarded-host, x-real-ip, host, x-request-id",
        ] {
            let (headers, _) = signed_in(&[("connection", named)]);
            assert_eq!(values(&headers, "x-webauth-user"), ["ada"], "{named}");
            assert_eq!(values(&headers, "x-forwarded-for"), ["192.0.2.7"], "{named}");
            assert_eq!(values(&headers, "x-forwarded-proto"), ["https"], "{named}");
            assert_eq!(values(&headers, "host"), ["app.example"], "{named}");
            assert!(!headers.contains_key("connection"), "{named}");
        }
    }

    #[test]
    fn lesson_6_what_connection_names_stays_on_its_connection() {
        for lines in [
            &[("connection", "x-hop"), ("x-hop", "1")][..],
            &[("connection", "keep-alive, X-Hop"), ("x-hop", "1")],
            &[("connection", "keep-alive"), ("connection", "x-hop"), ("x-hop", "1")],
            &[("connection", "close"), ("connection", "x-hop"), ("x-hop", "1")],
            &[("connection", " ,, x-hop\t,"), ("x-hop", "1"), ("x-hop", "2")],
            &[("connection", "\"quoted, x-hop"), ("x-hop", "1")],
        ] {
            assert!(!anonymous(lines).0.contains_key("x-hop"), "{lines:?}");
        }
        for connection in ["keep-alive", "close", "Keep-Alive", "x-ho", "x-hopp"] {
            let (headers, _) = anonymous(&[("connection", connection), ("x-hop", "1")]);
            assert_eq!(values(&headers, "x-hop"), ["1"], "{connection}");
        }
    }

    #[test]
    fn rfc_9110_7_6_1_fields_of_one_connection_go_no_further() {
        let fields = [
            ("connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic eA=="),
            ("proxy-authenticate", "Basic"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("expect", "100-continue"),
            ("http2-settings", "AAMAAABkAAQAoAAAAAIAAAAA"),
        ];
        for (name, value) in fields {
            assert!(!anonymous(&[(name, value)]).0.contains_key(name), "{name}");
            let mut response = headers(&[(name, value)]);
            firewall().clean_response(&mut response, None);
            assert!(response.is_empty(), "{name}");
        }
    }

    #[test]
    fn invariant_7_the_length_is_written_anew_upstream_and_kept_downstream() {
        assert!(!anonymous(&[("content-length", "5")]).0.contains_key("content-length"));
        let mut response = headers(&[("content-length", "5")]);
        firewall().clean_response(&mut response, None);
        assert_eq!(values(&response, "content-length"), ["5"], "a HEAD response has one without a body");
    }

    #[test]
    fn lesson_8_a_request_without_session_carries_no_identity_whatever_it_says() {
        let (headers, stripped) = anonymous(&[
            ("x-webauth-user", "root"),
            ("x-webauth-email", "root@app.example"),
            ("x-narthex-token", "eyJ"),
            ("x-remote-groups", "admins"),
        ]);
        let mut names: Vec<String> = headers.keys().map(ToString::to_string).collect();
        names.sort();
        assert_eq!(names, own());
        assert_eq!(stripped, Stripped { managed: 4, aliases: 0 });
    }

    #[test]
    fn lesson_9_ours_replaces_instead_of_standing_beside() {
        let (headers, _) = signed_in(&[
            ("x-webauth-user", "root"),
            ("x-webauth-user", "admin"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-for", "10.0.0.2"),
            ("host", "a.test"),
            ("host", "b.test"),
        ]);
        assert_eq!(values(&headers, "x-webauth-user"), ["ada"]);
        assert_eq!(values(&headers, "x-forwarded-for"), ["192.0.2.7"]);
        assert_eq!(values(&headers, "host"), ["app.example"]);
    }

    #[test]
    fn invariant_1_an_identity_header_that_this_session_lacks_does_not_come_from_the_client() {
        let (headers, _) = signed_in(&[("x-webauth-email", "root@app.example")]);
        assert!(!headers.contains_key("x-webauth-email"));
    }

    #[test]
    fn invariant_2_the_upstream_token_is_ours_alone() {
        let name = HeaderName::from_static("x-narthex-token");
        let mut headers = headers(&[("x-narthex-token", "forged"), ("x_narthex_token", "forged")]);
        let token = Some((&name, HeaderValue::from_static("ours")));
        let stripped = firewall().rewrite(&mut headers, Said { token, ..said(&[]) });
        assert_eq!(values(&headers, "x-narthex-token"), ["ours"]);
        assert!(!headers.contains_key("x_narthex_token"));
        assert_eq!(stripped, Stripped { managed: 1, aliases: 1 });
    }

    #[test]
    fn what_is_none_of_ours_passes_unchanged() {
        let lines = [
            ("accept", "text/html"),
            ("accept", "*/*"),
            ("authorization", "Bearer x"),
            ("content-type", "text/plain"),
            ("origin", "https://app.example"),
            ("x-webauth-users", "1"),
            ("x-csrf-token", "t"),
            // Announced trailers are sent; the firewall sees them when they come.
            ("trailer", "grpc-status"),
        ];
        let (got, stripped) = anonymous(&lines);
        for (name, _) in lines {
            assert_eq!(values(&got, name), values(&headers(&lines), name), "{name}");
        }
        assert_eq!(stripped, Stripped::default());
    }

    fn cookies(lines: &[&str]) -> Vec<String> {
        let lines: Vec<(&str, &str)> = lines.iter().map(|line| ("cookie", *line)).collect();
        values(&anonymous(&lines).0, "cookie").into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn our_cookies_do_not_reach_the_application() {
        for (sent, kept) in [
            (&["__Host-narthex=secret"][..], &[][..]),
            (&["a=1; __Host-narthex=secret; b=2"], &["a=1; b=2"]),
            (&["__Host-narthex=secret;a=1"], &["a=1"]),
            (&["a=1;__Host-narthex-login=secret"], &["a=1"]),
            (&["a=1;\t __Host-narthex=secret ; ;b=2;"], &["a=1; b=2"]),
            (&["__Host-narthex=secret", "a=1", "b=2"], &["a=1; b=2"]),
            (&["__Host-narthex=s1; __Host-narthex=s2"], &[]),
            // Named so only in their values, or by a longer name.
            (&["a=__Host-narthex; x__Host-narthex=1"], &["a=__Host-narthex; x__Host-narthex=1"]),
            (&["a=1;  b=2;", "c"], &["a=1; b=2; c"]),
        ] {
            assert_eq!(cookies(sent), kept, "{sent:?}");
        }
    }

    #[test]
    fn the_application_cannot_set_a_cookie_of_ours() {
        for line in [
            "__Host-narthex=x; Path=/",
            "__host-NARTHEX=x",
            " __Host-narthex=x",
            "__Host-narthex-login=x",
            "__Host-narthex=; Max-Age=0",
            // A cookie without name is sent back as its bare value, which then reads as one of ours.
            "=__Host-narthex=x",
            " = __Host-narthex=x; Path=/",
        ] {
            let mut response = headers(&[("set-cookie", "a=1"), ("set-cookie", line), ("set-cookie", "b=2")]);
            firewall().clean_response(&mut response, None);
            assert_eq!(values(&response, "set-cookie"), ["a=1", "b=2"], "{line}");
        }
        let mut response =
            headers(&[("set-cookie", "a=__Host-narthex; Path=/"), ("set-cookie", "x__Host-narthex=1")]);
        firewall().clean_response(&mut response, None);
        assert_eq!(values(&response, "set-cookie").len(), 2);
    }

    #[test]
    fn a_login_that_would_sign_in_the_shared_connection_passes_neither_way() {
        for value in ["NTLM TlRMTVNTUAAB", "ntlm x", "Negotiate YII", "NEGOTIATE\tYII"] {
            assert!(!anonymous(&[("authorization", value)]).0.contains_key("authorization"), "{value}");
            let (headers, _) = anonymous(&[("authorization", "Bearer x"), ("authorization", value)]);
            assert!(!headers.contains_key("authorization"), "{value}");
        }
        for value in ["Bearer ntlmx", "Basic bnRsbTp4", "Digest username=\"negotiator\""] {
            let (headers, _) = anonymous(&[("authorization", value)]);
            assert_eq!(values(&headers, "authorization"), [value]);
        }
        let challenges = [
            ("www-authenticate", "Negotiate"),
            ("www-authenticate", "Basic realm=\"x\""),
            ("www-authenticate", "Bearer, NTLM"),
            ("www-authenticate", "Bearer"),
        ];
        let mut response = headers(&challenges);
        firewall().clean_response(&mut response, None);
        assert_eq!(values(&response, "www-authenticate"), ["Basic realm=\"x\"", "Bearer"]);
    }

    #[test]
    fn what_the_applications_connection_names_stays_there() {
        let mut response = headers(&[
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("etag", "\"1\""),
            ("keep-alive", "timeout=5"),
        ]);
        firewall().clean_response(&mut response, None);
        assert_eq!(response, headers(&[("etag", "\"1\"")]));
    }

    #[test]
    fn invariant_1_trailers_pass_the_same_firewall() {
        let mut trailers = headers(&[
            ("x-webauth-user", "root"),
            ("x_webauth_user", "root"),
            ("x-forwarded-for", "10.0.0.1"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("content-length", "1"),
            ("host", "evil.test"),
            ("cookie", "a=1"),
            ("set-cookie", "a=1"),
            ("authorization", "Bearer x"),
            ("content-type", "text/html"),
            ("grpc-status", "0"),
        ]);
        firewall().clean_trailers(&mut trailers);
        assert_eq!(trailers, headers(&[("grpc-status", "0")]));
    }

    fn upgrade(lines: &[(&str, &str)]) -> Option<String> {
        let wanted = wanted_upgrade(&headers(lines), Version::HTTP_11);
        wanted.map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn an_upgrade_is_wanted_where_connection_says_so_too() {
        for connection in ["upgrade", "Upgrade", "keep-alive, Upgrade", "keep-alive ,upgrade,"] {
            let lines = [("connection", connection), ("upgrade", "websocket")];
            assert_eq!(upgrade(&lines).as_deref(), Some("websocket"), "{connection}");
        }
        assert_eq!(upgrade(&[("upgrade", "websocket")]), None);
        assert_eq!(upgrade(&[("connection", "upgrades"), ("upgrade", "websocket")]), None);
        assert_eq!(upgrade(&[("connection", "upgrade")]), None);
        assert_eq!(upgrade(&[("connection", "upgrade"), ("upgrade", "")]), None);
        let lines = headers(&[("connection", "upgrade"), ("upgrade", "websocket")]);
        assert_eq!(wanted_upgrade(&lines, Version::HTTP_2), None);
        assert_eq!(wanted_upgrade(&lines, Version::HTTP_10), None);
    }

    #[test]
    fn no_version_of_http_is_ever_switched_to() {
        for protocol in
            ["h2c", "H2C", "h2", "HTTP/2.0", "http/1.1", "TLS/1.0", "tls", "websocket, h2c", "h2c, websocket"]
        {
            assert_eq!(upgrade(&[("connection", "upgrade"), ("upgrade", protocol)]), None, "{protocol}");
        }
        let two = [("connection", "upgrade"), ("upgrade", "websocket"), ("upgrade", "h2c")];
        assert_eq!(upgrade(&two), None);
    }

    #[test]
    fn only_an_upgrade_that_narthex_agreed_to_goes_on() {
        let asked = [("connection", "upgrade, http2-settings"), ("upgrade", "h2c"), ("http2-settings", "AA")];
        let (refused, _) = anonymous(&asked);
        for name in ["connection", "upgrade", "http2-settings"] {
            assert!(!refused.contains_key(name), "{name}");
        }
        let mut agreed = headers(&[("connection", "upgrade"), ("upgrade", "websocket")]);
        let protocol = wanted_upgrade(&agreed, Version::HTTP_11);
        firewall().rewrite(&mut agreed, Said { upgrade: protocol, ..said(&[]) });
        assert_eq!(values(&agreed, "connection"), ["upgrade"]);
        assert_eq!(values(&agreed, "upgrade"), ["websocket"]);
    }

    #[test]
    fn trailers_are_asked_for_upstream_where_the_client_takes_them() {
        for (te, takes) in [("trailers", true), ("gzip, Trailers", true), ("gzip", false), ("trailer", false)]
        {
            assert_eq!(takes_trailers(&headers(&[("te", te)])), takes, "{te}");
        }
        assert!(!takes_trailers(&HeaderMap::new()));
        let mut request = headers(&[("te", "gzip, trailers")]);
        firewall().rewrite(&mut request, Said { trailers: true, ..said(&[]) });
        assert_eq!(values(&request, "te"), ["trailers"]);
    }
}
