//! What becomes of a person at the first login and after, by the rules of PROVISIONING.md.

use std::time::Duration;

use futures_util::StreamExt;
use http::Method;
use narthex::demo::application::{Lie, LieTo, UserChange};
use narthex::demo::idp::Chooser;
use serde_json::json;
use toml::Table;

use crate::support::stack::{push, put, table};
use crate::support::{Browser, Log, Page, Stack};

const CREATE: &str = "/api/users";

fn calls(method: Method, path: &str) -> LieTo {
    LieTo::Calls { method, path: path.to_owned() }
}

fn creations(stack: &Stack) -> usize {
    let writes = stack.parties.app.writes();
    writes.iter().filter(|call| call.method == Method::POST && call.path == CREATE).count()
}

async fn sign_in(stack: &Stack, login: &str) -> Page {
    stack.sign_in_at(&Browser::new(), login, "/echo").await
}

fn assert_in(page: &Page) {
    assert_in_at(page, "/echo");
}

fn assert_in_at(page: &Page, path: &str) {
    assert_eq!((page.status.as_u16(), page.url.path()), (200, path), "{}", page.text());
}

/// No session came of it.
fn assert_out(stack: &Stack, browser: &Browser) {
    assert_eq!(browser.cookie(&stack.session_cookie()), None);
}

fn said(page: &Page, name: &str) -> Option<String> {
    let headers = page.json()["headers"].as_array().unwrap().clone();
    headers.iter().find(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap().to_owned())
}

fn teams(stack: &Stack, login: &str) -> Vec<String> {
    stack.parties.app.teams_of(login).into_iter().map(|(team, role)| format!("{team}: {role}")).collect()
}

fn anybody_may_speak_for_any_domain(config: &mut Table) {
    config["idp"][0].as_table_mut().unwrap().insert("email_domains".to_owned(), vec!["*"].into());
}

/// A thousand connections have two ends here, and each end asks the provider too.
fn at_once() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft = files.split_whitespace().nth(3).unwrap();
    if soft.parse::<u64>().is_ok_and(|soft| soft < 10_000) { 100 } else { 1000 }
}

#[tokio::test]
async fn f9_a_thousand_simultaneous_first_logins_of_one_person_make_one_account_and_all_get_in() {
    // A store without a disk: how fast this machine's is today is not the question here.
    all_get_in(1000, "memory:").await;
}

#[tokio::test]
async fn f9_simultaneous_first_logins_make_one_account_on_a_store_that_lasts_too() {
    all_get_in(200, "sqlite:narthex.db").await;
}

async fn all_get_in(many: usize, store: &str) {
    let (log, stack) = (
        Log::begin(),
        Stack::with(|config| {
            put(config, "store.url", store);
            put(config, "keys.seal", "a-key-for-this-test-and-no-other");
            put(config, "session.max_per_member", 1000);
            put(config, "provisioning.time_budget", "60s");
        })
        .await,
    );
    stack.parties.idp.set_chooser(Chooser::Always("ada".to_owned()));
    let (first, stack) = (Browser::new(), &stack);
    // Everybody has an answer of the provider in hand,
    let ready = futures_util::stream::iter((0..many).map(|_| {
        let browser = first.stranger();
        async move {
            let page = browser.request(Method::GET, &stack.at("/.narthex/login")).stay().send().await;
            let page = browser.request(Method::GET, page.location().as_str()).stay().send().await;
            (browser, page.location())
        }
    }));
    let ready: Vec<_> = ready.buffer_unordered(50).collect().await;
    assert_eq!(ready.len(), many);
    stack.parties.app.forget_calls();
    // and the application is slow to create the account, so that the others come while it does.
    let slow = Lie::Late(Duration::from_secs(3));
    stack.parties.app.set_lie(calls(Method::POST, CREATE), slow);
    let answers = futures_util::stream::iter(ready.into_iter().map(|(browser, answer)| async move {
        let page = browser.request(Method::GET, answer.as_str()).stay().send().await;
        (browser, page)
    }));
    let answers: Vec<_> = answers.buffer_unordered(at_once()).collect().await;
    for (browser, page) in &answers {
        assert_eq!(page.status, 303, "{}", log.of(page));
        assert_eq!(page.header("location"), Some("/"));
        assert!(browser.cookie(&stack.session_cookie()).is_some());
    }
    assert_eq!(creations(stack), 1);
    assert_eq!(stack.parties.app.users().iter().filter(|user| user.email == "ada@example.com").count(), 1);
    assert_eq!(teams(stack, "ada"), ["developers: member"]);
    for (browser, _) in answers.iter().step_by(50) {
        let page = browser.request(Method::GET, &stack.at("/echo")).background().send().await;
        assert_eq!(said(&page, "x-remote-user").as_deref(), Some("ada"));
    }
}

#[tokio::test]
async fn f1_the_whole_domain_of_one_address_decides() {
    let (log, stack) = (
        Log::begin(),
        Stack::with(|config| {
            anybody_may_speak_for_any_domain(config);
            put(config, "provisioning.allowed_email_domains", vec!["example.com", "*.example.org"]);
        })
        .await,
    );
    for (email, code) in [
        (Some("ada@evil.test"), "email_domain_not_allowed"),
        (Some("ada@evil.test@example.com"), "email_invalid"),
        (Some("ada@example.com@evil.test"), "email_invalid"),
        (Some("ada@notexample.com"), "email_domain_not_allowed"),
        (Some("ada@eu.example.com"), "email_domain_not_allowed"),
        (Some("ada@example.com.evil.test"), "email_domain_not_allowed"),
        (Some("ada@example.org"), "email_domain_not_allowed"),
        (Some("ada@notexample.org"), "email_domain_not_allowed"),
        (Some("ada@.example.org"), "email_invalid"),
        (Some("ada@example.com, eve@evil.test"), "email_invalid"),
        (Some("ada"), "email_invalid"),
        (Some(""), "email_missing"),
        (None, "email_missing"),
    ] {
        stack.parties.idp.edit("ada", |ada| ada.email = email.map(str::to_owned));
        let browser = Browser::new();
        let page = stack.sign_in(&browser, "ada").await;
        assert_eq!((page.status.as_u16(), log.code(&page).as_str()), (403, code), "{email:?}");
        assert!(email.is_none_or(|email| email.is_empty() || !page.text().contains(email)), "{email:?}");
        assert_out(&stack, &browser);
    }
    assert_eq!(stack.parties.app.calls(), [], "the application never hears of them");
    for (login, email) in [("eve", "eve@EXAMPLE.com"), ("zoe", "zoe@a.b.example.org")] {
        stack.parties.idp.edit(login, |person| person.email = Some(email.to_owned()));
        assert_in(&sign_in(&stack, login).await);
    }
}

#[tokio::test]
async fn f1_differing_and_unverified_addresses_are_refused_where_the_domain_decides() {
    let (log, stack) = (
        Log::begin(),
        Stack::with(|config| put(config, "provisioning.allowed_email_domains", vec!["example.com"])).await,
    );
    let idp = &stack.parties.idp;
    idp.edit("two", |two| {
        two.claims.insert("mail".to_owned(), json!("other@example.com"));
    });
    idp.edit("list", |list| {
        list.claims.insert("email".to_owned(), json!(["list@example.com", "other@example.com"]));
    });
    idp.edit("unverified", |person| person.email_verified = Some(false));
    idp.edit("untold", |person| person.email_verified = None);
    idp.edit("outside", |person| person.email = Some("outside@example.net".to_owned()));
    for (login, code) in [
        ("two", "emails_differ"),
        ("list", "email_invalid"),
        ("unverified", "email_unverified"),
        ("untold", "email_unverified"),
        ("outside", "email_outside_authority"),
    ] {
        let page = sign_in(&stack, login).await;
        assert_eq!((page.status.as_u16(), log.code(&page).as_str()), (403, code), "{login}");
    }
    assert_eq!(stack.parties.app.writes(), []);
    assert_in(&sign_in(&stack, "ada").await);
}

#[tokio::test]
async fn f1_the_domain_is_looked_at_again_at_every_login() {
    let (log, mut stack) = (Log::begin(), Stack::start().await);
    assert_in(&sign_in(&stack, "ada").await);
    stack
        .restart_with(|config| {
            anybody_may_speak_for_any_domain(config);
            put(config, "provisioning.allowed_email_domains", vec!["example.net"]);
        })
        .await;
    let page = sign_in(&stack, "ada").await;
    assert_eq!((page.status.as_u16(), log.code(&page).as_str()), (403, "email_domain_not_allowed"));
}

#[tokio::test]
async fn f2_all_missing_attributes_are_named_at_once_in_the_log_and_none_in_the_page() {
    let (log, stack) = (Log::begin(), Stack::start().await);
    stack.parties.idp.edit("ada", |ada| {
        ada.email = None;
        ada.claims.insert("preferred_username".to_owned(), json!(null));
        ada.claims.insert("shoe_size".to_owned(), json!("38"));
    });
    let browser = Browser::new();
    let page = stack.sign_in(&browser, "ada").await;
    assert_eq!((page.status.as_u16(), log.code(&page).as_str()), (403, "attributes_missing"));
    let logged = log.reason(&page);
    for name in ["username", "email", "shoe_size"] {
        assert!(logged.contains(name), "{name}: {logged}");
        assert!(!page.text().contains(name), "{name}: {}", page.text());
    }
    assert_out(&stack, &browser);
    assert_eq!(stack.parties.app.writes(), []);
}

#[tokio::test]
async fn f7_an_account_that_was_there_is_adopted_as_it_is() {
    let stack = Stack::start().await;
    let before = stack.parties.app.user("carol").unwrap();
    let page = sign_in(&stack, "carol").await;
    assert_in(&page);
    assert_eq!(said(&page, "x-remote-user").as_deref(), Some("carol"));
    assert_eq!(stack.parties.app.user("carol").unwrap(), before);
    assert_eq!(stack.parties.app.writes(), []);
}

#[tokio::test]
async fn f7_and_g2_what_may_not_be_adopted_is_not() {
    let (log, stack) = (
        Log::begin(),
        Stack::with(|config| put(config, "provisioning.protected_accounts", vec!["Guarded@example.com"]))
            .await,
    );
    let (idp, app) = (&stack.parties.idp, &stack.parties.app);
    let there = |username: &str, email: &str, role: &str| UserChange {
        username: Some(username.to_owned()),
        email: Some(email.to_owned()),
        role: Some(role.to_owned()),
        ..UserChange::default()
    };
    app.edit(|directory| {
        for (username, email, role) in [
            ("boss", "boss@example.com", "admin"),
            ("guarded", "guarded@example.com", "user"),
            ("unverified", "unverified@example.com", "user"),
            ("untold", "untold@example.com", "user"),
            ("namesake", "somebody-else@example.com", "user"),
        ] {
            directory.create(there(username, email, role)).map(|_| ()).unwrap();
        }
    });
    let before = app.users();
    idp.edit("unverified", |person| person.email_verified = Some(false));
    idp.edit("untold", |person| person.email_verified = None);
    for (login, code) in [
        ("boss", "privileged_account"),
        ("root", "own_account"),
        ("guarded", "protected_account"),
        ("unverified", "existing_account_unverified_email"),
        ("untold", "existing_account_unverified_email"),
        ("namesake", "username_taken"),
        ("dave", "account_deactivated"),
    ] {
        idp.edit(login, |_| {});
        let browser = Browser::new();
        let page = stack.sign_in(&browser, login).await;
        assert_eq!((page.status.as_u16(), log.code(&page).as_str()), (403, code), "{login}");
        let told = page.text().split_off(page.text().find("<main>").unwrap());
        assert!(!told.contains(login), "{told}");
        assert_out(&stack, &browser);
    }
    assert_eq!(app.users(), before);
    assert_eq!(app.writes(), []);
}

#[tokio::test]
async fn f7_on_existing_deny_refuses_and_match_username_adopts_by_name() {
    let (log, mut stack) =
        (Log::begin(), Stack::with(|config| put(config, "provisioning.on_existing", "deny")).await);
    let page = sign_in(&stack, "carol").await;
    assert_eq!((page.status.as_u16(), log.code(&page).as_str()), (403, "existing_account"));
    stack.parties.app.edit(|directory| {
        let id = directory.by_username("carol").unwrap().id;
        let moved = UserChange { email: Some("carol@old.example".to_owned()), ..UserChange::default() };
        directory.update(id, moved).map(|_| ()).unwrap();
    });
    stack
        .restart_with(|config| {
            put(config, "provisioning.on_existing", "adopt");
            put(config, "provisioning.match_username", true);
        })
        .await;
    let page = sign_in(&stack, "carol").await;
    assert_in(&page);
    assert_eq!(stack.parties.app.writes(), []);
    assert_eq!(stack.parties.app.user("carol").unwrap().email, "carol@old.example");
}

#[tokio::test]
async fn f5_teams_claim_names_teams_within_assignable_teams_and_no_others() {
    let (log, stack) = (
        Log::begin(),
        Stack::with(|config| {
            put(config, "provisioning.teams_claim", table("claim = \"teams\"\nseparator = \",\""));
            put(config, "provisioning.assignable_teams", vec!["readers", "support", "ghosts", "eu/*"]);
        })
        .await,
    );
    stack.parties.app.edit(|directory| directory.create_team("eu/paris").map(|_| ()).unwrap());
    stack.parties.idp.edit("zoe", |zoe| {
        zoe.claims.insert("teams".to_owned(), json!("readers, support::lead,developers,ghosts,eu/paris,eu/"));
    });
    let page = sign_in(&stack, "zoe").await;
    assert_in(&page);
    assert_eq!(teams(&stack, "zoe"), ["readers: member", "support: lead", "eu/paris: member"]);
    let skipped: Vec<String> = log
        .events()
        .iter()
        .filter(|event| event["event"] == "entitlement_skipped")
        .map(|event| serde_json::from_str::<serde_json::Value>(event["personal"].as_str().unwrap()).unwrap())
        .map(|said| format!("{} {}", said["entitlement"].as_str().unwrap(), said["why"].as_str().unwrap()))
        .collect();
    for (team, why) in [("developers", "NotAssignable"), ("ghosts", "Absent"), ("eu/", "NotAssignable")] {
        let named = |line: &&String| line.contains(&format!("\"{team}\"")) && line.contains(why);
        assert!(skipped.iter().any(|line| named(&line)), "{team} {why}: {skipped:?}");
    }
}

#[tokio::test]
async fn f5_an_unknown_team_is_skipped_refused_or_created() {
    for (unknown_team, teams_then) in [
        ("skip", Some(vec!["developers: member"])),
        ("deny", None),
        ("create", Some(vec!["developers: member", "ghosts: lead"])),
    ] {
        let (log, stack) = (
            Log::begin(),
            Stack::with(|config| {
                put(config, "provisioning.unknown_team", unknown_team);
                let row = table("group = \"engineers\"\nteam = \"ghosts\"\nteam_role = \"lead\"");
                push(config, "provisioning.mapping", row);
            })
            .await,
        );
        let page = sign_in(&stack, "ada").await;
        if let Some(expected) = teams_then {
            assert_in(&page);
            assert_eq!(teams(&stack, "ada"), expected, "{unknown_team}");
            let said = log.events().iter().any(|event| event["event"] == "entitlement_skipped");
            assert_eq!(said, unknown_team == "skip");
        } else {
            assert_eq!((page.status.as_u16(), log.code(&page).as_str()), (403, "unknown_team"));
            assert_eq!(stack.parties.app.writes(), [], "nothing half-done");
        }
    }
}

#[tokio::test]
async fn f4_an_unknown_role_becomes_the_default_or_is_refused() {
    for (unknown_role, role) in [("default", Some("user")), ("deny", None)] {
        let (log, stack) = (
            Log::begin(),
            Stack::with(|config| put(config, "provisioning.unknown_role", unknown_role)).await,
        );
        // A privileged role from a raw claim counts as unknown.
        for (login, claimed) in [("zoe", "wizard"), ("eve", "admin")] {
            stack.parties.idp.edit(login, |person| person.role = Some(claimed.to_owned()));
            let page = sign_in(&stack, login).await;
            if let Some(role) = role {
                assert_in(&page);
                assert_eq!(stack.parties.app.user(login).unwrap().role, role);
                assert_eq!(said(&page, "x-remote-role").as_deref(), Some(role));
            } else {
                assert_eq!((page.status.as_u16(), log.code(&page).as_str()), (403, "unknown_role"));
                assert_eq!(stack.parties.app.user(login), None);
            }
        }
        let warned = log.events().iter().filter(|event| event["event"] == "entitlement_skipped").count();
        assert_eq!(warned > 0, role.is_some());
    }
}

#[tokio::test]
async fn l1_a_mapping_that_changes_later_leaves_the_baseline_as_it_is() {
    let mut stack = Stack::start().await;
    assert_in(&sign_in(&stack, "ada").await);
    let (before, baseline) = (stack.parties.app.user("ada").unwrap(), teams(&stack, "ada"));
    stack
        .restart_with(|config| {
            put(config, "provisioning.mapping", toml::Value::Array(Vec::new()));
            for row in ["team = \"support\"", "role = \"editor\""] {
                push(config, "provisioning.mapping", table(&format!("group = \"engineers\"\n{row}")));
            }
        })
        .await;
    stack.parties.app.forget_calls();
    let page = sign_in(&stack, "ada").await;
    assert_in(&page);
    assert_eq!(stack.parties.app.user("ada").unwrap(), before);
    assert_eq!(teams(&stack, "ada"), baseline);
    assert_eq!(stack.parties.app.writes(), []);
    // L2: what the provider gives now holds for the session.
    assert_eq!(said(&page, "x-remote-role").as_deref(), Some("editor"));
    assert_eq!(said(&page, "x-remote-teams").as_deref(), Some("support"));
    stack.restart_with(|config| put(config, "provisioning.session_roles", "off")).await;
    let page = sign_in(&stack, "ada").await;
    assert_eq!(said(&page, "x-remote-role").as_deref(), Some("user"));
    assert_eq!(said(&page, "x-remote-teams").as_deref(), Some("developers"));
}

#[tokio::test]
async fn l7_groups_that_are_not_told_give_nothing_and_remove_nothing() {
    let stack = Stack::start().await;
    let idp = &stack.parties.idp;
    assert_in(&sign_in(&stack, "bob").await);
    let (before, baseline) = (stack.parties.app.user("bob").unwrap(), teams(&stack, "bob"));
    assert_eq!((before.role.as_str(), baseline.len()), ("admin", 1));
    stack.parties.app.forget_calls();
    let untold: [&dyn Fn(&mut narthex::demo::Person); 3] = [
        &|person| person.groups = None,
        &|person| {
            person.groups = Some(vec!["platform-admins".to_owned()]);
            person.claims.insert("hasgroups".to_owned(), json!(true));
        },
        &|person| {
            person.groups = Some(vec!["platform-admins".to_owned()]);
            person.claims.remove("hasgroups");
            person.claims.insert("_claim_names".to_owned(), json!({ "groups": "src1" }));
        },
    ];
    for (number, untold) in untold.into_iter().enumerate() {
        idp.edit("bob", untold);
        assert_in(&sign_in(&stack, "bob").await);
        assert_eq!(stack.parties.app.user("bob").unwrap(), before);
        assert_eq!(teams(&stack, "bob"), baseline);
        assert_eq!(stack.parties.app.writes(), []);
        // Somebody new is given nothing that comes from groups.
        let login = format!("new-{number}");
        idp.edit(&login, untold);
        assert_in(&sign_in(&stack, &login).await);
        assert_eq!(stack.parties.app.user(&login).unwrap().role, "user");
        assert_eq!(teams(&stack, &login), [""; 0]);
        stack.parties.app.forget_calls();
    }
}

/// A first login that finds the application down, at the page that says so.
async fn parked(stack: &Stack, browser: &Browser, login: &str) -> Page {
    stack.parties.app.set_down(true);
    let page = stack.sign_in_at(browser, login, "/echo/deep?x=1").await;
    assert_eq!(page.status, 503, "{}", page.text());
    assert!(page.text().contains("Try again"));
    assert_out(stack, browser);
    page
}

#[tokio::test]
async fn a2_a_login_that_finds_the_application_down_goes_on_with_the_same_identity_once_it_is_up() {
    let (log, stack, browser) = (Log::begin(), Stack::start().await, Browser::new());
    let page = parked(&stack, &browser, "ada").await;
    assert_eq!(log.code(&page), "application_unreachable");
    let asked = stack.parties.idp.calls();
    let page = browser.submit(&page, page.form_with("resume")).await;
    assert_eq!(page.status, 503, "still down: another error id and another try");
    assert_eq!(log.code(&page), "application_unreachable");
    stack.parties.app.set_down(false);
    let page = browser.submit(&page, page.form_with("resume")).await;
    assert_eq!((page.status.as_u16(), page.url.path(), page.url.query()), (200, "/echo/deep", Some("x=1")));
    assert_eq!(said(&page, "x-remote-user").as_deref(), Some("ada"));
    let now = stack.parties.idp.calls();
    assert_eq!((now.authorize, now.token), (asked.authorize, asked.token), "nobody had to sign in again");
    let subject = browser.visit(&stack.at("/.narthex/session")).await.json()["subject"].clone();
    assert_eq!(subject, stack.parties.idp.person("ada").unwrap().subject);
    assert_eq!(creations(&stack), 1);
}

#[tokio::test]
async fn a3_an_application_that_is_down_is_left_alone_and_who_is_signed_in_notices_nothing() {
    let (log, stack, ada) = (Log::begin(), Stack::start().await, Browser::new());
    stack.sign_in_at(&ada, "ada", "/echo").await;
    let browsers: Vec<Browser> = std::iter::repeat_with(Browser::new).take(4).collect();
    let mut codes = Vec::new();
    for browser in &browsers {
        codes.push(log.code(&parked(&stack, browser, "bob").await));
    }
    assert_eq!(
        codes,
        [
            "application_unreachable",
            "application_unreachable",
            "application_unreachable",
            "application_left_alone"
        ]
    );
    let metrics = Browser::new().visit(&stack.health_at("/metrics")).await.text();
    assert!(metrics.contains("narthex_application_left_alone"), "{metrics}");
    let still = ada.visit(&stack.at("/.narthex/session")).await.json();
    assert_eq!(still["account"]["username"], "ada");

    stack.parties.app.set_down(false);
    let page = stack.sign_in_at(&browsers[0], "bob", "/echo/deep").await;
    assert_eq!(page.status, 503, "a moment more: {}", page.text());
    stack.parties.clock.turn(Duration::from_secs(5));
    let page = browsers[0].submit(&page, page.form_with("resume")).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/echo/deep"), "{}", page.text());
}

#[tokio::test]
async fn a2_what_waits_is_taken_once_by_its_own_browser_within_ten_minutes() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    let page = parked(&stack, &browser, "ada").await;
    stack.parties.app.set_down(false);
    let form = page.form_with("resume");
    browser.submit(&page, form.clone()).await;
    let again = browser.submit(&page, form.clone()).await;
    assert_eq!(
        (again.status.as_u16(), again.url.path()),
        (200, "/"),
        "who is signed in by now is not bothered"
    );
    browser.jar().remove(&stack.session_cookie());
    let again = browser.submit(&page, form).await;
    assert_eq!(again.status, 410, "{}", again.text());
    assert_out(&stack, &browser);

    // It is not used up by whoever makes up a login cookie.
    let (browser, other) = (Browser::new(), Browser::new());
    stack.parties.idp.edit("eve", |_| {});
    let page = parked(&stack, &browser, "eve").await;
    stack.parties.app.set_down(false);
    let name = format!("{}-login", stack.session_cookie());
    other.jar().put(&page.url, &name, &"A".repeat(64));
    assert_eq!(other.submit(&page, page.form_with("resume")).await.status, 410);
    assert_in_at(&browser.submit(&page, page.form_with("resume")).await, "/echo/deep");

    for with_a_login_of_its_own in [false, true] {
        let (browser, other) = (Browser::new(), Browser::new());
        let page = parked(&stack, &browser, "bob").await;
        stack.parties.app.set_down(false);
        if with_a_login_of_its_own {
            other.visit(&stack.at("/")).await;
        }
        let stolen = other.submit(&page, page.form_with("resume")).await;
        assert_eq!(stolen.status, 410, "{}", stolen.text());
        assert_out(&stack, &other);
        assert_eq!(stack.parties.app.user("bob"), None);
    }

    let browser = Browser::new();
    let page = parked(&stack, &browser, "bob").await;
    stack.parties.app.set_down(false);
    stack.parties.clock.turn(Duration::from_mins(10));
    let late = browser.submit(&page, page.form_with("resume")).await;
    assert_eq!(late.status, 410, "{}", late.text());
    assert_out(&stack, &browser);
    assert_eq!(stack.parties.app.user("bob"), None);
    // One second less would have done.
    let browser = Browser::new();
    let page = parked(&stack, &browser, "bob").await;
    stack.parties.app.set_down(false);
    stack.parties.clock.turn(Duration::from_secs(599));
    let page = browser.submit(&page, page.form_with("resume")).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/echo/deep"), "{}", page.text());
}

#[tokio::test]
async fn a4_whatever_the_application_answers_to_a_create_the_page_says_so_and_a_later_login_is_whole() {
    let (log, stack) = (Log::begin(), Stack::start().await);
    let status = |status| Lie::Status { status, message: "no".to_owned(), retry_after: None };
    for (number, (lie, code, retryable)) in [
        (Lie::Html, "application_unexpected", true),
        (Lie::MissingId, "application_unexpected", true),
        (Lie::Oversized, "application_unexpected", true),
        (Lie::HangUp, "application_unreachable", true),
        (status(500), "application_refused", true),
        (status(503), "application_busy", true),
        (status(429), "application_busy", true),
        (status(401), "application_credential", false),
        (status(403), "application_credential", false),
        (status(409), "unexplained_conflict", false),
        (status(422), "application_refused", false),
    ]
    .into_iter()
    .enumerate()
    {
        let login = format!("p{number}");
        stack.parties.idp.edit(&login, |person| person.groups = Some(vec!["engineers".to_owned()]));
        stack.parties.app.set_lie(calls(Method::POST, CREATE), lie.clone());
        let browser = Browser::new();
        let page = stack.sign_in_at(&browser, &login, "/echo").await;
        assert_eq!(log.code(&page), code, "{lie:?}");
        assert_eq!(page.text().contains("Try again"), retryable, "{lie:?}");
        assert_eq!(page.status, 503, "{lie:?}");
        assert_out(&stack, &browser);
        assert!(!page.text().contains("POST") && !page.text().contains(stack.parties.app.url()));
        stack.parties.app.stop_lying();
        let page = if retryable {
            browser.submit(&page, page.form_with("resume")).await
        } else {
            sign_in(&stack, &login).await
        };
        assert_in(&page);
        let accounts = stack.parties.app.users().into_iter().filter(|user| user.username.starts_with(&login));
        assert_eq!(accounts.filter(|user| user.username.len() == login.len()).count(), 1, "{lie:?}");
        assert_eq!(teams(&stack, &login), ["developers: member"], "{lie:?}");
    }
}

#[tokio::test]
async fn a4_an_application_that_answers_every_call_with_a_page_is_not_written_to() {
    let (log, stack, browser) = (Log::begin(), Stack::start().await, Browser::new());
    stack.parties.app.set_lie(LieTo::All, Lie::Html);
    let page = stack.sign_in_at(&browser, "ada", "/echo").await;
    assert_eq!((page.status.as_u16(), log.code(&page).as_str()), (503, "application_unexpected"));
    let logged = log.reason(&page);
    assert!(logged.contains("Log in") && logged.contains("200"), "{logged}");
    assert_eq!(stack.parties.app.writes(), []);
    assert_out(&stack, &browser);
    stack.parties.app.stop_lying();
    assert_in(&browser.submit(&page, page.form_with("resume")).await);
}

#[tokio::test]
async fn f9_a_create_whose_answer_was_lost_is_found_to_be_our_own() {
    let stack = Stack::start().await;
    stack.parties.app.set_lie(calls(Method::POST, CREATE), Lie::LoseAnswer);
    assert_in(&sign_in(&stack, "ada").await);
    assert_eq!(creations(&stack), 1);
    assert_eq!(teams(&stack, "ada"), ["developers: member"]);
}

#[tokio::test]
async fn f9_a_crash_between_account_and_memberships_is_continued_with_the_same_account() {
    for lie in [Lie::LoseAnswer, Lie::HangUp] {
        let (log, mut stack, browser) = (Log::begin(), Stack::start().await, Browser::new());
        stack.parties.app.set_lie(calls(Method::PUT, "/api/teams"), lie.clone());
        let page = stack.sign_in_at(&browser, "ada", "/echo").await;
        assert_eq!((page.status.as_u16(), log.code(&page).as_str()), (503, "application_unreachable"));
        assert_out(&stack, &browser);
        let made = stack.parties.app.user("ada").unwrap();
        stack.restart().await;
        stack.parties.app.stop_lying();
        let page = browser.submit(&page, page.form_with("resume")).await;
        assert_in(&page);
        assert_eq!(stack.parties.app.user("ada").unwrap(), made, "{lie:?}");
        assert_eq!(teams(&stack, "ada"), ["developers: member"]);
        assert_eq!(creations(&stack), 1);
    }
}
