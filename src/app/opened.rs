//! The store that the configuration names: opened, handed round, closed.

use std::sync::Arc;

use crate::config::Settings;
use crate::config::settings::StoreUrl;
use crate::platform::Tasks;
use crate::store::memory::Memory;
use crate::store::postgres::{Location, Postgres};
use crate::store::sqlite::{Alone, Sqlite};
use crate::store::{Store, StoreError};

/// The store as it was opened, to be closed again.
pub(super) enum OpenStore {
    Sqlite(Sqlite, Option<Alone>),
    Postgres(Postgres),
    Memory(Arc<Memory>),
}

impl OpenStore {
    /// For whoever serves from it. Of a store that one process at a time can serve from, another one is kept off until
    /// [`OpenStore::close`].
    pub(super) async fn open_to_serve(settings: &Settings) -> Result<Self, StoreError> {
        match &settings.store.url {
            StoreUrl::Sqlite { path } => {
                let (sqlite, alone) = Sqlite::open_alone(path).await?;
                Ok(Self::Sqlite(sqlite, Some(alone)))
            }
            StoreUrl::Postgres(_) | StoreUrl::Memory => Self::open(settings).await,
        }
    }

    /// For what is done beside whoever serves from it.
    pub(super) async fn open(settings: &Settings) -> Result<Self, StoreError> {
        Ok(match &settings.store.url {
            StoreUrl::Sqlite { path } => Self::Sqlite(Sqlite::open(path).await?, None),
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
            Self::Sqlite(sqlite, _) => Arc::new(sqlite.clone()),
            Self::Postgres(postgres) => Arc::new(postgres.clone()),
            Self::Memory(memory) => memory.clone(),
        }
    }

    /// Listens for what other replicas do, where they can say so.
    pub(super) fn listen(&self, tasks: &Tasks) {
        match self {
            Self::Postgres(postgres) => postgres.listen(tasks),
            Self::Sqlite(..) | Self::Memory(_) => {}
        }
    }

    pub(super) async fn close(self) {
        match self {
            Self::Sqlite(sqlite, alone) => {
                sqlite.close().await;
                drop(alone);
            }
            Self::Postgres(postgres) => postgres.close().await,
            Self::Memory(_) => {}
        }
    }
}
