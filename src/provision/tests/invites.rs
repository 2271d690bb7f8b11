//! F6: invites at the first login.

use serde_json::json;

use super::fake::account;
use super::*;
use crate::config::settings::{AdminRule, Console};
use crate::expr::{Condition, Place};
use crate::model::invite::{Invite, InviteId, InviteState, InviteTerms};
use crate::model::{
    ConsoleHash, ConsolePerson, ConsoleRole, ConsoleSession, EmailAddress, Entitlements, MemberStatus, Origin,
};
use crate::store::invites::InviteStore;
use crate::store::{ConsoleStore, StandingStore, Update};

fn id(number: u8) -> InviteId {
    InviteId(uuid::Uuid::from_bytes([number; 16]))
}

fn teams(names: &[&str]) -> Entitlements {
    let teams = names.iter().map(|name| ((*name).to_owned(), None)).collect();
    Entitlements { teams, ..Entitlements::default() }
}

fn role(name: &str) -> Entitlements {
    Entitlements { role: Some(name.to_owned()), ..Entitlements::default() }
}

impl World {
    async fn invite(&self, number: u8, email: &str, by: &str, entitlements: Entitlements) {
        let invite = Invite {
            id: id(number),
            terms: InviteTerms {
                email: EmailAddress::parse(email).unwrap(),
                idp: None,
                entitlements,
                cloned_from: None,
            },
            invited_by: by.to_owned(),
            changed_by: Vec::new(),
            created_at: self.now(),
            expires_at: self.now().after(Duration::from_hours(1)),
            revision: 1,
            claimed: None,
            member: None,
            revoked_at: None,
            sends: 0,
            sent_at: None,
        };
        self.store.add_invite(&invite).await.unwrap();
    }

    async fn state_of(&self, number: u8) -> InviteState {
        self.store.find_invite(id(number)).await.unwrap().unwrap().state(self.now())
    }

    async fn login_among(
        &self,
        administrators: &[(&str, ConsoleRole)],
        identity: &Identity,
    ) -> Result<Provisioned, ProvisionError> {
        let known = administrators.iter().map(|(name, role)| ((*name).to_owned(), *role));
        self.process().granting(known).provision(Verified::for_tests(identity.clone())).await
    }
}

#[tokio::test]
async fn f6_the_first_login_of_the_invited_address_gets_what_the_invite_gives_and_consumes_it() {
    let world = World::new();
    let given = Entitlements { role: Some("reader".to_owned()), ..teams(&["public"]) };
    world.invite(1, "Ada@example.com", "command line", given).await;
    world.login(&ada(json!({ "groups": [] }))).await.unwrap();
    let held = world.app.account("ada").entitlements;
    assert_eq!(held.role.as_deref(), Some("reader"));
    // F3: instead of onboarding.
    assert_eq!(held.teams.keys().collect::<Vec<_>>(), ["public"]);
    let member = world.member(&ada(json!({}))).await.unwrap();
    assert_eq!(member.origin, Origin::Invite);
    let invite = world.store.find_invite(id(1)).await.unwrap().unwrap();
    assert_eq!((invite.member, world.state_of(1).await), (Some(member.id), InviteState::Used));
}

#[tokio::test]
async fn f3_teams_of_invite_and_mapping_are_united_and_f4_the_invites_role_goes_first() {
    let world = World::new();
    let given = Entitlements { role: Some("reader".to_owned()), ..teams(&["public"]) };
    world.invite(1, "ada@example.com", "command line", given).await;
    world.login(&ada(json!({ "role": "user" }))).await.unwrap();
    let held = world.app.account("ada").entitlements;
    assert_eq!(held.role.as_deref(), Some("reader"));
    assert_eq!(held.teams.keys().collect::<Vec<_>>(), ["acme/developers", "public"]);
    assert_eq!(held.teams["acme/developers"].as_deref(), Some("maintainer"));
}

#[tokio::test]
async fn f6_an_unverified_or_other_address_uses_no_invite() {
    let world = World::new();
    world.invite(1, "ada@example.com", "command line", role("reader")).await;
    world.login(&ada(json!({ "email_verified": false }))).await.unwrap();
    world.login(&person("bob", json!({}))).await.unwrap();
    assert_eq!(world.state_of(1).await, InviteState::Open);
    assert_eq!(world.app.account("ada").entitlements.role.as_deref(), Some("user"));
    // She is a member now; an invite is for first logins.
    world.login(&ada(json!({}))).await.unwrap();
    assert_eq!(world.state_of(1).await, InviteState::Open);
}

#[tokio::test]
async fn f6_an_expired_or_revoked_invite_gives_nothing() {
    let world = World::new();
    world.invite(1, "ada@example.com", "command line", role("reader")).await;
    world.later(Duration::from_hours(1));
    world.login(&ada(json!({}))).await.unwrap();
    assert_eq!(world.app.account("ada").entitlements.role.as_deref(), Some("user"));
    assert_eq!(world.state_of(1).await, InviteState::Expired);
}

#[tokio::test]
async fn f6_nobody_invites_beyond_what_they_may_grant_when_the_invite_is_used() {
    let world = World::new();
    let (anna, olaf) = (("anna", ConsoleRole::Administrator), ("olaf", ConsoleRole::Operator));
    world.invite(1, "ada@example.com", "anna", role("admin")).await;
    world.login_among(&[anna, olaf], &ada(json!({}))).await.unwrap();
    assert_eq!(world.app.account("ada").entitlements.role.as_deref(), Some("admin"));

    world.invite(2, "bob@example.com", "anna", role("admin")).await;
    // She is an operator by now.
    world.login_among(&[("anna", ConsoleRole::Operator)], &person("bob", json!({}))).await.unwrap();
    assert_eq!(world.app.account("bob").entitlements.role.as_deref(), Some("user"));

    world.invite(3, "eve@example.com", "anna", role("reader")).await;
    // She is nobody by now.
    world.login_among(&[olaf], &person("eve", json!({}))).await.unwrap();
    assert_eq!(world.app.account("eve").entitlements.role.as_deref(), Some("user"));
    assert_eq!(world.state_of(3).await, InviteState::Open);
}

#[tokio::test]
async fn m3_an_invite_works_with_provisioning_off_and_not_with_scim() {
    let mut world = World::new();
    world.settings.mode = Mode::Scim;
    world.invite(1, "ada@example.com", "command line", role("reader")).await;
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::NotProvisioned), "{error:?}");
    world.settings.mode = Mode::Off;
    let error = world.login(&person("bob", json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::NotProvisioned), "{error:?}");
    world.login(&ada(json!({}))).await.unwrap();
    assert_eq!(world.app.account("ada").entitlements.role.as_deref(), Some("reader"));
    world.login(&ada(json!({}))).await.unwrap();
}

#[tokio::test]
async fn f6_f1_holds_for_the_invited_unless_external_ones_are_allowed() {
    let mut world = World::new();
    world.settings.allowed_email_domains = vec!["elsewhere.test".to_owned()];
    world.invite(1, "ada@example.com", "command line", role("reader")).await;
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::EmailDomainNotAllowed { .. }), "{error:?}");
    world.settings.invite_allow_external = true;
    let error = world.login(&person("bob", json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::EmailDomainNotAllowed { .. }), "{error:?}");
    let error = world.login(&ada(json!({ "email_verified": false }))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::EmailUnverified { .. }), "{error:?}");
    world.login(&ada(json!({}))).await.unwrap();
    // As a member, too; and not any more once it is switched off.
    world.login(&ada(json!({}))).await.unwrap();
    world.settings.invite_allow_external = false;
    let error = world.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::EmailDomainNotAllowed { .. }), "{error:?}");
}

#[tokio::test]
async fn f6_a_failed_first_login_keeps_the_invite_for_its_identity_alone() {
    let world = World::new();
    world.invite(1, "ada@example.com", "command line", role("reader")).await;
    // The name is taken by somebody else.
    world.app.has(account("9", "ada", "someone.else@example.com"));
    world.login(&ada(json!({}))).await.unwrap_err();
    assert_eq!(world.state_of(1).await, InviteState::Claimed);
    // Whoever brings the same address under another subject finds it consumed.
    let email = EmailAddress::parse("ada@example.com").unwrap();
    let impostor = Subject::parse("sub-impostor").unwrap();
    let usable = world.store.usable_invites(&email, &corp(), &impostor, world.now()).await.unwrap();
    assert_eq!(usable, []);
    world.app.state.lock().unwrap().accounts.clear();
    world.login(&ada(json!({}))).await.unwrap();
    assert_eq!(world.app.account("ada").entitlements.role.as_deref(), Some("reader"));
}

#[tokio::test]
async fn m4_changed_settings_hold_from_the_next_login_on() {
    let world = World::new();
    let process = world.process();
    process.provision(Verified::for_tests(ada(json!({ "groups": [] })))).await.unwrap();
    process.change(&Provisioning { default_role: Some("reader".to_owned()), ..settings() });
    process.provision(Verified::for_tests(person("bob", json!({ "groups": [] })))).await.unwrap();
    assert_eq!(world.app.account("ada").entitlements.role.as_deref(), Some("user"));
    assert_eq!(world.app.account("bob").entitlements.role.as_deref(), Some("reader"));
    // G2 follows, too.
    process.change(&Provisioning { protected_accounts: vec!["eve".to_owned()], ..settings() });
    let error = process.provision(Verified::for_tests(person("eve", json!({})))).await.unwrap_err();
    assert!(matches!(error, ProvisionError::ProtectedAccount { .. }), "{error:?}");
    // M6: nothing is written from the moment on that it is on.
    process.change(&Provisioning { shadow: true, ..settings() });
    world.app.forget_calls();
    process.provision(Verified::for_tests(person("kay", json!({})))).await.unwrap();
    assert!(world.app.writes().is_empty());
}

#[tokio::test]
async fn f6_an_invite_that_is_worth_nothing_any_more_hides_none_that_is() {
    let world = World::new();
    for (number, by, role_given) in [(1, "gone", "admin"), (2, "gone too", "admin"), (3, "anna", "reader")] {
        world.invite(number, "ada@example.com", by, role(role_given)).await;
    }
    world.login_among(&[("anna", ConsoleRole::Administrator)], &ada(json!({}))).await.unwrap();
    assert_eq!(world.app.account("ada").entitlements.role.as_deref(), Some("reader"));
    let states = [world.state_of(1).await, world.state_of(2).await, world.state_of(3).await];
    assert_eq!(states, [InviteState::Open, InviteState::Open, InviteState::Used]);
}

#[tokio::test]
async fn f6_the_lowest_role_of_all_who_had_a_hand_in_an_invite_counts() {
    let (anna, olaf) = (("anna", ConsoleRole::Administrator), ("olaf", ConsoleRole::Operator));
    for (known, changed_by, expected) in [
        (&[anna, olaf][..], &[][..], "admin"),
        (&[anna, ("olaf", ConsoleRole::Administrator)], &["olaf"], "admin"),
        (&[anna, olaf], &["olaf"], "user"),
        // He is nobody by now.
        (&[anna], &["olaf"], "user"),
    ] {
        let world = World::new();
        world.invite(1, "ada@example.com", "anna", role("admin")).await;
        if !changed_by.is_empty() {
            let made = world.store.find_invite(id(1)).await.unwrap().unwrap();
            let changed_by = changed_by.iter().map(|name| (*name).to_owned()).collect();
            assert!(world.store.change_invite(&Invite { revision: 2, changed_by, ..made }).await.unwrap());
        }
        world.login_among(known, &ada(json!({}))).await.unwrap();
        let held = world.app.account("ada").entitlements.role;
        assert_eq!(held.as_deref(), Some(expected), "{known:?} {changed_by:?}");
    }
}

#[tokio::test]
async fn f6_an_operators_invite_gives_nothing_that_the_application_cannot_list_unless_it_is_configured() {
    let administrators = [("anna", ConsoleRole::Administrator), ("olaf", ConsoleRole::Operator)];
    for (by, wanted, expected) in
        [("olaf", "root", "user"), ("olaf", "reader", "reader"), ("anna", "root", "root")]
    {
        let mut world = World::new();
        let mut app = Fake::new();
        app.lists_nothing();
        world.app = Arc::new(app);
        let given = Entitlements {
            app_groups: ["wheel".to_owned()].into(),
            permissions: ["root".to_owned()].into(),
            teams: [("secret/root".to_owned(), None), ("public".to_owned(), Some("root".to_owned()))].into(),
            ..role(wanted)
        };
        world.settings.mapping.push(MappingRow {
            group: Some("readers".to_owned()),
            label: None,
            idp: None,
            when: None,
            privileged: false,
            gives: MappingGives::Role("reader".to_owned()),
        });
        world.invite(1, "ada@example.com", by, given).await;
        world.login_among(&administrators, &ada(json!({ "groups": [] }))).await.unwrap();
        let held = world.app.account("ada").entitlements;
        assert_eq!(held.role.as_deref(), Some(expected), "{by} {wanted}");
        let all = held.app_groups.contains("wheel") && held.permissions.contains("root");
        let none = !held.app_groups.contains("wheel") && !held.permissions.contains("root");
        assert!(if by == "anna" { all } else { none }, "{by}: {held:?}");
        assert_eq!(held.teams.contains_key("secret/root"), by == "anna", "{by}: {held:?}");
        assert_eq!(held.teams.contains_key("public"), by == "anna", "{by}: {held:?}");
    }
}

#[tokio::test]
async fn f6_a_persons_invite_goes_as_far_as_their_latest_sign_in_at_the_admin_api_while_its_rule_stands() {
    let rule = |role| AdminRule {
        idp: corp(),
        when: Condition::compile_at("'ops' in claims.groups", Place::Console).unwrap(),
        role,
    };
    let administrator = rule(ConsoleRole::Administrator);
    for (rules, blocked, expected) in [
        (vec![administrator.clone()], None, "admin"),
        // The same people are operators by now; nobody is anything by now; she is blocked by now; she is by the address
        // that another identity of hers came with.
        (vec![rule(ConsoleRole::Operator)], None, "user"),
        (vec![], None, "user"),
        (vec![administrator.clone()], Some("anna"), "user"),
        (vec![administrator.clone()], Some("anna.at.home"), "user"),
    ] {
        let world = World::new();
        let person = ConsolePerson {
            idp: corp(),
            subject: Subject::parse("sub-anna").unwrap(),
            label: "anna".to_owned(),
            email: Some("anna@example.com".to_owned()),
            role: ConsoleRole::Administrator,
            rule: administrator.text(),
            signed_in_at: world.now(),
        };
        if let Some(blocked) = blocked {
            let blocked = super::person(blocked, json!({ "email": "anna@example.com" }));
            world.login(&blocked).await.unwrap();
            let member = world.member(&blocked).await.unwrap();
            let member = Member { status: MemberStatus::Blocked, ..member };
            world.store.update_member(&member, Update::default()).await.unwrap();
        }
        let now = world.now();
        let name = person.name();
        let session =
            ConsoleSession { hash: ConsoleHash([1; 32]), person, last_seen_at: now, expires_at: now };
        world.store.begin_console_session(&session, 5).await.unwrap();
        world.invite(1, "ada@example.com", &name, role("admin")).await;
        // Somebody of that name who never signed in there.
        world.invite(2, "bob@example.com", "corp:nobody", role("reader")).await;
        let public_url = "https://admin.example.com".parse().unwrap();
        let console = (!rules.is_empty()).then(|| Console { public_url, rules: rules.clone() });
        let process = world.process().granting_people(console);
        process.provision(Verified::for_tests(ada(json!({})))).await.unwrap();
        let held = world.app.account("ada").entitlements.role;
        assert_eq!(held.as_deref(), Some(expected), "{rules:?} {blocked:?}");
        process.provision(Verified::for_tests(super::person("bob", json!({})))).await.unwrap();
        assert_eq!(world.app.account("bob").entitlements.role.as_deref(), Some("user"));
    }
}
