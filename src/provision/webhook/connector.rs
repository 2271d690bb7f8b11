//! The [`Connector`] that posts signed events.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderName, HeaderValue, Method};
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use crate::model::{Account, AccountId, AccountProfile, EmailAddress};
use crate::platform::Platform;
use crate::platform::webhook::WebhookKeys;
use crate::provision::connector::{
    Checked, Connector, ConnectorError, EntitlementChange, Features, FindBy, Kind, Named,
};
use crate::provision::rest::account::mark;
use crate::provision::rest::call::{Answered, Api, Call, unsafe_value, unsendable};
use crate::provision::rest::connector::same;
use crate::provision::rest::recipe::Privileged;
use crate::provision::rest::{encode, read};

use super::wire::{Accounts, Hello, Names, OneAccount, WireAccount, profile};

/// More matches than this are no answer to "who is it?".
const MAX_MATCHES: usize = 10;

/// One application, by its operator's receiver.
pub(in crate::provision) struct WebhookConnector {
    pub(in crate::provision) features: Features,
    pub(in crate::provision) privileged: Privileged,
    pub(in crate::provision) api: Api,
    pub(in crate::provision) keys: WebhookKeys,
    pub(in crate::provision) platform: Platform,
}

#[async_trait]
impl Connector for WebhookConnector {
    fn features(&self) -> &Features {
        &self.features
    }

    async fn find(&self, by: FindBy<'_>) -> Result<Vec<Account>, ConnectorError> {
        let (operation, by_what) = match by {
            FindBy::Id(id) => ("find the account by its id", json!({ "id": id.0 })),
            FindBy::Email(email) => ("find the account by e-mail", json!({ "email": email.to_string() })),
            FindBy::Username(name) => ("find the account by username", json!({ "username": name })),
            FindBy::Privileged => ("list the privileged accounts", json!({ "privileged": true })),
            // Receivers are not asked for everybody: theirs is to find one.
            FindBy::Everybody => return Err(ConnectorError::Unsupported { operation: "list the accounts" }),
        };
        let found: Accounts = self.ask(operation, "account.find", json!({ "by": by_what })).await?;
        let mut accounts = Vec::new();
        for account in found.accounts {
            let account = self.account(operation, account)?;
            let wanted = match by {
                FindBy::Id(id) => account.id == *id,
                FindBy::Email(email) => self.has_email(&account, email),
                FindBy::Username(name) => same(self.features.username_case, &account.profile.username, name),
                FindBy::Privileged => account.privileged && account.active,
                FindBy::Everybody => false,
            };
            if wanted {
                accounts.push(account);
            }
        }
        if !matches!(by, FindBy::Privileged) {
            accounts.truncate(MAX_MATCHES);
        }
        Ok(accounts)
    }

    async fn create(&self, wanted: &AccountProfile, role: Option<&str>) -> Result<Account, ConnectorError> {
        const OPERATION: &str = "create the account";
        let data = json!({ "account": profile(wanted), "role": role });
        let made: OneAccount = self.ask(OPERATION, "account.create", data).await?;
        self.account(OPERATION, made.account)
    }

    async fn update(&self, account: &Account, wanted: &AccountProfile) -> Result<(), ConnectorError> {
        let data = json!({ "id": account.id.0, "account": profile(wanted) });
        self.tell("update the account", "account.update", data).await
    }

    async fn set_entitlements(
        &self,
        account: &Account,
        change: &EntitlementChange,
    ) -> Result<(), ConnectorError> {
        let data = json!({
            "id": account.id.0, "role": change.role, "add": change.add, "remove": change.remove,
        });
        self.tell("set the entitlements", "account.set_entitlements", data).await
    }

    async fn create_team(&self, team: &str) -> Result<(), ConnectorError> {
        const OPERATION: &str = "create the team";
        if !self.features.can_create_team {
            return Err(ConnectorError::Unsupported { operation: OPERATION });
        }
        self.tell(OPERATION, "team.create", json!({ "team": team })).await
    }

    async fn deactivate(&self, account: &Account) -> Result<(), ConnectorError> {
        const OPERATION: &str = "deactivate the account";
        if !self.features.can_deactivate {
            return Err(ConnectorError::Unsupported { operation: OPERATION });
        }
        self.tell(OPERATION, "account.deactivate", json!({ "id": account.id.0 })).await
    }

    async fn reactivate(&self, account: &Account) -> Result<(), ConnectorError> {
        const OPERATION: &str = "reactivate the account";
        if !self.features.can_reactivate {
            return Err(ConnectorError::Unsupported { operation: OPERATION });
        }
        self.tell(OPERATION, "account.reactivate", json!({ "id": account.id.0 })).await
    }

    async fn transfer(&self, account: &Account, heir: &Account) -> Result<(), ConnectorError> {
        const OPERATION: &str = "hand over what the account owns";
        if !self.features.can_transfer {
            return Err(ConnectorError::Unsupported { operation: OPERATION });
        }
        let data = json!({ "id": account.id.0, "heir": heir.id.0 });
        self.tell(OPERATION, "account.transfer", data).await
    }

    async fn delete(&self, account: &Account) -> Result<(), ConnectorError> {
        const OPERATION: &str = "delete the account";
        if !self.features.can_delete {
            return Err(ConnectorError::Unsupported { operation: OPERATION });
        }
        match self.tell(OPERATION, "account.delete", json!({ "id": account.id.0 })).await {
            Ok(()) | Err(ConnectorError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, kind: Kind) -> Result<Option<Vec<Named>>, ConnectorError> {
        const OPERATION: &str = "list the names";
        let features = &self.features;
        let (has, word, patterns) = match kind {
            Kind::Role => (features.roles, "roles", self.privileged.roles.as_slice()),
            Kind::Team => (features.teams, "teams", self.privileged.teams.as_slice()),
            Kind::TeamRole => (features.team_roles, "team_roles", [].as_slice()),
            Kind::AppGroup => (features.app_groups, "app_groups", self.privileged.app_groups.as_slice()),
            Kind::Permission => (features.permissions, "permissions", self.privileged.permissions.as_slice()),
        };
        if !has {
            return Ok(None);
        }
        let mut all = if kind == Kind::Role { features.fixed_roles.clone() } else { Vec::new() };
        let listed: Names = match self.ask(OPERATION, "names.list", json!({ "kind": word })).await {
            Ok(listed) => listed,
            // The receiver cannot tell.
            Err(ConnectorError::Unsupported { .. }) => return Ok((!all.is_empty()).then_some(all)),
            Err(error) => return Err(error),
        };
        for name in listed.names {
            let Some(mut named) = name.named() else {
                return Err(self.unlike(OPERATION, "names that are not empty and hold no control characters"));
            };
            named.privileged |= Privileged::matches(patterns, &named.name);
            if !all.iter().any(|known| known.name == named.name) {
                all.push(named);
            }
        }
        Ok(Some(all))
    }

    async fn check(&self) -> Result<Checked, ConnectorError> {
        let hello: Hello = self.ask("check the receiver", "check", json!({})).await?;
        Ok(Checked {
            version: hello.version,
            own_account: hello.own_account.as_ref().and_then(read::name).map(AccountId),
        })
    }
}

impl WebhookConnector {
    /// Posts an event; its answer as JSON of this form.
    async fn ask<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        event: &str,
        data: Json,
    ) -> Result<T, ConnectorError> {
        let answer = self.post(operation, event, data).await?;
        serde_json::from_value(answer.json()?)
            .map_err(|error| answer.unexpected(format!("the answer to `{event}` ({error})")))
    }

    /// Posts an event whose answer has nothing to say.
    async fn tell(&self, operation: &'static str, event: &str, data: Json) -> Result<(), ConnectorError> {
        let answer = self.post(operation, event, data).await?;
        // A page of something else (a login form with status 200) is no success.
        if answer.body.is_empty() || answer.is_json() {
            Ok(())
        } else {
            Err(answer.unexpected("no body, or JSON"))
        }
    }

    async fn post(
        &self,
        operation: &'static str,
        event: &str,
        data: Json,
    ) -> Result<Answered, ConnectorError> {
        let now = self.platform.clock.now();
        let random: [u8; 18] =
            self.platform.entropy.bytes().map_err(|error| unsendable(operation, error.to_string()))?;
        let id = format!("msg_{}", URL_SAFE_NO_PAD.encode(random));
        // What is signed are the very bytes that are sent.
        let body = json!({ "type": event, "data": data }).to_string();
        let signature = self.keys.sign(&id, now, &body);
        let header = |value: &str| encode::header(value).map_err(|error| unsafe_value(operation, error));
        let call = Call::new(Method::POST, "")
            .header(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(HeaderName::from_static("webhook-id"), header(&id)?)
            .header(HeaderName::from_static("webhook-timestamp"), header(&now.0.to_string())?)
            .header(HeaderName::from_static("webhook-signature"), header(&signature)?)
            .text(body);
        let answer = self.api.send(operation, &call, None, &[]).await?;
        match answer.status.as_u16() {
            200 | 201 | 204 => Ok(answer),
            402 => Err(ConnectorError::NoSeats { operation, excerpt: answer.excerpt() }),
            501 => Err(ConnectorError::Unsupported { operation }),
            _ => Err(answer.refusal()),
        }
    }

    fn account(&self, operation: &'static str, account: WireAccount) -> Result<Account, ConnectorError> {
        let account = account.account();
        let mut account = account.ok_or_else(|| {
            self.unlike(operation, "accounts with an id, a username and names that are names")
        })?;
        mark(&self.features, &self.privileged, &mut account);
        Ok(account)
    }

    fn unlike(&self, operation: &'static str, expected: &str) -> ConnectorError {
        ConnectorError::Unexpected {
            operation,
            status: 200,
            expected: expected.to_owned(),
            excerpt: format!("something else from the receiver of {}", self.features.name),
        }
    }

    fn has_email(&self, account: &Account, wanted: &EmailAddress) -> bool {
        let found = account.profile.email.as_deref().and_then(|text| EmailAddress::parse(text).ok());
        found.is_some_and(|found| {
            found.domain() == wanted.domain() && same(self.features.email_case, found.local(), wanted.local())
        })
    }
}
