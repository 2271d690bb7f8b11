//! Guards around any connector, whoever calls it: the last administrator stays (G1), protected accounts
//! are not touched (G2), and nothing unsafe is sent (G5).

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::sync::{Mutex, OnceCell};

use crate::model::{Account, AccountId, AccountProfile, Entitlements};

use super::connector::{
    Checked, Connector, ConnectorError, EntitlementChange, Features, FindBy, Kind, Named,
};
use super::existing::is_protected;

const SET_ENTITLEMENTS: &str = "set entitlements";

/// A connector that refuses what no caller may do.
pub struct Guarded {
    inner: Arc<dyn Connector>,
    /// G2: usernames or e-mails.
    protected: ArcSwap<Vec<String>>,
    own_account: OnceCell<Option<AccountId>>,
    /// One removal of privileges at a time: two at once could each see the other's account as the one
    /// that stays.
    privileges: Mutex<()>,
}

impl Guarded {
    #[must_use]
    pub fn new(inner: Arc<dyn Connector>, protected: Vec<String>) -> Self {
        let protected = ArcSwap::from_pointee(protected);
        Self { inner, protected, own_account: OnceCell::new(), privileges: Mutex::new(()) }
    }

    /// These are not touched from now on, instead of those before.
    pub fn protect(&self, protected: Vec<String>) {
        self.protected.store(Arc::new(protected));
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
        if is_protected(&self.protected.load(), &account.profile.username, account.profile.email.as_deref()) {
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

    /// G1: whether another active privileged account remains. The account is read again, since what the
    /// caller has may be old.
    async fn another_remains(
        &self,
        operation: &'static str,
        account: &Account,
    ) -> Result<(), ConnectorError> {
        let found = match self.inner.find(FindBy::Id(&account.id)).await {
            Ok(found) => found,
            Err(ConnectorError::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        let now = found.iter().find(|found| found.id == account.id);
        let held = now.unwrap_or(account);
        // Gone, or with nothing to lose: nobody is demoted.
        if now.is_none() && !account.privileged || !is_privileged(held) || !held.active {
            return Ok(());
        }
        self.not_the_last(operation, account).await
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
        if is_protected(&self.protected.load(), &wanted.username, wanted.email.as_deref()) {
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
        let _one_at_a_time = self.privileges.lock().await;
        self.another_remains(SET_ENTITLEMENTS, account).await?;
        self.inner.set_entitlements(account, change).await
    }

    async fn create_team(&self, team: &str) -> Result<(), ConnectorError> {
        sendable("create team", "team", team, Place::Name)?;
        self.inner.create_team(team).await
    }

    async fn deactivate(&self, account: &Account) -> Result<(), ConnectorError> {
        self.untouchable("deactivate", account).await?;
        let _one_at_a_time = self.privileges.lock().await;
        self.another_remains("deactivate", account).await?;
        self.inner.deactivate(account).await
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
        let _one_at_a_time = self.privileges.lock().await;
        self.another_remains("delete", account).await?;
        self.inner.delete(account).await
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
