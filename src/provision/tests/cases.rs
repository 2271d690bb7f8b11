//! F7 and F8: accounts that are there already, further identities, and administrators who decide.

use serde_json::json;
use tokio::task::JoinSet;

use super::fake::account;
use super::*;
use crate::model::case::{CASE_LIFETIME, Decided};
use crate::model::{Account, Case, CaseKind, CaseStanding, CaseState, Origin};
use crate::provision::cases::MOST_OF_ONE;
use crate::store::CaseStore;

fn asking() -> World {
    let world = World::with(Provisioning { on_existing: OnExisting::Ask, ..settings() });
    world.app.has(account("7", "ada.l", "ada@example.com"));
    world
}

fn linking() -> World {
    World::with(Provisioning { link_identities: true, ..settings() })
}

/// The same person by another provider.
fn elsewhere(changes: Value) -> Identity {
    let mut identity = ada(changes);
    identity.idp = "other".parse().unwrap();
    identity.subject = Subject::parse("ada elsewhere").unwrap();
    identity
}

/// Somebody of the same provider who has the address by now.
fn new_hire() -> Identity {
    let mut identity = ada(json!({ "preferred_username": "ada2" }));
    identity.subject = Subject::parse("a new hire").unwrap();
    identity
}

fn waits(result: &Result<Provisioned, ProvisionError>) -> bool {
    matches!(result, Err(ProvisionError::WaitsForAdministrator { .. }))
}

fn denied(result: &Result<Provisioned, ProvisionError>) -> bool {
    matches!(result, Err(ProvisionError::CaseDenied { .. }))
}

impl World {
    pub(super) async fn cases(&self) -> Vec<Case> {
        self.store.list_cases(None, None, 99).await.unwrap()
    }

    async fn case(&self) -> Case {
        let [case] = <[Case; 1]>::try_from(self.cases().await).unwrap();
        case
    }

    /// As an administrator decides.
    pub(super) async fn decide(&self, case: &Case, standing: CaseStanding) {
        let decided = Case {
            standing,
            decided: Some(Decided { by: "anna".to_owned(), at: self.now() }),
            expires_at: (standing != CaseStanding::Denied).then(|| self.now().after(CASE_LIFETIME)),
            revision: case.revision + 1,
            ..case.clone()
        };
        assert!(self.store.change_case(&decided).await.unwrap());
    }

    fn change_account(&self, change: impl FnOnce(&mut Account)) {
        change(&mut self.app.state.lock().unwrap().accounts[0]);
    }
}

#[tokio::test]
async fn f7_ask_lets_nobody_in_and_asks_once_however_often_the_person_comes() {
    let world = asking();
    let first = world.login(&ada(json!({}))).await;
    assert!(waits(&first), "{first:?}");
    let case = world.case().await;
    assert_eq!(first.unwrap_err().case(), Some(case.id));
    assert_eq!((case.standing, case.facts.kind), (CaseStanding::Waiting, CaseKind::ExistingAccount));
    assert_eq!((case.account.0.as_str(), case.facts.username.as_str()), ("7", "ada.l"));
    world.later(Duration::from_hours(1));
    let again = world.login(&ada(json!({}))).await.unwrap_err();
    assert_eq!(again.case(), Some(case.id));
    let later = world.case().await;
    assert_eq!((later.revision, later.opened_at, later.asked_at), (1, case.opened_at, world.now()));
    assert!(world.app.writes().is_empty());
    assert!(world.member(&ada(json!({}))).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f7_of_many_who_ask_at_once_over_all_processes_one_case_comes() {
    let world = asking();
    let mut logins = JoinSet::new();
    for _ in 0..4 {
        let process = world.process();
        for _ in 0..10 {
            let process = process.clone();
            logins.spawn(async move { process.provision(Verified::for_tests(ada(json!({})))).await });
        }
    }
    while let Some(login) = logins.join_next().await {
        assert!(waits(&login.unwrap()));
    }
    assert_eq!(world.case().await.revision, 1);
}

#[tokio::test]
async fn f7_whom_an_administrator_links_comes_in_with_the_account_as_it_is() {
    let world = asking();
    assert!(waits(&world.login(&ada(json!({}))).await));
    world.decide(&world.case().await, CaseStanding::Linked).await;
    let provisioned = world.sign_in(&ada(json!({})), 1).await.unwrap();
    assert_eq!(provisioned.account().unwrap().id.0, "7");
    assert!(world.app.writes().is_empty(), "its entitlements stay");
    let member = world.member(&ada(json!({}))).await.unwrap();
    assert_eq!(member.origin, Origin::Manual);
    let case = world.case().await;
    assert_eq!((case.state(world.now()), case.led_to), (CaseState::Used, Some(member.id)));
    world.later(CASE_LIFETIME * 2);
    world.login(&ada(json!({}))).await.unwrap();
}

#[tokio::test]
async fn e1_an_account_that_an_administrator_linked_is_never_an_ephemeral_one() {
    let mut world = asking();
    world.settings.lifecycle.ephemeral = Some(Duration::from_hours(24));
    assert!(waits(&world.login(&ada(json!({}))).await));
    world.decide(&world.case().await, CaseStanding::Linked).await;
    world.sign_in(&ada(json!({})), 1).await.unwrap();
    world.sign_out(1).await;
    world.later(Duration::from_hours(25));
    world.run_jobs().await;
    assert_eq!(world.app.accounts().len(), 1);
}

#[tokio::test]
async fn f7_who_is_denied_stays_out_until_an_administrator_reverses_it() {
    let mut world = asking();
    assert!(waits(&world.login(&ada(json!({}))).await));
    world.decide(&world.case().await, CaseStanding::Denied).await;
    world.later(CASE_LIFETIME * 2);
    world.store.sweep_cases(world.now()).await.unwrap();
    assert!(denied(&world.login(&ada(json!({}))).await));
    // Neither another name of the account nor other settings take an administrator's word back.
    world.change_account(|account| account.profile.username = "ada.k".to_owned());
    assert!(denied(&world.login(&ada(json!({}))).await));
    world.settings.on_existing = OnExisting::Adopt;
    assert!(denied(&world.login(&ada(json!({}))).await));
    world.change_account(|account| account.profile.username = "ada.l".to_owned());
    world.decide(&world.case().await, CaseStanding::Linked).await;
    world.login(&ada(json!({}))).await.unwrap();
}

#[tokio::test]
async fn f7_a_decision_is_for_just_the_account_that_was_decided_on() {
    for (what, change) in [
        ("renamed", (|held: &mut Account| held.profile.username = "ada".to_owned()) as fn(&mut Account)),
        ("another spelling", |held| held.profile.email = Some("ADA@example.com".to_owned())),
        ("deleted, and made again", |held| held.id = crate::model::AccountId("8".to_owned())),
        ("privileged by now", |held| held.privileged = true),
        ("an owner by now", |held| held.entitlements.owner = true),
    ] {
        let world = asking();
        assert!(waits(&world.login(&ada(json!({}))).await));
        world.decide(&world.case().await, CaseStanding::Linked).await;
        world.change_account(change);
        assert!(waits(&world.login(&ada(json!({}))).await), "{what}");
        assert!(world.member(&ada(json!({}))).await.is_none());
        let all = world.cases().await;
        let waiting: Vec<_> = all.iter().filter(|case| case.standing == CaseStanding::Waiting).collect();
        assert_eq!(waiting.len(), 1, "{what}: {all:?}");
    }
    // Nor is it for anybody else.
    let world = asking();
    assert!(waits(&world.login(&ada(json!({}))).await));
    world.decide(&world.case().await, CaseStanding::Linked).await;
    assert!(waits(&world.login(&new_hire()).await));
    assert!(waits(&world.login(&elsewhere(json!({}))).await));
}

#[tokio::test]
async fn f7_a_decision_that_nobody_uses_in_time_is_asked_for_again() {
    let world = asking();
    assert!(waits(&world.login(&ada(json!({}))).await));
    let case = world.case().await;
    world.decide(&case, CaseStanding::Linked).await;
    world.later(CASE_LIFETIME);
    assert!(waits(&world.login(&ada(json!({}))).await));
    let anew = world.case().await;
    assert_eq!((anew.id, anew.revision, anew.standing), (case.id, 3, CaseStanding::Waiting));
}

#[tokio::test]
async fn f7_a_privileged_account_is_linked_where_an_administrator_knew_that_it_is() {
    let world = asking();
    world.change_account(|account| account.privileged = true);
    assert!(waits(&world.login(&ada(json!({}))).await));
    let case = world.case().await;
    assert!(case.facts.privileged);
    world.decide(&case, CaseStanding::Linked).await;
    world.login(&ada(json!({}))).await.unwrap();
    // Under "adopt" nobody is asked, and it is never adopted.
    let mut world = asking();
    world.settings.on_existing = OnExisting::Adopt;
    world.change_account(|account| account.privileged = true);
    let refused = world.login(&ada(json!({}))).await;
    assert!(matches!(refused, Err(ProvisionError::PrivilegedAccount { .. })), "{refused:?}");
    assert!(world.cases().await.is_empty());
}

#[tokio::test]
async fn g2_no_decision_links_a_protected_account_or_narthexs_own() {
    for decided in [false, true] {
        let mut world = asking();
        if decided {
            assert!(waits(&world.login(&ada(json!({}))).await));
            world.decide(&world.case().await, CaseStanding::Linked).await;
        }
        world.app.state.lock().unwrap().own_account = Some(crate::model::AccountId("7".to_owned()));
        let own = world.login(&ada(json!({}))).await;
        assert!(matches!(own, Err(ProvisionError::OwnAccount { .. })), "{own:?}");
        world.app.state.lock().unwrap().own_account = None;
        world.settings.protected_accounts = vec!["ADA.L".to_owned()];
        let protected = world.login(&ada(json!({}))).await;
        assert!(matches!(protected, Err(ProvisionError::ProtectedAccount { .. })), "{protected:?}");
        world.settings.protected_accounts.clear();
        world.change_account(|account| account.active = false);
        let inactive = world.login(&ada(json!({}))).await;
        assert!(matches!(inactive, Err(ProvisionError::AccountDeactivated { .. })), "{inactive:?}");
        assert_eq!(world.cases().await.len(), usize::from(decided), "nobody is asked");
    }
}

#[tokio::test]
async fn f7_an_address_that_nobody_verified_has_nobody_asked() {
    let world = asking();
    let refused = world.login(&ada(json!({ "email_verified": false }))).await;
    assert!(matches!(refused, Err(ProvisionError::ExistingAccountUnverifiedEmail { .. })), "{refused:?}");
    assert!(world.cases().await.is_empty());
}

#[tokio::test]
async fn f7_an_identity_has_administrators_look_at_so_many_accounts_and_no_more() {
    let world = asking();
    for number in 0..=MOST_OF_ONE {
        let email = format!("victim{number}@example.com");
        world.app.has(account(&format!("id {number}"), &format!("victim{number}"), &email));
        let result = world.login(&ada(json!({ "email": email }))).await;
        if number < MOST_OF_ONE {
            assert!(waits(&result), "{result:?}");
        } else {
            assert!(matches!(result, Err(ProvisionError::TooManyCases { .. })), "{result:?}");
        }
    }
    assert_eq!(world.cases().await.len(), MOST_OF_ONE);
}

#[tokio::test]
async fn f8_a_second_providers_verified_address_joins_the_member() {
    let world = linking();
    world.login(&ada(json!({}))).await.unwrap();
    world.app.forget_calls();
    let provisioned = world.sign_in(&elsewhere(json!({})), 1).await.unwrap();
    let member = world.member(&ada(json!({}))).await.unwrap();
    assert_eq!(provisioned.account().unwrap().member, member.id);
    assert_eq!(world.member(&elsewhere(json!({}))).await.unwrap().id, member.id);
    assert_eq!((member.identities.len(), member.origin), (2, Origin::Jit));
    assert!(world.app.writes().is_empty() && world.cases().await.is_empty());
    // From then on by either, whatever the address is.
    world.login(&elsewhere(json!({ "email": "ida@example.com" }))).await.unwrap();
    world.login(&ada(json!({}))).await.unwrap();
    assert_eq!(world.app.accounts().len(), 1);
}

#[tokio::test]
async fn f8_an_address_that_is_not_verified_and_a_name_join_nothing() {
    let world = linking();
    world.login(&ada(json!({}))).await.unwrap();
    let refused = world.login(&elsewhere(json!({ "email_verified": false }))).await;
    assert!(matches!(refused, Err(ProvisionError::ExistingAccountUnverifiedEmail { .. })), "{refused:?}");
    // Of another domain than the provider may speak for.
    let mut world = World { settings: Provisioning { match_username: true, ..world.settings }, ..world };
    let named = elsewhere(json!({ "email": "someone@example.com" }));
    let refused = world.login(&named).await;
    assert!(matches!(refused, Err(ProvisionError::LinkedToAnotherMember { .. })), "{refused:?}");
    world.settings.on_existing = OnExisting::Ask;
    let refused = world.login(&named).await;
    assert!(matches!(refused, Err(ProvisionError::LinkedToAnotherMember { .. })), "{refused:?}");
    assert!(world.cases().await.is_empty());
}

#[tokio::test]
async fn f8_without_link_identities_a_second_providers_person_waits_for_an_administrator() {
    for on_existing in [OnExisting::Adopt, OnExisting::Ask, OnExisting::Deny] {
        let world = World::with(Provisioning { on_existing, ..settings() });
        world.login(&ada(json!({}))).await.unwrap();
        assert!(waits(&world.login(&elsewhere(json!({}))).await));
        let case = world.case().await;
        let member = world.member(&ada(json!({}))).await.unwrap();
        assert_eq!((case.facts.kind, case.facts.member), (CaseKind::SecondIdentity, Some(member.id)));
        world.decide(&case, CaseStanding::Linked).await;
        let provisioned = world.login(&elsewhere(json!({}))).await.unwrap();
        assert_eq!(provisioned.account().unwrap().member, member.id);
        let member = world.member(&ada(json!({}))).await.unwrap();
        assert_eq!((member.identities.len(), member.origin), (2, Origin::Jit), "it came to be by JIT");
        assert_eq!(world.case().await.led_to, Some(member.id));
    }
}

#[tokio::test]
async fn f8_a_recycled_address_waits_whatever_the_settings_say() {
    for link_identities in [true, false] {
        let world = World::with(Provisioning { link_identities, ..settings() });
        world.login(&ada(json!({}))).await.unwrap();
        assert!(waits(&world.login(&new_hire()).await));
        let case = world.case().await;
        assert_eq!(case.facts.kind, CaseKind::RecycledAddress);
        // Somebody else.
        world.decide(&case, CaseStanding::Denied).await;
        assert!(denied(&world.login(&new_hire()).await));
        world.login(&ada(json!({}))).await.unwrap();
        // The same person after all, under a new id.
        world.decide(&world.case().await, CaseStanding::Linked).await;
        let provisioned = world.login(&new_hire()).await.unwrap();
        let member = world.member(&ada(json!({}))).await.unwrap();
        assert_eq!(provisioned.account().unwrap().member, member.id);
        assert_eq!(world.app.accounts().len(), 1);
    }
}

#[tokio::test]
async fn f8_whoever_has_the_account_by_now_is_another_question() {
    let world = World::new();
    world.login(&ada(json!({}))).await.unwrap();
    assert!(waits(&world.login(&elsewhere(json!({}))).await));
    world.decide(&world.case().await, CaseStanding::Linked).await;
    // The person joined by the same provider meanwhile: this one is a second subject of it.
    let member = world.member(&ada(json!({}))).await.unwrap();
    let first = Subject::parse("faster").unwrap();
    assert!(
        crate::store::ScimStore::link_identity(
            world.store.as_ref(),
            member.id,
            &"other".parse().unwrap(),
            &first
        )
        .await
        .unwrap()
    );
    assert!(waits(&world.login(&elsewhere(json!({}))).await));
    assert_eq!(world.case().await.facts.kind, CaseKind::RecycledAddress);
}

#[tokio::test]
async fn f8_nobody_joins_a_privileged_account_without_an_administrator() {
    let world = linking();
    world.login(&ada(json!({ "groups": ["platform-admins"] }))).await.unwrap();
    assert!(waits(&world.login(&elsewhere(json!({}))).await));
    let case = world.case().await;
    assert!(case.facts.privileged);
    world.decide(&case, CaseStanding::Linked).await;
    world.login(&elsewhere(json!({}))).await.unwrap();
}

#[tokio::test]
async fn f8_an_address_that_only_the_application_has_joins_nobody() {
    let world = linking();
    world.login(&person("mallory", json!({}))).await.unwrap();
    // Mallory waits for Ada under her address.
    world.change_account(|account| account.profile.email = Some("ada@example.com".to_owned()));
    assert!(waits(&world.login(&elsewhere(json!({}))).await));
    assert_eq!(world.case().await.facts.kind, CaseKind::SecondIdentity);
    // Where the provider says so itself, it is hers.
    let renamed = person("mallory", json!({ "email": "ada@example.com" }));
    world.login(&renamed).await.unwrap();
    world.login(&elsewhere(json!({}))).await.unwrap();
    assert_eq!(world.member(&renamed).await.unwrap().identities.len(), 2);
}

#[tokio::test]
async fn f8_a_changed_address_or_name_never_links_anew() {
    let world = linking();
    world.login(&ada(json!({}))).await.unwrap();
    world.login(&person("bob", json!({}))).await.unwrap();
    let as_bob = ada(json!({ "email": "bob@example.com", "preferred_username": "bob", "name": "Bob" }));
    let provisioned = world.login(&as_bob).await.unwrap();
    assert_eq!(provisioned.account().unwrap().id, world.app.account("ada").id);
    let member = world.member(&ada(json!({}))).await.unwrap();
    assert_eq!(member.identities.len(), 1);
    assert!(world.cases().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f8_of_many_at_once_over_all_processes_each_comes_in_as_the_one_member() {
    let world = linking();
    let provisioned = world.login(&ada(json!({}))).await.unwrap();
    let member = provisioned.account().unwrap().member;
    let mut logins = JoinSet::new();
    for number in 0..40 {
        let process = world.process();
        let identity = if number % 4 == 0 { ada(json!({})) } else { elsewhere(json!({})) };
        logins.spawn(async move { process.provision(Verified::for_tests(identity)).await });
    }
    while let Some(login) = logins.join_next().await {
        assert_eq!(login.unwrap().unwrap().account().unwrap().member, member);
    }
    assert_eq!(world.app.accounts().len(), 1);
    assert_eq!(world.member(&ada(json!({}))).await.unwrap().identities.len(), 2);
}

#[tokio::test]
async fn g6_a_block_binds_every_identity_of_the_member_and_decisions_too() {
    let world = linking();
    world.login(&ada(json!({}))).await.unwrap();
    world.login(&elsewhere(json!({}))).await.unwrap();
    assert!(waits(&world.login(&new_hire()).await));
    world.decide(&world.case().await, CaseStanding::Linked).await;
    let member = world.member(&ada(json!({}))).await.unwrap();
    world.process().block(member.id).await.unwrap();
    // Not by the address alone.
    world.change_account(|account| account.profile.email = Some("ida@example.com".to_owned()));
    for identity in
        [ada(json!({})), elsewhere(json!({})), new_hire(), elsewhere(json!({ "email": "ida@example.com" }))]
    {
        let refused = world.login(&identity).await;
        assert!(matches!(refused, Err(ProvisionError::Blocked)), "{identity:?}: {refused:?}");
    }
    let mut third = new_hire();
    third.subject = Subject::parse("a third").unwrap();
    third.claims = ada(json!({ "email": "ida@example.com", "preferred_username": "ada3" })).claims;
    let refused = world.login(&third).await;
    assert!(matches!(refused, Err(ProvisionError::Blocked)), "the account: {refused:?}");
    assert_eq!(world.cases().await.len(), 1, "nobody is asked about somebody who is blocked");
}

#[tokio::test]
async fn m6_in_shadow_mode_nobody_is_asked_and_the_report_says_that_somebody_would_be() {
    let mut world = asking();
    world.settings.shadow = true;
    assert!(world.login(&ada(json!({}))).await.unwrap().account().is_none());
    assert!(world.cases().await.is_empty());
    let told = world.telling_process().rehearse(&ada(json!({}))).await;
    assert_eq!(told.summary().refusal.unwrap().code, "waits_for_administrator");
}

#[tokio::test]
async fn x1_who_joins_is_told_so_before_and_after() {
    let world = linking();
    world.login(&ada(json!({}))).await.unwrap();
    let rehearsed = world.telling_process().rehearse(&elsewhere(json!({}))).await;
    assert_eq!(rehearsed.summary().outcome, "linked");
    assert_eq!(world.member(&elsewhere(json!({}))).await, None);
    let (result, told) = world.told_login(&elsewhere(json!({})), 1).await;
    result.unwrap();
    assert_eq!(explain::as_done(rehearsed), told);
}
