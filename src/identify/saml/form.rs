//! The form of signatures and encrypted data: children in the order of their schema, attributes by name, base64.
//! Whatever was not asked for is refused, since it would be there for another reader.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::xml::{Node, XmlError};
use crate::identify::shown::shown;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FormError {
    Xml(XmlError),
    Unexpected { parent: String, found: String },
    Incomplete { parent: String, name: &'static str },
    NotBase64 { element: String },
}

impl From<XmlError> for FormError {
    fn from(error: XmlError) -> Self {
        Self::Xml(error)
    }
}

/// The child elements of one element, taken one by one.
pub(super) struct Children<'t, 'a> {
    parent: Node<'t, 'a>,
    /// The namespace of most of them.
    namespace: &'static str,
    rest: std::iter::Peekable<std::vec::IntoIter<Node<'t, 'a>>>,
}

impl<'t, 'a> Children<'t, 'a> {
    /// `attributes` are the ones that may stand at `parent`, all without namespace.
    pub fn of(parent: Node<'t, 'a>, namespace: &'static str, attributes: &[&str]) -> Result<Self, FormError> {
        check_attributes(parent, attributes)?;
        if !parent.holds_elements_only() {
            return Err(unexpected(parent, "text"));
        }
        let rest = parent.children().collect::<Vec<_>>().into_iter().peekable();
        Ok(Self { parent, namespace, rest })
    }

    pub fn next(&mut self, name: &'static str) -> Result<Node<'t, 'a>, FormError> {
        self.next_if(name).ok_or_else(|| incomplete(self.parent, name))
    }

    pub fn next_if(&mut self, name: &str) -> Option<Node<'t, 'a>> {
        self.next_if_in(self.namespace, name)
    }

    pub fn next_if_in(&mut self, namespace: &str, name: &str) -> Option<Node<'t, 'a>> {
        self.rest.next_if(|node| node.is(namespace, name))
    }

    /// That there are no more.
    pub fn end(mut self) -> Result<(), FormError> {
        self.rest.next().map_or(Ok(()), |node| Err(unexpected(self.parent, node.local_name())))
    }
}

/// The `Algorithm` of an element that names one.
pub(super) fn algorithm<'t>(node: Node<'t, '_>) -> Result<&'t str, FormError> {
    node.attribute("Algorithm").ok_or_else(|| incomplete(node, "Algorithm"))
}

/// The `Algorithm` of an element that has no parameters (HMACOutputLength, XPath and the like).
pub(super) fn leaf_algorithm<'t>(node: Node<'t, '_>) -> Result<&'t str, FormError> {
    Children::of(node, "", &["Algorithm"])?.end()?;
    algorithm(node)
}

/// XML Schema 1.0 part 2, 3.2.16: base64 with white space in it, and not empty.
///
/// SECURITY: nothing else is passed over, and nothing is left unfinished: a decoder that forgives gives a second
/// reading of the same bytes (lesson 28, CVE-2025-29775).
pub(super) fn base64(node: Node<'_, '_>, attributes: &[&str]) -> Result<Vec<u8>, FormError> {
    check_attributes(node, attributes)?;
    let mut text = node.text()?;
    text.retain(|c| !matches!(c, ' ' | '\t' | '\r' | '\n'));
    let decoded = STANDARD.decode(&text).ok().filter(|decoded| !decoded.is_empty());
    decoded.ok_or_else(|| FormError::NotBase64 { element: shown(node.local_name()) })
}

fn check_attributes(node: Node<'_, '_>, allowed: &[&str]) -> Result<(), FormError> {
    let mut names = node.attribute_names();
    let other = names.find(|(namespace, name)| namespace.is_some() || !allowed.contains(name));
    other.map_or(Ok(()), |(_, name)| Err(unexpected(node, name)))
}

fn unexpected(parent: Node<'_, '_>, found: &str) -> FormError {
    FormError::Unexpected { parent: shown(parent.local_name()), found: shown(found) }
}

fn incomplete(parent: Node<'_, '_>, name: &'static str) -> FormError {
    FormError::Incomplete { parent: shown(parent.local_name()), name }
}
