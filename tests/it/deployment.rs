//! `narthex verify-deployment`: what it finds in order, and each hole that it must find.

use std::net::UdpSocket;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket};
use toml::Table;

use crate::support::Stack;
use crate::support::party::client;
use crate::support::ports::free_port;
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

/// With a recipe of its own, since nothing is known of the folder that these tests were checked out to.
async fn stack(edit: impl FnOnce(&mut Table)) -> Stack {
    let mut stack = Stack::with(edit).await;
    stack.file("legacy.toml", include_str!("../../src/demo/legacy.toml"));
    stack.reload(|config| put(config, "application.connector", "./legacy.toml")).await.unwrap();
    stack
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

fn of<'a>(findings: &'a [(String, String, String)], item: &str) -> Vec<(&'a str, &'a str)> {
    let one = findings.iter().filter(|(name, ..)| name == item);
    one.map(|(_, verdict, told)| (verdict.as_str(), told.as_str())).collect()
}

/// With a route that anybody may ask what arrived.
fn echo(config: &mut Table) {
    push(config, "route", table("path = \"/echo\"\naccess = \"public\""));
}

#[tokio::test]
async fn a_deployment_that_is_in_order_is_told_item_by_item() {
    let stack = stack(echo).await;
    let (code, findings) = verify(&stack, &["--echo", "/echo"]).await;
    assert_eq!((code, wrong(&findings)), (0, vec![]), "{findings:#?}");
    let mut tried: Vec<&str> =
        findings.iter().filter(|(_, verdict, _)| verdict == "ok").map(|(item, ..)| item.as_str()).collect();
    tried.dedup();
    assert_eq!(
        tried,
        [
            "secret files",
            "configuration files",
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
    let open = TcpListener::bind(("0.0.0.0", free_port())).await.unwrap();
    let port = open.local_addr().unwrap().port();
    let stack = stack(|config| put(config, "upstream.url", format!("http://127.0.0.1:{port}"))).await;
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
    let stack = stack(echo).await;
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
    let mut stack = stack(|_| {}).await;
    let volume = stack.beside("secret");
    std::fs::create_dir_all(volume.join("..1")).unwrap();
    symlink("..1", volume.join("..data")).unwrap();
    symlink("..data/token", volume.join("token")).unwrap();
    let file = volume.join("..1/token");
    std::fs::write(&file, stack.parties.app.api_token().expose()).unwrap();
    let mode = |mode: u32| chmod(&file, mode);
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
    let stack = stack(|_| {}).await;
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

#[tokio::test]
async fn an_application_named_by_this_machine_s_own_address_is_on_no_other_machine() {
    let open = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = open.local_addr().unwrap().port();
    // Sends nothing.
    let route = UdpSocket::bind("0.0.0.0:0").unwrap();
    route.connect("192.0.2.1:9").unwrap();
    let own = route.local_addr().unwrap().ip();
    let stack = stack(|config| put(config, "upstream.url", format!("http://{own}:{port}"))).await;
    let (code, findings) = verify(&stack, &[]).await;
    assert_eq!((code, wrong(&findings)), (1, vec!["application port"]), "{findings:#?}");
}

#[tokio::test]
async fn what_does_not_answer_says_nothing_where_narthex_does_not_either() {
    // Bound, so that nobody else has it, but nobody listens.
    let bound = TcpSocket::new_v4().unwrap();
    bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let gone = bound.local_addr().unwrap();
    let stack = stack(|_| {}).await;
    let direct = ["--direct", &gone.to_string()];
    let (_, findings) = verify(&stack, &direct).await;
    assert_eq!(of(&findings, "application port")[0].0, "ok", "{findings:#?}");
    let (_, findings) =
        verify(&stack, &[&direct[..], &["--through", &format!("http://{gone}")]].concat()).await;
    let (verdict, told) = of(&findings, "application port")[0];
    assert_eq!(verdict, "not tried");
    assert!(told.contains("narthex is not reached from here either"), "{told}");
}

#[tokio::test]
async fn what_others_may_change_is_a_hole_as_what_they_may_read() {
    let stack = stack(|_| {}).await;
    let holes = [
        ("legacy.toml", 0o666, 0o644, "configuration files"),
        ("proxy.toml", 0o666, 0o600, "secret files"),
        ("narthex.db-wal", 0o644, 0o600, "secret files"),
        ("", 0o777, 0o700, "configuration files"),
    ];
    for (name, open, closed, item) in holes {
        let path = stack.beside(name);
        chmod(&path, open);
        let (code, findings) = verify(&stack, &[]).await;
        assert_eq!((code, wrong(&findings)), (1, vec![item]), "{name}: {findings:#?}");
        chmod(&path, closed);
    }
    let (code, findings) = verify(&stack, &[]).await;
    assert_eq!((code, wrong(&findings)), (0, vec![]), "{findings:#?}");
}

#[tokio::test]
async fn a_header_that_the_application_believes_and_narthex_does_not_manage_is_a_hole() {
    let stack = stack(echo).await;
    let (_, findings) = verify(&stack, &["--echo", "/echo"]).await;
    assert_eq!(of(&findings, "identity headers")[0].0, "ok", "{findings:#?}");
    let believes = ["--echo", "/echo", "--believes", "X-Remote-Groups", "--believes", "X-Remote-User"];
    let (code, findings) = verify(&stack, &believes).await;
    assert_eq!(code, 1);
    let told = of(&findings, "identity headers");
    let of_group = |told: &str| told.contains("groups") && told.contains("name it under [headers]");
    assert!(told.iter().all(|(verdict, told)| *verdict == "wrong" && of_group(told)), "{told:#?}");
    for name in ["`x-remote-groups`", "`x_remote_groups`"] {
        assert!(told.iter().any(|(_, told)| told.starts_with(name)), "{name}: {told:#?}");
    }
}

#[tokio::test]
async fn what_was_not_tried_is_told_last_and_fails_where_everything_must_be() {
    let stack = stack(|_| {}).await;
    let (code, out, _) = stack.program_meanwhile(&["verify-deployment"]).await;
    assert_eq!(code, 0, "{out}");
    let last = "nothing is wrong with what was tried; 1 item was not tried: identity headers";
    assert_eq!(out.lines().last(), Some(last));
    let (code, findings) = verify(&stack, &["--strict"]).await;
    assert_eq!((code, wrong(&findings)), (1, vec![]), "{findings:#?}");
}

/// Whose certificates are in it may say who anybody is.
#[tokio::test]
async fn saml_metadata_in_a_file_that_others_may_change_is_a_hole() {
    let mut stack = Stack::by_saml(|_| {}).await;
    let url = stack.parties.idp.saml().entity_id();
    let metadata = client().get(url).send().await.unwrap().text().await.unwrap();
    let file = stack.file("idp.xml", &metadata);
    stack.reload(|config| config["idp"][0]["metadata"] = table("file = \"idp.xml\"").into()).await.unwrap();
    for (mode, expected) in [(0o644, vec![]), (0o666, vec!["configuration files"])] {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        let (_, findings) = verify(&stack, &[]).await;
        assert_eq!(wrong(&findings), expected, "{mode:o}: {findings:#?}");
    }
}
