//! The SCIM listener, with mode `scim`.

use std::net::TcpListener;
use std::sync::Arc;

use super::{StartError, bind};
use crate::admin::scim_server::ScimServer;
use crate::config::Settings;
use crate::listen::DataPlane;
use crate::listen::accept::Listening;
use crate::listen::tls::server_config;
use crate::observe::audit::Audit;
use crate::platform::{Platform, Tasks};
use crate::store::Store;

/// Opens the listener, or takes `socket`; `None` with another mode.
pub(super) fn start(
    settings: &Settings,
    socket: Option<TcpListener>,
    store: &Arc<dyn Store>,
    platform: &Platform,
    audit: &Audit,
    tasks: &Tasks,
) -> Result<Option<DataPlane>, StartError> {
    let Some(scim) = &settings.scim else { return Ok(None) };
    let server =
        Arc::new(ScimServer::new(scim, store.clone(), platform.clone(), audit.clone(), tasks.clone()));
    let listening = Listening {
        listener: bind(socket, "scim.listen", scim.listen)?,
        tls: scim.tls.as_ref().map(server_config).transpose()?,
        // A directory's changes come a few at a time; the work itself is done on the cold side.
        workers: 1,
        header_read: settings.server.timeouts.header_read,
        drain: settings.server.timeouts.drain,
    };
    let plane = DataPlane::start(listening, tasks, |_| server.clone())?;
    tracing::info!(listen = %plane.local_addr(), "SCIM clients are served");
    Ok(Some(plane))
}
