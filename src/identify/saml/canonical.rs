//! Exclusive canonicalisation of one element (Exclusive XML Canonicalization 1.0).

use bergshamra_c14n::{C14nMode, canonicalize_doc};
use bergshamra_xml::NodeSet;

use super::xml::{Node, Tree};

/// The algorithm, without comments.
pub(super) const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";

/// It failed, or gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotCanonical;

/// The canonical bytes of `element`, without the subtrees `without`. `prefixes` is the PrefixList (Exclusive XML
/// Canonicalization 1.0, 3), with `#default` for the default namespace.
pub(super) fn canonical(
    tree: &Tree<'_>,
    element: Node<'_, '_>,
    without: &[Node<'_, '_>],
    prefixes: &[String],
) -> Result<Vec<u8>, NotCanonical> {
    let document = tree.document();
    let mut nodes = NodeSet::tree_without_comments(element.id(), document);
    for without in without {
        nodes.remove_id(without.id());
        for id in document.descendants(without.id()) {
            nodes.remove_id(id);
        }
    }
    let bytes = canonicalize_doc(document, C14nMode::Exclusive, Some(&nodes), prefixes);
    // SECURITY: lesson 27, CVE-2025-66568. A failure, or an output of nothing, has a digest too.
    bytes.ok().filter(|bytes| bytes.starts_with(b"<")).ok_or(NotCanonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The element with this ID, and without the one with the ID `out`.
    fn form(xml: &str, prefixes: &str) -> Result<String, NotCanonical> {
        let tree = Tree::parse(xml.as_bytes(), 1 << 16).unwrap();
        let root = tree.root().unwrap();
        let find = |id| root.elements().find(|node| node.attribute("ID") == Some(id));
        let prefixes: Vec<_> = prefixes.split_whitespace().map(str::to_owned).collect();
        let without: Vec<_> = find("out").into_iter().collect();
        canonical(&tree, find("in").unwrap(), &without, &prefixes)
            .map(|bytes| String::from_utf8(bytes).unwrap())
    }

    /// The odd ones; thousands of others were compared with the forms that libxml2 gives.
    #[test]
    fn the_form_of_an_element_is_that_of_the_specification() {
        for (xml, prefixes, expected) in [
            // Names in scope that nothing visible uses stay out, those of a PrefixList come in.
            (
                "<a:r xmlns:a='u:a' xmlns:b='u:b' xmlns='u:d'><e ID='in' b='b:x'/></a:r>",
                "",
                "<e xmlns=\"u:d\" ID=\"in\" b=\"b:x\"></e>",
            ),
            (
                "<a:r xmlns:a='u:a' xmlns:b='u:b' xmlns='u:d'><a:e ID='in' b='b:x'/></a:r>",
                "b #default z",
                "<a:e xmlns=\"u:d\" xmlns:a=\"u:a\" xmlns:b=\"u:b\" ID=\"in\" b=\"b:x\"></a:e>",
            ),
            // The default namespace, taken away and given back.
            (
                "<r xmlns='u:d'><e ID='in'><f xmlns=''><g xmlns='u:d'/><h/></f></e></r>",
                "",
                "<e xmlns=\"u:d\" ID=\"in\"><f xmlns=\"\"><g xmlns=\"u:d\"></g><h></h></f></e>",
            ),
            (
                "<r xmlns='u:d'><e ID='in' xmlns=''><f xmlns=''/></e></r>",
                "#default",
                "<e ID=\"in\"><f></f></e>",
            ),
            // One prefix, two meanings; declared again where it was not rendered.
            (
                "<r xmlns:p='u:1'><e ID='in'><p:f><g xmlns:p='u:2' p:k=''/></p:f><p:h/></e></r>",
                "",
                "<e ID=\"in\"><p:f xmlns:p=\"u:1\"><g xmlns:p=\"u:2\" p:k=\"\"></g></p:f><p:h xmlns:p=\"u:1\"></p:h></e>",
            ),
            // Attributes by namespace, then by name; `xml:` ones of those around are not inherited.
            (
                "<r xml:lang='en' xmlns:z='u:1' xmlns:y='u:2'><e y:a='' z:b='' b='' z:a='' ID='in' xml:space='default' B=''/></r>",
                "",
                "<e xmlns:y=\"u:2\" xmlns:z=\"u:1\" B=\"\" ID=\"in\" b=\"\" xml:space=\"default\" z:a=\"\" z:b=\"\" y:a=\"\"></e>",
            ),
            // Characters.
            (
                "<e ID='in' k='&lt;&gt;&amp;&quot;&apos;&#9;&#10;&#13;\t\u{e9}'>&lt;&gt;&amp;\"'&#9;\n\r\n&#13;<![CDATA[<&>]]>\u{1f512}</e>",
                "",
                "<e ID=\"in\" k=\"&lt;>&amp;&quot;'&#x9;&#xA;&#xD; \u{e9}\">&lt;&gt;&amp;\"'\t\n\n&#xD;&lt;&amp;&gt;\u{1f512}</e>",
            ),
            // What is taken out takes its declarations along, and leaves the white space around it.
            (
                "<r xmlns:p='u:1'><e ID='in'> <p:s ID='out'>x<p:t/></p:s> <p:f/></e></r>",
                "",
                "<e ID=\"in\">  <p:f xmlns:p=\"u:1\"></p:f></e>",
            ),
        ] {
            assert_eq!(form(xml, prefixes).as_deref(), Ok(expected), "{xml}");
            // The form of the form is itself.
            assert_eq!(form(expected, prefixes).as_deref(), Ok(expected), "{expected}");
        }
    }

    #[test]
    fn lesson_27_nothing_has_no_canonical_form() {
        let tree = Tree::parse(b"<a><b/></a>", 100).unwrap();
        let root = tree.root().unwrap();
        assert_eq!(canonical(&tree, root, &[root], &[]), Err(NotCanonical));
    }
}
