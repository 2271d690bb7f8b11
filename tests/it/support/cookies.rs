//! A cookie jar as browsers keep one (RFC 6265bis), as far as the tests need it.
//!
//! Not modelled: expiry by the passage of time (only deletion by Max-Age and Expires), the public suffix list
//! (a site is the last two labels of a host name).

use http::Method;
use url::{Host, Url};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    pub name: String,
    pub value: String,
    /// Lower-case host.
    pub domain: String,
    /// No Domain attribute: this host only.
    pub host_only: bool,
    pub path: String,
    pub secure: bool,
    pub http_only: bool,
    pub same_site: SameSite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    Strict,
    Lax,
    None,
}

/// Cookies do not know ports: one jar for all servers of a host.
#[derive(Debug, Default)]
pub struct Jar(Vec<Cookie>);

/// What a request is, for the question which cookies go with it.
pub struct Sending<'a> {
    pub url: &'a Url,
    pub method: &'a Method,
    /// The page that caused it; `None`: the person typed the address.
    pub initiator: Option<&'a Url>,
    /// The address bar changes.
    pub navigation: bool,
}

impl Jar {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Names that begin so.
    pub fn names(&self, start: &str) -> Vec<String> {
        self.0.iter().map(|cookie| cookie.name.clone()).filter(|name| name.starts_with(start)).collect()
    }

    /// Drops one, as if it had been a browser that was closed.
    pub fn forget(&mut self, name: &str) {
        self.0.retain(|cookie| cookie.name != name);
    }

    /// Bytes of all names and values together.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|cookie| cookie.name.len() + cookie.value.len() + 3).sum()
    }

    /// Takes in one Set-Cookie line, or drops it where a browser would.
    pub fn store(&mut self, url: &Url, line: &str) {
        let Some(read) = parse(url, line) else { return };
        let (cookie, gone) = read;
        self.0.retain(|old| {
            (&old.name, &old.domain, &old.path) != (&cookie.name, &cookie.domain, &cookie.path)
        });
        if !gone {
            self.0.push(cookie);
        }
    }

    /// The Cookie line, longest path first; `None` where there is nothing to send.
    pub fn line(&self, sending: &Sending<'_>) -> Option<String> {
        let mut found: Vec<&Cookie> = self.0.iter().filter(|cookie| goes(cookie, sending)).collect();
        found.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<_> = found.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    pub fn all(&self) -> &[Cookie] {
        &self.0
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|cookie| cookie.name != name);
    }

    /// Puts a cookie there as a script or another program would.
    pub fn put(&mut self, url: &Url, name: &str, value: &str) {
        self.store(url, &format!("{name}={value}; Path=/"));
    }
}

fn goes(cookie: &Cookie, sending: &Sending<'_>) -> bool {
    let host = host(sending.url);
    let domain =
        host == cookie.domain || (!cookie.host_only && host.ends_with(&format!(".{}", cookie.domain)));
    let path = sending.url.path();
    let below = path == cookie.path
        || (path.starts_with(&cookie.path)
            && (cookie.path.ends_with('/') || path[cookie.path.len()..].starts_with('/')));
    let same_site = sending.initiator.is_none_or(|initiator| site(initiator) == site(sending.url));
    let site_allows = match cookie.same_site {
        SameSite::None => true,
        SameSite::Strict => same_site,
        // RFC 6265bis, 5.8.3: "safe" methods of top-level navigations.
        SameSite::Lax => {
            same_site || (sending.navigation && matches!(*sending.method, Method::GET | Method::HEAD))
        }
    };
    domain && below && site_allows && (!cookie.secure || is_secure(sending.url))
}

fn parse(url: &Url, line: &str) -> Option<(Cookie, bool)> {
    let mut parts = line.split(';').map(str::trim);
    let (name, value) = parts.next()?.split_once('=')?;
    let mut cookie = Cookie {
        name: name.trim().to_owned(),
        value: value.trim().to_owned(),
        domain: host(url),
        host_only: true,
        path: default_path(url),
        secure: false,
        http_only: false,
        same_site: SameSite::Lax,
    };
    let (mut max_age, mut expires) = (None, None);
    for part in parts {
        let (name, value) =
            part.split_once('=').map_or((part, ""), |(name, value)| (name.trim(), value.trim()));
        match name.to_ascii_lowercase().as_str() {
            "domain" if !value.is_empty() => {
                cookie.domain = value.trim_start_matches('.').to_ascii_lowercase();
                cookie.host_only = false;
            }
            "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
            "secure" => cookie.secure = true,
            "httponly" => cookie.http_only = true,
            "samesite" => {
                cookie.same_site = match value.to_ascii_lowercase().as_str() {
                    "strict" => SameSite::Strict,
                    "none" => SameSite::None,
                    _ => SameSite::Lax,
                };
            }
            "max-age" => max_age = value.parse::<i64>().ok(),
            "expires" => expires = Some(value.to_owned()),
            _ => {}
        }
    }
    let covers = cookie.host_only
        || host(url) == cookie.domain
        || (cookie.domain.contains('.') && host(url).ends_with(&format!(".{}", cookie.domain)));
    // RFC 6265bis, 4.1.3 and 5.7: prefixes, secure cookies from secure origins only, None only with Secure.
    let host_prefix = !starts_with_ignoring_case(&cookie.name, "__Host-")
        || (cookie.secure && cookie.host_only && cookie.path == "/");
    let secure_prefix = !starts_with_ignoring_case(&cookie.name, "__Secure-") || cookie.secure;
    let secure = !cookie.secure || is_secure(url);
    let none = cookie.same_site != SameSite::None || cookie.secure;
    let small = cookie.name.len() + cookie.value.len() <= 4096;
    let taken = covers && host_prefix && secure_prefix && secure && none && small && !cookie.name.is_empty();
    let gone = max_age.map_or_else(|| expires.is_some_and(|text| is_long_ago(&text)), |age| age <= 0);
    taken.then_some((cookie, gone))
}

/// The dates that servers use to delete a cookie.
fn is_long_ago(date: &str) -> bool {
    ["1970", "1-Jan-70", "1980", "2000"].iter().any(|year| date.contains(year))
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// RFC 6265bis, 5.1.4.
fn default_path(url: &Url) -> String {
    match url.path().rfind('/') {
        None | Some(0) => "/".to_owned(),
        Some(end) => url.path()[..end].to_owned(),
    }
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_ascii_lowercase()
}

/// https, and loopback, which browsers hold to be as good.
pub fn is_secure(url: &Url) -> bool {
    url.scheme() == "https"
        || match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => false,
        }
}

/// Scheme and the last two labels of the name; an address is a site by itself.
pub fn site(url: &Url) -> String {
    let host = host(url);
    let name = match url.host() {
        Some(Host::Domain(_)) => {
            let labels: Vec<_> = host.rsplit('.').take(2).collect();
            labels.into_iter().rev().collect::<Vec<_>>().join(".")
        }
        _ => host,
    };
    format!("{}://{name}", url.scheme())
}
