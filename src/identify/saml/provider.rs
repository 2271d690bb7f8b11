//! One configured SAML identity provider: the steps of a sign-in in their order.

use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

use super::algorithm::AlgorithmPolicy;
use super::assertion::{Assertion, ResponseHead};
use super::attributes::{self, Parties};
use super::binding::post::Form;
use super::binding::redirect::Query;
use super::binding::{Kind, RelayState};
use super::error::{SamlError, SamlRefusal};
use super::gate::{Gate, GateError, MAX_RESPONSE, Opened, RequireSigned};
use super::hint::LogoutHint;
use super::keys::{DecryptionKey, KeyError, SigningKey, trust_anchor};
use super::metadata::IdpMetadata;
use super::metadata::error::MetadataError;
use super::metadata::source::{MetadataSource, Origin, SourceSettings};
use super::metadata::write::{SpSettings, sp_metadata};
use super::profile::{self, Asked, Checked, Expected, Request};
use super::received::{Received, request_id, state_of};
use super::request::{self, AnswerAt, MessageId, NameIdPolicy, RequestSettings, RequestedAuthnContext};
use crate::config::settings::{self, Comparison, MetadataFrom, SamlBinding, SamlIdp, SamlKey};
use crate::identify::{Answer, Departure, IdentityProtocol, LoginError, Verified};
use crate::model::{IdpId, LoginAttempt, ReturnTo};
use crate::platform::{Outbound, Platform, Tasks};
use crate::store::Store;

/// Where this provider's browsers come to us.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// The assertion consumer service.
    pub acs: Url,
    /// The single logout service, where there is one.
    pub slo: Option<Url>,
}

/// A key of the configuration that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("idp {idp:?}: {key}[{index}]: {reason}")]
pub struct UnusableKey {
    pub idp: IdpId,
    /// `signing_keys` or `decryption_keys`.
    pub key: &'static str,
    pub index: usize,
    pub reason: KeyError,
}

/// A SAML identity provider and what is known of it.
pub struct Saml {
    pub(super) idp: SamlIdp,
    pub(super) addresses: Addresses,
    pub(super) signing_keys: Vec<SigningKey>,
    pub(super) decryption_keys: Vec<DecryptionKey>,
    pub(super) metadata: Arc<MetadataSource>,
    pub(super) store: Arc<dyn Store>,
    pub(super) outbound: Outbound,
    pub(super) platform: Platform,
}

impl Saml {
    /// Knows nothing of the provider until [`Saml::spawn`] or the first sign-in reads its metadata.
    ///
    /// # Errors
    /// Where a key of ours cannot be used.
    pub fn new(
        idp: SamlIdp,
        addresses: Addresses,
        outbound: Outbound,
        store: Arc<dyn Store>,
        platform: Platform,
    ) -> Result<Arc<Self>, UnusableKey> {
        let unusable = |key, index, reason| UnusableKey { idp: idp.id.clone(), key, index, reason };
        let mut signing_keys = Vec::new();
        for (index, SamlKey { key, certificate }) in idp.signing_keys.iter().enumerate() {
            let key = SigningKey::from_pem(key.expose().as_bytes(), certificate);
            signing_keys.push(key.map_err(|reason| unusable("signing_keys", index, reason))?);
        }
        let mut decryption_keys = Vec::new();
        for (index, SamlKey { key, certificate }) in idp.decryption_keys.iter().enumerate() {
            let key = DecryptionKey::from_pem(key.expose().as_bytes(), certificate);
            decryption_keys.push(key.map_err(|reason| unusable("decryption_keys", index, reason))?);
        }
        let trust_anchor = match &idp.metadata_certificate {
            Some(pem) => trust_anchor(pem).map_err(|reason| unusable("metadata_certificate", 0, reason))?,
            None => Vec::new(),
        };
        let source = SourceSettings {
            idp: idp.id.clone(),
            origin: match &idp.metadata {
                MetadataFrom::Url(url) => Origin::Url(url.clone()),
                MetadataFrom::File(path) => Origin::File(path.clone()),
            },
            entity_id: idp.idp_entity_id.clone(),
            trust_anchor,
            policy: policy(&idp),
        };
        let metadata = MetadataSource::new(source, outbound.clone(), store.clone(), platform.clone());
        Ok(Arc::new(Self {
            idp,
            addresses,
            signing_keys,
            decryption_keys,
            metadata,
            store,
            outbound,
            platform,
        }))
    }

    /// Reads the provider's metadata now.
    ///
    /// # Errors
    /// Why it cannot be had, or used.
    pub async fn refresh(&self) -> Result<(), MetadataError> {
        self.metadata.refresh().await.map(drop)
    }

    /// Keeps the provider's metadata fresh in the background, and goes on trying while it is down.
    pub fn spawn(self: &Arc<Self>, tasks: &Tasks) {
        self.metadata.spawn(tasks);
    }

    /// Verifies all of a response that needs no browser (SAML Profiles 2.0, 4.1.4), and that it is the first time.
    ///
    /// # Errors
    /// The first check that failed, and those before it.
    pub async fn receive(&self, response: &[u8], relay_state: Option<&str>) -> Result<Received, SamlRefusal> {
        let mut metadata = self.metadata.current().await.map_err(SamlError::from)?;
        let mut opened = self.open(response, &metadata);
        // The provider may have a new key.
        if opened.as_ref().is_err_and(is_of_another_key)
            && let Some(newer) = self.metadata.other_than(&metadata).await
        {
            opened = self.open(response, &newer);
            metadata = newer;
        }
        let expected = |response_signed| self.expected(&metadata, response_signed);
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => return Err(Self::said_no(error, &expected(false))),
        };
        if opened.uses_sha1() {
            tracing::warn!(idp = %self.idp.id, "signed with SHA-1, which allow_sha1 lets pass: it can be forged");
        }
        let head = ResponseHead::parse(opened.response().bytes(), MAX_RESPONSE).map_err(SamlError::from)?;
        let assertion = Assertion::parse(opened.assertion(), MAX_RESPONSE).map_err(SamlError::from)?;
        let expected = expected(opened.response().is_signed());
        let unbound = profile::check_unbound(&expected, &head, &assertion).map_err(SamlRefusal::of)?;

        // RelayState is signed by nobody: it may refuse, never grant.
        if let Some(id) = unbound.in_response_to() {
            let state = state_of(id).ok_or(SamlError::RequestUnknown)?;
            if relay_state.is_some_and(|relayed| !relayed.is_empty() && relayed != state) {
                return Err(SamlError::RelayStateMismatch.into());
            }
        }
        let replay = unbound.replay();
        if !self.store.first_use(&replay.key, replay.until).await.map_err(SamlError::from)? {
            return Err(SamlError::Replayed.into());
        }
        Ok(Received::new(unbound))
    }

    /// A sign-in that began at the provider, and where it lands.
    ///
    /// # Errors
    /// Where that is not allowed, or the provider does not say who it is.
    pub async fn began_there(&self, received: Received) -> Result<(Verified, ReturnTo), SamlRefusal> {
        let metadata = self.metadata.current().await.map_err(SamlError::from)?;
        let landing = self.idp.idp_initiated.clone().unwrap_or_else(ReturnTo::root);
        let checked = profile::check_bound(received.into_unbound(), &self.asked(None));
        Ok((self.verified(&checked.map_err(SamlRefusal::of)?, &metadata)?, landing))
    }

    /// What the provider has to know of us, as XML (SAML Metadata 2.0).
    ///
    /// # Errors
    /// Where it is to be signed and that fails.
    pub fn own_metadata(&self) -> Result<String, SamlError> {
        let idp = &self.idp;
        let asked = self.metadata.at_hand().is_some_and(|metadata| metadata.want_authn_requests_signed);
        let can_sign = !self.signing_keys.is_empty();
        let settings = SpSettings {
            entity_id: idp.entity_id.clone(),
            assertion_consumer: self.addresses.acs.clone(),
            logout: self.addresses.slo.clone().filter(|_| can_sign),
            authn_requests_signed: can_sign && idp.sign_requests.unwrap_or(asked),
            want_assertions_signed: matches!(
                idp.require_signed,
                settings::RequireSigned::Assertion | settings::RequireSigned::Both
            ),
            signing: self.signing_keys.iter().map(|key| key.certificate_der().to_vec()).collect(),
            encryption: self.decryption_keys.iter().map(|key| key.certificate_der().to_vec()).collect(),
            name_id_formats: idp.name_id_format.iter().cloned().collect(),
            valid_until: None,
            cache_duration: None,
        };
        let key = self.signing_keys.first().filter(|_| idp.sign_metadata);
        let Some(key) = key else { return Ok(sp_metadata(&settings, None).into_string()) };
        let id = MessageId::from_random(self.platform.entropy.bytes()?);
        Ok(sp_metadata(&settings, Some(&id)).signed(key)?.into_string())
    }

    fn open(&self, response: &[u8], metadata: &IdpMetadata) -> Result<Opened, GateError> {
        let gate = Gate {
            keys: &metadata.signing_keys,
            decryption_keys: &self.decryption_keys,
            require_signed: match self.idp.require_signed {
                settings::RequireSigned::Either => RequireSigned::Either,
                settings::RequireSigned::Assertion => RequireSigned::Assertion,
                settings::RequireSigned::Response => RequireSigned::Response,
                settings::RequireSigned::Both => RequireSigned::Both,
            },
            want_encrypted: self.idp.want_encrypted,
            policy: policy(&self.idp),
        };
        gate.open(response)
    }

    /// How a provider says no: a response without assertion, mostly unsigned. Its status may refuse all the same,
    /// and says more than that the assertion is missing.
    fn said_no(error: GateError, expected: &Expected<'_>) -> SamlRefusal {
        if let GateError::NoAssertion(head) = &error
            && let Ok(head) = ResponseHead::parse(head.bytes(), MAX_RESPONSE)
            && !head.status.is_success()
            && let Err(refused) = profile::check_response(expected, &head)
        {
            return SamlRefusal::of(refused);
        }
        error.into()
    }

    fn expected<'a>(&'a self, metadata: &'a IdpMetadata, response_signed: bool) -> Expected<'a> {
        Expected {
            entity_id: &self.idp.entity_id,
            acs_url: self.addresses.acs.as_str(),
            idp_entity_id: &metadata.entity_id,
            allow_unsolicited: self.idp.idp_initiated.is_some(),
            response_signed,
            now: self.platform.clock.now(),
            skew: self.idp.clock_skew,
            max_age: profile::MAX_AGE,
        }
    }

    /// What the configuration asks of every sign-in, and of the one that `request` began.
    fn asked<'a>(&'a self, request: Option<Request<'a>>) -> Asked<'a> {
        let exact = self.idp.authn_context_comparison == Comparison::Exact;
        Asked {
            request,
            force_authn: self.idp.force_authn,
            context_classes: if exact { &self.idp.requested_authn_context } else { &[] },
            skew: self.idp.clock_skew,
        }
    }

    /// Who it is.
    fn verified(&self, checked: &Checked, metadata: &IdpMetadata) -> Result<Verified, SamlError> {
        let parties = Parties {
            idp: &self.idp.id,
            idp_entity_id: &metadata.entity_id,
            entity_id: &self.idp.entity_id,
            name_id_format: self.idp.name_id_format.as_deref(),
            subject_claim: self.idp.subject_claim.as_deref(),
        };
        let identity = attributes::identity(&parties, checked)?;
        let hint = checked.name_id().map(|name_id| LogoutHint {
            name_id: name_id.clone(),
            session_index: checked.session_index().map(str::to_owned),
        });
        Ok(Verified::new(identity, hint.and_then(|hint| hint.to_secret())))
    }

    fn request_settings(&self) -> RequestSettings {
        let idp = &self.idp;
        let comparison = match idp.authn_context_comparison {
            Comparison::Exact => request::Comparison::Exact,
            Comparison::Minimum => request::Comparison::Minimum,
            Comparison::Maximum => request::Comparison::Maximum,
            Comparison::Better => request::Comparison::Better,
        };
        let classes = idp.requested_authn_context.clone();
        RequestSettings {
            entity_id: idp.entity_id.clone(),
            answer_at: match idp.assertion_consumer_service_index {
                Some(index) => AnswerAt::Index(index),
                None => AnswerAt::Url(self.addresses.acs.clone()),
            },
            force_authn: idp.force_authn,
            is_passive: idp.is_passive,
            name_id: Some(NameIdPolicy {
                format: idp.name_id_format.clone(),
                sp_name_qualifier: None,
                allow_create: Some(true),
            }),
            authn_context: (!classes.is_empty()).then_some(RequestedAuthnContext { classes, comparison }),
        }
    }

    /// The way to the provider with a message, signed where `signs`.
    pub(super) fn depart(
        &self,
        kind: Kind,
        message: super::writer::Written,
        to: Endpoint<'_>,
        relay_state: Option<&RelayState>,
        signs: bool,
    ) -> Result<Departure, SamlError> {
        let key = self.signing_keys.first().filter(|_| signs);
        match to {
            Endpoint::Redirect(url) => {
                let query = Query::new(kind, &message, relay_state)?;
                let query = match key {
                    Some(key) => query.signed(key)?,
                    None => query,
                };
                Ok(Departure::Redirect(query.at(url)))
            }
            Endpoint::Post(url) => {
                let message = match key {
                    Some(key) => message.signed(key)?,
                    None => message,
                };
                let Form { action, fields } = Form::new(url.clone(), kind, &message, relay_state);
                Ok(Departure::Form { action, fields })
            }
        }
    }
}

pub(super) fn policy(idp: &SamlIdp) -> AlgorithmPolicy {
    if idp.allow_sha1 { AlgorithmPolicy::Sha1Too } else { AlgorithmPolicy::Sha2 }
}

/// Whether a key that the provider's metadata had not yet, when we read it, may have signed.
///
/// SECURITY: of an encrypted assertion that could not be used, always. If it depended on what was decrypted, the time
/// that fetching the metadata takes would tell a sender of forged ciphertexts which of them decrypt to a signature
/// (Jager and Somorovsky, "How to break XML encryption").
fn is_of_another_key(error: &GateError) -> bool {
    use super::signature::SignatureError;

    match error {
        GateError::Encrypted(_) => true,
        GateError::ResponseSignature(error) | GateError::AssertionSignature(error) => {
            matches!(error, SignatureError::NotByTrustedKey | SignatureError::NoKeyFits(_))
        }
        _ => false,
    }
}

/// An endpoint of the provider, by its binding.
#[derive(Debug, Clone, Copy)]
pub(super) enum Endpoint<'a> {
    Redirect(&'a Url),
    Post(&'a Url),
}

#[async_trait]
impl IdentityProtocol for Saml {
    fn id(&self) -> &IdpId {
        &self.idp.id
    }

    async fn begin(&self, attempt: &LoginAttempt, state: &str) -> Result<Departure, LoginError> {
        let metadata = self.metadata.current().await.map_err(SamlError::from)?;
        let sso = &metadata.sso;
        let to = match (self.idp.request_binding, &sso.redirect, &sso.post) {
            (None | Some(SamlBinding::Redirect), Some(url), _) => Endpoint::Redirect(url),
            (None | Some(SamlBinding::Post), _, Some(url)) => Endpoint::Post(url),
            _ => return Err(SamlError::BindingNotOffered.into()),
        };
        let (Endpoint::Redirect(destination) | Endpoint::Post(destination)) = to;
        let id = MessageId::parse(&request_id(state, &attempt.nonce)).ok_or(SamlError::RequestUnknown)?;
        let now = self.platform.clock.now();
        let request = request::authn_request(&self.request_settings(), &id, destination, now);
        let signs = self.idp.sign_requests.unwrap_or(metadata.want_authn_requests_signed);
        let relay_state = RelayState::ours(state);
        Ok(self.depart(Kind::Request, request, to, relay_state.as_ref(), signs)?)
    }

    async fn finish(&self, attempt: LoginAttempt, answer: Answer) -> Result<Verified, LoginError> {
        let Answer::Saml(received) = answer else { return Err(LoginError::WrongProtocol) };
        let metadata = self.metadata.current().await.map_err(SamlError::from)?;
        let id = received.state().map(|state| request_id(state, &attempt.nonce)).unwrap_or_default();
        let request = Request { id: &id, begun_at: attempt.begun_at };
        let checked = profile::check_bound(received.into_unbound(), &self.asked(Some(request)));
        Ok(self.verified(&checked.map_err(SamlRefusal::of)?, &metadata)?)
    }

    async fn logout(&self, hint: Option<&str>, _: &Url, state: &str) -> Option<Departure> {
        self.depart_to_logout(&LogoutHint::from_text(hint?)?, state).await
    }

    fn ready(&self) -> bool {
        self.metadata.ready()
    }
}

/// Secrets are shown to nobody, and neither is what else is in there.
impl std::fmt::Debug for Saml {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Saml").field("idp", &self.idp.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::signature::SignatureError;
    use super::*;

    #[test]
    fn metadata_is_asked_for_whatever_came_out_of_an_encrypted_assertion() {
        let encrypted = |reason| is_of_another_key(&GateError::Encrypted(Box::new(reason)));
        let unknown_key = || GateError::AssertionSignature(SignatureError::NotByTrustedKey);
        assert!(encrypted(unknown_key()));
        assert!(encrypted(GateError::NotSigned));
        assert!(encrypted(GateError::DecryptedOther));
        // What anybody can see may decide.
        assert!(is_of_another_key(&unknown_key()));
        assert!(is_of_another_key(&GateError::ResponseSignature(SignatureError::NoKeyFits(String::new()))));
        assert!(!is_of_another_key(&GateError::NotSigned));
        assert!(!is_of_another_key(&GateError::AssertionSignature(SignatureError::DigestMismatch)));
    }
}
