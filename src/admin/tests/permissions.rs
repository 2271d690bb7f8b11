//! Who gets in, and who may do what.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::json;

use super::Server;
use super::server::token;
use crate::admin::principal::make_bootstrap;
use crate::admin::routes::{Access, ROUTES};
use crate::model::ConsoleRole;
use crate::platform::{Platform, SystemEntropy};

/// The path with something in each of its parts.
fn filled(path: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/")
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn s5_every_route_is_open_to_exactly_the_roles_of_the_table() {
    let server = Server::new().await;
    for route in ROUTES {
        let (method, path) = (route.method.as_str(), filled(route.path));
        for role in ConsoleRole::ALL {
            let reply = server.call(role, method, &path, None).await;
            let may = match route.access {
                Access::Anybody | Access::Recognised => true,
                Access::Needs(permission) => permission.is_of(role),
            };
            let refused = reply.status == StatusCode::FORBIDDEN;
            assert_eq!(!refused, may, "{} as {role:?}: {reply:?}", route.operation);
            if refused {
                assert_eq!(reply.code(), "not_permitted");
            }
        }
    }
}

#[tokio::test]
async fn s5_without_credentials_every_route_is_closed_but_those_for_anybody() {
    let server = Server::new().await;
    for route in ROUTES {
        let host = ("host", "localhost");
        for headers in [&[host][..], &[host, ("authorization", "Basic eDp5")]] {
            let reply = server.send(request(route.method.as_str(), &filled(route.path), headers)).await;
            let closed = reply.status == StatusCode::UNAUTHORIZED && reply.code() == "token_needed";
            assert_eq!(closed, route.access != Access::Anybody, "{}: {reply:?}", route.operation);
            assert_eq!(closed, reply.headers.contains_key("www-authenticate"));
        }
        let wrong = [host, ("authorization", "Bearer wrong")];
        let reply = server.send(request(route.method.as_str(), &filled(route.path), &wrong)).await;
        // There are more routes than wrong tokens that one address may send in a minute.
        let closed = matches!(reply.status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(closed, route.access != Access::Anybody, "{}: {reply:?}", route.operation);
    }
}

#[tokio::test]
async fn invariant_12_every_route_is_closed_to_foreign_hosts_and_origins() {
    let server = Server::new().await;
    let bearer = format!("Bearer {}", token(ConsoleRole::Administrator));
    let auth = ("authorization", bearer.as_str());
    for route in ROUTES {
        let method = route.method.as_str();
        let path = filled(route.path);
        let reply = server.send(request(method, &path, &[auth, ("host", "rebound.example")])).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (421, "foreign_host"), "{path}");
        let foreign = [auth, ("host", "localhost"), ("origin", "http://localhost:3000")];
        let reply = server.send(request(method, &path, &foreign)).await;
        let refused = reply.status == StatusCode::FORBIDDEN && reply.code() == "cross_origin";
        assert_eq!(refused, method != "GET", "{method} {path}: {reply:?}");
    }
    for path in ["/nothing", "/members"] {
        let reply = server.send(request("PATCH", path, &[("host", "rebound.example")])).await;
        assert_eq!(reply.code(), "foreign_host");
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let server = Server::new().await;
    let reply = server.get("/nothing").await;
    assert_eq!((reply.status, reply.code().as_str()), (StatusCode::NOT_FOUND, "not_found"));
    let reply = server.call(ConsoleRole::Viewer, "PATCH", "/members", None).await;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(reply.code(), "method_not_allowed");
    assert!(reply.headers["allow"].to_str().unwrap().contains("GET"), "{reply:?}");
}

#[tokio::test]
async fn s5_the_bootstrap_token_makes_an_administrator_once() {
    let server = Server::new().await;
    let now = Platform::system().clock.now();
    let token = make_bootstrap(server.store.as_ref(), &SystemEntropy, now).await.unwrap();
    let send = async |body: &str, media: &str| {
        let request = Request::builder().method("POST").uri("/api/v1/bootstrap").header("host", "localhost");
        let request = request.header("content-type", media).body(Body::from(body.to_owned())).unwrap();
        server.send(request).await
    };
    let body = json!({ "token": token }).to_string();
    // A form of a foreign page could send this one; and it does not use the token up.
    assert_eq!(send(&body, "text/plain").await.code(), "not_json");
    assert_eq!(send("{\"token\":\"nxb_wrong\"}", "application/json").await.code(), "unknown_token");
    let reply = send(&body, "application/json").await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    let issued = reply.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(send(&body, "application/json").await.code(), "unknown_token");

    let bearer = format!("Bearer {issued}");
    let headers = [("host", "localhost"), ("authorization", bearer.as_str())];
    let me = server.send(request("GET", "/me", &headers)).await.json();
    assert_eq!((&me["name"], &me["role"]), (&json!("bootstrap"), &json!("administrator")));
    assert_eq!(me["permissions"].as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn a_body_that_is_too_large_or_not_as_wanted_is_refused() {
    let server = Server::new().await;
    let send = async |body: String| {
        let request = Request::builder().method("POST").uri("/api/v1/bootstrap").header("host", "localhost");
        let request = request.header("content-type", "application/json").body(Body::from(body)).unwrap();
        server.send(request).await
    };
    let large = json!({ "token": "x".repeat(300_000) }).to_string();
    assert_eq!(send(large).await.code(), "too_large");
    for wrong in ["", "[]", "{}", "{\"token\":1}", "{\"token\":\"x\",\"more\":1}", "{"] {
        assert_eq!(send(wrong.to_owned()).await.code(), "bad_request", "{wrong}");
    }
}
