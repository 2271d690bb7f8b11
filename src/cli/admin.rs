//! `narthex admin bootstrap`: the first administrator's way into the admin API.

use std::io::Write;
use std::path::Path;

use clap::Subcommand;
use serde_json::json;

use super::{CANNOT, FINE, NOT_SO, block_on, complain};
use crate::app;
use crate::config::settings::StoreUrl;
use crate::config::{self, Purpose, Settings};
use crate::platform::Platform;
use crate::provision::catalogue;

#[derive(Debug, Subcommand)]
pub(super) enum AdminCommand {
    /// Print a token for one use within 15 minutes, which gives an administrator's token for an hour
    Bootstrap {
        #[arg(long)]
        json: bool,
    },
}

/// Runs it on the store of `config`.
pub(super) fn run(config: &Path, command: &AdminCommand) -> u8 {
    let AdminCommand::Bootstrap { json } = command;
    let json = *json;
    match stored(config) {
        Ok(settings) => block_on(async move { bootstrap(&settings, json, &mut std::io::stdout()).await }),
        Err(code) => code,
    }
}

/// The configuration, for what works at the store beside the running narthex.
pub(super) fn stored(config: &Path) -> Result<Settings, u8> {
    let features = |name: &str| catalogue::features(name).ok();
    let settings = match config::load(config, Purpose::Check, std::env::vars(), &features) {
        Ok(loaded) => loaded.settings,
        Err(errors) => {
            complain(&errors.to_string());
            return Err(CANNOT);
        }
    };
    if matches!(settings.store.url, StoreUrl::Memory) {
        complain("store.url is memory:, which no other process can reach");
        return Err(CANNOT);
    }
    Ok(settings)
}

async fn bootstrap(settings: &Settings, json: bool, out: &mut (dyn Write + Send)) -> u8 {
    let token = match app::bootstrap(settings, &Platform::system()).await {
        Ok(token) => token,
        Err(error) => {
            complain(&error.to_string());
            return CANNOT;
        }
    };
    let url = format!("http://{}/api/v1/bootstrap", settings.admin.listen);
    let text = if json {
        format!("{}\n", json!({ "token": token, "url": url }))
    } else {
        format!(
            "{token}\n\nGood once, within 15 minutes:\n  curl -H 'Content-Type: application/json' \
             -d '{{\"token\":\"{token}\"}}' {url}\n"
        )
    };
    match out.write_all(text.as_bytes()) {
        Ok(()) => FINE,
        Err(_) => NOT_SO,
    }
}
