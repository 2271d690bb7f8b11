//! What every replica has to hear of: a numbered list of changes in the store, read to its end again and again.
//!
//! Numbers have no gaps and become visible in their order: an act that records a change has the turn of all
//! changes from then until it is committed (`families::CHANGES`). So whoever has seen number 7 has seen all before it,
//! and knows by a gap that it missed something.

use std::fmt::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::model::SessionHash;

/// As many changes are read at once.
pub const PAGE: usize = 1000;
/// As many changes are kept; a replica that slept through more looks at everything anew.
pub const KEPT: usize = 10_000;

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// From 1.
    pub number: i64,
    pub what: Changed,
    /// Which one; see [`Changed`].
    pub key: String,
}

/// What a change is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Changed {
    /// A session has ended: the database notes it by itself, whoever took the row away. The key is its hash, as
    /// [`session_key`] writes it.
    Session,
    /// The provisioning settings were changed. The key is their version.
    Settings,
    /// Of a newer version of narthex, and nothing that this one knows.
    #[serde(other)]
    Other,
}

/// A session as the key of its change.
#[must_use]
pub fn session_key(hash: &SessionHash) -> String {
    hash.0.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The session of a change's key.
#[must_use]
pub fn session_of(key: &str) -> Option<SessionHash> {
    let mut hash = [0; 32];
    if key.len() != hash.len() * 2 || !key.is_ascii() {
        return None;
    }
    for (place, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(key.get(place * 2..place * 2 + 2)?, 16).ok()?;
    }
    Some(SessionHash(hash))
}

/// The list of changes.
#[async_trait]
pub trait FeedStore: Send + Sync {
    /// The newest change; `None` where there was none yet.
    async fn newest_change(&self) -> Result<Option<Change>, StoreError>;

    /// The changes from this number on, in their order, [`PAGE`] of them at most.
    async fn changes_from(&self, number: i64) -> Result<Vec<Change>, StoreError>;

    /// Records a change that is part of no other act.
    async fn announce(&self, what: Changed, key: &str) -> Result<(), StoreError>;

    /// Drops all but the newest `keep` changes, and never the newest one; returns how many went.
    async fn sweep_changes(&self, keep: usize) -> Result<u64, StoreError>;

    /// Returns when there may be something new, or never: only a hint, to be quick.
    async fn hint(&self) {
        std::future::pending::<()>().await;
    }
}

/// How far one replica has read.
pub struct FeedReader {
    store: Arc<dyn Store>,
    place: Place,
}

enum Place {
    /// Something may have been missed.
    Lost,
    /// Everything up to this change is known; `None`: there was none yet.
    After(Option<Change>),
}

/// What there is to hear.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// These, in their order. None: nothing is new; otherwise there may be more.
    Changes(Vec<Change>),
    /// What happened meanwhile cannot be told one by one: everything has to be looked at anew, and then
    /// [`FeedReader::found_again`] be called.
    Everything,
}

impl FeedReader {
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, place: Place::Lost }
    }

    /// What is new since the last time.
    ///
    /// # Errors
    /// Where the store is away. Then, when it is back, everything has to be looked at anew: a server that crashed or
    /// was replaced may have lost the last changes, and given their numbers to others.
    pub async fn news(&mut self) -> Result<News, StoreError> {
        let last = match &self.place {
            Place::Lost => return Ok(News::Everything),
            Place::After(last) => last.clone(),
        };
        // The last one again, to see that it is still the same list.
        let found = self.store.changes_from(last.as_ref().map_or(1, |last| last.number)).await;
        let mut found = found.inspect_err(|_| self.place = Place::Lost)?.into_iter();
        let mut new = Vec::new();
        if last.is_some() && found.next() != last {
            self.place = Place::Lost;
            return Ok(News::Everything);
        }
        let mut number = last.map_or(0, |last| last.number);
        for change in found {
            number += 1;
            if change.number != number {
                self.place = Place::Lost;
                return Ok(News::Everything);
            }
            new.push(change);
        }
        if let Some(last) = new.last() {
            self.place = Place::After(Some(last.clone()));
        }
        Ok(News::Changes(new))
    }

    /// Where to go on from once everything was looked at; taken before the look, so that what happens meanwhile is
    /// heard of, too.
    ///
    /// # Errors
    /// Where the store is away.
    pub async fn mark(&self) -> Result<Mark, StoreError> {
        self.store.newest_change().await.map(Mark)
    }

    /// Everything was looked at after `mark` was taken.
    pub fn found_again(&mut self, mark: Mark) {
        self.place = Place::After(mark.0);
    }

    /// What was told could not be done: everything has to be looked at anew.
    pub fn lose(&mut self) {
        self.place = Place::Lost;
    }
}

/// A place in the list; see [`FeedReader::mark`].
pub struct Mark(Option<Change>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::Memory;

    async fn announce(store: &Arc<dyn Store>, keys: &[&str]) {
        for key in keys {
            store.announce(Changed::Session, key).await.unwrap();
        }
    }

    fn keys(news: News) -> Vec<String> {
        match news {
            News::Changes(changes) => changes.into_iter().map(|change| change.key).collect(),
            News::Everything => panic!("everything"),
        }
    }

    async fn reading(store: &Arc<dyn Store>) -> FeedReader {
        let mut reader = FeedReader::new(Arc::clone(store));
        assert_eq!(reader.news().await.unwrap(), News::Everything, "at the beginning nothing is known");
        let mark = reader.mark().await.unwrap();
        reader.found_again(mark);
        reader
    }

    #[tokio::test]
    async fn each_change_is_told_once_and_in_order() {
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        announce(&store, &["before"]).await;
        let mut reader = reading(&store).await;
        assert_eq!(keys(reader.news().await.unwrap()), [""; 0]);
        announce(&store, &["a", "b"]).await;
        assert_eq!(keys(reader.news().await.unwrap()), ["a", "b"]);
        announce(&store, &["c"]).await;
        assert_eq!(keys(reader.news().await.unwrap()), ["c"]);
        assert_eq!(keys(reader.news().await.unwrap()), [""; 0]);
    }

    #[tokio::test]
    async fn the_very_first_change_is_told_too() {
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        let mut reader = reading(&store).await;
        assert_eq!(keys(reader.news().await.unwrap()), [""; 0]);
        announce(&store, &["first"]).await;
        assert_eq!(keys(reader.news().await.unwrap()), ["first"]);
    }

    #[tokio::test]
    async fn what_happens_after_the_mark_is_told_after_the_look_at_everything() {
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        let mut reader = FeedReader::new(Arc::clone(&store));
        let mark = reader.mark().await.unwrap();
        announce(&store, &["meanwhile"]).await;
        reader.found_again(mark);
        assert_eq!(keys(reader.news().await.unwrap()), ["meanwhile"]);
    }

    #[tokio::test]
    async fn who_slept_through_what_was_swept_looks_at_everything() {
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        let mut reader = reading(&store).await;
        announce(&store, &["a", "b", "c"]).await;
        store.sweep_changes(2).await.unwrap();
        assert_eq!(reader.news().await.unwrap(), News::Everything);

        let mut reader = reading(&store).await;
        announce(&store, &["d", "e"]).await;
        store.sweep_changes(1).await.unwrap();
        assert_eq!(reader.news().await.unwrap(), News::Everything);
        assert_eq!(reader.news().await.unwrap(), News::Everything, "until it did");
    }

    /// A server that crashed may give a number twice.
    #[tokio::test]
    async fn another_change_of_the_same_number_is_noticed() {
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        announce(&store, &["a", "b"]).await;
        let mut reader = reading(&store).await;
        reader.found_again(Mark(Some(Change { number: 2, what: Changed::Session, key: "lost".to_owned() })));
        assert_eq!(reader.news().await.unwrap(), News::Everything);
        reader.found_again(Mark(Some(Change { number: 3, what: Changed::Session, key: "lost".to_owned() })));
        assert_eq!(reader.news().await.unwrap(), News::Everything, "or not again yet");
    }

    #[test]
    fn a_change_of_a_sort_of_tomorrow_is_passed_over() {
        let read = |word: &str| serde_json::from_value::<Changed>(word.into()).unwrap();
        assert_eq!((read("session"), read("weather")), (Changed::Session, Changed::Other));
    }

    #[test]
    fn a_session_is_its_changes_key_and_nothing_else_is() {
        let hash = SessionHash(std::array::from_fn(|place| u8::try_from(place * 8 % 256).unwrap()));
        assert_eq!(session_of(&session_key(&hash)), Some(hash));
        for key in ["", "00", &"g0".repeat(32), &"é".repeat(32), &"0".repeat(63), &"0".repeat(65)] {
            assert_eq!(session_of(key), None, "{key}");
        }
    }
}
