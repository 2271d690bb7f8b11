//! Invariant 9: who sends slowly holds nothing for long.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Server;
use crate::admin::server::AdminServer;
use crate::listen::DataPlane;
use crate::listen::accept::{Listening, Manners};
use crate::platform::Tasks;

/// A head or a body that does not come is waited for this long at most before the test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

fn listening(server: &Server) -> DataPlane<AdminServer> {
    let tasks = Tasks::on(tokio::runtime::Handle::current());
    let answering = Arc::new(AdminServer::new(server.admin.clone(), tasks.clone()));
    let listening = Listening {
        listener: std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
        workers: 1,
        manners: Manners {
            tls: None,
            header_read: Duration::from_millis(200),
            keep_alive: Duration::from_millis(200),
            drain: Duration::from_secs(1),
        },
    };
    DataPlane::start(listening, &tasks, |_| answering.clone()).unwrap()
}

/// What the server says to these bytes until it closes the connection, which it must.
async fn answered(plane: &DataPlane<AdminServer>, sent: &str) -> String {
    let mut stream = TcpStream::connect(plane.local_addr()).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it waits on").unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn invariant_9_a_head_that_does_not_end_is_not_waited_for() {
    let server = Server::new().await;
    let plane = listening(&server);
    let whole =
        answered(&plane, "GET /api/v1/openapi.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .await;
    assert!(whole.starts_with("HTTP/1.1 200 "), "{whole}");
    let half = answered(&plane, "GET /api/v1/openapi.json HTTP/1.1\r\nhost: localhost\r\n").await;
    assert!(!half.contains(" 200 "), "{half}");
    plane.shut_down().await;
}

#[tokio::test]
async fn invariant_9_a_body_that_does_not_end_is_not_waited_for() {
    let server = Server::new().await;
    let plane = listening(&server);
    let head = "POST /api/v1/bootstrap HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close";
    let whole = answered(&plane, &format!("{head}\r\ncontent-length: 2\r\n\r\n{{}}")).await;
    assert!(whole.starts_with("HTTP/1.1 400 "), "{whole}");
    let half = answered(&plane, &format!("{head}\r\ncontent-length: 3\r\n\r\n{{}}")).await;
    assert!(half.starts_with("HTTP/1.1 408 ") && half.contains("urn:narthex:problem:too_slow"), "{half}");
    plane.shut_down().await;
}
