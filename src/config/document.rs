//! A configuration document as a tree in which every value knows where it was written.

use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Problems};

/// Where a key or value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// These bytes of the file.
    File(Range<usize>),
    /// The environment variable of this name.
    Environment(Arc<str>),
    /// By an administrator at run time; no file has it.
    Given,
    /// Nowhere: it is the default.
    Default,
}

/// A value with its origin.
#[derive(Debug, Clone)]
pub struct Node {
    pub tree: Tree,
    pub origin: Origin,
}

#[derive(Debug, Clone)]
pub enum Tree {
    Text(String),
    Integer(i64),
    Boolean(bool),
    /// Something that no key takes: a float, a date.
    Foreign(&'static str),
    List(Vec<Node>),
    /// In the order of the file.
    Table(Vec<Entry>),
}

/// One `key = value`.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key: String,
    pub key_origin: Origin,
    pub value: Node,
}

/// One step down the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Key(String),
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<&String> for Step {
    fn from(key: &String) -> Self {
        Self::Key(key.clone())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// `steps!["idp", 0, "issuer"]`
macro_rules! steps {
    ($($step:expr),* $(,)?) => { &[$($crate::config::document::Step::from($step)),*][..] };
}
pub(crate) use steps;

/// A path as people write it: `idp[0].issuer`.
#[must_use]
pub fn shown(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Step::Index(index) => {
                let _ = write!(text, "[{index}]");
            }
        }
    }
    text
}

impl Node {
    /// Parses TOML; every syntax error is reported, and what could be read is still given.
    pub fn parse(source: &str, problems: &mut Problems) -> Self {
        let (table, errors) = DeTable::parse_recoverable(source);
        for error in errors {
            let origin = error.span().map_or(Origin::Default, Origin::File);
            problems.push(Problem::error(origin, error.message()).help("this is not TOML as it stands"));
        }
        // What the file as a whole lacks stands nowhere in it.
        Self { tree: from_table(table.into_inner()), origin: Origin::Default }
    }

    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.tree {
            Tree::Table(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The origin of what stands at `path`; where nothing does, of the nearest thing above it. For a table that
    /// has a key, the key.
    #[must_use]
    pub fn origin_at(&self, path: &[Step]) -> Origin {
        let mut node = self;
        let mut origin = &self.origin;
        for step in path {
            let next = match (step, &node.tree) {
                (Step::Key(key), _) => node.entry(key).map(|entry| match entry.value.tree {
                    Tree::Table(_) | Tree::List(_) => (&entry.value, &entry.key_origin),
                    _ => (&entry.value, &entry.value.origin),
                }),
                (Step::Index(index), Tree::List(items)) => items.get(*index).map(|item| (item, &item.origin)),
                _ => None,
            };
            let Some((below, at)) = next else { break };
            node = below;
            if *at != Origin::Default {
                origin = at;
            }
        }
        origin.clone()
    }

    /// The keys of the table at `path`, in the order of the file.
    #[must_use]
    pub fn keys_at(&self, path: &[&str]) -> Vec<&str> {
        let node = path.iter().try_fold(self, |node, key| node.get(key));
        match node.map(|node| &node.tree) {
            Some(Tree::Table(entries)) => entries.iter().map(|entry| entry.key.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// As JSON, for serde.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.tree {
            Tree::Text(text) => Value::from(text.as_str()),
            Tree::Integer(number) => Value::from(*number),
            Tree::Boolean(flag) => Value::from(*flag),
            Tree::Foreign(_) => Value::Null,
            Tree::List(items) => items.iter().map(Self::to_json).collect(),
            Tree::Table(entries) => {
                let pairs = entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json()));
                Value::Object(pairs.collect())
            }
        }
    }

    /// A default out of the schema.
    #[must_use]
    pub fn of_default(value: &Value) -> Self {
        let tree = match value {
            Value::Null => Tree::Foreign("null"),
            Value::Bool(flag) => Tree::Boolean(*flag),
            Value::Number(number) => Tree::Integer(number.as_i64().unwrap_or(i64::MAX)),
            Value::String(text) => Tree::Text(text.clone()),
            Value::Array(items) => Tree::List(items.iter().map(Self::of_default).collect()),
            Value::Object(map) => Tree::Table(
                map.iter()
                    .map(|(key, value)| Entry {
                        key: key.clone(),
                        key_origin: Origin::Default,
                        value: Self::of_default(value),
                    })
                    .collect(),
            ),
        };
        Self { tree, origin: Origin::Default }
    }

    /// As it reads after "found".
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.tree {
            Tree::Text(_) => "a text",
            Tree::Integer(_) => "a number",
            Tree::Boolean(_) => "true or false",
            Tree::Foreign(what) => what,
            Tree::List(_) => "a list",
            Tree::Table(_) => "a table",
        }
    }
}

fn from_table(table: DeTable<'_>) -> Tree {
    let mut entries: Vec<(usize, Entry)> = table
        .into_iter()
        .map(|(key, value)| {
            let span = key.span();
            let key_origin = Origin::File(span.clone());
            (span.start, Entry { key: key.into_inner().into_owned(), key_origin, value: from_value(value) })
        })
        .collect();
    entries.sort_by_key(|(start, _)| *start);
    Tree::Table(entries.into_iter().map(|(_, entry)| entry).collect())
}

fn from_value(value: toml::Spanned<DeValue<'_>>) -> Node {
    let origin = Origin::File(value.span());
    let tree = match value.into_inner() {
        DeValue::String(text) => Tree::Text(text.into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Tree::Foreign("a number that is too large"), Tree::Integer),
        DeValue::Float(_) => Tree::Foreign("a number with a fraction"),
        DeValue::Boolean(flag) => Tree::Boolean(flag),
        DeValue::Datetime(_) => Tree::Foreign("a date"),
        DeValue::Array(items) => Tree::List(items.into_iter().map(from_value).collect()),
        DeValue::Table(table) => from_table(table),
    };
    Node { tree, origin }
}
