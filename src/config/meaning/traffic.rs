//! `[[route]]`, `[headers]`, `[upstream_token]`.

use http::HeaderName;

use super::{Meaning, Reported, folded};
use crate::config::document::{Step, shown, steps};
use crate::config::raw::{self, Raw};
use crate::config::settings::{Access, Header, Route, Server, UpstreamToken};
use crate::expr::{Condition, Place, Template};

/// Names that an identity header cannot have, folded, with what they are for.
const TAKEN: &[(&[&str], &str)] = &[
    (&["host"], "it says which host a request is for"),
    (
        &[
            "connection",
            "keepalive",
            "proxyconnection",
            "proxyauthenticate",
            "proxyauthorization",
            "te",
            "trailer",
            "upgrade",
            "http2settings",
            "expect",
        ],
        "it belongs to one connection",
    ),
    (
        &["contentlength", "transferencoding", "contenttype", "contentencoding", "contentrange", "range"],
        "it describes the body",
    ),
    (&["cookie", "setcookie"], "cookies are the browser's and the application's"),
    (&["authorization"], "the application would take it for credentials of its own"),
    (
        &[
            "forwarded",
            "xforwardedfor",
            "xforwardedhost",
            "xforwardedproto",
            "xforwardedport",
            "xforwardedprefix",
            "xforwardedserver",
            "xforwardeduri",
            "xforwardedmethod",
            "xrealip",
            "xoriginalurl",
            "xoriginaluri",
            "xoriginalmethod",
            "xoriginalhost",
            "xrequestid",
            "traceparent",
            "tracestate",
        ],
        "narthex sets it itself",
    ),
];

impl Meaning<'_> {
    pub(super) fn routes(&mut self, raw: &Raw, prefix: Option<&str>) -> Option<Vec<Route>> {
        let written = raw.route.as_ref()?;
        let mut routes: Vec<Route> = Vec::new();
        for (index, one) in written.iter().enumerate() {
            let at = steps!["route", index];
            if let Some(path) = &one.path
                && routes.iter().any(|route| route.path == *path)
            {
                let at = steps!["route", index, "path"];
                self.refuse(at, format!("there are two routes for {path}"), "put what they say into one");
            }
            let path = self.route_path(one.path.as_ref(), prefix, steps!["route", index, "path"]);
            let access = self.access(one, at, raw);
            if let (Some(path), Some(access)) = (path, access) {
                let keep_encoded_slash = one.encoded_slash == Some(raw::EncodedSlash::Keep);
                let pass_identity = one.pass_identity.unwrap_or(true);
                routes.push(Route { path, access, keep_encoded_slash, pass_identity });
            }
        }
        (routes.len() == written.len()).then_some(routes)
    }

    /// The application's own session cookies.
    pub(super) fn session_cookies(&mut self, names: Option<&Vec<String>>) -> Option<Vec<String>> {
        let names = names?;
        for (index, name) in names.iter().enumerate() {
            let at = steps!["upstream", "session_cookies", index];
            if name == "*" {
                let message =
                    "`upstream.session_cookies`: * is every cookie, also those that pages' scripts read";
                self.refuse(
                    at,
                    message,
                    "name the application's session cookies; a prefix may stand before the *",
                );
                return None;
            }
            let bare = name.strip_suffix('*').unwrap_or(name);
            if !is_cookie_name(bare) {
                let message = format!("`upstream.session_cookies`: {name:?} is no name of a cookie");
                self.refuse(at, message, "write the name as in Set-Cookie, before the =; or a prefix and *");
                return None;
            }
        }
        Some(names.clone())
    }

    /// The application's own way out: canonical as a route's path, but that it may end with a slash, and is one path only.
    pub(super) fn logout_path(&mut self, text: &str) -> Option<String> {
        let at = steps!["upstream", "logout_path"];
        let refusal = if matches!(text, "/" | "//") {
            Some(("it is the application's first page", "name the path that signs out".to_owned()))
        } else {
            not_canonical(text.strip_suffix('/').unwrap_or(text))
        };
        if let Some((what, help)) = refusal {
            self.refuse(at, format!("`upstream.logout_path`: {text:?}: {what}"), help);
            return None;
        }
        Some(text.to_owned())
    }

    /// Canonical: what a request's path looks like when it is compared (SECURITY.md, invariant 4).
    fn route_path(&mut self, text: Option<&String>, prefix: Option<&str>, at: &[Step]) -> Option<String> {
        let text = text?;
        let refusal = if text.len() > 1 && text.starts_with('/') && text.ends_with('/') {
            let help =
                format!("write {:?}: it means the path and everything below", text.trim_end_matches('/'));
            Some(("a path has no slash at its end here", help))
        } else if text.starts_with('/') && text.contains('*') {
            let help = "leave the * out: a path means everything below it too, by whole segments";
            Some(("there are no patterns here", help.to_owned()))
        } else {
            not_canonical(text)
        };
        if let Some((what, help)) = refusal {
            self.refuse(at, format!("`{}`: {text:?}: {what}", shown(at)), help);
            return None;
        }
        if let Some(prefix) = prefix
            && text.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        {
            let message = format!("`{}`: {text} belongs to narthex itself", shown(at));
            self.refuse(at, message, "routes are for the application's paths; server.prefix can be changed");
            return None;
        }
        Some(text.clone())
    }

    fn access(&mut self, route: &raw::Route, at: &[Step], raw: &Raw) -> Option<Access> {
        let allow_at = [at, steps!["allow"]].concat();
        match (route.access, &route.allow) {
            (Some(raw::RouteAccess::Public), None) => Some(Access::Public),
            (Some(raw::RouteAccess::SignedIn), None) => Some(Access::SignedIn),
            (Some(raw::RouteAccess::Deny), None) => Some(Access::Deny),
            (None, Some(source)) => match Condition::compile_located(source) {
                Ok(condition) => {
                    let ids: Vec<&str> =
                        raw.idp.iter().flatten().filter_map(|idp| idp.id().map(String::as_str)).collect();
                    let known = condition
                        .named_idps()
                        .into_iter()
                        .all(|id| self.one_of("identity provider", id, &ids, &allow_at));
                    known.then_some(Access::Allow(condition))
                }
                Err(located) => {
                    self.refuse_expression(&allow_at, source, &located);
                    None
                }
            },
            (
                Some(raw::RouteAccess::Public | raw::RouteAccess::Deny | raw::RouteAccess::SignedIn),
                Some(_),
            ) => {
                let help = "leave one of them out; allow asks for a session by itself";
                self.refuse(&allow_at, "this route has both `access` and `allow`", help);
                None
            }
            (None, None) => {
                let unknown = ["access", "allow"].iter().any(|key| self.faulty(&[at, steps![*key]].concat()));
                if !unknown {
                    let help =
                        "write access = \"public\", \"signed_in\" or \"deny\", or allow = \"an expression\"";
                    self.refuse(at, "this route says neither `access` nor `allow`", help);
                }
                None
            }
        }
    }

    pub(super) fn headers(&mut self, raw: &Raw) -> Option<Vec<Header>> {
        let written = raw.headers.as_ref()?;
        let mut headers: Vec<Header> = Vec::new();
        // The map of the raw form has lost the order, the document has not.
        for key in self.document.keys_at(&["headers"]) {
            let Some(source) = written.get(key) else { continue };
            let at = steps!["headers", key];
            let name = self.header_name(key, at);
            if let Some(name) = &name
                && let Some(other) =
                    headers.iter().find(|other| folded(other.name.as_str()) == folded(name.as_str()))
            {
                let message =
                    format!("`{key}` and `{}` are one name to applications that fold names", other.name);
                self.refuse(at, message, "use one spelling");
                continue;
            }
            match Template::compile_located(source, Place::Header) {
                Ok(template) => {
                    if let Some(variable) = template.needs_account()
                        && raw.application.is_none()
                        && !self.faulty(steps!["application"])
                    {
                        let message = format!(
                            "`{key}` is never sent: it is made from {variable}, and without [application] there are \
                             never accounts here"
                        );
                        let help = "make it from claims.* (claims.preferred_username, say), or add [application] and \
                                    provisioning.mode = \"jit\"";
                        self.warn(at, message, help);
                    }
                    headers.extend(name.map(|name| Header { name, template }));
                }
                Err(located) => self.refuse_expression(at, source, &located),
            }
            if source.contains(['\r', '\n', '\0']) {
                self.refuse(at, format!("`{key}` has a line break in it"), "a header is one line");
            }
        }
        (headers.len() == written.len()).then_some(headers)
    }

    fn header_name(&mut self, text: &str, at: &[Step]) -> Option<HeaderName> {
        let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
            let help = "a name is letters, digits and hyphens";
            self.refuse(at, format!("{text:?} is no header name"), help);
            return None;
        };
        let fold = folded(text);
        if fold.is_empty() {
            self.refuse(
                at,
                format!("{text:?} has no letter or digit in it"),
                "use letters, digits and hyphens",
            );
            return None;
        }
        if let Some((_, reason)) = TAKEN.iter().find(|(names, _)| names.contains(&fold.as_str())) {
            self.refuse(at, format!("{text:?} cannot be an identity header: {reason}"), "use another name");
            return None;
        }
        Some(name)
    }

    pub(super) fn upstream_token(
        &mut self,
        raw: &Raw,
        server: Option<&Server>,
    ) -> Result<Option<UpstreamToken>, Reported> {
        let Some(token) = &raw.upstream_token else { return Ok(None) };
        let at = steps!["upstream_token", "header"];
        let header = token.header.as_ref().and_then(|text| self.header_name(text, at));
        if let Some(header) = &header {
            let fold = folded(header.as_str());
            let clash = raw.headers.iter().flatten().find(|(name, _)| folded(name) == fold);
            if let Some((name, _)) = clash {
                let message = format!("the token's header and `{name}` of [headers] are one name");
                self.refuse(steps!["upstream_token", "header"], message, "give the token a name of its own");
                return Err(Reported);
            }
        }
        let audience = match &token.audience {
            None => server.map(|server| server.public_url.origin().ascii_serialization()),
            audience => self.name(audience.as_ref(), steps!["upstream_token", "audience"]),
        };
        let token = || Some(UpstreamToken { header: header?, audience: audience? });
        token().map(Some).ok_or(Reported)
    }
}

/// A token (RFC 6265, 4.1.1; RFC 9110, 5.6.2).
fn is_cookie_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// What keeps a path from being what a request's path looks like when it is compared, and what to do.
fn not_canonical(text: &str) -> Option<(&'static str, String)> {
    if !text.starts_with('/') {
        Some(("a path starts with /", format!("write \"/{text}\"")))
    } else if text.contains(['?', '#']) {
        Some(("the query of a request is not looked at", "leave out what follows ? or #".to_owned()))
    } else if text.len() > 1 && text.split('/').skip(1).any(|segment| matches!(segment, "" | "." | "..")) {
        Some(("it has empty or dot segments", "write the path as the application sees it".to_owned()))
    } else {
        uncanonical(text)
    }
}

/// RFC 3986, 6.2.2: what may stand as it is stands as it is, the rest is percent-encoded in upper case.
fn uncanonical(text: &str) -> Option<(&'static str, String)> {
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'%' => {
                let Some((digits, tail)) = tail.split_at_checked(2) else {
                    return Some(("% is not followed by two digits", "write %25 for a % itself".to_owned()));
                };
                rest = tail;
                let value = std::str::from_utf8(digits).ok().and_then(|d| u8::from_str_radix(d, 16).ok());
                let Some(value) = value else {
                    return Some(("% is not followed by two digits", "write %25 for a % itself".to_owned()));
                };
                if value.is_ascii_alphanumeric() || b"-._~".contains(&value) {
                    let help = format!("write {} for %{value:02X}", char::from(value));
                    return Some(("it encodes what needs no encoding", help));
                }
                if matches!(value, b'/' | b'\\') || value < 0x20 || value == 0x7f {
                    return Some((
                        "it has an encoded slash, backslash or control character",
                        "requests with such paths are refused; for slashes see encoded_slash".to_owned(),
                    ));
                }
                if digits.iter().any(u8::is_ascii_lowercase) {
                    return Some(("its percent-encoding is lower-case", format!("write %{value:02X}")));
                }
            }
            b if b.is_ascii_alphanumeric() || b"/-._~!$&'()+,;=:@".contains(b) => {}
            b => {
                let what = "it has a character that must be percent-encoded in a path";
                return Some((what, format!("write %{b:02X} for this byte")));
            }
        }
    }
    None
}
