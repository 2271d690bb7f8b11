//! Accounts that are there already, further identities, and an application that is away, as an operator meets them.

use super::*;

fn accepted(text: &str) -> Provisioning {
    settings(&format!("{JIT}{text}")).provisioning
}

#[test]
fn f7_and_f8_who_decides_on_accounts_that_are_there_is_a_setting() {
    let usual = accepted("");
    assert_eq!((usual.on_existing, usual.link_identities), (OnExisting::Adopt, false));
    assert_eq!(accepted("on_existing = \"ask\"").on_existing, OnExisting::Ask);
    assert!(accepted("link_identities = true").link_identities);
}

#[test]
fn f1_email_domains_are_needed_to_ask_and_to_link() {
    let without = |text: &str| {
        let source = with(JIT, "email_domains = [\"example.com\"]\n", "");
        lines(&errors(&format!("{source}{text}"), &[]))
    };
    let found = without("on_existing = \"ask\"");
    assert!(found.contains("lacks `email_domains`") && found.contains("takes over accounts"), "{found}");
    let found = without("on_existing = \"deny\"\nlink_identities = true");
    assert!(found.contains("lacks `email_domains`") && found.contains("links people"), "{found}");
}

#[test]
fn a2_on_error_is_deny_unless_it_is_said_and_what_admits_nobody_is_told() {
    assert_eq!(accepted("").on_error, OnError::Deny);
    assert_eq!(accepted("on_error = \"admit\"").on_error, OnError::Admit);
    let warnings = |source: &str| lines(&load_with(source, Purpose::Serve, &[]).unwrap().warnings);
    assert!(!warnings(&format!("{JIT}on_error = \"admit\"")).contains("admits nobody"));
    let all = warnings(&format!("{JIT}on_error = \"admit\"\nsync_removes = \"all\""));
    assert!(all.contains("admits nobody whose roles or teams are synced"), "{all}");
    let durable = with(JIT, "[provisioning]", "[store]\ndurable = true\n[provisioning]");
    let borrow = warnings(&format!("{durable}on_error = \"admit\"\nsession_roles = \"borrow\""));
    assert!(borrow.contains("the application must be reached at each sign-in"), "{borrow}");
    let refused = jit_added("on_error = \"shrug\"");
    assert!(refused.contains("on_error"), "{refused}");
}
