//! The question to the identity provider: an AuthnRequest (SAML Core 2.0, 3.4.1) from settings.

use url::Url;

use super::writer::{Writer, Written};
use super::xml::{SAML, SAMLP};
use crate::model::UnixTime;

/// The binding by which answers come (SAML Bindings 2.0, 3.5).
pub const POST_BINDING: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";
/// SAML Bindings 2.0, 3.4.
pub const REDIRECT_BINDING: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";
/// SAML Bindings 2.0, 3.2.
pub const SOAP_BINDING: &str = "urn:oasis:names:tc:SAML:2.0:bindings:SOAP";

/// The identifier of a message of ours. SAML Core 1.3.4 wants at least 128 bits of randomness, and XML Schema
/// that an `xs:ID` begins with a letter or an underscore.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageId(String);

impl MessageId {
    /// From fresh random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 20]) -> Self {
        use std::fmt::Write as _;
        let mut id = String::with_capacity(41);
        id.push('_');
        for byte in bytes {
            // Writing to a String does not fail.
            let _ = write!(id, "{byte:02x}");
        }
        Self(id)
    }

    /// One that comes back from where it was kept: an `xs:NCName` of ASCII, at most 128 characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let first = text.chars().next()?;
        let begins = first.is_ascii_alphabetic() || first == '_';
        let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
        (begins && rest && text.len() <= 128).then(|| Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is asked of an identity provider at every sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestSettings {
    /// Who asks: our entity ID.
    pub entity_id: String,
    pub answer_at: AnswerAt,
    /// The person authenticates anew, whatever session there is (Core 3.4.1).
    pub force_authn: bool,
    /// The identity provider shows nothing: there is a session or the answer is `NoPassive` (Core 3.4.1).
    pub is_passive: bool,
    pub name_id: Option<NameIdPolicy>,
    pub authn_context: Option<RequestedAuthnContext>,
}

/// Where the answer is to be sent (Core 3.4.1: a URL with its binding, or an index; not both).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerAt {
    /// By HTTP-POST to this URL.
    Url(Url),
    /// The endpoint of this index in our metadata.
    Index(u16),
}

/// Core 3.4.1.1.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameIdPolicy {
    /// A format's URI; without it the identity provider chooses.
    pub format: Option<String>,
    /// Identifiers are of this affiliation's name space instead of ours.
    pub sp_name_qualifier: Option<String>,
    /// The identity provider may make a new identifier for this person. Core 3.4.1.1 says false where it is not
    /// said, which most identity providers answer with a refusal at the first sign-in.
    pub allow_create: Option<bool>,
}

/// Core 3.3.2.2.1: how the person is to authenticate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedAuthnContext {
    /// Authentication context classes by URI, best first. Without any nothing is asked.
    pub classes: Vec<String>,
    pub comparison: Comparison,
}

/// How the context of the answer may relate to those that were asked for (Core 3.3.2.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Comparison {
    #[default]
    Exact,
    Minimum,
    Maximum,
    Better,
}

impl Comparison {
    /// As it stands in a message and in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Minimum => "minimum",
            Self::Maximum => "maximum",
            Self::Better => "better",
        }
    }
}

/// The AuthnRequest, not yet signed. `destination` is the endpoint of the identity provider that it is sent to.
#[must_use]
pub fn authn_request(
    settings: &RequestSettings,
    id: &MessageId,
    destination: &Url,
    now: UnixTime,
) -> Written {
    let (url, index) = match &settings.answer_at {
        AnswerAt::Url(url) => (Some(url.as_str()), None),
        AnswerAt::Index(index) => (None, Some(index.to_string())),
    };
    let mut writer = Writer::new(
        "samlp:AuthnRequest",
        &[
            ("xmlns:samlp", Some(SAMLP)),
            ("xmlns:saml", Some(SAML)),
            ("ID", Some(id.as_str())),
            ("Version", Some("2.0")),
            ("IssueInstant", Some(&now.to_string())),
            ("Destination", Some(destination.as_str())),
            // Both default to false (Core 3.4.1); some readers know no "false".
            ("ForceAuthn", settings.force_authn.then_some("true")),
            ("IsPassive", settings.is_passive.then_some("true")),
            ("ProtocolBinding", url.and(Some(POST_BINDING))),
            ("AssertionConsumerServiceURL", url),
            ("AssertionConsumerServiceIndex", index.as_deref()),
        ],
    );
    writer.text("saml:Issuer", &[], &settings.entity_id);
    if let Some(policy) = &settings.name_id {
        writer.empty(
            "samlp:NameIDPolicy",
            &[
                ("Format", policy.format.as_deref()),
                ("SPNameQualifier", policy.sp_name_qualifier.as_deref()),
                ("AllowCreate", policy.allow_create.map(|allow| if allow { "true" } else { "false" })),
            ],
        );
    }
    if let Some(context) = settings.authn_context.as_ref().filter(|context| !context.classes.is_empty()) {
        writer.open("samlp:RequestedAuthnContext", &[("Comparison", Some(context.comparison.as_str()))]);
        for class in &context.classes {
            writer.text("saml:AuthnContextClassRef", &[], class);
        }
        writer.close();
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::super::xml::Tree;
    use super::*;

    fn settings() -> RequestSettings {
        RequestSettings {
            entity_id: "https://git.example.com/saml?a=1&b=2".to_owned(),
            answer_at: AnswerAt::Url(Url::parse("https://git.example.com/.narthex/saml/corp/acs").unwrap()),
            force_authn: false,
            is_passive: false,
            name_id: None,
            authn_context: None,
        }
    }

    fn written(settings: &RequestSettings) -> String {
        let id = MessageId::from_random([0xab; 20]);
        let destination = Url::parse("https://idp.example/sso?tenant=1&x=2").unwrap();
        authn_request(settings, &id, &destination, UnixTime(1_700_000_000)).into_string()
    }

    #[test]
    fn a_request_says_who_asks_when_where_and_where_to_answer() {
        let text = written(&settings());
        let tree = Tree::parse(text.as_bytes(), 10_000).unwrap();
        let root = tree.root().unwrap();
        assert!(root.is(SAMLP, "AuthnRequest"));
        for (name, value) in [
            ("ID", Some("_abababababababababababababababababababab")),
            ("Version", Some("2.0")),
            ("IssueInstant", Some("2023-11-14T22:13:20Z")),
            ("Destination", Some("https://idp.example/sso?tenant=1&x=2")),
            ("ProtocolBinding", Some(POST_BINDING)),
            ("AssertionConsumerServiceURL", Some("https://git.example.com/.narthex/saml/corp/acs")),
            ("AssertionConsumerServiceIndex", None),
            ("ForceAuthn", None),
            ("IsPassive", None),
        ] {
            assert_eq!(root.attribute(name), value, "{name}");
        }
        let issuer = root.required(SAML, "Issuer").unwrap().text().unwrap();
        assert_eq!(issuer, "https://git.example.com/saml?a=1&b=2");
        assert_eq!(root.children().count(), 1);
    }

    #[test]
    fn what_is_configured_is_asked() {
        let text = written(&RequestSettings {
            answer_at: AnswerAt::Index(3),
            force_authn: true,
            is_passive: true,
            name_id: Some(NameIdPolicy {
                format: Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent".to_owned()),
                sp_name_qualifier: Some("urn:group".to_owned()),
                allow_create: Some(true),
            }),
            authn_context: Some(RequestedAuthnContext {
                classes: vec!["urn:one".to_owned(), "urn:<two>".to_owned()],
                comparison: Comparison::Minimum,
            }),
            ..settings()
        });
        let tree = Tree::parse(text.as_bytes(), 10_000).unwrap();
        let root = tree.root().unwrap();
        for (name, value) in [
            ("AssertionConsumerServiceIndex", Some("3")),
            ("AssertionConsumerServiceURL", None),
            ("ProtocolBinding", None),
            ("ForceAuthn", Some("true")),
            ("IsPassive", Some("true")),
        ] {
            assert_eq!(root.attribute(name), value, "{name}");
        }
        // The order of Core 3.4.1's schema.
        let names: Vec<_> = root.children().map(|child| child.local_name()).collect();
        assert_eq!(names, ["Issuer", "NameIDPolicy", "RequestedAuthnContext"]);
        let policy = root.required(SAMLP, "NameIDPolicy").unwrap();
        assert_eq!(policy.attribute("AllowCreate"), Some("true"));
        assert_eq!(policy.attribute("SPNameQualifier"), Some("urn:group"));
        assert_eq!(policy.attribute("Format"), Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"));
        let context = root.required(SAMLP, "RequestedAuthnContext").unwrap();
        assert_eq!(context.attribute("Comparison"), Some("minimum"));
        let classes: Vec<_> = context.children().map(|class| class.text().unwrap()).collect();
        assert_eq!(classes, ["urn:one", "urn:<two>"]);
    }

    #[test]
    fn a_context_without_classes_is_not_asked() {
        let none = RequestedAuthnContext { classes: Vec::new(), comparison: Comparison::Better };
        assert_eq!(
            written(&RequestSettings { authn_context: Some(none), ..settings() }),
            written(&settings())
        );
    }

    #[test]
    fn an_identifier_is_an_xml_name() {
        let id = MessageId::from_random([1; 20]);
        assert_eq!(MessageId::parse(id.as_str()), Some(id));
        for bad in ["", "1a", "-a", "a b", "a:b", "é", &"a".repeat(129)] {
            assert_eq!(MessageId::parse(bad), None, "{bad:?}");
        }
    }
}
