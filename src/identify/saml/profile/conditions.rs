//! Under which conditions the assertion holds: its time and its audience.

use super::error::ProfileError;
use super::step::Trail;
use super::{Expected, overdue, seconds};
use crate::identify::saml::assertion::{Assertion, Conditions};
use crate::identify::shown::shown;
use crate::model::UnixTime;

/// SAML Core 2.5; SAML Profiles 4.1.4.2.
pub(super) fn check(
    trail: &mut Trail,
    expected: &Expected<'_>,
    assertion: &Assertion,
    held: &Conditions,
) -> Result<(), ProfileError> {
    let skew = seconds(expected.skew);
    // SAML Core 2.5.1.2: NotBefore is earlier than NotOnOrAfter.
    let text = |time: Option<UnixTime>| time.map_or_else(|| "none".to_owned(), |time| time.to_string());
    let outcome = match (held.not_before, held.not_on_or_after) {
        (Some(begin), Some(end)) if begin >= end => Err(ProfileError::ConditionsContradict {
            not_before: begin.to_string(),
            not_on_or_after: end.to_string(),
        }),
        (Some(begin), _) if begin > expected.now.after(expected.skew) => {
            Err(ProfileError::NotYetValid { by: begin.0.saturating_sub(expected.now.0), skew })
        }
        _ => Ok(()),
    };
    let wanted = format!("at most {skew} s after {}", expected.now);
    trail.step(("NotBefore", "SAML Core 2.5.1.2"), wanted, text(held.not_before), outcome)?;

    let outcome = match held.not_on_or_after.and_then(|end| overdue(end, expected)) {
        Some(by) => {
            let age = expected.now.0.saturating_sub(assertion.issued_at.0).max(0);
            Err(ProfileError::Expired { by, skew, age })
        }
        None => Ok(()),
    };
    let wanted = format!("later than {}, by {skew} s at most", expected.now);
    trail.step(("NotOnOrAfter", "SAML Core 2.5.1.2"), wanted, text(held.not_on_or_after), outcome)?;

    // SAML Core 2.5.1.4: one of the audiences of each restriction. SAML Profiles 4.1.4.2: there must be one.
    let own = expected.entity_id;
    let unmet = held.audience_restrictions.iter().find(|audiences| !audiences.iter().any(|one| one == own));
    let named = held.audience_restrictions.iter().flatten().map(String::as_str).collect::<Vec<_>>();
    let outcome = match unmet {
        Some(audiences) => Err(ProfileError::AudienceMismatch {
            expected: own.to_owned(),
            found: shown(&audiences.join(" ")),
        }),
        None if named.is_empty() => Err(ProfileError::AudienceMissing { expected: own.to_owned() }),
        None => Ok(()),
    };
    let source = "SAML Core 2.5.1.4; SAML Profiles 4.1.4.2";
    trail.step(("Audience", source), own, shown(&named.join(" ")), outcome)?;

    // SAML Core 2.5.1.5: narthex keeps no assertion and uses each once (see `Replay`).
    let found = if held.one_time_use { "OneTimeUse" } else { "none" };
    trail.step(("OneTimeUse", "SAML Core 2.5.1.5"), "used once in any case", found, Ok(()))?;

    // SAML Core 2.5.1.1; SAML Profiles 4.1.4.2: each must be understood.
    let outcome = match held.unknown.first() {
        Some(_) => Err(ProfileError::UnknownCondition(shown(&held.unknown.join(" ")))),
        None => Ok(()),
    };
    let found = if held.unknown.is_empty() { "none".to_owned() } else { shown(&held.unknown.join(" ")) };
    trail.step(("further conditions", "SAML Core 2.5.1.1"), "none", found, outcome)
}
