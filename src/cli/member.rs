//! `narthex member`: who is a member, and what is done with them, at the store of a running narthex.

mod acts;

use std::io::{self, Write};
use std::path::Path;

use clap::{Args, Subcommand};

use super::admin::stored;
use super::session::{subject, told};
use super::{CANNOT, NOT_SO, block_on, complain};
use crate::admin::AdminError;
use crate::admin::members::MemberView;
use crate::app::Beside;
use crate::config::Settings;
use crate::model::{AccountId, Fault, IdpId, MemberId, Subject};
use crate::store::lists::MembersLike;

#[derive(Debug, Subcommand)]
pub(super) enum MemberCommand {
    /// The members, or those that match; the oldest first
    List {
        #[command(flatten)]
        which: Which,
        /// One JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// One member
    Show {
        /// The member's id, as `member list` shows it
        member: uuid::Uuid,
        #[arg(long)]
        json: bool,
    },
    /// Give the member's account another role in the application
    Role(acts::RoleArgs),
    /// Put the member's account into teams, and take it out of others
    Teams(acts::TeamsArgs),
    /// End the sessions, and deactivate or delete the account (provisioning.leaver)
    Revoke(acts::Whom),
    /// As revoke, and let nobody in any more by this account, these identities or these e-mail addresses
    Block(acts::Whom),
    /// Take a block back
    Unblock(acts::Whom),
    /// Erase all personal data of a member here; the account in the application is left as it is
    Erase(acts::EraseArgs),
    /// Compare the members with the application's accounts, and bring records that do not fit in line
    Reconcile(acts::ReconcileArgs),
}

#[derive(Debug, Args)]
pub(super) struct Which {
    /// The beginning of the e-mail address or of the username
    #[arg(long, conflicts_with_all = ["account", "idp"])]
    search: Option<String>,
    /// The application's own id of the account
    #[arg(long, conflicts_with = "idp")]
    account: Option<String>,
    /// The identity provider's id …
    #[arg(long, requires = "subject")]
    idp: Option<IdpId>,
    /// … and the subject there
    #[arg(long, requires = "idp", value_parser = subject)]
    subject: Option<Subject>,
}

/// Runs it on the store of `config`.
pub(super) fn run(config: &Path, command: MemberCommand) -> u8 {
    match stored(config) {
        Ok(settings) => block_on(async move {
            match at_store(&settings, command, &mut io::stdout()).await {
                Ok(code) => code,
                Err(error) => {
                    complain(&error.to_string());
                    if error.fault() == Fault::Client { NOT_SO } else { CANNOT }
                }
            }
        }),
        Err(code) => code,
    }
}

async fn at_store(
    settings: &Settings,
    command: MemberCommand,
    out: &mut (dyn Write + Send),
) -> Result<u8, AdminError> {
    use acts::Act;
    let (like, json, one) = match command {
        MemberCommand::Role(args) => return acts::act(settings, Act::Role(args), out).await,
        MemberCommand::Teams(args) => return acts::act(settings, Act::Teams(args), out).await,
        MemberCommand::Revoke(whom) => return acts::act(settings, Act::Revoke(whom), out).await,
        MemberCommand::Block(whom) => return acts::act(settings, Act::Block(whom), out).await,
        MemberCommand::Unblock(whom) => return acts::act(settings, Act::Unblock(whom), out).await,
        MemberCommand::Erase(args) => return acts::act(settings, Act::Erase(args), out).await,
        MemberCommand::Reconcile(args) => return acts::act(settings, Act::Reconcile(args), out).await,
        MemberCommand::List { which, json } => (which.like(), json, false),
        MemberCommand::Show { member, json } => (MembersLike::Id(MemberId(member)), json, true),
    };
    let beside = Beside::open(settings).await?;
    let found = beside.members(&like).await;
    beside.close().await;
    let found = found?;
    if one && found.is_empty() {
        complain("there is no member of this id; `narthex member list --search …` finds them");
        return Ok(NOT_SO);
    }
    Ok(told(found.iter().map(|member| if json { object(member) } else { text(member, one) }), out))
}

impl Which {
    fn like(self) -> MembersLike {
        match self {
            Self { search: Some(text), .. } => MembersLike::Beginning(text),
            Self { account: Some(id), .. } => MembersLike::Account(AccountId(id)),
            Self { idp: Some(idp), subject: Some(subject), .. } => MembersLike::Identity(idp, subject),
            Self { .. } => MembersLike::Everybody,
        }
    }
}

fn object(member: &MemberView) -> String {
    serde_json::to_string(member).unwrap_or_default()
}

fn text(member: &MemberView, whole: bool) -> String {
    let email = member.email.as_deref().unwrap_or("(no address)");
    if !whole {
        let MemberView { id, username, status, origin, last_login_at, .. } = member;
        let line = format!("{id}  {username}  {email}  {status}, {origin}, last login {last_login_at}");
        return super::printable(&line);
    }
    let identities: Vec<String> =
        member.identities.iter().map(|one| format!("{} {}", one.idp, one.subject)).collect();
    super::printable(&format!(
        "id          {}\nusername    {}\ne-mail      {email}\naccount     {}\nstatus      {}\norigin      {}\n\
         generation  {}\ncreated     {}\nlast login  {}\nidentities  {}",
        member.id,
        member.username,
        member.account.as_deref().unwrap_or("deleted"),
        member.status,
        member.origin,
        member.generation,
        member.created_at,
        member.last_login_at,
        identities.join(", ")
    ))
}
