//! narthex's own pages and calls under the reserved prefix: sign-in, its answer, sign-out, who am I.

mod call;
mod hops;
mod logout;
mod resume;
pub mod saml;
mod slo;

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::json;
use url::Url;

use self::call::Call;
pub use self::hops::Hops;
use self::resume::PARKED;
pub use self::resume::Resumes;
use super::csrf::Csrf;
use super::intent::Intent;
use super::login::{Finished, Logins};
use super::refused::Refused;
use super::saml::Saml;
use super::saml::parking::Parking;
use super::session::{LiveSession, Sessions};
use super::throttle::Throttle;
use super::verified::Verified;
use crate::config::settings::Idp;
use crate::forward::keys::{CACHE_CONTROL, SigningKeys};
use crate::forward::{Body, Cookies};
use crate::identify::{Answer, Departure, LoginError};
use crate::listen::Inbound;
use crate::model::{ErrorId, IdpId, MemberId, ReturnTo, Subject, UnixTime};
use crate::observe;
use crate::observe::audit::{Audit, Entry, Event, Plain};
use crate::pages::{self, Choice, ChooserPage, Next};
use crate::platform::crypto::Purpose;
use crate::platform::{KeyRing, Platform};
use crate::problem::{Problem, json_response};
use crate::provision::{ProvisionError, Provisioner};
use crate::store::Store;

/// What the endpoints work with.
pub struct Endpoints {
    pub prefix: String,
    pub public_url: Url,
    pub idps: Vec<Idp>,
    pub logins: Logins,
    /// Those of `idps` that speak SAML.
    pub saml: HashMap<IdpId, Arc<Saml>>,
    pub sessions: Arc<Sessions>,
    pub provisioner: Arc<Provisioner>,
    pub throttle: Throttle,
    pub hops: Hops,
    pub csrf: Csrf,
    /// Identities that wait for another try.
    pub resumes: Resumes,
    /// SAML responses that wait for their browsers.
    pub parking: Parking,
    pub keys: KeyRing,
    pub store: Arc<dyn Store>,
    pub platform: Platform,
    pub audit: Audit,
    /// Whose which cookie is (E7).
    pub cookies: Cookies,
    /// The upstream-token keys, as JSON Web Key Set; `None` where no token is configured.
    pub signing_keys: Option<Arc<SigningKeys>>,
}

impl Endpoints {
    /// Answers a request whose path is below the prefix.
    pub async fn handle(
        self: Arc<Self>,
        inbound: Inbound,
        session: Option<Arc<LiveSession>>,
    ) -> Response<Body> {
        let path = inbound.path().as_str().strip_prefix(&self.prefix).unwrap_or_default().to_owned();
        let call = Call::new(inbound, session);
        let get = matches!(call.method, Method::GET | Method::HEAD);
        let post = call.method == Method::POST;
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        match segments.as_slice() {
            ["login"] if get => self.login(&call).await,
            ["login", "resume"] if post => self.resume(call).await,
            ["login", "resume"] => Problem::method_not_allowed("POST").into_response(call.intent),
            ["oidc", idp, "callback"] if get => self.callback(idp, &call).await,
            ["saml", idp, "acs"] if post => self.assertion_consumer(idp, call).await,
            ["saml", idp, "acs"] if get => self.saml_result(idp, &call).await,
            ["saml", idp, "slo"] if get || post => self.single_logout(idp, call).await,
            ["saml", idp, "metadata"] if get => self.saml_metadata(idp, &call).await,
            ["login"] | ["oidc", _, "callback"] | ["saml", _, "metadata"] => {
                Problem::method_not_allowed("GET").into_response(call.intent)
            }
            ["logout"] if get => self.ask_logout(&call),
            ["logout"] if post => self.logout(call).await,
            ["logout"] | ["saml", _, "acs" | "slo"] => {
                Problem::method_not_allowed("GET, POST").into_response(call.intent)
            }
            ["session"] if get => self.session(&call),
            ["jwks.json"] if get => self.key_set(&call),
            _ => Problem::not_found().into_response(call.intent),
        }
    }

    /// What other servers ask, from wherever they are: public, or signed by whom it is checked for.
    #[must_use]
    pub fn open_to_servers(&self) -> Vec<String> {
        let saml =
            self.saml.keys().flat_map(|idp| ["slo", "metadata"].map(|call| format!("saml/{idp}/{call}")));
        saml.chain(["jwks.json".to_owned()]).map(|path| format!("{}/{path}", self.prefix)).collect()
    }

    /// Where the browser should go to sign in and then come back to `return_to`.
    #[must_use]
    pub fn login_path(&self, return_to: &ReturnTo) -> String {
        login_path(&self.prefix, None, return_to)
    }

    async fn login(&self, call: &Call) -> Response<Body> {
        let return_to = call.parameter("return_to").and_then(ReturnTo::parse).unwrap_or_else(ReturnTo::root);
        if call.session.is_some() {
            return see_other(return_to.as_str());
        }
        let email = call.parameter("email").unwrap_or_default();
        let chosen = match (call.parameter("idp"), self.idps.as_slice()) {
            (Some(id), _) => match id.parse::<IdpId>() {
                Ok(id) => Some(id),
                Err(_) => return self.login_failed(&LoginError::UnknownProvider, None, call).await,
            },
            (None, [only]) => Some(only.id().clone()),
            (None, _) => self.idp_for(email),
        };
        let Some(idp) = chosen else { return self.choose(&return_to, email) };
        self.begin(&idp, return_to, call).await
    }

    async fn begin(&self, idp: &IdpId, return_to: ReturnTo, call: &Call) -> Response<Body> {
        self.hops.notice(call.peer, &call.headers, self.platform.clock.now());
        if !self.throttle.allows(call.client) {
            return Problem::too_many_logins().into_response(call.intent);
        }
        let names = self.sessions.cookie_names();
        match self.logins.begin(idp, return_to, names.login(&call.headers)).await {
            Ok(begun) => {
                let mut response = depart(&begun.departure);
                if let Some(cookie) = begun.set_cookie.and_then(|value| names.set_login(&value)) {
                    response.headers_mut().append(header::SET_COOKIE, cookie);
                }
                response
            }
            Err(error) => self.login_failed(&error, Some(idp), call).await,
        }
    }

    /// The one provider that speaks for this e-mail's domain.
    fn idp_for(&self, email: &str) -> Option<IdpId> {
        let address = crate::model::EmailAddress::parse(email.trim()).ok()?;
        let mut speakers =
            self.idps.iter().filter(|idp| idp.email_domains().iter().any(|d| d == address.domain()));
        let first = speakers.next()?;
        speakers.next().is_none().then(|| first.id().clone())
    }

    fn choose(&self, return_to: &ReturnTo, email: &str) -> Response<Body> {
        let choices: Vec<Choice> = self
            .idps
            .iter()
            .map(|idp| Choice {
                href: login_path(&self.prefix, Some(idp.id()), return_to),
                label: idp.label().to_owned(),
            })
            .collect();
        let page = ChooserPage {
            action: &format!("{}/login", self.prefix),
            return_to: return_to.as_str(),
            email,
            by_email: self.idps.iter().any(|idp| !idp.email_domains().is_empty()),
            unknown: !email.is_empty(),
            choices: &choices,
        };
        pages::show(StatusCode::OK, &page)
    }

    async fn callback(&self, idp: &str, call: &Call) -> Response<Body> {
        let Ok(idp) = idp.parse::<IdpId>() else {
            return self.login_failed(&LoginError::UnknownProvider, None, call).await;
        };
        let finished = match super::answer::read(call.raw_query.as_bytes()) {
            Ok((state, answer)) => {
                let cookie = self.sessions.cookie_names().login(&call.headers);
                let answer = Answer::Oidc(answer);
                self.logins.finish(&idp, state.as_deref(), answer, cookie, call.session.is_some()).await
            }
            Err(error) => Err(error),
        };
        self.finished(finished, &idp, call).await
    }

    /// Goes on from an answer, whatever the protocol.
    async fn finished(
        &self,
        finished: Result<Finished, LoginError>,
        idp: &IdpId,
        call: &Call,
    ) -> Response<Body> {
        match finished {
            Ok(Finished::Verified { verified, return_to }) => {
                let until = self.platform.clock.now().after(PARKED);
                self.admit(verified, return_to, until, call).await
            }
            Ok(Finished::GoTo(return_to)) => see_other(return_to.as_str()),
            Ok(Finished::BeginAgain { idp, return_to }) => {
                see_other(&login_path(&self.prefix, Some(&idp), &return_to))
            }
            Err(error) => self.login_failed(&error, Some(idp), call).await,
        }
    }

    /// From a verified identity to a session: provision first, then begin it.
    /// `until`: how long it may be tried again with this identity.
    async fn admit(
        &self,
        verified: Verified,
        return_to: ReturnTo,
        until: UnixTime,
        call: &Call,
    ) -> Response<Body> {
        let idp = verified.identity().idp.clone();
        // Whatever becomes of it: `narthex explain` finds it under this id.
        let id = self.platform.entropy.error_id();
        let provisioned = match self.provisioner.provision_as(verified.clone(), &id).await {
            Ok(provisioned) => provisioned,
            Err(error) => {
                return self.provision_failed(id, &error, &verified, (return_to, until), call).await;
            }
        };
        let hint = match self.seal_hint(&verified) {
            Ok(hint) => hint,
            Err(error) => return self.login_failed(&error.into(), Some(&idp), call).await,
        };
        let names = self.sessions.cookie_names();
        let member = provisioned.account().map(|account| account.member);
        let started = self.sessions.start(provisioned, hint, names.session(&call.headers)).await;
        let started = match started {
            Ok(started) => started,
            Err(error) => {
                tracing::error!(error_id = %id, %error, idp = %idp, "the session could not be begun");
                observe::login(idp.as_str(), "session_failed");
                return Problem::from(&error).with_id(id).into_response(call.intent);
            }
        };
        observe::login(idp.as_str(), "signed_in");
        let entry = entry_of(Event::Login, &idp, &verified.identity().subject, member, call);
        self.audit.record(entry.field("login_id", Plain::name(id.as_str())));
        let mut response = see_other(return_to.as_str());
        let cookies = response.headers_mut();
        if let Some(cookie) = names.set_session(&started.cookie) {
            cookies.append(header::SET_COOKIE, cookie);
        }
        // E7: the application's own session of whoever was here before must not greet this person.
        if started.replaces_another {
            self.clear_application_cookies(&call.headers, cookies);
        }
        response
    }

    fn seal_hint(&self, verified: &Verified) -> Result<Option<Vec<u8>>, crate::platform::entropy::NoEntropy> {
        let entropy = self.platform.entropy.as_ref();
        verified
            .logout_hint()
            .map(|hint| self.keys.seal(Purpose::LogoutHint, b"", hint.expose().as_bytes(), entropy))
            .transpose()
    }

    async fn login_failed(&self, error: &LoginError, idp: Option<&IdpId>, call: &Call) -> Response<Body> {
        let id = self.platform.entropy.error_id();
        let known = idp.filter(|idp| self.idps.iter().any(|known| known.id() == *idp));
        let label = known.map_or("unknown", IdpId::as_str);
        observe::login(label, error.code());
        self.audit.refused(Event::LoginsRefused, error.code());
        tracing::warn!(
            error_id = %id, code = error.code(), fault = error.fault().as_str(), idp = label,
            error = error.told_to_the_operator(), "a login was refused"
        );
        self.record_refusal(&id, error, known, call).await;
        Problem::from(error)
            .with_id(id)
            .with_next(Next::Link { href: self.login_path(&ReturnTo::root()), label: "Sign in" })
            .into_response(call.intent)
    }

    /// Keeps how it was refused, for `narthex explain --error`.
    async fn record_refusal(&self, id: &ErrorId, error: &LoginError, idp: Option<&IdpId>, call: &Call) {
        // SECURITY: whoever sends rubbish all the time neither fills the store nor drives out what others need.
        if !self.throttle.keeps_refusal(call.client) {
            return;
        }
        Refused::of(error, idp, self.platform.clock.now()).keep(self.store.as_ref(), id).await;
    }

    async fn provision_failed(
        &self,
        id: ErrorId,
        error: &ProvisionError,
        verified: &Verified,
        onwards: (ReturnTo, UnixTime),
        call: &Call,
    ) -> Response<Body> {
        let identity = verified.identity();
        observe::login(identity.idp.as_str(), error.code());
        let refused = entry_of(Event::LoginRefused, &identity.idp, &identity.subject, None, call);
        let refused = refused.error_id(&id).code(error.code()).field("fault", error.fault().as_str());
        self.audit.record(refused.personal("reason", &error.to_string()));
        let next = if error.retryable() {
            match self.park(verified, onwards, call, &id).await {
                Some(token) => Next::Retry { action: format!("{}/login/resume", self.prefix), token },
                None => self.sign_in_again(),
            }
        } else {
            self.sign_in_again()
        };
        Problem::from(error).with_id(id).with_next(next).into_response(call.intent)
    }

    /// Who am I, until when, and the token for a logout.
    fn session(&self, call: &Call) -> Response<Body> {
        let Some(session) = &call.session else {
            return Problem::login_needed(self.login_path(&ReturnTo::root()))
                .into_response(Intent::Background);
        };
        let content = session.content();
        let account = session.account().map(|account| {
            json!({
                "id": account.id.0,
                "username": account.profile.username,
                "email": account.profile.email,
                "display_name": account.profile.display_name,
            })
        });
        json_response(
            StatusCode::OK,
            &json!({
                "idp": content.idp.as_str(),
                "subject": content.subject.as_str(),
                "account": account,
                "role": content.grant.entitlements.role,
                "teams": content.grant.entitlements.teams.keys().collect::<Vec<_>>(),
                "signed_in_at": session.created_at().to_string(),
                "ends_at": session.ends_at().to_string(),
                "logout_url": format!("{}/logout", self.prefix),
                "csrf_token": self.csrf.token(session.hash()),
            }),
        )
    }

    fn key_set(&self, call: &Call) -> Response<Body> {
        let Some(keys) = &self.signing_keys else { return Problem::not_found().into_response(call.intent) };
        let jwks = keys.jwks();
        let known = call.headers.get(header::IF_NONE_MATCH) == Some(&jwks.etag);
        let mut response = Response::new(if known { Body::Empty } else { Body::whole(jwks.body.clone()) });
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE_CONTROL));
        headers.insert(header::ETAG, jwks.etag.clone());
        response
    }
}

/// The path of the login page, coming back to `return_to`.
#[must_use]
pub fn login_path(prefix: &str, idp: Option<&IdpId>, return_to: &ReturnTo) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if let Some(idp) = idp {
        query.append_pair("idp", idp.as_str());
    }
    if *return_to != ReturnTo::root() {
        query.append_pair("return_to", return_to.as_str());
    }
    let query = query.finish();
    if query.is_empty() { format!("{prefix}/login") } else { format!("{prefix}/login?{query}") }
}

fn display_name(session: &LiveSession) -> &str {
    session
        .account()
        .map_or("", |account| account.profile.display_name.as_deref().unwrap_or(&account.profile.username))
}

/// Something that somebody did from where `call` comes from.
fn entry_of(event: Event, idp: &IdpId, subject: &Subject, member: Option<MemberId>, call: &Call) -> Entry {
    let entry = Entry::new(event).by_person(idp, subject).from(call.client);
    match member {
        Some(member) => entry.member(member),
        None => entry,
    }
}

/// Sends the browser to a provider with a message.
fn depart(departure: &Departure) -> Response<Body> {
    match departure {
        Departure::Redirect(url) => see_other(url.as_str()),
        Departure::Form { action, fields } => {
            pages::depart(&pages::DeparturePage { action: action.as_str(), fields })
        }
    }
}

/// 303, never cached: the answer depends on cookies.
fn see_other(location: &str) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    match HeaderValue::try_from(location) {
        Ok(value) => {
            *response.status_mut() = StatusCode::SEE_OTHER;
            response.headers_mut().insert(header::LOCATION, value);
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(_) => Problem::internal("location").into_response(Intent::Navigation),
    }
}
