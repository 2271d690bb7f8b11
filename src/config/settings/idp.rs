//! `[[idp]]` as meant.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::model::{IdpId, ReturnTo, Secret};

pub use crate::config::raw::{Comparison, RequireSigned, SamlBinding};

/// `[[idp]]`
#[derive(Debug, Clone)]
pub enum Idp {
    Oidc(Box<OidcIdp>),
    Saml(Box<SamlIdp>),
}

impl Idp {
    #[must_use]
    pub fn id(&self) -> &IdpId {
        match self {
            Self::Oidc(idp) => &idp.id,
            Self::Saml(idp) => &idp.id,
        }
    }

    /// The protocol's name, as `type` has it.
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        match self {
            Self::Oidc(_) => "oidc",
            Self::Saml(_) => "saml",
        }
    }

    /// What the chooser shows.
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            Self::Oidc(idp) => &idp.label,
            Self::Saml(idp) => &idp.label,
        }
    }

    /// The domains that it may speak for.
    #[must_use]
    pub fn email_domains(&self) -> &[String] {
        match self {
            Self::Oidc(idp) => &idp.email_domains,
            Self::Saml(idp) => &idp.email_domains,
        }
    }

    /// Whether its e-mail addresses count as verified without its saying so (F1).
    #[must_use]
    pub fn trust_email(&self) -> bool {
        match self {
            Self::Oidc(idp) => idp.trust_email,
            // An assertion has no way to say that an address is not verified.
            Self::Saml(_) => true,
        }
    }
}

/// `[[idp]]` of type `oidc`
#[derive(Debug, Clone)]
pub struct OidcIdp {
    pub id: IdpId,
    /// What the chooser shows; the id unless set.
    pub label: String,
    /// As the discovery document must repeat it.
    pub issuer: Url,
    /// Exactly as written: OIDC compares issuers as strings.
    pub issuer_text: String,
    pub client_id: String,
    pub client_auth: ClientAuth,
    /// Always contains `openid`.
    pub scopes: Vec<String>,
    /// Lower-case ASCII domains, or `*` alone.
    pub email_domains: Vec<String>,
    /// Count `email` as verified although the provider does not say `email_verified` (F1).
    pub trust_email: bool,
    /// The claim that is the subject; `sub` unless set.
    pub subject_claim: Option<String>,
    /// Allowed ID-token algorithms; asymmetric ones unless configured.
    pub id_token_algorithms: Vec<jsonwebtoken::Algorithm>,
    /// Tolerated clock difference, default 60 s, at most 300 s.
    pub clock_skew: Duration,
    /// `acr_values` to ask for.
    pub acr_values: Vec<String>,
    /// `max_age` to ask for, and to check `auth_time` against.
    pub max_age: Option<Duration>,
}

/// `[[idp]]` of type `saml`
#[derive(Debug, Clone)]
pub struct SamlIdp {
    pub id: IdpId,
    /// What the chooser shows; the id unless set.
    pub label: String,
    pub metadata: MetadataFrom,
    /// The one to pick from the metadata, and to be found there.
    pub idp_entity_id: Option<String>,
    /// PEM of the certificate that the metadata must be signed by.
    pub metadata_certificate: Option<Vec<u8>>,
    /// Ours.
    pub entity_id: String,
    /// The first signs, all are published.
    pub signing_keys: Vec<SamlKey>,
    /// All are tried, all are published.
    pub decryption_keys: Vec<SamlKey>,
    /// `None`: where the provider's metadata asks for it.
    pub sign_requests: Option<bool>,
    pub sign_metadata: bool,
    /// `None`: redirect, where it is offered.
    pub request_binding: Option<SamlBinding>,
    /// A URI.
    pub name_id_format: Option<String>,
    pub force_authn: bool,
    pub is_passive: bool,
    /// Context class URIs.
    pub requested_authn_context: Vec<String>,
    pub authn_context_comparison: Comparison,
    pub assertion_consumer_service_index: Option<u16>,
    pub require_signed: RequireSigned,
    pub want_encrypted: bool,
    pub allow_sha1: bool,
    /// Where a sign-in that began at the provider lands; `None`: it is refused.
    pub idp_initiated: Option<ReturnTo>,
    /// Lower-case ASCII domains, or `*` alone.
    pub email_domains: Vec<String>,
    /// The claim that is the subject; the NameID unless set.
    pub subject_claim: Option<String>,
    /// Tolerated clock difference, default 60 s, at most 300 s.
    pub clock_skew: Duration,
}

/// Where a provider's metadata is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataFrom {
    Url(Url),
    File(PathBuf),
}

/// A private key of ours and its certificate, both PEM.
#[derive(Debug, Clone)]
pub struct SamlKey {
    pub key: Secret,
    pub certificate: Vec<u8>,
}

/// How the token endpoint knows us (OIDC Core 9).
#[derive(Debug, Clone)]
pub enum ClientAuth {
    Basic(Secret),
    Post(Secret),
    /// A public client; PKCE alone.
    None,
}
