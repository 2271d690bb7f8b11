//! THE table of audit events: every name that an entry can have, and what it means.

/// What a row of the table is about; the headings of `docs/audit.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    SignIn,
    Accounts,
    People,
    Settings,
    Guards,
    Log,
}

impl Topic {
    pub const ALL: [Self; 6] =
        [Self::SignIn, Self::Accounts, Self::People, Self::Settings, Self::Guards, Self::Log];

    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::SignIn => "Signing in and out",
            Self::Accounts => "Accounts in the application",
            Self::People => "Members, invites and administrators",
            Self::Settings => "Settings and keys",
            Self::Guards => "What was kept off",
            Self::Log => "The log itself",
        }
    }
}

/// How much an event wants to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The usual course.
    Usual,
    /// Somebody was refused, or something was taken away.
    Notable,
    /// An administrator should look.
    Alarming,
}

macro_rules! events {
    ($($variant:ident $name:literal $topic:ident $weight:ident $meaning:literal)*) => {
        /// What an entry tells of.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Event {
            $($variant),*
        }

        impl Event {
            /// Every event that there is; `docs/audit.md` is made from it.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in entries, exports and the log: stable.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),*
                }
            }

            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning),*
                }
            }

            #[must_use]
            pub fn topic(self) -> Topic {
                match self {
                    $(Self::$variant => Topic::$topic),*
                }
            }

            #[must_use]
            pub fn weight(self) -> Weight {
                match self {
                    $(Self::$variant => Weight::$weight),*
                }
            }
        }
    };
}

events! {
    Login "login" SignIn Usual "Somebody signed in; the session begins."
    LoginRefused "login_refused" SignIn Notable "Somebody whom an identity provider vouched for was not let in; `code` says why."
    LoginsRefused "logins_refused" SignIn Notable "Sign-ins that ended before anybody was vouched for, counted by `code` and minute."
    ProvisioningRefused "provisioning_refused" SignIn Notable "Provisioning did not see to the person's account; `code` says why."
    BlockedEmail "blocked_email" SignIn Notable "Somebody came with the e-mail address of a member who is blocked, and was not let in (G6)."
    AdmittedOnRecord "admitted_on_record" SignIn Notable "A member was let in by what is on record, since the application could not be reached; a job does the rest (A2)."
    Logout "logout" SignIn Usual "Somebody signed out, here, in the application or at the identity provider."
    SessionsEnded "sessions_ended" SignIn Notable "An administrator, or a rule, ended sessions."

    AccountCreated "account_created" Accounts Usual "An account was made."
    AccountCompleted "account_completed" Accounts Usual "An account that an earlier, interrupted sign-in had made got what it lacked."
    AccountAdopted "account_adopted" Accounts Usual "An account that was there before became a member's (F7)."
    AccountRecreated "account_recreated" Accounts Usual "A member's account was made anew (E3, E5)."
    AccountUpdated "account_updated" Accounts Usual "An account's profile or entitlements were changed."
    ProfileKept "profile_not_updated" Accounts Notable "The application did not take a changed profile; the person came in with the former one."
    AccountDeactivated "account_deactivated" Accounts Notable "An account was deactivated."
    AccountReactivated "account_reactivated" Accounts Usual "An account that narthex had deactivated was activated again (G4)."
    AccountDeleted "account_deleted" Accounts Notable "An account was deleted."
    AccountTransferred "account_transferred" Accounts Notable "What an account owned went to another one (E6)."
    AccountVanished "account_vanished" Accounts Notable "An account was gone without narthex having deleted it (E5)."
    EntitlementSkipped "entitlement_skipped" Accounts Notable "Something that was asked for was not given; `why` says why (F4, F5)."
    TeamCreated "team_created" Accounts Usual "A team was made in the application (F5)."
    RoleBorrowed "role_borrowed" Accounts Usual "A session's entitlements were applied in the application (L2)."
    RoleRestored "role_restored" Accounts Usual "The entitlements from before the session were restored (L2)."
    RoleKept "role_kept" Accounts Notable "The entitlements were not restored: somebody had changed them meanwhile (L2)."
    ShadowOutcome "shadow_outcome" Accounts Usual "What a sign-in would have changed; nothing was (M6)."
    DriftFound "drift_found" Accounts Notable "An account is not as its member's record says."
    DriftRepaired "drift_repaired" Accounts Notable "An account, or a member's record, was brought back in line."

    MemberLinked "member_linked" People Usual "An account became a member's by an administrator, or a further identity did (F8)."
    MemberChanged "member_changed" People Usual "A member was changed by an administrator."
    MemberBlocked "member_blocked" People Notable "A member was blocked (G6)."
    MemberUnblocked "member_unblocked" People Notable "A member is not blocked any more."
    MemberAbsent "member_absent" People Notable "A member had not come for long enough to lose the account (E6)."
    AccessRevoked "access_revoked" People Notable "A member's access was revoked (E4)."
    MemberErased "member_erased" People Notable "What the log says of a person is erased, `parts` times; so were the member's records (E6)."
    CaseOpened "case_opened" People Notable "A sign-in waits for an administrator (F7, F8)."
    CaseDecided "case_decided" People Usual "An administrator decided on a sign-in that waited."
    InviteCreated "invite_created" People Usual "Somebody was invited (F6)."
    InviteChanged "invite_changed" People Usual "An invite was changed."
    InviteSent "invite_sent" People Usual "An invite was sent, or sent again."
    InviteRevoked "invite_revoked" People Notable "An invite was taken back."
    InviteUsed "invite_used" People Usual "An invite was used by its first sign-in."
    AdministratorLogin "administrator_login" People Usual "Somebody signed in at the admin API by an identity provider; `rule` gave the role."
    AdministratorLogout "administrator_logout" People Usual "A session at the admin API was ended, by its person or by another administrator."
    AdministratorRefused "administrator_refused" People Notable "A call to the admin API was refused; `code` says why."
    TokenMade "token_made" People Notable "A token for the admin API or for SCIM was made."
    TokenRevoked "token_revoked" People Notable "Such a token was taken back."
    ScimChanged "scim_changed" People Usual "A SCIM client made or changed a user or group that it keeps here."
    ScimDeleted "scim_deleted" People Notable "A SCIM client deleted a user or group that it kept here."
    ScimRefused "scim_refused" People Notable "Calls to the SCIM server without one of its tokens, counted by minute."

    SettingsChanged "settings_changed" Settings Notable "Settings were changed; before and after."
    ConfigurationReloaded "configuration_reloaded" Settings Notable "The configuration file, or a file that it names, was changed, and holds."
    ConfigurationRefused "configuration_refused" Settings Notable "It was changed and cannot be used; the one from before holds."
    JitEnabled "jit_enabled" Settings Notable "Just-in-time provisioning was switched on (M4)."
    JitDisabled "jit_disabled" Settings Notable "Just-in-time provisioning was switched off (M4)."
    SigningKeyMade "signing_key_made" Settings Usual "A key for upstream tokens was made."

    RequestsRefused "requests_refused" Guards Notable "Requests that were refused before the application saw them, counted by `code` and minute."
    HeaderAliasRemoved "header_alias_removed" Guards Notable "Clients sent identity headers under spellings that only an attack has, counted by minute; they were removed."
    HeaderValueRefused "header_value_refused" Guards Notable "An identity header was left out: its value holds a control character, or has a blank at an end (G5)."
    RemovalsPaused "removals_paused" Guards Alarming "More removals were due than `max_removals` in an hour; further ones wait for an administrator (G3)."
    RemovalsResumed "removals_resumed" Guards Notable "An administrator let the removals go on (G3)."
    RemovalRefused "removal_refused" Guards Notable "A guard kept an account from being demoted, deactivated or deleted (G1, G2)."
    JobStuck "job_stuck" Guards Alarming "A job cannot go on without an administrator (E2)."
    JobDecided "job_decided" Guards Usual "An administrator had a job tried again, or dropped it."
    NotificationLost "notification_lost" Guards Alarming "A notification was given up after its last try (S4)."

    ChainBegan "audit_chain_began" Log Usual "A process began its chain of entries; `heads` are those of other chains."
    ChainEnded "audit_chain_ended" Log Usual "The process ended in an orderly way."
    HeadsNoted "audit_heads" Log Usual "The heads of other chains that have moved on."
    Gap "audit_gap" Log Alarming "`lost` entries could not be kept, because the store was away for too long; the process log may have them."
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Event {
    type Err = UnknownEvent;

    fn from_str(text: &str) -> Result<Self, UnknownEvent> {
        Self::ALL.iter().copied().find(|event| event.name() == text).ok_or(UnknownEvent)
    }
}

/// A text that names no event of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such event; docs/audit.md lists them")]
pub struct UnknownEvent;
