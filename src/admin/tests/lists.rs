//! Members and sessions through the API.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::Server;
use crate::model::session::{SessionAccount, SessionContent};
use crate::model::{
    AccountId, AccountProfile, Claims, ConsoleRole, Grant, Member, MemberId, SessionHash, SessionRecord,
    Subject,
};
use crate::platform::Platform;

fn member_id(number: u8) -> MemberId {
    MemberId(uuid::Uuid::from_bytes([number; 16]))
}

pub async fn with_member(server: &Server, number: u8) {
    let now = Platform::system().clock.now();
    let (idp, subject) = ("corp".parse().unwrap(), Subject::parse(&format!("s{number}")).unwrap());
    let username = format!("user{number}");
    let member = Member {
        id: member_id(number),
        identities: vec![(idp, subject)],
        account: Some(AccountId(format!("a{number}"))),
        username: username.clone(),
        email: Some(format!("{username}@example.com")),
        ..Member::for_tests(number, now)
    };
    let (idp, subject) = &member.identities[0];
    server.store.begin_creation(idp, subject, 1, now, now.after(Duration::from_mins(1))).await.unwrap();
    server.store.finish_creation(&member, 1, None).await.unwrap().unwrap();
    for session in 0..2 {
        let record = SessionRecord {
            hash: SessionHash([number * 16 + session; 32]),
            content: SessionContent {
                idp: idp.clone(),
                subject: subject.clone(),
                logout_name: String::new(),
                idp_session: None,
                account: Some(SessionAccount {
                    member: member.id,
                    id: AccountId(format!("a{number}")),
                    profile: AccountProfile {
                        username: username.clone(),
                        email: None,
                        display_name: None,
                        attributes: BTreeMap::new(),
                    },
                }),
                claims: Claims::default(),
                grant: Grant::default(),
                logout_hint: None,
            },
            created_at: now,
            last_seen_at: now,
            expires_at: now.after(Duration::from_hours(1)),
        };
        server.store.insert_session(&record, 20).await.unwrap();
    }
}

async fn three() -> Server {
    let server = Server::new().await;
    for number in 1..=3 {
        with_member(&server, number).await;
    }
    server
}

fn names(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["username"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn members_come_in_pages_to_the_end() {
    let server = three().await;
    let first = server.get("/members?limit=2").await.json();
    assert_eq!(names(&first), ["user1", "user2"]);
    let next = first["next"].as_str().unwrap();
    let second = server.get(&format!("/members?limit=2&after={next}")).await.json();
    assert_eq!((names(&second), second.get("next")), (vec!["user3"], None));
    // A page that is just full is the last one.
    assert_eq!(server.get("/members?limit=3").await.json().get("next"), None);
}

#[tokio::test]
async fn members_are_searched_by_address_username_account_and_identity() {
    let server = three().await;
    for query in ["search=USER2", "search=user2%40exam", "account=a2", "idp=corp&subject=s2"] {
        let page = server.get(&format!("/members?{query}")).await.json();
        assert_eq!(names(&page), ["user2"], "{query}");
    }
    for query in ["search=nobody", "account=A2", "idp=other&subject=s2"] {
        assert_eq!(names(&server.get(&format!("/members?{query}")).await.json()), Vec::<&str>::new());
    }
    let member = server.get(&format!("/members/{}", member_id(2))).await.json();
    assert_eq!(member["identities"], json!([{ "idp": "corp", "subject": "s2" }]));
    for none in [member_id(9).to_string(), "x".to_owned()] {
        let reply = server.get(&format!("/members/{none}")).await;
        assert_eq!((reply.status, reply.code().as_str()), (StatusCode::NOT_FOUND, "no_such_thing"));
    }
}

#[tokio::test]
async fn a_query_that_is_not_understood_is_refused() {
    let server = three().await;
    for query in [
        "limit=0",
        "limit=201",
        "limit=x",
        "after=%25",
        "after=eA",
        "limit=1&limit=2",
        "serach=x",
        "idp=corp",
        "subject=s1",
        "idp=CORP&subject=x",
        "search=a&account=b",
    ] {
        let reply = server.get(&format!("/members?{query}")).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (StatusCode::BAD_REQUEST, "bad_request"),
            "{query}"
        );
    }
    assert_eq!(server.get("/sessions?after=eA").await.code(), "bad_request");
    assert_eq!(server.get("/me?x=1").await.code(), "bad_request");
}

#[tokio::test]
async fn sessions_are_listed_and_one_ends() {
    let server = three().await;
    let all = server.get("/sessions").await.json();
    assert_eq!(names(&all), ["user3", "user3", "user2", "user2", "user1", "user1"]);
    let member = member_id(2);
    let theirs = server.get(&format!("/sessions?member={member}")).await.json();
    assert_eq!(names(&theirs), ["user2", "user2"]);
    assert_eq!(names(&server.get("/sessions?idp=corp&subject=s1").await.json()), ["user1", "user1"]);
    let id = theirs["items"][0]["id"].as_str().unwrap();
    let operator = ConsoleRole::Operator;
    let reply = server.call(operator, "DELETE", &format!("/sessions/{id}"), None).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    let left = server.get(&format!("/sessions?member={member}")).await.json();
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
    for none in [id, "x", &"F".repeat(64)] {
        let reply = server.call(operator, "DELETE", &format!("/sessions/{none}"), None).await;
        assert_eq!(reply.code(), "no_such_thing", "{none}");
    }
}

#[tokio::test]
async fn e4_all_sessions_of_a_member_end_at_once() {
    let server = three().await;
    let path = format!("/members/{}/sessions", member_id(2));
    let reply = server.call(ConsoleRole::Operator, "DELETE", &path, None).await;
    assert_eq!(reply.json(), json!({ "sessions": 2 }));
    let left = server.get("/sessions").await.json();
    assert_eq!(names(&left), ["user3", "user3", "user1", "user1"]);
    let reply = server.call(ConsoleRole::Operator, "DELETE", "/members/x/sessions", None).await;
    assert_eq!(reply.code(), "no_such_thing");
}

#[tokio::test]
async fn settings_connector_and_status_are_shown_without_secrets() {
    let server = Server::new().await;
    let settings = server.get("/settings").await.json();
    assert_eq!(settings["provisioning"]["default_role"], "user");
    assert_eq!(settings["provisioning"]["unknown_role"], "default");
    let connector = server.get("/connector").await.json();
    assert_eq!(connector["name"], "gitea");
    let status = server.get("/status").await.json();
    assert_eq!((&status["ready"], &status["provisioning"]), (&json!(true), &json!("jit")));
    assert_eq!(status["identity_providers"][0]["id"], "corp");
    // Nothing listens there.
    let checked = server.call(ConsoleRole::Viewer, "POST", "/connector/check", None).await.json();
    assert_eq!(checked["reached"], false);
    assert!(checked["error"].as_str().unwrap().contains("could not be reached"), "{checked}");
}

#[tokio::test]
async fn x1_a_refusal_is_explained_by_its_error_id() {
    let server = Server::new().await;
    let id = Platform::system().entropy.error_id();
    let record = json!({
        "at": 1_800_000_000, "idp": "corp", "code": "nonce", "fault": "client", "message": "m", "steps": []
    });
    server.store.record_refusal(&id, &record.to_string()).await.unwrap();
    let found = server.get(&format!("/refusals/{id}")).await.json();
    assert_eq!((&found["code"], &found["at"]), (&json!("nonce"), &json!("2027-01-15T08:00:00Z")));
    assert_eq!(server.get("/refusals/zzz").await.code(), "no_such_thing");
    let (idp, subject) = ("corp".parse().unwrap(), Subject::parse("s1").unwrap());
    server.store.tell_login(&id, &idp, &subject, "{\"rehearsed\":false}").await.unwrap();
    let told = server.get(&format!("/logins/{id}")).await.json();
    assert_eq!(told["explanation"]["rehearsed"], false);
    assert_eq!(server.get("/logins/zzz").await.code(), "no_such_thing");
}

#[tokio::test]
async fn s3_what_administrators_do_is_in_the_audit_log() {
    let server = three().await;
    let member = member_id(2);
    server.call(ConsoleRole::Operator, "DELETE", &format!("/members/{member}/sessions"), None).await;
    server.call(ConsoleRole::Viewer, "DELETE", "/sessions", None).await;
    server.audit.flush().await.unwrap();
    let all = server.get("/audit").await.json();
    let events: Vec<&str> =
        all["items"].as_array().unwrap().iter().map(|entry| entry["event"].as_str().unwrap()).collect();
    assert!(events.contains(&"administrator_refused"), "{events:?}");
    let ended = server.get(&format!("/audit?event=sessions_ended&member={member}&limit=1")).await.json();
    let entry = &ended["items"][0];
    assert_eq!(entry["body"]["actor"]["kind"], "administrator");
    assert!(entry["actor"].to_string().contains("olaf"), "{entry}");
    for bad in ["event=nothing", "since=yesterday", "after=eA", "member=x"] {
        assert_eq!(server.get(&format!("/audit?{bad}")).await.code(), "bad_request", "{bad}");
    }
    let next = server.get("/audit?limit=1").await.json()["next"].as_str().unwrap().to_owned();
    assert_eq!(server.get(&format!("/audit?after={next}")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn e4_access_is_revoked_and_g6_a_member_is_blocked_and_unblocked() {
    let server = three().await;
    let path = |act: &str| format!("/members/{}/{act}", member_id(2));
    let operator = ConsoleRole::Operator;
    let revoked = server.call(operator, "POST", &path("revoke"), None).await;
    assert_eq!(revoked.status, StatusCode::OK, "{revoked:?}");
    let left = server.get("/sessions").await.json();
    assert_eq!(names(&left), ["user3", "user3", "user1", "user1"]);
    let status =
        async |act: &str| server.call(operator, "POST", &path(act), None).await.json()["status"].clone();
    assert_eq!(status("block").await, "blocked");
    assert_eq!(status("unblock").await, "active");
    let none = format!("/members/{}/block", member_id(9));
    assert_eq!(server.call(operator, "POST", &none, None).await.code(), "no_such_thing");
}
