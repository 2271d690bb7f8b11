//! Each refusal differs from a good signature in one thing, and is signed over with that thing in it.

use std::slice::from_ref;

use super::super::sign::{SignError, sign_bytes, sign_enveloped};
use super::super::testing::{
    OTHER_RSA, P256, P384, P521, Party, RSA, RSA_SHA256, Recipe, SHA256, rsa_signature,
};
use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const MESSAGE: &str = r#"<p:Response xmlns:p="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:a="urn:oasis:names:tc:SAML:2.0:assertion" xmlns:xs="urn:xs" ID="_r"><a:Issuer>https://idp.test</a:Issuer>{SIGNATURE}<a:Assertion ID="_a"><a:Issuer>https://idp.test</a:Issuer><a:Subject t="xs:string">j.doe</a:Subject></a:Assertion></p:Response>"#;

fn open(xml: &str) -> Result<Signed, SignatureError> {
    open_with(xml, from_ref(&RSA.verifying), AlgorithmPolicy::Sha2)
}

fn open_with(xml: &str, keys: &[VerifyingKey], policy: AlgorithmPolicy) -> Result<Signed, SignatureError> {
    let tree = Tree::parse(xml.as_bytes(), 1 << 20)?;
    verify_enveloped(&tree, tree.root()?, keys, policy)
}

fn recipe() -> Recipe<'static> {
    Recipe::new(&RSA, "_r")
}

/// The refusal of a signature in whose template `from` was replaced before it was signed.
fn refused(from: &str, to: &str) -> SignatureError {
    open(&recipe().with(from, to).sign(MESSAGE, "_r")).unwrap_err()
}

fn unexpected(parent: &str, found: &str) -> SignatureError {
    SignatureError::Unexpected { parent: parent.to_owned(), found: found.to_owned() }
}

fn incomplete(parent: &str, name: &'static str) -> SignatureError {
    SignatureError::Incomplete { parent: parent.to_owned(), name }
}

#[test]
fn a_good_signature_gives_the_bytes_that_were_signed_and_no_others() {
    let signed = open(&recipe().sign(MESSAGE, "_r")).unwrap();
    let expected = MESSAGE.replace("{SIGNATURE}", "").replace(r#" xmlns:xs="urn:xs""#, "");
    // Exclusive XML Canonicalization 1.0, 3: xmlns:a is written where it is first used.
    let expected = expected
        .replace(r#" xmlns:a="urn:oasis:names:tc:SAML:2.0:assertion""#, "")
        .replace("<a:Issuer>", r#"<a:Issuer xmlns:a="urn:oasis:names:tc:SAML:2.0:assertion">"#)
        .replace("<a:Assertion ", r#"<a:Assertion xmlns:a="urn:oasis:names:tc:SAML:2.0:assertion" "#);
    let expected = expected.replacen(
        r#"ID="_a"><a:Issuer xmlns:a="urn:oasis:names:tc:SAML:2.0:assertion">"#,
        r#"ID="_a"><a:Issuer>"#,
        1,
    );
    assert_eq!(std::str::from_utf8(signed.bytes()).unwrap(), expected);
    assert!(!signed.uses_sha1());
    let tree = signed.tree().unwrap();
    assert!(tree.root().unwrap().is(SAMLP, "Response"));
    assert!(tree.root().unwrap().elements().all(|node| !node.is(DSIG, "Signature")));
}

#[test]
fn what_we_sign_verifies() {
    let xml = MESSAGE.replace("{SIGNATURE}", "");
    for party in [&*RSA, &*P256, &*P384, &*P521] {
        let signed = sign_enveloped(&xml, &party.signing).unwrap();
        assert!(open_with(&signed, from_ref(&party.verifying), AlgorithmPolicy::Sha2).is_ok());
        // Right after the Issuer, as the schema wants it.
        assert!(signed.contains("</a:Issuer><ds:Signature"), "{signed}");
        let (algorithm, value) = sign_bytes(b"a=b", &party.signing).unwrap();
        assert_eq!(algorithm, super::super::sign::algorithm(&party.signing));
        let keys = [party.verifying.clone()];
        assert_eq!(verify_bytes(algorithm, b"a=b", &value, &keys, AlgorithmPolicy::Sha2), Ok(()));
        assert_eq!(
            verify_bytes(algorithm, b"a=c", &value, &keys, AlgorithmPolicy::Sha2),
            Err(SignatureError::NotByTrustedKey)
        );
    }
    let metadata = format!("<m:EntityDescriptor xmlns:m='{METADATA}' ID='_m'> <m:X/></m:EntityDescriptor>");
    let signed = sign_enveloped(&metadata, &RSA.signing).unwrap();
    assert!(open(&signed).is_ok());
    assert!(signed.contains("ID='_m'><ds:Signature"), "{signed}");
}

#[test]
fn what_cannot_be_signed_is_not() {
    let refused = |xml: &str| sign_enveloped(xml, &RSA.signing).unwrap_err();
    assert_eq!(refused("<a"), SignError::NotXml);
    assert_eq!(refused("<a><b/></a>"), SignError::IdMissing);
    assert_eq!(refused("<a ID='&quot;'><b/></a>"), SignError::IdMissing);
    assert_eq!(refused("<a ID='_a'/>"), SignError::Empty);
    assert_eq!(refused(&open_signed()), SignError::SignedAlready);
    assert_eq!(SignError::SignedAlready.code(), "sign_signed_already");
}

fn open_signed() -> String {
    recipe().sign(MESSAGE, "_r")
}

#[test]
fn every_allowed_algorithm_verifies_with_the_keys_that_fit_it() {
    type Case = (&'static str, &'static Party, fn(&Party, &[u8]) -> Vec<u8>);
    let ecdsa = |party: &Party, message: &[u8]| sign_bytes(message, &party.signing).unwrap().1;
    let cases: [Case; 8] = [
        ("2001/04/xmldsig-more#rsa-sha384", &RSA, |party, message| {
            rsa_signature(party, &aws_lc_rs::signature::RSA_PKCS1_SHA384, message)
        }),
        ("2001/04/xmldsig-more#rsa-sha512", &RSA, |party, message| {
            rsa_signature(party, &aws_lc_rs::signature::RSA_PKCS1_SHA512, message)
        }),
        ("2007/05/xmldsig-more#sha256-rsa-MGF1", &RSA, |party, message| {
            rsa_signature(party, &aws_lc_rs::signature::RSA_PSS_SHA256, message)
        }),
        ("2007/05/xmldsig-more#sha384-rsa-MGF1", &RSA, |party, message| {
            rsa_signature(party, &aws_lc_rs::signature::RSA_PSS_SHA384, message)
        }),
        ("2007/05/xmldsig-more#sha512-rsa-MGF1", &RSA, |party, message| {
            rsa_signature(party, &aws_lc_rs::signature::RSA_PSS_SHA512, message)
        }),
        ("2001/04/xmldsig-more#ecdsa-sha256", &P256, ecdsa),
        ("2001/04/xmldsig-more#ecdsa-sha384", &P384, ecdsa),
        ("2001/04/xmldsig-more#ecdsa-sha512", &P521, ecdsa),
    ];
    let strangers =
        [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ECDSA_P521_SHA512]
            .map(Party::new);
    for (name, party, sign) in cases {
        let mut recipe = recipe().with("2001/04/xmldsig-more#rsa-sha256", name);
        (recipe.party, recipe.sign) = (party, sign);
        let xml = recipe.sign(MESSAGE, "_r");
        // Among other keys, of its own kind and of others.
        let keys: Vec<_> =
            [&*OTHER_RSA, party, &*P256].into_iter().map(|party| party.verifying.clone()).collect();
        assert!(open_with(&xml, &keys, AlgorithmPolicy::Sha2).is_ok(), "{name}");
        let others = strangers.each_ref().map(|party| party.verifying.clone());
        let others = [&others[..], from_ref(&OTHER_RSA.verifying)].concat();
        assert_eq!(
            open_with(&xml, &others, AlgorithmPolicy::Sha2).unwrap_err(),
            SignatureError::NotByTrustedKey,
            "{name}"
        );
    }
}

#[test]
fn every_allowed_digest_is_taken() {
    for uri in ["http://www.w3.org/2001/04/xmldsig-more#sha384", "http://www.w3.org/2001/04/xmlenc#sha512"] {
        let mut recipe = recipe().with(SHA256, uri);
        recipe.digest = uri;
        assert!(open(&recipe.sign(MESSAGE, "_r")).is_ok(), "{uri}");
    }
}

#[test]
fn algorithms_outside_the_list_are_refused_by_name() {
    for uri in [
        "http://www.w3.org/2000/09/xmldsig#hmac-sha1",
        "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
        "http://www.w3.org/2000/09/xmldsig#dsa-sha1",
        "http://www.w3.org/2001/04/xmldsig-more#rsa-md5",
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha224",
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1",
        "http://www.w3.org/2007/05/xmldsig-more#rsa-pss",
        "http://www.w3.org/2007/05/xmldsig-more#sha1-rsa-MGF1",
        "HTTP://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256 ",
        "",
    ] {
        assert_eq!(refused(RSA_SHA256, uri), SignatureError::SignatureMethodNotAllowed(uri.to_owned()));
        assert_eq!(
            verify_bytes(uri, b"", b"", &[], AlgorithmPolicy::Sha1Too),
            Err(SignatureError::SignatureMethodNotAllowed(uri.to_owned()))
        );
    }
    for uri in ["http://www.w3.org/2001/04/xmldsig-more#md5", "http://www.w3.org/2001/04/xmldsig-more#sha224"]
    {
        assert_eq!(refused(SHA256, uri), SignatureError::DigestMethodNotAllowed(uri.to_owned()));
    }
}

#[test]
fn sha1_counts_only_where_the_policy_says_so() {
    let uri = "http://www.w3.org/2000/09/xmldsig#sha1";
    let mut recipe = recipe().with(SHA256, uri);
    recipe.digest = uri;
    let xml = recipe.sign(MESSAGE, "_r");
    assert_eq!(open(&xml).unwrap_err(), SignatureError::Sha1NotAllowed(uri.to_owned()));
    assert!(open_with(&xml, from_ref(&RSA.verifying), AlgorithmPolicy::Sha1Too).unwrap().uses_sha1());

    let uri = "http://www.w3.org/2000/09/xmldsig#rsa-sha1";
    assert_eq!(refused(RSA_SHA256, uri), SignatureError::Sha1NotAllowed(uri.to_owned()));
    let keys = [RSA.verifying.clone()];
    assert_eq!(
        verify_bytes(uri, b"", b"", &keys, AlgorithmPolicy::Sha2),
        Err(SignatureError::Sha1NotAllowed(uri.to_owned()))
    );
    assert_eq!(
        verify_bytes(uri, b"", b"", &keys, AlgorithmPolicy::Sha1Too),
        Err(SignatureError::NotByTrustedKey)
    );
}

#[test]
fn a_prefix_list_is_honoured_in_both_places() {
    let list = "<e:InclusiveNamespaces xmlns:e=\"http://www.w3.org/2001/10/xml-exc-c14n#\" PrefixList=\"xs  #default\n\"/>";
    let transform = r#"<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>"#;
    let with = format!("{}>{list}</ds:Transform>", transform.trim_end_matches("/>"));
    let mut both = recipe().with(transform, &with);
    both.prefixes = vec!["xs".to_owned(), "#default".to_owned()];
    let signed = open(&both.sign(MESSAGE, "_r")).unwrap();
    assert!(std::str::from_utf8(signed.bytes()).unwrap().contains(r#"xmlns:xs="urn:xs""#));
    // Said, but not done.
    both.prefixes.clear();
    assert_eq!(open(&both.sign(MESSAGE, "_r")).unwrap_err(), SignatureError::DigestMismatch);

    let method = r#"<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>"#;
    let with = format!("{}>{list}</ds:CanonicalizationMethod>", method.trim_end_matches("/>"));
    let mut own = recipe().with(method, &with);
    own.own_prefixes = vec!["xs".to_owned(), "#default".to_owned()];
    assert!(open(&own.sign(MESSAGE, "_r")).is_ok());
    own.own_prefixes.clear();
    assert_eq!(open(&own.sign(MESSAGE, "_r")).unwrap_err(), SignatureError::NotByTrustedKey);

    let many = with.replace("xs", &"xs ".repeat(31));
    assert!(!matches!(refused(method, &many), SignatureError::PrefixListTooLong { .. }));
    let more = with.replace("xs", &"xs ".repeat(32));
    assert_eq!(refused(method, &more), SignatureError::PrefixListTooLong { limit: 32 });

    // Neither few that are long: each is copied for each element that is canonicalised.
    let long = |bytes: usize| with.replace("xs  #default\n", &"x".repeat(bytes));
    assert!(open(&recipe().with(method, &long(1024)).sign(MESSAGE, "_r")).is_ok());
    assert_eq!(refused(method, &long(1025)), SignatureError::PrefixListTooLong { limit: 32 });
}

#[test]
fn only_the_two_transforms_of_saml_in_their_order_count() {
    let enveloped = r#"<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>"#;
    let exclusive = r#"<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>"#;
    let good = format!("{enveloped}{exclusive}");
    let algorithms = |text: &str| SignatureError::Transforms {
        found: text.split('"').filter(|part| part.starts_with("http")).take(4).map(str::to_owned).collect(),
    };
    for name in [
        "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
        "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
        "http://www.w3.org/2006/12/xml-c14n11",
        "http://www.w3.org/TR/1999/REC-xslt-19991116",
        "http://www.w3.org/TR/1999/REC-xpath-19991116",
        "http://www.w3.org/2002/06/xmldsig-filter2",
        "http://www.w3.org/2000/09/xmldsig#base64",
    ] {
        let other = format!(r#"<ds:Transform Algorithm="{name}"/>"#);
        for wrong in [
            format!("{enveloped}{other}"),
            format!("{other}{exclusive}"),
            format!("{good}{other}"),
            format!("{other}{good}"),
        ] {
            assert_eq!(refused(&good, &wrong), algorithms(&wrong), "{wrong}");
        }
    }
    for wrong in [
        enveloped.to_owned(),
        exclusive.to_owned(),
        String::new(),
        format!("{exclusive}{enveloped}"),
        format!("{good}{exclusive}"),
        format!("{enveloped}{enveloped}{exclusive}"),
    ] {
        assert_eq!(refused(&good, &wrong), algorithms(&wrong), "{wrong}");
    }
    let parameter = enveloped.replace("/>", "><ds:XPath>1</ds:XPath></ds:Transform>");
    assert_eq!(refused(enveloped, &parameter), unexpected("Transform", "XPath"));
    let foreign = exclusive.replace("/>", "><ds:InclusiveNamespaces PrefixList='a'/></ds:Transform>");
    assert_eq!(refused(exclusive, &foreign), unexpected("Transform", "InclusiveNamespaces"));
    assert_eq!(
        refused(&format!("<ds:Transforms>{good}</ds:Transforms>"), ""),
        incomplete("Reference", "Transforms")
    );
    assert_eq!(refused(exclusive, "<ds:Transform/>"), incomplete("Transform", "Algorithm"));
}

#[test]
fn signed_info_is_canonicalised_in_one_way_only() {
    let method = r#"CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"#;
    for name in [
        "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
        "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
        "http://www.w3.org/2006/12/xml-c14n11",
        "urn:none",
    ] {
        let wrong = format!(r#"CanonicalizationMethod Algorithm="{name}"#);
        assert_eq!(refused(method, &wrong), SignatureError::CanonicalizationMethod(name.to_owned()));
    }
}

#[test]
fn the_reference_is_to_the_element_that_the_signature_stands_in() {
    for found in [
        "",
        "#",
        "_r",
        "#_a",
        "#_R",
        "#_r ",
        " #_r",
        "##_r",
        "#xpointer(id('_r'))",
        "#xpointer(/)",
        "http://x/#_r",
        "#%5fr",
    ] {
        let expected =
            SignatureError::ReferenceElsewhere { expected: "#_r".to_owned(), found: found.to_owned() };
        assert_eq!(refused("URI=\"#_r\"", &format!("URI=\"{found}\"")), expected);
    }
    let expected = SignatureError::ReferenceElsewhere { expected: "#_r".to_owned(), found: String::new() };
    assert_eq!(refused(" URI=\"#_r\"", ""), expected);
}

#[test]
fn what_no_signature_needs_is_refused_wherever_it_stands() {
    let reference = {
        let template = recipe().template;
        let start = template.find("<ds:Reference").unwrap();
        let end = template.find("</ds:SignedInfo>").unwrap();
        template[start..end].replace("{DIGEST}", "AAAA")
    };
    for (from, to, parent, found) in [
        ("</ds:Signature>", "<ds:Object/></ds:Signature>", "Signature", "Object"),
        ("</ds:Signature>", "<ds:KeyInfo/><ds:KeyInfo/></ds:Signature>", "Signature", "KeyInfo"),
        ("</ds:Signature>", "<ds:SignedInfo/></ds:Signature>", "Signature", "SignedInfo"),
        (
            "</ds:Signature>",
            "<ds:SignatureValue>AAAA</ds:SignatureValue></ds:Signature>",
            "Signature",
            "SignatureValue",
        ),
        ("</ds:Signature>", "<x xmlns=''/></ds:Signature>", "Signature", "x"),
        ("</ds:Signature>", "x</ds:Signature>", "Signature", "text"),
        ("<ds:Signature ", "<ds:Signature xmlns:x='urn:x' x:Id='x' ", "Signature", "Id"),
        (
            "xml-exc-c14n#\"/></ds:Transforms>",
            "xml-exc-c14n#\"><e:InclusiveNamespaces xmlns:e='http://www.w3.org/2001/10/xml-exc-c14n#' x=''/></ds:Transform></ds:Transforms>",
            "InclusiveNamespaces",
            "x",
        ),
        (
            "xml-exc-c14n#\"/></ds:Transforms>",
            "xml-exc-c14n#\"><e:InclusiveNamespaces xmlns:e='http://www.w3.org/2001/10/xml-exc-c14n#'><x/></e:InclusiveNamespaces></ds:Transform></ds:Transforms>",
            "InclusiveNamespaces",
            "x",
        ),
        ("<ds:Signature ", "<ds:Signature ID='x' ", "Signature", "ID"),
        ("</ds:SignedInfo>", &format!("{reference}</ds:SignedInfo>"), "SignedInfo", "Reference"),
        ("</ds:SignedInfo>", "<ds:Manifest/></ds:SignedInfo>", "SignedInfo", "Manifest"),
        ("</ds:SignedInfo>", "x</ds:SignedInfo>", "SignedInfo", "text"),
        (
            "</ds:Reference>",
            "<ds:DigestValue>AAAA</ds:DigestValue></ds:Reference>",
            "Reference",
            "DigestValue",
        ),
        ("</ds:Reference>", "<ds:DigestMethod/></ds:Reference>", "Reference", "DigestMethod"),
        ("</ds:Transforms>", "<ds:XPath>1</ds:XPath></ds:Transforms>", "Transforms", "XPath"),
        ("</ds:Transforms>", "x</ds:Transforms>", "Transforms", "text"),
        (
            "#rsa-sha256\"/>",
            "#rsa-sha256\"><ds:HMACOutputLength>8</ds:HMACOutputLength></ds:SignatureMethod>",
            "SignatureMethod",
            "HMACOutputLength",
        ),
        ("#rsa-sha256\"/>", "#rsa-sha256\" xml:lang='x'/>", "SignatureMethod", "lang"),
        ("<ds:DigestMethod ", "<ds:DigestMethod x='' ", "DigestMethod", "x"),
        ("<ds:DigestValue>", "<ds:DigestValue x=''>", "DigestValue", "x"),
        ("<ds:SignatureValue>", "<ds:SignatureValue x=''>", "SignatureValue", "x"),
        ("<ds:Reference ", "<ds:Reference x='' ", "Reference", "x"),
        ("<ds:SignedInfo>", "<ds:SignedInfo x=''>", "SignedInfo", "x"),
        ("<ds:CanonicalizationMethod ", "<ds:CanonicalizationMethod x='' ", "CanonicalizationMethod", "x"),
    ] {
        assert_eq!(refused(from, to), unexpected(parent, found), "{to}");
    }
}

#[test]
fn what_a_signature_needs_must_be_there() {
    let template = recipe().template;
    let cut = |from: &str, to: &str| {
        let start = template.find(from).unwrap();
        let end = start + template[start..].find(to).unwrap() + to.len();
        template[start..end].to_owned()
    };
    for (part, parent, name) in [
        (cut("<ds:SignatureMethod", "/>"), "SignedInfo", "SignatureMethod"),
        (cut("<ds:CanonicalizationMethod", "/>"), "SignedInfo", "CanonicalizationMethod"),
        (cut("<ds:Reference", "</ds:Reference>"), "SignedInfo", "Reference"),
        (cut("<ds:DigestMethod", "/>"), "Reference", "DigestMethod"),
        (cut("<ds:DigestValue", "</ds:DigestValue>"), "Reference", "DigestValue"),
        (cut("<ds:SignatureValue", "</ds:SignatureValue>"), "Signature", "SignatureValue"),
        (
            cut(" Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"", "sha256\""),
            "SignatureMethod",
            "Algorithm",
        ),
        (
            cut(" Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"", "sha256\""),
            "DigestMethod",
            "Algorithm",
        ),
    ] {
        assert_eq!(refused(&part, ""), incomplete(parent, name), "{part}");
    }
    // There, but of another namespace.
    assert_eq!(
        refused("<ds:Reference ", "<ds:Reference xmlns:ds='urn:x' "),
        incomplete("SignedInfo", "Reference")
    );
}

#[test]
fn lesson_28_values_are_plain_base64_and_nothing_else() {
    for wrong in ["", " ", "AAA", "AAAA=", "AA==AA==", "A-A_", "AB==", "%41AAA", "AAAA\u{a0}"] {
        assert_eq!(
            refused("{VALUE}", wrong),
            SignatureError::NotBase64 { element: "SignatureValue".to_owned() },
            "{wrong:?}"
        );
        assert_eq!(
            refused("{DIGEST}", wrong),
            SignatureError::NotBase64 { element: "DigestValue".to_owned() },
            "{wrong:?}"
        );
    }
    assert_eq!(
        refused("{DIGEST}", "<x/>{DIGEST}"),
        SignatureError::Xml(XmlError::NotText { element: "DigestValue".to_owned() })
    );
    let comment = recipe().sign(MESSAGE, "_r").replace("<ds:DigestValue>", "<ds:DigestValue><!-- -->");
    assert_eq!(open(&comment).unwrap_err(), SignatureError::Xml(XmlError::Comment));
    // White space is part of what base64 is in XML.
    assert!(
        open(&recipe().with("{DIGEST}", "\n {DIGEST}\t").with("{VALUE}", "\n {VALUE}\t").sign(MESSAGE, "_r"))
            .is_ok()
    );
}

#[test]
fn a_digest_of_another_length_is_no_digest() {
    // The right one cut short, and the right one with more behind it.
    let xml = recipe().sign(MESSAGE, "_r");
    let start = xml.find("<ds:DigestValue>").unwrap() + 16;
    let digest = xml[start..start + 44].to_owned();
    let right = STANDARD.decode(&digest).unwrap();
    for wrong in [&right[..31], &[&right[..], &[0]].concat(), &right[..1]] {
        assert_eq!(refused("{DIGEST}", &STANDARD.encode(wrong)), SignatureError::DigestMismatch);
    }
}

#[test]
fn content_changed_after_signing_is_refused() {
    let xml = recipe().sign(MESSAGE, "_r");
    for (from, to) in
        [("j.doe", "eve"), ("_a", "_b"), ("<a:Subject t=", "<a:Subject u="), ("j.doe<", "j.doe <")]
    {
        assert_eq!(open(&xml.replacen(from, to, 1)).unwrap_err(), SignatureError::DigestMismatch, "{to}");
    }
    assert_eq!(
        open(&xml.replace("#rsa-sha256", "#rsa-sha512")).unwrap_err(),
        SignatureError::NotByTrustedKey
    );
    assert_eq!(
        open(&xml.replace("<ds:Reference ", "<ds:Reference Type='' ")).unwrap_err(),
        SignatureError::NotByTrustedKey
    );
}

#[test]
fn keys_are_those_given_and_those_in_the_message_are_never_looked_at() {
    let certificate = STANDARD.encode(&OTHER_RSA.certificate);
    let key_info = format!(
        "</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
    );
    let mut evil = recipe().with("</ds:SignatureValue>", &key_info);
    assert!(open(&evil.sign(MESSAGE, "_r")).is_ok());
    evil.party = &OTHER_RSA;
    assert_eq!(open(&evil.sign(MESSAGE, "_r")).unwrap_err(), SignatureError::NotByTrustedKey);

    let xml = recipe().sign(MESSAGE, "_r");
    let none = SignatureError::NoKeyFits(RSA_SHA256.to_owned());
    assert_eq!(open_with(&xml, &[], AlgorithmPolicy::Sha2).unwrap_err(), none);
    assert_eq!(open_with(&xml, from_ref(&P256.verifying), AlgorithmPolicy::Sha2).unwrap_err(), none);
}

#[test]
fn lesson_28_signatures_stand_only_in_what_they_sign() {
    let xml = recipe().sign(MESSAGE, "_r");
    assert_eq!(
        open(&MESSAGE.replace("{SIGNATURE}", "")).unwrap_err(),
        SignatureError::Missing { element: "Response".to_owned() }
    );
    let start = xml.find("<ds:Signature ").unwrap();
    let end = xml.find("</ds:Signature>").unwrap() + 15;
    let signature = xml[start..end].to_owned();
    assert_eq!(
        open(&xml.replacen("<a:Assertion ", &format!("{signature}<a:Assertion "), 1)).unwrap_err(),
        SignatureError::SeveralSignatures { element: "Response".to_owned() }
    );
    // Moved elsewhere, the document is without one; beside the right one, it is in the wrong place.
    for (place, parent) in [
        ("</a:Subject>", SignatureError::IdMissing { element: "Subject".to_owned() }),
        ("</a:Issuer><a:Subject", SignatureError::IdMissing { element: "Issuer".to_owned() }),
    ] {
        let beside = xml.replacen(place, &format!("{signature}{place}"), 1);
        assert_eq!(open(&beside).unwrap_err(), parent);
    }
    let wrapped = xml.replacen("j.doe", &format!("<x ID='_x' xmlns='urn:x'>{signature}</x>"), 1);
    assert_eq!(open(&wrapped).unwrap_err(), SignatureError::Misplaced { parent: "x".to_owned() });
    let in_key_info =
        recipe().with("</ds:SignatureValue>", "</ds:SignatureValue><ds:KeyInfo><ds:Signature/></ds:KeyInfo>");
    assert_eq!(
        open(&in_key_info.sign(MESSAGE, "_r")).unwrap_err(),
        SignatureError::Misplaced { parent: "KeyInfo".to_owned() }
    );
}

#[test]
fn an_element_beside_the_signed_one_has_one_signature_too() {
    let inner = |count: usize| {
        let signatures = format!("<ds:Signature xmlns:ds=\"{DSIG}\"/>").repeat(count);
        recipe().sign(&MESSAGE.replace("<a:Subject ", &format!("{signatures}<a:Subject ")), "_r")
    };
    assert!(open(&inner(1)).is_ok());
    let several = SignatureError::SeveralSignatures { element: "Assertion".to_owned() };
    assert_eq!(open(&inner(2)).unwrap_err(), several);
}

#[test]
fn identifiers_are_unique_over_all_their_spellings() {
    for spelling in ["ID", "Id", "id", "iD", "xml:id"] {
        for same in ["_r", "_a"] {
            let xml = recipe()
                .sign(&MESSAGE.replace("<a:Subject ", &format!("<a:Subject {spelling}='{same}' ")), "_r");
            assert_eq!(open(&xml).unwrap_err(), SignatureError::IdNotUnique { id: same.to_owned() });
        }
    }
    let xml = recipe().sign(&MESSAGE.replace("<a:Subject ", "<a:Subject x:id='_r' xmlns:x='urn:x' "), "_r");
    assert!(open(&xml).is_ok());
    for (from, to) in [(" ID=\"_r\"", ""), (" ID=\"_r\"", " ID=\"\""), (" ID=\"_r\"", " Id=\"_r\"")] {
        let xml = recipe().sign(MESSAGE, "_r").replacen(from, to, 1);
        assert_eq!(open(&xml).unwrap_err(), SignatureError::IdMissing { element: "Response".to_owned() });
    }
}
