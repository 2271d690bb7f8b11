//! The SCIM listener, with mode `scim`.

use std::net::TcpListener;
use std::sync::Arc;

use super::StartError;
use super::generation::{Generation, Process};
use crate::admin::scim_server::ScimServer;
use crate::config::Settings;
use crate::listen::DataPlane;
use crate::listen::accept::{Listening, Manners};
use crate::listen::tls::server_config;
use crate::platform::Tasks;

/// What answers SCIM clients; `None` with another mode.
pub(super) fn server(
    settings: &Settings,
    process: &Process,
    tasks: &Tasks,
) -> Result<Option<(Arc<ScimServer>, Manners)>, StartError> {
    let Some(scim) = &settings.scim else { return Ok(None) };
    let Process { store, platform, audit, .. } = process;
    let server = ScimServer::new(scim, store.clone(), platform.clone(), audit.clone(), tasks.clone());
    let manners = Manners {
        tls: scim.tls.as_ref().map(server_config).transpose()?,
        header_read: settings.server.timeouts.header_read,
        keep_alive: settings.server.timeouts.keep_alive,
        drain: settings.server.timeouts.drain,
    };
    Ok(Some((Arc::new(server), manners)))
}

/// Answers on `socket`, where there is one.
pub(super) fn start(
    generation: &Generation,
    socket: Option<TcpListener>,
    tasks: &Tasks,
) -> Result<Option<DataPlane<ScimServer>>, StartError> {
    let (Some((server, manners)), Some(listener)) = (&generation.scim, socket) else { return Ok(None) };
    // A directory's changes come a few at a time; the work itself is done on the cold side.
    let listening = Listening { listener, workers: 1, manners: manners.clone() };
    let plane = DataPlane::start(listening, tasks, |_| server.clone())?;
    tracing::info!(listen = %plane.local_addr(), "SCIM clients are served");
    Ok(Some(plane))
}
