//! Explanations of sign-ins, and the outcomes of shadow mode.

use async_trait::async_trait;

use super::{Database, Lasting, sql};
use crate::model::{ErrorId, IdpId, Subject, UnixTime};
use crate::store::StoreError;
use crate::store::rehearsals::{MAX_TOLD, Outcome, RehearsalStore};

#[async_trait]
impl RehearsalStore for Database {
    async fn tell_login(
        &self,
        id: &ErrorId,
        idp: &IdpId,
        subject: &Subject,
        record: &str,
    ) -> Result<(), StoreError> {
        let act = "tell_login";
        let mut tx = self.write(act, Lasting::Crash).await?;
        sqlx::query(
            "INSERT INTO told_logins (id, idp, subject, record) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(id.as_str())
        .bind(idp.as_str())
        .bind(subject.as_str())
        .bind(record)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        // Two look-ups at the ends of the table tell that there cannot be too many, nearly always.
        let span: Option<i64> = sqlx::query_scalar(
            "SELECT (SELECT MAX(ordinal) FROM told_logins) - (SELECT MIN(ordinal) FROM told_logins)",
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        if span.unwrap_or(0) >= sql(MAX_TOLD) {
            sqlx::query(
                "DELETE FROM told_logins WHERE ordinal <= \
                 (SELECT ordinal FROM told_logins ORDER BY ordinal DESC LIMIT 1 OFFSET $1)",
            )
            .bind(sql(MAX_TOLD))
            .execute(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        }
        self.commit(act, tx).await
    }

    async fn find_told(&self, id: &str) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar("SELECT record FROM told_logins WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.readers)
            .await
            .map_err(self.fails("find_told"))
    }

    async fn record_outcome(&self, outcome: &Outcome) -> Result<(), StoreError> {
        let act = "record_outcome";
        let mut tx = self.write(act, Lasting::Crash).await?;
        sqlx::query(
            "INSERT INTO shadow_outcomes (idp, subject, at, record) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (idp, subject) DO UPDATE SET at = excluded.at, record = excluded.record \
             WHERE excluded.at >= shadow_outcomes.at",
        )
        .bind(outcome.idp.as_str())
        .bind(outcome.subject.as_str())
        .bind(outcome.at.0)
        .bind(&outcome.record)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        self.commit(act, tx).await
    }

    async fn list_outcomes(
        &self,
        after: Option<(&IdpId, &Subject)>,
        limit: usize,
    ) -> Result<Vec<Outcome>, StoreError> {
        let act = "list_outcomes";
        // No id is empty, so the empty one comes before all.
        let (idp, subject) = after.map_or(("", ""), |(idp, subject)| (idp.as_str(), subject.as_str()));
        let rows: Vec<(String, String, i64, String)> = sqlx::query_as(
            "SELECT idp, subject, at, record FROM shadow_outcomes \
             WHERE idp > $1 OR (idp = $1 AND subject > $2) ORDER BY idp, subject LIMIT $3",
        )
        .bind(idp)
        .bind(subject)
        .bind(sql(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(self.fails(act))?;
        let unreadable = |reason: String| StoreError::Unreadable { what: "shadow outcome", reason };
        let read = |(idp, subject, at, record): (String, String, i64, String)| {
            let idp = idp.parse().map_err(|error| unreadable(format!("its identity provider: {error}")))?;
            let subject = Subject::parse(&subject).ok_or_else(|| unreadable("its subject".to_owned()))?;
            Ok(Outcome { idp, subject, at: UnixTime(at), record })
        };
        rows.into_iter().map(read).collect()
    }

    async fn forget_outcomes(&self) -> Result<u64, StoreError> {
        let act = "forget_outcomes";
        let mut tx = self.write(act, Lasting::Crash).await?;
        let forgotten =
            sqlx::query("DELETE FROM shadow_outcomes").execute(&mut *tx).await.map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        Ok(forgotten.rows_affected())
    }

    async fn forget_person(&self, idp: &IdpId, subject: &Subject) -> Result<u64, StoreError> {
        let act = "forget_person";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let mut went = 0;
        for statement in [
            "DELETE FROM told_logins WHERE idp = $1 AND subject = $2",
            "DELETE FROM shadow_outcomes WHERE idp = $1 AND subject = $2",
        ] {
            let forgotten = sqlx::query(statement)
                .bind(idp.as_str())
                .bind(subject.as_str())
                .execute(&mut *tx)
                .await
                .map_err(self.fails(act))?;
            went += forgotten.rows_affected();
        }
        self.commit(act, tx).await?;
        Ok(went)
    }
}
