//! What one signed SAML response costs: `cargo bench --bench saml`. Run nothing beside it.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(clippy::unwrap_used, reason = "what cannot be set up ends the benchmark")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use narthex::identify::saml::gate::{Gate, RequireSigned};
use narthex::identify::saml::keys::{SigningKey, VerifyingKey};
use narthex::identify::saml::sign::sign_enveloped;
use narthex::identify::saml::signature::AlgorithmPolicy;

const ROUNDS: u32 = 200;
const TURNS: usize = 20;

fn main() {
    for (name, algorithm) in
        [("RSA-2048", &rcgen::PKCS_RSA_SHA256), ("P-256", &rcgen::PKCS_ECDSA_P256_SHA256)]
    {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
        let key = SigningKey::from_pem(key.serialize_pem().as_bytes(), certificate.pem().as_bytes()).unwrap();
        let assertion = assertion();
        let assertion_signed = response(&sign_enveloped(&assertion, &key).unwrap());
        let response_signed = sign_enveloped(&response(&assertion), &key).unwrap();
        let both_signed = sign_enveloped(&assertion_signed, &key).unwrap();
        let keys = [VerifyingKey::from_certificate(key.certificate_der()).unwrap()];
        for (signed, xml) in
            [("assertion", assertion_signed), ("response", response_signed), ("both", both_signed)]
        {
            let micros = cost(&keys, xml.as_bytes()).as_secs_f64() * 1e6;
            println!("{name}, {signed} signed, {} bytes: {micros:.0} µs", xml.len());
        }
    }
}

/// The best of some turns, since everything else on the machine only adds.
fn cost(keys: &[VerifyingKey], xml: &[u8]) -> Duration {
    let gate = Gate {
        keys,
        decryption_keys: &[],
        require_signed: RequireSigned::Either,
        want_encrypted: false,
        policy: AlgorithmPolicy::Sha2,
    };
    let turn = || {
        let begin = Instant::now();
        for _ in 0..ROUNDS {
            black_box(gate.open(black_box(xml)).unwrap());
        }
        begin.elapsed() / ROUNDS
    };
    std::iter::repeat_with(turn).take(TURNS).min().unwrap_or_default()
}

/// Some fifteen attributes, as identity providers write them, so that a response has 8 kB.
fn assertion() -> String {
    let mut attributes = String::new();
    for number in 0..15 {
        let _ = write!(
            attributes,
            "<a:Attribute Name=\"urn:oid:1.3.6.1.4.1.5923.1.1.1.{number}\" \
             NameFormat=\"urn:oasis:names:tc:SAML:2.0:attrname-format:uri\">\
             <a:AttributeValue xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" \
             xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"xs:string\">\
             the value of attribute {number}</a:AttributeValue></a:Attribute>"
        );
    }
    format!(
        "<a:Assertion xmlns:a=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"_a\" Version=\"2.0\" \
         IssueInstant=\"2026-01-01T00:00:00Z\"><a:Issuer>https://idp.example/saml</a:Issuer>\
         <a:Subject><a:NameID>joe</a:NameID>\
         <a:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\">\
         <a:SubjectConfirmationData InResponseTo=\"_q\" NotOnOrAfter=\"2026-01-01T00:05:00Z\" \
         Recipient=\"https://sp.example/acs\"/></a:SubjectConfirmation></a:Subject>\
         <a:Conditions NotBefore=\"2026-01-01T00:00:00Z\" NotOnOrAfter=\"2026-01-01T00:05:00Z\">\
         <a:AudienceRestriction><a:Audience>https://sp.example</a:Audience></a:AudienceRestriction>\
         </a:Conditions><a:AttributeStatement>{attributes}</a:AttributeStatement></a:Assertion>"
    )
}

fn response(assertion: &str) -> String {
    format!(
        "<p:Response xmlns:p=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
         xmlns:a=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"_r\" Version=\"2.0\" InResponseTo=\"_q\" \
         Destination=\"https://sp.example/acs\" IssueInstant=\"2026-01-01T00:00:00Z\">\
         <a:Issuer>https://idp.example/saml</a:Issuer><p:Status>\
         <p:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/></p:Status>{assertion}</p:Response>"
    )
}
