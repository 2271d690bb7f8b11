//! The configuration as meant: typed, checked, with every default filled in and every secret read.

mod admin;
mod idp;
mod lifecycle;
mod network;
mod notify;
mod scim;
mod store;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::written::Written;
use crate::expr::{Condition, Template};
use crate::model::{IdpId, Secret};

pub use admin::*;
pub use idp::*;
pub use lifecycle::*;
pub use network::*;
pub use notify::*;
pub use scim::*;
pub use store::*;

/// Everything that `serve` needs, from one file and its environment overrides.
#[derive(Debug, Clone)]
pub struct Settings {
    pub server: Server,
    pub upstream: Upstream,
    /// In the order of the file; ids are unique. Never empty.
    pub idps: Vec<Idp>,
    pub session: Session,
    pub store: Store,
    pub keys: Keys,
    pub outbound: Outbound,
    /// In the order of the file; paths are unique.
    pub routes: Vec<Route>,
    /// The application's identity headers, in the order of the file.
    pub headers: Vec<Header>,
    pub upstream_token: Option<UpstreamToken>,
    /// Absent: nothing is provisioned (`provisioning.mode = "off"`).
    pub application: Option<Application>,
    pub provisioning: Provisioning,
    pub settings_source: SettingsSource,
    pub network: Network,
    /// There exactly where `provisioning.mode = "scim"`.
    pub scim: Option<Scim>,
    pub admin: Admin,
    pub health: Health,
    pub notify: Notify,
    pub log: Log,
    /// What all this was read from.
    pub written: Written,
}

/// `[server]`
#[derive(Debug, Clone)]
pub struct Server {
    pub listen: SocketAddr,
    /// Scheme and authority that browsers use; path is `/`, no query. `http` only on a loopback host.
    pub public_url: Url,
    /// The reserved path prefix, `/.narthex` unless set: one or more whole segments, no trailing slash.
    pub prefix: String,
    /// Hops whose forwarded headers are believed. Empty: nobody. Never a network that contains everyone.
    pub trusted_proxies: Vec<IpNet>,
    pub tls: Option<TlsFiles>,
    /// Worker threads of the data plane; default: one per core.
    pub workers: usize,
    pub timeouts: Timeouts,
}

/// PEM files.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// `[server.timeouts]`
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// From accept to the end of the first request's head. Default 15 s.
    pub header_read: Duration,
    /// From the end of a response to the end of the next request's head. Default 75 s.
    pub keep_alive: Duration,
    /// How long a shutdown waits for requests in flight. Default 20 s.
    pub drain: Duration,
}

/// `[upstream]`
#[derive(Debug, Clone)]
pub struct Upstream {
    pub target: UpstreamTarget,
    /// Default 5 s.
    pub connect_timeout: Duration,
    /// From the end of the request to the response's head. Default 60 s.
    pub response_timeout: Duration,
    /// PEM roots for an `https` upstream beside the platform's.
    pub ca_file: Option<PathBuf>,
    /// The application's own session cookies, beside the connector's (PROVISIONING.md E7): names, or `prefix*`.
    pub session_cookies: Vec<String>,
    /// A request to it ends our session too; before the connector's.
    pub logout_path: Option<String>,
}

/// Where and how the application is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamTarget {
    Http {
        host: String,
        port: u16,
    },
    Https {
        host: String,
        port: u16,
    },
    /// HTTP/2 with prior knowledge, without TLS.
    H2c {
        host: String,
        port: u16,
    },
    Unix {
        path: PathBuf,
    },
}

/// `[session]`
#[derive(Debug, Clone)]
pub struct Session {
    /// Default 1 h.
    pub idle_timeout: Duration,
    /// Default 12 h.
    pub max_lifetime: Duration,
    /// Default 20; the oldest ends.
    pub max_per_member: usize,
    /// How long sessions in memory are honoured while the store is away. Default 5 min.
    pub offline_grace: Duration,
}

/// `[keys]`
#[derive(Debug, Clone)]
pub struct Keys {
    pub seal: SealKey,
}

/// The key that seals what lies in the store.
#[derive(Debug, Clone)]
pub enum SealKey {
    /// At least 32 bytes.
    Given(Secret),
    /// To be read from this file, and to be made there once if it is absent (the default with SQLite:
    /// beside the database, mode 0600).
    FileOrMake(PathBuf),
}

/// `[outbound]`
#[derive(Debug, Clone, Default)]
pub struct Outbound {
    /// PEM roots for identity providers and admin APIs beside the platform's; the file's content.
    pub extra_roots: Vec<u8>,
}

/// `[[route]]`
#[derive(Debug, Clone)]
pub struct Route {
    /// Canonical, whole segments, starts with `/`; without trailing slash unless it is `/`.
    pub path: String,
    pub access: Access,
    /// `encoded_slash = "keep"`.
    pub keep_encoded_slash: bool,
    /// Whether the application is told who it is, by identity headers and the upstream token.
    pub pass_identity: bool,
}

/// Who may pass a route.
#[derive(Debug, Clone)]
pub enum Access {
    Public,
    SignedIn,
    Deny,
    /// Signed in, and this is true.
    Allow(Condition),
}

/// One of `[headers]`
#[derive(Debug, Clone)]
pub struct Header {
    pub name: http::HeaderName,
    pub template: Template,
}

/// `[upstream_token]`
#[derive(Debug, Clone)]
pub struct UpstreamToken {
    pub header: http::HeaderName,
    /// `aud`; the public URL unless set.
    pub audience: String,
}

/// `[application]`
#[derive(Debug, Clone)]
pub struct Application {
    /// A shipped recipe's name, or a path to one (it contains a `/` or ends in `.toml`).
    pub connector: String,
    /// Base URL of the admin API.
    pub url: Url,
    pub credential: Credential,
}

/// How the admin API knows us.
#[derive(Debug, Clone)]
pub enum Credential {
    None,
    Bearer(Secret),
    Basic {
        username: String,
        password: Secret,
    },
    Header {
        name: http::HeaderName,
        value: Secret,
    },
    /// OAuth 2.0 client credentials (RFC 6749, 4.4).
    ClientCredentials {
        token_url: Url,
        client_id: String,
        client_secret: Secret,
        scope: Option<String>,
    },
    /// Username and password for the recipe's login call, which gives a token.
    Login {
        username: String,
        password: Secret,
    },
    /// What events are signed with (Standard Webhooks).
    Signing(Secret),
}

/// `[provisioning]`; PROVISIONING rules in brackets.
#[derive(Debug, Clone)]
pub struct Provisioning {
    pub mode: Mode,
    /// (M6)
    pub shadow: bool,
    /// (M3)
    pub unprovisioned: Unprovisioned,
    /// (F4) Mandatory where the application has roles.
    pub default_role: Option<String>,
    /// (F4) Paths of the claims of which the first with a value names the role.
    pub role_claim: Vec<String>,
    /// (F5) Paths of the claims that mapping rows look into, together.
    pub groups_claim: Vec<String>,
    /// (F5)
    pub teams_claim: Option<TeamsClaim>,
    /// (F5) Only these may `teams_claim` name. Patterns: exact, or `prefix/*`. Default: none.
    pub assignable_teams: Vec<String>,
    pub mapping: Vec<MappingRow>,
    /// (F5)
    pub owners_groups: Vec<String>,
    /// (F4)
    pub unknown_role: UnknownRole,
    /// (F5)
    pub unknown_team: UnknownTeam,
    /// (F3)
    pub onboarding: Onboarding,
    /// (F6) `invite.allow_external`: F1 does not hold for people who were invited.
    pub invite_allow_external: bool,
    /// (F2) By the names that the connector knows (`username`, `email`, `display_name`, …).
    pub attributes: BTreeMap<String, Attribute>,
    /// (F1) Lower-case ASCII domains or `*.domain`; empty: any.
    pub allowed_email_domains: Vec<String>,
    /// (F7)
    pub on_existing: OnExisting,
    /// (A2)
    pub on_error: OnError,
    /// (F8)
    pub link_identities: bool,
    /// (F7)
    pub match_username: bool,
    /// (G2) Usernames or e-mails, compared case-insensitively.
    pub protected_accounts: Vec<String>,
    /// (L2)
    pub session_roles: SessionRoles,
    pub lifecycle: Lifecycle,
    /// (L7) True for `groups_absent = "none"`: an absent groups claim counts as empty.
    pub absent_groups_are_none: bool,
    /// (A1) Default 15 s.
    pub time_budget: Duration,
    /// (A1) Default 5 s.
    pub call_timeout: Duration,
    /// (A1) Default 2 s.
    pub connect_timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Off,
    Jit,
    Scim,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unprovisioned {
    Deny,
    Forward,
}

/// `teams_claim = { claim, separator }`
#[derive(Debug, Clone)]
pub struct TeamsClaim {
    /// Together, in order; at least one.
    pub claim: Vec<String>,
    /// Splits one value into several, where set.
    pub separator: Option<String>,
}

/// `[[provisioning.mapping]]`
#[derive(Debug, Clone)]
pub struct MappingRow {
    /// `None`: `when` alone decides.
    pub group: Option<String>,
    /// For people, where `group` is an opaque id.
    pub label: Option<String>,
    pub idp: Option<IdpId>,
    pub when: Option<Condition>,
    /// (F4) What it gives may be privileged in the application.
    pub privileged: bool,
    pub gives: MappingGives,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MappingGives {
    Role(String),
    Team { team: String, team_role: Option<String> },
    AppGroups(Vec<String>),
    Permission(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownRole {
    Default,
    Deny,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownTeam {
    Skip,
    Deny,
    Create,
}

#[derive(Debug, Clone, Default)]
pub struct Onboarding {
    pub teams: Vec<String>,
    pub app_groups: Vec<String>,
}

/// `[provisioning.attributes] name = { claim | constant | template, required, enabled }`
#[derive(Debug, Clone)]
pub struct Attribute {
    pub source: AttributeSource,
    /// `None`: as the connector says.
    pub required: Option<bool>,
    pub enabled: bool,
}

#[derive(Debug, Clone)]
pub enum AttributeSource {
    /// As the connector pre-fills it (only `required` or `enabled` was said).
    Connector,
    /// The first of them that has a usable value; at least one.
    Claims(Vec<String>),
    Constant(String),
    Template(Template),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExisting {
    Adopt,
    Deny,
    /// Waits for an administrator.
    Ask,
}

/// What becomes of a sign-in that the application's API fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    Deny,
    Admit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionRoles {
    Headers,
    Borrow,
    Off,
}

/// `[health]`
#[derive(Debug, Clone)]
pub struct Health {
    pub listen: SocketAddr,
}

/// `[log]`
#[derive(Debug, Clone)]
pub struct Log {
    pub format: LogFormat,
    /// As `tracing`'s filter takes it, e.g. `info` or `narthex=debug`.
    pub level: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Human,
    Json,
}
