//! Who asks: tokens from the configuration, short-lived ones that narthex itself gives, and people who signed in.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use subtle::{Choice, ConstantTimeEq};

use super::console;
use super::error::AdminError;
use crate::config::settings::AdminToken;
use crate::model::{ConsoleRole, ConsoleSession, StateHash, UnixTime};
use crate::observe::audit::Actor;
use crate::platform::crypto::{Mac, Purpose, sha256};
use crate::platform::entropy::{Entropy, NoEntropy};
use crate::platform::{KeyRing, Platform};
use crate::store::{LoginStore, StoreError};

/// How long the token from a bootstrap token may be used.
pub const SESSION: Duration = Duration::from_hours(1);
/// What the clocks of two replicas may differ by.
const CLOCKS: Duration = Duration::from_mins(5);
/// How long a bootstrap token waits for its one use.
pub const BOOTSTRAP: Duration = Duration::from_mins(15);
/// Wrong tokens that one address may send in a minute before it is only told to wait.
const FAILURES: NonZeroU32 = NonZeroU32::new(20).expect("20 is not zero");
/// What our short-lived tokens begin with.
const OURS: &str = "nxa_";
/// What bootstrap tokens begin with.
const BOOTSTRAPS: &str = "nxb_";
/// No token is longer.
const MAX_TOKEN: usize = 4096;

/// Who was recognised. Made only here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    name: String,
    role: ConsoleRole,
    /// Of somebody who signed in.
    session: Option<Box<ConsoleSession>>,
}

impl Principal {
    /// Somebody who signed in at the admin API.
    #[must_use]
    pub(super) fn person(session: ConsoleSession) -> Self {
        let (name, role) = (session.person.name(), session.person.role);
        Self { name, role, session: Some(Box::new(session)) }
    }

    fn token(name: &str, role: ConsoleRole) -> Self {
        Self { name: name.to_owned(), role, session: None }
    }

    /// The session of somebody who signed in.
    #[must_use]
    pub fn session(&self) -> Option<&ConsoleSession> {
        self.session.as_deref()
    }

    /// As the audit log names them.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn role(&self) -> ConsoleRole {
        self.role
    }

    /// As an entry of the audit log has it.
    #[must_use]
    pub fn actor(&self) -> Actor {
        if *self == Self::command_line() {
            return Actor::CommandLine;
        }
        match &self.session {
            Some(session) => console::actor(&session.person),
            None => Actor::Administrator { name: self.name.clone(), identity: None },
        }
    }

    /// Whoever can run commands beside the store: the operating system let them.
    #[must_use]
    pub fn command_line() -> Self {
        Self::token("command line", ConsoleRole::Administrator)
    }

    #[cfg(test)]
    pub(super) fn for_tests(name: &str, role: ConsoleRole) -> Self {
        Self::token(name, role)
    }
}

/// What a short-lived token says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    name: String,
    role: ConsoleRole,
    until: UnixTime,
}

/// Recognises whoever asks.
pub struct Principals {
    /// SHA-256 of each configured token, so that comparing takes the same time for all.
    known: Vec<([u8; 32], Principal)>,
    mac: Mac,
    failures: DefaultKeyedRateLimiter<IpAddr>,
    platform: Platform,
}

impl Principals {
    #[must_use]
    pub fn new(tokens: &[AdminToken], keys: &KeyRing, platform: Platform) -> Self {
        let known = tokens.iter().filter(|one| !one.token.expose().is_empty()).map(|one| {
            let principal = Principal::token(&one.name, one.role);
            (sha256(one.token.expose().as_bytes()), principal)
        });
        Self {
            known: known.collect(),
            mac: keys.mac(Purpose::AdminToken),
            failures: RateLimiter::keyed(Quota::per_minute(FAILURES)),
            platform,
        }
    }

    /// Who sent this token as `Authorization: Bearer`.
    ///
    /// # Errors
    /// [`AdminError::Unauthenticated`] without one, [`AdminError::UnknownToken`] with a wrong one.
    pub fn recognise(&self, headers: &HeaderMap, client: IpAddr) -> Result<Principal, AdminError> {
        let mut sent = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (sent.next(), sent.next()) else { return Err(AdminError::Unauthenticated) };
        let text = value.to_str().map_err(|_| AdminError::Unauthenticated)?;
        let (scheme, token) = text.split_once(' ').ok_or(AdminError::Unauthenticated)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(AdminError::Unauthenticated);
        }
        let token = token.trim();
        let found =
            if token.len() > MAX_TOKEN { None } else { self.configured(token).or_else(|| self.ours(token)) };
        found.ok_or_else(|| self.failed(client))
    }

    /// SECURITY: a right token always gets in: the application beside narthex has the same address as its
    /// administrators, and could lock them out. Guessing is hopeless by the tokens' length; the limit keeps the log
    /// and the processor for others.
    pub fn failed(&self, client: IpAddr) -> AdminError {
        if self.failures.check_key(&client).is_err() {
            self.failures.retain_recent();
            return AdminError::TooManyFailures;
        }
        AdminError::UnknownToken
    }

    fn configured(&self, token: &str) -> Option<Principal> {
        let digest = sha256(token.as_bytes());
        let mut found = None;
        // To the end in every case: time tells nothing.
        for (known, principal) in &self.known {
            let same: Choice = known.as_slice().ct_eq(digest.as_slice());
            if bool::from(same) {
                found = Some(principal);
            }
        }
        found.cloned()
    }

    fn ours(&self, token: &str) -> Option<Principal> {
        let (said, tag) = token.strip_prefix(OURS)?.split_once('.')?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        // Only what was verified is read.
        if !self.mac.verify(said.as_bytes(), &tag) {
            return None;
        }
        let said: Said = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(said).ok()?).ok()?;
        // SECURITY: the key makes tokens for whoever has it; one that was made elsewhere holds no longer than ours do.
        let now = self.platform.clock.now();
        let holds = now < said.until && said.until <= now.after(SESSION + CLOCKS);
        holds.then(|| Principal::token(&said.name, said.role))
    }

    /// A token for `role` until `until`. It holds on every replica, and cannot be taken back before.
    #[must_use]
    pub fn issue(&self, name: &str, role: ConsoleRole, until: UnixTime) -> Option<String> {
        let said = serde_json::to_vec(&Said { name: name.to_owned(), role, until }).ok()?;
        let said = URL_SAFE_NO_PAD.encode(said);
        let tag = URL_SAFE_NO_PAD.encode(self.mac.tag(said.as_bytes()));
        Some(format!("{OURS}{said}.{tag}"))
    }
}

/// The store knows a bootstrap token by this only.
fn bootstrap_id(token: &str) -> StateHash {
    StateHash(sha256(format!("narthex admin bootstrap\0{token}").as_bytes()))
}

/// The bootstrap token could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

/// Makes a bootstrap token: for one use, within [`BOOTSTRAP`].
///
/// # Errors
/// Where it cannot be recorded.
pub async fn make_bootstrap(
    store: &(impl LoginStore + ?Sized),
    entropy: &dyn Entropy,
    now: UnixTime,
) -> Result<String, BootstrapError> {
    let token = format!("{BOOTSTRAPS}{}", URL_SAFE_NO_PAD.encode(entropy.bytes::<32>()?));
    store.park(&bootstrap_id(&token), b"administrator", now.after(BOOTSTRAP)).await?;
    Ok(token)
}

/// Uses one up; whether it was good.
///
/// # Errors
/// Where the store cannot be asked.
pub async fn use_bootstrap(
    store: &(impl LoginStore + ?Sized),
    token: &str,
    now: UnixTime,
) -> Result<bool, StoreError> {
    if !token.starts_with(BOOTSTRAPS) || token.len() > MAX_TOKEN {
        return Ok(false);
    }
    Ok(store.take_parked(&bootstrap_id(token), now).await?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn principals() -> Principals {
        let token =
            AdminToken { name: "deploy".to_owned(), role: ConsoleRole::Operator, token: Secret::new(TOKEN) };
        // One that is absent on this machine must not be met by an empty one.
        let absent = AdminToken {
            name: "absent".to_owned(),
            role: ConsoleRole::Administrator,
            token: Secret::default(),
        };
        Principals::new(&[absent, token], &KeyRing::new(&[1; 32]), Platform::system())
    }

    fn asked(principals: &Principals, authorization: &[&str]) -> Result<Principal, &'static str> {
        let mut headers = HeaderMap::new();
        for value in authorization {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        principals.recognise(&headers, CLIENT).map_err(|error| error.code())
    }

    #[test]
    fn s5_a_configured_token_is_recognised_with_its_role() {
        let deploy = Ok(Principal::for_tests("deploy", ConsoleRole::Operator));
        assert_eq!(asked(&principals(), &[&format!("Bearer {TOKEN}")]), deploy);
        assert_eq!(asked(&principals(), &[&format!("bearer  {TOKEN}")]), deploy);
    }

    #[test]
    fn s5_anything_else_is_nobody() {
        for none in [&[][..], &["Bearer"], &["Basic eA=="], &["Bearer a", "Bearer a"]] {
            assert_eq!(asked(&principals(), none), Err("token_needed"), "{none:?}");
        }
        let upper = format!("Bearer {}", TOKEN.to_uppercase());
        let cut = format!("Bearer {}", &TOKEN[..31]);
        for wrong in [upper.as_str(), &cut, "Bearer ", "Bearer nxa_", "Bearer nxa_e30.AAAAAAAAAAAAAAAAAAAAAA"]
        {
            assert_eq!(asked(&principals(), &[wrong]), Err("unknown_token"), "{wrong}");
        }
    }

    #[test]
    fn s5_a_token_of_ours_holds_until_its_time_and_only_unchanged() {
        let principals = principals();
        let now = principals.platform.clock.now();
        let token = principals.issue("bootstrap", ConsoleRole::Administrator, now.after(SESSION)).unwrap();
        let known = asked(&principals, &[&format!("Bearer {token}")]).unwrap();
        assert_eq!((known.name(), known.role()), ("bootstrap", ConsoleRole::Administrator));
        let over = principals.issue("bootstrap", ConsoleRole::Administrator, now).unwrap();
        let long = now.after(SESSION + CLOCKS + Duration::from_mins(1));
        let long = principals.issue("bootstrap", ConsoleRole::Administrator, long).unwrap();
        let elsewhere = Principals::new(&[], &KeyRing::new(&[2; 32]), Platform::system());
        let foreign = elsewhere.issue("bootstrap", ConsoleRole::Administrator, now.after(SESSION)).unwrap();
        let (said, tag) = token.split_once('.').unwrap();
        let changed = format!("{said}A.{tag}");
        for wrong in [over, long, foreign, changed, said.to_owned(), format!("{said}.")] {
            assert_eq!(asked(&principals, &[&format!("Bearer {wrong}")]), Err("unknown_token"), "{wrong}");
        }
    }

    #[test]
    fn invariant_9_wrong_tokens_are_limited_and_a_right_one_still_gets_in() {
        let principals = principals();
        for _ in 0..FAILURES.get() {
            assert_eq!(asked(&principals, &["Bearer wrong"]), Err("unknown_token"));
        }
        assert_eq!(asked(&principals, &["Bearer wrong"]), Err("too_many_failures"));
        assert!(asked(&principals, &[&format!("Bearer {TOKEN}")]).is_ok());
    }

    #[tokio::test]
    async fn s5_a_bootstrap_token_is_good_once_and_for_a_quarter_of_an_hour() {
        let store = crate::store::memory::Memory::default();
        let entropy = crate::platform::SystemEntropy;
        let now = UnixTime(1_800_000_000);
        let token = make_bootstrap(&store, &entropy, now).await.unwrap();
        assert!(!use_bootstrap(&store, &format!("{token}x"), now).await.unwrap());
        assert!(use_bootstrap(&store, &token, now).await.unwrap());
        assert!(!use_bootstrap(&store, &token, now).await.unwrap());
        let late = make_bootstrap(&store, &entropy, now).await.unwrap();
        assert!(!use_bootstrap(&store, &late, now.after(BOOTSTRAP)).await.unwrap());
    }
}
