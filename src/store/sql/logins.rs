//! Logins in flight.

use async_trait::async_trait;

use super::{Database, Lasting, sql};
use crate::model::login::{MAX_PER_BROWSER, MAX_REFUSALS};
use crate::model::{BrowserHash, ErrorId, LoginAttempt, ReturnTo, Secret, StateHash, UnixTime};
use crate::store::{LoginStore, StoreError, TakenLogin};

const CONFLICT: &str = "a login of this state";

#[async_trait]
impl LoginStore for Database {
    async fn put_login(&self, attempt: &LoginAttempt) -> Result<(), StoreError> {
        let act = "put_login";
        let mut tx = self.write(act, Lasting::Crash).await?;
        let inserted = sqlx::query(
            "INSERT INTO logins (state, browser, idp, nonce, pkce_verifier, return_to, begun_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (state) DO NOTHING",
        )
        .bind(attempt.state.0.as_slice())
        .bind(attempt.browser.0.as_slice())
        .bind(attempt.idp.as_str())
        .bind(&attempt.nonce)
        .bind(attempt.pkce_verifier.expose())
        .bind(attempt.return_to.as_str())
        .bind(attempt.begun_at.0)
        .bind(attempt.expires_at.0)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        if inserted.rows_affected() == 0 {
            return Err(StoreError::Conflict { act, what: CONFLICT });
        }
        // Beyond the limit those go that are of least use: taken ones, then the oldest.
        sqlx::query(
            "DELETE FROM logins WHERE ordinal IN (SELECT ordinal FROM logins WHERE browser = $1 \
             ORDER BY taken, ordinal DESC LIMIT 1000 OFFSET $2)",
        )
        .bind(attempt.browser.0.as_slice())
        .bind(sql(MAX_PER_BROWSER))
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        // Two look-ups at the ends of the table tell that there cannot be too many, nearly always.
        let span: Option<i64> = sqlx::query_scalar(
            "SELECT (SELECT MAX(ordinal) FROM logins) - (SELECT MIN(ordinal) FROM logins)",
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        if span.unwrap_or(0) >= sql(self.max_in_flight) {
            sqlx::query(
                "DELETE FROM logins WHERE ordinal <= \
                 (SELECT ordinal FROM logins ORDER BY ordinal DESC LIMIT 1 OFFSET $1)",
            )
            .bind(sql(self.max_in_flight))
            .execute(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        }
        self.commit(act, tx).await
    }

    async fn take_login(
        &self,
        state: &StateHash,
        browser: Option<&BrowserHash>,
        now: UnixTime,
    ) -> Result<TakenLogin, StoreError> {
        let act = "take_login";
        // SECURITY: anybody may bring an answer, and the same one again and again. Whoever writes waits for one another;
        // so what cannot be taken is told without a write.
        let Some(row) = self.login(act, state, now).await? else { return Ok(TakenLogin::Unknown) };
        let (of_browser, idp, nonce, verifier, return_to, begun_at, expires_at, taken) = row;
        let unreadable = |reason: String| StoreError::Unreadable { what: "login", reason };
        let return_to = ReturnTo::parse(&return_to)
            .ok_or_else(|| unreadable("where it returns to is no path of this site".to_owned()))?;
        let browser = match browser {
            Some(browser) if browser.0.as_slice() == of_browser => *browser,
            Some(_) | None => return Ok(TakenLogin::Foreign(return_to)),
        };
        if taken != 0 {
            return Ok(TakenLogin::Used(return_to));
        }
        let idp = idp.parse().map_err(|error| unreadable(format!("its identity provider: {error}")))?;
        // Of several that came this far at once, one takes it. Nothing but this changes what was read.
        let mut tx = self.write(act, Lasting::Crash).await?;
        let took = sqlx::query(
            "UPDATE logins SET taken = 1, nonce = '', pkce_verifier = '' WHERE state = $1 AND taken = 0",
        )
        .bind(state.0.as_slice())
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        if took.rows_affected() == 0 {
            let there = self.login(act, state, now).await?.is_some();
            return Ok(if there { TakenLogin::Used(return_to) } else { TakenLogin::Unknown });
        }
        Ok(TakenLogin::Fresh(Box::new(LoginAttempt {
            state: *state,
            browser,
            idp,
            nonce,
            pkce_verifier: Secret::new(verifier),
            return_to,
            begun_at: UnixTime(begun_at),
            expires_at: UnixTime(expires_at),
        })))
    }

    async fn park(&self, id: &StateHash, sealed: &[u8], expires_at: UnixTime) -> Result<(), StoreError> {
        let act = "park";
        let mut tx = self.write(act, Lasting::Crash).await?;
        let inserted = sqlx::query(
            "INSERT INTO parked (id, sealed, expires_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
        )
        .bind(id.0.as_slice())
        .bind(sealed)
        .bind(expires_at.0)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        if inserted.rows_affected() == 0 {
            return Err(StoreError::Conflict { act, what: "something parked under this id" });
        }
        let span: Option<i64> = sqlx::query_scalar(
            "SELECT (SELECT MAX(ordinal) FROM parked) - (SELECT MIN(ordinal) FROM parked)",
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        if span.unwrap_or(0) >= sql(self.max_in_flight) {
            sqlx::query(
                "DELETE FROM parked WHERE ordinal <= \
                 (SELECT ordinal FROM parked ORDER BY ordinal DESC LIMIT 1 OFFSET $1)",
            )
            .bind(sql(self.max_in_flight))
            .execute(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        }
        self.commit(act, tx).await
    }

    async fn take_parked(&self, id: &StateHash, now: UnixTime) -> Result<Option<Vec<u8>>, StoreError> {
        let act = "take_parked";
        // SECURITY: as in `take_login`.
        let there: Option<(i64,)> =
            sqlx::query_as("SELECT expires_at FROM parked WHERE id = $1 AND expires_at > $2")
                .bind(id.0.as_slice())
                .bind(now.0)
                .fetch_optional(&self.readers)
                .await
                .map_err(self.fails(act))?;
        if there.is_none() {
            return Ok(None);
        }
        let mut tx = self.write(act, Lasting::Crash).await?;
        let row: Option<(Vec<u8>, i64)> =
            sqlx::query_as("DELETE FROM parked WHERE id = $1 RETURNING sealed, expires_at")
                .bind(id.0.as_slice())
                .fetch_optional(&mut *tx)
                .await
                .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        Ok(row.and_then(|(sealed, expires_at)| (now.0 < expires_at).then_some(sealed)))
    }

    async fn first_use(&self, digest: &[u8; 32], expires_at: UnixTime) -> Result<bool, StoreError> {
        let act = "first_use";
        // SECURITY: as in `take_login`.
        let known: Option<(i64,)> = sqlx::query_as("SELECT expires_at FROM used WHERE digest = $1")
            .bind(digest.as_slice())
            .fetch_optional(&self.readers)
            .await
            .map_err(self.fails(act))?;
        if known.is_some() {
            return Ok(false);
        }
        // SECURITY: what a power cut took back could be used again.
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let inserted = sqlx::query(
            "INSERT INTO used (digest, expires_at) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING",
        )
        .bind(digest.as_slice())
        .bind(expires_at.0)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        Ok(inserted.rows_affected() == 1)
    }

    async fn record_refusal(&self, id: &ErrorId, record: &str) -> Result<(), StoreError> {
        let act = "record_refusal";
        let mut tx = self.write(act, Lasting::Crash).await?;
        for statement in [
            "INSERT INTO refusals (error_id, record) VALUES ($1, $2) ON CONFLICT (error_id) DO NOTHING",
            "DELETE FROM refusals WHERE ordinal <= \
             (SELECT ordinal FROM refusals ORDER BY ordinal DESC LIMIT 1 OFFSET $3)",
        ] {
            sqlx::query(statement)
                .bind(id.as_str())
                .bind(record)
                .bind(sql(MAX_REFUSALS))
                .execute(&mut *tx)
                .await
                .map_err(self.fails(act))?;
        }
        self.commit(act, tx).await
    }

    async fn find_refusal(&self, id: &str) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar("SELECT record FROM refusals WHERE error_id = $1")
            .bind(id)
            .fetch_optional(&self.readers)
            .await
            .map_err(self.fails("find_refusal"))
    }

    async fn sweep_logins(&self, now: UnixTime) -> Result<u64, StoreError> {
        let act = "sweep_logins";
        let mut tx = self.write(act, Lasting::Crash).await?;
        let mut went = 0;
        for statement in [
            "DELETE FROM logins WHERE expires_at <= $1",
            "DELETE FROM parked WHERE expires_at <= $1",
            "DELETE FROM used WHERE expires_at <= $1",
        ] {
            let swept =
                sqlx::query(statement).bind(now.0).execute(&mut *tx).await.map_err(self.fails(act))?;
            went += swept.rows_affected();
        }
        self.commit(act, tx).await?;
        Ok(went)
    }
}

impl Database {
    /// The login of this state, without a write.
    async fn login(
        &self,
        act: &'static str,
        state: &StateHash,
        now: UnixTime,
    ) -> Result<Option<LoginRow>, StoreError> {
        sqlx::query_as(
            "SELECT browser, idp, nonce, pkce_verifier, return_to, begun_at, expires_at, taken \
             FROM logins WHERE state = $1 AND expires_at > $2",
        )
        .bind(state.0.as_slice())
        .bind(now.0)
        .fetch_optional(&self.readers)
        .await
        .map_err(self.fails(act))
    }
}

/// browser, idp, nonce, pkce_verifier, return_to, begun_at, expires_at, taken
type LoginRow = (Vec<u8>, String, String, String, String, i64, i64, i64);
