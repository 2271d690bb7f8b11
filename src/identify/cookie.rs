//! Our cookies: their names, and how they are found, set and cleared.

use http::header;
use http::{HeaderMap, HeaderValue};
use url::Url;

use crate::platform::crypto::sha256;

/// How the admin API's cookies begin, with https and without.
const CONSOLE_SECURE: &str = "__Host-narthex-";
const CONSOLE_PLAIN: &str = "narthex-admin-";
/// Both: whichever of them a browser sends to the application's address, the application neither sees nor sets it.
pub const CONSOLE_PREFIXES: [&str; 2] = [CONSOLE_SECURE, CONSOLE_PLAIN];

/// The names of our cookies on this public URL.
///
/// With https: `__Host-narthex…`, which browsers take from this very host, path `/`, over TLS only
/// (RFC 6265bis, 4.1.3.2). On plain http (loopback only) the port is in the name, since cookies do not know
/// ports.
#[derive(Debug, Clone)]
pub struct CookieNames {
    session: String,
    login: String,
    secure: bool,
}

impl CookieNames {
    #[must_use]
    pub fn of(public_url: &Url) -> Self {
        let secure = public_url.scheme() == "https";
        let session = if secure {
            "__Host-narthex".to_owned()
        } else {
            format!("narthex-{}", public_url.port_or_known_default().unwrap_or(80))
        };
        Self { login: format!("{session}-login"), session, secure }
    }

    /// Those of the admin API at this URL, which are none of the application's sessions.
    ///
    /// SECURITY: cookies know no ports. Where one host name has both, each cookie comes to both listeners; by its name
    /// it is looked at by one only.
    #[must_use]
    pub fn of_console(public_url: &Url) -> Self {
        let secure = public_url.scheme() == "https";
        let session = if secure {
            format!("{CONSOLE_SECURE}admin")
        } else {
            format!("{CONSOLE_PLAIN}{}", public_url.port_or_known_default().unwrap_or(80))
        };
        Self { login: format!("{session}-login"), session, secure }
    }

    /// How every name of ours begins; the application neither sees nor sets such cookies.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.session
    }

    #[must_use]
    pub fn session<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        find(headers, &self.session)
    }

    #[must_use]
    pub fn login<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        find(headers, &self.login)
    }

    /// `Set-Cookie` for a new session; ends with the browser's session.
    #[must_use]
    pub fn set_session(&self, value: &str) -> Option<HeaderValue> {
        self.set(&self.session, value, None)
    }

    /// Whether cookies are for TLS only.
    #[must_use]
    pub fn secure(&self) -> bool {
        self.secure
    }

    #[must_use]
    pub fn clear_session(&self) -> Option<HeaderValue> {
        self.set(&self.session, "", Some(0))
    }

    /// `Set-Cookie` for the browser's login id.
    #[must_use]
    pub fn set_login(&self, value: &str) -> Option<HeaderValue> {
        self.set(&self.login, value, None)
    }

    /// SameSite=Lax: the answer of an OIDC provider is a cross-site top-level GET, which Lax lets through;
    /// no cross-site POST ever carries a session.
    fn set(&self, name: &str, value: &str, max_age: Option<u32>) -> Option<HeaderValue> {
        let mut text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax");
        if self.secure {
            text.push_str("; Secure");
        }
        if let Some(seconds) = max_age {
            text.push_str("; Max-Age=");
            text.push_str(&seconds.to_string());
        }
        HeaderValue::try_from(text).ok()
    }
}

/// The first cookie of this name.
fn find<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .find_map(|cookie| cookie.trim_ascii_start().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .and_then(|value| std::str::from_utf8(value.trim_ascii_end()).ok())
}

/// What the store and the live table know a value by.
#[must_use]
pub fn hash(value: &str) -> [u8; 32] {
    sha256(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_https_url_gets_host_prefixed_secure_cookies() {
        let names = CookieNames::of(&"https://app.example/".parse().unwrap());
        assert!(names.secure());
        assert_eq!(
            names.set_session("v").unwrap(),
            "__Host-narthex=v; Path=/; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            names.clear_session().unwrap(),
            "__Host-narthex=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0"
        );
        assert_eq!(
            names.set_login("v").unwrap(),
            "__Host-narthex-login=v; Path=/; HttpOnly; SameSite=Lax; Secure"
        );
    }

    #[test]
    fn a_loopback_http_url_has_its_port_in_the_name() {
        let names = CookieNames::of(&"http://127.0.0.1:8080/".parse().unwrap());
        assert_eq!(names.set_session("v").unwrap(), "narthex-8080=v; Path=/; HttpOnly; SameSite=Lax");
        assert_eq!(names.prefix(), "narthex-8080");
        assert!(!names.secure());
    }

    #[test]
    fn s5_the_admin_apis_cookies_have_names_of_their_own() {
        for (url, name) in [
            ("https://admin.example/", "__Host-narthex-admin"),
            ("http://127.0.0.1:9091/", "narthex-admin-9091"),
        ] {
            let url: Url = url.parse().unwrap();
            let (console, public) = (CookieNames::of_console(&url), CookieNames::of(&url));
            assert_eq!((console.session.as_str(), console.login), (name, format!("{name}-login")));
            assert!(CONSOLE_PREFIXES.iter().any(|prefix| name.starts_with(prefix)));
            let mut headers = HeaderMap::new();
            headers.append(header::COOKIE, format!("{name}=a; {name}-login=b").parse().unwrap());
            assert_eq!((public.session(&headers), public.login(&headers)), (None, None));
        }
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let names = CookieNames::of(&"https://app.example/".parse().unwrap());
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=1; x__Host-narthex=no; __Host-narthex-login=l".parse().unwrap());
        assert_eq!(names.session(&headers), None);
        headers.append(header::COOKIE, "b=2;__Host-narthex=yes ; c".parse().unwrap());
        assert_eq!((names.session(&headers), names.login(&headers)), (Some("yes"), Some("l")));
    }

    /// FIPS 180-2, B.1. Rows in a database are found by it, so it may never become another one.
    #[test]
    fn a_value_is_known_by_its_sha_256() {
        let digest = hash("abc");
        assert_eq!(
            (&digest[..4], &digest[28..]),
            (&[0xba, 0x78, 0x16, 0xbf][..], &[0xf2, 0x00, 0x15, 0xad][..])
        );
    }

    #[test]
    fn odd_bytes_in_somebody_elses_cookie_hide_nothing() {
        let names = CookieNames::of(&"https://app.example/".parse().unwrap());
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_bytes(b"name=Zo\xeb; __Host-narthex=yes").unwrap());
        assert_eq!(names.session(&headers), Some("yes"));
    }
}
