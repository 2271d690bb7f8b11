//! The addresses that SAML providers are told: where responses arrive ([`crate::identify::saml::parking`]), and our
//! metadata.

use std::sync::Arc;

use http::{HeaderValue, Response, header};

use super::call::{Call, FORM};
use super::{Endpoints, see_other};
use crate::forward::Body;
use crate::identify::login::Finished;
use crate::identify::saml::parking::MAX_FORM;
use crate::identify::saml::{Saml, SamlError, SamlRefusal};
use crate::identify::{Answer, LoginError};
use crate::model::IdpId;

/// SAML Metadata 2.0, appendix A.
pub const METADATA_TYPE: HeaderValue = HeaderValue::from_static("application/samlmetadata+xml");

impl Endpoints {
    /// The provider of this id, if it is one that speaks SAML.
    pub(super) fn saml_provider(&self, id: &str) -> Option<(IdpId, &Arc<Saml>)> {
        let id: IdpId = id.parse().ok()?;
        let saml = self.saml.get(&id)?;
        Some((id, saml))
    }

    /// Takes a response (SAML Bindings 2.0, 3.5) and sends its browser on to [`Endpoints::saml_result`].
    pub(super) async fn assertion_consumer(&self, idp: &str, call: Call) -> Response<Body> {
        let Some((idp, saml)) = self.saml_provider(idp) else {
            return self.login_failed(&LoginError::UnknownProvider, None, &call).await;
        };
        let (form, call) = match call.with_body(FORM, MAX_FORM).await {
            Ok(read) => read,
            Err(problem) => return *problem,
        };
        match self.parking.take(&idp, saml, &form).await {
            Ok(id) => see_other(&format!("{}/saml/{idp}/acs?result={id}", self.prefix)),
            Err(refusal) => self.saml_refused(&refusal, &idp, &call).await,
        }
    }

    /// Matches what [`Endpoints::assertion_consumer`] verified to the login that this browser began.
    pub(super) async fn saml_result(&self, idp: &str, call: &Call) -> Response<Body> {
        let Some((idp, saml)) = self.saml_provider(idp) else {
            return self.login_failed(&LoginError::UnknownProvider, None, call).await;
        };
        let Some(received) = self.parking.fetch(&idp, call.parameter("result").unwrap_or_default()).await
        else {
            // The page was loaded again, or gone back to: what it was for is done.
            if call.session.is_some() {
                return see_other("/");
            }
            return self.login_failed(&SamlError::ResultGone.into(), Some(&idp), call).await;
        };
        let finished = match received.state() {
            Some(state) => {
                let state = state.to_owned();
                let cookie = self.sessions.cookie_names().login(&call.headers);
                let answer = Answer::Saml(Box::new(received));
                self.logins.finish(&idp, Some(&state), answer, cookie, call.session.is_some()).await
            }
            None => saml
                .began_there(received)
                .await
                .map(|(verified, return_to)| Finished::Verified { verified, return_to })
                .map_err(LoginError::from),
        };
        self.finished(finished, &idp, call).await
    }

    async fn saml_refused(&self, refusal: &SamlRefusal, idp: &IdpId, call: &Call) -> Response<Body> {
        self.login_failed(&LoginError::Saml(refusal.clone()), Some(idp), call).await
    }

    /// Our metadata for this provider (SAML Metadata 2.0, 4.1.1).
    pub(super) async fn saml_metadata(&self, idp: &str, call: &Call) -> Response<Body> {
        let Some((idp, saml)) = self.saml_provider(idp) else {
            return self.login_failed(&LoginError::UnknownProvider, None, call).await;
        };
        match saml.own_metadata() {
            Ok(metadata) => {
                let mut response = Response::new(Body::whole(metadata));
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, METADATA_TYPE);
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
                headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
                response
            }
            Err(error) => self.login_failed(&error.into(), Some(&idp), call).await,
        }
    }
}
