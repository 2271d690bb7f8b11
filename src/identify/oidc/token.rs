//! The code for the tokens (RFC 6749, 4.1.3 to 5.2; OpenID Connect Core 3.1.3).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::error::{OidcError, shown};
use crate::config::settings::{ClientAuth, OidcIdp};
use crate::model::Secret;
use crate::platform::Outbound;
use crate::platform::crypto::sha256;

/// A code can be used once, so this call is not repeated and gets more time than others (SECURITY.md 37
/// speaks of providers that take 10 s).
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(15);

/// What the token endpoint gave.
#[derive(Debug)]
pub struct Tokens {
    pub id_token: Secret,
    pub access_token: Secret,
}

/// One exchange.
pub struct Exchange<'a> {
    pub outbound: &'a Outbound,
    pub endpoint: &'a Url,
    pub idp: &'a OidcIdp,
    pub redirect_uri: &'a Url,
    pub code: &'a Secret,
    pub verifier: &'a Secret,
    pub timeout: Duration,
}

/// The `code_challenge` of a verifier (RFC 7636, 4.2, S256).
#[must_use]
pub fn challenge(verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(sha256(verifier.expose().as_bytes()))
}

impl Exchange<'_> {
    /// Sends the code.
    ///
    /// # Errors
    /// Where the endpoint cannot be reached, refuses, or answers something else than tokens.
    pub async fn send(&self) -> Result<Tokens, OidcError> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", self.code.expose()),
            ("redirect_uri", self.redirect_uri.as_str()),
            // RFC 7636, 4.5.
            ("code_verifier", self.verifier.expose()),
        ];
        let mut request = self
            .outbound
            .request(http::Method::POST, self.endpoint.clone())
            .header(http::header::ACCEPT, "application/json")
            .timeout(self.timeout);
        match &self.idp.client_auth {
            ClientAuth::Basic(secret) => {
                // RFC 6749, 2.3.1: id and secret are form-encoded first; without that a colon or a percent
                // sign in either makes it another pair.
                request = request.basic_auth(encoded(&self.idp.client_id), Some(encoded(secret.expose())));
            }
            ClientAuth::Post(secret) => {
                form.push(("client_id", &self.idp.client_id));
                form.push(("client_secret", secret.expose()));
            }
            ClientAuth::None => form.push(("client_id", &self.idp.client_id)),
        }
        let answer = self
            .outbound
            .send(request.form(&form))
            .await
            .map_err(|error| OidcError::TokenEndpointUnreachable(error.to_string()))?;
        let body: Option<Map<String, Value>> = serde_json::from_slice(&answer.body).ok();
        // RFC 6749, 5.2. Some providers answer an error with status 200.
        if let Some(error) = body.as_ref().and_then(|body| body.get("error")?.as_str()) {
            return Err(self.refusal(error));
        }
        if answer.status != http::StatusCode::OK {
            return Err(OidcError::TokenEndpointStatus { status: answer.status.as_u16() });
        }
        tokens(&body.ok_or(OidcError::TokenAnswerMalformed("it is no JSON object"))?)
    }

    fn refusal(&self, error: &str) -> OidcError {
        let shown = self.masked(error);
        match error {
            "invalid_grant" => OidcError::CodeRefused(shown),
            "invalid_client" | "unauthorized_client" => OidcError::ClientRefused(shown),
            _ => OidcError::TokenRequestRefused(shown),
        }
    }

    /// A text of the provider without what we sent it (invariant 8).
    fn masked(&self, text: &str) -> String {
        let secret = match &self.idp.client_auth {
            ClientAuth::Basic(secret) | ClientAuth::Post(secret) => secret.expose(),
            ClientAuth::None => "",
        };
        let mut masked = text.to_owned();
        for sent in [self.code.expose(), self.verifier.expose(), secret] {
            if !sent.is_empty() {
                masked = masked.replace(sent, "[secret]");
            }
        }
        shown(&masked)
    }
}

/// RFC 6749, 5.1 and Core 3.1.3.3.
fn tokens(body: &Map<String, Value>) -> Result<Tokens, OidcError> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    // RFC 6749, 7.1: a token of a type that is not understood must not be used; 5.1: case-insensitive.
    let token_type = text("token_type").ok_or(OidcError::TokenAnswerMalformed("it has no `token_type`"))?;
    if !token_type.eq_ignore_ascii_case("Bearer") {
        return Err(OidcError::TokenTypeUnsupported(shown(token_type)));
    }
    let access_token =
        text("access_token").ok_or(OidcError::TokenAnswerMalformed("it has no `access_token`"))?;
    let id_token = text("id_token").ok_or(OidcError::IdTokenMissing)?;
    Ok(Tokens { id_token: Secret::new(id_token), access_token: Secret::new(access_token) })
}

fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}
