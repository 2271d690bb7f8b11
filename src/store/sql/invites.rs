//! Invites.

use async_trait::async_trait;
use sqlx::Row as _;

use super::{Database, Lasting, Record, sql};
use crate::model::invite::{Claim, Invite, InviteId, InviteTerms, invited_address};
use crate::model::{EmailAddress, IdpId, MemberId, Subject, UnixTime};
use crate::store::StoreError;
use crate::store::columns::{json, read_json, unknown};
use crate::store::invites::{InviteStore, MAX_USABLE};

/// What stands before the condition.
macro_rules! invites_where {
    ($condition:literal) => {
        concat!(
            "SELECT id, terms, invited_by, changed_by, created_at, expires_at, revision, claimed_idp, claimed_subject, \
             claimed_at, member, revoked_at, sends, sent_at FROM invites WHERE ",
            $condition
        )
    };
}

#[async_trait]
impl InviteStore for Database {
    async fn add_invite(&self, invite: &Invite) -> Result<(), StoreError> {
        let act = "add_invite";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let added = sqlx::query(
            "INSERT INTO invites (id, address, idp, terms, invited_by, created_at, expires_at, revision, sends, \
             sent_at, changed_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO NOTHING",
        )
        .bind(invite.id.to_string())
        .bind(invited_address(&invite.terms.email))
        .bind(invite.terms.idp.as_ref().map(IdpId::as_str))
        .bind(terms(act, invite)?)
        .bind(&invite.invited_by)
        .bind(invite.created_at.0)
        .bind(invite.expires_at.0)
        .bind(invite.revision)
        .bind(i64::from(invite.sends))
        .bind(invite.sent_at.map(|at| at.0))
        .bind(json(act, &invite.changed_by)?)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        if added.rows_affected() == 0 {
            return Err(StoreError::Conflict { act, what: "an invite of this id" });
        }
        self.commit(act, tx).await
    }

    async fn find_invite(&self, id: InviteId) -> Result<Option<Invite>, StoreError> {
        let act = "find_invite";
        sqlx::query(invites_where!("id = $1"))
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(self.fails(act))?
            .map(|row| self.invite(act, &row))
            .transpose()
    }

    async fn list_invites(&self, before: Option<InviteId>, limit: usize) -> Result<Vec<Invite>, StoreError> {
        let act = "list_invites";
        // No id comes after this one.
        let before = before.map_or_else(|| "g".to_owned(), |id| id.to_string());
        sqlx::query(invites_where!("id < $1 ORDER BY id DESC LIMIT $2"))
            .bind(before)
            .bind(sql(limit))
            .fetch_all(&self.readers)
            .await
            .map_err(self.fails(act))?
            .iter()
            .map(|row| self.invite(act, row))
            .collect()
    }

    async fn change_invite(&self, invite: &Invite) -> Result<bool, StoreError> {
        let act = "change_invite";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let changed = sqlx::query(
            "UPDATE invites SET address = $3, idp = $4, terms = $5, expires_at = $6, revoked_at = $7, sends = $8, \
             sent_at = $9, changed_by = $10, revision = $2 WHERE id = $1 AND revision = $2 - 1 AND member IS NULL \
             AND revoked_at IS NULL",
        )
        .bind(invite.id.to_string())
        .bind(invite.revision)
        .bind(invited_address(&invite.terms.email))
        .bind(invite.terms.idp.as_ref().map(IdpId::as_str))
        .bind(terms(act, invite)?)
        .bind(invite.expires_at.0)
        .bind(invite.revoked_at.map(|at| at.0))
        .bind(i64::from(invite.sends))
        .bind(invite.sent_at.map(|at| at.0))
        .bind(json(act, &invite.changed_by)?)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        Ok(changed.rows_affected() > 0)
    }

    async fn usable_invites(
        &self,
        email: &EmailAddress,
        idp: &IdpId,
        subject: &Subject,
        now: UnixTime,
    ) -> Result<Vec<Invite>, StoreError> {
        let act = "usable_invites";
        sqlx::query(invites_where!(
            "address = $1 AND (idp IS NULL OR idp = $2) AND member IS NULL AND revoked_at IS NULL \
             AND ((claimed_idp IS NULL AND expires_at > $4) OR (claimed_idp = $2 AND claimed_subject = $3)) \
             ORDER BY CASE WHEN claimed_idp IS NULL THEN 1 ELSE 0 END, id LIMIT $5"
        ))
        .bind(invited_address(email))
        .bind(idp.as_str())
        .bind(subject.as_str())
        .bind(now.0)
        .bind(sql(MAX_USABLE))
        .fetch_all(&self.readers)
        .await
        .map_err(self.fails(act))?
        .iter()
        .map(|row| self.invite(act, row))
        .collect()
    }

    async fn claim_invite(
        &self,
        id: InviteId,
        revision: i64,
        (idp, subject): (&IdpId, &Subject),
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let act = "claim_invite";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let claimed = sqlx::query(
            "UPDATE invites SET claimed_idp = $3, claimed_subject = $4, claimed_at = $5 \
             WHERE id = $1 AND revision = $2 AND member IS NULL AND revoked_at IS NULL \
             AND ((claimed_idp IS NULL AND expires_at > $5) OR (claimed_idp = $3 AND claimed_subject = $4))",
        )
        .bind(id.to_string())
        .bind(revision)
        .bind(idp.as_str())
        .bind(subject.as_str())
        .bind(now.0)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        Ok(claimed.rows_affected() > 0)
    }

    async fn finish_invite(&self, id: InviteId, member: MemberId) -> Result<(), StoreError> {
        let act = "finish_invite";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        sqlx::query("UPDATE invites SET member = $2 WHERE id = $1 AND claimed_idp IS NOT NULL")
            .bind(id.to_string())
            .bind(member.to_string())
            .execute(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        self.commit(act, tx).await
    }
}

impl Database {
    fn invite(&self, act: &'static str, row: &Record) -> Result<Invite, StoreError> {
        let text = |column: &str| row.try_get::<String, _>(column).map_err(self.fails(act));
        let number = |column: &str| row.try_get::<i64, _>(column).map_err(self.fails(act));
        let maybe_text = |column: &str| row.try_get::<Option<String>, _>(column).map_err(self.fails(act));
        let maybe_time = |column: &str| {
            let read = row.try_get::<Option<i64>, _>(column).map_err(self.fails(act));
            read.map(|at| at.map(UnixTime))
        };
        let unknown = |column| move || unknown("invite", column);
        let claimed = match (maybe_text("claimed_idp")?, maybe_text("claimed_subject")?) {
            (Some(idp), Some(subject)) => Some(Claim {
                idp: idp.parse().map_err(|_| unknown("identity provider")())?,
                subject: Subject::parse(&subject).ok_or_else(unknown("subject"))?,
                at: maybe_time("claimed_at")?.unwrap_or_default(),
            }),
            (_, _) => None,
        };
        let member = maybe_text("member")?.map(|id| id.parse().map(MemberId)).transpose();
        Ok(Invite {
            id: InviteId(text("id")?.parse().map_err(|_| unknown("id")())?),
            terms: serde_json::from_str(&text("terms")?).map_err(|_| unknown("terms")())?,
            invited_by: text("invited_by")?,
            changed_by: read_json("invite", &text("changed_by")?, "changed_by")?,
            created_at: UnixTime(number("created_at")?),
            expires_at: UnixTime(number("expires_at")?),
            revision: number("revision")?,
            claimed,
            member: member.map_err(|_| unknown("member")())?,
            revoked_at: maybe_time("revoked_at")?,
            sends: u32::try_from(number("sends")?).map_err(|_| unknown("sends")())?,
            sent_at: maybe_time("sent_at")?,
        })
    }
}

fn terms(act: &'static str, invite: &Invite) -> Result<String, StoreError> {
    let terms: &InviteTerms = &invite.terms;
    serde_json::to_string(terms).map_err(|error| StoreError::Unavailable { act, reason: error.to_string() })
}
