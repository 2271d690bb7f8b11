//! The canonical path: computed once, used for the decision and for forwarding alike.

use std::fmt;

/// A request path in its one form: percent-encoding only where it is needed and in upper case, no empty
/// segments, no dot segments, nothing that two readers could read differently.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CanonicalPath {
    text: String,
    encoded_slash: bool,
    parameters: bool,
}

/// Longer paths are refused (SECURITY.md 9).
pub const MAX_PATH: usize = 8192;

/// Why a path was refused; each is a 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("the path does not start with a slash")]
    NotAbsolute,
    #[error("the path is longer than {MAX_PATH} bytes")]
    TooLong,
    #[error("a percent sign is not followed by two hexadecimal digits")]
    BrokenPercent,
    #[error("the path contains a backslash")]
    Backslash,
    #[error("the path contains a control character")]
    Control,
    #[error("the path contains a dot segment")]
    DotSegment,
    #[error("the path is not valid UTF-8 once decoded")]
    InvalidUtf8,
    #[error("the path contains a character that must be percent-encoded")]
    Unencoded,
    #[error("the path contains an encoded slash, and its route does not say encoded_slash = \"keep\"")]
    EncodedSlash,
    #[error("two readings of the path would meet different routes")]
    TwoReadings,
}

impl CanonicalPath {
    /// Reads the path component as it came (no query, no fragment).
    ///
    /// SECURITY: lessons 10 to 12. What an upstream could decode, fold or split otherwise than the rules
    /// did is refused instead of guessed; what is harmless is put into one form, and that form is sent on.
    pub fn parse(raw: &str) -> Result<Self, PathError> {
        let bytes = raw.as_bytes();
        if bytes.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
        if bytes.first() != Some(&b'/') {
            return Err(PathError::NotAbsolute);
        }
        if is_plain(bytes) {
            return Ok(Self { text: raw.to_owned(), encoded_slash: false, parameters: false });
        }
        Self::canonicalise(bytes)
    }

    fn canonicalise(bytes: &[u8]) -> Result<Self, PathError> {
        let mut text = String::with_capacity(bytes.len());
        let mut decoded = Vec::with_capacity(bytes.len());
        let (mut encoded_slash, mut parameters) = (false, false);
        let mut rest = bytes.iter().copied();
        while let Some(byte) = rest.next() {
            match byte {
                b'%' => {
                    let value = hex(rest.next()).zip(hex(rest.next())).map(|(high, low)| high << 4 | low);
                    let value = value.ok_or(PathError::BrokenPercent)?;
                    decoded.push(value);
                    match value {
                        b'\\' => return Err(PathError::Backslash),
                        0..=0x1f | 0x7f => return Err(PathError::Control),
                        value if is_unreserved(value) => text.push(char::from(value)),
                        value => {
                            encoded_slash |= value == b'/';
                            text.push('%');
                            text.push(digit(value >> 4));
                            text.push(digit(value & 15));
                        }
                    }
                }
                b'\\' => return Err(PathError::Backslash),
                0..=0x1f | 0x7f => return Err(PathError::Control),
                // Empty segments are folded: `//admin` and `/admin` are one path to most applications.
                b'/' if text.ends_with('/') => {}
                byte if is_unreserved(byte) || b"/!$&'()*+,;=:@".contains(&byte) => {
                    parameters |= byte == b';';
                    decoded.push(byte);
                    text.push(char::from(byte));
                }
                _ => return Err(PathError::Unencoded),
            }
        }
        // SECURITY: overlong and broken UTF-8 sequences are how one reader sees a slash and another does not.
        if std::str::from_utf8(&decoded).is_err() {
            return Err(PathError::InvalidUtf8);
        }
        let path = Self { text, encoded_slash, parameters };
        let dotted = |segment: &str| matches!(before_parameters(segment), "." | "..");
        if path.text.split('/').any(dotted)
            || path.encoded_slash && path.slashes_decoded().split('/').any(dotted)
        {
            return Err(PathError::DotSegment);
        }
        Ok(path)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether an encoded slash is in it; then [`CanonicalPath::slashes_decoded`] is a second reading.
    #[must_use]
    pub fn has_encoded_slash(&self) -> bool {
        self.encoded_slash
    }

    /// The reading of an upstream that decodes before it splits.
    #[must_use]
    pub fn slashes_decoded(&self) -> String {
        fold_slashes(&self.text.replace("%2F", "/"))
    }

    /// The reading of an upstream that drops path parameters (RFC 3986, 3.3: `/admin;x=1`), as servlet
    /// containers do; `None` where there are none.
    #[must_use]
    pub fn parameters_dropped(&self) -> Option<String> {
        self.parameters.then(|| {
            let kept: Vec<&str> = self.text.split('/').map(before_parameters).collect();
            fold_slashes(&kept.join("/"))
        })
    }

    /// What some upstream could read the path as besides [`CanonicalPath::as_str`]: whatever is decided on the
    /// path has to hold for each of them.
    pub fn other_readings(&self) -> impl Iterator<Item = String> {
        let decoded = self.encoded_slash.then(|| self.slashes_decoded());
        decoded.into_iter().chain(self.parameters_dropped())
    }

    /// Whether the path is `prefix` or lies below it, by whole segments.
    #[must_use]
    pub fn is_below(&self, prefix: &str) -> bool {
        is_below(&self.text, prefix)
    }
}

/// Whether `path` is `prefix` or lies below it, by whole segments: `/a` covers `/a`, `/a/` and `/a/b`, not
/// `/ab`.
#[must_use]
pub fn is_below(path: &str, prefix: &str) -> bool {
    match path.strip_prefix(prefix.strip_suffix('/').unwrap_or(prefix)) {
        Some(rest) => rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

impl fmt::Display for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

/// The common case: already canonical, nothing to decode, fold or refuse.
fn is_plain(bytes: &[u8]) -> bool {
    let mut before = 0;
    bytes.iter().all(|byte| {
        let plain = is_unreserved(*byte) || b"/!$&'()*+,=:@".contains(byte);
        let fits = plain && !(before == b'/' && matches!(byte, b'/' | b'.'));
        before = *byte;
        fits
    })
}

fn before_parameters(segment: &str) -> &str {
    segment.split(';').next().unwrap_or(segment)
}

fn fold_slashes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character != '/' || !out.ends_with('/') {
            out.push(character);
        }
    }
    out
}

/// RFC 3986, 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn hex(byte: Option<u8>) -> Option<u8> {
    char::from(byte?).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).map_or('0', |c| c.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(raw: &str) -> String {
        CanonicalPath::parse(raw).unwrap().to_string()
    }

    #[test]
    fn a_canonical_path_stays_as_it_is() {
        for path in [
            "/", "/a", "/a/", "/a/b.c", "/a/.b", "/a/..b", "/a/...", "/@u/x:y", "/a%2Ab", "/%C3%A9",
            "/a;b=c/d",
        ] {
            assert_eq!(canonical(path), path);
        }
    }

    #[test]
    fn only_what_is_canonical_already_takes_the_short_way() {
        for path in ["/", "/a/b.c", "/a.b/", "/@u/x:y=*"] {
            assert!(is_plain(path.as_bytes()), "{path}");
        }
        for path in ["//", "/a//b", "/.", "/a/.b", "/%61", "/a;b", "/a b", "/é", "/a\\b", "/a\u{7f}"] {
            assert!(!is_plain(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn needless_encoding_and_empty_segments_are_folded_into_one_form() {
        assert_eq!(canonical("/%61dmin"), "/admin");
        assert_eq!(canonical("/%7euser/%2a"), "/~user/%2A");
        assert_eq!(canonical("//admin///x//"), "/admin/x/");
        assert_eq!(canonical("/a%3fb%23c%25"), "/a%3Fb%23c%25");
        assert_eq!(canonical("/%41%5A%30%39%2D%2E%5F"), "/AZ09-._");
        assert_eq!(canonical("/%20%7B"), "/%20%7B");
    }

    #[test]
    fn lesson_10_what_two_readers_could_read_differently_is_refused() {
        for (raw, error) in [
            ("", PathError::NotAbsolute),
            ("admin", PathError::NotAbsolute),
            ("*", PathError::NotAbsolute),
            ("/public/../admin", PathError::DotSegment),
            ("/public/./admin", PathError::DotSegment),
            ("/..", PathError::DotSegment),
            ("/.", PathError::DotSegment),
            ("/public/%2e%2e/admin", PathError::DotSegment),
            ("/public/.%2E/admin", PathError::DotSegment),
            ("/public/..;/admin", PathError::DotSegment),
            ("/public/..;x=1/admin", PathError::DotSegment),
            ("/public/.;/admin", PathError::DotSegment),
            ("/public/..%2fadmin", PathError::DotSegment),
            ("/public%2f..%2fadmin", PathError::DotSegment),
            ("/public\\..\\admin", PathError::Backslash),
            ("/public/..%5cadmin", PathError::Backslash),
            ("/a%5Cb", PathError::Backslash),
            ("/a%00", PathError::Control),
            ("/a%0d%0ab", PathError::Control),
            ("/a%1fb", PathError::Control),
            ("/a%7f", PathError::Control),
            ("/a\u{1}b", PathError::Control),
            ("/a\u{7f}b", PathError::Control),
            ("/a%", PathError::BrokenPercent),
            ("/a%4", PathError::BrokenPercent),
            ("/a%g0", PathError::BrokenPercent),
            ("/a%0g", PathError::BrokenPercent),
            ("/a%c0%af", PathError::InvalidUtf8),
            ("/a%e0%80%af", PathError::InvalidUtf8),
            ("/a%ff", PathError::InvalidUtf8),
            ("/a%C3", PathError::InvalidUtf8),
            ("/a b", PathError::Unencoded),
            ("/a#b", PathError::Unencoded),
            ("/a?b", PathError::Unencoded),
            ("/é", PathError::Unencoded),
            ("/a\"b", PathError::Unencoded),
        ] {
            assert_eq!(CanonicalPath::parse(raw), Err(error), "{raw:?}");
        }
    }

    #[test]
    fn a_path_of_the_longest_length_passes_and_one_byte_more_does_not() {
        let longest = format!("/{}", "a".repeat(MAX_PATH - 1));
        assert!(CanonicalPath::parse(&longest).is_ok());
        assert_eq!(CanonicalPath::parse(&format!("{longest}a")), Err(PathError::TooLong));
    }

    #[test]
    fn an_encoded_slash_gives_a_second_reading() {
        let path = CanonicalPath::parse("/a%2fb/%2F/c").unwrap();
        assert!(path.has_encoded_slash());
        assert_eq!(path.as_str(), "/a%2Fb/%2F/c");
        assert_eq!(path.slashes_decoded(), "/a/b/c");
        assert!(!CanonicalPath::parse("/a%2Ab").unwrap().has_encoded_slash());
    }

    #[test]
    fn path_parameters_give_a_second_reading() {
        assert_eq!(CanonicalPath::parse("/admin;x=1/a;b").unwrap().parameters_dropped().unwrap(), "/admin/a");
        assert_eq!(CanonicalPath::parse("/;/admin").unwrap().parameters_dropped().unwrap(), "/admin");
        assert_eq!(CanonicalPath::parse("/admin%3Bx").unwrap().parameters_dropped(), None);
        assert_eq!(CanonicalPath::parse("/admin").unwrap().parameters_dropped(), None);
    }

    #[test]
    fn lesson_10_every_other_reading_is_told() {
        let readings = |raw: &str| CanonicalPath::parse(raw).unwrap().other_readings().collect::<Vec<_>>();
        assert_eq!(readings("/a/b%2Ac"), <Vec<String>>::new());
        assert_eq!(readings("/a%2Fb"), ["/a/b"]);
        assert_eq!(readings("/a;x/b"), ["/a/b"]);
        assert_eq!(readings("/a;x%2Fb"), ["/a;x/b", "/a"]);
    }

    #[test]
    fn below_means_whole_segments() {
        for path in ["/a", "/a/", "/a/b"] {
            assert!(is_below(path, "/a"), "{path}");
        }
        for path in ["/", "/ab", "/b/a", "/A"] {
            assert!(!is_below(path, "/a"), "{path}");
        }
        assert!(is_below("/", "/") && is_below("/x", "/"));
        let own = CanonicalPath::parse("//.narthex/%6Cogin").unwrap();
        assert!(own.is_below("/.narthex") && own.is_below("/.narthex/login"));
        assert!(!own.is_below("/.narthe") && !own.is_below("/login"));
    }
}
