//! PATCH: each operation, each form of path.

use serde_json::{Value as Json, json};

use super::super::definitions::{ENTERPRISE, GROUPS, USERS};
use super::super::error::ScimError;
use super::super::patch::{PATCH, apply};
use super::{Object, ada, engineers};

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn patched(operations: Json) -> Result<Object, ScimError> {
    apply(&USERS, &ada(), &json!({ "schemas": [PATCH], "Operations": operations }))
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn group(operations: Json) -> Result<Object, ScimError> {
    apply(&GROUPS, &engineers(), &json!({ "schemas": [PATCH], "Operations": operations }))
}

/// What the operation makes of the attribute.
#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn made(operation: Json, attribute: &str) -> Json {
    let result = patched(json!([operation])).unwrap_or_else(|error| panic!("{error}"));
    result.get(attribute).cloned().unwrap_or(Json::Null)
}

#[test]
fn add_writes_what_was_not_there_and_what_was() {
    assert_eq!(made(json!({ "op": "add", "path": "nickName", "value": "A" }), "nickName"), "A");
    assert_eq!(made(json!({ "op": "Add", "path": "title", "value": "Lady" }), "title"), "Lady");
    let name = made(json!({ "op": "add", "path": "name.middleName", "value": "K" }), "name");
    assert_eq!((&name["middleName"], &name["givenName"]), (&json!("K"), &json!("Ada")));
    let name = made(json!({ "op": "add", "path": "name", "value": { "middleName": "K" } }), "name");
    assert_eq!((&name["middleName"], &name["givenName"]), (&json!("K"), &json!("Ada")));
}

#[test]
fn add_appends_values_that_are_not_there_yet() {
    let new = json!([{ "value": "x@example.com", "type": "other" }]);
    let emails = made(json!({ "op": "add", "path": "emails", "value": new }), "emails");
    assert_eq!(emails.as_array().unwrap().len(), 3);
    let old = json!({ "value": "ada@home.example", "type": "home" });
    let emails = made(json!({ "op": "add", "path": "emails", "value": old }), "emails");
    assert_eq!(emails, ada()["emails"]);
}

#[test]
fn a_new_primary_value_is_the_only_one() {
    let new = json!([{ "value": "x@example.com", "primary": true }]);
    let emails = made(json!({ "op": "add", "path": "emails", "value": new }), "emails");
    assert_eq!((&emails[0]["primary"], &emails[2]["primary"]), (&json!(false), &json!(true)), "{emails}");
    let path = r#"emails[type eq "home"].primary"#;
    let emails = made(json!({ "op": "replace", "path": path, "value": true }), "emails");
    assert_eq!((&emails[0]["primary"], &emails[1]["primary"]), (&json!(false), &json!(true)), "{emails}");
}

#[test]
fn without_a_path_each_part_of_the_value_is_written() {
    let value = json!({
        "id": "7", "nickName": "A", "name": { "givenName": "Augusta" }, "unknown": 1, "meta": {}, "schemas": [],
        "name.middleName": "K", "emails[type eq \"home\"].value": "new@home.example",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department": "Looms",
        ENTERPRISE: { "costCenter": "7" },
    });
    for op in ["add", "Replace"] {
        let user = patched(json!([{ "op": op, "value": value }])).unwrap();
        assert_eq!(user["nickName"], "A");
        assert_eq!(
            user["name"],
            json!({ "formatted": "Ada Lovelace", "familyName": "Lovelace", "givenName": "Augusta", "middleName": "K" })
        );
        assert_eq!(user["emails"][1]["value"], "new@home.example");
        assert_eq!(
            (&user[ENTERPRISE]["department"], &user[ENTERPRISE]["costCenter"]),
            (&json!("Looms"), &json!("7"))
        );
        assert_eq!(user[ENTERPRISE]["manager"]["value"], "m1");
        assert!(!user.contains_key("id") && !user.contains_key("unknown"));
    }
}

#[test]
fn replace_writes_values_wholes_and_parts() {
    assert_eq!(made(json!({ "op": "replace", "path": "active", "value": "False" }), "active"), false);
    assert_eq!(made(json!({ "op": "replace", "path": "nickName", "value": "A" }), "nickName"), "A");
    let emails = made(json!({ "op": "replace", "path": "emails", "value": [{ "value": "x" }] }), "emails");
    assert_eq!(emails, json!([{ "value": "x" }]));
    let path = r#"emails[type eq "work"]"#;
    let new = json!({ "value": "w@example.com", "type": "work" });
    let emails = made(json!({ "op": "replace", "path": path, "value": new }), "emails");
    assert_eq!(emails[0], new);
    let path = r#"emails[type eq "work"].value"#;
    let emails = made(json!({ "op": "replace", "path": path, "value": "w@example.com" }), "emails");
    assert_eq!(emails[0], json!({ "value": "w@example.com", "type": "work", "primary": true }));
    let department = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department";
    let enterprise = made(json!({ "op": "replace", "path": department, "value": "Looms" }), ENTERPRISE);
    assert_eq!(enterprise, json!({ "department": "Looms", "manager": { "value": "m1" } }));
    assert_eq!(made(json!({ "op": "replace", "path": "title", "value": null }), "title"), json!(null));
    let manager = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager";
    let enterprise = made(json!({ "op": "replace", "path": manager, "value": "m2" }), ENTERPRISE);
    assert_eq!(enterprise["manager"]["value"], "m2");
}

#[test]
fn remove_takes_away_values_wholes_and_parts() {
    assert_eq!(made(json!({ "op": "remove", "path": "title" }), "title"), json!(null));
    let name = made(json!({ "op": "Remove", "path": "name.formatted" }), "name");
    assert_eq!(name, json!({ "familyName": "Lovelace", "givenName": "Ada" }));
    assert_eq!(made(json!({ "op": "remove", "path": "emails" }), "emails"), json!(null));
    let emails = made(json!({ "op": "remove", "path": "emails[type eq \"work\"]" }), "emails");
    assert_eq!(emails, json!([{ "value": "ada@home.example", "type": "home" }]));
    let emails = made(json!({ "op": "remove", "path": "emails[type eq \"home\"].type" }), "emails");
    assert_eq!(emails[1], json!({ "value": "ada@home.example" }));
    let emails = made(json!({ "op": "remove", "path": "emails.type" }), "emails");
    assert_eq!(emails[1], json!({ "value": "ada@home.example" }));
    assert_eq!(made(json!({ "op": "remove", "path": ENTERPRISE }), ENTERPRISE), json!(null));
    let department = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department";
    assert_eq!(
        made(json!({ "op": "remove", "path": department }), ENTERPRISE),
        json!({ "manager": { "value": "m1" } })
    );
    // What is not there is gone already.
    assert_eq!(made(json!({ "op": "remove", "path": "emails[type eq \"fax\"]" }), "emails"), ada()["emails"]);
}

#[test]
fn add_with_a_filter_that_nothing_matches_makes_the_value_that_it_describes() {
    let path = r#"phoneNumbers[type eq "Mobile"].value"#;
    let phones = made(json!({ "op": "Add", "path": path, "value": "+1" }), "phoneNumbers");
    assert_eq!(phones, json!([{ "type": "Mobile", "value": "+1" }]));
    let roles =
        made(json!({ "op": "add", "path": r#"roles[primary eq "True"].value"#, "value": "editor" }), "roles");
    assert_eq!(roles, json!([{ "primary": true, "value": "editor" }]));
    let unclear = patched(json!([{ "op": "add", "path": r#"emails[type sw "x"].value"#, "value": "y" }]));
    assert!(matches!(unclear, Err(ScimError::NoTarget(_))), "{unclear:?}");
}

#[test]
fn a_replacement_that_finds_nothing_is_no_target() {
    let missing =
        patched(json!([{ "op": "replace", "path": r#"emails[type eq "fax"].value"#, "value": "x" }]));
    assert!(matches!(missing, Err(ScimError::NoTarget(_))), "{missing:?}");
    let pathless = patched(json!([{ "op": "remove" }]));
    assert!(matches!(pathless, Err(ScimError::NoTarget(_))), "{pathless:?}");
}

#[test]
fn members_are_added_and_removed_in_the_forms_that_clients_use() {
    let ids = |operations: Json| super::super::document::members(&group(operations).unwrap());
    let add = json!([{ "op": "Add", "path": "members", "value": [{ "value": "u3" }, { "value": "u1" }] }]);
    assert_eq!(ids(add), ["u1", "u2", "u3"]);
    let add = json!([{ "op": "add", "value": { "members": [{ "value": "u3", "display": "x" }] } }]);
    assert_eq!(ids(add), ["u1", "u2", "u3"]);
    assert_eq!(ids(json!([{ "op": "remove", "path": "members[value eq \"u1\"]" }])), ["u2"]);
    assert_eq!(ids(json!([{ "op": "remove", "path": "members[value eq \"u9\"]" }])), ["u1", "u2"]);
    // Entra: the members to remove stand in value.
    assert_eq!(ids(json!([{ "op": "Remove", "path": "members", "value": [{ "value": "u1" }] }])), ["u2"]);
    assert_eq!(ids(json!([{ "op": "Remove", "path": "members", "value": [] }])), ["u1", "u2"]);
    assert_eq!(ids(json!([{ "op": "remove", "path": "members" }])), <[&str; 0]>::default());
    assert_eq!(ids(json!([{ "op": "replace", "path": "members", "value": [{ "value": "u5" }] }])), ["u5"]);
    // Okta: the group's id stands in the value.
    let renamed =
        group(json!([{ "op": "replace", "value": { "id": "x", "displayName": "Makers" } }])).unwrap();
    assert_eq!(renamed["displayName"], "Makers");
}

#[test]
fn what_may_not_be_written_is_told() {
    for operation in [
        json!({ "op": "replace", "path": "id", "value": "7" }),
        json!({ "op": "remove", "path": "meta" }),
        json!({ "op": "add", "path": "groups", "value": [{ "value": "admins" }] }),
        json!({ "op": "replace", "path": "groups[value eq \"a\"].display", "value": "x" }),
        json!({ "op": "replace", "path": "schemas", "value": [] }),
        json!({ "op": "remove", "path": "userName" }),
        json!({ "op": "replace", "path": "userName", "value": null }),
    ] {
        let refused = patched(json!([operation]));
        assert!(matches!(refused, Err(ScimError::Mutability(_))), "{operation}: {refused:?}");
    }
    for operation in [
        json!({ "op": "replace", "path": "members[value eq \"u1\"].value", "value": "u9" }),
        json!({ "op": "remove", "path": "members[value eq \"u1\"].value" }),
        json!({ "op": "remove", "path": "displayName" }),
    ] {
        let refused = group(json!([operation]));
        assert!(matches!(refused, Err(ScimError::Mutability(_))), "{operation}: {refused:?}");
    }
}

#[test]
fn what_is_no_operation_is_refused() {
    let all = |operations: Json| patched(operations).unwrap_err();
    for operations in [
        json!([]),
        json!({}),
        json!([5]),
        json!([{ "op": "move", "path": "title", "value": "x" }]),
        json!([{ "path": "title", "value": "x" }]),
        json!([{ "op": "add", "path": 5, "value": "x" }]),
        Json::Array(vec![json!({ "op": "remove", "path": "title" }); 1001]),
    ] {
        let refused = all(operations);
        assert!(matches!(refused, ScimError::InvalidSyntax(_)), "{refused:?}");
    }
    for path in
        ["shoe", "name.shoe", "emails[type eq \"work\"].shoe", "userName[value eq \"x\"].value", "a b"]
    {
        let refused = all(json!([{ "op": "replace", "path": path, "value": "x" }]));
        assert!(matches!(refused, ScimError::InvalidPath(_)), "{path}: {refused:?}");
    }
    for operation in [
        json!({ "op": "add", "path": "title" }),
        json!({ "op": "add", "value": "x" }),
        json!({ "op": "replace", "path": "active", "value": "perhaps" }),
        json!({ "op": "replace", "path": "title", "value": 7 }),
        json!({ "op": "replace", "path": "emails.primary", "value": true }),
    ] {
        let refused = all(json!([operation]));
        assert!(matches!(refused, ScimError::InvalidValue(_)), "{operation}: {refused:?}");
    }
    let refused = all(json!([{ "op": "add", "path": "emails[shoe eq 1]", "value": {} }]));
    assert!(matches!(refused, ScimError::InvalidFilter(_)), "{refused:?}");
    let no_patch = apply(&USERS, &ada(), &json!({ "Operations": [{ "op": "remove", "path": "title" }] }));
    assert!(matches!(no_patch, Err(ScimError::InvalidSyntax(_))), "{no_patch:?}");
}

#[test]
fn a_later_operation_that_fails_is_told_by_its_number() {
    let refused = patched(json!([
        { "op": "replace", "path": "title", "value": "x" }, { "op": "replace", "path": "shoe", "value": "x" },
    ]));
    let Err(ScimError::InvalidPath(what)) = refused else { panic!("{refused:?}") };
    assert!(what.starts_with("operation 2: "), "{what}");
}

#[test]
fn a_password_is_taken_and_not_kept() {
    let user = patched(json!([{ "op": "replace", "path": "password", "value": "x" }])).unwrap();
    assert_eq!(user, ada());
}
