//! The Web Browser SSO profile (SAML Profiles 4.1): what must hold of a response and its assertion, in a fixed
//! order, before the person in it is believed.
//!
//! The identity provider's POST is cross-site and comes without our cookies, so there are two halves:
//! [`check_unbound`] is everything that needs no browser; what it gives is parked, and [`check_bound`] matches
//! it to the request of the browser that comes back for it. What neither has looked at does not exist.

mod authentication;
mod clocks;
mod conditions;
mod confirmation;
pub mod error;
pub mod place;
pub mod replay;
pub mod request;
pub mod step;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::confirmation::Confirmed;
pub use self::error::ProfileError;
pub use self::replay::Replay;
pub use self::request::{Asked, Request};
pub use self::step::Step;
use self::step::{Rule, Trail};
use super::assertion::{AssertedSubject, Assertion, Attribute, AuthnStatement, Issuer, NameId, ResponseHead};
use crate::identify::shown::shown;
use crate::model::{Fault, UnixTime};
use serde::{Deserialize, Serialize};

/// How long ago a response may have been issued, at most: the profile leaves it open, and a browser hands it
/// on at once.
pub const MAX_AGE: Duration = Duration::from_mins(10);

const ENTITY: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity";

/// What one identity provider's responses must say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Our own entity ID: the audience.
    pub entity_id: &'a str,
    /// Our assertion consumer service for this identity provider.
    pub acs_url: &'a str,
    pub idp_entity_id: &'a str,
    /// Whether a response to no request may sign in (`allow_idp_initiated`).
    pub allow_unsolicited: bool,
    /// Whether a signature covers the response itself.
    pub response_signed: bool,
    pub now: UnixTime,
    /// Tolerated clock difference.
    pub skew: Duration,
    /// [`MAX_AGE`], unless the configuration says otherwise.
    pub max_age: Duration,
}

/// A refusal, with every check up to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Refused {
    pub error: ProfileError,
    pub steps: Vec<Step>,
}

impl Refused {
    /// See [`ProfileError::code`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.error.code()
    }

    /// See [`ProfileError::fault`].
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.error.fault()
    }
}

/// An assertion of which everything holds that can be told without the browser. Worth nothing until
/// [`check_bound`] has matched it to one; it may be kept for that moment, sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unbound {
    in_response_to: Option<String>,
    issued_at: UnixTime,
    replay: Replay,
    name_id: Option<NameId>,
    attributes: Vec<Attribute>,
    authn_statements: Vec<AuthnStatement>,
    session_ends_at: Option<UnixTime>,
    steps: Vec<Step>,
}

impl Unbound {
    /// The request that it answers; `None` for a sign-in that the identity provider began.
    #[must_use]
    pub fn in_response_to(&self) -> Option<&str> {
        self.in_response_to.as_deref()
    }

    /// What to remember, so that the assertion is taken once.
    #[must_use]
    pub fn replay(&self) -> &Replay {
        &self.replay
    }
}

/// An assertion of which everything holds. Made by [`check_bound`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    name_id: Option<NameId>,
    attributes: Vec<Attribute>,
    authenticated_at: UnixTime,
    acr: Option<String>,
    session_index: Option<String>,
    session_ends_at: Option<UnixTime>,
    authorities: Vec<String>,
    steps: Vec<Step>,
}

impl Checked {
    /// For tests of what follows.
    #[cfg(test)]
    pub(super) fn for_tests(name_id: Option<NameId>, attributes: Vec<Attribute>) -> Self {
        Self {
            name_id,
            attributes,
            authenticated_at: UnixTime(1_800_000_000),
            acr: Some("urn:oasis:names:tc:SAML:2.0:ac:classes:Password".to_owned()),
            session_index: Some("_s1".to_owned()),
            session_ends_at: None,
            authorities: vec!["https://behind.example".to_owned()],
            steps: Vec::new(),
        }
    }

    /// Who it is about, where the identity provider named them.
    #[must_use]
    pub fn name_id(&self) -> Option<&NameId> {
        self.name_id.as_ref()
    }

    #[must_use]
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    #[must_use]
    pub fn authenticated_at(&self) -> UnixTime {
        self.authenticated_at
    }

    /// The authentication context class (or declaration) by which the person authenticated.
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.acr.as_deref()
    }

    /// The session at the identity provider, for single logout.
    #[must_use]
    pub fn session_index(&self) -> Option<&str> {
        self.session_index.as_deref()
    }

    /// When a session of ours must be over at the latest (SAML Core 2.7.2, SAML Profiles 4.1.4.3).
    #[must_use]
    pub fn session_ends_at(&self) -> Option<UnixTime> {
        self.session_ends_at
    }

    /// Who authenticated the person on behalf of the identity provider (SAML Core 2.7.2.2), if it says so.
    #[must_use]
    pub fn authorities(&self) -> &[String] {
        &self.authorities
    }

    /// The checks in their order, all of which passed.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// What the response says of itself. Part of [`check_unbound`]; by itself for a response without assertion,
/// which is how an identity provider says no.
///
/// # Errors
/// The first check that failed.
pub fn check_response(expected: &Expected<'_>, head: &ResponseHead) -> Result<(), Refused> {
    let mut trail = Trail::default();
    response(&mut trail, expected, head).map_err(|error| Refused { error, steps: trail.0 })
}

/// Everything that can be told of a response and the assertion in it without the browser.
///
/// # Errors
/// The first check that failed, and those before it.
pub fn check_unbound(
    expected: &Expected<'_>,
    head: &ResponseHead,
    assertion: &Assertion,
) -> Result<Unbound, Refused> {
    let mut trail = Trail::default();
    match unbound(&mut trail, expected, head, assertion) {
        Ok(unbound) => Ok(Unbound { steps: trail.0, ..unbound }),
        Err(error) => Err(Refused { error, steps: trail.0 }),
    }
}

/// Matches an assertion to the request of the browser that brought it back, and to what was asked for.
///
/// # Errors
/// The first check that failed, and all before it.
pub fn check_bound(unbound: Unbound, asked: &Asked<'_>) -> Result<Checked, Refused> {
    let mut trail = Trail(unbound.steps.clone());
    let statement = match request::check(&mut trail, &unbound, asked) {
        Ok(statement) => statement.clone(),
        Err(error) => return Err(Refused { error, steps: trail.0 }),
    };
    let indexes = unbound.authn_statements.iter().filter_map(|one| one.session_index.clone());
    Ok(Checked {
        session_index: statement.session_index.clone().or_else(|| indexes.into_iter().next()),
        name_id: unbound.name_id,
        attributes: unbound.attributes,
        authenticated_at: statement.authenticated_at,
        acr: statement.context_class.or(statement.context_declaration),
        session_ends_at: unbound.session_ends_at,
        authorities: statement.authorities,
        steps: trail.0,
    })
}

fn response(trail: &mut Trail, expected: &Expected<'_>, head: &ResponseHead) -> Result<(), ProfileError> {
    version(trail, ("response's Version", "SAML Core 3.2.2"), &head.version, ProfileError::ResponseVersion)?;

    let outcome = if head.status.is_success() {
        Ok(())
    } else {
        Err(ProfileError::StatusNotSuccess(head.status.clone()))
    };
    trail.step(("Status", "SAML Core 3.2.2.2"), "Success", head.status.short(), outcome)?;

    // Where the response is not signed, it may be absent; where it is there, it counts (SAML Core 3.2.2).
    let (found, outcome) = match &head.destination {
        Some(destination) => (
            shown(destination),
            place::compare(expected.acs_url, destination).map_err(ProfileError::DestinationMismatch),
        ),
        None if expected.response_signed => (
            "none".to_owned(),
            Err(ProfileError::DestinationMissing { expected: expected.acs_url.to_owned() }),
        ),
        None => ("none, and the response is not signed".to_owned(), Ok(())),
    };
    trail.step(("Destination", "SAML Bindings 3.5.5.2"), expected.acs_url, found, outcome)?;

    if let Some(found) = &head.issuer {
        let rule = ("response's Issuer", "SAML Profiles 4.1.4.2");
        let mismatch = |expected, found| ProfileError::ResponseIssuerMismatch { expected, found };
        issuer(trail, rule, expected, found, mismatch, ProfileError::ResponseIssuerFormat)?;
    }
    issued_at(
        trail,
        ("response's IssueInstant", "SAML Core 3.2.2"),
        expected,
        head.issued_at,
        |by, skew| ProfileError::ResponseIssuedInFuture { by, skew },
        |age, limit| ProfileError::ResponseTooOld { age, limit },
    )
}

fn unbound(
    trail: &mut Trail,
    expected: &Expected<'_>,
    head: &ResponseHead,
    assertion: &Assertion,
) -> Result<Unbound, ProfileError> {
    response(trail, expected, head)?;

    let rule = ("assertion's Version", "SAML Core 2.3.3");
    version(trail, rule, &assertion.version, ProfileError::AssertionVersion)?;
    let rule = ("assertion's Issuer", "SAML Profiles 4.1.4.2");
    let mismatch = |expected, found| ProfileError::IssuerMismatch { expected, found };
    issuer(trail, rule, expected, &assertion.issuer, mismatch, ProfileError::IssuerFormat)?;
    issued_at(
        trail,
        ("assertion's IssueInstant", "SAML Core 2.3.3"),
        expected,
        assertion.issued_at,
        |by, skew| ProfileError::IssuedInFuture { by, skew },
        |age, limit| ProfileError::TooOld { age, limit },
    )?;

    let subject = assertion.subject.as_ref().ok_or(ProfileError::SubjectMissing);
    let found = subject.as_ref().map_or("none".to_owned(), |subject| kind(subject));
    let subject = trail.step(("Subject", "SAML Profiles 4.1.4.2"), "a Subject", found, subject)?;
    let Confirmed { in_response_to } =
        confirmation::check(trail, expected, head.in_response_to.as_deref(), assertion, subject)?;

    let conditions = assertion.conditions.as_ref().ok_or(ProfileError::ConditionsMissing);
    let found = if conditions.is_ok() { "Conditions" } else { "none" };
    let conditions = trail.step(("Conditions", "SAML Profiles 4.1.4.2"), "Conditions", found, conditions)?;
    conditions::check(trail, expected, assertion, conditions)?;
    let session_ends_at = authentication::check(trail, expected, &assertion.authn_statements)?;

    // SECURITY: of every confirmation. Another one than today's may hold longer, and would let the assertion pass
    // again once it is forgotten.
    let confirmations = subject.confirmations.iter().filter_map(|one| one.data.as_ref()?.not_on_or_after);
    let ends: Vec<UnixTime> = conditions.not_on_or_after.into_iter().chain(confirmations).collect();
    Ok(Unbound {
        in_response_to,
        issued_at: assertion.issued_at,
        replay: Replay::new(&assertion.issuer.value, &assertion.id, &ends, expected),
        name_id: subject.name_id.clone(),
        attributes: assertion.attributes.clone(),
        authn_statements: assertion.authn_statements.clone(),
        session_ends_at,
        steps: Vec::new(),
    })
}

fn version(
    trail: &mut Trail,
    rule: Rule,
    found: &str,
    error: impl FnOnce(String) -> ProfileError,
) -> Result<(), ProfileError> {
    let outcome = if found == "2.0" { Ok(()) } else { Err(error(shown(found))) };
    trail.step(rule, "2.0", shown(found), outcome)
}

/// SAML Core 2.2.5, 8.3.6; SAML Profiles 4.1.4.2: the identity provider's entity ID, and said to be one or not
/// said to be anything.
fn issuer(
    trail: &mut Trail,
    rule: Rule,
    expected: &Expected<'_>,
    found: &Issuer,
    mismatch: impl FnOnce(String, String) -> ProfileError,
    format: impl FnOnce(String) -> ProfileError,
) -> Result<(), ProfileError> {
    let outcome = match &found.format {
        Some(other) if other != ENTITY => Err(format(shown(other))),
        _ if found.value != expected.idp_entity_id => {
            Err(mismatch(expected.idp_entity_id.to_owned(), shown(&found.value)))
        }
        _ => Ok(()),
    };
    trail.step(rule, expected.idp_entity_id, shown(&found.value), outcome)
}

/// SECURITY: the schema wants the time and no rule says what to make of it. Neither a message of the future nor
/// one that was kept for long is what a browser brings from its sign-in.
fn issued_at(
    trail: &mut Trail,
    rule: Rule,
    expected: &Expected<'_>,
    found: UnixTime,
    in_future: impl FnOnce(i64, i64) -> ProfileError,
    too_old: impl FnOnce(i64, i64) -> ProfileError,
) -> Result<(), ProfileError> {
    let (skew, limit) = (seconds(expected.skew), seconds(expected.max_age));
    let age = expected.now.0.saturating_sub(found.0);
    let outcome = if age < -skew {
        Err(in_future(-age, skew))
    } else if age > limit.saturating_add(skew) {
        Err(too_old(age, limit))
    } else {
        Ok(())
    };
    let wanted = format!("within {limit} s before {}, or {skew} s to either side", expected.now);
    trail.step(rule, wanted, found.to_string(), outcome)
}

/// The kind of the subject's name. Personal itself, so never shown.
fn kind(subject: &AssertedSubject) -> String {
    match &subject.name_id {
        Some(NameId { format: Some(format), .. }) => format!("a NameID of format {}", shown(format)),
        Some(NameId { format: None, .. }) => "a NameID without format".to_owned(),
        None => "a Subject without NameID".to_owned(),
    }
}

/// Seconds since `end`, where it has passed by more than the skew.
fn overdue(end: UnixTime, expected: &Expected<'_>) -> Option<i64> {
    (expected.now >= end.after(expected.skew)).then(|| expected.now.0.saturating_sub(end.0))
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
