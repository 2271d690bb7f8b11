//! Listening for hints that the list of changes has grown, on a connection of its own. They only make it quicker:
//! the list is read twice a second anyway.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use tokio::sync::Notify;

use super::Postgres;
use crate::platform::Tasks;

const CHANNEL: &str = "narthex_changes";
/// Between two attempts to listen again.
const AGAIN: Duration = Duration::from_secs(1);

/// Who hears, and who is told.
#[derive(Clone, Debug, Default)]
pub(super) struct Hints(Arc<Notify>);

impl Postgres {
    /// Listens until the tasks are asked to stop.
    pub fn listen(&self, tasks: &Tasks) {
        let options = self.readers.connect_options();
        let pool =
            PgPoolOptions::new().max_connections(1).idle_timeout(None).connect_lazy_with((*options).clone());
        let (hints, stopping) = (self.hints.clone(), tasks.stopping().clone());
        tasks.spawn(async move {
            let mut pulse = tokio::time::interval(AGAIN);
            pulse.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while stopping.run_until_cancelled(pulse.tick()).await.is_some() {
                if let Some(Err(error)) = stopping.run_until_cancelled(hear(&pool, &hints)).await {
                    tracing::debug!(%error, "nothing is heard from PostgreSQL; the changes are read all the same");
                }
            }
            pool.close().await;
        });
    }

    /// Returns after something was heard.
    pub(super) async fn hinted(&self) {
        self.hints.0.notified().await;
    }
}

async fn hear(pool: &PgPool, hints: &Hints) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.ignore_pool_close_event(true);
    listener.listen(CHANNEL).await?;
    loop {
        hints.0.notify_one();
        if listener.try_recv().await?.is_none() {
            return Ok(());
        }
    }
}
