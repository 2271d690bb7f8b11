//! Metadata as identity providers publish it, and each thing that is wrong with one in turn.

use proptest::prelude::*;

use super::super::super::sign::sign_enveloped;
use super::super::super::testing::{OTHER_RSA, P256, Party, RSA};
use super::super::super::xml::XmlError;
use super::super::testing::{GOOD, ID, aggregate, certificate};
use super::*;
use crate::identify::saml::signature::SignatureError;

const NOW: UnixTime = UnixTime(1_800_000_000);
fn expected() -> Expected<'static> {
    Expected {
        entity_id: None,
        trust_anchor: &[],
        policy: AlgorithmPolicy::Sha2,
        plain_loopback: false,
        now: NOW,
    }
}

/// Base64 of what is no certificate.
const NONE: &str = "AAAA";

/// The good document with one thing changed.
fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replacen(from, to, 1)
}

pub fn metadata(text: &str) -> Result<IdpMetadata, MetadataError> {
    read(text.as_bytes(), &expected()).map(|read| read.metadata)
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

#[test]
fn what_an_identity_provider_says_of_itself_is_read() {
    let slo = |requests: &str, responses: &str| {
        Some(SloEndpoint { requests: url(requests), responses: url(responses) })
    };
    let read = metadata(&GOOD).unwrap();
    assert_eq!(
        read,
        IdpMetadata {
            entity_id: ID.to_owned(),
            signing_keys: vec![RSA.verifying.clone()],
            sso: SsoEndpoints {
                redirect: Some(url("https://id.example/sso")),
                post: Some(url("https://id.example/sso/post?a=1&b=2")),
            },
            slo: SloEndpoints {
                redirect: slo("https://id.example/slo", "https://id.example/slo/done"),
                post: slo("https://id.example/slo/post", "https://id.example/slo/post"),
                soap: slo("https://id.example/slo/soap", "https://id.example/slo/soap"),
            },
            want_authn_requests_signed: true,
            valid_until: None,
            cache_duration: None,
            name_id_formats: vec![
                "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent".to_owned(),
                "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress".to_owned(),
            ],
        }
    );
}

#[test]
fn whether_requests_are_to_be_signed_is_a_boolean_of_xml_schema() {
    let wanted = |text: &str| {
        metadata(&with("WantAuthnRequestsSigned=\"true\"", text)).map(|read| read.want_authn_requests_signed)
    };
    for (text, wants) in [
        ("WantAuthnRequestsSigned=\"1\"", true),
        ("WantAuthnRequestsSigned=\"false\"", false),
        ("WantAuthnRequestsSigned=\"0\"", false),
        ("", false),
    ] {
        assert_eq!(wanted(text), Ok(wants), "{text}");
    }
    assert!(matches!(wanted("WantAuthnRequestsSigned=\"yes\""), Err(MetadataError::NotSchema(_))));
}

#[test]
fn what_others_put_around_it_does_no_harm() {
    let federated = with(
        "<md:IDPSSODescriptor",
        r#"<md:Extensions><x:y xmlns:x="urn:x" xmlns=""><EntityDescriptor/></x:y></md:Extensions>
           <md:RoleDescriptor xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:fed="urn:fed" xsi:type="fed:ApplicationServiceType" protocolSupportEnumeration="urn:fed"><fed:TargetScopes/></md:RoleDescriptor>
           <md:SPSSODescriptor protocolSupportEnumeration="x"><md:KeyDescriptor/></md:SPSSODescriptor>
           <md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:1.1:protocol"/>
           <md:IDPSSODescriptor cacheDuration="PT1H" errorURL="x""#,
    )
    .replacen(
        "<md:KeyDescriptor use=\"signing\">",
        r#"<md:Extensions/><md:KeyDescriptor use="encryption"><ds:KeyInfo><ds:X509Data/><ds:X509Data><ds:X509Certificate>AAAA</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor><md:KeyDescriptor use="signing">"#,
        1,
    )
    .replacen(
        "</md:IDPSSODescriptor>\n</md:EntityDescriptor>",
        r#"<saml:Attribute Name="n" xmlns:evil="urn:evil"/></md:IDPSSODescriptor>
           <md:Organization><md:OrganizationName xml:lang="en">x</md:OrganizationName></md:Organization>
           <md:ContactPerson contactType="technical"><md:EmailAddress>a@b</md:EmailAddress></md:ContactPerson>
           </md:EntityDescriptor>"#,
        1,
    );
    let mut good = metadata(&GOOD).unwrap();
    good.cache_duration = Some(Duration::from_hours(1));
    assert_eq!(metadata(&federated).unwrap(), good);
}

#[test]
fn several_keys_are_taken_during_rollover() {
    let second = format!(
        "</md:KeyDescriptor><md:KeyDescriptor><ds:KeyInfo><ds:X509Data><ds:X509Certificate>\n{}\n\
         </ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>",
        certificate(&P256)
    );
    let read = metadata(&with("</md:KeyDescriptor>", &second)).unwrap();
    assert_eq!(read.signing_keys, [RSA.verifying.clone(), P256.verifying.clone()]);
    // The same one twice is one.
    let second = second.replace(&certificate(&P256), &certificate(&RSA));
    let read = metadata(&with("</md:KeyDescriptor>", &second)).unwrap();
    assert_eq!(read.signing_keys, std::slice::from_ref(&RSA.verifying));
}

#[test]
fn a_bad_certificate_beside_a_good_one_is_passed_over() {
    for bad in [NONE, "not base64", "", "-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----"] {
        let first = format!(
            "<md:KeyDescriptor use=\"signing\"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{bad}\
             </ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor><md:KeyDescriptor use=\"signing\">"
        );
        let read = metadata(&with("<md:KeyDescriptor use=\"signing\">", &first)).unwrap();
        assert_eq!(read.signing_keys, std::slice::from_ref(&RSA.verifying), "{bad}");
    }
}

#[test]
fn without_a_usable_signing_key_nothing_is_read() {
    let key = certificate(&RSA);
    let refused = |text: &str| match metadata(text) {
        Err(MetadataError::KeyMissing { entity, skipped }) => {
            assert_eq!(entity, ID);
            skipped
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&with("use=\"signing\"", "use=\"encryption\"")), None);
    assert_eq!(refused(&with("use=\"signing\"", "use=\"Signing\"")), None);
    assert!(refused(&with(&key, NONE)).is_some());
    assert_eq!(refused(&with(&key, "*")).as_deref(), Some("it is not base64"));
    // A KeyName, or a key value, is no certificate.
    let start = GOOD.find("<ds:X509Data>").unwrap();
    let end = GOOD.find("</ds:X509Data>").unwrap() + "</ds:X509Data>".len();
    assert_eq!(refused(&with(&GOOD[start..end], "")), None);
    // Another namespace's.
    assert_eq!(refused(&with(&GOOD[start..end], &GOOD[start..end].replace("ds:", "md:"))), None);
}

#[test]
fn the_keys_of_those_who_issued_a_certificate_are_not_taken() {
    let issuers = format!("<ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data>", certificate(&P256));
    let read = metadata(&with("</ds:X509Data>", &issuers)).unwrap();
    assert_eq!(read.signing_keys, std::slice::from_ref(&RSA.verifying));
}

#[test]
fn names_count_with_their_namespaces() {
    let evil = "xmlns:e=\"urn:evil\"";
    let role = with("<md:IDPSSODescriptor", &format!("<e:IDPSSODescriptor {evil}"))
        .replace("</md:IDPSSODescriptor>", "</e:IDPSSODescriptor>");
    assert_eq!(metadata(&role), Err(MetadataError::RoleMissing(ID.to_owned())));
    // An endpoint of another namespace in front of the right one.
    let service = format!(
        "<e:SingleSignOnService {evil} Binding=\"{REDIRECT_BINDING}\" Location=\"https://evil.example/\"/>\
         <md:NameIDFormat>"
    );
    let read = metadata(&with("<md:NameIDFormat>", &service)).unwrap();
    assert_eq!(read.sso.redirect, Some(url("https://id.example/sso")));
    let key = format!(
        "<e:KeyDescriptor {evil} use=\"signing\"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{}\
         </ds:X509Certificate></ds:X509Data></ds:KeyInfo></e:KeyDescriptor><md:KeyDescriptor use=\"signing\">",
        certificate(&P256)
    );
    let read = metadata(&with("<md:KeyDescriptor use=\"signing\">", &key)).unwrap();
    assert_eq!(read.signing_keys, std::slice::from_ref(&RSA.verifying));
}

#[test]
fn there_is_one_role_for_saml_2() {
    let other = with(SAMLP, "urn:oasis:names:tc:SAML:1.1:protocol");
    assert!(GOOD.find(SAMLP) < GOOD.find("</md:IDPSSODescriptor>"));
    assert_eq!(metadata(&other), Err(MetadataError::RoleMissing(ID.to_owned())));
    let list = with(SAMLP, &format!("urn:oasis:names:tc:SAML:1.1:protocol\n {SAMLP}"));
    assert!(metadata(&list).is_ok());
    let second = format!("</md:IDPSSODescriptor><md:IDPSSODescriptor protocolSupportEnumeration='{SAMLP}'/>");
    let twice = with("</md:IDPSSODescriptor>", &second);
    assert_eq!(metadata(&twice), Err(MetadataError::RoleTwice(ID.to_owned())));
    let service = GOOD.replace("IDPSSODescriptor", "SPSSODescriptor");
    assert_eq!(metadata(&service), Err(MetadataError::RoleMissing(ID.to_owned())));
}

#[test]
fn the_entity_has_a_name_that_is_taken_exactly() {
    assert_eq!(metadata(&with(ID, "")), Err(MetadataError::EntityIdMalformed));
    assert_eq!(metadata(&with(ID, &"é".repeat(1025))), Err(MetadataError::EntityIdMalformed));
    let long = "é".repeat(1024);
    assert_eq!(metadata(&with(ID, &long)).unwrap().entity_id, long);
    let wanted = |id: &'static str| {
        let expected = Expected { entity_id: Some(id), ..expected() };
        read(GOOD.as_bytes(), &expected).map(|read| read.metadata.entity_id)
    };
    assert_eq!(wanted(ID).unwrap(), ID);
    assert_eq!(
        wanted("https://id.example/realms/a/"),
        Err(MetadataError::EntityNotFound {
            wanted: "https://id.example/realms/a/".to_owned(),
            entities: 1,
            other: ID.to_owned()
        })
    );
}

#[test]
fn lesson_29_an_address_is_https_or_nothing_is_read() {
    for (element, from) in [
        ("SingleSignOnService", "https://id.example/sso\""),
        ("SingleSignOnService", "https://id.example/sso/post?a=1&amp;b=2\""),
        ("SingleLogoutService", "https://id.example/slo/post\""),
        ("SingleLogoutService", "https://id.example/slo/done\""),
        ("SingleLogoutService", "https://id.example/slo/soap\""),
    ] {
        for bad in
            ["javascript:alert(document.cookie)//", "http://id.example/", "http://127.0.0.1/", "/sso", ""]
        {
            let refused = metadata(&with(from, &format!("{bad}\"")));
            let error = MetadataError::EndpointNotUsable { element, url: bad.to_owned() };
            assert_eq!(refused, Err(error), "{from} {bad}");
        }
    }
    let loopback = with("https://id.example/sso\"", "http://127.0.0.1:8080/sso\"");
    let expected = Expected { plain_loopback: true, ..expected() };
    let read = read(loopback.as_bytes(), &expected).unwrap();
    assert_eq!(read.metadata.sso.redirect, Some(url("http://127.0.0.1:8080/sso")));
}

#[test]
fn bindings_that_are_not_spoken_may_have_any_address() {
    assert!(metadata(&with("https://id.example/sso/ecp", "ecp:x")).is_ok());
    assert!(metadata(&with("https://id.example/resolve", "x")).is_ok());
}

#[test]
fn sign_in_needs_a_place_to_begin() {
    let post_only =
        with("bindings:HTTP-Redirect\" Location=\"https://id.example/sso\"", "x\" Location=\"x\"");
    let read = metadata(&post_only).unwrap();
    assert!(read.sso.redirect.is_none() && read.sso.post.is_some());
    let none = post_only.replacen(
        "bindings:HTTP-POST\" Location=\"https://id.example/sso/post",
        "x\" Location=\"https://id.example/sso/post",
        1,
    );
    assert_eq!(metadata(&none), Err(MetadataError::SsoMissing(ID.to_owned())));
    let schema = metadata(&with("Location=\"https://id.example/sso\"", ""));
    assert!(matches!(schema, Err(MetadataError::NotSchema(_))), "{schema:?}");
}

#[test]
fn the_earliest_end_holds_wherever_it_is_said() {
    let entity = |until: &str| with("entityID=", &format!("validUntil=\"{until}\" entityID="));
    let role = |until: &str| {
        with("WantAuthnRequestsSigned=", &format!("validUntil=\"{until}\" WantAuthnRequestsSigned="))
    };
    let around = |until: &str| aggregate(&format!("validUntil='{until}'"), &GOOD);
    let outermost = |until: &str| aggregate(&format!("validUntil='{until}'"), &aggregate("", &GOOD));
    let just = UnixTime(NOW.0 + 1);
    for document in [entity, role, around, outermost] {
        let read = metadata(&document(&just.to_string())).unwrap();
        assert_eq!(read.valid_until, Some(just));
        assert!(read.is_valid_at(NOW) && !read.is_valid_at(just));
        let error = MetadataError::Expired { until: NOW, now: NOW };
        assert_eq!(metadata(&document(&NOW.to_string())), Err(error));
        let error = MetadataError::ValidUntilMalformed("tomorrow".to_owned());
        assert_eq!(metadata(&document("tomorrow")), Err(error));
    }
    let both = aggregate("validUntil='2030-01-01T00:00:00Z'", &entity("2029-01-01T00:00:00Z"));
    assert_eq!(metadata(&both).unwrap().valid_until.unwrap().to_string(), "2029-01-01T00:00:00Z");
}

#[test]
fn the_shortest_time_to_keep_it_holds_and_nonsense_is_none() {
    let inner = with("entityID=", "cacheDuration=\"PT2H\" entityID=");
    assert_eq!(metadata(&inner).unwrap().cache_duration, Some(Duration::from_hours(2)));
    let both = aggregate("cacheDuration='PT1H'", &inner);
    assert_eq!(metadata(&both).unwrap().cache_duration, Some(Duration::from_hours(1)));
    let nonsense = with("entityID=", "cacheDuration=\"often\" entityID=");
    assert_eq!(metadata(&nonsense).unwrap().cache_duration, None);
}

#[test]
fn comments_of_those_who_write_by_hand_are_passed_over() {
    let key = certificate(&RSA);
    let (first, second) = key.split_at(100);
    let commented = format!("<!-- ours -->{}", with(&key, &format!("{first}<!-- \n -->{second}")));
    assert_eq!(metadata(&commented).unwrap(), metadata(&GOOD).unwrap());
    assert_eq!(metadata(&format!("<!DOCTYPE a>{}", *GOOD)), Err(XmlError::DocumentType.into()));
}

fn signed(document: &str, by: &Party) -> String {
    sign_enveloped(document, &by.signing).unwrap()
}

fn anchored(text: &str, anchor: &Party) -> Result<IdpMetadata, MetadataError> {
    let keys = [anchor.verifying.clone()];
    let expected = Expected { trust_anchor: &keys, entity_id: Some(ID), ..expected() };
    read(text.as_bytes(), &expected).map(|read| read.metadata)
}

#[test]
fn a_trust_anchor_must_have_signed_the_entity_or_the_whole() {
    let entity = with("entityID=", "ID=\"e1\" entityID=");
    let by_itself = signed(&entity, &P256);
    assert_eq!(anchored(&by_itself, &P256).unwrap(), metadata(&GOOD).unwrap());
    assert_eq!(anchored(&aggregate("", &by_itself), &P256).unwrap(), metadata(&GOOD).unwrap());
    let other = entity.replace(ID, "urn:other").replace("e1", "e2");
    let whole = signed(&aggregate("ID='a1'", &aggregate("", &format!("{other}{entity}"))), &P256);
    assert_eq!(anchored(&whole, &P256).unwrap(), metadata(&GOOD).unwrap());
    // The federation's signature around one that the identity provider made for others.
    let whole = signed(&aggregate("ID='a1'", &signed(&entity, &OTHER_RSA)), &P256);
    assert_eq!(anchored(&whole, &P256).unwrap(), metadata(&GOOD).unwrap());
}

#[test]
fn comments_do_not_break_a_signature_since_it_never_covered_them() {
    let entity = with("entityID=", "ID=\"e1\" entityID=");
    let commented =
        signed(&entity, &P256).replace("<md:NameIDFormat>", "<!-- x --><md:NameIDFormat><!-- y -->");
    assert_eq!(anchored(&commented, &P256).unwrap(), metadata(&GOOD).unwrap());
}

#[test]
fn without_the_trust_anchors_signature_nothing_is_read() {
    let entity = with("entityID=", "ID=\"e1\" entityID=");
    assert_eq!(anchored(&entity, &P256), Err(MetadataError::NotSigned));
    assert_eq!(anchored(&aggregate("", &entity), &P256), Err(MetadataError::NotSigned));
    let signature = |result: Result<IdpMetadata, MetadataError>| match result {
        Err(MetadataError::Signature(error)) => error,
        other => panic!("{other:?}"),
    };
    let others = signed(&entity, &OTHER_RSA);
    assert_eq!(signature(anchored(&others, &RSA)), SignatureError::NotByTrustedKey);
    assert!(matches!(signature(anchored(&others, &P256)), SignatureError::NoKeyFits(_)));
    let changed = signed(&entity, &P256).replace("https://id.example/sso\"", "https://id.example/ss0\"");
    assert_eq!(signature(anchored(&changed, &P256)), SignatureError::DigestMismatch);
    let whole = signed(&aggregate("ID='a1'", &entity), &P256);
    let changed = whole.replace("https://id.example/sso\"", "https://id.example/ss0\"");
    assert_eq!(signature(anchored(&changed, &P256)), SignatureError::DigestMismatch);
    // The right entity is signed, but another of its name stands beside it.
    let beside = aggregate("", &format!("{}{}", entity.replace("e1", "e2"), signed(&entity, &P256)));
    assert_eq!(anchored(&beside, &P256), Err(MetadataError::EntityTwice(ID.to_owned())));
    // A signature in the wrong namespace is none.
    let named = signed(&entity, &P256).replace(DSIG, "urn:x");
    assert_eq!(anchored(&named, &P256), Err(MetadataError::NotSigned));
}

#[test]
fn what_is_around_a_signed_entity_only_shortens_its_life() {
    let entity = signed(&with("entityID=", "ID=\"e1\" validUntil=\"2030-01-01T00:00:00Z\" entityID="), &P256);
    let until = |around: &str| {
        anchored(&aggregate(&format!("validUntil='{around}'"), &entity), &P256).unwrap().valid_until.unwrap()
    };
    assert_eq!(until("2029-01-01T00:00:00Z").to_string(), "2029-01-01T00:00:00Z");
    assert_eq!(until("2031-01-01T00:00:00Z").to_string(), "2030-01-01T00:00:00Z");
}

#[test]
fn the_kept_copy_says_the_same_without_a_trust_anchor() {
    let entity = with("entityID=", "ID=\"e1\" cacheDuration=\"PT2H\" entityID=");
    let other = entity.replace(ID, "urn:other").replace("e1", "e2");
    let inner = aggregate("validUntil='2030-01-01T00:00:00Z'", &format!("{other}{entity}"));
    let whole = signed(&aggregate("ID='a1' cacheDuration='PT1H'", &inner), &P256);
    let keys = [P256.verifying.clone()];
    let anchored = Expected { trust_anchor: &keys, entity_id: Some(ID), ..expected() };
    let first = read(whole.as_bytes(), &anchored).unwrap();
    assert_eq!(first.metadata.cache_duration, Some(Duration::from_hours(1)));
    let again =
        read(first.copy.as_str().as_bytes(), &Expected { entity_id: Some(ID), ..expected() }).unwrap();
    assert_eq!(again.metadata, first.metadata);
    assert!(!first.copy.as_str().contains("urn:other"));
}

#[test]
fn thirty_megabytes_are_read_in_one_pass() {
    use std::fmt::Write as _;
    let key = certificate(&RSA);
    let mut text = format!("<md:EntitiesDescriptor xmlns:md='{METADATA}' ID='a1'>");
    let mut entities = 0;
    while text.len() < 30 * 1024 * 1024 {
        let other = GOOD.replace(ID, &format!("urn:{entities}")).replace(&key, &key.repeat(4));
        write!(text, "{other}").unwrap();
        entities += 1;
    }
    text.push_str(&GOOD);
    text.push_str("</md:EntitiesDescriptor>");
    let expected = Expected { entity_id: Some(ID), ..expected() };
    let found = read(text.as_bytes(), &expected).unwrap();
    assert_eq!(found.metadata, metadata(&GOOD).unwrap());
    // Kept is the one, not the federation.
    assert!(found.copy.as_str().len() < 2 * GOOD.len());
}

proptest! {
    #[test]
    fn no_document_panics(at in any::<prop::sample::Index>(), cut in 0_usize..40, text in "[<>/&=\"'a-zA-Z!\\-\\[\\]?; ]{0,12}") {
        let at = at.index(GOOD.len());
        let end = (at + cut).min(GOOD.len());
        let changed = format!("{}{text}{}", &GOOD[..at], &GOOD[end..]);
        let _ = metadata(&changed);
    }
}
