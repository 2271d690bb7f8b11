use super::super::testing::{OTHER_RSA, P256, P384, P521, Party, RSA, pkcs8};
use super::*;

fn parties() -> [(&'static Party, KeyKind); 4] {
    [(&RSA, KeyKind::Rsa), (&P256, KeyKind::P256), (&P384, KeyKind::P384), (&P521, KeyKind::P521)]
}

/// One DER element.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    let [high, low] = length.to_be_bytes();
    let header = match length {
        0..=0x7f => vec![tag, low],
        0x80..=0xff => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [header, content.to_vec()].concat()
}

/// A certificate of version 1 with this public key.
fn certificate(algorithm: &[u8], parameters: &[u8], key: &[u8]) -> Vec<u8> {
    let empty = der(0x30, &[]);
    let info = [der(0x30, &[der(6, algorithm), parameters.to_vec()].concat()), der(3, &[&[0], key].concat())];
    let body =
        [der(2, &[1]), empty.clone(), empty.clone(), empty.clone(), empty.clone(), der(0x30, &info.concat())];
    der(0x30, &[der(0x30, &body.concat()), empty, der(3, &[0])].concat())
}

fn rsa_certificate(octets: usize, first: u8, exponent: &[u8]) -> Vec<u8> {
    let mut modulus = vec![0xff; octets];
    modulus[0] = first;
    if first >= 0x80 {
        modulus.insert(0, 0);
    }
    certificate(RSA_OID, &[5, 0], &der(0x30, &[der(2, &modulus), der(2, exponent)].concat()))
}

#[test]
fn keys_of_every_kind_come_out_of_certificates() {
    for (party, kind) in parties() {
        assert_eq!(party.verifying.kind(), kind);
        assert_eq!(VerifyingKey::from_certificate(&party.certificate), Ok(party.verifying.clone()));
        assert_eq!(party.signing.certificate_der(), party.certificate);
    }
    // Version 1 has no version, no extensions; a modulus without the leading zero is as long.
    let key = VerifyingKey::from_certificate(&rsa_certificate(256, 0xff, &[1, 0, 1])).unwrap();
    assert_eq!(key.kind(), KeyKind::Rsa);
}

#[test]
fn short_and_endless_rsa_keys_are_refused() {
    for (octets, first, found) in
        [(128, 0xff, 1024), (256, 0x7f, 2047), (255, 0xff, 2040), (1025, 0x01, 8193)]
    {
        let refused = VerifyingKey::from_certificate(&rsa_certificate(octets, first, &[1, 0, 1]));
        assert_eq!(refused, Err(KeyError::RsaLength { found }));
    }
    assert!(VerifyingKey::from_certificate(&rsa_certificate(1024, 0xff, &[1, 0, 1])).is_ok());
}

#[test]
fn numbers_that_are_no_key_are_refused() {
    for exponent in [&[1_u8][..], &[2], &[0x80], &[0, 3], &[]] {
        let refused = VerifyingKey::from_certificate(&rsa_certificate(256, 0xff, exponent));
        assert_eq!(refused, Err(KeyError::PublicKeyMalformed), "{exponent:?}");
    }
    let p256 = der(6, CURVES[0].0);
    let point = P256.verifying.public().to_vec();
    assert!(VerifyingKey::from_certificate(&certificate(EC_OID, &p256, &point)).is_ok());
    let mut off = point.clone();
    off[64] ^= 1;
    let mut compressed = point[..33].to_vec();
    compressed[0] = 2 + (point[64] & 1);
    for wrong in [off, compressed, point[..64].to_vec(), vec![0], vec![]] {
        let refused = VerifyingKey::from_certificate(&certificate(EC_OID, &p256, &wrong));
        assert_eq!(refused, Err(KeyError::PublicKeyMalformed), "{wrong:?}");
    }
}

#[test]
fn kinds_outside_the_list_are_refused() {
    let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let ed25519 = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&ed25519).unwrap();
    assert_eq!(VerifyingKey::from_certificate(ed25519.der()), Err(KeyError::KindNotSupported));
    let pss = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
    let p224 = der(6, &[0x2b, 0x81, 0x04, 0x00, 0x21]);
    for (algorithm, parameters) in
        [(&pss[..], &[5, 0][..]), (EC_OID, &p224), (EC_OID, &[5, 0]), (EC_OID, &[])]
    {
        let refused = VerifyingKey::from_certificate(&certificate(algorithm, parameters, &[4; 57]));
        assert_eq!(refused, Err(KeyError::KindNotSupported));
    }
}

#[test]
fn certificates_cut_short_or_continued_are_refused() {
    let whole = &RSA.certificate;
    for length in 0..whole.len() {
        let refused = VerifyingKey::from_certificate(&whole[..length]);
        assert_eq!(refused, Err(KeyError::CertificateMalformed), "{length}");
    }
    let longer = [&whole[..], &[0]].concat();
    assert_eq!(VerifyingKey::from_certificate(&longer), Err(KeyError::CertificateMalformed));
    // X.690, 10.1: a length in more octets than it needs; the indefinite form.
    for wrong in [
        &[0x30, 0x81, 0x00][..],
        &[0x30, 0x82, 0x00, 0x80],
        &[0x30, 0x80, 0, 0],
        &[0x30, 0x85, 0, 0, 0, 0, 1],
    ] {
        assert_eq!(VerifyingKey::from_certificate(wrong), Err(KeyError::CertificateMalformed));
    }
}

#[test]
fn private_keys_belong_to_their_certificates() {
    let from =
        |key: &str, certificate: &str| SigningKey::from_pem(key.as_bytes(), certificate.as_bytes()).err();
    for (party, _) in parties() {
        for (other, _) in parties().into_iter().filter(|(other, _)| !std::ptr::eq(*other, party)) {
            let refused = from(&party.key_pem, &other.certificate_pem);
            assert!(
                matches!(refused, Some(KeyError::CertificateMismatch | KeyError::PrivateKeyMalformed)),
                "{refused:?}"
            );
        }
    }
    assert_eq!(from(&RSA.key_pem, &OTHER_RSA.certificate_pem), Some(KeyError::CertificateMismatch));
    assert_eq!(from(&RSA.key_pem, &RSA.key_pem), Some(KeyError::CertificateNotPem));
    assert_eq!(from(&RSA.certificate_pem, &RSA.certificate_pem), Some(KeyError::PrivateKeyNotPem));
    assert_eq!(from("", &RSA.certificate_pem), Some(KeyError::PrivateKeyNotPem));
    let other = Party::new(&rcgen::PKCS_ECDSA_P256_SHA256);
    assert_eq!(from(&other.key_pem, &P256.certificate_pem), Some(KeyError::CertificateMismatch));
}

#[test]
fn decryption_keys_are_rsa() {
    let from =
        |key: &str, certificate: &str| DecryptionKey::from_pem(key.as_bytes(), certificate.as_bytes()).err();
    assert_eq!(from(&RSA.key_pem, &RSA.certificate_pem), None);
    assert_eq!(from(&P256.key_pem, &P256.certificate_pem), Some(KeyError::DecryptionNotRsa));
    assert_eq!(from(&RSA.key_pem, &OTHER_RSA.certificate_pem), Some(KeyError::CertificateMismatch));
    assert_eq!(from(&P256.key_pem, &RSA.certificate_pem), Some(KeyError::PrivateKeyMalformed));
    assert_eq!(RSA.decryption().certificate_der(), RSA.certificate);
}

#[test]
fn private_keys_are_read_in_their_older_forms_too() {
    use base64::Engine as _;
    let pem = |label: &str, der: &[u8]| {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    };
    // RFC 5208, 5: version, algorithm, and the older form as an octet string behind them.
    for (party, label) in [(&*RSA, "RSA PRIVATE KEY"), (&*P256, "EC PRIVATE KEY")] {
        let pkcs8 = pkcs8(party);
        let inner = (0..pkcs8.len())
            .find(|at| {
                pkcs8[*at] == 4 && pkcs8[at + 1..].len() > 100 && {
                    let rest = &pkcs8[at + 1..];
                    let (length, header) = match rest[0] {
                        0x82 => (usize::from(rest[1]) * 256 + usize::from(rest[2]), 3),
                        0x81 => (usize::from(rest[1]), 2),
                        short => (usize::from(short), 1),
                    };
                    rest.len() == length + header && rest[header] == 0x30
                }
            })
            .unwrap();
        let inner = &pkcs8[inner + 1..];
        let inner = &inner[inner.iter().position(|octet| *octet == 0x30).unwrap()..];
        let key = pem(label, inner);
        assert!(SigningKey::from_pem(key.as_bytes(), party.certificate_pem.as_bytes()).is_ok(), "{label}");
    }
}

#[test]
fn nothing_of_a_private_key_is_shown() {
    assert_eq!(format!("{:?}", RSA.signing), "SigningKey { .. }");
    assert_eq!(format!("{:?}", RSA.decryption()), "DecryptionKey { .. }");
}

#[test]
fn every_certificate_of_a_file_is_read() {
    let file = format!("{}between\n{}", RSA.certificate_pem, P256.certificate_pem);
    let read: Vec<_> = certificates(file.as_bytes()).map(|found| found.unwrap().to_vec()).collect();
    assert_eq!(read, [RSA.certificate.clone(), P256.certificate.clone()]);
    assert_eq!(certificates(RSA.key_pem.as_bytes()).count(), 0);
    let broken = RSA.certificate_pem.replacen('M', "!", 1);
    assert_eq!(certificates(broken.as_bytes()).next(), Some(Err(KeyError::CertificateNotPem)));
}

#[test]
fn a_trust_anchor_is_every_certificate_of_its_file_and_never_none() {
    let file = format!("{}{}", RSA.certificate_pem, P256.certificate_pem);
    let kinds: Vec<_> = trust_anchor(file.as_bytes()).unwrap().iter().map(VerifyingKey::kind).collect();
    assert_eq!(kinds, [KeyKind::Rsa, KeyKind::P256]);
    for without in ["", "-----\n", RSA.key_pem.as_str()] {
        assert_eq!(trust_anchor(without.as_bytes()).err(), Some(KeyError::CertificateNotPem), "{without:?}");
    }
}
