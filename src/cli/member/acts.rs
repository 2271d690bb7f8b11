//! What `narthex member` does beside looking: role and teams, taking access away, erasing, reconciling.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use clap::Args;

use super::super::session::told;
use super::super::{CANNOT, FINE, NOT_SO, complain, printable};
use crate::admin::AdminError;
use crate::admin::members::registry::{ErasedView, FindingView, MemberChange, Registry};
use crate::admin::members::viewed;
use crate::app::Beside;
use crate::config::Settings;
use crate::model::MemberId;
use crate::platform::Platform;
use crate::provision::reconcile::{Drift, Finding, Mending, Outcome};
use crate::store::lists::MemberRow;

/// Members that are looked at between two looks into the store.
const AT_A_TIME: usize = 100;

/// Whom it is about.
#[derive(Debug, Args)]
pub(in crate::cli) struct Whom {
    /// The member's id, as `member list` shows it
    member: uuid::Uuid,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RoleArgs {
    #[command(flatten)]
    whom: Whom,
    /// The application-wide role to have from now on
    role: String,
    /// End the member's sessions, so that none goes on with what it carried before
    #[arg(long)]
    end_sessions: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TeamsArgs {
    #[command(flatten)]
    whom: Whom,
    /// A team to be in, or TEAM=ROLE; may be given several times
    #[arg(long = "add", value_name = "TEAM", required_unless_present = "remove")]
    add: Vec<String>,
    /// A team to be in no more; may be given several times
    #[arg(long = "remove", value_name = "TEAM")]
    remove: Vec<String>,
    /// End the member's sessions, so that none goes on with what it carried before
    #[arg(long)]
    end_sessions: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct EraseArgs {
    #[command(flatten)]
    whom: Whom,
    /// Yes, for good: nothing of it comes back
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ReconcileArgs {
    /// Only say what does not fit; 1 where something does not
    #[arg(long)]
    dry_run: bool,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Act {
    Role(RoleArgs),
    Teams(TeamsArgs),
    Revoke(Whom),
    Block(Whom),
    Unblock(Whom),
    Erase(EraseArgs),
    Reconcile(ReconcileArgs),
}

/// Does it at the store of `settings`.
pub(super) async fn act(
    settings: &Settings,
    act: Act,
    out: &mut (dyn Write + Send),
) -> Result<u8, AdminError> {
    let beside = Beside::open(settings).await?;
    let done = at_store(&beside, settings, act, out).await;
    beside.close().await;
    done
}

async fn at_store(
    beside: &Beside,
    settings: &Settings,
    act: Act,
    out: &mut (dyn Write + Send),
) -> Result<u8, AdminError> {
    let people = beside.people(settings, &Platform::system()).await?;
    let done = through(&people.registry(), act, out).await;
    people.close().await;
    done
}

async fn through(members: &Registry<'_>, act: Act, out: &mut (dyn Write + Send)) -> Result<u8, AdminError> {
    let id = |whom: &Whom| MemberId(whom.member);
    match act {
        Act::Role(RoleArgs { whom, role, end_sessions }) => {
            let change = MemberChange { role: Some(role), end_sessions, ..MemberChange::default() };
            let (row, _) = members.change(id(&whom), None, change).await?;
            Ok(shown(row, whom.json, out))
        }
        Act::Teams(TeamsArgs { whom, add, remove, end_sessions }) => {
            let team = |text: String| match text.split_once('=') {
                Some((team, role)) => (team.to_owned(), Some(role.to_owned())),
                None => (text, None),
            };
            let change = MemberChange {
                role: None,
                add_teams: add.into_iter().map(team).collect::<BTreeMap<_, _>>(),
                remove_teams: remove.into_iter().collect::<BTreeSet<_>>(),
                end_sessions,
            };
            let (row, _) = members.change(id(&whom), None, change).await?;
            Ok(shown(row, whom.json, out))
        }
        Act::Revoke(whom) => Ok(shown(members.revoke(id(&whom)).await?, whom.json, out)),
        Act::Block(whom) => Ok(shown(members.block(id(&whom)).await?, whom.json, out)),
        Act::Unblock(whom) => Ok(shown(members.unblock(id(&whom)).await?, whom.json, out)),
        Act::Erase(EraseArgs { yes: false, .. }) => {
            complain("nothing of a person who is erased comes back; say --yes if that is meant");
            Ok(CANNOT)
        }
        Act::Erase(EraseArgs { whom, yes: true }) => {
            let erased = members.erase(id(&whom)).await?;
            let line = if whom.json { json(&erased) } else { erased_text(&erased) };
            Ok(told(std::iter::once(line), out))
        }
        Act::Reconcile(reconcile) => reconciled(members, &reconcile, out).await,
    }
}

fn shown(row: MemberRow, as_json: bool, out: &mut (dyn Write + Send)) -> u8 {
    let member = viewed(row);
    let line = if as_json { super::object(&member) } else { super::text(&member, true) };
    told(std::iter::once(line), out)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn erased_text(erased: &ErasedView) -> String {
    let ErasedView { audit_parts, sessions, invites, letters, explanations, account_left, .. } = erased;
    let left = match account_left {
        Some(id) => format!("the account {id} in the application is left as it is"),
        None => "there was no account in the application".to_owned(),
    };
    printable(&format!(
        "erased: the member, {sessions} sessions, {invites} invites, {letters} letters, {explanations} explanations of \
         sign-ins, and the person's words in {audit_parts} places of the audit log; {left}"
    ))
}

/// One after the other, each as soon as it is known.
async fn reconciled(
    members: &Registry<'_>,
    args: &ReconcileArgs,
    out: &mut (dyn Write + Send),
) -> Result<u8, AdminError> {
    let mending = if args.dry_run { Mending::Reports } else { Mending::Repairs };
    let (mut after, mut looked_at, mut drifts, mut left) = (None, 0, 0, 0);
    loop {
        let looked = members.reconcile(after, AT_A_TIME, mending).await?;
        looked_at += looked.members;
        drifts += looked.findings.len();
        left += looked.findings.iter().filter(|finding| is_left(finding)).count();
        say(&looked.findings, args.json, out);
        match looked.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let unclaimed = members.unclaimed().await?;
    match &unclaimed {
        Some(unclaimed) => say(unclaimed, args.json, out),
        None => {
            complain("this connector cannot list accounts: whether nobody claims some of them is not known");
        }
    }
    if !args.json {
        let unclaimed =
            unclaimed.map_or_else(String::new, |all| format!(", {} accounts that no member has", all.len()));
        told(std::iter::once(format!("{looked_at} members looked at: {drifts} do not fit{unclaimed}")), out);
    }
    let fits = if args.dry_run { drifts == 0 } else { left == 0 };
    Ok(if fits { FINE } else { NOT_SO })
}

/// Whether something that could be repaired was not.
fn is_left(finding: &Finding) -> bool {
    match &finding.outcome {
        Outcome::Paused | Outcome::Busy | Outcome::Failed(_) => true,
        Outcome::Repaired | Outcome::Reported => false,
    }
}

fn say(findings: &[Finding], as_json: bool, out: &mut (dyn Write + Send)) {
    let line = |finding: &Finding| {
        let view = FindingView::of(finding);
        if as_json {
            return json(&view);
        }
        let FindingView { kind, member, account, username, what, outcome, reason } = view;
        let whose = match (&finding.drift, member, account) {
            (Drift::Unclaimed, _, Some(account)) => format!("account {account}"),
            (_, Some(member), _) => member,
            (_, None, account) => account.unwrap_or_default(),
        };
        let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        printable(&format!("{kind}  {username}  {whose}  {what}  {outcome}{reason}"))
    };
    told(findings.iter().map(line), out);
}
