//! Users as SCIM writes them, to and from accounts.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use crate::model::{Account, AccountId, AccountProfile, Entitlements};

pub(super) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub(super) const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub(super) const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// Attributes of PROVISIONING.md F2 that a SCIM user has a place for, with the path of that place.
const ATTRIBUTES: [(&str, &str); 8] = [
    ("given_name", "name.givenName"),
    ("family_name", "name.familyName"),
    ("locale", "locale"),
    ("timezone", "timezone"),
    ("title", "title"),
    ("nickname", "nickName"),
    ("language", "preferredLanguage"),
    ("external_id", "externalId"),
];

/// One page of a list (RFC 7644, 3.4.2).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    pub(super) total_results: usize,
    #[serde(default, rename = "Resources")]
    pub(super) resources: Option<Vec<Json>>,
}

/// RFC 7643, 4.1; what is not used here is not read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    id: String,
    #[serde(rename = "userName")]
    login: String,
    display_name: Option<String>,
    name: Option<Name>,
    /// Absent counts as active: RFC 7643 gives it no default, and many servers leave it out.
    active: Option<bool>,
    emails: Option<Vec<Multi>>,
    roles: Option<Vec<Multi>>,
    entitlements: Option<Vec<Multi>>,
    #[serde(flatten)]
    rest: Map<String, Json>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Name {
    formatted: Option<String>,
    #[serde(rename = "givenName")]
    given: Option<String>,
    #[serde(rename = "familyName")]
    family: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Multi {
    value: Option<String>,
    primary: Option<bool>,
}

/// A group, without its members, which may be many.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) display_name: String,
}

/// The primary value, else the first.
fn primary(values: Option<&Vec<Multi>>) -> Option<String> {
    let values = values?;
    let marked = values.iter().find(|value| value.primary == Some(true) && value.value.is_some());
    marked.or_else(|| values.iter().find(|value| value.value.is_some()))?.value.clone()
}

fn present(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}

/// An account out of a User; `None` where it is none (no id, no userName, wrong types). `teams` and groups
/// are not in it.
pub(super) fn account(user: &Json, roles: bool, permissions: bool) -> Option<Account> {
    let user: User = serde_json::from_value(user.clone()).ok()?;
    let id = crate::provision::rest::read::name(&Json::from(user.id))?;
    let username = crate::provision::rest::read::name(&Json::from(user.login))?;
    let name = user.name.as_ref();
    let mut attributes = BTreeMap::new();
    for (attribute, path) in ATTRIBUTES {
        let value = match path {
            "name.givenName" => present(name.and_then(|name| name.given.as_ref())),
            "name.familyName" => present(name.and_then(|name| name.family.as_ref())),
            path => {
                user.rest.get(path).and_then(Json::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
            }
        };
        if let Some(value) = value {
            attributes.insert(attribute.to_owned(), value);
        }
    }
    let held = user.entitlements.unwrap_or_default().into_iter().filter_map(|entitlement| entitlement.value);
    Some(Account {
        id: AccountId(id),
        profile: AccountProfile {
            username,
            email: primary(user.emails.as_ref()),
            display_name: present(user.display_name.as_ref())
                .or_else(|| present(name.and_then(|name| name.formatted.as_ref()))),
            attributes,
        },
        active: user.active.unwrap_or(true),
        privileged: false,
        entitlements: Entitlements {
            role: primary(user.roles.as_ref()).filter(|_| roles),
            permissions: if permissions { held.collect() } else { BTreeSet::new() },
            ..Entitlements::default()
        },
    })
}

/// The User to create.
pub(super) fn user(wanted: &AccountProfile, role: Option<&str>) -> Json {
    let mut user = Map::new();
    user.insert("schemas".to_owned(), json!([USER]));
    user.insert("userName".to_owned(), json!(wanted.username));
    user.insert("active".to_owned(), json!(true));
    if let Some(email) = &wanted.email {
        user.insert("emails".to_owned(), json!([{ "value": email, "type": "work", "primary": true }]));
    }
    if let Some(name) = &wanted.display_name {
        user.insert("displayName".to_owned(), json!(name));
    }
    if let Some(role) = role {
        user.insert("roles".to_owned(), json!([{ "value": role, "primary": true }]));
    }
    let mut name = Map::new();
    for (attribute, path) in ATTRIBUTES {
        let Some(value) = wanted.attributes.get(attribute) else { continue };
        match path.strip_prefix("name.") {
            Some(part) => name.insert(part.to_owned(), json!(value)),
            None => user.insert(path.to_owned(), json!(value)),
        };
    }
    if !name.is_empty() {
        user.insert("name".to_owned(), Json::Object(name));
    }
    Json::Object(user)
}

/// A PATCH (RFC 7644, 3.5.2) of these operations.
pub(super) fn patch(operations: &[Json]) -> Json {
    json!({ "schemas": [PATCH], "Operations": operations })
}

pub(super) fn replace(path: &str, value: &Json) -> Json {
    json!({ "op": "replace", "path": path, "value": value })
}

/// The operations that write the fields of `profile` that are there.
pub(super) fn profile_operations(profile: &AccountProfile) -> Vec<Json> {
    let mut operations = Vec::new();
    if let Some(email) = &profile.email {
        operations.push(replace("emails", &json!([{ "value": email, "type": "work", "primary": true }])));
    }
    if let Some(name) = &profile.display_name {
        operations.push(replace("displayName", &json!(name)));
    }
    for (attribute, path) in ATTRIBUTES {
        if let Some(value) = profile.attributes.get(attribute) {
            operations.push(replace(path, &json!(value)));
        }
    }
    operations
}
