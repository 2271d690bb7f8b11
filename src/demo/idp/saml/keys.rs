//! Keys with self-signed certificates, made at start: the provider's own, and those of the demo's proxy.

use rcgen::{CertificateParams, DnType, KeyPair};

use crate::identify::saml::keys::{SigningKey, VerifyingKey};

use super::super::KeyFailure;

/// A signing key (ECDSA on P-256) with the certificate that others know it by.
pub struct SamlKey {
    pub(super) signing: SigningKey,
    pub(super) verifying: VerifyingKey,
    key: String,
    certificate: String,
}

impl SamlKey {
    /// A fresh one. `name` stands in the certificate for people to read.
    ///
    /// # Errors
    /// Where the library makes none.
    pub fn generate(name: &str) -> Result<Self, KeyFailure> {
        let pair = KeyPair::generate().map_err(|_| KeyFailure)?;
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        let certificate = parameters.self_signed(&pair).map_err(|_| KeyFailure)?;
        let verifying = VerifyingKey::from_certificate(certificate.der()).map_err(|_| KeyFailure)?;
        let (key, certificate) = (pair.serialize_pem(), certificate.pem());
        let signing = SigningKey::from_pem(key.as_bytes(), certificate.as_bytes()).map_err(|_| KeyFailure)?;
        Ok(Self { signing, verifying, key, certificate })
    }

    /// The private key, PEM.
    pub fn key_pem(&self) -> &str {
        &self.key
    }

    pub fn certificate_pem(&self) -> &str {
        &self.certificate
    }

    /// What signatures of this key are verified with.
    pub fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// Signs as its owner does.
    pub fn signing(&self) -> &SigningKey {
        &self.signing
    }
}
