//! The provider's signing keys: JWS in compact form (RFC 7515), published as a JWK set (RFC 7517).

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::platform::crypto::sha256;

/// How ID tokens are signed (RFC 7518, 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Es256,
    Rs256,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }
}

/// A key could not be made, or signing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cryptographic library refused to make a key or a signature")]
pub struct KeyFailure;

#[derive(Clone)]
pub(super) struct SigningKey {
    kid: String,
    pair: Pair,
}

#[derive(Clone)]
enum Pair {
    Ec(Arc<EcdsaKeyPair>),
    Rsa(Arc<RsaKeyPair>),
}

impl SigningKey {
    pub(super) fn generate(algorithm: Algorithm) -> Result<Self, KeyFailure> {
        let pair = match algorithm {
            Algorithm::Es256 => Pair::Ec(Arc::new(
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| KeyFailure)?,
            )),
            Algorithm::Rs256 => {
                Pair::Rsa(Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyFailure)?))
            }
        };
        let mut key = Self { kid: String::new(), pair };
        // RFC 7638: the thumbprint is over the members in alphabetical order, which is how they stand here.
        key.kid = encode(&sha256(Value::Object(key.public_members()?).to_string().as_bytes()));
        Ok(key)
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match self.pair {
            Pair::Ec(_) => Algorithm::Es256,
            Pair::Rsa(_) => Algorithm::Rs256,
        }
    }

    fn public_members(&self) -> Result<Map<String, Value>, KeyFailure> {
        let mut members = Map::new();
        match &self.pair {
            Pair::Ec(pair) => {
                // SEC 1, 2.3.3: 04, then x and y of 32 bytes each.
                let (x, y) = match pair.public_key().as_ref().split_first() {
                    Some((4, point)) => point.split_at_checked(32).ok_or(KeyFailure)?,
                    _ => return Err(KeyFailure),
                };
                members.insert("crv".into(), "P-256".into());
                members.insert("kty".into(), "EC".into());
                members.insert("x".into(), encode(x).into());
                members.insert("y".into(), encode(y).into());
            }
            Pair::Rsa(pair) => {
                let public = pair.public_key();
                members
                    .insert("e".into(), encode(public.exponent().big_endian_without_leading_zero()).into());
                members.insert("kty".into(), "RSA".into());
                members.insert("n".into(), encode(public.modulus().big_endian_without_leading_zero()).into());
            }
        }
        Ok(members)
    }

    fn jwk(&self) -> Result<Value, KeyFailure> {
        let mut members = self.public_members()?;
        members.insert("kid".into(), self.kid.clone().into());
        members.insert("use".into(), "sig".into());
        members.insert("alg".into(), self.algorithm().name().into());
        Ok(Value::Object(members))
    }

    pub(super) fn header(&self) -> Value {
        json!({ "alg": self.algorithm().name(), "kid": self.kid, "typ": "JWT" })
    }

    pub(super) fn sign(&self, header: &Value, claims: &Value) -> Result<String, KeyFailure> {
        let signed =
            format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = match &self.pair {
            Pair::Ec(pair) => {
                pair.sign(&SystemRandom::new(), signed.as_bytes()).map_err(|_| KeyFailure)?.as_ref().to_vec()
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
                    .map_err(|_| KeyFailure)?;
                signature
            }
        };
        Ok(format!("{signed}.{}", encode(&signature)))
    }

    fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        match &self.pair {
            Pair::Ec(pair) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref())
                .verify(signed, signature),
            Pair::Rsa(pair) => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref())
                    .verify(signed, signature)
            }
        }
        .is_ok()
    }
}

/// The current key, and those before it that are still published.
pub(super) struct KeySet {
    current: SigningKey,
    older: Vec<SigningKey>,
}

/// So many keys before the current one stay published.
const MAX_OLDER: usize = 3;

impl KeySet {
    pub(super) fn generate() -> Result<Self, KeyFailure> {
        Ok(Self { current: SigningKey::generate(Algorithm::Es256)?, older: Vec::new() })
    }

    pub(super) fn current(&self) -> &SigningKey {
        &self.current
    }

    /// A fresh key signs from now on; the one before stays published unless `forget`.
    pub(super) fn rotate(&mut self, algorithm: Algorithm, forget: bool) -> Result<(), KeyFailure> {
        let before = std::mem::replace(&mut self.current, SigningKey::generate(algorithm)?);
        self.older.insert(0, before);
        self.older.truncate(if forget { 0 } else { MAX_OLDER });
        Ok(())
    }

    pub(super) fn jwks(&self) -> Result<Value, KeyFailure> {
        let keys = std::iter::once(&self.current)
            .chain(&self.older)
            .map(SigningKey::jwk)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(json!({ "keys": keys }))
    }

    /// The claims of a token that one of these keys signed, whether expired or not: an `id_token_hint`
    /// (OIDC RP-Initiated Logout 1.0, 2: "The OP SHOULD accept ID Tokens when the RP identified by the ID
    /// Token's aud claim and/or sid claim has a current session or had a recent session at the OP, even
    /// when the exp time has passed").
    pub(super) fn own_claims(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
        let signature = decode(signature)?;
        let kid = header.get("kid")?.as_str()?;
        std::iter::once(&self.current)
            .chain(&self.older)
            .find(|key| key.kid == kid)
            // SECURITY: the key says which algorithm it is for; what the token says of it is not asked
            // (RFC 8725, 3.1).
            .filter(|key| key.verifies(signed.as_bytes(), &signature))?;
        serde_json::from_slice(&decode(claims)?).ok()
    }
}

/// Base 64 as RFC 7515, 2 has it: URL-safe, without padding.
pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
