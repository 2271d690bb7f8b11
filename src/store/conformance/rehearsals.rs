//! What every store does with explanations of sign-ins and the outcomes of shadow mode.

use std::sync::Arc;

use super::{NOW, a_hundred_times};
use crate::model::{ErrorId, IdpId, Subject, UnixTime};
use crate::store::Store;
use crate::store::rehearsals::{MAX_TOLD, Outcome};

fn idp(id: &str) -> IdpId {
    id.parse().unwrap()
}

fn subject(text: &str) -> Subject {
    Subject::parse(text).unwrap()
}

fn id(number: u64) -> ErrorId {
    ErrorId::from_random(number.to_be_bytes())
}

async fn tell(store: &Arc<dyn Store>, number: u64, who: &str, record: &str) {
    store.tell_login(&id(number), &idp("corp"), &subject(who), record).await.unwrap();
}

async fn told(store: &Arc<dyn Store>, number: u64) -> Option<String> {
    store.find_told(id(number).as_str()).await.unwrap()
}

fn outcome(idp_id: &str, who: &str, at: i64, record: &str) -> Outcome {
    Outcome { idp: idp(idp_id), subject: subject(who), at: UnixTime(NOW.0 + at), record: record.to_owned() }
}

async fn listed(store: &Arc<dyn Store>) -> Vec<Outcome> {
    store.list_outcomes(None, 100).await.unwrap()
}

pub(super) async fn x1_a_told_login_is_found_as_it_was_told_first(store: &Arc<dyn Store>) {
    tell(store, 1, "ada", "{\"a\": \"ü\"}").await;
    tell(store, 1, "ada", "{}").await;
    assert_eq!(told(store, 1).await.as_deref(), Some("{\"a\": \"ü\"}"));
    assert_eq!(told(store, 2).await, None);
}

pub(super) async fn x1_the_latest_logins_are_kept(store: &Arc<dyn Store>) {
    let all = u64::try_from(MAX_TOLD).unwrap();
    for number in 0..=all {
        tell(store, number, "ada", "{}").await;
    }
    assert_eq!(told(store, 0).await, None);
    assert!(told(store, 1).await.is_some() && told(store, all).await.is_some());
}

pub(super) async fn m6_the_latest_outcome_of_each_identity_is_kept(store: &Arc<dyn Store>) {
    for one in [
        outcome("corp", "bob", 1, "bob 1"),
        outcome("corp", "ada", 1, "ada 1"),
        outcome("partner", "ada", 1, "other ada"),
        outcome("corp", "ada", 3, "ada 3"),
        outcome("corp", "ada", 2, "ada 2, late"),
        outcome("corp", "bob", 1, "bob 1 again"),
    ] {
        store.record_outcome(&one).await.unwrap();
    }
    let expected = [
        outcome("corp", "ada", 3, "ada 3"),
        outcome("corp", "bob", 1, "bob 1 again"),
        outcome("partner", "ada", 1, "other ada"),
    ];
    assert_eq!(listed(store).await, expected);
}

pub(super) async fn m6_outcomes_are_listed_page_by_page_in_the_order_of_their_bytes(store: &Arc<dyn Store>) {
    let names = ["B", "a", "a b", "a-b", "ab", "b", "é"];
    for name in names.iter().rev() {
        store.record_outcome(&outcome("corp", name, 1, name)).await.unwrap();
    }
    let mut found = Vec::new();
    let mut after: Option<Outcome> = None;
    loop {
        let from = after.as_ref().map(|one| (&one.idp, &one.subject));
        let page = store.list_outcomes(from, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = Some(last.clone());
        found.extend(page.into_iter().map(|one| one.record));
    }
    assert_eq!(found, names);
}

pub(super) async fn m6_of_a_hundred_outcomes_at_once_the_latest_stays(store: &Arc<dyn Store>) {
    a_hundred_times(store, |store, number| async move {
        let at = i64::try_from(number).unwrap();
        store.record_outcome(&outcome("corp", "ada", at, &number.to_string())).await
    })
    .await;
    assert_eq!(listed(store).await, [outcome("corp", "ada", 100, "100")]);
}

pub(super) async fn m6_a_forgotten_report_is_empty(store: &Arc<dyn Store>) {
    store.record_outcome(&outcome("corp", "ada", 1, "1")).await.unwrap();
    store.record_outcome(&outcome("corp", "bob", 1, "1")).await.unwrap();
    tell(store, 1, "ada", "{}").await;
    assert_eq!(store.forget_outcomes().await.unwrap(), 2);
    assert_eq!(listed(store).await, []);
    assert!(told(store, 1).await.is_some());
    assert_eq!(store.forget_outcomes().await.unwrap(), 0);
}

pub(super) async fn e6_of_a_forgotten_person_nothing_is_kept_and_of_others_everything(
    store: &Arc<dyn Store>,
) {
    for (number, who) in [(1, "ada"), (2, "bob"), (3, "ada")] {
        tell(store, number, who, "{}").await;
    }
    for one in [outcome("corp", "ada", 1, "1"), outcome("partner", "ada", 1, "2")] {
        store.record_outcome(&one).await.unwrap();
    }
    assert_eq!(store.forget_person(&idp("corp"), &subject("ada")).await.unwrap(), 3);
    assert_eq!((told(store, 1).await, told(store, 3).await), (None, None));
    assert!(told(store, 2).await.is_some());
    assert_eq!(listed(store).await, [outcome("partner", "ada", 1, "2")]);
}
