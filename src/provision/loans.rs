//! What sessions borrow in the application (L2): which values are lent, what stands beneath them, and what goes back.
//! Pure functions.

use std::collections::BTreeSet;

use crate::model::{Item, Items, Loan, Loans};

/// What the account durably holds, beneath what was lent to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    pub items: Items,
    /// Where the application does not hold what narthex put there: somebody changed it meanwhile, and that wins.
    pub overridden: Vec<Item>,
}

/// L2: a loan goes back only where the application still holds the value that narthex put.
#[must_use]
pub fn baseline(held: &Items, loans: &Loans) -> Baseline {
    let mut baseline = Baseline { items: held.clone(), overridden: Vec::new() };
    for (item, loan) in &loans.0 {
        let now = held.get(item).cloned();
        if is_ours(item, loan, now.as_ref()) {
            match &loan.before {
                Some(before) => baseline.items.insert(item.clone(), before.clone()),
                None => baseline.items.remove(item),
            };
        } else if now != loan.before {
            baseline.overridden.push(item.clone());
        }
    }
    baseline
}

/// Whether what the application holds is what narthex put there. A team that was given without a role has the one that
/// the application gives by itself.
pub(super) fn is_ours(item: &Item, loan: &Loan, now: Option<&String>) -> bool {
    let any_role = matches!(item, Item::Team(_)) && loan.put.contains(&Some(String::new()));
    loan.put.iter().any(|put| put.as_ref() == now) || any_role && now.is_some()
}

/// What is to be lent so that `baseline` becomes `carried`. An application that shows no role can be given one and
/// never be rid of it again, so none is lent there.
#[must_use]
pub fn lend(baseline: &Items, carried: &Items) -> Loans {
    let items: BTreeSet<&Item> = baseline.keys().chain(carried.keys()).collect();
    let differing = items.into_iter().filter(|item| match (baseline.get(*item), carried.get(*item)) {
        // A team that is carried without a role keeps the one that is held.
        (Some(_), Some(role)) if matches!(item, Item::Team(_)) && role.is_empty() => false,
        (held, wanted) => held != wanted,
    });
    let lent = differing.filter(|item| **item != Item::Role || baseline.contains_key(*item));
    let loan = |item: &Item| {
        let put = BTreeSet::from([carried.get(item).cloned()]);
        (item.clone(), Loan { before: baseline.get(item).cloned(), put })
    };
    Loans(lent.map(loan).collect())
}

/// What is on record while the application is changed from one to the other: whatever it holds after a crash is known
/// for narthex's own.
#[must_use]
pub fn while_changing(former: &Loans, coming: &Loans) -> Loans {
    let mut both = former.clone();
    for (item, loan) in &coming.0 {
        let known = both.0.entry(item.clone()).or_insert_with(|| loan.clone());
        known.before.clone_from(&loan.before);
        known.put.extend(loan.put.iter().cloned());
    }
    both
}
