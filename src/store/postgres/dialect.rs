//! What the acts need and PostgreSQL does its own way.

use std::collections::HashMap;

use super::{Postgres, Transaction, turns};
use crate::model::{SessionHash, UnixTime};
use crate::store::StoreError;

impl Postgres {
    /// Waits until no other write works on this `key` of `family`; then it is ours until the transaction ends.
    /// Before the act's first statement, or deadlocks are possible.
    pub(super) async fn in_turn(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        family: &'static str,
        key: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(turns::AT_KEY)
            .bind(family)
            .bind(key)
            .execute(&mut **tx)
            .await
            .map(drop)
            .map_err(self.fails(act))
    }

    /// Moves the sessions' last activity forward.
    ///
    /// It waits for nobody: a row that another replica is at just now is being ended, or is told of activity of
    /// the same seconds. So it is part of no deadlock, in whatever order two replicas name their sessions.
    pub(super) async fn note_seen(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        seen: &[(SessionHash, UnixTime)],
    ) -> Result<(), StoreError> {
        let mut latest: HashMap<&[u8], i64> = HashMap::with_capacity(seen.len());
        for (hash, at) in seen {
            let known = latest.entry(hash.0.as_slice()).or_insert(at.0);
            *known = at.0.max(*known);
        }
        let (hashes, times): (Vec<&[u8]>, Vec<i64>) = latest.into_iter().unzip();
        sqlx::query(
            "UPDATE sessions SET last_seen_at = free.at FROM \
             (SELECT s.hash, seen.at FROM sessions s \
             JOIN unnest($1::bytea[], $2::bigint[]) AS seen (hash, at) ON s.hash = seen.hash \
             WHERE s.last_seen_at < seen.at FOR UPDATE OF s SKIP LOCKED) AS free \
             WHERE sessions.hash = free.hash",
        )
        .bind(hashes)
        .bind(times)
        .execute(&mut **tx)
        .await
        .map(drop)
        .map_err(self.fails(act))
    }
}
