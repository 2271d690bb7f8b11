//! The typed tree that an expression becomes, and its evaluation: total, without loops, bounded by its size.

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::engine::MAX_OUTPUT;
use super::joined::joined;
use super::template::Written;
use super::{ExprError, RequestFacts, SessionFacts, variables};

/// All that an evaluation may look at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub session: SessionFacts<'a>,
    pub request: Option<RequestFacts<'a>>,
}

type Outcome<T> = Result<T, ExprError>;

/// One claim by its path.
#[derive(Debug, Clone)]
pub struct ClaimPath {
    /// As written, for messages.
    pub shown: String,
    /// The parts joined by dots: a claim of exactly this name comes first, as in `Claims::at`.
    pub name: String,
    pub parts: Vec<String>,
    /// `claims.get(…)`: absent counts as empty.
    pub lenient: bool,
}

impl ClaimPath {
    fn find<'a>(&self, facts: Facts<'a>) -> Option<&'a Value> {
        let claims = facts.session.claims;
        if let [_] = self.parts.as_slice() {
            return claims.at(&self.name);
        }
        let map = claims.as_map();
        let found = map.get(&self.name).or_else(|| {
            let (first, rest) = self.parts.split_first()?;
            rest.iter().try_fold(map.get(first)?, |value, part| value.as_object()?.get(part))
        })?;
        (!found.is_null()).then_some(found)
    }

    fn absent(&self) -> ExprError {
        ExprError::Undefined(format!("`{}`", self.shown))
    }

    fn first<'a>(&self, facts: Facts<'a>) -> Outcome<Cow<'a, str>> {
        let first = match self.find(facts) {
            Some(Value::Array(items)) => items.iter().find_map(scalar),
            Some(one) => scalar(one),
            None => None,
        };
        match first {
            None if self.lenient => Ok(Cow::from("")),
            first => first.ok_or_else(|| self.absent()),
        }
    }

    fn values<'a>(&self, facts: Facts<'a>) -> Outcome<Vec<Cow<'a, str>>> {
        match self.find(facts) {
            Some(Value::Array(items)) => Ok(items.iter().filter_map(scalar).collect()),
            Some(one) => Ok(scalar(one).into_iter().collect()),
            None if self.lenient => Ok(Vec::new()),
            None => Err(self.absent()),
        }
    }

    /// Exact membership among the values, whether the claim came as a list or as one text: a text is never
    /// searched for parts of itself.
    fn contains(&self, facts: Facts<'_>, wanted: &str) -> Outcome<bool> {
        let is = |value: &Value| scalar(value).is_some_and(|value| value == wanted);
        match self.find(facts) {
            Some(Value::Array(items)) => Ok(items.iter().any(is)),
            Some(one) => Ok(is(one)),
            None if self.lenient => Ok(false),
            None => Err(self.absent()),
        }
    }
}

fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::from(text.as_str())),
        Value::Number(number) => Some(Cow::from(number.to_string())),
        Value::Bool(true) => Some(Cow::from("true")),
        Value::Bool(false) => Some(Cow::from("false")),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Gives a text.
#[derive(Debug, Clone)]
pub enum Text {
    Const(String),
    Variable {
        name: &'static str,
        read: ReadText,
    },
    Attribute(String),
    Address {
        name: &'static str,
        read: ReadAddress,
    },
    /// A claim's first value.
    Claim(ClaimPath),
    Lower(Box<Text>),
    Upper(Box<Text>),
    Trim(Box<Text>),
    Replace {
        text: Box<Text>,
        from: String,
        to: Box<Text>,
    },
    First(Box<List>),
    Last(Box<List>),
    Join {
        list: Box<List>,
        separator: String,
    },
    Concat(Box<Text>, Box<Text>),
    Default(Box<Text>, Box<Text>),
    Number(Box<Number>),
    Flag(Box<Flag>),
    If {
        test: Box<Flag>,
        then: Box<Text>,
        otherwise: Option<Box<Text>>,
    },
}

/// See [`variables::Read::Text`].
pub type ReadText = for<'a> fn(Facts<'a>) -> Option<Cow<'a, str>>;
/// See [`variables::Read::Address`].
pub type ReadAddress = fn(Facts<'_>) -> Option<IpAddr>;

impl Text {
    pub fn evaluate<'a>(&'a self, facts: Facts<'a>) -> Outcome<Cow<'a, str>> {
        let text = match self {
            Self::Const(text) => Cow::from(text.as_str()),
            Self::Variable { name, read } => read(facts).ok_or_else(|| undefined(name))?,
            Self::Attribute(name) => variables::attribute(facts, name)
                .ok_or_else(|| ExprError::Undefined(format!("`account.attributes.{name}`")))?,
            Self::Address { name, read } => {
                Cow::from(read(facts).ok_or_else(|| undefined(name))?.to_canonical().to_string())
            }
            Self::Claim(path) => path.first(facts)?,
            Self::Lower(text) => Cow::from(text.evaluate(facts)?.to_lowercase()),
            Self::Upper(text) => Cow::from(text.evaluate(facts)?.to_uppercase()),
            Self::Trim(text) => match text.evaluate(facts)? {
                Cow::Borrowed(text) => Cow::from(text.trim()),
                Cow::Owned(text) => Cow::from(text.trim().to_owned()),
            },
            Self::Replace { text, from, to } => replaced(&text.evaluate(facts)?, from, &to.evaluate(facts)?)?,
            Self::First(list) => list.evaluate(facts)?.into_iter().next().ok_or_else(|| none_in("first"))?,
            Self::Last(list) => list.evaluate(facts)?.pop().ok_or_else(|| none_in("last"))?,
            Self::Join { list, separator } => joined(&list.evaluate(facts)?, separator)?,
            Self::Concat(left, right) => left.evaluate(facts)? + right.evaluate(facts)?,
            Self::Default(text, fallback) => match text.evaluate(facts) {
                Err(ExprError::Undefined(_)) => fallback.evaluate(facts)?,
                other => other?,
            },
            Self::Number(number) => Cow::from(number.evaluate(facts)?.to_string()),
            Self::Flag(flag) => Cow::from(if flag.evaluate(facts)? { "true" } else { "false" }),
            Self::If { test, then, otherwise } => match (test.evaluate(facts)?, otherwise) {
                (true, _) => then.evaluate(facts)?,
                (false, Some(otherwise)) => otherwise.evaluate(facts)?,
                (false, None) => {
                    return Err(ExprError::Undefined("`else`, and the `if` is false".to_owned()));
                }
            },
        };
        bounded(text.len())?;
        Ok(text)
    }
}

fn undefined(name: &str) -> ExprError {
    ExprError::Undefined(format!("`{name}`"))
}

fn none_in(which: &str) -> ExprError {
    ExprError::Undefined(format!("{which} value: the list is empty"))
}

/// Values are of people, and errors go to the log: none is in them.
fn failed(what: &str) -> ExprError {
    ExprError::Failed(what.to_owned())
}

fn bounded(length: usize) -> Outcome<()> {
    if length > MAX_OUTPUT.max(crate::model::claims::MAX_BYTES) {
        return Err(ExprError::Failed(format!("a text of {length} bytes is longer than is worked with")));
    }
    Ok(())
}

/// Counts before it copies, so that a replacement cannot take more memory than the bound allows.
fn replaced<'a>(text: &str, from: &str, to: &str) -> Outcome<Cow<'a, str>> {
    let hits = text.matches(from).count();
    bounded(text.len().saturating_add(hits.saturating_mul(to.len())))?;
    Ok(Cow::from(text.replace(from, to)))
}

/// Gives a list of texts.
#[derive(Debug, Clone)]
pub enum List {
    Const(Vec<Text>),
    Variable(for<'a> fn(Facts<'a>) -> Vec<&'a str>),
    /// All values of a claim.
    Claim(ClaimPath),
    Split {
        text: Box<Text>,
        separator: String,
    },
    Sort(Box<List>),
    Default(Box<List>, Box<List>),
    If {
        test: Box<Flag>,
        then: Box<List>,
        otherwise: Box<List>,
    },
}

impl List {
    pub fn evaluate<'a>(&'a self, facts: Facts<'a>) -> Outcome<Vec<Cow<'a, str>>> {
        match self {
            Self::Const(items) => items.iter().map(|item| item.evaluate(facts)).collect(),
            Self::Variable(read) => Ok(read(facts).into_iter().map(Cow::from).collect()),
            Self::Claim(path) => path.values(facts),
            Self::Split { text, separator } => Ok(match text.evaluate(facts)? {
                Cow::Borrowed(text) => pieces(text, separator).map(Cow::from).collect(),
                Cow::Owned(text) => pieces(&text, separator).map(|p| Cow::from(p.to_owned())).collect(),
            }),
            Self::Sort(list) => {
                let mut values = list.evaluate(facts)?;
                values.sort();
                Ok(values)
            }
            Self::Default(list, fallback) => match list.evaluate(facts) {
                Err(ExprError::Undefined(_)) => fallback.evaluate(facts),
                other => other,
            },
            Self::If { test, then, otherwise } => {
                if test.evaluate(facts)? {
                    then.evaluate(facts)
                } else {
                    otherwise.evaluate(facts)
                }
            }
        }
    }

    /// Exact membership.
    fn contains(&self, facts: Facts<'_>, wanted: &str) -> Outcome<bool> {
        match self {
            Self::Claim(path) => path.contains(facts, wanted),
            Self::Variable(read) => Ok(read(facts).contains(&wanted)),
            Self::Const(items) => {
                for item in items {
                    if item.evaluate(facts)? == wanted {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            other => Ok(other.evaluate(facts)?.iter().any(|value| value == wanted)),
        }
    }
}

/// Blanks around the parts and empty parts are dropped: `a, b,` is two values.
fn pieces<'t>(text: &'t str, separator: &str) -> impl Iterator<Item = &'t str> {
    text.split(separator).map(str::trim).filter(|piece| !piece.is_empty())
}

/// Gives a whole number.
#[derive(Debug, Clone)]
pub enum Number {
    Const(i64),
    Length(Box<List>),
    Int(Box<Text>),
}

impl Number {
    fn evaluate(&self, facts: Facts<'_>) -> Outcome<i64> {
        match self {
            Self::Const(number) => Ok(*number),
            Self::Length(list) => Ok(i64::try_from(list.evaluate(facts)?.len()).unwrap_or(i64::MAX)),
            Self::Int(text) => {
                let text = text.evaluate(facts)?;
                text.trim()
                    .parse()
                    .map_err(|_| failed("a text that `| int` was to read is not a whole number"))
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Same,
    Less,
    LessOrSame,
    Greater,
    GreaterOrSame,
}

/// Gives true or false.
#[derive(Debug, Clone)]
pub enum Flag {
    Const(bool),
    Variable(fn(Facts<'_>) -> bool),
    Not(Box<Flag>),
    And(Box<Flag>, Box<Flag>),
    Or(Box<Flag>, Box<Flag>),
    Same(Text, Text),
    /// `idp.id` against a configured id.
    SameIdp(String),
    Compare(Number, Order, Number),
    In(Text, List),
    /// Some value of the first is in the second.
    AnyIn(List, List),
    Defined(Text),
    ClaimDefined(ClaimPath),
    StartsWith(Text, Text),
    EndsWith(Text, Text),
    Containing(Text, Text),
    /// By whole segments.
    Under {
        path: Text,
        base: String,
    },
    Within {
        name: &'static str,
        read: ReadAddress,
        networks: Vec<IpNet>,
    },
    /// `true` or `false` as a text.
    Bool(Text),
    If {
        test: Box<Flag>,
        then: Box<Flag>,
        otherwise: Box<Flag>,
    },
}

impl Flag {
    pub fn evaluate(&self, facts: Facts<'_>) -> Outcome<bool> {
        Ok(match self {
            Self::Const(flag) => *flag,
            Self::Variable(read) => read(facts),
            Self::Not(flag) => !flag.evaluate(facts)?,
            Self::And(left, right) => left.evaluate(facts)? && right.evaluate(facts)?,
            Self::Or(left, right) => left.evaluate(facts)? || right.evaluate(facts)?,
            Self::Same(left, right) => left.evaluate(facts)? == right.evaluate(facts)?,
            Self::SameIdp(id) => facts.session.idp.as_str() == id,
            Self::Compare(left, order, right) => {
                let (left, right) = (left.evaluate(facts)?, right.evaluate(facts)?);
                match order {
                    Order::Same => left == right,
                    Order::Less => left < right,
                    Order::LessOrSame => left <= right,
                    Order::Greater => left > right,
                    Order::GreaterOrSame => left >= right,
                }
            }
            Self::In(text, list) => list.contains(facts, &text.evaluate(facts)?)?,
            Self::AnyIn(values, list) => {
                for value in values.evaluate(facts)? {
                    if list.contains(facts, &value)? {
                        return Ok(true);
                    }
                }
                false
            }
            Self::Defined(text) => match text.evaluate(facts) {
                Ok(_) => true,
                Err(ExprError::Undefined(_)) => false,
                Err(error) => return Err(error),
            },
            Self::ClaimDefined(path) => path.find(facts).is_some(),
            Self::StartsWith(text, part) => text.evaluate(facts)?.starts_with(&*part.evaluate(facts)?),
            Self::EndsWith(text, part) => text.evaluate(facts)?.ends_with(&*part.evaluate(facts)?),
            Self::Containing(text, part) => text.evaluate(facts)?.contains(&*part.evaluate(facts)?),
            Self::Under { path, base } => {
                let path = path.evaluate(facts)?;
                base == "/" || path.strip_prefix(base).is_some_and(|r| r.is_empty() || r.starts_with('/'))
            }
            Self::Within { name, read, networks } => {
                let address = read(facts).ok_or_else(|| undefined(name))?.to_canonical();
                networks.iter().any(|network| network.contains(&address))
            }
            Self::Bool(text) => match &*text.evaluate(facts)? {
                "true" => true,
                "false" => false,
                _ => return Err(failed("a text that `| bool` was to read is neither `true` nor `false`")),
            },
            Self::If { test, then, otherwise } => {
                if test.evaluate(facts)? {
                    then.evaluate(facts)?
                } else {
                    otherwise.evaluate(facts)?
                }
            }
        })
    }

    pub fn named_idps<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::SameIdp(id) => names.push(id),
            Self::Not(flag) => flag.named_idps(names),
            Self::And(left, right) | Self::Or(left, right) => {
                left.named_idps(names);
                right.named_idps(names);
            }
            Self::If { test, then, otherwise } => {
                test.named_idps(names);
                then.named_idps(names);
                otherwise.named_idps(names);
            }
            Self::Const(_)
            | Self::Variable(_)
            | Self::Same(..)
            | Self::Compare(..)
            | Self::In(..)
            | Self::AnyIn(..)
            | Self::Defined(_)
            | Self::ClaimDefined(_)
            | Self::StartsWith(..)
            | Self::EndsWith(..)
            | Self::Containing(..)
            | Self::Under { .. }
            | Self::Within { .. }
            | Self::Bool(_) => {}
        }
    }
}

/// One part of a template.
#[derive(Debug, Clone)]
pub enum Piece {
    Raw(String),
    Value(Text),
    If { test: Flag, then: Vec<Piece>, otherwise: Vec<Piece> },
}

impl Piece {
    /// Appends to `output`, which may grow to `limit` bytes.
    pub fn render_all(pieces: &[Self], facts: Facts<'_>, output: &mut Written, limit: usize) -> Outcome<()> {
        for piece in pieces {
            match piece {
                Self::Raw(text) => output.own(text),
                Self::Value(text) => output.value(&text.evaluate(facts)?),
                Self::If { test, then, otherwise } => {
                    let branch = if test.evaluate(facts)? { then } else { otherwise };
                    Self::render_all(branch, facts, output, limit)?;
                }
            }
            if output.exceeds(limit) {
                return Err(ExprError::Failed(format!("the result is longer than {limit} bytes")));
            }
        }
        Ok(())
    }
}
