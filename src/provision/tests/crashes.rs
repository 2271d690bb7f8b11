//! E2, F9, L2: a process dies at any boundary to the store or to the application, in a sign-in or a job, and others go
//! on from there.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::fake::{Mishap, account, unreachable};
use super::*;
use crate::model::{Account, AccountState, Case, CaseStanding, Facet, JobState, Leaving, Origin, Task};
use crate::provision::ConnectorError;
use crate::provision::faults::{FaultPoint, Faults};
use crate::store::{StandingStore, Update};

/// Every lease has run out by then.
const LEASES_OVER: Duration = Duration::from_secs(31);

/// What happens, one after the other.
#[derive(Debug, Clone)]
enum Step {
    /// With these claims; the session gets this number.
    SignIn(Says, u8),
    SignOut(u8),
    Jobs,
    Wait(Duration),
    /// Somebody takes the access away.
    Revoke,
    /// The next call of this operation goes wrong.
    Goes(&'static str, Wrong),
}

/// What the provider says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Engineer,
    Auditor,
    /// In a team that is not there yet, with another name.
    Renamed,
}

#[derive(Debug, Clone, Copy)]
enum Wrong {
    AnswerLost,
    NotReached,
    Refused,
}

impl Says {
    fn identity(self) -> Identity {
        match self {
            Self::Engineer => ada(json!({})),
            Self::Auditor => ada(json!({ "groups": ["auditors"], "teams": ["public"] })),
            Self::Renamed => ada(json!({ "teams": ["acme/new"], "name": "Ada King" })),
        }
    }
}

/// What the settings are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Ephemeral,
    Borrowing,
    Both,
    Syncing,
    Leaving,
}

impl About {
    fn world(self) -> World {
        let mut settings = Provisioning { unknown_team: UnknownTeam::Create, ..settings() };
        if matches!(self, Self::Ephemeral | Self::Both) {
            settings.lifecycle.ephemeral = Some(Duration::from_hours(24));
        }
        if matches!(self, Self::Borrowing | Self::Both) {
            settings.session_roles = SessionRoles::Borrow;
        }
        if self == Self::Syncing {
            settings.lifecycle.sync = Facet::ALL.into();
        }
        let world = World::with(settings);
        world.app.has(Account { privileged: true, ..account("9", "root", "root@example.com") });
        world
    }

    fn script(self) -> Vec<Step> {
        use Says::{Auditor, Engineer, Renamed};
        use Step::{Jobs, Revoke, SignIn, SignOut, Wait};
        match self {
            Self::Ephemeral | Self::Both => vec![
                SignIn(Renamed, 1),
                Jobs,
                SignIn(Auditor, 2),
                SignOut(1),
                Jobs,
                SignOut(2),
                Jobs,
                SignIn(Engineer, 3),
                SignOut(3),
                Jobs,
                Wait(LEASES_OVER),
                Jobs,
            ],
            Self::Borrowing => vec![
                SignIn(Engineer, 1),
                SignOut(1),
                SignIn(Auditor, 2),
                Jobs,
                SignIn(Engineer, 3),
                SignIn(Auditor, 4),
                SignOut(3),
                Jobs,
                SignOut(4),
                Jobs,
            ],
            Self::Syncing => vec![SignIn(Engineer, 1), SignIn(Renamed, 2), SignIn(Auditor, 3), Jobs],
            Self::Leaving => vec![
                SignIn(Engineer, 1),
                Revoke,
                Jobs,
                SignIn(Engineer, 2),
                SignOut(2),
                Revoke,
                SignIn(Engineer, 3),
                Revoke,
                Jobs,
            ],
        }
    }
}

/// A world in which processes die.
struct Mortal {
    world: World,
    faults: Arc<Faults>,
    about: About,
    begun: BTreeSet<u8>,
}

impl Mortal {
    fn new(about: About, faults: Faults) -> Self {
        Self { world: about.world(), faults: Arc::new(faults), about, begun: BTreeSet::new() }
    }

    /// A process like the others; as long as nobody has died, one that may.
    fn process(&self) -> Provisioner {
        let process = self.world.process();
        if self.faults.is_dead() { process } else { process.dying(self.faults.clone()) }
    }

    /// One step; `false`: its process died.
    async fn step(&mut self, step: &Step) -> bool {
        let (process, mortal) = (self.process(), !self.faults.is_dead());
        let faults = self.faults.clone();
        let work = self.work(process, step);
        let alive = tokio::select! {
            biased;
            () = work => true,
            () = faults.died(), if mortal => false,
        };
        self.check_sessions(step).await;
        alive
    }

    async fn work(&mut self, process: Provisioner, step: &Step) {
        let world = &self.world;
        match step {
            Step::SignIn(claims, number) => {
                let signing_in = process.provision(Verified::for_tests(claims.identity())).await;
                if let Ok(provisioned) = signing_in
                    && world.begin_session(&provisioned, *number).await.is_ok()
                {
                    self.begun.insert(*number);
                }
            }
            Step::SignOut(number) => {
                world.sign_out(*number).await;
            }
            Step::Jobs => while process.run_due_job().await.unwrap() {},
            Step::Wait(by) => world.later(*by),
            Step::Revoke => {
                let Some(member) = world.member(&Says::Engineer.identity()).await else { return };
                let leaving = Member { leaving: Some(Leaving::Deactivate), ..member };
                let update = Update {
                    sessions: crate::store::OnUpdate::End,
                    settle_at: Some(world.now()),
                    ..Update::default()
                };
                world.store.update_member(&leaving, update).await.unwrap();
            }
            Step::Goes(operation, wrong) => {
                let refused = ConnectorError::Refused { operation, status: 422, excerpt: String::new() };
                let mishap = match wrong {
                    Wrong::AnswerLost => Mishap::AnswerLost,
                    Wrong::NotReached => unreachable(false),
                    Wrong::Refused => Mishap::Error(refused),
                };
                world.app.next(operation, mishap);
            }
        }
    }

    /// While a session lives, its account is there and active, and it is the only one of this person.
    async fn check_sessions(&self, after: &Step) {
        let accounts = self.world.app.accounts();
        let of_ada: Vec<&Account> =
            accounts.iter().filter(|account| account.profile.username.starts_with("ada")).collect();
        assert!(of_ada.len() <= 1, "two accounts after {after:?}");
        for number in &self.begun {
            let hash = SessionHash([*number; 32]);
            let Some(session) = self.world.store.find_session(&hash).await.unwrap() else { continue };
            if session.expires_at <= self.world.now() {
                continue;
            }
            let id = &session.content.account.as_ref().unwrap().id;
            let lives = of_ada.iter().any(|account| account.id == *id && account.active);
            assert!(lives, "the session {number} has no account after {after:?}");
        }
    }

    /// Everybody leaves, and time goes by.
    async fn end(&mut self) {
        for number in self.begun.clone() {
            self.step(&Step::SignOut(number)).await;
        }
        for hours in [0, 0, 0, 1, 2, 30] {
            self.step(&Step::Wait(LEASES_OVER + Duration::from_hours(hours))).await;
            self.step(&Step::Jobs).await;
            for job in self.world.jobs().await.iter().filter(|job| job.state == JobState::Parked) {
                self.look_after(&job.task).await;
                self.world.store.hasten_job(&job.task.key()).await.unwrap();
            }
            self.step(&Step::Jobs).await;
        }
    }

    /// As an administrator does with what an unfinished sign-in left long ago.
    async fn look_after(&self, parked: &Task) {
        let Task::AbandonedCreation { username, .. } = parked else { return };
        let accounts = self.world.app.accounts();
        let there = accounts.into_iter().find(|account| account.profile.username == *username);
        // Gone already where the job was refused once more after the last look.
        let Some(Account { id, .. }) = there else { return };
        if self.world.store.find_member_by_account(&id).await.unwrap().is_none() {
            self.world.app.state.lock().unwrap().accounts.retain(|account| account.id != id);
        }
    }

    /// No orphan account, no lost deletion, no role left borrowed, nothing left to do.
    async fn check_end(&self, told: &str) {
        let jobs = self.world.jobs().await;
        assert!(jobs.is_empty(), "{told}: {jobs:?}");
        let accounts = self.world.app.accounts();
        let of_ada = accounts.iter().find(|account| account.profile.username.starts_with("ada"));
        if matches!(self.about, About::Ephemeral | About::Both) {
            // What an unfinished sign-in left so long ago that it counts as there before is not deleted.
            let member = self.world.member(&Says::Engineer.identity()).await;
            let adopted = member.is_some_and(|member| member.origin == Origin::Adopted);
            assert!(of_ada.is_none() || adopted, "{told}: {of_ada:?}");
        }
        let Some(member) = self.world.member(&Says::Engineer.identity()).await else { return };
        assert!(member.borrowed.is_empty(), "{told}: {member:?}");
        assert!(member.leaving.is_none(), "{told}: {member:?}");
        assert_ne!(member.account_state, AccountState::Leaving);
        if let Some(account) = of_ada {
            assert_eq!(member.account.as_ref(), Some(&account.id));
            assert_eq!(account.active, member.account_state == AccountState::Present, "{told}: {member:?}");
            if self.about == About::Borrowing {
                assert_eq!(account.entitlements.role.as_deref(), Some("user"), "{told}: {account:?}");
                assert!(!account.entitlements.teams.contains_key("public"), "{told}: {account:?}");
            }
        }
    }
}

/// Runs the script of `about` with a death at `point`; afterwards the person goes on with the script, or stays away.
async fn dies(about: About, point: FaultPoint, times: u32, comes_back: bool) -> bool {
    let mut mortal = Mortal::new(about, Faults::dying_at(point, times));
    for step in about.script() {
        if mortal.step(&step).await {
            continue;
        }
        mortal.step(&Step::Wait(LEASES_OVER)).await;
        if !comes_back {
            break;
        }
        mortal.step(&step).await;
    }
    let died = mortal.faults.is_dead();
    mortal.end().await;
    mortal.check_end(&format!("{about:?} {point:?} {times} {comes_back}")).await;
    died
}

#[tokio::test]
async fn e2_a_death_at_any_boundary_leaves_no_orphan_no_loan_and_nothing_undone() {
    let mut died_at = BTreeSet::new();
    for about in [About::Ephemeral, About::Borrowing, About::Both, About::Syncing, About::Leaving] {
        for point in FaultPoint::ALL {
            for times in 0..3 {
                for comes_back in [true, false] {
                    if dies(about, *point, times, comes_back).await {
                        died_at.insert(*point);
                    }
                }
            }
        }
    }
    died_at.extend(abandoned().await);
    died_at.extend(linked().await);
    died_at.extend(admitted().await);
    let all: BTreeSet<FaultPoint> = FaultPoint::ALL.iter().copied().collect();
    let spared: Vec<&FaultPoint> = all.difference(&died_at).collect();
    assert!(spared.is_empty(), "nobody died at {spared:?}");
}

/// The job that looks after an unfinished creation dies as well.
async fn abandoned() -> BTreeSet<FaultPoint> {
    let mut died_at = BTreeSet::new();
    for first in [FaultPoint::CreationIntended, FaultPoint::AccountCreated, FaultPoint::AccountCompleted] {
        for second in FaultPoint::ALL {
            let mut mortal = Mortal::new(About::Ephemeral, Faults::dying_at(first, 0));
            assert!(!mortal.step(&Step::SignIn(Says::Engineer, 1)).await);
            mortal.faults = Arc::new(Faults::dying_at(*second, 0));
            mortal.step(&Step::Wait(Duration::from_mins(5))).await;
            if !mortal.step(&Step::Jobs).await {
                died_at.insert(*second);
            }
            mortal.end().await;
            mortal.check_end(&format!("{first:?} {second:?}")).await;
        }
    }
    died_at
}

/// A sign-in dies that an administrator let in, and one that joins a member.
async fn linked() -> BTreeSet<FaultPoint> {
    let mut died_at = BTreeSet::new();
    for point in FaultPoint::ALL {
        let settings = Provisioning { on_existing: OnExisting::Ask, link_identities: true, ..settings() };
        let world = World::with(settings);
        world.app.has(account("7", "ada.l", "ada@example.com"));
        assert!(world.login(&Says::Engineer.identity()).await.is_err());
        let [case] = <[Case; 1]>::try_from(world.cases().await).unwrap();
        world.decide(&case, CaseStanding::Linked).await;
        let mut elsewhere = Says::Engineer.identity();
        elsewhere.idp = "other".parse().unwrap();
        for identity in [Says::Engineer.identity(), elsewhere.clone()] {
            let faults = Arc::new(Faults::dying_at(*point, 0));
            let process = world.process().dying(faults.clone());
            tokio::select! {
                biased;
                result = process.provision(Verified::for_tests(identity.clone())) => drop(result.unwrap()),
                () = faults.died() => {
                    died_at.insert(*point);
                    world.later(LEASES_OVER);
                    world.login(&identity).await.unwrap();
                }
            }
        }
        let member = world.member(&elsewhere).await.unwrap();
        assert_eq!(member.identities.len(), 2, "{point:?}");
        assert_eq!(world.app.accounts().len(), 1, "{point:?}");
        assert!(world.app.writes().is_empty(), "{point:?}");
        let [case] = <[Case; 1]>::try_from(world.cases().await).unwrap();
        assert_eq!(case.standing, CaseStanding::Used, "{point:?}");
    }
    died_at
}

/// A sign-in on record dies, and the job that catches up with it: of an account that is there, and of one that is not.
async fn admitted() -> BTreeSet<FaultPoint> {
    let mut died_at = BTreeSet::new();
    for (point, gone) in FaultPoint::ALL.iter().flat_map(|point| [(point, false), (point, true)]) {
        let mut settings = Provisioning { on_error: OnError::Admit, ..settings() };
        settings.unknown_team = UnknownTeam::Create;
        settings.lifecycle.sync = Facet::ALL.into();
        let world = World::with(settings);
        let process = world.process();
        process.provision(Verified::for_tests(Says::Engineer.identity())).await.unwrap();
        world.later(Duration::from_mins(5));
        let faults = Arc::new(Faults::dying_at(*point, 0));
        let process = process.dying(faults.clone());
        world.app.next("find", on_record::away());
        let signing_in = process.provision(Verified::for_tests(Says::Renamed.identity()));
        let came_in = tokio::select! {
            biased;
            provisioned = signing_in => {
                world.begin_session(&provisioned.unwrap(), 1).await.unwrap();
                true
            }
            () = faults.died() => false,
        };
        if gone {
            world.app.state.lock().unwrap().accounts.clear();
        }
        world.later(LEASES_OVER);
        if came_in {
            tokio::select! {
                biased;
                () = async { while process.run_due_job().await.unwrap() {} } => {}
                () = faults.died() => {}
            }
        }
        if faults.is_dead() {
            died_at.insert(*point);
        }
        world.later(LEASES_OVER);
        world.run_jobs().await;
        assert!(world.jobs().await.is_empty(), "{point:?}");
        let accounts = world.app.accounts();
        if came_in {
            assert_eq!(world.has_session(1).await, !gone, "{point:?}");
            let told = accounts.first().map(|account| account.profile.display_name.as_deref());
            assert_eq!(told, (!gone).then_some(Some("Ada King")), "{point:?}");
        }
        assert_eq!(accounts.len(), usize::from(!gone), "{point:?}");
    }
    died_at
}

fn steps() -> impl Strategy<Value = Step> {
    let claims = prop::sample::select(vec![Says::Engineer, Says::Auditor, Says::Renamed]);
    let operation = prop::sample::select(vec!["create", "entitle", "delete", "find", "deactivate", "update"]);
    let wrong = prop::sample::select(vec![Wrong::AnswerLost, Wrong::NotReached, Wrong::Refused]);
    prop_oneof![
        4 => (claims, 0..6_u8).prop_map(|(claims, number)| Step::SignIn(claims, number)),
        3 => (0..6_u8).prop_map(Step::SignOut),
        3 => Just(Step::Jobs),
        2 => (1..40_u64).prop_map(|seconds| Step::Wait(Duration::from_secs(seconds))),
        1 => Just(Step::Wait(Duration::from_hours(25))),
        2 => (operation, wrong).prop_map(|(operation, wrong)| Step::Goes(operation, wrong)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: tries(100), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn e2_a_hundred_random_schedules_with_deaths_leave_nothing_behind(
        about in prop::sample::select(vec![About::Ephemeral, About::Borrowing, About::Both]),
        schedule in prop::collection::vec(
            (steps(), prop::option::weighted(0.3, (0..FaultPoint::ALL.len(), 0..2_u32))),
            1..25,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut mortal = Mortal::new(about, Faults::default());
            if about == About::Borrowing {
                mortal.step(&Step::SignIn(Says::Engineer, 0)).await;
                mortal.step(&Step::SignOut(0)).await;
            }
            // Nobody waits long for the lease of a dead one.
            mortal.world.settings.time_budget = Duration::from_millis(60);
            for (step, death) in schedule {
                mortal.faults = Arc::new(death.map_or_else(Faults::default, |(point, times)| {
                    Faults::dying_at(FaultPoint::ALL[point], times)
                }));
                mortal.step(&step).await;
            }
            mortal.faults = Arc::default();
            mortal.world.settings.time_budget = Duration::from_secs(15);
            mortal.end().await;
            mortal.check_end("random").await;
        });
    }
}
