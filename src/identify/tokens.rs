//! Texts that only we can have made: random bytes with their MAC, all of one length.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::platform::crypto::Mac;

/// Issues and recognises texts of `N` random bytes, for one purpose. A forged one never reaches the store.
pub struct Tokens<const N: usize> {
    mac: Mac,
}

/// Bytes of [`Mac::tag`].
const TAG: usize = 16;

impl<const N: usize> Tokens<N> {
    /// Characters of a text: base64url without padding.
    pub const LENGTH: usize = ((N + TAG) * 4).div_ceil(3);

    #[must_use]
    pub fn new(mac: Mac) -> Self {
        Self { mac }
    }

    /// The text of these random bytes.
    #[must_use]
    pub fn issue(&self, random: [u8; N]) -> String {
        URL_SAFE_NO_PAD.encode([random.as_slice(), &self.mac.tag(&random)].concat())
    }

    /// Whether [`Tokens::issue`] made `text`, in this very spelling (the decoder refuses all others).
    #[must_use]
    pub fn is_ours(&self, text: &str) -> bool {
        // Longer ones are not even decoded.
        if text.len() != Self::LENGTH {
            return false;
        }
        URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| {
            bytes.split_first_chunk::<N>().is_some_and(|(random, tag)| self.mac.verify(random, tag))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::KeyRing;
    use crate::platform::crypto::Purpose;

    fn tokens(seal: u8) -> Tokens<32> {
        Tokens::new(KeyRing::new(&[seal; 32]).mac(Purpose::SessionCookie))
    }

    #[test]
    fn invariant_10_a_text_is_fixed_in_size_and_ours_for_its_key_and_purpose_only() {
        let text = tokens(1).issue([7; 32]);
        assert_eq!((text.len(), Tokens::<32>::LENGTH), (64, 64));
        assert!(tokens(1).is_ours(&text));
        assert!(!tokens(2).is_ours(&text));
        assert!(!Tokens::<32>::new(KeyRing::new(&[1; 32]).mac(Purpose::LoginCookie)).is_ours(&text));
    }

    #[test]
    fn a_text_changed_in_any_place_is_forged() {
        let text = tokens(1).issue([7; 32]);
        for at in 0..text.len() {
            let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
            let forged = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert!(!tokens(1).is_ours(&forged), "at {at}");
        }
        for forged in
            ["", "A", &text[1..], &format!("{text}A"), &text[..48], &"A".repeat(64), &"=".repeat(64)]
        {
            assert!(!tokens(1).is_ours(forged), "{forged}");
        }
    }
}
