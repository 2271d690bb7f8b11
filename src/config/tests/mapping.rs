//! Mapping rows and the claims they look into, as an operator meets them.

use super::*;

/// What adding this below `[provisioning]` of an application with privileged teams leads to.
fn with_rows(text: &str) -> String {
    lines(&errors(&format!("{}{text}", forge()), &[]))
}

fn forge() -> String {
    with(JIT, "connector = \"gitea\"", "connector = \"forge\"")
}

fn accepted(text: &str) -> Provisioning {
    settings(&format!("{}{text}", forge())).provisioning
}

#[test]
fn f5_a_row_says_for_whom_it_is_and_its_condition_is_checked_at_load() {
    let refusals = [
        with_rows("mapping = [{ team = \"a\" }]"),
        with_rows("mapping = [{ group = \"\", team = \"a\" }]"),
        with_rows("mapping = [{ when = \"claims.a ==\", team = \"a\" }]"),
        with_rows("mapping = [{ when = \"claims.a\", team = \"a\" }]"),
        with_rows("mapping = [{ when = \"grant.role == 'a'\", team = \"a\" }]"),
        with_rows("mapping = [{ when = \"request.path == '/a'\", team = \"a\" }]"),
        with_rows("mapping = [{ when = \"idp.id == 'crop'\", team = \"a\" }]"),
        with_rows("mapping = [{ group = \"a\", wen = \"true\", team = \"a\" }]"),
    ];
    insta::assert_snapshot!(refusals.join("\n--\n"));
}

#[test]
fn f4_what_is_privileged_needs_the_mark_of_its_row() {
    let refusals = [
        with_rows("mapping = [{ group = \"a\", team = \"acme/Owners\" }]"),
        with_rows("mapping = [{ group = \"a\", team = \"acme/readers\", team_role = \"owner\" }]"),
        with_rows("mapping = [{ group = \"a\", app_groups = [\"x\", \"staff\"] }]"),
        with_rows("mapping = [{ group = \"a\", permission = \"sudo\" }]"),
        with_rows("onboarding = { teams = [\"acme/Owners\"], app_groups = [\"staff\"] }"),
    ];
    insta::assert_snapshot!(refusals.join("\n--\n"));
    let marked = accepted("mapping = [{ group = \"a\", team = \"acme/Owners\", privileged = true }]");
    assert!(marked.mapping[0].privileged);
}

#[test]
fn f5_claims_are_one_name_or_several() {
    let one =
        accepted("role_claim = \"role\"\nteams_claim = { claim = \"teams\" }\nassignable_teams = [\"a/*\"]");
    assert_eq!((one.role_claim, one.groups_claim), (vec!["role".to_owned()], vec!["groups".to_owned()]));
    let several =
        with(&forge(), "groups_claim = \"groups\"", "groups_claim = [\"groups\", \"realm_access.roles\"]");
    assert_eq!(settings(&several).provisioning.groups_claim, ["groups", "realm_access.roles"]);
    let refusals = [
        jit("groups_claim = \"groups\"", "groups_claim = []"),
        jit("groups_claim = \"groups\"", "groups_claim = [\"a\", \"a\"]"),
        jit("groups_claim = \"groups\"", "groups_claim = [\"a\", 1]"),
        jit("groups_claim = \"groups\"", "groups_claim = 1"),
        jit_added("teams_claim = { claim = [\"\"] }"),
        jit_added("attributes = { email = { claim = [] } }"),
    ];
    insta::assert_snapshot!(refusals.join("\n--\n"));
}

#[test]
fn several_claims_come_from_the_environment_as_a_list() {
    let loaded = |value| {
        let env = [("NARTHEX__PROVISIONING__GROUPS_CLAIM", value)];
        load_with(JIT, Purpose::Serve, &env).unwrap().settings.provisioning.groups_claim
    };
    assert_eq!(loaded("[\"a\", \"b.c\"]"), ["a", "b.c"]);
    assert_eq!(loaded("a"), ["a"]);
}

#[test]
fn f5_groups_need_a_claim_and_a_condition_alone_does_not() {
    let without = with(&forge(), "groups_claim = \"groups\"\n", "");
    let report = |text: &str| lines(&errors(&format!("{without}{text}"), &[]));
    let mapped =
        report("mapping = [{ when = \"idp.id == 'corp'\", team = \"a\" }, { group = \"a\", team = \"b\" }]");
    assert!(mapped.contains("`provisioning.groups_claim` is missing"), "{mapped}");
    let alone = "mapping = [{ when = \"idp.id == 'corp'\", team = \"a\" }]";
    assert_eq!(settings(&format!("{without}{alone}")).provisioning.mapping.len(), 1);
}
