//! What was wrong with a logout message: one variant per rule.

use crate::identify::saml::assertion::error::AssertionError;
use crate::identify::saml::binding::BindingError;
use crate::identify::saml::encryption::DecryptionError;
use crate::identify::saml::profile::place::Elsewhere;
use crate::identify::saml::signature::SignatureError;
use crate::identify::saml::xml::XmlError;
use crate::model::Fault;

/// Texts of others in it are bounded and printable; what is personal never is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogoutError {
    #[error(transparent)]
    Xml(#[from] XmlError),
    #[error(transparent)]
    Binding(#[from] BindingError),
    #[error(transparent)]
    Form(#[from] AssertionError),
    #[error("the message is a {found:?}, expected a SAML 2.0 {expected}")]
    OtherMessage { expected: &'static str, found: String },

    // Who says so
    /// SECURITY: GHSA-3j2f-qhrc-rjfj. SAML Profiles 4.4.4.1 and 4.4.4.2 want every logout message authenticated;
    /// without that anybody could end anybody's sessions.
    #[error("the logout message is not signed; have the identity provider sign its logout messages")]
    NotSigned,
    #[error("the logout message's signature does not hold: {0}")]
    Signature(#[from] SignatureError),
    #[error("the logout message has no Issuer, which single logout wants")]
    IssuerMissing,
    #[error("the logout message is from {found:?}, expected {expected:?}")]
    IssuerMismatch { expected: String, found: String },
    #[error("the logout message's Issuer is of format {0:?}, expected an entity ID")]
    IssuerFormat(String),

    // For whom and when
    #[error("the logout message is of SAML version {0:?}, expected 2.0")]
    VersionMismatch(String),
    #[error(
        "the logout message is signed and comes through the browser, but has no Destination, which then is \
         required; expected {expected}"
    )]
    DestinationMissing { expected: String },
    #[error("the logout message's Destination: {0}")]
    DestinationMismatch(Elsewhere),
    #[error(
        "the logout message was issued {by} s ahead of our clock (clock_skew is {skew} s); compare the clocks"
    )]
    IssuedInFuture { by: i64, skew: i64 },
    #[error("the logout message is {age} s old, at most {limit} s are taken; compare the clocks")]
    TooOld { age: i64, limit: i64 },
    #[error(
        "the logout request expired {by} s ago by our clock (clock_skew is {skew} s); compare the clocks"
    )]
    Expired { by: i64, skew: i64 },

    // Whom it is about
    #[error("the logout request names nobody (NameID)")]
    NameMissing,
    #[error("the logout request names whom it is about more than once")]
    NameAmbiguous,
    #[error("the logout request names whom it is about by a BaseID, a form of the identity provider's own")]
    BaseId,
    #[error("the logout request's encrypted NameID has a form that is not read: {0}")]
    Encrypted(#[from] DecryptionError),
    /// SECURITY: one for all, so that nothing is to be learnt from which step it was.
    #[error(
        "the logout request's encrypted NameID cannot be decrypted; does the identity provider have our current certificate?"
    )]
    NotDecrypted,

    // What it answers
    #[error("the logout response answers no request (InResponseTo)")]
    InResponseToMissing,
    #[error("the logout response answers another request than ours")]
    InResponseToMismatch,
}

impl LogoutError {
    /// The variant's name for metrics, logs and `explain`; stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Xml(_) => "logout_xml",
            Self::Binding(inner) => inner.code(),
            Self::Form(_) => "logout_form",
            Self::OtherMessage { .. } => "logout_other_message",
            Self::NotSigned => "logout_not_signed",
            Self::Signature(_) => "logout_signature",
            Self::IssuerMissing => "logout_issuer_missing",
            Self::IssuerMismatch { .. } => "logout_issuer_mismatch",
            Self::IssuerFormat(_) => "logout_issuer_format",
            Self::VersionMismatch(_) => "logout_version_mismatch",
            Self::DestinationMissing { .. } => "logout_destination_missing",
            Self::DestinationMismatch(_) => "logout_destination_mismatch",
            Self::IssuedInFuture { .. } => "logout_issued_in_future",
            Self::TooOld { .. } => "logout_too_old",
            Self::Expired { .. } => "logout_expired",
            Self::NameMissing => "logout_name_missing",
            Self::NameAmbiguous => "logout_name_ambiguous",
            Self::BaseId => "logout_base_id",
            Self::Encrypted(_) => "logout_encrypted",
            Self::NotDecrypted => "logout_not_decrypted",
            Self::InResponseToMissing => "logout_in_response_to_missing",
            Self::InResponseToMismatch => "logout_in_response_to_mismatch",
        }
    }

    /// Who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Binding(inner) => inner.fault(),
            Self::InResponseToMismatch => Fault::Client,
            Self::DestinationMismatch(_) | Self::IssuerMismatch { .. } | Self::NotDecrypted => {
                Fault::Operator
            }
            Self::Xml(_)
            | Self::Form(_)
            | Self::OtherMessage { .. }
            | Self::NotSigned
            | Self::Signature(_)
            | Self::IssuerMissing
            | Self::IssuerFormat(_)
            | Self::VersionMismatch(_)
            | Self::DestinationMissing { .. }
            | Self::IssuedInFuture { .. }
            | Self::TooOld { .. }
            | Self::Expired { .. }
            | Self::NameMissing
            | Self::NameAmbiguous
            | Self::BaseId
            | Self::Encrypted(_)
            | Self::InResponseToMissing => Fault::IdentityProvider,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::saml::testing::is_coded_by_name;

    #[test]
    fn a_code_is_the_variants_name_behind_logout() {
        for error in [
            LogoutError::Xml(XmlError::NotUtf8),
            LogoutError::NotSigned,
            LogoutError::IssuerMissing,
            LogoutError::TooOld { age: 1, limit: 2 },
            LogoutError::InResponseToMismatch,
            LogoutError::BaseId,
        ] {
            assert!(is_coded_by_name("logout", &error, error.code()), "{error:?}");
        }
        assert_eq!(LogoutError::Binding(BindingError::MessageMissing).code(), "binding_message_missing");
    }

    #[test]
    fn who_has_to_act_is_told() {
        for (error, fault) in [
            (LogoutError::NotSigned, Fault::IdentityProvider),
            (LogoutError::InResponseToMismatch, Fault::Client),
            (LogoutError::NotDecrypted, Fault::Operator),
            (LogoutError::Binding(BindingError::NotCompressed), Fault::Us),
        ] {
            assert_eq!(error.fault(), fault, "{error:?}");
        }
    }
}
