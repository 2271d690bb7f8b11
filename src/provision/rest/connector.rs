//! The [`Connector`] that a recipe makes.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value as Json};

use crate::model::{Account, AccountProfile, EmailAddress, Secret};
use crate::platform::Platform;
use crate::provision::connector::{
    CaseRule, Checked, Connector, ConnectorError, EntitlementChange, Features, FindBy, Kind, Named,
};

use super::account::Reading;
use super::call::{Api, unsendable};
use super::read;
use super::recipe::{Op, Privileged, Rest};
use super::run::{Item, Outcomes, Runner};
use super::text::Scope;

/// More matches than this are no answer to "who is it?".
const MAX_MATCHES: usize = 10;

/// One name that an operation listed.
struct Listed {
    name: String,
    /// In an account's teams: its role there.
    role: Option<String>,
    privileged: bool,
}

/// One application by its recipe.
pub(in crate::provision) struct RestConnector {
    pub(in crate::provision) features: Features,
    pub(in crate::provision) privileged: Privileged,
    pub(in crate::provision) rest: Box<Rest>,
    pub(in crate::provision) api: Api,
    pub(in crate::provision) platform: Platform,
}

#[async_trait]
impl Connector for RestConnector {
    fn features(&self) -> &Features {
        &self.features
    }

    async fn find(&self, by: FindBy<'_>) -> Result<Vec<Account>, ConnectorError> {
        let (op, scope) = match by {
            FindBy::Id(id) => (Op::FindById, group("account", &[("id", Some(&id.0))])),
            FindBy::Email(email) if self.rest.operations.contains_key(&Op::FindByEmail) => {
                (Op::FindByEmail, group("wanted", &[("email", Some(&email.to_string()))]))
            }
            FindBy::Username(name) => (Op::FindByUsername, group("wanted", &[("username", Some(name))])),
            FindBy::Privileged if self.rest.operations.contains_key(&Op::ListPrivileged) => {
                (Op::ListPrivileged, Scope::default())
            }
            FindBy::Everybody if self.rest.operations.contains_key(&Op::ListAccounts) => {
                (Op::ListAccounts, Scope::default())
            }
            FindBy::Everybody => {
                return Err(ConnectorError::Unsupported { operation: Op::ListAccounts.text() });
            }
            // An application without e-mail addresses has nobody with this one; likewise without privilege.
            FindBy::Email(_) | FindBy::Privileged => return Ok(Vec::new()),
        };
        let found = match self.run(op, scope, &[]).await {
            Ok(found) => found.items,
            Err(ConnectorError::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let reading = self.reading(op);
        let mut accounts = Vec::new();
        for item in &found {
            let account = reading.account(&item.value)?;
            let wanted = match by {
                FindBy::Id(id) => account.id == *id,
                FindBy::Email(email) => self.has_email(&account, email),
                FindBy::Username(name) => same(self.features.username_case, &account.profile.username, name),
                FindBy::Privileged => account.privileged && account.active,
                FindBy::Everybody => true,
            };
            if wanted {
                accounts.push(account);
            }
        }
        // These are counted, not compared: their memberships would be a call for each.
        if matches!(by, FindBy::Privileged | FindBy::Everybody) {
            return Ok(accounts);
        }
        accounts.truncate(MAX_MATCHES);
        for account in &mut accounts {
            self.add_memberships(account).await?;
        }
        Ok(accounts)
    }

    async fn create(&self, wanted: &AccountProfile, role: Option<&str>) -> Result<Account, ConnectorError> {
        let password = self.random_password()?;
        let mut scope = profile_scope("wanted", wanted);
        if let Some(role) = role {
            scope.put("wanted", "role", Json::from(role));
        }
        let scope = scope.with("random_password", Json::from(password.expose()));
        let made = self.run(Op::Create, scope, std::slice::from_ref(&password)).await?;
        let [item] = made.items.as_slice() else {
            return Err(ConnectorError::Unexpected {
                operation: Op::Create.text(),
                status: 200,
                expected: "the one account that was created".to_owned(),
                excerpt: format!("{} objects", made.items.len()),
            });
        };
        let mut account = self.reading(Op::Create).account(&item.value)?;
        self.add_memberships(&mut account).await?;
        Ok(account)
    }

    async fn update(&self, account: &Account, profile: &AccountProfile) -> Result<(), ConnectorError> {
        let mut scope = account_scope(account);
        let wanted = profile_values(profile);
        for (name, value) in wanted {
            scope.put("wanted", &name, value);
        }
        self.run(Op::Update, scope, &[]).await.map(|_| ())
    }

    async fn set_entitlements(
        &self,
        account: &Account,
        change: &EntitlementChange,
    ) -> Result<(), ConnectorError> {
        let scope = || account_scope(account);
        if let Some(role) = &change.role {
            self.run(Op::SetRole, named(scope(), "role", role), &[]).await?;
        }
        for (team, role) in &change.add.teams {
            self.run(Op::AddTeam, self.team_scope(scope(), team, role.as_deref(), Op::AddTeam)?, &[]).await?;
        }
        for name in &change.add.app_groups {
            self.run(Op::AddAppGroup, named(scope(), "group", name), &[]).await?;
        }
        for name in &change.add.permissions {
            self.run(Op::AddPermission, named(scope(), "permission", name), &[]).await?;
        }
        if change.add.owner {
            self.run(Op::SetOwner, scope(), &[]).await?;
        }
        for team in change.remove.teams.keys() {
            let scope = self.team_scope(scope(), team, None, Op::RemoveTeam)?;
            self.gone(Op::RemoveTeam, scope).await?;
        }
        for name in &change.remove.app_groups {
            self.gone(Op::RemoveAppGroup, named(scope(), "group", name)).await?;
        }
        for name in &change.remove.permissions {
            self.gone(Op::RemovePermission, named(scope(), "permission", name)).await?;
        }
        if change.remove.owner {
            self.gone(Op::UnsetOwner, scope()).await?;
        }
        Ok(())
    }

    async fn create_team(&self, team: &str) -> Result<(), ConnectorError> {
        let scope = self.team_scope(Scope::default(), team, None, Op::CreateTeam)?;
        self.run(Op::CreateTeam, scope, &[]).await.map(|_| ())
    }

    async fn deactivate(&self, account: &Account) -> Result<(), ConnectorError> {
        self.run(Op::Deactivate, account_scope(account), &[]).await.map(|_| ())
    }

    async fn reactivate(&self, account: &Account) -> Result<(), ConnectorError> {
        self.run(Op::Reactivate, account_scope(account), &[]).await.map(|_| ())
    }

    async fn transfer(&self, account: &Account, heir: &Account) -> Result<(), ConnectorError> {
        let mut scope = account_scope(account);
        for (name, value) in profile_values(&heir.profile) {
            scope.put("heir", &name, value);
        }
        scope.put("heir", "id", Json::from(heir.id.0.as_str()));
        self.run(Op::Transfer, scope, &[]).await.map(|_| ())
    }

    async fn delete(&self, account: &Account) -> Result<(), ConnectorError> {
        self.gone(Op::Delete, account_scope(account)).await
    }

    async fn list(&self, kind: Kind) -> Result<Option<Vec<Named>>, ConnectorError> {
        let (op, patterns, fixed) = match kind {
            Kind::Role => {
                (Op::ListRoles, self.privileged.roles.as_slice(), self.features.fixed_roles.as_slice())
            }
            Kind::Team => (Op::ListTeams, self.privileged.teams.as_slice(), [].as_slice()),
            Kind::TeamRole => (Op::ListTeamRoles, [].as_slice(), [].as_slice()),
            Kind::AppGroup => (Op::ListAppGroups, self.privileged.app_groups.as_slice(), [].as_slice()),
            Kind::Permission => (Op::ListPermissions, self.privileged.permissions.as_slice(), [].as_slice()),
        };
        let mut all = fixed.to_vec();
        if !self.rest.operations.contains_key(&op) {
            return Ok((!all.is_empty()).then_some(all));
        }
        for item in self.names(op, &self.run(op, Scope::default(), &[]).await?)? {
            if !all.iter().any(|known| known.name == item.name) {
                let privileged = item.privileged || Privileged::matches(patterns, &item.name);
                all.push(Named { name: item.name, privileged });
            }
        }
        Ok(Some(all))
    }

    async fn check(&self) -> Result<Checked, ConnectorError> {
        let done = self.run(Op::Check, Scope::default(), &[]).await?;
        let saved = |name: &str| done.scope.at("saved", name).and_then(read::name);
        Ok(Checked {
            version: saved("version"),
            own_account: saved("own_account").map(crate::model::AccountId),
        })
    }
}

impl RestConnector {
    async fn run(&self, op: Op, scope: Scope, secrets: &[Secret]) -> Result<Outcomes, ConnectorError> {
        Runner { rest: &self.rest, api: &self.api }.run(op, scope, secrets).await
    }

    /// Taking away what is not there any more is done already.
    async fn gone(&self, op: Op, scope: Scope) -> Result<(), ConnectorError> {
        match self.run(op, scope, &[]).await {
            Ok(_) | Err(ConnectorError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn reading(&self, op: Op) -> Reading<'_> {
        Reading { op, readers: &self.rest.account, features: &self.features, privileged: &self.privileged }
    }

    /// What the account holds beyond what its own object says.
    async fn add_memberships(&self, account: &mut Account) -> Result<(), ConnectorError> {
        for op in [Op::RoleOf, Op::TeamsOf, Op::AppGroupsOf, Op::PermissionsOf] {
            if !self.rest.operations.contains_key(&op) {
                continue;
            }
            let names = match self.run(op, account_scope(account), &[]).await {
                Ok(done) => self.names(op, &done)?,
                Err(ConnectorError::NotFound { .. }) => Vec::new(),
                Err(error) => return Err(error),
            };
            match op {
                Op::RoleOf => account.entitlements.role = names.into_iter().next().map(|item| item.name),
                Op::TeamsOf => {
                    account.entitlements.teams.extend(names.into_iter().map(|item| (item.name, item.role)));
                }
                Op::AppGroupsOf => {
                    account.entitlements.app_groups.extend(names.into_iter().map(|item| item.name));
                }
                _ => account.entitlements.permissions.extend(names.into_iter().map(|item| item.name)),
            }
        }
        self.reading(Op::FindById).mark(account);
        Ok(())
    }

    fn names(&self, op: Op, done: &Outcomes) -> Result<Vec<Listed>, ConnectorError> {
        let operation = self.rest.operations.get(&op);
        let operation = operation.ok_or(ConnectorError::Unsupported { operation: op.text() })?;
        let Some(reader) = &operation.name else { return Ok(Vec::new()) };
        let unexpected = |excerpt: &str| ConnectorError::Unexpected {
            operation: op.text(),
            status: 200,
            expected: "a list of objects with names".to_owned(),
            excerpt: excerpt.to_owned(),
        };
        let one = |item: &Item| {
            let scope = match &item.each {
                None => done.scope.clone(),
                Some(each) => done.scope.clone().with("each", each.clone()),
            };
            let failed = |failed: super::text::Failed| unexpected(&failed.0);
            let name = reader.value(&item.value, &scope).map_err(failed)?;
            let name =
                name.as_ref().and_then(read::name).ok_or_else(|| unexpected("an object without a name"))?;
            let role = match &operation.role {
                None => None,
                Some(reader) => {
                    reader.value(&item.value, &scope).map_err(failed)?.as_ref().and_then(read::name)
                }
            };
            let privileged = match &operation.privileged {
                None => false,
                // A missing flag must not read as harmless.
                Some(reader) => match reader.value(&item.value, &scope).map_err(failed)? {
                    Some(Json::Bool(flag)) => flag,
                    _ => return Err(unexpected("an object that does not say whether it is privileged")),
                },
            };
            Ok(Listed { name, role, privileged })
        };
        done.items.iter().map(one).collect()
    }

    fn team_scope(
        &self,
        mut scope: Scope,
        team: &str,
        role: Option<&str>,
        op: Op,
    ) -> Result<Scope, ConnectorError> {
        scope.put("team", "name", Json::from(team));
        scope.put("team", "full", Json::from(team));
        if let Some(role) = role {
            scope.put("team", "role", Json::from(role));
        }
        if let Some(parts) = &self.rest.team_parts {
            let given: Vec<&str> = team.split(parts.separator.as_str()).collect();
            if given.len() != parts.names.len() || given.iter().any(|part| part.is_empty()) {
                let form = parts.names.join(&parts.separator);
                return Err(unsendable(op.text(), format!("a team of this application is written `{form}`")));
            }
            for (name, value) in parts.names.iter().zip(given) {
                scope.put("team", name, Json::from(value));
            }
        }
        Ok(scope)
    }

    fn has_email(&self, account: &Account, wanted: &EmailAddress) -> bool {
        let found = account.profile.email.as_deref().and_then(|text| EmailAddress::parse(text).ok());
        found.is_some_and(|found| {
            found.domain() == wanted.domain() && same(self.features.email_case, found.local(), wanted.local())
        })
    }

    /// For APIs that will not create an account without a password. 192 random bits, and a tail with one
    /// character of each class, for those that count classes. Nobody is ever told it.
    fn random_password(&self) -> Result<Secret, ConnectorError> {
        let bytes: [u8; 24] = self
            .platform
            .entropy
            .bytes()
            .map_err(|error| unsendable(Op::Create.text(), error.to_string()))?;
        Ok(Secret::new(format!("{}-aA1", URL_SAFE_NO_PAD.encode(bytes))))
    }
}

/// F7: only ASCII letters fold; `ı` and `i` are never one name.
pub(in crate::provision) fn same(rule: CaseRule, one: &str, other: &str) -> bool {
    match rule {
        CaseRule::Sensitive => one == other,
        CaseRule::Insensitive => one.eq_ignore_ascii_case(other),
    }
}

fn group(name: &str, values: &[(&str, Option<&str>)]) -> Scope {
    let mut scope = Scope::default();
    for (key, value) in values {
        if let Some(value) = value {
            scope.put(name, key, Json::from(*value));
        }
    }
    scope
}

fn named(mut scope: Scope, kind: &str, name: &str) -> Scope {
    scope.put(kind, "name", Json::from(name));
    scope
}

/// The fields of a profile that are there.
fn profile_values(profile: &AccountProfile) -> Map<String, Json> {
    let mut values = Map::new();
    let username = Some(&profile.username).filter(|username| !username.is_empty());
    let fields = [
        ("username", username),
        ("email", profile.email.as_ref()),
        ("display_name", profile.display_name.as_ref()),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            values.insert(name.to_owned(), Json::from(value.as_str()));
        }
    }
    let attributes =
        profile.attributes.iter().map(|(name, value)| (name.clone(), Json::from(value.as_str())));
    values.insert("attributes".to_owned(), Json::Object(attributes.collect()));
    values
}

fn profile_scope(name: &str, profile: &AccountProfile) -> Scope {
    Scope::default().with(name, Json::Object(profile_values(profile)))
}

fn account_scope(account: &Account) -> Scope {
    let mut scope = profile_scope("account", &account.profile);
    scope.put("account", "id", Json::from(account.id.0.as_str()));
    scope
}
