//! The login state machine, with a protocol that takes any answer with a code for the truth.

use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use url::Url;

use crate::identify::AnswerParameters;
use crate::identify::oidc::testing::{self, Op, TestClock, platform_of, redirect_uri};
use crate::identify::oidc::{Oidc, OidcError};
use crate::model::{Claims, Fault, Identity, Subject, UnixTime};
use crate::platform::Entropy;
use crate::platform::entropy::NoEntropy;
use crate::store::LoginStore;
use crate::store::memory::Memory;

/// Believes every answer that has a code.
struct Credulous {
    id: IdpId,
    down: bool,
    begun: Mutex<Vec<LoginAttempt>>,
}

#[async_trait]
impl IdentityProtocol for Credulous {
    fn id(&self) -> &IdpId {
        &self.id
    }

    async fn begin(&self, attempt: &LoginAttempt, state: &str) -> Result<Departure, LoginError> {
        if self.down {
            return Err(OidcError::DiscoveryUnavailable("down".to_owned()).into());
        }
        self.begun.lock().unwrap().push(attempt.clone());
        let mut redirect = Url::parse("https://id.example/authorize").unwrap();
        redirect.query_pairs_mut().append_pair("state", state);
        Ok(Departure::Redirect(redirect))
    }

    async fn finish(&self, attempt: LoginAttempt, answer: Answer) -> Result<Verified, LoginError> {
        let Answer::Oidc(answer) = answer else { return Err(LoginError::WrongProtocol) };
        answer.code.as_ref().ok_or(OidcError::CodeMissing)?;
        Ok(Verified::for_tests(Identity {
            idp: attempt.idp,
            subject: Subject::parse("ada").unwrap(),
            claims: Claims::default(),
            logout_name: "ada".to_owned(),
            idp_session: None,
            authenticated_at: None,
            ends_at: None,
        }))
    }

    async fn logout(&self, _: Option<&str>, _: &Url, _: &str) -> Option<Departure> {
        None
    }

    fn ready(&self) -> bool {
        true
    }
}

/// The proxy's side, with a clock that tests turn.
struct Scene {
    logins: Logins,
    clock: TestClock,
    corp: Arc<Credulous>,
    store: Arc<Memory>,
}

fn credulous(id: &str, down: bool) -> Arc<Credulous> {
    Arc::new(Credulous { id: id.parse().unwrap(), down, begun: Mutex::default() })
}

fn scene() -> Scene {
    let clock = TestClock::default();
    let (corp, store) = (credulous("corp", false), Arc::new(Memory::default()));
    let protocols: Vec<Arc<dyn IdentityProtocol>> =
        vec![corp.clone(), credulous("partner", false), credulous("down", true)];
    let logins = Logins::new(protocols, store.clone(), platform_of(&clock), &KeyRing::new(&[1; 32]));
    Scene { logins, clock, corp, store }
}

fn idp(id: &str) -> IdpId {
    id.parse().unwrap()
}

fn to(path: &str) -> ReturnTo {
    ReturnTo::parse(path).unwrap()
}

fn good_answer() -> Answer {
    Answer::Oidc(AnswerParameters { code: Some(Secret::new("code")), ..AnswerParameters::default() })
}

fn state_of(begun: &BegunLogin) -> String {
    begun.departure.url().query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned()
}

impl Scene {
    /// Begins at `corp`; gives the state and the cookie that the browser then has.
    async fn begin(&self, path: &str, cookie: Option<&str>) -> (String, String) {
        let begun = self.logins.begin(&idp("corp"), to(path), cookie).await.unwrap();
        let cookie = begun.set_cookie.clone().or(cookie.map(str::to_owned)).unwrap();
        (state_of(&begun), cookie)
    }

    async fn finish(
        &self,
        state: &str,
        cookie: Option<&str>,
        signed_in: bool,
    ) -> Result<Finished, LoginError> {
        self.logins.finish(&idp("corp"), Some(state), good_answer(), cookie, signed_in).await
    }
}

fn short(outcome: Result<Finished, LoginError>) -> String {
    match outcome {
        Ok(Finished::Verified { verified, return_to }) => {
            format!("verified {} {return_to}", verified.identity().subject.as_str())
        }
        Ok(Finished::GoTo(return_to)) => format!("go to {return_to}"),
        Ok(Finished::BeginAgain { idp, return_to }) => format!("begin again {idp} {return_to}"),
        Err(error) => error.code().to_owned(),
    }
}

// ---- What works.

#[tokio::test]
async fn a_login_that_is_answered_is_verified_and_leads_back() {
    let scene = scene();
    let (state, cookie) = scene.begin("/deep?link=1", None).await;
    assert_eq!(short(scene.finish(&state, Some(&cookie), false).await), "verified ada /deep?link=1");
}

#[tokio::test]
async fn one_who_is_signed_in_may_sign_in_anew() {
    let scene = scene();
    let (state, cookie) = scene.begin("/", None).await;
    assert_eq!(short(scene.finish(&state, Some(&cookie), true).await), "verified ada /");
}

#[tokio::test]
async fn every_login_has_secrets_of_its_own_and_a_bounded_life() {
    let scene = scene();
    let (_, cookie) = scene.begin("/a", None).await;
    scene.begin("/b", Some(&cookie)).await;
    let begun = scene.corp.begun.lock().unwrap();
    let [first, second] = begun.as_slice() else { panic!() };
    assert_ne!(first.state, second.state);
    assert_ne!(first.nonce, second.nonce);
    assert_ne!(first.pkce_verifier.expose(), second.pkce_verifier.expose());
    assert_ne!(first.nonce, first.pkce_verifier.expose());
    assert_eq!(first.browser, second.browser);
    // RFC 7636, 4.1: 43 characters are 256 bits.
    assert_eq!((first.nonce.len(), first.pkce_verifier.expose().len()), (43, 43));
    assert_eq!(first.begun_at, UnixTime(testing::START));
    assert_eq!(first.expires_at, first.begun_at.after(login::KEPT));
}

#[tokio::test]
async fn lesson_35_the_login_cookie_is_made_once_and_never_grows() {
    let scene = scene();
    let begun = scene.logins.begin(&idp("corp"), to("/"), None).await.unwrap();
    let cookie = begun.set_cookie.unwrap();
    assert_eq!(
        (cookie.len(), state_of(&scene.logins.begin(&idp("corp"), to("/"), None).await.unwrap()).len()),
        (64, 43)
    );
    for _ in 0..50 {
        let begun = scene.logins.begin(&idp("partner"), to("/"), Some(&cookie)).await.unwrap();
        assert_eq!(begun.set_cookie, None);
    }
}

#[tokio::test]
async fn a_cookie_that_is_not_ours_is_replaced() {
    let scene = scene();
    let (_, good) = scene.begin("/", None).await;
    let mut changed = good.clone().into_bytes();
    changed[0] = if changed[0] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap();
    let of_another_key =
        Tokens::<BROWSER_ID>::new(KeyRing::new(&[2; 32]).mac(Purpose::LoginCookie)).issue([7; BROWSER_ID]);
    for cookie in ["", "x", &changed, &good[..63], &format!("{good}A"), &format!("{good}="), &of_another_key]
    {
        let begun = scene.logins.begin(&idp("corp"), to("/"), Some(cookie)).await.unwrap();
        assert!(begun.set_cookie.is_some(), "{cookie}");
    }
}

// ---- Answers that are not good.

#[tokio::test]
async fn lesson_16_an_answer_without_state_is_refused() {
    let scene = scene();
    let (_, cookie) = scene.begin("/", None).await;
    let outcome = scene.logins.finish(&idp("corp"), None, good_answer(), Some(&cookie), false).await;
    assert_eq!(short(outcome), "state_missing");
}

#[tokio::test]
async fn lesson_15_a_state_that_was_not_made_here_is_refused() {
    let scene = scene();
    let (state, cookie) = scene.begin("/", None).await;
    let flipped = |at: usize| {
        let mut bytes = state.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let key = KeyRing::new(&[1; 32]);
    let issued = |mac| Tokens::<STATE_ID>::new(mac).issue([7; STATE_ID]);
    for forged in [
        String::new(),
        "x".to_owned(),
        flipped(0),
        flipped(21),
        flipped(30),
        state[..42].to_owned(),
        format!("{state}A"),
        format!("{state}="),
        "a".repeat(100_000),
        issued(KeyRing::new(&[2; 32]).mac(Purpose::LoginState)),
        // Made by us, but for something else.
        issued(key.mac(Purpose::LoginCookie)),
        issued(key.mac(Purpose::SessionCookie)),
        cookie.clone(),
    ] {
        assert_eq!(short(scene.finish(&forged, Some(&cookie), true).await), "state_forged", "{forged}");
    }
    // And it is this check that made the difference.
    assert_eq!(short(scene.finish(&state, Some(&cookie), false).await), "verified ada /");
    assert_eq!(
        short(scene.finish(&issued(key.mac(Purpose::LoginState)), Some(&cookie), true).await),
        "go to /"
    );
}

#[tokio::test]
async fn an_answer_that_was_used_already_is_refused_unless_it_did_its_work() {
    let scene = scene();
    let (state, cookie) = scene.begin("/deep", None).await;
    scene.finish(&state, Some(&cookie), false).await.unwrap();
    assert_eq!(short(scene.finish(&state, Some(&cookie), false).await), "answer_replayed");
    assert_eq!(short(scene.finish(&state, Some(&cookie), true).await), "go to /deep");
}

#[tokio::test]
async fn an_answer_that_arrives_many_times_at_once_counts_once() {
    let scene = scene();
    let (state, cookie) = scene.begin("/", None).await;
    let all = (0..20).map(|_| scene.finish(&state, Some(&cookie), false));
    let all: Vec<String> = futures_util::future::join_all(all).await.into_iter().map(short).collect();
    let count = |outcome: &str| all.iter().filter(|one| *one == outcome).count();
    assert_eq!((count("verified ada /"), count("answer_replayed")), (1, 19));
}

#[tokio::test]
async fn an_answer_that_the_protocol_refuses_is_used_up() {
    let scene = scene();
    let (state, cookie) = scene.begin("/", None).await;
    let empty = AnswerParameters::default();
    let outcome =
        scene.logins.finish(&idp("corp"), Some(&state), Answer::Oidc(empty), Some(&cookie), false).await;
    assert_eq!(short(outcome), "code_missing");
    assert_eq!(short(scene.finish(&state, Some(&cookie), false).await), "answer_replayed");
}

#[tokio::test]
async fn lesson_18_an_answer_to_the_login_of_another_browser_signs_nobody_in() {
    let scene = scene();
    let (attackers, attackers_cookie) = scene.begin("/evil", None).await;
    let (_, victims_cookie) = scene.begin("/", None).await;
    for signed_in in [false, true] {
        let outcome = scene.finish(&attackers, None, signed_in).await;
        assert_eq!(short(outcome), "answer_from_another_browser");
        let outcome = scene.finish(&attackers, Some("nonsense"), signed_in).await;
        assert_eq!(short(outcome), "answer_from_another_browser");
    }
    let outcome = scene.finish(&attackers, Some(&victims_cookie), false).await;
    assert_eq!(short(outcome), "begin again corp /evil");
    let outcome = scene.finish(&attackers, Some(&victims_cookie), true).await;
    assert_eq!(short(outcome), "go to /evil");
    // It was left as it was.
    assert_eq!(short(scene.finish(&attackers, Some(&attackers_cookie), false).await), "verified ada /evil");
}

#[tokio::test]
async fn an_answer_at_the_address_of_another_provider_is_refused() {
    let scene = scene();
    let (state, cookie) = scene.begin("/", None).await;
    let outcome =
        scene.logins.finish(&idp("partner"), Some(&state), good_answer(), Some(&cookie), false).await;
    let Err(LoginError::WrongProvider { expected, found }) = outcome else { panic!() };
    assert_eq!((expected, found), (idp("corp"), idp("partner")));
}

#[tokio::test]
async fn a_provider_that_is_not_configured_is_refused() {
    let scene = scene();
    let refusal = scene.logins.begin(&idp("nobody"), to("/"), None).await.unwrap_err();
    assert_eq!(refusal.code(), "unknown_provider");
    let (state, cookie) = scene.begin("/", None).await;
    let outcome =
        scene.logins.finish(&idp("nobody"), Some(&state), good_answer(), Some(&cookie), false).await;
    assert_eq!(short(outcome), "unknown_provider");
}

#[tokio::test]
async fn a_provider_that_is_down_leaves_nothing_behind() {
    let scene = scene();
    let refusal = scene.logins.begin(&idp("down"), to("/"), None).await.unwrap_err();
    assert_eq!((refusal.code(), refusal.fault()), ("discovery_unavailable", Fault::IdentityProvider));
    let swept = scene.store.sweep_logins(UnixTime(i64::MAX)).await.unwrap();
    assert_eq!(swept, 0);
}

// ---- Answers that come late.

#[tokio::test]
async fn one_who_took_too_long_begins_again_and_still_lands_where_they_wanted() {
    let lifetime = i64::try_from(login::LIFETIME.as_secs()).unwrap();
    for (late_by, signed_in, expected) in [
        (lifetime - 1, false, "verified ada /deep"),
        (lifetime, false, "begin again corp /deep"),
        (lifetime, true, "go to /deep"),
        (12 * 3600, false, "begin again corp /deep"),
        (24 * 3600, false, "begin again corp /"),
        (24 * 3600, true, "go to /"),
    ] {
        let scene = scene();
        let (state, cookie) = scene.begin("/deep", None).await;
        scene.clock.advance(late_by);
        assert_eq!(short(scene.finish(&state, Some(&cookie), signed_in).await), expected, "{late_by}");
    }
}

#[tokio::test]
async fn an_answer_to_a_login_that_was_evicted_is_never_an_error() {
    let scene = scene();
    let (state, cookie) = scene.begin("/first", None).await;
    for _ in 0..login::MAX_PER_BROWSER {
        scene.begin("/", Some(&cookie)).await;
    }
    assert_eq!(short(scene.finish(&state, Some(&cookie), false).await), "begin again corp /");
    assert_eq!(short(scene.finish(&state, Some(&cookie), true).await), "go to /");
    assert_eq!(short(scene.finish(&state, None, false).await), "begin again corp /");
}

#[tokio::test]
async fn lesson_35_fifty_tabs_sign_in_without_an_error() {
    let scene = scene();
    let (first, cookie) = scene.begin("/tab/0", None).await;
    let mut states = vec![first];
    for tab in 1..50 {
        states.push(scene.begin(&format!("/tab/{tab}"), Some(&cookie)).await.0);
    }
    // All answers arrive before the first session cookie is there.
    let mut again = 0;
    for state in states {
        match scene.finish(&state, Some(&cookie), false).await.unwrap() {
            Finished::Verified { .. } => {}
            Finished::GoTo(_) => panic!("nobody is signed in yet"),
            Finished::BeginAgain { return_to, .. } => {
                again += 1;
                let (state, _) = scene.begin(return_to.as_str(), Some(&cookie)).await;
                // By then the browser has it.
                assert!(scene.finish(&state, Some(&cookie), true).await.is_ok());
            }
        }
    }
    assert!(again > 0);
}

#[tokio::test]
async fn tabs_that_raced_for_the_first_cookie_begin_again() {
    let scene = scene();
    let (first, first_cookie) = scene.begin("/1", None).await;
    let (second, second_cookie) = scene.begin("/2", None).await;
    assert_ne!(first_cookie, second_cookie);
    // The browser keeps the second cookie.
    assert_eq!(short(scene.finish(&first, Some(&second_cookie), false).await), "begin again corp /1");
    assert_eq!(short(scene.finish(&second, Some(&second_cookie), false).await), "verified ada /2");
}

// ---- Loops.

#[tokio::test]
async fn lesson_40_a_loop_of_logins_is_broken_by_an_error_that_says_what_to_look_at() {
    for (signed_in, good, advice) in
        [(false, 4, "no session cookie came back"), (true, 64, "it is the application")]
    {
        let scene = scene();
        let (mut state, cookie) = scene.begin("/", None).await;
        for round in 0..good {
            let outcome = scene.finish(&state, Some(&cookie), signed_in).await;
            assert!(outcome.is_ok(), "{round}");
            state = scene.begin("/", Some(&cookie)).await.0;
        }
        scene.clock.advance(9);
        let refusal = scene.finish(&state, Some(&cookie), signed_in).await.unwrap_err();
        let LoginError::LoginLoop { rounds, seconds, signed_in: told } = &refusal else { panic!() };
        assert_eq!((*rounds, *seconds, *told), (good + 1, 9, signed_in));
        assert!(refusal.to_string().contains(advice));
        // The next one may try again at once.
        state = scene.begin("/", Some(&cookie)).await.0;
        assert!(scene.finish(&state, Some(&cookie), signed_in).await.is_ok());
    }
}

#[tokio::test]
async fn lesson_40_going_round_by_late_answers_is_a_loop_too() {
    let scene = scene();
    let (mut state, cookie) = scene.begin("/", None).await;
    for _ in 0..4 {
        // Evicted in the store, though this process still knows that it began.
        scene.store.sweep_logins(UnixTime(i64::MAX)).await.unwrap();
        let outcome = scene.finish(&state, Some(&cookie), false).await;
        assert_eq!(short(outcome), "begin again corp /");
        state = scene.begin("/", Some(&cookie)).await.0;
    }
    assert_eq!(short(scene.finish(&state, Some(&cookie), false).await), "login_loop");
}

#[tokio::test]
async fn lesson_40_who_signs_out_in_between_is_in_no_loop() {
    let scene = scene();
    let (mut state, cookie) = scene.begin("/", None).await;
    for round in 0..10 {
        assert_eq!(short(scene.finish(&state, Some(&cookie), false).await), "verified ada /", "{round}");
        scene.logins.signed_out(Some(&cookie));
        state = scene.begin("/", Some(&cookie)).await.0;
    }
}

// ---- Randomness.

struct NoRandomness;

impl Entropy for NoRandomness {
    fn fill(&self, _: &mut [u8]) -> Result<(), NoEntropy> {
        Err(NoEntropy)
    }
}

#[tokio::test]
async fn without_randomness_no_login_begins() {
    let platform = Platform { entropy: Arc::new(NoRandomness), ..platform_of(&TestClock::default()) };
    let store = Arc::new(Memory::default());
    let logins = Logins::new(vec![credulous("corp", false)], store, platform, &KeyRing::new(&[1; 32]));
    let refusal = logins.begin(&idp("corp"), to("/"), None).await.unwrap_err();
    assert_eq!((refusal.code(), refusal.fault()), ("no_entropy", Fault::Us));
}

// ---- With a real protocol.

#[tokio::test]
async fn a_login_by_openid_connect_goes_through_from_end_to_end() {
    let clock = TestClock::default();
    let op = Op::start(clock.clone()).await;
    let store = Arc::new(Memory::default());
    let platform = platform_of(&clock);
    let settings = testing::idp_of(&op, "corp");
    let oidc = Oidc::new(
        settings,
        redirect_uri(),
        Arc::default(),
        testing::outbound(),
        store.clone(),
        platform.clone(),
    );
    let logins = Logins::new(vec![oidc], store, platform, &KeyRing::new(&[1; 32]));

    let begun = logins.begin(&idp("corp"), to("/wiki"), None).await.unwrap();
    let (answer, cookie) = (op.authorise(begun.departure.url()), begun.set_cookie.clone());
    let outcome = logins
        .finish(&idp("corp"), Some(&state_of(&begun)), Answer::Oidc(answer), cookie.as_deref(), false)
        .await;
    assert_eq!(short(outcome), "verified ada /wiki");

    // An answer that belongs to another login of the same browser: the code was given for another verifier.
    let first = logins.begin(&idp("corp"), to("/"), cookie.as_deref()).await.unwrap();
    let second = logins.begin(&idp("corp"), to("/"), cookie.as_deref()).await.unwrap();
    let answer = op.authorise(first.departure.url());
    let outcome = logins
        .finish(&idp("corp"), Some(&state_of(&second)), Answer::Oidc(answer), cookie.as_deref(), false)
        .await;
    assert_eq!(short(outcome), "code_refused");
}

#[tokio::test]
async fn a_state_that_went_out_with_a_logout_is_known_again_and_a_logins_is_another() {
    let scene = scene();
    let state = scene.logins.logout_state().unwrap();
    assert!(scene.logins.is_logout_state(&state));
    assert_ne!(scene.logins.logout_state().unwrap(), state);
    let (login, _) = scene.begin("/", None).await;
    for other in [login.as_str(), "", &state[1..], "x"] {
        assert!(!scene.logins.is_logout_state(other), "{other}");
    }
}
