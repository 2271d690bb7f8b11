//! What answers on the public listener, made from one configuration; once for each core.

use std::sync::Arc;

use http::HeaderName;

use super::StartError;
use crate::authorise::Routes;
use crate::config::Settings;
use crate::config::settings::{self, UpstreamTarget};
use crate::forward::keys::SigningKeys;
use crate::forward::send::{Forwarder, MintToken};
use crate::forward::token::UpstreamToken;
use crate::forward::{Cookies, Firewall, Upstream};
use crate::identify::endpoints::Endpoints;
use crate::identify::session::{LiveSession, Sessions};
use crate::listen::request::{Admission, Frontage};
use crate::observe::audit::Audit;
use crate::pipeline::{Core, Shared};
use crate::platform::{Platform, Tasks};
use crate::provision::connector::Features;

/// What the cores are made of.
pub(super) struct Parts {
    pub cookies: Cookies,
    pub features: Features,
    pub sessions: Arc<Sessions>,
    pub endpoints: Arc<Endpoints>,
    pub signing_keys: Option<Arc<SigningKeys>>,
    pub platform: Platform,
    pub audit: Audit,
    /// Where sign-ins run.
    pub cold: Tasks,
}

/// Makes cores.
pub(super) struct Cores {
    shared: Arc<Shared>,
    firewall: Firewall,
    mint: Option<(HeaderName, Arc<MintToken>)>,
    upstream: settings::Upstream,
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Cores {
    /// # Errors
    /// Where the settings cannot be followed.
    pub(super) fn new(settings: &Settings, parts: Parts) -> Result<Self, StartError> {
        let admission =
            Admission { network: settings.network.clone(), open_to_all: parts.endpoints.open_to_servers() };
        let server = &settings.server;
        let frontage = Frontage::new(&server.public_url, server.trusted_proxies.clone(), admission)?;
        let token_header = settings.upstream_token.as_ref().map(|token| token.header.as_str());
        let managed = settings
            .headers
            .iter()
            .map(|header| header.name.as_str())
            .chain(token_header)
            .chain(parts.features.trusted_headers.iter().map(String::as_str));
        let firewall =
            Firewall::new(managed, parts.cookies.clone(), frontage.authority().clone(), frontage.scheme());
        let mint = mint(settings, &parts);
        let tls = upstream_tls(settings)?;
        // Checked once here; the cores then make theirs alike.
        Upstream::check(&settings.upstream.target)?;
        let shared = Arc::new(Shared {
            frontage,
            routes: Routes::new(settings.routes.clone()),
            sessions: parts.sessions,
            endpoints: parts.endpoints,
            prefix: settings.server.prefix.clone(),
            application_logout: settings.upstream.logout_path.clone().or(parts.features.logout_path.clone()),
            entropy: parts.platform.entropy.clone(),
            audit: parts.audit,
            cold: parts.cold,
        });
        Ok(Self { shared, firewall, mint, upstream: settings.upstream.clone(), tls })
    }

    /// One core, whose tasks are `tasks`.
    pub(super) fn core(&self, tasks: Tasks) -> Arc<Core> {
        let upstream = Upstream::new(
            &self.upstream.target,
            self.tls.clone(),
            self.upstream.connect_timeout,
            self.upstream.response_timeout,
            tasks.clone(),
        );
        let forwarder =
            Forwarder::new(upstream, Arc::new(self.firewall.for_core()), self.mint.clone(), tasks);
        let seed = u64::from_le_bytes(self.shared.entropy.bytes().unwrap_or_default());
        Arc::new(Core::new(self.shared.clone(), forwarder, seed))
    }
}

/// What makes a session's upstream token, where one is configured.
fn mint(settings: &Settings, parts: &Parts) -> Option<(HeaderName, Arc<MintToken>)> {
    let token = settings.upstream_token.as_ref()?;
    let keys = parts.signing_keys.clone()?;
    let maker = UpstreamToken::new(&settings.server.public_url, &token.audience);
    let clock = parts.platform.clock.clone();
    let mint = move |session: &LiveSession| match maker.mint(
        &keys,
        session.hash(),
        session.content(),
        clock.now(),
    ) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::error!(%error, "an upstream token could not be made; the request does not go on");
            None
        }
    };
    Some((token.header.clone(), Arc::new(mint)))
}

fn upstream_tls(settings: &Settings) -> Result<Option<Arc<rustls::ClientConfig>>, StartError> {
    if !matches!(settings.upstream.target, UpstreamTarget::Https { .. }) {
        return Ok(None);
    }
    let roots = settings
        .upstream
        .ca_file
        .as_ref()
        .map(|path| {
            std::fs::read(path)
                .map_err(|error| StartError::CaFile { path: path.clone(), reason: error.to_string() })
        })
        .transpose()?;
    Ok(Some(crate::platform::outbound::client_tls(roots.as_deref().unwrap_or_default())?))
}
