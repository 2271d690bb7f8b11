//! `narthex verify-deployment`: whether what stands around narthex leaves a way past it.

use std::io::{self, Write};
use std::path::Path;

use clap::Args;
use http::HeaderName;
use serde_json::json;
use url::Url;

use super::{CANNOT, FINE, NOT_SO, block_on, complain};
use crate::app::deployment::{Finding, Tries, Verdict, verify};
use crate::config::{self, Loaded, Purpose};
use crate::platform::Platform;
use crate::provision::catalogue;

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Where the application must not be reachable from here; without it, this machine's own addresses
    #[arg(long, value_name = "HOST:PORT")]
    direct: Vec<String>,
    /// Where narthex is reached from here, if not at the public URL
    #[arg(long, value_name = "URL")]
    through: Option<Url>,
    /// A path of the application that answers with the headers that it got, and needs no sign-in
    #[arg(long, value_name = "PATH")]
    echo: Option<String>,
    /// A header that the application believes, beside those that the configuration has
    #[arg(long, value_name = "NAME")]
    believes: Vec<HeaderName>,
    /// Take what was not tried for wrong: exit with 1
    #[arg(long)]
    strict: bool,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

/// [`FINE`] where nothing is wrong, though some of it may not have been tried; [`NOT_SO`] where something is.
pub(super) fn run(config: &Path, args: VerifyArgs) -> u8 {
    let features = |name: &str| catalogue::features(name).ok();
    let loaded = match config::load(config, Purpose::Serve, std::env::vars(), &features) {
        Ok(loaded) => loaded,
        Err(errors) => {
            complain(&errors.to_string());
            return if config.is_file() { NOT_SO } else { CANNOT };
        }
    };
    block_on(verified(loaded, args))
}

async fn verified(loaded: Loaded, args: VerifyArgs) -> u8 {
    // The kubelet sets it in every container.
    let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let VerifyArgs { direct, through, echo, believes, strict, json } = args;
    let tries = Tries { direct, through, echo, believes, in_pod };
    let findings = verify(&loaded, &tries, &Platform::system()).await;
    told(&findings, json, strict, &mut io::stdout())
}

fn told(findings: &[Finding], json: bool, strict: bool, out: &mut (dyn Write + Send)) -> u8 {
    let mut text = String::new();
    for Finding { item, verdict, told } in findings {
        let verdict = match verdict {
            Verdict::Fine => "ok",
            Verdict::Wrong => "wrong",
            Verdict::NotTried => "not tried",
        };
        if json {
            text.push_str(&json!({ "item": item, "verdict": verdict, "told": told }).to_string());
        } else {
            text.push_str(&super::printable(&format!("{verdict:<9}  {item}: {told}")));
        }
        text.push('\n');
    }
    let (wrong, not_tried) = (items(findings, Verdict::Wrong), items(findings, Verdict::NotTried));
    if !json {
        text.push_str(&counted(&wrong, &not_tried));
        text.push('\n');
    }
    let fine = wrong.is_empty() && (not_tried.is_empty() || !strict);
    let code = if fine { FINE } else { NOT_SO };
    // Nobody reads a pipe that is closed.
    if out.write_all(text.as_bytes()).is_ok() { code } else { code.max(NOT_SO) }
}

/// Each once, as they were told.
fn items(findings: &[Finding], verdict: Verdict) -> Vec<&'static str> {
    let mut items: Vec<&'static str> = Vec::new();
    for finding in findings.iter().filter(|finding| finding.verdict == verdict) {
        if !items.contains(&finding.item) {
            items.push(finding.item);
        }
    }
    items
}

/// What was not tried says nothing, and whoever reads the last line alone must know of it.
fn counted(wrong: &[&str], not_tried: &[&str]) -> String {
    let of_wrong = match wrong.len() {
        0 => "nothing is wrong with what was tried".to_owned(),
        1 => format!("1 item is wrong: {}", wrong.join(", ")),
        number => format!("{number} items are wrong: {}", wrong.join(", ")),
    };
    match not_tried.len() {
        0 => of_wrong,
        1 => format!("{of_wrong}; 1 item was not tried: {}", not_tried.join(", ")),
        number => format!("{of_wrong}; {number} items were not tried: {}", not_tried.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(item: &'static str, verdict: Verdict) -> Finding {
        Finding { item, verdict, told: "so".to_owned() }
    }

    fn said(findings: &[Finding], strict: bool) -> (u8, String) {
        let mut out = Vec::new();
        let code = told(findings, false, strict, &mut out);
        (code, String::from_utf8(out).unwrap().lines().last().unwrap().to_owned())
    }

    #[test]
    fn the_last_line_counts_what_was_not_tried_and_strict_takes_it_for_wrong() {
        let fine = finding("store", Verdict::Fine);
        let port = finding("application port", Verdict::NotTried);
        let headers = finding("identity headers", Verdict::NotTried);
        let secret = finding("secret files", Verdict::Wrong);
        let nothing = "nothing is wrong with what was tried";
        let all = [fine.clone()];
        assert_eq!(said(&all, false), (FINE, nothing.to_owned()));
        assert_eq!(said(&all, true), (FINE, nothing.to_owned()));
        let some = [fine, port.clone(), port.clone()];
        let one = format!("{nothing}; 1 item was not tried: application port");
        assert_eq!(said(&some, false), (FINE, one.clone()));
        assert_eq!(said(&some, true), (NOT_SO, one));
        let two = format!("{nothing}; 2 items were not tried: application port, identity headers");
        assert_eq!(said(&[port.clone(), headers], false), (FINE, two));
        let wrong = "1 item is wrong: secret files; 1 item was not tried: application port";
        assert_eq!(said(&[secret.clone(), secret, port], false), (NOT_SO, wrong.to_owned()));
    }
}
