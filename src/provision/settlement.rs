//! From what an account holds to what it should hold, with the record of it before and after: a pure function. Nothing
//! differs: nothing is done (L4).

use std::collections::BTreeSet;

use crate::model::{Entitlements, Item, Items, Ledger, Loans, Member};

use super::connector::EntitlementChange;
use super::loans::{self, Baseline};
use super::sync::Durable;

/// What to do with one account's entitlements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settlement {
    /// In the order in which they are made: what is given first, so that nobody is without anything in between.
    pub changes: Vec<EntitlementChange>,
    /// On record while they are made, and from then on.
    pub loans: (Loans, Loans),
    pub ledger: (Ledger, Ledger),
}

impl Settlement {
    /// The record as it is before the application is written to; `None`: as it is already.
    #[must_use]
    pub fn before(&self, member: &Member) -> Option<Member> {
        recorded(member, &self.loans.0, &self.ledger.0)
    }

    /// The record as it is afterwards; `None`: as it is already.
    #[must_use]
    pub fn after(&self, member: &Member) -> Option<Member> {
        recorded(member, &self.loans.1, &self.ledger.1)
    }
}

fn recorded(member: &Member, loans: &Loans, ledger: &Ledger) -> Option<Member> {
    let now = Member { borrowed: loans.clone(), ledger: ledger.clone(), ..member.clone() };
    (now != *member).then_some(now)
}

/// `durable`: what sync wants beneath all loans; without it the baseline stays. `carried`: what the sessions borrow;
/// without it everything that was lent goes back.
#[must_use]
pub fn settlement(
    held: &Entitlements,
    member: &Member,
    baseline: &Baseline,
    durable: Option<&Durable>,
    carried: Option<&Entitlements>,
) -> Settlement {
    let held = held.items();
    let beneath = durable.map_or(&baseline.items, |durable| &durable.items);
    let coming = carried.map_or_else(Loans::default, |carried| loans::lend(beneath, &carried.items()));
    let mut target = beneath.clone();
    for (item, loan) in &coming.0 {
        match loan.put.first() {
            Some(Some(value)) => {
                let held = held.get(item).filter(|_| matches!(item, Item::Team(_)) && value.is_empty());
                target.insert(item.clone(), held.unwrap_or(value).clone())
            }
            Some(None) | None => target.remove(item),
        };
    }
    let during = loans::while_changing(&member.borrowed, &coming);
    let (mut noted, mut struck) = (member.ledger.clone(), member.ledger.clone());
    if let Some(durable) = durable {
        for (item, value, source) in &durable.given {
            noted.note(item.clone(), value.clone(), *source);
        }
        struck = noted.clone();
        for item in durable.removed.iter().filter(|item| !durable.items.contains_key(*item)) {
            struck.strike(item);
        }
    }
    Settlement { changes: changes(&held, &target), loans: (during, coming), ledger: (noted, struck) }
}

/// What is given, the role, and what is taken: apart, since a guard may stop one of them.
fn changes(held: &Items, target: &Items) -> Vec<EntitlementChange> {
    let items: BTreeSet<&Item> = held.keys().chain(target.keys()).collect();
    let (mut given, mut taken) = (Items::new(), Items::new());
    let mut role = None;
    for item in items {
        match (held.get(item), target.get(item)) {
            (held, wanted) if held == wanted => {}
            (_, Some(value)) if *item == Item::Role => role = Some(value.clone()),
            (_, Some(value)) => {
                given.insert(item.clone(), value.clone());
            }
            // An account without a role is made by no application.
            (_, None) if *item == Item::Role => {}
            (Some(value), None) => {
                taken.insert(item.clone(), value.clone());
            }
            (None, None) => {}
        }
    }
    let none = EntitlementChange::default;
    [
        EntitlementChange { add: given.into_iter().collect(), ..none() },
        EntitlementChange { role, ..none() },
        EntitlementChange { remove: taken.into_iter().collect(), ..none() },
    ]
    .into_iter()
    .filter(|change| *change != none())
    .collect()
}
