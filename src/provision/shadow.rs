//! Shadow mode (M6): real sign-ins are resolved and planned, nothing is written in the application, and the report
//! says who would be created, adopted or refused, and who would gain or lose what.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::config::settings::SessionRoles;
use crate::identify::Verified;
use crate::model::{Account, AccountProfile, Grant, IdpId, Subject, UnixTime};
use crate::observe::audit::{Entry, Event, Plain};
use crate::store::StoreError;
use crate::store::rehearsals::{Outcome, RehearsalStore};

use super::connector::{
    Checked, Connector, ConnectorError, EntitlementChange, Features, FindBy, Kind, Named,
};
use super::explain::{Explanation, Found, Summary};
use super::grant::grant;
use super::rehearse::Rehearsal;
use super::{ProvisionError, Provisioned, Provisioner};

/// A connector that reads and refuses every write, whoever asks for it and however it came to that: what shadow mode
/// and `narthex explain` promise does not rest on their own code being right.
pub struct ReadOnly {
    inner: Arc<dyn Connector>,
    reach: Reach,
}

/// What may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Everything that changes nothing.
    Reads,
    /// Nothing at all: there is no account, and no list can be had.
    Nothing,
}

impl ReadOnly {
    #[must_use]
    pub fn new(inner: Arc<dyn Connector>, reach: Reach) -> Self {
        Self { inner, reach }
    }
}

fn refuse<T>(operation: &'static str) -> Result<T, ConnectorError> {
    let what = "nothing is written in the application while this is only looked at (shadow mode, explain)";
    Err(ConnectorError::Guarded { operation, rule: "M6", what: what.to_owned() })
}

#[async_trait]
impl Connector for ReadOnly {
    fn features(&self) -> &Features {
        self.inner.features()
    }

    async fn find(&self, by: FindBy<'_>) -> Result<Vec<Account>, ConnectorError> {
        match self.reach {
            Reach::Reads => self.inner.find(by).await,
            Reach::Nothing => Ok(Vec::new()),
        }
    }

    async fn create(&self, _: &AccountProfile, _: Option<&str>) -> Result<Account, ConnectorError> {
        refuse("create")
    }

    async fn update(&self, _: &Account, _: &AccountProfile) -> Result<(), ConnectorError> {
        refuse("update")
    }

    async fn set_entitlements(&self, _: &Account, _: &EntitlementChange) -> Result<(), ConnectorError> {
        refuse("set entitlements")
    }

    async fn create_team(&self, _: &str) -> Result<(), ConnectorError> {
        refuse("create team")
    }

    async fn deactivate(&self, _: &Account) -> Result<(), ConnectorError> {
        refuse("deactivate")
    }

    async fn reactivate(&self, _: &Account) -> Result<(), ConnectorError> {
        refuse("reactivate")
    }

    async fn transfer(&self, _: &Account, _: &Account) -> Result<(), ConnectorError> {
        refuse("transfer")
    }

    async fn delete(&self, _: &Account) -> Result<(), ConnectorError> {
        refuse("delete")
    }

    async fn list(&self, kind: Kind) -> Result<Option<Vec<Named>>, ConnectorError> {
        match self.reach {
            Reach::Reads => self.inner.list(kind).await,
            Reach::Nothing => Ok(None),
        }
    }

    async fn check(&self) -> Result<Checked, ConnectorError> {
        match self.reach {
            Reach::Reads => self.inner.check().await,
            Reach::Nothing => Ok(Checked { version: None, own_account: None }),
        }
    }
}

impl Provisioner {
    /// A sign-in in shadow mode, with what it would have done.
    ///
    /// F1 holds as ever: whom the application is not open to is not let in to try things out. Whoever has an account
    /// through narthex already signs in to it, as it is. All others get a session without account.
    pub(super) async fn shadowed(
        &self,
        verified: Verified,
        started: Instant,
    ) -> (Result<(Provisioned, &'static str), ProvisionError>, Explanation) {
        let core = self.core();
        let identity = verified.identity().clone();
        let deadline = started + core.settings.time_budget;
        let Rehearsal { mut explanation, standing, error } = core.rehearse(&identity, deadline).await;
        self.show_headers(&identity, None, &mut explanation);
        self.record_outcome(&explanation).await;
        let may = core.let_in(&identity).await;
        let result = match (may, standing, error) {
            // G6 holds, whatever account there is or is not.
            (Err(error), _, _) | (Ok(()), _, Some(error @ ProvisionError::Blocked)) => Err(error),
            (Ok(()), Some((member, account)), None) => {
                let said = explanation.session.clone().unwrap_or_default();
                // What is not written in the application cannot be borrowed there.
                let roles = match core.settings.session_roles {
                    SessionRoles::Borrow => SessionRoles::Off,
                    other => other,
                };
                let grant = grant(&account.entitlements, &said, roles);
                Ok((Provisioned::with_account(verified, &member, &account, grant), "existing"))
            }
            // G4 holds too: whose account was deactivated is kept out.
            (Ok(()), _, Some(error @ ProvisionError::AccountDeactivated { .. }))
                if matches!(explanation.found, Found::Member(_)) =>
            {
                Err(error)
            }
            (Ok(()), _, _) => Ok((Provisioned::without_account(verified, Grant::default()), "shadowed")),
        };
        (result, explanation)
    }

    async fn record_outcome(&self, explanation: &Explanation) {
        let summary = explanation.summary();
        let entry = Entry::new(Event::ShadowOutcome).by_person(&explanation.idp, &explanation.subject);
        let entry = entry.field("outcome", Plain::name(&summary.outcome));
        let refusal = summary.refusal.as_ref().map(|refusal| refusal.code.as_str()).unwrap_or_default();
        let entry = entry.field("refusal", Plain::name(refusal));
        let entry = entry.personal("username", summary.username.as_deref().unwrap_or_default());
        let entry = entry.personal("gains", &format!("{:?}", summary.gains));
        self.core().audit.record(entry.personal("loses", &format!("{:?}", summary.loses)));
        let Some(telling) = &self.telling else { return };
        let Ok(record) = serde_json::to_string(&summary) else { return };
        let Explanation { idp, subject, at, .. } = explanation;
        let outcome = Outcome { idp: idp.clone(), subject: subject.clone(), at: *at, record };
        if let Err(error) = telling.store.record_outcome(&outcome).await {
            tracing::warn!(idp = %idp, %error, "an outcome of shadow mode could not be kept for its report");
        }
    }
}

/// What shadow mode found out so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// How many people there are of each outcome.
    pub counts: BTreeMap<String, usize>,
    pub people: Vec<Person>,
}

/// One identity's latest sign-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub idp: IdpId,
    pub subject: Subject,
    pub at: UnixTime,
    #[serde(flatten)]
    pub summary: Summary,
}

/// How many are read at once.
const PAGE: usize = 500;

/// Everything that is recorded, in the order of the identities.
///
/// # Errors
/// Where the store cannot be read.
pub async fn report(store: &dyn RehearsalStore) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let mut after: Option<(IdpId, Subject)> = None;
    loop {
        let from = after.as_ref().map(|(idp, subject)| (idp, subject));
        let page = store.list_outcomes(from, PAGE).await?;
        after = page.last().map(|last| (last.idp.clone(), last.subject.clone()));
        if after.is_none() {
            return Ok(report);
        }
        for Outcome { idp, subject, at, record } in page {
            let summary: Summary = serde_json::from_str(&record).map_err(|error| StoreError::Unreadable {
                what: "shadow outcome",
                reason: error.to_string(),
            })?;
            *report.counts.entry(summary.outcome.clone()).or_default() += 1;
            report.people.push(Person { idp, subject, at, summary });
        }
    }
}
