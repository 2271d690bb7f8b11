//! Keys and fetched documents.

use async_trait::async_trait;

use super::{Database, Lasting};
use crate::model::UnixTime;
use crate::store::{DocumentStore, KeyStore, StoreError, StoredKey};

#[async_trait]
impl KeyStore for Database {
    async fn list_keys(&self, purpose: &str) -> Result<Vec<StoredKey>, StoreError> {
        let rows: Vec<(String, Vec<u8>, i64, i64, i64)> = sqlx::query_as(
            "SELECT id, sealed, published_at, active_at, retired_at FROM keys WHERE purpose = $1 \
             ORDER BY active_at, id",
        )
        .bind(purpose)
        .fetch_all(&self.readers)
        .await
        .map_err(self.fails("list_keys"))?;
        let key = |(id, sealed, published_at, active_at, retired_at)| StoredKey {
            id,
            purpose: purpose.to_owned(),
            sealed,
            published_at: UnixTime(published_at),
            active_at: UnixTime(active_at),
            retired_at: UnixTime(retired_at),
        };
        Ok(rows.into_iter().map(key).collect())
    }

    async fn add_key(&self, key: &StoredKey, after: Option<&str>) -> Result<bool, StoreError> {
        let act = "add_key";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        // The first of its purpose, or after one that is there.
        let (statement, which) = match after {
            None => ("SELECT COUNT(*) FROM keys WHERE purpose = $1 AND id <> $2", ""),
            Some(after) => ("SELECT COUNT(*) FROM keys WHERE purpose = $1 AND id = $2", after),
        };
        let (found,): (i64,) = sqlx::query_as(statement)
            .bind(&key.purpose)
            .bind(which)
            .fetch_one(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        if (found == 0) != after.is_none() {
            return Ok(false);
        }
        let added = sqlx::query(
            "INSERT INTO keys (id, purpose, predecessor, sealed, published_at, active_at, retired_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        )
        .bind(&key.id)
        .bind(&key.purpose)
        .bind(which)
        .bind(key.sealed.as_slice())
        .bind(key.published_at.0)
        .bind(key.active_at.0)
        .bind(key.retired_at.0)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        Ok(added.rows_affected() > 0)
    }

    async fn sweep_keys(&self, now: UnixTime) -> Result<u64, StoreError> {
        let act = "sweep_keys";
        let mut tx = self.write(act, Lasting::Crash).await?;
        let swept = sqlx::query("DELETE FROM keys WHERE retired_at <= $1")
            .bind(now.0)
            .execute(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        Ok(swept.rows_affected())
    }
}

#[async_trait]
impl DocumentStore for Database {
    async fn put_document(&self, name: &str, body: &[u8], fetched_at: UnixTime) -> Result<(), StoreError> {
        let act = "put_document";
        let mut tx = self.write(act, Lasting::Crash).await?;
        sqlx::query(
            "INSERT INTO documents (name, body, fetched_at) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET body = excluded.body, fetched_at = excluded.fetched_at",
        )
        .bind(name)
        .bind(body)
        .bind(fetched_at.0)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        self.commit(act, tx).await
    }

    async fn find_document(&self, name: &str) -> Result<Option<(Vec<u8>, UnixTime)>, StoreError> {
        let row: Option<(Vec<u8>, i64)> =
            sqlx::query_as("SELECT body, fetched_at FROM documents WHERE name = $1")
                .bind(name)
                .fetch_optional(&self.readers)
                .await
                .map_err(self.fails("find_document"))?;
        Ok(row.map(|(body, fetched_at)| (body, UnixTime(fetched_at))))
    }
}
