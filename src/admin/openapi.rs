//! The OpenAPI 3.1 document, made from the table of routes and the types that they take and give.

use std::sync::OnceLock;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::permissions::PERMISSIONS;
use super::routes::{Access, Gives, ROUTES, Route, Shape};

/// What every refusal looks like (RFC 9457).
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProblemView {
    /// urn:narthex:problem: and the code, which stays the same.
    pub r#type: String,
    pub title: String,
    pub status: u16,
    /// What happened, and what to do.
    pub detail: String,
    /// With 422: what is wrong, as `narthex check --json` tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problems: Option<Vec<Value>>,
}

/// `/api/v1/openapi.json`
#[must_use]
pub fn answer() -> Answer {
    Answer::text("application/json", printed().to_owned())
}

/// The document as it is served and as it stands in `docs/openapi.json`.
#[must_use]
pub fn printed() -> &'static str {
    static PRINTED: OnceLock<String> = OnceLock::new();
    PRINTED.get_or_init(|| serde_json::to_string_pretty(&document()).unwrap_or_default() + "\n")
}

/// The document.
#[must_use]
pub fn document() -> Value {
    // OpenAPI 3.1, 4.8.24: schemas are those of JSON Schema 2020-12.
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for route in ROUTES {
        let path = format!("/api/v1{}", route.path);
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(methods) = entry.as_object_mut() {
            methods.insert(route.method.as_str().to_lowercase(), operation(route, &mut generator));
        }
    }
    let problem = generator.subschema_for::<ProblemView>().to_value();
    let mut schemas = generator.take_definitions(true);
    schemas.values_mut().for_each(tidy);
    let permissions: Vec<String> =
        PERMISSIONS.iter().map(|(_, name, role)| format!("{name}: {}", role.as_str())).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "narthex admin API",
            "version": "1",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": format!(
                "Members, sessions, settings and invites of one narthex. Answers are JSON, refusals are problems \
                 (RFC 9457). Permissions, each with the least role that has it: {}.", permissions.join("; ")
            ),
        },
        "servers": [{ "url": "http://127.0.0.1:9091" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of [admin] tokens, or one that narthex gave.",
                },
            },
            "responses": {
                "Problem": {
                    "description": "It was not done.",
                    "content": { "application/problem+json": { "schema": problem } },
                },
            },
            "schemas": schemas,
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({
        "operationId": route.operation,
        "summary": route.summary,
        "parameters": parameters(route),
        "responses": responses(route, generator),
    });
    let Some(object) = operation.as_object_mut() else { return operation };
    match route.access {
        Access::Anybody => drop(object.insert("security".to_owned(), json!([]))),
        Access::Recognised => {}
        Access::Needs(permission) => {
            object.insert("description".to_owned(), json!(format!("Needs {}.", permission.as_str())));
            object.insert("x-permission".to_owned(), json!(permission.as_str()));
        }
    }
    if let Some(shape) = &route.takes {
        let body = json!({ "required": true, "content": { "application/json": media(shape, generator) } });
        object.insert("requestBody".to_owned(), body);
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let parts = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut all: Vec<Value> = parts
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    for parameter in route.parameters {
        let schema = if parameter.number {
            json!({ "type": "integer", "minimum": 1 })
        } else {
            json!({ "type": "string" })
        };
        all.push(json!({
            "name": parameter.name, "in": "query", "description": parameter.about, "schema": schema,
        }));
    }
    if route.changes_version {
        all.push(json!({
            "name": "If-Match", "in": "header", "required": true, "schema": { "type": "string" },
            "description": "The ETag of the version that is to be changed.",
        }));
    }
    all
}

fn responses(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let (status, mut answer) = match &route.gives {
        None => ("204", json!({ "description": "Done." })),
        Some(Gives::Json(shape) | Gives::Versioned(shape)) => (
            "200",
            json!({ "description": "Done.", "content": { "application/json": media(shape, generator) } }),
        ),
        Some(Gives::Created(shape)) => (
            "201",
            json!({ "description": "Made.", "content": { "application/json": media(shape, generator) } }),
        ),
        Some(Gives::Text(media)) => {
            ("200", json!({ "description": "Done.", "content": { *media: { "schema": {} } } }))
        }
    };
    let versioned = matches!(route.gives, Some(Gives::Versioned(_)));
    if let (true, Some(answer)) = (versioned, answer.as_object_mut()) {
        let tag = json!({ "ETag": { "description": "Its version now.", "schema": { "type": "string" } } });
        answer.insert("headers".to_owned(), tag);
    }
    json!({ status: answer, "default": { "$ref": "#/components/responses/Problem" } })
}

fn media(shape: &Shape, generator: &mut SchemaGenerator) -> Value {
    json!({ "schema": (shape.schema)(generator).to_value(), "example": (shape.example)() })
}

/// A description that wraps in the source is one paragraph; widths of Rust's integers mean nothing to others.
fn tidy(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(map) => {
            if let Some(Value::String(text)) = map.get_mut("description") {
                *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            }
            if map.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
                map.remove("format");
            }
            map.values_mut().for_each(tidy);
        }
        _ => {}
    }
}
