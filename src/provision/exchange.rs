//! The JSON form of a group mapping (F5), in and out: `mappings[].group_name`, `team_name`, `role_name` (a role within
//! the team) and `tenant_permission`, and `tenant_owners_groups` beside them.
//!
//! What is read gives rows that give exactly the same document when they are written again; what the form cannot say
//! is not written at all, but told, row by row.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::settings::{MappingGives, MappingRow, Provisioning};

/// A mapping in the JSON form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct JsonMapping {
    /// Left out where empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tenant_owners_groups: Vec<String>,
    pub mappings: Vec<JsonRow>,
}

/// One of `mappings`: a group, and a team or a permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JsonRow {
    pub group_name: String,
    #[serde(flatten)]
    pub gives: JsonGives,
}

/// What a row gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum JsonGives {
    Team {
        team_name: String,
        /// The role within the team.
        #[serde(skip_serializing_if = "Option::is_none")]
        role_name: Option<String>,
    },
    Permission {
        tenant_permission: String,
    },
}

/// Everything that is wrong with a document, or that the form cannot say, each with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct NotExchangeable(pub Vec<String>);

/// What was written, and what is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    pub mapping: JsonMapping,
    /// What changes no entitlement and has no place in the form.
    pub left_out: Vec<String>,
}

/// Reads a document.
///
/// # Errors
/// [`NotExchangeable`], with all that is wrong at once.
pub fn read(text: &str) -> Result<JsonMapping, NotExchangeable> {
    let document: Value = serde_json::from_str(text)
        .map_err(|error| NotExchangeable(vec![format!("this is not JSON: {error}")]))?;
    let mut reading = Reading { faults: Vec::new() };
    let mapping = reading.document(&document);
    match mapping {
        Some(mapping) if reading.faults.is_empty() => Ok(mapping),
        _ => Err(NotExchangeable(reading.faults)),
    }
}

/// Writes the mapping of these settings.
///
/// # Errors
/// [`NotExchangeable`], with every row that the form cannot say: to leave one out would be another mapping.
pub fn of(settings: &Provisioning) -> Result<Exported, NotExchangeable> {
    let (mut mappings, mut left_out, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for (index, row) in settings.mapping.iter().enumerate() {
        let at = format!("provisioning.mapping[{index}]");
        match exported(row) {
            Ok(json) => {
                mappings.push(json);
                if row.label.is_some() {
                    left_out.push(format!("{at}: its `label`"));
                }
                if row.privileged {
                    left_out.push(format!("{at}: `privileged = true`, to be said again where it is read"));
                }
            }
            Err(what) => faults.push(format!("{at} {what}, which the JSON form cannot say")),
        }
    }
    if faults.is_empty() {
        let tenant_owners_groups = settings.owners_groups.clone();
        Ok(Exported { mapping: JsonMapping { tenant_owners_groups, mappings }, left_out })
    } else {
        Err(NotExchangeable(faults))
    }
}

fn exported(row: &MappingRow) -> Result<JsonRow, &'static str> {
    let Some(group_name) = row.group.clone() else { return Err("has no `group`") };
    if row.when.is_some() {
        return Err("has a condition (`when`)");
    }
    if row.idp.is_some() {
        return Err("is for one identity provider (`idp`)");
    }
    let gives = match &row.gives {
        MappingGives::Team { team, team_role } => {
            JsonGives::Team { team_name: team.clone(), role_name: team_role.clone() }
        }
        MappingGives::Permission(permission) => {
            JsonGives::Permission { tenant_permission: permission.clone() }
        }
        MappingGives::Role(_) => return Err("gives an application-wide role (`role`)"),
        MappingGives::AppGroups(_) => return Err("gives application groups (`app_groups`)"),
    };
    Ok(JsonRow { group_name, gives })
}

impl JsonMapping {
    /// The rows as they are meant; none is marked as privileged, which only an administrator can say.
    #[must_use]
    pub fn rows(&self) -> Vec<MappingRow> {
        let row = |row: &JsonRow| MappingRow {
            group: Some(row.group_name.clone()),
            label: None,
            idp: None,
            when: None,
            privileged: false,
            gives: match &row.gives {
                JsonGives::Team { team_name, role_name } => {
                    MappingGives::Team { team: team_name.clone(), team_role: role_name.clone() }
                }
                JsonGives::Permission { tenant_permission } => {
                    MappingGives::Permission(tenant_permission.clone())
                }
            },
        };
        self.mappings.iter().map(row).collect()
    }

    /// As it stands in `proxy.toml`.
    #[must_use]
    pub fn toml(&self) -> String {
        let mut text = String::new();
        if !self.tenant_owners_groups.is_empty() {
            let _ = writeln!(text, "[provisioning]\nowners_groups = {}\n", self.owners_groups_toml());
        }
        for row in &self.mappings {
            text.push_str("[[provisioning.mapping]]\n");
            for (key, value) in row.keys() {
                let _ = writeln!(text, "{key} = {}", quoted(value));
            }
            text.push('\n');
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }

    /// The value of `provisioning.owners_groups`, in one line of TOML.
    #[must_use]
    pub fn owners_groups_toml(&self) -> String {
        let groups: Vec<String> = self.tenant_owners_groups.iter().map(|group| quoted(group)).collect();
        format!("[{}]", groups.join(", "))
    }

    /// The value of `provisioning.mapping`, in one line of TOML.
    #[must_use]
    pub fn rows_toml(&self) -> String {
        let rows = self.mappings.iter().map(|row| {
            let keys: Vec<String> =
                row.keys().into_iter().map(|(key, value)| format!("{key} = {}", quoted(value))).collect();
            format!("{{ {} }}", keys.join(", "))
        });
        format!("[{}]", rows.collect::<Vec<_>>().join(", "))
    }

    /// The document, indented.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

impl JsonRow {
    fn keys(&self) -> Vec<(&'static str, &str)> {
        let mut keys = vec![("group", self.group_name.as_str())];
        match &self.gives {
            JsonGives::Team { team_name, role_name } => {
                keys.push(("team", team_name));
                keys.extend(role_name.as_deref().map(|role| ("team_role", role)));
            }
            JsonGives::Permission { tenant_permission } => keys.push(("permission", tenant_permission)),
        }
        keys
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

const KEYS: [&str; 2] = ["tenant_owners_groups", "mappings"];
const ROW_KEYS: [&str; 4] = ["group_name", "team_name", "role_name", "tenant_permission"];

struct Reading {
    faults: Vec<String>,
}

impl Reading {
    fn fault<T>(&mut self, at: &str, what: impl std::fmt::Display) -> Option<T> {
        self.faults.push(if at.is_empty() { what.to_string() } else { format!("{at}: {what}") });
        None
    }

    fn document(&mut self, document: &Value) -> Option<JsonMapping> {
        let Value::Object(map) = document else {
            return self.fault("", format!("expected an object with `mappings`, found {}", kind(document)));
        };
        // As an API wraps it.
        if let Some(inner) = map.get("user_group_mapping").filter(|_| map.len() == 1) {
            return self.document(inner);
        }
        self.known_keys("", map, &KEYS);
        let mut tenant_owners_groups: Vec<String> = Vec::new();
        if let Some(groups) = map.get("tenant_owners_groups") {
            for (index, group) in self.list("tenant_owners_groups", groups)?.iter().enumerate() {
                let at = format!("tenant_owners_groups[{index}]");
                let Some(group) = self.text(&at, group) else { continue };
                if tenant_owners_groups.contains(&group) {
                    self.fault::<()>(&at, format!("{group:?} stands here twice"));
                } else {
                    tenant_owners_groups.push(group);
                }
            }
        }
        let Some(rows) = map.get("mappings") else {
            return self.fault("", "`mappings` is missing; where there is no row, write []");
        };
        let rows = self.list("mappings", rows)?;
        let mappings: Vec<JsonRow> = rows
            .iter()
            .enumerate()
            .filter_map(|(index, row)| self.row(&format!("mappings[{index}]"), row))
            .collect();
        (mappings.len() == rows.len()).then_some(JsonMapping { tenant_owners_groups, mappings })
    }

    fn row(&mut self, at: &str, row: &Value) -> Option<JsonRow> {
        let Value::Object(map) = row else {
            return self.fault(at, format!("expected an object, found {}", kind(row)));
        };
        self.known_keys(at, map, &ROW_KEYS);
        let mut text = |key: &str| {
            let value = map.get(key).filter(|value| !value.is_null())?;
            Some(self.text(&format!("{at}.{key}"), value))
        };
        let (group, team) = (text("group_name"), text("team_name"));
        let (role, permission) = (text("role_name"), text("tenant_permission"));
        let Some(group_name) = group else { return self.fault(at, "`group_name` is missing") };
        let gives = match (team, role, permission) {
            (Some(team), role, None) => {
                let role_name = match role {
                    None => None,
                    Some(role) => Some(role?),
                };
                JsonGives::Team { team_name: team?, role_name }
            }
            (None, None, Some(permission)) => JsonGives::Permission { tenant_permission: permission? },
            (Some(_), _, Some(_)) => {
                let what = "has both `team_name` and `tenant_permission`; write one entry for each";
                return self.fault(at, what);
            }
            (None, Some(_), _) => {
                let what = "`role_name` is a role within a team and has no meaning without `team_name`";
                return self.fault(at, what);
            }
            (None, None, None) => {
                return self.fault(at, "gives nothing: name a team (`team_name`) or a `tenant_permission`");
            }
        };
        Some(JsonRow { group_name: group_name?, gives })
    }

    fn known_keys(&mut self, at: &str, map: &Map<String, Value>, known: &[&str]) {
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            let help = match crate::expr::nearest(key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if key == "group_attribute_name" => {
                    "write groups_claim in [provisioning] instead".to_owned()
                }
                None => format!("the keys here are {}", known.join(", ")),
            };
            self.fault::<()>(at, format!("there is no key `{key}`; {help}"));
        }
    }

    fn list<'v>(&mut self, at: &str, value: &'v Value) -> Option<&'v Vec<Value>> {
        match value {
            Value::Array(items) => Some(items),
            other => self.fault(at, format!("expected a list, found {}", kind(other))),
        }
    }

    /// As the configuration wants names: not empty, no blanks around it, no controls in it.
    fn text(&mut self, at: &str, value: &Value) -> Option<String> {
        let Value::String(text) = value else {
            return self.fault(at, format!("expected a text, found {}", kind(value)));
        };
        if text.is_empty() || text.trim() != text || text.chars().any(char::is_control) {
            return self.fault(at, "is empty, or has blanks around it or control characters in it");
        }
        Some(text.clone())
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
