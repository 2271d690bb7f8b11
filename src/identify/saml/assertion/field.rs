//! Single values of SAML elements: read, bounded, never empty.

use super::super::instant;
use super::super::xml::{Node, SAML};
use super::error::AssertionError;
use crate::identify::shown::shown;
use crate::model::UnixTime;

/// Bytes of a URI or an identifier, at most. Entity IDs have up to 1024 characters (SAML Core 8.3.6).
pub const MAX_URI: usize = 2048;
/// Bytes of any other text, at most.
pub const MAX_TEXT: usize = 16 * 1024;

/// A text within `limit`.
pub(in crate::identify::saml) fn bounded(
    node: Node<'_, '_>,
    what: &'static str,
    text: String,
    limit: usize,
) -> Result<String, AssertionError> {
    if text.len() > limit {
        return Err(AssertionError::TooLong { element: name(node), what, found: text.len(), limit });
    }
    Ok(text)
}

/// An attribute that is a URI or an identifier. White space around it is none of it: XML Schema 2, 4.3.6
/// (`collapse`).
pub(in crate::identify::saml) fn attribute(
    node: Node<'_, '_>,
    attribute: &'static str,
) -> Result<Option<String>, AssertionError> {
    let Some(value) = node.attribute(attribute) else { return Ok(None) };
    let value = collapsed(value);
    if value.is_empty() {
        return Err(AssertionError::Empty { element: name(node), what: attribute });
    }
    bounded(node, attribute, value.to_owned(), MAX_URI).map(Some)
}

pub(in crate::identify::saml) fn required(
    node: Node<'_, '_>,
    name_of: &'static str,
) -> Result<String, AssertionError> {
    attribute(node, name_of)?
        .ok_or_else(|| AssertionError::AttributeMissing { element: name(node), attribute: name_of })
}

/// The text of an element that is a URI.
pub(in crate::identify::saml) fn uri(node: Node<'_, '_>) -> Result<String, AssertionError> {
    let text = node.text()?;
    if text.is_empty() {
        return Err(AssertionError::Empty { element: name(node), what: "text" });
    }
    bounded(node, "text", text, MAX_URI)
}

pub(in crate::identify::saml) fn instant(
    node: Node<'_, '_>,
    attribute: &'static str,
) -> Result<Option<UnixTime>, AssertionError> {
    let Some(value) = node.attribute(attribute) else { return Ok(None) };
    let read = instant::parse(collapsed(value));
    read.map(Some).map_err(|error| AssertionError::Instant { element: name(node), attribute, error })
}

pub(in crate::identify::saml) fn required_instant(
    node: Node<'_, '_>,
    attribute: &'static str,
) -> Result<UnixTime, AssertionError> {
    instant(node, attribute)?
        .ok_or_else(|| AssertionError::AttributeMissing { element: name(node), attribute })
}

/// Refuses every child that is not one of `allowed`.
pub(in crate::identify::saml) fn only(
    node: Node<'_, '_>,
    allowed: &[(&str, &str)],
) -> Result<(), AssertionError> {
    match node.children().find(|child| !allowed.iter().any(|(space, name)| child.is(space, name))) {
        None => Ok(()),
        Some(child) => Err(unexpected(node, child)),
    }
}

pub(super) fn unexpected(parent: Node<'_, '_>, child: Node<'_, '_>) -> AssertionError {
    AssertionError::Unexpected { parent: name(parent), element: full_name(child) }
}

/// As many as `limit`, no more.
pub(in crate::identify::saml) fn at_most<T>(
    found: Result<Vec<T>, AssertionError>,
    what: &'static str,
    limit: usize,
) -> Result<Vec<T>, AssertionError> {
    found.and_then(
        |found| {
            if found.len() > limit { Err(AssertionError::TooMany { what, limit }) } else { Ok(found) }
        },
    )
}

pub(super) fn name(node: Node<'_, '_>) -> String {
    shown(node.local_name())
}

/// The name with its namespace, where it is not that of assertions.
pub(in crate::identify::saml) fn full_name(node: Node<'_, '_>) -> String {
    match node.namespace() {
        SAML => name(node),
        "" => format!("{} (of no namespace)", name(node)),
        other => format!("{} (of {})", name(node), shown(other)),
    }
}

/// The value of an element as it was meant to be sent: every character of it, except the line breaks and the
/// indentation of a document that was laid out for people.
pub(super) fn value(node: Node<'_, '_>) -> String {
    let text = node.own_text();
    let inner = collapsed(&text);
    let (before, after) = text.split_once(inner).unwrap_or_default();
    if before.contains('\n') && after.contains('\n') { inner.to_owned() } else { text }
}

pub(in crate::identify::saml) fn collapsed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}
