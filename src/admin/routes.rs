//! THE table of the admin API: every call with what it needs, takes and gives. The router, the permissions, the OpenAPI
//! document and the tests are made from it, so that none of them can know a call that the others do not.

mod row;

use http::Method;

use self::row::text;
pub use self::row::{Access, Act, Example, Gives, Parameter, Route, Shape, shape};
use super::error::AdminError;
use super::permissions::Permission;
use super::{
    audit, cases, connector, console, identity, invites, members, refusals, sessions, settings, status,
};

const AFTER: Parameter = text("after", "The `next` of the page before. Absent: the first page.");
const LIMIT: Parameter =
    Parameter { name: "limit", about: "Items of this page: 1 to 200, 50 unless said.", number: true };

/// What most of them are like.
const READ: Route = Route {
    method: Method::GET,
    path: "",
    operation: "",
    access: Access::Recognised,
    summary: "",
    parameters: &[],
    takes: None,
    gives: None,
    changes_version: false,
    act: |_, _| Box::pin(async { Err(AdminError::UnknownPath) }),
};

/// Every call, in the order of the document.
pub static ROUTES: &[Route] = &[
    Route {
        path: "/openapi.json",
        operation: "openapi",
        access: Access::Anybody,
        summary: "This document.",
        gives: Some(Gives::Text("application/json")),
        act: |_, _| Box::pin(async { Ok(super::openapi::answer()) }),
        ..READ
    },
    Route {
        method: Method::POST,
        path: "/bootstrap",
        operation: "use_bootstrap_token",
        access: Access::Anybody,
        summary: "Turn the single-use token of `narthex admin bootstrap` into an administrator's token for an hour.",
        takes: Some(shape::<identity::Bootstrap>()),
        gives: Some(Gives::Created(shape::<identity::IssuedToken>())),
        act: |admin, call| Box::pin(identity::bootstrap(admin, call)),
        ..READ
    },
    Route {
        path: "/me",
        operation: "who_am_i",
        summary: "Who asks, with which role and permissions.",
        gives: Some(Gives::Json(shape::<identity::Me>())),
        act: |admin, call| Box::pin(async { identity::me(admin, call) }),
        ..READ
    },
    Route {
        path: "/status",
        operation: "status",
        access: Access::Needs(Permission::SettingsView),
        summary: "Whether everything that narthex stands on is well.",
        gives: Some(Gives::Json(shape::<status::Status>())),
        act: |admin, _| Box::pin(async { status::show(admin) }),
        ..READ
    },
    Route {
        path: "/members",
        operation: "list_members",
        access: Access::Needs(Permission::MembersView),
        summary: "Members, by the beginning of e-mail address or username, by account or by identity; the oldest first.",
        parameters: &[
            text("search", "The beginning of the e-mail address or of the username, in any case."),
            text("account", "The application's own id of the account, exactly."),
            text("idp", "With subject: the identity provider of this identity."),
            text("subject", "With idp: its subject there, exactly."),
            AFTER,
            LIMIT,
        ],
        gives: Some(Gives::Json(shape::<super::answer::Page<members::MemberView>>())),
        act: |admin, call| Box::pin(members::list(admin, call)),
        ..READ
    },
    Route {
        path: "/members/{member}",
        operation: "show_member",
        access: Access::Needs(Permission::MembersView),
        summary: "One member.",
        gives: Some(Gives::Versioned(shape::<members::MemberView>())),
        act: |admin, call| Box::pin(members::show(admin, call)),
        ..READ
    },
    Route {
        method: Method::PATCH,
        path: "/members/{member}",
        operation: "change_member",
        access: Access::Needs(Permission::MembersManage),
        summary: "Change role and teams of a member's account in the application; what the identity provider decides (provisioning.sync) is refused.",
        takes: Some(shape::<members::registry::MemberChange>()),
        gives: Some(Gives::Versioned(shape::<members::MemberView>())),
        changes_version: true,
        act: |admin, call| Box::pin(members::change(admin, call)),
        ..READ
    },
    Route {
        method: Method::DELETE,
        path: "/members/{member}",
        operation: "erase_member",
        access: Access::Needs(Permission::MembersManage),
        summary: "Erase all personal data of a member here, the audit log's included; the account in the application is left as it is.",
        gives: Some(Gives::Json(shape::<members::registry::ErasedView>())),
        act: |admin, call| Box::pin(members::erase(admin, call)),
        ..READ
    },
    Route {
        method: Method::POST,
        path: "/reconciliation",
        operation: "reconcile_members",
        access: Access::Needs(Permission::MembersManage),
        summary: "Compare a page of members with the application: accounts that vanished, entitlements that were lost or left borrowed, and with the last page accounts that no member has.",
        takes: Some(shape::<members::Reconciling>()),
        gives: Some(Gives::Json(shape::<super::answer::Page<members::registry::FindingView>>())),
        act: |admin, call| Box::pin(members::reconcile(admin, call)),
        ..READ
    },
    Route {
        method: Method::DELETE,
        path: "/members/{member}/sessions",
        operation: "end_sessions_of_member",
        access: Access::Needs(Permission::SessionsManage),
        summary: "End all sessions of a member, on every replica; streams break off at once.",
        gives: Some(Gives::Json(shape::<sessions::Ended>())),
        act: |admin, call| Box::pin(sessions::end_of_member(admin, call)),
        ..READ
    },
    Route {
        method: Method::POST,
        path: "/members/{member}/revoke",
        operation: "revoke_member",
        access: Access::Needs(Permission::MembersManage),
        summary: "Revoke access: end the member's sessions at once, and deactivate or delete the account (provisioning.leaver).",
        gives: Some(Gives::Versioned(shape::<members::MemberView>())),
        act: |admin, call| Box::pin(members::revoke(admin, call)),
        ..READ
    },
    Route {
        method: Method::POST,
        path: "/members/{member}/block",
        operation: "block_member",
        access: Access::Needs(Permission::MembersManage),
        summary: "Revoke access, and let this account, these identities and this e-mail address in no more.",
        gives: Some(Gives::Versioned(shape::<members::MemberView>())),
        act: |admin, call| Box::pin(members::block(admin, call)),
        ..READ
    },
    Route {
        method: Method::POST,
        path: "/members/{member}/unblock",
        operation: "unblock_member",
        access: Access::Needs(Permission::MembersManage),
        summary: "Take a block back; the account comes back with the next sign-in.",
        gives: Some(Gives::Versioned(shape::<members::MemberView>())),
        act: |admin, call| Box::pin(members::unblock(admin, call)),
        ..READ
    },
    Route {
        path: "/sessions",
        operation: "list_sessions",
        access: Access::Needs(Permission::MembersView),
        summary: "Sessions, all of them or those of a member or an identity; the newest first.",
        parameters: &[
            text("member", "Only those of the member of this id."),
            text("idp", "With subject: the identity provider of this identity."),
            text("subject", "With idp: its subject there, exactly."),
            AFTER,
            LIMIT,
        ],
        gives: Some(Gives::Json(shape::<super::answer::Page<sessions::SessionView>>())),
        act: |admin, call| Box::pin(sessions::list(admin, call)),
        ..READ
    },
    Route {
        method: Method::DELETE,
        path: "/sessions",
        operation: "end_all_sessions",
        access: Access::Needs(Permission::SessionsManage),
        summary: "End every session there is, on every replica: everybody signs in anew.",
        gives: Some(Gives::Json(shape::<sessions::Ended>())),
        act: |admin, call| Box::pin(sessions::end_all(admin, call)),
        ..READ
    },
    Route {
        method: Method::DELETE,
        path: "/sessions/{session}",
        operation: "end_session",
        access: Access::Needs(Permission::SessionsManage),
        summary: "End a session, on every replica; its streams break off at once.",
        act: |admin, call| Box::pin(sessions::end(admin, call)),
        ..READ
    },
    Route {
        method: Method::DELETE,
        path: "/idps/{idp}/sessions",
        operation: "end_sessions_of_idp",
        access: Access::Needs(Permission::SessionsManage),
        summary: "End all sessions that an identity provider began, on every replica; it need not be configured any more.",
        gives: Some(Gives::Json(shape::<sessions::Ended>())),
        act: |admin, call| Box::pin(sessions::end_of_idp(admin, call)),
        ..READ
    },
    Route {
        path: "/console-sessions",
        operation: "list_console_sessions",
        access: Access::Needs(Permission::SettingsManage),
        summary: "Who signed in at the admin API, the newest first (the latest 200).",
        gives: Some(Gives::Json(shape::<super::answer::Page<console::sessions::ConsoleSessionView>>())),
        act: |admin, _| Box::pin(console::sessions::list(admin)),
        ..READ
    },
    Route {
        method: Method::DELETE,
        path: "/console-sessions/{session}",
        operation: "end_console_session",
        access: Access::Needs(Permission::SettingsManage),
        summary: "End a session at the admin API.",
        act: |admin, call| Box::pin(console::sessions::end(admin, call)),
        ..READ
    },
    Route {
        path: "/settings",
        operation: "show_settings",
        access: Access::Needs(Permission::SettingsView),
        summary: "The provisioning settings that hold, and where the configuration file says something else.",
        gives: Some(Gives::Versioned(shape::<settings::SettingsView>())),
        act: |admin, _| Box::pin(async { settings::show(admin) }),
        ..READ
    },
    Route {
        method: Method::PUT,
        path: "/settings",
        operation: "change_settings",
        access: Access::Needs(Permission::SettingsManage),
        summary: "Change the provisioning settings as previewed, for every replica within a second.",
        takes: Some(shape::<settings::Changing>()),
        gives: Some(Gives::Versioned(shape::<settings::SettingsView>())),
        changes_version: true,
        act: |admin, call| Box::pin(settings::change(admin, call)),
        ..READ
    },
    Route {
        method: Method::POST,
        path: "/settings/preview",
        operation: "preview_settings",
        access: Access::Needs(Permission::SettingsManage),
        summary: "What would change, how many members it would touch, and the confirmation for changing it.",
        takes: Some(shape::<settings::Proposal>()),
        gives: Some(Gives::Json(shape::<settings::Preview>())),
        act: |admin, call| Box::pin(settings::preview(admin, call)),
        ..READ
    },
    Route {
        path: "/settings/history",
        operation: "list_settings_versions",
        access: Access::Needs(Permission::SettingsView),
        summary: "The versions of the settings that were put here, the newest first (the latest 200).",
        parameters: &[AFTER, LIMIT],
        gives: Some(Gives::Json(shape::<super::answer::Page<settings::VersionView>>())),
        act: |admin, call| Box::pin(settings::history(admin, call)),
        ..READ
    },
    Route {
        path: "/settings/export",
        operation: "export_settings",
        access: Access::Needs(Permission::SettingsView),
        summary: "The settings that hold as [provisioning] of a proxy.toml.",
        gives: Some(Gives::Text("application/toml")),
        act: |admin, _| Box::pin(async { settings::export(admin) }),
        ..READ
    },
    Route {
        path: "/invites",
        operation: "list_invites",
        access: Access::Needs(Permission::MembersView),
        summary: "Invites, the newest first.",
        parameters: &[AFTER, LIMIT],
        gives: Some(Gives::Json(shape::<super::answer::Page<invites::InviteView>>())),
        act: |admin, call| Box::pin(invites::list(admin, call)),
        ..READ
    },
    Route {
        method: Method::POST,
        path: "/invites",
        operation: "create_invite",
        access: Access::Needs(Permission::MembersManage),
        summary: "Invite somebody by e-mail address, with a role and teams or as a copy of an account.",
        takes: Some(shape::<invites::InviteRequest>()),
        gives: Some(Gives::Created(shape::<invites::InviteView>())),
        act: |admin, call| Box::pin(invites::create(admin, call)),
        ..READ
    },
    Route {
        path: "/invites/{invite}",
        operation: "show_invite",
        access: Access::Needs(Permission::MembersView),
        summary: "One invite.",
        gives: Some(Gives::Versioned(shape::<invites::InviteView>())),
        act: |admin, call| Box::pin(invites::show(admin, call)),
        ..READ
    },
    Route {
        method: Method::PUT,
        path: "/invites/{invite}",
        operation: "change_invite",
        access: Access::Needs(Permission::MembersManage),
        summary: "Change an invite that was not used yet, also one that was sent.",
        takes: Some(shape::<invites::InviteRequest>()),
        gives: Some(Gives::Versioned(shape::<invites::InviteView>())),
        changes_version: true,
        act: |admin, call| Box::pin(invites::change(admin, call)),
        ..READ
    },
    Route {
        method: Method::DELETE,
        path: "/invites/{invite}",
        operation: "revoke_invite",
        access: Access::Needs(Permission::MembersManage),
        summary: "Take an invite back that was not used yet.",
        gives: Some(Gives::Versioned(shape::<invites::InviteView>())),
        act: |admin, call| Box::pin(invites::revoke(admin, call)),
        ..READ
    },
    Route {
        method: Method::POST,
        path: "/invites/{invite}/send",
        operation: "send_invite",
        access: Access::Needs(Permission::MembersManage),
        summary: "Send an invite by mail, again or for the first time.",
        gives: Some(Gives::Versioned(shape::<invites::InviteView>())),
        act: |admin, call| Box::pin(invites::send(admin, call)),
        ..READ
    },
    Route {
        path: "/cases",
        operation: "list_cases",
        access: Access::Needs(Permission::MembersView),
        summary: "Sign-ins that wait for a decision, and those that were decided; the newest first.",
        parameters: &[
            text("standing", "Only those that are \"waiting\", \"linked\", \"denied\" or \"used\"."),
            AFTER,
            LIMIT,
        ],
        gives: Some(Gives::Json(shape::<super::answer::Page<cases::CaseView>>())),
        act: |admin, call| Box::pin(cases::list(admin, call)),
        ..READ
    },
    Route {
        path: "/cases/{case}",
        operation: "show_case",
        access: Access::Needs(Permission::MembersView),
        summary: "One case: who asks for which account, and what was decided.",
        gives: Some(Gives::Versioned(shape::<cases::CaseView>())),
        act: |admin, call| Box::pin(cases::show(admin, call)),
        ..READ
    },
    Route {
        method: Method::PUT,
        path: "/cases/{case}/decision",
        operation: "decide_case",
        access: Access::Needs(Permission::MembersManage),
        summary: "Decide whether the account is this person's; may be reversed until a sign-in came in by it.",
        takes: Some(shape::<cases::Deciding>()),
        gives: Some(Gives::Versioned(shape::<cases::CaseView>())),
        changes_version: true,
        act: |admin, call| Box::pin(cases::put_decision(admin, call)),
        ..READ
    },
    Route {
        method: Method::DELETE,
        path: "/cases/{case}",
        operation: "withdraw_case",
        access: Access::Needs(Permission::MembersManage),
        summary: "Forget a case: the person's next sign-in asks anew.",
        act: |admin, call| Box::pin(cases::remove(admin, call)),
        ..READ
    },
    Route {
        path: "/connector",
        operation: "show_connector",
        access: Access::Needs(Permission::SettingsView),
        summary: "What the connector of this application can do and needs.",
        gives: Some(Gives::Json(shape::<connector::ConnectorView>())),
        act: |admin, _| Box::pin(async { connector::show(admin) }),
        ..READ
    },
    Route {
        method: Method::POST,
        path: "/connector/check",
        operation: "check_connector",
        access: Access::Needs(Permission::SettingsView),
        summary: "Reach the application's admin API with its credential; changes nothing there.",
        gives: Some(Gives::Json(shape::<connector::CheckView>())),
        act: |admin, _| Box::pin(connector::check(admin)),
        ..READ
    },
    Route {
        path: "/audit",
        operation: "list_audit_entries",
        access: Access::Needs(Permission::AuditView),
        summary: "The audit log, the newest first: all of it, or of a member, an event, a time.",
        parameters: &[
            text("member", "Only what is about the member of this id."),
            text("event", "Only this event (docs/audit.md)."),
            text("since", "From this time on (RFC 3339)."),
            text("until", "Up to this time, without it (RFC 3339)."),
            AFTER,
            LIMIT,
        ],
        gives: Some(Gives::Json(shape::<super::answer::Page<audit::AuditView>>())),
        act: |admin, call| Box::pin(audit::list(admin, call)),
        ..READ
    },
    Route {
        path: "/refusals/{error_id}",
        operation: "explain_refusal",
        access: Access::Needs(Permission::AuditView),
        summary: "How the sign-in with this error id was refused, check by check (one of the latest 1000).",
        gives: Some(Gives::Json(shape::<refusals::RefusalView>())),
        act: |admin, call| Box::pin(refusals::show(admin, call)),
        ..READ
    },
    Route {
        path: "/logins/{login_id}",
        operation: "explain_login",
        access: Access::Needs(Permission::AuditView),
        summary: "What the sign-in with this login id (audit log) or error id did: each decision, the plan (one of the latest 2000).",
        gives: Some(Gives::Json(shape::<refusals::LoginView>())),
        act: |admin, call| Box::pin(refusals::login(admin, call)),
        ..READ
    },
];
