//! `narthex session list | revoke`: who is signed in, and ending it, at the store of a running narthex.

use std::io::{self, Write};
use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::json;

use super::admin::stored;
use super::{CANNOT, FINE, NOT_SO, block_on, complain};
use crate::admin::sessions::SessionView;
use crate::app::Beside;
use crate::config::Settings;
use crate::model::{IdpId, MemberId, SessionHash, Subject};
use crate::store::StoreError;
use crate::store::lists::SessionsOf;

#[derive(Debug, Subcommand)]
pub(super) enum SessionCommand {
    /// The sessions, the newest first
    List {
        #[command(flatten)]
        whose: Whose,
        /// One JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// End sessions; a running narthex notices within a second or two, and their streams break off
    Revoke {
        /// A session's id, as `session list` shows it
        #[arg(required_unless_present_any = ["member", "idp"], conflicts_with_all = ["member", "idp"])]
        session: Option<String>,
        /// All sessions of the member of this id
        #[arg(long, value_name = "ID")]
        member: Option<uuid::Uuid>,
        /// All sessions that this identity provider began; it need not be configured any more
        #[arg(long, value_name = "ID", conflicts_with = "member")]
        idp: Option<IdpId>,
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct Whose {
    /// Only those of the member of this id
    #[arg(long, value_name = "ID", conflicts_with = "idp")]
    member: Option<uuid::Uuid>,
    /// Only those of this person: the identity provider's id …
    #[arg(long, requires = "subject")]
    idp: Option<IdpId>,
    /// … and the subject there
    #[arg(long, requires = "idp", value_parser = subject)]
    subject: Option<Subject>,
}

pub(super) fn subject(text: &str) -> Result<Subject, &'static str> {
    Subject::parse(text).ok_or("a subject is 1 to 255 bytes without control characters")
}

/// Runs it on the store of `config`.
pub(super) fn run(config: &Path, command: SessionCommand) -> u8 {
    match stored(config) {
        Ok(settings) => block_on(async move {
            let mut out = io::stdout();
            match at_store(&settings, command, &mut out).await {
                Ok(code) => code,
                Err(error) => {
                    complain(&error.to_string());
                    CANNOT
                }
            }
        }),
        Err(code) => code,
    }
}

async fn at_store(
    settings: &Settings,
    command: SessionCommand,
    out: &mut (dyn Write + Send),
) -> Result<u8, StoreError> {
    let beside = Beside::open(settings).await?;
    let done = match command {
        SessionCommand::List { whose, json } => list(&beside, &whose, json, out).await,
        SessionCommand::Revoke { session, member, idp, json } => {
            let ended = revoke(&beside, session.as_deref(), member.map(MemberId), idp.as_ref()).await;
            ended.map(|ended| ended.map_or(CANNOT, |ended| tell(ended, json, out)))
        }
    };
    beside.close().await;
    done
}

async fn list(
    beside: &Beside,
    whose: &Whose,
    json: bool,
    out: &mut (dyn Write + Send),
) -> Result<u8, StoreError> {
    let of = match (&whose.member, &whose.idp, &whose.subject) {
        (Some(member), ..) => SessionsOf::Member(MemberId(*member)),
        (None, Some(idp), Some(subject)) => SessionsOf::Identity(idp.clone(), subject.clone()),
        (None, ..) => SessionsOf::Everybody,
    };
    let all = beside.sessions(&of).await?;
    Ok(told(all.iter().map(|one| line(one, json)), out))
}

/// Prints lines; nobody reads a pipe that is closed.
pub(super) fn told(lines: impl Iterator<Item = String>, out: &mut (dyn Write + Send)) -> u8 {
    for line in lines {
        if writeln!(out, "{line}").is_err() {
            return NOT_SO;
        }
    }
    FINE
}

fn line(session: &SessionView, json: bool) -> String {
    if json {
        return serde_json::to_string(session).unwrap_or_default();
    }
    let who = session.username.as_deref().unwrap_or("(no account)");
    let text = format!(
        "{}  {}  {who}  {} {}  since {}, until {}",
        session.id,
        session.last_seen_at,
        session.idp,
        session.subject,
        session.created_at,
        session.expires_at
    );
    super::printable(&text)
}

/// Gives how many; `None`: no session has such an id.
async fn revoke(
    beside: &Beside,
    session: Option<&str>,
    member: Option<MemberId>,
    idp: Option<&IdpId>,
) -> Result<Option<usize>, StoreError> {
    Ok(Some(match (session, member, idp) {
        (Some(text), ..) => {
            let Some(hash) = SessionHash::from_hex(text) else {
                complain("a session's id has 64 hexadecimal digits; `narthex session list` shows them");
                return Ok(None);
            };
            usize::from(beside.end_session(&hash).await?)
        }
        (None, Some(member), _) => beside.end_sessions_of(member).await?,
        (None, None, Some(idp)) => beside.end_sessions_of_idp(idp).await?,
        (None, None, None) => 0,
    }))
}

fn tell(ended: usize, json: bool, out: &mut (dyn Write + Send)) -> u8 {
    let said = if json { json!({ "sessions": ended }).to_string() } else { format!("{ended} ended") };
    let code = told(std::iter::once(said), out);
    if ended == 0 { NOT_SO } else { code }
}
