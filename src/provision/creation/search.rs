//! What the application has already of a person who signs in for the first time: an account that an earlier try of ours
//! made (F9), one that was there before (F7), one that is another member's (F8).

use super::Creation;
use crate::model::{Account, EmailAddress, Identity};
use crate::provision::cases::{self, Existing, Meeting};
use crate::provision::connector::{Connector, ConnectorError, FindBy};
use crate::provision::resolve::Wanted;
use crate::provision::{ProvisionError, existing};

impl Creation<'_> {
    /// F9: the account that an earlier try of ours made.
    pub(super) async fn ours(
        &self,
        intended: &str,
        wanted: &Wanted,
    ) -> Result<Option<Account>, ProvisionError> {
        let features = self.connector.features();
        let found = self.found(FindBy::Username(intended)).await?;
        let found = existing::with_username(found, intended, features);
        let [account] = found.as_slice() else { return Ok(None) };
        let own = self.calls().patiently(|| self.connector.own_account()).await?;
        let ours = existing::is_ours(account, intended, wanted, features)
            && own != Some(&account.id)
            && self.core.store.find_member_by_account(&account.id).await?.is_none();
        Ok(ours.then(|| account.clone()))
    }

    /// F7, F8. `is_member`: the identity has a member, whose account is gone.
    pub(in crate::provision) async fn existing(
        &self,
        wanted: &Wanted,
        is_member: bool,
    ) -> Result<Option<Existing>, ProvisionError> {
        let features = self.connector.features();
        let mut by_email = Vec::new();
        if let Some(email) = &wanted.email {
            let found = self.found(FindBy::Email(&email.address)).await?;
            by_email = existing::with_email(found, &email.address, features);
        }
        self.other_email_is_free(wanted, &by_email).await?;
        let username = &wanted.profile.profile.username;
        let found = self.found(FindBy::Username(username)).await?;
        let by_username = existing::with_username(found, username, features);
        if by_email.is_empty() && by_username.is_empty() {
            return Ok(None);
        }
        let own = self.calls().patiently(|| self.connector.own_account()).await?;
        let settings = &self.core.settings;
        let Some(candidate) = existing::choose(wanted, settings, &by_email, &by_username)? else {
            return Ok(None);
        };
        let (store, account) = (&self.core.store, &candidate.account.id);
        let holder = store.find_member_by_account(account).await?;
        let holder = holder.filter(|member| !self.is_this_person(member));
        let Identity { idp, subject, .. } = self.identity;
        let case = store.find_case_of(idp, subject, account).await?;
        let vouched = match (&holder, &wanted.email) {
            (Some(member), Some(email)) => store.came_with(member.id, &email.address).await?,
            (_, _) => false,
        };
        let verdict = cases::verdict(&Meeting {
            identity: self.identity,
            settings,
            wanted,
            candidate: &candidate,
            own,
            holder: holder.as_ref(),
            vouched,
            is_member,
            case: case.as_ref(),
            now: self.core.platform.clock.now(),
        })?;
        Ok(Some(Existing { account: candidate.account, holder, verdict }))
    }

    /// Where the account is to get another e-mail than the identity's (a constant, a template): nobody else
    /// may have it, whatever the application thinks of two accounts with one e-mail.
    async fn other_email_is_free(&self, wanted: &Wanted, known: &[Account]) -> Result<(), ProvisionError> {
        let given = wanted.profile.profile.email.as_deref();
        let Some(given) = given.and_then(|given| EmailAddress::parse(given).ok()) else { return Ok(()) };
        if wanted.email.as_ref().is_some_and(|email| email.address == given) {
            return Ok(());
        }
        let found = self.found(FindBy::Email(&given)).await?;
        let found = existing::with_email(found, &given, self.connector.features());
        match found.iter().find(|account| known.iter().all(|known| known.id != account.id)) {
            None => Ok(()),
            Some(account) => {
                let username = account.profile.username.clone();
                Err(ProvisionError::ExistingAccountUnverifiedEmail { username })
            }
        }
    }

    async fn found(&self, by: FindBy<'_>) -> Result<Vec<Account>, ProvisionError> {
        match self.calls().patiently(|| self.connector.find(by)).await {
            Ok(found) => Ok(found),
            // An application without e-mails cannot be asked for one.
            Err(ConnectorError::NotFound { .. } | ConnectorError::Unsupported { .. }) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }
}
