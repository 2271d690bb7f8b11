//! The document against the schema: unknown keys, wrong types, missing keys, all of them; then the defaults.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::{Map, Value};

use super::document::{Entry, Node, Origin, Step, Tree, shown};
use super::problem::{Problem, Problems};
use crate::expr::nearest;

/// Reports what does not fit the schema, takes it out of the tree, and fills in the defaults, so that the rest can
/// still be read.
///
/// Gives the paths of what was taken out, and of keys that were probably meant by misspelled ones: their absence
/// is no further fault.
pub fn conform(node: &mut Node, schema: &Value, problems: &mut Problems) -> BTreeSet<String> {
    let mut walk = Walk { root: schema, problems, faulty: BTreeSet::new() };
    walk.conform(node, schema, &mut Vec::new());
    walk.faulty
}

fn kind_fits(schema: &Value, node: &Node) -> bool {
    let wanted = schema.get("type").and_then(Value::as_str).unwrap_or("string");
    matches!(
        (wanted, &node.tree),
        ("string", Tree::Text(_))
            | ("integer", Tree::Integer(_))
            | ("boolean", Tree::Boolean(_))
            | ("array", Tree::List(_))
            | ("object", Tree::Table(_))
    )
}

/// The schema of a key.
pub(super) fn property<'s>(schema: &'s Value, key: &str) -> Option<&'s Value> {
    schema.get("properties")?.get(key)
}

/// The tables that a `type` chooses between, with the value of `type` for each.
pub(super) fn kinds(schema: &Value) -> Option<Vec<(&str, &Value)>> {
    let branches = schema.get("anyOf")?.as_array()?;
    let kind = |branch| match members(property(branch, "type")?)?.as_slice() {
        [one] => Some(*one),
        _ => None,
    };
    branches.iter().map(|branch| Some((kind(branch)?, branch))).collect()
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

/// As it reads after "expected".
fn wanted(schema: &Value) -> String {
    if let Some(Value::Array(branches)) = schema.get("anyOf") {
        return branches.iter().map(wanted).collect::<Vec<_>>().join(" or ");
    }
    if let Some(members) = members(schema) {
        return format!("one of {}", members.join(", "));
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("integer") => "a whole number".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("array") => {
            let is_table = |items: &Value| items.get("type").is_some_and(|kind| kind == "object");
            match schema.get("items") {
                Some(items) if is_table(items) || kinds(items).is_some() => "a list of tables".to_owned(),
                _ => "a list of texts: [\"…\"]".to_owned(),
            }
        }
        Some("object") => {
            let keys: Vec<&str> = properties(schema).map(|(key, _)| key.as_str()).collect();
            if keys.is_empty() { "a table".to_owned() } else { format!("a table {{ {} }}", keys.join(", ")) }
        }
        _ => "a text in quotes".to_owned(),
    }
}

/// A text as it would do, made from the default; a number that stands there was probably meant as the port.
fn like(default: &str, node: &Node) -> String {
    match (default.parse::<SocketAddr>(), &node.tree) {
        (Ok(address), Tree::Integer(port)) if u16::try_from(*port).is_ok() => {
            format!(", like \"{}:{port}\", or \"0.0.0.0:{port}\" for all addresses", address.ip())
        }
        _ => format!(", like {default:?}"),
    }
}

fn members(schema: &Value) -> Option<Vec<&str>> {
    Some(schema.get("enum")?.as_array()?.iter().filter_map(Value::as_str).collect())
}

struct Walk<'a> {
    root: &'a Value,
    problems: &'a mut Problems,
    faulty: BTreeSet<String>,
}

impl Walk<'_> {
    /// Whether `node` may stay.
    fn conform(&mut self, node: &mut Node, schema: &Value, path: &mut Vec<Step>) -> bool {
        if let Some(branches) = kinds(schema) {
            return self.kind(node, &branches, path);
        }
        if let Some(Value::Array(branches)) = schema.get("anyOf") {
            return self.choice(node, schema, branches, path);
        }
        if !kind_fits(schema, node) {
            return self.misfit(node, schema, path);
        }
        match &mut node.tree {
            Tree::Table(entries) => {
                self.table(entries, &node.origin, schema, path);
                true
            }
            Tree::List(items) => {
                let items_schema = schema.get("items").unwrap_or(&Value::Null);
                let minimum = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
                if (items.len() as u64) < minimum {
                    let message = format!("`{}` is empty", shown(path));
                    self.problems
                        .push(Problem::error(node.origin.clone(), message).help("at least one is needed"));
                }
                let mut index = 0;
                items.retain_mut(|item| {
                    path.push(Step::Index(index));
                    let stays = self.conform(item, items_schema, path);
                    path.pop();
                    index += 1;
                    stays
                });
                true
            }
            Tree::Text(text) => match members(schema) {
                Some(members) if !members.contains(&text.as_str()) => {
                    let message = format!("`{}` cannot be {text:?}", shown(path));
                    let help = match (members.as_slice(), nearest(text, members.iter().copied())) {
                        ([one], _) => format!("expected {one:?}"),
                        (_, Some(near)) => {
                            format!("did you mean {near:?}? It is one of {}", members.join(", "))
                        }
                        (_, None) => format!("expected one of {}", members.join(", ")),
                    };
                    self.problems.push(Problem::error(node.origin.clone(), message).help(help));
                    false
                }
                _ => true,
            },
            Tree::Integer(number) => {
                let bound = |name: &str| schema.get(name).and_then(Value::as_i64);
                let (low, high) = (bound("minimum").unwrap_or(0), bound("maximum").unwrap_or(i64::MAX));
                if *number < low || *number > high {
                    let message = format!("`{}` cannot be {number}", shown(path));
                    let problem = Problem::error(node.origin.clone(), message);
                    self.problems.push(problem.help(format!("expected a number from {low} to {high}")));
                    return false;
                }
                true
            }
            Tree::Boolean(_) | Tree::Foreign(_) => true,
        }
    }

    fn misfit(&mut self, node: &Node, schema: &Value, path: &[Step]) -> bool {
        let message = format!("`{}` is {}", shown(path), node.kind());
        let problem = Problem::error(node.origin.clone(), message);
        let like = schema.get("default").and_then(Value::as_str).map(|default| like(default, node));
        self.problems.push(problem.help(format!("expected {}{}", wanted(schema), like.unwrap_or_default())));
        false
    }

    /// A table whose `type` says which keys it has.
    fn kind(&mut self, node: &mut Node, branches: &[(&str, &Value)], path: &mut Vec<Step>) -> bool {
        let kinds = || {
            let names: Vec<String> = branches.iter().map(|(name, _)| format!("{name:?}")).collect();
            names.join(" or ")
        };
        let Tree::Table(entries) = &node.tree else {
            return self.misfit(node, &serde_json::json!({ "type": "object" }), path);
        };
        let Some(written) = entries.iter().find(|entry| entry.key == "type") else {
            let problem = Problem::error(node.origin.clone(), format!("`{}` lacks `type`", shown(path)));
            self.problems.push(problem.help(format!("type is {}", kinds())));
            return false;
        };
        let found =
            branches.iter().find(|(name, _)| matches!(&written.value.tree, Tree::Text(text) if text == name));
        if let Some((_, branch)) = found {
            return self.conform(node, branch, path);
        }
        let place = written.value.origin.clone();
        let (message, help) = match &written.value.tree {
            Tree::Text(text) => (
                format!("`{}.type` cannot be {text:?}", shown(path)),
                match nearest(text, branches.iter().map(|(name, _)| *name)) {
                    Some(near) => format!("did you mean {near:?}? It is {}", kinds()),
                    None => format!("expected {}", kinds()),
                },
            ),
            _ => (
                format!("`{}.type` is {}", shown(path), written.value.kind()),
                format!("expected {}", kinds()),
            ),
        };
        self.problems.push(Problem::error(place, message).help(help));
        false
    }

    /// One of several forms. What fits none of them whole is taken out whole.
    fn choice(&mut self, node: &mut Node, schema: &Value, branches: &[Value], path: &mut Vec<Step>) -> bool {
        let known = |branch: &&Value| match &node.tree {
            Tree::Table(entries) => entries.iter().filter(|e| property(branch, &e.key).is_some()).count(),
            _ => 1,
        };
        let meant = branches.iter().filter(|branch| kind_fits(branch, node)).max_by_key(known);
        let Some(branch) = meant.filter(|branch| known(branch) > 0) else {
            return self.misfit(node, schema, path);
        };
        let before = self.problems.len();
        self.conform(node, branch, path) && self.problems.len() == before
    }

    fn table(&mut self, entries: &mut Vec<Entry>, origin: &Origin, schema: &Value, path: &mut Vec<Step>) {
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        entries.retain_mut(|entry| {
            let Some(below) = property(schema, &entry.key).or(others) else {
                self.unknown(entry, schema, path);
                return false;
            };
            path.push(Step::Key(entry.key.clone()));
            let stays = self.conform(&mut entry.value, below, path);
            if !stays {
                self.faulty.insert(shown(path));
            }
            path.pop();
            stays
        });
        let required = schema.get("required").and_then(Value::as_array);
        for key in required.into_iter().flatten().filter_map(Value::as_str) {
            path.push(Step::from(key));
            let known = entries.iter().any(|entry| entry.key == key) || self.faulty.contains(&shown(path));
            path.pop();
            if !known {
                let place =
                    if path.is_empty() { "the file".to_owned() } else { format!("`{}`", shown(path)) };
                let problem = Problem::error(origin.clone(), format!("{place} lacks `{key}`"));
                let meaning = property(schema, key).and_then(|below| below.get("description"));
                self.problems.push(match meaning.and_then(Value::as_str) {
                    Some(meaning) => problem.help(format!("{key}: {meaning}")),
                    None => problem,
                });
            }
        }
        for (key, below) in properties(schema) {
            let Some(default) = below.get("default") else { continue };
            if !entries.iter().any(|entry| entry.key == *key) {
                let mut value = Node::of_default(default);
                path.push(Step::Key(key.clone()));
                self.conform(&mut value, below, path);
                path.pop();
                entries.push(Entry { key: key.clone(), key_origin: Origin::Default, value });
            }
        }
    }

    fn unknown(&mut self, entry: &Entry, schema: &Value, path: &[Step]) {
        let keys: Vec<&str> = properties(schema).map(|(key, _)| key.as_str()).collect();
        let place = if path.is_empty() { String::new() } else { format!(" in `{}`", shown(path)) };
        let root = self.root;
        let elsewhere = || {
            let mut sections = properties(root);
            sections.find(|(_, section)| {
                let section = section.get("items").unwrap_or(section);
                match kinds(section) {
                    Some(kinds) => kinds.iter().any(|(_, kind)| property(kind, &entry.key).is_some()),
                    None => property(section, &entry.key).is_some(),
                }
            })
        };
        let other_kind = || {
            let Some(Step::Key(section)) = path.first() else { return None };
            let section = property(root, section)?;
            let kinds = kinds(section.get("items").unwrap_or(section))?;
            let (kind, _) = kinds.into_iter().find(|(_, kind)| property(kind, &entry.key).is_some())?;
            Some(format!("`{}` is a key where type = {kind:?}", entry.key))
        };
        if let Some(help) = other_kind() {
            let message = format!("there is no key `{}`{place}", entry.key);
            self.problems.push(Problem::error(entry.key_origin.clone(), message).help(help));
            return;
        }
        let help = match (nearest(&entry.key, keys.iter().copied()), elsewhere()) {
            (Some(near), _) => {
                self.faulty.insert(shown(&[path, &[Step::from(near)]].concat()));
                format!("did you mean `{near}`?")
            }
            (None, Some((section, _))) if path.is_empty() || path.first() != Some(&Step::from(section)) => {
                format!("`{}` is a key of [{section}]", entry.key)
            }
            _ => format!("the keys here are {}", keys.join(", ")),
        };
        let message = format!("there is no key `{}`{place}", entry.key);
        self.problems.push(Problem::error(entry.key_origin.clone(), message).help(help));
    }
}
