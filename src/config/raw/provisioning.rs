//! `[provisioning]` as written; see PROVISIONING.md for the rules behind each key.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::lifecycle::{OnMissing, Sync, SyncRemoves};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    Off,
    Jit,
    Scim,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unprovisioned {
    Deny,
    Forward,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownRole {
    Default,
    Deny,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownTeam {
    Skip,
    Deny,
    Create,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnExisting {
    Adopt,
    Deny,
    Ask,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    Deny,
    Admit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionRoles {
    Headers,
    Borrow,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupsAbsent {
    Unknown,
    None,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provisioning {
    /// "jit": an account is made at the first login. "scim": accounts are made by a SCIM client (`[scim]`), and people
    /// whom it did not push are as with "off". "off": none is made.
    #[schemars(extend("default" = "off"))]
    pub mode: Option<Mode>,
    /// true: sign-ins are resolved and planned and nothing is written in the application; people without an account
    /// through narthex get a session without account. `narthex shadow` says what would have happened to whom. The way
    /// to roll out on a live application.
    #[schemars(extend("default" = false))]
    pub shadow: Option<bool>,
    /// With mode "off", a person without an account gets no session ("deny"), or one without account ("forward":
    /// account.* is undefined, headers made from it are omitted).
    #[schemars(extend("default" = "deny"))]
    pub unprovisioned: Option<Unprovisioned>,
    /// The role of everybody who is given no other. Required with mode "jit" where the application has roles; may
    /// not be a privileged one.
    pub default_role: Option<String>,
    /// Name or path of the claim whose first value is the role; of several, the first that has one. A privileged role
    /// is never taken from it.
    pub role_claim: Option<ClaimNames>,
    /// Name or path of the claim that mapping rows look into; of several, all together. Where one of them is absent,
    /// the person's groups count as not wholly known (see groups_absent).
    pub groups_claim: Option<ClaimNames>,
    /// A claim that names teams directly, within assignable_teams.
    pub teams_claim: Option<TeamsClaim>,
    /// The teams that teams_claim may name: exact, or "prefix/*".
    #[schemars(extend("default" = []))]
    pub assignable_teams: Option<Vec<String>>,
    /// What a group gives. Every matching row counts for teams, app_groups and permissions; the first for the role
    /// and for the role within one team. Groups match exactly. narthex mapping import reads the JSON form.
    #[schemars(extend("default" = []))]
    pub mapping: Option<Vec<MappingRow>>,
    /// Members of these groups become owners of the application.
    #[schemars(extend("default" = []))]
    pub owners_groups: Option<Vec<String>>,
    /// A role that the application does not have: take the default_role (and say so in the audit log), or refuse
    /// the login.
    #[schemars(extend("default" = "default"))]
    pub unknown_role: Option<UnknownRole>,
    /// A team that the application does not have: leave it out (and say so), refuse the login, or make the team.
    #[schemars(extend("default" = "skip"))]
    pub unknown_team: Option<UnknownTeam>,
    /// When an account's role, teams, groups, permissions and profile are made what the identity provider says: at the
    /// account's creation only, at every sign-in, or those of a list at every sign-in.
    #[schemars(extend("default" = "create_only"))]
    pub sync: Option<Sync>,
    /// What sync takes away when the identity provider does not give it any more: what it had given, or also what was
    /// given by hand.
    #[schemars(extend("default" = "given"))]
    pub sync_removes: Option<SyncRemoves>,
    /// Sync takes people out of these teams only: exact, "prefix/*", or "*".
    #[schemars(extend("default" = ["*"]))]
    pub managed_teams: Option<Vec<String>>,
    /// Whether sync of the profile renames accounts when the username at the identity provider changes.
    #[schemars(extend("default" = false))]
    pub rename: Option<bool>,
    /// What sync takes away, and accounts that deactivate_after_inactive ends, in an hour, all replicas together.
    /// Further ones wait, and the audit log says so.
    #[schemars(extend("default" = 20), range(min = 0, max = 1_000_000))]
    pub max_removals: Option<u32>,
    /// Accounts that are made while this is on are deleted when the person's last session ends. Needs a durable store.
    #[schemars(extend("default" = false))]
    pub delete_at_session_end: Option<bool>,
    /// With delete_at_session_end, an account and its sessions end after this long at the latest.
    #[schemars(extend("default" = "24h"))]
    pub ephemeral_max_lifetime: Option<String>,
    /// What becomes of the account of a person whose access ends: "deactivate" or "delete". What the person owns in the
    /// application is never deleted with it.
    #[schemars(extend("default" = "deactivate"))]
    pub leaver: Option<String>,
    /// Accounts of people who did not sign in for this long are treated as leaver says. Absent: never.
    pub deactivate_after_inactive: Option<String>,
    /// An account that is gone from the application: make it anew at the next sign-in, or refuse that.
    #[schemars(extend("default" = "recreate"))]
    pub on_missing: Option<OnMissing>,
    /// What people get whom the identity provider gave no team, application group or permission.
    #[schemars(extend("default" = {}))]
    pub onboarding: Option<Onboarding>,
    /// People who are invited through the admin API or `narthex invite`.
    #[schemars(extend("default" = {}))]
    pub invite: Option<InviteSettings>,
    /// The account's attributes by the connector's names (narthex connector show). A connector brings its own
    /// pre-filled; only what shall differ needs to stand here.
    #[schemars(extend("default" = {}))]
    pub attributes: Option<BTreeMap<String, Attribute>>,
    /// Only people with a verified e-mail address of these domains come in, at every login; "*.example.com" allows
    /// subdomains. Empty: any.
    #[schemars(extend("default" = []))]
    pub allowed_email_domains: Option<Vec<String>>,
    /// The application already has an account with the person's verified e-mail address: take it over, refuse the
    /// login, or have an administrator decide ("ask": the person waits, `narthex case list` has what waits). Without an
    /// administrator's decision privileged accounts are never taken over, protected ones not even with it. Adopting trusts the application's own
    /// addresses: where people can register or change theirs unchecked, somebody may be waiting under another's.
    #[schemars(extend("default" = "adopt"))]
    pub on_existing: Option<OnExisting>,
    /// true: a person of another identity provider whose verified e-mail address is that of a member's account becomes
    /// the same member, with one account, if that member's own identity provider vouched for the address too. false: an
    /// administrator decides on each. A new subject of the same identity provider that comes with a member's address,
    /// and whoever comes with that of a privileged account, always waits for an administrator.
    #[schemars(extend("default" = false))]
    pub link_identities: Option<bool>,
    /// Also look for existing accounts by username. Only where usernames at the identity provider cannot be
    /// chosen freely.
    #[schemars(extend("default" = false))]
    pub match_username: Option<bool>,
    /// Usernames or e-mail addresses of accounts that narthex never touches.
    #[schemars(extend("default" = []))]
    pub protected_accounts: Option<Vec<String>>,
    /// A role or teams that differ from the account's own hold for the session: in headers and token ("headers"), in the
    /// application itself until the last session ends ("borrow", which needs a durable store), or not at all ("off").
    #[schemars(extend("default" = "headers"))]
    pub session_roles: Option<SessionRoles>,
    /// While the application's API cannot be reached: refuse sign-ins, with a page to try again ("deny"), or let those in
    /// who have an account already ("admit"): the session starts with what narthex itself gave to the account and what
    /// the identity provider says, and a durable job does the rest. Never where the sign-in could take something away,
    /// where session_roles is "borrow", or before this process has seen the application's roles and teams once.
    #[schemars(extend("default" = "deny"))]
    pub on_error: Option<OnError>,
    /// An absent groups claim: nothing is known about the person's groups ("unknown"), or they have none ("none").
    #[schemars(extend("default" = "unknown"))]
    pub groups_absent: Option<GroupsAbsent>,
    /// The whole of provisioning at one login takes at most this long.
    #[schemars(extend("default" = "15s"))]
    pub time_budget: Option<String>,
    /// One call to the application's admin API takes at most this long, answer included.
    #[schemars(extend("default" = "5s"))]
    pub call_timeout: Option<String>,
    /// Reaching the application's admin API takes at most this long.
    #[schemars(extend("default" = "2s"))]
    pub connect_timeout: Option<String>,
}

/// Where something is looked for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ClaimNames {
    /// The name or path of a claim.
    One(String),
    /// Several of them.
    Several(Vec<String>),
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TeamsClaim {
    /// Name or path of the claim; of several, all together. "Team::Role" names the role within the team too, where
    /// the application has such.
    #[schemars(required)]
    pub claim: Option<ClaimNames>,
    /// Splits one value into several. Absent: each value is one team.
    pub separator: Option<String>,
}

/// For whom (group, when, or both), and exactly one of role, team, app_groups and permission.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MappingRow {
    /// The group's name or id, exactly as the claim has it. Absent: when alone decides.
    pub group: Option<String>,
    /// The group's name for people, where group is an opaque id.
    pub label: Option<String>,
    /// Only for people of this identity provider. Absent: of any.
    pub idp: Option<String>,
    /// An expression that must be true as well (docs/variables.md: claims.*, subject, idp.id). An error in it, such as
    /// an absent claim, means that the row does not match; the audit log and narthex explain tell it, and nothing that
    /// the person has is taken away for it.
    pub when: Option<String>,
    /// The application-wide role.
    pub role: Option<String>,
    /// Must be true where what the row gives is privileged in the application.
    pub privileged: Option<bool>,
    /// A team.
    pub team: Option<String>,
    /// The role within the team.
    pub team_role: Option<String>,
    /// Application groups.
    pub app_groups: Option<Vec<String>>,
    /// A permission.
    pub permission: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Onboarding {
    /// Teams.
    #[schemars(extend("default" = []))]
    pub teams: Option<Vec<String>>,
    /// Application groups.
    #[schemars(extend("default" = []))]
    pub app_groups: Option<Vec<String>>,
}

/// At most one of claim, constant and template.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    /// Name or path of the claim to take it from; of several, the first that has a usable value.
    pub claim: Option<ClaimNames>,
    /// The same value for everybody.
    pub constant: Option<String>,
    /// A template over claims.*, subject and idp.id.
    pub template: Option<String>,
    /// Whether a login without it is refused. Absent: as the connector says.
    pub required: Option<bool>,
    /// false: the attribute is not sent at all.
    #[schemars(extend("default" = true))]
    pub enabled: Option<bool>,
}

impl ClaimNames {
    /// All of them, in order.
    #[must_use]
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteSettings {
    /// true: an invited person need not be of allowed_email_domains. The identity provider must still vouch for the
    /// address.
    #[schemars(extend("default" = false))]
    pub allow_external: Option<bool>,
}
