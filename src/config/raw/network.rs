//! `[network]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Only clients of these networks are answered. Empty: all but those of deny.
    #[schemars(extend("default" = []))]
    pub allow: Option<Vec<String>>,
    /// Clients of these networks are refused, whatever allow says.
    #[schemars(extend("default" = []))]
    pub deny: Option<Vec<String>>,
}
