//! Entitlements one by one, so that any two states of an account can be compared and carried from one to the
//! other: what the ledger, sessions that borrow, and sync all count in.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Entitlements;

/// What an account can hold at most once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Item {
    /// The application-wide role. Its value is the role's name.
    Role,
    /// Membership in a team. Its value is the role in the team, empty where there is none.
    Team(String),
    /// Membership in an application group. Its value is empty, as are the following ones'.
    AppGroup(String),
    Permission(String),
    Owner,
}

/// A group of items that settings name together (`sync = ["role", "teams"]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Facet {
    /// The role, and ownership.
    Role,
    Teams,
    Groups,
    Permissions,
    /// Names, e-mail and the other attributes of the account; no item belongs to it.
    Profile,
}

impl Facet {
    /// Every facet.
    pub const ALL: [Self; 5] = [Self::Role, Self::Teams, Self::Groups, Self::Permissions, Self::Profile];
}

impl Item {
    /// To which facet it belongs.
    #[must_use]
    pub fn facet(&self) -> Facet {
        match self {
            Self::Role | Self::Owner => Facet::Role,
            Self::Team(_) => Facet::Teams,
            Self::AppGroup(_) => Facet::Groups,
            Self::Permission(_) => Facet::Permissions,
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role => f.write_str("role"),
            Self::Team(name) => write!(f, "team:{name}"),
            Self::AppGroup(name) => write!(f, "group:{name}"),
            Self::Permission(name) => write!(f, "permission:{name}"),
            Self::Owner => f.write_str("owner"),
        }
    }
}

impl From<Item> for String {
    fn from(item: Item) -> Self {
        item.to_string()
    }
}

/// A text that is no [`Item`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an entitlement is `role`, `owner`, `team:…`, `group:…` or `permission:…`")]
pub struct NoItem;

impl FromStr for Item {
    type Err = NoItem;

    fn from_str(text: &str) -> Result<Self, NoItem> {
        match text.split_once(':') {
            None if text == "role" => Ok(Self::Role),
            None if text == "owner" => Ok(Self::Owner),
            Some(("team", name)) => Ok(Self::Team(name.to_owned())),
            Some(("group", name)) => Ok(Self::AppGroup(name.to_owned())),
            Some(("permission", name)) => Ok(Self::Permission(name.to_owned())),
            None | Some(_) => Err(NoItem),
        }
    }
}

impl TryFrom<String> for Item {
    type Error = NoItem;

    fn try_from(text: String) -> Result<Self, NoItem> {
        text.parse()
    }
}

/// Items and their values; an item that is absent is not held.
pub type Items = BTreeMap<Item, String>;

impl Entitlements {
    /// One by one.
    #[must_use]
    pub fn items(&self) -> Items {
        let role = self.role.iter().map(|role| (Item::Role, role.clone()));
        let teams = self.teams.iter();
        let teams = teams.map(|(team, role)| (Item::Team(team.clone()), role.clone().unwrap_or_default()));
        let groups = self.app_groups.iter().map(|name| (Item::AppGroup(name.clone()), String::new()));
        let permissions = self.permissions.iter().map(|name| (Item::Permission(name.clone()), String::new()));
        let owner = self.owner.then(|| (Item::Owner, String::new()));
        role.chain(teams).chain(groups).chain(permissions).chain(owner).collect()
    }
}

impl FromIterator<(Item, String)> for Entitlements {
    fn from_iter<I: IntoIterator<Item = (Item, String)>>(items: I) -> Self {
        let mut all = Self::default();
        for (item, value) in items {
            match item {
                Item::Role => all.role = Some(value),
                Item::Team(team) => {
                    all.teams.insert(team, Some(value).filter(|role| !role.is_empty()));
                }
                Item::AppGroup(name) => {
                    all.app_groups.insert(name);
                }
                Item::Permission(name) => {
                    all.permissions.insert(name);
                }
                Item::Owner => all.owner = true,
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entitlements_come_back_from_their_items_as_they_were() {
        let items: Items = [
            (Item::Role, "admin".to_owned()),
            (Item::Team("acme/a".to_owned()), "lead".to_owned()),
            (Item::Team("acme/b".to_owned()), String::new()),
            (Item::AppGroup("team:x".to_owned()), String::new()),
            (Item::Permission("deploy".to_owned()), String::new()),
            (Item::Owner, String::new()),
        ]
        .into();
        let entitlements: Entitlements = items.clone().into_iter().collect();
        assert_eq!(entitlements.items(), items);
        assert_eq!(entitlements.teams["acme/b"], None);
        let text = serde_json::to_string(&items).unwrap();
        assert_eq!(serde_json::from_str::<Items>(&text).unwrap(), items);
    }

    #[test]
    fn what_names_no_entitlement_is_refused() {
        for text in ["", "roles", "team", "role:admin", "other:x"] {
            assert_eq!(text.parse::<Item>(), Err(NoItem), "{text:?}");
        }
    }
}
