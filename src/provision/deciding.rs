//! The decision on an identity, on the names that the application has.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Identity, Member};
use crate::observe::audit::{Entry, Event, Plain};

use super::ProvisionError;
use super::connector::{Connector, Kind};
use super::entitle::Skipped;
use super::invites::Invited;
use super::names::{self, Names};
use super::provisioner::Core;
use super::resolve::{Decision, Question, Resolved, names_missing, resolve};

impl Core {
    /// The decision on the names that the application has; on fresher ones where a wanted name is missing.
    pub(super) async fn resolved(
        &self,
        identity: &Identity,
        member: Option<&Member>,
        deadline: Instant,
    ) -> Result<Resolved, ProvisionError> {
        let invited = match member {
            None => self.invited(identity).await?,
            Some(_) => None,
        };
        let kinds = names::wanted_kinds(self.guarded()?.features(), &self.settings, invited.is_some());
        let names = self.names_within(names::FRESH, &kinds, deadline).await?;
        let missing = match self.decide(identity, member, invited.as_ref(), &names)? {
            Decision::Proceed(resolved) => {
                let wanted = resolved.wanted.as_ref().map(|wanted| &wanted.entitled);
                if !names_missing(wanted.unwrap_or(&resolved.session)) {
                    return Ok(*resolved);
                }
                None
            }
            Decision::Refuse(
                error @ (ProvisionError::UnknownRole { .. }
                | ProvisionError::UnknownTeam { .. }
                | ProvisionError::DefaultRoleUnusable { .. }),
            ) => Some(error),
            Decision::Refuse(error) => return Err(error),
        };
        let fresher = self.names_within(names::REFRESH_AT_MOST, &kinds, deadline).await?;
        if let (Some(error), true) = (missing, Arc::ptr_eq(&names, &fresher)) {
            return Err(error);
        }
        match self.decide(identity, member, invited.as_ref(), &fresher)? {
            Decision::Proceed(resolved) => Ok(*resolved),
            Decision::Refuse(error) => Err(error),
        }
    }

    pub(super) fn decide(
        &self,
        identity: &Identity,
        member: Option<&Member>,
        invited: Option<&Invited>,
        names: &Names,
    ) -> Result<Decision, ProvisionError> {
        let features = self.guarded()?.features();
        let authority = self.authority(&identity.idp);
        let settings = &self.settings;
        Ok(resolve(&Question { identity, settings, authority, features, names, member, invited }))
    }

    pub(super) async fn names_within(
        &self,
        at_most: Duration,
        kinds: &BTreeSet<Kind>,
        deadline: Instant,
    ) -> Result<Arc<Names>, ProvisionError> {
        let connector = self.guarded()?;
        let calls = self.calls(connector, deadline);
        Ok(calls.patiently(|| self.names.within(at_most, connector, kinds.clone())).await?)
    }

    /// F4, F5: what was asked for and not given is in the audit log.
    pub(super) fn report_skipped(&self, identity: &Identity, skipped: &[Skipped]) {
        for skipped in skipped {
            let entry = Entry::new(Event::EntitlementSkipped).about(&identity.idp, &identity.subject);
            let entry = entry.field("rule", Plain::name(&format!("{:?}", skipped.rule)));
            let entry = entry.personal("entitlement", &format!("{:?}", skipped.entitlement));
            let entry = entry.personal("because", &format!("{:?}", skipped.because));
            self.audit.record(entry.personal("why", &format!("{:?}", skipped.why)));
        }
    }
}
