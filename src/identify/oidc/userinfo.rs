//! Claims that the ID token left out, from the userinfo endpoint (OpenID Connect Core 5.3).

use serde_json::{Map, Value};
use url::Url;

use super::error::OidcError;
use crate::model::{Claims, Secret};
use crate::platform::Outbound;

/// What the endpoint answered, not yet checked.
pub enum Userinfo {
    Plain(Map<String, Value>),
    /// `application/jwt`: to be verified first (Core 5.3.2).
    Signed(String),
}

/// Claims about the token, the session or its parties: they count where the ID token says them, never from
/// userinfo, which nothing binds to this login but the subject.
const OF_THE_TOKEN: [&str; 14] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "nonce",
    "acr",
    "amr",
    "azp",
    "auth_time",
    "at_hash",
    "sid",
];

/// Values that mean something only together with the one that they vouch for.
const PAIRS: [(&str, &str); 2] = [("email", "email_verified"), ("phone_number", "phone_number_verified")];

/// Whether any of `wanted` is missing.
#[must_use]
pub fn is_needed<'a>(claims: &Claims, mut wanted: impl Iterator<Item = &'a str>) -> bool {
    wanted.any(|path| claims.at(path).is_none())
}

/// Asks the endpoint.
///
/// # Errors
/// Where it cannot be reached or gives neither form.
pub async fn ask(outbound: &Outbound, endpoint: &Url, access_token: &Secret) -> Result<Userinfo, OidcError> {
    let request = outbound
        .request(http::Method::GET, endpoint.clone())
        .header(http::header::ACCEPT, "application/json, application/jwt;q=0.5")
        .bearer_auth(access_token.expose());
    let answer =
        outbound.send(request).await.map_err(|error| OidcError::UserinfoUnreachable(error.to_string()))?;
    if answer.status != http::StatusCode::OK {
        return Err(OidcError::UserinfoStatus { status: answer.status.as_u16() });
    }
    let media_type = answer
        .headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase());
    match media_type.as_deref() {
        Some("application/json") => serde_json::from_slice(&answer.body)
            .map(Userinfo::Plain)
            .map_err(|_| OidcError::UserinfoMalformed),
        Some("application/jwt") => String::from_utf8(answer.body)
            .map(|token| Userinfo::Signed(token.trim().to_owned()))
            .map_err(|_| OidcError::UserinfoMalformed),
        _ => Err(OidcError::UserinfoMalformed),
    }
}

/// Adds to the ID token's claims what only userinfo says; where both say something, the ID token counts.
///
/// # Errors
/// Where userinfo is about somebody else.
pub fn merge(id_token: &mut Map<String, Value>, mut userinfo: Map<String, Value>) -> Result<(), OidcError> {
    // Core 5.3.2: `sub` must be there and exactly match, else the answer must not be used.
    let (Some(Value::String(asked)), Some(Value::String(answered))) =
        (id_token.get("sub"), userinfo.get("sub"))
    else {
        return Err(OidcError::UserinfoSubjectMismatch);
    };
    if asked != answered {
        return Err(OidcError::UserinfoSubjectMismatch);
    }
    for (value, voucher) in PAIRS {
        // SECURITY: "verified" belongs to the address beside which it stands. Mixed from two sources, a
        // verified flag would vouch for an address that nobody verified.
        if !is_said(id_token, value) {
            id_token.remove(voucher);
        } else if id_token.get(value) != userinfo.get(value) {
            userinfo.remove(voucher);
        }
    }
    for (name, value) in userinfo {
        if !OF_THE_TOKEN.contains(&name.as_str()) && !is_said(id_token, &name) {
            id_token.insert(name, value);
        }
    }
    Ok(())
}

fn is_said(claims: &Map<String, Value>, name: &str) -> bool {
    claims.get(name).is_some_and(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!() };
        map
    }

    fn merged(id_token: Value, userinfo: Value) -> Value {
        let mut claims = object(id_token);
        merge(&mut claims, object(userinfo)).unwrap();
        Value::Object(claims)
    }

    #[test]
    fn userinfo_adds_and_never_replaces() {
        assert_eq!(
            merged(json!({"sub": "a", "x": 1, "n": null}), json!({"sub": "a", "x": 2, "y": 3, "n": 4})),
            json!({"sub": "a", "x": 1, "n": 4, "y": 3})
        );
    }

    #[test]
    fn claims_about_the_token_never_come_from_userinfo() {
        for name in OF_THE_TOKEN.into_iter().filter(|name| *name != "sub") {
            let mut userinfo = json!({"sub": "a"});
            userinfo[name] = json!("forged");
            assert_eq!(merged(json!({"sub": "a"}), userinfo), json!({"sub": "a"}), "{name}");
        }
    }

    #[test]
    fn another_persons_userinfo_is_refused() {
        for (asked, answered) in [
            (json!({"sub": "a"}), json!({"sub": "b"})),
            (json!({"sub": "a"}), json!({"sub": "A"})),
            (json!({"sub": "a"}), json!({})),
            (json!({"sub": "1"}), json!({"sub": 1})),
            (json!({}), json!({})),
        ] {
            let mut claims = object(asked);
            assert_eq!(merge(&mut claims, object(answered)), Err(OidcError::UserinfoSubjectMismatch));
        }
    }

    #[test]
    fn a_verified_flag_never_vouches_for_the_address_of_the_other_source() {
        // The ID token's flag without address says nothing of userinfo's address.
        assert_eq!(
            merged(json!({"sub": "a", "email_verified": true}), json!({"sub": "a", "email": "x@evil.test"})),
            json!({"sub": "a", "email": "x@evil.test"})
        );
        assert_eq!(
            merged(
                json!({"sub": "a", "email_verified": true}),
                json!({"sub": "a", "email": "x@evil.test", "email_verified": false})
            ),
            json!({"sub": "a", "email": "x@evil.test", "email_verified": false})
        );
        // Userinfo's flag says nothing of the ID token's address.
        assert_eq!(
            merged(
                json!({"sub": "a", "email": "x@evil.test"}),
                json!({"sub": "a", "email": "a@b.test", "email_verified": true})
            ),
            json!({"sub": "a", "email": "x@evil.test"})
        );
        // The same address in both: the flag may come from either.
        assert_eq!(
            merged(
                json!({"sub": "a", "phone_number": "1"}),
                json!({"sub": "a", "phone_number": "1", "phone_number_verified": true})
            ),
            json!({"sub": "a", "phone_number": "1", "phone_number_verified": true})
        );
    }

    #[test]
    fn it_is_needed_where_one_wanted_claim_is_missing() {
        let claims = Claims::new(object(json!({"a": 1, "b": {"c": []}}))).unwrap();
        let needed = |wanted: &[&str]| is_needed(&claims, wanted.iter().copied());
        assert!(!needed(&[]));
        assert!(!needed(&["a", "b.c"]));
        assert!(needed(&["a", "b.d"]));
        assert!(needed(&["email"]));
    }
}
