//! What a SAML response says of its outcome, in words (SAML Core 3.2.2.2).

use std::fmt;

use crate::identify::shown::{in_brackets, leading_code, shown};
use crate::model::Fault;

/// What every code of SAML Core begins with.
const CODES: &str = "urn:oasis:names:tc:SAML:2.0:status:";

/// The `<Status>` of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The top-level code first, then those within it. Never empty.
    pub codes: Vec<String>,
    /// A message that the sender put in; theirs in every letter. Not told: it may name people.
    pub message: Option<String>,
}

impl Status {
    /// SAML Core 3.2.2.2: the top-level code alone decides.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.codes.first().and_then(|code| code.strip_prefix(CODES)) == Some("Success")
    }

    /// The codes without what they all begin with: `Responder / AuthnFailed`.
    #[must_use]
    pub fn short(&self) -> String {
        let names: Vec<String> =
            self.codes.iter().map(|code| shown(code.strip_prefix(CODES).unwrap_or(code))).collect();
        names.join(" / ")
    }

    /// The innermost code that means something here, which says most.
    fn row(&self) -> Option<&'static (&'static str, Fault, &'static str)> {
        let named = |code: &String| {
            let name = code.strip_prefix(CODES)?;
            MEANINGS.iter().find(|(known, ..)| *known == name)
        };
        self.codes.iter().rev().find_map(named)
    }

    /// Who has to act, as far as the codes tell.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.row().map_or(Fault::IdentityProvider, |(_, fault, _)| *fault)
    }
}

/// Code, who has to act, and what it means. SAML Core 3.2.2.2, top-level codes last.
const MEANINGS: &[(&str, Fault, &str)] = &[
    ("AuthnFailed", Fault::Person, "the person could not be authenticated"),
    (
        "InvalidAttrNameOrValue",
        Fault::Operator,
        "an attribute that was asked for is unknown to the identity provider",
    ),
    (
        "InvalidNameIDPolicy",
        Fault::Operator,
        "the identity provider cannot give a NameID as asked for; change name_id_format, or allow that format \
         for this service provider at the identity provider",
    ),
    (
        "NoAuthnContext",
        Fault::Operator,
        "the identity provider cannot authenticate in the way that was asked for (authn_context)",
    ),
    ("NoAvailableIDP", Fault::IdentityProvider, "none of the identity providers behind it can be reached"),
    (
        "NoPassive",
        Fault::Client,
        "the person is not signed in at the identity provider, and it was asked not to show a page",
    ),
    ("NoSupportedIDP", Fault::IdentityProvider, "none of the identity providers behind it is supported"),
    ("PartialLogout", Fault::IdentityProvider, "not every session could be ended"),
    (
        "ProxyCountExceeded",
        Fault::IdentityProvider,
        "there are more identity providers in a row than allowed",
    ),
    (
        "RequestDenied",
        Fault::Operator,
        "the identity provider understood the request and will not answer it; is this service provider \
         enabled there, and is the person assigned to it?",
    ),
    ("RequestUnsupported", Fault::Operator, "the identity provider does not support such requests"),
    (
        "RequestVersionDeprecated",
        Fault::IdentityProvider,
        "the identity provider does not take SAML 2.0 requests any more",
    ),
    ("RequestVersionTooHigh", Fault::IdentityProvider, "the identity provider speaks an older SAML only"),
    ("RequestVersionTooLow", Fault::IdentityProvider, "the identity provider speaks a newer SAML only"),
    (
        "ResourceNotRecognized",
        Fault::Operator,
        "the identity provider does not know the resource that the request names",
    ),
    ("TooManyResponses", Fault::IdentityProvider, "the identity provider has more answers than it can send"),
    ("UnknownAttrProfile", Fault::Operator, "the identity provider does not know the attribute profile"),
    ("UnknownPrincipal", Fault::Person, "the identity provider does not know the person"),
    (
        "UnsupportedBinding",
        Fault::Operator,
        "the identity provider cannot answer by HTTP-POST; does it have our metadata?",
    ),
    (
        "Requester",
        Fault::Operator,
        "the identity provider finds fault with our request; does it know our entity ID, ACS URL and signing \
         key? Its log says which",
    ),
    ("Responder", Fault::IdentityProvider, "the identity provider failed; its log says why"),
    ("VersionMismatch", Fault::IdentityProvider, "the identity provider does not take SAML 2.0 requests"),
];

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())?;
        if let Some((_, _, words)) = self.row() {
            write!(f, ": {words}")?;
        }
        f.write_str(&in_brackets(self.message.as_deref().and_then(leading_code)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(codes: &[&str]) -> Status {
        Status { codes: codes.iter().map(|code| format!("{CODES}{code}")).collect(), message: None }
    }

    #[test]
    fn only_the_top_level_code_makes_a_success() {
        assert!(status(&["Success"]).is_success());
        assert!(status(&["Success", "PartialLogout"]).is_success());
        assert!(!status(&["Responder", "Success"]).is_success());
        assert!(!status(&["success"]).is_success());
        assert!(!Status { codes: vec!["Success".into()], message: None }.is_success());
        assert!(!Status { codes: Vec::new(), message: None }.is_success());
    }

    #[test]
    fn codes_are_told_in_words_with_who_has_to_act() {
        let failed = status(&["Responder", "AuthnFailed"]);
        assert_eq!(failed.to_string(), "Responder / AuthnFailed: the person could not be authenticated");
        assert_eq!(failed.fault(), Fault::Person);
        for (codes, fault) in [
            (&["Requester"][..], Fault::Operator),
            (&["Responder"], Fault::IdentityProvider),
            (&["Requester", "NoPassive"], Fault::Client),
            (&["Requester", "InvalidNameIDPolicy"], Fault::Operator),
            (&["Responder", "urn:own:code"], Fault::IdentityProvider),
            (&["OwnCode"], Fault::IdentityProvider),
        ] {
            assert_eq!(status(codes).fault(), fault, "{codes:?}");
        }
        let foreign = Status {
            codes: vec![format!("{CODES}Responder"), "http://idp/locked\n".into()],
            message: Some("ada@example.com is locked".into()),
        };
        let told = "Responder / http://idp/locked\u{fffd}: the identity provider failed; its log says why";
        assert_eq!(foreign.to_string(), told);
        let coded = Status { message: Some("AADSTS50105: The signed in user ada".into()), ..foreign };
        assert_eq!(coded.to_string(), format!("{told} (AADSTS50105)"));
    }

    #[test]
    fn every_meaning_is_reached_by_its_code() {
        for (code, fault, words) in MEANINGS {
            let status = status(&[code]);
            assert_eq!(status.to_string(), format!("{code}: {words}"));
            assert_eq!(status.fault(), *fault);
        }
    }
}
