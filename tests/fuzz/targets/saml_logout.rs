//! Logout requests and responses: as they are, signed by a key that the fuzzer has, and in SOAP.

#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex::identify::saml::algorithm::AlgorithmPolicy;
use narthex::identify::saml::keys::VerifyingKey;
use narthex::identify::saml::logout::read::{Arrived, Expected, read_request, read_response};
use narthex_fuzz::{DECRYPTION, IDP, OWN, REQUEST, SKEW, SLO, TRUSTED, now, signed};
use url::Url;

fuzz_target!(|message: &[u8]| {
    let endpoint = Url::parse(SLO).unwrap();
    let expected = |keys: &'static [VerifyingKey]| Expected {
        idp_entity_id: IDP,
        keys,
        policy: AlgorithmPolicy::Sha2,
        decryption_keys: &DECRYPTION,
        endpoint: &endpoint,
        now: now(),
        skew: SKEW,
    };
    for arrived in [Arrived::Post(message), Arrived::Soap(message)] {
        assert!(read_request(arrived, &expected(&TRUSTED)).is_err(), "nobody signed that");
        assert!(read_response(arrived, &expected(&TRUSTED), REQUEST).is_err(), "nobody signed that");
    }
    if let Some(message) = signed(message) {
        let expected = expected(&OWN.verifying);
        let enveloped = format!(
            "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>{message}</e:Body></e:Envelope>"
        );
        for arrived in [Arrived::Post(message.as_bytes()), Arrived::Soap(enveloped.as_bytes())] {
            if let Ok(asked) = read_request(arrived, &expected) {
                assert!(!asked.id.is_empty() && !asked.name_id.value.is_empty());
            }
            let _ = read_response(arrived, &expected, REQUEST);
        }
    }
});
