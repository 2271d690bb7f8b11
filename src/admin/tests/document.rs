//! The OpenAPI document: complete, sound, and true of every answer.

use std::collections::BTreeSet;

use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use super::server::DOCUMENT;
use crate::admin::openapi;
use crate::admin::routes::{Access, ROUTES};

/// Whether `value` is as `schema` says; as much of JSON Schema 2020-12 as the document uses, and no more.
pub fn misfits(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let Some(rules) = schema.as_object() else {
        if schema != &Value::Bool(true) {
            found.push(format!("{at}: not allowed"));
        }
        return;
    };
    for (rule, wanted) in rules {
        match rule.as_str() {
            "$ref" => {
                let pointer = wanted.as_str().unwrap().strip_prefix('#').unwrap();
                let target = document.pointer(pointer).unwrap_or_else(|| panic!("{pointer} leads nowhere"));
                misfits(document, target, value, at, found);
            }
            "type" => {
                let kinds: Vec<&str> = match wanted {
                    Value::Array(all) => all.iter().map(|kind| kind.as_str().unwrap()).collect(),
                    one => vec![one.as_str().unwrap()],
                };
                let is = |kind: &&str| match *kind {
                    "string" => value.is_string(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    "boolean" => value.is_boolean(),
                    "array" => value.is_array(),
                    "object" => value.is_object(),
                    "null" => value.is_null(),
                    other => panic!("{at}: unknown type {other}"),
                };
                if !kinds.iter().any(is) {
                    found.push(format!("{at}: {value} is no {kinds:?}"));
                }
            }
            "properties" => {
                for (name, below) in wanted.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        misfits(document, below, value, &format!("{at}.{name}"), found);
                    }
                }
            }
            "required" => {
                for name in wanted.as_array().unwrap() {
                    if value.get(name.as_str().unwrap()).is_none() {
                        found.push(format!("{at} lacks {name}"));
                    }
                }
            }
            "additionalProperties" => {
                let known = rules.get("properties").and_then(Value::as_object);
                for (name, value) in value.as_object().into_iter().flatten() {
                    if known.is_none_or(|known| !known.contains_key(name)) {
                        misfits(document, wanted, value, &format!("{at}.{name}"), found);
                    }
                }
            }
            "items" => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    misfits(document, wanted, value, &format!("{at}[{index}]"), found);
                }
            }
            "enum" => {
                if !wanted.as_array().unwrap().contains(value) {
                    found.push(format!("{at}: {value} is none of {wanted}"));
                }
            }
            "const" => {
                if wanted != value {
                    found.push(format!("{at}: {value} is not {wanted}"));
                }
            }
            "anyOf" | "oneOf" => {
                let fits = |branch: &&Value| {
                    let mut found = Vec::new();
                    misfits(document, branch, value, at, &mut found);
                    found.is_empty()
                };
                if !wanted.as_array().unwrap().iter().any(|branch| fits(&branch)) {
                    found.push(format!("{at}: {value} fits no branch"));
                }
            }
            "minimum" => {
                if value.as_i64().is_some_and(|number| number < wanted.as_i64().unwrap()) {
                    found.push(format!("{at}: {value} is less than {wanted}"));
                }
            }
            "maximum" => {
                if value.as_i64().is_some_and(|number| number > wanted.as_i64().unwrap()) {
                    found.push(format!("{at}: {value} is more than {wanted}"));
                }
            }
            "uniqueItems" => {
                let items = value.as_array().unwrap();
                if items.iter().enumerate().any(|(place, item)| items[..place].contains(item)) {
                    found.push(format!("{at}: an item is there twice"));
                }
            }
            "title" | "description" | "default" | "format" | "$schema" => {}
            other => panic!("{at}: the document uses {other}, which is not checked here"),
        }
    }
}

/// What of the document's paths this one is.
fn path_of<'d>(document: &'d Value, path: &str) -> Option<&'d Value> {
    let paths = document["paths"].as_object().unwrap();
    let fits = |known: &str| {
        let (known, asked): (Vec<&str>, Vec<&str>) = (known.split('/').collect(), path.split('/').collect());
        known.len() == asked.len()
            && known.iter().zip(&asked).all(|(known, asked)| known == asked || known.starts_with('{'))
    };
    // Whole names go before parts in braces.
    paths.get(path).or_else(|| paths.iter().find(|(known, _)| fits(known)).map(|(_, path)| path))
}

/// Holds an answer against the document.
pub fn check(
    document: &Value,
    method: &Method,
    path: &str,
    status: StatusCode,
    headers: &HeaderMap,
    text: &str,
) {
    let operation = path_of(document, path).and_then(|path| path.get(method.as_str().to_lowercase()));
    let problem = &document["components"]["responses"]["Problem"];
    let response = match operation {
        // Refused before any operation was found.
        None => problem,
        Some(operation) => operation["responses"].get(status.as_str()).unwrap_or_else(|| {
            assert!(status.as_u16() >= 400, "{method} {path}: {status} is not in the document");
            problem
        }),
    };
    let Some(content) = response.get("content") else {
        assert_eq!(text, "", "{method} {path}: {status}");
        return;
    };
    let media = headers["content-type"].to_str().unwrap();
    let schema = &content.get(media).unwrap_or_else(|| panic!("{method} {path}: {media}"))["schema"];
    if media.ends_with("json") {
        let value: Value = serde_json::from_str(text).unwrap();
        let mut found = Vec::new();
        misfits(document, schema, &value, "", &mut found);
        assert!(found.is_empty(), "{method} {path}: {found:?}\n{text}");
    }
    let tagged = response.get("headers").is_some_and(|headers| headers.get("ETag").is_some());
    assert_eq!(tagged, headers.contains_key("etag"), "{method} {path}: ETag");
}

#[test]
fn the_document_has_exactly_the_routers_calls() {
    let mut documented = BTreeSet::new();
    for (path, methods) in DOCUMENT["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            assert!(documented.insert(format!("{} {path}", method.to_uppercase())));
        }
    }
    let routed: BTreeSet<String> =
        ROUTES.iter().map(|route| format!("{} /api/v1{}", route.method, route.path)).collect();
    assert_eq!(routed.len(), ROUTES.len(), "two routes of one method and path");
    assert_eq!(documented, routed);
}

fn undescribed(value: &Value, at: &str, found: &mut Vec<String>) {
    for (name, property) in value.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if name.is_empty() {
            found.push(format!("{at}.{name}"));
        }
        undescribed(property, &format!("{at}.{name}"), found);
    }
}

#[test]
fn every_call_is_described_and_named_once() {
    let mut names = BTreeSet::new();
    for route in ROUTES {
        assert!(names.insert(route.operation), "{} stands there twice", route.operation);
        assert!(route.summary.ends_with('.') && route.summary.len() > 10, "{}", route.operation);
        assert!(route.operation.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
        if route.method != Method::GET {
            let proven = route.access == Access::Anybody && route.takes.is_some();
            assert!(matches!(route.access, Access::Needs(_)) || proven, "{} needs nothing", route.operation);
        }
    }
    let mut found = Vec::new();
    for (name, schema) in DOCUMENT["components"]["schemas"].as_object().unwrap() {
        assert!(schema.get("description").is_some(), "{name} is not described");
        undescribed(schema, name, &mut found);
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_example_is_as_its_schema_says_and_every_reference_leads_somewhere() {
    let mut examples = 0;
    for (path, methods) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let bodies =
                operation["responses"].as_object().unwrap().values().chain(operation.get("requestBody"));
            for media in bodies.filter_map(|body| body.get("content")?.get("application/json")) {
                let Some(example) = media.get("example") else { continue };
                let mut found = Vec::new();
                misfits(&DOCUMENT, &media["schema"], example, "", &mut found);
                assert!(found.is_empty(), "{method} {path}: {found:?}");
                examples += 1;
            }
        }
    }
    let wanted = ROUTES.iter().filter(|route| route.takes.is_some()).count()
        + ROUTES.iter().filter(|route| matches!(route.gives, Some(ref gives) if gives.has_example())).count();
    assert_eq!(examples, wanted);
}

#[test]
fn a_misfit_is_seen() {
    let schema = serde_json::json!({
        "type": "object", "required": ["a"], "additionalProperties": false,
        "properties": { "a": { "type": "integer", "minimum": 1 }, "b": { "type": ["string", "null"] } },
    });
    let misfit = |value: Value| {
        let mut found = Vec::new();
        misfits(&schema, &schema, &value, "", &mut found);
        found.len()
    };
    assert_eq!(misfit(serde_json::json!({ "a": 1, "b": null })), 0);
    for wrong in [
        serde_json::json!({ "a": 0 }),
        serde_json::json!({ "a": "1" }),
        serde_json::json!({ "b": "x" }),
        serde_json::json!({ "a": 1, "b": 2 }),
        serde_json::json!({ "a": 1, "c": 2 }),
    ] {
        assert_eq!(misfit(wrong.clone()), 1, "{wrong}");
    }
}

#[test]
fn generated_docs_of_the_admin_api_are_fresh() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    if std::env::vars().any(|(name, _)| name == "NARTHEX_BLESS") {
        std::fs::write(&path, openapi::printed()).unwrap();
    } else {
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == openapi::printed(),
            "docs/openapi.json is stale; run: NARTHEX_BLESS=1 cargo test --lib generated_docs"
        );
    }
}
