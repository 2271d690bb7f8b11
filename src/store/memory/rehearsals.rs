//! Explanations of sign-ins and the outcomes of shadow mode in memory.

use std::collections::{BTreeMap, VecDeque};

use async_trait::async_trait;

use super::Memory;
use crate::model::{ErrorId, IdpId, Subject, UnixTime};
use crate::store::StoreError;
use crate::store::rehearsals::{MAX_TOLD, Outcome, RehearsalStore};

#[derive(Default)]
pub(super) struct Rehearsals {
    told: VecDeque<Told>,
    outcomes: BTreeMap<(IdpId, Subject), (UnixTime, String)>,
}

struct Told {
    id: String,
    person: (IdpId, Subject),
    record: String,
}

#[async_trait]
impl RehearsalStore for Memory {
    async fn tell_login(
        &self,
        id: &ErrorId,
        idp: &IdpId,
        subject: &Subject,
        record: &str,
    ) -> Result<(), StoreError> {
        let told = &mut self.tables().rehearsals.told;
        if told.iter().all(|known| known.id != id.as_str()) {
            let person = (idp.clone(), subject.clone());
            told.push_back(Told { id: id.as_str().to_owned(), person, record: record.to_owned() });
        }
        while told.len() > MAX_TOLD {
            told.pop_front();
        }
        Ok(())
    }

    async fn find_told(&self, id: &str) -> Result<Option<String>, StoreError> {
        let told = &self.tables().rehearsals.told;
        Ok(told.iter().find(|known| known.id == id).map(|known| known.record.clone()))
    }

    async fn record_outcome(&self, outcome: &Outcome) -> Result<(), StoreError> {
        let outcomes = &mut self.tables().rehearsals.outcomes;
        let person = (outcome.idp.clone(), outcome.subject.clone());
        if outcomes.get(&person).is_none_or(|(at, _)| outcome.at >= *at) {
            outcomes.insert(person, (outcome.at, outcome.record.clone()));
        }
        Ok(())
    }

    async fn list_outcomes(
        &self,
        after: Option<(&IdpId, &Subject)>,
        limit: usize,
    ) -> Result<Vec<Outcome>, StoreError> {
        let tables = self.tables();
        let later = |(idp, subject): &(IdpId, Subject)| {
            after.is_none_or(|(after_idp, after_subject)| {
                (idp.as_str(), subject.as_str()) > (after_idp.as_str(), after_subject.as_str())
            })
        };
        let outcomes = tables.rehearsals.outcomes.iter().filter(|(person, _)| later(person));
        let outcome = |((idp, subject), (at, record)): (&(IdpId, Subject), &(UnixTime, String))| Outcome {
            idp: idp.clone(),
            subject: subject.clone(),
            at: *at,
            record: record.clone(),
        };
        Ok(outcomes.take(limit).map(outcome).collect())
    }

    async fn forget_outcomes(&self) -> Result<u64, StoreError> {
        let outcomes = &mut self.tables().rehearsals.outcomes;
        let went = outcomes.len();
        outcomes.clear();
        Ok(u64::try_from(went).unwrap_or(u64::MAX))
    }

    async fn forget_person(&self, idp: &IdpId, subject: &Subject) -> Result<u64, StoreError> {
        let Rehearsals { told, outcomes } = &mut self.tables().rehearsals;
        let person = (idp.clone(), subject.clone());
        let before = told.len() + outcomes.len();
        told.retain(|told| told.person != person);
        outcomes.remove(&person);
        Ok(u64::try_from(before - told.len() - outcomes.len()).unwrap_or(u64::MAX))
    }
}
