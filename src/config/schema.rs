//! The JSON Schema of `proxy.toml`: what editors complete with, what the loader checks structure by, and what
//! `docs/config.md` is made from.

use std::sync::OnceLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::raw::Raw;

/// The schema, without references and without `null`, which TOML does not have.
pub fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let mut settings = SchemaSettings::draft07();
        settings.inline_subschemas = true;
        let mut schema = settings.into_generator().into_root_schema_for::<Raw>().to_value();
        without_null(&mut schema);
        schema
    })
}

/// As `narthex schema` prints it.
#[must_use]
pub fn printed() -> String {
    serde_json::to_string_pretty(schema()).unwrap_or_default() + "\n"
}

fn without_null(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(map) => {
            if let Some(Value::Array(kinds)) = map.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [one] = kinds.as_slice() {
                    let one = one.clone();
                    map.insert("type".to_owned(), one);
                }
            }
            if let Some(Value::Array(members)) = map.get_mut("enum") {
                members.retain(|member| !member.is_null());
            }
            // Two spellings of one thing, for those who read the schema here.
            if let Some(Value::String(only)) = map.get("const") {
                let only = only.clone();
                map.remove("const");
                map.insert("enum".to_owned(), Value::Array(vec![Value::String(only)]));
                // The tag of an enum, where a doc comment has no place.
                map.entry("description").or_insert_with(|| "The protocol.".into());
            }
            if let Some(branches) = map.remove("oneOf") {
                map.insert("anyOf".to_owned(), branches);
            }
            if let Some(Value::Array(branches)) = map.get_mut("anyOf") {
                branches.retain(|branch| branch.get("type").is_none_or(|kind| kind != "null"));
                if let [Value::Object(one)] = branches.as_slice() {
                    let one = one.clone();
                    map.remove("anyOf");
                    absorb(map, one);
                }
            }
            // A description that wraps in the source is one paragraph.
            if let Some(Value::String(text)) = map.get_mut("description") {
                *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            }
            if map.get("default").is_some_and(Value::is_null) {
                map.remove("default");
            }
            // Widths of Rust's integers, which mean nothing to an editor; not a key of that name.
            if map.get("format").is_some_and(Value::is_string) {
                map.remove("format");
            }
            map.values_mut().for_each(without_null);
        }
        _ => {}
    }
}

/// What stands at the field goes before what stands at its type.
fn absorb(map: &mut Map<String, Value>, branch: Map<String, Value>) {
    for (key, value) in branch {
        map.entry(key).or_insert(value);
    }
}
