//! Digests, message authentication and sealing, each for one named purpose.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf, hmac};

use super::entropy::{Entropy, NoEntropy};

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest::digest(&digest::SHA256, bytes).as_ref()) {
        *to = *from;
    }
    out
}

/// What a key is for. Each purpose gets a key of its own from the configured one (HKDF, RFC 5869), so that
/// what was made for one purpose is worth nothing for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    SessionCookie,
    LoginCookie,
    LoginState,
    Csrf,
    /// Keys of ours that lie in the store.
    StoredKey,
    /// ID tokens kept as logout hints.
    LogoutHint,
    /// A verified identity that waits for `/login/resume`.
    ParkedIdentity,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::SessionCookie => b"narthex session cookie v1",
            Self::LoginCookie => b"narthex login cookie v1",
            Self::LoginState => b"narthex login state v1",
            Self::Csrf => b"narthex csrf v1",
            Self::StoredKey => b"narthex stored key v1",
            Self::LogoutHint => b"narthex logout hint v1",
            Self::ParkedIdentity => b"narthex parked identity v1",
        }
    }
}

/// The keys that everything sealed and authenticated hangs on, derived from `keys.seal`.
#[derive(Clone)]
pub struct KeyRing {
    root: std::sync::Arc<hkdf::Prk>,
}

/// A sealed text that is not ours, was changed, or was sealed for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not sealed by this key for this purpose, or changed since")]
pub struct Unsealable;

struct KeyLength;

impl hkdf::KeyType for KeyLength {
    fn len(&self) -> usize {
        32
    }
}

impl KeyRing {
    /// From at least 32 secret bytes (checked where the configuration is read).
    #[must_use]
    pub fn new(seal: &[u8]) -> Self {
        Self { root: std::sync::Arc::new(hkdf::Salt::new(hkdf::HKDF_SHA256, b"narthex").extract(seal)) }
    }

    fn derive(&self, purpose: Purpose) -> [u8; 32] {
        let mut key = [0; 32];
        let filled = self.root.expand(&[purpose.label()], KeyLength).and_then(|okm| okm.fill(&mut key));
        debug_assert!(filled.is_ok(), "32 bytes are within HKDF's limit");
        key
    }

    /// The key for HMAC-SHA-256 under `purpose`; keep it, deriving costs.
    #[must_use]
    pub fn mac(&self, purpose: Purpose) -> Mac {
        Mac(hmac::Key::new(hmac::HMAC_SHA256, &self.derive(purpose)))
    }

    /// Encrypts and authenticates (AES-256-GCM, random nonce first). `context` must be the same when opened.
    ///
    /// # Errors
    /// Where the random source fails.
    pub fn seal(
        &self,
        purpose: Purpose,
        context: &[u8],
        plain: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, NoEntropy> {
        let nonce: [u8; NONCE_LEN] = entropy.bytes()?;
        let key = self.aead(purpose).ok_or(NoEntropy)?;
        let mut sealed = plain.to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut sealed)
            .map_err(|_| NoEntropy)?;
        let mut out = nonce.to_vec();
        out.append(&mut sealed);
        Ok(out)
    }

    /// Opens what [`KeyRing::seal`] made.
    ///
    /// # Errors
    /// One and the same for whatever is wrong.
    pub fn open(&self, purpose: Purpose, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Unsealable> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(Unsealable)?;
        let key = self.aead(purpose).ok_or(Unsealable)?;
        let mut body = body.to_vec();
        let plain = key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(context), &mut body)
            .map_err(|_| Unsealable)?
            .len();
        body.truncate(plain);
        Ok(body)
    }

    fn aead(&self, purpose: Purpose) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, &self.derive(purpose)).ok().map(LessSafeKey::new)
    }
}

/// Message authentication for one purpose.
#[derive(Clone)]
pub struct Mac(hmac::Key);

impl Mac {
    /// HMAC-SHA-256, the first 16 bytes.
    ///
    /// SECURITY: lesson 15. One field only, or fields of fixed length: nothing here joins texts that could
    /// be cut elsewhere.
    #[must_use]
    pub fn tag(&self, message: &[u8]) -> [u8; 16] {
        let mut out = [0; 16];
        for (to, from) in out.iter_mut().zip(hmac::sign(&self.0, message).as_ref()) {
            *to = *from;
        }
        out
    }

    /// Compares in constant time.
    #[must_use]
    pub fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.tag(message).as_slice(), tag).into()
    }
}
