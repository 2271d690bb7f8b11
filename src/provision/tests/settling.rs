//! Properties of what is pure: fate, loans, sync and settlement, over arbitrary accounts, records and claims.

use proptest::prelude::*;
use serde_json::json;

use super::fake::account;
use super::*;
use crate::config::settings::SyncRemoves;
use crate::model::{
    Account, AccountState, Entitlements, Facet, Grant, GrantSource, Item, Items, Leaving, Ledger, Origin,
    Source,
};
use crate::provision::entitle::Entitlement;
use crate::provision::entitle::{Because, Entitled, Given, Rule};
use crate::provision::fate::{Fate, wanted_state};
use crate::provision::loans;
use crate::provision::plan::changed;
use crate::provision::settlement::{Settlement, settlement};
use crate::provision::sync::{self, Removals, Wish, is_managed};
use crate::store::{Standing, StandingSession};

const TEAMS: [&str; 4] = ["acme/a", "acme/b", "ops", "public"];

fn items() -> impl Strategy<Value = Items> {
    let role = prop::sample::select(vec!["user", "reader", "admin"]).prop_map(str::to_owned);
    let team_role = prop::sample::select(vec!["", "lead", "member"]).prop_map(str::to_owned);
    let teams = prop::collection::btree_map(prop::sample::select(TEAMS.to_vec()), team_role, 0..4);
    let names = || prop::collection::btree_set(prop::sample::select(vec!["x", "y"]), 0..3);
    (role, teams, names(), names(), any::<bool>()).prop_map(|(role, teams, groups, permissions, owner)| {
        let mut items = Items::from([(Item::Role, role)]);
        items.extend(teams.into_iter().map(|(team, role)| (Item::Team(team.to_owned()), role)));
        items.extend(groups.into_iter().map(|name| (Item::AppGroup(name.to_owned()), String::new())));
        items.extend(permissions.into_iter().map(|name| (Item::Permission(name.to_owned()), String::new())));
        items.extend(owner.then(|| (Item::Owner, String::new())));
        items
    })
}

fn said(items: &Items, unknown: bool) -> Entitled {
    let given = items.iter().map(|(item, value)| {
        let entitlement = match item.clone() {
            Item::Role => Entitlement::Role(value.clone()),
            Item::Team(team) => {
                Entitlement::Team { team, team_role: Some(value.clone()).filter(|role| !role.is_empty()) }
            }
            Item::AppGroup(name) => Entitlement::AppGroup(name),
            Item::Permission(name) => Entitlement::Permission(name),
            Item::Owner => Entitlement::Owner,
        };
        Given {
            entitlement,
            source: Source::Sso,
            rule: Rule::F5,
            because: Because::Onboarding,
            privileged: false,
        }
    });
    Entitled { given: given.collect(), groups_unknown: unknown, ..Entitled::default() }
}

fn ledger() -> impl Strategy<Value = Ledger> {
    (items(), any::<bool>()).prop_map(|(items, sso)| {
        let mut ledger = Ledger::default();
        for (item, value) in items {
            ledger.note(item, value, if sso { Source::Sso } else { Source::Onboarding });
        }
        ledger
    })
}

fn with(items: Items) -> Account {
    Account { entitlements: items.into_iter().collect(), ..account("1", "ada", "ada@example.com") }
}

fn carried_out(settlement: &Settlement, account: Account) -> Account {
    settlement.changes.iter().fold(account, changed)
}

fn settings_that(facets: &[Facet], removes: SyncRemoves, managed: &str) -> Provisioning {
    let lifecycle = Lifecycle {
        sync: facets.iter().copied().collect(),
        sync_removes: removes,
        managed_teams: vec![managed.to_owned()],
        ..Lifecycle::default()
    };
    Provisioning { lifecycle, ..settings() }
}

fn removes() -> impl Strategy<Value = SyncRemoves> {
    prop::sample::select(vec![SyncRemoves::Given, SyncRemoves::All])
}

proptest! {
    #[test]
    fn l4_a_settlement_that_was_carried_out_leaves_nothing_to_settle(
        held in items(),
        says in items(),
        known in ledger(),
        facets in prop::sample::subsequence(Facet::ALL.to_vec(), 0..6),
        removes in removes(),
        borrows in prop::option::of(items()),
        groups in any::<bool>(),
    ) {
        let settings = settings_that(&facets, removes, "acme/*");
        let identity = ada(if groups { json!({}) } else { json!({ "groups": null }) });
        let said = said(&says, !groups);
        let wish = Wish { identity: &identity, said: &said, settings: &settings, privileged: false };
        let account = with(held);
        let mut member = Member { ledger: known, ..Member::for_tests(1, UnixTime(1)) };
        let carried: Option<Entitlements> = borrows.map(|items| items.into_iter().collect());
        let settle = |account: &Account, member: &Member| {
            let baseline = loans::baseline(&account.entitlements.items(), &member.borrowed);
            let durable = sync::durable(&baseline.items, &member.ledger, wish, Removals::Allowed);
            settlement(&account.entitlements, member, &baseline, Some(&durable), carried.as_ref())
        };
        let first = settle(&account, &member);
        let account = carried_out(&first, account);
        member = first.before(&member).unwrap_or(member);
        // Whether the process lives to record what it did, or not.
        let interrupted = settle(&account, &member);
        prop_assert!(interrupted.changes.is_empty(), "{:?}", interrupted);
        member = first.after(&member).unwrap_or(member);
        let again = settle(&account, &member);
        prop_assert!(again.changes.is_empty(), "{:?}", again);
        prop_assert_eq!(again.before(&member), None);
        prop_assert_eq!(again.after(&member), None);
    }

    #[test]
    fn l2_whatever_was_borrowed_goes_back_from_wherever_it_was_interrupted(
        held in items(),
        first in items(),
        second in items(),
        applied in 0..4_usize,
        then in 0..4_usize,
    ) {
        let home = with(held);
        let mut account = home.clone();
        let mut member = Member::for_tests(1, UnixTime(1));
        for (items, applied) in [(first, applied), (second, then)] {
            let carried: Entitlements = items.into_iter().collect();
            let baseline = loans::baseline(&account.entitlements.items(), &member.borrowed);
            prop_assert!(baseline.overridden.is_empty(), "{:?}", baseline);
            let settlement = settlement(&account.entitlements, &member, &baseline, None, Some(&carried));
            member = settlement.before(&member).unwrap_or(member);
            let whole = applied >= settlement.changes.len();
            for change in settlement.changes.iter().take(applied) {
                account = changed(account, change);
            }
            if whole {
                member = settlement.after(&member).unwrap_or(member);
            }
        }
        let baseline = loans::baseline(&account.entitlements.items(), &member.borrowed);
        let back = settlement(&account.entitlements, &member, &baseline, None, None);
        prop_assert_eq!(carried_out(&back, account).entitlements, home.entitlements);
        prop_assert!(back.after(&member).unwrap_or(member).borrowed.is_empty());
    }

    #[test]
    fn l3_no_plan_removes_from_a_team_outside_managed_teams(
        held in items(),
        says in items(),
        known in ledger(),
        removes in removes(),
        managed in prop::sample::select(vec!["acme/*", "ops", "acme/a", "nothing"]),
    ) {
        let settings = settings_that(&Facet::ALL, removes, managed);
        let (identity, said) = (ada(json!({ "teams": [] })), said(&says, false));
        let wish = Wish { identity: &identity, said: &said, settings: &settings, privileged: false };
        let member = Member { ledger: known, ..Member::for_tests(1, UnixTime(1)) };
        let account = with(held);
        let baseline = loans::baseline(&account.entitlements.items(), &member.borrowed);
        let durable = sync::durable(&baseline.items, &member.ledger, wish, Removals::Allowed);
        let settlement = settlement(&account.entitlements, &member, &baseline, Some(&durable), None);
        let patterns = [managed.to_owned()];
        for team in settlement.changes.iter().flat_map(|change| change.remove.teams.keys()) {
            prop_assert!(is_managed(&patterns, team), "{team}");
        }
        if removes == SyncRemoves::Given {
            for item in &durable.removed {
                prop_assert_eq!(member.ledger.source(item), Some(Source::Sso), "{}", item);
            }
        }
    }

    #[test]
    fn l7_and_g3_nothing_is_removed_where_groups_are_unknown_or_removals_pause(
        held in items(),
        says in items(),
        known in ledger(),
        paused in any::<bool>(),
    ) {
        let settings = settings_that(&Facet::ALL, SyncRemoves::All, "*");
        let identity = ada(if paused { json!({ "teams": [] }) } else { json!({ "groups": null, "teams": [] }) });
        let mut says = says;
        if !paused {
            says.remove(&Item::Role);
        }
        let said = said(&says, !paused);
        let removals = if paused { Removals::Paused } else { Removals::Allowed };
        let wish = Wish { identity: &identity, said: &said, settings: &settings, privileged: true };
        let durable = sync::durable(&held, &known, wish, removals);
        prop_assert!(durable.removed.is_empty());
        for item in held.keys() {
            prop_assert!(durable.items.contains_key(item), "{item}");
        }
    }

    #[test]
    fn e1_only_what_jit_made_while_it_was_on_is_ever_deleted_with_its_sessions(
        origin in prop::sample::select(vec![
            Origin::Jit, Origin::Adopted, Origin::Invite, Origin::Scim, Origin::Manual,
        ]),
        ephemeral in prop::option::of(0..100_i64),
        state in prop::sample::select(vec![
            AccountState::Present, AccountState::Leaving, AccountState::Deactivated, AccountState::Deleted,
        ]),
        sessions in prop::collection::vec(0..100_i64, 0..3),
        landing in prop::option::of(0..100_i64),
        now in 0..100_i64,
    ) {
        let member = Member {
            origin,
            account_state: state,
            ephemeral_until: ephemeral.map(UnixTime),
            ..Member::for_tests(1, UnixTime(0))
        };
        let live = |at: &i64| StandingSession {
            grant: Grant::default(),
            created_at: UnixTime(0),
            expires_at: UnixTime(*at),
        };
        let standing = Standing {
            member,
            sessions: sessions.iter().map(live).collect(),
            landing_until: landing.map(UnixTime),
        };
        let wanted = wanted_state(&standing, UnixTime(now));
        let deletes = wanted.fate == Fate::Leaves(Leaving::Delete);
        if origin != Origin::Jit || ephemeral.is_none() || state == AccountState::Deleted {
            prop_assert!(!deletes);
        } else if landing.is_some_and(|until| until > now) {
            prop_assert!(!deletes, "somebody is about to have a session");
            prop_assert!(wanted.look_again.is_some());
        } else {
            let occupied = sessions.iter().any(|end| *end > now);
            let over = ephemeral.is_some_and(|end| end <= now);
            prop_assert_eq!(deletes, !occupied || over);
            prop_assert_eq!(wanted.look_again.is_none(), deletes, "what is not over is looked at again");
        }
    }
}

#[test]
fn l2_a_newer_session_that_borrows_keeps_what_was_lent() {
    let mut member = Member::for_tests(1, UnixTime(0));
    member.borrowed = loans::lend(
        &Items::from([(Item::Role, "user".to_owned())]),
        &Items::from([(Item::Role, "admin".to_owned())]),
    );
    let grant = Grant { source: GrantSource::Borrowed, ..Grant::default() };
    let session = StandingSession { grant, created_at: UnixTime(0), expires_at: UnixTime(9) };
    let standing = Standing { member, sessions: vec![session], landing_until: None };
    let wanted = wanted_state(&standing, UnixTime(5));
    assert_eq!((wanted.restore, wanted.look_again), (false, Some(UnixTime(9))));
    assert!(wanted_state(&standing, UnixTime(9)).restore);
}
