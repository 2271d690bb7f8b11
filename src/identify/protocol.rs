//! What a sign-in protocol does for the login state machine.

use async_trait::async_trait;
use url::Url;

use super::Verified;
use super::oidc::OidcError;
use super::saml::{Received, SamlError, SamlRefusal, Step};
use crate::model::{Fault, IdpId, LoginAttempt};
use crate::platform::entropy::NoEntropy;
use crate::store::StoreError;

/// One configured identity provider, spoken to by its protocol.
#[async_trait]
pub trait IdentityProtocol: Send + Sync {
    fn id(&self) -> &IdpId;

    /// Where to send the browser. `state` is the text whose hash `attempt` carries.
    ///
    /// # Errors
    /// Where the provider's metadata was never read and cannot be read now.
    async fn begin(&self, attempt: &LoginAttempt, state: &str) -> Result<Departure, LoginError>;

    /// Verifies the answer against `attempt`, which was taken for this browser, and gives who it is.
    ///
    /// # Errors
    /// One variant per check that failed.
    async fn finish(&self, attempt: LoginAttempt, answer: Answer) -> Result<Verified, LoginError>;

    /// Where to send the browser to end the provider's session too; `None` where it offers none. `hint` is
    /// what [`Verified::logout_hint`] was.
    async fn logout(&self, hint: Option<&str>, post_logout: &Url, state: &str) -> Option<Departure>;

    /// Whether metadata and keys are at hand (from the provider or the last good copy).
    fn ready(&self) -> bool;
}

/// How a browser goes to the provider with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Departure {
    Redirect(Url),
    /// A form that the browser posts (SAML Bindings 2.0, 3.5).
    Form {
        action: Url,
        fields: Vec<(&'static str, String)>,
    },
}

#[cfg(test)]
impl Departure {
    /// Of a redirect.
    pub(super) fn url(&self) -> &Url {
        match self {
            Self::Redirect(url) => url,
            Self::Form { .. } => panic!("{self:?}"),
        }
    }
}

/// What came back from the provider, by protocol.
#[derive(Debug)]
pub enum Answer {
    Oidc(AnswerParameters),
    Saml(Box<Received>),
}

/// The parameters of an OpenID Connect answer, each at most once.
#[derive(Debug, Clone, Default)]
pub struct AnswerParameters {
    pub code: Option<crate::model::Secret>,
    pub error: Option<String>,
    pub error_description: Option<String>,
    /// RFC 9207.
    pub iss: Option<String>,
}

/// A sign-in that gave nobody: what the login state machine or a protocol found wrong.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error(transparent)]
    Oidc(#[from] OidcError),
    #[error(transparent)]
    Saml(#[from] SamlRefusal),
    /// An answer of one protocol at the address of a provider of another.
    #[error("this answer is not of the protocol that the identity provider speaks")]
    WrongProtocol,
    #[error("no identity provider is configured under this name")]
    UnknownProvider,
    /// RFC 6749, 3.1: parameters are given at most once.
    #[error("the answer carries `{name}` twice")]
    ParameterTwice { name: &'static str },
    #[error("the answer's `{name}` is longer than {limit} bytes")]
    ParameterTooLong { name: &'static str, limit: usize },
    #[error("the answer has no `state`; it belongs to no login")]
    StateMissing,
    #[error("the answer's `state` was not made here")]
    StateForged,
    #[error("this answer was used already; begin the login again")]
    AnswerReplayed,
    #[error(
        "the login cookie did not come back with the answer: the login began in another browser, or this one \
         keeps no cookies for this address; cookies must be allowed, and the application opened by the very \
         address that is configured as public_url"
    )]
    AnswerFromAnotherBrowser,
    #[error("the login began with {expected}, but the answer came to the address of {found}")]
    WrongProvider { expected: IdpId, found: IdpId },
    #[error("{rounds} logins of one browser within {seconds} s led back to the login: {}", diagnosis(*.signed_in))]
    LoginLoop { rounds: u32, seconds: i64, signed_in: bool },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

impl LoginError {
    /// The variant's name for metrics, logs and `explain`; stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Oidc(error) => error.code(),
            Self::Saml(refusal) => refusal.error.code(),
            Self::WrongProtocol => "wrong_protocol",
            Self::UnknownProvider => "unknown_provider",
            Self::ParameterTwice { .. } => "parameter_twice",
            Self::ParameterTooLong { .. } => "parameter_too_long",
            Self::StateMissing => "state_missing",
            Self::StateForged => "state_forged",
            Self::AnswerReplayed => "answer_replayed",
            Self::AnswerFromAnotherBrowser => "answer_from_another_browser",
            Self::WrongProvider { .. } => "wrong_provider",
            Self::LoginLoop { .. } => "login_loop",
            Self::Store(_) => "store",
            Self::NoEntropy(_) => "no_entropy",
        }
    }

    /// What happened, for the log and `explain`: with the reason that the sender must not be told.
    #[must_use]
    pub fn told_to_the_operator(&self) -> String {
        match self {
            Self::Saml(SamlRefusal { error: SamlError::Gate(error), .. }) if error.reason() != error => {
                format!("{error} ({})", error.reason())
            }
            other => other.to_string(),
        }
    }

    /// The checks in their order up to the one that failed, where the protocol keeps them.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        match self {
            Self::Saml(refusal) => &refusal.steps,
            _ => &[],
        }
    }

    /// Who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Oidc(error) => error.fault(),
            Self::Saml(refusal) => refusal.error.fault(),
            Self::UnknownProvider
            | Self::WrongProtocol
            | Self::ParameterTwice { .. }
            | Self::ParameterTooLong { .. }
            | Self::StateMissing
            | Self::StateForged
            | Self::AnswerReplayed
            | Self::AnswerFromAnotherBrowser
            | Self::WrongProvider { .. } => Fault::Client,
            Self::LoginLoop { .. } => Fault::Operator,
            Self::Store(_) | Self::NoEntropy(_) => Fault::Us,
        }
    }
}

impl From<SamlError> for LoginError {
    fn from(error: SamlError) -> Self {
        Self::Saml(error.into())
    }
}

/// Lesson 40: what to look at, by what was seen.
fn diagnosis(signed_in: bool) -> &'static str {
    if signed_in {
        "the session was there each time, so it is the application that sends people back to the login; check \
         that it takes the identity headers, and where its own login page points to"
    } else {
        "no session cookie came back; check that the application is opened by the very address that is \
         configured as public_url (https, same host, same port), that no proxy in between drops Set-Cookie, and \
         that the clocks of browser and proxy agree"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_code_and_somebody_who_has_to_act() {
        let idp: IdpId = "corp".parse().unwrap();
        let store = StoreError::Unavailable { act: "put_login", reason: "disk full".to_owned() };
        for (error, code, fault) in [
            (LoginError::Oidc(OidcError::NonceMismatch), "nonce_mismatch", Fault::Client),
            (LoginError::UnknownProvider, "unknown_provider", Fault::Client),
            (LoginError::WrongProtocol, "wrong_protocol", Fault::Client),
            (LoginError::ParameterTwice { name: "code" }, "parameter_twice", Fault::Client),
            (LoginError::ParameterTooLong { name: "code", limit: 1 }, "parameter_too_long", Fault::Client),
            (LoginError::StateMissing, "state_missing", Fault::Client),
            (LoginError::StateForged, "state_forged", Fault::Client),
            (LoginError::AnswerReplayed, "answer_replayed", Fault::Client),
            (LoginError::AnswerFromAnotherBrowser, "answer_from_another_browser", Fault::Client),
            (
                LoginError::WrongProvider { expected: idp.clone(), found: idp },
                "wrong_provider",
                Fault::Client,
            ),
            (
                LoginError::LoginLoop { rounds: 5, seconds: 1, signed_in: false },
                "login_loop",
                Fault::Operator,
            ),
            (LoginError::Store(store), "store", Fault::Us),
            (LoginError::NoEntropy(NoEntropy), "no_entropy", Fault::Us),
        ] {
            assert_eq!((error.code(), error.fault()), (code, fault));
        }
    }
}
