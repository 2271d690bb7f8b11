//! Where a browser goes after sign-in or sign-out: a path of this very application, never elsewhere.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A same-origin path with optional query, at most [`MAX_BYTES`] long. Kept on the server while a login is
/// in flight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReturnTo(String);

/// Longer ones are replaced by `/`.
pub const MAX_BYTES: usize = 2048;

impl ReturnTo {
    /// The application's front page.
    #[must_use]
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Accepts a path that every parser reads as same-origin; anything else is `None`.
    ///
    /// SECURITY: lesson 13. Browsers take `//host`, `/\host` and, since they drop tabs and newlines,
    /// `/<tab>/host` for another origin. So: one slash first, neither slash nor backslash second, no
    /// backslash and no byte outside visible ASCII anywhere, and the URL parser that browsers follow
    /// (WHATWG) must agree that the origin stays.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let shaped = bytes.len() <= MAX_BYTES
            && bytes.first() == Some(&b'/')
            && bytes.get(1) != Some(&b'/')
            && bytes.iter().all(|b| b.is_ascii_graphic() && *b != b'\\' && *b != b'#');
        if !shaped {
            return None;
        }
        let base = url::Url::parse("https://narthex.invalid/").ok()?;
        let joined = base.join(text).ok()?;
        (joined.origin() == base.origin() && !joined.path().starts_with("//")).then(|| Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_origin_paths_are_kept_as_they_are() {
        for path in ["/", "/a", "/a/b?c=d&e=%2F", "/a?next=//x", "/%2e", "/a:b@c"] {
            let kept = ReturnTo::parse(path).unwrap();
            assert_eq!((kept.to_string().as_str(), kept.as_str()), (path, path));
        }
    }

    #[test]
    fn lesson_13_anything_that_a_browser_could_take_for_another_origin_is_refused() {
        for path in [
            "",
            "a",
            "//evil.test",
            "///evil.test",
            "/\\evil.test",
            "\\/evil.test",
            "/\t/evil.test",
            "/\n/evil.test",
            "/\r/evil.test",
            "https://evil.test/",
            "javascript:alert(1)",
            "/ /evil.test",
            " /a",
            "/a\u{0}",
            "/é",
            "/a\\b",
            "/.//evil.test",
            "/..//evil.test",
            "/x/..//evil.test",
            "/a#b",
        ] {
            assert_eq!(ReturnTo::parse(path), None, "{path:?}");
        }
    }

    #[test]
    fn a_path_of_the_longest_length_passes_and_one_byte_more_does_not() {
        let longest = format!("/{}", "a".repeat(MAX_BYTES - 1));
        assert!(ReturnTo::parse(&longest).is_some());
        assert!(ReturnTo::parse(&format!("{longest}a")).is_none());
    }
}
