//! Configuration: `proxy.toml` as written (raw) becomes settings as meant; everything wrong is told at once.
//!
//! The document is parsed into a tree that knows where each value stands ([`document`]), the environment is laid over
//! it ([`environment`]), its structure is held against the schema ([`structure`]), and then it is read for what it
//! means (`meaning`). Each step reports all that it finds and hands on what is sound.

pub mod docs;
pub mod document;
pub mod environment;
mod meaning;
pub mod problem;
pub mod raw;
pub mod schema;
mod secret_ref;
pub mod settings;
pub mod structure;
pub mod written;

use std::collections::BTreeMap;
use std::path::Path;

pub use meaning::Files;
pub use problem::{ConfigErrors, Report};
pub use settings::Settings;
pub use written::Written;

use crate::provision::connector::Features;
use document::{Node, Origin};
use problem::{Problem, Problems};

/// What the configuration is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To say what is wrong with it: secrets may be absent on this machine.
    Check,
    /// To say whether [`Purpose::Serve`] would do with it here: what it needs is here, or it is an error.
    Strict,
    /// To run by it.
    Serve,
}

/// A usable configuration.
#[derive(Debug)]
pub struct Loaded {
    /// With [`Purpose::Check`], absent secrets are empty.
    pub settings: Settings,
    /// What is not wrong but most probably not meant.
    pub warnings: Report,
    pub files: Files,
}

/// Reads `path` with the overrides in `env`.
///
/// `features` says what a connector can do, by its name or the path of its recipe; `None`: there is no such one.
///
/// # Errors
/// All that is wrong, with the warnings.
pub fn load(
    path: &Path,
    purpose: Purpose,
    env: impl Iterator<Item = (String, String)>,
    features: &dyn Fn(&str) -> Option<Features>,
) -> Result<Loaded, ConfigErrors> {
    match std::fs::read_to_string(path) {
        Ok(source) => load_text(path, &source, purpose, env, features),
        Err(error) => {
            let problem = Problem::error(Origin::Default, format!("cannot be read: {error}"))
                .help("name the configuration file with --config");
            Err(ConfigErrors::of(Report::new(path, "", vec![problem])))
        }
    }
}

/// As [`load`], with the file's text at hand; `path` is for messages and for what is relative to it.
pub fn load_text(
    path: &Path,
    source: &str,
    purpose: Purpose,
    env: impl Iterator<Item = (String, String)>,
    features: &dyn Fn(&str) -> Option<Features>,
) -> Result<Loaded, ConfigErrors> {
    let mut problems = Problems::new();
    let env: BTreeMap<String, String> = env.collect();
    let mut document = Node::parse(source, &mut problems);
    // A file that is no TOML is read as far as it goes, but what is missing then means nothing.
    if !problems.is_empty() {
        return Err(ConfigErrors::of(Report::new(path, source, problems)));
    }
    for (name, value) in env.range(environment::PREFIX.to_owned()..) {
        if !name.starts_with(environment::PREFIX) {
            break;
        }
        environment::apply(&mut document, schema::schema(), name, value, &mut problems);
    }
    let tree = document.clone();
    let faulty = structure::conform(&mut document, schema::schema(), &mut problems);
    let (settings, files) = match serde_json::from_value(document.to_json()) {
        Ok(raw) => {
            let base = path.parent().unwrap_or(Path::new(""));
            let document = meaning::Document { tree: &document, source, base, faulty: &faulty };
            meaning::read(&raw, document, purpose, &env, features, &mut problems)
        }
        Err(error) => {
            // The schema let something through that the types do not take.
            problems.push(Problem::error(Origin::Default, error.to_string()));
            (None, Files::default())
        }
    };
    let report = Report::new(path, source, problems);
    match settings {
        Some(settings) if report.errors() == 0 => {
            let settings = Settings { written: Written::new(path, tree, env, &document), ..settings };
            Ok(Loaded { settings, warnings: report, files })
        }
        _ => Err(ConfigErrors { report, files: Box::new(files) }),
    }
}

#[cfg(test)]
mod tests;
