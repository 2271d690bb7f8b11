//! The one use of an assertion: the key that it is remembered by, and until when.

use serde::{Deserialize, Serialize};

use super::Expected;
use crate::model::UnixTime;
use crate::platform::crypto::sha256;

/// What to remember of an assertion, so that it signs in once (SAML Profiles 4.1.4.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// SHA-256 over issuer and assertion ID: of one length whatever was sent, and nothing that a store could
    /// take for anything else (CVE-2025-9943).
    pub key: [u8; 32],
    /// From then on no check would let the assertion pass.
    pub until: UnixTime,
}

/// Longer than anything is remembered: the bound on the age of an assertion refuses it long before, however
/// late its own end.
const LONGEST: std::time::Duration = std::time::Duration::from_hours(24);

impl Replay {
    pub(super) fn new(issuer: &str, id: &str, ends: &[UnixTime], expected: &Expected<'_>) -> Self {
        let end = ends.iter().copied().max().unwrap_or(expected.now).after(expected.skew);
        Self { key: key(issuer, id), until: end.min(expected.now.after(LONGEST.max(2 * expected.max_age))) }
    }
}

/// SECURITY: lesson 15. The issuer's length stands before it, so that no two pairs are one text.
#[must_use]
pub fn key(issuer: &str, id: &str) -> [u8; 32] {
    let mut framed = b"narthex saml assertion 1\0".to_vec();
    framed.extend_from_slice(&u64::try_from(issuer.len()).unwrap_or(u64::MAX).to_be_bytes());
    framed.extend_from_slice(issuer.as_bytes());
    framed.extend_from_slice(id.as_bytes());
    sha256(&framed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lesson_15_fields_that_join_to_one_text_have_different_keys() {
        assert_eq!(key("https://idp", "_1"), key("https://idp", "_1"));
        assert_ne!(key("https://idp", "_1"), key("https://idp_", "1"));
        assert_ne!(key("ab", "c"), key("a", "bc"));
        assert_ne!(key("", "abc"), key("abc", ""));
    }
}
