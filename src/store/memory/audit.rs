//! The audit log in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{Memory, Tables};
use crate::model::audit::{AuditPart, AuditQuery, PartKey, PartRole, Said, Whose};
use crate::model::letter::Letter;
use crate::model::{AuditHead, AuditRecord, ChainId, IdpId, MemberId, Subject};
use crate::store::{AuditStore, StoreError};

#[derive(Default)]
pub(super) struct AuditTables {
    entries: BTreeMap<(ChainId, u64), AuditRecord>,
    /// With the sequence up to which another chain has noted it.
    heads: BTreeMap<ChainId, (AuditHead, u64)>,
}

impl AuditTables {
    fn part(&mut self, key: &PartKey) -> Option<&mut AuditPart> {
        let entry = self.entries.get_mut(&(key.chain, key.sequence))?;
        match key.role {
            PartRole::Actor => entry.actor.as_mut(),
            PartRole::About => entry.about.as_mut(),
        }
    }
}

#[async_trait]
impl AuditStore for Memory {
    async fn append_audit_and_letters(
        &self,
        records: &[AuditRecord],
        links: &[AuditHead],
        letters: &[Letter],
    ) -> Result<(), StoreError> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(()) };
        let Tables { audit, outbox, .. } = &mut *self.tables();
        let known = audit.heads.get(&last.chain);
        let fits = match known {
            None => first.sequence == 1,
            Some((head, _)) => head.sequence + 1 == first.sequence && head.hash == first.previous,
        };
        let taken = records.iter().any(|one| audit.entries.contains_key(&(one.chain, one.sequence)));
        if !fits || taken {
            return Err(StoreError::Conflict { act: "append_audit", what: "another end of this chain" });
        }
        outbox.put(letters);
        let linked = known.map_or(0, |(_, linked)| *linked);
        audit.heads.insert(last.chain, (last.head(), linked));
        for record in records {
            audit.entries.insert((record.chain, record.sequence), record.clone());
        }
        for link in links {
            if let Some((_, linked)) = audit.heads.get_mut(&link.chain) {
                *linked = (*linked).max(link.sequence);
            }
        }
        Ok(())
    }

    async fn audit_heads(&self) -> Result<Vec<AuditHead>, StoreError> {
        Ok(self.tables().audit.heads.values().map(|(head, _)| *head).collect())
    }

    async fn loose_audit_heads(&self, own: ChainId, limit: usize) -> Result<Vec<AuditHead>, StoreError> {
        let tables = self.tables();
        let heads = tables.audit.heads.values();
        let loose = heads.filter(|(head, linked)| head.sequence > *linked && head.chain != own);
        Ok(loose.map(|(head, _)| *head).take(limit).collect())
    }

    async fn read_audit(
        &self,
        after: Option<(ChainId, u64)>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let tables = self.tables();
        let entries = tables.audit.entries.iter();
        let behind = entries.filter(|(place, _)| after.is_none_or(|after| **place > after));
        Ok(behind.map(|(_, record)| record.clone()).take(limit).collect())
    }

    async fn list_audit(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, StoreError> {
        let tables = self.tables();
        let place = |record: &AuditRecord| (record.at, record.chain, record.sequence);
        let mut found: Vec<&AuditRecord> = tables
            .audit
            .entries
            .values()
            .filter(|one| query.since <= one.at && one.at < query.until)
            .filter(|one| query.member.is_none() || one.member == query.member)
            .filter(|one| query.event.as_ref().is_none_or(|event| one.event == *event))
            .filter(|one| {
                query.after.is_none_or(|after| {
                    if query.newest_first { place(one) < after } else { place(one) > after }
                })
            })
            .collect();
        found.sort_by_key(|one| place(one));
        if query.newest_first {
            found.reverse();
        }
        Ok(found.into_iter().take(query.limit).cloned().collect())
    }

    async fn find_audit_parts(
        &self,
        member: Option<MemberId>,
        identities: &[(IdpId, Subject)],
        words: &[String],
    ) -> Result<Vec<PartKey>, StoreError> {
        let quoted = |word: &String| serde_json::Value::String(word.to_ascii_lowercase()).to_string();
        let words: Vec<String> = words.iter().map(quoted).collect();
        let is_theirs = |said: &Said| {
            let text = said.text.to_ascii_lowercase();
            (member.is_some() && said.whose.member == member)
                || said.whose.identity.as_ref().is_some_and(|identity| identities.contains(identity))
                || said.whose == Whose::default() && words.iter().any(|word| text.contains(word))
        };
        let tables = self.tables();
        let mut keys = Vec::new();
        for ((chain, sequence), record) in &tables.audit.entries {
            for role in PartRole::ALL {
                if record.part(role).and_then(|part| part.said.as_ref()).is_some_and(is_theirs) {
                    keys.push(PartKey { chain: *chain, sequence: *sequence, role });
                }
            }
        }
        Ok(keys)
    }

    async fn erase_audit_parts(&self, keys: &[PartKey]) -> Result<u64, StoreError> {
        let audit = &mut self.tables().audit;
        let mut erased = 0;
        for key in keys {
            if audit.part(key).and_then(|part| part.said.take()).is_some() {
                erased += 1;
            }
        }
        Ok(erased)
    }
}
