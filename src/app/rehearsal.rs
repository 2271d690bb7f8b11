//! Looking without touching: what a sign-in would do, what one did, and the report of shadow mode, each from the
//! configuration alone, beside a running narthex or without one.

use std::sync::Arc;

use super::identity_headers::render_headers;
use super::{OpenStore, StartError, connector};
use crate::config::Settings;
use crate::config::settings::StoreUrl;
use crate::model::Identity;
use crate::observe::audit::Audit;
use crate::platform::{Platform, Tasks};
use crate::provision::explain::Explanation;
use crate::provision::rehearse::show_headers;
use crate::provision::shadow::{self, Reach, ReadOnly, Report};
use crate::provision::{Connector, Provisioner, Telling};
use crate::store::StoreError;

/// What a sign-in of this identity would do now. `Reach::Nothing` asks the application nothing and takes it for one
/// without accounts.
///
/// # Errors
/// Where the connector cannot be made or the store cannot be read.
pub async fn rehearsal(
    settings: &Settings,
    identity: &Identity,
    reach: Reach,
    platform: &Platform,
) -> Result<Explanation, StartError> {
    let connector = connector(settings, platform)?
        .map(|inner| Arc::new(ReadOnly::new(inner, reach)) as Arc<dyn Connector>);
    let opened = OpenStore::open_to_look(settings).await?;
    let store = opened.store();
    let tasks = Tasks::on(tokio::runtime::Handle::current());
    let headers = render_headers(settings.headers.clone(), Some(Audit::log_only(platform.clone())));
    let telling = Telling { store: store.clone(), headers: show_headers(headers) };
    let provisioner =
        Provisioner::new(settings, connector, store, platform.clone(), tasks).explaining(telling);
    let explanation = provisioner.rehearse(identity).await;
    opened.close().await;
    Ok(explanation)
}

impl OpenStore {
    /// To look at what is not there yet makes no file.
    pub(super) async fn open_to_look(settings: &Settings) -> Result<Self, StoreError> {
        match &settings.store.url {
            StoreUrl::Sqlite { path } if !path.exists() => Ok(Self::Memory(Arc::default())),
            StoreUrl::Sqlite { .. } | StoreUrl::Postgres(_) | StoreUrl::Memory => Self::open(settings).await,
        }
    }
}

/// What the sign-in of this id did; `None` where it is not among those that are kept.
///
/// # Errors
/// Where the store cannot be read.
pub async fn told(settings: &Settings, id: &str) -> Result<Option<Explanation>, StoreError> {
    let opened = OpenStore::open(settings).await?;
    let found = opened.store().find_told(id).await;
    opened.close().await;
    found?
        .map(|record| {
            serde_json::from_str(&record)
                .map_err(|error| StoreError::Unreadable { what: "sign-in", reason: error.to_string() })
        })
        .transpose()
}

/// What shadow mode found out so far.
///
/// # Errors
/// Where the store cannot be read.
pub async fn shadow_report(settings: &Settings) -> Result<Report, StoreError> {
    let opened = OpenStore::open_to_look(settings).await?;
    let report = shadow::report(opened.store().as_ref()).await;
    opened.close().await;
    report
}

/// Begins the report anew; gives how many outcomes were forgotten.
///
/// # Errors
/// Where the store cannot be written.
pub async fn forget_shadow(settings: &Settings) -> Result<u64, StoreError> {
    let opened = OpenStore::open_to_look(settings).await?;
    let forgotten = opened.store().forget_outcomes().await;
    opened.close().await;
    forgotten
}
