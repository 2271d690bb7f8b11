//! What was wrong with how a message came: one variant per rule.

use crate::identify::saml::xml::XmlError;
use crate::model::Fault;

/// Texts of others in it are bounded and printable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    #[error("there is neither SAMLRequest nor SAMLResponse; was this address opened by hand?")]
    MessageMissing,
    #[error("there are both SAMLRequest and SAMLResponse, of which one message has one")]
    MessageAmbiguous,
    #[error("the parameter {parameter} is there twice")]
    ParameterTwice { parameter: &'static str },
    #[error("the parameter {parameter} is not written as {parameter}=…")]
    ParameterMalformed { parameter: &'static str },
    #[error("the parameter {parameter} is not base64")]
    NotBase64 { parameter: &'static str },
    #[error("the parameter {parameter} is not UTF-8")]
    NotUtf8 { parameter: &'static str },
    #[error("the parameter {parameter} holds more than the {limit} bytes that are read")]
    TooLong { parameter: &'static str, limit: usize },
    #[error("the RelayState is {found} bytes long, at most {limit} are taken (SAML Bindings 3.4.3 says 80)")]
    RelayStateTooLong { found: usize, limit: usize },
    #[error("the message is encoded as {0:?}; DEFLATE is read (SAML Bindings 3.4.4.1)")]
    EncodingUnknown(String),
    #[error("the message is not DEFLATE (SAML Bindings 3.4.4.1); does the sender use another binding?")]
    NotDeflate,
    /// SECURITY: 64 kB in a query inflate to 64 MB.
    #[error("the message inflates to more than the {limit} bytes that are read")]
    InflatesTooFar { limit: usize },
    #[error("the query has {present} without {missing} (SAML Bindings 3.4.4.1)")]
    SignatureIncomplete { present: &'static str, missing: &'static str },
    #[error("the query is longer than the {limit} bytes that are read")]
    QueryTooLong { limit: usize },
    #[error("the message could not be compressed")]
    NotCompressed,
    #[error(transparent)]
    Xml(#[from] XmlError),
    #[error("the body is no SOAP 1.1 envelope, but {0:?}")]
    NotEnvelope(String),
    #[error("the SOAP header holds {0:?}, which must be understood and is not")]
    HeaderNotUnderstood(String),
    #[error("the SOAP body holds {0} elements, expected one message")]
    BodyMessages(usize),
    #[error("the other side answered with a SOAP fault: {0:?}")]
    Fault(String),
}

impl BindingError {
    /// The variant's name for metrics, logs and `explain`; stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::MessageMissing => "binding_message_missing",
            Self::MessageAmbiguous => "binding_message_ambiguous",
            Self::ParameterTwice { .. } => "binding_parameter_twice",
            Self::ParameterMalformed { .. } => "binding_parameter_malformed",
            Self::NotBase64 { .. } => "binding_not_base64",
            Self::NotUtf8 { .. } => "binding_not_utf8",
            Self::TooLong { .. } => "binding_too_long",
            Self::RelayStateTooLong { .. } => "binding_relay_state_too_long",
            Self::EncodingUnknown(_) => "binding_encoding_unknown",
            Self::NotDeflate => "binding_not_deflate",
            Self::InflatesTooFar { .. } => "binding_inflates_too_far",
            Self::SignatureIncomplete { .. } => "binding_signature_incomplete",
            Self::QueryTooLong { .. } => "binding_query_too_long",
            Self::NotCompressed => "binding_not_compressed",
            Self::Xml(_) => "binding_xml",
            Self::NotEnvelope(_) => "binding_not_envelope",
            Self::HeaderNotUnderstood(_) => "binding_header_not_understood",
            Self::BodyMessages(_) => "binding_body_messages",
            Self::Fault(_) => "binding_fault",
        }
    }

    /// Who has to act. What comes through a browser may be the browser's doing.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::NotCompressed => Fault::Us,
            Self::NotEnvelope(_)
            | Self::HeaderNotUnderstood(_)
            | Self::BodyMessages(_)
            | Self::Fault(_)
            | Self::Xml(_) => Fault::IdentityProvider,
            Self::MessageMissing
            | Self::MessageAmbiguous
            | Self::ParameterTwice { .. }
            | Self::ParameterMalformed { .. }
            | Self::NotBase64 { .. }
            | Self::NotUtf8 { .. }
            | Self::TooLong { .. }
            | Self::RelayStateTooLong { .. }
            | Self::EncodingUnknown(_)
            | Self::NotDeflate
            | Self::InflatesTooFar { .. }
            | Self::SignatureIncomplete { .. }
            | Self::QueryTooLong { .. } => Fault::Client,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::saml::testing::is_coded_by_name;

    #[test]
    fn a_code_is_the_variants_name_behind_binding() {
        for error in [
            BindingError::MessageMissing,
            BindingError::ParameterTwice { parameter: "x" },
            BindingError::ParameterMalformed { parameter: "x" },
            BindingError::RelayStateTooLong { found: 1, limit: 2 },
            BindingError::InflatesTooFar { limit: 1 },
            BindingError::Xml(XmlError::NotUtf8),
            BindingError::NotUtf8 { parameter: "x" },
        ] {
            assert!(is_coded_by_name("binding", &error, error.code()), "{error:?}");
        }
    }

    #[test]
    fn who_has_to_act_is_told() {
        assert_eq!(BindingError::MessageMissing.fault(), Fault::Client);
        assert_eq!(BindingError::Fault(String::new()).fault(), Fault::IdentityProvider);
        assert_eq!(BindingError::NotCompressed.fault(), Fault::Us);
    }
}
