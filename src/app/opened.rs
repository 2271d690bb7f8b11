//! The store that the configuration names: opened, handed round, closed.

use std::sync::Arc;

use crate::config::Settings;
use crate::config::settings::StoreUrl;
use crate::platform::Tasks;
use crate::store::memory::Memory;
use crate::store::postgres::{Location, Postgres};
use crate::store::sqlite::Sqlite;
use crate::store::{Store, StoreError};

/// The store as it was opened, to be closed again.
pub(super) enum OpenStore {
    Sqlite(Sqlite),
    Postgres(Postgres),
    Memory(Arc<Memory>),
}

impl OpenStore {
    pub(super) async fn open(settings: &Settings) -> Result<Self, StoreError> {
        Ok(match &settings.store.url {
            StoreUrl::Sqlite { path } => Self::Sqlite(Sqlite::open(path).await?),
            StoreUrl::Postgres(postgres) => {
                let roots = match postgres.roots.as_slice() {
                    [] => settings.outbound.extra_roots.clone(),
                    roots => roots.to_vec(),
                };
                let location = Location {
                    url: postgres.url.clone(),
                    password: postgres.password.clone(),
                    connections: postgres.connections,
                    roots,
                };
                Self::Postgres(Postgres::open(&location).await?)
            }
            StoreUrl::Memory => Self::Memory(Arc::default()),
        })
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(sqlite) => Arc::new(sqlite.clone()),
            Self::Postgres(postgres) => Arc::new(postgres.clone()),
            Self::Memory(memory) => memory.clone(),
        }
    }

    /// Listens for what other replicas do, where they can say so.
    pub(super) fn listen(&self, tasks: &Tasks) {
        match self {
            Self::Postgres(postgres) => postgres.listen(tasks),
            Self::Sqlite(_) | Self::Memory(_) => {}
        }
    }

    pub(super) async fn close(self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.close().await,
            Self::Postgres(postgres) => postgres.close().await,
            Self::Memory(_) => {}
        }
    }
}
