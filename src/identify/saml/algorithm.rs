//! The algorithms of signatures and digests: the list of those that count, and the check with one key.

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::signature::{self as aws, UnparsedPublicKey, VerificationAlgorithm};

use super::der;
use super::keys::{KeyKind, VerifyingKey};

/// XML Signature 1.1, 6.2 and 6.4; XML Encryption 1.1, 5.8; RFC 9231, 2.1 and 2.3.
const DIGESTS: [(&str, Hash); 4] = [
    ("http://www.w3.org/2000/09/xmldsig#sha1", Hash::Sha1),
    ("http://www.w3.org/2001/04/xmlenc#sha256", Hash::Sha256),
    ("http://www.w3.org/2001/04/xmldsig-more#sha384", Hash::Sha384),
    ("http://www.w3.org/2001/04/xmlenc#sha512", Hash::Sha512),
];
/// SECURITY: no HMAC, whose "secret" would be the public key (a forgery that JWT libraries fell for); no DSA; no
/// ECDSA with SHA-1; no `rsa-pss` with parameters of the sender's choice (RFC 9231, 2.3.9).
const SIGNATURES: [(&str, SignatureMethod); 10] = [
    ("http://www.w3.org/2000/09/xmldsig#rsa-sha1", SignatureMethod(Scheme::Pkcs1, Hash::Sha1)),
    ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", SignatureMethod(Scheme::Pkcs1, Hash::Sha256)),
    ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha384", SignatureMethod(Scheme::Pkcs1, Hash::Sha384)),
    ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", SignatureMethod(Scheme::Pkcs1, Hash::Sha512)),
    ("http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1", SignatureMethod(Scheme::Pss, Hash::Sha256)),
    ("http://www.w3.org/2007/05/xmldsig-more#sha384-rsa-MGF1", SignatureMethod(Scheme::Pss, Hash::Sha384)),
    ("http://www.w3.org/2007/05/xmldsig-more#sha512-rsa-MGF1", SignatureMethod(Scheme::Pss, Hash::Sha512)),
    ("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", SignatureMethod(Scheme::Ecdsa, Hash::Sha256)),
    ("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384", SignatureMethod(Scheme::Ecdsa, Hash::Sha384)),
    ("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512", SignatureMethod(Scheme::Ecdsa, Hash::Sha512)),
];

/// Whether SHA-1 counts. A setting per identity provider; the default is no.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AlgorithmPolicy {
    #[default]
    Sha2,
    /// SECURITY: for an identity provider that can do nothing else. Collisions cost some ten thousand dollars:
    /// who can have a message of his choice signed there might get another one for it.
    Sha1Too,
}

/// An algorithm that does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotAllowed {
    /// It is not on the list.
    Unknown,
    /// It is, and the policy says no.
    Sha1,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    pub fn from_uri(uri: &str, policy: AlgorithmPolicy) -> Result<Self, NotAllowed> {
        let found = DIGESTS.iter().find(|(known, _)| *known == uri).map(|(_, hash)| *hash);
        found.ok_or(NotAllowed::Unknown)?.under(policy)
    }

    /// The URI, for what we write.
    pub fn uri(self) -> &'static str {
        DIGESTS.iter().find(|(_, hash)| *hash == self).map_or("", |(uri, _)| uri)
    }

    pub fn digest(self, message: &[u8]) -> Digest {
        let algorithm = match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, message)
    }

    fn under(self, policy: AlgorithmPolicy) -> Result<Self, NotAllowed> {
        match (self, policy) {
            (Self::Sha1, AlgorithmPolicy::Sha2) => Err(NotAllowed::Sha1),
            _ => Ok(self),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Pkcs1,
    Pss,
    Ecdsa,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SignatureMethod(pub Scheme, pub Hash);

impl SignatureMethod {
    pub fn from_uri(uri: &str, policy: AlgorithmPolicy) -> Result<Self, NotAllowed> {
        let found = SIGNATURES.iter().find(|(known, _)| *known == uri).map(|(_, method)| *method);
        let method = found.ok_or(NotAllowed::Unknown)?;
        method.1.under(policy).map(|_| method)
    }

    /// The URI, for what we write.
    pub fn uri(self) -> &'static str {
        SIGNATURES.iter().find(|(_, method)| *method == self).map_or("", |(uri, _)| uri)
    }

    pub fn uses_sha1(self) -> bool {
        self.1 == Hash::Sha1
    }

    /// Whether keys of this kind make such signatures.
    pub fn fits(self, kind: KeyKind) -> bool {
        (self.0 == Scheme::Ecdsa) == (kind != KeyKind::Rsa)
    }

    /// Whether `key` made `signature` over `message`.
    pub fn verifies(self, key: &VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
        let Some(algorithm) = self.backend(key.kind()) else { return false };
        let public = UnparsedPublicKey::new(algorithm, key.public());
        match key.kind().number_octets() {
            None => public.verify(message, signature).is_ok(),
            // XML Signature 1.1, 6.4.3: r and s, each as long as the curve, one after the other.
            Some(octets) => signature
                .split_at_checked(octets)
                .filter(|(_, s)| s.len() == octets)
                .and_then(|(r, s)| der::ecdsa_signature(r, s))
                .is_some_and(|signature| public.verify(message, &signature).is_ok()),
        }
    }

    fn backend(self, kind: KeyKind) -> Option<&'static dyn VerificationAlgorithm> {
        let Self(scheme, hash) = self;
        Some(match (scheme, kind, hash) {
            (Scheme::Pkcs1, KeyKind::Rsa, Hash::Sha1) => &aws::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            (Scheme::Pkcs1, KeyKind::Rsa, Hash::Sha256) => &aws::RSA_PKCS1_2048_8192_SHA256,
            (Scheme::Pkcs1, KeyKind::Rsa, Hash::Sha384) => &aws::RSA_PKCS1_2048_8192_SHA384,
            (Scheme::Pkcs1, KeyKind::Rsa, Hash::Sha512) => &aws::RSA_PKCS1_2048_8192_SHA512,
            // RFC 9231, 2.3.10: MGF1 with the same hash, salt as long as the hash.
            (Scheme::Pss, KeyKind::Rsa, Hash::Sha256) => &aws::RSA_PSS_2048_8192_SHA256,
            (Scheme::Pss, KeyKind::Rsa, Hash::Sha384) => &aws::RSA_PSS_2048_8192_SHA384,
            (Scheme::Pss, KeyKind::Rsa, Hash::Sha512) => &aws::RSA_PSS_2048_8192_SHA512,
            (Scheme::Ecdsa, KeyKind::P256, Hash::Sha256) => &aws::ECDSA_P256_SHA256_ASN1,
            (Scheme::Ecdsa, KeyKind::P256, Hash::Sha384) => &aws::ECDSA_P256_SHA384_ASN1,
            (Scheme::Ecdsa, KeyKind::P256, Hash::Sha512) => &aws::ECDSA_P256_SHA512_ASN1,
            (Scheme::Ecdsa, KeyKind::P384, Hash::Sha256) => &aws::ECDSA_P384_SHA256_ASN1,
            (Scheme::Ecdsa, KeyKind::P384, Hash::Sha384) => &aws::ECDSA_P384_SHA384_ASN1,
            (Scheme::Ecdsa, KeyKind::P384, Hash::Sha512) => &aws::ECDSA_P384_SHA512_ASN1,
            (Scheme::Ecdsa, KeyKind::P521, Hash::Sha256) => &aws::ECDSA_P521_SHA256_ASN1,
            (Scheme::Ecdsa, KeyKind::P521, Hash::Sha384) => &aws::ECDSA_P521_SHA384_ASN1,
            (Scheme::Ecdsa, KeyKind::P521, Hash::Sha512) => &aws::ECDSA_P521_SHA512_ASN1,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
