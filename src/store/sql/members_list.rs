//! Members as administrators see them: found by index, however many there are.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;

use super::{Database, Lasting, Transaction, hash, sql};
use crate::model::{AccountId, EmailAddress, IdpId, MemberId, SessionHash, Subject, Task, UnixTime};
use crate::store::StoreError;
use crate::store::lists::{Erased, MemberListStore, MemberRow, MembersLike, Owed, end_of_beginnings};

/// id, account, username, email, origin, status, generation, revision, created_at, last_login_at
type Row = (String, Option<String>, String, Option<String>, String, String, i64, i64, i64, i64);

/// What is selected.
macro_rules! members {
    ($($rest:tt)+) => {
        concat!(
            "SELECT m.id, m.account, m.username, m.email, m.origin, m.status, m.generation, m.revision, \
             m.created_at, m.last_login_at FROM members m WHERE ",
            $($rest)+
        )
    };
}

/// The page behind `$1`, under a condition.
macro_rules! members_where {
    ($condition:literal) => {
        members!("m.id > $1 ", $condition, " ORDER BY m.id LIMIT $2")
    };
}

/// Two walks, each along an index that has all that it asks for (migration 11). What they meet is put in order by an
/// expression that no index has: PostgreSQL would rather walk all members in the order of their ids, from the sixth
/// time on, when it plans without looking at the values (`plan_cache_mode`).
const BEGINNING: &str = members!(
    "m.id IN (\
     SELECT id FROM (SELECT id FROM members WHERE email_folded >= $3 AND email_folded < $4 AND id > $1 \
     ORDER BY id || '' LIMIT $2) AS by_email UNION \
     SELECT id FROM (SELECT id FROM members WHERE username_folded >= $3 AND username_folded < $4 AND id > $1 \
     ORDER BY id || '' LIMIT $2) AS by_username) ORDER BY m.id || '' LIMIT $2"
);

/// So many beginnings take longer to put in order than it takes to meet a page of them on the way. (A few, in tests, so
/// that both ways are gone.)
const MANY: i64 = if cfg!(test) { 2 } else { 2_000 };

/// Those of the next 5,000 members that match: a page of them, where many do. Where it is not a whole page, they stand
/// elsewhere, and are put in order after all.
const NEXT_MEMBERS: &str = members_where!(
    "AND m.id <= COALESCE((SELECT id FROM members WHERE id > $1 ORDER BY id LIMIT 1 OFFSET 5000), 'g') \
     AND (m.email_folded >= $3 AND m.email_folded < $4 OR m.username_folded >= $3 AND m.username_folded < $4)"
);

#[async_trait]
impl MemberListStore for Database {
    async fn list_members(
        &self,
        like: &MembersLike,
        after: Option<MemberId>,
        limit: usize,
    ) -> Result<Vec<MemberRow>, StoreError> {
        let act = "list_members";
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let mut first = None;
        let (statement, one, other) = match like {
            MembersLike::Everybody => (members_where!(""), None, None),
            MembersLike::Id(id) => (members_where!("AND m.id = $3"), Some(id.to_string()), None),
            // Whatever it is, it begins with nothing.
            MembersLike::Beginning(text) if text.is_empty() => (members_where!(""), None, None),
            MembersLike::Beginning(text) => {
                let folded = text.to_ascii_lowercase();
                let end = end_of_beginnings(&folded);
                if self.are_many(act, &folded, &end).await? {
                    first = Some(NEXT_MEMBERS);
                }
                (BEGINNING, Some(folded), Some(end))
            }
            MembersLike::Account(account) => {
                (members_where!("AND m.account = $3"), Some(account.0.clone()), None)
            }
            MembersLike::Identity(idp, subject) => (
                members_where!("AND m.id IN (SELECT member FROM identities WHERE idp = $3 AND subject = $4)"),
                Some(idp.to_string()),
                Some(subject.as_str().to_owned()),
            ),
        };
        // One snapshot of members and identities.
        let mut tx = self.readers.begin().await.map_err(self.fails(act))?;
        let mut rows: Vec<Row> = Vec::new();
        for statement in first.into_iter().chain([statement]) {
            let mut query = sqlx::query_as(statement).bind(&after).bind(sql(limit));
            for value in [&one, &other].into_iter().flatten() {
                query = query.bind(value);
            }
            rows = query.fetch_all(&mut *tx).await.map_err(self.fails(act))?;
            if rows.len() >= limit {
                break;
            }
        }
        let mut identities = self.identities_of(act, &mut tx, &rows).await?;
        rows.into_iter()
            .map(|row| {
                let identities = identities.remove(&row.0).unwrap_or_default();
                member(row, identities)
            })
            .collect()
    }

    async fn erase_member(&self, id: MemberId, now: UnixTime) -> Result<Result<Erased, Owed>, StoreError> {
        let act = "erase_member";
        let member = id.to_string();
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        // The member's row first, as everybody does: who is about to update it, or to begin a session, waits for it.
        let row: Option<(Option<String>, Option<i64>, Option<i64>)> = sqlx::query_as(
            "UPDATE members SET revision = revision + 1 WHERE id = $1 AND status <> 'blocked' \
             RETURNING email, holder, held_until",
        )
        .bind(&member)
        .fetch_optional(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        let found = self.member_of_id(act, &mut tx, &member).await?;
        let found = found.ok_or(StoreError::Gone { act, what: "the member" })?;
        let Some((email, holder, held_until)) = row else {
            return Err(StoreError::Conflict { act, what: "a block" });
        };
        // What is not committed is taken back.
        if let Some(until) = held_until.filter(|until| holder.is_some() && *until > now.0) {
            return Ok(Err(Owed::Work { until: UnixTime(until) }));
        }
        if let Some(owed) = Owed::of(&found) {
            return Ok(Err(owed));
        }
        if self.is_pushed(act, &mut tx, &found.identities).await? {
            return Ok(Err(Owed::Push));
        }
        let mut erased = Erased::default();
        erased.emails.extend(email.map(|email| email.to_ascii_lowercase()));
        let identities: Vec<(String, String, Option<String>)> =
            sqlx::query_as("SELECT idp, subject, email FROM identities WHERE member = $1 ORDER BY place")
                .bind(&member)
                .fetch_all(&mut *tx)
                .await
                .map_err(self.fails(act))?;
        for (idp, subject, email) in identities {
            let idp = idp.parse().map_err(|_| unreadable("identity provider"))?;
            let subject = Subject::parse(&subject).ok_or_else(|| unreadable("subject"))?;
            erased.identities.push((idp, subject));
            erased.emails.extend(email.map(|email| email.to_ascii_lowercase()));
        }
        erased.sessions = self.end_all_sessions(act, &mut tx, id).await?;
        self.erase_traces(act, &mut tx, &member, &mut erased).await?;
        for statement in [
            "DELETE FROM jobs WHERE member = $1",
            "DELETE FROM identities WHERE member = $1",
            "DELETE FROM members WHERE id = $1",
        ] {
            sqlx::query(statement).bind(&member).execute(&mut *tx).await.map_err(self.fails(act))?;
        }
        self.commit(act, tx).await?;
        Ok(Ok(erased))
    }

    async fn addresses_of(&self, id: MemberId) -> Result<BTreeSet<String>, StoreError> {
        let found: Vec<(String,)> = sqlx::query_as(
            "SELECT email FROM members WHERE id = $1 AND email IS NOT NULL \
             UNION SELECT email FROM identities WHERE member = $1 AND email IS NOT NULL \
             UNION SELECT address FROM invites WHERE member = $1 \
             UNION SELECT v.address FROM invites v JOIN identities i \
             ON v.claimed_idp = i.idp AND v.claimed_subject = i.subject WHERE i.member = $1",
        )
        .bind(id.to_string())
        .fetch_all(&self.readers)
        .await
        .map_err(self.fails("addresses_of"))?;
        Ok(found.into_iter().map(|(address,)| address.to_ascii_lowercase()).collect())
    }

    async fn count_members(&self) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM members")
            .fetch_one(&self.readers)
            .await
            .map_err(self.fails("count_members"))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn came_with(&self, member: MemberId, email: &EmailAddress) -> Result<bool, StoreError> {
        let found: Option<(String,)> =
            sqlx::query_as("SELECT member FROM identities WHERE member = $1 AND lower(email) = $2 LIMIT 1")
                .bind(member.to_string())
                .bind(email.to_string().to_ascii_lowercase())
                .fetch_optional(&self.readers)
                .await
                .map_err(self.fails("came_with"))?;
        Ok(found.is_some())
    }
}

/// Before and after what is looked for in a letter.
const ANY: &str = "%";

impl Database {
    /// Whether very many addresses or usernames begin with `folded`: with one letter a tenth of all does, or all do.
    async fn are_many(&self, act: &'static str, folded: &str, end: &str) -> Result<bool, StoreError> {
        let (beyond,): (i64,) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM members WHERE email_folded >= $1 AND email_folded < $2 \
             ORDER BY email_folded LIMIT 1 OFFSET $3) AS by_email) + \
             (SELECT COUNT(*) FROM (SELECT 1 FROM members WHERE username_folded >= $1 AND username_folded < $2 \
             ORDER BY username_folded LIMIT 1 OFFSET $3) AS by_username)",
        )
        .bind(folded)
        .bind(end)
        .bind(MANY)
        .fetch_one(&self.readers)
        .await
        .map_err(self.fails(act))?;
        Ok(beyond > 0)
    }

    /// Whether a SCIM client said something of one of these that is not done yet.
    async fn is_pushed(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        identities: &[(IdpId, Subject)],
    ) -> Result<bool, StoreError> {
        for (_, subject) in identities.iter().filter(|(idp, _)| *idp == IdpId::scim()) {
            let job: Option<(String,)> = sqlx::query_as("SELECT key FROM jobs WHERE key = $1")
                .bind(Task::Push { user: subject.as_str().to_owned() }.key())
                .fetch_optional(&mut **tx)
                .await
                .map_err(self.fails(act))?;
            if job.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Drops everything of the person but the member itself.
    async fn erase_traces(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        member: &str,
        erased: &mut Erased,
    ) -> Result<(), StoreError> {
        for (idp, subject) in &erased.identities {
            // Sessions without account, too.
            let ended: Vec<(Vec<u8>,)> =
                sqlx::query_as("DELETE FROM sessions WHERE idp = $1 AND subject = $2 RETURNING hash")
                    .bind(idp.as_str())
                    .bind(subject.as_str())
                    .fetch_all(&mut **tx)
                    .await
                    .map_err(self.fails(act))?;
            for (bytes,) in &ended {
                erased.sessions.push(SessionHash(hash("session", bytes)?));
            }
            let addresses: Vec<(String,)> =
                sqlx::query_as("SELECT address FROM invites WHERE claimed_idp = $1 AND claimed_subject = $2")
                    .bind(idp.as_str())
                    .bind(subject.as_str())
                    .fetch_all(&mut **tx)
                    .await
                    .map_err(self.fails(act))?;
            erased.emails.extend(addresses.into_iter().map(|(address,)| address));
            sqlx::query("DELETE FROM creations WHERE idp = $1 AND subject = $2")
                .bind(idp.as_str())
                .bind(subject.as_str())
                .execute(&mut **tx)
                .await
                .map_err(self.fails(act))?;
            sqlx::query("DELETE FROM jobs WHERE key = $1")
                .bind(Task::creation_key(idp, subject))
                .execute(&mut **tx)
                .await
                .map_err(self.fails(act))?;
        }
        let addresses: Vec<(String,)> = sqlx::query_as("SELECT address FROM invites WHERE member = $1")
            .bind(member)
            .fetch_all(&mut **tx)
            .await
            .map_err(self.fails(act))?;
        erased.emails.extend(addresses.into_iter().map(|(address,)| address));
        for email in &erased.emails {
            let dropped = sqlx::query("DELETE FROM invites WHERE address = $1")
                .bind(email)
                .execute(&mut **tx)
                .await
                .map_err(self.fails(act))?;
            erased.invites += dropped.rows_affected();
            let dropped = sqlx::query("DELETE FROM outbox WHERE lower(recipient) = $1")
                .bind(email)
                .execute(&mut **tx)
                .await
                .map_err(self.fails(act))?;
            erased.letters += dropped.rows_affected();
        }
        // What administrators are told of a person has the member's id, an address or the subject in it.
        let subjects = erased.identities.iter().flat_map(|(_, subject)| {
            let text = subject.as_str().to_ascii_lowercase();
            [format!("subject: {text}\n"), format!("\"subject\":{}", serde_json::Value::String(text))]
        });
        let told: Vec<String> =
            std::iter::once(member.to_owned()).chain(erased.emails.iter().cloned()).chain(subjects).collect();
        for text in told {
            let dropped = sqlx::query("DELETE FROM outbox WHERE lower(body) LIKE $1 ESCAPE '!'")
                .bind(format!("{ANY}{}{ANY}", as_it_stands(&text)))
                .execute(&mut **tx)
                .await
                .map_err(self.fails(act))?;
            erased.letters += dropped.rows_affected();
        }
        Ok(())
    }

    async fn identities_of(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        rows: &[Row],
    ) -> Result<HashMap<String, Vec<(IdpId, Subject)>>, StoreError> {
        let mut found = HashMap::new();
        for row in rows {
            let known: Vec<(String, String)> =
                sqlx::query_as("SELECT idp, subject FROM identities WHERE member = $1 ORDER BY place")
                    .bind(&row.0)
                    .fetch_all(&mut **tx)
                    .await
                    .map_err(self.fails(act))?;
            let mut identities = Vec::with_capacity(known.len());
            for (idp, subject) in known {
                let idp = idp.parse().map_err(|_| unreadable("identity provider"))?;
                let subject = Subject::parse(&subject).ok_or_else(|| unreadable("subject"))?;
                identities.push((idp, subject));
            }
            found.insert(row.0.clone(), identities);
        }
        Ok(found)
    }
}

fn member(row: Row, identities: Vec<(IdpId, Subject)>) -> Result<MemberRow, StoreError> {
    let (id, account, username, email, origin, status, generation, revision, created_at, last_login_at) = row;
    let word = serde_json::Value::String;
    Ok(MemberRow {
        id: MemberId(id.parse().map_err(|_| unreadable("id"))?),
        identities,
        account: account.map(AccountId),
        username,
        email,
        origin: serde_json::from_value(word(origin)).map_err(|_| unreadable("origin"))?,
        status: serde_json::from_value(word(status)).map_err(|_| unreadable("status"))?,
        generation: u32::try_from(generation).map_err(|_| unreadable("generation"))?,
        revision: revision.cast_unsigned(),
        created_at: UnixTime(created_at),
        last_login_at: UnixTime(last_login_at),
    })
}

/// With nothing in it that LIKE takes for more than itself.
pub(super) fn as_it_stands(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '!' | '%' | '_') {
            escaped.push('!');
        }
        escaped.push(c);
    }
    escaped
}

fn unreadable(column: &'static str) -> StoreError {
    StoreError::Unreadable { what: "member", reason: format!("this version does not know its {column}") }
}
