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
    // Canonical XML 1.0, 1.3: with a relative namespace URI, canonicalisation fails; and with what is no URI nobody
    // agrees on anything. SECURITY: lesson 27. For whom it fails, the message is another than for whom it does not.
    let elements = document.descendants(document.root()).into_iter().filter_map(|id| document.element(id));
    if elements
        .flat_map(|element| &element.namespace_declarations)
        .any(|(_, uri)| !uri.is_empty() && !is_absolute(uri))
    {
        return Err(NotCanonical);
    }
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

/// RFC 3986, 3: with a scheme, of the characters that a URI has. The empty one takes a declaration back.
fn is_absolute(uri: &str) -> bool {
    let (scheme, rest) = uri.split_once(':').unwrap_or_default();
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        && [rest, fragment].iter().all(|part| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/?@!$&'()*+,;=%".contains(c);
            let mut escapes = part.split('%').skip(1).map(|escape| escape.as_bytes().get(..2));
            part.chars().all(plain)
                && escapes.all(|two| two.is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical_of(text: &str) -> Result<String, NotCanonical> {
        let tree = Tree::parse(text.as_bytes(), 1000).unwrap();
        let bytes = canonical(&tree, tree.root().unwrap(), &[], &[])?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn lesson_27_a_relative_namespace_cannot_be_canonicalised() {
        assert_eq!(canonical_of("<a xmlns=''/>").unwrap(), "<a></a>");
        for uri in ["urn:x", "http://www.w3.org/2001/04/xmlenc#", "a+b-1.2:x%2Fy?(z)="] {
            assert_eq!(
                canonical_of(&format!("<a xmlns='{uri}'/>")).unwrap(),
                format!("<a xmlns=\"{uri}\"></a>")
            );
        }
        let relative = ["x", "./x", "../x", "/x", "//x", "?x", "#x", "1:x", ":x", "x/y:z"];
        let none =
            ["urn:a b", "urn:{", "urn:a&gt;b", "urn:a`", "urn:ü", "urn:%", "urn:%2", "urn:%zz", "urn:a#b#c"];
        for uri in relative.iter().chain(&none) {
            assert_eq!(canonical_of(&format!("<a><b xmlns:c='{uri}'/></a>")), Err(NotCanonical), "{uri}");
        }
    }
}
