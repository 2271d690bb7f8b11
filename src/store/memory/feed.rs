//! The list of changes in memory.

use async_trait::async_trait;

use super::Memory;
use crate::store::StoreError;
use crate::store::feed::{Change, Changed, FeedStore, PAGE};

/// In their order, without gaps.
#[derive(Default)]
pub(super) struct Changes(Vec<Change>);

impl Changes {
    pub(super) fn note(&mut self, what: Changed, key: String) {
        let number = self.0.last().map_or(0, |last| last.number) + 1;
        self.0.push(Change { number, what, key });
    }
}

#[async_trait]
impl FeedStore for Memory {
    async fn newest_change(&self) -> Result<Option<Change>, StoreError> {
        Ok(self.tables().sessions.changes.0.last().cloned())
    }

    async fn changes_from(&self, number: i64) -> Result<Vec<Change>, StoreError> {
        let tables = self.tables();
        let new = tables.sessions.changes.0.iter().filter(|change| change.number >= number);
        Ok(new.take(PAGE).cloned().collect())
    }

    async fn announce(&self, what: Changed, key: &str) -> Result<(), StoreError> {
        self.tables().sessions.changes.note(what, key.to_owned());
        Ok(())
    }

    async fn sweep_changes(&self, keep: usize) -> Result<u64, StoreError> {
        let changes = &mut self.tables().sessions.changes.0;
        let going = changes.len().saturating_sub(keep.max(1));
        changes.drain(..going);
        Ok(u64::try_from(going).unwrap_or(u64::MAX))
    }
}
