//! What was wrong with a SAML provider, its messages or the answer: the errors of this folder under one roof.

use super::assertion::AssertionError;
use super::binding::BindingError;
use super::gate::GateError;
use super::logout::LogoutError;
use super::metadata::MetadataError;
use super::profile::{ProfileError, Refused, Step};
use super::sign::SignError;
use crate::model::Fault;
use crate::model::claims::TooManyClaims;
use crate::platform::entropy::NoEntropy;
use crate::store::StoreError;

/// A sign-in or logout by SAML that was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SamlError {
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error(transparent)]
    Binding(#[from] BindingError),
    #[error("this address takes responses, and what came is a request; which address was the provider told?")]
    NotAResponse,
    #[error(transparent)]
    Gate(#[from] GateError),
    #[error(transparent)]
    Assertion(#[from] AssertionError),
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error(transparent)]
    Attributes(#[from] super::attributes::AttributeError),
    #[error(transparent)]
    TooManyClaims(#[from] TooManyClaims),
    #[error("the provider's metadata offers no single sign-on by the binding that request_binding names")]
    BindingNotOffered,
    /// SAML Profiles 2.0, 4.1.4.5: an assertion counts once.
    #[error("this assertion was used before; begin the sign-in again")]
    Replayed,
    #[error("the response answers a request that was not made here")]
    RequestUnknown,
    /// SAML Bindings 2.0, 3.5.3: it comes back as it was sent.
    #[error("the response answers one request, but came back with the RelayState of another")]
    RelayStateMismatch,
    /// The id in the address after the redirect: unknown, taken or older than a minute.
    #[error("what the provider sent was taken already, or not within a minute; begin the sign-in again")]
    ResultGone,
    #[error(transparent)]
    Logout(#[from] LogoutError),
    #[error("this logout request came before; a logout is asked for once")]
    LogoutReplayed,
    #[error("the provider answers a logout that was not asked for here")]
    LogoutUnknown,
    #[error("the provider's metadata has no address that the answer to its logout could go to")]
    LogoutNotOffered,
    #[error("the provider could not be told of a logout: {0}")]
    Unreachable(String),
    #[error(transparent)]
    Sign(#[from] SignError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

impl SamlError {
    /// The variant's name for metrics, logs and `explain`; stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Metadata(error) => error.code(),
            Self::Binding(error) => error.code(),
            Self::NotAResponse => "not_a_response",
            Self::Gate(error) => error.code(),
            Self::Assertion(error) => error.code(),
            Self::Profile(error) => error.code(),
            Self::Attributes(error) => error.code(),
            Self::TooManyClaims(_) => "too_many_claims",
            Self::BindingNotOffered => "binding_not_offered",
            Self::Replayed => "assertion_replayed",
            Self::RequestUnknown => "request_unknown",
            Self::RelayStateMismatch => "relay_state_mismatch",
            Self::ResultGone => "result_gone",
            Self::Logout(error) => error.code(),
            Self::LogoutReplayed => "logout_replayed",
            Self::LogoutUnknown => "logout_unknown",
            Self::LogoutNotOffered => "logout_not_offered",
            Self::Unreachable(_) => "logout_unreachable",
            Self::Sign(error) => error.code(),
            Self::Store(_) => "store",
            Self::NoEntropy(_) => "no_entropy",
        }
    }

    /// Who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Metadata(error) => error.fault(),
            Self::Binding(error) => error.fault(),
            Self::Gate(error) => error.fault(),
            Self::Assertion(error) => error.fault(),
            Self::Profile(error) => error.fault(),
            Self::Attributes(error) => error.fault(),
            Self::NotAResponse | Self::BindingNotOffered => Fault::Operator,
            Self::LogoutReplayed
            | Self::LogoutUnknown
            | Self::Replayed
            | Self::RequestUnknown
            | Self::RelayStateMismatch
            | Self::ResultGone => Fault::Client,
            Self::Logout(error) => error.fault(),
            Self::TooManyClaims(_) | Self::Unreachable(_) | Self::LogoutNotOffered => Fault::IdentityProvider,
            Self::Sign(error) => error.fault(),
            Self::Store(_) | Self::NoEntropy(_) => Fault::Us,
        }
    }
}

/// A refusal, with the checks up to it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{error}")]
pub struct SamlRefusal {
    pub error: SamlError,
    /// In their order; empty where it did not come to the profile's checks.
    pub steps: Vec<Step>,
}

impl<E: Into<SamlError>> From<E> for SamlRefusal {
    fn from(error: E) -> Self {
        Self { error: error.into(), steps: Vec::new() }
    }
}

impl SamlRefusal {
    /// Of the profile's checks.
    pub(super) fn of(refused: Refused) -> Self {
        Self { error: refused.error.into(), steps: refused.steps }
    }
}
