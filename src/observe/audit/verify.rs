//! Reads the whole log and says where it is not what was written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use super::chain::{NOTHING_BEFORE, entry_hash, part_digest};
use super::event::Event;
use crate::model::audit::PartRole;
use crate::model::{AuditHead, AuditRecord, ChainId};
use crate::store::{AuditStore, StoreError};

/// Entries read at a time.
const PAGE: usize = 500;

/// What is wrong at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// The entry is not what its hash was made of.
    EntryChanged,
    /// It does not go on from the entry before it: that one was replaced, or this one belongs elsewhere.
    NotLinked,
    /// The entries from `from` up to this one are gone.
    Missing { from: u64 },
    /// What it says of a person is not what its digest was made of.
    WordsChanged { role: &'static str },
    /// The chain ends before this entry, which was there: `noted_by` says who has seen it.
    CutOff { noted_by: String },
    /// This entry is not the one that was there: `noted_by` says who has seen another.
    Replaced { noted_by: String },
    /// Whoever cut the chain off or added to it forgot its head.
    HeadLost,
    /// Words about people are gone from more places than entries tell of.
    WordsGone { missing: u64, told_of: u64 },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EntryChanged => f.write_str("the entry was changed"),
            Self::NotLinked => f.write_str(
                "the entry does not go on from the one before it: one of the two was replaced or moved",
            ),
            Self::Missing { from } => write!(f, "the entries from {from} up to this one are missing"),
            Self::WordsChanged { role } => {
                write!(f, "what the entry says of a person ({role}) was changed")
            }
            Self::CutOff { noted_by } => {
                write!(f, "the chain was cut off before this entry, which was there by {noted_by}")
            }
            Self::Replaced { noted_by } => {
                write!(f, "the entry was replaced: by {noted_by}, another one was here")
            }
            Self::HeadLost => f.write_str("the chain's head does not tell of its last entry"),
            Self::WordsGone { missing, told_of } => write!(
                f,
                "words about people are gone from {missing} places, and entries tell of {told_of} that were erased"
            ),
        }
    }
}

/// A fault and where it is; the first of its chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `None`: of the whole log.
    pub chain: Option<ChainId>,
    pub sequence: u64,
    pub fault: Fault,
}

impl Finding {
    /// For machines: where, what, and what that means.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "chain": self.chain.map(|chain| chain.to_string()),
            "sequence": self.sequence,
            "fault": self.fault,
            "message": self.fault.to_string(),
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.chain {
            Some(chain) => write!(f, "{chain}:{}: {}", self.sequence, self.fault),
            None => write!(f, "{}", self.fault),
        }
    }
}

/// What reading the whole gave.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// At most one of each chain, by chain; then those of the whole. Empty: all is well.
    pub findings: Vec<Finding>,
    pub entries: u64,
    /// Places from which a person's words were erased.
    pub erased: u64,
    /// How far each chain has come. Worth noting down where all is well.
    pub heads: Vec<AuditHead>,
}

/// Reads the whole log, which may be written to meanwhile. `noted`: heads that somebody noted down elsewhere.
///
/// # Errors
/// Where the store cannot be read.
pub async fn verify(store: &dyn AuditStore, noted: &[AuditHead]) -> Result<Report, StoreError> {
    let mut reading = Reading::default();
    for head in store.audit_heads().await? {
        reading.expect(head, "its head in the store");
    }
    for head in noted {
        reading.expect(*head, "the head noted");
    }
    let mut after = None;
    loop {
        let page = store.read_audit(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.chain, last.sequence));
        for record in &page {
            reading.read(record);
        }
    }
    reading.close(store).await
}

/// The hash that an entry had, and who says so.
type Witness = ([u8; 32], String);

#[derive(Default)]
struct Reading {
    /// The first fault of each chain.
    faults: BTreeMap<ChainId, (u64, Fault)>,
    ends: BTreeMap<ChainId, AuditHead>,
    /// Who has seen which entry.
    seen: BTreeMap<(ChainId, u64), BTreeSet<Witness>>,
    entries: u64,
    /// Places where words were and are no more.
    missing: u64,
    /// Places that entries tell of as erased.
    told_of: u64,
}

impl Reading {
    fn expect(&mut self, head: AuditHead, noted_by: &str) {
        let seen = self.seen.entry((head.chain, head.sequence)).or_default();
        seen.insert((head.hash, noted_by.to_owned()));
    }

    fn find(&mut self, chain: ChainId, sequence: u64, fault: Fault) {
        let first = self.faults.get(&chain).is_none_or(|(known, _)| sequence < *known);
        if first {
            self.faults.insert(chain, (sequence, fault));
        }
    }

    fn read(&mut self, record: &AuditRecord) {
        self.entries += 1;
        let (chain, sequence) = (record.chain, record.sequence);
        let (before, previous) =
            self.ends.get(&chain).map_or((0, NOTHING_BEFORE), |end| (end.sequence, end.hash));
        if sequence != before + 1 {
            self.find(chain, sequence, Fault::Missing { from: before + 1 });
        } else if record.previous != previous {
            self.find(chain, sequence, Fault::NotLinked);
        }
        if entry_hash(record) != record.hash {
            self.find(chain, sequence, Fault::EntryChanged);
        }
        for role in PartRole::ALL {
            let Some(part) = record.part(role) else { continue };
            match &part.said {
                None => self.missing += 1,
                Some(said) if part_digest(role, said) != part.digest => {
                    self.find(chain, sequence, Fault::WordsChanged { role: role.as_str() });
                }
                Some(_) => {}
            }
        }
        self.ends.insert(chain, record.head());
        self.note(record);
    }

    /// What an entry tells of other entries.
    fn note(&mut self, record: &AuditRecord) {
        let event: Option<Event> = record.event.parse().ok();
        let body = || serde_json::from_str::<Value>(&record.body).ok();
        match event {
            Some(Event::MemberErased) => {
                let parts = body().and_then(|body| body.get("parts")?.as_u64());
                self.told_of += parts.unwrap_or(0);
            }
            Some(Event::ChainBegan | Event::HeadsNoted) => {
                let body = body();
                let heads = body.as_ref().and_then(|body| body.get("heads")?.as_array());
                let heads = heads.into_iter().flatten().filter_map(Value::as_str);
                let by = format!("{}:{}", record.chain, record.sequence);
                heads.filter_map(|head| head.parse().ok()).for_each(|head| self.expect(head, &by));
            }
            Some(_) | None => {}
        }
    }

    async fn close(mut self, store: &dyn AuditStore) -> Result<Report, StoreError> {
        for ((chain, sequence), seen) in std::mem::take(&mut self.seen) {
            let end = self.ends.get(&chain).map_or(0, |end| end.sequence);
            let there = if sequence <= end {
                let found = store.read_audit(Some((chain, sequence - 1)), 1).await?;
                found.first().map(AuditRecord::head).filter(|head| head.sequence == sequence)
            } else {
                None
            };
            for (hash, noted_by) in seen {
                match there.filter(|head| head.chain == chain) {
                    Some(head) if head.hash == hash => {}
                    Some(_) => self.find(chain, sequence, Fault::Replaced { noted_by }),
                    None if sequence <= end => self.find(chain, sequence, Fault::Missing { from: sequence }),
                    None => self.find(chain, end + 1, Fault::CutOff { noted_by }),
                }
            }
        }
        // Read again: what was written while this was reading has moved the heads on.
        let heads: BTreeMap<ChainId, u64> =
            store.audit_heads().await?.into_iter().map(|head| (head.chain, head.sequence)).collect();
        for (chain, end) in self.ends.clone() {
            if heads.get(&chain).is_none_or(|sequence| *sequence < end.sequence) {
                self.find(chain, end.sequence, Fault::HeadLost);
            }
        }
        let mut findings: Vec<Finding> = self
            .faults
            .into_iter()
            .map(|(chain, (sequence, fault))| Finding { chain: Some(chain), sequence, fault })
            .collect();
        if self.missing > self.told_of {
            let fault = Fault::WordsGone { missing: self.missing, told_of: self.told_of };
            findings.push(Finding { chain: None, sequence: 0, fault });
        }
        Ok(Report {
            findings,
            entries: self.entries,
            erased: self.missing,
            heads: self.ends.into_values().collect(),
        })
    }
}
