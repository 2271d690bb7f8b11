//! What an invite brings into a first login (PROVISIONING.md F6).

use std::collections::BTreeMap;

use super::provisioner::Core;
use super::{ProvisionError, Provisioner, eligibility};
use crate::config::settings::{Mode, Provisioning};
use crate::model::console::named_person;
use crate::model::invite::{Invite, InviteId};
use crate::model::{
    ConsolePerson, ConsoleRole, EmailAddress, Entitlements, Identity, Member, MemberId, MemberStatus, Origin,
};
use crate::observe::audit::{Entry, Event, Plain};
use crate::store::{Store, StoreError};

/// An invite that a first login may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invited {
    pub id: InviteId,
    /// The revision that was read; it is claimed as just this one.
    pub revision: i64,
    pub entitlements: Entitlements,
    /// The lowest role that those who had a hand in it have now; `None`: one has none any more, and the invite is worth
    /// nothing.
    pub inviter: Option<ConsoleRole>,
}

impl Invited {
    /// Whether it may still give what the application marks as privileged.
    #[must_use]
    pub fn may_be_privileged(&self) -> bool {
        self.inviter.is_some_and(ConsoleRole::may_grant_privileged)
    }
}

/// F1 holds unless `invite.allow_external`: then people who were invited, now or once, need not be of an allowed domain.
#[must_use]
pub fn is_external_guest(
    settings: &Provisioning,
    invited: Option<&Invited>,
    member: Option<&Member>,
) -> bool {
    let was_invited = member.is_some_and(|member| member.origin == Origin::Invite);
    settings.invite_allow_external && (invited.is_some() || was_invited)
}

/// Whose invites are always good: whoever has the machine, and whoever came in by the machine's bootstrap token.
#[must_use]
pub fn always_grantors() -> BTreeMap<String, ConsoleRole> {
    ["command line", "bootstrap"].map(|name| (name.to_owned(), ConsoleRole::Administrator)).into()
}

/// G6: whoever is blocked is so everywhere, the admin API included: by the identity, and by the address that they came
/// with, under whatever other identity.
///
/// # Errors
/// Where the store cannot be asked.
pub async fn is_blocked(store: &dyn Store, person: &ConsolePerson) -> Result<bool, StoreError> {
    if let Some(email) = &person.email
        && store.is_blocked_email(email).await?
    {
        return Ok(true);
    }
    let member = store.find_member(&person.idp, &person.subject).await?;
    Ok(member.is_some_and(|member| member.status == MemberStatus::Blocked))
}

impl Provisioner {
    /// The identity's e-mail address, where its provider has verified it and may speak for it.
    #[must_use]
    pub fn verified_email(&self, identity: &Identity) -> Option<EmailAddress> {
        self.core().verified_email(identity)
    }
}

impl Core {
    /// The identity's e-mail address, where it has one.
    pub(super) fn vouched_email(&self, identity: &Identity) -> Option<String> {
        let admitted = eligibility::admit(identity, &self.settings, self.authority(&identity.idp));
        Some(admitted.ok()??.address.to_string())
    }

    /// The identity's e-mail address, where its provider has verified it and may speak for it. Of an address that was
    /// not verified nobody is to be kept out: whoever claims somebody else's could get them blocked.
    pub(super) fn verified_email(&self, identity: &Identity) -> Option<EmailAddress> {
        let authority = self.authority(&identity.idp);
        let admitted = eligibility::admit_guest(identity, &self.settings, authority, true);
        admitted.ok()?.filter(|email| email.verified).map(|email| email.address)
    }

    /// F1, and F6 for those who were invited from elsewhere.
    pub(super) async fn let_in(&self, identity: &Identity) -> Result<(), ProvisionError> {
        let authority = self.authority(&identity.idp);
        let refused = match eligibility::admit(identity, &self.settings, authority) {
            Ok(_) => return Ok(()),
            Err(refused @ ProvisionError::EmailDomainNotAllowed { .. })
                if self.settings.invite_allow_external =>
            {
                refused
            }
            Err(refused) => return Err(refused),
        };
        // The address must be vouched for all the same.
        eligibility::admit_guest(identity, &self.settings, authority, true)?;
        let member = self.store.find_member(&identity.idp, &identity.subject).await?;
        let invited = self.invited(identity).await?;
        let guest = is_external_guest(&self.settings, invited.as_ref(), member.as_ref());
        if guest { Ok(()) } else { Err(refused) }
    }

    /// The invite that a first login of this identity may use. Only a verified address is compared, and an invite whose
    /// administrator is none any more is worth nothing.
    pub(super) async fn invited(&self, identity: &Identity) -> Result<Option<Invited>, ProvisionError> {
        // M3.
        if self.settings.mode == Mode::Scim || self.connector.is_none() {
            return Ok(None);
        }
        let authority = self.authority(&identity.idp);
        let email = eligibility::admit_guest(identity, &self.settings, authority, true).ok().flatten();
        let Some(email) = email.filter(|email| email.verified) else { return Ok(None) };
        let Identity { idp, subject, .. } = identity;
        let now = self.platform.clock.now();
        let invites = self.store.usable_invites(&email.address, idp, subject, now).await?;
        if invites.is_empty() || self.store.find_member(idp, subject).await?.is_some() {
            return Ok(None);
        }
        // One that is worth nothing any more does not stand before one that is.
        for invite in invites {
            let Some(role) = self.lowest_of_hands(&invite).await? else { continue };
            return Ok(Some(Invited {
                id: invite.id,
                revision: invite.revision,
                entitlements: invite.terms.entitlements,
                inviter: Some(role),
            }));
        }
        Ok(None)
    }

    /// SECURITY: what an operator may not give, they may not have given by changing an administrator's invite either, nor
    /// an administrator who is an operator by now: the lowest role of all who had a hand in it counts.
    async fn lowest_of_hands(&self, invite: &Invite) -> Result<Option<ConsoleRole>, ProvisionError> {
        let mut lowest = ConsoleRole::Administrator;
        for name in invite.hands() {
            let Some(role) = self.grantor(name).await? else {
                tracing::warn!(
                    invite = %invite.id, by = name,
                    "an invite is not used: who made or changed it is no administrator any more"
                );
                return Ok(None);
            };
            lowest = lowest.min(role);
        }
        Ok(Some(lowest))
    }

    /// The role of whom an invite names: of a token, or of a person by the latest sign-in at the admin API, as far as the
    /// rule that it was by still stands.
    async fn grantor(&self, name: &str) -> Result<Option<ConsoleRole>, ProvisionError> {
        if let Some(role) = self.grantors.get(name) {
            return Ok(Some(*role));
        }
        let (Some(console), Some((idp, subject))) = (&self.console, named_person(name)) else {
            return Ok(None);
        };
        let Some(person) = self.store.find_console_person(&idp, &subject).await? else { return Ok(None) };
        let blocked = is_blocked(self.store.as_ref(), &person).await?;
        Ok(console.role_of(&person).filter(|_| !blocked))
    }

    /// Consumes the invite for this identity.
    pub(super) async fn claim_invite(
        &self,
        identity: &Identity,
        id: InviteId,
        revision: i64,
    ) -> Result<(), ProvisionError> {
        let claim = (&identity.idp, &identity.subject);
        let now = self.platform.clock.now();
        if self.store.claim_invite(id, revision, claim, now).await? {
            return Ok(());
        }
        // Somebody was faster, or changed it: what was resolved does not hold any more.
        Err(ProvisionError::BusyElsewhere)
    }

    /// Notes whom it led to. That the invite is consumed does not depend on it.
    pub(super) async fn finish_invite(&self, identity: &Identity, id: InviteId, member: MemberId) {
        if let Err(error) = self.store.finish_invite(id, member).await {
            tracing::warn!(%error, invite = %id, "it could not be noted whom an invite led to");
        }
        let entry = Entry::new(Event::InviteUsed).by_person(&identity.idp, &identity.subject).member(member);
        self.audit.record(entry.field("invite", Plain::name(&id.to_string())));
    }
}
