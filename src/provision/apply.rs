//! Calls to the application within the time budget (A1), and a plan carried out by them.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::Account;
use crate::observe::audit::{Audit, Entry, Event, Plain};
use crate::platform::Entropy;

use super::connector::{Connector, ConnectorError};
use super::plan::{Operation, Plan, changed};

/// How often one call is made at most.
pub const TRIES: u32 = 3;
/// Before the second try; doubled before each further one, and between half and all of it by chance.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// A connector, with patience until a deadline.
#[derive(Clone, Copy)]
pub struct Calls<'a> {
    pub connector: &'a dyn Connector,
    pub entropy: &'a dyn Entropy,
    pub audit: &'a Audit,
    /// The end of `provisioning.time_budget`.
    pub deadline: Instant,
}

impl Calls<'_> {
    /// Makes an idempotent call, again where the application could not be reached or asks to wait (A1).
    ///
    /// # Errors
    /// The last try's.
    pub async fn patiently<T, F, R>(&self, call: F) -> Result<T, ConnectorError>
    where
        F: Fn() -> R + Send + Sync,
        R: Future<Output = Result<T, ConnectorError>> + Send,
        T: Send,
    {
        let mut tried = 1;
        loop {
            let error = match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(pause) = self.pause_after(&error, tried) else { return Err(error) };
            tokio::time::sleep(pause).await;
            tried += 1;
        }
    }

    /// How long to wait before trying again; `None`: not again.
    #[must_use]
    pub fn pause_after(&self, error: &ConnectorError, tried: u32) -> Option<Duration> {
        let asked = match error {
            ConnectorError::Unreachable { .. } => None,
            ConnectorError::Busy { after, .. } => *after,
            ConnectorError::Refused { status, .. } if *status >= 500 => None,
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
            | ConnectorError::Unsupported { .. } => return None,
        };
        if tried >= TRIES {
            return None;
        }
        let full = FIRST_PAUSE.saturating_mul(1 << tried.saturating_sub(1).min(8));
        let [chance] = self.entropy.bytes::<1>().unwrap_or([128]);
        let jittered = full / 2 + full.mul_f64(f64::from(chance) / 512.0);
        let pause = asked.unwrap_or_default().max(jittered);
        (Instant::now() + pause < self.deadline).then_some(pause)
    }

    /// Carries out what completes an account: everything but its creation. Gives the account as it is then.
    ///
    /// # Errors
    /// The first operation's that failed; what was done before stays, and a later login goes on from there.
    pub async fn complete(&self, mut account: Account, plan: &Plan) -> Result<Account, ConnectorError> {
        for operation in &plan.operations {
            match operation {
                // Creation has its own rules (F9), and its own caller.
                Operation::Create { .. } | Operation::Update(_) | Operation::Reactivate => {}
                Operation::CreateTeam(team) => self.create_team(team).await?,
                Operation::Entitle(change) => {
                    self.patiently(|| self.connector.set_entitlements(&account, change)).await?;
                    account = changed(account, change);
                }
            }
        }
        Ok(account)
    }

    /// F5, `unknown_team = "create"`; one that is there by now is as good.
    pub(super) async fn create_team(&self, team: &str) -> Result<(), ConnectorError> {
        match self.patiently(|| self.connector.create_team(team)).await {
            Ok(()) => {
                self.audit.record(Entry::new(Event::TeamCreated).field("team", Plain::name(team)));
                Ok(())
            }
            Err(ConnectorError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
