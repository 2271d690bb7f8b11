//! Which signature counts with which key, by signatures that OpenSSL made over `narthex`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

const P256: &str = "\
    MIIBbDCCAROgAwIBAgIUYFlSMxaOFFQ0tXyAUgSpmY8G/HgwCgYIKoZIzj0EAwIwDDEKMAgGA1UEAwwBazAeFw0yNjExMjIw\
    NzA5NTZaFw0zNjExMTkwNzA5NTZaMAwxCjAIBgNVBAMMAWswWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASV0JD2q0ZEH7CX\
    Tt6Y08aQkhlyjkI6h0Gm0peKGFFNtpRwH1js1nMdcc3P3MKRSA0ZKGIYDBM4CR3794SSMJT5o1MwUTAdBgNVHQ4EFgQUbDm/\
    F1rtn3DRv2rLIQhYcF0DI84wHwYDVR0jBBgwFoAUbDm/F1rtn3DRv2rLIQhYcF0DI84wDwYDVR0TAQH/BAUwAwEB/zAKBggq\
    hkjOPQQDAgNHADBEAiAUgbN8L7J+1zTiXpp4FCHBi5Uv64hlyWkphiGe8KNimAIgCf/gtNErWCjod6tYCZWkr/I7QSSreFTE\
    oTdBD65vyrQ=";
const P384: &str = "\
    MIIBqjCCATCgAwIBAgIUSjz3Ee0qO4XUioqwRYueZpU2f5cwCgYIKoZIzj0EAwIwDDEKMAgGA1UEAwwBazAeFw0yNjExMjIw\
    NzA5NTZaFw0zNjExMTkwNzA5NTZaMAwxCjAIBgNVBAMMAWswdjAQBgcqhkjOPQIBBgUrgQQAIgNiAAT7yLLMG0Gr+cgTvOeG\
    CkxTg//VXsE40+YUD5WRqZAEfkrBlc0zua7QhfD4Jqoq8Ps7DBoBa/YHbcpfn+OGy213NLWOthqXQH7kXoGZF6bCiErdvAMW\
    C0VwJNW9oKzrn42jUzBRMB0GA1UdDgQWBBS0AIl7QVZmre8gBOv7/OhO+iJz8zAfBgNVHSMEGDAWgBS0AIl7QVZmre8gBOv7\
    /OhO+iJz8zAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA2gAMGUCMQDR022PsnnhpKBvM8LF4OPkORKHZlOw9TUHygTf\
    aKwoDatMbbNRtprLbS1Clqk4+28CMFKtedQeqACCmjVlhQqO0fGDPTTs0w+uLd/oQXJA14DkeXZjf96npql5i6GtG3xeDQ==";
const P521: &str = "\
    MIIB9TCCAVagAwIBAgIUdU8J+XMk0VkEho+78P0PRjxDmj4wCgYIKoZIzj0EAwIwDDEKMAgGA1UEAwwBazAeFw0yNjExMjIw\
    NzA5NTZaFw0zNjExMTkwNzA5NTZaMAwxCjAIBgNVBAMMAWswgZswEAYHKoZIzj0CAQYFK4EEACMDgYYABADx6xQ45yXO9YxB\
    gLtwOFPHo4tR7UM4zgYS1g4sD4Zhkc+ps0tiP9IzRQD55TYlPHX3l8S/vgCSjpFbxKWP4OFEWADq0ERJOSzjj8YO6noLZvaJ\
    Ob22Fdgj4fDq6qXGxjES8V+mF/lWCUGNqNaLsNbSyn59t6veJ9mh7VSYNUtFKa/pbqNTMFEwHQYDVR0OBBYEFB1NoOZxH1/O\
    7hvT2uBEG/KB8KS2MB8GA1UdIwQYMBaAFB1NoOZxH1/O7hvT2uBEG/KB8KS2MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0E\
    AwIDgYwAMIGIAkIBRCE3hFbtP/GcpeZIIeJW1AR7XnzQjxb0dozw1IgWG7CKo7z6aXC62NZAg9fr6DjSCnyyBEv+REksPy5c\
    oRPjUcwCQgEkgRmKWT/HSsLE6n+vAzRXH8TWO5I0fVlntp6Q8k1l1HnDEads8PkbD7QOMBpHlXN59lGhhfQWfnBx839xK6+C\
    Eg==";

/// By certificate and digest: r and s, one after the other.
const SIGNATURES_BY_OPENSSL: [(&str, Hash, &str); 9] = [
    (
        P256,
        Hash::Sha256,
        "\
        qoo8rYn9gSpYacD/ilaFP/fiH/NfIFyNphKzxWAgHfyL7s97PXChb5UqQjYLzd54jIUErsGZ9Vd6OAGoBRknEg==",
    ),
    (
        P256,
        Hash::Sha384,
        "\
        1sysnV8JYDI40ajqkAPBc4IgtbHFbLInKhQ4QcvIKxkDHoCDn1DVTyUY7YkTpjyoNXSCLA70khwN4pfRFhiwaw==",
    ),
    (
        P256,
        Hash::Sha512,
        "\
        AtvFXQzWSFvyjgJq2eZ21GSqA/Qagv0auRxHfD1Rkb1SFChdVa45DRWa9eVNJqGvRlPS3MGxCleYTml0mUBi+w==",
    ),
    (
        P384,
        Hash::Sha256,
        "\
        il9Z66TlEqpIqJAETO1yItwcpgoKwik/S9F6cRieYsZ2qoomEKjzw7cwj/ZuZSESd7b4yXfZeCW7FUOfsEuRMQI+aBv6\
        2HFg8amNc5FmTq55Tq0zJAykiYu6Kytazk0D",
    ),
    (
        P384,
        Hash::Sha384,
        "\
        pOITar25OoojPBTujsLjowkn26c16p0BCDx92bdzUDG6k68EjGGiCPROJW2nT8SKZiiisvoprDmusI+I7khZoJr+XHgJ\
        afiNJOTikMu1+/kY3W9kdmLVR2tDto2TPBNK",
    ),
    (
        P384,
        Hash::Sha512,
        "\
        CjpmL+ZAT8q4cbdcAEbdF24zZKSCgIpbTb1GSP8bACsKzbBeZKtF2HCDf5p8F/vo+I9U43KGr7LYNTIerC0OgOpzRbRl\
        bosQpl2wZiqzEvYqFSeb0ishL5ZdYh1cpXfS",
    ),
    (
        P521,
        Hash::Sha256,
        "\
        AeEDiUt/MJsJmJ4F8YKDRH2BsBhiTpJNuj8HO5w//ULfV882+sxEVXN+JP3+DpW29A4UnyREGS7pBb98o/4bnb3uAdyy\
        6nCBHQsj24Y4KtyGZsLtVlgt2C+FaOTMgaPfL5Squ33dmlxDuFRD7UjMGtiJIkDMTgIT+ol/t0wd6ZzNr1YQ",
    ),
    (
        P521,
        Hash::Sha384,
        "\
        AC4N7aRuDSksOvq9SDzs5Vccp+6UYipCjTnzuTFHJ0MxSMKfbT/06GpGRwim5rKxM1w4M4hgqpmAvWcHxWFPVlqNANvW\
        lADdDH5LamJ94/z905uD2hDzt/SVKPDB2ycPIY5+5UVkx+2pMEoo6gG6RMgARbjGE8dv18Lvr7i+VqrcDb98",
    ),
    (
        P521,
        Hash::Sha512,
        "\
        AdeJmS1AdObKpM1E/hK7o6nkWs4wkGOaTqcKjrzL+DzB8gzZWni3mP5Uc+2jgdaHOPoW0+fNT4Q33rOaRiQ//z4WAcLz\
        H/10U6gAbzVjx6DVWbaAzXdOCQLi7AtAAo/NLUUsPF3xPnZWRTjL1QTg46XD9jfkGO8IeZPrbU8WLB9nNCGC",
    ),
];

fn key(certificate: &str) -> VerifyingKey {
    VerifyingKey::from_certificate(&STANDARD.decode(certificate).unwrap()).unwrap()
}

#[test]
fn every_curve_counts_with_every_digest_and_no_signature_with_another() {
    for (certificate, hash, signature) in SIGNATURES_BY_OPENSSL {
        let signature = STANDARD.decode(signature).unwrap();
        for (other, tried, _) in SIGNATURES_BY_OPENSSL {
            let method = SignatureMethod(Scheme::Ecdsa, tried);
            let right = (other, tried) == (certificate, hash);
            assert_eq!(method.verifies(&key(other), b"narthex", &signature), right, "{hash:?} {tried:?}");
            assert!(!method.verifies(&key(other), b"Narthex", &signature));
        }
    }
}

#[test]
fn both_numbers_of_a_signature_are_as_long_as_the_curve() {
    for (certificate, hash, signature) in SIGNATURES_BY_OPENSSL {
        let (key, method) = (key(certificate), SignatureMethod(Scheme::Ecdsa, hash));
        let good = STANDARD.decode(signature).unwrap();
        let (r, s) = good.split_at(good.len() / 2);
        // The same numbers, one of them with a zero in front; cut short; with more behind; as X9.62 has it.
        for wrong in [
            [&[0], &good[..]].concat(),
            [r, &[0], s].concat(),
            good[..good.len() - 1].to_vec(),
            [&good[..], &[0]].concat(),
            r.to_vec(),
            Vec::new(),
            der::ecdsa_signature(r, s).unwrap(),
        ] {
            assert!(!method.verifies(&key, b"narthex", &wrong), "{wrong:?}");
        }
    }
}

#[test]
fn a_key_of_another_kind_makes_no_signature() {
    let (certificate, hash, signature) = SIGNATURES_BY_OPENSSL[0];
    let (key, signature) = (key(certificate), STANDARD.decode(signature).unwrap());
    for scheme in [Scheme::Pkcs1, Scheme::Pss] {
        let method = SignatureMethod(scheme, hash);
        assert!(!method.fits(key.kind()) && method.fits(KeyKind::Rsa));
        assert!(!method.verifies(&key, b"narthex", &signature));
    }
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521] {
        assert!(SignatureMethod(Scheme::Ecdsa, hash).fits(kind));
    }
    assert!(!SignatureMethod(Scheme::Ecdsa, hash).fits(KeyKind::Rsa));
}

#[test]
fn what_we_write_is_what_we_read() {
    for (uri, method) in SIGNATURES {
        assert_eq!(method.uri(), uri);
        assert_eq!(SignatureMethod::from_uri(uri, AlgorithmPolicy::Sha1Too), Ok(method));
        let sha1 = SignatureMethod::from_uri(uri, AlgorithmPolicy::Sha2) == Err(NotAllowed::Sha1);
        assert_eq!(method.uses_sha1(), sha1, "{uri}");
    }
    for (uri, hash) in DIGESTS {
        assert_eq!(hash.uri(), uri);
        assert_eq!(Hash::from_uri(uri, AlgorithmPolicy::Sha1Too), Ok(hash));
    }
}
