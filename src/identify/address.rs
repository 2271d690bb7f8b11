//! Addresses that a provider gives for itself: which of them may be called, or be sent to.

use url::{Host, Url};

/// `text` as an address that may be used: https, without credentials and fragment; with `plain_loopback` http on
/// loopback, too.
#[must_use]
pub fn of_provider(text: &str, plain_loopback: bool) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    // SECURITY: lesson 34. Plain http, and loopback with it, only where the provider itself is such a one: a
    // provider out there must not point us at what listens beside us.
    let safe = match url.scheme() {
        "https" => true,
        "http" => plain_loopback && is_loopback(&url),
        _ => false,
    };
    // RFC 6749, 3.1 and 3.2: no fragment. Credentials in a URL would be sent with every request.
    let bare = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    (safe && bare).then_some(url)
}

/// Whether `text` is an http address on loopback.
#[must_use]
pub fn is_plain_loopback(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.scheme() == "http" && is_loopback(&url))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lesson_34_only_bare_https_is_used_and_http_on_loopback_where_that_is_allowed() {
        for good in ["https://id.example/a?b=c", "https://127.0.0.1/"] {
            assert!(of_provider(good, false).is_some(), "{good}");
        }
        for loopback in ["http://127.0.0.1:1/a", "http://[::1]/", "http://localhost/", "http://a.localhost/"]
        {
            assert!(of_provider(loopback, false).is_none(), "{loopback}");
            assert!(of_provider(loopback, true).is_some(), "{loopback}");
        }
        for bad in [
            "javascript:alert(1)",
            "data:text/html,x",
            "http://id.example/",
            "https://u@id.example/",
            "https://:p@id.example/",
            "https://id.example/#x",
            "/relative",
            "",
        ] {
            assert!(of_provider(bad, true).is_none(), "{bad}");
        }
    }
}
