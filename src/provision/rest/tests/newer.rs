//! What is particular to Matrix Synapse, Directus, Zabbix and Grafana. The first three run against the real servers
//! too (tests/it/parties/applications.rs); Grafana does not.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::config::settings::Credential;
use crate::model::{AccountProfile, Entitlements, Secret};
use crate::provision::catalogue;
use crate::provision::connector::{Connector, ConnectorError, EntitlementChange, FindBy, Kind};

use super::fake::{Fake, Reply, Seen, account};

fn wanted(username: &str) -> AccountProfile {
    let email = Some(format!("{username}@example.com"));
    AccountProfile { username: username.to_owned(), email, ..AccountProfile::default() }
}

fn path(seen: &Seen) -> &str {
    seen.target.split('?').next().unwrap()
}

/// A server on which `ada` is taken, and so is bob's address.
async fn synapse() -> Fake {
    Fake::start(|seen| match (seen.method.as_str(), path(seen)) {
        ("GET", "/_matrix/client/v3/account/whoami") => Reply::json(200, &json!({ "user_id": "@narthex:example.com:8448" })),
        ("GET", "/_synapse/admin/v1/threepid/email/users/bob%40example.com") => {
            Reply::json(200, &json!({ "user_id": "@robert:example.com:8448" }))
        }
        ("GET", at) if at.contains("/threepid/") => Reply::json(404, &json!({ "errcode": "M_NOT_FOUND" })),
        (_, at) => {
            let name = at.rsplit('/').next().unwrap().replace("%40", "@").replace("%3A", ":");
            let user = json!({ "name": name, "admin": false, "deactivated": false, "locked": false, "displayname": null,
                               "threepids": [{ "medium": "msisdn", "address": "447700900000" }] });
            let new = seen.method == "PUT" && seen.body == "{}" && !name.starts_with("@ada:");
            Reply::json(if new { 201 } else { 200 }, &user)
        }
    })
    .await
}

#[tokio::test]
async fn synapse_creates_in_two_steps_so_that_it_never_changes_who_is_there() {
    let fake = synapse().await;
    let taken = fake.connector("synapse").create(&wanted("ada"), Some("admin")).await;
    assert!(matches!(taken, Err(ConnectorError::Conflict { .. })), "{taken:?}");
    let puts: Vec<String> =
        fake.seen().into_iter().filter(|seen| seen.method == "PUT").map(|seen| seen.body).collect();
    assert_eq!(puts, ["{}"]);

    let made = fake.connector("synapse").create(&wanted("Carol"), Some("admin")).await.unwrap();
    assert_eq!((made.id.0.as_str(), made.profile.username.as_str()), ("@carol:example.com:8448", "carol"));
    let last = fake.seen().pop().unwrap();
    let threepids = json!([{ "medium": "email", "address": "Carol@example.com" }]);
    assert_eq!(last.json(), json!({ "threepids": threepids, "admin": true }));
}

#[tokio::test]
async fn synapse_gives_nobody_an_address_that_another_has() {
    let fake = synapse().await;
    let connector = fake.connector("synapse");
    let taken = connector.create(&wanted("bob"), None).await;
    assert!(matches!(taken, Err(ConnectorError::Conflict { .. })), "{taken:?}");
    let update = AccountProfile { username: String::new(), ..wanted("bob") };
    let taken = connector.update(&account("@ada:example.com:8448", "ada"), &update).await;
    assert!(matches!(taken, Err(ConnectorError::Conflict { .. })), "{taken:?}");
    assert!(fake.seen().iter().all(|seen| seen.method == "GET"), "{:?}", fake.lines());
    // Their own address is no obstacle, and telephone numbers stay.
    connector.update(&account("@robert:example.com:8448", "robert"), &update).await.unwrap();
    assert_eq!(
        fake.seen().pop().unwrap().json()["threepids"],
        json!([{ "medium": "msisdn", "address": "447700900000" }, { "medium": "email", "address": "bob@example.com" }])
    );
}

#[tokio::test]
async fn a4_what_zabbix_refuses_with_status_200_is_a_refusal() {
    for (data, expected) in [
        ("User with username \"ada\" already exists.", "Conflict"),
        ("No permissions to referred object or it does not exist!", "NotFound"),
        ("Session terminated, re-login, please.", "Credential"),
        ("No permissions to call \"user.update\".", "Credential"),
        ("Incorrect value for field \"name\".", "Refused"),
    ] {
        let error = json!({ "jsonrpc": "2.0", "error": { "code": -32602, "message": "Invalid params.", "data": data }, "id": 1 });
        let fake = Fake::start(move |_| Reply::json(200, &error)).await;
        let change = AccountProfile { username: "ada".to_owned(), ..AccountProfile::default() };
        let refused = fake.connector("zabbix").update(&account("3", "ada"), &change).await.unwrap_err();
        assert!(format!("{refused:?}").starts_with(expected), "{data}: {refused:?}");
    }
}

#[tokio::test]
async fn zabbix_is_asked_for_its_version_without_the_token_and_for_all_else_with_it() {
    let fake = Fake::start(|seen| match seen.json()["method"].as_str() {
        Some("apiinfo.version") => Reply::json(200, &json!({ "result": "7.0.9" })),
        _ => Reply::json(200, &json!({ "result": [{ "userid": "1" }] })),
    })
    .await;
    assert_eq!(fake.connector("zabbix").check().await.unwrap().version.as_deref(), Some("7.0.9"));
    let sent: Vec<String> = fake.seen().iter().map(|seen| seen.header("authorization").to_owned()).collect();
    assert_eq!(sent, ["", "Bearer the-admin-token"]);
}

#[tokio::test]
async fn g4_zabbix_reactivates_with_the_groups_that_do_not_disable() {
    let fake = Fake::start(|_| Reply::json(200, &json!({ "result": [{ "usrgrpid": "8" }] }))).await;
    fake.connector("zabbix").reactivate(&account("3", "ada")).await.unwrap();
    let sent: Vec<Json> = fake.seen().iter().map(|seen| seen.json()["params"].clone()).collect();
    assert_eq!(
        sent,
        [
            json!({ "userids": ["3"], "filter": { "users_status": 0 }, "output": ["usrgrpid"] }),
            json!({ "userid": "3", "usrgrps": [{ "usrgrpid": "8" }] }),
        ]
    );
}

#[tokio::test]
async fn a4_directus_without_seats_says_so() {
    let refusal = json!({ "errors": [{ "message": "seats limit exceeded.", "extensions": { "category": "seats", "code": "LIMIT_EXCEEDED" } }] });
    let fake = Fake::start(move |_| Reply::json(403, &refusal)).await;
    let refused = fake.connector("directus").create(&wanted("ada"), None).await.unwrap_err();
    assert!(matches!(refused, ConnectorError::NoSeats { .. }), "{refused:?}");
}

#[tokio::test]
async fn directus_says_itself_which_roles_and_policies_administer() {
    let role = |name: &str, admin: bool| json!({ "name": name, "policies": [{ "policy": { "admin_access": admin } }] });
    let roles = json!({ "data": [role("Editor", false), role("Chiefs", true), { "name": "Nobody", "policies": [] }] });
    let policies = json!({ "data": [{ "name": "$t:public_label", "admin_access": false }, { "name": "All", "admin_access": true }] });
    let fake = Fake::start(move |seen| match (path(seen), seen.target.contains("page=1")) {
        ("/roles", true) => Reply::json(200, &roles),
        ("/policies", true) => Reply::json(200, &policies),
        _ => Reply::json(200, &json!({ "data": [] })),
    })
    .await;
    let named = async |kind| {
        let listed = fake.connector("directus").list(kind).await.unwrap().unwrap();
        listed.into_iter().map(|named| (named.name, named.privileged)).collect::<Vec<_>>()
    };
    let named_so =
        |names: &[(&str, bool)]| names.iter().map(|(name, so)| ((*name).to_owned(), *so)).collect::<Vec<_>>();
    assert_eq!(named(Kind::Role).await, named_so(&[("Editor", false), ("Chiefs", true), ("Nobody", false)]));
    assert_eq!(named(Kind::Permission).await, named_so(&[("All", true)]));
}

#[tokio::test]
async fn a4_a_list_that_does_not_say_what_is_privileged_is_an_error() {
    let fake = Fake::start(|_| Reply::json(200, &json!({ "data": [{ "name": "All" }] }))).await;
    let listed = fake.connector("directus").list(Kind::Permission).await;
    assert!(matches!(listed, Err(ConnectorError::Unexpected { .. })), "{listed:?}");
}

fn grafana(fake: &Fake) -> Arc<dyn Connector> {
    let credential = Credential::Basic { username: "admin".to_owned(), password: Secret::new("a-password") };
    fake.with_recipe(&catalogue::source("grafana").unwrap(), credential).unwrap()
}

/// As the vendor describes it, with two organisations.
async fn grafana_server() -> Fake {
    Fake::start(|seen| {
        let ada = json!({ "id": 2, "login": "ada", "email": "ada@example.com", "name": "Ada", "isGrafanaAdmin": false, "isDisabled": false });
        let in_orgs = |word: &str| {
            json!([{ "orgId": 7, "name": "theirs", "role": "Admin", "id": 70 }, { "orgId": 1, "name": word, "role": "Editor", "id": 10 }])
        };
        match (seen.method.as_str(), path(seen)) {
            ("GET", "/api/users/lookup" | "/api/users/2") => Reply::json(200, &ada),
            ("GET", "/api/org") => Reply::json(200, &json!({ "id": 1, "name": "Main Org." })),
            ("GET", "/api/users/2/orgs") => Reply::json(200, &in_orgs("Main Org.")),
            ("GET", "/api/users/2/teams") => Reply::json(200, &in_orgs("ours")),
            ("GET", "/api/teams/search") => Reply::json(200, &json!({ "totalCount": 1, "teams": [{ "id": 10, "name": "ours" }] })),
            ("POST", "/api/teams/10/members") => Reply::json(400, &json!({ "message": "User is already added to this team" })),
            ("POST", "/api/org/users") => Reply::json(409, &json!({ "message": "User is already member of this organization" })),
            ("POST", "/api/admin/users") => Reply::json(412, &json!({ "message": "User with email 'a' or username 'b' already exists" })),
            _ => Reply::json(200, &json!({ "message": "done" })),
        }
    })
    .await
}

#[tokio::test]
async fn grafanas_role_and_teams_are_those_of_one_organisation() {
    let fake = grafana_server().await;
    let found = grafana(&fake).find(FindBy::Username("ada")).await.unwrap();
    let [ada] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(ada.entitlements.role.as_deref(), Some("Editor"));
    assert_eq!(ada.entitlements.teams.keys().collect::<Vec<_>>(), ["ours"]);
    assert!(!ada.privileged && ada.active);
}

#[tokio::test]
async fn grafana_takes_a_member_for_added_and_a_known_user_for_promoted() {
    let fake = grafana_server().await;
    let add = Entitlements { teams: [("ours".to_owned(), None)].into(), ..Entitlements::default() };
    let change = EntitlementChange { role: Some("Viewer".to_owned()), add, remove: Entitlements::default() };
    grafana(&fake).set_entitlements(&account("2", "ada"), &change).await.unwrap();
    let seen = fake.seen();
    let sent: Vec<(String, Json)> =
        seen.iter().filter(|seen| seen.method != "GET").map(|seen| (seen.line(), seen.json())).collect();
    assert_eq!(
        sent,
        [
            ("POST /api/org/users".to_owned(), json!({ "loginOrEmail": "ada", "role": "Viewer" })),
            ("PATCH /api/org/users/2".to_owned(), json!({ "role": "Viewer" })),
            ("POST /api/teams/10/members".to_owned(), json!({ "userId": 2 })),
        ]
    );
}

#[tokio::test]
async fn grafana_says_with_412_that_somebody_is_there_and_empties_what_is_left_out() {
    let fake = grafana_server().await;
    let taken = grafana(&fake).create(&wanted("ada"), None).await;
    assert!(matches!(taken, Err(ConnectorError::Conflict { .. })), "{taken:?}");
    let change = AccountProfile { display_name: Some("Ada L".to_owned()), ..AccountProfile::default() };
    grafana(&fake).update(&account("2", "ada"), &change).await.unwrap();
    let last = fake.seen().pop().unwrap();
    assert_eq!(last.json(), json!({ "login": "ada", "email": "ada@example.com", "name": "Ada L" }));
}
