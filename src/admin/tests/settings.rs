//! Settings at run time, through the API.

use http::StatusCode;
use serde_json::{Value, json};

use super::Server;
use super::server::Reply;
use crate::admin::live::LiveError;
use crate::model::{ConsoleRole, UnixTime};
use crate::store::lists::StoredSettings;

const ANNA: ConsoleRole = ConsoleRole::Administrator;

fn jit(default_role: &str) -> Value {
    json!({ "mode": "jit", "default_role": default_role, "groups_claim": "groups" })
}

async fn preview(server: &Server, provisioning: &Value) -> Reply {
    server.call(ANNA, "POST", "/settings/preview", Some(json!({ "provisioning": provisioning }))).await
}

async fn put(server: &Server, version: &str, provisioning: &Value, confirmation: &str) -> Reply {
    let body = json!({ "provisioning": provisioning, "confirmation": confirmation });
    server.call_with(ANNA, "PUT", "/settings", Some(body), &[("if-match", version)]).await
}

/// Previews and puts.
async fn changed(server: &Server, provisioning: &Value) -> Reply {
    let preview = preview(server, provisioning).await.json();
    let version = format!("\"{}\"", preview["version"]);
    put(server, &version, provisioning, preview["confirmation"].as_str().unwrap()).await
}

#[tokio::test]
async fn m4_a_change_is_previewed_confirmed_and_holds() {
    let server = Server::new().await;
    let before = server.get("/settings").await;
    assert_eq!((&before.json()["version"], before.headers["etag"].to_str().unwrap()), (&json!(0), "\"0\""));
    let wanted = json!({
        "mode": "jit", "default_role": "user", "groups_claim": "groups", "unknown_team": "deny",
        "onboarding": { "teams": ["acme/readers"] },
    });
    let preview = preview(&server, &wanted).await.json();
    let keys: Vec<(&str, &str)> = preview["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| (change["key"].as_str().unwrap(), change["effect"].as_str().unwrap()))
        .collect();
    assert_eq!(keys, [("onboarding", "new_members"), ("unknown_team", "every_login")]);
    assert_eq!(preview["changes"][1]["before"], "skip");
    let reply = put(&server, "\"0\"", &wanted, preview["confirmation"].as_str().unwrap()).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert_eq!(reply.headers["etag"], "\"1\"");
    let after = server.get("/settings").await.json();
    assert_eq!((&after["version"], &after["changed_by"]), (&json!(1), &json!("anna")));
    assert_eq!((&after["given"], &after["provisioning"]["unknown_team"]), (&wanted, &json!("deny")));
    let applied = server.applied.lock().unwrap().clone();
    assert_eq!(applied, ["acme/readers"], "the running process was told");
    let drift: Vec<&Value> = after["drift"].as_array().unwrap().iter().map(|one| &one["key"]).collect();
    assert_eq!(drift, ["onboarding", "unknown_team"]);
    let history = server.get("/settings/history").await.json();
    assert_eq!(history["items"][0]["given"], wanted);
    let exported = server.get("/settings/export").await.text;
    let exported: toml::Table = exported.parse().unwrap();
    assert_eq!(exported["provisioning"]["onboarding"]["teams"][0].as_str(), Some("acme/readers"));
}

#[tokio::test]
async fn m4_without_the_version_or_with_an_old_one_nothing_is_changed() {
    let server = Server::new().await;
    let (one, two) = (json!({ "mode": "off", "unprovisioned": "forward" }), jit("restricted"));
    let early = preview(&server, &one).await.json()["confirmation"].as_str().unwrap().to_owned();
    let body = json!({ "provisioning": one, "confirmation": early });
    let reply = server.call(ANNA, "PUT", "/settings", Some(body)).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (428, "version_needed"));
    assert_eq!(changed(&server, &two).await.status, StatusCode::OK);
    for version in ["\"0\"", "*", "W/\"1\"", "1"] {
        let reply = put(&server, version, &one, &early).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (412, "version_changed"), "{version}");
    }
    // The confirmation was for the version before.
    assert_eq!(put(&server, "\"1\"", &one, &early).await.code(), "unconfirmed");
    assert_eq!(server.get("/settings").await.json()["given"], two);
}

#[tokio::test]
async fn m4_a_confirmation_is_for_what_was_previewed() {
    let server = Server::new().await;
    let token = preview(&server, &jit("user")).await.json()["confirmation"].as_str().unwrap().to_owned();
    for (wanted, token) in [(jit("restricted"), token.as_str()), (jit("user"), ""), (jit("user"), "x.y")] {
        let reply = put(&server, "\"0\"", &wanted, token).await;
        assert_eq!((reply.status, reply.code().as_str()), (StatusCode::CONFLICT, "unconfirmed"));
    }
}

#[tokio::test]
async fn m4_what_check_would_refuse_is_refused_with_all_its_problems() {
    let server = Server::new().await;
    let wanted = json!({ "mode": "jit", "unknown_team": "make", "time_budget": "soon" });
    let reply = preview(&server, &wanted).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (422, "unsound"));
    let problems = reply.json()["problems"].clone();
    let told: Vec<&str> =
        problems.as_array().unwrap().iter().map(|one| one["message"].as_str().unwrap()).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.iter().any(|one| one.contains("`provisioning.default_role` is missing")), "{told:?}");
    assert!(told.iter().any(|one| one.contains("`provisioning.unknown_team` cannot be")), "{told:?}");
}

#[tokio::test]
async fn m2_jit_is_enabled_only_once_an_identity_provider_was_read() {
    let server = Server::with(|config| config.replace("mode = \"jit\"", "mode = \"off\"")).await;
    server.ready.store(false, std::sync::atomic::Ordering::SeqCst);
    let reply = preview(&server, &jit("user")).await;
    assert_eq!((reply.status, reply.code().as_str()), (StatusCode::CONFLICT, "conflict"));
    assert!(reply.text.contains("has been read yet"), "{reply:?}");
    // Only enabling it asks: a server that has it on already goes on (see the other tests), and off is always allowed.
    assert_eq!(preview(&server, &json!({ "mode": "off" })).await.status, StatusCode::OK);
    server.ready.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(changed(&server, &jit("user")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn m4_with_the_file_as_source_the_api_is_read_only() {
    let server = Server::with(|config| format!("{config}\n[settings]\nsource = \"file\"\n")).await;
    let reply = preview(&server, &jit("user")).await;
    assert_eq!((reply.status, reply.code().as_str()), (StatusCode::CONFLICT, "conflict"));
    let reply = put(&server, "\"0\"", &jit("user"), "x").await;
    assert!(reply.text.contains("settings.source is \\\"file\\\""), "{reply:?}");
    assert_eq!(server.get("/settings").await.json()["source"], "file");
}

#[tokio::test]
async fn m4_what_another_replica_put_is_picked_up_and_what_does_not_fit_is_not() {
    let server = Server::new().await;
    let stored = |version: i64, section: &str| StoredSettings {
        version,
        section: section.to_owned(),
        changed_by: "elsewhere".to_owned(),
        changed_at: UnixTime(1_800_000_000),
    };
    assert!(!server.live.refresh().await.unwrap());
    assert!(server.store.put_settings(&stored(1, &jit("restricted").to_string())).await.unwrap());
    assert!(server.live.refresh().await.unwrap());
    let now = server.live.now();
    assert_eq!((now.version.0, now.settings.default_role.as_deref()), (1, Some("restricted")));
    for (version, unfit) in [(2, "{\"mode\":\"jit\"}"), (3, "not json")] {
        assert!(server.store.put_settings(&stored(version, unfit)).await.unwrap());
        assert!(!server.live.refresh().await.unwrap());
        assert_eq!(server.live.now().version.0, 1, "those from before go on");
        let again = server.opened_again().await.err().unwrap();
        assert!(matches!(again, LiveError::Unsound { .. } | LiveError::Unreadable { .. }), "{again}");
    }
}

#[tokio::test]
async fn s5_an_operator_sees_settings_and_changes_none() {
    let server = Server::new().await;
    let operator = ConsoleRole::Operator;
    assert_eq!(server.call(operator, "GET", "/settings", None).await.status, StatusCode::OK);
    let body = json!({ "provisioning": jit("user") });
    assert_eq!(server.call(operator, "POST", "/settings/preview", Some(body)).await.code(), "not_permitted");
}

#[tokio::test]
async fn l5_sessions_go_on_unless_the_administrator_ends_them() {
    let server = Server::new().await;
    super::lists::with_member(&server, 1).await;
    assert_eq!(changed(&server, &jit("restricted")).await.status, StatusCode::OK);
    let count = async || server.get("/sessions").await.json()["items"].as_array().unwrap().len();
    assert_eq!(count().await, 2);
    let preview = preview(&server, &jit("user")).await.json();
    let body = json!({
        "provisioning": jit("user"), "confirmation": preview["confirmation"], "end_sessions": true,
    });
    let reply = server.call_with(ANNA, "PUT", "/settings", Some(body), &[("if-match", "\"1\"")]).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert_eq!(count().await, 0);
}
