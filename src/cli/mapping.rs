//! `narthex mapping`: the JSON form of a group mapping, in and out.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{CANNOT, FINE, NOT_SO, complain};
use crate::config::{self, Purpose};
use crate::provision::catalogue;
use crate::provision::exchange::{self, JsonMapping};

#[derive(Args)]
pub(super) struct MappingArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Read a mapping in the JSON form and print it as proxy.toml has it
    Import {
        /// The document; - for standard input
        file: PathBuf,
        /// Print nothing, but say whether the configuration would take it
        #[arg(long)]
        check: bool,
    },
    /// Print the mapping of the configuration in the JSON form
    Export,
}

/// Exit codes as everywhere: [`NOT_SO`] where document or mapping cannot be said in the other form, [`CANNOT`] where
/// a file cannot be read.
pub(super) fn run(config: &Path, arguments: &MappingArgs) -> u8 {
    let out = &mut std::io::stdout().lock();
    let env: Vec<(String, String)> = std::env::vars().collect();
    match &arguments.what {
        What::Import { file, check } => match document(file) {
            Ok(text) if *check => checked(config, &text, env, out),
            Ok(text) => imported(&text, out),
            Err(error) => {
                complain(&format!("{} cannot be read: {error}", file.display()));
                CANNOT
            }
        },
        What::Export => exported(config, env, out),
    }
}

fn document(file: &Path) -> std::io::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
}

fn read(text: &str) -> Option<JsonMapping> {
    match exchange::read(text) {
        Ok(mapping) => Some(mapping),
        Err(faults) => {
            complain(&format!("this is no mapping in the JSON form\n{faults}"));
            None
        }
    }
}

fn imported(text: &str, out: &mut dyn Write) -> u8 {
    match read(text) {
        Some(mapping) => say(out, &mapping.toml()),
        None => NOT_SO,
    }
}

/// As `narthex check` would find it, with this mapping instead of the configuration's.
fn checked(config: &Path, text: &str, mut env: Vec<(String, String)>, out: &mut dyn Write) -> u8 {
    let Some(mapping) = read(text) else { return NOT_SO };
    env.push(("NARTHEX__PROVISIONING__MAPPING".to_owned(), mapping.rows_toml()));
    env.push(("NARTHEX__PROVISIONING__OWNERS_GROUPS".to_owned(), mapping.owners_groups_toml()));
    let features = |name: &str| catalogue::features(name).ok();
    let report = match config::load(config, Purpose::Check, env.into_iter(), &features) {
        Ok(_) => return say(out, &format!("{}: would take this mapping\n", config.display())),
        Err(errors) if !config.is_file() => {
            complain(&errors.to_string());
            return CANNOT;
        }
        Err(errors) => errors.report,
    };
    let _ = say(out, &format!("{report}\n{}: would not take this mapping\n", config.display()));
    NOT_SO
}

fn exported(config: &Path, env: Vec<(String, String)>, out: &mut dyn Write) -> u8 {
    let features = |name: &str| catalogue::features(name).ok();
    let settings = match config::load(config, Purpose::Check, env.into_iter(), &features) {
        Ok(loaded) => loaded.settings,
        Err(errors) => {
            complain(&errors.to_string());
            return CANNOT;
        }
    };
    match exchange::of(&settings.provisioning) {
        Ok(exported) => {
            for what in &exported.left_out {
                complain(&format!("left out: {what}"));
            }
            say(out, &exported.mapping.json())
        }
        Err(faults) => {
            complain(&format!("the mapping cannot be said in the JSON form\n{faults}"));
            NOT_SO
        }
    }
}

/// Nobody reads a pipe that is closed.
fn say(out: &mut dyn Write, text: &str) -> u8 {
    if out.write_all(text.as_bytes()).is_ok() { FINE } else { NOT_SO }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
[server]
public_url = "https://app.example.com"
[upstream]
url = "http://127.0.0.1:3000"
[[idp]]
id = "corp"
type = "oidc"
issuer = "https://login.example.com"
client_id = "app"
client_secret = "s3cret"
email_domains = ["example.com"]
[application]
connector = "gitea"
url = "http://127.0.0.1:3000"
credential = { bearer = "token" }
[provisioning]
mode = "jit"
default_role = "user"
groups_claim = "groups"
"#;

    fn with_config<T>(more: &str, act: impl Fn(&Path) -> T) -> T {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("proxy.toml");
        std::fs::write(&config, format!("{CONFIG}{more}")).unwrap();
        act(&config)
    }

    fn told(act: impl Fn(&mut dyn Write) -> u8) -> (u8, String) {
        let mut out = Vec::new();
        let code = act(&mut out);
        (code, String::from_utf8(out).unwrap())
    }

    #[test]
    fn f5_what_is_imported_is_accepted_and_exported_again() {
        let document = r#"{ "mappings": [{ "group_name": "devs", "team_name": "acme/developers" }] }"#;
        let (code, toml) = told(|out| imported(document, out));
        assert_eq!(
            (code, toml.as_str()),
            (FINE, "[[provisioning.mapping]]\ngroup = \"devs\"\nteam = \"acme/developers\"\n")
        );
        let (code, json) = with_config(&toml, |config| told(|out| exported(config, Vec::new(), out)));
        assert_eq!(code, FINE);
        let again: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(again, serde_json::from_str::<serde_json::Value>(document).unwrap());
    }

    #[test]
    fn f5_check_says_what_the_configuration_would_not_take() {
        let checked =
            |document: &str| with_config("", |config| told(|out| checked(config, document, Vec::new(), out)));
        let (code, text) =
            checked(r#"{ "mappings": [{ "group_name": "a", "team_name": "acme/developers" }] }"#);
        assert_eq!(code, FINE, "{text}");
        let (code, text) = checked(
            r#"{ "mappings": [
                { "group_name": "a", "team_name": "acme/developers" },
                { "group_name": "b", "team_name": "acme/Owners" },
                { "group_name": "c", "team_name": "acme/readers", "role_name": "member" }
            ] }"#,
        );
        assert_eq!(code, NOT_SO);
        assert!(text.contains("the team \"acme/Owners\" is privileged in Gitea"), "{text}");
        assert!(text.contains("has no roles within teams"), "{text}");
        let (code, _) = told(|out| {
            super::checked(Path::new("/nowhere/proxy.toml"), "{\"mappings\":[]}", Vec::new(), out)
        });
        assert_eq!(code, CANNOT);
    }

    #[test]
    fn f5_a_mapping_that_the_json_form_cannot_say_is_not_exported() {
        let more = "mapping = [{ group = \"a\", role = \"user\" }]";
        let (code, text) = with_config(more, |config| told(|out| exported(config, Vec::new(), out)));
        assert_eq!((code, text.as_str()), (NOT_SO, ""));
    }
}
