//! `narthex verify-deployment`: whether what stands around narthex leaves a way past it.

use std::io::{self, Write};
use std::path::Path;

use clap::Args;
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
    let tries = Tries { direct: args.direct, through: args.through, echo: args.echo };
    let findings = verify(&loaded, &tries, &Platform::system()).await;
    told(&findings, args.json, &mut io::stdout())
}

fn told(findings: &[Finding], json: bool, out: &mut (dyn Write + Send)) -> u8 {
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
    let wrong = findings.iter().filter(|finding| finding.verdict == Verdict::Wrong).count();
    if !json {
        let counted = match wrong {
            0 => "nothing is wrong with what was tried\n".to_owned(),
            1 => "1 item is wrong\n".to_owned(),
            wrong => format!("{wrong} items are wrong\n"),
        };
        text.push_str(&counted);
    }
    let code = if wrong == 0 { FINE } else { NOT_SO };
    // Nobody reads a pipe that is closed.
    if out.write_all(text.as_bytes()).is_ok() { code } else { code.max(NOT_SO) }
}
