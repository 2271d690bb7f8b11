//! What a session remembers for single logout: whom the provider named, and its own session.

use serde::{Deserialize, Serialize};

use super::assertion::NameId;
use crate::model::Secret;
use crate::platform::crypto::sha256;

/// SAML Core 8.3.1; what a NameID without a format is of (2.2.2).
pub(super) const UNSPECIFIED: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified";

/// The NameID and SessionIndex of a sign-in, with which the provider is told of a logout (SAML Core 2.0, 3.7.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogoutHint {
    pub name_id: NameId,
    pub session_index: Option<String>,
}

impl LogoutHint {
    /// As it lies, sealed, with the session.
    #[must_use]
    pub fn to_secret(&self) -> Option<Secret> {
        serde_json::to_string(self).ok().map(Secret::new)
    }

    /// What [`LogoutHint::to_secret`] made.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// The text that sessions of this name are found by when the provider ends them.
///
/// SAML Core 2.0, 3.3.4 wants format and qualifiers compared as well. Qualifiers are left out here: providers give
/// them in assertions and leave them out of logout requests, where they default to the two entity IDs (8.3.7). A
/// logout request is signed by the provider that named the person, so nobody else is signed out by that.
#[must_use]
pub fn logout_name(name_id: &NameId) -> String {
    use base64::Engine as _;

    let format = name_id.format.as_deref().unwrap_or(UNSPECIFIED);
    let mut framed = u64::try_from(format.len()).unwrap_or(u64::MAX).to_be_bytes().to_vec();
    framed.extend_from_slice(format.as_bytes());
    framed.extend_from_slice(name_id.value.as_bytes());
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha256(&framed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_id(value: &str, format: Option<&str>) -> NameId {
        NameId {
            value: value.to_owned(),
            format: format.map(str::to_owned),
            name_qualifier: None,
            sp_name_qualifier: None,
            sp_provided_id: None,
        }
    }

    #[test]
    fn one_person_has_one_name_with_and_without_qualifiers() {
        let mut qualified = name_id("ada", None);
        qualified.name_qualifier = Some("https://idp.example".to_owned());
        assert_eq!(logout_name(&qualified), logout_name(&name_id("ada", Some(UNSPECIFIED))));
        assert_ne!(logout_name(&name_id("ada", None)), logout_name(&name_id("bob", None)));
        assert_ne!(logout_name(&name_id("ada", None)), logout_name(&name_id("ada", Some("urn:x"))));
        // Lesson 15: no two pairs are one text.
        assert_ne!(logout_name(&name_id("bc", Some("a"))), logout_name(&name_id("c", Some("ab"))));
    }

    #[test]
    fn a_hint_comes_back_as_it_was() {
        let hint = LogoutHint { name_id: name_id("ada", Some("f")), session_index: Some("s1".to_owned()) };
        assert_eq!(LogoutHint::from_text(hint.to_secret().unwrap().expose()), Some(hint));
        assert_eq!(LogoutHint::from_text("an.id.token"), None);
    }
}
