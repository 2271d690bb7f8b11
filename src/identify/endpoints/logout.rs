//! Signing out: our page for it, and the way on to the provider.

use http::{Response, StatusCode, header};

use super::call::Call;
use super::{Endpoints, depart, display_name, entry_of, see_other};
use crate::forward::Body;
use crate::identify::Departure;
use crate::identify::live::LiveSession;
use crate::model::{ReturnTo, Secret};
use crate::observe;
use crate::observe::audit::Event;
use crate::pages::{self, LogoutPage, Next, SignedOutPage};
use crate::platform::crypto::Purpose;
use crate::problem::Problem;

impl Endpoints {
    pub(super) fn ask_logout(&self, call: &Call) -> Response<Body> {
        let Some(session) = &call.session else {
            let login = self.login_path(&ReturnTo::root());
            return pages::show(StatusCode::OK, &SignedOutPage { login: &login, elsewhere: false });
        };
        let page = LogoutPage {
            name: display_name(session),
            action: &format!("{}/logout", self.prefix),
            csrf_token: &self.csrf.token(session.hash()),
        };
        pages::show(StatusCode::OK, &page)
    }

    pub(super) async fn logout(&self, call: Call) -> Response<Body> {
        let here = format!("{}/logout", self.prefix);
        let Some(session) = call.session.clone() else { return see_other(&here) };
        let call = match call.with_form().await {
            Ok(call) => call,
            Err(problem) => return *problem,
        };
        let token = call.parameter("csrf_token").unwrap_or_default();
        if !self.csrf.is_valid(session.hash(), token) {
            return Problem::csrf()
                .with_next(Next::Link { href: here, label: "To the sign-out page" })
                .into_response(call.intent);
        }
        if let Err(error) = self.sessions.end(session.hash()).await {
            tracing::warn!(%error, "a logout could not be told to the store yet");
        }
        self.logins.signed_out(self.sessions.cookie_names().login(&call.headers));
        observe::logout(session.content().idp.as_str());
        let content = session.content();
        let member = session.account().map(|account| account.member);
        self.audit.record(entry_of(Event::Logout, &content.idp, &content.subject, member, &call));
        let onwards = self.provider_logout(&session).await;
        let mut response = onwards.as_ref().map_or_else(|| see_other(&here), depart);
        self.end_in_browser(&call.headers, response.headers_mut());
        response
    }

    /// Where the provider's own session ends, and how it finds back.
    async fn provider_logout(&self, session: &LiveSession) -> Option<Departure> {
        let content = session.content();
        let hint = content
            .logout_hint
            .as_ref()
            .and_then(|sealed| self.keys.open(Purpose::LogoutHint, b"", sealed).ok())
            .and_then(|plain| String::from_utf8(plain).ok())
            .map(Secret::new);
        let back = self.public_url.join(&format!("{}/logout", self.prefix)).ok()?;
        let protocol = self.logins.protocol(&content.idp).ok()?;
        let state = self.logins.logout_state().ok()?;
        protocol.logout(hint.as_ref().map(Secret::expose), &back, &state).await
    }

    /// Clears our session cookie and the application's own (E7).
    pub fn end_in_browser(&self, request: &http::HeaderMap, response: &mut http::HeaderMap) {
        if let Some(cookie) = self.sessions.cookie_names().clear_session() {
            response.append(header::SET_COOKIE, cookie);
        }
        self.clear_application_cookies(request, response);
    }

    pub(super) fn clear_application_cookies(
        &self,
        request: &http::HeaderMap,
        response: &mut http::HeaderMap,
    ) {
        for cookie in self.cookies.clearing(request, self.sessions.cookie_names().secure()) {
            response.append(header::SET_COOKIE, cookie);
        }
    }
}
