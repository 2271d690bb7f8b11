//! Looking before touching: explain, shadow mode and the JSON form, with the program as people run it.

use serde_json::{Value, json};

use crate::support::stack::put;
use crate::support::{Browser, Log, Page, Stack};

const ADA: &str = r#"{
    "sub": "10769150350006150715113082ada", "email": "ada@example.com", "email_verified": true,
    "preferred_username": "ada", "name": "Ada Example", "groups": ["engineers"], "role": "admin"
}"#;

fn header(page: &Page, name: &str) -> Option<String> {
    let headers = page.json()["headers"].as_array().unwrap().clone();
    headers.iter().find(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap().to_owned())
}

async fn sign_in(stack: &Stack, login: &str) -> Page {
    stack.sign_in_at(&Browser::new(), login, "/echo").await
}

#[tokio::test]
async fn x1_claims_are_explained_rule_by_rule_and_nothing_is_changed() {
    let stack = Stack::start().await;
    let (users, file) = (stack.parties.app.users(), stack.file("claims.json", ADA));
    let (code, said, complained) = stack.program_meanwhile(&["explain", "--claims", &file]).await;
    assert_eq!((code, complained.as_str()), (0, ""), "{said}");
    for line in [
        "F1  e-mail ada@example.com from the claim `email`, verified",
        "F7  no account is there",
        "      username       ada  (claim `preferred_username`)",
        "      F5  team developers  (sso: mapping[0], group engineers)",
        "      F4  role user  (default_role)",
        "      F4  role admin: it is privileged, which only a mapping row with privileged = true may give  (sso: claim `role`)",
        "      mapping[1] platform-admins -> role admin: not in this group",
        "      1. create the account ada <ada@example.com> with the role user",
        "      2. give team developers",
        "      X-Remote-User: ada",
        "      X-Remote-Teams: developers",
        "=>  comes in, account created: ada",
    ] {
        assert!(said.to_lowercase().contains(&line.to_lowercase()), "{line:?} is not in\n{said}");
    }
    assert_eq!((stack.parties.app.writes(), stack.parties.app.users()), (vec![], users));

    // What it said is what happens then.
    stack.parties.idp.edit("ada", |ada| ada.role = Some("admin".to_owned()));
    let page = sign_in(&stack, "ada").await;
    let (code, said, _) = stack.program_meanwhile(&["explain", "--json", "--claims", &file]).await;
    let told: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &told["ending"]["admitted"]["how"]), (0, &json!("existing")));
    for pair in told["ending"]["admitted"]["headers"].as_array().unwrap() {
        let name = pair[0].as_str().unwrap().to_lowercase();
        assert_eq!(header(&page, &name).as_deref(), pair[1].as_str(), "{name}");
    }
}

#[tokio::test]
async fn x1_offline_nothing_is_asked_and_a_refusal_has_its_exit_code() {
    let stack = Stack::start().await;
    stack.parties.app.forget_calls();
    let file = stack.file("claims.json", ADA);
    let (code, said, complained) =
        stack.program_meanwhile(&["explain", "--offline", "--claims", &file]).await;
    assert_eq!((code, complained.as_str()), (0, ""), "{said}");
    assert!(said.contains("=>  comes in, account created: ada"), "{said}");
    let nameless = stack.file("nameless.json", r#"{ "sub": "x", "email": "x@example.com" }"#);
    let (code, said, _) = stack.program_meanwhile(&["explain", "--offline", "--claims", &nameless]).await;
    assert_eq!(code, 0, "{said}");
    let stranger = stack.file("stranger.json", r#"{ "sub": "x", "email": "x@elsewhere.example" }"#);
    let (code, said, _) = stack.program_meanwhile(&["explain", "--offline", "--claims", &stranger]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("=>  refused: email_outside_authority"), "{said}");
    let nobody = stack.file("nobody.json", "{}");
    let (code, _, complained) = stack.program_meanwhile(&["explain", "--offline", "--claims", &nobody]).await;
    assert_eq!(code, 2);
    assert!(complained.contains("the claims have no `sub`"), "{complained}");
    assert_eq!(stack.parties.app.calls(), []);
}

#[tokio::test]
async fn x1_a_sign_in_is_explained_by_the_login_id_of_the_audit_log_and_a_refusal_by_its_error_id() {
    let (log, stack) = (Log::begin(), Stack::start().await);
    let page = sign_in(&stack, "carol").await;
    let event = log.events().into_iter().find(|event| event["event"] == "login").unwrap();
    let details: Value = serde_json::from_str(event["details"].as_str().unwrap()).unwrap();
    let id = details["login_id"].as_str().unwrap().to_owned();
    let (code, said, _) = stack.program_meanwhile(&["explain", "--error", &id]).await;
    assert_eq!(code, 0);
    assert!(said.contains("(what this sign-in did)") && said.contains("account adopted: carol"), "{said}");
    assert_eq!(header(&page, "x-remote-role").as_deref(), Some("editor"));
    assert!(said.contains("the session carries  role editor"), "{said}");

    let browser = Browser::new();
    let page = stack.sign_in(&browser, "dave").await;
    let id = log.of(&page)["error_id"].as_str().unwrap().to_owned();
    let (code, said, _) = stack.program_meanwhile(&["explain", "--error", &id, "--json"]).await;
    let told: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &told["ending"]["refused"]["code"]), (0, &json!("account_deactivated")));
}

#[tokio::test]
async fn m6_shadow_mode_reports_changes_nothing_and_for_real_it_is_as_it_said() {
    let mut stack = Stack::with(|config| put(config, "provisioning.shadow", true)).await;
    let (users, teams) = (stack.parties.app.users(), stack.parties.app.teams_of("ada"));
    for login in ["ada", "bob", "carol", "dave"] {
        let page = sign_in(&stack, login).await;
        assert_eq!((page.status.as_u16(), page.url.path()), (200, "/echo"), "{login}: {}", page.text());
        assert_eq!(header(&page, "x-remote-user"), None, "{login}");
    }
    assert_eq!(stack.parties.app.writes(), []);
    assert_eq!((stack.parties.app.users(), stack.parties.app.teams_of("ada")), (users, teams));

    let (code, said, complained) = stack.program_meanwhile(&["shadow"]).await;
    assert_eq!((code, complained.as_str()), (0, ""));
    for line in [
        "2 would get an account",
        "  bob <bob@example.com>  (demo 10769150350006150715113082bob)",
        "      gains  role admin, team developers",
        "1 would take over the account that is there",
        "1 would be refused",
        "      G4: the account `dave` is deactivated in the application",
    ] {
        assert!(said.contains(line), "{line:?} is not in\n{said}");
    }
    let (_, said, _) = stack.program_meanwhile(&["shadow", "--json"]).await;
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["counts"], json!({ "created": 2, "adopted": 1, "refused": 1 }));

    stack.restart_with(|config| put(config, "provisioning.shadow", false)).await;
    for person in report["people"].as_array().unwrap() {
        let username = person["username"].as_str().unwrap();
        let page = stack.sign_in_at(&Browser::new(), username, "/echo").await;
        let admitted = person["outcome"] != "refused";
        assert_eq!(page.status == 200, admitted, "{username}: {}", page.text());
        if person["outcome"] != "created" {
            continue;
        }
        let mut gained: Vec<Value> = Vec::new();
        let user = stack.parties.app.user(username).unwrap();
        gained.push(json!({ "role": user.role }));
        for (team, _) in stack.parties.app.teams_of(username) {
            gained.push(json!({ "team": { "team": team, "team_role": null } }));
        }
        assert_eq!(person["gains"], json!(gained), "{username}");
    }
    let (code, said, _) = stack.program_meanwhile(&["shadow", "--forget"]).await;
    assert_eq!((code, said.as_str()), (0, "4 outcomes are forgotten\n"));
    let (_, said, _) = stack.program_meanwhile(&["shadow"]).await;
    assert!(
        said.contains("provisioning.shadow is off") && said.contains("nobody has signed in yet"),
        "{said}"
    );
}

#[tokio::test]
async fn f5_the_json_form_goes_in_and_out_by_the_program() {
    let document = r#"{ "mappings": [{ "group_name": "engineers", "team_name": "developers", "role_name": "member" }] }"#;
    let stack = Stack::with(|config| {
        let provisioning = config["provisioning"].as_table_mut().unwrap();
        let rows = provisioning["mapping"].as_array_mut().unwrap();
        rows.truncate(1);
        rows[0].as_table_mut().unwrap().insert("team_role".to_owned(), "member".into());
    })
    .await;
    let (code, said, _) = stack.program_meanwhile(&["mapping", "export"]).await;
    assert_eq!(code, 0);
    let exported: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(exported, serde_json::from_str::<Value>(document).unwrap());
    let file = stack.file("mapping.json", document);
    let (code, said, _) = stack.program_meanwhile(&["mapping", "import", &file]).await;
    let expected =
        "[[provisioning.mapping]]\ngroup = \"engineers\"\nteam = \"developers\"\nteam_role = \"member\"\n";
    assert_eq!((code, said.as_str()), (0, expected));
    let (code, said, complained) = stack.program_meanwhile(&["mapping", "import", "--check", &file]).await;
    assert_eq!(code, 0, "{said}{complained}");
    let wrong = stack.file("wrong.json", r#"{ "mappings": [{ "group": "engineers" }] }"#);
    let (code, said, complained) = stack.program_meanwhile(&["mapping", "import", &wrong]).await;
    assert_eq!((code, said.as_str()), (1, ""));
    assert!(complained.contains("mappings[0]: there is no key `group`"), "{complained}");
}
