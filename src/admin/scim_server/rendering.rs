//! Resources as clients see them: what was written, and what this server knows of it (RFC 7643, 3.1).

use std::collections::HashMap;

use serde_json::{Value as Json, json};

use super::protocol::Object;
use super::protocol::definitions::resource_type;
use super::protocol::document::schemas_of;
use super::protocol::error::ScimError;
use super::protocol::version::Version;
use crate::model::scim::{ScimKind, ScimLink, ScimResource};

/// What was written, out of the store.
pub(super) fn written(resource: &ScimResource) -> Result<Object, ScimError> {
    serde_json::from_str(&resource.body).map_err(|error| {
        tracing::error!(id = resource.id, %error, "the store holds a SCIM resource that cannot be read");
        ScimError::Unavailable
    })
}

/// Where the resource is.
pub(super) fn location(base: &str, kind: ScimKind, id: &str) -> String {
    format!("{base}{}/{id}", resource_type(kind).endpoint)
}

/// The whole resource; `links` are those that concern it.
pub(super) fn whole<'a>(
    resource: &ScimResource,
    links: impl Iterator<Item = &'a ScimLink>,
    base: &str,
) -> Result<Object, ScimError> {
    let kind = resource.kind;
    let mut body = written(resource)?;
    let mut shown = Object::new();
    shown.insert("schemas".to_owned(), schemas_of(resource_type(kind), &body));
    shown.insert("id".to_owned(), json!(resource.id));
    if let Some(external_id) = body.shift_remove("externalId") {
        shown.insert("externalId".to_owned(), external_id);
    }
    shown.extend(body);
    let (name, linked): (_, Vec<Json>) = match kind {
        ScimKind::User => ("groups", links.map(|link| group(link, base)).collect()),
        ScimKind::Group => ("members", links.map(|link| member(link, base)).collect()),
    };
    if !linked.is_empty() {
        shown.insert(name.to_owned(), Json::Array(linked));
    }
    let meta = json!({
        "resourceType": kind.name(),
        "created": resource.created_at.to_string(),
        "lastModified": resource.modified_at.to_string(),
        "location": location(base, kind, &resource.id),
        "version": Version(resource.revision).to_string(),
    });
    shown.insert("meta".to_owned(), meta);
    Ok(shown)
}

fn group(link: &ScimLink, base: &str) -> Json {
    json!({
        "value": link.group,
        "$ref": location(base, ScimKind::Group, &link.group),
        "display": link.group_name,
        "type": "direct",
    })
}

fn member(link: &ScimLink, base: &str) -> Json {
    json!({ "value": link.user, "$ref": location(base, ScimKind::User, &link.user), "type": "User" })
}

/// Links by the resource that they are asked for.
pub(super) fn by_resource(kind: ScimKind, links: &[ScimLink]) -> HashMap<&str, Vec<&ScimLink>> {
    let mut by_resource: HashMap<&str, Vec<&ScimLink>> = HashMap::new();
    for link in links {
        let id = match kind {
            ScimKind::User => link.user.as_str(),
            ScimKind::Group => link.group.as_str(),
        };
        by_resource.entry(id).or_default().push(link);
    }
    by_resource
}

/// The attribute that links become.
pub(super) fn linked_attribute(kind: ScimKind) -> &'static str {
    match kind {
        ScimKind::User => "groups",
        ScimKind::Group => "members",
    }
}
