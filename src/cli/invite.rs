//! `narthex invite create | list | show | edit | resend | revoke`, at the store of a running narthex.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use clap::{Args, Subcommand};

use super::admin::stored;
use super::session::told;
use super::{CANNOT, NOT_SO, block_on, complain, printable};
use crate::admin::AdminError;
use crate::admin::invites::{InviteRequest, InviteView};
use crate::app::Beside;
use crate::config::Settings;
use crate::model::Fault;
use crate::model::invite::InviteId;
use crate::platform::Platform;

#[derive(Debug, Subcommand)]
pub(super) enum InviteCommand {
    /// Invite somebody by e-mail address
    Create {
        #[command(flatten)]
        terms: Terms,
        #[arg(long)]
        json: bool,
    },
    /// The invites, the newest first
    List {
        /// One JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// One invite
    Show {
        /// Its id, as `invite list` shows it
        invite: uuid::Uuid,
        #[arg(long)]
        json: bool,
    },
    /// Change an invite that was not used yet: all of its terms
    Edit {
        /// Its id, as `invite list` shows it
        invite: uuid::Uuid,
        #[command(flatten)]
        terms: Terms,
        #[arg(long)]
        json: bool,
    },
    /// Send an invite by mail, again or for the first time
    Resend {
        /// Its id, as `invite list` shows it
        invite: uuid::Uuid,
        #[arg(long)]
        json: bool,
    },
    /// Take an invite back that was not used yet
    Revoke {
        /// Its id, as `invite list` shows it
        invite: uuid::Uuid,
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct Terms {
    /// The address that the identity provider must vouch for
    #[arg(long)]
    email: String,
    /// Only by this identity provider
    #[arg(long)]
    idp: Option<String>,
    /// The application-wide role
    #[arg(long)]
    role: Option<String>,
    /// A team, or TEAM=ROLE; may be given several times
    #[arg(long = "team", value_name = "TEAM")]
    teams: Vec<String>,
    /// An application group; may be given several times
    #[arg(long = "app-group", value_name = "GROUP")]
    app_groups: Vec<String>,
    /// A permission; may be given several times
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<String>,
    /// Instead: give what the account of this username holds now
    #[arg(long, value_name = "USERNAME", conflicts_with_all = ["role", "teams", "app_groups", "permissions"])]
    clone_from: Option<String>,
    /// How long it is good, like 3d or 12h; seven days unless it is said
    #[arg(long, value_name = "TIME")]
    expires_in: Option<String>,
}

impl Terms {
    fn request(self) -> InviteRequest {
        let team = |text: String| match text.split_once('=') {
            Some((team, role)) => (team.to_owned(), Some(role.to_owned())),
            None => (text, None),
        };
        InviteRequest {
            email: self.email,
            idp: self.idp,
            role: self.role,
            teams: self.teams.into_iter().map(team).collect::<BTreeMap<_, _>>(),
            app_groups: self.app_groups.into_iter().collect(),
            permissions: self.permissions.into_iter().collect(),
            clone_from: self.clone_from,
            expires_in: self.expires_in,
        }
    }
}

/// Runs it on the store of `config`.
pub(super) fn run(config: &Path, command: InviteCommand) -> u8 {
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
    command: InviteCommand,
    out: &mut (dyn Write + Send),
) -> Result<u8, AdminError> {
    let beside = Beside::open(settings).await?;
    let done = done(&beside, settings, command).await;
    beside.close().await;
    let (invites, json, one) = done?;
    Ok(told(invites.iter().map(|invite| if json { object(invite) } else { text(invite, one) }), out))
}

async fn done(
    beside: &Beside,
    settings: &Settings,
    command: InviteCommand,
) -> Result<(Vec<InviteView>, bool, bool), AdminError> {
    let office = beside.invites(settings, &Platform::system()).await?;
    Ok(match command {
        InviteCommand::Create { terms, json } => (vec![office.create(&terms.request()).await?], json, true),
        InviteCommand::List { json } => (office.list().await?, json, false),
        InviteCommand::Show { invite, json } => (vec![office.show(InviteId(invite)).await?], json, true),
        InviteCommand::Edit { invite, terms, json } => {
            (vec![office.change(InviteId(invite), &terms.request()).await?], json, true)
        }
        InviteCommand::Resend { invite, json } => (vec![office.send(InviteId(invite)).await?], json, true),
        InviteCommand::Revoke { invite, json } => (vec![office.revoke(InviteId(invite)).await?], json, true),
    })
}

fn object(invite: &InviteView) -> String {
    serde_json::to_string(invite).unwrap_or_default()
}

fn text(invite: &InviteView, whole: bool) -> String {
    let InviteView { id, state, email, expires_at, link, .. } = invite;
    let mut gives: Vec<String> = invite.role.iter().map(|role| format!("role {role}")).collect();
    gives.extend(invite.owner.then(|| "ownership".to_owned()));
    gives.extend(invite.teams.iter().map(|(team, role)| match role {
        Some(role) => format!("team {team} as {role}"),
        None => format!("team {team}"),
    }));
    gives.extend(invite.app_groups.iter().map(|group| format!("group {group}")));
    gives.extend(invite.permissions.iter().map(|permission| format!("permission {permission}")));
    let gives = if gives.is_empty() { "nothing of its own".to_owned() } else { gives.join(", ") };
    if !whole {
        return printable(&format!("{id}  {state}  {email}  {gives}  until {expires_at}"));
    }
    let idp = invite.idp.as_deref().unwrap_or("any that may speak for the address");
    let changed = match invite.changed_by.as_slice() {
        [] => String::new(),
        names => format!("\nchanged  by {}", names.join(", ")),
    };
    printable(&format!(
        "id       {id}\ne-mail   {email}\nby       {idp}\ngives    {gives}\nstate    {state}, good until \
         {expires_at}\ninvited  by {}, {}{changed}\nlink     {link}",
        invite.invited_by, invite.created_at
    ))
}
