//! Metadata of an identity provider: what is read of it can be kept, and says the same when it is read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex::identify::saml::algorithm::AlgorithmPolicy;
use narthex::identify::saml::metadata::read::{Expected, read};
use narthex_fuzz::{IDP, OWN, now, signed};

fuzz_target!(|document: &[u8]| {
    let expected = Expected {
        entity_id: None,
        trust_anchor: &[],
        policy: AlgorithmPolicy::Sha2,
        plain_loopback: false,
        now: now(),
    };
    if let Ok(found) = read(document, &expected) {
        let metadata = &found.metadata;
        assert!(!metadata.signing_keys.is_empty() && metadata.is_valid_at(now()));
        let slo = [&metadata.slo.redirect, &metadata.slo.post, &metadata.slo.soap].into_iter().flatten();
        let urls = [&metadata.sso.redirect, &metadata.sso.post].into_iter().flatten();
        for url in urls.chain(slo.flat_map(|one| [&one.requests, &one.responses])) {
            assert_eq!(url.scheme(), "https", "{url}");
        }
        let again = read(found.copy.as_str().as_bytes(), &expected).unwrap();
        assert_eq!(again.metadata, found.metadata);
    }
    let _ = read(document, &Expected { entity_id: Some(IDP), plain_loopback: true, ..expected });
    let anchored = Expected { trust_anchor: &OWN.verifying, ..expected };
    assert!(read(document, &anchored).is_err(), "nobody signed that");
    if let Some(document) = signed(document) {
        let _ = read(document.as_bytes(), &anchored);
    }
});
