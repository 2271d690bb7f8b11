//! Sign-ins by their error or login id: how one was refused, what one did (PROVISIONING.md X1).

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::Admin;
use super::answer::Answer;
use super::call::Call;
use super::error::AdminError;
use super::routes::Example;
use crate::identify::refused::Refused;
use crate::store::StoreError;

/// How a sign-in was refused.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RefusalView {
    /// RFC 3339, UTC.
    pub at: String,
    /// Absent where none is configured under the name that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idp: Option<String>,
    pub code: String,
    /// Who has to act: "client", "person", "identity_provider", "application", "operator" or "us".
    pub fault: String,
    pub message: String,
    /// The checks in their order, up to the one that failed.
    pub steps: Vec<StepView>,
}

/// One check.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StepView {
    pub check: String,
    /// Where the rule stands.
    pub source: String,
    pub expected: String,
    pub found: String,
    pub passed: bool,
}

impl Example for RefusalView {
    fn example() -> Self {
        Self {
            at: "2026-01-31T12:00:00Z".to_owned(),
            idp: Some("partner".to_owned()),
            code: "audience_mismatch".to_owned(),
            fault: "operator".to_owned(),
            message: "set the SP entity ID at the identity provider to https://app.example.com".to_owned(),
            steps: vec![StepView {
                check: "Audience".to_owned(),
                source: "SAML Core 2.5.1.4".to_owned(),
                expected: "https://app.example.com".to_owned(),
                found: "https://other.example.com".to_owned(),
                passed: false,
            }],
        }
    }
}

/// What a sign-in did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LoginView {
    /// As `narthex explain --error ID --json` prints it: each decision with its rule, the plan, the headers.
    pub explanation: Value,
}

impl Example for LoginView {
    fn example() -> Self {
        Self { explanation: json!({ "idp": "corp", "subject": "248289761001", "rehearsed": false }) }
    }
}

pub(super) async fn login(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let id: String = call.part("login_id", "sign-in of this id")?;
    let record = admin.store.find_told(&id).await?;
    let record = record.ok_or(AdminError::NoSuch("sign-in of this id among the latest 2000"))?;
    let explanation = serde_json::from_str(&record)
        .map_err(|error| StoreError::Unreadable { what: "sign-in", reason: error.to_string() })?;
    Answer::json(&LoginView { explanation })
}

pub(super) async fn show(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let id: String = call.part("error_id", "refusal of this error id")?;
    let record = admin.store.find_refusal(&id).await?;
    let record = record.ok_or(AdminError::NoSuch("refusal of this error id among the latest 1000"))?;
    let refused: Refused = serde_json::from_str(&record)
        .map_err(|error| StoreError::Unreadable { what: "refusal", reason: error.to_string() })?;
    let steps = refused.steps.into_iter().map(|step| StepView {
        check: step.check.to_string(),
        source: step.source.to_string(),
        expected: step.expected,
        found: step.found,
        passed: step.passed,
    });
    Answer::json(&RefusalView {
        at: refused.at.to_string(),
        idp: refused.idp.map(|idp| idp.to_string()),
        code: refused.code,
        fault: refused.fault,
        message: refused.message,
        steps: steps.collect(),
    })
}
