//! Tests of the whole stage against an application in memory; `rules` has those of the pure parts.

mod access;
mod assign;
mod borrow;
mod breaker;
mod cases;
mod crashes;
mod ephemeral;
mod exchange;
mod explain;
pub(crate) mod fake;
mod flow;
mod guards;
mod invites;
mod mapping;
mod on_record;
mod once;
mod properties;
mod push;
mod reconcile;
mod rules;
mod settling;
mod shadow;
mod sync;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use self::fake::Fake;
use super::eligibility::Authority;
use super::{Connector, ProvisionError, Provisioned, Provisioner};
use crate::config::settings::{
    Lifecycle, MappingGives, MappingRow, Mode, OnError, OnExisting, Onboarding, Provisioning, SessionRoles,
    TeamsClaim, UnknownRole, UnknownTeam, Unprovisioned,
};
use crate::identify::Verified;
use crate::model::session::SessionContent;
use crate::model::{Claims, Identity, IdpId, Job, Member, SessionHash, SessionRecord, Subject, UnixTime};
use crate::platform::entropy::NoEntropy;
use crate::platform::{Clock, Entropy, Platform, Tasks};
use crate::store::memory::Memory;
use crate::store::{JobStore, MemberStore, SessionStore, StoreError};

/// Random cases: so many in the runs of every day, and what `PROPTEST_CASES` says in the long ones (`tests/run --all`).
#[expect(
    clippy::disallowed_methods,
    reason = "proptest's own variable, which a number in its settings overrides"
)]
fn tries(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").map_or(usual, |wanted| wanted.parse().unwrap())
}

/// Settings that give everything that the fake application has.
fn settings() -> Provisioning {
    Provisioning {
        mode: Mode::Jit,
        shadow: false,
        unprovisioned: Unprovisioned::Deny,
        default_role: Some("user".to_owned()),
        role_claim: vec!["role".to_owned()],
        groups_claim: vec!["groups".to_owned()],
        teams_claim: Some(TeamsClaim { claim: vec!["teams".to_owned()], separator: None }),
        assignable_teams: vec!["acme/*".to_owned(), "public".to_owned()],
        mapping: vec![
            row(
                "engineers",
                MappingGives::Team {
                    team: "acme/developers".to_owned(),
                    team_role: Some("maintainer".to_owned()),
                },
            ),
            privileged(row("platform-admins", MappingGives::Role("admin".to_owned()))),
            row("auditors", MappingGives::Role("reader".to_owned())),
            row("engineers", MappingGives::AppGroups(vec!["builders".to_owned()])),
            row("engineers", MappingGives::Permission("deploy".to_owned())),
        ],
        owners_groups: vec!["founders".to_owned()],
        unknown_role: UnknownRole::Default,
        unknown_team: UnknownTeam::Skip,
        onboarding: Onboarding {
            teams: vec!["acme/readers".to_owned()],
            app_groups: vec!["newcomers".to_owned()],
        },
        invite_allow_external: false,
        attributes: BTreeMap::new(),
        allowed_email_domains: Vec::new(),
        on_existing: OnExisting::Adopt,
        on_error: OnError::Deny,
        link_identities: false,
        match_username: false,
        protected_accounts: vec!["break-glass".to_owned()],
        session_roles: SessionRoles::Headers,
        lifecycle: Lifecycle::default(),
        absent_groups_are_none: false,
        time_budget: Duration::from_secs(15),
        call_timeout: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(2),
    }
}

fn row(group: &str, gives: MappingGives) -> MappingRow {
    let group = Some(group.to_owned());
    MappingRow { group, label: None, idp: None, when: None, privileged: false, gives }
}

/// With `privileged = true`.
fn privileged(row: MappingRow) -> MappingRow {
    MappingRow { privileged: true, ..row }
}

fn authority() -> Authority {
    Authority { domains: vec!["example.com".to_owned()], trust_email: false }
}

fn corp() -> IdpId {
    "corp".parse().unwrap()
}

/// Ada, an engineer, with `changes` merged into her claims; null takes one away.
fn ada(changes: Value) -> Identity {
    person("ada", changes)
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn person(name: &str, changes: Value) -> Identity {
    let mut claims = json!({
        "email": format!("{name}@example.com"),
        "email_verified": true,
        "preferred_username": name,
        "name": format!("{name} of Example"),
        "groups": ["engineers", "everyone"],
    });
    for (claim, value) in changes.as_object().unwrap() {
        claims[claim] = value.clone();
    }
    let Value::Object(mut map) = claims else { unreachable!() };
    map.retain(|_, value| !value.is_null());
    Identity {
        idp: corp(),
        subject: Subject::parse(&format!("sub-{name}")).unwrap(),
        claims: Claims::new(map).unwrap(),
        logout_name: "ada".to_owned(),
        idp_session: None,
        authenticated_at: None,
        ends_at: None,
    }
}

/// A clock that stands still until it is turned.
struct Turned(std::sync::atomic::AtomicI64);

impl Default for Turned {
    fn default() -> Self {
        Self(std::sync::atomic::AtomicI64::new(1_800_000_000))
    }
}

impl Clock for Turned {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(std::sync::atomic::Ordering::Relaxed))
    }
}

/// Bytes that differ from call to call.
#[derive(Default)]
struct Counting(std::sync::atomic::AtomicU64);

impl Entropy for Counting {
    fn fill(&self, target: &mut [u8]) -> Result<(), NoEntropy> {
        let n = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        for (byte, value) in target.iter_mut().rev().zip(n.to_le_bytes().iter().cycle()) {
            *byte = *value;
        }
        Ok(())
    }
}

/// One or more processes before one application and one store.
struct World {
    app: Arc<Fake>,
    store: Arc<Memory>,
    entropy: Arc<Counting>,
    clock: Arc<Turned>,
    settings: Provisioning,
    authority: Authority,
}

impl World {
    fn new() -> Self {
        Self::with(settings())
    }

    fn with(settings: Provisioning) -> Self {
        let (app, store) = (Arc::new(Fake::new()), Arc::new(Memory::default()));
        let (entropy, clock) = (Arc::default(), Arc::default());
        Self { app, store, entropy, clock, settings, authority: authority() }
    }

    /// Settings with this lifecycle.
    fn living(lifecycle: Lifecycle) -> Self {
        Self::with(Provisioning { lifecycle, ..settings() })
    }

    /// A process of its own: nothing is shared with others but application and store.
    fn process(&self) -> Provisioner {
        let platform = Platform { clock: self.clock.clone(), entropy: self.entropy.clone() };
        Provisioner::with(
            self.settings.clone(),
            BTreeMap::from([(corp(), self.authority.clone()), ("other".parse().unwrap(), authority())]),
            Some(self.app.clone() as Arc<dyn Connector>),
            self.store.clone(),
            platform,
            Tasks::on(tokio::runtime::Handle::current()),
        )
    }

    async fn login(&self, identity: &Identity) -> Result<Provisioned, ProvisionError> {
        self.process().provision(Verified::for_tests(identity.clone())).await
    }

    fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Lets time go by.
    fn later(&self, by: Duration) {
        let by = i64::try_from(by.as_secs()).unwrap();
        self.clock.0.fetch_add(by, std::sync::atomic::Ordering::Relaxed);
    }

    /// A sign-in up to its session, which is recorded under this number.
    async fn sign_in(&self, identity: &Identity, number: u8) -> Result<Provisioned, ProvisionError> {
        let provisioned = self.login(identity).await?;
        self.begin_session(&provisioned, number).await.unwrap();
        Ok(provisioned)
    }

    /// As the proxy begins a session.
    async fn begin_session(&self, provisioned: &Provisioned, number: u8) -> Result<(), StoreError> {
        self.begin_session_within(provisioned, number, Duration::from_hours(12)).await
    }

    async fn begin_session_until(&self, provisioned: &Provisioned, number: u8, lifetime: Duration) {
        self.begin_session_within(provisioned, number, lifetime).await.unwrap();
    }

    async fn begin_session_within(
        &self,
        provisioned: &Provisioned,
        number: u8,
        lifetime: Duration,
    ) -> Result<(), StoreError> {
        let latest = self.now().after(lifetime);
        let record = SessionRecord {
            hash: SessionHash([number; 32]),
            content: SessionContent {
                idp: provisioned.verified().identity().idp.clone(),
                subject: provisioned.verified().identity().subject.clone(),
                logout_name: "ada".to_owned(),
                idp_session: None,
                account: provisioned.account().cloned(),
                claims: Claims::default(),
                grant: provisioned.grant().clone(),
                logout_hint: None,
            },
            created_at: self.now(),
            last_seen_at: self.now(),
            expires_at: provisioned.ends_at().map_or(latest, |ends_at| ends_at.min(latest)),
        };
        self.store.insert_session(&record, 20).await.map(drop)
    }

    async fn sign_out(&self, number: u8) -> bool {
        self.store.end_session(&SessionHash([number; 32])).await.unwrap()
    }

    async fn has_session(&self, number: u8) -> bool {
        self.store.find_session(&SessionHash([number; 32])).await.unwrap().is_some()
    }

    /// Works on jobs until none is due.
    async fn run_jobs(&self) {
        let process = self.process();
        while process.run_due_job().await.unwrap() {}
    }

    async fn jobs(&self) -> Vec<Job> {
        self.store.list_jobs(99).await.unwrap()
    }

    async fn member(&self, identity: &Identity) -> Option<Member> {
        self.store.find_member(&identity.idp, &identity.subject).await.unwrap()
    }
}
