//! What the targets share: who is who, and a key by which the fuzzer signs, so as to come past the signature.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use narthex::identify::saml::keys::{DecryptionKey, SigningKey, VerifyingKey};
use narthex::identify::saml::sign::sign_enveloped;
use narthex::model::UnixTime;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

// As in tests/vectors/saml/cases.toml.
pub const IDP: &str = "https://idp.example.com/metadata";
pub const SP: &str = "https://app.example.com/saml/metadata";
pub const ACS: &str = "https://app.example.com/saml/acs";
pub const SLO: &str = "https://app.example.com/saml/slo";
pub const REQUEST: &str = "_request-2f1c8a50";
/// Whom the vectors' identity provider never signed in.
pub const ADMIN: &str = "admin@example.com";
pub const SKEW: Duration = Duration::from_mins(1);

pub fn now() -> UnixTime {
    UnixTime("2030-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_second())
}

/// The keys of the vectors' identity provider, of which nobody has the private half any more.
pub static TRUSTED: LazyLock<Vec<VerifyingKey>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/saml");
    let key = |name: &str| {
        let der = CertificateDer::from_pem_file(folder.join(name)).unwrap();
        VerifyingKey::from_certificate(&der).unwrap()
    };
    ["idp.pem", "second.pem", "ec256.pem", "ec384.pem"].map(key).into()
});

/// A key of this run.
pub struct Own {
    pub signing: SigningKey,
    pub verifying: Vec<VerifyingKey>,
}

pub static OWN: LazyLock<Own> = LazyLock::new(|| {
    let (key, certificate, der) = pair(&rcgen::PKCS_ECDSA_P256_SHA256);
    let signing = SigningKey::from_pem(key.as_bytes(), certificate.as_bytes()).unwrap();
    Own { signing, verifying: vec![VerifyingKey::from_certificate(&der).unwrap()] }
});

pub static DECRYPTION: LazyLock<Vec<DecryptionKey>> = LazyLock::new(|| {
    let (key, certificate, _) = pair(&rcgen::PKCS_RSA_SHA256);
    vec![DecryptionKey::from_pem(key.as_bytes(), certificate.as_bytes()).unwrap()]
});

fn pair(algorithm: &'static rcgen::SignatureAlgorithm) -> (String, String, Vec<u8>) {
    let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["fuzz.example".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    (key.serialize_pem(), certificate.pem(), certificate.der().to_vec())
}

/// The message signed by [`OWN`], less the first signature that stood in it, where it is one that can be signed.
pub fn signed(message: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(message).ok()?;
    let end = "</ds:Signature>";
    let bare = match (text.find("<ds:Signature "), text.find(end)) {
        (Some(from), Some(to)) if from < to => format!("{}{}", &text[..from], &text[to + end.len()..]),
        _ => text.to_owned(),
    };
    sign_enveloped(&bare, &OWN.signing).ok()
}
