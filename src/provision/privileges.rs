//! The right to take a privilege away in the application (G1): one at a time, over all processes, since two at once could
//! each see the other's account as the one that stays.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

use crate::model::AccountId;
use crate::platform::Platform;
use crate::store::Store;

use super::leases::{FIRST_LOOK, LAST_LOOK};

/// What the right is called in the store.
const NAME: &str = "privileges";

/// The right, as one process asks for it.
pub struct Privileges {
    store: Arc<dyn Store>,
    platform: Platform,
    /// In this process one waits for the other here, and only the first of them asks the store.
    here: Mutex<Option<Doubt>>,
}

/// A call for this account may still take effect, so that the right was not given up. The same may be tried again.
struct Doubt {
    holder: u64,
    account: AccountId,
}

/// The right, had. It ends by itself where it is not given up: a call that was given up on may still take effect.
pub(super) struct Taken<'a> {
    holder: u64,
    account: AccountId,
    again: bool,
    here: MutexGuard<'a, Option<Doubt>>,
}

impl Taken<'_> {
    /// Whether an earlier call for the same account may still take effect.
    pub(super) fn is_again(&self) -> bool {
        self.again
    }
}

impl Privileges {
    #[must_use]
    pub fn new(store: Arc<dyn Store>, platform: Platform) -> Self {
        Self { store, platform, here: Mutex::default() }
    }

    /// Waits for the right and has it for as long as `lasts`. Whoever has no more time gives up waiting (A1).
    ///
    /// # Errors
    /// Why it cannot be had: the store's reason.
    pub(super) async fn take(&self, account: &AccountId, lasts: Duration) -> Result<Taken<'_>, String> {
        let mut here = self.here.lock().await;
        let earlier = here.as_ref().filter(|doubt| doubt.account == *account).map(|doubt| doubt.holder);
        let new = self.platform.entropy.bytes().map_err(|error| error.to_string())?;
        let holder = earlier.unwrap_or_else(|| u64::from_be_bytes(new));
        let mut look = FIRST_LOOK;
        loop {
            let now = self.platform.clock.now();
            let until = now.after(lasts);
            let busy = self.store.hold_right(NAME, holder, now, until).await;
            if busy.map_err(|error| error.to_string())?.is_none() {
                *here = None;
                return Ok(Taken { holder, account: account.clone(), again: earlier.is_some(), here });
            }
            tokio::time::sleep(look).await;
            look = (look * 2).min(LAST_LOOK);
        }
    }

    /// Keeps the right for as long as it lasts.
    pub(super) fn keep(mut taken: Taken<'_>) {
        *taken.here = Some(Doubt { holder: taken.holder, account: taken.account.clone() });
    }

    pub(super) async fn give_up(&self, taken: Taken<'_>) {
        if let Err(error) = self.store.release_right(NAME, taken.holder).await {
            tracing::warn!(%error, "the right to take privileges away could not be given up and runs out");
        }
    }
}
