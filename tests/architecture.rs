//! Who may use whom, and the form of the files: what DESIGN.md says of the source, held against the source.

#![expect(clippy::unwrap_used, reason = "a source that cannot be read ends the test")]

use std::fs;
use std::path::{Path, PathBuf};

/// What each folder (or file) of `src` may use of the crate beside itself, by the beginnings of paths. Reading the
/// rows downwards is reading from what stands on nothing to what puts everything together.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("platform", &["model"]),
    ("expr", &["model"]),
    ("config", &["expr", "model"]),
    ("store", &["model", "platform"]),
    ("observe", &["config::settings", "model", "platform", "store"]),
    ("pages", &["model", "platform"]),
    // The stages, in the order of a request: each knows the one before it.
    ("listen", &["config::settings", "model", "platform"]),
    ("identify", &["config::settings", "expr", "listen", "model", "observe::audit", "platform", "store"]),
    ("provision", &["config", "expr", "identify::Verified", "model", "observe::audit", "platform", "store"]),
    ("authorise", &["config::settings", "expr", "identify::session", "listen", "model"]),
    (
        "forward",
        &[
            "authorise::Permitted",
            "config::settings",
            "identify::session",
            "model",
            "observe::audit",
            "platform",
            "store",
        ],
    ),
    (
        "problem",
        &["admin::AdminError", "authorise", "forward", "identify", "listen", "model", "pages", "provision"],
    ),
    ("pipeline", &["authorise", "forward", "identify", "listen", "model", "observe", "platform", "problem"]),
    // On listeners of its own.
    (
        "admin",
        &[
            "config",
            "expr::SessionFacts",
            // Administrators sign in by the same protocols.
            "identify",
            "listen::accept",
            "model",
            "observe::Audit",
            "observe::audit",
            "pages",
            "platform",
            "problem",
            "provision",
            "store",
        ],
    ),
    ("demo", &["model", "platform"]),
    // The composition root and what starts it.
    (
        "app",
        &[
            "admin",
            "authorise",
            "config",
            "expr",
            "forward",
            "identify",
            "listen",
            "model",
            "observe",
            "pipeline",
            "platform",
            "provision",
            "store",
        ],
    ),
    (
        "cli",
        &[
            "admin",
            "app",
            "config",
            "demo",
            "expr",
            "identify::refused",
            "identify::saml::Step",
            "model",
            "observe",
            "platform",
            "provision",
            "store::StoreError",
            "store::lists",
        ],
    ),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// What is allowed beyond the table: the file, the path, and why. One that is not needed any more must go.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "config",
        "provision::connector",
        "what is asked of an application is checked against what its connector can do",
    ),
    (
        "config/meaning/saml.rs",
        "identify::saml::keys",
        "a key that does not fit its certificate is told with its place in the file",
    ),
    (
        "config/meaning/application.rs",
        "platform::webhook",
        "a secret that nothing can be signed with is told with its place in the file",
    ),
    ("observe/metrics.rs", "provision::measures", "the metrics' names stand with those who count"),
    ("pages", "forward::Body", "the one type of an answer's body"),
    (
        "identify/session.rs",
        "provision::Provisioned",
        "a session is made only from the proof that there is an account",
    ),
    (
        "demo/idp",
        "identify::saml",
        "the demo's provider writes and signs its messages as narthex does its own; it has no second SAML",
    ),
    ("identify/endpoints", "provision", "the end of a sign-in goes through provisioning"),
    ("identify/endpoints", "forward::Body", "the one type of an answer's body"),
    (
        "identify/endpoints",
        "forward::Cookies",
        "the application's own cookies end with the session that they were set in",
    ),
    ("identify/endpoints", "forward::keys", "/jwks.json shows the keys that upstream tokens are signed with"),
    ("identify/endpoints", "observe", "sign-ins are counted where they end"),
    ("identify/endpoints", "pages", "the pages of the reserved prefix"),
    ("identify/endpoints", "problem", "an error becomes an answer"),
];

/// Concrete stores, protocols and connectors, each with who may name it beside its own folder.
const CONCRETE: &[(&str, &[&str])] = &[
    ("store::memory", &["app"]),
    ("store::sqlite", &["app"]),
    ("store::postgres", &["app"]),
    // The protocol trait's error has a variant per protocol.
    ("identify::oidc", &["app", "identify/protocol.rs"]),
    ("provision::catalogue", &["app", "cli"]),
    // Recipes for SCIM and webhooks have the format of REST ones, and go through the same calls.
    ("provision::rest", &["app", "provision/catalogue", "provision/scim", "provision/webhook"]),
    ("provision::scim", &["provision/catalogue"]),
    ("provision::webhook", &["provision/catalogue"]),
];

/// Lines of a file before its tests.
const MAX_LINES: usize = 500;

/// Files that may be longer: the file, its limit, and why it is not split.
const LONGER: &[(&str, usize, &str)] = &[(
    "config/raw.rs",
    800,
    "one table: every key of proxy.toml in the order of the file, with what the reference says of it",
)];

/// Names of files that say nothing.
const NO_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "misc", "manager"];

struct Source {
    /// Below `src`, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The folder (or file) of `src` that it belongs to.
    fn top(&self) -> &str {
        self.path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// Its module's path.
    fn module(&self) -> Vec<String> {
        let mut parts: Vec<String> =
            self.path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if parts.last().is_some_and(|last| last == "mod" || last == "lib" || last == "main") {
            parts.pop();
        }
        parts
    }

    /// The part before the tests at its end.
    fn before_tests(&self) -> &str {
        let tests = ["\n#[cfg(test)]\nmod tests {", "\n#[cfg(test)]\npub(crate) mod tests {"];
        let end = tests.iter().filter_map(|begin| self.text.find(begin)).min();
        end.and_then(|end| self.text.get(..end)).unwrap_or(&self.text)
    }

    /// Every path into the crate that it uses, from `crate::` or by way of `super::`.
    fn uses(&self) -> Vec<String> {
        let tokens = tokens(self.before_tests());
        let module = self.module();
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            let base: Vec<String> = match token.as_str() {
                "crate" => Vec::new(),
                "super" => module.iter().take(module.len().saturating_sub(1)).cloned().collect(),
                _ => continue,
            };
            if tokens.get(at).is_some_and(|t| t == "::") {
                at = tree(&tokens, at + 1, &base, &mut found);
            }
        }
        found
    }
}

/// Reads a use tree (or a path) that begins at `at` below `base`; gives where it ends.
fn tree(tokens: &[String], mut at: usize, base: &[String], found: &mut Vec<String>) -> usize {
    match tokens.get(at).map(String::as_str) {
        Some("{") => {
            at += 1;
            loop {
                match tokens.get(at).map(String::as_str) {
                    Some("}") => return at + 1,
                    Some(",") => at += 1,
                    Some(_) => at = tree(tokens, at, base, found),
                    None => return at,
                }
            }
        }
        Some(name) => {
            let mut path = base.to_vec();
            match name {
                "self" => {}
                "super" => drop(path.pop()),
                name => path.push(name.to_owned()),
            }
            let more = tokens.get(at + 1).is_some_and(|t| t == "::")
                && tokens.get(at + 2).is_some_and(|t| t == "{" || t == "*" || is_name(t));
            if more {
                return tree(tokens, at + 2, &path, found);
            }
            found.push(path.join("::"));
            at += 1;
            if tokens.get(at).is_some_and(|t| t == "as") {
                at += 2;
            }
            at
        }
        None => at,
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::` and single characters of code; comments and literals are left out.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let next = chars.get(at + 1).copied().unwrap_or('\0');
        if c == '/' && next == '/' {
            at = end_of(&chars, at, "\n");
        } else if c == '/' && next == '*' {
            at = end_of(&chars, at + 2, "*/");
        } else if let Some(hashes) = raw_string(&chars, at) {
            at = end_of(&chars, at + hashes + 2, &format!("\"{}", "#".repeat(hashes)));
        } else if c == '"' {
            at = end_of_string(&chars, at + 1);
        } else if c == '\'' {
            at = end_of_quote(&chars, at);
        } else if c.is_alphanumeric() || c == '_' {
            let rest = chars.get(at..).unwrap_or_default();
            let name: String = rest.iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
            at += name.chars().count();
            tokens.push(name);
        } else if c == ':' && next == ':' {
            tokens.push("::".to_owned());
            at += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            at += 1;
        }
    }
    tokens
}

/// Behind the next `end`.
fn end_of(chars: &[char], from: usize, end: &str) -> usize {
    let end: Vec<char> = end.chars().collect();
    let rest = chars.get(from..).unwrap_or_default();
    let found = rest.windows(end.len()).position(|window| window == end);
    found.map_or(chars.len(), |found| from + found + end.len())
}

/// The number of `#` of a raw string that begins here.
fn raw_string(chars: &[char], at: usize) -> Option<usize> {
    let before = at.checked_sub(1).and_then(|before| chars.get(before));
    if chars.get(at) != Some(&'r') || before.is_some_and(|c| c.is_alphanumeric() && *c != 'b') {
        return None;
    }
    let rest = chars.get(at + 1..)?;
    let hashes = rest.iter().take_while(|c| **c == '#').count();
    (rest.get(hashes) == Some(&'"')).then_some(hashes)
}

fn end_of_string(chars: &[char], mut at: usize) -> usize {
    while let Some(c) = chars.get(at) {
        match c {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// Behind a character literal; behind the quote alone where it begins a lifetime.
fn end_of_quote(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => end_of(chars, at + 3, "'"),
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}

/// Whether `path` is `prefix` or below it, by whole parts.
fn below(path: &str, prefix: &str, separator: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(separator) || rest == ".rs")
}

/// The uses of `source` that nothing allows; each exception that was needed is noted.
fn forbidden_uses(source: &Source, needed: &mut [bool]) -> Vec<String> {
    let Some((_, allowed)) = MAY_USE.iter().find(|(top, _)| *top == source.top()) else {
        return vec![format!("{}: `{}` has no row in MAY_USE", source.path, source.top())];
    };
    let mut wrong = Vec::new();
    for used in source.uses() {
        if below(&used, source.top(), "::") || allowed.iter().any(|path| below(&used, path, "::")) {
            continue;
        }
        let exception = EXCEPTIONS
            .iter()
            .position(|(file, path, _)| below(&source.path, file, "/") && below(&used, path, "::"));
        match exception.and_then(|at| needed.get_mut(at)) {
            Some(needed) => *needed = true,
            None => wrong.push(format!("{} uses crate::{used}", source.path)),
        }
    }
    wrong
}

fn forbidden_concretes(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    for used in source.uses() {
        for (concrete, who) in CONCRETE.iter().filter(|(concrete, _)| below(&used, concrete, "::")) {
            let own = below(&source.module().join("::"), concrete, "::");
            if !own && !who.iter().any(|file| below(&source.path, file, "/")) {
                wrong.push(format!("{} names {used}, which is for {} only", source.path, who.join(", ")));
            }
        }
    }
    wrong
}

fn wrong_form(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut say = |what: &str| wrong.push(format!("{}: {what}", source.path));
    if !source.text.starts_with("//! ") {
        say("its first line does not say what it is for (`//! …`)");
    }
    let lines = source.before_tests().lines().count();
    let limit =
        LONGER.iter().find(|(path, ..)| *path == source.path).map_or(MAX_LINES, |(_, limit, _)| *limit);
    if lines > limit {
        say(&format!("{lines} lines before its tests; split it by noun"));
    }
    let name = source.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
    if NO_NAMES.contains(&name) {
        say("its name says nothing");
    }
    if ["TODO", "FIXME", "XXX"].iter().any(|word| source.text.contains(word)) {
        say("something is left to do in it");
    }
    wrong
}

/// Names that must not stand in code, with what has to follow them.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("unsafe", "{", "unsafe code"),
    ("unsafe", "fn", "unsafe code"),
    ("unsafe", "impl", "unsafe code"),
    ("allow", "(", "a lint is switched off by `allow`; say `#[expect(…, reason = \"…\")]`"),
    ("todo", "!", "something is left to do"),
    ("unimplemented", "!", "something is left to do"),
    ("dbg", "!", "debug output"),
];

fn forbidden_code(source: &Source) -> Vec<String> {
    let tokens = tokens(&source.text);
    let pairs = tokens
        .iter()
        .zip(tokens.iter().skip(1))
        .zip(std::iter::once("").chain(tokens.iter().map(String::as_str)));
    let mut wrong = Vec::new();
    for ((name, next), before) in pairs {
        for (forbidden, follows, what) in FORBIDDEN {
            // A method or function of ours may be called `allow`; an attribute is what is meant.
            let called = *forbidden == "allow" && before != "[" && before != ",";
            if name == forbidden && next == follows && !called {
                wrong.push(format!("{}: {what}", source.path));
            }
        }
    }
    wrong
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Every `.rs` file below `folder`.
fn read(folder: &Path, base: &Path, into: &mut Vec<Source>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            read(&path, base, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(base).unwrap().to_str().unwrap().replace('\\', "/");
            into.push(Source { path: name, text: fs::read_to_string(&path).unwrap() });
        }
    }
}

fn sources() -> Vec<Source> {
    let mut all = Vec::new();
    read(&root().join("src"), &root().join("src"), &mut all);
    assert!(all.len() > 50, "only {} files were found", all.len());
    all
}

/// The modules that exist in tests only, as beginnings of files' paths.
fn test_modules(all: &[Source]) -> Vec<String> {
    let mut modules = Vec::new();
    for source in all {
        let mut lines = source.text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            if line != "#[cfg(test)]" {
                continue;
            }
            let Some(declared) = lines.next().and_then(|line| line.strip_suffix(';')) else { continue };
            if let Some((_, name)) = declared.split_once("mod ") {
                let mut module = source.module();
                module.push(name.to_owned());
                modules.push(module.join("/"));
            }
        }
    }
    modules
}

/// What goes into the program.
fn shipped() -> Vec<Source> {
    let all = sources();
    let tests = test_modules(&all);
    all.into_iter().filter(|source| !tests.iter().any(|module| below(&source.path, module, "/"))).collect()
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn each_folder_uses_only_what_the_flow_gives_it() {
    let mut needed = vec![false; EXCEPTIONS.len()];
    let wrong: Vec<String> =
        shipped().iter().flat_map(|source| forbidden_uses(source, &mut needed)).collect();
    assert_none(&wrong);
    let idle: Vec<String> = EXCEPTIONS
        .iter()
        .zip(needed)
        .filter(|(_, needed)| !needed)
        .map(|((file, path, _), _)| format!("the exception for {file} to use {path} is not needed any more"))
        .collect();
    assert_none(&idle);
}

#[test]
fn only_the_composition_root_names_concrete_stores_protocols_and_connectors() {
    assert_none(&shipped().iter().flat_map(forbidden_concretes).collect::<Vec<_>>());
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    assert_none(&shipped().iter().flat_map(wrong_form).collect::<Vec<_>>());
}

#[test]
fn no_lint_is_switched_off_and_nothing_is_left_to_do() {
    assert_none(&sources().iter().flat_map(forbidden_code).collect::<Vec<_>>());
}

#[test]
fn tests_say_what_they_are_for() {
    let mut all = Vec::new();
    read(&root().join("tests"), &root().join("tests"), &mut all);
    let silent =
        all.iter().filter(|source| !source.text.starts_with("//! ") && !source.text.starts_with("#!"));
    assert_none(&silent.map(|source| format!("tests/{}: no `//!` line", source.path)).collect::<Vec<_>>());
}

fn uses(path: &str, text: &str) -> Vec<String> {
    forbidden_uses(&Source::new(path, text), &mut [false; 64])
}

#[test]
fn a_stage_that_looks_ahead_is_found() {
    for text in [
        "use crate::forward::Body;",
        "use crate::{model::Secret, forward::{Body, send}};",
        "fn f() { crate::forward::send::x(); }",
        "use super::super::forward::Body;",
        "use super::{super::forward::Body, request};",
        "fn a() { b('\"', \"'\") } use crate::forward::Body; // \"",
    ] {
        assert!(!uses("listen/accept.rs", text).is_empty(), "{text}");
    }
    assert_eq!(
        uses("model/ids.rs", "use crate::platform::Clock;"),
        ["model/ids.rs uses crate::platform::Clock"]
    );
    assert_eq!(uses("novel/x.rs", ""), ["novel/x.rs: `novel` has no row in MAY_USE"]);
}

#[test]
fn what_is_allowed_or_not_code_is_not_found() {
    for text in [
        "use crate::model::Secret;",
        "use crate::platform::{Clock, self};",
        "use super::path::CanonicalPath;",
        "// use crate::forward::Body;",
        "/* use crate::forward::Body; */",
        "const X: &str = \"crate::forward::Body\";",
        "const X: &str = r#\"crate::forward::Body\" \"#;",
        "fn f() {}\n#[cfg(test)]\nmod tests { use crate::forward::Body; }",
        "fn f<'a>(x: &'a str) -> char { '\\'' } // use crate::forward::Body;",
    ] {
        assert_eq!(uses("listen/accept.rs", text), <Vec<String>>::new(), "{text}");
    }
}

#[test]
fn a_concrete_store_outside_the_composition_root_is_found() {
    let named = |path: &str, text: &str| forbidden_concretes(&Source::new(path, text)).len();
    assert_eq!(named("identify/login.rs", "use crate::store::sqlite::Sqlite;"), 1);
    assert_eq!(named("store/mod.rs", "use crate::store::sqlite::Sqlite;"), 1);
    assert_eq!(named("provision/plan.rs", "use super::rest::RecipeError;"), 1);
    assert_eq!(named("store/sql/keys.rs", "use super::Sqlite;"), 0);
    assert_eq!(named("app.rs", "use crate::store::sqlite::Sqlite;"), 0);
}

#[test]
fn a_file_of_the_wrong_form_is_found() {
    let wrong = |path: &str, text: &str| wrong_form(&Source::new(path, text)).len();
    assert_eq!(wrong("listen/x.rs", "//! X.\n"), 0);
    assert_eq!(wrong("listen/x.rs", "fn f() {}\n"), 1);
    assert_eq!(wrong("listen/utils.rs", "//! X.\n"), 1);
    assert_eq!(wrong("listen/x.rs", "//! X.\n// TODO: all\n"), 1);
    assert_eq!(wrong("listen/x.rs", &format!("//! X.\n{}", "\n".repeat(MAX_LINES))), 1);
    let tested = format!("//! X.\n\n#[cfg(test)]\nmod tests {{\n{}}}", "\n".repeat(MAX_LINES));
    assert_eq!(wrong("listen/x.rs", &tested), 0);
}

#[test]
fn forbidden_code_is_found_and_talk_of_it_is_not() {
    let wrong = |text: &str| forbidden_code(&Source::new("listen/x.rs", text)).len();
    for text in [
        "fn f() { unsafe { g() } }",
        "unsafe fn f() {}",
        "#[allow(dead_code)] fn f() {}",
        "#![allow(dead_code)]",
        "#[cfg_attr(test, allow(dead_code))] fn f() {}",
        "fn f() { todo!() }",
        "fn f() { unimplemented!(\"x\") }",
    ] {
        assert_eq!(wrong(text), 1, "{text}");
    }
    for text in
        ["#![forbid(unsafe_code)]", "// unsafe { }", "const X: &str = \"todo!()\";", "fn f() { x.allow(y) }"]
    {
        assert_eq!(wrong(text), 0, "{text}");
    }
}
