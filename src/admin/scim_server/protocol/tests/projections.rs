//! What of a resource is returned.

use serde_json::{Value as Json, json};

use super::super::definitions::{ENTERPRISE, USER, USERS};
use super::super::projection::Wanted;
use super::ada;

fn shown(attributes: &[&str], excluded: &[&str]) -> Json {
    let mut user = super::object(json!({ "schemas": [USER], "id": "1" }));
    user.extend(ada());
    user.insert("password".to_owned(), json!("never"));
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let wanted = Wanted { attributes: names(attributes), excluded: names(excluded) };
    Json::Object(wanted.of(&USERS).apply(user))
}

#[test]
fn by_default_all_but_secrets_is_returned() {
    let all = shown(&[], &[]);
    assert_eq!(all["userName"], "Ada@example.com");
    assert_eq!(all[ENTERPRISE]["department"], "Engines");
    assert_eq!(all["password"], json!(null));
}

#[test]
fn what_is_asked_for_comes_with_what_always_comes() {
    assert_eq!(
        shown(&["USERNAME", "name.givenName", "nothing"], &[]),
        json!({ "schemas": [USER], "id": "1", "userName": "Ada@example.com", "name": { "givenName": "Ada" } })
    );
    assert_eq!(
        shown(&["emails.type", "password"], &[]),
        json!({ "schemas": [USER], "id": "1", "emails": [{ "type": "work" }, { "type": "home" }] })
    );
    let department = format!("{ENTERPRISE}:department");
    assert_eq!(
        shown(&[&department], &[]),
        json!({ "schemas": [USER], "id": "1", ENTERPRISE: { "department": "Engines" } })
    );
    assert_eq!(shown(&[ENTERPRISE], &[])[ENTERPRISE]["manager"]["value"], "m1");
}

#[test]
fn what_is_excluded_is_left_out_unless_it_always_comes() {
    let rest = shown(&[], &["id", "schemas", "emails", "name.formatted", ENTERPRISE]);
    assert_eq!((&rest["id"], &rest["schemas"]), (&json!("1"), &json!([USER])));
    assert_eq!((&rest["emails"], &rest[ENTERPRISE]), (&json!(null), &json!(null)));
    assert_eq!(rest["name"], json!({ "familyName": "Lovelace", "givenName": "Ada" }));
    let wanted = Wanted { attributes: Vec::new(), excluded: vec!["groups".to_owned()] };
    assert!(!wanted.of(&USERS).wants("groups"));
    assert!(Wanted::default().of(&USERS).wants("groups"));
}
