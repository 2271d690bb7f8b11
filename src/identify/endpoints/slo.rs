//! Where SAML providers send logouts: by redirect, by form, and by SOAP.

use std::sync::Arc;

use http::{HeaderValue, Method, Response, StatusCode, header};

use super::call::{Call, FORM};
use super::{Endpoints, depart};
use crate::forward::Body;
use crate::identify::LoginError;
use crate::identify::saml::binding::post::Posted;
use crate::identify::saml::binding::redirect::Redirected;
use crate::identify::saml::binding::{Kind, RelayState, soap};
use crate::identify::saml::logout::{Answered, Arrived, Outcome};
use crate::identify::saml::single_logout::Reply;
use crate::identify::saml::{Saml, SamlError};
use crate::model::{IdpId, ReturnTo};
use crate::observe;
use crate::observe::audit::{Actor, Entry, Event};
use crate::pages::{self, SignedOutPage};

/// Logout messages are small.
const MAX_BODY: usize = 128 * 1024;
/// SOAP 1.1, 6.
const SOAP: &str = "text/xml";

impl Endpoints {
    pub(super) async fn single_logout(&self, idp: &str, call: Call) -> Response<Body> {
        let Some((idp, saml)) = self.saml_provider(idp) else {
            return self.login_failed(&LoginError::UnknownProvider, None, &call).await;
        };
        let saml = Arc::clone(saml);
        if call.method != Method::POST {
            let outcome = match Redirected::read(&call.raw_query) {
                Ok(read) => {
                    let (kind, state) = (read.kind, read.relay_state.as_ref());
                    self.logout_message(&idp, &saml, kind, Arrived::Redirect(&read), state, &call).await
                }
                Err(error) => Err(error.into()),
            };
            return self.or_refused(outcome, &idp, &call).await;
        }
        if call.is_of(SOAP) {
            return match call.with_body(SOAP, MAX_BODY).await {
                Ok((envelope, call)) => self.logout_by_soap(&idp, &saml, &envelope, &call).await,
                Err(problem) => *problem,
            };
        }
        let (form, call) = match call.with_body(FORM, MAX_BODY).await {
            Ok(read) => read,
            Err(problem) => return *problem,
        };
        let outcome = match Posted::read(&form) {
            Ok(read) => {
                let (kind, state) = (read.kind, read.relay_state.as_ref());
                self.logout_message(&idp, &saml, kind, Arrived::Post(&read.message), state, &call).await
            }
            Err(error) => Err(error.into()),
        };
        self.or_refused(outcome, &idp, &call).await
    }

    async fn or_refused(
        &self,
        outcome: Result<Response<Body>, SamlError>,
        idp: &IdpId,
        call: &Call,
    ) -> Response<Body> {
        match outcome {
            Ok(response) => response,
            Err(error) => self.login_failed(&error.into(), Some(idp), call).await,
        }
    }

    /// A message that came with the browser: the provider's question, or its answer to ours.
    async fn logout_message(
        &self,
        idp: &IdpId,
        saml: &Saml,
        kind: Kind,
        arrived: Arrived<'_>,
        relay_state: Option<&RelayState>,
        call: &Call,
    ) -> Result<Response<Body>, SamlError> {
        if kind == Kind::Response {
            // The answer names our request, whose ID only we can have made, so nothing is kept of it.
            let state =
                relay_state.map(RelayState::as_str).filter(|state| self.logins.is_logout_state(state));
            let answered = saml.logged_out(arrived, state.ok_or(SamlError::LogoutUnknown)?).await?;
            return Ok(self.after_logout(idp, &answered));
        }
        let wanted = saml.logout_asked(arrived).await?;
        let outcome = self.end_for_provider(idp, &wanted.name, &wanted.idp_sessions).await;
        let Reply::Browser(departure) = saml.answer_logout(&wanted, outcome, &arrived, relay_state).await?
        else {
            return Err(SamlError::LogoutNotOffered);
        };
        let mut response = depart(&departure);
        // SECURITY: who has a logout of their own carried by somebody else's browser does not sign that one out. A
        // cookie that is left behind, as by a cross-site POST, which comes without it, opens nothing any more; and
        // whoever signs in over it finds the application's own cookies cleared (E7).
        if call.session.as_ref().is_some_and(|session| session.has_ended()) {
            self.end_in_browser(&call.headers, response.headers_mut());
        }
        Ok(response)
    }

    async fn logout_by_soap(&self, idp: &IdpId, saml: &Saml, envelope: &[u8], call: &Call) -> Response<Body> {
        let arrived = Arrived::Soap(envelope);
        let answered = match saml.logout_asked(arrived).await {
            Ok(wanted) => {
                let outcome = self.end_for_provider(idp, &wanted.name, &wanted.idp_sessions).await;
                saml.answer_logout(&wanted, outcome, &arrived, None).await
            }
            Err(error) => Err(error),
        };
        match answered {
            Ok(Reply::Soap(envelope)) => xml(StatusCode::OK, envelope),
            Ok(Reply::Browser(_)) => xml(StatusCode::INTERNAL_SERVER_ERROR, String::new()),
            Err(error) => {
                // Bindings 3.2.3.3. The reason is in the log, not for whoever sent this.
                drop(self.login_failed(&error.into(), Some(idp), call).await);
                let fault = soap::fault(soap::FaultCode::Client, "the message was refused");
                xml(StatusCode::INTERNAL_SERVER_ERROR, fault.into_string())
            }
        }
    }

    async fn end_for_provider(&self, idp: &IdpId, name: &str, idp_sessions: &[String]) -> Outcome {
        match self.sessions.end_of(idp, name, idp_sessions).await {
            Ok(ended) => {
                observe::logout(idp.as_str());
                let logout = Entry::new(Event::Logout).by(Actor::Provider(idp.clone()));
                self.audit.record(logout.field("sessions", ended).personal("name", name));
                Outcome::Complete
            }
            Err(error) => {
                tracing::error!(idp = %idp, %error, "the provider's logout could not be carried out");
                Outcome::Failed
            }
        }
    }

    /// Our page after the provider's answer. Here the session has ended long before.
    fn after_logout(&self, idp: &IdpId, answered: &Answered) -> Response<Body> {
        let elsewhere = match answered {
            Answered::Complete => false,
            Answered::Partial => true,
            Answered::Refused(status) => {
                tracing::warn!(idp = %idp, status = status.short(), "the provider refused a logout");
                true
            }
        };
        let login = self.login_path(&ReturnTo::root());
        pages::show(StatusCode::OK, &SignedOutPage { login: &login, elsewhere })
    }
}

fn xml(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::whole(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(soap::CONTENT_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
