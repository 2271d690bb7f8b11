//! The signature of Standard Webhooks (standardwebhooks.com, version 1): whoever receives an event knows that it
//! comes from us, now, and unchanged.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::model::{Secret, UnixTime};

/// Before a secret whose bytes are written in base64.
const PREFIX: &str = "whsec_";
/// The specification asks for 24 bytes to 64; a shorter secret could be guessed from one signature.
const SHORTEST: usize = 24;

/// What events are signed with: one key, or several while one is replaced by another.
#[derive(Clone)]
pub struct WebhookKeys(Vec<hmac::Key>);

/// A secret that nothing can be signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadWebhookSecret {
    #[error("it is empty")]
    Empty,
    #[error("what follows `whsec_` is not base64")]
    NotBase64,
    #[error("it has fewer than 24 bytes")]
    Short,
}

impl std::fmt::Debug for WebhookKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WebhookKeys({})", self.0.len())
    }
}

impl WebhookKeys {
    /// One secret, or several with white space between them; each is `whsec_` and base64, or a text as it is.
    ///
    /// # Errors
    /// Where one of them is no secret.
    pub fn new(secret: &Secret) -> Result<Self, BadWebhookSecret> {
        let keys: Vec<hmac::Key> =
            secret.expose().split_whitespace().map(key).collect::<Result<_, BadWebhookSecret>>()?;
        if keys.is_empty() { Err(BadWebhookSecret::Empty) } else { Ok(Self(keys)) }
    }

    /// The value of `webhook-signature`: one signature for each key, the first key's first.
    #[must_use]
    pub fn sign(&self, id: &str, at: UnixTime, body: &str) -> String {
        let content = format!("{id}.{}.{body}", at.0);
        let signatures = self
            .0
            .iter()
            .map(|key| format!("v1,{}", STANDARD.encode(hmac::sign(key, content.as_bytes()).as_ref())));
        signatures.collect::<Vec<_>>().join(" ")
    }
}

fn key(secret: &str) -> Result<hmac::Key, BadWebhookSecret> {
    let bytes = match secret.strip_prefix(PREFIX) {
        Some(encoded) => STANDARD.decode(encoded).map_err(|_| BadWebhookSecret::NotBase64)?,
        None => secret.as_bytes().to_vec(),
    };
    if bytes.len() < SHORTEST {
        return Err(BadWebhookSecret::Short);
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secret: &str) -> Result<WebhookKeys, BadWebhookSecret> {
        WebhookKeys::new(&Secret::new(secret))
    }

    /// Computed with Python's hmac and base64.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let keys = keys("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap();
        assert_eq!(
            keys.sign("msg_1", UnixTime(1_700_000_000), "{\"type\":\"check\"}"),
            "v1,gxi06IQSJddVzZ5qYnACVt3MxkV1zL6GMBgnt/onl1Q="
        );
    }

    #[test]
    fn several_secrets_sign_side_by_side() {
        let (one, other) = (
            "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
            "a text of more than 24 bytes".replace(' ', "-"),
        );
        let sign = |secret: &str| keys(secret).unwrap().sign("m", UnixTime(1), "{}");
        assert_eq!(sign(&format!("{one}\n{other}\n")), format!("{} {}", sign(one), sign(&other)));
    }

    #[test]
    fn what_is_no_secret_signs_nothing() {
        for (secret, expected) in [
            (" \n", BadWebhookSecret::Empty),
            ("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE", BadWebhookSecret::NotBase64),
            ("whsec_c2hvcnQ=", BadWebhookSecret::Short),
            ("twenty-three-bytes-long", BadWebhookSecret::Short),
        ] {
            assert_eq!(keys(secret).unwrap_err(), expected, "{secret}");
        }
    }
}
