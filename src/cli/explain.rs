//! `narthex explain`: what a sign-in would do (`--claims`), or what one did (`--error`).

mod claims;
mod refused;
mod story;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};

pub(super) use self::story::said;

use super::{CANNOT, FINE, NOT_SO, block_on, complain, printable};
use crate::app;
use crate::config::settings::StoreUrl;
use crate::config::{self, Purpose, Settings};
use crate::platform::Platform;
use crate::provision::catalogue;
use crate::provision::explain::{Ending, Explanation};
use crate::provision::shadow::Reach;

#[derive(Args)]
#[group(skip)]
#[command(group = ArgGroup::new("sign_in").required(true))]
pub(super) struct ExplainArgs {
    /// A sign-in that was: the error id that the person was shown, or the login id of the audit log
    #[arg(long, value_name = "ID", group = "sign_in")]
    error: Option<String>,
    /// A sign-in that could be: a JSON object of claims, or an ID token (read, not verified); - for standard input
    #[arg(long, value_name = "FILE", group = "sign_in")]
    claims: Option<PathBuf>,
    /// The identity provider that the claims are from; needed where there are several
    #[arg(long, requires = "claims")]
    idp: Option<String>,
    /// Who it is, where the claims do not say so
    #[arg(long, requires = "claims")]
    subject: Option<String>,
    /// Ask the application nothing: there is no account, and no list of roles and teams
    #[arg(long, requires = "claims")]
    offline: bool,
    #[arg(long)]
    json: bool,
}

/// Changes nothing, neither in the store nor in the application.
///
/// [`NOT_SO`] where no such sign-in is kept, or the claims would be refused; [`CANNOT`] where configuration, claims or
/// store cannot be read.
pub(super) fn run(config: &Path, arguments: ExplainArgs) -> u8 {
    let features = |name: &str| catalogue::features(name).ok();
    // A sign-in that could be is tried with the secrets, one that was needs none.
    let purpose = match &arguments.claims {
        Some(_) if !arguments.offline => Purpose::Serve,
        _ => Purpose::Check,
    };
    match config::load(config, purpose, std::env::vars(), &features) {
        Ok(loaded) => {
            let settings = loaded.settings;
            block_on(async move { explain(&settings, &arguments, &mut std::io::stdout()).await })
        }
        Err(errors) => {
            complain(&errors.to_string());
            CANNOT
        }
    }
}

async fn explain(settings: &Settings, arguments: &ExplainArgs, out: &mut (dyn Write + Send)) -> u8 {
    match (&arguments.claims, &arguments.error) {
        (Some(file), _) => rehearse(settings, file, arguments, out).await,
        (None, Some(id)) => recall(settings, id, arguments.json, out).await,
        // The command line asks for one of them.
        (None, None) => CANNOT,
    }
}

async fn rehearse(
    settings: &Settings,
    file: &Path,
    arguments: &ExplainArgs,
    out: &mut (dyn Write + Send),
) -> u8 {
    let (idp, subject) = (arguments.idp.as_deref(), arguments.subject.as_deref());
    let identity = match claims::identity(settings, file, idp, subject) {
        Ok(identity) => identity,
        Err(what) => {
            complain(&what);
            return CANNOT;
        }
    };
    let reach = if arguments.offline { Reach::Nothing } else { Reach::Reads };
    let explanation = match app::rehearsal::rehearsal(settings, &identity, reach, &Platform::system()).await {
        Ok(explanation) => explanation,
        Err(error) => {
            complain(&error.to_string());
            return CANNOT;
        }
    };
    let said = show(&explanation, arguments.json, out);
    let Ending::Refused(refusal) = &explanation.ending else { return said };
    if refusal.retryable && !arguments.offline {
        complain("the application could not be asked; --offline explains without it");
    }
    NOT_SO
}

async fn recall(settings: &Settings, id: &str, json: bool, out: &mut (dyn Write + Send)) -> u8 {
    if matches!(settings.store.url, StoreUrl::Memory) {
        complain("store.url is memory:, which no other process can read; the log has the refusal");
        return CANNOT;
    }
    let refused = match app::refusal(settings, id).await {
        Ok(refused) => refused,
        Err(error) => {
            complain(&error.to_string());
            return CANNOT;
        }
    };
    if let Some(refused) = refused {
        let text = if json {
            serde_json::to_string(&refused).unwrap_or_default() + "\n"
        } else {
            refused::told(&refused)
        };
        return say(out, &text);
    }
    match app::rehearsal::told(settings, id).await {
        Ok(Some(explanation)) => show(&explanation, json, out),
        Ok(None) => {
            complain(&format!(
                "no sign-in with the id {id:?} is kept: it is none, or not one of the latest, or one of too many \
                 from one address; the log has every error under its id"
            ));
            NOT_SO
        }
        Err(error) => {
            complain(&error.to_string());
            CANNOT
        }
    }
}

fn show(explanation: &Explanation, json: bool, out: &mut (dyn Write + Send)) -> u8 {
    let text = if json {
        serde_json::to_string(explanation).unwrap_or_default() + "\n"
    } else {
        story::told(explanation)
    };
    say(out, &text)
}

/// Nobody reads a pipe that is closed.
fn say(out: &mut (dyn Write + Send), text: &str) -> u8 {
    if out.write_all(text.as_bytes()).is_ok() { FINE } else { NOT_SO }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_argument_both_ways_are_told() {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            explain: ExplainArgs,
        }
        let told = |arguments: &[&str]| {
            let all = [&["narthex"], arguments].concat();
            <Cli as clap::Parser>::try_parse_from(all).map(|cli| cli.explain)
        };
        let said = told(&[]).err().unwrap().to_string();
        assert!(said.contains("--error <ID>") && said.contains("--claims <FILE>"), "{said}");
        assert!(told(&["--error", "id", "--claims", "file"]).is_err());
        assert!(told(&["--error", "id"]).unwrap().error.is_some());
        assert!(told(&["--claims", "file", "--offline"]).unwrap().claims.is_some());
    }

    #[test]
    fn what_came_from_outside_does_nothing_to_the_terminal() {
        assert_eq!(printable("a\u{9b}31m\u{1b}]0;x\u{7}\nü"), "a\u{fffd}31m\u{fffd}]0;x\u{fffd}\nü");
    }
}
