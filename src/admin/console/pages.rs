//! The few pages of administrators' sign-in: away to the identity provider, back, who am I, out.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use http::request::Parts as Head;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use super::super::error::AdminError;
use super::super::{Admin, refused_to};
use super::{Console, actor};
use crate::identify::endpoints::saml::METADATA_TYPE;
use crate::identify::intent::Intent;
use crate::identify::refused::Refused;
use crate::identify::saml::parking::MAX_FORM as MAX_RESPONSE_FORM;
use crate::identify::saml::{Saml, SamlError};
use crate::identify::{Answer, Departure, Finished, LoginError, answer};
use crate::model::{ConsoleSession, ErrorId, Identity, IdpId, ReturnTo};
use crate::observe::audit::{Entry, Event, Plain};
use crate::pages::{self, AdministratorPage, Choice, ChooserPage, Next};
use crate::problem::Problem;

/// A sign-out's form is small.
const MAX_FORM: usize = 4 * 1024;

/// One request to a page.
struct Visit<'a> {
    admin: &'a Admin,
    console: &'a Console,
    head: &'a Head,
    client: IpAddr,
}

/// Answers a request that came through the door; `None`: there is no such page.
pub async fn answer_page(
    admin: &Admin,
    console: &Console,
    (head, body): (&Head, Body),
    client: IpAddr,
) -> Option<Response<Body>> {
    let visit = Visit { admin, console, head, client };
    let get = matches!(head.method, Method::GET | Method::HEAD);
    let segments: Vec<&str> = head.uri.path().split('/').skip(1).collect();
    let answered = match segments.as_slice() {
        [""] if get => visit.home().await,
        ["login"] if get => visit.login().await,
        ["oidc", idp, "callback"] if get => visit.callback(idp).await,
        ["logout"] if head.method == Method::POST => visit.logout(body).await,
        ["saml", idp, "acs"] if head.method == Method::POST => visit.assertion_consumer(idp, body).await,
        ["saml", idp, "acs"] if get => visit.saml_result(idp).await,
        ["saml", idp, "metadata"] if get => visit.saml_metadata(idp).await,
        ["" | "login" | "logout"] | ["oidc", _, "callback"] | ["saml", _, "acs" | "metadata"] => {
            Err(AdminError::UnknownMethod)
        }
        _ => return None,
    };
    Some(answered.unwrap_or_else(|error| visit.refuse(&error, None, None)))
}

/// Whether this is a provider's answer, which comes from a page of the provider's (SAML Bindings 2.0, 3.5). It goes by no
/// cookie, so that nothing is lost by its coming from there.
pub fn is_answer(head: &Head) -> bool {
    let mut segments = head.uri.path().split('/').skip(1);
    let path = (segments.next(), segments.next(), segments.next(), segments.next());
    head.method == Method::POST && matches!(path, (Some("saml"), Some(_), Some("acs"), None))
}

impl Visit<'_> {
    async fn home(&self) -> Result<Response<Body>, AdminError> {
        let Some(session) = self.console.session(&self.head.headers).await? else {
            return Ok(see_other("/login"));
        };
        let page = AdministratorPage {
            label: &session.person.label,
            idp: session.person.idp.as_str(),
            role: session.person.role.as_str(),
            until: &session.expires_at.to_string(),
            csrf_token: &self.console.csrf(&session.hash),
        };
        let mut response = pages::show(StatusCode::OK, &page).map(Body::new);
        // Under no-referrer the form would come with `Origin: null`, which the door does not take for ours.
        let policy = HeaderValue::from_static("same-origin");
        response.headers_mut().insert(header::REFERRER_POLICY, policy);
        Ok(response)
    }

    async fn login(&self) -> Result<Response<Body>, AdminError> {
        let return_to = self.parameter("return_to").and_then(|text| ReturnTo::parse(&text));
        let return_to = return_to.unwrap_or_else(ReturnTo::root);
        if !self.is_at_public_url() {
            // The cookies of the sign-in hold there only, and there the provider sends the browser back to.
            let mut url = self.console.configured.public_url.clone();
            url.set_path("/login");
            url.query_pairs_mut().append_pair("return_to", return_to.as_str());
            return Ok(see_other(url.as_str()));
        }
        if self.console.session(&self.head.headers).await?.is_some() {
            return Ok(see_other(return_to.as_str()));
        }
        let chosen = match (self.parameter("idp"), self.console.providers.as_slice()) {
            (Some(id), _) => id.parse::<IdpId>().ok(),
            (None, [(only, _)]) => Some(only.clone()),
            (None, _) => return Ok(self.choose(&return_to)),
        };
        let Some(idp) = chosen else {
            return Ok(self.login_failed(&LoginError::UnknownProvider, None).await);
        };
        if !self.console.throttle.allows(self.client) {
            let problem = Problem::too_many_logins().into_response(self.intent());
            return Ok(problem.map(Body::new));
        }
        let cookie = self.console.names.login(&self.head.headers);
        match self.console.logins.begin(&idp, return_to, cookie).await {
            Ok(begun) => {
                let mut response = match &begun.departure {
                    Departure::Redirect(url) => see_other(url.as_str()),
                    Departure::Form { action, fields } => {
                        pages::depart(&pages::DeparturePage { action: action.as_str(), fields })
                            .map(Body::new)
                    }
                };
                let cookie = begun.set_cookie.and_then(|value| self.console.names.set_login(&value));
                response.headers_mut().extend(cookie.map(|value| (header::SET_COOKIE, value)));
                Ok(response)
            }
            Err(error) => Ok(self.login_failed(&error, Some(&idp)).await),
        }
    }

    fn choose(&self, return_to: &ReturnTo) -> Response<Body> {
        let choices: Vec<Choice> = self
            .console
            .providers
            .iter()
            .map(|(idp, label)| Choice {
                href: crate::identify::endpoints::login_path("", Some(idp), return_to),
                label: label.clone(),
            })
            .collect();
        let page = ChooserPage {
            action: "/login",
            return_to: return_to.as_str(),
            email: "",
            by_email: false,
            unknown: false,
            choices: &choices,
        };
        pages::show(StatusCode::OK, &page).map(Body::new)
    }

    async fn callback(&self, idp: &str) -> Result<Response<Body>, AdminError> {
        let Ok(idp) = idp.parse::<IdpId>() else {
            return Ok(self.login_failed(&LoginError::UnknownProvider, None).await);
        };
        let signed_in = self.console.session(&self.head.headers).await?.is_some();
        let query = self.head.uri.query().unwrap_or_default();
        let finished = match answer::read(query.as_bytes()) {
            Ok((state, answer)) => {
                let cookie = self.console.names.login(&self.head.headers);
                let answer = Answer::Oidc(answer);
                self.console.logins.finish(&idp, state.as_deref(), answer, cookie, signed_in).await
            }
            Err(error) => Err(error),
        };
        self.finished(finished, &idp).await
    }

    /// Takes a response and sends its browser on to [`Visit::saml_result`].
    async fn assertion_consumer(&self, idp: &str, body: Body) -> Result<Response<Body>, AdminError> {
        let Some((idp, saml)) = self.saml_provider(idp) else {
            return Ok(self.login_failed(&LoginError::UnknownProvider, None).await);
        };
        let form = self.body(body, MAX_RESPONSE_FORM).await?;
        match self.console.parking.take(&idp, saml, &form).await {
            Ok(id) => Ok(see_other(&format!("/saml/{idp}/acs?result={id}"))),
            Err(refusal) => Ok(self.login_failed(&LoginError::Saml(refusal), Some(&idp)).await),
        }
    }

    /// Matches what [`Visit::assertion_consumer`] verified to the login that this browser began.
    async fn saml_result(&self, idp: &str) -> Result<Response<Body>, AdminError> {
        let Some((idp, saml)) = self.saml_provider(idp) else {
            return Ok(self.login_failed(&LoginError::UnknownProvider, None).await);
        };
        let signed_in = self.console.session(&self.head.headers).await?.is_some();
        let id = self.parameter("result").unwrap_or_default();
        let Some(received) = self.console.parking.fetch(&idp, &id).await else {
            // The page was loaded again, or gone back to: what it was for is done.
            if signed_in {
                return Ok(see_other("/"));
            }
            return Ok(self.login_failed(&SamlError::ResultGone.into(), Some(&idp)).await);
        };
        let finished = match received.state() {
            Some(state) => {
                let state = state.to_owned();
                let cookie = self.console.names.login(&self.head.headers);
                let answer = Answer::Saml(Box::new(received));
                self.console.logins.finish(&idp, Some(&state), answer, cookie, signed_in).await
            }
            // Nobody is an administrator who did not come for that.
            None => saml
                .began_there(received)
                .await
                .map(|(verified, return_to)| Finished::Verified { verified, return_to })
                .map_err(LoginError::from),
        };
        self.finished(finished, &idp).await
    }

    async fn saml_metadata(&self, idp: &str) -> Result<Response<Body>, AdminError> {
        let Some((idp, saml)) = self.saml_provider(idp) else {
            return Ok(self.login_failed(&LoginError::UnknownProvider, None).await);
        };
        match saml.own_metadata() {
            Ok(metadata) => {
                let mut response = Response::new(Body::from(metadata));
                response.headers_mut().insert(header::CONTENT_TYPE, METADATA_TYPE);
                response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
                Ok(response)
            }
            Err(error) => Ok(self.login_failed(&error.into(), Some(&idp)).await),
        }
    }

    fn saml_provider(&self, id: &str) -> Option<(IdpId, &Arc<Saml>)> {
        let id: IdpId = id.parse().ok()?;
        let saml = self.console.saml.get(&id)?;
        Some((id, saml))
    }

    async fn finished(
        &self,
        finished: Result<Finished, LoginError>,
        idp: &IdpId,
    ) -> Result<Response<Body>, AdminError> {
        match finished {
            Ok(Finished::Verified { verified, return_to }) => {
                Ok(self.admit(verified.identity(), &return_to).await)
            }
            Ok(Finished::GoTo(return_to)) => Ok(see_other(return_to.as_str())),
            Ok(Finished::BeginAgain { idp, return_to }) => {
                Ok(see_other(&crate::identify::endpoints::login_path("", Some(&idp), &return_to)))
            }
            Err(error) => Ok(self.login_failed(&error, Some(idp)).await),
        }
    }

    /// From a verified identity to a session, if a rule gives it a role.
    async fn admit(&self, identity: &Identity, return_to: &ReturnTo) -> Response<Body> {
        let verified = self.admin.provisioner.verified_email(identity);
        match self.console.begin(identity, verified, &self.head.headers).await {
            Ok((session, value)) => {
                let entry =
                    Entry::new(Event::AdministratorLogin).by(actor(&session.person)).from(self.client);
                let entry =
                    entry.field("idp", &session.person.idp).field("role", session.person.role.as_str());
                self.admin.audit.record(entry.field("rule", Plain::name(&session.person.rule)));
                let mut response = see_other(return_to.as_str());
                let cookie = self.console.names.set_session(&value);
                response.headers_mut().extend(cookie.map(|value| (header::SET_COOKIE, value)));
                response
            }
            Err(error) => self.refuse(&error, Some(identity), None),
        }
    }

    async fn logout(&self, body: Body) -> Result<Response<Body>, AdminError> {
        let Some(session) = self.console.session(&self.head.headers).await? else {
            return Ok(see_other("/login"));
        };
        let in_header = self.console.has_csrf(&self.head.headers, &session.hash);
        if !in_header && !self.form_has_csrf(body, &session).await? {
            return Err(AdminError::CsrfMissing);
        }
        self.admin.store.end_console_session(&session.hash).await?;
        self.console.logins.signed_out(self.console.names.login(&self.head.headers));
        self.admin
            .audit
            .record(Entry::new(Event::AdministratorLogout).by(actor(&session.person)).from(self.client));
        let page = pages::SignedOutPage { login: "/login", elsewhere: true };
        let mut response = pages::show(StatusCode::OK, &page).map(Body::new);
        let cleared = self.console.names.clear_session();
        response.headers_mut().extend(cleared.map(|value| (header::SET_COOKIE, value)));
        Ok(response)
    }

    async fn form_has_csrf(&self, body: Body, session: &ConsoleSession) -> Result<bool, AdminError> {
        let whole = self.body(body, MAX_FORM).await?;
        let mut pairs = url::form_urlencoded::parse(&whole);
        let sent = pairs.find(|(name, _)| name == "csrf_token");
        Ok(sent.is_some_and(|(_, text)| self.console.is_csrf(&text, &session.hash)))
    }

    async fn body(&self, body: Body, limit: usize) -> Result<Bytes, AdminError> {
        let whole = tokio::time::timeout(self.admin.body_time, to_bytes(body, limit)).await;
        let whole = whole.map_err(|_| AdminError::TooSlow { seconds: self.admin.body_time.as_secs() })?;
        whole.map_err(|_| AdminError::TooLarge { limit })
    }

    async fn login_failed(&self, error: &LoginError, idp: Option<&IdpId>) -> Response<Body> {
        let id = self.admin.platform.entropy.error_id();
        let known = idp.filter(|idp| self.console.providers.iter().any(|(known, _)| known == *idp));
        self.admin.audit.refused(Event::AdministratorRefused, error.code());
        tracing::warn!(
            error_id = %id, code = error.code(), fault = error.fault().as_str(),
            idp = known.map_or("unknown", IdpId::as_str), error = error.told_to_the_operator(),
            "an administrator's login was refused"
        );
        if self.console.throttle.keeps_refusal(self.client) {
            let record = Refused::of(error, known, self.admin.platform.clock.now());
            record.keep(self.admin.store.as_ref(), &id).await;
        }
        let next = Next::Link { href: "/login".to_owned(), label: "Sign in" };
        let problem = Problem::from(error).with_id(id).with_next(next);
        problem.into_response(self.intent()).map(Body::new)
    }

    /// SECURITY: invariant 11. The page says neither what was asked for nor what came; the log does, by its id.
    fn refuse(&self, error: &AdminError, identity: Option<&Identity>, id: Option<ErrorId>) -> Response<Body> {
        let id = id.unwrap_or_else(|| self.admin.platform.entropy.error_id());
        match (error, identity) {
            (AdminError::Store(_) | AdminError::NoEntropy(_), _) => {
                tracing::error!(error_id = %id, %error, "an administrator's page failed");
            }
            (error, Some(Identity { idp, subject, .. })) => {
                let entry = Entry::new(Event::AdministratorRefused).by_person(idp, subject).from(self.client);
                let entry = entry.error_id(&id).code(error.code());
                self.admin.audit.record(match error {
                    AdminError::RuleUndecided { rule, reason } => {
                        entry.field("rule", Plain::name(rule)).personal("reason", reason)
                    }
                    _ => entry,
                });
            }
            (error, None) => self.admin.audit.refused(Event::AdministratorRefused, error.code()),
        }
        refused_to(error, self.intent(), Some(id))
    }

    /// A parameter of the query, where it stands there once.
    fn parameter(&self, name: &str) -> Option<String> {
        let query = self.head.uri.query().unwrap_or_default();
        let mut found = url::form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
        let (first, second) = (found.next()?, found.next());
        second.is_none().then(|| first.1.into_owned())
    }

    fn intent(&self) -> Intent {
        Intent::of(&self.head.method, &self.head.headers)
    }

    /// Whether the browser asked by the name that cookies and providers know.
    fn is_at_public_url(&self) -> bool {
        let asked = self.head.uri.authority().map(|authority| authority.as_str().to_owned());
        let asked = asked.or_else(|| text(&self.head.headers, &header::HOST));
        let url = &self.console.configured.public_url;
        let (Some(asked), Some(host)) = (asked, url.host_str()) else { return false };
        let usual = url.port().is_none();
        let with_port = url.port_or_known_default().map(|port| format!("{host}:{port}"));
        (usual && asked.eq_ignore_ascii_case(host))
            || with_port.is_some_and(|name| asked.eq_ignore_ascii_case(&name))
    }
}

fn text(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// 303, never cached: the answer depends on cookies.
fn see_other(location: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let Ok(value) = HeaderValue::try_from(location) else {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return response;
    };
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::LOCATION, value);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
