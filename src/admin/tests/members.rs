//! E4, E6 and reconciliation through the API.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::Server;
use super::lists::with_member;
use super::server::Reply;
use crate::model::case::{Case, CaseFacts, CaseId, CaseKind, CaseStanding};
use crate::model::letter::{Channel, Letter};
use crate::model::{AccountId, ConsoleRole, ErrorId, IdpId, MemberId, Subject};
use crate::observe::audit::{Entry, Event, verify};
use crate::provision::tests::fake::{Fake, account};
use crate::store::OpenedCase;

const ANNA: ConsoleRole = ConsoleRole::Administrator;
const OLAF: ConsoleRole = ConsoleRole::Operator;

/// Member 1 has the account a1 in the application; member 2's is gone; nobody has old's.
async fn server_with(edit: impl FnOnce(&str) -> String) -> Server {
    let application = Fake::new();
    application.has(account("a1", "user1", "user1@example.com"));
    application.has(account("7", "old", "old@example.com"));
    let server = Server::before(edit, Some(Arc::new(application))).await;
    with_member(&server, 1).await;
    with_member(&server, 2).await;
    server
}

async fn server() -> Server {
    server_with(str::to_owned).await
}

fn path(number: u8) -> String {
    format!("/members/{}", uuid::Uuid::from_bytes([number; 16]))
}

async fn change(server: &Server, by: ConsoleRole, version: &str, body: Value) -> Reply {
    server.call_with(by, "PATCH", &path(1), Some(body), &[("if-match", version)]).await
}

#[tokio::test]
async fn e4_a_members_role_and_teams_are_changed_from_the_version_that_was_seen() {
    let server = server().await;
    let seen = server.get(&path(1)).await;
    assert_eq!(seen.headers["etag"], "\"0\"");
    let wanted = json!({ "role": "reader", "add_teams": { "public": null } });
    let without = server.call(OLAF, "PATCH", &path(1), Some(wanted.clone())).await;
    assert_eq!(
        (without.status, without.code().as_str()),
        (StatusCode::PRECONDITION_REQUIRED, "version_needed")
    );
    assert_eq!(change(&server, OLAF, "\"7\"", wanted.clone()).await.code(), "version_changed");
    let changed = change(&server, OLAF, "\"0\"", wanted.clone()).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    let version = changed.headers["etag"].to_str().unwrap().to_owned();
    assert_ne!(version, "\"0\"");
    assert_eq!(change(&server, OLAF, "\"0\"", wanted).await.code(), "version_changed", "the later loses");
    server.audit.flush().await.unwrap();
    let logged = server.get("/audit?event=member_changed").await.json();
    let entry = &logged["items"][0];
    assert!(entry["actor"].to_string().contains("olaf"), "{logged}");
    let text = entry.to_string();
    assert!(text.contains("\"source\":\"console\"") && text.contains("\"reader\""), "{text}");

    assert_eq!(change(&server, OLAF, &version, json!({ "role": "admin" })).await.code(), "beyond_grant");
    assert_eq!(change(&server, ANNA, &version, json!({ "role": "king" })).await.code(), "bad_request");
    for nothing in [json!({}), json!({ "end_sessions": true }), json!({ "groups": ["x"] })] {
        assert_eq!(change(&server, ANNA, &version, nothing).await.code(), "bad_request");
    }
    let unchanged = async |number: u8| {
        let body = Some(json!({ "role": "reader" }));
        server.call_with(ANNA, "PATCH", &path(number), body, &[("if-match", "\"0\"")]).await
    };
    assert_eq!(unchanged(2).await.code(), "conflict", "no account");
    assert_eq!(unchanged(9).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn l3_what_sync_decides_is_a_conflict_that_says_why() {
    let server =
        server_with(|config| config.replace("mode = \"jit\"", "mode = \"jit\"\nsync = [\"role\"]")).await;
    let refused = change(&server, ANNA, "\"0\"", json!({ "role": "reader" })).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::CONFLICT, "conflict"));
    assert!(refused.text.contains("L3") && refused.text.contains("provisioning.sync"), "{refused:?}");
    let teams = change(&server, ANNA, "\"0\"", json!({ "add_teams": { "public": null } })).await;
    assert_eq!(teams.status, StatusCode::OK, "{teams:?}");
}

/// Everything that the log says, as it is exported.
async fn said(server: &Server) -> String {
    server.audit.flush().await.unwrap();
    let records = server.store.read_audit(None, 999).await.unwrap();
    let parts = records.iter().flat_map(|one| [&one.actor, &one.about]).flatten();
    let parts: Vec<String> =
        parts.filter_map(|part| part.said.as_ref()).map(|said| said.text.clone()).collect();
    let bodies: Vec<String> = records.iter().map(|one| one.body.clone()).collect();
    (parts.join("\n") + &bodies.join("\n")).to_ascii_lowercase()
}

#[tokio::test]
async fn e6_of_an_erased_member_nothing_is_left_and_the_log_is_intact() {
    let server = server().await;
    let id = MemberId(uuid::Uuid::from_bytes([1; 16]));
    let (idp, subject): (IdpId, _) = ("corp".parse().unwrap(), Subject::parse("s1").unwrap());
    let work = crate::model::EmailAddress::parse("King@work.example").unwrap();
    server.store.note_email(&idp, &subject, &work).await.unwrap();
    server.audit.record(Entry::new(Event::Login).by_person(&idp, &subject).member(id));
    let refused = Entry::new(Event::ProvisioningRefused).by_person(&idp, &subject);
    server.audit.record(refused.personal("reason", "of user1@example.com"));
    let invited = json!({ "email": "King@work.example" });
    assert_eq!(server.call(OLAF, "POST", "/invites", Some(invited)).await.status, StatusCode::CREATED);
    let other = json!({ "email": "other@example.com" });
    assert_eq!(server.call(OLAF, "POST", "/invites", Some(other)).await.status, StatusCode::CREATED);
    let letter = |number: u8, recipient: &str, body: &str| Letter {
        id: uuid::Uuid::from_bytes([number; 16]),
        channel: Channel::Email,
        recipient: recipient.to_owned(),
        subject: "an account was made".to_owned(),
        body: body.to_owned(),
        written_at: crate::model::UnixTime(0),
    };
    let letters = [
        letter(1, "user1@example.com", "you are invited"),
        letter(2, "root@example.com", "identity provider: corp\nsubject: s1\n"),
        letter(3, "root@example.com", "identity provider: corp\nsubject: s11\n"),
    ];
    server.store.put_letters(&letters).await.unwrap();
    server.store.tell_login(&ErrorId::from_random([1; 8]), &idp, &subject, "{}").await.unwrap();
    let case = |number: u8, of: &str, about: Option<MemberId>| Case {
        id: CaseId(uuid::Uuid::from_bytes([number; 16])),
        idp: idp.clone(),
        subject: Subject::parse(of).unwrap(),
        account: AccountId(format!("about {number}")),
        facts: CaseFacts {
            kind: CaseKind::ExistingAccount,
            email: Some("user1@example.com".to_owned()),
            username: "user1".to_owned(),
            account_email: None,
            privileged: false,
            member: about,
        },
        standing: CaseStanding::Waiting,
        decided: None,
        opened_at: crate::model::UnixTime(0),
        asked_at: crate::model::UnixTime(0),
        expires_at: None,
        led_to: None,
        revision: 1,
    };
    for case in [case(1, "s1", None), case(2, "s9", Some(id)), case(3, "s9", None)] {
        assert!(matches!(server.store.open_case(&case, 9).await.unwrap(), OpenedCase::Opened(_)));
    }
    let before = said(&server).await;
    for word in ["user1@example.com", "king@work.example", "\"s1\""] {
        assert!(before.contains(word), "{word}: {before}");
    }

    let erased = server.call(OLAF, "DELETE", &path(1), None).await;
    assert_eq!(erased.status, StatusCode::OK, "{erased:?}");
    let erased = erased.json();
    assert_eq!(
        (&erased["sessions"], &erased["invites"], &erased["letters"], &erased["explanations"]),
        (&json!(2), &json!(1), &json!(2), &json!(1)),
        "{erased}"
    );
    assert_eq!((&erased["account_left"], &erased["cases"]), (&json!("a1"), &json!(2)));
    assert_eq!(server.store.list_cases(None, None, 9).await.unwrap().len(), 1);
    let after = said(&server).await;
    for word in ["user1", "king@work.example", "\"s1\""] {
        assert!(!after.contains(word), "{word}: {after}");
    }
    assert!(after.contains("other@example.com") && after.contains("olaf"), "others' words stay: {after}");
    let report = verify::verify(&*server.store, &[]).await.unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(server.get(&path(1)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.get("/sessions?idp=corp&subject=s1").await.json()["items"], json!([]));
    let listed = server.get("/invites").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(server.get(&path(2)).await.status, StatusCode::OK, "others stay");
    assert_eq!(server.call(OLAF, "DELETE", &path(1), None).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn e6_who_is_blocked_is_not_erased() {
    let server = server().await;
    let block = server.call(OLAF, "POST", &format!("{}/block", path(1)), None).await;
    assert_eq!(block.status, StatusCode::OK);
    let refused = server.call(ANNA, "DELETE", &path(1), None).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::CONFLICT, "conflict"));
    assert!(refused.text.contains("unblock"), "{refused:?}");
    assert_eq!(server.get(&path(1)).await.json()["status"], "blocked");
    server.call(OLAF, "POST", &format!("{}/unblock", path(1)), None).await;
    assert_eq!(server.call(ANNA, "DELETE", &path(1), None).await.status, StatusCode::OK);
}

#[tokio::test]
async fn members_are_reconciled_page_by_page() {
    let server = server().await;
    let look = async |body: Value| {
        let reply = server.call(OLAF, "POST", "/reconciliation", Some(body)).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        reply.json()
    };
    let first = look(json!({ "limit": 1 })).await;
    assert_eq!(first["items"], json!([]));
    let last = look(json!({ "limit": 1, "after": first["next"] })).await;
    let kinds: Vec<(&str, &str)> = last["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["kind"].as_str().unwrap(), one["username"].as_str().unwrap()))
        .collect();
    assert_eq!(kinds, [("vanished", "user2"), ("unclaimed", "old")], "{last}");
    assert!(last.get("next").is_none());
    let repaired = look(json!({ "repair": true })).await;
    assert_eq!(repaired["items"][0]["outcome"], "repaired");
    assert_eq!(look(json!({})).await["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        server.call(OLAF, "POST", "/reconciliation", Some(json!({ "limit": 0 }))).await.code(),
        "bad_request"
    );
}
