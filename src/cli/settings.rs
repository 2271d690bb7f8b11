//! `narthex settings show | export`: the provisioning settings that hold, from the store of a running narthex.

use std::io::{self, Write};
use std::path::Path;

use clap::Subcommand;
use serde_json::{Value, json};

use super::admin::stored;
use super::session::told;
use super::{CANNOT, NOT_SO, block_on, complain, printable};
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
    /// The settings that hold as `[provisioning]` of a proxy.toml
    Export,
}

/// Runs it on the store of `config`.
pub(super) fn run(config: &Path, command: SettingsCommand) -> u8 {
    match stored(config) {
        Ok(settings) => block_on(async move { at_store(&settings, command, &mut io::stdout()).await }),
        Err(code) => code,
    }
}

/// M4: says where what holds is not what the file of `config` says; [`NOT_SO`] where it is so.
pub(super) fn drift(config: &Path, json: bool) -> u8 {
    match stored(config) {
        Ok(settings) => block_on(async move {
            match app::settings_in_force(&settings).await {
                Ok((_, drift)) => drifted(&drift, json, &mut io::stdout()),
                Err(error) => {
                    complain(&error.to_string());
                    CANNOT
                }
            }
        }),
        Err(code) => code,
    }
}

fn drifted(drift: &[Change], json: bool, out: &mut (dyn Write + Send)) -> u8 {
    let line = |one: &Change| {
        if json { changed(one).to_string() } else { printable(&sentence(one)) }
    };
    let code = told(drift.iter().map(line), out);
    if drift.is_empty() { code } else { NOT_SO }
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
        "drift": drift.map(changed).collect::<Vec<_>>(),
    })
}

fn changed(one: &Change) -> Value {
    json!({ "key": one.key, "file": one.before, "holds": one.after })
}

fn sentence(one: &Change) -> String {
    let value = |value: &Option<Value>| value.as_ref().map_or_else(|| "absent".to_owned(), Value::to_string);
    format!("provisioning.{}: the file says {}, {} holds", one.key, value(&one.before), value(&one.after))
}

fn shown(now: &InForce, drift: &[Change]) -> String {
    let mut lines = vec![match &now.changed {
        Some((by, at)) => format!("version {}, by {by}, {at}", now.version.0),
        None => "those of the configuration file".to_owned(),
    }];
    lines.extend(drift.iter().map(sentence));
    printable(&lines.join("\n"))
}
