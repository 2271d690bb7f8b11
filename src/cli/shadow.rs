//! `narthex shadow`: what shadow mode found out (M6).

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use clap::Args;

use super::explain::said;
use super::{CANNOT, FINE, NOT_SO, block_on, complain, printable};
use crate::app::rehearsal;
use crate::config::settings::StoreUrl;
use crate::config::{self, Purpose, Settings};
use crate::provision::catalogue;
use crate::provision::entitle::Entitlement;
use crate::provision::shadow::{Person, Report};

#[derive(Args)]
pub(super) struct ShadowArgs {
    /// Forget what was found out so far, to begin a new report after the settings were changed
    #[arg(long)]
    forget: bool,
    #[arg(long)]
    json: bool,
}

/// [`CANNOT`] where configuration or store cannot be read.
pub(super) fn run(config: &Path, arguments: &ShadowArgs) -> u8 {
    let features = |name: &str| catalogue::features(name).ok();
    let settings = match config::load(config, Purpose::Check, std::env::vars(), &features) {
        Ok(loaded) => loaded.settings,
        Err(errors) => {
            complain(&errors.to_string());
            return CANNOT;
        }
    };
    if matches!(settings.store.url, StoreUrl::Memory) {
        complain(
            "store.url is memory:, which no other process can read; the audit log has every shadow_outcome",
        );
        return CANNOT;
    }
    let (forget, json) = (arguments.forget, arguments.json);
    block_on(async move { report(&settings, forget, json, &mut std::io::stdout()).await })
}

async fn report(settings: &Settings, forget: bool, json: bool, out: &mut (dyn Write + Send)) -> u8 {
    let text = if forget {
        match rehearsal::forget_shadow(settings).await {
            Ok(count) if json => format!("{{\"forgotten\":{count}}}\n"),
            Ok(count) => format!("{count} outcomes are forgotten\n"),
            Err(error) => {
                complain(&error.to_string());
                return CANNOT;
            }
        }
    } else {
        match rehearsal::shadow_report(settings).await {
            Ok(report) if json => serde_json::to_string(&report).unwrap_or_default() + "\n",
            Ok(report) => told(&report, settings.provisioning.shadow),
            Err(error) => {
                complain(&error.to_string());
                return CANNOT;
            }
        }
    };
    // Nobody reads a pipe that is closed.
    if out.write_all(text.as_bytes()).is_ok() { FINE } else { NOT_SO }
}

/// What each outcome means, in the order of the report.
const OUTCOMES: [(&str, &str); 9] = [
    ("created", "would get an account"),
    ("recreated", "would get an account again, since the former one is gone"),
    ("completed", "would get the rest of an unfinished account"),
    ("adopted", "would take over the account that is there"),
    ("linked", "would become the member whose account it is, as a further identity"),
    ("existing", "have an account through narthex"),
    ("on_record", "would come in by what is on record, since the application did not answer"),
    ("forwarded", "would come in without account"),
    ("refused", "would be refused"),
];

fn told(report: &Report, on: bool) -> String {
    let mut text = String::new();
    if !on {
        text.push_str("provisioning.shadow is off: this is what it found out while it was on.\n");
    }
    if report.people.is_empty() {
        text.push_str("nobody has signed in yet while provisioning.shadow was on\n");
    }
    for (outcome, meaning) in OUTCOMES {
        let Some(count) = report.counts.get(outcome) else { continue };
        let _ = writeln!(text, "\n{count} {meaning}");
        for person in report.people.iter().filter(|person| person.summary.outcome == outcome) {
            of(person, &mut text);
        }
    }
    printable(text.trim_start_matches('\n'))
}

fn of(person: &Person, text: &mut String) {
    let summary = &person.summary;
    let username = summary.username.as_deref().unwrap_or("-");
    let email = summary.email.as_ref().map(|email| format!(" <{email}>")).unwrap_or_default();
    let _ = writeln!(text, "  {username}{email}  ({} {})", person.idp, person.subject.as_str());
    let list = |all: &[Entitlement]| all.iter().map(said).collect::<Vec<_>>().join(", ");
    if !summary.gains.is_empty() {
        let _ = writeln!(text, "      gains  {}", list(&summary.gains));
    }
    if !summary.loses.is_empty() {
        let _ = writeln!(text, "      loses  {}", list(&summary.loses));
    }
    if let Some(refusal) = &summary.refusal {
        let _ = writeln!(text, "      {}", refusal.message);
    }
}
