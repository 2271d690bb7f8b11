//! What is wrong with a configuration: every problem with its place, told all at once.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity, SourceCode,
};
use serde_json::json;

use super::Files;
use super::document::{Node, Origin, Tree};
use crate::expr::nearest;

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub origin: Origin,
    /// What happened and what was expected.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    pub warning: bool,
}

impl Problem {
    pub fn error(origin: Origin, message: impl Into<String>) -> Self {
        Self { origin, message: message.into(), help: None, warning: false }
    }

    pub fn warning(origin: Origin, message: impl Into<String>) -> Self {
        Self { warning: true, ..Self::error(origin, message) }
    }

    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// Problems in the order of being found.
pub type Problems = Vec<Problem>;

/// A configuration file's problems with what is needed to show them.
#[derive(Debug, Clone)]
pub struct Report {
    pub path: PathBuf,
    /// With secrets blotted out.
    source: String,
    /// In the order of the file; those of the environment last.
    pub problems: Problems,
}

/// A configuration that cannot be used: at least one error, and the warnings too.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{report}")]
pub struct ConfigErrors {
    pub report: Report,
    pub files: Box<Files>,
}

impl ConfigErrors {
    pub(super) fn of(report: Report) -> Self {
        Self { report, files: Box::default() }
    }
}

impl Report {
    #[must_use]
    pub fn new(path: &Path, source: &str, mut problems: Problems) -> Self {
        problems.sort_by_key(|problem| match &problem.origin {
            Origin::File(span) => (0, span.start),
            Origin::Environment(_) => (1, 0),
            Origin::Given => (2, 0),
            Origin::Default => (3, 0),
        });
        problems.dedup();
        Self { path: path.to_owned(), source: masked(source), problems }
    }

    #[must_use]
    pub fn errors(&self) -> usize {
        self.problems.iter().filter(|problem| !problem.warning).count()
    }

    /// Line and column, from 1, columns in characters.
    #[must_use]
    pub fn position(&self, span: &Range<usize>) -> (usize, usize) {
        let before = self.source.get(..span.start).unwrap_or(&self.source);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        (before.matches('\n').count() + 1, column)
    }

    fn line(&self, problem: &Problem) -> String {
        let place = match &problem.origin {
            Origin::File(span) => {
                let (line, column) = self.position(span);
                format!("{}:{line}:{column}", self.path.display())
            }
            Origin::Environment(name) => name.to_string(),
            Origin::Given | Origin::Default => self.path.display().to_string(),
        };
        let severity = if problem.warning { "warning" } else { "error" };
        let help = problem.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        format!("{place}: {severity}: {}{help}", problem.message)
    }

    /// For a terminal: each problem with its line and the place underlined.
    #[must_use]
    pub fn graphical(&self, colours: bool) -> String {
        let theme = if colours { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(110).with_links(false);
        let name = self.path.display().to_string();
        let source = NamedSource::new(name, self.source.clone());
        let mut text = String::new();
        for problem in &self.problems {
            let shown = Shown { problem, source: &source };
            if handler.render_report(&mut text, &shown).is_err() {
                text.push_str(&problem.message);
            }
            text.push('\n');
        }
        text
    }

    /// One JSON object per line.
    #[must_use]
    pub fn json_lines(&self) -> String {
        let file = || json!(self.path.display().to_string());
        let mut text = String::new();
        for problem in &self.problems {
            let mut line = serde_json::Map::new();
            let mut put = |key: &str, value: serde_json::Value| line.insert(key.to_owned(), value);
            put("severity", json!(if problem.warning { "warning" } else { "error" }));
            put("message", json!(problem.message));
            if let Some(help) = &problem.help {
                put("help", json!(help));
            }
            match &problem.origin {
                Origin::File(span) => {
                    let (row, column) = self.position(span);
                    put("file", file());
                    put("line", json!(row));
                    put("column", json!(column));
                }
                Origin::Environment(name) => {
                    put("variable", json!(&**name));
                }
                Origin::Given => {}
                Origin::Default => {
                    put("file", file());
                }
            }
            text.push_str(&serde_json::Value::Object(line).to_string());
            text.push('\n');
        }
        text
    }
}

/// One line per problem, for logs.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.problems.iter().map(|problem| self.line(problem)).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// The source with every secret that stands in it replaced by as many stars, since errors show the lines around
/// them (SECURITY.md, invariant 8).
fn masked(source: &str) -> String {
    let mut syntax = Problems::new();
    let tree = Node::parse(source, &mut syntax);
    let mut secrets = Vec::new();
    if syntax.is_empty() {
        collect_secrets(&tree, false, &mut secrets);
    } else {
        secret_lines(source, &mut secrets);
    }
    let mut bytes = source.as_bytes().to_vec();
    for byte in secrets.into_iter().flat_map(|span| bytes_range(span, source.len())) {
        if let Some(byte) = bytes.get_mut(byte).filter(|byte| **byte != b'\n') {
            *byte = b'*';
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}

fn bytes_range(span: Range<usize>, length: usize) -> Range<usize> {
    span.start.min(length)..span.end.min(length)
}

/// Also where the key is misspelled.
fn names_a_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    ["secr", "passw", "bearer"].iter().any(|part| key.contains(part))
        || key == "token"
        || nearest(&key, ["client_secret", "password", "bearer", "seal", "value"]).is_some()
}

fn collect_secrets(node: &Node, secret: bool, secrets: &mut Vec<Range<usize>>) {
    match &node.tree {
        Tree::Table(entries) => {
            for entry in entries {
                let named = matches!(entry.key.as_str(), "file" | "env") && secret;
                collect_secrets(&entry.value, !named && (secret || names_a_secret(&entry.key)), secrets);
            }
        }
        Tree::List(items) => items.iter().for_each(|item| collect_secrets(item, secret, secrets)),
        Tree::Text(_) | Tree::Integer(_) | Tree::Boolean(_) | Tree::Foreign(_) => {
            if let (true, Origin::File(span)) = (secret, &node.origin) {
                secrets.push(span.clone());
            }
        }
    }
}

/// In a file that is no TOML: whatever follows a `=` on a line that names a secret, and the lines after it up to the
/// next that looks like a key or section.
fn secret_lines(source: &str, secrets: &mut Vec<Range<usize>>) {
    let mut within = false;
    let mut start = 0;
    for line in source.split_inclusive('\n') {
        let from = if let Some(at) = line.find('=') {
            let mut names = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            within = names.any(|name| !name.is_empty() && names_a_secret(name));
            at + 1
        } else {
            within &= !line.trim_start().starts_with('[');
            0
        };
        if within {
            secrets.push(start + from..start + line.len());
        }
        start += line.len();
    }
}

/// One problem as miette shows it.
#[derive(Debug)]
struct Shown<'a> {
    problem: &'a Problem,
    source: &'a NamedSource<String>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem.origin {
            Origin::Environment(name) => write!(f, "{name}: {}", self.problem.message),
            Origin::File(_) | Origin::Given | Origin::Default => f.write_str(&self.problem.message),
        }
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn severity(&self) -> Option<Severity> {
        Some(if self.problem.warning { Severity::Warning } else { Severity::Error })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        matches!(self.problem.origin, Origin::File(_)).then_some(self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let Origin::File(span) = &self.problem.origin else { return None };
        Some(Box::new(std::iter::once(LabeledSpan::underline(span.clone()))))
    }
}
