//! The Gitea recipe against answers as the real one gives them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};

use crate::model::{AccountId, AccountProfile, EmailAddress, Entitlements};
use crate::provision::connector::{ConnectorError, EntitlementChange, FindBy, Kind};

use super::fake::{Fake, Reply, Seen, account};

/// ada (id 2) signs in from source 5, is an administrator once made so, and is in acme/developers.
struct Gitea {
    owns_repositories: bool,
    teams: Mutex<BTreeSet<u64>>,
    deleted: Mutex<bool>,
}

fn user(id: u64, login: &str, admin: bool) -> Json {
    json!({ "id": id, "login": login, "login_name": "ada@ldap", "source_id": 5, "full_name": "", "email": format!("{login}@example.com"),
            "is_admin": admin, "restricted": false, "active": true, "prohibit_login": false })
}

fn refused(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({ "message": message, "url": "http://localhost/api/swagger" }))
}

fn list(items: &Json) -> Reply {
    let total = items.as_array().unwrap().len().to_string();
    Reply::json(200, items).with("x-total-count", &total)
}

fn found(items: &[Json]) -> Reply {
    Reply::json(200, &json!({ "data": items, "ok": true })).with("x-total-count", &items.len().to_string())
}

impl Gitea {
    fn new(owns_repositories: bool) -> Self {
        Self { owns_repositories, teams: Mutex::new(BTreeSet::from([3])), deleted: Mutex::new(false) }
    }

    fn answer(&self, seen: &Seen) -> Reply {
        let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
        let path = path.strip_prefix("/api/v1").unwrap();
        match (seen.method.as_str(), path) {
            ("GET", "/version") => Reply::json(200, &json!({ "version": "1.26.0" })),
            ("GET", "/user") => Reply::json(200, &user(1, "gitea_admin", true)),
            ("GET", "/users/ada" | "/users/ADA") => Reply::json(200, &user(2, "ada", false)),
            ("GET", "/users/acme") => Reply::json(200, &user(9, "acme", false)),
            ("GET", "/users/old-ada") => Reply::empty(307).with("location", "/api/v1/users/ada"),
            ("GET", "/users/search") if query.contains("uid=2") && !*self.deleted.lock().unwrap() => {
                found(&[user(2, "ada", false)])
            }
            ("GET", "/users/search") if query.contains("q=ada%40example.com") => {
                found(&[user(7, "nevada", false), user(2, "ada", false)])
            }
            ("GET", "/users/search") => found(&[]),
            ("GET", "/admin/users") => list(&json!([user(1, "gitea_admin", true), user(2, "ada", false)])),
            ("POST", "/admin/users") if seen.json()["username"] == "ada" => {
                refused(422, "user already exists [name: ada]")
            }
            ("POST", "/admin/users") => Reply::json(201, &user(4, "bob", false)),
            ("PATCH", "/admin/users/ada") => Reply::json(200, &user(2, "ada", true)),
            ("GET", "/user/teams") => {
                let teams = self.teams.lock().unwrap();
                let named =
                    |id: &u64| json!({ "id": id, "name": "developers", "organization": { "name": "acme" } });
                list(&Json::from(teams.iter().map(named).collect::<Vec<_>>()))
            }
            ("GET", "/admin/orgs") => list(&json!([{ "id": 9, "name": "acme" }])),
            ("GET", "/orgs/acme/teams") => {
                list(&json!([{ "id": 1, "name": "Owners" }, { "id": 3, "name": "developers" }]))
            }
            ("PUT" | "DELETE", "/teams/3/members/ada") => {
                self.teams.lock().unwrap().clear();
                Reply::empty(204)
            }
            ("DELETE", "/admin/users/ada") if self.owns_repositories => {
                refused(422, "user still has ownership of repositories [uid: 2]")
            }
            ("DELETE", "/admin/users/ada") if !self.teams.lock().unwrap().is_empty() => {
                refused(422, "user still has membership of organizations [uid: 2]")
            }
            ("DELETE", "/admin/users/ada") => {
                *self.deleted.lock().unwrap() = true;
                Reply::empty(204)
            }
            _ => refused(404, "not found"),
        }
    }
}

async fn gitea() -> Fake {
    let gitea = Gitea::new(false);
    Fake::start(move |seen| gitea.answer(seen)).await
}

#[tokio::test]
async fn check_tells_version_and_own_account_and_sends_the_token() {
    let fake = gitea().await;
    let checked = fake.connector("gitea").check().await.unwrap();
    assert_eq!(checked.version.as_deref(), Some("1.26.0"));
    assert_eq!(checked.own_account, Some(AccountId("1".to_owned())));
    assert_eq!(fake.seen()[1].header("authorization"), "token the-admin-token");
}

#[tokio::test]
async fn a_user_is_found_with_role_and_teams() {
    let fake = gitea().await;
    let connector = fake.connector("gitea");
    let found = connector.find(FindBy::Username("ADA")).await.unwrap();
    let [ada] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(ada.id, AccountId("2".to_owned()));
    assert_eq!(ada.entitlements.role.as_deref(), Some("user"));
    assert_eq!(ada.entitlements.teams.keys().collect::<Vec<_>>(), ["acme/developers"]);
    assert_eq!((ada.active, ada.privileged, &ada.profile.display_name), (true, false, &None));
}

#[tokio::test]
async fn f7_an_e_mail_that_only_contains_the_wanted_one_is_not_found() {
    let fake = gitea().await;
    let email = EmailAddress::parse("ada@example.com").unwrap();
    let found = fake.connector("gitea").find(FindBy::Email(&email)).await.unwrap();
    assert_eq!(found.iter().map(|account| account.id.0.as_str()).collect::<Vec<_>>(), ["2"]);
}

#[tokio::test]
async fn an_organisation_and_a_former_name_are_no_users() {
    let fake = gitea().await;
    let connector = fake.connector("gitea");
    for name in ["acme", "old-ada", "nobody"] {
        assert!(connector.find(FindBy::Username(name)).await.unwrap().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn g1_the_privileged_accounts_are_the_administrators() {
    let fake = gitea().await;
    let found = fake.connector("gitea").find(FindBy::Privileged).await.unwrap();
    assert_eq!(
        found.iter().map(|account| account.profile.username.as_str()).collect::<Vec<_>>(),
        ["gitea_admin"]
    );
    assert!(found[0].privileged);
}

#[tokio::test]
async fn create_sends_a_fresh_random_password_and_leaves_out_what_is_absent() {
    let fake = gitea().await;
    let connector = fake.connector("gitea");
    let wanted = AccountProfile {
        username: "bob".to_owned(),
        email: Some("bob@example.com".to_owned()),
        ..AccountProfile::default()
    };
    let made = connector.create(&wanted, None).await.unwrap();
    assert_eq!(made.id, AccountId("4".to_owned()));
    connector.create(&wanted, None).await.unwrap();
    let sent: Vec<Json> = fake.seen().iter().filter(|seen| seen.method == "POST").map(Seen::json).collect();
    assert_eq!(sent[0]["must_change_password"], false);
    assert!(sent[0].get("full_name").is_none());
    assert!(sent[0]["password"].as_str().unwrap().len() >= 32);
    assert_ne!(sent[0]["password"], sent[1]["password"]);
}

#[tokio::test]
async fn a_name_that_is_taken_is_a_conflict() {
    let fake = gitea().await;
    let wanted = AccountProfile { username: "ada".to_owned(), ..AccountProfile::default() };
    let error = fake.connector("gitea").create(&wanted, None).await.unwrap_err();
    assert!(
        matches!(&error, ConnectorError::Conflict { excerpt, .. } if excerpt.contains("already exists")),
        "{error}"
    );
}

#[tokio::test]
async fn a_change_repeats_where_the_account_signs_in_from() {
    let fake = gitea().await;
    let connector = fake.connector("gitea");
    let change = EntitlementChange { role: Some("admin".to_owned()), ..EntitlementChange::default() };
    connector.set_entitlements(&account("2", "ada"), &change).await.unwrap();
    connector.deactivate(&account("2", "ada")).await.unwrap();
    connector.reactivate(&account("2", "ada")).await.unwrap();
    let sent: Vec<Json> = fake.seen().iter().filter(|seen| seen.method == "PATCH").map(Seen::json).collect();
    assert_eq!(
        sent[0],
        json!({ "source_id": 5, "login_name": "ada@ldap", "admin": true, "restricted": false })
    );
    assert_eq!(sent[1], json!({ "source_id": 5, "login_name": "ada@ldap", "prohibit_login": true }));
    assert_eq!(sent[2], json!({ "source_id": 5, "login_name": "ada@ldap", "prohibit_login": false }));
}

fn team(name: &str) -> Entitlements {
    Entitlements { teams: [(name.to_owned(), None)].into(), ..Entitlements::default() }
}

#[tokio::test]
async fn a_team_is_joined_by_its_id_and_its_name_is_compared_without_case() {
    let fake = gitea().await;
    let connector = fake.connector("gitea");
    let change = EntitlementChange { add: team("acme/Developers"), ..EntitlementChange::default() };
    connector.set_entitlements(&account("2", "ada"), &change).await.unwrap();
    assert_eq!(
        fake.lines(),
        ["GET /api/v1/orgs/acme/teams?limit=50&page=1", "PUT /api/v1/teams/3/members/ada"]
    );
    let listed = connector.list(Kind::Team).await.unwrap().unwrap();
    let named: Vec<_> = listed.iter().map(|team| (team.name.as_str(), team.privileged)).collect();
    assert_eq!(named, [("acme/Owners", true), ("acme/developers", false)]);
}

#[tokio::test]
async fn a_team_that_does_not_exist_cannot_be_joined_but_counts_as_left() {
    let fake = gitea().await;
    let connector = fake.connector("gitea");
    for name in ["acme/nothing", "nowhere/developers"] {
        let add = EntitlementChange { add: team(name), ..EntitlementChange::default() };
        let error = connector.set_entitlements(&account("2", "ada"), &add).await.unwrap_err();
        assert!(matches!(error, ConnectorError::NotFound { .. }), "{error}");
        let remove = EntitlementChange { remove: team(name), ..EntitlementChange::default() };
        connector.set_entitlements(&account("2", "ada"), &remove).await.unwrap();
    }
}

#[tokio::test]
async fn g5_names_that_lead_elsewhere_are_refused_before_any_call() {
    let fake = gitea().await;
    let connector = fake.connector("gitea");
    for name in ["../admin", "acme", "acme/a/b", "/a", "a/", "../..", "%2e%2e/x", "a\r\nb/c"] {
        let change = EntitlementChange { add: team(name), ..EntitlementChange::default() };
        let error = connector.set_entitlements(&account("2", "ada"), &change).await.unwrap_err();
        assert!(matches!(error, ConnectorError::Unsendable { .. }), "{name:?}: {error}");
    }
    for name in ["../admin", "..", ".", "%2e%2e", "a\r\nX-Admin: 1", "a/../../orgs/acme", ""] {
        let error = connector.find(FindBy::Username(name)).await.unwrap_err();
        assert!(matches!(error, ConnectorError::Unsendable { .. }), "{name:?}: {error}");
    }
    assert!(fake.lines().is_empty(), "{:?}", fake.lines());
    assert!(connector.find(FindBy::Username("a/b?c#d&sudo=x")).await.unwrap().is_empty());
    assert_eq!(fake.lines(), ["GET /api/v1/users/a%2Fb%3Fc%23d%26sudo%3Dx"]);
}

#[tokio::test]
async fn e6_deleting_leaves_teams_only_where_they_are_the_reason_and_never_purges() {
    let gitea = Arc::new(Gitea::new(false));
    let shared = Arc::clone(&gitea);
    let fake = Fake::start(move |seen| shared.answer(seen)).await;
    let connector = fake.connector("gitea");
    connector.delete(&account("2", "ada")).await.unwrap();
    assert!(*gitea.deleted.lock().unwrap());
    assert!(
        fake.lines()
            .iter()
            .filter(|line| line.contains("DELETE /api/v1/admin"))
            .all(|line| line.ends_with("purge=false"))
    );
    // Gone already is success.
    connector.delete(&account("2", "ada")).await.unwrap();
}

#[tokio::test]
async fn e6_an_owner_of_repositories_is_not_deleted_and_keeps_the_teams() {
    let gitea = Arc::new(Gitea::new(true));
    let shared = Arc::clone(&gitea);
    let fake = Fake::start(move |seen| shared.answer(seen)).await;
    let error = fake.connector("gitea").delete(&account("2", "ada")).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Refused { status: 422, .. }), "{error}");
    assert_eq!(gitea.teams.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_team_is_created_in_its_organisation() {
    let fake = Fake::start(|_| Reply::json(201, &json!({ "id": 4 }))).await;
    fake.connector("gitea").create_team("acme/writers").await.unwrap();
    let seen = fake.seen();
    assert_eq!(seen[0].line(), "POST /api/v1/orgs/acme/teams");
    assert_eq!((&seen[0].json()["name"], &seen[0].json()["permission"]), (&json!("writers"), &json!("read")));
}
