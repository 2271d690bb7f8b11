//! What a provider says of itself: the discovery document, checked before anything in it is used.

use serde_json::{Map, Value};
use url::Url;

use super::error::{OidcError, shown};
use super::jws::name_of;
use crate::config::settings::{ClientAuth, OidcIdp};
use crate::identify::address;

/// The part of a discovery document (OpenID Connect Discovery 1.0, 3) that is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    pub authorization_endpoint: Url,
    pub token_endpoint: Url,
    pub jwks_uri: Url,
    pub userinfo_endpoint: Option<Url>,
    /// OpenID Connect RP-Initiated Logout 1.0, 2.1.
    pub end_session_endpoint: Option<Url>,
    /// RFC 9207, 3: every answer carries `iss`.
    pub announces_iss: bool,
    /// `token_endpoint_auth_methods_supported`, where said.
    auth_methods: Option<Vec<String>>,
    /// `id_token_signing_alg_values_supported`, where said.
    algorithms: Option<Vec<String>>,
}

/// Where the document of `issuer` lies.
#[must_use]
pub fn address(issuer: &Url) -> Url {
    let mut url = issuer.clone();
    // Discovery 4.1: a terminating slash of the issuer is removed before the path is appended.
    let base = url.path().strip_suffix('/').unwrap_or(url.path()).to_owned();
    url.set_path(&format!("{base}/.well-known/openid-configuration"));
    url
}

impl Metadata {
    /// Reads the document that was fetched for `issuer`.
    ///
    /// # Errors
    /// Where it is not a JSON object, is another issuer's, lacks an endpoint, or has one that is not safe.
    pub fn parse(body: &[u8], issuer: &str) -> Result<Self, OidcError> {
        let document: Map<String, Value> =
            serde_json::from_slice(body).map_err(|_| OidcError::DiscoveryNotJson)?;
        // Discovery 4.3: the issuer must be identical to the one that the address was made from; OpenID
        // Connect Core 2 compares it as a case-sensitive string.
        let found = document
            .get("issuer")
            .and_then(Value::as_str)
            .ok_or(OidcError::DiscoveryIncomplete { member: "issuer" })?;
        if found != issuer {
            return Err(OidcError::DiscoveryIssuerMismatch {
                expected: issuer.to_owned(),
                found: shown(found),
            });
        }
        let reader = Endpoints { document: &document, plain_allowed: address::is_plain_loopback(issuer) };
        Ok(Self {
            authorization_endpoint: reader.required("authorization_endpoint")?,
            token_endpoint: reader.required("token_endpoint")?,
            jwks_uri: reader.required("jwks_uri")?,
            userinfo_endpoint: reader.optional("userinfo_endpoint")?,
            end_session_endpoint: reader.optional("end_session_endpoint")?,
            announces_iss: document.get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
            auth_methods: texts(&document, "token_endpoint_auth_methods_supported"),
            algorithms: texts(&document, "id_token_signing_alg_values_supported"),
        })
    }

    /// What in the configuration of `idp` will not work with what the provider says of itself. Providers
    /// do not always say everything, so this is for whoever looks for a cause, not for refusing.
    #[must_use]
    pub fn advice(&self, idp: &OidcIdp) -> Vec<String> {
        let mut advice = Vec::new();
        let method = match idp.client_auth {
            ClientAuth::Basic(_) => Some("client_secret_basic"),
            ClientAuth::Post(_) => Some("client_secret_post"),
            // Taken by many that do not list it.
            ClientAuth::None => None,
        };
        if let (Some(method), Some(offered)) = (method, &self.auth_methods)
            && !offered.iter().any(|one| one == method)
        {
            let offered = shown(&offered.join(", "));
            advice.push(format!("client_auth is {method:?}, but the provider offers {offered}"));
        }
        if let Some(offered) = &self.algorithms {
            let allowed: Vec<String> = idp.id_token_algorithms.iter().map(|one| name_of(*one)).collect();
            if !allowed.iter().any(|one| offered.contains(one)) {
                let (allowed, offered) = (allowed.join(", "), shown(&offered.join(", ")));
                advice.push(format!(
                    "id_token_algorithms allows {allowed}, but the provider signs by {offered}"
                ));
            }
        }
        advice
    }
}

struct Endpoints<'a> {
    document: &'a Map<String, Value>,
    plain_allowed: bool,
}

impl Endpoints<'_> {
    fn required(&self, member: &'static str) -> Result<Url, OidcError> {
        self.optional(member)?.ok_or(OidcError::DiscoveryIncomplete { member })
    }

    fn optional(&self, member: &'static str) -> Result<Option<Url>, OidcError> {
        let text = match self.document.get(member) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text,
            Some(_) => return Err(OidcError::DiscoveryIncomplete { member }),
        };
        let refusal = || OidcError::EndpointNotSecure { member, url: shown(text) };
        address::of_provider(text, self.plain_allowed).map(Some).ok_or_else(refusal)
    }
}

/// The texts in a list; what is no list counts as not said.
fn texts(document: &Map<String, Value>, member: &str) -> Option<Vec<String>> {
    let list = document.get(member)?.as_array()?;
    Some(list.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://id.example/realms/a";

    fn good() -> Value {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://id.example/auth?tenant=1",
            "token_endpoint": "https://id.example/token",
            "jwks_uri": "https://id.example/keys",
            "userinfo_endpoint": "https://id.example/userinfo",
            "end_session_endpoint": "https://id.example/logout",
            "authorization_response_iss_parameter_supported": true,
        })
    }

    fn with(member: &str, value: Value) -> Result<Metadata, OidcError> {
        let mut document = good();
        document[member] = value;
        Metadata::parse(document.to_string().as_bytes(), ISSUER)
    }

    #[test]
    fn a_good_document_is_read() {
        let metadata = Metadata::parse(good().to_string().as_bytes(), ISSUER).unwrap();
        assert_eq!(metadata.authorization_endpoint.as_str(), "https://id.example/auth?tenant=1");
        assert_eq!(metadata.token_endpoint.as_str(), "https://id.example/token");
        assert_eq!(metadata.jwks_uri.as_str(), "https://id.example/keys");
        assert_eq!(metadata.userinfo_endpoint.unwrap().as_str(), "https://id.example/userinfo");
        assert_eq!(metadata.end_session_endpoint.unwrap().as_str(), "https://id.example/logout");
        assert!(metadata.announces_iss);
    }

    #[test]
    fn what_is_optional_may_be_absent() {
        for member in ["userinfo_endpoint", "end_session_endpoint"] {
            assert!(with(member, Value::Null).is_ok());
        }
        for value in [json!(false), json!("true"), Value::Null] {
            assert!(!with("authorization_response_iss_parameter_supported", value).unwrap().announces_iss);
        }
    }

    #[test]
    fn an_issuer_that_differs_in_one_character_is_refused() {
        for found in [
            "https://id.example/realms/a/",
            "https://id.example/realms/A",
            "https://ID.example/realms/a",
            "https://id.example:443/realms/a",
            "http://id.example/realms/a",
            "https://id.example/realms/b",
            "",
        ] {
            assert_eq!(
                with("issuer", json!(found)).err(),
                Some(OidcError::DiscoveryIssuerMismatch { expected: ISSUER.into(), found: found.into() })
            );
        }
        assert_eq!(
            with("issuer", json!([ISSUER])).err(),
            Some(OidcError::DiscoveryIncomplete { member: "issuer" })
        );
    }

    #[test]
    fn required_endpoints_that_are_absent_or_no_text_are_refused() {
        for member in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
            for value in [Value::Null, json!(1)] {
                assert_eq!(with(member, value).err(), Some(OidcError::DiscoveryIncomplete { member }));
            }
        }
    }

    #[test]
    fn lesson_34_endpoints_in_the_clear_or_of_odd_form_are_refused() {
        for member in [
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "userinfo_endpoint",
            "end_session_endpoint",
        ] {
            for url in [
                "http://id.example/x",
                "http://127.0.0.1/x",
                "http://localhost/x",
                "https://id.example/x#f",
                "https://u@id.example/x",
                "https://:p@id.example/x",
                "javascript:alert(1)",
                "file:///etc/passwd",
                "/relative",
                "",
            ] {
                assert_eq!(
                    with(member, json!(url)).err(),
                    Some(OidcError::EndpointNotSecure { member, url: url.into() }),
                    "{url}"
                );
            }
        }
    }

    #[test]
    fn a_plain_issuer_on_loopback_may_have_plain_endpoints_there_only() {
        let at = |issuer: &str, token: &str| {
            let document = json!({
                "issuer": issuer,
                "authorization_endpoint": "http://127.0.0.1:1/a",
                "token_endpoint": token,
                "jwks_uri": "http://[::1]:1/k",
            });
            Metadata::parse(document.to_string().as_bytes(), issuer)
        };
        for issuer in ["http://127.0.0.1:1", "http://localhost:1", "http://op.localhost", "http://[::1]"] {
            assert!(at(issuer, "http://localhost/t").is_ok(), "{issuer}");
            assert!(at(issuer, "http://id.example/t").is_err(), "{issuer}");
        }
        for issuer in ["https://127.0.0.1:1", "http://id.example", "http://xlocalhost", "http://10.0.0.1"] {
            assert!(at(issuer, "http://localhost/t").is_err(), "{issuer}");
        }
    }

    #[test]
    fn what_is_no_json_object_is_refused() {
        for body in ["", "<html>", "[]", "\"x\""] {
            assert_eq!(Metadata::parse(body.as_bytes(), ISSUER), Err(OidcError::DiscoveryNotJson));
        }
    }

    #[test]
    fn the_address_has_one_slash_whether_or_not_the_issuer_ends_in_one() {
        for (issuer, expected) in [
            ("https://id.example", "https://id.example/.well-known/openid-configuration"),
            ("https://id.example/", "https://id.example/.well-known/openid-configuration"),
            ("https://id.example/r/a", "https://id.example/r/a/.well-known/openid-configuration"),
        ] {
            assert_eq!(address(&Url::parse(issuer).unwrap()).as_str(), expected);
        }
    }
}
