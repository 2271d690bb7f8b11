//! That the person authenticated, when, and how long their session at the identity provider lasts.

use super::error::ProfileError;
use super::step::Trail;
use super::{Expected, seconds};
use crate::identify::saml::assertion::AuthnStatement;
use crate::model::UnixTime;

/// SAML Core 2.7.2; gives the earliest end of the sessions at the identity provider.
pub(super) fn check(
    trail: &mut Trail,
    expected: &Expected<'_>,
    statements: &[AuthnStatement],
) -> Result<Option<UnixTime>, ProfileError> {
    let skew = seconds(expected.skew);
    let Some(latest) = statements.iter().map(|one| one.authenticated_at).max() else {
        let error = Err(ProfileError::AuthnStatementMissing);
        return trail.step(("AuthnStatement", "SAML Profiles 4.1.4.2"), "at least one", "none", error);
    };
    let found = format!("{} in number", statements.len());
    trail.step(("AuthnStatement", "SAML Profiles 4.1.4.2"), "at least one", found, Ok(()))?;

    // SECURITY: a time ahead would outlast every limit on the age of an authentication.
    let outcome = match latest.0.saturating_sub(expected.now.0) {
        by if by > skew => Err(ProfileError::AuthenticatedInFuture { by, skew }),
        _ => Ok(()),
    };
    let wanted = format!("at most {skew} s after {}", expected.now);
    trail.step(("AuthnInstant", "SAML Core 2.7.2"), wanted, latest.to_string(), outcome)?;

    // Without skew: a session that would end at once is none.
    let ends_at = statements.iter().filter_map(|one| one.session_ends_at).min();
    let outcome = match ends_at.map(|end| expected.now.0.saturating_sub(end.0)) {
        Some(by) if by >= 0 => Err(ProfileError::SessionOver { by }),
        _ => Ok(ends_at),
    };
    let found = ends_at.map_or_else(|| "none".to_owned(), |time| time.to_string());
    let wanted = format!("later than {}", expected.now);
    trail.step(("SessionNotOnOrAfter", "SAML Core 2.7.2; SAML Profiles 4.1.4.3"), wanted, found, outcome)
}
