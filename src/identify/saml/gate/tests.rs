//! Attacks on the whole of a response. No vector yields any identity but the genuine one; what is manipulated is
//! refused, not half-trusted.

use std::slice::from_ref;

use super::super::keys::VerifyingKey;
use super::super::signature::SignatureError;
use super::super::testing::{
    AES128_CBC, AES128_GCM, AES256_CBC, AES256_GCM, Envelope, OTHER_RSA, Party, RSA, Recipe, SHA256,
};
use super::*;

const RESPONSE: &str = r#"<p:Response xmlns:p="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:a="urn:oasis:names:tc:SAML:2.0:assertion" ID="_r" Version="2.0"><a:Issuer>https://idp.test</a:Issuer>{SIGNATURE}<p:Status><p:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></p:Status>{ASSERTION}</p:Response>"#;
const ASSERTION: &str = r#"<a:Assertion xmlns:a="urn:oasis:names:tc:SAML:2.0:assertion" ID="_a" Version="2.0"><a:Issuer>https://idp.test</a:Issuer>{SIGNATURE}<a:Subject><a:NameID>j.doe</a:NameID></a:Subject><a:Conditions></a:Conditions></a:Assertion>"#;
const EVIL: &str = r#"<a:Assertion xmlns:a="urn:oasis:names:tc:SAML:2.0:assertion" ID="{ID}" Version="2.0"><a:Issuer>https://idp.test</a:Issuer>{SIGNATURE}<a:Subject><a:NameID>admin</a:NameID></a:Subject><a:Conditions></a:Conditions></a:Assertion>"#;

fn gate() -> Gate<'static> {
    Gate {
        keys: from_ref(&RSA.verifying),
        decryption_keys: &[],
        require_signed: RequireSigned::Either,
        want_encrypted: false,
        policy: AlgorithmPolicy::Sha2,
    }
}

fn unsigned(xml: &str) -> String {
    xml.replacen("{SIGNATURE}", "", 1)
}

fn sign(xml: &str, id: &str) -> String {
    Recipe::new(&RSA, id).sign(xml, id)
}

/// A Response around `inner`, not signed itself.
fn around(inner: &str) -> String {
    unsigned(RESPONSE).replacen("{ASSERTION}", inner, 1)
}

/// A Response around `inner`, signed.
fn signed_around(inner: &str) -> String {
    sign(&RESPONSE.replacen("{ASSERTION}", inner, 1), "_r")
}

fn assertion_signed() -> String {
    around(&sign(ASSERTION, "_a"))
}

fn open(xml: &str) -> Result<Opened, GateError> {
    gate().open(xml.as_bytes())
}

fn refused(xml: &str) -> GateError {
    open(xml).unwrap_err()
}

/// The genuine assertion, as it comes out of the gate.
fn genuine() -> String {
    unsigned(ASSERTION)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn an_assertion_comes_out_if_it_or_the_response_is_signed() {
    for (xml, response, assertion) in [
        (assertion_signed(), false, true),
        (signed_around(&unsigned(ASSERTION)), true, false),
        (signed_around(&sign(ASSERTION, "_a")), true, true),
    ] {
        let opened = open(&xml).unwrap();
        assert_eq!(text(opened.assertion()), genuine());
        assert_eq!((opened.response().is_signed(), opened.assertion_is_signed()), (response, assertion));
        assert!(!opened.was_encrypted() && !opened.uses_sha1());
        let head = text(opened.response().bytes());
        assert!(head.contains("status:Success") && head.contains("https://idp.test"));
        assert!(
            !head.contains("Assertion") && !head.contains("Signature") && !head.contains("j.doe"),
            "{head}"
        );
    }
}

#[test]
fn lesson_30_nothing_unsigned_comes_through() {
    let none = around(&unsigned(ASSERTION));
    for require_signed in
        [RequireSigned::Either, RequireSigned::Assertion, RequireSigned::Response, RequireSigned::Both]
    {
        let gate = Gate { require_signed, ..gate() };
        assert_eq!(gate.open(none.as_bytes()), Err(GateError::NotSigned));
    }
}

#[test]
fn what_must_be_signed_is_said_by_the_configuration() {
    let assertion = assertion_signed();
    let response = signed_around(&unsigned(ASSERTION));
    let both = signed_around(&sign(ASSERTION, "_a"));
    let refusal = |require_signed, xml: &str| Gate { require_signed, ..gate() }.open(xml.as_bytes()).err();
    for (require_signed, on_assertion, on_response) in [
        (RequireSigned::Either, None, None),
        (RequireSigned::Assertion, None, Some(GateError::AssertionNotSigned)),
        (RequireSigned::Response, Some(GateError::ResponseNotSigned), None),
        (RequireSigned::Both, Some(GateError::ResponseNotSigned), Some(GateError::AssertionNotSigned)),
    ] {
        assert_eq!(refusal(require_signed, &assertion), on_assertion, "{require_signed:?}");
        assert_eq!(refusal(require_signed, &response), on_response, "{require_signed:?}");
        assert_eq!(refusal(require_signed, &both), None, "{require_signed:?}");
    }
}

#[test]
fn a_signature_that_is_there_must_hold_though_nobody_asked_for_it() {
    let both = signed_around(&sign(ASSERTION, "_a"));
    // Only the Response's, then only the Assertion's, by somebody else's key.
    let mut evil = Recipe::new(&OTHER_RSA, "_a");
    let xml = signed_around(&evil.sign(ASSERTION, "_a"));
    assert_eq!(refused(&xml), GateError::AssertionSignature(SignatureError::NotByTrustedKey));
    evil = Recipe::new(&OTHER_RSA, "_r");
    let xml = evil.sign(&RESPONSE.replacen("{ASSERTION}", &sign(ASSERTION, "_a"), 1), "_r");
    assert_eq!(refused(&xml), GateError::ResponseSignature(SignatureError::NotByTrustedKey));
    let changed = both.replacen("j.doe", "eve", 1);
    assert_eq!(refused(&changed), GateError::ResponseSignature(SignatureError::DigestMismatch));
    let changed = assertion_signed().replacen("j.doe", "eve", 1);
    assert_eq!(refused(&changed), GateError::AssertionSignature(SignatureError::DigestMismatch));
}

#[test]
fn a_signature_by_sha1_is_told_whosever_it_is() {
    let sha1 = "http://www.w3.org/2000/09/xmldsig#sha1";
    let weakly = |xml: &str, id: &str| {
        let mut recipe = Recipe::new(&RSA, id).with(SHA256, sha1);
        recipe.digest = sha1;
        recipe.sign(xml, id)
    };
    let gate = Gate { policy: AlgorithmPolicy::Sha1Too, ..gate() };
    let told = |xml: &str| gate.open(xml.as_bytes()).unwrap().uses_sha1();
    let assertion = weakly(ASSERTION, "_a");
    let response = RESPONSE.replacen("{ASSERTION}", &sign(ASSERTION, "_a"), 1);
    assert!(told(&around(&assertion)) && told(&signed_around(&assertion)) && told(&weakly(&response, "_r")));
    assert!(!told(&sign(&response, "_r")));
}

#[test]
fn the_size_is_capped_before_anything_is_parsed() {
    let xml = assertion_signed();
    let at_cap = format!("{xml}{}", " ".repeat(MAX_RESPONSE - xml.len()));
    assert!(open(&at_cap).is_ok());
    let over = format!("{at_cap} ");
    let found = MAX_RESPONSE + 1;
    assert_eq!(refused(&over), GateError::Xml(XmlError::TooLong { found, limit: MAX_RESPONSE }));
}

#[test]
fn only_a_response_of_saml_2_is_opened() {
    for (from, to, found) in [
        ("urn:oasis:names:tc:SAML:2.0:protocol", "urn:oasis:names:tc:SAML:1.0:protocol", "Response"),
        ("p:Response", "p:ArtifactResponse", "ArtifactResponse"),
        ("p:Response", "p:LogoutResponse", "LogoutResponse"),
        ("p:Response", "a:Assertion", "Assertion"),
    ] {
        let xml = assertion_signed().replace(from, to);
        assert_eq!(refused(&xml), GateError::NotAResponse { found: found.to_owned() });
    }
    assert_eq!(refused(&sign(ASSERTION, "_a")), GateError::NotAResponse { found: "Assertion".to_owned() });
}

#[test]
fn a_response_without_assertion_shows_its_head_and_whether_it_is_signed() {
    let GateError::NoAssertion(head) = refused(&around("")) else { panic!() };
    assert!(!head.is_signed() && text(head.bytes()).contains("status:Success"));
    let GateError::NoAssertion(head) = refused(&signed_around("")) else { panic!() };
    assert!(head.is_signed() && !text(head.bytes()).contains("Signature"));
}

#[test]
fn lesson_29_one_assertion_in_one_place() {
    let one = sign(ASSERTION, "_a");
    let two = sign(&ASSERTION.replace("_a", "_b"), "_b");
    let sealed = Envelope::new(AES128_GCM).seal(&two, &RSA);
    for xml in [
        format!("{one}{two}"),
        format!("{one}{sealed}"),
        format!("{sealed}{one}"),
        format!("{sealed}{sealed}"),
    ] {
        assert_eq!(refused(&around(&xml)), GateError::SeveralAssertions);
        assert_eq!(refused(&signed_around(&xml)), GateError::SeveralAssertions);
    }
    let misplaced = |parent: &str, found: &str| GateError::AssertionMisplaced {
        parent: parent.to_owned(),
        found: found.to_owned(),
    };
    let other = unsigned(&ASSERTION.replace("_a", "_b"));
    let nested = |name: &str| format!("<{name} xmlns:a='{SAML}' xmlns:p='{SAMLP}'>{other}</{name}>");
    for (name, parent) in [("p:Extensions", "Extensions"), ("x", "x"), ("a:Advice", "Advice")] {
        let before = around(&format!("{}{one}", nested(name)));
        assert_eq!(refused(&before), misplaced(parent, "Assertion"));
        let after = around(&format!("{one}{}", nested(name)));
        assert_eq!(refused(&after), misplaced(parent, "Assertion"));
        // Inside the signed Assertion itself, and signed with it.
        let inside = ASSERTION.replace("<a:Conditions>", &format!("{}<a:Conditions>", nested(name)));
        assert_eq!(refused(&around(&sign(&inside, "_a"))), misplaced(parent, "Assertion"));
    }
    for (wrong, name) in [
        (r#"<Assertion xmlns="urn:evil"/>"#, "Assertion"),
        ("<Assertion xmlns=''/>", "Assertion"),
        (r#"<Assertion xmlns="urn:oasis:names:tc:SAML:1.0:assertion"/>"#, "Assertion"),
        (r#"<EncryptedAssertion xmlns="urn:evil"/>"#, "EncryptedAssertion"),
        ("<p:Response/>", "Response"),
        ("<Response xmlns='urn:evil'/>", "Response"),
    ] {
        assert_eq!(refused(&around(&format!("{wrong}{one}"))), misplaced("Response", name), "{wrong}");
        let after = refused(&around(&format!("{one}{wrong}")));
        assert_eq!(after, GateError::SeveralAssertions, "{wrong}");
        let inside = around(&one).replace("j.doe", &format!("j.doe{wrong}"));
        assert_eq!(refused(&inside), misplaced("NameID", name), "{wrong}");
    }
}

/// The eight of Somorovsky, Mayer, Schwenk, Kampmann, Jensen: "On Breaking SAML: Be Whoever You Want to Be", each
/// with the evil copy under the same identifier and under another one.
#[test]
fn lesson_28_the_eight_classic_wrappings_and_their_variants_are_refused() {
    let response = signed_around(&unsigned(ASSERTION));
    let cut = |xml: &str| {
        let start = xml.find("<ds:Signature ").unwrap();
        let end = xml.find("</ds:Signature>").unwrap() + "</ds:Signature>".len();
        (xml[start..end].to_owned(), format!("{}{}", &xml[..start], &xml[end..]))
    };
    let into =
        |signature: &str, what: &str| signature.replace("</ds:Signature>", &format!("{what}</ds:Signature>"));
    let object = |what: &str| format!("<ds:Object>{what}</ds:Object>");
    let (of_response, bare_response) = cut(&response);
    let assertion = sign(ASSERTION, "_a");
    let (of_assertion, bare_assertion) = cut(&assertion);

    for id in ["same", "_other"] {
        let (rid, aid) = if id == "same" { ("_r", "_a") } else { ("_re", "_ae") };
        let evil = |signature: &str| EVIL.replace("{ID}", aid).replacen("{SIGNATURE}", signature, 1);
        let evil_response = |signature: &str, extra: &str| {
            let inner = EVIL.replace("{ID}", "_ae").replacen("{SIGNATURE}", "", 1);
            RESPONSE.replace("_r", rid).replacen("{SIGNATURE}", signature, 1).replacen(
                "{ASSERTION}",
                &format!("{inner}{extra}"),
                1,
            )
        };
        let vectors = [
            ("1", evil_response(&into(&of_response, &bare_response), "")),
            ("1 in Object", evil_response(&into(&of_response, &object(&bare_response)), "")),
            ("2", evil_response(&format!("{bare_response}{of_response}"), "")),
            ("2 behind", evil_response(&of_response, &bare_response)),
            ("3", around(&format!("{}{assertion}", evil("")))),
            ("3 behind", around(&format!("{assertion}{}", evil("")))),
            ("4", around(&evil("").replace("</a:Assertion>", &format!("{assertion}</a:Assertion>")))),
            ("5", around(&format!("{}{bare_assertion}", evil(&of_assertion)))),
            ("6", around(&evil(&into(&of_assertion, &bare_assertion)))),
            ("7", around(&format!("<p:Extensions>{}</p:Extensions>{assertion}", evil("")))),
            ("7 turned", around(&format!("<p:Extensions>{assertion}</p:Extensions>{}", evil("")))),
            ("8", around(&evil(&into(&of_assertion, &object(&bare_assertion))))),
            ("signature alone", around(&evil(&of_assertion))),
            ("of another element", around(&evil(&of_response))),
        ];
        for (name, xml) in vectors {
            let error = refused(&xml);
            let expected = match name {
                "1" | "1 in Object" | "2" | "2 behind" => {
                    matches!(error, GateError::AssertionMisplaced { .. } | GateError::SeveralAssertions)
                }
                "signature alone" if id == "same" => {
                    error == GateError::AssertionSignature(SignatureError::DigestMismatch)
                }
                "signature alone" | "of another element" => {
                    matches!(error, GateError::AssertionSignature(SignatureError::ReferenceElsewhere { .. }))
                }
                "3" | "3 behind" | "5" => error == GateError::SeveralAssertions,
                _ => matches!(error, GateError::AssertionMisplaced { .. }),
            };
            assert!(expected, "{name} {id}: {error:?}");
        }
    }
}

#[test]
fn lesson_28_signatures_stand_only_where_the_gate_verifies_them() {
    let signed = sign(ASSERTION, "_a");
    let start = signed.find("<ds:Signature ").unwrap();
    let end = signed.find("</ds:Signature>").unwrap() + "</ds:Signature>".len();
    let signature = &signed[start..end];
    for (place, parent) in [("</a:Subject>", "Subject"), ("</a:Conditions>", "Conditions")] {
        let xml = around(&signed.replacen(place, &format!("{signature}{place}"), 1));
        assert_eq!(refused(&xml), GateError::SignatureMisplaced { parent: parent.to_owned() });
    }
    let xml = around(&signed).replacen("<p:Status>", &format!("<p:Status ID='_s'>{signature}"), 1);
    assert_eq!(refused(&xml), GateError::SignatureMisplaced { parent: "Status".to_owned() });
    let xml = around(&signed.replacen("<a:Subject>", &format!("{signature}<a:Subject>"), 1));
    let several = SignatureError::SeveralSignatures { element: "Assertion".to_owned() };
    assert_eq!(refused(&xml), GateError::AssertionSignature(several));
}

#[test]
fn lesson_28_an_identifier_that_stands_twice_is_refused() {
    let xml = assertion_signed().replace("<a:NameID>", "<a:NameID xml:id='_a'>");
    let twice = SignatureError::IdNotUnique { id: "_a".to_owned() };
    assert_eq!(refused(&xml), GateError::AssertionSignature(twice));
    // Outside of what is signed.
    let xml = assertion_signed().replace("<p:Status>", "<p:Status id='_a'>");
    let twice = SignatureError::IdNotUnique { id: "_a".to_owned() };
    assert_eq!(refused(&xml), GateError::AssertionSignature(twice));
}

#[test]
fn declarations_that_only_a_prefix_list_sees_survive_the_responses_signature() {
    let assertion = ASSERTION.replacen(" ID=", " xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" ID=", 1);
    let plain = "<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>";
    let listed = "<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"><ec:InclusiveNamespaces \
                  xmlns:ec=\"http://www.w3.org/2001/10/xml-exc-c14n#\" PrefixList=\"xs\"/></ds:Transform>";
    let mut recipe = Recipe::new(&RSA, "_a").with(plain, listed);
    recipe.prefixes = vec!["xs".to_owned()];
    let opened = open(&signed_around(&recipe.sign(&assertion, "_a"))).unwrap();
    assert_eq!(
        text(opened.assertion()),
        genuine().replacen(" ID=", " xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" ID=", 1)
    );
}

// Encryption

fn decrypting() -> Gate<'static> {
    static KEYS: std::sync::LazyLock<[DecryptionKey; 2]> =
        std::sync::LazyLock::new(|| [OTHER_RSA.decryption(), RSA.decryption()]);
    Gate { decryption_keys: &*KEYS, ..gate() }
}

fn reason(xml: &str) -> GateError {
    let error = decrypting().open(xml.as_bytes()).unwrap_err();
    assert!(matches!(error, GateError::Encrypted(_)), "{error:?}");
    let other = GateError::Encrypted(Box::new(GateError::NotSigned));
    assert_eq!(
        (error.to_string(), error.code(), error.fault()),
        (other.to_string(), other.code(), other.fault())
    );
    error.reason().clone()
}

#[test]
fn every_allowed_cipher_and_every_place_of_the_key_is_read() {
    for content in [AES128_GCM, AES256_GCM, AES128_CBC, AES256_CBC] {
        for beside in [false, true] {
            for party in [&*RSA, &*OTHER_RSA] {
                let envelope = Envelope { beside, ..Envelope::new(content) };
                let inner = envelope.seal(&sign(ASSERTION, "_a"), party);
                let opened = decrypting().open(around(&inner).as_bytes()).unwrap();
                assert_eq!(text(opened.assertion()), genuine());
                assert!(opened.was_encrypted() && opened.assertion_is_signed());
                let head = text(opened.response().bytes());
                assert!(!head.contains("Encrypted"), "{head}");
                // Signed outside only.
                let inner = envelope.seal(&unsigned(ASSERTION), party);
                let opened = decrypting().open(signed_around(&inner).as_bytes()).unwrap();
                assert_eq!(text(opened.assertion()), genuine());
                assert!(opened.response().is_signed() && !opened.assertion_is_signed());
            }
        }
    }
}

#[test]
fn an_unencrypted_assertion_is_refused_where_encryption_is_wanted() {
    let gate = Gate { want_encrypted: true, ..decrypting() };
    assert_eq!(gate.open(assertion_signed().as_bytes()), Err(GateError::NotEncrypted));
    let inner = Envelope::new(AES256_GCM).seal(&sign(ASSERTION, "_a"), &RSA);
    assert!(gate.open(around(&inner).as_bytes()).is_ok());
}

#[test]
fn without_a_decryption_key_the_operator_is_told() {
    let inner = Envelope::new(AES256_GCM).seal(&sign(ASSERTION, "_a"), &RSA);
    let error = GateError::Decryption(DecryptionError::NoDecryptionKey);
    assert_eq!(refused(&around(&inner)), error);
}

#[test]
fn nothing_unsigned_comes_out_of_an_encrypted_assertion() {
    let sealed = |inner: &str| Envelope::new(AES256_CBC).seal(inner, &RSA);
    assert_eq!(reason(&around(&sealed(&unsigned(ASSERTION)))), GateError::NotSigned);
    let evil = Recipe::new(&OTHER_RSA, "_a").sign(ASSERTION, "_a");
    let not_ours = GateError::AssertionSignature(SignatureError::NotByTrustedKey);
    assert_eq!(reason(&around(&sealed(&evil))), not_ours);
    assert_eq!(reason(&signed_around(&sealed(&evil))), not_ours);
    let changed = sign(ASSERTION, "_a").replace("j.doe", "eve");
    assert_eq!(
        reason(&around(&sealed(&changed))),
        GateError::AssertionSignature(SignatureError::DigestMismatch)
    );
    let gate = Gate { require_signed: RequireSigned::Assertion, ..decrypting() };
    let error = gate.open(signed_around(&sealed(&unsigned(ASSERTION))).as_bytes()).unwrap_err();
    assert_eq!(error, GateError::Encrypted(Box::new(GateError::AssertionNotSigned)));
}

#[test]
fn what_was_encrypted_is_one_assertion_and_nothing_beside_it() {
    let good = sign(ASSERTION, "_a");
    let sealed = |inner: &str| reason(&around(&Envelope::new(AES256_GCM).seal(inner, &RSA)));
    for wrong in [
        String::new(),
        "j.doe".to_owned(),
        format!("{good}x"),
        format!("x{good}"),
        format!("{good}<x/>"),
        format!("<x/>{good}"),
        Envelope::new(AES256_GCM).seal(&good, &RSA),
        "<p:Response xmlns:p='urn:oasis:names:tc:SAML:2.0:protocol'/>".replace("Response", "Status"),
    ] {
        assert_eq!(sealed(&wrong), GateError::DecryptedOther, "{wrong}");
    }
    assert_eq!(sealed(&format!("{good}{good}")), GateError::SeveralAssertions);
    assert!(matches!(sealed(&format!("<x>{good}</x>")), GateError::AssertionMisplaced { .. }));
    assert!(matches!(sealed(&around(&good)), GateError::AssertionMisplaced { .. }));
    // Out of the context, in which it was put, and back into another.
    assert!(matches!(sealed(&format!("</context><context>{good}")), GateError::Xml(XmlError::Malformed(_))));
    assert!(matches!(sealed(&format!("{good}</context>")), GateError::Xml(XmlError::Malformed(_))));
    assert!(matches!(sealed("<a:Assertion"), GateError::Xml(XmlError::Malformed(_))));
    assert_eq!(sealed(&format!("<!-- -->{good}")), GateError::Xml(XmlError::Comment));
    assert_eq!(sealed(&format!("<!DOCTYPE x>{good}")), GateError::Xml(XmlError::DocumentType));
}

#[test]
fn no_failure_after_the_first_use_of_a_key_can_be_told_from_another() {
    let good = sign(ASSERTION, "_a");
    let sealed = |envelope: &Envelope, party: &Party| reason(&around(&envelope.seal(&good, party)));
    let stranger = Party::new(&rcgen::PKCS_RSA_SHA256);
    for content in [AES128_GCM, AES256_GCM, AES128_CBC, AES256_CBC] {
        let envelope = || Envelope::new(content);
        // Not for us; a content key of another length; first, middle and last octet changed; cut short.
        let reasons = [
            sealed(&envelope(), &stranger),
            sealed(&Envelope { content_key: Some(vec![5; 24]), ..envelope() }, &RSA),
            sealed(&Envelope { content_key: Some(vec![5]), ..envelope() }, &RSA),
            sealed(
                &Envelope {
                    content_key: Some(vec![6; if content.contains("128") { 16 } else { 32 }]),
                    ..envelope()
                },
                &RSA,
            ),
            sealed(&Envelope { tamper: |data| data[0] ^= 1, ..envelope() }, &RSA),
            sealed(
                &Envelope {
                    tamper: |data| {
                        let at = data.len() / 2;
                        data[at] ^= 0x80;
                    },
                    ..envelope()
                },
                &RSA,
            ),
            sealed(&Envelope { tamper: |data| *data.last_mut().unwrap() ^= 1, ..envelope() }, &RSA),
            sealed(&Envelope { tamper: |data| data.truncate(data.len() - 16), ..envelope() }, &RSA),
            sealed(&Envelope { tamper: |data| data.truncate(data.len() - 1), ..envelope() }, &RSA),
            sealed(&Envelope { tamper: |data| data.truncate(16), ..envelope() }, &RSA),
            sealed(&Envelope { tamper: |data| data.truncate(3), ..envelope() }, &RSA),
        ];
        for found in reasons {
            assert!(
                matches!(
                    found,
                    GateError::Xml(_) | GateError::DecryptedOther | GateError::AssertionSignature(_)
                ),
                "{found:?}"
            );
        }
    }
}

#[test]
fn the_octets_of_a_padding_are_anything_but_for_their_count() {
    let good = sign(ASSERTION, "_a");
    for filler in [0, 1, 7, 255] {
        let inner = Envelope { filler, ..Envelope::new(AES128_CBC) }.seal(&good, &RSA);
        assert!(decrypting().open(around(&inner).as_bytes()).is_ok());
    }
    // A padding of a whole block.
    for spaces in 0..16 {
        let inner = Envelope::new(AES256_CBC).seal(&format!("{good}{}", " ".repeat(spaces)), &RSA);
        assert!(decrypting().open(around(&inner).as_bytes()).is_ok());
    }
}

#[test]
fn an_encrypted_assertion_may_use_the_namespaces_around_it() {
    let good = sign(ASSERTION, "_a").replacen(" xmlns:a=\"urn:oasis:names:tc:SAML:2.0:assertion\"", "", 1);
    let inner = Envelope::new(AES128_GCM).seal(&good, &RSA);
    assert_eq!(text(decrypting().open(around(&inner).as_bytes()).unwrap().assertion()), genuine());
    // Another meaning of the same prefix is another assertion.
    let other = inner.replacen("xmlns:a=\"urn:oasis:names:tc:SAML:2.0:assertion\"", "xmlns:b=\"urn:b\"", 1);
    let other = around(&other).replace(
        "xmlns:a=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"_r\"",
        "xmlns:a=\"urn:x&amp;&quot;&#10;&lt;\" ID=\"_r\"",
    );
    assert!(decrypting().open(other.as_bytes()).is_err());
}

/// Namespaces of the message as received, which the Response's signature does not cover, are not asked.
#[test]
fn the_context_of_an_encrypted_assertion_is_what_the_signature_covers() {
    let good = unsigned(ASSERTION).replace("a:", "q:").replace("xmlns:q", "xmlns:unused");
    let sealed = Envelope::new(AES128_GCM).seal(&good, &RSA);
    let declared = RESPONSE.replacen(" ID=", " xmlns:q=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=", 1);
    let xml = sign(&declared.replacen("{ASSERTION}", &sealed, 1), "_r");
    assert!(matches!(reason(&xml), GateError::Xml(XmlError::Malformed(_))));
    let used = declared.replace("a:Issuer", "q:Issuer");
    let visible = sealed.replacen("<a:Enc", "<q:Enc", 1).replacen("</a:Enc", "</q:Enc", 1);
    let xml = sign(&used.replacen("{ASSERTION}", &visible, 1), "_r");
    assert!(decrypting().open(xml.as_bytes()).is_ok());
}

#[test]
fn keys_of_nobody_open_nothing_and_no_bytes_make_the_gate_fall() {
    let keys: &[VerifyingKey] = &[];
    let gate = Gate { keys, ..gate() };
    assert!(matches!(
        gate.open(assertion_signed().as_bytes()),
        Err(GateError::AssertionSignature(SignatureError::NoKeyFits(_)))
    ));
    for bytes in [&b""[..], b"<", b"\xff", b"<p:Response", b"\xef\xbb\xbf<a/>"] {
        assert!(gate.open(bytes).is_err());
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 300, ..Default::default() })]

    /// Whatever is cut out of, put into and exchanged in a good response: the genuine assertion or none.
    #[test]
    fn no_mutation_yields_another_assertion(
        from in 0_usize..4000, length in 0_usize..60, to in 0_usize..4000, mode in 0_u8..4, octet: u8,
    ) {
        static GOOD: std::sync::LazyLock<String> =
            std::sync::LazyLock::new(|| signed_around(&sign(ASSERTION, "_a")));
        static ONE: std::sync::LazyLock<String> = std::sync::LazyLock::new(assertion_signed);
        for good in [&*GOOD, &*ONE] {
            let mut bytes = good.clone().into_bytes();
            let (from, to) = (from % bytes.len(), to % bytes.len());
            let end = (from + length).min(bytes.len());
            let piece = bytes[from..end].to_vec();
            match mode {
                0 => bytes[from] = octet,
                1 => drop(bytes.splice(from..end, [])),
                2 => drop(bytes.splice(to..to, piece)),
                _ => bytes.insert(from, octet),
            }
            if let Ok(opened) = gate().open(&bytes) {
                proptest::prop_assert_eq!(text(opened.assertion()), genuine());
            }
        }
    }
}
