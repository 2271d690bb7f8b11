//! What clients do with users and groups, against the store.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use tokio::sync::Mutex;

use super::protocol::Object;
use super::protocol::bulk::{self, Bulk, Deed, Operation, Outcome};
use super::protocol::definitions::resource_type;
use super::protocol::document::{conform, keys, members, replaced};
use super::protocol::error::ScimError;
use super::protocol::patch;
use super::protocol::projection::Wanted;
use super::protocol::version::{Condition, Tags, Version};
use super::rendering::{linked_attribute, location, whole, written};
use crate::model::scim::{ScimKind, ScimLink, ScimResource};
use crate::observe::audit::{Audit, Entry, Event};
use crate::platform::Platform;
use crate::store::{ScimWrite, Store, StoreError};

/// Links of one answer.
pub(super) const MAX_LINKS: usize = 200_000;
/// How often a change is begun anew because another replica was faster.
const MAX_ROUNDS: usize = 20;

/// Users and groups.
pub(super) struct Directory {
    pub(super) store: Arc<dyn Store>,
    platform: Platform,
    audit: Audit,
    /// Changes of this process go one by one: they read, change and write. Those of other replicas are told by the
    /// revision.
    changing: Mutex<()>,
}

/// A resource, as its client wants to see it.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) resource: Object,
    pub(super) version: Version,
    pub(super) location: String,
}

/// How a resource is to be changed.
enum Change<'a> {
    Replace(&'a Json),
    Patch(&'a Json),
}

impl Directory {
    pub(super) fn new(store: Arc<dyn Store>, platform: Platform, audit: Audit) -> Self {
        Self { store, platform, audit, changing: Mutex::default() }
    }

    /// RFC 7644, 3.3.
    pub(super) async fn create(
        &self,
        kind: ScimKind,
        body: &Json,
        wanted: &Wanted,
        base: &str,
    ) -> Result<Shown, ScimError> {
        let id = self.fresh_id()?;
        let resource = self.create_as(id, kind, body).await?;
        self.show(&resource, wanted, base).await
    }

    async fn create_as(&self, id: String, kind: ScimKind, body: &Json) -> Result<ScimResource, ScimError> {
        let mut sound = conform(resource_type(kind), body)?;
        if kind == ScimKind::User {
            sound.entry("active").or_insert(Json::Bool(true));
        }
        let members = members(&sound);
        let now = self.platform.clock.now();
        let empty = ScimResource {
            id,
            kind,
            revision: 1,
            body: String::new(),
            user_name: None,
            external_id: None,
            email: None,
            display_name: None,
            display_key: None,
            created_at: now,
            modified_at: now,
        };
        let resource = with_body(empty, sound);
        let write = self.store.create_scim(&resource, &members).await.map_err(|error| away(&error))?;
        done(write, &resource)?;
        self.tell(Event::ScimChanged, "create", &resource);
        Ok(resource)
    }

    /// RFC 7644, 3.4.1.
    pub(super) async fn find(&self, kind: ScimKind, id: &str) -> Result<ScimResource, ScimError> {
        let found = self.store.find_scim(kind, id).await.map_err(|error| away(&error))?;
        found.ok_or_else(|| absent(kind, id))
    }

    /// RFC 7644, 3.5.1.
    pub(super) async fn replace(
        &self,
        kind: ScimKind,
        id: &str,
        body: &Json,
        condition: &Condition,
    ) -> Result<ScimResource, ScimError> {
        self.change(kind, id, &Change::Replace(body), condition).await
    }

    /// RFC 7644, 3.5.2.
    pub(super) async fn patch(
        &self,
        kind: ScimKind,
        id: &str,
        body: &Json,
        condition: &Condition,
    ) -> Result<ScimResource, ScimError> {
        self.change(kind, id, &Change::Patch(body), condition).await
    }

    async fn change(
        &self,
        kind: ScimKind,
        id: &str,
        change: &Change<'_>,
        condition: &Condition,
    ) -> Result<ScimResource, ScimError> {
        let _turn = self.changing.lock().await;
        for _ in 0..MAX_ROUNDS {
            let current = self.find(kind, id).await?;
            condition.permits(Version(current.revision))?;
            if let Some(changed) = self.change_once(current, change).await? {
                return Ok(changed);
            }
        }
        tracing::warn!(id, "a SCIM resource changes too often to be changed");
        Err(ScimError::Unavailable)
    }

    /// `None`: another replica was faster.
    async fn change_once(
        &self,
        current: ScimResource,
        change: &Change<'_>,
    ) -> Result<Option<ScimResource>, ScimError> {
        let kind = current.kind;
        let mut old = written(&current)?;
        let old_members = self.members(&current).await?;
        if !old_members.is_empty() {
            let elements = old_members.iter().map(|id| json!({ "value": id })).collect();
            old.insert("members".to_owned(), Json::Array(elements));
        }
        let new = match change {
            Change::Replace(body) => {
                replaced(resource_type(kind), &old, conform(resource_type(kind), body)?)?
            }
            Change::Patch(body) => patch::apply(resource_type(kind), &old, body)?,
        };
        let new_members = members(&new);
        let expected = current.revision;
        let changed = with_body(current.clone(), new);
        // RFC 7644, 3.5.2.1: what changes nothing is no change.
        if same(&changed, &current)? && new_members == old_members {
            return Ok(Some(current));
        }
        let changed =
            ScimResource { revision: expected + 1, modified_at: self.platform.clock.now(), ..changed };
        let linked = (new_members != old_members).then_some(new_members.as_slice());
        let write =
            self.store.replace_scim(&changed, expected, linked).await.map_err(|error| away(&error))?;
        if write == ScimWrite::Stale {
            return Ok(None);
        }
        done(write, &changed)?;
        self.tell(Event::ScimChanged, "change", &changed);
        Ok(Some(changed))
    }

    /// RFC 7644, 3.6.
    pub(super) async fn delete(
        &self,
        kind: ScimKind,
        id: &str,
        condition: &Condition,
    ) -> Result<(), ScimError> {
        let _turn = self.changing.lock().await;
        for _ in 0..MAX_ROUNDS {
            let current = self.find(kind, id).await?;
            condition.permits(Version(current.revision))?;
            let now = self.platform.clock.now();
            let expected = Some(current.revision);
            let write =
                self.store.delete_scim(kind, id, expected, now).await.map_err(|error| away(&error))?;
            if write != ScimWrite::Stale {
                done(write, &current)?;
                self.tell(Event::ScimDeleted, "delete", &current);
                return Ok(());
            }
        }
        tracing::warn!(id, "a SCIM resource changes too often to be deleted");
        Err(ScimError::Unavailable)
    }

    /// RFC 7644, 3.7. Each operation for itself: those before one that fails stay done.
    pub(super) async fn bulk(&self, body: &Json, base: &str) -> Result<Json, ScimError> {
        let bulk = Bulk::parse(body, &mut || self.fresh_id())?;
        let mut outcomes: Vec<Option<Outcome>> = bulk.operations.iter().map(|_| None).collect();
        let mut errors = 0;
        for place in bulk.order() {
            if bulk.fail_on_errors.is_some_and(|most| errors >= most) {
                break;
            }
            let Some(operation) = bulk.operations.get(place) else { continue };
            let failed = |need: &usize| {
                outcomes.get(*need).and_then(Option::as_ref).is_some_and(|outcome| outcome.result.is_err())
            };
            let outcome = if operation.needs.iter().any(failed) {
                let what = "what this operation refers to could not be made".to_owned();
                Outcome { location: None, version: None, result: Err(ScimError::InvalidValue(what)) }
            } else {
                self.operate(operation, base).await
            };
            errors += usize::from(outcome.result.is_err());
            if let Some(slot) = outcomes.get_mut(place) {
                *slot = Some(outcome);
            }
        }
        Ok(bulk::response(&bulk.operations, outcomes))
    }

    async fn operate(&self, operation: &Operation, base: &str) -> Outcome {
        let condition =
            Condition { if_match: operation.version.as_deref().map(Tags::parse), if_none_match: None };
        let deed = match &operation.what {
            Ok(deed) => deed,
            Err(error) => return Outcome { location: None, version: None, result: Err(error.clone()) },
        };
        let (kind, id) = match deed {
            Deed::Create { kind, id, .. }
            | Deed::Replace { kind, id, .. }
            | Deed::Patch { kind, id, .. }
            | Deed::Delete { kind, id } => (*kind, id),
        };
        let done = match deed {
            Deed::Create { data, .. } => {
                self.create_as(id.clone(), kind, data).await.map(|resource| (201, Some(resource)))
            }
            Deed::Replace { data, .. } => {
                self.replace(kind, id, data, &condition).await.map(|resource| (200, Some(resource)))
            }
            Deed::Patch { data, .. } => {
                self.patch(kind, id, data, &condition).await.map(|resource| (200, Some(resource)))
            }
            Deed::Delete { .. } => self.delete(kind, id, &condition).await.map(|()| (204, None)),
        };
        // RFC 7644, 3.7: the location of all but a creation that failed.
        let made = !matches!(deed, Deed::Create { .. }) || done.is_ok();
        Outcome {
            location: made.then(|| location(base, kind, id)),
            version: match &done {
                Ok((_, Some(resource))) => Some(Version(resource.revision).to_string()),
                _ => None,
            },
            result: done.map(|(status, _)| status),
        }
    }

    /// As its client wants to see it.
    pub(super) async fn show(
        &self,
        resource: &ScimResource,
        wanted: &Wanted,
        base: &str,
    ) -> Result<Shown, ScimError> {
        let projection = wanted.of(resource_type(resource.kind));
        let links = if projection.wants(linked_attribute(resource.kind)) {
            self.links(resource.kind, std::slice::from_ref(&resource.id)).await?
        } else {
            Vec::new()
        };
        Ok(Shown {
            resource: projection.apply(whole(resource, links.iter(), base)?),
            version: Version(resource.revision),
            location: location(base, resource.kind, &resource.id),
        })
    }

    async fn members(&self, resource: &ScimResource) -> Result<Vec<String>, ScimError> {
        if resource.kind == ScimKind::User {
            return Ok(Vec::new());
        }
        let links = self.links(resource.kind, std::slice::from_ref(&resource.id)).await?;
        let mut members: Vec<String> = links.into_iter().map(|link| link.user).collect();
        members.sort_unstable();
        Ok(members)
    }

    /// The links of these resources.
    pub(super) async fn links(&self, kind: ScimKind, ids: &[String]) -> Result<Vec<ScimLink>, ScimError> {
        let links =
            self.store.list_scim_links(kind, ids, MAX_LINKS + 1).await.map_err(|error| away(&error))?;
        if links.len() > MAX_LINKS {
            let what = format!(
                "the answer would name more than {MAX_LINKS} members; ask for fewer groups at a time, or leave \
                 the members out (excludedAttributes=members)"
            );
            return Err(ScimError::TooMany(what));
        }
        Ok(links)
    }

    fn tell(&self, event: Event, how: &'static str, resource: &ScimResource) {
        let name = resource.user_name.as_ref().or(resource.display_name.as_ref());
        let entry = Entry::new(event)
            .field("kind", resource.kind.name())
            .field("how", how)
            .field("revision", u64::try_from(resource.revision).unwrap_or(0))
            .personal("id", &resource.id)
            .personal("name", name.map_or("", String::as_str));
        self.audit.record(entry);
    }

    /// SECURITY: lesson 32. Of our own making: no client can choose it, and it is nobody's id elsewhere.
    fn fresh_id(&self) -> Result<String, ScimError> {
        let made = self.platform.entropy.member_id(self.platform.clock.now());
        made.map(|id| id.0.to_string()).map_err(|error| {
            tracing::error!(%error, "no id for a SCIM resource");
            ScimError::Unavailable
        })
    }
}

/// `resource` with what was written; the members are kept apart.
fn with_body(resource: ScimResource, mut written: Object) -> ScimResource {
    written.shift_remove("members");
    let keys = keys(&written);
    ScimResource {
        body: Json::Object(written).to_string(),
        user_name: keys.user_name.filter(|_| resource.kind == ScimKind::User),
        external_id: keys.external_id,
        email: keys.email,
        display_name: keys.display_name,
        display_key: keys.display_key,
        ..resource
    }
}

/// Whether the same was written, in whatever order.
fn same(one: &ScimResource, other: &ScimResource) -> Result<bool, ScimError> {
    Ok(one.body == other.body || Json::Object(written(one)?) == Json::Object(written(other)?))
}

fn done(write: ScimWrite, resource: &ScimResource) -> Result<(), ScimError> {
    match write {
        ScimWrite::Done => Ok(()),
        ScimWrite::Taken => {
            Err(ScimError::Uniqueness("userName: another user has this name, in some spelling".to_owned()))
        }
        ScimWrite::Absent => Err(absent(resource.kind, &resource.id)),
        ScimWrite::Stale => Err(ScimError::VersionMismatch),
        ScimWrite::NoSuchMember(id) => {
            Err(ScimError::InvalidValue(format!("members: there is no user {id:?}")))
        }
    }
}

fn absent(kind: ScimKind, id: &str) -> ScimError {
    ScimError::NotFound(format!("{} {id:?}", kind.name()))
}

pub(super) fn away(error: &StoreError) -> ScimError {
    tracing::error!(%error, "SCIM cannot reach the store");
    ScimError::Unavailable
}
