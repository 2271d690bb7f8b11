//! Digests, message authentication and sealing, each for one named purpose.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hmac};
use zeroize::Zeroizing;

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

/// HMAC-SHA-256 under a key that somebody else has too; ours are [`KeyRing::mac`].
#[must_use]
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in
        out.iter_mut().zip(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref())
    {
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
    LogoutState,
    Csrf,
    /// What ties the application's own session cookies to a session of ours.
    ApplicationCookie,
    /// Keys of ours that lie in the store.
    StoredKey,
    /// ID tokens and NameIDs kept as logout hints.
    LogoutHint,
    /// A verified identity that waits for `/login/resume`.
    ParkedIdentity,
    /// Under what it waits.
    ResumeToken,
    /// A SAML response that waits for the browser that it belongs to.
    ParkedResponse,
    /// Under what it waits.
    SamlResult,
    /// Short-lived tokens of the admin API.
    AdminToken,
    /// What an administrator confirms after a preview.
    Confirmation,
    /// As the ones above, for administrators who sign in at the admin API: nothing made for the one is good for the other.
    ConsoleCookie,
    ConsoleLoginCookie,
    ConsoleLoginState,
    ConsoleLogoutState,
    ConsoleSamlResult,
    ConsoleCsrf,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::SessionCookie => b"narthex session cookie v1",
            Self::LoginCookie => b"narthex login cookie v1",
            Self::LoginState => b"narthex login state v1",
            Self::LogoutState => b"narthex logout state v1",
            Self::Csrf => b"narthex csrf v1",
            Self::ApplicationCookie => b"narthex application cookie v1",
            Self::StoredKey => b"narthex stored key v1",
            Self::LogoutHint => b"narthex logout hint v1",
            Self::ParkedIdentity => b"narthex parked identity v1",
            Self::ResumeToken => b"narthex resume token v1",
            Self::ParkedResponse => b"narthex parked response v1",
            Self::SamlResult => b"narthex saml result v1",
            Self::AdminToken => b"narthex admin token v1",
            Self::Confirmation => b"narthex confirmation v1",
            Self::ConsoleCookie => b"narthex console cookie v1",
            Self::ConsoleLoginCookie => b"narthex console login cookie v1",
            Self::ConsoleLoginState => b"narthex console login state v1",
            Self::ConsoleLogoutState => b"narthex console logout state v1",
            Self::ConsoleSamlResult => b"narthex console saml result v1",
            Self::ConsoleCsrf => b"narthex console csrf v1",
        }
    }
}

/// The keys that everything sealed and authenticated hangs on, derived from `keys.seal`.
#[derive(Clone)]
pub struct KeyRing {
    /// HKDF's pseudorandom key.
    root: std::sync::Arc<hmac::Key>,
}

/// A sealed text that is not ours, was changed, or was sealed for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not sealed by this key for this purpose, or changed since")]
pub struct Unsealable;

impl KeyRing {
    /// From at least 32 secret bytes (see [`super::keyfile`]). RFC 5869, 2.2, with the salt `narthex`.
    #[must_use]
    pub fn new(seal: &[u8]) -> Self {
        let root = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"narthex"), seal);
        Self { root: std::sync::Arc::new(hmac::Key::new(hmac::HMAC_SHA256, root.as_ref())) }
    }

    /// RFC 5869, 2.3, for one block, which is all that 32 bytes need.
    ///
    /// SECURITY: written out, since the library's form can fail, and whatever stood in for the key then would
    /// be known to everybody.
    fn derive(&self, purpose: Purpose) -> Zeroizing<[u8; 32]> {
        let mut block = hmac::Context::with_key(&self.root);
        block.update(purpose.label());
        block.update(&[1]);
        let mut key = Zeroizing::new([0; 32]);
        for (to, from) in key.iter_mut().zip(block.sign().as_ref()) {
            *to = *from;
        }
        key
    }

    /// The key for HMAC-SHA-256 under `purpose`; keep it, deriving costs.
    #[must_use]
    pub fn mac(&self, purpose: Purpose) -> Mac {
        Mac(hmac::Key::new(hmac::HMAC_SHA256, self.derive(purpose).as_slice()))
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
        UnboundKey::new(&AES_256_GCM, self.derive(purpose).as_slice()).ok().map(LessSafeKey::new)
    }
}

/// Message authentication for one purpose.
#[derive(Clone)]
pub struct Mac(hmac::Key);

impl std::fmt::Debug for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mac")
    }
}

impl Mac {
    /// HMAC-SHA-256, the first 16 bytes.
    ///
    /// SECURITY: lesson 15. One field only, or fields of fixed length: nothing here joins texts that could
    /// be cut elsewhere.
    #[must_use]
    pub fn tag(&self, message: &[u8]) -> [u8; 16] {
        first_half(&hmac::sign(&self.0, message))
    }

    /// The same over several fields, as many for each message of a purpose.
    ///
    /// SECURITY: lesson 15. Each has its length before it, so that none can be cut elsewhere.
    #[must_use]
    pub fn tag_of(&self, fields: &[&[u8]]) -> [u8; 16] {
        let mut message = hmac::Context::with_key(&self.0);
        for field in fields {
            message.update(&(field.len() as u64).to_be_bytes());
            message.update(field);
        }
        first_half(&message.sign())
    }

    /// Compares in constant time.
    #[must_use]
    pub fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.tag(message).as_slice(), tag).into()
    }
}

fn first_half(whole: &hmac::Tag) -> [u8; 16] {
    let mut out = [0; 16];
    for (to, from) in out.iter_mut().zip(whole.as_ref()) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hkdf;

    use super::*;
    use crate::platform::SystemEntropy;

    const PURPOSES: [Purpose; 10] = [
        Purpose::SessionCookie,
        Purpose::LoginCookie,
        Purpose::LoginState,
        Purpose::Csrf,
        Purpose::ApplicationCookie,
        Purpose::StoredKey,
        Purpose::LogoutHint,
        Purpose::ParkedIdentity,
        Purpose::AdminToken,
        Purpose::Confirmation,
    ];

    fn ring() -> KeyRing {
        let seal: Vec<u8> = (0..32).collect();
        KeyRing::new(&seal)
    }

    fn seal(purpose: Purpose, context: &[u8], plain: &[u8]) -> Vec<u8> {
        ring().seal(purpose, context, plain, &SystemEntropy).unwrap()
    }

    struct Thirty2;

    impl hkdf::KeyType for Thirty2 {
        fn len(&self) -> usize {
            32
        }
    }

    #[test]
    fn keys_are_derived_as_rfc_5869_says() {
        let seal: Vec<u8> = (0..32).collect();
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"narthex").extract(&seal);
        for purpose in PURPOSES {
            let mut key = [0; 32];
            root.expand(&[purpose.label()], Thirty2).unwrap().fill(&mut key).unwrap();
            assert_eq!(*ring().derive(purpose), key, "{purpose:?}");
        }
    }

    #[test]
    fn what_was_made_by_an_earlier_version_stays_good() {
        // Computed elsewhere (Python's hmac). Another value here ends every session at the next update.
        let tag: [u8; 16] =
            [0x80, 0xbd, 0x71, 0x6c, 0xa6, 0xa5, 0x17, 0xff, 0x69, 0x98, 0xa2, 0x51, 0x32, 0x4d, 0xac, 0xa3];
        assert_eq!(ring().mac(Purpose::SessionCookie).tag(b"message"), tag);
    }

    #[test]
    fn lesson_15_fields_cannot_be_cut_elsewhere() {
        let mac = ring().mac(Purpose::ApplicationCookie);
        let tag = mac.tag_of(&[b"ab", b"c"]);
        assert_eq!(tag, mac.tag_of(&[b"ab", b"c"]));
        for fields in [[b"a".as_slice(), b"bc"], [b"abc", b""], [b"", b"abc"], [b"c", b"ab"]] {
            assert_ne!(tag, mac.tag_of(&fields), "{fields:?}");
        }
        assert_ne!(tag, mac.tag(b"abc"));
    }

    #[test]
    fn sha256_is_that_of_fips_180() {
        let expected: [u8; 32] = [
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
            0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
        ];
        assert_eq!(sha256(b"abc"), expected);
    }

    #[test]
    fn what_is_made_for_one_purpose_is_worth_nothing_for_another() {
        for made_for in PURPOSES {
            let sealed = seal(made_for, b"context", b"plain");
            let tag = ring().mac(made_for).tag(b"message");
            for used_for in PURPOSES {
                let same = made_for == used_for;
                assert_eq!(
                    ring().open(used_for, b"context", &sealed).is_ok(),
                    same,
                    "{made_for:?} {used_for:?}"
                );
                assert_eq!(ring().mac(used_for).verify(b"message", &tag), same, "{made_for:?} {used_for:?}");
            }
        }
    }

    #[test]
    fn another_seal_key_opens_and_verifies_nothing() {
        let other = KeyRing::new(&[7; 32]);
        let sealed = seal(Purpose::StoredKey, b"context", b"plain");
        assert_eq!(other.open(Purpose::StoredKey, b"context", &sealed), Err(Unsealable));
        let tag = ring().mac(Purpose::Csrf).tag(b"message");
        assert!(!other.mac(Purpose::Csrf).verify(b"message", &tag));
    }

    #[test]
    fn what_was_sealed_opens_in_its_own_context_only() {
        let sealed = seal(Purpose::LogoutHint, b"session 1", b"plain");
        assert_eq!(
            ring().open(Purpose::LogoutHint, b"session 1", &sealed).as_deref(),
            Ok(b"plain".as_slice())
        );
        for context in [b"session 2".as_slice(), b"session 1 ", b"session", b""] {
            assert_eq!(ring().open(Purpose::LogoutHint, context, &sealed), Err(Unsealable), "{context:?}");
        }
    }

    #[test]
    fn a_change_of_any_bit_or_length_is_noticed() {
        let sealed = seal(Purpose::ParkedIdentity, b"", b"plain text");
        for place in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[place] ^= 1 << bit;
                assert_eq!(
                    ring().open(Purpose::ParkedIdentity, b"", &changed),
                    Err(Unsealable),
                    "{place}.{bit}"
                );
            }
        }
        for length in 0..sealed.len() {
            assert_eq!(
                ring().open(Purpose::ParkedIdentity, b"", &sealed[..length]),
                Err(Unsealable),
                "{length}"
            );
        }
        let longer = [sealed.as_slice(), &[0]].concat();
        assert_eq!(ring().open(Purpose::ParkedIdentity, b"", &longer), Err(Unsealable));
    }

    #[test]
    fn the_same_text_is_never_sealed_alike_twice() {
        let (one, two) = (seal(Purpose::StoredKey, b"", b"plain"), seal(Purpose::StoredKey, b"", b"plain"));
        assert_ne!(one[..NONCE_LEN], two[..NONCE_LEN]);
        assert_ne!(one[NONCE_LEN..], two[NONCE_LEN..]);
        assert!(!one.windows(5).any(|bytes| bytes == b"plain"));
    }

    #[test]
    fn an_empty_text_can_be_sealed() {
        let sealed = seal(Purpose::StoredKey, b"", b"");
        assert_eq!(ring().open(Purpose::StoredKey, b"", &sealed).as_deref(), Ok(b"".as_slice()));
    }

    #[test]
    fn without_randomness_nothing_is_sealed() {
        struct Dry;
        impl Entropy for Dry {
            fn fill(&self, _: &mut [u8]) -> Result<(), NoEntropy> {
                Err(NoEntropy)
            }
        }
        assert_eq!(ring().seal(Purpose::StoredKey, b"", b"plain", &Dry), Err(NoEntropy));
    }

    #[test]
    fn a_tag_verifies_only_whole_and_for_its_own_message() {
        let mac = ring().mac(Purpose::SessionCookie);
        let tag = mac.tag(b"message");
        assert!(mac.verify(b"message", &tag));
        for message in [b"massage".as_slice(), b"message\0", b"messag", b""] {
            assert!(!mac.verify(message, &tag), "{message:?}");
        }
        for place in 0..tag.len() {
            let mut changed = tag;
            changed[place] ^= 1;
            assert!(!mac.verify(b"message", &changed), "{place}");
            assert!(!mac.verify(b"message", &tag[..place]), "cut at {place}");
        }
        assert!(!mac.verify(b"message", &[tag.as_slice(), &[0]].concat()));
    }
}
