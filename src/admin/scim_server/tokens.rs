//! Who may speak to the SCIM server: bearer tokens (RFC 6750), several at a time while they are exchanged.

use http::{HeaderMap, header};
use subtle::{Choice, ConstantTimeEq};

use crate::model::Secret;
use crate::platform::crypto::sha256;

/// Digests of the tokens; the tokens themselves are not kept.
pub(super) struct Tokens(Vec<[u8; 32]>);

impl Tokens {
    pub(super) fn new(tokens: &[Secret]) -> Self {
        Self(tokens.iter().map(|token| sha256(token.expose().as_bytes())).collect())
    }

    /// Whether the request has one of the tokens, and just one.
    pub(super) fn admit(&self, headers: &HeaderMap) -> bool {
        let mut written = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (written.next(), written.next()) else { return false };
        let Some((scheme, token)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
            return false;
        };
        // RFC 9110, 11.1: the scheme's case does not count.
        if !scheme.eq_ignore_ascii_case("bearer") {
            return false;
        }
        let digest = sha256(token.trim().as_bytes());
        // SECURITY: every token is compared, each in constant time; how long it takes tells nothing.
        let found = self.0.iter().fold(Choice::from(0), |found, token| found | token.ct_eq(&digest));
        found.into()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn admitted(values: &[&str]) -> bool {
        let tokens = Tokens::new(&[Secret::new("the old token"), Secret::new("the new token")]);
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        tokens.admit(&headers)
    }

    #[test]
    fn each_of_the_tokens_admits_and_nothing_else() {
        for good in ["Bearer the old token", "Bearer the new token", "bearer the new token"] {
            assert!(admitted(&[good]), "{good}");
        }
        for bad in ["Bearer the", "Bearer ", "Basic the new token", "the new token", "Bearer the new token2"]
        {
            assert!(!admitted(&[bad]), "{bad}");
        }
        assert!(!admitted(&[]));
        assert!(!admitted(&["Bearer the new token", "Bearer x"]), "two headers are none");
        assert!(!Tokens::new(&[]).admit(&HeaderMap::new()));
    }
}
