//! What speaks to one application's admin API.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::model::{Account, AccountId, AccountProfile, EmailAddress, Entitlements};

/// One application's admin API. Implementations encode whatever they are given for the place that it goes to
/// (PROVISIONING.md G5) and check whatever comes back (A4).
#[async_trait]
pub trait Connector: Send + Sync {
    fn features(&self) -> &Features;

    /// Accounts that match, at most a handful; the caller compares again.
    async fn find(&self, by: FindBy<'_>) -> Result<Vec<Account>, ConnectorError>;

    /// Creates an account without entitlements beyond those that the API takes at creation; returns it as
    /// the application now has it.
    async fn create(&self, wanted: &AccountProfile, role: Option<&str>) -> Result<Account, ConnectorError>;

    /// Changes the named profile fields only.
    async fn update(&self, account: &Account, profile: &AccountProfile) -> Result<(), ConnectorError>;

    /// Adds and removes what `change` says; idempotent.
    async fn set_entitlements(
        &self,
        account: &Account,
        change: &EntitlementChange,
    ) -> Result<(), ConnectorError>;

    async fn create_team(&self, team: &str) -> Result<(), ConnectorError>;

    async fn deactivate(&self, account: &Account) -> Result<(), ConnectorError>;

    /// Undoes [`Connector::deactivate`]; an account that is active is success.
    async fn reactivate(&self, account: &Account) -> Result<(), ConnectorError>;

    /// Hands what `account` owns in the application to `heir` (E6); what is handed over already is success.
    async fn transfer(&self, account: &Account, heir: &Account) -> Result<(), ConnectorError>;

    /// Deletes; an account that is gone already is success.
    async fn delete(&self, account: &Account) -> Result<(), ConnectorError>;

    /// All names of one kind that the application has; `None` where its API cannot tell.
    async fn list(&self, kind: Kind) -> Result<Option<Vec<Named>>, ConnectorError>;

    /// Reaches the API with the credential, read-only.
    async fn check(&self) -> Result<Checked, ConnectorError>;
}

/// How [`Connector::find`] looks.
#[derive(Debug, Clone, Copy)]
pub enum FindBy<'a> {
    Id(&'a AccountId),
    Email(&'a EmailAddress),
    Username(&'a str),
    /// Every active account that holds a privileged role or ownership (G1).
    Privileged,
    /// Every account, active or not, without its teams, groups and permissions. [`ConnectorError::Unsupported`] where the
    /// connector cannot list them.
    Everybody,
}

/// What to make different. Empty means: nothing to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntitlementChange {
    pub role: Option<String>,
    pub add: Entitlements,
    pub remove: Entitlements,
}

/// Kinds of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Role,
    Team,
    TeamRole,
    AppGroup,
    Permission,
}

/// One name that the application has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    pub privileged: bool,
}

/// What [`Connector::check`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// As the application says.
    pub version: Option<String>,
    /// The account whose credential narthex uses; never touched (G2).
    pub own_account: Option<AccountId>,
}

/// What one connector can do and needs; from its recipe.
#[derive(Debug, Clone, Default)]
pub struct Features {
    pub name: String,
    pub title: String,
    /// The version that the test suite ran against; `None`: untested.
    pub tested_against: Option<String>,
    /// The kinds of credentials that it takes, by their keys in `application.credential`; "none": also without one.
    pub credentials: Vec<&'static str>,
    pub help: Help,
    /// Kinds of entitlements that the application has (M, words).
    pub roles: bool,
    pub teams: bool,
    pub team_roles: bool,
    pub app_groups: bool,
    pub permissions: bool,
    pub owner: bool,
    pub can_create_team: bool,
    pub can_deactivate: bool,
    pub can_reactivate: bool,
    pub can_transfer: bool,
    pub can_delete: bool,
    /// Built-in roles, where the API cannot list them.
    pub fixed_roles: Vec<Named>,
    /// Names that are privileged whether or not they can be listed: exact, `prefix*` or `*suffix`.
    pub privileged: BTreeMap<Kind, Vec<String>>,
    /// Account attributes: name to how it is pre-filled (F2).
    pub attributes: BTreeMap<String, AttributeSpec>,
    pub username_case: CaseRule,
    pub email_case: CaseRule,
    /// Session cookies of the application (E7): exact names, or `prefix*`.
    pub session_cookies: Vec<String>,
    /// A request to this path ends our session too (E7).
    pub logout_path: Option<String>,
    /// Further headers that the application believes; managed like ours (SECURITY.md, invariant 2).
    pub trusted_headers: Vec<String>,
}

/// What people have to do for a connector to work, in sentences.
#[derive(Debug, Clone, Default)]
pub struct Help {
    /// Which credential: whose, and with which scopes.
    pub credential: Option<String>,
    /// Which URL the application's is.
    pub url: Option<String>,
    /// What has to be set in the application.
    pub application: Option<String>,
    /// The same as the lines of the application's own file.
    pub settings: Option<String>,
}

impl Features {
    /// What it can do, in the words of X3: the same wherever an application is chosen.
    #[must_use]
    pub fn labels(&self) -> Vec<&'static str> {
        // L2: whatever a session may borrow has to be given and taken back by API.
        let borrow = self.roles || self.teams || self.app_groups || self.permissions;
        [
            (true, "JIT"),
            (self.roles, "roles"),
            (self.teams, "teams"),
            (self.team_roles, "team roles"),
            (self.app_groups, "groups"),
            (self.permissions, "permissions"),
            (self.owner, "owner"),
            (borrow, "borrow"),
            (self.can_create_team, "create teams"),
            (self.can_deactivate && self.can_reactivate, "deactivate"),
            (self.can_transfer, "transfer"),
            (self.can_delete, "delete"),
            (self.attributes.contains_key("avatar"), "avatar"),
        ]
        .into_iter()
        .filter_map(|(can, label)| can.then_some(label))
        .collect()
    }

    /// What the test suite ran it against, if it did.
    #[must_use]
    pub fn tested(&self) -> String {
        self.tested_against.as_ref().map_or_else(
            || "untested: from the vendor's API description".to_owned(),
            |version| format!("tested against {version}"),
        )
    }

    /// Whether the recipe calls this name privileged, without regard to case: an application that folds
    /// names would give the privileged one for either spelling.
    #[must_use]
    pub fn is_privileged(&self, kind: Kind, name: &str) -> bool {
        let fixed = kind == Kind::Role
            && self.fixed_roles.iter().any(|role| role.privileged && role.name.eq_ignore_ascii_case(name));
        fixed || self.privileged.get(&kind).is_some_and(|patterns| names_match(patterns, name))
    }
}

/// Whether one of `patterns` (exact, `prefix*`, `*suffix`) names `name`, without regard to case.
pub(super) fn names_match(patterns: &[String], name: &str) -> bool {
    let name = name.to_lowercase();
    patterns.iter().map(|pattern| pattern.to_lowercase()).any(|pattern| {
        match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
            (Some(suffix), _) => name.ends_with(suffix),
            (None, Some(prefix)) => name.starts_with(prefix),
            (None, None) => name == pattern,
        }
    })
}

/// One attribute that an account has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeSpec {
    pub required: bool,
    /// Claims to take it from, in order, unless the configuration says otherwise.
    pub claims: Vec<String>,
    /// What a value must look like, and how one is made to: see the recipe format.
    pub shape: AttributeShape,
}

/// How an attribute's value is made to fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AttributeShape {
    #[default]
    Text,
    Email,
    /// The local part of an e-mail where a whole one is given; characters that the application refuses
    /// are replaced by `-`.
    Username,
    /// As [`AttributeShape::Username`], in lower case: for an application that signs people in under the
    /// lower-case form of their name whatever its API stores.
    LowerUsername,
    Url,
}

/// How the application compares names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CaseRule {
    Sensitive,
    #[default]
    Insensitive,
}

/// A call to the application that did not do what was wanted (A4).
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectorError {
    /// Not reached, or no answer in time. `sent`: the request may have taken effect.
    #[error("{operation}: the application could not be reached: {reason}")]
    Unreachable { operation: &'static str, reason: String, sent: bool },
    /// 429 or 503.
    #[error("{operation}: the application asks to wait{}", after.map(|a| format!(" {} s", a.as_secs())).unwrap_or_default())]
    Busy { operation: &'static str, after: Option<Duration> },
    /// It did not answer lately, so it was not asked (A3).
    #[error(
        "{operation}: the application did not answer lately and is left alone for {} s more", left.as_secs()
    )]
    LeftAlone { operation: &'static str, left: Duration },
    /// The application has one already (409 or what the recipe maps to it).
    #[error("{operation}: the application says that it exists already: {excerpt}")]
    Conflict { operation: &'static str, excerpt: String },
    #[error("{operation}: the application has no such object")]
    NotFound { operation: &'static str },
    #[error("{operation}: no seats left: {excerpt}")]
    NoSeats { operation: &'static str, excerpt: String },
    /// The credential is wrong, expired or lacks a right.
    #[error("{operation}: the application refused narthex's credential ({status}): {excerpt}")]
    Credential { operation: &'static str, status: u16, excerpt: String },
    /// Any other refusal. `excerpt`: the first 200 characters, secrets masked.
    #[error("{operation}: the application refused ({status}): {excerpt}")]
    Refused { operation: &'static str, status: u16, excerpt: String },
    /// An answer that the recipe does not expect.
    #[error("{operation}: unexpected answer ({status}): {expected}; got: {excerpt}")]
    Unexpected { operation: &'static str, status: u16, expected: String, excerpt: String },
    /// A value that cannot be sent safely, or at all (G5).
    #[error("{operation}: {what}")]
    Unsendable { operation: &'static str, what: String },
    /// A guard of narthex's own stopped the call before it was sent (G1, G2). `rule`: which.
    #[error("{operation}: {rule}: {what}")]
    Guarded { operation: &'static str, rule: &'static str, what: String },
    /// Whether a guard of narthex's own stops the call could not be told, so it was not sent (G1).
    #[error("{operation}: {rule} cannot be decided: {reason}")]
    Undecided { operation: &'static str, rule: &'static str, reason: String },
    /// The recipe declares no such operation.
    #[error("this application's connector cannot {operation}")]
    Unsupported { operation: &'static str },
}
