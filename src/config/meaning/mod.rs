//! From what is written to what is meant: every value parsed into its type, every reference followed.
//!
//! Functions give `None` where they reported something, and go on, so that one run tells all.

mod admin;
mod application;
mod attributes;
mod idp;
mod lifecycle;
mod listen;
mod mapping;
mod network;
mod notify;
mod provisioning;
mod saml;
mod scim;
mod store;
mod traffic;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::{Host, Url};

use super::Purpose;
use super::document::{Node, Origin, Step, shown};
use super::problem::{Problem, Problems};
use super::raw::{self, Raw};
use super::settings::{Settings, SettingsSource};
use super::written::Written;
use crate::expr::{Located, nearest};
use crate::provision::connector::Features;

/// A document whose structure was checked.
#[derive(Clone, Copy)]
pub(super) struct Document<'a> {
    pub tree: &'a Node,
    pub source: &'a str,
    /// The folder of the file.
    pub base: &'a Path,
    /// See [`super::structure::conform`].
    pub faulty: &'a BTreeSet<String>,
}

/// It was reported, where `None` means that it was left out.
#[derive(Debug)]
struct Reported;

/// One reading of one document.
pub(super) struct Meaning<'a> {
    document: &'a Node,
    source: &'a str,
    pub(super) base: &'a Path,
    faulty: &'a BTreeSet<String>,
    pub(super) purpose: Purpose,
    pub(super) env: &'a BTreeMap<String, String>,
    features: &'a dyn Fn(&str) -> Option<Features>,
    problems: &'a mut Problems,
    /// What was named, beside the configuration itself.
    files: RefCell<Files>,
}

/// What a configuration was read from beside its own file, whether it is there or not.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Secrets, certificates, recipes, CA files.
    pub all: BTreeSet<PathBuf>,
    /// Those that nobody else may read.
    pub secret: BTreeSet<PathBuf>,
    /// A secret is written out in the configuration.
    pub literal: bool,
}

/// Reads the whole; `None` where something is wrong, which was reported then. With the files that it is made of beside
/// the configuration itself, whether they are there or not.
pub(super) fn read(
    raw: &Raw,
    document: Document<'_>,
    purpose: Purpose,
    env: &BTreeMap<String, String>,
    features: &dyn Fn(&str) -> Option<Features>,
    problems: &mut Problems,
) -> (Option<Settings>, Files) {
    let Document { tree, source, base, faulty } = document;
    let files = RefCell::default();
    let mut meaning =
        Meaning { document: tree, source, base, faulty, purpose, env, features, problems, files };
    let settings = meaning.settings(raw);
    (settings, meaning.files.into_inner())
}

impl Meaning<'_> {
    fn settings(&mut self, raw: &Raw) -> Option<Settings> {
        let server = self.server(raw);
        let upstream = self.upstream(raw);
        let idps = self.idps(raw, server.as_ref());
        let session = self.session(raw);
        let store = self.store(raw);
        let keys = self.keys(raw, store.as_ref());
        let outbound = self.outbound(raw);
        let prefix = server.as_ref().map(|server| server.prefix.clone());
        let routes = self.routes(raw, prefix.as_deref());
        let headers = self.headers(raw);
        let upstream_token = self.upstream_token(raw, server.as_ref());
        let (application, features) = self.application(raw);
        let provisioning = self.provisioning(raw, features.as_ref());
        self.durable(raw, store.as_ref());
        let network = self.network(raw);
        let health = self.health(raw, server.as_ref());
        let notify = self.notify(raw);
        let scim = self.scim(raw, server.as_ref(), health.as_ref());
        let admin = self.admin(raw, server.as_ref(), health.as_ref(), idps.as_deref());
        let log = self.log(raw);
        Some(Settings {
            server: server?,
            upstream: upstream?,
            idps: idps?,
            session: session?,
            store: store?,
            keys: keys?,
            outbound: outbound?,
            routes: routes?,
            headers: headers?,
            upstream_token: upstream_token.ok()?,
            application: application.ok()?,
            provisioning: provisioning?,
            network: network?,
            scim: scim.ok()?,
            settings_source: match raw.settings.as_ref()?.source? {
                raw::SettingsSource::Store => SettingsSource::Store,
                raw::SettingsSource::File => SettingsSource::File,
            },
            admin: admin?,
            health: health?,
            notify: notify?,
            log: log?,
            written: Written::default(),
        })
    }

    pub(super) fn refuse(&mut self, path: &[Step], message: impl Into<String>, help: impl Into<String>) {
        let origin = self.document.origin_at(path);
        self.problems.push(Problem::error(origin, message).help(help));
    }

    pub(super) fn warn(&mut self, path: &[Step], message: impl Into<String>, help: impl Into<String>) {
        let origin = self.document.origin_at(path);
        self.problems.push(Problem::warning(origin, message).help(help));
    }

    /// Whether what was written at `path` was reported and taken out; then its absence is no further fault.
    fn faulty(&self, path: &[Step]) -> bool {
        let name = shown(path);
        self.faulty.iter().any(|faulty| match faulty.strip_prefix(&name) {
            Some(rest) => rest.is_empty() || rest.starts_with(['.', '[']),
            None => false,
        })
    }

    /// Whether `path` was written by somebody, or is the default.
    fn stated(&self, path: &[Step]) -> bool {
        self.document.origin_at(path) != Origin::Default
    }

    /// An expression's or template's fault, underlined within its text where that stands in the file as it is.
    fn refuse_expression(&mut self, path: &[Step], text: &str, located: &Located) {
        let mut origin = self.document.origin_at(path);
        if let Origin::File(span) = &origin
            && let Some(written) = self.source.get(span.clone())
            && let Some(offset) = written.find(text)
            && offset <= "'''\n".len()
        {
            let start = span.start + offset;
            let (from, to) = (located.span.start.min(text.len()), located.span.end.min(text.len()));
            if from < to {
                origin = Origin::File(start + from..start + to);
            }
        }
        let problem = Problem::error(origin, format!("`{}`: {}", shown(path), located.error));
        self.problems.push(problem.help("docs/variables.md lists all variables, filters and tests"));
    }

    /// A duration such as `15s`, `1h 30m`, above zero.
    fn duration(&mut self, text: Option<&String>, path: &[Step]) -> Option<Duration> {
        let text = text?;
        let help = "write it like \"15s\", \"5m\", \"1h 30m\" or \"500ms\"";
        let parsed = jiff::fmt::friendly::SpanParser::new().parse_duration(text).ok();
        let parsed = parsed.and_then(|duration| Duration::try_from(duration).ok());
        match parsed {
            Some(duration) if duration.is_zero() => {
                self.refuse(path, format!("`{}` cannot be zero", shown(path)), help);
                None
            }
            Some(duration) if duration > Duration::from_hours(10 * 365 * 24) => {
                self.refuse(path, format!("`{}` is longer than ten years", shown(path)), help);
                None
            }
            Some(duration) => Some(duration),
            None => {
                self.refuse(path, format!("`{}`: {text:?} is no duration", shown(path)), help);
                None
            }
        }
    }

    /// A text that is not empty and has no blanks around it.
    fn name(&mut self, text: Option<&String>, path: &[Step]) -> Option<String> {
        let text = text?;
        if text.is_empty() || text.trim() != text || text.chars().any(char::is_control) {
            let message =
                format!("`{}` is empty, or has blanks around it or control characters in it", shown(path));
            self.refuse(path, message, "write the bare name");
            return None;
        }
        Some(text.clone())
    }

    /// As [`Meaning::name`], where it may be absent.
    fn optional_name(&mut self, text: Option<&String>, path: &[Step]) -> Result<Option<String>, Reported> {
        match text {
            None => Ok(None),
            Some(_) => self.name(text, path).map(Some).ok_or(Reported),
        }
    }

    /// Names, each as [`Meaning::name`], none twice.
    fn names(&mut self, texts: Option<&Vec<String>>, path: &[Step]) -> Option<Vec<String>> {
        let texts = texts?;
        let mut names: Vec<String> = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let at = below(path, index);
            if names.contains(text) {
                self.refuse(&at, format!("{text:?} stands here twice"), "remove one");
                continue;
            }
            names.extend(self.name(Some(text), &at));
        }
        (names.len() == texts.len()).then_some(names)
    }

    /// A URL of one of `schemes`, without user, password and fragment; without query unless it may have one.
    fn url(&mut self, text: Option<&String>, path: &[Step], rule: UrlRule) -> Option<Url> {
        let text = text?;
        let name = shown(path);
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => {
                let help = "write it like \"https://host\" or \"https://host:port/path\"";
                self.refuse(path, format!("`{name}`: {text:?} is no URL: {error}"), help);
                return None;
            }
        };
        let secure = match url.scheme() {
            "https" => true,
            "http" => !rule.https_off_loopback || is_loopback(&url),
            _ => {
                let message = format!("`{name}`: {} is no scheme for this", url.scheme());
                self.refuse(path, message, "write http:// or https://");
                return None;
            }
        };
        if !secure {
            let message = format!("`{name}` is http on a host that is not loopback");
            self.refuse(path, message, rule.why_https);
            return None;
        }
        if !url.username().is_empty() || url.password().is_some() {
            self.refuse(
                path,
                format!("`{name}` has a user or password in it"),
                "secrets have keys of their own",
            );
            return None;
        }
        if url.fragment().is_some() || (url.query().is_some() && !rule.query) {
            self.refuse(path, format!("`{name}` has a query or fragment"), "leave out what follows ? or #");
            return None;
        }
        Some(url)
    }

    /// The content of a PEM file, which is not secret; only `serve` insists on it.
    fn pem(&mut self, file: &Path, path: &[Step]) -> Option<Vec<u8>> {
        let name = shown(path);
        match std::fs::read(file) {
            Ok(bytes) if bytes.windows(11).any(|window| window == b"-----BEGIN ") => Some(bytes),
            Ok(_) => {
                let message = format!("`{name}`: {} holds nothing in PEM form", file.display());
                self.refuse(path, message, "it must contain -----BEGIN CERTIFICATE-----");
                None
            }
            Err(error) if self.purpose == Purpose::Check => {
                let message = format!("`{name}`: {} cannot be read: {error}", file.display());
                self.warn(path, message, "serve needs this file");
                Some(Vec::new())
            }
            Err(error) => {
                let message = format!("`{name}`: {} cannot be read: {error}", file.display());
                self.refuse(path, message, "correct the path, or let the user that narthex runs as read it");
                None
            }
        }
    }

    /// A file that is read once, relative to the configuration file's folder: who changes it means another
    /// configuration.
    pub(super) fn file(&self, text: &str) -> PathBuf {
        let file = self.base.join(text);
        self.files.borrow_mut().all.insert(file.clone());
        file
    }

    /// The configuration itself is nobody else's business.
    pub(super) fn has_secrets(&self) {
        self.files.borrow_mut().literal = true;
    }

    /// The same for one that is nobody else's business.
    pub(super) fn secret_file(&self, text: &str) -> PathBuf {
        let file = self.file(text);
        self.files.borrow_mut().secret.insert(file.clone());
        file
    }

    /// Refuses `name` unless it is one of `all`.
    fn one_of(&mut self, kind: &str, name: &str, all: &[&str], path: &[Step]) -> bool {
        if all.contains(&name) {
            return true;
        }
        let help = match nearest(name, all.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("there is {}", all.join(", ")),
        };
        self.refuse(path, format!("`{}`: there is no {kind} {name:?}", shown(path)), help);
        false
    }
}

/// What a URL may be.
#[derive(Clone, Copy)]
struct UrlRule {
    https_off_loopback: bool,
    why_https: &'static str,
    /// It may have a query.
    query: bool,
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// `path` with one step more.
fn below(path: &[Step], step: impl Into<Step>) -> Vec<Step> {
    let mut path = path.to_vec();
    path.push(step.into());
    path
}

/// As SECURITY.md, invariant 2: lower-case, letters and digits only.
fn folded(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}
