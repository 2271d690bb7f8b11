//! Identifiers as types of their own, so that one kind never stands where another is wanted.

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The configured name of one identity provider: 1 to 32 of `a-z`, `0-9` and `-`, as it stands in URLs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdpId(String);

impl IdpId {
    /// Under which people are members whom a SCIM client pushed. No `[[idp]]` may be called so.
    #[must_use]
    pub fn scim() -> Self {
        Self("scim".to_owned())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdpId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let fits = (1..=32).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidId) }
    }
}

impl TryFrom<String> for IdpId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<IdpId> for String {
    fn from(id: IdpId) -> Self {
        id.0
    }
}

impl fmt::Display for IdpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no identifier of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is 1 to 32 characters of a-z, 0-9 and '-'")]
pub struct InvalidId;

/// Who a person is at one identity provider (`sub`, or the claim named by `subject`). 1 to 255 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Subject(String);

impl Subject {
    /// OIDC Core 2 (`sub`): at most 255 ASCII characters; other values of that length pass, control
    /// characters do not.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=255).contains(&text.len()) && !text.chars().any(char::is_control);
        fits.then(|| Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The application's own id of an account. Comes only from the application's answers, never from an
/// identity provider (PROVISIONING.md F10).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountId(pub String);

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// narthex's own id of a member (UUID version 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemberId(pub Uuid);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// SHA-256 of a session cookie's value: the only form in which a session id is kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionHash(pub [u8; 32]);

impl SessionHash {
    /// 64 hexadecimal digits, as administrators name a session.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex(self.0)
    }

    /// The reverse of [`SessionHash::to_hex`].
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        unhex(text).map(Self)
    }
}

impl super::ConsoleHash {
    /// 64 hexadecimal digits, as administrators name a session.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex(self.0)
    }

    /// The reverse of [`super::ConsoleHash::to_hex`].
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        unhex(text).map(Self)
    }
}

fn hex(bytes: [u8; 32]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// SHA-256 of a login's `state`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StateHash(pub [u8; 32]);

/// SHA-256 of the login cookie that names one browser.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BrowserHash(pub [u8; 32]);

macro_rules! short_debug {
    ($($name:path),*) => {$(
        impl fmt::Debug for $name {
            /// The first four bytes: enough to follow one in a log, too few to be of use.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let [a, b, c, d, ..] = self.0;
                write!(f, "{a:02x}{b:02x}{c:02x}{d:02x}")
            }
        }
    )*};
}
short_debug!(SessionHash, StateHash, BrowserHash, super::ConsoleHash);

/// What a person reads out to an administrator: 12 characters, and the key under which the log has the
/// whole story.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ErrorId(String);

impl ErrorId {
    /// From 8 random bytes; Crockford's base 32, without letters that look alike.
    #[must_use]
    pub fn from_random(bytes: [u8; 8]) -> Self {
        const ALPHABET: [char; 32] = [
            '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'j',
            'k', 'm', 'n', 'p', 'q', 'r', 's', 't', 'v', 'w', 'x', 'y', 'z',
        ];
        let mut bits = u64::from_be_bytes(bytes);
        let text = (0..12)
            .filter_map(|_| {
                let index = usize::try_from(bits & 31).ok()?;
                bits >>= 5;
                ALPHABET.get(index)
            })
            .collect();
        Self(text)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ErrorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One request's id in logs and in `X-Request-Id`: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
