//! The signed upstream token: a short-lived JWT beside the identity headers, for applications that check.
//!
//! Claims: `iss` the public URL without trailing slash; `aud` as configured; `sub` the account's id in the
//! application (never a name that could be given to somebody else), or `idp|subject` for a session without
//! account; `iat` and `exp`, [`LIFETIME`] apart; `idp`; `sid` a digest that is the same for all tokens of one
//! session; and what is known of `preferred_username`, `email`, `name`, `role`, `teams`, `team_roles`,
//! `groups` (the application's). No `nbf`: clocks differ, and `exp` bounds the token already. No `jti`: one
//! token serves many requests.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use serde::Serialize;
use url::Url;

use super::keys::{SigningKeys, TokenError};
use crate::model::session::SessionContent;
use crate::model::{SessionHash, UnixTime};
use crate::platform::crypto::sha256;

/// From `iat` to `exp`. The caller may send one token for half of it.
pub const LIFETIME: Duration = Duration::from_mins(1);
/// Servers commonly take 8 to 16 KiB of headers altogether.
pub const MAX_BYTES: usize = 8 * 1024;

/// Makes the tokens for one application.
#[derive(Debug, Clone)]
pub struct UpstreamToken {
    issuer: String,
    audience: String,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: Cow<'a, str>,
    iat: i64,
    exp: i64,
    idp: &'a str,
    sid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    teams: Vec<&'a str>,
    /// Where the application has roles in teams.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    team_roles: BTreeMap<&'a str, &'a str>,
    groups: &'a BTreeSet<String>,
}

impl UpstreamToken {
    #[must_use]
    pub fn new(public_url: &Url, audience: &str) -> Self {
        let issuer = public_url.as_str().trim_end_matches('/').to_owned();
        Self { issuer, audience: audience.to_owned() }
    }

    fn claims<'a>(&'a self, sid: &'a str, content: &'a SessionContent, now: UnixTime) -> Claims<'a> {
        let account = content.account.as_ref();
        let profile = account.map(|account| &account.profile);
        let entitlements = &content.grant.entitlements;
        let role_in =
            |(team, role): (&'a String, &'a Option<String>)| Some((team.as_str(), role.as_deref()?));
        Claims {
            iss: &self.issuer,
            aud: &self.audience,
            // SECURITY: OIDC Core 2 makes a subject unique at one issuer only, so another provider's "1" must
            // not pass for this one's, nor for account "1". An IdP's id has no "|".
            sub: account.map_or_else(
                || Cow::Owned(format!("{}|{}", content.idp, content.subject.as_str())),
                |account| Cow::Borrowed(account.id.0.as_str()),
            ),
            iat: now.0,
            exp: now.after(LIFETIME).0,
            idp: content.idp.as_str(),
            sid,
            preferred_username: profile.map(|profile| profile.username.as_str()),
            email: profile.and_then(|profile| profile.email.as_deref()),
            name: profile.and_then(|profile| profile.display_name.as_deref()),
            role: entitlements.role.as_deref(),
            teams: entitlements.teams.keys().map(String::as_str).collect(),
            team_roles: entitlements.teams.iter().filter_map(role_in).collect(),
            groups: &entitlements.app_groups,
        }
    }

    /// One token for this session, as a header's value. To be kept for at most half of [`LIFETIME`], and
    /// dropped when the session's grant changes.
    ///
    /// # Errors
    /// [`TokenError::NoKeyInUse`], [`TokenError::TooLong`], [`TokenError::Unsignable`]; the request must not
    /// go on without its token.
    pub fn mint(
        &self,
        keys: &SigningKeys,
        session: &SessionHash,
        content: &SessionContent,
        now: UnixTime,
    ) -> Result<HeaderValue, TokenError> {
        let key = keys.signer(now).ok_or(TokenError::NoKeyInUse)?;
        let claims = serde_json::to_vec(&self.claims(session_digest(session).as_str(), content, now))
            .map_err(|_| TokenError::Unsignable)?;
        let mut token = String::with_capacity(key.header.len() + claims.len() * 4 / 3 + 96);
        token.push_str(&key.header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = key.sign(token.as_bytes()).ok_or(TokenError::Unsignable)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        if token.len() > MAX_BYTES {
            return Err(TokenError::TooLong { bytes: token.len(), limit: MAX_BYTES });
        }
        let mut value = HeaderValue::try_from(token).map_err(|_| TokenError::Unsignable)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// Tells sessions apart without saying anything of the session's id, or of the hash that the store knows it by.
fn session_digest(session: &SessionHash) -> String {
    let mut labelled = b"narthex upstream sid v1".to_vec();
    labelled.extend_from_slice(&session.0);
    let mut hex = String::with_capacity(32);
    for byte in sha256(&labelled).iter().take(16) {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests;
