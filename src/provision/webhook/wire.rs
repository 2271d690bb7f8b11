//! What the receiver answers, as docs/webhook.md says it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use crate::model::{Account, AccountId, AccountProfile, Entitlements};
use crate::provision::connector::Named;
use crate::provision::rest::read;

/// An account. What is not known here is overlooked, so that a receiver may say more.
#[derive(Deserialize)]
pub(super) struct WireAccount {
    id: Json,
    username: String,
    email: Option<String>,
    display_name: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    /// Not optional: one that is missing must not read as active.
    active: bool,
    #[serde(default)]
    privileged: bool,
    role: Option<String>,
    #[serde(default)]
    teams: BTreeMap<String, Option<String>>,
    #[serde(default)]
    app_groups: BTreeSet<String>,
    #[serde(default)]
    permissions: BTreeSet<String>,
    #[serde(default)]
    owner: bool,
}

#[derive(Deserialize)]
pub(super) struct Accounts {
    pub(super) accounts: Vec<WireAccount>,
}

#[derive(Deserialize)]
pub(super) struct OneAccount {
    pub(super) account: WireAccount,
}

#[derive(Deserialize)]
pub(super) struct Names {
    pub(super) names: Vec<WireName>,
}

#[derive(Deserialize)]
pub(super) struct WireName {
    name: String,
    #[serde(default)]
    privileged: bool,
}

#[derive(Deserialize)]
pub(super) struct Hello {
    pub(super) version: Option<String>,
    pub(super) own_account: Option<Json>,
}

impl WireAccount {
    /// `None` where its id or its name is none (empty, of another type, with control characters).
    pub(super) fn account(self) -> Option<Account> {
        let named = |text: &String| read::name(&Json::from(text.as_str())).is_some();
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let lists = [&self.app_groups, &self.permissions];
        let sound = lists.into_iter().flatten().chain(self.teams.keys()).chain(&self.role).all(named);
        if !sound || !named(&self.username) {
            return None;
        }
        Some(Account {
            id: AccountId(read::name(&self.id)?),
            profile: AccountProfile {
                username: self.username,
                email: filled(self.email),
                display_name: filled(self.display_name),
                attributes: self.attributes,
            },
            active: self.active,
            privileged: self.privileged,
            entitlements: Entitlements {
                role: self.role,
                teams: self.teams,
                app_groups: self.app_groups,
                permissions: self.permissions,
                owner: self.owner,
            },
        })
    }
}

impl WireName {
    pub(super) fn named(self) -> Option<Named> {
        let name = read::name(&Json::from(self.name))?;
        Some(Named { name, privileged: self.privileged })
    }
}

/// The fields of a profile that are there.
pub(super) fn profile(profile: &AccountProfile) -> Json {
    let mut fields = Map::new();
    if !profile.username.is_empty() {
        fields.insert("username".to_owned(), json!(profile.username));
    }
    for (name, value) in [("email", &profile.email), ("display_name", &profile.display_name)] {
        if let Some(value) = value {
            fields.insert(name.to_owned(), json!(value));
        }
    }
    if !profile.attributes.is_empty() {
        fields.insert("attributes".to_owned(), json!(profile.attributes));
    }
    Json::Object(fields)
}
