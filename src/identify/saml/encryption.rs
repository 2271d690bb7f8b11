//! XML Encryption as SAML uses it: one encrypted assertion, its content key wrapped for one of our keys.
//!
//! Reading (`Sealed::read`) says by name what is wrong with form and algorithms, which anybody can see. Opening
//! (`Sealed::open`) has no errors: a key that does not fit, a tag or a padding that is wrong give bytes that are no
//! assertion, and the gate treats these like all that it cannot read or verify. So there is nothing in between that
//! could tell a sender how far a forged ciphertext got.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{self, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512, OaepAlgorithm,
};
use zeroize::Zeroizing;

use super::algorithm::{AlgorithmPolicy, Hash};
use super::form::{Children, FormError, algorithm, base64, leaf_algorithm};
use super::keys::DecryptionKey;
use super::xml::{DSIG, Node, XENC, XENC11, XmlError};
use crate::identify::shown::shown;
use crate::model::Fault;

/// SECURITY: each costs one operation with each of our private keys, before anything is proved.
const MAX_WRAPPED_KEYS: usize = 4;

const BLOCK: usize = 16;
/// XML Encryption 1.1, 5.2.4: "The cipher text contains the 96 bit IV first".
const GCM_NONCE: usize = 12;

/// XML Encryption 1.1, 5.2.2 and 5.2.4.
const CONTENT: [(&str, Cipher); 4] = [
    ("http://www.w3.org/2009/xmlenc11#aes128-gcm", Cipher::Gcm(&aead::AES_128_GCM)),
    ("http://www.w3.org/2009/xmlenc11#aes256-gcm", Cipher::Gcm(&aead::AES_256_GCM)),
    ("http://www.w3.org/2001/04/xmlenc#aes128-cbc", Cipher::Cbc(&cipher::AES_128, 16)),
    ("http://www.w3.org/2001/04/xmlenc#aes256-cbc", Cipher::Cbc(&cipher::AES_256, 32)),
];
/// XML Encryption 1.1, 5.5.2. SECURITY: not 5.5.1, RSA 1.5, whose padding is an oracle (Bleichenbacher).
const OAEP_MGF1P: &str = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p";
const OAEP: &str = "http://www.w3.org/2009/xmlenc11#rsa-oaep";
const MGF1: [(&str, Hash); 4] = [
    ("http://www.w3.org/2009/xmlenc11#mgf1sha1", Hash::Sha1),
    ("http://www.w3.org/2009/xmlenc11#mgf1sha256", Hash::Sha256),
    ("http://www.w3.org/2009/xmlenc11#mgf1sha384", Hash::Sha384),
    ("http://www.w3.org/2009/xmlenc11#mgf1sha512", Hash::Sha512),
];
/// XML Encryption 1.1, 3.1.
const ELEMENT: &str = "http://www.w3.org/2001/04/xmlenc#Element";

/// An encrypted assertion that is not of a form or an algorithm that is read. Nothing in it depends on a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecryptionError {
    #[error(transparent)]
    Xml(#[from] XmlError),
    #[error("{parent} holds {found}, which is not read in encrypted assertions")]
    Unexpected { parent: String, found: String },
    #[error("{parent} lacks {name}")]
    Incomplete { parent: String, name: &'static str },
    #[error("{element} is not plain base64")]
    NotBase64 { element: String },
    #[error("the encrypted data is of type {0:?}; expected is an element")]
    TypeNotElement(String),
    #[error("the content is encrypted by {0:?}; AES-128 and AES-256 in GCM or CBC are read")]
    ContentAlgorithmNotAllowed(String),
    #[error("the content key is wrapped by {0:?}; have the provider use RSA-OAEP")]
    KeyTransportNotAllowed(String),
    #[error(
        "RSA-OAEP with digest {digest:?} and mask {mask:?} is not offered; have the provider use the same hash for \
         both (rsa-oaep-mgf1p goes with SHA-1 only)"
    )]
    OaepNotOffered { digest: String, mask: String },
    #[error("the message brings no wrapped content key")]
    KeyMissing,
    #[error("the message brings more than {limit} wrapped content keys")]
    TooManyKeys { limit: usize },
    #[error(
        "the assertion is encrypted, and there is no decryption key; set decryption_keys for this provider"
    )]
    NoDecryptionKey,
}

impl DecryptionError {
    /// The variant's name for metrics, logs and `explain`; stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Xml(_) => "encryption_xml",
            Self::Unexpected { .. } => "encryption_unexpected_content",
            Self::Incomplete { .. } => "encryption_incomplete",
            Self::NotBase64 { .. } => "encryption_not_base64",
            Self::TypeNotElement(_) => "encryption_type_not_element",
            Self::ContentAlgorithmNotAllowed(_) => "content_algorithm_not_allowed",
            Self::KeyTransportNotAllowed(_) => "key_transport_not_allowed",
            Self::OaepNotOffered { .. } => "oaep_not_offered",
            Self::KeyMissing => "encrypted_key_missing",
            Self::TooManyKeys { .. } => "too_many_encrypted_keys",
            Self::NoDecryptionKey => "no_decryption_key",
        }
    }

    /// Who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::ContentAlgorithmNotAllowed(_)
            | Self::KeyTransportNotAllowed(_)
            | Self::OaepNotOffered { .. }
            | Self::NoDecryptionKey => Fault::Operator,
            Self::Xml(_)
            | Self::Unexpected { .. }
            | Self::Incomplete { .. }
            | Self::NotBase64 { .. }
            | Self::TypeNotElement(_)
            | Self::KeyMissing
            | Self::TooManyKeys { .. } => Fault::IdentityProvider,
        }
    }
}

impl From<FormError> for DecryptionError {
    fn from(error: FormError) -> Self {
        match error {
            FormError::Xml(error) => Self::Xml(error),
            FormError::Unexpected { parent, found } => Self::Unexpected { parent, found },
            FormError::Incomplete { parent, name } => Self::Incomplete { parent, name },
            FormError::NotBase64 { element } => Self::NotBase64 { element },
        }
    }
}

/// An encrypted assertion of a form and of algorithms that are read.
pub(super) struct Sealed {
    cipher: Cipher,
    ciphertext: Vec<u8>,
    wrapped: Vec<Wrapped>,
}

/// A content key, encrypted for somebody who may be us.
struct Wrapped {
    oaep: &'static OaepAlgorithm,
    ciphertext: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Cipher {
    Gcm(&'static aead::Algorithm),
    Cbc(&'static cipher::Algorithm, usize),
}

impl Sealed {
    /// SAML Core 2.0, 2.2.4 and 2.3.4: EncryptedAssertion holds EncryptedData, EncryptedKey*.
    pub fn read(encrypted: Node<'_, '_>) -> Result<Self, DecryptionError> {
        let mut parts = Children::of(encrypted, XENC, &[])?;
        let data = parts.next("EncryptedData")?;
        let mut keys: Vec<_> = std::iter::from_fn(|| parts.next_if("EncryptedKey")).collect();
        parts.end()?;

        // XML Encryption 1.1, 3.1 and 3.2: EncryptionMethod?, KeyInfo?, CipherData, EncryptionProperties?. The
        // method is optional there for those who know it otherwise, which nobody here does.
        let mut parts = Children::of(data, XENC, &["Id", "Type", "MimeType", "Encoding"])?;
        let method = parts.next("EncryptionMethod")?;
        let key_info = parts.next_if_in(DSIG, "KeyInfo");
        let ciphertext = cipher_value(parts.next("CipherData")?)?;
        parts.end()?;

        // SAML Core 2.0, 2.2.4: the Type SHOULD be there, and if it is, MUST be this one.
        match data.attribute("Type") {
            None | Some(ELEMENT) => {}
            Some(other) => return Err(DecryptionError::TypeNotElement(shown(other))),
        }
        let uri = leaf_algorithm(method)?;
        let cipher = CONTENT.iter().find(|(known, _)| *known == uri).map(|(_, cipher)| *cipher);
        let cipher = cipher.ok_or_else(|| DecryptionError::ContentAlgorithmNotAllowed(shown(uri)))?;

        // XML Encryption 1.1, 3.5.1: an EncryptedKey stands in the KeyInfo, or, as SAML has it, beside the data.
        // Whatever else KeyInfo says (names, certificates, RetrievalMethod) only helps to find what is at hand.
        if let Some(key_info) = key_info {
            keys.extend(key_info.children_named(XENC, "EncryptedKey"));
        }
        if keys.is_empty() {
            return Err(DecryptionError::KeyMissing);
        }
        if keys.len() > MAX_WRAPPED_KEYS {
            return Err(DecryptionError::TooManyKeys { limit: MAX_WRAPPED_KEYS });
        }
        let wrapped = keys.into_iter().map(Wrapped::read).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { cipher, ciphertext, wrapped })
    }

    /// The bytes that were encrypted; others, or none, where key or ciphertext are not right.
    ///
    /// SECURITY: every key is tried on every wrapped key whether or not one fitted already, and the content is
    /// decrypted either way: the time depends on what is sent, not on what is in it.
    pub fn open(&self, keys: &[DecryptionKey]) -> Vec<u8> {
        let mut content_key = None;
        for wrapped in &self.wrapped {
            for key in keys {
                let unwrapped = wrapped.unwrap(key).filter(|octets| octets.len() == self.cipher.key_octets());
                content_key = content_key.or(unwrapped);
            }
        }
        let substitute = self.wrapped.first().zip(keys.first()).map(|(wrapped, key)| {
            let tag = key.substitute(&wrapped.ciphertext);
            Zeroizing::new(tag.as_ref().iter().copied().take(self.cipher.key_octets()).collect::<Vec<u8>>())
        });
        let content_key = content_key.or(substitute);
        content_key.and_then(|key| self.cipher.decrypt(&key, &self.ciphertext)).unwrap_or_default()
    }
}

impl Wrapped {
    /// XML Encryption 1.1, 3.5.1.
    fn read(key: Node<'_, '_>) -> Result<Self, DecryptionError> {
        let mut parts = Children::of(key, XENC, &["Id", "Type", "MimeType", "Encoding", "Recipient"])?;
        let method = parts.next("EncryptionMethod")?;
        parts.next_if_in(DSIG, "KeyInfo"); // Whose key it is; all of ours are tried.
        let ciphertext = cipher_value(parts.next("CipherData")?)?;
        parts.next_if("ReferenceList");
        parts.next_if("CarriedKeyName");
        parts.end()?;
        Ok(Self { oaep: oaep(method)?, ciphertext })
    }

    fn unwrap(&self, key: &DecryptionKey) -> Option<Zeroizing<Vec<u8>>> {
        let mut output = Zeroizing::new(vec![0; key.key().min_output_size()]);
        let octets = key.key().decrypt(self.oaep, &self.ciphertext, &mut output, None).ok()?;
        Some(Zeroizing::new(octets.to_vec()))
    }
}

/// XML Encryption 1.1, 5.5.2: OAEP with its digest and its mask; where they are not given, SHA-1 and MGF1 with
/// SHA-1. OAEPparams, a label that both sides would have to know, is refused as unexpected.
fn oaep(method: Node<'_, '_>) -> Result<&'static OaepAlgorithm, DecryptionError> {
    let uri = algorithm(method)?;
    if ![OAEP_MGF1P, OAEP].contains(&uri) {
        return Err(DecryptionError::KeyTransportNotAllowed(shown(uri)));
    }
    let mut parts = Children::of(method, XENC, &["Algorithm"])?;
    let mut mask = parts.next_if_in(XENC11, "MGF");
    let digest = parts.next_if_in(DSIG, "DigestMethod");
    if mask.is_none() {
        mask = parts.next_if_in(XENC11, "MGF");
    }
    parts.end()?;
    let digest = digest.map(leaf_algorithm).transpose()?;
    let mask = mask.map(leaf_algorithm).transpose()?;

    let digest_hash = match digest {
        None => Some(Hash::Sha1),
        // Collisions are of no use against OAEP, so SHA-1 is as good as the others here.
        Some(uri) => Hash::from_uri(uri, AlgorithmPolicy::Sha1Too).ok(),
    };
    let mask_hash = match mask {
        None => Some(Hash::Sha1),
        Some(uri) => MGF1.iter().find(|(known, _)| *known == uri).map(|(_, hash)| *hash),
    };
    match (uri, digest_hash, mask_hash) {
        (_, Some(Hash::Sha1), Some(Hash::Sha1)) => Ok(&OAEP_SHA1_MGF1SHA1),
        // XML Encryption 1.1, 5.5.2: rsa-oaep-mgf1p has MGF1 with SHA-1 whatever is said.
        (OAEP, Some(Hash::Sha256), Some(Hash::Sha256)) => Ok(&OAEP_SHA256_MGF1SHA256),
        (OAEP, Some(Hash::Sha384), Some(Hash::Sha384)) => Ok(&OAEP_SHA384_MGF1SHA384),
        (OAEP, Some(Hash::Sha512), Some(Hash::Sha512)) => Ok(&OAEP_SHA512_MGF1SHA512),
        _ => {
            let text = |uri: Option<&str>| shown(uri.unwrap_or("SHA-1, by default"));
            Err(DecryptionError::OaepNotOffered { digest: text(digest), mask: text(mask) })
        }
    }
}

/// XML Encryption 1.1, 3.3. SECURITY: no CipherReference, which has us fetch what the sender names.
fn cipher_value(data: Node<'_, '_>) -> Result<Vec<u8>, DecryptionError> {
    let mut parts = Children::of(data, XENC, &[])?;
    if parts.next_if("CipherReference").is_some() {
        return Err(DecryptionError::Unexpected {
            parent: "CipherData".to_owned(),
            found: "CipherReference".to_owned(),
        });
    }
    let value = base64(parts.next("CipherValue")?, &[])?;
    parts.end()?;
    Ok(value)
}

impl Cipher {
    fn key_octets(self) -> usize {
        match self {
            Self::Gcm(algorithm) => algorithm.key_len(),
            Self::Cbc(_, octets) => octets,
        }
    }

    fn decrypt(self, key: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
        match self {
            // XML Encryption 1.1, 5.2.4: nonce, ciphertext, tag of 128 bits.
            Self::Gcm(algorithm) => {
                let (nonce, sealed) = ciphertext.split_at_checked(GCM_NONCE)?;
                let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
                let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
                let mut sealed = sealed.to_vec();
                let length = key.open_in_place(nonce, Aad::empty(), &mut sealed).ok()?.len();
                sealed.truncate(length);
                Some(sealed)
            }
            // XML Encryption 1.1, 5.2.2: IV, ciphertext.
            Self::Cbc(algorithm, _) => {
                let (iv, blocks) = ciphertext.split_first_chunk::<BLOCK>()?;
                let key = DecryptingKey::cbc(UnboundCipherKey::new(algorithm, key).ok()?).ok()?;
                let mut blocks = blocks.to_vec();
                key.decrypt(&mut blocks, DecryptionContext::Iv128(FixedLength::from(iv))).ok()?;
                // XML Encryption 1.1, 5.2.1: the last octet counts the padding, the others of it are anything.
                // SECURITY: a count that cannot be is no error of its own, which would be the padding oracle
                // (Vaudenay; Jager and Somorovsky, "How to break XML encryption"). Then the end of the last tag
                // goes, and the rest of the way is gone, to fail where every other forgery fails.
                let count = blocks.last().copied().map(usize::from)?;
                let padding = if (1..=BLOCK).contains(&count) { count } else { BLOCK };
                blocks.truncate(blocks.len().checked_sub(padding)?);
                Some(blocks)
            }
        }
    }
}

#[cfg(test)]
mod tests;
