//! The composition root: the only place that names concrete store, protocol and connector types.

mod administration;
pub mod audit;
pub mod backup;
mod cases;
mod changes;
mod cores;
pub mod deployment;
mod generation;
mod housekeeping;
mod identity_headers;
mod invites;
mod members;
mod notify;
mod opened;
mod probes;
mod providers;
pub mod rehearsal;
mod reload;
mod scim;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;

pub use self::administration::{Beside, bootstrap, refusal, settings_in_force};
pub use self::generation::connector;
use self::generation::{Generation, Process};
use self::opened::OpenStore;
use self::reload::Fixed;
pub use self::reload::ReloadError;
use crate::admin::live::LiveError;
use crate::admin::scim_server::ScimServer;
use crate::admin::server::AdminServer;
use crate::config::Settings;
use crate::config::settings::SealKey;
use crate::forward::UpstreamError;
use crate::forward::keys::TokenError;
use crate::identify::saml::UnusableKey;
use crate::identify::session::admitted::{Admits, InForce};
use crate::listen::DataPlane;
use crate::listen::accept::{ListenError, Listening};
use crate::listen::request::NoAuthority;
use crate::listen::tls::TlsError;
use crate::observe::audit::{Audit, AuditWriter};
use crate::observe::health::Health;
use crate::observe::notify::Announcing;
use crate::pipeline::Core;
use crate::platform::keyfile::KeyFileError;
use crate::platform::outbound::OutboundError;
use crate::platform::smtp::MailError;
use crate::platform::{Platform, Tasks, keyfile};
use crate::provision::rest::RecipeError;
use crate::store::StoreError;

/// narthex cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address} ({key}): {reason}{}", remedy(key, reason))]
    Bind { key: &'static str, address: SocketAddr, reason: std::io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Seal(#[from] KeyFileError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error(transparent)]
    PublicUrl(#[from] NoAuthority),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Settings(#[from] LiveError),
    #[error(transparent)]
    SamlKey(#[from] UnusableKey),
    #[error(transparent)]
    Mail(#[from] MailError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("upstream.ca_file {}: {reason}", path.display())]
    CaFile { path: std::path::PathBuf, reason: String },
}

/// A running narthex.
pub struct App {
    process: Process,
    generation: Generation,
    /// What of its settings holds until the process ends.
    fixed: Fixed,
    plane: DataPlane<Core>,
    /// With mode `scim`.
    scim: Option<DataPlane<ScimServer>>,
    health: SocketAddr,
    admin: DataPlane<AdminServer>,
    probes: Health,
    audit: AuditWriter,
    store: OpenStore,
}

/// Sockets that are open already; the others are bound by the configuration.
#[derive(Default)]
pub struct Sockets {
    pub public: Option<TcpListener>,
    pub scim: Option<TcpListener>,
    pub health: Option<TcpListener>,
    pub admin: Option<TcpListener>,
}

impl App {
    /// Starts everything that `settings` asks for, on the current runtime and one thread per worker.
    ///
    /// # Errors
    /// [`StartError`]: whatever an operator has to mend. An identity provider or application that is down is
    /// none of these (SECURITY.md 39).
    pub async fn start(settings: Settings, platform: Platform, sockets: Sockets) -> Result<Self, StartError> {
        // Large, and waited for once.
        Box::pin(Self::start_whole(settings, platform, sockets)).await
    }

    async fn start_whole(
        settings: Settings,
        platform: Platform,
        sockets: Sockets,
    ) -> Result<Self, StartError> {
        let tasks = Tasks::on(tokio::runtime::Handle::current());
        let metrics = probes::metrics();
        let public = bind(sockets.public, "server.listen", settings.server.listen)?;
        let health_socket = bind(sockets.health, "health.listen", settings.health.listen)?;
        let admin_socket = bind(sockets.admin, "admin.listen", settings.admin.listen)?;
        let scim_socket =
            settings.scim.as_ref().map(|scim| bind(sockets.scim, "scim.listen", scim.listen)).transpose()?;
        let keys = match &settings.keys.seal {
            SealKey::Given(key) => keyfile::given(key)?,
            SealKey::FileOrMake(path) => keyfile::file_or_make(path, platform.entropy.as_ref())?,
        };
        let opened = OpenStore::open_to_serve(&settings).await?;
        let store = opened.store();
        let announcing = Announcing::default();
        let runtime = tokio::runtime::Handle::current();
        let (audit, audit_writer) =
            Audit::start_announcing(store.clone(), platform.clone(), runtime, announcing.clone());
        let admin = admin_socket.local_addr().map_err(ListenError::Listener)?;
        let (admin_ip, earlier) = (admin.ip(), Arc::default());
        let admitted = InForce::new(ArcSwap::from_pointee(Admits::of(&settings)));
        let process =
            Process { platform, store, keys, audit, announcing, admin: admin_ip, tasks, earlier, admitted };
        opened.listen(&process.tasks);

        let (fixed, workers) = (Fixed::of(&settings), settings.server.workers);
        let public_url = settings.server.public_url.clone();
        let mut generation = Generation::begin(&process, settings).await?;
        generation.go(&process);
        let listening = Listening { listener: public, workers, manners: generation.manners.clone() };
        let plane = DataPlane::start(listening, &process.tasks, |tasks| generation.cores.core(tasks))?;
        let scim = scim::start(&generation, scim_socket, &process.tasks)?;
        let administered = administration::start(&generation, admin_socket, &process.tasks)?;
        let probes = probes::health(metrics, &generation.sessions);
        let health = health_socket.local_addr().map_err(ListenError::Listener)?;
        health_socket.set_nonblocking(true).map_err(ListenError::Listener)?;
        let health_listener =
            tokio::net::TcpListener::from_std(health_socket).map_err(ListenError::Listener)?;
        let stopping = process.tasks.stopping();
        process.tasks.spawn(probes.clone().serve(health_listener, stopping.clone()));
        probes.set_started();
        tracing::info!(listen = %plane.local_addr(), %health, %admin, %public_url, "narthex is ready");
        Ok(Self {
            process,
            generation,
            fixed,
            plane,
            scim,
            health,
            admin: administered,
            probes,
            audit: audit_writer,
            store: opened,
        })
    }

    /// Where the public listener is.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.plane.local_addr()
    }

    /// Where the SCIM listener is, with mode `scim`.
    #[must_use]
    pub fn scim_addr(&self) -> Option<SocketAddr> {
        self.scim.as_ref().map(DataPlane::local_addr)
    }

    /// Where the health listener is.
    #[must_use]
    pub fn health_addr(&self) -> SocketAddr {
        self.health
    }

    /// Where the admin API is.
    #[must_use]
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin.local_addr()
    }

    /// How many earlier configurations serve something yet: a stream, a request that has not ended.
    #[must_use]
    pub fn earlier_in_use(&self) -> usize {
        self.process.earlier.load(Ordering::Relaxed)
    }

    /// Ends what has expired now, instead of within a quarter of a second: for whoever turns the clock.
    pub fn look_at_the_clock(&self) {
        self.generation.sessions.tick();
    }

    /// Notices now what was done at the store by others, instead of within a second.
    pub async fn look_at_the_store(&self) {
        if let Err(error) = self.generation.sessions.look_at_all().await {
            tracing::warn!(%error, "the store could not be looked at");
        }
        if let Err(error) = self.generation.live.refresh().await {
            tracing::warn!(%error, "the settings could not be looked at");
        }
    }

    /// Lets requests in flight end, writes what is not written yet, and closes the store.
    pub async fn shut_down(self) {
        self.probes.set_draining();
        self.plane.shut_down().await;
        if let Some(scim) = self.scim {
            scim.shut_down().await;
        }
        self.admin.shut_down().await;
        self.generation.finish().await;
        self.process.tasks.finish().await;
        self.audit.finish().await;
        self.store.close().await;
    }
}

/// What to do about an address that cannot be had.
fn remedy(key: &str, reason: &std::io::Error) -> String {
    match reason.kind() {
        ErrorKind::AddrInUse => format!(
            "; another program has it, or another narthex: give {key} another port (of several instances on one \
             machine, each needs a server.listen, health.listen and admin.listen of its own)"
        ),
        ErrorKind::AddrNotAvailable => {
            format!(
                "; this machine has no such address: name one of its own in {key}, or 0.0.0.0 for all of them"
            )
        }
        ErrorKind::PermissionDenied => format!(
            "; a port below 1024 takes the capability CAP_NET_BIND_SERVICE: give that to narthex, or {key} a higher port"
        ),
        _ => String::new(),
    }
}

fn bind(
    open: Option<TcpListener>,
    key: &'static str,
    address: SocketAddr,
) -> Result<TcpListener, StartError> {
    match open {
        Some(socket) => Ok(socket),
        None => TcpListener::bind(address).map_err(|reason| StartError::Bind { key, address, reason }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_taken_is_told_with_its_key_and_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let said = bind(None, "health.listen", address).unwrap_err().to_string();
        assert!(said.starts_with(&format!("cannot listen on {address} (health.listen): Address")), "{said}");
        assert!(said.contains("give health.listen another port"), "{said}");
        assert!(said.contains("a server.listen, health.listen and admin.listen of its own"), "{said}");
        // RFC 5737: nobody has it.
        let said = bind(None, "admin.listen", "192.0.2.1:0".parse().unwrap()).unwrap_err().to_string();
        assert!(
            said.contains("this machine has no such address: name one of its own in admin.listen"),
            "{said}"
        );
    }
}
