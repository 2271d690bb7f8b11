//! What an identity's claims say of groups, role and teams: where it is looked for, and what of it is not known (L7).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::config::settings::Provisioning;
use crate::model::Identity;

/// The groups of one identity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    /// Those that are known, of all claims together.
    pub names: BTreeSet<String>,
    /// L7: why there may be more. Empty: these are all.
    pub unknown: Vec<GroupsUnknown>,
}

impl Groups {
    /// L7: unknown is not empty.
    #[must_use]
    pub fn are_known(&self) -> bool {
        self.unknown.is_empty()
    }
}

/// L7: why a groups claim does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupsUnknown {
    /// No `groups_claim` is set.
    NoClaimNamed,
    /// This claim did not come.
    Absent(String),
    /// Whether or not this one came, a marker says that there are more groups than were sent.
    Overage(String),
}

/// The groups by `groups_claim`: the union of its claims. With `groups_absent = "none"` an absent or incomplete
/// claim counts as empty.
#[must_use]
pub fn groups(identity: &Identity, settings: &Provisioning) -> Groups {
    let mut groups = Groups::default();
    if settings.groups_claim.is_empty() {
        groups.unknown.push(GroupsUnknown::NoClaimNamed);
    }
    for claim in &settings.groups_claim {
        match identity.claims.values(claim) {
            _ if overage(identity, claim) => groups.unknown.push(GroupsUnknown::Overage(claim.clone())),
            None => groups.unknown.push(GroupsUnknown::Absent(claim.clone())),
            Some(values) => groups.names.extend(values),
        }
    }
    if settings.absent_groups_are_none {
        groups.unknown.clear();
    }
    groups
}

/// L7: markers by which a provider says that there are more groups than it sent: OIDC Core 5.6.2
/// (`_claim_names`), and Microsoft's `hasgroups` and `groups.link` (SAML).
fn overage(identity: &Identity, claim: &str) -> bool {
    let claims = identity.claims.as_map();
    let elsewhere = claims
        .get("_claim_names")
        .and_then(|names| names.as_object())
        .is_some_and(|names| names.contains_key(claim) || names.contains_key("groups"));
    let marked = identity.claims.first("hasgroups").is_some_and(|value| value != "false");
    let linked = claims.keys().any(|name| name.ends_with("groups.link"));
    elsewhere || marked || linked
}

/// F4: the first value of the first claim of `role_claim` that has one, with that claim.
#[must_use]
pub fn claimed_role(identity: &Identity, settings: &Provisioning) -> Option<(String, String)> {
    settings.role_claim.iter().find_map(|claim| {
        let value = identity.claims.first(claim)?;
        let value = value.trim();
        (!value.is_empty()).then(|| (claim.clone(), value.to_owned()))
    })
}

/// F5: what `teams_claim` names, in order, each with its claim; `Team::Role` still in one.
#[must_use]
pub fn claimed_teams(identity: &Identity, settings: &Provisioning) -> Vec<(String, String)> {
    let Some(teams_claim) = &settings.teams_claim else { return Vec::new() };
    let separator = teams_claim.separator.as_deref().filter(|separator| !separator.is_empty());
    let mut named = Vec::new();
    for claim in &teams_claim.claim {
        for value in identity.claims.values(claim).unwrap_or_default() {
            let parts: Vec<&str> = match separator {
                Some(separator) => value.split(separator).collect(),
                None => vec![value.as_str()],
            };
            let parts = parts.into_iter().map(str::trim).filter(|name| !name.is_empty());
            named.extend(parts.map(|name| (claim.clone(), name.to_owned())));
        }
    }
    named
}
