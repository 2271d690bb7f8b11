//! Whether two URLs are one place, and what it means where they are not.

use std::fmt;

use crate::identify::shown::shown;

/// A URL of ours that the identity provider wrote otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    pub expected: String,
    pub found: String,
    pub differs: Differs,
}

/// In what two URLs differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Differs {
    /// Scheme, host or port alone: the address that narthex takes for its own is likely wrong.
    Origin,
    /// Anything else.
    Whole,
}

/// Compares `found` with the URL that narthex is reached at: scheme and host in any case, the scheme's own
/// port written or not, everything else to the letter.
///
/// SECURITY: no URL parser in between, which would drop tabs, resolve dot segments and decode, and so hold for
/// equal what the sender's reader holds for different places.
pub(in crate::identify::saml) fn compare(expected: &str, found: &str) -> Result<(), Elsewhere> {
    let (ours, theirs) = (Place::split(expected), Place::split(found));
    let differs = match (ours, theirs) {
        (Some(ours), Some(theirs)) if ours == theirs => return Ok(()),
        (Some(ours), Some(theirs)) if ours.rest == theirs.rest => Differs::Origin,
        _ => Differs::Whole,
    };
    Err(Elsewhere { expected: expected.to_owned(), found: shown(found), differs })
}

#[derive(PartialEq, Eq)]
struct Place<'a> {
    scheme: String,
    host: String,
    port: &'a str,
    /// Path and query.
    rest: &'a str,
}

impl<'a> Place<'a> {
    /// `None` where it is not `http(s)://host[:port]/…`; user information is none of it.
    fn split(url: &'a str) -> Option<Self> {
        let (scheme, after) = url.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let (authority, rest) = after.split_at_checked(after.find(['/', '?', '#']).unwrap_or(after.len()))?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (host, port),
            _ => (authority, ""),
        };
        let own = match scheme.as_str() {
            "https" => "443",
            "http" => "80",
            _ => return None,
        };
        let plain = !host.is_empty() && host.chars().all(|c| c.is_ascii_graphic() && c != '@' && c != '\\');
        let port = if port == own { "" } else { port };
        plain.then(|| Self { scheme, host: host.to_ascii_lowercase(), port, rest })
    }
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected, found, differs } = self;
        match differs {
            Differs::Origin => write!(
                f,
                "the identity provider sent it to {found:?}, public_url says {expected:?}: public_url is likely \
                 wrong, or the identity provider has an earlier address of ours; browsers must reach narthex by \
                 the very address that both say"
            ),
            Differs::Whole => write!(
                f,
                "the identity provider sent it to {found:?}, expected {expected:?}: set the assertion consumer \
                 service (ACS, reply) URL at the identity provider to {expected}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differs(expected: &str, found: &str) -> Option<Differs> {
        compare(expected, found).err().map(|elsewhere| elsewhere.differs)
    }

    #[test]
    fn case_of_scheme_and_host_and_the_own_port_do_not_matter() {
        for (expected, found) in [
            ("https://app.example/a?b", "https://app.example/a?b"),
            ("https://app.example/a", "HTTPS://App.Example/a"),
            ("https://app.example/a", "https://app.example:443/a"),
            ("https://app.example:443/a", "https://app.example/a"),
            ("http://127.0.0.1/a", "http://127.0.0.1:80/a"),
            ("http://127.0.0.1:8080/a", "http://127.0.0.1:8080/a"),
            ("http://[::1]:8080/a", "http://[::1]:8080/a"),
            ("https://[::1]/a", "https://[::1]:443/a"),
            ("https://app.example:/a", "https://app.example/a"),
        ] {
            assert_eq!(differs(expected, found), None, "{found}");
        }
    }

    #[test]
    fn another_origin_with_the_same_path_points_at_public_url() {
        for found in [
            "http://app.example/a",
            "https://app.example:8443/a",
            "https://app.example:80/a",
            "https://git.app.example/a",
            "https://app.example./a",
        ] {
            assert_eq!(differs("https://app.example/a", found), Some(Differs::Origin), "{found}");
        }
        let text = compare("https://app.example/a", "http://app.example/a").unwrap_err().to_string();
        assert!(text.starts_with(
            "the identity provider sent it to \"http://app.example/a\", public_url says \
             \"https://app.example/a\": public_url is likely wrong"
        ));
    }

    #[test]
    fn everything_behind_the_origin_counts_to_the_letter() {
        for found in [
            "",
            "https://app.example",
            "https://app.example/A",
            "https://app.example/a/",
            "https://app.example/%61",
            "https://app.example/./a",
            "https://app.example/a?",
            "https://app.example/a#",
            "https://app.example/a\t",
            "https://app.example//a",
            "https:/app.example/a",
            "https:///a",
            "//app.example/a",
            "app.example/a",
            "ftp://app.example/a",
            "https://me@app.example/a",
            "https://app.example\\@evil.test/a",
            "https://app.exam\tple/a",
            "https://\u{430}pp.example/a",
        ] {
            assert_eq!(differs("https://app.example/a", found), Some(Differs::Whole), "{found:?}");
        }
        let text = compare("https://app.example/a", "https://app.example/b").unwrap_err().to_string();
        assert!(text.ends_with("URL at the identity provider to https://app.example/a"), "{text}");
    }
}
