//! A signed token taken apart: header, payload, signature; nothing in it is believed yet.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::error::{OidcError, shown};

/// Longer tokens are refused before anything is decoded (SECURITY.md 9).
pub const MAX_TOKEN: usize = 96 * 1024;

/// A JWS in compact serialisation (RFC 7515, 3.1) whose algorithm is one of those allowed.
pub struct Jws<'a> {
    algorithm: Algorithm,
    kid: Option<String>,
    /// What was signed: header and payload as they came, with the dot between.
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Jws<'a> {
    /// Takes `token` apart and checks its header.
    ///
    /// # Errors
    /// Where it is too long, not of this form, encrypted, of another type, with critical extensions, or of
    /// an algorithm outside `allowed`.
    pub fn parse(token: &'a str, allowed: &[Algorithm]) -> Result<Self, OidcError> {
        if token.len() > MAX_TOKEN {
            return Err(OidcError::TokenTooLong { limit: MAX_TOKEN });
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(OidcError::TokenMalformed("it has fewer than three parts"));
        };
        match parts.count() {
            0 => {}
            // RFC 7516, 3.1: five parts are a JWE.
            2 => return Err(OidcError::TokenEncrypted),
            _ => return Err(OidcError::TokenMalformed("it has more than three parts")),
        }
        let signed = token
            .get(..header.len() + 1 + payload.len())
            .ok_or(OidcError::TokenMalformed("it has fewer than three parts"))?;
        let header = object(header).ok_or(OidcError::TokenMalformed("its header is no JSON object"))?;
        // RFC 7515, 4.1.11: a recipient that does not understand a listed extension must reject.
        if header.contains_key("crit") {
            return Err(OidcError::TokenCritical);
        }
        // SECURITY: RFC 8725, 3.11. An access or logout token that was signed by the same key must not
        // pass for an ID token, so a type, where given, is the plain one.
        match header.get("typ") {
            None => {}
            Some(Value::String(typ)) if typ.eq_ignore_ascii_case("JWT") => {}
            Some(Value::String(other)) => return Err(OidcError::TokenTypeUnexpected(shown(other))),
            Some(_) => return Err(OidcError::TokenMalformed("its `typ` is no text")),
        }
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(OidcError::TokenMalformed("its `kid` is no text")),
        };
        let Some(Value::String(name)) = header.get("alg") else {
            return Err(OidcError::TokenMalformed("its header has no `alg`"));
        };
        // `none` is no algorithm of this table, so nothing can allow it.
        let algorithm = Algorithm::from_str(name)
            .ok()
            .filter(|found| allowed.contains(found))
            .ok_or_else(|| OidcError::AlgorithmNotAllowed(shown(name)))?;
        Ok(Self { algorithm, kid, signed, payload, signature })
    }

    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether `key` made the signature. Keys (`jwk`, `jku`, `x5c`, …) that a token brings itself are never
    /// looked at.
    #[must_use]
    pub fn is_signed_by(&self, key: &jsonwebtoken::DecodingKey) -> bool {
        jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), key, self.algorithm)
            .unwrap_or(false)
    }

    /// The claims; call it once the signature was verified. A name that stands twice has its last value
    /// (RFC 7519, 4).
    ///
    /// # Errors
    /// Where the payload is no JSON object.
    pub fn claims(&self) -> Result<Map<String, Value>, OidcError> {
        object(self.payload).ok_or(OidcError::TokenMalformed("its payload is no JSON object"))
    }
}

/// The name of `algorithm` in a header.
#[must_use]
pub fn name_of(algorithm: Algorithm) -> String {
    format!("{algorithm:?}")
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: [Algorithm; 1] = [Algorithm::RS256];

    fn token(header: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(r#"{"a":1}"#))
    }

    fn refusal(token: &str) -> OidcError {
        Jws::parse(token, &ALLOWED).err().unwrap()
    }

    #[test]
    fn a_plain_header_is_taken() {
        for header in [
            r#"{"alg":"RS256"}"#,
            r#"{"alg":"RS256","typ":"JWT"}"#,
            r#"{"alg":"RS256","typ":"jwt","kid":"k","x":1}"#,
        ] {
            let token = token(header);
            let jws = Jws::parse(&token, &ALLOWED).unwrap();
            assert_eq!(jws.algorithm(), Algorithm::RS256);
            assert_eq!(jws.kid().is_some(), header.contains("kid"));
            assert_eq!(jws.claims().unwrap().get("a"), Some(&Value::from(1)));
            assert_eq!(jws.signed, token.rsplit_once('.').unwrap().0);
        }
    }

    #[test]
    fn algorithms_outside_the_list_are_refused_none_before_all() {
        for name in ["none", "None", "NONE", "HS256", "ES256", "RS384", "rs256", "ES256K", ""] {
            let found = refusal(&token(&format!(r#"{{"alg":"{name}"}}"#)));
            assert_eq!(found, OidcError::AlgorithmNotAllowed(name.to_owned()));
        }
    }

    #[test]
    fn headers_that_are_not_what_the_rfc_says_are_refused() {
        for (header, expected) in [
            ("[]", OidcError::TokenMalformed("its header is no JSON object")),
            ("x", OidcError::TokenMalformed("its header is no JSON object")),
            ("{}", OidcError::TokenMalformed("its header has no `alg`")),
            (r#"{"alg":1}"#, OidcError::TokenMalformed("its header has no `alg`")),
            (r#"{"alg":"RS256","kid":7}"#, OidcError::TokenMalformed("its `kid` is no text")),
            (r#"{"alg":"RS256","typ":7}"#, OidcError::TokenMalformed("its `typ` is no text")),
            (r#"{"alg":"RS256","typ":"at+jwt"}"#, OidcError::TokenTypeUnexpected("at+jwt".to_owned())),
            (
                r#"{"alg":"RS256","typ":"logout+jwt"}"#,
                OidcError::TokenTypeUnexpected("logout+jwt".to_owned()),
            ),
            (r#"{"alg":"RS256","crit":["b64"],"b64":false}"#, OidcError::TokenCritical),
        ] {
            assert_eq!(refusal(&token(header)), expected, "{header}");
        }
    }

    #[test]
    fn tokens_of_another_number_of_parts_are_refused() {
        let good = token(r#"{"alg":"RS256"}"#);
        let (short, _) = good.rsplit_once('.').unwrap();
        assert_eq!(refusal(short), OidcError::TokenMalformed("it has fewer than three parts"));
        assert_eq!(refusal(""), OidcError::TokenMalformed("it has fewer than three parts"));
        assert_eq!(refusal(&format!("{good}.x")), OidcError::TokenMalformed("it has more than three parts"));
        assert_eq!(refusal(&format!("{good}.x.y")), OidcError::TokenEncrypted);
        assert_eq!(
            refusal(&format!("{good}.x.y.z")),
            OidcError::TokenMalformed("it has more than three parts")
        );
    }

    #[test]
    fn a_token_of_the_greatest_length_is_read_and_one_byte_more_is_not() {
        let good = token(r#"{"alg":"RS256"}"#);
        assert_eq!(MAX_TOKEN, 98_304);
        let longest = format!("{good}{}", "A".repeat(MAX_TOKEN - good.len()));
        assert!(Jws::parse(&longest, &ALLOWED).is_ok());
        assert_eq!(refusal(&format!("{longest}A")), OidcError::TokenTooLong { limit: MAX_TOKEN });
    }

    #[test]
    fn a_payload_that_is_no_object_is_refused() {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#);
        for payload in ["", "!!", &URL_SAFE_NO_PAD.encode("[1]"), &URL_SAFE_NO_PAD.encode("{}x")] {
            let token = format!("{header}.{payload}.c2ln");
            let jws = Jws::parse(&token, &ALLOWED).unwrap();
            assert_eq!(jws.claims(), Err(OidcError::TokenMalformed("its payload is no JSON object")));
        }
    }
}
