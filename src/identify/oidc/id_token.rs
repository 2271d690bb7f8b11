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

/// 10000-01-01T00:00:00Z.
const YEAR_10000: i64 = 253_402_300_800;

/// A NumericDate (RFC 7519, 2): seconds, possibly with a fraction, which is dropped. Beyond the year 9999 it
/// is no date, which also keeps the sums above far from any overflow.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, OidcError> {
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
    // Longer than the years above could count; the sums stay within bounds all the same.
    i64::try_from(duration.as_secs()).map_or(YEAR_10000, |seconds| seconds.min(YEAR_10000))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;
    const SKEW: i64 = 60;
    /// The login began so long before [`NOW`].
    const TAKEN: i64 = 100;

    fn expected(acr_values: &[String], max_age: Option<u64>) -> Expected<'_> {
        Expected {
            issuer: "https://id.example",
            client_id: "app",
            nonce: "n-1",
            begun_at: UnixTime(NOW - TAKEN),
            now: UnixTime(NOW),
            skew: Duration::from_mins(1),
            acr_values,
            max_age: max_age.map(Duration::from_secs),
            access_token: "at",
            algorithm: Algorithm::ES256,
        }
    }

    fn good() -> Value {
        json!({
            "iss": "https://id.example",
            "sub": "ada",
            "aud": "app",
            "exp": NOW + 300,
            "iat": NOW,
            "nonce": "n-1",
        })
    }

    fn outcome_of(claims: &Value, expected: &Expected<'_>) -> Result<Checked, OidcError> {
        check(claims.as_object().unwrap(), expected)
    }

    /// The outcome where one claim is another; `null` takes it away.
    fn with(name: &str, value: Value) -> Result<Checked, OidcError> {
        outcome_of(&changed(&[(name, value)]), &expected(&[], None))
    }

    fn changed(changes: &[(&str, Value)]) -> Value {
        let mut claims = good();
        for (name, value) in changes {
            claims[*name] = value.clone();
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(*name);
            }
        }
        claims
    }

    fn refusal(name: &str, value: Value) -> Option<OidcError> {
        with(name, value).err()
    }

    #[test]
    fn good_claims_pass() {
        let checked = outcome_of(&good(), &expected(&[], None)).unwrap();
        let subject = Subject::parse("ada").unwrap();
        assert_eq!(checked, Checked { subject, authenticated_at: None, idp_session: None });
    }

    #[test]
    fn claims_that_are_required_and_absent_are_refused() {
        for name in ["iss", "sub", "aud", "exp", "iat"] {
            assert_eq!(refusal(name, Value::Null), Some(OidcError::ClaimMissing(name)));
        }
        assert_eq!(refusal("nonce", Value::Null), Some(OidcError::NonceMissing));
    }

    #[test]
    fn claims_of_another_type_are_refused() {
        for name in ["iss", "sub", "nonce", "azp", "at_hash"] {
            for value in [json!(7), json!(["x"]), json!({}), json!(true)] {
                assert_eq!(refusal(name, value), Some(OidcError::ClaimMalformed(name)));
            }
        }
        for name in ["exp", "iat", "nbf", "auth_time"] {
            for value in
                [json!("1800000000"), json!([NOW]), json!(true), json!(-1), json!(1e300), json!(u64::MAX)]
            {
                assert_eq!(refusal(name, value), Some(OidcError::ClaimMalformed(name)), "{name}");
            }
        }
        for value in [json!(7), json!({}), json!(["app", 7])] {
            assert_eq!(refusal("aud", value), Some(OidcError::ClaimMalformed("aud")));
        }
        for value in [json!(7), json!(""), json!("x".repeat(256))] {
            assert_eq!(refusal("sid", value), Some(OidcError::ClaimMalformed("sid")));
        }
    }

    #[test]
    fn step_2_the_issuer_is_compared_as_a_string() {
        for found in
            ["https://id.example/", "https://ID.example", "http://id.example", "https://id.example.evil.test"]
        {
            let mismatch =
                OidcError::IssuerMismatch { expected: "https://id.example".into(), found: found.into() };
            assert_eq!(refusal("iss", json!(found)), Some(mismatch));
        }
    }

    #[test]
    fn step_3_the_audience_must_contain_us() {
        assert!(with("aud", json!(["app"])).is_ok());
        for (aud, found) in [
            (json!("another"), "another"),
            (json!("App"), "App"),
            (json!("app "), "app "),
            (json!(""), ""),
            (json!([]), ""),
            (json!(["x", "y"]), "x y"),
            (json!(["apps"]), "apps"),
        ] {
            let mismatch = OidcError::AudienceMismatch { expected: "app".into(), found: found.into() };
            assert_eq!(refusal("aud", aud), Some(mismatch));
        }
    }

    #[test]
    fn steps_4_and_5_with_several_audiences_we_must_be_the_authorised_party() {
        let both = |aud: Value, azp: Value| {
            outcome_of(&changed(&[("aud", aud), ("azp", azp)]), &expected(&[], None)).err()
        };
        let mismatch =
            || Some(OidcError::AuthorizedPartyMismatch { expected: "app".into(), found: "another".into() });
        assert_eq!(both(json!(["app", "api"]), Value::Null), Some(OidcError::AuthorizedPartyMissing));
        assert_eq!(both(json!(["api", "app"]), Value::Null), Some(OidcError::AuthorizedPartyMissing));
        assert_eq!(both(json!(["app", "api"]), json!("another")), mismatch());
        assert_eq!(both(json!("app"), json!("another")), mismatch());
        assert_eq!(both(json!(["app", "api"]), json!("app")), None);
        assert_eq!(both(json!("app"), json!("app")), None);
        assert_eq!(both(json!(["app", "app"]), Value::Null), None);
    }

    #[test]
    fn step_9_a_token_is_good_until_its_end_and_the_skew() {
        for exp in [NOW - SKEW + 1, NOW, NOW + 1, 253_402_300_799] {
            assert!(with("exp", json!(exp)).is_ok(), "{exp}");
        }
        assert_eq!(refusal("exp", json!(NOW - SKEW)), Some(OidcError::Expired { by: SKEW, skew: SKEW }));
        assert_eq!(refusal("exp", json!(NOW - 3600)), Some(OidcError::Expired { by: 3600, skew: SKEW }));
        assert_eq!(refusal("exp", json!(0)), Some(OidcError::Expired { by: NOW, skew: SKEW }));
        assert_eq!(refusal("exp", json!(253_402_300_800_i64)), Some(OidcError::ClaimMalformed("exp")));
    }

    #[test]
    fn step_10_a_token_is_issued_between_the_logins_begin_and_now() {
        for iat in [NOW - TAKEN - SKEW, NOW - TAKEN, NOW, NOW + SKEW] {
            assert!(with("iat", json!(iat)).is_ok(), "{iat}");
        }
        let late = NOW + SKEW + 1;
        assert_eq!(refusal("iat", json!(late)), Some(OidcError::IssuedInFuture { by: 61, skew: SKEW }));
        let early = NOW - TAKEN - SKEW - 1;
        assert_eq!(refusal("iat", json!(early)), Some(OidcError::IssuedBeforeLogin { by: 61, skew: SKEW }));
    }

    #[test]
    fn a_token_is_not_good_before_nbf() {
        assert!(with("nbf", json!(NOW + SKEW)).is_ok());
        let refused = OidcError::NotYetValid { by: 61, skew: SKEW };
        assert_eq!(refusal("nbf", json!(NOW + SKEW + 1)), Some(refused));
    }

    #[test]
    fn a_time_may_have_a_fraction() {
        assert!(with("exp", json!(1_800_000_000.5)).is_ok());
        assert_eq!(refusal("exp", json!(1_799_999_940.9)), Some(OidcError::Expired { by: SKEW, skew: SKEW }));
        for value in [-0.5, 253_402_300_800.5] {
            assert_eq!(refusal("exp", json!(value)), Some(OidcError::ClaimMalformed("exp")));
        }
        assert_eq!(refusal("exp", json!(0.5)), Some(OidcError::Expired { by: NOW, skew: SKEW }));
    }

    #[test]
    fn step_11_the_nonce_is_that_of_this_login() {
        for found in ["n-2", "N-1", "n-1 ", "n-", ""] {
            assert_eq!(refusal("nonce", json!(found)), Some(OidcError::NonceMismatch));
        }
    }

    #[test]
    fn step_12_where_acr_was_asked_for_one_of_the_values_must_come() {
        let asked = ["gold".to_owned(), "silver".to_owned()];
        let outcome = |acr: Value| outcome_of(&changed(&[("acr", acr)]), &expected(&asked, None)).err();
        assert_eq!(outcome(json!("gold")), None);
        assert_eq!(outcome(json!("silver")), None);
        for (acr, found) in [(json!("bronze"), "bronze"), (json!("Gold"), "Gold"), (Value::Null, "")] {
            let mismatch = OidcError::AcrMismatch { expected: "gold silver".into(), found: found.into() };
            assert_eq!(outcome(acr), Some(mismatch));
        }
        assert_eq!(outcome(json!(["gold"])), Some(OidcError::ClaimMalformed("acr")));
        assert!(with("acr", json!("bronze")).is_ok());
    }

    #[test]
    fn step_13_where_max_age_was_asked_for_the_authentication_must_be_as_recent() {
        let outcome =
            |auth_time: Value| outcome_of(&changed(&[("auth_time", auth_time)]), &expected(&[], Some(600)));
        assert_eq!(outcome(Value::Null), Err(OidcError::AuthTimeMissing));
        for auth_time in [NOW - 600 - SKEW, NOW, NOW + SKEW] {
            assert_eq!(outcome(json!(auth_time)).unwrap().authenticated_at, Some(UnixTime(auth_time)));
        }
        for by in [1, 3600] {
            let refused = Err(OidcError::AuthTimeTooOld { by });
            assert_eq!(outcome(json!(NOW - 600 - SKEW - by)), refused);
        }
        assert_eq!(outcome(json!(NOW + SKEW + 1)), Err(OidcError::AuthTimeInFuture { by: 61 }));
        // Not asked for, it is only noted.
        assert_eq!(with("auth_time", json!(5)).unwrap().authenticated_at, Some(UnixTime(5)));
    }

    #[test]
    fn at_hash_is_the_left_half_of_the_access_tokens_digest() {
        for (algorithm, digest) in [
            (Algorithm::ES256, &digest::SHA256),
            (Algorithm::RS256, &digest::SHA256),
            (Algorithm::PS256, &digest::SHA256),
            (Algorithm::HS256, &digest::SHA256),
            (Algorithm::ES384, &digest::SHA384),
            (Algorithm::RS384, &digest::SHA384),
            (Algorithm::PS384, &digest::SHA384),
            (Algorithm::HS384, &digest::SHA384),
            (Algorithm::RS512, &digest::SHA512),
            (Algorithm::PS512, &digest::SHA512),
            (Algorithm::HS512, &digest::SHA512),
            (Algorithm::EdDSA, &digest::SHA512),
        ] {
            let whole = digest::digest(digest, b"at");
            let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            let half = text(&whole.as_ref()[..whole.as_ref().len() / 2]);
            let outcome = |at_hash: &str| {
                let expected = Expected { algorithm, ..expected(&[], None) };
                outcome_of(&changed(&[("at_hash", json!(at_hash))]), &expected).err()
            };
            assert_eq!(outcome(&half), None, "{algorithm:?}");
            for other in ["", &text(whole.as_ref()), &half[1..], &text(&[0; 16])] {
                assert_eq!(outcome(other), Some(OidcError::AccessTokenHashMismatch));
            }
        }
    }

    #[test]
    fn a_subject_has_1_to_255_characters_without_controls() {
        assert!(with("sub", json!("x".repeat(255))).is_ok());
        for sub in [String::new(), "x".repeat(256), "a\nb".to_owned(), "a\0".to_owned()] {
            assert_eq!(refusal("sub", json!(sub)), Some(OidcError::SubjectMalformed));
        }
    }

    #[test]
    fn the_providers_session_is_noted() {
        assert_eq!(with("sid", json!("s")).unwrap().idp_session.as_deref(), Some("s"));
        assert!(with("sid", json!("x".repeat(255))).is_ok());
    }

    #[test]
    fn the_first_check_that_fails_is_the_one_that_is_told() {
        let faults = [
            ("iss", json!("x"), "issuer_mismatch"),
            ("aud", json!("x"), "audience_mismatch"),
            ("azp", json!("x"), "authorized_party_mismatch"),
            ("exp", json!(0), "expired"),
            ("iat", json!(0), "issued_before_login"),
            ("nbf", json!(NOW + 9999), "not_yet_valid"),
            ("nonce", json!("x"), "nonce_mismatch"),
            ("acr", json!("x"), "acr_mismatch"),
            ("auth_time", json!(0), "auth_time_too_old"),
            ("at_hash", json!("x"), "access_token_hash_mismatch"),
            ("sub", json!(""), "subject_malformed"),
        ];
        let asked = ["gold".to_owned()];
        for first in 0..faults.len() {
            let mut claims = changed(&[("acr", json!("gold")), ("auth_time", json!(NOW))]);
            for (name, value, _) in &faults[first..] {
                claims[*name] = value.clone();
            }
            let outcome = outcome_of(&claims, &expected(&asked, Some(600)));
            assert_eq!(outcome.unwrap_err().code(), faults[first].2);
        }
    }
}
