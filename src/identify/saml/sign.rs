//! What we sign: messages and metadata by an enveloped signature, query strings by a plain one.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::algorithm::{Hash, Scheme, SignatureMethod};
use super::canonical::{EXCLUSIVE, canonical};
use super::keys::{KeyKind, Pair, SigningKey};
use super::signature::{ENVELOPED, id_of, signature_of};
use super::xml::{DSIG, SAML, Tree};
use crate::model::Fault;

/// A message of ours that could not be signed. Each of them is a bug of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    #[error("what is to be signed is no XML that narthex reads")]
    NotXml,
    #[error("what is to be signed has no ID, or one that XML does not allow")]
    IdMissing,
    #[error("what is to be signed has a signature already")]
    SignedAlready,
    #[error("what is to be signed is empty")]
    Empty,
    #[error("the key did not sign")]
    Backend,
}

impl SignError {
    /// The variant's name for metrics, logs and `explain`; stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotXml => "sign_not_xml",
            Self::IdMissing => "sign_id_missing",
            Self::SignedAlready => "sign_signed_already",
            Self::Empty => "sign_empty",
            Self::Backend => "sign_backend",
        }
    }

    /// Who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::Us
    }
}

/// Signs the document element of `xml` by its `ID` (SAML Core 2.0, 5.4): the same text with a Signature in it,
/// right after the Issuer (where the schemas of SAML Core 2.0, 2.3.3 and 3.2.1 want it), or as the first child where
/// there is no Issuer (SAML Metadata 2.0, 2.3.1).
pub fn sign_enveloped(xml: &str, key: &SigningKey) -> Result<String, SignError> {
    // A carriage return would be none in the tree, and all places behind it others.
    if xml.contains('\r') {
        return Err(SignError::NotXml);
    }
    let tree = Tree::parse(xml.as_bytes(), xml.len()).map_err(|_| SignError::NotXml)?;
    let root = tree.root().map_err(|_| SignError::NotXml)?;
    let id = id_of(root).map_err(|_| SignError::IdMissing)?;
    if !matches!(signature_of(root), Ok(None)) {
        return Err(SignError::SignedAlready);
    }
    // XML Schema 1.0 part 2, 3.3.7; and nothing of it needs escaping below.
    if !id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')) {
        return Err(SignError::IdMissing);
    }
    let digest = canonical(&tree, root, &[], &[]).map_err(|_| SignError::NotXml)?;
    let digest = STANDARD.encode(Hash::Sha256.digest(&digest));
    let method = method(key).uri();
    let hash = Hash::Sha256.uri();

    // Written as its own canonical form (Exclusive XML Canonicalization 1.0, 3): what is signed is what is sent.
    let signed_info = format!(
        "<ds:SignedInfo xmlns:ds=\"{DSIG}\">\
         <ds:CanonicalizationMethod Algorithm=\"{EXCLUSIVE}\"></ds:CanonicalizationMethod>\
         <ds:SignatureMethod Algorithm=\"{method}\"></ds:SignatureMethod>\
         <ds:Reference URI=\"#{id}\">\
         <ds:Transforms>\
         <ds:Transform Algorithm=\"{ENVELOPED}\"></ds:Transform>\
         <ds:Transform Algorithm=\"{EXCLUSIVE}\"></ds:Transform>\
         </ds:Transforms>\
         <ds:DigestMethod Algorithm=\"{hash}\"></ds:DigestMethod>\
         <ds:DigestValue>{digest}</ds:DigestValue>\
         </ds:Reference>\
         </ds:SignedInfo>"
    );
    let (_, value) = sign_bytes(signed_info.as_bytes(), key)?;
    let value = STANDARD.encode(value);
    let certificate = STANDARD.encode(key.certificate_der());
    let signature = format!(
        "<ds:Signature xmlns:ds=\"{DSIG}\">{signed_info}\
         <ds:SignatureValue>{value}</ds:SignatureValue>\
         <ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>\
         </ds:Signature>"
    );
    let issuer = root.children().next().filter(|first| first.is(SAML, "Issuer"));
    let place = match issuer {
        Some(issuer) => issuer.source().map(|range| range.end),
        None => root.first_content().map(|range| range.start),
    };
    let (before, after) = place.and_then(|place| xml.split_at_checked(place)).ok_or(SignError::Empty)?;
    Ok([before, &signature, after].concat())
}

/// Signs bytes (HTTP redirect binding, SAML Bindings 2.0, 3.4.4.1): the algorithm's URI and the signature.
pub fn sign_bytes(message: &[u8], key: &SigningKey) -> Result<(&'static str, Vec<u8>), SignError> {
    let random = SystemRandom::new();
    let signature = match key.pair() {
        Pair::Rsa(pair) => {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(|_| SignError::Backend)?;
            signature
        }
        Pair::Ecdsa(_, pair) => {
            pair.sign(&random, message).map_err(|_| SignError::Backend)?.as_ref().to_vec()
        }
    };
    Ok((method(key).uri(), signature))
}

/// The URI of the algorithm that `key` signs by, for what has to say so before it is signed.
#[must_use]
pub fn algorithm(key: &SigningKey) -> &'static str {
    method(key).uri()
}

/// RSA with SHA-256, which every identity provider knows; a curve with the digest of its length.
fn method(key: &SigningKey) -> SignatureMethod {
    match key.pair() {
        Pair::Rsa(_) | Pair::Ecdsa(KeyKind::Rsa, _) => SignatureMethod(Scheme::Pkcs1, Hash::Sha256),
        Pair::Ecdsa(KeyKind::P256, _) => SignatureMethod(Scheme::Ecdsa, Hash::Sha256),
        Pair::Ecdsa(KeyKind::P384, _) => SignatureMethod(Scheme::Ecdsa, Hash::Sha384),
        Pair::Ecdsa(KeyKind::P521, _) => SignatureMethod(Scheme::Ecdsa, Hash::Sha512),
    }
}
