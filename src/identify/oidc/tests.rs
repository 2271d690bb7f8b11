//! Sign-ins against a provider that can be told to misbehave: each refusal differs from a good one in one
//! thing.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use url::Url;

use super::testing::{CLIENT, CLIENT_SECRET, START, Scene, TestKey, at_hash};
use super::{OidcError, document};
use crate::config::settings::ClientAuth;
use crate::identify::{Answer, IdentityProtocol, LoginError};
use crate::model::{Secret, UnixTime};
use crate::platform::Tasks;
use crate::store::DocumentStore;

const DISCOVERY: &str = "/.well-known/openid-configuration";

fn oidc_error(error: LoginError) -> OidcError {
    match error {
        LoginError::Oidc(error) => error,
        other => panic!("{other:?}"),
    }
}

// ---- What works.

#[tokio::test]
async fn a_good_answer_gives_the_identity() {
    let scene = Scene::new().await;
    scene.op.behaviour().claims = Box::new(|claims| {
        claims["sid"] = json!("s1");
        claims["auth_time"] = json!(START - 5);
        claims["groups"] = json!(["staff"]);
    });
    let verified = scene.sign_in().await.unwrap();
    let identity = verified.identity();
    assert_eq!(identity.idp.as_str(), "corp");
    assert_eq!(identity.subject.as_str(), "ada");
    assert_eq!(identity.idp_session.as_deref(), Some("s1"));
    assert_eq!(identity.authenticated_at, Some(UnixTime(START - 5)));
    assert_eq!(identity.claims.first("groups").as_deref(), Some("staff"));
    assert_eq!(verified.logout_hint().unwrap().expose().split('.').count(), 3);
    // Everything wanted was in the ID token.
    assert_eq!(scene.op.hits("/userinfo"), 0);
}

#[tokio::test]
async fn the_request_carries_what_the_specifications_want() {
    let scene = Scene::with(|idp| {
        idp.acr_values = vec!["gold".to_owned(), "silver".to_owned()];
        idp.max_age = Some(Duration::from_mins(10));
    })
    .await;
    scene.op.behaviour().discovery = Box::new(|document| {
        let endpoint = format!("{}?tenant=1", document["authorization_endpoint"].as_str().unwrap());
        document["authorization_endpoint"] = json!(endpoint);
    });
    let begun = scene.oidc.begin(&scene.attempt(), "the-state").await.unwrap();
    let pairs: Vec<(String, String)> = begun.url().query_pairs().into_owned().collect();
    let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, "v".repeat(43).as_bytes()));
    let expected = [
        ("tenant", "1"),
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", "https://app.example/.narthex/oidc/corp/callback"),
        ("scope", "openid email"),
        ("state", "the-state"),
        ("nonce", "nonce-of-this-login"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("acr_values", "gold silver"),
        ("max_age", "600"),
    ];
    assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(begun.url().path(), "/authorize");
}

#[tokio::test]
async fn acr_and_max_age_are_asked_for_only_where_configured() {
    let scene = Scene::new().await;
    let begun = scene.oidc.begin(&scene.attempt(), "s").await.unwrap();
    assert!(!begun.url().query_pairs().any(|(name, _)| name == "acr_values" || name == "max_age"));
}

#[tokio::test]
async fn every_asymmetric_algorithm_that_is_allowed_verifies() {
    let all = [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ];
    for (key, hash) in [
        (TestKey::rsa("k", "RS256", 0), &digest::SHA256),
        (TestKey::rsa("k", "RS384", 0), &digest::SHA384),
        (TestKey::rsa("k", "RS512", 0), &digest::SHA512),
        (TestKey::rsa("k", "PS256", 0), &digest::SHA256),
        (TestKey::rsa("k", "PS384", 0), &digest::SHA384),
        (TestKey::rsa("k", "PS512", 0), &digest::SHA512),
        (TestKey::es256("k"), &digest::SHA256),
        (TestKey::es384("k"), &digest::SHA384),
        (TestKey::ed25519("k"), &digest::SHA512),
    ] {
        let scene = Scene::with(|idp| idp.id_token_algorithms = all.to_vec()).await;
        let alg = key.alg;
        scene.op.behaviour().key = key;
        scene.op.behaviour().claims = Box::new(move |claims| claims["at_hash"] = json!(at_hash(hash, "at")));
        assert!(scene.sign_in().await.is_ok(), "{alg}");
    }
}

// ---- The answer at the redirect URI.

#[tokio::test]
async fn an_answer_without_code_is_refused() {
    let scene = Scene::new().await;
    let refusal = scene.sign_in_with(|answer| answer.code = None).await.unwrap_err();
    assert_eq!(oidc_error(refusal), OidcError::CodeMissing);
}

#[tokio::test]
async fn a_refusal_by_the_provider_is_told_bounded_and_printable_and_without_what_it_says_of_the_person() {
    let scene = Scene::new().await;
    for (error, description, expected, code) in [
        ("access_denied", "AADSTS50105: The signed in user 'ada' is", "access_denied", Some("AADSTS50105")),
        ("access_denied", "ada@example.com is not assigned", "access_denied", None),
        (&format!("no\n{}", "x".repeat(500)), "", &format!("no\u{fffd}{}…", "x".repeat(97)), None),
    ] {
        let refusal = scene
            .sign_in_with(|answer| {
                answer.error = Some(error.to_owned());
                answer.error_description = Some(description.to_owned());
            })
            .await
            .unwrap_err();
        let code = code.map(str::to_owned);
        assert_eq!(oidc_error(refusal), OidcError::ProviderRefused { error: expected.to_owned(), code });
    }
    assert_eq!(scene.op.hits("/token"), 0);
}

#[tokio::test]
async fn rfc_9207_an_answer_of_another_issuer_is_refused_even_if_it_is_a_refusal() {
    let scene = Scene::new().await;
    let issuer = scene.op.issuer.clone();
    assert!(scene.sign_in_with(|answer| answer.iss = Some(issuer.clone())).await.is_ok());
    let refusal = scene
        .sign_in_with(|answer| {
            answer.iss = Some("https://evil.test".to_owned());
            answer.error = Some("access_denied".to_owned());
        })
        .await
        .unwrap_err();
    let expected =
        OidcError::IssParameterMismatch { expected: issuer.clone(), found: "https://evil.test".to_owned() };
    assert_eq!(oidc_error(refusal), expected);
}

#[tokio::test]
async fn rfc_9207_an_answer_without_the_announced_iss_is_refused() {
    let scene = Scene::new().await;
    scene.op.behaviour().discovery =
        Box::new(|document| document["authorization_response_iss_parameter_supported"] = json!(true));
    assert_eq!(scene.refusal().await, "iss_parameter_missing");
    let issuer = scene.op.issuer.clone();
    assert!(scene.sign_in_with(|answer| answer.iss = Some(issuer.clone())).await.is_ok());
}

// ---- The token endpoint.

#[tokio::test]
async fn a_code_that_was_used_already_is_refused() {
    let scene = Scene::new().await;
    let attempt = scene.attempt();
    let begun = scene.oidc.begin(&attempt, "s").await.unwrap();
    let answer = scene.op.authorise(begun.url());
    scene.oidc.finish(attempt.clone(), Answer::Oidc(answer.clone())).await.unwrap();
    let refusal = scene.oidc.finish(attempt, Answer::Oidc(answer)).await.unwrap_err();
    assert_eq!(oidc_error(refusal), OidcError::CodeRefused("invalid_grant".to_owned()));
}

#[tokio::test]
async fn a_code_that_was_given_for_another_verifier_is_refused() {
    let scene = Scene::new().await;
    let mut attempt = scene.attempt();
    let begun = scene.oidc.begin(&attempt, "s").await.unwrap();
    let answer = scene.op.authorise(begun.url());
    attempt.pkce_verifier = Secret::new("w".repeat(43));
    let refusal = scene.oidc.finish(attempt, Answer::Oidc(answer)).await.unwrap_err();
    assert_eq!(refusal.code(), "code_refused");
}

#[tokio::test]
async fn basic_authentication_encodes_id_and_secret_first() {
    let scene = Scene::new().await;
    scene.sign_in().await.unwrap();
    let (authorization, form) = scene.op.behaviour().exchanged.clone();
    let pair = "app%3A1:s3cret%25with%3Aodd%26characters%2Fof.32bytes";
    assert_eq!(authorization, Some(format!("Basic {}", STANDARD.encode(pair))));
    assert!(!form.contains_key("client_id") && !form.contains_key("client_secret"));
    assert_eq!(form["grant_type"], "authorization_code");
}

#[tokio::test]
async fn post_authentication_sends_id_and_secret_in_the_form() {
    let scene = Scene::with(|idp| idp.client_auth = ClientAuth::Post(Secret::new(CLIENT_SECRET))).await;
    scene.sign_in().await.unwrap();
    let (authorization, form) = scene.op.behaviour().exchanged.clone();
    assert_eq!(authorization, None);
    assert_eq!((form["client_id"].as_str(), form["client_secret"].as_str()), (CLIENT, CLIENT_SECRET));
}

#[tokio::test]
async fn a_public_client_sends_its_id_alone() {
    let scene = Scene::with(|idp| idp.client_auth = ClientAuth::None).await;
    scene.sign_in().await.unwrap();
    let (authorization, form) = scene.op.behaviour().exchanged.clone();
    assert_eq!((authorization, form["client_id"].as_str()), (None, CLIENT));
    assert!(!form.contains_key("client_secret"));
}

#[tokio::test]
async fn what_the_token_endpoint_says_instead_of_tokens_is_refused_by_name() {
    let json_of = |body: Value| ("application/json", body.to_string());
    for (status, (media_type, body), expected) in [
        (200, ("text/html", "<html>".to_owned()), OidcError::TokenAnswerMalformed("it is no JSON object")),
        (500, ("text/html", "<html>".to_owned()), OidcError::TokenEndpointStatus { status: 500 }),
        (302, json_of(json!({})), OidcError::TokenEndpointStatus { status: 302 }),
        (201, json_of(json!({"id_token": "x"})), OidcError::TokenEndpointStatus { status: 201 }),
        (
            200,
            json_of(json!({"id_token": "a", "token_type": "Bearer"})),
            OidcError::TokenAnswerMalformed("it has no `access_token`"),
        ),
        (
            200,
            json_of(json!({"id_token": "a", "access_token": "b"})),
            OidcError::TokenAnswerMalformed("it has no `token_type`"),
        ),
        (
            200,
            json_of(json!({"id_token": "a", "access_token": "b", "token_type": "DPoP"})),
            OidcError::TokenTypeUnsupported("DPoP".to_owned()),
        ),
        (200, json_of(json!({"access_token": "b", "token_type": "bearer"})), OidcError::IdTokenMissing),
        (
            200,
            json_of(json!({"access_token": "b", "token_type": "bearer", "id_token": ""})),
            OidcError::IdTokenMissing,
        ),
        (400, json_of(json!({"error": "invalid_grant"})), OidcError::CodeRefused("invalid_grant".to_owned())),
        (
            401,
            json_of(json!({"error": "invalid_client"})),
            OidcError::ClientRefused("invalid_client".to_owned()),
        ),
        (
            400,
            json_of(json!({"error": "unauthorized_client"})),
            OidcError::ClientRefused("unauthorized_client".to_owned()),
        ),
        (
            400,
            json_of(json!({"error": "invalid_scope"})),
            OidcError::TokenRequestRefused("invalid_scope".to_owned()),
        ),
        // An error under status 200.
        (200, json_of(json!({"error": "slow_down"})), OidcError::TokenRequestRefused("slow_down".to_owned())),
    ] {
        let scene = Scene::new().await;
        scene.op.behaviour().instead.insert("/token", (status, media_type, body));
        assert_eq!(oidc_error(scene.sign_in().await.unwrap_err()), expected);
    }
}

#[tokio::test]
async fn invariant_8_a_token_endpoint_that_echoes_secrets_does_not_bring_them_into_the_log() {
    for sent in [CLIENT_SECRET, "code-1", &"v".repeat(43)] {
        let scene = Scene::new().await;
        let body = json!({"error": format!("bad <{sent}>")}).to_string();
        scene.op.behaviour().instead.insert("/token", (400, "application/json", body));
        let refusal = oidc_error(scene.sign_in().await.unwrap_err());
        assert_eq!(refusal, OidcError::TokenRequestRefused("bad <[secret]>".to_owned()));
    }
}

#[tokio::test]
async fn the_error_of_a_client_without_secret_is_told_as_it_is() {
    let scene = Scene::with(|idp| idp.client_auth = ClientAuth::None).await;
    let body = json!({"error": "temporarily_unavailable"}).to_string();
    scene.op.behaviour().instead.insert("/token", (400, "application/json", body));
    let refusal = oidc_error(scene.sign_in().await.unwrap_err());
    assert_eq!(refusal, OidcError::TokenRequestRefused("temporarily_unavailable".to_owned()));
}

#[tokio::test]
async fn a_token_endpoint_that_answers_too_much_is_refused() {
    let scene = Scene::new().await;
    let body = " ".repeat(crate::platform::outbound::MAX_ANSWER + 1);
    scene.op.behaviour().instead.insert("/token", (200, "application/json", body));
    assert_eq!(scene.refusal().await, "token_endpoint_unreachable");
}

#[tokio::test]
async fn a_token_endpoint_that_never_answers_is_given_up() {
    let mut scene = Scene::new().await;
    Arc::get_mut(&mut scene.oidc).unwrap().exchange_timeout = Duration::from_millis(50);
    scene.op.behaviour().silent.insert("/token");
    assert_eq!(scene.refusal().await, "token_endpoint_unreachable");
}

// ---- Signature and keys.

#[tokio::test]
async fn tokens_signed_in_ways_that_are_not_allowed_are_refused() {
    let secret = CLIENT_SECRET.as_bytes();
    for (key, alg) in [
        (TestKey::none("none"), "none"),
        (TestKey::none("NoNe"), "NoNe"),
        (TestKey::shared("HS256", secret), "HS256"),
        (TestKey::shared("HS512", secret), "HS512"),
        (TestKey::es384("k1"), "ES384"),
        (TestKey::rsa("k1", "PS256", 0), "PS256"),
        (TestKey::ed25519("k1"), "EdDSA"),
    ] {
        let scene = Scene::new().await;
        scene.op.behaviour().published = Some(vec![TestKey::es256("k0").jwk(), key.jwk()]);
        scene.op.behaviour().key = key;
        let refusal = oidc_error(scene.sign_in().await.unwrap_err());
        assert_eq!(refusal, OidcError::AlgorithmNotAllowed(alg.to_owned()));
    }
}

#[tokio::test]
async fn a_public_key_is_never_an_hmac_secret_even_where_hmac_is_allowed() {
    let scene = Scene::with(|idp| idp.id_token_algorithms = vec![Algorithm::RS256, Algorithm::HS256]).await;
    let public = TestKey::rsa("k1", "RS256", 0);
    for secret in [public.public_der(), public.jwk().to_string().into_bytes(), Vec::new()] {
        scene.op.behaviour().published = Some(vec![public.jwk()]);
        scene.op.behaviour().key = TestKey::shared("HS256", &secret);
        scene.op.behaviour().header = Box::new(|header| header["kid"] = json!("k1"));
        assert_eq!(scene.refusal().await, "signature_invalid");
    }
}

#[tokio::test]
async fn a_symmetric_key_in_the_published_set_is_never_used() {
    let scene = Scene::with(|idp| idp.id_token_algorithms = vec![Algorithm::ES256, Algorithm::HS256]).await;
    let shared = TestKey::shared("HS256", &[9; 32]);
    scene.op.behaviour().published = Some(vec![TestKey::es256("k0").jwk(), shared.jwk()]);
    scene.op.behaviour().key = shared;
    assert_eq!(scene.refusal().await, "signature_invalid");
}

#[tokio::test]
async fn hmac_that_is_configured_verifies_with_the_client_secret() {
    for (alg, algorithm, length) in
        [("HS256", Algorithm::HS256, 32), ("HS384", Algorithm::HS384, 48), ("HS512", Algorithm::HS512, 64)]
    {
        for client_auth in [ClientAuth::Basic, ClientAuth::Post] {
            let secret = "x".repeat(length);
            let scene = Scene::with(|idp| {
                idp.id_token_algorithms = vec![algorithm];
                idp.client_auth = client_auth(Secret::new(secret.as_str()));
            })
            .await;
            scene.op.behaviour().key = TestKey::shared(alg, secret.as_bytes());
            assert!(scene.sign_in().await.is_ok(), "{alg}");
            // Keys are not even asked for.
            assert_eq!(scene.op.hits("/keys"), 0);
            scene.oidc.refresh().await.unwrap();
            assert!(scene.oidc.ready());
            assert_eq!(scene.op.hits("/keys"), 0);

            let short = "x".repeat(length - 1);
            let scene = Scene::with(|idp| {
                idp.id_token_algorithms = vec![algorithm];
                idp.client_auth = client_auth(Secret::new(short.as_str()));
            })
            .await;
            scene.op.behaviour().key = TestKey::shared(alg, short.as_bytes());
            let refusal = oidc_error(scene.sign_in().await.unwrap_err());
            assert_eq!(
                refusal,
                OidcError::ClientSecretTooShort { algorithm: alg.to_owned(), needed: length }
            );
        }
    }
}

#[tokio::test]
async fn hmac_of_a_client_without_secret_is_refused() {
    let scene = Scene::with(|idp| {
        idp.id_token_algorithms = vec![Algorithm::HS256];
        idp.client_auth = ClientAuth::None;
    })
    .await;
    scene.op.behaviour().key = TestKey::shared("HS256", b"");
    assert_eq!(scene.refusal().await, "client_secret_too_short");
}

#[tokio::test]
async fn a_token_signed_by_another_key_under_a_known_name_is_refused() {
    for (published, signing) in [
        (TestKey::es256("k1"), TestKey::es256("k1")),
        (TestKey::rsa("k1", "RS256", 0), TestKey::rsa("k1", "RS256", 1)),
    ] {
        let scene = Scene::new().await;
        scene.op.behaviour().published = Some(vec![published.jwk()]);
        scene.op.behaviour().key = signing;
        assert_eq!(scene.refusal().await, "signature_invalid");
    }
}

#[tokio::test]
async fn a_token_whose_payload_was_changed_after_signing_is_refused() {
    let scene = Scene::new().await;
    scene.op.behaviour().tokens = Box::new(|tokens| {
        let token = tokens["id_token"].as_str().unwrap().to_owned();
        let parts: Vec<&str> = token.split('.').collect();
        let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        claims["sub"] = json!("eve");
        let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
        tokens["id_token"] = json!(format!("{}.{payload}.{}", parts[0], parts[2]));
    });
    assert_eq!(scene.refusal().await, "signature_invalid");
}

#[tokio::test]
async fn a_token_without_signature_is_refused() {
    let scene = Scene::new().await;
    scene.op.behaviour().tokens = Box::new(|tokens| {
        let token = tokens["id_token"].as_str().unwrap().to_owned();
        tokens["id_token"] = json!(format!("{}.", token.rsplit_once('.').unwrap().0));
    });
    assert_eq!(scene.refusal().await, "signature_invalid");
}

#[tokio::test]
async fn a_key_that_the_token_brings_itself_is_not_looked_at() {
    let scene = Scene::new().await;
    let own = TestKey::es256("mine");
    let jwk = own.jwk();
    scene.op.behaviour().published = Some(vec![TestKey::es256("k0").jwk()]);
    scene.op.behaviour().key = own;
    scene.op.behaviour().header = Box::new(move |header| {
        header.insert("jwk".to_owned(), jwk.clone());
    });
    assert_eq!(scene.refusal().await, "key_unknown");
}

#[tokio::test]
async fn keys_that_are_not_for_this_are_not_used() {
    for (name, value) in [
        ("use", json!("enc")),
        ("use", json!(1)),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!("verify")),
        ("alg", json!("ES384")),
        ("alg", json!("ECDH-ES")),
        ("alg", json!(1)),
        ("kty", json!("RSA")),
        ("kty", json!("OKP")),
        ("crv", json!("P-384")),
        ("crv", json!("P-521")),
        ("crv", Value::Null),
        ("x", json!("AA")),
        ("y", json!("AA")),
        ("y", json!("%")),
        ("kid", json!(7)),
        ("kid", json!("k2")),
    ] {
        let scene = Scene::new().await;
        let mut jwk = scene.op.behaviour().key.jwk();
        jwk[name] = value.clone();
        scene.op.behaviour().published = Some(vec![TestKey::es256("k0").jwk(), jwk]);
        assert_eq!(scene.refusal().await, "key_unknown", "{name} {value}");
    }
    let scene = Scene::new().await;
    let mut jwk = scene.op.behaviour().key.jwk();
    jwk["key_ops"] = json!(["sign", "verify"]);
    for name in ["use", "alg"] {
        jwk.as_object_mut().unwrap().remove(name);
    }
    scene.op.behaviour().published = Some(vec![json!("no object"), jwk]);
    assert!(scene.sign_in().await.is_ok());
}

#[tokio::test]
async fn rsa_keys_outside_2048_to_8192_bits_are_not_used() {
    let modulus = |bits: usize| {
        let mut n = vec![0xff; bits.div_ceil(8)];
        n[0] >>= bits.div_ceil(8) * 8 - bits;
        n
    };
    let parsed = |n: &[u8]| {
        let set = json!({"keys": [{"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(n), "e": "AQAB"}]});
        super::keys::KeySet::parse(set.to_string().as_bytes(), &[Algorithm::RS256]).err()
    };
    for bits in [2048, 2049, 4096, 8192] {
        assert_eq!(parsed(&modulus(bits)), None, "{bits}");
    }
    for bits in [8, 512, 1024, 2040, 2047, 8193] {
        assert_eq!(parsed(&modulus(bits)), Some(OidcError::NoUsableKey), "{bits}");
    }
    // Leading zeros are no bits.
    assert_eq!(parsed(&[vec![0; 128], modulus(1024)].concat()), Some(OidcError::NoUsableKey));
    assert_eq!(parsed(&[0; 256]), Some(OidcError::NoUsableKey));
}

#[tokio::test]
async fn what_is_no_key_set_is_refused_by_name() {
    for (status, body, expected) in [
        (200, "<html>", "keys_malformed"),
        (200, "[]", "keys_malformed"),
        (200, r#"{"keys":{}}"#, "keys_malformed"),
        (200, r#"{"keys":[]}"#, "no_usable_key"),
        (500, r#"{"keys":[]}"#, "keys_status"),
    ] {
        let scene = Scene::new().await;
        scene.op.behaviour().instead.insert("/keys", (status, "application/json", body.to_owned()));
        assert_eq!(scene.refusal().await, expected, "{body}");
        assert!(!scene.oidc.ready());
    }
}

#[tokio::test]
async fn of_a_huge_key_set_only_the_first_hundred_keys_count() {
    let scene = Scene::new().await;
    let filler = |count: usize| std::iter::repeat_n(json!({"kty": "oct"}), count);
    let good = scene.op.behaviour().key.jwk();
    scene.op.behaviour().published = Some(filler(100).chain([good.clone()]).collect());
    assert_eq!(scene.refusal().await, "no_usable_key");
    scene.op.behaviour().published = Some(filler(99).chain([good]).collect());
    assert!(scene.sign_in().await.is_ok());
}

#[tokio::test]
async fn core_10_1_a_token_without_kid_needs_that_one_key_only_fits() {
    let scene = Scene::new().await;
    let without_kid = |scene: &Scene| {
        scene.op.behaviour().header = Box::new(|header| {
            header.remove("kid");
        });
    };
    without_kid(&scene);
    // Keys for other algorithms are no matter.
    let good = scene.op.behaviour().key.jwk();
    scene.op.behaviour().published = Some(vec![TestKey::rsa("r", "RS256", 0).jwk(), good.clone()]);
    assert!(scene.sign_in().await.is_ok());

    let scene = Scene { oidc: scene.restarted(), ..scene };
    scene.op.behaviour().published = Some(vec![good, TestKey::es256("k2").jwk()]);
    scene.oidc.refresh().await.unwrap();
    let refusal = oidc_error(scene.sign_in().await.unwrap_err());
    assert_eq!(refusal, OidcError::KeyAmbiguous { count: 2, algorithm: "ES256".to_owned() });
}

#[tokio::test]
async fn two_keys_of_one_name_are_both_tried() {
    let scene = Scene::new().await;
    let good = scene.op.behaviour().key.jwk();
    scene.op.behaviour().published =
        Some(vec![TestKey::rsa("k1", "RS256", 0).jwk(), TestKey::es256("k1").jwk(), good]);
    assert!(scene.sign_in().await.is_ok());
}

#[tokio::test]
async fn a_key_that_came_into_use_while_we_run_is_fetched() {
    let scene = Scene::new().await;
    scene.sign_in().await.unwrap();
    scene.clock.advance(10);
    scene.op.behaviour().key = TestKey::es256("k2");
    assert!(scene.sign_in().await.is_ok());
    assert_eq!(scene.op.hits("/keys"), 2);
}

#[tokio::test]
async fn a_new_key_under_an_old_name_is_fetched_too() {
    let scene = Scene::new().await;
    scene.sign_in().await.unwrap();
    scene.clock.advance(10);
    scene.op.behaviour().key = TestKey::es256("k1");
    assert!(scene.sign_in().await.is_ok());
}

#[tokio::test]
async fn unknown_keys_make_us_fetch_at_most_every_ten_seconds() {
    let scene = Scene::new().await;
    scene.sign_in().await.unwrap();
    scene.op.behaviour().header = Box::new(|header| header["kid"] = json!("invented"));
    scene.clock.advance(9);
    for _ in 0..5 {
        assert_eq!(scene.refusal().await, "key_unknown");
    }
    assert_eq!(scene.op.hits("/keys"), 1);
    scene.clock.advance(1);
    for _ in 0..5 {
        assert_eq!(scene.refusal().await, "key_unknown");
    }
    assert_eq!(scene.op.hits("/keys"), 2);
    // A clock that was set back does not block it.
    scene.clock.advance(-3600);
    assert_eq!(scene.refusal().await, "key_unknown");
    assert_eq!(scene.op.hits("/keys"), 3);
    assert_eq!(document::REFETCH_AFTER, Duration::from_secs(10));
}

#[tokio::test]
async fn many_sign_ins_after_a_rotation_fetch_the_keys_once_and_all_succeed() {
    let scene = Scene::new().await;
    scene.sign_in().await.unwrap();
    scene.clock.advance(10);
    scene.op.behaviour().key = TestKey::es256("k2");
    let all = futures_util::future::join_all((0..20).map(|_| scene.sign_in())).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(scene.op.hits("/keys"), 2);
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_anew_leave_the_old_ones_in_use() {
    let scene = Scene::new().await;
    scene.sign_in().await.unwrap();
    scene.clock.advance(10);
    scene.op.behaviour().instead.insert("/keys", (500, "text/plain", String::new()));
    assert!(scene.oidc.refresh().await.is_err());
    assert!(scene.sign_in().await.is_ok());
}

// ---- The token's header.

#[tokio::test]
async fn lesson_23_an_access_or_logout_token_does_not_pass_for_an_id_token() {
    for typ in ["at+jwt", "logout+jwt", "dpop+jwt", "JOSE"] {
        let scene = Scene::new().await;
        scene.op.behaviour().header = Box::new(move |header| {
            header.insert("typ".to_owned(), json!(typ));
        });
        let refusal = oidc_error(scene.sign_in().await.unwrap_err());
        assert_eq!(refusal, OidcError::TokenTypeUnexpected(typ.to_owned()));
    }
}

#[tokio::test]
async fn an_encrypted_token_is_refused_by_name() {
    let scene = Scene::new().await;
    scene.op.behaviour().tokens = Box::new(|tokens| tokens["id_token"] = json!("a.b.c.d.e"));
    assert_eq!(scene.refusal().await, "token_encrypted");
}

// ---- Claims, by way of a whole sign-in; the table of all is beside the checks.

#[tokio::test]
async fn the_expectations_of_a_sign_in_reach_the_checks() {
    for (name, value, expected) in [
        ("iss", json!("https://evil.test"), "issuer_mismatch"),
        ("aud", json!("another"), "audience_mismatch"),
        ("azp", json!("another"), "authorized_party_mismatch"),
        ("exp", json!(START - 60), "expired"),
        ("iat", json!(START + 61), "issued_in_future"),
        ("iat", json!(START - 61), "issued_before_login"),
        ("nbf", json!(START + 61), "not_yet_valid"),
        ("nonce", json!("nonce-of-that-login"), "nonce_mismatch"),
        ("at_hash", json!(at_hash(&digest::SHA256, "another")), "access_token_hash_mismatch"),
        ("sub", json!(""), "subject_malformed"),
        ("sid", json!(7), "claim_malformed"),
    ] {
        let scene = Scene::new().await;
        scene.op.behaviour().claims = Box::new(move |claims| claims[name] = value.clone());
        assert_eq!(scene.refusal().await, expected, "{name}");
    }
    for (value, expected) in [(json!("gold"), None), (json!("bronze"), Some("acr_mismatch"))] {
        let scene = Scene::with(|idp| idp.acr_values = vec!["gold".to_owned()]).await;
        scene.op.behaviour().claims = Box::new(move |claims| claims["acr"] = value.clone());
        assert_eq!(scene.sign_in().await.err().map(|error| error.code()), expected);
    }
    for (value, expected) in [(json!(START - 660), None), (json!(START - 661), Some("auth_time_too_old"))] {
        let scene = Scene::with(|idp| idp.max_age = Some(Duration::from_mins(10))).await;
        scene.op.behaviour().claims = Box::new(move |claims| claims["auth_time"] = value.clone());
        assert_eq!(scene.sign_in().await.err().map(|error| error.code()), expected);
    }
}

#[tokio::test]
async fn invariant_9_claims_beyond_the_bounds_are_refused() {
    let scene = Scene::new().await;
    scene.op.behaviour().claims = Box::new(|claims| {
        for n in 0..300 {
            claims[format!("c{n}")] = json!(n);
        }
    });
    assert_eq!(scene.refusal().await, "too_many_claims");
}

#[tokio::test]
async fn the_subject_may_be_another_claim() {
    for (value, expected) in [
        (json!("oid-1"), Ok("oid-1")),
        (json!(42), Ok("42")),
        (Value::Null, Err("subject_claim_missing")),
        (json!(["a"]), Err("subject_claim_missing")),
        (json!(true), Err("subject_claim_missing")),
        (json!(""), Err("subject_malformed")),
    ] {
        let scene = Scene::with(|idp| idp.subject_claim = Some("ids.oid".to_owned())).await;
        scene.op.behaviour().claims = Box::new(move |claims| claims["ids"] = json!({ "oid": value }));
        let outcome = scene.sign_in().await;
        let outcome = outcome.as_ref().map(|v| v.identity().subject.as_str()).map_err(LoginError::code);
        assert_eq!(outcome, expected);
    }
}

// ---- Userinfo.

/// The ID token lacks the e-mail address, so that userinfo is asked.
async fn scene_with_userinfo() -> Scene {
    let scene = Scene::new().await;
    scene.op.behaviour().claims = Box::new(|claims| {
        claims.as_object_mut().unwrap().remove("email");
    });
    scene
}

#[tokio::test]
async fn missing_claims_come_from_userinfo() {
    let scene = scene_with_userinfo().await;
    let verified = scene.sign_in().await.unwrap();
    let claims = &verified.identity().claims;
    assert_eq!(claims.first("email").as_deref(), Some("ada@example.com"));
    assert_eq!(claims.first("groups").as_deref(), Some("staff"));
    // The ID token's flag stood beside no address.
    assert_eq!(claims.at("email_verified"), None);
    assert_eq!(scene.op.hits("/userinfo"), 1);
}

#[tokio::test]
async fn whether_the_email_is_verified_is_asked_only_where_it_counts() {
    for (trust_email, asked) in [(false, 1), (true, 0)] {
        let scene = Scene::with(|idp| idp.trust_email = trust_email).await;
        scene.op.behaviour().claims = Box::new(|claims| {
            claims.as_object_mut().unwrap().remove("email_verified");
        });
        scene.sign_in().await.unwrap();
        assert_eq!(scene.op.hits("/userinfo"), asked);
    }
}

#[tokio::test]
async fn a_provider_without_userinfo_endpoint_is_not_asked() {
    let scene = scene_with_userinfo().await;
    scene.op.behaviour().discovery = Box::new(|document| document["userinfo_endpoint"] = Value::Null);
    let verified = scene.sign_in().await.unwrap();
    assert_eq!(verified.identity().claims.first("email"), None);
}

#[tokio::test]
async fn userinfo_that_is_not_good_is_refused_by_name() {
    let json_of = |body: &str| ("application/json", body.to_owned());
    for (status, (media_type, body), expected) in [
        (500, json_of("{}"), "userinfo_status"),
        (204, json_of("{}"), "userinfo_status"),
        (200, json_of("[]"), "userinfo_malformed"),
        (200, ("text/html", r#"{"sub":"ada"}"#.to_owned()), "userinfo_malformed"),
        (200, json_of(r#"{"sub":"eve","email":"ada@example.com"}"#), "userinfo_subject_mismatch"),
        (200, json_of(r#"{"email":"ada@example.com"}"#), "userinfo_subject_mismatch"),
        (200, ("application/jwt", "nonsense".to_owned()), "userinfo_token"),
    ] {
        let scene = scene_with_userinfo().await;
        scene.op.behaviour().instead.insert("/userinfo", (status, media_type, body.clone()));
        assert_eq!(scene.refusal().await, expected, "{status} {media_type} {body}");
    }
}

#[tokio::test]
async fn signed_userinfo_is_verified_as_the_id_token_is() {
    let scene = scene_with_userinfo().await;
    let key = scene.op.behaviour().key.clone();
    scene.op.behaviour().userinfo_key = Some(key);
    let verified = scene.sign_in().await.unwrap();
    assert_eq!(verified.identity().claims.first("email").as_deref(), Some("ada@example.com"));

    for (name, value, expected) in [
        ("iss", json!("https://evil.test"), "issuer_mismatch"),
        ("iss", Value::Null, "claim_missing"),
        ("aud", json!("another"), "audience_mismatch"),
    ] {
        scene.op.behaviour().userinfo = Box::new(move |claims| claims[name] = value.clone());
        let OidcError::UserinfoToken(inner) = oidc_error(scene.sign_in().await.unwrap_err()) else {
            panic!()
        };
        assert_eq!(inner.code(), expected);
    }
    scene.op.behaviour().userinfo = Box::new(|_| {});
    scene.op.behaviour().userinfo_key = Some(TestKey::es256("k1"));
    let refusal = oidc_error(scene.sign_in().await.unwrap_err());
    assert_eq!(refusal, OidcError::UserinfoToken(Box::new(OidcError::SignatureInvalid)));
}

#[tokio::test]
async fn invariant_9_userinfo_cannot_bring_more_claims_than_are_taken() {
    let scene = scene_with_userinfo().await;
    scene.op.behaviour().userinfo = Box::new(|claims| claims["big"] = json!("x".repeat(70_000)));
    assert_eq!(scene.refusal().await, "too_many_claims");
}

// ---- Discovery, and providers that are away.

#[tokio::test]
async fn a_discovery_document_that_is_not_good_is_refused_by_name() {
    for (status, body, expected) in [
        (404, "{}", "discovery_status"),
        (302, "{}", "discovery_status"),
        (200, "<html>", "discovery_not_json"),
        (200, r#"{"issuer":"https://evil.test"}"#, "discovery_issuer_mismatch"),
    ] {
        let scene = Scene::new().await;
        scene.op.behaviour().instead.insert(DISCOVERY, (status, "application/json", body.to_owned()));
        assert_eq!(scene.refusal().await, expected, "{body}");
        assert!(!scene.oidc.ready());
    }
}

#[tokio::test]
async fn what_in_the_configuration_does_not_fit_the_provider_is_told() {
    let secret = || Secret::new(CLIENT_SECRET);
    for (client_auth, offered, fits) in [
        (ClientAuth::Basic(secret()), json!(["private_key_jwt", "client_secret_post"]), false),
        (ClientAuth::Basic(secret()), json!(["client_secret_basic"]), true),
        (ClientAuth::Post(secret()), json!(["client_secret_basic"]), false),
        (ClientAuth::Post(secret()), json!(["client_secret_post"]), true),
        (ClientAuth::None, json!(["client_secret_basic"]), true),
        (ClientAuth::Basic(secret()), Value::Null, true),
    ] {
        let scene = Scene::with(|idp| idp.client_auth = client_auth.clone()).await;
        let member = "token_endpoint_auth_methods_supported";
        scene.op.behaviour().discovery = Box::new(move |document| document[member] = offered.clone());
        scene.oidc.refresh().await.unwrap();
        let advice = scene.oidc.metadata.current().unwrap().advice(&scene.oidc.idp);
        assert_eq!(advice.is_empty(), fits, "{advice:?}");
    }
    for (offered, fits) in [(json!(["ES512", "HS256"]), false), (json!(["PS256", "ES256"]), true)] {
        let scene = Scene::new().await;
        let member = "id_token_signing_alg_values_supported";
        scene.op.behaviour().discovery = Box::new(move |document| document[member] = offered.clone());
        scene.oidc.refresh().await.unwrap();
        let advice = scene.oidc.metadata.current().unwrap().advice(&scene.oidc.idp);
        let expected = "id_token_algorithms allows RS256, ES256, but the provider signs by ES512, HS256";
        assert_eq!(advice, if fits { vec![] } else { vec![expected.to_owned()] });
    }
}

#[tokio::test]
async fn a_provider_that_is_down_and_was_never_seen_is_an_error_that_says_so() {
    let scene = Scene::new().await;
    scene.op.stop();
    assert_eq!(scene.refusal().await, "discovery_unavailable");
}

#[tokio::test]
async fn a_provider_that_never_answers_is_given_up() {
    let mut scene = Scene::new().await;
    Arc::get_mut(&mut scene.oidc).unwrap().metadata.set_timeout(Duration::from_millis(50));
    scene.op.behaviour().silent.insert(DISCOVERY);
    assert_eq!(scene.refusal().await, "discovery_unavailable");
}

#[tokio::test]
async fn lesson_39_the_last_good_documents_survive_a_restart_while_the_provider_is_down() {
    let scene = Scene::new().await;
    scene.oidc.refresh().await.unwrap();
    for path in [DISCOVERY, "/keys"] {
        scene.op.behaviour().instead.insert(path, (503, "text/plain", String::new()));
    }
    let scene = Scene { oidc: scene.restarted(), ..scene };
    assert!(!scene.oidc.ready());
    assert!(scene.sign_in().await.is_ok());
    assert!(scene.oidc.ready());
    assert_eq!(scene.op.hits(DISCOVERY), 1);
}

#[tokio::test]
async fn lesson_39_a_last_good_copy_that_is_damaged_does_not_stop_anything() {
    let scene = Scene::new().await;
    scene.oidc.refresh().await.unwrap();
    for what in ["discovery", "keys"] {
        let digest = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, scene.op.issuer.as_bytes()));
        let name = format!("oidc/corp/{digest}/{what}");
        assert!(scene.store.find_document(&name).await.unwrap().is_some());
        scene.store.put_document(&name, b"<html>", UnixTime(START)).await.unwrap();
    }
    let scene = Scene { oidc: scene.restarted(), ..scene };
    assert!(scene.sign_in().await.is_ok());
    assert_eq!(scene.op.hits(DISCOVERY), 2);
}

#[tokio::test]
async fn lesson_17_keys_kept_for_one_issuer_are_not_used_for_another_of_the_same_name() {
    let scene = Scene::new().await;
    scene.oidc.refresh().await.unwrap();
    let issuer = scene.op.issuer.replace("127.0.0.1", "localhost");
    scene.op.stop();
    let oidc = scene.reconfigured(|idp| idp.issuer_text.clone_from(&issuer));
    oidc.metadata.restore().await;
    oidc.keys.restore().await;
    assert!(oidc.metadata.current().is_none() && oidc.keys.current().is_none());
}

#[tokio::test]
async fn many_sign_ins_at_once_read_the_documents_once() {
    let scene = Scene::new().await;
    let all = futures_util::future::join_all((0..20).map(|_| scene.sign_in())).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!((scene.op.hits(DISCOVERY), scene.op.hits("/keys")), (1, 1));
}

#[tokio::test]
async fn many_sign_ins_at_once_share_one_failure() {
    let scene = Scene::new().await;
    scene.op.behaviour().instead.insert(DISCOVERY, (503, "text/plain", String::new()));
    let all = futures_util::future::join_all((0..20).map(|_| scene.sign_in())).await;
    assert!(all.iter().all(|one| one.as_ref().is_err_and(|error| error.code() == "discovery_status")));
    assert_eq!(scene.op.hits(DISCOVERY), 1);
    // The next one asks again.
    scene.op.behaviour().instead.clear();
    assert!(scene.sign_in().await.is_ok());
}

/// Waits for what a task in the background does; one that never does it fails the test instead of hanging it.
async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap();
}

#[tokio::test]
async fn lesson_39_a_provider_that_comes_up_later_is_found_without_anybody_asking() {
    let mut scene = Scene::new().await;
    Arc::get_mut(&mut scene.oidc).unwrap().first_pause = Duration::from_millis(1);
    scene.op.behaviour().instead.insert(DISCOVERY, (503, "text/plain", String::new()));
    let tasks = Tasks::on(tokio::runtime::Handle::current());
    scene.oidc.spawn(&tasks);
    until(|| scene.op.hits(DISCOVERY) >= 3).await;
    assert!(!scene.oidc.ready());
    scene.op.behaviour().instead.clear();
    until(|| scene.oidc.ready()).await;
    tasks.finish().await;
}

#[tokio::test]
async fn lesson_39_the_background_task_starts_from_the_last_good_copy() {
    let scene = Scene::new().await;
    scene.oidc.refresh().await.unwrap();
    scene.op.stop();
    let oidc = scene.restarted();
    let tasks = Tasks::on(tokio::runtime::Handle::current());
    oidc.spawn(&tasks);
    until(|| oidc.ready()).await;
    tasks.finish().await;
}

// ---- Logout.

#[tokio::test]
async fn logout_leads_to_the_provider_and_back() {
    let scene = Scene::new().await;
    let back = Url::parse("https://app.example/").unwrap();
    // Nothing is known of the provider yet, and nobody waits for it.
    assert_eq!(scene.oidc.logout(Some("hint"), &back, "s").await, None);
    assert_eq!(scene.op.hits(DISCOVERY), 0);
    scene.oidc.refresh().await.unwrap();
    let departure = scene.oidc.logout(Some("hint"), &back, "s").await.unwrap();
    let url = departure.url();
    assert!(url.as_str().starts_with(&format!("{}/logout?", scene.op.issuer)));
    assert!(url.query_pairs().any(|(name, value)| name == "client_id" && value == CLIENT));
}

#[tokio::test]
async fn logout_stays_here_where_the_provider_has_no_endpoint_for_it() {
    let scene = Scene::new().await;
    scene.op.behaviour().discovery = Box::new(|document| document["end_session_endpoint"] = Value::Null);
    scene.oidc.refresh().await.unwrap();
    let back = Url::parse("https://app.example/").unwrap();
    assert_eq!(scene.oidc.logout(None, &back, "s").await, None);
}

#[tokio::test]
async fn invariant_8_the_debug_form_shows_no_secret() {
    let scene = Scene::new().await;
    assert_eq!(format!("{:?}", scene.oidc), r#"Oidc { idp: IdpId("corp"), .. }"#);
}
