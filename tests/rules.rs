//! Every rule of provisioning has a test that carries its number, and docs/provisioning.md lists them: made from the
//! names of the tests, and held against them.

#![expect(clippy::unwrap_used, reason = "a source that cannot be read ends the test")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A rule's number, and what it says.
type Rule = (&'static str, &'static str);

/// The rules by letter, with what the letter stands for.
const RULES: &[(&str, &str, &[Rule])] = &[
    (
        "M",
        "Mode",
        &[
            ("M1", "`provisioning.mode` is exactly one of `off`, `jit` and `scim`"),
            ("M2", "JIT is enabled at run time only when an identity provider's metadata has been read"),
            (
                "M3",
                "Who has no account and is to get none is refused, or forwarded without one; whom SCIM made is recognised",
            ),
            ("M4", "Settings change at run time, on every replica, with preview, confirmation and version"),
            ("M5", "Accounts of one mode stay when the mode changes"),
            ("M6", "`shadow`: real sign-ins are planned and reported, nothing is written"),
        ],
    ),
    (
        "F",
        "First login",
        &[
            ("F1", "The e-mail's domain, and whether the provider may speak for it"),
            ("F2", "Attributes from claims, constants and templates; all that are missing are named"),
            ("F3", "Entitlements from invite, identity provider and onboarding"),
            ("F4", "The role; nothing privileged from a raw claim"),
            ("F5", "Mapping rows, teams claims, import and export"),
            ("F6", "Invites"),
            ("F7", "An account that is there already: adopted, refused, or asked about"),
            ("F8", "Members are keyed by identity provider and subject; linking and recycled addresses"),
            ("F9", "Exactly one account of any number of simultaneous first logins, over all replicas"),
            ("F10", "The session starts only after the account exists with its entitlements"),
        ],
    ),
    (
        "L",
        "Later logins",
        &[
            ("L1", "`sync = \"create_only\"`: the account is not touched"),
            ("L2", "The identity provider's role for this session only: in headers, borrowed, or not at all"),
            ("L3", "`sync = \"every_login\"`, whole or by facet"),
            ("L4", "A login where nothing differs writes nothing to the application"),
            ("L5", "A change of settings affects the next login, not live sessions"),
            ("L6", "A refresh that yields new claims is a login for the grant"),
            ("L7", "Unknown is not empty"),
        ],
    ),
    (
        "G",
        "Guards",
        &[
            ("G1", "The last active owner or administrator stays one"),
            ("G2", "Protected accounts and the connector's own are never touched"),
            ("G3", "More removals in an hour than `max_removals` pause"),
            ("G4", "A deactivated account refuses the login; narthex reactivates only what it deactivated"),
            ("G5", "Whatever is sent is encoded for where it goes"),
            ("G6", "Blocked: the account, all identities and the e-mail"),
        ],
    ),
    (
        "E",
        "End of session and leaving",
        &[
            ("E1", "`delete_at_session_end`: the account goes with the last session"),
            ("E2", "Writes that no browser waits for are durable jobs"),
            ("E3", "The next login of a deleted member makes the account anew"),
            ("E4", "Update, revoke and block"),
            ("E5", "An account that vanished on its own: made anew, or refused"),
            ("E6", "Deletion never purges; leavers, inactivity, erasure"),
            ("E7", "The application's own session goes at logout and when another person signs in"),
        ],
    ),
    (
        "A",
        "When the application's API misbehaves",
        &[
            ("A1", "Time budgets, retries, Retry-After"),
            ("A2", "`on_error`: refused with a retry that goes on where it stopped, or admitted"),
            ("A3", "A circuit breaker per connector"),
            ("A4", "An answer that the recipe does not expect is an error that says so"),
        ],
    ),
    (
        "S",
        "Second factor, network, people",
        &[
            ("S1", "`network.allow` and `network.deny` hold before any identity provider is asked"),
            ("S2", "The second factor"),
            ("S3", "Audit: append-only, hash-chained, verified"),
            ("S4", "Notifications by e-mail and signed webhook"),
            ("S5", "Console roles and their permissions; break-glass"),
        ],
    ),
    (
        "X",
        "Seeing before doing",
        &[
            ("X1", "`explain` prints what a login decides and would do, and changes nothing"),
            ("X2", "`connector test`: the whole life of a throw-away user"),
            ("X3", "`connector list` and `show`"),
        ],
    ),
];

/// Rules, or parts of one, that are not there: since when that is known, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("L6", "2026-11-22", "narthex does not refresh OpenID Connect tokens yet"),
    ("E1", "2026-11-22", "OpenID Connect back-channel logout is not built yet"),
    ("S2", "2026-11-22", "the second factor is not built yet"),
    ("S5", "2026-11-22", "the console's pages and break-glass are not built yet"),
];

const HEAD: &str = "<!-- Made from the names of the tests; `NARTHEX_BLESS=1 cargo test --test rules` writes it anew. -->
# The rules of provisioning, and the tests that show them

What happens between \"an identity provider vouched for this person\" and \"the request reaches the application\" is a
list of numbered rules, each a behaviour that can be observed. A test that shows one carries its number in its name.
";

#[test]
fn every_rule_has_a_test_or_stands_among_the_exceptions() {
    let tests = tests_by_rule();
    let bare = |rule: &&str| !tests.contains_key(*rule) && EXCEPTIONS.iter().all(|(known, ..)| known != rule);
    let without: Vec<&str> = rules().filter(|rule| bare(rule)).collect();
    assert!(
        without.is_empty(),
        "no test carries the number of {without:?}, e.g. `fn {}_…`",
        without[0].to_lowercase()
    );
}

#[test]
fn every_number_in_a_tests_name_is_a_rule() {
    let unknown: Vec<_> =
        tests_by_rule().into_iter().filter(|(rule, _)| rules().all(|known| known != rule)).collect();
    assert!(unknown.is_empty(), "no such rules: {unknown:?}");
}

#[test]
fn the_page_is_not_stale() {
    let path = root().join("docs/provisioning.md");
    let page = page(&tests_by_rule());
    if std::env::vars().any(|(name, _)| name == "NARTHEX_BLESS") {
        fs::write(&path, &page).unwrap();
    }
    let held = fs::read_to_string(&path).unwrap_or_default();
    assert!(held == page, "docs/provisioning.md is stale; run: NARTHEX_BLESS=1 cargo test --test rules");
}

#[test]
fn numbers_are_read_from_the_names_of_tests_only() {
    let text = "
        #[test]
        fn f7_g2_an_account_is_left_alone() {}
        #[tokio::test(flavor = \"multi_thread\")]
        #[ignore = \"wants a party\"]
        async fn e1_the_account_goes() {}
        fn a1_is_no_test() {}
        #[test]
        fn lesson_13_is_another_list() {}
        #[test]
        fn f_is_no_number() {}
    ";
    let found: Vec<_> = numbered(text, false).collect();
    let expected = [
        ("F7".to_owned(), "f7_g2_an_account_is_left_alone".to_owned()),
        ("G2".to_owned(), "f7_g2_an_account_is_left_alone".to_owned()),
        ("E1".to_owned(), "e1_the_account_goes".to_owned()),
    ];
    assert_eq!(found, expected);
}

fn rules() -> impl Iterator<Item = &'static str> {
    RULES.iter().flat_map(|(_, _, rules)| rules.iter().map(|(rule, _)| *rule))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Rule to (file, test).
fn tests_by_rule() -> BTreeMap<String, Vec<(String, String)>> {
    let mut tests: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        sources(&root().join(folder), &mut files);
    }
    files.sort();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        if name == "tests/rules.rs" {
            continue;
        }
        // The suite that every store passes is called by a macro, so its functions bear no attribute.
        let suite = name.starts_with("src/store/conformance/");
        for (rule, test) in numbered(&text, suite) {
            tests.entry(rule).or_default().push((name.clone(), test));
        }
    }
    tests
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The rules in the names of the tests of one file.
fn numbered(text: &str, every_function: bool) -> impl Iterator<Item = (String, String)> {
    let mut is_test = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
            continue;
        }
        let words =
            line.trim_start_matches("pub(super) ").trim_start_matches("pub ").trim_start_matches("async ");
        if let Some(rest) = words.strip_prefix("fn ") {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            if is_test || every_function {
                found.extend(numbers(name).map(|rule| (rule, name.to_owned())));
            }
        }
        if !line.is_empty() && !line.starts_with("//") {
            is_test = false;
        }
    }
    found.into_iter()
}

/// `f7_g2_rest`: F7, G2.
fn numbers(name: &str) -> impl Iterator<Item = String> {
    name.split('_').map_while(|part| {
        let (letter, digits) = part.split_at_checked(1)?;
        let number =
            "mflgeasx".contains(letter) && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        number.then(|| part.to_uppercase())
    })
}

fn page(tests: &BTreeMap<String, Vec<(String, String)>>) -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## What is not there\n\n");
    for (rule, since, why) in EXCEPTIONS {
        assert!(rules().any(|known| known == *rule), "{rule} is no rule");
        writeln!(page, "- **{rule}** ({since}): {why}.").unwrap();
    }
    for (_, title, rules) in RULES {
        write!(page, "\n## {title}\n").unwrap();
        for (rule, sentence) in *rules {
            write!(page, "\n**{rule}** {sentence}.\n").unwrap();
            let none = Vec::new();
            let mut by_file: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for (file, test) in tests.get(*rule).unwrap_or(&none) {
                by_file.entry(file).or_default().push(test);
            }
            if by_file.is_empty() && EXCEPTIONS.iter().all(|(known, ..)| known != rule) {
                page.push_str("\nNo test.\n");
            }
            for (file, tests) in by_file {
                write!(page, "\n- `{file}`\n").unwrap();
                for test in tests {
                    writeln!(page, "  - {}", test.replace('_', " ")).unwrap();
                }
            }
        }
    }
    page
}
