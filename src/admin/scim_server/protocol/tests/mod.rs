//! The protocol, rule by rule.

mod bulk;
mod documents;
mod filters;
mod patches;
mod projections;

use serde_json::{Value as Json, json};

use super::Object;
use super::definitions::{GROUP, GROUPS, USER, USERS};
use super::document::conform;

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn object(value: Json) -> Object {
    value.as_object().unwrap().clone()
}

/// A user as a client would have written it.
fn ada() -> Object {
    let written = json!({
        "schemas": [USER, "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
        "externalId": "701984",
        "userName": "Ada@example.com",
        "name": { "formatted": "Ada Lovelace", "familyName": "Lovelace", "givenName": "Ada" },
        "displayName": "Ada",
        "title": "Countess",
        "active": true,
        "emails": [
            { "value": "ada@example.com", "type": "work", "primary": true },
            { "value": "ada@home.example", "type": "home" },
        ],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
            "department": "Engines", "manager": { "value": "m1" },
        },
    });
    conform(&USERS, &written).unwrap()
}

fn engineers() -> Object {
    let written = json!({
        "schemas": [GROUP], "displayName": "Engineers", "members": [{ "value": "u1" }, { "value": "u2" }],
    });
    conform(&GROUPS, &written).unwrap()
}
