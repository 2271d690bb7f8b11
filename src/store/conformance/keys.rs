//! What every store does with keys and documents.

use std::sync::Arc;
use std::time::Duration;

use super::{NOW, a_hundred_times};
use crate::store::{Store, StoredKey};

fn key(id: &str, purpose: &str) -> StoredKey {
    StoredKey {
        id: id.to_owned(),
        purpose: purpose.to_owned(),
        sealed: vec![0, 1, 0xff],
        published_at: NOW,
        active_at: NOW.after(Duration::from_hours(1)),
        retired_at: NOW.after(Duration::from_hours(2)),
    }
}

async fn ids(store: &Arc<dyn Store>, purpose: &str) -> Vec<String> {
    let mut ids: Vec<_> = store.list_keys(purpose).await.unwrap().into_iter().map(|key| key.id).collect();
    ids.sort();
    ids
}

pub(super) async fn keys_are_listed_by_purpose(store: &Arc<dyn Store>) {
    assert_eq!(store.list_keys("one").await.unwrap(), []);
    assert!(store.add_key(&key("a", "one"), None).await.unwrap());
    assert!(store.add_key(&key("b", "two"), None).await.unwrap());
    assert_eq!(store.list_keys("one").await.unwrap(), [key("a", "one")]);
    assert_eq!(store.list_keys("two").await.unwrap(), [key("b", "two")]);
}

pub(super) async fn a_purpose_has_one_first_key(store: &Arc<dyn Store>) {
    assert!(store.add_key(&key("a", "one"), None).await.unwrap());
    assert!(!store.add_key(&key("b", "one"), None).await.unwrap());
    assert!(store.add_key(&key("c", "one"), Some("a")).await.unwrap());
    assert_eq!(store.sweep_keys(NOW).await.unwrap(), 0);
    assert!(!store.add_key(&key("d", "one"), None).await.unwrap(), "nor does a later one become the first");
    assert_eq!(ids(store, "one").await, ["a", "c"]);
}

pub(super) async fn a_key_has_one_successor(store: &Arc<dyn Store>) {
    store.add_key(&key("a", "one"), None).await.unwrap();
    assert!(store.add_key(&key("b", "one"), Some("a")).await.unwrap());
    assert!(!store.add_key(&key("c", "one"), Some("a")).await.unwrap());
    assert!(store.add_key(&key("c", "one"), Some("b")).await.unwrap());
    assert_eq!(ids(store, "one").await, ["a", "b", "c"]);
}

pub(super) async fn a_key_succeeds_only_one_that_is_there(store: &Arc<dyn Store>) {
    assert!(!store.add_key(&key("b", "one"), Some("a")).await.unwrap());
    store.add_key(&key("a", "two"), None).await.unwrap();
    assert!(!store.add_key(&key("b", "one"), Some("a")).await.unwrap(), "that is another purpose's");
    assert_eq!(store.list_keys("one").await.unwrap(), []);
}

pub(super) async fn of_a_hundred_first_keys_at_once_one_wins(store: &Arc<dyn Store>) {
    let added = a_hundred_times(store, |store, number| async move {
        store.add_key(&key(&number.to_string(), "one"), None).await
    })
    .await;
    assert_eq!(added.iter().filter(|won| **won).count(), 1);
    assert_eq!(ids(store, "one").await.len(), 1);
}

pub(super) async fn of_a_hundred_successors_at_once_one_wins(store: &Arc<dyn Store>) {
    store.add_key(&key("first", "one"), None).await.unwrap();
    let added = a_hundred_times(store, |store, number| async move {
        store.add_key(&key(&number.to_string(), "one"), Some("first")).await
    })
    .await;
    assert_eq!(added.iter().filter(|won| **won).count(), 1);
    assert_eq!(ids(store, "one").await.len(), 2);
}

pub(super) async fn a_sweep_drops_retired_keys_only(store: &Arc<dyn Store>) {
    store.add_key(&StoredKey { retired_at: NOW, ..key("a", "one") }, None).await.unwrap();
    let later = NOW.after(Duration::from_secs(1));
    store.add_key(&StoredKey { retired_at: later, ..key("b", "one") }, Some("a")).await.unwrap();
    assert_eq!(store.sweep_keys(NOW).await.unwrap(), 1);
    assert_eq!(ids(store, "one").await, ["b"]);
}

pub(super) async fn a_document_is_found_as_it_was_put_last(store: &Arc<dyn Store>) {
    let later = NOW.after(Duration::from_secs(1));
    store.put_document("jwks:corp", b"first", NOW).await.unwrap();
    store.put_document("jwks:partner", b"other", NOW).await.unwrap();
    store.put_document("jwks:corp", b"second \0\xff", later).await.unwrap();
    assert_eq!(store.find_document("jwks:corp").await.unwrap(), Some((b"second \0\xff".to_vec(), later)));
    assert_eq!(store.find_document("jwks:partner").await.unwrap(), Some((b"other".to_vec(), NOW)));
}

pub(super) async fn an_unknown_document_is_absent(store: &Arc<dyn Store>) {
    store.put_document("a", b"first", NOW).await.unwrap();
    assert_eq!(store.find_document("b").await.unwrap(), None);
}
