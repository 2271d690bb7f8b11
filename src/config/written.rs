//! The configuration as it was written, kept to read `[provisioning]` anew by the same code when it is changed at run
//! time (PROVISIONING.md M4).

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::document::{Entry, Node, Origin, Tree};
use super::problem::{ConfigErrors, Problem, Problems, Report};
use super::{Purpose, meaning, schema, settings, structure};
use crate::provision::connector::Features;

/// The section that administrators change at run time.
const SECTION: &str = "provisioning";

/// What was read, before its defaults were filled in. Cheap to clone.
#[derive(Clone, Default)]
pub struct Written(Arc<Inner>);

#[derive(Default)]
struct Inner {
    path: PathBuf,
    /// File and environment.
    tree: Option<Node>,
    env: BTreeMap<String, String>,
    whole: Value,
}

/// A sound `[provisioning]`.
#[derive(Debug, Clone)]
pub struct Sound {
    pub settings: settings::Provisioning,
    /// As given.
    pub section: Value,
    /// With every default filled in.
    pub whole: Value,
    pub warnings: Report,
}

/// Shows none of it: literal secrets are among it.
impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").field("path", &self.0.path).finish_non_exhaustive()
    }
}

impl Written {
    pub(super) fn new(path: &Path, tree: Node, env: BTreeMap<String, String>, conformed: &Node) -> Self {
        let whole = conformed.get(SECTION).map_or(Value::Null, Node::to_json);
        Self(Arc::new(Inner { path: path.to_owned(), tree: Some(tree), env, whole }))
    }

    /// Where it stands.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// `[provisioning]` of file and environment, without defaults.
    #[must_use]
    pub fn section(&self) -> Value {
        let section = self.0.tree.as_ref().and_then(|tree| tree.get(SECTION));
        section.map_or_else(|| Value::Object(Map::new()), Node::to_json)
    }

    /// The same with every default filled in.
    #[must_use]
    pub fn whole(&self) -> &Value {
        &self.0.whole
    }

    /// Reads the configuration with this `[provisioning]` in the place of its own, by the code that reads the file.
    ///
    /// # Errors
    /// All that is wrong, as `check` would tell it.
    pub fn with_section(
        &self,
        section: &Value,
        features: &dyn Fn(&str) -> Option<Features>,
    ) -> Result<Sound, ConfigErrors> {
        let mut problems = Problems::new();
        let report = |problems| Report::new(Path::new("settings"), "", problems);
        let Some(mut tree) = self.0.tree.clone() else {
            let problem = Problem::error(Origin::Given, "no configuration file was read");
            return Err(ConfigErrors::of(report(vec![problem])));
        };
        put(&mut tree, given(section));
        let faulty = structure::conform(&mut tree, schema::schema(), &mut problems);
        let whole = tree.get(SECTION).map_or(Value::Null, Node::to_json);
        let read = match serde_json::from_value(tree.to_json()) {
            Ok(raw) => {
                let base = self.0.path.parent().unwrap_or(Path::new(""));
                let document = meaning::Document { tree: &tree, source: "", base, faulty: &faulty };
                // Secrets were read at the start; whether they still lie there is not asked here.
                meaning::read(&raw, document, Purpose::Check, &self.0.env, features, &mut problems).0
            }
            Err(error) => {
                problems.push(Problem::error(Origin::Given, error.to_string()));
                None
            }
        };
        // What is amiss elsewhere was told when the file was read.
        problems.retain(|problem| !problem.warning || problem.origin == Origin::Given);
        let report = report(problems);
        match read {
            Some(settings) if report.errors() == 0 => Ok(Sound {
                settings: settings.provisioning,
                section: section.clone(),
                whole,
                warnings: report,
            }),
            _ => Err(ConfigErrors::of(report)),
        }
    }
}

fn put(tree: &mut Node, section: Node) {
    let Tree::Table(entries) = &mut tree.tree else { return };
    match entries.iter_mut().find(|entry| entry.key == SECTION) {
        Some(entry) => entry.value = section,
        None => entries.push(Entry { key: SECTION.to_owned(), key_origin: Origin::Given, value: section }),
    }
}

fn given(value: &Value) -> Node {
    let tree = match value {
        Value::Null => Tree::Foreign("null"),
        Value::Bool(flag) => Tree::Boolean(*flag),
        Value::Number(number) => number.as_i64().map_or(Tree::Foreign("a fraction"), Tree::Integer),
        Value::String(text) => Tree::Text(text.clone()),
        Value::Array(items) => Tree::List(items.iter().map(given).collect()),
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| Entry {
                key: key.clone(),
                key_origin: Origin::Given,
                value: given(value),
            };
            Tree::Table(map.iter().map(entry).collect())
        }
    };
    Node { tree, origin: Origin::Given }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::load_text;
    use crate::config::settings::{Mode, UnknownRole};
    use crate::provision::catalogue;

    const FILE: &str = r#"
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
credential = { bearer = { file = "/run/secrets/absent" } }
[provisioning]
mode = "jit"
default_role = "user"
"#;

    fn features(name: &str) -> Option<Features> {
        catalogue::features(name).ok()
    }

    fn written() -> Written {
        let env = [("NARTHEX__PROVISIONING__UNKNOWN_ROLE".to_owned(), "deny".to_owned())];
        let path = Path::new("/etc/narthex/proxy.toml");
        load_text(path, FILE, Purpose::Check, env.into_iter(), &features).unwrap().settings.written
    }

    #[test]
    fn m4_what_was_written_is_kept_with_and_without_defaults() {
        let written = written();
        let section = json!({ "mode": "jit", "default_role": "user", "unknown_role": "deny" });
        assert_eq!(written.section(), section);
        assert_eq!(written.whole()["unknown_team"], "skip");
        assert!(!format!("{written:?}").contains("s3cret"));
        let again = written.with_section(&section, &features).unwrap();
        assert_eq!(&again.whole, written.whole());
        assert_eq!(again.settings.unknown_role, UnknownRole::Deny);
    }

    #[test]
    fn m4_another_section_is_read_by_the_code_that_reads_the_file() {
        let sound = written().with_section(&json!({ "unprovisioned": "forward" }), &features).unwrap();
        assert_eq!(sound.settings.mode, Mode::Off);
        let refused = |section: Value| written().with_section(&section, &features).unwrap_err().to_string();
        let lines =
            refused(json!({ "mode": "jit", "defualt_role": "user", "time_budget": "x", "mapping": 1.5 }));
        for told in [
            "did you mean `default_role`?",
            "`provisioning.time_budget`: \"x\" is no duration",
            "`provisioning.mapping` is a fraction",
        ] {
            assert!(lines.contains(told), "{told}: {lines}");
        }
        assert!(refused(json!({ "mode": "jit" })).contains("`provisioning.default_role` is missing"));
        let privileged = refused(json!({ "mode": "jit", "default_role": "admin" }));
        assert!(privileged.contains("is privileged, and would be everybody's"), "{privileged}");
        assert!(refused(json!([])).contains("`provisioning` is a list"));
    }
}
