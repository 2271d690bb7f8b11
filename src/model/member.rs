//! The durable record that links identities to one account.

use serde::{Deserialize, Serialize};

use super::{AccountId, IdpId, Ledger, Loans, MemberId, Subject, UnixTime};

/// One person whom narthex has let in (PROVISIONING.md, words).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: MemberId,
    /// Every (identity provider, subject) that is this person.
    pub identities: Vec<(IdpId, Subject)>,
    /// `None` once narthex deleted the account: applications give the same id to the next one.
    pub account: Option<AccountId>,
    pub account_state: AccountState,
    /// The account's username when it was last seen, for lists and logs.
    pub username: String,
    pub email: Option<String>,
    pub origin: Origin,
    pub status: MemberStatus,
    /// E1: JIT made the account while `delete_at_session_end` was on; it goes with the last session, and at this time
    /// at the latest.
    pub ephemeral_until: Option<UnixTime>,
    /// What somebody asked to be done with the account (E4, `deactivate_after_inactive`) and is not done yet. A later
    /// sign-in takes it back.
    pub leaving: Option<Leaving>,
    /// What narthex gave to the account.
    pub ledger: Ledger,
    /// What sessions changed in the application for as long as they last (L2).
    pub borrowed: Loans,
    /// Grows with every re-creation of the account.
    pub generation: u32,
    /// Grows with every update; who updates says from which it started.
    pub revision: u64,
    pub created_at: UnixTime,
    pub last_login_at: UnixTime,
}

impl Member {
    /// The account, where the application has it as far as narthex knows.
    #[must_use]
    pub fn present_account(&self) -> Option<&AccountId> {
        match self.account_state {
            AccountState::Present => self.account.as_ref(),
            AccountState::Leaving | AccountState::Deactivated | AccountState::Deleted => None,
        }
    }
}

#[cfg(test)]
impl Member {
    /// One whose id is made of `number`, with a present account that narthex made.
    #[must_use]
    pub fn for_tests(number: u8, now: UnixTime) -> Self {
        Self {
            id: MemberId(uuid::Uuid::from_bytes([number; 16])),
            identities: Vec::new(),
            account: Some(AccountId(format!("account {number}"))),
            account_state: AccountState::Present,
            username: String::new(),
            email: None,
            origin: Origin::Jit,
            status: MemberStatus::Active,
            ephemeral_until: None,
            leaving: None,
            ledger: Ledger::default(),
            borrowed: Loans::default(),
            generation: 1,
            revision: 0,
            created_at: now,
            last_login_at: now,
        }
    }
}

/// What became of the account, as far as narthex had a hand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    Present,
    /// Its deletion or deactivation was decided and may have happened. No session begins for it any more; a sign-in
    /// looks what is there.
    Leaving,
    /// By narthex, which may therefore reactivate it (G4).
    Deactivated,
    /// By narthex.
    Deleted,
}

/// What is done with the account of a person who leaves (E6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leaving {
    Deactivate,
    Delete,
}

/// How a member came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// narthex created the account at a sign-in.
    Jit,
    /// The account was there before.
    Adopted,
    /// The first sign-in consumed an invite.
    Invite,
    /// The identity provider pushed the person by SCIM.
    Scim,
    /// An administrator linked identity and account.
    Manual,
}

/// Whether a member may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberStatus {
    Active,
    /// G6: neither this account nor any of the identities, nor anybody else with the e-mail.
    Blocked,
}
