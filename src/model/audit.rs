//! Audit entries as the store keeps them: chained, and what is said of people apart from the rest.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::{IdpId, MemberId, Subject, UnixTime};

/// One run of one process writes one chain of entries (UUID version 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(pub Uuid);

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far a chain had come: whoever notes this down elsewhere can tell later that the entries up to there are
/// still what they were, and still there. Written `chain:sequence:hash`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditHead {
    pub chain: ChainId,
    /// Of the chain's last entry, counted from 1.
    pub sequence: u64,
    /// Of that entry.
    pub hash: [u8; 32],
}

impl fmt::Display for AuditHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.chain, self.sequence, Hex(&self.hash))
    }
}

/// A text that is no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a head is CHAIN:SEQUENCE:HASH as `narthex audit verify` prints it")]
pub struct InvalidHead;

impl FromStr for AuditHead {
    type Err = InvalidHead;

    fn from_str(text: &str) -> Result<Self, InvalidHead> {
        let mut parts = text.split(':');
        let (Some(chain), Some(sequence), Some(hash), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidHead);
        };
        let sequence: u64 = sequence.parse().map_err(|_| InvalidHead)?;
        if sequence == 0 {
            return Err(InvalidHead);
        }
        Ok(Self {
            chain: ChainId(Uuid::try_parse(chain).map_err(|_| InvalidHead)?),
            sequence,
            hash: unhex(hash).ok_or(InvalidHead)?,
        })
    }
}

/// Bytes in lower-case hexadecimal digits.
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// One entry. `hash` covers everything here but what people's parts say; of that, the digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    pub chain: ChainId,
    /// From 1, without gaps.
    pub sequence: u64,
    pub at: UnixTime,
    /// One of the fixed table of events.
    pub event: String,
    pub member: Option<MemberId>,
    /// JSON that says nothing of a person but by `member`.
    pub body: String,
    /// Who did it, where that was a person.
    pub actor: Option<AuditPart>,
    /// The person that it was done to.
    pub about: Option<AuditPart>,
    /// The hash of the chain's entry before; zeros for the first.
    pub previous: [u8; 32],
    pub hash: [u8; 32],
}

impl AuditRecord {
    #[must_use]
    pub fn head(&self) -> AuditHead {
        AuditHead { chain: self.chain, sequence: self.sequence, hash: self.hash }
    }

    /// The part that has this role.
    #[must_use]
    pub fn part(&self, role: PartRole) -> Option<&AuditPart> {
        match role {
            PartRole::Actor => self.actor.as_ref(),
            PartRole::About => self.about.as_ref(),
        }
    }
}

/// What an entry says of one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPart {
    /// Over what was said, with its salt; stays when that is erased.
    pub digest: [u8; 32],
    /// `None` once it was erased (PROVISIONING.md E6).
    pub said: Option<Said>,
}

/// The words of an [`AuditPart`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub whose: Whose,
    /// SECURITY: without it the digest that stays would tell an erased e-mail address to whoever tries some. Goes
    /// with the text.
    pub salt: [u8; 32],
    /// JSON.
    pub text: String,
}

/// By what a person's parts are found again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whose {
    pub member: Option<MemberId>,
    pub identity: Option<(IdpId, Subject)>,
}

/// Which of an entry's two people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartRole {
    Actor,
    About,
}

impl PartRole {
    pub const ALL: [Self; 2] = [Self::Actor, Self::About];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Actor => "actor",
            Self::About => "about",
        }
    }
}

/// Where a part stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartKey {
    pub chain: ChainId,
    pub sequence: u64,
    pub role: PartRole,
}

/// Which entries are wanted, in the order of time (entries of one second by chain and sequence).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditQuery {
    /// From this second on.
    pub since: UnixTime,
    /// Up to this second, without it.
    pub until: UnixTime,
    pub member: Option<MemberId>,
    /// An event's name.
    pub event: Option<String>,
    pub newest_first: bool,
    /// Goes on behind the entry of this time and place.
    pub after: Option<(UnixTime, ChainId, u64)>,
    pub limit: usize,
}

impl Default for AuditQuery {
    fn default() -> Self {
        Self {
            since: UnixTime(i64::MIN),
            until: UnixTime(i64::MAX),
            member: None,
            event: None,
            newest_first: false,
            after: None,
            limit: 100,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let head = AuditHead { chain: ChainId(Uuid::from_bytes([7; 16])), sequence: 12, hash: [0xa5; 32] };
        let text = head.to_string();
        assert_eq!(text, format!("07070707-0707-0707-0707-070707070707:12:{}", "a5".repeat(32)));
        assert_eq!(text.parse(), Ok(head));
    }

    #[test]
    fn what_is_no_head_is_refused() {
        let good = format!("07070707-0707-0707-0707-070707070707:12:{}", "a5".repeat(32));
        assert!(good.parse::<AuditHead>().is_ok());
        for bad in [
            String::new(),
            good.replace(":12:", ":0:"),
            good.replace(":12:", ":x:"),
            good.replace(":12:", "::"),
            good.replace("07070707-", ""),
            format!("{good}:"),
            format!("{good}a"),
            good.replace("a5a5", "a5g5"),
            good.replace("a5a5", "+5a5"),
        ] {
            assert_eq!(bad.parse::<AuditHead>(), Err(InvalidHead), "{bad}");
        }
    }
}
