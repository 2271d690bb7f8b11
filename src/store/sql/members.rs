//! Members, and those in the making.

use async_trait::async_trait;

use super::{Database, Lasting, Transaction, sql};
use crate::model::{AccountId, IdpId, Member, MemberId, Subject, Task, UnixTime};
use crate::store::columns::{json, read_json, read_word, unknown, word};
use crate::store::{CreationIntent, CreationLease, Intended, Landing, MemberStore, StoreError};

#[async_trait]
impl MemberStore for Database {
    async fn find_member(&self, idp: &IdpId, subject: &Subject) -> Result<Option<Member>, StoreError> {
        let act = "find_member";
        let mut tx = self.readers.begin().await.map_err(self.fails(act))?;
        self.member_of_identity(act, &mut tx, idp, subject).await
    }

    async fn find_member_by_account(&self, account: &AccountId) -> Result<Option<Member>, StoreError> {
        let act = "find_member_by_account";
        let mut tx = self.readers.begin().await.map_err(self.fails(act))?;
        self.member_of_account(act, &mut tx, account).await
    }

    async fn find_member_by_id(&self, id: MemberId) -> Result<Option<Member>, StoreError> {
        let act = "find_member_by_id";
        let mut tx = self.readers.begin().await.map_err(self.fails(act))?;
        self.member_of_id(act, &mut tx, &id.to_string()).await
    }

    async fn begin_creation(
        &self,
        idp: &IdpId,
        subject: &Subject,
        holder: u64,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<CreationLease, StoreError> {
        let act = "begin_creation";
        let mut tx = self.write(act, Lasting::Crash).await?;
        let had: Option<(Option<String>, Option<i64>)> = sqlx::query_as(
            "INSERT INTO creations (idp, subject, holder, held_until) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (idp, subject) DO UPDATE \
             SET holder = excluded.holder, held_until = excluded.held_until \
             WHERE creations.holder IS NULL OR creations.holder = excluded.holder \
             OR creations.held_until <= $5 RETURNING intent, intended_at",
        )
        .bind(idp.as_str())
        .bind(subject.as_str())
        .bind(holder.cast_signed())
        .bind(until.0)
        .bind(now.0)
        .fetch_optional(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        if let Some((username, at)) = had {
            self.commit(act, tx).await?;
            let at = UnixTime(at.unwrap_or_default());
            let earlier_intent = username.map(|username| Intended { username, at });
            return Ok(CreationLease::Acquired { earlier_intent });
        }
        // A holder that gave up this very moment leaves none: there is nothing to wait for.
        let until: Option<Option<i64>> =
            sqlx::query_scalar("SELECT held_until FROM creations WHERE idp = $1 AND subject = $2")
                .bind(idp.as_str())
                .bind(subject.as_str())
                .fetch_optional(&mut *tx)
                .await
                .map_err(self.fails(act))?;
        Ok(CreationLease::Busy { until: until.flatten().map_or(now, UnixTime) })
    }

    async fn intend_creation(
        &self,
        idp: &IdpId,
        subject: &Subject,
        holder: u64,
        intent: &CreationIntent,
    ) -> Result<bool, StoreError> {
        let act = "intend_creation";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let intended = sqlx::query(
            "UPDATE creations SET intent = $4, intended_at = $5 WHERE idp = $1 AND subject = $2 AND holder = $3",
        )
        .bind(idp.as_str())
        .bind(subject.as_str())
        .bind(holder.cast_signed())
        .bind(&intent.username)
        .bind(intent.intended_at.0)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        if intended.rows_affected() == 0 {
            return Ok(false);
        }
        if let Some(due_at) = intent.clean_up_at {
            let task = Task::AbandonedCreation {
                idp: idp.clone(),
                subject: subject.clone(),
                username: intent.username.clone(),
                email: intent.email.clone(),
            };
            self.put(act, &mut tx, &task, due_at).await?;
        }
        self.commit(act, tx).await?;
        Ok(true)
    }

    async fn finish_creation(
        &self,
        member: &Member,
        holder: u64,
        landing_until: Option<UnixTime>,
    ) -> Result<Result<(), Member>, StoreError> {
        let act = "finish_creation";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        for (idp, subject) in &member.identities {
            if let Some(rival) = self.member_of_identity(act, &mut tx, idp, subject).await? {
                return Ok(Err(rival));
            }
        }
        if let Some(account) = &member.account
            && let Some(rival) = self.member_of_account(act, &mut tx, account).await?
        {
            return Ok(Err(rival));
        }
        if !self.holds_creation(act, &mut tx, member, holder).await? {
            return Err(StoreError::Gone { act, what: "the right to create this member" });
        }
        self.insert_member(act, &mut tx, member, landing_until).await?;
        for (place, (idp, subject)) in member.identities.iter().enumerate() {
            sqlx::query("INSERT INTO identities (idp, subject, member, place) VALUES ($1, $2, $3, $4)")
                .bind(idp.as_str())
                .bind(subject.as_str())
                .bind(member.id.to_string())
                .bind(sql(place))
                .execute(&mut *tx)
                .await
                .map_err(self.fails(act))?;
            sqlx::query("DELETE FROM creations WHERE idp = $1 AND subject = $2")
                .bind(idp.as_str())
                .bind(subject.as_str())
                .execute(&mut *tx)
                .await
                .map_err(self.fails(act))?;
            self.forget_creation_job(act, &mut tx, idp, subject).await?;
        }
        if let Some(due_at) = landing_until {
            let task = Task::Settle { member: member.id, generation: member.generation };
            self.put(act, &mut tx, &task, due_at).await?;
        }
        self.commit(act, tx).await?;
        Ok(Ok(()))
    }

    async fn abandon_creation(
        &self,
        idp: &IdpId,
        subject: &Subject,
        holder: u64,
        keep_intent: bool,
    ) -> Result<(), StoreError> {
        let act = "abandon_creation";
        // SECURITY: an intent that came back after a power cut would make somebody else's account, found since,
        // pass for our own unfinished creation. A lease that comes back only expires.
        let (lasting, statement) = if keep_intent {
            (
                Lasting::Crash,
                "UPDATE creations SET holder = NULL, held_until = NULL \
                 WHERE idp = $1 AND subject = $2 AND holder = $3",
            )
        } else {
            (Lasting::PowerCut, "DELETE FROM creations WHERE idp = $1 AND subject = $2 AND holder = $3")
        };
        let mut tx = self.write(act, lasting).await?;
        let given_up = sqlx::query(statement)
            .bind(idp.as_str())
            .bind(subject.as_str())
            .bind(holder.cast_signed())
            .execute(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        if given_up.rows_affected() > 0 && !keep_intent {
            self.forget_creation_job(act, &mut tx, idp, subject).await?;
        }
        self.commit(act, tx).await
    }

    async fn record_login(&self, member: &Member, landing: Option<Landing>) -> Result<(), StoreError> {
        let act = "record_login";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let updated = sqlx::query(
            "UPDATE members SET \
             username = CASE WHEN generation <= $2 THEN $3 ELSE username END, \
             email = CASE WHEN generation <= $2 THEN $4 ELSE email END, \
             last_login_at = CASE WHEN last_login_at < $5 THEN $5 ELSE last_login_at END \
             WHERE id = $1",
        )
        .bind(member.id.to_string())
        .bind(i64::from(member.generation))
        .bind(&member.username)
        .bind(&member.email)
        .bind(member.last_login_at.0)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        if updated.rows_affected() == 0 {
            return Err(StoreError::Gone { act, what: "the member" });
        }
        if let Some(Landing { holder, until }) = landing {
            let landed = sqlx::query(
                "UPDATE members SET holder = NULL, held_until = NULL, landing_until = $3 \
                 WHERE id = $1 AND holder = $2",
            )
            .bind(member.id.to_string())
            .bind(holder.cast_signed())
            .bind(until.0)
            .execute(&mut *tx)
            .await
            .map_err(self.fails(act))?;
            if landed.rows_affected() == 0 {
                return Err(StoreError::Gone { act, what: "the right to work on this member" });
            }
            let task = Task::Settle { member: member.id, generation: member.generation };
            self.put_if_absent(act, &mut tx, &task, until).await?;
        }
        self.commit(act, tx).await
    }
}

impl Database {
    async fn holds_creation(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        member: &Member,
        holder: u64,
    ) -> Result<bool, StoreError> {
        for (idp, subject) in &member.identities {
            let held: Option<(i64,)> = sqlx::query_as(
                "SELECT held_until FROM creations WHERE idp = $1 AND subject = $2 AND holder = $3",
            )
            .bind(idp.as_str())
            .bind(subject.as_str())
            .bind(holder.cast_signed())
            .fetch_optional(&mut **tx)
            .await
            .map_err(self.fails(act))?;
            if held.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn forget_creation_job(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        idp: &IdpId,
        subject: &Subject,
    ) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM jobs WHERE key = $1")
            .bind(Task::creation_key(idp, subject))
            .execute(&mut **tx)
            .await
            .map_err(self.fails(act))?;
        Ok(())
    }

    async fn insert_member(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        member: &Member,
        landing_until: Option<UnixTime>,
    ) -> Result<(), StoreError> {
        let inserted = sqlx::query(
            "INSERT INTO members (id, account, account_state, username, email, origin, status, \
             ephemeral_until, leaving, ledger, borrowed, generation, revision, created_at, last_login_at, \
             landing_until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(member.id.to_string())
        .bind(member.account.as_ref().map(|account| account.0.as_str()))
        .bind(word(act, &member.account_state)?)
        .bind(&member.username)
        .bind(&member.email)
        .bind(word(act, &member.origin)?)
        .bind(word(act, &member.status)?)
        .bind(member.ephemeral_until.map(|until| until.0))
        .bind(member.leaving.map(|leaving| word(act, &leaving)).transpose()?)
        .bind(json(act, &member.ledger)?)
        .bind(json(act, &member.borrowed)?)
        .bind(i64::from(member.generation))
        .bind(member.revision.cast_signed())
        .bind(member.created_at.0)
        .bind(member.last_login_at.0)
        .bind(landing_until.map(|until| until.0))
        .execute(&mut **tx)
        .await
        .map_err(self.fails(act))?;
        if inserted.rows_affected() == 0 {
            return Err(StoreError::Conflict { act, what: "a member of this id" });
        }
        Ok(())
    }

    async fn member_of_identity(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        idp: &IdpId,
        subject: &Subject,
    ) -> Result<Option<Member>, StoreError> {
        let row: Option<(String,)> =
            sqlx::query_as("SELECT member FROM identities WHERE idp = $1 AND subject = $2")
                .bind(idp.as_str())
                .bind(subject.as_str())
                .fetch_optional(&mut **tx)
                .await
                .map_err(self.fails(act))?;
        match row {
            Some((id,)) => self.member_of_id(act, tx, &id).await,
            None => Ok(None),
        }
    }

    async fn member_of_account(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        account: &AccountId,
    ) -> Result<Option<Member>, StoreError> {
        let row: Option<(String,)> = sqlx::query_as("SELECT id FROM members WHERE account = $1")
            .bind(&account.0)
            .fetch_optional(&mut **tx)
            .await
            .map_err(self.fails(act))?;
        match row {
            Some((id,)) => self.member_of_id(act, tx, &id).await,
            None => Ok(None),
        }
    }

    /// The member with its identities.
    pub(super) async fn member_of_id(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        id: &str,
    ) -> Result<Option<Member>, StoreError> {
        let row: Option<MemberRow> = sqlx::query_as(
            "SELECT id, account, account_state, username, email, origin, status, ephemeral_until, leaving, \
             ledger, borrowed, generation, revision, created_at, last_login_at FROM members WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&mut **tx)
        .await
        .map_err(self.fails(act))?;
        let Some(row) = row else { return Ok(None) };
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT idp, subject FROM identities WHERE member = $1 ORDER BY place")
                .bind(id)
                .fetch_all(&mut **tx)
                .await
                .map_err(self.fails(act))?;
        read(row, rows).map(Some)
    }
}

/// id, account, account_state, username, email, origin, status, ephemeral_until, leaving, ledger, borrowed, generation,
/// revision, created_at, last_login_at
type MemberRow = (
    String,
    Option<String>,
    String,
    String,
    Option<String>,
    String,
    String,
    Option<i64>,
    Option<String>,
    String,
    String,
    i64,
    i64,
    i64,
    i64,
);

fn read(row: MemberRow, rows: Vec<(String, String)>) -> Result<Member, StoreError> {
    let (id, account, account_state, username, email, origin, status, ephemeral_until, leaving, ..) = row;
    let (.., ledger, borrowed, generation, revision, created_at, last_login_at) = row;
    let mut identities = Vec::with_capacity(rows.len());
    for (idp, subject) in rows {
        let idp = idp.parse().map_err(|_| unreadable("identity provider"))?;
        let subject = Subject::parse(&subject).ok_or_else(|| unreadable("subject"))?;
        identities.push((idp, subject));
    }
    Ok(Member {
        id: MemberId(id.parse().map_err(|_| unreadable("id"))?),
        identities,
        account: account.map(AccountId),
        account_state: read_word("member", account_state, "account state")?,
        username,
        email,
        origin: read_word("member", origin, "origin")?,
        status: read_word("member", status, "status")?,
        ephemeral_until: ephemeral_until.map(UnixTime),
        leaving: leaving.map(|word| read_word("member", word, "leaving")).transpose()?,
        ledger: read_json("member", &ledger, "ledger")?,
        borrowed: read_json("member", &borrowed, "borrowed")?,
        generation: u32::try_from(generation).map_err(|_| unreadable("generation"))?,
        revision: revision.cast_unsigned(),
        created_at: UnixTime(created_at),
        last_login_at: UnixTime(last_login_at),
    })
}

fn unreadable(column: &'static str) -> StoreError {
    unknown("member", column)
}
