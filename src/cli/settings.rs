//! `narthex settings show | export`: the provisioning settings that hold, from the store of a running narthex.

use std::io::{self, Write};
use std::path::Path;

use clap::Subcommand;
use serde_json::{Value, json};

use super::admin::stored;
use super::explain::printable;
use super::session::told;
use super::{CANNOT, block_on, complain};
use crate::admin::live::{Change, InForce};
use crate::admin::settings::exported;
use crate::app;
use crate::config::Settings;

#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum SettingsCommand {
    /// Which settings hold, since when, and where the file says something else
    Show {
        #[arg(long)]
        json: bool,
    },
    /// The settings that hold as [provisioning] of a proxy.toml
    Export,
}

/// Runs it on the store of `config`.
pub(super) fn run(config: &Path, command: SettingsCommand) -> u8 {
    match stored(config) {
        Ok(settings) => block_on(async move { at_store(&settings, command, &mut io::stdout()).await }),
        Err(code) => code,
    }
}

async fn at_store(settings: &Settings, command: SettingsCommand, out: &mut (dyn Write + Send)) -> u8 {
    let (now, drift) = match app::settings_in_force(settings).await {
        Ok(found) => found,
        Err(error) => {
            complain(&error.to_string());
            return CANNOT;
        }
    };
    let text = match command {
        SettingsCommand::Show { json: true } => described(&now, &drift).to_string(),
        SettingsCommand::Show { json: false } => shown(&now, &drift),
        SettingsCommand::Export => match exported(&now.section) {
            Ok(text) => text.trim_end().to_owned(),
            Err(error) => {
                complain(&error);
                return CANNOT;
            }
        },
    };
    told(std::iter::once(text), out)
}

fn described(now: &InForce, drift: &[Change]) -> Value {
    let drift = drift.iter();
    json!({
        "version": now.version.0,
        "changed_by": now.changed.as_ref().map(|(by, _)| by),
        "changed_at": now.changed.as_ref().map(|(_, at)| at.to_string()),
        "provisioning": now.whole,
        "drift": drift
            .map(|one| json!({ "key": one.key, "file": one.before, "holds": one.after }))
            .collect::<Vec<_>>(),
    })
}

fn shown(now: &InForce, drift: &[Change]) -> String {
    let mut lines = vec![match &now.changed {
        Some((by, at)) => format!("version {}, by {by}, {at}", now.version.0),
        None => "those of the configuration file".to_owned(),
    }];
    let value = |value: &Option<Value>| value.as_ref().map_or_else(|| "absent".to_owned(), Value::to_string);
    lines.extend(drift.iter().map(|one| {
        format!("{}: the file says {}, {} holds", one.key, value(&one.before), value(&one.after))
    }));
    printable(&lines.join("\n"))
}
