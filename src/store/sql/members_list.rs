//! Members as administrators see them: found by index, however many there are.

use std::collections::HashMap;

use async_trait::async_trait;

use super::{Database, Transaction, sql};
use crate::model::{AccountId, IdpId, MemberId, Subject, UnixTime};
use crate::store::StoreError;
use crate::store::lists::{MemberListStore, MemberRow, MembersLike, end_of_beginnings};

/// id, account, username, email, origin, status, generation, created_at, last_login_at
type Row = (String, Option<String>, String, Option<String>, String, String, i64, i64, i64);

/// What is selected.
macro_rules! members {
    ($($rest:tt)+) => {
        concat!(
            "SELECT m.id, m.account, m.username, m.email, m.origin, m.status, m.generation, m.created_at, \
             m.last_login_at FROM members m WHERE ",
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

    async fn count_members(&self) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM members")
            .fetch_one(&self.readers)
            .await
            .map_err(self.fails("count_members"))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

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
    let (id, account, username, email, origin, status, generation, created_at, last_login_at) = row;
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
        created_at: UnixTime(created_at),
        last_login_at: UnixTime(last_login_at),
    })
}

fn unreadable(column: &'static str) -> StoreError {
    StoreError::Unreadable { what: "member", reason: format!("this version does not know its {column}") }
}
