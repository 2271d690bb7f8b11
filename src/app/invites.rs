//! Invites from the command line: the same desk as the admin API's.

use std::sync::Arc;

use super::administration::{Beside, live};
use crate::admin::AdminError;
use crate::admin::invites::{self, Desk, InviteRequest, InviteView};
use crate::admin::principal::Principal;
use crate::config::Settings;
use crate::model::invite::{Invite, InviteId};
use crate::observe::audit::{Entry, Event, Plain};
use crate::platform::Platform;

/// Invites at the store of a narthex that runs elsewhere.
pub struct Invites<'a> {
    beside: &'a Beside,
    desk: Desk,
}

impl Beside {
    /// # Errors
    /// Where the store cannot be read, or the connector cannot be made.
    pub async fn invites(&self, settings: &Settings, platform: &Platform) -> Result<Invites<'_>, AdminError> {
        let conflict = |text: String| AdminError::Conflict(text);
        let live = live(settings, self.store()).await.map_err(|error| conflict(error.to_string()))?;
        let connector = super::connector(settings, platform).map_err(|error| conflict(error.to_string()))?;
        let desk = Desk::new(settings, Arc::clone(self.store()), connector, live, platform.clone());
        Ok(Invites { beside: self, desk })
    }
}

impl Invites<'_> {
    fn shown(&self, invite: Invite) -> InviteView {
        invites::viewed(&self.desk, invite)
    }

    async fn note(&self, event: Event, invite: &Invite) {
        let entry = Entry::new(event)
            .field("invite", Plain::name(&invite.id.to_string()))
            .personal("email", &invite.terms.email.to_string());
        self.beside.record(entry).await;
    }

    /// # Errors
    /// As [`Desk::create`].
    pub async fn create(&self, request: &InviteRequest) -> Result<InviteView, AdminError> {
        let invite = self.desk.create(&Principal::command_line(), request).await?;
        self.note(Event::InviteCreated, &invite).await;
        Ok(self.shown(invite))
    }

    /// All of them.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn list(&self) -> Result<Vec<InviteView>, AdminError> {
        const AT_A_TIME: usize = 500;
        let (mut all, mut before) = (Vec::new(), None);
        loop {
            let rows = self.beside.store().list_invites(before, AT_A_TIME).await?;
            let full = rows.len() == AT_A_TIME;
            before = rows.last().map(|row| row.id);
            all.extend(rows.into_iter().map(|row| self.shown(row)));
            if !full {
                return Ok(all);
            }
        }
    }

    /// # Errors
    /// As [`Desk::find`].
    pub async fn show(&self, id: InviteId) -> Result<InviteView, AdminError> {
        Ok(self.shown(self.desk.find(id).await?))
    }

    /// # Errors
    /// As [`Desk::change`].
    pub async fn change(&self, id: InviteId, request: &InviteRequest) -> Result<InviteView, AdminError> {
        let invite = self.desk.find(id).await?;
        let invite = self.desk.change(&Principal::command_line(), invite, request).await?;
        self.note(Event::InviteChanged, &invite).await;
        Ok(self.shown(invite))
    }

    /// # Errors
    /// As [`Desk::revoke`].
    pub async fn revoke(&self, id: InviteId) -> Result<InviteView, AdminError> {
        let invite = self.desk.revoke(self.desk.find(id).await?).await?;
        self.note(Event::InviteRevoked, &invite).await;
        Ok(self.shown(invite))
    }

    /// # Errors
    /// As [`Desk::send`].
    pub async fn send(&self, id: InviteId) -> Result<InviteView, AdminError> {
        let invite = self.desk.send(self.desk.find(id).await?).await?;
        self.note(Event::InviteSent, &invite).await;
        Ok(self.shown(invite))
    }
}
