//! Secrets from files and the environment, with what a person can do where one cannot be read.

use std::path::Path;

use super::Purpose;
use super::document::Step;
use super::meaning::Meaning;
use super::raw::SecretRef;
use crate::model::Secret;

/// Secrets are short; a larger file is another file.
const MAX_BYTES: u64 = 64 * 1024;

/// Why a secret is not there, and what to do.
struct Unusable {
    reason: String,
    remedy: String,
    /// Just absent here, where the configuration is only checked.
    absent: bool,
}

impl Unusable {
    fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { reason: reason.into(), remedy: remedy.into(), absent: false }
    }

    fn absent(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { absent: true, ..Self::new(reason, remedy) }
    }
}

impl Meaning<'_> {
    /// The secret; `None` where it was reported. A secret that is absent is only warned of by `check`, and is empty
    /// then.
    pub(super) fn secret(&mut self, written: Option<&SecretRef>, path: &[Step]) -> Option<Secret> {
        let written = written?;
        if matches!(written, SecretRef::Literal(_)) {
            self.has_secrets();
        }
        let read = match written {
            SecretRef::Literal(text) => not_empty(text, "the text is empty").map_err(|reason| {
                Unusable::new(reason, "write the secret, or { file = \"…\" } or { env = \"…\" }")
            }),
            SecretRef::Env(env) => match self.env.get(&env.env) {
                Some(text) => not_empty(text, "is empty").map_err(|reason| {
                    Unusable::new(
                        format!("the environment variable {} {reason}", env.env),
                        "set it to the secret",
                    )
                }),
                None => Err(Unusable::absent(
                    format!("the environment variable {} is not set", env.env),
                    format!("set {} to the secret", env.env),
                )),
            },
            SecretRef::File(file) => read_file(&self.secret_file(&file.file)),
        };
        match read {
            Ok(secret) => Some(secret),
            Err(unusable) => {
                let name = super::document::shown(path);
                let message = format!("the secret `{name}` cannot be used: {}", unusable.reason);
                if unusable.absent && self.purpose == Purpose::Check {
                    self.warn(path, message, unusable.remedy);
                    return Some(Secret::default());
                }
                self.refuse(path, message, unusable.remedy);
                None
            }
        }
    }
}

fn not_empty(text: &str, reason: &'static str) -> Result<Secret, &'static str> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() { Err(reason) } else { Ok(Secret::new(text)) }
}

fn read_file(path: &Path) -> Result<Secret, Unusable> {
    let shown = path.display();
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let remedy = "write the secret there, or correct the path";
            return Err(Unusable::absent(format!("there is no file {shown}"), remedy));
        }
        Err(error) => {
            let remedy = "let the user that narthex runs as reach it";
            return Err(Unusable::absent(format!("{shown} cannot be read: {error}"), remedy));
        }
    };
    if !metadata.is_file() {
        return Err(Unusable::new(format!("{shown} is not a file"), "correct the path"));
    }
    if metadata.len() > MAX_BYTES {
        return Err(Unusable::new(format!("{shown} is larger than {MAX_BYTES} bytes"), "correct the path"));
    }
    if let Some(reason) = open_to_others(path, &metadata) {
        let remedy = format!("chmod 600 {shown}, and change the secret if others may have seen it");
        return Err(Unusable::new(format!("{shown} {reason}"), remedy));
    }
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            let remedy = "write it as text, such as base64";
            return Err(Unusable::new(format!("{shown} is not UTF-8 text"), remedy));
        }
        Err(error) => {
            let remedy = "let the user that narthex runs as read it";
            return Err(Unusable::absent(format!("{shown} cannot be read: {error}"), remedy));
        }
    };
    not_empty(&text, "is empty")
        .map_err(|reason| Unusable::new(format!("{shown} {reason}"), "write the secret there"))
}

/// SECURITY: a secret that any user of the machine can read is none. Container runtimes put secrets where there are
/// no other users, with modes that cannot always be chosen (Docker: 0444; a Kubernetes volume: 0644, behind a link
/// named `..data`), so there only writing by others counts.
#[cfg(unix)]
fn open_to_others(path: &Path, metadata: &std::fs::Metadata) -> Option<&'static str> {
    use std::os::unix::fs::PermissionsExt;

    let mode = metadata.permissions().mode();
    let mounted = path.starts_with("/run/secrets")
        || path.starts_with("/var/run/secrets")
        || path.parent().is_some_and(|folder| folder.join("..data").symlink_metadata().is_ok());
    if mode & 0o002 != 0 {
        return Some("can be changed by every user of this machine");
    }
    (mode & 0o004 != 0 && !mounted).then_some("can be read by every user of this machine")
}

#[cfg(not(unix))]
fn open_to_others(_: &Path, _: &std::fs::Metadata) -> Option<&'static str> {
    None
}
