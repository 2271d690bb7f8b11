//! From a recipe's text to a [`Recipe`]: everything is checked here, so that what runs cannot be wrong.

use std::collections::BTreeMap;

use http::HeaderName;
use toml::de::DeTable;

use crate::provision::connector::{AttributeShape, AttributeSpec, CaseRule, Features, Help, Kind, Named};

use super::auth::BearerForm;
use super::error::{RecipeError, RecipeFault, Source};
use super::load_steps;
use super::node::{Node, Section};
use super::read::Reader;
use super::recipe::{
    AccountReaders, CredentialKind, Op, Operation, PageStyle, Pagination, Privileged, Protocol, Recipe, Rest,
    ScimGroups, ScimOptions, TeamParts,
};
use super::text::Names;

/// A larger recipe is refused before it is parsed.
pub(in crate::provision) const MAX_RECIPE: usize = 256 * 1024;
const MAX_PAGES: usize = 200;

/// Which kinds of entitlements a recipe declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KindName {
    Role,
    Teams,
    TeamRoles,
    AppGroups,
    Permissions,
    Owner,
}

pub(super) const KINDS: [(&str, KindName); 6] = [
    ("role", KindName::Role),
    ("teams", KindName::Teams),
    ("team_roles", KindName::TeamRoles),
    ("app_groups", KindName::AppGroups),
    ("permissions", KindName::Permissions),
    ("owner", KindName::Owner),
];

pub(in crate::provision) const CREDENTIALS: [(&str, CredentialKind); 7] = [
    ("none", CredentialKind::None),
    ("bearer", CredentialKind::Bearer),
    ("basic", CredentialKind::Basic),
    ("header", CredentialKind::Header),
    ("oauth2", CredentialKind::ClientCredentials),
    ("login", CredentialKind::Login),
    ("signing_secret", CredentialKind::Signing),
];

pub(super) const PROTOCOLS: [(&str, ProtocolName); 3] =
    [("rest", ProtocolName::Rest), ("scim", ProtocolName::Scim), ("webhook", ProtocolName::Webhook)];

/// The protocols, as recipes name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProtocolName {
    Rest,
    Scim,
    Webhook,
}

pub(super) const WEBHOOK_CAN: [(&str, WebhookCan); 4] = [
    ("create_team", WebhookCan::CreateTeam),
    ("deactivate", WebhookCan::Deactivate),
    ("transfer", WebhookCan::Transfer),
    ("delete", WebhookCan::Delete),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WebhookCan {
    CreateTeam,
    Deactivate,
    Transfer,
    Delete,
}

pub(super) const SHAPES: [(&str, AttributeShape); 5] = [
    ("text", AttributeShape::Text),
    ("email", AttributeShape::Email),
    ("username", AttributeShape::Username),
    ("lower_username", AttributeShape::LowerUsername),
    ("url", AttributeShape::Url),
];

pub(super) const GROUPS: [(&str, ScimGroups); 3] =
    [("teams", ScimGroups::Teams), ("app_groups", ScimGroups::AppGroups), ("none", ScimGroups::Unused)];

pub(super) const STYLES: [(&str, StyleName); 4] = [
    ("page", StyleName::Page),
    ("offset", StyleName::Offset),
    ("link", StyleName::Link),
    ("cursor", StyleName::Cursor),
];

/// How the next page is asked for, as recipes name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StyleName {
    Page,
    Offset,
    Link,
    Cursor,
}

pub(super) const CASES: [(&str, CaseRule); 2] =
    [("sensitive", CaseRule::Sensitive), ("insensitive", CaseRule::Insensitive)];

impl Recipe {
    /// Reads a recipe; `file` is what errors call it.
    ///
    /// # Errors
    /// [`RecipeError::At`] with the place of the first fault.
    pub(in crate::provision) fn parse(file: &str, text: &str) -> Result<Self, RecipeError> {
        let source = Source { file, text };
        if text.len() > MAX_RECIPE {
            return Err(RecipeError::TooLarge { file: file.to_owned(), limit: MAX_RECIPE });
        }
        let table = DeTable::parse(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            source.fault(&span, RecipeFault::Syntax(error.message().to_owned()))
        })?;
        let root = Section::root(&source, &table);
        let mut features = Features {
            name: root.need("name")?.text()?.to_owned(),
            title: root.need("title")?.text()?.to_owned(),
            tested_against: root
                .get("tested_against")
                .map(|node| node.text())
                .transpose()?
                .map(str::to_owned),
            ..Features::default()
        };
        features.help = root.get("help").map(|node| help(&node)).transpose()?.unwrap_or_default();
        application(&root, &mut features)?;
        let privileged = entitlements(&root, &mut features)?;
        features.attributes = attributes(&root)?;
        let (credentials, bearer) = authentication(&root.need("authentication")?)?;
        features.credentials = credentials.iter().map(|kind| kind.key()).collect();
        let named = root.get("protocol").map(|node| node.choice(&PROTOCOLS)).transpose()?;
        let named = named.unwrap_or(ProtocolName::Rest);
        // Only an event can be signed, and it is signed by nothing else.
        let signed = credentials.contains(&CredentialKind::Signing);
        if signed != (named == ProtocolName::Webhook) || (signed && credentials.len() > 1) {
            let fault =
                "the protocol \"webhook\" takes the credential \"signing_secret\", alone, and no other does";
            return Err(root.need("authentication")?.fault(RecipeFault::Contradiction(fault.to_owned())));
        }
        let protocol = match named {
            ProtocolName::Rest => {
                Protocol::Rest(Box::new(rest(&root, &mut features, &privileged, &credentials)?))
            }
            ProtocolName::Scim => Protocol::Scim(scim_options(&root, &mut features)?),
            ProtocolName::Webhook => {
                webhook(&root, &mut features)?;
                Protocol::Webhook
            }
        };
        root.finish()?;
        Ok(Self { features, credentials, bearer, privileged, protocol })
    }
}

/// Where a line of a sentence ends in the recipe is for its readers only; `settings` is as it stands there.
fn help(node: &Node<'_, '_>) -> Result<Help, RecipeError> {
    let section = node.section()?;
    let said = |key| {
        let node = section.get(key);
        let text = node.map(|node| node.text().map(str::to_owned)).transpose()?;
        Ok(text.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    let help = Help {
        credential: said("credential")?,
        url: said("url")?,
        application: said("application")?,
        settings: section.get("settings").map(|node| node.text().map(str::to_owned)).transpose()?,
    };
    section.finish()?;
    Ok(help)
}

fn application(root: &Section<'_, '_>, features: &mut Features) -> Result<(), RecipeError> {
    let section = root.need("application")?.section()?;
    features.username_case = section.need("username_case")?.choice(&CASES)?;
    features.email_case = section.need("email_case")?.choice(&CASES)?;
    features.session_cookies = texts(section.get("session_cookies"))?;
    features.logout_path = section
        .get("logout_path")
        .map(|node| match node.text()? {
            path if path.starts_with('/') => Ok(path.to_owned()),
            _ => {
                Err(node.fault(RecipeFault::WrongType { key: node.key.clone(), expected: "a path from `/`" }))
            }
        })
        .transpose()?;
    if let Some(node) = section.get("trusted_headers") {
        for header in node.nodes()? {
            features.trusted_headers.push(header_name(&header)?.to_string());
        }
    }
    section.finish()
}

fn entitlements(root: &Section<'_, '_>, features: &mut Features) -> Result<Privileged, RecipeError> {
    let section = root.need("entitlements")?.section()?;
    for node in section.need("kinds")?.nodes()? {
        match node.choice(&KINDS)? {
            KindName::Role => features.roles = true,
            KindName::Teams => features.teams = true,
            KindName::TeamRoles => features.team_roles = true,
            KindName::AppGroups => features.app_groups = true,
            KindName::Permissions => features.permissions = true,
            KindName::Owner => features.owner = true,
        }
    }
    let mut privileged = Privileged {
        roles: texts(section.get("privileged_roles"))?,
        teams: texts(section.get("privileged_teams"))?,
        app_groups: texts(section.get("privileged_app_groups"))?,
        permissions: texts(section.get("privileged_permissions"))?,
    };
    for (kind, patterns) in [
        (Kind::Role, &privileged.roles),
        (Kind::Team, &privileged.teams),
        (Kind::AppGroup, &privileged.app_groups),
        (Kind::Permission, &privileged.permissions),
    ] {
        features.privileged.insert(kind, patterns.clone());
    }
    if let Some(roles) = section.get("roles") {
        for node in roles.nodes()? {
            let role = node.section()?;
            let name = role.need("name")?.text()?.to_owned();
            let marked = role.get("privileged").map(|node| node.flag()).transpose()?.unwrap_or(false);
            role.finish()?;
            if marked {
                privileged.roles.push(name.clone());
            }
            features.fixed_roles.push(Named { name, privileged: marked });
        }
        if !features.roles {
            let fault = "there are `roles`, but `kinds` does not contain \"role\"".to_owned();
            return Err(roles.fault(RecipeFault::Contradiction(fault)));
        }
    }
    for role in &mut features.fixed_roles {
        role.privileged |= Privileged::matches(&privileged.roles, &role.name);
    }
    section.finish()?;
    Ok(privileged)
}

fn attributes(root: &Section<'_, '_>) -> Result<BTreeMap<String, AttributeSpec>, RecipeError> {
    let mut attributes = BTreeMap::new();
    for (name, node) in root.need("attributes")?.entries()? {
        let section = node.section()?;
        let spec = AttributeSpec {
            required: section.get("required").map(|node| node.flag()).transpose()?.unwrap_or(false),
            claims: texts(section.get("claims"))?,
            shape: section.get("shape").map(|node| node.choice(&SHAPES)).transpose()?.unwrap_or_default(),
        };
        section.finish()?;
        attributes.insert(name, spec);
    }
    if !attributes.contains_key("username") {
        return Err(root
            .need("attributes")?
            .fault(RecipeFault::MissingKey("attributes.username".to_owned())));
    }
    Ok(attributes)
}

fn authentication(node: &Node<'_, '_>) -> Result<(Vec<CredentialKind>, BearerForm), RecipeError> {
    let section = node.section()?;
    let kinds = section.need("kinds")?.nodes()?;
    let kinds = kinds.iter().map(|node| node.choice(&CREDENTIALS)).collect::<Result<_, _>>()?;
    let mut form = BearerForm::default();
    if let Some(bearer) = section.get("bearer") {
        let bearer = bearer.section()?;
        form.header = header_name(&bearer.need("header")?)?;
        let prefix = bearer.get("prefix").map(|node| node.text()).transpose()?;
        form.prefix = prefix.map(str::to_owned).unwrap_or_default();
        bearer.finish()?;
    }
    section.finish()?;
    Ok((kinds, form))
}

fn scim_options(root: &Section<'_, '_>, features: &mut Features) -> Result<ScimOptions, RecipeError> {
    let section = root.need("scim")?.section()?;
    let groups = section.need("groups")?;
    let options = ScimOptions { groups: groups.choice(&GROUPS)? };
    let fits = features.teams == (options.groups == ScimGroups::Teams)
        && features.app_groups == (options.groups == ScimGroups::AppGroups);
    if !fits {
        let fault = "`kinds` must contain \"teams\" or \"app_groups\" exactly where `groups` says so";
        return Err(groups.fault(RecipeFault::Contradiction(fault.to_owned())));
    }
    if features.team_roles || features.owner {
        let fault = "SCIM knows neither team roles nor owners";
        return Err(groups.fault(RecipeFault::Contradiction(fault.to_owned())));
    }
    section.finish()?;
    features.can_create_team = features.teams;
    (features.can_deactivate, features.can_reactivate, features.can_delete) = (true, true, true);
    Ok(options)
}

/// What the receiver can do beyond finding, creating, updating and setting entitlements.
fn webhook(root: &Section<'_, '_>, features: &mut Features) -> Result<(), RecipeError> {
    let node = root.need("webhook")?;
    let section = node.section()?;
    for can in section.need("can")?.nodes()? {
        match can.choice(&WEBHOOK_CAN)? {
            WebhookCan::CreateTeam if !features.teams => {
                let fault = "\"create_team\" needs \"teams\" among `kinds`".to_owned();
                return Err(can.fault(RecipeFault::Contradiction(fault)));
            }
            WebhookCan::CreateTeam => features.can_create_team = true,
            // G4: one goes with the other.
            WebhookCan::Deactivate => {
                (features.can_deactivate, features.can_reactivate) = (true, true);
            }
            WebhookCan::Transfer => features.can_transfer = true,
            WebhookCan::Delete => features.can_delete = true,
        }
    }
    section.finish()
}

fn rest(
    root: &Section<'_, '_>,
    features: &mut Features,
    privileged: &Privileged,
    credentials: &[CredentialKind],
) -> Result<Rest, RecipeError> {
    let team_parts = root.get("team_name").map(|node| team_parts(&node)).transpose()?;
    let account = account(&root.need("account")?, features)?;
    let errors = root.get("errors").map(|node| load_steps::outcomes(&node)).transpose()?.unwrap_or_default();
    let pagination = root.get("pagination").map(|node| pagination(&node)).transpose()?;
    let node = root.need("operations")?;
    let section = node.section()?;
    let mut operations: BTreeMap<Op, Operation> = BTreeMap::new();
    // What others begin with comes first, for the names that it saves.
    let first = [Op::Current, Op::FindTeam];
    for op in first.into_iter().chain(Op::ALL.iter().copied().filter(|op| !first.contains(op))) {
        let Some(node) = section.get(op.key()) else { continue };
        let context = load_steps::Context {
            op,
            features,
            pagination: pagination.is_some(),
            team: team_parts.as_ref().map_or(&[], |parts| &parts.names),
            loaded: &operations,
        };
        let operation = load_steps::operation(&node, &context)?;
        operations.insert(op, operation);
    }
    section.finish()?;
    let has = |op: Op| operations.contains_key(&op);
    features.can_create_team = has(Op::CreateTeam);
    (features.can_deactivate, features.can_reactivate) = (has(Op::Deactivate), has(Op::Reactivate));
    (features.can_transfer, features.can_delete) = (has(Op::Transfer), has(Op::Delete));
    let needed = [
        (true, "every recipe", vec![Op::Check, Op::FindById, Op::FindByUsername, Op::Create]),
        (account.email.is_some(), "`account.email`", vec![Op::FindByEmail]),
        // G1 counts these accounts.
        (!privileged.roles.is_empty(), "a privileged role", vec![Op::ListPrivileged]),
        (features.roles, "the kind \"role\"", vec![Op::SetRole]),
        (
            features.roles && account.role.is_none(),
            "the kind \"role\" without `account.role`",
            vec![Op::RoleOf],
        ),
        (
            features.roles && features.fixed_roles.is_empty(),
            "the kind \"role\" without `entitlements.roles`",
            vec![Op::ListRoles],
        ),
        (features.teams, "the kind \"teams\"", vec![Op::AddTeam, Op::RemoveTeam]),
        (
            features.teams && account.teams.is_none(),
            "the kind \"teams\" without `account.teams`",
            vec![Op::TeamsOf],
        ),
        (features.app_groups, "the kind \"app_groups\"", vec![Op::AddAppGroup, Op::RemoveAppGroup]),
        (
            features.app_groups && account.app_groups.is_none(),
            "the kind \"app_groups\" without `account.app_groups`",
            vec![Op::AppGroupsOf],
        ),
        (features.permissions, "the kind \"permissions\"", vec![Op::AddPermission, Op::RemovePermission]),
        (
            features.permissions && account.permissions.is_none(),
            "the kind \"permissions\" without `account.permissions`",
            vec![Op::PermissionsOf],
        ),
        (features.owner, "the kind \"owner\"", vec![Op::SetOwner, Op::UnsetOwner]),
        // G4: what narthex deactivated, it has to be able to reactivate.
        (has(Op::Deactivate), "the operation \"deactivate\"", vec![Op::Reactivate]),
        (credentials.contains(&CredentialKind::Login), "the credential \"login\"", vec![Op::Login]),
    ];
    for (applies, feature, ops) in needed {
        if let Some(missing) = ops.into_iter().find(|op| applies && !has(*op)) {
            let fault =
                RecipeFault::MissingOperation { operation: missing.key(), feature: feature.to_owned() };
            return Err(node.fault(fault));
        }
    }
    Ok(Rest { team_parts, account, errors, pagination, operations })
}

fn account(node: &Node<'_, '_>, features: &Features) -> Result<AccountReaders, RecipeError> {
    let names = Names::of(["item.*"]);
    let section = node.section()?;
    let optional = |key: &'static str| section.get(key).map(|node| Reader::load(&node, &names)).transpose();
    let readers = AccountReaders {
        id: Reader::load(&section.need("id")?, &names)?,
        username: Reader::load(&section.need("username")?, &names)?,
        email: optional("email")?,
        display_name: optional("display_name")?,
        active: optional("active")?,
        privileged: optional("privileged")?,
        role: optional("role")?,
        teams: optional("teams")?,
        app_groups: optional("app_groups")?,
        permissions: optional("permissions")?,
        owner: optional("owner")?,
        attributes: match section.get("attributes") {
            None => Vec::new(),
            Some(node) => node
                .entries()?
                .into_iter()
                .map(|(name, node)| Ok((name, Reader::load(&node, &names)?)))
                .collect::<Result<_, RecipeError>>()?,
        },
    };
    section.finish()?;
    if features.owner && readers.owner.is_none() {
        return Err(node.fault(RecipeFault::MissingKey("account.owner".to_owned())));
    }
    Ok(readers)
}

fn team_parts(node: &Node<'_, '_>) -> Result<TeamParts, RecipeError> {
    let section = node.section()?;
    let parts = TeamParts {
        names: section.need("parts")?.texts()?,
        separator: section.need("separator")?.text()?.to_owned(),
    };
    section.finish()?;
    if parts.names.is_empty() || parts.separator.is_empty() {
        return Err(
            node.fault(RecipeFault::Contradiction("a team's name needs parts and a separator".to_owned()))
        );
    }
    Ok(parts)
}

fn pagination(node: &Node<'_, '_>) -> Result<Pagination, RecipeError> {
    let names = Names::of(["item.*"]);
    let section = node.section()?;
    let text = |key: &'static str| Ok::<_, RecipeError>(section.need(key)?.text()?.to_owned());
    let style = match section.need("style")?.choice(&STYLES)? {
        StyleName::Page => PageStyle::Page {
            parameter: text("page")?,
            first: section.get("first").map(|node| node.count()).transpose()?.unwrap_or(1),
        },
        StyleName::Offset => PageStyle::Offset { parameter: text("offset")? },
        StyleName::Link => PageStyle::Link,
        StyleName::Cursor => PageStyle::Cursor {
            parameter: text("cursor")?,
            next: Reader::load(&section.need("next")?, &names)?,
        },
    };
    let limit = match section.get("limit") {
        None => None,
        Some(node) => Some((node.text()?.to_owned(), section.need("size")?.count()?)),
    };
    let pagination = Pagination {
        style,
        limit,
        max_pages: section.get("max_pages").map(|node| node.count()).transpose()?.unwrap_or(MAX_PAGES),
        total: section.get("total").map(|node| Reader::load(&node, &names)).transpose()?,
        total_header: section.get("total_header").map(|node| header_name(&node)).transpose()?,
    };
    section.finish()?;
    Ok(pagination)
}

fn texts(node: Option<Node<'_, '_>>) -> Result<Vec<String>, RecipeError> {
    node.map_or(Ok(Vec::new()), |node| node.texts())
}

pub(super) fn header_name(node: &Node<'_, '_>) -> Result<HeaderName, RecipeError> {
    HeaderName::try_from(node.text()?).map_err(|_| {
        node.fault(RecipeFault::WrongType { key: node.key.clone(), expected: "a header's name" })
    })
}
