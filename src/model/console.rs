//! What an administrator of narthex may do (PROVISIONING.md S5), and who came in as one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{IdpId, Subject, UnixTime};

/// The console roles; each may what the one before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsoleRole {
    Viewer,
    Operator,
    Administrator,
}

impl ConsoleRole {
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Administrator];

    /// Whether an administrator of this role may give what the application marks as privileged (PROVISIONING.md F6).
    #[must_use]
    pub fn may_grant_privileged(self) -> bool {
        match self {
            Self::Viewer | Self::Operator => false,
            Self::Administrator => true,
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Administrator => "administrator",
        }
    }
}

/// Somebody who came to the admin API by an identity provider, as of the latest sign-in there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsolePerson {
    pub idp: IdpId,
    pub subject: Subject,
    /// What the identity provider calls them; for reading only.
    pub label: String,
    /// The address that they came with, which a block is asked about (G6); as it need not be verified, it gives nothing.
    pub email: Option<String>,
    pub role: ConsoleRole,
    /// The rule that gave the role, as the configuration has it: with another one the role is gone.
    pub rule: String,
    pub signed_in_at: UnixTime,
}

impl ConsolePerson {
    /// How everything else names them: no token's name and nobody else's.
    #[must_use]
    pub fn name(&self) -> String {
        person_name(&self.idp, &self.subject)
    }
}

/// The identity as one name.
#[must_use]
pub fn person_name(idp: &IdpId, subject: &Subject) -> String {
    // An identity provider's id has no colon.
    format!("{idp}:{}", subject.as_str())
}

/// The reverse of [`person_name`].
#[must_use]
pub fn named_person(name: &str) -> Option<(IdpId, Subject)> {
    let (idp, subject) = name.split_once(':')?;
    Some((idp.parse().ok()?, Subject::parse(subject)?))
}

/// SHA-256 of the cookie of a session at the admin API. A type of its own: no session of the application's is one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsoleHash(pub [u8; 32]);

/// A session at the admin API. It began with the person's sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleSession {
    pub hash: ConsoleHash,
    pub person: ConsolePerson,
    pub last_seen_at: UnixTime,
    pub expires_at: UnixTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_a_persons_name_says_who_it_is_and_is_no_other_ones() {
        let idp: IdpId = "corp".parse().unwrap();
        let subject = Subject::parse("a:b c").unwrap();
        let name = person_name(&idp, &subject);
        assert_eq!(named_person(&name), Some((idp, subject)));
        for nobody in ["bootstrap", "command line", "anna", ":x", "Corp:x", "corp:"] {
            assert_eq!(named_person(nobody), None, "{nobody}");
        }
    }
}
