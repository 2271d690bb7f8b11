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
