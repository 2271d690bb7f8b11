//! What the language does, and above all what it refuses.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::model::session::SessionAccount;
use crate::model::{
    AccountId, AccountProfile, Claims, Entitlements, Grant, GrantSource, IdpId, MemberId, Subject,
};

struct Person {
    idp: IdpId,
    subject: Subject,
    claims: Claims,
    account: Option<SessionAccount>,
    grant: Grant,
}

impl Person {
    fn facts(&self) -> SessionFacts<'_> {
        SessionFacts {
            idp: &self.idp,
            subject: &self.subject,
            claims: &self.claims,
            account: self.account.as_ref(),
            grant: &self.grant,
        }
    }

    fn context(&self) -> Context {
        Context::of_session(self.facts()).with_request(RequestFacts {
            method: "GET",
            path: "/admin/users",
            ip: "::ffff:10.1.2.3".parse().unwrap(),
        })
    }
}

fn ada() -> Person {
    let claims = json!({
        "groups": ["engineers", "admins"],
        "one_group": "superadmins",
        "role": "admin",
        "roles": ["first", "second"],
        "level": 7,
        "email_verified": true,
        "empty": [],
        "nothing": null,
        "scope": "read  write",
        "realm_access": { "roles": ["realm-admin"], "all": ["inner"] },
        "resource_access": { "my.client": { "roles": ["r1"] } },
        "dotted.name": "whole",
        "https://example.com/role": "boss",
        "all": "top",
        "given_name": "Ada",
        "family_name": "Example",
    });
    Person {
        idp: "corp".parse().unwrap(),
        subject: Subject::parse("s-1").unwrap(),
        claims: Claims::new(claims.as_object().unwrap().clone()).unwrap(),
        account: Some(SessionAccount {
            member: MemberId(Uuid::nil()),
            id: AccountId("42".to_owned()),
            profile: AccountProfile {
                username: "ada".to_owned(),
                email: Some("ada@example.com".to_owned()),
                display_name: None,
                attributes: BTreeMap::from([("phone".to_owned(), "123".to_owned())]),
            },
        }),
        grant: Grant {
            entitlements: Entitlements {
                role: Some("user".to_owned()),
                teams: BTreeMap::from([("acme/dev".to_owned(), None), ("acme/ops".to_owned(), None)]),
                permissions: BTreeSet::from(["a,b".to_owned()]),
                owner: true,
                ..Entitlements::default()
            },
            source: GrantSource::Session,
        },
    }
}

fn holds(source: &str) -> Result<bool, ExprError> {
    Condition::compile(source).unwrap_or_else(|e| panic!("{source}: {e}")).holds(&ada().context())
}

fn render(source: &str) -> Result<Option<String>, ExprError> {
    Template::compile(source).unwrap_or_else(|e| panic!("{source}: {e}")).render(&ada().context())
}

/// The message, with what it underlines.
fn refusal(source: &str) -> String {
    match Condition::compile_located(source) {
        Ok(_) => panic!("{source} was accepted"),
        Err(located) => format!("{} <{}>", located, &source[located.span.clone()]),
    }
}

#[test]
fn conditions_that_hold() {
    for source in [
        "'admins' in claims.groups",
        "'admins' in claims.groups.all",
        "'superadmins' in claims.one_group",
        "'admin' not in claims.groups",
        "not 'admin' in claims.groups",
        "claims.role == 'admin'",
        "'admin' == claims.role",
        "claims.roles == 'first'",
        "claims.roles in ['second', 'x']",
        "claims.roles not in ['x']",
        "claims.role in claims.role",
        "claims.level == '7'",
        "claims.level | int >= 7",
        "claims.level | int == 7",
        "claims.email_verified == 'true'",
        "claims.email_verified | bool",
        "claims.groups | length == 2",
        "claims.groups | first == 'engineers'",
        "claims.groups | last == 'admins'",
        "'write' in claims.scope | split(' ')",
        "claims.scope | split(' ') | length == 2",
        "'realm-admin' in claims.realm_access.roles",
        "'inner' in claims.realm_access['all']",
        "'r1' in claims.resource_access['my.client'].roles",
        "claims.dotted.name == 'whole'",
        "claims['dotted.name'] == 'whole'",
        "claims['https://example.com/role'] == 'boss'",
        "claims.all == 'top'",
        "claims.role is defined",
        "claims.absent is undefined",
        "claims.nothing is undefined",
        "claims.absent is undefined or claims.absent == 'x'",
        "not (claims.absent is defined and claims.absent == 'x')",
        "claims.get('absent') == ''",
        "claims.get('role') == 'admin'",
        "'x' not in claims.get('absent')",
        "claims.absent | default('none') == 'none'",
        "'x' in claims.absent | default(['x'])",
        "claims.role is startingwith('adm')",
        "account.email is endingwith('@example.com')",
        "account.email is containing('ada@')",
        "account.username == 'ada'",
        "account.attributes.phone == '123'",
        "account.attributes['phone'] == '123'",
        "account.display_name is undefined",
        "member.id == '00000000-0000-0000-0000-000000000000'",
        "grant.role == 'user' and grant.owner",
        "grant.role != 'admin'",
        "'acme/dev' in grant.teams",
        "grant.source == 'session'",
        "idp.id == 'corp'",
        "idp.id != 'partner'",
        "idp.id in ['partner', 'corp']",
        "subject == 's-1'",
        "request.method == 'GET'",
        "request.method in ['GET', 'HEAD']",
        "request.path == '/admin/users'",
        "request.path is under('/admin')",
        "request.path is under('/')",
        "request.path is under('/admin/users')",
        "request.path is startingwith('/admin/')",
        "not request.path is under('/adm')",
        "request.ip == '10.1.2.3'",
        "request.ip in ['10.9.9.9', '::ffff:10.1.2.3']",
        "request.ip is within('192.168.0.0/16', '10.0.0.0/8')",
        "request.ip is not within('fd00::/8')",
        "(claims.role if claims.role is defined else 'x') == 'admin'",
        "grant.owner if claims.role == 'admin' else false",
        "claims.role | upper == 'ADMIN'",
        "claims.given_name ~ claims.family_name == 'AdaExample'",
        "true",
    ] {
        assert_eq!(holds(source), Ok(true), "{source}");
    }
}

#[test]
fn membership_is_exact_whatever_the_claim_came_as() {
    // One text that contains the word, one list with longer words: never a part of a text.
    for source in [
        "'admins' in claims.one_group",
        "'super' in claims.one_group",
        "'' in claims.one_group",
        "'engineer' in claims.groups",
        "'ADMINS' in claims.groups",
        "'admins ' in claims.groups",
        "'engineers,admins' in claims.groups",
        "'acme' in grant.teams",
        "'roles' in claims.realm_access",
    ] {
        assert_eq!(holds(source), Ok(false), "{source}");
    }
}

#[test]
fn a_later_value_of_a_claim_cannot_pass_by_a_ban() {
    assert_eq!(holds("'second' not in claims.roles"), Ok(false));
    assert_eq!(holds("claims.roles not in ['second']"), Ok(false));
    assert_eq!(holds("not claims.roles in ['second']"), Ok(false));
    insta::assert_snapshot!(refusal("claims.roles != 'second'"), @"`!=` would look at the claim's first value only, and pass where a later one is meant to be barred; write `'second' not in claims.roles` <claims.roles != 'second'>");
}

#[test]
fn an_absent_value_in_a_condition_is_an_error() {
    for source in [
        "'x' in claims.absent",
        "'x' not in claims.absent",
        "claims.absent == 'x'",
        "claims.absent in ['x']",
        "claims.absent not in ['x']",
        "not claims.absent == 'x'",
        "claims.absent == 'x' or claims.role == 'admin'",
        "claims.nothing == 'x'",
        "claims.empty == 'x'",
        "claims.realm_access == 'x'",
        "claims.realm_access.absent == 'x'",
        "claims.role.deeper == 'x'",
        "account.display_name == 'x'",
        "account.attributes.nothing == 'x'",
        "claims.empty | first == 'x'",
        "claims.absent | length == 0",
        "(claims.role if claims.role == 'x') == 'admin'",
    ] {
        assert!(matches!(holds(source), Err(ExprError::Undefined(_))), "{source}: {:?}", holds(source));
    }
    let no_account = Person { account: None, ..ada() };
    for source in ["account.id == '42'", "account.username != 'root'", "member.id == 'x'"] {
        let condition = Condition::compile(source).unwrap();
        assert!(matches!(condition.holds(&no_account.context()), Err(ExprError::Undefined(_))), "{source}");
    }
}

#[test]
fn a_request_variable_without_a_request_is_an_error() {
    let ada = ada();
    for source in
        ["request.method == 'GET'", "request.ip is within('0.0.0.0/0')", "request.path is under('/')"]
    {
        let condition = Condition::compile(source).unwrap();
        // `under('/')` is true of every path; that there is none is still seen first.
        assert!(matches!(condition.holds_for(ada.facts(), None), Err(ExprError::Undefined(_))), "{source}");
    }
}

#[test]
fn values_that_do_not_fit_are_errors() {
    for source in ["claims.role | int > 3", "claims.role | bool", "grant.permissions | join(',') == 'a,b'"] {
        assert!(matches!(holds(source), Err(ExprError::Failed(_))), "{source}: {:?}", holds(source));
    }
}

#[test]
fn what_looks_like_a_check_and_is_none_is_refused_at_load() {
    let refusals: Vec<String> = [
        "claims.role",
        "grant.teams",
        "grant.role",
        "'admin'",
        "1",
        "request.ip",
        "claims.role and grant.owner",
        "not claims.role",
        "claims.groups == ['a']",
        "grant.teams == 'a'",
        "grant.role == ['user']",
        "claims.level == 7",
        "claims.level > 3",
        "claims.level > '3'",
        "claims.email_verified == true",
        "grant.owner == true",
        "grant.owner == 'true'",
        "'user' in grant.role",
        "'/admin' in request.path",
        "'admin' in 'administrator'",
        "grant.teams in ['a']",
        "claims.role in []",
        "1 in claims.level",
        "'a' == 'a'",
        "1 < 2",
        "claims.role == claims.role",
        "'a' in ['a', 'b']",
        "1 < claims.level | int < 3",
        "request.method == 'get'",
        "request.method in ['GET', 'post']",
        "request.path == 'admin'",
        "request.path is startingwith('/admin')",
        "request.path is under('admin')",
        "request.path is under('/admin/')",
        "claims.role is under('/x')",
        "request.ip == '10.0.0.0/8'",
        "request.ip == claims.ip",
        "request.ip in claims.ips",
        "request.ip is within('10.0.0.1/8')",
        "request.ip is within('office')",
        "grant.source == 'idp'",
        "idp.id == 'Corp'",
        "claims.role | lower == 'Admin'",
        "claims.role is startingwith('')",
        "subject is defined",
        "request.path is defined",
        "claims.get('x') is defined",
        "claims.x | default('') is defined",
        "grant.teams is defined",
        "claims.role == none",
        "claims.groups[0] == 'a'",
        "claims[subject] == 'a'",
        "claims.role.startswith('a')",
        "claims.role[0:2] == 'ad'",
        "claims.level + 1 == 3",
        "claims.role = 'admin'",
        "claims.role =",
        "",
        "claims == 'x'",
        "range(10)",
        "claims.groups | join(claims.sep) == 'x'",
        "claims.groups | join('') == 'x'",
        "claims.role | default([]) == 'x'",
        "claims.groups | frist == 'x'",
        "claims.role is startngwith('x')",
        "claims.role is eq('x')",
        "claims.role | lower('x') == 'a'",
        "{'a': 1}",
        "1.5 < claims.level | int",
    ]
    .into_iter()
    .map(|source| format!("{source}\n    {}", refusal(source)))
    .collect();
    insta::assert_snapshot!(refusals.join("\n"));
}

#[test]
fn unknown_names_are_refused_with_the_nearest() {
    insta::assert_snapshot!(
        [
            "claim.groups == 'a'",
            "account.usrname == 'a'",
            "grant.team | length > 0",
            "ip == 'a'",
            "request.methd == 'GET'",
            "user.name == 'x'",
            "subject.id == 'x'"
        ]
        .map(refusal)
        .join("\n")
    );
}

#[test]
fn templates_write_what_they_are_given() {
    for (source, expected) in [
        ("{{ account.username }}", "ada"),
        ("{{ claims.given_name }} {{ claims.family_name }}", "Ada Example"),
        ("{{ claims.groups }}", "engineers"),
        ("{{ claims.level }}", "7"),
        ("{{ claims.groups | join(',') }}", "engineers,admins"),
        ("{{ claims.groups | sort | join('; ') }}", "admins; engineers"),
        ("{{ grant.teams | join(',') }}", "acme/dev,acme/ops"),
        ("{{ grant.owner }}", "true"),
        ("{{ grant.teams | length }}", "2"),
        ("{{ 'admin' if 'admins' in claims.groups else 'user' }}", "admin"),
        ("{% if grant.owner %}owner{% else %}member{% endif %}", "owner"),
        ("{% if not grant.owner %}a{% elif claims.role == 'admin' %}b{% else %}c{% endif %}", "b"),
        ("{{ claims.absent | default('-') }}", "-"),
        ("{{ claims.get('absent') }}", ""),
        ("{{ account.email | split('@') | first }}", "ada"),
        ("{{ account.email | replace('@', ' at ') }}", "ada at example.com"),
        ("{{ claims.empty | join(',') }}", ""),
        ("constant", "constant"),
        ("", ""),
        ("<{{ claims.given_name ~ '&' }}>", "<Ada&>"),
    ] {
        assert_eq!(render(source), Ok(Some(expected.to_owned())), "{source}");
    }
}

#[test]
fn a_template_that_asks_for_something_absent_gives_nothing() {
    for source in [
        "{{ claims.absent }}",
        "x {{ account.display_name }}",
        "{{ claims.empty }}",
        "{{ 'admin' if claims.role == 'x' }}",
        "{% if claims.absent == 'x' %}a{% endif %}",
    ] {
        assert_eq!(render(source), Ok(None), "{source}");
    }
    let no_account = Person { account: None, ..ada() };
    assert_eq!(Template::compile("{{ account.username }}").unwrap().render(&no_account.context()), Ok(None));
    assert_eq!(Template::compile("{{ account.username }}").unwrap().render_for(no_account.facts()), Ok(None));
}

#[test]
fn g5_a_value_with_the_separator_in_it_is_never_joined() {
    assert!(matches!(render("{{ grant.permissions | join(',') }}"), Err(ExprError::Failed(_))));
    assert_eq!(render("{{ grant.permissions | join(';') }}"), Ok(Some("a,b".to_owned())));
    // The separator arises where two values meet.
    let claims = json!({ "x": ["a:", ":b"] });
    let person = Person { claims: Claims::new(claims.as_object().unwrap().clone()).unwrap(), ..ada() };
    let template = Template::compile("{{ claims.x | join('::') }}").unwrap();
    assert!(matches!(template.render(&person.context()), Err(ExprError::Failed(_))));
}

#[test]
fn invariant_8_an_error_never_says_what_a_value_is() {
    let claims = json!({ "x": ["ada@example.com,root"] });
    let person = Person { claims: Claims::new(claims.as_object().unwrap().clone()).unwrap(), ..ada() };
    for source in ["claims.x | int > 3", "claims.x | bool", "claims.x | join(',') == 'a'"] {
        let error = Condition::compile(source).unwrap().holds(&person.context()).unwrap_err();
        assert!(matches!(error, ExprError::Failed(_)), "{source}: {error}");
        assert!(!error.to_string().contains("ada@"), "{source}: {error}");
    }
}

#[test]
fn variables_are_refused_where_they_have_no_meaning() {
    let header = |source: &str| Template::compile(source).unwrap_err();
    assert!(
        matches!(header("{{ request.path }}"), ExprError::NotHere { name, place: "in a header", .. } if name == "request.path")
    );
    assert!(matches!(
        header("{% if request.ip is within('10.0.0.0/8') %}x{% endif %}"),
        ExprError::NotHere { .. }
    ));
    let attribute = |source: &str| Template::compile_located(source, Place::Attribute).unwrap_err().error;
    for source in ["{{ account.username }}", "{{ grant.role }}", "{{ member.id }}", "{{ request.path }}"] {
        assert!(matches!(attribute(source), ExprError::NotHere { .. }), "{source}");
    }
    assert!(
        Template::compile_located("{{ claims.name }} {{ subject }} {{ idp.id }}", Place::Attribute).is_ok()
    );
}

#[test]
fn templates_refuse_what_is_neither_text_nor_choice() {
    for source in [
        "{{ claims.groups.all }}",
        "{{ grant.teams }}",
        "{% for x in grant.teams %}{{ x }}{% endfor %}",
        "{% set x = 1 %}",
        "{% include 'x' %}",
        "{% macro m() %}{% endmacro %}",
        "{{ claims.name",
        "{{ }}",
        "{% if claims.role %}x{% endif %}",
        "{{ nobody }}",
    ] {
        assert!(Template::compile(source).is_err(), "{source}");
    }
}

#[test]
fn sources_and_results_are_bounded() {
    let long = format!("'{}' == subject", "a".repeat(engine::MAX_SOURCE));
    assert_eq!(Condition::compile(&long).unwrap_err(), ExprError::TooLong { limit: engine::MAX_SOURCE });
    for source in [
        format!("{}subject == 'a'", "not ".repeat(300)),
        format!("subject == 'a'{}", " or subject == 'a'".repeat(100)),
        format!("subject{} == 'a'", "|trim".repeat(300)),
        format!("claims{} == 'a'", ".a".repeat(900)),
        format!("{}subject == 'a'{}", "(".repeat(400), ")".repeat(400)),
    ] {
        let _ = Condition::compile(&source);
    }
    let deep = format!("{}subject == 'a'", "not ".repeat(300));
    assert!(Condition::compile(&deep).is_err());
    let claims = json!({ "x": "a".repeat(5000) });
    let person = Person { claims: Claims::new(claims.as_object().unwrap().clone()).unwrap(), ..ada() };
    let rendered = |source: &str| Template::compile(source).unwrap().render(&person.context());
    assert!(matches!(rendered("{{ claims.x }}{{ claims.x }}"), Err(ExprError::Failed(_))));
    assert!(matches!(rendered("{{ claims.x | replace('a', claims.x) }}"), Err(ExprError::Failed(_))));
    assert!(rendered("{{ claims.x }}").unwrap().is_some());
}

#[test]
fn identity_providers_that_a_rule_names_are_known_to_the_loader() {
    let condition =
        Condition::compile("idp.id == 'corp' and (grant.owner or not idp.id in ['a', 'b'])").unwrap();
    assert_eq!(condition.named_idps(), ["corp", "a", "b"]);
}

#[test]
fn claims_that_are_looked_at_are_known_to_whoever_asks_for_them() {
    let condition =
        Condition::compile("'a' in claims.groups.all or claims.get('x') == 'y' or claims.groups == 'b'")
            .unwrap();
    assert_eq!(condition.claims(), ["groups", "x"]);
    let template =
        Template::compile("{% if grant.owner %}{{ claims.realm_access.roles | first }}{% endif %}").unwrap();
    assert_eq!(template.claims(), ["realm_access.roles"]);
}

#[test]
fn every_variable_of_the_table_can_be_used_where_it_says() {
    for variable in variables::VARIABLES {
        let name = variable.name.replace('*', "x");
        for place in [Place::Rule, Place::Header, Place::Attribute, Place::Mapping, Place::Console] {
            let condition = format!("{{% if {name} | default('x') == 'x' %}}{{% endif %}}");
            let as_list = format!("{{{{ {name} | join(',') }}}}");
            let as_flag = format!("{{{{ {name} }}}}");
            let compiles = [condition, as_list, as_flag]
                .iter()
                .any(|source| Template::compile_located(source, place).is_ok());
            assert_eq!(compiles, variable.places.contains(&place), "{name} {place:?}");
        }
    }
}

#[test]
fn every_filter_and_test_of_the_tables_is_known() {
    for operation in docs::FILTERS {
        let source = operation.usage.replace("value", "claims.x").replace("text |", "claims.x |");
        let source = source.replace("list |", "claims.x |");
        assert!(
            Template::compile(&format!("{{{{ ({source}) if true }}}}")).is_ok()
                || Template::compile(&format!("{{{{ {source} }}}}")).is_ok()
                || Condition::compile(&format!("'a' in {source}")).is_ok(),
            "{source}"
        );
    }
    for operation in docs::TESTS {
        for usage in operation
            .usage
            .split(", '")
            .map(|u| if u.starts_with('a') { format!("'{u}") } else { u.to_owned() })
        {
            if operation.name == "within" {
                continue;
            }
            let source = usage.replace("text is", "claims.x is").replace("list", "claims.x");
            assert!(Condition::compile(&source).is_ok(), "{source}");
        }
    }
}

proptest! {
    #[test]
    fn no_source_makes_the_compiler_panic(source in "[a-z.'(){}%| =!<>0-9\\[\\],~-]{0,60}") {
        let _ = Condition::compile(&source);
        let _ = Template::compile(&source);
    }

    #[test]
    fn no_combination_of_known_parts_panics_or_gives_other_than_a_boolean(
        parts in proptest::collection::vec(prop_oneof![
            Just("claims.groups"), Just("claims.absent"), Just("'a'"), Just("=="), Just("in"), Just("not"), Just("and"),
            Just("or"), Just("| first"), Just("| join(',')"), Just("is defined"), Just("("), Just(")"), Just("grant.owner"),
            Just("grant.teams"), Just("['a']"), Just("| default('x')"), Just("if"), Just("else"), Just("1"), Just("| length"),
            Just("request.ip"), Just("request.path"), Just("~"), Just("{{"), Just("}}"), Just("{% if"), Just("%}"), Just("{% endif %}"),
        ], 0..12)
    ) {
        let source = parts.join(" ");
        if let Ok(condition) = Condition::compile(&source) {
            let _ = condition.holds(&ada().context());
        }
        if let Ok(template) = Template::compile(&source) {
            let _ = template.render(&ada().context());
        }
    }
}
