//! The typed reading of a Response's head and of an Assertion, by the schema and by namespace.
//!
//! What goes in are the canonical bytes that a digest covered (SECURITY.md 26, 28); what comes out has been
//! judged by nobody yet: `profile` does that. An element that SAML's schema does not have in a place refuses.

pub mod error;
pub(super) mod field;
pub mod response;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::error::AssertionError;
pub use self::response::ResponseHead;
use super::xml::{DSIG, Node, SAML, Tree, XSI};
use crate::identify::shown::shown;
use crate::model::UnixTime;

/// Of each kind of statement, and of confirmations and audience restrictions, at most.
pub const MAX_STATEMENTS: usize = 32;
/// Audiences of one restriction, at most.
pub const MAX_AUDIENCES: usize = 256;
/// Attribute elements, at most: some providers send one for each role of a person.
pub const MAX_ATTRIBUTES: usize = 4096;
/// Values of all attributes, at most.
pub const MAX_VALUES: usize = 8192;

/// A `<saml:Assertion>` (SAML Core 2.3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    pub id: String,
    pub version: String,
    pub issued_at: UnixTime,
    pub issuer: Issuer,
    pub subject: Option<AssertedSubject>,
    pub conditions: Option<Conditions>,
    pub authn_statements: Vec<AuthnStatement>,
    pub attributes: Vec<Attribute>,
}

/// `<saml:Issuer>` (SAML Core 2.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    pub value: String,
    pub format: Option<String>,
}

/// `<saml:Subject>` (SAML Core 2.4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssertedSubject {
    pub name_id: Option<NameId>,
    pub confirmations: Vec<Confirmation>,
}

/// `<saml:NameID>` (SAML Core 2.2.2, 2.2.3), its value exactly as it was sent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameId {
    pub value: String,
    pub format: Option<String>,
    pub name_qualifier: Option<String>,
    pub sp_name_qualifier: Option<String>,
    pub sp_provided_id: Option<String>,
}

/// `<saml:SubjectConfirmation>` (SAML Core 2.4.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    pub method: String,
    /// It names somebody who may act for the subject.
    pub names_another: bool,
    pub data: Option<ConfirmationData>,
}

/// `<saml:SubjectConfirmationData>` (SAML Core 2.4.1.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfirmationData {
    pub recipient: Option<String>,
    pub not_before: Option<UnixTime>,
    pub not_on_or_after: Option<UnixTime>,
    pub in_response_to: Option<String>,
    pub address: Option<String>,
}

/// `<saml:Conditions>` (SAML Core 2.5.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    pub not_before: Option<UnixTime>,
    pub not_on_or_after: Option<UnixTime>,
    /// The audiences of each `<AudienceRestriction>`.
    pub audience_restrictions: Vec<Vec<String>>,
    pub one_time_use: bool,
    /// Conditions that are none of SAML's own, by name.
    pub unknown: Vec<String>,
}

/// `<saml:AuthnStatement>` (SAML Core 2.7.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthnStatement {
    pub authenticated_at: UnixTime,
    pub session_index: Option<String>,
    pub session_ends_at: Option<UnixTime>,
    /// `AuthnContextClassRef`: how the person authenticated.
    pub context_class: Option<String>,
    /// `AuthnContextDeclRef`.
    pub context_declaration: Option<String>,
    /// `AuthenticatingAuthority`: who authenticated the person, where it was not the issuer.
    pub authorities: Vec<String>,
}

/// `<saml:Attribute>` (SAML Core 2.7.3.1). Values that are neither text nor NameID are left out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    pub name: String,
    pub name_format: Option<String>,
    pub friendly_name: Option<String>,
    pub values: Vec<String>,
}

impl Assertion {
    /// Reads a document whose root is an Assertion.
    ///
    /// # Errors
    /// What SAML's schema does not know, what is too long, and what is encrypted by itself.
    pub fn parse(bytes: &[u8], limit: usize) -> Result<Self, AssertionError> {
        let tree = Tree::parse(bytes, limit)?;
        Self::read(tree.root()?)
    }

    /// # Errors
    /// See [`Assertion::parse`].
    pub fn read(node: Node<'_, '_>) -> Result<Self, AssertionError> {
        if !node.is(SAML, "Assertion") {
            return Err(AssertionError::NotAnAssertion(field::full_name(node)));
        }
        field::only(
            node,
            &[
                (SAML, "Issuer"),
                (DSIG, "Signature"),
                (SAML, "Subject"),
                (SAML, "Conditions"),
                (SAML, "Advice"),
                (SAML, "Statement"),
                (SAML, "AuthnStatement"),
                (SAML, "AuthzDecisionStatement"),
                (SAML, "AttributeStatement"),
            ],
        )?;
        node.child(DSIG, "Signature")?;
        // SAML Core 2.6.1: may be ignored, whatever is in it.
        node.child(SAML, "Advice")?;
        let authn_statements = node.children_named(SAML, "AuthnStatement").map(AuthnStatement::read);
        Ok(Self {
            id: field::required(node, "ID")?,
            version: field::required(node, "Version")?,
            issued_at: field::required_instant(node, "IssueInstant")?,
            issuer: Issuer::read(node.required(SAML, "Issuer")?)?,
            subject: node.child(SAML, "Subject")?.map(AssertedSubject::read).transpose()?,
            conditions: node.child(SAML, "Conditions")?.map(Conditions::read).transpose()?,
            authn_statements: field::at_most(authn_statements.collect(), "AuthnStatements", MAX_STATEMENTS)?,
            attributes: attributes(node)?,
        })
    }
}

impl Issuer {
    pub(super) fn read(node: Node<'_, '_>) -> Result<Self, AssertionError> {
        Ok(Self { value: field::uri(node)?, format: field::attribute(node, "Format")? })
    }
}

impl AssertedSubject {
    fn read(node: Node<'_, '_>) -> Result<Self, AssertionError> {
        if node.child(SAML, "EncryptedID")?.is_some() {
            return Err(AssertionError::EncryptedNameId);
        }
        if node.child(SAML, "BaseID")?.is_some() {
            return Err(AssertionError::BaseId);
        }
        field::only(node, &[(SAML, "NameID"), (SAML, "SubjectConfirmation")])?;
        let confirmations = node.children_named(SAML, "SubjectConfirmation").map(Confirmation::read);
        Ok(Self {
            name_id: node.child(SAML, "NameID")?.map(NameId::read).transpose()?,
            confirmations: field::at_most(confirmations.collect(), "SubjectConfirmations", MAX_STATEMENTS)?,
        })
    }
}

impl NameId {
    /// Reads a `<saml:NameID>`, of an assertion or of a logout request.
    ///
    /// # Errors
    /// An empty one, and one with white space around it.
    pub fn read(node: Node<'_, '_>) -> Result<Self, AssertionError> {
        field::only(node, &[])?;
        let value = field::value(node);
        match field::collapsed(&value) {
            "" => return Err(AssertionError::Empty { element: field::name(node), what: "text" }),
            inner if inner.len() < value.len() => return Err(AssertionError::NameIdSpaced),
            _ => {}
        }
        // An empty qualifier, as some providers write it, qualifies nothing.
        let qualifier = |name: &'static str| match node.attribute(name) {
            Some("") => Ok(None),
            _ => field::attribute(node, name),
        };
        Ok(Self {
            value: field::bounded(node, "text", value, field::MAX_URI)?,
            format: field::attribute(node, "Format")?,
            name_qualifier: qualifier("NameQualifier")?,
            sp_name_qualifier: qualifier("SPNameQualifier")?,
            sp_provided_id: qualifier("SPProvidedID")?,
        })
    }
}

impl Confirmation {
    fn read(node: Node<'_, '_>) -> Result<Self, AssertionError> {
        const IDENTIFIERS: [&str; 3] = ["BaseID", "NameID", "EncryptedID"];
        let [base, name, encrypted] = IDENTIFIERS;
        field::only(
            node,
            &[(SAML, base), (SAML, name), (SAML, encrypted), (SAML, "SubjectConfirmationData")],
        )?;
        Ok(Self {
            method: field::required(node, "Method")?,
            names_another: node.children().any(|child| !child.is(SAML, "SubjectConfirmationData")),
            data: node.child(SAML, "SubjectConfirmationData")?.map(ConfirmationData::read).transpose()?,
        })
    }
}

impl ConfirmationData {
    /// The schema lets any element stand in it; none of them is looked at.
    fn read(node: Node<'_, '_>) -> Result<Self, AssertionError> {
        Ok(Self {
            recipient: field::attribute(node, "Recipient")?,
            not_before: field::instant(node, "NotBefore")?,
            not_on_or_after: field::instant(node, "NotOnOrAfter")?,
            in_response_to: field::attribute(node, "InResponseTo")?,
            address: node.attribute("Address").map(|address| shown(field::collapsed(address))),
        })
    }
}

impl Conditions {
    fn read(node: Node<'_, '_>) -> Result<Self, AssertionError> {
        let mut conditions = Self {
            not_before: field::instant(node, "NotBefore")?,
            not_on_or_after: field::instant(node, "NotOnOrAfter")?,
            // SAML Core 2.5.1.5, 2.5.1.6: each at most once.
            one_time_use: node.child(SAML, "OneTimeUse")?.is_some(),
            ..Self::default()
        };
        // SAML Core 2.5.1.6: about assertions that are issued upon this one, and narthex issues none.
        node.child(SAML, "ProxyRestriction")?;
        let known = ["AudienceRestriction", "OneTimeUse", "ProxyRestriction"];
        let foreign = node.children().filter(|child| !known.iter().any(|name| child.is(SAML, name)));
        for condition in foreign.take(MAX_STATEMENTS) {
            let own_type = condition.attribute_in(Some(XSI), "type").map(shown);
            conditions.unknown.push(own_type.unwrap_or_else(|| field::full_name(condition)));
        }
        let restrictions = node.children_named(SAML, "AudienceRestriction").map(audiences);
        conditions.audience_restrictions =
            field::at_most(restrictions.collect(), "AudienceRestrictions", MAX_STATEMENTS)?;
        Ok(conditions)
    }
}

fn audiences(node: Node<'_, '_>) -> Result<Vec<String>, AssertionError> {
    field::only(node, &[(SAML, "Audience")])?;
    field::at_most(node.children().map(field::uri).collect(), "Audiences", MAX_AUDIENCES)
}

impl AuthnStatement {
    fn read(node: Node<'_, '_>) -> Result<Self, AssertionError> {
        field::only(node, &[(SAML, "SubjectLocality"), (SAML, "AuthnContext")])?;
        node.child(SAML, "SubjectLocality")?;
        let context = node.required(SAML, "AuthnContext")?;
        field::only(
            context,
            &[
                (SAML, "AuthnContextClassRef"),
                (SAML, "AuthnContextDecl"),
                (SAML, "AuthnContextDeclRef"),
                (SAML, "AuthenticatingAuthority"),
            ],
        )?;
        context.child(SAML, "AuthnContextDecl")?;
        let authorities = context.children_named(SAML, "AuthenticatingAuthority").map(field::uri);
        Ok(Self {
            authenticated_at: field::required_instant(node, "AuthnInstant")?,
            session_index: field::attribute(node, "SessionIndex")?,
            session_ends_at: field::instant(node, "SessionNotOnOrAfter")?,
            context_class: context.child(SAML, "AuthnContextClassRef")?.map(field::uri).transpose()?,
            context_declaration: context.child(SAML, "AuthnContextDeclRef")?.map(field::uri).transpose()?,
            authorities: field::at_most(authorities.collect(), "AuthenticatingAuthorities", MAX_STATEMENTS)?,
        })
    }
}

/// Every attribute of every statement (SAML Core 2.7.3).
fn attributes(assertion: Node<'_, '_>) -> Result<Vec<Attribute>, AssertionError> {
    let (mut attributes, mut values) = (Vec::new(), 0);
    for statement in assertion.children_named(SAML, "AttributeStatement") {
        for child in statement.children() {
            if child.is(SAML, "EncryptedAttribute") {
                return Err(AssertionError::EncryptedAttribute);
            }
            if !child.is(SAML, "Attribute") {
                return Err(field::unexpected(statement, child));
            }
            let attribute = Attribute::read(child)?;
            values += attribute.values.len();
            attributes.push(attribute);
            if attributes.len() > MAX_ATTRIBUTES {
                return Err(AssertionError::TooMany { what: "attributes", limit: MAX_ATTRIBUTES });
            }
            if values > MAX_VALUES {
                return Err(AssertionError::TooMany { what: "attribute values", limit: MAX_VALUES });
            }
        }
    }
    Ok(attributes)
}

impl Attribute {
    fn read(node: Node<'_, '_>) -> Result<Self, AssertionError> {
        field::only(node, &[(SAML, "AttributeValue")])?;
        let mut values = Vec::new();
        for value in node.children() {
            if let Some(value) = attribute_value(value) {
                values.push(field::bounded(node, "value", value, field::MAX_TEXT)?);
            }
        }
        // A name for people (SAML Core 2.7.3.1), so an empty one is no fault.
        let friendly_name =
            node.attribute("FriendlyName").map(field::collapsed).filter(|name| !name.is_empty());
        Ok(Self {
            name: field::required(node, "Name")?,
            name_format: field::attribute(node, "NameFormat")?,
            friendly_name: friendly_name
                .map(|name| field::bounded(node, "FriendlyName", name.to_owned(), field::MAX_URI))
                .transpose()?,
            values,
        })
    }
}

/// SAML Core 2.7.3.1.1: any type may stand in it. Texts are taken, and the NameID that eduPersonTargetedID
/// consists of; what is structured in another way says nothing to narthex.
fn attribute_value(node: Node<'_, '_>) -> Option<String> {
    if matches!(node.attribute_in(Some(XSI), "nil").map(field::collapsed), Some("true" | "1")) {
        return None;
    }
    let mut children = node.children();
    match (children.next(), children.next()) {
        (None, _) => Some(field::value(node)),
        (Some(inner), None) if inner.is(SAML, "NameID") && field::collapsed(&node.own_text()).is_empty() => {
            inner.children().next().is_none().then(|| field::value(inner))
        }
        _ => None,
    }
}

/// Who it is shows itself in no log (SECURITY.md 8).
impl fmt::Debug for NameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameId").field("format", &self.format).finish_non_exhaustive()
    }
}

/// What it says of a person shows itself in no log (SECURITY.md 8).
impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Attribute");
        shown.field("name", &self.name).field("values", &self.values.len()).finish_non_exhaustive()
    }
}
