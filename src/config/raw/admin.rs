//! `[admin]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::SecretRef;
use crate::model::ConsoleRole;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Address and port of the admin API (docs/openapi.json). Anything but loopback wants a TLS-terminating proxy in
    /// front: tokens travel on it.
    #[schemars(extend("default" = "127.0.0.1:9091"))]
    pub listen: Option<String>,
    /// Host names, without port, that the admin API may be asked by beside those of loopback and the address of
    /// listen. A request for another host gets 421.
    #[schemars(extend("default" = []))]
    pub hosts: Option<Vec<String>>,
    /// Who may use the admin API by a token in the Authorization header (Bearer). Without any, `narthex admin
    /// bootstrap` gives a single-use token.
    #[schemars(extend("default" = []))]
    pub tokens: Option<Vec<AdminToken>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminToken {
    /// Who it is, as the audit log will name them; each name once.
    #[schemars(required)]
    pub name: Option<String>,
    /// "viewer" sees settings and members; "operator" also manages members and sessions and sees the audit log;
    /// "administrator" also changes settings.
    #[schemars(required)]
    pub role: Option<ConsoleRole>,
    /// The token; at least 32 characters, best from a random source: openssl rand -base64 32.
    #[schemars(required)]
    pub token: Option<SecretRef>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettingsSource {
    Store,
    File,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsSection {
    /// "store": `[provisioning]` holds until it is changed through the admin API; from then on what was put there
    /// holds, on every replica, and this file's says only what differs (`narthex check --store`). "file": `[provisioning]`
    /// holds, and the admin API only reads it.
    #[schemars(extend("default" = "store"))]
    pub source: Option<SettingsSource>,
}
