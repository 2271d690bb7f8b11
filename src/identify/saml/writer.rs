//! XML as narthex writes it: element by element, every text and attribute escaped by construction.

use uppsala::XmlWriter;

use super::keys::SigningKey;
use super::sign::{SignError, sign_enveloped};
use super::xml::{Tree, XmlError};

/// Writes one document. Names are literals of ours; values come from anywhere and are escaped: markup, and the
/// tabs and line ends that a reader would otherwise normalise away (XML 1.0, 2.11 and 3.3.3). What no XML can
/// hold becomes U+FFFD.
pub struct Writer {
    out: XmlWriter,
    open: Vec<&'static str>,
}

/// An attribute; without a value it is not written.
pub type Attribute<'a> = (&'static str, Option<&'a str>);

impl Writer {
    /// A document whose outermost element is `name`.
    #[must_use]
    pub fn new(name: &'static str, attributes: &[Attribute<'_>]) -> Self {
        let mut writer = Self { out: XmlWriter::new(), open: Vec::new() };
        writer.open(name, attributes);
        writer
    }

    /// Begins an element, which holds what is written until [`Writer::close`].
    pub fn open(&mut self, name: &'static str, attributes: &[Attribute<'_>]) {
        self.out.start_element_with(name, written(attributes));
        self.open.push(name);
    }

    /// Ends the innermost open element. The outermost one is ended by [`Writer::finish`].
    pub fn close(&mut self) {
        if self.open.len() > 1
            && let Some(name) = self.open.pop()
        {
            self.out.end_element(name);
        }
    }

    /// An element that holds a text.
    pub fn text(&mut self, name: &'static str, attributes: &[Attribute<'_>], text: &str) {
        self.out.start_element_with(name, written(attributes));
        self.out.text(text);
        self.out.end_element(name);
    }

    /// An element that holds nothing.
    pub fn empty(&mut self, name: &'static str, attributes: &[Attribute<'_>]) {
        self.out.empty_element_with(name, written(attributes));
    }

    /// A whole document of this writer as a child of the innermost open element.
    pub fn document(&mut self, document: &Written) {
        self.out.raw(&document.0);
    }

    /// Ends what is still open.
    #[must_use]
    pub fn finish(mut self) -> Written {
        while let Some(name) = self.open.pop() {
            self.out.end_element(name);
        }
        Written(self.out.into_string())
    }
}

fn written<'a>(attributes: &'a [Attribute<'a>]) -> impl Iterator<Item = (&'static str, &'a str)> {
    attributes.iter().filter_map(|(name, value)| Some((*name, (*value)?)))
}

/// A well-formed document without declaration, made by [`Writer`] or by signing one that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written(String);

impl Written {
    /// A document of somebody else, as it is.
    ///
    /// # Errors
    /// Where it is no XML.
    pub fn of(document: &str) -> Result<Self, XmlError> {
        Tree::parse_metadata(document.as_bytes(), document.len())?;
        Ok(Self(document.to_owned()))
    }

    /// The same document with a signature by `key` in it.
    ///
    /// # Errors
    /// Where its outermost element has no `ID`, or the key does not sign.
    pub fn signed(self, key: &SigningKey) -> Result<Self, SignError> {
        sign_enveloped(&self.0, key).map(Self)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NASTY: &str = "a<b>&amp;\"'\r\n\t]]>\u{85}\u{2028}é<!--";

    #[test]
    fn texts_and_attributes_come_back_as_they_were() {
        let mut writer = Writer::new("a", &[("xmlns", Some("urn:a")), ("X", Some(NASTY)), ("Y", None)]);
        writer.open("b", &[]);
        writer.text("c", &[("Z", Some(NASTY))], NASTY);
        writer.close();
        writer.empty("d", &[("Z", Some("1"))]);
        let document = writer.finish();
        let tree = Tree::parse(document.as_str().as_bytes(), 10_000).unwrap();
        let root = tree.root().unwrap();
        assert_eq!((root.attribute("X"), root.attribute("Y")), (Some(NASTY), None));
        let c = root.required("urn:a", "b").unwrap().required("urn:a", "c").unwrap();
        assert_eq!((c.text().unwrap().as_str(), c.attribute("Z")), (NASTY, Some(NASTY)));
        assert_eq!(root.required("urn:a", "d").unwrap().attribute("Z"), Some("1"));
    }

    #[test]
    fn the_document_is_well_formed_however_often_it_is_closed() {
        let mut writer = Writer::new("a", &[]);
        writer.open("b", &[]);
        for _ in 0..3 {
            writer.close();
        }
        writer.empty("c", &[]);
        assert_eq!(writer.finish().as_str(), "<a><b></b><c/></a>");
    }

    #[test]
    fn what_no_xml_can_hold_is_replaced() {
        let mut writer = Writer::new("a", &[("X", Some("\0\u{ffff}"))]);
        writer.text("b", &[], "\u{1}");
        assert_eq!(writer.finish().as_str(), "<a X=\"\u{fffd}\u{fffd}\"><b>\u{fffd}</b></a>");
    }

    proptest! {
        #[test]
        fn no_text_gets_out_of_its_place(text in "\\PC*[<>&\"'\r\n\t]{0,3}\\PC*") {
            let mut writer = Writer::new("a", &[("X", Some(&text))]);
            writer.text("b", &[], &text);
            let document = writer.finish();
            let tree = Tree::parse(document.as_str().as_bytes(), 100_000).unwrap();
            let root = tree.root().unwrap();
            prop_assert_eq!(root.attribute("X"), Some(text.as_str()));
            let texts: Vec<_> = root.children().map(|child| child.text().unwrap()).collect();
            prop_assert_eq!(texts, vec![text.trim_matches([' ', '\t', '\r', '\n']).to_owned()]);
        }
    }
}
