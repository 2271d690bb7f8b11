//! What was asked for, by which request of the browser that brought the response, and whether it was met.

use std::time::Duration;

use subtle::ConstantTimeEq;

use super::error::ProfileError;
use super::step::Trail;
use super::{MAX_AGE, Unbound, seconds};
use crate::identify::saml::assertion::AuthnStatement;
use crate::identify::shown::shown;
use crate::model::UnixTime;

/// What a sign-in must meet, as far as only the browser and the configuration tell.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// `None`: this browser has no login in flight, which only a sign-in without request may have.
    pub request: Option<Request<'a>>,
    /// The person must have authenticated for this very sign-in (`ForceAuthn`).
    pub force_authn: bool,
    /// The context classes asked for, with `Comparison="exact"`. Empty: any will do.
    pub context_classes: &'a [String],
    /// Tolerated clock difference.
    pub skew: Duration,
}

/// The AuthnRequest that a browser went away with.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub id: &'a str,
    pub begun_at: UnixTime,
}

/// Gives the statement that meets everything.
pub(super) fn check<'u>(
    trail: &mut Trail,
    unbound: &'u Unbound,
    asked: &Asked<'_>,
) -> Result<&'u AuthnStatement, ProfileError> {
    same_request(trail, unbound, asked.request.as_ref())?;
    if let Some(request) = &asked.request {
        issued_after(trail, unbound, request, asked.skew)?;
    }
    // SECURITY: from here on whether or not there was a request, or a sign-in that the identity provider begins
    // would be the way round what every other one must meet.
    let mut fitting: Vec<&AuthnStatement> = unbound.authn_statements.iter().collect();
    if !asked.context_classes.is_empty() {
        of_context(trail, asked.context_classes, &mut fitting)?;
    }
    if asked.force_authn {
        anew(trail, unbound, asked, &mut fitting)?;
    }
    // `check_unbound` lets no assertion pass without one.
    fitting.into_iter().next().ok_or(ProfileError::AuthnStatementMissing)
}

/// SAML Profiles 4.1.4.3. SECURITY: or anybody could sign a victim's browser in as themselves.
fn same_request(
    trail: &mut Trail,
    unbound: &Unbound,
    request: Option<&Request<'_>>,
) -> Result<(), ProfileError> {
    let (wanted, outcome) = match (request, unbound.in_response_to()) {
        (None, None) => ("no request", Ok(())),
        (None, Some(_)) => ("no request", Err(ProfileError::AnswerToNobody)),
        (Some(_), None) => ("the request of this browser", Err(ProfileError::AnswersNoRequest)),
        (Some(request), Some(id)) => {
            let same: bool = request.id.as_bytes().ct_eq(id.as_bytes()).into();
            let outcome = if same { Ok(()) } else { Err(ProfileError::InResponseToMismatch) };
            ("the request of this browser", outcome)
        }
    };
    let found = match (unbound.in_response_to(), &outcome) {
        (None, _) => "no request",
        (Some(_), Ok(())) => "the request of this browser",
        (Some(_), Err(_)) => "another request",
    };
    trail.step(("InResponseTo of the browser", "SAML Profiles 4.1.4.3"), wanted, found, outcome)
}

/// SECURITY: it names the request, whose ID nobody knew before; an honest one is not older than it.
fn issued_after(
    trail: &mut Trail,
    unbound: &Unbound,
    request: &Request<'_>,
    skew: Duration,
) -> Result<(), ProfileError> {
    let earliest = request.begun_at.before(skew);
    let outcome = if unbound.issued_at < earliest {
        let by = request.begun_at.0.saturating_sub(unbound.issued_at.0);
        Err(ProfileError::IssuedBeforeRequest { by, skew: seconds(skew) })
    } else {
        Ok(())
    };
    let rule = ("IssueInstant after the request", "SAML Core 2.3.3");
    trail.step(rule, format!("{earliest} or later"), unbound.issued_at.to_string(), outcome)
}

/// SAML Core 3.3.2.2.1: `exact`. A declaration answers for no class.
fn of_context(
    trail: &mut Trail,
    asked: &[String],
    fitting: &mut Vec<&AuthnStatement>,
) -> Result<(), ProfileError> {
    let classes: Vec<&str> = fitting.iter().filter_map(|one| one.context_class.as_deref()).collect();
    let (wanted, found) = (asked.join(" "), shown(&classes.join(" ")));
    fitting.retain(|one| one.context_class.as_ref().is_some_and(|class| asked.contains(class)));
    let outcome = if fitting.is_empty() {
        Err(ProfileError::AuthnContextMismatch { expected: wanted.clone(), found: found.clone() })
    } else {
        Ok(())
    };
    trail.step(("AuthnContextClassRef", "SAML Core 3.3.2.2.1"), wanted, found, outcome)
}

/// SAML Core 3.4.1 (`ForceAuthn`): since the request, or for a sign-in without one just before the assertion.
fn anew(
    trail: &mut Trail,
    unbound: &Unbound,
    asked: &Asked<'_>,
    fitting: &mut Vec<&AuthnStatement>,
) -> Result<(), ProfileError> {
    let since = asked.request.map_or(unbound.issued_at.before(MAX_AGE), |request| request.begun_at);
    let earliest = since.before(asked.skew);
    let latest = fitting.iter().map(|one| one.authenticated_at).max().unwrap_or_default();
    fitting.retain(|one| one.authenticated_at >= earliest);
    let outcome = if fitting.is_empty() {
        Err(ProfileError::NotAuthenticatedAnew { by: since.0.saturating_sub(latest.0) })
    } else {
        Ok(())
    };
    let rule = ("AuthnInstant after the request", "SAML Core 3.4.1");
    trail.step(rule, format!("{earliest} or later"), latest.to_string(), outcome)
}
