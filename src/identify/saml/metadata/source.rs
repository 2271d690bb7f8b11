//! Where the metadata of an identity provider comes from, and how it stays fresh: a file, or an address.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::read::{Expected, Read, read};
use super::select::MAX_DOCUMENT;
use super::{IdpMetadata, MetadataError};
use crate::identify::address;
use crate::identify::held::{FIRST_PAUSE, Fetched, Held, pause};
use crate::identify::saml::algorithm::AlgorithmPolicy;
use crate::identify::saml::keys::VerifyingKey;
use crate::identify::saml::xml::XmlError;
use crate::identify::shown::shown;
use crate::model::{IdpId, UnixTime};
use crate::platform::crypto::sha256;
use crate::platform::files::stamp;
use crate::platform::outbound::Answer;
use crate::platform::{Outbound, Platform, Tasks};
use crate::store::Store;

/// A federation's aggregate takes its time.
const FETCH_TIMEOUT: Duration = Duration::from_mins(5);
/// A sign-in waits no longer than this; the background task goes on.
const PATIENCE: Duration = Duration::from_secs(10);
/// Two fetches that somebody's message asked for lie at least this far apart.
pub const REFETCH_AFTER: Duration = Duration::from_mins(1);
/// How often it is asked for where the metadata does not say.
const USUAL: Duration = Duration::from_hours(1);
/// Not oftener, and not more seldom, than this, whatever the metadata says.
const OFTENEST: Duration = Duration::from_mins(5);
const SELDOMEST: Duration = Duration::from_hours(24);
/// How often a file is looked at.
const FILE_POLL: Duration = Duration::from_secs(5);
const MAX_REDIRECTS: usize = 3;
/// Documents beyond this are read beside the event loop.
const SMALL: usize = 256 * 1024;

/// A place where metadata lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    File(PathBuf),
    Url(Url),
}

/// One identity provider's metadata, as configured.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    pub idp: IdpId,
    pub origin: Origin,
    /// The entity that is meant; without it there must be only one.
    pub entity_id: Option<String>,
    /// Keys of which one must have signed the metadata; none where no signature is asked for.
    pub trust_anchor: Vec<VerifyingKey>,
    pub policy: AlgorithmPolicy,
}

impl SourceSettings {
    fn read(&self, body: &[u8], trust_anchor: &[VerifyingKey], now: UnixTime) -> Result<Read, MetadataError> {
        let plain_loopback = match &self.origin {
            Origin::File(_) => true,
            Origin::Url(url) => address::is_plain_loopback(url.as_str()),
        };
        let entity_id = self.entity_id.as_deref();
        read(body, &Expected { entity_id, trust_anchor, policy: self.policy, plain_loopback, now })
    }

    /// The name of the last good copy.
    ///
    /// SECURITY: everything that decides whom the copy may speak for is part of it, so that what was kept by the
    /// configuration of yesterday is never believed for that of today (lesson 17), and the copy, which is read
    /// without the trust anchor, never counts for another one.
    fn name(&self) -> String {
        let origin = match &self.origin {
            Origin::File(path) => path.to_string_lossy().into_owned(),
            Origin::Url(url) => url.to_string(),
        };
        let mut identity = format!("{origin}\n{:?}\n{:?}\n", self.entity_id, self.policy).into_bytes();
        for key in &self.trust_anchor {
            identity.extend_from_slice(&sha256(key.public()));
        }
        format!("saml/{}/{}/metadata", self.idp, URL_SAFE_NO_PAD.encode(sha256(&identity)))
    }
}

/// The metadata of one identity provider and what keeps it fresh.
pub struct MetadataSource {
    settings: Arc<SourceSettings>,
    held: Held<IdpMetadata, MetadataError>,
    outbound: Outbound,
    platform: Platform,
    /// Of the document that is held, where it came from an address.
    etag: Mutex<Option<HeaderValue>>,
    /// Somebody ran out of patience: the background task is to ask now.
    wanted: Notify,
    patience: Duration,
    first_pause: Duration,
    file_poll: Duration,
}

impl MetadataSource {
    /// Knows nothing until [`MetadataSource::spawn`] or the first sign-in reads it.
    #[must_use]
    pub fn new(
        settings: SourceSettings,
        outbound: Outbound,
        store: Arc<dyn Store>,
        platform: Platform,
    ) -> Arc<Self> {
        Arc::new(Self::build(settings, outbound, store, platform))
    }

    fn build(
        settings: SourceSettings,
        outbound: Outbound,
        store: Arc<dyn Store>,
        platform: Platform,
    ) -> Self {
        Self {
            held: Held::new(settings.name(), store, platform.clock.clone()),
            settings: Arc::new(settings),
            outbound,
            platform,
            etag: Mutex::default(),
            wanted: Notify::new(),
            patience: PATIENCE,
            first_pause: FIRST_PAUSE,
            file_poll: FILE_POLL,
        }
    }

    /// Keeps the metadata fresh in the background, and goes on trying while it cannot be had.
    pub fn spawn(self: &Arc<Self>, tasks: &Tasks) {
        let (this, stopping) = (self.clone(), tasks.stopping().clone());
        tasks.spawn(async move {
            match &this.settings.origin {
                Origin::File(path) => this.watch(path, stopping).await,
                Origin::Url(_) => this.keep_fresh(stopping).await,
            }
        });
    }

    /// Whether there is metadata that holds now. Asks nobody.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.at_hand().is_some()
    }

    /// The metadata at hand, if it holds now. Asks nobody.
    #[must_use]
    pub fn at_hand(&self) -> Option<Arc<IdpMetadata>> {
        self.held.current().filter(|metadata| metadata.is_valid_at(self.platform.clock.now()))
    }

    /// The metadata at hand, else its last good copy, else freshly fetched; only ever one that holds now.
    ///
    /// # Errors
    /// Where there is none within ten seconds, or the last one has expired and there is no newer one.
    pub async fn current(&self) -> Result<Arc<IdpMetadata>, MetadataError> {
        if self.held.current().is_none() {
            self.restore().await;
        }
        let Some(current) = self.held.current() else {
            let refreshed = self.patiently(self.refresh()).await;
            return refreshed.unwrap_or(Err(MetadataError::TakesLong { after: self.patience }));
        };
        let now = self.platform.clock.now();
        match current.valid_until.filter(|until| *until <= now) {
            None => Ok(current),
            Some(until) => {
                let newer = self.other_than(&current).await;
                newer.filter(|newer| newer.is_valid_at(now)).ok_or(MetadataError::Expired { until, now })
            }
        }
    }

    /// Reads the metadata anew; who comes while that is under way gets its outcome.
    ///
    /// # Errors
    /// Where it cannot be had or does not hold; what was at hand before stays.
    pub async fn refresh(&self) -> Result<Arc<IdpMetadata>, MetadataError> {
        self.held.refresh(self.fetch()).await
    }

    /// Metadata other than `seen`, whose keys did not do: what came in meanwhile, or fresh, though not more often
    /// than every [`REFETCH_AFTER`], since anybody's message can ask for it.
    pub async fn other_than(&self, seen: &Arc<IdpMetadata>) -> Option<Arc<IdpMetadata>> {
        self.patiently(self.held.other_than(seen, REFETCH_AFTER, self.fetch())).await?
    }

    /// What `work` gives within [`PATIENCE`].
    async fn patiently<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let done = tokio::time::timeout(self.patience, work).await;
        done.inspect_err(|_| self.wanted.notify_one()).ok()
    }

    /// A file is as near as the store; what is not in it any more is meant to be gone.
    async fn restore(&self) {
        if matches!(self.settings.origin, Origin::Url(_)) {
            let now = self.platform.clock.now();
            self.held.restore(|copy| self.settings.read(copy, &[], now).map(|read| read.metadata)).await;
        }
    }

    async fn keep_fresh(&self, stopping: CancellationToken) {
        self.restore().await;
        let mut failures = 0;
        loop {
            let refreshed = tokio::select! {
                refreshed = self.refresh() => refreshed,
                () = stopping.cancelled() => return,
            };
            failures = if refreshed.is_ok() { 0 } else { failures + 1 };
            let usual = refreshed.map_or(USUAL, |metadata| interval(&metadata, self.platform.clock.now()));
            tokio::select! {
                () = tokio::time::sleep(pause(failures, self.first_pause, usual, &*self.platform.entropy)) => {}
                () = self.wanted.notified() => {}
                () = stopping.cancelled() => return,
            }
        }
    }

    async fn watch(&self, path: &Path, stopping: CancellationToken) {
        // Nothing was seen yet, which is another thing than that there is no file.
        let mut seen = None;
        loop {
            let stamp = stamp(path).await;
            if seen.as_ref() != Some(&stamp) {
                // Why it could not be read is logged there.
                drop(self.refresh().await);
                seen = Some(stamp);
            }
            tokio::select! {
                () = tokio::time::sleep(self.file_poll) => {}
                () = stopping.cancelled() => return,
            }
        }
    }

    async fn fetch(&self) -> Result<Fetched<IdpMetadata>, MetadataError> {
        let outcome = match &self.settings.origin {
            Origin::File(path) => self.read_file(path).await,
            Origin::Url(url) => self.download(url).await,
        };
        match &outcome {
            Ok(fetched) => {
                let (entity, keys) =
                    (shown(&fetched.document.entity_id), fetched.document.signing_keys.len());
                tracing::debug!(idp = %self.settings.idp, entity, keys, "metadata read");
            }
            Err(error) => {
                tracing::warn!(idp = %self.settings.idp, code = error.code(), %error, "metadata not read");
            }
        }
        outcome
    }

    async fn read_file(&self, path: &Path) -> Result<Fetched<IdpMetadata>, MetadataError> {
        let unreadable = |error: std::io::Error| MetadataError::FileUnreadable {
            path: path.display().to_string(),
            reason: error.to_string(),
        };
        let length = tokio::fs::metadata(path).await.map_err(unreadable)?.len();
        if length > MAX_DOCUMENT as u64 {
            let found = usize::try_from(length).unwrap_or(usize::MAX);
            return Err(XmlError::TooLong { found, limit: MAX_DOCUMENT }.into());
        }
        let body = tokio::fs::read(path).await.map_err(unreadable)?;
        let read = self.parse(body).await?;
        Ok(Fetched { document: Arc::new(read.metadata), copy: None })
    }

    async fn download(&self, url: &Url) -> Result<Fetched<IdpMetadata>, MetadataError> {
        // A signature makes up for the way that it came.
        let secure = url.scheme() == "https"
            || address::is_plain_loopback(url.as_str())
            || (url.scheme() == "http" && !self.settings.trust_anchor.is_empty());
        if !secure {
            return Err(MetadataError::SourceNotSecure(shown(url.as_str())));
        }
        let held = self.at_hand();
        let known = held.and_then(|metadata| Some((metadata, self.known_etag()?)));
        let answer = self.ask(url, known.as_ref().map(|(_, etag)| etag)).await?;
        match (answer.status, known) {
            (StatusCode::OK, _) => {
                let etag = answer.headers.get(header::ETAG).cloned();
                let read = self.parse(answer.body).await?;
                *self.etag.lock().unwrap_or_else(PoisonError::into_inner) = etag;
                let copy = Some(read.copy.into_string().into_bytes());
                Ok(Fetched { document: Arc::new(read.metadata), copy })
            }
            // RFC 9110, 15.4.5: what is held is what would have come.
            (StatusCode::NOT_MODIFIED, Some((metadata, _))) => Ok(Fetched { document: metadata, copy: None }),
            (status, _) => Err(MetadataError::Status { status: status.as_u16() }),
        }
    }

    fn known_etag(&self) -> Option<HeaderValue> {
        self.etag.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The answer at the end of the redirects.
    async fn ask(&self, url: &Url, etag: Option<&HeaderValue>) -> Result<Answer, MetadataError> {
        let mut at = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            // Metadata 2.0, appendix A, names the type; few serve it by that name.
            let mut request = self
                .outbound
                .request(http::Method::GET, at.clone())
                .header(header::ACCEPT, "application/samlmetadata+xml, application/xml;q=0.9, text/xml;q=0.8")
                .timeout(FETCH_TIMEOUT);
            if let Some(etag) = etag {
                request = request.header(header::IF_NONE_MATCH, etag);
            }
            let answer = self.outbound.send_up_to(request, MAX_DOCUMENT).await;
            let answer = answer.map_err(|error| MetadataError::Unreachable(error.to_string()))?;
            let Some(to) = redirect(answer.status, &answer.headers) else { return Ok(answer) };
            // SECURITY: lesson 34. Within the origin it is the same party that says where its document lies.
            let next = at.join(to).ok().filter(|next| next.origin() == url.origin());
            at = next.ok_or_else(|| MetadataError::RedirectElsewhere { to: shown(to) })?;
        }
        Err(MetadataError::RedirectsTooOften { limit: MAX_REDIRECTS })
    }

    async fn parse(&self, body: Vec<u8>) -> Result<Read, MetadataError> {
        let (settings, now) = (self.settings.clone(), self.platform.clock.now());
        let small = body.len() <= SMALL;
        let parse = move || settings.read(&body, &settings.trust_anchor, now);
        if small {
            return parse();
        }
        // Ends only when it is done, or with the process.
        match tokio::task::spawn_blocking(parse).await {
            Ok(outcome) => outcome,
            Err(error) => Err(MetadataError::ReadingEnded(error.to_string())),
        }
    }
}

/// Where an answer leads on to.
fn redirect(status: StatusCode, headers: &HeaderMap) -> Option<&str> {
    let leads_on = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    headers.get(header::LOCATION).filter(|_| leads_on)?.to_str().ok()
}

/// How long to leave the identity provider in peace: as it wishes (`cacheDuration`), within reason, and never so
/// long that the metadata ends in between.
fn interval(metadata: &IdpMetadata, now: UnixTime) -> Duration {
    let wished = metadata.cache_duration.unwrap_or(USUAL).clamp(OFTENEST, SELDOMEST);
    match metadata.valid_until {
        None => wished,
        Some(until) => wished.min((until.since(now) / 2).max(OFTENEST)),
    }
}

#[cfg(test)]
mod tests;
