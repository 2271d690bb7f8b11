//! Invites.

use async_trait::async_trait;

use super::Memory;
use crate::model::invite::{Claim, Invite, InviteId, invited_address};
use crate::model::{EmailAddress, IdpId, MemberId, Subject, UnixTime};
use crate::store::StoreError;
use crate::store::invites::{InviteStore, MAX_USABLE};

fn usable_by(invite: &Invite, idp: &IdpId, subject: &Subject, now: UnixTime) -> bool {
    let mine = match &invite.claimed {
        None => invite.expires_at > now,
        Some(claim) => (&claim.idp, &claim.subject) == (idp, subject),
    };
    mine && invite.member.is_none() && invite.revoked_at.is_none()
}

#[async_trait]
impl InviteStore for Memory {
    async fn add_invite(&self, invite: &Invite) -> Result<(), StoreError> {
        let invites = &mut self.tables().invites;
        if invites.contains_key(&invite.id) {
            return Err(StoreError::Conflict { act: "add_invite", what: "an invite of this id" });
        }
        invites.insert(invite.id, invite.clone());
        Ok(())
    }

    async fn find_invite(&self, id: InviteId) -> Result<Option<Invite>, StoreError> {
        Ok(self.tables().invites.get(&id).cloned())
    }

    async fn list_invites(&self, before: Option<InviteId>, limit: usize) -> Result<Vec<Invite>, StoreError> {
        let tables = self.tables();
        let older = tables.invites.values().rev().filter(|one| before.is_none_or(|before| one.id < before));
        Ok(older.take(limit).cloned().collect())
    }

    async fn change_invite(&self, invite: &Invite) -> Result<bool, StoreError> {
        let invites = &mut self.tables().invites;
        let Some(row) = invites.get_mut(&invite.id) else { return Ok(false) };
        if row.revision != invite.revision - 1 || row.member.is_some() || row.revoked_at.is_some() {
            return Ok(false);
        }
        *row = Invite { claimed: row.claimed.clone(), invited_by: row.invited_by.clone(), ..invite.clone() };
        Ok(true)
    }

    async fn usable_invites(
        &self,
        email: &EmailAddress,
        idp: &IdpId,
        subject: &Subject,
        now: UnixTime,
    ) -> Result<Vec<Invite>, StoreError> {
        let address = invited_address(email);
        let tables = self.tables();
        let found = tables.invites.values().filter(|invite| {
            invited_address(&invite.terms.email) == address
                && invite.terms.idp.as_ref().is_none_or(|wanted| wanted == idp)
                && usable_by(invite, idp, subject, now)
        });
        let mut found: Vec<Invite> = found.cloned().collect();
        found.sort_by_key(|invite| (invite.claimed.is_none(), invite.id));
        found.truncate(MAX_USABLE);
        Ok(found)
    }

    async fn claim_invite(
        &self,
        id: InviteId,
        revision: i64,
        (idp, subject): (&IdpId, &Subject),
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let invites = &mut self.tables().invites;
        let Some(row) = invites.get_mut(&id) else { return Ok(false) };
        if row.revision != revision || !usable_by(row, idp, subject, now) {
            return Ok(false);
        }
        row.claimed = Some(Claim { idp: idp.clone(), subject: subject.clone(), at: now });
        Ok(true)
    }

    async fn finish_invite(&self, id: InviteId, member: MemberId) -> Result<(), StoreError> {
        if let Some(row) = self.tables().invites.get_mut(&id)
            && row.claimed.is_some()
        {
            row.member = Some(member);
        }
        Ok(())
    }
}
