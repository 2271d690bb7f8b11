//! What every store does with sign-ins that wait for an administrator.

use std::sync::Arc;
use std::time::Duration;

use super::{NOW, a_hundred_times};
use crate::model::case::{CASE_LIFETIME, Case, CaseFacts, CaseId, CaseKind, CaseStanding, Decided};
use crate::model::{AccountId, IdpId, MemberId, Subject, UnixTime};
use crate::store::{OpenedCase, Store, StoreError};

const MOST: usize = 8;

fn id(number: u8) -> CaseId {
    CaseId(uuid::Uuid::from_bytes([number; 16]))
}

fn member() -> MemberId {
    MemberId(uuid::Uuid::from_bytes([7; 16]))
}

fn corp() -> IdpId {
    "corp".parse().unwrap()
}

fn subject(name: &str) -> Subject {
    Subject::parse(name).unwrap()
}

fn case(number: u8, name: &str, account: &str) -> Case {
    Case {
        id: id(number),
        idp: corp(),
        subject: subject(name),
        account: AccountId(account.to_owned()),
        facts: CaseFacts {
            kind: CaseKind::RecycledAddress,
            email: Some("ada@example.com".to_owned()),
            username: "Ada \"L\"".to_owned(),
            account_email: Some("ADA@example.com".to_owned()),
            privileged: true,
            member: Some(member()),
        },
        standing: CaseStanding::Waiting,
        decided: None,
        opened_at: NOW,
        asked_at: NOW,
        expires_at: Some(NOW.after(CASE_LIFETIME)),
        led_to: None,
        revision: 1,
    }
}

fn decided(case: &Case, standing: CaseStanding) -> Case {
    Case {
        standing,
        decided: Some(Decided { by: "anna".to_owned(), at: NOW }),
        expires_at: (standing != CaseStanding::Denied).then_some(NOW.after(CASE_LIFETIME)),
        revision: case.revision + 1,
        ..case.clone()
    }
}

/// As if it were asked at another time.
fn asked_at(case: Case, at: UnixTime) -> Case {
    Case { opened_at: at, asked_at: at, expires_at: Some(at.after(CASE_LIFETIME)), ..case }
}

async fn open(store: &Arc<dyn Store>, case: &Case) -> OpenedCase {
    store.open_case(case, MOST).await.unwrap()
}

async fn find(store: &Arc<dyn Store>, number: u8) -> Option<Case> {
    store.find_case(id(number)).await.unwrap()
}

pub(super) async fn f7_a_case_is_found_and_listed_as_it_was_opened(store: &Arc<dyn Store>) {
    for number in [1, 3, 2] {
        let one = case(number, &format!("sub-{number}"), "7");
        assert_eq!(open(store, &one).await, OpenedCase::Opened(one));
    }
    let second = case(2, "sub-2", "7");
    assert_eq!(find(store, 2).await, Some(second.clone()));
    assert_eq!(find(store, 9).await, None);
    let of = async |name: &str, account: &str| {
        store.find_case_of(&corp(), &subject(name), &AccountId(account.to_owned())).await.unwrap()
    };
    assert_eq!(of("sub-2", "7").await, Some(second.clone()));
    assert_eq!((of("sub-2", "8").await, of("sub-9", "7").await), (None, None));
    let denied = decided(&second, CaseStanding::Denied);
    assert!(store.change_case(&denied).await.unwrap());
    assert_eq!(find(store, 2).await, Some(denied));
    let listed = async |standing, before, limit| {
        let all = store.list_cases(standing, before, limit).await.unwrap();
        all.iter().map(|case| case.id.0.as_bytes()[0]).collect::<Vec<u8>>()
    };
    assert_eq!(listed(None, None, 2).await, [3, 2]);
    assert_eq!(listed(None, Some(id(2)), 2).await, [1]);
    assert_eq!(listed(Some(CaseStanding::Waiting), None, 9).await, [3, 1]);
    assert_eq!(listed(Some(CaseStanding::Waiting), Some(id(3)), 9).await, [1]);
    assert_eq!(listed(Some(CaseStanding::Denied), None, 9).await, [2]);
    let again = store.open_case(&case(1, "another", "7"), MOST).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
}

pub(super) async fn f7_an_identity_has_one_case_about_one_account(store: &Arc<dyn Store>) {
    open(store, &case(1, "ada", "7")).await;
    let later = NOW.after(Duration::from_hours(1));
    let OpenedCase::Waiting(waits) = open(store, &asked_at(case(2, "ada", "7"), later)).await else {
        panic!()
    };
    assert_eq!((waits.id, waits.revision, waits.asked_at, waits.opened_at), (id(1), 1, later, NOW));
    assert_eq!(find(store, 1).await, Some(waits));
    assert_eq!(find(store, 2).await, None);
    assert!(matches!(open(store, &case(3, "ada", "8")).await, OpenedCase::Opened(_)));
    assert!(matches!(open(store, &case(4, "bob", "7")).await, OpenedCase::Opened(_)));
    let other = Case { idp: "other".parse().unwrap(), ..case(5, "ada", "7") };
    assert!(matches!(open(store, &other).await, OpenedCase::Opened(_)));
}

pub(super) async fn f7_of_a_hundred_who_ask_at_once_exactly_one_opens_the_case(store: &Arc<dyn Store>) {
    let asks = |store: Arc<dyn Store>, number: u64| async move {
        store.open_case(&case(u8::try_from(number).unwrap(), "ada", "7"), MOST).await
    };
    let answers = a_hundred_times(store, asks).await;
    let opened = answers.iter().filter(|answer| matches!(answer, OpenedCase::Opened(_))).count();
    let waiting = answers.iter().filter(|answer| matches!(answer, OpenedCase::Waiting(_))).count();
    assert_eq!((opened, waiting), (1, 99));
    assert_eq!(store.list_cases(None, None, 200).await.unwrap().len(), 1);
}

pub(super) async fn f7_an_identity_has_no_more_cases_than_it_may(store: &Arc<dyn Store>) {
    let asks = |store: Arc<dyn Store>, number: u64| async move {
        let one = case(u8::try_from(number).unwrap(), "ada", &format!("account {number}"));
        store.open_case(&one, MOST).await
    };
    let answers = a_hundred_times(store, asks).await;
    let opened = answers.iter().filter(|answer| matches!(answer, OpenedCase::Opened(_))).count();
    assert_eq!(opened, MOST);
    let all = store.list_cases(None, None, 200).await.unwrap();
    assert_eq!(all.len(), MOST);
    // Those that there are go on.
    let known = open(store, &Case { id: id(200), ..all[0].clone() }).await;
    assert!(matches!(known, OpenedCase::Waiting(_)), "{known:?}");
    assert!(matches!(open(store, &case(201, "bob", "7")).await, OpenedCase::Opened(_)));
}

pub(super) async fn f7_a_decision_starts_from_the_revision_that_was_seen(store: &Arc<dyn Store>) {
    let waiting = case(1, "ada", "7");
    open(store, &waiting).await;
    let linked = decided(&waiting, CaseStanding::Linked);
    assert!(store.change_case(&linked).await.unwrap());
    assert!(!store.change_case(&decided(&waiting, CaseStanding::Denied)).await.unwrap());
    assert_eq!(find(store, 1).await, Some(linked.clone()));
    let used = Case { led_to: Some(member()), ..decided(&linked, CaseStanding::Used) };
    assert!(store.change_case(&used).await.unwrap());
    assert_eq!(find(store, 1).await, Some(used.clone()));
    assert!(!store.change_case(&decided(&case(9, "x", "7"), CaseStanding::Denied)).await.unwrap());
    assert!(!store.drop_case(id(1), 1).await.unwrap());
    assert!(store.drop_case(id(1), used.revision).await.unwrap());
    assert!(!store.drop_case(id(1), used.revision).await.unwrap());
    assert_eq!(find(store, 1).await, None);
}

pub(super) async fn f7_of_a_hundred_decisions_at_once_exactly_one_is_made(store: &Arc<dyn Store>) {
    let waiting = case(1, "ada", "7");
    open(store, &waiting).await;
    let decides = |store: Arc<dyn Store>, number: u64| {
        let waiting = waiting.clone();
        async move {
            let standing = if number.is_multiple_of(2) { CaseStanding::Linked } else { CaseStanding::Denied };
            store.change_case(&decided(&waiting, standing)).await
        }
    };
    assert_eq!(a_hundred_times(store, decides).await.into_iter().filter(|made| *made).count(), 1);
    assert_eq!(find(store, 1).await.unwrap().revision, 2);
}

pub(super) async fn f7_a_decided_case_is_not_asked_about_again_unless_it_is_about_something_else(
    store: &Arc<dyn Store>,
) {
    let waiting = case(1, "ada", "7");
    let renamed = |number| {
        let facts = CaseFacts { username: "ida".to_owned(), ..waiting.facts.clone() };
        Case { facts, ..case(number, "ada", "7") }
    };
    open(store, &waiting).await;
    let linked = decided(&waiting, CaseStanding::Linked);
    store.change_case(&linked).await.unwrap();
    assert_eq!(open(store, &case(2, "ada", "7")).await, OpenedCase::Decided(linked.clone()));
    let OpenedCase::Opened(anew) = open(store, &renamed(2)).await else { panic!() };
    assert_eq!((anew.id, anew.revision, anew.standing), (id(1), 3, CaseStanding::Waiting));
    assert_eq!((&anew.decided, anew.facts.username.as_str()), (&None, "ida"));
    assert_eq!(find(store, 1).await, Some(anew.clone()));
    let denied = decided(&anew, CaseStanding::Denied);
    store.change_case(&denied).await.unwrap();
    for asks in [renamed(3), case(3, "ada", "7"), asked_at(case(3, "ada", "7"), NOW.after(CASE_LIFETIME * 2))]
    {
        assert_eq!(open(store, &asks).await, OpenedCase::Decided(denied.clone()));
    }
}

pub(super) async fn f7_what_has_ended_is_swept_and_denials_stay(store: &Arc<dyn Store>) {
    for (number, name) in [(1, "ada"), (2, "bob"), (3, "eve")] {
        open(store, &case(number, name, "7")).await;
    }
    store.change_case(&decided(&case(2, "bob", "7"), CaseStanding::Denied)).await.unwrap();
    let end = NOW.after(CASE_LIFETIME);
    open(store, &asked_at(case(9, "eve", "7"), NOW.after(Duration::from_secs(1)))).await;
    assert_eq!(store.sweep_cases(end.before(Duration::from_secs(1))).await.unwrap(), 0);
    assert_eq!(store.sweep_cases(end).await.unwrap(), 1);
    assert_eq!(find(store, 1).await, None);
    assert!(find(store, 2).await.is_some() && find(store, 3).await.is_some());
    assert_eq!(store.sweep_cases(end).await.unwrap(), 0);
}

pub(super) async fn e6_of_an_erased_person_no_case_is_left_but_denials_without_words(store: &Arc<dyn Store>) {
    let other = || MemberId(uuid::Uuid::from_bytes([8; 16]));
    let facts = |member: Option<MemberId>| CaseFacts { member, ..case(1, "ada", "7").facts };
    let named = |number, name, account, member| Case { facts: facts(member), ..case(number, name, account) };
    let identities = [(corp(), subject("ada")), (corp(), subject("ida"))];
    let theirs = [
        named(1, "ada", "1", None),
        named(2, "ida", "2", Some(other())),
        named(3, "mallory", "3", Some(member())),
        named(4, "mallory", "7", None),
    ];
    // A name is not taken for what it is not.
    let lookalike = format!("\"member\":\"{}\"", member());
    let mut others = [named(5, "eve", "5", Some(other())), named(6, "eve", "70", None)];
    others[1].facts.username = lookalike;
    for one in theirs.iter().chain(&others) {
        open(store, one).await;
    }
    let led = Case { led_to: Some(member()), ..decided(&named(7, "eve", "6", None), CaseStanding::Used) };
    open(store, &named(7, "eve", "6", None)).await;
    assert!(store.change_case(&led).await.unwrap());
    let seven = AccountId("7".to_owned());
    let forget = async || store.forget_cases(&identities, member(), Some(&seven)).await.unwrap();
    // Their own denials and those about them; one that is found by both its sides counts once.
    let denials = [
        named(11, "ada", "7", Some(member())),
        named(12, "mallory", "8", Some(member())),
        named(13, "mallory", "9", None),
    ];
    for one in &denials {
        open(store, one).await;
        assert!(store.change_case(&decided(one, CaseStanding::Denied)).await.unwrap());
    }
    assert_eq!(forget().await, 5 + 2);
    assert_eq!(forget().await, 0);
    for number in [1, 2, 3, 4, 7] {
        assert_eq!(find(store, number).await, None, "{number}");
    }
    for one in &others {
        assert_eq!(find(store, one.id.0.as_bytes()[0]).await.as_ref(), Some(one));
    }
    for one in &denials[..2] {
        let left = find(store, one.id.0.as_bytes()[0]).await.unwrap();
        assert_eq!((left.standing, left.revision), (CaseStanding::Denied, 3));
        assert_eq!((&left.idp, &left.subject, &left.account), (&one.idp, &one.subject, &one.account));
        let CaseFacts { email, username, account_email, member, privileged, kind } = left.facts.clone();
        assert_eq!((email, username.as_str(), account_email, member), (None, "", None, None));
        assert_eq!((privileged, kind), (true, one.facts.kind));
        // It still denies.
        let asks = Case { id: id(99), ..one.clone() };
        assert_eq!(open(store, &asks).await, OpenedCase::Decided(left));
    }
    assert_eq!(find(store, 13).await.unwrap().facts, denials[2].facts, "of somebody else");
    assert_eq!(store.forget_cases(&[], other(), None).await.unwrap(), 1, "without account");
}
