//! `narthex check`: everything that is wrong with a configuration, at once.

use std::io::{IsTerminal, Write};
use std::path::Path;

use super::{CANNOT, FINE, NOT_SO};
use crate::config::{self, Purpose, Report};
use crate::provision::catalogue;

/// Reads `config` as `serve` would, but for secrets and other files, which may be absent on this machine unless
/// `strict`.
///
/// [`FINE`] also with warnings; [`NOT_SO`] where something is wrong; [`CANNOT`] where there is no such file.
pub(super) fn run(config: &Path, strict: bool, json: bool) -> u8 {
    let mut out = std::io::stdout().lock();
    let colours = out.is_terminal() && std::env::vars_os().all(|(name, _)| name != "NO_COLOR");
    let purpose = if strict { Purpose::Strict } else { Purpose::Check };
    judge(config, purpose, json, colours, std::env::vars(), &mut out)
}

fn judge(
    config: &Path,
    purpose: Purpose,
    json: bool,
    colours: bool,
    env: impl Iterator<Item = (String, String)>,
    out: &mut dyn Write,
) -> u8 {
    // What is wrong with a recipe is told in full by `connector show`.
    let features = |name: &str| catalogue::features(name).ok();
    let (report, code) = match config::load(config, purpose, env, &features) {
        Ok(loaded) => (loaded.warnings, FINE),
        Err(errors) if !config.is_file() => (errors.report, CANNOT),
        Err(errors) => (errors.report, NOT_SO),
    };
    let text = if json { report.json_lines() } else { told(config, &report, colours) };
    // Nobody reads a pipe that is closed.
    match out.write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(_) => code.max(NOT_SO),
    }
}

fn told(config: &Path, report: &Report, colours: bool) -> String {
    let (errors, all) = (report.errors(), report.problems.len());
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let verdict = match (errors, all - errors) {
        (0, 0) => "in order".to_owned(),
        (0, warnings) => format!("in order, with {}", count(warnings, "warning")),
        (errors, 0) => count(errors, "error"),
        (errors, warnings) => format!("{} and {}", count(errors, "error"), count(warnings, "warning")),
    };
    format!("{}{}: {verdict}\n", report.graphical(colours), config.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(config: &Path, json: bool) -> (u8, String) {
        judged_for(Purpose::Check, config, json)
    }

    fn judged_for(purpose: Purpose, config: &Path, json: bool) -> (u8, String) {
        let mut out = Vec::new();
        let code = judge(config, purpose, json, false, std::iter::empty(), &mut out);
        (code, String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_shipped_example_is_in_order_but_for_its_absent_secrets() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("proxy.toml");
        let (code, text) = judged(&example, false);
        assert_eq!(code, FINE, "{text}");
        assert!(text.ends_with("proxy.toml: in order, with 2 warnings\n"), "{text}");
        let (code, text) = judged(&example, true);
        assert_eq!((code, text.lines().count()), (FINE, 2));
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["severity"], "warning");
            assert!(line["line"].as_u64().unwrap() > 1);
        }
    }

    #[test]
    fn what_serve_would_miss_on_this_machine_is_an_error_with_strict_only() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("proxy.toml");
        let written = |secret: &str, store: &str| {
            let text = format!(
                "[server]\npublic_url = \"https://app.example.com\"\n[upstream]\nurl = \"http://127.0.0.1:3000\"\n\
                 [[idp]]\nid = \"corp\"\ntype = \"oidc\"\nissuer = \"https://login.example.com\"\n\
                 client_id = \"app\"\nclient_secret = {secret}\n[provisioning]\nunprovisioned = \"forward\"\n\
                 [store]\nurl = \"sqlite:{store}\"\n"
            );
            std::fs::write(&config, text).unwrap();
        };
        let secret = "\"written out\"";
        written(secret, "narthex.db");
        let (code, text) = judged_for(Purpose::Strict, &config, false);
        assert_eq!(code, FINE, "{text}");
        assert!(text.ends_with("proxy.toml: in order\n"), "{text}");
        for (secret, store, said) in [
            ("{ file = \"absent\" }", "narthex.db", "there is no file"),
            (
                "{ env = \"NARTHEX_TEST_NOT_SET\" }",
                "narthex.db",
                "the environment variable NARTHEX_TEST_NOT_SET",
            ),
            (secret, "absent/narthex.db", "make the folder, owned by"),
        ] {
            written(secret, store);
            let (code, text) = judged(&config, false);
            assert_eq!(code, FINE, "{text}");
            assert!(text.contains(said), "{text}");
            assert!(text.ends_with("proxy.toml: in order, with 1 warning\n"), "{text}");
            let (code, text) = judged_for(Purpose::Strict, &config, false);
            assert_eq!(code, NOT_SO, "{text}");
            assert!(text.contains(said), "{text}");
            assert!(text.ends_with("proxy.toml: 1 error\n"), "{text}");
        }
    }

    #[test]
    fn a_wrong_file_and_an_absent_file_have_exit_codes_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("proxy.toml");
        let (code, text) = judged(&config, false);
        assert_eq!(code, CANNOT, "{text}");
        std::fs::write(&config, "[server]\nlisen = 1\n").unwrap();
        let (code, text) = judged(&config, false);
        assert_eq!(code, NOT_SO);
        assert!(text.contains("did you mean `listen`?"), "{text}");
        assert!(text.ends_with("proxy.toml: 4 errors and 1 warning\n"), "{text}");
    }
}
