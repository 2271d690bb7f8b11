//! Guards around any connector, whoever calls it: the last administrator stays (G1), protected accounts
//! are not touched (G2), and nothing unsafe is sent (G5).

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::sync::OnceCell;

use crate::model::{Account, AccountId, AccountProfile, Entitlements};

use super::connector::{
    Checked, Connector, ConnectorError, EntitlementChange, Features, FindBy, Kind, Named,
};
use super::existing::is_protected;
use super::privileges::Privileges;

const SET_ENTITLEMENTS: &str = "set entitlements";

/// A connector that refuses what no caller may do.
pub struct Guarded {
    inner: Arc<dyn Connector>,
    terms: ArcSwap<Terms>,
    own_account: OnceCell<Option<AccountId>>,
    /// G1.
    privileges: Privileges,
}

/// What the guards go by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// G2: usernames or e-mails.
    pub protected: Vec<String>,
    /// G1: how long the calls of one removal of privileges may take, for whoever waits for a process that died.
    pub lasts: Duration,
}

impl Guarded {
    #[must_use]
    pub fn new(inner: Arc<dyn Connector>, terms: Terms, privileges: Privileges) -> Self {
        Self { inner, terms: ArcSwap::from_pointee(terms), own_account: OnceCell::new(), privileges }
    }

    /// Goes by these from now on, instead of those before.
    pub fn go_by(&self, terms: Terms) {
        self.terms.store(Arc::new(terms));
    }

    /// The account whose credential narthex uses; asked for once.
    ///
    /// # Errors
    /// As [`Connector::check`]: where it is not known, nothing that depends on it is done.
    pub async fn own_account(&self) -> Result<Option<&AccountId>, ConnectorError> {
        let own =
            self.own_account.get_or_try_init(|| async { Ok(self.inner.check().await?.own_account) }).await?;
        Ok(own.as_ref())
    }

    /// G2.
    pub(super) async fn untouchable(
        &self,
        operation: &'static str,
        account: &Account,
    ) -> Result<(), ConnectorError> {
        let stop = |what: &str| {
            let what = format!("`{}` {what}", account.profile.username);
            Err(ConnectorError::Guarded { operation, rule: "G2", what })
        };
        if is_protected(
            &self.terms.load().protected,
            &account.profile.username,
            account.profile.email.as_deref(),
        ) {
            return stop("is one of protected_accounts");
        }
        if self.own_account().await? == Some(&account.id) {
            return stop("is the account whose credential narthex uses");
        }
        Ok(())
    }

    /// Whether `change` would get as far as the application if the account were like this; only reads.
    ///
    /// # Errors
    /// [`ConnectorError::Guarded`] and [`ConnectorError::Unsendable`], as the change itself would.
    pub async fn would_allow(
        &self,
        account: &Account,
        change: &EntitlementChange,
    ) -> Result<(), ConnectorError> {
        self.touchable(account, change).await?;
        if may_demote(change) && is_privileged(account) && account.active {
            return self.not_the_last(SET_ENTITLEMENTS, account).await;
        }
        Ok(())
    }

    /// G2, G5.
    async fn touchable(&self, account: &Account, change: &EntitlementChange) -> Result<(), ConnectorError> {
        sendable_entitlements(SET_ENTITLEMENTS, &change.add)?;
        sendable_entitlements(SET_ENTITLEMENTS, &change.remove)?;
        if let Some(role) = &change.role {
            sendable(SET_ENTITLEMENTS, "role", role, Place::Name)?;
        }
        self.untouchable(SET_ENTITLEMENTS, account).await
    }

    /// G1: makes the call that takes something away. Where it is a privilege that goes, another active privileged
    /// account must remain, and nobody else takes one away meanwhile, here or in another process.
    async fn taking_away(
        &self,
        operation: &'static str,
        account: &Account,
        call: impl Future<Output = Result<(), ConnectorError>> + Send,
    ) -> Result<(), ConnectorError> {
        if !self.has_privileges(account).await? {
            return call.await;
        }
        let lasts = self.terms.load().lasts;
        let taken = self.privileges.take(&account.id, lasts).await;
        let taken = taken.map_err(|reason| ConnectorError::Undecided { operation, rule: "G1", reason })?;
        let outcome = match self.not_the_last(operation, account).await {
            Ok(()) => call.await,
            stopped => stopped,
        };
        // SECURITY: what was sent and not answered may be done later: whoever looked meanwhile would count on an account
        // that is about to lose the privilege.
        let in_doubt = match &outcome {
            Err(ConnectorError::Unreachable { sent: true, .. }) => true,
            Ok(()) | Err(ConnectorError::NotFound { .. }) => false,
            Err(_) => taken.is_again(),
        };
        if in_doubt {
            Privileges::keep(taken);
        } else {
            self.privileges.give_up(taken).await;
        }
        outcome
    }

    /// Whether the account is an active privileged one. It is read again, since what the caller has may be old; that
    /// narthex gives it privileges meanwhile is out of the question, as one at a time works on a member.
    async fn has_privileges(&self, account: &Account) -> Result<bool, ConnectorError> {
        let found = match self.inner.find(FindBy::Id(&account.id)).await {
            Ok(found) => found,
            Err(ConnectorError::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        let now = found.iter().find(|found| found.id == account.id);
        let held = now.unwrap_or(account);
        // Gone, or with nothing to lose: nobody is demoted.
        Ok((now.is_some() || account.privileged) && is_privileged(held) && held.active)
    }

    async fn not_the_last(&self, operation: &'static str, account: &Account) -> Result<(), ConnectorError> {
        let privileged = self.inner.find(FindBy::Privileged).await?;
        let another =
            privileged.iter().any(|other| other.id != account.id && other.active && is_privileged(other));
        if another {
            return Ok(());
        }
        let what = format!("`{}` is the last active owner or administrator", account.profile.username);
        Err(ConnectorError::Guarded { operation, rule: "G1", what })
    }
}

fn is_privileged(account: &Account) -> bool {
    account.privileged || account.entitlements.owner
}

/// Whether it could take a privilege away. Which roles are privileged is not known here, so every other
/// role counts.
fn may_demote(change: &EntitlementChange) -> bool {
    change.role.is_some() || change.remove != Entitlements::default()
}

#[async_trait]
impl Connector for Guarded {
    fn features(&self) -> &Features {
        self.inner.features()
    }

    async fn find(&self, by: FindBy<'_>) -> Result<Vec<Account>, ConnectorError> {
        match by {
            FindBy::Id(id) => sendable("find", "account id", &id.0, Place::Name)?,
            FindBy::Username(username) => sendable("find", "username", username, Place::Name)?,
            FindBy::Email(_) | FindBy::Privileged | FindBy::Everybody => {}
        }
        self.inner.find(by).await
    }

    async fn create(&self, wanted: &AccountProfile, role: Option<&str>) -> Result<Account, ConnectorError> {
        sendable_profile("create", wanted)?;
        if let Some(role) = role {
            sendable("create", "role", role, Place::Name)?;
        }
        // G2: nor is an account made that would pass for a protected one.
        if is_protected(&self.terms.load().protected, &wanted.username, wanted.email.as_deref()) {
            let what = format!("`{}` is one of protected_accounts", wanted.username);
            return Err(ConnectorError::Guarded { operation: "create", rule: "G2", what });
        }
        self.inner.create(wanted, role).await
    }

    async fn update(&self, account: &Account, profile: &AccountProfile) -> Result<(), ConnectorError> {
        sendable_profile("update", profile)?;
        self.untouchable("update", account).await?;
        self.inner.update(account, profile).await
    }

    async fn set_entitlements(
        &self,
        account: &Account,
        change: &EntitlementChange,
    ) -> Result<(), ConnectorError> {
        self.touchable(account, change).await?;
        if !may_demote(change) {
            return self.inner.set_entitlements(account, change).await;
        }
        let call = self.inner.set_entitlements(account, change);
        self.taking_away(SET_ENTITLEMENTS, account, call).await
    }

    async fn create_team(&self, team: &str) -> Result<(), ConnectorError> {
        sendable("create team", "team", team, Place::Name)?;
        self.inner.create_team(team).await
    }

    async fn deactivate(&self, account: &Account) -> Result<(), ConnectorError> {
        self.untouchable("deactivate", account).await?;
        self.taking_away("deactivate", account, self.inner.deactivate(account)).await
    }

    async fn reactivate(&self, account: &Account) -> Result<(), ConnectorError> {
        self.untouchable("reactivate", account).await?;
        self.inner.reactivate(account).await
    }

    async fn transfer(&self, account: &Account, heir: &Account) -> Result<(), ConnectorError> {
        // The heir may be a protected account: it is given something, nothing of it is changed.
        self.untouchable("transfer", account).await?;
        self.inner.transfer(account, heir).await
    }

    async fn delete(&self, account: &Account) -> Result<(), ConnectorError> {
        self.untouchable("delete", account).await?;
        self.taking_away("delete", account, self.inner.delete(account)).await
    }

    async fn list(&self, kind: Kind) -> Result<Option<Vec<Named>>, ConnectorError> {
        self.inner.list(kind).await
    }

    async fn check(&self) -> Result<Checked, ConnectorError> {
        self.inner.check().await
    }
}

/// Where a value may end up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A name, which an API may want in a path.
    Name,
    /// A text that stays in bodies and headers.
    Text,
}

/// G5. Encoding is the connector's; what no encoding makes harmless everywhere is refused here.
fn sendable(operation: &'static str, what: &str, value: &str, place: Place) -> Result<(), ConnectorError> {
    let fault = if value.chars().any(char::is_control) {
        "contains a control character"
    } else if place == Place::Text {
        return Ok(());
    } else if value.is_empty() {
        "is empty"
    } else if value.split(['/', '\\']).any(|segment| matches!(segment, "." | "..")) {
        "contains a `.` or `..` path segment"
    } else {
        return Ok(());
    };
    Err(ConnectorError::Unsendable { operation, what: format!("the {what} {value:?} {fault}") })
}

fn sendable_profile(operation: &'static str, profile: &AccountProfile) -> Result<(), ConnectorError> {
    sendable(operation, "username", &profile.username, Place::Name)?;
    if let Some(email) = &profile.email {
        sendable(operation, "e-mail", email, Place::Name)?;
    }
    if let Some(name) = &profile.display_name {
        sendable(operation, "display name", name, Place::Text)?;
    }
    for (name, value) in &profile.attributes {
        sendable(operation, name, value, Place::Text)?;
    }
    Ok(())
}

fn sendable_entitlements(operation: &'static str, entitlements: &Entitlements) -> Result<(), ConnectorError> {
    for (team, role) in &entitlements.teams {
        sendable(operation, "team", team, Place::Name)?;
        if let Some(role) = role {
            sendable(operation, "team role", role, Place::Name)?;
        }
    }
    for group in &entitlements.app_groups {
        sendable(operation, "application group", group, Place::Name)?;
    }
    for permission in &entitlements.permissions {
        sendable(operation, "permission", permission, Place::Name)?;
    }
    Ok(())
}
