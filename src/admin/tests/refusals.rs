//! S3: what was refused here is in the audit log.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use super::Server;
use crate::model::ConsoleRole;

async fn logged(server: &Server) -> Vec<Value> {
    server.audit.flush().await.unwrap();
    let page = server.get("/audit?event=administrator_refused").await.json();
    page["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn s3_whoever_tries_what_they_may_not_is_in_the_log_by_name() {
    let server = Server::new().await;
    let settings = Some(json!({}));
    server.call(ConsoleRole::Operator, "POST", "/settings/preview", settings).await;
    let privileged = Some(json!({ "email": "g@example.com", "permissions": ["x"] }));
    server.call(ConsoleRole::Viewer, "POST", "/invites", privileged).await;
    let logged = logged(&server).await;
    let said = |entry: &Value| {
        let text = entry.to_string();
        let name = ["olaf", "vera"].into_iter().find(|name| text.contains(&format!("\"{name}\"")));
        let operation =
            ["preview_settings", "create_invite"].into_iter().find(|operation| text.contains(operation));
        assert!(text.contains("not_permitted"), "{text}");
        (name, operation)
    };
    let said: Vec<_> = logged.iter().map(said).collect();
    assert_eq!(
        said,
        [(Some("vera"), Some("create_invite")), (Some("olaf"), Some("preview_settings"))],
        "the newest first"
    );
}

#[tokio::test]
async fn s3_refusals_of_nobody_are_counted_wherever_they_come_from() {
    let server = Server::new().await;
    for _ in 0..50 {
        for (host, path) in
            [("localhost", "/api/v1/me"), ("localhost", "/nothing"), ("rebound.example", "/nothing")]
        {
            let request = Request::builder().uri(path).header("host", host).body(Body::empty()).unwrap();
            server.send(request).await;
        }
    }
    let logged = logged(&server).await;
    let mut counted: Vec<String> = Vec::new();
    for entry in &logged {
        let text = entry.to_string();
        assert!(text.contains("50"), "{text}");
        for code in ["token_needed", "not_found", "foreign_host"] {
            if text.contains(code) {
                counted.push(code.to_owned());
            }
        }
    }
    counted.sort();
    assert_eq!(counted, ["foreign_host", "not_found", "token_needed"], "one entry each: {logged:?}");
}
