//! Logout messages in every binding: those of ours are read, and each thing that is wrong with one is refused.

use proptest::prelude::*;

use super::super::write::{Outcome, Reason, Request, logout_request, logout_response};
use super::*;
use crate::identify::saml::assertion::error::AssertionError;
use crate::identify::saml::binding::redirect::Query;
use crate::identify::saml::binding::{BindingError, Kind};
use crate::identify::saml::profile::place::{Differs, Elsewhere};
use crate::identify::saml::request::MessageId;
use crate::identify::saml::sign::sign_enveloped;
use crate::identify::saml::signature::SignatureError;
use crate::identify::saml::testing::{AES256_GCM, Envelope, OTHER_RSA, P256, Party, RSA};
use crate::identify::saml::writer::Written;
use crate::identify::saml::xml::XmlError;

const NOW: UnixTime = UnixTime(1_800_000_000);
const SKEW: i64 = 60;
const IDP: &str = "https://id.example/realms/a";
const ENDPOINT: &str = "https://git.example.com/.narthex/saml/corp/slo";

fn id(n: u8) -> MessageId {
    MessageId::from_random([n; 20])
}

fn endpoint() -> Url {
    Url::parse(ENDPOINT).unwrap()
}

fn person() -> NameId {
    NameId {
        value: "G-1 <&>".to_owned(),
        format: Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent".to_owned()),
        name_qualifier: Some(IDP.to_owned()),
        sp_name_qualifier: Some("urn:sp".to_owned()),
        sp_provided_id: Some("own".to_owned()),
    }
}

/// As an identity provider writes it that writes as we do.
fn request() -> Written {
    logout_request(&Request {
        id: &id(1),
        entity_id: IDP,
        destination: &endpoint(),
        name_id: &person(),
        session_indexes: &["s1".to_owned(), "s2".to_owned()],
        reason: Some(Reason::Admin),
        now: NOW,
        not_on_or_after: UnixTime(NOW.0 + 120),
    })
}

fn response(outcome: Outcome) -> Written {
    logout_response(&id(2), IDP, Some(&endpoint()), Some("_ours"), outcome, NOW)
}

/// The good request with one thing changed.
fn with(from: &str, to: &str) -> Written {
    changed(&request(), from, to)
}

fn changed(written: &Written, from: &str, to: &str) -> Written {
    let text = written.as_str();
    assert!(text.contains(from), "{from} in {text}");
    Written::of(&text.replacen(from, to, 1)).unwrap()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum By {
    Redirect,
    Post,
    Soap,
}

const EVERY: [By; 3] = [By::Redirect, By::Post, By::Soap];

/// Signed by `party`, on its way by this binding, and handed to `read`.
fn arrive<T>(message: &Written, by: By, party: &Party, read: impl FnOnce(Arrived<'_>) -> T) -> T {
    match by {
        By::Redirect => {
            let query = Query::new(Kind::Request, message, None).unwrap().signed(&party.signing).unwrap();
            let url = query.at(&endpoint());
            read(Arrived::Redirect(&Redirected::read(url.query().unwrap()).unwrap()))
        }
        By::Post => {
            let signed = message.clone().signed(&party.signing).unwrap();
            read(Arrived::Post(signed.as_str().as_bytes()))
        }
        By::Soap => {
            let signed = message.clone().signed(&party.signing).unwrap();
            read(Arrived::Soap(soap::envelope(&signed).as_str().as_bytes()))
        }
    }
}

fn read_by(arrived: Arrived<'_>, now: UnixTime) -> Result<Asked, LogoutError> {
    let keys = [RSA.verifying.clone(), P256.verifying.clone()];
    let decryption = [OTHER_RSA.decryption()];
    let endpoint = endpoint();
    read_request(arrived, &expected(&keys, &decryption, &endpoint, now))
}

fn expected<'a>(
    keys: &'a [VerifyingKey],
    decryption_keys: &'a [DecryptionKey],
    endpoint: &'a Url,
    now: UnixTime,
) -> Expected<'a> {
    Expected {
        idp_entity_id: IDP,
        keys,
        policy: AlgorithmPolicy::Sha2,
        decryption_keys,
        endpoint,
        now,
        skew: Duration::from_mins(1),
    }
}

fn asked(message: &Written, by: By) -> Result<Asked, LogoutError> {
    arrive(message, by, &P256, |arrived| read_by(arrived, NOW))
}

fn answered(message: &Written, by: By) -> Result<Answered, LogoutError> {
    let keys = [P256.verifying.clone()];
    let endpoint = endpoint();
    arrive(message, by, &P256, |arrived| {
        read_response(arrived, &expected(&keys, &[], &endpoint, NOW), "_ours")
    })
}

/// Refused alike in every binding.
fn refused(message: &Written) -> LogoutError {
    let [first, second, third] = EVERY.map(|by| asked(message, by).unwrap_err());
    assert_eq!((&first, &first), (&second, &third));
    first
}

#[test]
fn what_is_asked_is_read_in_every_binding() {
    for by in EVERY {
        assert_eq!(
            asked(&request(), by).unwrap(),
            Asked {
                id: id(1).as_str().to_owned(),
                forget_after: UnixTime(NOW.0 + 360),
                name_id: person(),
                session_indexes: vec!["s1".to_owned(), "s2".to_owned()],
            },
            "{by:?}"
        );
    }
    assert!(request().as_str().contains(" Reason=\"urn:oasis:names:tc:SAML:2.0:logout:admin\""));
}

#[test]
fn no_session_index_means_all_of_them() {
    let all =
        with("<samlp:SessionIndex>s1</samlp:SessionIndex><samlp:SessionIndex>s2</samlp:SessionIndex>", "");
    assert_eq!(asked(&all, By::Post).unwrap().session_indexes, <[&str; 0]>::default());
    // An empty one is none of them, and must not be taken for all.
    let empty = refused(&with("s1", ""));
    assert!(matches!(empty, LogoutError::Form(AssertionError::Empty { .. })), "{empty:?}");
    let many = "<samlp:SessionIndex>s</samlp:SessionIndex>".repeat(MAX_SESSIONS);
    let many = with("<samlp:SessionIndex>s1</samlp:SessionIndex>", &many);
    let error = AssertionError::TooMany { what: "SessionIndexes", limit: MAX_SESSIONS };
    assert_eq!(asked(&many, By::Post), Err(LogoutError::Form(error)));
}

#[test]
fn what_is_answered_is_read_in_every_binding() {
    for by in EVERY {
        assert_eq!(answered(&response(Outcome::Complete), by), Ok(Answered::Complete));
        assert_eq!(answered(&response(Outcome::Partial), by), Ok(Answered::Partial));
        for (outcome, code) in [(Outcome::Refused, "Requester"), (Outcome::Failed, "Responder")] {
            match answered(&response(outcome), by) {
                Ok(Answered::Refused(status)) => assert_eq!(status.short(), code),
                other => panic!("{other:?}"),
            }
        }
    }
    let responder = changed(&response(Outcome::Partial), "status:Success", "status:Responder");
    assert_eq!(answered(&responder, By::Post), Ok(Answered::Partial));
}

#[test]
fn an_answer_is_to_what_was_asked() {
    for by in EVERY {
        let other = changed(&response(Outcome::Complete), "\"_ours\"", "\"_Ours\"");
        assert_eq!(answered(&other, by), Err(LogoutError::InResponseToMismatch));
        let none = changed(&response(Outcome::Complete), " InResponseTo=\"_ours\"", "");
        assert_eq!(answered(&none, by), Err(LogoutError::InResponseToMissing));
    }
}

#[test]
fn lesson_30_no_logout_message_is_taken_unsigned_in_any_binding() {
    let message = request();
    let text = message.as_str().as_bytes();
    assert_eq!(read_by(Arrived::Post(text), NOW), Err(LogoutError::NotSigned));
    let envelope = soap::envelope(&message);
    assert_eq!(read_by(Arrived::Soap(envelope.as_str().as_bytes()), NOW), Err(LogoutError::NotSigned));
    let query = Query::new(Kind::Request, &message, None).unwrap();
    let redirected = Redirected::read(query.at(&endpoint()).query().unwrap()).unwrap();
    assert_eq!(read_by(Arrived::Redirect(&redirected), NOW), Err(LogoutError::NotSigned));
    // By redirect the signature in the message does not count (Bindings 3.4.4.1).
    let signed = message.signed(&RSA.signing).unwrap();
    let query = Query::new(Kind::Request, &signed, None).unwrap();
    let redirected = Redirected::read(query.at(&endpoint()).query().unwrap()).unwrap();
    assert_eq!(read_by(Arrived::Redirect(&redirected), NOW), Err(LogoutError::NotSigned));
    // Nor does the envelope's.
    let inner = request();
    let envelope =
        soap::envelope(&inner).into_string().replacen("<soap:Envelope ", "<soap:Envelope ID=\"e\" ", 1);
    let signed = sign_enveloped(&envelope, &RSA.signing).unwrap();
    assert_eq!(read_by(Arrived::Soap(signed.as_bytes()), NOW), Err(LogoutError::NotSigned));
}

#[test]
fn only_the_identity_providers_keys_count() {
    for by in EVERY {
        let refused = arrive(&request(), by, &OTHER_RSA, |arrived| read_by(arrived, NOW));
        assert_eq!(refused, Err(LogoutError::Signature(SignatureError::NotByTrustedKey)), "{by:?}");
    }
}

#[test]
fn what_was_changed_after_signing_is_refused() {
    let signed = request().signed(&RSA.signing).unwrap();
    let other = changed(&signed, "G-1", "G-2");
    let error = LogoutError::Signature(SignatureError::DigestMismatch);
    assert_eq!(read_by(Arrived::Post(other.as_str().as_bytes()), NOW), Err(error.clone()));
    let envelope = soap::envelope(&other);
    assert_eq!(read_by(Arrived::Soap(envelope.as_str().as_bytes()), NOW), Err(error));
    let query = Query::new(Kind::Request, &request(), None).unwrap().signed(&RSA.signing).unwrap();
    let mut redirected = Redirected::read(query.at(&endpoint()).query().unwrap()).unwrap();
    redirected.signature.as_mut().unwrap().octets[20] ^= 1;
    let error = LogoutError::Signature(SignatureError::NotByTrustedKey);
    assert_eq!(read_by(Arrived::Redirect(&redirected), NOW), Err(error));
}

#[test]
fn the_message_is_what_it_is_read_as() {
    let found = LogoutError::OtherMessage {
        expected: "LogoutRequest",
        found: format!("LogoutResponse (of {SAMLP})"),
    };
    assert_eq!(refused(&response(Outcome::Complete)), found);
    for by in EVERY {
        let error = LogoutError::OtherMessage {
            expected: "LogoutResponse",
            found: format!("LogoutRequest (of {SAMLP})"),
        };
        assert_eq!(answered(&request(), by), Err(error));
    }
}

#[test]
fn it_is_saml_2() {
    assert_eq!(refused(&with("\"2.0\"", "\"1.1\"")), LogoutError::VersionMismatch("1.1".to_owned()));
}

#[test]
fn it_is_from_the_identity_provider_that_is_configured() {
    let issuer = format!("<saml:Issuer>{IDP}</saml:Issuer>");
    assert_eq!(refused(&with(&issuer, "")), LogoutError::IssuerMissing);
    let other = format!("{IDP}/");
    let error = LogoutError::IssuerMismatch { expected: IDP.to_owned(), found: other.clone() };
    assert_eq!(refused(&with(&issuer, &format!("<saml:Issuer>{other}</saml:Issuer>"))), error);
    let format = |format: &str| with("<saml:Issuer>", &format!("<saml:Issuer Format=\"{format}\">"));
    assert_eq!(refused(&format("urn:x")), LogoutError::IssuerFormat("urn:x".to_owned()));
    assert!(asked(&format(ENTITY), By::Post).is_ok());
    let twice = XmlError::Several { parent: "LogoutRequest".to_owned(), name: "Issuer" };
    assert_eq!(refused(&with(&issuer, &issuer.repeat(2))), LogoutError::Xml(twice));
}

#[test]
fn it_is_meant_for_this_endpoint() {
    let other = "https://git.example.com/.narthex/saml/other/slo";
    let error = LogoutError::DestinationMismatch(Elsewhere {
        expected: ENDPOINT.to_owned(),
        found: other.to_owned(),
        differs: Differs::Whole,
    });
    assert_eq!(refused(&with(ENDPOINT, other)), error);
    assert!(asked(&with("https://git.example.com/", "HTTPS://GIT.example.com:443/"), By::Post).is_ok());
    let none = with(&format!(" Destination=\"{ENDPOINT}\""), "");
    let error = LogoutError::DestinationMissing { expected: ENDPOINT.to_owned() };
    assert_eq!(asked(&none, By::Post), Err(error.clone()));
    assert_eq!(asked(&none, By::Redirect), Err(error));
    assert!(asked(&none, By::Soap).is_ok());
}

#[test]
fn it_is_of_now() {
    let issued = |seconds: i64| {
        let text = format!("IssueInstant=\"{}\"", UnixTime(NOW.0 + seconds));
        with(&format!("IssueInstant=\"{NOW}\""), &text)
    };
    assert!(asked(&issued(SKEW), By::Post).is_ok());
    let error = LogoutError::IssuedInFuture { by: SKEW + 1, skew: SKEW };
    assert_eq!(refused(&issued(SKEW + 1)), error);
    assert!(asked(&issued(-359), By::Post).is_ok());
    assert_eq!(refused(&issued(-360)), LogoutError::TooOld { age: 360, limit: 360 });

    let end = |seconds: i64| {
        let text = format!("NotOnOrAfter=\"{}\"", UnixTime(NOW.0 + seconds));
        with(&format!("NotOnOrAfter=\"{}\"", UnixTime(NOW.0 + 120)), &text)
    };
    assert!(asked(&end(1 - SKEW), By::Post).is_ok());
    assert_eq!(refused(&end(-SKEW)), LogoutError::Expired { by: SKEW, skew: SKEW });
    let none = with(&format!(" NotOnOrAfter=\"{}\"", UnixTime(NOW.0 + 120)), "");
    assert!(asked(&none, By::Post).is_ok());
    let none = with(&format!(" IssueInstant=\"{NOW}\""), "");
    let missing = refused(&none);
    assert!(matches!(missing, LogoutError::Form(AssertionError::AttributeMissing { .. })), "{missing:?}");
}

#[test]
fn a_message_is_remembered_for_as_long_as_it_would_be_taken() {
    let forget_after = asked(&request(), By::Post).unwrap().forget_after;
    let endless = with(&format!(" NotOnOrAfter=\"{}\"", UnixTime(NOW.0 + 120)), "");
    let at = |now: UnixTime| arrive(&endless, By::Post, &P256, |arrived| read_by(arrived, now));
    assert!(at(UnixTime(forget_after.0 - 1)).is_ok());
    assert!(matches!(at(forget_after), Err(LogoutError::TooOld { .. })));
}

fn name_element() -> String {
    let text = request().into_string();
    let start = text.find("<saml:NameID").unwrap();
    let end = text.find("</saml:NameID>").unwrap() + "</saml:NameID>".len();
    text[start..end].to_owned()
}

#[test]
fn it_names_one_person_once() {
    let name = name_element();
    assert_eq!(refused(&with(&name, "")), LogoutError::NameMissing);
    assert_eq!(refused(&with(&name, &name.repeat(2))), LogoutError::NameAmbiguous);
    assert_eq!(refused(&with(&name, "<saml:BaseID/>")), LogoutError::BaseId);
    let both = format!("<saml:BaseID/>{name}");
    assert_eq!(refused(&with(&name, &both)), LogoutError::NameAmbiguous);
    let foreign = with(&name, "<x:NameID xmlns:x=\"urn:evil\">x</x:NameID>");
    assert_eq!(refused(&foreign), LogoutError::NameMissing);
}

#[test]
fn an_encrypted_name_is_read() {
    let clear = name_element().replacen("<saml:NameID", &format!("<saml:NameID xmlns:saml=\"{SAML}\""), 1);
    let sealed = |clear: &str, party: &Party| {
        let element = Envelope::new(AES256_GCM).seal(clear, party);
        let element = element.replace("EncryptedAssertion", "EncryptedID");
        with(&name_element(), &element)
    };
    for by in EVERY {
        assert_eq!(asked(&sealed(&clear, &OTHER_RSA), by).unwrap().name_id, person(), "{by:?}");
    }
    assert_eq!(refused(&sealed(&clear, &RSA)), LogoutError::NotDecrypted);
    assert_eq!(refused(&sealed("no xml", &OTHER_RSA)), LogoutError::NotDecrypted);
    let other = clear.replace("NameID", "Issuer");
    assert_eq!(refused(&sealed(&other, &OTHER_RSA)), LogoutError::NotDecrypted);
    let empty = refused(&with(&name_element(), "<saml:EncryptedID/>"));
    assert!(matches!(empty, LogoutError::Encrypted(_)), "{empty:?}");
}

#[test]
fn a_fault_by_soap_is_told() {
    let fault = soap::fault(soap::FaultCode::Server, "down");
    let error = LogoutError::Binding(BindingError::Fault("down".to_owned()));
    assert_eq!(read_by(Arrived::Soap(fault.as_str().as_bytes()), NOW), Err(error));
}

proptest! {
    #[test]
    fn no_change_to_a_signed_message_is_taken(at in any::<prop::sample::Index>(), byte in 0_u8..128) {
        static SIGNED: std::sync::LazyLock<Written> = std::sync::LazyLock::new(|| request().signed(&P256.signing).unwrap());
        let mut bytes = SIGNED.as_str().as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = read_by(Arrived::Post(&bytes), NOW) {
            // What a signature does not cover: how it is written, and the certificate beside it.
            prop_assert_eq!(read, asked(&request(), By::Post).unwrap());
        }
    }
}
