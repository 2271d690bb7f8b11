//! The user as the application knows them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AccountId, Entitlements};

/// One account as the application's API answered it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub id: AccountId,
    pub profile: AccountProfile,
    /// False where the application itself has deactivated it (PROVISIONING.md G4).
    pub active: bool,
    /// True where the connector's recipe says so of this account (F7: never adopted).
    pub privileged: bool,
    /// What the account durably holds: the baseline.
    pub entitlements: Entitlements,
}

/// Who an account is, without what it may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountProfile {
    pub username: String,
    pub email: Option<String>,
    pub display_name: Option<String>,
    /// Further attributes by the names of PROVISIONING.md F2 (`given_name`, `family_name`, `avatar`, …).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}
