//! The SCIM server against clients that others wrote, and against narthex's own SCIM connector.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use http::Method;
use narthex::app::connector;
use narthex::config::Settings;
use narthex::model::{AccountProfile, EmailAddress, Entitlements};
use narthex::platform::Platform;
use narthex::provision::connector::{EntitlementChange, FindBy, Kind};
use serde_json::{Value as Json, json};
use toml::Table;

use super::front::Front;
use super::gitea::Gitea;
use crate::support::stack::load;
use crate::support::{Browser, Page};

const TOKEN: &str = "the-directory-of-this-test-and-nobody-else";

/// A proxy with a SCIM listener. No identity provider and no application is asked in these tests.
async fn front() -> Front {
    Front::start(config()).await
}

fn config() -> Table {
    let source = format!(
        r#"
[[idp]]
id = "corp"
type = "oidc"
issuer = "http://127.0.0.1:9"
client_id = "narthex"
client_secret = "secret"
email_domains = ["example.com"]
[upstream]
url = "http://127.0.0.1:9"
[application]
connector = "scim"
url = "http://127.0.0.1:9"
credential = {{ bearer = "token" }}
[provisioning]
mode = "scim"
default_role = "member"
[scim]
tokens = ["{TOKEN}"]
"#
    );
    source.parse().unwrap()
}

async fn ask(front: &Front, method: Method, path: &str, body: Option<Json>) -> Page {
    let browser = Browser::new();
    let url = format!("{}{path}", front.scim());
    let request = browser.request(method, &url).header("authorization", &format!("Bearer {TOKEN}"));
    match body {
        Some(body) => request.json(&body).send().await,
        None => request.send().await,
    }
}

/// scim2-cli with these arguments: whether it was content, and what it wrote.
async fn scim2(front: &Front, arguments: &[&str]) -> (bool, String) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parties/scim2");
    let mut command = Command::new(program);
    command.arg("--url").arg(front.scim()).args(arguments);
    command.env("SCIM_CLI_HEADERS", format!("Authorization: Bearer {TOKEN}"));
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn scim2_tester_finds_nothing_wrong() {
    let front = front().await;
    let (fine, report) = scim2(&front, &["test"]).await;
    // It calls nothing fine that was left out either.
    assert!(fine, "{report}");
    assert!(report.lines().filter(|line| line.starts_with("SUCCESS")).count() > 100, "{report}");
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn scim2_cli_makes_changes_finds_and_deletes_a_user() {
    let front = front().await;
    let made = ["create", "user", "--user-name", "ada", "--name", r#"{"givenName":"Ada"}"#];
    let (fine, made) = scim2(&front, &made).await;
    assert!(fine, "{made}");
    let id = serde_json::from_str::<Json>(&made).unwrap()["id"].as_str().unwrap().to_owned();
    let work = r#"emails[type eq "work"].value"#;
    let change = ["modify", "user", &id, "replace", "displayName", "Ada L", "add", work, "ada@example.com"];
    let (fine, changed) = scim2(&front, &change).await;
    assert!(fine, "{changed}");
    let (fine, found) = scim2(&front, &["query", "user", "--filter", r#"userName eq "ADA""#]).await;
    assert!(fine, "{found}");
    let found = serde_json::from_str::<Json>(&found).unwrap();
    assert_eq!(found["totalResults"], 1);
    let ada = &found["Resources"][0];
    assert_eq!(
        (&ada["id"], &ada["displayName"], &ada["name"]["givenName"]),
        (&json!(id), &json!("Ada L"), &json!("Ada"))
    );
    assert_eq!(ada["emails"], json!([{ "value": "ada@example.com", "type": "work" }]));
    let (fine, gone) = scim2(&front, &["delete", "user", &id]).await;
    assert!(fine, "{gone}");
    let (found, told) = scim2(&front, &["query", "user", &id]).await;
    assert!(!found && told.contains("404"), "{told}");
}

/// narthex as the application of another narthex: its SCIM connector speaks to its SCIM server.
#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn the_scim_connector_works_against_the_scim_server() {
    let front = front().await;
    for group in ["makers", "readers"] {
        let group =
            json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": group });
        assert_eq!(ask(&front, Method::POST, "/Groups", Some(group)).await.status, 201);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    crate::support::stack::put(&mut config, "server.public_url", "http://127.0.0.1:1");
    crate::support::stack::put(&mut config, "application.url", front.scim());
    crate::support::stack::put(&mut config, "application.credential.bearer", TOKEN);
    let settings: Settings = load(&config, folder.path());
    let connector = connector(&settings, &Platform::system()).unwrap().unwrap();

    connector.check().await.unwrap();
    let profile = AccountProfile {
        username: "ada".to_owned(),
        email: Some("ada@example.com".to_owned()),
        display_name: Some("Ada".to_owned()),
        attributes: BTreeMap::from([("given_name".to_owned(), "Ada".to_owned())]),
    };
    let ada = connector.create(&profile, Some("editor")).await.unwrap();
    let teams = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), None)).collect();
    let change = EntitlementChange {
        role: Some("viewer".to_owned()),
        add: Entitlements {
            teams: teams(&["makers", "readers"]),
            permissions: ["deploy".to_owned()].into(),
            ..Entitlements::default()
        },
        remove: Entitlements::default(),
    };
    for _ in 0..2 {
        connector.set_entitlements(&ada, &change).await.unwrap();
    }
    let address = EmailAddress::parse("ada@example.com").unwrap();
    for by in [FindBy::Username("ADA"), FindBy::Email(&address), FindBy::Id(&ada.id)] {
        let found = connector.find(by).await.unwrap();
        let [found] = found.as_slice() else { panic!("{by:?}: {found:?}") };
        assert_eq!(found.id, ada.id);
        assert_eq!(found.profile.display_name.as_deref(), Some("Ada"));
        assert_eq!(found.entitlements.role.as_deref(), Some("viewer"));
        assert_eq!(found.entitlements.teams, teams(&["makers", "readers"]));
        assert!(found.entitlements.permissions.contains("deploy"));
    }
    let change = EntitlementChange {
        remove: Entitlements { teams: teams(&["makers"]), ..Entitlements::default() },
        ..EntitlementChange::default()
    };
    for _ in 0..2 {
        connector.set_entitlements(&ada, &change).await.unwrap();
    }
    let renamed = AccountProfile { display_name: Some("Ada L".to_owned()), ..profile.clone() };
    connector.update(&ada, &renamed).await.unwrap();
    connector.deactivate(&ada).await.unwrap();
    let found = connector.find(FindBy::Id(&ada.id)).await.unwrap();
    assert!(!found[0].active);
    assert_eq!(found[0].entitlements.teams, teams(&["readers"]));
    assert_eq!(found[0].profile.display_name.as_deref(), Some("Ada L"));
    let mut names: Vec<String> =
        connector.list(Kind::Team).await.unwrap().unwrap().into_iter().map(|team| team.name).collect();
    names.sort();
    assert_eq!(names, ["makers", "readers"]);
    for _ in 0..2 {
        connector.delete(&ada).await.unwrap();
    }
    assert!(connector.find(FindBy::Id(&ada.id)).await.unwrap().is_empty());
}

/// Asks until there is an answer: what is pushed is done by a job, some moments later.
async fn told<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    let asking = async {
        let mut look = tokio::time::interval(Duration::from_millis(200));
        loop {
            look.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(Duration::from_mins(1), asking).await;
    answer.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// A SCIM front for an application that has only an API of its own.
#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn e2_gitea_gets_by_its_own_api_what_a_scim_client_pushes() {
    let gitea = Gitea::shared().await;
    let (url, token) = gitea.reach();
    let mut config = config();
    for (key, value) in [
        ("upstream.url", url),
        ("application.connector", "gitea"),
        ("application.url", url),
        ("application.credential.bearer", token),
        ("provisioning.default_role", "user"),
        ("provisioning.time_budget", "60s"),
        ("provisioning.leaver", "delete"),
        ("scim.groups", "teams"),
    ] {
        crate::support::stack::put(&mut config, key, value);
    }
    let front = Front::start(config).await;
    let user = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "scimmed", "externalId": "1",
        "displayName": "Made by SCIM", "emails": [{ "value": "scimmed@example.com", "primary": true }],
    });
    let made = ask(&front, Method::POST, "/Users", Some(user)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let there = told("an account", || gitea.user("scimmed")).await;
    assert_eq!(
        (&there["email"], &there["full_name"]),
        (&json!("scimmed@example.com"), &json!("Made by SCIM"))
    );

    let group = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "acme/developers",
        "members": [{ "value": id }],
    });
    let made = ask(&front, Method::POST, "/Groups", Some(group)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let in_team =
        async || Some(gitea.teams_of("scimmed").await).filter(|teams| *teams == ["acme/developers"]);
    told("the team", in_team).await;

    let patch = |path: &str, value: Json| {
        Some(json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": "Replace", "path": path, "value": value }],
        }))
    };
    let user = format!("/Users/{id}");
    ask(&front, Method::PATCH, &user, patch("displayName", json!("Another"))).await;
    let renamed = async || gitea.user("scimmed").await.filter(|user| user["full_name"] == "Another");
    told("the new name", renamed).await;
    for active in [false, true] {
        ask(&front, Method::PATCH, &user, patch("active", json!(active))).await;
        let so = async || gitea.user("scimmed").await.filter(|user| user["prohibit_login"] == json!(!active));
        told("(de)activation", so).await;
    }
    assert_eq!(ask(&front, Method::DELETE, &user, None).await.status, 204);
    let gone = async || gitea.user("scimmed").await.is_none().then_some(());
    told("the deletion", gone).await;
}
