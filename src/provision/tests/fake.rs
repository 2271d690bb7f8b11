//! An application in memory that records every call and fails when told to.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;

use crate::model::{Account, AccountId, AccountProfile, Entitlements};
use crate::provision::connector::*;
use crate::provision::plan::changed;

pub(crate) struct Fake {
    features: Features,
    pub(super) state: Mutex<State>,
}

pub(super) struct State {
    pub(super) accounts: Vec<Account>,
    /// Every call, by name; writes start with `!`.
    pub(super) calls: Vec<String>,
    /// What the next calls of an operation do instead.
    script: Vec<(&'static str, Mishap)>,
    pub(super) names: BTreeMap<Kind, Vec<Named>>,
    next_id: u64,
    pub(super) own_account: Option<AccountId>,
}

/// What goes wrong with one call.
#[derive(Clone)]
pub(crate) enum Mishap {
    /// Before anything took effect.
    Error(ConnectorError),
    /// After it took effect.
    AnswerLost,
    /// Never answers.
    Hangs,
}

pub(crate) fn unreachable(sent: bool) -> Mishap {
    Mishap::Error(ConnectorError::Unreachable { operation: "fake", reason: "refused".to_owned(), sent })
}

pub(super) fn names(list: &[(&str, bool)]) -> Vec<Named> {
    list.iter()
        .map(|(name, privileged)| Named { name: (*name).to_owned(), privileged: *privileged })
        .collect()
}

pub(super) fn features() -> Features {
    let attribute = |required, claims: &[&str], shape| AttributeSpec {
        required,
        claims: claims.iter().map(|claim| (*claim).to_owned()).collect(),
        shape,
    };
    Features {
        name: "fake".to_owned(),
        title: "Fake".to_owned(),
        roles: true,
        teams: true,
        team_roles: true,
        app_groups: true,
        permissions: true,
        owner: true,
        can_create_team: true,
        can_deactivate: true,
        can_reactivate: true,
        can_delete: true,
        attributes: BTreeMap::from([
            (
                "username".to_owned(),
                attribute(true, &["preferred_username", "email"], AttributeShape::Username),
            ),
            ("email".to_owned(), attribute(true, &["email"], AttributeShape::Email)),
            ("display_name".to_owned(), attribute(false, &["name"], AttributeShape::Text)),
        ]),
        ..Features::default()
    }
}

pub(crate) fn account(id: &str, username: &str, email: &str) -> Account {
    Account {
        id: AccountId(id.to_owned()),
        profile: AccountProfile {
            username: username.to_owned(),
            email: Some(email.to_owned()),
            ..AccountProfile::default()
        },
        active: true,
        privileged: false,
        entitlements: Entitlements { role: Some("user".to_owned()), ..Entitlements::default() },
    }
}

impl Fake {
    pub(crate) fn new() -> Self {
        let lists = BTreeMap::from([
            (Kind::Role, names(&[("user", false), ("reader", false), ("admin", true)])),
            (
                Kind::Team,
                names(&[
                    ("acme/developers", false),
                    ("acme/readers", false),
                    ("acme/owners", true),
                    ("public", false),
                    ("secret", false),
                ]),
            ),
            (Kind::TeamRole, names(&[("member", false), ("maintainer", false), ("owner", true)])),
            (Kind::AppGroup, names(&[("builders", false), ("newcomers", false)])),
            (Kind::Permission, names(&[("deploy", false), ("sudo", true)])),
        ]);
        let state = State {
            accounts: Vec::new(),
            calls: Vec::new(),
            script: Vec::new(),
            names: lists,
            next_id: 1,
            own_account: None,
        };
        Self { features: features(), state: Mutex::new(state) }
    }

    /// Cannot list what it has, nor does its recipe name it.
    pub(crate) fn lists_nothing(&mut self) {
        self.state.lock().unwrap().names.clear();
        self.features.fixed_roles.clear();
    }

    pub(crate) fn has(&self, account: Account) {
        self.state.lock().unwrap().accounts.push(account);
    }

    pub(crate) fn next(&self, operation: &'static str, mishap: Mishap) {
        self.state.lock().unwrap().script.push((operation, mishap));
    }

    pub(super) fn calls(&self, prefix: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.calls.iter().filter(|call| call.starts_with(prefix)).cloned().collect()
    }

    pub(super) fn writes(&self) -> Vec<String> {
        self.calls("!")
    }

    pub(super) fn forget_calls(&self) {
        self.state.lock().unwrap().calls.clear();
    }

    pub(super) fn accounts(&self) -> Vec<Account> {
        self.state.lock().unwrap().accounts.clone()
    }

    pub(crate) fn account(&self, username: &str) -> Account {
        let accounts = self.accounts();
        accounts.into_iter().find(|account| account.profile.username == username).unwrap()
    }

    /// Records, plays the mishap if one is due, else runs `effect`; yields so that others get a turn.
    async fn call<T>(
        &self,
        operation: &'static str,
        record: String,
        effect: impl FnOnce(&mut State) -> Result<T, ConnectorError>,
    ) -> Result<T, ConnectorError> {
        let mishap = {
            let mut state = self.state.lock().unwrap();
            state.calls.push(record);
            let due = state.script.iter().position(|(of, _)| *of == operation);
            due.map(|due| state.script.remove(due).1)
        };
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        match mishap {
            None => effect(&mut self.state.lock().unwrap()),
            Some(Mishap::Error(error)) => Err(error),
            Some(Mishap::AnswerLost) => {
                effect(&mut self.state.lock().unwrap())?;
                Err(ConnectorError::Unreachable { operation, reason: "timed out".to_owned(), sent: true })
            }
            Some(Mishap::Hangs) => std::future::pending().await,
        }
    }
}

fn privileged(state: &State, entitlements: &Entitlements) -> bool {
    let is = |kind, name: &String| {
        state
            .names
            .get(&kind)
            .is_some_and(|names| names.iter().any(|named| named.name == *name && named.privileged))
    };
    entitlements.owner || entitlements.role.as_ref().is_some_and(|role| is(Kind::Role, role))
}

#[async_trait]
impl Connector for Fake {
    fn features(&self) -> &Features {
        &self.features
    }

    async fn find(&self, by: FindBy<'_>) -> Result<Vec<Account>, ConnectorError> {
        let matches = |account: &Account| match by {
            FindBy::Id(id) => account.id == *id,
            FindBy::Email(email) => account
                .profile
                .email
                .as_ref()
                .is_some_and(|held| held.eq_ignore_ascii_case(&email.to_string())),
            FindBy::Username(username) => {
                account.profile.username.eq_ignore_ascii_case(username) || account.id.0 == username
            }
            FindBy::Privileged => account.active && (account.privileged || account.entitlements.owner),
            FindBy::Everybody => true,
        };
        self.call("find", format!("find {by:?}"), |state| {
            Ok(state.accounts.iter().filter(|account| matches(account)).cloned().collect())
        })
        .await
    }

    async fn create(&self, wanted: &AccountProfile, role: Option<&str>) -> Result<Account, ConnectorError> {
        let record = format!("!create {} {role:?}", wanted.username);
        self.call("create", record, |state| {
            let taken = state.accounts.iter().any(|account| {
                account.profile.username.eq_ignore_ascii_case(&wanted.username)
                    || (wanted.email.is_some() && account.profile.email == wanted.email)
            });
            if taken {
                let excerpt = "taken".to_owned();
                return Err(ConnectorError::Conflict { operation: "create", excerpt });
            }
            let entitlements = Entitlements { role: role.map(str::to_owned), ..Entitlements::default() };
            let account = Account {
                id: AccountId(format!("id-{}", state.next_id)),
                profile: wanted.clone(),
                active: true,
                privileged: privileged(state, &entitlements),
                entitlements,
            };
            state.next_id += 1;
            state.accounts.push(account.clone());
            Ok(account)
        })
        .await
    }

    async fn update(&self, account: &Account, profile: &AccountProfile) -> Result<(), ConnectorError> {
        self.call("update", format!("!update {}", account.id), |state| {
            let held = state.accounts.iter_mut().find(|held| held.id == account.id);
            let held = held.ok_or(ConnectorError::NotFound { operation: "update" })?;
            held.profile.username.clone_from(&profile.username);
            if profile.email.is_some() {
                held.profile.email.clone_from(&profile.email);
            }
            if profile.display_name.is_some() {
                held.profile.display_name.clone_from(&profile.display_name);
            }
            held.profile.attributes.extend(profile.attributes.clone());
            Ok(())
        })
        .await
    }

    async fn set_entitlements(
        &self,
        account: &Account,
        change: &EntitlementChange,
    ) -> Result<(), ConnectorError> {
        self.call("entitle", format!("!entitle {}", account.id), |state| {
            for team in change.add.teams.keys() {
                let teams = state.names.get(&Kind::Team);
                if teams.is_some_and(|teams| teams.iter().all(|named| named.name != *team)) {
                    return Err(ConnectorError::NotFound { operation: "entitle" });
                }
            }
            let at = state.accounts.iter().position(|held| held.id == account.id);
            let at = at.ok_or(ConnectorError::NotFound { operation: "entitle" })?;
            let now = changed(state.accounts[at].clone(), change);
            let privileged = privileged(state, &now.entitlements);
            state.accounts[at] = Account { privileged, ..now };
            Ok(())
        })
        .await
    }

    async fn create_team(&self, team: &str) -> Result<(), ConnectorError> {
        self.call("create_team", format!("!create_team {team}"), |state| {
            let teams = state.names.entry(Kind::Team).or_default();
            if teams.iter().any(|named| named.name == team) {
                let excerpt = "team exists".to_owned();
                return Err(ConnectorError::Conflict { operation: "create_team", excerpt });
            }
            teams.push(Named { name: team.to_owned(), privileged: false });
            Ok(())
        })
        .await
    }

    async fn deactivate(&self, account: &Account) -> Result<(), ConnectorError> {
        self.call("deactivate", format!("!deactivate {}", account.id), |state| {
            for held in state.accounts.iter_mut().filter(|held| held.id == account.id) {
                held.active = false;
            }
            Ok(())
        })
        .await
    }

    async fn reactivate(&self, account: &Account) -> Result<(), ConnectorError> {
        self.call("reactivate", format!("!reactivate {}", account.id), |state| {
            for held in state.accounts.iter_mut().filter(|held| held.id == account.id) {
                held.active = true;
            }
            Ok(())
        })
        .await
    }

    async fn transfer(&self, account: &Account, heir: &Account) -> Result<(), ConnectorError> {
        self.call("transfer", format!("!transfer {} {}", account.id, heir.id), |_| Ok(())).await
    }

    async fn delete(&self, account: &Account) -> Result<(), ConnectorError> {
        self.call("delete", format!("!delete {}", account.id), |state| {
            state.accounts.retain(|held| held.id != account.id);
            Ok(())
        })
        .await
    }

    async fn list(&self, kind: Kind) -> Result<Option<Vec<Named>>, ConnectorError> {
        self.call("list", format!("list {kind:?}"), |state| Ok(state.names.get(&kind).cloned())).await
    }

    async fn check(&self) -> Result<Checked, ConnectorError> {
        self.call("check", "check".to_owned(), |state| {
            Ok(Checked { version: None, own_account: state.own_account.clone() })
        })
        .await
    }
}
