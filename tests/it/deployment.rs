//! `narthex verify-deployment`: what it finds in order, and each hole that it must find.

use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::Value;
use tokio::net::TcpListener;
use toml::Table;

use crate::support::Stack;
use crate::support::stack::{push, put, table};

/// The findings by item: verdict and text.
async fn verify(stack: &Stack, arguments: &[&str]) -> (i32, Vec<(String, String, String)>) {
    let all: Vec<&str> = ["verify-deployment", "--json"].iter().chain(arguments).copied().collect();
    let (code, out, err) = stack.program_meanwhile(&all).await;
    let finding = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        (text("item"), text("verdict"), text("told"))
    };
    assert!(err.is_empty(), "{err}");
    (code, out.lines().map(finding).collect())
}

fn wrong(findings: &[(String, String, String)]) -> Vec<&str> {
    findings.iter().filter(|(_, verdict, _)| verdict == "wrong").map(|(item, ..)| item.as_str()).collect()
}

/// With a route that anybody may ask what arrived.
fn echo(config: &mut Table) {
    push(config, "route", table("path = \"/echo\"\naccess = \"public\""));
}

#[tokio::test]
async fn a_deployment_that_is_in_order_is_told_item_by_item() {
    let stack = Stack::with(echo).await;
    let (code, findings) = verify(&stack, &["--echo", "/echo"]).await;
    assert_eq!((code, wrong(&findings)), (0, vec![]), "{findings:#?}");
    let mut tried: Vec<&str> =
        findings.iter().filter(|(_, verdict, _)| verdict == "ok").map(|(item, ..)| item.as_str()).collect();
    tried.dedup();
    assert_eq!(
        tried,
        [
            "secret files",
            "application port",
            "public URL",
            "identity headers",
            "provider metadata",
            "provider clock",
            "connector credential",
            "store"
        ]
    );
}

#[tokio::test]
async fn an_application_that_listens_on_every_address_is_a_hole() {
    let open = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = open.local_addr().unwrap().port();
    let stack = Stack::with(|config| put(config, "upstream.url", format!("http://127.0.0.1:{port}"))).await;
    let (code, findings) = verify(&stack, &[]).await;
    assert_eq!((code, wrong(&findings)), (1, vec!["application port"]), "{findings:#?}");
    let (code, findings) = verify(&stack, &["--direct", &format!("127.0.0.1:{port}")]).await;
    assert_eq!((code, wrong(&findings)), (1, vec!["application port"]), "{findings:#?}");
    let (code, findings) = verify(&stack, &["--direct", "nowhere.invalid:80", "--direct", "127.0.0.1"]).await;
    let tried =
        findings.iter().filter(|(item, verdict, _)| item == "application port" && verdict != "not tried");
    assert_eq!((code, tried.count()), (0, 0), "what is no address says nothing: {findings:#?}");
    drop(open);
    let (code, findings) = verify(&stack, &["--direct", &format!("127.0.0.1:{port}")]).await;
    assert_eq!((code, wrong(&findings)), (0, vec![]), "{findings:#?}");
}

#[tokio::test]
async fn headers_that_get_past_narthex_are_a_hole() {
    let stack = Stack::with(echo).await;
    let app = stack.parties.app.url().to_owned();
    let (code, findings) = verify(&stack, &["--echo", "/echo", "--through", &app]).await;
    assert_eq!(code, 1);
    let spellings: Vec<&str> = findings
        .iter()
        .filter(|(item, verdict, _)| item == "identity headers" && verdict == "wrong")
        .map(|(.., told)| told.as_str())
        .collect();
    for name in ["x-remote-user", "x_remote_user", "x-remote_user", "x-narthex-token"] {
        let expected = format!("`{name}` of a client reached the application");
        assert!(spellings.iter().any(|told| told.starts_with(&expected)), "{name}: {spellings:#?}");
    }
    assert!(wrong(&findings).contains(&"public URL"), "the application is not narthex");
    // A page that shows nothing of what it got shows nothing at all.
    let (_, findings) = verify(&stack, &["--echo", "/nowhere"]).await;
    let headers: Vec<_> = findings.iter().filter(|(item, ..)| item == "identity headers").collect();
    assert_eq!((headers.len(), headers[0].1.as_str()), (1, "not tried"), "{headers:?}");
}

#[tokio::test]
async fn a_secret_that_every_user_of_the_machine_can_read_is_a_hole() {
    let mut stack = Stack::start().await;
    let volume = stack.beside("secret");
    std::fs::create_dir_all(volume.join("..1")).unwrap();
    symlink("..1", volume.join("..data")).unwrap();
    symlink("..data/token", volume.join("token")).unwrap();
    let file = volume.join("..1/token");
    std::fs::write(&file, stack.parties.app.api_token().expose()).unwrap();
    let mode = |mode: u32| std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
    mode(0o440);
    let token = table("bearer = { file = \"secret/token\" }");
    stack.reload(|config| put(config, "application.credential", token)).await.unwrap();
    let (code, findings) = verify(&stack, &[]).await;
    assert_eq!((code, wrong(&findings)), (0, vec![]), "{findings:#?}");
    // narthex takes it so, since a volume's modes cannot always be chosen; that it is right is another thing.
    mode(0o444);
    let (code, findings) = verify(&stack, &[]).await;
    assert_eq!((code, wrong(&findings)), (1, vec!["secret files"]), "{findings:#?}");
}

#[tokio::test]
async fn a_provider_and_an_admin_api_that_do_not_answer_are_told() {
    let stack = Stack::start().await;
    stack.parties.app.set_down(true);
    let (code, findings) = verify(&stack, &[]).await;
    assert_eq!((code, wrong(&findings)), (1, vec!["connector credential"]), "{findings:#?}");
    let stack = Stack::with(|config| {
        config["idp"][0]["issuer"] = "http://127.0.0.1:9/realms/none".into();
    })
    .await;
    let (code, findings) = verify(&stack, &[]).await;
    assert_eq!((code, wrong(&findings)), (1, vec!["provider metadata"]), "{findings:#?}");
}
