//! The SCIM server as its clients meet it, on the store in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value as Json, json};

use super::endpoints::Answer;
use super::protocol::definitions::{ENTERPRISE, GROUP, USER};
use super::protocol::patch::PATCH;
use super::{MAX_BODY, ScimServer};
use crate::config::settings::{Scim, ScimGroups, ScimMatch};
use crate::model::{Secret, UnixTime};
use crate::observe::audit::Audit;
use crate::platform::{Clock, Platform, Tasks};
use crate::store::memory::Memory;

const TOKEN: &str = "a token of the directory";

/// A clock that a test puts forward.
#[derive(Debug)]
struct Turned(AtomicI64);

impl Clock for Turned {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::SeqCst))
    }
}

impl Turned {
    fn forward(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

struct Server {
    server: ScimServer,
    clock: Arc<Turned>,
}

impl Server {
    fn start() -> Self {
        let settings = Scim {
            listen: "127.0.0.1:0".parse().unwrap(),
            public_url: Some("https://scim.example.com/".parse().unwrap()),
            tls: None,
            tokens: vec![Secret::new(TOKEN)],
            groups: ScimGroups::Mapping,
            matching: ScimMatch::Email,
            idp: None,
        };
        let clock = Arc::new(Turned(AtomicI64::new(1_800_000_000)));
        let platform = Platform { clock: clock.clone(), ..Platform::system() };
        let tasks = Tasks::on(tokio::runtime::Handle::current());
        let audit = Audit::log_only(platform.clone());
        let server = ScimServer::new(&settings, Arc::new(Memory::default()), platform, audit, tasks);
        Self { server, clock }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Json>) -> Answer {
        self.ask_with(method, path, body, &[]).await
    }

    async fn ask_with(
        &self,
        method: Method,
        path: &str,
        body: Option<Json>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/scim/v2{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.server.answer(request.body(Full::new(Bytes::from(body))).unwrap()).await
    }

    async fn get(&self, path: &str) -> Json {
        let answer = self.ask(Method::GET, path, None).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {:?}", answer.body);
        answer.body.unwrap()
    }

    /// The new user's id.
    async fn user(&self, name: &str) -> String {
        let user = json!({
            "schemas": [USER], "userName": name, "externalId": format!("X{name}"), "displayName": name,
            "emails": [{ "value": format!("{name}@example.com"), "primary": true }],
        });
        let made = self.ask(Method::POST, "/Users", Some(user)).await;
        assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
        made.body.unwrap()["id"].as_str().unwrap().to_owned()
    }

    async fn group(&self, name: &str, members: &[&str]) -> String {
        let members: Vec<Json> = members.iter().map(|id| json!({ "value": id })).collect();
        let group = json!({ "schemas": [GROUP], "displayName": name, "members": members });
        let made = self.ask(Method::POST, "/Groups", Some(group)).await;
        assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
        made.body.unwrap()["id"].as_str().unwrap().to_owned()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
#[expect(clippy::unnecessary_wraps, reason = "as the calls take it")]
fn operations(operations: Json) -> Option<Json> {
    Some(json!({ "schemas": [PATCH], "Operations": operations }))
}

/// The names on a page, and the total.
fn names(list: &Json) -> (Vec<&str>, u64) {
    let resources = list["Resources"].as_array().unwrap().iter();
    let name = |one: &Json| one["userName"].as_str().is_some();
    let names = resources.map(|one| {
        let key = if name(one) { "userName" } else { "displayName" };
        one[key].as_str().unwrap_or_default()
    });
    (names.collect(), list["totalResults"].as_u64().unwrap())
}

fn refused(answer: &Answer) -> (u16, &str) {
    let kind = answer.body.as_ref().and_then(|body| body["scimType"].as_str());
    (answer.status.as_u16(), kind.unwrap_or_default())
}

#[tokio::test]
async fn without_a_token_nothing_is_told() {
    let server = Server::start();
    for path in ["/Users", "/ServiceProviderConfig", "/Me", "/nothing"] {
        for token in ["", "Bearer wrong", "Basic YTpi"] {
            let request = Request::builder().uri(format!("/scim/v2{path}")).header("authorization", token);
            let answer = server.server.answer(request.body(Full::new(Bytes::new())).unwrap()).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path} {token}");
            let response = super::respond(answer);
            assert!(response.headers().contains_key(header::WWW_AUTHENTICATE));
        }
    }
}

#[tokio::test]
async fn a_user_is_made_read_and_deleted() {
    let server = Server::start();
    let user = json!({
        "schemas": [USER], "username": "Ada", "externalId": "1", "password": "secret", "id": "1",
        "name": { "givenName": "Ada" }, ENTERPRISE: { "department": "Engines" },
    });
    let made = server.ask(Method::POST, "/Users", Some(user)).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let body = made.body.unwrap();
    let id = body["id"].as_str().unwrap();
    let location = format!("https://scim.example.com/scim/v2/Users/{id}");
    assert_eq!(
        body,
        json!({
            "schemas": [USER, ENTERPRISE], "id": id, "externalId": "1", "userName": "Ada",
            "name": { "givenName": "Ada" }, "active": true, ENTERPRISE: { "department": "Engines" },
            "meta": {
                "resourceType": "User", "created": "2027-01-15T08:00:00Z", "lastModified": "2027-01-15T08:00:00Z",
                "location": location, "version": "W/\"1\"",
            },
        })
    );
    assert_eq!(made.headers[header::LOCATION], location);
    assert_eq!(made.headers[header::ETAG], "W/\"1\"");
    assert_eq!(made.headers[header::CONTENT_TYPE], "application/scim+json");
    assert_eq!(server.get(&format!("/Users/{id}")).await, body);
    assert_eq!(server.get(&format!("/Users/{id}?attributes=userName")).await.as_object().unwrap().len(), 3);
    let gone = server.ask(Method::DELETE, &format!("/Users/{id}"), None).await;
    assert_eq!((gone.status, gone.body), (StatusCode::NO_CONTENT, None));
    for method in [Method::GET, Method::DELETE] {
        let answer = server.ask(method, &format!("/Users/{id}"), None).await;
        assert_eq!(refused(&answer), (404, ""));
    }
}

#[tokio::test]
async fn lesson_32_an_external_id_finds_nobody_as_an_id() {
    let server = Server::start();
    let user = json!({ "schemas": [USER], "userName": "ada", "externalId": "1" });
    let made = server.ask(Method::POST, "/Users", Some(user)).await;
    assert_ne!(made.body.unwrap()["id"], "1");
    assert_eq!(refused(&server.ask(Method::GET, "/Users/1", None).await), (404, ""));
    let group = json!({ "schemas": [GROUP], "displayName": "makers", "members": [{ "value": "1" }] });
    let answer = server.ask(Method::POST, "/Groups", Some(group)).await;
    assert_eq!(refused(&answer), (400, "invalidValue"));
    let (found, total) = (server.get("/Users?filter=externalId%20eq%20%221%22").await, 1);
    assert_eq!(names(&found), (vec!["ada"], total));
}

#[tokio::test]
async fn a_user_name_is_had_once_whatever_its_case() {
    let server = Server::start();
    server.user("ada").await;
    let bob = server.user("bob").await;
    let user = json!({ "schemas": [USER], "userName": "ADA" });
    let answer = server.ask(Method::POST, "/Users", Some(user.clone())).await;
    assert_eq!(refused(&answer), (409, "uniqueness"));
    let answer = server.ask(Method::PUT, &format!("/Users/{bob}"), Some(user)).await;
    assert_eq!(refused(&answer), (409, "uniqueness"));
    let rename = operations(json!([{ "op": "replace", "path": "userName", "value": "Ada" }]));
    let answer = server.ask(Method::PATCH, &format!("/Users/{bob}"), rename).await;
    assert_eq!(refused(&answer), (409, "uniqueness"));
    let own = operations(json!([{ "op": "replace", "path": "userName", "value": "BOB" }]));
    let answer = server.ask(Method::PATCH, &format!("/Users/{bob}"), own).await;
    assert_eq!(answer.status, StatusCode::OK, "its own name in another spelling");
}

#[tokio::test]
async fn versions_guard_changes_and_spare_answers() {
    let server = Server::start();
    let path = format!("/Users/{}", server.user("ada").await);
    server.clock.forward(60);
    let title = |title: &str| operations(json!([{ "op": "replace", "path": "title", "value": title }]));
    let changed = server.ask_with(Method::PATCH, &path, title("Countess"), &[("if-match", "W/\"1\"")]).await;
    assert_eq!(
        (changed.status, &changed.headers[header::ETAG]),
        (StatusCode::OK, &"W/\"2\"".parse().unwrap())
    );
    assert_eq!(changed.body.unwrap()["meta"]["lastModified"], "2027-01-15T08:01:00Z");
    for method in [Method::PATCH, Method::PUT, Method::DELETE] {
        let body = match method {
            Method::PATCH => title("Lady"),
            Method::PUT => Some(json!({ "schemas": [USER], "userName": "ada" })),
            _ => None,
        };
        let stale = server.ask_with(method.clone(), &path, body, &[("if-match", "W/\"1\"")]).await;
        assert_eq!(refused(&stale), (412, ""), "{method}");
    }
    let known = server.ask_with(Method::GET, &path, None, &[("if-none-match", "W/\"2\"")]).await;
    assert_eq!((known.status, known.body), (StatusCode::NOT_MODIFIED, None));
    let unknown = server.ask_with(Method::GET, &path, None, &[("if-none-match", "W/\"1\"")]).await;
    assert_eq!(unknown.status, StatusCode::OK);
    // What changes nothing makes no version.
    let same = server.ask(Method::PATCH, &path, title("Countess")).await;
    assert_eq!(same.headers[header::ETAG], "W/\"2\"");
}

#[tokio::test]
async fn a_put_replaces_all_that_may_be_written() {
    let server = Server::start();
    let id = server.user("ada").await;
    let path = format!("/Users/{id}");
    let off = operations(json!([{ "op": "replace", "path": "active", "value": false }]));
    server.ask(Method::PATCH, &path, off).await;
    let body = json!({ "schemas": [USER], "userName": "ada", "id": "other", "title": "Countess" });
    let replaced = server.ask(Method::PUT, &path, Some(body)).await.body.unwrap();
    assert_eq!((&replaced["id"], &replaced["title"]), (&json!(id), &json!("Countess")));
    assert_eq!((&replaced["emails"], &replaced["externalId"]), (&Json::Null, &Json::Null));
    assert_eq!(replaced["active"], false, "nobody is reactivated by saying nothing");
}

#[tokio::test]
async fn groups_and_users_tell_of_each_other() {
    let server = Server::start();
    let (ada, bob) = (server.user("ada").await, server.user("bob").await);
    let makers = server.group("Makers", &[&ada, &bob]).await;
    let path = format!("/Groups/{makers}");
    let group = server.get(&path).await;
    assert_eq!(group["members"].as_array().unwrap().len(), 2);
    assert_eq!(group["members"][0]["type"], "User");
    let base = "https://scim.example.com/scim/v2";
    let user = server.get(&format!("/Users/{ada}")).await;
    assert_eq!(
        user["groups"],
        json!([{ "value": makers, "$ref": format!("{base}/Groups/{makers}"), "display": "Makers", "type": "direct" }])
    );
    let remove = format!("members[value eq \"{ada}\"]");
    let patched =
        server.ask(Method::PATCH, &path, operations(json!([{ "op": "remove", "path": remove }]))).await;
    assert_eq!((patched.status, patched.body), (StatusCode::NO_CONTENT, None));
    assert_eq!(server.get(&format!("/Users/{ada}")).await["groups"], Json::Null);
    server.ask(Method::DELETE, &format!("/Users/{bob}"), None).await;
    let group = server.get(&path).await;
    assert_eq!((&group["members"], &group["meta"]["version"]), (&Json::Null, &json!("W/\"3\"")));
    let nested = operations(json!([{ "op": "add", "path": "members", "value": [{ "value": makers }] }]));
    assert_eq!(refused(&server.ask(Method::PATCH, &path, nested).await), (400, "invalidValue"));
    let asked = format!("{path}?attributes=displayName");
    let rename = operations(json!([{ "op": "replace", "path": "displayName", "value": "Crafters" }]));
    let renamed = server.ask(Method::PATCH, &asked, rename).await;
    assert_eq!(renamed.body.unwrap()["displayName"], "Crafters");
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged() {
    let server = Server::start();
    let mut ids = Vec::new();
    for name in ["cleo", "Ada", "bob", "dora"] {
        server.clock.forward(1);
        ids.push(server.user(name).await);
    }
    let group = server.group("Makers", &[&ids[0], &ids[2]]).await;
    for (query, expected, total) in [
        ("", vec!["cleo", "Ada", "bob", "dora"], 4),
        ("?count=2", vec!["cleo", "Ada"], 4),
        ("?startIndex=3&count=9", vec!["bob", "dora"], 4),
        ("?startIndex=9", vec![], 4),
        ("?count=0", vec![], 4),
        ("?sortBy=userName", vec!["Ada", "bob", "cleo", "dora"], 4),
        ("?sortBy=userName&sortOrder=descending&count=2", vec!["dora", "cleo"], 4),
        ("?sortBy=meta.created&sortOrder=descending&startIndex=2&count=2", vec!["bob", "Ada"], 4),
        ("?filter=userName+eq+%22ADA%22", vec!["Ada"], 1),
        ("?filter=externalId+eq+%22Xbob%22+and+active+eq+true", vec!["bob"], 1),
        ("?filter=externalId+eq+%22Xbob%22+and+active+eq+false", vec![], 0),
        ("?filter=emails.value+co+%22o%22&startIndex=2&count=1", vec!["Ada"], 4),
        ("?filter=userName+sw+%22d%22+or+userName+eq+%22bob%22", vec!["bob", "dora"], 2),
        ("?filter=meta.created+gt+%222027-01-15T08:00:02Z%22&sortBy=userName", vec!["bob", "dora"], 2),
        ("?filter=groups.display+eq+%22makers%22", vec!["cleo", "bob"], 2),
    ] {
        let list = server.get(&format!("/Users{query}")).await;
        assert_eq!(names(&list), (expected.clone(), total), "{query}");
        assert_eq!(list["itemsPerPage"], expected.len(), "{query}");
    }
    let in_group = server.get(&format!("/Users?filter=groups.value+eq+%22{group}%22")).await;
    assert_eq!(names(&in_group), (vec!["cleo", "bob"], 2));
    let with_member = server.get(&format!("/Groups?filter=members.value+eq+%22{}%22", ids[0])).await;
    assert_eq!(names(&with_member), (vec!["Makers"], 1));
    let by_id = server.get(&format!("/Users?filter=id+eq+%22{}%22", ids[3])).await;
    assert_eq!(names(&by_id), (vec!["dora"], 1));
    let wanted = server.get("/Groups?excludedAttributes=members").await;
    assert_eq!(wanted["Resources"][0]["members"], Json::Null);
    for (query, kind) in [
        ("?filter=userName+eq", "invalidFilter"),
        ("?filter=nothing+pr", "invalidFilter"),
        ("?sortBy=nothing", "invalidPath"),
        ("?count=x", "invalidValue"),
    ] {
        let answer = server.ask(Method::GET, &format!("/Users{query}"), None).await;
        assert_eq!(refused(&answer), (400, kind), "{query}");
    }
}

#[tokio::test]
async fn a_search_by_post_and_one_over_all_types() {
    let server = Server::start();
    let ada = server.user("ada").await;
    server.group("Makers", &[&ada]).await;
    let search = |body: Json| {
        let mut search = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"] });
        search.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        Some(search)
    };
    for (path, body, expected) in [
        ("/Users/.search", json!({ "filter": "userName pr" }), vec!["ada"]),
        ("/.search", json!({}), vec!["ada", "Makers"]),
        ("/.search", json!({ "startIndex": 2, "count": 1 }), vec!["Makers"]),
        ("/.search", json!({ "filter": "userName pr or members pr" }), vec!["ada", "Makers"]),
        ("/.search", json!({ "filter": "members pr" }), vec!["Makers"]),
        ("/.search", json!({ "sortBy": "displayName", "sortOrder": "descending" }), vec!["Makers", "ada"]),
    ] {
        let answer = server.ask(Method::POST, path, search(body.clone())).await;
        let list = answer.body.unwrap();
        assert_eq!(names(&list).0, expected, "{path} {body}: {list}");
    }
    assert_eq!(names(&server.get("").await).1, 2);
    let wanted = search(json!({ "attributes": ["userName"] }));
    let list = server.ask(Method::POST, "/Users/.search", wanted).await.body.unwrap();
    assert_eq!(list["Resources"][0].as_object().unwrap().len(), 3);
}

#[tokio::test]
async fn a_bulk_request_refers_forward_and_ends_at_its_errors() {
    let server = Server::start();
    let bulk = |operations: Json, most: u64| {
        Some(json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "failOnErrors": most,
            "Operations": operations,
        }))
    };
    let ada = json!({ "schemas": [USER], "userName": "ada" });
    let members = json!([{ "value": "bulkId:u" }]);
    let request = bulk(
        json!([
            { "method": "POST", "path": "/Groups", "bulkId": "g",
              "data": { "schemas": [GROUP], "displayName": "Makers", "members": members } },
            { "method": "POST", "path": "/Users", "bulkId": "u", "data": ada },
            { "method": "PATCH", "path": "/Users/bulkId:u", "version": "W/\"7\"",
              "data": operations(json!([{ "op": "add", "path": "title", "value": "x" }])) },
            { "method": "PUT", "path": "/Users/bulkId:u", "data": ada },
        ]),
        10,
    );
    let done = server.ask(Method::POST, "/Bulk", request).await.body.unwrap();
    let statuses: Vec<&str> =
        done["Operations"].as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["201", "201", "412", "200"], "{done}");
    let user = server.get("/Users?filter=userName+eq+%22ada%22").await["Resources"][0].clone();
    assert_eq!(user["groups"][0]["display"], "Makers");
    assert_eq!(done["Operations"][1]["location"], user["meta"]["location"]);

    let post = |bulk_id: &str, kind: &str, data: Json| json!({ "method": "POST", "path": kind, "bulkId": bulk_id, "data": data });
    let request = bulk(
        json!([
            post(
                "g",
                "/Groups",
                json!({ "schemas": [GROUP], "displayName": "x", "members": [{ "value": "bulkId:a" }] })
            ),
            post("a", "/Users", json!({ "schemas": [USER], "userName": "ADA" })),
            post("b", "/Users", json!({ "schemas": [USER], "userName": "bob" })),
        ]),
        2,
    );
    let done = server.ask(Method::POST, "/Bulk", request).await.body.unwrap();
    let told = done["Operations"].as_array().unwrap();
    assert_eq!(told.len(), 2, "nothing is done after the second error: {done}");
    assert_eq!((&told[0]["status"], &told[1]["status"]), (&json!("400"), &json!("409")));
    assert_eq!(told[1]["response"]["scimType"], "uniqueness");
    assert_eq!(told[1]["location"], Json::Null);
    assert_eq!(names(&server.get("/Users").await).1, 1);
}

#[tokio::test]
async fn paths_methods_and_media_types_are_those_of_the_specification() {
    let server = Server::start();
    let id = server.user("ada").await;
    for (method, path, status) in [
        (Method::GET, "/nothing", 404),
        (Method::GET, "/Users/1/2", 404),
        (Method::GET, "/Users/%FF", 404),
        (Method::DELETE, "/Users", 405),
        (Method::PATCH, "/Groups", 405),
        (Method::POST, &format!("/Users/{id}"), 405),
        (Method::GET, "/Bulk", 405),
        (Method::GET, "/.search", 405),
        (Method::POST, "/Schemas", 405),
        (Method::DELETE, "/ResourceTypes", 405),
        (Method::PUT, "/ServiceProviderConfig", 405),
        (Method::GET, "/Schemas?filter=id+pr", 403),
        (Method::GET, "/Schemas/urn:none", 404),
        (Method::GET, "/Me", 501),
        (Method::PATCH, "/Me", 501),
    ] {
        let answer = server.ask(method.clone(), path, None).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}");
        let body = answer.body.unwrap();
        assert_eq!(
            (&body["status"], &body["schemas"][0]),
            (&json!(status.to_string()), &json!(super::protocol::error::ERROR))
        );
    }
    let not_allowed = server.ask(Method::DELETE, "/Users", None).await;
    assert_eq!(not_allowed.headers[header::ALLOW], "GET, POST");
    for path in ["/Schemas", "/ResourceTypes"] {
        for one in server.get(path).await["Resources"].as_array().unwrap() {
            let id = one["id"].as_str().unwrap();
            assert_eq!(server.get(&format!("{path}/{id}")).await, *one);
        }
    }
    assert_eq!(server.get("/ServiceProviderConfig").await["patch"]["supported"], true);
    let user = Some(json!({ "schemas": [USER], "userName": "bob" }));
    let types =
        [("text/plain", 415), ("application/json", 201), ("application/scim+json; charset=utf-8", 409)];
    for (kind, status) in types {
        let headers = [("content-type", kind)];
        let answer = server.ask_with(Method::POST, "/Users", user.clone(), &headers).await;
        assert_eq!(answer.status.as_u16(), status, "{kind}");
    }
}

#[tokio::test]
async fn a_body_has_a_size_and_is_json() {
    let server = Server::start();
    let large = json!({ "schemas": [USER], "userName": "ada", "x": "x".repeat(MAX_BODY) });
    assert_eq!(refused(&server.ask(Method::POST, "/Users", Some(large)).await), (413, ""));
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for text in ["", "{", "\u{feff}{}", &deep] {
        let request = Request::builder().method(Method::POST).uri("/scim/v2/Users");
        let request = request.header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
        let answer =
            server.server.answer(request.body(Full::new(Bytes::from(text.to_owned()))).unwrap()).await;
        assert_eq!(refused(&answer), (400, "invalidSyntax"), "{text}");
    }
}

#[tokio::test]
async fn without_a_public_url_clients_are_told_the_host_that_they_named() {
    let mut server = Server::start();
    server.server.base = None;
    let id = server.user("ada").await;
    for (host, expected) in
        [("scim.test:9092", "http://scim.test:9092/scim/v2/Users/"), ("a/b\"c", "/scim/v2/Users/")]
    {
        let answer = server.ask_with(Method::GET, &format!("/Users/{id}"), None, &[("host", host)]).await;
        assert_eq!(answer.body.unwrap()["meta"]["location"], format!("{expected}{id}"));
    }
}

#[tokio::test]
async fn changes_at_once_lose_nothing() {
    let server = Arc::new(Server::start());
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(server.user(&format!("u{number}")).await);
    }
    let path = format!("/Groups/{}", server.group("Makers", &[]).await);
    let tasks = Tasks::on(tokio::runtime::Handle::current());
    let adding: Vec<_> = ids
        .into_iter()
        .map(|id| {
            let (server, path) = (server.clone(), path.clone());
            tasks.spawn(async move {
                let add = operations(json!([{ "op": "add", "path": "members", "value": [{ "value": id }] }]));
                server.ask(Method::PATCH, &path, add).await.status
            })
        })
        .collect();
    for one in adding {
        assert_eq!(one.await.unwrap(), StatusCode::NO_CONTENT);
    }
    assert_eq!(server.get(&path).await["members"].as_array().unwrap().len(), 20);
}
