//! F7, F8: cases through the API.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::Server;
use super::server::Reply;
use crate::model::case::CASE_LIFETIME;
use crate::model::{
    AccountId, Case, CaseFacts, CaseId, CaseKind, CaseStanding, ConsoleRole, IdpId, JobState, Member,
    MemberId, Subject, Task, UnixTime,
};
use crate::platform::Platform;

const ANNA: ConsoleRole = ConsoleRole::Administrator;
const OLAF: ConsoleRole = ConsoleRole::Operator;

fn now() -> UnixTime {
    Platform::system().clock.now()
}

fn case(number: u8) -> Case {
    Case {
        id: CaseId(uuid::Uuid::from_bytes([number; 16])),
        idp: "corp".parse().unwrap(),
        subject: Subject::parse(&format!("sub-{number}")).unwrap(),
        account: AccountId("7".to_owned()),
        facts: CaseFacts {
            kind: CaseKind::RecycledAddress,
            email: Some("lena@example.com".to_owned()),
            username: "lena".to_owned(),
            account_email: Some("lena@example.com".to_owned()),
            privileged: false,
            member: Some(MemberId(uuid::Uuid::from_bytes([9; 16]))),
        },
        standing: CaseStanding::Waiting,
        decided: None,
        opened_at: now(),
        asked_at: now(),
        expires_at: Some(now().after(CASE_LIFETIME)),
        led_to: None,
        revision: 1,
    }
}

async fn server(cases: &[Case]) -> Server {
    let server = Server::new().await;
    for case in cases {
        server.store.open_case(case, 8).await.unwrap();
    }
    server
}

fn path(case: &Case) -> String {
    format!("/cases/{}", case.id)
}

async fn decide(server: &Server, by: ConsoleRole, case: &Case, version: &str, decision: &str) -> Reply {
    let body = Some(json!({ "decision": decision }));
    server.call_with(by, "PUT", &format!("{}/decision", path(case)), body, &[("if-match", version)]).await
}

#[tokio::test]
async fn f7_what_waits_is_listed_page_by_page_and_by_standing() {
    let all = [case(1), case(2), case(3)];
    let server = server(&all).await;
    assert_eq!(decide(&server, OLAF, &all[1], "\"1\"", "deny").await.status, StatusCode::OK);
    let ids = |reply: &Value| {
        reply["items"].as_array().unwrap().iter().map(|item| item["subject"].clone()).collect::<Vec<_>>()
    };
    let page = server.call(ConsoleRole::Viewer, "GET", "/cases?limit=2", None).await.json();
    assert_eq!(ids(&page), [json!("sub-3"), json!("sub-2")]);
    let next = format!("/cases?limit=2&after={}", page["next"].as_str().unwrap());
    assert_eq!(ids(&server.get(&next).await.json()), [json!("sub-1")]);
    let waiting = server.get("/cases?standing=waiting").await.json();
    assert_eq!(ids(&waiting), [json!("sub-3"), json!("sub-1")]);
    assert_eq!(ids(&server.get("/cases?standing=denied").await.json()), [json!("sub-2")]);
    assert_eq!(server.get("/cases?standing=sleeping").await.code(), "bad_request");
    let shown = server.get(&path(&all[0])).await;
    assert_eq!(shown.headers["etag"], "\"1\"");
    let shown = shown.json();
    assert_eq!((&shown["state"], &shown["kind"]), (&json!("waiting"), &json!("recycled_address")));
    assert_eq!(server.get("/cases/x").await.code(), "no_such_thing");
}

#[tokio::test]
async fn f7_a_decision_is_made_once_by_version_and_may_be_reversed_until_it_is_used() {
    let case = case(1);
    let server = server(std::slice::from_ref(&case)).await;
    let unversioned = server
        .call(OLAF, "PUT", &format!("{}/decision", path(&case)), Some(json!({ "decision": "link" })))
        .await;
    assert_eq!(unversioned.code(), "version_needed");
    let denied = decide(&server, OLAF, &case, "\"1\"", "deny").await;
    assert_eq!(denied.headers["etag"], "\"2\"");
    let denied = denied.json();
    assert_eq!((&denied["state"], &denied["decided_by"]), (&json!("denied"), &json!("olaf")));
    assert_eq!(denied.get("expires_at"), None, "it stays");
    assert_eq!(decide(&server, ANNA, &case, "\"1\"", "link").await.code(), "version_changed");
    let linked = decide(&server, ANNA, &case, "\"2\"", "link").await.json();
    assert_eq!((&linked["state"], &linked["decided_by"]), (&json!("linked"), &json!("anna")));
    assert_eq!(decide(&server, ANNA, &case, "\"3\"", "adopt").await.code(), "bad_request");
    let found = server.store.find_case(case.id).await.unwrap().unwrap();
    let used = Case {
        standing: CaseStanding::Used,
        led_to: case.facts.member,
        revision: found.revision + 1,
        ..found
    };
    assert!(server.store.change_case(&used).await.unwrap());
    let late = decide(&server, ANNA, &case, "\"4\"", "deny").await;
    assert_eq!((late.status, late.code().as_str()), (StatusCode::CONFLICT, "conflict"));
}

#[tokio::test]
async fn f7_a_case_is_not_denied_whose_person_has_the_account_already() {
    let server = server(&[]).await;
    for (number, has, expected) in [(1, Some("7"), "conflict"), (2, None, "denied"), (3, Some("8"), "denied")]
    {
        let waiting = case(number);
        server.store.open_case(&waiting, 8).await.unwrap();
        // A sign-in consumed it, and did not come to note whom it led to.
        let claimed = Case { standing: CaseStanding::Used, revision: 2, ..waiting.clone() };
        assert!(server.store.change_case(&claimed).await.unwrap());
        if let Some(account) = has {
            let member = Member {
                identities: vec![(waiting.idp.clone(), waiting.subject.clone())],
                account: Some(AccountId(account.to_owned())),
                ..Member::for_tests(number, now())
            };
            let until = now().after(Duration::from_secs(30));
            server.store.begin_creation(&waiting.idp, &waiting.subject, 1, now(), until).await.unwrap();
            server.store.finish_creation(&member, 1, None).await.unwrap().unwrap();
        }
        assert_eq!(server.get(&path(&waiting)).await.json()["state"], "claimed");
        let denied = decide(&server, ANNA, &waiting, "\"2\"", "deny").await;
        if expected == "conflict" {
            assert_eq!(denied.code(), "conflict", "{denied:?}");
            assert_eq!(server.get(&path(&waiting)).await.json()["state"], "claimed");
        } else {
            assert_eq!(denied.json()["state"], expected, "{denied:?}");
        }
    }
}

#[tokio::test]
async fn f7_a_case_that_has_ended_is_not_decided_on() {
    let ended = Case { expires_at: Some(now().before(Duration::from_secs(1))), ..case(1) };
    let server = server(std::slice::from_ref(&ended)).await;
    assert_eq!(server.get(&path(&ended)).await.json()["state"], "expired");
    assert_eq!(decide(&server, ANNA, &ended, "\"1\"", "link").await.code(), "conflict");
}

#[tokio::test]
async fn f7_only_an_administrator_links_a_privileged_account_and_an_operator_may_deny_it() {
    let waiting = case(1);
    let privileged =
        Case { facts: CaseFacts { privileged: true, ..waiting.facts.clone() }, ..waiting.clone() };
    let server = server(std::slice::from_ref(&privileged)).await;
    let refused = decide(&server, OLAF, &privileged, "\"1\"", "link").await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::FORBIDDEN, "beyond_grant"));
    assert_eq!(decide(&server, OLAF, &privileged, "\"1\"", "deny").await.status, StatusCode::OK);
    assert_eq!(decide(&server, OLAF, &privileged, "\"2\"", "link").await.code(), "beyond_grant");
    assert_eq!(decide(&server, ANNA, &privileged, "\"2\"", "link").await.json()["state"], "linked");
}

#[tokio::test]
async fn f7_a_case_that_is_withdrawn_is_gone() {
    let case = case(1);
    let server = server(std::slice::from_ref(&case)).await;
    assert_eq!(server.call(OLAF, "DELETE", &path(&case), None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(server.get(&path(&case)).await.code(), "no_such_thing");
    assert_eq!(server.call(OLAF, "DELETE", &path(&case), None).await.code(), "no_such_thing");
}

#[tokio::test]
async fn e2_a_pushed_users_job_goes_on_once_its_case_is_decided() {
    let pushed = Case { idp: IdpId::scim(), ..case(1) };
    let server = server(std::slice::from_ref(&pushed)).await;
    let task = Task::Push { user: "sub-1".to_owned() };
    server.store.put_job(&task, now()).await.unwrap();
    let claimed =
        server.store.claim_job(1, now(), now().after(Duration::from_secs(9))).await.unwrap().unwrap();
    let parked = crate::store::JobOutcome::Parked { reason: "it waits".to_owned() };
    server.store.conclude_job(&claimed, &parked).await.unwrap();
    assert_eq!(server.store.list_jobs(9).await.unwrap()[0].state, JobState::Parked);
    decide(&server, OLAF, &pushed, "\"1\"", "link").await;
    assert_eq!(server.store.list_jobs(9).await.unwrap()[0].state, JobState::Waiting);
}

#[tokio::test]
async fn s3_a_decision_is_in_the_audit_log_with_who_made_it() {
    let case = case(1);
    let server = server(std::slice::from_ref(&case)).await;
    decide(&server, OLAF, &case, "\"1\"", "link").await;
    server.call(ANNA, "DELETE", &path(&case), None).await;
    server.audit.flush().await.unwrap();
    let told = server.get("/audit?event=case_decided").await.json();
    let items = told["items"].as_array().unwrap();
    let told: Vec<(&Value, bool)> = items
        .iter()
        .map(|item| {
            (&item["actor"]["said"]["name"], item["body"].to_string().contains("\"decision\":\"link\""))
        })
        .collect();
    assert_eq!(told, [(&json!("anna"), false), (&json!("olaf"), true)], "{items:?}");
}
