//! Which entitlements narthex itself gave, and from which source.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Item;

/// Where an entitlement comes from (PROVISIONING.md, ledger).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// What the identity provider says, through the mapping.
    Sso,
    Invite,
    Onboarding,
    Default,
    Console,
    Scim,
}

/// What narthex gave to one account. What is not in it was there before, or given by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ledger(BTreeMap<Item, Entry>);

/// One entitlement that narthex gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub source: Source,
    /// As it was given: the role's name, the role in the team.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
}

impl Ledger {
    /// Notes that `item` was given, or is about to be.
    pub fn note(&mut self, item: Item, value: String, source: Source) {
        self.0.insert(item, Entry { source, value });
    }

    /// Notes that `item` was taken away.
    pub fn strike(&mut self, item: &Item) {
        self.0.remove(item);
    }

    /// Who gave `item`; `None`: not narthex.
    #[must_use]
    pub fn source(&self, item: &Item) -> Option<Source> {
        self.0.get(item).map(|entry| entry.source)
    }

    /// Every entry.
    pub fn iter(&self) -> impl Iterator<Item = (&Item, &Entry)> {
        self.0.iter()
    }
}
