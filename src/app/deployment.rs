//! What a deployment must keep for narthex to protect anything, tried from where this runs.

mod files;
mod headers;
mod local;
mod path;
mod port;

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, header};
use jiff::Timestamp;
use url::Url;

use super::opened::OpenStore;
use super::providers::{self, made, wanted};
use crate::config::settings::{Idp, MetadataFrom, StoreUrl};
use crate::config::{Loaded, Settings};
use crate::platform::outbound::{Answer, OutboundError};
use crate::platform::{Outbound, Platform};
use crate::provision::connector::Features;
use crate::store::memory::Memory;
use crate::store::{Store, StoreError};

/// What came of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds, as far as it can be told from here.
    Fine,
    /// It does not.
    Wrong,
    /// It could not be tried, which says nothing.
    NotTried,
}

/// One item, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub item: &'static str,
    pub verdict: Verdict,
    /// What happened, and where something is wrong, what to do.
    pub told: String,
}

impl Finding {
    fn fine(item: &'static str, told: impl Into<String>) -> Self {
        Self { item, verdict: Verdict::Fine, told: told.into() }
    }

    fn wrong(item: &'static str, told: impl Into<String>) -> Self {
        Self { item, verdict: Verdict::Wrong, told: told.into() }
    }

    fn not_tried(item: &'static str, told: impl Into<String>) -> Self {
        Self { item, verdict: Verdict::NotTried, told: told.into() }
    }
}

/// What the configuration does not say.
#[derive(Debug, Clone, Default)]
pub struct Tries {
    /// `HOST:PORT` where the application must not be reachable from here; empty: this machine's own addresses.
    pub direct: Vec<String>,
    /// Where narthex is reached from here; the `public_url` unless set.
    pub through: Option<Url>,
    /// A path of the application that answers with the headers that it got, and needs no sign-in.
    pub echo: Option<String>,
    /// Headers that the application believes beside those that the configuration has.
    pub believes: Vec<HeaderName>,
    /// This runs in a pod, where nobody but its containers reaches a volume.
    pub in_pod: bool,
}

/// Clocks that differ by more refuse good sign-ins: providers' answers hold for a minute or a few.
const CLOCKS_APART: i64 = 30;

/// Tries everything; each item once for each thing that it is about.
pub async fn verify(loaded: &Loaded, tries: &Tries, platform: &Platform) -> Vec<Finding> {
    let settings = &loaded.settings;
    let mut findings = files::files(settings, &loaded.files, tries.in_pod);
    findings.extend(port::port(settings, tries).await);
    match Outbound::new(&settings.outbound.extra_roots) {
        Ok(outbound) => {
            let place = Place { outbound: &outbound, settings, tries };
            findings.push(public_url(&place).await);
            findings.extend(headers::headers(&place, platform).await);
            for idp in &settings.idps {
                findings.extend(provider(idp, settings, &outbound, platform).await);
            }
        }
        Err(error) => findings.push(Finding::wrong("public URL", error.to_string())),
    }
    findings.push(credential(settings, platform).await);
    findings.push(store(settings).await);
    findings
}

/// narthex as it is reached from here.
struct Place<'a> {
    outbound: &'a Outbound,
    settings: &'a Settings,
    tries: &'a Tries,
}

impl Place<'_> {
    fn request(&self, path: &str) -> reqwest::RequestBuilder {
        let public = &self.settings.server.public_url;
        let mut url = self.tries.through.as_ref().unwrap_or(public).clone();
        url.set_path(path);
        let request = self.outbound.request(Method::GET, url);
        let host = public.host_str().unwrap_or_default();
        let authority = public.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        match HeaderValue::try_from(authority) {
            Ok(authority) if self.tries.through.is_some() => request.header(header::HOST, authority),
            _ => request,
        }
    }

    async fn ask(&self, path: &str) -> Result<Answer, OutboundError> {
        self.outbound.send(self.request(path)).await
    }
}

/// At the public URL narthex answers, and not something else.
async fn public_url(place: &Place<'_>) -> Finding {
    const ITEM: &str = "public URL";
    let prefix = &place.settings.server.prefix;
    let own = format!("{prefix}/session");
    let answer = match place.ask(&own).await {
        Ok(answer) => answer,
        Err(error) => {
            return Finding::wrong(
                ITEM,
                format!("{error}; where narthex is reached otherwise, say so with --through"),
            );
        }
    };
    let ours = serde_json::from_slice::<serde_json::Value>(&answer.body).is_ok_and(|body| {
        let login = body.get("login_url").and_then(serde_json::Value::as_str);
        login.is_some_and(|url| url.starts_with(prefix.as_str()))
    });
    if answer.status != http::StatusCode::UNAUTHORIZED || !ours {
        let told = format!(
            "{own} was answered with {}, and not by narthex, which says 401 there; whatever stands before it must hand \
             on {prefix} and the Host header",
            answer.status
        );
        return Finding::wrong(ITEM, told);
    }
    Finding::fine(ITEM, format!("narthex answers at {}", place.settings.server.public_url))
}

/// What it says of itself can be had and fits, and its clock is ours.
async fn provider(idp: &Idp, settings: &Settings, outbound: &Outbound, platform: &Platform) -> Vec<Finding> {
    const METADATA: &str = "provider metadata";
    const CLOCK: &str = "provider clock";
    let name = idp.id();
    // What was kept of an earlier answer would say nothing of now.
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let wanted = wanted(settings, &Features::default());
    let with = providers::With { wanted: &wanted, outbound, store: &store, platform };
    let metadata = match made(idp, settings, &with) {
        Ok(provider) => match provider.refresh().await {
            Ok(()) => Finding::fine(METADATA, format!("{name}: read, and fits")),
            Err(error) => Finding::wrong(METADATA, format!("{name}: {error}")),
        },
        Err(error) => Finding::wrong(METADATA, format!("{name}: {error}")),
    };
    let url = match idp {
        Idp::Oidc(oidc) => Some(oidc.issuer.clone()),
        Idp::Saml(saml) => match &saml.metadata {
            MetadataFrom::Url(url) => Some(url.clone()),
            MetadataFrom::File(_) => None,
        },
    };
    let clock = match url {
        None => Finding::not_tried(
            CLOCK,
            format!("{name}: its metadata is a file, so it is not asked for anything"),
        ),
        Some(url) => match outbound.send(outbound.request(Method::GET, url)).await {
            Ok(answer) => compared(name.as_str(), &answer, platform.clock.now().0),
            Err(error) => Finding::not_tried(CLOCK, format!("{name}: {error}")),
        },
    };
    vec![metadata, clock]
}

fn compared(name: &str, answer: &Answer, now: i64) -> Finding {
    const ITEM: &str = "provider clock";
    let date = answer.headers.get(header::DATE).and_then(|date| date.to_str().ok());
    let Some(date) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) else {
        return Finding::not_tried(ITEM, format!("{name}: it does not say what time it is"));
    };
    let theirs: Timestamp = date.timestamp();
    let apart = theirs.as_second() - now;
    if apart.abs() > CLOCKS_APART {
        let told =
            format!("{name}: its clock and this machine's are {} s apart; set them by NTP", apart.abs());
        return Finding::wrong(ITEM, told);
    }
    // It tells whole seconds.
    Finding::fine(ITEM, format!("{name}: {} s apart at most", apart.abs() + 1))
}

/// Read-only.
async fn credential(settings: &Settings, platform: &Platform) -> Finding {
    const ITEM: &str = "connector credential";
    match super::connector(settings, platform) {
        Ok(None) => Finding::not_tried(ITEM, "there is no [application]"),
        Ok(Some(connector)) => match connector.check().await {
            Ok(checked) => {
                let version =
                    checked.version.map(|version| format!(", version {version}")).unwrap_or_default();
                Finding::fine(ITEM, format!("{}{version}: the admin API takes it", connector.features().name))
            }
            Err(error) => Finding::wrong(ITEM, error.to_string()),
        },
        Err(error) => Finding::wrong(ITEM, error.to_string()),
    }
}

async fn store(settings: &Settings) -> Finding {
    const ITEM: &str = "store";
    match &settings.store.url {
        StoreUrl::Sqlite { path } if !path.exists() => {
            let told = format!("{} is not here; narthex makes it where it runs", path.display());
            return Finding::not_tried(ITEM, told);
        }
        StoreUrl::Sqlite { .. } | StoreUrl::Postgres(_) => {}
        StoreUrl::Memory => {
            return Finding::wrong(ITEM, "memory: is for tests; everybody is signed out by a restart");
        }
    }
    match OpenStore::open(settings).await {
        Ok(opened) => {
            let read = opened.store().audit_heads().await;
            opened.close().await;
            match read {
                Ok(_) => Finding::fine(ITEM, "it can be opened and read"),
                Err(error) => Finding::wrong(ITEM, error.to_string()),
            }
        }
        // The program of an update, before it is made.
        Err(error @ StoreError::ServedByOlder { .. }) => Finding::not_tried(ITEM, error.to_string()),
        Err(error) => Finding::wrong(ITEM, error.to_string()),
    }
}
