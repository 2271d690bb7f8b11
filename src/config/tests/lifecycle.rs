//! What becomes of accounts after the first sign-in, as an operator meets it.

use super::*;
use crate::model::{Facet, Leaving};

const DURABLE: &str = "[store]\ndurable = true\n[provisioning]";

fn accepted(text: &str) -> Lifecycle {
    settings(&format!("{}{text}", with(JIT, "[provisioning]", DURABLE))).provisioning.lifecycle
}

#[test]
fn e1_accounts_that_end_with_their_sessions_need_a_durable_store() {
    let refused = jit_added("delete_at_session_end = true");
    assert!(
        refused.contains("`provisioning.delete_at_session_end` needs a store that outlives"),
        "{refused}"
    );
    assert!(refused.contains("durable = true"), "{refused}");
    let lifecycle = accepted("delete_at_session_end = true");
    assert_eq!(lifecycle.ephemeral, Some(Duration::from_hours(24)));
    let lifecycle = accepted("delete_at_session_end = true\nephemeral_max_lifetime = \"8h\"");
    assert_eq!(lifecycle.ephemeral, Some(Duration::from_hours(8)));
    assert_eq!(accepted("ephemeral_max_lifetime = \"8h\"").ephemeral, None);
}

#[test]
fn e1_a_store_in_memory_is_never_durable() {
    let seal = format!(
        "[keys]\nseal = \"{}\"\n[store]\nurl = \"memory:\"\ndurable = true\n[provisioning]",
        "k".repeat(40)
    );
    let source = format!("{}delete_at_session_end = true", with(JIT, "[provisioning]", &seal));
    let refused = lines(&errors(&source, &[]));
    assert!(refused.contains("needs a store that outlives"), "{refused}");
}

#[test]
fn l2_borrowing_needs_a_durable_store() {
    let refused = jit_added("session_roles = \"borrow\"");
    assert!(refused.contains("`provisioning.session_roles` needs a store that outlives"), "{refused}");
    let settings = settings(&format!("{}session_roles = \"borrow\"", with(JIT, "[provisioning]", DURABLE)));
    assert_eq!(settings.provisioning.session_roles, SessionRoles::Borrow);
}

#[test]
fn l3_sync_is_whole_or_by_facet_of_what_the_application_has() {
    assert!(accepted("").sync.is_empty());
    assert!(accepted("sync = \"create_only\"").sync.is_empty());
    assert_eq!(accepted("sync = \"every_login\"").sync.len(), 5);
    assert_eq!(accepted("sync = [\"teams\", \"profile\"]").sync, [Facet::Teams, Facet::Profile].into());
    let refused = jit_added("sync = [\"role\", \"groups\"]");
    assert!(refused.contains("has no application groups"), "{refused}");
}

#[test]
fn l3_managed_teams_are_patterns() {
    assert_eq!(accepted("").managed_teams, ["*"]);
    assert_eq!(accepted("managed_teams = [\"acme/*\", \"ops\"]").managed_teams, ["acme/*", "ops"]);
    for pattern in ["acme/*/x", "/*", "a*"] {
        let refused = jit_added(&format!("managed_teams = [\"{pattern}\"]"));
        assert!(refused.contains("is no such pattern"), "{pattern}: {refused}");
    }
}

#[test]
fn e6_a_leaver_is_deactivated_or_deleted_and_nothing_is_handed_over() {
    assert_eq!(accepted("").leaver, Leaving::Deactivate);
    assert_eq!(accepted("leaver = \"delete\"").leaver, Leaving::Delete);
    let refused = jit_added("leaver = \"transfer:root\"");
    assert!(refused.contains("no connector can hand over"), "{refused}");
    let refused = jit_added("leaver = \"purge\"");
    assert!(refused.contains("`provisioning.leaver` cannot be \"purge\""), "{refused}");
}
