//! From what is wanted and what is there to what must be done: a pure function.

use serde::{Deserialize, Serialize};

use crate::model::{Account, AccountProfile, Entitlements};

use super::connector::EntitlementChange;
use super::resolve::Wanted;

/// What the application has of this person.
#[derive(Debug, Clone, Copy)]
pub enum Situation<'a> {
    /// No account.
    Absent,
    /// An account that an unfinished attempt of ours created (F9).
    Ours(&'a Account),
    /// An account that was there before (F7).
    Adopted(&'a Account),
    /// A member's account.
    Member(&'a Account),
}

/// One write to the application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    CreateTeam(String),
    Create {
        profile: Box<AccountProfile>,
        role: Option<String>,
    },
    Entitle(Box<EntitlementChange>),
    /// The fields that differ (L3).
    Update(Box<AccountProfile>),
    /// G4.
    Reactivate,
}

/// Writes, in order. Empty: nothing to do (L4).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub operations: Vec<Operation>,
}

/// L1, L4 and F7: an account that was there before, or is a member's, is left as it is.
#[must_use]
pub fn plan(wanted: &Wanted, situation: Situation<'_>) -> Plan {
    let entitlements = wanted.entitlements();
    let mut ordered = Vec::new();
    let change = match situation {
        Situation::Member(_) | Situation::Adopted(_) => return Plan::default(),
        Situation::Absent => {
            let profile = Box::new(wanted.profile.profile.clone());
            ordered.push(Operation::Create { profile, role: entitlements.role.clone() });
            let created = Entitlements { role: entitlements.role.clone(), ..Entitlements::default() };
            missing(&entitlements, &created)
        }
        Situation::Ours(account) => missing(&entitlements, &account.entitlements),
    };
    let teams = wanted.entitled.teams_to_create.iter();
    let teams = teams.filter(|team| change.add.teams.contains_key(*team));
    // After the account: a team that nobody came to be in is made for nothing.
    ordered.extend(teams.cloned().map(Operation::CreateTeam));
    if change != EntitlementChange::default() {
        ordered.push(Operation::Entitle(Box::new(change)));
    }
    Plan { operations: ordered }
}

/// What to add, and never anything to remove: these accounts are new.
fn missing(wanted: &Entitlements, held: &Entitlements) -> EntitlementChange {
    let teams = wanted
        .teams
        .iter()
        .filter(|(team, role)| match held.teams.get(*team) {
            None => true,
            Some(held) => role.is_some() && held != *role,
        })
        .map(|(team, role)| (team.clone(), role.clone()))
        .collect();
    EntitlementChange {
        role: wanted.role.clone().filter(|role| held.role.as_ref() != Some(role)),
        add: Entitlements {
            role: None,
            teams,
            app_groups: wanted.app_groups.difference(&held.app_groups).cloned().collect(),
            permissions: wanted.permissions.difference(&held.permissions).cloned().collect(),
            owner: wanted.owner && !held.owner,
        },
        remove: Entitlements::default(),
    }
}

/// The account as it is after `change` took effect.
#[must_use]
pub fn changed(mut account: Account, change: &EntitlementChange) -> Account {
    let held = &mut account.entitlements;
    if let Some(role) = &change.role {
        held.role = Some(role.clone());
    }
    held.teams.retain(|team, _| !change.remove.teams.contains_key(team));
    held.app_groups.retain(|group| !change.remove.app_groups.contains(group));
    held.permissions.retain(|permission| !change.remove.permissions.contains(permission));
    held.owner = (held.owner && !change.remove.owner) || change.add.owner;
    held.teams.extend(change.add.teams.clone());
    held.app_groups.extend(change.add.app_groups.iter().cloned());
    held.permissions.extend(change.add.permissions.iter().cloned());
    account
}

/// The account as it is after its profile was updated to what `fields` has.
#[must_use]
pub fn updated(mut account: Account, fields: &AccountProfile) -> Account {
    let held = &mut account.profile;
    held.username.clone_from(&fields.username);
    held.email = fields.email.clone().or(held.email.take());
    held.display_name = fields.display_name.clone().or(held.display_name.take());
    held.attributes.extend(fields.attributes.clone());
    account
}
