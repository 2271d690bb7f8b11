//! From a verified identity to the account it should have, by rule number: a pure function.

use serde::{Deserialize, Serialize};

use crate::config::settings::Provisioning;
use crate::model::invite::InviteId;
use crate::model::{Entitlements, Facet, Identity, Member};

use super::ProvisionError;
use super::attributes::{self, AttributeOrigin, WantedProfile};
use super::connector::Features;
use super::eligibility::{self, Authority, IdentityEmail};
use super::entitle::{self, Entitled, SkipReason, Strictness};
use super::invites::{Invited, is_external_guest};
use super::names::Names;

/// Everything that a decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub identity: &'a Identity,
    pub settings: &'a Provisioning,
    pub authority: &'a Authority,
    pub features: &'a Features,
    pub names: &'a Names,
    /// Whose account is there already.
    pub member: Option<&'a Member>,
    /// F6: at a first login only.
    pub invited: Option<&'a Invited>,
}

/// What becomes of an identity. `explain` prints exactly these values.
#[derive(Debug, Clone)]
pub enum Decision {
    Refuse(ProvisionError),
    Proceed(Box<Resolved>),
}

/// An identity that may come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    pub email: Option<IdentityEmail>,
    /// For a first login; under `sync = "create_only"` a member's account is left as it is (L1).
    pub wanted: Option<Wanted>,
    /// What the identity provider gives, for the session (L2).
    pub session: Entitled,
    /// L3: the profile of a member's account, where it is synced and the identity provider says enough of it.
    pub profile: Option<WantedProfile>,
    /// F6: the invite that this rests on, to be consumed as just this revision.
    #[serde(default)]
    pub invited: Option<(InviteId, i64)>,
}

/// The account that a first login should end with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    pub email: Option<IdentityEmail>,
    pub profile: WantedProfile,
    pub entitled: Entitled,
}

impl Wanted {
    /// As the application would hold them.
    #[must_use]
    pub fn entitlements(&self) -> Entitlements {
        self.entitled.entitlements(None)
    }

    /// Whether a name was asked for that the application's lists do not have, so that they may be old.
    #[must_use]
    pub fn names_missing(&self) -> bool {
        names_missing(&self.entitled)
    }
}

/// See [`Wanted::names_missing`].
#[must_use]
pub fn names_missing(entitled: &Entitled) -> bool {
    !entitled.teams_to_create.is_empty()
        || entitled.skipped.iter().any(|skipped| skipped.why == SkipReason::Absent)
}

/// The rules in their order; the first refusal ends it.
#[must_use]
pub fn resolve(question: &Question<'_>) -> Decision {
    match proceed(question) {
        Ok(resolved) => Decision::Proceed(Box::new(resolved)),
        Err(error) => Decision::Refuse(error),
    }
}

fn proceed(question: &Question<'_>) -> Result<Resolved, ProvisionError> {
    let Question { identity, settings, authority, features, names, member, invited } = *question;
    let external = is_external_guest(settings, invited, member);
    let email = eligibility::admit_guest(identity, settings, authority, external)?;
    let wanted = match member {
        Some(_) => None,
        None => Some(Wanted {
            email: email.clone(),
            profile: profile_within_authority(question)?,
            entitled: entitle::entitled(
                identity,
                settings,
                features,
                names,
                Strictness::FirstLogin(invited),
            )?,
        }),
    };
    let session = entitle::entitled(identity, settings, features, names, Strictness::LaterLogin)?;
    let synced = member.is_some() && settings.lifecycle.sync.contains(&Facet::Profile);
    // F2 refuses first sign-ins; a later one leaves the profile as it is.
    let profile = if synced { profile_within_authority(question).ok() } else { None };
    let invited = invited.map(|invited| (invited.id, invited.revision));
    Ok(Resolved { email, wanted, session, profile, invited })
}

/// F2, and F1 once more for the e-mail that the account gets: a recipe or a template may take it from other
/// claims than those that count as the identity's e-mail. A constant is the administrator's own word.
fn profile_within_authority(question: &Question<'_>) -> Result<WantedProfile, ProvisionError> {
    let Question { identity, settings, authority, features, .. } = *question;
    let wanted = attributes::profile(identity, settings, features)?;
    let said_by_the_provider = !matches!(wanted.origins.get("email"), None | Some(AttributeOrigin::Constant));
    if said_by_the_provider && let Some(text) = &wanted.profile.email {
        eligibility::within_authority(identity, authority, text)?;
    }
    Ok(wanted)
}
