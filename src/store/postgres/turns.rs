//! Who may write beside whom (ADR 6).
//!
//! The acts' texts are written for one writer at a time, which is what SQLite is. Here many replicas write at once,
//! each statement seeing what was committed before it (READ COMMITTED). So an act runs alone unless it stands in
//! this table, with the reason why it may run beside those that stand here too. A new act is right from the first
//! day, and quick once somebody has thought about it. Whoever changes an act that stands here thinks again.

use crate::store::families::CHANGES;

/// How an act takes its turn, for the whole of its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// No other write runs meanwhile.
    Alone,
    /// Beside all that are not alone.
    Beside,
    /// Beside those, but for others of the same name.
    One(&'static str),
}

/// The acts that have been thought about.
const KNOWN: &[(&str, Turn)] = &[
    // One statement on one row: of several at once, the row itself lets one through at a time, and its condition is
    // looked at again with what that one left behind. `take_login` reads first, but takes by such a statement;
    // `ON CONFLICT` waits for whoever inserts the same key.
    ("take_login", Turn::Beside),
    ("take_parked", Turn::Beside),
    ("first_use", Turn::Beside),
    ("put_document", Turn::Beside),
    ("change_invite", Turn::Beside),
    ("claim_invite", Turn::Beside),
    ("hold_right", Turn::Beside),
    ("release_right", Turn::Beside),
    ("change_case", Turn::Beside),
    ("drop_case", Turn::Beside),
    // Takes its turn at the sessions of its member or identity, and at changes where some end; see the act.
    ("insert_session", Turn::Beside),
    // Waits for no row; see `note_seen`.
    ("touch_sessions", Turn::Beside),
    // A chain is one process's: its head is moved by one statement whose condition the row keeps, its entries and
    // letters are new rows, and what it notes of other chains is noted in the order of the chains by everybody.
    ("append_audit", Turn::Beside),
    // New rows, one row by its key.
    ("put_letters", Turn::Beside),
    ("put_off_letter", Turn::Beside),
    ("drop_letter", Turn::Beside),
    // Several rows, which two at once could lock in two orders.
    ("claim_letters", Turn::One("outbox")),
    // Each inserts one row and drops the oldest, or drops several: rows locked in two orders would be a deadlock.
    ("put_login", Turn::One("logins")),
    ("park", Turn::One("logins")),
    ("sweep_logins", Turn::One("logins")),
    ("record_refusal", Turn::One("refusals")),
    ("end_session", Turn::One(CHANGES)),
    ("end_sessions_of", Turn::One(CHANGES)),
    ("end_all_sessions", Turn::One(CHANGES)),
    ("sweep_sessions", Turn::One(CHANGES)),
    ("end_sessions_of_member", Turn::One(CHANGES)),
    ("end_sessions_of_idp", Turn::One(CHANGES)),
    ("announce", Turn::One(CHANGES)),
    ("tell_login", Turn::One("tell_login")),
    ("record_outcome", Turn::Beside),
    // Rows of which nobody else has any more to say.
    ("sweep_changes", Turn::One("sweep_changes")),
];

/// All others run alone, in particular those that look and then write what follows from it: `finish_creation`,
/// `add_key`.
pub(super) fn turn(act: &str) -> Turn {
    KNOWN.iter().find(|(name, _)| *name == act).map_or(Turn::Alone, |(_, turn)| *turn)
}

/// The advisory lock of this family, whose key is empty, as SQL. Such locks are the whole database's, so the schema is
/// in it: two narthex in one database do not wait for each other.
fn lock(name: &str) -> String {
    format!("hashtextextended('narthex ' || current_schema() || ' {name} ', 0)")
}

/// The statements that take `turn`. All locks go with the transaction, however it ends.
pub(super) fn statements(turn: Turn) -> String {
    let all = lock("write");
    match turn {
        Turn::Alone => format!("SELECT pg_advisory_xact_lock({all})"),
        Turn::Beside => format!("SELECT pg_advisory_xact_lock_shared({all})"),
        Turn::One(name) => format!(
            "SELECT pg_advisory_xact_lock_shared({all}); SELECT pg_advisory_xact_lock({})",
            lock(name)
        ),
    }
}

/// The statement that takes the turn at a key; `$1` is the family, `$2` the key.
pub(super) const AT_KEY: &str = "SELECT pg_advisory_xact_lock(hashtextextended('narthex ' || current_schema() || ' ' || $1 || ' ' || $2, 0))";

/// The statement that has one replica at a time bring the tables up to date.
pub(super) fn migrating() -> String {
    format!("SELECT pg_advisory_xact_lock({})", lock("migrate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_act_of_the_table_is_one() {
        let texts = [
            include_str!("../sql/invites.rs"),
            include_str!("../sql/cases.rs"),
            include_str!("../sql/audit.rs"),
            include_str!("../sql/feed.rs"),
            include_str!("../sql/keys.rs"),
            include_str!("../sql/logins.rs"),
            include_str!("../sql/members.rs"),
            include_str!("../sql/rehearsals.rs"),
            include_str!("../sql/outbox.rs"),
            include_str!("../sql/sessions.rs"),
            include_str!("../sql/sessions_list.rs"),
            include_str!("../sql/standing.rs"),
        ];
        for (act, _) in KNOWN {
            let begins = format!("let act = \"{act}\";");
            assert!(texts.iter().any(|text| text.contains(&begins)), "{act}");
            assert_eq!(KNOWN.iter().filter(|(other, _)| other == act).count(), 1, "{act} stands here twice");
        }
        assert_eq!(turn("an act of tomorrow"), Turn::Alone);
    }
}
