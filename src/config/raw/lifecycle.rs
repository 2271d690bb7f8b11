//! Values of the keys of `[provisioning]` that say what becomes of accounts after the first sign-in.

use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Sync {
    /// When the account is made only ("create_only"), or at every sign-in ("every_login").
    When(SyncWhen),
    /// These at every sign-in.
    Facets(Vec<SyncFacet>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncWhen {
    CreateOnly,
    EveryLogin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncFacet {
    Role,
    Teams,
    Groups,
    Permissions,
    Profile,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncRemoves {
    Given,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnMissing {
    Recreate,
    Deny,
}
