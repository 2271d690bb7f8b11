//! Documents: what is kept of what clients write.

use serde_json::json;

use super::super::definitions::{ENTERPRISE, GROUP, GROUPS, SCHEMAS, USER, USERS};
use super::super::discovery;
use super::super::document::{conform, keys, members, replaced};
use super::super::error::ScimError;
use super::super::version::{Condition, Tags, Version};
use super::{ada, engineers};

#[test]
fn names_get_the_schemas_spelling_and_the_unknown_is_left_out() {
    let written = json!({
        "SCHEMAS": [USER.to_uppercase()], "username": "ada", "NAME": { "GivenName": "Ada", "shoe": 5 },
        "shoeSize": 38, "urn:example:ext": { "x": 1 },
        "URN:ietf:params:scim:schemas:extension:enterprise:2.0:User": { "DEPARTMENT": "Engines", "x": 1 },
    });
    let sound = conform(&USERS, &written).unwrap();
    assert_eq!(
        json!(sound),
        json!({ "userName": "ada", "name": { "givenName": "Ada" }, ENTERPRISE: { "department": "Engines" } })
    );
}

#[test]
fn what_is_read_only_is_ignored_and_a_password_is_not_kept() {
    let written = json!({
        "schemas": [USER], "userName": "ada", "id": "7", "meta": { "version": "x" },
        "groups": [{ "value": "admins" }], "password": "secret",
    });
    assert_eq!(json!(conform(&USERS, &written).unwrap()), json!({ "userName": "ada" }));
}

#[test]
fn lesson_32_a_numeric_external_id_is_refused_and_a_numeric_text_is_just_text() {
    let with = |id| conform(&USERS, &json!({ "schemas": [USER], "userName": "ada", "externalId": id }));
    assert!(matches!(with(json!(1)), Err(ScimError::InvalidValue(_))));
    let sound = with(json!("1")).unwrap();
    assert_eq!(keys(&sound).external_id.as_deref(), Some("1"));
    assert!(!sound.contains_key("id"));
}

#[test]
fn unassigned_is_absent() {
    let written = json!({
        "schemas": [USER], "userName": "ada", "title": null, "emails": [], "name": {}, "roles": [null],
    });
    assert_eq!(json!(conform(&USERS, &written).unwrap()), json!({ "userName": "ada" }));
}

#[test]
fn what_clients_write_loosely_is_understood() {
    let written = json!({
        "schemas": [USER], "userName": "ada", "active": "True",
        "emails": { "value": "ada@example.com", "primary": "true" }, "roles": ["editor"],
        ENTERPRISE: { "manager": "m1" },
    });
    assert_eq!(
        json!(conform(&USERS, &written).unwrap()),
        json!({
            "userName": "ada", "active": true,
            "emails": [{ "value": "ada@example.com", "primary": true }], "roles": [{ "value": "editor" }],
            ENTERPRISE: { "manager": { "value": "m1" } },
        })
    );
}

#[test]
fn a_document_of_a_wrong_form_is_refused() {
    for (written, syntax) in [
        (json!([]), true),
        (json!({ "userName": "ada" }), true),
        (json!({ "schemas": [GROUP], "userName": "ada" }), true),
        (json!({ "schemas": [USER], "userName": "ada", "USERNAME": "bob" }), true),
        (json!({ "schemas": [USER] }), false),
        (json!({ "schemas": [USER], "userName": " " }), false),
        (json!({ "schemas": [USER], "userName": 5 }), false),
        (json!({ "schemas": [USER], "userName": ["ada"] }), false),
        (json!({ "schemas": [USER], "userName": "a\u{0}" }), false),
        (json!({ "schemas": [USER], "userName": "a".repeat(5000) }), false),
        (json!({ "schemas": [USER], "userName": "ada", "active": "yes" }), false),
        (json!({ "schemas": [USER], "userName": "ada", "name": "Ada" }), false),
        (
            json!({ "schemas": [USER], "userName": "ada", "emails": vec![json!({ "value": "x" }); 501] }),
            false,
        ),
        (
            json!({ "schemas": [USER], "userName": "ada",
                    "emails": [{ "value": "a", "primary": true }, { "value": "b", "primary": true }] }),
            false,
        ),
    ] {
        let refused = conform(&USERS, &written);
        match refused {
            Err(ScimError::InvalidSyntax(_)) if syntax => {}
            Err(ScimError::InvalidValue(_)) if !syntax => {}
            other => panic!("{written}: {other:?}"),
        }
    }
    let nameless =
        conform(&GROUPS, &json!({ "schemas": [GROUP], "members": [{ "type": "User" }], "displayName": "x" }));
    assert!(matches!(nameless, Err(ScimError::InvalidValue(_))), "{nameless:?}");
}

#[test]
fn a_put_that_says_nothing_of_active_leaves_it() {
    let mut current = ada();
    current.insert("active".to_owned(), json!(false));
    let written = conform(&USERS, &json!({ "schemas": [USER], "userName": "ada" })).unwrap();
    let replaced = replaced(&USERS, &current, written).unwrap();
    assert_eq!(json!(replaced), json!({ "userName": "ada", "active": false }));
}

#[test]
fn the_members_of_a_group_are_told_once_each() {
    let written = json!({
        "schemas": [GROUP], "displayName": "E", "members": [{ "value": "b" }, { "value": "a" }, { "value": "b" }],
    });
    assert_eq!(members(&conform(&GROUPS, &written).unwrap()), ["a", "b"]);
    assert_eq!(members(&engineers()), ["u1", "u2"]);
    assert_eq!(keys(&engineers()).display_key.as_deref(), Some("engineers"));
}

#[test]
fn a_version_is_compared_weakly() {
    let condition = |if_match: &str, if_none_match: &str| Condition {
        if_match: (!if_match.is_empty()).then(|| Tags::parse(if_match)),
        if_none_match: (!if_none_match.is_empty()).then(|| Tags::parse(if_none_match)),
    };
    let version = Version(3);
    assert_eq!(version.to_string(), "W/\"3\"");
    for (if_match, if_none_match, permitted) in [
        ("", "", true),
        ("*", "", true),
        ("W/\"3\"", "", true),
        ("\"3\"", "", true),
        ("W/\"2\", W/\"3\"", "", true),
        ("W/\"2\"", "", false),
        ("W/\"33\"", "", false),
        ("", "W/\"3\"", false),
        ("", "*", false),
        ("", "W/\"2\"", true),
    ] {
        let permits = condition(if_match, if_none_match).permits(version);
        assert_eq!(permits.is_ok(), permitted, "{if_match} {if_none_match}");
        assert!(permitted || permits == Err(ScimError::VersionMismatch));
    }
    assert!(condition("", "W/\"3\"").is_known(version));
}

#[test]
fn each_attribute_is_described_with_all_its_characteristics() {
    let described = discovery::schemas("http://x");
    assert_eq!(described.len(), SCHEMAS.len());
    for (id, schema) in &described {
        assert_eq!(schema["id"], *id);
        for attribute in schema["attributes"].as_array().unwrap() {
            let name = &attribute["name"];
            for characteristic in [
                "type",
                "multiValued",
                "required",
                "caseExact",
                "mutability",
                "returned",
                "uniqueness",
                "description",
            ] {
                assert!(!attribute[characteristic].is_null(), "{id} {name} {characteristic}");
            }
            assert_eq!(attribute["type"] == "complex", !attribute["subAttributes"].is_null(), "{id} {name}");
        }
    }
    let user = &described[0].1;
    assert_eq!(user["attributes"][0]["uniqueness"], "server");
    let password =
        user["attributes"].as_array().unwrap().iter().find(|one| one["name"] == "password").unwrap();
    assert_eq!((&password["mutability"], &password["returned"]), (&json!("writeOnly"), &json!("never")));
}

#[test]
fn errors_have_the_form_and_the_types_of_rfc_7644() {
    let error = ScimError::InvalidFilter("x".to_owned());
    assert_eq!(
        error.to_json(),
        json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": "400",
                "detail": "the filter cannot be used: x", "scimType": "invalidFilter" })
    );
    assert_eq!(ScimError::Uniqueness(String::new()).status(), 409);
    assert_eq!(ScimError::VersionMismatch.to_json()["scimType"], json!(null));
}
