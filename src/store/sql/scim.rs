//! What SCIM clients keep here.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::{Database, Lasting, Transaction, sql};
use crate::model::UnixTime;
use crate::model::scim::{ScimKind, ScimLink, ScimResource};
use crate::store::columns::{read_word, word};
use crate::store::{ScimStore, ScimWhich, ScimWrite, StoreError};

/// The columns of a resource.
type Row =
    (String, String, i64, String, Option<String>, Option<String>, Option<String>, Option<String>, i64, i64);

#[async_trait]
impl ScimStore for Database {
    async fn create_scim(
        &self,
        resource: &ScimResource,
        members: &[String],
    ) -> Result<ScimWrite, StoreError> {
        let act = "create_scim";
        let kind = word(act, &resource.kind)?;
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let inserted = sqlx::query(
            "INSERT INTO scim_resources (id, kind, revision, body, user_name, external_id, display_name, \
             display_key, created_at, modified_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
             ON CONFLICT DO NOTHING",
        )
        .bind(&resource.id)
        .bind(kind)
        .bind(resource.revision)
        .bind(&resource.body)
        .bind(&resource.user_name)
        .bind(&resource.external_id)
        .bind(&resource.display_name)
        .bind(&resource.display_key)
        .bind(resource.created_at.0)
        .bind(resource.modified_at.0)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        if inserted.rows_affected() == 0 {
            return Ok(ScimWrite::Taken);
        }
        let members: BTreeSet<&str> = members.iter().map(String::as_str).collect();
        if let Some(missing) = self.link(act, &mut tx, &resource.id, members).await? {
            return Ok(ScimWrite::NoSuchMember(missing));
        }
        self.commit(act, tx).await?;
        Ok(ScimWrite::Done)
    }

    async fn replace_scim(
        &self,
        resource: &ScimResource,
        expected: i64,
        members: Option<&[String]>,
    ) -> Result<ScimWrite, StoreError> {
        let act = "replace_scim";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        if let Some(why_not) = self.unfit(act, &mut tx, resource.kind, &resource.id, Some(expected)).await? {
            return Ok(why_not);
        }
        let (rivals,): (i64,) =
            sqlx::query_as("SELECT COUNT(*) FROM scim_resources WHERE user_name = $1 AND id <> $2")
                .bind(&resource.user_name)
                .bind(&resource.id)
                .fetch_one(&mut *tx)
                .await
                .map_err(self.fails(act))?;
        if rivals > 0 {
            return Ok(ScimWrite::Taken);
        }
        sqlx::query(
            "UPDATE scim_resources SET revision = $2, body = $3, user_name = $4, external_id = $5, \
             display_name = $6, display_key = $7, modified_at = $8 WHERE id = $1",
        )
        .bind(&resource.id)
        .bind(resource.revision)
        .bind(&resource.body)
        .bind(&resource.user_name)
        .bind(&resource.external_id)
        .bind(&resource.display_name)
        .bind(&resource.display_key)
        .bind(resource.modified_at.0)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        if let Some(members) = members
            && let Some(missing) = self.relink(act, &mut tx, &resource.id, members).await?
        {
            return Ok(ScimWrite::NoSuchMember(missing));
        }
        self.commit(act, tx).await?;
        Ok(ScimWrite::Done)
    }

    async fn delete_scim(
        &self,
        kind: ScimKind,
        id: &str,
        expected: Option<i64>,
        now: UnixTime,
    ) -> Result<ScimWrite, StoreError> {
        let act = "delete_scim";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        if let Some(why_not) = self.unfit(act, &mut tx, kind, id, expected).await? {
            return Ok(why_not);
        }
        sqlx::query(
            "UPDATE scim_resources SET revision = revision + 1, modified_at = $2 \
             WHERE id IN (SELECT group_id FROM scim_members WHERE user_id = $1)",
        )
        .bind(id)
        .bind(now.0)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        // The links go with it.
        sqlx::query("DELETE FROM scim_resources WHERE id = $1")
            .bind(id)
            .execute(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        Ok(ScimWrite::Done)
    }

    async fn find_scim(&self, kind: ScimKind, id: &str) -> Result<Option<ScimResource>, StoreError> {
        let act = "find_scim";
        let row: Option<Row> = sqlx::query_as(
            "SELECT id, kind, revision, body, user_name, external_id, display_name, display_key, created_at, \
             modified_at FROM scim_resources WHERE id = $1 AND kind = $2",
        )
        .bind(id)
        .bind(word(act, &kind)?)
        .fetch_optional(&self.readers)
        .await
        .map_err(self.fails(act))?;
        row.map(resource).transpose()
    }

    async fn list_scim(
        &self,
        kind: ScimKind,
        which: &ScimWhich,
        after: &str,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<ScimResource>, StoreError> {
        let act = "list_scim";
        let (text, key) = match which {
            ScimWhich::All => (
                "SELECT id, kind, revision, body, user_name, external_id, display_name, display_key, \
                 created_at, modified_at FROM scim_resources \
                 WHERE kind = $1 AND id > $2 AND $3 = '' ORDER BY id LIMIT $4 OFFSET $5",
                "",
            ),
            ScimWhich::UserName(key) => (
                "SELECT id, kind, revision, body, user_name, external_id, display_name, display_key, \
                 created_at, modified_at FROM scim_resources \
                 WHERE kind = $1 AND id > $2 AND user_name = $3 ORDER BY id LIMIT $4 OFFSET $5",
                key.as_str(),
            ),
            ScimWhich::ExternalId(key) => (
                "SELECT id, kind, revision, body, user_name, external_id, display_name, display_key, \
                 created_at, modified_at FROM scim_resources \
                 WHERE kind = $1 AND id > $2 AND external_id = $3 ORDER BY id LIMIT $4 OFFSET $5",
                key.as_str(),
            ),
            ScimWhich::DisplayName(key) => (
                "SELECT id, kind, revision, body, user_name, external_id, display_name, display_key, \
                 created_at, modified_at FROM scim_resources \
                 WHERE kind = $1 AND id > $2 AND display_key = $3 ORDER BY id LIMIT $4 OFFSET $5",
                key.as_str(),
            ),
            ScimWhich::WithMember(key) => (
                "SELECT id, kind, revision, body, user_name, external_id, display_name, display_key, \
                 created_at, modified_at FROM scim_resources WHERE kind = $1 AND id > $2 \
                 AND id IN (SELECT group_id FROM scim_members WHERE user_id = $3) \
                 ORDER BY id LIMIT $4 OFFSET $5",
                key.as_str(),
            ),
            ScimWhich::InGroup(key) => (
                "SELECT id, kind, revision, body, user_name, external_id, display_name, display_key, \
                 created_at, modified_at FROM scim_resources WHERE kind = $1 AND id > $2 \
                 AND id IN (SELECT user_id FROM scim_members WHERE group_id = $3) \
                 ORDER BY id LIMIT $4 OFFSET $5",
                key.as_str(),
            ),
        };
        let rows: Vec<Row> = sqlx::query_as(text)
            .bind(word(act, &kind)?)
            .bind(after)
            .bind(key)
            .bind(sql(limit))
            .bind(sql(skip))
            .fetch_all(&self.readers)
            .await
            .map_err(self.fails(act))?;
        rows.into_iter().map(resource).collect()
    }

    async fn count_scim(&self, kind: ScimKind) -> Result<usize, StoreError> {
        let act = "count_scim";
        let (count,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM scim_resources WHERE kind = $1")
            .bind(word(act, &kind)?)
            .fetch_one(&self.readers)
            .await
            .map_err(self.fails(act))?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    async fn list_scim_links(
        &self,
        kind: ScimKind,
        ids: &[String],
        limit: usize,
    ) -> Result<Vec<ScimLink>, StoreError> {
        let act = "list_scim_links";
        let text = match kind {
            ScimKind::User => {
                "SELECT m.group_id, m.user_id, g.display_name FROM scim_members m \
                 JOIN scim_resources g ON g.id = m.group_id WHERE m.user_id = $1 ORDER BY m.group_id LIMIT $2"
            }
            ScimKind::Group => {
                "SELECT m.group_id, m.user_id, g.display_name FROM scim_members m \
                 JOIN scim_resources g ON g.id = m.group_id WHERE m.group_id = $1 ORDER BY m.user_id LIMIT $2"
            }
        };
        // One moment for all of them.
        let mut tx = self.readers.begin().await.map_err(self.fails(act))?;
        let mut links = Vec::new();
        for id in ids {
            let rows: Vec<(String, String, Option<String>)> = sqlx::query_as(text)
                .bind(id)
                .bind(sql(limit.saturating_sub(links.len())))
                .fetch_all(&mut *tx)
                .await
                .map_err(self.fails(act))?;
            links.extend(rows.into_iter().map(|(group, user, name)| ScimLink {
                group,
                user,
                group_name: name.unwrap_or_default(),
            }));
        }
        Ok(links)
    }
}

impl Database {
    /// Why the resource cannot be written to; `None`: it can.
    async fn unfit(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        kind: ScimKind,
        id: &str,
        expected: Option<i64>,
    ) -> Result<Option<ScimWrite>, StoreError> {
        let row: Option<(i64,)> =
            sqlx::query_as("SELECT revision FROM scim_resources WHERE id = $1 AND kind = $2")
                .bind(id)
                .bind(word(act, &kind)?)
                .fetch_optional(&mut **tx)
                .await
                .map_err(self.fails(act))?;
        Ok(match row {
            None => Some(ScimWrite::Absent),
            Some((revision,)) if expected.is_some_and(|expected| expected != revision) => {
                Some(ScimWrite::Stale)
            }
            Some(_) => None,
        })
    }

    /// Puts these users into the group; the id of one that there is not.
    async fn link(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        group: &str,
        users: BTreeSet<&str>,
    ) -> Result<Option<String>, StoreError> {
        for user in users {
            let linked = sqlx::query(
                "INSERT INTO scim_members (group_id, user_id) \
                 SELECT $1, id FROM scim_resources WHERE id = $2 AND kind = $3",
            )
            .bind(group)
            .bind(user)
            .bind(word(act, &ScimKind::User)?)
            .execute(&mut **tx)
            .await
            .map_err(self.fails(act))?;
            if linked.rows_affected() == 0 {
                return Ok(Some(user.to_owned()));
            }
        }
        Ok(None)
    }

    /// Makes these users, and no others, the group's.
    async fn relink(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        group: &str,
        users: &[String],
    ) -> Result<Option<String>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as("SELECT user_id FROM scim_members WHERE group_id = $1")
            .bind(group)
            .fetch_all(&mut **tx)
            .await
            .map_err(self.fails(act))?;
        let there: BTreeSet<&str> = rows.iter().map(|(user,)| user.as_str()).collect();
        let wanted: BTreeSet<&str> = users.iter().map(String::as_str).collect();
        for gone in there.difference(&wanted) {
            sqlx::query("DELETE FROM scim_members WHERE group_id = $1 AND user_id = $2")
                .bind(group)
                .bind(*gone)
                .execute(&mut **tx)
                .await
                .map_err(self.fails(act))?;
        }
        self.link(act, tx, group, wanted.difference(&there).copied().collect()).await
    }
}

fn resource(row: Row) -> Result<ScimResource, StoreError> {
    let (id, kind, revision, body, user_name, external_id, display_name, display_key, created, modified) =
        row;
    Ok(ScimResource {
        id,
        kind: read_word("SCIM resource", kind, "kind")?,
        revision,
        body,
        user_name,
        external_id,
        display_name,
        display_key,
        created_at: UnixTime(created),
        modified_at: UnixTime(modified),
    })
}
