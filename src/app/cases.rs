//! Sign-ins that wait for an administrator, from the command line: by the same rules as through the admin API.

use super::administration::Beside;
use crate::admin::AdminError;
use crate::admin::cases::{self, CaseView, Decision};
use crate::admin::principal::Principal;
use crate::model::{Case, CaseId, CaseStanding};
use crate::observe::audit::{Entry, Event};
use crate::platform::Platform;

/// Rows that are asked for at a time.
const AT_A_TIME: usize = 500;

impl Beside {
    /// All cases of this standing, or of any, the newest first.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn cases(
        &self,
        standing: Option<CaseStanding>,
        platform: &Platform,
    ) -> Result<Vec<CaseView>, AdminError> {
        let now = platform.clock.now();
        let (mut all, mut before) = (Vec::new(), None);
        loop {
            let rows = self.store().list_cases(standing, before, AT_A_TIME).await?;
            let full = rows.len() == AT_A_TIME;
            before = rows.last().map(|row| row.id);
            all.extend(rows.into_iter().map(|row| cases::viewed(row, now)));
            if !full {
                return Ok(all);
            }
        }
    }

    /// # Errors
    /// Where it is not there.
    pub async fn case(&self, id: CaseId, platform: &Platform) -> Result<CaseView, AdminError> {
        let case = cases::find(self.store().as_ref(), id).await?;
        Ok(cases::viewed(case, platform.clock.now()))
    }

    /// # Errors
    /// As [`cases::decide`].
    pub async fn decide_case(
        &self,
        id: CaseId,
        decision: Decision,
        platform: &Platform,
    ) -> Result<CaseView, AdminError> {
        let (store, now) = (self.store().as_ref(), platform.clock.now());
        let case = cases::find(store, id).await?;
        let case = cases::decide(store, &Principal::command_line(), case, decision, now).await?;
        self.note_case(&case, decision.as_str()).await;
        Ok(cases::viewed(case, now))
    }

    /// # Errors
    /// As [`cases::withdraw`].
    pub async fn withdraw_case(&self, id: CaseId, platform: &Platform) -> Result<CaseView, AdminError> {
        let store = self.store().as_ref();
        let case = cases::find(store, id).await?;
        cases::withdraw(store, &case).await?;
        self.note_case(&case, "withdraw").await;
        Ok(cases::viewed(case, platform.clock.now()))
    }

    async fn note_case(&self, case: &Case, decision: &'static str) {
        self.record(cases::note(Entry::new(Event::CaseDecided), case, decision)).await;
    }
}
