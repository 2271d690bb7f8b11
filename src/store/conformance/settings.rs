//! What every store does with settings given at run time.

use std::sync::Arc;

use super::{NOW, a_hundred_times};
use crate::store::Store;
use crate::store::feed::Changed;
use crate::store::lists::{MAX_VERSIONS, StoredSettings};

fn settings(version: i64, section: &str) -> StoredSettings {
    StoredSettings { version, section: section.to_owned(), changed_by: "anna".to_owned(), changed_at: NOW }
}

pub(super) async fn m4_there_are_none_at_first(store: &Arc<dyn Store>) {
    assert_eq!(store.settings_version().await.unwrap(), 0);
    assert_eq!(store.newest_settings(None, 9).await.unwrap(), Vec::<StoredSettings>::new());
}

pub(super) async fn m4_versions_follow_one_another_and_are_kept(store: &Arc<dyn Store>) {
    assert!(!store.put_settings(&settings(2, "{}")).await.unwrap());
    assert!(store.put_settings(&settings(1, "{\"a\":\"Ä\"}")).await.unwrap());
    assert!(!store.put_settings(&settings(1, "{}")).await.unwrap());
    assert!(store.put_settings(&settings(2, "{}")).await.unwrap());
    assert_eq!(store.settings_version().await.unwrap(), 2);
    let told = store.newest_change().await.unwrap().unwrap();
    assert_eq!((told.what, told.key.as_str()), (Changed::Settings, "2"), "other replicas hear of it");
    let all = store.newest_settings(None, 9).await.unwrap();
    assert_eq!(all, [settings(2, "{}"), settings(1, "{\"a\":\"Ä\"}")]);
    assert_eq!(store.newest_settings(Some(2), 9).await.unwrap(), [settings(1, "{\"a\":\"Ä\"}")]);
    assert_eq!(store.newest_settings(None, 1).await.unwrap(), [settings(2, "{}")]);
}

pub(super) async fn m4_of_a_hundred_changes_of_one_version_one_wins(store: &Arc<dyn Store>) {
    let change = |store: Arc<dyn Store>, number: u64| async move {
        store.put_settings(&settings(1, &number.to_string())).await
    };
    let won = a_hundred_times(store, change).await.into_iter().filter(|won| *won).count();
    assert_eq!((won, store.settings_version().await.unwrap()), (1, 1));
}

pub(super) async fn the_latest_versions_are_kept(store: &Arc<dyn Store>) {
    let last = i64::try_from(MAX_VERSIONS).unwrap() + 3;
    for version in 1..=last {
        assert!(store.put_settings(&settings(version, "{}")).await.unwrap());
    }
    let all = store.newest_settings(None, MAX_VERSIONS * 2).await.unwrap();
    assert_eq!((all.len(), all.first().unwrap().version), (MAX_VERSIONS, last));
}
