//! Whether the application already has this person's account (F7): what counts as a match, and what is
//! never adopted.

use crate::config::settings::{OnExisting, Provisioning};
use crate::model::{Account, EmailAddress};

use super::ProvisionError;
use super::connector::{CaseRule, Features};
use super::resolve::Wanted;

/// Equal for the application. SECURITY: folding is for ASCII alone: how an application folds other letters
/// is not known, and a wrong guess hands one person another's account.
#[must_use]
pub fn same_name(a: &str, b: &str, case: CaseRule) -> bool {
    match case {
        CaseRule::Insensitive if a.is_ascii() && b.is_ascii() => a.eq_ignore_ascii_case(b),
        CaseRule::Insensitive | CaseRule::Sensitive => a == b,
    }
}

/// Whether the account's e-mail, whole and parsed, is this one.
#[must_use]
pub fn same_email(wanted: &EmailAddress, held: Option<&str>, case: CaseRule) -> bool {
    held.and_then(|held| EmailAddress::parse(held).ok())
        .is_some_and(|held| held.domain() == wanted.domain() && same_name(held.local(), wanted.local(), case))
}

/// Of what the application answered to a search by e-mail, what really has it.
#[must_use]
pub fn with_email(found: Vec<Account>, wanted: &EmailAddress, features: &Features) -> Vec<Account> {
    distinct(found, |account| same_email(wanted, account.profile.email.as_deref(), features.email_case))
}

/// Of what the application answered to a search by username, what really has it.
///
/// SECURITY: lesson 32. A username of digits may be taken for an id by the application's API, whose answer
/// is then another account; it is not believed.
#[must_use]
pub fn with_username(found: Vec<Account>, wanted: &str, features: &Features) -> Vec<Account> {
    distinct(found, |account| same_name(&account.profile.username, wanted, features.username_case))
}

fn distinct(found: Vec<Account>, matches: impl Fn(&Account) -> bool) -> Vec<Account> {
    let mut kept: Vec<Account> = Vec::new();
    for account in found {
        if matches(&account) && kept.iter().all(|known| known.id != account.id) {
            kept.push(account);
        }
    }
    kept
}

/// An account that matches.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub account: Account,
    pub by: MatchedBy,
}

/// What an account matches by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchedBy {
    /// An e-mail that the identity provider may speak for and has verified (F1).
    Email,
    /// `match_username`.
    Username,
}

/// F7: the one account that matches, or none. What may become of it is [`super::cases::verdict`]'s.
///
/// # Errors
/// Where an account stands in the way that does not match.
pub fn choose(
    wanted: &Wanted,
    settings: &Provisioning,
    by_email: &[Account],
    by_username: &[Account],
) -> Result<Option<Candidate>, ProvisionError> {
    let verified = wanted.email.as_ref().is_some_and(|email| email.verified);
    let (account, by) = match (by_email, by_username) {
        ([], []) => return Ok(None),
        ([one], _) if verified => (one, MatchedBy::Email),
        ([one], _) => {
            let username = one.profile.username.clone();
            return Err(match settings.on_existing {
                OnExisting::Deny => ProvisionError::ExistingAccount { username },
                // SECURITY: nobody has administrators asked about an account by claiming its address.
                OnExisting::Adopt | OnExisting::Ask => {
                    ProvisionError::ExistingAccountUnverifiedEmail { username }
                }
            });
        }
        ([], [one]) if settings.match_username && wanted.profile.username_as_said => {
            (one, MatchedBy::Username)
        }
        ([], [one]) => {
            return Err(ProvisionError::UsernameTaken { username: one.profile.username.clone() });
        }
        ([], several) => {
            return Err(ProvisionError::AmbiguousAccount { by: "the username", count: several.len() });
        }
        (several, _) => {
            return Err(ProvisionError::AmbiguousAccount { by: "the e-mail", count: several.len() });
        }
    };
    Ok(Some(Candidate { account: account.clone(), by }))
}

/// G2: by username or e-mail, whatever the case.
#[must_use]
pub fn is_protected(protected: &[String], username: &str, email: Option<&str>) -> bool {
    protected.iter().any(|entry| {
        let entry = entry.to_lowercase();
        entry == username.to_lowercase() || email.is_some_and(|email| entry == email.to_lowercase())
    })
}

/// F9: whether this account is the one that an earlier, unfinished attempt of ours created: its username is
/// the intended one and its e-mail the person's.
#[must_use]
pub fn is_ours(account: &Account, intended: &str, wanted: &Wanted, features: &Features) -> bool {
    let email_fits = match &wanted.profile.profile.email {
        Some(text) if features.attributes.contains_key("email") => EmailAddress::parse(text)
            .is_ok_and(|email| same_email(&email, account.profile.email.as_deref(), features.email_case)),
        Some(_) | None => true,
    };
    let no_more_than_wanted = wanted.entitled.privileged() || !account.privileged;
    same_name(&account.profile.username, intended, features.username_case)
        && email_fits
        && no_more_than_wanted
        && account.active
}
