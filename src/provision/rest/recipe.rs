//! A recipe as meant: one application's admin API, checked whole, ready to run.

use std::collections::BTreeMap;

use http::{HeaderName, Method};
use serde_json_path::JsonPath;

use crate::provision::connector::Features;

use super::auth::BearerForm;
use super::load::CREDENTIALS;
use super::read::Reader;
use super::text::{Formula, Leaf, Piece, Tree};

/// One application's recipe.
#[derive(Debug)]
pub(in crate::provision) struct Recipe {
    pub(in crate::provision) features: Features,
    pub(in crate::provision) credentials: Vec<CredentialKind>,
    pub(in crate::provision) bearer: BearerForm,
    pub(in crate::provision) privileged: Privileged,
    pub(in crate::provision) protocol: Protocol,
}

/// How the application is spoken to.
#[derive(Debug)]
pub(in crate::provision) enum Protocol {
    Rest(Box<Rest>),
    /// SCIM 2.0, which needs no operations of its own.
    Scim(ScimOptions),
    /// Signed events to a receiver of the operator's.
    Webhook,
}

/// What a SCIM application makes of SCIM's own words.
#[derive(Debug, Clone)]
pub(in crate::provision) struct ScimOptions {
    /// Groups are teams; else application groups, or nothing.
    pub(in crate::provision) groups: ScimGroups,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::provision) enum ScimGroups {
    Teams,
    AppGroups,
    Unused,
}

/// The operations of a REST API.
#[derive(Debug)]
pub(in crate::provision) struct Rest {
    pub(super) team_parts: Option<TeamParts>,
    pub(super) account: AccountReaders,
    pub(super) errors: Vec<Outcome>,
    pub(super) pagination: Option<Pagination>,
    pub(super) operations: BTreeMap<Op, Operation>,
}

/// Kinds of credentials, as `application.credential` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::provision) enum CredentialKind {
    None,
    Bearer,
    Basic,
    Header,
    ClientCredentials,
    Login,
    Signing,
}

impl CredentialKind {
    /// Its key in `application.credential`, and what recipes call it; "none" for the absence of any.
    pub(in crate::provision) fn key(self) -> &'static str {
        CREDENTIALS.iter().find(|(_, known)| *known == self).map_or("none", |(key, _)| *key)
    }
}

/// Names of either kind may be patterns: exact, `prefix*` or `*suffix`.
#[derive(Debug, Default)]
pub(in crate::provision) struct Privileged {
    pub(in crate::provision) roles: Vec<String>,
    pub(in crate::provision) teams: Vec<String>,
    pub(in crate::provision) app_groups: Vec<String>,
    pub(in crate::provision) permissions: Vec<String>,
}

/// How a team's name is put together, e.g. `org/name`.
#[derive(Debug)]
pub(super) struct TeamParts {
    pub(super) names: Vec<String>,
    pub(super) separator: String,
}

/// How an account is read out of a JSON object.
#[derive(Debug)]
pub(super) struct AccountReaders {
    pub(super) id: Reader,
    pub(super) username: Reader,
    pub(super) email: Option<Reader>,
    pub(super) display_name: Option<Reader>,
    pub(super) active: Option<Reader>,
    pub(super) privileged: Option<Reader>,
    pub(super) role: Option<Reader>,
    pub(super) teams: Option<Reader>,
    pub(super) app_groups: Option<Reader>,
    pub(super) permissions: Option<Reader>,
    pub(super) owner: Option<Reader>,
    pub(super) attributes: Vec<(String, Reader)>,
}

/// What an answer with this status, and this text in it, means.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) statuses: Vec<u16>,
    pub(super) contains: Option<String>,
    pub(super) at: Option<JsonPath>,
    pub(super) means: Meaning,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The operation is done; further steps are left out.
    Done,
    /// Go on with the next step.
    Next,
    Conflict,
    NotFound,
    NoSeats,
    Credential,
    Refused,
}

#[derive(Debug)]
pub(super) struct Pagination {
    pub(super) style: PageStyle,
    pub(super) limit: Option<(String, usize)>,
    pub(super) max_pages: usize,
    pub(super) total: Option<Reader>,
    pub(super) total_header: Option<HeaderName>,
}

#[derive(Debug)]
pub(super) enum PageStyle {
    /// `?page=N`
    Page { parameter: String, first: usize },
    /// `?offset=N`: how many are there already.
    Offset { parameter: String },
    /// `Link: <…>; rel="next"` (RFC 8288): its query, on our own URL.
    Link,
    /// `?cursor=…` as the answer says.
    Cursor { parameter: String, next: Reader },
}

/// One operation: steps in order.
#[derive(Debug)]
pub(super) struct Operation {
    /// Another operation whose steps come first, for what it saves.
    pub(super) begin: Option<Op>,
    pub(super) steps: Vec<Step>,
    /// The name of each item, where the operation lists names.
    pub(super) name: Option<Reader>,
    /// The team role of each item, where it lists an account's teams.
    pub(super) role: Option<Reader>,
    /// Whether an item is privileged, where the operation lists what the application has and its API says so.
    pub(super) privileged: Option<Reader>,
}

/// One request, or one per item of a list collected before.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) method: Method,
    pub(super) path: Vec<Vec<Piece>>,
    pub(super) query: Vec<(String, Leaf)>,
    pub(super) headers: Vec<(HeaderName, Leaf)>,
    pub(super) body: StepBody,
    pub(super) expect: Vec<u16>,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) paged: bool,
    pub(super) items: Option<JsonPath>,
    pub(super) keep: Option<Formula>,
    pub(super) save: Vec<(String, Reader)>,
    pub(super) collect: Option<String>,
    pub(super) each: Option<String>,
    pub(super) when: Option<Formula>,
    /// Sent without the credential.
    pub(super) anonymous: bool,
}

#[derive(Debug)]
pub(super) enum StepBody {
    None,
    Json(Tree),
    Form(Vec<(String, Leaf)>),
}

/// What an operation's answer is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    Nothing,
    Accounts,
    Names,
    /// Values that its steps must save.
    Saved(&'static [&'static str]),
}

macro_rules! operations {
    ($($op:ident $key:literal $text:literal $gives:expr, [$($name:literal),*];)*) => {
        /// What a recipe can say how to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Op { $($op),* }

        impl Op {
            pub(super) const ALL: &'static [Op] = &[$(Op::$op),*];

            /// Its key below `[operations]`.
            pub(super) fn key(self) -> &'static str {
                match self { $(Op::$op => $key),* }
            }

            /// As errors name it.
            pub(super) fn text(self) -> &'static str {
                match self { $(Op::$op => $text),* }
            }

            pub(super) fn gives(self) -> Gives {
                match self { $(Op::$op => $gives),* }
            }

            /// The variables that its templates may use.
            pub(super) fn names(self) -> &'static [&'static str] {
                match self { $(Op::$op => &[$($name),*]),* }
            }
        }
    };
}

operations! {
    Login "login" "log in at the API" Gives::Saved(&["token"]), ["login.username", "login.password"];
    Check "check" "check the API" Gives::Saved(&[]), [];
    FindById "find_by_id" "find the account by its id" Gives::Accounts, ["account.id"];
    FindByEmail "find_by_email" "find the account by e-mail" Gives::Accounts, ["wanted.email"];
    FindByUsername "find_by_username" "find the account by username" Gives::Accounts, ["wanted.username"];
    ListPrivileged "list_privileged" "list the privileged accounts" Gives::Accounts, [];
    ListAccounts "list_accounts" "list the accounts" Gives::Accounts, [];
    Create "create" "create the account" Gives::Accounts,
        ["wanted.username", "wanted.email", "wanted.display_name", "wanted.role", "wanted.attributes.*", "random_password"];
    Update "update" "update the account" Gives::Nothing,
        ["account.id", "account.username", "account.email", "account.display_name", "wanted.username",
         "wanted.email", "wanted.display_name", "wanted.attributes.*"];
    SetRole "set_role" "set the role" Gives::Nothing, ["account.id", "account.username", "account.email", "role.name"];
    RoleOf "role_of" "read the account's role" Gives::Names, ["account.id", "account.username", "account.email"];
    ListRoles "list_roles" "list the roles" Gives::Names, [];
    ListTeams "list_teams" "list the teams" Gives::Names, [];
    ListTeamRoles "list_team_roles" "list the team roles" Gives::Names, [];
    ListAppGroups "list_app_groups" "list the groups" Gives::Names, [];
    ListPermissions "list_permissions" "list the permissions" Gives::Names, [];
    Current "current" "read the account as it is now" Gives::Nothing, ["account.id", "account.username", "account.email"];
    FindTeam "find_team" "find the team" Gives::Nothing, ["team.*"];
    TeamsOf "teams_of" "read the account's teams" Gives::Names, ["account.id", "account.username", "account.email"];
    AddTeam "add_team" "add the account to the team" Gives::Nothing, ["account.id", "account.username", "account.email", "team.*"];
    RemoveTeam "remove_team" "remove the account from the team" Gives::Nothing, ["account.id", "account.username", "account.email", "team.*"];
    CreateTeam "create_team" "create the team" Gives::Nothing, ["team.*"];
    AppGroupsOf "app_groups_of" "read the account's groups" Gives::Names, ["account.id", "account.username", "account.email"];
    AddAppGroup "add_app_group" "add the account to the group" Gives::Nothing, ["account.id", "account.username", "account.email", "group.name"];
    RemoveAppGroup "remove_app_group" "remove the account from the group" Gives::Nothing, ["account.id", "account.username", "account.email", "group.name"];
    PermissionsOf "permissions_of" "read the account's permissions" Gives::Names, ["account.id", "account.username", "account.email"];
    AddPermission "add_permission" "give the permission" Gives::Nothing, ["account.id", "account.username", "account.email", "permission.name"];
    RemovePermission "remove_permission" "take the permission" Gives::Nothing, ["account.id", "account.username", "account.email", "permission.name"];
    SetOwner "set_owner" "make the account an owner" Gives::Nothing, ["account.id", "account.username", "account.email"];
    UnsetOwner "unset_owner" "end the account's ownership" Gives::Nothing, ["account.id", "account.username", "account.email"];
    Deactivate "deactivate" "deactivate the account" Gives::Nothing, ["account.id", "account.username", "account.email"];
    Reactivate "reactivate" "reactivate the account" Gives::Nothing, ["account.id", "account.username", "account.email"];
    Transfer "transfer" "hand over what the account owns" Gives::Nothing,
        ["account.id", "account.username", "account.email", "heir.id", "heir.username", "heir.email"];
    Delete "delete" "delete the account" Gives::Nothing, ["account.id", "account.username", "account.email"];
}

impl Op {
    /// Whether it lists names that the application has, which may say of each whether it is privileged.
    pub(super) fn lists(self) -> bool {
        matches!(self, Self::ListRoles | Self::ListTeams | Self::ListAppGroups | Self::ListPermissions)
    }
}

impl Privileged {
    /// Whether one of `patterns` names `name`.
    pub(in crate::provision) fn matches(patterns: &[String], name: &str) -> bool {
        crate::provision::connector::names_match(patterns, name)
    }
}
