//! The audit log of a running proxy, and what the command line finds in it (PROVISIONING.md S3).

use serde_json::Value;

use crate::support::Browser;
use crate::support::stack::{Stack, put};

/// The entries of this event, as they are exported.
fn exported(stack: &Stack, event: &str) -> Vec<Value> {
    let (code, out, err) = stack.program(&["audit", "export", "--event", event]);
    assert_eq!(code, 0, "{err}");
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn with_some_logins() -> Stack {
    let mut stack = Stack::start().await;
    let browser = Browser::new();
    stack.sign_in(&browser, "ada").await;
    browser.visit(&stack.at("/.narthex/oidc/demo/callback?state=rubbish&code=x")).await;
    stack.stop().await;
    stack
}

async fn in_the_store(stack: &Stack, statement: &'static str) -> u64 {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(stack.beside("narthex.db"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let done = sqlx::query(statement).execute(&pool).await.unwrap();
    pool.close().await;
    done.rows_affected()
}

#[tokio::test]
async fn s3_a_sign_in_is_in_the_log_with_who_from_where_and_what_became_of_it() {
    let stack = with_some_logins().await;
    let login = exported(&stack, "login").remove(0);
    assert_eq!(login["body"]["actor"], serde_json::json!({ "kind": "person", "idp": "demo" }));
    assert_eq!(login["actor"]["said"]["source"], "127.0.0.1");
    assert_eq!(login["member"], login["actor"]["member"]);
    let refused = exported(&stack, "logins_refused").remove(0);
    assert_eq!((&refused["body"]["count"], &refused["actor"]), (&1.into(), &Value::Null));
    let (code, out, _) = stack.program(&["audit", "export", "--format", "ocsf", "--event", "login"]);
    let event: Value = serde_json::from_str(out.trim()).unwrap();
    assert_eq!((code, &event["class_uid"]), (0, &3002.into()));
    let (code, out, _) =
        stack.program(&["audit", "export", "--since", "2001-01-01", "--until", "2001-01-02"]);
    assert_eq!((code, out.as_str()), (0, ""));
}

#[tokio::test]
async fn s3_the_command_line_finds_what_was_changed_in_the_file() {
    let stack = with_some_logins().await;
    let (code, out, err) = stack.program(&["audit", "verify"]);
    assert_eq!(code, 0, "{out}{err}");
    let head = out.lines().find_map(|line| line.strip_prefix("head  ")).unwrap().to_owned();
    assert_eq!(stack.program(&["audit", "verify", "--head", &head]).0, 0);

    assert!(in_the_store(&stack, "UPDATE audit_entries SET at = at + 1 WHERE event = 'login'").await > 0);
    let (code, out, _) = stack.program(&["audit", "verify"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("the entry was changed"), "{out}");
    let (code, out, _) = stack.program(&["audit", "verify", "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["intact"]), (1, &Value::Bool(false)));
    assert_eq!(report["findings"][0]["fault"]["kind"], "entry_changed");

    in_the_store(&stack, "UPDATE audit_entries SET at = at - 1 WHERE event = 'login'").await;
    assert_eq!(stack.program(&["audit", "verify"]).0, 0);
    in_the_store(&stack, "DELETE FROM audit_entries").await;
    in_the_store(&stack, "DELETE FROM audit_heads").await;
    assert_eq!(stack.program(&["audit", "verify"]).0, 0, "an empty log is a log");
    let (code, out, _) = stack.program(&["audit", "verify", "--head", &head]);
    assert_eq!(code, 1);
    assert!(
        out.contains("the chain was cut off before this entry, which was there by the head noted"),
        "{out}"
    );
    assert_eq!(stack.program(&["audit", "verify", "--head", "nonsense"]).0, 2);
}

#[tokio::test]
async fn s3_every_start_begins_a_chain_that_holds_the_one_before() {
    let mut stack = Stack::start().await;
    stack.restart().await;
    stack.stop().await;
    let began = exported(&stack, "audit_chain_began");
    let ended = exported(&stack, "audit_chain_ended");
    assert_eq!((began.len(), ended.len()), (2, 2));
    // Both begin in the same second, so which is told first is chance: the second one knows of the first.
    let knows = |one: &&Value| one["body"]["heads"].as_array().is_some_and(|heads| !heads.is_empty());
    let second = began.iter().find(knows).unwrap();
    let first = &ended.iter().find(|one| one["chain"] != second["chain"]).unwrap();
    let head = format!(
        "{}:{}:{}",
        first["chain"].as_str().unwrap(),
        first["sequence"],
        first["hash"].as_str().unwrap()
    );
    let heads: Vec<&Value> = began.iter().flat_map(|one| one["body"]["heads"].as_array().unwrap()).collect();
    assert_eq!(heads, [&Value::from(head)]);
}

#[tokio::test]
async fn s3_no_secret_is_anywhere_in_the_store() {
    let mut stack = Stack::start().await;
    let browser = Browser::new();
    stack.sign_in(&browser, "ada").await;
    let secrets = [
        stack.parties.idp.client_secret().expose().to_owned(),
        stack.parties.app.api_token().expose().to_owned(),
        browser.cookie(&stack.session_cookie()).unwrap(),
    ];
    stack.stop().await;
    let (code, out, _) = stack.program(&["audit", "export"]);
    assert_eq!(code, 0);
    let bytes = std::fs::read(stack.beside("narthex.db")).unwrap();
    for secret in &secrets {
        assert!(secret.len() > 8, "it is one");
        assert!(!out.contains(secret.as_str()), "the export");
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "the file");
    }
    let out_of_it = bytes.windows(17).any(|window| window == b"audit_chain_began");
    assert!(out_of_it, "the file was read");
}

#[tokio::test]
async fn a_store_in_memory_has_no_log_for_another_process() {
    let in_memory = |config: &mut toml::Table| {
        put(config, "store.url", "memory:");
        put(config, "keys.seal", "0123456789abcdef0123456789abcdef");
    };
    let stack = Stack::with(in_memory).await;
    let (code, _, err) = stack.program(&["audit", "verify"]);
    assert_eq!(code, 2);
    assert!(err.contains("which no other process can read"), "{err}");
}
