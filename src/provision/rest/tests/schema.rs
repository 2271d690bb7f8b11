//! The JSON Schema of recipes takes what the loader takes, and refuses what it refuses for its form.

use serde_json::Value as Json;

use super::TOY;
use crate::provision::catalogue;
use crate::provision::rest::recipe::Recipe;

/// The first place where `value` is not as `schema` says, of what the schema uses.
fn wrong(schema: &Json, value: &Json, root: &Json, at: &str) -> Option<String> {
    if let Some(name) = schema["$ref"].as_str() {
        return wrong(&root["definitions"][name.rsplit('/').next().unwrap()], value, root, at);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        if let Some(fault) = wrong(part, value, root, at) {
            return Some(fault);
        }
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let faults: Vec<_> = any.iter().map(|one| wrong(one, value, root, at)).collect();
        if faults.iter().all(Option::is_some) {
            return faults.into_iter().flatten().next();
        }
    }
    if let Some(values) = schema["enum"].as_array()
        && !values.contains(value)
    {
        return Some(format!("{at}: {value} is none of {values:?}"));
    }
    if let (Some(number), Some(least), Some(most)) =
        (value.as_i64(), schema["minimum"].as_i64(), schema["maximum"].as_i64())
        && !(least..=most).contains(&number)
    {
        return Some(format!("{at}: {number} is not from {least} to {most}"));
    }
    // The one pattern: `^(A|B) /`.
    if let (Some(text), Some(pattern)) = (value.as_str(), schema["pattern"].as_str()) {
        let methods = pattern.strip_prefix("^(").and_then(|rest| rest.strip_suffix(") /")).unwrap();
        if !methods.split('|').any(|method| text.starts_with(&format!("{method} /"))) {
            return Some(format!("{at}: {text} is not {pattern}"));
        }
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Json::String(kind) => vec![kind],
        Json::Array(kinds) => kinds.iter().map(|kind| kind.as_str().unwrap()).collect(),
        _ => Vec::new(),
    };
    let kind = match value {
        Json::Object(_) => "object",
        Json::Array(_) => "array",
        Json::String(_) => "string",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "integer",
        Json::Null => "null",
    };
    if !kinds.is_empty() && !kinds.contains(&kind) {
        return Some(format!("{at}: {value} is not {kinds:?}"));
    }
    if let Json::Object(map) = value {
        for key in schema["required"].as_array().into_iter().flatten() {
            if !map.contains_key(key.as_str().unwrap()) {
                return Some(format!("{at}: lacks {key}"));
            }
        }
        for (key, inner) in map {
            let at = format!("{at}.{key}");
            let fault = match (&schema["properties"][key], &schema["additionalProperties"]) {
                (Json::Null, Json::Bool(false)) => Some(format!("{at}: unknown")),
                (Json::Null, further @ Json::Object(_)) => wrong(further, inner, root, &at),
                (Json::Null, _) => None,
                (known, _) => wrong(known, inner, root, &at),
            };
            if fault.is_some() {
                return fault;
            }
        }
    }
    let items = value.as_array().into_iter().flatten().filter(|_| schema.get("items").is_some());
    items.map(|item| wrong(&schema["items"], item, root, at)).find(Option::is_some).flatten()
}

fn refused(recipe: &str) -> Option<String> {
    let schema = catalogue::schema();
    let recipe: toml::Table = recipe.parse().unwrap();
    wrong(&schema, &serde_json::to_value(recipe).unwrap(), &schema, "")
}

#[test]
fn every_recipe_fits_the_schema() {
    for name in catalogue::names() {
        assert_eq!(refused(&catalogue::source(name).unwrap()), None, "{name}");
    }
    assert_eq!(refused(TOY), None);
    assert_eq!(refused(include_str!("../../../demo/legacy.toml")), None);
    let text = include_str!("../../../../docs/recipes.md");
    let example = text.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    assert_eq!(refused(example), None);
}

#[test]
fn what_has_the_wrong_form_is_refused_by_schema_and_loader() {
    for (from, to) in [
        ("title = ", "titel = "),
        ("email_case = \"insensitive\"", "email_case = \"whatever\""),
        ("kinds = [\"role\", ", "kinds = [\"roles\", "),
        ("privileged = true", "privileged = \"yes\""),
        ("claims = [\"email\"]", "claims = \"email\""),
        ("status = 402", "status = 42"),
        ("means = \"no_seats\"", "means = \"seats\""),
        ("id = \"$.id\"", "di = \"$.id\""),
        ("map = { 0 = \"user\"", "maps = { 0 = \"user\""),
        ("[operations.delete]", "[operations.remove]"),
        ("\"DELETE /users/{{ account.id }}\"", "\"REMOVE /users/{{ account.id }}\""),
        ("\"GET /check\", headers", "\"GET /check\", header"),
        ("keep = \"item.level == 9\"", "keep = 9"),
    ] {
        assert_eq!(TOY.matches(from).count(), 1, "{from:?} must stand once in the recipe");
        let broken = TOY.replace(from, to);
        assert!(refused(&broken).is_some(), "{to} fits the schema");
        assert!(Recipe::parse("toy.toml", &broken).is_err(), "{to} loads");
    }
}
