//! The [`Connector`] that speaks SCIM.

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use crate::model::{Account, AccountProfile, EmailAddress};
use crate::provision::connector::{
    Checked, Connector, ConnectorError, EntitlementChange, Features, FindBy, Kind, Named,
};
use crate::provision::rest::account::mark;
use crate::provision::rest::call::Api;
use crate::provision::rest::connector::same;
use crate::provision::rest::read;
use crate::provision::rest::recipe::{Privileged, ScimGroups, ScimOptions};

use super::client::Client;
use super::filter::{equals, member};
use super::resource::{self, GROUP, Group, patch, profile_operations, replace};

const USERS: &str = "/Users";
const GROUPS: &str = "/Groups";
/// More matches than this are no answer to "who is it?".
const MAX_MATCHES: usize = 10;

/// One application by SCIM.
pub(in crate::provision) struct ScimConnector {
    pub(in crate::provision) features: Features,
    pub(in crate::provision) privileged: Privileged,
    pub(in crate::provision) options: ScimOptions,
    pub(in crate::provision) api: Api,
}

#[async_trait]
impl Connector for ScimConnector {
    fn features(&self) -> &Features {
        &self.features
    }

    async fn find(&self, by: FindBy<'_>) -> Result<Vec<Account>, ConnectorError> {
        let operation = match by {
            FindBy::Id(_) => "find the account by its id",
            FindBy::Email(_) => "find the account by e-mail",
            FindBy::Username(_) => "find the account by username",
            FindBy::Privileged => "list the privileged accounts",
            FindBy::Everybody => "list the accounts",
        };
        let users = match by {
            FindBy::Id(id) => match self.client().get(operation, USERS, &id.0).await {
                Ok(user) => vec![user],
                Err(ConnectorError::NotFound { .. }) => return Ok(Vec::new()),
                Err(error) => return Err(error),
            },
            FindBy::Email(email) => {
                self.users(operation, Some(&equals("emails.value", &email.to_string()))).await?
            }
            FindBy::Username(name) => self.users(operation, Some(&equals("userName", name))).await?,
            FindBy::Privileged => return self.privileged_accounts(operation).await,
            FindBy::Everybody => {
                let users = self.users(operation, None).await?;
                return users.iter().map(|user| self.account(operation, user)).collect();
            }
        };
        let mut accounts = Vec::new();
        for user in &users {
            let account = self.account(operation, user)?;
            let wanted = match by {
                FindBy::Id(id) => account.id == *id,
                FindBy::Email(email) => self.has_email(&account, email),
                FindBy::Username(name) => same(self.features.username_case, &account.profile.username, name),
                FindBy::Privileged | FindBy::Everybody => false,
            };
            if wanted {
                accounts.push(account);
            }
        }
        accounts.truncate(MAX_MATCHES);
        for account in &mut accounts {
            self.add_groups(account).await?;
        }
        Ok(accounts)
    }

    async fn create(&self, wanted: &AccountProfile, role: Option<&str>) -> Result<Account, ConnectorError> {
        const OPERATION: &str = "create the account";
        let role = role.filter(|_| self.features.roles);
        let answer = self.client().create(OPERATION, USERS, resource::user(wanted, role)).await?;
        let mut account = self.account(OPERATION, &answer.json()?)?;
        self.add_groups(&mut account).await?;
        Ok(account)
    }

    async fn update(&self, account: &Account, profile: &AccountProfile) -> Result<(), ConnectorError> {
        let operations = profile_operations(profile);
        if operations.is_empty() {
            return Ok(());
        }
        self.client().patch("update the account", USERS, &account.id.0, patch(&operations)).await
    }

    async fn set_entitlements(
        &self,
        account: &Account,
        change: &EntitlementChange,
    ) -> Result<(), ConnectorError> {
        let mut operations = Vec::new();
        if let Some(role) = &change.role {
            operations.push(replace("roles", &json!([{ "value": role, "primary": true }])));
        }
        if !change.add.permissions.is_empty() {
            let values: Vec<Json> =
                change.add.permissions.iter().map(|name| json!({ "value": name })).collect();
            operations.push(json!({ "op": "add", "path": "entitlements", "value": values }));
        }
        for name in &change.remove.permissions {
            operations
                .push(json!({ "op": "remove", "path": format!("entitlements[{}]", equals("value", name)) }));
        }
        if !operations.is_empty() {
            const OPERATION: &str = "set the role and permissions";
            self.client().patch(OPERATION, USERS, &account.id.0, patch(&operations)).await?;
        }
        let id = &account.id.0;
        for name in change.add.teams.keys().chain(&change.add.app_groups) {
            const OPERATION: &str = "add the account to the group";
            let group = self.group(OPERATION, name).await?;
            let add = json!({ "op": "add", "path": "members", "value": [{ "value": id }] });
            self.client().patch(OPERATION, GROUPS, &group.id, patch(&[add])).await?;
        }
        for name in change.remove.teams.keys().chain(&change.remove.app_groups) {
            const OPERATION: &str = "remove the account from the group";
            let removed = match self.group(OPERATION, name).await {
                Ok(group) => {
                    let remove = json!({ "op": "remove", "path": member(id) });
                    self.client().patch(OPERATION, GROUPS, &group.id, patch(&[remove])).await
                }
                Err(error) => Err(error),
            };
            match removed {
                // A group that is gone has no members.
                Ok(()) | Err(ConnectorError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn create_team(&self, team: &str) -> Result<(), ConnectorError> {
        const OPERATION: &str = "create the team";
        if self.options.groups != ScimGroups::Teams {
            return Err(ConnectorError::Unsupported { operation: OPERATION });
        }
        // Names of groups need not be unique, so a conflict would never be reported.
        match self.group(OPERATION, team).await {
            Err(ConnectorError::NotFound { .. }) => {}
            Err(error) => return Err(error),
            Ok(_) => {
                let excerpt = "a group with this name".to_owned();
                return Err(ConnectorError::Conflict { operation: OPERATION, excerpt });
            }
        }
        let group = json!({ "schemas": [GROUP], "displayName": team });
        self.client().create(OPERATION, GROUPS, group).await.map(|_| ())
    }

    async fn deactivate(&self, account: &Account) -> Result<(), ConnectorError> {
        let inactive = patch(&[replace("active", &json!(false))]);
        self.client().patch("deactivate the account", USERS, &account.id.0, inactive).await
    }

    async fn reactivate(&self, account: &Account) -> Result<(), ConnectorError> {
        let active = patch(&[replace("active", &json!(true))]);
        self.client().patch("reactivate the account", USERS, &account.id.0, active).await
    }

    async fn transfer(&self, _: &Account, _: &Account) -> Result<(), ConnectorError> {
        Err(ConnectorError::Unsupported { operation: "hand over what the account owns" })
    }

    async fn delete(&self, account: &Account) -> Result<(), ConnectorError> {
        match self.client().delete("delete the account", USERS, &account.id.0).await {
            Ok(()) | Err(ConnectorError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, kind: Kind) -> Result<Option<Vec<Named>>, ConnectorError> {
        let patterns = match (kind, self.options.groups) {
            (Kind::Team, ScimGroups::Teams) => &self.privileged.teams,
            (Kind::AppGroup, ScimGroups::AppGroups) => &self.privileged.app_groups,
            (Kind::Role, _) if !self.features.fixed_roles.is_empty() => {
                return Ok(Some(self.features.fixed_roles.clone()));
            }
            // RFC 7643, 4.1.2: roles and entitlements have no vocabulary that could be listed.
            _ => return Ok(None),
        };
        let groups = self.groups("list the groups", None).await?;
        let named = |group: Group| {
            let privileged = Privileged::matches(patterns, &group.display_name);
            Named { name: group.display_name, privileged }
        };
        Ok(Some(groups.into_iter().map(named).collect()))
    }

    async fn check(&self) -> Result<Checked, ConnectorError> {
        const OPERATION: &str = "check the API";
        let config = self.client().read(OPERATION, "/ServiceProviderConfig").await?;
        let supported = |name: &str| config.get(name).and_then(|part| part.get("supported")?.as_bool());
        for name in ["patch", "filter"] {
            if supported(name) != Some(true) {
                return Err(ConnectorError::Unexpected {
                    operation: OPERATION,
                    status: 200,
                    expected: format!("a server that supports `{name}`"),
                    excerpt: "a ServiceProviderConfig that says otherwise".to_owned(),
                });
            }
        }
        // ServiceProviderConfig may be public (RFC 7644, 4); this is not.
        self.client().list_one(OPERATION, USERS).await?;
        Ok(Checked { version: None, own_account: None })
    }
}

impl ScimConnector {
    fn client(&self) -> Client<'_> {
        Client(&self.api)
    }

    async fn users(
        &self,
        operation: &'static str,
        filter: Option<&str>,
    ) -> Result<Vec<Json>, ConnectorError> {
        self.client().list(operation, USERS, filter, None).await
    }

    fn account(&self, operation: &'static str, user: &Json) -> Result<Account, ConnectorError> {
        let read = resource::account(user, self.features.roles, self.features.permissions);
        let mut account = read.ok_or_else(|| ConnectorError::Unexpected {
            operation,
            status: 200,
            expected: "a SCIM User with `id` and `userName`".to_owned(),
            excerpt: "an object without them, or with another type".to_owned(),
        })?;
        mark(&self.features, &self.privileged, &mut account);
        Ok(account)
    }

    /// Those who hold a privileged role, permission or group; without their further groups.
    async fn privileged_accounts(&self, operation: &'static str) -> Result<Vec<Account>, ConnectorError> {
        let mut accounts = Vec::new();
        for user in self.users(operation, None).await? {
            let account = self.account(operation, &user)?;
            if account.privileged && account.active {
                accounts.push(account);
            }
        }
        Ok(accounts)
    }

    /// RFC 7643, 4.1.2 (`groups`): read-only and optional, so the groups are asked for their member.
    async fn add_groups(&self, account: &mut Account) -> Result<(), ConnectorError> {
        const OPERATION: &str = "read the account's groups";
        if self.options.groups != ScimGroups::Unused {
            let groups = self.groups(OPERATION, Some(&equals("members.value", &account.id.0))).await?;
            for group in groups {
                match self.options.groups {
                    ScimGroups::Teams => {
                        account.entitlements.teams.insert(group.display_name, None);
                    }
                    ScimGroups::AppGroups => {
                        account.entitlements.app_groups.insert(group.display_name);
                    }
                    ScimGroups::Unused => {}
                }
            }
        }
        mark(&self.features, &self.privileged, account);
        Ok(())
    }

    async fn groups(
        &self,
        operation: &'static str,
        filter: Option<&str>,
    ) -> Result<Vec<Group>, ConnectorError> {
        let found = self.client().list(operation, GROUPS, filter, Some("members")).await?;
        let one = |group: Json| {
            let group: Option<Group> = serde_json::from_value(group).ok();
            group
                .filter(|group| {
                    read::name(&Json::from(group.id.as_str())).is_some()
                        && read::name(&Json::from(group.display_name.as_str())).is_some()
                })
                .ok_or_else(|| ConnectorError::Unexpected {
                    operation,
                    status: 200,
                    expected: "a SCIM Group with `id` and `displayName`".to_owned(),
                    excerpt: "an object without them, or with another type".to_owned(),
                })
        };
        found.into_iter().map(one).collect()
    }

    /// The one group of this name.
    async fn group(&self, operation: &'static str, name: &str) -> Result<Group, ConnectorError> {
        let mut found = self.groups(operation, Some(&equals("displayName", name))).await?;
        found.retain(|group| group.display_name.eq_ignore_ascii_case(name));
        match (found.pop(), found.is_empty()) {
            (None, _) => Err(ConnectorError::NotFound { operation }),
            (Some(group), true) => Ok(group),
            (Some(_), false) => Err(ConnectorError::Unexpected {
                operation,
                status: 200,
                expected: "one group of this name".to_owned(),
                excerpt: "several groups of this name; rename all but one".to_owned(),
            }),
        }
    }

    fn has_email(&self, account: &Account, wanted: &EmailAddress) -> bool {
        let found = account.profile.email.as_deref().and_then(|text| EmailAddress::parse(text).ok());
        found.is_some_and(|found| {
            found.domain() == wanted.domain() && same(self.features.email_case, found.local(), wanted.local())
        })
    }
}
