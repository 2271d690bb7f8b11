//! Values made safe for the place that they go to (PROVISIONING.md G5). The engine calls this by position;
//! a recipe's author can neither forget nor choose it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters (2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A value that cannot be sent safely to this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::provision) enum Unsafe {
    #[error("a part of the path would be empty")]
    Empty,
    #[error("a part of the path would be `.` or `..`")]
    DotSegment,
    #[error("a value contains a control character")]
    Control,
    #[error("a header value contains characters that cannot be sent in one")]
    Header,
}

/// One path segment.
///
/// SECURITY: encoding alone would do for a server that decodes once, after routing. Many decode before
/// routing, or twice (a proxy in front, then the application), and for them `x%2F..%2Fadmin` or
/// `%252e%252e` is a way up; so whatever has a dot segment in any of these readings is refused.
pub(in crate::provision) fn segment(value: &str) -> Result<String, Unsafe> {
    if value.is_empty() {
        return Err(Unsafe::Empty);
    }
    let mut reading = value.to_owned();
    for _ in 0..3 {
        if reading.chars().any(char::is_control) {
            return Err(Unsafe::Control);
        }
        if reading.split(['/', '\\']).any(|part| matches!(part.trim(), "." | "..")) {
            return Err(Unsafe::DotSegment);
        }
        let decoded = percent_decode_str(&reading).decode_utf8_lossy().into_owned();
        if decoded == reading {
            break;
        }
        reading = decoded;
    }
    Ok(utf8_percent_encode(value, SEGMENT).to_string())
}

/// A query value or form value; the form encoding itself is done by `url`.
pub(in crate::provision) fn query(value: &str) -> Result<&str, Unsafe> {
    if value.chars().any(char::is_control) { Err(Unsafe::Control) } else { Ok(value) }
}

/// A header value: visible ASCII and blanks.
pub(in crate::provision) fn header(value: &str) -> Result<http::HeaderValue, Unsafe> {
    if value.chars().any(char::is_control) {
        return Err(Unsafe::Control);
    }
    if value.is_ascii() {
        http::HeaderValue::from_str(value).map_err(|_| Unsafe::Header)
    } else {
        Err(Unsafe::Header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g5_a_path_segment_keeps_only_unreserved_characters() {
        assert_eq!(segment("a.b-c_d~e").unwrap(), "a.b-c_d~e");
        assert_eq!(segment("a/b?c#d e%@ü").unwrap(), "a%2Fb%3Fc%23d%20e%25%40%C3%BC");
        assert_eq!(segment("...").unwrap(), "...");
        assert_eq!(segment("a..b").unwrap(), "a..b");
    }

    #[test]
    fn g5_a_path_segment_that_leads_elsewhere_in_any_reading_is_refused() {
        assert_eq!(segment(""), Err(Unsafe::Empty));
        for value in [
            ".",
            "..",
            "../admin",
            "a/../b",
            "a\\..\\b",
            "%2e%2e",
            "%2E.",
            "a%2f..%2fb",
            "%252e%252e",
            " .. ",
            "a/.",
        ] {
            assert_eq!(segment(value), Err(Unsafe::DotSegment), "{value:?}");
        }
        for value in ["a\r\nb", "a\0", "\u{85}", "%0d%0a", "%00"] {
            assert_eq!(segment(value), Err(Unsafe::Control), "{value:?}");
        }
    }

    #[test]
    fn g5_header_and_query_values_with_controls_are_refused() {
        for value in ["a\r\nX-Admin: 1", "a\nb", "a\0b", "a\tb"] {
            assert_eq!(header(value), Err(Unsafe::Control), "{value:?}");
            assert_eq!(query(value), Err(Unsafe::Control), "{value:?}");
        }
        assert_eq!(header("ü"), Err(Unsafe::Header));
        assert_eq!(header("a b").unwrap(), "a b");
    }
}
