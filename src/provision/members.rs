//! The durable record of a person: made with the account, renewed at each login.

use crate::model::{
    Account, AccountState, Identity, Ledger, Loans, Member, MemberId, MemberStatus, Origin, Source, UnixTime,
};

use super::entitle::Entitled;

/// An account that a member is about to have.
#[derive(Debug, Clone, Copy)]
pub struct Birth<'a> {
    pub account: &'a Account,
    pub origin: Origin,
    /// What narthex gave to it; `None`: it was there before, with what it holds.
    pub entitled: Option<&'a Entitled>,
    pub ephemeral_until: Option<UnixTime>,
    pub now: UnixTime,
}

impl Birth<'_> {
    /// Everything that an account holds which narthex made comes from narthex; what the present sign-in does not give
    /// came from the provider at an earlier, unfinished one.
    fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::default();
        let Some(entitled) = self.entitled else { return ledger };
        for (item, value) in self.account.entitlements.items() {
            let given = entitled.given.iter().find(|given| given.entitlement.item().0 == item);
            ledger.note(item, value, given.map_or(Source::Sso, |given| given.source));
        }
        ledger
    }
}

/// A person who was never here before.
#[must_use]
pub fn first(id: MemberId, identity: &Identity, birth: &Birth<'_>) -> Member {
    let account = birth.account;
    Member {
        id,
        identities: vec![(identity.idp.clone(), identity.subject.clone())],
        account: Some(account.id.clone()),
        account_state: AccountState::Present,
        username: account.profile.username.clone(),
        email: account.profile.email.clone(),
        origin: birth.origin,
        status: MemberStatus::Active,
        ephemeral_until: birth.ephemeral_until,
        leaving: None,
        ledger: birth.ledger(),
        borrowed: Loans::default(),
        generation: 1,
        revision: 0,
        created_at: birth.now,
        last_login_at: birth.now,
    }
}

/// The same person at another login.
#[must_use]
pub fn again(member: Member, account: &Account, now: UnixTime) -> Member {
    Member {
        username: account.profile.username.clone(),
        email: account.profile.email.clone(),
        last_login_at: now,
        ..member
    }
}

/// The same person with another account, since the former one is gone.
#[must_use]
pub fn with_new_account(member: Member, birth: &Birth<'_>) -> Member {
    let account = birth.account;
    Member {
        account: Some(account.id.clone()),
        account_state: AccountState::Present,
        origin: birth.origin,
        ephemeral_until: birth.ephemeral_until,
        leaving: None,
        ledger: birth.ledger(),
        borrowed: Loans::default(),
        generation: member.generation.saturating_add(1),
        ..again(member, account, birth.now)
    }
}
