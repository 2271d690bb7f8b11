//! What an admin API may answer, and what it comes to (A4).

use serde_json::{Value as Json, json};

use crate::config::settings::Credential;
use crate::model::{AccountId, AccountProfile, EmailAddress, Entitlements, Secret};
use crate::platform::outbound::MAX_ANSWER;
use crate::provision::connector::{Connector, ConnectorError, EntitlementChange, FindBy};

use super::TOY;
use super::fake::{Fake, Reply, account};

const TOKEN: &str = "the/admin\"token";

fn ada() -> Json {
    json!({ "id": 7, "name": "ada", "mail": "ada@example.com", "enabled": true, "level": 0,
            "groups": ["eng"], "may": [], "owner": "no" })
}

async fn toy(answer: impl Fn() -> Reply + Send + Sync + 'static) -> (Fake, std::sync::Arc<dyn Connector>) {
    let fake = Fake::start(move |_| answer()).await;
    let connector = fake.with_recipe(TOY, Credential::Bearer(Secret::new(TOKEN))).unwrap();
    (fake, connector)
}

async fn find(
    answer: impl Fn() -> Reply + Send + Sync + 'static,
) -> Result<Vec<crate::model::Account>, ConnectorError> {
    toy(answer).await.1.find(FindBy::Username("ada")).await
}

/// The expectation and the excerpt of an unexpected answer.
fn unexpected(error: &ConnectorError) -> (&str, &str) {
    match error {
        ConnectorError::Unexpected { expected, excerpt, .. } => (expected, excerpt),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_account_is_read_with_all_it_holds() {
    let found = find(|| Reply::json(200, &ada())).await.unwrap();
    assert_eq!(found[0].id, AccountId("7".to_owned()));
    assert_eq!(found[0].entitlements.role.as_deref(), Some("user"));
    assert_eq!(found[0].entitlements.app_groups.iter().collect::<Vec<_>>(), ["eng"]);
    assert!(!found[0].privileged);
}

#[tokio::test]
async fn f7_whoever_holds_something_privileged_is_privileged() {
    for (key, value) in [("level", json!(9)), ("groups", json!(["WHEEL-x"])), ("owner", json!("yes"))] {
        let mut user = ada();
        user[key] = value;
        let found = find(move || Reply::json(200, &user)).await.unwrap();
        assert!(found[0].privileged, "{key}");
    }
}

#[tokio::test]
async fn a4_a_login_page_with_status_200_is_no_answer() {
    let page = || Reply::text(200, "text/html", "<html><title>Sign in</title>");
    let error = find(page).await.unwrap_err();
    assert_eq!(unexpected(&error), ("a JSON answer", "<html><title>Sign in</title>"));
    let (_, connector) = toy(page).await;
    let change = EntitlementChange {
        add: Entitlements { app_groups: ["eng".to_owned()].into(), ..Entitlements::default() },
        ..EntitlementChange::default()
    };
    let error = connector.set_entitlements(&account("7", "ada"), &change).await.unwrap_err();
    assert_eq!(unexpected(&error).0, "no body, or a JSON one");
    assert!(matches!(connector.delete(&account("7", "ada")).await, Err(ConnectorError::Unexpected { .. })));
}

#[tokio::test]
async fn a4_a_page_with_status_404_is_not_nobody() {
    assert!(find(|| Reply::json(404, &json!({ "message": "no" }))).await.unwrap().is_empty());
    assert!(find(|| Reply::empty(404)).await.unwrap().is_empty());
    let error = find(|| Reply::text(404, "text/html", "<html>")).await.unwrap_err();
    assert!(unexpected(&error).0.contains("base of its API"), "{error}");
    // Nor is it nobody where the path is the same for everybody.
    let email = EmailAddress::parse("ada@example.com").unwrap();
    let (_, connector) = toy(|| Reply::json(404, &json!({ "message": "no" }))).await;
    let error = connector.find(FindBy::Email(&email)).await.unwrap_err();
    assert!(unexpected(&error).0.contains("this path to exist"), "{error}");
}

#[tokio::test]
async fn a4_what_is_not_json_is_no_answer_whatever_it_says_it_is() {
    let error = find(|| Reply::text(200, "application/json", "{\"id\":")).await.unwrap_err();
    assert_eq!(unexpected(&error).0, "valid JSON");
    let error = find(|| Reply::text(200, "application/jsonp", &ada().to_string())).await.unwrap_err();
    assert_eq!(unexpected(&error).0, "a JSON answer");
    assert!(find(|| Reply::text(200, "application/hal+json", &ada().to_string())).await.is_ok());
    let error = find(|| Reply::empty(204)).await.unwrap_err();
    assert_eq!(unexpected(&error).0, "a JSON answer");
}

#[tokio::test]
async fn a4_a_missing_or_mistyped_field_is_refused_and_named() {
    for (key, value, says) in [
        ("id", Json::Null, "an id"),
        ("id", json!(""), "an id"),
        ("id", json!(1.5), "an id"),
        ("id", json!({ "x": 1 }), "an id"),
        ("id", json!("a\nb"), "an id"),
        ("name", Json::Null, "a username"),
        ("name", json!(["ada"]), "a username"),
        ("mail", json!(5), "an e-mail"),
        ("enabled", json!("true"), "a flag"),
        ("enabled", Json::Null, "a flag"),
        ("owner", json!("maybe"), "a flag"),
        ("groups", json!([{ "name": "eng" }]), "a list of names"),
    ] {
        let mut user = ada();
        user[key] = value.clone();
        let error = find(move || Reply::json(200, &user)).await.unwrap_err();
        assert!(unexpected(&error).0.contains(says), "{key} = {value}: {error}");
    }
}

#[tokio::test]
async fn a4_an_answer_over_one_mebibyte_is_refused() {
    let error = find(|| {
        let mut user = ada();
        user["about"] = json!("x".repeat(MAX_ANSWER));
        Reply::json(200, &user)
    })
    .await
    .unwrap_err();
    assert!(unexpected(&error).0.contains("at most 1048576 bytes"), "{error}");
}

#[tokio::test]
async fn a4_an_object_where_a_list_should_be_is_not_an_empty_list() {
    let email = EmailAddress::parse("ada@example.com").unwrap();
    let (_, connector) = toy(|| Reply::json(200, &json!([]))).await;
    assert!(connector.find(FindBy::Email(&email)).await.unwrap().is_empty());
    let (_, connector) = toy(|| Reply::json(200, &json!("an error"))).await;
    let error = connector.find(FindBy::Email(&email)).await.unwrap_err();
    assert!(unexpected(&error).0.starts_with("a list at"), "{error}");
}

#[tokio::test]
async fn lesson_34_a_redirect_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let (fake, connector) = toy(move || Reply::empty(status).with("location", "/base/elsewhere")).await;
        let error = connector.find(FindBy::Username("ada")).await.unwrap_err();
        assert!(unexpected(&error).0.contains("no redirect"), "{error}");
        assert_eq!(fake.lines().len(), 1);
    }
}

#[tokio::test]
async fn statuses_come_to_what_they_mean() {
    let error = |status: u16| async move {
        find(move || Reply::json(status, &json!({ "message": "because" })).with("retry-after", "7"))
            .await
            .unwrap_err()
    };
    assert!(matches!(error(401).await, ConnectorError::Credential { status: 401, .. }));
    assert!(matches!(error(403).await, ConnectorError::Credential { status: 403, .. }));
    assert!(matches!(error(402).await, ConnectorError::NoSeats { .. }));
    assert!(matches!(error(409).await, ConnectorError::Conflict { .. }));
    assert!(matches!(error(422).await, ConnectorError::Refused { status: 422, .. }));
    assert!(matches!(error(500).await, ConnectorError::Refused { status: 500, .. }));
    for status in [429, 503] {
        let ConnectorError::Busy { after, .. } = error(status).await else { panic!("{status}") };
        assert_eq!(after, Some(std::time::Duration::from_secs(7)));
    }
    let named = error(422).await.to_string();
    assert!(named.contains("find the account by username") && named.contains("because"), "{named}");
}

#[tokio::test]
async fn a1_who_cannot_be_reached_got_nothing() {
    let (fake, _) = toy(|| Reply::empty(204)).await;
    // Bound, so that nobody else has it, but nobody listens.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut fake = fake;
    fake.url.set_port(Some(closed.local_addr().unwrap().port())).unwrap();
    let connector = fake.with_recipe(TOY, Credential::None);
    assert!(connector.is_err(), "the recipe takes no credential of the kind none");
    let connector = fake.with_recipe(TOY, Credential::Bearer(Secret::new(TOKEN))).unwrap();
    let error = connector.find(FindBy::Username("ada")).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Unreachable { sent: false, .. }), "{error}");
}

#[tokio::test]
async fn invariant_8_no_secret_that_an_answer_echoes_shows_in_an_error() {
    let echo = |seen: &super::fake::Seen| {
        let sent = seen.json();
        let body = json!({ "you_sent": seen.header("authorization"), "about": sent["password"],
                           "login": "Basic bmFydGhleDp0aGUtc2VjcmV0" });
        Reply::json(422, &body)
    };
    let wanted = AccountProfile { username: "ada".to_owned(), ..AccountProfile::default() };
    let fake = Fake::start(echo).await;
    for credential in [
        Credential::Bearer(Secret::new(TOKEN)),
        Credential::Basic { username: "narthex".to_owned(), password: Secret::new("the-secret") },
        Credential::Header { name: http::header::AUTHORIZATION, value: Secret::new("Key k3y") },
    ] {
        let connector = fake.with_recipe(TOY, credential).unwrap();
        let error = format!("{:?}", connector.create(&wanted, None).await.unwrap_err());
        let password = fake.seen().last().unwrap().json()["password"].as_str().unwrap().to_owned();
        for secret in [TOKEN, "the/admin", "bmFydGhleDp0aGUtc2VjcmV0", "the-secret", "k3y", password.as_str()]
        {
            assert!(!error.contains(secret), "{secret} in {error}");
        }
        assert!(error.contains("[masked]"), "{error}");
    }
}

#[tokio::test]
async fn bodies_keep_types_and_leave_out_what_is_absent() {
    let (fake, connector) = toy(|| Reply::json(200, &ada())).await;
    let mut wanted = AccountProfile { username: "ada".to_owned(), ..AccountProfile::default() };
    connector.create(&wanted, None).await.unwrap();
    wanted.email = Some("a\"\r\n@x".to_owned());
    wanted.attributes.insert("department".to_owned(), "R&D".to_owned());
    connector.create(&wanted, None).await.unwrap();
    let sent = fake.seen();
    let mut first = sent[0].json();
    first.as_object_mut().unwrap().remove("password").unwrap();
    assert_eq!(
        first,
        json!({ "name": "ada", "about": { "note": "made for ada" }, "tags": ["sso"], "level": 0, "enabled": true })
    );
    // In a body anything may stand: it is serialised, so it stays one value.
    assert_eq!(sent[1].json()["mail"], "a\"\r\n@x");
    assert_eq!(sent[1].json()["tags"], json!(["a\"\r\n@x", "sso"]));
    assert_eq!(sent[1].json()["about"]["department"], "R&D");
}

#[tokio::test]
async fn g5_a_line_break_never_reaches_a_header_or_a_query() {
    let (fake, connector) = toy(|| Reply::json(200, &ada())).await;
    let profile = AccountProfile { email: Some("a\r\nX-Admin: 1".to_owned()), ..AccountProfile::default() };
    let error = connector.update(&account("7", "ada"), &profile).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Unsendable { .. }), "{error}");
    assert!(fake.lines().is_empty());
    let profile = AccountProfile { email: Some("ada@example.com".to_owned()), ..AccountProfile::default() };
    connector.update(&account("7", "ada"), &profile).await.unwrap();
    assert_eq!(fake.seen()[0].header("x-mail"), "ada@example.com");

    let recipe = TOY.replace(
        "\"GET /users/by-name/{{ wanted.username }}\"",
        "\"GET /users/by-name\", query = { name = \"{{ wanted.username }}\" }",
    );
    let connector = fake.with_recipe(&recipe, Credential::Bearer(Secret::new(TOKEN))).unwrap();
    let error = connector.find(FindBy::Username("a\r\nb")).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Unsendable { .. }), "{error}");
    assert_eq!(fake.lines().len(), 1);
    connector.find(FindBy::Username("a&b=c d#e")).await.unwrap();
    assert_eq!(fake.lines()[1], "GET /users/by-name?name=a%26b%3Dc+d%23e");
}

#[tokio::test]
async fn f10_only_an_id_that_can_stand_in_a_path_is_called_with() {
    let (fake, connector) = toy(|| Reply::empty(204)).await;
    for id in ["../1", "..", "%2e%2e", "1/../../users/2", "a\nb", ""] {
        let error = connector.delete(&account(id, "ada")).await.unwrap_err();
        assert!(matches!(error, ConnectorError::Unsendable { .. }), "{id:?}: {error}");
    }
    assert!(fake.lines().is_empty());
    connector.delete(&account("a/b?x=1", "ada")).await.unwrap();
    assert_eq!(fake.lines(), ["DELETE /users/a%2Fb%3Fx%3D1"]);
}

#[tokio::test]
async fn every_kind_of_entitlement_is_added_and_removed_and_gone_is_removed() {
    let fake = Fake::start(|seen| Reply::empty(if seen.method == "DELETE" { 404 } else { 204 })).await;
    let connector = fake.with_recipe(TOY, Credential::Bearer(Secret::new(TOKEN))).unwrap();
    let held = Entitlements {
        app_groups: ["eng".to_owned()].into(),
        permissions: ["read".to_owned()].into(),
        owner: true,
        ..Entitlements::default()
    };
    let change = EntitlementChange { role: Some("root".to_owned()), add: held.clone(), remove: held };
    connector.set_entitlements(&account("7", "ada"), &change).await.unwrap();
    assert_eq!(
        fake.lines(),
        [
            "PUT /users/7/level/root",
            "PUT /groups/eng/members/7",
            "PUT /users/7/may/read",
            "PUT /owner/7",
            "DELETE /groups/eng/members/7",
            "DELETE /users/7/may/read",
            "DELETE /owner/7",
        ]
    );
    let team = EntitlementChange {
        add: Entitlements { teams: [("x".to_owned(), None)].into(), ..Entitlements::default() },
        ..EntitlementChange::default()
    };
    let error = connector.set_entitlements(&account("7", "ada"), &team).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Unsupported { .. }));
    assert!(matches!(
        connector.deactivate(&account("7", "ada")).await,
        Err(ConnectorError::Unsupported { .. })
    ));
}
