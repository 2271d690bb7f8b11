//! Who may present the assertion: the bearer confirmation of the Web Browser SSO profile.

use super::error::ProfileError;
use super::step::Trail;
use super::{Expected, overdue, place, seconds};
use crate::identify::saml::assertion::{AssertedSubject, Assertion, Confirmation};
use crate::identify::shown::shown;

const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";

/// What the confirmation that holds says.
pub(super) struct Confirmed {
    /// The same in the response and in the confirmation.
    pub(super) in_response_to: Option<String>,
}

/// SAML Profiles 4.1.4.2: at least one bearer confirmation, all of whose conditions hold. Of several that do
/// not, the one that came furthest is told.
pub(super) fn check(
    trail: &mut Trail,
    expected: &Expected<'_>,
    in_response_to: Option<&str>,
    assertion: &Assertion,
    subject: &AssertedSubject,
) -> Result<Confirmed, ProfileError> {
    let methods: Vec<&str> = subject.confirmations.iter().map(|one| one.method.as_str()).collect();
    let found = shown(&methods.join(" "));
    let bearers: Vec<_> = subject.confirmations.iter().filter(|one| one.method == BEARER).collect();
    let outcome =
        if bearers.is_empty() { Err(ProfileError::BearerMissing { found: found.clone() }) } else { Ok(()) };
    trail.step(("SubjectConfirmation", "SAML Profiles 4.1.4.2"), BEARER, found, outcome)?;
    unsolicited(trail, expected, in_response_to, subject)?;
    let mut furthest = (Trail::default(), ProfileError::ConfirmationDataMissing);
    for bearer in bearers {
        let mut own = Trail::default();
        match one(&mut own, expected, in_response_to, assertion, bearer) {
            Ok(confirmed) => {
                trail.0.append(&mut own.0);
                return Ok(confirmed);
            }
            Err(error) if own.0.len() > furthest.0.0.len() => furthest = (own, error),
            Err(_) => {}
        }
    }
    trail.0.append(&mut furthest.0.0);
    Err(furthest.1)
}

/// SAML Profiles 4.1.5: an unsolicited response, and every confirmation in it, is without InResponseTo.
///
/// SECURITY: the answer to somebody's request never counts as unsolicited, or a stolen one could be brought
/// to a browser that began nothing.
fn unsolicited(
    trail: &mut Trail,
    expected: &Expected<'_>,
    in_response_to: Option<&str>,
    subject: &AssertedSubject,
) -> Result<(), ProfileError> {
    let rule = ("InResponseTo", "SAML Profiles 4.1.4.2, 4.1.5; SAML Core 3.2.2");
    if let Some(id) = in_response_to {
        return trail.step(rule, "a request of ours", shown(id), Ok(()));
    }
    let mut data = subject.confirmations.iter().filter_map(|one| one.data.as_ref());
    if let Some(id) = data.find_map(|data| data.in_response_to.as_deref()) {
        let error = ProfileError::InResponseToDiffers { response: String::new(), confirmation: shown(id) };
        return trail.step(rule, "the same in response and confirmation", shown(id), Err(error));
    }
    let wanted = if expected.allow_unsolicited { "a request of ours, or none" } else { "a request of ours" };
    let outcome = if expected.allow_unsolicited { Ok(()) } else { Err(ProfileError::Unsolicited) };
    trail.step(rule, wanted, "none", outcome)
}

fn one(
    trail: &mut Trail,
    expected: &Expected<'_>,
    in_response_to: Option<&str>,
    assertion: &Assertion,
    bearer: &Confirmation,
) -> Result<Confirmed, ProfileError> {
    let data = bearer.data.as_ref().ok_or(ProfileError::ConfirmationDataMissing);
    let found = if data.is_ok() { "SubjectConfirmationData" } else { "none" };
    let data = trail.step(
        ("SubjectConfirmationData", "SAML Profiles 4.1.4.2"),
        "SubjectConfirmationData",
        found,
        data,
    )?;
    // SAML Core 2.4.1.1: an identifier there is that of the party that may act for the subject. SECURITY:
    // narthex signs in who the assertion is about, not somebody who was empowered by them.
    let (found, outcome) = if bearer.names_another {
        ("another party", Err(ProfileError::ConfirmationForAnother))
    } else {
        ("the subject", Ok(()))
    };
    trail.step(("confirming party", "SAML Core 2.4.1.1"), "the subject", found, outcome)?;

    let (found, outcome) = match &data.recipient {
        None => {
            ("none".to_owned(), Err(ProfileError::RecipientMissing { expected: expected.acs_url.to_owned() }))
        }
        Some(recipient) => (
            shown(recipient),
            place::compare(expected.acs_url, recipient).map_err(ProfileError::RecipientMismatch),
        ),
    };
    trail.step(("Recipient", "SAML Profiles 4.1.4.2, 4.1.4.3"), expected.acs_url, found, outcome)?;

    let (found, outcome) = match data.not_before {
        Some(time) => (time.to_string(), Err(ProfileError::ConfirmationNotBefore)),
        None => ("none".to_owned(), Ok(())),
    };
    trail.step(("confirmation's NotBefore", "SAML Profiles 4.1.4.2"), "none", found, outcome)?;

    let rule = ("confirmation's NotOnOrAfter", "SAML Profiles 4.1.4.2, 4.1.4.3");
    let wanted = format!("later than {}, by {} s at most", expected.now, seconds(expected.skew));
    let ends_at = data.not_on_or_after.ok_or(ProfileError::ConfirmationEndMissing);
    let found = data.not_on_or_after.map_or_else(|| "none".to_owned(), |time| time.to_string());
    let ends_at = ends_at.and_then(|ends_at| match overdue(ends_at, expected) {
        None => Ok(()),
        Some(by) => {
            let age = expected.now.0.saturating_sub(assertion.issued_at.0).max(0);
            Err(ProfileError::ConfirmationExpired { by, skew: seconds(expected.skew), age })
        }
    });
    trail.step(rule, wanted, found, ends_at)?;

    // The address of the client (SAML Profiles 4.1.4.3) MAY be checked: behind the proxies of our time it is
    // another one than the identity provider sees.
    let confirmation = data.in_response_to.as_deref();
    let outcome = if confirmation == in_response_to {
        Ok(())
    } else {
        Err(ProfileError::InResponseToDiffers {
            response: shown(in_response_to.unwrap_or_default()),
            confirmation: shown(confirmation.unwrap_or_default()),
        })
    };
    trail.step(
        ("confirmation's InResponseTo", "SAML Profiles 4.1.4.2, 4.1.4.3"),
        shown(in_response_to.unwrap_or("none")),
        shown(confirmation.unwrap_or("none")),
        outcome,
    )?;
    Ok(Confirmed { in_response_to: confirmation.map(str::to_owned) })
}
