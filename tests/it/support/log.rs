//! What the proxy logs while a test looks: one JSON object per event, of this test alone.

use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::Value;
use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};

use super::Page;

/// Events at `info` and above. Sign-in and provisioning run on the test's own thread, so no other test's
/// events are among them.
pub struct Log {
    written: Written,
    _while_alive: DefaultGuard,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// While there is just one subscriber in the process, tracing asks that of the thread which happens to log first
/// whether anybody wants an event, and keeps the answer for all threads. With a second one it asks them all.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));

impl Log {
    pub fn begin() -> Self {
        LazyLock::force(&SECOND);
        let written = Written::default();
        let sink = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || sink.clone())
            .finish();
        Self { written, _while_alive: tracing::subscriber::set_default(subscriber) }
    }

    pub fn events(&self) -> Vec<Value> {
        let bytes = self.written.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The event under the error id that a page shows.
    pub fn of(&self, page: &Page) -> Value {
        let text = page.text();
        let id = text.split("Error id: <code>").nth(1).and_then(|rest| rest.split('<').next());
        let id = id.unwrap_or_else(|| panic!("no error id at {:#?}:\n{text}", page.trail()));
        let events = self.events();
        let found = events.into_iter().find(|event| event["error_id"] == id);
        found.unwrap_or_else(|| panic!("nothing is logged under {id}"))
    }

    /// Why it was refused, in the words that administrators see.
    pub fn reason(&self, page: &Page) -> String {
        let event = self.of(page);
        let said: Value = serde_json::from_str(event["personal"].as_str().unwrap()).unwrap();
        said["reason"].as_str().unwrap().to_owned()
    }

    /// The code under which a page's refusal is logged.
    pub fn code(&self, page: &Page) -> String {
        self.of(page)["code"].as_str().unwrap().to_owned()
    }
}
