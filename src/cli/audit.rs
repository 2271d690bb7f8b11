//! `narthex audit`: is the log what was written, and the log itself for other tools.

use std::io::Write;
use std::path::Path;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::{CANNOT, FINE, NOT_SO, block_on, complain};
use crate::app;
use crate::config::settings::StoreUrl;
use crate::config::{self, Purpose, Settings};
use crate::model::audit::AuditQuery;
use crate::model::{AuditHead, UnixTime};
use crate::observe::audit::Event;
use crate::observe::audit::export::{ExportError, Format};
use crate::observe::audit::verify::{Finding, Report};
use crate::provision::catalogue;

#[derive(Args)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Say whether every entry is there, as it was written and in its place
    Verify {
        /// How far a chain had come when somebody noted it down; may be given several times
        #[arg(long, value_name = "CHAIN:SEQUENCE:HASH")]
        head: Vec<AuditHead>,
        #[arg(long)]
        json: bool,
    },
    /// Write entries to standard output, one JSON object per line
    Export {
        /// From this time on: 2026-01-31, or 2026-01-31T12:00:00Z
        #[arg(long, value_name = "TIME", value_parser = time)]
        since: Option<UnixTime>,
        /// Up to this time, without it
        #[arg(long, value_name = "TIME", value_parser = time)]
        until: Option<UnixTime>,
        /// Only entries of this event (docs/audit.md)
        #[arg(long)]
        event: Option<Event>,
        #[arg(long, value_enum, default_value_t = ExportFormat::Jsonl)]
        format: ExportFormat,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum ExportFormat {
    /// Whole entries, with hashes
    Jsonl,
    /// Events of the Open Cybersecurity Schema Framework
    Ocsf,
}

pub(super) fn run(config: &Path, arguments: AuditArgs) -> u8 {
    let settings = match settings(config) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    block_on(async move {
        let out = &mut std::io::stdout();
        match arguments.command {
            AuditCommand::Verify { head, json } => verify(&settings, &head, json, out).await,
            AuditCommand::Export { since, until, event, format } => {
                let whole = AuditQuery::default();
                let query = AuditQuery {
                    since: since.unwrap_or(whole.since),
                    until: until.unwrap_or(whole.until),
                    event: event.map(|event| event.name().to_owned()),
                    ..whole
                };
                export(&settings, query, format, out).await
            }
        }
    })
}

/// A day, which begins at midnight UTC, or an instant.
fn time(text: &str) -> Result<UnixTime, String> {
    let instant = text.parse::<jiff::Timestamp>().ok();
    let day = || {
        let day: jiff::civil::Date = text.parse().ok()?;
        day.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|midnight| midnight.timestamp())
    };
    let time = instant.or_else(day).ok_or("write it like 2026-01-31 or 2026-01-31T12:00:00Z")?;
    Ok(UnixTime(time.as_second()))
}

async fn export(
    settings: &Settings,
    query: AuditQuery,
    format: ExportFormat,
    out: &mut (dyn Write + Send),
) -> u8 {
    let format = match format {
        ExportFormat::Jsonl => Format::Jsonl,
        ExportFormat::Ocsf => Format::Ocsf,
    };
    let mut write = |line: &str| out.write_all(line.as_bytes());
    match app::audit::export(settings, query, format, &mut write).await {
        Ok(_) => FINE,
        // Whoever reads has read enough, e.g. `head`.
        Err(ExportError::Write(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => FINE,
        Err(error) => {
            complain(&error.to_string());
            CANNOT
        }
    }
}

fn settings(config: &Path) -> Result<Settings, u8> {
    let features = |name: &str| catalogue::features(name).ok();
    let settings = match config::load(config, Purpose::Check, std::env::vars(), &features) {
        Ok(loaded) => loaded.settings,
        Err(errors) => {
            complain(&errors.to_string());
            return Err(CANNOT);
        }
    };
    if matches!(settings.store.url, StoreUrl::Memory) {
        complain("store.url is memory:, which no other process can read; the process log has the entries");
        return Err(CANNOT);
    }
    Ok(settings)
}

async fn verify(settings: &Settings, noted: &[AuditHead], json: bool, out: &mut (dyn Write + Send)) -> u8 {
    let report = match app::audit::verify(settings, noted).await {
        Ok(report) => report,
        Err(error) => {
            complain(&error.to_string());
            return CANNOT;
        }
    };
    let text = if json { as_json(&report) } else { told(&report) };
    if let Err(error) = out.write_all(text.as_bytes()) {
        complain(&format!("standard output: {error}"));
        return CANNOT;
    }
    if report.findings.is_empty() { FINE } else { NOT_SO }
}

fn as_json(report: &Report) -> String {
    let heads: Vec<String> = report.heads.iter().map(AuditHead::to_string).collect();
    let value = json!({
        "intact": report.findings.is_empty(),
        "entries": report.entries,
        "erased": report.erased,
        "findings": report.findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
        "heads": heads,
    });
    value.to_string() + "\n"
}

fn told(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |what: String| text.push_str(&(what + "\n"));
    for finding in &report.findings {
        line(format!("BROKEN  {finding}"));
    }
    let (entries, chains) = (report.entries, report.heads.len());
    let verdict =
        if report.findings.is_empty() { "as they were written" } else { "NOT as they were written" };
    line(format!("{entries} entries in {chains} chains, {verdict}"));
    if report.erased > 0 {
        line(format!("words about people were erased from {} places", report.erased));
    }
    for head in &report.heads {
        line(format!("head  {head}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_day_or_an_instant() {
        assert_eq!(time("2027-01-15"), Ok(UnixTime(1_799_971_200)));
        assert_eq!(time("2027-01-15T08:00:00Z"), Ok(UnixTime(1_800_000_000)));
        assert_eq!(time("2027-01-15T09:00:00+01:00"), Ok(UnixTime(1_800_000_000)));
        assert!(time("yesterday").is_err() && time("2027-13-01").is_err());
    }
}
