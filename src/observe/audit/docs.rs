//! `docs/audit.md`, made from the table of events.

use std::fmt::Write;

use super::event::{Event, Topic, Weight};

const INTRODUCTION: &str = "\
<!-- Made from src/observe/audit; `NARTHEX_BLESS=1 cargo test --lib generated_audit` writes it anew. -->

# The audit log

Everything that matters for who may do what stands in the store, entry after entry, and nowhere is an entry changed or \
dropped. Each process writes a chain of its own: every entry carries the hash of the one before it, a chain begins with \
the heads of the chains that ended before, and every hour the heads of the chains beside it are noted. Every entry is \
also in the process log (target `narthex::audit`).

- `narthex audit verify` reads the whole and says the first entry of each chain that is not what it was, is missing or \
out of place. It prints the heads; whoever notes one down elsewhere (`--head CHAIN:SEQUENCE:HASH`, as often as wanted) \
also finds out about a log that was cut off or written anew from there. The process log has the heads too, at the \
beginning of each chain and every hour.
- `narthex audit export` writes it as JSON lines, `--format ocsf` in the Open Cybersecurity Schema Framework, for a \
period of time if wanted.

What an entry says of a person (who it was, from where, the account's profile, free texts) stands apart from the rest, \
under a digest with a salt. `narthex member erase` takes that away, salt and all: the entry stays, says what happened to \
which member id, and can be verified as before. `audit verify` counts such places against the entries that tell of the \
erasing. What an account was allowed to do is not erased.

Nothing is ever dropped by narthex itself. Sign-ins and requests that are refused before anybody was vouched for are \
counted: one entry for each reason and minute. While the store is away, some thousand entries wait for it; what comes \
beyond them is in the process log only, and `audit_gap` says how many there were.

Passwords, tokens, cookies and keys are never part of an entry.
";

/// The whole of `docs/audit.md`.
#[must_use]
pub fn docs() -> String {
    let mut text = INTRODUCTION.to_owned();
    for topic in Topic::ALL {
        // Writing to a String does not fail.
        let _ = write!(text, "\n## {}\n\n| event | meaning |\n|---|---|\n", topic.title());
        for event in Event::ALL.iter().filter(|event| event.topic() == topic) {
            let alarm = if event.weight() == Weight::Alarming { " **Look at it.**" } else { "" };
            let _ = writeln!(text, "| `{event}` | {}{alarm} |", event.meaning());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_audit_is_fresh() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/audit.md");
        if std::env::vars().any(|(name, _)| name == "NARTHEX_BLESS") {
            std::fs::write(&path, docs()).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == docs(),
            "docs/audit.md is stale; run: NARTHEX_BLESS=1 cargo test --lib generated_audit"
        );
    }

    #[test]
    fn names_of_events_are_different_and_read_back() {
        for event in Event::ALL {
            assert_eq!(event.name().parse(), Ok(*event));
        }
        assert!("login_".parse::<Event>().is_err());
    }
}
