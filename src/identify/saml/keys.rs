//! Keys: what an identity provider's certificate lets us verify, what we sign and decrypt with.
//!
//! A certificate is the envelope of a key and nothing else (SAML V2.0 Metadata Interoperability Profile 1.0, 2.5.1
//! and 2.6.1: it may be expired, not yet valid, self-signed, of any subject and extension). Trust is in the metadata
//! that names it; a key is withdrawn by taking it out of the metadata.

use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{
    self as aws, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _, ParsedPublicKey, RsaKeyPair,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::der;
use crate::model::Fault;

/// NIST SP 800-131A: RSA below 2048 bits is disallowed; above 8192 the cost is an attack.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// RFC 8017, A.1; RFC 5480, 2.1.1 and 2.1.1.1; as encoded, without tag and length.
const RSA_OID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC_OID: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const CURVES: [(&[u8], KeyKind); 3] = [
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07], KeyKind::P256),
    (&[0x2b, 0x81, 0x04, 0x00, 0x22], KeyKind::P384),
    (&[0x2b, 0x81, 0x04, 0x00, 0x23], KeyKind::P521),
];

/// A key that is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the certificate is no X.509 certificate in DER")]
    CertificateMalformed,
    #[error("the file holds no certificate in PEM (BEGIN CERTIFICATE)")]
    CertificateNotPem,
    #[error("the public key is neither RSA nor ECDSA on P-256, P-384 or P-521")]
    KindNotSupported,
    #[error("the RSA key has {found} bits; 2048 to 8192 are used")]
    RsaLength { found: usize },
    /// A point off the curve, an even exponent and the like.
    #[error("the public key's numbers are not those of a key")]
    PublicKeyMalformed,
    #[error(
        "the file holds no unencrypted private key in PEM (BEGIN PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY)"
    )]
    PrivateKeyNotPem,
    #[error("the private key is damaged, or not of the certificate's kind")]
    PrivateKeyMalformed,
    #[error("private key and certificate do not belong together")]
    CertificateMismatch,
    #[error("a decryption key must be RSA")]
    DecryptionNotRsa,
}

impl KeyError {
    /// The variant's name for metrics, logs and `explain`; stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::CertificateMalformed => "certificate_malformed",
            Self::CertificateNotPem => "certificate_not_pem",
            Self::KindNotSupported => "kind_not_supported",
            Self::RsaLength { .. } => "rsa_length",
            Self::PublicKeyMalformed => "public_key_malformed",
            Self::PrivateKeyNotPem => "private_key_not_pem",
            Self::PrivateKeyMalformed => "private_key_malformed",
            Self::CertificateMismatch => "certificate_mismatch",
            Self::DecryptionNotRsa => "decryption_not_rsa",
        }
    }

    /// Who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::CertificateMalformed
            | Self::KindNotSupported
            | Self::RsaLength { .. }
            | Self::PublicKeyMalformed => Fault::IdentityProvider,
            Self::CertificateNotPem
            | Self::PrivateKeyNotPem
            | Self::PrivateKeyMalformed
            | Self::CertificateMismatch
            | Self::DecryptionNotRsa => Fault::Operator,
        }
    }
}

/// What a key can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    Rsa,
    P256,
    P384,
    P521,
}

impl KeyKind {
    /// The octets of one of an ECDSA signature's two numbers (XML Signature 1.1, 6.4.3); none for RSA.
    pub(super) fn number_octets(self) -> Option<usize> {
        match self {
            Self::Rsa => None,
            Self::P256 => Some(32),
            Self::P384 => Some(48),
            Self::P521 => Some(66),
        }
    }
}

/// A public key of an identity provider, out of trusted metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    kind: KeyKind,
    /// RSA: `RSAPublicKey` (RFC 8017, A.1.1). ECDSA: the point, uncompressed.
    public: Vec<u8>,
}

impl VerifyingKey {
    /// The key in a certificate. Nothing else of the certificate is looked at, its dates neither (see above).
    pub fn from_certificate(der: &[u8]) -> Result<Self, KeyError> {
        let info = der::of_certificate(der).ok_or(KeyError::CertificateMalformed)?;
        let kind = kind(&info).ok_or(KeyError::KindNotSupported)?;
        let parsed = match kind {
            KeyKind::Rsa => {
                let numbers = der::rsa_numbers(info.key).ok_or(KeyError::PublicKeyMalformed)?;
                // SECURITY: stricter than any validation of a path: a key of 1024 bits is within reach of
                // factoring, however valid its certificate.
                let bits = bits(numbers.modulus);
                if !RSA_BITS.contains(&bits) {
                    return Err(KeyError::RsaLength { found: bits });
                }
                ParsedPublicKey::new(&aws::RSA_PKCS1_2048_8192_SHA256, info.key)
            }
            // RFC 5480, 2.2: uncompressed is what must be supported; the other forms are nowhere in use.
            _ if info.key.first() != Some(&4) => return Err(KeyError::PublicKeyMalformed),
            KeyKind::P256 => ParsedPublicKey::new(&aws::ECDSA_P256_SHA256_ASN1, info.key),
            KeyKind::P384 => ParsedPublicKey::new(&aws::ECDSA_P384_SHA384_ASN1, info.key),
            KeyKind::P521 => ParsedPublicKey::new(&aws::ECDSA_P521_SHA512_ASN1, info.key),
        };
        parsed.map_err(|_| KeyError::PublicKeyMalformed)?;
        Ok(Self { kind, public: info.key.to_vec() })
    }

    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }
}

fn kind(info: &der::PublicKeyInfo<'_>) -> Option<KeyKind> {
    if info.algorithm == RSA_OID {
        return Some(KeyKind::Rsa);
    }
    if info.algorithm != EC_OID {
        return None;
    }
    CURVES.iter().find(|(oid, _)| Some(*oid) == info.curve).map(|(_, kind)| *kind)
}

/// The length of a number without leading zeros, in bits.
fn bits(number: &[u8]) -> usize {
    let first = number.first().map_or(8, |first| first.leading_zeros());
    (number.len() * 8).saturating_sub(usize::try_from(first).unwrap_or_default())
}

/// Our key for requests, logout messages and metadata, with the certificate that others know it by.
pub struct SigningKey {
    pair: Pair,
    certificate: CertificateDer<'static>,
}

pub(super) enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ecdsa(KeyKind, EcdsaKeyPair),
}

impl SigningKey {
    /// From a private key (PKCS#8, PKCS#1 or SEC 1) and its certificate, both in PEM.
    pub fn from_pem(key: &[u8], certificate: &[u8]) -> Result<Self, KeyError> {
        let certificate = certificate_from_pem(certificate)?;
        let verifying = VerifyingKey::from_certificate(&certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| KeyError::PrivateKeyNotPem)?;
        let pair = match verifying.kind() {
            KeyKind::Rsa => Pair::Rsa(Box::new(rsa_pair(&key)?)),
            kind => {
                let algorithm = signing_algorithm(kind).ok_or(KeyError::PrivateKeyMalformed)?;
                let pair = match &key {
                    PrivateKeyDer::Pkcs8(der) => EcdsaKeyPair::from_pkcs8(algorithm, der.secret_pkcs8_der()),
                    other => EcdsaKeyPair::from_private_key_der(algorithm, other.secret_der()),
                };
                Pair::Ecdsa(kind, pair.map_err(|_| KeyError::CertificateMismatch)?)
            }
        };
        let public = match &pair {
            Pair::Rsa(pair) => pair.public_key().as_ref(),
            Pair::Ecdsa(_, pair) => pair.public_key().as_ref(),
        };
        if public != verifying.public() {
            return Err(KeyError::CertificateMismatch);
        }
        Ok(Self { pair, certificate })
    }

    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate
    }

    pub(super) fn pair(&self) -> &Pair {
        &self.pair
    }
}

/// The one algorithm that a curve signs with: the digest as long as the curve.
fn signing_algorithm(kind: KeyKind) -> Option<&'static EcdsaSigningAlgorithm> {
    match kind {
        KeyKind::Rsa => None,
        KeyKind::P256 => Some(&aws::ECDSA_P256_SHA256_FIXED_SIGNING),
        KeyKind::P384 => Some(&aws::ECDSA_P384_SHA384_FIXED_SIGNING),
        KeyKind::P521 => Some(&aws::ECDSA_P521_SHA512_FIXED_SIGNING),
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").finish_non_exhaustive()
    }
}

/// Our key that identity providers encrypt for, with its certificate.
pub struct DecryptionKey {
    key: OaepPrivateDecryptingKey,
    /// What stands for the content key where the unwrapping fails: [`DecryptionKey::substitute`].
    decoy: hmac::Key,
    certificate: CertificateDer<'static>,
}

impl DecryptionKey {
    /// From an RSA private key (PKCS#8 or PKCS#1) and its certificate, both in PEM.
    pub fn from_pem(key: &[u8], certificate: &[u8]) -> Result<Self, KeyError> {
        let certificate = certificate_from_pem(certificate)?;
        let verifying = VerifyingKey::from_certificate(&certificate)?;
        if verifying.kind() != KeyKind::Rsa {
            return Err(KeyError::DecryptionNotRsa);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| KeyError::PrivateKeyNotPem)?;
        let pair = rsa_pair(&key)?;
        if pair.public_key().as_ref() != verifying.public() {
            return Err(KeyError::CertificateMismatch);
        }
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::PrivateKeyMalformed)?;
        let seed = digest::digest(&SHA256, pkcs8.as_ref());
        let key =
            PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref()).map_err(|_| KeyError::PrivateKeyMalformed)?;
        let key = OaepPrivateDecryptingKey::new(key).map_err(|_| KeyError::PrivateKeyMalformed)?;
        Ok(Self { key, decoy: hmac::Key::new(hmac::HMAC_SHA256, seed.as_ref()), certificate })
    }

    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate
    }

    pub(super) fn key(&self) -> &OaepPrivateDecryptingKey {
        &self.key
    }

    /// A content key that nobody knows, the same for the same `wrapped` every time. SECURITY: so the rest of the
    /// way is gone as though the unwrapping had worked, and fails there, as TLS does it (RFC 5246, 7.4.7.1);
    /// derived instead of drawn, so that asking twice shows nothing either.
    pub(super) fn substitute(&self, wrapped: &[u8]) -> hmac::Tag {
        hmac::sign(&self.decoy, wrapped)
    }
}

impl std::fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecryptionKey").finish_non_exhaustive()
    }
}

/// The certificates of a PEM file, one after the other.
fn certificates(pem: &[u8]) -> impl Iterator<Item = Result<CertificateDer<'static>, KeyError>> {
    CertificateDer::pem_slice_iter(pem)
        .map(|certificate| certificate.map_err(|_| KeyError::CertificateNotPem))
}

/// The keys of the certificates that metadata may be signed by.
///
/// SECURITY: a file without any must not count as none being asked for.
pub fn trust_anchor(pem: &[u8]) -> Result<Vec<VerifyingKey>, KeyError> {
    let key = |certificate: Result<CertificateDer<'_>, KeyError>| {
        VerifyingKey::from_certificate(certificate?.as_ref())
    };
    let keys = certificates(pem).map(key).collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() { Err(KeyError::CertificateNotPem) } else { Ok(keys) }
}

fn certificate_from_pem(pem: &[u8]) -> Result<CertificateDer<'static>, KeyError> {
    CertificateDer::from_pem_slice(pem).map_err(|_| KeyError::CertificateNotPem)
}

fn rsa_pair(key: &PrivateKeyDer<'_>) -> Result<RsaKeyPair, KeyError> {
    let pair = match key {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        // An EC key beside an RSA certificate.
        _ => return Err(KeyError::CertificateMismatch),
    };
    pair.map_err(|_| KeyError::PrivateKeyMalformed)
}

#[cfg(test)]
mod tests;
