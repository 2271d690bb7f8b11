//! Where invites are made, changed and taken back, for the API and the command line alike (PROVISIONING.md F6).

use std::sync::Arc;
use std::time::Duration;

use jiff::SpanRelativeTo;
use serde_json::Value;
use url::Url;

use super::InviteRequest;
use crate::admin::error::AdminError;
use crate::admin::live::Live;
use crate::admin::principal::Principal;
use crate::config::Settings;
use crate::config::settings::Provisioning;
use crate::model::invite::{Invite, InviteId, InviteState, InviteTerms};
use crate::model::letter::{Channel, Letter};
use crate::model::{EmailAddress, Entitlements, IdpId, UnixTime};
use crate::platform::Platform;
use crate::provision::connector::{FindBy, Kind, Named};
use crate::provision::entitle::configured_as_ordinary;
use crate::provision::{Connector, eligibility};
use crate::store::Store;

/// How long an invite is good unless it is said.
const USUAL: Duration = Duration::from_hours(7 * 24);
/// How long it may be good.
const LONGEST: Duration = Duration::from_hours(90 * 24);

/// What invites need.
pub struct Desk {
    store: Arc<dyn Store>,
    connector: Option<Arc<dyn Connector>>,
    live: Arc<Live>,
    providers: Vec<IdpId>,
    /// The sign-in page.
    login: Url,
    /// There is a mail server.
    mails: bool,
    platform: Platform,
}

impl Desk {
    #[must_use]
    pub fn new(
        settings: &Settings,
        store: Arc<dyn Store>,
        connector: Option<Arc<dyn Connector>>,
        live: Arc<Live>,
        platform: Platform,
    ) -> Self {
        let mut login = settings.server.public_url.clone();
        login.set_path(&format!("{}/login", settings.server.prefix));
        let providers = settings.idps.iter().map(|idp| idp.id().clone()).collect();
        let mails = settings.notify.smtp.is_some();
        Self { store, connector, live, providers, login, mails, platform }
    }

    /// Now, by the clock that invites expire by.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        self.platform.clock.now()
    }

    /// Where the invited person begins. It holds no secret: whoever follows it must sign in with the address.
    #[must_use]
    pub fn link(&self, invite: &Invite) -> Url {
        let mut link = self.login.clone();
        if let Some(idp) = &invite.terms.idp {
            link.query_pairs_mut().append_pair("idp", idp.as_str());
        }
        link.query_pairs_mut().append_pair("email", &invite.terms.email.to_string());
        link
    }

    /// Makes one.
    ///
    /// # Errors
    /// What of it cannot be, or may not be by this administrator.
    pub async fn create(&self, by: &Principal, request: &InviteRequest) -> Result<Invite, AdminError> {
        let terms = self.terms(by, request).await?;
        let now = self.now();
        let invite = Invite {
            id: InviteId(self.platform.entropy.member_id(now)?.0),
            terms,
            invited_by: by.name().to_owned(),
            changed_by: Vec::new(),
            created_at: now,
            expires_at: now.after(lifetime(request)?.unwrap_or(USUAL)),
            revision: 1,
            claimed: None,
            member: None,
            revoked_at: None,
            sends: 0,
            sent_at: None,
        };
        self.store.add_invite(&invite).await?;
        if self.mails { self.send(invite).await } else { Ok(invite) }
    }

    /// Sends it by mail, or sends it again: writes the letter, which goes out as soon as the mail server takes it.
    ///
    /// # Errors
    /// [`AdminError::Conflict`] where no mail server is set up, or the invite is not open.
    pub async fn send(&self, invite: Invite) -> Result<Invite, AdminError> {
        if !self.mails {
            let text = "no mail server is set up ([notify] smtp): hand the link over yourself";
            return Err(AdminError::Conflict(text.to_owned()));
        }
        self.still_open(&invite)?;
        let now = self.now();
        let sends = invite.sends.saturating_add(1);
        let invite = self.put(Invite { sends, sent_at: Some(now), ..invite }).await?;
        let site = self.login.host_str().unwrap_or_default();
        let (email, link) = (invite.terms.email.to_string(), self.link(&invite));
        let letter = Letter {
            id: self.platform.entropy.uuid(now)?,
            channel: Channel::Email,
            subject: format!("You are invited to {site}"),
            body: format!(
                "Hello,\n\nyou are invited to {site}. Sign in with this address ({email}) here:\n\n{link}\n\nThe \
                 invitation is good until {}. If you did not expect it, you need not do anything.\n",
                invite.expires_at
            ),
            recipient: email,
            written_at: now,
        };
        self.store.put_letters(&[letter]).await?;
        Ok(invite)
    }

    /// The invite of this id.
    ///
    /// # Errors
    /// [`AdminError::NoSuch`]
    pub async fn find(&self, id: InviteId) -> Result<Invite, AdminError> {
        self.store.find_invite(id).await?.ok_or(AdminError::NoSuch("invite of this id"))
    }

    /// Puts other terms in the place of those of `invite`, which was just read. Whoever changes it answers for it from
    /// now on as who made it does: all of them must be allowed to grant what it gives, also when it is used.
    ///
    /// # Errors
    /// As [`Desk::create`]; [`AdminError::Conflict`] where it is used, revoked or changed meanwhile.
    pub async fn change(
        &self,
        by: &Principal,
        invite: Invite,
        request: &InviteRequest,
    ) -> Result<Invite, AdminError> {
        self.still_open(&invite)?;
        let terms = self.terms(by, request).await?;
        let expires_at = lifetime(request)?.map_or(invite.expires_at, |lifetime| self.now().after(lifetime));
        let mut changed_by = invite.changed_by.clone();
        if invite.invited_by != by.name() && !changed_by.iter().any(|name| name == by.name()) {
            changed_by.push(by.name().to_owned());
        }
        self.put(Invite { terms, changed_by, expires_at, ..invite }).await
    }

    /// Takes it back.
    ///
    /// # Errors
    /// [`AdminError::Conflict`] where it was used already.
    pub async fn revoke(&self, invite: Invite) -> Result<Invite, AdminError> {
        match invite.state(self.now()) {
            InviteState::Revoked => Ok(invite),
            InviteState::Used => Err(AdminError::Conflict(
                "it was used already; revoke the member's access instead".to_owned(),
            )),
            InviteState::Open | InviteState::Claimed | InviteState::Expired => {
                self.put(Invite { revoked_at: Some(self.now()), ..invite }).await
            }
        }
    }

    fn still_open(&self, invite: &Invite) -> Result<(), AdminError> {
        let why = match invite.state(self.now()) {
            InviteState::Open | InviteState::Expired => return Ok(()),
            InviteState::Claimed => "a sign-in is using it just now",
            InviteState::Used => "it was used already",
            InviteState::Revoked => "it was revoked",
        };
        Err(AdminError::Conflict(why.to_owned()))
    }

    async fn put(&self, invite: Invite) -> Result<Invite, AdminError> {
        let invite = Invite { revision: invite.revision.saturating_add(1), ..invite };
        if self.store.change_invite(&invite).await? {
            return Ok(invite);
        }
        Err(AdminError::Conflict("it was changed or used meanwhile; read it again".to_owned()))
    }

    /// What the request asks for, if it can be and `by` may.
    async fn terms(&self, by: &Principal, request: &InviteRequest) -> Result<InviteTerms, AdminError> {
        let now = self.live.now();
        let bad = AdminError::BadRequest;
        // M3.
        if now.whole.get("mode").is_some_and(|mode| mode == "scim") {
            let text =
                "there are no invites with provisioning.mode \"scim\": the identity provider says who comes";
            return Err(AdminError::Conflict(text.to_owned()));
        }
        let email = EmailAddress::parse(&request.email)
            .map_err(|_| bad(format!("{:?} is not one plain e-mail address", request.email)))?;
        if !now.settings.invite_allow_external && !eligibility::is_allowed(&now.settings, email.domain()) {
            return Err(bad(format!(
                "people of {} do not come in (allowed_email_domains); invite.allow_external lets invited ones",
                email.domain()
            )));
        }
        let idp = request.idp.as_deref().map(|id| self.provider(id)).transpose()?;
        let (entitlements, cloned_from) = match &request.clone_from {
            Some(username) => {
                if request.names_something() {
                    return Err(bad("give either clone_from, or role, teams and so on".to_owned()));
                }
                (self.held_by(username).await?, Some(username.clone()))
            }
            None => (request.entitlements(), None),
        };
        not_synced(&now.whole, &entitlements)?;
        if let Some(what) = self.privileged(&now.settings, &entitlements).await?
            && !by.role().may_grant_privileged()
        {
            return Err(AdminError::BeyondGrant { what });
        }
        Ok(InviteTerms { email, idp, entitlements, cloned_from })
    }

    fn provider(&self, text: &str) -> Result<IdpId, AdminError> {
        let known = self.providers.iter().find(|id| id.as_str() == text);
        known
            .cloned()
            .ok_or_else(|| AdminError::BadRequest(format!("there is no identity provider {text:?}")))
    }

    fn connected(&self) -> Result<&dyn Connector, AdminError> {
        let none = || AdminError::Conflict("there is no [application] to have an account in".to_owned());
        self.connector.as_deref().ok_or_else(none)
    }

    /// What the account of this username holds now.
    async fn held_by(&self, username: &str) -> Result<Entitlements, AdminError> {
        let found = self.connected()?.find(FindBy::Username(username)).await?;
        let mut same = found.into_iter().filter(|account| account.profile.username == username);
        match (same.next(), same.next()) {
            (Some(account), None) => Ok(account.entitlements),
            _ => Err(AdminError::BadRequest(format!("the application has no one account {username:?}"))),
        }
    }

    /// Checks each name against what the application has, and gives the first that is privileged, or may be.
    async fn privileged(
        &self,
        settings: &Provisioning,
        wanted: &Entitlements,
    ) -> Result<Option<String>, AdminError> {
        let connector = self.connected()?;
        let features = connector.features();
        let of = |kind: Kind, names: Vec<&String>| (kind, names.into_iter().cloned().collect::<Vec<_>>());
        let asked = [
            (features.roles, "role", of(Kind::Role, wanted.role.iter().collect())),
            (features.teams, "team", of(Kind::Team, wanted.teams.keys().collect())),
            (
                features.team_roles,
                "role in a team",
                of(Kind::TeamRole, wanted.teams.values().flatten().collect()),
            ),
            (
                features.app_groups,
                "application group",
                of(Kind::AppGroup, wanted.app_groups.iter().collect()),
            ),
            (features.permissions, "permission", of(Kind::Permission, wanted.permissions.iter().collect())),
        ];
        let mut privileged = wanted.owner.then(|| "ownership".to_owned());
        for (has, what, (kind, names)) in asked {
            if names.is_empty() {
                continue;
            }
            if !has {
                let text = format!("{} has no such thing as a {what}", features.title);
                return Err(AdminError::BadRequest(text));
            }
            let listed: Option<Vec<Named>> = match connector.list(kind).await? {
                None if kind == Kind::Role && !features.fixed_roles.is_empty() => {
                    Some(features.fixed_roles.clone())
                }
                listed => listed,
            };
            for name in names {
                let known = listed.as_ref().map(|all| all.iter().find(|named| named.name == name));
                if known == Some(None) {
                    return Err(AdminError::BadRequest(format!("the application has no {what} {name:?}")));
                }
                // SECURITY: what the application cannot list may be anything, unless the configuration names it as
                // ordinary; as with claims (F4).
                let marked = match known.flatten() {
                    Some(named) => named.privileged,
                    None => !configured_as_ordinary(settings, kind, &name),
                };
                if privileged.is_none() && (marked || features.is_privileged(kind, &name)) {
                    privileged = Some(format!("the {what} {name:?}"));
                }
            }
        }
        Ok(privileged)
    }
}

/// L3: what follows the identity provider at every login cannot be given by hand.
fn not_synced(whole: &Value, wanted: &Entitlements) -> Result<(), AdminError> {
    let Some(sync) = whole.get("sync") else { return Ok(()) };
    let synced = |facet: &str| match sync {
        Value::String(word) => word == "every_login",
        Value::Array(facets) => facets.iter().any(|one| one == facet),
        _ => false,
    };
    let carried = [
        ("role", wanted.role.is_some() || wanted.owner),
        ("teams", !wanted.teams.is_empty()),
        ("groups", !wanted.app_groups.is_empty()),
        ("permissions", !wanted.permissions.is_empty()),
    ];
    match carried.into_iter().find(|(facet, carried)| *carried && synced(facet)) {
        None => Ok(()),
        Some((facet, _)) => Err(AdminError::Conflict(format!(
            "{facet} is synced with the identity provider at every sign-in (provisioning.sync): an invite cannot give it"
        ))),
    }
}

fn lifetime(request: &InviteRequest) -> Result<Option<Duration>, AdminError> {
    let Some(text) = &request.expires_in else { return Ok(None) };
    let span = jiff::fmt::friendly::SpanParser::new().parse_span(text).ok();
    let parsed = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    let fits = parsed.and_then(|duration| Duration::try_from(duration).ok());
    match fits.filter(|lifetime| (Duration::from_mins(1)..=LONGEST).contains(lifetime)) {
        Some(lifetime) => Ok(Some(lifetime)),
        None => Err(AdminError::BadRequest(format!("expires_in is from \"1m\" to \"90d\", not {text:?}"))),
    }
}
