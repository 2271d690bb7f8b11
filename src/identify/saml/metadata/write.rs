//! What we say of ourselves: the metadata that an identity provider is given (SAML Metadata 2.0, 2.4.4).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use crate::identify::saml::request::{MessageId, POST_BINDING, REDIRECT_BINDING, SOAP_BINDING};
use crate::identify::saml::writer::{Writer, Written};
use crate::identify::saml::xml::{DSIG, METADATA, SAMLP};
use crate::model::UnixTime;

/// The type that it is served with (Metadata 2.0, appendix A).
pub const CONTENT_TYPE: &str = "application/samlmetadata+xml";
/// What assertions may be encrypted by, best first (Metadata 2.4.1.1, `EncryptionMethod`).
const ENCRYPTION: [&str; 5] = [
    "http://www.w3.org/2009/xmlenc11#aes256-gcm",
    "http://www.w3.org/2009/xmlenc11#aes128-gcm",
    "http://www.w3.org/2001/04/xmlenc#aes256-cbc",
    "http://www.w3.org/2001/04/xmlenc#aes128-cbc",
    "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
];

/// What an identity provider has to know of us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpSettings {
    pub entity_id: String,
    /// Where answers come, by HTTP-POST.
    pub assertion_consumer: Url,
    /// Where logouts come, by HTTP-Redirect, HTTP-POST and SOAP; none where there is no single logout.
    pub logout: Option<Url>,
    pub authn_requests_signed: bool,
    pub want_assertions_signed: bool,
    /// Certificates (DER) of the keys that we sign with; two while they are rolled over.
    pub signing: Vec<Vec<u8>>,
    /// Certificates (DER) of the keys that we decrypt with, the one to use first; two while they are rolled over.
    pub encryption: Vec<Vec<u8>>,
    /// By URI, in the order of preference.
    pub name_id_formats: Vec<String>,
    /// From when on it must not be used any more.
    pub valid_until: Option<UnixTime>,
    /// How long it may be kept without asking again.
    pub cache_duration: Option<Duration>,
}

/// Our metadata, not yet signed. `id` is what a signature refers to.
#[must_use]
pub fn sp_metadata(settings: &SpSettings, id: Option<&MessageId>) -> Written {
    let valid_until = settings.valid_until.map(|until| until.to_string());
    let cache_duration = settings.cache_duration.map(|duration| format!("PT{}S", duration.as_secs()));
    let mut writer = Writer::new(
        "md:EntityDescriptor",
        &[
            ("xmlns:md", Some(METADATA)),
            ("xmlns:ds", Some(DSIG)),
            ("entityID", Some(&settings.entity_id)),
            ("ID", id.map(MessageId::as_str)),
            ("validUntil", valid_until.as_deref()),
            ("cacheDuration", cache_duration.as_deref()),
        ],
    );
    writer.open(
        "md:SPSSODescriptor",
        &[
            ("protocolSupportEnumeration", Some(SAMLP)),
            ("AuthnRequestsSigned", Some(boolean(settings.authn_requests_signed))),
            ("WantAssertionsSigned", Some(boolean(settings.want_assertions_signed))),
        ],
    );
    // The order is that of the schema (Metadata 2.4.1, 2.4.2, 2.4.4).
    for certificate in &settings.signing {
        key(&mut writer, "signing", certificate, &[]);
    }
    for certificate in &settings.encryption {
        key(&mut writer, "encryption", certificate, &ENCRYPTION);
    }
    if let Some(logout) = &settings.logout {
        for binding in [REDIRECT_BINDING, POST_BINDING, SOAP_BINDING] {
            let attributes = [("Binding", Some(binding)), ("Location", Some(logout.as_str()))];
            writer.empty("md:SingleLogoutService", &attributes);
        }
    }
    for format in &settings.name_id_formats {
        writer.text("md:NameIDFormat", &[], format);
    }
    writer.empty(
        "md:AssertionConsumerService",
        &[
            ("Binding", Some(POST_BINDING)),
            ("Location", Some(settings.assertion_consumer.as_str())),
            ("index", Some("0")),
            ("isDefault", Some("true")),
        ],
    );
    writer.finish()
}

fn key(writer: &mut Writer, purpose: &'static str, certificate: &[u8], methods: &[&str]) {
    writer.open("md:KeyDescriptor", &[("use", Some(purpose))]);
    writer.open("ds:KeyInfo", &[]);
    writer.open("ds:X509Data", &[]);
    writer.text("ds:X509Certificate", &[], &STANDARD.encode(certificate));
    writer.close();
    writer.close();
    for method in methods {
        writer.empty("md:EncryptionMethod", &[("Algorithm", Some(method))]);
    }
    writer.close();
}

fn boolean(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::saml::algorithm::AlgorithmPolicy;
    use crate::identify::saml::signature::verify_enveloped;
    use crate::identify::saml::testing::{OTHER_RSA, P256, RSA};
    use crate::identify::saml::xml::Tree;

    fn settings() -> SpSettings {
        SpSettings {
            entity_id: "https://git.example.com/?a=\"<1>\"&b='2'".to_owned(),
            assertion_consumer: Url::parse("https://git.example.com/.narthex/saml/corp/acs").unwrap(),
            logout: Some(Url::parse("https://git.example.com/.narthex/saml/corp/slo").unwrap()),
            authn_requests_signed: true,
            want_assertions_signed: false,
            signing: vec![b"sign 1".to_vec(), b"sign 2".to_vec()],
            encryption: vec![b"crypt 1".to_vec(), b"crypt 2".to_vec()],
            name_id_formats: vec!["urn:<format>".to_owned()],
            valid_until: Some(UnixTime(1_700_000_000)),
            cache_duration: Some(Duration::from_hours(1)),
        }
    }

    /// Every element below `node` as it stands in the document: its depth, name and attributes.
    fn outline(text: &str) -> Vec<String> {
        let tree = Tree::parse(text.as_bytes(), 100_000).unwrap();
        tree.root()
            .unwrap()
            .elements()
            .filter(|node| !node.is(METADATA, "EncryptionMethod"))
            .map(|node| {
                let text = node.text().unwrap_or_default();
                let binding = node.attribute("Binding").and_then(|binding| binding.rsplit(':').next());
                let parts = [Some(node.local_name()), node.attribute("use"), binding, Some(text.as_str())];
                parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    #[test]
    fn everything_stands_in_the_order_of_the_schema_with_its_purpose() {
        let text = sp_metadata(&settings(), None).into_string();
        assert_eq!(
            outline(&text),
            [
                "EntityDescriptor",
                "SPSSODescriptor",
                "KeyDescriptor signing",
                "KeyInfo",
                "X509Data",
                "X509Certificate c2lnbiAx",
                "KeyDescriptor signing",
                "KeyInfo",
                "X509Data",
                "X509Certificate c2lnbiAy",
                "KeyDescriptor encryption",
                "KeyInfo",
                "X509Data",
                "X509Certificate Y3J5cHQgMQ==",
                "KeyDescriptor encryption",
                "KeyInfo",
                "X509Data",
                "X509Certificate Y3J5cHQgMg==",
                "SingleLogoutService HTTP-Redirect",
                "SingleLogoutService HTTP-POST",
                "SingleLogoutService SOAP",
                "NameIDFormat urn:<format>",
                "AssertionConsumerService HTTP-POST",
            ]
        );
        let tree = Tree::parse(text.as_bytes(), 100_000).unwrap();
        let root = tree.root().unwrap();
        for (name, value) in [
            ("entityID", Some("https://git.example.com/?a=\"<1>\"&b='2'")),
            ("validUntil", Some("2023-11-14T22:13:20Z")),
            ("cacheDuration", Some("PT3600S")),
            ("ID", None),
        ] {
            assert_eq!(root.attribute(name), value, "{name}");
        }
        let role = root.required(METADATA, "SPSSODescriptor").unwrap();
        assert_eq!(role.attribute("AuthnRequestsSigned"), Some("true"));
        assert_eq!(role.attribute("WantAssertionsSigned"), Some("false"));
        assert_eq!(role.attribute("protocolSupportEnumeration"), Some(SAMLP));
        let consumer = role.required(METADATA, "AssertionConsumerService").unwrap();
        for (name, value) in [
            ("index", "0"),
            ("isDefault", "true"),
            ("Location", "https://git.example.com/.narthex/saml/corp/acs"),
        ] {
            assert_eq!(consumer.attribute(name), Some(value), "{name}");
        }
        let methods: Vec<Vec<_>> = role
            .children_named(METADATA, "KeyDescriptor")
            .map(|key| {
                let methods = key.children_named(METADATA, "EncryptionMethod");
                methods.filter_map(|method| method.attribute("Algorithm")).collect()
            })
            .collect();
        assert_eq!(methods, [vec![], vec![], ENCRYPTION.to_vec(), ENCRYPTION.to_vec()]);
    }

    #[test]
    fn what_there_is_not_is_not_said() {
        let bare = SpSettings {
            logout: None,
            signing: Vec::new(),
            encryption: Vec::new(),
            name_id_formats: Vec::new(),
            valid_until: None,
            cache_duration: None,
            ..settings()
        };
        let text = sp_metadata(&bare, None).into_string();
        assert_eq!(
            outline(&text),
            ["EntityDescriptor", "SPSSODescriptor", "AssertionConsumerService HTTP-POST"]
        );
        assert!(!text.contains("validUntil") && !text.contains("cacheDuration"));
    }

    #[test]
    fn it_can_be_signed() {
        let real = SpSettings {
            signing: vec![RSA.certificate.clone(), P256.certificate.clone()],
            encryption: vec![RSA.certificate.clone(), OTHER_RSA.certificate.clone()],
            ..settings()
        };
        let id = MessageId::from_random([7; 20]);
        let text = sp_metadata(&real, Some(&id)).signed(&RSA.signing).unwrap().into_string();
        let tree = Tree::parse(text.as_bytes(), 100_000).unwrap();
        let root = tree.root().unwrap();
        let keys = [RSA.verifying.clone()];
        verify_enveloped(&tree, root, &keys, AlgorithmPolicy::Sha2).unwrap();
        // Metadata 2.3.2: in front of everything else.
        assert!(root.children().next().unwrap().is(DSIG, "Signature"));
    }
}
