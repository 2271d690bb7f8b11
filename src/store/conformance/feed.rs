//! What every store does with the list of changes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::sessions::{account, hash, session};
use super::standing::recorded;
use super::{NOW, a_hundred_times};
use crate::model::SessionHash;
use crate::platform::Tasks;
use crate::store::Store;
use crate::store::feed::{Change, Changed, PAGE, session_key};

async fn announce(store: &Arc<dyn Store>, keys: &[&str]) {
    for key in keys {
        store.announce(Changed::Session, key).await.unwrap();
    }
}

async fn all(store: &Arc<dyn Store>) -> Vec<Change> {
    store.changes_from(1).await.unwrap()
}

/// The sessions that are said to have ended.
async fn ended(store: &Arc<dyn Store>) -> BTreeSet<String> {
    all(store).await.into_iter().map(|change| change.key).collect()
}

fn keys(hashes: &[SessionHash]) -> BTreeSet<String> {
    hashes.iter().map(session_key).collect()
}

pub(super) async fn changes_are_numbered_from_one_and_found_from_a_number_on(store: &Arc<dyn Store>) {
    assert_eq!(store.newest_change().await.unwrap(), None);
    assert_eq!(all(store).await, []);
    announce(store, &["a", "b", "c"]).await;
    let change = |number, key: &str| Change { number, what: Changed::Session, key: key.to_owned() };
    assert_eq!(all(store).await, [change(1, "a"), change(2, "b"), change(3, "c")]);
    assert_eq!(store.changes_from(3).await.unwrap(), [change(3, "c")]);
    assert_eq!(store.changes_from(4).await.unwrap(), []);
    assert_eq!(store.newest_change().await.unwrap(), Some(change(3, "c")));
}

pub(super) async fn a_page_of_changes_is_found_at_once(store: &Arc<dyn Store>) {
    recorded(store, 1).await;
    let account = account(1);
    for number in 0..=u8::MAX {
        store.insert_session(&session(number, Some(account.clone())), 300).await.unwrap();
    }
    for _ in 0..5 {
        store.sweep_sessions(NOW.after(Duration::from_hours(100)), Duration::ZERO).await.unwrap();
        for number in 0..=u8::MAX {
            store.insert_session(&session(number, Some(account.clone())), 300).await.unwrap();
        }
    }
    assert_eq!(all(store).await.len(), PAGE);
    assert_eq!(store.changes_from(1001).await.unwrap().len(), 280);
}

pub(super) async fn a_sweep_leaves_the_newest_changes_and_the_numbers_go_on(store: &Arc<dyn Store>) {
    assert_eq!(store.sweep_changes(2).await.unwrap(), 0);
    announce(store, &["a", "b", "c"]).await;
    assert_eq!(store.sweep_changes(2).await.unwrap(), 1);
    assert_eq!(store.sweep_changes(2).await.unwrap(), 0);
    assert_eq!(store.sweep_changes(0).await.unwrap(), 1, "the last one stays");
    announce(store, &["d"]).await;
    let numbers: Vec<i64> = all(store).await.into_iter().map(|change| change.number).collect();
    assert_eq!(numbers, [3, 4]);
}

pub(super) async fn lesson_38_each_way_for_a_session_to_end_is_a_change(store: &Arc<dyn Store>) {
    recorded(store, 1).await;
    for number in 1..=3 {
        store.insert_session(&session(number, Some(account(1))), 3).await.unwrap();
    }
    assert_eq!(ended(store).await, BTreeSet::new(), "none has ended");
    store.insert_session(&session(4, Some(account(1))), 2).await.unwrap();
    assert_eq!(ended(store).await, keys(&[hash(1), hash(2)]));
    store.end_session(&hash(3)).await.unwrap();
    assert_eq!(ended(store).await, keys(&[hash(1), hash(2), hash(3)]));
    assert!(!store.end_session(&hash(3)).await.unwrap());
    assert_eq!(all(store).await.len(), 3, "what had ended does not end again");
    store.insert_session(&session(5, None), 2).await.unwrap();
    let idp = "corp".parse().unwrap();
    assert_eq!(store.end_sessions_of(&idp, "ada", &[]).await.unwrap().len(), 2);
    assert_eq!(ended(store).await, keys(&[hash(1), hash(2), hash(3), hash(4), hash(5)]));
    store.insert_session(&session(6, None), 2).await.unwrap();
    let late = NOW.after(Duration::from_hours(100));
    store.sweep_sessions(late, Duration::from_hours(1)).await.unwrap();
    assert_eq!(store.newest_change().await.unwrap().unwrap().key, session_key(&hash(6)));
}

pub(super) async fn sessions_that_are_there_are_told_from_those_that_are_not(store: &Arc<dyn Store>) {
    for number in [1, 3] {
        store.insert_session(&session(number, None), 20).await.unwrap();
    }
    let mut asked: Vec<SessionHash> = (1..=4).map(hash).collect();
    let there = store.sessions_among(&asked).await.unwrap();
    assert_eq!(there.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([hash(1), hash(3)]));
    assert_eq!(store.sessions_among(&[]).await.unwrap(), []);
    // More than fit in one question.
    asked.extend((0..2500_u16).map(|number| {
        let mut bytes = [0xee; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        SessionHash(bytes)
    }));
    asked.reverse();
    assert_eq!(store.sessions_among(&asked).await.unwrap().len(), 2);
}

/// Somebody who reads all the time sees number after number, however many write at once.
pub(super) async fn of_a_hundred_changes_at_once_none_becomes_visible_before_an_earlier_one(
    store: &Arc<dyn Store>,
) {
    let (reading, done) = (Arc::clone(store), Arc::new(AtomicBool::new(false)));
    let until = Arc::clone(&done);
    let tasks = Tasks::on(tokio::runtime::Handle::current());
    let reader = tasks.spawn(async move {
        let mut seen = 0;
        loop {
            let last = until.load(Ordering::SeqCst);
            for change in reading.changes_from(seen + 1).await.unwrap() {
                assert_eq!(change.number, seen + 1, "an earlier one was not there yet");
                seen = change.number;
            }
            if last {
                return seen;
            }
            tokio::task::yield_now().await;
        }
    });
    a_hundred_times(store, |store, number| async move {
        store.announce(Changed::Session, &number.to_string()).await
    })
    .await;
    done.store(true, Ordering::SeqCst);
    assert_eq!(reader.await.unwrap(), 100);
    let all: BTreeSet<String> = ended(store).await;
    assert_eq!(all.len(), 100);
}
