//! F5: the JSON form, in and out.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::provision::exchange::{self, JsonMapping, NotExchangeable};

const DOCUMENT: &str = r#"{
  "tenant_owners_groups": [
    "Administrators",
    "Board"
  ],
  "mappings": [
    {
      "group_name": "Managers",
      "team_name": "Analytics",
      "role_name": "TEAM_ADMIN"
    },
    {
      "group_name": "Everyone \"and\" co",
      "team_name": "Incident Response"
    },
    {
      "group_name": "Auditors",
      "tenant_permission": "AUDIT_LOG_READ"
    }
  ]
}
"#;

fn imported(document: &JsonMapping) -> Provisioning {
    let owners_groups = document.tenant_owners_groups.clone();
    Provisioning { mapping: document.rows(), owners_groups, ..settings() }
}

fn faults(document: &Value) -> Vec<String> {
    exchange::read(&document.to_string()).unwrap_err().0
}

#[test]
fn f5_the_json_form_comes_out_as_it_went_in() {
    let read = exchange::read(DOCUMENT).unwrap();
    let exported = exchange::of(&imported(&read)).unwrap();
    assert_eq!(exported.mapping, read);
    assert_eq!(exported.mapping.json(), DOCUMENT);
    assert_eq!(exported.left_out, Vec::<String>::new());
}

#[test]
fn f5_an_imported_row_gives_team_team_role_and_permission() {
    let rows = exchange::read(DOCUMENT).unwrap().rows();
    let role = Some("TEAM_ADMIN".to_owned());
    assert_eq!(rows[0].gives, MappingGives::Team { team: "Analytics".to_owned(), team_role: role });
    assert_eq!(rows[2].gives, MappingGives::Permission("AUDIT_LOG_READ".to_owned()));
    assert!(rows.iter().all(|row| !row.privileged && row.when.is_none() && row.idp.is_none()));
}

#[test]
fn f5_the_imported_mapping_as_toml_is_the_same_mapping() {
    let read = exchange::read(DOCUMENT).unwrap();
    let parsed: toml::Table = read.toml().parse().unwrap();
    let provisioning = &parsed["provisioning"];
    assert_eq!(provisioning["owners_groups"].as_array().unwrap().len(), 2);
    let rows = provisioning["mapping"].as_array().unwrap();
    assert_eq!(rows[0]["team_role"].as_str(), Some("TEAM_ADMIN"));
    assert_eq!(rows[1]["group"].as_str(), Some("Everyone \"and\" co"));
    assert_eq!(rows[2]["permission"].as_str(), Some("AUDIT_LOG_READ"));
    let inline: toml::Table = format!("rows = {}", read.rows_toml()).parse().unwrap();
    assert_eq!(inline["rows"].as_array(), Some(rows));
}

#[test]
fn f5_a_document_wrapped_as_an_api_sends_it_is_read_too() {
    let wrapped = format!("{{ \"user_group_mapping\": {DOCUMENT} }}");
    assert_eq!(exchange::read(&wrapped), exchange::read(DOCUMENT));
}

#[test]
fn f5_everything_wrong_with_a_document_is_told_at_once_with_its_place() {
    let row = |row: Value| json!({ "mappings": [{ "group_name": "a", "team_name": "b" }, row] });
    let document = json!({
        "tenant_owner_groups": [],
        "tenant_owners_groups": ["a", "a", 1, " b"],
        "mappings": [{ "group_name": "a" }, 7, { "team_name": "b" }],
    });
    assert_eq!(
        faults(&document),
        [
            "there is no key `tenant_owner_groups`; did you mean `tenant_owners_groups`?",
            "tenant_owners_groups[1]: \"a\" stands here twice",
            "tenant_owners_groups[2]: expected a text, found a number",
            "tenant_owners_groups[3]: is empty, or has blanks around it or control characters in it",
            "mappings[0]: gives nothing: name a team (`team_name`) or a `tenant_permission`",
            "mappings[1]: expected an object, found a number",
            "mappings[2]: `group_name` is missing",
        ]
    );
    for (one, fault) in [
        (
            row(json!({ "group_name": "a", "team_name": "b", "tenant_permission": "c" })),
            "mappings[1]: has both `team_name` and `tenant_permission`; write one entry for each",
        ),
        (
            row(json!({ "group_name": "a", "role_name": "b" })),
            "mappings[1]: `role_name` is a role within a team and has no meaning without `team_name`",
        ),
        (
            row(json!({ "group_name": "a", "team_name": "b", "teamname": "c" })),
            "mappings[1]: there is no key `teamname`; did you mean `team_name`?",
        ),
        (
            row(json!({ "group_name": "a", "team_name": ["b"] })),
            "mappings[1].team_name: expected a text, found a list",
        ),
        (json!([]), "expected an object with `mappings`, found a list"),
        (json!({}), "`mappings` is missing; where there is no row, write []"),
        (json!({ "mappings": {} }), "mappings: expected a list, found an object"),
        (
            json!({ "mappings": [], "group_attribute_name": "Group" }),
            "there is no key `group_attribute_name`; write groups_claim in [provisioning] instead",
        ),
    ] {
        assert_eq!(faults(&one), [fault]);
    }
    let NotExchangeable(faults) = exchange::read("{ \"mappings\": [ }").unwrap_err();
    assert!(faults[0].starts_with("this is not JSON: ") && faults[0].contains("line 1"), "{faults:?}");
}

#[test]
fn f5_what_the_json_form_cannot_say_is_told_and_not_left_out() {
    let when = crate::expr::Condition::compile_at("idp.id == 'corp'", crate::expr::Place::Mapping).unwrap();
    let team = || MappingGives::Team { team: "a".to_owned(), team_role: None };
    let cases = [
        (MappingRow { when: Some(when), ..row("g", team()) }, "has a condition (`when`)"),
        (MappingRow { idp: Some(corp()), ..row("g", team()) }, "is for one identity provider (`idp`)"),
        (MappingRow { group: None, ..row("g", team()) }, "has no `group`"),
        (row("g", MappingGives::Role("user".to_owned())), "gives an application-wide role (`role`)"),
        (row("g", MappingGives::AppGroups(vec!["b".to_owned()])), "gives application groups (`app_groups`)"),
    ];
    for (wrong, what) in cases {
        let mapping = vec![row("g", team()), wrong];
        let NotExchangeable(faults) = exchange::of(&Provisioning { mapping, ..settings() }).unwrap_err();
        assert_eq!(faults, [format!("provisioning.mapping[1] {what}, which the JSON form cannot say")]);
    }
    let labelled = MappingRow { label: Some("People".to_owned()), ..privileged(row("g", team())) };
    let exported = exchange::of(&Provisioning { mapping: vec![labelled], ..settings() }).unwrap();
    assert_eq!(exported.mapping.mappings.len(), 1);
    assert_eq!(exported.left_out.len(), 2);
}

fn name() -> impl Strategy<Value = String> {
    "[^\\s\\p{C}]([^\\p{C}]{0,12}[^\\s\\p{C}])?"
}

proptest! {
    #[test]
    fn f5_every_mapping_in_the_json_form_survives_import_and_export(
        owners in prop::collection::btree_set(name(), 0..4),
        rows in prop::collection::vec((name(), name(), prop::option::of(name()), any::<bool>()), 0..6),
    ) {
        let row = |(group, name, role, permission): &(String, String, Option<String>, bool)| match (permission, role) {
            (true, _) => json!({ "group_name": group, "tenant_permission": name }),
            (false, None) => json!({ "group_name": group, "team_name": name }),
            (false, Some(role)) => json!({ "group_name": group, "team_name": name, "role_name": role }),
        };
        let mut document = json!({ "mappings": rows.iter().map(row).collect::<Vec<_>>() });
        if !owners.is_empty() {
            document["tenant_owners_groups"] = json!(owners);
        }
        let read = exchange::read(&document.to_string()).unwrap();
        let exported = exchange::of(&imported(&read)).unwrap().mapping;
        prop_assert_eq!(serde_json::to_value(&exported).unwrap(), document);
        let parsed: toml::Table = format!("rows = {}", read.rows_toml()).parse().unwrap();
        prop_assert_eq!(parsed["rows"].as_array().unwrap().len(), rows.len());
    }
}
