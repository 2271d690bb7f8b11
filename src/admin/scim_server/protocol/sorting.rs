//! The order of a list (RFC 7644, 3.4.2.3).

use jiff::Timestamp;
use serde_json::Value as Json;

use super::Object;
use super::document::is_primary;
use super::error::ScimError;
use super::matching::{folded, time};
use super::path::{Located, Place, resolve};
use super::schema::{Attribute, ResourceType, Type};

/// By what resources are sorted.
#[derive(Debug, Clone, Copy)]
pub struct Sorting {
    located: Located,
}

/// What one resource is sorted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortKey {
    Flag(bool),
    Time(Timestamp),
    Text(String),
    /// RFC 7644, 3.4.2.3: without a value last, where the order ascends.
    None,
}

impl Sorting {
    /// # Errors
    /// [`ScimError::InvalidPath`]: no such attribute, or one that has parts and no value.
    pub fn new(resource: &ResourceType, by: &str) -> Result<Self, ScimError> {
        let Some(Place::Attribute(located)) = resolve(resource, by) else {
            let what = format!("sortBy: {} has no attribute {by:?}", resource.schema.name);
            return Err(ScimError::InvalidPath(what));
        };
        if leaf(located).is_complex() {
            return Err(ScimError::InvalidPath(format!("sortBy: {by} has several parts; name one of them")));
        }
        Ok(Self { located })
    }

    /// Whether the key is in this top-level attribute of the core schema.
    #[must_use]
    pub fn mentions(&self, name: &str) -> bool {
        self.located.extension.is_none() && self.located.attribute.name == name
    }

    #[must_use]
    pub fn key(&self, resource: &Object) -> SortKey {
        let object = match self.located.extension {
            None => Some(resource),
            Some(schema) => resource.get(schema.id).and_then(Json::as_object),
        };
        let value = object.and_then(|object| object.get(self.located.attribute.name));
        // RFC 7644, 3.4.2.3: of several values the primary one, else the first.
        let one = match value {
            Some(Json::Array(elements)) => {
                elements.iter().find(|element| is_primary(element)).or_else(|| elements.first())
            }
            one => one,
        };
        let leaf = leaf(self.located);
        let value =
            if self.located.attribute.is_complex() { one.and_then(|one| one.get(leaf.name)) } else { one };
        match value {
            Some(Json::Bool(flag)) => SortKey::Flag(*flag),
            Some(Json::String(text)) if leaf.kind == Type::DateTime => {
                time(text).map_or(SortKey::None, SortKey::Time)
            }
            Some(Json::String(text)) if leaf.case_exact => SortKey::Text(text.clone()),
            Some(Json::String(text)) => SortKey::Text(folded(text)),
            _ => SortKey::None,
        }
    }
}

fn leaf(located: Located) -> &'static Attribute {
    let named = located.sub.unwrap_or(located.attribute);
    if named.is_complex() { named.value().unwrap_or(named) } else { named }
}
