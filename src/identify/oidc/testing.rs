//! An OpenID provider on loopback for tests: well-behaved, but each thing it says can be changed.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use aws_lc_rs::{digest, hmac};
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{StatusCode, header};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value, json};
use url::Url;

use super::Oidc;
use crate::config::settings::{ClientAuth, OidcIdp};
use crate::identify::{Answer, AnswerParameters, IdentityProtocol, LoginError, Verified};
use crate::model::{BrowserHash, LoginAttempt, ReturnTo, Secret, StateHash, UnixTime, login};
use crate::platform::{Clock, Outbound, Platform, SystemEntropy, Tasks};
use crate::store::memory::Memory;

pub(in crate::identify) const CLIENT: &str = "app:1";
pub(in crate::identify) const CLIENT_SECRET: &str = "s3cret%with:odd&characters/of.32bytes";
pub(in crate::identify) const START: i64 = 1_800_000_000;

/// A clock that tests turn.
#[derive(Clone)]
pub(in crate::identify) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub(in crate::identify) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(START)))
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::SeqCst))
    }
}

/// Outbound HTTP as the process sets it up.
pub(in crate::identify) fn outbound() -> Outbound {
    // The second installation fails, and then there is one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Outbound::new(&[]).unwrap()
}

/// A key that signs; its `kid`, algorithm and public half can be told apart from it in tests.
#[derive(Clone)]
pub(super) struct TestKey {
    pub(super) kid: &'static str,
    pub(super) alg: &'static str,
    pair: Pair,
}

#[derive(Clone)]
enum Pair {
    P256(Arc<EcdsaKeyPair>),
    P384(Arc<EcdsaKeyPair>),
    Ed(Arc<Ed25519KeyPair>),
    Rsa(Arc<RsaKeyPair>),
    Shared(Vec<u8>),
    /// The signature is empty.
    None,
}

/// RSA keys take long to find.
static RSA: LazyLock<[Arc<RsaKeyPair>; 2]> = LazyLock::new(|| {
    [(); 2].map(|()| Arc::new(RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap()))
});

impl TestKey {
    pub(super) fn es256(kid: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { kid, alg: "ES256", pair: Pair::P256(Arc::new(pair)) }
    }

    pub(super) fn es384(kid: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        Self { kid, alg: "ES384", pair: Pair::P384(Arc::new(pair)) }
    }

    pub(super) fn ed25519(kid: &'static str) -> Self {
        Self { kid, alg: "EdDSA", pair: Pair::Ed(Arc::new(Ed25519KeyPair::generate().unwrap())) }
    }

    /// `which` of two RSA keys.
    pub(super) fn rsa(kid: &'static str, alg: &'static str, which: usize) -> Self {
        Self { kid, alg, pair: Pair::Rsa(RSA[which].clone()) }
    }

    pub(super) fn shared(alg: &'static str, secret: &[u8]) -> Self {
        Self { kid: "", alg, pair: Pair::Shared(secret.to_vec()) }
    }

    pub(super) fn none(alg: &'static str) -> Self {
        Self { kid: "", alg, pair: Pair::None }
    }

    /// The public half.
    pub(super) fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.pair {
            Pair::P256(pair) | Pair::P384(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if point.len() == 64 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": curve, "x": text(x), "y": text(y)})
            }
            Pair::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref())}),
            Pair::Rsa(pair) => {
                // PKCS #1: a sequence of two integers, here of 2048 bits and 65537.
                let der = pair.public_key().as_ref();
                assert_eq!((der.len(), &der[265..]), (270, [2, 3, 1, 0, 1].as_slice()));
                json!({"kty": "RSA", "n": text(&der[9..265]), "e": "AQAB"})
            }
            Pair::Shared(secret) => json!({"kty": "oct", "k": text(secret)}),
            Pair::None => json!({}),
        };
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(self.alg);
        jwk["kid"] = json!(self.kid);
        jwk
    }

    /// The public half as DER, as an attacker would take it for an HMAC secret.
    pub(super) fn public_der(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::P256(pair) | Pair::P384(pair) => pair.public_key().as_ref().to_vec(),
            _ => panic!("no such key is used"),
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::P256(pair) | Pair::P384(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let encoding: &'static dyn signature::RsaEncoding = match self.alg {
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut out).unwrap();
                out
            }
            Pair::Shared(secret) => {
                let algorithm = match self.alg {
                    "HS384" => hmac::HMAC_SHA384,
                    "HS512" => hmac::HMAC_SHA512,
                    _ => hmac::HMAC_SHA256,
                };
                hmac::sign(&hmac::Key::new(algorithm, secret), message).as_ref().to_vec()
            }
            Pair::None => Vec::new(),
        }
    }

    /// A token with this key's header, changed by `header`.
    pub(super) fn token(&self, claims: &Value, header: impl Fn(&mut Map<String, Value>)) -> String {
        let mut head =
            Map::from_iter([("alg".to_owned(), json!(self.alg)), ("kid".to_owned(), json!(self.kid))]);
        header(&mut head);
        let text = |value: &[u8]| URL_SAFE_NO_PAD.encode(value);
        let signed = format!(
            "{}.{}",
            text(Value::Object(head).to_string().as_bytes()),
            text(claims.to_string().as_bytes())
        );
        format!("{signed}.{}", text(&self.sign(signed.as_bytes())))
    }
}

/// `at_hash` of `token` under SHA-256.
pub(super) fn at_hash(algorithm: &'static digest::Algorithm, token: &str) -> String {
    let digest = digest::digest(algorithm, token.as_bytes());
    URL_SAFE_NO_PAD.encode(&digest.as_ref()[..digest.as_ref().len() / 2])
}

type Change<T> = Box<dyn Fn(&mut T) + Send>;

/// What the provider does; every field may be changed between two steps of a test.
pub(in crate::identify) struct Behaviour {
    pub(super) key: TestKey,
    /// The key set, where it is not just `key`.
    pub(super) published: Option<Vec<Value>>,
    pub(super) discovery: Change<Value>,
    pub(super) header: Change<Map<String, Value>>,
    pub(super) claims: Change<Value>,
    pub(super) tokens: Change<Value>,
    pub(super) userinfo: Change<Value>,
    /// Signs the userinfo answer.
    pub(super) userinfo_key: Option<TestKey>,
    /// Says something else altogether at this path: status, media type, body.
    pub(super) instead: HashMap<&'static str, (u16, &'static str, String)>,
    /// Never answers at these paths.
    pub(super) silent: HashSet<&'static str>,
    pub(super) hits: HashMap<String, usize>,
    /// The last request to the token endpoint: `Authorization` and form.
    pub(super) exchanged: (Option<String>, HashMap<String, String>),
    codes: HashMap<String, HashMap<String, String>>,
    next_code: usize,
}

#[derive(Clone)]
pub(in crate::identify) struct Op {
    pub(super) issuer: String,
    clock: TestClock,
    behaviour: Arc<Mutex<Behaviour>>,
    server: Arc<OnceLock<tokio::task::AbortHandle>>,
}

impl Op {
    pub(in crate::identify) async fn start(clock: TestClock) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let behaviour = Behaviour {
            key: TestKey::es256("k1"),
            published: None,
            discovery: Box::new(|_| {}),
            header: Box::new(|_| {}),
            claims: Box::new(|_| {}),
            tokens: Box::new(|_| {}),
            userinfo: Box::new(|_| {}),
            userinfo_key: None,
            instead: HashMap::new(),
            silent: HashSet::new(),
            hits: HashMap::new(),
            exchanged: (None, HashMap::new()),
            codes: HashMap::new(),
            next_code: 0,
        };
        let behaviour = Arc::new(Mutex::new(behaviour));
        let op = Self { issuer, clock, behaviour, server: Arc::default() };
        let router = Router::new().fallback(answer).with_state(op.clone());
        let tasks = Tasks::on(tokio::runtime::Handle::current());
        let server = tasks.spawn(async move { axum::serve(listener, router).await });
        op.server.set(server.abort_handle()).unwrap();
        op
    }

    pub(in crate::identify) fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour.lock().unwrap()
    }

    pub(super) fn hits(&self, path: &str) -> usize {
        self.behaviour().hits.get(path).copied().unwrap_or(0)
    }

    /// Nothing listens at its address any more.
    pub(super) fn stop(&self) {
        self.server.get().unwrap().abort();
    }

    /// What a person does there: signs in, and comes back with an answer.
    pub(in crate::identify) fn authorise(&self, redirect: &Url) -> AnswerParameters {
        let request: HashMap<String, String> = redirect.query_pairs().into_owned().collect();
        let mut behaviour = self.behaviour();
        behaviour.next_code += 1;
        let code = format!("code-{}", behaviour.next_code);
        behaviour.codes.insert(code.clone(), request);
        AnswerParameters { code: Some(Secret::new(code)), ..AnswerParameters::default() }
    }

    fn discovery(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "jwks_uri": at("/keys"),
            "userinfo_endpoint": at("/userinfo"),
            "end_session_endpoint": at("/logout"),
        })
    }

    /// The claims of a good ID token.
    fn claims(&self, nonce: &str) -> Value {
        let now = self.clock.now().0;
        json!({
            "iss": self.issuer,
            "sub": "ada",
            "aud": CLIENT,
            "exp": now + 300,
            "iat": now,
            "nonce": nonce,
            "email": "ada@example.com",
            "email_verified": true,
        })
    }

    fn exchange(&self, authorization: Option<String>, form: HashMap<String, String>) -> (u16, Value) {
        let mut behaviour = self.behaviour();
        let code = form.get("code").cloned().unwrap_or_default();
        let verifier = form.get("code_verifier").cloned().unwrap_or_default();
        let redirect_uri = form.get("redirect_uri").cloned();
        behaviour.exchanged = (authorization, form);
        let Some(request) = behaviour.codes.remove(&code) else {
            return (400, json!({"error": "invalid_grant"}));
        };
        let digest = digest::digest(&digest::SHA256, verifier.as_bytes());
        if request.get("code_challenge") != Some(&URL_SAFE_NO_PAD.encode(digest))
            || request.get("code_challenge_method").map(String::as_str) != Some("S256")
            || request.get("redirect_uri") != redirect_uri.as_ref()
        {
            return (400, json!({"error": "invalid_grant"}));
        }
        let mut claims = self.claims(request.get("nonce").map(String::as_str).unwrap_or_default());
        (behaviour.claims)(&mut claims);
        let id_token = behaviour.key.token(&claims, |header| (behaviour.header)(header));
        let mut tokens = json!({"id_token": id_token, "access_token": "at", "token_type": "Bearer"});
        (behaviour.tokens)(&mut tokens);
        (200, tokens)
    }
}

async fn answer(State(op): State<Op>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let (instead, silent) = {
        let mut behaviour = op.behaviour();
        *behaviour.hits.entry(path.clone()).or_default() += 1;
        (behaviour.instead.get(path.as_str()).cloned(), behaviour.silent.contains(path.as_str()))
    };
    if silent {
        std::future::pending::<()>().await;
    }
    if let Some((status, media_type, body)) = instead {
        return answer_of(status, media_type, body);
    }
    let authorization = parts.headers.get(header::AUTHORIZATION).map(|v| v.to_str().unwrap().to_owned());
    match path.as_str() {
        "/.well-known/openid-configuration" => {
            let mut document = op.discovery();
            (op.behaviour().discovery)(&mut document);
            json_of(200, &document)
        }
        "/keys" => {
            let behaviour = op.behaviour();
            let keys = behaviour.published.clone().unwrap_or_else(|| vec![behaviour.key.jwk()]);
            json_of(200, &json!({ "keys": keys }))
        }
        "/token" => {
            let form = url::form_urlencoded::parse(&body).into_owned().collect();
            let (status, tokens) = op.exchange(authorization, form);
            json_of(status, &tokens)
        }
        "/userinfo" if authorization.as_deref() == Some("Bearer at") => {
            let mut claims = json!({"sub": "ada", "email": "ada@example.com", "groups": ["staff"]});
            let behaviour = op.behaviour();
            if behaviour.userinfo_key.is_some() {
                claims["iss"] = json!(op.issuer);
                claims["aud"] = json!(CLIENT);
            }
            (behaviour.userinfo)(&mut claims);
            match &behaviour.userinfo_key {
                Some(key) => answer_of(200, "application/jwt", key.token(&claims, |_| {})),
                None => json_of(200, &claims),
            }
        }
        _ => answer_of(404, "text/plain", String::new()),
    }
}

fn json_of(status: u16, value: &Value) -> Response {
    answer_of(status, "application/json; charset=utf-8", value.to_string())
}

fn answer_of(status: u16, media_type: &'static str, body: String) -> Response {
    (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, media_type)], body).into_response()
}

/// A provider, and what signs in there.
pub(super) struct Scene {
    pub(super) op: Op,
    pub(super) oidc: Arc<Oidc>,
    pub(super) clock: TestClock,
    pub(super) store: Arc<Memory>,
    pub(super) idp: OidcIdp,
}

impl Scene {
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With a configuration that differs by `change`.
    pub(super) async fn with(change: impl Fn(&mut OidcIdp)) -> Self {
        let clock = TestClock::default();
        let op = Op::start(clock.clone()).await;
        let mut idp = idp_of(&op, "corp");
        change(&mut idp);
        let store = Arc::new(Memory::default());
        let oidc = Arc::new(build(idp.clone(), &clock, &store));
        Self { op, oidc, clock, store, idp }
    }

    /// The process starts anew, with what the store has.
    pub(super) fn restarted(&self) -> Arc<Oidc> {
        Arc::new(build(self.idp.clone(), &self.clock, &self.store))
    }

    /// The same configuration, changed, at the same store.
    pub(super) fn reconfigured(&self, change: impl Fn(&mut OidcIdp)) -> Arc<Oidc> {
        let mut idp = self.idp.clone();
        change(&mut idp);
        Arc::new(build(idp, &self.clock, &self.store))
    }

    pub(super) fn attempt(&self) -> LoginAttempt {
        let now = self.clock.now();
        LoginAttempt {
            state: StateHash([1; 32]),
            browser: BrowserHash([2; 32]),
            idp: self.idp.id.clone(),
            nonce: "nonce-of-this-login".to_owned(),
            pkce_verifier: Secret::new("v".repeat(43)),
            return_to: ReturnTo::root(),
            begun_at: now,
            expires_at: now.after(login::KEPT),
        }
    }

    /// A whole sign-in.
    pub(super) async fn sign_in(&self) -> Result<Verified, LoginError> {
        self.sign_in_with(|_| {}).await
    }

    /// A sign-in whose answer is changed on the way back.
    pub(super) async fn sign_in_with(
        &self,
        change: impl Fn(&mut AnswerParameters),
    ) -> Result<Verified, LoginError> {
        let attempt = self.attempt();
        let begun = self.oidc.begin(&attempt, "state").await?;
        let mut answer = self.op.authorise(begun.url());
        change(&mut answer);
        self.oidc.finish(attempt, Answer::Oidc(answer)).await
    }

    /// The code of the refusal of a sign-in.
    pub(super) async fn refusal(&self) -> &'static str {
        self.sign_in().await.unwrap_err().code()
    }
}

pub(in crate::identify) fn idp_of(op: &Op, id: &str) -> OidcIdp {
    OidcIdp {
        id: id.parse().unwrap(),
        label: id.to_owned(),
        issuer: Url::parse(&op.issuer).unwrap(),
        issuer_text: op.issuer.clone(),
        client_id: CLIENT.to_owned(),
        client_auth: ClientAuth::Basic(Secret::new(CLIENT_SECRET)),
        scopes: vec!["openid".to_owned(), "email".to_owned()],
        email_domains: vec!["example.com".to_owned()],
        trust_email: false,
        subject_claim: None,
        id_token_algorithms: vec![Algorithm::RS256, Algorithm::ES256],
        clock_skew: Duration::from_mins(1),
        acr_values: Vec::new(),
        max_age: None,
    }
}

pub(in crate::identify) fn redirect_uri() -> Url {
    Url::parse("https://app.example/.narthex/oidc/corp/callback").unwrap()
}

pub(in crate::identify) fn platform_of(clock: &TestClock) -> Platform {
    Platform { clock: Arc::new(clock.clone()), entropy: Arc::new(SystemEntropy) }
}

fn build(idp: OidcIdp, clock: &TestClock, store: &Arc<Memory>) -> Oidc {
    let wanted = Arc::new(arc_swap::ArcSwap::from_pointee(vec!["sub".to_owned()]));
    Oidc::build(idp, redirect_uri(), wanted, outbound(), store.clone(), platform_of(clock))
}
