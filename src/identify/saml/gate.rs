//! The gate: a Response comes in as bytes, and an assertion goes out of it only if a trusted key signed it.
//!
//! The way, in order: size, XML, the root, the structure, the Response's signature, decryption, the Assertion's
//! signature, what the configuration demands. What goes out are canonical bytes: of the one Assertion, which a
//! verified signature covered, and of the Response's head, without any assertion in it, which may only refuse where
//! no signature covered it. Status, times, audiences and the like are `profile`'s.

use bergshamra_c14n::escape::escape_attr_into;

use super::canonical::{NotCanonical, canonical};
use super::encryption::{DecryptionError, Sealed};
use super::keys::{DecryptionKey, VerifyingKey};
use super::signature::{AlgorithmPolicy, SignatureError, Signed, signature_of, verify_enveloped};
use super::xml::{DSIG, Node, SAML, SAMLP, Tree, XmlError};
use crate::identify::shown::shown;
use crate::model::Fault;

/// Bytes of a Response, at most. Real ones have 5 to 20 kB; thousands of groups fit.
pub const MAX_RESPONSE: usize = 256 * 1024;

/// Which signatures an identity provider must make.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RequireSigned {
    /// The Response or the Assertion, which is what SAML Profiles 2.0, 4.1.3.5 demands of the POST binding.
    #[default]
    Either,
    Assertion,
    Response,
    Both,
}

/// What one identity provider's responses are held against.
#[derive(Debug)]
pub struct Gate<'g> {
    /// The provider's keys, from its trusted metadata.
    pub keys: &'g [VerifyingKey],
    /// Ours, the current one first.
    pub decryption_keys: &'g [DecryptionKey],
    pub require_signed: RequireSigned,
    /// Refuse assertions that come unencrypted.
    pub want_encrypted: bool,
    pub policy: AlgorithmPolicy,
}

/// A response that may be read. It is made in this file only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    head: Head,
    assertion: Vec<u8>,
    assertion_signed: bool,
    encrypted: bool,
    sha1: bool,
}

impl Opened {
    /// The Response, without its signature and its assertion.
    #[must_use]
    pub fn response(&self) -> &Head {
        &self.head
    }

    /// The one Assertion, in canonical form, without its signature. A verified signature covered it: its own, or
    /// else the Response's.
    #[must_use]
    pub fn assertion(&self) -> &[u8] {
        &self.assertion
    }

    /// Whether the Assertion itself is signed.
    #[must_use]
    pub fn assertion_is_signed(&self) -> bool {
        self.assertion_signed
    }

    /// Whether the assertion came encrypted.
    #[must_use]
    pub fn was_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Whether a signature holds by SHA-1 alone, which wants a warning.
    #[must_use]
    pub fn uses_sha1(&self) -> bool {
        self.sha1
    }
}

/// A Response without its signature and without any assertion, in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    bytes: Vec<u8>,
    signed: bool,
}

impl Head {
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether a verified signature covered it. If none did, what it says may refuse, never grant.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.signed
    }
}

/// A response that does not get through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    #[error(transparent)]
    Xml(#[from] XmlError),
    #[error("the message is {found:?}, expected is a SAML 2.0 Response")]
    NotAResponse { found: String },
    /// The usual form of a refusal by the identity provider, whose status the head says.
    #[error("the response has no assertion")]
    NoAssertion(Head),
    #[error("the response has more than one assertion; exactly one is read")]
    SeveralAssertions,
    #[error("{found} stands in {parent}; the assertion must be directly in the Response, and the only one")]
    AssertionMisplaced { parent: String, found: String },
    #[error("a signature stands in {parent}; only the Response and its Assertion can have one")]
    SignatureMisplaced { parent: String },
    #[error("the Response's signature does not hold: {0}")]
    ResponseSignature(SignatureError),
    #[error("the Assertion's signature does not hold: {0}")]
    AssertionSignature(SignatureError),
    #[error("neither the Response nor the Assertion is signed; have the provider sign one of them")]
    NotSigned,
    #[error("the Response is not signed, and require_signed asks for it")]
    ResponseNotSigned,
    #[error("the Assertion is not signed, and require_signed asks for it")]
    AssertionNotSigned,
    #[error("the assertion came unencrypted, and want_encrypted asks for encryption")]
    NotEncrypted,
    /// What anybody can see of the message: its form, its algorithms.
    #[error("the assertion cannot be decrypted: {0}")]
    Decryption(DecryptionError),
    /// SECURITY: one text and one code for whatever happens from the first use of a secret key on. How far a forged
    /// ciphertext gets must not be told to its sender; [`GateError::reason`] is for the operator's log.
    #[error("the encrypted assertion could not be decrypted, or what it holds is not a signed assertion")]
    Encrypted(Box<GateError>),
    #[error("what was decrypted is not one SAML 2.0 Assertion")]
    DecryptedOther,
    #[error("the message could not be canonicalised")]
    NotCanonical,
}

impl GateError {
    /// The variant's name for metrics, logs and `explain`; stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Xml(_) => "response_xml",
            Self::NotAResponse { .. } => "not_a_response",
            Self::NoAssertion(_) => "no_assertion",
            Self::SeveralAssertions => "several_assertions",
            Self::AssertionMisplaced { .. } => "assertion_misplaced",
            Self::SignatureMisplaced { .. } => "signature_misplaced",
            Self::ResponseSignature(error) | Self::AssertionSignature(error) => error.code(),
            Self::NotSigned => "not_signed",
            Self::ResponseNotSigned => "response_not_signed",
            Self::AssertionNotSigned => "assertion_not_signed",
            Self::NotEncrypted => "not_encrypted",
            Self::Decryption(error) => error.code(),
            Self::Encrypted(_) => "encrypted_assertion",
            Self::DecryptedOther => "decrypted_other",
            Self::NotCanonical => "not_canonical",
        }
    }

    /// What it really was, where the sender must not know. Never in an answer.
    #[must_use]
    pub fn reason(&self) -> &Self {
        match self {
            Self::Encrypted(reason) => reason,
            other => other,
        }
    }

    /// Who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::ResponseSignature(error) | Self::AssertionSignature(error) => error.fault(),
            Self::Decryption(error) => error.fault(),
            Self::NotSigned | Self::ResponseNotSigned | Self::AssertionNotSigned | Self::NotEncrypted => {
                Fault::Operator
            }
            Self::NotCanonical => Fault::Us,
            Self::Xml(_)
            | Self::NotAResponse { .. }
            | Self::NoAssertion(_)
            | Self::SeveralAssertions
            | Self::AssertionMisplaced { .. }
            | Self::SignatureMisplaced { .. }
            | Self::Encrypted(_)
            | Self::DecryptedOther => Fault::IdentityProvider,
        }
    }
}

impl From<NotCanonical> for GateError {
    fn from(_: NotCanonical) -> Self {
        Self::NotCanonical
    }
}

impl Gate<'_> {
    /// Lets a Response through, or says what is wrong with it.
    pub fn open(&self, xml: &[u8]) -> Result<Opened, GateError> {
        let received = Tree::parse(xml, MAX_RESPONSE)?;
        let root = received.root()?;
        // SAML Profiles 2.0, 4.1.4.2. A Response of SAML 1.1 has another namespace.
        if !root.is(SAMLP, "Response") {
            return Err(GateError::NotAResponse { found: shown(root.local_name()) });
        }
        // SAML Core 2.0, 5.3: signatures that are there must hold, asked for or not. They are verified where they
        // were made, in the message as received: the Assertion's PrefixList may name declarations that no visible
        // name uses, and these are gone from the Response's canonical form (Exclusive XML Canonicalization 1.0, 3).
        let payload = check_structure(root)?;
        let outer = self.signed(&received, root).map_err(GateError::ResponseSignature)?;
        let inner = match payload {
            Payload::Plain(assertion) => {
                self.signed(&received, assertion).map_err(GateError::AssertionSignature)?
            }
            Payload::None | Payload::Encrypted(_) => None,
        };

        // SECURITY: from here on, a signed Response is what its signature covers, read anew; the message as received
        // is not asked again (lesson 28, signature wrapping).
        let covered = outer.as_ref().map(Signed::tree).transpose()?;
        let tree = covered.as_ref().unwrap_or(&received);
        let root = tree.root()?;
        let payload = check_structure(root)?;
        let head = head(tree, root, payload, outer.is_some())?;
        let (assertion, inner) = match payload {
            Payload::None => return Err(GateError::NoAssertion(head)),
            Payload::Plain(_) if self.want_encrypted => return Err(GateError::NotEncrypted),
            Payload::Plain(assertion) => self.take(tree, assertion, outer.is_some(), inner)?,
            Payload::Encrypted(_) if self.decryption_keys.is_empty() => {
                return Err(GateError::Decryption(DecryptionError::NoDecryptionKey));
            }
            Payload::Encrypted(encrypted) => {
                let sealed = Sealed::read(encrypted).map_err(GateError::Decryption)?;
                let taken = self.decrypt(&sealed, encrypted, outer.is_some());
                taken.map_err(|reason| GateError::Encrypted(Box::new(reason)))?
            }
        };
        Ok(Opened {
            head,
            assertion,
            assertion_signed: inner.is_some(),
            encrypted: matches!(payload, Payload::Encrypted(_)),
            sha1: outer.iter().chain(&inner).any(Signed::uses_sha1),
        })
    }

    /// Opens the encrypted assertion and takes what is in it.
    fn decrypt(
        &self,
        sealed: &Sealed,
        encrypted: Node<'_, '_>,
        outer: bool,
    ) -> Result<(Vec<u8>, Option<Signed>), GateError> {
        let fragment = in_context(encrypted, &sealed.open(self.decryption_keys));
        let tree = Tree::parse(&fragment, fragment.len())?;
        let root = tree.root()?;
        // SAML Core 2.0, 2.3.4: what is encrypted is one Assertion; and nothing beside it.
        let Payload::Plain(assertion) = check_structure(root)? else { return Err(GateError::DecryptedOther) };
        if !root.holds_elements_only() || root.children().count() != 1 {
            return Err(GateError::DecryptedOther);
        }
        let inner = self.signed(&tree, assertion).map_err(GateError::AssertionSignature)?;
        self.take(&tree, assertion, outer, inner)
    }

    /// The Assertion's bytes, if the signatures that cover it are those that are asked for: what its own signature
    /// covers, or, where only the Response is signed, its canonical form in there.
    fn take(
        &self,
        tree: &Tree<'_>,
        assertion: Node<'_, '_>,
        outer: bool,
        inner: Option<Signed>,
    ) -> Result<(Vec<u8>, Option<Signed>), GateError> {
        match (self.require_signed, outer, inner.is_some()) {
            // SECURITY: lesson 30. Whatever the binding and the configuration, something must be signed.
            (_, false, false) => return Err(GateError::NotSigned),
            (RequireSigned::Response | RequireSigned::Both, false, _) => {
                return Err(GateError::ResponseNotSigned);
            }
            (RequireSigned::Assertion | RequireSigned::Both, _, false) => {
                return Err(GateError::AssertionNotSigned);
            }
            (RequireSigned::Either, _, _)
            | (RequireSigned::Response, true, _)
            | (RequireSigned::Assertion, _, true)
            | (RequireSigned::Both, true, true) => {}
        }
        let bytes = match &inner {
            Some(signed) => signed.bytes().to_vec(),
            None => canonical(tree, assertion, &[], &[])?,
        };
        Ok((bytes, inner))
    }

    /// What the signature of `element` covers, if it has one.
    fn signed(&self, tree: &Tree<'_>, element: Node<'_, '_>) -> Result<Option<Signed>, SignatureError> {
        match signature_of(element)? {
            None => Ok(None),
            Some(_) => verify_enveloped(tree, element, self.keys, self.policy).map(Some),
        }
    }
}

/// What a Response brings.
#[derive(Clone, Copy)]
enum Payload<'t, 'a> {
    None,
    Plain(Node<'t, 'a>),
    Encrypted(Node<'t, 'a>),
}

/// SAML Core 2.0, 3.3.3 lets a Response hold any number of assertions, and SAML Core 2.0, 2.6.1 (Advice) and
/// 3.2.1 (Extensions) let them stand elsewhere.
///
/// SECURITY: lessons 28 and 29. One, in one place; none hidden in Extensions, Advice, Object, an attribute's value
/// or under another namespace, where a reader might find it that the signature's verifier did not. Signatures only
/// where this gate verifies them.
fn check_structure<'t, 'a>(root: Node<'t, 'a>) -> Result<Payload<'t, 'a>, GateError> {
    let mut payload = Payload::None;
    for node in root.elements().skip(1) {
        let name = node.local_name();
        let parent = node.parent().unwrap_or(root);
        let direct = parent.id() == root.id();
        if ["Assertion", "EncryptedAssertion", "Response"].contains(&name) {
            payload = match payload {
                Payload::None if direct && node.is(SAML, "Assertion") => Payload::Plain(node),
                Payload::None if direct && node.is(SAML, "EncryptedAssertion") => Payload::Encrypted(node),
                Payload::Plain(_) | Payload::Encrypted(_) if direct => {
                    return Err(GateError::SeveralAssertions);
                }
                _ => {
                    let (parent, found) = (shown(parent.local_name()), shown(name));
                    return Err(GateError::AssertionMisplaced { parent, found });
                }
            };
        }
        // The one Assertion, if it has been met, since it comes before what is in it.
        let signable =
            direct || matches!(payload, Payload::Plain(assertion) if assertion.id() == parent.id());
        if node.is(DSIG, "Signature") && !signable {
            return Err(GateError::SignatureMisplaced { parent: shown(parent.local_name()) });
        }
    }
    Ok(payload)
}

/// The Response without what it brings. Its signature is not in what it covers, and an unsigned one has none.
fn head(
    tree: &Tree<'_>,
    root: Node<'_, '_>,
    payload: Payload<'_, '_>,
    signed: bool,
) -> Result<Head, GateError> {
    let bytes = match payload {
        Payload::None => canonical(tree, root, &[], &[])?,
        Payload::Plain(assertion) | Payload::Encrypted(assertion) => {
            canonical(tree, root, &[assertion], &[])?
        }
    };
    Ok(Head { bytes, signed })
}

/// XML Encryption 1.1, 4.4: decrypted elements are parsed in the context that they stood in. Of that context there
/// are the namespaces; `xml:` attributes, which it names too, mean nothing in SAML.
///
/// The names that an unsigned message gives to namespaces cannot lend the assertion a meaning that its issuer did
/// not sign: each visible one is in the canonical bytes that are digested.
fn in_context(encrypted: Node<'_, '_>, fragment: &[u8]) -> Vec<u8> {
    let mut out = b"<context".to_vec();
    for (prefix, uri) in encrypted.namespaces() {
        let colon = if prefix.is_empty() { "" } else { ":" };
        out.extend_from_slice(format!(" xmlns{colon}{prefix}=\"").as_bytes());
        escape_attr_into(&mut out, uri);
        out.push(b'"');
    }
    // A fragment that closes the context and opens another makes two document elements, which are none.
    for part in [b">", fragment, b"</context>"] {
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests;
