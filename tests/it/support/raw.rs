//! Requests byte by byte, for what no well-behaved client sends.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer as it came over the wire.
#[derive(Debug)]
pub struct RawAnswer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl RawAnswer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.head, String::from_utf8_lossy(&self.body)))
    }

    /// The values of one header, in order.
    pub fn header(&self, name: &str) -> Vec<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }
}

/// A connection to `http://HOST:PORT`.
pub struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// Whatever takes longer fails the test.
const PATIENCE: Duration = Duration::from_secs(20);

impl Raw {
    pub async fn connect(url: &str) -> Self {
        let stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
        Self { stream, buffer: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The next answer, with a body of Content-Length or chunked; `head_only` for what has none.
    pub async fn answer(&mut self, head_only: bool) -> RawAnswer {
        tokio::time::timeout(PATIENCE, self.read_answer(head_only)).await.expect("no answer came")
    }

    async fn read_answer(&mut self, head_only: bool) -> RawAnswer {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            assert!(
                self.fill().await,
                "closed before an answer: {:?}",
                String::from_utf8_lossy(&self.buffer)
            );
        };
        let head = String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = RawAnswer { status, head, body: Vec::new() };
        if head_only || status == 304 || status == 204 || status / 100 == 1 {
            return answer;
        }
        if let Some(length) = answer.header("content-length").first() {
            let length: usize = length.parse().unwrap();
            while self.buffer.len() < length {
                assert!(self.fill().await, "closed within a body");
            }
            answer.body = self.buffer.drain(..length).collect();
        } else if answer.header("transfer-encoding") == ["chunked"] {
            answer.body = self.chunks().await;
        } else {
            while self.fill().await {}
            answer.body = std::mem::take(&mut self.buffer);
        }
        answer
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(at) = find(&self.buffer, b"\r\n") {
                    break String::from_utf8(self.buffer.drain(..at + 2).collect()).unwrap();
                }
                assert!(self.fill().await, "closed within a chunk");
            };
            let size = usize::from_str_radix(line.trim().split(';').next().unwrap(), 16).unwrap();
            while self.buffer.len() < size + 2 {
                assert!(self.fill().await, "closed within a chunk");
            }
            body.extend(self.buffer.drain(..size));
            self.buffer.drain(..2);
            if size == 0 {
                return body;
            }
        }
    }

    /// Some bytes as they come; empty once the other side has closed.
    pub async fn bytes(&mut self) -> Vec<u8> {
        if self.buffer.is_empty() {
            tokio::time::timeout(PATIENCE, self.fill()).await.expect("no bytes came");
        }
        std::mem::take(&mut self.buffer)
    }

    /// Whether the other side closes without sending anything more.
    pub async fn is_closed(&mut self) -> bool {
        self.bytes().await.is_empty()
    }

    async fn fill(&mut self) -> bool {
        let mut chunk = vec![0; 16 * 1024];
        match self.stream.read(&mut chunk).await {
            Ok(0) | Err(_) => false,
            Ok(read) => {
                self.buffer.extend_from_slice(&chunk[..read]);
                true
            }
        }
    }
}

/// One request on a connection of its own.
pub async fn once(url: &str, request: impl AsRef<[u8]>) -> RawAnswer {
    let mut raw = Raw::connect(url).await;
    raw.send(request).await;
    raw.answer(false).await
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
