//! Single logout of one provider (SAML Profiles 2.0, 4.4): what we ask it, and what we answer.

use std::time::Duration;

use super::binding::{Kind, RelayState, soap};
use super::error::SamlError;
use super::hint::{LogoutHint, logout_name};
use super::logout::{
    Answered, Arrived, Asked, Expected, LogoutError, Outcome, Reason, Request, logout_request,
    logout_response, read_request, read_response,
};
use super::metadata::IdpMetadata;
use super::provider::{Endpoint, Saml, policy};
use super::request::MessageId;
use super::signature::SignatureError;
use super::writer::Written;
use crate::identify::Departure;
use crate::platform::crypto::sha256;

/// How long a logout request of ours holds.
const HOLDS: Duration = Duration::from_mins(5);

/// A logout that the provider asked for: whose sessions, and how to answer.
#[derive(Debug)]
pub struct Wanted {
    /// The text that sessions of this person are found by.
    pub name: String,
    /// The provider's sessions to end; empty: all of this person's.
    pub idp_sessions: Vec<String>,
    request: String,
}

/// The answer to a logout, by the way that the question came.
#[derive(Debug)]
pub enum Reply {
    /// On with the browser.
    Browser(Departure),
    /// An envelope.
    Soap(String),
}

impl Saml {
    /// The way to the provider to end its session too; `None` where it offers none, or we have no key to sign with
    /// (Profiles 4.4.4.1). `state` comes back with the answer. A provider that takes logouts by SOAP only is told
    /// before this returns, and the browser stays here.
    pub(super) async fn depart_to_logout(&self, hint: &LogoutHint, state: &str) -> Option<Departure> {
        // A person who signs out does not wait for a provider that is down.
        let metadata = self.metadata.at_hand()?;
        self.signing_keys.first()?;
        let slo = &metadata.slo;
        let by_browser = slo.redirect.as_ref().map(|slo| Endpoint::Redirect(&slo.requests));
        let by_browser = by_browser.or(slo.post.as_ref().map(|slo| Endpoint::Post(&slo.requests)));
        let outcome = match (by_browser, &slo.soap) {
            (Some(to), _) => {
                let (Endpoint::Redirect(destination) | Endpoint::Post(destination)) = to;
                let message = self.logout_request(hint, state, destination)?;
                self.depart(Kind::Request, message, to, RelayState::ours(state).as_ref(), true).map(Some)
            }
            (None, Some(soap)) => self.logout_by_soap(&metadata, hint, state, &soap.requests).await,
            (None, None) => return None,
        };
        outcome
            .inspect_err(|error| {
                tracing::warn!(idp = %self.idp.id, code = error.code(), %error, "the provider was not told of a logout");
            })
            .ok()?
    }

    fn logout_request(&self, hint: &LogoutHint, state: &str, destination: &url::Url) -> Option<Written> {
        let now = self.platform.clock.now();
        let session_indexes: Vec<String> = hint.session_index.iter().cloned().collect();
        Some(logout_request(&Request {
            id: &MessageId::parse(&request_id(state))?,
            entity_id: &self.idp.entity_id,
            destination,
            name_id: &hint.name_id,
            session_indexes: &session_indexes,
            reason: Some(Reason::User),
            now,
            not_on_or_after: now.after(HOLDS),
        }))
    }

    /// Bindings 3.2: behind the browser's back.
    async fn logout_by_soap(
        &self,
        metadata: &IdpMetadata,
        hint: &LogoutHint,
        state: &str,
        endpoint: &url::Url,
    ) -> Result<Option<Departure>, SamlError> {
        let (Some(message), Some(key)) =
            (self.logout_request(hint, state, endpoint), self.signing_keys.first())
        else {
            return Ok(None);
        };
        let envelope = soap::envelope(&message.signed(key)?).into_string();
        let request = self
            .outbound
            .request(http::Method::POST, endpoint.clone())
            .header(http::header::CONTENT_TYPE, soap::CONTENT_TYPE)
            .header("SOAPAction", soap::ACTION)
            .body(envelope);
        let answer = self.outbound.send(request).await;
        let answer = answer.map_err(|error| SamlError::Unreachable(error.to_string()))?;
        let expected = self.logout_expected(metadata);
        match read_response(Arrived::Soap(&answer.body), &expected, &request_id(state))? {
            Answered::Complete => {}
            Answered::Partial => {
                tracing::warn!(idp = %self.idp.id, "the provider ended not all sessions of a person");
            }
            Answered::Refused(status) => {
                tracing::warn!(idp = %self.idp.id, status = status.short(), "the provider refused a logout");
            }
        }
        Ok(None)
    }

    /// What became of the logout that this browser went away with (Profiles 4.4.4.2).
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub async fn logged_out(&self, arrived: Arrived<'_>, state: &str) -> Result<Answered, SamlError> {
        let metadata = self.metadata.current().await?;
        let read = |metadata: &IdpMetadata| {
            read_response(arrived, &self.logout_expected(metadata), &request_id(state))
        };
        let outcome = read(&metadata);
        match self.with_other_keys(&metadata, outcome.as_ref().err()).await {
            Some(newer) => Ok(read(&newer)?),
            None => Ok(outcome?),
        }
    }

    /// Whom the provider wants signed out (Profiles 4.4.4.1). It counts once.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub async fn logout_asked(&self, arrived: Arrived<'_>) -> Result<Wanted, SamlError> {
        let metadata = self.metadata.current().await?;
        let read = |metadata: &IdpMetadata| read_request(arrived, &self.logout_expected(metadata));
        let outcome = read(&metadata);
        let asked = match self.with_other_keys(&metadata, outcome.as_ref().err()).await {
            Some(newer) => read(&newer)?,
            None => outcome?,
        };
        let Asked { id, forget_after, name_id, session_indexes } = asked;
        if !self.store.first_use(&once(&metadata.entity_id, &id), forget_after).await? {
            return Err(SamlError::LogoutReplayed);
        }
        Ok(Wanted { name: logout_name(&name_id), idp_sessions: session_indexes, request: id })
    }

    /// Metadata with other keys, where the signature is by none of these.
    async fn with_other_keys(
        &self,
        metadata: &std::sync::Arc<IdpMetadata>,
        error: Option<&LogoutError>,
    ) -> Option<std::sync::Arc<IdpMetadata>> {
        match error {
            Some(LogoutError::Signature(SignatureError::NotByTrustedKey | SignatureError::NoKeyFits(_))) => {
                self.metadata.other_than(metadata).await
            }
            _ => None,
        }
    }

    /// The answer to a logout, the way that the question came.
    ///
    /// # Errors
    /// Where the provider's metadata has no endpoint for it, or signing fails.
    pub async fn answer_logout(
        &self,
        wanted: &Wanted,
        outcome: Outcome,
        arrived: &Arrived<'_>,
        relay_state: Option<&RelayState>,
    ) -> Result<Reply, SamlError> {
        let metadata = self.metadata.current().await?;
        let slo = &metadata.slo;
        // Profiles 4.4.4.2: the binding may be another one than the question's.
        let by_redirect = slo.redirect.as_ref().map(|slo| Endpoint::Redirect(&slo.responses));
        let by_post = slo.post.as_ref().map(|slo| Endpoint::Post(&slo.responses));
        let to = match arrived {
            Arrived::Soap(_) => None,
            Arrived::Redirect(_) => Some(by_redirect.or(by_post).ok_or(SamlError::LogoutNotOffered)?),
            Arrived::Post(_) => Some(by_post.or(by_redirect).ok_or(SamlError::LogoutNotOffered)?),
        };
        let destination = to.map(|to| match to {
            Endpoint::Redirect(url) | Endpoint::Post(url) => url,
        });
        let id = MessageId::from_random(self.platform.entropy.bytes()?);
        let now = self.platform.clock.now();
        let message =
            logout_response(&id, &self.idp.entity_id, destination, Some(&wanted.request), outcome, now);
        if let Some(to) = to {
            return Ok(Reply::Browser(self.depart(Kind::Response, message, to, relay_state, true)?));
        }
        let message = match self.signing_keys.first() {
            Some(key) => message.signed(key)?,
            None => message,
        };
        Ok(Reply::Soap(soap::envelope(&message).into_string()))
    }

    fn logout_expected<'a>(&'a self, metadata: &'a IdpMetadata) -> Expected<'a> {
        Expected {
            idp_entity_id: &metadata.entity_id,
            keys: &metadata.signing_keys,
            policy: policy(&self.idp),
            decryption_keys: &self.decryption_keys,
            // Where no logout is offered, none is meant for this place.
            endpoint: self.addresses.slo.as_ref().unwrap_or(&self.addresses.acs),
            now: self.platform.clock.now(),
            skew: self.idp.clock_skew,
        }
    }
}

/// The ID of the logout request that goes out with `state`.
fn request_id(state: &str) -> String {
    format!("_{state}")
}

/// What a logout request is remembered by. Lessons 15 and 31: framed, and of one length.
fn once(issuer: &str, id: &str) -> [u8; 32] {
    let mut framed = b"narthex saml logout 1\0".to_vec();
    framed.extend_from_slice(&u64::try_from(issuer.len()).unwrap_or(u64::MAX).to_be_bytes());
    framed.extend_from_slice(issuer.as_bytes());
    framed.extend_from_slice(id.as_bytes());
    sha256(&framed)
}
