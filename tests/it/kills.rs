//! Two replicas on one PostgreSQL, one of them killed with SIGKILL in the middle of a job, a borrowed role or a change of
//! settings: the other finishes it, or it never was. First logins are in `replicas`.

use std::future::Future;
use std::time::{Duration, Instant};

use http::Method;
use narthex::demo::application::{Lie, LieTo, UserChange};
use narthex::demo::idp::Chooser;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use toml::Table;

use crate::replicas::{LOOK, PATIENCE, Two, database};
use crate::support::Browser;
use crate::support::breaking::{Break, Breaking, Often};
use crate::support::stack::{push, put, table};

const DELETE: &str = "DELETE /api/users/";
const PATCH: &str = "PATCH /api/users/";

/// Two replicas whose calls to the application go through a relay that breaks connections. What a killed replica had the
/// right to do is another's ten seconds later: the time budget and what comes after it.
struct Scene {
    two: Two,
    relay: Breaking,
    database: String,
}

impl Scene {
    async fn begin(edit: impl FnOnce(&mut Table)) -> Self {
        let (relay, database) = (Breaking::start(), database().await);
        let two = Two::start(&database, |config| {
            put(config, "application.url", relay.url.as_str());
            put(config, "provisioning.time_budget", "5s");
            edit(config);
        });
        let two = two.await;
        relay.relay_to(two.parties.app.url());
        Self { two, relay, database }
    }

    /// Calls that begin so go on forever: done, or not done.
    fn holds(&self, calls: &'static str, how: Break) {
        self.relay.breaks(how, Often::UntilMended, calls, 0);
    }

    fn asked(&self, calls: &str) -> usize {
        self.relay.seen().iter().filter(|call| call.starts_with(calls)).count()
    }

    async fn is_asked(&self, calls: &str) {
        comes_about(calls, async || self.asked(calls) > 0).await;
    }

    /// How often the application did such a thing.
    fn done(&self, method: &Method, path: &str) -> usize {
        let calls = self.two.parties.app.calls();
        let done = calls.iter().filter(|call| call.method == *method && call.path.starts_with(path));
        done.filter(|call| call.status.is_some_and(|status| status < 300)).count()
    }

    fn role(&self) -> Option<String> {
        self.two.parties.app.user("ada").map(|user| user.role)
    }

    /// The role that the provider gives Ada from now on.
    fn provider_says(&self, role: &str) {
        self.two.parties.idp.edit("ada", |person| person.role = Some(role.to_owned()));
    }

    async fn jobs(&self) -> i64 {
        self.count("SELECT count(*) FROM jobs").await
    }

    async fn count(&self, statement: &str) -> i64 {
        let mut connection = PgConnection::connect(&self.database).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(statement.to_owned())).fetch_one(&mut connection).await.unwrap()
    }

    async fn audited(&self, event: &str) -> Vec<Value> {
        let (status, page) =
            self.two.b.ask(Method::GET, &format!("/audit?event={event}"), "", &Value::Null).await;
        assert_eq!(status, 200, "{page}");
        page["items"].as_array().unwrap().clone()
    }
}

async fn comes_about<F: Future<Output = bool>>(what: &str, so: impl Fn() -> F) {
    let (began, mut pulse) = (Instant::now(), tokio::time::interval(LOOK));
    while !so().await {
        pulse.tick().await;
        assert!(began.elapsed() < PATIENCE, "it never came about: {what}");
    }
}

fn ephemeral(config: &mut Table) {
    put(config, "provisioning.delete_at_session_end", true);
}

fn borrowing(config: &mut Table) {
    put(config, "provisioning.session_roles", "borrow");
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn e1_e2_a_deletion_whose_replica_is_killed_is_finished_by_the_other_and_happens_once() {
    // Before the application did it, and after.
    for how in [Break::Silent, Break::SilentDone] {
        let mut scene = Scene::begin(ephemeral).await;
        let person = scene.two.a.browser(&Browser::new());
        scene.two.sign_in(&person).await;
        scene.holds(DELETE, how);
        scene.two.b.stands_still();
        scene.two.sign_out(&person).await;
        scene.is_asked(DELETE).await;
        let left = usize::from(how == Break::Silent);
        comes_about("it is done, or not", async || scene.two.accounts_of_ada() == left).await;
        scene.two.a.kill();
        scene.relay.mend();
        scene.two.b.goes_on();
        comes_about("the job ends", async || scene.jobs().await == 0).await;
        assert_eq!(
            (scene.two.accounts_of_ada(), scene.done(&Method::DELETE, "/api/users/")),
            (0, 1),
            "{how:?}"
        );
        let gone = "SELECT count(*) FROM members WHERE account_state = 'deleted' AND account IS NULL";
        assert_eq!(scene.count(gone).await, 1);
        // E3, at the one that was killed, too.
        scene.two.a.start_again().await;
        scene.two.sign_in(&scene.two.a.browser(&Browser::new())).await;
        assert_eq!((scene.two.accounts_of_ada(), scene.done(&Method::POST, "/api/users")), (1, 2), "{how:?}");
    }
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn e4_e2_a_deactivation_whose_replica_is_killed_is_finished_by_the_other() {
    for how in [Break::Silent, Break::SilentDone] {
        let mut scene = Scene::begin(|_| {}).await;
        scene.two.sign_in(&scene.two.a.browser(&Browser::new())).await;
        let (_, members) = scene.two.a.ask(Method::GET, "/members?search=ada", "", &Value::Null).await;
        let path = format!("/members/{}/revoke", members["items"][0]["id"].as_str().unwrap());
        scene.holds(PATCH, how);
        scene.two.b.stands_still();
        let (status, answer) = scene.two.a.ask(Method::POST, &path, "", &Value::Null).await;
        assert_eq!(status, 200, "{answer}");
        scene.is_asked(PATCH).await;
        let active = || scene.two.parties.app.user("ada").unwrap().active;
        comes_about("it is done, or not", async || active() == (how == Break::Silent)).await;
        scene.two.a.kill();
        scene.relay.mend();
        scene.two.b.goes_on();
        comes_about("the job ends", async || scene.jobs().await == 0).await;
        assert!(!scene.two.parties.app.user("ada").unwrap().active, "{how:?}");
        assert_eq!(scene.done(&Method::PATCH, "/api/users/"), 1, "{how:?}");
        let inactive = "SELECT count(*) FROM members WHERE account_state = 'deactivated' AND leaving IS NULL";
        assert_eq!(scene.count(inactive).await, 1);
    }
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn e1_e2_an_account_that_a_killed_replica_made_and_that_nobody_comes_back_for_is_deleted_by_the_other()
{
    let mut scene = Scene::begin(ephemeral).await;
    scene.holds("POST /api/users", Break::SilentDone);
    let (killed, url) = (scene.two.a.browser(&Browser::new()), scene.two.at("/echo"));
    let login = tokio::spawn(async move { killed.visit(&url).await });
    comes_about("the account is made", async || scene.two.accounts_of_ada() == 1).await;
    scene.two.a.kill();
    assert!(login.await.is_err(), "the replica was killed before it answered");
    scene.relay.mend();
    comes_about("the account goes", async || scene.two.accounts_of_ada() == 0).await;
    comes_about("the job ends", async || scene.jobs().await == 0).await;
    assert_eq!(scene.done(&Method::DELETE, "/api/users/"), 1);
    assert_eq!(scene.count("SELECT count(*) FROM members").await, 0);
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn l2_a_role_that_a_killed_replica_lent_goes_back_when_the_session_ends_at_the_other_or_runs_out() {
    for runs_out in [false, true] {
        let mut scene = Scene::begin(|config| {
            borrowing(config);
            if runs_out {
                put(config, "session.max_lifetime", "30s");
                put(config, "session.idle_timeout", "30s");
            }
        })
        .await;
        scene.provider_says("user");
        let (person, home) = (Browser::new(), scene.two.a.browser(&Browser::new()));
        scene.two.sign_in(&home).await;
        scene.two.sign_out(&home).await;
        scene.provider_says("editor");
        let person = scene.two.a.browser(&person);
        scene.two.sign_in(&person).await;
        assert_eq!(scene.role().as_deref(), Some("editor"));
        scene.two.a.kill();
        let person = scene.two.b.browser(&person);
        assert_eq!(scene.two.status(&scene.two.b, &scene.two.cookie(&person)).await, 200);
        if !runs_out {
            assert_eq!(scene.role().as_deref(), Some("editor"), "while the session lives");
            scene.two.sign_out(&person).await;
        }
        comes_about("the role goes back", async || scene.role().as_deref() == Some("user")).await;
        comes_about("the job ends", async || scene.jobs().await == 0).await;
        assert_eq!(scene.count("SELECT count(*) FROM members WHERE borrowed <> '{}'").await, 0);
        assert_eq!(scene.audited("role_restored").await.len(), 1, "runs out: {runs_out}");
    }
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn l2_a_role_that_a_killed_replica_was_lending_when_no_session_had_begun_goes_back() {
    for how in [Break::Silent, Break::SilentDone] {
        let mut scene = Scene::begin(borrowing).await;
        scene.provider_says("user");
        let home = scene.two.a.browser(&Browser::new());
        scene.two.sign_in(&home).await;
        scene.two.sign_out(&home).await;
        scene.provider_says("editor");
        scene.holds(PATCH, how);
        let (killed, url) = (scene.two.a.browser(&Browser::new()), scene.two.at("/echo"));
        let login = tokio::spawn(async move { killed.visit(&url).await });
        scene.is_asked(PATCH).await;
        let lent = if how == Break::Silent { "user" } else { "editor" };
        comes_about("it is done, or not", async || scene.role().as_deref() == Some(lent)).await;
        scene.two.a.kill();
        assert!(login.await.is_err(), "the replica was killed before it answered");
        scene.relay.mend();
        comes_about("the role goes back", async || scene.role().as_deref() == Some("user")).await;
        comes_about("the job ends", async || scene.jobs().await == 0).await;
        assert_eq!(scene.count("SELECT count(*) FROM members WHERE borrowed <> '{}'").await, 0, "{how:?}");
    }
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn l2_a_role_that_changes_at_the_provider_while_another_session_lives_is_nobodys_after_a_kill() {
    // Before the application had the new role, and after.
    for how in [Break::Silent, Break::SilentDone] {
        let mut scene = Scene::begin(borrowing).await;
        scene.provider_says("user");
        let home = scene.two.b.browser(&Browser::new());
        scene.two.sign_in(&home).await;
        scene.two.sign_out(&home).await;
        scene.provider_says("editor");
        let first = scene.two.b.browser(&Browser::new());
        scene.two.sign_in(&first).await;
        assert_eq!(scene.role().as_deref(), Some("editor"));
        let cookie = scene.two.cookie(&first);
        // Of the next session she is an administrator.
        scene.two.parties.idp.edit("ada", |person| {
            person.role = None;
            person.groups = Some(vec!["platform-admins".to_owned()]);
        });
        scene.holds(PATCH, how);
        let (second, url) = (scene.two.a.browser(&Browser::new()), scene.two.at("/echo"));
        let login = tokio::spawn(async move { second.visit(&url).await });
        scene.is_asked(PATCH).await;
        if how == Break::SilentDone {
            comes_about("it is done", async || scene.role().as_deref() == Some("admin")).await;
        }
        scene.two.a.kill();
        assert!(login.await.is_err(), "the replica was killed before it answered");
        scene.relay.mend();
        let over = async || scene.two.status(&scene.two.b, &cookie).await == 401;
        comes_about("the older session is elevated by nothing", over).await;
        comes_about("the role goes back", async || scene.role().as_deref() == Some("user")).await;
        comes_about("the job ends", async || scene.jobs().await == 0).await;
        assert_eq!(scene.count("SELECT count(*) FROM members WHERE borrowed <> '{}'").await, 0, "{how:?}");
        // And the person may come again.
        scene.two.sign_in(&scene.two.b.browser(&Browser::new())).await;
        assert_eq!(scene.role().as_deref(), Some("admin"), "{how:?}");
    }
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn l2_what_an_administrator_changes_while_a_killed_replicas_loan_lasts_stays_and_is_told() {
    let mut scene = Scene::begin(borrowing).await;
    scene.provider_says("user");
    let home = scene.two.a.browser(&Browser::new());
    scene.two.sign_in(&home).await;
    scene.two.sign_out(&home).await;
    scene.provider_says("editor");
    let person = scene.two.a.browser(&Browser::new());
    scene.two.sign_in(&person).await;
    assert_eq!(scene.role().as_deref(), Some("editor"));
    scene.two.a.kill();
    let id = scene.two.parties.app.user("ada").unwrap().id;
    let change = UserChange { role: Some("admin".to_owned()), ..UserChange::default() };
    scene.two.parties.app.edit(|directory| directory.update(id, change).map(|_| ())).unwrap();
    scene.two.sign_out(&scene.two.b.browser(&person)).await;
    comes_about("the job ends", async || scene.jobs().await == 0).await;
    assert_eq!(scene.role().as_deref(), Some("admin"), "an administrator's change wins");
    assert_eq!(scene.count("SELECT count(*) FROM members WHERE borrowed <> '{}'").await, 0);
    assert_eq!(scene.audited("role_kept").await.len(), 1);
}

/// The version that a replica goes by, and the role that it gives newcomers.
async fn settings(replica: &crate::replicas::Replica) -> (i64, String) {
    let (status, view) = replica.ask(Method::GET, "/settings", "", &Value::Null).await;
    assert_eq!(status, 200, "{view}");
    (view["version"].as_i64().unwrap(), view["provisioning"]["default_role"].as_str().unwrap().to_owned())
}

/// The body of a confirmed change to this default role.
async fn confirmed(replica: &crate::replicas::Replica, role: &str) -> Value {
    let (_, view) = replica.ask(Method::GET, "/settings", "", &Value::Null).await;
    let mut wanted = view["given"].clone();
    wanted["default_role"] = json!(role);
    let proposal = json!({ "provisioning": wanted });
    let (status, preview) = replica.ask(Method::POST, "/settings/preview", "", &proposal).await;
    assert_eq!(status, 200, "{preview}");
    json!({ "provisioning": wanted, "confirmation": preview["confirmation"] })
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn m4_settings_whose_replica_is_killed_before_they_are_recorded_hold_nowhere() {
    let mut scene = Scene::begin(|_| {}).await;
    let change = confirmed(&scene.two.a, "editor").await;
    // Whoever writes settings waits for this; who reads them does not.
    let mut lock = PgConnection::connect(&scene.database).await.unwrap();
    lock.execute("BEGIN; LOCK TABLE settings IN EXCLUSIVE MODE").await.unwrap();
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'settings'::regclass";
    {
        let put = scene.two.a.ask(Method::PUT, "/settings", "\"0\"", &change);
        let comes = comes_about("the change waits", async || scene.count(waiting).await > 0);
        tokio::select! {
            answer = put => panic!("it went through: {answer:?}"),
            () = comes => {}
        }
    }
    scene.two.a.kill();
    lock.execute("COMMIT").await.unwrap();
    comes_about("nobody waits any more", async || scene.count(waiting).await == 0).await;
    assert_eq!(settings(&scene.two.b).await, (0, "user".to_owned()));
    // The survivor takes a change that follows what there is, and the other comes up with it.
    let change = confirmed(&scene.two.b, "editor").await;
    let (status, answer) = scene.two.b.ask(Method::PUT, "/settings", "\"0\"", &change).await;
    assert_eq!((status, &answer["version"]), (200, &json!(1)), "{answer}");
    scene.two.a.start_again().await;
    assert_eq!(settings(&scene.two.a).await, (1, "editor".to_owned()));
    assert_eq!(scene.count("SELECT count(*) FROM settings").await, 1);
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn m4_settings_whose_replica_is_killed_once_they_are_recorded_hold_at_the_other_and_when_it_is_back() {
    let mut scene = Scene::begin(|_| {}).await;
    let change = confirmed(&scene.two.a, "editor").await;
    let (mut asking, recorded) =
        (Box::pin(scene.two.a.ask(Method::PUT, "/settings", "\"0\"", &change)), async || {
            scene.count("SELECT count(*) FROM settings").await == 1
        });
    let comes = comes_about("the change is recorded", recorded);
    // Answered or not.
    tokio::select! {
        _ = &mut asking => {}
        () = comes => {}
    }
    drop(asking);
    scene.two.a.kill();
    let before = Instant::now();
    comes_about("the other goes by it", async || settings(&scene.two.b).await.0 == 1).await;
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
    assert_eq!(settings(&scene.two.b).await.1, "editor");
    // What was meant for the version from before is refused, what follows is not.
    let stale = confirmed(&scene.two.b, "user").await;
    assert_eq!(scene.two.b.ask(Method::PUT, "/settings", "\"0\"", &stale).await.0, 412);
    scene.two.parties.idp.edit("newcomer", |_| {});
    scene.two.parties.idp.set_chooser(Chooser::Always("newcomer".to_owned()));
    scene.two.sign_in(&scene.two.b.browser(&Browser::new())).await;
    assert_eq!(
        scene.two.parties.app.user("newcomer").unwrap().role,
        "editor",
        "whole: the next newcomer has it"
    );
    let (status, answer) = scene.two.b.ask(Method::PUT, "/settings", "\"1\"", &stale).await;
    assert_eq!((status, &answer["version"]), (200, &json!(2)), "{answer}");
    scene.two.a.start_again().await;
    assert_eq!(settings(&scene.two.a).await, (2, "user".to_owned()));
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn g1_of_the_last_two_administrators_whom_two_replicas_would_demote_at_once_one_stays() {
    let scene = Scene::begin(|config| {
        put(config, "provisioning.sync", "every_login");
        let row = table("group = \"crew\"\nrole = \"admin\"\nprivileged = true");
        push(config, "provisioning.mapping", row);
    })
    .await;
    let (two, people) = (&scene.two, ["ada", "bob"]);
    let says = |group: &str| {
        for login in people {
            two.parties.idp.edit(login, |person| {
                person.role = None;
                person.groups = Some(vec![group.to_owned()]);
            });
        }
    };
    says("crew");
    for login in people {
        two.parties.idp.set_chooser(Chooser::Always(login.to_owned()));
        two.sign_in(&two.a.browser(&Browser::new())).await;
    }
    // The account whose token narthex has is no administrator any more: these two are the last.
    let root = two.parties.app.user("root").unwrap().id;
    let change = UserChange { role: Some("user".to_owned()), ..UserChange::default() };
    two.parties.app.edit(|directory| directory.update(root, change).map(|_| ())).unwrap();
    let administrators = || two.parties.app.users().iter().filter(|user| user.role == "admin").count();
    assert_eq!(administrators(), 2);
    says("everyone");
    // Both have the provider's answer in hand,
    let mut ready = Vec::new();
    for (login, replica) in people.into_iter().zip([&two.a, &two.b]) {
        two.parties.idp.set_chooser(Chooser::Always(login.to_owned()));
        let browser = replica.browser(&Browser::new());
        let page = browser.request(Method::GET, &two.at("/.narthex/login")).stay().send().await;
        let page = browser.request(Method::GET, page.location().as_str()).stay().send().await;
        ready.push((browser, page.location()));
    }
    // and a demotion takes so long that either replica could look while the other's is under way.
    let demotion = LieTo::Calls { method: Method::PATCH, path: "/api/users/".to_owned() };
    two.parties.app.set_lie(demotion, Lie::Late(Duration::from_secs(2)));
    let all = ready.into_iter().map(|(browser, answer)| async move {
        browser.request(Method::GET, answer.as_str()).stay().send().await
    });
    for page in futures_util::future::join_all(all).await {
        assert_eq!((page.status.as_u16(), page.header("location")), (303, Some("/")), "{}", page.text());
    }
    assert_eq!(administrators(), 1);
    assert_eq!(scene.audited("removal_refused").await.len(), 1);
}
