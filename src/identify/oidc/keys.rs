//! The provider's public keys (JWK Set, RFC 7517): which of them may have signed a token, and whether one did.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::error::{OidcError, shown};
use super::jws::{Jws, name_of};

/// Of a longer key set only so many are looked at (SECURITY.md 9).
const MAX_KEYS: usize = 100;
/// RFC 7518, 3.3: RSA keys of 2048 bits or larger; beyond 8192 the cost is an attack.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The usable keys of one JWK Set.
pub struct KeySet {
    keys: Vec<Key>,
}

struct Key {
    kid: Option<String>,
    shape: Shape,
    /// The one algorithm that the key says it is for.
    algorithm: Option<Algorithm>,
    decoding: DecodingKey,
}

/// Type and curve of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl KeySet {
    /// Reads a key set, keeping the keys that can verify one of `allowed`. The others are passed over, as
    /// RFC 7517, 5 wants it.
    ///
    /// # Errors
    /// Where it is no key set, or no key of it is of use.
    pub fn parse(body: &[u8], allowed: &[Algorithm]) -> Result<Self, OidcError> {
        let set: Map<String, Value> = serde_json::from_slice(body).map_err(|_| OidcError::KeysMalformed)?;
        let Some(Value::Array(keys)) = set.get("keys") else { return Err(OidcError::KeysMalformed) };
        let keys: Vec<Key> = keys
            .iter()
            .take(MAX_KEYS)
            .filter_map(|key| Key::of_jwk(key.as_object()?))
            .filter(|key| allowed.iter().any(|algorithm| key.fits(*algorithm)))
            .collect();
        if keys.is_empty() { Err(OidcError::NoUsableKey) } else { Ok(Self { keys }) }
    }

    /// Verifies the signature of `token`.
    ///
    /// # Errors
    /// Where no key fits, several would, or the signature is wrong.
    pub fn verify(&self, token: &Jws<'_>) -> Result<(), OidcError> {
        let algorithm = token.algorithm();
        let fitting = self.keys.iter().filter(|key| key.fits(algorithm));
        let named: Vec<&Key> = match token.kid() {
            // RFC 7517, 4.5: keys of different types may share a `kid`, so it is type first, then name.
            Some(kid) => fitting.filter(|key| key.kid.as_deref() == Some(kid)).collect(),
            None => fitting.collect(),
        };
        match (token.kid(), named.len()) {
            (kid, 0) => Err(OidcError::KeyUnknown {
                kid: shown(kid.unwrap_or_default()),
                algorithm: name_of(algorithm),
            }),
            // OpenID Connect Core 10.1: with several keys in the set a `kid` must be given. Trying all
            // would let any of them speak where the signer meant one.
            (None, count @ 2..) => Err(OidcError::KeyAmbiguous { count, algorithm: name_of(algorithm) }),
            _ if named.iter().any(|key| token.is_signed_by(&key.decoding)) => Ok(()),
            _ => Err(OidcError::SignatureInvalid),
        }
    }
}

impl Key {
    /// `None` where it is not a public key for signatures of a kind that is known here.
    ///
    /// SECURITY: a symmetric key (`oct`) in a published set is everybody's; it is never used. RFC 8725, 3.1:
    /// a key is used with the algorithms of its type only, so an RSA key can never serve as HMAC secret.
    fn of_jwk(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| jwk.get(name).map(|value| value.as_str());
        // RFC 7517, 4.2 and 4.3: `use` and `key_ops`, where given, must be for verifying.
        if !matches!(text("use"), None | Some(Some("sig"))) {
            return None;
        }
        match jwk.get("key_ops") {
            None => {}
            Some(Value::Array(operations)) if operations.iter().any(|op| op == "verify") => {}
            Some(_) => return None,
        }
        let algorithm = match text("alg") {
            None => None,
            Some(name) => Some(Algorithm::from_str(name?).ok()?),
        };
        let kid = match text("kid") {
            None => None,
            Some(kid) => Some(kid?.to_owned()),
        };
        let member = |name: &str| URL_SAFE_NO_PAD.decode(text(name)??).ok();
        let (shape, decoding) = match (text("kty")??, text("crv").flatten()) {
            ("RSA", _) => {
                let (n, e) = (member("n")?, member("e")?);
                if !RSA_BITS.contains(&bits(&n)) {
                    return None;
                }
                (Shape::Rsa, DecodingKey::from_rsa_raw_components(&n, &e))
            }
            ("EC", Some(curve)) => {
                let (shape, length) = match curve {
                    "P-256" => (Shape::P256, 32),
                    "P-384" => (Shape::P384, 48),
                    _ => return None,
                };
                let (x, y) = (member("x")?, member("y")?);
                // RFC 7518, 6.2.1.2: the length is that of the curve, leading zeros included.
                if x.len() != length || y.len() != length {
                    return None;
                }
                (shape, DecodingKey::from_ec_der(&[[4].as_slice(), &x, &y].concat()))
            }
            ("OKP", Some("Ed25519")) => (Shape::Ed25519, DecodingKey::from_ed_der(&member("x")?)),
            _ => return None,
        };
        Some(Self { kid, shape, algorithm, decoding })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        shape_for(algorithm) == Some(self.shape) && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

/// The keys that `algorithm` takes (RFC 7518, 3.1; RFC 8037, 3.1); `None` for those with a shared secret.
fn shape_for(algorithm: Algorithm) -> Option<Shape> {
    match algorithm {
        Algorithm::RS256
        | Algorithm::RS384
        | Algorithm::RS512
        | Algorithm::PS256
        | Algorithm::PS384
        | Algorithm::PS512 => Some(Shape::Rsa),
        Algorithm::ES256 => Some(Shape::P256),
        Algorithm::ES384 => Some(Shape::P384),
        Algorithm::EdDSA => Some(Shape::Ed25519),
        // The secret ones, and whatever the library may learn one day.
        _ => None,
    }
}

/// The length of a big-endian number in bits, without leading zeros.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    match number.get(zeros) {
        None => 0,
        Some(first) => (number.len() - zeros) * 8 - usize::try_from(first.leading_zeros()).unwrap_or(0),
    }
}
