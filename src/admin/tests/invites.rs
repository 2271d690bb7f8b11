//! F6: invites through the API.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::Server;
use super::server::Reply;
use crate::model::ConsoleRole;
use crate::provision::tests::fake::{Fake, account};

const ANNA: ConsoleRole = ConsoleRole::Administrator;
const OLAF: ConsoleRole = ConsoleRole::Operator;

async fn server() -> Server {
    server_with(str::to_owned).await
}

async fn server_with(edit: impl FnOnce(&str) -> String) -> Server {
    let application = Fake::new();
    let mut held = account("7", "lena", "lena@example.com");
    held.entitlements.role = Some("reader".to_owned());
    held.entitlements.teams.insert("acme/developers".to_owned(), Some("maintainer".to_owned()));
    application.has(held);
    Server::before(edit, Some(Arc::new(application))).await
}

async fn invite(server: &Server, by: ConsoleRole, body: Value) -> Reply {
    server.call(by, "POST", "/invites", Some(body)).await
}

async fn put(server: &Server, id: &str, version: &str, body: Value) -> Reply {
    server.call_with(OLAF, "PUT", &format!("/invites/{id}"), Some(body), &[("if-match", version)]).await
}

#[tokio::test]
async fn f6_an_invite_is_made_seen_changed_and_taken_back() {
    let server = server().await;
    let wanted = json!({
        "email": "grace@example.com", "idp": "corp", "role": "reader", "teams": { "public": null },
        "expires_in": "3d",
    });
    let made = invite(&server, OLAF, wanted).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let made = made.json();
    assert_eq!((&made["state"], &made["invited_by"]), (&json!("open"), &json!("olaf")));
    assert_eq!(made["link"], "https://git.example.com/.narthex/login?idp=corp&email=grace%40example.com");
    let id = made["id"].as_str().unwrap();
    let path = format!("/invites/{id}");
    let seen = server.get(&path).await;
    assert_eq!(
        (seen.headers["etag"].to_str().unwrap(), seen.json()["role"].clone()),
        ("\"1\"", json!("reader"))
    );

    let other = json!({ "email": "grace@example.com", "teams": { "public": null } });
    assert_eq!(put(&server, id, "\"7\"", other.clone()).await.code(), "version_changed");
    let changed = put(&server, id, "\"1\"", other.clone()).await;
    assert_eq!(changed.headers["etag"], "\"2\"");
    assert_eq!(changed.json().get("role"), None);
    assert_eq!(changed.json()["expires_at"], made["expires_at"], "unless it is said");

    let revoked = server.call(OLAF, "DELETE", &path, None).await.json();
    assert_eq!(revoked["state"], "revoked");
    let late = put(&server, id, "\"3\"", other).await;
    assert_eq!((late.status, late.code().as_str()), (StatusCode::CONFLICT, "conflict"));
    let all = server.get("/invites").await.json();
    assert_eq!(all["items"].as_array().unwrap().len(), 1);
    assert_eq!(server.get("/invites/x").await.code(), "no_such_thing");
}

#[tokio::test]
async fn f6_an_invite_is_a_snapshot_of_what_an_account_holds() {
    let server = server().await;
    let made = invite(&server, OLAF, json!({ "email": "g@example.com", "clone_from": "lena" })).await.json();
    assert_eq!(made["role"], "reader");
    assert_eq!(made["teams"], json!({ "acme/developers": "maintainer" }));
    assert_eq!(made["cloned_from"], "lena");
    for wrong in [
        json!({ "email": "g@example.com", "clone_from": "nobody" }),
        json!({ "email": "g@example.com", "clone_from": "lena", "role": "reader" }),
    ] {
        assert_eq!(invite(&server, OLAF, wrong).await.code(), "bad_request");
    }
}

#[tokio::test]
async fn f6_nobody_invites_beyond_what_they_may_grant() {
    let server = server().await;
    let privileged = json!({ "email": "g@example.com", "role": "admin" });
    let refused = invite(&server, OLAF, privileged.clone()).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::FORBIDDEN, "beyond_grant"));
    assert_eq!(invite(&server, ANNA, privileged).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn f6_what_cannot_be_is_refused() {
    let server = server().await;
    for wrong in [
        json!({ "email": "no address", "role": "reader" }),
        json!({ "email": "a@evil.test@example.com", "role": "reader" }),
        json!({ "email": "g@example.com", "idp": "elsewhere" }),
        json!({ "email": "g@example.com", "role": "unheard-of" }),
        json!({ "email": "g@example.com", "teams": { "unheard/of": null } }),
        json!({ "email": "g@example.com", "expires_in": "1y" }),
        json!({ "email": "g@example.com", "expires_in": "soon" }),
        json!({ "email": "g@example.com", "owner": true }),
    ] {
        let reply = invite(&server, ANNA, wrong.clone()).await;
        assert_eq!(reply.code(), "bad_request", "{wrong}: {reply:?}");
    }
}

#[tokio::test]
async fn f6_f1_holds_unless_external_ones_are_allowed_and_l3_for_synced_facets() {
    let only = |more: &'static str| {
        move |config: &str| {
            config.replace(
                "groups_claim",
                &format!("allowed_email_domains = [\"example.com\"]\n{more}\ngroups_claim"),
            )
        }
    };
    let outside = json!({ "email": "g@elsewhere.test" });
    let server = server_with(only("")).await;
    assert_eq!(invite(&server, ANNA, outside.clone()).await.code(), "bad_request");
    let server = server_with(only("invite = { allow_external = true }\nsync = [\"teams\"]")).await;
    assert_eq!(invite(&server, ANNA, outside).await.status, StatusCode::CREATED);
    let synced = json!({ "email": "g@example.com", "teams": { "public": null } });
    let reply = invite(&server, ANNA, synced).await;
    assert_eq!((reply.status, reply.code().as_str()), (StatusCode::CONFLICT, "conflict"));
    let free = json!({ "email": "g@example.com", "role": "reader" });
    assert_eq!(invite(&server, ANNA, free).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn f6_an_invite_is_sent_by_mail_where_there_is_a_mail_server_and_again_when_asked() {
    let without = server().await;
    let made = invite(&without, OLAF, json!({ "email": "g@example.com" })).await.json();
    assert_eq!(made["sends"], 0);
    let path = format!("/invites/{}/send", made["id"].as_str().unwrap());
    assert_eq!(without.call(OLAF, "POST", &path, None).await.code(), "conflict");

    let mail = "[notify]\nsmtp = { host = \"mail.example.com\", from = \"narthex@example.com\" }\n";
    let server = server_with(|config| format!("{config}{mail}")).await;
    let made = invite(&server, OLAF, json!({ "email": "g@example.com" })).await.json();
    assert_eq!(made["sends"], 1, "{made}");
    let path = format!("/invites/{}/send", made["id"].as_str().unwrap());
    let again = server.call(OLAF, "POST", &path, None).await.json();
    assert_eq!((&again["sends"], &again["revision"]), (&json!(2), &json!(3)));
}

/// An application that cannot list what it has.
async fn taciturn(edit: impl FnOnce(&str) -> String) -> Server {
    let mut application = Fake::new();
    application.lists_nothing();
    Server::before(edit, Some(Arc::new(application))).await
}

#[tokio::test]
async fn f6_what_the_application_cannot_list_counts_as_privileged_unless_the_configuration_names_it() {
    let rows = "[[provisioning.mapping]]\ngroup = \"a\"\nrole = \"writer\"\n\
         [[provisioning.mapping]]\ngroup = \"b\"\nrole = \"chief\"\nprivileged = true\n\
         [admin]";
    let server = taciturn(|config| config.replace("[admin]", rows).replace("\"gitea\"", "\"scim\"")).await;
    for ordinary in [
        json!({ "email": "g@example.com", "role": "user" }),
        json!({ "email": "g@example.com", "role": "writer" }),
    ] {
        let reply = invite(&server, OLAF, ordinary.clone()).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{ordinary}: {reply:?}");
    }
    for unheard_of in [
        json!({ "email": "g@example.com", "role": "root" }),
        json!({ "email": "g@example.com", "role": "chief" }),
        json!({ "email": "g@example.com", "teams": { "acme/b": null } }),
        json!({ "email": "g@example.com", "teams": { "acme/a": "root" } }),
        json!({ "email": "g@example.com", "permissions": ["root"] }),
        json!({ "email": "g@example.com", "app_groups": ["wheel"] }),
    ] {
        let refused = invite(&server, OLAF, unheard_of.clone()).await;
        assert_eq!(refused.code(), "beyond_grant", "{unheard_of}: {refused:?}");
        assert_eq!(invite(&server, ANNA, unheard_of).await.status, StatusCode::CREATED);
    }
}

#[tokio::test]
async fn f6_all_who_had_a_hand_in_an_invite_are_kept_with_it() {
    let server = server().await;
    let wanted = json!({ "email": "g@example.com", "role": "reader" });
    let made = invite(&server, ANNA, wanted.clone()).await.json();
    let id = made["id"].as_str().unwrap();
    assert_eq!(made["changed_by"], json!([]));
    assert_eq!(put(&server, id, "\"1\"", wanted.clone()).await.json()["changed_by"], json!(["olaf"]));
    assert_eq!(put(&server, id, "\"2\"", wanted).await.json()["changed_by"], json!(["olaf"]));
}
