//! What the acts need and SQLite does its own way.

use super::{Sqlite, Transaction};
use crate::model::{SessionHash, UnixTime};
use crate::store::StoreError;

impl Sqlite {
    /// Waits until no other write works on this `key` of `family`. There is one writer, so it is our turn already.
    #[expect(clippy::unused_async, reason = "where several write at once, this waits")]
    pub(super) async fn in_turn(
        &self,
        _act: &'static str,
        _tx: &mut Transaction,
        _family: &'static str,
        _key: &str,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    /// Returns when another process may have written: nobody says so.
    pub(super) async fn hinted(&self) {
        std::future::pending::<()>().await;
    }

    /// Moves the sessions' last activity forward.
    pub(super) async fn note_seen(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        seen: &[(SessionHash, UnixTime)],
    ) -> Result<(), StoreError> {
        for (hash, at) in seen {
            sqlx::query("UPDATE sessions SET last_seen_at = $2 WHERE hash = $1 AND last_seen_at < $2")
                .bind(hash.0.as_slice())
                .bind(at.0)
                .execute(&mut **tx)
                .await
                .map_err(self.fails(act))?;
        }
        Ok(())
    }
}
