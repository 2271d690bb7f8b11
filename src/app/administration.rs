//! The admin API's part of the composition, and what the command line does at the store beside a running narthex.

use std::net::TcpListener;
use std::sync::Arc;

use super::OpenStore;
use super::generation::Generation;
use super::providers::wanted_claims;
use crate::admin::live::{Change, InForce, Live, LiveError};
use crate::admin::members::{self, MemberView};
use crate::admin::principal::{self, BootstrapError};
use crate::admin::server::AdminServer;
use crate::admin::sessions::{self, SessionView};
use crate::config::Settings;
use crate::config::settings::Scim;
use crate::identify::oidc::WantedClaims;
use crate::identify::refused::Refused;
use crate::listen::DataPlane;
use crate::listen::accept::{ListenError, Listening, Manners};
use crate::model::session::SessionContent;
use crate::model::{IdpId, MemberId, SessionHash};
use crate::observe::Audit;
use crate::observe::audit::{Actor, Entry, Event};
use crate::platform::{Platform, Tasks};
use crate::provision::connector::Features;
use crate::provision::{Provisioner, catalogue};
use crate::store::lists::{MembersLike, SessionsOf};
use crate::store::{Store, StoreError};

/// Answers on `socket` from now on.
pub(super) fn start(
    generation: &Generation,
    socket: TcpListener,
    tasks: &Tasks,
) -> Result<DataPlane<AdminServer>, ListenError> {
    // Administrators are few; the work itself is done on the cold side.
    let listening = Listening { listener: socket, workers: 1, manners: manners(generation) };
    DataPlane::start(listening, tasks, |_| server(generation, tasks))
}

/// Another generation answers from now on.
pub(super) fn replace(plane: &DataPlane<AdminServer>, next: &Generation, tasks: &Tasks) {
    plane.replace(&manners(next), |_| server(next, tasks));
}

fn server(generation: &Generation, tasks: &Tasks) -> Arc<AdminServer> {
    Arc::new(AdminServer::new(generation.admin.clone(), tasks.clone()))
}

/// As on the public listener, without its TLS.
fn manners(generation: &Generation) -> Manners {
    Manners { tls: None, ..generation.manners.clone() }
}

/// A single-use token for the admin API of whoever serves from the store that `settings` name.
///
/// # Errors
/// Where it cannot be recorded.
pub async fn bootstrap(settings: &Settings, platform: &Platform) -> Result<String, BootstrapError> {
    let opened = OpenStore::open(settings).await?;
    let store = opened.store();
    let made = principal::make_bootstrap(store.as_ref(), platform.entropy.as_ref(), platform.clock.now());
    let token = made.await;
    opened.close().await;
    token
}

/// How the sign-in with this error id was refused, from the store that `settings` name; `None` where it is not
/// among those that are kept.
///
/// # Errors
/// Where the store cannot be read.
pub async fn refusal(settings: &Settings, error_id: &str) -> Result<Option<Refused>, StoreError> {
    let opened = OpenStore::open(settings).await?;
    let found = opened.store().find_refusal(error_id).await;
    opened.close().await;
    found?
        .map(|record| {
            serde_json::from_str(&record)
                .map_err(|error| StoreError::Unreadable { what: "refusal", reason: error.to_string() })
        })
        .transpose()
}

/// The store of a narthex that runs elsewhere on it.
pub struct Beside {
    opened: OpenStore,
    store: Arc<dyn Store>,
}

/// The settings that hold by the store that `settings` name, and where the file says something else.
///
/// # Errors
/// Where the store cannot be read, or holds what does not fit the file.
pub async fn settings_in_force(settings: &Settings) -> Result<(Arc<InForce>, Vec<Change>), LiveError> {
    let opened = OpenStore::open_to_look(settings).await?;
    let opened_live = live(settings, &opened.store()).await;
    let found = opened_live.map(|live| (live.now(), live.drift()));
    opened.close().await;
    found
}

/// Rows that are asked for at a time.
const AT_A_TIME: usize = 500;

impl Beside {
    /// # Errors
    /// Where it cannot be opened.
    pub async fn open(settings: &Settings) -> Result<Self, StoreError> {
        let opened = OpenStore::open(settings).await?;
        let store = opened.store();
        Ok(Self { opened, store })
    }

    pub async fn close(self) {
        drop(self.store);
        self.opened.close().await;
    }

    /// All sessions of `of`, as the admin API shows them.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn sessions(&self, of: &SessionsOf) -> Result<Vec<SessionView>, StoreError> {
        let (mut all, mut before) = (Vec::new(), None);
        loop {
            let rows = self.store.list_sessions(of, before, AT_A_TIME).await?;
            let full = rows.len() == AT_A_TIME;
            before = rows.last().map(|row| row.ordinal);
            all.extend(rows.into_iter().map(sessions::viewed));
            if !full {
                return Ok(all);
            }
        }
    }

    /// Ends a session; `false` where there was none. Whoever serves from this store hears of it
    /// ([`crate::store::feed`]).
    ///
    /// # Errors
    /// Where the store cannot be told.
    pub async fn end_session(&self, hash: &SessionHash) -> Result<bool, StoreError> {
        let Some(found) = self.store.find_session(hash).await? else { return Ok(false) };
        let ended = self.store.end_session(hash).await?;
        if ended {
            let SessionContent { idp, subject, account, .. } = &found.content;
            let mut entry = Entry::new(Event::SessionsEnded).about(idp, subject).field("sessions", 1_usize);
            if let Some(account) = account {
                entry = entry.member(account.member);
            }
            self.record(entry).await;
        }
        Ok(ended)
    }

    /// Ends all sessions of a member; gives how many.
    ///
    /// # Errors
    /// Where the store cannot be told.
    pub async fn end_sessions_of(&self, member: MemberId) -> Result<usize, StoreError> {
        let ended = self.store.end_sessions_of_member(member).await?.len();
        if ended > 0 {
            self.record(Entry::new(Event::SessionsEnded).member(member).field("sessions", ended)).await;
        }
        Ok(ended)
    }

    /// Ends all sessions that a provider began, configured or not; gives how many.
    ///
    /// # Errors
    /// Where the store cannot be told.
    pub async fn end_sessions_of_idp(&self, idp: &IdpId) -> Result<usize, StoreError> {
        let ended = self.store.end_sessions_of_idp(idp).await?.len();
        if ended > 0 {
            self.record(Entry::new(Event::SessionsEnded).field("idp", idp).field("sessions", ended)).await;
        }
        Ok(ended)
    }

    pub(super) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Into the audit log, in a chain of this process.
    pub(super) async fn record(&self, entry: Entry) {
        let runtime = tokio::runtime::Handle::current();
        let (audit, writer) = Audit::start(self.store.clone(), Platform::system(), runtime);
        if let Err(error) = audit.record_durably(entry.by(Actor::CommandLine)).await {
            tracing::error!(%error, "this is not in the audit log");
        }
        writer.finish().await;
    }

    /// All members that match, as the admin API shows them.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn members(&self, like: &MembersLike) -> Result<Vec<MemberView>, StoreError> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let rows = self.store.list_members(like, after, AT_A_TIME).await?;
            let full = rows.len() == AT_A_TIME;
            after = rows.last().map(|row| row.id);
            all.extend(rows.into_iter().map(members::viewed));
            if !full {
                return Ok(all);
            }
        }
    }
}

/// The settings that hold: the file's, or those in the store.
pub(super) async fn live(settings: &Settings, store: &Arc<dyn Store>) -> Result<Arc<Live>, LiveError> {
    let features = Box::new(|name: &str| catalogue::features(name).ok());
    Ok(Arc::new(Live::open(settings, features, store.clone()).await?))
}

/// Has everything that goes by the settings follow them.
pub(super) fn follow(
    live: &Live,
    provisioner: Arc<Provisioner>,
    wanted: WantedClaims,
    scim: Option<Scim>,
    features: Features,
) {
    live.on_change(Box::new(move |settings| {
        wanted.store(Arc::new(wanted_claims(settings, scim.as_ref(), &features)));
        provisioner.change(settings);
    }));
}
