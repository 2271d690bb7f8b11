//! Members from the command line, beside a running proxy: role and teams, blocking, erasing, reconciling.

use http::Method;
use narthex::demo::application::UserChange;
use serde_json::Value;

use crate::support::stack::put;
use crate::support::{Browser, Stack};

async fn member(stack: &Stack, name: &str) -> String {
    let (code, text, error) = stack.program_meanwhile(&["member", "list", "--search", name, "--json"]).await;
    assert_eq!(code, 0, "{error}");
    let found: Value = serde_json::from_str(text.trim()).unwrap();
    found["id"].as_str().unwrap().to_owned()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn e4_the_command_line_changes_role_and_teams_in_the_application() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    let id = member(&stack, "ada").await;
    let app = &stack.parties.app;
    let teams = app.teams_of("ada");
    assert_eq!(teams.len(), 1, "{teams:?}");
    let (code, text, error) = stack.program_meanwhile(&["member", "role", &id, "editor"]).await;
    assert!(code == 0 && text.contains("username    ada"), "{text}{error}");
    assert_eq!(app.user("ada").unwrap().role, "editor");
    let (code, _, error) =
        stack.program_meanwhile(&["member", "teams", &id, "--remove", &teams[0].0, "--end-sessions"]).await;
    assert_eq!(code, 0, "{error}");
    assert!(app.teams_of("ada").is_empty());
    stack.notice().await;
    let request = browser.request(Method::GET, &stack.at("/echo")).background();
    assert_eq!(request.send().await.status, 401, "the session ended with it");
    let (code, _, error) = stack.program_meanwhile(&["member", "role", &id, "king"]).await;
    assert!(code == 1 && error.contains("king"), "{error}");
    let nobody = uuid::Uuid::nil().to_string();
    assert_eq!(stack.program_meanwhile(&["member", "role", &nobody, "user"]).await.0, 1);
}

#[tokio::test]
async fn g6_the_command_line_blocks_and_unblocks() {
    let (stack, browser) = (Stack::start().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    let id = member(&stack, "ada").await;
    let (code, text, error) = stack.program_meanwhile(&["member", "block", &id, "--json"]).await;
    assert_eq!(code, 0, "{error}");
    assert_eq!(lines(&text)[0]["status"], "blocked");
    stack.parties.idp.end_all_sessions();
    assert_eq!(stack.sign_in(&Browser::new(), "ada").await.status, 403);
    assert_eq!(stack.program_meanwhile(&["member", "unblock", &id]).await.0, 0);
    stack.parties.idp.end_all_sessions();
    assert_eq!(stack.sign_in_at(&Browser::new(), "ada", "/echo").await.status, 200);
}

#[tokio::test]
async fn e6_an_erased_person_is_nowhere_in_the_store_and_the_log_verifies() {
    let (mut stack, browser) = (Stack::start().await, Browser::new());
    stack.sign_in(&browser, "ada").await;
    stack.sign_in(&Browser::new(), "bob").await;
    let subject = {
        let (_, text, _) = stack.program_meanwhile(&["member", "list", "--search", "ada", "--json"]).await;
        let found: Value = serde_json::from_str(text.trim()).unwrap();
        found["identities"][0]["subject"].as_str().unwrap().to_owned()
    };
    let id = member(&stack, "ada").await;
    let (code, _, error) = stack.program_meanwhile(&["member", "erase", &id]).await;
    assert!(code == 2 && error.contains("--yes"), "{error}");
    let (code, text, error) = stack.program_meanwhile(&["member", "erase", &id, "--yes"]).await;
    assert!(code == 0 && text.contains("is left as it is"), "{text}{error}");
    assert!(stack.parties.app.user("ada").is_some(), "the application's account is the application's");
    stack.notice().await;
    let request = browser.request(Method::GET, &stack.at("/echo")).background();
    assert_eq!(request.send().await.status, 401);
    assert_eq!(stack.program_meanwhile(&["member", "erase", &id, "--yes"]).await.0, 1, "there is nobody");
    stack.stop().await;

    let (code, out, error) = stack.program(&["audit", "verify"]);
    assert_eq!(code, 0, "{out}{error}");
    let (code, log, _) = stack.program(&["audit", "export"]);
    assert_eq!(code, 0);
    assert!(log.contains("member_erased") && log.contains("bob@example.com"), "{log}");
    for word in ["ada@example.com", "\"ada\"", &subject] {
        assert!(!log.contains(word), "{word}: {log}");
    }
    for name in everything(&stack).await {
        for word in ["ada@example.com", &subject] {
            assert!(!name.1.contains(word), "{word} stands in {}: {}", name.0, name.1);
        }
    }
}

/// Every row of every table, by table.
async fn everything(stack: &Stack) -> Vec<(String, String)> {
    use sqlx::Row as _;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(stack.beside("narthex.db"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let tables = sqlx::query_scalar::<_, String>("SELECT name FROM sqlite_master WHERE type = 'table'");
    let tables = tables.fetch_all(&pool).await.unwrap();
    let mut all = Vec::new();
    for table in tables {
        // One-time things, sealed or digests, which expire within minutes.
        if matches!(table.as_str(), "parked" | "logins" | "used") {
            continue;
        }
        let columns = format!("SELECT name FROM pragma_table_info('{table}')");
        let columns: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(columns)).fetch_all(&pool).await.unwrap();
        let texts: Vec<String> =
            columns.iter().map(|name| format!("COALESCE(CAST(\"{name}\" AS TEXT), '')")).collect();
        let rows = format!("SELECT CAST({} AS BLOB) AS row FROM \"{table}\"", texts.join(" || ' ' || "));
        for row in sqlx::query(sqlx::AssertSqlSafe(rows)).fetch_all(&pool).await.unwrap() {
            let bytes = row.get::<Vec<u8>, _>("row");
            all.push((table.clone(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    pool.close().await;
    assert!(all.iter().any(|(table, row)| table == "members" && row.contains("bob@example.com")));
    all
}

#[tokio::test]
async fn members_and_application_are_reconciled_from_the_command_line() {
    let stack = Stack::with(|config| put(config, "provisioning.max_removals", 1)).await;
    for name in ["ada", "bob", "eve"] {
        stack.parties.idp.edit(name, |_| {});
        stack.sign_in(&Browser::new(), name).await;
        stack.parties.idp.end_all_sessions();
    }
    let app = &stack.parties.app;
    let dry = ["member", "reconcile", "--dry-run", "--json"];
    let (code, text, error) = stack.program_meanwhile(&dry).await;
    let told = lines(&text);
    assert!(told.iter().all(|finding| finding["kind"] == "unclaimed"), "{text}");
    assert_eq!(code, 0, "nobody's accounts are no drift: {error}");
    let id = |name: &str| app.user(name).unwrap().id;
    let (ada, bob) = (id("ada"), id("bob"));
    app.edit(|directory| {
        directory.delete(ada).unwrap();
        directory
            .update(bob, UserChange { role: Some("editor".to_owned()), ..UserChange::default() })
            .unwrap();
        let extra = UserChange {
            username: Some("old".to_owned()),
            email: Some("old@example.com".to_owned()),
            ..UserChange::default()
        };
        directory.create(extra).unwrap();
    });
    app.forget_calls();
    let (code, text, error) = stack.program_meanwhile(&dry).await;
    assert_eq!(code, 1, "{error}");
    let kinds = |text: &str| {
        let one = |finding: &Value| {
            let word = |key: &str| finding[key].as_str().unwrap().to_owned();
            (word("kind"), word("username"), word("outcome"))
        };
        let all = lines(text).iter().map(one).collect::<Vec<_>>();
        // Ids of one millisecond have no order.
        let mut told: Vec<_> =
            all.into_iter().filter(|(kind, name, _)| kind != "unclaimed" || name == "old").collect();
        told.sort();
        told
    };
    let found =
        |kind: &str, name: &str, outcome: &str| (kind.to_owned(), name.to_owned(), outcome.to_owned());
    let unclaimed = found("unclaimed", "old", "reported");
    assert_eq!(
        kinds(&text),
        [found("lost", "bob", "reported"), unclaimed.clone(), found("vanished", "ada", "reported")]
    );
    let (code, text, error) = stack.program_meanwhile(&["member", "reconcile", "--json"]).await;
    assert_eq!(code, 0, "{text}{error}");
    assert_eq!(
        kinds(&text),
        [found("lost", "bob", "repaired"), unclaimed.clone(), found("vanished", "ada", "repaired")]
    );
    assert!(app.writes().is_empty(), "the application is only read");
    let (code, text, _) = stack.program_meanwhile(&dry).await;
    assert_eq!((code, kinds(&text)), (0, vec![unclaimed]));
    let (code, text, _) = stack.program_meanwhile(&["member", "reconcile", "--dry-run"]).await;
    assert!(code == 0 && text.contains("3 members looked at: 0 do not fit"), "{text}");
    // The person whose account vanished gets another.
    assert_eq!(stack.sign_in_at(&Browser::new(), "ada", "/echo").await.status, 200);
    assert!(app.user("ada").is_some());
}
