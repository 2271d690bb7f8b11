//! What makes a response or an assertion unreadable: one variant per rule.

use super::super::instant::InstantError;
use super::super::xml::XmlError;
use crate::model::Fault;

/// A message whose form SAML does not know, or narthex does not take. Texts of others in it are bounded and
/// printable; what is personal never is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    #[error(transparent)]
    Xml(#[from] XmlError),
    #[error("the message is a {0:?}, expected a SAML 2.0 Response")]
    NotAResponse(String),
    #[error("what was signed is a {0:?}, expected a SAML 2.0 Assertion")]
    NotAnAssertion(String),
    #[error("{element} lacks its attribute {attribute}")]
    AttributeMissing { element: String, attribute: &'static str },
    /// SAML Core 1.3.1, 1.3.2: strings and URIs hold at least one character that is no white space.
    #[error("{element} has an empty {what}")]
    Empty { element: String, what: &'static str },
    #[error("{element}'s {attribute}: {error}")]
    Instant { element: String, attribute: &'static str, error: InstantError },
    /// The schema has no such element there.
    #[error("{parent} holds {element}, which SAML does not have there")]
    Unexpected { parent: String, element: String },
    #[error("{element}'s {what} is {found} bytes long, at most {limit} are read")]
    TooLong { element: String, what: &'static str, found: usize, limit: usize },
    #[error("there are more than {limit} {what}")]
    TooMany { what: &'static str, limit: usize },
    #[error(
        "the NameID is encrypted by itself (EncryptedID); have the identity provider encrypt the whole \
         assertion instead, or nothing"
    )]
    EncryptedNameId,
    #[error("the subject is named by a BaseID, a form of the identity provider's own; have it send a NameID")]
    BaseId,
    #[error(
        "an attribute is encrypted by itself (EncryptedAttribute); have the identity provider encrypt the \
         whole assertion instead, or nothing"
    )]
    EncryptedAttribute,
    /// SECURITY: the value is compared byte by byte (SAML Core 1.3.1). Were the space cut off, `ada` and
    /// `ada ` would be one person.
    #[error("the NameID begins or ends with white space; have the identity provider send it without")]
    NameIdSpaced,
}

impl AssertionError {
    /// The variant's name for metrics, logs and `explain`; stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Xml(_) => "xml",
            Self::NotAResponse(_) => "not_a_response",
            Self::NotAnAssertion(_) => "not_an_assertion",
            Self::AttributeMissing { .. } => "attribute_missing",
            Self::Empty { .. } => "empty",
            Self::Instant { .. } => "instant",
            Self::Unexpected { .. } => "unexpected",
            Self::TooLong { .. } => "too_long",
            Self::TooMany { .. } => "too_many",
            Self::EncryptedNameId => "encrypted_name_id",
            Self::BaseId => "base_id",
            Self::EncryptedAttribute => "encrypted_attribute",
            Self::NameIdSpaced => "name_id_spaced",
        }
    }

    /// Who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::EncryptedNameId | Self::BaseId | Self::EncryptedAttribute => Fault::Operator,
            Self::Xml(_)
            | Self::NotAResponse(_)
            | Self::NotAnAssertion(_)
            | Self::AttributeMissing { .. }
            | Self::Empty { .. }
            | Self::Instant { .. }
            | Self::Unexpected { .. }
            | Self::TooLong { .. }
            | Self::TooMany { .. }
            | Self::NameIdSpaced => Fault::IdentityProvider,
        }
    }
}
