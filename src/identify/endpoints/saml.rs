//! The addresses that SAML providers are told: where responses arrive, and our metadata.
//!
//! A response comes by a cross-site POST, to which browsers add no Lax cookie. So everything that needs no browser
//! is verified there, the outcome waits sealed under a random id, and a 303 leads to a same-origin GET, which has
//! the login cookie: there it is matched to the login that this browser began.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, Response, header};

use super::call::{Call, FORM};
use super::{Endpoints, see_other};
use crate::forward::Body;
use crate::identify::login::Finished;
use crate::identify::saml::binding::post::Posted;
use crate::identify::saml::binding::{Kind, RelayState};
use crate::identify::saml::{Received, Saml, SamlError, SamlRefusal};
use crate::identify::{Answer, LoginError};
use crate::model::{IdpId, StateHash};
use crate::platform::crypto::sha256;

/// A form with a response, at most: the gate reads 256 KiB of XML, which base64 and the form make longer.
const MAX_FORM: usize = 512 * 1024;
/// SAML Metadata 2.0, appendix A.
const METADATA_TYPE: HeaderValue = HeaderValue::from_static("application/samlmetadata+xml");
/// How long a verified response waits for its browser, which comes at once.
const WAIT: Duration = Duration::from_mins(1);

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
        match self.take_response(&idp, saml, &form).await {
            Ok(id) => see_other(&format!("{}/saml/{idp}/acs?result={id}", self.prefix)),
            Err(refusal) => self.saml_refused(&refusal, &idp, &call).await,
        }
    }

    /// Verifies what can be verified without the browser; gives the id under which it waits.
    async fn take_response(&self, idp: &IdpId, saml: &Saml, form: &[u8]) -> Result<String, SamlRefusal> {
        let posted = Posted::read(form).map_err(SamlError::from)?;
        if posted.kind != Kind::Response {
            return Err(SamlError::NotAResponse.into());
        }
        let relay_state = posted.relay_state.as_ref().map(RelayState::as_str);
        let received = saml.receive(&posted.message, relay_state).await?;
        let entropy = self.platform.entropy.as_ref();
        let id = URL_SAFE_NO_PAD.encode(entropy.bytes::<32>().map_err(SamlError::from)?);
        let sealed = received.seal(&self.keys, idp.as_str().as_bytes(), entropy).map_err(SamlError::from)?;
        let until = self.platform.clock.now().after(WAIT);
        let parked = self.store.park(&StateHash(sha256(id.as_bytes())), &sealed, until).await;
        parked.map_err(SamlError::from)?;
        Ok(id)
    }

    /// Matches what [`Endpoints::assertion_consumer`] verified to the login that this browser began.
    pub(super) async fn saml_result(&self, idp: &str, call: &Call) -> Response<Body> {
        let Some((idp, saml)) = self.saml_provider(idp) else {
            return self.login_failed(&LoginError::UnknownProvider, None, call).await;
        };
        let Some(received) = self.waiting(&idp, call.parameter("result").unwrap_or_default()).await else {
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

    async fn waiting(&self, idp: &IdpId, id: &str) -> Option<Received> {
        let now = self.platform.clock.now();
        let sealed = self.store.take_parked(&StateHash(sha256(id.as_bytes())), now).await.ok()??;
        Received::from_sealed(&self.keys, idp.as_str().as_bytes(), &sealed).ok()
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
