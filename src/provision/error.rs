//! Why a verified identity did not become a session: one variant per rule of PROVISIONING.md.

use crate::model::{AccountId, CaseId, Fault, IdpId};
use crate::platform::entropy::NoEntropy;
use crate::store::StoreError;

use super::ConnectorError;

/// A login that provisioning ended. [`std::fmt::Display`] is for the log and for administrators and may
/// name claims; browsers get [`ProvisionError::public`] only.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProvisionError {
    /// M3: no member, and nobody is made one.
    #[error(
        "M3: this identity has no member and provisioning.mode makes none; \
         enable it (`mode = \"jit\"`) or set unprovisioned = \"forward\""
    )]
    NotProvisioned,
    /// M3: `mode = "jit"` without an application to make accounts in.
    #[error("M3: provisioning.mode is jit but no [application] is configured; name its connector there")]
    NoConnector,
    /// F1.
    #[error("F1: allowed_email_domains asks for an e-mail, and the claims {looked_at:?} gave none")]
    EmailMissing { looked_at: Vec<String> },
    /// F1. `claim` had a value that is not one plain address, or several of them.
    #[error(
        "F1: the claim `{claim}` is not one plain e-mail address (one `local@domain`, no list): {value:?}"
    )]
    EmailInvalid { claim: String, value: String },
    /// F1.
    #[error("F1: the e-mail claims {claims:?} differ; set attributes.email to the one that counts")]
    EmailsDiffer { claims: Vec<String> },
    /// F1: `allowed_email_domains`.
    #[error("F1: the e-mail domain `{domain}` is none of allowed_email_domains")]
    EmailDomainNotAllowed { domain: String },
    /// F1, e-mail authority.
    #[error(
        "F1: the identity provider `{idp}` may not speak for `{domain}`: it is none of its email_domains"
    )]
    EmailOutsideAuthority { idp: IdpId, domain: String },
    /// F1: a restriction by domain is worth nothing on an address that nobody verified.
    #[error(
        "F1: the e-mail is not verified by `{idp}` (email_verified is not true), so \
         allowed_email_domains cannot count on it; set trust_email = true if every address there is checked"
    )]
    EmailUnverified { idp: IdpId },
    /// F2: all that are missing; `arrived`: the names of the claims that did come.
    #[error("F2: required attributes are missing: {}; claims that came: {arrived:?}", missing.join(", "))]
    AttributesMissing { missing: Vec<String>, arrived: Vec<String> },
    /// F2: a template that cannot be rendered for this person.
    #[error("F2: the template of attribute `{attribute}` failed: {reason}")]
    AttributeTemplate { attribute: String, reason: String },
    /// F4.
    #[error("F4: the application has roles, and default_role is not set")]
    NoDefaultRole,
    /// F4: the default itself is not there, or privileged.
    #[error("F4: default_role `{role}` cannot be given: {reason}")]
    DefaultRoleUnusable { role: String, reason: &'static str },
    /// F4: `unknown_role = "deny"`.
    #[error("F4: the role `{role}` does not exist or may not come this way, and unknown_role is \"deny\"")]
    UnknownRole { role: String },
    /// F5: `unknown_team = "deny"`.
    #[error("F5: the team `{team}` does not exist or may not come this way, and unknown_team is \"deny\"")]
    UnknownTeam { team: String },
    /// F7: `on_existing = "deny"`.
    #[error("F7: the application already has the account `{username}`, and on_existing is \"deny\"")]
    ExistingAccount { username: String },
    /// F7: an account has this e-mail, but the identity's is not verified within its provider's authority.
    #[error("F7: the account `{username}` has this e-mail, which the identity provider has not verified")]
    ExistingAccountUnverifiedEmail { username: String },
    /// F7: somebody else's account has the username.
    #[error(
        "F7: the username `{username}` belongs to an account that does not match by verified e-mail; \
         link or rename it, or set match_username = true if usernames are the same everywhere"
    )]
    UsernameTaken { username: String },
    /// F7: exactly one hit is wanted.
    #[error("F7: {count} accounts match {by}; exactly one may")]
    AmbiguousAccount { by: &'static str, count: usize },
    /// F7.
    #[error("F7: the account `{username}` is privileged and is never adopted automatically")]
    PrivilegedAccount { username: String },
    /// F7, G2.
    #[error("F7: the account `{username}` is the one whose credential narthex uses")]
    OwnAccount { username: String },
    /// F7, G2.
    #[error("G2: `{username}` is one of protected_accounts")]
    ProtectedAccount { username: String },
    /// F7, F8.
    #[error("F7: the account `{username}` is linked to another member")]
    LinkedToAnotherMember { username: String },
    /// F7, F8: nobody but an administrator may say whose it is. `case`: what waits for the decision.
    #[error(
        "{rule}: whether this identity gets the account `{username}` waits for an administrator: {why}; \
         `narthex case list` has what waits"
    )]
    WaitsForAdministrator { rule: &'static str, username: String, why: &'static str, case: Option<CaseId> },
    /// F7, F8.
    #[error(
        "{rule}: an administrator decided that this identity does not get the account `{username}`; \
         `narthex case list --standing denied` has the decision, which may be reversed"
    )]
    CaseDenied { rule: &'static str, username: String },
    /// F7, F8.
    #[error(
        "F7: this identity has asked for {most} accounts already, and is not asked about `{username}` as well; \
         decide on its cases or withdraw them"
    )]
    TooManyCases { username: String, most: usize },
    /// F7: the application reported a conflict, yet no account of this name or e-mail is to be seen.
    #[error("F7: the application says that the account exists, but none matches: {excerpt}")]
    UnexplainedConflict { excerpt: String },
    /// G4.
    #[error("G4: the account `{username}` is deactivated in the application")]
    AccountDeactivated { username: String },
    /// G6.
    #[error(
        "G6: this person is blocked: neither the account, nor another identity or account with the e-mail"
    )]
    Blocked,
    /// The application gave the id of a member's account to somebody else's.
    #[error("the account `{id}` is `{username}` by now and not this member's; nothing was done to it")]
    AccountIsAnothers { id: AccountId, username: String },
    /// E1: an account that an unfinished creation may have left, or somebody else may have made.
    #[error(
        "E1: the account `{username}` may be what an unfinished sign-in left behind, but {why}, so narthex does not \
         delete it; delete it in the application if it is nobody's, or let its person sign in"
    )]
    AbandonedAccountUnclear { username: String, why: &'static str },
    /// A member's account is gone, and the mode creates none.
    #[error("the account of this member is gone from the application, and provisioning.mode creates none")]
    AccountVanished,
    /// A1.
    #[error("A1: not done within provisioning.time_budget ({seconds} s); it continues at the next try")]
    TimeBudget { seconds: u64 },
    /// F9: another process is at it and did not end in time.
    #[error("F9: another process is provisioning this person and has not finished")]
    BusyElsewhere,
    /// More different people at once than are let in at once.
    #[error("more than {limit} people are being provisioned at once")]
    TooManyAtOnce { limit: usize },
    /// A1, A4: what the application's API said.
    #[error("A4: {0}")]
    Connector(#[from] ConnectorError),
    /// A4: an answer that contradicts what was asked.
    #[error("A4: the application's answer cannot be right: {what}")]
    Implausible { what: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Random(#[from] NoEntropy),
    /// The task that did it ended early: shutdown or a defect of ours.
    #[error("provisioning was interrupted")]
    Interrupted,
}

impl ProvisionError {
    /// Who can do something about it.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::NotProvisioned
            | Self::EmailDomainNotAllowed { .. }
            | Self::ExistingAccount { .. }
            | Self::ExistingAccountUnverifiedEmail { .. }
            | Self::UsernameTaken { .. }
            | Self::AmbiguousAccount { .. }
            | Self::PrivilegedAccount { .. }
            | Self::OwnAccount { .. }
            | Self::ProtectedAccount { .. }
            | Self::LinkedToAnotherMember { .. }
            | Self::WaitsForAdministrator { .. }
            | Self::CaseDenied { .. }
            | Self::TooManyCases { .. }
            | Self::AccountDeactivated { .. }
            | Self::Blocked
            | Self::AccountVanished => Fault::Person,
            Self::EmailMissing { .. }
            | Self::EmailInvalid { .. }
            | Self::EmailsDiffer { .. }
            | Self::EmailOutsideAuthority { .. }
            | Self::EmailUnverified { .. }
            | Self::AttributesMissing { .. }
            | Self::UnknownRole { .. }
            | Self::UnknownTeam { .. } => Fault::IdentityProvider,
            Self::NoConnector
            | Self::AttributeTemplate { .. }
            | Self::NoDefaultRole
            | Self::DefaultRoleUnusable { .. } => Fault::Operator,
            Self::UnexplainedConflict { .. }
            | Self::TimeBudget { .. }
            | Self::Implausible { .. }
            | Self::AccountIsAnothers { .. }
            | Self::AbandonedAccountUnclear { .. } => Fault::Application,
            Self::Connector(error) => connector_fault(error),
            Self::BusyElsewhere
            | Self::TooManyAtOnce { .. }
            | Self::Store(_)
            | Self::Random(_)
            | Self::Interrupted => Fault::Us,
        }
    }

    /// The category that a browser, a metric and an administrator see; fixed, from this table only.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotProvisioned => "not_provisioned",
            Self::NoConnector => "no_connector",
            Self::EmailMissing { .. } => "email_missing",
            Self::EmailInvalid { .. } => "email_invalid",
            Self::EmailsDiffer { .. } => "emails_differ",
            Self::EmailDomainNotAllowed { .. } => "email_domain_not_allowed",
            Self::EmailOutsideAuthority { .. } => "email_outside_authority",
            Self::EmailUnverified { .. } => "email_unverified",
            Self::AttributesMissing { .. } => "attributes_missing",
            Self::AttributeTemplate { .. } => "attribute_template",
            Self::NoDefaultRole => "no_default_role",
            Self::DefaultRoleUnusable { .. } => "default_role_unusable",
            Self::UnknownRole { .. } => "unknown_role",
            Self::UnknownTeam { .. } => "unknown_team",
            Self::ExistingAccount { .. } => "existing_account",
            Self::ExistingAccountUnverifiedEmail { .. } => "existing_account_unverified_email",
            Self::UsernameTaken { .. } => "username_taken",
            Self::AmbiguousAccount { .. } => "ambiguous_account",
            Self::PrivilegedAccount { .. } => "privileged_account",
            Self::OwnAccount { .. } => "own_account",
            Self::ProtectedAccount { .. } => "protected_account",
            Self::LinkedToAnotherMember { .. } => "linked_to_another_member",
            Self::WaitsForAdministrator { .. } => "waits_for_administrator",
            Self::CaseDenied { .. } => "case_denied",
            Self::TooManyCases { .. } => "too_many_cases",
            Self::UnexplainedConflict { .. } => "unexplained_conflict",
            Self::AccountDeactivated { .. } => "account_deactivated",
            Self::Blocked => "blocked",
            Self::AccountIsAnothers { .. } => "account_is_anothers",
            Self::AbandonedAccountUnclear { .. } => "abandoned_account_unclear",
            Self::AccountVanished => "account_vanished",
            Self::TimeBudget { .. } => "time_budget",
            Self::BusyElsewhere => "busy_elsewhere",
            Self::TooManyAtOnce { .. } => "too_many_at_once",
            Self::Connector(error) => connector_code(error),
            Self::Implausible { .. } => "application_implausible",
            Self::Store(_) => "store",
            Self::Random(_) => "random",
            Self::Interrupted => "interrupted",
        }
    }

    /// A2: whether the same identity may succeed in a while without anybody changing anything, so that it
    /// is kept for `/login/resume`.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::TimeBudget { .. }
            | Self::BusyElsewhere
            | Self::TooManyAtOnce { .. }
            | Self::Interrupted
            | Self::Connector(
                ConnectorError::Unreachable { .. }
                | ConnectorError::Busy { .. }
                | ConnectorError::LeftAlone { .. }
                | ConnectorError::Undecided { .. }
                // A4: a login page or half an answer is what an application gives while it starts.
                | ConnectorError::Unexpected { .. },
            )
            | Self::Store(StoreError::Unavailable { .. }) => true,
            Self::Connector(ConnectorError::Refused { status, .. }) => *status >= 500,
            Self::NotProvisioned
            | Self::NoConnector
            | Self::EmailMissing { .. }
            | Self::EmailInvalid { .. }
            | Self::EmailsDiffer { .. }
            | Self::EmailDomainNotAllowed { .. }
            | Self::EmailOutsideAuthority { .. }
            | Self::EmailUnverified { .. }
            | Self::AttributesMissing { .. }
            | Self::AttributeTemplate { .. }
            | Self::NoDefaultRole
            | Self::DefaultRoleUnusable { .. }
            | Self::UnknownRole { .. }
            | Self::UnknownTeam { .. }
            | Self::ExistingAccount { .. }
            | Self::ExistingAccountUnverifiedEmail { .. }
            | Self::UsernameTaken { .. }
            | Self::AmbiguousAccount { .. }
            | Self::PrivilegedAccount { .. }
            | Self::OwnAccount { .. }
            | Self::ProtectedAccount { .. }
            | Self::LinkedToAnotherMember { .. }
            | Self::WaitsForAdministrator { .. }
            | Self::CaseDenied { .. }
            | Self::TooManyCases { .. }
            | Self::UnexplainedConflict { .. }
            | Self::AccountDeactivated { .. }
            | Self::Blocked
            | Self::AccountIsAnothers { .. }
            | Self::AbandonedAccountUnclear { .. }
            | Self::AccountVanished
            | Self::Connector(_)
            | Self::Implausible { .. }
            | Self::Store(_)
            | Self::Random(_) => false,
        }
    }

    /// What waits for an administrator's decision.
    #[must_use]
    pub fn case(&self) -> Option<CaseId> {
        match self {
            Self::WaitsForAdministrator { case, .. } => *case,
            _ => None,
        }
    }

    /// What the browser is told, with the next step. Names no claim, rule, account or internal name
    /// (SECURITY.md, invariant 11).
    #[must_use]
    pub fn public(&self) -> &'static str {
        if self.retryable() {
            return "The application cannot be reached just now. Please try again in a moment.";
        }
        match self {
            Self::NotProvisioned => {
                "You are signed in, but you have no account in this application. Ask its administrator for access."
            }
            Self::EmailMissing { .. }
            | Self::EmailInvalid { .. }
            | Self::EmailsDiffer { .. }
            | Self::EmailOutsideAuthority { .. }
            | Self::EmailUnverified { .. } => {
                "Your sign-in did not come with an e-mail address that this application can accept. \
                 Ask the administrator of your sign-in service, and give the error id."
            }
            Self::EmailDomainNotAllowed { .. } => {
                "This application is not open to your organisation. Sign in with another account, or ask its administrator."
            }
            Self::AttributesMissing { .. } => {
                "Your sign-in lacks details that this application needs. \
                 Ask the administrator of your sign-in service, and give the error id."
            }
            Self::AccountDeactivated { .. } => {
                "Your account in this application is deactivated. Ask the application's administrator."
            }
            Self::ExistingAccount { .. }
            | Self::ExistingAccountUnverifiedEmail { .. }
            | Self::UsernameTaken { .. }
            | Self::AmbiguousAccount { .. }
            | Self::PrivilegedAccount { .. }
            | Self::OwnAccount { .. }
            | Self::ProtectedAccount { .. }
            | Self::LinkedToAnotherMember { .. }
            | Self::TooManyCases { .. }
            | Self::UnexplainedConflict { .. } => {
                "Your sign-in cannot be connected to an account in this application by itself. \
                 Ask the application's administrator, and give the error id."
            }
            Self::WaitsForAdministrator { .. } => {
                "There is an account in this application that may be yours. An administrator has been asked whether it \
                 is. Sign in again once that is decided; until then there is nothing that you need to do."
            }
            Self::CaseDenied { .. } => {
                "An administrator of this application has looked at your sign-in and did not let it in. \
                 Ask the application's administrator if that is wrong, and give the error id."
            }
            Self::Connector(ConnectorError::NoSeats { .. }) => {
                "This application has no seats left. Ask the application's administrator."
            }
            Self::UnknownRole { .. }
            | Self::UnknownTeam { .. }
            | Self::Blocked
            | Self::AccountIsAnothers { .. }
            | Self::AccountVanished => {
                "You have no access to this application at present. \
                 Ask its administrator, and give the error id."
            }
            _ => "Your account could not be prepared. Ask the administrator, and give the error id.",
        }
    }
}

fn connector_fault(error: &ConnectorError) -> Fault {
    match error {
        ConnectorError::Unreachable { .. }
        | ConnectorError::Busy { .. }
        | ConnectorError::LeftAlone { .. }
        | ConnectorError::Conflict { .. }
        | ConnectorError::NotFound { .. }
        | ConnectorError::Refused { .. }
        | ConnectorError::Unexpected { .. }
        | ConnectorError::NoSeats { .. } => Fault::Application,
        ConnectorError::Credential { .. } | ConnectorError::Unsupported { .. } => Fault::Operator,
        ConnectorError::Unsendable { .. } => Fault::IdentityProvider,
        ConnectorError::Guarded { .. } => Fault::Person,
        ConnectorError::Undecided { .. } => Fault::Us,
    }
}

fn connector_code(error: &ConnectorError) -> &'static str {
    match error {
        ConnectorError::Unreachable { .. } => "application_unreachable",
        ConnectorError::Busy { .. } => "application_busy",
        ConnectorError::LeftAlone { .. } => "application_left_alone",
        ConnectorError::Conflict { .. } => "application_conflict",
        ConnectorError::NotFound { .. } => "application_not_found",
        ConnectorError::NoSeats { .. } => "no_seats",
        ConnectorError::Credential { .. } => "application_credential",
        ConnectorError::Refused { .. } => "application_refused",
        ConnectorError::Unexpected { .. } => "application_unexpected",
        ConnectorError::Unsendable { .. } => "unsendable_value",
        ConnectorError::Unsupported { .. } => "application_unsupported",
        ConnectorError::Guarded { .. } => "guarded",
        ConnectorError::Undecided { .. } => "guard_undecided",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable() -> ProvisionError {
        let reason = "connection refused to 10.0.0.7".to_owned();
        ConnectorError::Unreachable { operation: "create", reason, sent: true }.into()
    }

    #[test]
    fn a2_what_may_pass_by_itself_is_retryable_and_a_refusal_is_not() {
        assert!(unreachable().retryable());
        assert!(ProvisionError::from(ConnectorError::Busy { operation: "find", after: None }).retryable());
        assert!(ProvisionError::TimeBudget { seconds: 15 }.retryable());
        assert!(!ProvisionError::NotProvisioned.retryable());
        let refused =
            |status| ConnectorError::Refused { operation: "create", status, excerpt: String::new() };
        assert!(ProvisionError::from(refused(502)).retryable());
        assert!(!ProvisionError::from(refused(422)).retryable());
    }

    #[test]
    fn the_public_sentence_names_nothing_internal() {
        let taken = ProvisionError::UsernameTaken { username: "mallory".to_owned() };
        let outside = ProvisionError::EmailDomainNotAllowed { domain: "evil.test".to_owned() };
        for error in [taken, outside, unreachable()] {
            for inner in ["mallory", "evil.test", "10.0.0.7", "claim", "F7", "F1", "A4"] {
                assert!(!error.public().contains(inner), "{error:?}: {inner}");
            }
        }
    }
}
