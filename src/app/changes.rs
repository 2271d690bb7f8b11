//! Hears what other replicas did, and hands it to those whom it concerns.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::admin::live::{Live, LiveError};
use crate::identify::session::{SessionError, Sessions};
use crate::platform::Tasks;
use crate::store::feed::{Changed, FeedReader, KEPT, News, session_of};
use crate::store::{Store, StoreError};

/// How often the list of changes is read where nobody hints that it has grown. What ends elsewhere ends here within a
/// second (SECURITY.md 38), hints or not.
const LOOK: Duration = Duration::from_millis(500);
/// A store that does not answer for this long is away.
const PATIENCE: Duration = Duration::from_secs(5);
const SWEEP: Duration = Duration::from_mins(5);

/// Who wants to hear.
#[derive(Clone)]
pub(super) struct Listeners {
    pub sessions: Arc<Sessions>,
    pub live: Arc<Live>,
}

/// Follows the changes until the tasks are asked to stop.
pub(super) fn follow(tasks: &Tasks, store: &Arc<dyn Store>, listeners: Listeners) {
    let (store, stopping) = (Arc::clone(store), tasks.stopping().clone());
    tasks.spawn(async move {
        let mut reader = FeedReader::new(Arc::clone(&store));
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sweep_at = Instant::now() + SWEEP;
        let mut away = false;
        loop {
            let woken = async {
                tokio::select! {
                    _ = look.tick() => {}
                    () = store.hint() => {}
                }
            };
            if stopping.run_until_cancelled(woken).await.is_none() {
                return;
            }
            let outcome = match timeout(PATIENCE, catch_up(&mut reader, &listeners)).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("the store did not answer within {} s", PATIENCE.as_secs())),
            };
            match outcome {
                Ok(()) => listeners.sessions.store_found(),
                Err(ref reason) => {
                    reader.lose();
                    listeners.sessions.store_lost();
                    if !away {
                        tracing::warn!(%reason, "what other replicas do cannot be heard of");
                    }
                }
            }
            if away && outcome.is_ok() {
                tracing::info!("the store is back, and everything that happened meanwhile is known");
            }
            away = outcome.is_err();
            if !away && Instant::now() >= sweep_at {
                sweep_at = Instant::now() + SWEEP;
                if let Err(error) = store.sweep_changes(KEPT).await {
                    tracing::warn!(%error, "old changes could not be dropped");
                }
            }
        }
    });
}

async fn catch_up(reader: &mut FeedReader, listeners: &Listeners) -> Result<(), SessionError> {
    loop {
        match reader.news().await? {
            News::Everything => {
                let mark = reader.mark().await?;
                listeners.sessions.look_at_all().await?;
                refresh(&listeners.live).await?;
                reader.found_again(mark);
            }
            News::Changes(changes) if changes.is_empty() => break,
            News::Changes(changes) => {
                for change in changes {
                    match change.what {
                        Changed::Session => {
                            if let Some(hash) = session_of(&change.key) {
                                listeners.sessions.ended_elsewhere(&hash);
                            }
                        }
                        Changed::Settings => refresh(&listeners.live).await?,
                        Changed::Other => {}
                    }
                }
            }
        }
    }
    listeners.sessions.look_at_idle().await
}

async fn refresh(live: &Live) -> Result<(), StoreError> {
    match live.refresh().await {
        Err(LiveError::Store(error)) => Err(error),
        // What does not fit was told already, and the settings from before go on.
        Ok(_) | Err(LiveError::Unsound { .. } | LiveError::Unreadable { .. }) => Ok(()),
    }
}
