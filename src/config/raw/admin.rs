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
    /// Where browsers reach the admin API, for administrators who sign in at an identity provider: https, or http on
    /// loopback; without a path, and best with a host name of its own. Each provider that a rule names must be told the
    /// redirect URI: this and /oidc/ID/callback.
    pub public_url: Option<String>,
    /// Who gets which role by signing in at an identity provider, looked at at each sign-in, from the top: the first that
    /// holds decides. Where one cannot be decided nobody comes in.
    #[schemars(extend("default" = []))]
    pub rule: Option<Vec<AdminRule>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminRule {
    /// People of this identity provider. May be left out where there is only one.
    pub idp: Option<String>,
    /// An expression over claims, subject and idp.id (docs/variables.md) that must be true: "'ops' in claims.groups".
    #[schemars(required)]
    pub when: Option<String>,
    /// "viewer", "operator" or "administrator", as for tokens.
    #[schemars(required)]
    pub role: Option<ConsoleRole>,
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
