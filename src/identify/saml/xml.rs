//! XML as narthex reads it: bounded, without DTD, processing instructions and comments, names by namespace.
//!
//! Everything that is believed is read from canonical bytes that a digest covered (SECURITY.md 26): those bytes
//! come through [`Tree::parse`] again, so there is one parser and one set of rules for all of it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use uppsala::{Document, Element, NodeId, NodeKind, Parser};

use super::lexical::prepared;
use crate::identify::shown::shown;

/// SAML assertions (SAML Core 2.0, 1.2).
pub const SAML: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
/// SAML protocol messages (SAML Core 2.0, 1.2).
pub const SAMLP: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
/// SAML metadata (SAML Metadata 2.0, 2).
pub const METADATA: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
/// XML Signature.
pub const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
/// XML Encryption.
pub const XENC: &str = "http://www.w3.org/2001/04/xmlenc#";
/// XML Encryption 1.1.
pub const XENC11: &str = "http://www.w3.org/2009/xmlenc11#";
/// XML Schema instance.
pub const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// Elements within elements, at most.
pub const MAX_DEPTH: u32 = 64;
/// Elements in one message, at most; and attributes and namespace declarations together.
pub const MAX_NODES: usize = 50_000;

/// A text that is not the XML that narthex reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    #[error("the message is {found} bytes long, at most {limit} are read")]
    TooLong { found: usize, limit: usize },
    #[error("the message is not UTF-8")]
    NotUtf8,
    #[error("the message is not well-formed XML: {0}")]
    Malformed(String),
    /// SECURITY: CVE-2017-11427, entity bombs, external entities: a document type has no place in SAML.
    #[error("the message has a document type declaration, which SAML does not allow")]
    DocumentType,
    #[error("the message holds a processing instruction")]
    ProcessingInstruction,
    /// SECURITY: lesson 28. Readers differ on the text around a comment.
    #[error("the message holds a comment")]
    Comment,
    #[error("an element of the message has, with those around it, more than {limit} attributes")]
    TooManyAttributes { limit: usize },
    #[error("more than {limit} namespace declarations hold at one place of the message")]
    TooManyNamespaces { limit: usize },
    #[error("the message has more than {limit} elements and attributes")]
    TooManyNodes { limit: usize },
    #[error("the message declares version or encoding {0:?}; XML 1.0 in UTF-8 is read")]
    Declaration(String),
    /// XML Schema, structure: what may stand once.
    #[error("{parent} holds more than one {name}")]
    Several { parent: String, name: &'static str },
    #[error("{parent} lacks {name}")]
    Missing { parent: String, name: &'static str },
    #[error("{element} holds an element where a text is expected")]
    NotText { element: String },
}

/// A parsed document.
pub struct Tree<'a>(Document<'a>);

impl<'a> Tree<'a> {
    /// Reads a message of at most `limit` bytes.
    ///
    /// # Errors
    /// Whatever is not well-formed, and what SAML has no use for.
    pub fn parse(bytes: &'a [u8], limit: usize) -> Result<Self, XmlError> {
        Self::parse_within(bytes, limit, MAX_NODES)
    }

    /// As [`Tree::parse`], with no limit but the length: a federation's metadata has millions of elements. Not for
    /// what anybody may send.
    ///
    /// # Errors
    /// As there.
    pub fn parse_metadata(bytes: &'a [u8], limit: usize) -> Result<Self, XmlError> {
        Self::parse_within(bytes, limit, usize::MAX)
    }

    fn parse_within(bytes: &'a [u8], limit: usize, max_nodes: usize) -> Result<Self, XmlError> {
        // SECURITY: SECURITY.md 9. Before anything is parsed.
        if bytes.len() > limit {
            return Err(XmlError::TooLong { found: bytes.len(), limit });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| XmlError::NotUtf8)?;
        // SECURITY: asked of the text, so as not to rest on an option of the parser alone. `<!DOCTYPE` cannot
        // stand elsewhere than in CDATA, where a message has no use for it either.
        if text.contains("<!DOCTYPE") {
            return Err(XmlError::DocumentType);
        }
        let tree = match prepared(text)? {
            Cow::Borrowed(text) => Self(parse(text)?),
            Cow::Owned(text) => Self(parse(&text)?.into_static()),
        };
        tree.check_declaration()?;
        tree.check_nodes(max_nodes)?;
        Ok(tree)
    }

    fn check_declaration(&self) -> Result<(), XmlError> {
        let Some(declaration) = &self.0.xml_declaration else { return Ok(()) };
        let encoding = declaration.encoding.as_deref().unwrap_or("UTF-8");
        if declaration.version == "1.0" && encoding.eq_ignore_ascii_case("UTF-8") {
            return Ok(());
        }
        Err(XmlError::Declaration(shown(&format!("{} {encoding}", declaration.version))))
    }

    fn check_nodes(&self, limit: usize) -> Result<(), XmlError> {
        let mut nodes = 0_usize;
        for id in self.0.descendants(self.0.root()) {
            match self.0.node_kind(id) {
                Some(NodeKind::Comment(_)) => return Err(XmlError::Comment),
                Some(NodeKind::ProcessingInstruction(_)) => return Err(XmlError::ProcessingInstruction),
                Some(NodeKind::Element(element)) => {
                    check_names(element)?;
                    nodes += 1 + element.attributes.len() + element.namespace_declarations.len();
                }
                _ => {}
            }
            if nodes > limit {
                return Err(XmlError::TooManyNodes { limit });
            }
        }
        Ok(())
    }

    /// The document element.
    ///
    /// # Errors
    /// A document without any is not well-formed.
    pub fn root(&self) -> Result<Node<'_, 'a>, XmlError> {
        let id = self.0.document_element();
        let id = id.ok_or_else(|| XmlError::Malformed("no document element".to_owned()))?;
        Ok(Node { document: &self.0, id })
    }

    /// For the canonicalisation, which works on the parser's own tree.
    pub(super) fn document(&self) -> &Document<'a> {
        &self.0
    }
}

fn parse(text: &str) -> Result<Document<'_>, XmlError> {
    let parser = Parser::new().with_forbid_dtd(true).with_forbid_entities(true).with_max_depth(MAX_DEPTH);
    parser.parse(text).map_err(|error| XmlError::Malformed(shown(&error.to_string())))
}

/// What Namespaces in XML 1.0 demands and the parser does not ask for: names of one colon at most, of which each
/// half is a name (4, 7), no elements of the prefix `xmlns` (3), no prefix declared as nothing (6.1).
///
/// SECURITY: other readers refuse such a message or read it otherwise.
fn check_names(element: &Element<'_>) -> Result<(), XmlError> {
    let attributes = element.attributes.iter().map(|attribute| &attribute.name);
    for name in attributes.chain([&element.name]) {
        if !is_name(&name.local_name) || name.prefix.as_deref() == Some("xmlns") {
            return Err(XmlError::Malformed(format!(
                "{:?} is no qualified name",
                shown(&name.prefixed_name())
            )));
        }
    }
    for (prefix, uri) in &element.namespace_declarations {
        let prefixed = !prefix.is_empty();
        if (prefixed && !is_name(prefix)) || ((prefixed || !uri.is_empty()) && !is_absolute(uri)) {
            return Err(XmlError::Malformed(format!("{:?} is no namespace", shown(uri))));
        }
    }
    Ok(())
}

/// Namespaces in XML 1.0, 4: NCName, in a text that is a Name by the parser's word, but for colons and for what may
/// stand behind a colon there.
fn is_name(name: &str) -> bool {
    let inner = |c: char| matches!(c, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}' | '\u{2040}');
    !name.contains(':') && name.chars().next().is_some_and(|first| !inner(first))
}

/// RFC 3986, 4.3. Canonical XML 1.0, 1.3: a relative namespace URI makes the canonicalisation fail.
fn is_absolute(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        && rest.chars().all(|c| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c))
}

/// One element. Names are compared with their namespace, always.
#[derive(Clone, Copy)]
pub struct Node<'t, 'a> {
    document: &'t Document<'a>,
    id: NodeId,
}

impl<'t, 'a> Node<'t, 'a> {
    /// Whether this is the element `name` of `namespace`.
    #[must_use]
    pub fn is(&self, namespace: &str, name: &str) -> bool {
        self.element().is_some_and(|element| element.matches_name_ns(namespace, name))
    }

    /// The name as an error shows it: without namespace or prefix.
    #[must_use]
    pub fn local_name(&self) -> &'t str {
        self.element().map_or("", |element| &element.name.local_name)
    }

    /// The namespace of the element's name; empty where it has none.
    #[must_use]
    pub fn namespace(&self) -> &'t str {
        self.element().and_then(|element| element.name.namespace_uri.as_deref()).unwrap_or_default()
    }

    /// The value of an attribute without namespace, which is what all of SAML's, XML Signature's and XML
    /// Encryption's own attributes are.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&'t str> {
        self.attribute_in(None, name)
    }

    /// The value of an attribute of a namespace (`xsi:type`, `xml:lang`), or of none.
    #[must_use]
    pub fn attribute_in(&self, namespace: Option<&str>, name: &str) -> Option<&'t str> {
        let attributes = &self.element()?.attributes;
        attributes.iter().find(|attribute| attribute.name.matches(namespace, name)).map(|found| &*found.value)
    }

    /// Every value that some reader takes for an identifier: `ID`, `Id`, `id` of no namespace, and `xml:id`.
    pub fn identifiers(&self) -> impl Iterator<Item = &'t str> + use<'t, 'a> {
        let attributes = self.element().map(|element| element.attributes.as_slice()).unwrap_or_default();
        attributes.iter().filter_map(|attribute| {
            let plain = attribute.name.namespace_uri.is_none();
            let named = &*attribute.name.local_name;
            let is_id =
                (plain && named.eq_ignore_ascii_case("id")) || attribute.name.matches(Some(XML), "id");
            is_id.then_some(&*attribute.value)
        })
    }

    /// The attributes' namespaces and names; declarations of namespaces are none of them.
    pub fn attribute_names(&self) -> impl Iterator<Item = (Option<&'t str>, &'t str)> + use<'t, 'a> {
        let attributes = self.element().map(|element| element.attributes.as_slice()).unwrap_or_default();
        attributes.iter().map(|found| (found.name.namespace_uri.as_deref(), &*found.name.local_name))
    }

    /// Whether this element has, beside child elements, nothing but white space in it.
    #[must_use]
    pub fn holds_elements_only(&self) -> bool {
        self.document.children_iter(self.id).all(|id| match self.document.node_kind(id) {
            Some(NodeKind::Text(text) | NodeKind::CData(text)) => {
                text.chars().all(|c| matches!(c, ' ' | '\t' | '\r' | '\n'))
            }
            _ => true,
        })
    }

    /// The namespaces in scope here, by prefix; the default one by the empty prefix (Namespaces in XML 1.0, 6).
    #[must_use]
    pub fn namespaces(&self) -> BTreeMap<&'t str, &'t str> {
        let mut scope = self.parent().map(|parent| parent.namespaces()).unwrap_or_default();
        for (prefix, uri) in self.element().into_iter().flat_map(|element| &element.namespace_declarations) {
            scope.insert(prefix, uri);
        }
        scope.retain(|_, uri| !uri.is_empty());
        scope
    }

    /// The child elements, in their order.
    pub fn children(&self) -> impl Iterator<Item = Node<'t, 'a>> + use<'t, 'a> {
        let document = self.document;
        document
            .children_iter(self.id)
            .filter(|id| document.element(*id).is_some())
            .map(move |id| Node { document, id })
    }

    /// The child elements of this name, in their order.
    pub fn children_named(&self, namespace: &str, name: &str) -> impl Iterator<Item = Node<'t, 'a>> {
        self.children().filter(move |child| child.is(namespace, name))
    }

    /// The child element of this name, where at most one may stand.
    ///
    /// # Errors
    /// Where there are several: which one another reader would take is anybody's guess.
    pub fn child(&self, namespace: &str, name: &'static str) -> Result<Option<Node<'t, 'a>>, XmlError> {
        let mut children = self.children_named(namespace, name);
        let first = children.next();
        match children.next() {
            None => Ok(first),
            Some(_) => Err(XmlError::Several { parent: self.local_name().to_owned(), name }),
        }
    }

    /// The child element of this name, of which one must stand.
    ///
    /// # Errors
    /// Where there is none, or several.
    pub fn required(&self, namespace: &str, name: &'static str) -> Result<Node<'t, 'a>, XmlError> {
        let child = self.child(namespace, name)?;
        child.ok_or_else(|| XmlError::Missing { parent: self.local_name().to_owned(), name })
    }

    /// This element and every element in it, in document order.
    pub fn elements(&self) -> impl Iterator<Item = Node<'t, 'a>> + use<'t, 'a> {
        let document = self.document;
        std::iter::once(self.id)
            .chain(document.descendants(self.id))
            .filter(|id| document.element(*id).is_some())
            .map(move |id| Node { document, id })
    }

    /// The element around this one.
    #[must_use]
    pub fn parent(&self) -> Option<Node<'t, 'a>> {
        let id = self.document.parent(self.id)?;
        self.document.element(id).map(|_| Node { document: self.document, id })
    }

    /// The whole text of an element that holds nothing but text, without white space around it.
    ///
    /// # Errors
    /// Where an element stands in it.
    pub fn text(&self) -> Result<String, XmlError> {
        let mut whole = String::new();
        for id in self.document.children_iter(self.id) {
            match self.document.node_kind(id) {
                Some(NodeKind::Text(text) | NodeKind::CData(text)) => whole.push_str(text),
                _ => return Err(XmlError::NotText { element: self.local_name().to_owned() }),
            }
        }
        Ok(whole.trim_matches([' ', '\t', '\r', '\n']).to_owned())
    }

    /// The text that stands in the element itself, with every space of it; elements in it are passed over.
    #[must_use]
    pub fn own_text(&self) -> String {
        let mut whole = String::new();
        for id in self.document.children_iter(self.id) {
            if let Some(NodeKind::Text(text) | NodeKind::CData(text)) = self.document.node_kind(id) {
                whole.push_str(text);
            }
        }
        whole
    }

    /// Where this element stands in the text that was parsed.
    #[must_use]
    pub fn source(&self) -> Option<std::ops::Range<usize>> {
        self.document.node_range(self.id)
    }

    /// Where the first thing in this element, text or element, stands in the text that was parsed.
    #[must_use]
    pub fn first_content(&self) -> Option<std::ops::Range<usize>> {
        self.document.node_range(self.document.first_child(self.id)?)
    }

    pub(super) fn id(&self) -> NodeId {
        self.id
    }

    fn element(&self) -> Option<&'t Element<'a>> {
        self.document.element(self.id)
    }
}

impl std::fmt::Debug for Node<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{}>", self.local_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> XmlError {
        Tree::parse(text.as_bytes(), 1 << 20).err().unwrap()
    }

    #[test]
    fn elements_are_found_by_namespace_not_by_prefix() {
        let text = format!("<p:a xmlns:p='{SAML}'><p:b X='1'> one </p:b><b xmlns='urn:evil'/></p:a>");
        let tree = Tree::parse(text.as_bytes(), 1000).unwrap();
        let root = tree.root().unwrap();
        assert!(root.is(SAML, "a") && !root.is(SAMLP, "a"));
        let b = root.required(SAML, "b").unwrap();
        assert_eq!((b.text().unwrap().as_str(), b.attribute("X"), b.namespace()), ("one", Some("1"), SAML));
        assert_eq!(root.children().count(), 2);
        assert!(root.child("urn:evil", "b").unwrap().is_some());
        assert_eq!(b.parent().unwrap().local_name(), "a");
    }

    #[test]
    fn what_may_stand_once_is_refused_twice() {
        let tree = Tree::parse(b"<a xmlns='u:'><b/><b/></a>", 1000).unwrap();
        let root = tree.root().unwrap();
        assert_eq!(root.child("u:", "b").err(), Some(XmlError::Several { parent: "a".into(), name: "b" }));
        assert_eq!(root.required("u:", "c").err(), Some(XmlError::Missing { parent: "a".into(), name: "c" }));
        assert_eq!(root.text().err(), Some(XmlError::NotText { element: "a".into() }));
    }

    #[test]
    fn a_message_is_bounded_before_it_is_parsed() {
        assert_eq!(Tree::parse(b"<a/>", 3).err(), Some(XmlError::TooLong { found: 4, limit: 3 }));
        assert!(Tree::parse(b"<a/>", 4).is_ok());
        let deep = "<a>".repeat(65) + &"</a>".repeat(65);
        assert!(matches!(refused(&deep), XmlError::Malformed(_)));
        let wide = format!("<a>{}</a>", "<b/>".repeat(MAX_NODES));
        assert_eq!(refused(&wide), XmlError::TooManyNodes { limit: MAX_NODES });
    }

    #[test]
    fn elements_attributes_and_declarations_are_counted_together() {
        let text = "<a b='' c=''><d xmlns='u:1' xmlns:e='u:2' f=''/><g xmlns:h='u:3' xmlns:i='u:4'/>x</a>";
        assert!(Tree::parse_within(text.as_bytes(), 1000, 10).is_ok());
        let refused = Tree::parse_within(text.as_bytes(), 1000, 9).err();
        assert_eq!(refused, Some(XmlError::TooManyNodes { limit: 9 }));
    }

    #[test]
    fn lesson_28_what_readers_differ_on_is_refused() {
        assert_eq!(refused("<a>x<!-- -->y</a>"), XmlError::Comment);
        assert_eq!(refused("<!-- --><a/>"), XmlError::Comment);
        assert_eq!(refused("<a><?x y?></a>"), XmlError::ProcessingInstruction);
        assert_eq!(refused("<!DOCTYPE a><a/>"), XmlError::DocumentType);
        assert_eq!(Tree::parse(b"<a>\xff</a>", 100).err(), Some(XmlError::NotUtf8));
        assert!(matches!(refused("<a>&x;</a>"), XmlError::Malformed(_)));
        assert!(matches!(refused("<a/><b/>"), XmlError::Malformed(_)));
        assert!(matches!(
            refused("<?xml version='1.1'?><a/>"),
            XmlError::Declaration(_) | XmlError::Malformed(_)
        ));
        assert!(matches!(
            refused("<?xml version='1.0' encoding='UTF-16'?><a/>"),
            XmlError::Declaration(_) | XmlError::Malformed(_)
        ));
    }

    #[test]
    fn own_text_keeps_its_spaces_and_leaves_out_what_is_in_elements() {
        let tree = Tree::parse(b"<a> one<b>two</b>\n<![CDATA[&three]]> </a>", 1000).unwrap();
        assert_eq!(tree.root().unwrap().own_text(), " one\n&three ");
    }

    /// Each of them was taken by the parser and is refused by others.
    #[test]
    fn lesson_26_what_the_parser_alone_would_take_is_refused() {
        for text in [
            "<a xmlns:p=''/>",
            "<p:a xmlns:p='urn:1'><b xmlns:p=''/></p:a>",
            "<xmlns:a/>",
            "<a:b:c xmlns:a='urn:1'/>",
            "<a xmlns:p='urn:1' p:.b=''/>",
            "<a xmlns:p='urn:1'><p:1/></a>",
            "<a xmlns:p='urn:1'><p:\u{301}/></a>",
            "<a xmlns:1='urn:1'/>",
            "<a xmlns:p='urn'/>",
            "<a xmlns='../x'/>",
            "<a xmlns='urn:1 2'/>",
            "<a xmlns='urn:1&#10;'/>",
            "<a xmlns='1:2'/>",
            "<a xmlns='urn:\u{e9}'/>",
            "<a b='\0'/>",
            "<a b='\u{1}'/>",
            "<a b='\u{b}'/>",
            "<a b='\u{fffe}'/>",
            "<a>\u{ffff}</a>",
            "<a b='&#1;'/>",
        ] {
            assert!(matches!(refused(text), XmlError::Malformed(_)), "{text}");
        }
        for text in
            ["<a xmlns=''/>", "<a xmlns='u:'/>", "<a-1.\u{b7} xmlns:p-='a+b.c-d:1' p-:_='\u{fffd}\t'/>"]
        {
            assert!(Tree::parse(text.as_bytes(), 1000).is_ok(), "{text}");
        }
    }

    #[test]
    fn white_space_is_what_xml_says_it_is() {
        let tree = Tree::parse(b"<a b='1\r\n2\t3&#10;&#13;'>\r\n\rx<![CDATA[\r]]></a>", 1000).unwrap();
        let root = tree.root().unwrap();
        assert_eq!(root.attribute("b"), Some("1 2 3\n\r"));
        assert_eq!(root.text().unwrap(), "x");
    }

    #[test]
    fn every_spelling_of_an_identifier_is_one() {
        let tree = Tree::parse(b"<a ID='1' Id='2' id='3' xml:id='4' xmlns:x='u:' x:id='5'/>", 1000).unwrap();
        let found: Vec<_> = tree.root().unwrap().identifiers().collect();
        assert_eq!(found, ["1", "2", "3", "4"]);
    }
}
