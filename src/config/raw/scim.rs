//! `[scim]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{SecretRef, Tls};

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
}
