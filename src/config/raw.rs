//! `proxy.toml` as written. The doc comments are the descriptions of the JSON Schema and of `docs/config.md`;
//! `default` and `required` are applied by `structure.rs`, so that they are said once.
//!
//! Every field is optional here, also the required ones: what is missing or of a wrong type was reported
//! already, and the rest is still read, so that everything wrong is told at once.

mod admin;
mod idp;
mod lifecycle;
mod network;
mod notify;
mod provisioning;
mod scim;
mod store;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub use admin::*;
pub use idp::*;
pub use lifecycle::*;
pub use network::*;
pub use notify::*;
pub use provisioning::*;
pub use scim::*;
pub use store::*;

/// Configuration of narthex: one process fronts one application. Every key can be overridden by the environment:
/// NARTHEX__SERVER__LISTEN for server.listen, NARTHEX__IDP__CORP__CLIENT_SECRET for the client_secret of the
/// `[[idp]]` with the id "corp". Relative paths are relative to the folder of this file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "narthex proxy.toml")]
pub struct Raw {
    /// The public side: where browsers come in.
    #[schemars(required)]
    pub server: Option<Server>,
    /// The application's own address; every permitted request goes there.
    #[schemars(required)]
    pub upstream: Option<Upstream>,
    /// The identity providers; at least one.
    #[schemars(required, length(min = 1))]
    pub idp: Option<Vec<Idp>>,
    /// How long sessions live.
    #[schemars(extend("default" = {}))]
    pub session: Option<Session>,
    /// Where sessions, logins in flight and members are kept.
    #[schemars(extend("default" = {}))]
    pub store: Option<Store>,
    /// Keys of narthex itself.
    #[schemars(extend("default" = {}))]
    pub keys: Option<Keys>,
    /// Calls to identity providers and admin APIs.
    #[schemars(extend("default" = {}))]
    pub outbound: Option<Outbound>,
    /// Who may reach which path. The most specific path wins, by whole segments; what no route names needs a
    /// signed-in user.
    #[schemars(extend("default" = []))]
    pub route: Option<Vec<Route>>,
    /// The identity headers that the application gets: name = template (docs/variables.md). A header whose
    /// template asks for something absent is omitted. What a client sends under these names, in any spelling, is
    /// removed. Two names may not differ in case or punctuation only.
    #[schemars(extend("default" = {}))]
    pub headers: Option<BTreeMap<String, String>>,
    /// A signed JWT beside the headers, for applications that can check one (keys at /.narthex/jwks.json).
    /// Absent: none is sent.
    pub upstream_token: Option<UpstreamToken>,
    /// The application's admin API. Absent: nothing is provisioned.
    pub application: Option<Application>,
    /// Accounts: who gets one, with which role and teams.
    #[schemars(extend("default" = {}))]
    pub provisioning: Option<Provisioning>,
    /// Where the provisioning settings come from.
    #[schemars(extend("default" = {}))]
    pub settings: Option<SettingsSection>,
    /// Which networks people may come from, for everyone and before any identity provider is asked. What other
    /// servers ask narthex (its SAML metadata, logout messages and keys) is not held back.
    #[schemars(extend("default" = {}))]
    pub network: Option<Network>,
    /// A SCIM 2.0 server, by which a directory makes accounts; with provisioning.mode "scim", and only then.
    pub scim: Option<Scim>,
    /// The admin API, for scripts and administrators; on a listener of its own.
    #[schemars(extend("default" = {}))]
    pub admin: Option<Admin>,
    /// Liveness, readiness and metrics; carries nothing personal.
    #[schemars(extend("default" = {}))]
    pub health: Option<Health>,
    /// Who is told when something happens that an administrator should know.
    #[schemars(extend("default" = {}))]
    pub notify: Option<Notify>,
    /// What is written to standard error.
    #[schemars(extend("default" = {}))]
    pub log: Option<Log>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address and port of the public listener.
    #[schemars(extend("default" = "127.0.0.1:8080"))]
    pub listen: Option<String>,
    /// Scheme and host that browsers use, e.g. `"https://git.example.com"`; no path. http only on a loopback host.
    /// A request for another host gets 421.
    #[schemars(required)]
    pub public_url: Option<String>,
    /// The path prefix that belongs to narthex; the application never sees requests below it.
    #[schemars(extend("default" = "/.narthex"))]
    pub prefix: Option<String>,
    /// Networks of the proxies in front of narthex whose X-Forwarded-For is believed. Empty: nobody's, and all people
    /// behind a proxy count as one client. A network that holds everyone is refused.
    #[schemars(extend("default" = []))]
    pub trusted_proxies: Option<Vec<String>>,
    /// Serve TLS. Absent: plain HTTP, for a TLS-terminating proxy in front, or loopback.
    pub tls: Option<Tls>,
    /// Worker threads of the data plane. Absent: one per core.
    #[schemars(range(min = 1, max = 1024))]
    pub workers: Option<usize>,
    /// Time limits on the public side.
    #[schemars(extend("default" = {}))]
    pub timeouts: Option<Timeouts>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the certificate and its chain.
    #[schemars(required)]
    pub certificate: Option<String>,
    /// PEM file with the private key.
    #[schemars(required)]
    pub key: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// From the accepted connection to the end of its first request's head.
    #[schemars(extend("default" = "15s"))]
    pub header_read: Option<String>,
    /// From the end of a response to the end of the next request's head; then the connection is closed. Longer than a
    /// proxy in front keeps connections that it does not use, or now and then it meets one that is just being closed.
    #[schemars(extend("default" = "75s"))]
    pub keep_alive: Option<String>,
    /// How long a shutdown waits for requests in flight. WebSockets are not waited for.
    #[schemars(extend("default" = "20s"))]
    pub drain: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// http://host:port, https://host:port, h2c://host:port (HTTP/2 without TLS) or unix:/path/to/socket.
    #[schemars(required)]
    pub url: Option<String>,
    /// Establishing a connection takes at most this long.
    #[schemars(extend("default" = "5s"))]
    pub connect_timeout: Option<String>,
    /// From the end of the request, which itself may take as long as it takes while bytes come, to the head of the
    /// application's response.
    #[schemars(extend("default" = "60s"))]
    pub response_timeout: Option<String>,
    /// PEM file with roots that an https upstream may be signed by, beside the platform's own.
    pub ca_file: Option<String>,
    /// The cookies that are the application's own sessions (JSESSIONID): names, or `prefix*`. Each holds within the session
    /// that it was set in and goes with it, so that it greets nobody else on this browser. Beside those of the connector.
    /// Not those that scripts read, such as CSRF cookies.
    #[schemars(extend("default" = []))]
    pub session_cookies: Option<Vec<String>>,
    /// A request to this path of the application ends the session too. Absent: the connector's.
    pub logout_path: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// A session ends after this long without a request; bytes that the client sends (an upload, a WebSocket) count as
    /// one.
    #[schemars(extend("default" = "1h"))]
    pub idle_timeout: Option<String>,
    /// A session ends after this long whatever happens.
    #[schemars(extend("default" = "12h"))]
    pub max_lifetime: Option<String>,
    /// Sessions that one person may have at a time, with an account or without; the oldest ends.
    #[schemars(extend("default" = 20), range(min = 1, max = 10000))]
    pub max_per_member: Option<usize>,
    /// How long sessions in memory are honoured while the store cannot be reached.
    #[schemars(extend("default" = "5m"))]
    pub offline_grace: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// Seals keys and tokens in the store, and authenticates cookies and short-lived admin tokens: whoever has it is
    /// everybody. At least 32 bytes, the same for every replica; how to replace it: docs/operation.md. Absent: made once
    /// beside the SQLite file, as PATH.key.
    pub seal: Option<SecretRef>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outbound {
    /// PEM file with roots that identity providers and admin APIs may be signed by, beside the platform's own.
    pub ca_file: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RouteAccess {
    Public,
    SignedIn,
    Deny,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncodedSlash {
    Refuse,
    Keep,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The path, with everything below it, by whole segments: /admin is /admin and /admin/users, not
    /// /administrators. Without a slash at the end.
    #[schemars(required)]
    pub path: Option<String>,
    /// "public": everybody; whoever is signed in is still named. "signed_in": every session. "deny": nobody. Exactly one of
    /// access and allow.
    pub access: Option<RouteAccess>,
    /// An expression that must be true of the session and the request (docs/variables.md). An error in it, such as
    /// an absent claim, denies.
    pub allow: Option<String>,
    /// "keep": an encoded slash (%2F) in the path is passed on, and both readings of the path must meet the same
    /// rule. "refuse": such requests get 400.
    #[schemars(extend("default" = "refuse"))]
    pub encoded_slash: Option<EncodedSlash>,
    /// false: requests are authorised as ever, but the application gets neither identity headers nor the upstream token
    /// with them. For paths behind which other people's code answers (notebooks, plug-ins, workspaces), which could use
    /// a token of its visitors where it holds.
    #[schemars(extend("default" = true))]
    pub pass_identity: Option<bool>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamToken {
    /// The header that carries it. Whatever receives it can replay it until it expires, a minute after it was made: where
    /// not everything behind the upstream may have it, see `pass_identity` of a `[[route]]`.
    #[schemars(extend("default" = "X-Narthex-Token"))]
    pub header: Option<String>,
    /// Its aud claim. Absent: the public_url.
    pub audience: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// The name of a shipped connector (narthex connector list), or the path of a recipe of your own (with a / in
    /// it, or ending in .toml).
    #[schemars(required)]
    pub connector: Option<String>,
    /// Base URL of the admin API. https, or http on a loopback host or a private network.
    #[schemars(required)]
    pub url: Option<String>,
    /// How the admin API knows narthex. Absent: it asks for nothing.
    pub credential: Option<Credential>,
}

/// Exactly one of the keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// A token for the Authorization header.
    pub bearer: Option<SecretRef>,
    /// Username and password for HTTP basic authentication.
    pub basic: Option<Password>,
    /// A header of the API's own.
    pub header: Option<HeaderCredential>,
    /// OAuth 2.0 client credentials.
    pub oauth2: Option<ClientCredentials>,
    /// Username and password for the recipe's login call.
    pub login: Option<Password>,
    /// What the webhook connector signs its events with: `whsec_` and base64 of 24 bytes or more. Several on a line
    /// each sign side by side, while one replaces the other.
    pub signing_secret: Option<SecretRef>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Password {
    /// The username.
    #[schemars(required)]
    pub username: Option<String>,
    /// The password.
    #[schemars(required)]
    pub password: Option<SecretRef>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderCredential {
    /// The header's name.
    #[schemars(required)]
    pub name: Option<String>,
    /// The header's value.
    #[schemars(required)]
    pub value: Option<SecretRef>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCredentials {
    /// The token endpoint.
    #[schemars(required)]
    pub token_url: Option<String>,
    /// The client's id.
    #[schemars(required)]
    pub client_id: Option<String>,
    /// The client's secret.
    #[schemars(required)]
    pub client_secret: Option<SecretRef>,
    /// The scope to ask for. Absent: none is named.
    pub scope: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Address and port; 0.0.0.0 in a pod.
    #[schemars(extend("default" = "127.0.0.1:9090"))]
    pub listen: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Human,
    Json,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// For people or for machines.
    #[schemars(extend("default" = "human"))]
    pub format: Option<LogFormat>,
    /// How much: error, warn, info, debug, trace, also by module (narthex=debug,hyper=warn).
    #[schemars(extend("default" = "info"))]
    pub level: Option<String>,
}

/// A secret: { file = "path" }, { env = "NAME" } or the text itself. A newline at the end is left out.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SecretRef {
    /// The secret itself. Better not in a file that others read.
    Literal(String),
    /// Read from a file.
    File(SecretFile),
    /// Read from an environment variable.
    Env(SecretEnv),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretFile {
    /// The file's path.
    pub file: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretEnv {
    /// The variable's name.
    pub env: String,
}

impl std::fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("[secret]"),
            Self::File(file) => file.fmt(f),
            Self::Env(env) => env.fmt(f),
        }
    }
}
