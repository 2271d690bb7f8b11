//! The durable record of a person: made with the account, renewed at each login.

use crate::model::{Account, Identity, Member, MemberId, MemberStatus, Origin, UnixTime};

/// A person who was never here before.
#[must_use]
pub fn first(id: MemberId, identity: &Identity, account: &Account, origin: Origin, now: UnixTime) -> Member {
    Member {
        id,
        identities: vec![(identity.idp.clone(), identity.subject.clone())],
        account: account.id.clone(),
        username: account.profile.username.clone(),
        email: account.profile.email.clone(),
        origin,
        status: MemberStatus::Active,
        generation: 1,
        created_at: now,
        last_login_at: now,
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

/// The same person with another account, since the former one vanished.
#[must_use]
pub fn with_new_account(member: Member, account: &Account, origin: Origin, now: UnixTime) -> Member {
    let generation = member.generation.saturating_add(1);
    Member { account: account.id.clone(), origin, generation, ..again(member, account, now) }
}
