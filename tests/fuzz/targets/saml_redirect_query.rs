//! A query of the redirect binding, or a form of the POST binding, and the logout message in it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex::identify::saml::algorithm::AlgorithmPolicy;
use narthex::identify::saml::binding::MAX_MESSAGE;
use narthex::identify::saml::binding::post::Posted;
use narthex::identify::saml::binding::redirect::Redirected;
use narthex::identify::saml::logout::read::{Arrived, Expected, read_request, read_response};
use narthex_fuzz::{DECRYPTION, IDP, REQUEST, SKEW, SLO, TRUSTED, now};
use url::Url;

fuzz_target!(|text: &[u8]| {
    let _ = Posted::read(text);
    let Ok(query) = std::str::from_utf8(text) else { return };
    let Ok(redirected) = Redirected::read(query) else { return };
    assert!(redirected.message.len() <= MAX_MESSAGE);
    if let Some(signature) = &redirected.signature {
        // What is verified is part of what came, to the byte.
        for parameter in signature.octets.split(|byte| *byte == b'&') {
            assert!(text.windows(parameter.len()).any(|window| window == parameter));
        }
    }
    let endpoint = Url::parse(SLO).unwrap();
    let expected = Expected {
        idp_entity_id: IDP,
        keys: &TRUSTED,
        policy: AlgorithmPolicy::Sha2,
        decryption_keys: &DECRYPTION,
        endpoint: &endpoint,
        now: now(),
        skew: SKEW,
    };
    let arrived = Arrived::Redirect(&redirected);
    assert!(read_request(arrived, &expected).is_err(), "nobody signed that");
    assert!(read_response(arrived, &expected, REQUEST).is_err(), "nobody signed that");
});
