//! The list of changes that every replica has to hear of.

use async_trait::async_trait;

use super::{Database, Lasting, Transaction, sql};
use crate::store::columns::word;
use crate::store::families::CHANGES;
use crate::store::feed::{Change, Changed, FeedStore, PAGE};
use crate::store::{StoreError, columns};

#[async_trait]
impl FeedStore for Database {
    async fn newest_change(&self) -> Result<Option<Change>, StoreError> {
        let row: Option<(i64, String, String)> =
            sqlx::query_as("SELECT number, what, key FROM changes ORDER BY number DESC LIMIT 1")
                .fetch_optional(&self.readers)
                .await
                .map_err(self.fails("newest_change"))?;
        row.map(change).transpose()
    }

    async fn changes_from(&self, number: i64) -> Result<Vec<Change>, StoreError> {
        let rows: Vec<(i64, String, String)> = sqlx::query_as(
            "SELECT number, what, key FROM changes WHERE number >= $1 ORDER BY number LIMIT $2",
        )
        .bind(number)
        .bind(sql(PAGE))
        .fetch_all(&self.readers)
        .await
        .map_err(self.fails("changes_from"))?;
        rows.into_iter().map(change).collect()
    }

    async fn announce(&self, what: Changed, key: &str) -> Result<(), StoreError> {
        let act = "announce";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        self.note_changes(act, &mut tx, what, &[key]).await?;
        self.commit(act, tx).await
    }

    async fn sweep_changes(&self, keep: usize) -> Result<u64, StoreError> {
        let act = "sweep_changes";
        let mut tx = self.write(act, Lasting::Crash).await?;
        let swept = sqlx::query("DELETE FROM changes WHERE number <= (SELECT MAX(number) FROM changes) - $1")
            .bind(sql(keep.max(1)))
            .execute(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        Ok(swept.rows_affected())
    }

    async fn hint(&self) {
        self.hinted().await;
    }
}

impl Database {
    /// Records in the act's own transaction that these changed. From here until the commit the act has the turn of
    /// all changes, so it comes last, and rows that those who end sessions work on are locked after taking that
    /// turn only.
    pub(super) async fn note_changes(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        what: Changed,
        keys: &[impl AsRef<str> + Sync],
    ) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
        let keys = serde_json::to_string(&keys)
            .map_err(|error| StoreError::Unavailable { act, reason: error.to_string() })?;
        self.in_turn(act, tx, CHANGES, "").await?;
        sqlx::query(
            "INSERT INTO changes (number, what, key) \
             SELECT (SELECT COALESCE(MAX(number), 0) FROM changes) + 1 + one.key, $1, one.value \
             FROM json_each($2) AS one",
        )
        .bind(word(act, &what)?)
        .bind(keys)
        .execute(&mut **tx)
        .await
        .map(drop)
        .map_err(self.fails(act))
    }
}

fn change((number, what, key): (i64, String, String)) -> Result<Change, StoreError> {
    Ok(Change { number, what: columns::read_word("change", what, "sort")?, key })
}
