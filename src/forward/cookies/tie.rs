//! What ties a cookie of the application to a session of ours: a tag in its name, a seal in its value.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::SessionHash;
use crate::platform::KeyRing;
use crate::platform::crypto::{Mac, Purpose};

/// The tag where there is no session of ours.
const ANONYMOUS: &[u8] = b"anonymous";
/// Characters of a seal: 16 bytes as base64url, whose characters every part of a cookie may have (RFC 6265, 4.1.1).
///
/// Half of what HMAC-SHA-256 gives, below which it should not be cut (RFC 2104, 5); and no more, since browsers take
/// names and values of 4,096 bytes together.
const SEAL: usize = 22;
/// Characters of a session's tag.
const DIGITS: usize = 8;

/// Ties cookies. The same cookie in the same session is always tied alike, on every replica and after every restart.
#[derive(Debug, Clone)]
pub(super) struct Tie {
    /// Apart, since it is large, and what starts a configuration carries it around.
    mac: Box<Mac>,
}

/// A value that the application gave, between the parts of which the seal stood.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'a> {
    /// A quotation mark at its beginning, before the seal: so a quoted value stays one (RFC 6265, 4.1.1).
    quote: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Value<'a> {
    pub(super) fn of(text: &'a [u8]) -> Self {
        let (quote, rest) =
            text.split_at_checked(usize::from(text.starts_with(b"\""))).unwrap_or((b"", text));
        Self { quote, rest }
    }

    pub(super) fn push_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.quote);
        out.extend_from_slice(self.rest);
    }
}

impl Tie {
    pub(super) fn new(keys: &KeyRing) -> Self {
        Self { mac: Box::new(keys.mac(Purpose::ApplicationCookie)) }
    }

    /// The cookie as it is in the browser: `NAME.TAG=SEALvalue`, or `NAME.TAG="SEALvalue"`.
    pub(super) fn tied(
        &self,
        session: Option<&SessionHash>,
        name: &[u8],
        value: Value<'_>,
    ) -> Option<Vec<u8>> {
        let seal = self.seal(session, name, value)?;
        Some([name, b".", Tag::of(session).as_bytes(), b"=", value.quote, &seal, value.rest].concat())
    }

    /// What the application gave under this name in this session, if `sealed` is that.
    pub(super) fn untied<'a>(
        &self,
        session: Option<&SessionHash>,
        name: &[u8],
        sealed: &'a [u8],
    ) -> Option<Value<'a>> {
        let Value { quote, rest } = Value::of(sealed);
        let (theirs, rest) = rest.split_at_checked(SEAL)?;
        let value = Value { quote, rest };
        let ours = self.seal(session, name, value)?;
        bool::from(subtle::ConstantTimeEq::ct_eq(ours.as_slice(), theirs)).then_some(value)
    }

    /// Of the whole hash, not only of what the tag shows of it.
    fn seal(&self, session: Option<&SessionHash>, name: &[u8], value: Value<'_>) -> Option<[u8; SEAL]> {
        let session = session.map_or(&[][..], |hash| hash.0.as_slice());
        let mac = self.mac.tag_of(&[session, name, value.quote, value.rest]);
        let mut seal = [0; SEAL];
        URL_SAFE_NO_PAD.encode_slice(mac, &mut seal).ok()?;
        Some(seal)
    }
}

/// Which session a cookie was set in, as its name shows it: so those of several sessions are beside each other in a
/// browser, and only those of this one are looked at closer.
pub(super) enum Tag {
    /// Hexadecimal digits of the hash, which say nothing of the id.
    Session([u8; DIGITS]),
    Anonymous,
}

impl Tag {
    pub(super) fn of(session: Option<&SessionHash>) -> Self {
        let Some(SessionHash([a, b, c, d, ..])) = session else { return Self::Anonymous };
        let [a, b, c, d] = [a, b, c, d].map(|byte| [digit(byte / 16), digit(byte % 16)]);
        Self::Session([a[0], a[1], b[0], b[1], c[0], c[1], d[0], d[1]])
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Session(digits) => digits,
            Self::Anonymous => ANONYMOUS,
        }
    }

    /// A name in the browser as the application's name and the tag, where it has the form of both.
    pub(super) fn split_from(name: &[u8]) -> Option<(&[u8], &[u8])> {
        let dot = name.iter().rposition(|byte| *byte == b'.')?;
        let (name, tag) = (name.get(..dot)?, name.get(dot + 1..)?);
        let is_session =
            || tag.len() == DIGITS && tag.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (tag == ANONYMOUS || is_session()).then_some((name, tag))
    }
}

fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sessions_tag_is_the_beginning_of_its_hash_as_the_log_has_it() {
        let mut hash = [7; 32];
        hash[..4].copy_from_slice(&[0x09, 0xaf, 0x90, 0xf1]);
        let hash = SessionHash(hash);
        assert_eq!(Tag::of(Some(&hash)).as_bytes(), format!("{hash:?}").as_bytes());
        assert_eq!(Tag::of(Some(&hash)).as_bytes(), b"09af90f1");
        assert_eq!(Tag::of(None).as_bytes(), b"anonymous");
    }

    #[test]
    fn a_name_in_the_browser_is_the_applications_with_a_tag() {
        for (name, parts) in [
            ("a.09af90f1", Some(("a", "09af90f1"))),
            ("a.b.anonymous", Some(("a.b", "anonymous"))),
            (".anonymous", Some(("", "anonymous"))),
            ("a", None),
            ("a.", None),
            ("anonymous", None),
            ("a.09AF90F1", None),
            ("a.09af90f", None),
            ("a.09af90f12", None),
            ("a.anonymous.", None),
        ] {
            let parts: Option<(&[u8], &[u8])> = parts.map(|(name, tag)| (name.as_bytes(), tag.as_bytes()));
            assert_eq!(Tag::split_from(name.as_bytes()), parts, "{name}");
        }
    }
}
