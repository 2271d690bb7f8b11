//! Logout messages of the identity provider: verified first, then read from what the signature covers.

use std::time::Duration;

use url::Url;

use super::LogoutError;
use crate::identify::saml::algorithm::AlgorithmPolicy;
use crate::identify::saml::assertion::response::status;
use crate::identify::saml::assertion::{Issuer, NameId, field};
use crate::identify::saml::binding::redirect::Redirected;
use crate::identify::saml::binding::{MAX_MESSAGE, soap};
use crate::identify::saml::encryption::Sealed;
use crate::identify::saml::keys::{DecryptionKey, VerifyingKey};
use crate::identify::saml::profile::place;
use crate::identify::saml::signature::verify_enveloped;
use crate::identify::saml::status::Status;
use crate::identify::saml::xml::{DSIG, Node, SAML, SAMLP, Tree};
use crate::identify::shown::shown;
use crate::model::UnixTime;

/// A message older than this is not taken, however long it says that it holds: logout happens now.
///
/// SECURITY: it bounds for how long a message has to be remembered, so that it is taken only once.
pub const MAX_AGE: Duration = Duration::from_mins(5);
/// Sessions that one request may name.
const MAX_SESSIONS: usize = 1000;
/// Core 8.3.6.
const ENTITY: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity";
const PARTIAL: &str = "urn:oasis:names:tc:SAML:2.0:status:PartialLogout";

/// A message as it came, by its binding.
#[derive(Debug, Clone, Copy)]
pub enum Arrived<'a> {
    Redirect(&'a Redirected),
    /// The XML from the form.
    Post(&'a [u8]),
    /// The whole envelope.
    Soap(&'a [u8]),
}

/// By what logout messages of one identity provider are checked.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    /// Of its metadata.
    pub idp_entity_id: &'a str,
    /// Of its metadata.
    pub keys: &'a [VerifyingKey],
    pub policy: AlgorithmPolicy,
    /// Ours, for identifiers that are encrypted.
    pub decryption_keys: &'a [DecryptionKey],
    /// Our endpoint that it came to.
    pub endpoint: &'a Url,
    pub now: UnixTime,
    pub skew: Duration,
}

/// A logout that the identity provider asks for; everything about it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// To be answered to; and with the issuer what makes it unique.
    pub id: String,
    /// When it no longer needs to be remembered: from then on it is refused for its age.
    pub forget_after: UnixTime,
    pub name_id: NameId,
    /// The identity provider's sessions to end; without any all of this person's (Core 3.7.1).
    pub session_indexes: Vec<String>,
}

/// What the identity provider answers to a logout that we asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// Ended everywhere.
    Complete,
    /// Ended at the identity provider, but not at every service (Core 3.2.2.2, `PartialLogout`).
    Partial,
    /// Not ended.
    Refused(Status),
}

/// Verifies and reads a LogoutRequest (Core 3.7.1; Profiles 4.4.4.1). That it came only once is for the caller to
/// see to.
///
/// # Errors
/// The first rule that does not hold.
pub fn read_request(arrived: Arrived<'_>, expected: &Expected<'_>) -> Result<Asked, LogoutError> {
    verified(arrived, expected, |root| {
        let head = head(root, "LogoutRequest", arrived, expected)?;
        // Core 3.7.1.
        if let Some(end) = field::instant(root, "NotOnOrAfter")?
            && end <= expected.now.before(expected.skew)
        {
            let by = expected.now.0.saturating_sub(end.0);
            return Err(LogoutError::Expired { by, skew: seconds(expected.skew) });
        }
        let indexes = root.children_named(SAMLP, "SessionIndex").map(field::uri);
        Ok(Asked {
            id: head.id,
            forget_after: head.issued_at.after(MAX_AGE).after(expected.skew),
            name_id: name_id(root, expected.decryption_keys)?,
            session_indexes: field::at_most(indexes.collect(), "SessionIndexes", MAX_SESSIONS)?,
        })
    })
}

/// Verifies and reads the LogoutResponse (Core 3.7.2; Profiles 4.4.4.2) to the request `id`.
///
/// # Errors
/// The first rule that does not hold. That the identity provider refused is none of them.
pub fn read_response(
    arrived: Arrived<'_>,
    expected: &Expected<'_>,
    id: &str,
) -> Result<Answered, LogoutError> {
    verified(arrived, expected, |root| {
        head(root, "LogoutResponse", arrived, expected)?;
        // Core 3.2.2.
        match field::attribute(root, "InResponseTo")? {
            Some(answered) if answered == id => {}
            Some(_) => return Err(LogoutError::InResponseToMismatch),
            None => return Err(LogoutError::InResponseToMissing),
        }
        let status = status(root.required(SAMLP, "Status")?)?;
        // Core 3.2.2.2 leaves open what the code around it is: identity providers send it in either.
        if status.codes.iter().any(|code| code == PARTIAL) {
            return Ok(Answered::Partial);
        }
        Ok(if status.is_success() { Answered::Complete } else { Answered::Refused(status) })
    })
}

/// Hands `read` the message, once its signature holds: its canonical bytes, or by redirect the bytes that came,
/// of which the signature covers every one.
fn verified<T>(
    arrived: Arrived<'_>,
    expected: &Expected<'_>,
    read: impl FnOnce(Node<'_, '_>) -> Result<T, LogoutError>,
) -> Result<T, LogoutError> {
    let enveloped = |tree: &Tree<'_>, message: Node<'_, '_>| {
        if message.child(DSIG, "Signature")?.is_none() {
            return Err(LogoutError::NotSigned);
        }
        Ok(verify_enveloped(tree, message, expected.keys, expected.policy)?)
    };
    match arrived {
        Arrived::Redirect(redirected) => {
            // Bindings 3.4.4.1: the signature is beside the message.
            let signature = redirected.signature.as_ref().ok_or(LogoutError::NotSigned)?;
            signature.verify(expected.keys, expected.policy)?;
            read(Tree::parse(&redirected.message, MAX_MESSAGE)?.root()?)
        }
        Arrived::Post(message) => {
            let tree = Tree::parse(message, MAX_MESSAGE)?;
            read(enveloped(&tree, tree.root()?)?.tree()?.root()?)
        }
        Arrived::Soap(envelope) => {
            let tree = Tree::parse(envelope, MAX_MESSAGE)?;
            read(enveloped(&tree, soap::message(&tree)?)?.tree()?.root()?)
        }
    }
}

struct Head {
    id: String,
    issued_at: UnixTime,
}

/// What requests and responses have in common (Core 3.2.1, 3.2.2).
fn head(
    root: Node<'_, '_>,
    name: &'static str,
    arrived: Arrived<'_>,
    expected: &Expected<'_>,
) -> Result<Head, LogoutError> {
    if !root.is(SAMLP, name) {
        return Err(LogoutError::OtherMessage { expected: name, found: field::full_name(root) });
    }
    let version = field::required(root, "Version")?;
    if version != "2.0" {
        return Err(LogoutError::VersionMismatch(shown(&version)));
    }
    check_issuer(root, expected.idp_entity_id)?;
    check_destination(root, arrived, expected.endpoint)?;
    let issued_at = field::required_instant(root, "IssueInstant")?;
    check_age(issued_at, expected)?;
    Ok(Head { id: field::required(root, "ID")?, issued_at })
}

/// Profiles 4.4.4.1 and 4.4.4.2: present, and an entity ID.
fn check_issuer(root: Node<'_, '_>, expected: &str) -> Result<(), LogoutError> {
    let issuer = root.child(SAML, "Issuer")?.ok_or(LogoutError::IssuerMissing)?;
    let issuer = Issuer::read(issuer)?;
    if let Some(format) = issuer.format.filter(|format| format != ENTITY) {
        return Err(LogoutError::IssuerFormat(shown(&format)));
    }
    if issuer.value != expected {
        let (expected, found) = (expected.to_owned(), shown(&issuer.value));
        return Err(LogoutError::IssuerMismatch { expected, found });
    }
    Ok(())
}

/// Bindings 3.4.5.2 and 3.5.5.2: what is signed and comes through the browser says where it is meant to go.
///
/// SECURITY: else what was signed for another service of the identity provider could be brought here.
fn check_destination(root: Node<'_, '_>, arrived: Arrived<'_>, endpoint: &Url) -> Result<(), LogoutError> {
    let expected = endpoint.as_str();
    match (field::attribute(root, "Destination")?, arrived) {
        // Core 3.2.1: where it is there, it must be right.
        (Some(found), _) => place::compare(expected, &found).map_err(LogoutError::DestinationMismatch),
        (None, Arrived::Soap(_)) => Ok(()),
        (None, Arrived::Redirect(_) | Arrived::Post(_)) => {
            Err(LogoutError::DestinationMissing { expected: expected.to_owned() })
        }
    }
}

fn check_age(issued_at: UnixTime, expected: &Expected<'_>) -> Result<(), LogoutError> {
    if issued_at > expected.now.after(expected.skew) {
        let by = issued_at.0.saturating_sub(expected.now.0);
        return Err(LogoutError::IssuedInFuture { by, skew: seconds(expected.skew) });
    }
    if issued_at.after(MAX_AGE).after(expected.skew) <= expected.now {
        let age = expected.now.0.saturating_sub(issued_at.0);
        return Err(LogoutError::TooOld {
            age,
            limit: seconds(MAX_AGE).saturating_add(seconds(expected.skew)),
        });
    }
    Ok(())
}

/// Core 3.7.1: one of BaseID, NameID and EncryptedID.
fn name_id(root: Node<'_, '_>, keys: &[DecryptionKey]) -> Result<NameId, LogoutError> {
    let named = |name: &'static str| root.children_named(SAML, name);
    let mut all = ["BaseID", "NameID", "EncryptedID"].into_iter().flat_map(named);
    let identifier = all.next().ok_or(LogoutError::NameMissing)?;
    if all.next().is_some() {
        return Err(LogoutError::NameAmbiguous);
    }
    match identifier.local_name() {
        "NameID" => Ok(NameId::read(identifier)?),
        "EncryptedID" => {
            // What is in it was signed by the identity provider as it is, so nobody tries ciphertexts here.
            let clear = Sealed::read(identifier)?.open(keys);
            let tree = Tree::parse(&clear, MAX_MESSAGE).map_err(|_| LogoutError::NotDecrypted)?;
            let inner = tree.root().ok().filter(|root| root.is(SAML, "NameID"));
            NameId::read(inner.ok_or(LogoutError::NotDecrypted)?).map_err(|_| LogoutError::NotDecrypted)
        }
        _ => Err(LogoutError::BaseId),
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
