//! Filters held against resources (RFC 7644, 3.4.2.2), with the types and case rules of the schema.

use jiff::Timestamp;
use serde_json::Value as Json;

use super::Object;
use super::error::ScimError;
use super::filter::{Filter, Operator};
use super::path::{Located, Place, resolve};
use super::schema::{Attribute, ResourceType, Type};

/// A filter whose names and values were checked against one resource type.
#[derive(Debug)]
pub struct Matcher(Node);

#[derive(Debug)]
enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Test {
        of: Subject,
        test: Test,
    },
    Within {
        of: Located,
        node: Box<Node>,
    },
    /// An extension has any value.
    Extension(&'static str),
    /// The resource type has no such attribute: it has no value (RFC 7644, 3.4.2.1).
    Unassigned(bool),
}

/// Where the values that a test looks at are.
#[derive(Debug, Clone, Copy)]
enum Subject {
    /// In a resource.
    Resource(Located),
    /// In one value of a multi-valued attribute: a sub-attribute; or, of an attribute without such, the value.
    Element(&'static Attribute),
    Whole,
}

#[derive(Debug)]
enum Test {
    Present,
    Absent,
    /// `operand`: folded where case does not count; `written`: as it came.
    Text {
        operator: Operator,
        operand: String,
        written: String,
        exact: bool,
    },
    Time {
        operator: Operator,
        operand: Timestamp,
    },
    Flag {
        equal: bool,
        operand: bool,
    },
}

/// What an index can find, so that not every resource has to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Narrow {
    Id(String),
    /// Folded.
    UserName(String),
    ExternalId(String),
    /// Folded.
    DisplayName(String),
    /// Groups that this user is in.
    WithMember(String),
    /// Users that are in this group.
    InGroup(String),
}

/// How text is compared where the schema says that case does not count.
#[must_use]
pub fn folded(text: &str) -> String {
    text.to_lowercase()
}

impl Matcher {
    /// Checks `filter` for one resource type.
    ///
    /// # Errors
    /// [`ScimError::InvalidFilter`]: no such attribute, or the operator does not fit its type.
    pub fn new(filter: &Filter, resource: &ResourceType) -> Result<Self, ScimError> {
        Self::bind(filter, resource, false)
    }

    /// As [`Matcher::new`], of several types at once: what this one lacks has no value.
    pub fn lenient(filter: &Filter, resource: &ResourceType) -> Result<Self, ScimError> {
        Self::bind(filter, resource, true)
    }

    fn bind(filter: &Filter, resource: &ResourceType, lenient: bool) -> Result<Self, ScimError> {
        Binding { resource, lenient }.node(filter).map(Self).map_err(ScimError::InvalidFilter)
    }

    /// Checks the filter in the brackets of a PATCH path.
    pub fn of_element(filter: &Filter, attribute: &'static Attribute) -> Result<Self, ScimError> {
        element(filter, attribute).map(Self).map_err(ScimError::InvalidFilter)
    }

    #[must_use]
    pub fn matches(&self, resource: &Object) -> bool {
        self.0.holds(resource)
    }

    #[must_use]
    pub fn matches_element(&self, value: &Json) -> bool {
        self.0.holds_of(value)
    }

    /// Whether the filter looks at this top-level attribute of the core schema.
    #[must_use]
    pub fn mentions(&self, name: &str) -> bool {
        self.0.mentions(name)
    }

    /// What the index can narrow a search to; the filter still has to be held against what it finds.
    #[must_use]
    pub fn narrow(&self) -> Option<Narrow> {
        self.0.narrow()
    }

    /// The sub-attributes that a new value must have for this filter to hold: those that are compared with `eq`
    /// and joined by `and`.
    #[must_use]
    pub fn implied(&self) -> Option<Object> {
        let mut implied = Object::new();
        self.0.imply(&mut implied).then_some(implied)
    }
}

struct Binding<'a> {
    resource: &'a ResourceType,
    lenient: bool,
}

impl Binding<'_> {
    fn node(&self, filter: &Filter) -> Result<Node, String> {
        let nodes = |filters: &[Filter]| {
            filters.iter().map(|filter| self.node(filter)).collect::<Result<Vec<Node>, String>>()
        };
        Ok(match filter {
            Filter::And(filters) => Node::And(nodes(filters)?),
            Filter::Or(filters) => Node::Or(nodes(filters)?),
            Filter::Not(filter) => Node::Not(Box::new(self.node(filter)?)),
            Filter::Present(path) => match resolve(self.resource, path) {
                Some(Place::Extension(schema)) => Node::Extension(schema.id),
                Some(Place::Attribute(located)) => {
                    Node::Test { of: Subject::Resource(located), test: Test::Present }
                }
                None => self.unknown(path, false)?,
            },
            Filter::Compare { path, operator, value } => match resolve(self.resource, path) {
                Some(Place::Attribute(located)) => {
                    let leaf = leaf(located);
                    let test = test(leaf, *operator, value)?;
                    Node::Test { of: Subject::Resource(located), test }
                }
                Some(Place::Extension(_)) => return Err(format!("{path} has no value to compare")),
                None => self.unknown(path, (*operator == Operator::Ne) != value.is_null())?,
            },
            Filter::Within { path, filter } => match resolve(self.resource, path) {
                Some(Place::Attribute(located @ Located { attribute, sub: None, .. }))
                    if attribute.multi_valued || attribute.is_complex() =>
                {
                    Node::Within { of: located, node: Box::new(element(filter, attribute)?) }
                }
                Some(_) => return Err(format!("{path} has no several values to choose from")),
                None => self.unknown(path, false)?,
            },
        })
    }

    fn unknown(&self, path: &str, value: bool) -> Result<Node, String> {
        if self.lenient {
            return Ok(Node::Unassigned(value));
        }
        Err(format!("{} has no attribute {path:?}", self.resource.schema.name))
    }
}

/// A filter within brackets: its names are those of sub-attributes.
fn element(filter: &Filter, attribute: &'static Attribute) -> Result<Node, String> {
    let nodes = |filters: &[Filter]| {
        filters.iter().map(|filter| element(filter, attribute)).collect::<Result<Vec<Node>, String>>()
    };
    let find = |name: &str| -> Result<(Subject, &'static Attribute), String> {
        match attribute.sub(name) {
            Some(sub) => Ok((Subject::Element(sub), sub)),
            // RFC 7643, 2.4: the value of a simple attribute is called "value".
            None if !attribute.is_complex() && name.eq_ignore_ascii_case("value") => {
                Ok((Subject::Whole, attribute))
            }
            None => Err(format!("{} has no sub-attribute {name:?}", attribute.name)),
        }
    };
    Ok(match filter {
        Filter::And(filters) => Node::And(nodes(filters)?),
        Filter::Or(filters) => Node::Or(nodes(filters)?),
        Filter::Not(filter) => Node::Not(Box::new(element(filter, attribute)?)),
        Filter::Present(name) => Node::Test { of: find(name)?.0, test: Test::Present },
        Filter::Compare { path, operator, value } => {
            let (of, leaf) = find(path)?;
            Node::Test { of, test: test(leaf, *operator, value)? }
        }
        Filter::Within { .. } => return Err("brackets within brackets are not possible".to_owned()),
    })
}

/// The attribute whose values are compared.
fn leaf(located: Located) -> &'static Attribute {
    let named = located.sub.unwrap_or(located.attribute);
    if named.is_complex() { named.value().unwrap_or(named) } else { named }
}

fn test(leaf: &'static Attribute, operator: Operator, value: &Json) -> Result<Test, String> {
    let name = leaf.name;
    if value.is_null() {
        // RFC 7643, 2.5: null is "unassigned".
        return match operator {
            Operator::Eq => Ok(Test::Absent),
            Operator::Ne => Ok(Test::Present),
            other => Err(format!("{} does not compare with null", other.name())),
        };
    }
    let unfit = || format!("{} does not compare {name}", operator.name());
    match leaf.kind {
        Type::Complex => Err(format!("{name} has several parts; name one of them")),
        Type::Boolean => {
            let operand = flag(value).ok_or_else(|| format!("{name} is compared with true or false"))?;
            match operator {
                Operator::Eq => Ok(Test::Flag { equal: true, operand }),
                Operator::Ne => Ok(Test::Flag { equal: false, operand }),
                _ => Err(unfit()),
            }
        }
        Type::DateTime => {
            let parsed = value.as_str().and_then(time);
            let operand = parsed.ok_or_else(|| format!("{name} is compared with a date and time"))?;
            match operator {
                Operator::Co | Operator::Sw | Operator::Ew => Err(unfit()),
                operator => Ok(Test::Time { operator, operand }),
            }
        }
        Type::String | Type::Reference | Type::Binary => {
            let text = value.as_str().ok_or_else(|| format!("{name} is compared with a string"))?;
            if leaf.kind == Type::Binary && !matches!(operator, Operator::Eq | Operator::Ne) {
                return Err(unfit());
            }
            let exact = leaf.case_exact;
            let operand = if exact { text.to_owned() } else { folded(text) };
            Ok(Test::Text { operator, operand, written: text.to_owned(), exact })
        }
    }
}

/// `true`, `false`, and the strings that Entra sends for them.
pub(super) fn flag(value: &Json) -> Option<bool> {
    match value {
        Json::Bool(flag) => Some(*flag),
        Json::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Json::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// RFC 7643, 2.3.5: as XML Schema's dateTime, with its zone.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

impl Node {
    fn holds(&self, resource: &Object) -> bool {
        match self {
            Self::And(nodes) => nodes.iter().all(|node| node.holds(resource)),
            Self::Or(nodes) => nodes.iter().any(|node| node.holds(resource)),
            Self::Not(node) => !node.holds(resource),
            Self::Test { of: Subject::Resource(located), test } => test.any(&values(resource, *located)),
            Self::Test { .. } => false,
            Self::Within { of, node } => match container(resource, *of) {
                Some(Json::Array(elements)) => elements.iter().any(|element| node.holds_of(element)),
                Some(one) => node.holds_of(one),
                None => false,
            },
            Self::Extension(urn) => resource.get(*urn).is_some_and(is_assigned),
            Self::Unassigned(value) => *value,
        }
    }

    fn holds_of(&self, element: &Json) -> bool {
        match self {
            Self::And(nodes) => nodes.iter().all(|node| node.holds_of(element)),
            Self::Or(nodes) => nodes.iter().any(|node| node.holds_of(element)),
            Self::Not(node) => !node.holds_of(element),
            Self::Test { of: Subject::Element(sub), test } => {
                let values: Vec<&Json> = element.get(sub.name).into_iter().collect();
                test.any(&values)
            }
            Self::Test { of: Subject::Whole, test } => test.any(&[element]),
            Self::Test { .. } | Self::Within { .. } | Self::Extension(_) | Self::Unassigned(_) => false,
        }
    }

    fn mentions(&self, name: &str) -> bool {
        match self {
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().any(|node| node.mentions(name)),
            Self::Not(node) => node.mentions(name),
            Self::Test { of: Subject::Resource(located), .. } | Self::Within { of: located, .. } => {
                located.extension.is_none() && located.attribute.name == name
            }
            Self::Test { .. } | Self::Extension(_) | Self::Unassigned(_) => false,
        }
    }

    fn narrow(&self) -> Option<Narrow> {
        match self {
            Self::And(nodes) => nodes.iter().find_map(Self::narrow),
            Self::Test {
                of: Subject::Resource(Located { extension: None, attribute, sub }),
                test: Test::Text { operator: Operator::Eq, operand, .. },
            } => narrow_to(attribute.name, sub.map_or("value", |sub| sub.name), operand),
            Self::Within { of: Located { extension: None, attribute, .. }, node } => match node.as_ref() {
                Self::Test {
                    of: Subject::Element(sub),
                    test: Test::Text { operator: Operator::Eq, operand, .. },
                } => narrow_to(attribute.name, sub.name, operand),
                _ => None,
            },
            _ => None,
        }
    }

    fn imply(&self, into: &mut Object) -> bool {
        match self {
            Self::And(nodes) => nodes.iter().all(|node| node.imply(into)),
            Self::Test {
                of: Subject::Element(sub),
                test: Test::Text { operator: Operator::Eq, written, .. },
            } => {
                into.insert(sub.name.to_owned(), Json::from(written.as_str()));
                true
            }
            Self::Test { of: Subject::Element(sub), test: Test::Flag { equal, operand } } => {
                into.insert(sub.name.to_owned(), Json::from(*equal == *operand));
                true
            }
            _ => false,
        }
    }
}

fn narrow_to(attribute: &str, sub: &str, operand: &str) -> Option<Narrow> {
    let operand = operand.to_owned();
    match (attribute, sub) {
        ("id", _) => Some(Narrow::Id(operand)),
        ("userName", _) => Some(Narrow::UserName(operand)),
        ("externalId", _) => Some(Narrow::ExternalId(operand)),
        ("displayName", _) => Some(Narrow::DisplayName(operand)),
        ("members", "value") => Some(Narrow::WithMember(operand)),
        ("groups", "value") => Some(Narrow::InGroup(operand)),
        _ => None,
    }
}

impl Test {
    /// RFC 7644, 3.4.2.2: one value of several is enough. Without any value only "not equal" holds.
    fn any(&self, values: &[&Json]) -> bool {
        match self {
            Self::Present => values.iter().any(|value| is_assigned(value)),
            Self::Absent => !values.iter().any(|value| is_assigned(value)),
            Self::Text { operator: Operator::Ne, .. }
            | Self::Time { operator: Operator::Ne, .. }
            | Self::Flag { equal: false, .. }
                if values.is_empty() =>
            {
                true
            }
            Self::Text { operator, operand, exact, .. } => {
                let holds = |text: &str| text_holds(*operator, text, operand);
                let fits = |text: &str| if *exact { holds(text) } else { holds(&folded(text)) };
                values.iter().filter_map(|value| value.as_str()).any(fits)
            }
            Self::Time { operator, operand } => {
                values.iter().filter_map(|value| value.as_str()).filter_map(time).any(|value| {
                    let order = value.cmp(operand);
                    match operator {
                        Operator::Eq => order.is_eq(),
                        Operator::Ne => order.is_ne(),
                        Operator::Gt => order.is_gt(),
                        Operator::Ge => order.is_ge(),
                        Operator::Lt => order.is_lt(),
                        Operator::Le => order.is_le(),
                        Operator::Co | Operator::Sw | Operator::Ew => false,
                    }
                })
            }
            Self::Flag { equal, operand } => {
                values.iter().filter_map(|value| value.as_bool()).any(|value| (value == *operand) == *equal)
            }
        }
    }
}

fn text_holds(operator: Operator, value: &str, operand: &str) -> bool {
    match operator {
        Operator::Eq => value == operand,
        Operator::Ne => value != operand,
        Operator::Co => value.contains(operand),
        Operator::Sw => value.starts_with(operand),
        Operator::Ew => value.ends_with(operand),
        Operator::Gt => value > operand,
        Operator::Ge => value >= operand,
        Operator::Lt => value < operand,
        Operator::Le => value <= operand,
    }
}

/// RFC 7643, 2.5: null and empty arrays are no value; an empty string is none to `pr` either.
fn is_assigned(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::String(text) => !text.is_empty(),
        Json::Array(elements) => !elements.is_empty(),
        Json::Object(parts) => !parts.is_empty(),
        Json::Bool(_) | Json::Number(_) => true,
    }
}

fn container(resource: &Object, located: Located) -> Option<&Json> {
    let object = match located.extension {
        None => resource,
        Some(schema) => resource.get(schema.id)?.as_object()?,
    };
    object.get(located.attribute.name)
}

/// All values at a place, those of every element where there are several.
pub(super) fn values(resource: &Object, located: Located) -> Vec<&Json> {
    let Some(value) = container(resource, located) else { return Vec::new() };
    let part = located.sub.or_else(|| located.attribute.value().filter(|_| located.attribute.is_complex()));
    let elements: Vec<&Json> = match value {
        Json::Array(elements) => elements.iter().collect(),
        one => vec![one],
    };
    match part {
        Some(part) => elements.into_iter().filter_map(|element| element.get(part.name)).collect(),
        None => elements,
    }
}
