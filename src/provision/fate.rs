//! What should become of a member's account, from who is signed in and what time it is: a pure function. Sign-in and
//! job both do what it says.

use crate::model::{AccountState, Leaving, Member, Origin, UnixTime};
use crate::store::Standing;

/// What should be so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedState {
    pub fate: Fate,
    /// L2: no session borrows any more; what was lent goes back.
    pub restore: bool,
    /// When the answer may be another one without anything happening; `None`: never.
    pub look_again: Option<UnixTime>,
}

/// Of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Stays,
    Leaves(Leaving),
}

/// E1, E4, L2.
#[must_use]
pub fn wanted_state(standing: &Standing, now: UnixTime) -> WantedState {
    let Standing { member, sessions, landing_until } = standing;
    let last_end = sessions.iter().map(|session| session.expires_at).max();
    let occupied_until = last_end.max(*landing_until).filter(|until| *until > now);
    let settled = WantedState { fate: Fate::Stays, restore: false, look_again: None };
    if member.account.is_none() || matches!(member.account_state, AccountState::Deleted) {
        return settled;
    }
    if let Some(how) = leaves(member, occupied_until.is_some(), now) {
        // A sign-in that is under way is waited for; it may take this back.
        return match landing_until.filter(|until| *until > now) {
            Some(until) => WantedState { look_again: Some(until), ..settled },
            None => WantedState { fate: Fate::Leaves(how), ..settled },
        };
    }
    let lent = !member.borrowed.is_empty();
    let restore = lent && occupied_until.is_none();
    let ends_by_itself = member.ephemeral_until.filter(|_| is_ephemeral(member));
    let look_again = match (ends_by_itself, occupied_until) {
        (Some(end), Some(until)) => Some(end.min(until)),
        (Some(end), None) => Some(end),
        (None, Some(until)) if lent => Some(until),
        (None, Some(_) | None) => None,
    };
    WantedState { restore, look_again, ..settled }
}

/// E1: never one that was there before, whatever its record says.
#[must_use]
pub fn is_ephemeral(member: &Member) -> bool {
    member.ephemeral_until.is_some() && member.origin == Origin::Jit
}

/// What is due to happen to the account, if anything.
fn leaves(member: &Member, occupied: bool, now: UnixTime) -> Option<Leaving> {
    let over = is_ephemeral(member) && (!occupied || member.ephemeral_until.is_some_and(|end| end <= now));
    if over {
        return Some(Leaving::Delete);
    }
    // Who was deactivated may still be deleted.
    member.leaving.filter(|how| member.account_state != AccountState::Deactivated || *how == Leaving::Delete)
}
