//! Messages that wait to be sent, in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use uuid::Uuid;

use super::Memory;
use crate::model::UnixTime;
use crate::model::letter::{ClaimedLetter, Letter};
use crate::store::{OutboxStore, StoreError};

#[derive(Default)]
pub(super) struct Outbox {
    rows: BTreeMap<Uuid, Row>,
}

struct Row {
    claimed: ClaimedLetter,
    due_at: UnixTime,
    /// Who is sending it, and until when nobody else may.
    held: Option<(u64, UnixTime)>,
}

impl Outbox {
    pub(super) fn put(&mut self, letters: &[Letter]) {
        for letter in letters {
            self.rows.entry(letter.id).or_insert_with(|| Row {
                claimed: ClaimedLetter { letter: letter.clone(), attempts: 0 },
                due_at: letter.written_at,
                held: None,
            });
        }
    }

    /// Drops those that are so; how many.
    pub(super) fn forget(&mut self, is: impl Fn(&Letter) -> bool) -> u64 {
        let before = self.rows.len();
        self.rows.retain(|_, row| !is(&row.claimed.letter));
        (before - self.rows.len()) as u64
    }

    fn held_by(&mut self, id: Uuid, holder: u64) -> Option<&mut Row> {
        self.rows.get_mut(&id).filter(|row| row.held.is_some_and(|(by, _)| by == holder))
    }
}

#[async_trait]
impl OutboxStore for Memory {
    async fn put_letters(&self, letters: &[Letter]) -> Result<(), StoreError> {
        self.tables().outbox.put(letters);
        Ok(())
    }

    async fn claim_letters(
        &self,
        holder: u64,
        now: UnixTime,
        until: UnixTime,
        limit: usize,
    ) -> Result<Vec<ClaimedLetter>, StoreError> {
        let mut tables = self.tables();
        let free = |row: &&mut Row| row.due_at <= now && row.held.is_none_or(|(_, held)| held <= now);
        let mut due: Vec<&mut Row> = tables.outbox.rows.values_mut().filter(free).collect();
        due.sort_by_key(|row| (row.due_at, row.claimed.letter.id));
        let mut claimed = Vec::new();
        for row in due.into_iter().take(limit) {
            row.held = Some((holder, until));
            claimed.push(row.claimed.clone());
        }
        claimed.sort_by_key(|one| (one.letter.written_at, one.letter.id));
        Ok(claimed)
    }

    async fn put_off_letter(&self, id: Uuid, holder: u64, due_at: UnixTime) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let Some(row) = tables.outbox.held_by(id, holder) else { return Ok(false) };
        row.claimed.attempts += 1;
        row.due_at = due_at;
        row.held = None;
        Ok(true)
    }

    async fn drop_letter(&self, id: Uuid, holder: u64) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let held = tables.outbox.held_by(id, holder).is_some();
        if held {
            tables.outbox.rows.remove(&id);
        }
        Ok(held)
    }
}
