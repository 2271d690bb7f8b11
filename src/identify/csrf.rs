//! The proof that a form was sent by our own page for this session, and not by somebody else's.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::SessionHash;
use crate::platform::KeyRing;
use crate::platform::crypto::{Mac, Purpose};

/// Makes and checks CSRF tokens; one per session, nothing is stored.
#[derive(Clone)]
pub struct Csrf {
    mac: Mac,
}

impl Csrf {
    #[must_use]
    pub fn new(keys: &KeyRing) -> Self {
        Self { mac: keys.mac(Purpose::Csrf) }
    }

    /// The token of this session: 22 characters of base64url.
    #[must_use]
    pub fn token(&self, session: &SessionHash) -> String {
        URL_SAFE_NO_PAD.encode(self.mac.tag(&session.0))
    }

    /// Whether `token` is this session's; compared in constant time.
    #[must_use]
    pub fn is_valid(&self, session: &SessionHash, token: &str) -> bool {
        URL_SAFE_NO_PAD.decode(token).is_ok_and(|tag| self.mac.verify(&session.0, &tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionHash = SessionHash([7; 32]);

    fn csrf() -> Csrf {
        Csrf::new(&KeyRing::new(&[1; 32]))
    }

    #[test]
    fn a_sessions_own_token_is_valid() {
        let token = csrf().token(&SESSION);
        assert_eq!(token.len(), 22);
        assert!(csrf().is_valid(&SESSION, &token));
    }

    #[test]
    fn the_token_of_another_session_or_key_is_not() {
        let other_session = csrf().token(&SessionHash([8; 32]));
        let other_key = Csrf::new(&KeyRing::new(&[2; 32])).token(&SESSION);
        for token in [other_session.as_str(), &other_key, "", "AAAAAAAAAAAAAAAAAAAAAA", "%"] {
            assert!(!csrf().is_valid(&SESSION, token), "{token}");
        }
        let mut longer = csrf().token(&SESSION);
        longer.push_str("AA");
        assert!(!csrf().is_valid(&SESSION, &longer));
    }
}
