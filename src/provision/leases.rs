//! The right to work on one member: one at a time, over all processes, for sign-ins and jobs alike.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Member, MemberId, UnixTime};
use crate::store::{Hold, OnUpdate, Standing, StoreError, Update};

use super::ProvisionError;
use super::provisioner::Core;

/// A lease outlives the time budget by this: what comes after the budget are a few writes to the store.
pub(super) const MARGIN: Duration = Duration::from_secs(5);
/// Between two looks at another's work; the second one doubles up to the last.
pub(super) const FIRST_LOOK: Duration = Duration::from_millis(50);
pub(super) const LAST_LOOK: Duration = Duration::from_millis(800);
/// How long the session of a sign-in that was let through is waited for.
pub(super) const LANDING: Duration = Duration::from_secs(10);

/// A right that was had, with the member as it was then.
pub(super) struct Lease {
    pub(super) holder: u64,
    pub(super) standing: Standing,
}

impl Core {
    /// Takes the right, or says until when another has it.
    pub(super) async fn try_hold(&self, id: MemberId) -> Result<Result<Lease, UnixTime>, ProvisionError> {
        let holder = u64::from_be_bytes(self.platform.entropy.bytes()?);
        let now = self.platform.clock.now();
        let until = now.after(self.settings.time_budget + MARGIN);
        Ok(match self.store.hold_member(id, holder, now, until).await? {
            Hold::Held(standing) => Ok(Lease { holder, standing: *standing }),
            Hold::Busy { until } => Err(until),
        })
    }

    /// Waits for the right. `alone`: and for the session of whoever was let through before.
    pub(super) async fn hold(
        &self,
        id: MemberId,
        alone: bool,
        deadline: Instant,
    ) -> Result<Lease, ProvisionError> {
        let mut look = FIRST_LOOK;
        loop {
            match self.try_hold(id).await? {
                Ok(lease) if alone && lease.standing.landing_until.is_some() => {
                    self.release(id, lease.holder).await;
                }
                Ok(lease) => return Ok(lease),
                Err(_) => {}
            }
            if Instant::now() + look >= deadline {
                return Err(ProvisionError::BusyElsewhere);
            }
            tokio::time::sleep(look).await;
            look = (look * 2).min(LAST_LOOK);
        }
    }

    /// The right ends by itself; what was achieved is not taken back for that.
    pub(super) async fn release(&self, id: MemberId, holder: u64) {
        if let Err(error) = self.store.release_member(id, holder).await {
            tracing::warn!(%error, member = %id, "the right to work on a member could not be given up and runs out");
        }
    }

    /// Records the member; its sessions end where `sessions` says so, here too.
    pub(super) async fn update(
        &self,
        member: Member,
        holder: u64,
        sessions: OnUpdate,
        settle_at: Option<UnixTime>,
    ) -> Result<Member, ProvisionError> {
        let update = Update { holder: Some(holder), sessions, settle_at };
        let updated = self.store.update_member(&member, update).await.map_err(contested)?;
        self.tell_ended(&updated.ended);
        Ok(Member { revision: updated.revision, ..member })
    }
}

/// Somebody else was faster; it is as if they were still at it.
pub(super) fn contested(error: StoreError) -> ProvisionError {
    match error {
        StoreError::Conflict { .. } | StoreError::Gone { .. } => ProvisionError::BusyElsewhere,
        error => error.into(),
    }
}
