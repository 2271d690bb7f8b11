//! `[scim]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{SecretRef, Tls};

/// What the groups that a SCIM client pushes give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScimGroups {
    Mapping,
    Teams,
    AppGroups,
}

/// By what a person whom a SCIM client pushed is recognised at sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ScimMatch {
    #[serde(rename = "externalId")]
    ExternalId,
    #[serde(rename = "userName")]
    UserName,
    #[serde(rename = "email")]
    Email,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scim {
    /// Address and port of the SCIM listener; everything is below /scim/v2.
    #[schemars(extend("default" = "127.0.0.1:9092"))]
    pub listen: Option<String>,
    /// Scheme and host (and path, where a proxy in front adds one) by which SCIM clients reach /scim/v2, for the
    /// locations that they are told. Absent: http, and the host that the client names.
    pub public_url: Option<String>,
    /// Serve TLS. Absent: plain HTTP, for a TLS-terminating proxy in front, or loopback.
    pub tls: Option<Tls>,
    /// Bearer tokens of SCIM clients, at least 24 characters each. Several, to exchange one: add the new one, give
    /// it to the client, remove the old one.
    #[schemars(required, length(min = 1))]
    pub tokens: Option<Vec<SecretRef>>,
    /// What a pushed group gives its members: what the rows of provisioning.mapping say of its name ("mapping"), or
    /// beside that the team ("teams") or the application group ("app_groups") of the same name, unless privileged.
    #[schemars(extend("default" = "mapping"))]
    pub groups: Option<ScimGroups>,
    /// A person who signs in is the pushed user whose externalId is the subject ("externalId"), whose userName is
    /// the preferred_username ("userName"; only where people cannot choose theirs freely at the identity provider),
    /// or whose e-mail is the verified one ("email"). Nobody is recognised where two users have it.
    #[schemars(extend("default" = "externalId"))]
    #[serde(rename = "match")]
    pub matching: Option<ScimMatch>,
    /// The claim that is compared instead of the subject or preferred_username. Not with match = "email".
    pub match_claim: Option<String>,
    /// The identity provider whose people are recognised; with several, and match other than "email", required:
    /// what one calls a person says nothing of another's.
    pub idp: Option<String>,
}
