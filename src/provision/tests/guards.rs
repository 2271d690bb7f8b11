//! G1, G2 and G5, whoever calls.

use std::sync::Arc;
use std::time::Duration;

use super::fake::{Fake, Mishap, account, unreachable};
use crate::model::{Account, AccountId, AccountProfile, Entitlements};
use crate::platform::Platform;
use crate::provision::connector::{Connector, ConnectorError, EntitlementChange, FindBy, Kind};
use crate::provision::guard::{Guarded, Terms};
use crate::provision::names::{FRESH, NameCache, Standing};
use crate::provision::privileges::Privileges;
use crate::store::Store;
use crate::store::memory::Memory;

#[tokio::test]
async fn f4_a_kind_that_was_not_asked_for_yet_does_not_pass_for_one_that_cannot_be_listed() {
    let (app, cache) = (Fake::new(), NameCache::default());
    let first = cache.within(FRESH, &app, [Kind::Role].into()).await.unwrap();
    assert_eq!(first.standing(Kind::Team, "acme/owners"), Standing::Unlisted);
    let second = cache.within(FRESH, &app, [Kind::Team].into()).await.unwrap();
    assert_eq!(second.standing(Kind::Team, "acme/owners"), Standing::Privileged);
    app.forget_calls();
    let both = cache.within(FRESH, &app, [Kind::Role, Kind::Team].into()).await.unwrap();
    assert_eq!(both.standing(Kind::Role, "admin"), Standing::Privileged);
    assert_eq!(app.calls(""), [] as [String; 0], "both are fresh");
}

fn administrator(id: &str, username: &str) -> Account {
    let mut account = account(id, username, &format!("{username}@example.com"));
    account.privileged = true;
    account.entitlements.role = Some("admin".to_owned());
    account
}

fn guarded(accounts: &[Account]) -> (Arc<Fake>, Guarded) {
    let app = Arc::new(Fake::new());
    for account in accounts {
        app.has(account.clone());
    }
    let guarded = process(&app, &(Arc::new(Memory::default()) as _));
    (app, guarded)
}

/// The guards of one process.
fn process(app: &Arc<Fake>, store: &Arc<dyn Store>) -> Guarded {
    let protected = vec!["break-glass".to_owned(), "ceo@example.com".to_owned()];
    let privileges = Privileges::new(store.clone(), Platform::system());
    Guarded::new(app.clone(), Terms { protected, lasts: Duration::from_secs(20) }, privileges)
}

fn stopped(result: &Result<(), ConnectorError>, by: &str) -> bool {
    matches!(result, Err(ConnectorError::Guarded { rule, .. }) if *rule == by)
}

fn demotion() -> EntitlementChange {
    EntitlementChange { role: Some("user".to_owned()), ..EntitlementChange::default() }
}

#[tokio::test]
async fn g1_the_last_active_administrator_is_not_demoted_deactivated_or_deleted() {
    let root = administrator("1", "root");
    let asleep = Account { active: false, ..administrator("2", "asleep") };
    let (app, guarded) = guarded(&[root.clone(), asleep, account("3", "ada", "ada@example.com")]);
    assert!(stopped(&guarded.set_entitlements(&root, &demotion()).await, "G1"));
    assert!(stopped(&guarded.deactivate(&root).await, "G1"));
    assert!(stopped(&guarded.delete(&root).await, "G1"));
    assert!(app.writes().is_empty());
}

#[tokio::test]
async fn g1_an_administrator_beside_another_active_one_may_go() {
    let root = administrator("1", "root");
    let (app, guarded) = guarded(&[root.clone(), administrator("2", "second")]);
    guarded.set_entitlements(&root, &demotion()).await.unwrap();
    assert_eq!(app.account("root").entitlements.role.as_deref(), Some("user"));
}

#[tokio::test]
async fn g1_what_the_caller_knows_of_the_account_may_be_old() {
    let (app, guarded) = guarded(&[administrator("1", "root")]);
    // The caller still believes that it is an ordinary account.
    let stale = account("1", "root", "root@example.com");
    assert!(stopped(&guarded.delete(&stale).await, "G1"));
    assert!(app.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_of_two_administrators_who_are_removed_at_once_one_stays() {
    let (one, two) = (administrator("1", "one"), administrator("2", "two"));
    let (app, guarded) = guarded(&[one.clone(), two.clone()]);
    let (first, second) = tokio::join!(guarded.delete(&one), guarded.deactivate(&two));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    assert_eq!(app.find(FindBy::Privileged).await.unwrap().len(), 1);
}

#[tokio::test]
async fn g1_of_two_administrators_whom_two_processes_remove_at_once_one_stays() {
    let (one, two) = (administrator("1", "one"), administrator("2", "two"));
    let (app, _) = guarded(&[one.clone(), two.clone()]);
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let (here, there) = (process(&app, &store), process(&app, &store));
    let demotion = demotion();
    let (first, second) = tokio::join!(here.set_entitlements(&one, &demotion), there.delete(&two));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    assert!(stopped(&first, "G1") || stopped(&second, "G1"), "{first:?} {second:?}");
    assert_eq!(app.find(FindBy::Privileged).await.unwrap().len(), 1);
}

#[tokio::test]
async fn g1_the_right_to_take_privileges_away_is_given_up_and_others_do_not_need_it() {
    let root = administrator("1", "root");
    let (app, _) =
        guarded(&[root.clone(), administrator("2", "second"), account("3", "ada", "ada@example.com")]);
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let process = process(&app, &store);
    process.delete(&root).await.unwrap();
    let now = Platform::system().clock.now();
    let far = now.after(Duration::from_hours(1));
    assert_eq!(store.hold_right("privileges", 1, now, far).await.unwrap(), None);
    // Another process has it for an hour.
    process.delete(&account("3", "ada", "ada@example.com")).await.unwrap();
    assert_eq!(app.accounts().len(), 1);
}

#[tokio::test]
async fn g1_the_right_is_kept_while_a_call_may_still_take_effect() {
    let root = administrator("1", "root");
    for sent in [true, false] {
        let (app, _) = guarded(&[root.clone(), administrator("2", "second")]);
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        let process = process(&app, &store);
        let is_free = async || {
            let now = Platform::system().clock.now();
            let held =
                store.hold_right("privileges", 1, now, now.after(Duration::from_secs(9))).await.unwrap();
            store.release_right("privileges", 1).await.unwrap();
            held.is_none()
        };
        app.next("deactivate", unreachable(sent));
        process.deactivate(&root).await.unwrap_err();
        assert_eq!(is_free().await, !sent);
        // An answer to the second call says nothing of the first one.
        app.next("deactivate", refused());
        process.deactivate(&root).await.unwrap_err();
        assert_eq!(is_free().await, !sent);
        // The same account's turn it is still, and what is done can take effect no more.
        process.deactivate(&root).await.unwrap();
        assert!(is_free().await);
    }
}

fn refused() -> Mishap {
    Mishap::Error(ConnectorError::Refused { operation: "deactivate", status: 422, excerpt: String::new() })
}

#[tokio::test]
async fn g1_an_ordinary_account_may_be_changed_and_deleted() {
    let ada = account("3", "ada", "ada@example.com");
    let (_, guarded) = guarded(&[administrator("1", "root"), ada.clone()]);
    guarded.set_entitlements(&ada, &demotion()).await.unwrap();
    guarded.delete(&ada).await.unwrap();
}

#[tokio::test]
async fn g2_protected_accounts_and_the_own_account_are_not_touched() {
    let own = account("5", "narthex", "narthex@example.com");
    let accounts =
        [account("3", "BREAK-GLASS", "x@example.com"), account("4", "boss", "CEO@example.com"), own.clone()];
    let (app, guarded) = guarded(&accounts);
    app.state.lock().unwrap().own_account = Some(AccountId("5".to_owned()));
    let profile = AccountProfile { username: "x".to_owned(), ..AccountProfile::default() };
    for account in &accounts {
        assert!(stopped(&guarded.update(account, &profile).await, "G2"));
        assert!(stopped(&guarded.set_entitlements(account, &demotion()).await, "G2"));
        assert!(stopped(&guarded.deactivate(account).await, "G2"));
        assert!(stopped(&guarded.delete(account).await, "G2"));
    }
    let taken = AccountProfile { username: "Break-Glass".to_owned(), ..AccountProfile::default() };
    assert!(stopped(&guarded.create(&taken, None).await.map(|_| ()), "G2"));
    assert!(app.writes().is_empty());
}

#[tokio::test]
async fn g5_what_no_encoding_makes_harmless_is_not_sent() {
    let ada = account("3", "ada", "ada@example.com");
    let (app, guarded) = guarded(std::slice::from_ref(&ada));
    let unsendable =
        |result: Result<(), ConnectorError>| matches!(result, Err(ConnectorError::Unsendable { .. }));
    for bad in ["a\r\nb", "a\0", "..", "../x", "a/../b", "a\\..\\b", ".", "", "a\u{1b}b"] {
        let profile = AccountProfile { username: bad.to_owned(), ..AccountProfile::default() };
        assert!(unsendable(guarded.create(&profile, None).await.map(|_| ())), "{bad:?}");
        let fine = AccountProfile { username: "x".to_owned(), ..AccountProfile::default() };
        assert!(unsendable(guarded.create(&fine, Some(bad)).await.map(|_| ())), "{bad:?}");
        let teams = [(bad.to_owned(), None)].into();
        let add = Entitlements { teams, ..Entitlements::default() };
        let change = EntitlementChange { add, ..EntitlementChange::default() };
        assert!(unsendable(guarded.set_entitlements(&ada, &change).await), "{bad:?}");
        assert!(unsendable(guarded.create_team(bad).await), "{bad:?}");
        assert!(unsendable(guarded.find(FindBy::Username(bad)).await.map(|_| ())), "{bad:?}");
        assert!(
            unsendable(guarded.find(FindBy::Id(&AccountId(bad.to_owned()))).await.map(|_| ())),
            "{bad:?}"
        );
    }
    for good in ["acme/testers", "a..b", "...", "Ärzte & Co"] {
        guarded.create_team(good).await.unwrap();
    }
    let name = AccountProfile {
        username: "x".to_owned(),
        display_name: Some("a\nb".to_owned()),
        ..AccountProfile::default()
    };
    assert!(unsendable(guarded.create(&name, None).await.map(|_| ())));
    assert!(app.calls("!create ").is_empty());
}
