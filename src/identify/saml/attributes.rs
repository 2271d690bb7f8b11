//! What an assertion says of a person as claims, and who the person is: NameID and attributes.
//!
//! Claims are lists of texts. Where a claim's values come from is decided for each name by itself, by the first
//! of these that applies, and values of two of them are never joined:
//!
//! 1. a name that narthex makes of the assertion itself (`RESERVED`): never an attribute;
//! 2. the attribute of exactly this `Name` (all of them, merged: some providers send one per value);
//! 3. for the friendly names of the table, the first attribute of the row that was sent;
//! 4. the attribute with this `FriendlyName`, if the name is none of the table's and only one attribute
//!    (by `Name`) has it.
//!
//! SECURITY: a FriendlyName is for people to read and identifies nothing (SAML Core 2.7.3.1), so it never
//! speaks for `email`, `groups` or another name that rules are written for: otherwise an attribute that people
//! may fill themselves would need no more than such a label to stand in for one that they may not, whenever
//! that one is absent.

mod aliases;
pub mod docs;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use self::aliases::{ALIASES, is_known, is_reserved};
use super::assertion::{Attribute, NameId};
use super::hint::{UNSPECIFIED, logout_name};
use super::profile::Checked;
use crate::identify::shown::shown;
use crate::model::claims::TooManyClaims;
use crate::model::{Claims, EmailAddress, Fault, Identity, IdpId, Subject};

/// Who a person is cannot be told from an assertion.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    #[error(
        "the assertion names nobody: it has no NameID; have the identity provider send one, or say which \
         attribute the person is known by: subject = {{ claim = \"…\" }}"
    )]
    NameIdMissing,
    /// F8. SAML Core 8.3.8: another one at every sign-in, so every sign-in would be another person.
    #[error(
        "the NameID is transient, which is another one at every sign-in; ask for a persistent one \
         (name_id_format), or say which attribute the person is known by: subject = {{ claim = \"…\" }}"
    )]
    TransientSubject,
    #[error("a NameID of format {0:?} names no person; ask for a persistent one (name_id_format)")]
    SubjectFormatUnfit(String),
    /// SAML Core 3.4.1.1.
    #[error(
        "the NameID is of format {found:?}, and name_id_format asks for {expected:?}; have the identity provider send \
         that one, or leave name_id_format out"
    )]
    SubjectFormatMismatch { expected: String, found: String },
    #[error("the claim `{claim}`, which is configured as the subject, is absent or empty")]
    SubjectClaimMissing { claim: String },
    #[error(
        "the claim `{claim}`, which is configured as the subject, has {found} different values; the one that \
         the person is known by cannot be told"
    )]
    SubjectClaimAmbiguous { claim: String, found: usize },
    #[error("the claim `{claim}` cannot be the subject: it does not say who somebody is")]
    SubjectClaimUnfit { claim: String },
    #[error(
        "the subject is not 1 to 255 characters without controls; say which attribute the person is known by: \
         subject = {{ claim = \"…\" }}"
    )]
    SubjectMalformed,
    #[error(transparent)]
    TooManyClaims(#[from] TooManyClaims),
}

impl AttributeError {
    /// The variant's name for metrics, logs and `explain`; stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NameIdMissing => "name_id_missing",
            Self::TransientSubject => "transient_subject",
            Self::SubjectFormatUnfit(_) => "subject_format_unfit",
            Self::SubjectFormatMismatch { .. } => "subject_format_mismatch",
            Self::SubjectClaimMissing { .. } => "subject_claim_missing",
            Self::SubjectClaimAmbiguous { .. } => "subject_claim_ambiguous",
            Self::SubjectClaimUnfit { .. } => "subject_claim_unfit",
            Self::SubjectMalformed => "subject_malformed",
            Self::TooManyClaims(_) => "too_many_claims",
        }
    }

    /// Who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::TooManyClaims(_) => Fault::IdentityProvider,
            Self::NameIdMissing
            | Self::TransientSubject
            | Self::SubjectFormatUnfit(_)
            | Self::SubjectFormatMismatch { .. }
            | Self::SubjectClaimMissing { .. }
            | Self::SubjectClaimAmbiguous { .. }
            | Self::SubjectClaimUnfit { .. }
            | Self::SubjectMalformed => Fault::Operator,
        }
    }
}

/// Between whom an assertion was exchanged, and by what people are known.
#[derive(Debug, Clone, Copy)]
pub struct Parties<'a> {
    pub idp: &'a IdpId,
    pub idp_entity_id: &'a str,
    /// Our own entity ID.
    pub entity_id: &'a str,
    /// The NameID's format that every request asks for.
    pub name_id_format: Option<&'a str>,
    /// `subject = { claim }`; `None`: the NameID.
    pub subject_claim: Option<&'a str>,
}

/// The person whom a checked assertion is about.
///
/// # Errors
/// Where it does not say who that is in a way that lasts, or says too much.
pub fn identity(parties: &Parties<'_>, checked: &Checked) -> Result<Identity, AttributeError> {
    let mut claims = claims(parties, checked);
    let subject = subject(parties, checked.name_id(), &Claims::new(claims.clone())?)?;
    claims.insert("sub".to_owned(), list([subject.as_str()]));
    Ok(Identity {
        idp: parties.idp.clone(),
        subject,
        claims: Claims::new(claims)?,
        // Without a NameID nobody can name the person in a logout.
        logout_name: checked.name_id().map(logout_name).unwrap_or_default(),
        idp_session: checked.session_index().map(str::to_owned),
        authenticated_at: Some(checked.authenticated_at()),
        ends_at: checked.session_ends_at(),
    })
}

/// Everything but `sub`.
fn claims(parties: &Parties<'_>, checked: &Checked) -> Map<String, Value> {
    let mut claims = of_attributes(checked.attributes());
    let mut own = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            claims.insert(name.to_owned(), list([value]));
        }
    };
    own("iss", Some(parties.idp_entity_id));
    own("acr", checked.acr());
    own("session_index", checked.session_index());
    if let Some(name) = checked.name_id() {
        own("name_id", Some(&name.value));
        own("name_id_format", name.format.as_deref());
        own("name_id_qualifier", name.name_qualifier.as_deref());
        own("name_id_sp_qualifier", name.sp_name_qualifier.as_deref());
        own("name_id_sp_provided", name.sp_provided_id.as_deref());
    }
    if !checked.authorities().is_empty() {
        let authorities = list(checked.authorities().iter().map(String::as_str));
        claims.insert("authenticating_authority".to_owned(), authorities);
    }
    // SAML Core 8.3.2: then the NameID is an address. F1 judges it like one from an attribute.
    let named_by_email = checked.name_id().filter(|name| has_format(name, "emailAddress"));
    if let Some(name) = named_by_email
        && !["email", "mail"].iter().any(|claim| claims.contains_key(*claim))
        && EmailAddress::parse(&name.value).is_ok()
    {
        claims.insert("email".to_owned(), list([name.value.as_str()]));
    }
    claims
}

/// The attributes' values by the rules above.
fn of_attributes(attributes: &[Attribute]) -> Map<String, Value> {
    let mut sent: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for attribute in attributes.iter().filter(|one| !is_reserved(&one.name)) {
        let values = sent.entry(&attribute.name).or_default();
        values.extend(attribute.values.iter().map(String::as_str));
        if let Some(label) = attribute.friendly_name.as_deref().filter(|label| !is_known(label)) {
            labels.entry(label).or_default().insert(&attribute.name);
        }
    }
    let own = sent.iter().map(|(name, values)| (*name, values));
    let aliased = ALIASES
        .iter()
        .filter_map(|(claim, names)| Some((*claim, names.iter().find_map(|name| sent.get(name))?)));
    let labelled = labels.iter().filter_map(|(label, names)| {
        let only = names.first().filter(|_| names.len() == 1)?;
        Some((*label, sent.get(only)?))
    });
    let mut claims = Map::new();
    for (claim, values) in own.chain(aliased).chain(labelled) {
        claims.entry(claim).or_insert_with(|| list(values.iter().copied()));
    }
    claims
}

/// Values in the order in which they were sent, each once. An empty one, which is how some providers write that
/// there is none, says nothing.
fn list<'v>(values: impl IntoIterator<Item = &'v str>) -> Value {
    let mut seen = BTreeSet::new();
    let said = values.into_iter().filter(|value| !value.trim().is_empty());
    said.filter(|value| seen.insert(*value)).map(Value::from).collect()
}

fn subject(parties: &Parties<'_>, name: Option<&NameId>, claims: &Claims) -> Result<Subject, AttributeError> {
    let text = match parties.subject_claim {
        None | Some("sub") => by_name_id(parties, name)?,
        // The same NameID without what qualifies it, and no less transient.
        Some("name_id") => {
            let name = name.ok_or(AttributeError::NameIdMissing)?;
            lasting(name)?;
            as_asked(parties, name)?;
            name.value.clone()
        }
        Some(claim) => by_claim(claim, claims)?,
    };
    Subject::parse(&text).ok_or(AttributeError::SubjectMalformed)
}

fn by_claim(claim: &str, claims: &Claims) -> Result<String, AttributeError> {
    let claim_name = || claim.to_owned();
    if is_reserved(claim) {
        return Err(AttributeError::SubjectClaimUnfit { claim: claim_name() });
    }
    let values = claims.values(claim).unwrap_or_default();
    match values.as_slice() {
        [] => Err(AttributeError::SubjectClaimMissing { claim: claim_name() }),
        [one] => Ok(one.clone()),
        // SECURITY: the first value counts where one is wanted, but not here: the order of values is nobody's
        // promise, and another order would be another person.
        several => Err(AttributeError::SubjectClaimAmbiguous { claim: claim_name(), found: several.len() }),
    }
}

/// SAML Core 2.2.2, 8.3.7: a NameID is unique within the name space of its qualifiers. Absent, they are the
/// identity provider and us; written out, the same two change nothing. Another name space (an affiliation's, or
/// that of the provider behind the provider) is part of the subject.
///
/// SECURITY: no two NameIDs give one subject. A plain value has no `!`; the long form is three parts between
/// `!`, in which `!` and `%` are written otherwise.
fn by_name_id(parties: &Parties<'_>, name: Option<&NameId>) -> Result<String, AttributeError> {
    let name = name.ok_or(AttributeError::NameIdMissing)?;
    lasting(name)?;
    as_asked(parties, name)?;
    let qualifier = name.name_qualifier.as_deref().unwrap_or(parties.idp_entity_id);
    let sp_qualifier = name.sp_name_qualifier.as_deref().unwrap_or(parties.entity_id);
    let own = qualifier == parties.idp_entity_id && sp_qualifier == parties.entity_id;
    if own && !name.value.contains('!') {
        return Ok(name.value.clone());
    }
    Ok([qualifier, sp_qualifier, &name.value]
        .map(|part| part.replace('%', "%25").replace('!', "%21"))
        .join("!"))
}

/// F8: whether the NameID will be the same next time.
fn lasting(name: &NameId) -> Result<(), AttributeError> {
    if has_format(name, "transient") {
        return Err(AttributeError::TransientSubject);
    }
    // SAML Core 8.3.6: names a party, and narthex signs in people.
    if has_format(name, "entity") || has_format(name, "encrypted") {
        let format = name.format.as_deref().unwrap_or_default();
        return Err(AttributeError::SubjectFormatUnfit(shown(format)));
    }
    Ok(())
}

/// SAML Core 3.4.1.1: what was asked for is what is sent, unless that was `unspecified`.
///
/// SECURITY: the request passes through the person's hands and need not be signed. Who has another format put into it
/// gets a name of another kind, which they may be free to choose: an e-mail address of somebody as their user name.
fn as_asked(parties: &Parties<'_>, name: &NameId) -> Result<(), AttributeError> {
    let Some(asked) = parties.name_id_format else { return Ok(()) };
    let kind = |format: &str| {
        let own = format.strip_prefix("urn:oasis:names:tc:SAML:").and_then(|own| own.split_once(':'));
        own.map_or_else(|| format.to_owned(), |(_, kind)| kind.to_ascii_lowercase())
    };
    let sent = name.format.as_deref().unwrap_or(UNSPECIFIED);
    if kind(asked) == kind(UNSPECIFIED) || kind(asked) == kind(sent) {
        return Ok(());
    }
    Err(AttributeError::SubjectFormatMismatch { expected: asked.to_owned(), found: shown(sent) })
}

/// Whether the NameID is of this one of SAML's formats, whichever version of SAML the sender takes it for.
fn has_format(name: &NameId, format: &str) -> bool {
    let own = name.format.as_deref().and_then(|uri| uri.strip_prefix("urn:oasis:names:tc:SAML:"));
    let found = own.and_then(|rest| rest.split_once(":nameid-format:")).map(|(_, found)| found);
    found.is_some_and(|found| found.eq_ignore_ascii_case(format))
}
