//! The application's connector: what it can do, and whether it reaches the application (PROVISIONING.md X3).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Admin;
use super::answer::Answer;
use super::error::AdminError;
use super::routes::Example;
use crate::provision::Connector;
use crate::provision::connector::Features;

/// What a connector can do and needs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ConnectorView {
    pub name: String,
    pub title: String,
    /// The version that the test suite ran against; absent: untested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tested_against: Option<String>,
    /// What it can do, in the words of `narthex connector list`.
    pub labels: Vec<String>,
    /// Built-in roles, where the application's API cannot list them.
    pub roles: Vec<RoleView>,
    /// The account's attributes by name.
    pub attributes: BTreeMap<String, AttributeView>,
}

/// A role of the application.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RoleView {
    pub name: String,
    /// Given only by a mapping row that says so.
    pub privileged: bool,
}

/// An attribute of an account.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AttributeView {
    pub required: bool,
    /// Where it is taken from unless the settings say otherwise.
    pub claims: Vec<String>,
}

impl Example for ConnectorView {
    fn example() -> Self {
        let email = AttributeView { required: true, claims: vec!["email".to_owned()] };
        Self {
            name: "gitea".to_owned(),
            title: "Gitea".to_owned(),
            tested_against: Some("1.26.0".to_owned()),
            labels: vec!["JIT".to_owned(), "roles".to_owned(), "teams".to_owned()],
            roles: vec![RoleView { name: "admin".to_owned(), privileged: true }],
            attributes: BTreeMap::from([("email".to_owned(), email)]),
        }
    }
}

/// What the application's API answered.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckView {
    /// Whether it was reached and took the credential.
    pub reached: bool,
    /// As the application says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What went wrong, secrets masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Example for CheckView {
    fn example() -> Self {
        Self { reached: true, version: Some("1.26.0".to_owned()), error: None }
    }
}

pub(super) fn show(admin: &Admin) -> Result<Answer, AdminError> {
    Answer::json(&viewed(configured(admin)?.features()))
}

pub(super) async fn check(admin: &Admin) -> Result<Answer, AdminError> {
    let checked = configured(admin)?.check().await;
    Answer::json(&match checked {
        Ok(checked) => CheckView { reached: true, version: checked.version, error: None },
        Err(error) => CheckView { reached: false, version: None, error: Some(error.to_string()) },
    })
}

fn configured(admin: &Admin) -> Result<&dyn Connector, AdminError> {
    admin.connector.as_deref().ok_or(AdminError::NoSuch("connector: there is no [application]"))
}

fn viewed(features: &Features) -> ConnectorView {
    let attributes = features.attributes.iter().map(|(name, spec)| {
        (name.clone(), AttributeView { required: spec.required, claims: spec.claims.clone() })
    });
    let roles = features.fixed_roles.iter();
    ConnectorView {
        name: features.name.clone(),
        title: features.title.clone(),
        tested_against: features.tested_against.clone(),
        labels: features.labels().into_iter().map(str::to_owned).collect(),
        roles: roles.map(|role| RoleView { name: role.name.clone(), privileged: role.privileged }).collect(),
        attributes: attributes.collect(),
    }
}
