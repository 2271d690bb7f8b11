//! Properties over arbitrary claims and settings.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::fake::{features, names as listed};
use super::*;
use crate::model::{Account, AccountId, Entitlements};
use crate::provision::attributes::shaped;
use crate::provision::connector::{AttributeShape, Kind};
use crate::provision::entitle::{Because, Entitled, Strictness, entitled};
use crate::provision::names::Names;
use crate::provision::plan::{Operation, Plan, Situation, changed, plan};
use crate::provision::resolve::{Decision, Question, resolve};

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "user",
        "reader",
        "admin",
        "owner",
        "acme/developers",
        "acme/owners",
        "acme/new",
        "public",
        "public::owner",
        "acme/readers::maintainer",
        "secret",
        "engineers",
        "founders",
        "platform-admins",
        "auditors",
        "sudo",
        "",
        "..",
        "acme/../x",
    ])
    .prop_map(str::to_owned)
}

fn words() -> impl Strategy<Value = Value> {
    prop_oneof![
        word().prop_map(Value::from),
        prop::collection::vec(word(), 0..5).prop_map(Value::from),
        Just(Value::Null),
        Just(json!({ "nested": "admin" })),
    ]
}

fn identities() -> impl Strategy<Value = Identity> {
    (words(), words(), words())
        .prop_map(|(role, groups, teams)| ada(json!({ "role": role, "groups": groups, "teams": teams })))
}

fn all_names() -> Names {
    Names::default()
        .with(Kind::Role, listed(&[("user", false), ("reader", false), ("admin", true), ("owner", true)]))
        .with(
            Kind::Team,
            listed(&[
                ("acme/developers", false),
                ("acme/readers", false),
                ("acme/owners", true),
                ("public", false),
            ]),
        )
        .with(Kind::TeamRole, listed(&[("maintainer", false), ("owner", true)]))
        .with(Kind::AppGroup, listed(&[("builders", false), ("newcomers", false)]))
        .with(Kind::Permission, listed(&[("deploy", false), ("sudo", true)]))
}

fn carried_out(plan: &Plan, start: Option<Account>) -> Option<Account> {
    plan.operations.iter().fold(start, |account, operation| match operation {
        Operation::Create { profile, role } => Some(Account {
            id: AccountId("1".to_owned()),
            profile: (**profile).clone(),
            active: true,
            privileged: false,
            entitlements: Entitlements { role: role.clone(), ..Entitlements::default() },
        }),
        Operation::Entitle(change) => account.map(|account| changed(account, change)),
        Operation::CreateTeam(_) | Operation::Update(_) | Operation::Reactivate => account,
    })
}

fn privileged(entitled: &Entitled) -> bool {
    let all = entitled.entitlements(None);
    let role = all.role.as_deref();
    matches!(role, Some("admin" | "owner"))
        || all.owner
        || all.teams.contains_key("acme/owners")
        || all.teams.values().any(|role| role.as_deref() == Some("owner"))
        || all.permissions.contains("sudo")
}

proptest! {
    #[test]
    fn l4_a_plan_that_was_carried_out_leaves_nothing_to_plan(
        identity in identities(),
        create_teams in any::<bool>(),
    ) {
        let unknown_team = if create_teams { UnknownTeam::Create } else { UnknownTeam::Skip };
        let settings = Provisioning { unknown_team, ..settings() };
        let decision = resolve(&Question {
            identity: &identity,
            settings: &settings,
            authority: &authority(),
            features: &features(),
            names: &all_names(),
            member: None,
            invited: None,
        });
        let Decision::Proceed(resolved) = decision else { panic!("{decision:?}") };
        let wanted = resolved.wanted.unwrap();
        let account = carried_out(&plan(&wanted, Situation::Absent), None).unwrap();
        prop_assert_eq!(&account.entitlements, &wanted.entitlements());
        prop_assert_eq!(plan(&wanted, Situation::Ours(&account)), Plan::default());
        prop_assert_eq!(plan(&wanted, Situation::Member(&account)), Plan::default());
        prop_assert_eq!(plan(&wanted, Situation::Adopted(&account)), Plan::default());
        // From wherever an attempt stopped, the rest leads to the same.
        let bare = Account { entitlements: Entitlements::default(), ..account.clone() };
        let completed = carried_out(&plan(&wanted, Situation::Ours(&bare)), Some(bare.clone())).unwrap();
        prop_assert_eq!(completed.entitlements, account.entitlements);
    }

    #[test]
    fn f4_no_privileged_entitlement_ever_comes_from_a_raw_claim(
        identity in identities(),
        later in any::<bool>(),
        unlisted in any::<bool>(),
    ) {
        let strictness = if later { Strictness::LaterLogin } else { Strictness::FirstLogin(None) };
        // Without rows and owners_groups only claims are left to give.
        let settings = Provisioning {
            mapping: Vec::new(),
            owners_groups: Vec::new(),
            assignable_teams: vec!["acme/*".to_owned(), "public".to_owned(), "secret".to_owned()],
            ..settings()
        };
        let names = if unlisted {
            // Teams are there to be named; of roles nothing is known.
            Names::default().with(Kind::Team, listed(&[("acme/owners", true), ("public", false)]))
        } else {
            all_names()
        };
        let entitled = entitled(&identity, &settings, &features(), &names, strictness).unwrap();
        prop_assert!(!privileged(&entitled), "{:?}", entitled.given);
        prop_assert!(!entitled.privileged());
    }

    #[test]
    fn f4_whatever_is_privileged_comes_from_a_marked_row_or_owners_groups(identity in identities()) {
        let entitled =
            entitled(&identity, &settings(), &features(), &all_names(), Strictness::FirstLogin(None)).unwrap();
        if privileged(&entitled) {
            let by_administrator = entitled.given.iter().any(|given| {
                given.privileged
                    && matches!(&given.because, Because::Row { position: 1, .. } | Because::OwnersGroup(_))
            });
            prop_assert!(by_administrator, "{:?}", entitled.given);
        }
    }

    #[test]
    fn g5_a_shaped_username_is_one_harmless_path_segment(said in ".{0,80}") {
        if let Some(username) = shaped(&said, AttributeShape::Username) {
            prop_assert!(username.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
            prop_assert!(username.starts_with(|c: char| c.is_ascii_alphanumeric()));
            prop_assert!(username.ends_with(|c: char| c.is_ascii_alphanumeric()));
            prop_assert!(!username.contains(".."));
            let again = shaped(&username, AttributeShape::Username);
            prop_assert_eq!(again.as_deref(), Some(username.as_str()));
        }
    }
}
