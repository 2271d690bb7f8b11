//! The provisioning settings that hold.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::Admin;
use super::answer::Answer;
use super::error::AdminError;
use super::routes::Example;
use crate::config::{Settings, Written};

/// The settings that hold now.
pub struct Effective {
    written: Written,
}

impl Effective {
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self { written: settings.written.clone() }
    }

    /// `[provisioning]` with every default filled in.
    #[must_use]
    pub fn whole(&self) -> &Value {
        self.written.whole()
    }

    /// `provisioning.mode`
    #[must_use]
    pub fn mode(&self) -> &str {
        self.whole().get("mode").and_then(Value::as_str).unwrap_or("off")
    }
}

/// The settings that hold.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SettingsView {
    /// `[provisioning]` as it would stand in proxy.toml, with every default filled in.
    pub provisioning: Value,
}

impl Example for SettingsView {
    fn example() -> Self {
        Self { provisioning: json!({ "mode": "jit", "default_role": "user", "groups_claim": "groups" }) }
    }
}

pub(super) async fn show(admin: &Admin) -> Result<Answer, AdminError> {
    Answer::json(&SettingsView { provisioning: admin.settings.whole().clone() })
}
