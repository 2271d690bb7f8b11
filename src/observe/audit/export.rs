//! The log for other tools: JSON lines, each entry whole, or as OCSF events.

use serde_json::{Map, Value, json};

use super::ocsf;
use crate::model::AuditRecord;
use crate::model::audit::{AuditPart, AuditQuery, Hex, PartRole};
use crate::store::{AuditStore, StoreError};

/// Entries read at a time.
const PAGE: usize = 500;

/// How an entry is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// narthex's own: everything that the hash covers, so that a copy can be verified elsewhere.
    Jsonl,
    /// The Open Cybersecurity Schema Framework.
    Ocsf,
}

/// Export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the export cannot be written: {0}")]
    Write(#[from] std::io::Error),
}

/// Writes the entries that `query` wants, all of them whatever its limit, one line each; returns how many.
///
/// # Errors
/// Where the store cannot be read or `write` fails.
pub async fn export(
    store: &dyn AuditStore,
    mut query: AuditQuery,
    format: Format,
    write: &mut (dyn FnMut(&str) -> std::io::Result<()> + Send),
) -> Result<u64, ExportError> {
    query.limit = PAGE;
    let mut written = 0;
    loop {
        let page = store.list_audit(&query).await?;
        let Some(last) = page.last() else { return Ok(written) };
        query.after = Some((last.at, last.chain, last.sequence));
        for record in &page {
            let line = match format {
                Format::Jsonl => entry(record),
                Format::Ocsf => ocsf::event(record),
            };
            write(&(line.to_string() + "\n"))?;
            written += 1;
        }
    }
}

/// One entry as a JSON object.
#[must_use]
pub fn entry(record: &AuditRecord) -> Value {
    let mut whole = Map::new();
    let mut put = |name: &str, value: Value| whole.insert(name.to_owned(), value);
    put("chain", json!(record.chain.to_string()));
    put("sequence", json!(record.sequence));
    put("time", json!(record.at.to_string()));
    put("event", json!(record.event));
    put("member", json!(record.member.map(|member| member.to_string())));
    put("body", parsed(&record.body));
    for role in PartRole::ALL {
        put(role.as_str(), record.part(role).map_or(Value::Null, part));
    }
    put("previous", json!(Hex(&record.previous).to_string()));
    put("hash", json!(Hex(&record.hash).to_string()));
    Value::Object(whole)
}

fn part(part: &AuditPart) -> Value {
    let digest = Hex(&part.digest).to_string();
    let Some(said) = &part.said else { return json!({ "digest": digest, "erased": true }) };
    let identity = said.whose.identity.as_ref();
    json!({
        "digest": digest,
        "salt": Hex(&said.salt).to_string(),
        "member": said.whose.member.map(|member| member.to_string()),
        "idp": identity.map(|(idp, _)| idp.as_str()),
        "subject": identity.map(|(_, subject)| subject.as_str()),
        "said": parsed(&said.text),
    })
}

/// Our own JSON, or, where somebody changed it into something else, that as a text.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
