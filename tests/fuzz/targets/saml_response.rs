//! A response as it comes by POST, through the gate, the reading and the profile.

#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex::identify::saml::algorithm::AlgorithmPolicy;
use narthex::identify::saml::assertion::{Assertion, ResponseHead};
use narthex::identify::saml::attributes::{Parties, identity};
use narthex::identify::saml::gate::{Gate, GateError, Opened, RequireSigned};
use narthex::identify::saml::keys::VerifyingKey;
use narthex::identify::saml::profile::{
    Asked, Expected, MAX_AGE, Request, check_bound, check_response, check_unbound,
};
use narthex::identify::saml::xml::{DSIG, SAML, Tree};
use narthex_fuzz::{ACS, ADMIN, DECRYPTION, IDP, OWN, REQUEST, SKEW, SP, TRUSTED, now, signed};

fuzz_target!(|message: &[u8]| {
    if let Some(name) = sign_in(message, &TRUSTED, RequireSigned::Either) {
        assert_ne!(name, ADMIN, "nobody signed that");
    }
    if let Some(message) = signed(message) {
        sign_in(message.as_bytes(), &OWN.verifying, RequireSigned::Response);
    }
});

fn sign_in(message: &[u8], keys: &[VerifyingKey], require_signed: RequireSigned) -> Option<String> {
    let policy = AlgorithmPolicy::Sha1Too;
    let gate = Gate { keys, decryption_keys: &DECRYPTION, require_signed, want_encrypted: false, policy };
    let opened = match gate.open(message) {
        Ok(opened) => opened,
        Err(GateError::NoAssertion(head)) => {
            if let Ok(read) = ResponseHead::parse(head.bytes(), head.bytes().len()) {
                let _ = check_response(&expected(head.is_signed()), &read);
            }
            return None;
        }
        Err(error) => {
            assert!(!error.code().is_empty() && !error.to_string().is_empty());
            return None;
        }
    };
    came_through(&opened);
    profile(&opened)
}

/// What every message is that the gate lets through.
fn came_through(opened: &Opened) {
    let assertion = Tree::parse(opened.assertion(), opened.assertion().len()).unwrap();
    let root = assertion.root().unwrap();
    assert!(root.is(SAML, "Assertion"));
    assert!(!root.elements().any(|node| node.is(DSIG, "Signature")));
    assert_eq!(root.elements().filter(|node| node.is(SAML, "Assertion")).count(), 1);
    assert!(opened.response().is_signed() || opened.assertion_is_signed());
    let head = Tree::parse(opened.response().bytes(), opened.response().bytes().len()).unwrap();
    assert!(!head.root().unwrap().elements().any(|node| node.is(SAML, "Assertion")));
}

fn profile(opened: &Opened) -> Option<String> {
    let head = ResponseHead::parse(opened.response().bytes(), opened.response().bytes().len()).ok()?;
    let assertion = Assertion::parse(opened.assertion(), opened.assertion().len()).ok()?;
    let unbound = check_unbound(&expected(opened.response().is_signed()), &head, &assertion).ok()?;
    let request = unbound.in_response_to().map(|_| Request { id: REQUEST, begun_at: now() });
    let asked = Asked { request, force_authn: false, context_classes: &[], skew: SKEW };
    let checked = check_bound(unbound, &asked).ok()?;
    let idp = "idp".parse().unwrap();
    let parties = Parties {
        idp: &idp,
        idp_entity_id: IDP,
        entity_id: SP,
        name_id_format: None,
        subject_claim: None,
    };
    let _ = identity(&parties, &checked);
    checked.name_id().map(|name_id| name_id.value.clone())
}

fn expected(response_signed: bool) -> Expected<'static> {
    Expected {
        entity_id: SP,
        acs_url: ACS,
        idp_entity_id: IDP,
        allow_unsolicited: true,
        response_signed,
        now: now(),
        skew: SKEW,
        max_age: MAX_AGE,
    }
}
