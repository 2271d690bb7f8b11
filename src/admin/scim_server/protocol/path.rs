//! Names of attributes as filters, PATCH paths and projections write them (RFC 7644, 3.10).

use super::schema::{Attribute, ResourceType, Schema};

/// What a name stands for.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// An extension as a whole, named by its URN.
    Extension(&'static Schema),
    Attribute(Located),
}

/// An attribute, and in which schema.
#[derive(Debug, Clone, Copy)]
pub struct Located {
    /// `None`: of the core schema, or common.
    pub extension: Option<&'static Schema>,
    pub attribute: &'static Attribute,
    pub sub: Option<&'static Attribute>,
}

/// Finds what `text` names: `userName`, `name.givenName`, either with the schema's URN and a colon before it, or the
/// URN of an extension. `None`: there is no such attribute.
#[must_use]
pub fn resolve(resource: &ResourceType, text: &str) -> Option<Place> {
    if let Some(rest) = after_urn(text, resource.schema.id) {
        let (attribute, sub) = split(rest?, |name| resource.attribute(name))?;
        return Some(Place::Attribute(Located { extension: None, attribute, sub }));
    }
    for extension in resource.extensions {
        match after_urn(text, extension.id) {
            None => {}
            Some(None) => return Some(Place::Extension(extension)),
            Some(Some(rest)) => {
                let (attribute, sub) = split(rest, |name| extension.attribute(name))?;
                return Some(Place::Attribute(Located { extension: Some(extension), attribute, sub }));
            }
        }
    }
    let (attribute, sub) = split(text, |name| resource.attribute(name))?;
    Some(Place::Attribute(Located { extension: None, attribute, sub }))
}

/// `None`: it does not begin with this URN; `Some(None)`: it is the URN. URNs of schemas are compared without regard
/// to case, as clients write them.
#[expect(clippy::option_option, reason = "whether it is the URN, and what comes after it, are two questions")]
fn after_urn<'a>(text: &'a str, urn: &str) -> Option<Option<&'a str>> {
    let (head, rest) = text.split_at_checked(urn.len())?;
    if !head.eq_ignore_ascii_case(urn) {
        return None;
    }
    if rest.is_empty() { Some(None) } else { rest.strip_prefix(':').map(Some) }
}

fn split(
    text: &str,
    find: impl Fn(&str) -> Option<&'static Attribute>,
) -> Option<(&'static Attribute, Option<&'static Attribute>)> {
    match text.split_once('.') {
        None => Some((find(text)?, None)),
        Some((name, sub)) => {
            let attribute = find(name)?;
            Some((attribute, Some(attribute.sub(sub)?)))
        }
    }
}
