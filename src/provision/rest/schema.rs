//! The JSON Schema of recipes, for editors; made from the tables that the loader reads by. The loader says more (which
//! variables stand where, what needs what), and what it says counts.

use serde_json::{Map, Value as Json, json};

use super::load::{CASES, CREDENTIALS, GROUPS, KINDS, PROTOCOLS, SHAPES, STYLES, WEBHOOK_CAN};
use super::load_steps::{MEANINGS, METHODS};
use super::recipe::{Gives, Op};

/// The schema (draft 7).
pub(in crate::provision) fn schema() -> Json {
    let operations = Op::ALL.iter().map(|op| (op.key(), operation(*op)));
    let mut schema = object(
        &["name", "title", "application", "entitlements", "attributes", "authentication"],
        [
            ("name", text("What the configuration calls it.")),
            ("title", text("What people call it.")),
            ("tested_against", text("The version that the test suite ran it against. Absent: none.")),
            ("protocol", named("Absent: rest.", &PROTOCOLS)),
            ("help", help()),
            ("application", application()),
            ("entitlements", entitlements()),
            (
                "attributes",
                json!({
                    "description": "What an account has; `username` always.",
                    "type": "object", "required": ["username"], "additionalProperties": attribute(),
                }),
            ),
            ("authentication", authentication()),
            (
                "team_name",
                object(
                    &["parts", "separator"],
                    [
                        ("parts", texts("The parts of a team's name, which become variables: team.PART.")),
                        ("separator", text("What stands between them.")),
                    ],
                ),
            ),
            ("pagination", pagination()),
            ("errors", list(outcome("What a refusal of any operation means; the first that fits counts."))),
            ("account", account()),
            ("operations", object(&["check", "find_by_id", "find_by_username", "create"], operations)),
            ("scim", object(&["groups"], [("groups", named("What SCIM's groups are.", &GROUPS))])),
            (
                "webhook",
                object(
                    &["can"],
                    [("can", list(named("What the receiver can do beyond the rest.", &WEBHOOK_CAN)))],
                ),
            ),
        ],
    );
    if let Json::Object(map) = &mut schema {
        map.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
        map.insert("title".to_owned(), json!("A recipe of narthex"));
        map.insert("definitions".to_owned(), json!({ "reader": reader(), "step": step() }));
    }
    schema
}

fn object<'k>(required: &[&str], properties: impl IntoIterator<Item = (&'k str, Json)>) -> Json {
    let properties: Map<String, Json> =
        properties.into_iter().map(|(key, schema)| (key.to_owned(), schema)).collect();
    json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    })
}

fn text(description: &str) -> Json {
    json!({ "type": "string", "description": description })
}

fn texts(description: &str) -> Json {
    json!({ "type": "array", "items": { "type": "string" }, "description": description })
}

fn flag(description: &str) -> Json {
    json!({ "type": "boolean", "description": description })
}

fn count(description: &str) -> Json {
    json!({ "type": "integer", "minimum": 0, "description": description })
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn list(items: Json) -> Json {
    json!({ "type": "array", "items": items })
}

/// One of the names of a table of the loader's.
fn named<T>(description: &str, names: &[(&str, T)]) -> Json {
    let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
    json!({ "enum": names, "description": description })
}

fn read(description: &str) -> Json {
    json!({ "allOf": [{ "$ref": "#/definitions/reader" }], "description": description })
}

fn help() -> Json {
    let mut schema = object(
        &[],
        [
            ("credential", text("Whose credential, and with which scopes.")),
            ("url", text("Which URL it is.")),
            ("application", text("What has to be set in the application, for sign-in by header too.")),
            ("settings", text("That, as it stands in the application's own file; printed as it is.")),
        ],
    );
    if let Json::Object(map) = &mut schema {
        map.insert("description".to_owned(), json!("What people have to do; `connector show` prints it."));
    }
    schema
}

fn application() -> Json {
    object(
        &["username_case", "email_case"],
        [
            ("username_case", named("How usernames are compared.", &CASES)),
            ("email_case", named("How the local parts of addresses are compared.", &CASES)),
            ("session_cookies", texts("Its session cookies, cleared at logout: names, or `prefix*`.")),
            ("logout_path", text("A request to it ends narthex's session too.")),
            ("trusted_headers", texts("Further headers that it believes; clients cannot send them.")),
        ],
    )
}

fn entitlements() -> Json {
    let role = object(
        &["name"],
        [("name", text("Its name.")), ("privileged", flag("Given by a mapping row that says so only."))],
    );
    let patterns = || texts("Names, `prefix*` or `*suffix`, that are privileged.");
    object(
        &["kinds"],
        [
            ("kinds", list(named("What accounts can hold.", &KINDS))),
            ("roles", list(role)),
            ("privileged_roles", patterns()),
            ("privileged_teams", patterns()),
            ("privileged_app_groups", patterns()),
            ("privileged_permissions", patterns()),
        ],
    )
}

fn attribute() -> Json {
    object(
        &[],
        [
            ("required", flag("Nobody is let in without it.")),
            ("claims", texts("The claims that fill it, the first that is there.")),
            ("shape", named("What a value looks like. Absent: text.", &SHAPES)),
        ],
    )
}

fn authentication() -> Json {
    let bearer = object(
        &["header"],
        [("header", text("The header.")), ("prefix", text("Before the token, with its blank."))],
    );
    object(
        &["kinds"],
        [("kinds", list(named("Credentials that the API takes.", &CREDENTIALS))), ("bearer", bearer)],
    )
}

fn pagination() -> Json {
    object(
        &["style"],
        [
            ("style", named("How the next page is asked for.", &STYLES)),
            ("page", text("page: the query's parameter.")),
            ("first", count("page: the number of the first page. Absent: 1.")),
            ("offset", text("offset: the query's parameter.")),
            ("cursor", text("cursor: the query's parameter.")),
            ("next", read("cursor: where the next one stands in an answer.")),
            ("limit", text("The query's parameter for the size of a page.")),
            ("size", count("The size of a page.")),
            ("max_pages", count("More are an error. Absent: 200.")),
            ("total", read("How many items there are in all.")),
            ("total_header", text("The header that says how many items there are in all.")),
        ],
    )
}

fn account() -> Json {
    object(
        &["id", "username"],
        [
            ("id", read("Never changes.")),
            ("username", read("The name.")),
            ("email", read("The e-mail address.")),
            ("display_name", read("The name for people.")),
            ("active", read("true or false; absent: accounts cannot be inactive.")),
            ("privileged", read("true or false: whether it is privileged by more than its names.")),
            ("role", read("The role.")),
            ("teams", read("All names of its teams.")),
            ("app_groups", read("All names of its groups.")),
            ("permissions", read("All names of its permissions.")),
            ("owner", read("true or false.")),
            (
                "attributes",
                json!({
                    "type": "object", "additionalProperties": { "$ref": "#/definitions/reader" },
                }),
            ),
        ],
    )
}

fn outcome(description: &str) -> Json {
    let mut schema = object(
        &["status", "means"],
        [
            ("status", statuses("The answer's status.")),
            ("contains", text("A text in the answer, in any case.")),
            ("at", text("JSONPath: look for it there only.")),
            ("means", named("What it comes to.", &MEANINGS)),
        ],
    );
    if let Json::Object(map) = &mut schema {
        map.insert("description".to_owned(), json!(description));
    }
    schema
}

fn statuses(description: &str) -> Json {
    let status = json!({ "type": "integer", "minimum": 100, "maximum": 599 });
    json!({ "anyOf": [status, { "type": "array", "items": status }], "description": description })
}

fn operation(op: Op) -> Json {
    let mut properties = vec![
        (
            "begin",
            json!({
                "enum": [Op::Current.key(), Op::FindTeam.key()],
                "description": "Another operation whose steps come first, for what it saves.",
            }),
        ),
        ("steps", json!({ "type": "array", "minItems": 1, "items": { "$ref": "#/definitions/step" } })),
    ];
    let mut required = vec!["steps"];
    if op.gives() == Gives::Names {
        required.push("name");
        properties.push(("name", read("The name of each item.")));
    }
    properties.push(("role", read("The role in the team, in an account's teams.")));
    if op.lists() {
        properties.push(("privileged", read("true or false: whether the item is privileged.")));
    }
    let mut schema = object(&required, properties);
    if let Json::Object(map) = &mut schema {
        map.insert("description".to_owned(), json!(op.text()));
    }
    schema
}

fn reader() -> Json {
    let one = json!([
        text("JSONPath ($.…), or a text with {{ item.… }}."),
        object(
            &["path"],
            [
                ("path", text("JSONPath, or a text with {{ item.… }}.")),
                (
                    "map",
                    json!({
                        "type": "object", "description": "By the value's text; another value gives nothing.",
                        "additionalProperties": { "type": ["string", "integer", "boolean"] },
                    })
                ),
            ]
        ),
    ]);
    let mut any = one.as_array().cloned().unwrap_or_default();
    any.push(json!({ "type": "array", "items": { "anyOf": one } }));
    json!({ "anyOf": any, "description": "Where a value stands; of a list, the first that gives something." })
}

fn step() -> Json {
    let methods: Vec<&str> = METHODS.iter().map(http::Method::as_str).collect();
    let leaves = |description: &str| {
        json!({
            "type": "object", "description": description,
            "additionalProperties": { "type": ["string", "integer", "boolean"] },
        })
    };
    object(
        &["request"],
        [
            (
                "request",
                json!({
                    "type": "string", "pattern": format!("^({}) /", methods.join("|")),
                    "description": "METHOD /path below the configured URL; {{ … }} stands within one segment.",
                }),
            ),
            ("query", leaves("What comes to nothing is left out.")),
            ("headers", leaves("What comes to nothing is left out.")),
            ("json", json!({ "description": "The body; a text that is one {{ … }} keeps its type." })),
            ("form", leaves("The body as a form.")),
            ("expect", statuses("What is success. Absent: 200, 201, 202, 204.")),
            ("outcomes", list(outcome("What an answer of this step means, before `errors`."))),
            ("paged", flag("Read all pages.")),
            ("items", text("JSONPath of the list. Absent: the answer is the one item.")),
            ("keep", text("An expression over `item`.")),
            (
                "save",
                json!({
                    "type": "object", "description": "Names for values of the one item: saved.NAME.",
                    "additionalProperties": { "$ref": "#/definitions/reader" },
                }),
            ),
            ("collect", text("Keep the items as a list of this name.")),
            ("each", text("Run for each of a list, which is then `each`.")),
            ("anonymous", flag("Send it without the credential.")),
            ("when", text("An expression: leave the step out unless it is true.")),
        ],
    )
}
