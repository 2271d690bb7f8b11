//! One configured OpenID provider: the steps of a sign-in in their order.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::discovery::{self, Metadata};
use super::document::{Document, Kind, Source};
use super::error::{OidcError, shown};
use super::id_token::{self, Checked, Expected};
use super::jws::{Jws, name_of};
use super::keys::KeySet;
use super::logout;
use super::token::{self, Exchange, Tokens};
use super::userinfo::{self, Userinfo};
use crate::config::settings::{ClientAuth, OidcIdp};
use crate::identify::held::{FIRST_PAUSE, pause};
use crate::identify::protocol::AnswerParameters;
use crate::identify::shown::leading_code;
use crate::identify::{Answer, Departure, IdentityProtocol, LoginError, Verified};
use crate::model::{Claims, Identity, IdpId, LoginAttempt, Subject};
use crate::platform::crypto::sha256;
use crate::platform::{Outbound, Platform, Tasks};
use crate::store::Store;

/// The provider's documents are read again this often.
const REFRESH: Duration = Duration::from_hours(1);

/// The paths of the claims that the configuration refers to, as it is now.
pub type WantedClaims = Arc<ArcSwap<Vec<String>>>;

/// An OpenID provider and what is known of it.
pub struct Oidc {
    pub(super) idp: OidcIdp,
    redirect_uri: Url,
    wanted_claims: WantedClaims,
    always_wanted: Vec<&'static str>,
    outbound: Outbound,
    platform: Platform,
    discovery: Url,
    pub(super) metadata: Document<Metadata>,
    pub(super) keys: Document<KeySet>,
    pub(super) exchange_timeout: Duration,
    pub(super) first_pause: Duration,
}

impl Oidc {
    /// Knows nothing of the provider until [`Oidc::spawn`] or the first sign-in reads its documents.
    /// `wanted_claims` are the paths that the configuration refers to: where the ID token lacks one, the
    /// userinfo endpoint is asked; `email` and what vouches for it are always wanted.
    #[must_use]
    pub fn new(
        idp: OidcIdp,
        redirect_uri: Url,
        wanted_claims: WantedClaims,
        outbound: Outbound,
        store: Arc<dyn Store>,
        platform: Platform,
    ) -> Arc<Self> {
        Arc::new(Self::build(idp, redirect_uri, wanted_claims, outbound, store, platform))
    }

    pub(super) fn build(
        idp: OidcIdp,
        redirect_uri: Url,
        wanted_claims: WantedClaims,
        outbound: Outbound,
        store: Arc<dyn Store>,
        platform: Platform,
    ) -> Self {
        let discovery = discovery::address(&idp.issuer);
        let source = Source { outbound: outbound.clone(), store, clock: platform.clock.clone() };
        let issuer = idp.issuer_text.clone();
        let metadata = Kind {
            unavailable: OidcError::DiscoveryUnavailable,
            status: |status| OidcError::DiscoveryStatus { status },
            parse: Box::new(move |body| Metadata::parse(body, &issuer)),
        };
        let allowed = idp.id_token_algorithms.clone();
        let keys = Kind {
            unavailable: OidcError::KeysUnavailable,
            status: |status| OidcError::KeysStatus { status },
            parse: Box::new(move |body| KeySet::parse(body, &allowed)),
        };
        let always_wanted = if idp.trust_email { vec!["email"] } else { vec!["email", "email_verified"] };
        // SECURITY: the issuer is part of the name, so that keys kept for the issuer of yesterday never
        // verify for the one that the same id names today (lesson 17).
        let issuer_digest = URL_SAFE_NO_PAD.encode(sha256(idp.issuer_text.as_bytes()));
        let name = |what: &str| format!("oidc/{}/{issuer_digest}/{what}", idp.id);
        Self {
            metadata: Document::new(name("discovery"), metadata, source.clone()),
            keys: Document::new(name("keys"), keys, source),
            redirect_uri,
            wanted_claims,
            always_wanted,
            outbound,
            platform,
            discovery,
            idp,
            exchange_timeout: token::EXCHANGE_TIMEOUT,
            first_pause: FIRST_PAUSE,
        }
    }

    /// Keeps the provider's documents fresh in the background, and goes on trying while it is down.
    pub fn spawn(self: &Arc<Self>, tasks: &Tasks) {
        let (this, stopping) = (self.clone(), tasks.stopping().clone());
        tasks.spawn(async move { this.keep_fresh(stopping).await });
    }

    async fn keep_fresh(&self, stopping: CancellationToken) {
        self.metadata.restore().await;
        self.keys.restore().await;
        let mut failures = 0;
        loop {
            let refreshed = tokio::select! {
                refreshed = self.refresh() => refreshed,
                () = stopping.cancelled() => return,
            };
            failures = if refreshed.is_ok() { 0 } else { failures + 1 };
            tokio::select! {
                () = tokio::time::sleep(pause(failures, self.first_pause, REFRESH, &*self.platform.entropy)) => {}
                () = stopping.cancelled() => return,
            }
        }
    }

    /// Reads both documents anew.
    ///
    /// # Errors
    /// The first that fails; what is at hand stays.
    pub async fn refresh(&self) -> Result<(), OidcError> {
        let metadata = self.metadata.refresh(&self.discovery).await?;
        for advice in metadata.advice(&self.idp) {
            tracing::warn!(idp = %self.idp.id, advice, "configuration and provider do not fit");
        }
        if self.needs_keys() {
            self.keys.refresh(&metadata.jwks_uri).await?;
        }
        tracing::debug!(idp = %self.idp.id, "provider's documents refreshed");
        Ok(())
    }

    fn needs_keys(&self) -> bool {
        self.idp.id_token_algorithms.iter().any(|algorithm| algorithm.family() != AlgorithmFamily::Hmac)
    }

    /// RFC 9207, 2.4: before anything else of the answer is looked at, errors included.
    fn check_iss(&self, answer: &AnswerParameters, metadata: &Metadata) -> Result<(), OidcError> {
        match &answer.iss {
            Some(iss) if *iss == self.idp.issuer_text => Ok(()),
            Some(iss) => Err(OidcError::IssParameterMismatch {
                expected: self.idp.issuer_text.clone(),
                found: shown(iss),
            }),
            None if metadata.announces_iss => Err(OidcError::IssParameterMissing),
            None => Ok(()),
        }
    }

    /// Verifies the signature of `token` and gives its claims, on which nothing else was checked yet.
    async fn signed_claims(
        &self,
        token: &str,
        metadata: &Metadata,
    ) -> Result<(Algorithm, Map<String, Value>), OidcError> {
        let jws = Jws::parse(token, &self.idp.id_token_algorithms)?;
        if jws.algorithm().family() == AlgorithmFamily::Hmac {
            self.verify_by_secret(&jws)?;
        } else {
            let keys = self.keys.read(&metadata.jwks_uri).await?;
            match keys.verify(&jws) {
                // The provider may have a new key, or have put a new one under an old name.
                Err(error @ (OidcError::KeyUnknown { .. } | OidcError::SignatureInvalid)) => {
                    let other = self.keys.other_than(&keys, &metadata.jwks_uri).await;
                    other.ok_or(error)?.verify(&jws)?;
                }
                outcome => outcome?,
            }
        }
        Ok((jws.algorithm(), jws.claims()?))
    }

    /// Core 3.1.3.7, 8: the key of an HMAC is the client secret.
    ///
    /// SECURITY: never a key of the provider's set, whose keys are public (algorithm confusion).
    fn verify_by_secret(&self, jws: &Jws<'_>) -> Result<(), OidcError> {
        let needed = match jws.algorithm() {
            Algorithm::HS512 => 64,
            Algorithm::HS384 => 48,
            _ => 32,
        };
        let secret = match &self.idp.client_auth {
            ClientAuth::Basic(secret) | ClientAuth::Post(secret) => secret.expose(),
            ClientAuth::None => "",
        };
        if secret.len() < needed {
            return Err(OidcError::ClientSecretTooShort { algorithm: name_of(jws.algorithm()), needed });
        }
        let key = DecodingKey::from_secret(secret.as_bytes());
        if jws.is_signed_by(&key) { Ok(()) } else { Err(OidcError::SignatureInvalid) }
    }

    fn check_id_token(
        &self,
        claims: &Map<String, Value>,
        algorithm: Algorithm,
        attempt: &LoginAttempt,
        tokens: &Tokens,
    ) -> Result<Checked, OidcError> {
        let expected = Expected {
            issuer: &self.idp.issuer_text,
            client_id: &self.idp.client_id,
            nonce: &attempt.nonce,
            begun_at: attempt.begun_at,
            now: self.platform.clock.now(),
            skew: self.idp.clock_skew,
            acr_values: &self.idp.acr_values,
            max_age: self.idp.max_age,
            access_token: tokens.access_token.expose(),
            algorithm,
        };
        id_token::check(claims, &expected)
    }

    /// The claims of the ID token, and from userinfo those that are wanted beyond them.
    async fn all_claims(
        &self,
        claims: Map<String, Value>,
        metadata: &Metadata,
        tokens: &Tokens,
    ) -> Result<Claims, OidcError> {
        let claims = Claims::new(claims)?;
        let Some(endpoint) = &metadata.userinfo_endpoint else { return Ok(claims) };
        let wanted = self.wanted_claims.load();
        let wanted = wanted.iter().map(String::as_str).chain(self.always_wanted.iter().copied());
        if !userinfo::is_needed(&claims, wanted) {
            return Ok(claims);
        }
        let answered = match userinfo::ask(&self.outbound, endpoint, &tokens.access_token).await? {
            Userinfo::Plain(claims) => claims,
            Userinfo::Signed(token) => self
                .signed_userinfo(&token, metadata)
                .await
                .map_err(|error| OidcError::UserinfoToken(Box::new(error)))?,
        };
        let mut claims = claims.as_map().clone();
        userinfo::merge(&mut claims, answered)?;
        Ok(Claims::new(claims)?)
    }

    /// Core 5.3.2 says SHOULD of `iss` and `aud` in a signed answer.
    ///
    /// SECURITY: lesson 23. Both are required, else any token of the provider about this person would do.
    async fn signed_userinfo(
        &self,
        token: &str,
        metadata: &Metadata,
    ) -> Result<Map<String, Value>, OidcError> {
        let (_, claims) = self.signed_claims(token, metadata).await?;
        id_token::issuer(&claims, &self.idp.issuer_text)?;
        id_token::audience(&claims, &self.idp.client_id)?;
        Ok(claims)
    }

    /// `sub`, or the claim that is configured in its place.
    fn subject(&self, sub: &Subject, claims: &Claims) -> Result<Subject, OidcError> {
        let Some(claim) = &self.idp.subject_claim else { return Ok(sub.clone()) };
        let text = match claims.at(claim) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => return Err(OidcError::SubjectClaimMissing { claim: claim.clone() }),
        };
        Subject::parse(&text).ok_or(OidcError::SubjectMalformed)
    }

    async fn verify_answer(
        &self,
        attempt: LoginAttempt,
        answer: &AnswerParameters,
    ) -> Result<Verified, OidcError> {
        let metadata = self.metadata.read(&self.discovery).await?;
        self.check_iss(answer, &metadata)?;
        // RFC 6749, 4.1.2.1.
        if let Some(error) = &answer.error {
            return Err(OidcError::ProviderRefused {
                error: shown(error),
                code: answer.error_description.as_deref().and_then(leading_code).map(str::to_owned),
            });
        }
        let exchange = Exchange {
            outbound: &self.outbound,
            endpoint: &metadata.token_endpoint,
            idp: &self.idp,
            redirect_uri: &self.redirect_uri,
            code: answer.code.as_ref().ok_or(OidcError::CodeMissing)?,
            verifier: &attempt.pkce_verifier,
            timeout: self.exchange_timeout,
        };
        let tokens = exchange.send().await?;
        let (algorithm, claims) = self.signed_claims(tokens.id_token.expose(), &metadata).await?;
        let checked = self.check_id_token(&claims, algorithm, &attempt, &tokens)?;
        let claims = self.all_claims(claims, &metadata, &tokens).await?;
        let identity = Identity {
            idp: self.idp.id.clone(),
            subject: self.subject(&checked.subject, &claims)?,
            claims,
            logout_name: checked.subject.as_str().to_owned(),
            idp_session: checked.idp_session,
            authenticated_at: checked.authenticated_at,
            ends_at: None,
        };
        Ok(Verified::new(identity, Some(tokens.id_token)))
    }
}

#[async_trait]
impl IdentityProtocol for Oidc {
    fn id(&self) -> &IdpId {
        &self.idp.id
    }

    async fn begin(&self, attempt: &LoginAttempt, state: &str) -> Result<Departure, LoginError> {
        let metadata = self.metadata.read(&self.discovery).await?;
        let mut redirect = metadata.authorization_endpoint.clone();
        {
            // Core 3.1.2.1; RFC 7636, 4.3.
            let mut query = redirect.query_pairs_mut();
            query
                .append_pair("response_type", "code")
                .append_pair("client_id", &self.idp.client_id)
                .append_pair("redirect_uri", self.redirect_uri.as_str())
                .append_pair("scope", &self.idp.scopes.join(" "))
                .append_pair("state", state)
                .append_pair("nonce", &attempt.nonce)
                .append_pair("code_challenge", &token::challenge(&attempt.pkce_verifier))
                .append_pair("code_challenge_method", "S256");
            if !self.idp.acr_values.is_empty() {
                query.append_pair("acr_values", &self.idp.acr_values.join(" "));
            }
            if let Some(max_age) = self.idp.max_age {
                query.append_pair("max_age", &max_age.as_secs().to_string());
            }
        }
        Ok(Departure::Redirect(redirect))
    }

    async fn finish(&self, attempt: LoginAttempt, answer: Answer) -> Result<Verified, LoginError> {
        let Answer::Oidc(answer) = answer else { return Err(LoginError::WrongProtocol) };
        Ok(self.verify_answer(attempt, &answer).await?)
    }

    async fn logout(&self, hint: Option<&str>, post_logout: &Url, state: &str) -> Option<Departure> {
        // A person who signs out does not wait for a provider that is down.
        let metadata = self.metadata.current()?;
        let endpoint = metadata.end_session_endpoint.as_ref()?;
        let address = logout::address(endpoint, &self.idp.client_id, hint, post_logout, state);
        Some(Departure::Redirect(address))
    }

    fn ready(&self) -> bool {
        self.metadata.current().is_some() && (!self.needs_keys() || self.keys.current().is_some())
    }
}

/// Secrets are shown to nobody, and neither is what else is in there.
impl std::fmt::Debug for Oidc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Oidc").field("idp", &self.idp.id).finish_non_exhaustive()
    }
}
