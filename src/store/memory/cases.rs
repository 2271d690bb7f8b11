//! Sign-ins that wait for an administrator.

use async_trait::async_trait;

use super::Memory;
use crate::model::case::{Asked, Case, CaseId, CaseStanding};
use crate::model::{AccountId, IdpId, MemberId, Subject, UnixTime};
use crate::store::StoreError;
use crate::store::cases::{CaseStore, OpenedCase};

fn is_of(case: &Case, idp: &IdpId, subject: &Subject) -> bool {
    (&case.idp, &case.subject) == (idp, subject)
}

#[async_trait]
impl CaseStore for Memory {
    async fn open_case(&self, case: &Case, most: usize) -> Result<OpenedCase, StoreError> {
        let cases = &mut self.tables().cases;
        let mine = |other: &&Case| is_of(other, &case.idp, &case.subject);
        let known = cases.values().filter(mine).find(|other| other.account == case.account).cloned();
        let Some(known) = known else {
            if cases.values().filter(mine).count() >= most {
                return Ok(OpenedCase::TooMany);
            }
            if cases.contains_key(&case.id) {
                return Err(StoreError::Conflict { act: "open_case", what: "a case of this id" });
            }
            cases.insert(case.id, case.clone());
            return Ok(OpenedCase::Opened(case.clone()));
        };
        Ok(match known.asked(case) {
            Asked::Decided => OpenedCase::Decided(known),
            Asked::Waits(now) => {
                cases.insert(now.id, now.clone());
                OpenedCase::Waiting(now)
            }
            Asked::Anew(now) => {
                cases.insert(now.id, now.clone());
                OpenedCase::Opened(now)
            }
        })
    }

    async fn find_case(&self, id: CaseId) -> Result<Option<Case>, StoreError> {
        Ok(self.tables().cases.get(&id).cloned())
    }

    async fn find_case_of(
        &self,
        idp: &IdpId,
        subject: &Subject,
        account: &AccountId,
    ) -> Result<Option<Case>, StoreError> {
        let tables = self.tables();
        let found = tables.cases.values().find(|case| is_of(case, idp, subject) && case.account == *account);
        Ok(found.cloned())
    }

    async fn list_cases(
        &self,
        standing: Option<CaseStanding>,
        before: Option<CaseId>,
        limit: usize,
    ) -> Result<Vec<Case>, StoreError> {
        let tables = self.tables();
        let older = tables.cases.values().rev().filter(|case| before.is_none_or(|before| case.id < before));
        let wanted = older.filter(|case| standing.is_none_or(|standing| case.standing == standing));
        Ok(wanted.take(limit).cloned().collect())
    }

    async fn change_case(&self, case: &Case) -> Result<bool, StoreError> {
        let cases = &mut self.tables().cases;
        let known = cases.get_mut(&case.id).filter(|known| known.revision == case.revision - 1);
        let Some(known) = known else { return Ok(false) };
        known.standing = case.standing;
        known.decided.clone_from(&case.decided);
        known.expires_at = case.expires_at;
        known.led_to = case.led_to;
        known.revision = case.revision;
        Ok(true)
    }

    async fn drop_case(&self, id: CaseId, revision: i64) -> Result<bool, StoreError> {
        let cases = &mut self.tables().cases;
        let may = cases.get(&id).is_some_and(|case| case.revision == revision);
        if may {
            cases.remove(&id);
        }
        Ok(may)
    }

    async fn forget_cases(
        &self,
        identities: &[(IdpId, Subject)],
        member: MemberId,
        account: Option<&AccountId>,
    ) -> Result<u64, StoreError> {
        let cases = &mut self.tables().cases;
        let tells = |case: &Case| {
            identities.iter().any(|(idp, subject)| is_of(case, idp, subject))
                || case.facts.member == Some(member)
                || case.led_to == Some(member)
                || account == Some(&case.account)
        };
        let before = cases.len();
        cases.retain(|_, case| case.standing == CaseStanding::Denied || !tells(case));
        let mut forgotten = before - cases.len();
        for case in cases.values_mut().filter(|case| tells(case)) {
            let blanked = case.facts.blanked();
            if case.facts != blanked {
                case.facts = blanked;
                case.revision += 1;
                forgotten += 1;
            }
        }
        Ok(u64::try_from(forgotten).unwrap_or(u64::MAX))
    }

    async fn sweep_cases(&self, now: UnixTime) -> Result<u64, StoreError> {
        let cases = &mut self.tables().cases;
        let before = cases.len();
        cases.retain(|_, case| case.expires_at.is_none_or(|end| end > now));
        Ok(u64::try_from(before - cases.len()).unwrap_or(u64::MAX))
    }
}
