//! Texts with `{{ expressions }}`: compiled and checked when the recipe is loaded, evaluated into values.

use std::sync::LazyLock;

use minijinja::value::{Serde, ValueKind};
use minijinja::{Environment, Expression, Value};
use serde_json::{Map, Value as Json};

use crate::expr::engine::{self, MAX_OUTPUT, MAX_SOURCE};

use super::error::{RecipeFault, nearest};

static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(engine::environment);

/// The names that an expression may use; a last part of `*` stands for any name and what lies below it.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(Vec<String>);

impl Names {
    pub(super) fn of(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    #[must_use]
    pub(super) fn and(&self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut all = self.clone();
        all.0.extend(names.into_iter().map(Into::into));
        all
    }

    fn check(&self, name: &str) -> Result<(), RecipeFault> {
        let known = self.0.iter().any(|known| match known.strip_suffix(".*") {
            Some(prefix) => {
                name == prefix || name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'))
            }
            None => known == name,
        });
        if known {
            return Ok(());
        }
        let nearest = nearest(name, self.0.iter().map(String::as_str));
        Err(RecipeFault::UnknownVariable { name: name.to_owned(), nearest })
    }
}

/// The values that an operation's expressions see.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope(Map<String, Json>);

impl Scope {
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: Json) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    /// Adds `value` as `group.name`.
    pub(super) fn put(&mut self, group: &str, name: &str, value: Json) {
        let entry = self.0.entry(group.to_owned()).or_insert_with(|| Json::Object(Map::new()));
        if let Json::Object(map) = entry {
            map.insert(name.to_owned(), value);
        }
    }

    pub(super) fn at(&self, group: &str, name: &str) -> Option<&Json> {
        self.0.get(group)?.get(name)
    }
}

/// An expression could not be evaluated with the values at hand; says what and why, never a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed(pub(super) String);

/// One compiled expression.
pub(super) struct Formula {
    source: String,
    compiled: Expression<'static, 'static>,
}

impl std::fmt::Debug for Formula {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{{{ {} }}}}", self.source)
    }
}

impl Formula {
    pub(super) fn compile(source: &str, names: &Names) -> Result<Self, RecipeFault> {
        let source = source.trim();
        if source.len() > MAX_SOURCE {
            return Err(RecipeFault::Expression(format!("longer than {MAX_SOURCE} bytes")));
        }
        let compiled = ENGINE
            .compile_expression_owned(source.to_owned())
            .map_err(|error| RecipeFault::Expression(describe(&error)))?;
        let mut used: Vec<String> = compiled.undeclared_variables(true).into_iter().collect();
        used.sort();
        used.iter().try_for_each(|name| names.check(name))?;
        Ok(Self { source: source.to_owned(), compiled })
    }

    /// `None` where it comes to something absent.
    pub(super) fn json(&self, scope: &Scope) -> Result<Option<Json>, Failed> {
        let value = self.compiled.eval(Value::from(Serde(&scope.0))).map_err(|error| self.failed(&error))?;
        if value.is_undefined() || value.is_none() {
            return Ok(None);
        }
        let json = serde_json::to_value(&value)
            .map_err(|_| Failed(format!("`{}` is no value that can be sent", self.source)))?;
        let long = value.kind() == ValueKind::String && value.len().is_some_and(|len| len > MAX_OUTPUT);
        if long { Err(Failed(format!("`{}` is too long", self.source))) } else { Ok(Some(json)) }
    }

    /// As text; `None` where it comes to something absent.
    pub(super) fn text(&self, scope: &Scope) -> Result<Option<String>, Failed> {
        match self.json(scope)? {
            None | Some(Json::Null) => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(Json::Bool(flag)) => Ok(Some(flag.to_string())),
            Some(Json::Number(number)) => Ok(Some(number.to_string())),
            Some(Json::Array(_) | Json::Object(_)) => {
                Err(Failed(format!("`{}` is not a single value", self.source)))
            }
        }
    }

    /// True or false; anything else is an error.
    pub(super) fn holds(&self, scope: &Scope) -> Result<bool, Failed> {
        match self.json(scope)? {
            Some(Json::Bool(flag)) => Ok(flag),
            _ => Err(Failed(format!("`{}` is neither true nor false", self.source))),
        }
    }

    fn failed(&self, error: &minijinja::Error) -> Failed {
        Failed(format!("`{}`: {}", self.source, describe(error)))
    }
}

fn describe(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

/// A piece of a text: as written, or an expression.
#[derive(Debug)]
pub(super) enum Piece {
    Fixed(String),
    Formula(Formula),
}

/// Splits a text into its pieces. Blocks (`{% … %}`) and comments are refused: a recipe's texts are values,
/// not programs.
pub(super) fn pieces(text: &str, names: &Names) -> Result<Vec<Piece>, RecipeFault> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once("{{") {
        let end = formula_end(inside)
            .ok_or_else(|| RecipeFault::Expression("`{{` without `}}` after it".to_owned()))?;
        let (formula, after) = (inside.get(..end), inside.get(end + 2..));
        if !before.is_empty() {
            found.push(Piece::Fixed(before.to_owned()));
        }
        found.push(Piece::Formula(Formula::compile(formula.unwrap_or_default(), names)?));
        rest = after.unwrap_or_default();
    }
    if !rest.is_empty() {
        found.push(Piece::Fixed(rest.to_owned()));
    }
    for piece in &found {
        if let Piece::Fixed(fixed) = piece
            && ["{%", "{#", "}}"].iter().any(|mark| fixed.contains(mark))
        {
            return Err(RecipeFault::Expression("only `{{ expressions }}` may stand in a text".to_owned()));
        }
    }
    Ok(found)
}

/// Where the `}}` of an expression stands: the first one outside of quotes.
fn formula_end(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut previous = '\0';
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open && previous != '\\' => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '}' && text.get(at..).is_some_and(|rest| rest.starts_with("}}")) => return Some(at),
            Some(_) | None => {}
        }
        previous = c;
    }
    None
}

/// A leaf of a body or a query value.
#[derive(Debug)]
pub(super) enum Leaf {
    Fixed(Json),
    /// Exactly one expression: keeps its type, and is left out where it comes to something absent.
    Formula(Formula),
    Text(Vec<Piece>),
}

impl Leaf {
    pub(super) fn compile(text: &str, names: &Names) -> Result<Self, RecipeFault> {
        let mut pieces = pieces(text, names)?;
        Ok(match (pieces.pop(), pieces.is_empty()) {
            (None, _) => Self::Fixed(Json::from("")),
            (Some(Piece::Fixed(fixed)), true) => Self::Fixed(Json::from(fixed)),
            (Some(Piece::Formula(formula)), true) => Self::Formula(formula),
            (Some(last), false) => {
                pieces.push(last);
                Self::Text(pieces)
            }
        })
    }

    pub(super) fn json(&self, scope: &Scope) -> Result<Option<Json>, Failed> {
        match self {
            Self::Fixed(json) => Ok(Some(json.clone())),
            Self::Formula(formula) => formula.json(scope),
            Self::Text(pieces) => whole(pieces, scope).map(|text| Some(Json::from(text))),
        }
    }

    pub(super) fn text(&self, scope: &Scope) -> Result<Option<String>, Failed> {
        match self {
            Self::Fixed(Json::String(text)) => Ok(Some(text.clone())),
            Self::Fixed(other) => Ok(Some(other.to_string())),
            Self::Formula(formula) => formula.text(scope),
            Self::Text(pieces) => whole(pieces, scope).map(Some),
        }
    }
}

/// All pieces as one text; something absent among them is an error, since a half text would be wrong.
pub(super) fn whole(pieces: &[Piece], scope: &Scope) -> Result<String, Failed> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Fixed(fixed) => text.push_str(fixed),
            Piece::Formula(formula) => {
                let value = formula.text(scope)?;
                text.push_str(&value.ok_or_else(|| Failed(format!("`{}` is absent", formula.source)))?);
            }
        }
        if text.len() > MAX_OUTPUT {
            return Err(Failed("a text grew too long".to_owned()));
        }
    }
    Ok(text)
}

/// A tree of JSON whose leaves may be expressions.
#[derive(Debug)]
pub(super) enum Tree {
    Leaf(Leaf),
    List(Vec<Tree>),
    Table(Vec<(String, Tree)>),
}

impl Tree {
    /// Absent leaves are left out of tables and lists.
    pub(super) fn json(&self, scope: &Scope) -> Result<Option<Json>, Failed> {
        Ok(match self {
            Self::Leaf(leaf) => leaf.json(scope)?,
            Self::List(items) => {
                let mut list = Vec::new();
                for item in items {
                    list.extend(item.json(scope)?);
                }
                Some(Json::Array(list))
            }
            Self::Table(entries) => {
                let mut table = Map::new();
                for (key, tree) in entries {
                    if let Some(value) = tree.json(scope)? {
                        table.insert(key.clone(), value);
                    }
                }
                Some(Json::Object(table))
            }
        })
    }
}
