//! git and API clients that come to Gitea with access tokens, by the routes of docs/gitea.md: who gets in so, and who
//! does not.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use toml::Table;

use super::front::Front;
use super::oidc_provider::OidcProvider;
use crate::support::party::Party;
use crate::support::{Browser, Page};

static SHARED: OnceCell<Party> = OnceCell::const_new();

const PASSWORD: &str = "a long and winding password";

/// Gitea as the page has it: it shows nothing to strangers, and takes no passwords.
async fn gitea() -> &'static Party {
    const ENVIRONMENT: [(&str, &str); 2] = [("REQUIRE_SIGNIN", "true"), ("PASSWORDS", "false")];
    SHARED.get_or_init(|| Party::start_with("gitea", &[], &ENVIRONMENT)).await
}

async fn api(method: Method, path: &str, body: Value) -> Page {
    let gitea = gitea().await;
    let token = format!("token {}", gitea.at("token"));
    let url = format!("{}{path}", gitea.at("api"));
    let browser = Browser::new();
    let request = browser.request(method, &url).header("authorization", &token).background();
    let page = request.json(&body).send().await;
    assert!(page.status.is_success(), "{path}: {} {}", page.status, page.text());
    page
}

/// narthex in front of it, with the routes that the page shows.
async fn front() -> Front {
    let (provider, gitea) = (OidcProvider::shared().await, gitea().await);
    let page = include_str!("../../../docs/gitea.md");
    let routes = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(routes.contains("path = \"/\"\naccess = \"public\""), "{routes}");
    let source = format!(
        r#"
{idp}
{routes}
[upstream]
url = "{url}"
[headers]
X-WEBAUTH-USER = "{{{{ account.username }}}}"
[application]
connector = "gitea"
url = "{url}"
credential = {{ bearer = "{token}" }}
[provisioning]
mode = "jit"
default_role = "user"
time_budget = "60s"
"#,
        idp = provider.idp("narthex"),
        url = gitea.url(),
        token = gitea.at("narthex_token"),
    );
    Front::start(source.parse::<Table>().unwrap()).await
}

/// Somebody whose first sign-in this is, with a private repository `secret`, a password, and a token that they made in
/// their settings.
async fn somebody(front: &Front, name: &str) -> (Browser, String) {
    let provider = OidcProvider::shared().await;
    provider.enrol(name, &[]).await;
    let browser = Browser::new();
    let page = provider.sign_in(name, &browser, &front.at("/user/settings/applications")).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let form =
        page.form_with("scope-repository").set("name", "git").set("scope-repository", "write:repository");
    let page = browser.submit(&page, form).await;
    let text = page.text();
    let is_token = |word: &&str| word.len() == 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let token = text.split(|at: char| !at.is_ascii_alphanumeric()).find(is_token);
    let token = token.unwrap_or_else(|| panic!("no token in {text}")).to_owned();
    let secret = json!({ "name": "secret", "private": true, "auto_init": true });
    api(Method::POST, &format!("/admin/users/{name}/repos"), secret).await;
    let password = json!({ "source_id": 0, "login_name": name, "password": PASSWORD });
    api(Method::PATCH, &format!("/admin/users/{name}"), password).await;
    (browser, token)
}

fn basic(name: &str, password: &str) -> (&'static str, String) {
    ("authorization", format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))))
}

/// A program's request, without a session.
async fn ask(front: &Front, path: &str, header: (&str, String)) -> Page {
    let browser = Browser::new();
    let request = browser.request(Method::GET, &front.at(path)).header(header.0, &header.1);
    request.background().stay().send().await
}

fn refs(name: &str) -> String {
    format!("/{name}/secret.git/info/refs?service=git-upload-pack")
}

fn are_refs(page: &Page) -> bool {
    page.status == 200 && page.bytes.starts_with(b"001e# service=git-upload-pack")
}

/// Sent on to Gitea's sign-in, which narthex has.
fn is_sent_to_sign_in(page: &Page) -> bool {
    page.status == 303 && page.header("location").is_some_and(|to| to.starts_with("/user/login"))
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn git_comes_in_with_an_access_token_and_with_no_password_and_no_header_of_its_own() {
    let front = front().await;
    let (_, token) = somebody(&front, "gail").await;
    let forms = [
        basic("gail", &token),
        basic(&token, "x-oauth-basic"),
        ("authorization", format!("token {token}")),
        ("authorization", format!("Bearer {token}")),
    ];
    for form in forms {
        let page = ask(&front, &refs("gail"), form.clone()).await;
        assert!(are_refs(&page), "{form:?}: {} {}", page.status, page.text());
        let page = ask(&front, "/api/v1/repos/gail/secret", form.clone()).await;
        assert_eq!((page.status.as_u16(), &page.json()["name"]), (200, &json!("secret")), "{form:?}");
        // What is not for tokens: they are no session of narthex's.
        let page = ask(&front, "/user/settings", form).await;
        assert_eq!(page.status, 401, "{}", page.text());
        assert!(page.text().contains("login_needed"), "{}", page.text());
    }

    let admin = gitea().await.at("password");
    let strangers = [
        ("accept", "*/*".to_owned()),
        basic("gail", PASSWORD),
        basic("gitea_admin", admin),
        basic("gail", "0123456789012345678901234567890123456789"),
        ("X-WEBAUTH-USER", "gail".to_owned()),
        ("X_WEBAUTH_USER", "gail".to_owned()),
        ("X-WEBAUTH-EMAIL", "gail@example.com".to_owned()),
    ];
    for stranger in strangers {
        let page = ask(&front, &refs("gail"), stranger.clone()).await;
        assert_eq!(page.status, 401, "{stranger:?}: {}", page.text());
        assert_eq!(page.header("www-authenticate"), Some("Basic realm=\"Gitea\""), "Gitea's own answer");
        let page = ask(&front, "/api/v1/repos/gail/secret", stranger.clone()).await;
        assert_eq!(page.status, 403, "{stranger:?}: {}", page.text());
        let page = ask(&front, "/gail/secret", stranger.clone()).await;
        assert!(is_sent_to_sign_in(&page), "{stranger:?}: {} {:?}", page.status, page.headers);
        let page = ask(&front, "/-/admin", stranger).await;
        assert_eq!(page.status, 401, "{}", page.text());
    }
    // The same header, where narthex does not take it away: only that it does holds.
    let url = format!("{}{}", gitea().await.url(), refs("gail"));
    let browser = Browser::new();
    let page = browser.request(Method::GET, &url).header("X-WEBAUTH-USER", "gail").background().send().await;
    assert!(are_refs(&page), "{} {}", page.status, page.text());
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn the_real_git_clones_and_pushes_with_a_token() {
    let front = front().await;
    let (_, token) = somebody(&front, "gregor").await;
    let at = |password: &str| {
        front.at("/gregor/secret.git").replace("http://", &format!("http://gregor:{password}@"))
    };
    let (right, wrong) = (at(&token), at("password"));
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().to_owned();
    let done = tokio::task::spawn_blocking(move || {
        let clone = inside.join("clone");
        git(&inside, &["clone", "--quiet", &right, "clone"])?;
        // More than any buffer on the way.
        std::fs::write(clone.join("large"), vec![b'x'; 1 << 20]).unwrap();
        git(&clone, &["add", "large"])?;
        git(&clone, &["commit", "--quiet", "--message", "large"])?;
        git(&clone, &["push", "--quiet", "origin", "HEAD"])?;
        git(&inside, &["ls-remote", &wrong]).map_or(Ok(()), |()| Err("a wrong token is taken".to_owned()))
    });
    done.await.unwrap().unwrap();
    let page = api(Method::GET, "/repos/gregor/secret/contents/large", Value::Null).await;
    assert_eq!(page.json()["size"], 1 << 20);
}

/// git, as it is without anybody's settings, and without anybody to ask.
fn git(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("git")
        .args(["-c", "user.name=Gregor", "-c", "user.email=gregor@example.com"])
        .args(arguments)
        .current_dir(folder)
        .env("HOME", folder)
        .envs([("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_TERMINAL_PROMPT", "0")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("git {arguments:?}: {said}")) }
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn on_a_public_route_gitea_sends_people_to_narthex_and_shows_them_the_page_that_they_wanted() {
    let front = front().await;
    somebody(&front, "gloria").await;
    let page =
        OidcProvider::shared().await.sign_in("gloria", &Browser::new(), &front.at("/gloria/secret")).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/gloria/secret"), "{:#?}", page.trail());

    // Gitea's own form is behind narthex, and takes nobody.
    let form = [("user_name", "gloria"), ("password", PASSWORD)];
    let stranger = Browser::new();
    let page = stranger.request(Method::POST, &front.at("/user/login")).form(&form).stay().send().await;
    assert_eq!(page.status, 303, "{}", page.text());
    assert!(page.header("location").unwrap().starts_with("/.narthex/login"), "{:?}", page.headers);
    let url = format!("{}/user/login", gitea().await.url());
    let page = Browser::new().request(Method::POST, &url).form(&form).stay().send().await;
    assert_eq!(page.status, 403, "{}", page.text());
}

/// E7. Gitea keeps a session beside narthex's, and on a public route nothing but its cookie says whose it is.
#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn e7_the_session_that_gitea_keeps_is_worth_nothing_without_narthexs() {
    let front = front().await;
    let (browser, _) = somebody(&front, "greta").await;
    let page = browser.visit(&front.at("/greta/secret")).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/greta/secret"), "{:#?}", page.trail());
    let jar = browser.jar().all().to_vec();
    let kept = jar.iter().find(|cookie| cookie.name.starts_with("i_like_gitea")).unwrap();
    // Gitea's own id of the session has 16 digits; whatever else is there is narthex's.
    let own = &kept.value[kept.value.len() - 16..];
    for name in [kept.name.as_str(), "i_like_gitea.anonymous", "i_like_gitea"] {
        for value in [kept.value.as_str(), own] {
            let page = ask(&front, "/greta/secret", ("cookie", format!("{name}={value}"))).await;
            assert!(is_sent_to_sign_in(&page), "{name}={value}: {} {}", page.status, page.text());
            let page = ask(&front, &refs("greta"), ("cookie", format!("{name}={value}"))).await;
            assert_eq!(page.status, 401, "{name}={value}: {}", page.text());
        }
    }
}

#[tokio::test]
#[ignore = "real parties: tests/run"]
async fn e6_the_token_of_a_deactivated_account_is_worth_nothing() {
    let front = front().await;
    let (_, token) = somebody(&front, "gustav").await;
    assert!(are_refs(&ask(&front, &refs("gustav"), basic("gustav", &token)).await));
    let gone = json!({ "source_id": 0, "login_name": "gustav", "prohibit_login": true });
    api(Method::PATCH, "/admin/users/gustav", gone).await;
    let page = ask(&front, &refs("gustav"), basic("gustav", &token)).await;
    assert!(!are_refs(&page) && page.text().contains("rohibited"), "{} {}", page.status, page.text());
    let page = ask(&front, "/api/v1/repos/gustav/secret", basic("gustav", &token)).await;
    assert_eq!(page.status, 403, "{}", page.text());
}
