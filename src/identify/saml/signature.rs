//! XML Signature as SAML uses it: one enveloped signature over one element, verified with keys of trusted metadata.
//!
//! What the signature proves is a [`Signed`]: the canonical bytes that the digest was taken of. Whoever wants to
//! know what was signed parses these; the document that they came in is not asked again (SECURITY.md 26 and 28).
//! Accepted is what SAML Core 2.0, 5.4 profiles, and of that one form of each thing. All else is refused before any
//! cryptography, so that the refusal can say what it was.

use std::collections::HashSet;

pub use super::algorithm::AlgorithmPolicy;
use super::algorithm::{Hash, NotAllowed, SignatureMethod};
use super::canonical::{EXCLUSIVE, NotCanonical, canonical};
use super::form::{Children, FormError, algorithm, base64, leaf_algorithm};
use super::keys::VerifyingKey;
use super::xml::{DSIG, METADATA, Node, SAML, SAMLP, Tree, XmlError};
use crate::identify::shown::shown;
use crate::model::Fault;

/// The other transform that may stand in a signature (SAML Core 2.0, 5.4.4).
pub(super) const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
/// SECURITY: each prefix costs something at each element, before anything is proved. SAML messages use two or three.
const MAX_PREFIXES: usize = 32;
/// Bytes of all of them. SECURITY: the canonicalisation copies the list for each element.
const MAX_PREFIX_LIST: usize = 1024;

/// A signature that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error(transparent)]
    Xml(#[from] XmlError),

    // Where signatures and identifiers stand
    #[error("{element} has no signature")]
    Missing { element: String },
    #[error("{element} has more than one signature")]
    SeveralSignatures { element: String },
    #[error("a signature stands in {parent}, where it signs nothing that SAML knows")]
    Misplaced { parent: String },
    #[error("{element} has no ID that a signature could refer to")]
    IdMissing { element: String },
    #[error("the identifier {id:?} stands more than once in the message")]
    IdNotUnique { id: String },

    // The form
    #[error("{parent} holds {found}, which no SAML signature needs")]
    Unexpected { parent: String, found: String },
    #[error("{parent} lacks {name}")]
    Incomplete { parent: String, name: &'static str },
    #[error("{element} is not plain base64")]
    NotBase64 { element: String },
    #[error("the signature refers to {found:?}, but stands in the element {expected:?}")]
    ReferenceElsewhere { expected: String, found: String },
    #[error(
        "the transforms are {found:?}; expected are enveloped-signature, then exclusive canonicalisation"
    )]
    Transforms { found: Vec<String> },
    #[error("SignedInfo is canonicalised by {0:?}; expected is exclusive canonicalisation without comments")]
    CanonicalizationMethod(String),
    #[error("a PrefixList of more than {limit} prefixes, or of more than 1024 bytes")]
    PrefixListTooLong { limit: usize },

    // The algorithms
    #[error(
        "the signature is made by {0:?}, which does not count here; have the provider sign by RSA with SHA-256"
    )]
    SignatureMethodNotAllowed(String),
    #[error("the digest is made by {0:?}, which does not count here; have the provider use SHA-256")]
    DigestMethodNotAllowed(String),
    #[error(
        "the signature uses SHA-1 ({0:?}); have the provider use SHA-256, or allow SHA-1 for this provider"
    )]
    Sha1NotAllowed(String),

    // What it is all for
    #[error("the message could not be canonicalised")]
    NotCanonical,
    #[error("the provider's metadata has no key for {0:?}")]
    NoKeyFits(String),
    #[error(
        "no key in the provider's metadata made this signature; was its metadata updated after a key change?"
    )]
    NotByTrustedKey,
    #[error("the signed content was changed after it was signed")]
    DigestMismatch,
}

impl SignatureError {
    /// The variant's name for metrics, logs and `explain`; stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Xml(_) => "signature_xml",
            Self::Missing { .. } => "signature_missing",
            Self::SeveralSignatures { .. } => "several_signatures",
            Self::Misplaced { .. } => "signature_misplaced",
            Self::IdMissing { .. } => "id_missing",
            Self::IdNotUnique { .. } => "id_not_unique",
            Self::Unexpected { .. } => "signature_unexpected_content",
            Self::Incomplete { .. } => "signature_incomplete",
            Self::NotBase64 { .. } => "signature_not_base64",
            Self::ReferenceElsewhere { .. } => "reference_elsewhere",
            Self::Transforms { .. } => "transforms_not_allowed",
            Self::CanonicalizationMethod(_) => "canonicalization_method_not_allowed",
            Self::PrefixListTooLong { .. } => "prefix_list_too_long",
            Self::SignatureMethodNotAllowed(_) => "signature_method_not_allowed",
            Self::DigestMethodNotAllowed(_) => "digest_method_not_allowed",
            Self::Sha1NotAllowed(_) => "sha1_not_allowed",
            Self::NotCanonical => "not_canonical",
            Self::NoKeyFits(_) => "no_key_fits",
            Self::NotByTrustedKey => "not_by_trusted_key",
            Self::DigestMismatch => "digest_mismatch",
        }
    }

    /// Who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::SignatureMethodNotAllowed(_)
            | Self::DigestMethodNotAllowed(_)
            | Self::Sha1NotAllowed(_)
            | Self::CanonicalizationMethod(_)
            | Self::Missing { .. } => Fault::Operator,
            Self::NotCanonical => Fault::Us,
            Self::Xml(_)
            | Self::SeveralSignatures { .. }
            | Self::Misplaced { .. }
            | Self::IdMissing { .. }
            | Self::IdNotUnique { .. }
            | Self::Unexpected { .. }
            | Self::Incomplete { .. }
            | Self::NotBase64 { .. }
            | Self::ReferenceElsewhere { .. }
            | Self::Transforms { .. }
            | Self::PrefixListTooLong { .. }
            | Self::NoKeyFits(_)
            | Self::NotByTrustedKey
            | Self::DigestMismatch => Fault::IdentityProvider,
        }
    }
}

impl From<NotCanonical> for SignatureError {
    fn from(_: NotCanonical) -> Self {
        Self::NotCanonical
    }
}

impl From<FormError> for SignatureError {
    fn from(error: FormError) -> Self {
        match error {
            FormError::Xml(error) => Self::Xml(error),
            FormError::Unexpected { parent, found } => Self::Unexpected { parent, found },
            FormError::Incomplete { parent, name } => Self::Incomplete { parent, name },
            FormError::NotBase64 { element } => Self::NotBase64 { element },
        }
    }
}

/// What a verified signature covers: the canonical bytes of one element, without the signature itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    bytes: Vec<u8>,
    sha1: bool,
}

impl Signed {
    /// The bytes that the digest was taken of: one XML document.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What was signed, for reading. The only parser there is reads it (SECURITY.md 26).
    pub fn tree(&self) -> Result<Tree<'_>, XmlError> {
        Tree::parse(&self.bytes, self.bytes.len())
    }

    /// Whether the signature holds by SHA-1 alone, which wants a warning.
    #[must_use]
    pub fn uses_sha1(&self) -> bool {
        self.sha1
    }
}

/// Verifies the enveloped signature of `element` (SAML Core 2.0, 5.4).
///
/// `keys` are those of trusted metadata: KeyInfo is never read, whatever it says (XML Signature 1.1, 4.5 leaves it
/// optional; SAML Core 2.0, 5.4.5 has no demand on it).
pub fn verify_enveloped(
    tree: &Tree<'_>,
    element: Node<'_, '_>,
    keys: &[VerifyingKey],
    policy: AlgorithmPolicy,
) -> Result<Signed, SignatureError> {
    check_places(tree)?;
    check_identifiers(tree)?;
    let signature = signature_of(element)?
        .ok_or_else(|| SignatureError::Missing { element: shown(element.local_name()) })?;

    // XML Signature 1.1, 4.2: SignedInfo, SignatureValue, KeyInfo?, Object*. SECURITY: no Object; it is where a
    // wrapped original is hidden best.
    let mut parts = Children::of(signature, DSIG, &["Id"])?;
    let signed_info = parts.next("SignedInfo")?;
    let value = base64(parts.next("SignatureValue")?, &["Id"])?;
    parts.next_if("KeyInfo");
    parts.end()?;

    // SECURITY: nothing but the few elements that belong there, before they are canonicalised. Nobody has proved
    // anything yet, and fifty thousand of them under a PrefixList are seconds.
    SignedInfo::read(signed_info, policy)?;

    // From here on SignedInfo is what its canonical bytes say, which is what the signature is over (XML Signature
    // 1.1, 8.1.3: "see what is signed").
    let prefixes =
        canonicalization(Children::of(signed_info, DSIG, &["Id"])?.next("CanonicalizationMethod")?)?;
    let signed_info = canonical(tree, signed_info, &[], &prefixes)?;
    let info = SignedInfo::read(Tree::parse(&signed_info, signed_info.len())?.root()?, policy)?;

    // SAML Core 2.0, 5.4.2: one Reference, to the ID of the element that the signature stands in. SECURITY: the
    // empty URI (the whole document), XPointers and IDs of other elements are how a signature is made to cover
    // something else than what is read.
    let id = id_of(element)?;
    if info.uri.strip_prefix('#') != Some(id) {
        let (expected, found) = (shown(&format!("#{id}")), shown(&info.uri));
        return Err(SignatureError::ReferenceElsewhere { expected, found });
    }

    // XML Signature 1.1, 3.2.2: signature validation.
    verify(info.method, &info.method_uri, &signed_info, &value, keys)?;

    // XML Signature 1.1, 3.2.1: reference validation. 6.6.4: the enveloped transform takes the Signature out that
    // holds it, and no other.
    let bytes = canonical(tree, element, &[signature], &info.prefixes)?;
    if info.hash.digest(&bytes).as_ref() != info.digest {
        return Err(SignatureError::DigestMismatch);
    }
    Ok(Signed { bytes, sha1: info.method.uses_sha1() || info.hash == Hash::Sha1 })
}

/// Verifies a signature over plain bytes (HTTP redirect binding, SAML Bindings 2.0, 3.4.4.1).
///
/// `algorithm` is the URI in `SigAlg`, `signature` the decoded value.
pub fn verify_bytes(
    algorithm: &str,
    message: &[u8],
    signature: &[u8],
    keys: &[VerifyingKey],
    policy: AlgorithmPolicy,
) -> Result<(), SignatureError> {
    verify(method(algorithm, policy)?, algorithm, message, signature, keys)
}

fn verify(
    method: SignatureMethod,
    uri: &str,
    message: &[u8],
    signature: &[u8],
    keys: &[VerifyingKey],
) -> Result<(), SignatureError> {
    let mut fitting = keys.iter().filter(|key| method.fits(key.kind())).peekable();
    if fitting.peek().is_none() {
        return Err(SignatureError::NoKeyFits(shown(uri)));
    }
    // Several while keys are rolled over (SAML Metadata 2.0, 2.4.1.1).
    if fitting.any(|key| method.verifies(key, message, signature)) {
        return Ok(());
    }
    Err(SignatureError::NotByTrustedKey)
}

/// The one signature of an element, as its direct child, if it has one.
pub(super) fn signature_of<'t, 'a>(element: Node<'t, 'a>) -> Result<Option<Node<'t, 'a>>, SignatureError> {
    let mut signatures = element.children_named(DSIG, "Signature");
    match (signatures.next(), signatures.next()) {
        (first, None) => Ok(first),
        _ => Err(SignatureError::SeveralSignatures { element: shown(element.local_name()) }),
    }
}

/// SAML Core 2.0, 5.4.1: signatures are enveloped, so each stands directly in the SAML element that it signs.
///
/// SECURITY: anywhere else it is a leftover of a wrapping attack: a genuine signature kept for a careless
/// verifier to find.
fn check_places(tree: &Tree<'_>) -> Result<(), SignatureError> {
    for signature in tree.root()?.elements().filter(|node| node.is(DSIG, "Signature")) {
        let Some(parent) = signature.parent() else {
            return Err(SignatureError::Misplaced { parent: "the document".to_owned() });
        };
        if ![SAML, SAMLP, METADATA].contains(&parent.namespace()) {
            return Err(SignatureError::Misplaced { parent: shown(parent.local_name()) });
        }
        id_of(parent)?;
        signature_of(parent)?;
    }
    Ok(())
}

/// XML 1.0, 3.3.1, "ID": unique in the document.
///
/// SECURITY: over every spelling that some reader takes for an identifier, whatever the element: with two of a kind
/// the signature and the reader may each take their own.
fn check_identifiers(tree: &Tree<'_>) -> Result<(), SignatureError> {
    let mut seen = HashSet::new();
    for id in tree.root()?.elements().flat_map(|node| node.identifiers()) {
        if !seen.insert(id) {
            return Err(SignatureError::IdNotUnique { id: shown(id) });
        }
    }
    Ok(())
}

/// SAML Core 2.0, 1.3.4 and 5.4.2: what is signed has an `ID`.
pub(super) fn id_of<'t>(element: Node<'t, '_>) -> Result<&'t str, SignatureError> {
    let id = element.attribute("ID").filter(|id| !id.is_empty());
    id.ok_or_else(|| SignatureError::IdMissing { element: shown(element.local_name()) })
}

/// What SignedInfo says, of the one form that is accepted (XML Signature 1.1, 4.4).
struct SignedInfo {
    method: SignatureMethod,
    method_uri: String,
    uri: String,
    /// The PrefixList that the content is canonicalised with.
    prefixes: Vec<String>,
    hash: Hash,
    digest: Vec<u8>,
}

impl SignedInfo {
    fn read(node: Node<'_, '_>, policy: AlgorithmPolicy) -> Result<Self, SignatureError> {
        // XML Signature 1.1, 4.4: CanonicalizationMethod, SignatureMethod, Reference+. SAML Core 2.0, 5.4.2: one.
        let mut parts = Children::of(node, DSIG, &["Id"])?;
        parts.next("CanonicalizationMethod")?; // Checked when it was used, for these very bytes.
        let signature_method = parts.next("SignatureMethod")?;
        let reference = parts.next("Reference")?;
        parts.end()?;

        let method_uri = leaf_algorithm(signature_method)?.to_owned();
        let method = method(&method_uri, policy)?;

        // XML Signature 1.1, 4.4.3: Transforms?, DigestMethod, DigestValue. `Type` is a hint (4.4.3.1).
        let mut parts = Children::of(reference, DSIG, &["Id", "URI", "Type"])?;
        // Without transforms the canonicalisation would be the inclusive one (4.4.3.2), and the signature part of
        // what it signs.
        let transforms = parts.next("Transforms")?;
        let digest_method = parts.next("DigestMethod")?;
        let digest = parts.next("DigestValue")?;
        parts.end()?;
        let uri = reference.attribute("URI").unwrap_or_default().to_owned();

        let prefixes = read_transforms(transforms)?;
        let hash = leaf_algorithm(digest_method)?;
        let hash = Hash::from_uri(hash, policy).map_err(|refusal| match refusal {
            NotAllowed::Unknown => SignatureError::DigestMethodNotAllowed(shown(hash)),
            NotAllowed::Sha1 => SignatureError::Sha1NotAllowed(shown(hash)),
        })?;
        let digest = base64(digest, &[])?;
        Ok(Self { method, method_uri, uri, prefixes, hash, digest })
    }
}

fn method(uri: &str, policy: AlgorithmPolicy) -> Result<SignatureMethod, SignatureError> {
    SignatureMethod::from_uri(uri, policy).map_err(|refusal| match refusal {
        NotAllowed::Unknown => SignatureError::SignatureMethodNotAllowed(shown(uri)),
        NotAllowed::Sha1 => SignatureError::Sha1NotAllowed(shown(uri)),
    })
}

/// SAML Core 2.0, 5.4.4: enveloped-signature and exclusive canonicalisation, and nothing else. Gives the PrefixList.
///
/// SECURITY: that paragraph allows either to be left out, and the canonicalisation with comments. Here both stand,
/// in the one order that means something. XPath, XSLT and base64 are programs of the sender's.
fn read_transforms(transforms: Node<'_, '_>) -> Result<Vec<String>, SignatureError> {
    let mut parts = Children::of(transforms, DSIG, &[])?;
    let all: Vec<_> = std::iter::from_fn(|| parts.next_if("Transform")).collect();
    parts.end()?;
    let uris = all.iter().map(|transform| algorithm(*transform)).collect::<Result<Vec<_>, _>>()?;
    match (all.as_slice(), uris.as_slice()) {
        ([enveloped, exclusive], [ENVELOPED, EXCLUSIVE]) => {
            leaf_algorithm(*enveloped)?;
            prefix_list(*exclusive)
        }
        _ => Err(SignatureError::Transforms { found: uris.into_iter().take(4).map(shown).collect() }),
    }
}

/// SAML Core 2.0, 5.4.3. SECURITY: it allows the canonicalisation with comments as well, and older ones did the
/// inclusive one; here, one way only.
fn canonicalization(node: Node<'_, '_>) -> Result<Vec<String>, SignatureError> {
    match algorithm(node)? {
        EXCLUSIVE => prefix_list(node),
        other => Err(SignatureError::CanonicalizationMethod(shown(other))),
    }
}

/// The parameter of the exclusive canonicalisation (Exclusive XML Canonicalization 1.0, 4): none, or one
/// `InclusiveNamespaces`.
fn prefix_list(method: Node<'_, '_>) -> Result<Vec<String>, SignatureError> {
    let mut parts = Children::of(method, DSIG, &["Algorithm"])?;
    let list = parts.next_if_in(EXCLUSIVE, "InclusiveNamespaces");
    parts.end()?;
    let Some(list) = list else { return Ok(Vec::new()) };
    Children::of(list, DSIG, &["PrefixList"])?.end()?;
    let list = list.attribute("PrefixList").unwrap_or_default();
    let prefixes: Vec<String> = list
        .split([' ', '\t', '\r', '\n'])
        .filter(|prefix| !prefix.is_empty())
        .take(MAX_PREFIXES + 1)
        .map(str::to_owned)
        .collect();
    if prefixes.len() > MAX_PREFIXES || list.len() > MAX_PREFIX_LIST {
        return Err(SignatureError::PrefixListTooLong { limit: MAX_PREFIXES });
    }
    Ok(prefixes)
}

#[cfg(test)]
mod tests;
