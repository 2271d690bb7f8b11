//! E6: what erasing a member does first, what it leaves, and how it is finished where it was interrupted.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::Server;
use super::lists::with_member;
use super::server::Reply;
use crate::model::case::{Case, CaseFacts, CaseId, CaseKind, CaseStanding};
use crate::model::{
    AccountId, ConsoleHash, ConsolePerson, ConsoleRole, ConsoleSession, ErrorId, IdpId, Item, Leaving, Loan,
    Loans, Member, MemberId, Subject, Task, UnixTime,
};
use crate::platform::Platform;
use crate::provision::tests::fake::{Fake, account, unreachable};
use crate::store::{JobOutcome, Update};

const OLAF: ConsoleRole = ConsoleRole::Operator;

fn now() -> UnixTime {
    Platform::system().clock.now()
}

fn id() -> MemberId {
    MemberId(uuid::Uuid::from_bytes([1; 16]))
}

fn corp() -> IdpId {
    "corp".parse().unwrap()
}

fn subject(name: &str) -> Subject {
    Subject::parse(name).unwrap()
}

/// Member 1 has the account a1, which holds this role in the application.
async fn server(role: &str) -> (Server, Arc<Fake>) {
    let application = Arc::new(Fake::new());
    let mut held = account("a1", "user1", "user1@example.com");
    held.entitlements.role = Some(role.to_owned());
    application.has(held);
    let server = Server::before(str::to_owned, Some(application.clone())).await;
    with_member(&server, 1).await;
    (server, application)
}

async fn amended(server: &Server, change: impl FnOnce(Member) -> Member) {
    let member = server.store.find_member_by_id(id()).await.unwrap().unwrap();
    server.store.update_member(&change(member), Update::default()).await.unwrap();
}

/// A session borrowed the role of a reader.
fn borrowing(member: Member) -> Member {
    let loan = Loan { before: Some("user".to_owned()), put: [Some("reader".to_owned())].into() };
    Member { borrowed: Loans([(Item::Role, loan)].into()), ..member }
}

async fn erase(server: &Server) -> Reply {
    server.call(OLAF, "DELETE", &format!("/members/{}", id()), None).await
}

fn case(number: u8, of: &str, account: &str) -> Case {
    Case {
        id: CaseId(uuid::Uuid::from_bytes([number; 16])),
        idp: corp(),
        subject: subject(of),
        account: AccountId(account.to_owned()),
        facts: CaseFacts {
            kind: CaseKind::RecycledAddress,
            email: Some("user1@example.com".to_owned()),
            username: "user1".to_owned(),
            account_email: Some("user1@example.com".to_owned()),
            privileged: false,
            member: Some(id()),
        },
        standing: CaseStanding::Waiting,
        decided: None,
        opened_at: now(),
        asked_at: now(),
        expires_at: None,
        led_to: None,
        revision: 1,
    }
}

#[tokio::test]
async fn l2_what_sessions_borrowed_is_given_back_before_their_member_is_erased() {
    let (server, application) = server("reader").await;
    amended(&server, borrowing).await;
    let erased = erase(&server).await;
    assert_eq!(erased.status, StatusCode::OK, "{erased:?}");
    assert_eq!(erased.json()["sessions"], 2);
    assert_eq!(application.account("user1").entitlements.role.as_deref(), Some("user"));
    assert_eq!(server.store.find_member_by_id(id()).await.unwrap(), None);
}

#[tokio::test]
async fn e4_an_account_that_is_to_be_deactivated_is_before_its_member_is_erased() {
    let (server, application) = server("user").await;
    amended(&server, |member| Member { leaving: Some(Leaving::Deactivate), ..member }).await;
    assert_eq!(erase(&server).await.status, StatusCode::OK);
    assert!(!application.account("user1").active);
}

#[tokio::test]
async fn e6_what_cannot_be_done_in_the_application_keeps_the_member_and_is_told_of() {
    let (server, application) = server("reader").await;
    amended(&server, borrowing).await;
    for _ in 0..3 {
        application.next("entitle", unreachable(false));
    }
    let refused = erase(&server).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::CONFLICT, "conflict"), "{refused:?}");
    assert!(refused.text.contains("borrowed") && refused.text.contains("again"), "{refused:?}");
    assert!(server.store.find_member_by_id(id()).await.unwrap().is_some());
    assert_eq!(application.account("user1").entitlements.role.as_deref(), Some("reader"));
    assert_eq!(erase(&server).await.status, StatusCode::OK);
    assert_eq!(application.account("user1").entitlements.role.as_deref(), Some("user"));
}

#[tokio::test]
async fn f8_erasing_a_person_lifts_no_denial_that_keeps_another_off_the_account() {
    let (server, _) = server("user").await;
    let denials = [case(21, "mallory", "a1"), case(22, "s1", "a7"), case(23, "eve", "a1")];
    for one in &denials {
        server.store.open_case(one, 9).await.unwrap();
    }
    for one in &denials[..2] {
        let denied = Case { standing: CaseStanding::Denied, revision: 2, ..one.clone() };
        assert!(server.store.change_case(&denied).await.unwrap());
    }
    let erased = erase(&server).await;
    assert_eq!(erased.json()["cases"], 3, "{erased:?}");
    for one in &denials[..2] {
        let left = server.store.find_case_of(&one.idp, &one.subject, &one.account).await.unwrap().unwrap();
        assert_eq!(left.standing, CaseStanding::Denied);
        let shown = server.get(&format!("/cases/{}", left.id)).await;
        assert_eq!(shown.json()["state"], "denied");
        assert!(!shown.text.contains("user1") && !shown.text.contains(&id().to_string()), "{shown:?}");
    }
    assert_eq!(server.store.find_case(denials[2].id).await.unwrap(), None);
}

#[tokio::test]
async fn e6_what_only_the_members_record_leads_to_is_gone_before_the_record() {
    let (server, _) = server("user").await;
    let store = &server.store;
    assert!(store.link_identity(id(), &IdpId::scim(), &subject("u1")).await.unwrap());
    // Refused by the store itself, as if it had failed.
    let push = Task::Push { user: "u1".to_owned() };
    store.put_job(&push, UnixTime(0)).await.unwrap();
    store.tell_login(&ErrorId::from_random([1; 8]), &corp(), &subject("s1"), "{}").await.unwrap();
    store.open_case(&case(1, "mallory", "a1"), 9).await.unwrap();
    let person = ConsolePerson {
        idp: corp(),
        subject: subject("s1"),
        label: "user1".to_owned(),
        email: None,
        role: OLAF,
        rule: "operator of corp when true".to_owned(),
        signed_in_at: now(),
    };
    let hash = ConsoleHash([1; 32]);
    let session = ConsoleSession {
        hash,
        person,
        last_seen_at: now(),
        expires_at: now().after(Duration::from_hours(1)),
    };
    store.begin_console_session(&session, 20).await.unwrap();

    let refused = erase(&server).await;
    assert_eq!(refused.code(), "conflict");
    assert!(refused.text.contains("SCIM"), "{refused:?}");
    assert!(store.find_member_by_id(id()).await.unwrap().is_some());
    assert_eq!(store.find_console_person(&corp(), &subject("s1")).await.unwrap(), None);
    assert_eq!(store.end_console_session(&hash).await.unwrap(), None, "nor is anybody in by it");
    assert_eq!(store.forget_person(&corp(), &subject("s1")).await.unwrap(), 0);
    assert!(store.list_cases(None, None, 9).await.unwrap().is_empty());

    let claimed = store.claim_job(1, now(), now().after(Duration::from_mins(1))).await.unwrap().unwrap();
    assert_eq!(claimed.job.task, push);
    store.conclude_job(&claimed, &JobOutcome::Done).await.unwrap();
    assert_eq!(erase(&server).await.status, StatusCode::OK);
    assert_eq!(store.find_member_by_id(id()).await.unwrap(), None);
}
