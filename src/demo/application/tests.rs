//! The application as a proxy, a browser and a connector see it.

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use super::*;
use crate::platform::Outbound;

struct Party {
    app: DemoApp,
    http: Outbound,
}

struct Page {
    status: u16,
    headers: http::HeaderMap,
    body: String,
}

impl Page {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn party() -> Party {
    let tasks = Tasks::on(tokio::runtime::Handle::current());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let app = DemoApp::start(listener, &Platform::system(), &tasks).unwrap();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Party { app, http: Outbound::new(&[]).unwrap() }
}

impl Party {
    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, Url::parse(&format!("{}{path}", self.app.url())).unwrap())
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Page {
        let answer = self.http.send(request).await.unwrap();
        let body = String::from_utf8(answer.body).unwrap();
        Page { status: answer.status.as_u16(), headers: answer.headers, body }
    }

    /// A page, with these headers.
    async fn page(&self, path: &str, headers: &[(&str, &str)]) -> Page {
        let request = self.request(Method::GET, path);
        self.send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    /// A call of the admin API.
    async fn api(&self, method: Method, path: &str, body: Option<Value>) -> Page {
        let request = self.request(method, path).bearer_auth(self.app.api_token().expose());
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        self.send(request).await
    }
}

fn reason(page: &Page) -> &str {
    let (_, rest) = page.body.split_once("data-reason=\"").unwrap();
    rest.split_once('"').unwrap().0
}

#[tokio::test]
async fn without_identity_headers_nobody_is_let_in() {
    let page = party().await.page("/", &[]).await;
    assert_eq!((page.status, reason(&page)), (401, "nobody"));
}

#[tokio::test]
async fn an_unknown_user_is_told_to_ask_an_administrator() {
    let page = party().await.page("/", &[("x-remote-user", "ada")]).await;
    assert_eq!((page.status, reason(&page)), (403, "no_account"));
    assert!(page.body.contains("Ask an administrator for an account"));
}

#[tokio::test]
async fn anybody_may_ask_whom_the_application_would_believe() {
    let party = party().await;
    assert_eq!(party.page("/whoami", &[]).await.body, "The application thinks you are: nobody\n");
    let forged = party.page("/whoami", &[("x_remote_user", "root")]).await;
    assert_eq!(forged.body, "The application thinks you are: root\n");
}

#[tokio::test]
async fn a_deactivated_account_is_refused() {
    let page = party().await.page("/", &[("x-remote-user", "dave")]).await;
    assert_eq!((page.status, reason(&page)), (403, "deactivated"));
}

#[tokio::test]
async fn whoever_the_header_names_is_believed_in_every_spelling() {
    let party = party().await;
    for name in ["X-Remote-User", "x_remote_user", "X.Remote.User", "X-Remote--User"] {
        let page = party.page("/", &[(name, "Carol")]).await;
        assert_eq!(page.status, 200, "{name}");
        assert!(page.body.contains("data-username=\"carol\""), "{name}");
    }
}

#[tokio::test]
async fn a_role_in_the_header_opens_the_admin_page_and_leaves_the_stored_role() {
    let party = party().await;
    let carol = ("x-remote-user", "carol");
    assert_eq!(party.page("/admin", &[carol]).await.status, 403);
    assert_eq!(party.page("/admin", &[carol, ("x-remote-role", "nonsense")]).await.status, 403);
    assert_eq!(party.page("/admin", &[carol, ("x-remote-role", "admin")]).await.status, 200);
    assert_eq!(party.page("/editor", &[carol, ("x-remote-role", "editor")]).await.status, 200);
    assert_eq!(party.app.user("carol").unwrap().role, "user");
    let front = party.page("/", &[carol, ("x-remote-role", "editor")]).await.body;
    assert!(front.contains("id=\"stored-role\">user<") && front.contains("id=\"session-role\">editor<"));
    assert_eq!(party.page("/admin", &[("x-remote-user", "root")]).await.status, 200);
}

#[tokio::test]
async fn its_own_session_cookie_is_believed_until_sign_out() {
    let party = party().await;
    let page = party.page("/", &[("x-remote-user", "carol")]).await;
    let cookie = page.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("legacy_session="));
    let cookie = ("cookie", &*cookie);
    assert_eq!(party.page("/", &[cookie]).await.status, 200);
    let both = [cookie, ("x-remote-user", "root")];
    assert!(party.page("/", &both).await.body.contains("data-username=\"root\""), "the header wins");
    party.app.set_cookie_wins(true);
    assert!(party.page("/", &both).await.body.contains("data-username=\"carol\""), "the cookie wins");
    assert_eq!(reason(&party.page("/signout", &[cookie]).await), "signed_out");
    assert_eq!(party.page("/", &[cookie]).await.status, 401);
}

#[tokio::test]
async fn the_api_wants_its_token() {
    let party = party().await;
    for token in ["", "Bearer nonsense", "Basic bm9uc2Vuc2U6"] {
        let answer = party.page("/api/users", &[("authorization", token)]).await;
        assert_eq!(answer.status, 401, "{token}");
    }
    assert_eq!(party.api(Method::GET, "/api/version", None).await.json()["version"], "4.2.0");
    assert_eq!(party.api(Method::GET, "/api/me", None).await.json()["username"], "root");
}

#[tokio::test]
async fn a_user_is_created_once_changed_and_deleted() {
    let party = party().await;
    let ada = || Some(json!({ "username": "ada", "email": "ada@example.com", "name": "Ada Example" }));
    let created = party.api(Method::POST, "/api/users", ada()).await;
    let user = created.json();
    assert_eq!((created.status, &user["role"], &user["active"]), (201, &json!("user"), &json!(true)));
    let path = format!("/api/users/{}", user["id"]);

    let again = party.api(Method::POST, "/api/users", ada()).await;
    assert_eq!((again.status, &again.json()["error"]), (409, &json!("username_taken")));
    let same_address = json!({ "username": "ada2", "email": "ADA@example.com" });
    let again = party.api(Method::POST, "/api/users", Some(same_address)).await;
    assert_eq!((again.status, &again.json()["error"]), (409, &json!("email_taken")));

    let changed = party.api(Method::PATCH, &path, Some(json!({ "role": "admin" }))).await;
    assert_eq!((changed.status, party.app.user("ada").unwrap().role.as_str()), (200, "admin"));
    let unknown = party.api(Method::PATCH, &path, Some(json!({ "role": "owner" }))).await;
    assert_eq!(unknown.status, 422);
    assert_eq!(party.api(Method::DELETE, &path, None).await.status, 204);
    assert_eq!(party.api(Method::DELETE, &path, None).await.status, 404);
    assert_eq!(party.app.user("ada"), None);

    let statuses: Vec<_> = party.app.writes().iter().map(|call| (call.method.clone(), call.status)).collect();
    assert_eq!(statuses[0], (Method::POST, Some(201)));
    assert_eq!(statuses.len(), 7);
    assert_eq!(party.app.writes()[3].path, path);
}

#[tokio::test]
async fn a_user_with_one_thing_wrong_is_refused() {
    let party = party().await;
    for (body, status) in [
        (json!({ "email": "a@example.com" }), 422),
        (json!({ "username": "a" }), 422),
        (json!({ "username": "a b", "email": "a@example.com" }), 422),
        (json!({ "username": "../a", "email": "a@example.com" }), 422),
        (json!({ "username": "a", "email": "a" }), 422),
        (json!({ "username": "a", "email": "a@example.com", "role": "owner" }), 422),
        (json!({ "username": "a", "email": "a@example.com", "surprise": 1 }), 422),
    ] {
        assert_eq!(party.api(Method::POST, "/api/users", Some(body.clone())).await.status, status, "{body}");
    }
    let request = party.request(Method::POST, "/api/users").bearer_auth(party.app.api_token().expose());
    assert_eq!(party.send(request.body("{}")).await.status, 415);
}

#[tokio::test]
async fn users_come_in_pages_and_by_whole_values() {
    let party = party().await;
    for n in 0..25 {
        let wanted = UserChange {
            username: Some(format!("u{n}")),
            email: Some(format!("u{n}@example.com")),
            ..UserChange::default()
        };
        party.app.edit(|directory| directory.create(wanted).map(|_| ())).unwrap();
    }
    let mut next = Some("/api/users?per_page=10".to_owned());
    let (mut pages, mut seen) = (0, Vec::new());
    while let Some(path) = next {
        let page = party.api(Method::GET, &path, None).await.json();
        pages += 1;
        seen.extend(page["users"].as_array().unwrap().iter().map(|user| user["id"].as_u64().unwrap()));
        next = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!((pages, seen.len()), (3, 28));
    let found = async |query: &str| {
        let page = party.api(Method::GET, &format!("/api/users?{query}"), None).await.json();
        page["total"].as_u64().unwrap()
    };
    assert_eq!(found("email=U1%40example.com").await, 1);
    assert_eq!(found("username=u").await, 0);
    assert_eq!(party.api(Method::GET, "/api/users?page=0", None).await.status, 400);
}

#[tokio::test]
async fn teams_take_and_lose_members() {
    let party = party().await;
    let id = party.app.edit(|directory| directory.team_named("developers").unwrap().id);
    let carol = party.app.user("carol").unwrap().id;
    let members = format!("/api/teams/{id}/members");
    let body = || Some(json!({ "user_id": carol, "role": "lead" }));
    assert_eq!(party.api(Method::POST, &members, body()).await.status, 201);
    assert_eq!(party.api(Method::POST, &members, body()).await.status, 409);
    assert_eq!(party.app.teams_of("carol"), [("developers".to_owned(), "lead".to_owned())]);
    let one = format!("{members}/{carol}");
    assert_eq!(party.api(Method::PUT, &one, Some(json!({ "role": "member" }))).await.status, 204);
    let listed = party.api(Method::GET, &members, None).await.json();
    assert_eq!(listed["members"], json!([{ "user_id": carol, "username": "carol", "role": "member" }]));
    let teams = party.api(Method::GET, &format!("/api/users/{carol}/teams"), None).await.json();
    assert_eq!(teams["teams"], json!([{ "id": id, "name": "developers", "role": "member" }]));
    assert_eq!(party.api(Method::DELETE, &one, None).await.status, 204);
    assert_eq!(party.api(Method::DELETE, &one, None).await.status, 404);
    assert_eq!(
        party.api(Method::POST, "/api/teams", Some(json!({ "name": "developers" }))).await.status,
        409
    );
    assert_eq!(party.api(Method::POST, "/api/teams", Some(json!({ "name": "new" }))).await.status, 201);
    let unknown = Some(json!({ "user_id": 99, "role": "lead" }));
    assert_eq!(party.api(Method::POST, &members, unknown).await.status, 404);
}

#[tokio::test]
async fn lies_are_told_only_where_they_are_wanted() {
    let party = party().await;
    let ada = || Some(json!({ "username": "ada", "email": "ada@example.com" }));
    let create = LieTo::Calls { method: Method::POST, path: "/api/users".to_owned() };

    party.app.set_lie(create.clone(), Lie::MissingId);
    let answer = party.api(Method::POST, "/api/users", ada()).await;
    assert_eq!((answer.status, answer.json().get("id")), (201, None));
    assert!(party.app.user("ada").is_some(), "it was done");
    assert_eq!(
        party.api(Method::GET, "/api/me", None).await.json()["id"],
        1,
        "other calls are answered well"
    );

    party.app.set_lie(LieTo::All, Lie::Html);
    let answer = party.api(Method::GET, "/api/me", None).await;
    assert!(answer.status == 200 && answer.body.starts_with("<!doctype html>"));

    let busy = Lie::Status { status: 503, message: "later".to_owned(), retry_after: Some(7) };
    party.app.set_lie(LieTo::Writes, busy);
    let answer = party.api(Method::POST, "/api/teams", Some(json!({ "name": "new" }))).await;
    assert_eq!((answer.status, answer.headers["retry-after"].as_bytes()), (503, b"7".as_slice()));
    assert!(party.app.edit(|directory| directory.team_named("new").is_none()), "it was not done");

    party.app.set_lie(LieTo::All, Lie::Oversized);
    let request = party.request(Method::GET, "/api/me").bearer_auth(party.app.api_token().expose());
    assert!(matches!(
        party.http.send(request).await,
        Err(crate::platform::outbound::OutboundError::TooLarge { .. })
    ));
    party.app.stop_lying();
    assert_eq!(party.api(Method::GET, "/api/me", None).await.status, 200);
}

#[tokio::test]
async fn a_lost_answer_leaves_the_account_behind() {
    let party = party().await;
    party.app.set_lie(LieTo::Writes, Lie::LoseAnswer);
    let request = party.request(Method::POST, "/api/users").bearer_auth(party.app.api_token().expose());
    let request = request.json(&json!({ "username": "ada", "email": "ada@example.com" }));
    assert!(party.http.send(request).await.is_err());
    assert!(party.app.user("ada").is_some());
    assert_eq!(party.app.writes().last().unwrap().status, None);
}

#[tokio::test]
async fn echo_shows_what_arrived() {
    let party = party().await;
    let request =
        party.request(Method::PUT, "/echo/a%2Fb?c=d").header("x-one", "1").header("x-one", "2").body("hello");
    let seen = party.send(request).await.json();
    assert_eq!(
        (&seen["method"], &seen["path"], &seen["query"]),
        (&json!("PUT"), &json!("/echo/a%2Fb"), &json!("c=d"))
    );
    assert_eq!((&seen["body"], &seen["bytes"]), (&json!("hello"), &json!(5)));
    let headers = seen["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["x-one", "1"])) && headers.contains(&json!(["x-one", "2"])));
}

#[tokio::test]
async fn uploads_are_counted_and_downloads_are_as_long_as_asked() {
    let party = party().await;
    let request = party.request(Method::POST, "/upload").body(vec![7; 3_000_000]);
    assert_eq!(party.send(request).await.json()["bytes"], 3_000_000);
    let sized = party.page("/download/200000", &[]).await;
    assert_eq!(
        (sized.body.len(), sized.headers["content-length"].as_bytes()),
        (200_000, b"200000".as_slice())
    );
    let chunked = party.page("/download/200000?chunked=yes", &[]).await;
    assert_eq!((chunked.body.len(), chunked.headers.get("content-length")), (200_000, None));
    let events = party.page("/events?count=3&every=1", &[]).await;
    assert_eq!(events.body.matches("event: tick").count(), 3);
}

/// What a client that speaks bytes gets.
async fn raw(party: &Party, request: &str) -> TcpStream {
    let address = party.app.url().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        read.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn an_upgraded_connection_gives_back_every_byte() {
    let party = party().await;
    let request = "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Remote-User: carol\r\n\r\n";
    let mut stream = raw(&party, request).await;
    let head = until(&mut stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "the example of RFC 6455, 1.3: {head}");
    assert!(head.contains("x-seen-user: carol"));
    stream.write_all(b"some bytes").await.unwrap();
    assert_eq!(until(&mut stream, "bytes").await, "some bytes");
    assert_eq!(party.page("/upgrade", &[]).await.status, 426);
}

#[tokio::test]
async fn trailers_follow_the_body() {
    let party = party().await;
    let mut stream = raw(&party, "GET /trailers HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n").await;
    let answer = until(&mut stream, "0\r\nx-checksum: 42\r\n\r\n").await;
    assert!(answer.contains("trailer: x-checksum"));

    let chunked = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
                   2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n";
    let mut stream = raw(&party, chunked).await;
    let answer = until(&mut stream, "}").await;
    assert!(answer.contains(r#""trailers":[["x-sum","7"]]"#), "{answer}");
}
