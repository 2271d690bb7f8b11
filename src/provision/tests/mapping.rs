//! F5 and F2 where several claims, conditions and privileged teams come in.

use serde_json::json;

use super::fake::{features, names as listed};
use super::*;
use crate::config::settings::{Attribute, AttributeSource};
use crate::expr::{Condition, Place};
use crate::model::Entitlements;
use crate::provision::attributes::{AttributeOrigin, profile};
use crate::provision::connector::Kind;
use crate::provision::eligibility::admit;
use crate::provision::entitle::{Because, Entitled, Entitlement, SkipReason, Skipped, Strictness, entitled};
use crate::provision::names::Names;
use crate::provision::rows::{RowOutcome, judge};
use crate::provision::sources::{GroupsUnknown, groups};

fn all_names() -> Names {
    Names::default()
        .with(Kind::Role, listed(&[("user", false), ("reader", false), ("admin", true)]))
        .with(
            Kind::Team,
            listed(&[
                ("acme/developers", false),
                ("acme/readers", false),
                ("acme/owners", true),
                ("public", false),
            ]),
        )
        .with(Kind::TeamRole, listed(&[("member", false), ("maintainer", false), ("owner", true)]))
        .with(Kind::AppGroup, listed(&[("builders", false), ("newcomers", false), ("staff", true)]))
        .with(Kind::Permission, listed(&[("deploy", false), ("sudo", true)]))
}

fn give(claims: Value, settings: &Provisioning) -> Entitled {
    entitled(&ada(claims), settings, &features(), &all_names(), Strictness::FirstLogin(None)).unwrap()
}

fn given(claims: Value, settings: &Provisioning) -> Entitlements {
    give(claims, settings).entitlements(None)
}

fn team(name: &str) -> MappingGives {
    MappingGives::Team { team: name.to_owned(), team_role: None }
}

fn when(source: &str, row: MappingRow) -> MappingRow {
    MappingRow { when: Some(Condition::compile_at(source, Place::Mapping).unwrap()), ..row }
}

fn mapping(rows: Vec<MappingRow>) -> Provisioning {
    Provisioning { mapping: rows, ..settings() }
}

fn claims(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

// Conditions

#[test]
fn f5_a_row_with_a_condition_counts_where_group_and_condition_hold() {
    let settings = mapping(vec![when("claims.department == 'it'", row("engineers", team("public")))]);
    let in_team = |claims| given(claims, &settings).teams.contains_key("public");
    assert!(in_team(json!({ "department": "it" })));
    assert!(!in_team(json!({ "department": "sales" })));
    assert!(!in_team(json!({ "department": "it", "groups": ["everyone"] })));
}

#[test]
fn f5_a_row_without_group_is_decided_by_its_condition() {
    let by_condition = |source| {
        let row = MappingRow { group: None, ..row("", team("public")) };
        mapping(vec![when(source, row)])
    };
    for (source, holds) in [
        ("idp.id == 'corp'", true),
        ("idp.id == 'other'", false),
        ("subject == 'sub-ada'", true),
        ("claims.email is endingwith('@example.com')", true),
        ("'engineers' in claims.groups and claims.get('department') == 'it'", false),
    ] {
        let entitled = give(json!({}), &by_condition(source));
        assert_eq!(entitled.entitlements(None).teams.contains_key("public"), holds, "{source}");
    }
    let entitled = give(json!({}), &by_condition("idp.id == 'corp'"));
    let because = &entitled.given.iter().find(|given| given.because != Because::DefaultRole).unwrap().because;
    assert_eq!(*because, Because::Row { position: 0, group: None });
}

#[test]
fn f5_a_condition_that_fails_gives_nothing_and_says_why() {
    let settings = mapping(vec![when("claims.department == 'it'", row("engineers", team("public")))]);
    let entitled = give(json!({}), &settings);
    assert!(!entitled.entitlements(None).teams.contains_key("public"));
    let [Skipped { entitlement, why: SkipReason::ConditionFailed { error }, .. }] =
        entitled.skipped.as_slice()
    else {
        panic!("{:?}", entitled.skipped)
    };
    assert_eq!(*entitlement, Entitlement::Team { team: "public".to_owned(), team_role: None });
    assert!(error.contains("claims.department"), "{error}");
}

#[test]
fn l7_a_condition_that_fails_is_unknown_and_one_that_is_false_is_not() {
    let of = |source| give(json!({}), &mapping(vec![when(source, row("engineers", team("public")))]));
    assert!(of("claims.department == 'it'").groups_unknown);
    assert!(!of("claims.get('department') == 'it'").groups_unknown);
    // A row that is not for this person is not even asked.
    let elsewhere = row("somebody else", team("public"));
    let settings = mapping(vec![when("claims.department == 'it'", elsewhere)]);
    let entitled = give(json!({}), &settings);
    assert!(!entitled.groups_unknown && entitled.skipped.is_empty());
}

#[test]
fn f4_the_first_row_whose_condition_holds_gives_the_role() {
    let reader =
        when("claims.get('level') == '2'", row("engineers", MappingGives::Role("reader".to_owned())));
    let admin = privileged(row("engineers", MappingGives::Role("admin".to_owned())));
    let settings = mapping(vec![reader, admin]);
    assert_eq!(given(json!({ "level": 2 }), &settings).role.as_deref(), Some("reader"));
    assert_eq!(given(json!({ "level": 3 }), &settings).role.as_deref(), Some("admin"));
}

#[test]
fn f5_every_row_that_does_not_count_has_its_reason() {
    let mut of_other = row("engineers", team("public"));
    of_other.idp = Some("other".parse().unwrap());
    let settings = mapping(vec![
        row("engineers", team("public")),
        of_other,
        row("nobody", team("public")),
        when("claims.level == '1'", row("engineers", team("public"))),
        when("claims.level == '2'", row("engineers", team("public"))),
        when("claims.absent == '2'", row("engineers", team("public"))),
    ]);
    let identity = ada(json!({ "level": 1 }));
    let outcomes = |identity: &Identity| -> Vec<RowOutcome> {
        let groups = groups(identity, &settings);
        judge(identity, &settings, &groups).into_iter().map(|judged| judged.outcome).collect()
    };
    let judged = outcomes(&identity);
    assert_eq!(
        judged[..5],
        [
            RowOutcome::Holds,
            RowOutcome::OtherProvider,
            RowOutcome::NotInGroup,
            RowOutcome::Holds,
            RowOutcome::ConditionFalse
        ]
    );
    assert!(matches!(judged[5], RowOutcome::ConditionFailed { .. }), "{judged:?}");
    assert_eq!(outcomes(&ada(json!({ "groups": null })))[0], RowOutcome::GroupUnknown);
}

// Several claims

#[test]
fn f5_groups_of_several_claims_count_together() {
    let groups_claim = claims(&["groups", "realm_access.roles"]);
    let settings = Provisioning {
        groups_claim,
        mapping: vec![row("engineers", team("public")), row("writers", team("acme/readers"))],
        ..settings()
    };
    let both = json!({ "realm_access": { "roles": ["writers"] } });
    let teams: Vec<String> = given(both, &settings).teams.into_keys().collect();
    assert_eq!(teams, ["acme/readers", "public"]);
}

#[test]
fn l7_of_several_groups_claims_each_must_be_there_to_know_the_groups() {
    let with = |absent_groups_are_none| Provisioning {
        groups_claim: claims(&["groups", "more"]),
        absent_groups_are_none,
        ..settings()
    };
    let entitled = give(json!({}), &with(false));
    // What is known is given, and nothing is concluded from what is not.
    assert!(entitled.groups_unknown);
    assert!(entitled.entitlements(None).teams.contains_key("acme/developers"));
    let why = groups(&ada(json!({})), &with(false)).unknown;
    assert_eq!(why, [GroupsUnknown::Absent("more".to_owned())]);
    assert!(!give(json!({}), &with(true)).groups_unknown);
    assert!(!give(json!({ "more": [] }), &with(false)).groups_unknown);
}

#[test]
fn f4_the_first_role_claim_that_has_a_value_names_the_role() {
    let settings = Provisioning { role_claim: claims(&["role", "urn:level", "a.b"]), ..settings() };
    let role = |claims| given(claims, &settings).role.unwrap();
    assert_eq!(role(json!({ "a": { "b": ["reader", "user"] } })), "reader");
    assert_eq!(role(json!({ "role": "", "urn:level": "reader" })), "reader");
    assert_eq!(role(json!({ "role": [], "urn:level": "reader" })), "reader");
    assert_eq!(role(json!({ "role": "user", "urn:level": "reader" })), "user");
    // One that is no role is the answer all the same: it counts as unknown.
    assert_eq!(role(json!({ "role": "gardener", "urn:level": "reader" })), "user");
}

#[test]
fn f5_teams_of_several_claims_count_together_and_the_first_decides_the_role() {
    let teams_claim =
        Some(TeamsClaim { claim: claims(&["teams", "org.teams"]), separator: Some(",".to_owned()) });
    let settings = Provisioning { teams_claim, ..settings() };
    let said = json!({
        "groups": [],
        "teams": "public::member, acme/readers",
        "org": { "teams": ["public::maintainer", "acme/developers::maintainer"] },
    });
    let expected = BTreeMap::from([
        ("public".to_owned(), Some("member".to_owned())),
        ("acme/readers".to_owned(), None),
        ("acme/developers".to_owned(), Some("maintainer".to_owned())),
    ]);
    assert_eq!(given(said, &settings).teams, expected);
}

#[test]
fn f2_an_attribute_of_several_claims_is_the_first_usable_one() {
    let source = AttributeSource::Claims(claims(&["nick", "name"]));
    let attributes =
        BTreeMap::from([("display_name".to_owned(), Attribute { source, required: None, enabled: true })]);
    let settings = Provisioning { attributes, ..settings() };
    let of = |claims| profile(&ada(claims), &settings, &features()).unwrap();
    for unusable in [json!(null), json!(""), json!("a\nb")] {
        let wanted = of(json!({ "nick": unusable }));
        assert_eq!(wanted.profile.display_name.as_deref(), Some("ada of Example"));
        assert_eq!(wanted.origins["display_name"], AttributeOrigin::Claim("name".to_owned()));
    }
    assert_eq!(of(json!({ "nick": "Ada" })).profile.display_name.as_deref(), Some("Ada"));
}

#[test]
fn f1_two_e_mail_claims_that_were_named_must_agree() {
    let source = AttributeSource::Claims(claims(&["upn", "email"]));
    let attributes =
        BTreeMap::from([("email".to_owned(), Attribute { source, required: None, enabled: true })]);
    let settings = Provisioning { attributes, ..settings() };
    let admitted = |claims| admit(&ada(claims), &settings, &authority());
    let error = admitted(json!({ "upn": "eve@example.com" })).unwrap_err();
    assert!(matches!(error, ProvisionError::EmailsDiffer { .. }), "{error:?}");
    assert!(admitted(json!({ "upn": "ada@example.com" })).unwrap().unwrap().verified);
}

// Privileged teams

#[test]
fn f4_a_privileged_team_team_role_group_or_permission_comes_from_a_marked_row_only() {
    let owner = MappingGives::Team { team: "public".to_owned(), team_role: Some("owner".to_owned()) };
    for gives in [
        team("acme/owners"),
        owner,
        MappingGives::AppGroups(vec!["staff".to_owned()]),
        MappingGives::Permission("sudo".to_owned()),
    ] {
        let unmarked = give(json!({}), &mapping(vec![row("engineers", gives.clone())]));
        assert!(!unmarked.privileged(), "{gives:?}");
        let refused = unmarked.skipped.iter().filter(|skipped| skipped.why == SkipReason::Privileged);
        assert_eq!(refused.count(), 1, "{gives:?}");
        let marked = give(json!({}), &mapping(vec![privileged(row("engineers", gives.clone()))]));
        assert!(marked.privileged() && marked.skipped.is_empty(), "{gives:?}");
        // The mark is the row's: another row for the same, unmarked, does not profit from it.
        let other = privileged(row("nobody", gives.clone()));
        assert!(!give(json!({}), &mapping(vec![other, row("engineers", gives.clone())])).privileged());
    }
}

#[test]
fn f4_a_marked_row_does_not_open_the_teams_claim() {
    let mut settings = mapping(vec![privileged(row("founders", team("acme/owners")))]);
    settings.assignable_teams = vec!["acme/*".to_owned()];
    let entitled = give(json!({ "teams": ["acme/owners"] }), &settings);
    assert!(!entitled.privileged() && !entitled.entitlements(None).teams.contains_key("acme/owners"));
}
