//! What an entry's hash covers, written so that no two entries are encoded alike.
//!
//! SECURITY: lesson 15. Every field is preceded by its length (8 bytes, big-endian), an absent one by nothing but the
//! length's place filled with ones, so that no byte can be counted to the field before or after; each encoding begins
//! with what it is of, so that a part's digest never stands for an entry's.

use crate::model::AuditRecord;
use crate::model::audit::{PartRole, Said};
use crate::platform::crypto::sha256;

/// What the first entry of a chain has for the hash of its predecessor.
pub const NOTHING_BEFORE: [u8; 32] = [0; 32];

struct Encoding(Vec<u8>);

impl Encoding {
    fn of(what: &str) -> Self {
        Self(Vec::with_capacity(512)).field(what.as_bytes())
    }

    fn field(mut self, bytes: &[u8]) -> Self {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    fn optional(mut self, bytes: Option<&[u8]>) -> Self {
        if let Some(bytes) = bytes {
            return self.field(bytes);
        }
        // No text is that long.
        self.0.extend_from_slice(&u64::MAX.to_be_bytes());
        self
    }

    fn digest(self) -> [u8; 32] {
        sha256(&self.0)
    }
}

/// The hash of an entry; its own `hash` takes no part.
#[must_use]
pub fn entry_hash(record: &AuditRecord) -> [u8; 32] {
    let digest = |role| record.part(role).map(|part| part.digest.as_slice());
    Encoding::of("narthex audit entry v1")
        .field(record.chain.0.as_bytes())
        .field(&record.sequence.to_be_bytes())
        .field(&record.at.0.to_be_bytes())
        .field(record.event.as_bytes())
        .optional(record.member.as_ref().map(|member| member.0.as_bytes().as_slice()))
        .field(record.body.as_bytes())
        .optional(digest(PartRole::Actor))
        .optional(digest(PartRole::About))
        .field(&record.previous)
        .digest()
}

/// The digest of what is said of one person.
#[must_use]
pub fn part_digest(role: PartRole, said: &Said) -> [u8; 32] {
    let identity = said.whose.identity.as_ref();
    Encoding::of("narthex audit part v1")
        .field(role.as_str().as_bytes())
        .field(&said.salt)
        .optional(said.whose.member.as_ref().map(|member| member.0.as_bytes().as_slice()))
        .optional(identity.map(|(idp, _)| idp.as_str().as_bytes()))
        .optional(identity.map(|(_, subject)| subject.as_str().as_bytes()))
        .field(said.text.as_bytes())
        .digest()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::audit::{AuditPart, Whose};
    use crate::model::{ChainId, MemberId, Subject, UnixTime};

    fn said() -> Said {
        Said {
            whose: Whose {
                member: Some(MemberId(uuid::Uuid::from_bytes([2; 16]))),
                identity: Some(("corp".parse().unwrap(), Subject::parse("ada").unwrap())),
            },
            salt: [3; 32],
            text: "{}".to_owned(),
        }
    }

    fn record() -> AuditRecord {
        AuditRecord {
            chain: ChainId(uuid::Uuid::from_bytes([1; 16])),
            sequence: 7,
            at: UnixTime(1_800_000_000),
            event: "login".to_owned(),
            member: Some(MemberId(uuid::Uuid::from_bytes([2; 16]))),
            body: "{}".to_owned(),
            actor: Some(AuditPart { digest: [4; 32], said: Some(said()) }),
            about: None,
            previous: [5; 32],
            hash: [6; 32],
        }
    }

    #[test]
    fn s3_the_hash_covers_every_field_and_stays_when_words_are_erased() {
        let good = entry_hash(&record());
        let changes: [fn(&mut AuditRecord); 10] = [
            |r| r.chain = ChainId(uuid::Uuid::from_bytes([9; 16])),
            |r| r.sequence = 8,
            |r| r.at = UnixTime(1_800_000_001),
            |r| r.event = "logim".to_owned(),
            |r| r.member = None,
            |r| r.body = "{ }".to_owned(),
            |r| r.actor = None,
            |r| r.about = Some(AuditPart { digest: [4; 32], said: None }),
            |r| std::mem::swap(&mut r.actor, &mut r.about),
            |r| r.previous = [9; 32],
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut other = record();
            change(&mut other);
            assert_ne!(entry_hash(&other), good, "change {number}");
        }
        let mut erased = record();
        erased.actor.as_mut().unwrap().said = None;
        assert_eq!(entry_hash(&erased), good);
    }

    #[test]
    fn s3_a_parts_digest_covers_salt_words_and_whose_they_are() {
        let good = part_digest(PartRole::Actor, &said());
        assert_ne!(part_digest(PartRole::About, &said()), good);
        let changes: [fn(&mut Said); 4] = [
            |s| s.salt = [9; 32],
            |s| s.text = "{ }".to_owned(),
            |s| s.whose.member = None,
            |s| s.whose.identity = None,
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut other = said();
            change(&mut other);
            assert_ne!(part_digest(PartRole::Actor, &other), good, "change {number}");
        }
    }

    #[test]
    fn lesson_15_no_byte_moves_from_one_field_to_the_next() {
        let pair = |event: &str, body: &str| {
            entry_hash(&AuditRecord {
                event: event.to_owned(),
                body: body.to_owned(),
                member: None,
                ..record()
            })
        };
        assert_ne!(pair("login", "x"), pair("loginx", ""));
        assert_ne!(pair("", "loginx"), pair("loginx", ""));
        let absent = AuditRecord { member: None, actor: None, ..record() };
        let other = AuditRecord { member: None, about: absent.actor.clone(), actor: None, ..record() };
        assert_eq!(entry_hash(&absent), entry_hash(&other));
    }

    #[test]
    fn what_an_earlier_version_hashed_stays_good() {
        // Computed elsewhere (Python's hashlib and struct). Another value here breaks every chain there is.
        let hash = entry_hash(&record());
        let shown = crate::model::audit::Hex(&hash).to_string();
        assert_eq!(shown, "2356509502891db7e3f8c67a52a3c7b02b0c1e36be9e4607d23d8020a317efb5");
    }
}
