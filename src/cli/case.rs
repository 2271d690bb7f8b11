//! `narthex case list | show | decide | withdraw`: sign-ins that wait for an administrator, at the store of a running
//! narthex.

use std::io::{self, Write};
use std::path::Path;

use clap::{Subcommand, ValueEnum};

use super::admin::stored;
use super::session::told;
use super::{CANNOT, NOT_SO, block_on, complain, printable};
use crate::admin::AdminError;
use crate::admin::cases::{CaseView, Decision};
use crate::app::Beside;
use crate::config::Settings;
use crate::model::{CaseId, CaseStanding, Fault};
use crate::platform::Platform;

#[derive(Debug, Subcommand)]
pub(super) enum CaseCommand {
    /// The cases, the newest first
    List {
        /// Only those of this standing
        #[arg(long, value_parser = ["waiting", "linked", "denied", "used"])]
        standing: Option<String>,
        /// One JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// One case
    Show {
        /// Its id, as `case list` and the waiting person's page show it
        case: uuid::Uuid,
        #[arg(long)]
        json: bool,
    },
    /// Decide on a case; a decision may be reversed until a sign-in came in by it
    Decide {
        /// Its id, as `case list` and the waiting person's page show it
        case: uuid::Uuid,
        /// Whether the account is this person's
        decision: Said,
        #[arg(long)]
        json: bool,
    },
    /// Forget a case: the person's next sign-in asks anew
    Withdraw {
        /// Its id, as `case list` and the waiting person's page show it
        case: uuid::Uuid,
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Said {
    /// It is: the next sign-in comes in
    Link,
    /// It is not: this identity does not get it
    Deny,
}

/// Runs it on the store of `config`.
pub(super) fn run(config: &Path, command: CaseCommand) -> u8 {
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
    command: CaseCommand,
    out: &mut (dyn Write + Send),
) -> Result<u8, AdminError> {
    let beside = Beside::open(settings).await?;
    let done = done(&beside, command).await;
    beside.close().await;
    let (cases, json, whole) = done?;
    Ok(told(cases.iter().map(|case| if json { object(case) } else { text(case, whole) }), out))
}

async fn done(beside: &Beside, command: CaseCommand) -> Result<(Vec<CaseView>, bool, bool), AdminError> {
    let platform = Platform::system();
    Ok(match command {
        CaseCommand::List { standing, json } => {
            let standing: Option<CaseStanding> = standing.and_then(|text| text.parse().ok());
            (beside.cases(standing, &platform).await?, json, false)
        }
        CaseCommand::Show { case, json } => (vec![beside.case(CaseId(case), &platform).await?], json, true),
        CaseCommand::Decide { case, decision, json } => {
            let decision = match decision {
                Said::Link => Decision::Link,
                Said::Deny => Decision::Deny,
            };
            (vec![beside.decide_case(CaseId(case), decision, &platform).await?], json, true)
        }
        CaseCommand::Withdraw { case, json } => {
            (vec![beside.withdraw_case(CaseId(case), &platform).await?], json, true)
        }
    })
}

fn object(case: &CaseView) -> String {
    serde_json::to_string(case).unwrap_or_default()
}

fn text(case: &CaseView, whole: bool) -> String {
    let CaseView { id, state, idp, subject, username, account, asked_at, .. } = case;
    let email = case.email.as_deref().unwrap_or("(no address)");
    let why = match case.kind.as_str() {
        "recycled_address" => "a member's of the same identity provider, under another subject",
        "second_identity" => "a member's of another identity provider",
        _ => "there before, and nobody's",
    };
    let privileged = if case.privileged { ", privileged" } else { "" };
    if !whole {
        return printable(&format!(
            "{id}  {state}  {idp} {subject} ({email}) for {username}{privileged}: {why}; asked {asked_at}"
        ));
    }
    let decided = match (&case.decided_by, &case.decided_at) {
        (Some(by), Some(at)) => format!("by {by}, {at}"),
        (_, _) => "not yet".to_owned(),
    };
    printable(&format!(
        "id        {id}\nstate     {state}\nidentity  {idp} {subject}\ne-mail    {email}\naccount   {account}, \
         {username}, {}{privileged}: {why}\nmember    {}\nasked     {asked_at}, first {}\nuntil     {}\ndecided   \
         {decided}\nled to    {}",
        case.account_email.as_deref().unwrap_or("(no address)"),
        case.member.as_deref().unwrap_or("none"),
        case.opened_at,
        case.expires_at.as_deref().unwrap_or("it is reversed"),
        case.led_to.as_deref().unwrap_or("nobody yet"),
    ))
}
