//! A rollout on a Gitea that is in use: shadow mode first, then for real.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};
use toml::Table;

use crate::support::party::Party;
use crate::support::stack::{put, table};
use crate::support::{Browser, Page, Stack};

/// Thirty people have accounts: `old01` to `old30`. An organisation `acme` has the teams `developers` and `readers`.
struct InUse {
    party: Party,
}

impl InUse {
    async fn start() -> Self {
        let gitea = Self { party: Party::start("gitea").await };
        gitea.call(Method::POST, "/orgs", json!({ "username": "acme" })).await;
        let mut teams = BTreeMap::new();
        for team in ["developers", "readers"] {
            let wanted = json!({ "name": team, "permission": "read", "units": ["repo.code"] });
            let made = gitea.call(Method::POST, "/orgs/acme/teams", wanted).await;
            teams.insert(team, made["id"].as_u64().unwrap());
        }
        for number in 1..=30 {
            let name = format!("old{number:02}");
            let user = json!({
                "username": name, "email": format!("{name}@example.com"), "full_name": format!("Old {number}"),
                "password": "a long and winding password", "must_change_password": false,
            });
            gitea.call(Method::POST, "/admin/users", user).await;
            let team = if number % 3 == 0 { teams["developers"] } else { teams["readers"] };
            if number % 2 == 0 {
                gitea.call(Method::PUT, &format!("/teams/{team}/members/{name}"), Value::Null).await;
            }
        }
        for (name, change) in [
            ("old01", json!({ "admin": true })),
            ("old02", json!({ "prohibit_login": true })),
            ("old03", json!({ "restricted": true })),
        ] {
            let mut whole = json!({ "source_id": 0, "login_name": name });
            whole.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            gitea.call(Method::PATCH, &format!("/admin/users/{name}"), whole).await;
        }
        gitea
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.party.at("api"));
        let token = format!("token {}", self.party.at("token"));
        let browser = Browser::new();
        let request = browser.request(method, &url).header("authorization", &token).background();
        let page = if body.is_null() { request.send().await } else { request.json(&body).send().await };
        assert!(page.status.is_success(), "{path}: {} {}", page.status, page.text());
        if page.text().is_empty() { Value::Null } else { page.json() }
    }

    /// Everything that there is of people: each account but for what a sign-in leaves, and each team's members.
    async fn listing(&self) -> (BTreeMap<String, Value>, BTreeMap<String, Vec<String>>) {
        let get = async |path: &str| {
            let all = self.call(Method::GET, path, Value::Null).await;
            all.as_array().unwrap().clone()
        };
        let mut users = BTreeMap::new();
        for mut user in get("/admin/users?limit=50").await {
            let name = user["login"].as_str().unwrap().to_owned();
            // What Gitea itself notes at a sign-in.
            for noted in ["last_login", "language"] {
                user.as_object_mut().unwrap().remove(noted);
            }
            users.insert(name, user);
        }
        let mut teams = BTreeMap::new();
        for team in get("/orgs/acme/teams").await {
            let members = get(&format!("/teams/{}/members?limit=50", team["id"])).await;
            let mut members: Vec<String> =
                members.iter().map(|member| member["login"].as_str().unwrap().to_owned()).collect();
            members.sort();
            teams.insert(format!("acme/{}", team["name"].as_str().unwrap()), members);
        }
        (users, teams)
    }

    fn settle_in(&self, config: &mut Table) {
        put(config, "upstream.url", self.party.url());
        config.insert(
            "headers".to_owned(),
            table("X-WEBAUTH-USER = \"{{ account.username }}\"\nX-WEBAUTH-EMAIL = \"{{ account.email }}\"")
                .into(),
        );
        let application = format!(
            "connector = \"gitea\"\nurl = \"{}\"\ncredential = {{ bearer = \"{}\" }}",
            self.party.url(),
            self.party.at("token")
        );
        config.insert("application".to_owned(), table(&application).into());
        let provisioning = r#"
mode = "jit"
shadow = true
default_role = "user"
role_claim = "role"
groups_claim = "groups"
time_budget = "60s"
call_timeout = "20s"
protected_accounts = ["old30"]
[[mapping]]
group = "engineers"
team = "acme/developers"
[[mapping]]
group = "everyone"
team = "acme/readers"
when = "claims.email is endingwith('@example.com')"
[[mapping]]
group = "founders"
team = "acme/Owners"
privileged = true
[[mapping]]
group = "platform-admins"
role = "admin"
privileged = true
[[mapping]]
group = "guests"
role = "restricted"
"#;
        config.insert("provisioning".to_owned(), table(provisioning).into());
    }
}

/// Who signs in, with these groups: all who have accounts, and twelve who have none.
fn people() -> Vec<(String, Vec<&'static str>)> {
    let groups = [
        vec!["engineers"],
        vec!["engineers", "everyone"],
        vec!["everyone", "guests"],
        vec!["platform-admins", "engineers"],
        vec!["founders"],
        vec![],
    ];
    let old = (1..=30).map(|number| format!("old{number:02}"));
    let new = (1..=12).map(|number| format!("new{number:02}"));
    old.chain(new).zip(groups.into_iter().cycle()).collect()
}

async fn sign_in(stack: &Stack, login: &str) -> Page {
    stack.sign_in_at(&Browser::new(), login, "/explore/users").await
}

/// Gitea's last administrator is the one whose token narthex uses: without that one nothing could be changed at all.
#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn g1_the_last_administrator_of_gitea_survives_a_mapping_that_would_demote_them() {
    let gitea = InUse { party: Party::start("gitea").await };
    gitea.call(Method::POST, "/orgs", json!({ "username": "acme" })).await;
    let mut stack = Stack::with(|config| {
        gitea.settle_in(config);
        put(config, "provisioning.sync", "every_login");
    })
    .await;
    let groups = |stack: &Stack, login: &str, groups: &[&str]| {
        let groups: Vec<String> = groups.iter().map(|&group| group.to_owned()).collect();
        stack.parties.idp.edit(login, |person| person.groups = Some(groups));
    };
    let is_admin = async |name: &str| {
        let user = gitea.call(Method::GET, &format!("/users/{name}"), Value::Null).await;
        (user["is_admin"].as_bool().unwrap(), user["restricted"].as_bool().unwrap())
    };
    groups(&stack, "gitea_admin", &["guests"]);
    assert_eq!(sign_in(&stack, "gitea_admin").await.status, 200);
    let (_, said, _) = stack.program_meanwhile(&["shadow", "--json"]).await;
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["counts"], json!({ "refused": 1 }), "{said}");

    stack.restart_with(|config| put(config, "provisioning.shadow", false)).await;
    assert_eq!(sign_in(&stack, "gitea_admin").await.status, 403);
    assert_eq!(is_admin("gitea_admin").await, (true, false));

    // An administrator who is not the last one follows the mapping.
    groups(&stack, "boss1", &["platform-admins"]);
    assert_eq!(sign_in(&stack, "boss1").await.status, 200);
    assert_eq!(is_admin("boss1").await, (true, false));
    groups(&stack, "boss1", &["guests"]);
    assert_eq!(sign_in(&stack, "boss1").await.status, 200);
    assert_eq!(is_admin("boss1").await, (false, true));
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn m6_a_shadow_rollout_on_a_gitea_in_use_changes_nothing_and_for_real_it_is_exactly_as_reported() {
    let gitea = InUse::start().await;
    let mut stack = Stack::with(|config| gitea.settle_in(config)).await;
    for (login, groups) in people() {
        stack.parties.idp.edit(&login, |person| {
            person.groups = Some(groups.iter().map(|&group| group.to_owned()).collect());
            // Two whose address nobody verified, one of them with an account that has it.
            person.email_verified = Some(!matches!(login.as_str(), "old07" | "new07"));
        });
    }
    let before = gitea.listing().await;
    assert_eq!(before.0.len(), 31);
    for (login, _) in people() {
        let page = sign_in(&stack, &login).await;
        assert_eq!(page.status, 200, "{login}: {}", page.text());
    }
    assert_eq!(gitea.listing().await, before, "shadow mode changes nothing");

    let (code, said, complained) = stack.program_meanwhile(&["shadow", "--json"]).await;
    assert_eq!((code, complained.as_str()), (0, ""));
    let report: Value = serde_json::from_str(&said).unwrap();
    // Refused are the administrator, the deactivated, the unverified and the protected of the thirty.
    assert_eq!(report["counts"], json!({ "adopted": 26, "created": 12, "refused": 4 }), "{said}");

    stack.restart_with(|config| put(config, "provisioning.shadow", false)).await;
    let (mut users, mut teams) = before;
    for person in report["people"].as_array().unwrap() {
        let subject = person["subject"].as_str().unwrap();
        let login = &subject[subject.len() - 5..];
        let page = sign_in(&stack, login).await;
        let refused = person["outcome"] == "refused";
        assert_eq!(page.status != 200, refused, "{login}: {person} {}", page.text());
        assert_eq!(person["loses"], json!([]), "{login}");
        if person["outcome"] == "created" {
            let username = person["username"].as_str().unwrap().to_owned();
            let (mut admin, mut restricted) = (false, false);
            for gained in person["gains"].as_array().unwrap() {
                match (gained["role"].as_str(), gained["team"]["team"].as_str()) {
                    (Some("admin"), None) => admin = true,
                    (Some("restricted"), None) => restricted = true,
                    (Some("user"), None) => {}
                    (None, Some(team)) => {
                        let members = teams.get_mut(team).unwrap();
                        members.push(username.clone());
                        members.sort();
                    }
                    gained => panic!("{login}: {gained:?}"),
                }
            }
            let user = gitea.call(Method::GET, &format!("/users/{username}"), Value::Null).await;
            assert_eq!(
                (&user["email"], &user["is_admin"], &user["restricted"]),
                (&person["email"], &json!(admin), &json!(restricted)),
                "{login}"
            );
            let whole = gitea.listing().await.0.remove(&username).unwrap();
            users.insert(username, whole);
        } else {
            assert_eq!(person["gains"], json!([]), "{login}");
        }
    }
    // Nothing else has changed: the accounts of before are as they were, and the teams have gained who was reported.
    let after = gitea.listing().await;
    assert_eq!(after.1, teams);
    assert_eq!(after.0, users);
}
