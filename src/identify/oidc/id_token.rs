//! The claims of an ID token whose signature holds, checked in the order of OpenID Connect Core 3.1.3.7.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::error::{OidcError, shown};
use crate::model::{Subject, UnixTime};

/// What the token must say.
pub struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub nonce: &'a str,
    /// When the login began.
    pub begun_at: UnixTime,
    pub now: UnixTime,
    /// Tolerated difference of the clocks.
    pub skew: Duration,
    /// What was asked for; empty: nothing.
    pub acr_values: &'a [String],
    /// What was asked for.
    pub max_age: Option<Duration>,
    /// The access token that came along.
    pub access_token: &'a str,
    /// The algorithm of the token's signature, which was verified.
    pub algorithm: Algorithm,
}

/// What the checks found out on the way.
#[derive(Debug, PartialEq, Eq)]
pub struct Checked {
    /// `sub`.
    pub subject: Subject,
    pub authenticated_at: Option<UnixTime>,
    pub idp_session: Option<String>,
}

/// Checks `claims`. The steps of 3.1.3.7 that concern the token as such (decryption, 1; signature, 6;
/// algorithm, 7 and 8) come before this, since nothing of an unsigned token should reach even a log.
///
/// # Errors
/// The first check that fails.
pub fn check(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<Checked, OidcError> {
    issuer(claims, expected.issuer)?;
    audience(claims, expected.client_id)?;
    times(claims, expected)?;
    nonce(claims, expected.nonce)?;
    acr(claims, expected.acr_values)?;
    let authenticated_at = auth_time(claims, expected)?;
    access_token_hash(claims, expected)?;
    // Core 2: `sub` is required, at most 255 characters.
    let subject = Subject::parse(required_text(claims, "sub")?).ok_or(OidcError::SubjectMalformed)?;
    let idp_session = match claims.get("sid") {
        None | Some(Value::Null) => None,
        Some(Value::String(sid)) if (1..=255).contains(&sid.len()) => Some(sid.clone()),
        Some(_) => return Err(OidcError::ClaimMalformed("sid")),
    };
    Ok(Checked { subject, authenticated_at, idp_session })
}

/// Core 3.1.3.7, 2: `iss` must be exactly the provider's issuer.
///
/// # Errors
/// Where it is not.
pub fn issuer(claims: &Map<String, Value>, expected: &str) -> Result<(), OidcError> {
    let found = required_text(claims, "iss")?;
    if found == expected {
        return Ok(());
    }
    Err(OidcError::IssuerMismatch { expected: expected.to_owned(), found: shown(found) })
}

/// Core 3.1.3.7, 3 to 5: `aud` must contain us, and if others are meant as well, `azp` must be us.
///
/// # Errors
/// Where it was made for somebody else.
pub fn audience(claims: &Map<String, Value>, client_id: &str) -> Result<(), OidcError> {
    let audiences: Vec<&str> = match claims.get("aud") {
        None => return Err(OidcError::ClaimMissing("aud")),
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several
            .iter()
            .map(Value::as_str)
            .collect::<Option<_>>()
            .ok_or(OidcError::ClaimMalformed("aud"))?,
        Some(_) => return Err(OidcError::ClaimMalformed("aud")),
    };
    if !audiences.contains(&client_id) {
        return Err(OidcError::AudienceMismatch {
            expected: client_id.to_owned(),
            found: shown(&audiences.join(" ")),
        });
    }
    match optional_text(claims, "azp")? {
        // SECURITY: 3.1.3.7, 4 says SHOULD. Without `azp` a token that another client got, and that merely
        // lists us, would sign its bearer in here.
        None if audiences.iter().any(|audience| *audience != client_id) => {
            Err(OidcError::AuthorizedPartyMissing)
        }
        None => Ok(()),
        Some(azp) if azp == client_id => Ok(()),
        Some(azp) => {
            Err(OidcError::AuthorizedPartyMismatch { expected: client_id.to_owned(), found: shown(azp) })
        }
    }
}

/// Core 3.1.3.7, 9 and 10; RFC 7519, 4.1.5 for `nbf`.
fn times(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), OidcError> {
    let skew = seconds(expected.skew);
    let (now, begun_at) = (expected.now.0, expected.begun_at.0);
    // The current time must be before `exp`.
    let exp = time(claims, "exp")?.ok_or(OidcError::ClaimMissing("exp"))?;
    if now >= exp + skew {
        return Err(OidcError::Expired { by: now - exp, skew });
    }
    let iat = time(claims, "iat")?.ok_or(OidcError::ClaimMissing("iat"))?;
    if iat > now + skew {
        return Err(OidcError::IssuedInFuture { by: iat - now, skew });
    }
    // SECURITY: step 10 leaves open what is too long ago. The token carries the nonce of this login, so an
    // honest one cannot be older than the login.
    if iat < begun_at - skew {
        return Err(OidcError::IssuedBeforeLogin { by: begun_at - iat, skew });
    }
    match time(claims, "nbf")? {
        Some(nbf) if nbf > now + skew => Err(OidcError::NotYetValid { by: nbf - now, skew }),
        _ => Ok(()),
    }
}

/// Core 3.1.3.7, 11. One is always sent, so one must always come back.
fn nonce(claims: &Map<String, Value>, expected: &str) -> Result<(), OidcError> {
    let found = optional_text(claims, "nonce")?.ok_or(OidcError::NonceMissing)?;
    let same: bool = found.as_bytes().ct_eq(expected.as_bytes()).into();
    if same { Ok(()) } else { Err(OidcError::NonceMismatch) }
}

/// Core 3.1.3.7, 12.
fn acr(claims: &Map<String, Value>, asked: &[String]) -> Result<(), OidcError> {
    if asked.is_empty() {
        return Ok(());
    }
    // SECURITY: `acr_values` is a wish that providers may ignore (Core 3.1.2.1); who configured it means
    // it, so a weaker or absent answer is refused.
    let found = optional_text(claims, "acr")?.unwrap_or_default();
    if asked.iter().any(|value| value == found) {
        return Ok(());
    }
    Err(OidcError::AcrMismatch { expected: asked.join(" "), found: shown(found) })
}

/// Core 3.1.3.7, 13 and Core 2: with `max_age` asked for, `auth_time` is required.
fn auth_time(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<Option<UnixTime>, OidcError> {
    let found = time(claims, "auth_time")?;
    let Some(max_age) = expected.max_age else { return Ok(found.map(UnixTime)) };
    let auth_time = found.ok_or(OidcError::AuthTimeMissing)?;
    let (now, skew) = (expected.now.0, seconds(expected.skew));
    if auth_time > now + skew {
        return Err(OidcError::AuthTimeInFuture { by: auth_time - now });
    }
    let latest = auth_time + seconds(max_age) + skew;
    if now > latest {
        return Err(OidcError::AuthTimeTooOld { by: now - latest });
    }
    Ok(Some(UnixTime(auth_time)))
}

/// Core 3.1.3.8: `at_hash`, where given, is the left half of the access token's digest.
fn access_token_hash(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), OidcError> {
    let Some(found) = optional_text(claims, "at_hash")? else { return Ok(()) };
    let digest = digest::digest(digest_of(expected.algorithm), expected.access_token.as_bytes());
    let half = digest.as_ref().get(..digest.as_ref().len() / 2).unwrap_or_default();
    if found == URL_SAFE_NO_PAD.encode(half) { Ok(()) } else { Err(OidcError::AccessTokenHashMismatch) }
}

/// The digest that belongs to a signature algorithm (Core 3.1.3.6); Ed25519 has SHA-512 inside (RFC 8032).
fn digest_of(algorithm: Algorithm) -> &'static digest::Algorithm {
    match algorithm {
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 | Algorithm::HS384 => &digest::SHA384,
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::HS512 | Algorithm::EdDSA => &digest::SHA512,
        _ => &digest::SHA256,
    }
}

fn required_text<'a>(claims: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, OidcError> {
    optional_text(claims, name)?.ok_or(OidcError::ClaimMissing(name))
}

fn optional_text<'a>(
    claims: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, OidcError> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(OidcError::ClaimMalformed(name)),
    }
}

/// A NumericDate (RFC 7519, 2): seconds, possibly with a fraction, which is dropped. Beyond the year 9999 it
/// is no date, which also keeps the sums above far from any overflow.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, OidcError> {
    const YEAR_10000: i64 = 253_402_300_800;
    let malformed = OidcError::ClaimMalformed(name);
    let seconds = match claims.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole,
            (None, Some(fraction)) if (0.0..253_402_300_800.0).contains(&fraction) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "in the range of whole seconds, see above"
                )]
                let whole = fraction as i64;
                whole
            }
            _ => return Err(malformed),
        },
        Some(_) => return Err(malformed),
    };
    if (0..YEAR_10000).contains(&seconds) { Ok(Some(seconds)) } else { Err(malformed) }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 4)
}
