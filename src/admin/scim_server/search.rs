//! Lists: filtered, sorted, page by page (RFC 7644, 3.4.2).

use serde_json::{Value as Json, json};

use super::directory::{Directory, away};
use super::protocol::Object;
use super::protocol::definitions::resource_type;
use super::protocol::error::ScimError;
use super::protocol::matching::{Matcher, Narrow};
use super::protocol::query::{LIST, Query};
use super::protocol::sorting::{SortKey, Sorting};
use super::rendering::{by_resource, linked_attribute, whole};
use crate::model::scim::{ScimKind, ScimResource};
use crate::store::ScimWhich;

/// Resources that are read from the store at a time.
const PAGE: usize = 500;

/// What a search asks of one kind.
struct Part {
    kind: ScimKind,
    matcher: Option<Matcher>,
    sorting: Option<Sorting>,
}

/// A place in a sorted list.
struct Ranked {
    key: SortKey,
    kind: ScimKind,
    id: String,
}

impl Directory {
    /// A list over `kinds`, in the order of their ids unless the query sorts.
    pub(super) async fn search(
        &self,
        kinds: &[ScimKind],
        query: &Query,
        base: &str,
    ) -> Result<Json, ScimError> {
        let parts = parts(kinds, query)?;
        let (total, page) = if query.sort_by.is_some() {
            self.sorted(&parts, query, base).await?
        } else if query.filter.is_some() {
            self.filtered(&parts, query, base).await?
        } else {
            self.all(&parts, query).await?
        };
        let shown = self.shown(&page, query, base).await?;
        // RFC 7644, 3.4.2: Resources is there unless it would be empty.
        let mut list = json!({ "schemas": [LIST], "totalResults": total });
        if let Some(list) = list.as_object_mut() {
            list.insert("startIndex".to_owned(), json!(query.start));
            list.insert("itemsPerPage".to_owned(), json!(shown.len()));
            list.insert("Resources".to_owned(), Json::Array(shown));
        }
        Ok(list)
    }

    /// Everything there is: counted by the store, and only the page is read.
    async fn all(&self, parts: &[Part], query: &Query) -> Result<(usize, Vec<ScimResource>), ScimError> {
        let (mut total, mut page, mut skip) = (0, Vec::new(), query.start - 1);
        for part in parts {
            let count = self.store.count_scim(part.kind).await.map_err(|error| away(&error))?;
            let rest = query.count - page.len();
            if skip < count && rest > 0 {
                let which = ScimWhich::All;
                let read = self.store.list_scim(part.kind, &which, "", skip, rest).await;
                page.extend(read.map_err(|error| away(&error))?);
            }
            skip = skip.saturating_sub(count);
            total += count;
        }
        Ok((total, page))
    }

    async fn filtered(
        &self,
        parts: &[Part],
        query: &Query,
        base: &str,
    ) -> Result<(usize, Vec<ScimResource>), ScimError> {
        let (mut total, mut page) = (0, Vec::new());
        for part in parts {
            self.each(part, base, &mut |resource, _| {
                total += 1;
                if total >= query.start && page.len() < query.count {
                    page.push(resource);
                }
            })
            .await?;
        }
        Ok((total, page))
    }

    async fn sorted(
        &self,
        parts: &[Part],
        query: &Query,
        base: &str,
    ) -> Result<(usize, Vec<ScimResource>), ScimError> {
        let mut ranked = Vec::new();
        for part in parts {
            self.each(part, base, &mut |resource, whole| {
                let key = part.sorting.as_ref().map_or(SortKey::None, |sorting| sorting.key(whole));
                ranked.push(Ranked { key, kind: resource.kind, id: resource.id });
            })
            .await?;
        }
        ranked.sort_by(|one, other| {
            let order = one.key.cmp(&other.key);
            let order = if query.descending { order.reverse() } else { order };
            order.then_with(|| one.id.cmp(&other.id))
        });
        let total = ranked.len();
        let mut page = Vec::new();
        for place in ranked.into_iter().skip(query.start - 1).take(query.count) {
            let found = self.store.find_scim(place.kind, &place.id).await;
            // One that was deleted meanwhile is left out.
            page.extend(found.map_err(|error| away(&error))?);
        }
        Ok((total, page))
    }

    /// Shows each resource that the part's filter lets through, with all that filter and order look at.
    async fn each(
        &self,
        part: &Part,
        base: &str,
        found: &mut (dyn FnMut(ScimResource, &Object) + Send),
    ) -> Result<(), ScimError> {
        let linked = linked_attribute(part.kind);
        let with_links = part.matcher.as_ref().is_some_and(|matcher| matcher.mentions(linked))
            || part.sorting.is_some_and(|sorting| sorting.mentions(linked));
        let narrow = part.matcher.as_ref().and_then(Matcher::narrow);
        let mut after = String::new();
        loop {
            let page = self.candidates(part.kind, narrow.as_ref(), &after).await?;
            let Some(last) = page.last() else { return Ok(()) };
            let last = last.id.clone();
            let ids: Vec<String> = page.iter().map(|resource| resource.id.clone()).collect();
            let links = if with_links { self.links(part.kind, &ids).await? } else { Vec::new() };
            let by_resource = by_resource(part.kind, &links);
            for resource in page {
                let links = by_resource.get(resource.id.as_str()).into_iter().flatten().copied();
                let whole = whole(&resource, links, base)?;
                if part.matcher.as_ref().is_none_or(|matcher| matcher.matches(&whole)) {
                    found(resource, &whole);
                }
            }
            after = last;
        }
    }

    async fn candidates(
        &self,
        kind: ScimKind,
        narrow: Option<&Narrow>,
        after: &str,
    ) -> Result<Vec<ScimResource>, ScimError> {
        let which = match narrow {
            None => ScimWhich::All,
            Some(Narrow::Id(id)) => {
                let found = self.store.find_scim(kind, id).await.map_err(|error| away(&error))?;
                return Ok(found.into_iter().filter(|resource| resource.id.as_str() > after).collect());
            }
            Some(Narrow::UserName(name)) => ScimWhich::UserName(name.clone()),
            Some(Narrow::ExternalId(id)) => ScimWhich::ExternalId(id.clone()),
            Some(Narrow::DisplayName(name)) => ScimWhich::DisplayName(name.clone()),
            Some(Narrow::WithMember(id)) => ScimWhich::WithMember(id.clone()),
            Some(Narrow::InGroup(id)) => ScimWhich::InGroup(id.clone()),
        };
        self.store.list_scim(kind, &which, after, 0, PAGE).await.map_err(|error| away(&error))
    }

    async fn shown(&self, page: &[ScimResource], query: &Query, base: &str) -> Result<Vec<Json>, ScimError> {
        let mut shown = Vec::with_capacity(page.len());
        for same_kind in page.chunk_by(|one, other| one.kind == other.kind) {
            let Some(kind) = same_kind.first().map(|resource| resource.kind) else { continue };
            let projection = query.wanted.of(resource_type(kind));
            let links = if projection.wants(linked_attribute(kind)) {
                let ids: Vec<String> = same_kind.iter().map(|resource| resource.id.clone()).collect();
                self.links(kind, &ids).await?
            } else {
                Vec::new()
            };
            let by_resource = by_resource(kind, &links);
            for resource in same_kind {
                let links = by_resource.get(resource.id.as_str()).into_iter().flatten().copied();
                shown.push(Json::Object(projection.apply(whole(resource, links, base)?)));
            }
        }
        Ok(shown)
    }
}

/// Checks filter and order for each kind. Over several, what one kind lacks has no value there (RFC 7644,
/// 3.4.2.1).
fn parts(kinds: &[ScimKind], query: &Query) -> Result<Vec<Part>, ScimError> {
    let mut parts = Vec::new();
    let mut unsortable = None;
    for kind in kinds {
        let resource = resource_type(*kind);
        let bind = if kinds.len() == 1 { Matcher::new } else { Matcher::lenient };
        let matcher = query.filter.as_ref().map(|filter| bind(filter, resource)).transpose()?;
        let sorting = match query.sort_by.as_deref().map(|by| Sorting::new(resource, by)) {
            None => None,
            Some(Ok(sorting)) => Some(sorting),
            Some(Err(error)) => {
                unsortable = Some(error);
                None
            }
        };
        parts.push(Part { kind: *kind, matcher, sorting });
    }
    match unsortable {
        Some(error) if parts.iter().all(|part| part.sorting.is_none()) => Err(error),
        _ => Ok(parts),
    }
}
