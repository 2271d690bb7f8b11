//! What SCIM clients keep here.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::{Database, Lasting, Transaction, sql};
use crate::model::scim::{ScimKind, ScimLink, ScimResource};
use crate::model::{IdpId, MemberId, Subject, Task, UnixTime};
use crate::store::columns::{read_word, word};
use crate::store::{ScimStore, ScimWhich, ScimWrite, StoreError};

/// The columns of a resource.
type Row = (
    String,
    String,
    i64,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    i64,
    i64,
);

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
            "INSERT INTO scim_resources (id, kind, revision, body, user_name, external_id, email, display_name, \
             display_key, created_at, modified_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
             ON CONFLICT DO NOTHING",
        )
        .bind(&resource.id)
        .bind(kind)
        .bind(resource.revision)
        .bind(&resource.body)
        .bind(&resource.user_name)
        .bind(&resource.external_id)
        .bind(&resource.email)
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
        if let Some(missing) = self.link(act, &mut tx, &resource.id, members.clone()).await? {
            return Ok(ScimWrite::NoSuchMember(missing));
        }
        let concerned = match resource.kind {
            ScimKind::User => BTreeSet::from([resource.id.as_str()]),
            ScimKind::Group => members,
        };
        self.push(act, &mut tx, concerned, resource.modified_at).await?;
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
        let (former_name,): (Option<String>,) =
            sqlx::query_as("SELECT display_name FROM scim_resources WHERE id = $1")
                .bind(&resource.id)
                .fetch_one(&mut *tx)
                .await
                .map_err(self.fails(act))?;
        let former = self.members_of(act, &mut tx, &resource.id).await?;
        sqlx::query(
            "UPDATE scim_resources SET revision = $2, body = $3, user_name = $4, external_id = $5, \
             email = $6, display_name = $7, display_key = $8, modified_at = $9 WHERE id = $1",
        )
        .bind(&resource.id)
        .bind(resource.revision)
        .bind(&resource.body)
        .bind(&resource.user_name)
        .bind(&resource.external_id)
        .bind(&resource.email)
        .bind(&resource.display_name)
        .bind(&resource.display_key)
        .bind(resource.modified_at.0)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        let former: BTreeSet<&str> = former.iter().map(String::as_str).collect();
        let present = match members {
            Some(members) => members.iter().map(String::as_str).collect(),
            None => former.clone(),
        };
        if let Some(missing) = self.relink(act, &mut tx, &resource.id, &former, &present).await? {
            return Ok(ScimWrite::NoSuchMember(missing));
        }
        let concerned = match resource.kind {
            ScimKind::User => BTreeSet::from([resource.id.as_str()]),
            ScimKind::Group if former_name != resource.display_name => &former | &present,
            ScimKind::Group => &former ^ &present,
        };
        self.push(act, &mut tx, concerned, resource.modified_at).await?;
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
        let members = self.members_of(act, &mut tx, id).await?;
        let concerned = match kind {
            ScimKind::User => BTreeSet::from([id]),
            ScimKind::Group => members.iter().map(String::as_str).collect(),
        };
        self.push(act, &mut tx, concerned, now).await?;
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
            "SELECT id, kind, revision, body, user_name, external_id, email, display_name, display_key, \
             created_at, modified_at FROM scim_resources WHERE id = $1 AND kind = $2",
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
                "SELECT id, kind, revision, body, user_name, external_id, email, display_name, display_key, \
                 created_at, modified_at FROM scim_resources \
                 WHERE kind = $1 AND id > $2 AND $3 = '' ORDER BY id LIMIT $4 OFFSET $5",
                "",
            ),
            ScimWhich::UserName(key) => (
                "SELECT id, kind, revision, body, user_name, external_id, email, display_name, display_key, \
                 created_at, modified_at FROM scim_resources \
                 WHERE kind = $1 AND id > $2 AND user_name = $3 ORDER BY id LIMIT $4 OFFSET $5",
                key.as_str(),
            ),
            ScimWhich::ExternalId(key) => (
                "SELECT id, kind, revision, body, user_name, external_id, email, display_name, display_key, \
                 created_at, modified_at FROM scim_resources \
                 WHERE kind = $1 AND id > $2 AND external_id = $3 ORDER BY id LIMIT $4 OFFSET $5",
                key.as_str(),
            ),
            ScimWhich::Email(key) => (
                "SELECT id, kind, revision, body, user_name, external_id, email, display_name, display_key, \
                 created_at, modified_at FROM scim_resources \
                 WHERE kind = $1 AND id > $2 AND email = $3 ORDER BY id LIMIT $4 OFFSET $5",
                key.as_str(),
            ),
            ScimWhich::DisplayName(key) => (
                "SELECT id, kind, revision, body, user_name, external_id, email, display_name, display_key, \
                 created_at, modified_at FROM scim_resources \
                 WHERE kind = $1 AND id > $2 AND display_key = $3 ORDER BY id LIMIT $4 OFFSET $5",
                key.as_str(),
            ),
            ScimWhich::WithMember(key) => (
                "SELECT id, kind, revision, body, user_name, external_id, email, display_name, display_key, \
                 created_at, modified_at FROM scim_resources WHERE kind = $1 AND id > $2 \
                 AND id IN (SELECT group_id FROM scim_members WHERE user_id = $3) \
                 ORDER BY id LIMIT $4 OFFSET $5",
                key.as_str(),
            ),
            ScimWhich::InGroup(key) => (
                "SELECT id, kind, revision, body, user_name, external_id, email, display_name, display_key, \
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

    async fn link_identity(
        &self,
        member: MemberId,
        idp: &IdpId,
        subject: &Subject,
    ) -> Result<bool, StoreError> {
        let act = "link_identity";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let linked = sqlx::query(
            "INSERT INTO identities (idp, subject, member, place) SELECT $1, $2, id, \
             (SELECT COUNT(*) FROM identities WHERE member = $3) FROM members WHERE id = $3 \
             ON CONFLICT DO NOTHING",
        )
        .bind(idp.as_str())
        .bind(subject.as_str())
        .bind(member.to_string())
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        self.commit(act, tx).await?;
        Ok(linked.rows_affected() > 0)
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

    /// Makes those of `present`, and no others, the group's.
    async fn relink(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        group: &str,
        former: &BTreeSet<&str>,
        present: &BTreeSet<&str>,
    ) -> Result<Option<String>, StoreError> {
        for gone in former.difference(present) {
            sqlx::query("DELETE FROM scim_members WHERE group_id = $1 AND user_id = $2")
                .bind(group)
                .bind(*gone)
                .execute(&mut **tx)
                .await
                .map_err(self.fails(act))?;
        }
        self.link(act, tx, group, present.difference(former).copied().collect()).await
    }

    async fn members_of(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        group: &str,
    ) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as("SELECT user_id FROM scim_members WHERE group_id = $1")
            .bind(group)
            .fetch_all(&mut **tx)
            .await
            .map_err(self.fails(act))?;
        Ok(rows.into_iter().map(|(user,)| user).collect())
    }

    /// Has the accounts of these users seen to.
    async fn push(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        users: BTreeSet<&str>,
        due_at: UnixTime,
    ) -> Result<(), StoreError> {
        for user in users {
            self.put(act, tx, &Task::Push { user: user.to_owned() }, due_at).await?;
        }
        Ok(())
    }
}

fn resource(row: Row) -> Result<ScimResource, StoreError> {
    let (
        id,
        kind,
        revision,
        body,
        user_name,
        external_id,
        email,
        display_name,
        display_key,
        created,
        modified,
    ) = row;
    Ok(ScimResource {
        id,
        kind: read_word("SCIM resource", kind, "kind")?,
        revision,
        body,
        user_name,
        external_id,
        email,
        display_name,
        display_key,
        created_at: UnixTime(created),
        modified_at: UnixTime(modified),
    })
}
