//! What SCIM clients keep, in memory.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::{Memory, Tables};
use crate::model::scim::{ScimKind, ScimLink, ScimResource};
use crate::model::{IdpId, MemberId, Subject, Task, UnixTime};
use crate::store::{ScimStore, ScimWhich, ScimWrite, StoreError};

#[derive(Default)]
pub(super) struct Scim {
    rows: BTreeMap<String, ScimResource>,
    /// Group and user.
    links: BTreeSet<(String, String)>,
}

impl Scim {
    fn has_rival(&self, resource: &ScimResource) -> bool {
        let named = |row: &ScimResource| row.user_name.is_some() && row.user_name == resource.user_name;
        self.rows.values().any(|row| row.id != resource.id && named(row))
    }

    fn missing(&self, members: &[String]) -> Option<ScimWrite> {
        let is_user = |id: &String| self.rows.get(id).is_some_and(|row| row.kind == ScimKind::User);
        members.iter().find(|id| !is_user(id)).cloned().map(ScimWrite::NoSuchMember)
    }

    fn link(&mut self, group: &str, members: &[String]) {
        self.links.retain(|(linked, _)| linked != group);
        self.links.extend(members.iter().map(|user| (group.to_owned(), user.clone())));
    }

    fn members_of(&self, group: &str) -> BTreeSet<String> {
        self.links.iter().filter(|(linked, _)| linked == group).map(|(_, user)| user.clone()).collect()
    }

    fn unfit(&self, kind: ScimKind, id: &str, expected: Option<i64>) -> Option<ScimWrite> {
        match self.rows.get(id).filter(|row| row.kind == kind) {
            None => Some(ScimWrite::Absent),
            Some(row) if expected.is_some_and(|expected| expected != row.revision) => Some(ScimWrite::Stale),
            Some(_) => None,
        }
    }

    fn is_among(&self, which: &ScimWhich, row: &ScimResource) -> bool {
        match which {
            ScimWhich::All => true,
            ScimWhich::UserName(key) => row.user_name.as_ref() == Some(key),
            ScimWhich::ExternalId(key) => row.external_id.as_ref() == Some(key),
            ScimWhich::Email(key) => row.email.as_ref() == Some(key),
            ScimWhich::DisplayName(key) => row.display_key.as_ref() == Some(key),
            ScimWhich::WithMember(user) => self.links.contains(&(row.id.clone(), user.clone())),
            ScimWhich::InGroup(group) => self.links.contains(&(group.clone(), row.id.clone())),
        }
    }
}

impl Tables {
    /// Has the accounts of these users seen to.
    fn push(&mut self, users: BTreeSet<String>, due_at: UnixTime) {
        for user in users {
            self.jobs.put(&Task::Push { user }, due_at);
        }
    }
}

#[async_trait]
impl ScimStore for Memory {
    async fn create_scim(
        &self,
        resource: &ScimResource,
        members: &[String],
    ) -> Result<ScimWrite, StoreError> {
        let tables = &mut *self.tables();
        let scim = &mut tables.scim;
        if scim.rows.contains_key(&resource.id) || scim.has_rival(resource) {
            return Ok(ScimWrite::Taken);
        }
        if let Some(missing) = scim.missing(members) {
            return Ok(missing);
        }
        scim.rows.insert(resource.id.clone(), resource.clone());
        scim.link(&resource.id, members);
        let concerned = match resource.kind {
            ScimKind::User => BTreeSet::from([resource.id.clone()]),
            ScimKind::Group => members.iter().cloned().collect(),
        };
        tables.push(concerned, resource.modified_at);
        Ok(ScimWrite::Done)
    }

    async fn replace_scim(
        &self,
        resource: &ScimResource,
        expected: i64,
        members: Option<&[String]>,
    ) -> Result<ScimWrite, StoreError> {
        let tables = &mut *self.tables();
        let scim = &mut tables.scim;
        if let Some(why_not) = scim.unfit(resource.kind, &resource.id, Some(expected)) {
            return Ok(why_not);
        }
        if scim.has_rival(resource) {
            return Ok(ScimWrite::Taken);
        }
        if let Some(missing) = members.and_then(|members| scim.missing(members)) {
            return Ok(missing);
        }
        let former = scim.members_of(&resource.id);
        if let Some(members) = members {
            scim.link(&resource.id, members);
        }
        let present = scim.members_of(&resource.id);
        let mut renamed = false;
        if let Some(row) = scim.rows.get_mut(&resource.id) {
            renamed = row.display_name != resource.display_name;
            *row = ScimResource { created_at: row.created_at, ..resource.clone() };
        }
        let concerned = match resource.kind {
            ScimKind::User => BTreeSet::from([resource.id.clone()]),
            ScimKind::Group if renamed => &former | &present,
            ScimKind::Group => &former ^ &present,
        };
        tables.push(concerned, resource.modified_at);
        Ok(ScimWrite::Done)
    }

    async fn delete_scim(
        &self,
        kind: ScimKind,
        id: &str,
        expected: Option<i64>,
        now: UnixTime,
    ) -> Result<ScimWrite, StoreError> {
        let tables = &mut *self.tables();
        let scim = &mut tables.scim;
        if let Some(why_not) = scim.unfit(kind, id, expected) {
            return Ok(why_not);
        }
        let concerned = match kind {
            ScimKind::User => BTreeSet::from([id.to_owned()]),
            ScimKind::Group => scim.members_of(id),
        };
        for (group, _) in scim.links.iter().filter(|(_, user)| user == id) {
            if let Some(row) = scim.rows.get_mut(group) {
                row.revision += 1;
                row.modified_at = now;
            }
        }
        scim.links.retain(|(group, user)| group != id && user != id);
        scim.rows.remove(id);
        tables.push(concerned, now);
        Ok(ScimWrite::Done)
    }

    async fn find_scim(&self, kind: ScimKind, id: &str) -> Result<Option<ScimResource>, StoreError> {
        Ok(self.tables().scim.rows.get(id).filter(|row| row.kind == kind).cloned())
    }

    async fn list_scim(
        &self,
        kind: ScimKind,
        which: &ScimWhich,
        after: &str,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<ScimResource>, StoreError> {
        let scim = &self.tables().scim;
        let rows = scim.rows.values().filter(|row| row.kind == kind && row.id.as_str() > after);
        Ok(rows.filter(|row| scim.is_among(which, row)).skip(skip).take(limit).cloned().collect())
    }

    async fn count_scim(&self, kind: ScimKind) -> Result<usize, StoreError> {
        Ok(self.tables().scim.rows.values().filter(|row| row.kind == kind).count())
    }

    async fn list_scim_links(
        &self,
        kind: ScimKind,
        ids: &[String],
        limit: usize,
    ) -> Result<Vec<ScimLink>, StoreError> {
        let scim = &self.tables().scim;
        let mut links = Vec::new();
        for id in ids {
            let of_this = scim.links.iter().filter(|(group, user)| match kind {
                ScimKind::User => user == id,
                ScimKind::Group => group == id,
            });
            links.extend(of_this.map(|(group, user)| ScimLink {
                group: group.clone(),
                user: user.clone(),
                group_name: scim.rows.get(group).and_then(|row| row.display_name.clone()).unwrap_or_default(),
            }));
        }
        links.truncate(limit);
        Ok(links)
    }
    async fn link_identity(
        &self,
        member: MemberId,
        idp: &IdpId,
        subject: &Subject,
    ) -> Result<bool, StoreError> {
        Ok(self.tables().members.link(member, idp, subject))
    }
}
