//! E2 and M3: what a SCIM client keeps here reaches the application, and its people are recognised at sign-in.

use serde_json::{Value, json};

use super::fake::{Mishap, account, unreachable};
use super::*;
use crate::config::settings::{Scim, ScimGroups, ScimMatch};
use crate::model::scim::{ScimKind, ScimResource};
use crate::model::{AccountState, JobState, Leaving, Origin, Secret};
use crate::provision::ConnectorError;
use crate::provision::faults::{FaultPoint, Faults};
use crate::store::{ScimStore, ScimWrite};

/// A world whose accounts come by SCIM.
struct Directory {
    world: World,
    scim: Scim,
}

/// The directory's people are in it under these ids.
fn scim(matching: ScimMatch) -> Scim {
    Scim {
        listen: "127.0.0.1:0".parse().unwrap(),
        public_url: None,
        tls: None,
        tokens: vec![Secret::new("token")],
        groups: ScimGroups::Mapping,
        matching,
        idp: None,
    }
}

impl Directory {
    fn new() -> Self {
        let scim = scim(ScimMatch::ExternalId { claim: None });
        Self { world: World::with(Provisioning { mode: Mode::Scim, ..settings() }), scim }
    }

    fn process(&self) -> Provisioner {
        self.world.process().pushed_by(&self.scim)
    }

    async fn run_jobs(&self) {
        let process = self.process();
        while process.run_due_job().await.unwrap() {}
    }

    /// What the client writes of a user, over what it wrote before.
    async fn user(&self, name: &str, changes: Value) {
        let mut body = json!({
            "userName": name, "externalId": format!("sub-{name}"), "active": true, "displayName": name,
            "emails": [{ "value": "other@example.com" }, { "value": format!("{name}@example.com"), "primary": true }],
        });
        for (attribute, value) in changes.as_object().unwrap() {
            body[attribute] = value.clone();
        }
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let resource = ScimResource {
            id: format!("id-{name}"),
            kind: ScimKind::User,
            revision: 1,
            user_name: text("userName").map(|name| name.to_lowercase()),
            external_id: text("externalId"),
            email: Some(format!("{name}@example.com")),
            display_name: text("displayName"),
            display_key: text("displayName"),
            body: body.to_string(),
            created_at: self.world.now(),
            modified_at: self.world.now(),
        };
        let store = &self.world.store;
        let write = match store.find_scim(ScimKind::User, &resource.id).await.unwrap() {
            None => store.create_scim(&resource, &[]).await,
            Some(there) => {
                let resource = ScimResource { revision: there.revision + 1, ..resource };
                store.replace_scim(&resource, there.revision, None).await
            }
        };
        assert_eq!(write.unwrap(), ScimWrite::Done);
    }

    async fn group(&self, name: &str, members: &[&str]) {
        let resource = ScimResource {
            id: format!("group-{name}"),
            kind: ScimKind::Group,
            revision: 1,
            body: "{}".to_owned(),
            user_name: None,
            external_id: None,
            email: None,
            display_name: Some(name.to_owned()),
            display_key: Some(name.to_lowercase()),
            created_at: self.world.now(),
            modified_at: self.world.now(),
        };
        let members: Vec<String> = members.iter().map(|name| format!("id-{name}")).collect();
        let store = &self.world.store;
        let write = match store.find_scim(ScimKind::Group, &resource.id).await.unwrap() {
            None => store.create_scim(&resource, &members).await,
            Some(there) => {
                let resource = ScimResource { revision: there.revision + 1, ..resource };
                store.replace_scim(&resource, there.revision, Some(&members)).await
            }
        };
        assert_eq!(write.unwrap(), ScimWrite::Done);
    }

    async fn delete(&self, name: &str) {
        let store = &self.world.store;
        let gone = store.delete_scim(ScimKind::User, &format!("id-{name}"), None, self.world.now()).await;
        assert_eq!(gone.unwrap(), ScimWrite::Done);
    }

    async fn login(&self, identity: &Identity) -> Result<Provisioned, ProvisionError> {
        self.process().provision(Verified::for_tests(identity.clone())).await
    }

    async fn pushed_member(&self, name: &str) -> Option<Member> {
        let subject = Subject::parse(&format!("id-{name}")).unwrap();
        self.world.store.find_member(&IdpId::scim(), &subject).await.unwrap()
    }
}

#[tokio::test]
async fn e2_a_pushed_user_gets_an_account_with_role_and_groups() {
    let directory = Directory::new();
    directory.user("ada", json!({ "roles": [{ "value": "reader" }] })).await;
    directory.group("engineers", &["ada"]).await;
    directory.run_jobs().await;
    let ada = directory.world.app.account("ada");
    assert_eq!(ada.profile.email.as_deref(), Some("ada@example.com"));
    assert_eq!(ada.profile.display_name.as_deref(), Some("ada"));
    assert_eq!(ada.entitlements.role.as_deref(), Some("reader"));
    assert!(ada.entitlements.teams.contains_key("acme/developers"), "{:?}", ada.entitlements);
    assert!(ada.entitlements.app_groups.contains("builders"));
    let member = directory.pushed_member("ada").await.unwrap();
    assert_eq!((member.origin, member.account), (Origin::Scim, Some(ada.id)));
    assert_eq!(directory.world.jobs().await, []);
}

#[tokio::test]
async fn e2_a_push_that_changes_nothing_writes_nothing() {
    let directory = Directory::new();
    directory.user("ada", json!({})).await;
    directory.run_jobs().await;
    directory.world.app.forget_calls();
    directory.user("ada", json!({ "title": "Countess" })).await;
    directory.run_jobs().await;
    assert_eq!(directory.world.app.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn l3_a_later_push_changes_the_account_and_takes_what_the_directory_gave() {
    let directory = Directory::new();
    directory.user("ada", json!({ "roles": [{ "value": "reader" }] })).await;
    directory.group("engineers", &["ada"]).await;
    directory.run_jobs().await;
    directory.user("ada", json!({ "displayName": "Ada L" })).await;
    directory.group("engineers", &[]).await;
    directory.run_jobs().await;
    let ada = directory.world.app.account("ada");
    assert_eq!(ada.profile.display_name.as_deref(), Some("Ada L"));
    assert_eq!(ada.entitlements.role.as_deref(), Some("user"), "the default one");
    assert!(!ada.entitlements.teams.contains_key("acme/developers"), "{:?}", ada.entitlements);
    assert!(ada.entitlements.app_groups.is_empty(), "{:?}", ada.entitlements);
}

#[tokio::test]
async fn f5_groups_give_teams_or_application_groups_of_their_name_unless_privileged() {
    for (groups, team, app_group) in [
        (ScimGroups::Teams, true, false),
        (ScimGroups::AppGroups, false, true),
        (ScimGroups::Mapping, false, false),
    ] {
        let mut directory = Directory::new();
        directory.scim.groups = groups;
        directory.user("bob", json!({})).await;
        for group in ["public", "builders", "acme/owners", "nothing"] {
            directory.group(group, &["bob"]).await;
        }
        directory.run_jobs().await;
        let held = directory.world.app.account("bob").entitlements;
        assert_eq!(held.teams.contains_key("public"), team, "{groups:?}: {held:?}");
        assert_eq!(held.app_groups.contains("builders"), app_group, "{groups:?}: {held:?}");
        assert!(!held.teams.contains_key("acme/owners"), "{groups:?}: {held:?}");
    }
}

#[tokio::test]
async fn f4_a_privileged_role_does_not_come_from_the_directorys_word_alone() {
    let directory = Directory::new();
    directory.user("eve", json!({ "roles": [{ "value": "admin" }] })).await;
    directory.user("ada", json!({})).await;
    directory.group("platform-admins", &["ada"]).await;
    directory.run_jobs().await;
    assert_eq!(directory.world.app.account("eve").entitlements.role.as_deref(), Some("user"));
    assert_eq!(directory.world.app.account("ada").entitlements.role.as_deref(), Some("admin"));
}

#[tokio::test]
async fn e4_a_user_who_is_not_active_any_more_is_out_at_once_and_may_come_back() {
    let directory = Directory::new();
    let ada = ada(json!({}));
    directory.user("ada", json!({})).await;
    directory.run_jobs().await;
    let provisioned = directory.login(&ada).await.unwrap();
    directory.world.begin_session(&provisioned, 1).await.unwrap();
    directory.user("ada", json!({ "active": false })).await;
    let refused = directory.login(&ada).await.unwrap_err();
    assert!(matches!(refused, ProvisionError::AccountDeactivated { .. }), "before its job ran: {refused:?}");
    directory.run_jobs().await;
    assert!(!directory.world.has_session(1).await);
    assert!(!directory.world.app.account("ada").active);
    let refused = directory.login(&ada).await.unwrap_err();
    assert!(matches!(refused, ProvisionError::AccountDeactivated { .. }), "{refused:?}");
    assert!(!directory.world.app.account("ada").active, "a sign-in activates nobody");

    directory.user("ada", json!({})).await;
    directory.run_jobs().await;
    assert!(directory.world.app.account("ada").active);
    directory.login(&ada).await.unwrap();
}

#[tokio::test]
async fn e6_a_deleted_user_leaves_as_the_settings_say_also_one_that_was_deactivated() {
    for (leaver, deactivated_first) in
        [(Leaving::Delete, false), (Leaving::Delete, true), (Leaving::Deactivate, false)]
    {
        let mut directory = Directory::new();
        directory.world.settings.lifecycle.leaver = leaver;
        directory.user("ada", json!({})).await;
        directory.run_jobs().await;
        if deactivated_first {
            directory.user("ada", json!({ "active": false })).await;
            directory.run_jobs().await;
        }
        directory.delete("ada").await;
        directory.run_jobs().await;
        let accounts = directory.world.app.accounts();
        let states: Vec<bool> = accounts.iter().map(|account| account.active).collect();
        let expected = match leaver {
            Leaving::Delete => vec![],
            Leaving::Deactivate => vec![false],
        };
        assert_eq!(states, expected, "{leaver:?} {deactivated_first}");
        let refused = directory.login(&ada(json!({}))).await.unwrap_err();
        assert!(matches!(refused, ProvisionError::NotProvisioned), "{refused:?}");
        assert_eq!(directory.world.jobs().await, []);
    }
}

#[tokio::test]
async fn e2_a_push_is_tried_again_until_the_application_answers() {
    let directory = Directory::new();
    directory.world.app.next("create", unreachable(true));
    directory.user("ada", json!({})).await;
    directory.run_jobs().await;
    directory.world.later(Duration::from_hours(1));
    directory.run_jobs().await;
    assert_eq!(directory.world.app.accounts().len(), 1);
    assert_eq!(directory.world.jobs().await, []);
}

#[tokio::test]
async fn e2_a_push_that_the_application_refuses_waits_for_an_administrator_and_for_another_push() {
    let directory = Directory::new();
    let excerpt = "bad name".to_owned();
    let refused = ConnectorError::Refused { operation: "create", status: 400, excerpt };
    directory.world.app.next("create", Mishap::Error(refused));
    directory.user("ada", json!({})).await;
    directory.run_jobs().await;
    let jobs = directory.world.jobs().await;
    assert_eq!(jobs[0].state, JobState::Parked, "{jobs:?}");
    directory.user("ada", json!({ "title": "x" })).await;
    directory.run_jobs().await;
    assert_eq!(directory.world.app.accounts().len(), 1);
}

#[tokio::test]
async fn g4_an_account_that_the_application_deactivated_is_left_alone() {
    let directory = Directory::new();
    directory.user("ada", json!({})).await;
    directory.run_jobs().await;
    directory.world.app.state.lock().unwrap().accounts[0].active = false;
    directory.user("ada", json!({ "displayName": "Ada L" })).await;
    directory.run_jobs().await;
    assert!(!directory.world.app.account("ada").active);
    assert_eq!(directory.world.jobs().await[0].state, JobState::Parked);
}

#[tokio::test]
async fn m3_a_person_whom_scim_made_is_recognised_and_nobody_else() {
    let directory = Directory::new();
    let ada = ada(json!({}));
    let refused = directory.login(&ada).await.unwrap_err();
    assert!(matches!(refused, ProvisionError::NotProvisioned), "not pushed: {refused:?}");
    directory.user("ada", json!({})).await;
    let refused = directory.login(&ada).await.unwrap_err();
    assert!(matches!(refused, ProvisionError::NotProvisioned), "no account yet: {refused:?}");
    directory.run_jobs().await;
    let account = directory.world.app.account("ada").id;
    let provisioned = directory.login(&ada).await.unwrap();
    assert_eq!(provisioned.account().unwrap().id, account);
    let member = directory.world.member(&ada).await.unwrap();
    assert_eq!((member.origin, member.identities.len()), (Origin::Scim, 2));
    assert_eq!(directory.login(&ada).await.unwrap().account().unwrap().id, account);
    let refused = directory.login(&person("bob", json!({}))).await.unwrap_err();
    assert!(matches!(refused, ProvisionError::NotProvisioned), "{refused:?}");
    assert_eq!(directory.world.app.accounts().len(), 1);
}

#[tokio::test]
async fn m3_each_way_of_recognising_looks_at_its_own_attribute() {
    let by_claim = |claim: &str| ScimMatch::ExternalId { claim: Some(claim.to_owned()) };
    let by_name = || ScimMatch::UserName { claim: "preferred_username".to_owned() };
    for (matching, claims, recognised) in [
        (by_claim("oid"), json!({ "oid": "sub-ada" }), true),
        (by_claim("oid"), json!({}), false),
        (by_claim("oid"), json!({ "oid": "SUB-ADA" }), false),
        (by_name(), json!({ "preferred_username": "ADA" }), true),
        (by_name(), json!({ "preferred_username": "bda" }), false),
        (ScimMatch::Email, json!({ "email": "Ada@example.com" }), true),
        (ScimMatch::Email, json!({ "email": "other@example.com" }), false),
        (ScimMatch::Email, json!({ "email_verified": false }), false),
    ] {
        let mut directory = Directory::new();
        directory.scim.matching = matching;
        directory.user("ada", json!({})).await;
        directory.run_jobs().await;
        let mut identity = ada(claims.clone());
        identity.subject = Subject::parse("opaque").unwrap();
        let login = directory.login(&identity).await;
        assert_eq!(login.is_ok(), recognised, "{:?} {claims}: {:?}", directory.scim.matching, login.err());
    }
}

#[tokio::test]
async fn f8_a_name_in_other_letters_another_provider_and_one_of_two_are_not_recognised() {
    let mut directory = Directory::new();
    directory.scim.matching = ScimMatch::UserName { claim: "preferred_username".to_owned() };
    directory.user("kate", json!({})).await;
    directory.run_jobs().await;
    // The Kelvin sign, which is a k in lower case.
    let kelvin = person("kate", json!({ "preferred_username": "\u{212a}ate" }));
    let refused = directory.login(&kelvin).await.unwrap_err();
    assert!(matches!(refused, ProvisionError::NotProvisioned), "{refused:?}");
    directory.scim.idp = Some("other".parse().unwrap());
    let refused = directory.login(&person("kate", json!({}))).await.unwrap_err();
    assert!(matches!(refused, ProvisionError::NotProvisioned), "{refused:?}");
    directory.scim.idp = Some(corp());
    directory.login(&person("kate", json!({}))).await.unwrap();
    // The same name, given to somebody else.
    let mut later = person("kate", json!({}));
    later.subject = Subject::parse("another").unwrap();
    let refused = directory.login(&later).await.unwrap_err();
    assert!(matches!(refused, ProvisionError::LinkedToAnotherMember { .. }), "{refused:?}");

    let directory = Directory::new();
    directory.user("ada", json!({})).await;
    directory.user("bob", json!({ "externalId": "sub-ada" })).await;
    directory.run_jobs().await;
    let refused = directory.login(&ada(json!({}))).await.unwrap_err();
    assert!(matches!(refused, ProvisionError::NotProvisioned), "{refused:?}");
}

#[tokio::test]
async fn lesson_32_an_external_id_that_is_an_accounts_id_takes_no_account() {
    let directory = Directory::new();
    directory.world.app.has(account("1", "root", "root@example.com"));
    directory.user("ada", json!({ "externalId": "1" })).await;
    directory.run_jobs().await;
    let accounts = directory.world.app.accounts();
    assert_eq!(accounts.len(), 2);
    assert_eq!(accounts[0], account("1", "root", "root@example.com"), "left as it was");
    let member = directory.pushed_member("ada").await.unwrap();
    assert_ne!(member.account.unwrap().0, "1");
}

#[tokio::test]
async fn m5_what_scim_made_stays_when_the_mode_is_another() {
    let mut directory = Directory::new();
    directory.user("ada", json!({})).await;
    directory.run_jobs().await;
    directory.user("ada", json!({ "displayName": "Ada L" })).await;
    directory.world.settings.mode = Mode::Jit;
    directory.world.run_jobs().await;
    let member = directory.pushed_member("ada").await.unwrap();
    assert_eq!(member.account_state, AccountState::Present);
    assert_eq!(directory.world.app.account("ada").profile.display_name.as_deref(), Some("ada"));
}

#[tokio::test]
async fn g3_a_directory_that_lost_its_people_takes_few_accounts_away_and_all_sessions() {
    let mut directory = Directory::new();
    directory.world.settings.lifecycle.max_removals = 1;
    let people = [(1, "ada"), (2, "bob")];
    for (number, name) in people {
        directory.user(name, json!({})).await;
        directory.run_jobs().await;
        let provisioned = directory.login(&person(name, json!({}))).await.unwrap();
        directory.world.begin_session(&provisioned, number).await.unwrap();
    }
    for (_, name) in people {
        directory.user(name, json!({ "active": false })).await;
    }
    directory.run_jobs().await;
    let active = || directory.world.app.accounts().iter().filter(|account| account.active).count();
    assert_eq!(active(), 1);
    for (number, name) in people {
        assert!(!directory.world.has_session(number).await, "{name}");
        directory.login(&person(name, json!({}))).await.unwrap_err();
    }
    directory.world.later(Duration::from_hours(2));
    directory.run_jobs().await;
    assert_eq!(active(), 0);
    assert_eq!(directory.world.jobs().await, []);
}

#[tokio::test]
async fn e2_a_deactivation_is_not_lost_to_a_sign_in_that_died_while_it_activated_the_account() {
    let directory = Directory::new();
    let ada = ada(json!({}));
    directory.user("ada", json!({})).await;
    directory.run_jobs().await;
    directory.login(&ada).await.unwrap();
    directory.user("ada", json!({ "active": false })).await;
    directory.run_jobs().await;
    assert!(!directory.world.app.account("ada").active);
    // The directory lets her in again, and she comes before its job does.
    directory.user("ada", json!({})).await;
    let faults = Arc::new(Faults::dying_at(FaultPoint::Reactivated, 0));
    let process = directory.process().dying(faults.clone());
    let signing_in = process.provision(Verified::for_tests(ada.clone()));
    tokio::select! {
        _ = signing_in => panic!("it was to die"),
        () = faults.died() => {}
    }
    assert!(directory.world.app.account("ada").active);
    directory.user("ada", json!({ "active": false })).await;
    directory.run_jobs().await;
    directory.world.later(Duration::from_mins(1));
    directory.run_jobs().await;
    assert!(!directory.world.app.account("ada").active, "the record said that it was not");
}

#[tokio::test]
async fn e2_a_sign_in_that_waited_for_its_turn_asks_the_directory_again() {
    let directory = Directory::new();
    let ada = ada(json!({}));
    directory.user("ada", json!({})).await;
    directory.run_jobs().await;
    directory.login(&ada).await.unwrap();
    directory.user("ada", json!({ "active": false })).await;
    directory.run_jobs().await;
    // The directory lets her in again, and she comes before its job does; it changes its mind while she waits.
    directory.user("ada", json!({})).await;
    let member = directory.pushed_member("ada").await.unwrap();
    let signing_in = directory.process().core();
    let lease = signing_in.try_hold(member.id).await.unwrap().ok().unwrap();
    let holder = lease.holder;
    directory.user("ada", json!({ "active": false })).await;
    directory.run_jobs().await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(15);
    let refused = signing_in.under_lease(lease, &ada, deadline).await.err();
    assert!(matches!(refused, Some(ProvisionError::AccountDeactivated { .. })), "{refused:?}");
    signing_in.release(member.id, holder).await;
    directory.world.later(Duration::from_mins(1));
    directory.run_jobs().await;
    assert!(!directory.world.app.account("ada").active);
    assert_eq!(directory.world.jobs().await, []);
}
