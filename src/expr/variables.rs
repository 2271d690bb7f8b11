//! THE table of variable names: what templates and expressions may say, with their meaning.

use std::borrow::Cow;
use std::net::IpAddr;

use super::typed::Facts;
use crate::model::GrantSource;
use crate::model::session::SessionAccount;

/// Where an expression or template stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `allow` of a route.
    Rule,
    /// A value of `[headers]`: made once per session.
    Header,
    /// `[provisioning.attributes]`: made before there is an account.
    Attribute,
    /// `when` of a mapping row: decided before there is an account.
    Mapping,
    /// `when` of an `[[admin.rule]]`: decided when an administrator signs in.
    Console,
}

impl Place {
    /// As it reads after "cannot be used".
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Rule => "in a rule",
            Self::Header => "in a header",
            Self::Attribute => "in an account attribute",
            Self::Mapping => "in a mapping row",
            Self::Console => "in an administrators' rule",
        }
    }

    /// Why a variable that lives elsewhere has no value here.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Rule => "it is not known when a rule is decided",
            Self::Header => "headers are made once per session, not per request; use it in a route's `allow`",
            Self::Attribute => {
                "attributes are made before there is an account or a grant; use claims.*, subject or idp.id"
            }
            Self::Mapping => {
                "mapping rows decide what an account gets, before there is one; use claims.*, subject or idp.id"
            }
            Self::Console => {
                "administrators are no accounts of the application; use claims.*, subject or idp.id"
            }
        }
    }
}

/// How a variable's value is read; its type.
#[derive(Debug, Clone, Copy)]
pub enum Read {
    /// `claims.<path>`.
    Claims,
    /// `account.attributes.<name>`.
    Attributes,
    Text(for<'a> fn(Facts<'a>) -> Option<Cow<'a, str>>),
    List(for<'a> fn(Facts<'a>) -> Vec<&'a str>),
    Flag(fn(Facts<'_>) -> bool),
    Address(fn(Facts<'_>) -> Option<IpAddr>),
}

/// Which texts a variable can be, so that a comparison with any other is refused at load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    Any,
    OneOf(&'static [&'static str]),
    /// Upper-case.
    Method,
    /// Starts with `/`.
    Path,
    /// A configured identity provider's id.
    Idp,
    Lower,
    Upper,
}

/// One variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Dotted; a last part of `*` stands for any name.
    pub name: &'static str,
    pub read: Read,
    pub domain: Domain,
    pub places: &'static [Place],
    /// When there is no value; `None`: there always is one.
    pub absent: Option<&'static str>,
    pub meaning: &'static str,
}

const EVERYWHERE: &[Place] = &[Place::Rule, Place::Header, Place::Attribute, Place::Mapping, Place::Console];
const WITH_GRANT: &[Place] = &[Place::Rule, Place::Header];
const RULES: &[Place] = &[Place::Rule];
const NO_ACCOUNT: Option<&str> = Some("for a session without account (`unprovisioned = \"forward\"`)");
const NOT_SAID: Option<&str> = Some("without account, or where the application says none");

const fn row(
    name: &'static str,
    read: Read,
    places: &'static [Place],
    absent: Option<&'static str>,
    meaning: &'static str,
) -> Variable {
    Variable { name, read, domain: Domain::Any, places, absent, meaning }
}

const fn limited(domain: Domain, variable: Variable) -> Variable {
    Variable { domain, ..variable }
}

/// Every variable there is; `docs/variables.md` is made from it.
pub const VARIABLES: &[Variable] = &[
    row(
        "claims.*",
        Read::Claims,
        EVERYWHERE,
        Some("where the identity provider did not send the claim"),
        "What the identity provider said, by the claim's name or path (`claims.realm_access.roles`, `claims['https://example.com/role']`).",
    ),
    row(
        "account.id",
        Read::Text(|f| account(f).map(|a| Cow::from(a.id.0.as_str()))),
        WITH_GRANT,
        NO_ACCOUNT,
        "The application's own id of the account.",
    ),
    row(
        "account.username",
        Read::Text(|f| account(f).map(|a| Cow::from(a.profile.username.as_str()))),
        WITH_GRANT,
        NO_ACCOUNT,
        "The account's username in the application.",
    ),
    row(
        "account.email",
        Read::Text(|f| account(f).and_then(|a| a.profile.email.as_deref()).map(Cow::from)),
        WITH_GRANT,
        NOT_SAID,
        "The account's e-mail address in the application.",
    ),
    row(
        "account.display_name",
        Read::Text(|f| account(f).and_then(|a| a.profile.display_name.as_deref()).map(Cow::from)),
        WITH_GRANT,
        NOT_SAID,
        "The account's display name in the application.",
    ),
    row(
        "account.given_name",
        Read::Text(|f| attribute(f, "given_name")),
        WITH_GRANT,
        NOT_SAID,
        "The account's given name in the application.",
    ),
    row(
        "account.family_name",
        Read::Text(|f| attribute(f, "family_name")),
        WITH_GRANT,
        NOT_SAID,
        "The account's surname in the application.",
    ),
    row(
        "account.attributes.*",
        Read::Attributes,
        WITH_GRANT,
        NOT_SAID,
        "Any further attribute of the account, by its name in `[provisioning.attributes]`.",
    ),
    row(
        "member.id",
        Read::Text(|f| account(f).map(|a| Cow::from(a.member.to_string()))),
        WITH_GRANT,
        NO_ACCOUNT,
        "narthex's own id of the person (a UUID): stays when the account is renamed or made anew.",
    ),
    row(
        "grant.role",
        Read::Text(|f| f.session.grant.entitlements.role.as_deref().map(Cow::from)),
        WITH_GRANT,
        Some("where the application has no roles"),
        "The application-wide role of this session.",
    ),
    row(
        "grant.teams",
        Read::List(|f| f.session.grant.entitlements.teams.keys().map(String::as_str).collect()),
        WITH_GRANT,
        None,
        "The names of the teams of this session.",
    ),
    row(
        "grant.app_groups",
        Read::List(|f| f.session.grant.entitlements.app_groups.iter().map(String::as_str).collect()),
        WITH_GRANT,
        None,
        "The application groups of this session.",
    ),
    row(
        "grant.permissions",
        Read::List(|f| f.session.grant.entitlements.permissions.iter().map(String::as_str).collect()),
        WITH_GRANT,
        None,
        "The permissions of this session.",
    ),
    row(
        "grant.owner",
        Read::Flag(|f| f.session.grant.entitlements.owner),
        WITH_GRANT,
        None,
        "Whether this session is an owner's.",
    ),
    limited(
        Domain::OneOf(&["baseline", "session"]),
        row(
            "grant.source",
            Read::Text(|f| {
                Some(Cow::from(match f.session.grant.source {
                    GrantSource::Baseline => "baseline",
                    GrantSource::Session | GrantSource::Borrowed => "session",
                }))
            }),
            WITH_GRANT,
            None,
            "`baseline`: role and teams are the account's own; `session`: the identity provider's, for this session only.",
        ),
    ),
    limited(
        Domain::Idp,
        row(
            "idp.id",
            Read::Text(|f| Some(Cow::from(f.session.idp.as_str()))),
            EVERYWHERE,
            None,
            "The `id` of the identity provider that the person signed in with.",
        ),
    ),
    row(
        "subject",
        Read::Text(|f| Some(Cow::from(f.session.subject.as_str()))),
        EVERYWHERE,
        None,
        "Who the person is at that identity provider: `sub`, or the claim that `subject` names. Unique only together with `idp.id`.",
    ),
    limited(
        Domain::Method,
        row(
            "request.method",
            Read::Text(|f| f.request.map(|r| Cow::from(r.method))),
            RULES,
            None,
            "The request's method, upper-case.",
        ),
    ),
    limited(
        Domain::Path,
        row(
            "request.path",
            Read::Text(|f| f.request.map(|r| Cow::from(r.path))),
            RULES,
            None,
            "The request's canonical path, without query.",
        ),
    ),
    row(
        "request.ip",
        Read::Address(|f| f.request.map(|r| r.ip)),
        RULES,
        None,
        "The client's address, as far as `server.trusted_proxies` allows to know it.",
    ),
];

fn account(facts: Facts<'_>) -> Option<&SessionAccount> {
    facts.session.account
}

pub(super) fn attribute<'a>(facts: Facts<'a>, name: &str) -> Option<Cow<'a, str>> {
    account(facts)?.profile.attributes.get(name).map(|value| Cow::from(value.as_str()))
}
