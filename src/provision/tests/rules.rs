//! The pure rules: F1, F2, F3, F4, F5, F7, L2, L7.

use serde_json::json;

use super::fake::{account, features, names as listed};
use super::*;
use crate::config::settings::{Attribute, AttributeSource};
use crate::model::{Account, AccountId, Entitlements, GrantSource};
use crate::provision::attributes::{AttributeOrigin, WantedProfile, profile, shaped};
use crate::provision::cases::{Meeting, Verdict, verdict};
use crate::provision::connector::{AttributeShape, CaseRule, Kind};
use crate::provision::eligibility::{IdentityEmail, admit};
use crate::provision::entitle::{
    Because, Entitled, Entitlement, Rule, SkipReason, Source, Strictness, entitled,
};
use crate::provision::existing::{choose, same_email, same_name, with_email, with_username};
use crate::provision::grant::grant;
use crate::provision::names::Names;
use crate::provision::resolve::{Decision, Question, Resolved, Wanted, resolve};

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
                ("secret", false),
            ]),
        )
        .with(Kind::TeamRole, listed(&[("member", false), ("maintainer", false), ("owner", true)]))
        .with(Kind::AppGroup, listed(&[("builders", false), ("newcomers", false)]))
        .with(Kind::Permission, listed(&[("deploy", false), ("sudo", true)]))
}

fn give(identity: &Identity, settings: &Provisioning) -> Result<Entitled, ProvisionError> {
    entitled(identity, settings, &features(), &all_names(), Strictness::FirstLogin(None))
}

fn given(claims: Value, settings: &Provisioning) -> Entitlements {
    give(&ada(claims), settings).unwrap().entitlements(None)
}

fn role_of(claims: Value, settings: &Provisioning) -> (String, Source) {
    let entitled = give(&ada(claims), settings).unwrap();
    let roles: Vec<_> = entitled
        .given
        .iter()
        .filter_map(|given| match &given.entitlement {
            Entitlement::Role(role) => Some((role.clone(), given.source)),
            _ => None,
        })
        .collect();
    let [one] = roles.as_slice() else { panic!("{roles:?}") };
    one.clone()
}

// F1

fn admitted(claims: Value, allowed: &[&str]) -> Result<Option<IdentityEmail>, ProvisionError> {
    let allowed_email_domains = allowed.iter().map(|domain| (*domain).to_owned()).collect();
    admit(&ada(claims), &Provisioning { allowed_email_domains, ..settings() }, &anyone())
}

fn anyone() -> Authority {
    Authority { domains: vec!["*".to_owned()], trust_email: false }
}

#[test]
fn f1_an_address_of_an_allowed_domain_comes_in_whatever_its_case() {
    for email in ["ada@example.com", "ada@EXAMPLE.com", "Ada@Example.Com"] {
        let email = admitted(json!({ "email": email }), &["example.com"]).unwrap().unwrap();
        assert!(email.verified);
        assert_eq!(email.address.domain(), "example.com");
    }
    let unicode = json!({ "email": "ada@bücher.example" });
    assert!(admitted(unicode, &["xn--bcher-kva.example"]).is_ok());
}

#[test]
fn f1_another_domain_is_refused_however_much_it_looks_like_an_allowed_one() {
    for email in [
        "a@evil.test",
        "a@example.com.evil.test",
        "a@notexample.com",
        "a@sub.example.com",
        "example.com@evil.test",
        "a@xn--example-.com.evil.test",
        "a@example.co",
    ] {
        let error = admitted(json!({ "email": email }), &["example.com"]).unwrap_err();
        let expected = matches!(
            error,
            ProvisionError::EmailDomainNotAllowed { .. } | ProvisionError::EmailInvalid { .. }
        );
        assert!(expected, "{email}: {error:?}");
    }
}

#[test]
fn f1_two_domains_in_one_address_are_refused() {
    let claims = json!({ "email": "a@evil.test@example.com" });
    let error = admitted(claims, &["example.com"]).unwrap_err();
    assert!(matches!(error, ProvisionError::EmailInvalid { .. }), "{error:?}");
}

#[test]
fn f1_a_missing_or_empty_e_mail_is_refused_where_domains_are_restricted() {
    for claims in [json!({ "email": null }), json!({ "email": "" }), json!({ "email": [] })] {
        let error = admitted(claims.clone(), &["example.com"]).unwrap_err();
        assert!(matches!(error, ProvisionError::EmailMissing { .. }), "{error:?}");
        assert_eq!(admitted(claims, &[]).unwrap(), None);
    }
}

#[test]
fn f1_differing_e_mail_claims_are_refused_and_agreeing_ones_are_not() {
    let differing = json!({ "mail": "eve@example.com" });
    let error = admitted(differing, &["example.com"]).unwrap_err();
    assert!(matches!(error, ProvisionError::EmailsDiffer { .. }), "{error:?}");
    assert!(admitted(json!({ "mail": "ADA@example.com" }), &["example.com"]).is_ok());
}

#[test]
fn f1_a_list_of_addresses_is_refused_and_a_list_of_one_is_not() {
    let several = json!({ "email": ["ada@example.com", "eve@example.com"] });
    let error = admitted(several, &["example.com"]).unwrap_err();
    assert!(matches!(error, ProvisionError::EmailInvalid { .. }), "{error:?}");
    assert!(admitted(json!({ "email": ["ada@example.com"] }), &["example.com"]).is_ok());
    let comma = json!({ "email": "ada@example.com,eve@example.com" });
    assert!(matches!(admitted(comma, &["example.com"]), Err(ProvisionError::EmailInvalid { .. })));
}

#[test]
fn f1_a_wildcard_allows_subdomains_and_not_the_domain_itself() {
    let allowed = &["*.example.com"];
    assert!(admitted(json!({ "email": "a@b.example.com" }), allowed).is_ok());
    assert!(admitted(json!({ "email": "a@c.b.example.com" }), allowed).is_ok());
    for email in ["a@example.com", "a@evilexample.com", "a@b.example.com.evil.test"] {
        let error = admitted(json!({ "email": email }), allowed).unwrap_err();
        assert!(matches!(error, ProvisionError::EmailDomainNotAllowed { .. }), "{email}: {error:?}");
    }
}

#[test]
fn f1_an_unverified_address_does_not_pass_a_restriction() {
    for unverified in [json!(false), json!(null), json!("no"), json!(1)] {
        let claims = json!({ "email_verified": unverified });
        let error = admitted(claims, &["example.com"]).unwrap_err();
        assert!(matches!(error, ProvisionError::EmailUnverified { .. }), "{error:?}");
    }
    let trusting = Authority { trust_email: true, ..anyone() };
    let unsaid = ada(json!({ "email_verified": null }));
    assert!(admit(&unsaid, &settings(), &trusting).unwrap().unwrap().verified);
}

#[test]
fn f1_a_provider_may_speak_for_its_domains_only() {
    let error = admit(&ada(json!({ "email": "a@other.test" })), &settings(), &authority()).unwrap_err();
    assert!(matches!(error, ProvisionError::EmailOutsideAuthority { .. }), "{error:?}");
    // One that may speak for none: the address is there, and proves nothing.
    let silent = Authority::default();
    assert!(!admit(&ada(json!({})), &settings(), &silent).unwrap().unwrap().verified);
}

#[test]
fn f1_email_verified_says_nothing_of_an_address_from_another_claim() {
    let source = AttributeSource::Claims(vec!["upn".to_owned()]);
    let attribute = Attribute { source, required: None, enabled: true };
    let attributes = BTreeMap::from([("email".to_owned(), attribute)]);
    let settings = Provisioning { attributes, ..settings() };
    let other = ada(json!({ "upn": "ceo@example.com" }));
    let email = admit(&other, &settings, &anyone()).unwrap().unwrap();
    assert_eq!((email.address.local(), email.verified), ("ceo", false));
    let same = ada(json!({ "upn": "ada@example.com" }));
    assert!(admit(&same, &settings, &anyone()).unwrap().unwrap().verified);
}

// F2

fn from_claim(claim: &str) -> Attribute {
    Attribute { source: AttributeSource::Claims(vec![claim.to_owned()]), required: None, enabled: true }
}

fn profile_of(claims: Value, attributes: &[(&str, Attribute)]) -> Result<WantedProfile, ProvisionError> {
    let attributes =
        attributes.iter().map(|(name, attribute)| ((*name).to_owned(), attribute.clone())).collect();
    profile(&ada(claims), &Provisioning { attributes, ..settings() }, &features())
}

#[test]
fn f2_attributes_come_as_the_connector_fills_them_in() {
    let wanted = profile_of(json!({}), &[]).unwrap();
    assert_eq!(wanted.profile.username, "ada");
    assert_eq!(wanted.profile.email.as_deref(), Some("ada@example.com"));
    assert_eq!(wanted.profile.display_name.as_deref(), Some("ada of Example"));
    assert_eq!(wanted.origins["username"], AttributeOrigin::Claim("preferred_username".to_owned()));
    // The next of the connector's claims where the first did not come.
    let wanted = profile_of(json!({ "preferred_username": null }), &[]).unwrap();
    assert_eq!(wanted.origins["username"], AttributeOrigin::Claim("email".to_owned()));
}

#[test]
fn f2_all_missing_required_attributes_are_named_at_once_and_optional_ones_are_not() {
    let phone = Attribute { required: Some(true), ..from_claim("phone_number") };
    let claims = json!({ "email": null, "preferred_username": null, "name": null });
    let error = profile_of(claims, &[("phone", phone)]).unwrap_err();
    let ProvisionError::AttributesMissing { missing, arrived } = &error else { panic!("{error:?}") };
    assert_eq!(missing, &["email", "phone", "username"]);
    assert!(arrived.contains(&"groups".to_owned()));
    assert!(!error.public().contains("phone"));
}

#[test]
fn f2_an_attribute_can_be_opted_out_of_and_made_optional() {
    let off = Attribute { enabled: false, ..from_claim("email") };
    let wanted = profile_of(json!({}), &[("email", off)]).unwrap();
    assert_eq!(wanted.profile.email, None);
    let optional = Attribute { required: Some(false), ..from_claim("email") };
    assert!(profile_of(json!({ "email": null }), &[("email", optional)]).is_ok());
}

#[test]
fn f2_a_constant_and_a_custom_attribute_are_taken() {
    let locale =
        Attribute { source: AttributeSource::Constant("de".to_owned()), required: None, enabled: true };
    let wanted =
        profile_of(json!({ "dep": "R&D" }), &[("locale", locale), ("department", from_claim("dep"))])
            .unwrap();
    assert_eq!(wanted.profile.attributes["locale"], "de");
    assert_eq!(wanted.profile.attributes["department"], "R&D");
}

fn from_template(source: &str) -> Attribute {
    let template = crate::expr::Template::compile(source).unwrap();
    Attribute { source: AttributeSource::Template(template), required: None, enabled: true }
}

#[test]
fn f2_a_template_gives_an_attribute_and_one_that_lacks_a_claim_gives_none() {
    let names = || from_template("{{ claims.given_name }} {{ claims.family_name }}");
    let said = json!({ "given_name": "Ada", "family_name": "Example" });
    let wanted = profile_of(said, &[("display_name", names())]).unwrap();
    assert_eq!(wanted.profile.display_name.as_deref(), Some("Ada Example"));
    assert_eq!(wanted.origins["display_name"], AttributeOrigin::Template);
    let wanted = profile_of(json!({ "given_name": "Ada" }), &[("display_name", names())]).unwrap();
    assert_eq!(wanted.profile.display_name, None);
    let required = Attribute { required: Some(true), ..names() };
    let error = profile_of(json!({}), &[("display_name", required)]).unwrap_err();
    let ProvisionError::AttributesMissing { missing, .. } = error else { panic!("{error:?}") };
    assert_eq!(missing, ["display_name"]);
}

#[test]
fn f2_a_username_of_an_application_that_folds_case_is_lower_case() {
    assert_eq!(shaped("Ada.L@Example.com", AttributeShape::LowerUsername).as_deref(), Some("ada.l"));
}

#[test]
fn f2_a_username_is_made_to_fit_always_in_the_same_way() {
    for (said, expected) in [
        ("ada", Some("ada")),
        ("Ada.L", Some("Ada.L")),
        ("ada@example.com", Some("ada")),
        ("CORP\\ada", Some("ada")),
        ("ada lovelace", Some("ada-lovelace")),
        ("jürgen", Some("j-rgen")),
        ("a  +  b", Some("a-b")),
        ("../../etc", Some("etc")),
        ("a/../b", Some("a-b")),
        ("-rf", Some("rf")),
        (".hidden", Some("hidden")),
        ("a..b", Some("a.b")),
        ("a;b|c", Some("a-b-c")),
        ("..", None),
        ("王伟", None),
        ("@example.com", None),
        ("a\r\nb", None),
        ("a\0b", None),
        ("", None),
    ] {
        assert_eq!(shaped(said, AttributeShape::Username).as_deref(), expected, "{said:?}");
    }
}

#[test]
fn g5_no_control_character_gets_through_any_shape() {
    for shape in [AttributeShape::Text, AttributeShape::Email, AttributeShape::Username, AttributeShape::Url]
    {
        for bad in ["https://a/\r\nb", "a\nb@example.com", "a\u{0}b", "a\u{7f}b", "a\u{85}b"] {
            assert_eq!(shaped(bad, shape), None, "{shape:?} {bad:?}");
        }
    }
    assert_eq!(shaped("javascript:alert(1)", AttributeShape::Url), None);
}

// F3

#[test]
fn f3_sso_gives_what_the_mapping_says_and_then_onboarding_gives_nothing() {
    let given = given(json!({}), &settings());
    assert_eq!(given.teams, BTreeMap::from([("acme/developers".to_owned(), Some("maintainer".to_owned()))]));
    assert!(given.app_groups.contains("builders") && !given.app_groups.contains("newcomers"));
    assert!(given.permissions.contains("deploy"));
    assert_eq!(given.role.as_deref(), Some("user"));
}

#[test]
fn f3_onboarding_gives_where_sso_gave_nothing_real() {
    let nothing_real = json!({ "groups": ["everyone"], "teams": ["acme/gone"], "role": "no such role" });
    for claims in [json!({ "groups": [] }), json!({ "groups": null }), nothing_real] {
        let given = given(claims, &settings());
        assert_eq!(given.teams, BTreeMap::from([("acme/readers".to_owned(), None)]));
        assert!(given.app_groups.contains("newcomers"));
        assert_eq!(given.role.as_deref(), Some("user"));
    }
}

// F4

#[test]
fn f4_the_role_comes_in_this_order() {
    let settings = settings();
    let both = json!({ "role": ["reader", "user"], "groups": ["platform-admins"] });
    assert_eq!(role_of(both, &settings), ("reader".to_owned(), Source::Sso));
    let row = json!({ "groups": ["auditors", "platform-admins"] });
    assert_eq!(role_of(row, &settings), ("admin".to_owned(), Source::Sso));
    assert_eq!(role_of(json!({ "groups": ["auditors"] }), &settings), ("reader".to_owned(), Source::Sso));
    assert_eq!(role_of(json!({}), &settings), ("user".to_owned(), Source::Default));
}

#[test]
fn f4_a_role_from_a_row_names_the_row() {
    let entitled = give(&ada(json!({ "groups": ["platform-admins"] })), &settings()).unwrap();
    let role = entitled.given.iter().find(|given| matches!(given.entitlement, Entitlement::Role(_))).unwrap();
    assert_eq!(role.rule, Rule::F4);
    assert_eq!(role.because, Because::Row { position: 1, group: Some("platform-admins".to_owned()) });
    assert!(entitled.privileged());
}

#[test]
fn f4_nothing_privileged_comes_from_a_raw_claim() {
    let entitled = give(&ada(json!({ "role": "admin" })), &settings()).unwrap();
    assert_eq!(entitled.entitlements(None).role.as_deref(), Some("user"));
    assert!(entitled.skipped.iter().any(|skipped| skipped.why == SkipReason::Privileged));
    let denying = Provisioning { unknown_role: UnknownRole::Deny, ..settings() };
    let error = give(&ada(json!({ "role": "admin" })), &denying).unwrap_err();
    assert!(matches!(error, ProvisionError::UnknownRole { .. }), "{error:?}");
}

#[test]
fn f4_a_privileged_role_from_a_row_needs_the_row_to_say_so() {
    let said = settings();
    let mut unsaid = settings();
    unsaid.mapping[1].privileged = false;
    let claims = || json!({ "groups": ["platform-admins"] });
    assert_eq!(given(claims(), &said).role.as_deref(), Some("admin"));
    assert_eq!(given(claims(), &unsaid).role.as_deref(), Some("user"));
}

#[test]
fn f4_a_claim_can_name_no_role_that_is_not_known_to_be_ordinary() {
    let unlisted = Names::default();
    let identity = ada(json!({ "role": "superuser" }));
    let entitled =
        entitled(&identity, &settings(), &features(), &unlisted, Strictness::FirstLogin(None)).unwrap();
    assert_eq!(entitled.entitlements(None).role.as_deref(), Some("user"));
}

#[test]
fn f4_where_roles_cannot_be_listed_a_claim_may_name_what_the_configuration_calls_ordinary() {
    let role = |said: &str| {
        let identity = ada(json!({ "role": said, "groups": [] }));
        let unlisted = Names::default();
        let entitled =
            entitled(&identity, &settings(), &features(), &unlisted, Strictness::FirstLogin(None)).unwrap();
        let source = entitled.given.iter().find_map(|given| match given.entitlement {
            Entitlement::Role(_) => Some(given.source),
            _ => None,
        });
        (entitled.entitlements(None).role.unwrap(), source.unwrap())
    };
    assert_eq!(role("reader"), ("reader".to_owned(), Source::Sso));
    // A row names it too, but as a privileged one.
    assert_eq!(role("admin"), ("user".to_owned(), Source::Default));
}

#[test]
fn f4_an_unknown_role_is_the_default_or_a_refusal() {
    let identity = || json!({ "role": "gardener" });
    assert_eq!(role_of(identity(), &settings()), ("user".to_owned(), Source::Default));
    let denying = Provisioning { unknown_role: UnknownRole::Deny, ..settings() };
    assert!(matches!(give(&ada(identity()), &denying), Err(ProvisionError::UnknownRole { .. })));
}

#[test]
fn f4_the_default_role_must_be_there_and_ordinary() {
    let with = |role: Option<&str>| Provisioning { default_role: role.map(str::to_owned), ..settings() };
    assert!(matches!(give(&ada(json!({})), &with(None)), Err(ProvisionError::NoDefaultRole)));
    for role in ["admin", "gardener"] {
        let error = give(&ada(json!({})), &with(Some(role))).unwrap_err();
        assert!(matches!(error, ProvisionError::DefaultRoleUnusable { .. }), "{role}: {error:?}");
    }
    // Without roles there is none to give.
    let mut none = features();
    none.roles = false;
    let entitled =
        entitled(&ada(json!({})), &with(None), &none, &all_names(), Strictness::FirstLogin(None)).unwrap();
    assert_eq!(entitled.entitlements(None).role, None);
}

// F5

#[test]
fn f5_groups_match_exactly() {
    for group in ["engineer", "engineers-emea", "Engineers", "/engineers", " engineers", "engineers,"] {
        let given = given(json!({ "groups": [group] }), &settings());
        assert!(!given.teams.contains_key("acme/developers"), "{group:?}");
    }
}

#[test]
fn f5_the_first_row_for_a_team_wins() {
    let mut settings = settings();
    let team = |role: &str| MappingGives::Team {
        team: "acme/developers".to_owned(),
        team_role: Some(role.to_owned()),
    };
    settings.mapping = vec![row("everyone", team("member")), row("engineers", team("maintainer"))];
    let given = given(json!({ "teams": ["acme/developers::maintainer"] }), &settings);
    assert_eq!(given.teams["acme/developers"].as_deref(), Some("member"));
}

#[test]
fn f5_a_row_for_another_provider_does_not_count() {
    let mut settings = settings();
    for row in &mut settings.mapping {
        row.idp = Some("other".parse().unwrap());
    }
    assert!(!given(json!({}), &settings).teams.contains_key("acme/developers"));
    settings.mapping[0].idp = Some(corp());
    assert!(given(json!({}), &settings).teams.contains_key("acme/developers"));
}

#[test]
fn f5_the_teams_claim_names_assignable_teams_only() {
    let entitled = give(&ada(json!({ "teams": ["public", "secret", "acme/readers"] })), &settings()).unwrap();
    let teams: Vec<_> = entitled.entitlements(None).teams.into_keys().collect();
    assert_eq!(teams, ["acme/developers", "acme/readers", "public"]);
    assert!(entitled.skipped.iter().any(|skipped| skipped.why == SkipReason::NotAssignable));
    let nothing = Provisioning { assignable_teams: Vec::new(), ..settings() };
    let none = given(json!({ "teams": ["public"], "groups": ["none"] }), &nothing);
    assert_eq!(none.teams.into_keys().collect::<Vec<_>>(), ["acme/readers"]);
}

#[test]
fn f5_a_pattern_covers_what_lies_below_it_and_nothing_beside() {
    for (team, inside) in
        [("acme/readers", true), ("acmeevil/readers", false), ("acme", false), ("acme/", false)]
    {
        let entitled = give(&ada(json!({ "groups": ["none"], "teams": [team] })), &settings()).unwrap();
        let refused = entitled.skipped.iter().any(|skipped| skipped.why == SkipReason::NotAssignable);
        assert_eq!(!refused, inside, "{team}");
    }
}

#[test]
fn f5_one_value_with_a_separator_names_several_teams_with_roles() {
    let teams_claim = Some(TeamsClaim { claim: vec!["teams".to_owned()], separator: Some(";".to_owned()) });
    let settings = Provisioning { teams_claim, ..settings() };
    let claims = json!({ "groups": [], "teams": "acme/readers::maintainer; public ;;" });
    let expected = BTreeMap::from([
        ("acme/readers".to_owned(), Some("maintainer".to_owned())),
        ("public".to_owned(), None),
    ]);
    assert_eq!(given(claims, &settings).teams, expected);
}

#[test]
fn f5_a_privileged_team_or_team_role_never_comes_from_a_claim() {
    let claims = json!({ "groups": [], "teams": ["acme/owners", "public::owner"] });
    let entitled = give(&ada(claims), &settings()).unwrap();
    assert!(!entitled.privileged());
    assert_eq!(entitled.entitlements(None).teams.into_keys().collect::<Vec<_>>(), ["acme/readers"]);
    let refused = entitled.skipped.iter().filter(|skipped| skipped.why == SkipReason::Privileged);
    assert_eq!(refused.count(), 2);
}

#[test]
fn f5_an_absent_team_is_skipped_denied_or_created() {
    let claims = || json!({ "groups": [], "teams": ["acme/new"] });
    let with = |unknown_team| Provisioning { unknown_team, ..settings() };
    assert!(!given(claims(), &with(UnknownTeam::Skip)).teams.contains_key("acme/new"));
    let error = give(&ada(claims()), &with(UnknownTeam::Deny)).unwrap_err();
    assert!(matches!(error, ProvisionError::UnknownTeam { .. }), "{error:?}");
    let created = give(&ada(claims()), &with(UnknownTeam::Create)).unwrap();
    assert!(created.teams_to_create.contains("acme/new"));
    assert!(created.entitlements(None).teams.contains_key("acme/new"));
    // Outside `assignable_teams` nothing is made.
    let outside = give(&ada(json!({ "groups": [], "teams": ["new"] })), &with(UnknownTeam::Create)).unwrap();
    assert!(outside.teams_to_create.is_empty());
}

#[test]
fn f5_owners_groups_make_owners_and_no_claim_does() {
    assert!(given(json!({ "groups": ["founders"] }), &settings()).owner);
    assert!(!given(json!({ "owner": true, "role": "owner", "founders": true }), &settings()).owner);
}

#[test]
fn f5_a_privileged_permission_needs_more_than_a_row() {
    let mut settings = settings();
    settings.mapping = vec![row("engineers", MappingGives::Permission("sudo".to_owned()))];
    assert!(given(json!({}), &settings).permissions.is_empty());
}

// L7 and L2

#[test]
fn l7_absent_groups_and_overage_markers_are_unknown_and_an_empty_list_is_not() {
    let unknown = |claims| give(&ada(claims), &settings()).unwrap().groups_unknown;
    assert!(!unknown(json!({})) && !unknown(json!({ "groups": [] })));
    for claims in [
        json!({ "groups": null }),
        json!({ "_claim_names": { "groups": "src1" } }),
        json!({ "groups": null, "hasgroups": true }),
        json!({ "hasgroups": "true" }),
        json!({ "http://schemas.microsoft.com/claims/groups.link": "https://graph.example" }),
    ] {
        assert!(unknown(claims.clone()), "{claims}");
        // Nothing mapped comes of them.
        assert!(!given(claims, &settings()).teams.contains_key("acme/developers"));
    }
    let none = Provisioning { absent_groups_are_none: true, ..settings() };
    assert!(!give(&ada(json!({ "groups": null })), &none).unwrap().groups_unknown);
}

fn session(claims: Value) -> Entitled {
    entitled(&ada(claims), &settings(), &features(), &all_names(), Strictness::LaterLogin).unwrap()
}

fn baseline() -> Entitlements {
    Entitlements {
        role: Some("user".to_owned()),
        teams: BTreeMap::from([("public".to_owned(), None)]),
        ..Entitlements::default()
    }
}

#[test]
fn l2_a_differing_role_is_carried_by_this_session_only() {
    let carried =
        grant(&baseline(), &session(json!({ "groups": ["platform-admins"] })), SessionRoles::Headers);
    assert_eq!(carried.entitlements.role.as_deref(), Some("admin"));
    assert_eq!(carried.entitlements.teams, baseline().teams);
    assert_eq!(carried.source, GrantSource::Session);
}

#[test]
fn l2_differing_teams_are_carried_by_this_session_only() {
    let carried = grant(&baseline(), &session(json!({})), SessionRoles::Headers);
    assert_eq!(carried.entitlements.teams.into_keys().collect::<Vec<_>>(), ["acme/developers"]);
    assert_eq!(carried.entitlements.role.as_deref(), Some("user"));
}

#[test]
fn l2_no_unknown_or_the_same_role_is_the_baseline() {
    for claims in [
        json!({ "groups": [] }),
        json!({ "groups": null }),
        json!({ "groups": [], "role": "gardener" }),
        json!({ "groups": [], "role": "admin" }),
        json!({ "groups": [], "role": "user" }),
        json!({ "groups": ["platform-admins"], "hasgroups": true }),
    ] {
        let carried = grant(&baseline(), &session(claims.clone()), SessionRoles::Headers);
        assert_eq!(carried.source, GrantSource::Baseline, "{claims}");
        assert_eq!(carried.entitlements, baseline(), "{claims}");
    }
}

#[test]
fn l2_off_is_always_the_baseline() {
    let carried = grant(&baseline(), &session(json!({ "groups": ["platform-admins"] })), SessionRoles::Off);
    assert_eq!((carried.entitlements, carried.source), (baseline(), GrantSource::Baseline));
}

#[test]
fn l2_a_later_login_refuses_nothing_for_its_role_or_teams() {
    let settings = Provisioning {
        unknown_role: UnknownRole::Deny,
        unknown_team: UnknownTeam::Deny,
        default_role: None,
        ..settings()
    };
    let odd = ada(json!({ "role": "gardener", "teams": ["acme/gone"] }));
    assert!(entitled(&odd, &settings, &features(), &all_names(), Strictness::LaterLogin).is_ok());
}

// F7

fn wanted(claims: Value, settings: &Provisioning) -> Wanted {
    let decision = resolve(&Question {
        identity: &ada(claims),
        settings,
        authority: &authority(),
        features: &features(),
        names: &all_names(),
        member: None,
        invited: None,
    });
    let Decision::Proceed(resolved) = decision else { panic!("{decision:?}") };
    let Resolved { wanted, .. } = *resolved;
    wanted.unwrap()
}

fn ada_there() -> Account {
    account("7", "ada.l", "ada@example.com")
}

/// What is adopted, of what the application has.
fn adopted(
    wanted: &Wanted,
    settings: &Provisioning,
    by_email: &[Account],
    by_username: &[Account],
    own: Option<&AccountId>,
) -> Result<Option<Account>, ProvisionError> {
    let Some(candidate) = choose(wanted, settings, by_email, by_username)? else { return Ok(None) };
    let verdict = verdict(&Meeting {
        identity: &ada(json!({})),
        settings,
        wanted,
        candidate: &candidate,
        own,
        holder: None,
        vouched: false,
        is_member: false,
        case: None,
        now: UnixTime(0),
    })?;
    assert_eq!(verdict, Verdict::Adopt { by: None });
    Ok(Some(candidate.account))
}

fn chosen(by_email: &[Account], by_username: &[Account]) -> Result<Option<Account>, ProvisionError> {
    adopted(&wanted(json!({}), &settings()), &settings(), by_email, by_username, None)
}

#[test]
fn f7_one_account_with_the_verified_e_mail_is_adopted() {
    assert_eq!(chosen(&[ada_there()], &[]).unwrap().unwrap().id.0, "7");
    assert_eq!(chosen(&[], &[]).unwrap(), None);
}

#[test]
fn f7_an_unverified_e_mail_adopts_nothing() {
    let unverified = wanted(json!({ "email_verified": false }), &settings());
    let error = adopted(&unverified, &settings(), &[ada_there()], &[], None).unwrap_err();
    assert!(matches!(error, ProvisionError::ExistingAccountUnverifiedEmail { .. }), "{error:?}");
}

#[test]
fn f7_more_than_one_hit_is_refused() {
    let error = chosen(&[ada_there(), account("8", "ada2", "ada@example.com")], &[]).unwrap_err();
    assert!(matches!(error, ProvisionError::AmbiguousAccount { count: 2, .. }), "{error:?}");
}

#[test]
fn f7_deny_refuses_a_match() {
    let deny = Provisioning { on_existing: OnExisting::Deny, ..settings() };
    let error = adopted(&wanted(json!({}), &deny), &deny, &[ada_there()], &[], None).unwrap_err();
    assert!(matches!(error, ProvisionError::ExistingAccount { .. }), "{error:?}");
}

#[test]
fn f7_a_username_matches_only_where_that_is_configured_and_it_was_said_so() {
    let there = account("9", "ada", "someone.else@example.com");
    let error = chosen(&[], std::slice::from_ref(&there)).unwrap_err();
    assert!(matches!(error, ProvisionError::UsernameTaken { .. }), "{error:?}");
    let matching = Provisioning { match_username: true, ..settings() };
    let by = |claims| adopted(&wanted(claims, &matching), &matching, &[], std::slice::from_ref(&there), None);
    assert_eq!(by(json!({})).unwrap().unwrap().id.0, "9");
    // `ada!` is made to fit as `ada`; it is another person's name all the same.
    for said in ["ada!", "ada@evil.test", "x\\ada", " ada"] {
        let error = by(json!({ "preferred_username": said })).unwrap_err();
        assert!(matches!(error, ProvisionError::UsernameTaken { .. }), "{said}: {error:?}");
    }
}

#[test]
fn f7_never_adopted_are_privileged_own_protected_and_deactivated_accounts() {
    let refusal = |there: &Account, own: Option<&AccountId>| {
        adopted(&wanted(json!({}), &settings()), &settings(), std::slice::from_ref(there), &[], own)
            .unwrap_err()
    };
    let privileged = Account { privileged: true, ..ada_there() };
    assert!(matches!(refusal(&privileged, None), ProvisionError::PrivilegedAccount { .. }));
    let mut owner = ada_there();
    owner.entitlements.owner = true;
    assert!(matches!(refusal(&owner, None), ProvisionError::PrivilegedAccount { .. }));
    let own = ada_there();
    assert!(matches!(refusal(&own, Some(&own.id)), ProvisionError::OwnAccount { .. }));
    let protected = account("7", "Break-Glass", "ada@example.com");
    assert!(matches!(refusal(&protected, None), ProvisionError::ProtectedAccount { .. }));
    let inactive = Account { active: false, ..ada_there() };
    assert!(matches!(refusal(&inactive, None), ProvisionError::AccountDeactivated { .. }));
}

#[test]
fn f7_the_application_s_hits_are_compared_again_exactly() {
    let features = features();
    let ada = crate::model::EmailAddress::parse("ada@example.com").unwrap();
    let others = ["ada@example.com.evil.test", "xada@example.com", "adа@example.com", "not an address", ""];
    for other in others {
        assert!(with_email(vec![account("1", "x", other)], &ada, &features).is_empty(), "{other}");
    }
    assert_eq!(with_email(vec![account("1", "x", "ADA@EXAMPLE.COM")], &ada, &features).len(), 1);
    assert!(!same_email(&ada, Some("ADA@example.com"), CaseRule::Sensitive));
    assert!(!same_email(&ada, None, CaseRule::Insensitive));
}

#[test]
fn f7_non_ascii_names_never_match_by_folding() {
    assert!(same_name("Ada", "aDA", CaseRule::Insensitive));
    assert!(!same_name("Ada", "aDA", CaseRule::Sensitive));
    for (a, b) in
        [("Äda", "äda"), ("ada", "\u{ff41}da"), ("straße", "strasse"), ("K", "\u{212a}"), ("ı", "i")]
    {
        assert!(!same_name(a, b, CaseRule::Insensitive), "{a} {b}");
    }
    assert!(same_name("äda", "äda", CaseRule::Insensitive));
}

#[test]
fn lesson_32_an_account_found_by_its_id_is_not_one_found_by_name() {
    let administrator = account("1", "admin", "root@example.com");
    assert!(with_username(vec![administrator], "1", &features()).is_empty());
}
