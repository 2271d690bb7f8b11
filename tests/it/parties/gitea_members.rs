//! Members and Gitea: role and teams by hand, and what was changed in Gitea itself is found.

use http::Method;
use serde_json::{Value, json};
use toml::Table;

use crate::support::party::Party;
use crate::support::stack::{put, table};
use crate::support::{Browser, Stack};

struct Gitea {
    party: Party,
}

impl Gitea {
    /// With an organisation `acme` that has the teams `developers` and `readers`, and a person `old` whom nobody
    /// signed in.
    async fn start() -> Self {
        let gitea = Self { party: Party::start("gitea").await };
        gitea.call(Method::POST, "/orgs", json!({ "username": "acme" })).await;
        for team in ["developers", "readers"] {
            let wanted = json!({ "name": team, "permission": "read", "units": ["repo.code"] });
            gitea.call(Method::POST, "/orgs/acme/teams", wanted).await;
        }
        let old = json!({
            "username": "old", "email": "old@example.com", "password": "a long and winding password",
            "must_change_password": false,
        });
        gitea.call(Method::POST, "/admin/users", old).await;
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

    async fn change(&self, name: &str, change: Value) {
        let mut whole = json!({ "source_id": 0, "login_name": name });
        whole.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        self.call(Method::PATCH, &format!("/admin/users/{name}"), whole).await;
    }

    async fn teams_of(&self, name: &str) -> Vec<String> {
        let teams = self.call(Method::GET, &format!("/user/teams?sudo={name}"), Value::Null).await;
        let mut names: Vec<String> =
            teams.as_array().unwrap().iter().map(|team| team["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
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
default_role = "user"
groups_claim = "groups"
time_budget = "60s"
call_timeout = "20s"
[[mapping]]
group = "engineers"
team = "acme/developers"
"#;
        config.insert("provisioning".to_owned(), table(provisioning).into());
    }
}

fn lines(text: &str) -> Vec<(String, String, String)> {
    let one = |line: &str| {
        let finding: Value = serde_json::from_str(line).unwrap();
        let word = |key: &str| finding[key].as_str().unwrap().to_owned();
        (word("kind"), word("username"), word("outcome"))
    };
    // Ids of one millisecond have no order.
    let mut told: Vec<_> = text.lines().map(one).collect();
    told.sort();
    told
}

fn found(kind: &str, name: &str, outcome: &str) -> (String, String, String) {
    (kind.to_owned(), name.to_owned(), outcome.to_owned())
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn e4_and_reconciliation_on_gitea() {
    let gitea = Gitea::start().await;
    let stack = Stack::with(|config| gitea.settle_in(config)).await;
    for (login, groups) in [("ada", vec!["engineers"]), ("bob", vec![]), ("eve", vec!["engineers"])] {
        stack.parties.idp.edit(login, |person| {
            person.groups = Some(groups.iter().map(|&group: &&str| group.to_owned()).collect());
        });
        let page = stack.sign_in_at(&Browser::new(), login, "/explore/users").await;
        assert_eq!(page.status, 200, "{login}: {}", page.text());
        stack.parties.idp.end_all_sessions();
    }
    let member = async |name: &str| {
        let (_, text, _) = stack.program_meanwhile(&["member", "list", "--search", name, "--json"]).await;
        let found: Value = serde_json::from_str(text.trim()).unwrap();
        found["id"].as_str().unwrap().to_owned()
    };
    // E4, as Gitea shows it.
    let bob = member("bob").await;
    let (code, _, error) = stack.program_meanwhile(&["member", "role", &bob, "restricted"]).await;
    assert_eq!(code, 0, "{error}");
    let (code, _, error) = stack.program_meanwhile(&["member", "teams", &bob, "--add", "acme/readers"]).await;
    assert_eq!(code, 0, "{error}");
    let user = gitea.call(Method::GET, "/users/bob", Value::Null).await;
    assert_eq!(
        (&user["restricted"], gitea.teams_of("bob").await),
        (&json!(true), vec!["readers".to_owned()])
    );
    let (code, _, error) = stack.program_meanwhile(&["member", "teams", &bob, "--add", "acme/nobody"]).await;
    assert!(code == 1 && error.contains("acme/nobody"), "{error}");

    // Everything fits but for whom nobody claims.
    let dry = ["member", "reconcile", "--dry-run", "--json"];
    let (code, text, error) = stack.program_meanwhile(&dry).await;
    assert_eq!((code, lines(&text)), (0, vec![found("unclaimed", "old", "reported")]), "{error}");

    // Somebody works in Gitea itself: ada is gone, bob is no restricted user any more, eve is deactivated.
    gitea.call(Method::GET, "/user/teams?sudo=ada", Value::Null).await;
    let teams = gitea.call(Method::GET, "/orgs/acme/teams", Value::Null).await;
    for team in teams.as_array().unwrap().iter().filter(|team| team["name"] == "developers") {
        gitea.call(Method::DELETE, &format!("/teams/{}/members/ada", team["id"]), Value::Null).await;
    }
    gitea.call(Method::DELETE, "/admin/users/ada", Value::Null).await;
    gitea.change("bob", json!({ "restricted": false })).await;
    gitea.change("eve", json!({ "prohibit_login": true })).await;
    let users = gitea.call(Method::GET, "/admin/users?limit=50", Value::Null).await;
    let (code, text, error) = stack.program_meanwhile(&dry).await;
    let told = |outcome: &str| {
        vec![
            found("deactivated", "eve", "reported"),
            found("lost", "bob", outcome),
            found("unclaimed", "old", "reported"),
            found("vanished", "ada", outcome),
        ]
    };
    assert_eq!((code, lines(&text)), (1, told("reported")), "{error}");
    let (code, text, error) = stack.program_meanwhile(&["member", "reconcile", "--json"]).await;
    assert_eq!((code, lines(&text)), (0, told("repaired")), "{error}");
    let after = gitea.call(Method::GET, "/admin/users?limit=50", Value::Null).await;
    assert_eq!(users, after, "nothing in Gitea was touched");
    let (_, text, _) = stack.program_meanwhile(&dry).await;
    let left = [found("deactivated", "eve", "reported"), found("unclaimed", "old", "reported")];
    assert_eq!(lines(&text), left);
    // E5: the next sign-in makes it anew.
    let page = stack.sign_in_at(&Browser::new(), "ada", "/explore/users").await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(gitea.teams_of("ada").await, ["developers"]);
}
