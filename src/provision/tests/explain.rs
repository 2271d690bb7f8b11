//! X1: what is shown is what runs.

use proptest::prelude::*;
use serde_json::json;

use super::fake::{Mishap, account, unreachable};
use super::*;
use crate::config::settings::{Attribute, AttributeSource, SyncRemoves};
use crate::expr::{Condition, Context, Place, Template};
use crate::model::{Account, CaseStanding, ErrorId, Facet};
use crate::provision::explain::{Ending, Explanation, Found};
use crate::provision::plan::Operation;
use crate::provision::provisioner::How;
use crate::provision::rehearse::{Telling, show_headers};
use crate::provision::rows::RowOutcome;
use crate::store::RehearsalStore;

pub(super) fn telling(world: &World) -> Telling {
    let header = |name: &str, template: &str| (name.to_owned(), Template::compile(template).unwrap());
    let headers = [
        header("x-user", "{{ account.username }}"),
        header("x-role", "{{ grant.role }}"),
        header("x-teams", "{{ grant.teams | join(';') }}"),
        header("x-source", "{{ grant.source }}"),
        header("x-name", "{{ claims.name }}"),
    ];
    let render = move |context: &Context| {
        let one =
            |(name, template): &(String, Template)| Some((name.clone(), template.render(context).ok()??));
        headers.iter().filter_map(one).collect::<Vec<(String, String)>>()
    };
    Telling { store: world.store.clone(), headers: show_headers(render) }
}

impl World {
    pub(super) fn telling_process(&self) -> Provisioner {
        self.process().explaining(telling(self))
    }

    /// A sign-in under this number, and what was kept of it.
    pub(super) async fn told_login(
        &self,
        identity: &Identity,
        number: u64,
    ) -> (Result<Provisioned, ProvisionError>, Explanation) {
        let id = ErrorId::from_random(number.to_be_bytes());
        let process = self.telling_process();
        // As for a process that has been running for a while.
        let _ = process.rehearse(identity).await;
        let result = process.provision_as(Verified::for_tests(identity.clone()), &id).await;
        let record = self.store.find_told(id.as_str()).await.unwrap().unwrap();
        (result, serde_json::from_str(&record).unwrap())
    }
}

/// Without what says only that nothing was done.
pub(super) fn as_done(explanation: Explanation) -> Explanation {
    Explanation { rehearsed: false, ..explanation }
}

fn written(plan: &[Operation]) -> Vec<&'static str> {
    plan.iter()
        .map(|operation| match operation {
            Operation::Create { .. } => "!create",
            Operation::CreateTeam(_) => "!create_team",
            Operation::Entitle(_) => "!entitle",
            Operation::Update(_) => "!update",
            Operation::Reactivate => "!reactivate",
        })
        .collect()
}

fn writes(world: &World) -> Vec<String> {
    let verb = |call: String| call.split(' ').next().unwrap().to_owned();
    world.app.writes().into_iter().map(verb).collect()
}

/// Rehearses, signs in, and holds one against the other and against what the application saw.
async fn hold_against(world: &World, identity: &Identity, number: u64) -> Result<(), TestCaseError> {
    world.app.forget_calls();
    let before = world.app.accounts();
    let rehearsed = world.telling_process().rehearse(identity).await;
    prop_assert!(rehearsed.rehearsed);
    prop_assert_eq!(writes(world), Vec::<String>::new());
    prop_assert_eq!(&world.app.accounts(), &before);
    let (result, told) = world.told_login(identity, number).await;
    prop_assert!(!told.rehearsed);
    match (&result, &told.ending) {
        (Ok(provisioned), Ending::Admitted(admitted)) => {
            prop_assert_eq!(&as_done(rehearsed), &told);
            prop_assert_eq!(writes(world), written(&told.plan.operations));
            prop_assert_eq!(provisioned.grant(), &admitted.grant);
            let account = provisioned.account().unwrap();
            prop_assert_eq!(&account.profile, &admitted.profile);
            let held = world.app.account(&admitted.profile.username);
            prop_assert_eq!(&held.entitlements, &admitted.holds);
            prop_assert_eq!(&held.id, &account.id);
        }
        (Ok(provisioned), Ending::WithoutAccount { .. }) => {
            prop_assert_eq!(&as_done(rehearsed), &told);
            prop_assert!(provisioned.account().is_none());
            prop_assert_eq!(&world.app.accounts(), &before);
        }
        (Err(error), Ending::Refused(refusal)) => {
            prop_assert_eq!(&rehearsed.ending, &told.ending);
            prop_assert_eq!(error.code(), &refusal.code);
            prop_assert_eq!(&world.app.accounts(), &before);
        }
        (result, ending) => prop_assert!(false, "{result:?} is not {ending:?}"),
    }
    Ok(())
}

fn some<T: Clone + std::fmt::Debug + 'static>(all: &[T]) -> impl Strategy<Value = T> + use<T> {
    prop::sample::select(all.to_vec())
}

fn identities() -> impl Strategy<Value = Identity> {
    let words = |all: &'static [&'static str]| prop::option::of(prop::collection::vec(some(all), 0..3));
    let role = words(&["reader", "admin", "gardener", "user"]);
    let groups = words(&["engineers", "auditors", "platform-admins", "founders", "nobody"]);
    let teams = words(&["public", "acme/readers::maintainer", "acme/new", "secret", "acme/owners"]);
    let email = some(&[
        json!("ada@example.com"),
        json!("ADA@example.com"),
        json!("a@other.test"),
        json!(null),
        json!("not an address"),
    ]);
    (role, groups, teams, email, any::<bool>(), some(&[json!("it"), json!(null), json!("sales")])).prop_map(
        |(role, groups, teams, email, verified, department)| {
            ada(json!({
                "role": role, "groups": groups, "teams": teams, "email": email,
                "email_verified": verified, "department": department,
            }))
        },
    )
}

fn any_settings() -> impl Strategy<Value = Provisioning> {
    let rows = prop::collection::vec(0..8usize, 0..6).prop_map(|picked| {
        let when = |source: &str, row: MappingRow| MappingRow {
            when: Some(Condition::compile_at(source, Place::Mapping).unwrap()),
            ..row
        };
        let team = |name: &str, role: Option<&str>| MappingGives::Team {
            team: name.to_owned(),
            team_role: role.map(str::to_owned),
        };
        let all = [
            row("engineers", team("acme/developers", Some("maintainer"))),
            privileged(row("platform-admins", MappingGives::Role("admin".to_owned()))),
            row("auditors", MappingGives::Role("reader".to_owned())),
            row("engineers", MappingGives::AppGroups(vec!["builders".to_owned(), "none".to_owned()])),
            row("auditors", MappingGives::Permission("deploy".to_owned())),
            when("claims.department == 'it'", row("engineers", team("public", None))),
            privileged(row("founders", team("acme/owners", None))),
            MappingRow {
                group: None,
                ..when("claims.get('department') == 'sales'", row("", team("acme/new", None)))
            },
        ];
        picked.into_iter().map(|index| all[index].clone()).collect::<Vec<_>>()
    });
    let policies = (
        some(&[UnknownRole::Default, UnknownRole::Deny]),
        some(&[UnknownTeam::Skip, UnknownTeam::Create, UnknownTeam::Deny]),
        some(&[OnExisting::Adopt, OnExisting::Deny, OnExisting::Ask]),
        some(&[SessionRoles::Headers, SessionRoles::Off, SessionRoles::Borrow]),
    );
    let facets = some(&[vec![], Facet::ALL.to_vec(), vec![Facet::Teams, Facet::Role], vec![Facet::Profile]]);
    let lifecycle = (facets, some(&[SyncRemoves::Given, SyncRemoves::All]), any::<bool>()).prop_map(
        |(facets, sync_removes, rename)| Lifecycle {
            sync: facets.into_iter().collect(),
            sync_removes,
            rename,
            ..Lifecycle::default()
        },
    );
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let others = (
        some(&[Mode::Jit, Mode::Jit, Mode::Jit, Mode::Off]),
        some(&[Unprovisioned::Deny, Unprovisioned::Forward]),
    );
    let source = some(&["{{ claims.name }}", "{{ claims.department }}", "{{ claims.name | int }}"]);
    (rows, policies, flags, others, (source, lifecycle)).prop_map(
        |(mapping, (unknown_role, unknown_team, on_existing, session_roles), flags, others, last)| {
            let (source, lifecycle) = last;
            let (match_username, absent_groups_are_none, restricted, link_identities) = flags;
            let template = Template::compile_located(source, Place::Attribute).unwrap();
            let source = AttributeSource::Template(template);
            let attribute = Attribute { source, required: None, enabled: true };
            let (mode, unprovisioned) = others;
            Provisioning {
                mode,
                unprovisioned,
                mapping,
                unknown_role,
                unknown_team,
                on_existing,
                session_roles,
                lifecycle,
                link_identities,
                match_username,
                absent_groups_are_none,
                allowed_email_domains: if restricted { vec!["example.com".to_owned()] } else { Vec::new() },
                attributes: BTreeMap::from([("display_name".to_owned(), attribute)]),
                ..settings()
            }
        },
    )
}

/// Who has the address already: nobody, the person by another provider, or somebody of the same one.
fn earlier_member() -> impl Strategy<Value = Option<Identity>> {
    let mut elsewhere = ada(json!({}));
    elsewhere.idp = "other".parse().unwrap();
    let mut former = ada(json!({}));
    former.subject = Subject::parse("a former one").unwrap();
    some(&[None, None, Some(elsewhere), Some(former)])
}

/// What the application has of this person before.
fn earlier_accounts() -> impl Strategy<Value = Vec<Account>> {
    let ada = || account("old", "ada", "ada@example.com");
    some(&[
        vec![],
        vec![],
        vec![account("1", "bob", "bob@example.com")],
        vec![ada()],
        vec![account("old", "countess", "ada@example.com")],
        vec![account("old", "ada", "someone@example.com")],
        vec![Account { privileged: true, ..ada() }],
        vec![Account { active: false, ..ada() }],
        vec![ada(), account("2", "other", "ada@example.com")],
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: tries(200), ..ProptestConfig::default() })]

    #[test]
    fn x1_what_explain_says_is_what_the_sign_in_does(
        first in identities(),
        second in identities(),
        settings in any_settings(),
        later in any_settings(),
        accounts in earlier_accounts(),
        member in earlier_member(),
        decision in some(&[CaseStanding::Linked, CaseStanding::Denied]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::with(settings);
            for account in accounts {
                world.app.has(account);
            }
            // G1 is in nobody's way.
            world.app.has(Account { privileged: true, ..account("root", "root", "root@example.com") });
            if let Some(member) = member {
                // Whether or not that account is to be had.
                let _ = world.process().provision(Verified::for_tests(member)).await;
                world.later(crate::provision::leases::LANDING);
            }
            hold_against(&world, &first, 1).await?;
            for case in world.cases().await {
                world.decide(&case, decision).await;
            }
            // The same person with other claims, under other settings: a member by now, or not.
            world.settings = later;
            // Nobody waits for the session of the first sign-in.
            world.later(crate::provision::leases::LANDING);
            hold_against(&world, &second, 2).await
        })?;
    }
}

#[tokio::test]
async fn x1_a_first_sign_in_is_told_with_every_decision() {
    let world = World::new();
    let identity = ada(json!({ "role": "admin", "teams": ["secret"] }));
    let (_, told) = world.told_login(&identity, 1).await;
    assert_eq!(told.found, Found::Nothing);
    assert!(told.email.as_ref().is_some_and(|email| email.verified));
    let outcomes: Vec<bool> = told.rows.iter().map(|row| row.outcome == RowOutcome::Holds).collect();
    assert_eq!(outcomes, [true, false, false, true, true]);
    let wanted = told.wanted.as_ref().unwrap();
    assert_eq!(wanted.entitled.skipped.len(), 2, "{:?}", wanted.entitled.skipped);
    let Ending::Admitted(admitted) = &told.ending else { panic!("{:?}", told.ending) };
    assert_eq!((admitted.how, admitted.profile.username.as_str()), (How::Created, "ada"));
    let headers: Vec<&str> = admitted.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(headers, ["x-name", "x-role", "x-source", "x-teams", "x-user"]);
    let summary = told.summary();
    assert_eq!((summary.outcome.as_str(), summary.gains.len(), summary.loses.len()), ("created", 4, 0));
}

#[tokio::test]
async fn x1_a_refused_sign_in_is_told_with_its_rule_and_what_was_decided_before() {
    let world = World::new();
    world.app.has(Account { privileged: true, ..account("root", "ada", "ada@example.com") });
    let (result, told) = world.told_login(&ada(json!({})), 1).await;
    assert!(matches!(result, Err(ProvisionError::PrivilegedAccount { .. })));
    let Ending::Refused(refusal) = &told.ending else { panic!("{:?}", told.ending) };
    assert_eq!((refusal.code.as_str(), refusal.rule.as_deref()), ("privileged_account", Some("F7")));
    assert_eq!(told.wanted.as_ref().unwrap().profile.profile.username, "ada");
    assert_eq!(told.plan.operations, []);
}

#[tokio::test]
async fn x1_who_comes_while_the_account_is_made_is_told_as_having_found_it() {
    let world = World::new();
    let process = world.telling_process();
    let ids: Vec<ErrorId> = (1..=5u64).map(|number| ErrorId::from_random(number.to_be_bytes())).collect();
    let logins = ids.iter().map(|id| process.provision_as(Verified::for_tests(ada(json!({}))), id));
    for result in futures_util::future::join_all(logins).await {
        result.unwrap();
    }
    let mut created = 0;
    for id in &ids {
        let record = world.store.find_told(id.as_str()).await.unwrap().unwrap();
        let told: Explanation = serde_json::from_str(&record).unwrap();
        match told.found {
            Found::Nothing => created += 1,
            Found::Member(_) => assert_eq!(told.plan.operations, []),
            found => panic!("{found:?}"),
        }
    }
    assert_eq!(created, 1);
}

#[tokio::test]
async fn x1_an_unfinished_account_is_told_as_completed_with_the_rest_that_was_done() {
    let world = World::new();
    world.app.next(
        "entitle",
        Mishap::Error(crate::provision::ConnectorError::Refused {
            operation: "entitle",
            status: 400,
            excerpt: String::new(),
        }),
    );
    let (result, told) = world.told_login(&ada(json!({})), 1).await;
    assert!(result.is_err() && matches!(told.ending, Ending::Refused(_)));
    let (result, told) = world.told_login(&ada(json!({})), 2).await;
    result.unwrap();
    assert!(matches!(told.found, Found::Unfinished(_)), "{:?}", told.found);
    assert_eq!(written(&told.plan.operations), ["!entitle"]);
    assert_eq!(told.summary().outcome, "completed");
}

#[tokio::test]
async fn x1_an_application_that_cannot_be_asked_is_a_refusal_that_passes() {
    let world = World::new();
    for _ in 0..3 {
        world.app.next("find", unreachable(false));
    }
    let rehearsed = world.telling_process().rehearse(&ada(json!({}))).await;
    let Ending::Refused(refusal) = &rehearsed.ending else { panic!("{:?}", rehearsed.ending) };
    assert!(refusal.retryable, "{refusal:?}");
    assert_eq!(refusal.code, "application_unreachable");
    assert!(rehearsed.wanted.is_some());
}
