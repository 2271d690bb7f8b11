//! The request of the browser that brought the response, and whether the response answers it.

use std::time::Duration;

use subtle::ConstantTimeEq;

use super::error::ProfileError;
use super::step::Trail;
use super::{Unbound, seconds};
use crate::identify::saml::assertion::AuthnStatement;
use crate::identify::shown::shown;
use crate::model::UnixTime;

/// The AuthnRequest that a browser went away with.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub id: &'a str,
    pub begun_at: UnixTime,
    pub force_authn: bool,
    /// The context classes asked for, with `Comparison="exact"`. Empty: none was asked for.
    pub context_classes: &'a [String],
}

/// Gives the statement that answers the request.
pub(super) fn check<'u>(
    trail: &mut Trail,
    unbound: &'u Unbound,
    request: Option<&Request<'_>>,
    skew: Duration,
) -> Result<&'u AuthnStatement, ProfileError> {
    // SAML Profiles 4.1.4.3. SECURITY: or anybody could sign a victim's browser in as themselves.
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
    trail.step(("InResponseTo of the browser", "SAML Profiles 4.1.4.3"), wanted, found, outcome)?;

    let mut fitting: Vec<&AuthnStatement> = unbound.authn_statements.iter().collect();
    if let Some(request) = request {
        answers(trail, unbound, request, skew, &mut fitting)?;
    }
    // `check_unbound` lets no assertion pass without one.
    fitting.into_iter().next().ok_or(ProfileError::AuthnStatementMissing)
}

/// What the request asked for; leaves the statements that meet it.
fn answers(
    trail: &mut Trail,
    unbound: &Unbound,
    request: &Request<'_>,
    skew: Duration,
    fitting: &mut Vec<&AuthnStatement>,
) -> Result<(), ProfileError> {
    // SECURITY: it names the request, whose ID nobody knew before; an honest one is not older than it.
    let begun_at = request.begun_at.before(skew);
    let outcome = if unbound.issued_at < begun_at {
        let by = request.begun_at.0.saturating_sub(unbound.issued_at.0);
        Err(ProfileError::IssuedBeforeRequest { by, skew: seconds(skew) })
    } else {
        Ok(())
    };
    let wanted = format!("{begun_at} or later");
    let rule = ("IssueInstant after the request", "SAML Core 2.3.3");
    trail.step(rule, wanted.clone(), unbound.issued_at.to_string(), outcome)?;

    if !request.context_classes.is_empty() {
        let asked = request.context_classes;
        let classes: Vec<&str> = fitting.iter().filter_map(|one| one.context_class.as_deref()).collect();
        let found = shown(&classes.join(" "));
        fitting.retain(|one| one.context_class.as_ref().is_some_and(|class| asked.contains(class)));
        let outcome = if fitting.is_empty() {
            Err(ProfileError::AuthnContextMismatch { expected: asked.join(" "), found: found.clone() })
        } else {
            Ok(())
        };
        // SAML Core 3.3.2.2.1: `exact`.
        trail.step(("AuthnContextClassRef", "SAML Core 3.3.2.2.1"), asked.join(" "), found, outcome)?;
    }
    if request.force_authn {
        let latest = fitting.iter().map(|one| one.authenticated_at).max().unwrap_or_default();
        fitting.retain(|one| one.authenticated_at >= begun_at);
        let outcome = if fitting.is_empty() {
            let by = request.begun_at.0.saturating_sub(latest.0);
            Err(ProfileError::NotAuthenticatedAnew { by })
        } else {
            Ok(())
        };
        // SAML Core 3.4.1 (ForceAuthn).
        let rule = ("AuthnInstant after the request", "SAML Core 3.4.1");
        trail.step(rule, wanted, latest.to_string(), outcome)?;
    }
    Ok(())
}
