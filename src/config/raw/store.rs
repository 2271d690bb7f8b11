//! `[store]` as written.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use super::SecretRef;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// sqlite:PATH, for one replica; postgres://user@host:port/database, for several (docs/postgres.md). memory: keeps
    /// everything in the process, for tests.
    #[schemars(extend("default" = "sqlite:narthex.db"))]
    pub url: Option<String>,
    /// The password for PostgreSQL. Absent: the one in the URL, or in the file that PGPASSFILE names, or ~/.pgpass.
    pub password: Option<SecretRef>,
    /// Connections to PostgreSQL that this replica opens at most; one more listens.
    #[schemars(extend("default" = 10), range(min = 2, max = 1000))]
    pub connections: Option<u32>,
    /// Whether the SQLite file outlives a restart of the machine (a disk, a persistent volume). Accounts that end with
    /// their sessions, and roles that are borrowed, need that.
    #[schemars(extend("default" = false))]
    pub durable: Option<bool>,
}

/// The URL may hold a password.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("connections", &self.connections).finish_non_exhaustive()
    }
}
