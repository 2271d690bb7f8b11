//! Cookies on their way through: ours never pass, and the application's own sessions hold within ours only.

use http::HeaderMap;
use http::header::{self, HeaderValue};

/// Where there is no session of ours, the application's sessions bear this in their name.
pub const ANONYMOUS: &str = "anonymous";

/// Which cookies are ours, and which are sessions of the application.
///
/// SECURITY: most applications believe their own session cookie before any header. Left alone it would
/// outlive logout, expiry and revocation here, work on public routes without any session of ours, and greet
/// the next person on this browser as the last one (PROVISIONING.md E7). So a declared cookie `NAME` is
/// `NAME.TAG` in the browser, with a tag of the session of ours that it was set in, and goes up only
/// together with that session, whatever its path or lifetime.
#[derive(Debug, Clone)]
pub struct Cookies {
    own_prefixes: Vec<String>,
    /// Names, or `prefix*`.
    application: Vec<String>,
}

impl Cookies {
    #[must_use]
    pub fn new(own_prefix: &str, application: Vec<String>) -> Self {
        Self { own_prefixes: vec![own_prefix.to_owned()], application }
    }

    /// With further cookies of ours that browsers may send here: those of the admin API.
    #[must_use]
    pub fn keeping(mut self, prefixes: &[&str]) -> Self {
        self.own_prefixes.extend(prefixes.iter().map(|prefix| (*prefix).to_owned()));
        self
    }

    /// Keeps of a request's cookies what the application may see, in one field (RFC 9113, 8.2.3), under the
    /// names that it gave.
    pub fn to_application(&self, headers: &mut HeaderMap, tag: &str) {
        if !headers.contains_key(header::COOKIE) {
            return;
        }
        let mut kept: Vec<u8> = Vec::new();
        for cookie in pairs(headers) {
            let (name, value) = split(cookie);
            let name = match self.kind(name) {
                Kind::Free => name,
                Kind::Application { name, tag: theirs } if theirs == tag.as_bytes() => name,
                Kind::Own | Kind::Application { .. } => continue,
            };
            if !kept.is_empty() {
                kept.extend_from_slice(b"; ");
            }
            kept.extend_from_slice(name);
            kept.extend_from_slice(value);
        }
        headers.remove(header::COOKIE);
        if let Ok(value) = HeaderValue::from_bytes(&kept)
            && !kept.is_empty()
        {
            headers.insert(header::COOKIE, value);
        }
    }

    /// Drops a response's cookies that would pass for ours and ties the application's sessions to this one.
    pub fn to_browser(&self, headers: &mut HeaderMap, tag: &str) {
        let concerned = |value: &HeaderValue| {
            let (name, _) = set(value);
            self.resembles_ours(name) || self.is_declared(name.trim_ascii_end())
        };
        if !headers.get_all(header::SET_COOKIE).iter().any(concerned) {
            return;
        }
        let rewritten: Vec<HeaderValue> =
            headers.get_all(header::SET_COOKIE).iter().filter_map(|value| self.tied(value, tag)).collect();
        headers.remove(header::SET_COOKIE);
        for value in rewritten {
            headers.append(header::SET_COOKIE, value);
        }
    }

    fn tied(&self, value: &HeaderValue, tag: &str) -> Option<HeaderValue> {
        let (name, rest) = set(value);
        if self.resembles_ours(name) {
            return None;
        }
        if !self.is_declared(name.trim_ascii_end()) {
            return Some(value.clone());
        }
        let text = [name.trim_ascii_end(), b".", tag.as_bytes(), rest].concat();
        HeaderValue::from_bytes(&text).ok()
    }

    /// `Set-Cookie` values that clear every session of the application which the browser showed.
    #[must_use]
    pub fn clearing(&self, request: &HeaderMap, secure: bool) -> Vec<HeaderValue> {
        let secure = if secure { "; Secure" } else { "" };
        pairs(request)
            .map(|cookie| split(cookie).0)
            .filter(|name| matches!(self.kind(name), Kind::Application { .. }))
            .filter_map(|name| {
                let name = std::str::from_utf8(name).ok()?;
                HeaderValue::try_from(format!("{name}=; Path=/; Max-Age=0{secure}")).ok()
            })
            .collect()
    }

    fn kind<'a>(&self, name: &'a [u8]) -> Kind<'a> {
        if self.own_prefixes.iter().any(|prefix| name.starts_with(prefix.as_bytes())) {
            return Kind::Own;
        }
        if let Some(dot) = name.iter().rposition(|byte| *byte == b'.') {
            let (bare, tag) = (name.get(..dot).unwrap_or_default(), name.get(dot + 1..).unwrap_or_default());
            if self.is_declared(bare) {
                return Kind::Application { name: bare, tag };
            }
        }
        if self.is_declared(name) { Kind::Application { name, tag: b"" } } else { Kind::Free }
    }

    fn resembles_ours(&self, name: &[u8]) -> bool {
        let mut prefixes = self.own_prefixes.iter().map(String::as_bytes);
        prefixes
            .any(|prefix| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)))
    }

    fn is_declared(&self, name: &[u8]) -> bool {
        self.application.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix.as_bytes()),
            None => name == pattern.as_bytes(),
        })
    }
}

/// Whose a cookie is, by its name in the browser.
enum Kind<'a> {
    Own,
    /// The application's session under its own name, and the session of ours that it belongs to.
    Application {
        name: &'a [u8],
        tag: &'a [u8],
    },
    Free,
}

/// The single cookies of all `Cookie` fields, whatever bytes are in them.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii)
        .filter(|cookie| !cookie.is_empty())
}

/// The name that a `Set-Cookie` gives, and the rest with its equals sign.
///
/// SECURITY: `Set-Cookie: =name=x` makes a cookie without name, which comes back as `name=x` (RFC 6265bis, 5.6);
/// so what stands behind such a sign counts as the name.
fn set(value: &HeaderValue) -> (&[u8], &[u8]) {
    let mut cookie = value.as_bytes().trim_ascii_start();
    while let Some(rest) = cookie.strip_prefix(b"=") {
        cookie = rest.trim_ascii_start();
    }
    split(cookie)
}

/// The name, and the rest with its equals sign.
fn split(cookie: &[u8]) -> (&[u8], &[u8]) {
    let end = cookie.iter().position(|byte| *byte == b'=').unwrap_or(cookie.len());
    cookie.split_at_checked(end).unwrap_or((cookie, b""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies() -> Cookies {
        Cookies::new("__Host-narthex", vec!["app_session".to_owned(), "hub-*".to_owned()])
    }

    fn up(lines: &[&[u8]], tag: &str) -> Option<Vec<u8>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        cookies().to_application(&mut headers, tag);
        assert!(headers.get_all(header::COOKIE).iter().count() <= 1);
        headers.get(header::COOKIE).map(|value| value.as_bytes().to_vec())
    }

    #[test]
    fn our_cookies_do_not_go_up_and_others_do() {
        let lines: [&[u8]; 1] = [b"a=1; __Host-narthex=x; b=2;__Host-narthex-login=y"];
        assert_eq!(up(&lines, "t").unwrap(), b"a=1; b=2");
        assert_eq!(up(&[b"__Host-narthex=x"], "t"), None);
        assert_eq!(up(&[], "t"), None);
    }

    #[test]
    fn s5_the_admin_apis_cookies_neither_go_up_nor_come_down() {
        // A plain name beside a secure prefix, and the other way round: cookies know no ports.
        for own in ["__Host-narthex", "narthex-8080"] {
            let cookies = Cookies::new(own, Vec::new()).keeping(&["__Host-narthex-", "narthex-admin-"]);
            let mut headers = HeaderMap::new();
            let sent = "a=1; narthex-admin-9091=x; __Host-narthex-admin=y; narthex-admin-9091-login=z";
            headers.append(header::COOKIE, sent.parse().unwrap());
            headers.append(header::SET_COOKIE, "Narthex-Admin-9091=mine; Path=/".parse().unwrap());
            headers.append(header::SET_COOKIE, "__host-narthex-admin=mine; Path=/".parse().unwrap());
            cookies.to_application(&mut headers, "t");
            cookies.to_browser(&mut headers, "t");
            assert_eq!(headers[header::COOKIE], "a=1", "{own}");
            assert!(!headers.contains_key(header::SET_COOKIE), "{own}");
        }
    }

    #[test]
    fn e7_the_applications_session_goes_up_within_the_session_that_it_was_set_in_only() {
        let lines: [&[u8]; 1] = [b"app_session.aaaa=ada; hub-login.aaaa=1; hub-login.bbbb=2; x=y"];
        assert_eq!(up(&lines, "aaaa").unwrap(), b"app_session=ada; hub-login=1; x=y");
        assert_eq!(up(&lines, "bbbb").unwrap(), b"hub-login=2; x=y");
        assert_eq!(up(&lines, ANONYMOUS).unwrap(), b"x=y");
        assert_eq!(up(&[b"app_session=bare; hub-x=bare"], "aaaa"), None);
        assert_eq!(up(&[b"app_session.=empty; hub-login.aaaa.bbbb=x"], "aaaa"), None);
    }

    #[test]
    fn several_fields_become_one_and_odd_bytes_are_kept() {
        let lines: [&[u8]; 2] = [b"a=1", b"b=\xff\xe9"];
        assert_eq!(up(&lines, "t").unwrap(), b"a=1; b=\xff\xe9");
    }

    fn down(lines: &[&str], tag: &str) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::SET_COOKIE, line.parse().unwrap());
        }
        cookies().to_browser(&mut headers, tag);
        headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn e7_the_applications_session_is_tied_to_ours_on_its_way_down() {
        assert_eq!(
            down(&["app_session=1; Path=/hub/; HttpOnly", "x=2", "hub-login=3"], "aaaa"),
            ["app_session.aaaa=1; Path=/hub/; HttpOnly", "x=2", "hub-login.aaaa=3"]
        );
        assert_eq!(down(&["x=2; Path=/"], "aaaa"), ["x=2; Path=/"]);
    }

    /// Browsers drop a blank before the equals sign (RFC 6265bis, 5.6).
    #[test]
    fn e7_a_blank_behind_the_name_does_not_loosen_the_tie() {
        assert_eq!(down(&["app_session =1; HttpOnly"], "aaaa"), ["app_session.aaaa=1; HttpOnly"]);
    }

    #[test]
    fn the_application_cannot_set_our_cookies_in_any_case() {
        assert_eq!(
            down(&["__Host-narthex=1", "__host-NARTHEX-login=2", " __Host-narthex=3", "y=4"], "t"),
            ["y=4"]
        );
    }

    #[test]
    fn e7_what_the_browser_showed_of_the_application_is_cleared() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "app_session.aaaa=1; x=2; hub-z=3".parse().unwrap());
        let cleared = cookies().clearing(&headers, true);
        assert_eq!(
            cleared,
            ["app_session.aaaa=; Path=/; Max-Age=0; Secure", "hub-z=; Path=/; Max-Age=0; Secure"]
        );
    }
}
