//! What a recipe reads out of an answer: a JSONPath, with a map of values, or a text made of several.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use serde_json_path::JsonPath;

use super::error::{RecipeError, RecipeFault};
use super::node::Node;
use super::text::{Failed, Names, Piece, Scope, pieces, whole};

/// Where one value comes from: the first source that gives something.
#[derive(Debug)]
pub(super) struct Reader(Vec<Source>);

#[derive(Debug)]
struct Source {
    from: From,
    /// By the value's text; a value that does not stand here gives nothing.
    map: Option<BTreeMap<String, Json>>,
}

#[derive(Debug)]
enum From {
    Path(JsonPath),
    Text(Vec<Piece>),
}

impl Reader {
    /// `"$.path"`, `"{{ item.a }}/{{ item.b }}"`, `{ path = "$.path", map = { … } }`, or a list of these.
    pub(super) fn load(node: &Node<'_, '_>, names: &Names) -> Result<Self, RecipeError> {
        if node.is_array() {
            let sources =
                node.nodes()?.iter().map(|node| Source::load(node, names)).collect::<Result<_, _>>();
            return sources.map(Self);
        }
        Source::load(node, names).map(|source| Self(vec![source]))
    }

    /// The first value that is there and not null.
    pub(super) fn value(&self, item: &Json, scope: &Scope) -> Result<Option<Json>, Failed> {
        for source in &self.0 {
            if let Some(value) = source.values(item, scope)?.into_iter().next() {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// All values of the first source that gives any.
    pub(super) fn values(&self, item: &Json, scope: &Scope) -> Result<Vec<Json>, Failed> {
        for source in &self.0 {
            let values = source.values(item, scope)?;
            if !values.is_empty() {
                return Ok(values);
            }
        }
        Ok(Vec::new())
    }
}

impl Source {
    fn load(node: &Node<'_, '_>, names: &Names) -> Result<Self, RecipeError> {
        if node.is_table() {
            let section = node.section()?;
            let from = From::load(&section.need("path")?, names)?;
            let map = section.get("map").map(|map| map.entries()).transpose()?;
            let map = map.map(|entries| {
                entries.into_iter().map(|(key, value)| Ok((key, value.scalar()?))).collect::<Result<_, _>>()
            });
            let loaded = Self { from, map: map.transpose()? };
            section.finish()?;
            return Ok(loaded);
        }
        Ok(Self { from: From::load(node, names)?, map: None })
    }

    fn values(&self, item: &Json, scope: &Scope) -> Result<Vec<Json>, Failed> {
        let found: Vec<Json> = match &self.from {
            From::Path(path) => path.query(item).all().into_iter().cloned().collect(),
            From::Text(pieces) => {
                vec![Json::from(whole(pieces, &scope.clone().with("item", item.clone()))?)]
            }
        };
        let present = found.into_iter().filter(|value| !value.is_null());
        Ok(match &self.map {
            None => present.collect(),
            Some(map) => present.filter_map(|value| map.get(&key(&value)?).cloned()).collect(),
        })
    }
}

impl From {
    fn load(node: &Node<'_, '_>, names: &Names) -> Result<Self, RecipeError> {
        let text = node.text()?;
        if text.starts_with('$') {
            return path(node).map(Self::Path);
        }
        let found = pieces(text, names).map_err(|fault| node.fault(fault))?;
        if found.iter().any(|piece| matches!(piece, Piece::Formula(_))) {
            return Ok(Self::Text(found));
        }
        Err(node.fault(RecipeFault::JsonPath(format!("`{text}` does not start with `$`"))))
    }
}

/// A JSONPath (RFC 9535).
pub(super) fn path(node: &Node<'_, '_>) -> Result<JsonPath, RecipeError> {
    JsonPath::parse(node.text()?).map_err(|error| node.fault(RecipeFault::JsonPath(error.to_string())))
}

fn key(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(flag) => Some(flag.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// A name or id from an answer: a text, or a whole number in decimal; not empty, without controls.
pub(in crate::provision) fn name(value: &Json) -> Option<String> {
    let text = match value {
        Json::String(text) => text.clone(),
        Json::Number(number) if number.is_u64() || number.is_i64() => number.to_string(),
        Json::Number(_) | Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => return None,
    };
    ((1..=1024).contains(&text.len()) && !text.chars().any(char::is_control)).then_some(text)
}
