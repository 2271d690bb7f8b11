//! `docs/config.md`, made from the schema.

use std::fmt::Write;

use serde_json::Value;

use super::schema::schema;
use super::structure::kinds;

const INTRODUCTION: &str = "\
<!-- Made from src/config/raw.rs; `NARTHEX_BLESS=1 cargo test --lib generated_docs` writes it anew. -->

# Configuration

";

/// The whole of `docs/config.md`.
#[must_use]
pub fn config() -> String {
    let mut text = INTRODUCTION.to_owned();
    let root = schema();
    let _ = writeln!(text, "{}\n", described(root));
    text.push_str(
        "Unknown keys, wrong types and references to nothing are refused, all at once, with file, line and column: \
         `narthex check`, or `narthex check --strict` where the configuration is to be served, and its secrets and files \
         must be there. A duration is a text like `15s`, `5m` or `1h 30m`. A secret is `{ file = \"path\" }`, \
         `{ env = \"NAME\" }` or the text itself. Keys without default and without \"required\" can be left out.\n",
    );
    for (name, section) in properties(root) {
        let items =
            section.get("items").filter(|items| items.get("type").is_none_or(|kind| kind == "object"));
        let heading = if items.is_some() { format!("[[{name}]]") } else { format!("[{name}]") };
        let body = items.unwrap_or(section);
        let required = if is_required(root, name) { " Required." } else { "" };
        let _ = write!(text, "\n## `{heading}`\n\n{}{required}\n", described(section));
        match kinds(body) {
            Some(kinds) => {
                for (kind, body) in kinds {
                    let about = described(body);
                    let _ = write!(text, "\n### `{heading}` with `type = \"{kind}\"`\n\n{about}\n");
                    text.push_str(&table(body));
                }
            }
            None => text.push_str(&table(body)),
        }
    }
    text
}

fn table(body: &Value) -> String {
    let rows = rows(body, "");
    if rows.is_empty() {
        return rows;
    }
    format!("\n| key | type | default | meaning |\n|---|---|---|---|\n{rows}")
}

fn rows(schema: &Value, prefix: &str) -> String {
    let mut text = String::new();
    for (name, key) in properties(schema) {
        let default = match key.get("default") {
            Some(Value::Object(_)) => String::new(),
            Some(default) => format!("`{}`", toml_of(default)),
            None if is_required(schema, name) => "required".to_owned(),
            None => String::new(),
        };
        let full = format!("{prefix}{name}");
        let _ = writeln!(
            text,
            "| `{full}` | {} | {default} | {} |",
            kind(key),
            described(key).replace('|', "\\|")
        );
        if let Some(items) = key.get("items") {
            text.push_str(&rows(items, &format!("{full}[].")));
        }
        if let Some(others) = key.get("additionalProperties").filter(|others| others.is_object()) {
            text.push_str(&rows(others, &format!("{full}.NAME.")));
        }
        text.push_str(&rows(key, &format!("{full}.")));
    }
    text
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flat_map(|map| map.iter())
}

fn is_required(schema: &Value, name: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_some_and(|required| required.iter().any(|one| one == name))
}

fn described(schema: &Value) -> &str {
    schema.get("description").and_then(Value::as_str).unwrap_or_default()
}

fn kind(schema: &Value) -> String {
    if let Some(Value::Array(branches)) = schema.get("anyOf") {
        let list = branches.iter().any(|branch| branch.get("type").is_some_and(|kind| kind == "array"));
        return if list { "text or list of texts" } else { "secret" }.to_owned();
    }
    if let Some(members) = schema.get("enum").and_then(Value::as_array) {
        return members
            .iter()
            .filter_map(Value::as_str)
            .map(|m| format!("`\"{m}\"`"))
            .collect::<Vec<_>>()
            .join(", ");
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("integer") => "number".to_owned(),
        Some("boolean") => "`true`, `false`".to_owned(),
        Some("object") => "table".to_owned(),
        Some("array") => match schema.get("items") {
            Some(items) if items.get("properties").is_some() => "list of tables".to_owned(),
            Some(items) if items.get("enum").is_some() => format!("list of {}", kind(items)),
            _ => "list of texts".to_owned(),
        },
        _ => "text".to_owned(),
    }
}

fn toml_of(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(toml_of).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
