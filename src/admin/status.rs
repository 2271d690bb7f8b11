//! Whether everything is well, in one answer.

use schemars::JsonSchema;
use serde::Serialize;

use super::Admin;
use super::answer::Answer;
use super::error::AdminError;
use super::routes::Example;

/// How narthex is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Status {
    pub version: String,
    /// True where nothing below is amiss.
    pub ready: bool,
    /// Since when the store has not answered (RFC 3339); absent while it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_away_since: Option<String>,
    /// Sessions that this replica holds in memory.
    pub sessions_in_memory: usize,
    pub identity_providers: Vec<ProviderStatus>,
    /// "off" or "jit".
    pub provisioning: String,
    /// The connector's name; absent without an application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
}

/// One identity provider.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ProviderStatus {
    pub id: String,
    pub label: String,
    /// "oidc" or "saml".
    pub protocol: String,
    /// Whether its metadata or discovery document was read, from there or from the last good copy.
    pub read: bool,
}

impl Example for Status {
    fn example() -> Self {
        Self {
            version: "0.1.0".to_owned(),
            ready: true,
            store_away_since: None,
            sessions_in_memory: 12,
            identity_providers: vec![ProviderStatus {
                id: "corp".to_owned(),
                label: "Corporate login".to_owned(),
                protocol: "oidc".to_owned(),
                read: true,
            }],
            provisioning: "jit".to_owned(),
            connector: Some("gitea".to_owned()),
        }
    }
}

pub(super) fn show(admin: &Admin) -> Result<Answer, AdminError> {
    let now = admin.live.now();
    let mode = now.whole.get("mode").and_then(serde_json::Value::as_str);
    let providers = admin.providers.iter().map(|provider| ProviderStatus {
        id: provider.id.to_string(),
        label: provider.label.clone(),
        protocol: provider.protocol.to_owned(),
        read: provider.is_ready(),
    });
    let away = admin.sessions.store_away_since();
    Answer::json(&Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ready: away.is_none(),
        store_away_since: away.map(|since| since.to_string()),
        sessions_in_memory: admin.sessions.in_memory(),
        identity_providers: providers.collect(),
        provisioning: mode.unwrap_or("off").to_owned(),
        connector: admin.connector.as_ref().map(|connector| connector.features().name.clone()),
    })
}
