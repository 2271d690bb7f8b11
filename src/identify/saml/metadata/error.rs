//! What was wrong with metadata or the way to it: one variant per rule.

use std::time::Duration;

use crate::identify::saml::signature::SignatureError;
use crate::identify::saml::xml::XmlError;
use crate::model::{Fault, UnixTime};

/// Texts of others in it are bounded and printable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    // The document
    #[error("the metadata cannot be read: {0}")]
    Xml(#[from] XmlError),
    #[error(
        "the document is a {found:?}, not SAML metadata; does the address lead to a page for people instead?"
    )]
    NotMetadata { found: String },
    #[error(
        "the metadata describes {entities} entities, none of which is {wanted:?} (there is {other:?}); \
         write `entity_id` of the identity provider exactly as its metadata does"
    )]
    EntityNotFound { wanted: String, entities: usize, other: String },
    #[error(
        "the metadata describes {entities} entities; say by the identity provider's entity id which one is meant"
    )]
    EntityAmbiguous { entities: usize },
    #[error("the metadata describes {0:?} twice")]
    EntityTwice(String),
    #[error("the metadata's entityID is not 1 to 1024 characters long (SAML Metadata 2.2.1)")]
    EntityIdMalformed,
    #[error("the metadata has a form that SAML's schema does not allow: {0}")]
    NotSchema(String),

    // Trust
    #[error(
        "neither the metadata nor the identity provider's part of it is signed, but a certificate is configured \
         that must have signed it"
    )]
    NotSigned,
    #[error("the metadata's signature does not hold: {0}")]
    Signature(#[from] SignatureError),

    // Time
    #[error("the metadata's validUntil {0:?} is no point in time in UTC")]
    ValidUntilMalformed(String),
    #[error(
        "the metadata was valid until {until} only, it is {now}; the identity provider (or federation) has to \
         publish it anew, or the clock here is wrong"
    )]
    Expired { until: UnixTime, now: UnixTime },

    // The role
    #[error(
        "{0:?} has no role of a SAML 2.0 identity provider (IDPSSODescriptor); is this a service's metadata?"
    )]
    RoleMissing(String),
    #[error("{0:?} has several roles of a SAML 2.0 identity provider, which is one too many to choose from")]
    RoleTwice(String),
    /// SECURITY: never taken for "signs nothing".
    #[error(
        "{entity:?} has no certificate that signatures can be verified with{}; RSA from 2048 bits and ECDSA on \
         P-256, P-384 and P-521 are",
        because(.skipped.as_deref())
    )]
    KeyMissing { entity: String, skipped: Option<String> },
    /// SECURITY: lessons 29 and 34; GHSA-267v-3v32-g6q5: a `javascript:` address that a page posts to.
    #[error(
        "the metadata's {element} is {url:?}; it must be an https URL without credentials and fragment (http on \
         loopback where the metadata comes from there)"
    )]
    EndpointNotUsable { element: &'static str, url: String },
    #[error("{0:?} has no SingleSignOnService for HTTP-Redirect or HTTP-POST")]
    SsoMissing(String),

    // The way to it
    #[error("the metadata file {path:?} cannot be read: {reason}")]
    FileUnreadable { path: String, reason: String },
    /// SECURITY: who can change what comes would say whose signatures count.
    #[error(
        "the metadata's address {0:?} is not https; use https, or configure the certificate that the metadata must \
         be signed with"
    )]
    SourceNotSecure(String),
    #[error("the metadata could not be fetched: {0}")]
    Unreachable(String),
    #[error("the metadata has not come after {} s; it goes on being fetched", .after.as_secs())]
    TakesLong { after: Duration },
    #[error("the metadata's address answered {status}, expected 200")]
    Status { status: u16 },
    /// SECURITY: lesson 34.
    #[error("the metadata's address redirects to {to:?}; redirects are followed within one origin only")]
    RedirectElsewhere { to: String },
    #[error("the metadata's address redirects more often than {limit} times")]
    RedirectsTooOften { limit: usize },
    #[error("the reading of the metadata ended early: {0}")]
    ReadingEnded(String),
}

fn because(skipped: Option<&str>) -> String {
    skipped.map(|reason| format!(" ({reason})")).unwrap_or_default()
}

impl MetadataError {
    /// The variant's name for metrics, logs and `explain`; stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Xml(_) => "metadata_xml",
            Self::NotMetadata { .. } => "metadata_not_metadata",
            Self::EntityNotFound { .. } => "metadata_entity_not_found",
            Self::EntityAmbiguous { .. } => "metadata_entity_ambiguous",
            Self::EntityTwice(_) => "metadata_entity_twice",
            Self::EntityIdMalformed => "metadata_entity_id_malformed",
            Self::NotSchema(_) => "metadata_not_schema",
            Self::NotSigned => "metadata_not_signed",
            Self::Signature(_) => "metadata_signature",
            Self::ValidUntilMalformed(_) => "metadata_valid_until_malformed",
            Self::Expired { .. } => "metadata_expired",
            Self::RoleMissing(_) => "metadata_role_missing",
            Self::RoleTwice(_) => "metadata_role_twice",
            Self::KeyMissing { .. } => "metadata_key_missing",
            Self::EndpointNotUsable { .. } => "metadata_endpoint_not_usable",
            Self::SsoMissing(_) => "metadata_sso_missing",
            Self::FileUnreadable { .. } => "metadata_file_unreadable",
            Self::SourceNotSecure(_) => "metadata_source_not_secure",
            Self::Unreachable(_) => "metadata_unreachable",
            Self::TakesLong { .. } => "metadata_takes_long",
            Self::Status { .. } => "metadata_status",
            Self::RedirectElsewhere { .. } => "metadata_redirect_elsewhere",
            Self::RedirectsTooOften { .. } => "metadata_redirects_too_often",
            Self::ReadingEnded(_) => "metadata_reading_ended",
        }
    }

    /// Who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::EntityNotFound { .. }
            | Self::EntityAmbiguous { .. }
            | Self::FileUnreadable { .. }
            | Self::SourceNotSecure(_)
            | Self::RedirectElsewhere { .. } => Fault::Operator,
            Self::Xml(_)
            | Self::NotMetadata { .. }
            | Self::EntityTwice(_)
            | Self::EntityIdMalformed
            | Self::NotSchema(_)
            | Self::NotSigned
            | Self::Signature(_)
            | Self::ValidUntilMalformed(_)
            | Self::Expired { .. }
            | Self::RoleMissing(_)
            | Self::RoleTwice(_)
            | Self::KeyMissing { .. }
            | Self::EndpointNotUsable { .. }
            | Self::SsoMissing(_)
            | Self::Unreachable(_)
            | Self::TakesLong { .. }
            | Self::Status { .. }
            | Self::RedirectsTooOften { .. } => Fault::IdentityProvider,
            Self::ReadingEnded(_) => Fault::Us,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::saml::testing::is_coded_by_name;

    #[test]
    fn a_code_is_the_variants_name_behind_metadata() {
        for error in [
            MetadataError::Xml(XmlError::NotUtf8),
            MetadataError::EntityAmbiguous { entities: 2 },
            MetadataError::NotSigned,
            MetadataError::Expired { until: UnixTime(0), now: UnixTime(1) },
            MetadataError::KeyMissing { entity: String::new(), skipped: None },
            MetadataError::SourceNotSecure(String::new()),
            MetadataError::RedirectsTooOften { limit: 1 },
        ] {
            assert!(is_coded_by_name("metadata", &error, error.code()), "{error:?}");
        }
    }

    #[test]
    fn who_has_to_act_is_told_and_what_to_do() {
        let unknown = MetadataError::EntityNotFound {
            wanted: "urn:a".to_owned(),
            entities: 1,
            other: "urn:b".to_owned(),
        };
        assert_eq!(unknown.fault(), Fault::Operator);
        assert!(unknown.to_string().contains("\"urn:a\" (there is \"urn:b\")"), "{unknown}");
        let skipped = Some("it is not base64".to_owned());
        let keyless = MetadataError::KeyMissing { entity: "urn:a".to_owned(), skipped };
        assert_eq!(keyless.fault(), Fault::IdentityProvider);
        assert!(keyless.to_string().contains("verified with (it is not base64); RSA"), "{keyless}");
        let expired = MetadataError::Expired { until: UnixTime(0), now: UnixTime(60) };
        assert!(expired.to_string().contains("valid until 1970-01-01T00:00:00Z only"), "{expired}");
        assert_eq!(MetadataError::ReadingEnded(String::new()).fault(), Fault::Us);
    }
}
