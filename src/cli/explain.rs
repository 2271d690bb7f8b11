//! `narthex explain --error ID`: how a sign-in was refused, check by check.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use super::{CANNOT, FINE, NOT_SO, block_on, complain, printable};
use crate::app;
use crate::config::settings::StoreUrl;
use crate::config::{self, Purpose, Settings};
use crate::identify::refused::Refused;
use crate::provision::catalogue;

/// Looks the refusal up in the store of `config`.
///
/// [`NOT_SO`] where there is none of this id, [`CANNOT`] where configuration or store cannot be read.
pub(super) fn run(config: &Path, error_id: &str, json: bool) -> u8 {
    let features = |name: &str| catalogue::features(name).ok();
    match config::load(config, Purpose::Check, std::env::vars(), &features) {
        Ok(loaded) => {
            let settings = loaded.settings;
            let error_id = error_id.to_owned();
            block_on(async move { explain(&settings, &error_id, json, &mut std::io::stdout()).await })
        }
        Err(errors) => {
            complain(&errors.to_string());
            CANNOT
        }
    }
}

async fn explain(settings: &Settings, error_id: &str, json: bool, out: &mut (dyn Write + Send)) -> u8 {
    if settings.store.url == StoreUrl::Memory {
        complain("store.url is memory:, which no other process can read; the log has the refusal");
        return CANNOT;
    }
    let text = match app::refusal(settings, error_id).await {
        Ok(Some(refused)) if json => serde_json::to_string(&refused).unwrap_or_default() + "\n",
        Ok(Some(refused)) => told(&refused),
        Ok(None) => {
            complain(&format!(
                "no sign-in with the error id {error_id:?} is kept: it is none, or not one of the latest 1000, or \
                 one of too many from one address; the log has every error under its id"
            ));
            return NOT_SO;
        }
        Err(error) => {
            complain(&error.to_string());
            return CANNOT;
        }
    };
    // Nobody reads a pipe that is closed.
    match out.write_all(text.as_bytes()) {
        Ok(()) => FINE,
        Err(_) => NOT_SO,
    }
}

fn told(refused: &Refused) -> String {
    let mut text = String::new();
    let at_whom = refused.idp.as_ref().map_or("no identity provider", |idp| idp.as_str());
    let _ = writeln!(text, "{}  {at_whom}  {} (to act: {})", refused.at, refused.code, refused.fault);
    let _ = writeln!(text, "{}", refused.message);
    if !refused.steps.is_empty() {
        text.push('\n');
    }
    for step in &refused.steps {
        let verdict = if step.passed { "ok    " } else { "FAILED" };
        let _ = writeln!(text, "{verdict}  {}  ({})", step.check, step.source);
        let _ = writeln!(text, "        expected  {}", step.expected);
        let _ = writeln!(text, "        came      {}", step.found);
    }
    printable(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::saml::Step;
    use crate::model::UnixTime;

    #[test]
    fn every_check_is_told_with_what_was_expected_and_what_came() {
        let step = |check: &'static str, passed| Step {
            check: check.into(),
            source: "SAML Core 2.5.1.4".into(),
            expected: "https://app.example".to_owned(),
            found: "https://other.example".to_owned(),
            passed,
        };
        let refused = Refused {
            at: UnixTime(1_800_000_000),
            idp: Some("partner".parse().unwrap()),
            code: "audience_mismatch".to_owned(),
            fault: "operator".to_owned(),
            message: "set the SP entity ID at the IdP to https://app.example".to_owned(),
            steps: vec![step("Status", true), step("Audience", false)],
        };
        let text = told(&refused);
        let expected = "2027-01-15T08:00:00Z  partner  audience_mismatch (to act: operator)\n\
                        set the SP entity ID at the IdP to https://app.example\n\n\
                        ok      Status  (SAML Core 2.5.1.4)\n        \
                        expected  https://app.example\n        came      https://other.example\n\
                        FAILED  Audience  (SAML Core 2.5.1.4)\n        \
                        expected  https://app.example\n        came      https://other.example\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_came_from_outside_does_nothing_to_the_terminal() {
        assert_eq!(printable("a\u{9b}31m\u{1b}]0;x\u{7}\nü"), "a\u{fffd}31m\u{fffd}]0;x\u{fffd}\nü");
    }
}
