//! What sync makes of an account at a sign-in (L3, L7, F8): pure functions.

use std::collections::BTreeSet;

use crate::config::settings::{Provisioning, SyncRemoves};
use crate::model::{AccountProfile, Facet, Identity, Item, Items, Ledger, Source};

use super::entitle::{Entitled, SkipReason, assignable};
use super::sources::{self, GroupsUnknown};

/// What the account should durably hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durable {
    pub items: Items,
    /// What narthex gives now: it was not there, or had another value.
    pub given: Vec<(Item, String, Source)>,
    /// What is taken away (G3 counts it).
    pub removed: BTreeSet<Item>,
}

/// Whether sync may take anything away this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removals {
    Allowed,
    /// G3.
    Paused,
}

/// Everything that sync looks at.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    pub identity: &'a Identity,
    /// What the identity provider gives, without what first sign-ins get.
    pub said: &'a Entitled,
    pub settings: &'a Provisioning,
    /// The account holds something privileged: another role takes that away.
    pub privileged: bool,
}

/// L3.
#[must_use]
pub fn durable(baseline: &Items, ledger: &Ledger, wish: Wish<'_>, removals: Removals) -> Durable {
    let facets = &wish.settings.lifecycle.sync;
    let mut durable = Durable { items: baseline.clone(), given: Vec::new(), removed: BTreeSet::new() };
    for (item, value, source) in wish.gives() {
        let same = baseline.get(&item).is_some_and(|held| *held == value || keeps_team_role(&item, &value));
        if !facets.contains(&item.facet()) || same {
            continue;
        }
        if item == Item::Role && wish.privileged && baseline.contains_key(&item) {
            if removals == Removals::Paused {
                continue;
            }
            durable.removed.insert(item.clone());
        }
        durable.items.insert(item.clone(), value.clone());
        durable.given.push((item, value, source));
    }
    if removals == Removals::Paused {
        return durable;
    }
    for item in baseline.keys().filter(|item| wish.takes(item, ledger)) {
        durable.items.remove(item);
        durable.removed.insert(item.clone());
    }
    durable
}

/// A team that is given without a role leaves the one that is held.
fn keeps_team_role(item: &Item, value: &str) -> bool {
    matches!(item, Item::Team(_)) && value.is_empty()
}

impl Wish<'_> {
    /// What the identity provider gives, and the default role where it gives none.
    fn gives(&self) -> Vec<(Item, String, Source)> {
        let mut gives: Vec<(Item, String, Source)> = Vec::new();
        for given in self.said.given.iter().filter(|given| given.source == Source::Sso) {
            let (item, value) = given.entitlement.item();
            if gives.iter().all(|(known, ..)| *known != item) {
                gives.push((item, value, Source::Sso));
            }
        }
        let has_role = gives.iter().any(|(item, ..)| *item == Item::Role);
        // L7: where the groups are not known, nor is it known that they give no role.
        if let Some(role) = &self.settings.default_role
            && !has_role
            && self.groups_are_known()
        {
            gives.push((Item::Role, role.clone(), Source::Default));
        }
        gives
    }

    /// Whether `item`, which the account holds, goes.
    fn takes(&self, item: &Item, ledger: &Ledger) -> bool {
        let lifecycle = &self.settings.lifecycle;
        if !lifecycle.sync.contains(&item.facet()) || *item == Item::Role || !self.is_known(item) {
            return false;
        }
        let given_by_sso = ledger.source(item) == Some(Source::Sso);
        if !given_by_sso && lifecycle.sync_removes == SyncRemoves::Given {
            return false;
        }
        if let Item::Team(team) = item
            && !is_managed(&lifecycle.managed_teams, team)
        {
            return false;
        }
        let mentioned = |known: (Item, String)| known.0 == *item;
        // What was asked for and could not be given is not what nobody asked for.
        !self.said.given.iter().any(|given| mentioned(given.entitlement.item()))
            && !self.said.skipped.iter().any(|skipped| mentioned(skipped.entitlement.item()))
    }

    /// L7: unknown is not empty. A claim of teams that did not come leaves open the teams that it may name.
    fn is_known(&self, item: &Item) -> bool {
        let mut teams_claims = self.settings.teams_claim.iter().flat_map(|teams| &teams.claim);
        let came = |claim: &String| self.identity.claims.values(claim).is_some();
        let open = match item {
            Item::Team(team) if !self.settings.absent_groups_are_none => {
                let may_name = self.settings.assignable_teams.iter().any(|pattern| assignable(pattern, team));
                may_name && !teams_claims.all(came)
            }
            Item::Team(_) | Item::Role | Item::AppGroup(_) | Item::Permission(_) | Item::Owner => false,
        };
        self.groups_are_known() && !open
    }

    /// L7. Where no groups claim is named, there is nothing of groups to be known.
    fn groups_are_known(&self) -> bool {
        let undecided = |why: &SkipReason| matches!(why, SkipReason::ConditionFailed { .. });
        let groups = sources::groups(self.identity, self.settings);
        groups.unknown.iter().all(|unknown| *unknown == GroupsUnknown::NoClaimNamed)
            && !self.said.skipped.iter().any(|skipped| undecided(&skipped.why))
    }
}

/// Exact, everything below a `prefix/`, or everything.
#[must_use]
pub fn is_managed(patterns: &[String], team: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix("/*") {
        _ if pattern == "*" => true,
        Some(prefix) => team.strip_prefix(prefix).is_some_and(|rest| rest.len() > 1 && rest.starts_with('/')),
        None => pattern == team,
    })
}

/// The fields of the profile that sync changes; `None`: nothing (L4). What the identity provider does not say stays.
/// F8: the username only where `rename` is set.
#[must_use]
pub fn profile(
    held: &AccountProfile,
    wanted: &AccountProfile,
    settings: &Provisioning,
) -> Option<AccountProfile> {
    if !settings.lifecycle.sync.contains(&Facet::Profile) {
        return None;
    }
    let other = |held: &Option<String>, wanted: &Option<String>| wanted.clone().filter(|_| held != wanted);
    let renamed = settings.lifecycle.rename && wanted.username != held.username;
    let changes = AccountProfile {
        username: if renamed { wanted.username.clone() } else { held.username.clone() },
        email: other(&held.email, &wanted.email),
        display_name: other(&held.display_name, &wanted.display_name),
        attributes: wanted
            .attributes
            .iter()
            // What the application does not show cannot be compared, and would be written at every sign-in (L4).
            .filter(|(name, value)| held.attributes.get(*name).is_some_and(|held| held != *value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    };
    let nothing = AccountProfile { username: held.username.clone(), ..AccountProfile::default() };
    (changes != nothing).then_some(changes)
}
