//! What every store does with logins in flight.

use std::sync::Arc;
use std::time::Duration;

use super::{MAX_IN_FLIGHT, NOW, a_hundred_times};
use crate::model::login::{LIFETIME, MAX_PER_BROWSER, MAX_REFUSALS};
use crate::model::{BrowserHash, ErrorId, LoginAttempt, ReturnTo, Secret, StateHash};
use crate::store::{Store, StoreError, TakenLogin};

const BROWSER: BrowserHash = BrowserHash([7; 32]);
const OTHER: BrowserHash = BrowserHash([8; 32]);

fn state(number: usize) -> StateHash {
    let mut bytes = [0x5a; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    StateHash(bytes)
}

fn browser(number: usize) -> BrowserHash {
    BrowserHash(state(number).0)
}

fn attempt(number: usize, browser: BrowserHash) -> LoginAttempt {
    LoginAttempt {
        state: state(number),
        browser,
        idp: "corp".parse().unwrap(),
        nonce: format!("nonce {number}"),
        pkce_verifier: Secret::new(format!("verifier {number}")),
        return_to: ReturnTo::parse(&format!("/page/{number}?q=1")).unwrap(),
        begun_at: NOW,
        expires_at: NOW.after(LIFETIME),
    }
}

async fn take(store: &Arc<dyn Store>, number: usize, browser: BrowserHash) -> TakenLogin {
    store.take_login(&state(number), Some(&browser), NOW).await.unwrap()
}

async fn is_there(store: &Arc<dyn Store>, number: usize, browser: BrowserHash) -> bool {
    matches!(take(store, number, browser).await, TakenLogin::Fresh(_))
}

pub(super) async fn a_recorded_login_is_taken_whole(store: &Arc<dyn Store>) {
    let put = attempt(1, BROWSER);
    store.put_login(&put).await.unwrap();
    let last_moment = put.expires_at.before(Duration::from_secs(1));
    let TakenLogin::Fresh(taken) = store.take_login(&put.state, Some(&BROWSER), last_moment).await.unwrap()
    else {
        panic!("not fresh");
    };
    assert_eq!(taken.state, put.state);
    assert_eq!(taken.browser, put.browser);
    assert_eq!(taken.idp, put.idp);
    assert_eq!(taken.nonce, put.nonce);
    assert_eq!(taken.pkce_verifier.expose(), put.pkce_verifier.expose());
    assert_eq!(taken.return_to, put.return_to);
    assert_eq!((taken.begun_at, taken.expires_at), (put.begun_at, put.expires_at));
}

pub(super) async fn a_second_taking_is_told_that_it_was_used_and_where_it_went(store: &Arc<dyn Store>) {
    let put = attempt(1, BROWSER);
    store.put_login(&put).await.unwrap();
    take(store, 1, BROWSER).await;
    for _ in 0..2 {
        let TakenLogin::Used(return_to) = take(store, 1, BROWSER).await else { panic!("not used") };
        assert_eq!(return_to, put.return_to);
    }
}

pub(super) async fn another_browser_does_not_get_the_login_nor_spoil_it(store: &Arc<dyn Store>) {
    let put = attempt(1, BROWSER);
    store.put_login(&put).await.unwrap();
    let TakenLogin::Foreign(return_to) = take(store, 1, OTHER).await else { panic!("not foreign") };
    assert_eq!(return_to, put.return_to);
    assert!(is_there(store, 1, BROWSER).await);
    assert!(matches!(take(store, 1, OTHER).await, TakenLogin::Foreign(_)), "foreign after it was taken, too");
}

pub(super) async fn a_browser_without_cookie_does_not_get_the_login(store: &Arc<dyn Store>) {
    store.put_login(&attempt(1, BROWSER)).await.unwrap();
    let taken = store.take_login(&state(1), None, NOW).await.unwrap();
    assert!(matches!(taken, TakenLogin::Foreign(_)), "{taken:?}");
    assert!(is_there(store, 1, BROWSER).await);
}

pub(super) async fn an_expired_login_is_unknown(store: &Arc<dyn Store>) {
    let put = attempt(1, BROWSER);
    store.put_login(&put).await.unwrap();
    let taken = store.take_login(&put.state, Some(&BROWSER), put.expires_at).await.unwrap();
    assert!(matches!(taken, TakenLogin::Unknown), "{taken:?}");
}

pub(super) async fn an_unknown_state_is_unknown(store: &Arc<dyn Store>) {
    store.put_login(&attempt(1, BROWSER)).await.unwrap();
    assert!(matches!(take(store, 2, BROWSER).await, TakenLogin::Unknown));
}

pub(super) async fn a_state_is_recorded_once(store: &Arc<dyn Store>) {
    store.put_login(&attempt(1, BROWSER)).await.unwrap();
    let refused = store.put_login(&attempt(1, OTHER)).await;
    assert!(matches!(refused, Err(StoreError::Conflict { act: "put_login", .. })), "{refused:?}");
    assert!(is_there(store, 1, BROWSER).await);
}

pub(super) async fn beyond_the_browsers_limit_its_oldest_login_goes(store: &Arc<dyn Store>) {
    store.put_login(&attempt(1000, OTHER)).await.unwrap();
    for number in 0..=MAX_PER_BROWSER {
        store.put_login(&attempt(number, BROWSER)).await.unwrap();
    }
    assert!(matches!(take(store, 0, BROWSER).await, TakenLogin::Unknown));
    for number in 1..=MAX_PER_BROWSER {
        assert!(is_there(store, number, BROWSER).await, "{number}");
    }
    assert!(is_there(store, 1000, OTHER).await, "another browser's login is not touched");
}

pub(super) async fn beyond_the_browsers_limit_a_taken_login_goes_before_a_waiting_one(
    store: &Arc<dyn Store>,
) {
    for number in 0..MAX_PER_BROWSER {
        store.put_login(&attempt(number, BROWSER)).await.unwrap();
    }
    assert!(is_there(store, 9, BROWSER).await);
    store.put_login(&attempt(MAX_PER_BROWSER, BROWSER)).await.unwrap();
    assert!(matches!(take(store, 9, BROWSER).await, TakenLogin::Unknown));
    assert!(is_there(store, 0, BROWSER).await);
}

pub(super) async fn beyond_the_stores_limit_the_oldest_login_goes(store: &Arc<dyn Store>) {
    for number in 0..MAX_IN_FLIGHT + 3 {
        store.put_login(&attempt(number, browser(number))).await.unwrap();
    }
    for number in 0..3 {
        assert!(matches!(take(store, number, browser(number)).await, TakenLogin::Unknown), "{number}");
    }
    for number in 3..MAX_IN_FLIGHT + 3 {
        assert!(is_there(store, number, browser(number)).await, "{number}");
    }
}

pub(super) async fn of_a_hundred_takings_at_once_exactly_one_is_fresh(store: &Arc<dyn Store>) {
    store.put_login(&attempt(1, BROWSER)).await.unwrap();
    let taken =
        a_hundred_times(
            store,
            |store, _| async move { store.take_login(&state(1), Some(&BROWSER), NOW).await },
        )
        .await;
    assert_eq!(taken.iter().filter(|one| matches!(one, TakenLogin::Fresh(_))).count(), 1);
    assert_eq!(taken.iter().filter(|one| matches!(one, TakenLogin::Used(_))).count(), 99);
}

pub(super) async fn a_parked_thing_is_taken_once(store: &Arc<dyn Store>) {
    let end = NOW.after(Duration::from_mins(1));
    store.park(&state(1), b"sealed \0\xff", end).await.unwrap();
    store.park(&state(2), b"another", end).await.unwrap();
    assert_eq!(
        store.take_parked(&state(1), NOW).await.unwrap().as_deref(),
        Some(b"sealed \0\xff".as_slice())
    );
    assert_eq!(store.take_parked(&state(1), NOW).await.unwrap(), None);
    assert_eq!(store.take_parked(&state(2), NOW).await.unwrap().as_deref(), Some(b"another".as_slice()));
}

pub(super) async fn an_expired_parked_thing_is_gone(store: &Arc<dyn Store>) {
    store.park(&state(1), b"sealed", NOW).await.unwrap();
    assert_eq!(store.take_parked(&state(1), NOW).await.unwrap(), None);
}

pub(super) async fn an_id_is_parked_under_once(store: &Arc<dyn Store>) {
    let end = NOW.after(Duration::from_mins(1));
    store.park(&state(1), b"first", end).await.unwrap();
    let refused = store.park(&state(1), b"second", end).await;
    assert!(matches!(refused, Err(StoreError::Conflict { act: "park", .. })), "{refused:?}");
    assert_eq!(store.take_parked(&state(1), NOW).await.unwrap().as_deref(), Some(b"first".as_slice()));
}

pub(super) async fn beyond_the_stores_limit_the_oldest_parked_thing_goes(store: &Arc<dyn Store>) {
    let end = NOW.after(Duration::from_mins(1));
    for number in 0..=MAX_IN_FLIGHT {
        store.park(&state(number), b"sealed", end).await.unwrap();
    }
    assert_eq!(store.take_parked(&state(0), NOW).await.unwrap(), None);
    assert!(store.take_parked(&state(1), NOW).await.unwrap().is_some());
    assert!(store.take_parked(&state(MAX_IN_FLIGHT), NOW).await.unwrap().is_some());
}

pub(super) async fn of_a_hundred_takings_of_a_parked_thing_exactly_one_gets_it(store: &Arc<dyn Store>) {
    store.park(&state(1), b"sealed", NOW.after(Duration::from_mins(1))).await.unwrap();
    let taken =
        a_hundred_times(store, |store, _| async move { store.take_parked(&state(1), NOW).await }).await;
    assert_eq!(taken.iter().filter(|one| one.is_some()).count(), 1);
}

pub(super) async fn a_sweep_drops_expired_logins_and_parked_things_only(store: &Arc<dyn Store>) {
    let later = NOW.after(Duration::from_secs(1));
    store.put_login(&LoginAttempt { expires_at: NOW, ..attempt(1, BROWSER) }).await.unwrap();
    store.put_login(&LoginAttempt { expires_at: later, ..attempt(2, BROWSER) }).await.unwrap();
    store.park(&state(3), b"old", NOW).await.unwrap();
    store.park(&state(4), b"new", later).await.unwrap();
    assert_eq!(store.sweep_logins(NOW).await.unwrap(), 2);
    assert_eq!(store.sweep_logins(NOW).await.unwrap(), 0);
    let before = NOW.before(Duration::from_secs(1));
    let gone = store.take_login(&state(1), Some(&BROWSER), before).await.unwrap();
    assert!(matches!(gone, TakenLogin::Unknown), "swept, not only expired: {gone:?}");
    assert_eq!(store.take_parked(&state(3), before).await.unwrap(), None);
    assert!(is_there(store, 2, BROWSER).await);
    assert!(store.take_parked(&state(4), NOW).await.unwrap().is_some());
}

pub(super) async fn a_first_use_is_had_once_until_it_may_be_forgotten(store: &Arc<dyn Store>) {
    let until = NOW.after(Duration::from_mins(5));
    assert!(store.first_use(&[7; 32], until).await.unwrap());
    assert!(!store.first_use(&[7; 32], until).await.unwrap());
    assert!(store.first_use(&[8; 32], until).await.unwrap());
    store.sweep_logins(until.before(Duration::from_secs(1))).await.unwrap();
    assert!(!store.first_use(&[7; 32], until).await.unwrap());
    assert_eq!(store.sweep_logins(until).await.unwrap(), 2);
    assert!(store.first_use(&[7; 32], until.after(Duration::from_mins(5))).await.unwrap());
}

pub(super) async fn of_a_hundred_first_uses_at_once_exactly_one_is_the_first(store: &Arc<dyn Store>) {
    let uses = a_hundred_times(store, |store, _| async move { store.first_use(&[9; 32], NOW).await }).await;
    assert_eq!(uses.iter().filter(|first| **first).count(), 1);
}

pub(super) async fn the_latest_refusals_are_kept(store: &Arc<dyn Store>) {
    let id = |number: usize| ErrorId::from_random((number as u64).to_be_bytes());
    for number in 0..=MAX_REFUSALS {
        store.record_refusal(&id(number), &format!("refusal {number}")).await.unwrap();
    }
    assert_eq!(store.find_refusal(id(0).as_str()).await.unwrap(), None);
    let kept = store.find_refusal(id(1).as_str()).await.unwrap();
    assert_eq!(kept.as_deref(), Some("refusal 1"));
    // An id is recorded under once.
    store.record_refusal(&id(1), "another").await.unwrap();
    assert_eq!(store.find_refusal(id(1).as_str()).await.unwrap(), kept);
    assert_eq!(store.find_refusal("' OR 1=1 --").await.unwrap(), None);
}
