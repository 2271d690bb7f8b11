//! Messages that wait to be sent.

use async_trait::async_trait;
use uuid::Uuid;

use super::{Database, Lasting, Transaction, sql};
use crate::model::UnixTime;
use crate::model::letter::{Channel, ClaimedLetter, Letter};
use crate::store::{OutboxStore, StoreError};

#[async_trait]
impl OutboxStore for Database {
    async fn put_letters(&self, letters: &[Letter]) -> Result<(), StoreError> {
        let act = "put_letters";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        self.insert_letters(act, &mut tx, letters).await?;
        self.commit(act, tx).await
    }

    async fn claim_letters(
        &self,
        holder: u64,
        now: UnixTime,
        until: UnixTime,
        limit: usize,
    ) -> Result<Vec<ClaimedLetter>, StoreError> {
        let act = "claim_letters";
        let mut tx = self.write(act, Lasting::Crash).await?;
        // The condition stands twice: where two claim at once, the second looks at the row again.
        let rows: Vec<LetterRow> = sqlx::query_as(
            "UPDATE outbox SET holder = $1, held_until = $2 WHERE id IN (SELECT id FROM outbox \
             WHERE due_at <= $3 AND held_until <= $3 ORDER BY due_at, id LIMIT $4) AND held_until <= $3 \
             RETURNING id, channel, recipient, subject, body, written_at, attempts",
        )
        .bind(holder.cast_signed())
        .bind(until.0)
        .bind(now.0)
        .bind(sql(limit))
        .fetch_all(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        let mut claimed = rows.into_iter().map(letter).collect::<Result<Vec<_>, _>>()?;
        claimed.sort_by_key(|one| (one.letter.written_at, one.letter.id));
        Ok(claimed)
    }

    async fn put_off_letter(&self, id: Uuid, holder: u64, due_at: UnixTime) -> Result<bool, StoreError> {
        let act = "put_off_letter";
        let mut tx = self.write(act, Lasting::Crash).await?;
        let put_off = sqlx::query(
            "UPDATE outbox SET attempts = attempts + 1, due_at = $1, holder = 0, held_until = 0 \
             WHERE id = $2 AND holder = $3",
        )
        .bind(due_at.0)
        .bind(id.to_string())
        .bind(holder.cast_signed())
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        Ok(put_off.rows_affected() > 0)
    }

    async fn drop_letter(&self, id: Uuid, holder: u64) -> Result<bool, StoreError> {
        let act = "drop_letter";
        let mut tx = self.write(act, Lasting::Crash).await?;
        let dropped = sqlx::query("DELETE FROM outbox WHERE id = $1 AND holder = $2")
            .bind(id.to_string())
            .bind(holder.cast_signed())
            .execute(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        Ok(dropped.rows_affected() > 0)
    }
}

impl Database {
    pub(super) async fn insert_letters(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        letters: &[Letter],
    ) -> Result<(), StoreError> {
        for letter in letters {
            sqlx::query(
                "INSERT INTO outbox (id, channel, recipient, subject, body, written_at, due_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT DO NOTHING",
            )
            .bind(letter.id.to_string())
            .bind(letter.channel.as_str())
            .bind(&letter.recipient)
            .bind(&letter.subject)
            .bind(&letter.body)
            .bind(letter.written_at.0)
            .execute(&mut **tx)
            .await
            .map_err(self.fails(act))?;
        }
        Ok(())
    }
}

/// id, channel, recipient, subject, body, written_at, attempts
type LetterRow = (String, String, String, String, String, i64, i64);

fn letter(row: LetterRow) -> Result<ClaimedLetter, StoreError> {
    let (id, channel, recipient, subject, body, written_at, attempts) = row;
    let unreadable = |of: &str| StoreError::Unreadable {
        what: "letter",
        reason: format!("its {of} is not what it was written as"),
    };
    let letter = Letter {
        id: Uuid::try_parse(&id).map_err(|_| unreadable("id"))?,
        channel: Channel::ALL
            .into_iter()
            .find(|known| known.as_str() == channel)
            .ok_or_else(|| unreadable("channel"))?,
        recipient,
        subject,
        body,
        written_at: UnixTime(written_at),
    };
    Ok(ClaimedLetter { letter, attempts: u32::try_from(attempts).unwrap_or(u32::MAX) })
}
