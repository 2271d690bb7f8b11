//! The same provider as a SAML 2.0 identity provider: metadata, sign-in, single logout.
//!
//! What it signs and writes is made with the writer and the signer that narthex has for its own messages. It
//! knows the service providers that it was told of, and nobody else.

mod behaviour;
mod keys;
mod logout;
mod message;
mod response;
mod sso;

use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use url::Url;

use crate::demo::DemoError;
use crate::demo::expiring::Expiring;
use crate::identify::saml::binding::BindingError;
use crate::identify::saml::keys::VerifyingKey;
use crate::identify::saml::request::{POST_BINDING, REDIRECT_BINDING};
use crate::identify::saml::sign::SignError;
use crate::identify::saml::writer::{Writer, Written};
use crate::identify::saml::xml::{DSIG, METADATA, SAMLP, XmlError};
use crate::platform::entropy::NoEntropy;

use super::KeyFailure;
use super::pages;
use super::state::{Provider, lock};

pub use behaviour::{Edit, SamlBehaviour, Sign};
pub use keys::SamlKey;
pub(super) use response::Named;
pub(super) use sso::Asked;

const PERSISTENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
const TRANSIENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";
const EMAIL_ADDRESS: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";

const MAX_LOGOUTS: usize = 1000;

/// Somebody whom people of this provider may sign in to.
#[derive(Debug, Clone)]
pub struct ServiceProvider {
    pub entity_id: String,
    /// The one address that responses are sent to.
    pub acs: Url,
    /// Where logout messages go; `None`: it takes none.
    pub slo: Option<Url>,
    /// What its messages are signed with. Without any its logout requests are refused.
    pub keys: Vec<VerifyingKey>,
}

/// A message could not be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    #[error(transparent)]
    Sign(#[from] SignError),
    #[error(transparent)]
    Binding(#[from] BindingError),
    #[error(transparent)]
    Key(#[from] KeyFailure),
    /// An edit of a test's.
    #[error(transparent)]
    Xml(#[from] XmlError),
}

/// The SAML side of the running provider.
pub struct DemoSaml {
    /// Of the provider: `http://host:port`.
    base: String,
    /// The first signs, all are published.
    keys: Mutex<Vec<Arc<SamlKey>>>,
    parties: Mutex<Vec<ServiceProvider>>,
    behaviour: Mutex<SamlBehaviour>,
    logouts: Mutex<Expiring<logout::Running>>,
}

impl DemoSaml {
    pub(super) fn new(base: String) -> Result<Self, DemoError> {
        Ok(Self {
            base,
            keys: Mutex::new(vec![Arc::new(SamlKey::generate("Demo identity provider")?)]),
            parties: Mutex::default(),
            behaviour: Mutex::default(),
            logouts: Mutex::new(Expiring::new(MAX_LOGOUTS)),
        })
    }

    /// The provider's entity ID, which is where its metadata is.
    pub fn entity_id(&self) -> String {
        format!("{}/saml/metadata", self.base)
    }

    /// Makes a service provider known; one of the same entity ID is replaced.
    pub fn register(&self, party: ServiceProvider) {
        let mut parties = lock(&self.parties);
        parties.retain(|known| known.entity_id != party.entity_id);
        parties.push(party);
    }

    /// Where a person of this provider begins a sign-in to the service provider.
    pub fn start_at(&self, entity_id: &str) -> String {
        format!("{}/saml/start?{}", self.base, serialized(&[("sp", entity_id)]))
    }

    /// Answers so from now on.
    pub fn set(&self, behaviour: SamlBehaviour) {
        *lock(&self.behaviour) = behaviour;
    }

    /// Signs with a fresh key from now on, which is published at once; the older ones stay published.
    ///
    /// # Errors
    /// Where no key can be made.
    pub fn rotate_key(&self) -> Result<(), KeyFailure> {
        let key = Arc::new(SamlKey::generate("Demo identity provider")?);
        lock(&self.keys).insert(0, key);
        Ok(())
    }

    fn behaviour(&self) -> SamlBehaviour {
        lock(&self.behaviour).clone()
    }

    fn party(&self, entity_id: &str) -> Option<ServiceProvider> {
        lock(&self.parties).iter().find(|party| party.entity_id == entity_id).cloned()
    }

    /// Entity ID and where to begin, for the front page.
    pub(super) fn services(&self) -> Vec<(String, String)> {
        let parties = lock(&self.parties);
        parties.iter().map(|party| (party.entity_id.clone(), self.start_at(&party.entity_id))).collect()
    }

    fn logouts(&self) -> MutexGuard<'_, Expiring<logout::Running>> {
        lock(&self.logouts)
    }

    fn sso_url(&self) -> String {
        format!("{}/saml/sso", self.base)
    }

    fn slo_url(&self) -> String {
        format!("{}/saml/slo", self.base)
    }

    /// What signs now.
    fn key(&self) -> Result<Arc<SamlKey>, KeyFailure> {
        if lock(&self.behaviour).foreign_key {
            return SamlKey::generate("Nobody that you know").map(Arc::new);
        }
        lock(&self.keys).first().cloned().ok_or(KeyFailure)
    }

    /// SAML Metadata 2.0, 2.4.3, in the order of its schema.
    fn metadata(&self) -> Written {
        let (entity_id, sso, slo) = (self.entity_id(), self.sso_url(), self.slo_url());
        let wants_signed = lock(&self.behaviour).want_signed_requests;
        let mut writer = Writer::new(
            "md:EntityDescriptor",
            &[("xmlns:md", Some(METADATA)), ("xmlns:ds", Some(DSIG)), ("entityID", Some(&entity_id))],
        );
        writer.open(
            "md:IDPSSODescriptor",
            &[
                ("WantAuthnRequestsSigned", Some(if wants_signed { "true" } else { "false" })),
                ("protocolSupportEnumeration", Some(SAMLP)),
            ],
        );
        for key in lock(&self.keys).iter() {
            writer.open("md:KeyDescriptor", &[("use", Some("signing"))]);
            writer.open("ds:KeyInfo", &[]);
            writer.open("ds:X509Data", &[]);
            writer.text("ds:X509Certificate", &[], &STANDARD.encode(key.signing.certificate_der()));
            writer.close();
            writer.close();
            writer.close();
        }
        for binding in [REDIRECT_BINDING, POST_BINDING] {
            writer.empty("md:SingleLogoutService", &[("Binding", Some(binding)), ("Location", Some(&slo))]);
        }
        for format in [PERSISTENT, TRANSIENT, EMAIL_ADDRESS] {
            writer.text("md:NameIDFormat", &[], format);
        }
        for binding in [REDIRECT_BINDING, POST_BINDING] {
            writer.empty("md:SingleSignOnService", &[("Binding", Some(binding)), ("Location", Some(&sso))]);
        }
        writer.finish()
    }
}

pub(super) fn router() -> Router<Arc<Provider>> {
    Router::new()
        .route("/saml/metadata", get(metadata))
        .route("/saml/sso", get(sso::by_query).post(sso::by_form))
        .route("/saml/continue", get(sso::resume))
        .route("/saml/start", get(sso::start))
        .route("/saml/slo", get(logout::by_query).post(logout::by_form))
        .route("/sign_out", post(logout::at_own_page))
}

/// Goes on with a sign-in whose person was chosen on the page.
pub(super) fn signed_in_as(provider: &Provider, headers: &HeaderMap, asked: &Asked, login: &str) -> Response {
    sso::chosen(provider, headers, asked, login).unwrap_or_else(|failure| failed(&failure))
}

async fn metadata(State(provider): State<Arc<Provider>>) -> Response {
    let mut answer = Response::new(provider.saml.metadata().into_string().into());
    // SAML Metadata 2.0, 4.1.1.
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/samlmetadata+xml"));
    answer
}

fn serialized(parameters: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

fn refused(why: &str) -> Response {
    pages::refused(StatusCode::BAD_REQUEST, why)
}

fn failed(failure: &Failure) -> Response {
    pages::refused(StatusCode::INTERNAL_SERVER_ERROR, &failure.to_string())
}

#[cfg(test)]
mod tests;
