//! The audit log through the API (PROVISIONING.md S3).

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::Admin;
use super::answer::{Answer, Page, Wanted};
use super::call::Call;
use super::error::AdminError;
use super::routes::Example;
use crate::model::audit::{AuditPart, AuditQuery, AuditRecord, ChainId, PartRole};
use crate::model::{MemberId, UnixTime};
use crate::observe::audit::Event;

/// One entry.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditView {
    /// RFC 3339, UTC.
    pub time: String,
    /// One of docs/audit.md.
    pub event: String,
    /// The chain of the process that wrote it, and its place there.
    pub chain: String,
    pub sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// What it says that is nobody's.
    pub body: Value,
    /// Who did it, where that was a person; erased parts say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Value>,
    /// The person that it was done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<Value>,
}

impl Example for AuditView {
    fn example() -> Self {
        Self {
            time: "2026-01-31T12:00:00Z".to_owned(),
            event: "login".to_owned(),
            chain: "019a2b3c-4d5e-7f60-8a1b-2c3d4e5f6071".to_owned(),
            sequence: 7,
            member: Some("019a2b3c-4d5e-7f60-8a1b-2c3d4e5f6072".to_owned()),
            body: json!({ "actor": { "kind": "person", "idp": "corp" } }),
            actor: Some(json!({ "subject": "248289761001" })),
            about: None,
        }
    }
}

impl Example for Page<AuditView> {
    fn example() -> Self {
        Self { items: vec![AuditView::example()], next: None }
    }
}

pub(super) async fn list(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let wanted = Wanted::of(call)?;
    let bad =
        |name: &str, text: &str| AdminError::BadRequest(format!("the parameter {name} cannot be {text:?}"));
    let time = |name: &str| {
        let read = |text: &str| {
            let stamp: jiff::Timestamp = text.parse().map_err(|_| bad(name, text))?;
            Ok::<_, AdminError>(UnixTime(stamp.as_second()))
        };
        call.parameter(name).map(read).transpose()
    };
    let event = call.parsed::<Event>("event")?.map(|event| event.name().to_owned());
    let after = match &wanted.after {
        None => None,
        Some(text) => Some(place(text).ok_or_else(|| bad("after", text))?),
    };
    let query = AuditQuery {
        since: time("since")?.unwrap_or(UnixTime(i64::MIN)),
        until: time("until")?.unwrap_or(UnixTime(i64::MAX)),
        member: call.parsed::<uuid::Uuid>("member")?.map(MemberId),
        event,
        newest_first: true,
        after,
        limit: wanted.and_one(),
    };
    let rows = admin.store.list_audit(&query).await?;
    let key = |row: &AuditRecord| format!("{} {} {}", row.at.0, row.chain, row.sequence);
    Answer::json(&wanted.page(rows, key, viewed))
}

/// Where a page ended.
fn place(text: &str) -> Option<(UnixTime, ChainId, u64)> {
    let mut parts = text.split(' ');
    let (at, chain, sequence) = (parts.next()?, parts.next()?, parts.next()?);
    Some((UnixTime(at.parse().ok()?), ChainId(chain.parse().ok()?), sequence.parse().ok()?))
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn viewed(row: AuditRecord) -> AuditView {
    let part = |role| row.part(role).map(said);
    AuditView {
        time: row.at.to_string(),
        event: row.event.clone(),
        chain: row.chain.to_string(),
        sequence: row.sequence,
        member: row.member.map(|member| member.to_string()),
        body: serde_json::from_str(&row.body).unwrap_or_else(|_| Value::String(row.body.clone())),
        actor: part(PartRole::Actor),
        about: part(PartRole::About),
    }
}

fn said(part: &AuditPart) -> Value {
    let Some(said) = &part.said else { return json!({ "erased": true }) };
    let identity = said.whose.identity.as_ref();
    json!({
        "idp": identity.map(|(idp, _)| idp.as_str()),
        "subject": identity.map(|(_, subject)| subject.as_str()),
        "said": serde_json::from_str::<Value>(&said.text).unwrap_or_default(),
    })
}
