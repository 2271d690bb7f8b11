//! Which of the recorded sessions the configuration in force admits: those of providers that it has, for as long as it
//! lets a session last.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::{LiveSession, Sessions};
use crate::config::settings::Settings;
use crate::model::{IdpId, SessionRecord, UnixTime};

/// What a configuration says of sessions that began before it.
///
/// SECURITY: a session outlives the configuration in which it began. An operator who takes out a provider that was
/// broken into means its sessions too, and who shortens `session.max_lifetime` means those of the present.
///
/// They are refused, not ended in the store. In a rolling update both configurations are in force, and a replica that
/// does not know a provider yet must not end for all what the others have begun with it; nor may a file with a slip in
/// it, which is put back a minute later. Whatever nobody admits is idle, and is dropped as such.
/// `narthex session revoke --idp` ends them for good.
#[derive(Debug)]
pub struct Admits {
    idps: HashSet<IdpId>,
    max_lifetime: Duration,
}

impl Admits {
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self::new(settings.idps.iter().map(|idp| idp.id().clone()), settings.session.max_lifetime)
    }

    /// Sessions of these, for so long.
    #[must_use]
    pub fn new(idps: impl IntoIterator<Item = IdpId>, max_lifetime: Duration) -> Self {
        Self { idps: idps.into_iter().collect(), max_lifetime }
    }

    /// By when a session of `idp` ends at the latest that would last until `expires_at`; `None`: it is none.
    fn until(&self, idp: &IdpId, created_at: UnixTime, expires_at: UnixTime) -> Option<UnixTime> {
        let latest = created_at.after(self.max_lifetime);
        self.idps.contains(idp).then_some(expires_at.min(latest))
    }

    /// The same, of what is in the store.
    fn until_of(&self, record: &SessionRecord) -> Option<UnixTime> {
        self.until(&record.content.idp, record.created_at, record.expires_at)
    }
}

/// What the configuration in force admits: one for the whole process, so that streams end that began under an earlier
/// one, whichever that was.
pub type InForce = Arc<ArcSwap<Admits>>;

impl Sessions {
    /// Holds a session of the store in memory from now on; `None` where it has ended, or is not admitted.
    pub(super) fn take_in(&self, record: SessionRecord, now: UnixTime) -> Option<Arc<LiveSession>> {
        let hash = record.hash;
        let until = self.in_force.load().until_of(&record)?;
        if now >= until {
            return None;
        }
        let (idle_timeout, clock) = (self.settings.idle_timeout, self.now.clone());
        let live = Arc::new(LiveSession::new(record, until, &*self.render, idle_timeout, clock));
        let mut table = self.write();
        // Once more, with the table held: whoever follows a change either finds it there, or it was seen to here.
        if table.ended.contains_key(&hash) || !admit(&live, &self.in_force.load()) {
            return None;
        }
        let seen = live.last_seen();
        let live = table.live.entry(hash).or_insert(live).clone();
        live.was_seen(seen);
        Some(live)
    }

    /// Has what is in use follow the configuration in force, where that is another one since the last time.
    pub(super) fn follow_admission(&self) {
        let admits = self.in_force.load_full();
        if Arc::ptr_eq(&self.followed.swap(admits.clone()), &admits) {
            return;
        }
        let mut ended = 0_usize;
        self.write().live.retain(|_, session| {
            let stays = admit(session, &admits);
            ended += usize::from(!stays);
            stays
        });
        if ended > 0 {
            tracing::info!(
                sessions = ended,
                "sessions in use are over, since their identity provider is not configured any more"
            );
        }
    }
}

/// Whether it goes on, until then; else it has ended here.
fn admit(session: &LiveSession, admits: &Admits) -> bool {
    let until = admits.until(&session.content().idp, session.created_at(), session.expires_at());
    match until {
        Some(until) => session.ends_by(until),
        None => session.finish(),
    }
    until.is_some()
}
