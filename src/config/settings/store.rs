//! `[store]` as meant.

use std::path::PathBuf;

use crate::model::Secret;

/// `[store]`
#[derive(Debug, Clone)]
pub struct Store {
    pub url: StoreUrl,
    /// What was recorded is there after a restart of the machine.
    pub durable: bool,
}

/// Where the store is.
#[derive(Debug, Clone)]
pub enum StoreUrl {
    Sqlite {
        path: PathBuf,
    },
    Postgres(PostgresUrl),
    /// `memory:`, for tests: gone with the process.
    Memory,
}

/// `postgres://user@host:port/database?parameters`
#[derive(Debug, Clone)]
pub struct PostgresUrl {
    /// May hold a password. Its parameters are known ones, its files absolute.
    pub url: Secret,
    pub password: Option<Secret>,
    /// Connections at most, beside the one that listens.
    pub connections: u32,
    /// What `sslrootcert` names, in PEM form; empty where it names nothing.
    pub roots: Vec<u8>,
}
