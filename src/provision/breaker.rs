//! A3: an application that does not answer is left alone for a while, and asked by one caller before it is asked by
//! all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{Account, AccountProfile, UnixTime};
use crate::platform::Clock;

use super::connector::{
    Checked, Connector, ConnectorError, EntitlementChange, Features, FindBy, Kind, Named,
};
use super::measures;

/// So many calls in a row without an answer open it: those of three logins, each of which tries three times.
pub const FAILURES: u32 = 9;
/// How long it stays open at first; doubled after each trial that fails.
pub const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest, also where the application asks for longer (`Retry-After`).
pub const LAST_PAUSE: Duration = Duration::from_mins(1);

/// A connector that fails at once while its application is known not to answer.
///
/// ```text
/// closed ── FAILURES in a row ──▶ open ── pause over ──▶ trial ── answered ──▶ closed
///                                  ▲                      │
///                                  └──── not answered ────┘
/// ```
pub struct Breaker {
    inner: Arc<dyn Connector>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        since: UnixTime,
        pause: Duration,
    },
    /// One call is on its way; the others wait for what it finds.
    Trial {
        pause: Duration,
    },
}

/// A call that was let through. Dropped without an outcome, it counts as one that was not answered in the time that
/// its caller had.
struct Passage<'a> {
    breaker: &'a Breaker,
    settled: bool,
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.breaker.failed(None);
        }
    }
}

impl Breaker {
    #[must_use]
    pub fn around(inner: Arc<dyn Connector>, clock: Arc<dyn Clock>) -> Arc<dyn Connector> {
        measures::breaker(false);
        Arc::new(Self { inner, clock, state: Mutex::new(State::Closed { failures: 0 }) })
    }

    /// Makes a call, unless the application is to be left alone.
    async fn through<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, ConnectorError>>,
    ) -> Result<T, ConnectorError> {
        let mut passage = self.pass(operation)?;
        let outcome = call.await;
        passage.settled = true;
        match outcome.as_ref().err().and_then(silence) {
            None => self.answered(),
            Some(asked) => self.failed(asked),
        }
        outcome
    }

    fn pass(&self, operation: &'static str) -> Result<Passage<'_>, ConnectorError> {
        let mut state = self.state();
        match *state {
            State::Closed { .. } => {}
            State::Open { since, pause } => {
                let now = self.clock.now();
                // A clock that was set back does not prolong it.
                if now >= since && now < since.after(pause) {
                    let left = pause.saturating_sub(now.since(since));
                    return Err(ConnectorError::LeftAlone { operation, left });
                }
                *state = State::Trial { pause };
            }
            State::Trial { .. } => {
                return Err(ConnectorError::LeftAlone { operation, left: Duration::ZERO });
            }
        }
        Ok(Passage { breaker: self, settled: false })
    }

    fn answered(&self) {
        let mut state = self.state();
        if matches!(*state, State::Trial { .. }) {
            tracing::info!("the application answers again");
            measures::breaker(false);
        }
        // A straggler's answer is an answer, but it was asked before the pause began.
        if !matches!(*state, State::Open { .. }) {
            *state = State::Closed { failures: 0 };
        }
    }

    /// `asked`: how long the application asked to be left alone.
    fn failed(&self, asked: Option<Duration>) {
        let mut state = self.state();
        let pause = match *state {
            State::Closed { failures } if failures + 1 < FAILURES => {
                *state = State::Closed { failures: failures + 1 };
                return;
            }
            State::Closed { .. } => FIRST_PAUSE,
            State::Open { .. } => return,
            State::Trial { pause } => pause.saturating_mul(2),
        };
        let pause = pause.max(asked.unwrap_or_default()).min(LAST_PAUSE);
        *state = State::Open { since: self.clock.now(), pause };
        measures::breaker(true);
        tracing::warn!(
            seconds = pause.as_secs(),
            "A3: the application does not answer; it is left alone for a while, and first logins wait"
        );
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this says that the application as a whole does not answer, and how long it asks to be left alone. Whoever
/// refuses a request is there.
#[expect(
    clippy::option_option,
    reason = "whether it is silent, and how long it asked for, are two questions"
)]
fn silence(error: &ConnectorError) -> Option<Option<Duration>> {
    match error {
        ConnectorError::Unreachable { .. } => Some(None),
        ConnectorError::Busy { after, .. } => Some(*after),
        ConnectorError::Refused { status, .. } if *status >= 500 => Some(None),
        ConnectorError::Conflict { .. }
        | ConnectorError::NotFound { .. }
        | ConnectorError::NoSeats { .. }
        | ConnectorError::Credential { .. }
        | ConnectorError::Refused { .. }
        | ConnectorError::Unexpected { .. }
        | ConnectorError::Unsendable { .. }
        | ConnectorError::Guarded { .. }
        | ConnectorError::Undecided { .. }
        | ConnectorError::LeftAlone { .. }
        | ConnectorError::Unsupported { .. } => None,
    }
}

#[async_trait]
impl Connector for Breaker {
    fn features(&self) -> &Features {
        self.inner.features()
    }

    async fn find(&self, by: FindBy<'_>) -> Result<Vec<Account>, ConnectorError> {
        self.through("find", self.inner.find(by)).await
    }

    async fn create(&self, wanted: &AccountProfile, role: Option<&str>) -> Result<Account, ConnectorError> {
        self.through("create", self.inner.create(wanted, role)).await
    }

    async fn update(&self, account: &Account, profile: &AccountProfile) -> Result<(), ConnectorError> {
        self.through("update", self.inner.update(account, profile)).await
    }

    async fn set_entitlements(
        &self,
        account: &Account,
        change: &EntitlementChange,
    ) -> Result<(), ConnectorError> {
        self.through("set entitlements", self.inner.set_entitlements(account, change)).await
    }

    async fn create_team(&self, team: &str) -> Result<(), ConnectorError> {
        self.through("create team", self.inner.create_team(team)).await
    }

    async fn deactivate(&self, account: &Account) -> Result<(), ConnectorError> {
        self.through("deactivate", self.inner.deactivate(account)).await
    }

    async fn reactivate(&self, account: &Account) -> Result<(), ConnectorError> {
        self.through("reactivate", self.inner.reactivate(account)).await
    }

    async fn transfer(&self, account: &Account, heir: &Account) -> Result<(), ConnectorError> {
        self.through("transfer", self.inner.transfer(account, heir)).await
    }

    async fn delete(&self, account: &Account) -> Result<(), ConnectorError> {
        self.through("delete", self.inner.delete(account)).await
    }

    async fn list(&self, kind: Kind) -> Result<Option<Vec<Named>>, ConnectorError> {
        self.through("list", self.inner.list(kind)).await
    }

    async fn check(&self) -> Result<Checked, ConnectorError> {
        self.through("check", self.inner.check()).await
    }
}
