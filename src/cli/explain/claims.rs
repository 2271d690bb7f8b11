//! From a file of claims to the identity that a sign-in with them would give.

use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::config::Settings;
use crate::config::settings::Idp;
use crate::model::{Claims, Identity, Subject};

/// Stands for a NameID, which is no claim.
const SOMEBODY: &str = "somebody";

/// # Errors
/// A sentence for the operator.
pub(super) fn identity(
    settings: &Settings,
    file: &Path,
    idp: Option<&str>,
    subject: Option<&str>,
) -> Result<Identity, String> {
    let text = read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let claims = claims(&text).map_err(|what| format!("{}: {what}", file.display()))?;
    let idp = provider(&settings.idps, idp)?;
    let subject = who(idp, &claims, subject)?;
    Ok(Identity {
        idp: idp.id().clone(),
        logout_name: subject.as_str().to_owned(),
        subject,
        claims,
        idp_session: None,
        authenticated_at: None,
        ends_at: None,
    })
}

fn read(file: &Path) -> std::io::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
}

/// A JSON object, or the payload of a JSON Web Token.
fn claims(text: &str) -> Result<Claims, String> {
    let text = text.trim();
    let map = match token_payload(text) {
        Some(map) => map,
        None => match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(map)) => map,
            Ok(_) => return Err("this is JSON, but no object of claims".to_owned()),
            Err(error) => return Err(format!("this is neither a JSON object nor a token: {error}")),
        },
    };
    Claims::new(map).map_err(|error| error.to_string())
}

fn token_payload(text: &str) -> Option<Map<String, Value>> {
    let mut parts = text.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

fn provider<'s>(idps: &'s [Idp], wanted: Option<&str>) -> Result<&'s Idp, String> {
    let known = || idps.iter().map(|idp| idp.id().as_str()).collect::<Vec<_>>().join(", ");
    match (wanted, idps) {
        (None, [only]) => Ok(only),
        (None, _) => {
            Err(format!("say which identity provider the claims are from: --idp, one of {}", known()))
        }
        (Some(wanted), idps) => idps
            .iter()
            .find(|idp| idp.id().as_str() == wanted)
            .ok_or_else(|| format!("there is no identity provider {wanted:?}; there is {}", known())),
    }
}

fn who(idp: &Idp, claims: &Claims, said: Option<&str>) -> Result<Subject, String> {
    let claim = match idp {
        Idp::Oidc(idp) => Some(idp.subject_claim.as_deref().unwrap_or("sub")),
        Idp::Saml(idp) => idp.subject_claim.as_deref(),
    };
    let found = match (said, claim) {
        (Some(said), _) => Some(said.to_owned()),
        (None, Some(claim)) => claims.first(claim),
        (None, None) => Some(SOMEBODY.to_owned()),
    };
    let found = found.ok_or_else(|| {
        let claim = claim.unwrap_or_default();
        format!("the claims have no `{claim}`, which says who it is; add it, or name somebody: --subject")
    })?;
    Subject::parse(&found)
        .ok_or_else(|| "the subject is longer than 255 bytes, empty or has control characters".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_an_object_or_the_payload_of_a_token() {
        let object = claims(" {\"sub\": \"ada\"}\n").unwrap();
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode("{\"sub\":\"ada\"}"));
        assert_eq!(claims(&token).unwrap(), object);
        for wrong in ["[]", "\"a\"", "a.b.c", "", "{\"a\": }"] {
            assert!(claims(wrong).is_err(), "{wrong}");
        }
    }
}
