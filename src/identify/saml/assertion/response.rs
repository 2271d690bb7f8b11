//! What a Response says about itself, apart from the assertion in it.

use super::super::status::Status;
use super::super::xml::{DSIG, Node, SAML, SAMLP, Tree};
use super::error::AssertionError;
use super::{Issuer, field};
use crate::model::UnixTime;

/// Status codes within one another, at most.
const MAX_CODES: usize = 8;

/// A `<samlp:Response>` without its assertions (SAML Core 3.2.2, 3.3.3). Where no signature covers it, it may
/// be reason to refuse and never to believe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    pub id: String,
    pub version: String,
    pub issued_at: UnixTime,
    pub destination: Option<String>,
    pub in_response_to: Option<String>,
    pub issuer: Option<Issuer>,
    pub status: Status,
}

impl ResponseHead {
    /// Reads a document whose root is a Response.
    ///
    /// # Errors
    /// What SAML's schema does not know, and what is too long.
    pub fn parse(bytes: &[u8], limit: usize) -> Result<Self, AssertionError> {
        let tree = Tree::parse(bytes, limit)?;
        Self::read(tree.root()?)
    }

    /// # Errors
    /// See [`ResponseHead::parse`].
    pub fn read(node: Node<'_, '_>) -> Result<Self, AssertionError> {
        if !node.is(SAMLP, "Response") {
            return Err(AssertionError::NotAResponse(field::full_name(node)));
        }
        field::only(
            node,
            &[
                (SAML, "Issuer"),
                (DSIG, "Signature"),
                (SAMLP, "Extensions"),
                (SAMLP, "Status"),
                (SAML, "Assertion"),
                (SAML, "EncryptedAssertion"),
            ],
        )?;
        node.child(DSIG, "Signature")?;
        node.child(SAMLP, "Extensions")?;
        Ok(Self {
            id: field::required(node, "ID")?,
            version: field::required(node, "Version")?,
            issued_at: field::required_instant(node, "IssueInstant")?,
            destination: field::attribute(node, "Destination")?,
            in_response_to: field::attribute(node, "InResponseTo")?,
            issuer: node.child(SAML, "Issuer")?.map(Issuer::read).transpose()?,
            status: status(node.required(SAMLP, "Status")?)?,
        })
    }
}

/// SAML Core 3.2.2.1.
pub(in crate::identify::saml) fn status(node: Node<'_, '_>) -> Result<Status, AssertionError> {
    field::only(node, &[(SAMLP, "StatusCode"), (SAMLP, "StatusMessage"), (SAMLP, "StatusDetail")])?;
    let mut code = Some(node.required(SAMLP, "StatusCode")?);
    let mut codes = Vec::new();
    while let Some(node) = code {
        if codes.len() == MAX_CODES {
            return Err(AssertionError::TooMany { what: "status codes", limit: MAX_CODES });
        }
        field::only(node, &[(SAMLP, "StatusCode")])?;
        codes.push(field::required(node, "Value")?);
        code = node.child(SAMLP, "StatusCode")?;
    }
    let message = match node.child(SAMLP, "StatusMessage")? {
        Some(message) => Some(field::bounded(message, "text", message.text()?, field::MAX_TEXT)?),
        None => None,
    };
    node.child(SAMLP, "StatusDetail")?;
    Ok(Status { codes, message })
}
