//! Sign-ins that wait for an administrator.

use async_trait::async_trait;
use sqlx::Row as _;

use super::{Database, Lasting, Record, Transaction, sql};
use crate::model::case::{Asked, Case, CaseId, CaseStanding, Decided};
use crate::model::{AccountId, IdpId, MemberId, Subject, UnixTime};
use crate::store::StoreError;
use crate::store::cases::{CaseStore, OpenedCase};
use crate::store::columns::{json, read_json, read_word, unknown, word};

/// What stands before the condition.
macro_rules! cases_where {
    ($condition:literal) => {
        concat!(
            "SELECT id, idp, subject, account, facts, standing, decided_by, decided_at, opened_at, asked_at, \
             expires_at, led_to, revision FROM cases WHERE ",
            $condition
        )
    };
}

#[async_trait]
impl CaseStore for Database {
    async fn open_case(&self, case: &Case, most: usize) -> Result<OpenedCase, StoreError> {
        let act = "open_case";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let known = sqlx::query(cases_where!("idp = $1 AND subject = $2 AND account = $3"))
            .bind(case.idp.as_str())
            .bind(case.subject.as_str())
            .bind(&case.account.0)
            .fetch_optional(&mut *tx)
            .await
            .map_err(self.fails(act))?
            .map(|row| self.case(act, &row))
            .transpose()?;
        let opened = match known {
            None => {
                let others: i64 =
                    sqlx::query_scalar("SELECT COUNT(*) FROM cases WHERE idp = $1 AND subject = $2")
                        .bind(case.idp.as_str())
                        .bind(case.subject.as_str())
                        .fetch_one(&mut *tx)
                        .await
                        .map_err(self.fails(act))?;
                if others >= sql(most) {
                    return Ok(OpenedCase::TooMany);
                }
                self.insert_case(act, &mut tx, case).await?;
                OpenedCase::Opened(case.clone())
            }
            Some(known) => match known.asked(case) {
                Asked::Decided => return Ok(OpenedCase::Decided(known)),
                Asked::Waits(now) => {
                    self.replace_case(act, &mut tx, &now).await?;
                    OpenedCase::Waiting(now)
                }
                Asked::Anew(now) => {
                    self.replace_case(act, &mut tx, &now).await?;
                    OpenedCase::Opened(now)
                }
            },
        };
        self.commit(act, tx).await?;
        Ok(opened)
    }

    async fn find_case(&self, id: CaseId) -> Result<Option<Case>, StoreError> {
        let act = "find_case";
        sqlx::query(cases_where!("id = $1"))
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(self.fails(act))?
            .map(|row| self.case(act, &row))
            .transpose()
    }

    async fn find_case_of(
        &self,
        idp: &IdpId,
        subject: &Subject,
        account: &AccountId,
    ) -> Result<Option<Case>, StoreError> {
        let act = "find_case_of";
        sqlx::query(cases_where!("idp = $1 AND subject = $2 AND account = $3"))
            .bind(idp.as_str())
            .bind(subject.as_str())
            .bind(&account.0)
            .fetch_optional(&self.readers)
            .await
            .map_err(self.fails(act))?
            .map(|row| self.case(act, &row))
            .transpose()
    }

    async fn list_cases(
        &self,
        standing: Option<CaseStanding>,
        before: Option<CaseId>,
        limit: usize,
    ) -> Result<Vec<Case>, StoreError> {
        let act = "list_cases";
        // No id comes after this one.
        let before = before.map_or_else(|| "g".to_owned(), |id| id.to_string());
        let query = match standing {
            Some(standing) => {
                sqlx::query(cases_where!("standing = $3 AND id < $1 ORDER BY id DESC LIMIT $2"))
                    .bind(before)
                    .bind(sql(limit))
                    .bind(word(act, &standing)?)
            }
            None => {
                sqlx::query(cases_where!("id < $1 ORDER BY id DESC LIMIT $2")).bind(before).bind(sql(limit))
            }
        };
        query
            .fetch_all(&self.readers)
            .await
            .map_err(self.fails(act))?
            .iter()
            .map(|row| self.case(act, row))
            .collect()
    }

    async fn change_case(&self, case: &Case) -> Result<bool, StoreError> {
        let act = "change_case";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let changed = sqlx::query(
            "UPDATE cases SET standing = $3, decided_by = $4, decided_at = $5, expires_at = $6, led_to = $7, \
             revision = $2 WHERE id = $1 AND revision = $2 - 1",
        )
        .bind(case.id.to_string())
        .bind(case.revision)
        .bind(word(act, &case.standing)?)
        .bind(case.decided.as_ref().map(|decided| decided.by.as_str()))
        .bind(case.decided.as_ref().map(|decided| decided.at.0))
        .bind(case.expires_at.map(|end| end.0))
        .bind(case.led_to.map(|member| member.to_string()))
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        Ok(changed.rows_affected() > 0)
    }

    async fn drop_case(&self, id: CaseId, revision: i64) -> Result<bool, StoreError> {
        let act = "drop_case";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let dropped = sqlx::query("DELETE FROM cases WHERE id = $1 AND revision = $2")
            .bind(id.to_string())
            .bind(revision)
            .execute(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        Ok(dropped.rows_affected() > 0)
    }

    async fn forget_cases(
        &self,
        identities: &[(IdpId, Subject)],
        member: MemberId,
        account: Option<&AccountId>,
    ) -> Result<u64, StoreError> {
        let act = "forget_cases";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let (mut forgotten, mut denied) = (0, Vec::new());
        for (idp, subject) in identities {
            let dropped =
                sqlx::query("DELETE FROM cases WHERE idp = $1 AND subject = $2 AND standing <> 'denied'")
                    .bind(idp.as_str())
                    .bind(subject.as_str())
                    .execute(&mut *tx)
                    .await
                    .map_err(self.fails(act))?;
            forgotten += dropped.rows_affected();
            let left = sqlx::query(cases_where!("idp = $1 AND subject = $2"))
                .bind(idp.as_str())
                .bind(subject.as_str())
                .fetch_all(&mut *tx)
                .await
                .map_err(self.fails(act))?;
            denied.extend(left);
        }
        // As it is written: within a text a quotation mark has a backslash before it.
        let tells = format!("%\"member\":\"{member}\"%");
        let member = member.to_string();
        let account = account.map(|account| account.0.as_str());
        let dropped = sqlx::query(
            "DELETE FROM cases WHERE (account = $1 OR led_to = $2 OR facts LIKE $3) AND standing <> 'denied'",
        )
        .bind(account)
        .bind(&member)
        .bind(&tells)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        forgotten += dropped.rows_affected();
        let left = sqlx::query(cases_where!("account = $1 OR led_to = $2 OR facts LIKE $3"))
            .bind(account)
            .bind(&member)
            .bind(&tells)
            .fetch_all(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        denied.extend(left);
        for row in denied {
            let case = self.case(act, &row)?;
            let blanked = case.facts.blanked();
            if case.facts == blanked {
                continue;
            }
            // One that both of these found is there once.
            let changed = sqlx::query(
                "UPDATE cases SET facts = $3, revision = revision + 1 WHERE id = $1 AND revision = $2",
            )
            .bind(case.id.to_string())
            .bind(case.revision)
            .bind(json(act, &blanked)?)
            .execute(&mut *tx)
            .await
            .map_err(self.fails(act))?;
            forgotten += changed.rows_affected();
        }
        self.commit(act, tx).await?;
        Ok(forgotten)
    }

    async fn sweep_cases(&self, now: UnixTime) -> Result<u64, StoreError> {
        let act = "sweep_cases";
        // Most sweeps find nothing, and should not wait for those who write.
        let over: Option<String> = sqlx::query_scalar(
            "SELECT id FROM cases WHERE expires_at IS NOT NULL AND expires_at <= $1 LIMIT 1",
        )
        .bind(now.0)
        .fetch_optional(&self.readers)
        .await
        .map_err(self.fails(act))?;
        if over.is_none() {
            return Ok(0);
        }
        let mut tx = self.write(act, Lasting::Crash).await?;
        let swept = sqlx::query("DELETE FROM cases WHERE expires_at IS NOT NULL AND expires_at <= $1")
            .bind(now.0)
            .execute(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        Ok(swept.rows_affected())
    }
}

impl Database {
    async fn insert_case(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        case: &Case,
    ) -> Result<(), StoreError> {
        let inserted = sqlx::query(
            "INSERT INTO cases (id, idp, subject, account, facts, standing, decided_by, decided_at, opened_at, \
             asked_at, expires_at, led_to, revision) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, \
             $13) ON CONFLICT (id) DO NOTHING",
        )
        .bind(case.id.to_string())
        .bind(case.idp.as_str())
        .bind(case.subject.as_str())
        .bind(&case.account.0)
        .bind(json(act, &case.facts)?)
        .bind(word(act, &case.standing)?)
        .bind(case.decided.as_ref().map(|decided| decided.by.as_str()))
        .bind(case.decided.as_ref().map(|decided| decided.at.0))
        .bind(case.opened_at.0)
        .bind(case.asked_at.0)
        .bind(case.expires_at.map(|end| end.0))
        .bind(case.led_to.map(|member| member.to_string()))
        .bind(case.revision)
        .execute(&mut **tx)
        .await
        .map_err(self.fails(act))?;
        if inserted.rows_affected() == 0 {
            return Err(StoreError::Conflict { act, what: "a case of this id" });
        }
        Ok(())
    }

    async fn replace_case(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        case: &Case,
    ) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM cases WHERE id = $1")
            .bind(case.id.to_string())
            .execute(&mut **tx)
            .await
            .map_err(self.fails(act))?;
        self.insert_case(act, tx, case).await
    }

    fn case(&self, act: &'static str, row: &Record) -> Result<Case, StoreError> {
        const CASE: &str = "case";
        let text = |column: &str| row.try_get::<String, _>(column).map_err(self.fails(act));
        let number = |column: &str| row.try_get::<i64, _>(column).map_err(self.fails(act));
        let maybe_text = |column: &str| row.try_get::<Option<String>, _>(column).map_err(self.fails(act));
        let maybe_time = |column: &str| {
            let read = row.try_get::<Option<i64>, _>(column).map_err(self.fails(act));
            read.map(|at| at.map(UnixTime))
        };
        let standing: CaseStanding = read_word(CASE, text("standing")?, "standing")?;
        let led_to = maybe_text("led_to")?.map(|id| id.parse().map(MemberId)).transpose();
        let decided = match (maybe_text("decided_by")?, maybe_time("decided_at")?) {
            (Some(by), Some(at)) => Some(Decided { by, at }),
            (_, _) => None,
        };
        Ok(Case {
            id: CaseId(text("id")?.parse().map_err(|_| unknown(CASE, "id"))?),
            idp: text("idp")?.parse().map_err(|_| unknown(CASE, "identity provider"))?,
            subject: Subject::parse(&text("subject")?).ok_or_else(|| unknown(CASE, "subject"))?,
            account: AccountId(text("account")?),
            facts: read_json(CASE, &text("facts")?, "facts")?,
            standing,
            decided,
            opened_at: UnixTime(number("opened_at")?),
            asked_at: UnixTime(number("asked_at")?),
            expires_at: maybe_time("expires_at")?,
            led_to: led_to.map_err(|_| unknown(CASE, "member"))?,
            revision: number("revision")?,
        })
    }
}
