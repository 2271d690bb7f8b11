//! A sign-in that waits for an administrator, and what was decided on it (PROVISIONING.md F7, F8).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AccountId, IdpId, MemberId, Subject, UnixTime};

/// How long a case waits after the latest sign-in that asks, and how long a decision to link waits for the next one.
pub const CASE_LIFETIME: Duration = Duration::from_hours(30 * 24);

/// narthex's own id of a case (UUID version 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CaseId(pub Uuid);

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One identity and one account: at most one case for each pair of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    pub id: CaseId,
    pub idp: IdpId,
    pub subject: Subject,
    pub account: AccountId,
    pub facts: CaseFacts,
    pub standing: CaseStanding,
    /// Who decided last, and when.
    pub decided: Option<Decided>,
    pub opened_at: UnixTime,
    /// The latest sign-in that asked.
    pub asked_at: UnixTime,
    /// From then on it is as if it had never been; `None`: it stays.
    pub expires_at: Option<UnixTime>,
    /// The member whom it led to.
    pub led_to: Option<MemberId>,
    /// Grows with every decision and whenever it is asked anew, from 1.
    pub revision: i64,
}

/// What a decision is about, beside identity and account. A decision holds only as long as all of it is so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseFacts {
    pub kind: CaseKind,
    /// The address that the identity provider vouches for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The account's username.
    pub username: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_email: Option<String>,
    /// The account may do what the application calls privileged.
    pub privileged: bool,
    /// Whose account it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<MemberId>,
}

/// Why an administrator is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseKind {
    /// F7: the account was there before, and is nobody's.
    ExistingAccount,
    /// F8: the account is a member's who comes by the same identity provider under another subject.
    RecycledAddress,
    /// F8: the account is a member's who comes by other identity providers.
    SecondIdentity,
}

impl CaseKind {
    /// PROVISIONING.md's number.
    #[must_use]
    pub fn rule(self) -> &'static str {
        match self {
            Self::ExistingAccount => "F7",
            Self::RecycledAddress | Self::SecondIdentity => "F8",
        }
    }
}

/// What is on record of a case; [`Case::state`] looks at the time as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseStanding {
    Waiting,
    /// The next sign-in comes in, if everything is still as it was.
    Linked,
    /// Until an administrator reverses it.
    Denied,
    /// A sign-in came in by it.
    Used,
}

impl CaseStanding {
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Linked, Self::Denied, Self::Used];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Linked => "linked",
            Self::Denied => "denied",
            Self::Used => "used",
        }
    }
}

impl FromStr for CaseStanding {
    type Err = NoSuchStanding;

    fn from_str(text: &str) -> Result<Self, NoSuchStanding> {
        Self::ALL.into_iter().find(|standing| standing.as_str() == text).ok_or(NoSuchStanding)
    }
}

/// A text that is no standing of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a case is waiting, linked, denied or used")]
pub struct NoSuchStanding;

/// See [`Case::decided`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The administrator's name.
    pub by: String,
    pub at: UnixTime,
}

/// Where a case stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseState {
    Waiting,
    Linked,
    Denied,
    /// A sign-in has consumed it and is not finished; the same identity may finish it.
    Claimed,
    Used,
    Expired,
}

/// What becomes of a case when its identity asks again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It waits already; only the time has moved.
    Waits(Case),
    /// What was there is about something else, or over: it begins anew.
    Anew(Case),
    /// It is decided.
    Decided,
}

impl CaseFacts {
    /// Without what tells of a person. Nothing that is found later is covered by that, so it admits nobody.
    #[must_use]
    pub fn blanked(&self) -> Self {
        Self {
            kind: self.kind,
            email: None,
            username: String::new(),
            account_email: None,
            privileged: self.privileged,
            member: None,
        }
    }

    /// Whether what was decided on these facts holds for those of `now`.
    ///
    /// SECURITY: names are compared byte for byte, and the address but for the case of its letters. An account that was
    /// deleted, renamed or given to somebody else under the same id since is another question.
    #[must_use]
    pub fn cover(&self, now: &Self) -> bool {
        let same_address = match (&self.email, &now.email) {
            (Some(then), Some(now)) => then.eq_ignore_ascii_case(now),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same_address
            && self.kind == now.kind
            && self.username == now.username
            && self.account_email == now.account_email
            && self.member == now.member
            && (self.privileged || !now.privileged)
    }
}

impl Case {
    #[must_use]
    pub fn state(&self, now: UnixTime) -> CaseState {
        match self.standing {
            CaseStanding::Denied => CaseState::Denied,
            _ if self.expires_at.is_some_and(|end| end <= now) => CaseState::Expired,
            CaseStanding::Waiting => CaseState::Waiting,
            CaseStanding::Linked => CaseState::Linked,
            CaseStanding::Used if self.led_to.is_none() => CaseState::Claimed,
            CaseStanding::Used => CaseState::Used,
        }
    }

    /// Whether a sign-in that finds these facts may come in by it.
    #[must_use]
    pub fn admits(&self, facts: &CaseFacts, now: UnixTime) -> bool {
        matches!(self.state(now), CaseState::Linked | CaseState::Claimed) && self.facts.cover(facts)
    }

    /// What becomes of it when `newer`, which its identity opens about its account at `newer.asked_at`, comes.
    #[must_use]
    pub fn asked(&self, newer: &Self) -> Asked {
        let now = newer.asked_at;
        match self.state(now) {
            CaseState::Denied => Asked::Decided,
            _ if self.admits(&newer.facts, now) => Asked::Decided,
            CaseState::Waiting if self.facts == newer.facts => Asked::Waits(Self {
                asked_at: self.asked_at.max(now),
                expires_at: self.expires_at.max(newer.expires_at),
                ..self.clone()
            }),
            CaseState::Waiting
            | CaseState::Linked
            | CaseState::Claimed
            | CaseState::Used
            | CaseState::Expired => {
                Asked::Anew(Self { id: self.id, revision: self.revision.saturating_add(1), ..newer.clone() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn case(standing: CaseStanding) -> Case {
        Case {
            id: CaseId(Uuid::from_bytes([1; 16])),
            idp: "corp".parse().unwrap(),
            subject: Subject::parse("sub-ada").unwrap(),
            account: AccountId("7".to_owned()),
            facts: CaseFacts {
                kind: CaseKind::ExistingAccount,
                email: Some("ada@example.com".to_owned()),
                username: "ada".to_owned(),
                account_email: Some("ada@example.com".to_owned()),
                privileged: false,
                member: None,
            },
            standing,
            decided: None,
            opened_at: NOW,
            asked_at: NOW,
            expires_at: (standing != CaseStanding::Denied).then(|| NOW.after(CASE_LIFETIME)),
            led_to: None,
            revision: 3,
        }
    }

    #[test]
    fn f7_a_decision_holds_for_just_what_was_decided_on() {
        let linked = case(CaseStanding::Linked);
        assert!(linked.admits(&linked.facts, NOW));
        let other_case = CaseFacts { email: Some("ADA@example.com".to_owned()), ..linked.facts.clone() };
        assert!(linked.admits(&other_case, NOW));
        let others = [
            CaseFacts { kind: CaseKind::SecondIdentity, ..linked.facts.clone() },
            CaseFacts { email: None, ..linked.facts.clone() },
            CaseFacts { email: Some("ida@example.com".to_owned()), ..linked.facts.clone() },
            CaseFacts { username: "Ada".to_owned(), ..linked.facts.clone() },
            CaseFacts { account_email: None, ..linked.facts.clone() },
            CaseFacts { privileged: true, ..linked.facts.clone() },
            CaseFacts { member: Some(MemberId(Uuid::nil())), ..linked.facts.clone() },
        ];
        for other in others {
            assert!(!linked.admits(&other, NOW), "{other:?}");
        }
        assert!(!linked.admits(&linked.facts, NOW.after(CASE_LIFETIME)), "it was not used in time");
        for standing in [CaseStanding::Waiting, CaseStanding::Denied] {
            assert!(!case(standing).admits(&linked.facts, NOW), "{standing:?}");
        }
        // A sign-in that failed half-way may be finished; one that came in by it may not come in by it again.
        let used = case(CaseStanding::Used);
        assert!(used.admits(&used.facts, NOW));
        let used = Case { led_to: Some(MemberId(Uuid::nil())), ..used };
        assert!(!used.admits(&used.facts, NOW));
    }

    #[test]
    fn f7_a_denial_covers_what_is_less_and_lasts() {
        let privileged = CaseFacts { privileged: true, ..case(CaseStanding::Linked).facts };
        assert!(privileged.cover(&case(CaseStanding::Linked).facts));
        let denied = case(CaseStanding::Denied);
        assert_eq!(denied.state(NOW.after(CASE_LIFETIME * 100)), CaseState::Denied);
        let newer = Case { facts: privileged, ..case(CaseStanding::Waiting) };
        assert_eq!(denied.asked(&newer), Asked::Decided, "whatever the account is like by now");
    }

    #[test]
    fn f7_who_asks_again_waits_in_the_same_case_unless_it_is_about_something_else() {
        let waiting = case(CaseStanding::Waiting);
        let later = NOW.after(Duration::from_hours(1));
        let newer = Case {
            asked_at: later,
            expires_at: Some(later.after(CASE_LIFETIME)),
            revision: 1,
            ..waiting.clone()
        };
        let Asked::Waits(still) = waiting.asked(&newer) else { panic!() };
        assert_eq!((still.revision, still.asked_at, still.opened_at), (3, later, NOW));
        assert_eq!(still.expires_at, newer.expires_at);
        let renamed = CaseFacts { username: "ada2".to_owned(), ..waiting.facts.clone() };
        for standing in [CaseStanding::Waiting, CaseStanding::Linked, CaseStanding::Used] {
            let newer = Case { facts: renamed.clone(), ..newer.clone() };
            let Asked::Anew(anew) = case(standing).asked(&newer) else { panic!("{standing:?}") };
            assert_eq!((anew.standing, anew.revision, anew.id), (CaseStanding::Waiting, 4, waiting.id));
        }
        assert_eq!(case(CaseStanding::Linked).asked(&newer), Asked::Decided);
    }
}
