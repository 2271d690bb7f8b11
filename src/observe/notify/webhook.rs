//! Signed calls to a webhook, as <https://www.standardwebhooks.com> (version 1.0.0) has it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use url::Url;
use uuid::Uuid;

use crate::model::{Secret, UnixTime};
use crate::platform::Outbound;
use crate::platform::crypto::hmac_sha256;
use crate::platform::outbound::OutboundError;

/// What secrets begin with; the rest is base64.
const PREFIX: &str = "whsec_";

/// Where letters of the webhook go.
pub struct Webhook {
    url: Url,
    /// The secret's bytes, encoded.
    key: Secret,
    outbound: Outbound,
}

/// A call that the receiver did not take.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error("the webhook answered {status}, which is not 2xx")]
    NotTaken { status: http::StatusCode },
    #[error("notify.webhook.secret is not whsec_ and base64")]
    UnusableSecret,
}

impl Webhook {
    /// `secret`: `whsec_` and base64, as receivers' libraries take it.
    #[must_use]
    pub fn new(url: Url, secret: Secret, outbound: Outbound) -> Self {
        Self { url, key: secret, outbound }
    }

    /// Makes the call; returns when it was taken.
    ///
    /// # Errors
    /// Why it was not.
    pub async fn send(&self, id: Uuid, now: UnixTime, body: &str) -> Result<(), WebhookError> {
        let signature = signature(&self.key, id, now, body).ok_or(WebhookError::UnusableSecret)?;
        let request = self
            .outbound
            .request(Method::POST, self.url.clone())
            .header("content-type", "application/json")
            .header("webhook-id", id.to_string())
            .header("webhook-timestamp", now.0.to_string())
            .header("webhook-signature", signature)
            .body(body.to_owned());
        let answer = self.outbound.send(request).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        Err(WebhookError::NotTaken { status: answer.status })
    }
}

/// HMAC-SHA-256 over `id.timestamp.body`. Neither an id of ours nor a number has a dot in it, so that nothing moves
/// from one field to the next (lesson 15).
fn signature(secret: &Secret, id: Uuid, now: UnixTime, body: &str) -> Option<String> {
    let key = STANDARD.decode(secret.expose().strip_prefix(PREFIX)?).ok()?;
    let tag = hmac_sha256(&key, format!("{id}.{}.{body}", now.0).as_bytes());
    Some(format!("v1,{}", STANDARD.encode(tag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s4_the_signature_is_that_of_standard_webhooks() {
        // Computed elsewhere (Python's hmac).
        let secret = Secret::new("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3");
        let id = Uuid::from_bytes([7; 16]);
        let signed = signature(&secret, id, UnixTime(1_800_000_000), "{\"type\":\"x\"}");
        assert_eq!(signed.as_deref(), Some("v1,56qocfv5dJyQD33BN76i439tcWI1TllNluJC4OjrIG4="));
    }

    #[test]
    fn a_secret_in_another_form_signs_nothing() {
        for text in ["MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", "whsec_ü", ""] {
            let signed = signature(&Secret::new(text), Uuid::nil(), UnixTime(0), "");
            assert_eq!(signed, None, "{text}");
        }
    }
}
