//! The SCIM client against a loopback server.

use serde_json::{Value as Json, json};

use crate::model::{AccountId, AccountProfile, EmailAddress, Entitlements};
use crate::provision::connector::{ConnectorError, EntitlementChange, FindBy, Kind};
use crate::provision::rest::tests::fake::{Fake, Reply, Seen, account};

fn user(id: &str, name: &str) -> Json {
    json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": id, "userName": name, "active": true,
            "name": { "givenName": "Ada" }, "displayName": "Ada L", "locale": "en",
            "emails": [{ "value": "other@example.com" }, { "value": "ada@example.com", "primary": true }],
            "roles": [{ "value": "editor", "primary": true }], "entitlements": [{ "value": "reports" }] })
}

fn page(resources: &[Json], total: usize) -> Reply {
    let list = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
                       "totalResults": total, "Resources": resources });
    Reply::text(200, "application/scim+json", &list.to_string())
}

fn filter(seen: &Seen) -> String {
    let url = url::Url::parse(&format!("http://x{}", seen.target)).unwrap();
    url.query_pairs()
        .find(|(name, _)| name == "filter")
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

async fn directory() -> Fake {
    Fake::start(|seen| match (seen.method.as_str(), seen.target.split('?').next().unwrap()) {
        ("GET", "/Users") if filter(seen).contains("ada") => page(&[user("u1", "ada")], 1),
        ("GET", "/Users/u1") => Reply::json(200, &user("u1", "ada")),
        ("GET", "/Groups") if filter(seen).contains("nothing") => page(&[], 0),
        ("GET", "/Groups") if filter(seen).contains("twice") => page(
            &[json!({ "id": "g2", "displayName": "twice" }), json!({ "id": "g3", "displayName": "Twice" })],
            2,
        ),
        ("GET", "/Groups") => page(&[json!({ "id": "g1", "displayName": "engineers" })], 1),
        ("GET", "/Users") => page(&[], 0),
        ("POST", "/Users") => Reply::json(201, &user("u1", "ada")),
        ("POST", "/Groups") => Reply::json(201, &json!({ "id": "g9", "displayName": "new" })),
        ("PATCH" | "DELETE", _) => Reply::empty(204),
        _ => Reply::json(404, &json!({ "status": "404" })),
    })
    .await
}

#[tokio::test]
async fn a_user_is_found_with_role_permissions_and_groups() {
    let fake = directory().await;
    let found = fake.connector("scim").find(FindBy::Username("ADA")).await;
    assert!(found.unwrap().is_empty(), "the fake compares by case");
    let found = fake.connector("scim").find(FindBy::Username("ada")).await.unwrap();
    let [ada] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(ada.profile.email.as_deref(), Some("ada@example.com"));
    assert_eq!(ada.profile.attributes["given_name"], "Ada");
    assert_eq!(ada.entitlements.role.as_deref(), Some("editor"));
    assert_eq!(ada.entitlements.permissions.iter().collect::<Vec<_>>(), ["reports"]);
    assert_eq!(ada.entitlements.teams.keys().collect::<Vec<_>>(), ["engineers"]);
    let seen = fake.seen();
    assert_eq!(filter(&seen[1]), r#"userName eq "ada""#);
    assert_eq!(filter(&seen[2]), r#"members.value eq "u1""#);
}

#[tokio::test]
async fn g5_a_name_with_quotes_stays_one_value_of_the_filter() {
    let fake = directory().await;
    let name = r#"x" or userName pr or userName eq "\"#;
    assert!(fake.connector("scim").find(FindBy::Username(name)).await.unwrap().is_empty());
    assert_eq!(filter(&fake.seen()[0]), r#"userName eq "x\" or userName pr or userName eq \"\\""#);
}

#[tokio::test]
async fn f7_an_account_whose_second_address_matches_is_not_found_by_it() {
    let fake = directory().await;
    // The server matches any of the addresses; only the primary one is the account's.
    let ada = EmailAddress::parse("ada@example.com").unwrap();
    assert_eq!(fake.connector("scim").find(FindBy::Email(&ada)).await.unwrap().len(), 1);
    let other = EmailAddress::parse("other+ada@example.com").unwrap();
    assert!(fake.connector("scim").find(FindBy::Email(&other)).await.unwrap().is_empty());
}

#[tokio::test]
async fn f10_an_id_is_encoded_and_one_that_leads_elsewhere_refused() {
    let fake = directory().await;
    let connector = fake.connector("scim");
    assert!(connector.find(FindBy::Id(&AccountId("u1/x".to_owned()))).await.unwrap().is_empty());
    assert_eq!(fake.lines(), ["GET /Users/u1%2Fx"]);
    for id in ["..", "../Groups/g1", ""] {
        let error = connector.delete(&account(id, "x")).await.unwrap_err();
        assert!(matches!(error, ConnectorError::Unsendable { .. }), "{error}");
    }
    assert_eq!(fake.lines().len(), 1);
}

#[tokio::test]
async fn create_sends_what_is_known_and_nothing_else() {
    let fake = directory().await;
    let wanted = AccountProfile {
        username: "ada".to_owned(),
        email: Some("ada@example.com".to_owned()),
        attributes: [("given_name".to_owned(), "Ada".to_owned())].into(),
        ..AccountProfile::default()
    };
    let made = fake.connector("scim").create(&wanted, Some("editor")).await.unwrap();
    assert_eq!(made.id, AccountId("u1".to_owned()));
    let seen = fake.seen();
    assert_eq!(seen[0].header("content-type"), "application/scim+json");
    assert_eq!(
        seen[0].json(),
        json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ada", "active": true,
                "emails": [{ "value": "ada@example.com", "type": "work", "primary": true }],
                "roles": [{ "value": "editor", "primary": true }], "name": { "givenName": "Ada" } })
    );
}

#[tokio::test]
async fn uniqueness_is_a_conflict_with_409_and_with_400() {
    for status in [409, 400] {
        let fake = Fake::start(move |_| {
            Reply::json(
                status,
                &json!({ "status": status.to_string(), "scimType": "uniqueness", "detail": "in use" }),
            )
        })
        .await;
        let error = fake.connector("scim").create(&AccountProfile::default(), None).await.unwrap_err();
        assert!(matches!(error, ConnectorError::Conflict { .. }), "{error}");
    }
    let fake = Fake::start(|_| Reply::json(400, &json!({ "scimType": "invalidValue" }))).await;
    let error = fake.connector("scim").create(&AccountProfile::default(), None).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Refused { status: 400, .. }), "{error}");
}

#[tokio::test]
async fn entitlements_are_patched_where_they_lie() {
    let fake = directory().await;
    let held = Entitlements {
        teams: [("engineers".to_owned(), None)].into(),
        permissions: ["reports".to_owned()].into(),
        ..Entitlements::default()
    };
    let change = EntitlementChange { role: Some("viewer".to_owned()), add: held.clone(), remove: held };
    fake.connector("scim").set_entitlements(&account("u1", "ada"), &change).await.unwrap();
    let patches: Vec<(String, Json)> = fake
        .seen()
        .iter()
        .filter(|seen| seen.method == "PATCH")
        .map(|seen| (seen.target.clone(), seen.json()["Operations"].clone()))
        .collect();
    assert_eq!(
        patches,
        [
            (
                "/Users/u1".to_owned(),
                json!([{ "op": "replace", "path": "roles", "value": [{ "value": "viewer", "primary": true }] },
                       { "op": "add", "path": "entitlements", "value": [{ "value": "reports" }] },
                       { "op": "remove", "path": "entitlements[value eq \"reports\"]" }])
            ),
            (
                "/Groups/g1".to_owned(),
                json!([{ "op": "add", "path": "members", "value": [{ "value": "u1" }] }])
            ),
            ("/Groups/g1".to_owned(), json!([{ "op": "remove", "path": "members[value eq \"u1\"]" }])),
        ]
    );
}

#[tokio::test]
async fn a_group_must_be_there_once() {
    let fake = directory().await;
    let connector = fake.connector("scim");
    let add = |name: &str| EntitlementChange {
        add: Entitlements { teams: [(name.to_owned(), None)].into(), ..Entitlements::default() },
        ..EntitlementChange::default()
    };
    let error = connector.set_entitlements(&account("u1", "ada"), &add("nothing")).await.unwrap_err();
    assert!(matches!(error, ConnectorError::NotFound { .. }), "{error}");
    let error = connector.set_entitlements(&account("u1", "ada"), &add("twice")).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Unexpected { .. }), "{error}");
    assert!(matches!(connector.create_team("engineers").await, Err(ConnectorError::Conflict { .. })));
    connector.create_team("nothing").await.unwrap();
}

#[tokio::test]
async fn lists_are_read_by_start_index_until_all_are_there() {
    let fake = Fake::start(|seen| {
        let from = if seen.target.contains("startIndex=1&") { 0 } else { 2 };
        let group = |id: usize| json!({ "id": id.to_string(), "displayName": format!("g{id}") });
        page(&(from..3.min(from + 2)).map(group).collect::<Vec<_>>(), 3)
    })
    .await;
    let groups = fake.connector("scim").list(Kind::Team).await.unwrap().unwrap();
    assert_eq!(groups.len(), 3);
    assert_eq!(fake.lines()[1], "GET /Groups?startIndex=3&count=100&excludedAttributes=members");
    // A server that says three and gives none after two is not believed.
    let fake = Fake::start(|seen| {
        let first = seen.target.contains("startIndex=1&");
        page(if first { std::slice::from_ref(&Json::Null) } else { &[] }, 3)
    })
    .await;
    let error = fake.connector("scim").list(Kind::Team).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Unexpected { .. }), "{error}");
}

#[tokio::test]
async fn a4_what_is_no_scim_answer_is_refused() {
    for reply in [
        || Reply::text(200, "text/html", "<html>Sign in"),
        || Reply::json(200, &json!({ "users": [] })),
        || Reply::json(200, &json!({ "totalResults": 1, "Resources": [{ "userName": "ada" }] })),
        || Reply::json(200, &json!({ "totalResults": 1, "Resources": [{ "id": 5, "userName": "ada" }] })),
        || Reply::text(404, "text/html", "<html>nothing here"),
    ] {
        let fake = Fake::start(move |_| reply()).await;
        let error = fake.connector("scim").find(FindBy::Username("ada")).await.unwrap_err();
        assert!(matches!(error, ConnectorError::Unexpected { .. }), "{error}");
    }
}

#[tokio::test]
async fn check_wants_patch_and_filter_and_a_credential_that_may_read_users() {
    let config = |patch: bool| json!({ "patch": { "supported": patch }, "filter": { "supported": true } });
    for (patch, users, works) in [(true, 200, true), (false, 200, false), (true, 403, false)] {
        let fake = Fake::start(move |seen| {
            if seen.target.starts_with("/Users") && users != 200 {
                return Reply::json(users, &json!({}));
            }
            if seen.target.starts_with("/Users") { page(&[], 0) } else { Reply::json(200, &config(patch)) }
        })
        .await;
        assert_eq!(fake.connector("scim").check().await.is_ok(), works);
    }
}

#[tokio::test]
async fn deleting_twice_is_success_and_deactivating_sets_active() {
    let fake = Fake::start(|seen| match seen.method.as_str() {
        "PATCH" => Reply::empty(204),
        _ => Reply::json(404, &json!({ "status": "404" })),
    })
    .await;
    let connector = fake.connector("scim");
    connector.delete(&account("u1", "ada")).await.unwrap();
    connector.deactivate(&account("u1", "ada")).await.unwrap();
    let operations = fake.seen()[1].json()["Operations"].clone();
    assert_eq!(operations, json!([{ "op": "replace", "path": "active", "value": false }]));
    connector.reactivate(&account("u1", "ada")).await.unwrap();
    let operations = fake.seen()[2].json()["Operations"].clone();
    assert_eq!(operations, json!([{ "op": "replace", "path": "active", "value": true }]));
}
