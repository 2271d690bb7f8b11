//! The audit log.

use std::collections::HashMap;

use async_trait::async_trait;
use uuid::Uuid;

use super::members_list::as_it_stands;
use super::{Database, Lasting, Transaction, hash, sql};
use crate::model::audit::{AuditPart, AuditQuery, PartKey, PartRole, Said, Whose};
use crate::model::letter::Letter;
use crate::model::{AuditHead, AuditRecord, ChainId, IdpId, MemberId, Subject, UnixTime};
use crate::store::{AuditStore, StoreError};

const ELSEWHERE: &str = "another end of this chain";

#[async_trait]
impl AuditStore for Database {
    async fn append_audit_and_letters(
        &self,
        records: &[AuditRecord],
        links: &[AuditHead],
        letters: &[Letter],
    ) -> Result<(), StoreError> {
        let act = "append_audit";
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(()) };
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let moved = if first.sequence == 1 {
            sqlx::query(
                "INSERT INTO audit_heads (chain, seq, hash) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            )
            .bind(last.chain.to_string())
            .bind(number(last.sequence))
            .bind(last.hash.as_slice())
            .execute(&mut *tx)
            .await
        } else {
            sqlx::query(
                "UPDATE audit_heads SET seq = $1, hash = $2 WHERE chain = $3 AND seq = $4 AND hash = $5",
            )
            .bind(number(last.sequence))
            .bind(last.hash.as_slice())
            .bind(last.chain.to_string())
            .bind(number(first.sequence - 1))
            .bind(first.previous.as_slice())
            .execute(&mut *tx)
            .await
        };
        if moved.map_err(self.fails(act))?.rows_affected() == 0 {
            return Err(StoreError::Conflict { act, what: ELSEWHERE });
        }
        for record in records {
            self.insert_entry(act, &mut tx, record).await?;
        }
        self.insert_letters(act, &mut tx, letters).await?;
        // In their order, which is that of `loose_audit_heads`: two replicas that note the same heads lock them alike.
        for link in links {
            sqlx::query(
                "INSERT INTO audit_links (chain, seq) VALUES ($1, $2) ON CONFLICT (chain) \
                 DO UPDATE SET seq = excluded.seq WHERE audit_links.seq < excluded.seq",
            )
            .bind(link.chain.to_string())
            .bind(number(link.sequence))
            .execute(&mut *tx)
            .await
            .map_err(self.fails(act))?;
        }
        self.commit(act, tx).await
    }

    async fn audit_heads(&self) -> Result<Vec<AuditHead>, StoreError> {
        let rows: Vec<HeadRow> = sqlx::query_as("SELECT chain, seq, hash FROM audit_heads ORDER BY chain")
            .fetch_all(&self.readers)
            .await
            .map_err(self.fails("audit_heads"))?;
        rows.into_iter().map(head).collect()
    }

    async fn loose_audit_heads(&self, own: ChainId, limit: usize) -> Result<Vec<AuditHead>, StoreError> {
        let rows: Vec<HeadRow> = sqlx::query_as(
            "SELECT h.chain, h.seq, h.hash FROM audit_heads h LEFT JOIN audit_links l ON l.chain = h.chain \
             WHERE h.chain <> $1 AND (l.seq IS NULL OR h.seq > l.seq) ORDER BY h.chain LIMIT $2",
        )
        .bind(own.to_string())
        .bind(sql(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(self.fails("loose_audit_heads"))?;
        rows.into_iter().map(head).collect()
    }

    async fn read_audit(
        &self,
        after: Option<(ChainId, u64)>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let (chain, sequence) = match after {
            Some((chain, sequence)) => (chain.to_string(), number(sequence)),
            None => (String::new(), 0),
        };
        let rows: Vec<EntryRow> = sqlx::query_as(
            "SELECT chain, seq, at, event, member, body, actor_digest, about_digest, previous, hash \
             FROM audit_entries WHERE (chain, seq) > ($1, $2) ORDER BY chain, seq LIMIT $3",
        )
        .bind(chain)
        .bind(sequence)
        .bind(sql(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(self.fails("read_audit"))?;
        let mut records = rows.into_iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(records) };
        let parts: Vec<PartRow> = sqlx::query_as(
            "SELECT chain, seq, role, member, idp, subject, salt, said FROM audit_parts \
             WHERE (chain, seq) >= ($1, $2) AND (chain, seq) <= ($3, $4)",
        )
        .bind(first.chain.to_string())
        .bind(number(first.sequence))
        .bind(last.chain.to_string())
        .bind(number(last.sequence))
        .fetch_all(&self.readers)
        .await
        .map_err(self.fails("read_audit"))?;
        let mut places: HashMap<(ChainId, u64), &mut AuditRecord> =
            records.iter_mut().map(|record| ((record.chain, record.sequence), record)).collect();
        for row in parts {
            let (key, said) = part_said(row)?;
            if let Some(record) = places.get_mut(&(key.chain, key.sequence)) {
                put_said(record, key.role, said);
            }
        }
        Ok(records)
    }

    async fn list_audit(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, StoreError> {
        let act = "list_audit";
        // `$5 = 1` where there is a place to go on behind.
        let statement = if query.newest_first {
            "SELECT chain, seq, at, event, member, body, actor_digest, about_digest, previous, hash \
             FROM audit_entries WHERE at >= $1 AND at < $2 AND ($3 = '' OR member = $3) \
             AND ($4 = '' OR event = $4) AND ($5 = 0 OR (at, chain, seq) < ($6, $7, $8)) \
             ORDER BY at DESC, chain DESC, seq DESC LIMIT $9"
        } else {
            "SELECT chain, seq, at, event, member, body, actor_digest, about_digest, previous, hash \
             FROM audit_entries WHERE at >= $1 AND at < $2 AND ($3 = '' OR member = $3) \
             AND ($4 = '' OR event = $4) AND ($5 = 0 OR (at, chain, seq) > ($6, $7, $8)) \
             ORDER BY at, chain, seq LIMIT $9"
        };
        let after = query.after.as_ref();
        let rows: Vec<EntryRow> = sqlx::query_as(statement)
            .bind(query.since.0)
            .bind(query.until.0)
            .bind(query.member.map(|member| member.to_string()).unwrap_or_default())
            .bind(query.event.as_deref().unwrap_or_default())
            .bind(i64::from(after.is_some()))
            .bind(after.map_or(0, |(at, ..)| at.0))
            .bind(after.map(|(_, chain, _)| chain.to_string()).unwrap_or_default())
            .bind(after.map_or(0, |(.., sequence)| number(*sequence)))
            .bind(sql(query.limit))
            .fetch_all(&self.readers)
            .await
            .map_err(self.fails(act))?;
        self.with_parts(act, rows).await
    }

    async fn find_audit_parts(
        &self,
        member: Option<MemberId>,
        identities: &[(IdpId, Subject)],
        words: &[String],
    ) -> Result<Vec<PartKey>, StoreError> {
        let act = "find_audit_parts";
        let mut found: Vec<KeyRow> = Vec::new();
        if let Some(member) = member {
            found = sqlx::query_as("SELECT chain, seq, role FROM audit_parts WHERE member = $1")
                .bind(member.to_string())
                .fetch_all(&self.readers)
                .await
                .map_err(self.fails(act))?;
        }
        for (idp, subject) in identities {
            let of_identity: Vec<KeyRow> =
                sqlx::query_as("SELECT chain, seq, role FROM audit_parts WHERE subject = $1 AND idp = $2")
                    .bind(subject.as_str())
                    .bind(idp.as_str())
                    .fetch_all(&self.readers)
                    .await
                    .map_err(self.fails(act))?;
            found.extend(of_identity);
        }
        for word in words {
            let quoted = serde_json::Value::String(word.to_ascii_lowercase()).to_string();
            let rows: Vec<KeyRow> = sqlx::query_as(
                "SELECT chain, seq, role FROM audit_parts WHERE member = '' AND idp = '' \
                 AND lower(said) LIKE $1 ESCAPE '!'",
            )
            .bind(format!("%{}%", as_it_stands(&quoted)))
            .fetch_all(&self.readers)
            .await
            .map_err(self.fails(act))?;
            found.extend(rows);
        }
        part_keys(found)
    }

    async fn erase_audit_parts(&self, keys: &[PartKey]) -> Result<u64, StoreError> {
        let act = "erase_audit_parts";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        let mut erased = 0;
        for key in keys {
            let gone = sqlx::query("DELETE FROM audit_parts WHERE chain = $1 AND seq = $2 AND role = $3")
                .bind(key.chain.to_string())
                .bind(number(key.sequence))
                .bind(key.role.as_str())
                .execute(&mut *tx)
                .await
                .map_err(self.fails(act))?;
            erased += gone.rows_affected();
        }
        self.commit(act, tx).await?;
        Ok(erased)
    }
}

impl Database {
    async fn insert_entry(
        &self,
        act: &'static str,
        tx: &mut Transaction,
        record: &AuditRecord,
    ) -> Result<(), StoreError> {
        let inserted = sqlx::query(
            "INSERT INTO audit_entries (chain, seq, at, event, member, body, actor_digest, about_digest, previous, \
             hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
        )
        .bind(record.chain.to_string())
        .bind(number(record.sequence))
        .bind(record.at.0)
        .bind(&record.event)
        .bind(record.member.map(|member| member.to_string()).unwrap_or_default())
        .bind(&record.body)
        .bind(record.actor.as_ref().map(|part| part.digest.as_slice()))
        .bind(record.about.as_ref().map(|part| part.digest.as_slice()))
        .bind(record.previous.as_slice())
        .bind(record.hash.as_slice())
        .execute(&mut **tx)
        .await
        .map_err(self.fails(act))?;
        if inserted.rows_affected() == 0 {
            return Err(StoreError::Conflict { act, what: ELSEWHERE });
        }
        for role in PartRole::ALL {
            let Some(said) = record.part(role).and_then(|part| part.said.as_ref()) else { continue };
            let identity = said.whose.identity.as_ref();
            sqlx::query(
                "INSERT INTO audit_parts (chain, seq, role, member, idp, subject, salt, said) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(record.chain.to_string())
            .bind(number(record.sequence))
            .bind(role.as_str())
            .bind(said.whose.member.map(|member| member.to_string()).unwrap_or_default())
            .bind(identity.map_or("", |(idp, _)| idp.as_str()))
            .bind(identity.map_or("", |(_, subject)| subject.as_str()))
            .bind(said.salt.as_slice())
            .bind(&said.text)
            .execute(&mut **tx)
            .await
            .map_err(self.fails(act))?;
        }
        Ok(())
    }

    async fn with_parts(
        &self,
        act: &'static str,
        rows: Vec<EntryRow>,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let mut records = Vec::with_capacity(rows.len());
        for row in rows {
            let mut record = entry(row)?;
            if record.actor.is_some() || record.about.is_some() {
                let parts: Vec<PartRow> = sqlx::query_as(
                    "SELECT chain, seq, role, member, idp, subject, salt, said FROM audit_parts \
                     WHERE chain = $1 AND seq = $2",
                )
                .bind(record.chain.to_string())
                .bind(number(record.sequence))
                .fetch_all(&self.readers)
                .await
                .map_err(self.fails(act))?;
                for row in parts {
                    let (key, said) = part_said(row)?;
                    put_said(&mut record, key.role, said);
                }
            }
            records.push(record);
        }
        Ok(records)
    }
}

/// chain, seq, hash
type HeadRow = (String, i64, Vec<u8>);
/// chain, seq, role
type KeyRow = (String, i64, String);
/// chain, seq, at, event, member, body, actor_digest, about_digest, previous, hash
type EntryRow =
    (String, i64, i64, String, String, String, Option<Vec<u8>>, Option<Vec<u8>>, Vec<u8>, Vec<u8>);
/// chain, seq, role, member, idp, subject, salt, said
type PartRow = (String, i64, String, String, String, String, Vec<u8>, String);

/// Each once, in order.
fn part_keys(rows: Vec<KeyRow>) -> Result<Vec<PartKey>, StoreError> {
    let mut keys = rows
        .into_iter()
        .map(|(chain, seq, role)| {
            Ok(PartKey { chain: chain_id(&chain)?, sequence: sequence(seq)?, role: part_role(&role)? })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

/// Without what it says of people.
fn entry(row: EntryRow) -> Result<AuditRecord, StoreError> {
    let (chain, seq, at, event, member, body, actor, about, previous, own) = row;
    Ok(AuditRecord {
        chain: chain_id(&chain)?,
        sequence: sequence(seq)?,
        at: UnixTime(at),
        event,
        member: member_id(&member)?,
        body,
        actor: part(actor)?,
        about: part(about)?,
        previous: hash("audit entry", &previous)?,
        hash: hash("audit entry", &own)?,
    })
}

fn put_said(record: &mut AuditRecord, role: PartRole, said: Said) {
    let part = match role {
        PartRole::Actor => record.actor.as_mut(),
        PartRole::About => record.about.as_mut(),
    };
    if let Some(part) = part {
        part.said = Some(said);
    }
}

fn head((chain, seq, bytes): HeadRow) -> Result<AuditHead, StoreError> {
    Ok(AuditHead { chain: chain_id(&chain)?, sequence: sequence(seq)?, hash: hash("audit head", &bytes)? })
}

fn part(digest: Option<Vec<u8>>) -> Result<Option<AuditPart>, StoreError> {
    let part = |digest: Vec<u8>| Ok(AuditPart { digest: hash("audit part", &digest)?, said: None });
    digest.map(part).transpose()
}

fn part_said(row: PartRow) -> Result<(PartKey, Said), StoreError> {
    let (chain, seq, role, member, idp, subject, salt, text) = row;
    let identity = if idp.is_empty() && subject.is_empty() {
        None
    } else {
        let idp: IdpId = idp.parse().map_err(|_| unreadable("an identity provider's id"))?;
        Some((idp, Subject::parse(&subject).ok_or_else(|| unreadable("a subject"))?))
    };
    let key = PartKey { chain: chain_id(&chain)?, sequence: sequence(seq)?, role: part_role(&role)? };
    let whose = Whose { member: member_id(&member)?, identity };
    Ok((key, Said { whose, salt: hash("audit part", &salt)?, text }))
}

fn part_role(text: &str) -> Result<PartRole, StoreError> {
    PartRole::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| unreadable("a part's role"))
}

fn chain_id(text: &str) -> Result<ChainId, StoreError> {
    Uuid::try_parse(text).map(ChainId).map_err(|_| unreadable("a chain's id"))
}

fn member_id(text: &str) -> Result<Option<MemberId>, StoreError> {
    if text.is_empty() {
        return Ok(None);
    }
    Uuid::try_parse(text).map(|id| Some(MemberId(id))).map_err(|_| unreadable("a member's id"))
}

fn sequence(seq: i64) -> Result<u64, StoreError> {
    u64::try_from(seq).map_err(|_| unreadable("a sequence number"))
}

fn number(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

fn unreadable(of: &str) -> StoreError {
    StoreError::Unreadable { what: "audit entry", reason: format!("{of} is not what it was written as") }
}
