//! Overrides from the environment: `NARTHEX__SERVER__LISTEN` is `server.listen`.
//!
//! What a variable's text means follows from the schema: a client id of digits stays a text, a list is
//! `["a", "b"]` or `a,b`. That is why this is not left to a merging library, which would have to guess.

use std::sync::Arc;

use serde_json::Value;

use super::document::{Entry, Node, Origin, Tree};
use super::problem::{Problem, Problems};
use super::structure::{kinds, property};
use crate::expr::nearest;

/// What every variable that overrides something starts with.
pub const PREFIX: &str = "NARTHEX__";

/// Applies one variable, whose name starts with [`PREFIX`].
pub fn apply(document: &mut Node, schema: &Value, name: &str, value: &str, problems: &mut Problems) {
    let origin = Origin::Environment(Arc::from(name));
    let rest = name.strip_prefix(PREFIX).unwrap_or(name).to_lowercase();
    let segments: Vec<&str> = rest.split("__").collect();
    if let Err(problem) = put(document, schema, &segments, &Setting { name, value, origin: &origin }, PREFIX)
    {
        problems.push(problem);
    }
}

struct Setting<'a> {
    name: &'a str,
    value: &'a str,
    origin: &'a Origin,
}

impl Setting<'_> {
    fn refuse(&self, message: impl Into<String>, help: impl Into<String>) -> Problem {
        Problem::error(self.origin.clone(), message).help(help)
    }
}

fn put(
    node: &mut Node,
    schema: &Value,
    segments: &[&str],
    setting: &Setting<'_>,
    written: &str,
) -> Result<(), Problem> {
    let Some((segment, rest)) = segments.split_first() else {
        *node = Node { tree: read(schema, setting)?, origin: setting.origin.clone() };
        return Ok(());
    };
    if schema.get("type").and_then(Value::as_str) == Some("array") {
        let items = schema.get("items").unwrap_or(&Value::Null);
        return put(
            element(node, segment, rest, setting, written)?,
            items,
            rest,
            setting,
            &further(written, segment),
        );
    }
    let branches =
        schema.get("anyOf").and_then(Value::as_array).map_or(std::slice::from_ref(schema), Vec::as_slice);
    let others = schema.get("additionalProperties").filter(|others| others.is_object());
    let Some(below) = branches.iter().find_map(|branch| property(branch, segment)).or(others) else {
        let names = branches.iter().filter_map(|branch| branch.get("properties")?.as_object());
        let names: Vec<&str> = names.flat_map(|properties| properties.keys()).map(String::as_str).collect();
        let help = match nearest(segment, names.iter().copied()) {
            Some(near) => format!("did you mean {}?", whole(written, near, rest)),
            None if names.is_empty() => format!("{written} takes no further name"),
            None => format!("{written} can be followed by {}", names.join(", ").to_uppercase()),
        };
        return Err(setting.refuse(format!("there is no key for {}", setting.name), help));
    };
    // A choice between alternatives is made anew; a `type` chooses otherwise.
    let is_choice = schema.get("anyOf").is_some() && kinds(schema).is_none();
    if !matches!(node.tree, Tree::Table(_)) || (is_choice && node.get(segment).is_none()) {
        *node = Node { tree: Tree::Table(Vec::new()), origin: setting.origin.clone() };
    }
    let Tree::Table(entries) = &mut node.tree else { return Ok(()) };
    let at = entries.iter().position(|entry| folded(&entry.key) == folded(segment));
    let at = at.unwrap_or_else(|| {
        // Only names of headers contain what a variable's name cannot: hyphens.
        let header = written == "NARTHEX__HEADERS__";
        let key = if header { segment.replace('_', "-") } else { (*segment).to_owned() };
        let value = Node { tree: Tree::Foreign("nothing"), origin: setting.origin.clone() };
        entries.push(Entry { key, key_origin: setting.origin.clone(), value });
        entries.len() - 1
    });
    let Some(entry) = entries.get_mut(at) else { return Ok(()) };
    put(&mut entry.value, below, rest, setting, &further(written, segment))
}

/// An element of a list of tables: by its number from 0, or by its `id`.
fn element<'n>(
    node: &'n mut Node,
    segment: &str,
    rest: &[&str],
    setting: &Setting<'_>,
    written: &str,
) -> Result<&'n mut Node, Problem> {
    if !matches!(node.tree, Tree::List(_)) {
        *node = Node { tree: Tree::List(Vec::new()), origin: setting.origin.clone() };
    }
    let Tree::List(items) = &mut node.tree else {
        return Err(setting.refuse("not a list", ""));
    };
    let id = |item: &Node| match item.get("id").map(|id| &id.tree) {
        Some(Tree::Text(id)) => Some(id.clone()),
        _ => None,
    };
    let by_id = items.iter().position(|item| id(item).is_some_and(|id| folded(&id) == folded(segment)));
    let ids: Vec<String> =
        items.iter().filter_map(id).map(|id| id.to_uppercase().replace('-', "_")).collect();
    let index = by_id.or_else(|| segment.parse().ok().filter(|index| *index <= items.len()));
    let Some(index) = index else {
        let help = if ids.is_empty() {
            format!("write a number: {}; there are {}", whole(written, "0", rest), items.len())
        } else {
            let names: Vec<String> = ids.iter().map(|id| whole(written, id, rest)).collect();
            format!("write {}, or a number from 0", names.join(", "))
        };
        return Err(setting.refuse(format!("{} names no element of the list", setting.name), help));
    };
    if index == items.len() {
        items.push(Node { tree: Tree::Table(Vec::new()), origin: setting.origin.clone() });
    }
    items.get_mut(index).ok_or_else(|| setting.refuse("no such element", ""))
}

fn further(written: &str, segment: &str) -> String {
    format!("{written}{}__", segment.to_uppercase()).trim_end_matches('_').to_owned() + "__"
}

/// A variable's whole name.
fn whole(written: &str, segment: &str, rest: &[&str]) -> String {
    let names: Vec<String> = std::iter::once(&segment).chain(rest).map(|name| name.to_uppercase()).collect();
    format!("{written}{}", names.join("__"))
}

fn folded(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The text as the schema wants it; where it does not fit, it is left to be refused like one in the file.
fn read(schema: &Value, setting: &Setting<'_>) -> Result<Tree, Problem> {
    let text = setting.value;
    if let Some(Value::Array(branches)) = schema.get("anyOf") {
        let list = branches.iter().any(|branch| branch.get("type").is_some_and(|kind| kind == "array"));
        if list && text.trim_start().starts_with('[') {
            return inline(setting);
        }
        return Ok(Tree::Text(text.to_owned()));
    }
    Ok(match schema.get("type").and_then(Value::as_str) {
        Some("integer") => text.trim().parse().map_or_else(|_| Tree::Text(text.to_owned()), Tree::Integer),
        Some("boolean") => match text.trim() {
            "true" => Tree::Boolean(true),
            "false" => Tree::Boolean(false),
            _ => Tree::Text(text.to_owned()),
        },
        Some("array") if !text.trim_start().starts_with('[') => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            let item =
                |part: &str| Node { tree: Tree::Text(part.to_owned()), origin: setting.origin.clone() };
            Tree::List(parts.map(item).collect())
        }
        Some("array" | "object") => inline(setting)?,
        _ => Tree::Text(text.to_owned()),
    })
}

/// A list or table in TOML.
fn inline(setting: &Setting<'_>) -> Result<Tree, Problem> {
    let mut problems = Problems::new();
    let mut node = Node::parse(&format!("value = {}", setting.value), &mut problems);
    if let Some(problem) = problems.first() {
        let message = format!("{}: this is not a TOML value", problem.message);
        return Err(
            setting.refuse(message, "write a list as [\"a\", \"b\"] or a,b; a table as { key = \"value\" }")
        );
    }
    reorigin(&mut node, setting.origin);
    let Tree::Table(entries) = node.tree else { return Ok(Tree::Foreign("nothing")) };
    Ok(entries.into_iter().next().map_or(Tree::Foreign("nothing"), |entry| entry.value.tree))
}

fn reorigin(node: &mut Node, origin: &Origin) {
    node.origin = origin.clone();
    match &mut node.tree {
        Tree::List(items) => items.iter_mut().for_each(|item| reorigin(item, origin)),
        Tree::Table(entries) => {
            for entry in entries {
                entry.key_origin = origin.clone();
                reorigin(&mut entry.value, origin);
            }
        }
        Tree::Text(_) | Tree::Integer(_) | Tree::Boolean(_) | Tree::Foreign(_) => {}
    }
}
