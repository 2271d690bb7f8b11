//! `narthex backup`: the store as it is at one moment, in a file or on standard output; and the key to it, by itself.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{CANNOT, FINE, asked_to_end, block_on, complain};
use crate::app::backup::{self, BackupError, Written};
use crate::config::{self, Purpose, Settings};
use crate::provision::catalogue;

#[derive(Args)]
pub(super) struct BackupArgs {
    /// A file that is not there yet; `-` is standard output
    file: PathBuf,
    /// The seal key instead of the store: keep it apart from the backups that it opens
    #[arg(long)]
    key: bool,
}

/// Where it goes.
enum Target {
    File(PathBuf),
    Output,
}

pub(super) fn run(config: &Path, args: BackupArgs) -> u8 {
    let features = |name: &str| catalogue::features(name).ok();
    let settings = match config::load(config, Purpose::Check, std::env::vars(), &features) {
        Ok(loaded) => loaded.settings,
        Err(errors) => {
            complain(&errors.to_string());
            return CANNOT;
        }
    };
    let target = if args.file.as_os_str() == "-" { Target::Output } else { Target::File(args.file) };
    if matches!(target, Target::Output) && io::stdout().is_terminal() {
        complain("standard output is a terminal: redirect it to a file");
        return CANNOT;
    }
    if args.key { key(&settings, &target) } else { block_on(store(settings, target)) }
}

async fn store(settings: Settings, target: Target) -> u8 {
    let done = match &target {
        Target::File(path) => tokio::select! {
            done = backup::to_file(&settings, path) => done,
            // What is half done goes away.
            ended = asked_to_end() => {
                complain(&format!("no backup: ended by {}", ended.unwrap_or("a failure")));
                return CANNOT;
            }
        },
        Target::Output => backup::to_stream(&settings, &mut io::stdout()).await,
    };
    finished(done.map(|written| told(&written, &settings, &target)), &target)
}

fn key(settings: &Settings, target: &Target) -> u8 {
    let done = match target {
        Target::File(path) => backup::key_to_file(settings, path),
        Target::Output => backup::key_to_stream(settings, &mut io::stdout()),
    };
    let told = "the seal key was written; keep it apart from the backups that it opens\n";
    finished(done.map(|()| told.to_owned()), target)
}

/// Says it where nothing else is.
fn finished(done: Result<String, BackupError>, target: &Target) -> u8 {
    let said = match (done, target) {
        (Ok(text), Target::File(_)) => io::stdout().write_all(text.as_bytes()),
        (Ok(text), Target::Output) => io::stderr().write_all(text.as_bytes()),
        (Err(error), _) => {
            complain(&error.to_string());
            return CANNOT;
        }
    };
    // The backup is there, whoever heard of it.
    drop(said);
    FINE
}

fn told(written: &Written, settings: &Settings, target: &Target) -> String {
    let counted = |number: i64, one: &str, more: &str| match number {
        1 => format!("1 {one}"),
        number => format!("{number} {more}"),
    };
    let copied = &written.copied;
    let what = [
        counted(copied.members, "member", "members"),
        counted(copied.sessions, "session", "sessions"),
        counted(copied.audit_entries, "audit entry", "audit entries"),
    ];
    let place = match target {
        Target::File(path) => path.display().to_string(),
        Target::Output => "standard output".to_owned(),
    };
    let key = match backup::key_file(settings) {
        Some(path) => format!(
            "Not in it is the key {}, without which it cannot be put to use: keep a copy of that elsewhere \
             (narthex backup --key FILE).",
            path.display()
        ),
        None => {
            "Not in it is the key that keys.seal gives, without which it cannot be put to use: keep a copy \
                 of that elsewhere."
                .to_owned()
        }
    };
    let text = format!(
        "{place}: {}; {} bytes, tables of version {}\n{key}\n",
        what.join(", "),
        written.bytes,
        copied.version
    );
    super::printable(&text)
}
